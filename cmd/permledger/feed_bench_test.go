package main

// How soon a change is with those who follow over HTTP, one and a thousand of them, beside a bare JetStream publish and
// its delivery in the same run.

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkFollowers records links and measures from each acknowledgement until every follower has the change. One
// operation is one command.
func BenchmarkFollowers(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("followers=%d", n), func(b *testing.B) { followers(b, n) })
	}
}

func followers(b *testing.B, n int) {
	p, err := newPractice(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			b.Error(err)
		}
	}()
	if _, err := p.records(`account.open {"account":"professional:anna"}`, `role.assign {"principal":"professional:anna","role":"therapist"}`, `account.open {"account":"client:c1"}`); err != nil {
		b.Fatal(err)
	}
	link := []string{
		`caseload.link {"principal":"professional:anna","client":"client:c1","relation":"therapist"}`,
		`caseload.unlink {"principal":"professional:anna","client":"client:c1","relation":"therapist"}`,
	}
	var connected, ended sync.WaitGroup
	arrivals := make(chan time.Time, n)
	for range n {
		connected.Add(1)
		ended.Go(func() {
			resp, err := http.Get(p.server.URL + "/orgs/acme/changes?subject=professional:anna")
			if err != nil {
				b.Error(err)
				connected.Done()
				return
			}
			defer resp.Body.Close()
			lines, there := bufio.NewScanner(resp.Body), false
			for lines.Scan() {
				if !there {
					there = true
					connected.Done()
				}
				if bytes.Equal(lines.Bytes(), []byte("event: gained")) || bytes.Equal(lines.Bytes(), []byte("event: lost")) {
					arrivals <- time.Now()
				}
			}
		})
	}
	connected.Wait()
	bare := bareDelivery(b)
	var first, last, bares []time.Duration
	b.ResetTimer()
	for i := range b.N {
		if _, err := p.records(link[i%2]); err != nil {
			b.Fatal(err)
		}
		acked := time.Now()
		for k := range n {
			took := (<-arrivals).Sub(acked)
			if k == 0 {
				first = append(first, took)
			}
			if k == n-1 {
				last = append(last, took)
			}
		}
		bares = append(bares, bare())
	}
	b.StopTimer()
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"first", first}, {"last", last}, {"bare", bares}} {
		slices.Sort(of.times)
		b.ReportMetric(float64(of.times[len(of.times)/2].Microseconds()), "us-p50-"+of.name)
		b.ReportMetric(float64(of.times[len(of.times)*99/100].Microseconds()), "us-p99-"+of.name)
	}
	p.server.CloseClientConnections()
	ended.Wait()
}

// bareDelivery gives a function that publishes to a stream of an embedded server that syncs every write, and says how long
// it took until a consumer had it.
func bareDelivery(b *testing.B) func() time.Duration {
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, JetStream: true, StoreDir: b.TempDir(), SyncAlways: true})
	if err != nil {
		b.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		b.Fatal("the bare server does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close(); srv.Shutdown(); srv.WaitForShutdown() })
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	stream, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare.>"}})
	if err != nil {
		b.Fatal(err)
	}
	c, err := stream.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	arrived := make(chan time.Time, 1)
	consuming, err := c.Consume(func(jetstream.Msg) { arrived <- time.Now() })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(consuming.Stop)
	return func() time.Duration {
		start := time.Now()
		if _, err := js.PublishMsg(b.Context(), &nats.Msg{Subject: "bare.change", Data: make([]byte, 400)}); err != nil {
			b.Fatal(err)
		}
		return (<-arrived).Sub(start)
	}
}
