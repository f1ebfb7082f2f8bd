package consumers

// A change as it is published and delivered: one shape on the stream, over HTTP, to webhooks and to followers in Go. This
// file never decides what changed.

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/permledger/permledger/domain"
)

// The kinds of change.
const (
	Gained = "gained"
	Lost   = "lost"
)

// A Change says that a subject gained or lost actions on a resource, or on "type:*" for all of a type.
//
// Folding changes in their order (for a subject, action and resource the newest counts that names the resource or its
// type:*) gives, after all of an event's, what the ledger answers as of that event. So a change on type:* is followed, as
// changes of the same event, by the exceptions to it that remain.
type Change struct {
	Cursor     Cursor          `json:"cursor,omitzero"` // to go on after it; none in a snapshot
	Seq        domain.Seq      `json:"seq"`             // the event from which on it is so
	At         domain.Instant  `json:"at"`              // the moment from which on it is so
	Kind       string          `json:"kind"`            // Gained or Lost
	Subject    domain.Account  `json:"subject"`
	Resource   domain.Resource `json:"resource"`
	Actions    []domain.Action `json:"actions"`        // sorted
	ValidUntil *domain.Instant `json:"valid_until"`    // of what is gained: the earliest moment at which some of it could end by itself; null: none is known
	Cause      Cause           `json:"cause,omitzero"` // none in a snapshot
}

// A Cause is what a change came of: the event Seq, or, where Of is given, a moment at which the fact that the event Of
// began, or ran out: then Type is validity.started or validity.ended, and Seq the event from which on that shows, which is
// the notice itself unless another was recorded first.
type Cause struct {
	Seq   domain.Seq       `json:"seq"`
	Type  domain.EventType `json:"type"`
	Actor domain.Account   `json:"actor"`
	Of    domain.Seq       `json:"of,omitempty"`
}

// ChangesOf gives the changes of a step, with their cursors in the log with this mark.
func ChangesOf(step domain.Step, mark string) []Change {
	changes := make([]Change, len(step.Changes))
	for i, c := range step.Changes {
		changes[i] = ChangeOf(c.Effect)
		changes[i].Cursor = Cursor{Seq: step.Seq, N: i + 1, Mark: mark}
		changes[i].Seq, changes[i].At, changes[i].Cause = step.Seq, c.At, Cause(c.Cause)
		if i == len(changes)-1 {
			changes[i].Cursor.N = 0
		}
	}
	return changes
}

// ChangeOf gives the change that an effect is, without its place, moment and cause.
func ChangeOf(e domain.Effect) Change {
	c := Change{Kind: Lost, Subject: e.Subject, Resource: e.Resource, Actions: e.Actions}
	if e.Gained {
		c.Kind = Gained
		if until := e.ValidUntil; until != domain.Forever {
			c.ValidUntil = &until
		}
	}
	return c
}

// A Batch is what a follower is handed: changes of one event, or of one snapshot, to be applied together, and the cursor
// to keep with what they were applied to. One without changes says that there were none up to the cursor.
type Batch struct {
	Changes []Change
	Cursor  Cursor
}

const markDigits = 8

// MarkOf names the log of an organisation that was made at a moment.
func MarkOf(org domain.Org, created time.Time) string {
	sum := sha256.Sum256([]byte(string(org) + " " + created.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:])[:markDigits]
}
