package telemetry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// tracing makes a world whose spans are kept.
func tracing(t *testing.T) (*world, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return newWorld(t, sdktrace.NewSimpleSpanProcessor(spans), "acme"), spans
}

// named gives the only span of a name.
func named(t *testing.T, spans *tracetest.InMemoryExporter, name string) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, s := range spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans named %q, want 1: %v", len(found), name, spans.GetSpans())
	}
	return found[0]
}

func attributesOf(s tracetest.SpanStub) map[attribute.Key]string {
	all := make(map[attribute.Key]string)
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.String()
	}
	return all
}

func TestCommandIsTraced(t *testing.T) {
	w, spans := tracing(t)
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.want(200, "POST", "/orgs/acme/commands", `{"command":"account.open","actor":"professional:secretboss","data":{"account":"client:c1"}}`,
		"traceparent", "00-"+caller+"-00f067aa0ba902b7-01", "X-Request-ID", "r1")
	w.server.Close() // waits until the request is over
	request, record := named(t, spans, "POST /orgs/{org}/commands"), named(t, spans, "record")
	if got := request.SpanContext.TraceID().String(); got != caller || request.Parent.SpanID().String() != "00f067aa0ba902b7" || !request.Parent.IsRemote() {
		t.Errorf("the request's span is of trace %s under %s, want the caller's", got, request.Parent.SpanID())
	}
	if request.SpanKind != trace.SpanKindServer {
		t.Errorf("the request's span is of kind %v", request.SpanKind)
	}
	got := attributesOf(request)
	for key, want := range map[attribute.Key]string{"http.request.method": "POST", "http.route": "/orgs/{org}/commands", "http.response.status_code": "200", "permledger.request_id": "r1"} {
		if got[key] != want {
			t.Errorf("the request's %s is %q, want %q", key, got[key], want)
		}
	}
	if record.Parent.SpanID() != request.SpanContext.SpanID() {
		t.Error("what was recorded is not under the request")
	}
	got = attributesOf(record)
	for key, want := range map[attribute.Key]string{"permledger.commands": `["account.open"]`, "permledger.events": "1", "permledger.outcome": "recorded"} {
		if got[key] != want {
			t.Errorf("record's %s is %q, want %q", key, got[key], want)
		}
	}
	last := record.StartTime
	for _, name := range []string{"decide", "append", "apply"} {
		step := named(t, spans, name)
		if step.Parent.SpanID() != record.SpanContext.SpanID() {
			t.Errorf("%s is not under record", name)
		}
		if step.StartTime.Before(last) || step.EndTime.Before(step.StartTime) || step.EndTime.After(record.EndTime) {
			t.Errorf("%s took from %v to %v, the one before it ended at %v and all of it at %v", name, step.StartTime, step.EndTime, last, record.EndTime)
		}
		last = step.EndTime
	}
}

func TestRefusalIsTraced(t *testing.T) {
	w, spans := tracing(t)
	w.want(403, "POST", "/orgs/acme/commands", `{"command":"account.reactivate","actor":"professional:secretboss","data":{"account":"professional:secretboss"}}`)
	w.server.Close()
	record := named(t, spans, "record")
	if got := attributesOf(record)["permledger.outcome"]; got != "not_permitted" || record.Status.Description == "" {
		t.Errorf("outcome %q, status %v; want not_permitted and the code of the refusal", got, record.Status)
	}
	named(t, spans, "decide")
	for _, s := range spans.GetSpans() {
		if s.Name == "append" || s.Name == "apply" {
			t.Errorf("what was refused has a span %q", s.Name)
		}
	}
}

// TestTracesAreSent sends traces to a collector of our own, which the environment names.
func TestTracesAreSent(t *testing.T) {
	got := make(chan *http.Request, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case got <- r:
		default:
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	w := newWorld(t, nil, "acme")
	w.want(200, "GET", "/livez", "", "X-Request-ID", "caf\xe9") // which is no text, and OTLP takes none but text
	w.server.Close()
	if err := w.telemetry.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-got:
		if r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("the collector got %s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
	default:
		t.Error("the collector got nothing")
	}
}

func TestWhenThereAreTraces(t *testing.T) {
	for _, c := range []struct {
		environment map[string]string
		wanted      bool
		err         string
	}{
		{nil, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "http/protobuf"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, false, "http://127.0.0.1:4318"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "user:secret@localhost:4318"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, false, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, ""}, // nobody asked for any
	} {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"} {
			t.Setenv(name, c.environment[name])
		}
		made, err := New(t.Context(), Options{})
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: error %v, want one that says %q", c.environment, err, c.err)
			}
			continue
		case err != nil:
			t.Errorf("%v: %v", c.environment, err)
			continue
		case (made.traces != nil) != c.wanted:
			t.Errorf("%v: traces are made: %v, want %v", c.environment, made.traces != nil, c.wanted)
		}
		if err := made.Close(t.Context()); err != nil {
			t.Errorf("%v: closing: %v", c.environment, err)
		}
	}
}

// TestWithoutTraces: a request goes on with its own context, and nothing is asked of OpenTelemetry.
func TestWithoutTraces(t *testing.T) {
	made, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/livez", nil)
	ctx, end := made.Begin(r, "r1")
	if ctx != r.Context() {
		t.Error("a request without traces goes on with another context")
	}
	end("GET /livez", 200)
}
