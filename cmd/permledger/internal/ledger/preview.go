package ledger

// Looking ahead: what commands would come to if they were recorded now. It reads the projection as a question does; the
// writer knows nothing of it, and nothing is recorded.

import (
	"context"

	"github.com/permledger/permledger/domain"
)

// A Preview is what recording commands would come to: by what was known at KnownAt, at the moment At.
type Preview struct {
	At      domain.Instant
	KnownAt domain.Seq
	Events  []*domain.Event // those that would be new, with the places they would have
	domain.Foreseen
}

// Preview decides the commands as Record would at this moment, all or nothing, and says who would gain and lose what: at
// most limit of each. A command whose ID was recorded before would record nothing again. Errors: those of Record that
// come of deciding.
func (l *Ledger) Preview(ctx context.Context, commands []domain.Command, limit int) (Preview, error) {
	if len(commands) == 0 {
		return Preview{}, domain.Errorf(domain.Malformed, "no_command", "previewing: no command given")
	}
	asked, err := l.Ask(0, Known{})
	if err != nil {
		return Preview{}, err
	}
	defer asked.Close()
	p := domain.NewPreview(asked, asked.At, func() domain.EventID { return l.s.newID(asked.At) })
	ids := make(map[string]*domain.Event)
	for i, c := range commands {
		if err := ctx.Err(); err != nil {
			return Preview{}, err
		}
		if err := l.foresee(ctx, p, c, ids); err != nil {
			if len(commands) > 1 {
				err = atCommand(i, err)
			}
			return Preview{}, err
		}
	}
	foreseen, err := p.Foresee(limit)
	if err != nil {
		return Preview{}, err
	}
	for _, e := range p.Events {
		e.Org = l.Org()
	}
	return Preview{At: asked.At, KnownAt: asked.KnownAt(), Events: p.Events, Foreseen: foreseen}, nil
}

// foresee adds one command to the preview, or nothing where its id was used for it before.
func (l *Ledger) foresee(ctx context.Context, p *domain.Preview, c domain.Command, ids map[string]*domain.Event) error {
	if c.ID == "" {
		return p.Add(c)
	}
	first := ids[c.ID]
	if first == nil {
		seq, _, ok, err := l.p.Requested(c.ID)
		if err != nil {
			return err
		}
		if ok {
			if first, err = l.Event(ctx, seq); err != nil {
				return err
			}
		}
	}
	if first != nil {
		return sameRequest(c, first)
	}
	before := len(p.Events)
	if err := p.Add(c); err != nil {
		return err
	}
	if len(p.Events) > before {
		ids[c.ID] = p.Events[before]
	}
	return nil
}

// sameRequest refuses a command whose id was used for another event.
func sameRequest(c domain.Command, e *domain.Event) error {
	if c.Asked(e) {
		return nil
	}
	return domain.Errorf(domain.Conflict, "id_used", "command %s with id %q: the id was used for event %d, which is another %s by %s", c.Name, c.ID, e.Seq, e.Type, e.Actor)
}
