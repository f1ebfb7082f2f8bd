package domain

// The model that Evaluate, Who and What are held against: contract §2, §4 and §7 and the design's "Order and time" once
// more, as plain loops over a plain list of events. It has no facts, no versions, no index and no proposals, and uses
// nothing of the product but the events' own types and the catalogue as it was read.

import (
	"slices"
)

// naive answers about the moment at as known after the event known.
type naive struct {
	at    Instant
	past  []*Event // those recorded by at: what is not dated is as the last of them left it
	cat   *Catalogue
	dated []stretch
}

// stretch is one dated thing somebody was given: a role, a link, a membership, a temporary access.
type stretch struct {
	seq         Seq
	what        string // the event's type
	who, whom   Account
	name        string
	grant       GrantID
	from, until Instant
}

func newNaive(events []*Event, catalogues map[Seq]*Catalogue, at Instant, known Seq) *naive {
	n := &naive{at: at, dated: datedThings(events[:known])}
	for _, e := range events[:known] {
		if e.RecordedAt <= at {
			n.past = append(n.past, e)
			if e.Type == CatalogueAdopted {
				n.cat = catalogues[e.Seq]
			}
		}
	}
	return n
}

func datedThings(events []*Event) []stretch {
	var all []stretch
	give := func(e *Event, s stretch) {
		s.seq, s.what = e.Seq, string(e.Type)
		if s.from == 0 {
			s.from = e.RecordedAt
		}
		if s.until == 0 {
			s.until = Forever
		}
		all = append(all, s)
	}
	take := func(e *Event, same func(stretch) bool) {
		for i := range all {
			s := &all[i]
			if !same(*s) || s.until <= e.RecordedAt {
				continue // somebody else's, or over
			}
			s.until = e.RecordedAt
			if s.until < s.from {
				s.until = s.from // it never begins
			}
		}
	}
	for _, e := range events {
		switch d := e.Data.(type) {
		case *RoleAssignment:
			give(e, stretch{who: d.Principal, name: string(d.Role), from: d.From, until: d.Until})
		case *RoleRevocation:
			take(e, func(s stretch) bool {
				return s.what == "role.assigned" && s.who == d.Principal && s.name == string(d.Role)
			})
		case *CaseloadLink:
			give(e, stretch{who: d.Principal, whom: d.Client, name: string(d.Relation), from: d.From, until: d.Until})
		case *CaseloadUnlink:
			take(e, func(s stretch) bool {
				return s.what == "caseload.linked" && s.who == d.Principal && s.whom == d.Client && s.name == string(d.Relation)
			})
		case *TeamJoin:
			give(e, stretch{who: d.Member, whom: d.Team, from: d.From, until: d.Until})
		case *TeamLeave:
			take(e, func(s stretch) bool { return s.what == "team.joined" && s.who == d.Member && s.whom == d.Team })
		case *AccessGrant:
			give(e, stretch{who: d.Principal, whom: d.Client, name: string(d.Profile), grant: d.Grant, from: d.From, until: d.Until})
		case *AccessRevocation:
			take(e, func(s stretch) bool { return s.what == "access.granted" && s.grant == d.Grant })
		case *Correction:
			for i := range all {
				s := &all[i]
				if s.seq != d.Corrects {
					continue
				}
				if d.From != 0 {
					s.from = d.From
				}
				if d.Until != 0 {
					s.until = d.Until
				}
				if d.Void {
					s.until = s.from
				}
			}
		}
	}
	return all
}

// has tells whether at the moment there is such a dated thing.
func (n *naive) has(what string, who, whom Account, names ...string) bool {
	for _, s := range n.dated {
		if s.what == what && s.who == who && s.whom == whom && slices.Contains(names, s.name) && s.from <= n.at && n.at < s.until {
			return true
		}
	}
	return false
}

func (n *naive) role(p Account, roles []Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return n.has("role.assigned", p, "", string(r)) })
}

// teams are the groups that the account is in.
func (n *naive) teams(a Account) []Account {
	var teams []Account
	for _, s := range n.dated {
		if s.what == "team.joined" && s.who == a && s.from <= n.at && n.at < s.until && n.cat.Kinds[s.whom.Kind()].Group {
			teams = append(teams, s.whom)
		}
	}
	return teams
}

// link tells whether a, or a team it is in, is linked to the client in one of the ways.
func (n *naive) link(a, client Account, relations []Relation) bool {
	for _, from := range append(n.teams(a), a) {
		for _, r := range relations {
			if client != "" && n.has("caseload.linked", from, client, string(r)) {
				return true
			}
		}
	}
	return false
}

// account tells whether the account was ever opened (or invited), and whether it is open.
func (n *naive) account(a Account) (ever, open bool) {
	invitedUntil, calls := Instant(0), map[Resource]Instant{}
	for _, e := range n.past {
		switch d := e.Data.(type) {
		case *AccountOpening:
			if d.Account == a {
				ever, open = true, true
			}
		case *AccountReactivation:
			if d.Account == a {
				open = true
			}
		case *AccountDeactivation:
			if d.Account == a {
				open, invitedUntil = false, 0
			}
		case *GuestInvitation:
			if d.Guest == a {
				ever, invitedUntil = true, max(invitedUntil, d.Until)
				calls[d.Call] = d.Until
			}
		case *CallEnding: // a guest who is invited to no other call is nobody any more
			invited := calls[d.Call] > e.RecordedAt
			delete(calls, d.Call)
			for _, until := range calls {
				invited = invited && until <= e.RecordedAt
			}
			if invited {
				invitedUntil = 0
			}
		}
	}
	return ever, open || n.at < invitedUntil
}

func (n *naive) locked(a Account) bool {
	locked := false
	for _, e := range n.past {
		switch d := e.Data.(type) {
		case *AccountLock:
			locked = locked || d.Principal == a
		case *AccountUnlock:
			locked = locked && d.Principal != a
		}
	}
	return locked
}

// belongs gives what a resource of a type of: the protected kind is registered as.
func (n *naive) belongs(r Resource) (client, creator Account, registered bool) {
	for _, e := range n.past {
		switch d := e.Data.(type) {
		case *ResourceRegistration:
			if d.Resource == r {
				client, creator, registered = d.Client, d.CreatedBy, true
			}
		case *ResourceRemoval:
			if d.Resource == r {
				client, creator, registered = "", "", false
			}
		}
	}
	return client, creator, registered
}

// individual gives the last word on the principal's own permission: added, withheld or "".
func (n *naive) individual(x Exception) string {
	word := ""
	for _, e := range n.past {
		switch d := e.Data.(type) {
		case *PermissionAddition:
			if d.Exception == x {
				word = "added"
			}
		case *PermissionWithholding:
			if d.Exception == x {
				word = "withheld"
			}
		case *PermissionRestoration:
			if d.Exception == x {
				word = ""
			}
		}
	}
	return word
}

func (n *naive) invited(guest Account, call Resource) bool {
	until := Instant(0)
	for _, e := range n.past {
		switch d := e.Data.(type) {
		case *GuestInvitation:
			if d.Guest == guest && d.Call == call {
				until = d.Until
			}
		case *CallEnding:
			if d.Call == call {
				until = 0
			}
		}
	}
	return n.at < until
}

// allowed decides.
func (n *naive) allowed(q Question) bool {
	if n.cat == nil {
		return false
	}
	if _, open := n.account(q.Subject); !open || n.locked(q.Subject) {
		return false
	}
	if _, known := n.cat.Kinds[q.Subject.Kind()]; !known {
		return false
	}
	kind := q.Resource.Kind()
	var client, creator Account
	_, isAccount := n.cat.Kinds[kind]
	rule, isOther := n.cat.Resources[kind]
	switch {
	case isAccount:
		if ever, _ := n.account(Account(q.Resource)); !ever {
			return false
		}
		if n.cat.Kinds[kind].Protected {
			client = Account(q.Resource)
		}
	case isOther && rule.Of != "":
		var registered bool
		client, creator, registered = n.belongs(q.Resource)
		if !registered {
			ever, _ := n.account(q.Client)
			if !rule.TrustProperties || !ever || q.Client.Kind() != rule.Of {
				return false
			}
			client, creator = q.Client, q.CreatedBy
		}
	case !isOther:
		return false
	}

	words := []string{n.individual(Exception{q.Subject, kind, q.Action, ""})}
	if client != "" {
		words = append(words, n.individual(Exception{q.Subject, kind, q.Action, client}))
	}
	if slices.Contains(words, "withheld") {
		return false
	}
	if slices.Contains(words, "added") {
		return true
	}

	// about is whose data the resource is; for an account that is not protected, that account.
	about := client
	if about == "" && isAccount {
		about = Account(q.Resource)
	}
	for _, p := range n.cat.Permits {
		if !slices.Contains(p.On, kind) || !slices.Contains(p.Actions, q.Action) {
			continue
		}
		all, _ := n.selectors(p.Selectors, q, client, creator, about)
		if !all {
			continue
		}
		if p.Unless != nil {
			if _, any := n.selectors(*p.Unless, q, client, creator, about); any {
				continue
			}
		}
		return true
	}
	return false
}

// selectors tells whether all of those given hold, and whether any does.
func (n *naive) selectors(s Selectors, q Question, client, creator, about Account) (all, any bool) {
	all = true
	holds := func(asked, yes bool) {
		if asked {
			all, any = all && yes, any || yes
		}
	}
	p := q.Subject
	holds(len(s.Roles) > 0, n.role(p, s.Roles))
	holds(len(s.Kinds) > 0, slices.Contains(s.Kinds, p.Kind()))
	holds(len(s.Links) > 0, n.link(p, client, s.Links))
	holds(len(s.LinkedBy) > 0, n.link(Account(q.Resource), p, s.LinkedBy))
	profiles := make([]string, len(s.Grants))
	for i, g := range s.Grants {
		profiles[i] = string(g)
	}
	holds(len(s.Grants) > 0, client != "" && n.has("access.granted", p, client, profiles...))
	holds(s.Self, p == about)
	holds(s.Own, p == creator)
	holds(s.Invited, n.invited(p, q.Resource))
	together := false
	for _, mine := range n.teams(p) {
		together = together || about != "" && slices.Contains(n.teams(about), mine)
	}
	holds(s.Team, together)
	return all, any
}

// what is everything of those resources that the subject may do, "resource action" each. Of a type that is not listed
// one by one, what is allowed on all of it is not said again of one.
func (n *naive) what(subject Account, resources []Resource, actions map[Kind][]Action) []string {
	var may []string
	for _, r := range resources {
		rule, other := Kind(""), false
		if n.cat != nil {
			var res ResourceRule
			res, other = n.cat.Resources[r.Kind()]
			rule = res.Of
		}
		for _, a := range actions[r.Kind()] {
			q := Question{Subject: subject, Action: a, Resource: r}
			every := q
			every.Resource = Resource(string(r.Kind()) + ":*")
			if n.allowed(q) && (!other || rule != "" || r == every.Resource || !n.allowed(every)) {
				may = append(may, string(r)+" "+string(a))
			}
		}
	}
	slices.Sort(may)
	return slices.Compact(may)
}
