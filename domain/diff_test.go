package domain

// Diffs, checked against the naive model on both sides: nothing that differs is left out, nothing that does not is said, and
// each difference names an event.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// diffs collects both directions: "+" gained, "-" lost.
func diffs(t tester, before, after Side, about Account) map[string]Difference {
	t.Helper()
	got := map[string]Difference{}
	diff, err := NewDiff(before, after, about)
	if err != nil {
		t.Fatal(err)
	}
	for sign, lost := range map[string]bool{"+": false, "-": true} {
		for d, err := range diff.Differences(lost) {
			if err != nil {
				t.Fatal(err)
			}
			k := fmt.Sprintf("%s%s %s %s", sign, d.Subject, d.Action, d.Resource)
			if _, twice := got[k]; twice {
				t.Fatalf("diff about %s says %s twice", about, k)
			}
			if d.By.Seq() == 0 && d.By.State != Missing {
				t.Fatalf("diff about %s: %s names no event: %+v", about, k, d.By)
			}
			got[k] = d
		}
	}
	return got
}

func checkDiff(t tester, m *memory, at [2]Instant, known [2]Seq) {
	t.Helper()
	sides := [2]Side{{m.asOf(known[0]), at[0]}, {m.asOf(known[1]), at[1]}}
	var models [2]*naive
	var evs [2]*Evaluator
	for i := range sides {
		models[i] = newNaive(m.events, m.catalogues, at[i], known[i])
		var err error
		if evs[i], err = NewEvaluator(sides[i].R, at[i]); err != nil {
			t.Fatal(err)
		}
	}
	everything := diffs(t, sides[0], sides[1], "")
	about := map[Account]map[string]Difference{}
	for _, a := range worldAccounts {
		about[a] = diffs(t, sides[0], sides[1], a)
	}
	want := map[Account]map[string]bool{}
	for _, r := range worldResources() {
		existed, err := evs[0].Existed(r)
		if err != nil {
			t.Fatal(err)
		}
		exists, err := evs[1].Existed(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range worldActions[r.Kind()] {
			for _, s := range worldAccounts {
				q := Question{Subject: s, Action: a, Resource: r}
				was, is := models[0].allowed(q), models[1].allowed(q)
				if was != is {
					sign := map[bool]string{true: "+", false: "-"}[is]
					k := fmt.Sprintf("%s%s %s %s", sign, s, a, r)
					for _, x := range concerned(models, s, r) {
						if want[x] == nil {
							want[x] = map[string]bool{}
						}
						want[x][k] = true
					}
				}
				if !exists || r.ID() == "*" {
					continue
				}
				// About the organisation, type:* stands for all of it that exists.
				all := Resource(r.Kind() + ":*")
				got := was
				if !existed {
					d, err := evs[0].whole(s, a, all)
					if err != nil {
						t.Fatal(err)
					}
					if got = d.Allowed; got && !is {
						continue // an exception to what is so of all of the type, and never was otherwise: nothing was lost
					}
				}
				for sign, gained := range map[string]bool{"+": true, "-": false} {
					if d, ok := everything[fmt.Sprintf("%s%s %s %s", sign, s, a, all)]; ok && !slices.Contains(d.Except, r) {
						got = gained
					}
				}
				for sign, gained := range map[string]bool{"+": true, "-": false} {
					if _, ok := everything[fmt.Sprintf("%s%s %s %s", sign, s, a, r)]; ok {
						got = gained
					}
				}
				if got != is {
					t.Fatalf("diff of everything, %+v from %s (%d) to %s (%d): it was %t and is %t, the diff makes it %t: %+v", q, at[0], known[0], at[1], known[1], was, is, got, everything)
				}
			}
		}
	}
	for _, a := range worldAccounts {
		for k := range want[a] {
			if strings.HasSuffix(k, "platform:main") || strings.HasSuffix(k, "call:1") || strings.HasSuffix(k, "call:2") {
				if _, ok := about[a][k[:strings.LastIndexByte(k, ':')]+":*"]; ok { // said of all of the type
					continue
				}
			}
			if _, ok := about[a][k]; !ok {
				t.Fatalf("diff about %s from %s (%d) to %s (%d): lacks %s, has %v", a, at[0], known[0], at[1], known[1], k, about[a])
			}
		}
		for k, d := range about[a] {
			if slices.Contains(worldActions[d.Resource.Kind()], d.Action) && slices.Contains(worldResources(), d.Resource) && !want[a][k] {
				t.Fatalf("diff about %s from %s (%d) to %s (%d): says %s, which does not differ", a, at[0], known[0], at[1], known[1], k)
			}
		}
	}
}

// concerned gives the accounts that a difference is about: who may, to whom, and whose it is.
func concerned(models [2]*naive, s Account, r Resource) []Account {
	all := []Account{s}
	if slices.Contains(worldAccounts, Account(r)) {
		all = append(all, Account(r))
	}
	for _, m := range models {
		if client, _, registered := m.belongs(r); registered {
			all = append(all, client)
		}
	}
	return all
}

func TestRandomDiffsAgainstTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, lines := newMemory(), []string{}
		for line := range strings.Lines(strings.TrimSpace(worldBegin)) {
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		defer func() {
			if rt.Failed() {
				rt.Logf("the history:\n%s\n%s", strings.TrimSpace(worldBegin), strings.Join(lines, "\n"))
			}
		}()
		now := 1
		for range evenly(maxDrawn).Draw(rt, "lines") {
			now += evenly(2).Draw(rt, "hours")
			line := drawLine(rt, now, m.events)
			if m.step(rt, line) == nil {
				lines = append(lines, line)
			}
		}
		from := rapid.IntRange(0, now).Draw(rt, "from")
		at := [2]Instant{hour(from), hour(rapid.IntRange(from, now+4).Draw(rt, "until"))}
		checkDiff(rt, m, at, [2]Seq{m.knownBy(at[0]), m.knownBy(at[1])})
		checkDiff(rt, m, [2]Instant{at[0], at[0]}, [2]Seq{m.knownBy(at[0]), Seq(len(m.events))}) // enforced and corrected
	})
}

func TestDiffNamesTheEventThatDidIt(t *testing.T) {
	for _, c := range []struct{ name, events, about, want string }{
		{"a link", "@5 caseload.linked principal=staff:a client=client:y relation=therapist", "client:y", `
			+client:y message staff:a 11
			+staff:a edit client:y 11
			+staff:a view client:y 11`},
		{"an unlink", "@5 caseload.unlinked principal=staff:a client=client:x relation=therapist", "staff:a", `
			-client:x message staff:a 11
			-staff:a edit client:x 11
			-staff:a view client:x 11`},
		{"a lockout, whatever stands", "@5 account.locked principal=staff:a", "client:x", `
			-staff:a access.grant client:x 11
			-staff:a account.open client:x 11
			-staff:a edit client:x 11
			-staff:a view client:x 11`},
		{"an end by itself", "@3 role.assigned principal=staff:b role=full until=@5\n@3 caseload.linked principal=staff:b client=client:y relation=reader", "client:y", `
			-staff:b view client:y 11`},
		{"of two that are lacking, the newer", "@5 role.revoked principal=staff:a role=therapist\n@6 caseload.unlinked principal=staff:a client=client:x relation=therapist", "client:x", `
			-client:x message staff:a 12
			-staff:a access.grant client:x 11
			-staff:a account.open client:x 11
			-staff:a edit client:x 12
			-staff:a view client:x 12`},
		{"another catalogue", "@3 account.opened account=friend:f\n@5 catalogue.adopted document=care-later", "staff:root", ""},
		{"an account", "@5 account.opened account=friend:f", "friend:f", `
			+friend:f read platform:* 11
			+staff:root account.deactivate friend:f 11
			+staff:root account.lock friend:f 11
			+staff:root account.open friend:f 11
			+staff:root account.reactivate friend:f 11
			+staff:root account.unlock friend:f 11
			+staff:root fact.correct friend:f 11
			+staff:root permission.add friend:f 11
			+staff:root permission.restore friend:f 11
			+staff:root permission.withhold friend:f 11
			+staff:root role.assign friend:f 11
			+staff:root role.revoke friend:f 11
			+staff:root subject.erase friend:f 11`},
		{"the end of a lockout", "@3 account.locked principal=staff:a\n@5 account.unlocked principal=staff:a", "client:x", `
			+staff:a access.grant client:x 12
			+staff:a account.open client:x 12
			+staff:a edit client:x 12
			+staff:a view client:x 12`},
		{"withheld", "@5 permission.withheld principal=staff:a on=client action=edit", "client:x", `
			-staff:a edit client:x 11`},
		{"the whole organisation", "@5 role.assigned principal=staff:b role=full\n@6 role.assigned principal=staff:b role=senior\n@6 permission.withheld principal=staff:b on=client action=count client=client:y", "", `
			+staff:b configure platform:* 12
			+staff:b count client:* 12 except [client:y]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger(t, previewWorld, c.events)
			got := diffs(t, Side{m.asOf(m.knownBy(hour(4))), hour(4)}, Side{m.now(), hour(8)}, Account(c.about))
			var lines []string
			for k, d := range got {
				line := fmt.Sprintf("%s %d", k, d.By.Seq())
				if len(d.Except) > 0 {
					line += fmt.Sprintf(" except %v", d.Except)
				}
				lines = append(lines, line)
			}
			slices.Sort(lines)
			want := strings.Split(strings.ReplaceAll(strings.TrimSpace(c.want), "\t", ""), "\n")
			if c.name == "another catalogue" {
				for k, d := range got {
					if d.By.Seq() != 12 || d.By.Type() != CatalogueAdopted {
						t.Errorf("%s by %+v, want it by the adoption, 12", k, d.By)
					}
				}
				if len(got) == 0 {
					t.Error("got no difference, want some")
				}
				return
			}
			if !slices.Equal(lines, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
