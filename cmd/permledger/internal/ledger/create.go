package ledger

// Making a ledger of events that nobody has to be asked about: init's few, or a whole history (contract §6). Either
// way it is one pass in bounded memory, each event admitted, folded and written as it comes, and one commit point at
// its end (eventstore.Importer.Commit): before it there is no ledger, after it the whole one.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

const (
	// commitEvery is how many events go into one batch of the projection when many are applied. With more, what is staged
	// no longer fits the processor's cache, and each event costs more.
	commitEvery = 250
	// maxLine bounds a line of an import: a catalogue document with every byte escaped, and then some.
	maxLine = 4 << 20
)

// Imported says what an import brought in.
type Imported struct {
	Events      int // lines, and one for the catalogue's adoption
	First, Last domain.Instant
}

// Import makes a new ledger from a history in NDJSON, ordered by time. The catalogue is adopted first, at the first
// line's time, so line n becomes seq n+1. progress, if not nil, is called now and then with what has been read so far.
// An error names the line and says what is wrong with it, and nothing is recorded.
func (s *Service) Import(ctx context.Context, org domain.Org, document []byte, from io.Reader, progress func(events int, bytes int64)) (Imported, error) {
	var sum Imported
	_, err := s.create(ctx, org, func(add func(*domain.Event) error) error {
		lines := readLines(ctx, from)
		defer lines.stop()
		for {
			batch, err := lines.next(ctx)
			for _, l := range batch {
				if sum.Events == 0 {
					adopt := &domain.Event{Type: domain.CatalogueAdopted, Version: 1, RecordedAt: l.event.RecordedAt,
						Actor: l.event.Actor, Source: l.event.Source, Data: &domain.CatalogueAdoption{Document: string(document)}}
					if err := add(adopt); err != nil {
						return err
					}
					sum.Events, sum.First, sum.Last = 1, l.event.RecordedAt, l.event.RecordedAt
				}
				if l.event.RecordedAt < sum.Last {
					return lineError(l.number, domain.Errorf(domain.Malformed, "not_in_order", "at %s: is before the line before it, %s; a history is ordered by time", l.event.RecordedAt, sum.Last))
				}
				if l.event.Source == "" {
					l.event.Source = "import"
				}
				if err := add(l.event); err != nil {
					return lineError(l.number, err)
				}
				sum.Events++
				sum.Last = l.event.RecordedAt
			}
			if progress != nil {
				progress(sum.Events, lines.bytes)
			}
			switch {
			case errors.Is(err, io.EOF) && sum.Events == 0:
				return domain.Errorf(domain.Malformed, "empty_history", "importing into the ledger of %s: the history has no lines", org)
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
		}
	})
	return sum, err
}

// lineError says at which line an import stopped.
func lineError(number int, err error) error {
	var e *domain.Error
	if errors.As(err, &e) {
		return domain.Errorf(e.Failure, e.Code, "line %d: %s", number, e.Message)
	}
	return fmt.Errorf("line %d: %w", number, err)
}

// create makes a ledger of the events that fill hands to add, and opens it. Whatever fails, nothing is left.
func (s *Service) create(ctx context.Context, org domain.Org, fill func(add func(*domain.Event) error) error) (*Ledger, error) {
	defer s.db.LastWords()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.store.Open(ctx, org); isFailure(err, domain.Unknown) {
		if err := s.lost(org); err != nil { // what is left of it is not to be written over
			return nil, err
		}
	}
	im, err := s.store.Import(ctx, org)
	if err != nil {
		return nil, err
	}
	c := creation{s: s, org: org, im: im, out: newPublisher(im)}
	log, err := c.run(ctx, fill)
	if err != nil {
		return nil, errors.Join(err, c.abort(ctx))
	}
	return s.start(ctx, log)
}

// creation is one ledger being made.
type creation struct {
	s   *Service
	org domain.Org
	im  *eventstore.Importer
	out *publisher
	p   *projections.Ledger

	erased []domain.Account // by the history itself
}

func (c *creation) run(ctx context.Context, fill func(add func(*domain.Event) error) error) (*eventstore.Log, error) {
	var err error
	if c.p, err = c.s.db.Ledger(c.org); err != nil {
		return nil, err
	}
	if err := c.p.Wipe(); err != nil {
		return nil, err
	}
	if err := c.p.Bind(c.im.Created(), true); err != nil {
		return nil, err
	}
	head := c.p.Head()
	head.Bulk(true)
	defer head.Bulk(false)
	if err := fill(func(e *domain.Event) error { return c.add(ctx, e) }); err != nil {
		return nil, err
	}
	if err := head.Commit(head.KnownAt()); err != nil {
		return nil, err
	}
	if err := c.out.finish(); err != nil {
		return nil, err
	}
	log, err := c.im.Commit(ctx) // the commit point: from here on it is a ledger
	if err != nil {
		return nil, err
	}
	// What the history says was erased is: before the projection counts as made, so that a crash here leaves it to the replay.
	if len(c.erased) > 0 {
		keys, err := log.Keys(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range c.erased {
			if err := keys.Erase(ctx, a); err != nil {
				return nil, err
			}
		}
	}
	return log, c.p.Bind(log.Created(), false)
}

// add admits the next event, applies it to the projection and writes it to the log.
func (c *creation) add(ctx context.Context, e *domain.Event) error {
	head := c.p.Head()
	e.Seq, e.Org = head.KnownAt()+1, c.org
	e.ID = c.s.newID(e.RecordedAt)
	if err := domain.Admit(head, e); err != nil {
		return err
	}
	stored, err := seal(ctx, c.im.Keys(), head, e)
	if err != nil {
		return err
	}
	if _, err := head.Apply(e); err != nil {
		return err
	}
	if d, ok := e.Data.(*domain.SubjectErasure); ok {
		c.erased = append(c.erased, d.Account)
	}
	if err := c.out.add(stored); err != nil {
		return err
	}
	if e.Seq%commitEvery != 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return head.Commit(e.Seq)
}

// abort takes back what was written. ctx may be what ended the creation, so it does not stop the clearing up.
func (c *creation) abort(ctx context.Context) error {
	_ = c.out.finish() // that it failed is known, or does not matter any more
	err := c.im.Abort(context.WithoutCancel(ctx))
	if c.p != nil {
		err = errors.Join(err, c.p.Wipe())
	}
	return err
}

func record(e *domain.Event, body []byte) eventstore.Record {
	return eventstore.Record{ID: e.ID, Type: e.Type, RecordedAt: e.RecordedAt, Body: body}
}

// publisher encodes events and hands them to the importer on a goroutine of its own, a batch at a time: admitting and
// applying the next ones costs about as much.
type publisher struct {
	batch   []*domain.Event
	batches chan []*domain.Event
	done    chan struct{}
	failed  atomic.Bool
	err     error // set before done is closed and failed set
}

func newPublisher(im *eventstore.Importer) *publisher {
	batches := make(chan []*domain.Event, 4) // the field is gone once finish was called
	p := &publisher{batches: batches, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		var body []byte
		for batch := range batches {
			for _, e := range batch {
				if p.err != nil {
					break // but go on taking batches, so that nobody waits for ever
				}
				body = domain.AppendEvent(body[:0], e)
				p.err = im.Add(record(e, body))
			}
			p.failed.Store(p.err != nil)
		}
	}()
	return p
}

// add takes the next event, which nobody changes any more. Its error may be about an earlier one.
func (p *publisher) add(e *domain.Event) error {
	p.batch = append(p.batch, e)
	if len(p.batch) < 256 {
		return nil
	}
	p.batches <- p.batch
	p.batch = nil
	if p.failed.Load() {
		return p.finish()
	}
	return nil
}

// finish waits until the importer has everything. It may be called again.
func (p *publisher) finish() error {
	if p.batches != nil {
		p.batches <- p.batch
		close(p.batches)
		p.batches, p.batch = nil, nil
	}
	<-p.done
	return p.err
}

// line is one decoded line of a history.
type line struct {
	number int
	event  *domain.Event
}

// lineReader reads and decodes ahead of whoever takes the lines, a batch at a time: decoding costs as much as all the
// rest, and there is more than one processor.
type lineReader struct {
	batches chan lineBatch
	cancel  context.CancelFunc
	bytes   int64 // read for the batches taken so far
}

type lineBatch struct {
	lines []line
	bytes int64
	err   error // what ended the reading, after lines; io.EOF at the end
}

func readLines(ctx context.Context, from io.Reader) *lineReader {
	ctx, cancel := context.WithCancel(ctx)
	r := &lineReader{batches: make(chan lineBatch, 4), cancel: cancel}
	go func() {
		defer close(r.batches)
		scan := bufio.NewScanner(from)
		scan.Buffer(make([]byte, 256<<10), maxLine)
		for number := 0; ; {
			var b lineBatch
			for b.err == nil && len(b.lines) < 256 {
				if !scan.Scan() {
					b.err = scanError(scan.Err(), number+1)
					break
				}
				number++
				b.bytes += int64(len(scan.Bytes())) + 1
				if len(bytes.TrimSpace(scan.Bytes())) == 0 {
					b.err = lineError(number, domain.Errorf(domain.Malformed, "empty_line", "is empty; each line is one event"))
					break
				}
				e, err := domain.DecodeLine(scan.Bytes())
				if err != nil {
					b.err = lineError(number, err)
					break
				}
				b.lines = append(b.lines, line{number, e})
			}
			select {
			case r.batches <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	return r
}

func scanError(err error, number int) error {
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return lineError(number, domain.Errorf(domain.Malformed, "too_long", "is longer than %d bytes", maxLine))
	}
	return domain.Errorf(domain.Malformed, "bad_history", "line %d: reading the history: %v", number, err)
}

// next gives the next lines, and with the last of them why there are no more.
func (r *lineReader) next(ctx context.Context) ([]line, error) {
	select {
	case b := <-r.batches:
		r.bytes += b.bytes
		return b.lines, b.err
	case <-ctx.Done(): // whoever feeds a pipe may never feed it again
		return nil, ctx.Err()
	}
}

// stop ends the reading. It does not wait: a goroutine that reads a silent pipe goes when the pipe does, and touches
// nothing but its own batch until then.
func (r *lineReader) stop() { r.cancel() }
