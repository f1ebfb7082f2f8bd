package domain

// A draft is a ledger with events on top that are not recorded, or not yet: what a command would bring, and what the
// second event of a commit is judged by. It owns nothing but what lies on top; nothing of it is ever stored.

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// A Draft reads a ledger as it would be with the events that were applied to it. It is for one goroutine.
type Draft struct {
	below      Reader
	known      Seq
	facts      map[Fact]Version
	began      map[Seq]Fact
	catalogues map[Seq]*Catalogue
}

// NewDraft gives a draft on top of r, with nothing on it.
func NewDraft(r Reader) *Draft {
	return &Draft{below: r, known: r.KnownAt(), facts: map[Fact]Version{}, began: map[Seq]Fact{}, catalogues: map[Seq]*Catalogue{}}
}

// Apply puts e on top, as the event after the newest, whatever its Seq says. An error means that e can't follow, and
// leaves the draft as it was.
func (d *Draft) Apply(event *Event) error {
	next := *event
	e := &next
	e.Seq = d.known + 1
	changes, err := Fold(d, e)
	if err != nil {
		return err
	}
	if a, ok := e.Data.(*CatalogueAdoption); ok {
		if d.catalogues[e.Seq], err = ParseCatalogue([]byte(a.Document)); err != nil {
			return err
		}
	}
	d.known = e.Seq
	for _, c := range changes {
		d.facts[c.Fact] = Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: c.Intervals}
		if _, ok := d.began[e.Seq]; !ok && slices.ContainsFunc(c.Intervals, func(iv Interval) bool { return iv.Began == e.Seq }) {
			d.began[e.Seq] = c.Fact
		}
	}
	return nil
}

// Changed yields the facts that the draft says otherwise than the ledger below it.
func (d *Draft) Changed() iter.Seq[Fact] { return maps.Keys(d.facts) }

// KnownAt implements Reader.
func (d *Draft) KnownAt() Seq { return d.known }

// Fact implements Reader.
func (d *Draft) Fact(f Fact) (Version, error) {
	if v, ok := d.facts[f]; ok {
		return v, nil
	}
	return d.below.Fact(f)
}

// FactsOf implements Reader.
func (d *Draft) FactsOf(family Family, subject Account) iter.Seq2[Held, error] {
	return d.over(d.below.FactsOf(family, subject), func(f Fact) bool { return f.Family == family && f.Subject == subject })
}

// FactsOn implements Reader.
func (d *Draft) FactsOn(family Family, object Account) iter.Seq2[Held, error] {
	return d.over(d.below.FactsOn(family, object), func(f Fact) bool { return f.Family == family && f.Object == object })
}

// over yields the wanted facts of the draft and, of those below, the ones that it leaves as they are.
func (d *Draft) over(below iter.Seq2[Held, error], wanted func(Fact) bool) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		var mine []Fact
		for f := range d.facts {
			if wanted(f) {
				mine = append(mine, f)
			}
		}
		slices.SortFunc(mine, compareFacts)
		for _, f := range mine {
			if !yield(Held{f, d.facts[f]}, nil) {
				return
			}
		}
		for h, err := range below {
			if err == nil {
				if _, over := d.facts[h.Fact]; over {
					continue
				}
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

func compareFacts(a, b Fact) int {
	for _, c := range [...]int{
		int(a.Family) - int(b.Family), strings.Compare(string(a.Subject), string(b.Subject)),
		strings.Compare(string(a.Object), string(b.Object)), strings.Compare(a.Name, b.Name),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.ID, b.ID)
}

// Named implements Reader. What the draft names for the first time comes in its place among the others.
func (d *Draft) Named(kind Kind) iter.Seq2[Resource, error] {
	return func(yield func(Resource, error) bool) {
		mine := map[Resource]bool{}
		for f := range d.facts {
			if (f.Family == FamilyActive || f.Family == FamilyResource) && f.Subject.Kind() == kind {
				mine[Resource(f.Subject)] = true
			}
		}
		rest := slices.Sorted(maps.Keys(mine))
		for r, err := range d.below.Named(kind) {
			if err != nil {
				yield(r, err)
				return
			}
			for len(rest) > 0 && rest[0] <= r {
				if rest[0] < r && !yield(rest[0], nil) {
					return
				}
				rest = rest[1:]
			}
			if !yield(r, nil) {
				return
			}
		}
		for _, r := range rest {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// FactAt implements Reader.
func (d *Draft) FactAt(seq Seq) (Fact, bool, error) {
	if seq > d.below.KnownAt() {
		f, ok := d.began[seq]
		return f, ok, nil
	}
	return d.below.FactAt(seq)
}

// Catalogue implements Reader.
func (d *Draft) Catalogue(seq Seq) (*Catalogue, error) {
	if c, ok := d.catalogues[seq]; ok {
		return c, nil
	}
	return d.below.Catalogue(seq)
}
