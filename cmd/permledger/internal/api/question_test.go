package api

// The auditor's questions over HTTP: shapes, moments, pages, and what is refused.

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestCheckAndExplain(t *testing.T) {
	w := newScenario(t)
	until := w.ledger.Now().Add(3600e9).String()
	w.record(`access.grant {"grant":"g1","principal":"user:root","client":"record:record-2","profile":"emergency","until":"` + until + `"} a fire`)

	check := func(subject, action, resource string, more ...string) answer {
		t.Helper()
		return w.get("/orgs/acme/check", append([]string{"subject", subject, "action", action, "resource", resource}, more...)...).want(200)
	}
	at := w.ledger.Now().String()
	check("user:alice", "read", "record:record-1", "at", at).is(`{"decision":true,"subject":"user:alice","action":"read","resource":"record:record-1",
		"as_of":"` + at + `","known_at_seq":14,"valid_until":null,
		"basis":[{"seq":11,"type":"caseload.linked","why":"user:alice is linked to record:record-1 as writer since ` + w.recordedAt(11) + `"}],
		"catalogue":{"name":"records","version":1,"seq":1,"line":21}}`)
	check("user:alice", "write", "record:record-2", "at", at).is(`{"decision":false,"subject":"user:alice","action":"write","resource":"record:record-2",
		"as_of":"` + at + `","known_at_seq":14,"valid_until":null,"basis":[],
		"why":"this needs link writer from user:alice to record:record-2","catalogue":{"name":"records","version":1,"seq":1,"line":22}}`)

	// A yes by what ends is valid until then; a no never is.
	w.record(`team.leave {"team":"team:archive","member":"user:bob"}`)
	if got := check("user:root", "read", "record:record-2").text("valid_until"); got != until {
		t.Errorf("valid until %s, want %s", got, until)
	}
	x := w.get("/orgs/acme/explain", "subject", "user:root", "action", "read", "resource", "record:record-2")
	var e struct {
		Events []struct {
			Seq           int
			Actor, Reason string
		}
		Missing []string
	}
	if err := json.Unmarshal([]byte(x.want(200).body), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Events) != 1 || e.Events[0].Seq != 14 || e.Events[0].Actor != "user:root" || e.Events[0].Reason != "a fire" || e.Missing == nil || len(e.Missing) != 0 {
		t.Errorf("explained as %s, want event 14 by user:root, reason a fire, nothing missing", x.body)
	}

	// The nearest miss of a no: what stands, what ended, and the events of both.
	x = w.get("/orgs/acme/explain", "subject", "user:bob", "action", "write", "resource", "record:record-2")
	if err := json.Unmarshal([]byte(x.want(200).body), &e); err != nil {
		t.Fatal(err)
	}
	if x.field("decision") != "false" || len(e.Missing) == 0 || x.text("why") != strings.Join(e.Missing, "; and ") || !strings.Contains(x.field("basis"), "role.assigned") {
		t.Errorf("explained as %s", x.body)
	}
	for _, event := range e.Events {
		if !strings.Contains(x.field("events"), fmt.Sprintf(`"seq":%d`, event.Seq)) {
			t.Errorf("event %d is missing in %s", event.Seq, x.body)
		}
	}
}

// recordedAt is the time of an event.
func (w *world) recordedAt(seq domain.Seq) string {
	w.t.Helper()
	e, err := w.ledger.Event(w.t.Context(), seq)
	if err != nil {
		w.t.Fatal(err)
	}
	return e.RecordedAt.String()
}

// An account is opened, or open again: the basis says which, and at every moment what was so then.
func TestBasisOfAnOpenAccount(t *testing.T) {
	w := newScenario(t)
	opened := w.ledger.Now().String()
	gone := w.record(`account.deactivate {"account":"user:alice"}`)
	closed := w.ledger.Now().String()
	again := w.record(`account.reactivate {"account":"user:alice"}`)
	for _, c := range []struct{ at, knownAt, want string }{
		{opened, "", `"seq":4,"type":"account.opened"`},
		{opened, "now", `"seq":4,"type":"account.opened"`},
		{closed, "", fmt.Sprintf(`"seq":%d,"type":"account.deactivated"`, gone)},
		{"now", "", fmt.Sprintf(`"seq":%d,"type":"account.reactivated"`, again)},
	} {
		more := []string{"at", c.at}
		if c.knownAt != "" {
			more = append(more, "known_at", c.knownAt)
		}
		a := w.get("/orgs/acme/check", append([]string{"subject", "user:alice", "action", "greet", "resource", "user:bob"}, more...)...)
		if got := a.field("basis"); !strings.Contains(got, c.want) {
			t.Errorf("at %s known at %q: basis %s, want %s", c.at, c.knownAt, got, c.want)
		}
		explained := w.get("/orgs/acme/explain", append([]string{"subject", "user:alice", "action", "greet", "resource", "user:bob"}, more...)...)
		if got := explained.field("basis"); got != a.field("basis") {
			t.Errorf("at %s: explain's basis is %s, check's %s", c.at, got, a.field("basis"))
		}
	}
}

func TestTimeTravel(t *testing.T) {
	w := newScenario(t)
	before := w.ledger.Now().String()
	linked := w.record(`caseload.link {"principal":"user:alice","client":"record:record-2","relation":"reader"}`)
	between := w.ledger.Now().String()
	w.record(fmt.Sprintf(`fact.correct {"corrects":%d,"void":true} a slip`, linked))
	for _, c := range []struct {
		at, knownAt string
		want        bool
	}{
		{"", "", false},
		{before, "", false},
		{between, "", true}, // enforced
		{between, "now", false},
		{between, strconv.Itoa(int(linked)), true},
		{between, before, false},
		{"now", between, true},
	} {
		q := []string{"action", "read", "resource", "record:record-2"}
		if c.at != "" {
			q = append(q, "at", c.at)
		}
		if c.knownAt != "" {
			q = append(q, "known_at", c.knownAt)
		}
		check := w.get("/orgs/acme/check", append(q, "subject", "user:alice")...)
		who := w.get("/orgs/acme/who", q...)
		var reach []string
		for i := 0; i < len(q); i += 2 {
			if q[i] != "resource" {
				reach = append(reach, q[i], q[i+1])
			}
		}
		what := w.get("/orgs/acme/what", append(reach, "subject", "user:alice")...)
		if check.field("decision") != fmt.Sprint(c.want) || strings.Contains(who.field("results"), "user:alice") != c.want ||
			strings.Contains(what.field("results"), "record-2") != c.want {
			t.Errorf("at %q known at %q, want %t:\ncheck %s\nwho   %s\nwhat  %s", c.at, c.knownAt, c.want, check.body, who.body, what.body)
		}
		if c.at != "" && c.at != "now" && check.text("as_of") != c.at {
			t.Errorf("as of %s, want %s", check.text("as_of"), c.at)
		}
	}
	// Before anything there was nobody, and no catalogue.
	early := []string{"at", "2020-01-01T00:00:00Z"}
	if got := w.get("/orgs/acme/who", append(early, "action", "read", "resource", "record:record-1")...); got.field("results") != "[]" || got.field("known_at_seq") != "0" {
		t.Errorf("%s: %s", got.asked, got.body)
	}
	check := w.get("/orgs/acme/check", append(early, "subject", "user:alice", "action", "read", "resource", "record:record-1")...)
	if check.field("decision") != "false" || check.field("catalogue") != "null" {
		t.Errorf("%s: %s", check.asked, check.body)
	}
	w.get("/orgs/acme/catalogue", early...).problem(404, "no_catalogue")
}

func TestWhoAndWhat(t *testing.T) {
	w := newScenario(t)
	who := w.get("/orgs/acme/who", "action", "read", "resource", "record:record-2")
	if got, want := who.field("results"), `[{"subject":"user:bob","valid_until":null,"basis":[{"seq":9,"type":"role.assigned",`; !strings.HasPrefix(got, want) {
		t.Errorf("%s: results %s, want %s", who.asked, got, want)
	}
	if who.field("complete") != "true" || who.field("next") != "" || who.text("action") != "read" || who.text("resource") != "record:record-2" || who.field("known_at_seq") != "13" {
		t.Errorf("%s: %s", who.asked, who.body)
	}
	if got := w.get("/orgs/acme/who", "action", "read", "resource", "record:record-2", "kind", "team").field("results"); got != "[]" {
		t.Errorf("teams: %s", got)
	}
	subjects := func(a answer, key string) string {
		t.Helper()
		var list []map[string]json.RawMessage
		if err := json.Unmarshal([]byte(a.field("results")), &list); err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, r := range list {
			s += string(r[key]) + " "
		}
		return s
	}
	what := w.get("/orgs/acme/what", "subject", "user:root", "type", "platform")
	if got := subjects(what, "resource") + subjects(what, "actions"); got != `"platform:*" ["configure"] ` {
		t.Errorf("%s: %s", what.asked, got)
	}
	what = w.get("/orgs/acme/what", "subject", "user:bob", "action", "read")
	if got := subjects(what, "resource"); got != `"record:record-1" "record:record-2" ` {
		t.Errorf("%s: %s", what.asked, got)
	}
	what = w.get("/orgs/acme/what", "subject", "user:alice")
	if got := subjects(what, "resource"); got != `"record:record-1" "user:alice" "user:bob" "user:root" ` {
		t.Errorf("%s: %s", what.asked, got)
	}
}

// Pages are the whole answer in pieces, whatever is recorded between them.
func TestPages(t *testing.T) {
	w := newScenario(t)
	for i := range 5 {
		w.record(fmt.Sprintf(`account.open {"account":"user:u%d"}`, i))
	}
	for _, c := range []struct {
		path string
		q    []string
	}{
		{"/orgs/acme/who", []string{"action", "greet", "resource", "user:bob"}},
		{"/orgs/acme/what", []string{"subject", "user:root"}},
	} {
		whole := w.get(c.path, c.q...)
		var want, got []json.RawMessage
		if err := json.Unmarshal([]byte(whole.field("results")), &want); err != nil {
			t.Fatal(err)
		}
		q, pages := append([]string{"limit", "3"}, c.q...), 0
		for q != nil {
			a := w.get(c.path, q...)
			var part []json.RawMessage
			if err := json.Unmarshal([]byte(a.field("results")), &part); err != nil {
				t.Fatal(err)
			}
			got, pages, q = append(got, part...), pages+1, nil
			next := a.text("next")
			if complete := a.field("complete"); complete != fmt.Sprint(next == "") || len(part) > 3 {
				t.Fatalf("%s: %s", a.asked, a.body)
			}
			if next != "" {
				q = []string{"page", next}
				if pages%2 == 0 {
					q = append(q, c.q...)
				}
				w.record(fmt.Sprintf(`account.open {"account":"user:z%d"}`, w.ledger.Head()))
				w.get(c.path, append([]string{"page", next, "at", "now"}, c.q...)...).problem(400, "page_mismatch")
			}
		}
		if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) || pages < 2 {
			t.Errorf("%s in %d pages:\ngot  %s\nwant %s", c.path, pages, got, want)
		}
	}
	next := w.get("/orgs/acme/who", "action", "greet", "resource", "user:bob", "limit", "1").text("next")
	w.get("/orgs/acme/what", "page", next).problem(400, "bad_page")
	w.get("/orgs/acme/who", "page", next[:len(next)-4]).problem(400, "bad_page")
	w.get("/orgs/acme/who", "page", "!").problem(400, "bad_page")
}

func TestHistoryAndEvents(t *testing.T) {
	w := newScenario(t)
	seqs := func(a answer) string {
		t.Helper()
		var list []struct{ Seq int }
		if err := json.Unmarshal([]byte(a.field("events")), &list); err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, e := range list {
			s += strconv.Itoa(e.Seq) + " "
		}
		return s
	}
	history := func(q ...string) answer {
		t.Helper()
		return w.get("/orgs/acme/history", append([]string{"about", "user:bob"}, q...)...)
	}
	for _, c := range []struct {
		q                    []string
		seqs, complete, next string
	}{
		{nil, "5 9 10 12 ", "true", ""},
		{[]string{"limit", "3"}, "5 9 10 ", "false", "10"},
		{[]string{"limit", "3", "after", "10"}, "12 ", "true", ""},
		{[]string{"limit", "4"}, "5 9 10 12 ", "true", ""},
		{[]string{"known_at", "9"}, "5 9 ", "true", ""},
		{[]string{"at", w.recordedAt(10)}, "5 9 10 ", "true", ""},
		{[]string{"at", w.recordedAt(10), "known_at", "now"}, "5 9 10 12 ", "true", ""},
	} {
		a := history(c.q...)
		if got := seqs(a); got != c.seqs || a.field("complete") != c.complete || a.field("next") != c.next {
			t.Errorf("%s: got %s, want events %s, complete %s, next %s", a.asked, a.body, c.seqs, c.complete, c.next)
		}
	}
	events := func(q ...string) answer { t.Helper(); return w.get("/orgs/acme/events", q...) }
	for _, c := range []struct {
		q          []string
		seqs, next string
	}{
		{nil, "1 2 3 4 5 6 7 8 9 10 11 12 13 ", "13"},
		{[]string{"limit", "2"}, "1 2 ", "2"},
		{[]string{"limit", "2", "after", "12"}, "13 ", "13"},
		{[]string{"after", "13"}, "", "13"},
		{[]string{"after", "99"}, "", "99"},
	} {
		a := events(c.q...)
		if got := seqs(a); got != c.seqs || a.field("next") != c.next {
			t.Errorf("%s: got %s, want events %s, next %s", a.asked, a.body, c.seqs, c.next)
		}
	}
}

func TestCatalogueInForce(t *testing.T) {
	w := newScenario(t)
	before := w.ledger.Now().String()
	next := strings.Replace(records, "actions: configure", "actions: arrange", 1)
	seq := w.record(fmt.Sprintf(`catalogue.adopt {"document":%q}`, next))
	for _, c := range []struct {
		at       string
		version  int
		seq      domain.Seq
		document string
		known    domain.Seq
	}{{before, 1, 1, records, seq - 1}, {"now", 2, seq, next, seq}} {
		cat, err := domain.ParseCatalogue([]byte(c.document))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		if err := json.Unmarshal(marshal(cat.Parts()), &want); err != nil {
			t.Fatal(err)
		}
		maps.Copy(want, map[string]any{
			"name": "records", "version": c.version, "digest": domain.Digest([]byte(c.document)), "seq": c.seq,
			"adopted_at": w.recordedAt(c.seq), "document": c.document, "as_of": c.at, "known_at_seq": c.known,
		})
		got := w.get("/orgs/acme/catalogue", "at", c.at)
		if c.at == "now" {
			want["as_of"] = got.text("as_of")
		}
		got.is(string(marshal(want)))
	}
	// An action that only the other catalogue knows is a no, and no mistake.
	for _, c := range []struct{ action, at, want string }{
		{"configure", before, "true"}, {"configure", "now", "false"}, {"arrange", before, "problem"}, {"arrange", "now", "true"},
	} {
		a := w.get("/orgs/acme/check", "subject", "user:root", "action", c.action, "resource", "platform:main", "at", c.at)
		if c.action == "arrange" && c.at == before {
			c.want = "false"
		} else if c.action == "configure" && c.at == "now" {
			a.problem(400, "unknown_action")
			continue
		}
		if got := a.field("decision"); got != c.want {
			t.Errorf("%s: got %s, want %s", a.asked, a.body, c.want)
		}
	}
	a := w.get("/orgs/acme/check", "subject", "user:root", "action", "arrange", "resource", "platform:main")
	if got := a.field("catalogue"); got != fmt.Sprintf(`{"name":"records","version":2,"seq":%d,"line":27}`, seq) {
		t.Errorf("catalogue %s", got)
	}
}

func TestQuestionsBadInput(t *testing.T) {
	w := newScenario(t)
	w.record(`resource.register {"resource":"note:n1","client":"record:record-1","created_by":"user:alice"}`)
	head := w.ledger.Head()
	const check = "/orgs/acme/check?subject=user:alice&action=read&resource=record:record-1"
	with := func(name, value string) string {
		q := map[string]string{"subject": "user:alice", "action": "read", "resource": "record:record-1", name: value}
		var list []string
		for n, v := range q {
			if v != "-" {
				list = append(list, n+"="+v)
			}
		}
		return "/orgs/acme/check?" + strings.Join(list, "&")
	}
	for _, c := range []struct {
		target string
		status int
		code   string
	}{
		{"/nowhere", 404, "unknown_path"},
		{"/orgs/", 404, "unknown_path"},
		{"/orgs/acme", 404, "unknown_path"},
		{"/orgs/acme/check/", 404, "unknown_path"},
		{"/orgs?x=1", 400, "unknown_parameter"},
		{"/orgs/ACME/events", 400, "bad_org"},
		{"/orgs/..%2f..%2f/events", 400, "bad_org"},
		{"/orgs/nobody/events", 404, "unknown_org"},
		{check + "&subject=user:bob", 400, "duplicate_parameter"},
		{check + "&colour=red", 400, "unknown_parameter"},
		{check + "&at=", 400, "bad_parameter"},
		{check + "&at=yesterday", 400, "bad_time"},
		{check + "&at=2026-01-05", 400, "bad_time"},
		{check + "&at=9999-01-01T00:00:00Z", 400, "time_out_of_range"},
		{check + "&known_at=soon", 400, "bad_known_at"},
		{check + "&known_at=99", 400, "bad_known_at"},
		{check + "&known_at=0", 400, "bad_known_at"},
		{check + "&known_at=-1", 400, "bad_known_at"},
		{check + "&client=x", 400, "bad_account"},
		{check + "&x=%zz", 400, "bad_query"},
		{check + ";x=1", 400, "bad_query"},
		{with("subject", "-"), 400, "missing_parameter"},
		{with("action", "-"), 400, "missing_parameter"},
		{with("resource", "-"), 400, "missing_parameter"},
		{with("subject", "alice"), 400, "bad_account"},
		{with("subject", "user:*"), 400, "bad_account"},
		{with("action", "Read"), 400, "bad_action"},
		{with("resource", "record"), 400, "bad_resource"},
		{with("resource", "Record:*"), 400, "bad_resource"},
		{with("action", "fly"), 400, "unknown_action"},
		{with("resource", "planet:mars"), 400, "unknown_kind"},
		{with("subject", "user:carol"), 404, "unknown_account"},
		{with("subject", "robot:r2"), 404, "unknown_account"},
		{with("resource", "record:record-9"), 404, "unknown_account"},
		{with("resource", "record:*"), 404, "unknown_account"},
		{with("resource", "note:n9"), 404, "unknown_resource"},
		{with("resource", "note:*"), 404, "unknown_resource"},
		{with("resource", "note:n9") + "&client=record:record-9", 404, "unknown_account"},
		{with("resource", "sealed:s9") + "&client=record:record-1", 404, "unknown_resource"},
		{"/orgs/acme/who?action=read", 400, "missing_parameter"},
		{"/orgs/acme/who?action=read&resource=record:record-9", 404, "unknown_account"},
		{"/orgs/acme/who?action=fly&resource=record:record-1", 400, "unknown_action"},
		{"/orgs/acme/who?action=read&resource=record:record-1&kind=platform", 400, "unknown_kind"},
		{"/orgs/acme/who?action=read&resource=record:record-1&limit=0", 400, "bad_limit"},
		{"/orgs/acme/who?action=read&resource=record:record-1&limit=10001", 400, "bad_limit"},
		{"/orgs/acme/who?action=read&resource=record:record-1&subject=user:alice", 400, "unknown_parameter"},
		{"/orgs/acme/what?subject=user:carol", 404, "unknown_account"},
		{"/orgs/acme/what?subject=user:alice&type=planet", 400, "unknown_kind"},
		{"/orgs/acme/what?subject=user:alice&action=fly", 400, "unknown_action"},
		{"/orgs/acme/history?about=user:carol", 404, "unknown_account"},
		{"/orgs/acme/history?about=user:alice&after=x", 400, "bad_after"},
		{"/orgs/acme/events?limit=1001", 400, "bad_limit"},
		{"/orgs/acme/events?after=-1", 400, "bad_after"},
		{"/orgs/acme/events?at=now", 400, "unknown_parameter"},
		{"/orgs/acme/catalogue?at=then", 400, "bad_time"},
	} {
		w.do(http.MethodGet, c.target, "").problem(c.status, c.code)
	}
	for _, path := range []string{"/orgs/acme/catalogue", "/orgs", "/livez", "/orgs/acme/events"} {
		a := w.do(http.MethodPost, path, "{}")
		a.problem(405, "method_not_allowed")
		if got := a.header.Get("Allow"); got != "GET, HEAD" {
			t.Errorf("%s: Allow %q", a.asked, got)
		}
	}
	if d := w.do(http.MethodGet, check+"&colour=red", "").problem(400, "unknown_parameter").Detail; !strings.Contains(d, "colour") || !strings.Contains(d, "created_by, at, known_at") {
		t.Errorf("the refusal does not say what there is: %s", d)
	}
	if d := w.do(http.MethodGet, with("action", "fly"), "").problem(400, "unknown_action").Detail; !strings.Contains(d, "read, resource.register, write") {
		t.Errorf("the refusal does not say what there is: %s", d)
	}
	w.get("/orgs/acme/check", "subject", "user:bob", "action", "view", "resource", "note:n9", "client", "record:record-1").want(200)
	w.get("/orgs/acme/check", "subject", "user:root", "action", "configure", "resource", "platform:*").want(200)
	if w.ledger.Head() != head {
		t.Errorf("questions recorded something: head %d, was %d", w.ledger.Head(), head)
	}
}
