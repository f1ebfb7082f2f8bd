package consumers

// What a delivery is made of: secrets, URLs, ids, parts and waits, by tables, and the published signature.

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/permledger/permledger/domain"
)

// The test vector that Standard Webhooks publishes.
func TestWebhookVector(t *testing.T) {
	h := http.Header{}
	err := sign(h, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	got := fmt.Sprint(h.Get("webhook-id"), " ", h.Get("webhook-timestamp"), " ", h.Get("webhook-signature"), " ", err)
	if want := "msg_p5jXN8AQM9LWM0D4loKWxJek 1614265330 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= <nil>"; got != want {
		t.Errorf("signed %s; want %s", got, want)
	}
}

func TestNewSecret(t *testing.T) {
	a, b := newSecret(), newSecret()
	if a == b || checkSecret(a) != nil {
		t.Errorf("two new secrets are the same: %v; one is right: %v", a == b, checkSecret(a))
	}
	if _, err := standardwebhooks.NewWebhook(a); err != nil {
		t.Error(err)
	}
}

func TestCheckSecret(t *testing.T) {
	of := func(n int) string { return "whsec_" + strings.Repeat("AAAA", n/3) }
	for _, c := range []struct {
		secret string
		ok     bool
	}{
		{of(24), true}, {of(63), true}, {of(21), false}, {of(66), false}, {"", false}, {"whsec_", false},
		{strings.TrimPrefix(of(24), "whsec_"), false}, {of(24) + "=", false}, {of(24) + "\n", false}, {"whsec_" + strings.Repeat("-_-_", 8), false},
	} {
		if err := checkSecret(c.secret); (err == nil) != c.ok || err != nil && (!errors.Is(err, domain.Malformed) || len(c.secret) > 8 && strings.Contains(err.Error(), c.secret)) {
			t.Errorf("checkSecret(%q) = %v; want ok %v, else Malformed without the secret", c.secret, err, c.ok)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"https://hooks.example/x/y", "https://hooks.example/x/y"},
		{"https://hooks.example:8443/?a=hush", "https://hooks.example:8443/?…"},
		{"http://127.0.0.1:80/x", "http://127.0.0.1:80/x"},
		{"http://[::1]/x", "http://[::1]/x"},
		{"http://localhost:9/x", "http://localhost:9/x"},
		{"http://hooks.example/hush", ""},
		{"http://127.0.0.1.hooks.example/hush", ""},
		{"http://10.0.0.1/hush", ""},
		{"https://user:hush@hooks.example/", ""},
		{"https://hush@hooks.example/", ""},
		{"https:///hush", ""},
		{"https:hush", ""},
		{"ftp://hooks.example/hush", ""},
		{"hooks.example/hush", ""},
		{"https://hooks.example/#hush", ""},
		{"https://hooks.example/%zzhush", ""},
		{"https://hooks.example/hush" + strings.Repeat("x", 2048), ""},
		{"", ""},
	} {
		got, err := checkTarget(c.url)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && (!errors.Is(err, domain.Malformed) || hasSecret(err.Error())) {
			t.Errorf("checkTarget(%q) = %q, %v; want %q, or Malformed without quoting it", c.url, got, err, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		header string
		want   time.Duration
	}{
		{"120", 2 * time.Minute}, {"0", 0}, {"-5", 0}, {"", 0}, {"soon", 0}, {"99999999999999999999", 0},
		{house0.Add(time.Hour).Format(http.TimeFormat), time.Hour}, {house0.Add(-time.Hour).Format(http.TimeFormat), 0},
	} {
		if got := retryAfter(c.header, house0); got != c.want {
			t.Errorf("retryAfter(%q) = %v; want %v", c.header, got, c.want)
		}
	}
}

// The waits follow the failures, up to a tenth longer, and what the webhook asks for counts within bounds.
func TestWaitAfter(t *testing.T) {
	for _, c := range []struct {
		failures int
		asked    time.Duration
		rand     float64
		want     time.Duration
	}{
		{1, 0, 0, 5 * time.Second},
		{2, 0, 0.5, 63 * time.Second},
		{8, 0, 0, 10 * time.Hour},
		{800, 0, 0, 10 * time.Hour},
		{5, 90 * time.Second, 0, 90 * time.Second},
		{1, time.Second, 0, 5 * time.Second},
		{1, 1000 * time.Hour, 0, 10 * time.Hour},
	} {
		courier := NewCourier(CourierOptions{Rand: func() float64 { return c.rand }})
		if got := courier.waitAfter(c.failures, c.asked); got != c.want {
			t.Errorf("waitAfter(%d, %v) at %v = %v; want %v", c.failures, c.asked, c.rand, got, c.want)
		}
	}
	if day := exhaustedAfter; day < 23*time.Hour || day > 25*time.Hour {
		t.Errorf("a delivery is tried for %v; want about a day", day)
	}
}

// A delivery holds at most 100 changes, is never cut between changes of one cursor, and begins after what was delivered,
// in whatever order the changes are.
func TestDeliveries(t *testing.T) {
	h := newHouse()
	w := &worker{c: &Courier{o: CourierOptions{Subscribers: &Subscribers{o: SubscribersOptions{Ledger: h}}}}, name: "hr"}
	at := func(ns ...int) (changes []Change) {
		for _, n := range ns {
			changes = append(changes, Change{Seq: 7, Cursor: Cursor{Seq: 7, N: n}})
		}
		return changes
	}
	upTo := func(from, to int) (ns []int) {
		for n := from; n <= to; n++ {
			ns = append(ns, n)
		}
		return ns
	}
	same := func(n, times int) (ns []int) {
		for range times {
			ns = append(ns, n)
		}
		return ns
	}
	end := Cursor{Seq: 7}
	for _, c := range []struct {
		what      string
		delivered Cursor
		changes   []Change
		want      string
	}{
		{"nothing", Cursor{Seq: 6}, nil, "[]"},
		{"few", Cursor{Seq: 6}, at(2, 5), "[7:2]"},
		{"a hundred", Cursor{Seq: 6}, at(upTo(1, 100)...), "[7:100]"},
		{"more", Cursor{Seq: 6}, at(upTo(1, 250)...), "[7.100:100 7.200:100 7:50]"},
		{"more, from within", Cursor{Seq: 7, N: 100}, at(upTo(1, 250)...), "[7.200:100 7:50]"},
		{"all delivered", Cursor{Seq: 7}, at(upTo(1, 250)...), "[]"},
		{"some of one cursor across the edge", Cursor{Seq: 6}, at(append(upTo(1, 98), same(99, 10)...)...), "[7.98:98 7:10]"},
		{"many of one cursor", Cursor{Seq: 6}, at(append(same(3, 150), 4)...), "[7.3:150 7:1]"},
		{"in no order", Cursor{Seq: 7, N: 2}, at(9, 1, 4, 2), "[7:2]"},
	} {
		got := []string{}
		ids := map[string]bool{}
		for _, d := range w.deliveries(c.delivered, c.changes, end) {
			got = append(got, fmt.Sprintf("%s:%d", d.Data.Cursor, len(d.Data.Changes)))
			ids[deliveryID(d, w.name)] = true
		}
		if fmt.Sprint(got) != c.want || len(ids) != len(got) {
			t.Errorf("%s: %v with %d ids; want %s", c.what, got, len(ids), c.want)
		}
	}
}

// Ids are told apart by all that they are of, and hold no full stop.
func TestDeliveryID(t *testing.T) {
	c := Cursor{Seq: 42, N: 3, Mark: "9f2c01ab"}
	d := Delivery{Type: TypeChanges, Data: DeliveryData{Org: "acme", Cursor: c}}
	if got, want := deliveryID(d, "hr-2"), "acme_hr-2_42-3_9f2c01ab"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	d.Type = TypeMustRefetch
	if got, want := deliveryID(d, "hr-2"), "acme_hr-2_42-3_9f2c01ab_refetch"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}
