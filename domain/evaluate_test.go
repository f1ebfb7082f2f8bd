package domain

// Questions put to histories: what is answered, by which events, and until when.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A question's line is
//
//	@5 known=now staff:anna view client:x: yes stands#10 stands#11 until=@9
//
// as of hour 5, as known by then (known left out: enforced), now, or at a seq (known=#12). The answer is the state of
// each reason with the event that says so, and for a yes until when it is valid (left out: for ever).
var questions = []struct{ name, given, ask string }{
	{"a role and a link", `
		@1 role.assigned principal=staff:anna role=therapist until=@9
		@2 caseload.linked principal=staff:anna client=client:x relation=therapist`, `
		@1 staff:anna view client:x: no stands#10 missing#0
		@2 staff:anna view client:x: yes stands#10 stands#11 until=@9
		@8 staff:anna view client:x: yes stands#10 stands#11 until=@9
		@9 staff:anna view client:x: no ended#10 stands#11
		@2 staff:anna view client:y: no stands#10 missing#0
		@2 staff:bob view client:x: no missing#0 missing#0
		@2 staff:anna fly client:x: no no~permit#0
		@2 staff:anna view moon:1: no no~permit#0`},
	{"any of several roles and links", `
		@1 role.assigned principal=staff:anna role=full until=@6
		@2 caseload.linked principal=staff:anna client=client:x relation=reader until=@4
		@2 caseload.linked principal=staff:anna client=client:x relation=restricted until=@5`, `
		@3 staff:anna view client:x: yes stands#10 stands#12 until=@5
		@5 staff:anna view client:x: no stands#10 ended#11`},
	{"a link of a team", `
		@1 role.assigned principal=staff:anna role=therapist
		@1 caseload.linked principal=team:night client=client:x relation=therapist until=@9
		@2 team.joined team=team:night member=staff:anna until=@7`, `
		@1 staff:anna view client:x: no stands#10 missing#0
		@2 staff:anna view client:x: yes stands#10 stands#12 stands#11 until=@7
		@7 staff:anna view client:x: no stands#10 missing#0
		@2 staff:bob view client:x: no missing#0 missing#0
		@2 team:night view client:x: no missing#0 stands#11`},
	{"a team to be joined", `
		@1 role.assigned principal=staff:anna role=therapist
		@1 caseload.linked principal=team:night client=client:x relation=therapist
		@2 team.joined team=team:night member=staff:anna from=@5`, `
		@3 staff:anna view client:x: no stands#10 stands#11 not~yet#12
		@5 staff:anna view client:x: yes stands#10 stands#12 stands#11`},
	{"self", `
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `
		@1 client:x view client:x: yes stands#6
		@1 client:y view client:x: no missing#0 missing#0
		@1 client:x view journal:1: yes stands#10
		@1 client:y view journal:1: no missing#0 missing#0`},
	{"linked by", `
		@1 role.assigned principal=staff:anna role=therapist
		@2 caseload.linked principal=staff:anna client=client:x relation=therapist until=@5`, `
		@2 client:x message staff:anna: yes stands#11 until=@5
		@2 client:y message staff:anna: no missing#0
		@2 client:x message staff:bob: no missing#0
		@5 client:x message staff:anna: no ended#11`},
	{"linked by a team's member", `
		@1 caseload.linked principal=team:night client=client:x relation=therapist
		@2 team.joined team=team:night member=staff:bob`, `
		@1 client:x message staff:bob: no missing#0
		@2 client:x message staff:bob: yes stands#11 stands#10`},
	{"temporary access", `
		@1 access.granted grant=g principal=friend:fay client=client:x profile=visit from=@3 until=@9
		@5 access.revoked grant=g`, `
		@2 friend:fay view client:x: no not~yet#10
		@3 friend:fay view client:x: yes stands#10 until=@9
		@3 friend:fay view client:y: no missing#0 missing#0
		@5 friend:fay view client:x: no ended#11
		@3 known=now friend:fay view client:x: yes stands#10 until=@5`},
	{"own, unless", `
		@1 role.assigned principal=staff:anna role=full
		@1 role.assigned principal=staff:anna role=senior
		@2 resource.registered resource=journal:1 client=client:x created_by=staff:anna
		@2 resource.registered resource=journal:2 client=client:x created_by=staff:bob
		@4 caseload.linked principal=staff:anna client=client:x relation=restricted until=@6`, `
		@2 staff:anna erase journal:1: yes stands#11 stands#12
		@2 staff:anna erase journal:2: no missing#0 stands#11
		@4 staff:anna erase journal:1: no stands#11 stands#12 bars#14
		@6 staff:anna erase journal:1: yes stands#11 stands#12
		@2 known=now staff:anna erase journal:1: yes stands#11 stands#12 until=@4`},
	{"unless, said by no event", `
		@1 guest.invited guest=guest:g call=call:1 until=@3
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna
		@2 catalogue.adopted document=barred`, `
		@1 guest:g read platform:main: no missing#0
		@1 staff:anna read platform:main: yes stands#4
		@2 client:x view client:x: no missing#0
		@2 client:y view client:x: yes stands#7
		@2 staff:anna view journal:1: no missing#0
		@2 staff:bob view journal:1: yes stands#5`},
	{"in one team", `
		@1 team.joined team=team:night member=staff:anna
		@2 team.joined team=team:night member=client:x until=@5`, `
		@1 staff:anna greet client:x: no missing#0
		@2 staff:anna greet client:x: yes stands#10 stands#11 until=@5
		@2 client:x greet client:x: yes stands#11 stands#11 until=@5
		@2 staff:anna greet client:y: no missing#0
		@5 staff:anna greet client:x: no missing#0`},
	{"a guest of a call", `
		@1 guest.invited guest=guest:g call=call:1 until=@3
		@2 call.ended call=call:1`, `
		@0 guest:g join call:1: no missing#0
		@1 guest:g join call:1: yes stands#10 until=@3
		@1 guest:g join call:2: no missing#0
		@1 staff:anna join call:1: no missing#0
		@2 guest:g join call:1: no ended#11
		@3 guest:g join call:1: no ended#11`},
	{"everyone", `
		@1 resource.registered resource=leaflet:1 client=client:x created_by=staff:anna`, `
		@1 friend:fay know_of leaflet:1: yes stands#9
		@1 friend:fay know_of leaflet:2: no missing#0
		@1 staff:nobody know_of leaflet:1: no missing#0`},
	{"a permission added", `
		@1 permission.added principal=staff:anna on=client action=view client=client:x
		@2 permission.restored principal=staff:anna on=client action=view client=client:x`, `
		@1 staff:anna view client:x: yes stands#10
		@1 staff:anna view client:y: no missing#0 missing#0
		@1 staff:anna edit client:x: no missing#0 missing#0
		@2 staff:anna view client:x: no missing#0 missing#0
		@1 known=now staff:anna view client:x: yes stands#10 until=@2`},
	{"a permission added for all, of a resource too", `
		@1 permission.added principal=staff:anna on=journal action=view
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:bob`, `
		@1 staff:anna view journal:1: yes stands#10
		@1 staff:anna view journal:2: no missing#0`},
	{"a permission withheld", `
		@1 role.assigned principal=staff:anna role=therapist
		@1 caseload.linked principal=staff:anna client=client:x relation=therapist
		@2 permission.withheld principal=staff:anna on=client action=view
		@4 permission.restored principal=staff:anna on=client action=view`, `
		@1 known=now staff:anna view client:x: yes stands#10 stands#11 until=@2
		@2 staff:anna view client:x: no bars#12
		@2 staff:anna edit client:x: yes stands#10 stands#11
		@4 staff:anna view client:x: yes stands#10 stands#11`},
	{"withheld for one wins over added for all, and the other way round", `
		@1 permission.added principal=staff:anna on=client action=view
		@1 permission.withheld principal=staff:anna on=client action=view client=client:x
		@1 permission.withheld principal=staff:bob on=client action=view
		@1 permission.added principal=staff:bob on=client action=view client=client:x`, `
		@1 staff:anna view client:x: no bars#11
		@1 staff:anna view client:y: yes stands#10
		@1 staff:bob view client:x: no bars#12`},
	{"locked", `
		@1 permission.added principal=staff:anna on=client action=view
		@2 account.locked principal=staff:anna cause=lost
		@4 account.unlocked principal=staff:anna`, `
		@1 staff:anna view client:x: yes stands#10
		@2 staff:anna view client:x: no bars#11
		@2 known=#10 staff:anna view client:x: yes stands#10
		@4 staff:anna view client:x: yes stands#10
		@1 known=now staff:anna view client:x: yes stands#10 until=@2`},
	{"deactivated and reactivated", `
		@1 permission.added principal=staff:anna on=client action=view
		@2 account.deactivated account=staff:anna
		@3 account.deactivated account=client:x
		@4 account.reactivated account=staff:anna`, `
		@1 staff:anna view client:x: yes stands#10
		@2 staff:anna view client:x: no ended#11
		@3 client:x view client:x: no ended#12
		@4 staff:anna view client:x: yes stands#10
		@1 known=now staff:anna view client:x: yes stands#10 until=@2`},
	{"before the opening, and of what never was", `
		@3 account.opened account=staff:cees
		@3 account.opened account=client:z
		@3 permission.added principal=staff:cees on=client action=view
		@3 permission.added principal=staff:anna on=client action=view
		@3 role.assigned principal=staff:cees role=therapist from=@1`, `
		@2 known=now staff:cees view client:x: no not~yet#10
		@2 known=now staff:anna view client:z: no missing#0
		@3 staff:anna view client:z: yes stands#13
		@3 staff:anna view client:nobody: no missing#0
		@3 staff:nobody view client:x: no missing#0
		@-1 known=now staff:anna view client:x: no no~permit#0`},
	{"opened and deactivated in one moment, it was there", `
		@1 permission.added principal=staff:anna on=client action=view
		@2 account.opened account=client:z
		@2 account.deactivated account=client:z`, `
		@2 staff:anna view client:z: yes stands#10
		@2 client:z view client:z: no missing#0`},
	{"an unregistered resource", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@1 role.assigned principal=staff:anna role=senior`, `
		@1 staff:anna view note:1: no missing#0
		@1 staff:anna view note:1(client:x): yes stands#10 stands#11
		@1 staff:anna view note:1(client:y): no stands#10 missing#0
		@1 staff:anna view note:1(client:nobody): no missing#0
		@1 staff:anna view note:1(staff:bob): no missing#0
		@1 staff:anna erase note:1(client:x,staff:anna): yes stands#12
		@1 staff:anna erase note:1(client:x,staff:bob): no missing#0 stands#12
		@1 staff:anna erase journal:1(client:x,staff:anna): no missing#0`},
	{"a registered one is what it is registered as", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@2 resource.registered resource=note:1 client=client:y created_by=staff:bob
		@4 resource.removed resource=note:1`, `
		@1 known=now staff:anna view note:1(client:x): yes stands#10 stands#11 until=@2
		@2 staff:anna view note:1(client:x): no stands#10 missing#0
		@4 staff:anna view note:1(client:x): yes stands#10 stands#11
		@4 staff:anna view note:1: no missing#0`},
	{"a late fact", `
		@1 role.assigned principal=staff:anna role=full
		@5 caseload.linked principal=staff:anna client=client:x relation=reader from=@2`, `
		@3 staff:anna view client:x: no stands#10 missing#0
		@3 known=now staff:anna view client:x: yes stands#10 stands#11
		@5 staff:anna view client:x: yes stands#10 stands#11
		@1 known=now staff:anna view client:x: no stands#10 not~yet#11`},
	{"an end that was corrected", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader until=@8
		@5 fact.corrected corrects=11 until=@3`, `
		@4 staff:anna view client:x: yes stands#10 stands#11 until=@8
		@4 known=now staff:anna view client:x: no stands#10 ended#12
		@2 known=now staff:anna view client:x: yes stands#10 stands#12 until=@3
		@6 staff:anna view client:x: no stands#10 ended#12
		@6 known=#11 staff:anna view client:x: yes stands#10 stands#11 until=@8`},
	{"a start that was corrected", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@5 fact.corrected corrects=11 from=@7`, `
		@4 staff:anna view client:x: yes stands#10 stands#11
		@4 known=now staff:anna view client:x: no stands#10 not~yet#12
		@5 staff:anna view client:x: no stands#10 not~yet#12
		@7 staff:anna view client:x: yes stands#10 stands#12`},
	{"voided", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@5 fact.corrected corrects=11 void=true`, `
		@4 staff:anna view client:x: yes stands#10 stands#11
		@4 known=now staff:anna view client:x: no stands#10 missing#0
		@5 staff:anna view client:x: no stands#10 missing#0`},
	{"revoked after an end moved beside it", `
		@1 role.assigned principal=staff:anna role=full until=@2
		@3 role.assigned principal=staff:anna role=full until=@6
		@4 fact.corrected corrects=10 from=@8 until=@9
		@5 role.revoked principal=staff:anna role=full
		@5 caseload.linked principal=team:night client=client:x relation=reader
		@5 team.joined team=team:night member=staff:anna`, `
		@5 staff:anna view client:x: no ended#13 stands#15 stands#14
		@8 staff:anna view client:x: no ended#13 stands#15 stands#14`},
	{"a role taken before it began", `
		@1 role.assigned principal=staff:anna role=full from=@5
		@2 role.revoked principal=staff:anna role=full
		@2 caseload.linked principal=staff:anna client=client:x relation=restricted`, `
		@2 staff:anna view client:x: no missing#0 stands#12
		@5 staff:anna view client:x: no missing#0 stands#12
		@5 known=#10 staff:anna view client:x: no stands#10 missing#0`},
	{"a revocation wins the moment it is recorded", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@3 caseload.unlinked principal=staff:anna client=client:x relation=reader
		@3 caseload.linked principal=staff:anna client=client:x relation=restricted until=@5`, `
		@3 known=#12 staff:anna view client:x: no stands#10 ended#12
		@3 staff:anna view client:x: yes stands#10 stands#13 until=@5
		@5 staff:anna view client:x: no stands#10 ended#12`},
	{"another catalogue decides from its adoption on", `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@2 permission.added principal=staff:bob on=client action=count
		@2 caseload.linked principal=team:night client=client:x relation=reader
		@2 team.joined team=team:night member=staff:bob
		@5 catalogue.adopted document=care-later
		@5 role.assigned principal=staff:bob role=limited`, `
		@4 staff:anna view client:x: yes stands#10 stands#11
		@4 known=now staff:anna view client:x: yes stands#10 stands#11 until=@5
		@5 staff:anna view client:x: no missing#0 stands#11
		@5 known=#14 staff:anna view client:x: yes stands#10 stands#11
		@4 staff:bob greet client:x: no missing#0
		@5 staff:bob greet client:x: yes stands#5
		@5 staff:bob count client:x: yes stands#12
		@5 staff:bob view client:x: no stands#16 missing#0`},
	{"a guest that was invited again, and deactivated", `
		@1 guest.invited guest=guest:g call=call:1 until=@3
		@1 guest.invited guest=guest:g call=call:2 until=@2
		@2 guest.invited guest=guest:g call=call:2 until=@4
		@2 account.deactivated account=guest:g`, `
		@1 guest:g join call:2: yes stands#11 until=@2
		@2 known=#12 guest:g join call:2: yes stands#12 until=@4
		@2 guest:g join call:1: no ended#13
		@3 guest:g join call:2: no ended#13`},
}

func TestEvaluate(t *testing.T) {
	for _, c := range questions {
		t.Run(c.name, func(t *testing.T) {
			m := ledger(t, begun, c.given)
			for line := range strings.Lines(c.ask) {
				if line = strings.TrimSpace(line); line == "" {
					continue
				}
				ask, want, _ := strings.Cut(line, ": ")
				q, at, known := readQuestion(t, m, ask)
				d, err := Evaluate(m.asOf(known), q, at)
				if err != nil {
					t.Fatalf("%s: %v", ask, err)
				}
				if got := answered(d); got != want {
					t.Errorf("%s:\ngot  %s\nwant %s\nby %s", ask, got, want, whys(d))
				}
				checkDecision(t, q, d, at, known)
			}
		})
	}
}

func readQuestion(t *testing.T, m *memory, ask string) (q Question, at Instant, known Seq) {
	t.Helper()
	words := strings.Fields(ask)
	at = readHour(t, words[0])
	known = m.knownBy(at)
	if k, ok := strings.CutPrefix(words[1], "known="); ok {
		known = Seq(len(m.events))
		if k != "now" {
			n, err := strconv.Atoi(k[1:])
			if err != nil {
				t.Fatal(err)
			}
			known = Seq(n)
		}
		words = words[1:]
	}
	resource, properties, _ := strings.Cut(strings.TrimSuffix(words[3], ")"), "(")
	client, creator, _ := strings.Cut(properties, ",")
	return Question{Account(words[1]), Action(words[2]), Resource(resource), Account(client), Account(creator)}, at, known
}

func answered(d Decision) string {
	words := []string{"no"}
	if d.Allowed {
		words[0] = "yes"
	}
	for _, r := range d.Basis {
		words = append(words, fmt.Sprintf("%s#%d", strings.ReplaceAll(stateNames[r.State], " ", "~"), r.Seq()))
	}
	if d.Allowed && d.ValidUntil != Forever {
		words = append(words, fmt.Sprintf("until=@%d", (d.ValidUntil-hour(0))/3600e9))
	}
	return strings.Join(words, " ")
}

// hours writes a time of the tests' clock.
func hours(i Instant) string { return fmt.Sprintf("%dh", (i-hour(0))/3600e9) }

func TestReasonsAreSentences(t *testing.T) {
	m := ledger(t, begun, `
		@1 role.assigned principal=staff:anna role=therapist until=@8
		@2 caseload.linked principal=staff:anna client=client:x relation=therapist
		@4 caseload.unlinked principal=staff:anna client=client:x relation=therapist
		@5 caseload.linked principal=staff:anna client=client:x relation=therapist from=@7
		@6 account.locked principal=staff:bob cause=3~failed~sign-ins
		@6 permission.withheld principal=friend:fay on=client action=view
		@6 permission.added principal=friend:fay on=client action=count client=client:x
		@6 access.granted grant=g principal=friend:fay client=client:y profile=visit until=@9
		@6 resource.registered resource=journal:1 client=client:x created_by=staff:anna
		@6 team.joined team=team:night member=friend:fay
		@6 team.joined team=team:night member=client:x
		@6 guest.invited guest=guest:g call=call:1 until=@8
		@6 fact.corrected corrects=10 until=@9`)
	en := Teller{Show: hours}
	for _, c := range []struct {
		ask  string
		want []string // type and sentence of each reason
		nl   []string // the sentences in Dutch
	}{
		{"@3 staff:anna view client:x", []string{"role.assigned: staff:anna holds role therapist since 1h, until 8h", "caseload.linked: staff:anna is linked to client:x as therapist since 2h"},
			[]string{"staff:anna heeft van 1h tot 8h de rol therapist", "staff:anna is sinds 2h als therapist gekoppeld aan client:x"}},
		{"@4 staff:anna view client:x", []string{"role.assigned: staff:anna holds role therapist since 1h, until 8h", "caseload.unlinked: staff:anna is linked to client:x as therapist from 2h, but not since 4h"},
			[]string{"staff:anna heeft van 1h tot 8h de rol therapist", "staff:anna was vanaf 2h als therapist gekoppeld aan client:x, maar sinds 4h niet meer"}},
		{"@1 known=#13 staff:anna view client:x", []string{"role.assigned: staff:anna holds role therapist since 1h, until 8h", "caseload.linked: staff:anna is linked to client:x as therapist, but only from 2h"},
			[]string{"staff:anna heeft van 1h tot 8h de rol therapist", "staff:anna is pas vanaf 2h als therapist gekoppeld aan client:x"}},
		{"@7 staff:anna view client:x", []string{"fact.corrected: staff:anna holds role therapist since 1h, until 9h", "caseload.linked: staff:anna is linked to client:x as therapist since 7h"},
			[]string{"staff:anna heeft van 1h tot 9h de rol therapist", "staff:anna is sinds 7h als therapist gekoppeld aan client:x"}},
		{"@7 staff:anna view client:y", []string{"fact.corrected: staff:anna holds role therapist since 1h, until 9h", ": this needs link therapist from staff:anna to client:y"},
			[]string{"staff:anna heeft van 1h tot 9h de rol therapist", "hiervoor moet staff:anna als therapist gekoppeld zijn aan client:y"}},
		{"@6 staff:bob view client:x", []string{"account.locked: staff:bob is locked (3 failed sign-ins) since 6h"},
			[]string{"staff:bob is sinds 6h geblokkeerd (3 failed sign-ins)"}},
		{"@6 friend:fay view client:x", []string{"permission.withheld: friend:fay has view on every client individually withheld since 6h"},
			[]string{"aan friend:fay is sinds 6h individueel het recht ontzegd: view bij alles van het type client"}},
		{"@6 friend:fay count client:x", []string{"permission.added: friend:fay has count on client:x individually added since 6h"},
			[]string{"friend:fay heeft sinds 6h een individueel recht: count bij client:x"}},
		{"@6 friend:fay greet client:x", []string{"team.joined: friend:fay is in team:night since 6h", "team.joined: client:x is in team:night since 6h"},
			[]string{"friend:fay zit sinds 6h in team:night", "client:x zit sinds 6h in team:night"}},
		{"@6 guest:g join call:1", []string{"guest.invited: guest:g is invited to call:1 since 6h, until 8h"},
			[]string{"guest:g is van 6h tot 8h uitgenodigd voor call:1"}},
		{"@6 guest:g read platform:main", []string{": this needs somebody of another kind"},
			[]string{"hiervoor is iemand van een andere soort nodig"}},
		{"@6 guest:g fly client:x", []string{": the catalogue lets nobody fly on client"},
			[]string{"de catalogus geeft niemand het recht fly bij het type client"}},
		{"@6 staff:cees view client:x", []string{": this needs an open account staff:cees"},
			[]string{"hiervoor moet staff:cees een open account hebben"}},
		{"@6 client:x view client:z", []string{": this needs client:z to exist"},
			[]string{"hiervoor moet client:z bestaan"}},
		{"@6 client:x view journal:1", []string{"resource.registered: journal:1 belongs to client:x, created by staff:anna since 6h"},
			[]string{"journal:1 hoort sinds 6h bij client:x, aangemaakt door staff:anna"}},
		{"@6 client:y greet client:x", []string{": this needs client:y and client:x to be in one team"},
			[]string{"hiervoor moeten client:y en client:x in hetzelfde team zitten"}},
	} {
		q, at, known := readQuestion(t, m, c.ask)
		d, err := Evaluate(m.asOf(known), q, at)
		if err != nil {
			t.Fatal(err)
		}
		nl := Teller{Lang: Dutch, Show: hours}
		var got, inDutch []string
		for _, r := range d.Basis {
			got = append(got, string(r.Type())+": "+en.Why(r))
			inDutch = append(inDutch, nl.Why(r))
			if typ := r.Type(); typ != "" && m.events[r.Seq()-1].Type != typ || (typ == "") != (r.Seq() == 0) {
				t.Errorf("%s: reason %q is of %q by event %d, which is not of that type", c.ask, en.Why(r), typ, r.Seq())
			}
			if seqs := r.Seqs(); (len(seqs) == 0) != (r.Seq() == 0) || r.Seq() != 0 && !slices.Contains(seqs, r.Seq()) {
				t.Errorf("%s: reason %q is by %v, want event %d among them", c.ask, en.Why(r), seqs, r.Seq())
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.ask, got, c.want)
		}
		if !slices.Equal(inDutch, c.nl) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.ask, inDutch, c.nl)
		}
	}
}

// Searches give their answers in order, so that a page begins after the last one of the page before.
func TestSearchesContinueAfterTheLast(t *testing.T) {
	m := ledger(t, `
		@0 catalogue.adopted document=paged
		@0 account.opened account=staff:a
		@0 account.opened account=staff-2:a
		@0 account.opened account=staff2:a
		@0 account.opened account=staff:b
		@0 account.opened account=client:x
		@0 resource.registered resource=file:1 client=client:x created_by=staff:a
		@0 resource.registered resource=file-2:1 client=client:x created_by=staff:a
		@0 guest.invited guest=staff:a call=room:1 until=@2`)
	var all []string
	for after := Resource(""); ; {
		var next string
		for reach, err := range What(m.now(), "staff:a", "", "", hour(1), after) {
			if err != nil {
				t.Fatal(err)
			}
			next, after = string(reach.Resource), reach.Resource
			break
		}
		if next == "" {
			break
		}
		all = append(all, next)
	}
	want := []string{"client:x", "file-2:1", "file:1", "room:*", "room:1", "staff-2:a", "staff2:a", "staff:a", "staff:b"}
	if !slices.Equal(all, want) {
		t.Errorf("what, one by one: got %v, want %v", all, want)
	}
	var who []string
	for after := Account(""); ; {
		var next string
		for a, err := range Who(m.now(), Question{Action: "see", Resource: "client:x"}, hour(1), after) {
			if err != nil {
				t.Fatal(err)
			}
			next, after = string(a.Subject), a.Subject
			break
		}
		if next == "" {
			break
		}
		who = append(who, next)
	}
	if want := []string{"client:x", "staff-2:a", "staff2:a", "staff:a", "staff:b"}; !slices.Equal(who, want) {
		t.Errorf("who, one by one: got %v, want %v", who, want)
	}
	who = nil
	for a := range Who(m.now(), Question{Subject: "staff:*", Action: "see", Resource: "client:x"}, hour(1), "") {
		who = append(who, string(a.Subject))
	}
	if want := []string{"staff:a", "staff:b"}; !slices.Equal(who, want) {
		t.Errorf("who of staff: got %v, want %v", who, want)
	}
	all = nil
	for reach := range What(m.now(), "staff:a", "see", "staff", hour(1), "") {
		all = append(all, fmt.Sprint(reach.Resource, reach.Actions))
	}
	if want := []string{"staff:a[see]", "staff:b[see]"}; !slices.Equal(all, want) {
		t.Errorf("which staff to see: got %v, want %v", all, want)
	}
}
