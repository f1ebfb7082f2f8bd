package domain

// What changes for everybody as a ledger goes on, event by event. A step is a pure function of what was known before the
// event, of the event, and of the moments that passed until it was recorded: whoever asks for it again, anywhere and at any
// time, gets the same, in the same order. Nothing here publishes anything.
//
// The state of a ledger at an event is what is decided at the moment of its recording by what was known from it on. So a
// step first moves the time on, by what was known before the event, from one moment at which a fact begins or runs out to the
// next; and then takes in the event. All that changes by the first is caused by those facts' own bounds, whatever event
// comes to be recorded after them: mostly it is the notice of one, which changes nothing by itself.

import (
	"iter"
	"slices"
	"strings"
)

// A Step is what one more event, and the time that had passed until it was recorded, changed for everybody.
type Step struct {
	Seq     Seq
	At      Instant // when the event was recorded
	Changes []AccessChange
}

// An AccessChange is an effect with the moment from which on it is so, and what it came of.
type AccessChange struct {
	Effect
	At    Instant
	Cause Cause
}

// A Cause is the event that a change came of; or, where Of is not 0, the moment at which what the event Of gave began to
// hold or ran out: then Type is that of the notice of it, and Seq the event from which on it shows, which is that notice
// unless something else was recorded first.
type Cause struct {
	Seq   Seq
	Type  EventType
	Actor Account
	Of    Seq
}

// A DueFact is a due and the fact that it is of.
type DueFact struct {
	Due
	Fact Fact
}

// Passed keeps of dues those that are so as r knows them, with their facts: an index of moments says what was due once,
// and a correction or a revocation may have changed it since.
func Passed(r Reader, dues iter.Seq2[Due, error]) ([]DueFact, error) {
	var passed []DueFact
	for d, err := range dues {
		if err != nil {
			return nil, err
		}
		f, ok, err := r.FactAt(d.Of)
		if err == nil && !ok {
			err = Errorf(Integrity, "no_fact", "what was due at %s: event %d began no fact", d.At, d.Of)
		}
		if err != nil {
			return nil, err
		}
		for _, f := range f.dated() {
			v, err := r.Fact(f)
			if err != nil {
				return nil, err
			}
			if slices.Contains(Dues(f, v), d) {
				passed = append(passed, DueFact{d, f})
			}
		}
	}
	return passed, nil
}

// StepOf says what e changes for everybody. before is the ledger as known at the event before it, after as known at e,
// changed the facts that e changes (Fold), since the moment at which the event before it was recorded, and passed what
// began or ran out after since and not after e was recorded (Passed, by before), in the order of Due.Compare.
func StepOf(before, after Reader, e *Event, changed []Change, since Instant, passed []DueFact) (Step, error) {
	s := Step{Seq: e.Seq, At: e.RecordedAt}
	for len(passed) > 0 {
		now := passed[0].At
		n := slices.IndexFunc(passed, func(d DueFact) bool { return d.At != now })
		if n < 0 {
			n = len(passed)
		}
		if err := s.pass(before, since, now, passed[:n]); err != nil {
			return Step{}, err
		}
		since, passed = now, passed[n:]
	}
	switch e.Data.(type) {
	case *ValidityStart, *ValidityEnd: // a notice makes nothing so: the moment that it is of did
		return s, nil
	}
	facts := func(yield func(Fact) bool) {
		for _, c := range changed {
			if !yield(c.Fact) {
				return
			}
		}
	}
	for effect, err := range Effects(before, after, facts, e.RecordedAt) {
		if err != nil {
			return Step{}, err
		}
		s.Changes = append(s.Changes, AccessChange{effect, e.RecordedAt, Cause{Seq: e.Seq, Type: e.Type, Actor: e.Actor}})
	}
	return s, nil
}

// pass moves the time on to the moment at which some facts begin or run out, by what r knows.
func (s *Step) pass(r Reader, since, now Instant, passed []DueFact) error {
	c, err := newComparison(Side{r, since}, Side{r, now})
	if err != nil {
		return err
	}
	// Each fact's own reach first, to know afterwards which of them a change came of: the first that bears on it.
	type own struct {
		reach *comparison
		due   Due
	}
	touching := make(map[Account][]own)
	for _, d := range passed {
		reach := &comparison{before: c.before, after: c.after, types: c.types, whole: map[Account]bool{}, some: map[Account]map[Resource]struct{}{}}
		if err := reach.touch(func(yield func(Fact) bool) { yield(d.Fact) }); err != nil {
			return err
		}
		for subject := range c.join(reach) {
			touching[subject] = append(touching[subject], own{reach, d.Due})
		}
	}
	for effect, err := range c.all() {
		if err != nil {
			return err
		}
		owns := touching[effect.Subject]
		d := owns[max(0, slices.IndexFunc(owns, func(o own) bool { return o.reach.bears(effect) }))].due
		s.Changes = append(s.Changes, AccessChange{effect, now, Cause{Seq: s.Seq, Type: d.Notice().Type(), Actor: ClockActor, Of: d.Of}})
	}
	return nil
}

// join adds what another comparison of the same two sides is about, and gives its subjects.
func (c *comparison) join(other *comparison) map[Account]struct{} {
	subjects := make(map[Account]struct{}, len(other.whole)+len(other.some))
	for s := range other.whole {
		c.whole[s] = true
		subjects[s] = struct{}{}
	}
	for s, resources := range other.some {
		for r := range resources {
			c.on(s, r)
		}
		subjects[s] = struct{}{}
	}
	return subjects
}

// bears tells whether what the comparison is about could make for the effect.
func (c *comparison) bears(e Effect) bool {
	_, near := c.some[e.Subject][e.Resource]
	return near || c.whole[e.Subject]
}

// Snapshot yields all that is permitted at the moment, as effects on nothing: folded over nothing they give what the
// decision says. Where only is given, of that subject alone. It is by subject, then by type.
func Snapshot(r Reader, at Instant, only Account) iter.Seq2[Effect, error] {
	return func(yield func(Effect, error) bool) {
		c, err := newComparison(Side{nothing{}, at}, Side{r, at})
		if err != nil {
			yield(Effect{}, err)
			return
		}
		if only != "" {
			c.whole[only] = true
		} else if c.everyone(nil); c.err != nil {
			yield(Effect{}, c.err)
			return
		}
		for e, err := range c.all() {
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// SnapshotOn is Snapshot of one resource, resolved for it: who may do what to it.
func SnapshotOn(r Reader, at Instant, res Resource, only Account) iter.Seq2[Effect, error] {
	return func(yield func(Effect, error) bool) {
		ev, err := NewEvaluator(r, at)
		if err != nil || ev.cat == nil {
			if err != nil {
				yield(Effect{}, err)
			}
			return
		}
		actions, err := ev.actionsOn(res)
		if err != nil {
			yield(Effect{}, err)
			return
		}
		effects := make(map[Account]*Effect)
		for _, a := range actions {
			candidates, err := ev.proposeSubjects(Question{Action: a, Resource: res})
			if err != nil {
				yield(Effect{}, err)
				return
			}
			for _, s := range candidates {
				if only != "" && s != only {
					continue
				}
				d, err := ev.on(s, a, res)
				if err != nil {
					yield(Effect{}, err)
					return
				}
				if !d.Allowed {
					continue
				}
				e := effects[s]
				if e == nil {
					e = &Effect{Gained: true, Subject: s, Resource: res, ValidUntil: Forever}
					effects[s] = e
				}
				e.Actions = append(e.Actions, a)
				e.ValidUntil = min(e.ValidUntil, d.ValidUntil)
			}
		}
		for _, s := range sortedKeys(effects) {
			if !yield(*effects[s], nil) {
				return
			}
		}
	}
}

// actionsOn gives the actions that anybody might do to the resource: those of the catalogue, and those that were given to
// somebody individually.
func (ev *Evaluator) actionsOn(res Resource) ([]Action, error) {
	client, k := Account(res), res.Kind()
	if _, account := ev.cat.Kinds[k]; !account {
		registered, _, _, err := ev.registered(res)
		if err != nil {
			return nil, err
		}
		client = registered.Fact.Object
	}
	actions := ev.cat.Actions(k)
	var err error
	for _, near := range [...]Account{KindRef(k), client} {
		if near == "" {
			continue
		}
		ev.each(ev.factsOn(FamilyException, near), &err, func(f Fact, iv Interval) {
			if on, action, _ := strings.Cut(f.Name, " "); Kind(on) == k && iv.Detail == Added {
				actions = append(actions, Action(action))
			}
		})
	}
	slices.Sort(actions)
	return slices.Compact(actions), err
}

// A Resolver says what a subject gains and loses on one resource, where what is known to have changed is said of all of its
// type. It is for one goroutine.
type Resolver struct {
	c   *comparison
	res Resource
}

// NewResolver compares two states of a ledger for one resource. What did not exist yet is decided as what nothing is known
// of: as type:* is.
func NewResolver(before, after Side, res Resource) (*Resolver, error) {
	c, err := newComparison(before, after)
	return &Resolver{c, res}, err
}

// On gives what the subject gains and loses of the actions, in their order; without any action where nothing.
func (r *Resolver) On(subject Account, actions []Action) (gained, lost Effect, err error) {
	gained = Effect{Gained: true, Subject: subject, Resource: r.res, ValidUntil: Forever}
	lost = Effect{Subject: subject, Resource: r.res}
	for _, a := range actions {
		was, err := r.c.before.on(subject, a, r.res)
		if err != nil {
			return gained, lost, err
		}
		is, err := r.c.after.on(subject, a, r.res)
		if err != nil {
			return gained, lost, err
		}
		switch {
		case is.Allowed && !was.Allowed:
			gained.Actions = append(gained.Actions, a)
			gained.ValidUntil = min(gained.ValidUntil, is.ValidUntil)
		case was.Allowed && !is.Allowed:
			lost.Actions = append(lost.Actions, a)
		}
	}
	return gained, lost, nil
}

// on decides about one resource, or about what nothing is known of where it does not exist.
func (ev *Evaluator) on(s Account, a Action, res Resource) (Decision, error) {
	if res.ID() != "*" {
		existed, err := ev.Existed(res)
		if err != nil {
			return Decision{}, err
		}
		if existed {
			return ev.Evaluate(Question{Subject: s, Action: a, Resource: res})
		}
	}
	return ev.whole(s, a, Resource(string(res.Kind())+":*"))
}

// nothing is a ledger before its first event.
type nothing struct{}

func (nothing) KnownAt() Seq               { return 0 }
func (nothing) Fact(Fact) (Version, error) { return Version{}, nil }
func (nothing) FactsOf(Family, Account) iter.Seq2[Held, error] {
	return func(func(Held, error) bool) {}
}
func (nothing) FactsOn(Family, Account) iter.Seq2[Held, error] {
	return func(func(Held, error) bool) {}
}
func (nothing) Named(Kind) iter.Seq2[Resource, error] { return func(func(Resource, error) bool) {} }
func (nothing) FactAt(Seq) (Fact, bool, error)        { return Fact{}, false, nil }
func (nothing) Catalogue(seq Seq) (*Catalogue, error) {
	return nil, Errorf(Integrity, "no_catalogue", "the event at seq %d adopted no catalogue", seq)
}
