package consumers

// The feed on real streams: histories of a made-up ledger, published by one or several feeds through restarts, lost answers
// and crashes, and read at every cursor. After each history the stream is read through: every change once, in its place.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

var madeAt = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// A tale is a ledger whose event seq has as many changes as count says, which follow from seq and index alone.
type tale struct {
	made  time.Time
	count func(domain.Seq) int

	mu    sync.Mutex
	head  domain.Seq
	moved chan struct{}
	fails error
	asked []domain.Seq // after which event Steps was asked, each time
}

func newTale(count func(domain.Seq) int) *tale {
	return &tale{made: madeAt, count: count, moved: make(chan struct{})}
}

// mixed has quiet events, small ones, and now and then a larger one.
func mixed(seq domain.Seq) int {
	switch {
	case seq%50 == 0:
		return 20
	case seq%3 == 0:
		return 0
	}
	return int(seq)%4 + 1
}

func each(n int) func(domain.Seq) int { return func(domain.Seq) int { return n } }

// until sets the head.
func (l *tale) until(head domain.Seq) *tale {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = head
	close(l.moved)
	l.moved = make(chan struct{})
	return l
}

func (l *tale) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
	close(l.moved)
}

func (l *tale) asks() []domain.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

func (l *tale) Org() domain.Org    { return "acme" }
func (l *tale) Created() time.Time { return l.made }

func (l *tale) Head() domain.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

func (l *tale) Await(ctx context.Context, after domain.Seq) error {
	for {
		l.mu.Lock()
		head, fails, moved := l.head, l.fails, l.moved
		l.mu.Unlock()
		switch {
		case fails != nil:
			return fails
		case head > after:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (l *tale) Steps(ctx context.Context, after, upTo domain.Seq) iter.Seq2[domain.Step, error] {
	l.mu.Lock()
	l.asked = append(l.asked, after)
	l.mu.Unlock()
	return func(yield func(domain.Step, error) bool) {
		for seq := after + 1; seq <= upTo; seq++ {
			if seq%512 == 0 && ctx.Err() != nil {
				yield(domain.Step{}, ctx.Err())
				return
			}
			if !yield(l.step(seq), nil) {
				return
			}
		}
	}
}

func (l *tale) step(seq domain.Seq) domain.Step {
	at := domain.InstantOf(l.made.Add(time.Duration(seq) * time.Second))
	step := domain.Step{Seq: seq, At: at}
	for i := range l.count(seq) {
		c := domain.AccessChange{At: at, Cause: domain.Cause{Seq: seq, Type: domain.CaseloadLinked, Actor: "professional:root"}}
		c.Gained = (int(seq)+i)%2 == 0
		c.Subject = domain.Account(fmt.Sprintf("%s:p%d", []string{"professional", "friend"}[i%2], i))
		c.Resource = domain.Resource(fmt.Sprintf("client:c%d", seq))
		c.Actions = []domain.Action{"edit_record", "view_record"}
		if c.ValidUntil = domain.Forever; i%3 == 0 {
			c.ValidUntil = at + 1000
		}
		step.Changes = append(step.Changes, c)
	}
	return step
}

// About and Snapshot are not the feed's to ask.
func (l *tale) About(context.Context, domain.Resource, []Change) ([]Change, error) {
	return nil, errors.New("not of this ledger")
}

func (l *tale) Snapshot(context.Context, Filter) (Snapshot, error) {
	return Snapshot{}, errors.New("not of this ledger")
}

// changes are all that are to be published after an event, up to another.
func (l *tale) changes(after, upTo domain.Seq) (all []Change) {
	for seq := after + 1; seq <= upTo; seq++ {
		all = append(all, ChangesOf(l.step(seq), MarkOf("acme", l.made))...)
	}
	return all
}

func (l *tale) at(seq domain.Seq) Cursor { return Cursor{Seq: seq, Mark: MarkOf("acme", l.made)} }

// A bench is a NATS server that the tests stop, start, and damage while it is stopped.
type bench struct {
	t    testing.TB
	dir  string
	port int // 0: it listens on nothing
	srv  *server.Server
}

func newBench(t testing.TB, listen bool) *bench {
	b := &bench{t: t, dir: t.TempDir()}
	if listen {
		b.port = -1
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *bench) start() {
	b.t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: b.port, DontListen: b.port == 0, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: b.dir, SyncAlways: true,
	})
	if err != nil {
		b.t.Fatalf("server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		b.t.Fatal("the server did not come up")
	}
	if b.srv = srv; b.port != 0 {
		b.port = srv.Addr().(*net.TCPAddr).Port
	}
}

func (b *bench) stop() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// connect gives a connection of its own, as another server of ours would have.
func (b *bench) connect(opts ...nats.Option) jetstream.JetStream {
	b.t.Helper()
	opts = append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond), nats.ReconnectBufSize(-1))
	url := ""
	if b.port == 0 {
		opts = append(opts, nats.InProcessServer(b.srv))
	} else {
		url = fmt.Sprintf("nats://127.0.0.1:%d", b.port)
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		b.t.Fatal(err)
	}
	return js
}

// options are those of a feed of the ledger over one connection.
func (b *bench) options(l Ledger, js jetstream.JetStream) FeedOptions {
	b.t.Helper()
	state, err := OpenState(b.t.Context(), js, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return FeedOptions{Ledger: l, JS: js, State: state, Replicas: 1}
}

// run runs a feed until stop, which also tells what Run gave.
func (b *bench) run(o FeedOptions) (f *Feed, stop func() error) {
	b.t.Helper()
	f = NewFeed(o)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	b.t.Cleanup(func() { _ = stop() })
	return f, stop
}

// noTrouble fails the test where a feed logs trouble with a server that was always there.
type noTrouble struct {
	slog.Handler
	t testing.TB
}

func (noTrouble) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (n noTrouble) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { n.t.Errorf("logged: %s: %v", r.Message, a); return true })
	return nil
}

// feed runs one feed over a connection of its own, to be stopped without an error.
func (b *bench) feed(l Ledger) (f *Feed, stop func()) {
	b.t.Helper()
	o := b.options(l, b.connect())
	if b.port == 0 {
		o.Logger = slog.New(noTrouble{slog.DiscardHandler, b.t})
	}
	f, end := b.run(o)
	return f, func() {
		b.t.Helper()
		if err := end(); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
}

// level waits until the feed has published all that the ledger has.
func level(t testing.TB, f *Feed) {
	t.Helper()
	head := f.Ledger().Head()
	eventually(t, fmt.Sprintf("the feed to reach %d", head), func() bool {
		s, err := f.Status(t.Context())
		return err == nil && s.Position >= head
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// wantStream reads the stream through: its messages from the first kept are the last of want, each in its place.
func wantStream(t testing.TB, js jetstream.JetStream, want []Change) {
	t.Helper()
	s, err := js.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	if int(state.LastSeq) != len(want) || state.Msgs != state.LastSeq-state.FirstSeq+1 {
		t.Fatalf("the stream holds %d messages from %d to %d; want it to end at %d without a gap", state.Msgs, state.FirstSeq, state.LastSeq, len(want))
	}
	if state.Msgs == 0 {
		return
	}
	c, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ms, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Stop()
	for n := state.FirstSeq; n <= state.LastSeq; n++ {
		msg, err := ms.Next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(want[n-1])
		if err != nil {
			t.Fatal(err)
		}
		if meta.Sequence.Stream != n || string(msg.Data()) != string(body) {
			t.Fatalf("message %d is %d: %s\nwant %s", n, meta.Sequence.Stream, msg.Data(), body)
		}
		if before := msg.Headers().Get(previousHeader); n > 1 && before != want[n-2].Cursor.String() {
			t.Fatalf("message %d says that %s was before it; want %s", n, before, want[n-2].Cursor)
		}
	}
}

// follow opens the feed at a cursor.
func follow(t testing.TB, f *Feed, after Cursor) *FeedReader {
	t.Helper()
	r, err := f.Open(t.Context(), after)
	if err != nil {
		t.Fatalf("Open(%s): %v", after, err)
	}
	return r
}

// wantNext reads until it has all of want, in batches of one event each.
func wantNext(t testing.TB, r *FeedReader, want []Change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	from := r.cursor
	for i := 0; i < len(want); {
		b, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %s: Next for %s: %v", from, want[i].Cursor, err)
		}
		if len(b.Changes) == 0 {
			if !b.Cursor.Before(want[i].Cursor) {
				t.Fatalf("after %s: a checkpoint at %s before the change %s", from, b.Cursor, want[i].Cursor)
			}
			continue
		}
		n := len(b.Changes)
		if n > len(want)-i || !reflect.DeepEqual(b.Changes, want[i:i+n]) {
			t.Fatalf("after %s: got %d changes from %s to %s; want them from %s", from, n, b.Changes[0].Cursor, b.Cursor, want[i].Cursor)
		}
		i += n
		if end := want[i-1].Cursor; b.Cursor != end || end.N%mostInBatch != 0 {
			t.Fatalf("after %s: a batch of %d changes up to %s has the cursor %s", from, n, end, b.Cursor)
		}
	}
}

func wantRefetch(t testing.TB, f *Feed, after Cursor) {
	t.Helper()
	if _, err := f.Open(t.Context(), after); !errors.Is(err, ErrRefetch) {
		t.Errorf("Open(%s): %v; want that it has to begin again", after, err)
	}
}

func TestFeedMessage(t *testing.T) {
	b, l := newBench(t, false), newTale(each(2)).until(1)
	f, _ := b.feed(l)
	level(t, f)
	s, err := f.o.JS.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxAge != 30*24*time.Hour || c.MaxBytes != 1<<30 || c.PersistMode != jetstream.AsyncPersistMode || c.Discard != jetstream.DiscardOld || !c.AllowDirect || !c.DenyDelete {
		t.Errorf("the stream is %+v", c)
	}
	mark := f.Mark()
	for n, want := range []struct {
		subject, body string
		header        nats.Header
	}{{
		"permledger.acme.change.lost.professional",
		`{"cursor":"1.1~` + mark + `","seq":1,"at":"2026-01-05T09:00:01.000Z","kind":"lost","subject":"professional:p0","resource":"client:c1","actions":["edit_record","view_record"],"valid_until":null,"cause":{"seq":1,"type":"caseload.linked","actor":"professional:root"}}`,
		nats.Header{
			"Nats-Msg-Id": {"acme.1.1"}, "Nats-Expected-Last-Sequence": {"0"}, "Permledger-Previous": {"0~" + mark},
			"ce-specversion": {"1.0"}, "ce-id": {"acme.1.1~" + mark}, "ce-source": {"/orgs/acme/changes"}, "ce-type": {"permledger.change.lost"},
			"ce-time": {"2026-01-05T09:00:01.000Z"}, "ce-subject": {"professional:p0"}, "content-type": {"application/json"},
		},
	}, {
		"permledger.acme.change.gained.friend",
		`{"cursor":"1~` + mark + `","seq":1,"at":"2026-01-05T09:00:01.000Z","kind":"gained","subject":"friend:p1","resource":"client:c1","actions":["edit_record","view_record"],"valid_until":null,"cause":{"seq":1,"type":"caseload.linked","actor":"professional:root"}}`,
		nats.Header{
			"Nats-Msg-Id": {"acme.1.2"}, "Nats-Expected-Last-Sequence": {"1"}, "Permledger-Previous": {"1.1~" + mark},
			"ce-specversion": {"1.0"}, "ce-id": {"acme.1.2~" + mark}, "ce-source": {"/orgs/acme/changes"}, "ce-type": {"permledger.change.gained"},
			"ce-time": {"2026-01-05T09:00:01.000Z"}, "ce-subject": {"friend:p1"}, "content-type": {"application/json"},
		},
	}} {
		msg, err := s.GetMsg(t.Context(), uint64(n+1))
		if err != nil {
			t.Fatal(err)
		}
		for k := range msg.Header { // what a direct read adds
			if slices.Contains([]string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"}, k) {
				delete(msg.Header, k)
			}
		}
		if msg.Subject != want.subject || string(msg.Data) != want.body || !reflect.DeepEqual(msg.Header, want.header) {
			t.Errorf("message %d:\n%s\n%s\n%v\nwant\n%s\n%s\n%v", n+1, msg.Subject, msg.Data, msg.Header, want.subject, want.body, want.header)
		}
	}
}

// Every cursor that the feed gives can be gone on from, in the ring and behind it.
func TestFeedResumesAtEveryCursor(t *testing.T) {
	b := newBench(t, false)
	l := newTale(func(seq domain.Seq) int {
		if seq == 20 {
			return 2_300
		}
		return mixed(seq)
	}).until(200)
	all := l.changes(0, 200)
	check := func(f *Feed) {
		for i := -1; i < len(all); i++ {
			c := l.at(0)
			if i >= 0 {
				c = all[i].Cursor
			}
			if c.N > 10 && c.N%250 != 0 { // of the large event some
				continue
			}
			end := min(i+8, len(all)) // and on to the end of the event that this is in
			for end < len(all) && all[end-1].Cursor.N%mostInBatch != 0 {
				end++
			}
			wantNext(t, follow(t, f, c), all[i+1:end])
		}
		wantNext(t, follow(t, f, Cursor{}), all)
		for seq := range domain.Seq(200) { // also of events that changed nothing, and without a mark
			rest := all[slices.IndexFunc(all, func(c Change) bool { return c.Seq > seq }):]
			wantNext(t, follow(t, f, Cursor{Seq: seq}), rest[:slices.IndexFunc(rest, func(c Change) bool { return c.Cursor.N%mostInBatch == 0 })+1])
		}
	}
	f, stop := b.feed(l)
	level(t, f)
	wantStream(t, f.o.JS, all)
	check(f) // all in the ring
	stop()
	f, _ = b.feed(l)
	level(t, f)
	if floor, _ := f.ring.ends(); floor.Seq < 20 {
		t.Fatalf("the ring reaches back to %s: nobody reads the stream", floor)
	}
	check(f) // the most of it behind the ring
	if n := len(l.asks()); n > 2 {
		t.Errorf("the ledger was asked for steps %d times, after %v; the second feed has nothing to publish", n, l.asks())
	}
}

// A change that is open while the event is still being published comes with the rest of it, as one.
func TestFeedCompletesAnEvent(t *testing.T) {
	b, l := newBench(t, false), newTale(each(10)).until(2)
	f, stop := b.feed(l)
	level(t, f)
	stop()
	js, all := f.o.JS, l.changes(0, 4)
	for i, c := range all[20:24] { // and died
		msg, err := f.encode(&c, i+1, all[19+i].Cursor)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	f, _ = b.feed(l)
	for _, r := range []*FeedReader{follow(t, f, l.at(2)), follow(t, f, l.at(1)), follow(t, f, Cursor{})} {
		ctx, cancel := context.WithCancel(t.Context())
		for r.cursor.Seq < 2 {
			if _, err := r.Next(ctx); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if b, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("of an event that is not complete: %d changes up to %s, %v", len(b.Changes), b.Cursor, err)
		}
		defer wantNext(t, r, all[20:])
	}
	l.until(4)
	level(t, f)
	wantStream(t, js, all)
}

// A feed that is stopped anywhere and begun anew, on the same server or after its restart, goes on where it was.
func TestFeedRestart(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed)
	const head = 3_000
	all := l.changes(0, head)
	l.until(head)
	for i := 1; i <= 12; i++ {
		js := b.connect()
		f, stop := b.run(b.options(l, js))
		eventually(t, "some more messages", func() bool {
			here, _ := f.ring.newest()
			return int(here) >= len(all)*i/12
		})
		if err := stop(); err != nil {
			t.Fatalf("Run: %v", err)
		}
		if i%4 == 0 {
			js.Conn().Close()
			b.stop()
			b.start()
		}
	}
	f, _ := b.feed(l)
	level(t, f)
	wantStream(t, f.o.JS, all)
}

// Two servers publish one ledger, each hearing of events at its own time; then one of them is gone.
func TestFeedTwoServers(t *testing.T) {
	b := newBench(t, false)
	const head = 4_000
	one, two := newTale(mixed), newTale(mixed)
	all := one.changes(0, head)
	f, stop := b.feed(one)
	g, _ := b.feed(two)
	var wg sync.WaitGroup
	for i, l := range []*tale{one, two} {
		wg.Go(func() {
			for h := domain.Seq(1); h <= head; h += domain.Seq(1 + (int(h)*7+i)%(5+40*i)) {
				l.until(h)
				if h%1000 < 5 { // give the other a turn
					_ = l.Await(t.Context(), h-1)
					level(t, []*Feed{f, g}[i])
				}
			}
			l.until(head)
		})
	}
	wg.Wait()
	level(t, f)
	level(t, g)
	wantStream(t, f.o.JS, all)
	wantNext(t, follow(t, f, Cursor{}), all)
	wantNext(t, follow(t, g, Cursor{}), all)

	stop()
	two.until(head + 300)
	level(t, g)
	all = one.changes(0, head+300)
	wantStream(t, g.o.JS, all)
	wantNext(t, follow(t, g, one.at(head)), one.changes(head, head+300))
}

// One that stands by leaves the publishing to the other while that goes on, and takes over when it does not.
func TestFeedStandsBy(t *testing.T) {
	b := newBench(t, false)
	one, two := newTale(each(2)).until(1), newTale(each(2)).until(1)
	f, stop := b.feed(one)
	level(t, f)
	g := NewFeed(b.options(two, b.connect()))
	s, err := g.establish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.ring.session(s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.tail(ctx, s) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	p := &publisher{f: g, s: s, active: true, known: time.Now(), acks: acks{wake: make(chan struct{}, 1)}}
	if err := p.acks.listen(g.o.JS.Conn()); err != nil {
		t.Fatal(err)
	}
	if err := p.resume(ctx); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*tale{one, two} {
		l.until(2)
	}
	level(t, f) // before the other had its turn
	if err := p.steps(ctx, 2); err == nil {
		err = p.settle(ctx)
		if !errors.Is(err, errRefused) {
			t.Fatalf("publishing what is there: %v; want it refused", err)
		}
	}
	p.active = false
	if err := p.resume(ctx); err != nil {
		t.Fatal(err)
	}
	for head := domain.Seq(3); head < 10; head++ {
		one.until(head)
		p.known = time.Now().Add(time.Hour) // there is time
		if err := p.steps(ctx, head); err != nil || p.active || p.at.cursor != one.at(head) || p.at.stream != uint64(2*head) {
			t.Fatalf("standing by at %d: %v, active %v, at %+v", head, err, p.active, p.at)
		}
	}
	stop()
	p.known = time.Now()
	if err := p.steps(ctx, 10); err != nil || !p.active {
		t.Fatalf("with nobody else there: %v, active %v", err, p.active)
	}
	if wait := time.Since(p.known); wait < takeover {
		t.Errorf("took over after %v, want %v", wait, takeover)
	}
	wantStream(t, g.o.JS, one.changes(0, 10))
}

// A liar is a connection that after a number of reads takes what is sent on and answers nothing more, and then is cut.
type liar struct {
	net.Conn
	left *atomic.Int64
}

func (c liar) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.left.Add(-1) != 0 {
		return n, err
	}
	for deadline := time.Now().Add(30 * time.Millisecond); err == nil; { // what was sent meanwhile gets its answers here
		_ = c.SetReadDeadline(deadline)
		_, err = c.Conn.Read(b)
	}
	_ = c.Close()
	return 0, err
}

type lyingDialer struct{ left *atomic.Int64 }

func (d lyingDialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return liar{c, d.left}, err
}

// Answers are lost, again and again, with the connection: what was published is found in the stream, not published again.
func TestFeedLostAnswers(t *testing.T) {
	b, l := newBench(t, true), newTale(mixed)
	left := new(atomic.Int64)
	js := b.connect(nats.SetCustomDialer(lyingDialer{left}))
	f, _ := b.run(b.options(l, js))
	const head = 600
	for h := domain.Seq(100); h <= head; h += 100 {
		left.Store(int64(h / 100))
		l.until(h)
		eventually(t, "the connection to be cut, and made again", func() bool {
			_ = js.Conn().FlushTimeout(50 * time.Millisecond) // more to read, if that was not enough
			return left.Load() <= 0 && js.Conn().IsConnected()
		})
		level(t, f)
	}
	all := l.changes(0, head)
	wantStream(t, b.connect(), all)
	wantNext(t, follow(t, f, Cursor{}), all)
}

// The server goes away and comes back while a feed and its followers live.
func TestFeedServerRestart(t *testing.T) {
	b, l := newBench(t, true), newTale(mixed).until(100)
	f, _ := b.feed(l)
	r := follow(t, f, Cursor{})
	wantNext(t, r, l.changes(0, 100))
	for head := domain.Seq(200); head <= 500; head += 100 {
		b.stop()
		l.until(head)
		b.start()
		wantNext(t, r, l.changes(head-100, head))
	}
	wantStream(t, b.connect(), l.changes(0, 500))
}

// A stream that another log of the organisation left is not continued.
func TestFeedOfAnotherLog(t *testing.T) {
	b, old := newBench(t, false), newTale(mixed).until(200)
	f, stop := b.feed(old)
	level(t, f)
	cursor := old.at(100)
	stop()
	l := newTale(mixed).until(50)
	l.made = madeAt.Add(time.Nanosecond)
	f, _ = b.feed(l)
	level(t, f)
	wantStream(t, f.o.JS, l.changes(0, 50))
	wantRefetch(t, f, cursor)
	wantNext(t, follow(t, f, l.at(40)), l.changes(40, 50))
}

// A new feed of an old ledger begins with its last million events; what came before them is not to be followed.
func TestFeedBeginsLate(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed)
	o := b.options(l, b.connect())
	l.until(mostAtFirst + 5_000)
	config := NewFeed(o).config()
	if from := config.Metadata[fromKey]; from != l.at(5_000).String() {
		t.Errorf("with %d events it begins after %s, want 5000", l.Head(), from)
	}
	l.until(100)
	config.Metadata[fromKey] = l.at(50).String()
	if _, err := o.JS.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	f, _ := b.feed(l)
	level(t, f)
	wantStream(t, o.JS, l.changes(50, 100))
	wantRefetch(t, f, l.at(49))
	wantNext(t, follow(t, f, l.at(50)), l.changes(50, 100))
	if s, err := f.Status(t.Context()); err != nil || s.From != l.at(50) {
		t.Errorf("Status: %+v, %v; want it to begin after 50", s, err)
	}
}

// What the retention drops is refused, also to a reader that is on its way; what is left can be followed without a gap.
func TestFeedRetention(t *testing.T) {
	b, l := newBench(t, false), newTale(each(10)).until(1)
	f, _ := b.feed(l)
	for _, r := range []Retention{{Age: time.Second - 1}, {Age: -1}, {Size: leastSize - 1}, {Size: -1}} {
		if err := f.Retain(t.Context(), r); !errors.Is(err, domain.Malformed) {
			t.Errorf("Retain(%+v): %v; want it malformed", r, err)
		}
	}
	want := Retention{Age: 48 * time.Hour, Size: leastSize}
	if err := f.Retain(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	slow, read := follow(t, f, Cursor{}), follow(t, f, Cursor{})
	wantNext(t, read, l.changes(0, 1))
	head := domain.Seq(ringChanges/10 + 500)
	l.until(head)
	level(t, f)
	wantStream(t, f.o.JS, l.changes(0, head))
	status, err := f.Status(t.Context())
	if err != nil || status.Retention != want || status.Head != head || status.Position != head || status.Changes == 0 || status.Bytes > leastSize || status.From.Seq < 100 {
		t.Fatalf("Status: %+v, %v", status, err)
	}
	all := l.changes(0, head)
	first := slices.IndexFunc(all, func(c Change) bool { return status.From.Before(c.Cursor) })
	if int(status.Changes) != len(all)-first {
		t.Errorf("%d changes are kept from %s on, of %d", status.Changes, all[first].Cursor, len(all))
	}
	floor, _ := f.ring.ends()
	wantRefetch(t, f, Cursor{})
	wantRefetch(t, f, l.at(floor.Seq-1))
	wantNext(t, follow(t, f, floor), all[slices.IndexFunc(all, func(c Change) bool { return floor.Before(c.Cursor) }):])
	for _, r := range []*FeedReader{slow, read} {
		if b, err := r.Next(t.Context()); !errors.Is(err, ErrRefetch) {
			t.Errorf("of a slow reader: %d changes up to %s, %v; want that it has to begin again", len(b.Changes), b.Cursor, err)
		}
	}
	// The next feed has less in its ring than the stream holds.
	g, _ := b.feed(newTale(each(10)).until(head))
	level(t, g)
	wantRefetch(t, g, all[first-2].Cursor)
	for i, c := range []Cursor{status.From, all[first].Cursor, all[first+1].Cursor, all[first+25].Cursor} {
		at := first + []int{0, 1, 2, 26}[i]
		wantNext(t, follow(t, g, c), all[at:])
	}
	if err := f.Retain(t.Context(), Retention{}); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Status(t.Context()); err != nil || s.Retention != (Retention{}) {
		t.Errorf("Status: %+v, %v; want no limits", s, err)
	}
}

// The retention overtakes a reader that is reading the stream.
func TestFeedRetentionOvertakes(t *testing.T) {
	b, l := newBench(t, false), newTale(each(10)).until(1_000)
	f, stop := b.feed(l)
	level(t, f)
	stop()
	f, _ = b.feed(l)
	level(t, f)
	r := follow(t, f, l.at(3))
	wantNext(t, r, l.changes(3, 4))
	s, err := f.o.JS.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(7_001)); err != nil {
		t.Fatal(err)
	}
	last := l.at(4)
	for {
		b, err := r.Next(t.Context())
		if errors.Is(err, ErrRefetch) {
			break
		}
		if err != nil || b.Changes[0].Seq != last.Seq+1 {
			t.Fatalf("after %s: %d changes up to %s, %v", last, len(b.Changes), b.Cursor, err)
		}
		last = b.Cursor
	}
	if last.Seq >= 700 {
		t.Errorf("it was told to begin again after %s, of which nothing had been dropped", last)
	}
	wantRefetch(t, f, l.at(699))
	wantNext(t, follow(t, f, l.at(700)), l.changes(700, 1_000))
}

func TestFeedRefetch(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed).until(50)
	f, _ := b.feed(l)
	level(t, f)
	wantRefetch(t, f, Cursor{Seq: 10, Mark: "00000000"})
	wantRefetch(t, f, l.at(51))
	wantRefetch(t, f, Cursor{Seq: 1 << 60})
	r := follow(t, f, l.at(50)) // not so one that only comes early
	l.until(51)
	wantNext(t, r, l.changes(50, 51))
	var wg sync.WaitGroup
	wg.Go(func() { wantNext(t, follow(t, f, l.at(52)), l.changes(52, 53)) })
	l.until(53)
	wg.Wait()
}

// A crash takes the newest messages with it: they are published again, at the same sequences, and a consumer that had
// had them gets them again.
func TestFeedAfterACrash(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed).until(100)
	f, stop := b.feed(l)
	level(t, f)
	durable := func(js jetstream.JetStream) jetstream.Consumer {
		c, err := js.CreateOrUpdateConsumer(t.Context(), "PERMLEDGER_acme_CHANGES", jetstream.ConsumerConfig{Durable: "records", AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	consume := func(c jetstream.Consumer, want []Change) {
		t.Helper()
		for i := range want {
			msg, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			var got Change
			if err := json.Unmarshal(msg.Data(), &got); err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Fatalf("the durable consumer got %s, want %s", msg.Data(), want[i].Cursor)
			}
			if err := msg.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	consume(durable(f.o.JS), l.changes(0, 100))
	stop()
	b.stop()
	messages := filepath.Join(b.dir, "jetstream", "$G", "streams", "PERMLEDGER_acme_CHANGES", "msgs")
	older := filepath.Join(t.TempDir(), "msgs")
	if err := os.CopyFS(older, os.DirFS(messages)); err != nil {
		t.Fatal(err)
	}
	b.start()
	l.until(300)
	f, stop = b.feed(l)
	level(t, f)
	consume(durable(f.o.JS), l.changes(100, 300))
	stop()
	b.stop()
	if err := os.RemoveAll(messages); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(messages, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	b.start()
	lost := b.connect()
	wantStream(t, lost, l.changes(0, 100))
	f, _ = b.feed(l)
	level(t, f)
	all := l.changes(0, 300)
	wantStream(t, f.o.JS, all)
	wantNext(t, follow(t, f, l.at(250)), l.changes(250, 300)) // of one that had read what was lost
	l.until(310)
	c := durable(f.o.JS)
	consume(c, l.changes(100, 310))
}

// A process with its embedded server is killed while it publishes, three times; the fourth goes on.
func TestFeedKilled(t *testing.T) {
	const head = 4_000
	if dir := os.Getenv("FEED_TEST_DIRECTORY"); dir != "" { // this is the one to be killed
		b, l := &bench{t: t, dir: dir}, newTale(mixed)
		b.start()
		f, _ := b.feed(l)
		for h := domain.Seq(20); h <= head; h += 20 {
			l.until(h)
			level(t, f)
			here, _ := f.ring.newest()
			fmt.Println("published", here)
		}
		return
	}
	dir := t.TempDir()
	var before, lost int
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFeedKilled$")
		child.Env = append(os.Environ(), "FEED_TEST_DIRECTORY="+dir)
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		published, until := 0, before+500
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := fmt.Sscanf(lines.Text(), "published %d", &published); n == 1 && err == nil && published >= until {
				break
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // says that it was killed
		b := &bench{t: t, dir: dir}
		b.start()
		s, err := b.connect().Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
		if err != nil {
			t.Fatal(err)
		}
		lost += published - min(published, int(s.CachedInfo().State.LastSeq))
		before = published
		b.stop()
	}
	t.Logf("%d of %d published changes were lost by being killed", lost, before)
	b, l := &bench{t: t, dir: dir}, newTale(mixed).until(head)
	b.start()
	t.Cleanup(b.stop)
	f, _ := b.feed(l)
	level(t, f)
	wantStream(t, f.o.JS, l.changes(0, head))
}

// An external server crashes so, under a feed that lives on and followers that have read what was lost.
func TestFeedLivesThroughACrash(t *testing.T) {
	b, l := newBench(t, true), newTale(mixed).until(100)
	f, _ := b.feed(l)
	level(t, f)
	b.stop()
	messages := filepath.Join(b.dir, "jetstream", "$G", "streams", "PERMLEDGER_acme_CHANGES", "msgs")
	older := filepath.Join(t.TempDir(), "msgs")
	if err := os.CopyFS(older, os.DirFS(messages)); err != nil {
		t.Fatal(err)
	}
	b.start()
	l.until(300)
	r := follow(t, f, Cursor{})
	wantNext(t, r, l.changes(0, 300))
	b.stop()
	if err := errors.Join(os.RemoveAll(messages), os.CopyFS(messages, os.DirFS(older))); err != nil {
		t.Fatal(err)
	}
	b.start()
	js := b.connect()
	all := l.changes(0, 300)
	eventually(t, "the lost changes to be there again, without another event", func() bool {
		s, err := js.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
		return err == nil && int(s.CachedInfo().State.LastSeq) == len(all)
	})
	wantStream(t, js, all)
	l.until(310)
	wantNext(t, r, l.changes(300, 310))
	wantStream(t, js, l.changes(0, 310))
}

// Somebody deletes the stream under a living feed: it is made again, and whoever follows it misses nothing.
func TestFeedMadeAgain(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed).until(100)
	f, _ := b.run(b.options(l, b.connect()))
	level(t, f)
	r := follow(t, f, l.at(100))
	if err := f.o.JS.DeleteStream(t.Context(), "PERMLEDGER_acme_CHANGES"); err != nil {
		t.Fatal(err)
	}
	l.until(110)
	wantNext(t, r, l.changes(100, 110))
	wantStream(t, f.o.JS, l.changes(0, 110))
	wantNext(t, follow(t, f, l.at(20)), l.changes(20, 110))
}

// What a ring keeps from one session to the next.
func TestRingSession(t *testing.T) {
	l := newTale(each(1))
	on := func(made time.Time, first, last uint64) *stream {
		info := &jetstream.StreamInfo{State: jetstream.StreamState{FirstSeq: first, LastSeq: last, Msgs: last + 1 - first}}
		return &stream{made: made, info: info}
	}
	for _, c := range []struct {
		what     string
		next     *stream
		known    bool
		position domain.Seq
		from     uint64 // where the tail goes on after
	}{
		{"goes on", on(madeAt, 1, 15), true, 10, 10},
		{"lost some in a crash", on(madeAt, 1, 5), true, 10, 10},
		{"dropped all that was read", on(madeAt, 11, 15), true, 10, 10},
		{"dropped more", on(madeAt, 12, 15), false, 10, 11},
		{"dropped all", on(madeAt, 16, 15), false, 10, 15},
		{"is another", on(madeAt.Add(1), 1, 15), false, 0, 0},
		{"is another, and long", on(madeAt.Add(1), 1, 5_000), false, 0, 5_000 - tailStart},
	} {
		r := newRing()
		r.session(on(madeAt, 1, 0))
		r.begin(place{})
		previous := Cursor{}
		for i, change := range l.changes(0, 10) {
			r.add(message{change: change, previous: previous, stream: uint64(i + 1)})
			previous = change.Cursor
		}
		r.session(c.next)
		seen, _, _, _ := r.progress()
		here, published := r.newest()
		if r.known != c.known || r.position != c.position || here != c.from || seen != 0 || published != 0 || (len(r.blocks) == 10) != c.known {
			t.Errorf("a stream that %s: known %v, position %d, after %d, %d blocks, seen %d, published %d; want %+v", c.what, r.known, r.position, here, len(r.blocks), seen, published, c)
		}
	}
}

// What changed nothing is not computed again at the next start.
func TestFeedPosition(t *testing.T) {
	b := newBench(t, false)
	l := newTale(func(seq domain.Seq) int { return max(0, 3-int(seq)) }).until(5_000)
	f, stop := b.feed(l)
	level(t, f)
	stop()
	asks := len(l.asks())
	f, _ = b.feed(l.until(5_010))
	level(t, f)
	if after := l.asks()[asks:]; !reflect.DeepEqual(after, []domain.Seq{5_000}) {
		t.Errorf("the second feed asked for steps after %v, want 5000", after)
	}
	wantStream(t, f.o.JS, l.changes(0, 5_010))
}

// Everything was dropped: it goes on in the right place all the same, and where that can't be known, from the head.
func TestFeedAfterAllWasDropped(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed).until(100)
	f, stop := b.feed(l)
	level(t, f)
	stop()
	js := f.o.JS
	at, err := f.o.State.Get(t.Context(), "acme.position")
	if err != nil {
		t.Fatal(err)
	}
	f, stop = b.feed(l.until(200)) // of which the position will know nothing
	level(t, f)
	stop()
	if _, err := f.o.State.Put(t.Context(), "acme.position", at.Value()); err != nil {
		t.Fatal(err)
	}
	purge := func() {
		s, err := js.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	purge()
	f, stop = b.feed(l.until(230))
	level(t, f)
	wantRefetch(t, f, l.at(150))
	r := follow(t, f, l.at(200))
	l.until(250)
	wantNext(t, r, l.changes(200, 250))
	wantStream(t, js, l.changes(0, 250))
	stop()

	purge()
	if err := f.o.State.Delete(t.Context(), "acme.position"); err != nil {
		t.Fatal(err)
	}
	f, stop = b.feed(l.until(300))
	level(t, f)
	wantRefetch(t, f, l.at(299))
	r = follow(t, f, l.at(300))
	l.until(310)
	wantNext(t, r, l.changes(300, 310))
	stop()
	l.until(320)
	g, _ := b.feed(l)
	level(t, g)
	wantRefetch(t, g, l.at(299))
	wantNext(t, follow(t, g, l.at(300)), l.changes(300, 320))
}

// Where nothing changes, a reader is told how far that is so; never before a change that comes first.
func TestFeedCheckpoints(t *testing.T) {
	b := newBench(t, false)
	l := newTale(func(seq domain.Seq) int { return int(seq % 100 / 99) })
	f, _ := b.feed(l)
	r := follow(t, f, Cursor{})
	l.until(98)
	for c := (Cursor{}); c != l.at(98); {
		b, err := r.Next(t.Context())
		if err != nil || len(b.Changes) > 0 || !c.Before(b.Cursor) {
			t.Fatalf("after %s: %d changes up to %s, %v; want a checkpoint", c, len(b.Changes), b.Cursor, err)
		}
		c = b.Cursor
	}
	l.until(450)
	level(t, f)
	wantNext(t, r, l.changes(98, 450))
	eventually(t, "the position to be known", func() bool { _, p := f.ring.ends(); return p == 450 })
	if b, err := r.Next(t.Context()); err != nil || len(b.Changes) > 0 || b.Cursor != l.at(450) {
		t.Errorf("then %d changes up to %s, %v; want one checkpoint at 450", len(b.Changes), b.Cursor, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("then %d changes up to %s, %v; want nothing", len(b.Changes), b.Cursor, err)
	}
}

// The ledger's own failure ends the feed, and all that follow it.
func TestFeedEnds(t *testing.T) {
	b, l := newBench(t, false), newTale(mixed).until(10)
	f, stop := b.run(b.options(l, b.connect()))
	r := follow(t, f, l.at(10))
	broken := domain.Errorf(domain.Integrity, "log_forked", "the log is another")
	l.fail(broken)
	if b, err := r.Next(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Next: %+v, %v; want what the ledger says", b, err)
	}
	if err := stop(); !errors.Is(err, broken) {
		t.Errorf("Run: %v; want what the ledger says", err)
	}
	if _, err := f.Open(t.Context(), Cursor{}); !errors.Is(err, broken) {
		t.Errorf("Open: %v; want what the ledger says", err)
	}
	f, end := b.feed(newTale(mixed).until(10))
	level(t, f)
	end()
	if _, err := f.Status(t.Context()); !errors.Is(err, domain.Unavailable) {
		t.Errorf("Status of one that was stopped: %v", err)
	}
}

// Benchmarks. A change is some 300 bytes of body and 400 of headers.

func BenchmarkPublish(b *testing.B) {
	bench := newBench(b, false)
	l := newTale(each(1)).until(domain.Seq(b.N))
	js := bench.connect()
	b.ResetTimer()
	f, _ := bench.run(bench.options(l, js))
	level(b, f)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

// A thousand readers of one feed: with all changes there at once, and each change when all have had the one before.
func BenchmarkFanOut(b *testing.B) {
	const readers = 1_000
	fanOut := func(b *testing.B, stride int) {
		bench, l := newBench(b, false), newTale(each(1))
		f, _ := bench.run(bench.options(l, bench.connect()))
		level(b, f)
		var wg sync.WaitGroup
		there := make(chan struct{}, readers)
		for range readers {
			r := follow(b, f, l.at(0))
			wg.Go(func() {
				for to := min(stride, b.N); ; to = min(to+stride, b.N) {
					for r.cursor.Seq < domain.Seq(to) {
						if _, err := r.Next(b.Context()); err != nil {
							b.Error(err)
							return
						}
					}
					if there <- struct{}{}; to == b.N {
						return
					}
				}
			})
		}
		b.ResetTimer()
		for to := 0; to < b.N; {
			to = min(to+stride, b.N)
			l.until(domain.Seq(to))
			for range readers {
				<-there
			}
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)*readers/b.Elapsed().Seconds(), "deliveries/s")
	}
	b.Run("at-once", func(b *testing.B) { fanOut(b, b.N) })
	b.Run("one-by-one", func(b *testing.B) { fanOut(b, 1) })
}

// From the moment at which the ledger has an event to the change at a reader; beside it what the way through JetStream
// costs alone, from a bare publish to its delivery.
func BenchmarkLatency(b *testing.B) {
	bench, l := newBench(b, false), newTale(each(1))
	js := bench.connect()
	f, _ := bench.run(bench.options(l, js))
	r := follow(b, f, l.at(0))
	b.Run("feed", func(b *testing.B) {
		took := make([]time.Duration, b.N)
		for i := range took {
			began := time.Now()
			l.until(l.Head() + 1)
			for {
				batch, err := r.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if len(batch.Changes) > 0 {
					break
				}
			}
			took[i] = time.Since(began)
		}
		percentiles(b, took)
	})
	b.Run("bare", func(b *testing.B) {
		s, err := js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare"}, PersistMode: jetstream.AsyncPersistMode})
		if err != nil {
			b.Fatal(err)
		}
		c, err := s.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
		if err != nil {
			b.Fatal(err)
		}
		ms, err := c.Messages()
		if err != nil {
			b.Fatal(err)
		}
		defer ms.Stop()
		body := make([]byte, 300)
		took := make([]time.Duration, b.N)
		for i := range took {
			began := time.Now()
			if _, err := js.PublishAsync("bare", body); err != nil {
				b.Fatal(err)
			}
			if _, err := ms.Next(); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(began)
		}
		percentiles(b, took)
	})
}

func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
