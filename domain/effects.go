package domain

// Who gains and who loses what by a change: the facts that changed propose whom and what is touched, and the one
// decision is asked before and after. What is touched may be too much, never too little. It changes nothing and knows of
// no commands: previews, and whoever else asks what a change comes to, hand it two readers.
//
// Most of what a role gives, it gives for every resource of a type. So a change names "type:*" where it is about all of
// a type, and costs one decision however many there are; resources near the subject (linked, granted, its own, excepted,
// …), on which the decision may differ from that, are decided one by one. Near means that some fact which holds names
// both; on whatever is not near, the decision is that on type:*, because nothing else of a resource is looked at.

import (
	"cmp"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// An Effect is what one subject gains or loses on one resource, or on "type:*" for all of a type.
//
// Folding effects in their order (for a subject, action and resource the newest counts that names the resource or its
// type:*) gives what the decision says after the change, for all that exists. So an effect on type:* is followed by the
// exceptions to it that remain.
type Effect struct {
	Gained   bool
	Subject  Account
	Resource Resource
	Actions  []Action // sorted
	// Except are the resources of the type on which the actions are decided otherwise; only for type:*.
	Except []Resource
	// Restated: it was so before. It is an exception to the effect on type:* before it, which would say otherwise.
	Restated bool
	// ValidUntil is, of what is gained, the earliest moment at which by what is known some of it could end by itself.
	ValidUntil Instant
}

// Effects yields what differs at the moment between two readers of one ledger, which differ in the changed facts: by
// subject, then by type, type:* first.
func Effects(before, after Reader, changed iter.Seq[Fact], at Instant) iter.Seq2[Effect, error] {
	return func(yield func(Effect, error) bool) {
		c, err := newComparison(Side{before, at}, Side{after, at})
		if err == nil {
			err = c.touch(changed)
		}
		if err != nil {
			yield(Effect{}, err)
			return
		}
		for e, err := range c.all() {
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// A Side is one of two states of a ledger that are compared: as known by R, at the moment At.
type Side struct {
	R  Reader
	At Instant
}

// A comparison is two evaluators, and what is to be asked of both.
type comparison struct {
	before, after *Evaluator
	types         []Kind
	lines         map[lineKey]bool                  // the (type, action) pairs to ask about; nil: all
	whole         map[Account]bool                  // all that these may do
	some          map[Account]map[Resource]struct{} // only what these may do to some resources
	relations     map[Relation]bool                 // of the links that changed, where nothing else did; nil: more did
	err           error
}

func newComparison(before, after Side) (*comparison, error) {
	c := &comparison{whole: map[Account]bool{}, some: map[Account]map[Resource]struct{}{}}
	var err error
	if c.before, err = NewEvaluator(before.R, before.At); err != nil {
		return nil, err
	}
	if c.after, err = NewEvaluator(after.R, after.At); err != nil {
		return nil, err
	}
	for _, ev := range c.both() {
		if ev.cat != nil {
			c.types = append(c.types, ev.cat.Types()...)
		}
	}
	slices.Sort(c.types)
	c.types = slices.Compact(c.types)
	return c, nil
}

func (c *comparison) both() [2]*Evaluator { return [2]*Evaluator{c.before, c.after} }

// touch notes whom and what the changed facts bear on.
func (c *comparison) touch(changed iter.Seq[Fact]) error {
	others, links := false, map[Relation]bool{}
	for f := range changed {
		others = others || f.Family != FamilyCatalogue
		if f.Family != FamilyLink {
			links = nil
		} else if links != nil {
			links[Relation(f.Name)] = true
		}
		switch f.Family {
		case FamilyActive, FamilyLocked, FamilyRole, FamilyException:
			c.whole[f.Subject] = true
		case FamilyLink:
			c.group(f.Subject, func(a Account) {
				c.near(a, f.Object)
				c.on(f.Object, Resource(a)) // linked_by
			})
		case FamilyMember:
			c.whole[f.Subject] = true
			c.team(f.Object, f.Subject)
		case FamilyGrant:
			c.near(f.Subject, f.Object)
		case FamilyResource:
			c.belonging(Resource(f.Subject), f.Object)
		case FamilyCreated, FamilyInvitation:
			c.on(f.Subject, Resource(f.Object))
		case FamilyCatalogue:
			c.catalogue()
		}
		if c.err != nil {
			return c.err
		}
	}
	if others { // their subjects' whole reach is to be asked about
		c.lines = nil
	}
	c.relations = links
	return nil
}

// on notes that what the subject may do to the resource is touched.
func (c *comparison) on(subject Account, res Resource) {
	if c.some[subject] == nil {
		c.some[subject] = map[Resource]struct{}{}
	}
	c.some[subject][res] = struct{}{}
}

// near notes that what the subject may do to a client, and to all that belongs to it, is touched.
func (c *comparison) near(subject, client Account) {
	c.on(subject, Resource(client))
	for _, ev := range c.both() {
		ev.each(ev.r.FactsOn(FamilyResource, client), &c.err, func(f Fact, _ Interval) { c.on(subject, Resource(f.Subject)) })
	}
}

// group calls do for the account and, where it is a group, for whoever is in it before or after.
func (c *comparison) group(a Account, do func(Account)) {
	do(a)
	for _, ev := range c.both() {
		if ev.cat != nil && ev.cat.Kinds[a.Kind()].Group {
			ev.each(ev.r.FactsOn(FamilyMember, a), &c.err, func(f Fact, _ Interval) { do(f.Subject) })
		}
	}
}

// team notes what comes of an account being in a team or not, besides what it may do itself: what its mates may do to
// it, and what may those whom the team is linked to.
func (c *comparison) team(team, member Account) {
	for _, ev := range c.both() {
		ev.each(ev.r.FactsOn(FamilyMember, team), &c.err, func(f Fact, _ Interval) { c.near(f.Subject, member) })
		ev.each(ev.r.FactsOf(FamilyLink, team), &c.err, func(f Fact, _ Interval) { c.on(f.Object, Resource(member)) })
	}
}

// belonging notes whoever may do something to what belongs to the client because of the client.
func (c *comparison) belonging(res Resource, client Account) {
	c.on(client, res)
	for _, ev := range c.both() {
		for _, family := range [...]Family{FamilyLink, FamilyGrant, FamilyException} {
			ev.each(ev.r.FactsOn(family, client), &c.err, func(f Fact, _ Interval) {
				c.group(f.Subject, func(a Account) { c.on(a, res) })
			})
		}
		ev.each(ev.r.FactsOf(FamilyMember, client), &c.err, func(f Fact, _ Interval) {
			c.group(f.Object, func(a Account) { c.on(a, res) })
		})
	}
}

// catalogue notes whom the lines bear on that one catalogue has and the other has not. Where more than lines differ
// (kinds, types, what is never given), everyone is touched.
func (c *comparison) catalogue() {
	was, is := c.before.cat, c.after.cat
	if was == nil || is == nil || was.Protected != is.Protected || !sameRules(was, is) || !reflect.DeepEqual(neverRules(was), neverRules(is)) {
		c.lines = nil
		c.everyone(nil)
		return
	}
	c.lines = map[lineKey]bool{}
	var differing []*Permit
	for _, cat := range [...]*Catalogue{was, is} {
		for k := range cat.lines {
			if !c.lines[k] && !sameLines(was.lines[k], is.lines[k]) {
				c.lines[k] = true
				differing = append(append(differing, was.lines[k]...), is.lines[k]...)
			}
		}
	}
	for _, p := range differing {
		if len(p.Roles) == 0 {
			c.everyone(p.Kinds)
			continue
		}
		for _, role := range p.Roles {
			for _, ev := range c.both() {
				ev.each(ev.r.FactsOn(FamilyRole, RoleRef(role)), &c.err, func(f Fact, _ Interval) { c.whole[f.Subject] = true })
			}
		}
	}
}

// everyone notes all accounts of the kinds; of every kind where there are none.
func (c *comparison) everyone(kinds []Kind) {
	for _, ev := range c.both() {
		all := kinds
		if ev.cat == nil {
			continue
		} else if len(all) == 0 {
			all = sortedKeys(ev.cat.Kinds)
		}
		for _, k := range all {
			everyNamed(ev.r, k, &c.err, func(r Resource) { c.whole[Account(r)] = true })
		}
	}
}

// sameRules tells whether the kinds and types of two catalogues are the same but for their titles.
func sameRules(a, b *Catalogue) bool {
	kinds := func(x, y KindRule) bool { return x.Protected == y.Protected && x.Group == y.Group }
	types := func(x, y ResourceRule) bool { return x.Of == y.Of && x.TrustProperties == y.TrustProperties }
	return maps.EqualFunc(a.Kinds, b.Kinds, kinds) && maps.EqualFunc(a.Resources, b.Resources, types)
}

func neverRules(c *Catalogue) []NeverRule {
	rules := slices.Clone(c.Never)
	for i := range rules {
		rules[i].Line = 0
	}
	return rules
}

// sameLines tells whether two lists of permits ask for the same. Their order and place in the document do not matter to
// who may.
func sameLines(a, b []*Permit) bool {
	has := func(list []*Permit, p *Permit) bool {
		return slices.ContainsFunc(list, func(q *Permit) bool {
			return reflect.DeepEqual(p.Selectors, q.Selectors) && reflect.DeepEqual(p.Unless, q.Unless)
		})
	}
	for _, p := range a {
		if !has(b, p) {
			return false
		}
	}
	return !slices.ContainsFunc(b, func(p *Permit) bool { return !has(a, p) })
}

// all yields the effects on all that is touched, by subject.
func (c *comparison) all() iter.Seq2[Effect, error] {
	return func(yield func(Effect, error) bool) {
		subjects := slices.AppendSeq(slices.Collect(maps.Keys(c.whole)), maps.Keys(c.some))
		slices.Sort(subjects)
		for _, s := range slices.Compact(subjects) {
			if !c.effects(s, yield) {
				return
			}
		}
	}
}

// effects yields the effects on one subject; false ends it all.
func (c *comparison) effects(s Account, yield func(Effect, error) bool) bool {
	for _, ev := range c.both() { // one scan instead of a look for each role and each action
		var err error
		ev.each(ev.factsOf(FamilyRole, s), &err, func(Fact, Interval) {})
		if err != nil {
			return yield(Effect{}, err) && false
		}
	}
	for _, k := range c.types {
		near := map[Resource]struct{}{}
		for r := range c.some[s] {
			if r.Kind() == k {
				near[r] = struct{}{}
			}
		}
		if !c.whole[s] && len(near) == 0 {
			continue
		}
		actions, err := c.actions(s, k)
		if err != nil {
			return yield(Effect{}, err) && false
		}
		if len(actions) == 0 {
			continue
		}
		if c.whole[s] {
			for _, ev := range c.both() {
				if err := ev.nearResources(s, k, near); err != nil {
					return yield(Effect{}, err) && false
				}
			}
		}
		effects, err := c.ofType(s, k, actions, sortedKeys(near))
		if err != nil {
			return yield(Effect{}, err) && false
		}
		for _, e := range effects {
			if !yield(e, nil) {
				return false
			}
		}
	}
	return true
}

// actions gives the actions on the type to ask about.
func (c *comparison) actions(s Account, k Kind) (actions []Action, err error) {
	for _, ev := range c.both() {
		if ev.cat == nil {
			continue
		}
		of, err := ev.actionsOf(s, k)
		if err != nil {
			return nil, err
		}
		actions = append(actions, of...)
	}
	slices.Sort(actions)
	actions = slices.Compact(actions)
	actions = slices.DeleteFunc(actions, func(a Action) bool {
		if c.lines != nil && !c.lines[lineKey{k, a}] || c.relations != nil && !c.byLink(k, a) {
			return true
		}
		for _, ev := range c.both() {
			hope, e := ev.hopeful(s, k, a)
			if err = cmp.Or(err, e); hope || err != nil {
				return false
			}
		}
		return true
	})
	return actions, err
}

// byLink tells whether some line about the action asks for a link of the relations that changed: what is given or taken
// otherwise is as it was.
func (c *comparison) byLink(k Kind, a Action) bool {
	asks := func(s *Selectors) bool {
		changed := func(r Relation) bool { return c.relations[r] }
		return s != nil && (slices.ContainsFunc(s.Links, changed) || slices.ContainsFunc(s.LinkedBy, changed))
	}
	for _, ev := range c.both() {
		if ev.cat == nil {
			continue
		}
		if slices.ContainsFunc(ev.cat.Lines(k, a), func(p *Permit) bool { return asks(&p.Selectors) || asks(p.Unless) }) {
			return true
		}
	}
	return false
}

// hopeful tells whether the subject could do the action to anything of the type at all: some line asks for no kind or role
// that it lacks, or it was given to it individually. Most of what a catalogue has, most accounts can't.
func (ev *Evaluator) hopeful(s Account, k Kind, a Action) (hope bool, err error) {
	if ev.cat == nil {
		return false, nil
	}
	for _, line := range ev.cat.Lines(k, a) {
		if len(line.Kinds) > 0 && !slices.Contains(line.Kinds, s.Kind()) {
			continue
		}
		if hope = len(line.Roles) == 0; !hope {
			hope, err = ev.holdsOne(s, line.Roles)
		}
		if hope || err != nil {
			return hope, err
		}
	}
	ev.each(ev.factsOf(FamilyException, s), &err, func(f Fact, iv Interval) {
		hope = hope || iv.Detail == Added && f.Name == string(k)+" "+string(a)
	})
	return hope, err
}

// ofType compares what the subject may do to the type as a whole and to the resources near it.
func (c *comparison) ofType(s Account, k Kind, actions []Action, near []Resource) ([]Effect, error) {
	// Of what does not exist (yet, or any more), type:* says what there is to say: so nothing is said of it that would have to
	// be taken back when it comes to exist.
	all := Resource(string(k) + ":*")
	existed, exists := map[Resource]bool{}, map[Resource]bool{}
	for _, r := range near {
		var err error
		if existed[r], err = c.before.Existed(r); err != nil {
			return nil, err
		}
		if exists[r], err = c.after.Existed(r); err != nil {
			return nil, err
		}
	}
	var effects []Effect
	add := func(e Effect) { // one effect for all actions that share all else
		for i := range effects {
			x := &effects[i]
			if x.Gained == e.Gained && x.Resource == e.Resource && x.Restated == e.Restated && slices.Equal(x.Except, e.Except) {
				x.Actions = append(x.Actions, e.Actions...)
				if e.Gained {
					x.ValidUntil = min(x.ValidUntil, e.ValidUntil)
				}
				return
			}
		}
		effects = append(effects, e)
	}
	for _, a := range actions {
		var was, is Decision
		var err error
		// Where nothing that changed bears on the type as a whole, only what does not exist on some side asks for it.
		if c.whole[s] || slices.ContainsFunc(near, func(r Resource) bool { return !existed[r] || !exists[r] }) {
			if is, err = c.after.whole(s, a, all); err != nil {
				return nil, err
			}
		}
		if was = is; c.whole[s] {
			if was, err = c.before.whole(s, a, all); err != nil {
				return nil, err
			}
		}
		changed := was.Allowed != is.Allowed
		var except []Resource
		for _, r := range near {
			if r == all {
				continue
			}
			now := is
			if exists[r] {
				if now, err = c.after.Evaluate(Question{Subject: s, Action: a, Resource: r}); err != nil {
					return nil, err
				}
			}
			prior := was.Allowed
			if existed[r] {
				d, err := c.before.Evaluate(Question{Subject: s, Action: a, Resource: r})
				if err != nil {
					return nil, err
				}
				prior = d.Allowed
			}
			if changed && now.Allowed == is.Allowed || !changed && now.Allowed == prior {
				continue // type:* says it, or it was said before
			}
			if changed {
				except = append(except, r)
			}
			add(Effect{Gained: now.Allowed, Subject: s, Resource: r, Actions: []Action{a}, ValidUntil: now.ValidUntil, Restated: prior == now.Allowed})
		}
		if changed {
			add(Effect{Gained: is.Allowed, Subject: s, Resource: all, Actions: []Action{a}, Except: except, ValidUntil: is.ValidUntil})
		}
	}
	slices.SortStableFunc(effects, func(x, y Effect) int { // what is said of all of the type comes before its exceptions
		if xAll, yAll := x.Resource == all, y.Resource == all; xAll != yAll {
			if xAll {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.Resource, y.Resource)
	})
	return effects, nil
}

// whole decides about a resource of the type that nothing is known of.
func (ev *Evaluator) whole(s Account, a Action, all Resource) (Decision, error) {
	if ev.cat == nil || !ev.cat.Type(all.Kind()) {
		return Decision{Catalogue: ev.catIn, Basis: []Reason{{State: NoPermit, Want: Want{Lack: LackPermit, What: all, Action: a}}}}, nil
	}
	return ev.evaluate(Question{Subject: s, Action: a, Resource: all}, true)
}

// nearResources adds the resources of type k that some fact which holds names together with the subject.
func (ev *Evaluator) nearResources(s Account, k Kind, near map[Resource]struct{}) error {
	if ev.cat == nil {
		return nil
	}
	var err error
	add := func(r Resource) {
		if r.Kind() == k {
			near[r] = struct{}{}
		}
	}
	belongs := ev.cat.Resources[k].Of != ""
	ofClient := func(client Account) {
		add(Resource(client))
		if belongs {
			ev.each(ev.factsOn(FamilyResource, client), &err, func(f Fact, _ Interval) { add(Resource(f.Subject)) })
		}
	}
	ofGroup := func(a Account, do func(Account)) {
		do(a)
		if ev.cat.Kinds[a.Kind()].Group {
			ev.each(ev.factsOn(FamilyMember, a), &err, func(f Fact, _ Interval) { do(f.Subject) })
		}
	}
	ofClient(s)
	ev.asLinked(s, &err, func(link Fact) { ofClient(link.Object) })
	ev.each(ev.factsOn(FamilyLink, s), &err, func(f Fact, _ Interval) { ofGroup(f.Subject, func(a Account) { add(Resource(a)) }) })
	ev.each(ev.factsOf(FamilyGrant, s), &err, func(f Fact, _ Interval) { ofClient(f.Object) })
	ev.each(ev.factsOf(FamilyCreated, s), &err, func(f Fact, _ Interval) { add(Resource(f.Object)) })
	ev.each(ev.factsOf(FamilyInvitation, s), &err, func(f Fact, _ Interval) { add(Resource(f.Object)) })
	ev.each(ev.factsOf(FamilyMember, s), &err, func(f Fact, _ Interval) { ofGroup(f.Object, ofClient) })
	ev.each(ev.factsOf(FamilyException, s), &err, func(f Fact, _ Interval) {
		if on, _, _ := strings.Cut(f.Name, " "); f.Object != KindRef(Kind(on)) {
			ofClient(f.Object)
		}
	})
	return err
}
