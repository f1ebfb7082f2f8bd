package api

// The change feed over HTTP, as Server-Sent Events: the state at the head where it is wanted, then who gains and loses what,
// as it happens. What changed is the ledger's to say and keeping it the feed's; this file writes it down for one follower at
// a time, and never buffers more for one than what one event changed.
//
// A follower is somebody who reads. One that takes nothing for a while is cut, because what it does not take would have
// to be kept somewhere; it comes back with its cursor and has missed nothing. So is everyone when the server stops.

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

const (
	// lookEvery is how often a follower that is sent nothing is looked after: it learns then how far it has come, where
	// that has moved, and at the latest each third time that the connection is alive.
	lookEvery = 5 * time.Second
	looks     = 3
	// takeWait is how long a follower may take nothing of what is written to it.
	takeWait = 30 * time.Second
)

// changesAsked is what a follower wants.
type changesAsked struct {
	filter   consumers.Filter
	after    consumers.Cursor
	resume   bool // after is given
	snapshot bool
}

// readChanges reads a request for changes. What an EventSource says of where it was counts over the URL, which stays the
// same whenever it comes back.
func readChanges(r *http.Request) (x changesAsked, err error) {
	p, err := readParams(r, "after", "snapshot", "about", "subject", "kind")
	if err != nil {
		return x, err
	}
	after := p["after"]
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last
	}
	if x.resume = after != ""; x.resume {
		if x.after, err = consumers.ParseCursor(after); err != nil {
			return x, err
		}
	}
	if x.snapshot, err = p.flag("snapshot"); err != nil {
		return x, err
	}
	if p["about"] != "" {
		if x.filter.About, err = domain.ParseResource(p["about"]); err != nil {
			return x, at("about", err)
		}
	}
	if x.filter.Subject, err = p.optionalAccount("subject"); err != nil {
		return x, err
	}
	if p["kind"] != "" {
		if x.filter.Kinds, err = consumers.ParseKinds(p["kind"]); err != nil {
			return x, at("kind", err)
		}
	}
	return x, nil
}

// feedOf gives the feed of a ledger, where one runs.
func feedOf(l *ledger.Ledger) (*consumers.Feed, error) {
	if f := l.Feed(); f != nil {
		return f, nil
	}
	return nil, domain.Errorf(domain.Unavailable, "no_feed", "changes of %s: this server runs no feed of them; ask a server that permledger serve started", l.Org())
}

// changes follows the feed until the follower leaves or the server stops.
func (s *server) changes(w http.ResponseWriter, r *http.Request) error {
	asked, err := readChanges(r)
	if err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	feed, err := feedOf(l)
	if err != nil {
		return err
	}
	if err := filterKnown(l, asked.filter); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	f := &follower{changesAsked: asked, feed: feed, w: w, control: http.NewResponseController(w), after: s.after, takeWait: s.takeWait}
	if r.Method == http.MethodHead {
		f.head()
		return nil
	}
	if err := f.run(ctx); err != nil && !f.gone && ctx.Err() == nil {
		return err
	}
	return nil
}

// follower is one follower being written to. It is for one goroutine.
type follower struct {
	changesAsked
	feed     *consumers.Feed
	w        http.ResponseWriter
	control  *http.ResponseController
	after    func(time.Duration, func()) (stop func() bool)
	takeWait time.Duration

	at    consumers.Cursor // how far it has come
	told  consumers.Cursor // how far it was told that it has come
	quiet int              // how often it was looked after since something was written
	begun bool             // something was written
	gone  bool             // it takes nothing any more
}

// run begins with a snapshot where that is wanted, follows, and begins again where the feed can't be followed from there.
func (f *follower) run(ctx context.Context) error {
	from, fresh := f.changesAsked.after, f.snapshot && !f.resume
	if !f.resume && !f.snapshot {
		from = consumers.Cursor{Seq: f.feed.Ledger().Head()}
	}
	for {
		if fresh {
			var err error
			if from, err = f.begin(ctx); err != nil {
				return err
			}
		}
		err := f.follow(ctx, from, !fresh)
		if !errors.Is(err, consumers.ErrRefetch) {
			return err
		}
		if err := f.mustRefetch(ctx, err); err != nil || !f.snapshot {
			return err
		}
		fresh = true
	}
}

// begin writes all that is permitted now, and gives the cursor to follow on from. None of it has an id: whoever is cut
// off in it has nothing to go on from and begins anew.
func (f *follower) begin(ctx context.Context) (consumers.Cursor, error) {
	snap, err := f.feed.Ledger().Snapshot(ctx, f.filter)
	if err != nil {
		return consumers.Cursor{}, err
	}
	defer snap.Close()
	var b []byte
	for c, err := range snap.Changes {
		if err != nil {
			return consumers.Cursor{}, err
		}
		if b = appendEvent(b, c.Kind, nil, c); len(b) >= sendAt {
			if err := f.write(b); err != nil {
				return consumers.Cursor{}, err
			}
			b = b[:0]
		}
	}
	b = appendEvent(b, "snapshot_end", &snap.Cursor, struct {
		Cursor consumers.Cursor `json:"cursor"`
		Seq    domain.Seq       `json:"seq"`
		At     domain.Instant   `json:"at"`
	}{snap.Cursor, snap.Cursor.Seq, snap.At})
	f.at, f.told = snap.Cursor, snap.Cursor
	return snap.Cursor, f.write(b)
}

// follow writes what comes after the cursor, until ctx ends or it can't be followed any further. tell has it begin with
// where that is.
func (f *follower) follow(ctx context.Context, from consumers.Cursor, tell bool) error {
	reader, err := f.feed.Open(ctx, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	if f.at = from; f.at.Mark == "" {
		f.at.Mark = f.feed.Mark()
	}
	if tell {
		if err := f.checkpoint(); err != nil {
			return err
		}
	}
	level := consumers.Cursor{Seq: f.feed.Ledger().Head()} // to be told when it is reached
	for {
		// One timer for many batches: one that began anew with each would never fire where batches come all the time and
		// none of them is wanted.
		looking, look := context.WithCancel(ctx)
		stop := f.after(lookEvery, look)
		for looking.Err() == nil && err == nil {
			err = f.next(ctx, looking, reader, level)
		}
		due := looking.Err() != nil
		stop()
		look()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !due || err != nil && !errors.Is(err, context.Canceled):
			return err
		}
		if err = f.look(); err != nil {
			return err
		}
	}
}

// next gives the follower what comes next, where it comes before the follower is to be looked after.
func (f *follower) next(ctx, looking context.Context, reader *consumers.FeedReader, level consumers.Cursor) error {
	batch, err := reader.Next(looking)
	if err != nil {
		return err
	}
	behind := f.at.Before(level)
	if err := f.give(ctx, batch); err != nil {
		return err
	}
	if behind && !f.at.Before(level) && f.told != f.at {
		return f.checkpoint()
	}
	return nil
}

// give writes what is wanted of a batch, all of it at once.
func (f *follower) give(ctx context.Context, batch consumers.Batch) error {
	wanted, err := f.filter.Of(ctx, f.feed.Ledger(), batch.Changes)
	if err != nil {
		return err
	}
	before := f.at
	f.at = batch.Cursor
	if len(wanted) == 0 {
		return nil
	}
	var b []byte
	for _, c := range placed(wanted, batch, before) {
		b = appendEvent(b, c.Kind, &c.Cursor, c)
	}
	f.told = batch.Cursor
	return f.write(b)
}

// placed gives the changes that are wanted of a batch in the order of their cursors, each with one to go on after. Resolving
// for one resource makes several changes of one, and whoever goes on after the first of these, having been cut off, has to
// get the others: so only the last of them has their cursor, those before it have the one of the change before. And the
// last of all has the batch's: it says too that what else the event changed is not wanted. The changes given are shared
// with other followers and stay as they are.
func placed(wanted []consumers.Change, batch consumers.Batch, before consumers.Cursor) []consumers.Change {
	changes := slices.Clone(wanted)
	slices.SortStableFunc(changes, func(a, b consumers.Change) int {
		switch {
		case a.Cursor.Before(b.Cursor):
			return -1
		case b.Cursor.Before(a.Cursor):
			return 1
		}
		return 0
	})
	last := len(changes) - 1
	for i := range changes[:last] {
		own := changes[i].Cursor
		if changes[i+1].Cursor != own {
			continue
		}
		changes[i].Cursor = before
		if j := slices.IndexFunc(batch.Changes, func(c consumers.Change) bool { return c.Cursor == own }); j > 0 {
			changes[i].Cursor = batch.Changes[j-1].Cursor
		}
	}
	changes[last].Cursor = batch.Cursor
	return changes
}

// look looks after a follower that was written nothing for a while.
func (f *follower) look() error {
	if f.told != f.at {
		return f.checkpoint()
	}
	if f.quiet++; f.quiet < looks {
		return nil
	}
	return f.write([]byte(": heartbeat\n\n"))
}

// checkpoint says how far the follower has come.
func (f *follower) checkpoint() error {
	f.told = f.at
	return f.write(appendEvent(nil, "checkpoint", &f.at, struct {
		Cursor consumers.Cursor `json:"cursor"`
		Seq    domain.Seq       `json:"seq"`
	}{f.at, f.at.Seq}))
}

// mustRefetch says that the follower can't go on from where it is, and from where on it could have. The empty id makes an
// EventSource forget its own, so that it does not come back with it.
func (f *follower) mustRefetch(ctx context.Context, why error) error {
	status, err := f.feed.Status(ctx)
	if err != nil {
		return err
	}
	return f.write(appendEvent(nil, "must_refetch", &consumers.Cursor{}, struct {
		Reason string           `json:"reason"`
		From   consumers.Cursor `json:"from"`
	}{why.Error(), status.From}))
}

// appendEvent appends one event. An id of nil leaves the follower's as it is; the zero Cursor empties it.
func appendEvent(b []byte, name string, id *consumers.Cursor, data any) []byte {
	if id != nil {
		b = append(b, "id:"...)
		if *id != (consumers.Cursor{}) {
			b = append(append(b, ' '), id.String()...)
		}
		b = append(b, '\n')
	}
	b = append(append(b, "event: "...), name...)
	b = append(append(b, "\ndata: "...), marshal(data)...) // one line: JSON's line breaks are escaped
	return append(b, "\n\n"...)
}

// head sets what every answer of the feed begins with.
func (f *follower) head() {
	h := f.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that gathers answers would keep the follower waiting
}

// write writes and sends, and gives up where nothing of it is taken for too long. It goes out in pieces, each with its own
// time: a slow follower is not one that is gone.
func (f *follower) write(b []byte) error {
	if !f.begun {
		f.head()
		f.begun = true
	}
	f.quiet = 0
	for piece := range slices.Chunk(b, sendAt) {
		err := f.control.SetWriteDeadline(time.Now().Add(f.takeWait))
		if errors.Is(err, http.ErrNotSupported) { // within this process, where nothing is on its way
			err = nil
		}
		if err == nil {
			_, err = f.w.Write(piece)
		}
		if err == nil {
			err = f.control.Flush()
		}
		if err != nil {
			f.gone = true
			return err
		}
	}
	return nil
}
