package eventstore

// Reading and following: every event once, in order, or an error.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestReadSpans(t *testing.T) {
	l := create(t, embedded(t))
	mustAppend(t, l, events(1, 5000), 0)
	mustAppend(t, l, events(5001, 9000), 5000)
	wantLog(t, l, 9000)
	for _, span := range [][2]domain.Seq{{0, 0}, {5, 5}, {7, 3}, {0, 1}, {8999, 9000}, {100, 116}, {100, 117}, {4000, 9000}} {
		next := span[0] + 1
		for e, err := range l.Read(t.Context(), span[0], span[1]) {
			if err != nil || e.Seq != next || e.ID != event(int(next)).ID {
				t.Fatalf("Read(%d, %d): got %d, %v, want %d", span[0], span[1], e.Seq, err, next)
			}
			next++
		}
		if want := max(span[0], span[1]) + 1; next != want {
			t.Errorf("Read(%d, %d) ended before %d, want before %d", span[0], span[1], next, want)
		}
	}
	for e := range l.Read(t.Context(), 0, 9000) {
		if e.Seq == 3 {
			break
		}
	}
	// A reader leaves no consumer behind.
	wait(t, "the readers' consumers to be gone", func() bool {
		info, err := l.stream.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, last = range l.Read(ctx, 0, 9000) {
	}
	if last == nil {
		t.Error("Read under a cancelled context ended without an error")
	}
}

// Replay gives what Read gives, however much there is, and where the two part it is Read that says why.
func TestReplay(t *testing.T) {
	s := embedded(t)
	c := streamConfig(acme, 1, nil)
	c.DenyDelete = false // so that it can lose one
	stream, err := s.js.CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l := s.newLog(acme, stream)
	mustAppend(t, l, events(1, 5000), 0)
	big := events(5001, 5020) // more than a batch's bytes
	for i := range big {
		big[i].Body = bytes.Repeat([]byte("x"), 600<<10)
		mustAppend(t, l, big[i:i+1], domain.Seq(5000+i))
	}
	for _, span := range [][2]domain.Seq{{0, 0}, {0, 1}, {0, replayBatch}, {0, replayBatch + 1}, {3, 3 + 3*replayBatch}, {0, 5020}, {4500, 5019}} {
		next := span[0] + 1
		for e, err := range l.Replay(t.Context(), span[0], span[1]) {
			if err != nil || e.Seq != next || e.ID != "" && e.ID != event(int(next)).ID {
				t.Fatalf("Replay(%d, %d): got %d, %v, want %d", span[0], span[1], e.Seq, err, next)
			}
			if want := event(int(next)).Body; next <= 5000 && !bytes.Equal(e.Body, want) {
				t.Fatalf("event %d: got %q, want %q", next, e.Body, want)
			}
			next++
		}
		if want := span[1] + 1; next != want {
			t.Errorf("Replay(%d, %d) ended before %d", span[0], span[1], next)
		}
	}
	for e := range l.Replay(t.Context(), 0, 5000) {
		if e.Seq == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, last = range l.Replay(ctx, 0, 5000) {
		if n++; n == 700 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("cancelled on the way: ended with %v after %d events", last, n)
	}
	_, last = replayed(t, l, 5021)
	wantError(t, last, domain.Integrity, "log_truncated")

	if err := stream.DeleteMsg(t.Context(), 3000); err != nil {
		t.Fatal(err)
	}
	n, last = replayed(t, l, 5020)
	wantError(t, last, domain.Integrity, "log_gap")
	if n != 2999 {
		t.Errorf("before the gap came %d events", n)
	}
}

func replayed(t *testing.T, l *Log, upTo domain.Seq) (n int, last error) {
	for _, last = range l.Replay(t.Context(), 0, upTo) {
		if last == nil {
			n++
		}
	}
	return n, last
}

// follow collects what Follow gives until the test ends.
func follow(t *testing.T, l *Log, after domain.Seq) (seen func() []Entry, failed func() error) {
	var mu sync.Mutex
	var entries []Entry
	var failure error
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for e, err := range l.Follow(ctx, after) {
			mu.Lock()
			if err != nil {
				failure = err
			} else {
				entries = append(entries, e)
			}
			mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func() []Entry { mu.Lock(); defer mu.Unlock(); return entries },
		func() error { mu.Lock(); defer mu.Unlock(); return failure }
}

func wantFollowed(t *testing.T, seen []Entry, after, n int) {
	t.Helper()
	if len(seen) != n-after {
		t.Fatalf("followed %d events, want %d", len(seen), n-after)
	}
	for i, e := range seen {
		if want := after + i + 1; e.Seq != domain.Seq(want) || e.ID != event(want).ID {
			t.Fatalf("followed event %d is %d %s, want %d", i, e.Seq, e.ID, want)
		}
	}
}

func TestFollow(t *testing.T) {
	l := create(t, embedded(t))
	mustAppend(t, l, events(1, 10), 0)
	seen, failed := follow(t, l, 4)
	wait(t, "what was there", func() bool { return len(seen()) == 6 })
	mustAppend(t, l, events(11, 11), 10)
	mustAppend(t, l, events(12, 40), 11)
	wait(t, "what came", func() bool { return len(seen()) >= 36 })
	wantFollowed(t, seen(), 4, 40)
	if failed() != nil {
		t.Error(failed())
	}
}

func TestFollowSurvivesRestarts(t *testing.T) {
	r := startRemote(t)
	l := create(t, open(t, Options{URL: r.url()}))
	seen, failed := follow(t, l, 0)
	for round := range 3 {
		n := round*20 + 1
		wait(t, "the log to take events", func() bool { return l.Append(t.Context(), events(n, n+19), domain.Seq(n-1)) == nil })
		if round == 1 { // in the midst, or after
			wait(t, "them to be followed", func() bool { return len(seen()) == n+19 })
		}
		r.stop()
		r.start()
	}
	wait(t, "all to be followed", func() bool { return len(seen()) >= 60 || failed() != nil })
	if failed() != nil {
		t.Fatal(failed())
	}
	wantFollowed(t, seen(), 0, 60)
}

// Behind a follower's back the server's store is exchanged for one that holds something else.
func TestFollowRefusesAnotherLog(t *testing.T) {
	for name, exchange := range map[string]struct {
		code  string
		store func(t *testing.T, r *remote)
	}{
		"made anew": {"log_swapped", func(t *testing.T, r *remote) {
			other, err := Open(t.Context(), Options{Dir: r.dir})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			mustAppend(t, create(t, other), events(1, 10), 0)
		}},
		"gone": {"log_swapped", func(*testing.T, *remote) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRemote(t)
			l := create(t, open(t, Options{URL: r.url()}))
			mustAppend(t, l, events(1, 5), 0)
			seen, failed := follow(t, l, 0)
			wait(t, "the first events", func() bool { return len(seen()) == 5 })
			r.stop()
			if err := os.RemoveAll(r.dir); err != nil {
				t.Fatal(err)
			}
			exchange.store(t, r)
			r.start()
			wait(t, "the follower to stop", func() bool { return failed() != nil })
			wantError(t, failed(), domain.Integrity, exchange.code)
			wantFollowed(t, seen(), 0, 5)
		})
	}
}

// An older copy of the store comes back: the log is shorter than what was followed, or goes on differently.
func TestFollowRefusesAnOlderCopy(t *testing.T) {
	for _, c := range []struct {
		code string
		then []Record
	}{
		{"log_truncated", nil},
		{"log_forked", events(1001, 1010)},
	} {
		t.Run(c.code, func(t *testing.T) {
			r := startRemote(t)
			l := create(t, open(t, Options{URL: r.url()}))
			mustAppend(t, l, events(1, 5), 0)
			seen, failed := follow(t, l, 0)
			wait(t, "the first events", func() bool { return len(seen()) == 5 })
			r.stop()
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(r.dir)); err != nil {
				t.Fatal(err)
			}
			r.start()
			wait(t, "the log to take events", func() bool { return l.Append(t.Context(), events(6, 9), 5) == nil })
			wait(t, "them to be followed", func() bool { return len(seen()) == 9 })
			r.stop()
			r.dir = copied
			if c.then != nil {
				other := open(t, Options{Dir: copied})
				ol, err := other.Open(t.Context(), acme)
				if err != nil {
					t.Fatal(err)
				}
				mustAppend(t, ol, c.then, 5)
				if err := other.Close(); err != nil {
					t.Fatal(err)
				}
			}
			r.start()
			wait(t, "the follower to stop", func() bool { return failed() != nil })
			wantError(t, failed(), domain.Integrity, c.code)
			wantFollowed(t, seen(), 0, 9)
		})
	}
}
