package ledger

// What the parts cost together, each held against the bare thing underneath it in the same run, in turns, so that a
// machine that slows down slows both. Figures are reported as metrics: "x-bare" is ours over the bare one's time.
//
//	go test -run '^$' -bench . -benchtime 2s ./cmd/permledger/internal/ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

const root = domain.Account("professional:root")

// benchService opens an empty data directory, and gives the catalogue that its ledgers are made of.
func benchService(b *testing.B, relaxed bool) (*Service, []byte) {
	s, err := Open(b.Context(), Options{Data: b.TempDir(), Create: true, Relaxed: relaxed})
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
	return s, document
}

// benchLedger makes a new ledger, synced at every write.
func benchLedger(b *testing.B) *Ledger {
	s, document := benchService(b, false)
	l, err := s.Init(b.Context(), "acme", document, root, "bench")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// bareStream is what permledger stands on and nothing else: an embedded server that syncs every write.
func bareStream(b *testing.B) jetstream.JetStream {
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
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare.>"}}); err != nil {
		b.Fatal(err)
	}
	return js
}

// opening is a command that opens the nth professional.
func opening(n int) domain.Command {
	return domain.Command{Name: "account.open", Actor: root, Source: "bench", Data: &domain.AccountOpening{Account: domain.Account(fmt.Sprintf("professional:p%d", n))}}
}

// callers runs do(0) … do(n-1) on so many goroutines and gives the time it took.
func callers(b *testing.B, goroutines, n int, do func(i int) error) time.Duration {
	work := make(chan int)
	var wg sync.WaitGroup
	start := time.Now()
	for range goroutines {
		wg.Go(func() {
			for i := range work {
				if err := do(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	return time.Since(start)
}

// BenchmarkRecord records synced commands of one event each by one caller and by 64, and for each as many bare synced
// publishes of such messages. One operation is one command.
func BenchmarkRecord(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", goroutines), func(b *testing.B) {
			l, js := benchLedger(b), bareStream(b)
			// The message that an account.opened is: its bytes and its headers.
			body := bytes.Repeat([]byte("x"), 210)
			header := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"01K00000000000000000000000"}, "ce-source": {"/orgs/acme"}, "ce-type": {"account.opened"},
				"ce-time": {"2026-01-05T09:00:00.123456789Z"}, "content-type": {"application/json"}}
			var ours, bare time.Duration
			done := 0
			b.ResetTimer()
			for done < b.N {
				n := min(b.N-done, 500*goroutines)
				ours += callers(b, goroutines, n, func(i int) error {
					_, err := l.Record(b.Context(), []domain.Command{opening(done + i)})
					return err
				})
				b.StopTimer()
				bare += callers(b, goroutines, n, func(int) error {
					_, err := js.PublishMsg(b.Context(), &nats.Msg{Subject: "bare.event", Header: header, Data: body})
					return err
				})
				b.StartTimer()
				done += n
			}
			b.ReportMetric(float64(b.N)/ours.Seconds(), "commands/s")
			b.ReportMetric(float64(b.N)/bare.Seconds(), "bare/s")
			b.ReportMetric(ours.Seconds()/bare.Seconds(), "x-bare")
		})
	}
}

// BenchmarkRecordArrays records arrays of 1,000 commands from one caller, and for each as many commands from 64 callers.
// One operation is one array.
func BenchmarkRecordArrays(b *testing.B) {
	l := benchLedger(b)
	var arrays, singles time.Duration
	next := 0
	b.ResetTimer()
	for range b.N {
		commands := make([]domain.Command, 1000)
		for i := range commands {
			commands[i] = opening(next + i)
		}
		next += len(commands)
		arrays += callers(b, 1, 1, func(int) error { _, err := l.Record(b.Context(), commands); return err })
		b.StopTimer()
		singles += callers(b, 64, len(commands), func(i int) error {
			_, err := l.Record(b.Context(), []domain.Command{opening(next + i)})
			return err
		})
		next += len(commands)
		b.StartTimer()
	}
	b.ReportMetric(1000*float64(b.N)/arrays.Seconds(), "commands/s")
	b.ReportMetric(singles.Seconds()/arrays.Seconds(), "x-64-callers")
}

// A care episode in the made-up history lasts until so many other clients have come.
const episode = 2000

// history writes a made-up history, as an organisation has it: the staff, then clients who come one after another, each
// with links to therapists. After an episode the links go to others. It has about (1+3*links)*clients events, one a
// minute.
func history(w io.Writer, clients, links int) {
	at := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
	b := bufio.NewWriter(w)
	defer b.Flush()
	event := func(typ, data string) {
		at = at.Add(time.Minute)
		fmt.Fprintf(b, `{"at":%q,"type":%q,"actor":"professional:root","data":{%s}}`+"\n", at.Format(time.RFC3339), typ, data)
	}
	staff := max(10, clients/100)
	event("account.opened", `"account":"professional:root"`)
	event("role.assigned", `"principal":"professional:root","role":"application_manager"`)
	for i := range staff {
		event("account.opened", fmt.Sprintf(`"account":"professional:p%d"`, i))
		event("role.assigned", fmt.Sprintf(`"principal":"professional:p%d","role":"therapist"`, i))
	}
	link := func(typ string, c, shift int) {
		for k := range links {
			event(typ, fmt.Sprintf(`"principal":"professional:p%d","client":"client:c%d","relation":"therapist"`, (c*7+k*13+shift)%staff, c))
		}
	}
	for c := range clients + episode {
		if c < clients {
			event("account.opened", fmt.Sprintf(`"account":"client:c%d"`, c))
			link("caseload.linked", c, 0)
		}
		if c >= episode {
			link("caseload.unlinked", c-episode, 0)
			link("caseload.linked", c-episode, 1)
		}
	}
}

// firstLinks is a moment at which client c of history had its first links.
func firstLinks(c, clients, links int) domain.Instant {
	events := 2 + 2*max(10, clients/100) + (c+1)*(1+links) + 2*links*max(0, c-episode)
	return domain.InstantOf(time.Date(2018, 1, 1, 0, 0, 30, 0, time.UTC).Add(time.Duration(events+2*links) * time.Minute))
}

// imported makes a ledger of that history, and tidies it as serve does.
func imported(b *testing.B, clients, links int) (*Ledger, Imported) {
	s, document := benchService(b, true)
	var text bytes.Buffer
	history(&text, clients, links)
	sum, err := s.Import(b.Context(), "acme", document, &text, nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := s.Ledger(b.Context(), "acme")
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Tidy(b.Context()); err != nil {
		b.Fatal(err)
	}
	return l, sum
}

// bareRead reads the ledger's stream with the client library's ordered consumer and does nothing with it.
func bareRead(b *testing.B, l *Ledger) time.Duration {
	head := l.Head()
	start := time.Now()
	c, err := l.s.store.JetStream().OrderedConsumer(b.Context(), "PERMLEDGER_"+string(l.Org()), jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := c.Messages()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	for range head {
		if _, err := m.Next(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// BenchmarkImport imports a history, and reads the stream that it made with a bare ordered consumer. One operation is
// one event.
func BenchmarkImport(b *testing.B) {
	s, document := benchService(b, true)
	var text bytes.Buffer
	history(&text, max(1, b.N/10), 3)
	b.ResetTimer()
	start := time.Now()
	sum, err := s.Import(b.Context(), "acme", document, &text, nil)
	if err != nil {
		b.Fatal(err)
	}
	ours := time.Since(start)
	b.StopTimer()
	l, err := s.Ledger(b.Context(), "acme")
	if err != nil {
		b.Fatal(err)
	}
	rates(b, sum.Events, ours, bareRead(b, l))
}

// BenchmarkReplay makes the projection anew from the log, and reads the same stream with a bare ordered consumer. One
// operation is one event.
func BenchmarkReplay(b *testing.B) {
	l, sum := imported(b, max(1, b.N/10), 3)
	bare := bareRead(b, l)
	l.stop()
	if err := l.p.Wipe(); err != nil {
		b.Fatal(err)
	}
	again := newLedger(l.s, l.log, l.keys, l.p)
	l.s.ledgers["acme"] = again
	b.ResetTimer()
	start := time.Now()
	again.start()
	if err := again.wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	ours := time.Since(start)
	b.StopTimer()
	rates(b, sum.Events, ours, min(bare, bareRead(b, again)))
}

func rates(b *testing.B, events int, ours, bare time.Duration) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(events)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(events)/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "of-bare-rate")
	b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MB")
}

// BenchmarkCheck decides in process at 100,000 clients and 300,000 links, now and years ago, in turns, on other
// principals and clients each time; shift 0 is the first links, which stood years ago. One operation is one decision.
func BenchmarkCheck(b *testing.B) {
	const clients, staff = 100_000, 1000
	l, _ := imported(b, clients, 3)
	check := func(i, shift int) {
		var at domain.Instant
		c := i * 7919 % clients
		if shift == 0 {
			at = firstLinks(c, clients, 3)
		}
		a, err := l.Ask(at, Known{})
		if err != nil {
			b.Fatal(err)
		}
		defer a.Close()
		q := domain.Question{Subject: domain.Account(fmt.Sprintf("professional:p%d", (c*7+13+shift)%staff)), Action: "view_record", Resource: domain.Resource(fmt.Sprintf("client:c%d", c))}
		d, err := domain.Evaluate(a, q, a.At)
		if err != nil || !d.Allowed {
			b.Fatal(q, at, d, err)
		}
	}
	for i := range 20_000 { // warm
		check(i, 1)
		check(i, 0)
	}
	var now, past time.Duration
	b.ResetTimer()
	for i := 0; i < b.N; {
		n := min(b.N-i, 1000)
		start := time.Now()
		for k := range n {
			check(i+k, 1)
		}
		now += time.Since(start)
		b.StopTimer()
		start = time.Now()
		for k := range n {
			check(i+k, 0)
		}
		past += time.Since(start)
		b.StartTimer()
		i += n
	}
	b.ReportMetric(float64(now.Nanoseconds())/float64(b.N), "now-ns")
	b.ReportMetric(float64(past.Nanoseconds())/float64(b.N), "years-ago-ns")
	b.ReportMetric(past.Seconds()/now.Seconds(), "x-now")
}

// BenchmarkWho asks who may view a client's record, with answers of the same size, in a small and a large organisation.
func BenchmarkWho(b *testing.B) {
	small, _ := imported(b, 1_000, 3)
	large, _ := imported(b, 100_000, 3)
	who := func(l *Ledger, clients, i int, past bool) {
		var at domain.Instant
		if past {
			at = firstLinks(i*7919%clients, clients, 3)
		}
		a, err := l.Ask(at, Known{})
		if err != nil {
			b.Fatal(err)
		}
		defer a.Close()
		q := domain.Question{Action: "view_record", Resource: domain.Resource(fmt.Sprintf("client:c%d", i*7919%clients))}
		n := 0
		for _, err := range domain.Who(a, q, a.At, "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 4 { // three therapists and the client
			b.Fatalf("%v: %d answers", q, n)
		}
	}
	for i := range 5_000 {
		who(small, 1_000, i, false)
		who(large, 100_000, i, false)
		who(large, 100_000, i, true)
	}
	var atSmall, atLarge, atPast time.Duration
	b.ResetTimer()
	for i := 0; i < b.N; {
		n := min(b.N-i, 200)
		start := time.Now()
		for k := range n {
			who(small, 1_000, i+k, false)
		}
		atSmall += time.Since(start)
		b.StopTimer()
		start = time.Now()
		for k := range n {
			who(large, 100_000, i+k, false)
		}
		atLarge += time.Since(start)
		start = time.Now()
		for k := range n {
			who(large, 100_000, i+k, true)
		}
		atPast += time.Since(start)
		b.StartTimer()
		i += n
	}
	b.ReportMetric(float64(atSmall.Nanoseconds())/float64(b.N), "1000-clients-ns")
	b.ReportMetric(float64(atLarge.Nanoseconds())/float64(b.N), "100000-clients-ns")
	b.ReportMetric(atLarge.Seconds()/atSmall.Seconds(), "x-small")
	b.ReportMetric(atPast.Seconds()/atLarge.Seconds(), "years-ago-x-now")
}

// BenchmarkWhoDuring asks who could see one client at any time of five years, in an organisation of a hundred thousand
// events and in one of a million: it costs with the client's history, and not with the log.
func BenchmarkWhoDuring(b *testing.B) {
	sizes := [2]int{10_000, 100_000} // clients; some ten events each
	span := domain.Span{From: domain.InstantOf(time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)), Until: domain.InstantOf(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC))}
	var ledgers [2]*Ledger
	var took [2]time.Duration
	for i, clients := range sizes {
		l, sum := imported(b, clients, 4)
		b.Logf("%d events", sum.Events)
		ledgers[i] = l
	}
	ask := func(size, i int) {
		l := ledgers[size]
		a, err := l.Ask(0, Known{})
		if err != nil {
			b.Fatal(err)
		}
		defer a.Close()
		sweep, err := domain.NewSweep(a, span)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, err := range sweep.Who(domain.Question{Action: "view_record", Resource: domain.Resource(fmt.Sprintf("client:c%d", i*7919%sizes[size]))}, "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 9 { // four therapists, the four after them, and the client
			b.Fatalf("%d answers", n)
		}
	}
	for i := range 2000 {
		ask(0, i)
		ask(1, i)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i += 50 {
		for size := range sizes {
			start := time.Now()
			for k := range min(b.N-i, 50) {
				ask(size, i+k)
			}
			took[size] += time.Since(start)
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N), "small-ns")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(b.N), "large-ns")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "x-small")
}
