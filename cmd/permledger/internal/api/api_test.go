package api

// The paths themselves: health, methods, media types, request ids, and errors that are problems.

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestHealthAndOrgs(t *testing.T) {
	w := newWorld(t)
	w.get("/livez").is(`{"status":"alive"}`)
	w.get("/readyz").problem(503, "starting")
	if err := w.service.OpenAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.get("/readyz").is(`{"status":"ready"}`)
	w.get("/orgs").is(`{"orgs":["acme"]}`)
	if a := w.do(http.MethodHead, "/orgs/acme/events", ""); a.status != 200 {
		t.Errorf("%s: %d", a.asked, a.status)
	}
}

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ sent, want string }{
		{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"},
		{"any string / at all", "any string / at all"},
		{strings.Repeat("x", maxRequestID+1), ""},
		{"", ""},
	} {
		for _, path := range []string{"/livez", "/nowhere"} {
			got := w.do(http.MethodGet, path, "", "X-Request-ID", c.sent).header.Get("X-Request-ID")
			if c.want != "" && got != c.want || got == "" || len(got) > maxRequestID {
				t.Errorf("%s: sent %q, got %q", path, c.sent, got)
			}
		}
	}
}

// The log says that something was asked, and never about whom.
func TestLogLine(t *testing.T) {
	w := newScenario(t)
	w.log.Reset()
	w.do(http.MethodGet, "/orgs/acme/check?subject=user:alice&action=read&resource=record:record-1", "", "X-Request-ID", "r-1")
	line := w.log.String()
	for _, part := range []string{"method=GET", "path=/orgs/{org}/check", "status=200", "duration=", "request_id=r-1"} {
		if !strings.Contains(line, part) {
			t.Errorf("%q lacks %s", line, part)
		}
	}
	w.do(http.MethodGet, "/user:alice", "")
	w.do(http.MethodPut, "/orgs/user:alice/check?x=user:alice", "")
	w.post("/orgs/acme/commands", `{"command":"account.open","actor":"user:root","data":{"account":"user:alice"}}`)
	for _, personal := range []string{"alice", "record-1", "subject="} {
		if strings.Contains(w.log.String(), personal) {
			t.Errorf("the log has %q: %s", personal, w.log.String())
		}
	}
	if got := strings.Count(w.log.String(), "\n"); got != 4 {
		t.Errorf("%d lines for 4 requests: %s", got, w.log.String())
	}
}

func TestInternalErrors(t *testing.T) {
	w := newWorld(t)
	s := w.handler.(*server)
	s.mux.Handle("GET /fails", s.endpoint(func(http.ResponseWriter, *http.Request) error { return errors.New("the disk is on fire") }))
	s.mux.Handle("GET /panics", s.endpoint(func(http.ResponseWriter, *http.Request) error { panic("about user:alice") }))
	for _, path := range []string{"/fails", "/panics"} {
		w.log.Reset()
		p := w.do(http.MethodGet, path, "", "X-Request-ID", "r-7").problem(500, "internal")
		if p.RequestID != "r-7" || strings.Contains(p.Detail, "fire") || strings.Contains(p.Detail, "alice") {
			t.Errorf("%s: %+v", path, p)
		}
		if got := strings.Count(w.log.String(), "level=ERROR"); got != 1 || strings.Contains(w.log.String(), "alice") || !strings.Contains(w.log.String(), "status=500") {
			t.Errorf("%s logged %s", path, w.log.String())
		}
	}
}

func TestStatuses(t *testing.T) {
	for failure, want := range map[domain.Failure]int{
		domain.Malformed: 400, domain.NotPermitted: 403, domain.Unknown: 404, domain.Conflict: 409, domain.RuleBroken: 422,
		domain.Unavailable: 503, domain.Unreachable: 503, domain.Incomplete: 503, domain.Integrity: 503,
	} {
		p := problemOf(domain.Errorf(failure, "code", "what"), "")
		if p.Status != want || p.Code != "code" || p.Detail != "what" {
			t.Errorf("%s: %+v, want %d", failure, p, want)
		}
	}
}

// An answer that can't be finished is a problem while nothing of it was sent, and afterwards a cut connection: never
// JSON that looks whole.
func TestUnfinishedAnswers(t *testing.T) {
	w := newWorld(t)
	s := w.handler.(*server)
	s.mux.Handle("GET /long", s.endpoint(func(w http.ResponseWriter, r *http.Request) error {
		out := openStream(w, map[string]int{"a": 1}, "results")
		for r.URL.RawQuery == "much" && out.n < sendAt/4 {
			if err := out.add("0123456789"); err != nil {
				return err
			}
		}
		if r.URL.RawQuery == "whole" {
			return out.close(map[string]bool{"complete": true})
		}
		return domain.Errorf(domain.Unavailable, "gone", "the log went away")
	}))
	w.do(http.MethodGet, "/long?little", "").problem(503, "gone")
	w.do(http.MethodGet, "/long?whole", "").is(`{"a":1,"results":[],"complete":true}`)

	server := httptest.NewServer(w.handler)
	defer server.Close()
	server.Config.ErrorLog = nil
	resp, err := server.Client().Get(server.URL + "/long?much")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil || json.Valid(body) || len(body) < sendAt {
		t.Errorf("got %d bytes, error %v; want a cut connection after at least %d", len(body), err, sendAt)
	}
	server.Close()
	if !strings.Contains(w.log.String(), "the log went away") {
		t.Errorf("nobody was told why: %s", w.log.String())
	}
}

func TestStream(t *testing.T) {
	for _, c := range []struct {
		head, tail any
		add        []any
		want       string
	}{
		{struct{}{}, struct{}{}, nil, `{"results":[]}`},
		{struct{}{}, map[string]int{"b": 2}, []any{1}, `{"results":[1],"b":2}`},
		{map[string]int{"a": 1}, struct{}{}, []any{1, "x", []int{}}, `{"a":1,"results":[1,"x",[]]}`},
	} {
		rec := httptest.NewRecorder()
		s := openStream(rec, c.head, "results")
		for _, v := range c.add {
			if err := s.add(v); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.close(c.tail); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(rec.Body.String()); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
