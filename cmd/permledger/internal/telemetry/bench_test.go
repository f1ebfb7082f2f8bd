package telemetry

// What being watched costs a command: the same commands recorded by a service that tells nobody, by one whose metrics are
// kept, and by one whose traces are made as well (and dropped), in turns, so that a machine that slows down slows all.
//
//	go test -run '^$' -bench . -benchtime 20000x ./cmd/permledger/internal/telemetry

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// dropped ends spans as a batch does that is full.
type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropped) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropped) Shutdown(context.Context) error                  { return nil }
func (dropped) ForceFlush(context.Context) error                { return nil }

// BenchmarkRecord records single commands by one caller and by 64. One operation is one command of each of the three.
func BenchmarkRecord(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			metrics, err := New(b.Context(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			traced, err := New(b.Context(), Options{spans: dropped{}})
			if err != nil {
				b.Fatal(err)
			}
			alone, watched, both := founded(b, nil), founded(b, metrics), founded(b, traced)
			var took [3]time.Duration
			const turn = 500
			b.ResetTimer()
			for done := 0; done < b.N; done += turn {
				n := min(turn, b.N-done)
				took[0] += opened(b.Context(), b, alone, callers, done, n)
				took[1] += opened(b.Context(), b, watched, callers, done, n)
				ctx, span := traced.tracer.Start(b.Context(), "request")
				took[2] += opened(ctx, b, both, callers, done, n)
				span.End()
			}
			b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N), "ns-alone")
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "x-metrics")
			b.ReportMetric(took[2].Seconds()/took[0].Seconds(), "x-metrics-traces")
		})
	}
}

// BenchmarkRecorded is what one command's telling costs by itself.
func BenchmarkRecorded(b *testing.B) {
	now := time.Now()
	work := ledger.Work{Commands: []domain.Command{{Name: "account.open"}}, Events: 1, Attempts: 1,
		Steps: ledger.Steps{Asked: now, Taken: now, Decided: now, Acknowledged: now, Applied: now}}
	made, err := New(b.Context(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		made.Recorded(b.Context(), work)
	}
}

// founded makes a ledger with an observer, or none.
func founded(b *testing.B, observer ledger.Observer) *ledger.Ledger {
	s, err := ledger.Open(b.Context(), ledger.Options{Data: b.TempDir(), Create: true, Observer: observer})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	l, err := s.Init(b.Context(), "acme", []byte(house), "professional:boss", "bench")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// opened opens so many accounts, by so many callers, and gives the time it took.
func opened(ctx context.Context, b *testing.B, l *ledger.Ledger, callers, from, n int) time.Duration {
	work := make(chan int)
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for i := range work {
				_, err := l.Record(ctx, []domain.Command{{Name: "account.open", Actor: "professional:boss", Source: "bench",
					Data: &domain.AccountOpening{Account: domain.Account(fmt.Sprintf("client:c%d", i))}}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- from + i
	}
	close(work)
	wg.Wait()
	return time.Since(start)
}
