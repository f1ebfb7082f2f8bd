package domain

// What if another catalogue were in force: held against the ledger itself, and against one that had never known any other
// catalogue.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// careOther has neither friends nor guests nor calls, and lets everybody do something.
const careOther = `catalogue: care-other
kinds: {staff: {}, client: {protected: true}, team: {group: true}}
resources: {journal: {of: client}, note: {of: client}, platform: {}, catalogue: {}}
roles: {manager: {for: staff}, limited: {for: staff}}
founder: manager
relations: {reader: {from: staff}}
permits:
  - {on: [client, platform], actions: [greet, read]}
  - {role: limited, on: client, actions: view}
  - {link: reader, on: [journal, note], actions: [view, edit]}
  - {own: true, on: journal, actions: erase}
  - {role: manager, on: [staff, client, team], actions: account.open}
  - {role: manager, on: catalogue, actions: catalogue.adopt}
`

// everything is all that there is to say of the small world at the moment, a line an answer. No answer is valid beyond
// ceiling. Of several lines of a catalogue that allow something up to the ceiling any may be told as what it rests on, so
// for such a yes none is compared; nor for a reach, which joins several.
func everything(t tester, r Reader, at, ceiling Instant) (all []string) {
	t.Helper()
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, resource := range worldResources() {
		for _, action := range worldActions[resource.Kind()] {
			q := Question{Action: action, Resource: resource}
			if resource == "note:1" || resource == "journal:2" {
				q.Client, q.CreatedBy = "client:x", "staff:a"
			}
			for _, q.Subject = range worldAccounts {
				d, err := Evaluate(r, q, at)
				if err != nil {
					t.Fatal(err)
				}
				line := 0
				if d.Permit != nil {
					line = d.Permit.Line
				}
				if d.Allowed && d.ValidUntil >= ceiling {
					say("%+v: true until %s at least", q, ceiling)
					continue
				}
				say("%+v: %t until %s by line %d and %s", q, d.Allowed, d.ValidUntil, line, whys(d))
			}
			q.Subject = ""
			for a, err := range Who(r, q, at, "") {
				if err != nil {
					t.Fatal(err)
				}
				say("who %+v: %s until %s", q, a.Subject, min(a.Decision.ValidUntil, ceiling))
			}
		}
	}
	for _, subject := range worldAccounts {
		for reach, err := range What(r, subject, "", "", at, "") {
			if err != nil {
				t.Fatal(err)
			}
			say("what %s: %s %v until %s", subject, reach.Resource, reach.Actions, min(reach.ValidUntil, ceiling))
		}
	}
	return all
}

func sameAnswers(t tester, about string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s:\ngot  %s\nwant %s", about, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: got %d answers, want %d", about, len(got), len(want))
	}
}

func TestRandomWhatIf(t *testing.T) {
	others := []string{careOther, testCatalogue(t, "care-later"), testCatalogue(t, "care")}
	rapid.Check(t, func(rt *rapid.T) {
		m, lines := newMemory(), strings.Split(strings.TrimSpace(worldBegin)+"\n@1 account.opened account=friend:f", "\n")
		for _, line := range lines {
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		now := 1
		for range evenly(maxDrawn).Draw(rt, "lines") {
			now += evenly(2).Draw(rt, "hours")
			line := drawLine(rt, now, m.events)
			if m.step(rt, line) == nil {
				lines = append(lines, line)
			}
		}
		defer func() {
			if rt.Failed() {
				rt.Logf("the history:\n%s", strings.Join(lines, "\n"))
			}
		}()
		at := hour(rapid.IntRange(0, now+6).Draw(rt, "at"))
		known := Seq(rapid.IntRange(1, len(m.events)).Draw(rt, "known at"))
		r := m.asOf(known)

		// Under the catalogue in force nothing is another answer; but it is in force always, so none ends with it.
		cat, iv, err := catalogueAt(r, at)
		if err != nil {
			rt.Fatal(err)
		}
		sameAnswers(rt, "under the catalogue in force", everything(rt, WhatIf(r, cat), at, iv.Until), everything(rt, r, at, iv.Until))

		// Under another it is as in the ledger in which the same happened and which never had any but that.
		document := others[evenly(len(others)).Draw(rt, "other")]
		if cat, err = ParseCatalogue([]byte(document)); err != nil {
			rt.Fatal(err)
		}
		always := newMemory()
		for _, e := range m.events {
			if e.Type == CatalogueAdopted {
				e.Data = &CatalogueAdoption{Catalogue: cat.Name, Version: 1, Digest: Digest([]byte(document)), Document: document}
			}
			if err := always.record(e); err != nil {
				rt.Fatal(err)
			}
		}
		_, iv, err = catalogueAt(always.asOf(known), at)
		if err != nil {
			rt.Fatal(err)
		}
		sameAnswers(rt, "under "+cat.Name, everything(rt, WhatIf(r, cat), at, iv.Until), everything(rt, always.asOf(known), at, iv.Until))

		// And as the plain model has it, which knows nothing of readers.
		model := newNaive(always.events, always.catalogues, at, known)
		for _, resource := range worldResources() {
			for _, action := range worldActions[resource.Kind()] {
				for _, subject := range worldAccounts {
					q := Question{Subject: subject, Action: action, Resource: resource}
					d, err := Evaluate(WhatIf(r, cat), q, at)
					if err != nil || d.Allowed != model.allowed(q) || d.Catalogue != 0 {
						rt.Fatalf("%+v as of %s known at %d under %s: got %t by %s, catalogue of event %d, %v; want %t, event 0", q, at, known, cat.Name, d.Allowed, whys(d), d.Catalogue, err, model.allowed(q))
					}
				}
			}
		}
	})
}

// Who is of a kind that the catalogue lacks may do nothing, not even what everybody may; and of a type that it lacks nothing
// may be done.
func TestWhatIfLacksAKind(t *testing.T) {
	m := ledger(t, worldBegin, `@2 account.opened account=friend:f`)
	cat, err := ParseCatalogue([]byte(careOther))
	if err != nil {
		t.Fatal(err)
	}
	r := WhatIf(m.now(), cat)
	for _, c := range []struct {
		subject  Account
		action   Action
		resource Resource
		want     string
	}{
		{"staff:a", "greet", "client:x", ""},
		{"friend:f", "greet", "client:x", "this needs friend:f to be a client or staff or team"},
		{"staff:a", "greet", "friend:f", "the catalogue lets nobody greet on friend"},
		{"staff:a", "join", "call:1", "the catalogue lets nobody join on call"},
		{"staff:a", "view", "client:x", "this needs staff:a to hold role limited"},
	} {
		d, err := Evaluate(r, Question{Subject: c.subject, Action: c.action, Resource: c.resource}, hour(3))
		if err != nil {
			t.Fatal(err)
		}
		if got := (Teller{Show: Instant.String}).WhyNot(d); got != c.want || d.Allowed != (c.want == "") {
			t.Errorf("%s %s %s: got %t, %q, want %q", c.subject, c.action, c.resource, d.Allowed, got, c.want)
		}
	}
	for a, err := range Who(r, Question{Action: "greet", Resource: "client:x"}, hour(3), "") {
		if err != nil || a.Subject.Kind() == "friend" {
			t.Errorf("who may greet client:x: got %s, %v; want nobody of a kind that there is not", a.Subject, err)
		}
	}
	for a, err := range Who(r, Question{Action: "greet", Resource: "friend:f"}, hour(3), "") {
		t.Errorf("who may greet friend:f: got %s, %v; want nobody", a.Subject, err)
	}
	for reach, err := range What(r, "friend:f", "", "", hour(3), "") {
		t.Errorf("what may friend:f do: got %v, %v; want nothing", reach, err)
	}
}

// The supposed catalogue is read like a recorded one, and the recorded ones stay.
func TestWhatIfReads(t *testing.T) {
	m := ledger(t, worldBegin)
	cat, err := ParseCatalogue([]byte(careOther))
	if err != nil {
		t.Fatal(err)
	}
	r := WhatIf(m.now(), cat)
	for _, at := range []Instant{1, hour(-1), hour(0), hour(10)} {
		if got, seq, err := CatalogueAt(r, at); got != cat || seq != 0 || err != nil {
			t.Errorf("the catalogue at %s: got %v of event %d, %v; want the supposed one, of none", at, got, seq, err)
		}
	}
	var held []Held
	for h, err := range r.FactsOf(FamilyCatalogue, CatalogueRef) {
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, h)
	}
	if v, err := r.Fact(catalogueFact()); err != nil || len(held) != 1 || !slices.Equal(held[0].Version.Intervals, v.Intervals) {
		t.Errorf("the catalogue's facts: got %v, want the one that Fact gives", held)
	}
	if got, err := r.Catalogue(1); err != nil || got != m.catalogues[1] {
		t.Errorf("the catalogue of event 1: got %v, %v; want the one it adopted", got, err)
	}
}
