package ledger

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// watcher notes what it is told.
type watcher struct {
	mu      sync.Mutex
	work    []Work
	of      []any // what the contexts said
	commits []int
}

type watched struct{}

func (w *watcher) Recorded(ctx context.Context, work Work) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work, w.of = append(w.work, work), append(w.of, ctx.Value(watched{}))
}

func (w *watcher) Committed(events int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits = append(w.commits, events)
}

// last gives the newest work.
func (w *watcher) last() Work {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.work[len(w.work)-1]
}

func TestObserver(t *testing.T) {
	seen := &watcher{}
	l := founding(t, Options{Data: t.TempDir(), Observer: seen})
	ctx := context.WithValue(t.Context(), watched{}, "mine")
	open := func(account domain.Account, id string) domain.Command {
		return domain.Command{Name: "account.open", Actor: boss, Source: "test", ID: id, Data: &domain.AccountOpening{Account: account}}
	}
	inOrder := func(s Steps) bool {
		return !s.Asked.IsZero() && !s.Taken.Before(s.Asked) && !s.Decided.Before(s.Taken) && !s.Acknowledged.Before(s.Decided) && !s.Applied.Before(s.Acknowledged)
	}

	if _, err := l.Record(ctx, []domain.Command{open(anna, "1"), open(bob, "")}); err != nil {
		t.Fatal(err)
	}
	if got := seen.last(); got.Events != 2 || len(got.Commands) != 2 || got.Attempts != 1 || got.Err != nil || !inOrder(got.Steps) {
		t.Errorf("of two commands: %+v", got)
	}
	if _, err := l.Record(ctx, []domain.Command{open(anna, "1")}); err != nil {
		t.Fatal(err)
	}
	if got := seen.last(); got.Events != 0 || got.Err != nil || got.Decided.IsZero() || !got.Acknowledged.IsZero() || !got.Applied.IsZero() {
		t.Errorf("of a command that was recorded before: %+v", got)
	}
	_, err := l.Record(ctx, []domain.Command{open(bob, "")})
	if got := seen.last(); !errors.Is(err, domain.Conflict) || got.Err != err || got.Events != 0 || !got.Acknowledged.IsZero() {
		t.Errorf("of a refusal (%v): %+v", err, got)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for i, of := range seen.of {
		if of != "mine" {
			t.Errorf("work %d was told with another context than its caller's", i)
		}
	}
	events := 0
	for _, n := range seen.commits {
		events += n
	}
	if events != 2 {
		t.Errorf("commits of %v events, want 2 in all", seen.commits)
	}
}

// TestObserverOfTheClock: what the clock notices is told too, as nobody's command.
func TestObserverOfTheClock(t *testing.T) {
	seen, now := &watcher{}, time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	l := founding(t, Options{Data: t.TempDir(), Observer: seen, Now: func() time.Time { return now }})
	until := domain.InstantOf(now.Add(time.Hour))
	if _, err := l.Record(t.Context(), []domain.Command{
		{Name: "account.open", Actor: boss, Source: "test", Data: &domain.AccountOpening{Account: anna}},
		{Name: "role.assign", Actor: boss, Source: "test", Data: &domain.RoleAssignment{Principal: anna, Role: "therapist", Until: until}},
	}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := l.TakeNotice(); err != nil {
		t.Fatal(err)
	}
	if got := seen.last(); got.Commands != nil || got.Events != 1 || got.Applied.IsZero() {
		t.Errorf("of the clock: %+v", got)
	}
}
