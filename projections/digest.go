package projections

// Comparing two projections of one organisation: a digest of each, which does not depend on the order or on how the
// database has laid things out, and, where the digests differ, the keys that do. Nothing here writes to a database.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// A Digest says what a projection holds: for each sort of key how many there are, and the sum, modulo 2^256, of the
// SHA-256 of each with its value. Equal projections have equal digests, in whatever order they are read. It is against
// faults, not against somebody who makes up keys to fit. The position is not in it: that is told beside it.
type Digest struct {
	Keys, Bytes int64 // of all sorts; bytes of keys and values
	Sorts       []SortDigest
}

// A SortDigest is about one sort of key.
type SortDigest struct {
	Sort string `json:"sort"` // in words
	Keys int64  `json:"keys"`
	Sum  string `json:"sum"` // in hexadecimal
}

// sorts are the sorts of key, in the order in which digests tell them.
var sorts = []struct {
	letter byte
	name   string
}{
	{keyFact, "versions of facts"}, {keyNamed, "first named"}, {keyBegan, "begun by an event"}, {keyTime, "times"},
	{keyDue, "due"}, {keyBound, "ever due"}, {keyDid, "deeds"}, {keyRequest, "requests"}, {keyDocument, "catalogues"},
}

// Equal tells whether both are of the same keys and values.
func (d Digest) Equal(other Digest) bool {
	if d.Keys != other.Keys || d.Bytes != other.Bytes || len(d.Sorts) != len(other.Sorts) {
		return false
	}
	for i := range d.Sorts {
		if d.Sorts[i] != other.Sorts[i] {
			return false
		}
	}
	return true
}

// digester adds keys up.
type digester struct {
	counts, bytes [256]int64
	sums          [256][4]uint64 // most significant first
	scratch       []byte
}

// add counts one key, which is given without the organisation's prefix.
func (d *digester) add(key, value []byte) {
	letter := key[0]
	d.counts[letter]++
	d.bytes[letter] += int64(len(key) + len(value))
	// The key's length goes first, so that no other split of the same bytes is the same.
	d.scratch = append(binary.AppendUvarint(d.scratch[:0], uint64(len(key))), key...)
	d.scratch = append(d.scratch, value...)
	h := sha256.Sum256(d.scratch)
	sum := &d.sums[letter]
	var carry uint64
	for i := 3; i >= 0; i-- {
		sum[i], carry = bits.Add64(sum[i], binary.BigEndian.Uint64(h[8*i:]), carry)
	}
}

// digest tells what was added up. A letter that no sort has is told by itself: it is damage, and must show.
func (d *digester) digest() Digest {
	var out Digest
	tell := func(letter byte, name string) {
		var sum [32]byte
		for i, part := range d.sums[letter] {
			binary.BigEndian.PutUint64(sum[8*i:], part)
		}
		out.Keys += d.counts[letter]
		out.Bytes += d.bytes[letter]
		out.Sorts = append(out.Sorts, SortDigest{Sort: name, Keys: d.counts[letter], Sum: hex.EncodeToString(sum[:])})
		d.counts[letter] = 0
	}
	for _, s := range sorts {
		tell(s.letter, s.name)
	}
	for letter, n := range d.counts {
		if n > 0 {
			tell(byte(letter), fmt.Sprintf("unknown (letter %#02x)", letter))
		}
	}
	return out
}

// A Pinned is a ledger's projection as it was committed at one moment, whatever is written afterwards. It is for one
// goroutine. It holds on to files that it reads, so it must be closed.
type Pinned struct {
	l        *Ledger
	it       *pebble.Iterator
	position Position
}

// Pin holds on to what is committed now.
func (l *Ledger) Pin() (*Pinned, error) {
	it, err := l.newIter(&pebble.IterOptions{LowerBound: l.keys.start, UpperBound: l.keys.end})
	if err != nil {
		return nil, failure(l.org, "open an iterator", err)
	}
	p := &Pinned{l: l, it: it}
	key := l.keys.position(nil)
	if it.SeekGE(key) && bytes.Equal(it.Key(), key) {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			p.position, err = readPosition(value)
		}
	} else {
		err = it.Error()
	}
	if err != nil {
		it.Close()
		return nil, failure(l.org, "read the position", err)
	}
	return p, nil
}

// Position is how far what is pinned goes.
func (p *Pinned) Position() Position { return p.position }

// Close lets go of what is pinned.
func (p *Pinned) Close() { p.it.Close() }

// step is how many keys are read between two looks at whether to go on.
const step = 1 << 14

// each goes through all keys but the position's, in their order, without the organisation's prefix. progress, if not nil,
// is told now and then how many there were.
func (p *Pinned) each(ctx context.Context, progress func(keys int64), do func(key, value []byte) error) error {
	n := int64(0)
	prefix := len(p.l.keys.start)
	for ok := p.it.First(); ok; ok = p.it.Next() {
		if n++; n%step == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if progress != nil {
				progress(n)
			}
		}
		key := p.it.Key()[prefix:]
		if len(key) == 0 {
			return failure(p.l.org, "read a key", errDamaged)
		}
		if key[0] == keyPosition {
			continue
		}
		value, err := p.it.ValueAndErr()
		if err != nil {
			return failure(p.l.org, "read a key", err)
		}
		if err := do(key, value); err != nil {
			return err
		}
	}
	if err := p.it.Error(); err != nil {
		return failure(p.l.org, "read all keys", err)
	}
	return nil
}

// Digest reads everything that is pinned and gives its digest. to, if not nil, gets all of it as well. progress, if not
// nil, is told now and then how many keys were read. Its error is to's, ctx's, or Integrity where something can't be read.
func (p *Pinned) Digest(ctx context.Context, to *Tables, progress func(keys int64)) (Digest, error) {
	var d digester
	err := p.each(ctx, progress, func(key, value []byte) error {
		d.add(key, value)
		if to == nil {
			return nil
		}
		return to.add(key, value)
	})
	return d.digest(), err
}

// A Difference is a key that two projections do not hold alike, in words.
type Difference struct {
	Sort    string     `json:"sort"`              // of key
	Key     string     `json:"key"`               // what it is about
	Seq     domain.Seq `json:"seq,omitempty"`     // the event that it came of, where the key says
	Live    string     `json:"live,omitempty"`    // what it says in the live projection; "" where it is not there
	Rebuilt string     `json:"rebuilt,omitempty"` // what it should say; "" where it should not be there
}

// Differences compares what is pinned with other, key by key, and gives the differences in the order of the keys: at most
// limit of them, and how many there are in all.
func (p *Pinned) Differences(ctx context.Context, rebuilt *Pinned, limit int) (found []Difference, n int64, err error) {
	mine, theirs := p.cursor(), rebuilt.cursor()
	for steps := 1; mine.ok || theirs.ok; steps++ {
		if steps%step == 0 && ctx.Err() != nil {
			return found, n, ctx.Err()
		}
		order := mine.compare(theirs)
		var live, want []byte
		var isLive, isWanted bool
		key := mine.key
		if order <= 0 {
			live, isLive = mine.value, true
		}
		if order >= 0 {
			key, want, isWanted = theirs.key, theirs.value, true
		}
		if order != 0 || !bytes.Equal(live, want) {
			if n++; len(found) < limit {
				found = append(found, difference(p.l.keys, key, live, isLive, want, isWanted))
			}
		}
		if order <= 0 {
			mine.next()
		}
		if order >= 0 {
			theirs.next()
		}
		if mine.err != nil || theirs.err != nil {
			break
		}
	}
	if mine.err != nil {
		return found, n, failure(p.l.org, "read all keys", mine.err)
	}
	if theirs.err != nil {
		return found, n, failure(p.l.org, "read all rebuilt keys", theirs.err)
	}
	return found, n, nil
}

// cursor stands on one key after another, but never on the position's.
type cursor struct {
	it         *pebble.Iterator
	prefix     int
	ok         bool
	key, value []byte // without the organisation's prefix
	err        error
}

func (p *Pinned) cursor() *cursor {
	c := &cursor{it: p.it, prefix: len(p.l.keys.start)}
	c.read(p.it.First())
	return c
}

func (c *cursor) next() { c.read(c.it.Next()) }

func (c *cursor) read(ok bool) {
	for ok && len(c.it.Key()) > c.prefix && c.it.Key()[c.prefix] == keyPosition {
		ok = c.it.Next()
	}
	if c.ok = ok; !ok {
		c.err = c.it.Error()
		return
	}
	c.key = c.it.Key()[c.prefix:]
	c.value, c.err = c.it.ValueAndErr()
}

// compare orders by key; what has no more keys comes last.
func (c *cursor) compare(other *cursor) int {
	switch {
	case !other.ok:
		return -1
	case !c.ok:
		return 1
	}
	return bytes.Compare(c.key, other.key)
}

// difference puts a key and its two values into words.
func difference(keys keyspace, key, live []byte, isLive bool, want []byte, isWanted bool) Difference {
	full := append(bytes.Clone(keys.start), key...)
	d := Difference{Sort: fmt.Sprintf("unknown (letter %#02x)", key[0])}
	for _, s := range sorts {
		if s.letter == key[0] {
			d.Sort = s.name
		}
	}
	d.Key, d.Seq = keys.describe(full)
	if isLive {
		d.Live = describeValue(key[0], d.Seq, live)
	}
	if isWanted {
		d.Rebuilt = describeValue(key[0], d.Seq, want)
	}
	return d
}
