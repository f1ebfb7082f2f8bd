package demo

// The story as the ledger has it: all that it promises is in there, it is the same each time, and an auditor's questions
// have the answers that the plot was written for.

import (
	"context"
	"errors"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// shared is a directory with the story in it, for the tests that only read.
var shared string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "demo-test-")
	if err == nil {
		_, err = Write(context.Background(), dir, nil)
	}
	if err != nil {
		log.Fatal(err)
	}
	shared = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Print(err)
	}
	os.Exit(code)
}

// opens opens the ledger of a directory.
func opens(t *testing.T, dir string) *ledger.Ledger {
	t.Helper()
	s, err := ledger.Open(t.Context(), ledger.Options{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := s.Ledger(t.Context(), Org)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func events(t *testing.T, l *ledger.Ledger) []*domain.Event {
	t.Helper()
	all, err := l.Events(t.Context(), 0, int(l.Head()))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStoryHasEverything(t *testing.T) {
	all := events(t, opens(t, shared))
	if n := len(all); n < 2000 || n > 3000 {
		t.Errorf("%d events, want 2,000 to 3,000", n)
	}
	types := make(map[domain.EventType]int)
	opened := make(map[domain.Kind]int)
	for _, e := range all {
		types[e.Type]++
		if d, ok := e.Data.(*domain.AccountOpening); ok {
			opened[d.Account.Kind()]++
		}
		if e.Source != source && e.Actor != domain.ClockActor {
			t.Errorf("event %d: source %q, want %q", e.Seq, e.Source, source)
		}
	}
	for _, typ := range []domain.EventType{domain.ValidityStarted, domain.ValidityEnded} {
		if types[typ] == 0 {
			t.Errorf("no %s in the story", typ)
		}
	}
	for _, name := range domain.Commands() {
		typ, err := domain.EventOf(name)
		if err != nil {
			t.Fatal(err)
		}
		if types[typ] == 0 {
			t.Errorf("no %s in the story", typ)
		}
	}
	if got := types[domain.CatalogueAdopted]; got != 2 {
		t.Errorf("%d catalogues adopted, want 2", got)
	}
	want := map[domain.Kind]int{"professional": 40, "client": 300, "team": 1, "friend": weeks + 1}
	if !maps.Equal(opened, want) {
		t.Errorf("accounts opened: got %v, want %v", opened, want)
	}
	first, last := all[0].RecordedAt.Time(), all[len(all)-1].RecordedAt.Time()
	if !first.Equal(opening()) || !last.Equal(ending()) {
		t.Errorf("from %s until %s, want from %s until 31 August 2026 17:00", first, last, opening())
	}
}

func TestStoryIsTheSameEachTime(t *testing.T) {
	again := t.TempDir()
	if made, err := Write(t.Context(), again, nil); err != nil || !made {
		t.Fatalf("Write: got %t, %v, want true, nil", made, err)
	}
	one, two := events(t, opens(t, shared)), events(t, opens(t, again))
	if len(one) != len(two) {
		t.Fatalf("%d events and then %d", len(one), len(two))
	}
	for i := range one {
		one[i].ID, two[i].ID = "", ""
		a, err := one[i].MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		b, err := two[i].MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Fatalf("event %d:\n%s\nand then\n%s", i+1, a, b)
		}
	}
}

// What is dated and was let be is noticed once, at its moment, as if the ledger had been served all the while; and when the
// story is over, whoever serves it has nothing to notice.
func TestNoticedAtItsMoment(t *testing.T) {
	l := opens(t, shared)
	if due, some, err := l.NextDue(); some || err != nil {
		t.Errorf("due after the story: %s, %t, %v; want nothing", due, some, err)
	}
	all := events(t, l)
	noticed := make(map[domain.Due]domain.Instant)
	for _, e := range all {
		var d domain.Due
		switch n := e.Data.(type) {
		case *domain.ValidityStart:
			d = domain.Due{Of: n.Of}
		case *domain.ValidityEnd:
			d = domain.Due{Of: n.Of, Ended: true}
		default:
			continue
		}
		from, until := bounds(all[d.Of-1])
		if d.At = from; d.Ended {
			d.At = until
		}
		if _, twice := noticed[d]; twice {
			t.Errorf("event %d: %+v was noticed before", e.Seq, d)
		}
		noticed[d] = e.RecordedAt
		if late := e.RecordedAt.Time().Sub(d.At.Time()); late < 0 || late > time.Microsecond { // each commit has a nanosecond of its own
			t.Errorf("event %d: %+v was noticed %s after its moment, want at it", e.Seq, d, late)
		}
	}
	for _, e := range all {
		d, ok := e.Data.(*domain.AccessGrant)
		if !ok {
			continue
		}
		_, ended := noticed[domain.Due{At: d.Until, Of: e.Seq, Ended: true}]
		if want := d.Grant == curious; ended != want { // all others are given back
			t.Errorf("that %s ran out: noticed %t, want %t", d.Grant, ended, want)
		}
	}
}

// bounds gives those that the event gives to a fact, 0 where it gives none. None that is yet to come is corrected in the
// story.
func bounds(e *domain.Event) (from, until domain.Instant) {
	switch d := e.Data.(type) {
	case *domain.CaseloadLink:
		return d.From, d.Until
	case *domain.AccessGrant:
		return d.From, d.Until
	case *domain.GuestInvitation:
		return 0, d.Until
	}
	return 0, 0
}

func TestPlot(t *testing.T) {
	l := opens(t, shared)
	for _, q := range []struct {
		about     string
		subject   domain.Account
		action    domain.Action
		resource  domain.Resource
		at, known string // Dutch time; known "" is as known then
		want      bool
		why       string // part of the basis
	}{
		{about: "joris treats", subject: joris, action: "view_record", resource: "client:c113", at: "2026-04-30 16:59", want: true},
		{about: "joris has left", subject: joris, action: "view_record", resource: "client:c113", at: "2026-04-30 17:01", why: "not since"},
		{about: "saskia before she is written down", subject: saskia, action: "view_record", resource: "client:c113", at: "2026-05-01 10:00"},
		{about: "and as known since", subject: saskia, action: "view_record", resource: "client:c113", at: "2026-05-01 10:00", known: "now", want: true},
		{about: "the wrong date, before its correction", subject: saskia, action: "view_record", resource: "client:c113", at: "2026-04-22 10:00", known: "2026-05-05 10:00", want: true},
		{about: "and after", subject: saskia, action: "view_record", resource: "client:c113", at: "2026-04-22 10:00", known: "now"},
		{about: "the night", subject: emre, action: "view_record", resource: "client:c113", at: "2026-06-14 03:00", want: true},
		{about: "before it", subject: emre, action: "view_record", resource: "client:c113", at: "2026-06-14 02:40"},
		{about: "given back early", subject: emre, action: "view_record", resource: "client:c113", at: "2026-06-14 05:00", why: "temporary access"},
		{about: "emergency access only views", subject: emre, action: "message", resource: "client:c113", at: "2026-06-14 03:00"},
		{about: "on the crisis list", subject: yara, action: "view_record", resource: "client:c113", at: "2026-06-17 03:00", want: true},
		{about: "the list runs out", subject: floor, action: "view_record", resource: "client:c113", at: "2026-08-16 00:01", why: "team:crisisdienst"},
		{about: "yara is in the team", subject: yara, action: "view_record", resource: "client:c042", at: "2026-07-31 03:00", want: true},
		{about: "yara left the team", subject: yara, action: "view_record", resource: "client:c042", at: "2026-08-01 03:00"},
		{about: "daan kept his caseload", subject: daan, action: "view_record", resource: "client:c010", at: "2026-08-13 09:29", want: true},
		{about: "until it was noticed", subject: daan, action: "view_record", resource: "client:c010", at: "2026-08-13 09:31", why: "not since"},
		{about: "noor is locked out", subject: noor, action: "search", resource: "professional:noor", at: "2026-05-18 08:30", why: "5 failed sign-ins"},
		{about: "and let in again", subject: noor, action: "search", resource: "professional:noor", at: "2026-05-18 08:53", want: true},
		{about: "the laptop is stolen", subject: thijs, action: "search", resource: "professional:noor", at: "2026-07-10 09:00", why: "laptop stolen"},
		{about: "fenna by mistake", subject: fenna, action: "download_with_client_data", resource: "export:main", at: "2026-04-08 12:00", want: true},
		{about: "which never should have been", subject: fenna, action: "download_with_client_data", resource: "export:main", at: "2026-04-08 12:00", known: "now"},
		{about: "femke instead", subject: femke, action: "download_with_client_data", resource: "export:main", at: "2026-04-09 15:00", want: true},
		{about: "wil helps", subject: wil, action: "view_tools", resource: "client:c058", at: "2026-04-01 12:00", want: true},
		{about: "and is needed no more", subject: wil, action: "view_tools", resource: "client:c058", at: "2026-05-01 12:00"},
		{about: "the team may", subject: floor, action: "view_record", resource: "client:c090", at: "2026-06-10 12:00", want: true},
		{about: "the neighbour may not", subject: bram, action: "view_record", resource: "client:c090", at: "2026-06-10 12:00", why: "individually withheld"},
		{about: "curious lotte", subject: lotte, action: "view_record", resource: "client:c207", at: "2026-07-08 20:09", want: true},
		{about: "whose access runs out", subject: lotte, action: "view_record", resource: "client:c207", at: "2026-07-08 20:11", why: "temporary access"},
		{about: "the first role catalogue", subject: petra, action: "message", resource: "client:c113", at: "2026-06-01 08:59"},
		{about: "the second", subject: petra, action: "message", resource: "client:c113", at: "2026-06-01 09:01", want: true},
		{about: "a journal", subject: saskia, action: "view", resource: "journal:j113-nights", at: "2026-07-01 12:00", want: true},
		{about: "that was removed", subject: saskia, action: "view", resource: "journal:j113-nights", at: "2026-08-21 12:00"},
		{about: "the family talk", subject: brother, action: "join", resource: domain.Resource(evening), at: "2026-06-18 19:10", want: true},
		{about: "is over", subject: brother, action: "join", resource: domain.Resource(evening), at: "2026-06-18 19:50"},
		{about: "karin's sabbatical", subject: karin, action: "handle", resource: "registration:main", at: "2026-04-20 12:00", why: "karin has an open account"},
		{about: "karin is back", subject: karin, action: "handle", resource: "registration:main", at: "2026-06-16 12:00", want: true},
	} {
		known := q.known
		if known != "" && known != "now" {
			known = instant(known).String()
		}
		k, err := ledger.ParseKnown(known)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := l.Ask(instant(q.at), k)
		if err != nil {
			t.Fatal(err)
		}
		d, err := domain.Evaluate(asked, domain.Question{Subject: q.subject, Action: q.action, Resource: q.resource}, asked.At)
		if err != nil {
			t.Fatal(err)
		}
		var why []string
		for _, r := range d.Basis {
			why = append(why, domain.Teller{Show: domain.Instant.String}.Why(r))
		}
		if got := strings.Join(why, "; "); d.Allowed != q.want || !strings.Contains(got, q.why) {
			t.Errorf("%s: %s %s %s at %s (known %q): got %t (%s), want %t (%s)", q.about, q.subject, q.action, q.resource, q.at, q.known, d.Allowed, got, q.want, q.why)
		}
		asked.Close()
	}
}

func TestErasedClientIsForgotten(t *testing.T) {
	l := opens(t, shared)
	asked, err := l.Ask(0, ledger.Known{})
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	n := 0
	for told, err := range asked.History(t.Context(), ledger.Trail{About: client(19)}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		e := told.Event
		if d, ok := e.Data.(*domain.AccountOpening); ok && d.DisplayName != "" || e.Reason != "" {
			t.Errorf("event %d still says %q", e.Seq, e.Reason)
		}
	}
	if n < 4 {
		t.Errorf("%d events about %s, want its opening, link, end and erasure", n, client(19))
	}
}

func TestOwnCatalogue(t *testing.T) {
	shipped, err := catalogues.Document(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := domain.ParseCatalogue([]byte(ownCatalogue(shipped)))
	if err != nil {
		t.Fatal(err)
	}
	if !cat.Type("team") || !cat.Type("journal") || !slices.Contains(cat.Actions("journal"), "view") {
		t.Errorf("De Wilg's catalogue: team %t, journal %t, actions on a journal %v; want all of them", cat.Type("team"), cat.Type("journal"), cat.Actions("journal"))
	}
}

func TestWriteAgainFindsTheStory(t *testing.T) {
	if made, err := Write(t.Context(), shared, nil); err != nil || made {
		t.Errorf("the second time: got %t, %v, want false, nil", made, err)
	}
}

func TestWriteRefusesWhatIsNotTheStory(t *testing.T) {
	another := t.TempDir()
	s, err := ledger.Open(t.Context(), ledger.Options{Data: another, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := catalogues.Document(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Init(t.Context(), "acme", shipped, marijke, "test")
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}

	half := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Write(ctx, half, func(now time.Time, _ int) {
		if now.After(on("2026-03-06 00:00")) {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: got %v, want context.Canceled", err)
	}

	for name, dir := range map[string]string{"another ledger": another, "half the story": half} {
		if made, err := Write(t.Context(), dir, nil); !errors.Is(err, domain.Conflict) || made {
			t.Errorf("%s: got %t, %v, want false and a conflict", name, made, err)
		}
	}
}
