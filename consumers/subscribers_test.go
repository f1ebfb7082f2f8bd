package consumers

// What the tests of subscribers, webhooks and couriers share, and the tests of what is kept about subscribers.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

var house0 = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// A house is a ledger whose events are recorded a second apart from house0 on, and whose changes are what the test adds.
// It is a feed as well, from which the oldest may be dropped.
type house struct {
	mu      sync.Mutex
	head    domain.Seq
	steps   []domain.Step
	batches []Batch
	dropped domain.Seq
	changed chan struct{}
	awaited chan struct{} // gets one where somebody waits for the head, as far as it has room
}

func newHouse() *house { return &house{changed: make(chan struct{}), awaited: make(chan struct{}, 1)} }

func (h *house) Org() domain.Org    { return "acme" }
func (h *house) Created() time.Time { return house0 }
func (h *house) mark() string       { return MarkOf(h.Org(), h.Created()) }

func (h *house) Head() domain.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head
}

func (h *house) Await(ctx context.Context, after domain.Seq) error {
	for {
		h.mu.Lock()
		head, changed := h.head, h.changed
		h.mu.Unlock()
		if head > after {
			return nil
		}
		select {
		case h.awaited <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *house) Steps(_ context.Context, after, upTo domain.Seq) iter.Seq2[domain.Step, error] {
	h.mu.Lock()
	steps := h.steps[after:upTo]
	h.mu.Unlock()
	return func(yield func(domain.Step, error) bool) {
		for _, s := range steps {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (h *house) About(_ context.Context, about domain.Resource, changes []Change) ([]Change, error) {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Resource != about }), nil
}

func (h *house) Snapshot(context.Context, Filter) (Snapshot, error) { return Snapshot{}, nil }

func (h *house) timeOf(_ context.Context, seq domain.Seq) (domain.Instant, error) {
	return domain.InstantOf(house0.Add(time.Duration(seq) * time.Second)), nil
}

// record adds an event by which the subjects gained view_record on client:c1; with none of them nothing changed.
func (h *house) record(subjects ...domain.Account) domain.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.head++
	at, _ := h.timeOf(context.Background(), h.head)
	step := domain.Step{Seq: h.head, At: at}
	for _, s := range subjects {
		step.Changes = append(step.Changes, domain.AccessChange{
			Effect: domain.Effect{Gained: true, Subject: s, Resource: "client:c1", Actions: []domain.Action{"view_record"}, ValidUntil: domain.Forever},
			At:     at, Cause: domain.Cause{Seq: h.head, Type: domain.RoleAssigned, Actor: "professional:root"},
		})
	}
	h.steps = append(h.steps, step)
	h.batches = append(h.batches, Batch{Changes: ChangesOf(step, h.mark()), Cursor: Cursor{Seq: h.head, Mark: h.mark()}})
	close(h.changed)
	h.changed = make(chan struct{})
	return h.head
}

// drop keeps nothing up to seq.
func (h *house) drop(seq domain.Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped = seq
}

func (h *house) open(_ context.Context, after Cursor) (reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if after.Seq < h.dropped || after.Mark != h.mark() || after.N != 0 || after.Seq > h.head {
		return nil, ErrRefetch
	}
	return &houseReader{h: h, next: after.Seq}, nil
}

type houseReader struct {
	h    *house
	next domain.Seq // the batch of seq n is at n-1
}

func (r *houseReader) Next(ctx context.Context) (Batch, error) {
	if err := r.h.Await(ctx, r.next); err != nil {
		return Batch{}, err
	}
	r.next++
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return r.h.batches[r.next-1], nil
}

func (r *houseReader) Close() {}

// A handClock goes on when the test says so.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []handTimer
	set    chan struct{} // gets one for each timer set, as far as it has room
}

type handTimer struct {
	at time.Time
	c  chan time.Time
}

func newHandClock() *handClock { return &handClock{now: house0, set: make(chan struct{}, 1)} }

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := handTimer{at: c.now.Add(d), c: make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	select {
	case c.set <- struct{}{}:
	default:
	}
	return t.c
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.timers = slices.DeleteFunc(c.timers, func(t handTimer) bool {
		due := !t.at.After(c.now)
		if due {
			t.c <- c.now
		}
		return due
	})
}

// hookState is a bucket on an embedded server.
func hookState(t testing.TB) (jetstream.KeyValue, *server.Server) {
	t.Helper()
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), DontListen: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	kv, _ := hookBucket(t, s)
	return kv, s
}

// hookBucket opens the bucket over a connection of its own.
func hookBucket(t testing.TB, s *server.Server) (jetstream.KeyValue, *nats.Conn) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := OpenState(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	return kv, nc
}

// hookSubscribers are those of the house, by a clock.
func hookSubscribers(h *house, kv jetstream.KeyValue, c *handClock) *Subscribers {
	return NewSubscribers(SubscribersOptions{Ledger: h, State: kv, TimeOf: h.timeOf, Now: c.Now})
}

func TestAcknowledge(t *testing.T) {
	h, clock := newHouse(), newHandClock()
	for range 10 {
		h.record("professional:anna")
	}
	kv, _ := hookState(t)
	subs := hookSubscribers(h, kv, clock)
	if _, _, err := subs.AddWebhook(t.Context(), "hook", "https://hooks.example/x", "", Filter{}, Cursor{}); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Minute)
	mark := h.mark()
	for _, c := range []struct {
		name, cursor string
		want         string // the cursor then, or
		failure      error
	}{
		{name: "gateway", cursor: "5", want: "5~" + mark},
		{name: "gateway", cursor: "3", want: "5~" + mark},
		{name: "gateway", cursor: "6.2~" + mark, want: "6.2~" + mark},
		{name: "gateway", cursor: "6.1", want: "6.2~" + mark},
		{name: "gateway", cursor: "6", want: "6~" + mark},
		{name: "gateway", cursor: "6.9", want: "6~" + mark},
		{name: "gateway", cursor: "7~00000000", failure: domain.Conflict},
		{name: "gateway", cursor: "11", failure: domain.Malformed},
		{name: "hook", cursor: "5", failure: domain.Conflict},
		{name: "Gateway", cursor: "5", failure: domain.Malformed},
		{name: "a.b", cursor: "5", failure: domain.Malformed},
		{name: ">", cursor: "5", failure: domain.Malformed},
		{name: "search", cursor: "10", want: "10~" + mark},
	} {
		cursor, err := ParseCursor(c.cursor)
		if err != nil {
			t.Fatal(err)
		}
		got, err := subs.Acknowledge(t.Context(), c.name, cursor)
		if !errors.Is(err, c.failure) || err == nil && got.Cursor.String() != c.want {
			t.Errorf("Acknowledge(%s, %s) = %v, %v; want %s, %v", c.name, c.cursor, got.Cursor, err, c.want, c.failure)
		}
	}
	got, err := subs.Get(t.Context(), "gateway")
	if err != nil || got.Sort != SortFollower || got.State != StateActive || *got.Lag != (Lag{Events: 4, Seconds: 53}) {
		t.Errorf("Get(gateway) = %+v, lag %+v, %v; want an active follower, 4 events behind, the first of 53 s ago", got, got.Lag, err)
	}
	if got, _ := subs.Get(t.Context(), "search"); *got.Lag != (Lag{}) {
		t.Errorf("search, which has seen all, is %+v behind", *got.Lag)
	}
	if _, err := subs.Disable(t.Context(), "gateway"); !errors.Is(err, domain.Conflict) {
		t.Errorf("Disable of a follower: %v; want Conflict", err)
	}
	seen, unseen, err := subs.AtLeast(t.Context(), 7)
	if got, want := fmt.Sprint(hookNames(seen), hookNames(unseen), err), "[search] [gateway hook] <nil>"; got != want {
		t.Errorf("AtLeast(7) = %s; want %s", got, want)
	}
	seen, unseen, err = subs.AtLeast(t.Context(), 6)
	if got, want := fmt.Sprint(hookNames(seen), hookNames(unseen), err), "[gateway search] [hook] <nil>"; got != want {
		t.Errorf("AtLeast(6) = %s; want %s", got, want)
	}
	if err := subs.Remove(t.Context(), "gateway"); err != nil {
		t.Fatal(err)
	}
	if _, err := subs.Get(t.Context(), "gateway"); !errors.Is(err, domain.Unknown) {
		t.Errorf("Get of a removed one: %v; want Unknown", err)
	}
	if _, err := subs.Acknowledge(t.Context(), "gateway", Cursor{Seq: 2}); err != nil {
		t.Errorf("Acknowledge after Remove: %v; want a new subscriber", err)
	}
}

// However many acknowledge at once, the farthest cursor stands, and the first of them makes the subscriber.
func TestAcknowledgeAtOnce(t *testing.T) {
	h, clock := newHouse(), newHandClock()
	for range 40 {
		h.record()
	}
	kv, _ := hookState(t)
	subs := hookSubscribers(h, kv, clock)
	var wg sync.WaitGroup
	for seq := range domain.Seq(40) {
		wg.Go(func() {
			if _, err := subs.Acknowledge(t.Context(), "gateway", Cursor{Seq: seq + 1}); err != nil {
				t.Errorf("Acknowledge(%d): %v", seq+1, err)
			}
		})
	}
	wg.Wait()
	if got, err := subs.Get(t.Context(), "gateway"); err != nil || got.Cursor.Seq != 40 {
		t.Errorf("the cursor is %v, %v; want 40", got.Cursor, err)
	}
}

func TestAddWebhook(t *testing.T) {
	h, clock := newHouse(), newHandClock()
	h.record()
	kv, _ := hookState(t)
	subs := hookSubscribers(h, kv, clock)
	const target, key = "https://hooks.example/x?token=hush", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	sub, secret, err := subs.AddWebhook(t.Context(), "hr", target, key, Filter{Kinds: []string{"lost"}}, Cursor{Seq: 1})
	if err != nil || secret != key || sub.Cursor.Mark != h.mark() {
		t.Fatalf("AddWebhook = %+v, %v; want the secret given and the cursor with its mark", sub, err)
	}
	_, generated, err := subs.AddWebhook(t.Context(), "hr-2", "http://127.0.0.1:8080/", "", Filter{}, Cursor{})
	if err != nil || checkSecret(generated) != nil {
		t.Fatalf("AddWebhook without a secret: %v, a secret that is one: %v", err, checkSecret(generated) == nil)
	}
	for _, c := range []struct {
		what, name, url, secret string
		filter                  Filter
		from                    Cursor
		want                    domain.Failure
	}{
		{what: "taken", name: "hr", want: domain.Conflict},
		{what: "beyond the head", from: Cursor{Seq: 2}, want: domain.Malformed},
		{what: "of another log", from: Cursor{Seq: 1, Mark: "00000000"}, want: domain.Conflict},
		{what: "a secret that is none", secret: key[1:], want: domain.Malformed},
		{what: "a URL that is none", url: "hooks.example?token=hush", want: domain.Malformed},
		{what: "about what is none", filter: Filter{About: "c1"}, want: domain.Malformed},
		{what: "a subject that is none", filter: Filter{Subject: "anna"}, want: domain.Malformed},
		{what: "a kind that is none", filter: Filter{Kinds: []string{"Lost"}}, want: domain.Malformed},
	} {
		if c.name == "" {
			c.name = "other"
		}
		if c.url == "" {
			c.url = target
		}
		_, _, err := subs.AddWebhook(t.Context(), c.name, c.url, c.secret, c.filter, c.from)
		if !errors.Is(err, c.want) || hasSecret(err.Error()) {
			t.Errorf("%s: %v; want %v, and no secret quoted", c.what, err, c.want)
		}
	}
	list, err := subs.List(t.Context())
	if err != nil || fmt.Sprint(hookNames(list)) != "[hr hr-2]" {
		t.Fatalf("List = %v, %v; want hr and hr-2", hookNames(list), err)
	}
	shown, err := json.Marshal(list)
	if err != nil || hasSecret(string(shown)) || hasSecret(fmt.Sprintf("%+v", list)) || bytes.Contains(shown, []byte(generated)) {
		t.Errorf("a secret is shown: %s, %v", shown, err)
	}
	if !strings.Contains(string(shown), `"url":"https://hooks.example/x?…"`) {
		t.Errorf("shown as %s; want the URL without its query", shown)
	}
}

// A value that is no subscriber is said to be none, without being quoted, and can be removed.
func TestBadSubscriber(t *testing.T) {
	h := newHouse()
	kv, _ := hookState(t)
	subs := hookSubscribers(h, kv, newHandClock())
	if _, err := kv.Put(t.Context(), "acme.subscriber.hr", []byte(`{"secret":"hush`)); err != nil {
		t.Fatal(err)
	}
	if _, err := subs.List(t.Context()); !errors.Is(err, domain.Integrity) || hasSecret(err.Error()) {
		t.Errorf("List: %v; want Integrity, and nothing quoted", err)
	}
	if err := subs.Remove(t.Context(), "hr"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := subs.Remove(t.Context(), "hr"); !errors.Is(err, domain.Unknown) {
		t.Errorf("Remove again: %v; want Unknown", err)
	}
	if list, err := subs.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("then List = %v, %v; want none", list, err)
	}
}

// hasSecret tells whether a text holds what the tests use as secrets.
func hasSecret(s string) bool {
	return strings.Contains(s, "hush") || strings.Contains(s, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

func hookNames(subs []Subscriber) (names []string) {
	for _, s := range subs {
		names = append(names, s.Name)
	}
	return names
}
