package api

import (
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
	for _, path := range []string{"/admin/status", "/admin/doctor"} {
		if status, code, _ := through(h, path+"?org=nobody"); status != http.StatusNotFound || code != "unknown_org" {
			t.Errorf("%s of nobody: got %d %s, want 404 unknown_org", path, status, code)
		}
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

	// The same over a socket: doctor names the page, as does the problem of each question about it.
	server := httptest.NewServer(h)
	defer server.Close()
	get := func(path string, status int, into any) {
		t.Helper()
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != status {
			t.Fatalf("%s: status %d, %v; want %d and JSON", path, resp.StatusCode, err, status)
		}
	}
	var doctor struct{ Findings []ledger.Finding }
	get("/admin/doctor", http.StatusOK, &doctor)
	told := false
	for _, f := range doctor.Findings {
		if f.Failure == domain.Integrity {
			told = f.Org == "acme" && f.Level == ledger.Problem && f.Code == "log_truncated" && f.Runbook == "log-truncated" && f.Advice != ""
		}
		if f.Org == "zeta" && f.Level != ledger.Well {
			t.Errorf("of a sound ledger: %+v", f)
		}
	}
	if !told {
		t.Errorf("doctor does not tell of the log that was cut: %+v", doctor.Findings)
	}
	for _, path := range []string{"/orgs/acme/who?action=read&resource=record:r", "/readyz"} {
		var p problem
		get(path, http.StatusServiceUnavailable, &p)
		if p.Code != "log_truncated" || p.Failure != domain.Integrity || p.Runbook != "log-truncated" || p.RequestID == "" {
			t.Errorf("%s: got %+v, want why, the page and the request's id", path, p)
		}
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
