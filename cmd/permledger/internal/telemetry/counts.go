package telemetry

// What happened: counters and histograms, moved as it happens. Reading how things stand is standing.go's.

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

type counts struct {
	commands                        *prometheus.CounterVec // command, outcome
	again, notices                  prometheus.Counter
	whole, decide, log, apply, size prometheus.Histogram

	inFlight  prometheus.Gauge
	requests  *prometheus.CounterVec   // method, route, status
	took      *prometheus.HistogramVec // method, route
	questions *prometheus.CounterVec   // kind, outcome
}

// What became of a command, where it is not the failure that refused it.
const (
	recorded  = "recorded"
	unchanged = "unchanged" // it was recorded before under the same id, or there was nothing to record
	failed    = "failed"    // an error of no kind
)

// other stands for what is not one of the known few, so that no caller makes up a label.
const other = "other"

func newCounts(to prometheus.Registerer) *counts {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	fast := prometheus.ExponentialBuckets(0.0001, 2, 17) // 0.1 ms to 6.5 s
	slow := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	c := &counts{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "permledger_commands_total",
			Help: "Commands by type and by what became of them: recorded, unchanged (recorded before, or nothing to record), or the kind of failure. Each of an array counts."}, []string{"command", "outcome"}),
		again: prometheus.NewCounter(prometheus.CounterOpts{Name: "permledger_decided_again_total",
			Help: "How often commands were decided again, because the log had moved on meanwhile."}),
		notices: prometheus.NewCounter(prometheus.CounterOpts{Name: "permledger_notices_total",
			Help: "Notices that the ledgers' own clock recorded: validity.started and validity.ended."}),
		whole:  histogram("permledger_command_duration_seconds", "From the moment that commands are handed in until they are recorded and every question sees them.", fast),
		decide: histogram("permledger_decide_duration_seconds", "Deciding one command, or all of an array.", fast),
		log:    histogram("permledger_append_duration_seconds", "From a decision until the log has acknowledged that it is on disk.", fast),
		apply:  histogram("permledger_apply_duration_seconds", "Making acknowledged events visible to every question, all at once.", fast),
		size:   histogram("permledger_commit_group_size", "Events that become visible in one commit.", prometheus.ExponentialBuckets(1, 2, 14)),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "permledger_http_requests_in_flight",
			Help: "Requests being answered, followers of the change feed among them."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "permledger_http_requests_total",
			Help: "Requests answered, by method, route and status, those that came over NATS included."}, []string{"method", "route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "permledger_http_request_duration_seconds",
			Help: "How long requests took, by method and route; of a follower, how long it stayed.", Buckets: slow}, []string{"method", "route"}),
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "permledger_questions_total",
			Help: "Questions by kind: answered, refused for what was asked, or failed. Evaluations that come as one count as one."}, []string{"kind", "outcome"}),
	}
	to.MustRegister(c.commands, c.again, c.notices, c.whole, c.decide, c.log, c.apply, c.size, c.inFlight, c.requests, c.took, c.questions)
	// What has not happened is 0 and not nothing, so that its first time is seen as a rise.
	for _, name := range domain.Commands() {
		c.commands.WithLabelValues(string(name), recorded)
	}
	for _, kind := range questionKinds {
		c.questions.WithLabelValues(kind, "answered")
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} { // of what an alert watches
		c.requests.WithLabelValues(http.MethodPost, commandsRoute, strconv.Itoa(status))
	}
	return c
}

// recorded counts a job that is over.
func (c *counts) recorded(w ledger.Work) {
	if w.Attempts > 1 {
		c.again.Add(float64(w.Attempts - 1))
	}
	if len(w.Commands) == 0 {
		c.notices.Add(float64(w.Events))
		return
	}
	outcome := outcomeOf(w)
	for _, command := range w.Commands {
		name := string(command.Name)
		if _, err := domain.EventOf(command.Name); err != nil {
			name = other
		}
		c.commands.WithLabelValues(name, outcome).Inc()
	}
	between(c.decide, w.Taken, w.Decided)
	between(c.log, w.Decided, w.Acknowledged)
	between(c.whole, w.Asked, w.Applied)
}

// between observes a time that is known.
func between(h prometheus.Histogram, from, until time.Time) {
	if !from.IsZero() && !until.IsZero() {
		h.Observe(until.Sub(from).Seconds())
	}
}

func outcomeOf(w ledger.Work) string {
	var e *domain.Error
	switch {
	case w.Err == nil && w.Events > 0:
		return recorded
	case w.Err == nil:
		return unchanged
	case errors.As(w.Err, &e):
		return strings.ReplaceAll(string(e.Failure), " ", "_")
	}
	return failed
}

// Committed is called by a ledger for each commit.
func (c *counts) Committed(events int, took time.Duration) {
	c.size.Observe(float64(events))
	c.apply.Observe(took.Seconds())
}

// begin counts a request that begins.
func (c *counts) begin() (end func(method, route string, status int)) {
	start := time.Now()
	c.inFlight.Inc()
	return func(method, route string, status int) {
		c.inFlight.Dec()
		c.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
		c.took.WithLabelValues(method, route).Observe(time.Since(start).Seconds())
		if kind, ok := questionKinds[route]; ok {
			c.questions.WithLabelValues(kind, answered(status)).Inc()
		}
	}
}

// answered tells what became of a question.
func answered(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "answered"
	case status < http.StatusInternalServerError:
		return "refused"
	}
	return failed
}

// routeOf splits the pattern that a request of a method matched. A method that no route takes is not told, as the caller
// made it up.
func routeOf(asked, pattern string) (method, route string) {
	method, route, ok := strings.Cut(pattern, " ")
	if !ok {
		method, route = other, pattern
		switch asked {
		case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
			method = asked
		}
	}
	if route == "" || route == "/" {
		route = other
	}
	return method, route
}

// commandsRoute is where commands come in.
const commandsRoute = "/orgs/{org}/commands"

// questionKinds gives the kind of question that a route is of.
var questionKinds = map[string]string{
	"/orgs/{org}/check":                     "check",
	"/orgs/{org}/explain":                   "explain",
	"/orgs/{org}/who":                       "who",
	"/orgs/{org}/what":                      "what",
	"/orgs/{org}/diff":                      "diff",
	"/orgs/{org}/grants":                    "grants",
	"/orgs/{org}/holders":                   "holders",
	"/orgs/{org}/roles":                     "roles",
	"/orgs/{org}/history":                   "history",
	"/orgs/{org}/access/v1/evaluation":      "evaluation",
	"/orgs/{org}/access/v1/evaluations":     "evaluations",
	"/orgs/{org}/access/v1/search/subject":  "search_subject",
	"/orgs/{org}/access/v1/search/resource": "search_resource",
	"/orgs/{org}/access/v1/search/action":   "search_action",
}
