package consumers

// Following the changes from another service, over HTTP. Follow owns one connection at a time, the order of what it hands
// over and the cursor to go on from; it keeps nothing: the cursor is its caller's to store, with what was done.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/permledger/permledger/domain"
)

// FollowOptions say what to follow, and from where.
type FollowOptions struct {
	URL    string // of the service, e.g. "http://127.0.0.1:7420"
	Org    domain.Org
	Filter Filter // the zero Filter: all changes

	// After is the cursor that was stored last. The zero Cursor is none: then a snapshot comes first where Snapshot is set,
	// and else what changes from now on.
	After Cursor
	// Snapshot asks for all that is permitted where After can't be gone on from: there is none, or it is too old, or of
	// another log. Without it Follow ends with ErrRefetch there.
	Snapshot bool

	// Subscriber is the name under which what was handled is acknowledged to the service, in the background and soon after;
	// "" acknowledges nothing.
	Subscriber string
	Client     *http.Client // nil: http.DefaultClient. A Timeout would cut the stream each time it is over
	Logger     *slog.Logger // nil: silent
}

// A Handler takes what Follow hands over, one call at a time: the next is read from the service when a call has returned.
// An error ends Follow, which returns it.
//
// What it stores it stores together with the cursor, in one transaction of its own; then nothing is lost or done twice
// by a crash anywhere. Who can't do both at once gets what was handled last again after a crash between the two, and knows
// it by Batch.Cursor where that was written down with what was done.
type Handler interface {
	// Snapshot is handed all that is permitted: it forgets everything that it had and takes this instead. It keeps nothing
	// where the reading ends with an error: a snapshot that broke off comes again from its beginning.
	Snapshot(ctx context.Context, s *SnapshotReader) error
	// Changes is handed the changes of one event that the filter lets through, together; of an event with more than some
	// thousand, the first of them, and the others by further calls. A batch without changes is a checkpoint: there were
	// none up to its cursor.
	Changes(ctx context.Context, b Batch) error
}

// ErrUnread says that a Handler took a snapshot without reading it to its end.
var ErrUnread = errors.New("the handler did not read the snapshot to its end: what it holds is not all that is permitted")

// Follow hands a ledger's changes to h, in order, from o.After on. It connects again whenever the connection is lost, at
// growing intervals, and goes on after the last cursor that h handled; until ctx ends, which is no error.
//
// Errors: of h; ErrRefetch; what the service refuses (Unknown, Malformed, …), and Unreachable for what is no permledger.
func Follow(ctx context.Context, o FollowOptions, h Handler) error {
	s, err := newService(o.URL, o.Org, o.Client)
	if err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &follower{o: o, service: s, handler: h, handled: o.After}
	if o.Subscriber != "" {
		f.acks = newAcker(s, o.Subscriber, o.Logger)
		acking, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.acks.run(acking)
		}()
		defer func() {
			stop()
			<-done
		}()
		if f.handled != (Cursor{}) { // the last acknowledgement may have been lost with the process
			f.acks.tell(f.handled)
		}
	}
	return persist(ctx, o.Logger, &f.tries, f.connection)
}

// The names of the events that are no changes.
const (
	snapshotEnd = "snapshot_end"
	checkpoint  = "checkpoint"
	mustRefetch = "must_refetch"
)

// partOf is from how many changes on an event is handed over in parts.
const partOf = 4096

// follower is one call of Follow.
type follower struct {
	o       FollowOptions
	service *service
	handler Handler
	acks    *acker // nil: nothing is acknowledged
	tries   failures
	handled Cursor // everything up to it was handled

	// of the connection
	events *sseReader
	batch  []Change // of one event, not handed over yet
}

// connection follows until the connection is lost.
func (f *follower) connection(ctx context.Context) error {
	reading, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	idle := time.AfterFunc(silence, func() { cut(fmt.Errorf("nothing came for %s", silence)) })
	defer idle.Stop()
	resp, err := f.service.get(reading, "changes", f.query(), "text/event-stream")
	if err != nil {
		return err
	}
	defer func() {
		cut(nil) // first: a service in this process waits for that, and closing its body waits for it
		resp.Body.Close()
	}()
	f.events, f.batch = newSSEReader(watched{resp.Body, idle}), nil
	for {
		e, err := f.next()
		if err == nil {
			err = f.take(ctx, e)
		}
		var lost *broken
		if errors.As(err, &lost) {
			p := passed(reading, lost.err).(*passing)
			p.after = f.events.retry
			return p
		}
		if err != nil {
			return err
		}
	}
}

func (f *follower) query() url.Values {
	q := url.Values{}
	if f.o.Filter.About != "" {
		q.Set("about", string(f.o.Filter.About))
	}
	if f.o.Filter.Subject != "" {
		q.Set("subject", string(f.o.Filter.Subject))
	}
	if len(f.o.Filter.Kinds) > 0 {
		q.Set("kind", strings.Join(f.o.Filter.Kinds, ","))
	}
	if f.handled != (Cursor{}) {
		q.Set("after", f.handled.String())
	}
	if f.o.Snapshot {
		q.Set("snapshot", "true")
	}
	return q
}

// watched cuts a connection on which nothing comes. Time that the handler takes does not count: nothing is read then.
type watched struct {
	body io.Reader
	idle *time.Timer
}

func (w watched) Read(p []byte) (int, error) {
	w.idle.Reset(silence)
	defer w.idle.Stop()
	return w.body.Read(p)
}

// broken is an error of the connection itself, while it was read.
type broken struct{ err error }

func (e *broken) Error() string { return e.err.Error() }

// An arrival is one event of the stream, read.
type arrival struct {
	Change         // for gained and lost
	name    string // gained, lost, snapshot_end, checkpoint or must_refetch
	at      domain.Instant
	because string // for must_refetch
}

// next reads the next event. Errors: *broken; Unreachable for what can't be understood, which is not passed over.
func (f *follower) next() (arrival, error) {
	e, err := f.events.next()
	if err != nil {
		return arrival{}, &broken{err}
	}
	a := arrival{name: e.name}
	switch e.name {
	case Gained, Lost:
		err = json.Unmarshal(e.data, &a.Change)
		if err == nil && (a.Kind != e.name || a.Subject == "" || a.Resource == "" || len(a.Actions) == 0) {
			err = errors.New("no change")
		}
	case snapshotEnd, checkpoint:
		var end struct {
			Cursor Cursor
			At     domain.Instant
		}
		err = json.Unmarshal(e.data, &end)
		a.Cursor, a.at = end.Cursor, end.At
		if err == nil && a.Cursor == (Cursor{}) {
			err = errors.New("no cursor")
		}
	case mustRefetch:
		var why struct{ Reason string }
		err = json.Unmarshal(e.data, &why)
		a.because = why.Reason
	default:
		err = errors.New("not known")
	}
	if err != nil {
		return arrival{}, notPermledger(fmt.Sprintf("sends an event %q that can't be read", clip(e.name)))
	}
	return a, nil
}

// take handles one event of the stream.
func (f *follower) take(ctx context.Context, a arrival) error {
	switch {
	case a.name == mustRefetch:
		if !f.o.Snapshot {
			return fmt.Errorf("following the changes of %s after %s (%s): %w", f.o.Org, f.handled, clip(a.because), ErrRefetch)
		}
		f.o.Logger.Warn("the changes can't be followed on: beginning again with a snapshot", "org", f.o.Org, "after", f.handled, "reason", clip(a.because))
		f.handled, f.batch = Cursor{}, nil
		return nil
	case f.o.Snapshot && f.handled == (Cursor{}): // that is what was asked for
		return f.snapshot(ctx, a)
	case a.name == snapshotEnd:
		return notPermledger("sends the end of a snapshot that did not begin")
	case a.name == checkpoint:
		return f.checkpoint(ctx, a.Cursor)
	}
	return f.change(ctx, a.Change)
}

// change adds to the batch, and hands it over when it is whole. It is, too, when something of a later event comes: the
// filter may have kept back the last change. A change without a cursor is one that can't be gone on from: others of the
// same event follow.
func (f *follower) change(ctx context.Context, c Change) error {
	if n := len(f.batch); n > 0 {
		switch last := f.batch[n-1]; {
		case last.Seq != c.Seq:
			if err := f.hand(ctx, f.whole()); err != nil {
				return err
			}
		case n >= partOf && last.Cursor != (Cursor{}):
			if err := f.hand(ctx, last.Cursor); err != nil {
				return err
			}
		}
	}
	f.batch = append(f.batch, c)
	if c.Cursor == (Cursor{}) {
		return nil
	}
	if f.handled != (Cursor{}) && !f.handled.Before(c.Cursor) {
		return notPermledger(fmt.Sprintf("sends the change %s after %s", c.Cursor, f.handled))
	}
	if c.Cursor.N > 0 {
		return nil
	}
	return f.hand(ctx, c.Cursor)
}

func (f *follower) checkpoint(ctx context.Context, c Cursor) error {
	if len(f.batch) > 0 {
		if err := f.hand(ctx, f.whole()); err != nil {
			return err
		}
	}
	if f.handled != (Cursor{}) && !f.handled.Before(c) {
		f.tries.well()
		return nil // nothing new
	}
	return f.hand(ctx, c)
}

// whole is the cursor behind all changes of the batch's event.
func (f *follower) whole() Cursor { return Cursor{Seq: f.batch[0].Seq, Mark: f.handled.Mark} }

// hand hands the batch over.
func (f *follower) hand(ctx context.Context, c Cursor) error {
	b := Batch{Changes: f.batch, Cursor: c}
	f.batch = nil // the handler may keep it
	if err := f.handler.Changes(ctx, b); err != nil {
		return err
	}
	f.done(c)
	return nil
}

// done: everything up to c was handled.
func (f *follower) done(c Cursor) {
	f.handled = c
	f.tries.well()
	if f.acks != nil {
		f.acks.tell(c)
	}
}

// snapshot hands over the snapshot of which a is the first event.
func (f *follower) snapshot(ctx context.Context, a arrival) error {
	s := &SnapshotReader{f: f, next: a}
	err := f.handler.Snapshot(ctx, s)
	switch {
	case s.err != nil: // whatever the handler made of it: what it has is no snapshot
		return s.err
	case err != nil:
		return err
	case s.Cursor == (Cursor{}):
		return ErrUnread
	}
	f.done(s.Cursor)
	return nil
}

// A SnapshotReader gives a snapshot while it arrives.
type SnapshotReader struct {
	Cursor Cursor         // to go on from: known when all changes were read
	At     domain.Instant // the moment that it is of: likewise

	f    *follower
	next arrival
	err  error // why reading it ended too soon
}

// Changes gives all that is permitted, as changes on nothing, without cursor and cause; once. The last pair holds the
// error if the connection was lost: give up what was read and return.
func (s *SnapshotReader) Changes() iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for s.err == nil && s.Cursor == (Cursor{}) {
			switch a := s.next; {
			case a.name == snapshotEnd:
				s.Cursor, s.At = a.Cursor, a.at
				return
			case a.name == mustRefetch:
				s.err = &passing{text: "the snapshot broke off"}
			case a.name == checkpoint || a.Cursor != (Cursor{}):
				s.err = notPermledger(fmt.Sprintf("sends an event %q within a snapshot", a.name))
			default:
				if !yield(a.Change, nil) {
					return
				}
				s.next, s.err = s.f.next()
			}
		}
		if s.err != nil {
			yield(Change{}, s.err)
		}
	}
}

// ackEvery is the least time between two acknowledgements: each is a synced write for the service, and one for many
// batches says as much.
const ackEvery = 250 * time.Millisecond

// An acker acknowledges cursors, the newest instead of all. tell is for one goroutine, run for another.
type acker struct {
	service *service
	path    string
	log     *slog.Logger
	newest  chan Cursor // holds the newest that was not acknowledged
}

func newAcker(s *service, name string, log *slog.Logger) *acker {
	return &acker{s, "subscribers/" + url.PathEscape(name) + "/ack", log, make(chan Cursor, 1)}
}

func (a *acker) tell(c Cursor) {
	select {
	case <-a.newest:
	default:
	}
	a.newest <- c
}

// run acknowledges until ctx ends. What can't be acknowledged is logged: changes are handled all the same.
func (a *acker) run(ctx context.Context) {
	var t failures
	wait := time.Duration(0)
	var c Cursor
	for owed := false; ; {
		if !owed {
			select {
			case c = <-a.newest:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		select {
		case c = <-a.newest: // come since
		default:
		}
		err := a.post(ctx, c)
		var p *passing
		owed = errors.As(err, &p)
		switch {
		case ctx.Err() != nil:
			return
		case owed:
			wait = t.next(p.after)
			continue
		case err != nil: // the next one may do
			a.log.Warn("the service refuses an acknowledgement", "org", a.service.org, "cursor", c, "error", err)
			wait = t.next(0)
			continue
		}
		t.well()
		wait = ackEvery
	}
}

func (a *acker) post(ctx context.Context, c Cursor) error {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	body, err := json.Marshal(struct {
		Cursor Cursor `json:"cursor"`
	}{c})
	if err != nil {
		return err
	}
	resp, err := a.service.do(ctx, http.MethodPost, a.path, "application/json", body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
