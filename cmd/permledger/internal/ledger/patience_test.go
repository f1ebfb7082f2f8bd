package ledger

// Starting while the external server is away, and commands that waited for their turn for too long.

import (
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// A ledger whose server goes away before it has caught up says why it is not ready, and catches up when the server is back.
func TestTheServerGoesAwayAtTheStart(t *testing.T) {
	r := startRemote(t)
	first := founding(t, r.options())
	record1(t, first, opens("client:c1"))
	head := first.Head()

	o := r.options()
	tried, again := make(chan bool), make(chan time.Time)
	o.after = func(time.Duration) <-chan time.Time {
		tried <- true
		return again
	}
	s := openService(t, o)
	t.Cleanup(func() { closeService(t, s) })
	log, err := s.store.Open(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := log.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.db.Ledger("acme")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	l := newLedger(s, log, keys, p)
	s.mu.Lock()
	s.ledgers["acme"] = l
	s.mu.Unlock()
	l.start()
	<-tried
	wantError(t, s.Ready(t.Context()), domain.Unavailable, "log_unavailable", "ledger of acme: the projection is at event 0, and the log can't be read on")
	r.start()
	for {
		select {
		case again <- time.Now():
			continue
		case <-tried: // the connection may not be back yet
			continue
		case <-l.level:
		}
		break
	}
	if err := l.sound(); err != nil || l.Head() != head {
		t.Errorf("the server is back: the ledger is at %d (%v), want %d", l.Head(), err, head)
	}
}

// A command that waited for its turn for longer than its caller is asked to is refused, and nothing of it is recorded; what
// comes behind it is taken.
func TestACommandWaitedTooLong(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	head := l.Head()
	late := &job{commands: []domain.Command{opens("client:late")}, steps: Steps{Asked: time.Now().Add(-turnWait - 1)}, done: make(chan struct{})}
	_, err := l.hand(t.Context(), late)
	wantError(t, err, domain.Unavailable, "busy", "nothing was recorded")
	if l.Head() != head {
		t.Errorf("the ledger is at %d, want %d as before", l.Head(), head)
	}
	record1(t, l, opens("client:late"))
}
