package consumers

// Delivering to one webhook: a worker reads the feed after the webhook's cursor, posts what the webhook wants, in order,
// and moves the cursor. It never goes past what was not taken, and never decides whether it is this server's turn
// (courier.go).
//
// Whatever fails, the worker writes down how it stands and begins anew from what is written, so going on after a failure, a
// restart or a takeover is one path. What is posted after a cursor is always the same: where the cursor is within an event,
// the event is read and filtered from its beginning, as what is about one client may follow from several of its changes.

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/permledger/permledger/domain"
)

// waits are the waits after the failures of one delivery: about a day in all, each up to a tenth longer by chance, so that
// webhooks that failed together are not tried together.
var waits = [...]time.Duration{
	5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 6 * time.Hour, 10 * time.Hour,
}

// exhaustedAfter is all of them together: a webhook that asks to be tried again sooner is given as long.
var exhaustedAfter = func() (sum time.Duration) {
	for _, d := range waits {
		sum += d
	}
	return sum
}()

const (
	// deliveryMost is how many changes one delivery holds; more only where they have one cursor, as a cursor can't be
	// between them.
	deliveryMost = 100
	// noteEvery is how often at most a cursor is written down that moved over what the webhook does not want.
	noteEvery = time.Second
)

type worker struct {
	c      *Courier
	name   string
	run    string
	cancel context.CancelFunc
	done   chan struct{}
}

func (c *Courier) startWorker(ctx context.Context, name, run string) *worker {
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{c: c, name: name, run: run, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.work(ctx)
	}()
	return w
}

// stop ends it and waits for it.
func (w *worker) stop() {
	w.cancel()
	<-w.done
}

// errMoved says that the record is not as the worker left it: it begins anew from what is there.
var errMoved = errors.New("somebody else changed the subscriber")

// work delivers until ctx ends or it is another run's turn, or nobody's.
func (w *worker) work(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		r, _, err := w.c.o.Subscribers.read(ctx, w.name)
		if errors.Is(err, domain.Unknown) || err == nil && (r.Run != w.run || r.State == StateDisabled) {
			return
		}
		if err == nil && w.wait(ctx, r.NextTry) {
			err = w.follow(ctx, r)
		}
		if err == nil || errors.Is(err, errMoved) {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		w.c.o.Logger.Warn("a webhook can't be served now, and will be", "org", w.c.org(), "subscriber", w.name, "error", err)
		select {
		case <-w.c.o.After(w.c.pause(failures)):
		case <-ctx.Done():
		}
	}
}

// wait tells whether it is that time, and not the end.
func (w *worker) wait(ctx context.Context, until domain.Instant) bool {
	if d := until.Time().Sub(w.c.o.Now()); until != 0 && d > 0 {
		select {
		case <-w.c.o.After(d):
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// follow delivers what comes after the record's cursor, until something fails: nil where that is written down.
func (w *worker) follow(ctx context.Context, r record) error {
	if err := w.reach(ctx, r.Cursor); err != nil {
		return err
	}
	from := r.Cursor
	if from.N > 0 {
		from.Seq, from.N = from.Seq-1, 0
	}
	feed, err := w.c.open(ctx, from)
	if err != nil {
		return w.ended(ctx, r, err)
	}
	defer feed.Close()
	reading, cancel := context.WithCancel(ctx)
	batches, failed := make(chan Batch), error(nil)
	go func() {
		defer close(batches)
		for {
			b, err := feed.Next(reading)
			if err != nil {
				failed = err
				return
			}
			select {
			case batches <- b:
			case <-reading.Done():
				failed = reading.Err()
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range batches { // until it has ended
		}
	}()

	var unnoted Cursor // after r.Cursor, where note is not nil
	var note <-chan time.Time
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return w.ended(ctx, r, failed)
			}
			wanted, err := r.Filter.Of(ctx, w.c.o.Subscribers.o.Ledger, b.Changes)
			if err != nil {
				return err
			}
			for _, d := range w.deliveries(r.Cursor, wanted, b.Cursor) {
				note = nil
				if taken, err := w.deliver(ctx, &r, d); !taken {
					return err
				}
			}
			if r.Cursor.Before(b.Cursor) {
				unnoted = b.Cursor
				if note == nil {
					note = w.c.o.After(noteEvery)
				}
			}
		case <-note:
			note = nil
			if err := w.store(ctx, &r, func(r *record) { w.move(r, unnoted) }); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reach waits until this server knows what the cursor's owner has seen: a server that just started may not yet.
func (w *worker) reach(ctx context.Context, cursor Cursor) error {
	subs := w.c.o.Subscribers
	if cursor.Seq == 0 || cursor.Mark != subs.mark {
		return nil
	}
	return subs.o.Ledger.Await(ctx, cursor.Seq-1)
}

// deliveries are the changes of a batch that were not delivered yet, in parts by their cursors. The last part has the cursor
// of the batch: of what comes after its changes nothing is wanted.
func (w *worker) deliveries(delivered Cursor, wanted []Change, end Cursor) []Delivery {
	// A copy: batches are shared. What is about one resource has each the cursor of the last that bears on it, in no order.
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(c Change) bool { return !delivered.Before(c.Cursor) })
	slices.SortStableFunc(wanted, func(a, b Change) int {
		switch {
		case a.Cursor.Before(b.Cursor):
			return -1
		case b.Cursor.Before(a.Cursor):
			return 1
		}
		return 0
	})
	var parts []Delivery
	for len(wanted) > 0 {
		n := min(deliveryMost, len(wanted))
		for n < len(wanted) && n > 0 && wanted[n].Cursor == wanted[n-1].Cursor {
			n--
		}
		if n == 0 { // all of them have one cursor
			for n = deliveryMost; n < len(wanted) && wanted[n].Cursor == wanted[0].Cursor; n++ {
			}
		}
		part := wanted[:n]
		wanted = wanted[n:]
		d := Delivery{Type: TypeChanges, Data: DeliveryData{Org: w.c.org(), Cursor: part[n-1].Cursor, Seq: part[n-1].Seq, Changes: part}}
		if len(wanted) == 0 {
			d.Data.Cursor = end
		}
		for _, c := range part {
			d.Timestamp = max(d.Timestamp, c.At)
		}
		parts = append(parts, d)
	}
	return parts
}

// ended is what follows where the feed can't be followed any more.
func (w *worker) ended(ctx context.Context, r record, err error) error {
	if !errors.Is(err, ErrRefetch) {
		return err
	}
	d := Delivery{
		Type: TypeMustRefetch, Timestamp: w.c.o.Subscribers.now(),
		Data: DeliveryData{Org: w.c.org(), Cursor: r.Cursor, Seq: r.Cursor.Seq},
	}
	taken, err := w.deliver(ctx, &r, d)
	if !taken {
		return err
	}
	w.disabled(ReasonMustRefetch)
	return nil
}

// deliver tries once, and writes down how it went: the cursor moved, when to try again, or that the webhook is disabled.
// Not taken and no error: it failed, which is written down.
func (w *worker) deliver(ctx context.Context, r *record, d Delivery) (taken bool, err error) {
	now := w.c.o.Now()
	o, err := post(ctx, w.c.http, now, *r, d)
	if err != nil {
		return false, err
	}
	taken = o.problem == ""
	err = w.store(ctx, r, func(r *record) {
		switch {
		case taken && d.Type == TypeMustRefetch:
			r.Delivered++
			r.disable(ReasonMustRefetch)
			r.LastError = ErrRefetch.Error()
		case taken:
			r.Delivered++
			r.recovered()
			w.move(r, d.Data.Cursor)
		default:
			w.failed(r, o)
		}
	})
	if err != nil {
		return false, err
	}
	if r.State == StateDisabled && !taken {
		w.disabled(r.Reason)
	}
	return taken, nil
}

// failed notes a failure and what comes of it.
func (w *worker) failed(r *record, o outcome) {
	now := w.c.o.Now()
	r.LastError = o.problem
	if r.Failures == 0 {
		r.Since = domain.InstantOf(now)
	}
	r.Failures++
	switch {
	case o.gone:
		r.disable(ReasonGone)
	case r.Failures > len(waits) && now.Sub(r.Since.Time()) >= exhaustedAfter:
		r.disable(ReasonExhausted)
	default:
		r.State = StateRetrying
		r.NextTry = domain.InstantOf(now.Add(w.c.waitAfter(r.Failures, o.after)))
	}
}

// waitAfter is how long to wait after so many failures in a row, the webhook having asked for a wait, or not (0).
func (c *Courier) waitAfter(failures int, asked time.Duration) time.Duration {
	d := waits[min(failures, len(waits))-1]
	if asked > 0 {
		d = min(max(asked, waits[0]), waits[len(waits)-1])
	}
	return d + time.Duration(c.o.Rand()*float64(d)/10)
}

func (w *worker) move(r *record, to Cursor) {
	r.Cursor, r.Acked = to, domain.InstantOf(w.c.o.Now())
}

func (w *worker) disabled(reason string) {
	w.c.o.Logger.Warn("a webhook is disabled", "org", w.c.org(), "subscriber", w.name, "reason", reason)
}

// store changes what is kept, and r with it. It is not given up where ctx ends: what was taken must not be sent again for
// want of a note. errMoved where somebody else changed it.
func (w *worker) store(ctx context.Context, r *record, change func(*record)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateFor)
	defer cancel()
	kept, err := w.c.o.Subscribers.update(ctx, w.name, func(kept *record) error {
		if kept.Run != w.run || kept.Cursor != r.Cursor {
			return errMoved
		}
		change(kept)
		return nil
	})
	if err != nil {
		return err
	}
	*r = kept
	return nil
}
