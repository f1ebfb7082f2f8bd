package api

// The gate by itself: what it lets through and turns away at each time, and whom it waits for.

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func through(h http.Handler, path string) (status int, code string, header http.Header) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	var p problem
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	return w.Code, p.Code, w.Result().Header
}

func TestGate(t *testing.T) {
	g := NewGate()
	inside, leave := make(chan bool), make(chan bool)
	want := func(when, path string, status int, code string) {
		t.Helper()
		got, gotCode, header := through(g, path)
		if got != status || gotCode != code || (header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%s: %s: got %d %s with %v, want %d %s", when, path, got, gotCode, header, status, code)
		}
	}
	want("before it is open", "/readyz", 503, "starting")
	want("before it is open", "/orgs", 503, "starting")
	want("before it is open", "/livez", 200, "")

	g.Open(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			inside <- true
			<-leave
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	want("open", "/readyz", 204, "")
	ended := make(chan int)
	go func() {
		status, _, _ := through(g, "/slow")
		ended <- status
	}()
	<-inside
	g.Close()
	want("closed", "/readyz", 503, "stopping")
	want("closed", "/slow", 503, "stopping")
	want("closed", "/livez", 200, "")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Wait(over); err == nil || g.Inside() != 1 {
		t.Errorf("with one inside: Wait gives %v and Inside %d, want an error and 1", err, g.Inside())
	}
	leave <- true
	if status := <-ended; status != http.StatusNoContent {
		t.Errorf("the one that was inside: got %d, want 204", status)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Errorf("with nobody inside: %v", err)
	}
	g.Close() // twice is once
}

func TestHosts(t *testing.T) {
	h := Hosts(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), []string{"ledger.example", "10.1.2.3", "fd00::1"})
	for host, want := range map[string]int{
		"localhost": 204, "LocalHost:7420": 204, "127.0.0.1:7420": 204, "127.0.0.2": 204, "[::1]:7420": 204, "[::1]": 204,
		"ledger.example": 204, "LEDGER.example:443": 204, "10.1.2.3:80": 204, "[fd00::1]:80": 204,
		"": 421, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:7420": 421, "10.1.2.4": 421, "[fd00::2]": 421, "0.0.0.0": 421, "localhost.": 421,
	} {
		r := httptest.NewRequest("GET", "/orgs", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: got %d, want %d", host, w.Code, want)
		}
	}
}

func TestParseHost(t *testing.T) {
	for s, want := range map[string]string{"Ledger.example": "ledger.example", "10.1.2.3": "10.1.2.3", "[FD00::1]": "fd00::1", "fd00::1": "fd00::1",
		"": "", "https://ledger.example": "", "ledger.example:443": "", "ledger.example/x": "", "*.example": "", "a b": ""} {
		if got, err := ParseHost(s); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseHost(%q): got %q, %v, want %q", s, got, err, want)
		}
	}
}
