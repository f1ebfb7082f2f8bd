// Package consumers is what follows from a ledger for others: the feed of effective changes (who gained and lost what, as
// it happens), its delivery by webhook, what subscribers acknowledge, and what other Go services need to follow it or to
// keep a copy. It decides nothing and records nothing: what changed is package domain's to say, by the same decision that
// answers every question, and how a ledger is read is its caller's to bring (Ledger).
//
// Everything here may be lost and made again from the log, but for what subscribers registered and acknowledged.
package consumers

import (
	"context"
	"iter"
	"time"

	"github.com/permledger/permledger/domain"
)

// A Ledger is what a feed follows: one organisation's log and what follows from it. Its methods may be called
// concurrently.
type Ledger interface {
	Org() domain.Org
	// Created is when the log was made: another one of the same organisation has another.
	Created() time.Time
	// Head is the newest event that may be asked about.
	Head() domain.Seq
	// Await returns when Head is after the seq, or with the error of ctx or of the ledger.
	Await(ctx context.Context, after domain.Seq) error
	// Steps gives what changed at every event after `after` up to upTo, in order, each event once, also where nothing
	// changed. The same event gives the same step, always and everywhere.
	Steps(ctx context.Context, after, upTo domain.Seq) iter.Seq2[domain.Step, error]
	// About gives of one step's changes those that are about a resource, or, where it is an account, about the account
	// as a resource and about what belongs to it: with what is said of all of a type resolved for each of these.
	About(ctx context.Context, about domain.Resource, changes []Change) ([]Change, error)
	// Snapshot gives all that is permitted as of Head, as changes on nothing: what to begin with before following.
	Snapshot(ctx context.Context, f Filter) (Snapshot, error)
}

// A Snapshot is all that is permitted at one event, as changes without cursor and cause. It must be read or closed.
type Snapshot struct {
	Cursor  Cursor // to follow on from, after the last change
	At      domain.Instant
	Changes iter.Seq2[Change, error]
	Close   func()
}
