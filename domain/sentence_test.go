package domain

// Whole answers in words, in both languages, with the titles of a catalogue.

import (
	"slices"
	"strings"
	"testing"
)

const titled = `
	@0 catalogue.adopted document=titled
	@0 account.opened account=staff:root
	@0 role.assigned principal=staff:root role=manager
	@0 account.opened account=staff:anna
	@0 account.opened account=staff:bob
	@0 account.opened account=client:x
	@0 account.opened account=client:y
	@1 role.assigned principal=staff:anna role=therapist
	@1 caseload.linked principal=staff:anna client=client:x relation=therapist until=@9
	@1 access.granted grant=g principal=staff:anna client=client:y profile=emergency until=@3
	@1 resource.registered resource=journal:1 client=client:x created_by=staff:bob
	@2 account.locked principal=client:y cause=lost`

func TestSentencesAndWays(t *testing.T) {
	for _, c := range []struct {
		name, more, ask string
		en, nl          string   // the sentence
		ways, wegen     []string // and what else the catalogue would allow, in both languages
	}{
		{name: "yes", ask: "@2 staff:anna view_record client:x",
			en: "Yes: staff:anna may see private data (view_record) on client:x: staff:anna holds role therapist since 1h; and staff:anna is linked to client:x as therapist since 1h, until 9h.",
			nl: "Ja: staff:anna mag bij client:x persoonlijke gegevens inzien (view_record): staff:anna heeft sinds 1h de rol hulpverlener (therapist); en staff:anna is van 1h tot 9h als hulpverlener (therapist) gekoppeld aan client:x."},
		{name: "yes, by emergency", ask: "@2 staff:anna view_record client:y",
			en: "Yes: staff:anna may see private data (view_record) on client:y: staff:anna holds role therapist since 1h; and staff:anna has temporary access of profile emergency access (emergency) to client:y since 1h, until 3h.",
			nl: "Ja: staff:anna mag bij client:y persoonlijke gegevens inzien (view_record): staff:anna heeft sinds 1h de rol hulpverlener (therapist); en staff:anna heeft van 1h tot 3h tijdelijke toegang via noodtoegang (emergency) tot client:y."},
		{name: "yes, of oneself", ask: "@2 client:x view_record journal:1",
			en: "Yes: client:x may see private data (view_record) on journal:1: client:x is the one it is about; and journal:1 belongs to client:x, created by staff:bob since 1h.",
			nl: "Ja: client:x mag bij journal:1 persoonlijke gegevens inzien (view_record): client:x is degene over wie het gaat; en journal:1 hoort sinds 1h bij client:x, aangemaakt door staff:bob."},
		{name: "yes, one's own account", ask: "@2 client:x view_record client:x",
			en: "Yes: client:x may see private data (view_record) on client:x: client:x is the one it is about.",
			nl: "Ja: client:x mag bij client:x persoonlijke gegevens inzien (view_record): client:x is degene over wie het gaat."},
		{name: "yes, one's own work", ask: "@2 staff:bob view_record journal:1",
			en: "Yes: staff:bob may see private data (view_record) on journal:1: staff:bob created journal:1; and journal:1 belongs to client:x, created by staff:bob since 1h.",
			nl: "Ja: staff:bob mag bij journal:1 persoonlijke gegevens inzien (view_record): staff:bob heeft journal:1 aangemaakt; en journal:1 hoort sinds 1h bij client:x, aangemaakt door staff:bob."},
		{name: "yes, individually", more: "@1 permission.added principal=staff:bob on=client action=view_record", ask: "@2 staff:bob view_record client:x",
			en: "Yes: staff:bob may see private data (view_record) on client:x: staff:bob has see private data (view_record) on every client individually added since 1h.",
			nl: "Ja: staff:bob mag bij client:x persoonlijke gegevens inzien (view_record): staff:bob heeft sinds 1h een individueel recht: persoonlijke gegevens inzien (view_record) bij alles van het type cliënt (client)."},
		{name: "no, what is over and what else there is", ask: "@4 staff:anna view_record client:y",
			en: "No: staff:anna may not see private data (view_record) on client:y: staff:anna has temporary access of profile emergency access (emergency) to client:y from 1h, but not since 3h.",
			nl: "Nee: staff:anna mag bij client:y niet persoonlijke gegevens inzien (view_record): staff:anna had vanaf 1h tijdelijke toegang via noodtoegang (emergency) tot client:y, maar sinds 3h niet meer.",
			ways: []string{
				"whoever holds role therapist and is linked to client:y as therapist",
				"whoever is client:y",
				"whoever holds role BCBA analyst (analyst_2) or trainee, but not whoever is linked to client:y as kept out (restricted)",
				"whoever is of kind staff or guest and is in one team with client:y"},
			wegen: []string{
				"wie de rol hulpverlener (therapist) heeft en als hulpverlener (therapist) gekoppeld is aan client:y",
				"wie client:y zelf is",
				"wie de rol BCBA-analist (analyst_2) of trainee heeft, maar niet wie als geweerd (restricted) gekoppeld is aan client:y",
				"wie van de soort medewerker (staff) of gast (guest) is en in hetzelfde team zit als client:y"}},
		{name: "no, two things missing", ask: "@2 staff:bob view_record client:x",
			en: "No: staff:bob may not see private data (view_record) on client:x: this needs staff:bob to hold role therapist; and this needs link therapist from staff:bob to client:x.",
			nl: "Nee: staff:bob mag bij client:x niet persoonlijke gegevens inzien (view_record): hiervoor moet staff:bob de rol hulpverlener (therapist) hebben; en hiervoor moet staff:bob als hulpverlener (therapist) gekoppeld zijn aan client:x.",
			ways: []string{
				"whoever holds role therapist and has temporary access of profile emergency access (emergency) to client:x",
				"whoever is client:x",
				"whoever holds role BCBA analyst (analyst_2) or trainee, but not whoever is linked to client:x as kept out (restricted)",
				"whoever is of kind staff or guest and is in one team with client:x"},
			wegen: []string{
				"wie de rol hulpverlener (therapist) heeft en tijdelijke toegang via noodtoegang (emergency) heeft tot client:x",
				"wie client:x zelf is",
				"wie de rol BCBA-analist (analyst_2) of trainee heeft, maar niet wie als geweerd (restricted) gekoppeld is aan client:x",
				"wie van de soort medewerker (staff) of gast (guest) is en in hetzelfde team zit als client:x"}},
		{name: "no, of what belongs to somebody", ask: "@2 staff:root view_record journal:1",
			en: "No: staff:root may not see private data (view_record) on journal:1: this needs staff:root to hold role therapist; and this needs link therapist from staff:root to client:x.",
			nl: "Nee: staff:root mag bij journal:1 niet persoonlijke gegevens inzien (view_record): hiervoor moet staff:root de rol hulpverlener (therapist) hebben; en hiervoor moet staff:root als hulpverlener (therapist) gekoppeld zijn aan client:x.",
			ways: []string{
				"whoever is client:x",
				"whoever holds role BCBA analyst (analyst_2) or trainee, but not whoever created journal:1 or is linked to client:x as kept out (restricted)",
				"whoever created journal:1"},
			wegen: []string{
				"wie client:x zelf is",
				"wie de rol BCBA-analist (analyst_2) of trainee heeft, maar niet wie journal:1 heeft aangemaakt of als geweerd (restricted) gekoppeld is aan client:x",
				"wie journal:1 heeft aangemaakt"}},
		{name: "no, kept out", more: "@1 role.assigned principal=staff:bob role=trainee\n@1 caseload.linked principal=staff:bob client=client:x relation=restricted", ask: "@2 staff:bob view_record client:x",
			en: "No: staff:bob may not see private data (view_record) on client:x: staff:bob is linked to client:x as kept out (restricted) since 1h.",
			nl: "Nee: staff:bob mag bij client:x niet persoonlijke gegevens inzien (view_record): staff:bob is sinds 1h als geweerd (restricted) gekoppeld aan client:x.",
			ways: []string{
				"whoever holds role therapist and is linked to client:x as therapist",
				"whoever holds role therapist and has temporary access of profile emergency access (emergency) to client:x",
				"whoever is client:x",
				"whoever is of kind staff or guest and is in one team with client:x"},
			wegen: []string{
				"wie de rol hulpverlener (therapist) heeft en als hulpverlener (therapist) gekoppeld is aan client:x",
				"wie de rol hulpverlener (therapist) heeft en tijdelijke toegang via noodtoegang (emergency) heeft tot client:x",
				"wie client:x zelf is",
				"wie van de soort medewerker (staff) of gast (guest) is en in hetzelfde team zit als client:x"}},
		{name: "no, and a guest would", ask: "@2 staff:bob join call:1",
			en:   "No: staff:bob may not join call:1: this needs staff:bob to be invited to call:1.",
			nl:   "Nee: staff:bob mag niet join bij call:1: hiervoor moet staff:bob uitgenodigd zijn voor call:1.",
			ways: []string{"whoever holds role manager"}, wegen: []string{"wie de rol beheerder (manager) heeft"}},
		{name: "no, and everyone but all there are", ask: "@2 staff:bob configure platform:main",
			en:    "No: staff:bob may not configure platform:main: this needs staff:bob to hold role manager.",
			nl:    "Nee: staff:bob mag niet configure bij platform:main: hiervoor moet staff:bob de rol beheerder (manager) hebben.",
			ways:  []string{"everyone, but not whoever is of kind client or guest or team or staff"},
			wegen: []string{"iedereen, maar niet wie van de soort cliënt (client) of gast (guest) of team of medewerker (staff) is"}},
		{name: "no, on all of a type: what is about one of them is no way", ask: "@2 staff:bob view_record journal:*",
			en:    "No: staff:bob may not see private data (view_record) on journal:*: this needs staff:bob to hold role therapist; and this needs a protected account.",
			nl:    "Nee: staff:bob mag bij journal:* niet persoonlijke gegevens inzien (view_record): hiervoor moet staff:bob de rol hulpverlener (therapist) hebben; en hiervoor is een beschermd account nodig.",
			ways:  []string{"whoever holds role BCBA analyst (analyst_2) or trainee"},
			wegen: []string{"wie de rol BCBA-analist (analyst_2) of trainee heeft"}},
		{name: "no, linked by nobody", ask: "@2 staff:anna message staff:bob",
			en: "No: staff:anna may not message staff:bob: this needs staff:anna to be a client; and this needs link therapist from staff:bob to staff:anna.",
			nl: "Nee: staff:anna mag niet message bij staff:bob: hiervoor moet staff:anna van de soort cliënt (client) zijn; en hiervoor moet staff:bob als hulpverlener (therapist) gekoppeld zijn aan staff:anna."},
		{name: "no, by nobody at all", ask: "@2 staff:anna fly client:x",
			en: "No: staff:anna may not fly client:x: the catalogue lets nobody fly on client.",
			nl: "Nee: staff:anna mag niet fly bij client:x: de catalogus geeft niemand het recht fly bij het type cliënt (client)."},
		{name: "no, added, and never for who holds that role", more: "@1 role.assigned principal=staff:bob role=trainee until=@5\n@0 permission.added principal=staff:bob on=client action=account.open", ask: "@2 staff:bob account.open client:x",
			en:   "No: staff:bob may not account.open client:x: staff:bob holds role trainee since 1h, until 5h, and no individual permission gives this to who does.",
			nl:   "Nee: staff:bob mag niet account.open bij client:x: staff:bob heeft van 1h tot 5h de rol trainee, en wie die heeft, krijgt dit door geen individueel recht.",
			ways: []string{"whoever holds role manager"}, wegen: []string{"wie de rol beheerder (manager) heeft"}},
		{name: "withheld", more: "@1 permission.withheld principal=staff:anna on=client action=view_record client=client:x", ask: "@2 staff:anna view_record client:x",
			en: "No: staff:anna may not see private data (view_record) on client:x: staff:anna has see private data (view_record) on client:x individually withheld since 1h.",
			nl: "Nee: staff:anna mag bij client:x niet persoonlijke gegevens inzien (view_record): aan staff:anna is sinds 1h individueel het recht ontzegd: persoonlijke gegevens inzien (view_record) bij client:x."},
		{name: "locked", ask: "@2 client:y view_record client:y",
			en: "No: client:y may not see private data (view_record) on client:y: client:y is locked (lost) since 2h.",
			nl: "Nee: client:y mag bij client:y niet persoonlijke gegevens inzien (view_record): client:y is sinds 2h geblokkeerd (lost)."},
		{name: "deactivated", more: "@1 account.deactivated account=staff:bob", ask: "@2 staff:bob view_record client:y",
			en: "No: staff:bob may not see private data (view_record) on client:y: staff:bob has an open account from 0h, but not since 1h.",
			nl: "Nee: staff:bob mag bij client:y niet persoonlijke gegevens inzien (view_record): staff:bob had vanaf 0h een open account, maar sinds 1h niet meer."},
		{name: "about what is not there", ask: "@2 staff:anna view_record client:z",
			en: "No: staff:anna may not see private data (view_record) on client:z: this needs client:z to exist.",
			nl: "Nee: staff:anna mag bij client:z niet persoonlijke gegevens inzien (view_record): hiervoor moet client:z bestaan."},
		{name: "before there was a catalogue", ask: "@-1 known=now staff:anna view_record client:x",
			en: "No: staff:anna may not view_record client:x: no role catalogue had been adopted.",
			nl: "Nee: staff:anna mag niet view_record bij client:x: er was nog geen rollencatalogus vastgesteld."},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger(t, titledWith(c.more))
			q, at, known := readQuestion(t, m, c.ask)
			ev, err := NewEvaluator(m.asOf(known), at)
			if err != nil {
				t.Fatal(err)
			}
			d, err := ev.Evaluate(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range []struct {
				lang Lang
				want string
				ways []string
			}{{English, c.en, c.ways}, {Dutch, c.nl, c.wegen}} {
				tell := Teller{Lang: l.lang, Catalogue: ev.Catalogue(), Show: hours}
				if got := tell.Sentence(q, d); got != l.want {
					t.Errorf("%s:\ngot  %s\nwant %s", c.ask, got, l.want)
				}
				ways, err := ev.Ways(tell, q, d)
				if err != nil {
					t.Fatal(err)
				}
				if ways == nil || !slices.Equal(ways, l.ways) {
					t.Errorf("%s, ways in %s:\ngot  %q\nwant %q", c.ask, l.lang, ways, l.ways)
				}
			}
		})
	}
}

// titledWith puts more of a history where it belongs in time.
func titledWith(more string) string {
	lines := strings.Split(titled, "\n")
	if more != "" {
		lines = append(lines, strings.Split(more, "\n")...)
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		a, _, _ = strings.Cut(strings.TrimSpace(a), " ")
		b, _, _ = strings.Cut(strings.TrimSpace(b), " ")
		return strings.Compare(a, b)
	})
	return strings.Join(lines, "\n")
}

// English says why by ids alone whatever titles there are; Dutch by title and id.
func TestWhyNamesAsTheLanguageDoes(t *testing.T) {
	m := ledger(t, titled)
	ev, err := NewEvaluator(m.now(), hour(2))
	if err != nil {
		t.Fatal(err)
	}
	d, err := ev.Evaluate(Question{Subject: "staff:anna", Action: "view_record", Resource: "client:y"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lang Lang
		want string
	}{
		{"", "staff:anna has temporary access of profile emergency to client:y since 1h, until 3h"},
		{English, "staff:anna has temporary access of profile emergency to client:y since 1h, until 3h"},
		{Dutch, "staff:anna heeft van 1h tot 3h tijdelijke toegang via noodtoegang (emergency) tot client:y"},
	} {
		if got := (Teller{Lang: c.lang, Catalogue: ev.Catalogue(), Show: hours}).Why(d.Basis[1]); got != c.want {
			t.Errorf("in %q: got %q, want %q", c.lang, got, c.want)
		}
	}
}

// Every fact and every lack that there is has words in both languages, and what is over is told from what stands.
func TestEverythingHasWords(t *testing.T) {
	s := &Selectors{Roles: []Role{"r1", "r2"}, Kinds: []Kind{"k"}, Links: []Relation{"l"}, LinkedBy: []Relation{"b"}, Grants: []Profile{"p"}}
	for _, lang := range []Lang{English, Dutch} {
		tell := Teller{Lang: lang, Show: hours}
		said := map[string]bool{}
		once := func(what any, sentence string) {
			if said[sentence] {
				t.Errorf("%s, %v: %q is said of something else too", lang, what, sentence)
			}
			said[sentence] = true
		}
		for l := LackCatalogue; l < LackNever; l++ {
			r := Reason{State: Missing, Want: Want{Lack: l, Who: "staff:anna", What: "client:x", Of: s, Action: "view"}}
			if got := tell.Why(r); strings.HasSuffix(got, "something else") || strings.HasSuffix(got, "iets anders nodig") {
				t.Errorf("%s: lack %d has no words", lang, l)
			} else if l != LackLinkedBy {
				once(l, got)
			}
		}
		families := "skferlmgvxobiacy"
		for _, f := range families {
			fact := Fact{Family: Family(f), Subject: "staff:anna", Object: "client:x", Name: "one two", ID: "g"}
			iv := Interval{From: hour(1), Until: Forever, Detail: "detail"}
			once(fact.Family, tell.Why(Reason{Fact: fact, Interval: iv}))
			once(fact.Family, tell.Why(Reason{State: NotYet, Fact: fact, Interval: iv}))
			iv.Until = hour(2)
			once(fact.Family, tell.Why(Reason{Fact: fact, Interval: iv}))
			once(fact.Family, tell.Why(Reason{State: Ended, Fact: fact, Interval: iv}))
		}
	}
}

func TestParseLang(t *testing.T) {
	for s, want := range map[string]Lang{"en": English, "nl": Dutch, "": "", "EN": "", "de": "", "nl ": ""} {
		got, err := ParseLang(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseLang(%q): got %q, %v, want %q", s, got, err, want)
		}
	}
}
