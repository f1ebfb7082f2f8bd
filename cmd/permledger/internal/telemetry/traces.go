package telemetry

// Traces over OTLP: a span for each request, and under it what became of the commands that it brought. The environment
// says where they go, by OpenTelemetry's own names (OTEL_EXPORTER_OTLP_ENDPOINT and its kin); where it says nothing, no
// span is made. A span says which route, command and outcome it was, and never what was asked about.
//
// A command's spans are made when it is over, from the times that the writer noted: the writer, of which there is one, has
// no spans to make.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/permledger/permledger/cmd/permledger/internal/build"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// traces makes spans; a nil one makes none.
type traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// newTraces gives nil where nobody wants traces.
func newTraces(ctx context.Context, spans sdktrace.SpanProcessor, logger *slog.Logger) (*traces, error) {
	if spans == nil {
		wanted, err := wanted()
		if err != nil || !wanted {
			return nil, err
		}
		exporter, err := otlptracehttp.New(ctx) // reads where to, with which headers and certificates, from the environment
		if err != nil {
			return nil, domain.Errorf(domain.Malformed, "bad_environment", "sending traces as OTEL_EXPORTER_OTLP_* say: %v", err)
		}
		spans = sdktrace.NewBatchSpanProcessor(exporter)
	}
	of, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "permledger"), attribute.String("service.version", build.This().Version)),
		resource.WithFromEnv()) // last, so that OTEL_SERVICE_NAME has its way
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_environment", "naming this service in traces as OTEL_RESOURCE_ATTRIBUTES says: %v", err)
	}
	// What goes wrong in sending is told here and nowhere else: OpenTelemetry has one such place for a process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces", "error", err) }))
	p := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithSpanProcessor(spans))
	return &traces{p, p.Tracer("github.com/permledger/permledger")}, nil
}

// wanted tells whether the environment asks for traces.
func wanted() (bool, error) {
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch {
	case os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "",
		strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), os.Getenv("OTEL_TRACES_EXPORTER") == "none":
		return false, nil
	case protocol != "" && protocol != "http/protobuf":
		return false, domain.Errorf(domain.Malformed, "bad_environment", "OTEL_EXPORTER_OTLP_PROTOCOL %q: traces are sent by http/protobuf alone; set it to that, and the endpoint to the collector's port for it, which usually is 4318", protocol)
	}
	// OpenTelemetry takes what it can't read for its default, and sends to another place than was meant.
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		value := os.Getenv(name)
		if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return false, domain.Errorf(domain.Malformed, "bad_environment", "%s: want the collector's address with its scheme, e.g. http://127.0.0.1:4318", name) // its value may hold a password
		}
	}
	return true, nil
}

func (t *traces) close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// begin begins a request's span, under the caller's own where the request names it (W3C traceparent).
func (t *traces) begin(r *http.Request, id string) (context.Context, func(method, route string, status int)) {
	if t == nil {
		return r.Context(), func(string, string, int) {}
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("permledger.request_id", id)))
	return ctx, func(method, route string, status int) {
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// recorded makes the spans of commands that a request brought.
func (t *traces) recorded(ctx context.Context, w ledger.Work) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	names := make(map[domain.Action]bool) // of an array of thousands they are few
	for _, c := range w.Commands {
		names[c.Name] = true
	}
	ctx, span := t.tracer.Start(ctx, "record", trace.WithTimestamp(w.Asked), trace.WithAttributes(
		attribute.StringSlice("permledger.commands", sorted(names)), attribute.Int("permledger.events", w.Events),
		attribute.Int("permledger.attempts", w.Attempts), attribute.String("permledger.outcome", outcomeOf(w))))
	defer span.End()
	var e *domain.Error
	if errors.As(w.Err, &e) {
		span.SetStatus(codes.Error, e.Code) // its text may name whom it is about
	} else if w.Err != nil {
		span.SetStatus(codes.Error, failed)
	}
	t.step(ctx, "decide", w.Taken, w.Decided)
	t.step(ctx, "append", w.Decided, w.Acknowledged)
	t.step(ctx, "apply", w.Acknowledged, w.Applied)
}

func sorted(names map[domain.Action]bool) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, string(name))
	}
	slices.Sort(list)
	return list
}

// step makes the span of a step that was taken.
func (t *traces) step(ctx context.Context, name string, from, until time.Time) {
	if from.IsZero() || until.IsZero() {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(until))
}
