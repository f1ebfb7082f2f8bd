package main

// The change feed as other services have it, over HTTP from a real ledger: followed through lost connections, restarts of
// the service and crashes of the follower, the fold of what arrives is what the service answers.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// A practice is a service with the ledger of one organisation, acme, at an address that outlives it.
type practice struct {
	data   string
	server *httptest.Server

	mu      sync.RWMutex // held for reading by requests, for writing while the service is down
	service *ledger.Service
	handler http.Handler
	closing context.CancelFunc
}

// newPractice makes the ledger in the directory, and serves it.
func newPractice(data string) (*practice, error) {
	p := &practice{data: data}
	if err := p.start(true); err != nil {
		return nil, err
	}
	document, err := os.ReadFile("testdata/roles.yaml")
	if err == nil {
		_, err = p.service.Init(context.Background(), "acme", document, "professional:root", "test")
	}
	if err != nil {
		return nil, errors.Join(err, p.service.Close())
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.RLock()
		h := p.handler
		if h == nil {
			p.mu.RUnlock()
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer p.mu.RUnlock()
		h.ServeHTTP(w, r)
	}))
	return p, nil
}

func (p *practice) start(create bool) (err error) {
	closing, cancel := context.WithCancel(context.Background())
	p.closing = cancel
	if p.service, err = ledger.Open(context.Background(), ledger.Options{Data: p.data, Create: create, Feed: true}); err != nil {
		return err
	}
	p.handler = api.New(api.Options{Service: p.service, Closing: closing})
	return nil
}

// stop ends the service, and all connections to it.
func (p *practice) stop() error {
	p.closing()
	p.server.CloseClientConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = nil
	return p.service.Close()
}

func (p *practice) restart() error {
	if err := p.stop(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start(false)
}

func (p *practice) close() error {
	err := p.stop()
	p.server.Close()
	return err
}

// afresh connects for each request: an idle connection may have been cut by the test, which a command does not survive.
var afresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// record sends a command of root and tells its event's seq; 0 where it was refused.
func (p *practice) record(command, data string) (domain.Seq, error) {
	body := fmt.Sprintf(`{"command":%q,"actor":"professional:root","data":%s}`, command, data)
	resp, err := afresh.Post(p.server.URL+"/orgs/acme/commands", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Seq  domain.Seq
		Code string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if resp.StatusCode >= 500 {
		return 0, fmt.Errorf("%s %s: status %d, %s", command, data, resp.StatusCode, answer.Code)
	}
	return answer.Seq, nil
}

// records is record of several, "command data" each, none of which may be refused; it gives the last seq.
func (p *practice) records(commands ...string) (seq domain.Seq, err error) {
	for _, c := range commands {
		name, data, _ := strings.Cut(c, " ")
		if seq, err = p.record(name, data); err == nil && seq == 0 {
			err = fmt.Errorf("%s was refused", c)
		}
		if err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (p *practice) get(path string, q url.Values, into any) error {
	resp, err := afresh.Get(p.server.URL + "/orgs/acme/" + path + "?" + q.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, resp.StatusCode, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// who asks the service.
func (p *practice) who(action domain.Action, r domain.Resource) (who []domain.Account, err error) {
	var answer struct {
		Results []struct{ Subject domain.Account }
	}
	err = p.get("who", url.Values{"action": {string(action)}, "resource": {string(r)}}, &answer)
	for _, one := range answer.Results {
		who = append(who, one.Subject)
	}
	slices.Sort(who)
	return who, err
}

// A fold is what follows from changes: for a subject, action and resource the newest counts that names the resource or
// all of its type.
type fold struct {
	n      int
	newest map[held]said
}

type held struct {
	subject  domain.Account
	action   domain.Action
	resource domain.Resource
}

type said struct {
	n   int
	may bool
}

func (f *fold) apply(changes []consumers.Change) {
	for _, c := range changes {
		f.n++
		for _, a := range c.Actions {
			f.newest[held{c.Subject, a, c.Resource}] = said{f.n, c.Kind == consumers.Gained}
		}
	}
}

func (f *fold) who(action domain.Action, r domain.Resource) (who []domain.Account) {
	for h := range f.newest {
		one := f.newest[held{h.subject, action, r}]
		if all := f.newest[held{h.subject, action, domain.Resource(r.Kind()) + ":*"}]; all.n > one.n {
			one = all
		}
		if one.may {
			who = append(who, h.subject)
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// A records system keeps its fold and cursor together, and dies now and then: before it has stored, or after.
type recordSystem struct {
	mu     sync.Mutex // guards what is stored
	fold   fold
	cursor consumers.Cursor
	anew   int // snapshots

	rand  *rand.Rand
	moved chan struct{} // holds a value when something was stored since
}

func newRecordSystem(seed uint64) *recordSystem {
	return &recordSystem{rand: rand.New(rand.NewPCG(seed, 0)), moved: make(chan struct{}, 1)}
}

var errDied = errors.New("the records system died")

func (s *recordSystem) store(fold fold, c consumers.Cursor, anew int) error {
	if s.rand.IntN(20) == 0 {
		return errDied
	}
	s.mu.Lock()
	s.fold, s.cursor, s.anew = fold, c, s.anew+anew
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
	if s.rand.IntN(20) == 0 {
		return errDied
	}
	return nil
}

func (s *recordSystem) Snapshot(_ context.Context, snapshot *consumers.SnapshotReader) error {
	f := fold{newest: make(map[held]said)}
	for c, err := range snapshot.Changes() {
		if err != nil {
			return err
		}
		f.apply([]consumers.Change{c})
	}
	return s.store(f, snapshot.Cursor, 1)
}

func (s *recordSystem) Changes(_ context.Context, b consumers.Batch) error {
	if !s.cursor.Before(b.Cursor) {
		return fmt.Errorf("handed over %s after %s", b.Cursor, s.cursor)
	}
	f := fold{s.fold.n, maps.Clone(s.fold.newest)}
	f.apply(b.Changes)
	return s.store(f, b.Cursor, 0)
}

// follow follows until ctx ends, however often the system dies.
func (s *recordSystem) follow(ctx context.Context, o consumers.FollowOptions) error {
	for {
		o.After = s.cursor
		if err := consumers.Follow(ctx, o, s); err != errDied {
			return err
		}
	}
}

// at waits until it has stored everything up to a seq.
func (s *recordSystem) at(t *testing.T, seq domain.Seq) fold {
	t.Helper()
	tooLong := time.After(time.Minute)
	for {
		s.mu.Lock()
		f, c := s.fold, s.cursor
		s.mu.Unlock()
		if c.Seq >= seq && c.N == 0 {
			return f
		}
		select {
		case <-s.moved:
		case <-tooLong:
			t.Fatalf("stored up to %s a minute after %d was recorded", c, seq)
		}
	}
}

func TestFollowed(t *testing.T) {
	p, err := newPractice(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var opened []string
	clients := []domain.Resource{"client:c1", "client:c2", "client:c3"}
	for _, who := range []string{"professional:anna", "professional:bob", "professional:carl", "team:night", "client:c1", "client:c2", "client:c3"} {
		opened = append(opened, fmt.Sprintf(`account.open {"account":%q}`, who))
	}
	if _, err := p.records(opened...); err != nil {
		t.Fatal(err)
	}

	systems := []struct {
		name   string
		filter consumers.Filter
		sees   func(domain.Account, domain.Resource) bool
		*recordSystem
	}{
		{"all", consumers.Filter{}, func(domain.Account, domain.Resource) bool { return true }, newRecordSystem(1)},
		{"about c1", consumers.Filter{About: "client:c1"}, func(_ domain.Account, r domain.Resource) bool { return r == "client:c1" }, newRecordSystem(2)},
		{"of anna", consumers.Filter{Subject: "professional:anna"}, func(a domain.Account, _ domain.Resource) bool { return a == "professional:anna" }, newRecordSystem(3)},
		{"of professionals", consumers.Filter{Kinds: []string{"professional"}}, func(a domain.Account, _ domain.Resource) bool { return a.Kind() == "professional" }, newRecordSystem(4)},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	for i, s := range systems {
		following.Go(func() {
			o := consumers.FollowOptions{URL: p.server.URL, Org: "acme", Filter: s.filter, Snapshot: true, Subscriber: fmt.Sprintf("records-%d", i)}
			if err := s.follow(ctx, o); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		})
	}

	r := rand.New(rand.NewPCG(5, 0))
	var head domain.Seq
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for i := range 200 {
		who, client := "professional:"+pick("anna", "bob", "carl"), pick("client:c1", "client:c2", "client:c3")
		var seq domain.Seq
		switch r.IntN(4) {
		case 0:
			seq, err = p.record(pick("role.assign", "role.revoke"), fmt.Sprintf(`{"principal":%q,"role":%q}`, who, pick("therapist", "manager")))
		default:
			seq, err = p.record(pick("caseload.link", "caseload.unlink"), fmt.Sprintf(`{"principal":%q,"client":%q,"relation":"therapist"}`, who, client))
		}
		if err != nil {
			t.Fatal(err)
		}
		head = max(head, seq)
		switch {
		case i == 130:
			err = p.restart()
		case i%17 == 0:
			p.server.CloseClientConnections()
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%100 != 99 {
			continue
		}
		for _, s := range systems {
			fold := s.at(t, head)
			for _, action := range []domain.Action{"view", "account.open", "configure"} {
				for _, res := range append(clients, "platform:main") {
					want, err := p.who(action, res)
					if err != nil {
						t.Fatal(err)
					}
					want = slices.DeleteFunc(want, func(a domain.Account) bool { return !s.sees(a, res) })
					if got := fold.who(action, res); !slices.Equal(got, want) {
						t.Errorf("%s, after event %d: who may %s %s: the fold has %v, the service says %v", s.name, head, action, res, got, want)
					}
				}
			}
		}
	}
	// What they acknowledged shows at the service, soon after.
	for begun := time.Now(); ; {
		var shown struct {
			Seen []string
		}
		if err := p.get("subscribers", url.Values{"at_least": {fmt.Sprint(head)}}, &shown); err != nil {
			t.Fatal(err)
		}
		if len(shown.Seen) == len(systems) {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("a minute after all have seen %d only %v have acknowledged it", head, shown.Seen)
		}
	}
	cancel()
	following.Wait()
	for _, s := range systems {
		if s.anew == 0 || s.anew > 3 {
			t.Errorf("%s: began anew %d times, want it to go on from its cursor", s.name, s.anew)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
