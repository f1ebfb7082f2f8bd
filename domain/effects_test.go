package domain

// Effects, checked by the promise that makes them a feed: what was so before, with the effects folded over it, is what is
// so after, for everybody and everything that exists; and nothing is said to change that does not.

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// changedBy gives the facts that events after before changed.
func (m *memory) changedBy(after Seq) iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		for f, versions := range m.versions {
			if slices.ContainsFunc(versions, func(v Version) bool { return v.Seq > after }) && !yield(f) {
				return
			}
		}
	}
}

// checkEffects compares the ledger as known at two seqs, at one moment.
func checkEffects(t tester, m *memory, was, is Seq, at Instant) {
	t.Helper()
	before, err := NewEvaluator(m.asOf(was), at)
	if err != nil {
		t.Fatal(err)
	}
	after, err := NewEvaluator(m.asOf(is), at)
	if err != nil {
		t.Fatal(err)
	}
	effects := map[Account][]Effect{}
	for e, err := range Effects(m.asOf(was), m.asOf(is), m.changedBy(was), at) {
		if err != nil {
			t.Fatal(err)
		}
		effects[e.Subject] = append(effects[e.Subject], e)
	}
	modelBefore, modelAfter := newNaive(m.events, m.catalogues, at, was), newNaive(m.events, m.catalogues, at, is)
	for _, r := range worldResources() {
		there, err := after.Existed(r)
		if err != nil {
			t.Fatal(err)
		}
		existed, err := before.Existed(r)
		if err != nil {
			t.Fatal(err)
		}
		if !there || r.ID() == "*" {
			continue
		}
		for _, a := range worldActions[r.Kind()] {
			for _, s := range worldAccounts {
				q := Question{Subject: s, Action: a, Resource: r}
				prior := existed && modelBefore.allowed(q)
				if !existed { // what there was to know of it is what was said of all of its type
					d, err := before.whole(s, a, Resource(r.Kind()+":*"))
					if err != nil {
						t.Fatal(err)
					}
					prior = d.Allowed
				}
				got, want := prior, modelAfter.allowed(q)
				for _, e := range effects[s] {
					if (e.Resource == r || e.Resource == Resource(r.Kind()+":*")) && slices.Contains(e.Actions, a) {
						got = e.Gained
					}
					if e.Resource == r && slices.Contains(e.Actions, a) && e.Restated != (prior == want) {
						t.Fatalf("%+v at %s, %d to %d: it was %t and is %t, and the effect says restated %t", q, at, was, is, prior, want, e.Restated)
					}
				}
				if got != want {
					t.Fatalf("%+v at %s, seq %d to %d: before %t, with the effects %+v it is %t, want %t", q, at, was, is, prior, effects[s], got, want)
				}
			}
		}
	}
	for s, list := range effects {
		for _, e := range list {
			if len(e.Actions) == 0 || !slices.IsSorted(e.Actions) || e.Gained == (e.ValidUntil == 0) {
				t.Fatalf("effect %+v on %s at %s, seq %d to %d: want sorted actions, and an end for what is gained alone", e, s, at, was, is)
			}
			if e.Resource.ID() != "*" {
				continue
			}
			for _, a := range e.Actions {
				x, err := before.whole(s, a, e.Resource)
				if err != nil {
					t.Fatal(err)
				}
				if x.Allowed == e.Gained {
					t.Fatalf("effect %+v at %s, seq %d to %d: %s was so before", e, at, was, is, a)
				}
			}
		}
	}
}

func TestEffectsFoldToWhatIsDecided(t *testing.T) {
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
			was := Seq(len(m.events))
			if m.step(rt, line) != nil {
				continue
			}
			lines = append(lines, line)
			if evenly(4).Draw(rt, "check") > 0 {
				continue
			}
			checkEffects(rt, m, was, Seq(len(m.events)), hour(now))
			checkEffects(rt, m, was, Seq(len(m.events)), hour(rapid.IntRange(0, now+6).Draw(rt, "at")))
			checkEffects(rt, m, Seq(rapid.IntRange(1, int(was)).Draw(rt, "since")), Seq(len(m.events)), hour(now))
		}
	})
}

func TestEffectsOfACatalogueReachOnlyWhomItsLinesAreAbout(t *testing.T) {
	m := ledger(t, worldBegin)
	was := Seq(len(m.events))
	if err := m.step(t, "@2 catalogue.adopted document=care by=staff:root"); err != nil {
		t.Fatal(err)
	}
	for e, err := range Effects(m.asOf(was), m.now(), m.changedBy(was), hour(2)) {
		t.Fatalf("the same catalogue again: got effect %+v (%v), want none", e, err)
	}
}

func TestDraftReadsAsTheLedgerWouldWithItsEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory()
		for line := range strings.Lines(strings.TrimSpace(worldBegin)) {
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		base, now := Seq(len(m.events)), 1
		for range evenly(30).Draw(rt, "below") {
			now += evenly(2).Draw(rt, "hours")
			if m.step(rt, drawLine(rt, now, m.events)) == nil && evenly(2).Draw(rt, "is below") == 0 {
				base = Seq(len(m.events))
			}
		}
		d := NewDraft(m.asOf(base))
		for _, e := range m.events[base:] {
			if err := d.Apply(e); err != nil {
				rt.Fatalf("event %d %s: %v", e.Seq, shown(e), err)
			}
		}
		if d.KnownAt() != Seq(len(m.events)) {
			rt.Fatalf("known at: got %d, want %d", d.KnownAt(), len(m.events))
		}
		for s := range Seq(len(m.events)) {
			got, gotOK, _ := d.FactAt(s + 1)
			if want, ok, _ := m.now().FactAt(s + 1); got != want || gotOK != ok {
				rt.Fatalf("fact at %d: got %+v %t, want %+v %t", s+1, got, gotOK, want, ok)
			}
		}
		for f := range m.versions {
			got, want := heldOf(d.FactsOf(f.Family, f.Subject)), heldOf(m.now().FactsOf(f.Family, f.Subject))
			if f.Object != "" {
				got = append(got, heldOf(d.FactsOn(f.Family, f.Object))...)
				want = append(want, heldOf(m.now().FactsOn(f.Family, f.Object))...)
			}
			if !slices.EqualFunc(got, want, func(a, b Held) bool {
				return a.Fact == b.Fact && slices.Equal(a.Version.Intervals, b.Version.Intervals)
			}) {
				rt.Fatalf("facts near %+v:\ngot  %+v\nwant %+v", f, got, want)
			}
		}
		for _, k := range []Kind{"staff", "client", "guest", "journal", "note"} {
			var got, want []Resource
			for r := range d.Named(k) {
				got = append(got, r)
			}
			for r := range m.now().Named(k) {
				want = append(want, r)
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("named %s: got %v, want %v", k, got, want)
			}
		}
	})
}

func heldOf(facts iter.Seq2[Held, error]) (all []Held) {
	for h := range facts {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b Held) int { return compareFacts(a.Fact, b.Fact) })
	return all
}

// An exception is of the actions that it is about, and not of all that are gained with them.
func TestEffectsExceptOnlyWhatIsExcepted(t *testing.T) {
	m := ledger(t, worldBegin, `
		@2 permission.withheld principal=staff:a on=client action=account.lock client=client:y
		@3 role.assigned principal=staff:a role=manager`)
	var excepted, whole []Action
	for e, err := range Effects(m.asOf(m.knownBy(hour(2))), m.now(), m.changedBy(m.knownBy(hour(2))), hour(3)) {
		switch {
		case err != nil:
			t.Fatal(err)
		case e.Resource == "client:*" && len(e.Except) > 0:
			excepted = append(excepted, e.Actions...)
		case e.Resource == "client:*":
			whole = append(whole, e.Actions...)
		}
	}
	if len(excepted) != 1 || excepted[0] != "account.lock" || !slices.Contains(whole, "account.open") {
		t.Errorf("but for client:y: got %v, for all: %v; want account.lock alone not to be for all", excepted, whole)
	}
}
