package ledger

// Making a ledger of a backup. It is an import of what was recorded before: the same events under the same seqs and ids with
// the same bytes, all of it or nothing (eventstore.Importer), and never over a ledger that is there. Nothing is decided or
// admitted again.
//
// The new log was made at another time than the old one, which is how everybody tells the two apart: a projection made
// from the old one refuses to go with it, and a follower of the change feed is told to fetch anew.

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// RestoreOptions say what of a backup is restored, and over what.
type RestoreOptions struct {
	Org domain.Org // "": every ledger in it
	// WipeProjection throws away a projection that is left of the ledger, and makes it again from the restored log.
	WipeProjection bool
	// WithoutProjection leaves the backup's projection aside, e.g. because it is damaged, and makes it again from the events.
	WithoutProjection bool
}

// Restore makes the ledgers of a backup again, each of them whole or not at all, and gives those that were restored: where
// there is an error, some may have been. Projection is nil in what it gives where it was made again from the events.
// progress is as Verify's. Errors: Conflict where there is such a ledger (code "ledger_exists") or a projection of it (code
// "projection_left"); Unknown where the backup has no ledger of Org; Integrity where the backup is damaged or the new log does
// not hold what the backup does.
func (s *Service) Restore(ctx context.Context, b *Backup, o RestoreOptions, progress func(events int, bytes int64)) (done []BackedUp, err error) {
	var chosen []BackedUp
	for _, l := range b.Ledgers {
		if o.Org != "" && l.Org != o.Org {
			continue
		}
		if err := s.restorable(ctx, l.Org, o); err != nil {
			return nil, err
		}
		if o.WithoutProjection {
			l.Projection = nil
		}
		chosen = append(chosen, l)
	}
	if len(chosen) == 0 {
		return nil, domain.Errorf(domain.Unknown, "unknown_org", "restoring the ledger of %s: the backup %s has none of it", o.Org, b.dir)
	}
	r := &backupReader{b: b, progress: progress}
	for _, l := range chosen {
		restored, err := s.restore(ctx, r, &l)
		if err != nil {
			return done, err
		}
		done = append(done, l)
		if err := restored.wait(ctx); err != nil {
			return done, err
		}
	}
	return done, nil
}

// restorable refuses, before anything is made, what would be in the way.
func (s *Service) restorable(ctx context.Context, org domain.Org, o RestoreOptions) error {
	_, err := s.store.Open(ctx, org)
	var e *domain.Error
	switch {
	case err == nil:
		return domain.Errorf(domain.Conflict, "ledger_exists", "restoring the ledger of %s: there is one already, and it is never written over; restore into a new data directory, or name another ledger of the backup", org)
	case errors.Is(err, domain.Unknown):
	case errors.As(err, &e) && e.Code == "import_unfinished": // it is made anew
	default:
		return err
	}
	p, err := s.db.Ledger(org)
	if err != nil {
		return err
	}
	if pos := p.Position(); !o.WipeProjection && !pos.Building && (pos.Seq > 0 || !pos.Stream.IsZero()) {
		return domain.Errorf(domain.Conflict, "projection_left", "restoring the ledger of %s: %s has a projection of it, up to event %d, of the log that was created at %s; restore into a new data directory, or give --wipe-projection to have it made again from the restored log", org, s.o.Data, pos.Seq, domain.InstantOf(pos.Stream))
	}
	return nil
}

func (s *Service) restore(ctx context.Context, r *backupReader, b *BackedUp) (*Ledger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.db.Ledger(b.Org)
	if err != nil {
		return nil, err
	}
	im, err := s.store.Import(ctx, b.Org)
	if err != nil {
		return nil, err
	}
	log, err := remake(ctx, r, b, im, p)
	if isFailure(err, domain.Unavailable) { // a full disk answers nothing: the server says why
		err = cmp.Or(s.store.Ready(ctx), err)
	}
	if err != nil {
		return nil, errors.Join(err, im.Abort(context.WithoutCancel(ctx))) // whatever ended the restore
	}
	if b.Projection != nil {
		if err := p.Bind(log.Created(), false); err != nil {
			return nil, err
		}
	}
	return s.start(ctx, log)
}

// remake makes the log, up to its commit. The projection is touched last, when all that the log is made of was read,
// written and read back; from then on it is none, or one under way, which a start after a crash makes anew.
func remake(ctx context.Context, r *backupReader, b *BackedUp, im *eventstore.Importer, p *projections.Ledger) (*eventstore.Log, error) {
	err := r.events(ctx, *b, func(e *domain.Event, body []byte) error { return im.Add(record(e, body)) })
	if err == nil && b.Keys != nil {
		err = r.keys(ctx, *b, func(key eventstore.StoredKey) error { return im.AddKey(ctx, key) })
	}
	if err != nil {
		return nil, err
	}
	written, err := im.Written(ctx)
	if err != nil {
		return nil, err
	}
	if err := sameLog(ctx, written, im.Keys(), *b); err != nil {
		return nil, err
	}
	if err := p.Wipe(); err != nil {
		return nil, err
	}
	if b.Projection != nil {
		err = r.projection(ctx, b, im.Created(), p)
	}
	var log *eventstore.Log
	if err == nil {
		log, err = im.Commit(ctx) // the commit point: from here on it is a ledger
	}
	if err != nil {
		return nil, errors.Join(err, p.Wipe())
	}
	return log, nil
}

// projection loads the backup's, or takes it out of b where it is of another program's format: then what follows from the
// events is made of them, as if it had not been backed up.
func (r *backupReader) projection(ctx context.Context, b *BackedUp, created time.Time, p *projections.Ledger) error {
	otherFormat := false
	err := r.file(ctx, b.Projection, func(from io.Reader) (int64, error) {
		pos, keys, err := p.Load(ctx, created, from)
		var e *domain.Error
		switch {
		case errors.As(err, &e) && e.Code == "copy_format":
			otherFormat = true
			return b.Projection.Count, nil
		case errors.Is(err, domain.Malformed):
			err = r.damaged(b.Projection.Name, "%v", err)
		case err == nil && (pos.Seq > b.Last || domain.InstantOf(pos.Stream) != b.Created):
			err = r.damaged(b.Projection.Name, "it is of event %d of a log created at %s", pos.Seq, domain.InstantOf(pos.Stream))
		}
		return keys, err
	})
	if err == nil && otherFormat {
		b.Projection = nil
	}
	return err
}

// sameLog reads the new log and its keys back and compares them with what the manifest says of the old ones.
func sameLog(ctx context.Context, log *eventstore.Log, keys *eventstore.Keys, b BackedUp) error {
	differs := func(f *BackupFile, sums *summing) error {
		if sums.n == f.Bytes && sums.hex() == f.SHA256 {
			return nil
		}
		return domain.Errorf(domain.Integrity, "restore_differs", "restoring the ledger of %s: read back, the new log gives %s with SHA-256 %s, the backup's has %s; nothing was restored: see that the disk is healthy and restore again", b.Org, f.Name, sums.hex(), f.SHA256)
	}
	sums := newSumming(io.Discard)
	for entry, err := range log.Read(ctx, 0, b.Last) {
		if err != nil {
			return err
		}
		_, _ = sums.Write(entry.Body)
		_, _ = sums.Write([]byte{'\n'})
	}
	if err := differs(&b.Events, sums); err != nil || b.Keys == nil {
		return err
	}
	sums = newSumming(io.Discard)
	if _, err := writeKeys(ctx, keys, sums); err != nil {
		return err
	}
	return differs(b.Keys, sums)
}
