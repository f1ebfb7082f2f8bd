package natsapi

// The service over a real NATS server, in front of the real HTTP interface over a real ledger; and in front of a handler that
// the test holds back, where it is about what comes when.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
)

const roles = `catalogue: records
kinds:
  user: {}
  record: {protected: true}
roles:
  owner: {for: user}
founder: owner
permits:
  - {role: owner, on: [user, record], actions: [account.open, read]}
`

func startNATS(t *testing.T) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server did not come up")
	}
	return srv
}

func connect(t *testing.T, srv *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// overHTTP reaches the handler by whatever host.
func overHTTP(t *testing.T, h http.Handler) (http.RoundTripper, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport, s
}

func start(t *testing.T, srv *server.Server, h http.RoundTripper) *Service {
	t.Helper()
	s, err := Start(Options{Conn: connect(t, srv), HTTP: h, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

// handler is the HTTP interface over a ledger of acme, with user:root and record:r1.
func handler(t *testing.T) http.Handler {
	t.Helper()
	ctx := t.Context()
	s, err := ledger.Open(ctx, ledger.Options{Data: t.TempDir(), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Init(ctx, "acme", []byte(roles), "user:root", "test"); err != nil {
		t.Fatal(err)
	}
	h := api.New(api.Options{Service: s})
	for _, account := range []string{"record:r1", "user:anna"} {
		r := httptest.NewRequest("POST", "/orgs/acme/commands", strings.NewReader(`{"command":"account.open","actor":"user:root","data":{"account":"`+account+`"}}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("opening %s: %s", account, w.Body)
		}
	}
	return h
}

// TestSameAsHTTP asks each question both ways.
func TestSameAsHTTP(t *testing.T) {
	transport, web := overHTTP(t, handler(t))
	srv := startNATS(t)
	start(t, srv, transport)
	nc := connect(t, srv)
	for _, c := range []struct {
		org, question, body string
		status              int
	}{
		{"acme", "check", `{"subject":"user:root","action":"read","resource":"record:r1","known_at":"4"}`, 200},
		{"acme", "check", `{"subject":"user:anna","action":"read","resource":"record:r1","known_at":5,"lang":"nl"}`, 200},
		{"acme", "check", `{"subject":"user:root","action":"read","resource":"record:r1","at":"now"}`, 200},
		{"acme", "who", `{"action":"read","resource":"record:r1","known_at":4,"limit":1}`, 200},
		{"acme", "who", `{"action":"read","resource":"record:r1","from":"2020-01-01T00:00:00Z","until":"2040-01-01T00:00:00Z","known_at":4}`, 200},
		{"acme", "check", `{}`, 400},
		{"acme", "check", `{"subject":"user:root","action":"read","resource":"record:r1","resorce":"x"}`, 400},
		{"acme", "check", `{"subject":"user:root","action":"read","resource":"record:r1","at":""}`, 400},
		{"acme", "check", `{"subject":"user:a&b=c%20+é","action":"read","resource":"record:r1"}`, 400},
		{"acme", "check", `{"subject":"user:nobody","action":"read","resource":"record:r1"}`, 404},
		{"acme", "who", `{"action":"read","resource":"record:r1","page":"x"}`, 400},
		{"acme", "who", `{"action":"read","resource":"record:r1","limit":true}`, 400},
		{"globex", "check", `{"subject":"user:root","action":"read","resource":"record:r1"}`, 404},
		{"ACME", "check", `{"subject":"user:root","action":"read","resource":"record:r1"}`, 400},
		{"a/acme", "who", `{"action":"read","resource":"record:r1"}`, 400},
		{"%2e%2e", "who", `{"action":"read","resource":"record:r1"}`, 400},
	} {
		var fields map[string]any
		d := json.NewDecoder(strings.NewReader(c.body))
		d.UseNumber()
		if err := d.Decode(&fields); err != nil {
			t.Fatal(err)
		}
		query := url.Values{}
		for name, value := range fields {
			query.Set(name, fmt.Sprint(value))
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/orgs/"+url.PathEscape(c.org)+"/"+c.question+"?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-ID", "r-1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		subject := "permledger." + c.org + "." + c.question
		got, err := nc.RequestMsgWithContext(t.Context(), &nats.Msg{Subject: subject, Data: []byte(c.body), Header: nats.Header{"X-Request-Id": {"r-1"}}})
		if err != nil {
			t.Fatalf("%s %s: %v", subject, c.body, err)
		}
		if resp.StatusCode != c.status || !sameAnswer(got.Data, want) || got.Header.Get("Content-Type") != resp.Header.Get("Content-Type") {
			t.Errorf("%s %s:\ngot  %s %s\nHTTP %d %s %s\nwant status %d", subject, c.body, got.Header.Get("Content-Type"), got.Data, resp.StatusCode, resp.Header.Get("Content-Type"), want, c.status)
		}
		if id := got.Header.Get("X-Request-ID"); id != "r-1" {
			t.Errorf("%s %s: request id %q, want the one asked with", subject, c.body, id)
		}
		code, says := got.Header.Get(micro.ErrorCodeHeader), got.Header.Get(micro.ErrorHeader)
		if c.status == http.StatusOK {
			if code+says != "" {
				t.Errorf("%s %s: error headers %q, %q on an answer", subject, c.body, code, says)
			}
			continue
		}
		var p struct{ Detail string }
		if err := json.Unmarshal(got.Data, &p); err != nil || code != fmt.Sprint(c.status) || says != p.Detail || says == "" {
			t.Errorf("%s %s: error headers %q, %q, want %d and the problem's detail: %s", subject, c.body, code, says, c.status, got.Data)
		}
	}
}

// sameAnswer compares bytes, but for the moment of a question about now.
func sameAnswer(got, want []byte) bool {
	blank := func(b []byte) []byte {
		before, rest, ok := bytes.Cut(b, []byte(`"as_of":"`))
		if !ok {
			return b
		}
		_, after, _ := bytes.Cut(rest, []byte(`"`))
		return append(append([]byte{}, before...), after...)
	}
	return bytes.Equal(blank(got), blank(want))
}

// TestBadRequest: what is no object of parameters is refused here, as a problem.
func TestBadRequest(t *testing.T) {
	srv := startNATS(t)
	start(t, srv, roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("HTTP was asked")
		return nil, errors.New("unreachable")
	}))
	nc := connect(t, srv)
	for _, body := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{"action"`, `{"action":`, `{"action":"read"`, `{"action":"read"} x`, `{"action":"read"}{}`, "{\"action\":\"\xff\"}",
		`{"action":"read","action":"read"}`, `{"action":null}`, `{"action":{}}`, `{"action":["read"]}`,
	} {
		msg, err := nc.RequestWithContext(t.Context(), "permledger.acme.who", []byte(body))
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		var p struct {
			Type, Title, Detail, Code, Failure string
			Status                             int
		}
		if err := json.Unmarshal(msg.Data, &p); err != nil || p.Status != 400 || p.Code != "bad_json" || p.Failure != "malformed" || p.Type != "about:blank" ||
			p.Detail != msg.Header.Get(micro.ErrorHeader) || msg.Header.Get(micro.ErrorCodeHeader) != "400" || msg.Header.Get("Content-Type") != problemMedia {
			t.Errorf("%q: got %v %s, want a problem bad_json", body, msg.Header, msg.Data)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTooLarge: an answer that fits in no message, and one that just does.
func TestTooLarge(t *testing.T) {
	srv := startNATS(t)
	size := make(chan int, 1)
	transport, _ := overHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("x"), <-size)) }))
	start(t, srv, transport)
	nc := connect(t, srv)
	most := int(nc.MaxPayload())
	for _, c := range []struct {
		size int
		code string
	}{{most - 1000, ""}, {most, "413"}, {most + 1, "413"}, {10 * most, "413"}} {
		size <- c.size
		msg, err := nc.RequestWithContext(t.Context(), "permledger.acme.who", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := msg.Header.Get(micro.ErrorCodeHeader); got != c.code {
			t.Errorf("an answer of %d bytes, of %d: code %q, want %q", c.size, most, got, c.code)
		}
		if detail := msg.Header.Get(micro.ErrorHeader); c.code != "" && (!strings.Contains(detail, "limit") || !strings.Contains(string(msg.Data), "answer_too_large")) {
			t.Errorf("an answer of %d bytes: %s, want it to say what to do", c.size, msg.Data)
		}
	}
}

// TestDiscovery makes the requests that the nats tool makes.
func TestDiscovery(t *testing.T) {
	srv := startNATS(t)
	transport, _ := overHTTP(t, http.NotFoundHandler())
	start(t, srv, transport)
	start(t, srv, transport)
	nc := connect(t, srv)
	if _, err := nc.RequestWithContext(t.Context(), "permledger.acme.check", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"$SRV.PING", "$SRV.PING.permledger", "$SRV.INFO.permledger", "$SRV.STATS.permledger"} {
		inbox, err := nc.SubscribeSync(nats.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest(subject, inbox.Subject, nil); err != nil {
			t.Fatal(err)
		}
		ids, requests, failures := map[string]bool{}, 0, 0
		for range 2 {
			msg, err := inbox.NextMsgWithContext(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", subject, err)
			}
			var said struct {
				micro.ServiceIdentity
				Description string
				Endpoints   []struct {
					Name, Subject string
					Queue         string `json:"queue_group"`
					Requests      int    `json:"num_requests"`
					Data          struct{ Errors int }
				}
			}
			if err := json.Unmarshal(msg.Data, &said); err != nil {
				t.Fatal(err)
			}
			ids[said.ID] = true
			if said.Name != "permledger" || said.Version == "" {
				t.Errorf("%s: got %s, want permledger with a version", subject, msg.Data)
			}
			if strings.Contains(subject, "PING") {
				continue
			}
			subjects := map[string]string{}
			for _, e := range said.Endpoints {
				subjects[e.Name] = e.Subject + " " + e.Queue
				requests, failures = requests+e.Requests, failures+e.Data.Errors
			}
			if len(subjects) != 2 || subjects["check"] != "permledger.*.check permledger" || subjects["who"] != "permledger.*.who permledger" {
				t.Errorf("%s: endpoints %v, want check and who of all organisations, shared", subject, subjects)
			}
			if strings.Contains(subject, "INFO") && said.Description == "" {
				t.Errorf("%s: no description", subject)
			}
		}
		if len(ids) != 2 {
			t.Errorf("%s: %d instances answered, want two", subject, len(ids))
		}
		if strings.Contains(subject, "STATS") && (requests != 1 || failures != 1) {
			t.Errorf("%s: %d requests and %d failures, want the one that was refused", subject, requests, failures)
		}
	}
}

// TestShared: of two servers one answers each request, and when one stops the other answers all.
func TestShared(t *testing.T) {
	srv := startNATS(t)
	named := func(name string) http.RoundTripper {
		transport, _ := overHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
		return transport
	}
	first := start(t, srv, named("first"))
	start(t, srv, named("second"))
	nc := connect(t, srv)
	ask := func(n int) map[string]int {
		t.Helper()
		inbox, err := nc.SubscribeSync(nats.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		defer inbox.Unsubscribe()
		for range n {
			if err := nc.PublishRequest("permledger.acme.check", inbox.Subject, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
		by := map[string]int{}
		for range n {
			msg, err := inbox.NextMsgWithContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			by[string(msg.Data)]++
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if more, _, err := inbox.Pending(); err != nil || more > 0 {
			t.Errorf("%d answers more than requests, %v", more, err)
		}
		return by
	}
	// Each of 200 goes to either at random: that one gets none is one in 2^199.
	if by := ask(200); by["first"] == 0 || by["second"] == 0 {
		t.Errorf("200 requests were answered by %v, want both", by)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if by := ask(50); by["second"] != 50 {
		t.Errorf("after one has stopped 50 requests were answered by %v, want the other", by)
	}
}

// TestStopAnswersWhatWasAsked: more requests than are answered at once are under way when the service is told to stop.
func TestStopAnswersWhatWasAsked(t *testing.T) {
	srv := startNATS(t)
	release := make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	full, once := make(chan struct{}), sync.Once{}
	s := start(t, srv, roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == atOnce {
			once.Do(func() { close(full) })
		}
		mu.Unlock()
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("done"))}, nil
	}))
	nc := connect(t, srv)
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const asked = atOnce + 100
	for range asked {
		if err := nc.PublishRequest("permledger.acme.check", inbox.Subject, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil { // all were asked before it stops
		t.Fatal(err)
	}
	<-full
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	for !s.micro.Stopped() { // then it takes no more
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned (%v) before what was asked was answered", err)
	default:
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := s.stats["check"].answered.Load(); n != asked {
		t.Errorf("when Stop had returned %d of %d were answered, want all", n, asked)
	}
	for i := range asked {
		if msg, err := inbox.NextMsgWithContext(t.Context()); err != nil || string(msg.Data) != "done" {
			t.Fatalf("answer %d of %d: %v, %v", i+1, asked, msg, err)
		}
	}
	if most != atOnce {
		t.Errorf("%d were answered at once, want %d", most, atOnce)
	}
	if _, err := nc.RequestWithContext(t.Context(), "permledger.acme.check", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after Stop: got %v, want nobody to answer", err)
	}
}

// TestStopCutsWhatHangs: what is not answered when the time is up is told so.
func TestStopCutsWhatHangs(t *testing.T) {
	srv := startNATS(t)
	asked := make(chan struct{})
	s := start(t, srv, roundTrip(func(r *http.Request) (*http.Response, error) {
		close(asked)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	nc := connect(t, srv)
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("permledger.acme.check", inbox.Subject, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	for !s.micro.Stopped() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	msg, err := inbox.NextMsgWithContext(t.Context())
	if err != nil || msg.Header.Get(micro.ErrorCodeHeader) != "503" {
		t.Errorf("got %v, %v, want 503", msg, err)
	}
}
