package main

import (
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// TestEveryEventHasASentence fails when a type of event is added and nobody says how to tell it, or a sentence names a
// field that its event does not have.
func TestEveryEventHasASentence(t *testing.T) {
	types := []domain.EventType{domain.ValidityStarted, domain.ValidityEnded}
	for _, c := range domain.Commands() {
		typ, err := domain.EventOf(c)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, typ)
		for _, f := range domain.FieldNames(typ) {
			if fieldHelp[f.Name] == "" {
				t.Errorf("%s: key %s has no help", c, f.Name)
			}
		}
	}
	if len(types) != len(sentences) {
		t.Errorf("%d types of event and %d sentences, want one each", len(types), len(sentences))
	}
	s := &screen{zone: time.UTC}
	for _, typ := range types {
		data := map[string]any{}
		for _, f := range domain.FieldNames(typ) {
			data[f.Name] = "<" + f.Name + ">"
		}
		got := s.sentence(event{Type: string(typ), Data: data})
		if sentences[typ] == "" || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: got %q, want a sentence with every field filled in", typ, got)
		}
	}
}

func TestSentence(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{zone: amsterdam}
	for _, c := range []struct {
		e    event
		want string
	}{
		{event{Type: "role.assigned", Data: map[string]any{"principal": "professional:anna", "role": "therapist", "until": "2026-07-01T00:00:00Z"}},
			"professional:anna was given role therapist, until 2026-07-01 02:00:00 CEST"},
		{event{Type: "fact.corrected", Data: map[string]any{"corrects": 9, "void": true}}, "what seq 9 says was corrected, it never was"},
		{event{Type: "permission.withheld", Data: map[string]any{"principal": "professional:anna", "on": "client", "action": "view", "client": "client:c1"}},
			"view on client was individually withheld from professional:anna, for client:c1"},
		{event{Type: "account.opened", Data: map[string]any{"account": "client:c1", "display_name": "C\x1b[31m"}}, `client:c1 was opened, "C?[31m"`},
		{event{Type: "moon.risen", Data: map[string]any{"phase": "full"}}, "moon.risen, phase full"},
	} {
		if got := s.sentence(c.e); got != c.want {
			t.Errorf("%s %v: got %q, want %q", c.e.Type, c.e.Data, got, c.want)
		}
	}
	why := "professional:anna holds role therapist since 2026-01-06T10:00:01.5Z, until 2026-07-01T00:00:00.000Z"
	if got, want := s.local(why), "professional:anna holds role therapist since 2026-01-06 11:00:01 CET, until 2026-07-01 02:00:00 CEST"; got != want {
		t.Errorf("local(%q): got %q, want %q", why, got, want)
	}
}
