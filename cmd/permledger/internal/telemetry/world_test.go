package telemetry

// What the tests of this package stand on: a real service (embedded NATS, Pebble) served over HTTP, watched as serve has it
// watched, and looked at from outside.

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

const house = `
catalogue: house
kinds:
  professional: {}
  client: {protected: true}
roles:
  manager: {for: professional}
  therapist: {for: professional}
founder: manager
relations:
  therapist: {from: professional, role: therapist}
permits:
  - {role: manager, on: [professional, client], actions: [account.open, account.deactivate, role.assign, caseload.link]}
  - {role: therapist, link: therapist, on: client, actions: view_record}
`

type world struct {
	t         testing.TB
	telemetry *Telemetry
	service   *ledger.Service
	server    *httptest.Server
}

// newWorld makes ledgers of these organisations, each with the founder professional:secretboss.
func newWorld(t testing.TB, spans sdktrace.SpanProcessor, orgs ...domain.Org) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.telemetry, err = New(t.Context(), Options{spans: spans}); err != nil {
		t.Fatal(err)
	}
	w.service, err = ledger.Open(t.Context(), ledger.Options{Data: t.TempDir(), Create: true, Feed: true, Webhooks: true, Observer: w.telemetry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.service.Close(); err != nil {
			t.Error(err)
		}
	})
	w.telemetry.Watch(w.service)
	for _, org := range orgs {
		if _, err := w.service.Init(t.Context(), org, []byte(house), "professional:secretboss", "test"); err != nil {
			t.Fatal(err)
		}
	}
	w.server = httptest.NewServer(api.New(api.Options{Service: w.service, Observer: w.telemetry, Metrics: w.telemetry.Metrics()}))
	t.Cleanup(w.server.Close)
	return w
}

// ask sends a request and gives the status and body of the answer.
func (w *world) ask(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// want is ask of what has to have a status.
func (w *world) want(status int, method, path, body string, header ...string) string {
	w.t.Helper()
	got, answer := w.ask(method, path, body, header...)
	if got != status {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	return answer
}

// busy has acme's ledger do something of everything: each of its names and texts has "secret" in it.
func (w *world) busy() {
	w.t.Helper()
	command := func(status int, name, data, more string) {
		w.want(status, "POST", "/orgs/acme/commands", `{"command":"`+name+`","actor":"professional:secretboss","reason":"secret reason","data":`+data+more+`}`)
	}
	command(200, "account.open", `{"account":"professional:secretanna"}`, `,"id":"secret-1"`)
	command(200, "account.open", `{"account":"professional:secretanna"}`, `,"id":"secret-1"`) // once more
	command(200, "account.open", `{"account":"client:secretc1"}`, "")
	command(409, "account.open", `{"account":"client:secretc1"}`, "")
	command(200, "role.assign", `{"principal":"professional:secretanna","role":"therapist"}`, "")
	command(403, "account.reactivate", `{"account":"professional:secretanna"}`, "")
	command(400, "secret.command", `{}`, "")
	w.want(200, "POST", "/orgs/acme/commands", `[
		{"command":"account.open","actor":"professional:secretboss","data":{"account":"client:secretc2"}},
		{"command":"caseload.link","actor":"professional:secretboss","data":{"principal":"professional:secretanna","client":"client:secretc2","relation":"therapist"}}]`)
	w.want(200, "GET", "/orgs/acme/check?subject=professional:secretanna&action=view_record&resource=client:secretc1", "", "X-Request-ID", "secretrequest")
	w.want(200, "GET", "/orgs/acme/who?action=view_record&resource=client:secretc2", "")
	w.want(404, "GET", "/orgs/acme/what?subject=professional:secretnobody", "")
	w.want(200, "POST", "/orgs/acme/access/v1/evaluation", `{"subject":{"type":"professional","id":"secretanna"},"action":{"name":"view_record"},"resource":{"type":"client","id":"secretc2"}}`)
	w.want(200, "PUT", "/orgs/acme/subscribers/secrethook", `{"url":"http://127.0.0.1:1/secretpath"}`)
	w.want(200, "POST", "/orgs/acme/subscribers/secretfollower/ack", `{"cursor":"1"}`)
	w.want(200, "POST", "/admin/rebuild?org=acme", "")
}

// metrics looks at the metrics as Prometheus does, and gives them by name.
func (w *world) metrics() (map[string]*dto.MetricFamily, string) {
	w.t.Helper()
	text := w.want(200, "GET", "/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		w.t.Fatalf("the metrics can't be parsed: %v\n%s", err, text)
	}
	return families, text
}

// value gives the metric that has these labels, and 0 where there is none; of a histogram how often it was observed.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, m := range families[name].GetMetric() {
		has := make(map[string]string)
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		same := true
		for i := 0; i < len(labels); i += 2 {
			same = same && has[labels[i]] == labels[i+1]
		}
		switch {
		case !same:
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		default:
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}
