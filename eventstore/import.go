package eventstore

// Bringing a whole history in as a new ledger, all of it or nothing, in the memory of a few thousand events however
// long it is. An atomic batch can't hold millions of events, so the stream says of itself, in its metadata, that its
// import is unfinished, and nobody takes it for a ledger until it says that it is finished:
//
//	crash before Commit          the stream is marked unfinished: Open refuses it, Import begins anew
//	crash within Commit          as before, or the mark says finished: then every event was on disk before
//	a disk that lost the mark    can't be: it is synced before the first event is written
//
// Events go out without asking for an answer, but for one in some hundreds. Its answer tells its sequence, which is
// another than its number if an event before it got lost or came from elsewhere; then the import fails. (JetStream's
// own fast ingest gives no more than that, costs more in the server, and breaks off when the file comes from a slow
// pipe.)

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	// An answer is asked for after so many events or bytes, whichever comes first, and at most importWindow answers
	// are awaited. The server drops what it has not taken beyond 10,000 messages or 128 MB.
	importAckEvents = 500
	importAckBytes  = 4 << 20
	importWindow    = 4
)

// Importer writes a new ledger. It is for one goroutine. Either Commit or Abort ends it.
type Importer struct {
	log  *Log
	keys *Keys
	msg  *message

	count   domain.Seq // events added
	held    Record     // the last one added, with a body of its own: Commit sends it, asking for an answer
	unasked int        // events since an answer was asked for
	bytes   int        // and their bytes
	window  []*Pending // answers awaited, oldest first
	written bool       // the last one was sent
	err     error      // the first failure; nothing is added after it
}

// Import begins a new ledger for org. What an earlier import left unfinished is deleted. Errors: Conflict (code
// "ledger_exists").
func (s *Store) Import(ctx context.Context, org domain.Org) (*Importer, error) {
	if err := s.deleteUnfinished(ctx, org); err != nil {
		return nil, err
	}
	l, err := s.create(ctx, org, map[string]string{importKey: importUnfinished})
	if err != nil {
		return nil, err
	}
	keys, err := l.openKeys(ctx, true)
	if err != nil {
		return nil, errors.Join(err, s.deleteStreams(ctx, org))
	}
	return &Importer{log: l, keys: keys, msg: newMessage(org)}, nil
}

func (s *Store) deleteUnfinished(ctx context.Context, org domain.Org) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := s.js.Stream(ctx, streamName(org))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err != nil:
		return domain.Errorf(domain.Unavailable, "log_unavailable", "importing the ledger of %q at %s: %v", org, s.where(), err)
	case stream.CachedInfo().Config.Metadata[importKey] != importUnfinished:
		return domain.Errorf(domain.Conflict, "ledger_exists", "importing the ledger of %q: it has one already; an import makes a new one", org)
	}
	return s.deleteStreams(ctx, org)
}

// deleteStreams deletes what never was a ledger. The keys go first: as long as there is a stream marked unfinished,
// the next import deletes what is left.
func (s *Store) deleteStreams(ctx context.Context, org domain.Org) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, name := range []string{keysStream(org), streamName(org)} {
		if err := s.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return domain.Errorf(domain.Unavailable, "log_unavailable", "deleting the unfinished import of %q at %s: %v; the next import deletes it", org, s.where(), err)
		}
	}
	return nil
}

// Keys are the ledger's, for sealing what is imported: new ones are made without waiting, and flushed by Commit.
func (im *Importer) Keys() *Keys { return im.keys }

// Add writes the next event; its seq is one more than that of the one before, from 1. The record's body is copied.
// An error is final, and may be about an earlier event.
func (im *Importer) Add(rec Record) error {
	if im.err == nil && im.count > 0 {
		im.err = im.sendHeld(false)
	}
	if im.err != nil {
		return im.err
	}
	im.count++
	rec.Body = append(im.held.Body[:0], rec.Body...)
	im.held = rec
	return nil
}

// sendHeld sends the event that is held back, which has the seq im.count.
func (im *Importer) sendHeld(last bool) error {
	msg := im.msg.fill(im.held)
	im.unasked++
	im.bytes += len(msg.Data)
	if !last && im.count > 1 && im.unasked < importAckEvents && im.bytes < importAckBytes {
		if err := im.log.s.nc.PublishMsg(msg); err != nil {
			return im.log.notSent(msg, err)
		}
		return nil
	}
	im.unasked, im.bytes = 0, 0
	p, err := im.log.send(msg, im.count-1, im.count)
	if err != nil {
		return err
	}
	im.window = append(im.window, p)
	if len(im.window) < importWindow {
		return nil
	}
	oldest := im.window[0]
	im.window = append(im.window[:0], im.window[1:]...)
	<-oldest.Done()
	return oldest.Err()
}

// Written waits until all that was added, keys as well, is in the log, and gives that to be read before it counts: nobody
// takes it for a ledger until Commit. Nothing may be added after it.
func (im *Importer) Written(ctx context.Context) (*Log, error) {
	if im.err == nil && im.count > 0 && !im.written {
		im.err = im.sendHeld(true)
	}
	im.written = true
	for _, p := range im.window {
		<-p.Done()
		if im.err == nil {
			im.err = p.Err()
		}
	}
	im.window = nil
	if im.err != nil {
		return nil, im.err
	}
	if err := im.keys.Flush(ctx); err != nil {
		return nil, err
	}
	head, err := im.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	if head != im.count {
		return nil, domain.Errorf(domain.Integrity, "import_incomplete", "importing the ledger of %s: %d events were sent and the log holds %d; import again", im.log.org, im.count, head)
	}
	return im.log, nil
}

// Commit makes what was added the ledger: when it returns without an error, all of it is on disk and will be there
// after any crash. On an error the import is unfinished: Abort it, or import again.
func (im *Importer) Commit(ctx context.Context) (*Log, error) {
	if _, err := im.Written(ctx); err != nil {
		return nil, err
	}
	s, org := im.log.s, im.log.org
	if err := im.sync(); err != nil {
		return nil, err
	}
	config := im.log.stream.CachedInfo().Config
	config.Metadata = maps.Clone(config.Metadata)
	config.Metadata[importKey] = importFinished
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := s.js.UpdateStream(ctx, config); err != nil { // the commit point of an import, durable with the next line
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "importing the ledger of %s: marking it finished: %v", org, err)
	}
	if err := im.sync(); err != nil {
		return nil, err
	}
	return s.Open(ctx, org)
}

// sync makes what the embedded server has written durable. Without Relaxed it is already; an external server syncs
// as it was told to. What was acknowledged has been written to its file, if not synced: the server buffers nothing
// for streams of one replica.
func (im *Importer) sync() error {
	if !im.log.s.opts.Relaxed {
		return nil
	}
	if err := syncTree(im.log.s.opts.Dir); err != nil {
		return fmt.Errorf("importing the ledger of %s: %w", im.log.org, err)
	}
	return nil
}

// Abort deletes what was written. It never was a ledger.
func (im *Importer) Abort(ctx context.Context) error {
	for _, p := range im.window {
		<-p.Done()
	}
	im.window, im.err = nil, domain.Errorf(domain.Unavailable, "import_aborted", "importing the ledger of %s: it was aborted", im.log.org)
	return im.log.s.deleteStreams(ctx, im.log.org)
}

// Created is when the new stream was made: what the ledger's Log.Created will say.
func (im *Importer) Created() time.Time { return im.log.Created() }
