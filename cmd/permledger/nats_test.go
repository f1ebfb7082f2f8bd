package main

// The service over NATS, as a process: what subscribers reach at --nats-listen, and how fast an answer is there.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/cmd/permledger/internal/natsapi"
)

// servesNATS starts a service that subscribers reach, and gives its addresses. What it logs goes on being read.
func servesNATS(t *testing.T, data string) (web, log string, stop func()) {
	t.Helper()
	cmd := permledger("serve", "--data", data, "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	drained := make(chan struct{})
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); <-drained; errs.Close() })
	lines := bufio.NewScanner(errs)
	var seen strings.Builder
	for log == "" && lines.Scan() {
		fmt.Fprintln(&seen, lines.Text())
		var said struct{ NATS string }
		if json.Unmarshal(lines.Bytes(), &said) == nil {
			log = said.NATS
		}
	}
	go func() { defer close(drained); io.Copy(io.Discard, errs) }()
	var said struct{ Address string }
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || json.Unmarshal([]byte(line), &said) != nil || log == "" {
		t.Fatalf("serve said %q (%v) and logged\n%s\nwant its addresses", line, err, &seen)
	}
	return said.Address, log, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v, want success", err)
		}
	}
}

// TestServeNATS: a directory that was made without subscribers in mind is followed and asked by a plain client.
func TestServeNATS(t *testing.T) {
	web, log, stop := servesNATS(t, made(t))
	nc, err := nats.Connect(log)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx := t.Context()

	const question = `{"subject":"professional:root","action":"configure","resource":"platform:main","known_at":"3","at":"2100-01-01T00:00:00Z"}`
	for {
		msg, err := nc.RequestWithContext(ctx, "permledger.acme.check", []byte(question))
		if errors.Is(err, nats.ErrNoResponders) { // it listens before it answers
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(web + "/orgs/acme/check?subject=professional:root&action=configure&resource=platform:main&known_at=3&at=2100-01-01T00:00:00Z")
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(msg.Data, want) {
			t.Errorf("check over NATS: %s\nover HTTP: %s (%v)\nwant the same", msg.Data, want, err)
		}
		break
	}
	found, err := nc.RequestWithContext(ctx, "$SRV.INFO.permledger", nil)
	if err != nil || !strings.Contains(string(found.Data), "permledger.*.who") {
		t.Errorf("looking for services: %v, %v, want permledger with its endpoints", found, err)
	}

	// A change is followed as it happens, and from a durable consumer.
	live, err := nc.SubscribeSync("permledger.*.change.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s := &served{url: web}
	for _, command := range []string{
		`{"command":"account.open","actor":"professional:root","data":{"account":"professional:anna"}}`,
		`{"command":"role.assign","actor":"professional:root","data":{"principal":"professional:anna","role":"manager"}}`,
	} {
		if err := s.record(command); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for msg, err := live.NextMsgWithContext(ctx); ; msg, err = live.NextMsgWithContext(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(msg.Data), "professional:anna") {
			break
		}
	}
	c, err := js.CreateOrUpdateConsumer(ctx, "PERMLEDGER_acme_CHANGES", jetstream.ConsumerConfig{Durable: "index"})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := c.Next()
	if err != nil || !strings.HasPrefix(msg.Subject(), "permledger.acme.change.") {
		t.Fatalf("the consumer's first: %v, %v, want a change", msg, err)
	}
	if err := msg.DoubleAck(ctx); err != nil {
		t.Error(err)
	}
	stop()
}

func TestServeNATSRefused(t *testing.T) {
	data := made(t)
	for args, want := range map[string]string{
		"--nats-listen 0.0.0.0:4222":                      "other machines could reach",
		"--nats-listen here":                              "want host:port",
		"--nats-listen 127.0.0.1:0 --nats nats://[::1]:1": "--nats-listen opens the log of the data directory",
	} {
		if _, errs := runs(t, 2, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, strings.Fields(args)...)...); !strings.Contains(errs, want) {
			t.Errorf("%s: got %q, want %q in it", args, errs, want)
		}
	}
}

// BenchmarkCheck asks one after another, of a service in this process: over NATS through the port, and over HTTP.
func BenchmarkCheck(b *testing.B) {
	address, err := loopback("--nats-listen", "127.0.0.1:0", "")
	if err != nil {
		b.Fatal(err)
	}
	o := ledger.Options{Data: b.TempDir(), Create: true}
	o.NATS.Listen = address
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	service, err := ledger.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer service.Close()
	var said struct{ NATS string }
	if err := json.NewDecoder(&log).Decode(&said); err != nil {
		b.Fatal(err)
	}
	document, err := os.ReadFile("testdata/roles.yaml")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := service.Init(b.Context(), "acme", document, "professional:root", "test"); err != nil {
		b.Fatal(err)
	}
	handler := api.New(api.Options{Service: service})
	overNATS, err := natsapi.Start(natsapi.Options{Conn: service.NATS(), HTTP: inProcess{handler}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer overNATS.Stop(b.Context())
	web := &http.Server{Handler: handler}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go web.Serve(l)
	defer web.Close()

	nc, err := nats.Connect(said.NATS)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	ask := map[string]func() ([]byte, error){
		"nats": func() ([]byte, error) {
			msg, err := nc.RequestWithContext(b.Context(), "permledger.acme.check", []byte(`{"subject":"professional:root","action":"configure","resource":"platform:main"}`))
			if err != nil {
				return nil, err
			}
			return msg.Data, nil
		},
		"http": func() ([]byte, error) {
			resp, err := http.Get("http://" + l.Addr().String() + "/orgs/acme/check?subject=professional:root&action=configure&resource=platform:main")
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			return io.ReadAll(resp.Body)
		},
	}
	for _, by := range []string{"http", "nats"} {
		b.Run("over="+by, func(b *testing.B) {
			for b.Loop() {
				if body, err := ask[by](); err != nil || !bytes.HasPrefix(body, []byte(`{"decision":`)) {
					b.Fatalf("%s, %v", body, err)
				}
			}
		})
		b.Run("over="+by+"/atonce", func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := ask[by](); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
