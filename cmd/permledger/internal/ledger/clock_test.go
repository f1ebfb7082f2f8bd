package ledger

// The clock, on a time that stands still until the test moves it: what is due is noticed once, in order and not before,
// through revocations, corrections, restarts, kills and other servers.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// begin is when the tests' time begins; at gives the moment so many seconds later.
var begin = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func at(seconds int) domain.Instant {
	return domain.InstantOf(begin.Add(time.Duration(seconds) * time.Second))
}

// A stopped is a time that stands still, and the timers that run on it.
type stopped struct {
	mu     sync.Mutex
	now    time.Time
	timers map[chan time.Time]time.Time
}

func newStopped() *stopped { return &stopped{now: begin, timers: make(map[chan time.Time]time.Time)} }

func (s *stopped) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stopped) after(d time.Duration) <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan time.Time, 1)
	s.timers[c] = s.now.Add(d)
	return c
}

// move sets the time, and lets the timers go off that it passes.
func (s *stopped) move(seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = begin.Add(time.Duration(seconds) * time.Second)
	for c, when := range s.timers {
		if !when.After(s.now) {
			c <- when
			delete(s.timers, c)
		}
	}
}

// timer waits until a timer is set to the moment, but for the nanosecond by which each commit is later than the last.
func (s *stopped) timer(t *testing.T, seconds int) {
	t.Helper()
	want := begin.Add(time.Duration(seconds) * time.Second)
	wait(t, fmt.Sprintf("a timer for second %d", seconds), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, when := range s.timers {
			if d := want.Sub(when); 0 <= d && d < time.Microsecond {
				return true
			}
		}
		return false
	})
}

// timed gives options for a service that keeps time by s.
func timed(o Options, s *stopped) Options {
	o.Clock, o.Now, o.after = true, s.time, s.after
	return o
}

// noticed gives the notices in the log, as "10 ended": of the event 10.
func noticed(t testing.TB, l *Ledger) (list []string) {
	t.Helper()
	for _, e := range events(t, l) {
		switch d := e.Data.(type) {
		case *domain.ValidityStart:
			list = append(list, fmt.Sprint(d.Of, " started"))
		case *domain.ValidityEnd:
			list = append(list, fmt.Sprint(d.Of, " ended"))
		default:
			continue
		}
		if e.Actor != domain.ClockActor || e.Source != domain.ClockSource || e.Reason != "" {
			t.Errorf("event %d is by %s from %s because of %q, want it by the clock", e.Seq, e.Actor, e.Source, e.Reason)
		}
	}
	return list
}

// wantNoticed waits until as many notices are there, and checks which.
func wantNoticed(t testing.TB, l *Ledger, want ...string) {
	t.Helper()
	wait(t, fmt.Sprintf("%d notices", len(want)), func() bool { return len(noticed(t, l)) >= len(want) })
	if got := noticed(t, l); !slices.Equal(got, want) {
		t.Fatalf("noticed: got %v, want %v", got, want)
	}
}

// dated assigns the therapist's role for a while; 0 is no bound.
func dated(a domain.Account, from, until int) domain.Command {
	d := &domain.RoleAssignment{Principal: a, Role: "therapist"}
	if from != 0 {
		d.From = at(from)
	}
	if until != 0 {
		d.Until = at(until)
	}
	return command(d)
}

func corrects(seq domain.Seq, until int) domain.Command {
	return because("a slip", command(&domain.Correction{Corrects: seq, Until: at(until)}))
}

// seqOf records one command and gives the seq of its event.
func seqOf(t *testing.T, l *Ledger, c domain.Command) domain.Seq {
	t.Helper()
	return record1(t, l, c).Events[0].Seq
}

func TestNoticedWhenItIs(t *testing.T) {
	now := newStopped()
	l := founding(t, timed(Options{Data: t.TempDir()}, now))
	record1(t, l, opens(anna), opens(bob))
	of := seqOf(t, l, dated(anna, 10, 20))
	now.timer(t, 10)
	now.move(9)
	before := seqOf(t, l, dated(bob, 0, 15)) // later than what is waited for
	wantNoticed(t, l)
	now.move(10)
	wantNoticed(t, l, fmt.Sprint(of, " started"))
	now.timer(t, 15)
	now.move(15)
	wantNoticed(t, l, fmt.Sprint(of, " started"), fmt.Sprint(before, " ended"))
	now.timer(t, 20)
	now.move(20)
	wantNoticed(t, l, fmt.Sprint(of, " started"), fmt.Sprint(before, " ended"), fmt.Sprint(of, " ended"))
	for _, e := range events(t, l) {
		if d, ok := e.Data.(*domain.ValidityStart); ok && (e.RecordedAt < at(10) || e.RecordedAt > at(11)) {
			t.Errorf("that event %d began was noticed at %s, want it within a second of %s", d.Of, e.RecordedAt, at(10))
		}
	}
}

func TestNoticedEarlierThanWaitedFor(t *testing.T) {
	now := newStopped()
	l := founding(t, timed(Options{Data: t.TempDir()}, now))
	record1(t, l, opens(anna), opens(bob))
	seqOf(t, l, dated(anna, 0, 50))
	now.timer(t, 50)
	sooner := seqOf(t, l, dated(bob, 0, 10))
	now.timer(t, 10)
	now.move(10)
	wantNoticed(t, l, fmt.Sprint(sooner, " ended"))
}

// What is an hour away is waited for a minute at a time: the machine's time may be set.
func TestTheTimeIsSet(t *testing.T) {
	now := newStopped()
	l := founding(t, timed(Options{Data: t.TempDir()}, now))
	record1(t, l, opens(anna))
	of := seqOf(t, l, dated(anna, 0, 3600))
	now.timer(t, 60)
	now.move(3600)
	wantNoticed(t, l, fmt.Sprint(of, " ended"))
}

func TestNotNoticedWhatDidNotHappen(t *testing.T) {
	now := newStopped()
	l := founding(t, timed(Options{Data: t.TempDir()}, now))
	record1(t, l, opens(anna), opens(bob), opens("professional:cas"))
	of := seqOf(t, l, dated(anna, 5, 10))
	never := seqOf(t, l, dated(bob, 5, 10))
	longer := seqOf(t, l, dated("professional:cas", 0, 10))
	record1(t, l, revokes(bob, "therapist"))
	record1(t, l, corrects(longer, 30))
	now.timer(t, 5)
	now.move(5)
	wantNoticed(t, l, fmt.Sprint(of, " started"))
	record1(t, l, revokes(anna, "therapist"))
	now.timer(t, 10)
	now.move(20) // of what was waited for nothing is left
	now.timer(t, 30)
	wantNoticed(t, l, fmt.Sprint(of, " started"))
	now.move(30)
	wantNoticed(t, l, fmt.Sprint(of, " started"), fmt.Sprint(longer, " ended"))
	if slices.Contains(noticed(t, l), fmt.Sprint(never, " started")) {
		t.Errorf("event %d was revoked before it began, and its beginning noticed", never)
	}
	// Noticed once does not mean noticed for good.
	record1(t, l, corrects(longer, 40))
	now.timer(t, 40)
	now.move(40)
	wantNoticed(t, l, fmt.Sprint(of, " started"), fmt.Sprint(longer, " ended"), fmt.Sprint(longer, " ended"))
}

// expiring is a history with so many accesses that end at second 30, and what a clock is to notice of it.
func expiring(n int) (history string, want []string) {
	s := staff()
	for i := range n {
		seq := s.line("access.granted", object{"grant": fmt.Sprint("g", i), "principal": "professional:anna", "client": "client:c1", "profile": "emergency", "until": at(30).String()},
			object{"reason": "why", "at": begin.Format(time.RFC3339Nano)})
		want = append(want, fmt.Sprint(seq, " ended"))
	}
	return s.String(), want
}

func TestThousandsAtOnce(t *testing.T) {
	t.Parallel()
	history, want := expiring(2500)
	now := newStopped()
	s := openService(t, timed(Options{Data: imports(t, strings.NewReader(history))}, now))
	defer closeService(t, s)
	l := ledgerOf(t, s)
	now.timer(t, 30)
	var y tally
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		wg.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
					y.add(l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("client:%d-%d", i, j)))}))
				}
			}
		})
	}
	now.move(30)
	wait(t, "nothing to be due", func() bool {
		_, some, err := l.p.NextDue()
		return err == nil && !some
	})
	close(stop)
	wg.Wait()
	if len(y.refused) > 0 {
		t.Fatalf("while thousands were noticed a command was refused: %v", y.refused[0])
	}
	wantNoticed(t, l, want...)
	run, longest := 0, 0
	for _, e := range events(t, l) {
		if run++; e.Actor != domain.ClockActor {
			run = 0
		}
		longest = max(longest, run)
	}
	if t.Logf("at most %d notices with no command between them", longest); longest == len(want) {
		t.Errorf("no command had its turn between %d notices, with four callers waiting", longest)
	}
	wantWhole(t, l, y.acknowledged)
}

// Who opens a ledger without a clock records nothing; what the clock slept through it catches up with, in order.
func TestSleptThrough(t *testing.T) {
	t.Parallel()
	now := newStopped()
	data := t.TempDir()
	o := timed(Options{Data: data}, now)
	var want []string
	func() {
		o := o
		o.Clock, o.Create = false, true
		s := openService(t, o)
		defer closeService(t, s)
		l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 250 {
			record1(t, l, opens(professional(i)), dated(professional(i), 40+i, 1000-i))
		}
		now.move(300)
		record1(t, l, opens(anna))
		wantNoticed(t, l)
		for i := range 250 {
			want = append(want, fmt.Sprint(founded+2*i+2, " started"))
		}
	}()
	s := openService(t, o)
	wantNoticed(t, ledgerOf(t, s), want...)
	closeService(t, s)

	now.move(2000)
	for i := range 250 {
		want = append(want, fmt.Sprint(founded+2*(249-i)+2, " ended"))
	}
	for range 2 { // and not again
		s = openService(t, o)
		wantNoticed(t, ledgerOf(t, s), want...)
		closeService(t, s)
	}
}

func TestTwoClocks(t *testing.T) {
	t.Parallel()
	r := startRemote(t)
	now := newStopped()
	a := founding(t, timed(r.options(), now))
	s := openService(t, timed(r.options(), now))
	closed := false
	defer func() {
		if !closed {
			closeService(t, s)
		}
	}()
	b := ledgerOf(t, s)
	var want []string
	people(t, a, 1)
	record1(t, a, assigns(boss, "therapist"))
	grant := func(l *Ledger, from, until int) (of []domain.Seq) {
		var cs []domain.Command
		for range 100 {
			cs = append(cs, because("why", command(&domain.AccessGrant{Principal: boss, Client: client(0), Profile: "emergency", From: at(from), Until: at(until)})))
		}
		for _, e := range record1(t, l, cs...).Events {
			of = append(of, e.Seq)
		}
		return of
	}
	for _, round := range []int{0, 1, 2} {
		begun := 100 * (round + 1)
		var of []domain.Seq
		for _, l := range []*Ledger{a, b} {
			of = append(of, grant(l, begun, begun+50)...)
		}
		level(t, a, b)
		for _, seq := range of {
			want = append(want, fmt.Sprint(seq, " started"))
		}
		now.move(begun)
		wantNoticed(t, a, want...)
		for _, seq := range of {
			want = append(want, fmt.Sprint(seq, " ended"))
		}
		now.move(begun + 50)
		wantNoticed(t, a, want...)
		level(t, a, b)
		if round == 1 { // the other goes on alone
			closeService(t, s)
			closed, b = true, a
		}
	}
	wantWhole(t, a, nil)
	if got := noticed(t, a); !slices.Equal(got, want) {
		t.Fatalf("noticed: got %v, want each once", got)
	}
}

// While the log can't be reached nothing is noticed and nothing stops; then everything is.
func TestTheClockTriesAgain(t *testing.T) {
	t.Parallel() // it mostly waits until the service gives up on the server
	r := startRemote(t)
	o := r.options()
	o.Clock = true
	var failed sync.Once
	told := make(chan struct{})
	o.Logger = slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		if strings.Contains(string(line), "can't be noticed now") {
			failed.Do(func() { close(told) })
		}
		return len(line), nil
	}), nil))
	l := founding(t, o)
	record1(t, l, opens(anna))
	of := seqOf(t, l, command(&domain.RoleAssignment{Principal: anna, Role: "therapist", Until: l.Now().Add(3 * time.Second)}))
	r.stop()
	<-told
	r.start()
	wait(t, "nothing to be due", func() bool {
		if err := l.sound(); err != nil {
			t.Fatalf("the ledger stopped for good: %v", err)
		}
		_, some, err := l.p.NextDue()
		return err == nil && !some
	})
	wantNoticed(t, l, fmt.Sprint(of, " ended"))
}

// What can't be trusted stops the ledger, not only its clock.
func TestTheClockFindsDamage(t *testing.T) {
	data := t.TempDir()
	during(t, data, func(l *Ledger) { record1(t, l, opens(anna)) })
	onDisk(t, data, func(db *pebble.DB) {
		if err := db.Set([]byte("acme\x00w0123456789abcdef"), []byte("?"), pebble.Sync); err != nil { // a due, but of no kind
			t.Fatal(err)
		}
	})
	s := openService(t, Options{Data: data, Clock: true})
	defer closeService(t, s)
	l, err := s.ledger(t.Context(), acme) // the clock may be quicker than we are
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the clock to notice", func() bool { return l.sound() != nil })
	wantSilent(t, l, "projections_damaged")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestTryAfter(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: tryFirst, 2: 2 * tryFirst, 3: 4 * tryFirst, 8: tryLast, 1000: tryLast} {
		for range 100 {
			if got := tryAfter(failures); got > want || got <= want/2 {
				t.Fatalf("after %d failures: got %s, want more than half of %s and no more than that", failures, got, want)
			}
		}
	}
}

// keptBy is the child's round in which it only keeps time, and prints how far the log is.
const keptBy = "clock"

func keepTimeIn(data string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Data: data, Clock: true})
	if err != nil {
		return err
	}
	l, err := s.Ledger(ctx, acme)
	if err != nil {
		return err
	}
	for before := domain.Seq(0); ; time.Sleep(time.Millisecond) {
		if head := l.Head(); head != before {
			before = head
			fmt.Println(head)
		}
	}
}

func TestKilledBetweenNotices(t *testing.T) {
	t.Parallel()
	r := random(t)
	history, want := expiring(1600) // the three may notice 1500 of them
	data := imports(t, strings.NewReader(history))
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childData+"="+data, childRound+"="+keptBy)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 1 + r.IntN(5); n > 0 && lines.Scan(); n-- {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended with %v", err)
		}
	}
	s := openService(t, Options{Data: data})
	t.Logf("killed three times, %d noticed of %d", len(noticed(t, ledgerOf(t, s))), len(want))
	closeService(t, s)
	s = openService(t, Options{Data: data, Clock: true})
	defer closeService(t, s)
	wantNoticed(t, ledgerOf(t, s), want...)
}
