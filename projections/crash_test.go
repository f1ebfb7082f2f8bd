package projections

// The file system fails: the machine stops between any two operations on it, and reads give errors for a while. This
// file owns when it fails; that what is left is a prefix, to the byte, is random_test.go's idea as well, there for
// whatever a crash leaves of unsynced data.

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/permledger/permledger/domain"
)

// story is accounts that are opened, given roles and links, and lose some.
func story() []*domain.Event {
	data := []domain.Data{&domain.CatalogueAdoption{Catalogue: "small", Version: 1, Document: document}, &domain.AccountOpening{Account: anna}}
	for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
		client := domain.Account("client:" + id)
		data = append(data, &domain.AccountOpening{Account: client},
			&domain.CaseloadLink{Principal: anna, Client: client, Relation: "therapist"},
			&domain.CaseloadUnlink{Principal: anna, Client: client, Relation: "therapist"})
	}
	return events(data...)
}

// tell applies the events after the position, in commits of two, with a flush after each third.
func tell(t *testing.T, db *DB, all []*domain.Event) {
	t.Helper()
	l := ledger(t, db, "acme")
	if l.Position().Stream.IsZero() {
		ok(t, l.Bind(time.Unix(1, 0), false))
	}
	for i, e := range all[l.Position().Seq:] {
		apply(t, l.Head(), e)
		if i%2 == 1 || int(e.Seq) == len(all) {
			ok(t, l.Head().Commit(e.Seq))
		}
		if i%6 == 5 {
			ok(t, db.pebble.Flush())
		}
	}
}

// The machine stops before the n-th operation that changes the file system, for every n there is.
func TestCrashAtEveryOperation(t *testing.T) {
	all := story()
	whole := map[domain.Seq]map[string]string{} // what a database has at each position that never crashed
	for upTo := range len(all) + 1 {
		db := open(t, vfs.NewMem())
		tell(t, db, all[:upTo])
		whole[domain.Seq(upTo)] = dump(t, db, "")
		ok(t, db.Close())
	}
	seqs := map[domain.Seq]bool{}
	for stop := int64(1); ; stop++ {
		fs := vfs.NewCrashableMem()
		var n atomic.Int64
		var left *vfs.MemFS
		db := open(t, errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && n.Add(1) == stop {
				left = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(stop), 0))})
			}
			return nil
		})))
		tell(t, db, all)
		ok(t, db.Close())
		if left == nil { // there are no more operations
			if len(seqs) < 4 {
				t.Fatalf("%d crashes left the positions %v, want more than a few", stop-1, seqs)
			}
			t.Logf("%d crashes left the positions %v", stop-1, seqs)
			return
		}
		db = open(t, left)
		at := ledger(t, db, "acme").Position()
		seqs[at.Seq] = true
		got := dump(t, db, "")
		if bound := !at.Stream.IsZero(); bound && !reflect.DeepEqual(got, whole[at.Seq]) || !bound && len(got) > 0 {
			t.Fatalf("after a crash before operation %d, at event %d:\n got %q\nwant %q", stop, at.Seq, got, whole[at.Seq])
		}
		tell(t, db, all)
		if got, want := dump(t, db, ""), whole[domain.Seq(len(all))]; !reflect.DeepEqual(got, want) {
			t.Fatalf("after a crash before operation %d and going on:\n got %q\nwant %q", stop, got, want)
		}
		ok(t, db.Close())
	}
}

// Nothing can be read for a while: every question gets an error that is one of ours, none a wrong answer, and when it can be
// read again all is as it was.
func TestReadsFail(t *testing.T) {
	all := story()
	var failing atomic.Bool
	mem := vfs.NewMem()
	db := open(t, mem)
	tell(t, db, all)
	ok(t, db.pebble.Flush())
	want := dump(t, db, "")
	ok(t, db.Close())

	db = open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return errorfs.ErrInjected
		}
		return nil
	})))
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	failing.Store(true)
	v := at(t, l, domain.Seq(len(all)))
	failed := 0
	for _, f := range []domain.Fact{link, {Family: domain.FamilyActive, Subject: anna}, {Family: domain.FamilyLink, Subject: anna, Object: "client:3", Name: "therapist"}} {
		version, err := v.Fact(f)
		var e *domain.Error
		if err == nil && f.Object != c1 && version.Seq == 0 || err != nil && !errors.As(err, &e) {
			t.Errorf("asking about %+v where nothing can be read: got %+v, %v; want the truth or an error of ours", f, version, err)
		}
		if err != nil {
			failed++
		}
	}
	for held, err := range v.FactsOf(domain.FamilyLink, anna) {
		var e *domain.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("scanning where nothing can be read: got %+v, %v; want an error of ours", held, err)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Fatal("everything was read from memory: the test asks for nothing")
	}
	failing.Store(false)
	if got := dump(t, db, ""); !reflect.DeepEqual(got, want) {
		t.Fatalf("when it can be read again:\n got %q\nwant %q", got, want)
	}
	held := 0
	for _, err := range v.FactsOf(domain.FamilyLink, anna) {
		ok(t, err)
		held++
	}
	if held != 6 {
		t.Fatalf("when it can be read again there are %d links, want 6", held)
	}
}
