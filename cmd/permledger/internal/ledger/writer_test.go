package ledger

// The writer under many callers at once: what it acknowledged is in the log once, what it refused contradicts what is
// there, and everybody reads their own writes.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// people opens n professionals p0…, n clients c0… and two teams, and gives every professional the therapist's role.
func people(t testing.TB, l *Ledger, n int) {
	t.Helper()
	cs := []domain.Command{opens("team:t0"), opens("team:t1")}
	for i := range n {
		cs = append(cs, opens(professional(i)), assigns(professional(i), "therapist"), opens(client(i)))
	}
	record1(t, l, cs...)
}

func professional(n int) domain.Account { return domain.Account(fmt.Sprintf("professional:p%d", n)) }
func client(n int) domain.Account       { return domain.Account(fmt.Sprintf("client:c%d", n)) }

// anything is one of the commands that people may be the object of, half of them refused at any moment.
func anything(r *rand.Rand, n int) domain.Command {
	p, c := professional(r.IntN(n)), client(r.IntN(n))
	team := domain.Account(fmt.Sprintf("team:t%d", r.IntN(2)))
	switch r.IntN(10) {
	case 0:
		return assigns(p, "therapist")
	case 1:
		return revokes(p, "therapist")
	case 2:
		return links(p, c)
	case 3:
		return unlinks(p, c)
	case 4:
		return links(team, c)
	case 5:
		return unlinks(team, c)
	case 6:
		return command(&domain.TeamJoin{Team: team, Member: p})
	case 7:
		return command(&domain.TeamLeave{Team: team, Member: p})
	case 8:
		return fails(p) // two events where it is the third
	default:
		return command(&domain.AccountUnlock{Principal: p})
	}
}

// tally collects what callers were told.
type tally struct {
	mu           sync.Mutex
	acknowledged []Recorded
	refused      []error
}

func (y *tally) add(r Recorded, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if err != nil {
		y.refused = append(y.refused, err)
		return
	}
	y.acknowledged = append(y.acknowledged, r)
}

// events counts the events that callers were told of.
func (y *tally) events() (n int) {
	for _, r := range y.acknowledged {
		n += len(r.Events)
	}
	return n
}

// rush runs the commands of many callers on the ledgers at once: each a seeded stream of single commands and of arrays.
func rush(t *testing.T, r *rand.Rand, callers, each, n int, of ...*Ledger) *tally {
	var y tally
	var wg sync.WaitGroup
	for i := range callers {
		mine, l := rand.New(rand.NewPCG(r.Uint64(), 0)), of[i%len(of)]
		wg.Go(func() {
			for j := range each {
				cs := []domain.Command{anything(mine, n)}
				switch mine.IntN(8) {
				case 0:
					cs = append(cs, anything(mine, n), anything(mine, n))
				case 1: // a therapist who opens a client is linked in the same commit
					cs[0] = by(professional(mine.IntN(n)), opens(domain.Account(fmt.Sprintf("client:of-%d-%d", i, j))))
				}
				y.add(l.Record(t.Context(), cs))
			}
		})
	}
	wg.Wait()
	for _, err := range y.refused {
		if !errors.Is(err, domain.Conflict) && !errors.Is(err, domain.NotPermitted) && !errors.Is(err, domain.RuleBroken) {
			t.Fatalf("a caller got %v, want it recorded or refused for what stands", err)
		}
	}
	return &y
}

func TestManyCallers(t *testing.T) {
	parallel(t)
	r := random(t)
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	people(t, l, 4)
	before := l.Head()
	y := rush(t, r, 16, rounds(60), 4, l)
	wantWhole(t, l, y.acknowledged)
	if got, want := l.Head(), before+domain.Seq(y.events()); got != want {
		t.Fatalf("the log ends at %d, want %d: what was acknowledged and nothing else", got, want)
	}
	if len(y.refused) == 0 {
		t.Fatal("nothing was refused: the test asks for nothing")
	}
	closeService(t, s)
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	l = ledgerOf(t, s)
	wantWhole(t, l, y.acknowledged)
}

// What is published before the one before it was answered names that one, and nothing else does.
func TestInFlightNamesTheOneBefore(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				record1(t, l, opens(domain.Account(fmt.Sprintf("client:%d-%d", i, j))))
			}
		})
	}
	wg.Wait()
	stream, err := l.s.store.JetStream().Stream(t.Context(), "PERMLEDGER_acme")
	if err != nil {
		t.Fatal(err)
	}
	var before string
	n := 0
	for seq := uint64(1); seq <= uint64(l.Head()); seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if named := msg.Header.Get(nats.ExpectedLastMsgIdHdr); named != "" {
			if n++; named != before {
				t.Fatalf("event %d names %s, and stands behind %s", seq, named, before)
			}
		}
		before = msg.Header.Get(nats.MsgIdHdr)
	}
	if n == 0 || n > 16*20-1 {
		t.Errorf("%d events name the one before", n)
	}
}

func TestOneOfManyWins(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, opens(anna))
	for i := range rounds(10) {
		var y tally
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				rec, err := l.Record(t.Context(), []domain.Command{assigns(anna, "therapist")})
				y.add(rec, err)
				// Whether it was this caller's or another's: now it stands, for everybody who asks.
				a, errAsk := l.Ask(0, Known{})
				if errAsk != nil {
					t.Error(errAsk)
					return
				}
				defer a.Close()
				if v, errFact := a.Fact(domain.Fact{Family: domain.FamilyRole, Subject: anna, Object: domain.RoleRef("therapist"), Name: "therapist"}); errFact != nil || !v.Holds(a.At) {
					t.Errorf("told %v, and the role does not stand at seq %d: %v", err, a.KnownAt(), errFact)
				}
			})
		}
		wg.Wait()
		if len(y.acknowledged) != 1 {
			t.Fatalf("round %d: %d callers assigned the role, want 1", i, len(y.acknowledged))
		}
		for _, err := range y.refused {
			wantError(t, err, domain.Conflict, "already_assigned", "therapist")
		}
		record1(t, l, revokes(anna, "therapist"))
	}
	wantWhole(t, l, nil)
}

func TestReadsItsOwnWrite(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	people(t, l, 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range rounds(100) {
				actor, about := boss, domain.Account(fmt.Sprintf("professional:of-%d-%d", i, j))
				if j%10 == 0 {
					actor, about = professional(0), domain.Account(fmt.Sprintf("client:of-%d-%d", i, j))
				}
				rec, err := l.Record(t.Context(), []domain.Command{by(actor, opens(about))})
				if err != nil {
					t.Error(err)
					return
				}
				a, err := l.Ask(0, Known{})
				if err != nil {
					t.Error(err)
					return
				}
				if last := rec.Events[len(rec.Events)-1].Seq; a.KnownAt() < rec.Seq || rec.Seq < last {
					t.Errorf("after opening %s as %d (told %d): at seq %d", about, last, rec.Seq, a.KnownAt())
				} else if err := a.Account("the one just opened", about); err != nil {
					t.Error(err)
				}
				if j%10 == 0 {
					d, err := domain.Evaluate(a, domain.Question{Subject: actor, Action: "view_record", Resource: domain.Resource(about)}, a.At)
					if err != nil || !d.Allowed {
						t.Errorf("after opening %s: its therapist may view: %v, %v", about, d.Allowed, err)
					}
				}
				a.Close()
			}
		})
	}
	wg.Wait()
}

func TestSeveralEventsInOneCommit(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, opens(anna), assigns(anna, "therapist"), opens(bob))

	t.Run("who opens a client is linked", func(t *testing.T) {
		r := record1(t, l, by(anna, opens("client:c1")))
		wantEvents(t, r, domain.AccountOpened, domain.CaseloadLinked)
		if got := whoNow(t, l, "view_record", "client:c1"); !slices.Equal(got, []string{string(anna)}) {
			t.Fatalf("who may view: got %v", got)
		}
	})
	t.Run("the third failure locks", func(t *testing.T) {
		wantEvents(t, record1(t, l, fails(bob)), domain.SigninFailed)
		wantEvents(t, record1(t, l, fails(bob)), domain.SigninFailed)
		wantEvents(t, record1(t, l, fails(bob)), domain.SigninFailed, domain.AccountLocked)
		wantEvents(t, record1(t, l, fails(bob)), domain.SigninFailed)
	})
	t.Run("behind others on their way", func(t *testing.T) {
		// A commit of several events waits for those before it; until then nobody may count it as there.
		var y tally
		var wg sync.WaitGroup
		before := l.Head()
		for i := range 8 {
			wg.Go(func() {
				for j := range rounds(12) {
					y.add(l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("professional:x-%d-%d", i, j)))}))
					y.add(l.Record(t.Context(), []domain.Command{by(anna, opens(domain.Account(fmt.Sprintf("client:x-%d-%d", i, j))))}))
				}
			})
		}
		wg.Wait()
		if len(y.refused) > 0 {
			t.Fatal(y.refused[0])
		}
		wantWhole(t, l, y.acknowledged)
		if got, want := l.Head(), before+domain.Seq(8*rounds(12)*3); got != want {
			t.Fatalf("the log ends at %d, want %d", got, want)
		}
	})
}

// wantEvents checks what was recorded: contiguous, and at one time.
func wantEvents(t *testing.T, r Recorded, types ...domain.EventType) {
	t.Helper()
	var got []domain.EventType
	for i, e := range r.Events {
		got = append(got, e.Type)
		if e.Seq != r.Events[0].Seq+domain.Seq(i) || e.RecordedAt != r.Events[0].RecordedAt {
			t.Fatalf("event %d is at %d, %s; the first at %d, %s", i, e.Seq, e.RecordedAt, r.Events[0].Seq, r.Events[0].RecordedAt)
		}
	}
	if !slices.Equal(got, types) {
		t.Fatalf("got %v, want %v", got, types)
	}
}

func TestArraysAreAllOrNothing(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	bad := []domain.Command{opens("client:never-1"), opens("client:never-2"), assigns(anna, "therapist"), opens("client:never-3")}

	head := l.Head()
	_, err := l.Record(t.Context(), bad)
	wantError(t, err, domain.Unknown, "unknown_account", "commands[2]: ")
	if got := l.Head(); got != head {
		t.Fatalf("after a refused array the head is %d, want %d", got, head)
	}
	record1(t, l, opens("client:never-1")) // nothing of it is left to stand in its way
	head++
	_, err = l.Record(t.Context(), nil)
	wantError(t, err, domain.Malformed, "no_command", "no command")

	var y tally
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range rounds(12) {
				if i%2 == 0 {
					if _, err := l.Record(t.Context(), bad); err == nil {
						t.Error("an array with a command that can't be recorded was recorded")
					}
					continue
				}
				y.add(l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("client:a-%d-%d", i, j))), opens(domain.Account(fmt.Sprintf("client:b-%d-%d", i, j)))}))
				y.add(l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("client:c-%d-%d", i, j)))}))
			}
		})
	}
	wg.Wait()
	if len(y.refused) > 0 {
		t.Fatal(y.refused[0])
	}
	wantWhole(t, l, y.acknowledged)
	if got, want := l.Head(), head+domain.Seq(4*rounds(12)*3); got != want {
		t.Fatalf("the head is %d, want %d", got, want)
	}
	for a := range opened(t, l) {
		if strings.HasPrefix(string(a), "client:never") && a != "client:never-1" {
			t.Fatalf("%s was recorded", a)
		}
	}
}

func TestTheSameIDAgain(t *testing.T) {
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	record1(t, l, opens(anna), assigns(anna, "therapist"), opens(bob))

	opening := because("moved here", withID("one", by(anna, opens("client:c1"))))
	first := record1(t, l, opening)
	wantEvents(t, first, domain.AccountOpened, domain.CaseloadLinked)
	same := func(what string, r Recorded) {
		t.Helper()
		if len(r.Events) != 2 || r.Events[0].ID != first.Events[0].ID || r.Events[1].ID != first.Events[1].ID || r.Events[0].Reason != "moved here" {
			t.Fatalf("%s: got %v, want %v again", what, r.Events, first.Events)
		}
	}
	head := l.Head()
	same("again", record1(t, l, opening))
	closeService(t, s)
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	l = ledgerOf(t, s)
	same("after reopening", record1(t, l, opening))
	if l.Head() != head {
		t.Fatalf("repeating recorded something: the head is %d, was %d", l.Head(), head)
	}

	for what, other := range map[string]domain.Command{
		"another client": withID("one", by(anna, opens("client:c2"))),
		"another actor":  because("moved here", withID("one", opens("client:c1"))),
		"another reason": because("born", opening),
		"another kind":   withID("one", assigns(bob, "therapist")),
	} {
		_, err := l.Record(t.Context(), []domain.Command{other})
		if err == nil {
			t.Fatalf("%s under the same id: recorded", what)
		}
		wantError(t, err, domain.Conflict, "id_used", `"one"`)
	}

	t.Run("a refusal does not use it up", func(t *testing.T) {
		c := withID("later", assigns("professional:carl", "therapist"))
		_, err := l.Record(t.Context(), []domain.Command{c})
		wantError(t, err, domain.Unknown, "unknown_account", "carl")
		record1(t, l, opens("professional:carl"))
		wantEvents(t, record1(t, l, c), domain.RoleAssigned)
	})
	t.Run("within an array", func(t *testing.T) {
		head := l.Head()
		c := withID("two", opens("client:c3"))
		r := record1(t, l, c, opens("client:c4"), c)
		if len(r.Events) != 3 || r.Events[0].ID != r.Events[2].ID || l.Head() != head+2 {
			t.Fatalf("got %v and head %d, want two events, the first of them given twice, and head %d", r.Events, l.Head(), head+2)
		}
		r = record1(t, l, c, opens("client:c5"))
		if len(r.Events) != 2 || r.Events[0].Seq != head+1 || l.Head() != head+3 {
			t.Fatalf("got %v and head %d, want event %d and a new one", r.Events, l.Head(), head+1)
		}
		_, err := l.Record(t.Context(), []domain.Command{withID("three", opens("client:c6")), withID("three", opens("client:c7"))})
		wantError(t, err, domain.Conflict, "id_used", "commands[1]: ")
		if l.Head() != head+3 {
			t.Fatalf("the head is %d, want %d", l.Head(), head+3)
		}
	})
	t.Run("by many at once", func(t *testing.T) {
		for i := range rounds(8) {
			head := l.Head()
			var y tally
			var wg sync.WaitGroup
			for j := range 16 {
				c := withID(fmt.Sprintf("many-%d", i), opens(domain.Account(fmt.Sprintf("client:m-%d-%d", i, j%2))))
				wg.Go(func() { y.add(l.Record(t.Context(), []domain.Command{c})) })
			}
			wg.Wait()
			if len(y.acknowledged) != 8 || l.Head() != head+1 {
				t.Fatalf("%d of 16 got an answer and the head went from %d to %d; want 8, those who asked for the same, and one event", len(y.acknowledged), head, l.Head())
			}
			for _, r := range y.acknowledged {
				if len(r.Events) != 1 || r.Events[0].Seq != head+1 {
					t.Fatalf("got %v, want event %d", r.Events, head+1)
				}
			}
			for _, err := range y.refused {
				wantError(t, err, domain.Conflict, "id_used", "many-")
			}
		}
	})
	wantWhole(t, l, nil)
}

// What another server recorded makes an event that is on its way fall. What was decided on that event is decided again.
func TestWhatARefusalRestsOnFalls(t *testing.T) {
	other := func(l *Ledger, c domain.Command) { // what another server does: decide on the log, and append
		head := l.Head()
		var e *domain.Event
		a := ask(t, l, 0, "")
		defer a.Close()
		evs, err := domain.Decide(a, c, l.Now()+1, func() domain.EventID { return l.s.newID(l.Now()) })
		if err != nil {
			t.Fatal(err)
		}
		e = evs[0]
		e.Org, e.Seq = acme, head+1
		if err := l.log.Append(t.Context(), []eventstore.Record{record(e, domain.AppendEvent(nil, e))}, head); err != nil {
			t.Fatal(err)
		}
	}
	for what, test := range map[string]struct {
		c    domain.Command
		wins int
	}{
		"by the very same":       {assigns(anna, "therapist"), 0},
		"by something else":      {opens("client:c9"), 1},
		"by what it did not see": {command(&domain.AccountDeactivation{Account: anna}), 1},
	} {
		t.Run(what, func(t *testing.T) {
			l := founding(t, Options{Data: t.TempDir()})
			record1(t, l, opens(anna))
			other(l, test.c)
			var y tally
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() { y.add(l.Record(t.Context(), []domain.Command{assigns(anna, "therapist")})) })
			}
			wg.Wait()
			if len(y.acknowledged) != test.wins {
				t.Fatalf("%d callers were told that they assigned the role, want %d; the others got %v", len(y.acknowledged), test.wins, y.refused[0])
			}
			for _, err := range y.refused {
				wantError(t, err, domain.Conflict, "already_assigned", "therapist")
			}
			wantWhole(t, l, y.acknowledged)
		})
	}
}

func TestTooLargeLeavesOthersAlone(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, opens(anna), assigns(anna, "therapist"))
	large := strings.Repeat("x", 2<<20)
	head := l.Head()
	for what, cs := range map[string][]domain.Command{
		"one event":     {because(large, opens("client:large"))},
		"two events":    {because(large, by(anna, opens("client:large")))},
		"in an array":   {opens("client:large-0"), because(large, opens("client:large")), opens("client:large-2")},
		"of its own id": {withID("large", because(large, opens("client:large")))},
	} {
		_, err := l.Record(t.Context(), cs)
		if err == nil || l.Head() != head {
			t.Fatalf("%s: got %v and head %d, want an error and head %d", what, err, l.Head(), head)
		}
		wantError(t, err, domain.Malformed, "event_too_large", "bytes")
	}
	var y tally
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range rounds(10) {
				if i == 0 {
					if _, err := l.Record(t.Context(), []domain.Command{because(large, opens("client:large"))}); !errors.Is(err, domain.Malformed) {
						t.Errorf("the large one got %v", err)
					}
					continue
				}
				y.add(l.Record(t.Context(), []domain.Command{opens(domain.Account(fmt.Sprintf("client:s-%d-%d", i, j)))}))
			}
		})
	}
	wg.Wait()
	if len(y.refused) > 0 {
		t.Fatalf("another got %v", y.refused[0])
	}
	wantWhole(t, l, y.acknowledged)
	if got, want := l.Head(), head+domain.Seq(7*rounds(10)); got != want {
		t.Fatalf("the head is %d, want %d", got, want)
	}
}

func TestTooManyEvents(t *testing.T) {
	r := startRemote(t) // whose limit is 1,000; an embedded one takes ten times as many
	l := founding(t, r.options())
	head := l.Head()
	var cs []domain.Command
	for i := range 1001 {
		cs = append(cs, opens(client(i)))
	}
	_, err := l.Record(t.Context(), cs)
	wantError(t, err, domain.Malformed, "too_many_events", "send fewer")
	if got := l.Head(); got != head {
		t.Fatalf("the head is %d, want %d", got, head)
	}
	record1(t, l, cs[:1000]...)
	wantWhole(t, l, nil)
}

func TestStopWithCommandsInFlight(t *testing.T) {
	for round := range rounds(3) {
		data := t.TempDir()
		s := openService(t, Options{Data: data, Create: true})
		l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
		if err != nil {
			t.Fatal(err)
		}
		var y tally
		var wg sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		var asked sync.Map
		for i := range 32 {
			wg.Go(func() {
				for j := 0; ; j++ {
					if i == 0 && j == 6*(round+1) {
						once.Do(func() { close(enough) })
					}
					a := domain.Account(fmt.Sprintf("client:%d-%d", i, j))
					rec, err := l.Record(t.Context(), []domain.Command{opens(a)})
					y.add(rec, err)
					if err != nil {
						asked.Store(a, err)
						once.Do(func() { close(enough) })
						return
					}
				}
			})
		}
		<-enough
		closeService(t, s)
		wg.Wait()
		if len(y.refused) != 32 {
			t.Fatalf("%d callers got an error, want all 32", len(y.refused))
		}
		for _, err := range y.refused {
			wantError(t, err, domain.Unavailable, "stopping", "nothing was recorded")
		}
		s = openService(t, Options{Data: data})
		l = ledgerOf(t, s)
		wantWhole(t, l, y.acknowledged)
		there := opened(t, l)
		asked.Range(func(a, err any) bool {
			if there[a.(domain.Account)] != 0 {
				t.Errorf("%s is in the log, and its caller was told %v", a, err)
			}
			return true
		})
		if got, want := l.Head(), domain.Seq(founded+y.events()); got != want {
			t.Errorf("the head is %d, want %d", got, want)
		}
		closeService(t, s)
	}
}
