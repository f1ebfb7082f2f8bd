package domain

// Random commands, decided by the product, and after every one of them the rules of the catalogue held against the bare
// list of events: no sequence of commands reaches what the catalogue forbids, and a refusal leaves everything as it was.
// The rules are written here once more as plain loops, with the naive model's list of dated things (naive_test.go) and
// nothing of the product but the events' own types and the catalogue as it was read.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rulesBegin is how each sequence begins: two founders, and enough that most of what is drawn is permitted.
const rulesBegin = `
	@0 catalogue.adopted document=rules
	@0 account.opened account=staff:root
	@0 role.assigned principal=staff:root role=manager
	@0 role.assigned principal=staff:root role=keeper
	@1 account.opened account=staff:a
	@1 account.opened account=staff:b
	@1 account.opened account=client:x
	@1 account.opened account=client:y
	@1 account.opened account=friend:f
	@1 account.opened account=team:t
	@1 role.assigned principal=staff:a role=manager
	@1 role.assigned principal=staff:b role=full
	@1 caseload.linked principal=staff:b client=client:x relation=reader
	@1 role.assigned principal=staff:a role=therapist
`

// drawCommand draws one command. Most name what an earlier event named, so that it may be taken back, repeated or overlapped.
func drawCommand(t *rapid.T, now int, history []*Event, n *naive) string {
	pick := func(label string, of ...string) string { return of[evenly(len(of)).Draw(t, label)] }
	earlier := func(typ EventType) Data {
		var of []Data
		for _, e := range history {
			if e.Type == typ {
				of = append(of, e.Data)
			}
		}
		if len(of) == 0 {
			return nil
		}
		return of[evenly(len(of)).Draw(t, "earlier")]
	}
	span := func() string {
		s := ""
		if evenly(3).Draw(t, "has from") == 0 {
			s += fmt.Sprintf(" from=@%d", max(1, now+evenly(12).Draw(t, "from")-6))
		}
		if evenly(3).Draw(t, "has until") == 0 {
			s += fmt.Sprintf(" until=@%d", max(1, now+evenly(12).Draw(t, "until")-4))
		}
		return s
	}
	staff := func() string { return pick("staff", "staff:a", "staff:b", "staff:b", "staff:root") }
	client := func() string { return pick("client", "client:x", "client:y") }
	actor := pick("actor", "staff:root", "staff:root", "staff:a", "staff:b", "client:x", "friend:f")
	var working []string // who may do most things, so that not most are refused for the want of a permission
	for _, a := range []Account{"staff:root", "staff:a", "staff:b"} {
		if _, open := n.account(a); open && !n.locked(a) && n.role(a, []Role{"manager", "keeper"}) {
			working = append(working, string(a))
		}
	}
	if len(working) > 0 && evenly(5).Draw(t, "somebody") != 0 {
		actor = pick("working", working...)
	}
	name := pick("command",
		"account.open", "account.deactivate", "account.reactivate",
		"role.assign", "role.assign", "role.assign", "role.assign", "role.assign", "role.assign", "role.assign", "role.assign", "role.revoke", "role.revoke", "role.revoke",
		"caseload.link", "caseload.link", "caseload.link", "caseload.link", "caseload.link", "caseload.link", "caseload.unlink", "team.join", "team.leave",
		"access.grant", "access.grant", "access.grant", "access.revoke", "access.review", "access.review",
		"permission.add", "permission.add", "permission.withhold", "permission.restore",
		"resource.register", "resource.register", "resource.remove",
		"signin.fail", "signin.fail", "signin.succeed", "account.lock", "account.unlock", "account.unlock",
		"guest.invite", "guest.invite", "guest.admit", "guest.admit", "guest.admit", "call.end",
		"fact.correct", "fact.correct", "fact.correct", "fact.correct", "fact.correct", "catalogue.adopt", "subject.erase")
	var fields string
	switch name {
	case "account.open":
		fields = " account=" + pick("account", "client:z", "staff:c", "guest:g", "friend:e", "robot:r")
	case "account.deactivate", "account.reactivate":
		fields = " account=" + pick("account", "staff:root", "staff:a", "staff:b", "friend:f", "client:y")
	case "subject.erase":
		fields = " account=" + client()
	case "role.assign":
		fields = " principal=" + staff() + " role=" + pick("role", "full", "full", "limited", "limited", "senior", "senior", "junior", "chief", "keeper", "manager", "therapist") + span()
		if evenly(8).Draw(t, "visitor") == 0 {
			fields = " principal=" + pick("visitor", "friend:f", "client:x") + " role=visitor" + span()
		}
	case "role.revoke":
		fields = " principal=staff:root role=keeper"
		if d, ok := earlier(RoleAssigned).(*RoleAssignment); ok {
			fields = fmt.Sprintf(" principal=%s role=%s", d.Principal, d.Role)
		}
	case "caseload.link":
		principal := pick("principal", "staff:a", "staff:b", "staff:b", "staff:b", "friend:f", "friend:f", "team:t")
		fields = " principal=" + principal + " client=" + client() + " relation=" + pick("relation", "reader", "reader", "reader", "restricted", "therapist", "friend") + span()
		if evenly(5).Draw(t, "by the client") == 0 {
			actor = client()
			fields = " principal=friend:f client=" + actor + " relation=friend" + span()
		}
	case "caseload.unlink":
		fields = " principal=staff:b client=client:x relation=reader"
		if d, ok := earlier(CaseloadLinked).(*CaseloadLink); ok {
			fields = fmt.Sprintf(" principal=%s client=%s relation=%s", d.Principal, d.Client, d.Relation)
		}
	case "team.join":
		fields = " team=team:t member=" + staff() + span()
	case "team.leave":
		fields = " team=team:t member=" + staff()
	case "access.grant":
		principal := actor
		if evenly(6).Draw(t, "for another") == 0 {
			principal = staff()
		}
		fields = fmt.Sprintf(" grant=g%d principal=%s client=%s profile=%s until=@%d", evenly(4).Draw(t, "grant"), principal, client(), pick("profile", "emergency", "visit", "visit"), now+1+evenly(9).Draw(t, "until"))
		if evenly(3).Draw(t, "has from") == 0 {
			fields += fmt.Sprintf(" from=@%d", max(1, now+evenly(7).Draw(t, "from")-2))
		}
		if evenly(4).Draw(t, "reason") != 0 {
			fields += " reason=r"
		}
	case "access.revoke":
		fields = fmt.Sprintf(" grant=g%d", evenly(4).Draw(t, "grant"))
		if d, ok := earlier(AccessGranted).(*AccessGrant); ok {
			fields = " grant=" + string(d.Grant)
		}
	case "access.review":
		fields = " verdict=" + pick("verdict", "justified", "unclear", "unjustified", "fine")
		if d, ok := earlier(AccessGranted).(*AccessGrant); ok {
			fields += " grant=" + string(d.Grant)
		} else {
			fields += " grant=g0"
		}
	case "permission.add", "permission.withhold", "permission.restore":
		fields = " principal=" + staff() + " on=client action=" + pick("action", "view", "count", "access.review", "account.lock", "fly")
		if rapid.Bool().Draw(t, "for one client") {
			fields += " client=" + client()
		}
	case "resource.register":
		fields = " resource=" + pick("resource", "journal:1", "journal:2", "platform:main") + " client=" + client() + " created_by=" + pick("creator", "staff:root", "staff:a", "client:x")
	case "resource.remove":
		fields = " resource=" + pick("resource", "journal:1", "journal:2")
	case "signin.fail", "signin.succeed", "account.lock", "account.unlock":
		fields = " principal=" + staff()
	case "guest.invite":
		fields = fmt.Sprintf(" guest=%s call=%s until=@%d%s", pick("guest", "guest:g", "guest:g", "staff:b"), pick("call", "call:1", "call:2"), now+1+evenly(3).Draw(t, "until"), drawLink(t))
	case "guest.admit":
		fields = " guest=guest:g call=call:1" + drawLink(t)
		if d, ok := earlier(GuestInvited).(*GuestInvitation); ok {
			fields = fmt.Sprintf(" guest=%s call=%s", d.Guest, d.Call) + drawLink(t)
		}
	case "call.end":
		fields = " call=" + pick("call", "call:1", "call:2")
	case "fact.correct":
		var dated []string
		of := []EventType{RoleAssigned, CaseloadLinked, TeamJoined, AccessGranted}
		if evenly(3).Draw(t, "a link") == 0 {
			of = []EventType{CaseloadLinked}
		}
		for _, e := range history {
			if slices.Contains(of, e.Type) {
				dated = append(dated, fmt.Sprint(e.Seq))
			}
		}
		fields = " reason=slip corrects=" + pick("corrects", dated...)
		if evenly(5).Draw(t, "void") == 0 {
			fields += " void=true"
		} else {
			fields += span()
		}
	case "catalogue.adopt":
		fields = " document=" + pick("document", "rules", "rules", "rules-later")
	}
	return fmt.Sprintf("@%d %s by=%s%s", now, name, actor, fields)
}

func drawLink(t *rapid.T) string {
	return []string{"", "", " link=open-sesame-123456", " link=open-sesame-123457"}[evenly(4).Draw(t, "link")]
}

// maxCommands is how many commands a sequence may have, those refused included.
const maxCommands = 60

func TestRandomCommandsKeepTheRules(t *testing.T) {
	accepted := map[Action]int{}
	codes := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		m, lines := ledger(rt, rulesBegin), []string{}
		defer func() {
			if rt.Failed() {
				rt.Logf("the history:\n%s\n%s", strings.TrimSpace(rulesBegin), strings.Join(lines, "\n"))
			}
		}()
		now := 1
		for range 10 + evenly(maxCommands-10).Draw(rt, "commands") {
			now += evenly(2).Draw(rt, "hours")
			line := drawCommand(rt, now, m.events, newNaive(m.events, m.catalogues, hour(now), Seq(len(m.events))))
			lines = append(lines, line)
			before := slices.Clone(m.events)
			kept := keepVersions(m)
			if err := m.step(rt, line); err != nil {
				checkRefusal(rt, line, err)
				checkUntouched(rt, line, m, before, kept)
				lines[len(lines)-1] = "refused " + line
				codes[err.(*Error).Code]++
				continue
			}
			kept.check(rt, m)
			s := readSaid(rt, line)
			accepted[Action(s.name)]++
			checkCommand(rt, line, s, before, m.events, m.catalogues)
			checkRules(rt, line, m.events, m.catalogues, hour(now))
		}
	})
	t.Logf("recorded: %v\nrefused: %v", accepted, codes)
}

// checkUntouched holds that a refusal changed nothing.
func checkUntouched(t tester, line string, m *memory, before []*Event, kept keptVersions) {
	t.Helper()
	if !slices.Equal(m.events, before) || len(m.versions) != len(kept) {
		t.Fatalf("%s was refused, and left %d events and %d facts; want the %d and %d of before", line, len(m.events), len(m.versions), len(before), len(kept))
	}
	for f, versions := range m.versions {
		if len(versions) != len(kept[f]) {
			t.Fatalf("%s was refused, and left %d versions of %v; want %d", line, len(versions), f, len(kept[f]))
		}
	}
	kept.check(t, m)
}

// checkCommand holds what is said of a command by the events before and after it.
func checkCommand(t tester, line string, s said, before, after []*Event, catalogues map[Seq]*Catalogue) {
	t.Helper()
	was := newNaive(before, catalogues, s.at, Seq(len(before)))
	is := newNaive(after, catalogues, s.at, Seq(len(after)))
	signin := strings.HasPrefix(s.name, "signin.")
	if ever, open := was.account(s.by); !signin && (!ever || !open || was.locked(s.by)) {
		t.Fatalf("%s: recorded, though the actor is locked or has no open account", line)
	}
	if len(naiveFounders(was)) > 0 && len(naiveFounders(is)) == 0 && s.name != "signin.fail" {
		t.Fatalf("%s: recorded, and nobody is a founder any more; before it were %v", line, naiveFounders(was))
	}
	// What a grant was before, it is at most from then on.
	for _, old := range was.dated {
		for _, now := range is.dated {
			if old.what == "access.granted" && old.seq == now.seq && (now.from < old.from || now.until > old.until) {
				t.Fatalf("%s: recorded, and it stretched grant %s from %s until %s to %s until %s", line, old.grant, old.from, old.until, now.from, now.until)
			}
		}
	}
	switch d := s.data.(type) {
	case *PermissionAddition:
		for _, n := range was.cat.Never {
			if slices.Contains(n.On, d.On) && slices.Contains(n.Actions, d.Action) && was.role(d.Principal, n.Roles) {
				t.Fatalf("%s: recorded, though no holder of %v is given that individually", line, n.Roles)
			}
		}
	case *ResourceRegistration:
		may := len(was.cat.Resources[d.Resource.Kind()].RegisteredBy) == 0
		for _, a := range was.cat.Resources[d.Resource.Kind()].RegisteredBy {
			may = may || is.allowed(Question{Subject: s.by, Action: a, Resource: d.Resource})
		}
		if !may {
			t.Fatalf("%s: recorded, though the actor may do none of what registering asks for", line)
		}
	case *ResourceRemoval:
		may := len(was.cat.Resources[d.Resource.Kind()].RemovedBy) == 0
		for _, a := range was.cat.Resources[d.Resource.Kind()].RemovedBy {
			may = may || was.allowed(Question{Subject: s.by, Action: a, Resource: d.Resource})
		}
		if !may {
			t.Fatalf("%s: recorded, though the actor may do none of what removing asks for", line)
		}
	case *AccessReview:
		for _, g := range was.dated {
			if g.grant == d.Grant && (g.who == s.by || g.from > s.at) {
				t.Fatalf("%s: recorded, though the grant is %s's and from %s on", line, g.who, g.from)
			}
		}
	}
}

// naiveFounders are those who hold every role of the founder with no known end, are open and are not locked.
func naiveFounders(n *naive) []Account {
	var founders []Account
	for _, who := range []Account{"staff:root", "staff:a", "staff:b", "staff:c"} {
		all := true
		for _, role := range n.cat.Founder {
			all = all && slices.ContainsFunc(n.dated, func(s stretch) bool {
				return s.what == "role.assigned" && s.who == who && s.name == string(role) && s.from <= n.at && s.until == Forever
			})
		}
		if _, open := n.account(who); all && open && !n.locked(who) {
			founders = append(founders, who)
		}
	}
	return founders
}

// checkRules holds every rule of the catalogue against all that the events say, at every moment at which something changes.
func checkRules(t tester, line string, events []*Event, catalogues map[Seq]*Catalogue, now Instant) {
	t.Helper()
	n := newNaive(events, catalogues, now, Seq(len(events)))
	var moments []Instant
	for _, s := range n.dated {
		if s.from < s.until {
			moments = append(moments, s.from)
		}
		moments = append(moments, s.until) // where something else may go on alone
	}
	for _, at := range moments {
		roles := map[Account][]Role{}
		links := map[Account][]Relation{}
		for _, s := range n.dated {
			if s.from > at || at >= s.until {
				continue
			}
			switch s.what {
			case "role.assigned":
				roles[s.who] = append(roles[s.who], Role(s.name))
			case "caseload.linked":
				links[s.who] = append(links[s.who], Relation(s.name))
			}
		}
		for who, held := range roles {
			groups := map[string]Role{}
			for _, role := range held {
				rule := n.cat.Roles[role]
				if !slices.Contains(rule.For, who.Kind()) {
					t.Fatalf("%s: recorded, and at %s %s has %s, which is for %v", line, at, who, role, rule.For)
				}
				if other, two := groups[rule.Group]; two && rule.Group != "" {
					t.Fatalf("%s: recorded, and at %s %s has %s and %s of group %s", line, at, who, role, other, rule.Group)
				}
				groups[rule.Group] = role
				covered := len(rule.Needs) == 0
				for _, need := range rule.Needs {
					covered = covered || slices.Contains(held, need)
				}
				if !covered {
					t.Fatalf("%s: recorded, and at %s %s has %s with none of %v", line, at, who, role, rule.Needs)
				}
			}
			for _, relation := range links[who] {
				for role, most := range n.cat.Relations[relation].Most {
					if slices.Contains(held, role) && len(links[who]) > most {
						t.Fatalf("%s: recorded, and at %s %s has links %v, where a holder of %s has %d at most", line, at, who, links[who], role, most)
					}
				}
			}
		}
	}

	failures := map[Account]int{}
	for i, e := range events {
		switch d := e.Data.(type) {
		case *AccessGrant:
			from, longest := d.From, n.cat.Grants[d.Profile].Longest
			if from == 0 {
				from = e.RecordedAt
			}
			if e.Actor != d.Principal || d.Until > from.Add(longest) || n.cat.Grants[d.Profile].ReasonRequired && e.Reason == "" {
				t.Fatalf("%s: recorded, and event %d is a grant from %s that breaks its profile's rules: %s", line, e.Seq, from, shown(e))
			}
		case *GuestAdmission:
			var open *GuestInvitation
			for _, earlier := range events[:i] {
				switch d2 := earlier.Data.(type) {
				case *GuestInvitation:
					if d2.Guest == d.Guest && d2.Call == d.Call && d2.Until > e.RecordedAt {
						open = d2
					}
				case *GuestAdmission:
					if d2.Guest == d.Guest && d2.Call == d.Call {
						open = nil
					}
				case *CallEnding:
					if d2.Call == d.Call {
						open = nil
					}
				}
			}
			if open == nil || open.Link != d.Link {
				t.Fatalf("%s: recorded, and event %d lets in without an invitation that is open, by that link and not used: %s", line, e.Seq, shown(e))
			}
		case *SigninFailure:
			failures[d.Principal]++
		case *SigninSuccess:
			failures[d.Principal] = 0
		case *AccountUnlock:
			failures[d.Principal] = 0
		}
	}
	for who, count := range failures {
		if count >= n.cat.Lockout.FailedSignins && !n.locked(who) {
			t.Fatalf("%s: recorded, and %s failed to sign in %d times and is not locked", line, who, count)
		}
	}
}
