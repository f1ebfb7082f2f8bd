package ledger

// A ledger as a history that Import takes (contract §6): one line for each event but the first, which adopts the catalogue
// that an import is given beside its history. So line n is event n+1 in the old ledger and in the new one, and what refers to
// a seq (corrects, of) stays true.
//
// What an import of it gives back exactly: seq, time, type, actor, source, reason, occurred_at, request id and data of every
// event. What it does not: event ids are new, as are the keys and the nonces of what is sealed; a grant keeps its id, which
// is in its data. A text whose key was erased is gone. Where it was a reason, erasedReason stands in its place, since the
// catalogue may have asked for one; a name is left out.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/permledger/permledger/domain"
)

const erasedReason = "(erased)"

// Exported says what an export holds.
type Exported struct {
	Org    domain.Org     `json:"org"`
	Seq    domain.Seq     `json:"seq"`    // of the last event in it
	Events int            `json:"events"` // lines: every event up to Seq but the first
	Erased int            `json:"erased"` // texts that are not in it, because their keys were erased
	First  domain.Instant `json:"first"`  // recorded_at of the first line
	Last   domain.Instant `json:"last"`
}

// exportLine is a line of a history. Fields that are not there are left out, as an event has it.
type exportLine struct {
	At         domain.Instant   `json:"at"`
	Type       domain.EventType `json:"type"`
	Actor      domain.Account   `json:"actor"`
	Source     string           `json:"source,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	OccurredAt domain.Instant   `json:"occurred_at,omitzero"`
	RequestID  string           `json:"request_id,omitempty"`
	Data       json.RawMessage  `json:"data"`
}

// FirstCatalogue gives the document that the ledger's first event adopts, to import an export with.
func (l *Ledger) FirstCatalogue(ctx context.Context) ([]byte, error) {
	e, err := l.Event(ctx, 1)
	if err != nil {
		return nil, err
	}
	adoption, ok := e.Data.(*domain.CatalogueAdoption)
	if !ok {
		return nil, domain.Errorf(domain.Integrity, "undecodable_event", "exporting the ledger of %s: its first event is %s, and a ledger begins with %s", l.Org(), e.Type, domain.CatalogueAdopted)
	}
	return []byte(adoption.Document), nil
}

// Export writes the history up to the newest event that answers rest on. The texts in it are readable: it is to be kept as
// the ledger is. Errors: those of w, and Integrity where the log is not what it was.
func (l *Ledger) Export(ctx context.Context, w io.Writer) (Exported, error) {
	sum := Exported{Org: l.Org(), Seq: l.Head()}
	out := bufio.NewWriterSize(w, 256<<10)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	events := l.decodeAhead(ctx, 1, sum.Seq)
	defer events.stop()
	for batch := range events.batches {
		for _, stored := range batch.events {
			e, err := open(ctx, l.keys, stored)
			if err != nil {
				return sum, err
			}
			if e.SealedFor != "" {
				sum.Erased += len(stored.Texts())
				if stored.Reason != "" {
					e.Reason = erasedReason
				}
			}
			if sum.Events++; sum.Events == 1 {
				sum.First = e.RecordedAt
			}
			sum.Last = e.RecordedAt
			line := exportLine{e.RecordedAt, e.Type, e.Actor, e.Source, e.Reason, e.OccurredAt, e.RequestID, e.DataJSON()}
			if err := lines.Encode(line); err != nil {
				return sum, err
			}
		}
		if batch.err != nil {
			if errors.Is(batch.err, domain.Integrity) {
				l.fail(batch.err)
			}
			return sum, batch.err
		}
	}
	if err := ctx.Err(); err != nil {
		return sum, err
	}
	return sum, out.Flush()
}
