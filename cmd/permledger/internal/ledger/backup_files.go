package ledger

// A backup as it lies in a directory: being written (BackupDir), and read again (OpenBackup, Verify), each file whole and
// against its checksum. It knows no ledger, and needs none. A directory is never written over.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// A BackupDir is a backup being written into a directory of its own. Finish or Abandon ends it; one that was left has no
// manifest, and is no backup.
type BackupDir struct {
	dir      string
	written  map[string]*summing
	file     *os.File     // the one being written
	manifest bytes.Buffer // kept back for Finish
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

// Create implements BackupFiles.
func (d *BackupDir) Create(name string) (io.Writer, error) {
	if err := d.end(); err != nil {
		return nil, err
	}
	if d.written[name] != nil || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, domain.Errorf(domain.Unreachable, "not_permledger", "backing up into %s: a file by the name %q is not of a backup", d.dir, name)
	}
	if name == manifestName {
		d.written[name] = newSumming(&d.manifest)
		return d.written[name], nil
	}
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		d.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, d.failed(err)
	}
	d.written[name] = newSumming(backupFile{d})
	return d.written[name], nil
}

// backupFile is the file being written, with what can go wrong in words.
type backupFile struct{ d *BackupDir }

func (f backupFile) Write(b []byte) (int, error) {
	n, err := f.d.file.Write(b)
	if err != nil {
		err = f.d.failed(err)
	}
	return n, err
}

func (d *BackupDir) failed(err error) error {
	return domain.Errorf(domain.Unavailable, "disk", "backing up into %s: %v; see that its disk has room and is healthy, or name a directory on another one", d.dir, pathError(err))
}

// end makes the file being written durable.
func (d *BackupDir) end() error {
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.file.Sync(), d.file.Close())
	d.file = nil
	if err != nil {
		return d.failed(err)
	}
	return nil
}

// Finish makes a backup of what was written, if it is what its manifest says: its bytes came by the same way. The renaming is
// the commit point; all else is durable before it. It gives the manifest, read and as it came.
func (d *BackupDir) Finish() (Manifest, []byte, error) {
	if err := d.end(); err != nil {
		return Manifest{}, nil, err
	}
	encoded := d.manifest.Bytes()
	m, err := decodeManifest(encoded)
	if err != nil {
		return Manifest{}, nil, domain.Errorf(domain.Unreachable, "backup_cut", "backing up into %s: its manifest did not arrive: %v; try again", d.dir, err)
	}
	for _, l := range m.Ledgers {
		for _, f := range l.files() {
			if got := d.written[f.Name]; got == nil || got.n != f.Bytes || got.hex() != f.SHA256 {
				return Manifest{}, nil, domain.Errorf(domain.Unreachable, "backup_cut", "backing up into %s: %s did not arrive as it was sent; try again", d.dir, f.Name)
			}
		}
		if err := syncDir(filepath.Join(d.dir, string(l.Org))); err != nil {
			return Manifest{}, nil, d.failed(err)
		}
	}
	path := filepath.Join(d.dir, manifestName)
	f, err := os.OpenFile(path+".unfinished", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.Write(encoded)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(path+".unfinished", path)
	}
	if err == nil {
		err = errors.Join(syncDir(d.dir), syncDir(filepath.Dir(filepath.Clean(d.dir))))
	}
	if err != nil {
		return Manifest{}, nil, d.failed(err)
	}
	return m, encoded, nil
}

// Abandon removes what was written.
func (d *BackupDir) Abandon() error {
	if d.file != nil {
		_ = d.file.Close() // what it holds is going
	}
	if err := os.RemoveAll(d.dir); err != nil {
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
	for _, l := range b.Ledgers {
		errs := []error{r.events(ctx, l, func(*domain.Event, []byte) error { return nil })}
		if l.Keys != nil {
			errs = append(errs, r.keys(ctx, l, func(eventstore.StoredKey) error { return nil }))
		}
		if l.Projection != nil {
			errs = append(errs, r.file(ctx, l.Projection, func(io.Reader) (int64, error) { return l.Projection.Count, nil }))
		}
		for _, err := range errs {
			if err != nil && !errors.Is(err, domain.Integrity) {
				return err
			}
			if err != nil {
				damaged = append(damaged, err.Error())
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
	progress func(events int, bytes int64) // or nil
	seen     int                           // events
	read     int64                         // bytes
}

func (r *backupReader) damaged(name, format string, args ...any) error {
	instead := "use another one"
	if strings.HasSuffix(name, "/projection") {
		instead += ", or restore it with --without-projection"
	}
	return domain.Errorf(domain.Integrity, "backup_damaged", "the backup %s is damaged: %s: %s; %s", r.b.dir, name, fmt.Sprintf(format, args...), instead)
}

// file has take read the file, which gives how many it counted, and then holds it to what the manifest says. What take leaves
// is read as well.
func (r *backupReader) file(ctx context.Context, f *BackupFile, take func(io.Reader) (int64, error)) error {
	file, err := os.Open(filepath.Join(r.b.dir, filepath.FromSlash(f.Name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.damaged(f.Name, "it is missing")
	case err != nil: // somebody else's, perhaps: it may be sound
		return domain.Errorf(domain.Malformed, "no_file", "reading the backup %s: %s: %v", r.b.dir, f.Name, pathError(err))
	}
	defer file.Close()
	from := &summedFile{ctx: ctx, r: r, file: file, sums: newSumming(io.Discard)}
	n, taken := take(from)
	if taken == nil || errors.Is(taken, domain.Integrity) {
		_, _ = io.Copy(io.Discard, from) // from keeps its error
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case from.err != nil:
		return r.damaged(f.Name, "after %d bytes: %v", from.sums.n, pathError(from.err))
	case taken != nil:
		return taken // it says where
	case from.sums.n != f.Bytes:
		return r.damaged(f.Name, "it has %d bytes, %d were written", from.sums.n, f.Bytes)
	case from.sums.hex() != f.SHA256:
		return r.damaged(f.Name, "its SHA-256 is %s, and was %s when it was written", from.sums.hex(), f.SHA256)
	case n != f.Count:
		return r.damaged(f.Name, "it has %d entries, %d were written", n, f.Count)
	}
	return nil
}

// summedFile sums a file up as it is read, tells how far that is, and ends with ctx.
type summedFile struct {
	ctx  context.Context
	r    *backupReader
	file *os.File
	sums *summing
	err  error // of the file, but its end
}

func (f *summedFile) Read(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.file.Read(b)
	_, _ = f.sums.Write(b[:n])
	f.r.read += int64(n)
	if f.r.progress != nil {
		f.r.progress(f.r.seen, f.r.read)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// events hands over every event with its stored bytes, which are of use until take returns.
func (r *backupReader) events(ctx context.Context, l BackedUp, take func(e *domain.Event, body []byte) error) error {
	return r.file(ctx, &l.Events, func(from io.Reader) (n int64, err error) {
		lines := bufio.NewScanner(from)
		lines.Buffer(make([]byte, 256<<10), maxLine)
		before := new(domain.Event)
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
			before = e
			r.seen++
		}
		if err := lines.Err(); err != nil {
			return n, r.damaged(l.Events.Name, "line %d: %v", n+1, err)
		}
		if domain.Seq(n) == l.Last && (before.ID != l.LastID || before.RecordedAt != l.LastAt) {
			return n, r.damaged(l.Events.Name, "it ends with event %s, and %s was its last", before.ID, l.LastID)
		}
		return n, nil
	})
}

// keys hands over every key.
func (r *backupReader) keys(ctx context.Context, l BackedUp, take func(eventstore.StoredKey) error) error {
	return r.file(ctx, l.Keys, func(from io.Reader) (n int64, err error) {
		lines := json.NewDecoder(from)
		lines.DisallowUnknownFields()
		for ; ; n++ {
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
	})
}
