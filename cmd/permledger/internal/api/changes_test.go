package api

// The change feed as its followers meet it: over a real connection, from a real feed of a real ledger. Nothing waits for time
// to pass: what goes by a timer is fired by hand.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// newFed is newWorld with the feed running, and with what the options say of it.
func newFed(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t}
	ctx := context.Background()
	var err error
	w.service, err = ledger.Open(ctx, ledger.Options{Data: t.TempDir(), Create: true, Feed: true, Now: func() time.Time {
		return began.Add(time.Duration(w.clock.Add(1)) * time.Second)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.service.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err = w.service.Init(ctx, "acme", []byte(records), "user:root", "test"); err != nil {
		t.Fatal(err)
	}
	if w.ledger, err = w.service.Ledger(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	o.Service = w.service
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w.handler = New(o)
	return w
}

// serve serves the handler until the test ends, whoever follows then.
func (w *world) serve() *httptest.Server {
	server := httptest.NewServer(w.handler)
	w.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// told is what the tests record: links, a role, a team, an exception, a deactivation.
var told = []string{
	`account.open {"account":"user:alice"}`,
	`account.open {"account":"user:bob"}`,
	`account.open {"account":"team:archive"}`,
	`account.open {"account":"record:record-1"}`,
	`account.open {"account":"record:record-2"}`,
	`role.assign {"principal":"user:bob","role":"admin"}`,
	`team.join {"team":"team:archive","member":"user:bob"}`,
	`caseload.link {"principal":"user:alice","client":"record:record-1","relation":"writer"}`,
	`resource.register {"resource":"note:n1","client":"record:record-1","created_by":"user:alice"}`,
	`caseload.link {"principal":"user:bob","client":"record:record-1","relation":"reader"}`,
	`caseload.link {"principal":"team:archive","client":"record:record-2","relation":"archived"}`,
	`permission.withhold {"principal":"user:alice","on":"record","action":"write","client":"record:record-1"}`,
	`role.assign {"principal":"user:alice","role":"owner"}`,
	`caseload.unlink {"principal":"user:bob","client":"record:record-1","relation":"reader"}`,
	`account.deactivate {"account":"user:bob"}`,
	`account.reactivate {"account":"user:bob"}`,
}

// sseEvent is one event as it came.
type sseEvent struct {
	name, data string
	id         *string
}

// change reads the event as a change.
func (e sseEvent) change(t *testing.T) (c consumers.Change) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.data), &c); err != nil {
		t.Fatalf("%s: %v: %s", e.name, err, e.data)
	}
	return c
}

// field gives one field of an event's data, as JSON.
func (e sseEvent) field(t *testing.T, name string) string {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.data), &o); err != nil {
		t.Fatalf("%s: %v: %s", e.name, err, e.data)
	}
	return string(o[name])
}

// following is one connection that follows the feed.
type following struct {
	t       *testing.T
	resp    *http.Response
	r       *bufio.Reader
	comment string // the newest comment line
}

// followed opens a connection; the header is Last-Event-ID where it is not "".
func followed(t *testing.T, client *http.Client, base, query, last string) *following {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/orgs/acme/changes?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%s: status %d, header %v", query, resp.StatusCode, resp.Header)
	}
	return &following{t: t, resp: resp, r: bufio.NewReader(resp.Body)}
}

// next reads the next event; ok is false where the answer ended.
func (f *following) next() (e sseEvent, ok bool) {
	f.t.Helper()
	for {
		line, err := f.r.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return e, false
		}
		if err != nil {
			f.t.Fatalf("reading the changes: %v after %q", err, line)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && e.name != "":
			return e, true
		case line == "\n":
			return sseEvent{name: "comment", data: f.comment}, true
		case name == "":
			f.comment = value
		case name == "event":
			e.name = value
		case name == "id":
			e.id = &value
		case name == "data":
			e.data = value
		default:
			f.t.Fatalf("a line that is none of the feed's: %q", line)
		}
	}
}

// want reads the next event, which must have the name.
func (f *following) want(name string) sseEvent {
	f.t.Helper()
	e, ok := f.next()
	if !ok || e.name != name {
		f.t.Fatalf("got %q %s (answer going on: %t), want %s", e.name, e.data, ok, name)
	}
	return e
}

// upTo reads events until one says that the seq is reached, and gives all of them.
func (f *following) upTo(seq domain.Seq) (all []sseEvent) {
	f.t.Helper()
	for {
		e, ok := f.next()
		if !ok {
			f.t.Fatalf("the answer ended before seq %d: %v", seq, all)
		}
		if e.name == "comment" {
			continue
		}
		all = append(all, e)
		if e.id == nil {
			continue
		}
		c, err := consumers.ParseCursor(*e.id)
		if err != nil {
			f.t.Fatalf("%s: id: %v", e.name, err)
		}
		if !c.Before(consumers.Cursor{Seq: seq}) {
			return all
		}
	}
}

// changes keeps of events those that are changes.
func changesOf(events []sseEvent) (changes []sseEvent) {
	for _, e := range events {
		if e.name == consumers.Gained || e.name == consumers.Lost {
			changes = append(changes, e)
		}
	}
	return changes
}

// folded is what a follower makes of changes: the newest for a subject, action and resource or all of its type.
type folded map[string]bool

func (f folded) apply(c consumers.Change) {
	for _, a := range c.Actions {
		at := fmt.Sprintf("%s %s ", c.Subject, a)
		if kind, ok := strings.CutSuffix(string(c.Resource), "*"); ok {
			for k := range f {
				if strings.HasPrefix(k, at+kind) {
					delete(f, k)
				}
			}
		}
		f[at+string(c.Resource)] = c.Kind == consumers.Gained
	}
}

// may tells who may do the action to the resource.
func (f folded) who(subjects []domain.Account, a domain.Action, r domain.Resource) (may []string) {
	for _, s := range subjects {
		at := fmt.Sprintf("%s %s ", s, a)
		yes, known := f[at+string(r)]
		if !known {
			yes = f[at+string(r.Kind())+":*"]
		}
		if yes {
			may = append(may, string(s))
		}
	}
	slices.Sort(may)
	return may
}

// agrees holds what was folded against who, for every question that the tests' history can be asked.
func (f folded) agrees(w *world) {
	w.t.Helper()
	subjects := []domain.Account{"user:root", "user:alice", "user:bob", "team:archive", "record:record-1", "record:record-2"}
	asked := 0
	for r, actions := range map[domain.Resource][]domain.Action{
		"record:record-1": {"read", "write", "delete", "account.open"}, "record:record-2": {"read", "write", "caseload.link"},
		"note:n1": {"view", "edit", "export"}, "user:bob": {"greet", "role.assign"}, "team:archive": {"team.join"}, "platform:main": {"configure"},
	} {
		for _, a := range actions {
			var answer struct{ Results []struct{ Subject string } }
			if err := json.Unmarshal([]byte(w.get("/orgs/acme/who", "action", string(a), "resource", string(r)).want(200).body), &answer); err != nil {
				w.t.Fatal(err)
			}
			var want []string
			for _, s := range answer.Results {
				want = append(want, s.Subject)
			}
			slices.Sort(want)
			if got := f.who(subjects, a, r); !slices.Equal(got, want) {
				w.t.Errorf("%s %s: the changes come to %v, who says %v", a, r, got, want)
			}
			asked += len(want)
		}
	}
	if asked < 10 {
		w.t.Errorf("only %d yeses were compared", asked)
	}
}

// A snapshot and what follows it come to what who says; and so does following from the beginning.
func TestChangesComeToWho(t *testing.T) {
	w := newFed(t, Options{})
	server := w.serve()
	w.record(told[:9]...)
	for _, from := range []string{"snapshot=true", "after=0"} {
		f := followed(t, server.Client(), server.URL, from, "")
		state, done := folded{}, false
		if from == "after=0" {
			for _, e := range changesOf(f.upTo(w.ledger.Head())) {
				state.apply(e.change(t))
			}
		}
		for from == "snapshot=true" && !done {
			e, _ := f.next()
			if done = e.name == "snapshot_end"; done {
				if e.field(t, "seq") != fmt.Sprint(w.ledger.Head()) || e.id == nil || e.field(t, "cursor") != fmt.Sprintf("%q", *e.id) || e.field(t, "at") == "" {
					t.Errorf("snapshot_end: %s", e.data)
				}
				continue
			}
			if e.name != consumers.Gained && e.name != consumers.Lost || e.id != nil || e.field(t, "cursor") != "" || e.field(t, "cause") != "" {
				t.Fatalf("in a snapshot: %+v", e)
			}
			state.apply(e.change(t))
		}
		state.agrees(w)
		if from == "snapshot=true" {
			for _, c := range told[9:] {
				for _, e := range changesOf(f.upTo(w.record(c))) {
					if e.id == nil || e.field(t, "cursor") != fmt.Sprintf("%q", *e.id) || e.name != e.change(t).Kind {
						t.Fatalf("%+v", e)
					}
					state.apply(e.change(t))
				}
				state.agrees(w)
			}
		}
	}
}

// Whoever comes back with any id gets what comes after it, whether by header or by parameter, of which the header counts.
func TestChangesResume(t *testing.T) {
	w := newFed(t, Options{})
	server := w.serve()
	head := w.record(told...)
	for _, filter := range []string{"", "&about=record:record-1", "&kind=gained", "&subject=user:alice"} {
		all := changesOf(followed(t, server.Client(), server.URL, "after=0"+filter, "").upTo(head))
		if len(all) < 4 {
			t.Fatalf("%s: only %d changes", filter, len(all))
		}
		for i, e := range all {
			for _, f := range []*following{
				followed(t, server.Client(), server.URL, "after=0"+filter, *e.id),
				followed(t, server.Client(), server.URL, "snapshot=true&after="+*e.id+filter, ""),
			} {
				first := f.want("checkpoint")
				if *first.id != *e.id {
					t.Errorf("%s after %s: it begins after %s", filter, *e.id, *first.id)
				}
				rest := []sseEvent{}
				if i+1 < len(all) || *e.id != fmt.Sprintf("%d~%s", head, w.ledger.Feed().Mark()) {
					rest = changesOf(f.upTo(head))
				}
				var got, want []string
				for _, e := range rest {
					got = append(got, e.data)
				}
				for _, e := range all[i+1:] {
					want = append(want, e.data)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s after %s:\ngot  %v\nwant %v", filter, *e.id, got, want)
				}
				f.resp.Body.Close()
			}
		}
	}
}

func TestChangesFilters(t *testing.T) {
	w := newFed(t, Options{})
	server := w.serve()
	head := w.record(told...)
	all := changesOf(followed(t, server.Client(), server.URL, "after=0", "").upTo(head))
	for _, c := range []struct {
		query string
		fits  func(consumers.Change) bool
	}{
		{"subject=user:alice", func(c consumers.Change) bool { return c.Subject == "user:alice" }},
		{"kind=lost", func(c consumers.Change) bool { return c.Kind == "lost" }},
		{"kind=lost,user", func(c consumers.Change) bool { return c.Kind == "lost" && c.Subject.Kind() == "user" }},
		{"kind=gained&subject=user:bob", func(c consumers.Change) bool { return c.Kind == "gained" && c.Subject == "user:bob" }},
	} {
		var got, want []string
		for _, e := range changesOf(followed(t, server.Client(), server.URL, "after=0&"+c.query, "").upTo(head)) {
			ch := e.change(t)
			ch.Cursor = consumers.Cursor{} // the last wanted of an event has the whole event's
			got = append(got, string(marshal(ch)))
		}
		for _, e := range all {
			if ch := e.change(t); c.fits(ch) {
				ch.Cursor = consumers.Cursor{}
				want = append(want, string(marshal(ch)))
			}
		}
		if !slices.Equal(got, want) || len(got) == 0 || len(got) == len(all) {
			t.Errorf("%s: %d of %d changes\ngot  %v\nwant %v", c.query, len(got), len(all), got, want)
		}
	}

	// About one record: what is said of all records is resolved for it, and comes to what who says of it.
	state := folded{}
	for _, e := range changesOf(followed(t, server.Client(), server.URL, "after=0&about=record:record-1", "").upTo(head)) {
		c := e.change(t)
		if c.Resource != "record:record-1" {
			t.Errorf("about record:record-1: %s", e.data)
		}
		state.apply(c)
	}
	got := state.who([]domain.Account{"user:root", "user:alice", "user:bob"}, "delete", "record:record-1")
	if want := []string{"user:alice", "user:root"}; !slices.Equal(got, want) {
		t.Errorf("may delete record-1: the changes about it come to %v, want the owners %v", got, want)
	}

	// The last that is wanted of an event says that the event is over, also where others come after it that are not.
	about := changesOf(followed(t, server.Client(), server.URL, "after=0&about=record:record-1", "").upTo(head))
	for i, e := range about {
		c := e.change(t)
		if last := i+1 == len(about) || about[i+1].change(t).Seq != c.Seq; last != (c.Cursor.N == 0) {
			t.Errorf("%s: is it the last of its event? %t", e.data, last)
		}
	}
}

// Resolved for one resource, changes are several of one: the first of them is no place to go on after.
func TestPlaced(t *testing.T) {
	cursor := func(s string) consumers.Cursor {
		c, err := consumers.ParseCursor(s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	batch := consumers.Batch{Cursor: cursor("7")}
	for _, c := range []string{"7.1", "7.2", "7.3", "7"} {
		batch.Changes = append(batch.Changes, consumers.Change{Cursor: cursor(c)})
	}
	for _, c := range []struct{ wanted, want string }{
		{"7.1 7.2 7.3 7", "7.1 7.2 7.3 7"},
		{"7.1 7.2", "7.1 7"},
		{"7.2", "7"},
		{"7.2 7.2 7", "7.1 7.2 7"},
		{"7.1 7 7", "7.1 7.3 7"},
		{"7.3 7.2", "7.2 7"},
		{"7.1 7.1 7", "6.4 7.1 7"},
	} {
		var wanted []consumers.Change
		for s := range strings.FieldsSeq(c.wanted) {
			wanted = append(wanted, consumers.Change{Cursor: cursor(s)})
		}
		var got []string
		for _, p := range placed(wanted, batch, cursor("6.4")) {
			got = append(got, p.Cursor.String())
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.wanted, got, c.want)
		}
		if wanted[0].Cursor != cursor(strings.Fields(c.wanted)[0]) {
			t.Errorf("%s: what was given is changed", c.wanted)
		}
	}
}

// A cursor that can't be followed gets must_refetch, and where a snapshot was asked for, one on the same connection.
func TestChangesMustRefetch(t *testing.T) {
	w := newFed(t, Options{})
	server := w.serve()
	head := w.record(told[:8]...)
	refetched := func(e sseEvent) {
		t.Helper()
		from := consumers.Cursor{Mark: w.ledger.Feed().Mark()}
		if e.id == nil || *e.id != "" || e.field(t, "from") != fmt.Sprintf("%q", from) || !strings.Contains(e.data, "snapshot") {
			t.Errorf("must_refetch: id %v, %s; want an empty id, and from %s", e.id, e.data, from)
		}
	}
	f := followed(t, server.Client(), server.URL, "after=5~00000000", "")
	refetched(f.want("must_refetch"))
	if e, ok := f.next(); ok {
		t.Errorf("after must_refetch: %+v, want the end", e)
	}

	f = followed(t, server.Client(), server.URL, "snapshot=true", "5~00000000")
	refetched(f.want("must_refetch"))
	state := folded{}
	for {
		e, _ := f.next()
		if e.name == "snapshot_end" {
			break
		}
		state.apply(e.change(t))
	}
	for _, e := range changesOf(f.upTo(w.record(told[8:]...))) {
		state.apply(e.change(t))
	}
	state.agrees(w)
	if w.ledger.Head() == head {
		t.Error("nothing followed")
	}
}

// timers stand for those that followers are looked after by: each is handed out when it is set, to be fired.
type timers chan func()

func (ts timers) after(d time.Duration, do func()) (stop func() bool) {
	if d != lookEvery {
		panic(d)
	}
	ts <- do
	return func() bool { return true }
}

// Whoever wants nothing of what happens learns all the same how far it has come, and that its connection is alive.
func TestChangesCheckpoints(t *testing.T) {
	ts := make(timers, 1)
	closing, stop := context.WithCancel(t.Context())
	w := newFed(t, Options{after: ts.after, Closing: closing})
	server := w.serve()
	f := followed(t, server.Client(), server.URL, "kind=team,lost", "")
	e := f.want("checkpoint")
	if want := fmt.Sprintf("%d~%s", w.ledger.Head(), w.ledger.Feed().Mark()); *e.id != want || e.data != fmt.Sprintf(`{"cursor":%q,"seq":%d}`, want, w.ledger.Head()) {
		t.Errorf("it begins with %s %s, want %s", *e.id, e.data, want)
	}
	fire := <-ts
	for range looks - 1 { // nothing to say
		fire()
		fire = <-ts
	}
	fire()
	if e := f.want("comment"); e.data != "heartbeat" {
		t.Errorf("got %q", e.data)
	}
	fire = <-ts

	head := w.record(told[:3]...)
	told := make(chan sseEvent)
	go func() {
		defer close(told)
		for {
			e, ok := f.next()
			if !ok {
				return
			}
			told <- e
		}
	}()
	for told, at := (<-chan sseEvent)(told), domain.Seq(0); at < head; { // the feed takes its time
		select {
		case e := <-told:
			if e.name == "comment" {
				continue
			}
			c, err := consumers.ParseCursor(*e.id)
			if e.name != "checkpoint" || err != nil {
				t.Fatalf("%+v", e)
			}
			at = c.Seq
		case again := <-ts:
			fire = again
		default:
			fire()
		}
	}
	stop()
	for ended := false; !ended; {
		select {
		case _, going := <-told:
			ended = !going
		case <-ts:
		}
	}
}

// Whoever catches up with a filter that nothing passes is told at once that there was nothing.
func TestChangesLevel(t *testing.T) {
	w := newFed(t, Options{after: func(time.Duration, func()) func() bool { return func() bool { return true } }})
	server := w.serve()
	head := w.record(told...)
	f := followed(t, server.Client(), server.URL, "after=0&subject=team:archive", "")
	if e := f.want("checkpoint"); *e.id != "0~"+w.ledger.Feed().Mark() {
		t.Errorf("it begins after %s", *e.id)
	}
	if e := f.want("checkpoint"); e.field(t, "seq") != fmt.Sprint(head) {
		t.Errorf("level at %s, want %d", e.data, head)
	}
}

// pipes is a listener of connections that hold nothing: what is written waits until it is read.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// A follower that takes nothing is cut, and only then.
func TestChangesSlowFollower(t *testing.T) {
	w := newFed(t, Options{takeWait: time.Millisecond})
	ended := make(chan struct{})
	handler := w.handler
	p := newPipes()
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(rw, r)
	})}
	go server.Serve(p)
	defer server.Close()
	conn := p.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /orgs/acme/changes?snapshot=true HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-ended // nothing of the snapshot was read
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading what was cut: %v", err)
	}
}

// A stream outlives the time that a request may take to be read or answered.
func TestChangesOutliveTimeouts(t *testing.T) {
	w := newFed(t, Options{})
	server := httptest.NewUnstartedServer(w.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 20*time.Millisecond, 20*time.Millisecond
	server.Start()
	defer server.Close()
	defer server.CloseClientConnections()
	f := followed(t, server.Client(), server.URL, "", "")
	f.want("checkpoint")
	conn, err := net.Dial("tcp", server.Listener.Addr().String()) // after the stream began
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\n"); err != nil { // and no more: it is cut when its time is over
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	head := w.record(told[:1]...)
	f.upTo(head)
}

// Followers do not keep a server from stopping; their streams end as whole ones.
func TestChangesEndWithTheServer(t *testing.T) {
	closing, stop := context.WithCancel(t.Context())
	w := newFed(t, Options{Closing: closing})
	server := w.serve()
	f := followed(t, server.Client(), server.URL, "", "")
	f.want("checkpoint")
	stop()
	if e, ok := f.next(); ok {
		t.Errorf("got %+v, want the end", e)
	}
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestChangesRefused(t *testing.T) {
	closed, stop := context.WithCancel(t.Context())
	stop() // what is not refused ends at once
	w := newFed(t, Options{Closing: closed})
	for _, c := range []struct {
		query, last string
		status      int
		code        string
	}{
		{"after=x", "", 400, "bad_cursor"},
		{"after=0", "1~x", 400, "bad_cursor"},
		{"after=", "", 400, "bad_parameter"},
		{"snapshot=yes", "", 400, "bad_parameter"},
		{"about=c1", "", 400, "bad_resource"},
		{"about=record:*", "", 400, "bad_resource"},
		{"subject=c1", "", 400, "bad_account"},
		{"kind=Lost", "", 400, "bad_kind"},
		{"kind=lost,", "", 400, "bad_kind"},
		{"since=1", "", 400, "unknown_parameter"},
		{"about=user:nobody", "", 404, "unknown_account"},
		{"about=nothing:1", "", 400, "unknown_kind"},
		{"subject=user:nobody", "", 404, "unknown_account"},
		{"kind=robot", "", 400, "unknown_kind"},
	} {
		w.do(http.MethodGet, "/orgs/acme/changes?"+c.query, "", "Last-Event-ID", c.last).problem(c.status, c.code)
	}
	w.do(http.MethodGet, "/orgs/none/changes", "").problem(404, "unknown_org")
	w.do(http.MethodPost, "/orgs/acme/changes", "").problem(405, "method_not_allowed")
	if a := w.do(http.MethodHead, "/orgs/acme/changes", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s: %d %v %q", a.asked, a.status, a.header, a.body)
	}
	without := newWorld(t)
	for _, path := range []string{"changes", "feed", "subscribers", "subscribers/x"} {
		without.get("/orgs/acme/"+path).problem(503, "no_feed")
	}
}
