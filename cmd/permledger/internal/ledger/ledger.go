package ledger

// One organisation's ledger: keeping its projection level with its log, and reading both. Writing is in writer.go.

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// A Ledger is safe for use by any goroutine. Its writer goroutine alone touches the projection's Head.
type Ledger struct {
	s    *Service
	log  *eventstore.Log
	keys *eventstore.Keys
	p    *projections.Ledger
	w    writer

	following *feeding // nil without Options.Feed

	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	live   context.Context // ends with stop or when the ledger fails
	die    context.CancelFunc
	done   chan struct{} // closed when the goroutines are gone
	level  chan struct{} // closed when the projection has caught up, or can't

	target atomic.Uint64           // the newest event that the log was seen to have
	broken atomic.Pointer[failure] // why nothing may be answered or recorded any more
	away   atomic.Pointer[failure] // why catching up at the start failed the last time (patience.go)
}

type failure struct{ err error }

func newLedger(s *Service, log *eventstore.Log, keys *eventstore.Keys, p *projections.Ledger) *Ledger {
	l := &Ledger{s: s, log: log, keys: keys, p: p, done: make(chan struct{}), level: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.live, l.die = context.WithCancel(l.ctx)
	l.w = newWriter(l)
	if s.state != nil {
		l.following = newFeeding(l, s.state)
	}
	return l
}

// start catches up and then writes, keeping time beside it where that is asked for, until stop.
func (l *Ledger) start() {
	news := make(chan domain.Seq, 1)
	go func() {
		defer close(l.done)
		defer l.s.db.LastWords()
		err := l.beginPatiently()
		if err != nil {
			l.fail(err)
		}
		close(l.level)
		var beside sync.WaitGroup
		if err == nil && !l.log.Exclusive() {
			beside.Go(func() { l.follow(news) })
		}
		if err == nil && l.s.o.Clock {
			beside.Go(l.keepTime)
		}
		if err == nil && l.following != nil {
			beside.Go(l.publish)
			if l.following.courier != nil {
				beside.Go(l.deliver)
			}
		}
		l.w.run(news)
		beside.Wait()
	}()
}

// stop ends the goroutines: what was sent to the log is finished, what waits is turned away.
func (l *Ledger) stop() {
	l.cancel()
	<-l.done
}

// fail stops the ledger for good: nothing is answered or recorded over a log that is not what it was. It says so in one
// line, with the page under deploy/runbooks that says what to do.
func (l *Ledger) fail(err error) {
	if l.broken.CompareAndSwap(nil, &failure{err}) && l.ctx.Err() == nil && !l.s.o.Asking {
		l.s.o.Logger.Error("the ledger stops", "org", l.log.Org(), "error", err, "runbook", runbook.For(err))
	}
	l.die()
}

// sound is nil, or why the ledger stopped.
func (l *Ledger) sound() error {
	if f := l.broken.Load(); f != nil {
		return f.err
	}
	return nil
}

// wait waits until the projection has caught up.
func (l *Ledger) wait(ctx context.Context) error {
	select {
	case <-l.level:
		return l.sound()
	case <-ctx.Done():
		return l.ready()
	}
}

// ready is nil when the ledger can be asked, and else says why not.
func (l *Ledger) ready() error {
	select {
	case <-l.level:
		return l.sound()
	default:
		if err := l.whyAway(); err != nil {
			return err
		}
		return domain.Errorf(domain.Incomplete, "behind", "ledger of %s: the projection is at event %d of %d and catching up", l.log.Org(), l.p.Position().Seq, l.target.Load())
	}
}

// begin checks that log and projection belong together, and catches up.
func (l *Ledger) begin() error {
	pos := l.p.Position()
	if pos.Building { // an import died between its two commits: the log has all of it
		if err := l.p.Wipe(); err != nil {
			return err
		}
		pos = l.p.Position()
	}
	if err := l.belongs(l.ctx, pos); err != nil {
		return err
	}
	if pos.Outdated { // it was made from this log, so that the log has all of it
		l.s.o.Logger.Info("an older program made the projection: making it again from the log", "org", l.log.Org(), "events", pos.Seq)
		if err := l.p.Wipe(); err != nil {
			return err
		}
		pos = l.p.Position()
	}
	if pos.Stream.IsZero() {
		if err := l.p.Bind(l.log.Created(), false); err != nil {
			return err
		}
	}
	return l.catchUp(l.ctx, nil)
}

// belongs checks that a projection at the position was made from this log: Integrity where it was not.
func (l *Ledger) belongs(ctx context.Context, pos projections.Position) error {
	if !pos.Stream.IsZero() && !pos.Stream.Equal(l.log.Created()) {
		return domain.Errorf(domain.Integrity, "log_swapped", "ledger of %s: its projection was made from a log created at %s, this one was created at %s", l.log.Org(), domain.InstantOf(pos.Stream), domain.InstantOf(l.log.Created()))
	}
	if pos.Seq > 0 {
		e, err := l.log.Get(ctx, pos.Seq)
		if isFailure(err, domain.Unknown) {
			head, err := l.log.Head(ctx)
			if err != nil {
				return err
			}
			if head >= pos.Seq {
				return domain.Errorf(domain.Integrity, "log_gap", "ledger of %s: its projection has event %d, and the log, which ends at %d, does not have it or can't read it", l.log.Org(), pos.Seq, head)
			}
			return domain.Errorf(domain.Integrity, "log_truncated", "ledger of %s: its projection has event %d, the log ends at %d", l.log.Org(), pos.Seq, head)
		} else if err != nil {
			return err
		}
		if e.ID != pos.EventID {
			return domain.Errorf(domain.Integrity, "log_forked", "ledger of %s: event %d is %s in the log and was %s when it was applied", l.log.Org(), pos.Seq, e.ID, pos.EventID)
		}
	}
	return nil
}

// catchUp applies what the log has and the projection lacks. It is the writer goroutine's, with nothing staged.
// each, if not nil, is called for every event applied.
func (l *Ledger) catchUp(ctx context.Context, each func(*domain.Event)) error {
	logHead, err := l.log.Head(ctx)
	if err != nil {
		return err
	}
	head := l.p.Head()
	if logHead == 0 {
		return domain.Errorf(domain.Integrity, "log_truncated", "ledger of %s: the log is empty, and a ledger begins with its catalogue", l.log.Org())
	}
	if logHead < head.KnownAt() {
		return domain.Errorf(domain.Integrity, "log_truncated", "ledger of %s: event %d was applied, the log ends at %d", l.log.Org(), head.KnownAt(), logHead)
	}
	l.heardOf(logHead)
	if logHead-head.KnownAt() >= many {
		head.Bulk(true)
		defer head.Bulk(false)
	}
	events := l.decodeAhead(ctx, head.KnownAt(), logHead)
	defer events.stop()
	for b := range events.batches {
		for _, e := range b.events {
			if _, err := head.Apply(e); err != nil {
				return err
			}
			if each != nil {
				each(e)
			}
		}
		if b.err != nil {
			head.Drop()
			return b.err
		}
		if err := l.eraseKeys(ctx, b.events); err != nil {
			head.Drop() // or what is staged would be committed by the next who catches up, with the keys still there
			return err
		}
		if err := head.Commit(head.KnownAt()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// many is how many events it takes to be worth preparing for them.
const many = 50_000

// eraseKeys erases the keys of those whose erasure was recorded, before the projection's position goes past it: so a
// crash in between erases them at the next start. Erasing twice is erasing once.
func (l *Ledger) eraseKeys(ctx context.Context, events []*domain.Event) error {
	for _, e := range events {
		if d, ok := e.Data.(*domain.SubjectErasure); ok {
			if err := l.keys.Erase(ctx, d.Account); err != nil {
				return err
			}
		}
	}
	return nil
}

// decoded is a stretch of the log, read and decoded ahead of whoever applies it: the two cost about the same, and there
// is more than one processor.
type decoded struct {
	batches chan decodedBatch
	stop    func() // ends the reading and waits until it has ended
}

type decodedBatch struct {
	events []*domain.Event
	err    error
}

func (l *Ledger) decodeAhead(ctx context.Context, after, upTo domain.Seq) decoded {
	ctx, cancel := context.WithCancel(ctx)
	d := decoded{batches: make(chan decodedBatch, 4)}
	d.stop = func() {
		cancel()
		for range d.batches { // until the goroutine is gone: nobody reads the log behind a Service that is closed
		}
	}
	go func() {
		defer close(d.batches)
		var b decodedBatch
		send := func() bool {
			select {
			case d.batches <- b:
				b = decodedBatch{}
				return true
			case <-ctx.Done():
				return false
			}
		}
		for entry, err := range l.log.Replay(ctx, after, upTo) {
			if err == nil {
				var e *domain.Event
				if e, err = l.decode(entry); err == nil {
					b.events = append(b.events, e)
				}
			}
			b.err = err
			if (err != nil || len(b.events) == commitEvery) && !send() {
				return
			}
		}
		if len(b.events) > 0 {
			send()
		}
	}()
	return d
}

// decode reads a stored event. What can't be read stops the ledger.
func (l *Ledger) decode(entry eventstore.Entry) (*domain.Event, error) {
	e, err := domain.DecodeEvent(entry.Seq, entry.Body)
	if err != nil {
		return nil, domain.Errorf(domain.Integrity, "undecodable_event", "ledger of %s: event %d can't be read: %v", l.log.Org(), entry.Seq, err)
	}
	if e.Org != l.log.Org() || entry.ID != "" && e.ID != entry.ID {
		return nil, domain.Errorf(domain.Integrity, "foreign_event", "ledger of %s: event %d says it is %s of %s, and stands in the log as %s", l.log.Org(), entry.Seq, e.ID, e.Org, entry.ID)
	}
	return e, nil
}

// follow tells the writer of events that other servers record. Its own it sees as well, and passes on for nothing.
func (l *Ledger) follow(news chan domain.Seq) {
	for entry, err := range l.log.Follow(l.ctx, l.p.Position().Seq) {
		if err != nil {
			l.fail(err)
			return
		}
		l.heardOf(entry.Seq)
		select { // the newest is all that counts
		case <-news:
		default:
		}
		news <- entry.Seq
	}
}

// Org names the organisation.
func (l *Ledger) Org() domain.Org { return l.log.Org() }

// Now is the ledger's own clock, which is never before its newest event.
func (l *Ledger) Now() domain.Instant { return max(l.s.now(), l.p.Position().RecordedAt) }

// Head is the newest event that answers rest on.
func (l *Ledger) Head() domain.Seq { return l.p.Position().Seq }

// Await returns when Head is after the seq, or with the error of ctx or of the ledger.
func (l *Ledger) Await(ctx context.Context, after domain.Seq) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.live, cancel)()
	err := l.p.Await(ctx, after)
	if err != nil && l.live.Err() != nil {
		if err := l.sound(); err != nil {
			return err
		}
		return domain.Errorf(domain.Unavailable, "stopping", "waiting for event %d: the ledger of %s is being closed", after+1, l.Org())
	}
	return err
}

// entry reads one event as it lies in the log. One that was applied and is not there any more stops the ledger.
func (l *Ledger) entry(ctx context.Context, seq domain.Seq) (eventstore.Entry, error) {
	entry, err := l.log.Get(ctx, seq)
	if isFailure(err, domain.Unknown) && seq > 0 && seq <= l.p.Position().Seq {
		err = domain.Errorf(domain.Integrity, "log_gap", "ledger of %s: event %d was applied, and the log does not have it or can't read it", l.log.Org(), seq)
		l.fail(err)
	}
	return entry, err
}

// Event gives one event, its texts opened where their key was not erased.
func (l *Ledger) Event(ctx context.Context, seq domain.Seq) (*domain.Event, error) {
	entry, err := l.entry(ctx, seq)
	if err != nil {
		return nil, err
	}
	return l.read(ctx, entry)
}

func (l *Ledger) read(ctx context.Context, entry eventstore.Entry) (*domain.Event, error) {
	e, err := l.decode(entry)
	if err != nil {
		l.fail(err)
		return nil, err
	}
	return open(ctx, l.keys, e)
}

// Events gives the events after a seq, at most limit of them, up to the newest that answers rest on.
func (l *Ledger) Events(ctx context.Context, after domain.Seq, limit int) ([]*domain.Event, error) {
	events := []*domain.Event{}
	upTo := min(l.Head(), after+domain.Seq(limit))
	for entry, err := range l.log.Read(ctx, after, upTo) {
		if err != nil {
			return nil, err
		}
		e, err := l.read(ctx, entry)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
