package domain

// Previews, told as histories: what stands, the commands, and what they would come to.

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// previewOf looks ahead at the hour of the last command and says what it sees, a line each.
func previewOf(t tester, m *memory, commands string) (string, *Preview) {
	t.Helper()
	all := readHistory(t, commands)
	ids := 0
	p := NewPreview(m.now(), all[len(all)-1].at, func() EventID { ids++; return EventID(fmt.Sprint("new", ids)) })
	for _, s := range all {
		if err := p.Add(s.command()); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	f, err := p.Foresee(100)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	say := func(sign string, effects []ForeseenEffect) {
		for _, e := range effects {
			fmt.Fprintf(&b, "%s %s %s %v", sign, e.Subject, e.Resource, e.Actions)
			if len(e.Except) > 0 {
				fmt.Fprintf(&b, " except %v", e.Except)
			}
			if e.From != 0 {
				fmt.Fprintf(&b, " from @%d", (e.From-hour(0))/3600e9)
			}
			if e.Gained && e.ValidUntil != Forever {
				fmt.Fprintf(&b, " until @%d", (e.ValidUntil-hour(0))/3600e9)
			}
			b.WriteByte('\n')
		}
	}
	say("+", f.Gained)
	say("-", f.Lost)
	for _, w := range f.Warnings {
		fmt.Fprintf(&b, "! %s: %s\n", w.Code, w.In(English))
		if nl := w.In(Dutch); nl == "" || strings.Contains(nl, "{") {
			t.Fatalf("warning %s in Dutch: got %q", w.Code, nl)
		}
	}
	return b.String(), p
}

func TestPreviewChangesNothingAndSaysWhatRecordingDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory()
		for line := range strings.Lines(strings.TrimSpace(worldBegin)) {
			if err := m.step(rt, line); err != nil {
				rt.Fatal(err)
			}
		}
		now := 1
		for range evenly(40).Draw(rt, "lines") {
			now += evenly(2).Draw(rt, "hours")
			line := drawLine(rt, now, m.events)
			s := readSaid(rt, line)
			if _, command := commands[Action(s.name)]; !command {
				_ = m.step(rt, line)
				continue
			}
			was := Seq(len(m.events))
			kept := keepVersions(m)
			ids := 0
			p := NewPreview(m.now(), s.at, func() EventID { ids++; return EventID(fmt.Sprintf("e%d.%d", was+1, ids)) })
			refusal := p.Add(s.command())
			f, err := p.Foresee(1 << 20)
			if err != nil {
				rt.Fatal(err)
			}
			kept.check(rt, m)
			if err := m.step(rt, line); fmt.Sprint(err) != fmt.Sprint(refusal) {
				rt.Fatalf("%s: the preview says %v, recording %v", line, refusal, err)
			}
			if len(p.Events) != len(m.events)-int(was) {
				rt.Fatalf("%s: the preview has %d events, recording made %d", line, len(p.Events), len(m.events)-int(was))
			}
			for i, e := range p.Events {
				if got, want := shown(e), shown(m.events[int(was)+i]); strings.Replace(got, `"org":""`, `"org":"acme"`, 1) != want {
					rt.Fatalf("%s: the preview's event is\n%s, recorded was\n%s", line, got, want)
				}
			}
			want := 0
			for e, err := range Effects(m.asOf(was), m.now(), m.changedBy(was), s.at) {
				if err != nil {
					rt.Fatal(err)
				}
				if !e.Restated {
					want++
				}
			}
			got := 0
			for _, e := range append(f.Gained, f.Lost...) {
				if e.From == 0 {
					got++
				}
			}
			if got != want || f.GainedTotal != len(f.Gained) || f.LostTotal != len(f.Lost) {
				rt.Fatalf("%s: the preview has %d effects now (of %d and %d), recording has %d", line, got, f.GainedTotal, f.LostTotal, want)
			}
		}
	})
}

// previewWorld is what the previews below look ahead from.
const previewWorld = `
	@0 catalogue.adopted document=care
	@0 account.opened account=staff:root
	@0 role.assigned principal=staff:root role=manager
	@1 account.opened account=staff:a
	@1 account.opened account=staff:b
	@1 account.opened account=client:x
	@1 account.opened account=client:y
	@1 account.opened account=team:t
	@1 role.assigned principal=staff:a role=therapist
	@2 caseload.linked principal=staff:a client=client:x relation=therapist
`

func TestPreview(t *testing.T) {
	for _, c := range []struct{ name, before, commands, want string }{
		{"a role that reaches all of a type is one line", "@3 role.assigned principal=staff:b role=full",
			"@4 role.assign principal=staff:b role=senior", `
				+ staff:b client:* [count]
				+ staff:b platform:* [configure]`},
		{"a link, and who may do what back", "@3 role.assigned principal=staff:b role=therapist",
			"@4 caseload.link principal=staff:b client=client:y relation=therapist", `
				+ client:y staff:b [message]
				+ staff:b client:y [edit view]`},
		{"later", "@3 role.assigned principal=staff:b role=therapist",
			"@4 caseload.link principal=staff:b client=client:y relation=therapist from=@6 until=@9", `
				+ client:y staff:b [message] from @6 until @9
				+ staff:b client:y [edit view] from @6 until @9`},
		{"several commands, each on top of those before", "", `
			@4 role.assign principal=staff:b role=therapist
			@4 caseload.link principal=staff:b client=client:x relation=therapist`, `
				+ client:x staff:b [message]
				+ staff:b client:* [access.grant account.open]
				+ staff:b client:x [edit view]`},
		{"the last therapist goes", "", "@4 caseload.unlink principal=staff:a client=client:x relation=therapist", `
				- client:x staff:a [message]
				- staff:a client:x [edit view]
				! left_without: client:x would be left without any therapist`},
		{"one of two therapists goes", `
			@3 role.assigned principal=staff:b role=therapist
			@3 caseload.linked principal=staff:b client=client:x relation=therapist`,
			"@4 caseload.unlink principal=staff:a client=client:x relation=therapist", `
				- client:x staff:a [message]
				- staff:a client:x [edit view]`},
		{"the other therapist is locked", `
			@3 role.assigned principal=staff:b role=therapist
			@3 caseload.linked principal=staff:b client=client:x relation=therapist
			@3 account.locked principal=staff:b`,
			"@4 caseload.unlink principal=staff:a client=client:x relation=therapist", `
				- client:x staff:a [message]
				- staff:a client:x [edit view]
				! left_without: client:x would be left without any therapist`},
		{"the role behind the links goes", "@3 caseload.linked principal=staff:a client=client:y relation=therapist",
			"@4 role.revoke principal=staff:a role=therapist", `
				- staff:a client:* [access.grant account.open]
				- staff:a client:x [edit view]
				- staff:a client:y [edit view]
				! idle_links: staff:a would keep open links as therapist (2), which give nothing without the role; unlink or hand over
				! left_without: client:x, client:y would be left without any therapist`},
		{"the account goes", "", "@4 account.deactivate account=staff:a", `
				- staff:a client:* [access.grant account.open]
				- staff:a client:x [edit view]
				- staff:a leaflet:* [know_of]
				- staff:a platform:* [read]
				! left_without: client:x would be left without any therapist
				! links_stay: staff:a would keep open links (1), which count again once the account is open and unlocked; unlink or hand over`},
		{"a team's last member leaves", `
			@3 role.assigned principal=staff:b role=therapist
			@3 caseload.linked principal=team:t client=client:y relation=therapist
			@3 team.joined team=team:t member=staff:b`,
			"@4 team.leave team=team:t member=staff:b", `
				- client:y staff:b [message]
				- staff:b client:y [edit view]
				! left_without: client:y would be left without any therapist`},
		{"one founder of two goes", "@3 role.assigned principal=staff:b role=manager", "@4 role.revoke principal=staff:b role=manager", `
				- staff:b call:* [call.end guest.admit guest.invite]
				- staff:b catalogue:* [catalogue.adopt]
				- staff:b client:* [access.grant access.review access.revoke account.deactivate account.lock account.open account.reactivate account.unlock caseload.link caseload.unlink fact.correct permission.add permission.restore permission.withhold resource.register resource.remove role.assign role.revoke subject.erase]
				- staff:b friend:* [account.deactivate account.lock account.open account.reactivate account.unlock fact.correct permission.add permission.restore permission.withhold role.assign role.revoke subject.erase]
				- staff:b guest:* [account.deactivate account.lock account.open account.reactivate account.unlock fact.correct permission.add permission.restore permission.withhold role.assign role.revoke subject.erase]
				- staff:b staff:* [account.deactivate account.lock account.open account.reactivate account.unlock fact.correct permission.add permission.restore permission.withhold role.assign role.revoke subject.erase]
				- staff:b team:* [account.deactivate account.lock account.open account.reactivate account.unlock fact.correct permission.add permission.restore permission.withhold role.assign role.revoke subject.erase team.join team.leave]
				! one_founder_left: staff:root would be the only one left who runs this ledger; the last one can't be revoked`},
		{"a role for somebody who is locked", "@3 account.locked principal=staff:b", "@4 role.assign principal=staff:b role=therapist", `
				! inactive: staff:b is deactivated or locked, and gets nothing by it until that ends
				! no_effect: nobody would gain or lose anything by it now`},
		{"temporary access again", "@3 access.granted by=staff:a principal=staff:a client=client:y profile=emergency until=@6 reason=acute",
			"@4 access.grant by=staff:a principal=staff:a client=client:y profile=emergency until=@8 reason=still~acute", `
				! has_access: staff:a has open temporary access (emergency) to the same client already
				! no_effect: nobody would gain or lose anything by it now`},
		{"withheld from one, gained of all", "@3 permission.withheld principal=staff:b on=client action=count client=client:y\n@3 role.assigned principal=staff:b role=full",
			"@4 role.assign principal=staff:b role=senior", `
				+ staff:b client:* [count] except [client:y]
				+ staff:b platform:* [configure]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger(t, previewWorld, c.before)
			got, _ := previewOf(t, m, c.commands)
			if want := strings.ReplaceAll(strings.TrimSpace(c.want)+"\n", "\t", ""); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestPreviewCountsWhatItDoesNotList(t *testing.T) {
	m := ledger(t, previewWorld)
	p := NewPreview(m.now(), hour(4), func() EventID { return "new" })
	if err := p.Add(readSaid(t, "@4 account.deactivate account=staff:a").command()); err != nil {
		t.Fatal(err)
	}
	f, err := p.Foresee(1)
	if err != nil || len(f.Lost) != 1 || f.LostTotal != 4 || f.GainedTotal != 0 {
		t.Errorf("got %d of %d lost, %d gained (%v), want 1 of 4, and 0", len(f.Lost), f.LostTotal, f.GainedTotal, err)
	}
}

func TestWarningNamesAFewAndCountsTheRest(t *testing.T) {
	w := Warning{Code: "left_without", Name: "therapist", Title: Text{"en": "Therapist", "nl": "Hulpverlener"}}
	for i := range 7 {
		w.Accounts = append(w.Accounts, Account(fmt.Sprint("client:", i)))
	}
	for lang, want := range map[Lang]string{
		English: "client:0, client:1, client:2, client:3, client:4 and 2 more would be left without any therapist",
		Dutch:   "er blijft geen hulpverlener (therapist) over voor client:0, client:1, client:2, client:3, client:4 en nog 2",
	} {
		if got := w.In(lang); got != want {
			t.Errorf("in %s: got %q, want %q", lang, got, want)
		}
	}
}
