package projections

// Swapping one projection for another, and what stands in its way: equal ones have one digest in whatever order they were
// made, different ones differ where they do, and a disk that fails leaves the live one whole.

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/permledger/permledger/domain"
)

// beside opens a database on the file system, in a directory of its own.
func beside(t fataler, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open("beside", Options{FS: fs, CacheBytes: 1 << 20, Beside: true})
	ok(t, err)
	return db
}

func pin(t fataler, l *Ledger) *Pinned {
	t.Helper()
	p, err := l.Pin()
	ok(t, err)
	return p
}

func digestOf(t fataler, l *Ledger) Digest {
	t.Helper()
	p := pin(t, l)
	defer p.Close()
	d, err := p.Digest(context.Background(), nil, nil)
	ok(t, err)
	return d
}

// tablesOf writes what a ledger holds to tables.
func tablesOf(l *Ledger, db *DB, dir string) error {
	p, err := l.Pin()
	if err != nil {
		return err
	}
	defer p.Close()
	to, err := p.NewTables(db, dir)
	if err != nil {
		return err
	}
	d, err := p.Digest(context.Background(), to, nil)
	if err == nil {
		err = to.Finish(l.org, d)
	}
	if err != nil {
		to.Abandon()
	}
	return err
}

// TestSwapOfRandomHistories builds two projections of a random history, one in one commit and one in several, and swaps one
// for the other, with a tail. Other organisations lie on either side and stay as they are.
func TestSwapOfRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		live, other := open(t, fs), beside(t, fs)
		defer live.Close()
		defer other.Close()
		l, made := ledger(t, live, "acme"), ledger(t, other, "acme")
		fill(t, ledger(t, live, "acm"), model{}.draw(t))
		fill(t, ledger(t, live, "acme-2"), model{}.draw(t))
		ok(t, made.Bind(l.Position().Stream, true))

		var m model
		n, swapAt := rapid.IntRange(1, 20).Draw(t, "events"), rapid.IntRange(1, 20).Draw(t, "swap")
		tail := new(Tail)
		for i := range n {
			r := m.draw(t)
			m = append(m, r)
			fill(t, l, r)
			if rapid.Bool().Draw(t, "flush") {
				ok(t, live.pebble.Flush())
			}
			fill(t, made, r)
			if i+1 == min(swapAt, n) {
				if a, b := digestOf(t, l), digestOf(t, made); !a.Equal(b) {
					t.Fatalf("digests of the same history: %+v and %+v", a, b)
				}
				ok(t, tablesOf(made, live, "tables"))
				made.KeepTail(tail)
			}
		}
		before, position := dump(t, live, ""), l.Position()
		view := mustAt(t, l, position.Seq)
		defer view.Close()
		ok(t, l.Swap(context.Background(), live, "tables", tail, made.Position(), true))
		if after := dump(t, live, ""); !maps.Equal(before, after) {
			t.Fatalf("after swapping for an equal one: got %q, want %q", after, before)
		}
		if l.Position() != position {
			t.Fatalf("position: got %+v, want %+v", l.Position(), position)
		}
		for _, h := range m.facts(position.Seq) {
			if v, err := view.Fact(h.Fact); err != nil || v.Seq != h.Version.Seq {
				t.Fatalf("an open view: %v: got %+v, %v, want seq %d", h.Fact, v, err, h.Version.Seq)
			}
		}
		r := m.draw(t)
		fill(t, l, r)
		fill(t, made, r)
		if a, b := digestOf(t, l), digestOf(t, made); !a.Equal(b) {
			t.Fatalf("after an event more: digests %+v and %+v", a, b)
		}
	})
}

func mustAt(t fataler, l *Ledger, seq domain.Seq) *View {
	t.Helper()
	v, err := l.At(seq)
	ok(t, err)
	return v
}

// TestDifferences changes one value, takes one key and adds one: each is told.
func TestDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		a, b := open(t, fs), beside(t, fs)
		defer a.Close()
		defer b.Close()
		l, made := ledger(t, a, "acme"), ledger(t, b, "acme")
		var m model
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			r := m.draw(t)
			m = append(m, r)
			fill(t, l, r)
			fill(t, made, r)
		}
		keys := dump(t, a, "acme\x00")
		delete(keys, "acme\x00p")
		key := rapid.SampledFrom(sortedKeys(keys)).Draw(t, "key")
		switch rapid.IntRange(0, 2).Draw(t, "harm") {
		case 0:
			ok(t, a.pebble.Set([]byte(key), append([]byte(keys[key]), 1), nil))
		case 1:
			ok(t, a.pebble.Delete([]byte(key), nil))
		case 2:
			ok(t, a.pebble.Set([]byte(key+"x"), []byte(keys[key]), nil))
		}
		if digestOf(t, l).Equal(digestOf(t, made)) {
			t.Fatalf("the digest does not show that %q was spoilt", key)
		}
		x, y := pin(t, l), pin(t, made)
		defer x.Close()
		defer y.Close()
		found, n, err := x.Differences(context.Background(), y, 10)
		ok(t, err)
		if n != 1 || len(found) != 1 || found[0].Key == "" || found[0].Live == found[0].Rebuilt {
			t.Fatalf("%q was spoilt: got %d differences: %+v", key, n, found)
		}
	})
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// TestFullDisk lets every write that makes tables or swaps fail in its turn. The live projection stays what it was.
func TestFullDisk(t *testing.T) {
	var full, after, n atomic.Int64
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		writes := op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpLink
		if full.Load() == 1 && writes && strings.HasPrefix(op.Path, "tables") && n.Add(1) > after.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	db := open(t, errorfs.Wrap(vfs.NewMem(), inject))
	defer db.Close()
	l := ledger(t, db, "acme")
	rapid.Check(t, func(t *rapid.T) {
		m := model{}.draw(t)
		if l.Position().Seq == 0 {
			fill(t, l, m)
		}
	})
	before := dump(t, db, "")
	failures := 0
	for i := range int64(100) {
		after.Store(i)
		n.Store(0)
		full.Store(1)
		err := tablesOf(l, db, "tables")
		full.Store(0)
		if err == nil {
			break
		}
		failures++
		if !errors.Is(err, domain.Unreachable) || !strings.Contains(err.Error(), "room") {
			t.Fatalf("failing at write %d: got %v, want Unreachable and a word of room", i, err)
		}
		if _, _, err := db.Kept("acme", "tables"); err == nil {
			t.Fatalf("failing at write %d left tables that count", i)
		}
		if err := l.Swap(t.Context(), db, "tables", new(Tail), l.Position(), true); err == nil {
			t.Fatalf("failing at write %d: half made tables were swapped in", i)
		}
		if now := dump(t, db, ""); !maps.Equal(before, now) {
			t.Fatalf("failing at write %d changed the live projection", i)
		}
	}
	if failures < 3 || failures == 100 {
		t.Fatalf("%d writes failed, want a few and then success", failures)
	}
	ok(t, l.Swap(t.Context(), db, "tables", new(Tail), l.Position(), true))
	if now := dump(t, db, ""); !maps.Equal(before, now) {
		t.Fatal("swapping for itself changed the projection")
	}
}

// fullFS says that its disk has no room.
type fullFS struct{ vfs.FS }

func (fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: mostReserve - 1}, nil
}

func TestNoRoom(t *testing.T) {
	db := open(t, fullFS{vfs.NewMem()})
	defer db.Close()
	err := db.Room("projections", 0)
	if !errors.Is(err, domain.Unavailable) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("got %v, want Unavailable and what to do", err)
	}
}

// TestCheckFiles flips a byte of a table.
func TestCheckFiles(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, fs)
	defer db.Close()
	l := ledger(t, db, "acme")
	fill(t, l, recorded{&domain.Event{Seq: 1, ID: "e", RecordedAt: 1, Actor: "user:a", RequestID: "r", Data: &domain.AccountReactivation{}}, nil})
	ok(t, db.pebble.Flush())
	tables, size, err := db.CheckFiles(t.Context())
	if err != nil || tables == 0 || size == 0 {
		t.Fatalf("a whole table: got %d tables, %d bytes, %v", tables, size, err)
	}
	names, err := fs.List("projections")
	ok(t, err)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := fs.OpenReadWrite("projections/"+name, vfs.WriteCategoryUnspecified)
		ok(t, err)
		var b [1]byte
		_, err = f.ReadAt(b[:], 10)
		ok(t, err)
		b[0] ^= 1
		_, err = f.WriteAt(b[:], 10)
		ok(t, errors.Join(err, f.Close()))
	}
	if _, _, err := db.CheckFiles(t.Context()); !errors.Is(err, domain.Integrity) || !strings.Contains(err.Error(), ".sst") {
		t.Fatalf("a flipped bit: got %v, want Integrity and the file's name", err)
	}
}
