package eventstore

// The door of the embedded server: the port at which other programs of this machine follow what changes, and ask. This
// file owns what they may do there. It never opens more than is named in it, and asks nobody who they are: so the port is
// on a loopback address.
//
// What lies in the log (ledgers, keys, changes, what subscribers registered) lies in the server's global account, as it
// does in a directory that never had a door, and only our own connections are in it. Whoever comes through the door is in
// the account "SUBSCRIBERS", where there is nothing but what is led into it, by name:
//
//	permledger.*.change.>                     what changes, as it is published
//	permledger.*.check, permledger.*.who      questions
//	$SRV.>                                    which services answer questions
//	$JS.API.…, $JS.ACK.…                      of the streams PERMLEDGER_<org>_CHANGES: how they stand, reading one
//	                                          change, and pull consumers
//
// Two accounts, and not two users of one with permissions, because a request names the subject that its answer goes to, and
// is answered with the rights of whoever answers. In one account, asking how a stream stands with a ledger's subject
// for the reply would get the answer recorded in that ledger. Between accounts the answer is delivered where the question
// was asked.
//
// Creating a consumer is not led through but done by proxy (createConsumer). Its body may name the subject that messages
// are delivered to, and that is one of the streams' account: a push consumer could fill a ledger.
//
// Subscribers are not shielded from one another: who may use one inbox may use all, as who reaches the HTTP port may ask
// everything there.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/permledger/permledger/domain"
)

const (
	// ownUser is who we are to the embedded server, proxyUser who we are among subscribers.
	ownUser   = "permledger"
	proxyUser = "permledger-proxy"

	subscribersAccount = "SUBSCRIBERS"

	// createSubject is what asks for a consumer of a stream, by name.
	createSubject = "$JS.API.CONSUMER.CREATE.*.>"
)

// These are the requests that the global account answers for subscribers: those that have one answer, and those that
// have several.
var (
	oneAnswer = []string{"permledger.*.check", "permledger.*.who"}
	answers   = []string{"$SRV.>"}
)

// These are the requests about one stream of changes, of which the name is to be put in.
var (
	oneAnswerOfChanges = []string{"$JS.API.STREAM.INFO.%s", "$JS.API.CONSUMER.INFO.%s.*", "$JS.API.CONSUMER.DELETE.%s.*", "$JS.ACK.%s.>"}
	answersOfChanges   = []string{"$JS.API.CONSUMER.MSG.NEXT.%s.*", "$JS.API.DIRECT.GET.%s", "$JS.API.DIRECT.GET.%s.>"}
)

// subscriberMay is what a subscriber may say and hear in its account. That keeps subscribers from answering one another's
// questions; what can be reached at all is what was led into the account.
var subscriberMay = server.Permissions{
	Publish:   &server.SubjectPermission{Allow: []string{"permledger.*.check", "permledger.*.who", "$SRV.>", "$JS.API.>", "$JS.ACK.>"}},
	Subscribe: &server.SubjectPermission{Allow: []string{"permledger.*.change.>", "_INBOX.>"}},
}

func changesStream(org domain.Org) string { return streamName(org) + "_CHANGES" }

// ofChanges tells whether it is an organisation's stream of changes.
func ofChanges(stream string) bool {
	name, _ := strings.CutPrefix(stream, streamPrefix)
	name, _ = strings.CutSuffix(name, "_CHANGES")
	org, err := domain.ParseOrg(name)
	return err == nil && stream == changesStream(org)
}

// door is the way in for subscribers.
type door struct {
	address *net.TCPAddr
	secret  string // the password of our own connections; another at each start

	srv         *server.Server
	ours        *server.Account // the global one
	subscribers *server.Account // nil until the door is opened
	nc          *nats.Conn      // the store's
	proxy       *nats.Conn      // ours among the subscribers
	url         string          // where subscribers reach it
	log         *slog.Logger

	mu       sync.Mutex // guards admitted
	admitted map[domain.Org]bool
}

// newDoor makes a door that is shut. The address is tried first, so that a second service fails before it touches the log.
func newDoor(address *net.TCPAddr) (*door, error) {
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, domain.Errorf(domain.Unreachable, "cannot_listen", "listening for subscribers on %s: %v; choose another address", address, err)
	}
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("listening for subscribers on %s: %w", address, err)
	}
	return &door{address: address, secret: rand.Text(), admitted: map[domain.Org]bool{}}, nil
}

// configure sets up the server that the door is of. It listens on nothing until the door is opened.
func (d *door) configure(o *server.Options) {
	o.Host, o.Port = d.address.IP.String(), d.address.Port
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.CustomClientAuthentication = d
}

// Check puts each connection in its account; it is called by the server. Who brings our password is us, and comes from
// within; anybody else is a subscriber.
func (d *door) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	own := subtle.ConstantTimeCompare([]byte(o.Password), []byte(d.secret)) == 1
	switch {
	case own && o.Username == ownUser:
		return true // new connections are in the global account
	case d.subscribers == nil:
		return false
	case own && o.Username == proxyUser:
		c.RegisterUser(&server.User{Username: proxyUser, Account: d.subscribers})
	default:
		c.RegisterUser(&server.User{Username: "subscriber", Account: d.subscribers, Permissions: &subscriberMay})
	}
	return true
}

// openDoor lets subscribers in. The second account is made now and not in the server's options, because a server that
// starts with several accounts gives the global one no JetStream.
func (s *Store) openDoor(ctx context.Context) error {
	d := s.door
	d.srv, d.nc, d.log, d.ours = s.srv, s.nc, s.log, s.srv.GlobalAccount()
	err := d.lead()
	if err != nil {
		return fmt.Errorf("opening the log to subscribers: %w", err)
	}
	orgs, err := s.Orgs(ctx)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		if err := d.admit(org); err != nil {
			return err
		}
	}
	if d.proxy, err = nats.Connect("", nats.InProcessServer(s.srv), nats.Name(proxyUser), nats.UserInfo(proxyUser, d.secret)); err != nil {
		return fmt.Errorf("opening the log to subscribers: %w", err)
	}
	if _, err := d.proxy.Subscribe(createSubject, d.createConsumer); err != nil {
		return fmt.Errorf("opening the log to subscribers: %w", err)
	}
	if err := d.proxy.Flush(); err != nil {
		return fmt.Errorf("opening the log to subscribers: %w", err)
	}
	listening := make(chan struct{})
	s.srv.AcceptLoop(listening) // returns when it listens, or can't; the server ends what it started
	if s.srv.Addr() == nil {
		return domain.Errorf(domain.Unreachable, "cannot_listen", "listening for subscribers on %s: the address was taken meanwhile; choose another", d.address)
	}
	d.url = "nats://" + s.srv.Addr().String()
	s.log.Info("listening for subscribers", "nats", d.url)
	return nil
}

// lead makes the subscribers' account and leads into it what is the same for all organisations.
func (d *door) lead() error {
	account, err := d.srv.RegisterAccount(subscribersAccount)
	if err != nil {
		return err
	}
	only := []*server.Account{account}
	const changes = "permledger.*.change.>"
	if err := d.ours.AddStreamExport(changes, only); err != nil {
		return err
	}
	if err := account.AddStreamImport(d.ours, changes, ""); err != nil {
		return err
	}
	d.subscribers = account
	return d.answer(oneAnswer, answers)
}

// answer leads requests on these subjects to the global account, and the answers back.
func (d *door) answer(one, several []string) error {
	for response, subjects := range map[server.ServiceRespType][]string{server.Singleton: one, server.Streamed: several} {
		for _, subject := range subjects {
			if err := d.ours.AddServiceExportWithResponse(subject, response, []*server.Account{d.subscribers}); err != nil {
				return fmt.Errorf("letting %s out: %w", subject, err)
			}
			if err := d.subscribers.AddServiceImport(d.ours, subject, subject); err != nil {
				return fmt.Errorf("letting %s in: %w", subject, err)
			}
		}
	}
	return nil
}

// admit lets subscribers read the changes of an organisation; the stream need not be there yet.
func (d *door) admit(org domain.Org) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.admitted[org] {
		return nil
	}
	of := func(subjects []string) (all []string) {
		for _, subject := range subjects {
			all = append(all, fmt.Sprintf(subject, changesStream(org)))
		}
		return all
	}
	if err := d.answer(of(oneAnswerOfChanges), of(answersOfChanges)); err != nil {
		return fmt.Errorf("opening the changes of %s to subscribers: %w", org, err)
	}
	d.admitted[org] = true
	return nil
}

// createConsumer makes a consumer for a subscriber, of the kind that can do no harm: one that hands messages to whoever asks
// for the next ones. What is passed on is written anew from what was read: the server reads several objects in one body,
// the later ones over the earlier, and headers have a meaning to it. One creation at a time is enough.
func (d *door) createConsumer(msg *nats.Msg) {
	var r server.CreateConsumerRequest
	err := json.Unmarshal(msg.Data, &r)
	c := r.Config
	switch {
	case err != nil:
		d.refuse(msg, server.JSInvalidJSONErr, "the request is not the JSON of a consumer: "+err.Error())
		return
	case !ofChanges(strings.Split(msg.Subject, ".")[4]): // the server refuses a body that names another
		d.refuse(msg, server.JSStreamNotFoundErr, "subscribers have consumers of the streams "+streamPrefix+"<org>_CHANGES only")
		return
	case c.DeliverSubject != "" || c.DeliverGroup != "" || c.Direct || c.Sourcing:
		d.refuse(msg, server.JSConsumerInvalidDeliverSubject, "subscribers have pull consumers only: leave deliver_subject and deliver_group out")
		return
	}
	body, err := json.Marshal(r)
	if err != nil {
		d.refuse(msg, server.JSInvalidJSONErr, "the request can't be passed on: "+err.Error())
		return
	}
	answer, err := d.nc.Request(msg.Subject, body, requestWait)
	if err != nil {
		d.refuse(msg, server.JSNotEnabledErr, "the log does not answer: "+err.Error())
		return
	}
	d.respond(msg, answer.Data)
}

// refuse answers as the server does that creates no consumer.
func (d *door) refuse(msg *nats.Msg, code server.ErrorIdentifier, why string) {
	body, err := json.Marshal(server.JSApiConsumerCreateResponse{ApiResponse: server.ApiResponse{
		Type:  server.JSApiConsumerCreateResponseType,
		Error: &server.ApiError{Code: 400, ErrCode: uint16(code), Description: why},
	}})
	if err != nil {
		d.log.Warn("answering a subscriber", "error", err)
		return
	}
	d.respond(msg, body)
}

func (d *door) respond(msg *nats.Msg, body []byte) {
	if msg.Reply == "" {
		return
	}
	if err := msg.Respond(body); err != nil {
		d.log.Warn("answering a subscriber", "error", err)
	}
}

// close ends what the door does of its own; the server shuts it.
func (d *door) close() {
	if d.proxy == nil {
		return
	}
	done := make(chan struct{})
	if err := d.proxy.Barrier(func() { close(done) }); err == nil {
		<-done // creations under way
	}
	d.proxy.Close()
}

// Listening is where subscribers reach the log, as nats://host:port; "" where they don't.
func (s *Store) Listening() string {
	if s.door == nil {
		return ""
	}
	return s.door.url
}
