package domain

// Events as sentences: every type has one in each language, and what the data has beyond it is said behind it.

import (
	"fmt"
	"strings"
	"testing"
)

// TestEveryEventHasASentence fails when a type of event is added and nobody says how to tell it, or a sentence names a
// field that its event does not have.
func TestEveryEventHasASentence(t *testing.T) {
	for lang, words := range eventsIn {
		if len(words.says) != len(newData) {
			t.Errorf("%s: %d sentences, want one for each of the %d types of event", lang, len(words.says), len(newData))
		}
		for typ := range newData {
			said, ok := words.says[typ]
			for _, f := range FieldNames(typ) {
				said = strings.ReplaceAll(said, "{"+f.Name+"}", "")
			}
			if !ok || said == "" || strings.ContainsAny(said, "{}") {
				t.Errorf("%s, %s: got %q, want a sentence that names none but the type's fields", lang, typ, words.says[typ])
			}
		}
	}
}

func TestEventsAsSentences(t *testing.T) {
	anna := Account("staff:anna")
	corrected := &Concern{Type: RoleAssigned, Was: Interval{From: hour(1), Until: Forever}}
	ended := &Concern{Type: CaseloadLinked, Was: Interval{From: hour(1), Until: hour(9)}}
	for _, c := range []struct {
		data    Data
		concern *Concern
		en, nl  string
	}{
		{&RoleAssignment{Principal: anna, Role: "therapist", From: hour(1), Until: hour(2)}, nil,
			"staff:anna was given role therapist, from 1h, until 2h", "staff:anna heeft de rol therapist gekregen, vanaf 1h, tot 2h"},
		{&AccountOpening{Account: "client:x", DisplayName: "C\x1b[31m"}, nil,
			`client:x was opened, "C\x1b[31m"`, `client:x is geopend, "C\x1b[31m"`},
		{&PermissionWithholding{Exception{anna, "client", "view", "client:x"}}, nil,
			"view on client was individually withheld from staff:anna, for client:x", "aan staff:anna is het recht view bij client individueel ontzegd, voor client:x"},
		{&AccessReview{Grant: "{verdict}", Verdict: "justified"}, nil,
			"temporary access {verdict} was reviewed as justified", "tijdelijke toegang {verdict} is beoordeeld als terecht"},
		{&AccountLock{Principal: anna, Cause: "leaver"}, nil, "staff:anna was locked, leaver", "staff:anna is geblokkeerd, leaver"},
		{&CatalogueAdoption{Catalogue: "care", Version: 2, Digest: "sha256:x", Document: "catalogue: care"}, nil,
			"role catalogue care version 2 was adopted", "rollencatalogus care versie 2 is vastgesteld"},
		{&Correction{Corrects: 9, Void: true}, nil, "what seq 9 says was corrected, it never was", "wat seq 9 zegt is gecorrigeerd, het is nooit zo geweest"},
		{&Correction{Corrects: 9, From: hour(3), Until: hour(4)}, corrected,
			"what seq 9 (role.assigned) says was corrected, from 3h (was 1h), until 4h (had no end)",
			"wat seq 9 (role.assigned) zegt is gecorrigeerd, vanaf 3h (was 1h), tot 4h (had geen einde)"},
		{&Correction{Corrects: 9, Until: hour(4)}, ended,
			"what seq 9 (caseload.linked) says was corrected, until 4h (was 9h)", "wat seq 9 (caseload.linked) zegt is gecorrigeerd, tot 4h (was 9h)"},
		{&Correction{Corrects: 9, Void: true}, ended,
			"what seq 9 (caseload.linked) says was corrected, it never was (was from 1h until 9h)",
			"wat seq 9 (caseload.linked) zegt is gecorrigeerd, het is nooit zo geweest (was vanaf 1h tot 9h)"},
		{&Correction{Corrects: 9, Void: true}, corrected,
			"what seq 9 (role.assigned) says was corrected, it never was (was from 1h)",
			"wat seq 9 (role.assigned) zegt is gecorrigeerd, het is nooit zo geweest (was vanaf 1h)"},
		{&ValidityEnd{Of: 9}, &Concern{Type: TeamJoined}, "what seq 9 (team.joined) says ran out", "wat seq 9 (team.joined) zegt is verlopen"},
	} {
		e := &Event{Type: c.data.Type(), Data: c.data}
		for lang, want := range map[Lang]string{English: c.en, "": c.en, Dutch: c.nl} {
			teller := Teller{Lang: lang, Show: func(i Instant) string { return fmt.Sprintf("%dh", (i-hour(0))/3600e9) }}
			if got := teller.Event(e, c.concern); got != want {
				t.Errorf("%s, %q: got %q, want %q", e.Type, lang, got, want)
			}
		}
	}
	for data, want := range map[string]string{`{"phase":"full"}`: "moon.risen, phase full", `{"phase":{}}`: "moon.risen, phase {}", `[`: "moon.risen"} {
		if got := (Teller{}).EventData("moon.risen", []byte(data), nil); got != want {
			t.Errorf("an event of a newer program, %s: got %q, want %q", data, got, want)
		}
	}
}
