package projections

// What applying and reading cost at the size that the issue names: 100,000 clients and 300,000 links. Links are ended and
// made again, so that years ago is another version than now. Run with
//
//	go test ./projections -run '^$' -bench . -benchtime 400000x

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

const (
	benchClients = 100_000
	benchStaff   = 3_000
	benchLinks   = 300_000
	inOneCommit  = 1_000
)

func client(i int) domain.Account { return domain.Account(fmt.Sprintf("client:c%06d", i)) }
func staff(i int) domain.Account  { return domain.Account(fmt.Sprintf("professional:p%04d", i)) }

// linked gives the i-th link. Each is another pair: clients go round faster than staff do.
func linked(i int) (principal, c domain.Account) {
	return staff((i*7 + i/benchClients) % benchStaff), client(i % benchClients)
}

// career gives the data of an organisation's i-th event, over and over: accounts, roles, links, the ends of all links.
// Every round of the links is a few years.
func career(i int) domain.Data {
	switch {
	case i < benchClients:
		return &domain.AccountOpening{Account: client(i)}
	case i < benchClients+benchStaff:
		return &domain.AccountOpening{Account: staff(i - benchClients)}
	case i < benchClients+2*benchStaff:
		return &domain.RoleAssignment{Principal: staff(i - benchClients - benchStaff), Role: "therapist"}
	}
	i -= benchClients + 2*benchStaff
	p, c := linked(i % benchLinks)
	if i/benchLinks%2 == 0 {
		return &domain.CaseloadLink{Principal: p, Client: c, Relation: "therapist"}
	}
	return &domain.CaseloadUnlink{Principal: p, Client: c, Relation: "therapist"}
}

// Two seqs: after the first round of links, and after all were ended and made again.
const (
	yearsAgo = benchClients + 2*benchStaff + benchLinks
	today    = yearsAgo + 2*benchLinks
)

func benchEvent(i int) *domain.Event {
	return &domain.Event{
		Seq: domain.Seq(i + 1), ID: "01K0000000000000000000000A", Org: "acme", Type: career(i).Type(), Version: 1,
		RecordedAt: domain.Instant(i+1) * domain.Instant(5*time.Minute), Actor: "professional:root", Source: "import", Data: career(i),
	}
}

// BenchmarkApply is import and replay: Apply, and Commit after every thousand events.
func BenchmarkApply(b *testing.B) {
	db := benchDB(b)
	defer db.Close()
	h := ledger(b, db, "acme").Head()
	b.ReportAllocs()
	before := cpuTime(b)
	for i := range b.N {
		if _, err := h.Apply(benchEvent(i)); err != nil {
			b.Fatal(err)
		}
		if (i+1)%inOneCommit == 0 {
			ok(b, h.Commit(h.KnownAt()))
		}
	}
	ok(b, h.Commit(h.KnownAt()))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used so far, flushes and compactions in the background included. On a shared machine
// it says more than the time that passed.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchDB(b *testing.B) *DB {
	db, err := Open(b.TempDir(), Options{})
	ok(b, err)
	return db
}

// BenchmarkRead reads one fact after another from views, at today's size.
func BenchmarkRead(b *testing.B) {
	db := benchDB(b)
	defer db.Close()
	l := ledger(b, db, "acme")
	for i := range today {
		if _, err := l.Head().Apply(benchEvent(i)); err != nil {
			b.Fatal(err)
		}
		if (i+1)%inOneCommit == 0 || i+1 == today {
			ok(b, l.Head().Commit(l.Head().KnownAt()))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	link := func() domain.Fact {
		p, c := linked(random.IntN(benchLinks))
		return domain.Fact{Family: domain.FamilyLink, Subject: p, Object: c, Name: "therapist"}
	}
	never := func() domain.Fact {
		f := link()
		f.Name = "restricted"
		return f
	}
	facts := func(seq domain.Seq, draw func() domain.Fact, want bool) func(*testing.B) {
		return func(b *testing.B) {
			v, err := l.At(seq)
			ok(b, err)
			defer v.Close()
			b.ReportAllocs()
			before := cpuTime(b)
			defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
			for range b.N {
				f := draw()
				got, err := v.Fact(f)
				ok(b, err)
				if (got.Seq != 0) != want {
					b.Fatalf("%+v as of %d: got %+v, want one: %t", f, seq, got, want)
				}
			}
		}
	}
	b.Run("FactNow", facts(today, link, true))
	b.Run("FactYearsAgo", facts(yearsAgo, link, true))
	b.Run("Negative", facts(today, never, false))
	b.Run("NegativeYearsAgo", facts(yearsAgo, never, false))
	view := func(seq domain.Seq, reads int) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				v, err := l.At(seq)
				ok(b, err)
				for range reads {
					if _, err := v.Fact(link()); err != nil {
						b.Fatal(err)
					}
				}
				v.Close()
			}
		}
	}
	b.Run("View1Fact", view(today, 1))
	b.Run("View5Facts", view(today, 5))
	b.Run("View5FactsYearsAgo", view(yearsAgo, 5))
	b.Run("FactsOnClient", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			v, err := l.At(yearsAgo)
			ok(b, err)
			n := 0
			for _, err := range v.FactsOn(domain.FamilyLink, client(random.IntN(benchClients))) {
				ok(b, err)
				n++
			}
			if n != benchLinks/benchClients {
				b.Fatalf("links of a client: got %d, want %d", n, benchLinks/benchClients)
			}
			v.Close()
		}
	})
	b.Run("SeqAt", func(b *testing.B) {
		for range b.N {
			if _, err := l.SeqAt(domain.Instant(random.IntN(today)) * domain.Instant(5*time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("History", func(b *testing.B) {
		for range b.N {
			for _, err := range l.History(client(random.IntN(benchClients)), 0, today) {
				ok(b, err)
			}
		}
	})
}
