package eventstore

// The door, tried by plain clients: what subscribers can do, and that every way to do more is shut.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	changesOfAcme = "PERMLEDGER_acme_CHANGES"
	oneChange     = "permledger.acme.change.gained.professional"
	ledgerSubject = "permledger.acme.event.role.assigned"
)

func anyPort() *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// newListening opens a store with a door, acme's ledger with one event, its keys with one key, and its changes with three.
func newListening(t *testing.T) (*Store, *Log) {
	t.Helper()
	s := open(t, Options{Dir: t.TempDir(), Listen: anyPort()})
	l := create(t, s)
	mustAppend(t, l, events(1, 1), 0)
	keys, err := l.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Key(t.Context(), "professional:anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "PERMLEDGER_FEEDS"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: changesOfAcme, Subjects: []string{"permledger.acme.change.>"}, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		publishChange(t, s, n+1)
	}
	return s, l
}

func publishChange(t *testing.T, s *Store, n int) {
	t.Helper()
	if _, err := s.JetStream().Publish(t.Context(), oneChange, fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
		t.Fatal(err)
	}
}

// subscriber connects as another program does, and gives what the server complains of.
func subscriber(t *testing.T, s *Store, opts ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	complaints := make(chan error, 100)
	opts = append(opts, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { complaints <- err }))
	nc, err := nats.Connect(s.Listening(), opts...)
	if err != nil {
		t.Fatalf("connecting to %s: %v", s.Listening(), err)
	}
	t.Cleanup(nc.Close)
	return nc, complaints
}

// wantRefused waits for the server to complain.
func wantRefused(t *testing.T, what string, complaints <-chan error) {
	t.Helper()
	select {
	case err := <-complaints:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: got %v, want a permissions violation", what, err)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("%s: the server lets it be, want a permissions violation", what)
	}
}

func TestSubscriber(t *testing.T) {
	s, _ := newListening(t)
	nc, complaints := subscriber(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()

	// As it happens.
	live, err := nc.SubscribeSync("permledger.*.change.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	publishChange(t, s, 4)
	if msg, err := live.NextMsgWithContext(ctx); err != nil || msg.Subject != oneChange || string(msg.Data) != `{"n":4}` {
		t.Fatalf("as it happens: got %+v, %v, want the fourth change on %s", msg, err, oneChange)
	}

	// From a durable consumer, acknowledged, and again after a new connection.
	c, err := js.CreateOrUpdateConsumer(ctx, changesOfAcme, jetstream.ConsumerConfig{Durable: "index", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "permledger.acme.change.gained.>"})
	if err != nil {
		t.Fatalf("creating a consumer: %v", err)
	}
	read := func(c jetstream.Consumer, want ...int) {
		t.Helper()
		for _, n := range want {
			msg, err := c.Next()
			if err != nil {
				t.Fatalf("the consumer's next: %v, want change %d", err, n)
			}
			if got, want := string(msg.Data()), fmt.Sprintf(`{"n":%d}`, n); got != want {
				t.Fatalf("the consumer's next is %s, want %s", got, want)
			}
			if err := msg.DoubleAck(ctx); err != nil {
				t.Fatalf("acknowledging: %v", err)
			}
		}
	}
	read(c, 1, 2)
	again, _ := subscriber(t, s)
	jsAgain, err := jetstream.New(again)
	if err != nil {
		t.Fatal(err)
	}
	c, err = jsAgain.Consumer(ctx, changesOfAcme, "index")
	if err != nil {
		t.Fatalf("finding the consumer again: %v", err)
	}
	read(c, 3, 4)
	if info, err := c.Info(ctx); err != nil || info.NumPending != 0 || info.AckFloor.Stream != 4 {
		t.Errorf("the consumer's state: %+v, %v, want all four acknowledged", info, err)
	}
	if err := js.DeleteConsumer(ctx, changesOfAcme, "index"); err != nil {
		t.Errorf("deleting the consumer: %v", err)
	}

	// In order without acknowledgements, far more than one request's worth.
	for n := range 1000 {
		publishChange(t, s, n+5)
	}
	ordered, err := js.OrderedConsumer(ctx, changesOfAcme, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatalf("an ordered consumer: %v", err)
	}
	messages, err := ordered.Messages()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1004 {
		msg, err := messages.Next()
		if err != nil || string(msg.Data()) != fmt.Sprintf(`{"n":%d}`, n+1) {
			t.Fatalf("ordered: got %v, %v, want change %d", msg, err, n+1)
		}
	}
	messages.Stop()

	// One by its place.
	stream, err := js.Stream(ctx, changesOfAcme)
	if err != nil {
		t.Fatalf("the stream's state: %v", err)
	}
	if msg, err := stream.GetMsg(ctx, 3); err != nil || string(msg.Data) != `{"n":3}` {
		t.Errorf("the third change: %v, %v", msg, err)
	}
	if msg, err := stream.GetLastMsgForSubject(ctx, oneChange); err != nil || msg.Sequence != 1004 {
		t.Errorf("the last change: %v, %v, want 1004", msg, err)
	}

	// Questions.
	for _, question := range []string{"check", "who"} {
		if _, err := s.nc.Subscribe("permledger.*."+question, func(msg *nats.Msg) { msg.Respond([]byte(msg.Subject + " " + string(msg.Data))) }); err != nil {
			t.Fatal(err)
		}
		if err := s.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		want := "permledger.acme." + question + " {}"
		if msg, err := nc.RequestWithContext(ctx, "permledger.acme."+question, []byte("{}")); err != nil || string(msg.Data) != want {
			t.Errorf("%s: got %v, %v, want %s", question, msg, err, want)
		}
	}
	select {
	case err := <-complaints:
		t.Errorf("the server complains of what is allowed: %v", err)
	default:
	}
}

// TestSubscriberOfNewLedger: a ledger that is made while the door is open is followed as any.
func TestSubscriberOfNewLedger(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Listen: anyPort()})
	nc, _ := subscriber(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: changesOfAcme, Subjects: []string{"permledger.acme.change.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), changesOfAcme); !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		t.Errorf("before there is a ledger: got %v, want nobody to answer", err)
	}
	create(t, s)
	if _, err := js.Stream(t.Context(), changesOfAcme); err != nil {
		t.Errorf("with a ledger: got %v, want the stream", err)
	}
}

// TestSubscriberMayNot tries each thing that is none of a subscriber's business, also under names that look like ours.
func TestSubscriberMayNot(t *testing.T) {
	s, l := newListening(t)
	for _, login := range []nats.Option{nats.Name("nobody"), nats.UserInfo(ownUser, ""), nats.UserInfo(proxyUser, "guess"), nats.UserInfo("$G", "$G"), nats.Token("guess")} {
		nc, complaints := subscriber(t, s, login)

		for _, subject := range []string{
			">", "permledger.>", "permledger.*.>", "permledger.acme.event.>", ledgerSubject, "permledger.acme.check", "permledger.*.who",
			"$KV.>", "$KV.PERMLEDGER_acme_KEYS.>", "$JS.>", "$JS.API.CONSUMER.CREATE.>", "$JS.EVENT.>", "$SYS.>", "$SRV.>", "_R_.>", "*.acme.event.>", "_INBOX",
		} {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, "subscribing to "+subject, complaints)
		}
		for _, subject := range []string{
			ledgerSubject, oneChange, "permledger.acme.event", "$KV.PERMLEDGER_acme_KEYS.x", "$KV.PERMLEDGER_FEEDS.acme.position", "_INBOX.x", "$SYS.REQ.SERVER.PING",
			"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO", "_R_.x", "$JS.FC.x",
		} {
			if err := nc.Publish(subject, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, "publishing on "+subject, complaints)
		}
		for _, stream := range []string{"PERMLEDGER_acme", "KV_PERMLEDGER_acme_KEYS", "KV_PERMLEDGER_FEEDS"} {
			wantNobody(t, nc, "$JS.API.STREAM.INFO."+stream, "")
			wantNobody(t, nc, "$JS.API.DIRECT.GET."+stream, `{"seq":1}`)
			wantNobody(t, nc, "$JS.API.DIRECT.GET."+stream+"."+ledgerSubject, "")
			wantNobody(t, nc, "$JS.API.CONSUMER.INFO."+stream+".c", "")
			wantNobody(t, nc, "$JS.API.CONSUMER.MSG.NEXT."+stream+".c", "")
			wantNobody(t, nc, "$JS.API.CONSUMER.DELETE."+stream+".c", "")
			wantNobody(t, nc, "$JS.API.CONSUMER.CREATE."+stream, fmt.Sprintf(`{"stream_name":%q,"config":{}}`, stream))
			wantNobody(t, nc, "$JS.API.CONSUMER.DURABLE.CREATE."+stream+".c", fmt.Sprintf(`{"stream_name":%q,"config":{"durable_name":"c"}}`, stream))
			wantNobody(t, nc, "$JS.ACK."+stream+".c.1.1.1.1.0", "+ACK")
			wantNoConsumer(t, nc, stream, fmt.Sprintf(`{"stream_name":%q,"config":{"name":"c"}}`, stream))
			wantNoConsumer(t, nc, changesOfAcme, fmt.Sprintf(`{"stream_name":%q,"config":{"name":"c"}}`, stream))
		}
		for _, stream := range []string{"PERMLEDGER_acme", "KV_PERMLEDGER_acme_KEYS", "KV_PERMLEDGER_FEEDS", changesOfAcme} {
			wantNobody(t, nc, "$JS.API.STREAM.MSG.GET."+stream, `{"seq":1}`)
			wantNobody(t, nc, "$JS.API.STREAM.MSG.DELETE."+stream, `{"seq":1}`)
			wantNobody(t, nc, "$JS.API.STREAM.UPDATE."+stream, fmt.Sprintf(`{"name":%q,"republish":{"src":">","dest":%q}}`, stream, ledgerSubject))
			wantNobody(t, nc, "$JS.API.STREAM.PURGE."+stream, "")
			wantNobody(t, nc, "$JS.API.STREAM.DELETE."+stream, "")
			wantNobody(t, nc, "$JS.API.STREAM.SNAPSHOT."+stream, `{"deliver_subject":"_INBOX.x"}`)
			wantNobody(t, nc, "$JS.API.STREAM.RESTORE."+stream, `{}`)
			wantNobody(t, nc, "$JS.API.CONSUMER.LIST."+stream, "")
			wantNobody(t, nc, "$JS.API.CONSUMER.NAMES."+stream, "")
			wantNobody(t, nc, "$JS.API.STREAM.CREATE.MIRROR", fmt.Sprintf(`{"name":"MIRROR","mirror":{"name":%q}}`, stream))
		}
		wantNobody(t, nc, "$JS.API.STREAM.NAMES", "")
		wantNobody(t, nc, "$JS.API.STREAM.LIST", "")
		wantNobody(t, nc, "$JS.API.INFO", "")
		wantNobody(t, nc, "$JS.API.ACCOUNT.PURGE.$G", "")
		wantNobody(t, nc, "$JS.API.SERVER.REMOVE", "")
	}
	wantLog(t, l, 1)
}

// wantNobody asks and wants the server to say that nobody is there to answer.
func wantNobody(t *testing.T, nc *nats.Conn, subject, body string) {
	t.Helper()
	if msg, err := nc.Request(subject, []byte(body), 20*time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("asking %s %s: got %v, %v, want nobody to answer", subject, body, msg, err)
	}
}

// wantNoConsumer asks for a consumer and wants to be refused.
func wantNoConsumer(t *testing.T, nc *nats.Conn, stream, body string) {
	t.Helper()
	msg, err := nc.Request("$JS.API.CONSUMER.CREATE."+stream+".c", []byte(body), 20*time.Second)
	var answer struct{ Error *jetstream.APIError }
	if err == nil {
		err = json.Unmarshal(msg.Data, &answer)
	}
	if err != nil || answer.Error == nil {
		t.Errorf("creating a consumer of %s with %s: got %+v, %v, want it refused", stream, body, msg, err)
	}
}

// TestSubscriberCannotWriteByProxy has the server do the writing: every request that is allowed, answered on a ledger's
// subject, and consumers that deliver there.
func TestSubscriberCannotWriteByProxy(t *testing.T) {
	s, l := newListening(t)
	nc, _ := subscriber(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), changesOfAcme, jetstream.ConsumerConfig{Durable: "pull"}); err != nil {
		t.Fatal(err)
	}
	for _, question := range []string{"permledger.*.check", "$SRV.PING"} {
		if _, err := s.nc.Subscribe(question, func(msg *nats.Msg) { msg.Respond([]byte("{}")) }); err != nil {
			t.Fatal(err)
		}
	}
	requests := []*nats.Msg{
		{Subject: "$JS.API.STREAM.INFO." + changesOfAcme},
		{Subject: "$JS.API.CONSUMER.INFO." + changesOfAcme + ".pull"},
		{Subject: "$JS.API.DIRECT.GET." + changesOfAcme, Data: []byte(`{"seq":1}`)},
		{Subject: "$JS.API.DIRECT.GET." + changesOfAcme + "." + oneChange},
		{Subject: "$JS.API.CONSUMER.MSG.NEXT." + changesOfAcme + ".pull", Data: []byte(`{"batch":2}`)},
		{Subject: "$JS.API.CONSUMER.CREATE." + changesOfAcme + ".other", Data: []byte(`{"stream_name":"` + changesOfAcme + `","config":{"name":"other"}}`)},
		{Subject: "$JS.ACK." + changesOfAcme + ".pull.1.1.1.1.0", Data: []byte("+NXT")},
		{Subject: "permledger.acme.check"},
		{Subject: "$SRV.PING"},
	}
	// ask sends all of them to be answered there, and then one after another for itself, so that all were answered.
	ask := func(nc *nats.Conn, reply string) {
		t.Helper()
		for _, r := range requests {
			r.Reply = reply
			if err := nc.PublishMsg(r); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range requests {
			if strings.Contains(r.Subject, "ACK") || strings.Contains(r.Subject, "NEXT") {
				continue
			}
			if _, err := nc.RequestWithContext(t.Context(), r.Subject, r.Data); err != nil {
				t.Fatalf("asking %s: %v", r.Subject, err)
			}
		}
	}
	for _, target := range []string{ledgerSubject, "$KV.PERMLEDGER_acme_KEYS.x", "$KV.PERMLEDGER_FEEDS.acme.position", oneChange, "$JS.API.STREAM.DELETE." + changesOfAcme} {
		ask(nc, target)
	}

	const create = `{"stream_name":"` + changesOfAcme + `","config":{"name":"c","deliver_policy":"all"%s}}`
	for _, extra := range []string{
		`,"deliver_subject":"` + ledgerSubject + `"`, `,"DELIVER_SUBJECT":"` + ledgerSubject + `"`, `,"deliver_subject":"_INBOX.x"`, `,"deliver_group":"g"`,
		`,"direct":true`, `,"sourcing":true`,
	} {
		wantNoConsumer(t, nc, changesOfAcme, fmt.Sprintf(create, extra))
	}
	wantNoConsumer(t, nc, changesOfAcme, fmt.Sprintf(create, "")+fmt.Sprintf(create, `,"deliver_subject":"`+ledgerSubject+`"`))
	// Naming a target for traces, at each way in.
	for _, r := range requests {
		traced := &nats.Msg{Subject: r.Subject, Data: r.Data, Header: nats.Header{"Nats-Trace-Dest": {ledgerSubject}}}
		if err := nc.PublishMsg(traced); err != nil {
			t.Fatal(err)
		}
	}
	ask(nc, "_INBOX.nobody")
	wantLog(t, l, 1)
	for stream, want := range map[string]uint64{"KV_PERMLEDGER_acme_KEYS": 1, "KV_PERMLEDGER_FEEDS": 0, changesOfAcme: 3} {
		st, err := s.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.CachedInfo().State.LastSeq; got != want {
			t.Errorf("%s has %d messages, want the %d that we wrote", stream, got, want)
		}
	}

	// That this could fail: the same requests of somebody in our own account are recorded.
	ask(s.nc, ledgerSubject)
	if head, err := l.Head(t.Context()); err != nil || head == 1 {
		t.Errorf("with answers of our own account: head %d, %v, want them recorded, or this test shows nothing", head, err)
	}
}

// TestListenOnOldDirectory: a directory that was made without a door has one, and can do without again.
func TestListenOnOldDirectory(t *testing.T) {
	dir := t.TempDir()
	for i, listen := range []*net.TCPAddr{nil, anyPort(), nil, anyPort()} {
		s, err := Open(t.Context(), Options{Dir: dir, Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), acme)
		if i == 0 {
			l, err = s.Create(t.Context(), acme)
		}
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, events(i+1, i+1), domain.Seq(i))
		wantLog(t, l, i+1)
		if (s.Listening() != "") != (listen != nil) {
			t.Errorf("listening at %q, asked for %v", s.Listening(), listen)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListenRefused(t *testing.T) {
	_, err := Open(t.Context(), Options{Dir: t.TempDir(), Listen: &net.TCPAddr{IP: net.IPv4zero, Port: 4222}})
	wantError(t, err, domain.Malformed, "bad_options")
	_, err = Open(t.Context(), Options{URL: "nats://127.0.0.1:1", Listen: anyPort()})
	wantError(t, err, domain.Malformed, "bad_options")
	l, err := net.ListenTCP("tcp", anyPort())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(t.Context(), Options{Dir: t.TempDir(), Listen: l.Addr().(*net.TCPAddr)})
	wantError(t, err, domain.Unreachable, "cannot_listen")
}
