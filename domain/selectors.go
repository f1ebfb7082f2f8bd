package domain

// The selectors of a permit line, each held against a subject and a resource: what stands of it or is lacking, and until
// when that stays so. How lines make a decision is in evaluate.go.

import "slices"

// a test is one selector, ready to be held against a subject and a resource.
type test struct {
	// holds gives what stands or is lacking, whether the selector holds, and until when that stays so by what is known.
	holds      func(subject Account, res thing) ([]Reason, bool, Instant, error)
	ofResource bool // it looks at what the resource belongs to
	// otherwise is what is lacking where it holds in an unless and no fact says so; LackNothing where a fact always does.
	otherwise Lack
}

// selectors lists those of s that ask for something, the cheapest first.
func (ev *Evaluator) selectors(s *Selectors) []test {
	tests := make([]test, 0, 4)
	add := func(ofResource bool, holds func(Account, thing) ([]Reason, bool, Instant, error)) {
		tests = append(tests, test{holds: holds, ofResource: ofResource})
	}
	if len(s.Kinds) > 0 {
		add(false, func(p Account, _ thing) ([]Reason, bool, Instant, error) {
			return ev.plain(slices.Contains(s.Kinds, p.Kind()), Want{Lack: LackKind, Who: p, Of: s})
		})
		tests[len(tests)-1].otherwise = LackOtherKind
	}
	if s.Self {
		add(true, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			self := p == res.client || res.account && p == Account(res.Resource)
			return ev.plain(self, Want{Lack: LackSelf, Who: p})
		})
		tests[len(tests)-1].otherwise = LackOtherSelf
	}
	if s.Own {
		add(true, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			return ev.plain(p == res.creator, Want{Lack: LackOwn, Who: p, What: res.Resource})
		})
		tests[len(tests)-1].otherwise = LackOtherOwn
	}
	if len(s.Roles) > 0 {
		add(false, func(p Account, _ thing) ([]Reason, bool, Instant, error) {
			return ev.anyOf(s.Roles, func(r Role) ([]Reason, bool, Instant, error) {
				return ev.one(roleFact(p, r), Want{Lack: LackRole, Who: p, Of: s})
			})
		})
	}
	if len(s.Links) > 0 {
		add(true, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			if res.client == "" {
				return ev.plain(false, Want{Lack: LackProtected})
			}
			return ev.linked(s.Links, Want{Lack: LackLink, Who: p, What: Resource(res.client), Of: s})
		})
	}
	if len(s.LinkedBy) > 0 {
		add(false, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			return ev.linked(s.LinkedBy, Want{Lack: LackLinkedBy, Who: Account(res.Resource), What: Resource(p), Of: s})
		})
	}
	if len(s.Grants) > 0 {
		add(true, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			return ev.granted(s.Grants, Want{Lack: LackGrant, Who: p, What: Resource(res.client), Of: s})
		})
	}
	if s.Invited {
		add(false, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			return ev.one(invitationFact(p, res.Resource), Want{Lack: LackInvitation, Who: p, What: res.Resource})
		})
	}
	if s.Team {
		add(true, func(p Account, res thing) ([]Reason, bool, Instant, error) {
			other := res.client
			if other == "" && res.account {
				other = Account(res.Resource)
			}
			return ev.sameTeam(p, other)
		})
	}
	return tests
}

// plain is a selector that no event can change. want says what is lacking where it does not hold.
func (ev *Evaluator) plain(holds bool, want Want) ([]Reason, bool, Instant, error) {
	if holds {
		return nil, true, Forever, nil
	}
	return []Reason{{State: Missing, Want: want}}, false, Forever, nil
}

// one holds where the fact does.
func (ev *Evaluator) one(f Fact, want Want) ([]Reason, bool, Instant, error) {
	v, err := ev.fact(f)
	if err != nil {
		return nil, false, 0, err
	}
	if iv, ok := v.At(ev.at); ok {
		return []Reason{{Fact: f, Interval: iv, State: Stands}}, true, v.until(ev.at), nil
	}
	return []Reason{ev.miss(f, v, want)}, false, v.until(ev.at), nil
}

// anyOf holds where one of the names does: the one that lasts longest. Where none does, the nearest is kept.
func (ev *Evaluator) anyOf(names []Role, try func(Role) ([]Reason, bool, Instant, error)) ([]Reason, bool, Instant, error) {
	var b best
	for _, name := range names {
		if err := b.offer(try(name)); err != nil {
			return nil, false, 0, err
		}
	}
	return b.reasons, b.holds, b.until, nil
}

// best keeps, of alternatives, the one that holds longest or else the nearest miss.
type best struct {
	reasons []Reason
	holds   bool
	until   Instant // for a yes the end of the longest; for a no the first moment at which one begins
	any     bool
}

func (b *best) offer(reasons []Reason, holds bool, until Instant, err error) error {
	if err != nil {
		return err
	}
	switch {
	case !b.any, holds && !b.holds, holds && until > b.until:
		b.reasons, b.holds, b.until = reasons, holds, until
	case !holds && !b.holds:
		b.until = min(b.until, until)
		if (attempt{reasons: reasons}).closeness() > (attempt{reasons: b.reasons}).closeness() {
			b.reasons = reasons
		}
	}
	b.any = true
	return nil
}

// linked holds where who want is about, or a team it is in, has one of the relations to what want is about.
func (ev *Evaluator) linked(relations []Relation, want Want) ([]Reason, bool, Instant, error) {
	from, client := want.Who, Account(want.What)
	var b best
	for _, rel := range relations {
		if err := b.offer(ev.one(linkFact(from, client, rel), want)); err != nil {
			return nil, false, 0, err
		}
	}
	if !ev.cat.groups {
		return b.reasons, b.holds, b.until, nil
	}
	for h, err := range ev.factsOf(FamilyMember, from) {
		if err != nil {
			return nil, false, 0, err
		}
		iv, in := h.Version.At(ev.at)
		if !ev.cat.Kinds[h.Fact.Object.Kind()].Group || !in && h.Version.until(ev.at) == Forever {
			continue // no group any more, or it left for good, as far as is known
		}
		for _, rel := range relations {
			reasons, holds, until, err := ev.one(linkFact(h.Fact.Object, client, rel), want)
			if in && holds {
				reasons = append([]Reason{{Fact: h.Fact, Interval: iv, State: Stands}}, reasons...)
			} else if holds {
				reasons = append(reasons, ev.miss(h.Fact, h.Version, Want{}))
			}
			if err := b.offer(reasons, in && holds, min(until, h.Version.until(ev.at)), err); err != nil {
				return nil, false, 0, err
			}
		}
	}
	return b.reasons, b.holds, b.until, nil
}

// granted holds where who want is about has an open grant of one of the profiles for the client that want is about.
func (ev *Evaluator) granted(profiles []Profile, want Want) ([]Reason, bool, Instant, error) {
	p, client := want.Who, Account(want.What)
	var b best
	none := Reason{State: Missing, Want: want}
	if client == "" {
		none.Want = Want{Lack: LackProtected}
	}
	if err := b.offer([]Reason{none}, false, Forever, nil); err != nil || client == "" {
		return b.reasons, false, Forever, err
	}
	for h, err := range ev.factsOf(FamilyGrant, p) {
		if err != nil {
			return nil, false, 0, err
		}
		if h.Fact.Object != client || !slices.Contains(profiles, Profile(h.Fact.Name)) {
			continue
		}
		reasons := []Reason{ev.miss(h.Fact, h.Version, Want{})}
		iv, holds := h.Version.At(ev.at)
		if holds {
			reasons[0] = Reason{Fact: h.Fact, Interval: iv, State: Stands}
		}
		if err := b.offer(reasons, holds, h.Version.until(ev.at), nil); err != nil {
			return nil, false, 0, err
		}
	}
	return b.reasons, b.holds, b.until, nil
}

// sameTeam holds where both are in one team.
func (ev *Evaluator) sameTeam(p, other Account) ([]Reason, bool, Instant, error) {
	want := Want{Lack: LackTeam, Who: p, What: Resource(other)}
	if other == "" {
		want = Want{Lack: LackProtected}
	}
	b := best{reasons: []Reason{{State: Missing, Want: want}}, until: Forever, any: true}
	if other == "" {
		return b.reasons, false, Forever, nil
	}
	for h, err := range ev.factsOf(FamilyMember, p) {
		if err != nil {
			return nil, false, 0, err
		}
		if !ev.cat.Kinds[h.Fact.Object.Kind()].Group {
			continue
		}
		mine, in := h.Version.At(ev.at)
		f := memberFact(h.Fact.Object, other)
		v, err := ev.fact(f)
		if err != nil {
			return nil, false, 0, err
		}
		theirs, both := v.At(ev.at)
		reasons := b.reasons
		if both = both && in; both {
			reasons = []Reason{{Fact: h.Fact, Interval: mine, State: Stands}, {Fact: f, Interval: theirs, State: Stands}}
		}
		if err := b.offer(reasons, both, min(h.Version.until(ev.at), v.until(ev.at)), nil); err != nil {
			return nil, false, 0, err
		}
	}
	return b.reasons, b.holds, b.until, nil
}

// miss says how a fact that does not hold at the moment falls short of it: over, still to come, or never there.
func (ev *Evaluator) miss(f Fact, v Version, want Want) Reason {
	over := Reason{Fact: f, State: Missing, Want: want}
	for _, iv := range v.Intervals {
		switch {
		case iv.Empty():
		case iv.From > ev.at:
			if over.State == Missing {
				over.State, over.Interval = NotYet, iv
			}
		case over.State != Ended || iv.Until >= over.Interval.Until:
			over.State, over.Interval = Ended, iv
		}
	}
	return over
}
