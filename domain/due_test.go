package domain

// What is pending after a history: told by DueChanges, event by event.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// pending gives what is pending after each event of the ledger was told of, as "5 ends 10": at hour 5 what event 10 began.
func pending(m *memory) string {
	dues := map[Due]bool{}
	for _, e := range m.events {
		var changes []Change
		for f, versions := range m.versions {
			if i := slices.IndexFunc(versions, func(v Version) bool { return v.Seq == e.Seq }); i >= 0 {
				changes = append(changes, Change{f, versions[i].Intervals})
			}
		}
		told, err := DueChanges(m.asOf(e.Seq-1), e, changes)
		if err != nil {
			panic(err)
		}
		for _, c := range told {
			if delete(dues, c.Due); c.Pending {
				dues[c.Due] = true
			}
		}
	}
	var list []string
	for _, d := range slices.SortedFunc(maps.Keys(dues), Due.Compare) {
		verb := "begins"
		if d.Ended {
			verb = "ends"
		}
		list = append(list, fmt.Sprintf("%s %s %d", strings.TrimSuffix(hours(d.At), "h"), verb, d.Of))
	}
	return strings.Join(list, ", ")
}

func TestDues(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{
		{"without bounds", `@1 role.assigned principal=staff:anna role=therapist`, ""},
		{"until", `@1 role.assigned principal=staff:anna role=therapist until=@5`, "5 ends 10"},
		{"from and until", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@5`, "3 begins 10, 5 ends 10"},
		{"by time, then by seq", `@1 role.assigned principal=staff:anna role=therapist from=@5
			@1 role.assigned principal=staff:bob role=therapist from=@2 until=@5`, "2 begins 11, 5 begins 10, 5 ends 11"},
		{"from before it was recorded", `@3 role.assigned principal=staff:anna role=therapist from=@1 until=@5`, "5 ends 10"},
		{"over when it was recorded", `@3 role.assigned principal=staff:anna role=therapist from=@1 until=@2`, ""},
		{"over at the moment it was recorded", `@3 role.assigned principal=staff:anna role=therapist from=@1 until=@3`, ""},
		{"a link, a membership, a grant and an invitation", `@1 role.assigned principal=staff:anna role=therapist
			@1 caseload.linked principal=staff:anna client=client:x relation=therapist until=@5
			@1 team.joined team=team:night member=staff:anna from=@4
			@1 access.granted principal=staff:anna client=client:y profile=emergency until=@3 reason=why
			@1 guest.invited guest=guest:g call=call:1 until=@2`, "2 ends 14, 3 ends 13, 4 begins 12, 5 ends 11"},
		{"a guest let in has no end of its own", `@1 guest.invited guest=guest:g call=call:1 until=@2
			@1 guest.admitted guest=guest:g call=call:1`, "2 ends 10"},
		{"a call that ended", `@1 guest.invited guest=guest:g call=call:1 until=@3
			@2 call.ended call=call:1`, ""},

		{"revoked before its end", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
			@5 role.revoked principal=staff:anna role=therapist`, "3 begins 10"},
		{"revoked before it began", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
			@2 role.revoked principal=staff:anna role=therapist`, ""},
		{"corrected to later", `@1 role.assigned principal=staff:anna role=therapist until=@5
			@2 fact.corrected corrects=10 until=@9`, "9 ends 10"},
		{"corrected to what is past", `@1 role.assigned principal=staff:anna role=therapist until=@9
			@5 fact.corrected corrects=10 until=@3`, ""},
		{"corrected to begin later", `@1 role.assigned principal=staff:anna role=therapist
			@2 fact.corrected corrects=10 from=@5`, "5 begins 10"},
		{"corrected to have begun", `@1 role.assigned principal=staff:anna role=therapist from=@5
			@2 fact.corrected corrects=10 from=@1`, ""},
		{"voided", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
			@2 fact.corrected corrects=10 void=true`, ""},
		{"revoked, and by correction not until later", `@1 role.assigned principal=staff:anna role=therapist
			@2 role.revoked principal=staff:anna role=therapist
			@3 fact.corrected corrects=10 until=@9`, "9 ends 10"},
		{"the same, and revoked again", `@1 role.assigned principal=staff:anna role=therapist
			@2 role.revoked principal=staff:anna role=therapist
			@3 fact.corrected corrects=10 until=@9
			@4 role.revoked principal=staff:anna role=therapist`, ""},

		{"noticed", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
			@3 validity.started of=10`, "9 ends 10"},
		{"noticed late", `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
			@20 validity.started of=10
			@20 validity.ended of=10`, ""},
		{"noticed before it was so", `@1 role.assigned principal=staff:anna role=therapist until=@9
			@3 validity.ended of=10`, "9 ends 10"},
		{"noticed as another", `@1 role.assigned principal=staff:anna role=therapist until=@9
			@10 validity.started of=10`, "9 ends 10"},
		{"noticed, and corrected to later", `@1 role.assigned principal=staff:anna role=therapist until=@5
			@5 validity.ended of=10
			@6 fact.corrected corrects=10 until=@9`, "9 ends 10"},
		{"noticed, and held again", `@1 role.assigned principal=staff:anna role=therapist until=@5
			@5 validity.ended of=10
			@6 role.assigned principal=staff:anna role=therapist until=@8`, "8 ends 12"},
		{"not noticed in time, and held again", `@1 role.assigned principal=staff:anna role=therapist until=@5
			@6 role.assigned principal=staff:anna role=therapist until=@8`, "5 ends 10, 8 ends 11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := pending(ledger(t, begun, c.given)); got != c.want {
				t.Errorf("after %s\n got %q\nwant %q", c.given, got, c.want)
			}
		})
	}
}

// Noticing everything that is due leaves nothing pending, and who may what as it was.
func TestNoticeOf(t *testing.T) {
	m := ledger(t, begun, `@1 role.assigned principal=staff:anna role=therapist from=@3 until=@9
		@1 team.joined team=team:night member=staff:bob until=@5`)
	var got []string
	for _, d := range []Due{{hour(3), 10, false}, {hour(5), 11, true}, {hour(9), 10, true}} {
		e, err := NoticeOf(m.now(), d, hour(12), EventID(fmt.Sprintf("e%d", len(m.events)+1)))
		if err != nil {
			t.Fatalf("noticing %+v: %v", d, err)
		}
		if e.Actor != "ledger:clock" || e.Source != "clock" || e.RecordedAt != hour(12) || e.Reason != "" {
			t.Errorf("noticing %+v: got %s, want it by ledger:clock from clock, recorded then, with no reason", d, shown(e))
		}
		if err := m.record(e); err != nil {
			t.Fatalf("noticing %+v: fold: %v", d, err)
		}
		got = append(got, string(e.Type))
	}
	if want := "validity.started validity.ended validity.ended"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if left := pending(m); left != "" {
		t.Errorf("after noticing everything, pending: %s", left)
	}
	if _, err := NoticeOf(m.now(), Due{hour(3), 99, false}, hour(12), "e99"); !isFailure(err, Unknown) {
		t.Errorf("noticing what began nothing: got %v, want %s", err, Unknown)
	}
}
