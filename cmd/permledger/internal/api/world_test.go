package api

// What the tests of this package stand on: a real service (embedded NATS, Pebble) whose clock goes on by a second each time
// that it is looked at, and one small catalogue, in which AuthZEN's certification scenario can be told.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

const records = `catalogue: records
kinds:
  user: {}
  team: {group: true}
  record: {protected: true}
resources:
  note: {of: record, trust_properties: true}
  sealed: {of: record}
  platform: {}
roles:
  owner: {for: user}
  admin: {for: user}
founder: owner
relations:
  reader: {from: user}
  writer: {from: user}
  archived: {from: team}
grants:
  emergency: {longest: 8h, reason: required}
permits:
  - {link: [reader, writer], on: record, actions: read}
  - {link: writer, on: record, actions: write}
  - {role: admin, link: archived, on: record, actions: [read, write]}
  - {grant: emergency, on: record, actions: read}
  - {link: reader, on: [note, sealed], actions: view}
  - {own: true, on: note, actions: edit}
  - {role: owner, on: platform, actions: configure}
  - {kind: user, on: user, actions: greet}
  - {role: owner, on: [user, team, record], actions: [account.open, account.deactivate, account.reactivate, fact.correct]}
  - {role: owner, on: user, actions: [role.assign, role.revoke, permission.withhold]}
  - {role: owner, on: team, actions: [team.join, team.leave]}
  - {role: owner, on: record, actions: [caseload.link, caseload.unlink, resource.register, access.grant, delete]}
  - {role: owner, on: catalogue, actions: catalogue.adopt}
  - {role: owner, on: note, actions: export}
`

type world struct {
	t       *testing.T
	service *ledger.Service
	ledger  *ledger.Ledger
	handler http.Handler
	clock   atomic.Int64
	pause   atomic.Pointer[func()] // called when the clock is next looked at, and then never again
	log     bytes.Buffer
}

var began = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// newWorld makes a ledger of organisation acme with founder user:root.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	ctx := context.Background()
	var err error
	w.service, err = ledger.Open(ctx, ledger.Options{Data: t.TempDir(), Create: true, Now: func() time.Time {
		if pause := w.pause.Swap(nil); pause != nil {
			(*pause)()
		}
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
	if w.ledger, err = w.service.Ledger(ctx, "acme"); err != nil { // waits until it is level with its log
		t.Fatal(err)
	}
	w.handler = New(Options{Service: w.service, Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

// newScenario is newWorld with AuthZEN's certification scenario: alice may read and write record-1; bob may read it, and
// as an admin read and write record-2, which is archived.
func newScenario(t *testing.T) *world {
	w := newWorld(t)
	w.record(
		`account.open {"account":"user:alice"}`,
		`account.open {"account":"user:bob"}`,
		`account.open {"account":"team:archive"}`,
		`account.open {"account":"record:record-1"}`,
		`account.open {"account":"record:record-2"}`,
		`role.assign {"principal":"user:bob","role":"admin"}`,
		`team.join {"team":"team:archive","member":"user:bob"}`,
		`caseload.link {"principal":"user:alice","client":"record:record-1","relation":"writer"}`,
		`caseload.link {"principal":"user:bob","client":"record:record-1","relation":"reader"}`,
		`caseload.link {"principal":"team:archive","client":"record:record-2","relation":"archived"}`,
	)
	return w
}

// record sends commands of user:root, each "name data" or "name data reason", one by one, and gives the seq of the last.
func (w *world) record(commands ...string) domain.Seq {
	w.t.Helper()
	for _, c := range commands {
		name, rest, _ := strings.Cut(c, " ")
		end := strings.LastIndexByte(rest, '}') + 1
		reason := ""
		if end < len(rest) {
			reason = fmt.Sprintf(`,"reason":%q`, strings.TrimSpace(rest[end:]))
		}
		got := w.post("/orgs/acme/commands", fmt.Sprintf(`{"command":%q,"actor":"user:root","data":%s%s}`, name, rest[:end], reason))
		got.want(200)
	}
	return w.ledger.Head()
}

// answer is a response with its request, for failures.
type answer struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	body   string
}

func (w *world) do(method, target, body string, header ...string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if len(body) > 200 {
		body = body[:200] + "…"
	}
	return answer{w.t, method + " " + target + " " + body, rec.Code, rec.Result().Header, rec.Body.String()}
}

func (w *world) get(path string, pairs ...string) answer {
	w.t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return w.do(http.MethodGet, path, "")
}

func (w *world) post(path, body string) answer {
	w.t.Helper()
	return w.do(http.MethodPost, path, body, "Content-Type", "application/json")
}

// want fails the test where the status is another, and gives the answer.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.asked, a.status, status, a.body)
	}
	return a
}

// problem fails the test where the answer is not a problem of the status and code.
func (a answer) problem(status int, code string) problem {
	a.t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		a.t.Fatalf("%s: status %d and no problem: %v: %s", a.asked, a.status, err, a.body)
	}
	if a.status != status || p.Status != status || p.Code != code || p.Detail == "" || p.Title != http.StatusText(status) ||
		p.Type != "about:blank" || a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s:\ngot  %d %s %s\nwant %d, code %s", a.asked, a.status, a.header.Get("Content-Type"), a.body, status, code)
	}
	return p
}

// is fails the test where the answer is not this JSON, whatever the order of names.
func (a answer) is(want string) {
	a.t.Helper()
	a.want(200)
	if got, want := canonical(a.t, a.body), canonical(a.t, want); got != want {
		a.t.Errorf("%s:\ngot  %s\nwant %s", a.asked, got, want)
	}
}

// field gives one value of the answer, as JSON.
func (a answer) field(name string) string {
	a.t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.want(200).body), &o); err != nil {
		a.t.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
	return string(o[name])
}

// text gives a value that is a string; "" where it is not there.
func (a answer) text(name string) (s string) {
	a.t.Helper()
	if raw := a.field(name); raw != "" {
		if err := json.Unmarshal([]byte(raw), &s); err != nil {
			a.t.Fatalf("%s: %s: %v", a.asked, name, err)
		}
	}
	return s
}

func canonical(t *testing.T, s string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, s)
	}
	return string(marshal(v))
}
