package projections

// Where everything lies: the one place that knows how a key is built, and how Pebble is to split it. It never reads or
// writes the database; what a value holds is in values.go.
//
// Every key of an organisation begins with its name and a zero byte, so that organisations share a database and one
// is wiped by one range deletion. No name, id, role, action or token can contain a zero byte (domain parses them), so
// a zero byte ends each part that has another behind it and no key's part can run into the next. Then comes a letter:
//
//	a  near 00 F far 00 name 00 id 00 ^seq      a version of a fact; see below
//	n  kind 00 id                               the account or registered resource was; value: the seq it first was
//	q  seq                                      value: the fact that the event at seq began
//	t  time                                     value: the first seq recorded at that time
//	w  time seq                                 the fact that the event at seq began is due then, and no notice was taken
//	                                            yet; value: what it is due to do, a letter of values.go
//	b  time seq letter                          what the fact that the event at seq began was once due to do then, a letter
//	                                            of values.go; no value
//	d  actor 00 seq                             the actor did the event at seq; no value
//	i  request id                               value: the first and last seq recorded for that request
//	y  seq                                      value: the catalogue document that the event at seq adopted
//	p                                           value: the position (values.go)
//
// A seq is eight bytes, the most significant first; ^seq is its complement, so that of a fact's versions the newest
// comes first. A time is eight bytes as well, its sign bit flipped so that times before 1970 sort before later ones.
//
// A fact lies twice where it has an object: near its subject, F being its family's letter, and near its object, F
// being that letter in upper case and far the subject. So all that is about one principal lies under one prefix, all
// about one protected account under another, and each is one seek from there, of whichever family. Both carry the
// whole value: what lies with an object is read as often as what lies with a subject, and a second lookup for each
// would cost more than the bytes do.
//
// A key's prefix, in Pebble's sense, is the fact, and its suffix the eight bytes of ^seq. Bloom filters are made of
// prefixes, so a lookup of a fact that never was is answered without reading a block, whatever the moment it asks
// about: seeking prefix+^S finds the newest version that S knew. Nothing but a fact has a suffix.
//
// Letters and layouts are stored: a change of meaning needs a new format number (values.go) and a rebuild.

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

const (
	keyFact     = 'a'
	keyNamed    = 'n'
	keyBegan    = 'q'
	keyTime     = 't'
	keyDue      = 'w'
	keyBound    = 'b'
	keyDid      = 'd'
	keyRequest  = 'i'
	keyDocument = 'y'
	keyPosition = 'p'
)

// suffixLen is the length of a version's ^seq.
const suffixLen = 8

// comparer orders keys as bytes and splits a version's ^seq off. Its name is stored with the database: another order or
// split needs another name. Separators are left whole: index blocks are prefix-compressed, so that shortening them saves
// next to nothing, and a shortened key could be split where no seq is.
var comparer = &pebble.Comparer{
	Name:                 "permledger.fact-seq.1",
	Compare:              bytes.Compare,
	Equal:                bytes.Equal,
	ComparePointSuffixes: bytes.Compare,
	CompareRangeSuffixes: bytes.Compare,
	AbbreviatedKey:       pebble.DefaultComparer.AbbreviatedKey,
	FormatKey:            pebble.DefaultComparer.FormatKey,
	Separator:            func(dst, a, _ []byte) []byte { return append(dst, a...) },
	Successor:            func(dst, a []byte) []byte { return append(dst, a...) },
	ImmediateSuccessor:   successor,
	Split:                split,
}

// successor appends the smallest prefix after a. What follows a fact's last zero byte is a ^seq only, so for a fact it
// must lie beyond those: the byte one higher, which no key has, does.
func successor(dst, a []byte) []byte {
	dst = append(dst, a...)
	if n := len(dst) - 1; len(a) > 0 && dst[n] == 0 {
		dst[n] = 1
		return dst
	}
	return append(dst, 0)
}

// split gives the length of the key's prefix. A version is told by the zero byte that ends the fact's id and by the high
// bit of ^seq (seqs are below 2^63); every other key has a letter, a digit or a name's character at one of the two places.
func split(key []byte) int {
	n := len(key) - suffixLen
	if n < 1 || key[n-1] != 0 || key[n] < 0x80 {
		return len(key)
	}
	return n
}

// keyspace is an organisation's part of the database.
type keyspace struct {
	start, end []byte // of its keys: start is their common prefix
}

func keyspaceOf(org domain.Org) keyspace {
	return keyspace{start: append([]byte(org), 0), end: append([]byte(org), 1)}
}

// fact appends the fact's prefix, as it lies near its subject or, onObject, near its object.
func (k keyspace) fact(b []byte, f domain.Fact, onObject bool) []byte {
	near, far := f.Subject, f.Object
	if onObject {
		near, far = far, near
	}
	b = k.factsNear(b, f.Family, near, onObject)
	b = append(append(b, far...), 0)
	b = append(append(b, f.Name...), 0)
	return append(append(b, f.ID...), 0)
}

// factsNear appends what the keys of a family's facts near one account have in common.
func (k keyspace) factsNear(b []byte, family domain.Family, near domain.Account, onObject bool) []byte {
	b = k.about(b, near)
	if onObject {
		return append(b, byte(family)&^0x20)
	}
	return append(b, byte(family))
}

// about appends what the keys of everything near one account have in common.
func (k keyspace) about(b []byte, near domain.Account) []byte {
	b = append(append(b, k.start...), keyFact)
	return append(append(b, near...), 0)
}

func appendSuffix(b []byte, seq domain.Seq) []byte {
	return binary.BigEndian.AppendUint64(b, ^uint64(seq))
}

// seqOf reads the seq off a version's key; ok is false where the key is none.
func seqOf(key []byte) (seq domain.Seq, ok bool) {
	n := split(key)
	if n == len(key) {
		return 0, false
	}
	return domain.Seq(^binary.BigEndian.Uint64(key[n:])), true
}

// factFrom reads a fact off a version's key, of which near and before it is known: rest is what lies between factsNear
// and the suffix. It allocates once.
func factFrom(rest []byte, family domain.Family, near domain.Account, onObject bool) (domain.Fact, bool) {
	far, more, ok1 := strings.Cut(string(rest), "\x00")
	name, more, ok2 := strings.Cut(more, "\x00")
	id, more, ok3 := strings.Cut(more, "\x00")
	if !ok1 || !ok2 || !ok3 || more != "" {
		return domain.Fact{}, false
	}
	f := domain.Fact{Family: family, Subject: near, Object: domain.Account(far), Name: name, ID: id}
	if onObject {
		f.Subject, f.Object = f.Object, f.Subject
	}
	return f, true
}

func (k keyspace) named(b []byte, kind domain.Kind, id string) []byte {
	b = append(append(b, k.start...), keyNamed)
	b = append(append(b, kind...), 0)
	return append(b, id...)
}

func (k keyspace) seq(b []byte, letter byte, seq domain.Seq) []byte {
	b = append(append(b, k.start...), letter)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

func (k keyspace) time(b []byte, t domain.Instant) []byte {
	b = append(append(b, k.start...), keyTime)
	return binary.BigEndian.AppendUint64(b, uint64(t)^1<<63)
}

// due appends the key of a due, or with seq 0 what lies before all dues of the moment.
func (k keyspace) due(b []byte, at domain.Instant, seq domain.Seq) []byte {
	b = append(append(b, k.start...), keyDue)
	b = binary.BigEndian.AppendUint64(b, uint64(at)^1<<63)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

// dueOf reads moment and seq off a key that due made; ok is false where it did not.
func (k keyspace) dueOf(key []byte) (at domain.Instant, seq domain.Seq, ok bool) {
	rest := key[min(len(key), len(k.start)+1):]
	if len(rest) != 16 {
		return 0, 0, false
	}
	return domain.Instant(binary.BigEndian.Uint64(rest) ^ 1<<63), domain.Seq(binary.BigEndian.Uint64(rest[8:])), true
}

// bound appends the key under which a due stays known, or with seq 0 what lies before all of the moment.
func (k keyspace) bound(b []byte, at domain.Instant, seq domain.Seq) []byte {
	n := len(b)
	b = k.due(b, at, seq)
	b[n+len(k.start)] = keyBound
	return b
}

func (k keyspace) did(b []byte, actor domain.Account, seq domain.Seq) []byte {
	b = append(append(b, k.start...), keyDid)
	b = append(append(b, actor...), 0)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

// deedOf reads the seq off a key that did made, with the actor that other has; ok is false where it did not.
func deedOf(key, other []byte) (seq domain.Seq, ok bool) {
	if len(key) != len(other) {
		return 0, false
	}
	return domain.Seq(binary.BigEndian.Uint64(key[len(key)-8:])), true
}

func (k keyspace) request(b []byte, id string) []byte {
	return append(append(append(b, k.start...), keyRequest), id...)
}

func (k keyspace) position(b []byte) []byte {
	return append(append(b, k.start...), keyPosition)
}
