package api

// The language of an answer's sentences: what lang changes, and that it changes nothing else.

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestLanguages(t *testing.T) {
	w := newScenario(t)
	at := w.ledger.Now().String()
	check := []string{"subject", "user:alice", "action", "write", "resource", "record:record-2", "at", at}
	ask := func(path, lang string, question []string) answer {
		t.Helper()
		if lang != "" {
			question = append(slices.Clone(question), "lang", lang)
		}
		return w.get(path, question...).want(200)
	}
	for _, c := range []struct {
		path     string
		question []string
		en, nl   string // what is in the answer
	}{
		{"/orgs/acme/check", check, `"why":"this needs link writer from user:alice to record:record-2"`,
			`"why":"hiervoor moet user:alice als writer gekoppeld zijn aan record:record-2"`},
		{"/orgs/acme/explain", check, `"sentence":"No: user:alice may not write record:record-2: this needs link writer from user:alice to record:record-2."`,
			`"sentence":"Nee: user:alice mag niet write bij record:record-2: hiervoor moet user:alice als writer gekoppeld zijn aan record:record-2."`},
		{"/orgs/acme/explain", check, `"ways":["whoever holds role admin and is linked to record:record-2 as archived"]`,
			`"ways":["wie de rol admin heeft en als archived gekoppeld is aan record:record-2"]`},
		{"/orgs/acme/who", []string{"action", "write", "resource", "record:record-1", "at", at}, `"why":"user:alice is linked to record:record-1 as writer since ` + w.recordedAt(11),
			`"why":"user:alice is sinds ` + w.recordedAt(11) + ` als writer gekoppeld aan record:record-1"`},
		{"/orgs/acme/what", []string{"subject", "user:alice", "type", "record", "at", at}, `"why":"user:alice is linked to record:record-1 as writer since ` + w.recordedAt(11),
			`"why":"user:alice is sinds ` + w.recordedAt(11) + ` als writer gekoppeld aan record:record-1"`},
	} {
		unasked, en, nl := ask(c.path, "", c.question), ask(c.path, "en", c.question), ask(c.path, "nl", c.question)
		if unasked.body != en.body || !strings.Contains(en.body, c.en) {
			t.Errorf("%s: got %s\nand in English %s\nwant both with %s", c.path, unasked.body, en.body, c.en)
		}
		if !strings.Contains(nl.body, c.nl) {
			t.Errorf("%s in Dutch: got %s, want %s in it", c.path, nl.body, c.nl)
		}
		for _, lang := range []string{"de", "EN", "nl-NL"} {
			got := w.get(c.path, append(slices.Clone(c.question), "lang", lang)...)
			if want := `lang: language \"` + lang + `\": want en (English) or nl (Dutch)`; !strings.Contains(got.want(400).body, want) {
				t.Errorf("%s in %s: got %s, want %s", c.path, lang, got.body, want)
			}
		}
	}

	// A yes is explained too, and has no other ways.
	yes := ask("/orgs/acme/explain", "", []string{"subject", "user:alice", "action", "write", "resource", "record:record-1", "at", at})
	if got, want := yes.text("sentence"), "Yes: user:alice may write record:record-1: user:alice is linked to record:record-1 as writer since "+w.recordedAt(11)+"."; got != want || yes.field("ways") != "[]" {
		t.Errorf("explained as %s with ways %s, want %s and none", got, yes.field("ways"), want)
	}

	// The pages of an answer are in its language.
	var page struct{ Next string }
	first := w.get("/orgs/acme/who", "action", "read", "resource", "record:record-1", "limit", "1", "lang", "nl").want(200)
	if err := json.Unmarshal([]byte(first.body), &page); err != nil || page.Next == "" {
		t.Fatalf("first page: %s, want more pages", first.body)
	}
	if second := w.get("/orgs/acme/who", "page", page.Next).want(200); !strings.Contains(second.body, "gekoppeld aan record:record-1") {
		t.Errorf("second page of an answer in Dutch: %s", second.body)
	}
	w.get("/orgs/acme/who", "page", page.Next, "lang", "en").want(400)
}
