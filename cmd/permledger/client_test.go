package main

// The client against services that are not well: cut answers, strangers, and every way of saying no.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

// ways are the two ways of reaching a handler.
func ways(t *testing.T, h http.Handler) map[string]*client {
	quiet := httptest.NewUnstartedServer(h)
	quiet.Config.ErrorLog = nil
	quiet.Start()
	t.Cleanup(quiet.Close)
	return map[string]*client{
		"server":     {base: quiet.URL, http: quiet.Client(), org: "acme"},
		"in process": {base: "http://in-process", http: &http.Client{Transport: inProcess{h}}, org: "acme"},
	}
}

func TestClientErrors(t *testing.T) {
	problem := func(status int, more string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"type":"about:blank","title":"T","status":%d,"detail":"D","code":"some_code"%s}`, status, more)
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    domain.Failure
		exit    int
		message string
	}{
		{"malformed", problem(400, ""), domain.Malformed, 2, "D"},
		{"not permitted", problem(403, ""), domain.NotPermitted, 4, "D"},
		{"unknown", problem(404, ""), domain.Unknown, 2, "D"},
		{"conflict", problem(409, ""), domain.Conflict, 1, "D"},
		{"too large", problem(413, ""), domain.Malformed, 2, "D"},
		{"rule broken", problem(422, ""), domain.RuleBroken, 2, "D"},
		{"internal", problem(500, ""), domain.Unavailable, 5, "D"},
		{"unavailable", problem(503, ""), domain.Unavailable, 5, "D"},
		{"incomplete", problem(503, `,"failure":"incomplete"`), domain.Incomplete, 3, "D"},
		{"integrity", problem(503, `,"failure":"integrity"`), domain.Integrity, 6, "D"},
		{"a failure of tomorrow", problem(503, `,"failure":"tired"`), domain.Unavailable, 5, "D"},
		{"a stranger", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) }, domain.Unreachable, 5, "answers, but not as permledger does (status 404)"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"results":[`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, domain.Unreachable, 5, "the answer was cut after 12 bytes"},
	} {
		for way, client := range ways(t, c.handler) {
			body, err := client.get(context.Background(), "who", nil)
			if !errors.Is(err, c.want) || exitCode(err) != c.exit || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%s, %s: got %q, %v (exit code %d), want %s, exit code %d and %q", c.name, way, body, err, exitCode(err), c.want, c.exit, c.message)
			}
		}
	}
}

func TestClientRequests(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("X-Late", "no")
		fmt.Fprintf(w, "%s %s %s %q %v", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body, err)
		w.Header().Set("X-Late", "yes") // too late: the answer has begun
	})
	for way, c := range ways(t, h) {
		got, err := c.ask(context.Background(), http.MethodPost, "/orgs/acme/commands?x=1", []byte("{}"))
		if want := `POST /orgs/acme/commands?x=1 application/json "{}" <nil>`; string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", way, got, err, want)
		}
		req, err := http.NewRequest(http.MethodGet, c.base+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("X-Late"); got != "no" {
			t.Errorf("%s: header as sent: got %q, want no", way, got)
		}
		resp.Body.Close()
	}
}

// TestInProcessStreams holds that an answer is read while it is written, and that closing it ends the handler.
func TestInProcessStreams(t *testing.T) {
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1024))
		}
		ended <- err
	})
	req, err := http.NewRequest(http.MethodGet, "http://in-process/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := inProcess{h}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the handler's write after its client left: %v, want io.ErrClosedPipe", err)
		}
	default:
		t.Error("closing the body returned before the handler did")
	}
}

func TestExitCodesAreComplete(t *testing.T) {
	for _, f := range []domain.Failure{domain.Malformed, domain.NotPermitted, domain.Unknown, domain.Conflict, domain.RuleBroken,
		domain.Unavailable, domain.Unreachable, domain.Incomplete, domain.Integrity} {
		if exitCode(domain.Errorf(f, "x", "x")) == 0 {
			t.Errorf("%s: exit code 0, want one of its own", f)
		}
	}
	if got := exitCode(fmt.Errorf("ledger of acme: %w", domain.Errorf(domain.Integrity, "x", "x"))); got != 6 {
		t.Errorf("a wrapped integrity failure: exit code %d, want 6", got)
	}
}
