package projections

// Random histories, committed, dropped, flushed, reopened and crashed at random, against the naive model.

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/permledger/permledger/domain"
)

// same compares every answer of r, which shows seq asOf, with the model's.
func same(t *rapid.T, m model, r domain.Reader, asOf domain.Seq) {
	t.Helper()
	if got := r.KnownAt(); got != asOf {
		t.Fatalf("KnownAt: got %d, want %d", got, asOf)
	}
	f := drawFact(t)
	for _, want := range append(m.facts(asOf), domain.Held{Fact: f, Version: m.fact(f, asOf)}) {
		got, err := r.Fact(want.Fact)
		ok(t, err)
		if !reflect.DeepEqual(got, want.Version) {
			t.Fatalf("as of %d, %+v:\n got %+v\nwant %+v", asOf, want.Fact, got, want.Version)
		}
	}
	for _, onObject := range []bool{false, true} {
		near, scan := f.Subject, r.FactsOf
		if onObject {
			near, scan = f.Object, r.FactsOn
		}
		if near == "" {
			continue
		}
		got, want := all(t, scan(f.Family, near)), m.near(f.Family, near, onObject, asOf)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("as of %d, family %c near %s (as object: %t):\n got %+v\nwant %+v", asOf, f.Family, near, onObject, got, want)
		}
	}
	if got, want := all(t, r.Named(f.Subject.Kind())), m.named(f.Subject.Kind(), asOf); !reflect.DeepEqual(got, want) {
		t.Fatalf("as of %d, named %s: got %v, want %v", asOf, f.Subject.Kind(), got, want)
	}
	seq := domain.Seq(rapid.IntRange(0, len(m)+1).Draw(t, "seq"))
	gotFact, gotOK, err := r.FactAt(seq)
	ok(t, err)
	if want, wantOK := m.factAt(seq, asOf); gotFact != want || gotOK != wantOK {
		t.Fatalf("as of %d, fact at %d: got %+v %t, want %+v %t", asOf, seq, gotFact, gotOK, want, wantOK)
	}
}

func TestRandomHistoriesReadAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		db := open(t, fs)
		defer func() { ok(t, db.Close()) }()
		l := ledger(t, db, "acme")
		var m model // every event applied; of these the first committed ones
		committed := domain.Seq(0)
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "events") {
					r := m.draw(t)
					m = append(m, r)
					ok(t, l.Head().stage(r.event, r.changes))
				}
			},
			"commit": func(t *rapid.T) {
				committed = domain.Seq(rapid.Uint64Range(uint64(committed), uint64(len(m))).Draw(t, "up to"))
				ok(t, l.Head().Commit(committed))
			},
			"drop": func(t *rapid.T) {
				l.Head().Drop()
				m = m[:committed]
			},
			"flush": func(t *rapid.T) { ok(t, db.pebble.Flush()) },
			"reopen": func(t *rapid.T) {
				ok(t, db.Close())
				db = open(t, fs)
				l = ledger(t, db, "acme")
				m = m[:committed]
			},
			"head": func(t *rapid.T) {
				same(t, m, l.Head(), domain.Seq(len(m)))
				id := "request-" + rapid.StringMatching(`[1-9][0-9]?`).Draw(t, "request")
				first, last, found, err := l.Head().Requested(id)
				ok(t, err)
				if f, la, fo := m.requested(id); f != first || la != last || fo != found {
					t.Fatalf("requested %s: got %d to %d %t, want %d to %d %t", id, first, last, found, f, la, fo)
				}
			},
			"": func(t *rapid.T) { // after each step: a view, and the ledger's own questions
				asOf := domain.Seq(rapid.Uint64Range(0, uint64(committed)).Draw(t, "as of"))
				v, err := l.At(asOf)
				ok(t, err)
				defer v.Close()
				same(t, m, v, asOf)
				f := drawFact(t)
				if got, want := all(t, v.Versions(f)), m.versions(f, asOf); !reflect.DeepEqual(got, want) {
					t.Fatalf("as of %d, versions of %+v:\n got %+v\nwant %+v", asOf, f, got, want)
				}

				known := m[:committed]
				about := rapid.SampledFrom(somebody).Draw(t, "about")
				after := domain.Seq(rapid.IntRange(0, len(m)).Draw(t, "after"))
				if got, want := all(t, l.History(about, after, asOf)), known.history(about, after, asOf); !reflect.DeepEqual(got, want) {
					t.Fatalf("history of %s after %d up to %d: got %v, want %v", about, after, asOf, got, want)
				}
				actor, newest := rapid.SampledFrom(somebody).Draw(t, "actor"), rapid.Bool().Draw(t, "newest first")
				did := known.deeds(actor, after, asOf)
				if newest {
					slices.Reverse(did)
				}
				if got := all(t, l.Deeds(actor, after, asOf, newest)); !slices.Equal(got, did) {
					t.Fatalf("what %s did after %d up to %d, newest first %t: got %v, want %v", actor, after, asOf, newest, got, did)
				}
				when := begin + domain.Instant(rapid.IntRange(-2, 2*len(m)+2).Draw(t, "when"))
				got, err := l.SeqAt(when)
				ok(t, err)
				if want := known.seqAt(when); got != want {
					t.Fatalf("seq at %d: got %d, want %d", when, got, want)
				}
				id := "request-" + rapid.StringMatching(`[1-9][0-9]?`).Draw(t, "request")
				first, last, found, err := l.Requested(id)
				ok(t, err)
				if f, la, fo := known.requested(id); f != first || la != last || fo != found {
					t.Fatalf("requested %s: got %d to %d %t, want %d to %d %t", id, first, last, found, f, la, fo)
				}
			},
		})
	})
}

// After a crash the database holds some prefix of the commits, and going on from its position leads where going on
// without a crash leads, to the byte.
func TestCrashLeavesAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m model
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			m = append(m, m.draw(t))
		}
		straight := func(upTo domain.Seq) map[string]string {
			db := open(t, vfs.NewMem())
			defer db.Close()
			l := ledger(t, db, "acme")
			ok(t, l.Bind(time.Unix(1, 0), true))
			fill(t, l, m[:upTo]...)
			return dump(t, db, "")
		}

		fs := vfs.NewCrashableMem()
		db := open(t, fs)
		l := ledger(t, db, "acme")
		ok(t, l.Bind(time.Unix(1, 0), true))
		for i := 0; i < len(m); {
			n := rapid.IntRange(1, len(m)-i).Draw(t, "in one commit")
			fill(t, l, m[i:i+n]...)
			i += n
			if rapid.IntRange(0, 3).Draw(t, "flush") == 0 {
				ok(t, db.pebble.Flush())
			}
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(t, "survives"),
			RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
		})
		ok(t, db.Close())

		db = open(t, crashed)
		defer func() { ok(t, db.Close()) }()
		l = ledger(t, db, "acme")
		p := l.Position()
		if p.Stream.IsZero() { // not even Bind survived
			if left := dump(t, db, ""); len(left) > 0 {
				t.Fatalf("after a crash: position %+v with %d keys, want none", p, len(left))
			}
			ok(t, l.Bind(time.Unix(1, 0), true))
		} else if got, want := dump(t, db, ""), straight(p.Seq); !reflect.DeepEqual(got, want) {
			t.Fatalf("after a crash at seq %d:\n got %q\nwant %q", p.Seq, got, want)
		}
		fill(t, l, m[p.Seq:]...)
		if got, want := dump(t, db, ""), straight(domain.Seq(len(m))); !reflect.DeepEqual(got, want) {
			t.Fatalf("after a crash at seq %d and going on:\n got %q\nwant %q", p.Seq, got, want)
		}
	})
}
