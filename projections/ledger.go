package projections

// A Ledger is one organisation's projections: how far they go, and the questions that are about the log's order rather
// than about a fact. It writes nothing but the position's frame and Wipe; facts are written by its Head.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// Position says how far projections go and what they were made from. The zero Position is of empty ones.
type Position struct {
	Seq        domain.Seq     // of the last event applied
	EventID    domain.EventID // its id, to be found again in the log
	RecordedAt domain.Instant // its time
	Stream     time.Time      // when the stream that they were made from was created; zero: not yet said
	Building   bool           // an import or rebuild is under way, so they are not to be asked or continued as they are
	Outdated   bool           // an older program wrote them, in a format without all that this one asks for: wipe them
}

// A Ledger is safe for use by any goroutine, but Bind and Wipe are its writer's: whoever uses its Head.
type Ledger struct {
	db   *pebble.DB
	org  domain.Org
	keys keyspace
	head *Head

	state atomic.Pointer[state]

	swapping sync.RWMutex // held while the content is swapped: see newIter and swap.go
	tail     *Tail        // nil but where one is kept: see KeepTail

	mu         sync.Mutex // guards catalogues
	catalogues map[domain.Seq]*domain.Catalogue

	onward atomic.Pointer[chan struct{}] // closed at the next commit; nil while nobody waits for one

	awaited atomic.Int64  // the due that whoever asked NextDue knows of, a domain.Instant
	sooner  chan struct{} // holds a value when an earlier one was committed since
}

// state is the position, and how often the ledger was wiped: what a reader of an earlier generation finds is not what it
// was opened on.
type state struct {
	Position
	generation int
}

func openLedger(db *pebble.DB, org domain.Org) (*Ledger, error) {
	l := &Ledger{db: db, org: org, keys: keyspaceOf(org), catalogues: make(map[domain.Seq]*domain.Catalogue), sooner: make(chan struct{}, 1)}
	p, err := l.readPosition()
	if err != nil {
		return nil, err
	}
	l.state.Store(&state{Position: p})
	l.head = newHead(l)
	return l, nil
}

// newIter opens an iterator, and get reads a key, at no moment between the steps of a swap.
func (l *Ledger) newIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	l.swapping.RLock()
	defer l.swapping.RUnlock()
	return l.db.NewIter(o)
}

func (l *Ledger) get(key []byte) ([]byte, io.Closer, error) {
	l.swapping.RLock()
	defer l.swapping.RUnlock()
	return l.db.Get(key)
}

func (l *Ledger) readPosition() (Position, error) {
	value, closer, err := l.get(l.keys.position(nil))
	if errors.Is(err, pebble.ErrNotFound) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, failure(l.org, "read the position", err)
	}
	defer closer.Close()
	if len(value) > 0 && (value[0] == 0 || value[0] > format) {
		return Position{}, domain.Errorf(domain.Integrity, "projections_format",
			"projections of %s are in format %d, this program reads up to %d: run the newer program that wrote them, or rebuild them from the log", l.org, value[0], format)
	}
	p, err := readPosition(value)
	if err != nil {
		return Position{}, failure(l.org, "read the position", err)
	}
	return p, nil
}

// Position says how far the projections go. It costs nothing.
func (l *Ledger) Position() Position { return l.state.Load().Position }

// Await returns when the position is after seq, or with the error of ctx. Whoever waits costs a commit one closed channel,
// however many they are.
func (l *Ledger) Await(ctx context.Context, seq domain.Seq) error {
	for l.Position().Seq <= seq {
		ch := l.onward.Load()
		if ch == nil {
			fresh := make(chan struct{})
			if ch = &fresh; !l.onward.CompareAndSwap(nil, ch) {
				continue
			}
		}
		if l.Position().Seq > seq { // committed before the channel was there to be closed
			return nil
		}
		select {
		case <-*ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// commitHappened wakes whoever awaits one.
func (l *Ledger) commitHappened() {
	if ch := l.onward.Swap(nil); ch != nil {
		close(*ch)
	}
}

// Bind says which stream the projections are made from, by the time of its creation, and whether they are still being
// built. Like all else it is kept in order: no later commit survives a crash that this does not.
func (l *Ledger) Bind(stream time.Time, building bool) error {
	s := *l.state.Load()
	s.Stream, s.Building = stream.UTC(), building
	if err := l.db.Set(l.keys.position(nil), appendPosition(nil, s.Position), pebble.NoSync); err != nil {
		return failure(l.org, "write the position", err)
	}
	l.state.Store(&s)
	return nil
}

// Wipe forgets everything of this organisation, what its Head has staged as well, for a rebuild or after an import that
// was given up. Views that are open fail from here on. If it fails itself, it is to be called again before anything is
// applied.
func (l *Ledger) Wipe() error {
	l.mu.Lock()
	l.state.Store(&state{generation: l.state.Load().generation + 1}) // before anything is gone: see reader.take
	clear(l.catalogues)
	l.mu.Unlock()
	l.head.restart()
	if err := l.db.DeleteRange(l.keys.start, l.keys.end, pebble.NoSync); err != nil {
		return failure(l.org, "wipe", err)
	}
	return nil
}

// Head gives the writer's view, always the same one.
func (l *Ledger) Head() *Head { return l.head }

// SeqAt gives the seq of the newest event recorded at or before t, 0 where there is none. Of several recorded at the same
// time it is the last.
func (l *Ledger) SeqAt(t domain.Instant) (domain.Seq, error) {
	p := l.Position()
	if p.Seq == 0 || t >= p.RecordedAt {
		return p.Seq, nil
	}
	it, err := l.newIter(&pebble.IterOptions{
		LowerBound: l.keys.time(nil, t+1),
		UpperBound: l.keys.time(nil, domain.Forever),
	})
	if err != nil {
		return 0, failure(l.org, "look up a time", err)
	}
	defer it.Close()
	// An event after t exists, the one at the position, so the first time after t is there and one before it is the answer.
	if !it.First() {
		if err := it.Error(); err != nil {
			return 0, failure(l.org, "look up a time", err)
		}
		return 0, failure(l.org, "look up the time "+t.String(), errDamaged)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, failure(l.org, "look up a time", err)
	}
	next, err := readSeq(value)
	if err != nil || next == 0 {
		return 0, failure(l.org, "look up the time "+t.String(), errors.Join(err, errDamaged))
	}
	return next - 1, nil
}

// History gives the seq of every event about the account that lies after after and not after upTo, ascending, each once:
// every event that made, changed or ended a fact of which the account is either side. It reads keys only, as many as
// there are versions about the account. It fails with domain.Incomplete where upTo is not applied yet.
func (l *Ledger) History(about domain.Account, after, upTo domain.Seq) iter.Seq2[domain.Seq, error] {
	return func(yield func(domain.Seq, error) bool) {
		seqs, err := l.history(about, after, upTo)
		if err != nil {
			yield(0, err)
			return
		}
		for _, seq := range seqs {
			if !yield(seq, nil) {
				return
			}
		}
	}
}

func (l *Ledger) history(about domain.Account, after, upTo domain.Seq) ([]domain.Seq, error) {
	if p := l.Position(); upTo > p.Seq {
		return nil, incomplete(l.org, upTo, p.Seq)
	}
	prefix := l.keys.about(nil, about)
	it, err := l.newIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(bytes.Clone(prefix), 0xff)})
	if err != nil {
		return nil, failure(l.org, "read the history of "+string(about), err)
	}
	defer it.Close()
	var seqs []domain.Seq
	for ok := it.First(); ok; ok = it.Next() {
		seq, ok := seqOf(it.Key())
		if !ok {
			return nil, failure(l.org, "read the history of "+string(about), errDamaged)
		}
		if after < seq && seq <= upTo {
			seqs = append(seqs, seq)
		}
	}
	if err := it.Error(); err != nil {
		return nil, failure(l.org, "read the history of "+string(about), err)
	}
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// Deeds gives the seq of every event that the actor recorded after after and not after upTo, oldest or newest first. It
// reads keys only, those that it gives. It fails with domain.Incomplete where upTo is not applied yet.
func (l *Ledger) Deeds(actor domain.Account, after, upTo domain.Seq, newest bool) iter.Seq2[domain.Seq, error] {
	return func(yield func(domain.Seq, error) bool) {
		if p := l.Position(); upTo > p.Seq {
			yield(0, incomplete(l.org, upTo, p.Seq))
			return
		}
		start := l.keys.did(nil, actor, after+1)
		it, err := l.newIter(&pebble.IterOptions{
			LowerBound: start,
			UpperBound: l.keys.did(nil, actor, max(after, upTo)+1),
		})
		if err != nil {
			yield(0, failure(l.org, "read what "+string(actor)+" did", err))
			return
		}
		defer it.Close()
		first, next := it.First, it.Next
		if newest {
			first, next = it.Last, it.Prev
		}
		for ok := first(); ok; ok = next() {
			seq, ok := deedOf(it.Key(), start)
			if !ok {
				yield(0, failure(l.org, "read what "+string(actor)+" did", errDamaged))
				return
			}
			if !yield(seq, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(0, failure(l.org, "read what "+string(actor)+" did", err))
		}
	}
}

// due yields what is committed as due at or before until and was not noticed, by time and then by seq.
func (l *Ledger) due(until domain.Instant) iter.Seq2[domain.Due, error] {
	after := min(until, domain.Forever-1) + 1 // nothing is due at Forever
	return l.dues(l.keys.due(nil, math.MinInt64, 0), l.keys.due(nil, after, 0), func(it *pebble.Iterator) (domain.Due, error) {
		value, err := it.ValueAndErr()
		if err != nil {
			return domain.Due{}, err
		}
		return l.keys.readDue(it.Key(), value)
	})
}

// Dues yields what was ever due after one moment and not after another, noticed or not, by time and then by seq. Whether it
// is so by what was known at a seq is not said: domain.Passed tells.
func (l *Ledger) Dues(after, upTo domain.Instant) iter.Seq2[domain.Due, error] {
	if after >= upTo {
		return func(func(domain.Due, error) bool) {}
	}
	upTo = min(upTo, domain.Forever-1) // nothing is due at Forever
	return l.dues(l.keys.bound(nil, after+1, 0), l.keys.bound(nil, upTo+1, 0), func(it *pebble.Iterator) (domain.Due, error) {
		key := it.Key()
		last := max(len(key)-1, 0)
		return l.keys.readDue(key[:last], key[last:])
	})
}

// dues yields what read makes of the keys between two.
func (l *Ledger) dues(lower, upper []byte, read func(*pebble.Iterator) (domain.Due, error)) iter.Seq2[domain.Due, error] {
	return func(yield func(domain.Due, error) bool) {
		it, err := l.newIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(domain.Due{}, failure(l.org, "read what is due", err))
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			d, err := read(it)
			if err != nil {
				yield(domain.Due{}, failure(l.org, "read what is due", err))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(domain.Due{}, failure(l.org, "read what is due", err))
		}
	}
}

// NextDue gives the earliest moment at which something is due that was not noticed, past or to come; ok is false where
// nothing is. It is for one goroutine, which waits for that moment and for Sooner.
func (l *Ledger) NextDue() (at domain.Instant, ok bool, err error) {
	// While it is read, whatever is committed counts as earlier: so none slips in between reading and saying so.
	l.awaited.Store(int64(domain.Forever))
	for d, err := range l.due(domain.Forever) {
		if err != nil {
			return 0, false, err
		}
		l.awaited.Store(int64(d.At))
		return d.At, true, nil
	}
	return 0, false, nil
}

// Sooner gives a value when something was committed that is due before what NextDue gave, or may have been.
func (l *Ledger) Sooner() <-chan struct{} { return l.sooner }

// announce tells whoever waits for what is due of what was committed.
func (l *Ledger) announce(committed []stagedEvent) {
	awaited := domain.Instant(l.awaited.Load())
	for _, e := range committed {
		for _, d := range e.dues {
			if d.Pending && d.Due.At < awaited {
				select {
				case l.sooner <- struct{}{}:
				default: // it was told already, and will look
				}
				return
			}
		}
	}
}

// Requested gives the first and last seq that were recorded under a caller's own request id, as far as they are applied;
// ok is false where none were.
func (l *Ledger) Requested(id string) (first, last domain.Seq, ok bool, err error) {
	value, closer, err := l.get(l.keys.request(nil, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, failure(l.org, "look up a request", err)
	}
	defer closer.Close()
	first, last, err = readRequest(value)
	if err != nil {
		return 0, 0, false, failure(l.org, "look up a request", err)
	}
	return first, last, true, nil
}

// catalogue parses the document that the event at seq adopted, once.
func (l *Ledger) catalogue(seq domain.Seq) (*domain.Catalogue, error) {
	l.mu.Lock() // held while parsing: whoever comes second would only parse the same again
	defer l.mu.Unlock()
	if c, ok := l.catalogues[seq]; ok {
		return c, nil
	}
	document, closer, err := l.get(l.keys.seq(nil, keyDocument, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, noCatalogue(l.org, seq)
	}
	if err != nil {
		return nil, failure(l.org, "read a catalogue", err)
	}
	defer closer.Close()
	c, err := domain.ParseCatalogue(bytes.Clone(document))
	if err != nil {
		return nil, domain.Errorf(domain.Integrity, "projections_damaged",
			"projections of %s: the catalogue that the event at seq %d adopted can't be read: %v: rebuild them from the log", l.org, seq, err)
	}
	l.catalogues[seq] = c
	return c, nil
}

func noCatalogue(org domain.Org, seq domain.Seq) error {
	return domain.Errorf(domain.Integrity, "no_catalogue", "projections of %s: the event at seq %d adopted no catalogue", org, seq)
}

func incomplete(org domain.Org, want, have domain.Seq) error {
	return domain.Errorf(domain.Incomplete, "not_applied",
		"projections of %s go to seq %d, seq %d was asked for: ask again when it is applied", org, have, want)
}
