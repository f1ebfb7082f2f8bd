package domain

// Lookups of grants, holders and roles: what each state looks like, in histories told here, and every answer about random
// histories held against plain loops over their events.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lookupBegin has two therapists and two clients; worldBegin's catalogue asks for a review of emergency within 72 hours
// and of visit not at all.
const lookupBegin = worldBegin + `
	@1 role.assigned principal=staff:a role=therapist
	@1 role.assigned principal=staff:b role=therapist
`

func TestGrants(t *testing.T) {
	m := ledger(t, lookupBegin, `
	@2 access.granted grant=ends principal=staff:a client=client:x profile=emergency until=@8 reason=r
	@2 access.granted grant=visit principal=staff:a client=client:y profile=visit until=@200 reason=r
	@3 access.granted grant=taken principal=staff:b client=client:x profile=emergency until=@9 reason=r
	@4 access.granted grant=later principal=staff:b client=client:y profile=emergency from=@20 until=@24 reason=r
	@4 access.granted grant=never principal=staff:b client=client:y profile=emergency from=@20 until=@24 reason=r
	@5 access.revoked grant=taken
	@5 access.revoked grant=never
	@6 access.granted grant=wrong principal=staff:b client=client:y profile=emergency until=@10 reason=r
	@7 fact.corrected corrects=18 void=true
	@30 access.reviewed by=staff:b grant=ends verdict=justified
	@40 catalogue.adopted document=care-later
	`)
	for _, c := range []struct {
		at   int
		q    GrantQuery
		want string
	}{
		{1, GrantQuery{}, ""},
		{2, GrantQuery{}, "visit open; ends open due 74"},
		{4, GrantQuery{}, "never scheduled due 92; later scheduled due 92; taken open due 75; visit open; ends open due 74"},
		{5, GrantQuery{}, "never revoked; later scheduled due 92; taken revoked due 75; visit open; ends open due 74"},
		{6, GrantQuery{State: GrantOpen}, "wrong open due 78; visit open; ends open due 74"},
		{7, GrantQuery{Principal: "staff:b", Client: "client:y"}, "wrong voided due 78; never revoked; later scheduled due 92"},
		{8, GrantQuery{Client: "client:x"}, "taken revoked due 75; ends ended due 74"},
		{20, GrantQuery{Principal: "staff:b", State: GrantOpen}, "later open due 92"},
		{29, GrantQuery{Client: "client:x", Unreviewed: true}, "taken revoked due 75; ends ended due 74"},
		{30, GrantQuery{Client: "client:x", Unreviewed: true}, "taken revoked due 75"},
		{30, GrantQuery{Profile: "visit"}, "visit open"},
		// A later catalogue asks for no review of what was granted under it; of this it had been asked.
		{74, GrantQuery{Overdue: true}, ""},
		{75, GrantQuery{Overdue: true}, "taken revoked due 75 overdue"},
		{90, GrantQuery{Unreviewed: true}, "wrong voided due 78 overdue; later ended due 92; taken revoked due 75 overdue"},
		{90, GrantQuery{Principal: "staff:a"}, "visit open; ends ended due 74 justified"},
		{90, GrantQuery{Principal: "staff:root"}, ""},
	} {
		at := hour(c.at)
		if got := shownGrants(t, m.asOf(m.knownBy(at)), c.q, at, 0); got != c.want {
			t.Errorf("%+v as of hour %d:\ngot  %s\nwant %s", c.q, c.at, got, c.want)
		}
	}
	// By what is known now: a revocation gave it its end, a void one never was, and a review still has to come.
	if got, want := shownGrants(t, m.now(), GrantQuery{}, hour(3), 0), "taken open due 75; visit open; ends open due 74"; got != want {
		t.Errorf("as of hour 3, known now:\ngot  %s\nwant %s", got, want)
	}
	if got, want := shownGrants(t, m.now(), GrantQuery{}, hour(6), 15), "later scheduled due 92; taken revoked due 75; visit open; ends open due 74"; got != want {
		t.Errorf("as of hour 6, known now, recorded before event 15:\ngot  %s\nwant %s", got, want)
	}
}

// shownGrants is an answer as text, times in hours.
func shownGrants(t tester, r Reader, q GrantQuery, at Instant, before Seq) string {
	t.Helper()
	var all []string
	for g, err := range Grants(r, q, at, before) {
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%s %s", g.ID, g.State)
		if g.Due != 0 {
			s += fmt.Sprintf(" due %d", (g.Due-hour(0))/3600e9)
		}
		if g.Overdue {
			s += " overdue"
		}
		if g.Reviewed() {
			s += " " + g.Review.Detail
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func TestHoldersAndRoles(t *testing.T) {
	m := ledger(t, worldBegin, `
	@2 account.opened account=friend:f
	@2 role.assigned principal=staff:b role=therapist until=@10
	@2 role.assigned principal=staff:a role=therapist from=@6
	@2 role.assigned principal=friend:f role=visitor
	@3 role.assigned principal=staff:b role=full
	@4 account.locked principal=staff:b
	@8 account.deactivated account=staff:a
	@9 account.unlocked principal=staff:b
	@12 role.assigned principal=staff:b role=therapist from=@14
	@13 role.revoked principal=staff:b role=therapist
	`)
	for _, c := range []struct {
		at      int
		role    Role
		kind    Kind
		after   Account
		holders string
	}{
		{1, "therapist", "", "", ""},
		{2, "therapist", "", "", "staff:b"},
		{4, "therapist", "", "", "staff:b (locked)"},
		{6, "therapist", "", "", "staff:a, staff:b (locked)"},
		{6, "therapist", "", "staff:a", "staff:b (locked)"},
		{6, "therapist", "friend", "", ""},
		{6, "visitor", "friend", "", "friend:f"},
		{9, "therapist", "staff", "", "staff:a (inactive), staff:b"},
		{10, "therapist", "", "", "staff:a (inactive)"},
		{14, "therapist", "", "", "staff:a (inactive)"},
		{14, "nothing", "", "", ""},
	} {
		at := hour(c.at)
		var all []string
		for h, err := range Holders(m.asOf(m.knownBy(at)), c.role, c.kind, at, c.after) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, shownHolder(h))
		}
		if got := strings.Join(all, ", "); got != c.holders {
			t.Errorf("%s %s after %s at hour %d: got %s, want %s", c.kind, c.role, c.after, c.at, got, c.holders)
		}
	}
	for _, c := range []struct {
		at, known int
		who       Account
		want      string
	}{
		{1, 1, "staff:b", ""},
		{2, 2, "staff:a", "therapist from 6"},
		{6, 6, "staff:a", "therapist since 6"},
		{3, 3, "staff:b", "full since 3, therapist since 2"},
		{10, 10, "staff:b", "full since 3"},
		{12, 12, "staff:b", "full since 3, therapist from 14"},
		{12, 13, "staff:b", "full since 3"},
		{5, 12, "staff:b", "full since 3, therapist since 2"}, // nobody had thought yet of the later one
		{9, 9, "client:x", ""},
	} {
		if got := shownRoles(t, m.asOf(m.knownBy(hour(c.known))), c.who, hour(c.at)); got != c.want {
			t.Errorf("roles of %s at hour %d, known at hour %d: got %s, want %s", c.who, c.at, c.known, got, c.want)
		}
	}
}

func shownHolder(h Holder) string {
	s := string(h.Account)
	if !h.Active {
		s += " (inactive)"
	}
	if h.Locked {
		s += " (locked)"
	}
	return s
}

func shownRoles(t tester, r Reader, a Account, at Instant) string {
	t.Helper()
	roles, err := RolesOf(r, a, at)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, role := range roles {
		word := "since"
		if role.State == NotYet {
			word = "from"
		}
		all = append(all, fmt.Sprintf("%s %s %d", role.Fact.Name, word, (role.Interval.From-hour(0))/3600e9))
	}
	return strings.Join(all, ", ")
}

func TestRandomLookups(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, lines := newMemory(), []string{}
		for line := range strings.Lines(strings.TrimSpace(lookupBegin)) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		now := 1
		for range evenly(maxDrawn).Draw(rt, "lines") {
			now += evenly(2).Draw(rt, "hours")
			line := drawGrantLine(rt, now, m.events)
			if m.step(rt, line) == nil {
				lines = append(lines, line)
			}
		}
		defer func() {
			if rt.Failed() {
				rt.Logf("the history:\n%s\n%s", strings.TrimSpace(lookupBegin), strings.Join(lines, "\n"))
			}
		}()
		for range 5 {
			at := hour(rapid.IntRange(-2, now+90).Draw(rt, "at"))
			for _, known := range []Seq{m.knownBy(at), Seq(rapid.IntRange(1, len(m.events)).Draw(rt, "known at"))} {
				checkLookups(rt, m, at, known)
			}
		}
	})
}

// drawGrantLine draws lines as the other random histories have them, with more grants, of more ids, and what follows them.
func drawGrantLine(t *rapid.T, now int, history []*Event) string {
	if evenly(2).Draw(t, "any line") == 0 {
		return drawLine(t, now, history)
	}
	grant := fmt.Sprintf("n%d", evenly(6).Draw(t, "grant"))
	switch evenly(6).Draw(t, "about a grant") {
	case 0:
		return fmt.Sprintf("@%d access.revoked grant=%s", now, grant)
	case 1:
		return fmt.Sprintf("@%d access.reviewed by=staff:%c grant=%s verdict=unclear", now, 'a'+evenly(2).Draw(t, "reviewer"), grant)
	case 2:
		for _, e := range slices.Backward(history) {
			if d, ok := e.Data.(*AccessGrant); ok && string(d.Grant) == grant {
				return fmt.Sprintf("@%d fact.corrected corrects=%d %s", now, e.Seq, []string{"void=true", fmt.Sprintf("from=@%d until=@%d", now-3, now+3), fmt.Sprintf("until=@%d", now)}[evenly(3).Draw(t, "correction")])
			}
		}
	}
	from := now + evenly(8).Draw(t, "from") - 3
	return fmt.Sprintf("@%d access.granted grant=%s principal=staff:%c client=client:%c profile=emergency from=@%d until=@%d reason=r",
		now, grant, 'a'+evenly(2).Draw(t, "staff"), 'x'+evenly(2).Draw(t, "client"), from, max(from, now)+1+evenly(6).Draw(t, "until"))
}

func checkLookups(t tester, m *memory, at Instant, known Seq) {
	t.Helper()
	r, past := m.asOf(known), m.events[:known]
	all := plainGrants(m, past, at)
	for _, q := range []GrantQuery{{}, {Principal: "staff:a"}, {Client: "client:x"}, {Principal: "staff:b", Client: "client:y"}, {Profile: "emergency"},
		{State: GrantOpen}, {State: GrantRevoked}, {Unreviewed: true}, {Overdue: true}, {Client: "client:x", Unreviewed: true}} {
		var want []string
		for _, g := range all {
			if (q.Principal == "" || g.Principal == q.Principal) && (q.Client == "" || g.Client == q.Client) && (q.Profile == "" || g.Profile == q.Profile) &&
				(q.State == "" || g.State == q.State) && (!q.Unreviewed || g.Due != 0 && !g.Reviewed()) && (!q.Overdue || g.Overdue) {
				want = append(want, shownGrant(g))
			}
		}
		// Taken two at a time, as pages are.
		var got []string
		for before, more := Seq(0), true; more; {
			n := 0
			more = false
			for g, err := range Grants(r, q, at, before) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n > 2 {
					more = true
					break
				}
				before = g.Interval.Began
				got = append(got, shownGrant(g))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("grants %+v as of %s known at %d:\ngot  %s\nwant %s", q, at, known, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}

	n := newNaive(m.events, m.catalogues, at, known)
	for _, role := range []Role{"therapist", "full", "limited", "senior", "visitor", "manager"} {
		var got, want []string
		for h, err := range Holders(r, role, "", at, "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, shownHolder(h))
		}
		for _, a := range slices.Sorted(slices.Values(worldAccounts)) {
			if n.has("role.assigned", a, "", string(role)) {
				_, open := n.account(a)
				want = append(want, shownHolder(Holder{Account: a, Standing: Standing{Active: open, Locked: n.locked(a)}}))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("holders of %s as of %s known at %d: got %v, want %v", role, at, known, got, want)
		}
	}
	for _, a := range worldAccounts {
		var want []string
		for _, s := range n.dated {
			recorded := m.events[s.seq-1].RecordedAt
			if s.what != "role.assigned" || s.who != a || s.from >= s.until || s.until <= at || s.from > at && recorded > at {
				continue
			}
			word := "since"
			if s.from > at {
				word = "from"
			}
			want = append(want, fmt.Sprintf("%s %s %d", s.name, word, (s.from-hour(0))/3600e9))
		}
		got := shownRoles(t, r, a, at)
		if slices.Sort(want); got != strings.Join(sortedRoles(got), ", ") && got != "" || !slices.Equal(sortedRoles(got), want) {
			t.Fatalf("roles of %s as of %s known at %d: got %s, want %v", a, at, known, got, want)
		}
	}
}

func sortedRoles(shown string) (roles []string) {
	if shown == "" {
		return nil
	}
	roles = strings.Split(shown, ", ")
	slices.Sort(roles)
	return roles
}

func shownGrant(g Grant) string {
	return fmt.Sprintf("%s %s %s %s [%s %s) %s review %d %s due %d %t", g.ID, g.Principal, g.Client, g.Profile, g.Interval.From, g.Interval.Until, g.State, g.Review.Began, g.Review.Detail, g.Due, g.Overdue)
}

// plainGrants is Grants once more, without facts: each grant followed through the events.
func plainGrants(m *memory, past []*Event, at Instant) (all []Grant) {
	var within, catalogue Instant // of emergency alone: nothing else asks for a review
	for _, e := range past {
		if e.Type == CatalogueAdopted {
			catalogue = Instant(m.catalogues[e.Seq].Grants["emergency"].ReviewWithin)
		}
		d, ok := e.Data.(*AccessGrant)
		if !ok {
			continue
		}
		if within = 0; d.Profile == "emergency" {
			within = catalogue
		}
		g := Grant{ID: d.Grant, Principal: d.Principal, Client: d.Client, Profile: d.Profile}
		from, until := cmp.Or(d.From, e.RecordedAt), d.Until
		revoked, void := false, false
		for _, later := range past[e.Seq:] {
			switch l := later.Data.(type) {
			case *AccessRevocation:
				if l.Grant == d.Grant && later.RecordedAt < until {
					revoked, until = true, max(from, later.RecordedAt)
				}
			case *Correction:
				if l.Corrects == e.Seq {
					from, until, void = cmp.Or(l.From, from), cmp.Or(l.Until, until), l.Void
					if void {
						until = from
					}
				}
			case *AccessReview:
				if l.Grant == d.Grant && later.RecordedAt <= at {
					g.Review = Interval{Began: later.Seq, Detail: l.Verdict}
				}
			}
		}
		switch {
		case void:
			g.State = GrantVoided
		case revoked && from == until:
			g.State = GrantRevoked
			within = 0
		case at < from:
			g.State = GrantScheduled
		case at < until:
			g.State = GrantOpen
		case revoked:
			g.State = GrantRevoked
		default:
			g.State = GrantEnded
		}
		if within != 0 {
			g.Due = max(from, e.RecordedAt) + within
			g.Overdue = g.Review.Began == 0 && g.Due <= at
		}
		g.Interval = Interval{From: from, Until: until}
		if from <= at || e.RecordedAt <= at {
			all = append(all, g)
		}
	}
	slices.Reverse(all)
	return all
}
