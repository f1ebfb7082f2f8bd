// Package natsapi answers the two questions that gateways ask most, check and who, as requests over NATS: one micro service
// "permledger" that the nats tool finds, with two endpoints for all organisations.
//
//	permledger.<org>.check   {"subject":"…","action":"…","resource":"…"}
//	permledger.<org>.who     {"action":"…","resource":"…"}
//
// A request is an object with the names and values of HTTP's query parameters: strings, or numbers and booleans, which stand
// for their text. It is answered by the handler that answers GET /orgs/<org>/check and /who, byte for byte, so that nothing
// here knows what a question means. An error is that handler's problem as well, with the status and detail in the headers
// of a micro service's errors besides. X-Request-ID goes in and comes out.
//
// Several servers of one log share the requests by a queue group. A requester names the subject of its answer, which is sent
// there with this service's rights: on a NATS server of one's own, subscribers belong in another account than the ledgers
// (the embedded server keeps them apart itself).
package natsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	// atOnce is how many requests are answered at the same time. Most take a core for some microseconds; some wait for a
	// ledger that is catching up.
	atOnce = 64
	// answerWait bounds one answer, so that no place is held for ever. Who asked has given up long before.
	answerWait = time.Minute

	requestIDHeader = "X-Request-ID"
	problemMedia    = "application/problem+json"
)

// Options say what is served where.
type Options struct {
	Conn   *nats.Conn        // stays its owner's
	HTTP   http.RoundTripper // answers GET /orgs/<org>/check and /who, whatever the host
	Logger *slog.Logger      // what could not be sent; every request is logged where it is answered
}

// A Service answers until it is stopped.
type Service struct {
	o     Options
	micro micro.Service
	stats map[string]*stats // by question

	ctx    context.Context // ends with what is answered
	cancel context.CancelFunc
	places chan struct{} // one in it for each request being answered
	busy   sync.WaitGroup
}

// stats are an endpoint's own. The micro service times its handlers, and these return before the answer is made, so that its
// counts are of requests taken.
type stats struct{ answered, errors, nanoseconds atomic.Int64 }

// Start begins to answer: whoever asks after it has returned is heard.
func Start(o Options) (*Service, error) {
	s := &Service{o: o, stats: map[string]*stats{"check": {}, "who": {}}, places: make(chan struct{}, atOnce)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	s.micro, err = micro.AddService(o.Conn, micro.Config{
		Name:         "permledger",
		Version:      version(),
		Description:  "who may see whom, now and at any past moment",
		QueueGroup:   "permledger",
		StatsHandler: func(e *micro.Endpoint) any { return s.stats[e.Name].report() },
	})
	if err != nil {
		return nil, fmt.Errorf("answering over NATS: %w", err)
	}
	for question := range s.stats {
		err := s.micro.AddEndpoint(question, micro.HandlerFunc(func(req micro.Request) { s.take(req, question) }),
			micro.WithEndpointSubject("permledger.*."+question),
			micro.WithEndpointMetadata(map[string]string{"http": "GET /orgs/{org}/" + question}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("answering %s over NATS: %w", question, err), s.micro.Stop())
		}
	}
	if err := o.Conn.Flush(); err != nil { // before it the server may not know yet that somebody answers
		return nil, errors.Join(fmt.Errorf("answering over NATS: %w", err), s.micro.Stop())
	}
	return s, nil
}

// version is the program's, as the semantic version that a micro service must have.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		if v, ok := strings.CutPrefix(info.Main.Version, "v"); ok {
			return v
		}
	}
	return "0.0.0-unknown"
}

func (s *stats) report() any {
	return map[string]int64{"answered": s.answered.Load(), "errors": s.errors.Load(), "processing_time": s.nanoseconds.Load()}
}

// Stop takes no more requests and answers those that were taken; those not answered when ctx ends are cut short.
func (s *Service) Stop(ctx context.Context) error {
	defer s.cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	err := s.micro.Stop()
	// Once the server has answered the flush no request is on its way any more, and behind the barrier all were taken.
	err = errors.Join(err, s.o.Conn.Flush())
	taken := make(chan struct{})
	if e := s.o.Conn.Barrier(func() { close(taken) }); e != nil {
		return errors.Join(err, e)
	}
	<-taken
	s.busy.Wait()
	return errors.Join(err, s.o.Conn.Flush())
}

// take waits for a place and answers there. Requests behind it wait in the connection.
func (s *Service) take(req micro.Request, question string) {
	if req.Reply() == "" { // nobody waits for an answer
		return
	}
	s.places <- struct{}{}
	s.busy.Go(func() {
		defer func() { <-s.places }()
		start := time.Now()
		a := s.ask(req, question)
		msg := a.message(req.Reply())
		if most := s.o.Conn.MaxPayload(); int64(msg.Size()) > most {
			a = problem(a.id, http.StatusRequestEntityTooLarge, "answer_too_large", "",
				fmt.Sprintf("the answer does not fit in a message, which has %d bytes at most: ask for pages with limit, or over HTTP", most))
			msg = a.message(req.Reply())
		}
		s.stats[question].count(a, time.Since(start))
		if err := s.o.Conn.PublishMsg(msg); err != nil {
			s.o.Logger.Warn("sending an answer over NATS", "error", err, "request_id", a.id)
		}
	})
}

func (s *stats) count(a answer, took time.Duration) {
	s.nanoseconds.Add(int64(took))
	s.answered.Add(1)
	if a.status != http.StatusOK {
		s.errors.Add(1)
	}
}

// answer is what HTTP answered.
type answer struct {
	status    int
	id, media string
	body      []byte
}

// problem is an answer as HTTP's problems are, of what only NATS knows of.
func problem(id string, status int, code, failure, detail string) answer {
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		Failure   string `json:"failure,omitempty"`
		RequestID string `json:"request_id,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail, code, failure, id})
	if err != nil {
		panic(err) // strings and a number
	}
	return answer{status, id, problemMedia, append(body, '\n')}
}
