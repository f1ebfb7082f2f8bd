package ledger

// What the ledgers tell whoever watches them at work: one call for each job and one for each commit, with the times at
// which they were where. Nothing is counted, named or kept here, and nothing waits for who listens.

import (
	"context"
	"time"

	"github.com/permledger/permledger/domain"
)

// An Observer is told what the ledgers do. Its methods may be called by many goroutines, return at once and never call
// back: Committed is called on a ledger's only writer, between one answer and the next.
type Observer interface {
	// Recorded is called once for each call of Record, by its caller and with its context, and for each turn of the clock.
	Recorded(context.Context, Work)
	// Committed is called when events that were acknowledged have become visible to every question, all at once.
	Committed(events int, took time.Duration)
}

// Work is what became of commands that were to be recorded together, or of what the clock found due.
type Work struct {
	Commands []domain.Command // none: it is the clock's
	Events   int              // newly recorded; 0 where they were recorded before, or there was nothing to record
	Attempts int              // how often it was decided: again where the log had moved on meanwhile
	Err      error
	Steps
}

// Steps are when a job was where; zero where it did not come so far. Of a job that was decided again they are the last
// attempt's, but for Asked and Taken.
type Steps struct {
	Asked        time.Time // it was handed in
	Taken        time.Time // the writer began to decide it
	Decided      time.Time // and was done with it; what follows went on its way to the log
	Acknowledged time.Time // the writer heard that the log has it
	Applied      time.Time // every question sees it
}

// observe tells of a job that is over.
func (l *Ledger) observe(ctx context.Context, j *job, err error) {
	w := Work{Commands: j.commands, Attempts: j.attempts, Err: err, Steps: j.steps}
	if err == nil {
		w.Events = j.events
	}
	l.s.o.Observer.Recorded(ctx, w)
}

// unobserved is the Observer of whoever has none.
type unobserved struct{}

func (unobserved) Recorded(context.Context, Work) {}

func (unobserved) Committed(int, time.Duration) {}
