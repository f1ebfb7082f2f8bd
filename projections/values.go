package projections

// What values hold, and how each is written and read. Reading trusts no byte: whatever a disk gives back, it returns
// a value or errDamaged, never panics and never allocates more than the value's own length accounts for.

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/permledger/permledger/domain"
)

// format is the number of the layout of keys and values. Projections follow from the log, so an older format is never
// converted: it is wiped and made again. Which facts are stored, and where, is part of it:
//
//	1  the first
//	2  what a grant id stands for lies near domain.GrantsRef too
//	3  a version says when it was recorded, and there is an index of what each actor did
//	4  there is an index of what is due
const format = 4

// errDamaged is a value that can't be read; who reads it says which one.
var errDamaged = errors.New("the value can't be decoded")

// Bits of an interval's first byte: what it says about what follows.
const (
	hasUntil     = 1 << iota // there is an end; without it: Forever
	hasEnded                 // an event ended it
	hasCorrected             // an event corrected it
	hasDetail
)

// appendVersion writes a version but for its seq, which its key has: the number of its intervals, then for each a byte of
// bits, From, Recorded and Until as distances from From, and the seqs as distances back from the version's own; and last
// when the version was recorded, as a distance from its newest interval's Recorded. Most are a byte or two.
func appendVersion(b []byte, v domain.Version) []byte {
	seq := v.Seq
	b = binary.AppendUvarint(b, uint64(len(v.Intervals)))
	var newest domain.Instant
	for _, iv := range v.Intervals {
		newest = iv.Recorded
		var bits byte
		if iv.Until != domain.Forever {
			bits |= hasUntil
		}
		if iv.Ended != 0 {
			bits |= hasEnded
		}
		if iv.Corrected != 0 {
			bits |= hasCorrected
		}
		if iv.Detail != "" {
			bits |= hasDetail
		}
		b = append(b, bits)
		b = binary.BigEndian.AppendUint64(b, uint64(iv.From))
		b = binary.AppendVarint(b, int64(iv.Recorded-iv.From))
		b = binary.AppendUvarint(b, uint64(seq-iv.Began))
		if bits&hasUntil != 0 {
			b = binary.AppendVarint(b, int64(iv.Until-iv.From))
		}
		if bits&hasEnded != 0 {
			b = binary.AppendUvarint(b, uint64(seq-iv.Ended))
		}
		if bits&hasCorrected != 0 {
			b = binary.AppendUvarint(b, uint64(seq-iv.Corrected))
		}
		if bits&hasDetail != 0 {
			b = binary.AppendUvarint(b, uint64(len(iv.Detail)))
			b = append(b, iv.Detail...)
		}
	}
	return binary.AppendVarint(b, int64(v.Recorded-newest))
}

// readVersion is the inverse of appendVersion.
func readVersion(value []byte, seq domain.Seq) (domain.Version, error) {
	r := decoder{rest: value}
	n := r.uvarint()
	if n > uint64(len(value))/10 { // the shortest interval has 11 bytes
		return domain.Version{}, errDamaged
	}
	v := domain.Version{Seq: seq, Intervals: make([]domain.Interval, n)}
	for i := range v.Intervals {
		iv := &v.Intervals[i]
		bits := r.byte()
		iv.From = domain.Instant(r.uint64())
		iv.Recorded = iv.From + domain.Instant(r.varint())
		iv.Began = seq - domain.Seq(r.uvarint())
		iv.Until = domain.Forever
		if bits&hasUntil != 0 {
			iv.Until = iv.From + domain.Instant(r.varint())
		}
		if bits&hasEnded != 0 {
			iv.Ended = seq - domain.Seq(r.uvarint())
		}
		if bits&hasCorrected != 0 {
			iv.Corrected = seq - domain.Seq(r.uvarint())
		}
		if bits&hasDetail != 0 {
			iv.Detail = r.text(r.uvarint())
		}
		v.Recorded = iv.Recorded
	}
	v.Recorded += domain.Instant(r.varint())
	if !r.done() {
		return domain.Version{}, errDamaged
	}
	return v, nil
}

// appendFact writes what FactAt gives.
func appendFact(b []byte, f domain.Fact) []byte {
	b = append(b, byte(f.Family))
	for _, part := range [...]string{string(f.Subject), string(f.Object), f.Name} {
		b = append(append(b, part...), 0)
	}
	return append(b, f.ID...)
}

func readFact(value []byte) (domain.Fact, error) {
	if len(value) == 0 {
		return domain.Fact{}, errDamaged
	}
	parts := strings.Split(string(value[1:]), "\x00")
	if len(parts) != 4 {
		return domain.Fact{}, errDamaged
	}
	return domain.Fact{
		Family:  domain.Family(value[0]),
		Subject: domain.Account(parts[0]), Object: domain.Account(parts[1]),
		Name: parts[2], ID: parts[3],
	}, nil
}

func appendSeq(b []byte, seq domain.Seq) []byte { return binary.AppendUvarint(b, uint64(seq)) }

func readSeq(value []byte) (domain.Seq, error) {
	r := decoder{rest: value}
	seq := domain.Seq(r.uvarint())
	if !r.done() {
		return 0, errDamaged
	}
	return seq, nil
}

// A request's value is its first seq and how many follow.
func appendRequest(b []byte, first, last domain.Seq) []byte {
	return appendSeq(appendSeq(b, first), last-first)
}

func readRequest(value []byte) (first, last domain.Seq, err error) {
	r := decoder{rest: value}
	first = domain.Seq(r.uvarint())
	last = first + domain.Seq(r.uvarint())
	if !r.done() {
		return 0, 0, errDamaged
	}
	return first, last, nil
}

// A due's value is one letter.
const (
	dueToBegin = 'b'
	dueToEnd   = 'e'
)

func appendDue(b []byte, d domain.Due) []byte {
	if d.Ended {
		return append(b, dueToEnd)
	}
	return append(b, dueToBegin)
}

// readDue reads a due off its key and value.
func (k keyspace) readDue(key, value []byte) (domain.Due, error) {
	at, seq, ok := k.dueOf(key)
	if !ok || len(value) != 1 || value[0] != dueToBegin && value[0] != dueToEnd {
		return domain.Due{}, errDamaged
	}
	return domain.Due{At: at, Of: seq, Ended: value[0] == dueToEnd}, nil
}

// Bits of a position's second byte.
const (
	isBuilding = 1 << iota
	hasStream
)

// appendPosition writes the format first: whatever a later format changes, its number stays there to be read.
func appendPosition(b []byte, p Position) []byte {
	var bits byte
	if p.Building {
		bits |= isBuilding
	}
	if !p.Stream.IsZero() {
		bits |= hasStream
	}
	b = append(b, format, bits)
	b = binary.AppendUvarint(b, uint64(p.Seq))
	b = binary.AppendVarint(b, int64(p.RecordedAt))
	if bits&hasStream != 0 {
		b = binary.AppendVarint(b, p.Stream.UnixNano())
	}
	return append(b, p.EventID...)
}

// readPosition reads what appendPosition wrote in this format or an older one, which all have the same position; the caller
// has refused others.
func readPosition(value []byte) (Position, error) {
	r := decoder{rest: value}
	outdated := r.byte() < format
	bits := r.byte()
	p := Position{Building: bits&isBuilding != 0, Outdated: outdated}
	p.Seq = domain.Seq(r.uvarint())
	p.RecordedAt = domain.Instant(r.varint())
	if bits&hasStream != 0 {
		p.Stream = time.Unix(0, r.varint()).UTC()
	}
	p.EventID = domain.EventID(r.text(uint64(len(r.rest))))
	if !r.done() {
		return Position{}, errDamaged
	}
	return p, nil
}

// decoder takes a value apart from its front. After the first thing that is not there everything reads as zero, and
// done tells.
type decoder struct {
	rest   []byte
	failed bool
}

// done tells whether everything was there and nothing is left.
func (d *decoder) done() bool { return !d.failed && len(d.rest) == 0 }

func (d *decoder) fail() { d.rest, d.failed = nil, true }

func (d *decoder) byte() byte {
	if len(d.rest) < 1 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uint64() uint64 {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	u := binary.BigEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return u
}

func (d *decoder) uvarint() uint64 {
	u, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return u
}

func (d *decoder) varint() int64 {
	i, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return i
}

func (d *decoder) text(n uint64) string {
	if uint64(len(d.rest)) < n {
		d.fail()
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
