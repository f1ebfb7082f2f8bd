package main

// A copy in the subscriber's own process: that it answers as the service does, at once, and says how far behind it is.

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

// A service that asks often keeps a copy of the ledger and asks that: no answer waits for the network. How old the copy
// is, it knows.
func Example_replica() {
	service, stop := servedPractice()
	defer stop()

	dir, err := os.MkdirTemp("", "replica")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := projections.Open(dir, projections.Options{})
	if err != nil {
		panic(err)
	}
	defer db.Close()
	copied, err := db.Ledger("acme")
	if err != nil {
		panic(err)
	}
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{URL: service, Org: "acme"}, copied)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- replica.Run(ctx) }()

	if err := copied.Await(ctx, 6); err != nil { // until the seventh event is there
		panic(err)
	}
	position := copied.Position()
	view, err := copied.At(position.Seq)
	if err != nil {
		panic(err)
	}
	now := max(domain.InstantOf(time.Now()), position.RecordedAt)
	for _, who := range []domain.Account{"professional:anna", "professional:bob"} {
		d, err := domain.Evaluate(view, domain.Question{Subject: who, Action: "view", Resource: "client:c1"}, now)
		if err != nil {
			panic(err)
		}
		fmt.Println(who, "may view client:c1:", d.Allowed)
	}
	view.Close()
	for lag := replica.Lag(); lag.Level.Before(position.RecordedAt.Time()); lag = replica.Lag() {
		// who must not answer by an old copy asks how old it is
	}
	fmt.Println("events behind:", replica.Lag().Events)

	cancel()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// professional:anna may view client:c1: true
	// professional:bob may view client:c1: false
	// events behind: 0
}

// servedPractice serves a ledger of seven events in which anna is linked to c1.
func servedPractice() (address string, stop func()) {
	dir, err := os.MkdirTemp("", "practice")
	if err != nil {
		panic(err)
	}
	p, err := newPractice(dir)
	if err != nil {
		panic(err)
	}
	if _, err := p.records(
		`account.open {"account":"professional:anna"}`,
		`account.open {"account":"client:c1"}`,
		`role.assign {"principal":"professional:anna","role":"therapist"}`,
		`caseload.link {"principal":"professional:anna","client":"client:c1","relation":"therapist"}`,
	); err != nil {
		panic(err)
	}
	return p.server.URL, func() {
		if err := p.close(); err != nil {
			panic(err)
		}
		os.RemoveAll(dir)
	}
}

// aReplica is a running copy.
type aReplica struct {
	*consumers.Replica
	db     *projections.DB
	ledger *projections.Ledger
	cancel context.CancelFunc
	ended  chan error
}

func replicate(t testing.TB, dir, address string) *aReplica {
	t.Helper()
	r := &aReplica{ended: make(chan error, 1)}
	var err error
	if r.db, err = projections.Open(dir, projections.Options{}); err != nil {
		t.Fatal(err)
	}
	if r.ledger, err = r.db.Ledger("acme"); err != nil {
		t.Fatal(err)
	}
	if r.Replica, err = consumers.NewReplica(consumers.ReplicaOptions{URL: address, Org: "acme"}, r.ledger); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// stop ends the copying and closes the copy.
func (r *aReplica) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("replicating: %v, want it to end without an error", err)
	}
	if err := r.db.Close(); err != nil {
		t.Error(err)
	}
}

// await waits until the copy has the event.
func (r *aReplica) await(t testing.TB, seq domain.Seq) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.ledger.Await(ctx, seq-1); err != nil {
		select {
		case ended := <-r.ended:
			t.Fatalf("the copy is at %d, want %d: replicating ended: %v", r.ledger.Position().Seq, seq, ended)
		default:
			t.Fatalf("the copy is at %d, want %d: %v", r.ledger.Position().Seq, seq, err)
		}
	}
}

// The copy answers every question as the service does, through restarts of either, and stops before the log of another.
func TestReplicaOfService(t *testing.T) {
	p, err := newPractice(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := replicate(t, dir, p.server.URL)
	commands := []string{
		`account.open {"account":"professional:anna","display_name":"Anna Berg"}`,
		`account.open {"account":"professional:bob"}`,
		`account.open {"account":"client:c1"}`,
		`account.open {"account":"client:c2"}`,
		`role.assign {"principal":"professional:anna","role":"therapist"}`,
		`role.assign {"principal":"professional:bob","role":"therapist"}`,
		`caseload.link {"principal":"professional:anna","client":"client:c1","relation":"therapist"}`,
		`caseload.link {"principal":"professional:bob","client":"client:c1","relation":"therapist"}`,
		`caseload.link {"principal":"professional:anna","client":"client:c2","relation":"therapist"}`,
		`caseload.unlink {"principal":"professional:bob","client":"client:c1","relation":"therapist"}`,
		`account.lock {"principal":"professional:anna"}`,
	}
	for i, command := range commands {
		seq, err := p.records(command)
		if err != nil {
			t.Fatal(err)
		}
		r.await(t, seq)
		for _, subject := range []domain.Account{"professional:root", "professional:anna", "professional:bob", "client:c1"} {
			for _, res := range []domain.Resource{"client:c1", "client:c2", "platform:main"} {
				for _, action := range []domain.Action{"view", "configure", "account.open"} {
					var want struct{ Decision bool }
					q := url.Values{"subject": {string(subject)}, "action": {string(action)}, "resource": {string(res)}, "known_at": {fmt.Sprint(seq)}}
					if err := p.get("check", q, &want); err != nil && !strings.Contains(err.Error(), "status 404") {
						t.Fatal(err)
					}
					view, err := r.ledger.At(seq)
					if err != nil {
						t.Fatal(err)
					}
					d, err := domain.Evaluate(view, domain.Question{Subject: subject, Action: action, Resource: res}, r.ledger.Position().RecordedAt)
					view.Close()
					if err != nil || d.Allowed != want.Decision {
						t.Errorf("after %s: may %s %s %s: the copy says %v (%v), the service %v", command, subject, action, res, d.Allowed, err, want.Decision)
					}
				}
			}
		}
		switch i {
		case 3:
			if err := p.restart(); err != nil {
				t.Fatal(err)
			}
		case 6:
			r.stop(t)
			r = replicate(t, dir, p.server.URL)
		}
	}
	if opened, err := p.service.Ledger(context.Background(), "acme"); err != nil || !r.ledger.Position().Stream.Equal(opened.Created()) {
		t.Errorf("the copy is of the log of %s, want the service's (%v)", r.ledger.Position().Stream, err)
	}
	r.stop(t)
	if err := p.close(); err != nil {
		t.Error(err)
	}

	other, err := newPractice(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r = replicate(t, dir, other.server.URL)
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "was made from a log created at") {
		t.Errorf("the log of another: got %v, want it told apart", err)
	}
	if err := r.db.Close(); err != nil {
		t.Error(err)
	}
	if err := other.close(); err != nil {
		t.Error(err)
	}
}

// Who waits for an event gets it when it is recorded, and an empty page when the time is over or the service stops.
func TestEventsWait(t *testing.T) {
	p, err := newPractice(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	type page struct {
		Events  []event
		Next    domain.Seq
		Head    domain.Seq
		Created time.Time
		err     error
	}
	ask := func(after domain.Seq, wait string) (a page) {
		a.err = p.get("events", url.Values{"after": {fmt.Sprint(after)}, "wait": {wait}}, &a)
		return a
	}
	if a := ask(1, "1m"); a.err != nil || len(a.Events) != 2 || a.Next != 3 || a.Head != 3 || a.Created.IsZero() {
		t.Errorf("after 1: got %+v, want the two events that are there, at once", a)
	}
	if a := ask(3, "1ms"); a.err != nil || len(a.Events) != 0 || a.Next != 3 || a.Head != 3 {
		t.Errorf("after the newest: got %+v, want an empty page", a)
	}
	c := make(chan page, 1)
	go func() { c <- ask(3, "1m") }()
	seq, err := p.records(`account.open {"account":"professional:anna"}`)
	if err != nil {
		t.Fatal(err)
	}
	if a := <-c; a.err != nil || len(a.Events) == 0 || a.Events[0].Seq != uint64(seq) {
		t.Errorf("while it waited event %d was recorded: got %+v, want it", seq, a)
	}
	for _, bad := range []string{"0s", "-1s", "61s", "5", "soon"} {
		if a := ask(3, bad); a.err == nil || !strings.Contains(a.err.Error(), "bad_wait") {
			t.Errorf("wait=%s: got %v, want it refused", bad, a.err)
		}
	}
	began := time.Now()
	stopped := make(chan page, 1)
	go func() { stopped <- ask(99, "1m") }()
	p.closing()
	if a := <-stopped; time.Since(began) > 30*time.Second {
		t.Errorf("a stopping service answered after %s: %+v, want it at once", time.Since(began), a)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkReplicaCheck is one check against the copy, each with a view of its own, and against the service over HTTP.
func BenchmarkReplicaCheck(b *testing.B) {
	p, err := newPractice(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	commands := []string{`account.open {"account":"professional:anna"}`, `role.assign {"principal":"professional:anna","role":"therapist"}`}
	for i := range 1000 {
		commands = append(commands, fmt.Sprintf(`account.open {"account":"client:c%d"}`, i),
			fmt.Sprintf(`caseload.link {"principal":"professional:anna","client":"client:c%d","relation":"therapist"}`, i))
	}
	seq, err := p.records(commands...)
	if err != nil {
		b.Fatal(err)
	}
	r := replicate(b, b.TempDir(), p.server.URL)
	r.await(b, seq)
	b.Run("copy", func(b *testing.B) {
		for i := range b.N {
			position := r.ledger.Position()
			view, err := r.ledger.At(position.Seq)
			if err != nil {
				b.Fatal(err)
			}
			q := domain.Question{Subject: "professional:anna", Action: "view", Resource: domain.Resource(fmt.Sprintf("client:c%d", i%1000))}
			d, err := domain.Evaluate(view, q, max(domain.InstantOf(time.Now()), position.RecordedAt))
			if err != nil || !d.Allowed {
				b.Fatalf("%+v: %v, %v, want a yes", q, d.Allowed, err)
			}
			view.Close()
		}
	})
	b.Run("http", func(b *testing.B) {
		for i := range b.N {
			var answer struct{ Decision bool }
			q := url.Values{"subject": {"professional:anna"}, "action": {"view"}, "resource": {fmt.Sprintf("client:c%d", i%1000)}}
			if err := p.get("check", q, &answer); err != nil || !answer.Decision {
				b.Fatalf("%v: %v, %v, want a yes", q, answer.Decision, err)
			}
		}
	})
	r.stop(b)
	if err := p.close(); err != nil {
		b.Error(err)
	}
}
