package api

// AuthZEN as its specification, certification scenario and test suites have it.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const access = "/orgs/acme/access/v1/"

func ask(subject, action, resource string) string {
	entity := func(s string) string {
		typ, id, _ := strings.Cut(s, ":")
		return fmt.Sprintf(`{"type":%q,"id":%q}`, typ, id)
	}
	return fmt.Sprintf(`{"subject":%s,"action":{"name":%q},"resource":%s}`, entity(subject), action, entity(resource))
}

func TestCertificationScenario(t *testing.T) {
	w := newScenario(t)
	for _, c := range []struct {
		subject, action, resource string
		want                      bool
	}{
		{"user:alice", "read", "record:record-1", true},
		{"user:alice", "write", "record:record-1", true},
		{"user:alice", "delete", "record:record-1", false},
		{"user:alice", "read", "record:record-2", false},
		{"user:bob", "read", "record:record-1", true},
		{"user:bob", "write", "record:record-1", false},
		{"user:bob", "read", "record:record-2", true},
		{"user:bob", "write", "record:record-2", true},
		{"user:root", "delete", "record:record-2", true},
		// What is unknown is a no.
		{"user:carol", "read", "record:record-1", false},
		{"robot:r2", "read", "record:record-1", false},
		{"user:alice", "fly", "record:record-1", false},
		{"user:alice", "can fly", "record:record-1", false},
		{"user:alice", "read", "record:record-9", false},
		{"user:alice", "read", "planet:mars", false},
		{"user:alice smith", "read", "record:record-1", false},
		{"USER:alice", "read", "record:record-1", false},
		// A type that is not listed is asked about as it is answered; one that is listed has no "*".
		{"user:root", "configure", "platform:*", true},
		{"user:root", "configure", "platform:main", true},
		{"user:root", "delete", "record:*", false},
		{"user:root", "export", "note:*", false},
	} {
		got := w.post(access+"evaluation", ask(c.subject, c.action, c.resource))
		if d := got.field("decision"); d != fmt.Sprint(c.want) {
			t.Errorf("%s: got %s, want %t", got.asked, got.body, c.want)
		}
		if ct := got.header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s: Content-Type %s", got.asked, ct)
		}
	}
	w.post(access+"evaluation", ask("user:alice", "write", "record:record-1")).is(`{"decision":true,"context":{"valid_until":null}}`)
	w.post(access+"evaluation", ask("user:alice", "write", "record:record-2")).is(
		`{"decision":false,"context":{"reason_admin":{"403":"this needs link writer from user:alice to record:record-2"}}}`)

	search := func(of, body, want string) {
		t.Helper()
		w.post(access+"search/"+of, body).is(`{"results":[` + want + `]}`)
	}
	read1 := `"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}`
	search("subject", `{"subject":{"type":"user"},`+read1+`}`, `{"type":"user","id":"alice"},{"type":"user","id":"bob"}`)
	search("subject", `{"subject":{"type":"user","id":"ignored"},`+read1+`}`, `{"type":"user","id":"alice"},{"type":"user","id":"bob"}`)
	search("subject", `{"subject":{"type":"team"},`+read1+`}`, ``)
	search("subject", `{"subject":{"type":"user:x"},`+read1+`}`, ``)
	search("subject", `{"subject":{"type":"robot"},`+read1+`}`, ``)
	search("subject", `{"subject":{"type":"user"},"action":{"name":"write"},"resource":{"type":"record","id":"record-2"}}`, `{"type":"user","id":"bob"}`)
	search("subject", `{"subject":{"type":"user"},"action":{"name":"write"},"resource":{"type":"record","id":"record-9"}}`, ``)
	search("resource", `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record"}}`, `{"type":"record","id":"record-1"}`)
	search("resource", `{"subject":{"type":"user","id":"bob"},"action":{"name":"read"},"resource":{"type":"record","id":"x y"}}`, `{"type":"record","id":"record-1"},{"type":"record","id":"record-2"}`)
	search("resource", `{"subject":{"type":"user","id":"carol"},"action":{"name":"read"},"resource":{"type":"record"}}`, ``)
	search("resource", `{"subject":{"type":"user","id":"root"},"action":{"name":"configure"},"resource":{"type":"platform"}}`, `{"type":"platform","id":"*"}`)
	search("action", `{"subject":{"type":"user","id":"alice"},"resource":{"type":"record","id":"record-1"}}`, `{"name":"read"},{"name":"write"}`)
	search("action", `{"subject":{"type":"user","id":"root"},"resource":{"type":"platform","id":"*"}}`, `{"name":"configure"}`)
	search("action", `{"subject":{"type":"user","id":"carol"},"resource":{"type":"record","id":"record-1"}}`, ``)
}

func TestEvaluations(t *testing.T) {
	w := newScenario(t)
	decisions := func(body string) string {
		t.Helper()
		var got struct {
			Evaluations []struct{ Decision bool }
		}
		a := w.post(access+"evaluations", body).want(200)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, e := range got.Evaluations {
			s += fmt.Sprint(e.Decision)[:1]
		}
		return s
	}
	batch := func(semantic string) string {
		return `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"options":{"evaluations_semantic":"` + semantic + `","other":1},
			"evaluations":[{"resource":{"type":"record","id":"record-1"}},{"resource":{"type":"record","id":"record-2"}},
			{"resource":{"type":"record","id":"record-2"},"subject":{"type":"user","id":"bob"}}]}`
	}
	for _, c := range []struct{ body, want string }{
		{batch("execute_all"), "tft"},
		{batch("deny_on_first_deny"), "tf"},
		{batch("permit_on_first_permit"), "t"},
		// An item's object takes the place of the default whole: the id is not merged in.
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"evaluations":[{},{"resource":{"id":"record-1"}}]}`, "tf"},
		// The same for context: before its link, alice could not.
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"context":{"known_at":4},"evaluations":[{},{"context":{"time":"2024-05-31T15:22-07:00"}}]}`, "ft"},
	} {
		if got := decisions(c.body); got != c.want {
			t.Errorf("%s:\ngot %s, want %s", c.body, got, c.want)
		}
	}
	w.post(access+"evaluations", `{"action":{"name":"read"},"evaluations":[{"resource":{"type":"record","id":"record-1"}},7]}`).is(
		`{"evaluations":[{"decision":false,"context":{"error":{"status":400,"message":"subject: is required and missing"}}},
			{"decision":false,"context":{"error":{"status":400,"message":"want an object"}}}]}`)
	for _, single := range []string{`{`, `{"evaluations":[],`, `{"evaluations":null,`} {
		w.post(access+"evaluations", single+ask("user:alice", "read", "record:record-1")[1:]).is(`{"decision":true,"context":{"valid_until":null}}`)
	}
	w.post(access+"evaluations", `{"evaluations":[]}`).problem(400, "missing_field")
	w.post(access+"evaluations", `{"evaluations":{}}`).problem(400, "bad_field")
	w.post(access+"evaluations", `{"subject":"alice","evaluations":[{}]}`).problem(400, "bad_field")
	w.post(access+"evaluations", batch("first_come")).problem(400, "unknown_semantic")

	// More moments than are kept open at a time.
	var items []string
	for i := range 3 * maxOpen {
		items = append(items, fmt.Sprintf(`{"context":{"known_at":"%d"}}`, 1+i%12), `{}`)
	}
	q := ask("user:alice", "read", "record:record-1")
	got := decisions(q[:len(q)-1] + `,"evaluations":[` + strings.Join(items, ",") + `]}`)
	want := ""
	for i := range 3 * maxOpen {
		if 1+i%12 >= 11 {
			want += "tt"
		} else {
			want += "ft"
		}
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAuthZENBadInput(t *testing.T) {
	w := newScenario(t)
	ok := ask("user:alice", "read", "record:record-1")
	head := w.ledger.Head()
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"evaluation", ``, 400, "bad_json"},
		{"evaluation", `{`, 400, "bad_json"},
		{"evaluation", `nonsense`, 400, "bad_json"},
		{"evaluation", `[` + ok + `]`, 400, "bad_json"},
		{"evaluation", ok + `{}`, 400, "bad_json"},
		{"evaluation", `"x"`, 400, "bad_json"},
		{"evaluation", "{\"subject\":\"\xff\"}", 400, "bad_json"},
		{"evaluation", strings.Repeat(`[`, 100_000), 400, "bad_json"},
		{"evaluation", `{"x":` + strings.Repeat(`{"x":`, 100) + `1` + strings.Repeat(`}`, 101), 400, "bad_json"},
		{"evaluation", `{"subject":{"type":"user","id":"alice"},` + ok[1:], 400, "bad_json"},
		{"evaluation", strings.Replace(ok, `"type":"user"`, `"type":"user","type":"user"`, 1), 400, "bad_json"},
		{"evaluation", strings.Replace(ok, `"subject"`, `"Subject"`, 1), 400, "missing_field"},
		{"evaluation", strings.Replace(ok, `"type"`, `"Type"`, 1), 400, "missing_field"},
		{"evaluation", strings.Replace(ok, `"alice"`, `5`, 1), 400, "bad_field"},
		{"evaluation", strings.Replace(ok, `"alice"`, `""`, 1), 400, "bad_field"},
		{"evaluation", strings.Replace(ok, `"alice"`, `null`, 1), 400, "missing_field"},
		{"evaluation", `{"subject":"user:alice"}`, 400, "bad_field"},
		{"evaluation", `{"action":{"name":"read"}}`, 400, "missing_field"},
		{"evaluation", strings.Replace(ok, `{"name":"read"}`, `{}`, 1), 400, "missing_field"},
		{"evaluation", strings.Replace(ok, `{"name":"read"}`, `"read"`, 1), 400, "bad_field"},
		{"evaluation", strings.Replace(ok, `"alice"`, `"alice","properties":3`, 1), 400, "bad_field"},
		{"evaluation", `{"context":[],` + ok[1:], 400, "bad_field"},
		{"evaluation", `{"context":{"as_of":"yesterday"},` + ok[1:], 400, "bad_time"},
		{"evaluation", `{"context":{"as_of":20260105},` + ok[1:], 400, "bad_field"},
		{"evaluation", `{"context":{"known_at":99},` + ok[1:], 400, "bad_known_at"},
		{"evaluation", `{"context":{"known_at":1.5},` + ok[1:], 400, "bad_known_at"},
		{"evaluation", `{"context":{"known_at":true},` + ok[1:], 400, "bad_field"},
		{"search/subject", `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record"}}`, 400, "missing_field"},
		{"search/subject", `{"subject":{},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, 400, "missing_field"},
		{"search/subject", `{"subject":{"type":"user"},"resource":{"type":"record","id":"record-1"}}`, 400, "missing_field"},
		{"search/resource", `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record"}}`, 400, "missing_field"},
		{"search/action", `{"subject":{"type":"user","id":"alice"},"resource":{"type":"record"}}`, 400, "missing_field"},
		{"search/subject", `{"page":7,` + ok[1:], 400, "bad_field"},
		{"search/subject", `{"page":{"limit":0},` + ok[1:], 400, "bad_limit"},
		{"search/subject", `{"page":{"limit":"2"},` + ok[1:], 400, "bad_limit"},
		{"search/subject", `{"page":{"limit":1.5},` + ok[1:], 400, "bad_limit"},
		{"search/subject", `{"page":{"token":7},` + ok[1:], 400, "bad_field"},
		{"search/subject", `{"page":{"token":"x"},` + ok[1:], 400, "bad_page"},
		{"search/subject", `{"page":{"token":"e30"}}`, 400, "bad_page"},
	} {
		w.post(access+c.path, c.body).problem(c.status, c.code)
	}
	for _, path := range []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			a := w.do(method, access+path, "")
			a.problem(405, "method_not_allowed")
			if got := a.header.Get("Allow"); got != "POST" {
				t.Errorf("%s: Allow %q, want POST", a.asked, got)
			}
		}
		w.do(http.MethodPost, access+path, ok, "Content-Type", "text/plain").problem(415, "unsupported_media_type")
		w.do(http.MethodPost, access+path, ok, "Content-Type", "application/json; charset=latin1").problem(415, "unsupported_media_type")
		w.do(http.MethodPost, access+path, ok, "Content-Type", "application/json; charset=UTF-8").want(200)
		w.post(strings.Replace(access, "acme", "nobody", 1)+path, ok).problem(404, "unknown_org")
	}
	w.post(access+"evaluation", `{"x":"`+strings.Repeat("x", maxBody)+`"}`).problem(413, "too_large")
	w.post(access+"evaluation", `{"more":{"than":["is",1,"known"]},"page":{"next":1},`+ok[1:]).is(`{"decision":true,"context":{"valid_until":null}}`)
	if w.ledger.Head() != head {
		t.Errorf("questions recorded something: head %d, was %d", w.ledger.Head(), head)
	}
}

func TestAuthZENDeterminism(t *testing.T) {
	w := newScenario(t)
	for _, c := range []struct{ path, body string }{
		{"evaluation", ask("user:alice", "read", "record:record-1")},
		{"evaluation", ask("user:alice", "write", "record:record-2")},
		{"evaluations", `{"subject":{"type":"user","id":"bob"},"action":{"name":"write"},"evaluations":[{"resource":{"type":"record","id":"record-1"}},{}]}`},
		{"search/subject", ask("user:x", "read", "record:record-1")},
		{"search/action", ask("user:root", "x", "record:record-1")},
	} {
		first := w.post(access+c.path, c.body).want(200)
		for range 2 {
			w.record(fmt.Sprintf(`account.open {"account":"user:other-%d"}`, w.ledger.Head()))
			if again := w.post(access+c.path, c.body); again.body != first.body {
				t.Errorf("%s:\nfirst %s\nthen  %s", first.asked, first.body, again.body)
			}
		}
	}
}

func TestAuthZENMoments(t *testing.T) {
	w := newScenario(t)
	before := w.ledger.Now().String()
	linked := w.record(`caseload.link {"principal":"user:alice","client":"record:record-2","relation":"reader"}`)
	w.record(fmt.Sprintf(`fact.correct {"corrects":%d,"from":"2026-01-01T00:00:00Z"} a slip`, linked))
	q := ask("user:alice", "read", "record:record-2")
	for _, c := range []struct {
		context string
		want    bool
	}{
		{`{}`, true},
		{`{"time":"2020-10-26T01:22-07:00"}`, true}, // the standard's own, which is not RFC 3339 and changes nothing
		{`{"as_of":"now"}`, true},
		{fmt.Sprintf(`{"as_of":%q}`, before), false},                          // what would have been answered then
		{fmt.Sprintf(`{"as_of":%q,"known_at":"now"}`, before), true},          // what was true then, by all that is known
		{fmt.Sprintf(`{"as_of":%q,"known_at":%d}`, before, linked), false},    // before the correction
		{fmt.Sprintf(`{"as_of":%q,"known_at":"%d"}`, before, linked+1), true}, // with it
		{`{"as_of":"2026-01-01T00:00:00Z","known_at":"now"}`, false},          // nobody was there yet
		{fmt.Sprintf(`{"as_of":"now","known_at":%q,"time":"whenever"}`, before), false},
	} {
		a := w.post(access+"evaluation", `{"context":`+c.context+`,`+q[1:])
		if got := a.field("decision"); got != fmt.Sprint(c.want) {
			t.Errorf("context %s: got %s, want %t", c.context, a.body, c.want)
		}
		a = w.post(access+"search/subject", `{"context":`+c.context+`,`+q[1:]).want(200)
		if got := strings.Contains(a.body, `"alice"`); got != c.want {
			t.Errorf("search with context %s: got %s, want alice: %t", c.context, a.body, c.want)
		}
	}
}

func TestTrustedProperties(t *testing.T) {
	w := newScenario(t)
	w.record(`resource.register {"resource":"note:n1","client":"record:record-1","created_by":"user:alice"}`)
	for _, c := range []struct {
		subject, action, resource, properties string
		want                                  bool
	}{
		{"user:bob", "view", "note:n1", `{}`, true},
		{"user:bob", "view", "note:n2", `{}`, false},
		{"user:bob", "view", "note:n2", `{"client":"record:record-1"}`, true},
		{"user:bob", "view", "note:n2", `{"client":"record:record-2"}`, false},
		{"user:bob", "view", "note:n2", `{"client":"record:record-9"}`, false},
		{"user:bob", "view", "note:n2", `{"client":["record:record-1"]}`, false},
		{"user:bob", "view", "note:n2", `{"Client":"record:record-1"}`, false},
		{"user:bob", "edit", "note:n2", `{"client":"record:record-1","created_by":"user:bob"}`, true},
		{"user:bob", "edit", "note:n1", `{"client":"record:record-1","created_by":"user:bob"}`, false}, // the ledger knows better
		{"user:bob", "view", "sealed:s1", `{"client":"record:record-1"}`, false},                       // the catalogue does not trust
	} {
		q := ask(c.subject, c.action, c.resource)
		q = q[:len(q)-2] + `,"properties":` + c.properties + `}}`
		a := w.post(access+"evaluation", q)
		if got := a.field("decision"); got != fmt.Sprint(c.want) {
			t.Errorf("%s: got %s, want %t", a.asked, a.body, c.want)
		}
		a = w.post(access+"search/subject", q).want(200)
		if got := strings.Contains(a.body, `"bob"`); got != c.want {
			t.Errorf("%s: got %s, want bob: %t", a.asked, a.body, c.want)
		}
		a = w.post(access+"search/action", q).want(200)
		if got := strings.Contains(a.body, `"`+c.action+`"`); got != c.want {
			t.Errorf("%s: got %s, want %s: %t", a.asked, a.body, c.action, c.want)
		}
	}
}

// The pages of a search are the unpaged answer in pieces, whatever is recorded between them.
func TestSearchPages(t *testing.T) {
	w := newScenario(t)
	for i := range 7 {
		u := fmt.Sprintf("user:reader-%d", i)
		w.record(`account.open {"account":"`+u+`"}`, `caseload.link {"principal":"`+u+`","client":"record:record-1","relation":"reader"}`)
	}
	for _, c := range []struct{ of, body string }{
		{"subject", ask("user:x", "read", "record:record-1")},
		{"resource", ask("user:root", "account.open", "user:x")},
		{"action", ask("user:root", "x", "record:record-1")},
	} {
		whole := w.post(access+"search/"+c.of, c.body)
		if strings.Contains(whole.body, `"page"`) {
			t.Errorf("%s: a page that nobody asked for: %s", whole.asked, whole.body)
		}
		var want, got []json.RawMessage
		if err := json.Unmarshal([]byte(whole.field("results")), &want); err != nil {
			t.Fatal(err)
		}
		body, pages := `{"page":{"limit":3,"more":1},`+c.body[1:], 0
		for body != "" {
			a := w.post(access+"search/"+c.of, body)
			var part []json.RawMessage
			var p struct {
				Next  *string `json:"next_token"`
				Count int
			}
			if err := json.Unmarshal([]byte(a.field("results")), &part); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(a.field("page")), &p); err != nil || p.Next == nil || p.Count != len(part) || len(part) > 3 {
				t.Fatalf("%s: %v: %s", a.asked, err, a.body)
			}
			got, pages, body = append(got, part...), pages+1, ""
			if *p.Next != "" {
				body = `{"page":{"token":"` + *p.Next + `"}}` // alone
				if pages%2 == 1 {
					body = body[:len(body)-1] + `,` + c.body[1:] // with the question
				}
			}
			if pages == 1 && c.of == "subject" {
				w.record(`account.open {"account":"user:zoe"}`, `caseload.link {"principal":"user:zoe","client":"record:record-1","relation":"reader"}`,
					`caseload.unlink {"principal":"user:reader-6","client":"record:record-1","relation":"reader"}`)
				w.post(access+"search/subject", body[:len(body)-1]+`,"context":{"as_of":"now"}}`).problem(400, "page_mismatch")
				other := ask("user:x", "write", "record:record-1")
				w.post(access+"search/subject", `{"page":{"token":"`+*p.Next+`"},`+other[1:]).problem(400, "page_mismatch")
				w.post(access+"search/action", `{"page":{"token":"`+*p.Next+`"}}`).problem(400, "bad_page")
				limited := w.post(access+"search/subject", `{"page":{"token":"`+*p.Next+`","limit":1}}`)
				if n := strings.Count(limited.field("results"), `"id"`); n != 1 {
					t.Errorf("%s: %d results, want 1", limited.asked, n)
				}
			}
		}
		if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) || pages < 2 {
			t.Errorf("%s in %d pages:\ngot  %s\nwant %s", c.of, pages, got, want)
		}
	}
	w.post(access+"search/action", `{"page":{},`+ask("user:alice", "x", "record:record-1")[1:]).is(
		`{"results":[{"name":"read"},{"name":"write"}],"page":{"next_token":"","count":2}}`)
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	for _, base := range []string{"", "https://ledger.example/"} {
		w.handler = New(Options{Service: w.service, BaseURL: base})
		if base == "" {
			base = "http://example.com/" // what httptest's requests call it
		}
		pdp := base + "orgs/acme"
		w.get("/.well-known/authzen-configuration/orgs/acme").is(`{"policy_decision_point":"` + pdp + `",
			"access_evaluation_endpoint":"` + pdp + `/access/v1/evaluation","access_evaluations_endpoint":"` + pdp + `/access/v1/evaluations",
			"search_subject_endpoint":"` + pdp + `/access/v1/search/subject","search_resource_endpoint":"` + pdp + `/access/v1/search/resource",
			"search_action_endpoint":"` + pdp + `/access/v1/search/action"}`)
	}
	w.get("/.well-known/authzen-configuration/orgs/nobody").problem(404, "unknown_org")
}

// Whatever is accepted is what encoding/json reads, and no name stands in it twice.
func FuzzReadObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":[1,null,"x"]}}`, `[`, `{"\u0061":1,"a":2}`, `{"a":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := readObject(body)
		if err != nil {
			return
		}
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatalf("%q was accepted, and is not: %v", body, err)
		}
		if len(o) != len(v) {
			t.Fatalf("%q: read %v, encoding/json %v", body, o, v)
		}
	})
}
