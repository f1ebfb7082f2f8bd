package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

var (
	_ ledger.Observer = (*Telemetry)(nil)
	_ api.Observer    = (*Telemetry)(nil)
)

func TestMetricsAreWellFormed(t *testing.T) {
	w := newWorld(t, nil, "acme")
	w.busy()
	problems, err := testutil.GatherAndLint(w.telemetry.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, _ := w.metrics()
	for _, name := range []string{
		"permledger_build_info", "permledger_commands_total", "permledger_append_duration_seconds", "permledger_commit_group_size",
		"permledger_projection_lag_events", "permledger_projection_lag_seconds", "permledger_feed_position_lag_events",
		"permledger_feed_position_lag_seconds", "permledger_subscribers", "permledger_http_requests_total", "permledger_questions_total",
		"permledger_pebble_disk_bytes", "permledger_jetstream_store_bytes", "permledger_nats_connections", "go_goroutines", "process_open_fds",
	} {
		if families[name] == nil {
			t.Errorf("%s is not among the metrics: %v", name, slices.Sorted(maps.Keys(families)))
		}
	}
	for _, part := range []string{"log", "subscribers"} {
		if got := value(families, "permledger_figures_missing", "part", part); got != 0 {
			t.Errorf("the figures of %s are missing", part)
		}
	}
}

func TestCountersMove(t *testing.T) {
	w := newWorld(t, nil, "acme")
	before, _ := w.metrics()
	w.busy()
	after, _ := w.metrics()
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"permledger_commands_total", []string{"command", "account.open", "outcome", "recorded"}, 3}, // one of them in an array
		{"permledger_commands_total", []string{"command", "account.open", "outcome", "unchanged"}, 1},
		{"permledger_commands_total", []string{"command", "account.open", "outcome", "conflict"}, 1},
		{"permledger_commands_total", []string{"command", "caseload.link", "outcome", "recorded"}, 1},
		{"permledger_commands_total", []string{"command", "account.reactivate", "outcome", "not_permitted"}, 1},
		{"permledger_command_duration_seconds", nil, 4}, // what recorded something
		{"permledger_append_duration_seconds", nil, 4},
		{"permledger_decide_duration_seconds", nil, 7},
		{"permledger_commit_group_size", nil, 4},
		{"permledger_apply_duration_seconds", nil, 4},
		{"permledger_questions_total", []string{"kind", "check", "outcome", "answered"}, 1},
		{"permledger_questions_total", []string{"kind", "who", "outcome", "answered"}, 1},
		{"permledger_questions_total", []string{"kind", "what", "outcome", "refused"}, 1},
		{"permledger_questions_total", []string{"kind", "evaluation", "outcome", "answered"}, 1},
		{"permledger_http_requests_total", []string{"method", "POST", "route", "/orgs/{org}/commands", "status", "200"}, 5},
		{"permledger_http_requests_total", []string{"method", "POST", "route", "/orgs/{org}/commands", "status", "409"}, 1},
		{"permledger_http_request_duration_seconds", []string{"method", "GET", "route", "/orgs/{org}/check"}, 1},
		{"permledger_log_events", []string{"org", "acme"}, 5},
		{"permledger_decided_again_total", nil, 0},
	} {
		if got := value(after, c.name, c.labels...) - value(before, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v went up by %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	var events float64
	for _, m := range after["permledger_commit_group_size"].GetMetric() {
		events += m.GetHistogram().GetSampleSum()
	}
	if events != 5 {
		t.Errorf("%v events in commits, want 5", events)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"permledger_ledger_ready", []string{"org", "acme"}, 1},
		{"permledger_ledger_stopped", []string{"org", "acme"}, 0},
		{"permledger_projection_lag_events", []string{"org", "acme"}, 0},
		{"permledger_http_requests_in_flight", nil, 1}, // the look itself
		{"permledger_subscribers", []string{"sort", "follower", "state", "active"}, 1},
		{"permledger_rebuild_phase", []string{"org", "acme", "kind", "rebuild", "phase", "done"}, 1},
		{"permledger_rebuild_read_events", []string{"org", "acme", "kind", "rebuild"}, 8},
		{"permledger_rebuild_target_events", []string{"org", "acme", "kind", "rebuild"}, 8},
		{"permledger_rebuild_left_seconds", []string{"org", "acme", "kind", "rebuild"}, 0},
	} {
		if got := value(after, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, name := range []string{"permledger_rebuild_heartbeat_timestamp_seconds", "permledger_pebble_disk_bytes", "permledger_pebble_memtable_bytes", "permledger_pebble_wal_written_bytes_total",
		"permledger_jetstream_streams", "permledger_jetstream_store_bytes", "permledger_jetstream_messages", "permledger_jetstream_api_requests_total", "permledger_nats_connections"} {
		if value(after, name) <= 0 {
			t.Errorf("%s is %v after all that", name, value(after, name))
		}
	}
	webhooks := 0.0 // nobody answers it, so that it is active or retrying
	for _, state := range []string{"active", "retrying", "disabled"} {
		webhooks += value(after, "permledger_subscribers", "sort", "webhook", "state", state)
	}
	if webhooks != 1 {
		t.Errorf("%v webhooks, want 1", webhooks)
	}
}

// TestWhatStopped: a ledger that is damaged so that it can't even be opened is no ledger that is missing.
func TestWhatStopped(t *testing.T) {
	dir := t.TempDir()
	open := func() *ledger.Service {
		s, err := ledger.Open(t.Context(), ledger.Options{Data: dir, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for _, org := range []domain.Org{"acme", "zeta"} {
		if _, err := s.Init(t.Context(), org, []byte(house), "professional:boss", "test"); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(s.NATS())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "PERMLEDGER_acme")
	if err != nil {
		t.Fatal(err)
	}
	loose := stream.CachedInfo().Config
	loose.MaxMsgs = 1000
	if _, err := js.UpdateStream(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open()
	defer s.Close()
	if err := s.OpenAll(t.Context()); !errors.Is(err, domain.Integrity) {
		t.Fatalf("a ledger whose settings were loosened is opened: %v", err)
	}
	made, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	made.Watch(s)
	gathered, err := made.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := make(map[string]*dto.MetricFamily)
	for _, f := range gathered {
		families[f.GetName()] = f
	}
	for org, wanted := range map[string]float64{"acme": 1, "zeta": 0} {
		stopped, ready := value(families, "permledger_ledger_stopped", "org", org), value(families, "permledger_ledger_ready", "org", org)
		if stopped != wanted || ready != 1-wanted {
			t.Errorf("%s: stopped %v and ready %v, want %v and %v", org, stopped, ready, wanted, 1-wanted)
		}
	}
}

// TestNobodyIsNamed makes requests in which everything that a caller chooses has "secret" in it, and looks for that.
func TestNobodyIsNamed(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	w := newWorld(t, sdktrace.NewSimpleSpanProcessor(spans), "acme")
	w.busy()
	w.want(404, "GET", "/secret/path", "")
	w.want(405, "SECRET", "/orgs/acme/who", "")
	w.want(404, "GET", "/orgs/secretorg/who?action=view_record&resource=client:secretc1", "")
	w.want(200, "GET", "/orgs//acme/who?action=view_record&resource=client:secretc1", "")
	families, text := w.metrics()
	for line := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(line), "secret") {
			t.Errorf("a metric tells what somebody asked: %s", line)
		}
	}
	if got := value(families, "permledger_http_requests_total", "method", "other", "route", "/orgs/{org}/who", "status", "405"); got != 1 {
		t.Errorf("%v requests of a method that is none, want 1", got)
	}
	if got := value(families, "permledger_http_requests_total", "method", "GET", "route", "other", "status", "404"); got != 1 {
		t.Errorf("%v requests of a path that is none, want 1", got)
	}
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == "permledger.request_id" { // the one thing that a caller chooses
				continue
			}
			if strings.Contains(strings.ToLower(a.Value.String()), "secret") {
				t.Errorf("span %s: %s tells what somebody asked: %s", s.Name, a.Key, a.Value.String())
			}
		}
		if told := s.Name + s.Status.Description; strings.Contains(strings.ToLower(told), "secret") {
			t.Errorf("a span tells what somebody asked: %s", told)
		}
	}
}

// TestCardinality: one more organisation costs a few gauges, and what happens in it nothing.
func TestCardinality(t *testing.T) {
	count := func(orgs ...domain.Org) (all, named int) {
		w := newWorld(t, nil, orgs...)
		for _, org := range orgs {
			w.want(200, "POST", "/orgs/"+string(org)+"/commands", `{"command":"account.open","actor":"professional:secretboss","data":{"account":"client:c1"}}`)
			w.want(200, "GET", "/orgs/"+string(org)+"/who?action=view_record&resource=client:c1", "")
		}
		families, _ := w.metrics()
		for name, f := range families {
			if !strings.HasPrefix(name, "permledger_") {
				continue
			}
			for _, m := range f.GetMetric() {
				all++
				for _, l := range m.GetLabel() {
					if l.GetName() == "org" {
						named++
					}
				}
			}
		}
		return all, named
	}
	var orgs []domain.Org
	for i := range 5 {
		orgs = append(orgs, domain.Org(fmt.Sprintf("org-%d", i)))
	}
	one, _ := count(orgs[0])
	five, named := count(orgs...)
	if most := 8; five-one > 4*most || named > 5*most {
		t.Errorf("%d series of one organisation, %d of five, %d of which name one: want at most %d more for each", one, five, named, most)
	}
}

// TestQuestionKinds: each route that counts as a question is one.
func TestQuestionKinds(t *testing.T) {
	w := newWorld(t, nil, "acme")
	for route := range questionKinds {
		path := strings.ReplaceAll(route, "{org}", "acme")
		if status, answer := w.ask("GET", path, ""); strings.Contains(answer, "unknown_path") {
			t.Errorf("%s: status %d: %s", path, status, answer)
		}
	}
}
