package domain

// Steps, checked by the promise of the feed: folded from the first event on, or from a snapshot, they give at every event
// what the naive model decides at the moment of its recording, for everybody and everything that exists.

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// dues gives what was ever due in (after, upTo] as known before it was, in order, whether it still is so or not.
func (m *memory) dues(after, upTo Instant) iter.Seq2[Due, error] {
	ever := map[Due]bool{}
	for f, versions := range m.versions {
		for _, v := range versions {
			for _, d := range Dues(f, v) {
				if v.Recorded < d.At && after < d.At && d.At <= upTo {
					ever[d] = true
				}
			}
		}
	}
	return func(yield func(Due, error) bool) {
		for _, d := range slices.SortedFunc(maps.Keys(ever), Due.Compare) {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// step gives the step to the event at seq.
func (m *memory) stepTo(t tester, seq Seq) Step {
	t.Helper()
	e, since := m.events[seq-1], Instant(0)
	if seq > 1 {
		since = m.events[seq-2].RecordedAt
	}
	before := m.asOf(seq - 1)
	passed, err := Passed(before, m.dues(since, e.RecordedAt))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := Fold(before, e)
	if err != nil {
		t.Fatal(err)
	}
	s, err := StepOf(before, m.asOf(seq), e, changed, since, passed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A folded is what a follower knows: for a subject, an action and a resource or type:*, whether it is so, and since which
// change.
type folded map[[3]string]foldedChange

type foldedChange struct {
	gained bool
	nth    int
}

func (f folded) apply(e Effect) {
	count := f[[3]string{}] // of what was applied, under a name that nothing has
	for _, a := range e.Actions {
		count.nth++
		f[[3]string{string(e.Subject), string(a), string(e.Resource)}] = foldedChange{e.Gained, count.nth}
	}
	f[[3]string{}] = count
}

func (f folded) allows(q Question) bool {
	one := f[[3]string{string(q.Subject), string(q.Action), string(q.Resource)}]
	all := f[[3]string{string(q.Subject), string(q.Action), string(q.Resource.Kind()) + ":*"}]
	if one.nth > all.nth {
		return one.gained
	}
	return all.gained
}

// check compares what a follower knows with what the naive model decides as of an event.
func (f folded) check(t tester, m *memory, seq Seq, only func(Resource) bool, what string) {
	t.Helper()
	at := m.events[seq-1].RecordedAt
	ev, err := NewEvaluator(m.asOf(seq), at)
	if err != nil {
		t.Fatal(err)
	}
	model := newNaive(m.events, m.catalogues, at, seq)
	for _, r := range worldResources() {
		if there, err := ev.Existed(r); err != nil {
			t.Fatal(err)
		} else if !there || !only(r) {
			continue
		}
		for _, a := range worldActions[r.Kind()] {
			for _, s := range worldAccounts {
				q := Question{Subject: s, Action: a, Resource: r}
				if got, want := f.allows(q), r.ID() != "*" && model.allowed(q); r.ID() != "*" && got != want {
					t.Fatalf("%s, folded to event %d at %s: %+v is %t, want %t", what, seq, at, q, got, want)
				}
			}
		}
	}
}

func anyResource(Resource) bool { return true }

func TestStepsFoldToWhatIsDecidedAtEveryEvent(t *testing.T) {
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
		for range evenly(maxDrawn/2).Draw(rt, "lines") { // each is looked at whole after every event
			now += evenly(3).Draw(rt, "hours")
			if line := drawLine(rt, now, m.events); m.step(rt, line) == nil {
				lines = append(lines, line)
			}
		}
		whole := folded{}
		var later folded // begun with a snapshot on the way
		about := rapid.SampledFrom(worldResources()).Draw(rt, "about")
		resolved := folded{} // what is said about one resource alone
		begin := Seq(rapid.IntRange(1, len(m.events)).Draw(rt, "snapshot"))
		for seq := Seq(1); seq <= Seq(len(m.events)); seq++ {
			s := m.stepTo(rt, seq)
			at := m.events[seq-1].RecordedAt
			if s.Seq != seq || s.At != at {
				rt.Fatalf("step %d at %s: got %d at %s", seq, at, s.Seq, s.At)
			}
			before, since := Instant(0), Instant(0)
			if seq > 1 {
				since = m.events[seq-2].RecordedAt
				before = since
			}
			touched := map[Account]map[Action]bool{}
			for _, c := range s.Changes {
				if c.At < since || c.At > at || len(c.Actions) == 0 || c.Cause.Seq != seq ||
					(c.Cause.Of == 0) != (c.Cause.Type == m.events[seq-1].Type && c.Cause.Actor == m.events[seq-1].Actor && c.At == at) {
					rt.Fatalf("step %d at %s, after one at %s: change %+v", seq, at, since, c)
				}
				since = c.At
				whole.apply(c.Effect)
				if later != nil {
					later.apply(c.Effect)
				}
				if c.Resource == about || c.Resource == Resource(about.Kind()+":*") {
					if touched[c.Subject] == nil {
						touched[c.Subject] = map[Action]bool{}
					}
					for _, a := range c.Actions {
						touched[c.Subject][a] = true
					}
				}
			}
			resolver, err := NewResolver(Side{m.asOf(seq - 1), before}, Side{m.asOf(seq), at}, about)
			if err != nil {
				rt.Fatal(err)
			}
			for subject, actions := range touched {
				gained, lost, err := resolver.On(subject, slices.Sorted(maps.Keys(actions)))
				if err != nil {
					rt.Fatal(err)
				}
				for _, e := range []Effect{gained, lost} {
					for _, a := range e.Actions {
						if resolved.allows(Question{Subject: subject, Action: a, Resource: about}) == e.Gained {
							rt.Fatalf("event %d: %s gains %t %s on %s, and it was so before", seq, subject, e.Gained, a, about)
						}
					}
					resolved.apply(e)
				}
			}
			whole.check(rt, m, seq, anyResource, "all steps")
			resolved.check(rt, m, seq, func(r Resource) bool { return r == about }, "what is about "+string(about))
			if seq == begin {
				later = folded{}
				on := folded{}
				for e, err := range Snapshot(m.asOf(seq), at, "") {
					if err != nil {
						rt.Fatal(err)
					}
					later.apply(e)
				}
				for e, err := range SnapshotOn(m.asOf(seq), at, about, "") {
					if err != nil {
						rt.Fatal(err)
					}
					on.apply(e)
				}
				on.check(rt, m, seq, func(r Resource) bool { return r == about }, "the snapshot about "+string(about))
			}
			if later != nil {
				later.check(rt, m, seq, anyResource, "a snapshot and the steps after it")
			}
		}
	})
}

func TestStepSaysWhatItCameOf(t *testing.T) {
	m := ledger(t, worldBegin)
	first := Seq(len(m.events)) + 1
	for line := range strings.Lines(`@1 role.assigned principal=staff:a role=therapist until=@6
@1 caseload.linked principal=staff:a client=client:x relation=therapist until=@4
@1 caseload.linked principal=staff:a client=client:y relation=therapist
@3 account.locked principal=staff:b
@5 account.locked principal=client:y
@7 caseload.unlinked principal=staff:a client=client:y relation=therapist`) {
		if err := m.step(t, strings.TrimSpace(line)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for seq := first; seq <= Seq(len(m.events)); seq++ {
		for _, c := range m.stepTo(t, seq).Changes {
			if c.Subject == "staff:a" && !c.Gained {
				got = append(got, fmt.Sprintf("at %d, %s: %s loses %s by %s of %d", seq-first, hours(c.At), c.Subject, c.Resource, c.Cause.Type, c.Cause.Of))
			}
		}
	}
	want := []string{
		"at 4, 4h: staff:a loses client:x by validity.ended of 10", // shows from the event at 5 h on
		"at 5, 6h: staff:a loses client:* by validity.ended of 9",
		"at 5, 6h: staff:a loses client:y by validity.ended of 9", // the role goes before the link
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
