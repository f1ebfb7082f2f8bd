// Package projections keeps what follows from the logs, in one Pebble database: every fact with every version of it,
// and the few indexes that questions need. It stores what domain.Fold says and gives it back through domain.Reader,
// as known at any seq; it decides nothing, reads no clock and never writes to a log. All of it can be thrown away and
// rebuilt.
//
// Each organisation has a Ledger under a key prefix of its own (keys.go). A Ledger has one writer, its Head, and any
// number of readers, its Views. Versions are only ever added, so a View needs no snapshot to go on showing its seq.
//
// One Commit is one Pebble batch, with the position in it, and is not synced: after a crash the database holds a
// prefix of what was committed and says how far it goes, and the log gives the rest again.
package projections

// This file opens and closes the database and tells what went wrong with it; what lies in it is in ledger.go.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/permledger/permledger/domain"
)

// Options says how to open a database. The zero value is what production uses.
type Options struct {
	CacheBytes int64        // for blocks of the database, all organisations together; 0: 128 MiB
	FS         vfs.FS       // the file system; nil: the machine's
	Logger     *slog.Logger // for what the database does behind everybody's back; nil: slog.Default()

	// Fatal ends the process, with the reason, where the database can't go on, as when its write-ahead log can't be written.
	// It must not return. nil: panic.
	Fatal func(error)

	// Beside is for one that is built beside the live one and thrown away: it has no write-ahead log, so that a crash takes
	// it back to what was last flushed, which is a prefix too, and a full disk can't end the process by it.
	Beside bool
}

// DB is an open database of projections. Its methods may be called by any goroutine.
type DB struct {
	pebble  *pebble.DB
	lock    *pebble.Lock
	dir     string
	fs      vfs.FS
	options *pebble.Options // with every default: what tables are written and read by

	mu      sync.Mutex // guards ledgers
	ledgers map[domain.Org]*Ledger
}

const (
	defaultCacheBytes = 128 << 20
	// A memtable is what gathers in memory before it becomes a table: this part of the cache. Half of it means twice the
	// compactions, and twice means slower lookups in it. It begins small and grows, so that small ledgers do not pay for it.
	// There are memTables of it at most: one is written, one flushed, one still read by an iterator.
	memTablePart = 4
	memTables    = 3
	// besideTables is how many may lie beside one another there until they are merged after all: those of ten million events
	// and more. Reading them in order takes some 100 kB for each.
	besideTables = 400
	bloomBits    = 10 // per prefix: about one lookup in a hundred of what never was reads a block in vain
)

// Open opens the database in dir and makes both where there is none. It fails with domain.Unreachable, code in_use,
// where another process (or this one) has it open, and with domain.Integrity where it can't be read.
func Open(dir string, o Options) (*DB, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, domain.Errorf(domain.Unreachable, "projections_unreachable", "open the projections in %s: %v", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return nil, lockFailure(dir, err)
	}
	// Pebble takes memtables off the cache. They come on top here: a cache that they fill reads every block and filter from
	// its file again, and each lookup costs a hundred times as much.
	memTable := o.CacheBytes / memTablePart
	cache := pebble.NewCache(o.CacheBytes + memTables*memTable)
	defer cache.Unref() // the database holds it from here on
	options := pebbleOptions(o, cache, lock)
	options.EnsureDefaults()
	err = clearUnborn(dir, o)
	var p *pebble.DB
	if err == nil {
		p, err = pebble.Open(dir, options)
	}
	if err != nil {
		lock.Close()
		return nil, openFailure(dir, err)
	}
	return &DB{pebble: p, lock: lock, dir: dir, fs: o.FS, options: options, ledgers: make(map[domain.Org]*Ledger)}, nil
}

// clearUnborn clears the directory of a database that a crash caught while it was being made: it names a manifest that is
// not there, and nothing was ever written to it. Anything else that lacks its manifest is damaged.
func clearUnborn(dir string, o Options) error {
	found, err := pebble.Peek(dir, o.FS)
	if err != nil || !found.Exists {
		return err
	}
	if _, err := o.FS.Stat(found.ManifestFilename); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := o.FS.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch filepath.Ext(name) {
		case ".sst":
			return nil // opening it says what is wrong
		case ".log":
			if info, err := o.FS.Stat(o.FS.PathJoin(dir, name)); err != nil || info.Size() > 0 {
				return err
			}
		}
	}
	o.Logger.Warn("the projections were not made to an end before a crash: making them again from the log", "directory", dir)
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := o.FS.Remove(o.FS.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func pebbleOptions(o Options, cache *pebble.Cache, lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		Cache:                 cache,
		Comparer:              comparer,
		FS:                    o.FS,
		FormatMajorVersion:    pebble.FormatNewest, // the default is the oldest
		Lock:                  lock,
		Logger:                logger{o.Logger, o.Fatal},
		MemTableSize:          uint64(o.CacheBytes / memTablePart),
		L0CompactionThreshold: 8,
		DisableWAL:            o.Beside,
		// Lookups go all over the keys: with few large tables and one block of index for each, the next one is likelier to
		// find the table open, and reads one block less. The levels below have larger ones yet.
		TargetFileSizes: [7]int64{16 << 20},
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		p.Levels[i].IndexBlockSize = 256 << 10
	}
	if o.Beside {
		// What was flushed is merged once, when it is all read in order and written to tables of its own. Merging it before
		// that, again and again as it grows, would take half of the processors; lookups hardly need it, as the Head knows
		// what there is not (sieve.go) and what was last (cache.go).
		p.L0CompactionThreshold, p.L0CompactionFileThreshold, p.L0StopWritesThreshold = besideTables, besideTables, 4*besideTables
	}
	// The values of a fact's older versions would lie in blocks of their own, which suits who reads the newest only.
	p.Experimental.EnableValueBlocks = func() bool { return false }
	// Left alone, a block whose checksum does not match ends the process. Whoever reads it gets an error, which says what
	// to do; here it is only noted, for damage that a compaction comes across.
	p.EventListener = &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			o.Logger.Error("projections: damage found: rebuild them from the log", "damage", info.String())
		},
	}
	return p
}

// Tidy merges what writing has left in layers, so that a read looks in one place: after a large import a search takes
// half the time. It costs about three seconds for a million events, and changes nothing else; whoever only asks a question
// or two need not call it. It ends early with ctx, and has to have ended before Close.
func (db *DB) Tidy(ctx context.Context) error {
	defer db.LastWords()
	err := db.pebble.Compact(ctx, []byte{0}, []byte{0xff}, false)
	if err != nil && ctx.Err() == nil {
		return domain.Errorf(domain.Unavailable, "tidy_failed", "projections: merging layers: %v", err)
	}
	return nil
}

// Metrics are the database's own figures, of all organisations together.
func (db *DB) Metrics() *pebble.Metrics { return db.pebble.Metrics() }

// Close closes the database. Every View must have been closed and every Head be at rest. What was committed is kept.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, l := range db.ledgers {
		l.head.rest()
	}
	var err error
	if db.options.DisableWAL { // nothing else would keep what is in memory
		err = db.pebble.Flush()
	}
	err = errors.Join(err, db.pebble.Close())
	return errors.Join(err, db.lock.Close())
}

// Ledger gives the organisation's projections, the same every time. An organisation nothing is known of has empty ones.
// It fails with domain.Integrity where they are in a format that this program does not read; an older one it tells by
// Position.Outdated.
func (db *DB) Ledger(org domain.Org) (*Ledger, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if l, ok := db.ledgers[org]; ok {
		return l, nil
	}
	l, err := openLedger(db.pebble, org)
	if err != nil {
		return nil, err
	}
	db.ledgers[org] = l
	return l, nil
}

// Orgs gives the organisations of which something is projected, sorted, whether or not they have a log. Where damage is in
// the way it gives those before it as well. It is not for while a projection is being swapped.
func (db *DB) Orgs() (orgs []domain.Org, err error) {
	iter, err := db.pebble.NewIter(nil)
	for ok := err == nil && iter.First(); ok; {
		name, _, _ := bytes.Cut(iter.Key(), []byte{0})
		orgs = append(orgs, domain.Org(name))
		ok = iter.SeekGE(append(name[:len(name):len(name)], 1)) // past all that begins with its name and a zero byte
	}
	if err == nil {
		err = iter.Close()
	}
	if err != nil {
		return orgs, failure("all organisations", "list them", err)
	}
	return orgs, nil
}

// LastWords is to be deferred by a goroutine that writes. Where Pebble can't begin a new write-ahead log it panics with the
// file's error, and whoever writes next with that of the closed log: either ends the process as Fatalf does. Any other panic
// goes on: a mistake of a program, and what Fatalf leaves with itself.
func (db *DB) LastWords() {
	p := recover()
	err, isError := p.(error)
	if isError && !errors.As(err, new(runtime.Error)) && !errors.As(err, new(*domain.Error)) {
		db.options.Logger.Fatalf("%v", err)
	}
	if p != nil {
		panic(p)
	}
}

// logger passes on what Pebble says.
type logger struct {
	*slog.Logger
	fatal func(error)
}

func (l logger) Infof(format string, args ...any) { l.Debug("pebble: " + fmt.Sprintf(format, args...)) }

func (l logger) Errorf(format string, args ...any) {
	l.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is where Pebble can't go on, e.g. when its write-ahead log can't be written. It must not return: Pebble would
// carry on over a broken state. A panic alone is not enough for a program that recovers from some, as an HTTP server does.
// Nothing that was acknowledged is lost by ending here.
func (l logger) Fatalf(format string, args ...any) {
	err := domain.Errorf(domain.Unreachable, "projections_unreachable", "the database of the projections can't go on and ends the process: %s: "+
		"the log has everything; see that the disk is healthy and has room, start again, and rebuild if that fails", oneLine(fmt.Errorf(format, args...)))
	if l.fatal != nil {
		l.fatal(err)
	}
	panic(err)
}

func lockFailure(dir string, err error) error {
	// Of a lock that this very process holds, Pebble's message is all that there is to tell it by.
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || err.Error() == "lock held by current process"
	var noFile *fs.PathError // the lock's file could not even be made
	if held && !errors.As(err, &noFile) {
		return domain.Errorf(domain.Unreachable, "in_use",
			"open the projections in %s: another process has them open: stop it, or ask it by --server", dir)
	}
	return domain.Errorf(domain.Unreachable, "projections_unreachable", "lock the projections in %s: %v", dir, err)
}

func openFailure(dir string, err error) error {
	var noFile *fs.PathError
	gone := errors.Is(err, fs.ErrNotExist) // a file that the database says it has
	if errors.As(err, &noFile) && !pebble.IsCorruptionError(err) && !gone {
		return domain.Errorf(domain.Unreachable, "projections_unreachable", "open the projections in %s: %v", dir, err)
	}
	return domain.Errorf(domain.Integrity, "projections_damaged",
		"open the projections in %s: %s: rebuild them from the log", dir, oneLine(err))
}

// failure tells what a read or write of the database ran into.
func failure(org domain.Org, attempt string, err error) error {
	if errors.Is(err, errDamaged) || pebble.IsCorruptionError(err) {
		return domain.Errorf(domain.Integrity, "projections_damaged",
			"projections of %s: %s: %s: rebuild them from the log", org, attempt, oneLine(err))
	}
	return domain.Errorf(domain.Unreachable, "projections_unreachable", "projections of %s: %s: %v", org, attempt, err)
}

// oneLine gives an error's text without the details that Pebble puts on lines of their own.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
