package consumers

// Following over a connection that the test has in its hand: within a bubble of testing/synctest, where hours pass at once
// and a goroutine that is left over fails the test. The real service is followed in cmd/permledger.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/permledger/permledger/domain"
)

// inMemory carries requests to a handler without a network, whose goroutines a bubble could not see.
type inMemory func(w http.ResponseWriter, r *http.Request)

func (h inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	a := &inMemoryAnswer{header: make(http.Header), PipeWriter: w, begun: make(chan int, 1)}
	gone := context.AfterFunc(r.Context(), func() { body.CloseWithError(context.Cause(r.Context())) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		h(a, r)
		gone()
		a.WriteHeader(http.StatusOK)
		w.Close()
	}()
	select {
	case status := <-a.begun:
		return &http.Response{StatusCode: status, Header: a.header, Body: inMemoryBody{body, done}, Request: r}, nil
	case <-r.Context().Done():
		<-done
		return nil, r.Context().Err()
	}
}

// inMemoryBody waits for the handler when it is closed.
type inMemoryBody struct {
	*io.PipeReader
	done <-chan struct{}
}

func (b inMemoryBody) Close() error {
	b.PipeReader.Close()
	<-b.done
	return nil
}

type inMemoryAnswer struct {
	*io.PipeWriter
	header http.Header
	begun  chan int
	sent   bool
}

func (a *inMemoryAnswer) Header() http.Header { return a.header }

func (a *inMemoryAnswer) WriteHeader(status int) {
	if !a.sent {
		a.sent = true
		a.begun <- status
	}
}

func (a *inMemoryAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.PipeWriter.Write(b)
}

const mark = "9f2c01ab"

func at(seq domain.Seq, n int) Cursor { return Cursor{Seq: seq, N: n, Mark: mark} }

// anEvent gives the text of an event of the stream.
func anEvent(name string, id string, data any) string {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return id + "event: " + name + "\ndata: " + string(b) + "\n\n"
}

// theChange gives a change of somebody, e.g. "anna", at a cursor; "-anna" for a loss.
func theChange(seq domain.Seq, c Cursor, who string) Change {
	kind := Gained
	if id, lost := strings.CutPrefix(who, "-"); lost {
		who, kind = id, Lost
	}
	return Change{Cursor: c, Seq: seq, At: domain.Instant(seq), Kind: kind, Subject: domain.Account("professional:" + who), Resource: "client:c1", Actions: []domain.Action{"view"}}
}

func told(seq domain.Seq, c Cursor, who string) string {
	id := ""
	if c != (Cursor{}) {
		id = c.String()
	}
	ch := theChange(seq, c, who)
	return anEvent(ch.Kind, id, ch)
}

func toldCheckpoint(c Cursor) string {
	return anEvent("checkpoint", c.String(), map[string]any{"cursor": c, "seq": c.Seq})
}

// toldSnapshot gives a snapshot of those who may.
func toldSnapshot(c Cursor, who ...string) (s string) {
	for _, w := range who {
		s += told(c.Seq, Cursor{}, w)
	}
	return s + anEvent("snapshot_end", c.String(), map[string]any{"cursor": c, "seq": c.Seq, "at": "2026-01-05T09:00:00.000Z"})
}

const toldRefetch = "id:\nevent: must_refetch\ndata: {\"reason\":\"too old\",\"from\":null}\n\n"

func sends(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/event-stream")
	_, err := io.WriteString(w, text)
	return err
}

// A keeper does what a Handler should: it stores what it did and the cursor in one transaction. It writes down each call,
// and ends the following when it has come to a cursor.
type keeper struct {
	may    map[domain.Account]bool
	cursor Cursor
	calls  []string
	until  Cursor
	end    context.CancelFunc
	fail   func(call string) error // nil: never

	mu sync.Mutex // guards the first three, for whoever looks meanwhile
}

func (k *keeper) handled() Cursor {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cursor
}

func newKeeper() *keeper { return &keeper{may: make(map[domain.Account]bool)} }

func short(changes []Change) string {
	var s []string
	for _, c := range changes {
		sign := "+"
		if c.Kind == Lost {
			sign = "-"
		}
		s = append(s, sign+domain.Resource(c.Subject).ID())
	}
	return strings.Join(s, " ")
}

func (k *keeper) kept(call string, c Cursor, may map[domain.Account]bool) error {
	if k.fail != nil {
		if err := k.fail(call); err != nil {
			return err
		}
	}
	k.mu.Lock()
	k.may, k.cursor, k.calls = may, c, append(k.calls, call)
	k.mu.Unlock()
	if c == k.until {
		k.end()
	}
	return nil
}

func (k *keeper) apply(may map[domain.Account]bool, changes []Change) {
	for _, c := range changes {
		if c.Kind == Lost {
			delete(may, c.Subject)
		} else {
			may[c.Subject] = true
		}
	}
}

func (k *keeper) Snapshot(_ context.Context, s *SnapshotReader) error {
	var changes []Change
	for c, err := range s.Changes() {
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	may := make(map[domain.Account]bool)
	k.apply(may, changes)
	return k.kept("anew: "+short(changes)+" @"+s.Cursor.String(), s.Cursor, may)
}

func (k *keeper) Changes(_ context.Context, b Batch) error {
	may := maps.Clone(k.may)
	k.apply(may, b.Changes)
	return k.kept(short(b.Changes)+" @"+b.Cursor.String(), b.Cursor, may)
}

// follows follows the handler within a bubble until the keeper has come to a cursor.
func follows(t *testing.T, k *keeper, until Cursor, o FollowOptions, h inMemory) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k.until, k.end = until, cancel
	o.URL, o.Org, o.Client = "http://ledger.test/", "acme", &http.Client{Transport: h}
	return Follow(ctx, o, k)
}

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name     string
		snapshot bool
		after    Cursor
		stream   string
		want     []string
	}{
		{name: "changes of one event are handed over together", after: at(1, 0),
			stream: told(2, at(2, 1), "anna") + told(2, at(2, 0), "bob") + told(3, at(3, 0), "-anna"),
			want:   []string{"+anna +bob @2~9f2c01ab", "-anna @3~9f2c01ab"}},
		{name: "also those that can't be gone on from", after: at(1, 0),
			stream: told(2, Cursor{}, "anna") + told(2, Cursor{}, "bob") + told(2, at(2, 0), "-carl") + told(3, at(3, 0), "dora"),
			want:   []string{"+anna +bob -carl @2~9f2c01ab", "+dora @3~9f2c01ab"}},
		{name: "where the last change of an event is filtered out, the next event ends it", after: at(1, 0),
			stream: told(2, at(2, 1), "anna") + told(3, at(3, 0), "bob"),
			want:   []string{"+anna @2~9f2c01ab", "+bob @3~9f2c01ab"}},
		{name: "or a checkpoint does", after: at(1, 0),
			stream: told(2, at(2, 1), "anna") + toldCheckpoint(at(3, 0)),
			want:   []string{"+anna @2~9f2c01ab", " @3~9f2c01ab"}},
		{name: "an event is gone on with in its middle", after: at(2, 1),
			stream: told(2, at(2, 2), "bob") + told(2, at(2, 0), "carl") + toldCheckpoint(at(3, 0)),
			want:   []string{"+bob +carl @2~9f2c01ab", " @3~9f2c01ab"}},
		{name: "checkpoints move on, and are handed over once", after: at(1, 0),
			stream: toldCheckpoint(at(1, 0)) + toldCheckpoint(at(2, 0)) + toldCheckpoint(at(2, 0)) + toldCheckpoint(at(3, 0)),
			want:   []string{" @2~9f2c01ab", " @3~9f2c01ab"}},
		{name: "from now on",
			stream: toldCheckpoint(at(2, 0)) + told(3, at(3, 0), "anna"),
			want:   []string{" @2~9f2c01ab", "+anna @3~9f2c01ab"}},
		{name: "a snapshot first", snapshot: true,
			stream: toldSnapshot(at(2, 0), "anna", "bob", "-carl") + told(3, at(3, 0), "-anna"),
			want:   []string{"anew: +anna +bob -carl @2~9f2c01ab", "-anna @3~9f2c01ab"}},
		{name: "a snapshot of nothing", snapshot: true,
			stream: toldSnapshot(at(0, 0)) + told(3, at(3, 0), "anna"),
			want:   []string{"anew:  @0~9f2c01ab", "+anna @3~9f2c01ab"}},
		{name: "no snapshot where there is a cursor", snapshot: true, after: at(2, 0),
			stream: toldCheckpoint(at(2, 0)) + told(3, Cursor{}, "bob") + told(3, at(3, 0), "anna"),
			want:   []string{"+bob +anna @3~9f2c01ab"}},
		{name: "a snapshot where the cursor can't be gone on from", snapshot: true, after: at(1, 0),
			stream: toldRefetch + toldSnapshot(at(2, 0), "anna") + told(3, at(3, 0), "bob"),
			want:   []string{"anew: +anna @2~9f2c01ab", "+bob @3~9f2c01ab"}},
		{name: "and where following stops being possible", snapshot: true, after: at(1, 0),
			stream: told(2, at(2, 1), "carl") + toldRefetch + toldSnapshot(at(3, 0), "anna"),
			want:   []string{"anew: +anna @3~9f2c01ab"}},
		{name: "heartbeats and empty lines are nothing", after: at(1, 0),
			stream: ": heartbeat\n\n\n\n" + told(2, at(2, 1), "anna") + ": heartbeat\n\n" + told(2, at(2, 0), "bob") + told(3, at(3, 0), "-bob"),
			want:   []string{"+anna +bob @2~9f2c01ab", "-bob @3~9f2c01ab"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKeeper()
				err := follows(t, k, at(3, 0), FollowOptions{After: c.after, Snapshot: c.snapshot}, func(w http.ResponseWriter, r *http.Request) {
					sends(w, c.stream)
					<-r.Context().Done()
				})
				if err != nil || !slices.Equal(k.calls, c.want) {
					t.Errorf("%q:\ngot  %q, %v\nwant %q", c.stream, k.calls, err, c.want)
				}
			})
		})
	}
}

// An event of very many changes comes in parts, each of which can be gone on from.
func TestFollowParts(t *testing.T) {
	var stream strings.Builder
	const many = 3*partOf + 7
	for i := 1; i < many; i++ {
		c := at(2, i)
		if i%partOf == 0 { // in the middle of what can't be gone on from
			c = Cursor{}
		}
		stream.WriteString(told(2, c, "p"+strconv.Itoa(i)))
	}
	stream.WriteString(told(2, at(2, 0), "last"))
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		err := follows(t, k, at(2, 0), FollowOptions{After: at(1, 0)}, func(w http.ResponseWriter, r *http.Request) {
			sends(w, stream.String())
			<-r.Context().Done()
		})
		if err != nil || len(k.calls) != 4 || len(k.may) != many {
			t.Fatalf("got %d calls with %d changes, %v, want 4 with %d", len(k.calls), len(k.may), err, many)
		}
		for i, end := range []string{"@2.4097~9f2c01ab", "@2.8193~9f2c01ab", "@2.12289~9f2c01ab", "@2~9f2c01ab"} {
			if _, got, _ := strings.Cut(k.calls[i], "@"); "@"+got != end {
				t.Errorf("part %d: got @%s, want %s", i, got, end)
			}
		}
	})
}

// The connection is cut behind every byte: what was handled is the same, each once.
func TestFollowCutAnywhere(t *testing.T) {
	head := toldSnapshot(at(2, 0), "anna", "bob")
	parts := []string{ // what follows each cursor
		told(3, Cursor{}, "carl") + told(3, at(3, 0), "-anna"),
		told(4, at(4, 1), "dora") + told(4, at(4, 0), "-bob"),
		toldCheckpoint(at(6, 0)),
		told(7, at(7, 0), "anna"),
	}
	ends := map[string]int{at(2, 0).String(): 0, at(3, 0).String(): 1, at(4, 0).String(): 2, at(6, 0).String(): 3}
	want := []string{"anew: +anna +bob @2~9f2c01ab", "+carl -anna @3~9f2c01ab", "+dora -bob @4~9f2c01ab", " @6~9f2c01ab", "+anna @7~9f2c01ab"}
	all := head + strings.Join(parts, "")
	for cut := range len(all) {
		synctest.Test(t, func(t *testing.T) {
			connections := 0
			k := newKeeper()
			err := follows(t, k, at(7, 0), FollowOptions{Snapshot: true}, func(w http.ResponseWriter, r *http.Request) {
				connections++
				after := r.URL.Query().Get("after")
				from, known := ends[after]
				text := strings.Join(parts[from:], "")
				if !known {
					text = head + text
				}
				if after != "" && !known || r.URL.Query().Get("snapshot") != "true" {
					t.Errorf("cut after %d bytes: asked for %s, want a cursor that was handled, and a snapshot", cut, r.URL.RawQuery)
				}
				if connections == 1 {
					sends(w, text[:cut])
					return
				}
				sends(w, text)
				<-r.Context().Done()
			})
			if err != nil || !slices.Equal(k.calls, want) || connections > 2 {
				t.Fatalf("cut after %d bytes: %q, %v, by %d connections\nwant %q", cut, k.calls, err, connections, want)
			}
		})
	}
}

// A handler's error ends it, and what it failed on was not handled. So does a snapshot that is not read.
func TestFollowHandlerFails(t *testing.T) {
	full := errors.New("the disk is full")
	stream := toldSnapshot(at(2, 0), "anna") + told(3, at(3, 0), "bob")
	for failing, want := range map[string]Cursor{"anew: +anna @2~9f2c01ab": {}, "+bob @3~9f2c01ab": at(2, 0)} {
		synctest.Test(t, func(t *testing.T) {
			k := newKeeper()
			k.fail = func(call string) error {
				if call == failing {
					return full
				}
				return nil
			}
			err := follows(t, k, at(3, 0), FollowOptions{Snapshot: true}, func(w http.ResponseWriter, r *http.Request) {
				sends(w, stream)
				<-r.Context().Done()
			})
			if err != full || k.cursor != want {
				t.Errorf("failing on %q: got %v at %s, want %v at %s", failing, err, k.cursor, full, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		o := FollowOptions{URL: "http://ledger.test", Org: "acme", Snapshot: true, Client: &http.Client{Transport: inMemory(func(w http.ResponseWriter, r *http.Request) {
			sends(w, stream)
			<-r.Context().Done()
		})}}
		if err := Follow(context.Background(), o, unread{}); !errors.Is(err, ErrUnread) {
			t.Errorf("a snapshot that is not read: got %v, want %v", err, ErrUnread)
		}
	})
}

type unread struct{ Handler }

func (unread) Snapshot(context.Context, *SnapshotReader) error { return nil }

// What a handler makes of a snapshot that broke off does not matter: it gets it again.
func TestFollowSnapshotBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections, ended := 0, 0
		ctx, cancel := context.WithCancel(context.Background())
		h := snapshots(func(s *SnapshotReader) error {
			n := 0
			for _, err := range s.Changes() {
				if err != nil {
					ended++
					return nil // as if nothing were the matter
				}
				n++
			}
			if n != 2 || s.Cursor != at(2, 0) || s.At.String() != "2026-01-05T09:00:00.000Z" {
				t.Errorf("got %d changes up to %s of %s, want 2 up to 2", n, s.Cursor, s.At)
			}
			cancel()
			return nil
		})
		whole := toldSnapshot(at(2, 0), "anna", "bob")
		o := FollowOptions{URL: "http://ledger.test", Org: "acme", Snapshot: true, Client: &http.Client{Transport: inMemory(func(w http.ResponseWriter, r *http.Request) {
			switch connections++; connections {
			case 1:
				sends(w, whole[:len(whole)/2])
			case 2: // the service gave it up itself
				sends(w, told(2, Cursor{}, "anna")+toldRefetch)
				<-r.Context().Done()
			default:
				sends(w, whole)
				<-r.Context().Done()
			}
		})}}
		if err := Follow(ctx, o, h); err != nil || ended != 2 || connections != 3 {
			t.Errorf("got %v, %d snapshots that broke off and %d connections, want 2 and 3", err, ended, connections)
		}
	})
}

type snapshots func(s *SnapshotReader) error

func (f snapshots) Snapshot(_ context.Context, s *SnapshotReader) error { return f(s) }
func (f snapshots) Changes(context.Context, Batch) error                { return nil }

// What the service refuses ends it, with the service's words; what may pass does not.
func TestFollowRefused(t *testing.T) {
	problem := func(status int, code string, failure domain.Failure) inMemory {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"title":"T","status":%d,"detail":"because of %s","code":%q,"failure":%q}`, status, code, code, failure)
		}
	}
	page := func(status int, text string) inMemory {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	stream := func(text string) inMemory {
		return func(w http.ResponseWriter, r *http.Request) {
			sends(w, text)
			<-r.Context().Done()
		}
	}
	for _, c := range []struct {
		name    string
		service inMemory
		want    error
		text    string
	}{
		{"no such organisation", problem(404, "unknown_org", domain.Unknown), domain.Unknown, "because of unknown_org"},
		{"a bad cursor", problem(400, "bad_cursor", domain.Malformed), domain.Malformed, "because of bad_cursor"},
		{"what only HTTP refuses", problem(405, "method_not_allowed", ""), domain.Malformed, "because of method_not_allowed"},
		{"another server", page(404, "<h1>404</h1>"), domain.Unreachable, "status 404"},
		{"a page", page(200, "<h1>Welcome</h1>"), domain.Unreachable, "text/html"},
		{"a cursor of another log", stream(toldRefetch), ErrRefetch, "too old"},
		{"an event that is not known", stream("event: merged\ndata: {}\n\n"), domain.Unreachable, "merged"},
		{"a change that is none", stream("id: 2\nevent: gained\ndata: {\"cursor\":\"2\"}\n\n"), domain.Unreachable, "gained"},
		{"a loss called a gain", stream(strings.Replace(told(2, at(2, 0), "anna"), "event: gained", "event: lost", 1)), domain.Unreachable, "lost"},
		{"a checkpoint without a cursor", stream("event: checkpoint\ndata: {}\n\n"), domain.Unreachable, "checkpoint"},
		{"what was handled already", stream(told(2, at(2, 0), "anna") + told(2, at(2, 0), "anna")), domain.Unreachable, "2~9f2c01ab after 2~9f2c01ab"},
		{"the end of no snapshot", stream(toldSnapshot(at(2, 0))), domain.Unreachable, "did not begin"},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newKeeper()
			err := follows(t, k, at(9, 0), FollowOptions{After: at(1, 0)}, c.service)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
			}
		})
	}
	for _, o := range []FollowOptions{{URL: "ledger.test", Org: "acme"}, {URL: "ftp://ledger.test", Org: "acme"}, {URL: "http://ledger.test", Org: "Acme"}} {
		if err := Follow(context.Background(), o, newKeeper()); !errors.Is(err, domain.Malformed) {
			t.Errorf("%s of %s: got %v, want it refused", o.Org, o.URL, err)
		}
	}
}

// It comes back at growing intervals, none of which is another's, and as often as it takes; and what it logs of that
// names no account.
func TestFollowComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var came []time.Time
		last := at(2, 0)
		trouble := []func(w http.ResponseWriter) bool{
			func(w http.ResponseWriter) bool { w.WriteHeader(503); return true },
			func(w http.ResponseWriter) bool { w.WriteHeader(429); return true },
			func(w http.ResponseWriter) bool { w.WriteHeader(408); return true },
			func(w http.ResponseWriter) bool { w.WriteHeader(500); return true },
			func(w http.ResponseWriter) bool { sends(w, ": heartbeat\n\n"); return true },
		}
		const times = 20
		k := newKeeper()
		o := FollowOptions{After: at(1, 0), Filter: Filter{About: "client:c1", Subject: "professional:anna", Kinds: []string{"gained", "professional"}}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		err := follows(t, k, at(3, 0), o, func(w http.ResponseWriter, r *http.Request) {
			came = append(came, time.Now())
			if got, want := r.URL.String(), "http://ledger.test/orgs/acme/changes?about=client%3Ac1&after="+last.String()+"&kind=gained%2Cprofessional&subject=professional%3Aanna"; len(came) > 1 && got != want {
				t.Errorf("connection %d asked for %s, want %s", len(came), got, want)
			}
			switch {
			case len(came) == 1:
				sends(w, told(2, at(2, 0), "anna"))
			case len(came) == 2:
				w.Header().Set("Retry-After", "90")
				w.WriteHeader(503)
			case len(came) < times:
				trouble[len(came)%len(trouble)](w)
			case len(came) == times:
				sends(w, "retry: 40000\n"+toldCheckpoint(at(2, 0)))
			case len(came) == times+1:
				sends(w, toldCheckpoint(at(2, 0)))
			default:
				sends(w, told(3, at(3, 0), "-anna"))
			}
		})
		if err != nil || len(came) != times+2 {
			t.Fatalf("got %v after %d connections, want %d", err, len(came), times+2)
		}
		for i := 1; i < len(came); i++ {
			got, longest := came[i].Sub(came[i-1]), min(longestWait, firstWait<<(i-1))
			shortest := longest / 2
			switch i { // connections are counted from 1: came[i] waited for the one before
			case 2:
				shortest, longest = 90*time.Second, 90*time.Second
			case times:
				shortest, longest = 40*time.Second, 40*time.Second
			case times + 1: // all was well since
				shortest, longest = firstWait/2, firstWait
			}
			if got < shortest || got > longest {
				t.Errorf("wait %d: %s, want between %s and %s", i, got, shortest, longest)
			}
		}
		if !strings.Contains(log.String(), "status 503") || strings.Contains(log.String(), "anna") || strings.Contains(log.String(), "c1") {
			t.Errorf("log: %s\nwant why it tries again, and no account", &log)
		}
	})
}

// What net/http says of a connection that fails names the whole URL, and so whom it is about: that is not logged.
func TestFollowLogsNoURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(context.Background())
		refuse := roundTripper(func(*http.Request) (*http.Response, error) {
			if log.Len() > 0 {
				cancel()
			}
			return nil, errors.New("connection refused")
		})
		o := FollowOptions{URL: "http://ledger.test", Org: "acme", Filter: Filter{About: "client:c1"}, Client: &http.Client{Transport: refuse}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		if err := Follow(ctx, o, newKeeper()); err != nil || !strings.Contains(log.String(), `"connection refused"`) || strings.Contains(log.String(), "c1") {
			t.Errorf("got %v, log %s, want why it tries again, and no account", err, &log)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A connection on which nothing comes is given up; one with heartbeats is not, nor one whose handler takes its time.
func TestFollowSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var came []time.Duration
		k := newKeeper()
		k.fail = func(call string) error {
			if strings.HasPrefix(call, "+slow") {
				time.Sleep(time.Hour)
			}
			return nil
		}
		err := follows(t, k, at(3, 0), FollowOptions{After: at(1, 0)}, func(w http.ResponseWriter, r *http.Request) {
			came = append(came, time.Since(began).Round(time.Minute))
			switch len(came) {
			case 1: // answers nothing at all
			case 2:
				for range 40 { // ten minutes
					sends(w, ": heartbeat\n\n")
					time.Sleep(15 * time.Second)
				}
				sends(w, told(2, at(2, 1), "anna")[:20])
			default:
				sends(w, told(2, at(2, 0), "slow"))
				sends(w, told(3, at(3, 0), "bob"))
			}
			<-r.Context().Done()
		})
		want := []time.Duration{0, time.Minute, 12 * time.Minute}
		if err != nil || !slices.Equal(came, want) {
			t.Errorf("got connections after %v, %v, want %v", came, err, want)
		}
		if want := []string{"+slow @2~9f2c01ab", "+bob @3~9f2c01ab"}; !slices.Equal(k.calls, want) {
			t.Errorf("got %q, want %q", k.calls, want)
		}
	})
}

// When ctx ends, so does it, wherever it is, and without an error.
func TestFollowEnds(t *testing.T) {
	for name, service := range map[string]inMemory{
		"connecting": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"following":  func(w http.ResponseWriter, r *http.Request) { sends(w, toldCheckpoint(at(2, 0))); <-r.Context().Done() },
		"in a snapshot": func(w http.ResponseWriter, r *http.Request) {
			sends(w, told(2, Cursor{}, "anna"))
			<-r.Context().Done()
		},
		"waiting": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() {
				o := FollowOptions{URL: "http://ledger.test", Org: "acme", Snapshot: true, Subscriber: "records", Client: &http.Client{Transport: service}}
				if name == "following" {
					o.After = at(1, 0)
				}
				ended <- Follow(ctx, o, newKeeper())
			}()
			synctest.Wait()
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("%s: got %v, want no error", name, err)
			}
		})
	}
}

// What was handled is acknowledged, and nothing else is: the newest where several wait, again where it did not arrive.
func TestFollowAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var acks []string
		trouble := []int{0, 0, 503, 0, 400}
		before := at(1, 0) // by an earlier process
		next := make(chan string)
		k := newKeeper()
		k.fail = func(call string) error {
			time.Sleep(time.Second) // long enough for an acknowledgement that came too early
			return nil
		}
		ended := make(chan error)
		go func() {
			o := FollowOptions{After: before, Subscriber: "records", Logger: slog.New(slog.NewTextHandler(&log, nil))}
			ended <- follows(t, k, at(9, 0), o, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					var body struct{ Cursor Cursor }
					if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/orgs/acme/subscribers/records/ack" || r.Header.Get("Content-Type") != "application/json" {
						t.Errorf("got %s %v, want an acknowledgement", r.URL, err)
					}
					if at := k.handled(); at.Before(body.Cursor) && body.Cursor != before {
						t.Errorf("%s is acknowledged where %s was handled", body.Cursor, at)
					}
					acks = append(acks, body.Cursor.String())
					w.Header().Set("Content-Type", "application/json")
					if n := len(acks) - 1; n < len(trouble) && trouble[n] != 0 {
						w.WriteHeader(trouble[n])
						io.WriteString(w, `{"code":"refused","detail":"not now","failure":"malformed"}`)
						return
					}
					time.Sleep(3 * time.Second)
					io.WriteString(w, "{}")
					return
				}
				for {
					select {
					case text := <-next:
						sends(w, text)
					case <-r.Context().Done():
						return
					}
				}
			})
		}()
		for _, seqs := range [][]domain.Seq{{2, 3, 4}, {5}, {6, 7}, {8}} {
			for _, seq := range seqs {
				next <- told(seq, at(seq, 0), "anna")
			}
			time.Sleep(30 * time.Second)
		}
		next <- told(9, at(9, 0), "anna")
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		// 2, 3 and 4 were handled while 1 was under way, 5 did not arrive at first, and 6 was refused.
		want := []string{"1", "4", "5", "5", "6", "7", "8"}
		for i := range want {
			want[i] += "~" + mark
		}
		if !slices.Equal(acks, want) || strings.Count(log.String(), "refuses") != 1 {
			t.Errorf("acknowledged %q, log %s\nwant %q, and one refusal", acks, &log, want)
		}
	})
}
