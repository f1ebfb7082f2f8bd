package consumers

// The feed of one ledger: what it is, running it, and what can be asked of it. How changes get into the stream is in
// publish.go, how they are read in read.go, what the stream looks like in stream.go. Nothing here decides what changed.

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// ErrRefetch says that a cursor can't be followed: something after it is not kept any more, or it is of another log or
// beyond this one's end. Its holder has to begin again with a snapshot.
var ErrRefetch = errors.New("the feed does not reach back to this cursor: begin again with a snapshot")

// FeedOptions say what a feed is of and where it lies.
type FeedOptions struct {
	Ledger   Ledger
	JS       jetstream.JetStream
	State    jetstream.KeyValue // see OpenState
	Replicas int                // copies of the stream: 1 or more
	Logger   *slog.Logger       // nil: silent
	// Turns is shared by the feeds of a server, which begin all at once: as many of them as it has room for find or make their
	// streams at a time, and the others wait, so that the server's answers to everybody else do not. nil: any number.
	Turns chan struct{}
}

// Retention says how long changes are kept.
type Retention struct {
	Age  time.Duration `json:"age"`  // how long; 0: for ever
	Size int64         `json:"size"` // how many bytes at most; 0: any number
}

// The least that may be set: below a second the server would forget its ids before the messages, and a stream smaller
// than what is in flight would drop changes before anybody had them.
const (
	leastAge  = time.Second
	leastSize = 1 << 20
)

// FeedStatus says how a feed stands.
type FeedStatus struct {
	From      Cursor     // the oldest cursor that can be followed
	Position  domain.Seq // every change up to it is published; never beyond Head
	Head      domain.Seq // of the ledger
	Changes   uint64     // kept
	Bytes     uint64     // kept
	Retention Retention
}

// A Feed publishes the changes of one ledger and hands them to followers. Its methods may be called concurrently; all but
// Run wait until Run has found the stream.
type Feed struct {
	o    FeedOptions
	org  domain.Org
	mark string
	log  *slog.Logger
	ring *ring
}

// NewFeed makes a feed; Run runs it.
func NewFeed(o FeedOptions) *Feed {
	f := &Feed{o: o, org: o.Ledger.Org(), mark: MarkOf(o.Ledger.Org(), o.Ledger.Created()), log: o.Logger, ring: newRing()}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// Between two attempts after trouble with NATS.
const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
)

// Run publishes until ctx ends, and is called once. Trouble with NATS is waited out. Errors: the ledger's, but for
// Unavailable; Integrity (code "feed_differs", "feed_unreadable") where the stream holds what the ledger does not say.
func (f *Feed) Run(ctx context.Context) error {
	err := f.run(ctx)
	if err != nil {
		f.ring.fail(err)
		return err
	}
	f.ring.fail(domain.Errorf(domain.Unavailable, "feed_stopped", "following the changes of %s: the feed has stopped", f.org))
	return nil
}

func (f *Feed) run(ctx context.Context) error {
	wait, troubled := firstBackOff, false
	for {
		err := f.session(ctx, func() {
			if troubled {
				f.log.Info("change feed: going on", "org", f.org)
			}
			wait, troubled = firstBackOff, false
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case lasting(err):
			return err
		case !troubled:
			f.log.Warn("change feed: trying again", "org", f.org, "error", err)
			troubled = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastBackOff)
	}
}

// A ledgerError is the ledger's own: trying again helps only where it says so.
type ledgerError struct{ error }

func (e ledgerError) Unwrap() error { return e.error }

// lasting tells whether err stays however often it is tried.
func lasting(err error) bool {
	var l ledgerError
	return errors.Is(err, domain.Integrity) || errors.As(err, &l) && !errors.Is(err, domain.Unavailable)
}

// session is one go at it: find the stream, then publish and read until either fails. It calls well once all is going.
func (f *Feed) session(ctx context.Context, well func()) error {
	var s *stream
	err := f.inTurn(ctx, func() (err error) { s, err = f.establish(ctx); return err })
	if err != nil {
		return err
	}
	f.ring.session(s)
	ctx, cancel := context.WithCancelCause(ctx)
	tail := make(chan struct{})
	go func() {
		defer close(tail)
		cancel(f.tail(ctx, s))
	}()
	err = f.publish(ctx, s, well)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	<-tail
	return err
}

// inTurn does what asks much of the server when it is our turn.
func (f *Feed) inTurn(ctx context.Context, do func() error) error {
	if f.o.Turns != nil {
		select {
		case f.o.Turns <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-f.o.Turns }()
	}
	return do()
}

// Mark names the log that the feed's cursors are of.
func (f *Feed) Mark() string { return f.mark }

// Ledger is what the feed is of.
func (f *Feed) Ledger() Ledger { return f.o.Ledger }

// Position is Status's, without asking NATS anything; 0 until Run has found out where the feed is.
func (f *Feed) Position() domain.Seq {
	_, position := f.ring.ends()
	return min(position, f.o.Ledger.Head())
}

// Status says how the feed stands. Errors: Unavailable.
func (f *Feed) Status(ctx context.Context) (FeedStatus, error) {
	if err := f.ring.ready(ctx); err != nil {
		return FeedStatus{}, err
	}
	info, err := f.info(ctx)
	if err != nil {
		return FeedStatus{}, err
	}
	head := f.o.Ledger.Head()
	from, position := f.ring.ends()
	if info.State.Msgs > 0 {
		m, err := f.get(ctx, info.State.FirstSeq)
		if err != nil {
			return FeedStatus{}, err
		}
		from = m.previous
	}
	return FeedStatus{
		From: from, Position: min(position, head), Head: head,
		Changes: info.State.Msgs, Bytes: info.State.Bytes,
		Retention: Retention{Age: info.Config.MaxAge, Size: max(info.Config.MaxBytes, 0)},
	}, nil
}

// Retain sets how long changes are kept. What is beyond it goes at once. Errors: Malformed (code "bad_retention") for an
// age below a second or a size below a mebibyte, other than 0; Unavailable.
func (f *Feed) Retain(ctx context.Context, r Retention) error {
	if r.Age != 0 && r.Age < leastAge || r.Size != 0 && r.Size < leastSize {
		return domain.Errorf(domain.Malformed, "bad_retention", "keeping the changes of %s for %v and %d bytes: want 0 for no limit, or at least %v and %d bytes", f.org, r.Age, r.Size, leastAge, leastSize)
	}
	if err := f.ring.ready(ctx); err != nil {
		return err
	}
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	config := info.Config
	config.MaxAge, config.MaxBytes = r.Age, sizeLimit(r.Size)
	if _, err := f.o.JS.UpdateStream(ctx, config); err != nil {
		return f.unavailable("setting how long the changes are kept", err)
	}
	return nil
}

// unavailable says that what was attempted failed for want of NATS, not for what was asked.
func (f *Feed) unavailable(attempt string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return domain.Errorf(domain.Unavailable, "feed_unavailable", "change feed of %s: %s: %v", f.org, attempt, err)
}
