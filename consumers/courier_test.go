package consumers

// Deliveries to a real HTTP server that fails in every way, by couriers that are stopped, cut off and taken over from. Time is
// the test's: nobody waits for a day to pass.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/permledger/permledger/domain"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A hookArrival is is a delivery as it came.
type hookArrival struct {
	path, id string
	at       time.Time // of the try, by the courier's clock
	body     []byte
	Delivery
}

// A receiver takes deliveries, verifies them, and answers as the test says, or else 204.
type receiver struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	all    []hookArrival
	answer func(w http.ResponseWriter, r *http.Request, n int) // the n-th arrival from 1
	came   chan hookArrival
}

func newReceiver(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *receiver {
	r := &receiver{t: t, answer: answer, came: make(chan hookArrival, 10_000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Errorf("reading a delivery: %v", err)
		return
	}
	signer, _ := standardwebhooks.NewWebhook(hookSecret)
	if err := signer.VerifyIgnoringTimestamp(body, req.Header); err != nil {
		r.t.Errorf("a delivery is not signed as it should be: %v", err)
	}
	a := hookArrival{path: req.URL.Path, id: req.Header.Get("webhook-id"), body: body}
	seconds, err := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		r.t.Errorf("the time of a delivery: %v", err)
	}
	a.at = time.Unix(seconds, 0)
	if err := json.Unmarshal(body, &a.Delivery); err != nil {
		r.t.Errorf("delivery %s: %v", body, err)
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("delivered by %s as %s; want POST of application/json", req.Method, req.Header.Get("Content-Type"))
	}
	r.mu.Lock()
	r.all = append(r.all, a)
	n := len(r.all)
	r.mu.Unlock()
	r.came <- a
	if r.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.answer(w, req, n)
}

func (r *receiver) next() hookArrival {
	r.t.Helper()
	select {
	case a := <-r.came:
		return a
	case <-time.After(30 * time.Second):
		r.t.Fatal("no delivery came")
		return hookArrival{}
	}
}

func (r *receiver) arrivals() []hookArrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// A postOffice is a house whose changes couriers deliver.
type postOffice struct {
	t     *testing.T
	house *house
	clock *handClock
	kv    jetstream.KeyValue
	subs  *Subscribers
	log   *lockedBuffer
}

func newPostOffice(t *testing.T) *postOffice {
	kv, _ := hookState(t)
	h, clock := newHouse(), newHandClock()
	return &postOffice{t: t, house: h, clock: clock, kv: kv, subs: hookSubscribers(h, kv, clock), log: &lockedBuffer{}}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// courier is one more of the house, with its state reached over kv.
func (p *postOffice) courier(kv jetstream.KeyValue) *Courier {
	c := NewCourier(CourierOptions{
		Subscribers: hookSubscribers(p.house, kv, p.clock), HTTP: &http.Client{Timeout: time.Hour, Transport: &http.Transport{}},
		Now: p.clock.Now, After: p.clock.After, Rand: func() float64 { return 0 }, Logger: slog.New(slog.NewTextHandler(p.log, nil)),
	})
	c.open = p.house.open
	return c
}

// run runs a courier until stop, which waits for it, or the end of the test.
func (p *postOffice) run(c *Courier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			p.t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	p.t.Cleanup(stop)
	return stop
}

func (p *postOffice) add(name, url string, f Filter) {
	p.t.Helper()
	if _, _, err := p.subs.AddWebhook(p.t.Context(), name, url, hookSecret, f, Cursor{}); err != nil {
		p.t.Fatal(err)
	}
}

// until waits until the subscriber is as is says, and gives it.
func (p *postOffice) until(name, what string, is func(Subscriber) bool) Subscriber {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	watch, err := p.kv.Watch(ctx, p.subs.key(name))
	if err != nil {
		p.t.Fatal(err)
	}
	defer watch.Stop()
	var last Subscriber
	for {
		select {
		case e := <-watch.Updates():
			if e == nil {
				continue
			}
			r, err := decodeRecord(e)
			if err != nil {
				p.t.Fatal(err)
			}
			if last = r.Subscriber; is(last) {
				return last
			}
		case <-ctx.Done():
			p.t.Fatalf("%s is %+v; want it %s", name, last, what)
		}
	}
}

// advancing has the clock go on each time that somebody waits for it, until stop.
func (p *postOffice) advancing(step time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-p.clock.set:
				p.clock.advance(step)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (p *postOffice) untilSeen(name string, seq domain.Seq) Subscriber {
	p.t.Helper()
	want := Cursor{Seq: seq, Mark: p.house.mark()}
	return p.until(name, "at "+want.String(), func(s Subscriber) bool { return s.Cursor == want })
}

// What is posted: the changes of an event that are wanted, with the cursor after which nothing of them is wanted.
func TestDelivers(t *testing.T) {
	p, r := newPostOffice(t), newReceiver(t, nil)
	p.house.record("professional:anna", "client:c1", "professional:bob", "team:night")
	p.add("hr", r.URL+"/hr?token=hush", Filter{Kinds: []string{"professional"}})
	p.run(p.courier(p.kv))
	a := r.next()
	mark := p.house.mark()
	want := `{"type":"permledger.changes","timestamp":"2026-01-05T09:00:01.000Z","data":{"org":"acme","cursor":"1~` + mark + `","seq":1,"changes":[` +
		`{"cursor":"1.1~` + mark + `","seq":1,"at":"2026-01-05T09:00:01.000Z","kind":"gained","subject":"professional:anna","resource":"client:c1","actions":["view_record"],"valid_until":null,"cause":{"seq":1,"type":"role.assigned","actor":"professional:root"}},` +
		`{"cursor":"1.3~` + mark + `","seq":1,"at":"2026-01-05T09:00:01.000Z","kind":"gained","subject":"professional:bob","resource":"client:c1","actions":["view_record"],"valid_until":null,"cause":{"seq":1,"type":"role.assigned","actor":"professional:root"}}]}}`
	if string(a.body) != want || a.id != "acme_hr_1_"+mark || a.path != "/hr" {
		t.Errorf("posted to %s as %s:\n%s\nwant\n%s", a.path, a.id, a.body, want)
	}
	sub := p.untilSeen("hr", 1)
	if sub.Delivered != 1 || sub.State != StateActive || sub.Acked == 0 {
		t.Errorf("then it is %+v; want one delivered, active", sub)
	}

	// Unwanted events move the cursor too, once a second has passed, without a delivery.
	for range 20 {
		p.house.record("client:c1")
		p.house.record()
	}
	before, err := p.kv.Get(t.Context(), p.subs.key("hr"))
	if err != nil {
		t.Fatal(err)
	}
	stop := p.advancing(noteEvery)
	p.untilSeen("hr", 41)
	stop()
	if after, err := p.kv.Get(t.Context(), p.subs.key("hr")); err != nil || after.Revision()-before.Revision() > 30 {
		t.Errorf("the state is at revision %d after 40 events, and was at %d; want less than a write for each", after.Revision(), before.Revision())
	}
	if n := len(r.arrivals()); n != 1 {
		t.Errorf("%d deliveries; want none of what is not wanted", n)
	}

	// An event of very many changes comes in parts, in order.
	many := make([]domain.Account, 250)
	for i := range many {
		many[i] = domain.Account(fmt.Sprintf("professional:p%d", i))
	}
	p.house.record(many...)
	p.untilSeen("hr", 42)
	var got []string
	for _, a := range r.arrivals()[1:] {
		got = append(got, fmt.Sprintf("%s:%d", a.id, len(a.Data.Changes)))
	}
	if want := fmt.Sprintf("[acme_hr_42-100_%s:100 acme_hr_42-200_%[1]s:100 acme_hr_42_%[1]s:50]", mark); fmt.Sprint(got) != want {
		t.Errorf("got %v; want %s", got, want)
	}
	if hasSecret(p.log.String()) {
		t.Errorf("a secret in the log: %s", p.log)
	}
}

// Whatever way the receiver fails: the delivery comes again, the same under the same id, and the next only after it.
func TestFailures(t *testing.T) {
	release := make(chan struct{})
	fails := map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		want   string
	}{
		"500": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hush", 500) }, "it answered 500"},
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "it answered 404"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?hush", http.StatusTemporaryRedirect)
		},
			"it answered 307, and redirects are not followed"},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}, "it did not answer in time"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) { hijack(w).Close() }, "it broke the connection off"},
		"cut in the head": {func(w http.ResponseWriter, _ *http.Request) {
			c := hijack(w)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
			c.Close()
		}, "the request failed"},
		"no http": {func(w http.ResponseWriter, _ *http.Request) {
			c := hijack(w)
			io.WriteString(c, "hush hush hush\r\n\r\n")
			c.Close()
		}, "the request failed"},
	}
	defer close(release)
	for name, fail := range fails {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t)
			r := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) {
				if n <= 2 {
					fail.answer(w, r)
				}
			})
			p.house.record("professional:anna")
			p.house.record("professional:bob")
			p.add("hr", r.URL+"?token=hush", Filter{})
			c := p.courier(p.kv)
			if name == "slow" {
				c.http.Timeout = 2 * time.Second
			}
			p.run(c)
			for n, wait := range []time.Duration{5 * time.Second, time.Minute} {
				sub := p.until("hr", "failed", func(s Subscriber) bool { return s.Failures == n+1 })
				if sub.State != StateRetrying || sub.LastError != fail.want || sub.Cursor.Seq != 0 || sub.NextTry.Time().Sub(p.clock.Now()) != wait {
					t.Fatalf("after failure %d: %+v; want it retrying in %v for %q", n+1, sub, wait, fail.want)
				}
				p.clock.advance(wait)
			}
			sub := p.untilSeen("hr", 2)
			if sub.State != StateActive || sub.LastError != "" || sub.Failures != 0 || sub.Delivered != 2 {
				t.Errorf("at the end: %+v; want it active without an error", sub)
			}
			all := r.arrivals()
			if len(all) != 4 || all[0].path != "/" || all[2].path != "/" {
				t.Fatalf("%d arrivals; want 4, none elsewhere", len(all))
			}
			for _, again := range all[1:3] {
				if again.id != all[0].id || !bytes.Equal(again.body, all[0].body) {
					t.Errorf("tried again as %s %s; want it as it was first: %s %s", again.id, again.body, all[0].id, all[0].body)
				}
			}
			if all[3].Data.Seq != 2 || all[3].id == all[0].id {
				t.Errorf("then came %s %s; want that of event 2", all[3].id, all[3].body)
			}
			if hasSecret(p.log.String()) {
				t.Errorf("a secret in the log: %s", p.log)
			}
		})
	}
}

func hijack(w http.ResponseWriter) net.Conn {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return c
}

// A status that says yes is a yes, even where the body after it is cut off or never ends.
func TestStatusIsTheAnswer(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"cut": func(w http.ResponseWriter) {
			c := hijack(w)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhush")
			c.Close()
		},
		"long": func(w http.ResponseWriter) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t)
			r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w) })
			p.house.record("professional:anna")
			p.add("hr", r.URL, Filter{})
			p.run(p.courier(p.kv))
			p.untilSeen("hr", 1)
			if n := len(r.arrivals()); n != 1 {
				t.Errorf("delivered %d times; want once", n)
			}
		})
	}
}

// Nobody there, for a day: each try waits longer, then the webhook is disabled. It has lost nothing: once enabled, it goes
// on from its cursor.
func TestExhausted(t *testing.T) {
	p := newPostOffice(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	p.house.record("professional:anna")
	p.house.record("professional:bob")
	p.add("hr", "http://"+address, Filter{})
	p.run(p.courier(p.kv))
	for n, wait := range waits {
		sub := p.until("hr", "failed", func(s Subscriber) bool { return s.Failures == n+1 })
		if sub.LastError != "it refused the connection" || sub.NextTry.Time().Sub(p.clock.Now()) != wait || sub.Since != domain.InstantOf(house0) {
			t.Fatalf("after failure %d: %+v; want the next try in %v", n+1, sub, wait)
		}
		p.clock.advance(wait)
	}
	sub := p.until("hr", "disabled", func(s Subscriber) bool { return s.State == StateDisabled })
	if sub.Reason != ReasonExhausted || sub.Cursor.Seq != 0 || sub.NextTry != 0 || sub.LastError == "" {
		t.Errorf("after a day it is %+v; want it exhausted, where it was", sub)
	}
	r := &receiver{t: t, came: make(chan hookArrival, 10)}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	r.Server = httptest.NewUnstartedServer(r)
	r.Server.Listener.Close()
	r.Server.Listener = l
	r.Start()
	t.Cleanup(r.Close)
	if sub, err = p.subs.Enable(t.Context(), "hr"); err != nil || sub.State != StateActive || sub.Reason != "" || sub.LastError != "" {
		t.Fatalf("Enable = %+v, %v; want it active", sub, err)
	}
	p.untilSeen("hr", 2)
	if all := r.arrivals(); len(all) != 2 || all[0].Data.Seq != 1 || all[1].Data.Seq != 2 {
		t.Errorf("then came %d; want events 1 and 2", len(all))
	}
}

// What counts is a day of tries: one that failed once, before a courier was away for two days, has its others.
func TestAwayForDays(t *testing.T) {
	clock := newHandClock()
	w := &worker{c: NewCourier(CourierOptions{Now: clock.Now})}
	var r record
	w.failed(&r, outcome{problem: "it answered 500"})
	clock.advance(48 * time.Hour)
	w.failed(&r, outcome{problem: "it answered 500"})
	if r.State != StateRetrying || r.Failures != 2 {
		t.Errorf("after its second failure, two days later, it is %+v; want it retrying", r.Subscriber)
	}
}

// One that asks for a wait is given it, and does not use up its day by it.
func TestAsksToWait(t *testing.T) {
	p := newPostOffice(t)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n > 2*len(waits) {
			return
		}
		w.Header().Set("Retry-After", "90")
		w.WriteHeader([]int{429, 503}[n%2])
	})
	p.house.record("professional:anna")
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	for n := range 2 * len(waits) {
		sub := p.until("hr", "failed", func(s Subscriber) bool { return s.Failures == n+1 || s.State == StateDisabled })
		if sub.State != StateRetrying || sub.NextTry.Time().Sub(p.clock.Now()) != 90*time.Second {
			t.Fatalf("after failure %d: %+v; want the next try in 90 s", n+1, sub)
		}
		p.clock.advance(90 * time.Second)
	}
	p.untilSeen("hr", 1)
}

func TestGone(t *testing.T) {
	p := newPostOffice(t)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 2 {
			w.WriteHeader(http.StatusGone)
		}
	})
	p.house.record("professional:anna")
	p.house.record("professional:bob")
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	sub := p.until("hr", "disabled", func(s Subscriber) bool { return s.State == StateDisabled })
	if sub.Reason != ReasonGone || sub.Cursor.Seq != 1 || sub.LastError != "it answered 410" {
		t.Errorf("it is %+v; want it gone at 1", sub)
	}
	if _, err := p.subs.Enable(t.Context(), "hr"); err != nil {
		t.Fatal(err)
	}
	p.untilSeen("hr", 2)
	if n := len(r.arrivals()); n != 3 {
		t.Errorf("%d arrivals; want 3", n)
	}
}

// What its cursor can't be followed from is said once, and nothing is left out silently.
func TestMustRefetch(t *testing.T) {
	p, r := newPostOffice(t), newReceiver(t, nil)
	for range 5 {
		p.house.record("professional:anna")
	}
	p.house.drop(3)
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	sub := p.until("hr", "disabled", func(s Subscriber) bool { return s.State == StateDisabled })
	if sub.Reason != ReasonMustRefetch || sub.Cursor.Seq != 0 || sub.LastError != ErrRefetch.Error() {
		t.Errorf("it is %+v; want it disabled as must_refetch", sub)
	}
	a := r.next()
	if a.Type != TypeMustRefetch || a.Data.Cursor.Seq != 0 || a.Data.Changes != nil || !strings.HasSuffix(a.id, "_refetch") {
		t.Errorf("posted %s %s; want must_refetch", a.id, a.body)
	}
	if err := p.subs.Remove(t.Context(), "hr"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.subs.AddWebhook(t.Context(), "hr", r.URL, hookSecret, Filter{}, Cursor{Seq: 4}); err != nil {
		t.Fatal(err)
	}
	p.untilSeen("hr", 5)
	if all := r.arrivals(); len(all) != 2 || all[1].Data.Seq != 5 {
		t.Errorf("%d arrivals; want what comes after the new cursor", len(all))
	}
}

// One that hangs and one that fails hold up nobody else.
func TestDeadBesideHealthy(t *testing.T) {
	p, healthy := newPostOffice(t), newReceiver(t, nil)
	hanging, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	hangs := newReceiver(t, func(http.ResponseWriter, *http.Request, int) { hanging <- struct{}{}; <-release })
	fails := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(500) })
	p.house.record("professional:anna")
	p.add("fails", fails.URL, Filter{})
	p.add("hangs", hangs.URL, Filter{})
	p.run(p.courier(p.kv))
	<-hanging
	p.until("fails", "retrying", func(s Subscriber) bool { return s.Failures == 1 })
	p.add("healthy", healthy.URL, Filter{})
	for range 50 {
		p.house.record("professional:anna")
	}
	p.untilSeen("healthy", 51)
	for i, a := range healthy.arrivals() {
		if a.Data.Seq != domain.Seq(i+1) {
			t.Fatalf("arrival %d is of event %d; want them in order", i+1, a.Data.Seq)
		}
	}
	if sub, err := p.subs.Get(t.Context(), "hangs"); err != nil || sub.Lag.Events != 51 {
		t.Errorf("the one that hangs is %+v, %v behind; want 51", sub.Lag, err)
	}
	// Disabled, it does not go on hanging; enabled, it is tried at once.
	if _, err := p.subs.Disable(t.Context(), "hangs"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.subs.Enable(t.Context(), "hangs"); err != nil {
		t.Fatal(err)
	}
	<-hanging
	if err := p.subs.Remove(t.Context(), "hangs"); err != nil {
		t.Fatal(err)
	}
	p.house.record("professional:anna")
	p.untilSeen("healthy", 52)
	if n := len(hangs.arrivals()); n != 2 {
		t.Errorf("%d arrivals where it hangs; want 2, and none once removed", n)
	}
}

// A courier that ends between an answer and the note of it: the next one delivers that again under the same id, and what
// follows once.
func TestRestart(t *testing.T) {
	p := newPostOffice(t)
	for range 20 {
		p.house.record("professional:anna", "professional:bob")
	}
	hanging, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, n int) {
		if n == 7 {
			close(hanging)
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}
	})
	defer close(release)
	p.add("hr", r.URL, Filter{})
	stop := p.run(p.courier(p.kv))
	<-hanging
	stop()
	if sub, err := p.subs.Get(t.Context(), "hr"); err != nil || sub.Cursor.Seq != 6 || sub.Failures != 0 {
		t.Errorf("after the stop it is %+v, %v; want it at 6, without a failure", sub, err)
	}
	p.run(p.courier(p.kv))
	p.untilSeen("hr", 20)
	all := r.arrivals()
	if len(all) != 21 || all[6].id != all[7].id || !bytes.Equal(all[6].body, all[7].body) {
		t.Fatalf("%d arrivals, the 7th %s, the 8th %s; want 21, and these the same", len(all), all[6].id, all[7].id)
	}
	for i, a := range slices.Delete(all, 6, 7) {
		if a.Data.Seq != domain.Seq(i+1) {
			t.Errorf("arrival %d is of event %d; want them in order", i+1, a.Data.Seq)
		}
	}
}

// Two couriers: one delivers. The one that is left, whether the other said goodbye or not, takes over; each event comes
// once and in order, but for what was under way.
func TestTakeover(t *testing.T) {
	kv, s := hookState(t)
	h, clock := newHouse(), newHandClock()
	p := &postOffice{t: t, house: h, clock: clock, kv: kv, subs: hookSubscribers(h, kv, clock), log: &lockedBuffer{}}
	r := newReceiver(t, nil)
	p.add("hr", r.URL, Filter{})
	var stops [3]func()
	kv1, conn1 := hookBucket(t, s)
	kv2, _ := hookBucket(t, s)
	stops[0] = p.run(p.courier(kv))
	h.record("professional:anna")
	p.untilSeen("hr", 1)
	stops[1] = p.run(p.courier(kv1))
	for range 50 {
		h.record("professional:anna")
	}
	p.untilSeen("hr", 51)
	stops[0]() // releases the lease: the second takes it without waiting
	for range 50 {
		h.record("professional:anna")
	}
	p.untilSeen("hr", 101)

	conn1.Close() // the second can release nothing any more
	stops[1]()
	h.record("professional:anna")
	began := clock.Now()
	stops[2] = p.run(p.courier(kv2))
	stop := p.advancing(leaseFor)
	p.untilSeen("hr", 102)
	stop()
	all := r.arrivals()
	if len(all) != 102 {
		t.Fatalf("%d arrivals; want 102", len(all))
	}
	for i, a := range all {
		if a.Data.Seq != domain.Seq(i+1) {
			t.Errorf("arrival %d is of event %d; want them in order", i+1, a.Data.Seq)
		}
	}
	if waited := all[101].at.Sub(began); waited < leaseFor {
		t.Errorf("it took over after %v; want the lease to have run out", waited)
	}
}

// A courier whose lease was taken stops delivering, also in the middle of a delivery.
func TestLeaseTaken(t *testing.T) {
	p := newPostOffice(t)
	hanging, ended := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		close(hanging)
		<-r.Context().Done()
		close(ended)
	})
	p.house.record("professional:anna")
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	<-hanging
	if _, err := p.kv.Put(t.Context(), "acme.courier", []byte("another")); err != nil {
		t.Fatal(err)
	}
	<-ended
	if sub, err := p.subs.Get(t.Context(), "hr"); err != nil || sub.Failures != 0 {
		t.Errorf("it is %+v, %v; want no failure noted", sub, err)
	}
}

// An owner that stood still while another delivered in its stead moves no cursor back, and goes on from the other's.
func TestMovedByAnother(t *testing.T) {
	p := newPostOffice(t)
	hanging, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			close(hanging)
			<-release
		}
	})
	for range 3 {
		p.house.record("professional:anna")
	}
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	<-hanging
	if _, err := p.subs.update(t.Context(), "hr", func(r *record) error { r.Cursor.Seq = 2; return nil }); err != nil {
		t.Fatal(err)
	}
	close(release)
	p.untilSeen("hr", 3)
	if all := r.arrivals(); len(all) != 2 || all[1].Data.Seq != 3 {
		t.Errorf("%d arrivals, the last of event %d; want 1 and 3", len(all), all[len(all)-1].Data.Seq)
	}
}

// A server that does not know yet what the webhook has seen waits until it does: that is no reason to begin again.
func TestServerBehind(t *testing.T) {
	p, r := newPostOffice(t), newReceiver(t, nil)
	for range 5 {
		p.house.record("professional:anna")
	}
	if _, _, err := p.subs.AddWebhook(t.Context(), "hr", r.URL, hookSecret, Filter{}, Cursor{Seq: 5}); err != nil {
		t.Fatal(err)
	}
	behind := newHouse()
	c := p.courier(p.kv)
	opened := make(chan struct{}, 10)
	c.o.Subscribers = hookSubscribers(behind, p.kv, p.clock)
	c.open = func(ctx context.Context, after Cursor) (reader, error) {
		opened <- struct{}{}
		return behind.open(ctx, after)
	}
	p.run(c)
	select {
	case <-behind.awaited:
	case <-opened:
		t.Error("the feed is opened; want the head awaited first")
	}
	for range 6 {
		behind.record("professional:bob")
	}
	p.untilSeen("hr", 6)
	if all := r.arrivals(); len(all) != 1 || all[0].Type != TypeChanges || all[0].Data.Seq != 6 {
		t.Errorf("%d arrivals, the first %s; want event 6 alone", len(all), all[0].body)
	}
}

// A ledger without webhooks takes no lease; the last one's end gives it back.
func TestNoLease(t *testing.T) {
	p, r := newPostOffice(t), newReceiver(t, nil)
	p.house.record("professional:anna")
	p.add("hr", r.URL, Filter{})
	p.run(p.courier(p.kv))
	p.untilSeen("hr", 1)
	watch, err := p.kv.Watch(t.Context(), "acme.courier")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if e := <-watch.Updates(); e == nil || e.Operation() != jetstream.KeyValuePut {
		t.Fatalf("the lease is %v; want it held", e)
	}
	if _, err := p.subs.Disable(t.Context(), "hr"); err != nil {
		t.Fatal(err)
	}
	for e := range watch.Updates() {
		if e != nil && e.Operation() == jetstream.KeyValueDelete {
			return
		}
	}
	t.Error("the watch ended; want the lease deleted")
}

// With the feed itself: what is published is delivered, live and after a restart in the middle of a large event, each
// change once more at most under the id that it had.
func TestCourierOfFeed(t *testing.T) {
	kv, s := hookState(t)
	_, conn := hookBucket(t, s)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse()
	feed := NewFeed(FeedOptions{Ledger: h, JS: js, State: kv, Replicas: 1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Feed.Run: %v", err)
		}
	})
	subs := NewSubscribers(SubscribersOptions{Ledger: h, State: kv, TimeOf: h.timeOf})
	p := &postOffice{t: t, house: h, kv: kv, subs: subs}
	hanging, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	r := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, n int) {
		if n == 7 {
			close(hanging)
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}
	})
	h.record("professional:anna")
	h.record()
	many := make([]domain.Account, 1234)
	for i := range many {
		many[i] = domain.Account(fmt.Sprintf("professional:p%d", i))
	}
	h.record(many...)
	p.add("hr", r.URL, Filter{})
	stop := p.run(NewCourier(CourierOptions{Feed: feed, Subscribers: subs}))
	<-hanging
	stop()
	if sub, err := subs.Get(t.Context(), "hr"); err != nil || sub.Cursor.String() != "3.500~"+h.mark() {
		t.Errorf("after the stop it is at %v, %v; want 3.500", sub.Cursor, err)
	}
	p.run(NewCourier(CourierOptions{Feed: feed, Subscribers: subs}))
	h.record("professional:bob")
	h.record() // nothing changes: its cursor moves all the same
	p.untilSeen("hr", 5)
	seen := map[string]string{}
	var got []domain.Account
	for _, a := range r.arrivals() {
		if body, again := seen[a.id]; again {
			if body != string(a.body) {
				t.Errorf("%s came twice, and not the same", a.id)
			}
			continue
		}
		seen[a.id] = string(a.body)
		for _, c := range a.Data.Changes {
			got = append(got, c.Subject)
		}
	}
	if want := slices.Concat([]domain.Account{"professional:anna"}, many, []domain.Account{"professional:bob"}); !slices.Equal(got, want) {
		t.Errorf("delivered %d changes; want the %d that there are, in order", len(got), len(want))
	}
	if n := len(r.arrivals()); n != len(seen)+1 || len(seen) != 15 {
		t.Errorf("%d arrivals of %d deliveries; want 15 deliveries, one of them twice", n, len(seen))
	}
}
