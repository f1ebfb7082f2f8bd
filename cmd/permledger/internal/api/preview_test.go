package api

// Previews over HTTP: their shape, that nothing is recorded, and that they are refused as the commands are.

import (
	"net/http"
	"testing"
)

func TestPreview(t *testing.T) {
	w := newWorld(t)
	w.record(`account.open {"account":"user:alice"}`)
	head := w.ledger.Head()
	body := `{"command":"role.assign","actor":"user:root","reason":"hired","data":{"principal":"user:alice","role":"owner"}}`
	a := w.post("/orgs/acme/commands?dry_run=true", body).want(http.StatusOK)
	for field, want := range map[string]string{"dry_run": "true", "complete": "true", "lost": "[]", "lost_total": "0", "warnings": "[]"} {
		if got := a.field(field); got != want {
			t.Errorf("%s: %s: got %s, want %s", a.asked, field, got, want)
		}
	}
	if gained := a.field("gained"); gained == "[]" || a.field("gained_total") == "0" {
		t.Errorf("%s: gained %s", a.asked, gained)
	}
	if a := w.post("/orgs/acme/commands?dry_run=true&limit=1", body).want(http.StatusOK); a.field("complete") != "false" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	nothing := `{"command":"signin.succeed","actor":"user:alice","data":{"principal":"user:alice"}}`
	if a := w.post("/orgs/acme/commands?dry_run=true", nothing).want(http.StatusOK); a.field("events") != "[]" || a.field("gained") != "[]" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	w.post("/orgs/acme/commands?dry_run=true", `{"command":"role.assign","actor":"user:alice","data":{"principal":"user:alice","role":"owner"}}`).problem(403, "not_permitted")
	w.post("/orgs/acme/commands?dry_run=yes", body).problem(400, "bad_parameter")
	w.post("/orgs/acme/commands?dry_run=true&lang=fr", body).problem(400, "unknown_lang")
	w.post("/orgs/acme/commands?dry_run=true&limit=0", body).problem(400, "bad_limit")
	w.post("/orgs/acme/commands?limit=5", body).problem(400, "bad_parameter")
	w.post("/orgs/acme/commands?dry_run=false&lang=nl", body).problem(400, "bad_parameter")
	if got := w.ledger.Head(); got != head {
		t.Errorf("recorded something: head %d, was %d", got, head)
	}
	w.post("/orgs/acme/commands?dry_run=false", body).want(http.StatusOK)
	if got := w.ledger.Head(); got != head+1 {
		t.Errorf("dry_run=false: head %d, want %d", got, head+1)
	}
}
