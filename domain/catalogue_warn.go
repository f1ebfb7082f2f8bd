package domain

// What a catalogue allows that its author surely did not mean. It owns the warnings of catalogue check, and refuses
// nothing: that is the parser's.
//
// That nobody may do what some part of the catalogue needs is certain only where no permit names it: a permit that can
// never hold is warned of as such, and its action can still be given to somebody individually.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Warnings gives what is allowed but surely not meant, a line each, with what would be right: roles, relations and
// grants that make no difference, permits that can never hold, actions that some part of the catalogue needs and nobody
// may do, and titles that are there in some languages only. It warns only of what is certain.
func (c *Catalogue) Warnings() []string {
	w := warnings{Catalogue: c, holders: c.holders()}
	w.roles()
	w.relations()
	w.grants()
	w.others()
	w.permits()
	w.languages()
	return w.lines
}

type warnings struct {
	*Catalogue
	holders map[Role]map[Kind]bool // see holders
	lines   []string
}

func (w *warnings) warn(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// nobody tells whether no permit lets anybody do the action on any of the types.
func (w *warnings) nobody(action Action, on ...Kind) bool {
	return !slices.ContainsFunc(on, func(k Kind) bool { return len(w.Lines(k, action)) > 0 })
}

func (w *warnings) accounts() []Kind { return sortedKeys(w.Kinds) }

func noteNames[T comparable](seen map[T]bool, names []T) {
	for _, n := range names {
		seen[n] = true
	}
}

func (w *warnings) roles() {
	needed, named := map[Role]bool{}, map[Role][]*Permit{}
	for _, rule := range w.Roles {
		noteNames(needed, rule.Needs)
	}
	for _, rule := range w.Relations {
		noteNames(needed, rule.Roles)
		noteNames(needed, slices.Collect(maps.Keys(rule.Most)))
	}
	for _, rule := range w.Grants {
		noteNames(needed, rule.Roles)
	}
	for _, n := range w.Never {
		noteNames(needed, n.Roles)
	}
	for i := range w.Permits {
		p := &w.Permits[i]
		if p.Unless != nil {
			noteNames(needed, p.Unless.Roles)
		}
		for _, r := range p.Roles {
			named[r] = append(named[r], p)
		}
	}
	var ungiven []Role
	for _, name := range sortedKeys(w.Roles) {
		rule := w.Roles[name]
		inGroup := func(n Role) bool { return rule.Group != "" && w.Roles[n].Group == rule.Group }
		holdsFor := func(p *Permit) bool {
			alone := *p
			alone.Roles = []Role{name}
			return w.canHold(&alone)
		}
		switch {
		case len(rule.Needs) > 0 && !slices.ContainsFunc(rule.Needs, func(n Role) bool { return !inGroup(n) }):
			w.warn("role %s: all that it needs is of its own group %s, of which one role is held at a time; name a role of another group", name, rule.Group)
		case len(w.holders[name]) == 0:
			w.warn("role %s: no account can ever hold it together with a role it needs; let both be for one kind", name)
		case len(named[name]) == 0 && !needed[name]:
			w.warn("role %s: no permit names it and nothing needs it; name it in a permit, or leave it out", name)
		case !needed[name] && !slices.ContainsFunc(named[name], holdsFor):
			w.warn("role %s: it permits nothing, as no permit that names it can hold for who has it; set those permits right, or leave it out", name)
		}
		if w.nobody("role.assign", rule.For...) {
			ungiven = append(ungiven, name)
		}
	}
	if len(ungiven) > 0 {
		w.warn("nobody may role.assign on an account that may hold them, so nobody is ever given %s; permit it", shortList(ungiven))
	}
}

func (w *warnings) relations() {
	used := map[Relation]bool{}
	for _, p := range w.Permits {
		for _, s := range []*Selectors{&p.Selectors, p.Unless} {
			if s != nil {
				noteNames(used, s.Links)
				noteNames(used, s.LinkedBy)
			}
		}
	}
	for _, name := range sortedKeys(w.Relations) {
		rule := w.Relations[name]
		if !used[name] {
			w.warn("relation %s: no permit uses it; use it in one, or leave it out", name)
		}
		switch {
		case rule.By != "" && w.nobody(rule.By, w.Protected):
			w.warn("relation %s: nobody may %s on %s, so nobody makes or ends such a link; permit it", name, rule.By, w.Protected)
		case rule.By == "" && w.nobody("caseload.link", w.Protected) && (!rule.OnOpen || w.nobody("account.open", w.Protected)):
			w.warn("relation %s: nobody may caseload.link on %s, so nobody is ever linked so; permit it, or say another action in by", name, w.Protected)
		}
	}
}

func (w *warnings) grants() {
	used := map[Profile]bool{}
	for _, p := range w.Permits {
		noteNames(used, p.Grants)
		if p.Unless != nil {
			noteNames(used, p.Unless.Grants)
		}
	}
	for _, name := range sortedKeys(w.Grants) {
		if !used[name] {
			w.warn("grant %s: no permit uses it; use it in one, or leave it out", name)
		}
		if w.nobody("access.grant", w.Protected) {
			w.warn("grant %s: nobody may access.grant on %s, so nobody ever gets it; permit it", name, w.Protected)
		}
		if w.Grants[name].ReviewWithin > 0 && w.nobody("access.review", w.Protected) {
			w.warn("grant %s: nobody may access.review on %s, so none is reviewed in time; permit it, or leave review_within out", name, w.Protected)
		}
	}
}

// others looks at what is neither role, relation, grant nor permit.
func (w *warnings) others() {
	if w.nobody("catalogue.adopt", catalogueType) {
		w.warn("nobody may catalogue.adopt on catalogue, so what this catalogue says stays so for good; permit it")
	}
	for _, k := range w.accounts() {
		if w.Kinds[k].Group && w.nobody("team.join", k) {
			w.warn("kind %s: nobody may team.join on it, so none ever has a member; permit it", k)
		}
	}
	for _, k := range sortedKeys(w.Resources) {
		rule := w.Resources[k]
		for _, by := range []struct {
			key     string
			actions []Action
			command Action
		}{{"registered_by", rule.RegisteredBy, "resource.register"}, {"removed_by", rule.RemovedBy, "resource.remove"}} {
			for _, a := range by.actions {
				if w.nobody(a, k) {
					w.warn("resource %s: %s names %s, which nobody may on %s; name an action that somebody may there", k, by.key, a, k)
				}
			}
			if len(by.actions) > 0 && w.nobody(by.command, w.Protected) {
				w.warn("resource %s: nobody may %s on %s, so %s is of no use; permit it", k, by.command, w.Protected, by.key)
			}
		}
	}
	if w.Lockout.FailedSignins > 0 && w.nobody("account.unlock", w.accounts()...) {
		w.warn("lockout: nobody may account.unlock, so who is locked out stays out; permit it")
	}
	if w.Guests.Longest > 0 && w.nobody("guest.invite", w.Types()...) {
		w.warn("guests: nobody may guest.invite, so there are none; permit it, or leave guests out")
	}
	if len(w.Never) > 0 && w.nobody("permission.add", w.accounts()...) {
		w.warn("never: nobody may permission.add, so nothing is given individually; permit it, or leave never out")
	}
	for _, n := range w.Never {
		for _, a := range n.Actions {
			if w.nobody(a, n.On...) {
				w.warn("line %d: no permit names %s on %s, so it is never given to anybody; name an action that somebody may there", n.Line, a, oneOf("", n.On))
			}
		}
	}
	named := map[Action]bool{"signin.fail": true, "signin.succeed": true} // reports, which no permit guards
	for _, p := range w.Permits {
		noteNames(named, p.Actions)
	}
	for _, a := range sortedKeys(w.ActionTitles) {
		if !named[a] {
			w.warn("action %s: it has a title, and no permit names it; permit it, or leave the title out", a)
		}
	}
}

func (w *warnings) permits() {
	for i := range w.Permits {
		p := &w.Permits[i]
		if !w.canHold(p) {
			w.warn("line %d: this permit can never hold: no kind of account meets all its selectors on %s; change one of them, or leave it out", p.Line, oneOf("", p.On))
			continue
		}
		for _, on := range p.On {
			if p.Invited && w.nobody("guest.invite", on) {
				w.warn("line %d: nobody may guest.invite on %s, so nobody is invited to one; permit it", p.Line, on)
			}
		}
	}
}

// languages looks for titles and abouts that are there in one language and not in another that others are there in.
// That something has none at all is a choice.
func (w *warnings) languages() {
	type said struct {
		what string
		text Text
	}
	titles, abouts := []said{{"the catalogue", w.Title}}, []said{{"the catalogue", w.About}}
	add := func(what, name string, title, about Text) {
		titles, abouts = append(titles, said{what + " " + name, title}), append(abouts, said{what + " " + name, about})
	}
	for _, n := range sortedKeys(w.Kinds) {
		add("kind", string(n), w.Kinds[n].Title, w.Kinds[n].About)
	}
	for _, n := range sortedKeys(w.Resources) {
		add("resource", string(n), w.Resources[n].Title, w.Resources[n].About)
	}
	for _, n := range sortedKeys(w.Roles) {
		add("role", string(n), w.Roles[n].Title, w.Roles[n].About)
	}
	for _, n := range sortedKeys(w.Relations) {
		add("relation", string(n), w.Relations[n].Title, w.Relations[n].About)
	}
	for _, n := range sortedKeys(w.Grants) {
		add("grant", string(n), w.Grants[n].Title, w.Grants[n].About)
	}
	for _, n := range sortedKeys(w.ActionTitles) {
		add("action", string(n), w.ActionTitles[n], nil)
	}
	abouts = append(abouts, said{"lockout", w.Lockout.About}, said{"guests", w.Guests.About})
	for _, all := range []struct {
		key  string
		said []said
	}{{"title", titles}, {"about", abouts}} {
		languages := map[string]bool{}
		for _, s := range all.said {
			noteNames(languages, slices.Collect(maps.Keys(s.text)))
		}
		for _, lang := range sortedKeys(languages) {
			var without []string
			for _, s := range all.said {
				if len(s.text) > 0 && s.text[lang] == "" {
					without = append(without, s.what)
				}
			}
			if len(without) > 0 {
				w.warn("%s: others are there in %s too, but not that of %s; write it in %s as well", all.key, lang, shortList(without), lang)
			}
		}
	}
}

// shortList writes names, the first few where they are many.
func shortList[S ~string](names []S) string {
	words := plainNames(names)
	if len(words) > maxListed {
		words = append(words[:maxListed:maxListed], fmt.Sprintf("and %d more", len(words)-maxListed))
	}
	return strings.Join(words, ", ")
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

// canHold tells whether an account of some kind could meet every selector of the permit on one of its types, with nothing
// of its unless certain to hold then too.
func (w *warnings) canHold(p *Permit) bool {
	for k := range w.Kinds {
		if w.meets(k, p) && slices.ContainsFunc(p.On, func(on Kind) bool { return w.reaches(k, p, on) }) {
			return true
		}
	}
	return false
}

// holdsOne tells whether an account of the kind can hold one of the roles, or needs none.
func (w *warnings) holdsOne(k Kind, roles []Role) bool {
	return len(roles) == 0 || slices.ContainsFunc(roles, func(r Role) bool { return w.holders[r][k] })
}

// linked tells whether an account of the kind can have a link of one of the relations, itself or through a group: where
// there are groups, any may be in one that is linked.
func (w *warnings) linked(k Kind, relations []Relation) bool {
	return w.groups || slices.ContainsFunc(relations, func(r Relation) bool {
		return slices.Contains(w.Relations[r].From, k) && w.holdsOne(k, w.Relations[r].Roles)
	})
}

// meets tells whether an account of the kind can meet what the permit asks for whatever the resource is.
func (w *warnings) meets(k Kind, p *Permit) bool {
	switch u := p.Unless; {
	case !w.holdsOne(k, p.Roles),
		len(p.Kinds) > 0 && !slices.Contains(p.Kinds, k),
		len(p.Links) > 0 && !w.linked(k, p.Links),
		len(p.LinkedBy) > 0 && k != w.Protected, // links are to protected accounts
		len(p.Grants) > 0 && !slices.ContainsFunc(p.Grants, func(g Profile) bool { return w.holdsOne(k, w.Grants[g].Roles) }),
		p.Team && (!w.groups || w.Kinds[k].Group): // a group is in no group
		return false
	case u == nil:
		return true
	default:
		roles := slices.DeleteFunc(slices.Clone(p.Roles), func(r Role) bool { return !w.holders[r][k] })
		return !(slices.Contains(u.Kinds, k) || within(roles, u.Roles) || within(p.Links, u.Links) || within(p.LinkedBy, u.LinkedBy) ||
			within(p.Grants, u.Grants) || p.Self && u.Self || p.Own && u.Own || p.Team && u.Team || p.Invited && u.Invited)
	}
}

// within tells whether there are some, all of which are among others.
func within[T comparable](some, others []T) bool {
	return len(some) > 0 && !slices.ContainsFunc(some, func(t T) bool { return !slices.Contains(others, t) })
}

// reaches tells whether an account of the kind can meet what the permit asks for of a resource of the type.
func (w *warnings) reaches(k Kind, p *Permit, on Kind) bool {
	client := on == w.Protected || w.Resources[on].Of != ""
	switch {
	case p.Self && on != k && !(k == w.Protected && client),
		len(p.LinkedBy) > 0 && !w.linked(on, p.LinkedBy),
		p.Team && w.Kinds[on].Group,
		p.Invited && w.Resources[on].Of != "": // a call belongs to nobody
		return false
	}
	return true
}
