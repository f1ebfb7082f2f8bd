package projections

// Looking whether what lies on the disk is what was written: the checksum of every block of every table, and, for single
// events, whether the projection holds what folding them again gives. Nothing here writes.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/permledger/permledger/domain"
)

// CheckFiles reads every block of every table of the database from the disk, past the cache, and checks it against its
// checksum: of all organisations together, as they share tables. It gives how many tables and bytes it read; what is
// still in memory and in the write-ahead log is in none. It fails with Integrity, naming the file, where one is damaged.
func (db *DB) CheckFiles(ctx context.Context) (tables int, size int64, err error) {
	levels, err := db.pebble.SSTables()
	if err != nil {
		return 0, 0, domain.Errorf(domain.Unreachable, "projections_unreachable", "listing the tables of the projections in %s: %v", db.dir, err)
	}
	seen := make(map[string]bool) // several tables may be parts of one file
	for _, level := range levels {
		for _, t := range level {
			name := fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum))
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := ctx.Err(); err != nil {
				return tables, size, err
			}
			n, err := db.checkFile(ctx, db.fs.PathJoin(db.dir, name))
			switch {
			case errors.Is(err, fs.ErrNotExist): // compacted away since it was listed
			case err != nil:
				return tables, size, domain.Errorf(domain.Integrity, "projections_damaged",
					"projections: the table %s is damaged: %v: rebuild them from the log", name, err)
			default:
				tables++
				size += n
			}
		}
	}
	return tables, size, nil
}

func (db *DB) checkFile(ctx context.Context, path string) (size int64, err error) {
	f, err := db.fs.Open(path)
	if err != nil {
		return 0, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, db.options.MakeReaderOptions())
	if err != nil {
		return 0, err // the reader has closed what it was given
	}
	err = r.ValidateBlockChecksums()
	return readable.Size(), errors.Join(err, r.Close())
}

// CheckEvent folds e again on what the projection says stood before it, and compares what e makes of that with what the
// projection holds: the versions of every fact that e changes, from both sides, what it began, who did it, and what is ever
// due by it. keys is how many keys were compared. Not compared is what later events take away or what several share: what
// is still due, requests, times, and what was first named. It fails with
// Integrity where e can't follow what stands there.
func (l *Ledger) CheckEvent(e *domain.Event) (wrong []Difference, keys int, err error) {
	if p := l.Position(); e.Seq > p.Seq {
		return nil, 0, incomplete(l.org, e.Seq, p.Seq)
	}
	h := newHead(l)
	defer h.rest()
	h.db.asOf = e.Seq - 1
	changes, err := domain.Fold(h, e)
	if err != nil {
		return nil, 0, err
	}
	if err := h.stage(e, changes); err != nil {
		return nil, 0, err
	}
	w := writer{keys: l.keys, batch: l.db.NewBatch()}
	defer w.batch.Close()
	w.facts(h.events[0])
	w.order(h.events[0])
	w.dues(h.events[0])
	r := w.batch.Reader()
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return wrong, keys, err
		}
		letter := key[len(l.keys.start)]
		if kind != pebble.InternalKeyKindSet || letter == keyDue || letter == keyTime || letter == keyNamed {
			continue
		}
		keys++
		live, closer, err := l.get(key)
		isLive := err == nil
		if err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return wrong, keys, failure(l.org, "read a key", err)
		}
		if !isLive || !bytes.Equal(live, value) {
			wrong = append(wrong, difference(l.keys, key[len(l.keys.start):], live, isLive, value, true))
		}
		if isLive {
			closer.Close()
		}
	}
}

// SetAside renames the directory of a database that can't be opened, so that Open makes an empty one in its place, and
// gives its new name. It fails with Unreachable, code in_use, where a process has it open.
func SetAside(dir string) (string, error) {
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return "", lockFailure(dir, err)
	}
	defer lock.Close()
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.damaged-%d", dir, n)
		if _, err := vfs.Default.Stat(to); err == nil {
			continue
		}
		if err := vfs.Default.Rename(dir, to); err != nil {
			return "", domain.Errorf(domain.Unreachable, "projections_unreachable", "setting the projections in %s aside: %v", dir, err)
		}
		return to, nil
	}
}
