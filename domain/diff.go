package domain

// What differs between two states of a ledger: two moments, or one moment as known then and as known since. Everything
// that is said to differ was decided on both sides. It goes one way at a time, gained or lost, so that the answer about a
// whole organisation needs no more memory than one about one account.

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// A Difference is something that one subject may do to one resource on one side and not on the other.
type Difference struct {
	Subject  Account
	Action   Action
	Resource Resource
	// Except are the resources of the type that do not differ so; only for type:*, about the whole organisation.
	Except []Resource
	// By is the fact that made the difference: what stands on the side that allows it and not on the other, or what ended
	// or bars it there.
	By Reason
}

// A Diff is two sides compared, about one account or the whole organisation. It is for one goroutine.
type Diff struct {
	*comparison
	sides [2]Side
	about Account
	lost  bool
	yield func(Difference, error) bool
}

// NewDiff prepares to compare. About an account it is what the account may do, resource by resource, and what others may do
// to it and to what belongs to it. About "", the whole organisation, it is by subject, and what reaches all of a type
// stands as type:*. For that it looks at every fact once, and keeps note of whom the changed ones are about.
func NewDiff(before, after Side, about Account) (*Diff, error) {
	c, err := newComparison(before, after)
	if err != nil {
		return nil, err
	}
	d := &Diff{comparison: c, sides: [2]Side{before, after}, about: about}
	if about == "" {
		err = d.touch(d.changed())
	}
	return d, cmp.Or(err, d.err)
}

// Differences yields what is gained from before to after, or with lost what is lost.
func (d *Diff) Differences(lost bool) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		d.lost, d.yield = lost, yield
		if d.about == "" {
			d.everybody()
		} else if d.does(d.about) {
			d.undergoes(d.about)
		}
	}
}

func (d *Diff) fail(err error) bool {
	d.yield(Difference{}, err)
	return false
}

// offer yields the difference if it is one in the direction wanted; false ends it all.
func (d *Diff) offer(q Question, except []Resource, decide func(*Evaluator, Question) (Decision, error)) bool {
	was, err := decide(d.before, q)
	if err != nil {
		return d.fail(err)
	}
	is, err := decide(d.after, q)
	if err != nil {
		return d.fail(err)
	}
	if was.Allowed == is.Allowed || was.Allowed != d.lost {
		return true
	}
	by, err := d.cause(q, was, is)
	if err != nil {
		return d.fail(err)
	}
	return d.yield(Difference{q.Subject, q.Action, q.Resource, except, by}, nil)
}

func decideOne(ev *Evaluator, q Question) (Decision, error) { return ev.Evaluate(q) }

func decideWhole(ev *Evaluator, q Question) (Decision, error) {
	return ev.whole(q.Subject, q.Action, q.Resource)
}

// cause finds the fact that made the difference.
func (d *Diff) cause(q Question, was, is Decision) (Reason, error) {
	yes, no, there := is, was, d.before
	if was.Allowed {
		yes, no, there = was, is, d.after
	}
	if slices.ContainsFunc(no.Basis, func(r Reason) bool { return r.Want.Lack == LackResource }) {
		return d.existence(q.Resource)
	}
	for _, r := range no.Basis { // a lockout, something withheld, an account that is not open
		if r.State != Bars && r.Fact.Family != FamilyActive {
			continue
		}
		if was.Allowed {
			return r, nil
		}
		v, err := d.after.fact(r.Fact) // what had been lacking came, or what had barred went
		if iv, ok := v.At(d.after.at); ok || err != nil {
			return Reason{Fact: r.Fact, Interval: iv, State: Stands}, err
		}
		return d.after.miss(r.Fact, v, Want{}), nil
	}
	if yes.Catalogue != no.Catalogue { // unless a fact of the basis is lacking as well, the lines are what differs
		for _, r := range yes.Basis {
			v, err := there.fact(r.Fact)
			if err != nil {
				return Reason{}, err
			}
			if !v.Holds(there.at) {
				return d.told(r, v, was.Allowed), nil
			}
		}
		if by, err := d.adopted(is.Catalogue); err != nil || by.Seq() != 0 {
			return by, err
		}
	}
	var newest Reason
	for _, r := range yes.Basis {
		v, err := there.fact(r.Fact)
		if err != nil {
			return Reason{}, err
		}
		if told := d.told(r, v, was.Allowed); !v.Holds(there.at) && told.Seq() >= newest.Seq() {
			newest = told
		}
	}
	if newest.Seq() == 0 && len(no.Basis) > 0 { // the resource itself, a line's unless
		newest = no.Basis[len(no.Basis)-1]
	}
	if newest.Seq() == 0 && len(yes.Basis) > 0 {
		newest = yes.Basis[len(yes.Basis)-1]
	}
	return newest, nil
}

// existence is what brought the resource about, or took it away.
func (d *Diff) existence(res Resource) (Reason, error) {
	ev := d.after
	v, err := ev.fact(activeFact(Account(res)))
	if err != nil {
		return Reason{}, err
	}
	if len(v.Intervals) > 0 {
		return Reason{Fact: activeFact(Account(res)), Interval: v.Intervals[0], State: Stands}, nil
	}
	var by Reason
	for h, err := range ev.factsOf(FamilyResource, Account(res)) {
		if err != nil {
			return Reason{}, err
		}
		if iv, ok := h.Version.At(ev.at); ok {
			return Reason{Fact: h.Fact, Interval: iv, State: Stands}, nil
		}
		if gone := ev.miss(h.Fact, h.Version, Want{}); gone.Seq() > by.Seq() {
			by = gone
		}
	}
	return by, nil
}

// told is a fact of a yes as the later side has it: standing where it was gained, over where it was lost.
func (d *Diff) told(r Reason, there Version, lost bool) Reason {
	if !lost {
		return r
	}
	for _, iv := range there.Intervals { // never was, as is known by now
		if iv.Began == r.Interval.Began && iv.Empty() && max(iv.Corrected, iv.Ended) != 0 {
			return Reason{Fact: r.Fact, Interval: iv, State: Ended}
		}
	}
	return d.after.miss(r.Fact, there, Want{})
}

// adopted is the catalogue that came into force.
func (d *Diff) adopted(seq Seq) (Reason, error) {
	v, err := d.after.fact(catalogueFact())
	if err != nil {
		return Reason{}, err
	}
	for _, iv := range v.Intervals {
		if iv.Began == seq {
			return Reason{Fact: catalogueFact(), Interval: iv, State: Stands}, nil
		}
	}
	return Reason{}, nil
}

// does offers what the account itself may do.
func (d *Diff) does(a Account) bool {
	nextWas, stopWas := iter.Pull2(What(d.sides[0].R, a, "", "", d.sides[0].At, ""))
	defer stopWas()
	nextIs, stopIs := iter.Pull2(What(d.sides[1].R, a, "", "", d.sides[1].At, ""))
	defer stopIs()
	was, err1, okWas := nextWas()
	is, err2, okIs := nextIs()
	for okWas || okIs {
		if err := cmp.Or(err1, err2); err != nil {
			return d.fail(err)
		}
		var res Resource
		var actions []Action
		order := strings.Compare(string(was.Resource), string(is.Resource))
		if okWas && (!okIs || order <= 0) {
			res, actions = was.Resource, append(actions, was.Actions...)
		}
		if okIs && (!okWas || order >= 0) {
			res, actions = is.Resource, append(actions, is.Actions...)
		}
		slices.Sort(actions)
		for _, action := range slices.Compact(actions) {
			if !d.offer(Question{Subject: a, Action: action, Resource: res}, nil, decideOne) {
				return false
			}
		}
		if okWas && was.Resource == res {
			was, err1, okWas = nextWas()
		}
		if okIs && is.Resource == res {
			is, err2, okIs = nextIs()
		}
	}
	return true
}

// undergoes offers what others may do to the account, and to what belongs to it.
func (d *Diff) undergoes(a Account) bool {
	resources := map[Resource]struct{}{Resource(a): {}}
	var err error
	for _, ev := range d.both() {
		ev.each(ev.r.FactsOn(FamilyResource, a), &err, func(f Fact, _ Interval) { resources[Resource(f.Subject)] = struct{}{} })
	}
	if err != nil {
		return d.fail(err)
	}
	for _, res := range slices.Sorted(maps.Keys(resources)) {
		actions, err := d.actionsOn(res.Kind(), a)
		if err != nil {
			return d.fail(err)
		}
		for _, action := range actions {
			subjects := map[Account]struct{}{}
			for _, side := range d.sides {
				for answer, err := range Who(side.R, Question{Action: action, Resource: res}, side.At, "") {
					if err != nil {
						return d.fail(err)
					}
					subjects[answer.Subject] = struct{}{}
				}
			}
			delete(subjects, a) // does has said it
			for _, s := range slices.Sorted(maps.Keys(subjects)) {
				if !d.offer(Question{Subject: s, Action: action, Resource: res}, nil, decideOne) {
					return false
				}
			}
		}
	}
	return true
}

// actionsOn gives the actions that there are on a type: those of either side's catalogue, and those that somebody was
// given individually for all of it or for the account.
func (d *Diff) actionsOn(k Kind, a Account) (actions []Action, err error) {
	for _, ev := range d.both() {
		if ev.cat != nil {
			actions = append(actions, ev.cat.Actions(k)...)
		}
		for _, near := range [...]Account{KindRef(k), a} {
			ev.each(ev.r.FactsOn(FamilyException, near), &err, func(f Fact, _ Interval) {
				if on, action, _ := strings.Cut(f.Name, " "); Kind(on) == k {
					actions = append(actions, Action(action))
				}
			})
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions), err
}

// changed yields the facts that may be otherwise on one side than on the other: known in another version, or with a bound
// between the two moments.
func (d *Diff) changed() iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		if d.differs(catalogueFact()) && !yield(catalogueFact()) {
			return
		}
		for _, k := range d.types {
			families := []Family{FamilyResource}
			if d.account(k) {
				families = []Family{FamilyActive, FamilyLocked, FamilyRole, FamilyLink, FamilyMember, FamilyGrant, FamilyException, FamilyInvitation, FamilyCreated}
			}
			for _, side := range [...]Side{d.sides[1], d.sides[0]} {
				going := true
				everyNamed(side.R, k, &d.err, func(r Resource) {
					for _, family := range families {
						for h, err := range side.R.FactsOf(family, Account(r)) {
							if d.err = cmp.Or(d.err, err); d.err != nil || !going {
								return
							}
							if d.differs(h.Fact) {
								going = yield(h.Fact)
							}
						}
					}
				})
				if d.err != nil || !going {
					return
				}
				if d.sides[0].R.KnownAt() <= d.sides[1].R.KnownAt() { // which names all that the other does
					break
				}
			}
		}
	}
}

func (d *Diff) account(k Kind) bool {
	for _, ev := range d.both() {
		if ev.cat != nil {
			if _, ok := ev.cat.Kinds[k]; ok {
				return true
			}
		}
	}
	return false
}

// differs tells whether a fact may be otherwise on one side than on the other.
func (d *Diff) differs(f Fact) bool {
	var versions [2]Version
	for i, side := range d.sides {
		v, err := side.R.Fact(f)
		if d.err = cmp.Or(d.err, err); d.err != nil {
			return false
		}
		versions[i] = v
	}
	if versions[0].Seq != versions[1].Seq {
		return true
	}
	from, until := min(d.sides[0].At, d.sides[1].At), max(d.sides[0].At, d.sides[1].At)
	return slices.ContainsFunc(versions[0].Intervals, func(iv Interval) bool {
		return from < iv.From && iv.From <= until || from < iv.Until && iv.Until <= until
	})
}

// everybody offers what everybody whom a changed fact is about gains or loses.
func (d *Diff) everybody() {
	subjects := slices.AppendSeq(slices.Collect(maps.Keys(d.whole)), maps.Keys(d.some))
	slices.Sort(subjects)
	for _, s := range slices.Compact(subjects) {
		if !d.everything(s) {
			return
		}
	}
}

func (d *Diff) everything(s Account) bool {
	return d.effects(s, func(e Effect, err error) bool {
		if err != nil {
			return d.fail(err)
		}
		if e.Restated || e.Gained == d.lost {
			return true
		}
		decide := decideOne
		if e.Resource.ID() == "*" {
			decide = decideWhole
		}
		for _, a := range e.Actions {
			if !d.offer(Question{Subject: s, Action: a, Resource: e.Resource}, e.Except, decide) {
				return false
			}
		}
		return true
	})
}
