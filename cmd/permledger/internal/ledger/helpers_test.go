package ledger

// What the tests share: a small house to keep a ledger of, a NATS server to reach over the network, and a naive reading
// of events that knows nothing of the product but their names.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

var (
	long = flag.Bool("long", false, "run the random tests ten times as long")
	seed = flag.Uint64("seed", 0, "of the random tests; 0: a new one, printed")
)

const (
	acme  = domain.Org("acme")
	boss  = domain.Account("professional:boss")
	anna  = domain.Account("professional:anna")
	bob   = domain.Account("professional:bob")
	house = `
catalogue: house
kinds:
  professional: {}
  client: {protected: true}
  team: {group: true}
roles:
  manager: {for: professional}
  therapist: {for: professional}
founder: manager
relations:
  therapist: {from: professional, role: therapist, on_open: true}
grants:
  emergency: {role: therapist, longest: 8h, reason: required}
lockout: {failed_signins: 3}
permits:
  - {role: manager, on: [professional, client, team], actions: [account.open, account.deactivate, account.lock, account.unlock,
      role.assign, role.revoke, caseload.link, caseload.unlink, team.join, team.leave, access.grant, access.revoke,
      fact.correct, subject.erase]}
  - {role: manager, on: catalogue, actions: catalogue.adopt}
  - {role: therapist, on: client, actions: account.open}
  - {role: therapist, link: therapist, on: client, actions: view_record}
  - {role: therapist, grant: emergency, on: client, actions: view_record}
`
	// founded is the seq at which a ledger of house begins: its catalogue, its founder and the founder's role.
	founded = 3
)

// The environment of a process that is this program with another purpose: the data directory, and what to do there.
const (
	childData  = "PERMLEDGER_TEST_CHILD"
	childRound = "PERMLEDGER_TEST_ROUND"
)

// atOnce is how many parallel tests run at once, however few the cores: they mostly wait, for the disk and for answers
// that never come.
const atOnce = "6"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childData); dir != "" {
		run := map[string]func(data string) error{keptBy: keepTimeIn, rebuiltBy: rebuildIn}[os.Getenv(childRound)]
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(atOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// random gives a source whose seed is printed when the test fails.
func random(t testing.TB) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// parallel is t.Parallel for tests that TestElsewhere runs as well: what waits for its turn would find itself elsewhere.
func parallel(t *testing.T) {
	if elsewhere == nil {
		t.Parallel()
	}
}

func rounds(n int) int {
	if *long {
		return 10 * n
	}
	return n
}

// openService opens a service. Close it.
func openService(t testing.TB, o Options) *Service {
	t.Helper()
	if elsewhere != nil && o.NATS.URL == "" {
		o.NATS, o.Relaxed = *elsewhere, false
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("opening %s: %v", o.Data, err)
	}
	return s
}

func closeService(t testing.TB, s *Service) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
}

// founding makes acme's ledger in a new service, which is closed at the end of the test.
func founding(t testing.TB, o Options) *Ledger {
	t.Helper()
	o.Create = true
	s := openService(t, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatalf("founding: %v", err)
	}
	return l
}

func ledgerOf(t testing.TB, s *Service) *Ledger {
	t.Helper()
	l, err := s.Ledger(t.Context(), acme)
	if err != nil {
		t.Fatalf("opening the ledger: %v", err)
	}
	return l
}

// The commands of the tests, by the manager.

func command(d domain.Data) domain.Command {
	for _, name := range domain.Commands() {
		if typ, _ := domain.EventOf(name); typ == d.Type() {
			return domain.Command{Name: name, Actor: boss, Data: d, Source: "test"}
		}
	}
	panic("no command asks for " + string(d.Type()))
}

func opens(a domain.Account) domain.Command  { return command(&domain.AccountOpening{Account: a}) }
func fails(a domain.Account) domain.Command  { return command(&domain.SigninFailure{Principal: a}) }
func erases(a domain.Account) domain.Command { return command(&domain.SubjectErasure{Account: a}) }
func assigns(a domain.Account, r domain.Role) domain.Command {
	return command(&domain.RoleAssignment{Principal: a, Role: r})
}

func revokes(a domain.Account, r domain.Role) domain.Command {
	return command(&domain.RoleRevocation{Principal: a, Role: r})
}

func links(a, client domain.Account) domain.Command {
	return command(&domain.CaseloadLink{Principal: a, Client: client, Relation: "therapist"})
}

func unlinks(a, client domain.Account) domain.Command {
	return command(&domain.CaseloadUnlink{Principal: a, Client: client, Relation: "therapist"})
}

func by(actor domain.Account, c domain.Command) domain.Command { c.Actor = actor; return c }
func withID(id string, c domain.Command) domain.Command        { c.ID = id; return c }

func because(reason string, c domain.Command) domain.Command { c.Reason = reason; return c }

// record1 records, and fails the test where that is refused.
func record1(t testing.TB, l *Ledger, cs ...domain.Command) Recorded {
	t.Helper()
	r, err := l.Record(t.Context(), cs)
	if err != nil {
		t.Fatalf("recording %s …: %v", cs[0].Name, err)
	}
	return r
}

func wantError(t testing.TB, err error, failure domain.Failure, code, part string) {
	t.Helper()
	var e *domain.Error
	switch {
	case !errors.As(err, &e) || e.Failure != failure || e.Code != code:
		t.Fatalf("got error %v, want %s with code %s", err, failure, code)
	case !strings.Contains(err.Error(), part):
		t.Fatalf("got error %q, want it to say %q", err, part)
	case strings.Contains(strings.TrimSpace(err.Error()), "\n"):
		t.Fatalf("got error %q, want one line", err)
	}
}

// ask fixes the moments of a question, known as ParseKnown reads it. Close what it gives.
func ask(t testing.TB, l *Ledger, at domain.Instant, known string) *Asked {
	t.Helper()
	k, err := ParseKnown(known)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Ask(at, k)
	if err != nil {
		t.Fatalf("asking at %s, known at %q: %v", at, known, err)
	}
	return a
}

// who answers a question of who may.
func who(t testing.TB, a *Asked, action domain.Action, res domain.Resource) []string {
	t.Helper()
	names := []string{}
	for answer, err := range domain.Who(a, domain.Question{Action: action, Resource: res}, a.At, "") {
		if err != nil {
			t.Fatalf("who %s %s: %v", action, res, err)
		}
		names = append(names, string(answer.Subject))
	}
	return names
}

// whoNow is who as of now.
func whoNow(t testing.TB, l *Ledger, action domain.Action, res domain.Resource) []string {
	t.Helper()
	a := ask(t, l, 0, "")
	defer a.Close()
	return who(t, a, action, res)
}

// events reads the whole log of a ledger.
func events(t testing.TB, l *Ledger) []*domain.Event {
	t.Helper()
	all, err := l.Events(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatalf("reading the log: %v", err)
	}
	return all
}

// wantWhole checks what every test of writing relies on: the log is contiguous, no event is in it twice, times go
// forward, every event that a caller was told of is where the caller was told, and the answers are those of a naive
// reading of the log.
func wantWhole(t testing.TB, l *Ledger, acknowledged []Recorded) {
	t.Helper()
	told := make(map[domain.Seq]domain.EventID)
	for _, r := range acknowledged {
		for _, e := range r.Events {
			if id, ok := told[e.Seq]; ok && id != e.ID {
				t.Fatalf("two callers were told of event %d: %s and %s", e.Seq, id, e.ID)
			}
			told[e.Seq] = e.ID
		}
	}
	seen := make(map[domain.EventID]domain.Seq)
	n := newNaive()
	before := domain.Instant(0)
	for i, e := range events(t, l) {
		if e.Seq != domain.Seq(i+1) {
			t.Fatalf("event %d of the log has seq %d", i+1, e.Seq)
		}
		if first, ok := seen[e.ID]; ok {
			t.Fatalf("event %s is in the log at %d and %d", e.ID, first, e.Seq)
		}
		seen[e.ID] = e.Seq
		if e.RecordedAt < before {
			t.Fatalf("event %d was recorded at %s, the one before it at %s", e.Seq, e.RecordedAt, before)
		}
		before = e.RecordedAt
		if id, ok := told[e.Seq]; ok && id != e.ID {
			t.Fatalf("event %d is %s, and its caller was told %s", e.Seq, e.ID, id)
		}
		delete(told, e.Seq)
		shown, err := e.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		n.fold(t, shown)
	}
	if len(told) > 0 {
		t.Fatalf("acknowledged and not in the log: %v", told)
	}
	a := ask(t, l, 0, "")
	defer a.Close()
	for client := range n.opened {
		if !strings.HasPrefix(client, "client:") {
			continue
		}
		if got, want := who(t, a, "view_record", domain.Resource(client)), n.viewers(client); !slices.Equal(got, want) {
			t.Fatalf("who may view %s at seq %d: got %v, want %v", client, a.KnownAt(), got, want)
		}
	}
}

// naive is what a reader of the events would say who does nothing but keep lists.
type naive struct {
	opened  map[string]bool
	locked  map[string]bool
	roles   map[[2]string]bool         // principal, role
	links   map[[3]string]bool         // principal, client, relation
	members map[string]map[string]bool // of each team
}

func newNaive() *naive {
	return &naive{map[string]bool{}, map[string]bool{}, map[[2]string]bool{}, map[[3]string]bool{}, map[string]map[string]bool{}}
}

// fold reads one event, as shown or as a line of a history.
func (n *naive) fold(t testing.TB, event []byte) {
	var e struct {
		Type string
		Data struct{ Account, Principal, Role, Client, Relation, Team, Member string }
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatal(err)
	}
	d := e.Data
	role, link, team := [2]string{d.Principal, d.Role}, [3]string{d.Principal, d.Client, d.Relation}, n.members[d.Team]
	// Nothing is begun that stands, nor ended that does not.
	set := func(was bool) {
		if was {
			t.Fatalf("%s makes true what is true, or ends what is not: %s", e.Type, event)
		}
	}
	switch e.Type {
	case "account.opened":
		set(n.opened[d.Account])
		n.opened[d.Account] = true
	case "account.locked":
		set(n.locked[d.Principal])
		n.locked[d.Principal] = true
	case "account.unlocked":
		set(!n.locked[d.Principal])
		delete(n.locked, d.Principal)
	case "role.assigned":
		set(n.roles[role])
		n.roles[role] = true
	case "role.revoked":
		set(!n.roles[role])
		delete(n.roles, role)
	case "caseload.linked":
		set(n.links[link])
		n.links[link] = true
	case "caseload.unlinked":
		set(!n.links[link])
		delete(n.links, link)
	case "team.joined":
		set(team[d.Member])
		if team == nil {
			team = map[string]bool{}
			n.members[d.Team] = team
		}
		team[d.Member] = true
	case "team.left":
		set(!team[d.Member])
		delete(team, d.Member)
	}
}

// linked gives who has one of the relations to the client, by itself or by a team.
func (n *naive) linked(client string, relations ...string) map[string]bool {
	who := map[string]bool{}
	for l := range n.links {
		if l[1] != client || !slices.Contains(relations, l[2]) {
			continue
		}
		who[l[0]] = true
		maps.Copy(who, n.members[l[0]])
	}
	return who
}

// viewers gives who may view_record by the catalogue house.
func (n *naive) viewers(client string) []string {
	who := n.linked(client, "therapist")
	maps.DeleteFunc(who, func(p string, _ bool) bool { return n.locked[p] || !n.roles[[2]string{p, "therapist"}] })
	return append([]string{}, slices.Sorted(maps.Keys(who))...)
}

// A remote is a NATS server on a loopback port, as an operator would run it: it has a user and a password, and can be
// restarted on what it has stored.
type remote struct {
	t    testing.TB
	dir  string
	port int
	srv  *server.Server
}

func startRemote(t testing.TB) *remote {
	r := &remote{t: t, dir: t.TempDir(), port: -1}
	if elsewhere != nil { // there is a server
		return r
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *remote) start() {
	r.t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: r.port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: r.dir, SyncAlways: true,
		Username: "ledger", Password: "secret", AuthTimeout: 60, // a loaded machine is slow to say who it is
	})
	if err != nil {
		r.t.Fatalf("the external server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		r.t.Fatal("the external server does not come up")
	}
	r.srv, r.port = srv, srv.Addr().(*net.TCPAddr).Port
}

func (r *remote) stop() {
	r.srv.Shutdown()
	r.srv.WaitForShutdown()
}

// options are those of a service on the server, with a data directory of its own.
func (r *remote) options() Options {
	if elsewhere != nil {
		return Options{Data: r.t.TempDir(), Create: true, NATS: *elsewhere}
	}
	return Options{Data: r.t.TempDir(), Create: true, NATS: eventstore.Options{URL: fmt.Sprintf("nats://ledger:secret@127.0.0.1:%d", r.port)}}
}

// wait waits until ok, of which the test can't be told.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// opened tells which accounts the log opens, and how often.
func opened(t testing.TB, l *Ledger) map[domain.Account]int {
	t.Helper()
	n := make(map[domain.Account]int)
	for _, e := range events(t, l) {
		if d, ok := e.Data.(*domain.AccountOpening); ok {
			n[d.Account]++
		}
	}
	return n
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
