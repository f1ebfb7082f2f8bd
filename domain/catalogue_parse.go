package domain

// How the YAML of a role catalogue becomes a Catalogue (contract §7), strictly: what is not understood is a mistake, and
// every mistake names its line and key. It owns what a catalogue may say; what the lines mean for a question is Evaluate's.
//
// The document is read as a tree of nodes and not into structs, because a decoder knows the place of a value only while
// it is at it, and a mistake found later ("no such role") must name its line too. Names are collected first, then each
// section is read with every reference checked where it stands, so the order of sections is free.

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Bounds on what a catalogue of MaxDocument bytes may unfold to, so that a hostile one costs no more than an error.
const (
	maxLines    = 1 << 16               // (permit, type, action) triples: what compile indexes
	maxCells    = 1 << 18               // the same times holders and the names asked for beside them: what Matrix lays out
	maxDepth    = 8                     // lists and keys within one another; permits[0].unless.link[0] is at 5
	maxMistake  = 600                   // bytes of a mistake's text
	maxMistakes = 100                   // reported in full; the rest are counted
	maxListed   = 12                    // names listed in a mistake
	maxDuration = 3660 * 24 * time.Hour // ten years; any event's time plus it is still an Instant
	maxCount    = 1_000_000
)

// catalogueType is a resource type in every catalogue: the catalogue itself.
var catalogueType = CatalogueRef.Kind()

// Digest names a catalogue document by its bytes: "sha256:" and 64 hex digits.
func Digest(document []byte) string {
	sum := sha256.Sum256(document)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseCatalogue reads one YAML document of at most MaxDocument bytes. The error is a RuleBroken "bad_catalogue"; its
// message has a line for each mistake, in the order of the document: "catalogue line 12: permits[3].role: …".
func ParseCatalogue(document []byte) (*Catalogue, error) {
	r := &reading{}
	root, ok := r.load(document)
	if !ok {
		return nil, r.err()
	}
	c := r.catalogue(root)
	if len(r.mistakes) > 0 {
		return nil, r.err()
	}
	c.compile()
	return c, nil
}

// readNames reads a list of names that must be among the known ones.
func readNames[T ~string](p place, what string, known vocabulary) []T {
	var got []T
	seen := map[string]bool{}
	for _, e := range p.list() {
		s, ok := e.word()
		switch {
		case !ok:
		case !known.has[s]:
			e.wrong("unknown %s %q; %s", what, clip(s), p.r.listNames(what+"s", s, known.sorted))
		case seen[s]:
			e.wrong("%s is named twice", s)
		default:
			seen[s] = true
			got = append(got, T(s))
		}
	}
	return got
}

// readActions reads a list of actions.
func readActions(p place) []Action {
	var got []Action
	seen := map[Action]bool{}
	for _, e := range p.list() {
		s, ok := e.word()
		if !ok {
			continue
		}
		a, err := ParseAction(s)
		switch {
		case err != nil:
			e.wrong("%v", err)
		case seen[a]:
			e.wrong("%s is named twice", a)
		default:
			seen[a] = true
			got = append(got, a)
		}
	}
	return got
}

// declared gives the names that a section declares. A malformed one is complained of, and known all the same, so that
// the references to it are no mistakes of their own.
func declared(section place, what string) ([]place, vocabulary) {
	all, _ := section.entries()
	known := make(map[string]bool, len(all))
	for _, e := range all {
		if _, err := ParseName(what, e.key); err != nil {
			e.wrong("%v", err)
		}
		known[e.key] = true
	}
	return all, vocabularyOf(known)
}

// catalogue reads the whole document. What it gives is complete only where there were no mistakes.
func (r *reading) catalogue(doc place) *Catalogue {
	f := doc.fields("catalogue", "title", "about", "kinds", "resources", "trust_properties", "roles", "founder",
		"relations", "grants", "lockout", "guests", "actions", "permits", "never")
	doc.need(f, "catalogue", "kinds", "roles", "founder", "permits")
	c := &Catalogue{Title: f["title"].text(), About: f["about"].text()}
	if p := f["catalogue"]; p.given() {
		if s, ok := p.word(); ok {
			if _, err := ParseName("catalogue", s); err != nil {
				p.wrong("%v", err)
			}
			c.Name = s
		}
	}

	var kinds, roles, relations, grants []place
	kinds, r.kinds = declared(f["kinds"], "kind")
	resources, named := declared(f["resources"], "type")
	roles, r.roles = declared(f["roles"], "role")
	relations, r.relations = declared(f["relations"], "relation")
	grants, r.grants = declared(f["grants"], "grant")
	types := map[string]bool{string(catalogueType): true}
	maps.Copy(types, r.kinds.has)
	maps.Copy(types, named.has)
	r.types = vocabularyOf(types)

	r.readKinds(c, f["kinds"], kinds)
	r.readResources(c, resources, f["trust_properties"].flag())
	r.readRoles(c, roles)
	r.readFounder(c, f["founder"])
	r.readRelations(c, relations)
	r.readGrants(c, grants)
	if p := f["lockout"]; p.given() {
		lf := p.fields("failed_signins", "about")
		p.need(lf, "failed_signins")
		c.Lockout = LockoutRule{FailedSignins: lf["failed_signins"].count(), About: lf["about"].text()}
	}
	if p := f["guests"]; p.given() {
		gf := p.fields("longest", "about")
		p.need(gf, "longest")
		c.Guests = GuestRule{Longest: gf["longest"].duration(), About: gf["about"].text()}
	}
	r.readPermits(c, f["permits"])
	r.readNever(c, f["never"])
	r.readActionTitles(c, f["actions"])
	return c
}

func (r *reading) readKinds(c *Catalogue, section place, kinds []place) {
	c.Kinds = make(map[Kind]KindRule, len(kinds))
	for _, p := range kinds {
		f := p.fields("title", "about", "protected", "group")
		k, rule := Kind(p.key), KindRule{Title: f["title"].text(), About: f["about"].text(), Protected: f["protected"].flag(), Group: f["group"].flag()}
		c.Kinds[k] = rule
		switch {
		case k == catalogueType:
			p.wrong("this is the catalogue itself in every ledger; name the kind otherwise")
		case rule.Protected && c.Protected != "":
			p.wrong("%s is protected already; exactly one kind is", c.Protected)
		case rule.Protected && rule.Group:
			p.wrong("a group can't be protected: what the ledger guards is one person's")
		}
		if rule.Protected && c.Protected == "" {
			c.Protected = k
		}
	}
	if section.given() && c.Protected == "" {
		section.wrong("no kind is protected; exactly one must say protected: true")
	}
}

func (r *reading) readResources(c *Catalogue, resources []place, trust bool) {
	c.Resources = make(map[Kind]ResourceRule, len(resources)+1)
	for _, p := range resources {
		f := p.fields("title", "about", "of", "trust_properties", "registered_by", "removed_by")
		rule := ResourceRule{Title: f["title"].text(), About: f["about"].text(), TrustProperties: trust,
			RegisteredBy: readActions(f["registered_by"]), RemovedBy: readActions(f["removed_by"])}
		if own := f["trust_properties"]; own.given() {
			rule.TrustProperties = own.flag()
		}
		if of := f["of"]; of.given() {
			s, ok := of.word()
			rule.Of = Kind(s)
			switch {
			case ok && c.Protected != "" && rule.Of != c.Protected:
				of.wrong("%q is not the protected kind; of: %s, or leave it out", clip(s), c.Protected)
			case p.key == string(catalogueType):
				of.wrong("the catalogue belongs to nobody; leave it out")
			}
		}
		for _, by := range []string{"registered_by", "removed_by"} {
			if f[by].given() && rule.Of == "" {
				f[by].wrong("only what is of: %s is registered", c.Protected)
			}
		}
		if r.kinds.has[p.key] {
			p.wrong("%s is a kind of account too; a type is one or the other", p.key)
		}
		c.Resources[Kind(p.key)] = rule
	}
	if _, ok := c.Resources[catalogueType]; !ok {
		c.Resources[catalogueType] = ResourceRule{}
	}
}

func (r *reading) readRoles(c *Catalogue, roles []place) {
	c.Roles = make(map[Role]RoleRule, len(roles))
	for _, p := range roles {
		f := p.fields("title", "about", "for", "group", "needs")
		p.need(f, "for")
		rule := RoleRule{Title: f["title"].text(), About: f["about"].text(), For: readNames[Kind](f["for"], "kind", r.kinds),
			Needs: readNames[Role](f["needs"], "role", r.roles)}
		if g := f["group"]; g.given() {
			if s, ok := g.word(); ok {
				if _, err := ParseName("group", s); err != nil {
					g.wrong("%v", err)
				}
				rule.Group = s
			}
		}
		for _, k := range rule.For {
			if c.Kinds[k].Group {
				f["for"].wrong("%s is a group; roles are held by its members", k)
			}
		}
		c.Roles[Role(p.key)] = rule
	}
	r.needCycles(c, roles)
}

// needCycles complains of each role from which its own needs lead back to it: the first of it would need the second.
func (r *reading) needCycles(c *Catalogue, roles []place) {
	const entered, left = 1, 2
	state := make(map[Role]int, len(roles))
	lines := make(map[Role]place, len(roles))
	for _, p := range roles {
		lines[Role(p.key)] = p
	}
	var visit func(Role)
	visit = func(name Role) {
		state[name] = entered
		for _, need := range c.Roles[name].Needs {
			switch state[need] {
			case entered:
				lines[name].wrong("needs %s, which in the end needs %s itself", need, name)
			case 0:
				visit(need)
			}
		}
		state[name] = left
	}
	for _, p := range roles {
		if state[Role(p.key)] == 0 {
			visit(Role(p.key))
		}
	}
}

// readFounder checks that one account can hold all the founder's roles at once.
func (r *reading) readFounder(c *Catalogue, p place) {
	c.Founder = readNames[Role](p, "role", r.roles)
	groups := map[string]Role{}
	var kinds []Kind
	for i, name := range c.Founder {
		rule := c.Roles[name]
		if other, twice := groups[rule.Group]; twice && rule.Group != "" {
			p.wrong("%s and %s are both of group %s; only one of a group can be held", other, name, rule.Group)
		}
		groups[rule.Group] = name
		if len(rule.Needs) > 0 && !slices.ContainsFunc(rule.Needs, func(n Role) bool { return slices.Contains(c.Founder, n) }) {
			p.wrong("%s needs one of %v; name it here too", name, rule.Needs)
		}
		if i == 0 {
			kinds = slices.Clone(rule.For)
		}
		kinds = slices.DeleteFunc(kinds, func(k Kind) bool { return !slices.Contains(rule.For, k) })
	}
	if len(c.Founder) > 1 && len(kinds) == 0 {
		p.wrong("no kind of account may hold all of %v", c.Founder)
	}
}

func (r *reading) readRelations(c *Catalogue, relations []place) {
	c.Relations = make(map[Relation]RelationRule, len(relations))
	for _, p := range relations {
		f := p.fields("title", "about", "from", "role", "by", "on_open", "most")
		p.need(f, "from")
		rule := RelationRule{Title: f["title"].text(), About: f["about"].text(), From: readNames[Kind](f["from"], "kind", r.kinds),
			Roles: readNames[Role](f["role"], "role", r.roles), OnOpen: f["on_open"].flag()}
		if by := f["by"]; by.given() {
			if s, ok := by.word(); ok {
				a, err := ParseAction(s)
				if err != nil {
					by.wrong("%v", err)
				}
				rule.By = a
			}
		}
		if most, _ := f["most"].entries(); len(most) > 0 {
			rule.Most = make(map[Role]int, len(most))
			for _, m := range most {
				if !r.roles.has[m.key] {
					m.wrong("unknown role %q; %s", clip(m.key), r.listNames("roles", m.key, r.roles.sorted))
				}
				rule.Most[Role(m.key)] = m.count()
			}
		}
		c.Relations[Relation(p.key)] = rule
	}
}

func (r *reading) readGrants(c *Catalogue, grants []place) {
	c.Grants = make(map[Profile]GrantRule, len(grants))
	for _, p := range grants {
		f := p.fields("title", "about", "role", "longest", "reason", "review_within")
		rule := GrantRule{Title: f["title"].text(), About: f["about"].text(), Roles: readNames[Role](f["role"], "role", r.roles),
			Longest: f["longest"].duration(), ReviewWithin: f["review_within"].duration()}
		if reason := f["reason"]; reason.given() {
			switch reason.node.Value {
			case "required":
				rule.ReasonRequired = true
			case "optional":
			default:
				reason.wrong("want required or optional, got %s", nodeShape(reason.node))
			}
		}
		c.Grants[Profile(p.key)] = rule
	}
}

func (r *reading) readPermits(c *Catalogue, section place) {
	if !section.given() {
		return
	}
	if section.node.Kind != yaml.SequenceNode {
		section.wrong("want a list of permits, got %s", nodeShape(section.node))
		return
	}
	lines, cells := 0, 0
	for _, p := range section.list() {
		f := p.fields(append(slices.Clone(selectorKeys), "on", "actions", "unless")...)
		p.need(f, "on", "actions")
		permit := Permit{On: readNames[Kind](f["on"], "type", r.types), Actions: readActions(f["actions"]), Line: p.line}
		permit.Selectors = r.readSelectors(c, f, permit.On)
		if u := f["unless"]; u.given() {
			uf := u.fields(selectorKeys...)
			if uf != nil && len(uf) == 0 {
				u.wrong("it is empty; it wants at least one selector")
			}
			unless := r.readSelectors(c, uf, permit.On)
			permit.Unless = &unless
		}
		if lines += len(permit.On) * len(permit.Actions); lines > maxLines {
			p.wrong("the permits up to here unfold to more than %d types and actions; a catalogue has at most that many", maxLines)
			return
		}
		if cells += len(permit.On) * len(permit.Actions) * permit.cells(); cells > maxCells {
			p.wrong("the permits up to here unfold to more than %d types, actions and names of selectors; a catalogue has at most that many", maxCells)
			return
		}
		c.Permits = append(c.Permits, permit)
	}
}

func (r *reading) readNever(c *Catalogue, section place) {
	if !section.given() {
		return
	}
	if section.node.Kind != yaml.SequenceNode {
		section.wrong("want a list, got %s", nodeShape(section.node))
		return
	}
	for _, p := range section.list() {
		f := p.fields("role", "on", "actions")
		p.need(f, "role", "on", "actions")
		c.Never = append(c.Never, NeverRule{Roles: readNames[Role](f["role"], "role", r.roles),
			On: readNames[Kind](f["on"], "type", r.types), Actions: readActions(f["actions"]), Line: p.line})
	}
}

func (r *reading) readActionTitles(c *Catalogue, section place) {
	actions, _ := section.entries()
	if len(actions) == 0 {
		return
	}
	c.ActionTitles = make(map[Action]Text, len(actions))
	for _, p := range actions {
		if _, err := ParseAction(p.key); err != nil {
			p.wrong("%v", err)
		}
		c.ActionTitles[Action(p.key)] = p.text()
	}
}

// selectorKeys are the keys of a permit that say whom it is for.
var selectorKeys = []string{"role", "kind", "link", "linked_by", "grant", "self", "own", "team", "invited"}

// readSelectors reads the selectors among f and checks that each can be asked of every type in on.
func (r *reading) readSelectors(c *Catalogue, f map[string]place, on []Kind) Selectors {
	s := Selectors{
		Roles:    readNames[Role](f["role"], "role", r.roles),
		Kinds:    readNames[Kind](f["kind"], "kind", r.kinds),
		Links:    readNames[Relation](f["link"], "relation", r.relations),
		LinkedBy: readNames[Relation](f["linked_by"], "relation", r.relations),
		Grants:   readNames[Profile](f["grant"], "grant", r.grants),
		Self:     f["self"].only(),
		Own:      f["own"].only(),
		Team:     f["team"].only(),
		Invited:  f["invited"].only(),
	}
	for _, k := range on {
		of := c.Resources[k].Of != ""
		for _, key := range []string{"link", "grant"} {
			if p := f[key]; p.given() && c.Protected != "" && k != c.Protected && !of {
				p.wrong("can't be asked of %s, which is neither %s nor of: %s", k, c.Protected, c.Protected)
			}
		}
		for _, key := range []string{"self", "team"} { // somebody's own roles, a colleague of one's team
			if p := f[key]; p.given() && c.Protected != "" && !r.kinds.has[string(k)] && !of {
				p.wrong("can't be asked of %s, which is neither an account nor of: %s", k, c.Protected)
			}
		}
		if p := f["own"]; p.given() && !of {
			p.wrong("can't be asked of %s: only what is of: a protected account has a creator", k)
		}
		if p := f["linked_by"]; p.given() && !r.kinds.has[string(k)] {
			p.wrong("can't be asked of %s, which is no kind of account", k)
		}
		if p := f["invited"]; p.given() && r.kinds.has[string(k)] {
			p.wrong("can't be asked of %s, which is a kind of account: one is invited to a call", k)
		}
	}
	return s
}

// only gives a selector that is there or not. false is refused: it would read as "not self", which it is not.
func (p place) only() bool {
	if p.given() && !p.flag() {
		p.wrong("want true, or leave it out")
	}
	return p.given()
}
