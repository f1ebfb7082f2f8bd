package api

// How the feed stands and who follows it, as it is asked for and changed over HTTP.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestFeed(t *testing.T) {
	w := newFed(t, Options{})
	head := w.record(told...)
	w.followedTo(head)
	a := w.get("/orgs/acme/feed").want(200)
	mark := w.ledger.Feed().Mark()
	for name, want := range map[string]string{"org": `"acme"`, "head": fmt.Sprint(head), "from": fmt.Sprintf(`"0~%s"`, mark),
		"retention": `{"age":"720h0m0s","size":1073741824}`} {
		if got := a.field(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if a.field("changes") == "0" || a.field("bytes") == "0" {
		t.Errorf("nothing is kept: %s", a.body)
	}
	put := func(body string) answer {
		return w.do(http.MethodPut, "/orgs/acme/feed", body, "Content-Type", "application/json")
	}
	for _, c := range []struct{ body, want string }{
		{`{"retention":{"age":"48h"}}`, `{"age":"48h0m0s","size":1073741824}`},
		{`{"retention":{"size":2000000}}`, `{"age":"48h0m0s","size":2000000}`},
		{`{"retention":{"age":"0s","size":0}}`, `{"age":"0s","size":0}`},
	} {
		if got := put(c.body).field("retention"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.body, got, c.want)
		}
		if got := w.get("/orgs/acme/feed").field("retention"); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.body, got, c.want)
		}
	}
	for _, c := range []struct{ body, code string }{
		{`{}`, "missing_field"},
		{`{"retention":{"age":48}}`, "bad_field"},
		{`{"retention":{"age":"2 days"}}`, "bad_field"},
		{`{"retention":{"age":"-1h"}}`, "bad_field"},
		{`{"retention":{"age":"1ms"}}`, "bad_field"},
		{`{"retention":{"size":1.5}}`, "bad_field"},
		{`{"retention":{"size":-1}}`, "bad_field"},
		{`{"retention":{"size":"1GiB"}}`, "bad_field"},
		{`{"retention":{"colour":"red"}}`, "unknown_field"},
		{`{"retention":{},"colour":"red"}`, "unknown_field"},
		{`{"retention":[]}`, "bad_field"},
		{`[]`, "bad_json"},
	} {
		put(c.body).problem(400, c.code)
	}
}

// followedTo waits until the feed has reached the seq.
func (w *world) followedTo(seq any) {
	w.t.Helper()
	server := w.serve()
	followed(w.t, server.Client(), server.URL, "after=0&subject=team:archive", "").upTo(w.ledger.Head())
	if fmt.Sprint(seq) != fmt.Sprint(w.ledger.Head()) {
		w.t.Fatalf("the head is %d, want %v", w.ledger.Head(), seq)
	}
}

func TestFollowersAcknowledge(t *testing.T) {
	w := newFed(t, Options{})
	head := w.record(told[:5]...)
	mark := w.ledger.Feed().Mark()
	w.get("/orgs/acme/subscribers").is(fmt.Sprintf(`{"head":%d,"subscribers":[]}`, head))
	a := w.post("/orgs/acme/subscribers/gateway/ack", `{"cursor":"4"}`).want(200)
	if a.text("name") != "gateway" || a.text("cursor") != "4~"+mark || a.text("sort") != "follower" || a.text("state") != "active" {
		t.Errorf("%s", a.body)
	}
	w.post("/orgs/acme/subscribers/cache/ack", fmt.Sprintf(`{"cursor":"%d~%s"}`, head, mark)).want(200)
	w.post("/orgs/acme/subscribers/gateway/ack", `{"cursor":"3"}`).want(200) // never back
	if got := w.get("/orgs/acme/subscribers/gateway").text("cursor"); got != "4~"+mark {
		t.Errorf("cursor %s, want 4", got)
	}
	for _, c := range []struct {
		seq           any
		seen, notSeen string
	}{{4, `["cache","gateway"]`, `[]`}, {5, `["cache"]`, `["gateway"]`}, {head, `["cache"]`, `["gateway"]`}} {
		a := w.get("/orgs/acme/subscribers", "at_least", fmt.Sprint(c.seq)).want(200)
		if a.field("seen") != c.seen || a.field("not_seen") != c.notSeen || a.field("at_least") != fmt.Sprint(c.seq) {
			t.Errorf("at least %v: %s; want seen %s, not seen %s", c.seq, a.body, c.seen, c.notSeen)
		}
	}
	for _, seq := range []string{"0", "x", fmt.Sprint(head + 1), "4.1"} {
		w.get("/orgs/acme/subscribers", "at_least", seq).problem(400, "bad_at_least")
	}
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"gateway", `{"cursor":"x"}`, 400, "bad_cursor"},
		{"gateway", `{"cursor":4}`, 400, "bad_field"},
		{"gateway", `{}`, 400, "missing_field"},
		{"gateway", `{"cursor":"4","seq":4}`, 400, "unknown_field"},
		{"Gateway", `{"cursor":"4"}`, 400, "bad_subscriber_name"},
		{"gateway", `{"cursor":"4~00000000"}`, 409, "other_log"},
	} {
		w.post("/orgs/acme/subscribers/"+c.name+"/ack", c.body).problem(c.status, c.code)
	}
	for _, what := range []string{"enable", "disable"} {
		w.post("/orgs/acme/subscribers/gateway/"+what, "").problem(409, "not_a_webhook")
	}
	w.do(http.MethodDelete, "/orgs/acme/subscribers/gateway", "").is(`{"removed":"gateway"}`)
	w.get("/orgs/acme/subscribers/gateway").problem(404, "unknown_subscriber")
	w.do(http.MethodDelete, "/orgs/acme/subscribers/gateway", "").problem(404, "unknown_subscriber")
}

func TestWebhooksAreRegistered(t *testing.T) {
	w := newFed(t, Options{})
	head := w.record(told[:5]...)
	mark := w.ledger.Feed().Mark()
	put := func(name, body string) answer {
		return w.do(http.MethodPut, "/orgs/acme/subscribers/"+name, body, "Content-Type", "application/json")
	}
	a := put("records", `{"url":"https://records.example/hook?key=hidden","filter":{"about":"record:record-1","kinds":["lost"]}}`).want(200)
	secret := a.text("secret")
	if !strings.HasPrefix(secret, "whsec_") || a.text("cursor") != fmt.Sprintf("%d~%s", head, mark) || a.text("sort") != "webhook" ||
		canonical(t, a.field("filter")) != canonical(t, `{"about":"record:record-1","kinds":["lost"]}`) {
		t.Errorf("%s", a.body)
	}
	given := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
	if a := put("cache", fmt.Sprintf(`{"url":"http://127.0.0.1:9/hook","secret":%q,"after":"0"}`, given)); a.text("secret") != given || a.text("cursor") != "0~"+mark {
		t.Errorf("%s", a.body)
	}
	put("records", `{"url":"https://records.example/hook"}`).problem(409, "subscriber_exists")
	for _, c := range []struct{ body, code string }{
		{`{}`, "missing_field"},
		{`{"url":""}`, "bad_field"},
		{`{"url":"https://x.example/","after":"x"}`, "bad_cursor"},
		{`{"url":"https://x.example/","after":5}`, "bad_field"},
		{`{"url":"https://x.example/","colour":"red"}`, "unknown_field"},
		{`{"url":"https://x.example/","filter":[]}`, "bad_field"},
		{`{"url":"https://x.example/","filter":{"kind":["lost"]}}`, "unknown_field"},
		{`{"url":"https://x.example/","filter":{"kinds":"lost"}}`, "bad_field"},
		{`{"url":"https://x.example/","filter":{"kinds":[1]}}`, "bad_field"},
		{`{"url":"https://x.example/","filter":{"kinds":["Lost"]}}`, "bad_kind"},
		{`{"url":"https://x.example/","filter":{"about":"x"}}`, "bad_resource"},
		{`{"url":"https://x.example/","filter":{"subject":"x"}}`, "bad_account"},
	} {
		put("other", c.body).problem(400, c.code)
	}
	w.do(http.MethodPut, "/orgs/acme/subscribers/other", `{"url":"https://x.example/"}`, "Content-Type", "text/plain").problem(415, "unsupported_media_type")
	for _, refused := range []string{"http://records.example/hook", "ftp://records.example/", "https://u:p@records.example/"} {
		if a := put("other", fmt.Sprintf(`{"url":%q}`, refused)); a.status != 400 {
			t.Errorf("%s: %d %s", refused, a.status, a.body)
		}
	}

	if a := w.post("/orgs/acme/subscribers/records/disable", ""); a.text("state") != "disabled" || a.text("reason") != "by hand" {
		t.Errorf("%s", a.body)
	}
	if a := w.post("/orgs/acme/subscribers/records/enable", ""); a.text("state") != "active" || a.field("reason") != "" {
		t.Errorf("%s", a.body)
	}
	w.post("/orgs/acme/subscribers/records/ack", `{"cursor":"3"}`).problem(409, "is_a_webhook")
	var list struct{ Subscribers []json.RawMessage }
	a = w.get("/orgs/acme/subscribers").want(200)
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Subscribers) != 2 {
		t.Errorf("%v: %s", err, a.body)
	}
	for _, told := range []string{a.body, w.get("/orgs/acme/subscribers/records").body, w.log.String()} {
		for _, hidden := range []string{"whsec", secret, given, "key=hidden"} {
			if strings.Contains(told, hidden) {
				t.Errorf("%q is given away: %s", hidden, told)
			}
		}
	}
	w.post("/orgs/acme/subscribers/none/enable", "").problem(404, "unknown_subscriber")
}
