package domain

// What roles and links ask of each other, over all of time as it is known: at most one of a group, a role that another needs,
// as few links as a role allows. It owns those rules of admission; every other is in admit.go.

import (
	"iter"
	"slices"
	"strings"
)

// fits holds what a role or a link would become against the principal's other roles and links, over all of time as it is
// known. At each moment that the change adds to a role, no other of its group is held, and one of its needs is; at each
// moment that it takes from a role, none is left that needs it; at each moment that it adds to either, the links are as
// few as the roles ask. What an older catalogue allowed and the change leaves alone is not judged again.
func (a *admission) fits(changed Fact, intervals []Interval) {
	if !a.cat.countsLinks() && (changed.Family == FamilyLink || !a.cat.ties(Role(changed.Name))) {
		return // no rule is about it
	}
	held, was, becomes := a.rolesOf(changed.Subject), a.read(changed), Version{Intervals: intervals}
	if a.cat.countsLinks() {
		for h, err := range a.r.FactsOf(FamilyLink, changed.Subject) {
			if err != nil && a.err == nil {
				a.err = err
			}
			held[h.Fact] = h.Version
		}
	}
	held[changed] = becomes
	for _, t := range bounds(held, was) {
		adds, takes := becomes.Holds(t) && !was.Holds(t), was.Holds(t) && !becomes.Holds(t)
		if changed.Family == FamilyRole && adds {
			a.roleAdded(changed, held, t)
		}
		if changed.Family == FamilyRole && takes {
			a.roleTaken(changed, held, t)
		}
		if adds {
			a.fewLinks(changed.Subject, held, t)
		}
		if a.err != nil {
			return
		}
	}
}

func (a *admission) roleAdded(f Fact, held map[Fact]Version, t Instant) {
	role := Role(f.Name)
	rule := a.cat.Roles[role]
	for other := range a.cat.inGroup(rule.Group) {
		if other != role && held[roleFact(f.Subject, other)].Holds(t) {
			a.fail(RuleBroken, "one_of_group", "%s and %s are both of group %s, of which one may be held at a time; %s has %s%s", role, other, rule.Group, f.Subject, other, a.when(t))
			return
		}
	}
	if len(rule.Needs) > 0 && !holdsOne(held, f.Subject, rule.Needs, t) {
		delete(held, f) // it is not held yet
		a.fail(RuleBroken, "role_needed", "%s needs %s; %s has %s%s", role, either(rule.Needs), f.Subject, rolesAt(held, t), a.when(t))
	}
}

func (a *admission) roleTaken(f Fact, held map[Fact]Version, t Instant) {
	for _, other := range sortedKeys(a.cat.Roles) {
		needs := a.cat.Roles[other].Needs
		if slices.Contains(needs, Role(f.Name)) && held[roleFact(f.Subject, other)].Holds(t) && !holdsOne(held, f.Subject, needs, t) {
			a.fail(RuleBroken, "role_needed", "%s needs %s, and %s holds %s%s; end that first", other, either(needs), f.Subject, other, a.when(t))
			return
		}
	}
}

// fewLinks refuses more links at the moment than a role held then may have open beside one of them.
func (a *admission) fewLinks(p Account, held map[Fact]Version, t Instant) {
	open := 0
	most := map[Role]int{} // by the relations of the links that are open
	for f, v := range held {
		if f.Family != FamilyLink || !v.Holds(t) {
			continue
		}
		open++
		for role, n := range a.cat.Relations[Relation(f.Name)].Most {
			if m, ok := most[role]; !ok || n < m {
				most[role] = n
			}
		}
	}
	for _, role := range sortedKeys(most) {
		if open > most[role] && held[roleFact(p, role)].Holds(t) {
			a.fail(RuleBroken, "too_many_links", "of open links a holder of %s may have at most %d; %s would have %d%s", role, most[role], p, open, a.when(t))
			return
		}
	}
}

// ties tells whether holding the role depends on other roles, or others on it.
func (c *Catalogue) ties(role Role) bool {
	if rule := c.Roles[role]; rule.Group != "" || len(rule.Needs) > 0 {
		return true
	}
	for _, rule := range c.Roles {
		if slices.Contains(rule.Needs, role) {
			return true
		}
	}
	return false
}

// countsLinks tells whether some relation bounds how many links a role's holders may have.
func (c *Catalogue) countsLinks() bool {
	for _, rule := range c.Relations {
		if len(rule.Most) > 0 {
			return true
		}
	}
	return false
}

// rolesOf gives what is known of every role that the principal ever held.
func (a *admission) rolesOf(p Account) map[Fact]Version {
	held := make(map[Fact]Version)
	for h, err := range a.r.FactsOf(FamilyRole, p) {
		if err != nil && a.err == nil {
			a.err = err
		}
		held[h.Fact] = h.Version
	}
	return held
}

// bounds gives every moment at which something begins or ends in the facts or in was. Between two of them nothing changes.
func bounds(facts map[Fact]Version, was Version) []Instant {
	var all []Instant
	add := func(v Version) {
		for _, iv := range v.Intervals {
			all = append(all, iv.From, iv.Until)
		}
	}
	add(was)
	for _, v := range facts {
		add(v)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// holdsOne tells whether the principal holds one of the roles at the moment.
func holdsOne(held map[Fact]Version, p Account, roles []Role, t Instant) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return held[roleFact(p, r)].Holds(t) })
}

// rolesAt names the roles that are held at the moment, for an error.
func rolesAt(held map[Fact]Version, t Instant) string {
	var names []string
	for f, v := range held {
		if f.Family == FamilyRole && v.Holds(t) {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "no role"
	}
	return strings.Join(names, " and ")
}

// when adds to an error the moment it is about, where that is not now.
func (a *admission) when(t Instant) string {
	if t == a.now {
		return ""
	}
	return " at " + t.String()
}

// either lists what any one of would do: a, b or c.
func either[T ~string](names []T) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i > 0 && i == len(names)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(n))
	}
	return b.String()
}

// inGroup yields the roles of a group, sorted; of no group none.
func (c *Catalogue) inGroup(group string) iter.Seq[Role] {
	return func(yield func(Role) bool) {
		if group == "" {
			return
		}
		for _, r := range sortedKeys(c.Roles) {
			if c.Roles[r].Group == group && !yield(r) {
				return
			}
		}
	}
}
