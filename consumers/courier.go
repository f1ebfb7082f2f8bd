package consumers

// Which server delivers a ledger's webhooks, and to which: a courier holds the ledger's lease and keeps a worker
// (deliver.go) for each webhook that is not disabled. This file never delivers.
//
// The lease is the value "<org>.courier" of the state bucket: its owner's name. The owner writes it anew, by
// compare-and-set, every renewEvery; whoever has seen it unchanged for leaseFor takes it over. So no clock is compared with
// another machine's: an end written into it would be the owner's clock, and one that is ahead would take it from an owner
// that is there. The price: after a crash nothing is delivered for leaseFor, by the same server either.
//
// An owner that can't renew stops its workers, and waits for them, well before another may begin (renewEvery + stateFor <
// leaseFor). Only one that stood still for longer, as a whole, may still have a request on its way when its successor
// begins. Then, and where a server ends between an answer and the note of it, a delivery comes twice, with the same
// webhook-id; where cursors stand is safe in any case, as a worker moves one only from where it found it.
//
// A ledger that has no webhook to deliver to has no lease and costs a watch on a few keys.

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	leaseFor   = 15 * time.Second
	renewEvery = 5 * time.Second
	// stateFor bounds the wait for one write of the state.
	stateFor = 3 * time.Second
)

// CourierOptions say what a courier delivers, and to whom.
type CourierOptions struct {
	Feed        *Feed
	Subscribers *Subscribers
	HTTP        *http.Client                         // nil: the default one; without a Timeout it gets one of 15 s
	Now         func() time.Time                     // nil: time.Now
	After       func(time.Duration) <-chan time.Time // nil: time.After
	Rand        func() float64                       // from 0 up to 1; nil: math/rand
	Logger      *slog.Logger                         // nil: silent
}

// A Courier delivers the changes of one ledger to its webhooks.
type Courier struct {
	o     CourierOptions
	http  *http.Client
	owner string
	open  func(context.Context, Cursor) (reader, error) // the feed's
}

// reader is what a worker needs of a *FeedReader.
type reader interface {
	Next(context.Context) (Batch, error)
	Close()
}

// NewCourier makes a courier; Run runs it.
func NewCourier(o CourierOptions) *Courier {
	client := http.Client{}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	if client.Timeout == 0 {
		client.Timeout = tryFor
	}
	// What is sent is signed for one URL: it goes nowhere else.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Rand == nil {
		o.Rand = mathrand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Courier{
		o: o, http: &client, owner: rand.Text(),
		open: func(ctx context.Context, after Cursor) (reader, error) { return o.Feed.Open(ctx, after) },
	}
}

// Run delivers, whenever no other server does, until ctx ends; then it waits for what it started and returns nil.
func (c *Courier) Run(ctx context.Context) error {
	for failures := 0; ; {
		began := c.o.Now()
		err := c.turn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if c.o.Now().Sub(began) > pauseMost {
			failures = 0
		}
		failures++
		c.o.Logger.Warn("webhooks can't be delivered now, and will be", "org", c.org(), "error", err)
		select {
		case <-c.o.After(c.pause(failures)):
		case <-ctx.Done():
			return nil
		}
	}
}

const (
	pauseFirst = time.Second
	pauseMost  = 30 * time.Second
)

// pause is how long to wait after so many failures of ours in a row: not of a webhook's.
func (c *Courier) pause(failures int) time.Duration {
	d := min(pauseFirst<<min(failures-1, 16), pauseMost)
	return d - time.Duration(c.o.Rand()*float64(d)/2)
}

func (c *Courier) org() domain.Org { return c.o.Subscribers.o.Ledger.Org() }

// A turn is what a courier knows from its watch on, until that breaks off.
type turn struct {
	c        *Courier
	state    jetstream.KeyValue
	key      string            // of the lease
	runs     map[string]string // the run of each webhook that is not disabled, by name
	workers  map[string]*worker
	held     bool // the lease is ours, at revision
	owner    string
	revision uint64    // the newest that we know the lease at; 0: it never was
	since    time.Time // when we knew of it
}

// turn watches the registrations and the lease, and keeps the workers that they ask for. It returns when ctx ends, or with
// what broke off.
func (c *Courier) turn(ctx context.Context) error {
	subs := c.o.Subscribers
	t := &turn{c: c, state: subs.o.State, key: string(c.org()) + ".courier", runs: map[string]string{}, workers: map[string]*worker{}}
	watch, err := t.state.WatchFiltered(ctx, []string{subs.key("*"), t.key})
	if err != nil {
		return unreachableState("watch the subscribers", err)
	}
	defer watch.Stop()
	defer t.end(ctx)
	var wake <-chan time.Time
	for told := false; ; {
		select {
		case e, ok := <-watch.Updates():
			switch {
			case !ok:
				return unreachableState("watch the subscribers", errors.New("the watch ended"))
			case e == nil:
				told = true // of all that there was when it began
			case e.Key() == t.key:
				t.noteLease(e)
			default:
				t.noteSubscriber(e)
			}
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !told {
			continue
		}
		wait, err := t.settle(ctx)
		if err != nil {
			return err
		}
		wake = nil
		if wait > 0 {
			wake = c.o.After(wait)
		}
	}
}

func (t *turn) noteLease(e jetstream.KeyValueEntry) {
	if e.Revision() <= t.revision { // our own writes come back
		return
	}
	t.owner, t.revision, t.since = "", e.Revision(), t.c.o.Now()
	if e.Operation() == jetstream.KeyValuePut {
		t.owner = string(e.Value())
	}
	t.held = false
}

func (t *turn) noteSubscriber(e jetstream.KeyValueEntry) {
	name := e.Key()[len(t.c.o.Subscribers.key("")):]
	delete(t.runs, name)
	if e.Operation() != jetstream.KeyValuePut {
		return
	}
	r, err := decodeRecord(e)
	if err != nil {
		t.c.o.Logger.Error("nothing is delivered to a subscriber", "org", t.c.org(), "subscriber", name, "error", err)
		return
	}
	if r.Sort == SortWebhook && r.State != StateDisabled {
		t.runs[name] = r.Run
	}
}

// settle brings the lease and the workers in line with what is known, and says when to look again; 0: when told.
func (t *turn) settle(ctx context.Context) (time.Duration, error) {
	if len(t.runs) == 0 {
		t.stop()
		return 0, t.release(ctx)
	}
	age := t.c.o.Now().Sub(t.since)
	switch {
	case t.held && age < renewEvery:
	case t.held, t.owner == "", t.owner == t.c.owner, age >= leaseFor:
		if err := t.take(ctx); err != nil {
			return 0, err
		}
	}
	if !t.held { // it is another's, which begins anew when that changes it
		t.stop()
		return max(leaseFor-t.c.o.Now().Sub(t.since), time.Millisecond), nil
	}
	for name, w := range t.workers {
		if t.runs[name] != w.run {
			w.stop()
			delete(t.workers, name)
		}
	}
	for name, run := range t.runs {
		if t.workers[name] == nil {
			t.workers[name] = t.c.startWorker(ctx, name, run)
		}
	}
	return max(renewEvery-t.c.o.Now().Sub(t.since), time.Millisecond), nil
}

// take writes the lease as ours. Where another was first it is not ours any more: the watch will say whose it is.
func (t *turn) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stateFor)
	defer cancel()
	began := t.c.o.Now()
	revision, err := t.state.Update(ctx, t.key, []byte(t.c.owner), t.revision)
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		t.held, t.owner, t.since = false, "somebody else", began
		return nil
	case err != nil:
		return unreachableState("take the couriers' lease", err)
	}
	t.held, t.owner, t.revision, t.since = true, t.c.owner, revision, began
	return nil
}

// release lets another courier begin at once.
func (t *turn) release(ctx context.Context) error {
	if !t.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateFor)
	defer cancel()
	t.held = false
	switch err := t.state.Delete(ctx, t.key, jetstream.LastRevision(t.revision)); {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch): // it was taken from us
		return nil
	case err != nil:
		return unreachableState("release the couriers' lease", err)
	}
	return nil
}

// end leaves nothing running. A lease that can't be released runs out.
func (t *turn) end(ctx context.Context) {
	t.stop()
	t.release(ctx)
}

// stop ends all workers and waits for them.
func (t *turn) stop() {
	for _, w := range t.workers {
		w.cancel()
	}
	for name, w := range t.workers {
		w.stop()
		delete(t.workers, name)
	}
}
