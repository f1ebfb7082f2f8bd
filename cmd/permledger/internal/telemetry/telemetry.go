// Package telemetry is what an operator's own tools see of a running service: Prometheus metrics, and OpenTelemetry traces
// where the environment says where to send them. The ledgers and the HTTP interface tell it what they do, each by one small
// interface of its own (ledger.Observer, api.Observer), and know nothing of what is made of that.
//
// Nothing here names anybody: no account, no resource, no reason, no name of a subscriber is ever a label's or an
// attribute's value. What a label can be is known beforehand and little: a command's type, a route, a status. The one
// exception is the organisation, on a handful of gauges of how far each ledger is; every counter and histogram is of all
// organisations together, so that a thousand of them cost a few thousand series and not a hundred thousand.
//
// counts.go counts what happens, standing.go reads how things stand when somebody looks, traces.go makes spans.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/permledger/permledger/cmd/permledger/internal/build"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
)

// Options say what to tell, and to whom.
type Options struct {
	Logger *slog.Logger // of what goes wrong in telling; nil: silent

	spans sdktrace.SpanProcessor // where spans go, for tests; nil: where the environment says
}

// A Telemetry is safe for use by any goroutine. It is a ledger.Observer and an api.Observer.
type Telemetry struct {
	logger   *slog.Logger
	registry *prometheus.Registry
	*counts
	*traces // nil: off
}

// New makes it, and begins to send traces if the environment asks for that. Errors: Malformed for an environment that asks
// for what is not there.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{logger: o.Logger, registry: prometheus.NewRegistry()}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if t.traces, err = newTraces(ctx, o.spans, t.logger); err != nil {
		return nil, err
	}
	t.counts = newCounts(t.registry)
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return t, nil
}

// Watch adds how a service stands to what is shown. It is called once, and the service outlives every look at the metrics.
func (t *Telemetry) Watch(s *ledger.Service) { t.registry.MustRegister(newStanding(s, t.logger)) }

// Metrics serves what there is in Prometheus' format. A part that can't be had is left out, and the rest is shown.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(t.logger.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	})
}

// Close sends the spans that are left, as long as ctx lasts.
func (t *Telemetry) Close(ctx context.Context) error { return t.traces.close(ctx) }

// Recorded is called by a ledger for each job.
func (t *Telemetry) Recorded(ctx context.Context, w ledger.Work) {
	t.counts.recorded(w)
	t.traces.recorded(ctx, w)
}

// Begin is called by the HTTP interface as a request begins, with the id by which its log knows the request. What it gives
// is called with the route that matched and the status of the answer as the request ends.
func (t *Telemetry) Begin(r *http.Request, id string) (context.Context, func(pattern string, status int)) {
	count := t.counts.begin()
	ctx, span := t.traces.begin(r, id)
	return ctx, func(pattern string, status int) {
		method, route := routeOf(r.Method, pattern)
		count(method, route, status)
		span(method, route, status)
	}
}

func buildInfo() prometheus.Collector {
	b := build.This()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "permledger_build_info", Help: "Which program this is; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	g.Set(1)
	return g
}
