package projections

// An organisation's projection in files of its own: sorted tables in a directory, with a note beside them that says what
// they are. They are made from a Pinned, and are what a projection is swapped for (swap.go) or begun from. The note is
// written last and synced, so a directory without one is half made and counts for nothing.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/permledger/permledger/domain"
)

const (
	// tableBytes is how much goes into one table, before compression. What its filter is made of is in memory meanwhile.
	tableBytes = 32 << 20
	noteName   = "note.json"
)

// Tables are being written, or were. They are for one goroutine.
type Tables struct {
	fs    vfs.FS
	dir   string
	keys  keyspace
	write sstable.WriterOptions

	position Position
	written  bool // the position
	open     *sstable.Writer
	size     int // of what is in it
	n        int // tables begun
	key      []byte
}

// note says what tables hold.
type note struct {
	Org      domain.Org
	Format   int // of keys and values
	Position []byte
	Tables   int
	Digest   Digest
}

// NewTables begins tables in dir, which is emptied first. What is pinned goes into them by Pinned.Digest, as tables of a
// projection that is whole.
func (p *Pinned) NewTables(db *DB, dir string) (*Tables, error) {
	if err := db.fs.RemoveAll(dir); err != nil {
		return nil, tablesFailure(dir, err)
	}
	if err := db.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, tablesFailure(dir, err)
	}
	position := p.position
	position.Building = false
	t := &Tables{fs: db.fs, dir: dir, keys: p.l.keys, position: position}
	t.write = db.options.MakeWriterOptions(len(db.options.Levels)-1, db.pebble.TableFormat())
	t.write.DisableValueBlocks = true // as in the database: see pebbleOptions
	return t, nil
}

// add takes the next key, in their order, without the organisation's prefix.
func (t *Tables) add(key, value []byte) error {
	if !t.written && key[0] > keyPosition {
		if err := t.addPosition(); err != nil {
			return err
		}
	}
	return t.set(key, value)
}

func (t *Tables) addPosition() error {
	t.written = true
	return t.set([]byte{keyPosition}, appendPosition(nil, t.position))
}

func (t *Tables) set(key, value []byte) error {
	t.key = append(append(t.key[:0], t.keys.start...), key...)
	// Versions of one fact stay in one table: the database takes tables apart by whole prefixes only.
	if t.open != nil && t.size >= tableBytes && split(t.key) == len(t.key) {
		if err := t.finishTable(); err != nil {
			return err
		}
	}
	if t.open == nil {
		f, err := t.fs.Create(t.path(t.n), vfs.WriteCategoryUnspecified)
		if err != nil {
			return tablesFailure(t.dir, err)
		}
		t.open, t.size = sstable.NewWriter(objstorageprovider.NewFileWritable(f), t.write), 0
		t.n++
	}
	t.size += len(t.key) + len(value)
	if err := t.open.Set(t.key, value); err != nil {
		return tablesFailure(t.dir, err)
	}
	return nil
}

func (t *Tables) path(n int) string { return t.fs.PathJoin(t.dir, fmt.Sprintf("%06d.sst", n)) }

// finishTable syncs and closes the table that is open.
func (t *Tables) finishTable() error {
	w := t.open
	t.open = nil
	if err := w.Close(); err != nil {
		return tablesFailure(t.dir, err)
	}
	return nil
}

// Finish makes what was written durable, with a note of what it is.
func (t *Tables) Finish(org domain.Org, d Digest) error {
	if !t.written {
		if err := t.addPosition(); err != nil {
			return err
		}
	}
	if err := t.finishTable(); err != nil {
		return err
	}
	b, err := json.Marshal(note{Org: org, Format: format, Position: appendPosition(nil, t.position), Tables: t.n, Digest: d})
	if err != nil {
		return err
	}
	f, err := t.fs.Create(t.fs.PathJoin(t.dir, noteName), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = syncDir(t.fs, t.dir)
	}
	if err != nil {
		return tablesFailure(t.dir, err)
	}
	return nil
}

// Abandon closes what is open after a failure. The next NewTables in the directory clears it.
func (t *Tables) Abandon() {
	if t.open != nil {
		_ = t.open.Close() // it failed already, or is not wanted
		t.open = nil
	}
}

func syncDir(f vfs.FS, dir string) error {
	d, err := f.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func tablesFailure(dir string, err error) error {
	return domain.Errorf(domain.Unreachable, "projections_unreachable", "writing the projection's tables in %s: %v; see that the disk has room", dir, err)
}

// Kept reads what the tables in dir are. It fails with Unknown, code no_kept_projection, where there are none, and with
// Integrity where they are another organisation's, in another format, or their note can't be read.
func (db *DB) Kept(org domain.Org, dir string) (Position, Digest, error) {
	n, p, err := db.kept(org, dir)
	return p, n.Digest, err
}

func (db *DB) kept(org domain.Org, dir string) (note, Position, error) {
	var n note
	f, err := db.fs.Open(db.fs.PathJoin(dir, noteName))
	if errors.Is(err, fs.ErrNotExist) {
		return n, Position{}, domain.Errorf(domain.Unknown, "no_kept_projection",
			"there is no earlier projection of %s in %s: a rebuild that swaps keeps the one before it", org, dir)
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return n, Position{}, domain.Errorf(domain.Unreachable, "projections_unreachable", "reading the projection kept in %s: %v", dir, err)
	}
	var p Position
	if err = json.Unmarshal(b, &n); err == nil {
		p, err = readPosition(n.Position)
	}
	switch {
	case err != nil || n.Org != org:
		return n, p, domain.Errorf(domain.Integrity, "kept_projection_damaged", "the projection kept in %s can't be read as that of %s: rebuild from the log instead", dir, org)
	case n.Format != format:
		return n, p, domain.Errorf(domain.Integrity, "projections_format", "the projection kept in %s is in format %d, this program's is %d: rebuild from the log instead", dir, n.Format, format)
	}
	return n, p, nil
}

// links makes links to the tables of dir in to, which is emptied first: what is ingested is taken away.
func (db *DB) links(dir, to string, n note) ([]string, error) {
	err := db.fs.RemoveAll(to)
	if err == nil {
		err = db.fs.MkdirAll(to, 0o700)
	}
	var paths []string
	for i := 0; err == nil && i < n.Tables; i++ {
		name := fmt.Sprintf("%06d.sst", i)
		path := db.fs.PathJoin(to, name)
		err = vfs.LinkOrCopy(db.fs, db.fs.PathJoin(dir, name), path)
		paths = append(paths, path)
	}
	if err != nil {
		return nil, tablesFailure(to, err)
	}
	return paths, nil
}

func span(k keyspace) pebble.KeyRange { return pebble.KeyRange{Start: k.start, End: k.end} }

// Keep puts the finished tables in from in the place of those in to, on the same disk. A crash in between leaves neither.
func (db *DB) Keep(from, to string) error {
	parent := db.fs.PathDir(to)
	err := db.fs.MkdirAll(parent, 0o700)
	if err == nil {
		err = db.fs.RemoveAll(to)
	}
	if err == nil {
		err = db.fs.Rename(from, to)
	}
	if err == nil {
		err = syncDir(db.fs, parent)
	}
	if err != nil {
		return tablesFailure(to, err)
	}
	return nil
}

// Room fails with Unavailable, code disk_full, where the disk that dir is on has less room than need bytes and a reserve: a
// rebuild is not to take from the log and the live projection the room that they go on with.
func (db *DB) Room(dir string, need uint64) error {
	u, err := db.fs.GetDiskUsage(dir)
	if err != nil {
		return domain.Errorf(domain.Unreachable, "projections_unreachable", "asking how much room there is for %s: %v", dir, err)
	}
	if need += min(mostReserve, u.TotalBytes/reservePart); u.AvailBytes < need {
		return domain.Errorf(domain.Unavailable, "disk_full",
			"the disk of %s has %d MB left, and %d MB are needed with what the ledger is to go on with: make room and try again; nothing was changed", dir, u.AvailBytes>>20, need>>20)
	}
	return nil
}

// What a rebuild leaves of a disk: one part of so many, and no more than so many bytes.
const (
	reservePart = 20
	mostReserve = 512 << 20
)

// Size estimates what the organisation takes on the disk, in bytes.
func (l *Ledger) Size() (uint64, error) {
	n, err := l.db.EstimateDiskUsage(l.keys.start, l.keys.end)
	if err != nil {
		return 0, failure(l.org, "estimate the size", err)
	}
	return n, nil
}
