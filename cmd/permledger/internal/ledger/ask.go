package ledger

// Asking: which of the three moments a question is about (contract §4), and the reader that answers it.

import (
	"errors"
	"strconv"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

// Known says what had been recorded by when. The zero Known is "by the moment asked about": the enforced answer.
type Known struct {
	now bool
	seq domain.Seq
	at  domain.Instant
}

// ParseKnown reads "", "now", a seq or a time.
func ParseKnown(s string) (Known, error) {
	switch s {
	case "":
		return Known{}, nil
	case "now":
		return Known{now: true}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		if n == 0 {
			return Known{}, domain.Errorf(domain.Malformed, "bad_known_at", "known_at 0: events are counted from 1")
		}
		return Known{seq: domain.Seq(n)}, nil
	}
	at, err := domain.ParseInstant(s)
	if err != nil {
		return Known{}, domain.Errorf(domain.Malformed, "bad_known_at", "known_at: want a time (RFC 3339), a seq or now: %v", err)
	}
	return Known{at: at}, nil
}

// Asked is a ledger at the moments of one question: a domain.Reader as known then, and the moment asked about.
type Asked struct {
	*projections.View
	At domain.Instant
	l  *Ledger
}

// Ask fixes the moments of a question; at 0 is now. Close what it gives. Errors: Malformed for a seq that is not there
// yet, and whatever stopped the ledger.
func (l *Ledger) Ask(at domain.Instant, known Known) (*Asked, error) {
	if err := l.sound(); err != nil {
		return nil, err
	}
	seq := l.p.Position().Seq
	var err error
	switch {
	case known.seq > seq:
		return nil, domain.Errorf(domain.Malformed, "bad_known_at", "known_at %d: the ledger's newest event is %d", known.seq, seq)
	case known.seq != 0:
		seq = known.seq
	case known.at != 0:
		seq, err = l.p.SeqAt(known.at)
	case at != 0 && !known.now:
		seq, err = l.p.SeqAt(at)
	}
	if err != nil {
		return nil, err
	}
	if at == 0 {
		at = l.Now()
	}
	view, err := l.p.At(seq)
	if err != nil {
		return nil, err
	}
	return &Asked{view, at, l}, nil
}

// SeqAt gives the newest event that was recorded at or before t, of those that count. With it an Asked is a
// domain.History.
func (a *Asked) SeqAt(t domain.Instant) (domain.Seq, error) {
	seq, err := a.l.p.SeqAt(t)
	return min(seq, a.KnownAt()), err
}

// Account is nil, or Unknown where no such account was ever opened, as far as is known today: a question about an
// account that came later has an answer, nobody.
func (a *Asked) Account(what string, acc domain.Account) error {
	today, err := a.l.p.At(a.l.p.Position().Seq)
	if err != nil {
		return err
	}
	defer today.Close()
	return domain.WasOpened(today, what, acc)
}

func isFailure(err error, f domain.Failure) bool { return err != nil && errors.Is(err, f) }
