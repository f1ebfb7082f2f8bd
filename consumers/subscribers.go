package consumers

// Who follows the feed, and how far each has come: webhooks that were registered, and followers that acknowledge what they
// have seen. This file owns what is kept about them; it never delivers anything (courier.go).
//
// A subscriber is one value in the state bucket, changed by compare-and-set on its revision, so that any number of servers
// may change it. A webhook's secret and the query of its URL lie in that value and are given out by nothing here, but for
// the secret at the moment it is registered.

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// The sorts of subscriber.
const (
	SortWebhook  = "webhook"  // changes are delivered to it
	SortFollower = "follower" // it follows by itself and acknowledges what it has seen
)

// The states of a subscriber. A follower is always active.
const (
	StateActive   = "active"
	StateRetrying = "retrying" // its last delivery failed and will be tried again at NextTry
	StateDisabled = "disabled" // nothing is delivered until somebody enables it; Reason says why
)

// Why a webhook is disabled.
const (
	ReasonGone        = "gone"         // it answered 410
	ReasonExhausted   = "exhausted"    // one delivery failed for a day
	ReasonMustRefetch = "must_refetch" // what comes after its cursor is not kept any more, and it was told so
	ReasonByHand      = "by hand"
)

// A Subscriber is somebody who follows the feed, as shown: without its secret and without the query of its URL.
type Subscriber struct {
	Name      string         `json:"name"` // [a-z0-9][a-z0-9-]{0,62}
	Sort      string         `json:"sort"`
	URL       string         `json:"url,omitempty"` // a webhook's
	Filter    Filter         `json:"filter,omitzero"`
	Cursor    Cursor         `json:"cursor"` // it has seen everything that it wants up to here
	State     string         `json:"state"`
	Reason    string         `json:"reason,omitempty"`
	LastError string         `json:"last_error,omitempty"` // of the newest delivery, where it failed
	Failures  int            `json:"failures,omitempty"`   // in a row
	Since     domain.Instant `json:"failing_since,omitzero"`
	NextTry   domain.Instant `json:"next_try,omitzero"`
	Created   domain.Instant `json:"created"`
	Acked     domain.Instant `json:"acked,omitzero"`      // when the cursor last moved
	Delivered uint64         `json:"delivered,omitempty"` // how many deliveries were taken
	Lag       *Lag           `json:"lag,omitempty"`       // as of when it was asked for
}

// Lag is how far a subscriber is behind the ledger.
type Lag struct {
	Events  uint64  `json:"events"`  // how many events it has not, or not wholly, seen
	Seconds float64 `json:"seconds"` // how long ago the first of these was recorded
}

// A record is a subscriber as it is kept.
type record struct {
	Subscriber
	Target string `json:"target,omitempty"` // a webhook's URL, whole
	Secret string `json:"secret,omitempty"`
	// Run is another each time that somebody registers, enables or disables the webhook: whoever delivers for one run
	// ends when there is another.
	Run string `json:"run,omitempty"`
}

// SubscribersOptions say whose subscribers they are and where they lie.
type SubscribersOptions struct {
	Ledger Ledger
	State  jetstream.KeyValue // see OpenState
	// TimeOf is when an event was recorded.
	TimeOf func(context.Context, domain.Seq) (domain.Instant, error)
	Now    func() time.Time // nil: time.Now
}

// Subscribers are those of one ledger. Its methods may be called concurrently. Errors: Unavailable where the state can't be
// reached; Malformed for a bad name; Unknown where there is no such subscriber.
type Subscribers struct {
	o    SubscribersOptions
	mark string
}

// NewSubscribers makes them known.
func NewSubscribers(o SubscribersOptions) *Subscribers {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Subscribers{o: o, mark: MarkOf(o.Ledger.Org(), o.Ledger.Created())}
}

// List gives all subscribers by name.
func (s *Subscribers) List(ctx context.Context) ([]Subscriber, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Subscriber, len(records))
	for i, r := range records {
		if list[i], err = s.show(ctx, r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// AtLeast tells who has seen everything up to and with an event, and who has not.
func (s *Subscribers) AtLeast(ctx context.Context, seq domain.Seq) (seen, unseen []Subscriber, err error) {
	list, err := s.List(ctx)
	for _, sub := range list {
		if sub.Cursor.Mark == s.mark && !sub.Cursor.Before(Cursor{Seq: seq}) {
			seen = append(seen, sub)
		} else {
			unseen = append(unseen, sub)
		}
	}
	return seen, unseen, err
}

// Get gives one.
func (s *Subscribers) Get(ctx context.Context, name string) (Subscriber, error) {
	if err := checkSubscriber(name); err != nil {
		return Subscriber{}, err
	}
	r, _, err := s.read(ctx, name)
	if err != nil {
		return Subscriber{}, err
	}
	return s.show(ctx, r)
}

// AddWebhook registers a webhook that gets what comes after the cursor; the zero Cursor is before the first event. Without
// a secret it gets one. The secret is given back this once. Errors: Malformed, also for a cursor beyond the ledger's head;
// Conflict where the name is taken or the cursor is of another log.
func (s *Subscribers) AddWebhook(ctx context.Context, name, url, secret string, f Filter, from Cursor) (Subscriber, string, error) {
	if err := checkSubscriber(name); err != nil {
		return Subscriber{}, "", err
	}
	shown, err := checkTarget(url)
	if err != nil {
		return Subscriber{}, "", err
	}
	if secret == "" {
		secret = newSecret()
	} else if err := checkSecret(secret); err != nil {
		return Subscriber{}, "", err
	}
	if err := f.check(); err != nil {
		return Subscriber{}, "", err
	}
	if from, err = s.checkCursor(ctx, from); err != nil {
		return Subscriber{}, "", err
	}
	r := record{
		Subscriber: Subscriber{Name: name, Sort: SortWebhook, URL: shown, Filter: f, Cursor: from, State: StateActive, Created: s.now()},
		Target:     url, Secret: secret, Run: rand.Text(),
	}
	switch err := s.create(ctx, r); {
	case errors.Is(err, errChanged):
		return Subscriber{}, "", domain.Errorf(domain.Conflict, "subscriber_exists", "subscriber %s is there already: remove it first, or choose another name", name)
	case err != nil:
		return Subscriber{}, "", err
	}
	sub, err := s.show(ctx, r)
	return sub, secret, err
}

// Remove forgets a subscriber and, for good, its secret.
func (s *Subscribers) Remove(ctx context.Context, name string) error {
	if err := checkSubscriber(name); err != nil {
		return err
	}
	if _, _, err := s.read(ctx, name); err != nil && !errors.Is(err, domain.Integrity) { // what can't be read can be removed
		return err
	}
	if err := s.o.State.Purge(ctx, s.key(name)); err != nil {
		return unreachableState("forget subscriber "+name, err)
	}
	return nil
}

// Enable has a webhook's deliveries go on from its cursor, at once, whatever state it is in: one that must refetch is only
// told so again, and has to be removed and registered anew with the cursor of a snapshot. Conflict for a follower.
func (s *Subscribers) Enable(ctx context.Context, name string) (Subscriber, error) {
	return s.byHand(ctx, name, func(r *record) { r.recovered() })
}

// Disable ends a webhook's deliveries until it is enabled; its cursor stays. Conflict for a follower.
func (s *Subscribers) Disable(ctx context.Context, name string) (Subscriber, error) {
	return s.byHand(ctx, name, func(r *record) { r.disable(ReasonByHand) })
}

func (s *Subscribers) byHand(ctx context.Context, name string, change func(*record)) (Subscriber, error) {
	if err := checkSubscriber(name); err != nil {
		return Subscriber{}, err
	}
	r, err := s.update(ctx, name, func(r *record) error {
		if r.Sort != SortWebhook {
			return domain.Errorf(domain.Conflict, "not_a_webhook", "subscriber %s follows by itself: only a webhook is enabled and disabled", name)
		}
		change(r)
		r.Run = rand.Text()
		return nil
	})
	if err != nil {
		return Subscriber{}, err
	}
	return s.show(ctx, r)
}

// Acknowledge notes that a follower has seen everything that it wants up to a cursor, and who is not there yet becomes a
// subscriber by it. A cursor before the one that was acknowledged changes nothing. Errors: Malformed for a cursor beyond
// the ledger's head; Conflict where it is of another log, or for a webhook, whose cursor is what was delivered to it.
func (s *Subscribers) Acknowledge(ctx context.Context, name string, cursor Cursor) (Subscriber, error) {
	if err := checkSubscriber(name); err != nil {
		return Subscriber{}, err
	}
	cursor, err := s.checkCursor(ctx, cursor)
	if err != nil {
		return Subscriber{}, err
	}
	acknowledge := func(r *record) error {
		switch {
		case r.Sort != SortFollower:
			return domain.Errorf(domain.Conflict, "is_a_webhook", "subscriber %s is a webhook: its cursor moves by what is delivered to it", name)
		case r.Cursor.Mark == cursor.Mark && !r.Cursor.Before(cursor):
			return errNothing
		}
		r.Cursor, r.Acked = cursor, s.now()
		return nil
	}
	for {
		r, err := s.update(ctx, name, acknowledge)
		if errors.Is(err, domain.Unknown) {
			now := s.now()
			r = record{Subscriber: Subscriber{Name: name, Sort: SortFollower, Cursor: cursor, State: StateActive, Created: now, Acked: now}}
			err = s.create(ctx, r)
		}
		switch {
		case errors.Is(err, errChanged): // somebody made it at the same time
			continue
		case err != nil:
			return Subscriber{}, err
		}
		return s.show(ctx, r)
	}
}

// recovered is what a webhook is after a delivery that was taken, or once enabled.
func (r *record) recovered() {
	r.State, r.Reason, r.LastError, r.Failures, r.Since, r.NextTry = StateActive, "", "", 0, 0, 0
}

// disable leaves the error that led to it, and no failures to go on counting from.
func (r *record) disable(reason string) {
	r.State, r.Reason, r.Failures, r.Since, r.NextTry = StateDisabled, reason, 0, 0, 0
}

// show is the record without what is nobody's to see, and how far it is behind.
func (s *Subscribers) show(ctx context.Context, r record) (Subscriber, error) {
	sub, head := r.Subscriber, s.o.Ledger.Head()
	sub.Lag = &Lag{}
	next := sub.Cursor.Seq + 1 // the first event that it has not wholly seen
	switch {
	case sub.Cursor.Mark != s.mark:
		next = 1
	case sub.Cursor.N > 0:
		next--
	}
	if next > head {
		return sub, nil
	}
	recorded, err := s.o.TimeOf(ctx, next)
	if err != nil {
		return Subscriber{}, err
	}
	sub.Lag.Events = uint64(head-next) + 1
	sub.Lag.Seconds = max(0, s.o.Now().Sub(recorded.Time()).Seconds())
	return sub, nil
}

// headWait is how long a cursor beyond the head is given: what another server has recorded and handed out is known here
// within that time, or it is not of this ledger.
const headWait = time.Second

// checkCursor gives the cursor with the mark of this log.
func (s *Subscribers) checkCursor(ctx context.Context, c Cursor) (Cursor, error) {
	if c.Mark != "" && c.Mark != s.mark {
		return Cursor{}, domain.Errorf(domain.Conflict, "other_log", "cursor %s is of another log than the one that organisation %s has now: begin again with a snapshot", c, s.o.Ledger.Org())
	}
	c.Mark = s.mark
	if c.Seq <= s.o.Ledger.Head() {
		return c, nil
	}
	waiting, cancel := context.WithTimeout(ctx, headWait)
	defer cancel()
	switch err := s.o.Ledger.Await(waiting, c.Seq-1); {
	case ctx.Err() != nil:
		return Cursor{}, ctx.Err()
	case waiting.Err() != nil:
		return Cursor{}, domain.Errorf(domain.Malformed, "beyond_head", "cursor %s is beyond the newest event, %d: want one that the feed gave", c, s.o.Ledger.Head())
	default:
		return c, err
	}
}

func (s *Subscribers) now() domain.Instant { return domain.InstantOf(s.o.Now()) }

func (s *Subscribers) key(name string) string {
	return string(s.o.Ledger.Org()) + ".subscriber." + name
}

var (
	// errChanged says that somebody else changed or made a record in between.
	errChanged = errors.New("the subscriber was changed by somebody else")
	// errNothing leaves a record as it is, from within update.
	errNothing = errors.New("nothing to change")
)

// records gives all by name, in one pass over the bucket.
func (s *Subscribers) records(ctx context.Context) ([]record, error) {
	var records []record
	err := everyRecord(ctx, s.o.State, s.key("*"), func(e jetstream.KeyValueEntry) error {
		r, err := decodeRecord(e)
		// One that changed meanwhile comes again.
		records = append(slices.DeleteFunc(records, func(old record) bool { return old.Name == r.Name }), r)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.Name, b.Name) })
	return records, nil
}

// everyRecord calls do with each entry of the bucket under a key, in one pass.
func everyRecord(ctx context.Context, state jetstream.KeyValue, key string, do func(jetstream.KeyValueEntry) error) error {
	const doing = "list the subscribers"
	watch, err := state.Watch(ctx, key, jetstream.IgnoreDeletes())
	if err != nil {
		return unreachableState(doing, err)
	}
	defer watch.Stop()
	for {
		select {
		case e, ok := <-watch.Updates():
			switch {
			case !ok:
				return unreachableState(doing, jetstream.ErrConsumerDeleted)
			case e == nil: // that was all
				return nil
			}
			if err := do(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return unreachableState(doing, ctx.Err())
		}
	}
}

// A Standing is what subscribers have in common: their sort and their state.
type Standing struct{ Sort, State string }

// Standings are all there are.
var Standings = []Standing{{SortWebhook, StateActive}, {SortWebhook, StateRetrying}, {SortWebhook, StateDisabled}, {SortFollower, StateActive}}

// CountSubscribers counts the subscribers of all ledgers of a server, in one pass over the bucket, however many ledgers
// there are. One that can't be read counts for nothing here: listing its ledger's says so. Errors: Unavailable.
func CountSubscribers(ctx context.Context, state jetstream.KeyValue) (map[Standing]int, error) {
	at := make(map[string]Standing) // by key, as one that changes meanwhile comes again
	err := everyRecord(ctx, state, "*.subscriber.*", func(e jetstream.KeyValueEntry) error {
		if r, err := decodeRecord(e); err == nil {
			at[e.Key()] = Standing{r.Sort, r.State}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	count := make(map[Standing]int)
	for _, s := range at {
		count[s]++
	}
	return count, nil
}

func (s *Subscribers) read(ctx context.Context, name string) (record, uint64, error) {
	e, err := s.o.State.Get(ctx, s.key(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return record{}, 0, domain.Errorf(domain.Unknown, "unknown_subscriber", "organisation %s has no subscriber %s", s.o.Ledger.Org(), name)
	case err != nil:
		return record{}, 0, unreachableState("read subscriber "+name, err)
	}
	r, err := decodeRecord(e)
	return r, e.Revision(), err
}

// create writes a record that is not there. errChanged where it is.
func (s *Subscribers) create(ctx context.Context, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	switch _, err := s.o.State.Create(ctx, s.key(r.Name), b); {
	case errors.Is(err, jetstream.ErrKeyExists):
		return errChanged
	case err != nil:
		return unreachableState("add subscriber "+r.Name, err)
	}
	return nil
}

// update changes a record by what change makes of it, again where somebody else was first; an error of change leaves it.
func (s *Subscribers) update(ctx context.Context, name string, change func(*record) error) (record, error) {
	for {
		r, revision, err := s.read(ctx, name)
		if err != nil {
			return record{}, err
		}
		switch err := change(&r); {
		case err == errNothing:
			return r, nil
		case err != nil:
			return record{}, err
		}
		b, err := json.Marshal(r)
		if err != nil {
			return record{}, err
		}
		switch _, err = s.o.State.Update(ctx, s.key(name), b, revision); {
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
			continue
		case err != nil:
			return record{}, unreachableState("change subscriber "+name, err)
		}
		return r, nil
	}
}

// decodeRecord never quotes what it can't read: the secret is in it.
func decodeRecord(e jetstream.KeyValueEntry) (record, error) {
	var r record
	if json.Unmarshal(e.Value(), &r) != nil {
		return record{}, domain.Errorf(domain.Integrity, "bad_subscriber", "%s at revision %d of the bucket %s is not a subscriber: remove it", e.Key(), e.Revision(), e.Bucket())
	}
	return r, nil
}

func checkSubscriber(name string) error {
	if _, err := domain.ParseOrg(name); err != nil { // the same letters as an organisation's name
		return domain.Errorf(domain.Malformed, "bad_subscriber_name", "subscriber %q: want 1 to 63 of a-z, 0-9 and -, not beginning with -", clip(name))
	}
	return nil
}

// check tells whether the filter's names could be those of accounts and kinds.
func (f Filter) check() error {
	if f.About != "" {
		if _, err := domain.ParseResource(string(f.About)); err != nil {
			return err
		}
	}
	if f.Subject != "" {
		if _, err := domain.ParseAccount(string(f.Subject)); err != nil {
			return err
		}
	}
	for _, k := range f.Kinds {
		if _, err := domain.ParseName("kind", k); err != nil {
			return err
		}
	}
	return nil
}

func unreachableState(doing string, err error) error {
	return domain.Errorf(domain.Unavailable, "no_state", "%s: the feeds' state can't be reached now, try again: %v", doing, err)
}
