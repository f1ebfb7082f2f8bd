// Package api is permledger over HTTP (contract §3, §4): commands, the auditor's questions, the log, and AuthZEN 1.0. It
// turns requests into calls of package ledger and package domain and their answers into JSON. It never decides anything,
// keeps no state between requests, and knows nothing of how its handler is reached: the command line is a client of
// the same handler, by the network or in process, so that there is one shape of every answer.
//
// An answer is whole or visibly not: a short one is complete before its first byte is sent, a long one is streamed and its
// connection cut (http.ErrAbortHandler, which a caller in process has to recover) where it can't be finished. "complete"
// is therefore the last thing written.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// Options say what a handler serves.
type Options struct {
	Service *ledger.Service
	Logger  *slog.Logger // nil: silent
	// BaseURL is what clients call this server by, e.g. "https://ledger.example": AuthZEN's metadata names it. "" is what
	// each request called it.
	BaseURL string
	// Closing ends when the server is about to stop: whoever follows the feed is then let go, because such a request never
	// ends by itself. nil: never.
	Closing context.Context
	// Patience is how long a request waits for a ledger that is catching up with its log; one that has not caught up by then is
	// told how far it is. 0: as long as whoever asks.
	Patience time.Duration
	// Observer is told of each request that nobody was told of before (see Watched); nil: nobody. Metrics answers GET /metrics; nil: there is nothing at that path.
	Observer Observer
	Metrics  http.Handler

	after    func(time.Duration, func()) (stop func() bool) // what followers are looked after by, for tests; nil: time.AfterFunc
	takeWait time.Duration                                  // how long one may take nothing, for tests; 0: takeWait
}

// New gives the handler of every path of the contract.
func New(o Options) http.Handler {
	s := &server{service: o.Service, logger: o.Logger, baseURL: strings.TrimSuffix(o.BaseURL, "/"), closing: o.Closing, patience: o.Patience,
		after: o.after, takeWait: cmp.Or(o.takeWait, takeWait), mux: http.NewServeMux()}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.closing == nil {
		s.closing = context.Background()
	}
	if s.after == nil {
		s.after = func(d time.Duration, do func()) func() bool { return time.AfterFunc(d, do).Stop }
	}
	s.watched = Watched(s.mux, o.Observer, s.logger)
	allowed := make(map[string][]string)
	routes := s.routes()
	if o.Metrics != nil {
		routes = append(routes, route{http.MethodGet, "/metrics", func(w http.ResponseWriter, r *http.Request) error {
			o.Metrics.ServeHTTP(w, r)
			return nil
		}})
	}
	for _, r := range routes {
		s.mux.Handle(r.method+" "+r.path, s.endpoint(r.do))
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	// A path without a method catches what the method patterns leave over, so that a refusal is a problem as all are.
	for path, methods := range allowed {
		if slices.Contains(methods, http.MethodGet) {
			methods = append(methods, http.MethodHead)
		}
		s.mux.Handle(path, s.endpoint(notAllowed(strings.Join(methods, ", "))))
	}
	s.mux.Handle("/", s.endpoint(func(_ http.ResponseWriter, r *http.Request) error {
		return refusal{status: http.StatusNotFound, code: "unknown_path", detail: fmt.Sprintf("%s: there is nothing at this path", clip(r.URL.Path))}
	}))
	return s
}

type server struct {
	service  *ledger.Service
	logger   *slog.Logger
	baseURL  string
	closing  context.Context
	patience time.Duration
	watched  http.Handler // mux, and what tells of its requests
	after    func(time.Duration, func()) (stop func() bool)
	takeWait time.Duration
	mux      *http.ServeMux
}

// do answers one request; what it returns becomes a problem.
type do func(w http.ResponseWriter, r *http.Request) error

type route struct {
	method, path string
	do           do
}

func (s *server) routes() []route {
	return []route{
		{http.MethodGet, "/livez", s.livez},
		{http.MethodGet, "/readyz", s.readyz},
		{http.MethodGet, "/admin/status", s.status},
		{http.MethodGet, "/admin/doctor", s.doctor},
		{http.MethodGet, "/admin/rebuild", s.rebuilding},
		{http.MethodPost, "/admin/rebuild", s.rebuild},
		{http.MethodGet, "/admin/verify", s.verify},
		{http.MethodGet, "/orgs", s.orgs},
		{http.MethodPost, "/orgs/{org}/commands", s.commands},
		{http.MethodGet, "/orgs/{org}/check", s.check},
		{http.MethodGet, "/orgs/{org}/explain", s.explain},
		{http.MethodGet, "/orgs/{org}/who", spanned(s.who, s.whoDuring)},
		{http.MethodGet, "/orgs/{org}/what", spanned(s.what, s.whatDuring)},
		{http.MethodGet, "/orgs/{org}/diff", s.diff},
		{http.MethodPost, "/orgs/{org}/check", s.check}, // under another catalogue, as are the next four
		{http.MethodPost, "/orgs/{org}/explain", s.explain},
		{http.MethodPost, "/orgs/{org}/who", spanned(s.who, s.whoDuring)},
		{http.MethodPost, "/orgs/{org}/what", spanned(s.what, s.whatDuring)},
		{http.MethodPost, "/orgs/{org}/diff", s.diff},
		{http.MethodGet, "/orgs/{org}/grants", s.grants},
		{http.MethodGet, "/orgs/{org}/holders", s.holders},
		{http.MethodGet, "/orgs/{org}/roles", s.roles},
		{http.MethodGet, "/orgs/{org}/history", s.history},
		{http.MethodGet, "/orgs/{org}/events", s.events},
		{http.MethodGet, "/orgs/{org}/export", s.export},
		{http.MethodGet, "/orgs/{org}/catalogue", s.catalogue},
		{http.MethodGet, "/orgs/{org}/changes", s.changes},
		{http.MethodGet, "/orgs/{org}/feed", s.feed},
		{http.MethodPut, "/orgs/{org}/feed", s.retain},
		{http.MethodGet, "/orgs/{org}/subscribers", s.subscribers},
		{http.MethodGet, "/orgs/{org}/subscribers/{name}", s.subscriber},
		{http.MethodPut, "/orgs/{org}/subscribers/{name}", s.addWebhook},
		{http.MethodDelete, "/orgs/{org}/subscribers/{name}", s.removeSubscriber},
		{http.MethodPost, "/orgs/{org}/subscribers/{name}/ack", s.acknowledge},
		{http.MethodPost, "/orgs/{org}/subscribers/{name}/enable", s.enableSubscriber},
		{http.MethodPost, "/orgs/{org}/subscribers/{name}/disable", s.disableSubscriber},
		{http.MethodGet, "/admin/backup", s.backup},
		{http.MethodGet, "/asyncapi.json", s.asyncAPI},
		{http.MethodPost, "/orgs/{org}/access/v1/evaluation", s.evaluation},
		{http.MethodPost, "/orgs/{org}/access/v1/evaluations", s.evaluations},
		{http.MethodPost, "/orgs/{org}/access/v1/search/subject", s.searchSubject},
		{http.MethodPost, "/orgs/{org}/access/v1/search/resource", s.searchResource},
		{http.MethodPost, "/orgs/{org}/access/v1/search/action", s.searchAction},
		{http.MethodGet, "/.well-known/authzen-configuration/orgs/{org}", s.metadata},
	}
}

func notAllowed(methods string) do {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", methods)
		return refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", detail: fmt.Sprintf("%s: this path takes %s", clip(r.Method), methods)}
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.watched.ServeHTTP(w, r) }

// endpoint turns what d returns into a problem, or cuts the connection where an answer has begun.
func (s *server) endpoint(d do) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := d(w, r)
		if err == nil {
			return
		}
		if org, e := domain.ParseOrg(r.PathValue("org")); e == nil {
			s.service.Damaged(org, err) // what one question ran into, the next must not answer over
		}
		id := w.Header().Get(requestIDHeader)
		p := problemOf(err, id)
		sent := w.(*tracked).sent
		if r.Context().Err() == nil && (p.Code == "internal" || sent) { // a client that left is no news
			s.logger.Error("request failed", "error", err, "request_id", id)
		}
		if sent {
			panic(http.ErrAbortHandler)
		}
		writeProblem(w, p)
	})
}

// ledger finds the ledger that the path names.
func (s *server) ledger(r *http.Request) (*ledger.Ledger, error) {
	org, err := domain.ParseOrg(r.PathValue("org"))
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	if s.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.patience)
		defer cancel()
	}
	return s.service.Ledger(ctx, org)
}

func (s *server) livez(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]string{"status": "alive"})
}

// readyz is 503 with a sentence while answers would not be whole.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := s.service.Ready(r.Context()); err != nil {
		r := refusal{status: http.StatusServiceUnavailable, code: "not_ready", detail: err.Error()}
		var e *domain.Error
		if errors.As(err, &e) {
			r.code, r.failure = e.Code, e.Failure
		}
		return r
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}

func (s *server) orgs(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	orgs, err := s.service.Orgs(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]domain.Org{"orgs": append([]domain.Org{}, orgs...)})
}
