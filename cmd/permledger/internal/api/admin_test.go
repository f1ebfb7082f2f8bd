package api

// Rebuilding and verifying over real HTTP: the lines of how far it is, how it ends, and who may have it when.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func TestAdminRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, target string
		status         int
		code           string
	}{
		{"POST", "rebuild", 400, "missing_parameter"},
		{"POST", "rebuild?org=ACME", 400, "bad_org"},
		{"POST", "rebuild?org=nobody", 404, "unknown_org"},
		{"POST", "rebuild?org=acme&dry_run=yes", 400, "bad_parameter"},
		{"POST", "rebuild?org=acme&force=true", 400, "unknown_parameter"},
		{"POST", "rebuild?org=acme&rollback=true", 404, "no_kept_projection"},
		{"POST", "rebuild?org=acme&rollback=true&replace_damaged=true", 400, "bad_options"},
		{"POST", "rebuild?org=acme&dry_run=true&replace_damaged=true", 400, "bad_options"},
		{"PUT", "rebuild?org=acme", 405, "method_not_allowed"},
		{"GET", "rebuild?org=acme", 400, "unknown_parameter"},
		{"POST", "verify?org=acme", 405, "method_not_allowed"},
		{"GET", "verify?org=nobody", 404, "unknown_org"},
		{"GET", "verify?org=acme&sample=0", 400, "bad_sample"},
		{"GET", "verify?org=acme&sample=all", 400, "bad_sample"},
		{"HEAD", "verify?org=nobody&sample=0", 400, "bad_sample"},
	} {
		a := w.do(c.method, "/admin/"+c.target, "")
		if c.method != http.MethodHead {
			a.problem(c.status, c.code)
		} else if a.status != c.status {
			t.Errorf("%s: status %d, want %d", a.asked, a.status, c.status)
		}
	}
}

// lines reads the steps of an answer.
type lines struct {
	t    *testing.T
	resp *http.Response
	scan *bufio.Scanner
}

// line is a step as a client has it.
type line struct {
	State  *ledger.RebuildState
	Result json.RawMessage
	Error  *problem
}

func (w *world) steps(ctx context.Context, server *httptest.Server, method, path string) *lines {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "application/x-ndjson" {
		w.t.Fatalf("%s %s: got %d %s, want 200 and lines", method, path, resp.StatusCode, got)
	}
	return &lines{w.t, resp, bufio.NewScanner(resp.Body)}
}

// next gives a line; ok is false where there is none any more.
func (l *lines) next() (got line, ok bool) {
	l.t.Helper()
	if !l.scan.Scan() {
		return got, false
	}
	if err := json.Unmarshal(l.scan.Bytes(), &got); err != nil {
		l.t.Fatalf("%v: %s", err, l.scan.Bytes())
	}
	return got, true
}

// until reads states up to one that is of the phase.
func (l *lines) until(phase string) ledger.RebuildState {
	l.t.Helper()
	for {
		got, ok := l.next()
		if !ok || got.State == nil {
			l.t.Fatalf("got %+v, want a state, up to one of phase %s", got, phase)
		}
		if got.State.Phase == phase {
			return *got.State
		}
	}
}

// last reads on to the last line.
func (l *lines) last() line {
	l.t.Helper()
	for {
		got, ok := l.next()
		if !ok {
			l.t.Fatalf("the lines end without a last one: %v", l.scan.Err())
		}
		if got.State != nil {
			continue
		}
		if more, ok := l.next(); ok {
			l.t.Errorf("behind the last line there is %+v", more)
		}
		return got
	}
}

// held has a command of this account hold the writer's turn, by the clock that it looks at, until release is called.
func (w *world) held(account string) (release func()) {
	w.t.Helper()
	holding, going := make(chan struct{}), make(chan struct{})
	pause := func() { close(holding); <-going }
	w.pause.Store(&pause)
	recorded := make(chan answer, 1)
	go func() {
		recorded <- w.post("/orgs/acme/commands", fmt.Sprintf(`{"command":"account.open","actor":"user:root","data":{"account":%q}}`, account))
	}()
	<-holding
	return func() { close(going); (<-recorded).want(200) }
}

// TestRebuildOverHTTP has rebuilds come as far as the swap, which waits for the writer's turn. One goes with its client, one
// with its server, and one comes to its end.
func TestRebuildOverHTTP(t *testing.T) {
	w := newWorld(t)
	gone := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer context.AfterFunc(r.Context(), func() { gone <- struct{}{} })()
		w.handler.ServeHTTP(rw, r)
	}))
	defer server.Close()
	closing, stop := context.WithCancel(t.Context())
	stopped := httptest.NewServer(New(Options{Service: w.service, Closing: closing}))
	defer stopped.Close()
	const path = "/admin/rebuild?org=acme"

	release := w.held("user:alice")
	ctx, leave := context.WithCancel(t.Context())
	st := w.steps(ctx, server, http.MethodPost, path).until(ledger.PhaseSwapping)
	if st.Org != "acme" || st.Kind != "rebuild" || st.Seq != 3 || st.Target != 3 || st.Live != 3 || st.Lag != 0 || st.At.IsZero() {
		t.Errorf("got the state %+v, want a rebuild of acme at event 3 of 3", st)
	}
	for _, second := range []struct{ method, target string }{{"POST", path}, {"POST", path + "&dry_run=true"}, {"GET", "/admin/verify?org=acme"}} {
		if p := w.do(second.method, second.target, "").problem(409, "rebuild_running"); !strings.Contains(p.Detail, "swapping, at event 3 of 3") {
			t.Errorf("a second one: got %q, want how far the first is", p.Detail)
		}
	}
	if a := w.do(http.MethodHead, "/admin/verify?org=acme", ""); a.status != 200 || a.body != "" { // does nothing, so nothing is in its way
		t.Errorf("%s: %d %q", a.asked, a.status, a.body)
	}
	w.rebuilding(ledger.PhaseSwapping)
	leave() // its client goes
	<-gone
	release()
	w.rebuilding(ledger.PhaseFailed)

	release = w.held("user:bob")
	with := w.steps(t.Context(), stopped, http.MethodPost, path)
	with.until(ledger.PhaseSwapping)
	stop() // its server stops
	release()
	if got := with.last(); got.Error == nil || got.Error.Code != "stopping" || got.Error.Status != 503 || !strings.Contains(string(got.Result), `"swapped":false`) {
		t.Errorf("from a server that stops got %s, error %+v, want that nothing was swapped, and why", got.Result, got.Error)
	}

	release = w.held("user:carol")
	whole := w.steps(t.Context(), server, http.MethodPost, path)
	whole.until(ledger.PhaseSwapping)
	release()
	var out ledger.Rebuilt
	if got := whole.last(); got.Error != nil || json.Unmarshal(got.Result, &out) != nil || !out.Swapped || !out.Kept || out.Comparison == nil || !out.Equal {
		t.Errorf("got %s, error %+v, want it swapped", got.Result, got.Error)
	}
	w.rebuilding(ledger.PhaseDone)

	var v ledger.Verified
	if got := w.steps(t.Context(), server, http.MethodGet, "/admin/verify?org=acme").last(); got.Error != nil || json.Unmarshal(got.Result, &v) != nil || !v.Full || !v.Equal || v.Log.Events != 6 {
		t.Errorf("verify: got %s, error %+v, want all of 6 events equal", got.Result, got.Error)
	}
	server.Close() // nobody writes the log any more
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("what was nobody's fault is in the log: %s", w.log.String())
	}
}

// rebuilding waits until the service says that acme's is in the phase.
func (w *world) rebuilding(phase string) {
	w.t.Helper()
	var got struct{ Rebuilds []ledger.RebuildState }
	for ctx := w.t.Context(); ctx.Err() == nil; {
		if err := json.Unmarshal([]byte(w.get("/admin/rebuild").want(200).body), &got); err != nil {
			w.t.Fatal(err)
		}
		if len(got.Rebuilds) == 1 && got.Rebuilds[0].Phase == phase {
			return
		}
	}
	w.t.Fatalf("GET /admin/rebuild: %+v, want one, %s", got, phase)
}

// TestStepsThatEndBadly: what was found is told beside what is wrong; what nothing came of is a problem like any other.
func TestStepsThatEndBadly(t *testing.T) {
	s := New(Options{}).(*server)
	wrong := domain.Errorf(domain.Integrity, "rebuild_differs", "1 key differs")
	for _, c := range []struct {
		state  bool
		result any
		err    error
		want   string // in what is answered
	}{
		{false, ledger.Rebuilt{Org: "acme"}, wrong, `{"result":{"org":"acme",`},
		{false, ledger.Rebuilt{Org: "acme"}, wrong, `"error":{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"1 key differs","code":"rebuild_differs","failure":"integrity","runbook":"rebuild-differs"}}`},
		{true, nil, wrong, "\n" + `{"error":{"type":`},
		{true, nil, errors.New("the disk is on fire"), `"code":"internal"`},
		{false, nil, wrong, ""},
	} {
		rec := httptest.NewRecorder()
		err := s.work(rec, httptest.NewRequest(http.MethodPost, "/", nil), func(_ context.Context, progress func(ledger.RebuildState)) (any, error) {
			if c.state {
				progress(ledger.RebuildState{Org: "acme", Phase: ledger.PhaseReading, At: time.Unix(0, 0)})
			}
			return c.result, c.err
		})
		if got := rec.Body.String(); !strings.Contains(got, c.want) || strings.Contains(got, "fire") || (err != nil) != (c.want == "") || err != nil && got != "" {
			t.Errorf("%+v: got %q, error %v", c, got, err)
		}
	}
}
