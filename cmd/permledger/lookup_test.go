package main

// What grants, holders and roles say, in both languages and in colours.

import (
	"bufio"
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/permledger/permledger/domain"
)

func TestEveryLookupWordIsThereInEveryLanguage(t *testing.T) {
	for lang, w := range map[string]lookupWords{"en": englishLookup, "nl": dutchLookup} {
		v := reflect.ValueOf(w)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "states" {
				t.Errorf("%s: %s is missing", lang, name)
			}
		}
	}
	for _, s := range domain.GrantStates() {
		if dutchLookup.states[s] == "" {
			t.Errorf("nl: state %s is missing", s)
		}
	}
}

func TestOverdueStandsOut(t *testing.T) {
	text.EnableColors()
	defer text.DisableColors()
	var b bytes.Buffer
	s := &screen{w: bufio.NewWriter(&b), tty: true, width: 80, zone: time.UTC, words: &english}
	due, later := "2026-03-19T20:00:00.000Z", "2026-03-28T09:00:00.000Z"
	g := grant{Grant: "01KABCDEFGHJKMNPQRSTVWXYZ0", Principal: "professional:anna", Client: "client:c1", Profile: "emergency", From: "2026-03-16T20:00:00.000Z",
		Until: "2026-03-17T04:00:00.000Z", State: domain.GrantEnded, ReviewDue: &due, Overdue: true}
	other := g
	other.Grant, other.ReviewDue, other.Overdue = "g4", &later, false
	s.grants([]grant{g, other}, false)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for line := range strings.Lines(got) {
		if w := text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")); w > 80 {
			t.Errorf("line %q: %d columns wide, want at most 80", line, w)
		}
	}
	first, second, _ := strings.Cut(got, "g4")
	if red := alarm.EscapeSeq(); !strings.Contains(got, "1 review is overdue.") || !strings.Contains(first, red) || strings.Count(second, red) != 1 || strings.Contains(got, "≈") {
		t.Errorf("got\n%s\nwant the first grant's review and the count in red, and nothing cut", got)
	}
}
