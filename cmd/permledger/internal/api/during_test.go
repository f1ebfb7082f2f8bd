package api

// Intervals and differences over HTTP: their shapes, their pages, and what is refused. That they are right is checked
// where they are made.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// intervalsOf gives "subject: from-until" of every interval of a who answer, times as recorded by w.at.
func (w *world) intervalsOf(a answer) (all []string) {
	w.t.Helper()
	var d struct {
		Results []struct {
			Subject   string
			Intervals []struct {
				From, Until string
				Basis       []struct {
					Seq  int
					Type string
				}
				Pieces []struct{ From, Until string }
			}
		}
	}
	if err := json.Unmarshal([]byte(a.want(200).body), &d); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range d.Results {
		for _, iv := range r.Intervals {
			if len(iv.Basis) == 0 {
				w.t.Errorf("%s: %s has an interval without a basis", a.asked, r.Subject)
			}
			all = append(all, fmt.Sprintf("%s %s %s %d", r.Subject, iv.From[14:19], iv.Until[14:19], len(iv.Pieces)))
		}
	}
	return all
}

func TestWhoDuring(t *testing.T) {
	w := newScenario(t) // its 13 events are recorded from 09:00 on, some seconds each
	w.record(`caseload.unlink {"principal":"user:bob","client":"record:record-1","relation":"reader"}`)
	unlinked := w.recordedAt(14)
	w.record(`caseload.link {"principal":"user:bob","client":"record:record-1","relation":"writer"}`)
	from, until := w.recordedAt(12), w.recordedAt(15)
	who := []string{"action", "read", "resource", "record:record-1", "from", from}
	a := w.get("/orgs/acme/who", append(who, "until", until)...)
	want := []string{
		"user:alice " + from[14:19] + " " + until[14:19] + " 0",
		"user:bob " + from[14:19] + " " + unlinked[14:19] + " 0",
	}
	if got := w.intervalsOf(a); !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", a.asked, got, want)
	}
	for field, want := range map[string]string{"complete": "true", "enforced": "true", "throughout": "false", "known_at_seq": "15", "from": `"` + from + `"`, "until": `"` + until + `"`} {
		if got := a.field(field); got != want {
			t.Errorf("%s: %s: got %s, want %s", a.asked, field, got, want)
		}
	}
	// All the time, and up to now.
	if got := w.intervalsOf(w.get("/orgs/acme/who", append(who, "throughout", "true")...)); len(got) != 1 || got[0][:10] != "user:alice" {
		t.Errorf("throughout: got %q, want user:alice alone", got)
	}
	if got := w.intervalsOf(w.get("/orgs/acme/who", who...)); len(got) != 3 {
		t.Errorf("until now: got %q, want bob twice", got)
	}
	// A correction counts where it is known: it was alice's link that never was.
	w.record(`fact.correct {"corrects":11,"void":true} it was written down by mistake`)
	if got := w.intervalsOf(w.get("/orgs/acme/who", append(who, "until", until, "known_at", "now")...)); len(got) != 1 || got[0][:8] != "user:bob" {
		t.Errorf("as known now: got %q, want user:bob alone", got)
	}
	if got := w.intervalsOf(w.get("/orgs/acme/who", append(who, "until", until)...)); !slices.Equal(got, want) {
		t.Errorf("as known then, after the correction: got %q, want %q", got, want)
	}
	// Pages of one answer, whatever is recorded between them.
	first := w.get("/orgs/acme/who", append(who, "limit", "1")...)
	next := first.text("next")
	w.record(`caseload.unlink {"principal":"user:bob","client":"record:record-1","relation":"writer"}`)
	second := w.get("/orgs/acme/who", "page", next)
	if first.text("until") != second.text("until") || first.field("known_at_seq") != second.field("known_at_seq") || second.field("complete") != "true" {
		t.Errorf("pages: %s then %s", first.body, second.body)
	}
	if got := append(w.intervalsOf(first), w.intervalsOf(second)...); len(got) != 3 {
		t.Errorf("pages: got %q, want alice and bob twice", got)
	}
}

func TestWhatDuring(t *testing.T) {
	w := newScenario(t)
	w.record(`caseload.unlink {"principal":"user:bob","client":"record:record-1","relation":"reader"}`)
	from, unlinked := w.recordedAt(11), w.recordedAt(14)
	a := w.get("/orgs/acme/what", "subject", "user:bob", "type", "record", "from", from)
	var d struct {
		Results []struct {
			Resource  string
			Intervals []struct {
				From, Until string
				Actions     []string
			}
		}
	}
	if err := json.Unmarshal([]byte(a.want(200).body), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Results) != 2 || d.Results[0].Intervals[0].From != w.recordedAt(12) || d.Results[0].Intervals[0].Until != unlinked || fmt.Sprint(d.Results[1].Intervals[0].Actions) != "[read write]" {
		t.Errorf("%s: got %+v", a.asked, d.Results)
	}
	if a := w.get("/orgs/acme/what", "subject", "user:bob", "type", "record", "from", w.recordedAt(13), "throughout", "true"); a.field("complete") != "true" || !slices.Contains([]int{1}, len(resultsOf(t, a))) {
		t.Errorf("%s: %s", a.asked, a.body)
	}
}

func resultsOf(t *testing.T, a answer) (all []json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.field("results")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDiff(t *testing.T) {
	w := newScenario(t)
	before := w.recordedAt(13)
	w.record(`caseload.unlink {"principal":"user:bob","client":"record:record-1","relation":"reader"}`)
	a := w.get("/orgs/acme/diff", "about", "record:record-1", "from", before)
	if a.field("gained") != "[]" || a.field("complete") != "true" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	var lost []struct {
		Subject, Action, Resource string
		By                        struct {
			Seq  int
			Type string
		}
	}
	if err := json.Unmarshal([]byte(a.field("lost")), &lost); err != nil {
		t.Fatal(err)
	}
	if len(lost) != 1 || lost[0].Subject != "user:bob" || lost[0].Action != "read" || lost[0].Resource != "record:record-1" || lost[0].By.Seq != 14 || lost[0].By.Type != "caseload.unlinked" {
		t.Errorf("%s: lost %+v", a.asked, lost)
	}
	if a := w.get("/orgs/acme/diff", "from", before); a.field("lost") == "[]" || a.text("about") != "" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	// What the gate got wrong because the ledger learned late.
	w.record(`fact.correct {"corrects":11,"void":true} it was written down by mistake`)
	a = w.get("/orgs/acme/diff", "about", "user:alice", "at", before, "corrected", "true")
	if err := json.Unmarshal([]byte(a.field("lost")), &lost); err != nil {
		t.Fatal(err)
	}
	if len(lost) != 2 || lost[0].By.Type != "fact.corrected" {
		t.Errorf("%s: lost %+v, want alice's read and write, by the correction", a.asked, lost)
	}
}

func TestDuringUnderAnotherCatalogue(t *testing.T) {
	w := newScenario(t)
	who := []string{"action", "read", "resource", "record:record-1", "from", w.recordedAt(13)}
	// Under it a link as reader gives nothing, and an admin reads everything.
	a := w.suppose("/orgs/acme/who", recordsLocked, who...)
	if got := w.intervalsOf(a); len(got) != 2 || got[0][:10] != "user:alice" || got[1][:8] != "user:bob" {
		t.Errorf("%s: got %q", a.asked, got)
	}
	var of struct{ Catalogue catalogueRef }
	if err := json.Unmarshal([]byte(a.body), &of); err != nil || of.Catalogue.Name != "locked" || !of.Catalogue.WhatIf {
		t.Errorf("%s: %v %s", a.asked, err, a.body)
	}
	if a := w.suppose("/orgs/acme/what", recordsLocked, "subject", "user:bob", "type", "record", "from", w.recordedAt(13)); len(resultsOf(t, a)) != 2 {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	before := w.recordedAt(13)
	w.record(`role.revoke {"principal":"user:bob","role":"admin"}`)
	if a := w.suppose("/orgs/acme/diff", recordsLocked, "about", "record:record-1", "from", before); !strings.Contains(a.field("lost"), `"user:bob","action":"read","resource":"record:record-1","by":{"seq":14`) {
		t.Errorf("%s: %s", a.asked, a.body)
	}
	first := w.suppose("/orgs/acme/who", recordsLocked, append(who, "limit", "1")...)
	w.get("/orgs/acme/who", "page", first.text("next")).problem(400, "page_mismatch")
	if a := w.suppose("/orgs/acme/who", recordsLocked, "page", first.text("next")); a.field("complete") != "true" {
		t.Errorf("%s: %s", a.asked, a.body)
	}
}

func TestDuringBadInput(t *testing.T) {
	w := newScenario(t)
	from := w.recordedAt(12)
	who := []string{"action", "read", "resource", "record:record-1"}
	w.get("/orgs/acme/who", append(who, "until", from)...).problem(400, "missing_parameter")
	w.get("/orgs/acme/who", append(who, "from", from, "until", from)...).problem(400, "empty_interval")
	w.get("/orgs/acme/who", append(who, "from", from, "at", from)...).problem(400, "unknown_parameter")
	w.get("/orgs/acme/who", append(who, "from", "yesterday")...).problem(400, "bad_time")
	w.get("/orgs/acme/who", append(who, "from", from, "throughout", "maybe")...).problem(400, "bad_parameter")
	w.get("/orgs/acme/who", "action", "fly", "resource", "record:record-1", "from", from).problem(400, "unknown_action")
	w.get("/orgs/acme/who", "action", "read", "resource", "record:none", "from", from).problem(404, "unknown_account")
	w.get("/orgs/acme/what", "subject", "user:none", "from", from).problem(404, "unknown_account")
	w.get("/orgs/acme/diff").problem(400, "missing_parameter")
	w.get("/orgs/acme/diff", "from", from, "until", from).problem(400, "empty_interval")
	w.get("/orgs/acme/diff", "from", from, "at", from).problem(400, "bad_parameter")
	w.get("/orgs/acme/diff", "corrected", "true").problem(400, "missing_parameter")
	w.get("/orgs/acme/diff", "corrected", "true", "at", from, "from", from).problem(400, "bad_parameter")
	w.get("/orgs/acme/diff", "from", from, "about", "user:none").problem(404, "unknown_account")
}
