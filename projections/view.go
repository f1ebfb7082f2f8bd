package projections

// Reading facts as known at a seq: the one way in which a View and, beneath what it has staged, the Head read the
// database. Nothing here writes.

import (
	"bytes"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// A View shows a ledger as known at one seq. It is for one goroutine and must be closed. It implements domain.Reader.
// What it gives may be shared: never modify a version's intervals.
type View struct {
	reader
	newest domain.Seq // its iterators may not show later ones
}

var _ domain.Reader = (*View)(nil)

// At gives the ledger as known at seq; 0 is before the first event. It fails with domain.Incomplete where seq is not
// applied yet. The past costs what the present costs.
func (l *Ledger) At(seq domain.Seq) (*View, error) {
	s := l.state.Load()
	if seq > s.Seq {
		return nil, incomplete(l.org, seq, s.Seq)
	}
	return &View{reader{l: l, generation: s.generation, asOf: seq}, s.Seq}, nil
}

// MoveTo shows the ledger as known at another seq from here on, at or before the one that was the newest when the view was
// made: to go through events one by one without opening anything for each.
func (v *View) MoveTo(seq domain.Seq) error {
	if seq > v.newest {
		return incomplete(v.l.org, seq, v.newest)
	}
	v.asOf = seq
	return nil
}

// Close lets go of what the view holds of the database. Closing twice is harmless.
func (v *View) Close() { v.rest() }

// KnownAt implements domain.Reader.
func (v *View) KnownAt() domain.Seq { return v.asOf }

// Fact implements domain.Reader. It reads one key.
func (v *View) Fact(f domain.Fact) (domain.Version, error) { return v.fact(f) }

// FactsOf implements domain.Reader. It costs what lies there.
func (v *View) FactsOf(family domain.Family, subject domain.Account) iter.Seq2[domain.Held, error] {
	return v.facts(family, subject, false)
}

// FactsOn implements domain.Reader. It costs what lies there.
func (v *View) FactsOn(family domain.Family, object domain.Account) iter.Seq2[domain.Held, error] {
	return v.facts(family, object, true)
}

// Versions gives every version of one fact that the view knows, oldest first. It costs what there are.
func (v *View) Versions(f domain.Fact) iter.Seq2[domain.Version, error] { return v.versions(f) }

// Named implements domain.Reader.
func (v *View) Named(kind domain.Kind) iter.Seq2[domain.Resource, error] { return v.named(kind) }

// FactAt implements domain.Reader.
func (v *View) FactAt(seq domain.Seq) (domain.Fact, bool, error) { return v.factAt(seq) }

// Catalogue implements domain.Reader.
func (v *View) Catalogue(seq domain.Seq) (*domain.Catalogue, error) {
	if seq > v.asOf {
		return nil, noCatalogue(v.l.org, seq)
	}
	return v.l.catalogue(seq)
}

// reader reads the database as known at asOf, which must be applied.
//
// It opens an iterator when it first reads and keeps it for the next read. A scan hands facts out while it goes on, and
// whoever gets one may read others before the next: each read in progress has an iterator to itself, the idle ones wait in
// free. They need not see the same state of the database, because a version known at asOf is never changed or removed;
// but for a wipe, which the generation tells.
type reader struct {
	l          *Ledger
	generation int
	asOf       domain.Seq
	free       []*pebble.Iterator
	key        []byte // scratch of point reads
}

// take gives an iterator over the ledger's keys; put gives it back.
func (r *reader) take() (*pebble.Iterator, error) {
	if n := len(r.free); n > 0 {
		it := r.free[n-1]
		r.free = r.free[:n-1]
		return it, nil
	}
	it, err := r.l.newIter(&pebble.IterOptions{
		LowerBound: r.l.keys.start,
		UpperBound: r.l.keys.end,
		// The lowest level holds nearly everything, and half of what a decision looks up never was.
		UseL6Filters: true,
	})
	if err != nil {
		return nil, failure(r.l.org, "open an iterator", err)
	}
	// A wipe counts first and removes after, so an unchanged count, read after opening, means that nothing is missing.
	if r.l.state.Load().generation != r.generation {
		it.Close()
		return nil, domain.Errorf(domain.Incomplete, "wiped",
			"projections of %s: they were wiped while they were being read: ask again when they are rebuilt", r.l.org)
	}
	return it, nil
}

func (r *reader) put(it *pebble.Iterator) { r.free = append(r.free, it) }

// rest closes the idle iterators.
func (r *reader) rest() {
	for _, it := range r.free {
		it.Close() // its error was returned by the read that met it
	}
	r.free = r.free[:0]
}

// fact reads the newest version that asOf knows.
func (r *reader) fact(f domain.Fact) (domain.Version, error) {
	it, err := r.take()
	if err != nil {
		return domain.Version{}, err
	}
	defer r.put(it)
	r.key = r.l.keys.fact(r.key[:0], f, false)
	r.key = appendSuffix(r.key, r.asOf)
	if !it.SeekPrefixGE(r.key) {
		if err := it.Error(); err != nil {
			return domain.Version{}, failure(r.l.org, "read a fact of "+string(f.Subject), err)
		}
		return domain.Version{}, nil
	}
	v, err := versionAt(it)
	if err != nil {
		return domain.Version{}, failure(r.l.org, "read a fact of "+string(f.Subject), err)
	}
	return v, nil
}

func versionAt(it *pebble.Iterator) (domain.Version, error) {
	seq, ok := seqOf(it.Key())
	if !ok {
		return domain.Version{}, errDamaged
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return domain.Version{}, err
	}
	return readVersion(value, seq)
}

// versions goes through a fact's versions up to asOf. The oldest lies last.
func (r *reader) versions(f domain.Fact) iter.Seq2[domain.Version, error] {
	return func(yield func(domain.Version, error) bool) {
		it, err := r.take()
		if err != nil {
			yield(domain.Version{}, err)
			return
		}
		defer r.put(it)
		fail := func(err error) {
			yield(domain.Version{}, failure(r.l.org, "read the versions of a fact of "+string(f.Subject), err))
		}
		prefix := r.l.keys.fact(nil, f, false)
		for ok := it.SeekLT(comparer.ImmediateSuccessor(nil, prefix)); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Prev() {
			v, err := versionAt(it)
			if err != nil {
				fail(err)
				return
			}
			if v.Seq > r.asOf || !yield(v, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			fail(err)
		}
	}
}

// facts goes through the facts of a family near one account, each in the newest version that asOf knows.
func (r *reader) facts(family domain.Family, near domain.Account, onObject bool) iter.Seq2[domain.Held, error] {
	return func(yield func(domain.Held, error) bool) {
		it, err := r.take()
		if err != nil {
			yield(domain.Held{}, err)
			return
		}
		defer r.put(it)
		fail := func(err error) { yield(domain.Held{}, failure(r.l.org, "read the facts of "+string(near), err)) }
		prefix := r.l.keys.factsNear(nil, family, near, onObject)
		var seek []byte
		ok := it.SeekGE(prefix)
		for ok && bytes.HasPrefix(it.Key(), prefix) {
			key := it.Key()
			n := split(key)
			seq, isVersion := seqOf(key)
			if !isVersion || n < len(prefix) {
				fail(errDamaged)
				return
			}
			if seq > r.asOf {
				// This version and perhaps others are too new: on to the one that asOf knows, or, the fact having begun
				// later, to the next fact.
				seek = appendSuffix(append(seek[:0], key[:n]...), r.asOf)
				ok = it.SeekGE(seek)
				continue
			}
			f, isFact := factFrom(key[len(prefix):n], family, near, onObject)
			if !isFact {
				fail(errDamaged)
				return
			}
			v, err := versionAt(it)
			if err != nil {
				fail(err)
				return
			}
			if !yield(domain.Held{Fact: f, Version: v}, nil) {
				return
			}
			ok = it.NextPrefix()
		}
		if err := it.Error(); err != nil {
			fail(err)
		}
	}
}

// named goes through what of a kind asOf knows.
func (r *reader) named(kind domain.Kind) iter.Seq2[domain.Resource, error] {
	return func(yield func(domain.Resource, error) bool) {
		it, err := r.take()
		if err != nil {
			yield("", err)
			return
		}
		defer r.put(it)
		prefix := r.l.keys.named(nil, kind, "")
		for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				yield("", failure(r.l.org, "list "+string(kind), err))
				return
			}
			first, err := readSeq(value)
			if err != nil {
				yield("", failure(r.l.org, "list "+string(kind), err))
				return
			}
			if first > r.asOf {
				continue
			}
			if !yield(domain.Resource(string(kind)+":"+string(it.Key()[len(prefix):])), nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield("", failure(r.l.org, "list "+string(kind), err))
		}
	}
}

func (r *reader) factAt(seq domain.Seq) (f domain.Fact, ok bool, err error) {
	if seq > r.asOf {
		return domain.Fact{}, false, nil
	}
	r.key = r.l.keys.seq(r.key[:0], keyBegan, seq)
	ok, err = r.get(r.key, func(value []byte) (err error) { f, err = readFact(value); return err })
	return f, ok, err
}

// get reads a key that has no versions; ok is false where there is none.
func (r *reader) get(key []byte, read func(value []byte) error) (ok bool, err error) {
	it, err := r.take()
	if err != nil {
		return false, err
	}
	defer r.put(it)
	ok = it.SeekPrefixGE(key)
	if ok {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = read(value)
		}
	} else {
		err = it.Error()
	}
	if err != nil {
		return false, failure(r.l.org, "read a key", err)
	}
	return ok, nil
}
