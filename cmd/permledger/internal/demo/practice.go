package demo

// The people of De Wilg, and a practice's ordinary weeks: sign-ins, intakes, video calls, caseloads, treatments that
// end. It is the hay in which the plot (plot.go) is the needle. It never touches the people whom the plot is about.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/permledger/permledger/domain"
)

// The people whom the plot names. Ids are pseudonyms; that these are first names is for the reader's sake.
const (
	marijke  domain.Account = "professional:marijke" // application manager, and the founder
	ruben    domain.Account = "professional:ruben"   // application manager, reviews emergency access
	sander   domain.Account = "professional:sander"  // data analyst
	femke    domain.Account = "professional:femke"   // data officer, at the second attempt
	henk     domain.Account = "professional:henk"    // supervisors
	margriet domain.Account = "professional:margriet"
	annelies domain.Account = "professional:annelies" // until 1 July
	ineke    domain.Account = "professional:ineke"    // secretaries
	wil      domain.Account = "professional:wil"
	fenna    domain.Account = "professional:fenna" // data officer by mistake
	karin    domain.Account = "professional:karin" // on a sabbatical in spring
	petra    domain.Account = "professional:petra"
	joris    domain.Account = "professional:joris"  // therapists; leaves on 30 April
	saskia   domain.Account = "professional:saskia" // takes over from him
	emre     domain.Account = "professional:emre"   // on call in the night of 13 June
	noor     domain.Account = "professional:noor"   // forgets her password over a holiday
	daan     domain.Account = "professional:daan"   // changes jobs and keeps his access
	lotte    domain.Account = "professional:lotte"  // curious
	bram     domain.Account = "professional:bram"   // has a client next door
	yara     domain.Account = "professional:yara"   // in the crisis team until 31 July
	floor    domain.Account = "professional:floor"
	thijs    domain.Account = "professional:thijs"  // loses a laptop
	tess     domain.Account = "professional:tess"   // new in April
	wouter   domain.Account = "professional:wouter" // new in April
)

// crisis is the team that De Wilg has from 2 June.
const crisis domain.Account = "team:crisisdienst"

// employee is one of the staff.
type employee struct {
	account domain.Account
	name    string
	role    domain.Role
}

// staff is who works at De Wilg on the first day, but for the founder. Therapists come last, in the order in which the
// clients of the old system fall to them.
var staff = []employee{
	{ruben, "Ruben Postma", "application_manager"},
	{sander, "Sander Kok", "data_analyst"},
	{femke, "Femke Dijkstra", "data_analyst"},
	{henk, "Henk Verhoeven", "supervisor"},
	{margriet, "Margriet van Dam", "supervisor"},
	{annelies, "Annelies Kuiper", "supervisor"},
	{ineke, "Ineke Smit", "secretary"},
	{wil, "Wil Prins", "secretary"},
	{fenna, "Fenna Dijk", "secretary"},
	{karin, "Karin Mulder", "secretary"},
	{petra, "Petra Bos", "secretary"},
	{saskia, "Saskia de Wit", "therapist"},
	{emre, "Emre Yilmaz", "therapist"},
	{noor, "Noor Jacobs", "therapist"},
	{lotte, "Lotte Peters", "therapist"},
	{bram, "Bram Hendriks", "therapist"},
	{yara, "Yara El Amrani", "therapist"},
	{thijs, "Thijs van Leeuwen", "therapist"},
	{"professional:hanneke", "Hanneke Brouwer", "therapist"},
	{joris, "Joris Vos", "therapist"},
	{daan, "Daan Scholten", "therapist"},
	{floor, "Floor Willems", "therapist"},
	{"professional:jasper", "Jasper Maas", "therapist"},
	{"professional:mila", "Mila Jansen", "therapist"},
	{"professional:ruud", "Ruud Timmer", "therapist"},
	{"professional:sanne", "Sanne Hoek", "therapist"},
	{"professional:tim", "Tim Blom", "therapist"},
	{"professional:esra", "Esra Kaya", "therapist"},
	{"professional:koen", "Koen Schouten", "therapist"},
	{"professional:lieke", "Lieke Verbeek", "therapist"},
	{"professional:maarten", "Maarten Groen", "therapist"},
	{"professional:nadia", "Nadia Bouzid", "therapist"},
	{"professional:olaf", "Olaf Kramer", "therapist"},
	{"professional:pien", "Pien Schipper", "therapist"},
	{"professional:quinten", "Quinten Baas", "therapist"},
	{"professional:roos", "Roos Evers", "therapist"},
	{"professional:stijn", "Stijn Huisman", "therapist"},
}

const (
	fromOldSystem = 220 // clients on the first day; those after them come by intake
	weeks         = 25  // of routine, from Monday 9 March
)

// practice is what the routine remembers of whom it has done what to.
type practice struct {
	rand       *rand.Rand
	therapists []domain.Account       // who take clients on
	therapist  map[int]domain.Account // of each client, the first
	second     map[int]domain.Account
	standIn    map[int]domain.Account // of each client, the last
	supervisor map[int]domain.Account
	ordinary   []int // open clients whom the plot leaves alone
	closed     []int // ordinary ones whose treatment ended
	clients    int   // opened so far
	guests     int
	friends    int
}

// inPlot tells whether the plot does something to the client. Those of joris and daan are decided by whose they are.
func inPlot(n int) bool { return slices.Contains(append([]int{19, 77, 113, 207}, atNight...), n) }

func newPractice() *practice {
	p := &practice{
		rand:      rand.New(rand.NewPCG(2026, 302)),
		therapist: make(map[int]domain.Account), second: make(map[int]domain.Account),
		standIn: make(map[int]domain.Account), supervisor: make(map[int]domain.Account),
	}
	for _, e := range staff {
		if e.role == "therapist" {
			p.therapists = append(p.therapists, e.account)
		}
	}
	return p
}

func client(n int) domain.Account { return domain.Account(fmt.Sprintf("client:c%03d", n)) }

// Names that many Dutch people have, put together at random.
var (
	firstNames = []string{"Anna", "Bas", "Carla", "Dirk", "Els", "Fatima", "Gerrit", "Hilde", "Ivo", "Joke", "Kees", "Leyla", "Mo", "Nienke", "Omar", "Paula", "Rik", "Sofie", "Teun", "Willemijn"}
	lastNames  = []string{"Bakker", "de Boer", "van den Berg", "Dekker", "de Graaf", "Hermans", "van der Heijden", "Jansen", "Koster", "de Lange", "Meijer", "Özdemir", "Peeters", "Ras", "van Vliet", "Visser", "de Vries", "Wouters"}
)

func (p *practice) name() string {
	return firstNames[p.rand.IntN(len(firstNames))] + " " + lastNames[p.rand.IntN(len(lastNames))]
}

// one picks one of a list.
func one[T any](p *practice, list []T) T { return list[p.rand.IntN(len(list))] }

// takeOut takes one out of a list of clients.
func (p *practice) takeOut(list *[]int) int {
	i := p.rand.IntN(len(*list))
	n := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return n
}

// steady are the therapists whom the routine may move clients between.
func (p *practice) steady() []domain.Account {
	return slices.DeleteFunc(slices.Clone(p.therapists), func(a domain.Account) bool {
		return slices.Contains([]domain.Account{joris, daan, lotte, bram, emre}, a)
	})
}

// other gives a steady therapist who does not treat the client yet, nor did so of late.
func (p *practice) other(n int) domain.Account {
	return one(p, slices.DeleteFunc(p.steady(), func(a domain.Account) bool {
		return a == p.therapist[n] || a == p.second[n] || a == p.standIn[n]
	}))
}

// open opens the account of the next client. The ledger links the therapist, who opens it, by itself.
func (p *practice) open(therapist domain.Account, reason string) domain.Command {
	p.clients++
	n := p.clients
	p.therapist[n] = therapist
	if !inPlot(n) && therapist != joris && therapist != daan {
		p.ordinary = append(p.ordinary, n)
	}
	return by(therapist, &domain.AccountOpening{Account: client(n), DisplayName: p.name()}, reason)
}

// hire opens an employee's account and gives the role.
func hire(e employee, reason string) []domain.Command {
	return []domain.Command{
		by(marijke, &domain.AccountOpening{Account: e.account, DisplayName: e.name}, reason),
		by(marijke, &domain.RoleAssignment{Principal: e.account, Role: e.role}, ""),
	}
}

func link(principal domain.Account, n int, relation domain.Relation) *domain.CaseloadLink {
	return &domain.CaseloadLink{Principal: principal, Client: client(n), Relation: relation}
}

func unlink(principal domain.Account, n int, relation domain.Relation) *domain.CaseloadUnlink {
	return &domain.CaseloadUnlink{Principal: principal, Client: client(n), Relation: relation}
}

// opening is when the ledger begins.
func opening() time.Time { return on("2026-03-02 09:00") }

// ending is when the last of it is recorded.
func ending() time.Time { return on("2026-08-31 17:00") }

// firstWeek brings in the staff, and what was in the old system.
func (p *practice) firstWeek() []scene {
	scenes := []scene{{on("2026-03-02 09:20"), func(t *teller) {
		var c []domain.Command
		for _, e := range staff {
			c = append(c, hire(e, "")...)
		}
		t.record(c...)
	}}}
	const days = 4
	for day := range days {
		scenes = append(scenes, scene{on("2026-03-02 13:00").AddDate(0, 0, day), func(t *teller) {
			var c []domain.Command
			for range fromOldSystem / days {
				c = append(c, p.open(p.therapists[p.clients%len(p.therapists)], ""))
			}
			t.together(c...)
		}})
	}
	return append(scenes, scene{on("2026-03-06 15:00"), func(t *teller) {
		var c []domain.Command
		for n := 2; n <= fromOldSystem; n += 3 { // a third is supervised; c113 is
			p.supervisor[n] = []domain.Account{henk, margriet, annelies}[n/3%3]
			c = append(c, by(ineke, link(p.supervisor[n], n, "supervisor"), ""))
		}
		t.together(c...)
	}})
}

// routine is the ordinary weeks.
func (p *practice) routine() []scene {
	var scenes []scene
	for week := range weeks {
		monday := on("2026-03-09 00:00").AddDate(0, 0, 7*week)
		at := func(day, hour, minute int, play func(*teller)) {
			moment := time.Date(monday.Year(), monday.Month(), monday.Day()+day, hour, minute, 0, 0, zone)
			scenes = append(scenes, scene{moment, play})
		}

		var forgetful []domain.Account
		at(0, 8, 31, func(t *teller) {
			forgetful = p.forgetful()
			var c []domain.Command
			for i, who := range forgetful {
				for range 1 + i%2 {
					c = append(c, by(who, &domain.SigninFailure{Principal: who}, ""))
				}
			}
			t.record(c...)
		})
		at(0, 8, 36, func(t *teller) {
			var c []domain.Command
			for _, who := range forgetful {
				c = append(c, by(who, &domain.SigninSuccess{Principal: who}, ""))
			}
			t.record(c...)
		})

		at(1, 9, 15, func(t *teller) { t.together(p.intake(3 + (4-week%5)/4)...) })

		calls := 4 + week%3
		invited := make([]domain.GuestInvitation, calls)
		at(2, 10, 0, func(t *teller) {
			var c []domain.Command
			for i := range invited {
				p.guests++
				invited[i] = domain.GuestInvitation{
					Guest: domain.Account(fmt.Sprintf("guest:g%03d", p.guests)),
					Call:  domain.Resource(fmt.Sprintf("call:%s-%d", t.clock.now.Format("2006-01-02"), i+1)),
					Until: domain.InstantOf(t.clock.now.Add(time.Hour)),
				}
				c = append(c, by(one(p, p.steady()), &invited[i], ""))
			}
			t.record(c...)
		})
		at(2, 10, 4, func(t *teller) {
			var c []domain.Command
			for i, g := range invited {
				if i > 0 { // the first one does not turn up
					c = append(c, by(g.Guest, &domain.GuestAdmission{Guest: g.Guest, Call: g.Call}, ""))
				}
			}
			t.record(c...)
		})
		at(2, 10, 50, func(t *teller) {
			var c []domain.Command
			for _, g := range invited {
				c = append(c, by(one(p, p.steady()), &domain.CallEnding{Call: g.Call}, ""))
			}
			t.record(c...)
		})

		at(3, 15, 0, func(t *teller) { t.record(p.caseloads(t)...) })
		at(4, 16, 30, func(t *teller) { t.record(p.closings(week)...) })
		if week%2 == 0 {
			scenes = append(scenes, p.night(monday.AddDate(0, 0, 5))...)
		}
	}
	return scenes
}

// forgetful are some people who mistype their passwords.
func (p *practice) forgetful() []domain.Account {
	steady := slices.DeleteFunc(p.steady(), func(a domain.Account) bool { return a == noor || a == thijs })
	clients := slices.Clone(p.ordinary)
	who := []domain.Account{one(p, []domain.Account{ineke, wil, petra, henk}), one(p, steady[:len(steady)/2]), one(p, steady[len(steady)/2:])}
	for range 4 {
		who = append(who, client(p.takeOut(&clients)))
	}
	return who
}

// intake brings in new clients, some of them with a supervisor.
func (p *practice) intake(clients int) []domain.Command {
	var c []domain.Command
	for range clients {
		c = append(c, p.open(one(p, p.steady()), ""))
		if n := p.clients; n%2 == 0 {
			p.supervisor[n] = one(p, []domain.Account{henk, margriet})
			c = append(c, by(one(p, []domain.Account{ineke, wil}), link(p.supervisor[n], n, "supervisor"), ""))
		}
	}
	return c
}

// caseloads is a secretary's Thursday: second therapists come and go, colleagues stand in for one another, clients add
// friends and, once they can, begin journals.
func (p *practice) caseloads(t *teller) []domain.Command {
	var c []domain.Command
	clients := slices.Clone(p.ordinary) // each is in one thing a Thursday
	for range 3 {
		n := p.takeOut(&clients)
		if was := p.second[n]; was != "" {
			delete(p.second, n)
			c = append(c, by(petra, unlink(was, n, "therapist"), "treated by one again"))
			continue
		}
		p.second[n] = p.other(n)
		c = append(c, by(petra, link(p.second[n], n, "therapist"), "treated by two"))
	}
	from, until := t.clock.now.AddDate(0, 0, 4), t.clock.now.AddDate(0, 0, 11)
	for range 2 {
		n := p.takeOut(&clients)
		if p.second[n] != "" {
			continue
		}
		who := p.other(n)
		if until.After(ending()) { // nothing is to run out after the story
			continue
		}
		p.standIn[n] = who
		stand := link(who, n, "therapist")
		stand.From, stand.Until = domain.InstantOf(from), domain.InstantOf(until)
		c = append(c, by(petra, stand, "stands in for a week"))
	}
	n := p.takeOut(&clients)
	p.friends++
	friend := domain.Account(fmt.Sprintf("friend:f%02d", p.friends))
	c = append(c,
		by(client(n), &domain.AccountOpening{Account: friend, DisplayName: p.name()}, ""),
		by(client(n), link(friend, n, "friend"), ""))
	if t.clock.now.After(on("2026-06-02 00:00")) {
		for range 2 {
			n := p.takeOut(&clients)
			journal := domain.Resource(fmt.Sprintf("journal:j%03d-%s", n, t.clock.now.Format("0102")))
			c = append(c, by(client(n), &domain.ResourceRegistration{Resource: journal, Client: client(n), CreatedBy: client(n)}, ""))
		}
	}
	return c
}

// closings ends treatments on a Friday: the therapists are unlinked and the account deactivated. Now and then somebody
// comes back.
func (p *practice) closings(week int) []domain.Command {
	var c []domain.Command
	for range 2 {
		n := p.takeOut(&p.ordinary)
		if p.second[n] != "" {
			c = append(c, by(wil, unlink(p.second[n], n, "therapist"), ""))
			delete(p.second, n)
		}
		c = append(c,
			by(wil, unlink(p.therapist[n], n, "therapist"), ""),
			by(wil, &domain.AccountDeactivation{Account: client(n)}, "treatment completed"))
		p.closed = append(p.closed, n)
	}
	if week%4 == 3 {
		n := p.takeOut(&p.closed)
		p.therapist[n] = p.other(n)
		c = append(c,
			by(wil, &domain.AccountReactivation{Account: client(n)}, "referred again by the general practitioner"),
			by(wil, link(p.therapist[n], n, "therapist"), ""))
		p.ordinary = append(p.ordinary, n)
	}
	return c
}

// night is an emergency access in the weekend that saturday begins: taken for two hours, given back in the first, and
// reviewed on Monday.
func (p *practice) night(saturday time.Time) []scene {
	at := func(day, hour, minute int) time.Time {
		return time.Date(saturday.Year(), saturday.Month(), saturday.Day()+day, hour, minute, 0, 0, zone)
	}
	grant := domain.GrantID("night-" + saturday.Format("2006-01-02"))
	var who domain.Account
	return []scene{
		{at(0, 23, 12), func(t *teller) {
			n := one(p, p.ordinary)
			who = p.other(n)
			t.record(by(who, &domain.AccessGrant{
				Grant: grant, Principal: who, Client: client(n), Profile: "emergency", Until: domain.InstantOf(at(1, 1, 12)),
			}, "called the emergency number; the own therapist can't be reached"))
		}},
		{at(0, 23, 50), func(t *teller) {
			t.record(by(who, &domain.AccessRevocation{Grant: grant}, "talked with, and calm again"))
		}},
		{at(2, 9, 30), func(t *teller) {
			t.record(by(ruben, &domain.AccessReview{Grant: grant, Verdict: "justified"}, "the call is in the telephone log"))
		}},
	}
}
