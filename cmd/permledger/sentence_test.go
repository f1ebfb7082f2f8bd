package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// TestEveryKeyHasHelp fails when a command gets a key and nobody says what it wants.
func TestEveryKeyHasHelp(t *testing.T) {
	for _, c := range domain.Commands() {
		typ, err := domain.EventOf(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range domain.FieldNames(typ) {
			if fieldHelp[f.Name] == "" {
				t.Errorf("%s: key %s has no help", c, f.Name)
			}
		}
	}
}

func TestSentence(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{zone: amsterdam, words: &english}
	for _, c := range []struct {
		e    event
		want string
	}{
		{event{Type: "role.assigned", Data: map[string]any{"principal": "professional:anna", "role": "therapist", "until": "2026-07-01T00:00:00Z"}},
			"professional:anna was given role therapist, until 2026-07-01 02:00:00 CEST"},
		{event{Type: "fact.corrected", Data: map[string]any{"corrects": 9, "void": true}}, "what seq 9 says was corrected, it never was"},
		{event{Type: "permission.withheld", Data: map[string]any{"principal": "professional:anna", "on": "client", "action": "view", "client": "client:c1"}},
			"view on client was individually withheld from professional:anna, for client:c1"},
		{event{Type: "account.opened", Data: map[string]any{"account": "client:c1", "display_name": "C\x1b[31m"}}, `client:c1 was opened, "C\x1b[31m"`},
		{event{Type: "account.locked", Data: map[string]any{"principal": "client:c1", "cause": "\x1b[31m"}}, "client:c1 was locked, ?[31m"},
		{event{Type: "role.assigned", Sentence: "a sentence, until 2026-07-01T00:00:00.000Z", CorrectedBy: []uint64{7, 12}},
			"a sentence, until 2026-07-01 02:00:00 CEST (corrected by seq 7, 12)"},
		{event{Type: "moon.risen", Data: map[string]any{"phase": "full"}}, "moon.risen, phase full"},
	} {
		if got := s.sentence(c.e); got != c.want {
			t.Errorf("%s %v: got %q, want %q", c.e.Type, c.e.Data, got, c.want)
		}
	}
	nl := &screen{zone: amsterdam, words: &dutch}
	for _, c := range []struct {
		e    event
		want string
	}{
		{event{Type: "role.assigned", Data: map[string]any{"principal": "professional:anna", "role": "therapist", "from": "2026-01-01T00:00:00Z", "until": "2026-07-01T00:00:00Z"}},
			"professional:anna heeft de rol therapist gekregen, vanaf 2026-01-01 01:00:00 CET, tot 2026-07-01 02:00:00 CEST"},
		{event{Type: "fact.corrected", Data: map[string]any{"corrects": 9, "void": true}}, "wat seq 9 zegt is gecorrigeerd, het is nooit zo geweest"},
		{event{Type: "access.reviewed", Data: map[string]any{"grant": "g1", "verdict": "justified"}}, "tijdelijke toegang g1 is beoordeeld als terecht"},
		{event{Type: "permission.withheld", Data: map[string]any{"principal": "professional:anna", "on": "client", "action": "view", "client": "client:c1"}},
			"aan professional:anna is het recht view bij client individueel ontzegd, voor client:c1"},
	} {
		if got := nl.sentence(c.e); got != c.want {
			t.Errorf("nl %s %v: got %q, want %q", c.e.Type, c.e.Data, got, c.want)
		}
	}
	why := "professional:anna holds role therapist since 2026-01-06T10:00:01.5Z, until 2026-07-01T00:00:00.000Z"
	if got, want := s.local(why), "professional:anna holds role therapist since 2026-01-06 11:00:01 CET, until 2026-07-01 02:00:00 CEST"; got != want {
		t.Errorf("local(%q): got %q, want %q", why, got, want)
	}
}

// Nothing of a language's table may be forgotten: an empty text would show as nothing at all.
func TestEveryWordIsThereInEveryLanguage(t *testing.T) {
	for _, w := range []*words{&english, &dutch} {
		v := reflect.ValueOf(*w)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "verdicts" {
				t.Errorf("%s: %s is missing", w.yes, name)
			}
		}
	}
	for _, c := range []struct {
		n    int
		want string
	}{
		{0, "Geen enkel account mag view bij client:c1."},
		{1, "1 account mag view bij client:c1."},
		{7, "7 accounts mogen view bij client:c1."},
	} {
		if got := dutch.who.of(c.n, "view", "client:c1", ""); got != c.want {
			t.Errorf("who of %d: got %q, want %q", c.n, got, c.want)
		}
	}
}
