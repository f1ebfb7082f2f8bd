package main

// What grants, holders and roles say in each language; the rest of the screen's words is in words.go.

import (
	"fmt"
	"strings"

	"github.com/permledger/permledger/domain"
)

// lookupWords are the words of these three verbs.
type lookupWords struct {
	// Headers of columns.
	grant, access, state             string
	role, title, since, until, notes string

	given     string                       // whose, to whom and of which profile
	span      string                       // from when until when
	states    map[domain.GrantState]string // where they are not the answer's own words
	reviewed  string                       // the verdict and who gave it
	due       string                       // a time
	overdue   string                       // a time
	scheduled string
	closed    string // a note on an account
	locked    string
	idle      string // the account and its notes: why its roles give it nothing

	grants  counted // onThisPage
	late    counted
	holders counted // the role and onThisPage
	roles   counted // the account
}

var englishLookup = lookupWords{
	grant: "GRANT", access: "ACCESS", state: "STATE",
	role: "ROLE", title: "TITLE", since: "SINCE", until: "UNTIL", notes: "NOTES",

	given:     "%s to %s, %s",
	span:      "%s until %s",
	reviewed:  "reviewed as %s by %s",
	due:       "review due by %s",
	overdue:   "review overdue since %s",
	scheduled: "scheduled",
	closed:    "no open account",
	locked:    "locked",
	idle:      "No role gives %s anything: %s.",

	grants:  counted{"No temporary access%s.", "1 temporary access%s.", "%d temporary accesses%s."},
	late:    counted{"No review is overdue.", "1 review is overdue.", "%d reviews are overdue."},
	holders: counted{"No accounts hold role %s%s.", "1 account holds role %s%s.", "%d accounts hold role %s%s."},
	roles:   counted{"No roles are held by %s.", "1 role is held by %s.", "%d roles are held by %s."},
}

var dutchLookup = lookupWords{
	grant: "NUMMER", access: "TOEGANG", state: "STAND",
	role: "ROL", title: "NAAM", since: "SINDS", until: "TOT", notes: "OPMERKING",

	given: "%s tot %s, %s",
	span:  "%s tot %s",
	states: map[domain.GrantState]string{domain.GrantScheduled: "gepland", domain.GrantOpen: "open", domain.GrantEnded: "afgelopen",
		domain.GrantRevoked: "ingetrokken", domain.GrantVoided: "vervallen"},
	reviewed:  "beoordeeld als %s door %s",
	due:       "beoordeling uiterlijk %s",
	overdue:   "beoordeling te laat sinds %s",
	scheduled: "gepland",
	closed:    "geen open account",
	locked:    "geblokkeerd",
	idle:      "Geen rol geeft %s iets: %s.",

	grants:  counted{"Geen tijdelijke toegang%s.", "1 tijdelijke toegang%s.", "%d keer tijdelijke toegang%s."},
	late:    counted{"Geen beoordeling is te laat.", "1 beoordeling is te laat.", "%d beoordelingen zijn te laat."},
	holders: counted{"Geen enkel account heeft rol %s%s.", "1 account heeft rol %s%s.", "%d accounts hebben rol %s%s."},
	roles:   counted{"Geen enkele rol is in handen van %s.", "1 rol is in handen van %s.", "%d rollen zijn in handen van %s."},
}

// notes are what else is to be known of an account that holds a role.
func (s *screen) notes(active, locked bool) (notes []string) {
	if !active {
		notes = append(notes, s.words.lookup.closed)
	}
	if locked {
		notes = append(notes, s.words.lookup.locked)
	}
	return notes
}

// end shows when something ends; nothing where no end is known.
func (s *screen) end(until *string) string {
	if until == nil {
		return "-"
	}
	return s.time(*until)
}

// recorded names the events that a role rests on. When it holds from and until stands beside it, so no sentence is needed.
func (s *screen) recorded(basis []basis) string {
	parts := make([]string, len(basis))
	for i, b := range basis {
		parts[i] = fmt.Sprintf("%s (seq %d)", b.Type, b.Seq)
	}
	return strings.Join(parts, "; ")
}
