package domain

// What a catalogue allows that its author surely did not mean. It owns the warnings of catalogue check, and refuses
// nothing: that is the parser's.

import (
	"fmt"
	"maps"
	"slices"
)

// Warnings gives what is allowed but surely not meant, a line each: roles, relations and grants that make no
// difference, and permits that can never hold. It warns only of what is certain.
func (c *Catalogue) Warnings() []string {
	var (
		warnings []string
		roles    = map[Role]bool{}
		links    = map[Relation]bool{}
		grants   = map[Profile]bool{}
	)
	for _, rule := range c.Roles {
		noteNames(roles, rule.Needs)
	}
	for _, rule := range c.Relations {
		noteNames(roles, rule.Roles)
	}
	for _, rule := range c.Grants {
		noteNames(roles, rule.Roles)
	}
	for _, p := range c.Permits {
		for _, s := range []*Selectors{&p.Selectors, p.Unless} {
			if s != nil {
				noteNames(roles, s.Roles)
				noteNames(links, s.Links)
				noteNames(links, s.LinkedBy)
				noteNames(grants, s.Grants)
			}
		}
	}
	holders := c.holders()
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		if !roles[name] {
			warnings = append(warnings, fmt.Sprintf("role %s: no permit names it and nothing needs it", name))
		}
		if len(holders[name]) == 0 {
			warnings = append(warnings, fmt.Sprintf("role %s: no account can ever hold it together with a role it needs", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Relations)) {
		if !links[name] {
			warnings = append(warnings, fmt.Sprintf("relation %s: no permit uses it", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Grants)) {
		if !grants[name] {
			warnings = append(warnings, fmt.Sprintf("grant %s: no permit uses it", name))
		}
	}
	for i := range c.Permits {
		if p := &c.Permits[i]; !c.canHold(p, holders) {
			warnings = append(warnings, fmt.Sprintf("line %d: this permit can never hold: no kind of account meets all its selectors", p.Line))
		}
	}
	return warnings
}

func noteNames[T comparable](seen map[T]bool, names []T) {
	for _, n := range names {
		seen[n] = true
	}
}

// holders gives, for each role, the kinds whose accounts can hold it: those it is for, less those that can hold none
// of the roles it needs. A need in the role's own group can't be met, as only one of a group is held.
func (c *Catalogue) holders() map[Role]map[Kind]bool {
	known := make(map[Role]map[Kind]bool, len(c.Roles))
	var visit func(Role) map[Kind]bool
	visit = func(name Role) map[Kind]bool {
		if kinds, ok := known[name]; ok {
			return kinds
		}
		rule, kinds, met := c.Roles[name], map[Kind]bool{}, map[Kind]bool{}
		for _, need := range rule.Needs {
			if g := c.Roles[need].Group; g == "" || g != rule.Group {
				maps.Copy(met, visit(need))
			}
		}
		for _, k := range rule.For {
			if len(rule.Needs) == 0 || met[k] {
				kinds[k] = true
			}
		}
		known[name] = kinds
		return kinds
	}
	for name := range c.Roles {
		visit(name)
	}
	return known
}

// canHold tells whether an account of some kind could meet every selector of the permit on one of its types.
func (c *Catalogue) canHold(p *Permit, holders map[Role]map[Kind]bool) bool {
	groups := false
	for _, rule := range c.Kinds {
		groups = groups || rule.Group
	}
	holdsOne := func(k Kind, roles []Role) bool {
		return len(roles) == 0 || slices.ContainsFunc(roles, func(r Role) bool { return holders[r][k] })
	}
	linked := func(k Kind, relations []Relation) bool {
		return slices.ContainsFunc(relations, func(r Relation) bool {
			return slices.Contains(c.Relations[r].From, k) && holdsOne(k, c.Relations[r].Roles)
		})
	}
	if p.Team && !groups {
		return false
	}
	// Where there are groups, an account of any kind may be in one that is linked.
	if len(p.LinkedBy) > 0 && !groups && !slices.ContainsFunc(p.On, func(on Kind) bool { return linked(on, p.LinkedBy) }) {
		return false
	}
	for k := range c.Kinds {
		switch {
		case !holdsOne(k, p.Roles):
		case len(p.Kinds) > 0 && !slices.Contains(p.Kinds, k):
		case len(p.Links) > 0 && !groups && !linked(k, p.Links):
		case len(p.Grants) > 0 && !slices.ContainsFunc(p.Grants, func(g Profile) bool { return holdsOne(k, c.Grants[g].Roles) }):
		case (p.Self || len(p.LinkedBy) > 0) && k != c.Protected:
		default:
			return true
		}
	}
	return false
}
