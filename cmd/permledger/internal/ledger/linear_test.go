package ledger

// Is one ledger, to all who use it at once through two services, a single thing that changes at one moment at a time? This
// file owns the model of what is promised, and has porcupine look for an order of everything that callers saw which the
// model allows. The network between the services and the log loses answers, says things twice and is late (wire_test.go).
//
// The model, of one principal's role (each is checked by itself, since no command here is about two):
//
//   - Commands are linearizable, whichever service takes them: each takes effect at one moment between its call and its
//     answer. Assigning what is assigned, and revoking what is not, is refused, and a refusal is true at one such
//     moment as well. A command whose outcome its caller was not told takes effect at one moment after its call, or never.
//   - A question sees everything that its service had answered to anybody, and whatever a service has once
//     shown it goes on showing. It may see less than another service has answered: services may lag behind one another.
//
// So a state is how often the role has changed (it is assigned after an odd number), and for each service the number of
// changes that it must show at least. A question takes the fewest changes that agree with its answer: whatever comes
// after is then allowed with that, if it is with more. That a command was answered, which obliges its service, is an
// operation of its own, since it comes after the moment of effect: until then the service may show the state before.

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/permledger/permledger/domain"
)

// An act is what a caller did to one principal's role, or asked about it, and through which service.
type act struct {
	principal int
	service   int
	what      string // assign, revoke, answered, ask
	command   int    // of assign, revoke and answered: which
}

// What a caller was told.
const (
	done    = "done"
	refused = "refused" // for what stands
	untold  = "untold"  // the outcome is not known
	yes     = "yes"
	no      = "no"
)

// standing is a state of the model.
type standing struct {
	changes int
	shown   [2]int    // by each service, at least
	pending []changed // what took effect and was not answered yet, by command
}

type changed struct{ command, at int }

// next gives the states in which an act that was told so may leave a ledger.
func (s standing) next(a act, told string) []standing {
	assigned := s.changes%2 == 1
	s.pending = slices.Clone(s.pending)
	switch a.what {
	case "ask":
		if s.shown[a.service]%2 == 1 != (told == yes) {
			s.shown[a.service]++
		}
		if s.shown[a.service] > s.changes {
			return nil
		}
		return []standing{s}
	case "answered":
		i := slices.IndexFunc(s.pending, func(c changed) bool { return c.command == a.command })
		if i < 0 {
			return nil
		}
		s.shown[a.service] = max(s.shown[a.service], s.pending[i].at)
		s.pending = slices.Delete(s.pending, i, i+1)
		return []standing{s}
	}
	can := (a.what == "assign") != assigned
	if told == refused {
		if can {
			return nil
		}
		return []standing{s.with(a)}
	}
	after := s
	after.changes++
	switch {
	case told == done && can:
		return []standing{after.with(a)}
	case told == untold && can:
		return []standing{s, after}
	case told == untold:
		return []standing{s}
	}
	return nil
}

// with adds that a command has an outcome, which waits for its answer.
func (s standing) with(a act) standing {
	s.pending = append(s.pending, changed{a.command, s.changes})
	slices.SortFunc(s.pending, func(a, b changed) int { return a.command - b.command })
	return s
}

// rolesModel is the model as porcupine takes it.
func rolesModel() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			var parts [][]porcupine.Operation
			for _, o := range history {
				p := o.Input.(act).principal
				for len(parts) <= p {
					parts = append(parts, nil)
				}
				parts[p] = append(parts[p], o)
			}
			return parts
		},
		Init: func() []any { return []any{standing{}} },
		Step: func(state, input, output any) (states []any) {
			for _, s := range state.(standing).next(input.(act), output.(string)) {
				states = append(states, s)
			}
			return states
		},
		Equal: func(a, b any) bool {
			x, y := a.(standing), b.(standing)
			return x.changes == y.changes && x.shown == y.shown && slices.Equal(x.pending, y.pending)
		},
	}).ToModel()
}

// a story is what callers did, in the order in which it ended.
type story struct {
	clock atomic.Int64 // each reading is a moment of its own
	mu    sync.Mutex
	acts  []porcupine.Operation
}

// add adds an act that began at a moment and ends now, or that nobody can tell the end of.
func (s *story) add(a act, began int64, told string) {
	ended := int64(math.MaxInt64)
	if told != untold {
		ended = s.clock.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts = append(s.acts, porcupine.Operation{Input: a, Call: began, Output: told, Return: ended})
}

func (s *story) wantLinear(t *testing.T) {
	t.Helper()
	switch got := porcupine.CheckOperationsTimeout(rolesModel(), s.acts, 2*time.Minute); got {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Fatal("no order was found in time, nor that there is none")
	default:
		slices.SortFunc(s.acts, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, o := range s.acts {
			t.Logf("%d to %d: %+v: %v", o.Call, o.Return, o.Input, o.Output)
		}
		t.Fatal("there is no order of these acts that the model allows")
	}
}

func TestLinearizable(t *testing.T) {
	t.Parallel() // it mostly waits for answers that never come
	r := random(t)
	remote := startRemote(t)
	const principals, callers = 3, 8
	o := remote.options()
	a := founding(t, o)
	for p := range principals {
		record1(t, a, opens(professional(p)))
	}
	record1(t, a, opens("client:c"))
	wires := []*wire{startWire(t, r, remote), startWire(t, r, remote)}
	var of [2]*Ledger
	for i, l := range wires {
		o := remote.options()
		o.NATS.URL = l.url()
		s := openService(t, o)
		defer closeService(t, s)
		of[i] = ledgerOf(t, s)
	}
	var s story
	var commands atomic.Int64
	var group sync.WaitGroup
	for i := range callers {
		mine, service := rand.New(rand.NewPCG(r.Uint64(), 0)), i%2
		l := of[service]
		group.Go(func() {
			for range rounds(40) {
				a := act{principal: mine.IntN(principals), service: service, what: pick(mine, []string{"assign", "revoke", "ask", "ask"})}
				began := s.clock.Add(1)
				if a.what == "ask" {
					told, err := may(l, a.principal)
					if err != nil {
						t.Error(err)
						return
					}
					s.add(a, began, told)
					continue
				}
				a.command = int(commands.Add(1))
				told, err := attempt(l, a)
				if err != nil {
					t.Error(err)
					return
				}
				s.add(a, began, told)
				if told != untold {
					a.what = "answered"
					s.add(a, s.clock.Add(1), done)
				}
			}
		})
	}
	rough := make(chan struct{})
	for _, l := range wires {
		l.roughen(rough)
	}
	group.Wait()
	close(rough)
	counts := map[string]int{}
	for _, o := range s.acts {
		counts[o.Input.(act).what+" "+o.Output.(string)]++
	}
	t.Logf("%v; the wires were cut %d times and said %d things twice", counts, wires[0].cuts.Load()+wires[1].cuts.Load(), wires[0].twice.Load()+wires[1].twice.Load())
	s.wantLinear(t)
	level(t, append(of[:], a)...)
	wantWhole(t, a, nil)
}

// attempt gives a command of the model to a service.
func attempt(l *Ledger, a act) (told string, err error) {
	c := assigns(professional(a.principal), "therapist")
	if a.what == "revoke" {
		c = revokes(professional(a.principal), "therapist")
	}
	_, err = l.Record(l.ctx, []domain.Command{c})
	switch {
	case err == nil:
		return done, nil
	case errors.Is(err, domain.Conflict):
		return refused, nil
	case errors.Is(err, domain.Unavailable):
		return untold, nil
	}
	return "", fmt.Errorf("%+v: %w", a, err)
}

// may asks a service whether a principal has the role: then, in this house, it may open a client.
func may(l *Ledger, principal int) (told string, err error) {
	asked, err := l.Ask(0, Known{})
	if err != nil {
		return "", err
	}
	defer asked.Close()
	d, err := domain.Evaluate(asked, domain.Question{Subject: professional(principal), Action: "account.open", Resource: "client:c"}, asked.At)
	if err != nil || !d.Allowed {
		return no, err
	}
	return yes, nil
}

// The model is not one that allows everything: these it refuses, and the like of them it allows.
func TestTheModel(t *testing.T) {
	command := func(n, service int, what string) act { return act{service: service, what: what, command: n} }
	ask := func(service int) act { return act{service: service, what: "ask"} }
	type told struct {
		act  act
		told string
	}
	for name, test := range map[string]struct {
		story []told // one after another
		want  porcupine.CheckResult
	}{
		"a write is seen where it was answered": {[]told{{command(1, 0, "assign"), done}, {command(1, 0, "answered"), done}, {ask(0), yes}}, porcupine.Ok},
		"and not overlooked":                    {[]told{{command(1, 0, "assign"), done}, {command(1, 0, "answered"), done}, {ask(0), no}}, porcupine.Illegal},
		"another service may lag":               {[]told{{command(1, 0, "assign"), done}, {command(1, 0, "answered"), done}, {ask(1), no}, {ask(1), yes}}, porcupine.Ok},
		"and does not go back":                  {[]told{{command(1, 0, "assign"), done}, {command(1, 0, "answered"), done}, {ask(1), yes}, {ask(1), no}}, porcupine.Illegal},
		"nothing is assigned twice":             {[]told{{command(1, 0, "assign"), done}, {command(2, 1, "assign"), done}}, porcupine.Illegal},
		"nor refused for no reason":             {[]told{{command(1, 0, "assign"), done}, {command(2, 1, "revoke"), refused}}, porcupine.Illegal},
		"a refusal is true":                     {[]told{{command(1, 0, "assign"), done}, {command(2, 1, "assign"), refused}, {command(2, 1, "answered"), done}, {ask(1), yes}}, porcupine.Ok},
		"and what it rests on is shown":         {[]told{{command(1, 0, "assign"), done}, {command(2, 1, "assign"), refused}, {command(2, 1, "answered"), done}, {ask(1), no}}, porcupine.Illegal},
		"what was not told may be":              {[]told{{command(1, 0, "assign"), untold}, {ask(1), yes}}, porcupine.Ok},
		"or not be":                             {[]told{{command(1, 0, "assign"), untold}, {command(2, 1, "assign"), done}}, porcupine.Ok},
		"nothing comes of nothing":              {[]told{{ask(1), yes}}, porcupine.Illegal},
	} {
		var s story
		for _, x := range test.story {
			s.add(x.act, s.clock.Add(1), x.told)
		}
		if got := porcupine.CheckOperationsTimeout(rolesModel(), s.acts, 0); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}
