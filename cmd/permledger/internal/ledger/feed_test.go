package ledger

// The change feed as a whole: the ledger, its clock, the stream and reading it. Whatever is recorded, by however many
// servers, through restarts and changes published twice, the feed folded from any event on gives at every event what the
// ledger answers as of it.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

const clinic = `
catalogue: clinic
kinds:
  professional: {}
  client: {protected: true}
  team: {group: true}
resources:
  journal: {of: client}
  platform: {}
roles:
  manager: {for: professional}
  therapist: {for: professional}
  secretary: {for: professional}
founder: manager
relations:
  therapist: {from: [professional, team]}
  restricted: {from: professional}
grants:
  emergency: {longest: 8h}
permits:
  - {role: manager, on: [professional, client, team, journal], actions: [account.open, account.deactivate, account.reactivate, account.lock,
      account.unlock, role.assign, role.revoke, caseload.link, caseload.unlink, team.join, team.leave, access.grant, access.revoke,
      permission.add, permission.withhold, permission.restore, resource.register, resource.remove, fact.correct, subject.erase]}
  - {role: manager, on: catalogue, actions: catalogue.adopt}
  - {role: manager, on: platform, actions: configure}
  - {role: secretary, on: [client, journal], actions: view_details, unless: {link: restricted}}
  - {role: therapist, link: therapist, on: [client, journal], actions: [view_record, view_details]}
  - {role: therapist, grant: emergency, on: client, actions: view_record}
  - {role: therapist, own: true, on: journal, actions: edit}
  - {kind: client, self: true, on: client, actions: view_record}
  - {kind: client, linked_by: therapist, on: professional, actions: message}
  - {team: true, on: professional, actions: call}
`

// clinicLater is the clinic with other permits, to be adopted.
var clinicLater = strings.NewReplacer("secretary, on: [client, journal]", "secretary, on: journal", "actions: edit}", "actions: [edit, view_record]}").Replace(clinic)

var (
	clinicStaff   = []domain.Account{"professional:anna", "professional:bob", "professional:cleo"}
	clinicClients = []domain.Account{"client:c1", "client:c2", "client:c3"}
	clinicTeam    = domain.Account("team:night")
	clinicPapers  = []domain.Resource{"journal:j1", "journal:j2"}
	clinicAll     = append(append([]domain.Account{boss, clinicTeam}, clinicStaff...), clinicClients...)
)

// drawn draws a command of the clinic, which may well be refused.
func drawn(r *rand.Rand, now domain.Instant) domain.Command {
	staff, client, anyone := pick(r, clinicStaff), pick(r, clinicClients), pick(r, clinicAll)
	linked := pick(r, append(slices.Clone(clinicStaff), clinicTeam))
	role, relation := pick(r, []domain.Role{"therapist", "secretary"}), pick(r, []domain.Relation{"therapist", "therapist", "restricted"})
	var from, until domain.Instant
	if r.IntN(3) == 0 {
		from = now.Add(time.Duration(r.IntN(8)-2) * time.Minute)
	}
	if r.IntN(2) == 0 {
		until = max(now, from).Add(time.Duration(1+r.IntN(20)) * time.Minute)
	}
	switch r.IntN(22) {
	case 0:
		return opens(anyone)
	case 1:
		return opens(client)
	case 2:
		return command(&domain.AccountDeactivation{Account: anyone})
	case 3:
		return command(&domain.AccountReactivation{Account: anyone})
	case 4, 5:
		return command(&domain.RoleAssignment{Principal: staff, Role: role, From: from, Until: until})
	case 6:
		return revokes(staff, role)
	case 7, 8, 9:
		return command(&domain.CaseloadLink{Principal: linked, Client: client, Relation: relation, From: from, Until: until})
	case 10:
		return command(&domain.CaseloadUnlink{Principal: linked, Client: client, Relation: relation})
	case 11:
		return command(&domain.TeamJoin{Team: clinicTeam, Member: staff, From: from, Until: until})
	case 12:
		return command(&domain.TeamLeave{Team: clinicTeam, Member: staff})
	case 13:
		return because("night", command(&domain.AccessGrant{Principal: staff, Client: client, Profile: "emergency", Until: now.Add(time.Duration(1+r.IntN(9)) * time.Minute)}))
	case 14:
		return command(&domain.PermissionAddition{Exception: exceptionOf(r, staff, client)})
	case 15:
		return command(&domain.PermissionWithholding{Exception: exceptionOf(r, staff, client)})
	case 16:
		return command(&domain.PermissionRestoration{Exception: exceptionOf(r, staff, client)})
	case 17:
		return command(&domain.ResourceRegistration{Resource: pick(r, clinicPapers), Client: client, CreatedBy: staff})
	case 18:
		return command(&domain.ResourceRemoval{Resource: pick(r, clinicPapers)})
	case 19:
		return command(&domain.AccountLock{Principal: anyone})
	case 20:
		return command(&domain.AccountUnlock{Principal: anyone})
	}
	if r.IntN(3) == 0 {
		return command(&domain.CatalogueAdoption{Document: pick(r, []string{clinic, clinicLater})})
	}
	if r.IntN(3) == 0 {
		return because("left", erases(client))
	}
	return because("a mistake", command(&domain.Correction{Corrects: domain.Seq(4 + r.IntN(60)), Until: until, Void: until == 0}))
}

func exceptionOf(r *rand.Rand, staff, client domain.Account) domain.Exception {
	x := domain.Exception{Principal: staff, On: "client", Action: "view_details"}
	if r.IntN(2) == 0 {
		x.Client = client
	}
	return x
}

// A follower folds what it is given.
type follower struct {
	n     int
	since map[[3]string]int // subject, action, resource or type:*: when it was last said, negative for lost
}

func (f *follower) apply(changes []consumers.Change) {
	if f.since == nil {
		f.since = map[[3]string]int{}
	}
	for _, c := range changes {
		f.n++
		for _, a := range c.Actions {
			n := f.n
			if c.Kind == consumers.Lost {
				n = -n
			}
			f.since[[3]string{string(c.Subject), string(a), string(c.Resource)}] = n
		}
	}
}

func (f *follower) allows(s domain.Account, a domain.Action, r domain.Resource) bool {
	one := f.since[[3]string{string(s), string(a), string(r)}]
	all := f.since[[3]string{string(s), string(a), string(r.Kind()) + ":*"}]
	if max(one, -one) > max(all, -all) {
		return one > 0
	}
	return all > 0
}

// check compares what the follower knows with what the ledger answers as of an event.
func (f *follower) check(t *testing.T, l *Ledger, seq domain.Seq, what string, only domain.Resource) {
	t.Helper()
	recorded, err := l.recordedAt(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := l.Ask(recorded, Known{seq: seq})
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	ev, err := domain.NewEvaluator(asked, recorded)
	if err != nil {
		t.Fatal(err)
	}
	resources := slices.Concat([]domain.Resource{"platform:main"}, clinicPapers)
	for _, a := range clinicAll {
		resources = append(resources, domain.Resource(a))
	}
	for _, res := range resources {
		if there, err := ev.Existed(res); err != nil {
			t.Fatal(err)
		} else if !there || only != "" && res != only {
			continue
		}
		for _, action := range ev.Catalogue().Actions(res.Kind()) {
			want := map[domain.Account]bool{}
			for a, err := range domain.Who(asked, domain.Question{Action: action, Resource: res}, recorded, "") {
				if err != nil {
					t.Fatal(err)
				}
				want[a.Subject] = true
			}
			for _, s := range clinicAll {
				if got := f.allows(s, action, res); got != want[s] {
					t.Fatalf("%s, folded to event %d: %s may %s %s: got %t, who says %t", what, seq, s, action, res, got, want[s])
				}
			}
		}
	}
}

// followed reads the feed after a cursor up to an event, and gives every batch: of later events, which the clock may record
// meanwhile, none.
func followed(t *testing.T, f *consumers.Feed, after consumers.Cursor, upTo domain.Seq, each func(consumers.Batch)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := f.Open(ctx, after)
	if err != nil {
		t.Fatalf("following after %v: %v", after, err)
	}
	defer r.Close()
	for at := after; at.Before(consumers.Cursor{Seq: upTo}); {
		b, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("following after %v, at %v of %d: %v", after, at, upTo, err)
		}
		if !at.Before(b.Cursor) {
			t.Fatalf("following after %v: after cursor %v came %v", after, at, b.Cursor)
		}
		if at = b.Cursor; at.Seq > upTo {
			return
		}
		each(b)
	}
}

// foundClinic makes acme's ledger of the clinic.
func foundClinic(t *testing.T, s *Service) *Ledger {
	t.Helper()
	l, err := s.Init(t.Context(), acme, []byte(clinic), boss, "test")
	if err != nil {
		t.Fatalf("founding: %v", err)
	}
	for _, a := range append(slices.Clone(clinicStaff), "client:c1", clinicTeam) {
		record1(t, l, opens(a))
	}
	return l
}

// checkFeed follows the whole feed and holds it against the ledger, its answers as of each event after one that was
// checked before. It gives the event up to which it has.
func checkFeed(t *testing.T, r *rand.Rand, l *Ledger, checked domain.Seq) (head domain.Seq) {
	t.Helper()
	feed := l.Feed()
	head = l.Head()
	var whole follower
	var published []consumers.Change
	followed(t, feed, consumers.Cursor{}, head, func(b consumers.Batch) {
		whole.apply(b.Changes)
		published = append(published, b.Changes...)
		if b.Cursor.N == 0 && b.Cursor.Seq > checked {
			whole.check(t, l, b.Cursor.Seq, "the whole feed", "")
		}
	})
	whole.check(t, l, head, "the whole feed", "")
	t.Logf("%d changes of %d events", len(published), head)

	// The stream holds each change once, in order, as the ledger says it.
	var want []consumers.Change
	for s, err := range l.Steps(t.Context(), 0, head) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, consumers.ChangesOf(s, feed.Mark())...)
	}
	got, wanted := shownChanges(t, published), shownChanges(t, want)
	if !slices.Equal(got, wanted) {
		t.Fatalf("published:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	info, err := l.s.store.JetStream().Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	if n := info.CachedInfo().State.Msgs; n != uint64(len(want)) && l.Head() == head {
		t.Fatalf("the stream has %d messages, want %d", n, len(want))
	}

	// From a cursor in the middle the rest is the same.
	if len(want) > 0 {
		i := r.IntN(len(want))
		var rest []consumers.Change
		followed(t, feed, want[i].Cursor, head, func(b consumers.Batch) { rest = append(rest, b.Changes...) })
		if got, wanted := shownChanges(t, rest), shownChanges(t, want[i+1:]); !slices.Equal(got, wanted) {
			t.Fatalf("after %v:\n%s\nwant:\n%s", want[i].Cursor, strings.Join(got, "\n"), strings.Join(wanted, "\n"))
		}
	}

	// About one resource, as who may do what to it.
	about := domain.Resource(pick(r, clinicClients))
	var near follower
	followed(t, feed, consumers.Cursor{}, head, func(b consumers.Batch) {
		changes, err := consumers.Filter{About: about}.Of(t.Context(), l, b.Changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			for _, a := range c.Actions {
				if c.Resource != about || near.allows(c.Subject, a, about) == (c.Kind == consumers.Gained) {
					t.Fatalf("about %s: %+v changes nothing", about, c)
				}
			}
			near.apply([]consumers.Change{c})
		}
		if b.Cursor.N == 0 && b.Cursor.Seq > checked && b.Cursor.Seq%3 == 0 {
			near.check(t, l, b.Cursor.Seq, "what is about "+string(about), about)
		}
	})

	// A snapshot, and what comes after it.
	snapshot, err := l.Snapshot(t.Context(), consumers.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var fresh follower
	for c, err := range snapshot.Changes {
		if err != nil {
			t.Fatal(err)
		}
		fresh.apply([]consumers.Change{c})
	}
	snapshot.Close()
	fresh.check(t, l, snapshot.Cursor.Seq, "a snapshot", "")
	return head
}

func shownChanges(t *testing.T, changes []consumers.Change) (lines []string) {
	t.Helper()
	for _, c := range changes {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(bytes.TrimSpace(b)))
	}
	return lines
}

func TestFeedFoldsToWhatIsAnswered(t *testing.T) {
	parallel(t)
	r := random(t)
	n := rounds(1)
	if elsewhere != nil { // there is one ledger of acme to an account
		n = 1
	}
	for range n {
		o := Options{Data: t.TempDir(), Create: true, Feed: true}
		time := newStopped()
		o.Now, o.after, o.Clock = time.time, time.after, true
		s := openService(t, o)
		l := foundClinic(t, s)
		seconds, checked := 0, domain.Seq(0)
		for range 4 {
			for range 90 {
				if seconds += r.IntN(240); r.IntN(3) > 0 {
					time.move(seconds)
				}
				_, _ = l.Record(t.Context(), []domain.Command{drawn(r, l.Now())}) // or it is refused
			}
			checked = checkFeed(t, r, l, checked)
			closeService(t, s)
			s = openService(t, o)
			l = ledgerOf(t, s)
		}
		checkFeed(t, r, l, checked)
		closeService(t, s)
	}
}

func TestFeedOfTwoServers(t *testing.T) {
	parallel(t)
	r := random(t)
	remote := startRemote(t)
	time := newStopped()
	open := func() *Service {
		o := remote.options()
		o.Feed, o.Clock, o.Now, o.after = true, true, time.time, time.after
		return openService(t, o)
	}
	services := []*Service{open(), open()}
	defer func() {
		for _, s := range services {
			closeService(t, s)
		}
	}()
	foundClinic(t, services[0])
	seconds, checked := 0, domain.Seq(0)
	for round := range rounds(4) {
		for i := range 80 {
			if seconds += r.IntN(240); r.IntN(3) > 0 {
				time.move(seconds)
			}
			l := ledgerOf(t, services[i%2])
			_, _ = l.Record(t.Context(), []domain.Command{drawn(r, l.Now())})
		}
		switch round {
		case 1: // one goes, another comes
			closeService(t, services[0])
			services[0] = open()
		case 2: // a change is published again by somebody, as a late retry would
			republish(t, services[1])
		}
		l := ledgerOf(t, services[round%2])
		head := max(ledgerOf(t, services[0]).Head(), ledgerOf(t, services[1]).Head())
		if err := l.Await(t.Context(), head-1); err != nil {
			t.Fatal(err)
		}
		checked = checkFeed(t, r, l, checked)
	}
}

// republish sends the newest change once more, as it was.
func republish(t *testing.T, s *Service) {
	t.Helper()
	js := s.store.JetStream()
	stream, err := js.Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	m, err := stream.GetMsg(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
	ack, err := js.PublishMsg(t.Context(), msg, jetstream.WithExpectLastSequence(last-1))
	if err == nil && !ack.Duplicate { // refused for its place, or as one that it has
		t.Fatalf("the stream took the same change twice, at %d and at %d", last, ack.Sequence)
	}
}

// Very many links run out at one moment, ten thousand with -long: the clock notices each, and every loss is in the feed
// once.
func TestManyExpiriesAtOnce(t *testing.T) {
	t.Parallel()
	n := 20 // of each, everybody linked to everybody: several times what the clock notices at once
	if *long {
		n = 100
	}
	time := newStopped()
	o := Options{Data: t.TempDir(), Create: true, Relaxed: true, Feed: true, Now: time.time, after: time.after, Clock: true}
	s := openService(t, o)
	defer func() { closeService(t, s) }()
	var text bytes.Buffer
	line := func(typ, data string) {
		fmt.Fprintf(&text, `{"at":"2026-01-05T11:00:00Z","type":%q,"actor":%q,"data":{%s}}`+"\n", typ, boss, data)
	}
	for i := range n {
		line("account.opened", fmt.Sprintf(`"account":"professional:p%d"`, i))
		line("role.assigned", fmt.Sprintf(`"principal":"professional:p%d","role":"therapist"`, i))
		line("account.opened", fmt.Sprintf(`"account":"client:c%d"`, i))
	}
	for i := range n * n {
		line("caseload.linked", fmt.Sprintf(`"principal":"professional:p%d","client":"client:c%d","relation":"therapist","until":"2026-01-05T13:00:00Z"`, i/n, i%n))
	}
	if _, err := s.Import(t.Context(), acme, []byte(clinic), &text, nil); err != nil {
		t.Fatal(err)
	}
	l := ledgerOf(t, s)
	before := l.Head()
	time.timer(t, 60) // it looks again each minute
	time.move(3600)
	wait(t, "the notices", func() bool { return l.Head() == before+domain.Seq(n*n) })
	lost := map[[2]string]int{}
	followed(t, l.Feed(), consumers.Cursor{Seq: before}, l.Head(), func(b consumers.Batch) {
		for _, c := range b.Changes {
			if c.Kind != consumers.Lost || c.Cause.Type != "validity.ended" || c.Cause.Of == 0 || c.At != at(3600) {
				t.Fatalf("at that moment came %+v", c)
			}
			lost[[2]string{string(c.Subject), string(c.Resource)}]++
		}
	})
	for i := range n * n {
		p, c := fmt.Sprintf("professional:p%d", i/n), fmt.Sprintf("client:c%d", i%n)
		if lost[[2]string{p, c}] != 1 || lost[[2]string{c, p}] != 1 {
			t.Fatalf("%s lost %s %d times, and %s lost %s %d times", p, c, lost[[2]string{p, c}], c, p, lost[[2]string{c, p}])
		}
	}
	if len(lost) != 2*n*n {
		t.Fatalf("%d were lost, want %d", len(lost), 2*n*n)
	}
}
