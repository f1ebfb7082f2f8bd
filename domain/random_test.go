package domain

// Random histories, each line admitted or decided by the product, then every answer held against the naive model's.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The small world that random histories are about: few enough names that they meet.
var (
	worldAccounts = []Account{"staff:root", "staff:a", "staff:b", "client:x", "client:y", "friend:f", "guest:g", "team:t", "team:u"}
	worldThings   = []Resource{"journal:1", "journal:2", "note:1", "leaflet:1", "platform:main", "platform:*", "call:1", "call:2", "call:*", "catalogue:*"}
)

func worldResources() []Resource {
	all := slices.Clone(worldThings)
	for _, a := range worldAccounts {
		all = append(all, Resource(a))
	}
	return all
}

// worldActions are what may be done to each type by either catalogue, but for most of the commands; and one action that
// no line names.
var worldActions = map[Kind][]Action{
	"staff": {"message", "greet", "role.assign"}, "client": {"view", "edit", "cheer", "greet", "count", "account.open"},
	"friend": {"message", "greet"}, "guest": {"account.open"}, "team": {"team.join"},
	"journal": {"view", "edit", "erase", "greet"}, "leaflet": {"know_of"}, "note": {"view", "erase"},
	"platform": {"configure", "read"}, "call": {"join"}, "catalogue": {"catalogue.adopt", "nothing"},
}

// worldBegin is how a random history begins: enough that most of what is drawn after it is admitted.
const worldBegin = `
	@0 catalogue.adopted document=care
	@0 account.opened account=staff:root
	@0 role.assigned principal=staff:root role=manager
	@1 account.opened account=staff:a
	@1 account.opened account=staff:b
	@1 account.opened account=client:x
	@1 account.opened account=client:y
	@1 account.opened account=team:t
`

// evenly draws a number below n. rapid's own draw small numbers far more often, and a history full of refusals.
func evenly(n int) *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) int {
		i := 0
		for range 10 {
			i *= 2
			if rapid.Bool().Draw(t, "bit") {
				i++
			}
		}
		return i % n
	})
}

// maxDrawn is how many lines a random history may have beyond its beginning, those refused included.
const maxDrawn = 70

// drawLine draws one line of a history: an event, or the command for it.
func drawLine(t *rapid.T, now int, history []*Event) string {
	pick := func(label string, of ...string) string { return of[evenly(len(of)).Draw(t, label)] }
	account := func() string { return string(worldAccounts[evenly(len(worldAccounts)).Draw(t, "account")]) }
	client := func() string { return pick("client", "client:x", "client:x", "client:y") }
	staff := func() string {
		return pick("staff", "staff:a", "staff:a", "staff:b", "staff:root", "friend:f", "guest:g")
	}
	team := func() string { return pick("team", "team:t", "team:t", "team:u") }
	principal := func() string {
		if evenly(4).Draw(t, "team too") == 0 {
			return team()
		}
		return staff()
	}
	call := func() string { return pick("call", "call:1", "call:2") }
	journal := func() string { return pick("resource", "journal:1", "journal:2", "note:1", "leaflet:1") }
	seq := func() string { return fmt.Sprint(1 + evenly(len(history)).Draw(t, "seq")) }
	span := func() string {
		s := ""
		if evenly(3).Draw(t, "has from") == 0 {
			s += fmt.Sprintf(" from=@%d", now+(evenly(11).Draw(t, "from")-6))
		}
		if evenly(3).Draw(t, "has until") == 0 {
			s += fmt.Sprintf(" until=@%d", now+(evenly(12).Draw(t, "until")-3))
		}
		return s
	}
	role := func() string {
		return pick("role", "therapist", "therapist", "full", "limited", "senior", "visitor", "manager")
	}
	relation := func() string {
		return pick("relation", "therapist", "therapist", "reader", "reader", "friend", "restricted")
	}
	exception := func() string {
		onAction := pick("on action", "client view", "client view", "journal view", "journal erase", "platform configure", "staff message", "note view")
		on, action, _ := strings.Cut(onAction, " ")
		s := " principal=" + staff() + " on=" + on + " action=" + action
		if rapid.Bool().Draw(t, "for one client") {
			s += " client=" + client()
		}
		return s
	}
	link := func() string {
		return " principal=" + principal() + " client=" + client() + " relation=" + relation()
	}
	// earlier gives the data of an earlier event of the type, for what is to follow it; nil where there was none.
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
	grants := func() string { return pick("grant", "g1", "g2") }

	typ := EventType(pick("type",
		"account.opened", "account.deactivated", "account.reactivated",
		"role.assigned", "role.assigned", "role.assigned", "role.assigned", "role.assigned", "role.assigned", "role.revoked",
		"caseload.linked", "caseload.linked", "caseload.linked", "caseload.linked", "caseload.linked", "caseload.linked", "caseload.unlinked",
		"team.joined", "team.joined", "team.left", "access.granted", "access.granted", "access.revoked", "access.reviewed",
		"permission.added", "permission.withheld", "permission.restored", "resource.registered", "resource.registered", "resource.removed",
		"signin.failed", "signin.succeeded", "account.locked", "account.unlocked", "guest.invited", "guest.admitted", "guest.admitted", "call.ended",
		"fact.corrected", "fact.corrected", "fact.corrected", "fact.corrected", "validity.started", "validity.ended", "subject.erased", "catalogue.adopted"))
	var fields string
	switch typ {
	case AccountOpened, AccountDeactivated, AccountReactivated, SubjectErased:
		fields = " account=" + account()
	case RoleAssigned:
		fields = " principal=" + staff() + " role=" + role() + span()
	case RoleRevoked:
		fields = " principal=" + staff() + " role=" + role()
		if d, ok := earlier(RoleAssigned).(*RoleAssignment); ok {
			fields = fmt.Sprintf(" principal=%s role=%s", d.Principal, d.Role)
		}
	case CaseloadLinked:
		fields = link() + span()
	case CaseloadUnlinked:
		fields = link()
		if d, ok := earlier(CaseloadLinked).(*CaseloadLink); ok {
			fields = fmt.Sprintf(" principal=%s client=%s relation=%s", d.Principal, d.Client, d.Relation)
		}
	case TeamJoined:
		fields = " team=" + team() + " member=" + pick("member", "staff:a", "staff:b", "client:x", "client:y", "friend:f") + span()
	case TeamLeft:
		fields = " team=" + team() + " member=" + pick("member", "staff:a", "staff:b", "client:x")
		if d, ok := earlier(TeamJoined).(*TeamJoin); ok {
			fields = fmt.Sprintf(" team=%s member=%s", d.Team, d.Member)
		}
	case AccessGranted:
		fields = fmt.Sprintf(" grant=%s principal=%s client=%s profile=%s until=@%d reason=r", grants(), staff(), client(), pick("profile", "emergency", "visit"), now+(evenly(9).Draw(t, "until")+1))
		if evenly(3).Draw(t, "has from") == 0 {
			fields += fmt.Sprintf(" from=@%d", now+(evenly(7).Draw(t, "from")-3))
		}
	case AccessRevoked:
		fields = " grant=" + grants()
	case AccessReviewed:
		fields = " verdict=justified grant=" + grants()
	case PermissionAdded, PermissionWithheld, PermissionRestored:
		fields = exception()
		before := earlier(PermissionAdded)
		if before == nil || rapid.Bool().Draw(t, "withheld before") {
			before = earlier(PermissionWithheld)
		}
		if x, ok := before.(interface{ exception() *Exception }); ok && typ == PermissionRestored {
			d := x.exception()
			fields = fmt.Sprintf(" principal=%s on=%s action=%s", d.Principal, d.On, d.Action)
			if d.Client != "" {
				fields += " client=" + string(d.Client)
			}
		}
	case ResourceRegistered:
		fields = " resource=" + journal() + " client=" + client() + " created_by=" + staff()
	case ResourceRemoved:
		fields = " resource=" + journal()
	case SigninFailed, SigninSucceeded, AccountLocked, AccountUnlocked:
		fields = " principal=" + pick("principal", "staff:a", "staff:b", "friend:f")
	case GuestInvited:
		fields = fmt.Sprintf(" guest=%s call=%s until=@%d", pick("guest", "guest:g", "guest:g", "staff:b", "staff:a"), call(), now+(evenly(2).Draw(t, "until")+1))
	case GuestAdmitted:
		fields = " guest=" + pick("guest", "guest:g", "staff:b") + " call=" + call()
		if d, ok := earlier(GuestInvited).(*GuestInvitation); ok {
			fields = fmt.Sprintf(" guest=%s call=%s", d.Guest, d.Call)
		}
	case CallEnded:
		fields = " call=" + call()
	case FactCorrected:
		fields = " corrects=" + seq()
		var dated []string
		for _, e := range history {
			if slices.Contains([]EventType{RoleAssigned, CaseloadLinked, TeamJoined, AccessGranted}, e.Type) {
				dated = append(dated, fmt.Sprint(e.Seq))
			}
		}
		if len(dated) > 0 {
			fields = " corrects=" + pick("corrects", dated...)
		}
		if evenly(4).Draw(t, "void") == 0 {
			fields += " void=true"
		} else {
			fields += span()
		}
	case ValidityStarted, ValidityEnded:
		fields = " of=" + seq()
	case CatalogueAdopted:
		fields = " document=" + pick("document", "care", "care-later")
	}
	name, by := string(typ), "staff:root"
	if command, ok := commandFor(typ); ok && evenly(4).Draw(t, "by command") == 0 {
		name, by = string(command), pick("actor", "staff:root", "staff:root", "staff:a", "client:x")
	}
	return fmt.Sprintf("@%d %s by=%s%s", now, name, by, fields)
}

func commandFor(typ EventType) (Action, bool) {
	for c, of := range commands {
		if of == typ {
			return c, true
		}
	}
	return "", false
}

// step records what a line says, an event as an import would and a command as a caller would. The error is its refusal.
func (m *memory) step(t tester, line string) error {
	s := readSaid(t, line)
	if _, command := commands[Action(s.name)]; !command {
		e := s.event(fmt.Sprintf("e%d", len(m.events)+1))
		e.Seq = Seq(len(m.events) + 1)
		if err := Admit(m.now(), e); err != nil {
			return err
		}
		return m.mustRecord(t, e)
	}
	ids := 0
	events, err := Decide(m.now(), s.command(), s.at, func() EventID { ids++; return EventID(fmt.Sprintf("e%d.%d", len(m.events)+1, ids)) })
	if err != nil {
		return err
	}
	for _, e := range events {
		e.Org, e.Seq = "acme", Seq(len(m.events)+1)
		if err := Admit(m.now(), e); err != nil {
			t.Fatalf("%s: decided on %s, which an import of this ledger would refuse: %v", line, shown(e), err)
		}
		if err := m.mustRecord(t, e); err != nil {
			return err
		}
	}
	return nil
}

// mustRecord records what was admitted: what may follow can always be folded, and its stored form read again.
func (m *memory) mustRecord(t tester, e *Event) error {
	if err := m.record(e); err != nil {
		t.Fatalf("event %d %s was admitted, and does not fold: %v", e.Seq, shown(e), err)
	}
	stored := AppendEvent(nil, e)
	if again, err := DecodeEvent(e.Seq, stored); err != nil || string(AppendEvent(nil, again)) != string(stored) {
		t.Fatalf("event %d was admitted, and does not read again: %v: %s", e.Seq, err, stored)
	}
	return nil
}

func TestRandomHistoriesAgainstTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, lines := newMemory(), []string{}
		for line := range strings.Lines(strings.TrimSpace(worldBegin)) {
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		kept := keepVersions(m)
		now := 1
		for range evenly(maxDrawn).Draw(rt, "lines") {
			now += evenly(2).Draw(rt, "hours")
			line := drawLine(rt, now, m.events)
			if err := m.step(rt, line); err != nil {
				checkRefusal(rt, line, err)
				continue
			}
			lines = append(lines, line)
			kept.check(rt, m)
			kept = keepVersions(m)
		}
		defer func() {
			if rt.Failed() {
				rt.Logf("the history:\n%s\n%s", strings.TrimSpace(worldBegin), strings.Join(lines, "\n"))
			}
		}()
		// The head, then any moment as known at any seq.
		checkMoment(rt, m, hour(now), Seq(len(m.events)))
		for range 2 {
			at := hour(rapid.IntRange(-2, now+6).Draw(rt, "at"))
			checkMoment(rt, m, at, m.knownBy(at))
			checkMoment(rt, m, at, Seq(rapid.IntRange(1, len(m.events)).Draw(rt, "known at")))
		}
	})
}

// TestKeptHistories replays histories that once were answered wrongly, at every hour as known by every hour. Among them
// they have every type of event.
func TestKeptHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no kept histories: %v", err)
	}
	types := map[EventType]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, last := newMemory(), Instant(0)
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				rest, refused := strings.CutPrefix(line, "refused ")
				err := m.step(t, rest)
				if refused != (err != nil) {
					t.Fatalf("%s: got refusal %v, want one: %t", rest, err, refused)
				}
				last = max(last, readSaid(t, rest).at)
			}
			for _, e := range m.events {
				types[e.Type] = true
			}
			for at := hour(0); at <= last.Add(3*3600e9); at = at.Add(3600e9) {
				for s := hour(0); s <= last; s = s.Add(3600e9) {
					checkMoment(t, m, at, m.knownBy(s))
				}
			}
			hours, head := int((last-hour(0))/3600e9)+3, Seq(len(m.events))
			checkSpan(t, m, -1, hours, 0)
			checkSpan(t, m, 0, hours, head)
			for at := range hours {
				from, until := hour(at), hour(hours)
				checkDiff(t, m, [2]Instant{from, until}, [2]Seq{m.knownBy(from), m.knownBy(until)})
				checkDiff(t, m, [2]Instant{from, from}, [2]Seq{m.knownBy(from), head})
			}
		})
	}
	if len(types) != len(contractTypes) {
		t.Errorf("the kept histories have %d types of event, want all %d", len(types), len(contractTypes))
	}
}

func checkRefusal(t tester, line string, err error) {
	var e *Error
	if !errors.As(err, &e) || e.Code == "" || e.Message == "" || e.Failure == Integrity {
		t.Fatalf("%s: refused with %#v; want a code and a sentence", line, err)
	}
}

// keptVersions is a copy of all that a ledger said of its facts.
type keptVersions map[Fact][]Version

func keepVersions(m *memory) keptVersions {
	kept := keptVersions{}
	for f, versions := range m.versions {
		for _, v := range versions {
			kept[f] = append(kept[f], Version{v.Seq, v.Recorded, slices.Clone(v.Intervals)})
		}
	}
	return kept
}

// check holds that what was handed out stays as it was: later events only add versions.
func (kept keptVersions) check(t tester, m *memory) {
	for f, versions := range kept {
		for i, v := range versions {
			if now := m.versions[f][i]; now.Seq != v.Seq || !slices.Equal(now.Intervals, v.Intervals) {
				t.Fatalf("%v as known at %d: got %v after a later event, want %v as before it", f, v.Seq, now.Intervals, v.Intervals)
			}
		}
	}
}

// checkMoment holds every answer about the moment at, as known at known, against the model.
func checkMoment(t tester, m *memory, at Instant, known Seq) {
	t.Helper()
	r := m.asOf(known)
	model := newNaive(m.events, m.catalogues, at, known)
	ev, err := NewEvaluator(r, at)
	if err != nil {
		t.Fatal(err)
	}
	later := map[Instant]*naive{} // the model at the hours after at, by what is known at known
	for _, resource := range worldResources() {
		for _, action := range worldActions[resource.Kind()] {
			q := Question{Action: action, Resource: resource}
			if resource == "note:1" || resource == "journal:2" {
				q.Client, q.CreatedBy = "client:x", "staff:a"
			}
			var may []Account
			for _, q.Subject = range worldAccounts {
				d, err := ev.Evaluate(q)
				if err != nil {
					t.Fatal(err)
				}
				want := model.allowed(q)
				if want {
					may = append(may, q.Subject)
				}
				if d.Allowed != want {
					t.Fatalf("%+v as of %s known at %d: got %t by %s, want %t", q, at, known, d.Allowed, whys(d), want)
				}
				checkDecision(t, q, d, at, known)
				if !d.Allowed {
					continue
				}
				for h := at; h < min(d.ValidUntil, hour(200)); h = h.Add(3600e9) {
					if later[h] == nil {
						later[h] = newNaive(m.events, m.catalogues, h, known)
					}
					if !later[h].allowed(q) {
						t.Fatalf("%+v as of %s known at %d: got valid until %s, but by what is known it ended by %s", q, at, known, d.ValidUntil, h)
					}
				}
			}
			var got []Account
			for a, err := range Who(r, Question{Action: q.Action, Resource: q.Resource, Client: q.Client, CreatedBy: q.CreatedBy}, at, "") {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, a.Subject)
			}
			if slices.Sort(may); !slices.Equal(got, may) {
				t.Fatalf("who may %s on %s (%s) as of %s known at %d: got %v, want %v", action, resource, q.Client, at, known, got, may)
			}
		}
	}
	for _, subject := range worldAccounts {
		var got []string
		for reach, err := range What(r, subject, "", "", at, "") {
			if err != nil {
				t.Fatal(err)
			}
			until := Forever
			for _, a := range reach.Actions {
				d, err := ev.Evaluate(Question{Subject: subject, Action: a, Resource: reach.Resource})
				if err != nil {
					t.Fatal(err)
				}
				until = min(until, d.ValidUntil)
				if slices.Contains(worldActions[reach.Resource.Kind()], a) {
					got = append(got, string(reach.Resource)+" "+string(a))
				}
			}
			if reach.ValidUntil != until {
				t.Fatalf("what may %s do to %s as of %s known at %d: got valid until %s, want %s, when the first of %v could end", subject, reach.Resource, at, known, reach.ValidUntil, until, reach.Actions)
			}
		}
		resources := slices.DeleteFunc(worldResources(), func(r Resource) bool { return r == "platform:main" })
		if want := model.what(subject, resources, worldActions); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Fatalf("what may %s do as of %s known at %d:\ngot  %v\nwant %v", subject, at, known, got, want)
		}
	}
}

// checkDecision holds what is true of every decision: its basis says something, and nothing that was not known.
func checkDecision(t tester, q Question, d Decision, at Instant, known Seq) {
	t.Helper()
	if len(d.Basis) == 0 || d.Allowed != (d.ValidUntil > at) || !d.Allowed && d.ValidUntil != 0 {
		t.Fatalf("%+v: got %t with basis %s valid until %d; want a basis, and an end after the moment for a yes alone", q, d.Allowed, whys(d), d.ValidUntil)
	}
	stands := true
	for _, r := range d.Basis {
		if r.Seq() > known || (Teller{Show: Instant.String}).Why(r) == "" || r.State == Stands && !r.Interval.Holds(at) {
			t.Fatalf("%+v known at %d: got reason %+v, want one that was known and says something", q, known, r)
		}
		stands = stands && r.State == Stands
	}
	if stands != d.Allowed {
		t.Fatalf("%+v: got %t by %s; want all to stand for a yes, and something lacking for a no", q, d.Allowed, whys(d))
	}
}

// whys are a decision's reasons as text, each with its state and seq.
func whys(d Decision) string {
	var all []string
	for _, r := range d.Basis {
		all = append(all, fmt.Sprintf("%s#%d %s", stateNames[r.State], r.Seq(), Teller{Show: Instant.String}.Why(r)))
	}
	return strings.Join(all, "; ")
}

var stateNames = map[ReasonState]string{Stands: "stands", Missing: "missing", Ended: "ended", NotYet: "not yet", Bars: "bars", NoPermit: "no permit"}
