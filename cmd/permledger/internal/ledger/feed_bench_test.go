package ledger

// What the change feed costs: how fast changes are found and published, what that costs those who record, and how soon a
// change is with whoever follows. Beside each stands the bare thing in the same run.

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// BenchmarkSteps finds what changed at every event of a history of openings, links and their ends.
func BenchmarkSteps(b *testing.B) {
	l, _ := imported(b, 10_000, 2)
	head := l.Head()
	changes := 0
	b.ResetTimer()
	for range b.N {
		seq := domain.Seq(0)
		for s, err := range l.Steps(b.Context(), 0, head) {
			if err != nil {
				b.Fatal(err)
			}
			if seq++; s.Seq != seq {
				b.Fatalf("step %d after %d", s.Seq, seq-1)
			}
			changes += len(s.Changes)
		}
		if seq != head {
			b.Fatalf("%d steps of %d", seq, head)
		}
	}
	took := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)*float64(head)/took, "events/s")
	b.ReportMetric(float64(changes)/took, "changes/s")
}

const (
	feedStaff   = 100
	feedClients = 1000
)

// staffed makes a ledger with therapists and clients to link, with its feed running or not.
func staffed(b *testing.B, feed bool) *Ledger {
	s, err := Open(b.Context(), Options{Data: b.TempDir(), Create: true, Feed: feed})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	document, err := catalogues.Document("minddistrict")
	if err != nil {
		b.Fatal(err)
	}
	l, err := s.Init(b.Context(), "acme", document, root, "bench")
	if err != nil {
		b.Fatal(err)
	}
	var commands []domain.Command
	add := func(name domain.Action, d domain.Data) {
		commands = append(commands, domain.Command{Name: name, Actor: root, Source: "bench", Data: d})
	}
	for _, role := range []domain.Role{"therapist", "secretary"} { // who opens clients, and who links them
		add("role.assign", &domain.RoleAssignment{Principal: root, Role: role})
	}
	for i := range feedStaff {
		p := domain.Account(fmt.Sprintf("professional:p%d", i))
		add("account.open", &domain.AccountOpening{Account: p})
		add("role.assign", &domain.RoleAssignment{Principal: p, Role: "therapist"})
	}
	for i := range feedClients {
		add("account.open", &domain.AccountOpening{Account: domain.Account(fmt.Sprintf("client:c%d", i))})
	}
	if _, err := l.Record(b.Context(), commands); err != nil {
		b.Fatal(err)
	}
	return l
}

// linking is the nth of 100,000 links, one change for the therapist and one for the client.
func linking(n int) domain.Command {
	return domain.Command{Name: "caseload.link", Actor: root, Source: "bench", Data: &domain.CaseloadLink{
		Principal: domain.Account(fmt.Sprintf("professional:p%d", n/feedClients%feedStaff)),
		Client:    domain.Account(fmt.Sprintf("client:c%d", n%feedClients)), Relation: "therapist",
	}}
}

// published waits until every change up to the ledger's head is in the stream.
func published(b *testing.B, l *Ledger) {
	for {
		s, err := l.Feed().Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if s.Position == s.Head {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkFeed records links by 64 callers with the feed running and without. One operation is one command.
func BenchmarkFeed(b *testing.B) {
	with, without := staffed(b, true), staffed(b, false)
	published(b, with)
	var recorded, fed, alone time.Duration
	done := 0
	b.ResetTimer()
	for done < b.N {
		n := min(b.N-done, 20_000)
		start := time.Now()
		recorded += callers(b, 64, n, func(i int) error {
			_, err := with.Record(b.Context(), []domain.Command{linking(done + i)})
			return err
		})
		published(b, with)
		fed += time.Since(start)
		alone += callers(b, 64, n, func(i int) error {
			_, err := without.Record(b.Context(), []domain.Command{linking(done + i)})
			return err
		})
		done += n
	}
	b.ReportMetric(float64(done)/alone.Seconds(), "commands/s-without")
	b.ReportMetric(float64(done)/recorded.Seconds(), "commands/s")
	b.ReportMetric(float64(done)/fed.Seconds(), "fed/s")
	b.ReportMetric(recorded.Seconds()/fed.Seconds(), "x-append-rate")
}

// BenchmarkFeedBacklog publishes the changes of a history that was imported. One operation is the history of 70,000 events.
func BenchmarkFeedBacklog(b *testing.B) {
	l, sum := imported(b, 10_000, 2)
	state, err := consumers.OpenState(b.Context(), l.s.store.JetStream(), 1)
	if err != nil {
		b.Fatal(err)
	}
	changes := uint64(0)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		_ = l.s.store.JetStream().DeleteStream(b.Context(), "PERMLEDGER_acme_CHANGES")
		_ = state.Purge(b.Context(), "acme.position")
		b.StartTimer()
		l.following = newFeeding(l, state)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- l.Feed().Run(ctx) }()
		published(b, l)
		s, err := l.Feed().Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		changes += s.Changes
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	l.following = nil
	b.ReportMetric(float64(b.N)*float64(sum.Events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}

// BenchmarkFeedLatency measures from a command's acknowledgement to its change at a follower in this process and at a NATS
// subscriber; and for each command how long a bare JetStream publish takes to its delivery. One operation is one command.
func BenchmarkFeedLatency(b *testing.B) {
	l := staffed(b, true)
	published(b, l)
	nc := l.s.store.JetStream().Conn()
	arrived := make(chan time.Time, 16)
	sub, err := nc.Subscribe("permledger.acme.change.gained.professional", func(*nats.Msg) { arrived <- time.Now() })
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Unsubscribe()
	reader, err := l.Feed().Open(b.Context(), consumers.Cursor{Seq: l.Head()})
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	js := bareStream(b)
	bareArrived := make(chan time.Time, 1)
	c, err := js.OrderedConsumer(b.Context(), "BARE", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	consuming, err := c.Consume(func(jetstream.Msg) { bareArrived <- time.Now() })
	if err != nil {
		b.Fatal(err)
	}
	defer consuming.Stop()
	var follower, subscriber, bare []time.Duration
	b.ResetTimer()
	for i := range b.N {
		if _, err := l.Record(b.Context(), []domain.Command{linking(i)}); err != nil {
			b.Fatal(err)
		}
		acked := time.Now()
		for {
			batch, err := reader.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if len(batch.Changes) > 0 {
				break
			}
		}
		follower = append(follower, time.Since(acked))
		subscriber = append(subscriber, (<-arrived).Sub(acked))
		start := time.Now()
		if err := nc.Publish("nobody", nil); err != nil { // both connections are warm
			b.Fatal(err)
		}
		if _, err := js.PublishMsg(b.Context(), &nats.Msg{Subject: "bare.change", Data: make([]byte, 400)}); err != nil {
			b.Fatal(err)
		}
		bare = append(bare, (<-bareArrived).Sub(start))
	}
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"follower", follower}, {"subscriber", subscriber}, {"bare", bare}} {
		slices.Sort(of.times)
		b.ReportMetric(float64(of.times[len(of.times)/2].Microseconds()), "us-p50-"+of.name)
		b.ReportMetric(float64(of.times[len(of.times)*99/100].Microseconds()), "us-p99-"+of.name)
	}
}
