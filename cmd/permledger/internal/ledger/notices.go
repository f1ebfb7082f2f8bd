package ledger

// Taking notice of what is due, for whoever owns a ledger's time (Options.Now) and moves it on by hand: to the next due,
// notice taken, and on. It is the clock's own work, step by step (clock.go, which needs nobody's asking): never for a
// ledger of which Options.Clock is set.

import "github.com/permledger/permledger/domain"

// NextDue gives the earliest moment, past or to come, at which something begins or runs out that was not noticed; ok is
// false where there is none. It is for one goroutine.
func (l *Ledger) NextDue() (at domain.Instant, ok bool, err error) { return l.p.NextDue() }

// TakeNotice records, by the ledger's time, notices of what is due by now, at most a hundred, and returns when they are
// on disk and every question sees them. Where nothing is due it records nothing. Errors: Unavailable where the log can't take them.
func (l *Ledger) TakeNotice() error { return l.notice() }
