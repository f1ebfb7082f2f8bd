package ledger

// Starting while an external log is away. A ledger of a data directory that can't read its log has a disk that failed, and
// stops; an external one will be back, so that what is begun is begun again until it is, and Ready says why it takes so long.
// Beginning twice is beginning once: what was applied stands with its position, and what was only staged is dropped.

import (
	"context"
	"fmt"

	"github.com/permledger/permledger/domain"
)

// beginPatiently is begin, again after each time that an external log was not there, until the ledger is stopped.
func (l *Ledger) beginPatiently() error {
	return l.s.patiently(l.ctx, "the log can't be read to catch up with it; it will be tried again", func() error {
		err := l.begin()
		if err != nil {
			l.away.Store(&failure{err})
		}
		return err
	}, "org", l.Org())
}

// whyAway is nil, or that the log was not there when it was last read to catch up with it.
func (l *Ledger) whyAway() error {
	f := l.away.Load()
	if f == nil || !isFailure(f.err, domain.Unavailable) {
		return nil
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "ledger of %s: the projection is at event %d, and the log can't be read on: %v; it is tried again", l.Org(), l.p.Position().Seq, f.err)
}

// openAllPatiently is openAll in the same way. Between two attempts Ready gives the reason of the last.
func (s *Service) openAllPatiently(ctx context.Context) error {
	return s.patiently(ctx, "the ledgers can't be opened; it will be tried again", func() error {
		err := s.openAll(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = err
		return err
	})
}

// patiently does it until it succeeds or fails for another reason than that an external log is away, logging what each
// time; after ctx it gives ctx's error.
func (s *Service) patiently(ctx context.Context, what string, do func() error, args ...any) error {
	for failures := 1; ; failures++ {
		err := do()
		if s.o.NATS.URL == "" || !isFailure(err, domain.Unavailable) || ctx.Err() != nil {
			return err
		}
		s.o.Logger.Warn(what, append(args, "error", err)...)
		select {
		case <-s.o.after(tryAfter(failures)):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}
