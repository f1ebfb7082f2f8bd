package api

// Commands over HTTP: what is recorded, what is refused, and that a refusal records nothing.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	w := newWorld(t)
	type recorded struct {
		Events []struct {
			Seq                  int
			Type, Source, Reason string
			RequestID            string `json:"request_id"`
		}
		Seq int
	}
	send := func(body string) (got recorded) {
		t.Helper()
		a := w.post("/orgs/acme/commands", body).want(200)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	one := `{"command":"account.open","actor":"user:root","id":"k-1","reason":"hired","data":{"account":"user:alice"}}`
	got := send(one)
	if len(got.Events) != 1 || got.Seq != 4 || got.Events[0].Seq != 4 || got.Events[0].Source != "api" || got.Events[0].Reason != "hired" || got.Events[0].RequestID != "k-1" {
		t.Errorf("%s: got %+v", one, got)
	}
	if again := send(one); fmt.Sprint(again) != fmt.Sprint(got) || w.ledger.Head() != 4 {
		t.Errorf("the same id again: got %+v, want %+v", again, got)
	}
	got = send(" \n[" + `{"command":"account.open","actor":"user:root","data":{"account":"user:bob"},"source":"hr"},
		{"command":"role.assign","actor":"user:root","data":{"principal":"user:bob","role":"admin"}}]`)
	if len(got.Events) != 2 || got.Seq != 6 || got.Events[0].Source != "hr" || got.Events[1].Type != "role.assigned" {
		t.Errorf("an array: got %+v", got)
	}
	// What is read right after is what was written.
	a := w.get("/orgs/acme/check", "subject", "user:bob", "action", "greet", "resource", "user:alice")
	if a.field("decision") != "true" || a.field("known_at_seq") != "6" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	// Nothing to record is no mistake.
	if got := w.post("/orgs/acme/commands", `{"command":"signin.succeed","actor":"user:bob","data":{"principal":"user:bob"}}`); got.field("events") != "[]" || got.field("seq") != "6" {
		t.Errorf("%s: %s", got.asked, got.body)
	}
}

func TestCommandsBadInput(t *testing.T) {
	w := newScenario(t)
	head := w.ledger.Head()
	open := func(account string) string {
		return `{"command":"account.open","actor":"user:root","data":{"account":"` + account + `"}}`
	}
	for _, c := range []struct {
		body   string
		status int
		code   string
		detail string
	}{
		{``, 400, "bad_json", ""},
		{`  `, 400, "bad_json", ""},
		{`[]`, 400, "no_command", ""},
		{`[`, 400, "bad_json", ""},
		{`[` + open("user:new") + `,]`, 400, "bad_json", ""},
		{`[` + open("user:new") + `] x`, 400, "bad_json", ""},
		{open("user:new") + open("user:new"), 400, "bad_json", ""},
		{`"account.open"`, 400, "bad_json", ""},
		{`null`, 400, "bad_json", ""},
		{`[null]`, 400, "bad_json", "commands[0]: "},
		{`{"command":"account.open","command":"account.open"}`, 400, "bad_json", ""},
		{`{}`, 400, "missing_field", "command"},
		{`{"command":"fly","actor":"user:root","data":{}}`, 400, "unknown_command", "fly"},
		{`{"command":"account.open","actor":"user:root","data":{"account":"user:new","colour":"red"}}`, 400, "unknown_field", "colour"},
		{`{"command":"account.open","actor":"user:root","data":{"account":"user:new"},"colour":"red"}`, 400, "unknown_field", "colour"},
		{`{"Command":"account.open","actor":"user:root","data":{"account":"user:new"}}`, 400, "missing_field", "command"},
		{open("user new"), 400, "bad_account", "data.account"},
		{`[` + open("user:new") + `,` + open("user:new2") + `,` + open("x") + `]`, 400, "bad_account", "commands[2]: data.account"},
		{`[` + open("user:new") + `,` + open("user:new") + `]`, 409, "already_opened", "commands[1]: "},
		{open("user:bob"), 409, "already_opened", "user:bob"},
		{open("robot:r2"), 403, "not_permitted", "robot"},
		{`{"command":"account.open","actor":"user:alice","data":{"account":"user:new"}}`, 403, "not_permitted", "user:alice"},
		{`{"command":"account.open","actor":"user:nobody","data":{"account":"user:new"}}`, 404, "unknown_account", "user:nobody"},
		{`{"command":"role.assign","actor":"user:root","data":{"principal":"user:bob","role":"king"}}`, 422, "unknown_role", "king"},
		{`{"command":"catalogue.adopt","actor":"user:root","data":{"document":"catalogue: x"}}`, 422, "bad_catalogue", ""},
	} {
		p := w.post("/orgs/acme/commands", c.body).problem(c.status, c.code)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s: detail %q, want it to say %q", c.body, p.Detail, c.detail)
		}
		if got := w.ledger.Head(); got != head {
			t.Fatalf("%s: recorded something: head %d, was %d", c.body, got, head)
		}
	}
	w.post("/orgs/acme/commands", `[`+open("user:big")+strings.Repeat(" ", maxBody)+`]`).problem(413, "too_large")
	w.post("/orgs/acme/commands?dry=1", open("user:new")).problem(400, "unknown_parameter")
	w.post("/orgs/nobody/commands", open("user:new")).problem(404, "unknown_org")
	w.do(http.MethodPost, "/orgs/acme/commands", open("user:new"), "Content-Type", "text/plain").problem(415, "unsupported_media_type")
	if a := w.do(http.MethodPut, "/orgs/acme/commands", open("user:new")); a.problem(405, "method_not_allowed").Status == 405 && a.header.Get("Allow") != "POST" {
		t.Errorf("%s: Allow %q", a.asked, a.header.Get("Allow"))
	}
	if got := w.ledger.Head(); got != head {
		t.Errorf("recorded something: head %d, was %d", got, head)
	}
}
