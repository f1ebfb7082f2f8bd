package ledger

// What a change feed asks of a ledger: the steps from event to event, what they come to for one resource, and all that is
// permitted to begin with (consumers.Ledger). It reads the log and the projection as questions do and decides nothing; the
// feed that publishes what comes of it is package consumers'.

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

var _ consumers.Ledger = (*Ledger)(nil)

// Created is when the log was made: with Org, which log this is.
func (l *Ledger) Created() time.Time { return l.log.Created() }

// Steps gives what changed for everybody at every event after `after` up to upTo, in order, also where nothing did. It
// computes each anew from the log and from what was known before and after it. Errors: Integrity, which stop the ledger;
// Incomplete where upTo is not applied yet.
func (l *Ledger) Steps(ctx context.Context, after, upTo domain.Seq) iter.Seq2[domain.Step, error] {
	return func(yield func(domain.Step, error) bool) {
		if upTo <= after {
			return
		}
		s, err := l.newStepper(upTo)
		if err != nil {
			yield(domain.Step{}, err)
			return
		}
		defer s.close()
		events := l.decodeAhead(ctx, max(after, 1)-1, upTo)
		defer events.stop()
		for b := range events.batches {
			for _, e := range b.events {
				if e.Seq <= after { // the one before the first, for its time
					s.since = e.RecordedAt
					continue
				}
				step, err := s.step(e)
				if !yield(step, err) || err != nil {
					return
				}
			}
			if b.err != nil {
				yield(domain.Step{}, b.err)
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(domain.Step{}, err)
		}
	}
}

// stepper goes from event to event, with what was known before and after each.
type stepper struct {
	l             *Ledger
	before, after *projections.View
	since         domain.Instant // when the event before the next was recorded
}

func (l *Ledger) newStepper(upTo domain.Seq) (*stepper, error) {
	before, err := l.p.At(upTo)
	if err != nil {
		return nil, err
	}
	after, err := l.p.At(upTo)
	if err != nil {
		before.Close()
		return nil, err
	}
	return &stepper{l: l, before: before, after: after}, nil
}

func (s *stepper) close() {
	s.before.Close()
	s.after.Close()
}

// step gives what e changed; since is the moment of the event before it, and is e's from then on.
func (s *stepper) step(e *domain.Event) (domain.Step, error) {
	if err := s.before.MoveTo(e.Seq - 1); err != nil {
		return domain.Step{}, err
	}
	if err := s.after.MoveTo(e.Seq); err != nil {
		return domain.Step{}, err
	}
	changed, err := domain.Fold(s.before, e)
	if err != nil {
		return domain.Step{}, err
	}
	passed, err := domain.Passed(s.before, s.l.p.Dues(s.since, e.RecordedAt))
	if err != nil {
		return domain.Step{}, err
	}
	step, err := domain.StepOf(s.before, s.after, e, changed, s.since, passed)
	s.since = e.RecordedAt
	return step, err
}

// About gives of one event's changes those that are about the resource: what is said of all of its type is decided for it,
// and what comes to nothing there is left out. Each subject has at most one change gained and one lost, with the cause of
// the last that bears on it, and the cursor of the last of all.
func (l *Ledger) About(ctx context.Context, about domain.Resource, changes []consumers.Change) ([]consumers.Change, error) {
	type touched struct {
		last    consumers.Change
		actions map[domain.Action]bool
	}
	var order []domain.Account
	of := map[domain.Account]*touched{}
	all := domain.Resource(string(about.Kind()) + ":*")
	for _, c := range changes {
		if c.Resource != about && c.Resource != all {
			continue
		}
		t := of[c.Subject]
		if t == nil {
			t = &touched{actions: map[domain.Action]bool{}}
			of[c.Subject], order = t, append(order, c.Subject)
		}
		t.last = c
		for _, a := range c.Actions {
			t.actions[a] = true
		}
	}
	if len(order) == 0 {
		return nil, nil
	}
	seq := changes[0].Seq
	before, err := l.sideAt(ctx, seq-1)
	if err != nil {
		return nil, err
	}
	defer before.close()
	after, err := l.sideAt(ctx, seq)
	if err != nil {
		return nil, err
	}
	defer after.close()
	resolver, err := domain.NewResolver(before.Side, after.Side, about)
	if err != nil {
		return nil, err
	}
	var resolved []consumers.Change
	for _, subject := range order {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t := of[subject]
		gained, lost, err := resolver.On(subject, slices.Sorted(maps.Keys(t.actions)))
		if err != nil {
			return nil, err
		}
		for _, e := range [...]domain.Effect{lost, gained} {
			if len(e.Actions) > 0 {
				c := consumers.ChangeOf(e)
				c.Cursor, c.Seq, c.At, c.Cause = t.last.Cursor, t.last.Seq, t.last.At, t.last.Cause
				resolved = append(resolved, c)
			}
		}
	}
	return resolved, nil
}

// A side is what a ledger knew at an event, at the moment that it was recorded.
type side struct {
	domain.Side
	close func()
}

func (l *Ledger) sideAt(ctx context.Context, seq domain.Seq) (side, error) {
	view, err := l.p.At(seq)
	if err != nil {
		return side{}, err
	}
	at, err := l.recordedAt(ctx, seq)
	if err != nil {
		view.Close()
		return side{}, err
	}
	return side{domain.Side{R: view, At: at}, view.Close}, nil
}

// recordedAt is when the event was recorded; 0 for none.
func (l *Ledger) recordedAt(ctx context.Context, seq domain.Seq) (domain.Instant, error) {
	switch p := l.p.Position(); seq {
	case 0:
		return 0, nil
	case p.Seq:
		return p.RecordedAt, nil
	}
	entry, err := l.entry(ctx, seq)
	if err != nil {
		return 0, err
	}
	e, err := l.decode(entry)
	if err != nil {
		l.fail(err)
		return 0, err
	}
	return e.RecordedAt, nil
}

// Snapshot gives all that is permitted as of the newest event, at the moment that it was recorded: what follows it in the
// feed goes on from there. Of what never was it gives nothing.
func (l *Ledger) Snapshot(ctx context.Context, f consumers.Filter) (consumers.Snapshot, error) {
	if err := l.sound(); err != nil {
		return consumers.Snapshot{}, err
	}
	seq := l.Head()
	from, err := l.sideAt(ctx, seq)
	if err != nil {
		return consumers.Snapshot{}, err
	}
	effects := domain.Snapshot(from.R, from.At, f.Subject)
	if f.About != "" {
		effects = domain.SnapshotOn(from.R, from.At, f.About, f.Subject)
	}
	return consumers.Snapshot{
		Cursor: consumers.Cursor{Seq: seq, Mark: consumers.MarkOf(l.Org(), l.Created())},
		At:     from.At,
		Changes: func(yield func(consumers.Change, error) bool) {
			for e, err := range effects {
				if err == nil {
					err = ctx.Err()
				}
				c := consumers.ChangeOf(e)
				c.Seq, c.At = seq, from.At
				if err == nil && !f.Wants(c) {
					continue
				}
				if !yield(c, err) || err != nil {
					return
				}
			}
		},
		Close: from.close,
	}, nil
}
