package eventstore

// What the tests share: stores, servers to reach over the network, and a network that lies.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/permledger/permledger/domain"
)

const acme = domain.Org("acme")

func embedded(t testing.TB) *Store { return open(t, Options{Dir: t.TempDir()}) }

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("Open(%+v): %v", opts, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func create(t testing.TB, s *Store) *Log {
	t.Helper()
	l, err := s.Create(t.Context(), acme)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return l
}

// event is the n-th event of the tests: some 200 bytes.
func event(n int) Record {
	id := fmt.Sprintf("01K%023d", n)
	return Record{
		ID: domain.EventID(id), Type: domain.RoleAssigned, RecordedAt: domain.Instant(1767603600_123000000 + n),
		Body: fmt.Appendf(nil, `{"id":"%s","org":"acme","type":"role.assigned","v":1,"recorded_at":"2026-01-05T09:00:00.123Z","actor":"professional:root","source":"api","data":{"principal":"professional:anna","role":"therapist"}}`, id),
	}
}

// events are those numbered from up to and including to.
func events(from, to int) (recs []Record) {
	for n := from; n <= to; n++ {
		recs = append(recs, event(n))
	}
	return recs
}

func mustAppend(t testing.TB, l *Log, recs []Record, expected domain.Seq) {
	t.Helper()
	if err := l.Append(t.Context(), recs, expected); err != nil {
		t.Fatalf("Append of %d after %d: %v", len(recs), expected, err)
	}
}

// wantLog checks that the log is exactly the events 1 to n of the tests, by reading it through.
func wantLog(t testing.TB, l *Log, n int) {
	t.Helper()
	head, err := l.Head(t.Context())
	if err != nil || head != domain.Seq(n) {
		t.Fatalf("Head = %d, %v, want %d", head, err, n)
	}
	seq := 0
	for e, err := range l.Read(t.Context(), 0, head) {
		if err != nil {
			t.Fatalf("Read after %d: %v", seq, err)
		}
		seq++
		want := event(seq)
		if e.Seq != domain.Seq(seq) || e.ID != want.ID || string(e.Body) != string(want.Body) {
			t.Fatalf("Read: event %d is %d %s %s, want %s", seq, e.Seq, e.ID, e.Body, want.Body)
		}
	}
	if seq != n {
		t.Fatalf("Read gave %d events, want %d", seq, n)
	}
}

// wantError checks an error's failure and code, and that it is one readable line.
func wantError(t testing.TB, err error, failure domain.Failure, code string) {
	t.Helper()
	var e *domain.Error
	if !errors.As(err, &e) || e.Failure != failure || e.Code != code {
		t.Fatalf("got error %v (%#v), want %s with code %q", err, err, failure, code)
	}
	if strings.ContainsAny(e.Message, "\n") {
		t.Fatalf("the message has several lines: %q", e.Message)
	}
}

// wait waits until ok, which the test can't be told of.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// A remote is an external server on a loopback port, with a user and a password.
type remote struct {
	t    testing.TB
	dir  string
	port int
	srv  *server.Server
}

func startRemote(t testing.TB) *remote {
	r := &remote{t: t, dir: t.TempDir(), port: -1}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *remote) start() {
	r.t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: r.port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: r.dir, SyncAlways: true, Username: "ledger", Password: "secret",
	})
	if err != nil {
		r.t.Fatalf("external server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		r.t.Fatal("external server did not come up")
	}
	r.srv, r.port = srv, srv.Addr().(*net.TCPAddr).Port
}

func (r *remote) stop() {
	r.srv.Shutdown()
	r.srv.WaitForShutdown()
}

func (r *remote) url() string { return fmt.Sprintf("nats://ledger:secret@127.0.0.1:%d", r.port) }

// A liar is a network between a store and a server. It can lose what one side says and then cut the line, after which
// it is honest again.
type liar struct {
	t      testing.TB
	listen net.Listener
	server string
	wg     sync.WaitGroup

	mu      sync.Mutex
	lie     lie
	closing bool
	open    []net.Conn
}

type lie int

const (
	honest     lie = iota
	loseAnswer     // "persisted but reported failure": the write arrives, its answer does not
	loseWrite      // "failed": the write does not arrive
)

func startLiar(t testing.TB, r *remote) *liar {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &liar{t: t, listen: l, server: fmt.Sprintf("127.0.0.1:%d", r.port)}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closing = true
		for _, c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *liar) url() string {
	u := url.URL{Scheme: "nats", User: url.UserPassword("ledger", "secret"), Host: p.listen.Addr().String()}
	return u.String()
}

// tell makes the next write or its answer get lost and the line be cut.
func (p *liar) tell(l lie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lie = l
}

func (p *liar) accept() {
	for {
		down, err := p.listen.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.server)
		if err != nil {
			down.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, down, up)
		if p.closing {
			down.Close()
			up.Close()
		}
		p.mu.Unlock()
		p.wg.Go(func() { p.pump(up, down, loseWrite, "permledger.") })
		p.wg.Go(func() { p.pump(down, up, loseAnswer, `"stream":"PERMLEDGER_`) })
	}
}

// pump copies from one side to the other until what it should lose comes by: what has the mark in it.
func (p *liar) pump(to, from net.Conn, loses lie, mark string) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		lost := p.lie == loses && strings.Contains(string(buf[:n]), mark)
		if lost {
			p.lie = honest
		}
		p.mu.Unlock()
		if lost {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}
