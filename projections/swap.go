package projections

// Putting one projection in another's place, at once and for good. It is the writer's, as all writing is; it compares
// nothing and keeps nothing: whoever calls it has done both.
//
// The new tables take the place of everything under the organisation's prefix in one step of the database, which is
// durable when it returns. They go up to the seq at which they were compared; what was committed since is in a tail,
// the very batches that made it in the projection they were taken from, and is committed right behind.
//
//	crash before the step    the old projection, whole
//	crash behind it          the new one, at the tables' seq: their position is in them. The log gives the rest again.
//
// Between the step and the tail a reader would see less than the position says, so none may open anything then
// (Ledger.swapping). What was opened before goes on showing what it showed.

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// maxTail bounds a Tail, in bytes: that of some two hundred thousand events.
const maxTail = 128 << 20

// A Tail is what a ledger has committed since KeepTail, in the form of its batches. It is for the goroutine that commits.
type Tail struct {
	batches [][]byte
	bytes   int
	full    bool
}

// KeepTail begins to keep what is committed from here on, until it is called with nil.
func (l *Ledger) KeepTail(t *Tail) { l.tail = t }

// keep adds a batch that was committed. A tail that is full says so once, when it is to be used.
func (t *Tail) keep(b *pebble.Batch) {
	if t == nil || t.full {
		return
	}
	repr := b.Repr()
	if t.bytes += len(repr); t.bytes > maxTail {
		*t = Tail{full: true}
		return
	}
	t.batches = append(t.batches, append([]byte(nil), repr...))
}

// Swap puts the tables in dir, made from another ledger of the same organisation, in the place of this one's content, with
// the tail that was kept of that ledger since, which brings it to the position to. dir must be on the same disk, and its
// tables are gone afterwards. same says that this one was found equal to them: then views go on; otherwise they fail from
// here on, as after Wipe. After an error the projection is as it was, or, where the database failed behind the
// swap, broken: open it again.
func (l *Ledger) Swap(ctx context.Context, db *DB, dir string, tail *Tail, to Position, same bool) error {
	if tail.full {
		return domain.Errorf(domain.Unavailable, "too_busy",
			"projections of %s: more was recorded while the new one was compared than is kept in memory: try again at a quieter hour", l.org)
	}
	n, _, err := db.kept(l.org, dir)
	if err != nil {
		return err
	}
	batch := l.db.NewBatch()
	defer batch.Close()
	if err := l.tailInto(batch, tail, to); err != nil {
		return err
	}
	paths := make([]string, n.Tables)
	for i := range paths {
		paths[i] = (&Tables{fs: db.fs, dir: dir}).path(i)
	}

	l.swapping.Lock()
	defer l.swapping.Unlock()
	if _, err := l.db.IngestAndExcise(ctx, paths, nil, nil, span(l.keys)); err != nil {
		return failure(l.org, "swap", err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return failure(l.org, "swap", err)
	}
	if same {
		l.head.follow()
		return nil
	}
	l.mu.Lock()
	l.state.Store(&state{Position: to, generation: l.state.Load().generation + 1})
	clear(l.catalogues)
	l.mu.Unlock()
	l.head.restart()
	l.commitHappened()
	return nil
}

// tailInto makes one batch of the tail, which ends with the position.
func (l *Ledger) tailInto(batch *pebble.Batch, tail *Tail, to Position) error {
	for _, repr := range tail.batches {
		part := l.db.NewBatch()
		err := part.SetRepr(repr)
		if err == nil {
			err = batch.Apply(part, nil)
		}
		part.Close()
		if err != nil {
			return failure(l.org, "swap", err)
		}
	}
	to.Building = false
	return batch.Set(l.keys.position(nil), appendPosition(nil, to), nil)
}

// Begin makes the content of an empty ledger that of the tables kept in dir, which stay. links is a directory on the same
// disk for its own use. It is checked against the tables' digest: Integrity, code kept_projection_damaged, where it
// is not what they were.
func (l *Ledger) Begin(ctx context.Context, db *DB, dir, links string) error {
	n, position, err := db.kept(l.org, dir)
	if err != nil {
		return err
	}
	paths, err := db.links(dir, links, n)
	if err != nil {
		return err
	}
	if _, err := l.db.IngestAndExcise(ctx, paths, nil, nil, span(l.keys)); err != nil {
		return failure(l.org, "read the kept projection", err)
	}
	l.state.Store(&state{Position: position, generation: l.state.Load().generation + 1})
	l.head.restart()
	p, err := l.Pin()
	if err != nil {
		return err
	}
	defer p.Close()
	got, err := p.Digest(ctx, nil, nil)
	if err != nil {
		return err
	}
	if !got.Equal(n.Digest) {
		return domain.Errorf(domain.Integrity, "kept_projection_damaged", "the projection kept in %s is not what it was when it was kept: rebuild from the log instead", dir)
	}
	return l.Bind(position.Stream, true)
}

// Discard takes everything of the organisation out of the database without reading it, where Ledger can't open it. The
// database's own structure has to be sound.
func (db *DB) Discard(ctx context.Context, org domain.Org) error {
	if err := db.pebble.Excise(ctx, span(keyspaceOf(org))); err != nil {
		return failure(org, "discard", err)
	}
	return nil
}
