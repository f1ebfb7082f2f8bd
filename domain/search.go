package domain

// Who can do it, and what can they do: propose, then decide. From the permit lines come the candidates worth asking
// about; the one decision filters them. Proposals may be too many, never too few, so each line proposes by the
// selector of it that fits the fewest.

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// An Answer to "who": one who may, and by what.
type Answer struct {
	Subject  Account
	Decision Decision
}

// Reach is an answer to "what": a resource, and what may be done to it. A type that is not listed one by one stands as
// "type:*".
type Reach struct {
	Resource Resource
	Actions  []Action
	Basis    []Reason // of all the actions, each event once
	// ValidUntil is the earliest moment at which by what is known one of the actions could end by itself.
	ValidUntil Instant
}

// Who yields everyone who may do q's action to q's resource at the moment, by name, from the account after the given
// one. q.Subject is ignored, but where it is "kind:*" only that kind is asked about.
func Who(r Reader, q Question, at Instant, after Account) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		ev, err := NewEvaluator(r, at)
		if err != nil {
			yield(Answer{}, err)
			return
		}
		candidates, err := ev.proposeSubjects(q)
		if err != nil {
			yield(Answer{}, err)
			return
		}
		for _, c := range candidates {
			if c <= after || q.Subject != "" && c.Kind() != q.Subject.Kind() {
				continue
			}
			q := q
			q.Subject = c
			d, err := ev.Evaluate(q)
			if err != nil {
				yield(Answer{}, err)
				return
			}
			if d.Allowed && !yield(Answer{c, d}, nil) {
				return
			}
		}
	}
}

// What yields everything that the subject may do at the moment, by resource, from the resource after the given one.
// "" for action or kind asks for all.
func What(r Reader, subject Account, action Action, kind Kind, at Instant, after Resource) iter.Seq2[Reach, error] {
	return func(yield func(Reach, error) bool) {
		ev, err := NewEvaluator(r, at)
		if err != nil || ev.cat == nil {
			if err != nil {
				yield(Reach{}, err)
			}
			return
		}
		for _, k := range ev.cat.Types() {
			if kind != "" && k != kind {
				continue
			}
			if !ev.whatOf(subject, action, k, after, yield) {
				return
			}
		}
	}
}

// Types lists every kind of account and type of resource in the order of what is named by them: a-b before a, because
// "a-b:1" comes before "a:1".
func (c *Catalogue) Types() []Kind {
	types := slices.AppendSeq(slices.Collect(maps.Keys(c.Kinds)), maps.Keys(c.Resources))
	slices.SortFunc(types, compareTypes)
	return types
}

func compareTypes(a, b Kind) int { return strings.Compare(string(a)+":", string(b)+":") }

// whatOf yields the subject's reach among the resources of one type; false ends the search.
func (ev *Evaluator) whatOf(subject Account, action Action, k Kind, after Resource, yield func(Reach, error) bool) bool {
	actions, err := ev.actionsOf(subject, k)
	if err != nil {
		return yield(Reach{}, err) && false
	}
	if action != "" {
		actions = []Action{action}
	}
	candidates, err := ev.proposeResources(subject, k, actions)
	if err != nil {
		return yield(Reach{}, err) && false
	}
	var everywhere Reach // what is allowed on type:* need not be said again of one of them
	for _, res := range candidates {
		reach := Reach{Resource: res, ValidUntil: Forever}
		for _, a := range actions {
			if slices.Contains(everywhere.Actions, a) {
				continue
			}
			d, err := ev.Evaluate(Question{Subject: subject, Action: a, Resource: res})
			if err != nil {
				return yield(Reach{}, err) && false
			}
			if d.Allowed {
				reach.Actions = append(reach.Actions, a)
				reach.add(d.Basis)
				reach.ValidUntil = min(reach.ValidUntil, d.ValidUntil)
			}
		}
		if res.ID() == "*" {
			everywhere = reach
		}
		if len(reach.Actions) > 0 && res > after && !yield(reach, nil) {
			return false
		}
	}
	return true
}

// actionsOf gives the actions that there are on the type for the subject, sorted: the catalogue's, and those added to it
// individually, which need no line and may outlive theirs.
func (ev *Evaluator) actionsOf(subject Account, k Kind) (actions []Action, err error) {
	actions = ev.cat.Actions(k)
	ev.each(ev.factsOf(FamilyException, subject), &err, func(f Fact, iv Interval) {
		if on, action, _ := strings.Cut(f.Name, " "); Kind(on) == k && iv.Detail == Added {
			actions = append(actions, Action(action))
		}
	})
	slices.Sort(actions)
	return slices.Compact(actions), err
}

func (r *Reach) add(basis []Reason) {
	for _, reason := range basis {
		if !slices.ContainsFunc(r.Basis, func(b Reason) bool { return b.Fact == reason.Fact && b.Interval == reason.Interval }) {
			r.Basis = append(r.Basis, reason)
		}
	}
}

// proposal is a set of candidates; the first error stays.
type proposal[T ~string] struct {
	set map[T]struct{}
	err error
}

func (p *proposal[T]) add(t T) { p.set[t] = struct{}{} }

func (p *proposal[T]) sorted() ([]T, error) {
	if p.err != nil {
		return nil, p.err
	}
	return sortedKeys(p.set), nil
}

// each calls do for the facts that hold at the moment: those that do not can make no line true. An evaluator that
// proposes for a whole span (ever) goes through all that ever were.
func (ev *Evaluator) each(facts iter.Seq2[Held, error], err *error, do func(Fact, Interval)) {
	if *err != nil {
		return
	}
	for h, e := range facts {
		if e != nil {
			*err = e
			return
		}
		if ev.ever {
			for _, iv := range h.Version.Intervals {
				do(h.Fact, iv)
			}
		} else if iv, ok := h.Version.At(ev.at); ok {
			do(h.Fact, iv)
		}
	}
}

// proposeSubjects gives everyone worth asking about q, sorted.
func (ev *Evaluator) proposeSubjects(q Question) ([]Account, error) {
	p := &proposal[Account]{set: make(map[Account]struct{})}
	if ev.cat == nil {
		return nil, nil
	}
	kind := q.Resource.Kind()
	things, err := ev.things(q)
	if err != nil {
		return nil, err
	}
	for _, res := range things {
		ev.proposeFor(p, res, kind, q.Action)
	}
	return p.sorted()
}

// things gives what the question's resource is at the moment, or, for a whole span, all that it ever was: a registered
// one may have belonged to one client after another.
func (ev *Evaluator) things(q Question) ([]thing, error) {
	kind := q.Resource.Kind()
	if ev.ever {
		if _, account := ev.cat.Kinds[kind]; account {
			res := thing{Resource: q.Resource, account: true}
			if kind == ev.cat.Protected {
				res.client = Account(q.Resource)
			}
			return []thing{res}, nil
		}
		if rule := ev.cat.Resources[kind]; rule.Of != "" && q.Resource.ID() != "*" {
			var all []thing
			var err error
			ev.each(ev.factsOf(FamilyResource, Account(q.Resource)), &err, func(f Fact, iv Interval) {
				all = append(all, thing{Resource: q.Resource, client: f.Object, creator: Account(iv.Detail)})
			})
			return all, err
		}
	}
	res, found, err := ev.resource(q)
	if err != nil || !found {
		return nil, err
	}
	return []thing{res}, nil
}

// proposeFor proposes everyone worth asking about one resource.
func (ev *Evaluator) proposeFor(p *proposal[Account], res thing, kind Kind, action Action) {
	individually := func(f Fact, iv Interval) {
		if f.Name == string(kind)+" "+string(action) && iv.Detail == Added {
			p.add(f.Subject)
		}
	}
	ev.each(ev.factsOn(FamilyException, KindRef(kind)), &p.err, individually)
	if res.client != "" {
		ev.each(ev.factsOn(FamilyException, res.client), &p.err, individually)
	}
	var kinds []Kind // of which everyone is proposed
	for _, line := range ev.cat.Lines(kind, action) {
		s := &line.Selectors
		switch {
		case s.Self:
			if res.client != "" {
				p.add(res.client)
			}
			if res.account {
				p.add(Account(res.Resource))
			}
		case s.Own:
			if res.creator != "" {
				p.add(res.creator)
			}
		case s.Invited:
			ev.each(ev.factsOn(FamilyInvitation, Account(res.Resource)), &p.err, func(f Fact, _ Interval) { p.add(f.Subject) })
		case len(s.Grants) > 0:
			if res.client != "" {
				ev.each(ev.factsOn(FamilyGrant, res.client), &p.err, func(f Fact, _ Interval) { p.add(f.Subject) })
			}
		case len(s.Links) > 0:
			if res.client != "" {
				ev.each(ev.factsOn(FamilyLink, res.client), &p.err, func(f Fact, _ Interval) {
					if slices.Contains(s.Links, Relation(f.Name)) {
						ev.withMembers(f.Subject, p)
					}
				})
			}
		case len(s.LinkedBy) > 0:
			ev.asLinked(Account(res.Resource), &p.err, func(link Fact) { p.add(link.Object) })
		case s.Team:
			other := res.client
			if other == "" && res.account {
				other = Account(res.Resource)
			}
			if other != "" {
				ev.each(ev.factsOf(FamilyMember, other), &p.err, func(f Fact, _ Interval) { ev.withMembers(f.Object, p) })
			}
		case len(s.Roles) > 0:
			for _, role := range s.Roles {
				ev.each(ev.factsOn(FamilyRole, RoleRef(role)), &p.err, func(f Fact, _ Interval) { p.add(f.Subject) })
			}
		case len(s.Kinds) > 0:
			kinds = append(kinds, s.Kinds...)
		default:
			kinds = append(kinds, sortedKeys(ev.cat.Kinds)...)
		}
	}
	slices.Sort(kinds)
	for _, k := range slices.Compact(kinds) {
		everyNamed(ev.r, k, &p.err, func(r Resource) { p.add(Account(r)) })
	}
}

// withMembers proposes the account and, where it is a group, whoever is in it.
func (ev *Evaluator) withMembers(a Account, p *proposal[Account]) {
	p.add(a)
	if ev.cat.Kinds[a.Kind()].Group {
		ev.each(ev.factsOn(FamilyMember, a), &p.err, func(f Fact, _ Interval) { p.add(f.Subject) })
	}
}

// asLinked calls do for every link that the account has, itself or by a team it is in.
func (ev *Evaluator) asLinked(a Account, err *error, do func(link Fact)) {
	links := func(from Account) {
		ev.each(ev.factsOf(FamilyLink, from), err, func(f Fact, _ Interval) { do(f) })
	}
	links(a)
	ev.each(ev.factsOf(FamilyMember, a), err, func(f Fact, _ Interval) { links(f.Object) })
}

func everyNamed(r Reader, k Kind, err *error, do func(Resource)) {
	if *err != nil {
		return
	}
	for res, e := range r.Named(k) {
		if e != nil {
			*err = e
			return
		}
		do(res)
	}
}

// proposeResources gives every resource of type k worth asking about for the subject, sorted: "k:*" first where the
// type is not listed one by one.
func (ev *Evaluator) proposeResources(subject Account, k Kind, actions []Action) ([]Resource, error) {
	p := &proposal[Resource]{set: make(map[Resource]struct{})}
	rule := ev.cat.Resources[k]
	_, account := ev.cat.Kinds[k]
	if !account && rule.Of == "" {
		p.add(Resource(string(k) + ":*"))
		ev.each(ev.factsOf(FamilyInvitation, subject), &p.err, func(f Fact, _ Interval) {
			if f.Object.Kind() == k {
				p.add(Resource(f.Object))
			}
		})
		return p.sorted()
	}

	// ofClient proposes what of type k there is of a protected account.
	ofClient := func(client Account) {
		if client.Kind() == k {
			p.add(Resource(client))
		}
		if rule.Of != "" {
			ev.each(ev.factsOn(FamilyResource, client), &p.err, func(f Fact, _ Interval) {
				if f.Subject.Kind() == k {
					p.add(Resource(f.Subject))
				}
			})
		}
	}
	all := false
	ev.each(ev.factsOf(FamilyException, subject), &p.err, func(f Fact, iv Interval) {
		on, action, _ := strings.Cut(f.Name, " ")
		switch {
		case iv.Detail != Added || Kind(on) != k || !slices.Contains(actions, Action(action)):
		case f.Object == KindRef(k):
			all = true
		default:
			ofClient(f.Object)
		}
	})
	seen := make(map[*Permit]bool)
	for _, a := range actions {
		for _, line := range ev.cat.Lines(k, a) {
			if s := &line.Selectors; seen[line] || len(s.Kinds) > 0 && !slices.Contains(s.Kinds, subject.Kind()) {
				continue
			} else if seen[line] = true; len(s.Roles) > 0 {
				holds, err := ev.holdsOne(subject, s.Roles)
				if err != nil {
					return nil, err
				}
				if !holds {
					continue
				}
			}
			all = ev.proposeByLine(&line.Selectors, subject, k, p, ofClient) || all
		}
	}
	if all {
		everyNamed(ev.r, k, &p.err, p.add)
	}
	return p.sorted()
}

// holdsOne tells whether the account holds one of the roles at the moment, or, for a whole span, ever did.
func (ev *Evaluator) holdsOne(a Account, roles []Role) (bool, error) {
	for _, r := range roles {
		v, err := ev.fact(roleFact(a, r))
		if err != nil || v.Holds(ev.at) || ev.ever && len(v.Intervals) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// proposeByLine proposes what one line could reach for the subject; true asks for every resource of the type.
func (ev *Evaluator) proposeByLine(s *Selectors, subject Account, k Kind, p *proposal[Resource], ofClient func(Account)) bool {
	switch {
	case s.Self:
		if subject.Kind() == k {
			p.add(Resource(subject))
		}
		ofClient(subject)
	case s.Own:
		ev.each(ev.factsOf(FamilyCreated, subject), &p.err, func(f Fact, _ Interval) {
			if f.Object.Kind() == k {
				p.add(Resource(f.Object))
			}
		})
	case s.Invited:
		ev.each(ev.factsOf(FamilyInvitation, subject), &p.err, func(f Fact, _ Interval) {
			if f.Object.Kind() == k {
				p.add(Resource(f.Object))
			}
		})
	case len(s.Grants) > 0:
		ev.each(ev.factsOf(FamilyGrant, subject), &p.err, func(f Fact, _ Interval) { ofClient(f.Object) })
	case len(s.Links) > 0:
		ev.asLinked(subject, &p.err, func(link Fact) {
			if slices.Contains(s.Links, Relation(link.Name)) {
				ofClient(link.Object)
			}
		})
	case len(s.LinkedBy) > 0:
		linkers := &proposal[Account]{set: make(map[Account]struct{})}
		ev.each(ev.factsOn(FamilyLink, subject), &linkers.err, func(f Fact, _ Interval) { ev.withMembers(f.Subject, linkers) })
		p.err = cmp.Or(p.err, linkers.err)
		for a := range linkers.set {
			if a.Kind() == k {
				p.add(Resource(a))
			}
		}
	case s.Team:
		mates := &proposal[Account]{set: make(map[Account]struct{})}
		ev.each(ev.factsOf(FamilyMember, subject), &mates.err, func(f Fact, _ Interval) { ev.withMembers(f.Object, mates) })
		p.err = cmp.Or(p.err, mates.err)
		for a := range mates.set {
			if a.Kind() == k {
				p.add(Resource(a))
			}
			ofClient(a)
		}
	default:
		return true
	}
	return false
}
