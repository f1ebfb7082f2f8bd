package eventstore

// What the log costs over bare JetStream, side by side:
//
//	go test -run '^$' -bench . ./eventstore
//
// Bare means the client library on the same embedded server and stream settings, with the least that a write needs.

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

func perSecond(b *testing.B, n int) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// callers runs b.N of do on so many goroutines.
func callers(b *testing.B, n int, do func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	perSecond(b, b.N)
}

func BenchmarkBarePublish(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			s := embedded(b)
			create(b, s)
			body := event(1).Body
			callers(b, n, func() error {
				_, err := s.js.Publish(b.Context(), "permledger.acme.event.role.assigned", body)
				return err
			})
		})
	}
}

// As the writer uses it: the next publish goes out at once, in order, and its caller waits for the answer.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			l := create(b, embedded(b))
			var mu sync.Mutex
			last := 0
			callers(b, n, func() error {
				mu.Lock()
				last++
				p, err := l.Publish(event(last), domain.Seq(last-1), "")
				mu.Unlock()
				if err != nil {
					return err
				}
				<-p.Done()
				return p.Err()
			})
		})
	}
}

func BenchmarkAppendBatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			l := create(b, embedded(b))
			last := 0
			for b.Loop() {
				if err := l.Append(b.Context(), events(last+1, last+n), domain.Seq(last)); err != nil {
					b.Fatal(err)
				}
				last += n
			}
			b.ReportMetric(float64(last)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// Each operation is one imported event, with the syncing to disk at the end.
func BenchmarkImport(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir(), Relaxed: true})
	im := importer(b, s)
	rec := event(1)
	ids := make([]domain.EventID, 500_000) // no id comes again within the server's duplicate window
	for i := range ids {
		ids[i] = event(i).ID
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		rec.ID = ids[i%len(ids)]
		if err := im.Add(rec); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := im.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// history imports n events for the readers.
func history(b *testing.B, n int) *Log {
	b.Helper()
	s := open(b, Options{Dir: b.TempDir(), Relaxed: true})
	im := importer(b, s)
	for i := 1; i <= n; i++ {
		if err := im.Add(event(i)); err != nil {
			b.Fatal(err)
		}
	}
	l, err := im.Commit(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return l
}

const historyEvents = 300_000

func BenchmarkBareOrderedConsumer(b *testing.B) {
	l := history(b, historyEvents)
	for b.Loop() {
		c, err := l.stream.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		messages, err := c.Messages(jetstream.PullMaxMessages(readWindow))
		if err != nil {
			b.Fatal(err)
		}
		for range historyEvents {
			if _, err := messages.Next(); err != nil {
				b.Fatal(err)
			}
		}
		messages.Stop()
	}
	b.ReportMetric(float64(historyEvents*b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkRead(b *testing.B) {
	l := history(b, historyEvents)
	for b.Loop() {
		for _, err := range l.Read(b.Context(), 0, historyEvents) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(historyEvents*b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkFollow(b *testing.B) {
	l := history(b, historyEvents)
	for b.Loop() {
		for e, err := range l.Follow(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			if e.Seq == historyEvents {
				break
			}
		}
	}
	b.ReportMetric(float64(historyEvents*b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkGet(b *testing.B) {
	l := create(b, embedded(b))
	mustAppend(b, l, events(1, 1000), 0)
	for n := 0; b.Loop(); n++ {
		if _, err := l.Get(b.Context(), domain.Seq(n%1000+1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHead(b *testing.B) {
	l := create(b, embedded(b))
	for b.Loop() {
		if _, err := l.Head(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k := keysOf(b, create(b, embedded(b)))
	for b.Loop() {
		if _, err := k.Seal(b.Context(), "client:c1", "01E", "reason", "an evening on which nobody else was there"); err != nil {
			b.Fatal(err)
		}
	}
}

// What filling in a message costs, beside what the client and the server do with it.
func BenchmarkMessage(b *testing.B) {
	m := newMessage(acme)
	rec := event(1)
	var msg *nats.Msg
	for b.Loop() {
		msg = m.fill(rec)
		m.expect(41)
	}
	_ = msg
}
