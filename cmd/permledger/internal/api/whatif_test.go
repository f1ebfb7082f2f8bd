package api

// Questions under another catalogue: what changes, what the answer says of it, and what is refused; and until when answers
// hold.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// recordsLocked is records without teams: only writers read and write, and admins read everything.
const recordsLocked = `catalogue: locked
kinds: {user: {}, record: {protected: true}}
resources: {note: {of: record}, platform: {}, catalogue: {}}
roles: {owner: {for: user}, admin: {for: user}}
founder: owner
relations: {writer: {from: user}}
permits:
  - {link: writer, on: record, actions: [read, write]}
  - {role: admin, on: record, actions: read}
  - {on: platform, actions: look}
  - {role: owner, on: [user, record], actions: [account.open, role.assign]}
  - {role: owner, on: catalogue, actions: catalogue.adopt}
`

// suppose asks a question under a document.
func (w *world) suppose(path, document string, pairs ...string) answer {
	w.t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return w.do(http.MethodPost, path+"?"+q.Encode(), document, "Content-Type", "application/yaml")
}

func TestWhatIf(t *testing.T) {
	w := newScenario(t)
	head, at := w.ledger.Head(), w.ledger.Now().String()
	digest := domain.Digest([]byte(recordsLocked))
	check := func(subject, action, resource string) []string {
		return []string{"subject", subject, "action", action, "resource", resource, "at", at}
	}
	w.suppose("/orgs/acme/check", recordsLocked, check("user:alice", "write", "record:record-1")...).is(`{"decision":true,"subject":"user:alice","action":"write","resource":"record:record-1",
		"as_of":"` + at + `","known_at_seq":13,"valid_until":null,
		"basis":[{"seq":11,"type":"caseload.linked","why":"user:alice is linked to record:record-1 as writer since ` + w.recordedAt(11) + `"}],
		"catalogue":{"name":"locked","digest":"` + digest + `","what_if":true,"line":8}}`)
	for _, c := range []struct {
		question   []string
		is, whatIf bool
		why        string
	}{
		{check("user:alice", "read", "record:record-1"), true, true, ""},
		{check("user:bob", "read", "record:record-1"), true, true, ""},                    // by a link now, by a role then
		{check("user:bob", "write", "record:record-2"), true, false, "needs link writer"}, // by a team that there would not be
		{check("user:alice", "read", "record:record-2"), false, false, "needs link writer from user:alice"},
		{check("user:alice", "look", "platform:main"), false, true, ""},                // an action that the one in force lacks
		{check("user:root", "configure", "platform:main"), true, false, "lets nobody"}, // and the other way round
		{check("team:archive", "look", "platform:main"), false, false, "this needs team:archive to be a record or user"},
		{check("user:bob", "greet", "team:archive"), false, false, "lets nobody greet on team"},
	} {
		if c.question[3] != "look" {
			if got := w.get("/orgs/acme/check", c.question...); got.field("decision") != fmt.Sprint(c.is) || strings.Contains(got.body, "what_if") {
				t.Errorf("%v: got %s, want %t and nothing supposed", c.question, got.body, c.is)
			}
		}
		for _, path := range []string{"/orgs/acme/check", "/orgs/acme/explain"} {
			got := w.suppose(path, recordsLocked, c.question...)
			if got.field("decision") != fmt.Sprint(c.whatIf) || !strings.Contains(got.text("why"), c.why) || !strings.Contains(got.field("catalogue"), `"what_if":true`) {
				t.Errorf("%s %v: got %s, want %t, why %q, and that it is a supposition", path, c.question, got.body, c.whatIf, c.why)
			}
		}
	}

	names := func(a answer, key string) (all []string) {
		t.Helper()
		var list []map[string]any
		if err := json.Unmarshal([]byte(a.field("results")), &list); err != nil {
			t.Fatal(err)
		}
		if got, want := a.field("catalogue"), `{"name":"locked","digest":"`+digest+`","what_if":true}`; got != want {
			t.Errorf("%s: by catalogue %s, want %s", a.asked, got, want)
		}
		for _, r := range list {
			all = append(all, fmt.Sprint(r[key]))
		}
		return all
	}
	if got := names(w.suppose("/orgs/acme/who", recordsLocked, "action", "read", "resource", "record:record-2"), "subject"); fmt.Sprint(got) != "[user:bob]" {
		t.Errorf("who may read record-2: got %v, want user:bob", got)
	}
	if got := names(w.suppose("/orgs/acme/who", recordsLocked, "action", "read", "resource", "record:record-2", "kind", "team"), "subject"); len(got) != 0 {
		t.Errorf("which teams may read record-2: got %v, want none", got)
	}
	if got := names(w.suppose("/orgs/acme/what", recordsLocked, "subject", "user:bob"), "resource"); fmt.Sprint(got) != "[platform:* record:record-1 record:record-2]" {
		t.Errorf("what may bob do: got %v", got)
	}
	if got := names(w.suppose("/orgs/acme/what", recordsLocked, "subject", "team:archive"), "resource"); len(got) != 0 {
		t.Errorf("what may a team do: got %v, want nothing", got)
	}

	// Supposing what is in force says so, and changes no answer.
	got := w.suppose("/orgs/acme/check", records, check("user:bob", "write", "record:record-2")...)
	if got.field("decision") != "true" || !strings.Contains(got.field("catalogue"), `"what_if":true,"in_force":true`) {
		t.Errorf("under the catalogue in force: %s", got.body)
	}
	// A shipped one by its name, by either method.
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		got := w.do(method, "/orgs/acme/who?action=read&resource=record:record-1&catalogue="+catalogues.Names()[0], "")
		if got.field("results") != "[]" || !strings.Contains(got.field("catalogue"), `"what_if":true`) {
			t.Errorf("%s: got %s, want nobody, under the shipped catalogue", got.asked, got.body)
		}
	}
	if w.ledger.Head() != head {
		t.Errorf("supposing recorded something: head %d, was %d", w.ledger.Head(), head)
	}
}

func TestWhatIfRefused(t *testing.T) {
	w := newScenario(t)
	q := []string{"action", "read", "resource", "record:record-1"}
	path := "/orgs/acme/who?action=read&resource=record:record-1"
	if p := w.suppose("/orgs/acme/who", recordsLocked+"  - {role: wizard, on: record, actions: read}\n", q...).problem(422, "bad_catalogue"); !strings.Contains(p.Detail, "catalogue line 13") || !strings.Contains(p.Detail, "wizard") {
		t.Errorf("a bad document: %s; want its line", p.Detail)
	}
	w.suppose("/orgs/acme/who", "\x00", q...).problem(422, "bad_catalogue")
	w.suppose("/orgs/acme/who", "", q...).problem(400, "missing_catalogue")
	w.suppose("/orgs/acme/who", recordsLocked, append(q, "catalogue", "minddistrict")...).problem(400, "two_catalogues")
	w.get("/orgs/acme/who", append(q, "catalogue", "wizards")...).problem(400, "unknown_catalogue")
	w.get("/orgs/acme/who", append(q, "catalogue", "../minddistrict")...).problem(400, "unknown_catalogue")
	w.get("/orgs/acme/holders", "role", "admin", "catalogue", "minddistrict").problem(400, "unknown_parameter")
	w.do(http.MethodPost, path, recordsLocked).problem(415, "unsupported_media_type")
	w.do(http.MethodPost, path, recordsLocked, "Content-Type", "application/yaml; charset=latin1").problem(415, "unsupported_media_type")
	w.do(http.MethodPost, path, recordsLocked, "Content-Type", "application/yaml; charset=UTF-8").want(200)
	if p := w.suppose("/orgs/acme/who", recordsLocked+strings.Repeat("#", domain.MaxDocument), q...).problem(413, "too_large"); !strings.Contains(p.Detail, "524288") {
		t.Errorf("too long a document: %s", p.Detail)
	}
	// What never was is refused as ever; and what neither catalogue knows.
	w.suppose("/orgs/acme/check", recordsLocked, "subject", "user:nobody", "action", "read", "resource", "record:record-1").problem(404, "unknown_account")
	w.suppose("/orgs/acme/who", recordsLocked, "action", "fly", "resource", "record:record-1").problem(400, "unknown_action")
	w.suppose("/orgs/acme/who", recordsLocked, "action", "read", "resource", "planet:mars").problem(400, "unknown_kind")
}

// The pages of an answer are all under one catalogue.
func TestWhatIfPages(t *testing.T) {
	w := newScenario(t)
	for i := range 5 {
		w.record(fmt.Sprintf(`account.open {"account":"user:u%d"}`, i), fmt.Sprintf(`role.assign {"principal":"user:u%d","role":"admin"}`, i))
	}
	q := []string{"action", "read", "resource", "record:record-2"}
	all := w.suppose("/orgs/acme/who", recordsLocked, q...).field("results")
	first := w.suppose("/orgs/acme/who", recordsLocked, append(q, "limit", "4")...)
	next := first.text("next")
	w.record(`role.revoke {"principal":"user:u4","role":"admin"}`)
	second := w.suppose("/orgs/acme/who", recordsLocked, "page", next)
	if got := strings.TrimSuffix(first.field("results"), "]") + "," + strings.TrimPrefix(second.field("results"), "["); got != all {
		t.Errorf("in two pages:\ngot  %s\nwant %s", got, all)
	}
	if second.field("complete") != "true" || second.field("catalogue") != first.field("catalogue") {
		t.Errorf("the second page: %s", second.body)
	}
	for _, other := range []string{recordsLocked + "# changed\n", records} {
		if p := w.suppose("/orgs/acme/who", other, "page", next).problem(400, "page_mismatch"); !strings.Contains(p.Detail, domain.Digest([]byte(recordsLocked))) {
			t.Errorf("a page under another document: %s; want which it was", p.Detail)
		}
	}
	w.get("/orgs/acme/who", "page", next).problem(400, "page_mismatch")
	w.suppose("/orgs/acme/what", recordsLocked, "page", next).problem(400, "bad_page")
	real := w.get("/orgs/acme/what", "subject", "user:root", "limit", "1").text("next")
	w.suppose("/orgs/acme/what", recordsLocked, "page", real).problem(400, "page_mismatch")
	w.get("/orgs/acme/what", "page", real).want(200)
}

// Every yes says until when it may be relied on, and the earliest counts.
func TestValidUntil(t *testing.T) {
	w := newScenario(t)
	soon, later := w.ledger.Now().Add(3600e9).String(), w.ledger.Now().Add(7200e9).String()
	w.record(`access.grant {"grant":"g1","principal":"user:root","client":"record:record-2","profile":"emergency","until":"`+later+`"} a fire`,
		`role.assign {"principal":"user:root","role":"admin","until":"`+soon+`"}`,
		`team.join {"team":"team:archive","member":"user:root"}`)
	until := func(a answer, key, name string) string {
		t.Helper()
		var list []map[string]json.RawMessage
		if err := json.Unmarshal([]byte(a.field("results")), &list); err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if string(r[key]) == `"`+name+`"` {
				return string(r["valid_until"])
			}
		}
		t.Fatalf("%s: no %s in %s", a.asked, name, a.body)
		return ""
	}
	// To read there is the grant and the role, and the longer counts; to write there is the role alone.
	who := w.get("/orgs/acme/who", "action", "read", "resource", "record:record-2")
	if got := until(who, "subject", "user:root"); got != `"`+later+`"` {
		t.Errorf("who may read, root until %s, want %s", got, later)
	}
	if got := until(who, "subject", "user:bob"); got != "null" {
		t.Errorf("who may read, bob until %s, want null", got)
	}
	what := w.get("/orgs/acme/what", "subject", "user:root")
	if got := until(what, "resource", "record:record-2"); got != `"`+soon+`"` {
		t.Errorf("what may root do to record-2, until %s, want %s, when the first of them ends", got, soon)
	}
	if got := until(w.get("/orgs/acme/what", "subject", "user:root", "action", "read"), "resource", "record:record-2"); got != `"`+later+`"` {
		t.Errorf("may root read record-2, until %s, want %s", got, later)
	}
	if got := until(what, "resource", "record:record-1"); got != "null" {
		t.Errorf("what may root do to record-1, until %s, want null", got)
	}
	ask := func(subject, action, resource string) string {
		return fmt.Sprintf(`{"subject":{"type":"user","id":%q},"action":{"name":%q},"resource":{"type":"record","id":%q}}`, subject, action, resource)
	}
	w.post("/orgs/acme/access/v1/evaluation", ask("root", "write", "record-2")).is(`{"decision":true,"context":{"valid_until":"` + soon + `"}}`)
	several := w.post("/orgs/acme/access/v1/evaluations", `{"evaluations":[`+ask("root", "read", "record-2")+`,`+ask("alice", "read", "record-1")+`,`+ask("bob", "write", "record-1")+`]}`)
	if got := several.field("evaluations"); !strings.HasPrefix(got, `[{"decision":true,"context":{"valid_until":"`+later+`"}},{"decision":true,"context":{"valid_until":null}},{"decision":false,"context":{"reason_admin":`) {
		t.Errorf("evaluations: %s", got)
	}
	found := w.post("/orgs/acme/access/v1/search/subject", `{"subject":{"type":"user"},"action":{"name":"write"},"resource":{"type":"record","id":"record-2"}}`)
	found.is(`{"results":[{"type":"user","id":"bob"},{"type":"user","id":"root"}]}`) // which has no place for it
}
