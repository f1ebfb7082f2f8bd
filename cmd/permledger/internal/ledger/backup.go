package ledger

// Backups: what a service gives for one (Backup), how it lies in a directory (BackupDir), whether it is still as it was
// written (OpenBackup, Verify), and a ledger made of it again (Restore). Nothing here changes a ledger that is there.
//
// A backup is a directory:
//
//	DIR/ORG/events.ndjson   line n is the stored bytes of event n, as the log has them
//	DIR/ORG/keys.ndjson     {"account":…,"key":…} a line: the keys of the sealed texts, unless they were left out
//	DIR/ORG/projection      where it was asked for: what follows from the events, so that it need not be computed again
//	DIR/manifest.json       what the others are: counts, sizes, SHA-256, and which log it was; written last
//
// A stored event is one JSON object without a line break, so the log as text is the log exactly, and outlives every
// program that can read it: jq and sha256sum are enough to look into it. What JetStream keeps beside the bytes follows from
// them (eventstore.Record), but for the time at which its server took them, which nothing asks about.
//
// The order in which a backup is taken makes it one moment's: first the projection, which is never ahead of the log; then
// the log up to the event that was its last just then; and then the keys, each of which is stored before the first event
// that needs it.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// BackupFormat is the number of the layout of backups. A change of it is a new number, and the old ones are read for ever.
const BackupFormat = 1

const (
	manifestName = "manifest.json"
	maxManifest  = 64 << 20 // bytes; a ledger takes some 700
	// reportEvery is how many events pass between two calls of progress.
	reportEvery = 1000
)

// BackupWarning is what a manifest with keys in it says.
const BackupWarning = "This backup holds the keys of the personal texts: whoever has it reads all of them. Keep it as the ledger itself is kept. Erasing a person later does not erase that person's texts from this backup."

// A Manifest says what a backup holds.
type Manifest struct {
	Format  int            `json:"format"`
	Warning string         `json:"warning,omitempty"`
	Begun   domain.Instant `json:"begun"`
	Ended   domain.Instant `json:"ended"`
	Ledgers []BackedUp     `json:"ledgers"`
	// Check is "sha256:" and hex of the manifest with Check empty: so that a changed one is noticed as well.
	Check string `json:"check"`
}

// BackedUp says what a backup holds of one ledger.
type BackedUp struct {
	Org        domain.Org     `json:"org"`
	Created    domain.Instant `json:"created"` // when the log was made: with Org, which one it was
	First      domain.Seq     `json:"first_seq"`
	Last       domain.Seq     `json:"last_seq"`
	LastID     domain.EventID `json:"last_event_id"`
	LastAt     domain.Instant `json:"last_recorded_at"`
	Events     BackupFile     `json:"events"`
	Keys       *BackupFile    `json:"keys,omitempty"`       // nil: left out, and the sealed texts can't be read again
	Projection *BackupFile    `json:"projection,omitempty"` // nil: made again from the events
}

// A BackupFile is one file of a backup.
type BackupFile struct {
	Name   string `json:"name"`  // below the backup's directory, with slashes
	Count  int64  `json:"count"` // of events, of keys, of the projection's keys
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

func (b BackedUp) files() []*BackupFile {
	files := []*BackupFile{&b.Events}
	for _, f := range []*BackupFile{b.Keys, b.Projection} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

// encode gives the manifest's bytes, with Check set.
func (m Manifest) encode() ([]byte, error) {
	m.Check = ""
	plain, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	m.Check = "sha256:" + hex.EncodeToString(sum[:])
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// decodeManifest reads what encode gave, and refuses everything else.
func decodeManifest(b []byte) (Manifest, error) {
	var format struct{ Format int }
	if err := json.Unmarshal(b, &format); err != nil {
		return Manifest{}, fmt.Errorf("it can't be read: %v", err)
	}
	if format.Format != BackupFormat {
		return Manifest{}, fmt.Errorf("its format is %d and this program reads %d; use the program that made it", format.Format, BackupFormat)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("it can't be read: %v", err)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return Manifest{}, errors.New("it is not as it was written: its own checksum does not match")
	}
	return m, nil
}

// BackupOptions say what goes into a backup.
type BackupOptions struct {
	Org         domain.Org // "": every organisation's ledger
	WithoutKeys bool       // leave the keys of the sealed texts out
	Projection  bool       // with what follows from the events
}

// BackupFiles takes the files of a backup one after another. What Create gives is written to until the next Create, and
// never closed.
type BackupFiles interface {
	Create(name string) (io.Writer, error)
}

// Backup writes the files of a backup to out, and its manifest last. It goes on while commands are recorded: of each ledger
// the backup holds all events up to one of them. It reads the logs alone, so it works where a projection is damaged,
// unless that is to be in it. Errors: Unknown for an organisation without a ledger, Integrity where a log is not what it was;
// what was written until then is no backup.
func (s *Service) Backup(ctx context.Context, o BackupOptions, out BackupFiles) (Manifest, error) {
	m := Manifest{Format: BackupFormat, Begun: s.now()}
	if !o.WithoutKeys {
		m.Warning = BackupWarning
	}
	orgs := []domain.Org{o.Org}
	if o.Org == "" {
		var err error
		if orgs, err = s.store.Orgs(ctx); err != nil {
			return Manifest{}, err
		}
	}
	for _, org := range orgs {
		b, err := s.backUp(ctx, org, o, out)
		if err != nil {
			return Manifest{}, err
		}
		m.Ledgers = append(m.Ledgers, b)
	}
	if len(m.Ledgers) == 0 {
		return Manifest{}, domain.Errorf(domain.Unknown, "no_ledger", "backing up: there is no ledger in %s yet; make one with permledger init or import", s.o.Data)
	}
	m.Ended = s.now()
	encoded, err := m.encode()
	if err != nil {
		return Manifest{}, err
	}
	w, err := out.Create(manifestName)
	if err == nil {
		_, err = w.Write(encoded)
	}
	return m, err
}

// backUp writes one ledger's files, in the order that makes them one moment's.
func (s *Service) backUp(ctx context.Context, org domain.Org, o BackupOptions, out BackupFiles) (BackedUp, error) {
	log, err := s.store.Open(ctx, org)
	if err != nil {
		return BackedUp{}, err
	}
	b := BackedUp{Org: org, Created: domain.InstantOf(log.Created())}
	var copied projections.Position
	if o.Projection {
		l, err := s.Ledger(ctx, org) // level with its log
		if err != nil {
			return BackedUp{}, err
		}
		if b.Projection, err = backUpFile(out, string(org)+"/projection", func(w io.Writer) (n int64, err error) {
			copied, n, err = l.p.CopyTo(ctx, w)
			return n, err
		}); err != nil {
			return BackedUp{}, err
		}
	}
	head, err := log.Head(ctx)
	switch {
	case err != nil:
		return BackedUp{}, err
	case head == 0:
		return BackedUp{}, domain.Errorf(domain.Integrity, "log_truncated", "backing up the ledger of %s: its log has no events", org)
	case head < copied.Seq:
		return BackedUp{}, domain.Errorf(domain.Integrity, "log_truncated", "backing up the ledger of %s: its projection has event %d, the log ends at %d", org, copied.Seq, head)
	}
	b.First, b.Last = 1, head
	events, err := backUpFile(out, string(org)+"/events.ndjson", func(w io.Writer) (int64, error) {
		return int64(head), b.writeEvents(ctx, log, w)
	})
	if err != nil {
		return BackedUp{}, err
	}
	b.Events = *events
	if o.WithoutKeys {
		return b, nil
	}
	keys, err := log.Keys(ctx)
	if err != nil {
		return BackedUp{}, err
	}
	b.Keys, err = backUpFile(out, string(org)+"/keys.ndjson", func(w io.Writer) (n int64, err error) {
		lines := json.NewEncoder(w)
		for key, err := range keys.All(ctx) {
			if err == nil {
				n++
				err = lines.Encode(keyLine{key.Account, key.Raw})
			}
			if err != nil {
				return n, err
			}
		}
		return n, nil
	})
	return b, err
}

// writeEvents writes the log up to b.Last. What could not be read again is no backup, so each event is read here.
func (b *BackedUp) writeEvents(ctx context.Context, log *eventstore.Log, w io.Writer) error {
	l := &Ledger{log: log} // which is all that decode asks for
	for entry, err := range log.Read(ctx, 0, b.Last) {
		if err != nil {
			return err
		}
		e, err := l.decode(entry)
		if err != nil {
			return err
		}
		if bytes.IndexByte(entry.Body, '\n') >= 0 {
			return domain.Errorf(domain.Integrity, "undecodable_event", "backing up the ledger of %s: event %d has a line break in it, which no program of ours writes", b.Org, entry.Seq)
		}
		b.LastID, b.LastAt = e.ID, e.RecordedAt
		if _, err := w.Write(entry.Body); err != nil {
			return err
		}
		if _, err := w.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	return nil
}

// keyLine is a line of keys.ndjson.
type keyLine struct {
	Account domain.Account `json:"account"`
	Key     []byte         `json:"key"` // base64
}

// backUpFile has write write one file, and says what it wrote.
func backUpFile(out BackupFiles, name string, write func(io.Writer) (count int64, err error)) (*BackupFile, error) {
	to, err := out.Create(name)
	if err != nil {
		return nil, err
	}
	sums := &summing{w: to, sum: sha256.New()}
	w := bufio.NewWriterSize(sums, 256<<10)
	f := &BackupFile{Name: name}
	if f.Count, err = write(w); err == nil {
		err = w.Flush()
	}
	f.Bytes, f.SHA256 = sums.n, sums.hex()
	return f, err
}

// summing counts and sums what is written through it.
type summing struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *summing) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.sum.Write(b[:n])
	s.n += int64(n)
	return n, err
}

func (s *summing) hex() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// A BackupDir is a backup being written into a directory of its own. Finish or Abandon ends it; one that was left has no
// manifest, and is no backup.
type BackupDir struct {
	dir     string
	written map[string]*summing
	file    *os.File // the one being written
}

// NewBackupDir makes the directory. Errors: Conflict where there is one.
func NewBackupDir(dir string) (*BackupDir, error) {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, domain.Errorf(domain.Conflict, "backup_exists", "backing up into %s: it is there already, and a backup is never written over; name a new directory", dir)
	case err != nil:
		return nil, domain.Errorf(domain.Malformed, "no_file", "backing up into %s: %v", dir, pathError(err))
	}
	return &BackupDir{dir: dir, written: map[string]*summing{}}, nil
}

// Create implements BackupFiles. The manifest is not for it, but for Finish.
func (d *BackupDir) Create(name string) (io.Writer, error) {
	if err := d.end(); err != nil {
		return nil, err
	}
	if d.written[name] != nil || name == manifestName || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, domain.Errorf(domain.Unreachable, "not_permledger", "backing up into %s: a file by the name %q is not of a backup", d.dir, name)
	}
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		d.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("backing up into %s: %w", d.dir, err)
	}
	d.written[name] = &summing{w: d.file, sum: sha256.New()}
	return d.written[name], nil
}

// end makes the file being written durable.
func (d *BackupDir) end() error {
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.file.Sync(), d.file.Close())
	d.file = nil
	if err != nil {
		return fmt.Errorf("backing up into %s: %w", d.dir, err)
	}
	return nil
}

// Finish makes a backup of what was written, if it is what the manifest says: its bytes came by the same way. The renaming is
// the commit point; all else is durable before it.
func (d *BackupDir) Finish(manifest []byte) (Manifest, error) {
	if err := d.end(); err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(manifest)
	if err != nil {
		return Manifest{}, domain.Errorf(domain.Unreachable, "backup_cut", "backing up into %s: the manifest that came with it: %v; try again", d.dir, err)
	}
	for _, l := range m.Ledgers {
		for _, f := range l.files() {
			if got := d.written[f.Name]; got == nil || got.n != f.Bytes || got.hex() != f.SHA256 {
				return Manifest{}, domain.Errorf(domain.Unreachable, "backup_cut", "backing up into %s: %s did not arrive as it was sent; try again", d.dir, f.Name)
			}
		}
		if err := syncDir(filepath.Join(d.dir, string(l.Org))); err != nil {
			return Manifest{}, err
		}
	}
	path := filepath.Join(d.dir, manifestName)
	f, err := os.OpenFile(path+".unfinished", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.Write(manifest)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(d.dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(filepath.Clean(d.dir)))
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("backing up into %s: %w", d.dir, err)
	}
	return m, nil
}

// Abandon removes what was written.
func (d *BackupDir) Abandon() error {
	if err := errors.Join(d.end(), os.RemoveAll(d.dir)); err != nil {
		return fmt.Errorf("removing the unfinished backup: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// pathError leaves the path out of a file's error, where the sentence has it already.
func pathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// A Backup is one that lies in a directory.
type Backup struct {
	Manifest
	dir string
}

// OpenBackup reads the manifest of a backup, and nothing else yet. Errors: Malformed where the directory is none, Integrity
// (code "backup_unfinished", "backup_damaged") where what lies there is no whole backup.
func OpenBackup(dir string) (*Backup, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, domain.Errorf(domain.Malformed, "no_file", "reading the backup %s: there is no such directory", dir)
		}
		return nil, domain.Errorf(domain.Integrity, "backup_unfinished", "reading the backup %s: it has no %s, so it was never finished, or is no backup; make another", dir, manifestName)
	}
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "no_file", "reading the backup %s: %v", dir, pathError(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "no_file", "reading the backup %s: %v", dir, pathError(err))
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, domain.Errorf(domain.Integrity, "backup_damaged", "the backup %s is damaged: %s: %v", dir, manifestName, err)
	}
	return &Backup{m, dir}, nil
}

// Size is how many bytes the files of a ledger have together, or with org "" all files but the manifest.
func (b *Backup) Size(org domain.Org) (n int64) {
	for _, l := range b.Ledgers {
		if org != "" && l.Org != org {
			continue
		}
		for _, f := range l.files() {
			n += f.Bytes
		}
	}
	return n
}

// Verify reads the whole backup: every file against its checksum, each event decoded, in its place and of its ledger, each
// key. progress, if not nil, is told how many events and bytes that was so far. The error has one line for each file that is
// not what it was, all of them Integrity (code "backup_damaged").
func (b *Backup) Verify(ctx context.Context, progress func(events int, bytes int64)) error {
	r := &backupReader{b: b, progress: progress}
	var damaged []string
	note := func(err error) error {
		if !errors.Is(err, domain.Integrity) {
			return err // nil, or interrupted
		}
		damaged = append(damaged, err.Error())
		return nil
	}
	for _, l := range b.Ledgers {
		if err := note(r.events(ctx, l, func(*domain.Event, []byte) error { return nil })); err != nil {
			return err
		}
		if l.Keys != nil {
			if err := note(r.keys(ctx, l, func(eventstore.StoredKey) error { return nil })); err != nil {
				return err
			}
		}
		if l.Projection != nil {
			if err := note(r.file(l.Projection, func(from io.Reader) (int64, error) {
				_, err := io.Copy(io.Discard, from)
				return l.Projection.Count, err
			})); err != nil {
				return err
			}
		}
	}
	if len(damaged) > 0 {
		return domain.Errorf(domain.Integrity, "backup_damaged", "%s", strings.Join(damaged, "\n"))
	}
	return nil
}

// backupReader reads a backup's files, each whole and against its checksum.
type backupReader struct {
	b        *Backup
	progress func(events int, bytes int64)
	seen     int      // events
	read     int64    // bytes of the files that were read to their end
	now      *summing // of the one being read
}

func (r *backupReader) damaged(name, format string, args ...any) error {
	return domain.Errorf(domain.Integrity, "backup_damaged", "the backup %s is damaged: %s: %s; use another one", r.b.dir, name, fmt.Sprintf(format, args...))
}

// file has take read the file, which gives how many it counted, and then holds it to what the manifest says.
func (r *backupReader) file(f *BackupFile, take func(io.Reader) (int64, error)) error {
	from, err := os.Open(filepath.Join(r.b.dir, filepath.FromSlash(f.Name)))
	if err != nil {
		return r.damaged(f.Name, "%v", pathError(err))
	}
	defer from.Close()
	sums := &summing{w: io.Discard, sum: sha256.New()}
	r.now = sums
	n, taken := take(io.TeeReader(from, sums))
	if taken != nil && !errors.Is(taken, domain.Integrity) {
		return taken
	}
	if _, err := io.Copy(sums, from); taken == nil && err != nil { // what take has left
		return r.damaged(f.Name, "%v", pathError(err))
	}
	r.read += sums.n
	switch {
	case taken != nil:
		return taken // it says where
	case sums.n != f.Bytes:
		return r.damaged(f.Name, "it has %d bytes, %d were written", sums.n, f.Bytes)
	case sums.hex() != f.SHA256:
		return r.damaged(f.Name, "its SHA-256 is %s, and was %s when it was written", sums.hex(), f.SHA256)
	case n != f.Count:
		return r.damaged(f.Name, "it has %d entries, %d were written", n, f.Count)
	}
	return nil
}

// events hands over every event with its stored bytes, which are of use until take returns.
func (r *backupReader) events(ctx context.Context, l BackedUp, take func(e *domain.Event, body []byte) error) error {
	return r.file(&l.Events, func(from io.Reader) (int64, error) {
		lines := bufio.NewScanner(from)
		lines.Buffer(make([]byte, 1<<20), maxLine)
		var before domain.Event
		var n int64
		for ; lines.Scan(); n++ {
			seq := domain.Seq(n + 1)
			e, err := domain.DecodeEvent(seq, lines.Bytes())
			switch {
			case err != nil:
				return n, r.damaged(l.Events.Name, "line %d: %v", seq, err)
			case e.Org != l.Org:
				return n, r.damaged(l.Events.Name, "line %d is an event of %s", seq, e.Org)
			case seq == 1 && e.Type != domain.CatalogueAdopted:
				return n, r.damaged(l.Events.Name, "line 1 is %s; a ledger begins with %s", e.Type, domain.CatalogueAdopted)
			case e.RecordedAt < before.RecordedAt:
				return n, r.damaged(l.Events.Name, "line %d was recorded before the line before it", seq)
			}
			if err := take(e, lines.Bytes()); err != nil {
				return n, err
			}
			before = *e
			if r.seen++; r.seen%reportEvery != 0 {
				continue
			}
			if r.progress != nil {
				r.progress(r.seen, r.read+r.now.n)
			}
			if err := ctx.Err(); err != nil {
				return n, err
			}
		}
		if err := lines.Err(); err != nil {
			return n, r.damaged(l.Events.Name, "after line %d: %v", n, pathError(err))
		}
		if domain.Seq(n) == l.Last && (before.ID != l.LastID || before.RecordedAt != l.LastAt) {
			return n, r.damaged(l.Events.Name, "it ends with event %s, and %s was its last", before.ID, l.LastID)
		}
		return n, nil
	})
}

// keys hands over every key.
func (r *backupReader) keys(ctx context.Context, l BackedUp, take func(eventstore.StoredKey) error) error {
	return r.file(l.Keys, func(from io.Reader) (n int64, err error) {
		lines := json.NewDecoder(from)
		lines.DisallowUnknownFields()
		for ; ctx.Err() == nil; n++ {
			var line keyLine
			err := lines.Decode(&line)
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			if err == nil {
				_, err = domain.ParseAccount(string(line.Account))
			}
			if err != nil {
				return n, r.damaged(l.Keys.Name, "key %d can't be read", n+1) // its line is a secret
			}
			if err := take(eventstore.StoredKey{Account: line.Account, Raw: line.Key}); err != nil {
				return n, err
			}
		}
		return n, ctx.Err()
	})
}
