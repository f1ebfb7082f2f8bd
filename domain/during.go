package domain

// Who could at any time between two moments, and what could somebody do between them: exact half-open intervals, with what
// each rests on. A sweep: decide at a moment, keep note of every fact that the decision read, go on at the first moment
// at which one of them is another. So nothing can change between two moments that were decided, and there is no list of
// what might matter to keep in step with the rules; the cost is that of the history of what was read.

import (
	"iter"
	"maps"
	"slices"
)

// A History reads a ledger as known at its newest event that counts, and each fact as it was known before.
type History interface {
	Reader
	// Versions gives every version of the fact, oldest first.
	Versions(f Fact) iter.Seq2[Version, error]
	// SeqAt gives the newest event that was recorded at or before t; 0 where there was none.
	SeqAt(t Instant) (Seq, error)
}

// A Span is what a question about an interval is about: every moment of [From, Until), as known at Known, or, Known being
// 0, each as it was known then (what the ledger would have answered then).
type Span struct {
	From, Until Instant
	Known       Seq
}

// A Piece is a part of a span on which the answer and what it rests on are the same.
type Piece struct {
	From, Until Instant
	Basis       []Reason
}

// A Stretch is one unbroken time on which something was allowed; what it rested on may have changed meanwhile.
type Stretch struct {
	From, Until Instant
	Pieces      []Piece // in order, without gaps
}

// Basis is all that the stretch rests on, each once.
func (s Stretch) Basis() []Reason {
	var reach Reach
	for _, p := range s.Pieces {
		reach.add(p.Basis)
	}
	return reach.Basis
}

// A Sweep answers about one span. It remembers what it read, and is for one goroutine.
type Sweep struct {
	h        History
	span     Span
	versions map[Fact][]Version
	scans    map[scan][]Fact
	kept     int // versions remembered
}

// maxKept bounds how many versions a sweep remembers.
const maxKept = 1 << 18

// NewSweep prepares to answer about the span. Errors: Malformed for an empty one.
func NewSweep(h History, span Span) (*Sweep, error) {
	if span.From >= span.Until {
		return nil, Errorf(Malformed, "empty_interval", "from %s until %s: it must end after it begins", span.From, span.Until)
	}
	s := &Sweep{h: h, span: span}
	s.forget()
	return s, nil
}

func (s *Sweep) forget() {
	s.versions, s.scans, s.kept = map[Fact][]Version{}, map[scan][]Fact{}, 0
}

// Allowed gives the stretches on which the decision is a yes, clipped to the span.
func (s *Sweep) Allowed(q Question) ([]Stretch, error) {
	var all []Stretch
	for at := s.span.From; at < s.span.Until; {
		r, err := s.at(at)
		if err != nil {
			return nil, err
		}
		d, err := Evaluate(r, q, at)
		if err != nil {
			return nil, err
		}
		next, err := r.changes(at)
		if err != nil {
			return nil, err
		}
		next = min(next, s.span.Until)
		if d.Allowed {
			all = extend(all, Piece{at, next, d.Basis})
		}
		at = next
	}
	if s.kept > maxKept {
		s.forget()
	}
	return all, nil
}

// extend adds a piece to the stretch that it goes on, or begins another.
func extend(all []Stretch, p Piece) []Stretch {
	last := len(all) - 1
	if last < 0 || all[last].Until != p.From {
		return append(all, Stretch{p.From, p.Until, []Piece{p}})
	}
	st := &all[last]
	st.Until = p.Until
	if end := &st.Pieces[len(st.Pieces)-1]; slices.Equal(end.Basis, p.Basis) {
		end.Until = p.Until
	} else {
		st.Pieces = append(st.Pieces, p)
	}
	return all
}

// at gives the ledger as it counts at the moment.
func (s *Sweep) at(t Instant) (*pinned, error) {
	p := &pinned{s: s, known: s.span.Known, facts: map[Fact]struct{}{}, scanned: map[scan]struct{}{}}
	if p.known != 0 {
		return p, nil
	}
	var err error
	p.known, err = s.h.SeqAt(t)
	p.enforced = true
	return p, err
}

func (s *Sweep) versionsOf(f Fact) ([]Version, error) {
	if vs, ok := s.versions[f]; ok {
		return vs, nil
	}
	var vs []Version
	for v, err := range s.h.Versions(f) {
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	s.versions[f] = vs
	s.kept += len(vs) + 1
	return vs, nil
}

// near gives every fact of the scan that there ever was.
func (s *Sweep) near(sc scan) ([]Fact, error) {
	if facts, ok := s.scans[sc]; ok {
		return facts, nil
	}
	read := s.h.FactsOf
	if sc.onObject {
		read = s.h.FactsOn
	}
	var facts []Fact
	for h, err := range read(sc.family, sc.near) {
		if err != nil {
			return nil, err
		}
		facts = append(facts, h.Fact)
	}
	s.scans[sc] = facts
	s.kept += len(facts) + 1
	return facts, nil
}

// pinned is the ledger as known at one seq, and what was read of it.
type pinned struct {
	s        *Sweep
	known    Seq
	enforced bool // what is recorded later counts later
	facts    map[Fact]struct{}
	scanned  map[scan]struct{}
}

// KnownAt implements Reader.
func (p *pinned) KnownAt() Seq { return p.known }

// Fact implements Reader.
func (p *pinned) Fact(f Fact) (Version, error) {
	p.facts[f] = struct{}{}
	return p.version(f)
}

func (p *pinned) version(f Fact) (Version, error) {
	vs, err := p.s.versionsOf(f)
	if err != nil {
		return Version{}, err
	}
	if i := p.newest(vs); i >= 0 {
		return vs[i], nil
	}
	return Version{}, nil
}

// newest is the place of the version that is known; -1 where none is.
func (p *pinned) newest(vs []Version) int {
	i, found := slices.BinarySearchFunc(vs, p.known, func(v Version, known Seq) int {
		switch {
		case v.Seq < known:
			return -1
		case v.Seq > known:
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// FactsOf implements Reader.
func (p *pinned) FactsOf(family Family, subject Account) iter.Seq2[Held, error] {
	return p.scan(scan{family, subject, false})
}

// FactsOn implements Reader.
func (p *pinned) FactsOn(family Family, object Account) iter.Seq2[Held, error] {
	return p.scan(scan{family, object, true})
}

func (p *pinned) scan(sc scan) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		p.scanned[sc] = struct{}{}
		facts, err := p.s.near(sc)
		if err != nil {
			yield(Held{}, err)
			return
		}
		for _, f := range facts {
			v, err := p.version(f)
			if v.Seq == 0 && err == nil {
				continue
			}
			if !yield(Held{f, v}, err) || err != nil {
				return
			}
		}
	}
}

// Named implements Reader. No decision asks for it.
func (p *pinned) Named(kind Kind) iter.Seq2[Resource, error] { return p.s.h.Named(kind) }

// FactAt implements Reader. No decision asks for it.
func (p *pinned) FactAt(seq Seq) (Fact, bool, error) { return p.s.h.FactAt(seq) }

// Catalogue implements Reader.
func (p *pinned) Catalogue(seq Seq) (*Catalogue, error) { return p.s.h.Catalogue(seq) }

// changes gives the first moment after t at which something that was read is another: a fact begins or ends to hold by
// what is known, or something is recorded about it.
func (p *pinned) changes(t Instant) (Instant, error) {
	next := Forever
	look := func(f Fact) error {
		vs, err := p.s.versionsOf(f)
		if err != nil {
			return err
		}
		i := p.newest(vs)
		if p.enforced {
			for _, v := range vs[i+1:] {
				if v.Recorded > t {
					next = min(next, v.Recorded)
					break
				}
			}
		}
		if i < 0 {
			return nil
		}
		for _, iv := range vs[i].Intervals {
			for _, b := range [...]Instant{iv.From, iv.Until} {
				if b > t {
					next = min(next, b)
				}
			}
		}
		return nil
	}
	for f := range p.facts {
		if err := look(f); err != nil {
			return 0, err
		}
	}
	for sc := range p.scanned {
		facts, err := p.s.near(sc)
		if err != nil {
			return 0, err
		}
		for _, f := range facts {
			if err := look(f); err != nil {
				return 0, err
			}
		}
	}
	return next, nil
}

// Catalogues gives the role catalogues that were in force in the span.
func (s *Sweep) Catalogues() ([]*Catalogue, error) {
	v, err := s.h.Fact(catalogueFact())
	if err != nil {
		return nil, err
	}
	var cats []*Catalogue
	for _, iv := range v.Intervals {
		if iv.Empty() || iv.From >= s.span.Until || iv.Until <= s.span.From {
			continue
		}
		cat, err := s.h.Catalogue(iv.Began)
		if err != nil {
			return nil, err
		}
		cats = append(cats, cat)
	}
	return cats, nil
}

// proposers gives an evaluator for each catalogue of the span, which proposes whoever ever could be worth asking about.
func (s *Sweep) proposers() ([]*Evaluator, error) {
	cats, err := s.Catalogues()
	if err != nil {
		return nil, err
	}
	evs := make([]*Evaluator, len(cats))
	for i, cat := range cats {
		evs[i] = &Evaluator{r: s.h, at: s.span.From, cat: cat, memo: map[Fact]Version{}, ever: true}
	}
	return evs, nil
}

// During is when somebody could do what was asked about.
type During struct {
	Subject   Account
	Stretches []Stretch
}

// Who yields everyone who could do q's action to q's resource at some moment of the span, by name, from the account after
// the given one. q.Subject is ignored, but where it is "kind:*" only that kind is asked about.
func (s *Sweep) Who(q Question, after Account) iter.Seq2[During, error] {
	return func(yield func(During, error) bool) {
		evs, err := s.proposers()
		if err != nil {
			yield(During{}, err)
			return
		}
		candidates := map[Account]struct{}{}
		for _, ev := range evs {
			some, err := ev.proposeSubjects(q)
			if err != nil {
				yield(During{}, err)
				return
			}
			for _, a := range some {
				candidates[a] = struct{}{}
			}
		}
		for _, a := range slices.Sorted(maps.Keys(candidates)) {
			if a <= after || q.Subject != "" && a.Kind() != q.Subject.Kind() {
				continue
			}
			q := q
			q.Subject = a
			stretches, err := s.Allowed(q)
			if err != nil {
				yield(During{}, err)
				return
			}
			if len(stretches) > 0 && !yield(During{a, stretches}, nil) {
				return
			}
		}
	}
}

// A ReachDuring is what somebody could do to a resource, and when: one part for each time on which the actions are the
// same.
type ReachDuring struct {
	Resource Resource
	Parts    []ReachPart
}

// A ReachPart is a part of a span on which the same actions were allowed.
type ReachPart struct {
	From, Until Instant
	Actions     []Action // sorted
	Basis       []Reason // of all the actions, each once
}

// What yields everything that the subject could do at some moment of the span, by resource, from the resource after the
// given one. "" for action or kind asks for all.
func (s *Sweep) What(subject Account, action Action, kind Kind, after Resource) iter.Seq2[ReachDuring, error] {
	return func(yield func(ReachDuring, error) bool) {
		evs, err := s.proposers()
		if err != nil {
			yield(ReachDuring{}, err)
			return
		}
		var types []Kind
		for _, ev := range evs {
			types = append(types, ev.cat.Types()...)
		}
		slices.SortFunc(types, compareTypes)
		for _, k := range slices.Compact(types) {
			if kind != "" && k != kind {
				continue
			}
			if !s.whatOf(evs, subject, action, k, after, yield) {
				return
			}
		}
	}
}

func (s *Sweep) whatOf(evs []*Evaluator, subject Account, action Action, k Kind, after Resource, yield func(ReachDuring, error) bool) bool {
	candidates := map[Resource]map[Action]struct{}{}
	for _, ev := range evs {
		actions, err := ev.actionsOf(subject, k)
		if action != "" {
			actions = []Action{action}
		}
		if err != nil {
			return yield(ReachDuring{}, err) && false
		}
		some, err := ev.proposeResources(subject, k, actions)
		if err != nil {
			return yield(ReachDuring{}, err) && false
		}
		for _, r := range some {
			if candidates[r] == nil {
				candidates[r] = map[Action]struct{}{}
			}
			for _, a := range actions {
				candidates[r][a] = struct{}{}
			}
		}
	}
	var everywhere []ReachPart // what was allowed on type:* then need not be said again of one of them
	for _, r := range slices.Sorted(maps.Keys(candidates)) {
		var parts []ReachPart
		for _, a := range slices.Sorted(maps.Keys(candidates[r])) {
			stretches, err := s.Allowed(Question{Subject: subject, Action: a, Resource: r})
			if err != nil {
				return yield(ReachDuring{}, err) && false
			}
			for _, st := range stretches {
				for _, p := range st.Pieces {
					parts = append(parts, ReachPart{p.From, p.Until, []Action{a}, p.Basis})
				}
			}
		}
		parts = without(together(parts), everywhere)
		if r.ID() == "*" {
			everywhere = parts
		}
		if len(parts) > 0 && r > after && !yield(ReachDuring{r, parts}, nil) {
			return false
		}
	}
	return true
}

// together lays parts with one action each over one another: parts that do not overlap, each with all its actions.
func together(parts []ReachPart) []ReachPart {
	var bounds []Instant
	for _, p := range parts {
		bounds = append(bounds, p.From, p.Until)
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	var all []ReachPart
	for i := range max(len(bounds)-1, 0) {
		x := ReachPart{From: bounds[i], Until: bounds[i+1]}
		var reach Reach
		for _, p := range parts {
			if p.From <= x.From && x.Until <= p.Until {
				x.Actions = append(x.Actions, p.Actions...)
				reach.add(p.Basis)
			}
		}
		if len(x.Actions) == 0 {
			continue
		}
		x.Basis = reach.Basis
		slices.Sort(x.Actions)
		x.Actions = slices.Compact(x.Actions)
		if last := len(all) - 1; last >= 0 && all[last].Until == x.From && slices.Equal(all[last].Actions, x.Actions) {
			reach := Reach{Basis: all[last].Basis}
			reach.add(x.Basis)
			all[last].Until, all[last].Basis = x.Until, reach.Basis
			continue
		}
		all = append(all, x)
	}
	return all
}

// without leaves out of parts the actions that others allow at the same time.
func without(parts, others []ReachPart) []ReachPart {
	if len(others) == 0 {
		return parts
	}
	var left []ReachPart
	for _, p := range parts {
		bounds := []Instant{p.From, p.Until}
		for _, o := range others {
			for _, b := range [...]Instant{o.From, o.Until} {
				if p.From < b && b < p.Until {
					bounds = append(bounds, b)
				}
			}
		}
		slices.Sort(bounds)
		bounds = slices.Compact(bounds)
		for i := range len(bounds) - 1 {
			x := ReachPart{From: bounds[i], Until: bounds[i+1], Basis: p.Basis, Actions: slices.Clone(p.Actions)}
			for _, o := range others {
				if o.From <= x.From && x.Until <= o.Until {
					x.Actions = slices.DeleteFunc(x.Actions, func(a Action) bool { return slices.Contains(o.Actions, a) })
				}
			}
			if len(x.Actions) > 0 {
				left = append(left, x)
			}
		}
	}
	return left
}

// Throughout gives, of the parts of a reach, the actions that were allowed on all of the span: one part, or none.
func Throughout(parts []ReachPart, span Span) []ReachPart {
	var whole ReachPart
	at := span.From
	for i, p := range parts {
		if p.From != at {
			return nil
		}
		at = p.Until
		if i == 0 {
			whole.Actions = slices.Clone(p.Actions)
		}
		whole.Actions = slices.DeleteFunc(whole.Actions, func(a Action) bool { return !slices.Contains(p.Actions, a) })
		reach := Reach{Basis: whole.Basis}
		reach.add(p.Basis)
		whole.Basis = reach.Basis
	}
	if at != span.Until || len(whole.Actions) == 0 {
		return nil
	}
	whole.From, whole.Until = span.From, span.Until
	return []ReachPart{whole}
}
