package projections

// What the random histories do not reach: real events through domain.Fold, refusals, damage, other organisations and
// other processes, and readers at work while the writer is.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/permledger/permledger/domain"
)

const document = `catalogue: small
title: {en: Small}
kinds:
  professional: {}
  client: {protected: true}
roles:
  therapist: {title: {en: Therapist}, for: professional}
founder: therapist
relations:
  therapist: {from: professional, role: therapist}
permits:
  - {role: therapist, link: therapist, on: client, actions: [view_record]}
`

// events gives data its envelopes, a second apart.
func events(data ...domain.Data) (events []*domain.Event) {
	for i, d := range data {
		events = append(events, &domain.Event{
			Seq: domain.Seq(i + 1), ID: domain.EventID(fmt.Sprintf("event-%d", i+1)), Org: "acme", Type: d.Type(), Version: 1,
			RecordedAt: domain.Instant(i+1) * domain.Instant(time.Second), Actor: "professional:root", Data: d,
		})
	}
	return events
}

func apply(t *testing.T, h *Head, events ...*domain.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := h.Apply(e); err != nil {
			t.Fatalf("apply %d (%s): %v", e.Seq, e.Type, err)
		}
	}
}

func wantFailure(t *testing.T, what string, got error, want domain.Failure) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want one that is %q", what, got, want)
	}
}

var (
	anna = domain.Account("professional:anna")
	c1   = domain.Account("client:c1")
	link = domain.Fact{Family: domain.FamilyLink, Subject: anna, Object: c1, Name: "therapist"}
)

// A link that was made and ended reads as open at the seq where it was, and as ended after.
func TestEventsShowAsOfEverySeq(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	story := events(
		&domain.CatalogueAdoption{Catalogue: "small", Version: 1, Document: document},
		&domain.AccountOpening{Account: anna},
		&domain.AccountOpening{Account: c1},
		&domain.RoleAssignment{Principal: anna, Role: "therapist"},
		&domain.CaseloadLink{Principal: anna, Client: c1, Relation: "therapist"},
		&domain.CaseloadUnlink{Principal: anna, Client: c1, Relation: "therapist"},
	)
	h := l.Head()
	apply(t, h, story...)
	if p := l.Position(); p != (Position{}) {
		t.Errorf("position before the commit: got %+v, want none", p)
	}
	ok(t, h.Commit(6))
	if got, want := l.Position(), (Position{Seq: 6, EventID: "event-6", RecordedAt: story[5].RecordedAt}); got != want {
		t.Errorf("position: got %+v, want %+v", got, want)
	}
	moving := at(t, l, 6)
	for seq := range domain.Seq(7) {
		v := at(t, l, seq)
		got, err := v.Fact(link)
		ok(t, err)
		ok(t, moving.MoveTo(seq))
		if moved, err := moving.Fact(link); err != nil || !reflect.DeepEqual(moved, got) {
			t.Errorf("as of seq %d: a view that was moved there shows %+v (%v), want %+v", seq, moved, err, got)
		}
		ok(t, err)
		var want domain.Seq
		if seq >= 5 {
			want = seq
		}
		if open := got.Holds(story[5].RecordedAt); got.Seq != want || open != (seq == 5) {
			t.Errorf("the link as of %d: got %+v, want the version of %d, holding at the end: %t", seq, got, want, seq == 5)
		}
	}
	if got, want := all(t, l.History(c1, 0, 6)), []domain.Seq{3, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("history of %s: got %v, want %v", c1, got, want)
	}
	wantFailure(t, "a view of what is not applied", errorOf(l.At(7)), domain.Incomplete)
	wantFailure(t, "a commit of what is not applied", h.Commit(7), domain.Incomplete)
	for _, err := range l.History(c1, 0, 7) {
		wantFailure(t, "a history of what is not applied", err, domain.Incomplete)
	}
	for _, err := range l.Deeds("professional:root", 0, 7, false) {
		wantFailure(t, "deeds that are not applied", err, domain.Incomplete)
	}
	if got, want := all(t, l.Deeds("professional:root", 1, 4, true)), []domain.Seq{4, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("what the root did after 1 up to 4, newest first: got %v, want %v", got, want)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestCatalogueIsParsedOnceAndDroppedWithItsEvent(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	h := l.Head()
	adopt := func(name string) *domain.Event {
		return events(&domain.CatalogueAdoption{Catalogue: name, Version: 1, Document: strings.Replace(document, "small", name, 1)})[0]
	}
	apply(t, h, adopt("refused"))
	c, err := h.Catalogue(1)
	ok(t, err)
	if c.Name != "refused" {
		t.Errorf("the staged catalogue: got %q, want %q", c.Name, "refused")
	}
	h.Drop()
	wantFailure(t, "the catalogue of a dropped event", errorOf(h.Catalogue(1)), domain.Integrity)
	apply(t, h, adopt("small"))
	ok(t, h.Commit(1))
	v, w := at(t, l, 1), at(t, l, 1)
	c, err = v.Catalogue(1)
	ok(t, err)
	again, err := w.Catalogue(1)
	ok(t, err)
	if c.Name != "small" || c != again {
		t.Errorf("the catalogue from two views: got %p %q and %p, want %q once", c, c.Name, again, "small")
	}
	wantFailure(t, "a catalogue that a view does not know", errorOf(at(t, l, 0).Catalogue(1)), domain.Integrity)
}

func TestApplyRefusesWhatCantFollow(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	h := ledger(t, db, "acme").Head()
	story := events(&domain.AccountOpening{Account: anna}, &domain.AccountOpening{Account: c1},
		&domain.RoleRevocation{Principal: anna, Role: "therapist"})
	wantFailure(t, "a gap", errorOf(h.Apply(story[1])), domain.Integrity)
	apply(t, h, story[0])
	wantFailure(t, "the same again", errorOf(h.Apply(story[0])), domain.Integrity)
	story[1].RecordedAt = story[0].RecordedAt - 1
	wantFailure(t, "a time before the last", errorOf(h.Apply(story[1])), domain.Integrity)
	story[1].RecordedAt = story[0].RecordedAt
	apply(t, h, story[1])
	wantFailure(t, "an end of what does not stand", errorOf(h.Apply(story[2])), domain.Integrity)
	if got := h.KnownAt(); got != 2 {
		t.Errorf("KnownAt after refusals: got %d, want 2", got)
	}
}

func TestWipeLeavesOtherOrganisationsAlone(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	orgs := []domain.Org{"acm", "acme", "acme-2", "acme0"}
	for _, org := range orgs {
		l := ledger(t, db, org)
		apply(t, l.Head(), events(&domain.AccountOpening{Account: anna})...)
		ok(t, l.Head().Commit(1))
	}
	l := ledger(t, db, "acme")
	before := dump(t, db, "")
	late, early := at(t, l, 1), at(t, l, 1)
	active := domain.Fact{Family: domain.FamilyActive, Subject: anna}
	ok(t, errorOf(early.Fact(active)))

	ok(t, l.Wipe())
	wantFailure(t, "a view that begins to read after a wipe", errorOf(late.Fact(active)), domain.Incomplete)
	for key := range before {
		if strings.HasPrefix(key, "acme\x00") {
			delete(before, key)
		}
	}
	if got := dump(t, db, ""); !reflect.DeepEqual(got, before) {
		t.Errorf("after the wipe:\n got %q\nwant %q", got, before)
	}
	if got := l.Position(); got != (Position{}) {
		t.Errorf("position after the wipe: got %+v, want none", got)
	}
	if v, err := l.Head().Fact(active); err != nil || v.Seq != 0 {
		t.Errorf("the head after the wipe: got %+v, %v, want nothing", v, err)
	}
	ok(t, l.Bind(time.Unix(5, 0), true))
	apply(t, l.Head(), events(&domain.AccountOpening{Account: c1})...)
	ok(t, l.Head().Commit(1))
	want := Position{Seq: 1, EventID: "event-1", RecordedAt: domain.Instant(time.Second), Stream: time.Unix(5, 0).UTC(), Building: true}
	if got := l.Position(); got != want {
		t.Errorf("position after starting again: got %+v, want %+v", got, want)
	}
}

const holdEnv = "PERMLEDGER_TEST_HOLD"

// TestHold is the other process of TestInUse.
func TestHold(t *testing.T) {
	dir := os.Getenv(holdEnv)
	if dir == "" {
		t.Skip("run by TestInUse only")
	}
	db, err := Open(dir, Options{})
	ok(t, err)
	fmt.Println("held")
	_, _ = io.ReadAll(os.Stdin) // until TestInUse has seen enough
	ok(t, db.Close())
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	ok(t, err)
	inUse := func(who string) {
		t.Helper()
		other, err := Open(dir, Options{})
		var e *domain.Error
		if !errors.As(err, &e) || e.Failure != domain.Unreachable || e.Code != "in_use" {
			t.Errorf("open what %s has open: got %v, want unreachable, in_use", who, err)
		}
		if err == nil {
			other.Close()
		}
	}
	inUse("this process")
	ok(t, db.Close())

	hold := exec.Command(os.Args[0], "-test.run=^TestHold$")
	hold.Env = append(os.Environ(), holdEnv+"="+dir)
	stdin, err := hold.StdinPipe()
	ok(t, err)
	stdout, err := hold.StdoutPipe()
	ok(t, err)
	ok(t, hold.Start())
	held := make([]byte, len("held"))
	_, err = io.ReadFull(stdout, held)
	ok(t, err)
	inUse("another process")
	ok(t, stdin.Close())
	_, _ = io.ReadAll(stdout)
	ok(t, hold.Wait())

	db, err = Open(dir, Options{})
	ok(t, err)
	ok(t, db.Close())
}

// Whatever a value was overwritten with, whoever reads it gets an integrity failure.
func TestDamagedValues(t *testing.T) {
	k := keyspaceOf("acme")
	for _, damaged := range []struct {
		key  []byte
		read func(v *View) error
	}{
		{appendSuffix(k.fact(nil, link, false), 4), func(v *View) error { return errorOf(v.Fact(link)) }},
		{appendSuffix(k.fact(nil, link, true), 4), func(v *View) error { return last(v.FactsOn(link.Family, c1)) }},
		{appendSuffix(k.fact(nil, link, false), 4), func(v *View) error { return last(v.Versions(link)) }},
		{append(k.did(nil, "professional:root", 3), '!'), func(v *View) error { return last(v.l.Deeds("professional:root", 0, 4, true)) }},
		{append(k.factsNear(nil, link.Family, anna, false), '!'), func(v *View) error { return last(v.FactsOf(link.Family, anna)) }},
		{append(k.about(nil, c1), '!'), func(v *View) error { return last(v.l.History(c1, 0, 4)) }},
		{k.named(nil, "client", "c1"), func(v *View) error { return last(v.Named("client")) }},
		{k.seq(nil, keyBegan, 4), func(v *View) error { _, _, err := v.FactAt(4); return err }},
		{k.time(nil, 3e9), func(v *View) error { return errorOf(v.l.SeqAt(2e9)) }},
		{k.request(nil, "r"), func(v *View) error { _, _, _, err := v.l.Requested("r"); return err }},
		{k.seq(nil, keyDocument, 1), func(v *View) error { return errorOf(v.Catalogue(1)) }},
		{k.position(nil), func(v *View) error { return errorOf(openLedger(v.l.db, "acme")) }},
	} {
		for _, value := range []string{"", "\xff", strings.Repeat("\xff", 40)} {
			db := open(t, vfs.NewMem())
			l := ledger(t, db, "acme")
			story := events(
				&domain.CatalogueAdoption{Catalogue: "small", Version: 1, Document: document},
				&domain.AccountOpening{Account: anna},
				&domain.AccountOpening{Account: c1},
				&domain.CaseloadLink{Principal: anna, Client: c1, Relation: "therapist"},
			)
			story[3].RequestID = "r"
			apply(t, l.Head(), story...)
			ok(t, l.Head().Commit(4))
			ok(t, db.pebble.Set(damaged.key, []byte(value), pebble.NoSync))
			v, err := l.At(4)
			ok(t, err)
			wantFailure(t, fmt.Sprintf("%q being %q", damaged.key, value), damaged.read(v), domain.Integrity)
			v.Close()
			ok(t, db.Close())
		}
	}
}

// last gives the error that an iteration ended with.
func last[T any](seq iter.Seq2[T, error]) (last error) {
	for _, last = range seq {
	}
	return last
}

// A bit that changed on disk is an integrity failure for whoever reads it, and does not end the process.
func TestDamagedTables(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, fs)
	l := ledger(t, db, "acme")
	apply(t, l.Head(), events(&domain.AccountOpening{Account: anna})...)
	ok(t, l.Head().Commit(1))
	ok(t, db.pebble.Flush())
	ok(t, db.Close())

	names, err := fs.List("projections")
	ok(t, err)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := fs.OpenReadWrite("projections/"+name, vfs.WriteCategoryUnspecified)
		ok(t, err)
		_, err = f.WriteAt([]byte("damaged!"), 8)
		ok(t, err)
		ok(t, f.Close())
	}
	db = open(t, fs)
	t.Cleanup(func() { ok(t, db.Close()) })
	wantFailure(t, "projections in a damaged table", errorOf(db.Ledger("acme")), domain.Integrity)
}

func TestAMissingManifestIsDamage(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, fs)
	apply(t, ledger(t, db, "acme").Head(), events(&domain.AccountOpening{Account: anna})...)
	ok(t, db.Close())
	files, err := fs.List("projections")
	ok(t, err)
	for _, name := range files {
		if strings.HasPrefix(name, "MANIFEST") {
			ok(t, fs.Remove(fs.PathJoin("projections", name)))
		}
	}
	_, err = Open("projections", Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	wantFailure(t, "opening a database whose manifest is gone", err, domain.Integrity)
}

func TestLaterFormatNamesTheWayOut(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, fs)
	l := ledger(t, db, "acme")
	ok(t, l.Bind(time.Unix(1, 0), false))
	value := appendPosition(nil, l.Position())
	value[0] = format + 1
	ok(t, db.pebble.Set(l.keys.position(nil), append(value, "and what a later format has more"...), pebble.NoSync))
	ok(t, db.Close())
	db = open(t, fs)
	t.Cleanup(func() { ok(t, db.Close()) })
	_, err := db.Ledger("acme")
	wantFailure(t, "projections of a later format", err, domain.Integrity)
	if err != nil && !strings.Contains(err.Error(), "rebuild") {
		t.Errorf("projections of a later format: got %q, want it to say that they are to be rebuilt", err)
	}
}

// An older format is told, with all that says which log it was made from, and gone with a wipe.
func TestOlderFormatIsOutdated(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, fs)
	l := ledger(t, db, "acme")
	ok(t, l.Bind(time.Unix(7, 0), false))
	apply(t, l.Head(), events(&domain.AccountOpening{Account: anna})...)
	ok(t, l.Head().Commit(1))
	want := l.Position()
	value := appendPosition(nil, want)
	value[0] = format - 1
	ok(t, db.pebble.Set(l.keys.position(nil), value, pebble.NoSync))
	ok(t, db.Close())
	db = open(t, fs)
	l = ledger(t, db, "acme")
	want.Outdated = true
	if got := l.Position(); got != want {
		t.Errorf("position of the format before: got %+v, want %+v", got, want)
	}
	ok(t, l.Wipe())
	ok(t, l.Bind(time.Unix(7, 0), false))
	ok(t, db.Close())
	db = open(t, fs)
	t.Cleanup(func() { ok(t, db.Close()) })
	if got, want := ledger(t, db, "acme").Position(), (Position{Stream: time.Unix(7, 0).UTC()}); got != want {
		t.Errorf("position after wiping and closing: got %+v, want %+v", got, want)
	}
}

// Pebble's rules for a comparer, on every kind of key: the prefix orders before the suffix does, and what comes right
// after a prefix lies behind all of its versions and not behind the next fact.
func TestComparer(t *testing.T) {
	k := keyspaceOf("acme")
	var facts, suffixes [][]byte
	for _, f := range []domain.Fact{
		link,
		{Family: domain.FamilyActive, Subject: anna},
		{Family: domain.FamilyActive, Subject: anna + "2"},
		{Family: domain.FamilyGrant, Subject: anna, Object: c1, ID: "x"},
		{Family: domain.FamilyGrant, Subject: anna, Object: c1, ID: "x y"},
		{Family: domain.FamilyGrant, Subject: anna, Object: c1, Name: "x"},
	} {
		facts = append(facts, k.fact(nil, f, false), k.fact(nil, f, true))
	}
	for _, seq := range []domain.Seq{1<<63 - 1, 1 << 40, 256, 255, 1, 0} {
		suffixes = append(suffixes, appendSuffix(nil, seq))
	}
	slices.SortFunc(facts, comparer.Compare)
	for i, p := range facts {
		next := comparer.ImmediateSuccessor(nil, p)
		if i+1 < len(facts) && comparer.Compare(next, facts[i+1]) > 0 {
			t.Errorf("the prefix after %q: got %q, want none behind %q", p, next, facts[i+1])
		}
		for j, s := range suffixes {
			key := slices.Concat(p, s)
			if got := comparer.Split(key); got != len(p) {
				t.Errorf("split %q: got %d, want %d", key, got, len(p))
			}
			if comparer.Compare(p, key) >= 0 || comparer.Compare(key, next) >= 0 {
				t.Errorf("%q does not lie between its prefix and the prefix after, %q", key, next)
			}
			if j > 0 && comparer.Compare(slices.Concat(p, suffixes[j-1]), key) >= 0 {
				t.Errorf("%q does not lie behind a newer version", key)
			}
		}
	}
	for _, key := range [][]byte{
		k.seq(nil, keyBegan, math.MaxInt64), k.time(nil, -1), k.time(nil, domain.Forever), k.position(nil),
		k.did(nil, anna, 0), k.did(nil, anna, math.MaxInt64), k.did(nil, "", 1), k.request(nil, "12345678"), k.named(nil, "client", "12345678"), k.start, k.end, suffixes[0],
		k.due(nil, 0, 0), k.due(nil, -1, math.MaxInt64), k.due(nil, domain.Forever, 1), k.due(nil, 1<<8, math.MaxInt64),
	} {
		if got := comparer.Split(key); got != len(key) {
			t.Errorf("split %q: got %d, want all of it, %d", key, got, len(key))
		}
	}
}

func FuzzReadVersion(f *testing.F) {
	f.Add(appendVersion(nil, domain.Version{Seq: 9, Recorded: 12, Intervals: []domain.Interval{
		{From: 5, Until: domain.Forever, Recorded: 6, Began: 3},
		{From: -5, Until: 7, Recorded: 6, Began: 3, Ended: 9, Corrected: 8, Detail: "added"},
	}}))
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := readVersion(value, 9)
		if err != nil {
			return
		}
		again, err := readVersion(appendVersion(nil, v), 9)
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("%x: got %+v, and written again %+v, %v", value, v, again, err)
		}
	})
}

// The log took one event about a fact and refused the next: what is left is the version of the first.
func TestDropAfterACommitOfPart(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	story := events(
		&domain.CaseloadLink{Principal: anna, Client: c1, Relation: "therapist"},
		&domain.CaseloadUnlink{Principal: anna, Client: c1, Relation: "therapist"},
		&domain.CaseloadLink{Principal: anna, Client: c1, Relation: "therapist"},
	)
	h := l.Head()
	apply(t, h, story[0])
	ok(t, h.Commit(1))
	apply(t, h, story[1:]...)
	ok(t, h.Commit(2))
	for _, want := range []domain.Seq{3, 2} {
		got, err := h.Fact(link)
		ok(t, err)
		scanned := all(t, h.FactsOn(link.Family, c1))
		if h.KnownAt() != want || got.Seq != want || len(scanned) != 1 || scanned[0].Version.Seq != want {
			t.Errorf("known at %d: the link is of %d, in a scan %+v, want %d", h.KnownAt(), got.Seq, scanned, want)
		}
		h.Drop()
	}
}

// The cache keeps what is read, forgets what is not, and stays bounded.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	fact := func(i int) domain.Fact { return domain.Fact{Family: domain.FamilyRole, Name: fmt.Sprint(i)} }
	for i := range 5 * generationSize {
		c.put(fact(i), domain.Version{Seq: domain.Seq(i + 1)})
		if v, ok := c.get(fact(0)); !ok || v.Seq != 1 {
			t.Fatalf("what is read always, after %d others: got %+v %t, want seq 1", i, v, ok)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*generationSize {
		t.Errorf("facts remembered: got %d, want at most %d", n, 2*generationSize)
	}
	if _, ok := c.get(fact(1)); ok {
		t.Error("what was used once, long ago: got it, want it forgotten")
	}
}

// Readers see whole commits only, and what they read does not change, while the writer goes on.
func TestViewDoesNotMoveBeyondWhatItSaw(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	story := events(&domain.AccountOpening{Account: anna}, &domain.AccountOpening{Account: c1})
	apply(t, l.Head(), story[0])
	ok(t, l.Head().Commit(1))
	v := at(t, l, 1)
	apply(t, l.Head(), story[1])
	ok(t, l.Head().Commit(2))
	wantFailure(t, "a view made at seq 1 that is moved to 2", v.MoveTo(2), domain.Incomplete)
}

func TestAwait(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	story := events(&domain.AccountOpening{Account: anna}, &domain.AccountOpening{Account: c1})
	var waiting sync.WaitGroup
	for i := range 100 {
		waiting.Go(func() {
			after := domain.Seq(i % 2)
			if err := l.Await(t.Context(), after); err != nil || l.Position().Seq <= after {
				t.Errorf("waiting for what is after seq %d: got position %d and error %v", after, l.Position().Seq, err)
			}
		})
	}
	for _, e := range story {
		apply(t, l.Head(), e)
		ok(t, l.Head().Commit(e.Seq))
	}
	waiting.Wait()
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := l.Await(gone, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for seq 3 with a context that ended: got error %v", err)
	}
}

func TestReadersWhileWriting(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	const accounts = 600
	var data []domain.Data
	for i := range accounts {
		data = append(data, &domain.AccountOpening{Account: domain.Account(fmt.Sprintf("client:%d", i))})
	}
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for p := l.Position(); p.Seq < accounts; p = l.Position() {
				v, err := l.At(p.Seq)
				if err != nil {
					t.Error(err)
					return
				}
				n := domain.Seq(0)
				for _, err := range v.Named("client") {
					if err != nil {
						t.Error(err)
					}
					n++
				}
				v.Close()
				if seq, err := l.SeqAt(p.RecordedAt); n != p.Seq || seq < p.Seq || err != nil {
					t.Errorf("at position %d: got %d accounts, seq %d at its time, %v", p.Seq, n, seq, err)
					return
				}
			}
		})
	}
	for i, e := range events(data...) {
		if _, err := l.Head().Apply(e); err != nil {
			t.Error(err)
		}
		if (i+1)%5 == 0 {
			if err := l.Head().Commit(e.Seq); err != nil {
				t.Error(err)
			}
		}
	}
	readers.Wait()
}

// A fact handed out by a scan may be asked about before the next one is.
func TestReadsNestInScans(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	clients := []domain.Account{"client:1", "client:2", "client:3"}
	data := []domain.Data{&domain.AccountOpening{Account: anna}}
	for _, c := range clients {
		data = append(data, &domain.CaseloadLink{Principal: anna, Client: c, Relation: "therapist"})
	}
	apply(t, l.Head(), events(data...)...)
	ok(t, l.Head().Commit(4))
	for name, r := range map[string]domain.Reader{"a view": at(t, l, 4), "the head": l.Head()} {
		var got []domain.Account
		for h, err := range r.FactsOf(domain.FamilyLink, anna) {
			ok(t, err)
			ok(t, errorOf(r.Fact(domain.Fact{Family: domain.FamilyActive, Subject: h.Fact.Object})))
			for inner := range r.FactsOn(domain.FamilyLink, h.Fact.Object) {
				got = append(got, inner.Fact.Object)
				break
			}
		}
		if !slices.Equal(got, clients) {
			t.Errorf("%s: got %v, want %v", name, got, clients)
		}
	}
}
