package ledger

// Histories of accounts, roles, grants and actors, held against plain loops over all events.

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// trailWorld is a ledger whose clock goes on by up to some seconds with every look, often by none.
func trailWorld(t *testing.T, r *rand.Rand) *Ledger {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true, Now: func() time.Time {
		now = now.Add(time.Duration(r.IntN(3)) * time.Second)
		return now
	}})
	t.Cleanup(func() { closeService(t, s) })
	l, err := s.Init(t.Context(), acme, []byte(strings.Replace(house, "access.revoke,", "access.revoke, access.review,", 1)), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	record1(t, l, opens(anna), opens(bob), opens("client:1"), opens("client:2"), opens("team:night"), assigns(anna, "therapist"))
	return l
}

// stumble sends a random command, which the ledger may well refuse.
func stumble(t *testing.T, r *rand.Rand, l *Ledger) {
	people := []domain.Account{anna, bob}
	clients := []domain.Account{"client:1", "client:2"}
	grants := []domain.GrantID{"g1", "g2", "g3"}
	who, client := pick(r, people), pick(r, clients)
	var c domain.Command
	switch r.IntN(14) {
	case 0:
		c = assigns(who, "therapist")
	case 1:
		c = revokes(who, "therapist")
	case 2, 3:
		c = links(pick(r, append(people, "team:night")), client)
	case 4:
		c = unlinks(pick(r, append(people, "team:night")), client)
	case 5:
		c = command(&domain.TeamJoin{Team: "team:night", Member: who})
	case 6:
		c = command(&domain.TeamLeave{Team: "team:night", Member: who})
	case 7:
		c = by(who, because("acute", command(&domain.AccessGrant{Grant: pick(r, grants), Principal: who, Client: client, Profile: "emergency", Until: l.Now().Add(time.Hour)})))
	case 8:
		c = command(&domain.AccessRevocation{Grant: pick(r, grants)})
	case 9:
		c = command(&domain.AccessReview{Grant: pick(r, grants), Verdict: "justified"})
	case 10:
		c = fails(who)
	case 11:
		c = command(&domain.AccountUnlock{Principal: who})
	default:
		d := &domain.Correction{Corrects: 1 + domain.Seq(r.IntN(int(l.Head()))), Void: r.IntN(4) == 0}
		if !d.Void {
			d.From = l.Now().Add(-time.Duration(1+r.IntN(60)) * time.Second)
		}
		c = because("a slip", command(d))
	}
	if _, err := l.Record(t.Context(), []domain.Command{c}); err != nil && !isFailure(err, domain.Conflict) &&
		!isFailure(err, domain.RuleBroken) && !isFailure(err, domain.Unknown) && !isFailure(err, domain.NotPermitted) {
		t.Fatal(err)
	}
}

// said is what an event says, with nothing known of its types: every field of its data, and of the events that it names.
type said struct {
	Principal, Account, Client, Team, Member, Role, Grant string
	Corrects                                              domain.Seq
}

func sayings(t *testing.T, all []*domain.Event) []said {
	t.Helper()
	list := make([]said, len(all))
	grants := map[string]said{}
	for i, e := range all {
		d := &list[i]
		if err := json.Unmarshal(e.DataJSON(), d); err != nil {
			t.Fatal(err)
		}
		corrects := d.Corrects
		if corrects != 0 {
			*d = list[corrects-1]
			d.Corrects = corrects
		}
		switch first, ok := grants[d.Grant]; {
		case d.Grant == "":
		case ok:
			d.Principal, d.Client = first.Principal, first.Client
		default:
			grants[d.Grant] = *d
		}
	}
	return list
}

// naively tells the trail by a loop over all events.
func naively(all []*domain.Event, list []said, t Trail, known domain.Seq) (told []Told) {
	for i, e := range all[:known] {
		d := list[i]
		about := string(t.About)
		of := t.About == "" && t.Role == "" && t.Grant == "" && t.Actor == "" ||
			about != "" && slices.Contains([]string{d.Principal, d.Account, d.Client, d.Team, d.Member}, about) ||
			t.Role != "" && d.Role == string(t.Role) || t.Grant != "" && d.Grant == string(t.Grant) || t.Actor != "" && e.Actor == t.Actor
		typed := len(t.Types) == 0
		for _, typ := range t.Types {
			typed = typed || typ == string(e.Type) || strings.HasSuffix(typ, "*") && strings.HasPrefix(string(e.Type), strings.TrimSuffix(typ, "*"))
		}
		if !of || !typed || e.RecordedAt < t.From || t.Until != 0 && e.RecordedAt >= t.Until {
			continue
		}
		one := Told{Event: e}
		if d.Corrects != 0 {
			one.Concern = &domain.Concern{Type: all[d.Corrects-1].Type}
		}
		for j, later := range list[:known] {
			if later.Corrects == e.Seq {
				one.CorrectedBy = append(one.CorrectedBy, all[j].Seq)
			}
		}
		told = append(told, one)
	}
	if t.Newest {
		slices.Reverse(told)
	}
	for i, one := range told {
		if t.Past != 0 && (t.Newest && one.Event.Seq < t.Past || !t.Newest && one.Event.Seq > t.Past) {
			return told[i:]
		}
	}
	if t.Past != 0 {
		return nil
	}
	return told
}

// short is what a failure shows of it.
func short(told []Told) (list []string) {
	for _, one := range told {
		s := fmt.Sprintf("%d %s", one.Event.Seq, one.Event.Type)
		if one.Concern != nil {
			s += " of " + string(one.Concern.Type)
		}
		if one.CorrectedBy != nil {
			s += fmt.Sprint(" corrected by ", one.CorrectedBy)
		}
		list = append(list, s)
	}
	return list
}

func toldBy(t *testing.T, a *Asked, trail Trail) (told []Told) {
	t.Helper()
	for one, err := range a.History(t.Context(), trail) {
		if err != nil {
			t.Fatalf("history of %+v: %v", trail, err)
		}
		told = append(told, one)
	}
	return told
}

func TestHistoriesAreThoseOfAPlainLoop(t *testing.T) {
	t.Parallel()
	r := random(t)
	l := trailWorld(t, r)
	for range rounds(400) {
		stumble(t, r, l)
	}
	all := events(t, l)
	list := sayings(t, all)
	asked, corrected := 0, 0
	for range rounds(600) {
		known := domain.Seq(1 + r.IntN(len(all)))
		if r.IntN(2) == 0 {
			known = domain.Seq(len(all))
		}
		var trail Trail
		switch r.IntN(5) {
		case 0:
			trail.About = pick(r, []domain.Account{anna, bob, boss, "client:1", "client:2", "team:night"})
		case 1:
			trail.Role = pick(r, []domain.Role{"therapist", "manager"})
		case 2:
			trail.Grant = pick(r, []domain.GrantID{"g1", "g2", "g3", "g4"})
		case 3:
			trail.Actor = pick(r, []domain.Account{anna, bob, boss})
		}
		trail.Newest = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			trail.Types = pick(r, [][]string{{"role.*"}, {"access.revoked", "access.granted"}, {"*"}, {"fact.corrected"}, {"account.*", "team.left"}})
		}
		if r.IntN(3) == 0 {
			trail.From = pick(r, all).RecordedAt + domain.Instant(r.IntN(2))
		}
		if r.IntN(3) == 0 {
			trail.Until = pick(r, all).RecordedAt + domain.Instant(r.IntN(2))
		}
		if r.IntN(3) == 0 {
			trail.Past = domain.Seq(1 + r.IntN(len(all)))
		}
		a := ask(t, l, 0, fmt.Sprint(known))
		got, want := short(toldBy(t, a, trail)), short(naively(all, list, trail, known))
		a.Close()
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("history of %+v, known at %d:\n got %q\nwant %q", trail, known, got, want)
		}
		asked += len(got)
		corrected += strings.Count(strings.Join(got, " "), "corrected by")
	}
	if asked < 1000 || corrected == 0 {
		t.Errorf("%d events were told, %d of them corrected: the test shows little", asked, corrected)
	}
}

// Whatever is broken off and gone on with comes to the whole.
func TestHistoryGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	r := random(t)
	l := trailWorld(t, r)
	for range 60 {
		stumble(t, r, l)
	}
	a := ask(t, l, 0, "")
	defer a.Close()
	for _, trail := range []Trail{{}, {Actor: boss}, {About: anna}, {Role: "therapist", Types: []string{"role.*"}}} {
		for _, newest := range []bool{false, true} {
			trail.Newest, trail.Past = newest, 0
			want := short(toldBy(t, a, trail))
			var got []string
			for {
				n := 0
				for one, err := range a.History(t.Context(), trail) {
					if err != nil {
						t.Fatal(err)
					}
					if n == 3 {
						break
					}
					got = append(got, short([]Told{one})...)
					trail.Past, n = one.Event.Seq, n+1
				}
				if n < 3 {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("history of %+v by threes:\n got %q\nwant %q", trail, got, want)
			}
		}
	}
}

// A chain of corrections shows in what each says of the bounds before it.
func TestCorrectionsAreTold(t *testing.T) {
	t.Parallel()
	l := trailWorld(t, random(t))
	record1(t, l, links(anna, "client:1"))
	linked := l.Head()
	at := l.Now()
	hour := func(n int) domain.Instant { return at.Add(time.Duration(n) * time.Hour) }
	record1(t, l, because("late", command(&domain.Correction{Corrects: linked, From: hour(-5)})))
	record1(t, l, because("until June", command(&domain.Correction{Corrects: linked, Until: hour(20)})))
	record1(t, l, unlinks(anna, "client:1"))
	record1(t, l, because("never", command(&domain.Correction{Corrects: linked, Void: true})))
	a := ask(t, l, 0, "")
	defer a.Close()
	told := toldBy(t, a, Trail{About: "client:1", Past: linked - 1})
	first, ended := told[0].Event.RecordedAt, told[3].Event.RecordedAt
	var got []string
	for _, one := range told {
		s := short([]Told{one})[0]
		if one.Concern != nil {
			s += fmt.Sprintf(", was %s to %s", one.Concern.Was.From, one.Concern.Was.Until)
		}
		got = append(got, s)
	}
	n := int(linked)
	want := []string{
		fmt.Sprintf("%d caseload.linked corrected by [%d %d %d]", n, n+1, n+2, n+4),
		fmt.Sprintf("%d fact.corrected of caseload.linked, was %s to forever", n+1, first),
		fmt.Sprintf("%d fact.corrected of caseload.linked, was %s to forever", n+2, hour(-5)),
		fmt.Sprintf("%d caseload.unlinked", n+3),
		fmt.Sprintf("%d fact.corrected of caseload.linked, was %s to %s", n+4, hour(-5), ended),
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	before := ask(t, l, 0, fmt.Sprint(n+1))
	defer before.Close()
	if got, want := short(toldBy(t, before, Trail{About: anna, Past: linked - 1, Types: []string{"caseload.*"}})), []string{fmt.Sprintf("%d caseload.linked corrected by [%d]", n, n+1)}; !slices.Equal(got, want) {
		t.Errorf("known at %d: got %q, want %q", n+1, got, want)
	}
}
