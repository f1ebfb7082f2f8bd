package domain

// What a catalogue says, laid out for readers: its parts as programs get them, and the matrix of who may do what. It
// decides nothing (Evaluate does), and makes no sentences of it: that is for who shows it.

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A MatrixRow says who may do one action on one type.
type MatrixRow struct {
	On     Kind   `json:"on"`
	Action Action `json:"action"`
	// Cells has one for everybody who may at all: roles by their names, then kinds by theirs, then anyone.
	Cells []MatrixCell `json:"cells"`
}

// A MatrixCell says how one holder may: who holds the role or else, where no role is asked for, is of the kind; anyone
// where neither is given.
type MatrixCell struct {
	Role Role  `json:"role,omitempty"`
	Kind Kind  `json:"kind,omitempty"`
	Ways []Way `json:"ways"` // any of them is enough, in the order of the document
}

// A Way is one permit, as it is for one holder.
type Way struct {
	Reach  []Condition `json:"reach"`            // all of them must hold; the first is what the holder reaches by it
	Unless []Condition `json:"unless,omitempty"` // any of them takes the way away
	Line   int         `json:"line"`             // of the permit in the document, from 1
}

// A Condition is one selector of a permit. Of says which: any of them is enough.
type Condition struct {
	By By       `json:"by"`
	Of []string `json:"of,omitempty"` // relations of caseload and linked_by, profiles of emergency, kinds, roles
}

// By is a kind of reach.
type By string

const (
	ByAll       By = "all"       // every one of the type
	ByCaseload  By = "caseload"  // those whose protected account the holder, or a team it is in, has a link to
	ByLinkedBy  By = "linked_by" // the accounts that have a link to the holder
	ByEmergency By = "emergency" // those whose protected account the holder has temporary access to
	BySelf      By = "self"      // the holder's own account, and what belongs to it
	ByOwn       By = "own"       // those that the holder created
	ByTeam      By = "team"      // those of who is in one team with the holder
	ByInvited   By = "invited"   // the calls that the holder is invited to
	ByKind      By = "kind"      // beside another, or in unless: the holder is of one of these kinds
	ByRole      By = "role"      // only in unless: the holder has one of these roles
)

// Matrix gives who may do what: a row for each type and action that some permit names, in the order of types and then
// of actions. A role that no account of a permit's kinds can hold has no cell by it.
func (c *Catalogue) Matrix() []MatrixRow {
	keys := slices.SortedFunc(maps.Keys(c.lines), func(a, b lineKey) int {
		return cmp.Or(strings.Compare(string(a.on), string(b.on)), strings.Compare(string(a.action), string(b.action)))
	})
	rows := make([]MatrixRow, 0, len(keys))
	for _, k := range keys {
		type holder struct {
			role Role
			kind Kind
		}
		ways := map[holder][]Way{}
		for _, p := range c.lines[k] {
			switch {
			case len(p.Roles) > 0:
				for _, r := range p.Roles {
					if kinds, held := c.kindsOf(p, r); held {
						ways[holder{role: r}] = append(ways[holder{role: r}], way(p, kinds))
					}
				}
			case len(p.Kinds) > 0:
				for _, kind := range p.Kinds {
					ways[holder{kind: kind}] = append(ways[holder{kind: kind}], way(p, nil))
				}
			default:
				ways[holder{}] = append(ways[holder{}], way(p, nil))
			}
		}
		row := MatrixRow{On: k.on, Action: k.action, Cells: []MatrixCell{}}
		for h, w := range ways {
			row.Cells = append(row.Cells, MatrixCell{Role: h.role, Kind: h.kind, Ways: w})
		}
		slices.SortFunc(row.Cells, func(a, b MatrixCell) int {
			return cmp.Or(a.rank()-b.rank(), strings.Compare(string(a.Role), string(b.Role)), strings.Compare(string(a.Kind), string(b.Kind)))
		})
		rows = append(rows, row)
	}
	return rows
}

func (cell *MatrixCell) rank() int {
	switch {
	case cell.Role != "":
		return 0
	case cell.Kind != "":
		return 1
	}
	return 2
}

// kindsOf gives the kinds that a permit asks of the holders of a role besides it; nil where all holders are of one.
// held is false where none can be.
func (c *Catalogue) kindsOf(p *Permit, r Role) (kinds []Kind, held bool) {
	if len(p.Kinds) == 0 {
		return nil, true
	}
	for _, k := range c.Roles[r].For {
		if slices.Contains(p.Kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == len(c.Roles[r].For) {
		return nil, true
	}
	return kinds, len(kinds) > 0
}

func way(p *Permit, kinds []Kind) Way {
	w := Way{Reach: conditions(&p.Selectors), Line: p.Line}
	if len(w.Reach) == 0 {
		w.Reach = []Condition{{By: ByAll}}
	}
	if len(kinds) > 0 {
		w.Reach = append(w.Reach, Condition{ByKind, plainNames(kinds)})
	}
	if u := p.Unless; u != nil {
		w.Unless = conditions(u)
		if len(u.Kinds) > 0 {
			w.Unless = append(w.Unless, Condition{ByKind, plainNames(u.Kinds)})
		}
		if len(u.Roles) > 0 {
			w.Unless = append(w.Unless, Condition{ByRole, plainNames(u.Roles)})
		}
	}
	return w
}

// cells gives how many names the matrix says for one action on one type by this permit.
func (p *Permit) cells() int {
	said := 1 + len(p.Kinds) + len(p.Links) + len(p.LinkedBy) + len(p.Grants)
	if u := p.Unless; u != nil {
		said += len(u.Roles) + len(u.Kinds) + len(u.Links) + len(u.LinkedBy) + len(u.Grants)
	}
	return max(1, len(p.Roles), len(p.Kinds)) * said
}

// conditions gives what the selectors ask for besides role and kind.
func conditions(s *Selectors) (all []Condition) {
	for _, c := range []struct {
		asked bool
		Condition
	}{
		{len(s.Links) > 0, Condition{ByCaseload, plainNames(s.Links)}},
		{len(s.Grants) > 0, Condition{ByEmergency, plainNames(s.Grants)}},
		{len(s.LinkedBy) > 0, Condition{ByLinkedBy, plainNames(s.LinkedBy)}},
		{s.Self, Condition{By: BySelf}}, {s.Own, Condition{By: ByOwn}},
		{s.Team, Condition{By: ByTeam}}, {s.Invited, Condition{By: ByInvited}},
	} {
		if c.asked {
			all = append(all, c.Condition)
		}
	}
	return all
}

func plainNames[S ~string](names []S) []string {
	if len(names) == 0 {
		return nil
	}
	plain := make([]string, len(names))
	for i, n := range names {
		plain[i] = string(n)
	}
	return plain
}

// CatalogueParts is what a catalogue says, as programs get it: under the document's own keys, with a list wherever it
// may have one, and without what it does not say. Its permits are the matrix.
type CatalogueParts struct {
	Title     Text                      `json:"title,omitempty"`
	About     Text                      `json:"about,omitempty"`
	Kinds     map[Kind]KindPart         `json:"kinds"`
	Resources map[Kind]ResourcePart     `json:"resources"`
	Roles     map[Role]RolePart         `json:"roles"`
	Founder   []Role                    `json:"founder"`
	Relations map[Relation]RelationPart `json:"relations"`
	Grants    map[Profile]GrantPart     `json:"grants"`
	Lockout   *LockoutPart              `json:"lockout,omitempty"`
	Guests    *GuestPart                `json:"guests,omitempty"`
	Never     []NeverPart               `json:"never"`
	Actions   map[Action]Text           `json:"actions"` // the titles of those that have one
	Matrix    []MatrixRow               `json:"matrix"`
}

type KindPart struct {
	Title     Text `json:"title,omitempty"`
	About     Text `json:"about,omitempty"`
	Protected bool `json:"protected,omitempty"`
	Group     bool `json:"group,omitempty"`
}

type ResourcePart struct {
	Title           Text     `json:"title,omitempty"`
	About           Text     `json:"about,omitempty"`
	Of              Kind     `json:"of,omitempty"`
	TrustProperties bool     `json:"trust_properties,omitempty"`
	RegisteredBy    []Action `json:"registered_by,omitempty"`
	RemovedBy       []Action `json:"removed_by,omitempty"`
}

type RolePart struct {
	Title Text   `json:"title,omitempty"`
	About Text   `json:"about,omitempty"`
	For   []Kind `json:"for"`
	Group string `json:"group,omitempty"`
	Needs []Role `json:"needs,omitempty"`
}

type RelationPart struct {
	Title  Text         `json:"title,omitempty"`
	About  Text         `json:"about,omitempty"`
	From   []Kind       `json:"from"`
	Role   []Role       `json:"role,omitempty"`
	By     Action       `json:"by,omitempty"`
	OnOpen bool         `json:"on_open,omitempty"`
	Most   map[Role]int `json:"most,omitempty"`
}

type GrantPart struct {
	Title        Text   `json:"title,omitempty"`
	About        Text   `json:"about,omitempty"`
	Role         []Role `json:"role,omitempty"`
	Longest      string `json:"longest,omitempty"` // as the document would have it: 8h, 90m, 3d
	Reason       string `json:"reason"`            // required or optional
	ReviewWithin string `json:"review_within,omitempty"`
}

type LockoutPart struct {
	FailedSignins int  `json:"failed_signins"`
	About         Text `json:"about,omitempty"`
}

type GuestPart struct {
	Longest string `json:"longest"`
	About   Text   `json:"about,omitempty"`
}

type NeverPart struct {
	Role    []Role   `json:"role"`
	On      []Kind   `json:"on"`
	Actions []Action `json:"actions"`
	Line    int      `json:"line"`
}

// Parts gives what the catalogue says, for programs.
func (c *Catalogue) Parts() CatalogueParts {
	parts := CatalogueParts{
		Title: c.Title, About: c.About, Founder: c.Founder, Never: []NeverPart{}, Actions: map[Action]Text{}, Matrix: c.Matrix(),
		Kinds:     make(map[Kind]KindPart, len(c.Kinds)),
		Resources: make(map[Kind]ResourcePart, len(c.Resources)),
		Roles:     make(map[Role]RolePart, len(c.Roles)),
		Relations: make(map[Relation]RelationPart, len(c.Relations)),
		Grants:    make(map[Profile]GrantPart, len(c.Grants)),
	}
	for name, r := range c.Kinds {
		parts.Kinds[name] = KindPart(r)
	}
	for name, r := range c.Resources {
		parts.Resources[name] = ResourcePart(r)
	}
	for name, r := range c.Roles {
		parts.Roles[name] = RolePart(r)
	}
	for name, r := range c.Relations {
		parts.Relations[name] = RelationPart{r.Title, r.About, r.From, r.Roles, r.By, r.OnOpen, r.Most}
	}
	for name, r := range c.Grants {
		reason := "optional"
		if r.ReasonRequired {
			reason = "required"
		}
		parts.Grants[name] = GrantPart{r.Title, r.About, r.Roles, duration(r.Longest), reason, duration(r.ReviewWithin)}
	}
	if c.Lockout.FailedSignins > 0 {
		parts.Lockout = &LockoutPart{c.Lockout.FailedSignins, c.Lockout.About}
	}
	if c.Guests.Longest > 0 {
		parts.Guests = &GuestPart{duration(c.Guests.Longest), c.Guests.About}
	}
	for _, n := range c.Never {
		parts.Never = append(parts.Never, NeverPart{n.Roles, n.On, n.Actions, n.Line})
	}
	maps.Copy(parts.Actions, c.ActionTitles)
	return parts
}

// duration writes a time span as a document may: 3d, 8h, 90m, or what time.ParseDuration reads; "" for none.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		is   time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d > 0 && d%unit.is == 0 {
			return strconv.FormatInt(int64(d/unit.is), 10) + unit.name
		}
	}
	if d == 0 {
		return ""
	}
	return d.String()
}
