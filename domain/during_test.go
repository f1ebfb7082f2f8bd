package domain

// Sweeps, checked against the naive model at every hour of the span: in the tests' world nothing happens between two hours.

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Versions and SeqAt make a History of a memory's view.

func (v view) Versions(f Fact) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		for _, version := range v.m.versions[f] {
			if version.Seq <= v.s && !yield(version, nil) {
				return
			}
		}
	}
}

func (v view) SeqAt(t Instant) (Seq, error) { return min(v.m.knownBy(t), v.s), nil }

// checkSpan holds everyone's and everything's intervals in [from, until) hours against the model; known 0 asks for the
// enforced answers.
func checkSpan(t tester, m *memory, from, until int, known Seq) {
	t.Helper()
	head := known
	if known == 0 {
		head = Seq(len(m.events))
	}
	sweep, err := NewSweep(m.asOf(head).(view), Span{hour(from), hour(until), known})
	if err != nil {
		t.Fatal(err)
	}
	models := make([]*naive, until-from)
	for i := range models {
		at := hour(from + i)
		s := known
		if known == 0 {
			s = m.knownBy(at)
		}
		models[i] = newNaive(m.events, m.catalogues, at, s)
	}
	reach := map[Account]map[Resource][]string{} // by hour, the actions
	for _, r := range worldResources() {
		for _, a := range worldActions[r.Kind()] {
			q := Question{Action: a, Resource: r}
			got := map[Account][]Stretch{}
			var order []Account
			for d, err := range sweep.Who(q, "") {
				if err != nil {
					t.Fatal(err)
				}
				got[d.Subject], order = d.Stretches, append(order, d.Subject)
			}
			if !slices.IsSorted(order) {
				t.Fatalf("%+v: got %v, want them sorted", q, order)
			}
			for _, q.Subject = range worldAccounts {
				var want []Stretch
				for i, model := range models {
					if !model.allowed(q) {
						continue
					}
					want = extend(want, Piece{From: hour(from + i), Until: hour(from + i + 1)})
					if reach[q.Subject] == nil {
						reach[q.Subject] = map[Resource][]string{}
					}
					if reach[q.Subject][r] == nil {
						reach[q.Subject][r] = make([]string, until-from)
					}
					reach[q.Subject][r][i] += " " + string(a)
				}
				if !slices.EqualFunc(got[q.Subject], want, func(a, b Stretch) bool { return a.From == b.From && a.Until == b.Until }) {
					t.Fatalf("%+v from @%d until @%d known at %d:\ngot  %+v\nwant %+v", q, from, until, known, got[q.Subject], want)
				}
				for _, st := range got[q.Subject] {
					at := st.From
					for _, p := range st.Pieces {
						if p.From != at || p.Until <= p.From || len(p.Basis) == 0 {
							t.Fatalf("%+v: got pieces %+v, want them to fill the stretch, each on some basis", q, st.Pieces)
						}
						at = p.Until
					}
					if at != st.Until {
						t.Fatalf("%+v: got pieces %+v, want them to fill the stretch", q, st.Pieces)
					}
				}
			}
		}
	}
	for _, subject := range worldAccounts {
		got := map[Resource][]ReachPart{}
		for d, err := range sweep.What(subject, "", "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got[d.Resource] = d.Parts
		}
		for _, r := range worldResources() {
			if _, listed := got[r]; !listed && r == "platform:main" { // platform:* says it
				continue
			}
			for i := range until - from {
				at := hour(from + i)
				var may []string
				for _, p := range got[r] {
					for _, o := range got[Resource(r.Kind()+":*")] {
						if r.ID() != "*" && p.From <= at && at < p.Until && o.From <= at && at < o.Until && slices.ContainsFunc(p.Actions, func(a Action) bool { return slices.Contains(o.Actions, a) }) {
							t.Fatalf("what may %s do to %s at @%d: %v, which %s:* says already: %v", subject, r, from+i, p.Actions, r.Kind(), o.Actions)
						}
					}
				}
				for _, list := range [...]Resource{r, Resource(r.Kind() + ":*")} {
					for _, p := range got[list] {
						if p.From <= at && at < p.Until {
							for _, a := range p.Actions {
								if slices.Contains(worldActions[r.Kind()], a) {
									may = append(may, string(a))
								}
							}
						}
					}
				}
				slices.Sort(may)
				var want []string
				if reach[subject][r] != nil {
					want = strings.Fields(reach[subject][r][i])
				}
				slices.Sort(want)
				if !slices.Equal(slices.Compact(may), want) {
					t.Fatalf("what may %s do to %s at @%d known at %d: got %v, want %v", subject, r, from+i, known, may, want)
				}
			}
		}
	}
}

func TestRandomSpansAgainstTheNaiveModel(t *testing.T) {
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
		from := rapid.IntRange(-1, now).Draw(rt, "from")
		until := from + 1 + evenly(8).Draw(rt, "long")
		checkSpan(rt, m, from, until, 0)
		checkSpan(rt, m, from, until, Seq(rapid.IntRange(1, len(m.events)).Draw(rt, "known")))
	})
}
