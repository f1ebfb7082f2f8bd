package ledger

// Backups: what is in one, and how a service gives it while commands go on. How it lies in a directory and is read again is
// in backup_files.go, and a ledger made of it again in restore.go. Nothing here changes a ledger.
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
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// BackupFormat is the number of the layout of backups. A change of it is a new number, and the old ones are read for ever.
const BackupFormat = 1

const (
	manifestName = "manifest.json"
	maxManifest  = 64 << 20 // bytes; a ledger takes some 700
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
	for _, l := range m.Ledgers {
		if _, err := domain.ParseOrg(string(l.Org)); err != nil {
			return Manifest{}, err
		}
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
// the backup holds all events up to one of them. Errors: Unknown for an organisation without a ledger, Integrity where a log
// is not what it was, or not the one that its projection was made from; what was written until then is no backup.
func (s *Service) Backup(ctx context.Context, o BackupOptions, out BackupFiles) error {
	m := Manifest{Format: BackupFormat, Begun: s.now()}
	if !o.WithoutKeys {
		m.Warning = BackupWarning
	}
	orgs := []domain.Org{o.Org}
	if o.Org == "" {
		var err error
		if orgs, err = s.Orgs(ctx); err != nil {
			return err
		}
	}
	for _, org := range orgs {
		b, err := s.backUp(ctx, org, o, out)
		if err != nil {
			return err
		}
		m.Ledgers = append(m.Ledgers, b)
	}
	if len(m.Ledgers) == 0 {
		return domain.Errorf(domain.Unknown, "no_ledger", "backing up: there is no ledger in %s yet; make one with permledger init or import", s.o.Data)
	}
	m.Ended = s.now()
	encoded, err := m.encode()
	if err != nil {
		return err
	}
	w, err := out.Create(manifestName)
	if err == nil {
		_, err = w.Write(encoded)
	}
	return err
}

// backUp writes one ledger's files, in the order that makes them one moment's.
func (s *Service) backUp(ctx context.Context, org domain.Org, o BackupOptions, out BackupFiles) (BackedUp, error) {
	log, err := s.store.Open(ctx, org)
	if isFailure(err, domain.Unknown) {
		err = cmp.Or(s.lost(org), err)
	}
	if err != nil {
		return BackedUp{}, err
	}
	b := BackedUp{Org: org, Created: domain.InstantOf(log.Created()), First: 1}
	known, err := s.copyProjection(ctx, &b, o, out)
	if err != nil {
		return BackedUp{}, err
	}
	l := &Ledger{s: s, log: log} // not run: what follows asks the log alone
	if err := l.belongs(ctx, known); err != nil {
		return BackedUp{}, err
	}
	if b.Last, err = log.Head(ctx); err != nil {
		return BackedUp{}, err
	}
	if b.Last == 0 {
		return BackedUp{}, domain.Errorf(domain.Integrity, "log_truncated", "backing up the ledger of %s: its log has no events", org)
	}
	events, err := backUpFile(out, string(org)+"/events.ndjson", func(w io.Writer) (int64, error) {
		return int64(b.Last), l.writeEvents(ctx, &b, w)
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
	b.Keys, err = backUpFile(out, string(org)+"/keys.ndjson", func(w io.Writer) (int64, error) { return writeKeys(ctx, keys, w) })
	return b, err
}

// copyProjection writes the projection where that is asked for, and gives how far it goes in any case: it bears witness to
// what the log had. A backup of a log that has lost events since would push good ones out.
func (s *Service) copyProjection(ctx context.Context, b *BackedUp, o BackupOptions, out BackupFiles) (pos projections.Position, err error) {
	if !o.Projection {
		p, err := s.db.Ledger(b.Org)
		if err != nil {
			return projections.Position{}, nil // it is damaged, and the log is all the more worth a backup
		}
		if pos = p.Position(); pos.Building {
			return projections.Position{}, nil
		}
		return pos, nil
	}
	l, err := s.Ledger(ctx, b.Org) // level with its log
	if err != nil {
		return projections.Position{}, err
	}
	b.Projection, err = backUpFile(out, string(b.Org)+"/projection", func(w io.Writer) (n int64, err error) {
		pos, n, err = l.p.CopyTo(ctx, w)
		return n, err
	})
	return pos, err
}

// writeEvents writes the log up to b.Last. What could not be read again is no backup, so each event is read here.
func (l *Ledger) writeEvents(ctx context.Context, b *BackedUp, w io.Writer) error {
	for entry, err := range l.log.Read(ctx, 0, b.Last) {
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

// writeKeys writes every key there is, and gives how many.
func writeKeys(ctx context.Context, keys *eventstore.Keys, w io.Writer) (n int64, err error) {
	lines := json.NewEncoder(w)
	for key, err := range keys.All(ctx) {
		if err != nil {
			return n, err
		}
		if err := lines.Encode(keyLine{key.Account, key.Raw}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
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
	sums := newSumming(to)
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

func newSumming(w io.Writer) *summing { return &summing{w: w, sum: sha256.New()} }

func (s *summing) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.sum.Write(b[:n])
	s.n += int64(n)
	return n, err
}

func (s *summing) hex() string { return hex.EncodeToString(s.sum.Sum(nil)) }
