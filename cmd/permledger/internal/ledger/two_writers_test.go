package ledger

// Two services on one NATS server, both taking commands for one ledger, and it stays as exact as with one.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/permledger/permledger/domain"
)

// two gives acme's ledger as two services on the server have it.
func two(t *testing.T, r *remote) (a, b *Ledger) {
	a = founding(t, r.options())
	s := openService(t, r.options())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return a, ledgerOf(t, s)
}

// level waits until the ledgers have heard of everything that is in the log.
func level(t *testing.T, ledgers ...*Ledger) {
	t.Helper()
	var head domain.Seq
	wait(t, "the log to answer", func() (ok bool) { // a connection may still be on its way back
		var err error
		if head, err = ledgers[0].log.Head(t.Context()); err != nil && !isFailure(err, domain.Unavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	for i, l := range ledgers {
		wait(t, fmt.Sprintf("service %d to be at event %d", i, head), func() bool {
			if err := l.sound(); err != nil {
				t.Fatalf("service %d stopped: %v", i, err)
			}
			return l.Head() == head
		})
	}
}

func TestTwoWriters(t *testing.T) {
	parallel(t)
	r := random(t)
	a, b := two(t, startRemote(t))
	people(t, a, 3)
	before := a.Head()
	y := rush(t, r, 12, rounds(25), 3, a, b)
	level(t, a, b)
	for _, l := range []*Ledger{a, b} {
		wantWhole(t, l, y.acknowledged)
		if got, want := l.Head(), before+domain.Seq(y.events()); got != want {
			t.Fatalf("the log ends at %d, want %d: what was acknowledged and nothing else", got, want)
		}
	}
}

func TestTwoWritersOneWins(t *testing.T) {
	parallel(t)
	a, b := two(t, startRemote(t))
	record1(t, a, opens(anna))
	for i := range rounds(8) {
		var y tally
		var wg sync.WaitGroup
		for j := range 12 {
			l := []*Ledger{a, b}[j%2]
			wg.Go(func() { y.add(l.Record(t.Context(), []domain.Command{assigns(anna, "therapist")})) })
		}
		wg.Wait()
		if len(y.acknowledged) != 1 {
			t.Fatalf("round %d: %d callers assigned the role, want 1", i, len(y.acknowledged))
		}
		for _, err := range y.refused {
			wantError(t, err, domain.Conflict, "already_assigned", "therapist")
		}
		record1(t, []*Ledger{a, b}[i%2], revokes(anna, "therapist"))
	}
	level(t, a, b)
	wantWhole(t, b, nil)
}

func TestEachSeesTheOther(t *testing.T) {
	parallel(t)
	a, b := two(t, startRemote(t))
	record1(t, a, opens(anna))
	for i := range rounds(30) {
		// Both write, so that what each hears of the other may come while it waits for its own.
		from, to := a, b
		if i%2 == 0 {
			from, to = b, a
		}
		name := client(i)
		var wg sync.WaitGroup
		wg.Go(func() { record1(t, to, opens(domain.Account(fmt.Sprintf("team:%d", i)))) })
		record1(t, from, opens(name))
		wg.Wait()
		wait(t, fmt.Sprintf("%s to be seen by the other (round %d)", name, i), func() bool {
			asked := ask(t, to, 0, "")
			defer asked.Close()
			return asked.Account("client", name) == nil
		})
		level(t, a, b)
	}
}

func TestOneID(t *testing.T) {
	a, b := two(t, startRemote(t))
	for i := range rounds(8) {
		c := withID(fmt.Sprint("id-", i), opens(client(i)))
		var y tally
		var wg sync.WaitGroup
		for j := range 8 {
			l := []*Ledger{a, b}[j%2]
			wg.Go(func() { y.add(l.Record(t.Context(), []domain.Command{c})) })
		}
		wg.Wait()
		if len(y.refused) > 0 {
			t.Fatal(y.refused[0])
		}
		for _, r := range y.acknowledged {
			if len(r.Events) != 1 || r.Events[0].ID != y.acknowledged[0].Events[0].ID || r.Events[0].Seq != y.acknowledged[0].Events[0].Seq {
				t.Fatalf("round %d: got %v and %v, want one event", i, r.Events, y.acknowledged[0].Events)
			}
		}
	}
	level(t, a, b)
	wantWhole(t, a, nil)
	if n := opened(t, b)[client(0)]; n != 1 {
		t.Fatalf("%s was opened %d times", client(0), n)
	}
}

func TestOneIsRestarted(t *testing.T) {
	r := startRemote(t)
	a := founding(t, r.options())
	o := r.options()
	s := openService(t, o)
	b := ledgerOf(t, s)

	var y tally
	var wg sync.WaitGroup
	half, stop := make(chan struct{}), make(chan struct{})
	var once sync.Once
	reached := func() { once.Do(func() { close(half) }) }
	for i := range 8 {
		wg.Go(func() {
			defer reached() // also where it was turned away before: the test then says so
			l, end := a, (<-chan struct{})(stop)
			if i%2 == 1 {
				l, end = b, nil // until it is turned away
			}
			for j := 0; ; j++ {
				if i == 0 && j == 8 {
					reached()
				}
				select {
				case <-end:
					return
				default:
				}
				rec, err := l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("client:%d-%d", i, j)))})
				y.add(rec, err)
				if err != nil {
					return
				}
			}
		})
	}
	<-half
	closeService(t, s)
	s = openService(t, o)
	defer closeService(t, s)
	b = ledgerOf(t, s)
	rec, err := b.Record(t.Context(), []domain.Command{opens("client:after")})
	y.add(rec, err)
	close(stop)
	wg.Wait()
	if len(y.refused) != 4 {
		t.Fatalf("got %v, want an error for the four callers of the restarted service and nobody else", y.refused)
	}
	for _, err := range y.refused {
		wantError(t, err, domain.Unavailable, "stopping", "nothing was recorded")
	}
	level(t, a, b)
	wantWhole(t, a, y.acknowledged)
	wantWhole(t, b, y.acknowledged)
	if got, want := b.Head(), domain.Seq(founded+y.events()); got != want {
		t.Fatalf("the log ends at %d, want %d", got, want)
	}
}

// While the server is away callers are turned away, and told so truly; when it is back, everything goes on by itself.
func TestTheServerIsRestarted(t *testing.T) {
	t.Parallel() // it mostly waits until the services give up on the server
	r := startRemote(t)
	a, b := two(t, r)

	var y tally
	var mu sync.Mutex
	away := make(map[domain.Account]error) // what callers were told who were turned away
	var wg sync.WaitGroup
	half, turned, stop := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	for i := range 8 {
		l := []*Ledger{a, b}[i%2]
		wg.Go(func() {
			for j := 0; ; j++ {
				if i == 0 && j == 8 {
					close(half)
				}
				select {
				case <-stop:
					return
				default:
				}
				name := domain.Account(fmt.Sprintf("client:%d-%d", i, j))
				rec, err := l.Record(t.Context(), []domain.Command{opens(name)})
				if err == nil {
					y.add(rec, nil)
					continue
				}
				if !errors.Is(err, domain.Unavailable) {
					t.Errorf("while the server was away: got %v, want Unavailable", err)
				}
				mu.Lock()
				away[name] = err
				mu.Unlock()
				once.Do(func() { close(turned) })
			}
		})
	}
	<-half
	r.stop()
	<-turned
	r.start()
	for _, l := range []*Ledger{a, b} {
		n := 0
		wait(t, "the service to take commands again", func() bool {
			n++
			rec, err := l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("team:%p-%d", l, n)))})
			if err == nil {
				y.add(rec, nil)
			}
			if serr := l.sound(); serr != nil {
				t.Fatalf("the service stopped for good: %v", serr)
			}
			return err == nil
		})
	}
	close(stop)
	wg.Wait()
	level(t, a, b)
	wantWhole(t, a, y.acknowledged)
	wantWhole(t, b, y.acknowledged)
	there := opened(t, a)
	for name, err := range away {
		if there[name] != 0 && strings.Contains(err.Error(), "nothing was recorded") {
			t.Errorf("%s is in the log, and its caller was told %q", name, err)
		}
	}
	t.Logf("%d acknowledged, %d turned away", len(y.acknowledged), len(away))
	if got := whoNow(t, a, "view_record", "client:0-0"); !slices.Equal(got, []string{}) {
		t.Fatalf("who may view: got %v, want nobody", got)
	}
}

// A caller's second command rests on its first, which is still on its way when another server writes. The log must not
// take the second in the place that the other's event gave it.
func TestWhatFollowsWhatFell(t *testing.T) {
	parallel(t)
	a, b := two(t, startRemote(t))
	record1(t, a, opens(anna))
	for i := range rounds(40) {
		first := &job{commands: []domain.Command{assigns(anna, "therapist")}, done: make(chan struct{})}
		second := &job{commands: []domain.Command{revokes(anna, "therapist")}, done: make(chan struct{})}
		var wg sync.WaitGroup
		wg.Go(func() { record1(t, b, opens(client(i))) })
		a.w.jobs <- first
		a.w.jobs <- second
		<-first.done
		<-second.done
		wg.Wait()
		if first.err != nil || second.err != nil {
			t.Fatalf("round %d: assigning and then revoking got %v and %v", i, first.err, second.err)
		}
	}
	level(t, a, b)
	wantWhole(t, a, nil)
	wantWhole(t, b, nil)
}
