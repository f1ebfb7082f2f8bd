package demo

// The plot: what an auditor would ask about. A therapist leaves and his successor is written down late; another one
// changes jobs and keeps his access; a night with the police on the telephone; somebody looks where she should not; a
// lockout, a slip of the pen, an erasure, a neighbour. Reasons are what people write, not what is true.

import "github.com/permledger/permledger/domain"

// story is all scenes, plot and routine. shipped is the role catalogue that De Wilg begins with.
func story(shipped []byte) []scene {
	p := newPractice()
	var slip, late domain.Seq // what is corrected later
	plot := []scene{
		// -- People come and go

		{on("2026-03-31 16:00"), func(t *teller) {
			t.record(by(marijke, &domain.AccountDeactivation{Account: karin}, "sabbatical until 15 June"))
		}},
		{on("2026-04-01 09:00"), func(t *teller) { p.join(t, employee{tess, "Tess Molenaar", "therapist"}) }},
		{on("2026-04-15 09:00"), func(t *teller) { p.join(t, employee{wouter, "Wouter Bijl", "therapist"}) }},
		{on("2026-06-15 08:30"), func(t *teller) {
			t.record(by(marijke, &domain.AccountReactivation{Account: karin}, "back from sabbatical"))
		}},
		{on("2026-07-01 10:00"), func(t *teller) { p.endSupervision(t) }},

		// -- A slip of the pen: the role of one who may download client data goes to a namesake

		{on("2026-04-07 09:12"), func(t *teller) {
			slip = t.record(by(marijke, &domain.RoleAssignment{Principal: fenna, Role: "data_officer"}, "data officer for the year report"))
		}},
		{on("2026-04-09 14:20"), func(t *teller) {
			t.record(
				by(ruben, &domain.Correction{Corrects: slip, Void: true}, "meant for Femke Dijkstra, not Fenna Dijk"),
				by(ruben, &domain.RoleAssignment{Principal: femke, Role: "data_officer"}, "data officer for the year report"))
		}},

		// -- Exceptions to what a role gives

		{on("2026-03-17 10:05"), func(t *teller) {
			t.record(by(marijke, &domain.PermissionAddition{Exception: wilHelps}, "helps this client with the tablet"))
		}},
		{on("2026-04-30 16:00"), func(t *teller) {
			t.record(by(marijke, &domain.PermissionRestoration{Exception: wilHelps}, "the client manages alone"))
		}},
		{on("2026-06-04 11:00"), func(t *teller) {
			t.record(by(marijke, &domain.PermissionWithholding{Exception: domain.Exception{
				Principal: bram, On: "client", Action: "view_record", Client: client(90)}}, "lives next door to Bram"))
		}},

		// -- Joris leaves. Client c113 is forgotten for four days, and then written down with the wrong date

		{on("2026-03-12 19:40"), func(t *teller) {
			t.record(
				by(client(113), &domain.AccountOpening{Account: sister, DisplayName: "Mieke Bakker"}, ""),
				by(client(113), link(sister, 113, "friend"), "my sister"))
		}},
		{on("2026-04-28 16:00"), func(t *teller) { p.handOver(t) }},
		{on("2026-04-30 17:00"), func(t *teller) { p.leave(t) }},
		{on("2026-05-04 11:20"), func(t *teller) {
			overdue := link(saskia, 113, "therapist")
			overdue.From = instant("2026-04-20 09:00")
			late = t.record(by(ineke, overdue, "taken over from Joris; forgotten at his leaving"))
		}},
		{on("2026-05-06 09:40"), func(t *teller) {
			t.record(by(ruben, &domain.Correction{Corrects: late, From: instant("2026-04-29 09:00")},
				"Saskia first saw the client on 29 April, not on the 20th"))
		}},

		// -- Daan moves to the registration desk and keeps his caseload, until the audit of August

		{on("2026-05-01 09:00"), func(t *teller) {
			t.record(by(marijke, &domain.RoleAssignment{Principal: daan, Role: "secretary"}, "leaves the day team for the registration desk"))
		}},
		{on("2026-05-01 09:30"), func(t *teller) { p.succeedDaan(t) }},
		{on("2026-08-13 09:30"), func(t *teller) { p.noticeDaan(t) }},

		// -- Lockouts

		{on("2026-05-18 08:05"), func(t *teller) {
			fail := by(noor, &domain.SigninFailure{Principal: noor}, "")
			t.record(fail, fail, fail, fail, fail) // the fifth locks
		}},
		{on("2026-05-18 08:52"), func(t *teller) {
			t.record(by(marijke, &domain.AccountUnlock{Principal: noor, Cause: "password renewed at the desk"}, ""))
		}},
		{on("2026-07-09 18:30"), func(t *teller) {
			t.record(by(ruben, &domain.AccountLock{Principal: thijs, Cause: "laptop stolen"}, "left in the train to Zwolle"))
		}},
		{on("2026-07-10 11:00"), func(t *teller) {
			t.record(by(ruben, &domain.AccountUnlock{Principal: thijs, Cause: "new laptop"}, ""))
		}},

		// -- A client asks to be forgotten, another one comes back

		{on("2026-05-04 14:00"), func(t *teller) {
			t.record(by(p.therapist[19], &domain.AccountDeactivation{Account: client(19)}, "treatment ended at the client's request"))
		}},
		{on("2026-05-20 10:00"), func(t *teller) {
			t.record(by(marijke, &domain.SubjectErasure{Account: client(19)}, ""))
		}},
		{on("2026-04-24 15:00"), func(t *teller) {
			t.record(by(wil, &domain.AccountDeactivation{Account: client(77)}, "treatment completed"))
		}},
		{on("2026-06-29 09:00"), func(t *teller) {
			t.record(by(wil, &domain.AccountReactivation{Account: client(77)}, "complaints came back"))
		}},

		// -- De Wilg's own role catalogue, and the crisis team that it brings

		{on("2026-06-01 09:00"), func(t *teller) {
			t.record(by(marijke, &domain.CatalogueAdoption{Document: ownCatalogue(shipped)}, "crisis team, journals, messages by the secretaries"))
		}},
		{on("2026-06-02 09:00"), func(t *teller) {
			c := []domain.Command{by(marijke, &domain.AccountOpening{Account: crisis, DisplayName: "Crisisdienst"}, "")}
			for _, member := range []domain.Account{floor, lotte, bram, yara} {
				c = append(c, by(marijke, &domain.TeamJoin{Team: crisis, Member: member}, ""))
			}
			for _, n := range atNight {
				c = append(c, by(ineke, link(crisis, n, "therapist"), "may need help at night"))
			}
			t.record(c...)
		}},
		{on("2026-07-31 17:00"), func(t *teller) {
			t.record(by(marijke, &domain.TeamLeave{Team: crisis, Member: yara}, "no longer works nights"))
		}},

		// -- The night of 13 June

		{on("2026-06-14 02:41"), func(t *teller) {
			t.record(by(emre, &domain.AccessGrant{
				Grant: theNight, Principal: emre, Client: client(113), Profile: "emergency", Until: instant("2026-06-14 08:00"),
			}, "police at 02:35: client on the Wilhelmina bridge; need the safety plan"))
		}},
		{on("2026-06-14 04:55"), func(t *teller) {
			t.record(by(emre, &domain.AccessRevocation{Grant: theNight}, "client is with her sister; Saskia will call at nine"))
		}},
		{on("2026-06-15 10:20"), func(t *teller) {
			t.record(by(ruben, &domain.AccessReview{Grant: theNight, Verdict: "justified"}, "police call and report agree"))
		}},
		{on("2026-06-16 14:00"), func(t *teller) {
			watch := link(crisis, 113, "therapist")
			watch.Until = instant("2026-08-16 00:00")
			t.record(by(ineke, watch, "on the crisis list for two months"))
		}},
		{on("2026-06-18 19:00"), func(t *teller) {
			until := instant("2026-06-18 20:00")
			t.record(
				by(saskia, &domain.GuestInvitation{Guest: brother, Call: evening, Until: until}, "family talk"),
				by(saskia, &domain.GuestInvitation{Guest: client(113), Call: evening, Until: until}, ""))
		}},
		{on("2026-06-18 19:03"), func(t *teller) {
			t.record(
				by(brother, &domain.GuestAdmission{Guest: brother, Call: evening}, ""),
				by(client(113), &domain.GuestAdmission{Guest: client(113), Call: evening}, ""))
		}},
		{on("2026-06-18 19:48"), func(t *teller) { t.record(by(saskia, &domain.CallEnding{Call: evening}, "")) }},
		{on("2026-06-20 21:15"), func(t *teller) {
			t.record(by(client(113), &domain.ResourceRegistration{Resource: "journal:j113-nights", Client: client(113), CreatedBy: client(113)}, ""))
		}},
		{on("2026-08-20 20:30"), func(t *teller) {
			t.record(by(client(113), &domain.ResourceRemoval{Resource: "journal:j113-nights"}, "I sleep again"))
		}},

		// -- Lotte is curious

		{on("2026-07-08 18:10"), func(t *teller) {
			t.record(by(lotte, &domain.AccessGrant{
				Grant: curious, Principal: lotte, Client: client(207), Profile: "emergency", Until: instant("2026-07-08 20:10"),
			}, "urgent"))
		}}, // it runs out: nobody ends it
		{on("2026-07-10 09:15"), func(t *teller) {
			t.record(
				by(ruben, &domain.AccessReview{Grant: curious, Verdict: "unjustified"}, "no call and no appointment; Lotte knows the client from school"),
				by(ruben, &domain.PermissionWithholding{Exception: lotteKnows}, "until the talk with the board"))
		}},
		{on("2026-08-24 09:00"), func(t *teller) {
			t.record(by(ruben, &domain.PermissionRestoration{Exception: lotteKnows}, "talk with the board was on 21 August"))
		}},

		// -- The end

		{ending(), func(t *teller) {
			last := by(karin, link(wouter, 77, "therapist"), "second therapist from September")
			last.ID = theEnd
			t.record(last)
		}},
	}
	scenes := append(p.firstWeek(), plot...)
	return append(scenes, p.routine()...)
}

const (
	sister   domain.Account = "friend:mieke"
	brother  domain.Account = "guest:brother-of-c113"
	theNight domain.GrantID = "night-2026-06-14"
	curious  domain.GrantID = "evening-2026-07-08"
	evening                 = domain.Resource("call:2026-06-18-evening")
)

// atNight are the clients of the crisis team. Bram, who is in it, lives next door to one.
var atNight = []int{42, 58, 90, 131, 167, 201}

var (
	wilHelps   = domain.Exception{Principal: wil, On: "client", Action: "view_tools", Client: client(58)}
	lotteKnows = domain.Exception{Principal: lotte, On: "client", Action: "view_record", Client: client(207)}
)

// join hires somebody during the story.
func (p *practice) join(t *teller, e employee) {
	t.together(hire(e, "")...)
	p.therapists = append(p.therapists, e.account)
}

// endSupervision is annelies handing her clients to margriet.
func (p *practice) endSupervision(t *teller) {
	var c []domain.Command
	for n := range p.clients + 1 {
		if p.supervisor[n] == annelies {
			c = append(c, by(ineke, unlink(annelies, n, "supervisor"), ""), by(ineke, link(margriet, n, "supervisor"), ""))
			p.supervisor[n] = margriet
		}
	}
	t.together(append(c, by(marijke, &domain.RoleRevocation{Principal: annelies, Role: "supervisor"}, "retires as a supervisor"))...)
}

// handOver gives the clients of joris to others. One is forgotten.
func (p *practice) handOver(t *teller) {
	var c []domain.Command
	for n := range p.clients + 1 {
		if p.therapist[n] == joris && n != 113 {
			c = append(c, by(ineke, link(p.other(n), n, "therapist"), "taken over from Joris"))
		}
	}
	t.together(c...)
}

// leave is the last day of joris.
func (p *practice) leave(t *teller) {
	var c []domain.Command
	for n := range p.clients + 1 {
		if p.therapist[n] == joris {
			c = append(c, by(ineke, unlink(joris, n, "therapist"), "Joris leaves De Wilg"))
		}
	}
	t.together(append(c, by(marijke, &domain.AccountDeactivation{Account: joris}, "left De Wilg"))...)
}

// succeedDaan gives daan's clients to others; that his own links should end nobody thinks of.
func (p *practice) succeedDaan(t *teller) {
	var c []domain.Command
	for n := range p.clients + 1 {
		if p.therapist[n] == daan {
			c = append(c, by(ineke, link(p.other(n), n, "therapist"), "taken over from Daan"))
		}
	}
	t.together(c...)
}

// noticeDaan is what the audit of August did about it.
func (p *practice) noticeDaan(t *teller) {
	var c []domain.Command
	for n := range p.clients + 1 {
		if p.therapist[n] == daan {
			c = append(c, by(petra, unlink(daan, n, "therapist"), "found in the August audit: Daan left the day team on 1 May"))
		}
	}
	t.together(append(c, by(marijke, &domain.RoleRevocation{Principal: daan, Role: "therapist"}, "found in the August audit"))...)
}
