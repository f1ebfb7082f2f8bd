package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// statusOf asks a handler how everything stands.
func statusOf(t *testing.T, h http.Handler, query string) status {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/admin/status"+query, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", w.Code, w.Body)
	}
	var s status
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return s
}

// feeding opens a directory as serve does, and gives a handler over it.
func feeding(t *testing.T, dir string) (*ledger.Service, http.Handler) {
	t.Helper()
	s, err := ledger.Open(t.Context(), ledger.Options{Data: dir, Create: true, Feed: true})
	if err != nil {
		t.Fatal(err)
	}
	return s, New(Options{Service: s})
}

func TestStatus(t *testing.T) {
	s, h := feeding(t, t.TempDir())
	defer s.Close()
	for _, org := range []domain.Org{"acme", "zeta"} {
		if _, err := s.Init(t.Context(), org, []byte(records), "user:root", "test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.OpenAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := s.Ledger(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Subscribers().Acknowledge(t.Context(), "gateway", consumers.Cursor{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	got := statusOf(t, h, "")
	if !got.Ready || got.Problem != nil || got.Version == "" || got.Go == "" || got.UptimeSeconds <= 0 || len(got.Organisations) != 2 {
		t.Fatalf("got %+v, want a service that is ready, of two organisations", got)
	}
	o := got.Organisations[0]
	if o.Org != "acme" || o.State != "ready" || o.Position != 3 || o.Head != 3 || o.Lag.Events != 0 || o.Created == nil || o.RecordedAt == 0 || o.Problem != nil {
		t.Errorf("got %+v, want acme at event 3 of 3", o)
	}
	if o.Feed == nil || o.Feed.Problem != nil || o.Feed.From == "" || uint64(o.Feed.Position)+o.Feed.Lag.Events != 3 {
		t.Errorf("got the feed %+v", o.Feed)
	}
	if o.Subscribers == nil || o.Subscribers.Followers != 1 || o.Subscribers.Lag.Events != 2 || o.Subscribers.Webhooks["disabled"] != 0 {
		t.Errorf("got the subscribers %+v, want one follower that has seen 1 of 3 events", o.Subscribers)
	}
	if only := statusOf(t, h, "?org=zeta"); len(only.Organisations) != 1 || only.Organisations[0].Org != "zeta" {
		t.Errorf("asked of zeta, got %+v", only.Organisations)
	}
	if none := statusOf(t, h, "?org=nobody"); len(none.Organisations) != 1 || none.Organisations[0].State != "stopped" || none.Organisations[0].Problem.Code != "unknown_org" {
		t.Errorf("asked of nobody, got %+v", none.Organisations)
	}
}

// TestStatusOfWhatStopped cuts a log behind its projection's back: the status still comes, says which ledger stopped and
// why, and how the other one stands.
func TestStatusOfWhatStopped(t *testing.T) {
	dir := t.TempDir()
	s, _ := feeding(t, dir)
	for _, org := range []domain.Org{"acme", "zeta"} {
		if _, err := s.Init(t.Context(), org, []byte(records), "user:root", "test"); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, s)
	log, kept := filepath.Join(dir, "log"), filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	s, h := feeding(t, dir)
	record(t, h, "acme")
	closed(t, s)
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(log, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}

	s, h = feeding(t, dir)
	defer s.Close()
	if err := s.OpenAll(t.Context()); err == nil {
		t.Fatal("a ledger whose log was cut opens without a word")
	}
	if _, err := s.Ledger(t.Context(), "zeta"); err != nil {
		t.Fatal(err)
	}
	got := statusOf(t, h, "")
	if got.Ready || got.Problem == nil || len(got.Organisations) != 2 {
		t.Fatalf("got %+v, want a service that is not ready, and both organisations", got)
	}
	acme, zeta := got.Organisations[0], got.Organisations[1]
	if acme.State != "stopped" || acme.Problem == nil || acme.Problem.Code != "log_truncated" || acme.Problem.Failure != domain.Integrity {
		t.Errorf("got %+v of the ledger whose log was cut", acme)
	}
	if zeta.State != "ready" || zeta.Problem != nil {
		t.Errorf("got %+v of the other", zeta)
	}
}

func closed(t *testing.T, s *ledger.Service) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// record records one command.
func record(t *testing.T, h http.Handler, org string) {
	t.Helper()
	r := httptest.NewRequest("POST", "/orgs/"+org+"/commands", strings.NewReader(`{"command":"account.open","actor":"user:root","data":{"account":"user:alice"}}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("recording: status %d: %s", w.Code, w.Body)
	}
}

// observed notes what it is told.
type observed struct {
	began []string
	ended map[string]int
}

type marker struct{}

func (o *observed) Begin(r *http.Request, id string) (context.Context, func(string, int)) {
	o.began = append(o.began, id)
	return context.WithValue(r.Context(), marker{}, id), func(pattern string, status int) { o.ended[pattern] = status }
}

func TestObserver(t *testing.T) {
	world, o := newWorld(t), &observed{ended: make(map[string]int)}
	seen := ""
	h := New(Options{Service: world.service, Observer: o, Metrics: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, _ = r.Context().Value(marker{}).(string)
		panic("so it goes")
	})})
	ask := func(path string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
		r.Header.Set("X-Request-ID", "r1")
		h.ServeHTTP(w, r)
		return w
	}
	ask("/orgs/acme/catalogue")
	refused := ask("/orgs/nobody/who?action=read&resource=record:r")
	ask("/metrics")
	for pattern, want := range map[string]int{"GET /orgs/{org}/catalogue": 200, "GET /orgs/{org}/who": 404, "GET /metrics": 500} {
		if got := o.ended[pattern]; got != want {
			t.Errorf("%s ended with %d, want %d: %v", pattern, got, want, o.ended)
		}
	}
	if len(o.began) != 3 || o.began[0] != "r1" || seen != "r1" {
		t.Errorf("began %v, and the handler saw %q; want each by its id, in the context that was given", o.began, seen)
	}
	if got := refused.Header().Get("X-Request-ID"); got != "r1" {
		t.Errorf("the refusal is of request %q, want r1", got)
	}
	w := httptest.NewRecorder()
	world.handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("/metrics where there are none: status %d, want 404", w.Code)
	}
}
