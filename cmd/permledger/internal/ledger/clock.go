package ledger

// The ledger's own clock: it takes notice, as an event, of the moments at which dated facts begin and run out
// (domain/due.go). It waits for the next of them and hands the writer a job; the writer decides what there is to notice,
// in its turn, as it decides commands. Nothing is decided by these notices and nobody waits for them.
//
// Any number of servers may keep time for one ledger. Each finds the same due; the log takes one batch for its place and
// refuses the other, whose writer catches up and finds nothing left to notice. So no due is noticed twice, and whichever
// server is there takes over from one that is gone, with nothing to hand over.

import (
	"math/rand/v2"
	"time"

	"github.com/permledger/permledger/domain"
)

const (
	// noticesAtOnce is how many notices go into one atomic batch: where thousands fall due at once, whoever has a command
	// waits for one batch and not for all.
	noticesAtOnce = 100
	// lookAgain bounds how long the clock waits without looking at the time, which may be set or go on while the machine
	// sleeps; a timer knows of neither.
	lookAgain = time.Minute
	// tryFirst and tryLast bound the wait after a failure: twice as long after each, less up to half of it at random, so
	// that ledgers and servers that failed together do not try together.
	tryFirst = 250 * time.Millisecond
	tryLast  = 30 * time.Second
)

// keepTime takes notice of what is due, when it is, until the ledger stops. What fell due while nobody kept time is the
// first that it finds.
func (l *Ledger) keepTime() {
	for failures := 0; ; {
		at, some, err := l.NextDue()
		now := l.Now()
		if err == nil && some && at <= now {
			if err = l.TakeNotice(); err == nil {
				failures = 0
				continue
			}
		}
		var wake <-chan time.Time
		sooner := l.p.Sooner()
		switch {
		case l.ctx.Err() != nil || l.sound() != nil:
			return
		case isFailure(err, domain.Integrity):
			l.fail(err)
			return
		case err != nil:
			failures++
			l.s.o.Logger.Warn("what is due can't be noticed now, and will be", "org", l.Org(), "error", err)
			wake, sooner = l.s.o.after(tryAfter(failures)), nil
		case some:
			wake = l.s.o.after(min(time.Duration(at-now), lookAgain))
		}
		select {
		case <-wake:
		case <-sooner:
		case <-l.ctx.Done():
			return
		}
	}
}

// tryAfter gives how long to wait after so many failures in a row.
func tryAfter(failures int) time.Duration {
	d := min(tryFirst<<min(failures-1, 16), tryLast)
	return d - rand.N(d/2)
}

// NextDue gives the earliest moment, past or to come, at which something begins or runs out that was not noticed; ok is
// false where there is none. It is for one goroutine: the clock, or whoever owns the time of a ledger without one.
func (l *Ledger) NextDue() (at domain.Instant, ok bool, err error) { return l.p.NextDue() }

// TakeNotice has the writer take notice of what is due by now, of as much as goes into one batch, and waits until that is
// recorded. Where nothing is due it records nothing. Errors: Unavailable where the log can't take it.
func (l *Ledger) TakeNotice() error {
	j := &job{notices: true, done: make(chan struct{}), steps: Steps{Asked: time.Now()}}
	select {
	case l.w.jobs <- j:
	case <-l.ctx.Done():
		return l.closed()
	}
	select {
	case <-j.done:
		l.observe(l.ctx, j, j.err)
		return j.err
	case <-l.ctx.Done(): // the writer finishes what it has begun, or leaves it: the next clock finds what is left
		return l.closed()
	}
}

// decideNotices adds to the flight what is due by now and noticed by nobody, whatever was when the clock asked.
func (w *writer) decideNotices(f *flight, now domain.Instant, newID func() domain.EventID) error {
	head := w.l.p.Head()
	dues, err := head.Due(now, noticesAtOnce)
	if err != nil {
		return err
	}
	for _, d := range dues {
		e, err := domain.NoticeOf(head, d, now, newID())
		if err != nil {
			return err
		}
		if err := w.stage(f, e); err != nil {
			return err
		}
	}
	return nil
}
