package domain

// The role catalogue: which kinds, roles, relations and grants there are and who may do what by them (contract §7).
// How the YAML is read is in catalogue_parse.go; this file holds what was read and the few questions that deciding
// asks of it. A Catalogue is immutable once parsed.

import (
	"slices"
	"time"
)

// Text is a short text in several languages, by language code ("en", "nl").
type Text map[string]string

// In gives the text in the language, in English where it lacks it, or "".
func (t Text) In(lang string) string {
	if s := t[lang]; s != "" {
		return s
	}
	return t["en"]
}

// A Catalogue is one version of an organisation's role system.
type Catalogue struct {
	Name      string
	Title     Text
	About     Text // one line that says what it is for
	Kinds     map[Kind]KindRule
	Resources map[Kind]ResourceRule
	Roles     map[Role]RoleRule
	Founder   []Role // what the founder of a ledger is given, all of them
	Relations map[Relation]RelationRule
	Grants    map[Profile]GrantRule
	Lockout   LockoutRule
	Guests    GuestRule
	Permits   []Permit // in the order of the document
	// Never says what no individual permission gives to the holders of a role; see NeverRule.
	Never []NeverRule
	// ActionTitles says in a few words what an action is, e.g. "see private data". An action may have none.
	ActionTitles map[Action]Text

	// Protected is the one kind whose accounts the ledger guards.
	Protected Kind

	lines   map[lineKey][]*Permit // Permits by what they permit; see compile
	actions map[Kind][]Action     // by type, sorted
	groups  bool                  // some kind is a group
}

type lineKey struct {
	on     Kind
	action Action
}

// KindRule is a kind of account.
type KindRule struct {
	Title     Text
	About     Text
	Protected bool // the person whose data the ledger guards; exactly one kind is
	Group     bool // its members share its links
}

// ResourceRule is a type of resource that is not an account.
type ResourceRule struct {
	Title           Text
	About           Text
	Of              Kind // the protected kind, where each resource belongs to such an account; "" where it belongs to nobody
	TrustProperties bool // an unregistered one may bring its client and creator in the question
	// RegisteredBy and RemovedBy are actions on the resource itself, of which who registers or removes one needs one
	// besides resource.register or resource.remove on whom it belongs to; empty: none.
	RegisteredBy, RemovedBy []Action
}

// RoleRule is a role.
type RoleRule struct {
	Title Text
	About Text
	For   []Kind // kinds of account that may hold it
	Group string // at most one role of a group is held at a time; "": no group
	Needs []Role // one of these must be held; empty: none needed
}

// RelationRule is a way of being linked to a protected account.
type RelationRule struct {
	Title  Text
	About  Text
	From   []Kind       // kinds of account that may be linked so (groups may always)
	Roles  []Role       // one of these must be held by who is linked; empty: none needed
	By     Action       // the action that linking and unlinking needs instead of caseload.link and caseload.unlink
	OnOpen bool         // who opens a protected account and may have this relation gets it
	Most   map[Role]int // for holders of a role: how many links they may have open, over all relations
}

// GrantRule is a profile of temporary access.
type GrantRule struct {
	Title          Text
	About          Text
	Roles          []Role        // one of these must be held by who gets it; empty: none needed
	Longest        time.Duration // 0: no limit
	ReasonRequired bool
	ReviewWithin   time.Duration // 0: needs no review
}

// LockoutRule says when failed sign-ins lock an account. FailedSignins 0: never.
type LockoutRule struct {
	FailedSignins int
	About         Text
}

// GuestRule bounds how long a guest may be invited for. Longest 0: no limit.
type GuestRule struct {
	Longest time.Duration
	About   Text
}

// A NeverRule is what the holders of a role can't be given: an individual permission for one of the actions on one of the
// types is refused them, and one that was given before they got the role gives nothing while they hold it. What a role
// gives by a permit is not its concern.
type NeverRule struct {
	Roles   []Role
	On      []Kind
	Actions []Action
	Line    int // in the document, from 1
}

// A Permit is one line of the catalogue: who meets every selector may do the actions on the types.
type Permit struct {
	Selectors
	On      []Kind
	Actions []Action
	Unless  *Selectors // any of these takes the line away
	Line    int        // in the document, from 1
}

// Selectors say to whom a permit applies. Each list is any-of; the zero value is everyone.
type Selectors struct {
	Roles    []Role     // the principal holds one of these
	Kinds    []Kind     // the principal is of one of these
	Links    []Relation // the principal, or a team it is in, has such a link to the resource's protected account
	LinkedBy []Relation // the resource is an account that has such a link to the principal
	Grants   []Profile  // the principal has such an open grant on the resource's protected account
	Self     bool       // the resource's protected account is the principal
	Own      bool       // the principal created the resource
	Team     bool       // the principal and the resource's protected account are in one team
	Invited  bool       // the principal is a guest of this call
}

// Lines gives the permits that allow the action on the type, in the order of the document.
func (c *Catalogue) Lines(on Kind, action Action) []*Permit { return c.lines[lineKey{on, action}] }

// Actions gives the actions that some permit allows on the type, sorted.
func (c *Catalogue) Actions(on Kind) []Action { return slices.Clone(c.actions[on]) }

// never gives the roles whose holders no individual permission gives the action on the type.
func (c *Catalogue) never(on Kind, action Action) (roles []Role) {
	for _, n := range c.Never {
		if slices.Contains(n.On, on) && slices.Contains(n.Actions, action) {
			roles = append(roles, n.Roles...)
		}
	}
	return roles
}

// Type tells whether the catalogue knows the type, as a kind of account or of other resource.
// catalogue is a type in every catalogue: the catalogue itself.
func (c *Catalogue) Type(k Kind) bool {
	_, account := c.Kinds[k]
	_, other := c.Resources[k]
	return account || other
}

// compile indexes the permits; the parser calls it once.
func (c *Catalogue) compile() {
	c.lines, c.actions = make(map[lineKey][]*Permit), make(map[Kind][]Action)
	for _, k := range c.Kinds {
		c.groups = c.groups || k.Group
	}
	for i := range c.Permits {
		p := &c.Permits[i]
		for _, on := range p.On {
			for _, a := range p.Actions {
				k := lineKey{on, a}
				if c.lines[k] == nil {
					c.actions[on] = append(c.actions[on], a)
				}
				c.lines[k] = append(c.lines[k], p)
			}
		}
	}
	for _, as := range c.actions {
		slices.Sort(as)
	}
}
