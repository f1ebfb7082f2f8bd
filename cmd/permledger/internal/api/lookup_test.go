package api

// Grants, holders and roles over HTTP: shapes, filters, moments, pages, and what is refused.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// newReviewed is newScenario under a catalogue that asks for a review of emergency within the hour, in which admins may
// take temporary access, and alice is an owner who can judge it.
func newReviewed(t *testing.T) *world {
	w := newScenario(t)
	document := strings.Replace(records, "reason: required}", "reason: required, review_within: 1h}\n  visit: {}", 1)
	document = strings.Replace(document, "access.grant, delete]", "access.grant, access.revoke, access.review, subject.erase, delete]", 1) +
		"  - {role: admin, on: record, actions: access.grant}\n"
	document = strings.Replace(document, "role.revoke, permission", "role.revoke, account.lock, permission", 1)
	document = strings.Replace(document, "  admin: {for: user}", "  admin: {for: user, title: {en: Administrator, nl: Beheerder}}", 1)
	w.record(fmt.Sprintf(`catalogue.adopt {"document":%q}`, document), `role.assign {"principal":"user:alice","role":"owner"}`)
	return w
}

// grant is user:bob taking temporary access to record-2 for so many seconds.
func (w *world) grant(id, profile string, seconds int, more string) domain.Seq {
	w.t.Helper()
	until := w.ledger.Now().Add(time.Duration(seconds) * time.Second)
	return w.as("user:bob", "access.grant", fmt.Sprintf(`{"grant":%q,"principal":"user:bob","client":"record:record-2","profile":%q,"until":"%s"%s}`, id, profile, until, more), "for "+id)
}

// as records one command of another than root.
func (w *world) as(actor, name, data, reason string) domain.Seq {
	w.t.Helper()
	w.post("/orgs/acme/commands", fmt.Sprintf(`{"command":%q,"actor":%q,"data":%s,"reason":%q}`, name, actor, data, reason)).want(200)
	return w.ledger.Head()
}

// listed gives a field of each result, as one line.
func (a answer) listed(list, field string) string {
	a.t.Helper()
	var results []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.field(list)), &results); err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, r := range results {
		all = append(all, strings.Trim(string(r[field]), `"`))
	}
	return strings.Join(all, " ")
}

func TestGrants(t *testing.T) {
	w := newReviewed(t)
	empty := w.ledger.Now().String()
	a := w.grant("a", "emergency", 60, "")
	given := w.ledger.Now().String()
	revoked := w.record(`access.revoke {"grant":"a"}`)
	b := w.grant("b", "emergency", 3600, "")
	c := w.grant("c", "visit", 7200, fmt.Sprintf(`,"from":"%s"`, w.ledger.Now().Add(7000e9)))
	corrected := w.record(fmt.Sprintf(`fact.correct {"corrects":%d,"until":"%s"} a slip`, b, w.ledger.Now().Add(600e9)))
	reviewed := w.as("user:alice", "access.review", `{"grant":"b","verdict":"unclear"}`, "who can tell")

	get := func(q ...string) answer { t.Helper(); return w.get("/orgs/acme/grants", q...) }
	at := w.ledger.Now().String()
	act := func(seq domain.Seq, by string) string {
		return fmt.Sprintf(`{"seq":%d,"by":%q,"at":"%s"}`, seq, by, w.recordedAt(seq))
	}
	whole := get("at", at)
	due := func(seq domain.Seq) string {
		i, err := domain.ParseInstant(w.recordedAt(seq))
		if err != nil {
			t.Fatal(err)
		}
		return i.Add(3600e9).String()
	}
	bound := func(seq domain.Seq, name string) string {
		e, err := w.ledger.Event(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		switch d := e.Data.(type) {
		case *domain.AccessGrant:
			if name == "from" {
				return d.From.String()
			}
			return d.Until.String()
		case *domain.Correction:
			return d.Until.String()
		}
		t.Fatalf("event %d has no bounds", seq)
		return ""
	}
	entry := func(id, profile, from, until, state string, granted domain.Seq, rest string) string {
		g := strings.TrimSuffix(act(granted, "user:bob"), "}")
		return fmt.Sprintf(`{"grant":%q,"principal":"user:bob","client":"record:record-2","profile":%q,"from":%q,"until":%q,"state":%q,"granted":%s,"reason":"for %s"},%s}`,
			id, profile, from, until, state, g, id, rest)
	}
	whole.is(fmt.Sprintf(`{"as_of":"%s","known_at_seq":%d,"results":[%s,%s,%s],"complete":true}`, at, w.ledger.Head(),
		entry("c", "visit", bound(c, "from"), bound(c, "until"), "scheduled", c, `"revoked":null,"corrected":null,"review":null,"review_due":null,"overdue":false`),
		entry("b", "emergency", w.recordedAt(b), bound(corrected, "until"), "open", b, `"revoked":null,"corrected":`+act(corrected, "user:root")+
			`,"review":`+strings.Replace(act(reviewed, "user:alice"), "{", `{"verdict":"unclear",`, 1)+`,"review_due":"`+due(b)+`","overdue":false`),
		entry("a", "emergency", w.recordedAt(a), w.recordedAt(revoked), "revoked", a, `"revoked":`+act(revoked, "user:root")+
			`,"corrected":null,"review":null,"review_due":"`+due(a)+`","overdue":false`)))

	late := w.ledger.Now().Add(2 * 3600e9).String()
	for _, c := range []struct{ q, want, states string }{
		{"at=" + empty, "", ""},
		{"at=" + given, "a", "open"},
		{"at=" + given + "&known_at=now", "a", "open"},
		{"at=" + w.recordedAt(reviewed-1) + "&unreviewed=true", "b a", "open revoked"},
		{"unreviewed=true", "a", "revoked"},
		{"overdue=true", "", ""},
		{"overdue=true&at=" + late, "a", "revoked"},
		{"at=" + late, "c b a", "ended ended revoked"},
		{"at=" + late + "&state=ended&profile=emergency", "b", "ended"},
		{"state=open", "b", "open"},
		{"state=scheduled", "c", "scheduled"},
		{"state=voided", "", ""},
		{"profile=visit", "c", "scheduled"},
		{"principal=user:bob&client=record:record-2", "c b a", "scheduled open revoked"},
		{"principal=user:alice", "", ""},
		{"client=record:record-1&unreviewed=false", "", ""},
	} {
		a := w.do(http.MethodGet, "/orgs/acme/grants?"+c.q, "")
		if got, states := a.listed("results", "grant"), a.listed("results", "state"); got != c.want || states != c.states {
			t.Errorf("%s: got %s (%s), want %s (%s)", a.asked, got, states, c.want, c.states)
		}
	}

	// What was said of somebody who is erased is gone here too.
	w.record(`subject.erase {"account":"record:record-2"}`)
	if got := get("client", "record:record-2").field("results"); strings.Contains(got, "for a") || strings.Count(got, `"reason":""`) != 3 {
		t.Errorf("after the erasure the grants are %s, want them without reasons", got)
	}
	// A profile that the newest catalogue no longer has is still one to ask about.
	w.record(fmt.Sprintf(`catalogue.adopt {"document":%q}`, records))
	if got := get("profile", "visit").listed("results", "grant"); got != "c" {
		t.Errorf("grants of a profile that is gone: got %s, want c", got)
	}
}

func TestHoldersAndRoles(t *testing.T) {
	w := newReviewed(t)
	before := w.ledger.Now().String()
	later := w.ledger.Now().Add(600e9).String()
	alice := w.record(fmt.Sprintf(`role.assign {"principal":"user:alice","role":"admin","from":"%s","until":"2027-01-01T00:00:00Z"}`, later))
	w.record(`account.lock {"principal":"user:bob"}`)
	bob := domain.Seq(9) // newScenario's

	at := w.ledger.Now().String()
	w.get("/orgs/acme/holders", "role", "admin", "at", at, "lang", "nl").is(fmt.Sprintf(`{"role":"admin","title":"Beheerder","as_of":"%s","known_at_seq":%d,
		"results":[{"subject":"user:bob","from":"%s","until":null,"active":true,"locked":true,
			"basis":[{"seq":9,"type":"role.assigned","why":"user:bob heeft sinds %[3]s de rol beheerder (admin)"}]}],"complete":true}`, at, w.ledger.Head(), w.recordedAt(bob)))
	w.get("/orgs/acme/roles", "account", "user:alice", "at", at).is(fmt.Sprintf(`{"account":"user:alice","as_of":"%s","known_at_seq":%d,"active":true,"locked":false,"roles":[
		{"role":"admin","title":"Administrator","state":"scheduled","from":"%s","until":"2027-01-01T00:00:00.000Z",
			"basis":[{"seq":%d,"type":"role.assigned","why":"user:alice holds role admin, but only from %[3]s"}]},
		{"role":"owner","state":"held","from":"%[5]s","until":null,
			"basis":[{"seq":%[6]d,"type":"role.assigned","why":"user:alice holds role owner since %[5]s"}]}]}`,
		at, w.ledger.Head(), later, alice, w.recordedAt(alice-1), alice-1))

	for _, c := range []struct{ q, want string }{
		{"role=admin&at=" + later, "user:alice user:bob"},
		{"role=admin&kind=team", ""},
		{"role=admin&kind=user", "user:bob"},
		{"role=owner", "user:alice user:root"},
		{"role=owner&at=" + w.recordedAt(9), "user:root"},
		{"role=admin&at=2020-01-01T00:00:00Z", ""},
	} {
		a := w.do(http.MethodGet, "/orgs/acme/holders?"+c.q, "")
		if got := a.listed("results", "subject"); got != c.want {
			t.Errorf("%s: got %s, want %s", a.asked, got, c.want)
		}
	}
	for _, c := range []struct{ q, want, rest string }{
		{"account=user:alice&at=" + before, "owner", `"active":true,"locked":false`},
		{"account=user:bob", "admin", `"active":true,"locked":true`},
		{"account=record:record-1", "", `"roles":[]`},
		{"account=user:bob&at=2020-01-01T00:00:00Z", "", `"active":false,"locked":false`},
	} {
		a := w.do(http.MethodGet, "/orgs/acme/roles?"+c.q, "")
		if got := a.listed("roles", "role"); got != c.want || !strings.Contains(a.body, c.rest) {
			t.Errorf("%s: got %s, want %s with %s", a.asked, a.body, c.want, c.rest)
		}
	}
	w.record(`account.deactivate {"account":"user:bob"}`)
	if got := w.get("/orgs/acme/holders", "role", "admin").field("results"); !strings.Contains(got, `"active":false,"locked":true`) {
		t.Errorf("holders after one was deactivated: %s, want bob marked", got)
	}
}

// Pages of grants and holders are the whole answer in pieces, whatever is recorded between them.
func TestLookupPages(t *testing.T) {
	w := newReviewed(t)
	for i := range 5 { // event behind event: a page that skips one event skips a grant
		w.grant(fmt.Sprintf("g%d", i), "emergency", 60, "")
	}
	for i := range 5 {
		w.record(fmt.Sprintf(`account.open {"account":"user:u%d"}`, i), fmt.Sprintf(`role.assign {"principal":"user:u%d","role":"admin"}`, i))
	}
	for _, c := range []struct {
		path, field string
		q           []string
	}{
		{"/orgs/acme/grants", "grant", nil},
		{"/orgs/acme/grants", "grant", []string{"principal", "user:bob", "unreviewed", "true"}},
		{"/orgs/acme/holders", "subject", []string{"role", "admin"}},
	} {
		want := w.get(c.path, c.q...).listed("results", c.field)
		var got []string
		pages := 0
		for q := append([]string{"limit", "2"}, c.q...); q != nil; pages++ {
			a := w.get(c.path, q...)
			got = append(got, a.listed("results", c.field))
			if q = nil; a.text("next") != "" {
				q = []string{"page", a.text("next")}
			}
			w.grant(fmt.Sprintf("n%d", w.ledger.Head()), "emergency", 60, "")
			w.record(fmt.Sprintf(`account.open {"account":"user:z%d"}`, w.ledger.Head()), fmt.Sprintf(`role.assign {"principal":"user:z%d","role":"admin"}`, w.ledger.Head()))
		}
		if strings.Join(got, " ") != want || pages < 3 {
			t.Errorf("%s %v in %d pages:\ngot  %s\nwant %s", c.path, c.q, pages, strings.Join(got, " "), want)
		}
	}
	next := w.get("/orgs/acme/grants", "limit", "1").text("next")
	w.get("/orgs/acme/holders", "page", next).problem(400, "bad_page")
	w.get("/orgs/acme/grants", "page", next, "state", "open").problem(400, "page_mismatch")
}

func TestLookupsBadInput(t *testing.T) {
	w := newReviewed(t)
	for _, c := range []struct {
		q, code, says string
		status        int
	}{
		{"grants?client=record:record-9", "unknown_account", "client record:record-9", 404},
		{"grants?principal=user:nobody", "unknown_account", "principal user:nobody", 404},
		{"grants?principal=nobody", "bad_account", "principal", 400},
		{"grants?profile=haste", "unknown_profile", "emergency, visit", 400},
		{"grants?profile=Haste", "bad_profile", "Haste", 400},
		{"grants?state=over", "unknown_state", "scheduled, open, ended, revoked, voided", 400},
		{"grants?overdue=1", "bad_parameter", "want true or false", 400},
		{"grants?unreviewed=yes", "bad_parameter", "want true or false", 400},
		{"grants?limit=0", "bad_limit", "limit", 400},
		{"grants?lang=nl", "unknown_parameter", "lang", 400},
		{"grants?page=x", "bad_page", "page", 400},
		{"holders", "missing_parameter", "role", 400},
		{"holders?role=boss", "unknown_role", "admin, owner", 400},
		{"holders?role=Boss", "bad_role", "Boss", 400},
		{"holders?role=admin&kind=note", "unknown_kind", "record, team, user", 400},
		{"holders?role=admin&lang=fr", "unknown_lang", "nl", 400},
		{"roles", "missing_parameter", "account", 400},
		{"roles?account=user:nobody", "unknown_account", "account user:nobody", 404},
		{"roles?account=user:bob&limit=1", "unknown_parameter", "limit", 400},
		{"roles?account=user:bob&at=then", "bad_time", "at", 400},
	} {
		if p := w.do(http.MethodGet, "/orgs/acme/"+c.q, "").problem(c.status, c.code); !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: refused with %q, want it to say %q", c.q, p.Detail, c.says)
		}
	}
	w.do(http.MethodPost, "/orgs/acme/grants", "{}").problem(405, "method_not_allowed")
}
