package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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

// TestTurnedAway: who comes to no handler is told of as well, once, and can be found in the log by the id of the refusal.
func TestTurnedAway(t *testing.T) {
	var log bytes.Buffer
	logger, o := slog.New(slog.NewTextHandler(&log, nil)), &observed{ended: make(map[string]int)}
	gate := NewGate()
	h := Watched(Hosts(gate, nil), o, logger)
	turnedAway := func(host string, status int, code string) {
		t.Helper()
		log.Reset()
		r, w := httptest.NewRequest("GET", "/orgs/acme/who?action=read", nil), httptest.NewRecorder()
		r.Host = host
		h.ServeHTTP(w, r)
		p := answer{t, host, w.Code, w.Result().Header, w.Body.String()}.problem(status, code)
		if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-ID") {
			t.Errorf("%s: the problem is of request %q, the header says %q", code, p.RequestID, w.Header().Get("X-Request-ID"))
		}
		if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "code="+code) || !strings.Contains(line, "request_id="+p.RequestID) {
			t.Errorf("%s: logged %q, want one line with the code and the request's id", code, line)
		}
		if got := o.ended[""]; got != status {
			t.Errorf("%s: told of status %d, want %d", code, got, status)
		}
	}
	turnedAway("evil.example", http.StatusMisdirectedRequest, "unknown_host")
	turnedAway("localhost", http.StatusServiceUnavailable, "starting")

	o.began = nil
	log.Reset()
	gate.Open(New(Options{Service: newWorld(t).service, Observer: o, Logger: logger}))
	if status, _, _ := through(h, "/livez"); status != http.StatusMisdirectedRequest { // httptest's host
		t.Fatalf("status %d", status)
	}
	r := httptest.NewRequest("GET", "http://localhost/livez", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if len(o.began) != 2 || o.ended["GET /livez"] != http.StatusOK || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("two requests: told of %v as %v, logged %s; want each once", o.began, o.ended, &log)
	}
}

// TestRequestIDIsText: an id that is no text is replaced.
func TestRequestIDIsText(t *testing.T) {
	for id, kept := range map[string]bool{"r-1 /~": true, "caf\xe9": false, "é": false, "a\x7f": false, "a\nb": false} {
		r := httptest.NewRequest("GET", "/livez", nil)
		r.Header["X-Request-Id"] = []string{id}
		if got := requestID(r); (got == id) != kept || got == "" {
			t.Errorf("%q: got %q", id, got)
		}
	}
}
