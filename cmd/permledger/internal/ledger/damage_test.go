package ledger

// Files that were damaged, a bit or a part of them, while the service was down or while it runs: of the log, as the embedded
// server keeps it, and of the projection. Whatever nats-server makes of the damage (it cuts a block short, steps over a
// message, or remembers what is not there any more), nothing is silently missing from an answer.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

var blocks = filepath.Join("log", "jetstream", "$G", "streams", "PERMLEDGER_acme", "msgs")

// many clients, so that reading them takes a consumer and not single reads.
func crowded(t *testing.T) (data string, head domain.Seq) {
	t.Helper()
	data = t.TempDir()
	during(t, data, func(l *Ledger) {
		for i := range 30 {
			var cs []domain.Command
			for j := range 10 {
				cs = append(cs, opens(domain.Account(fmt.Sprintf("client:c%d-%d", i, j))))
			}
			record1(t, l, cs...)
		}
		head = l.Head()
	})
	return data, head
}

func TestTheLogsFilesAreDamaged(t *testing.T) {
	base, head := crowded(t)
	block := filepath.Join(blocks, "1.blk")
	whole, err := os.ReadFile(filepath.Join(base, block))
	if err != nil {
		t.Fatal(err)
	}
	middle := bytes.Index(whole, []byte("client:c15-5"))
	last := bytes.LastIndex(whole, []byte("client:c29-9"))
	record := bytes.LastIndex(whole[:middle], []byte("permledger.acme.event")) - 22 // of 4 bytes length, 8 sequence, 8 time, 2 of the subject's length
	if middle < 0 || last < 0 || record < 0 {
		t.Fatal("the events are not where nats-server used to keep them")
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	for what, damage := range map[string]func([]byte) []byte{
		"a bit of the first event":      flip(60),
		"a bit of one in the middle":    flip(middle),
		"a bit of its length":           flip(record),
		"a bit of its sequence":         flip(record + 4),
		"a bit of the last event":       flip(last),
		"zeros in the middle":           func(b []byte) []byte { clear(b[middle-1000 : middle+1000]); return b },
		"the second half is gone":       func(b []byte) []byte { return b[:middle] },
		"the last byte is gone":         func(b []byte) []byte { return b[:len(b)-1] },
		"all of the file is gone":       func(b []byte) []byte { return b[:0] },
		"the last event is gone, whole": func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("permledger.acme.event"))-22] },
	} {
		// The server's own index says how far the blocks went; after a crash there is none, and it believes the blocks. Only
		// the projection then knows better. Where both are gone nothing is left that could.
		for _, left := range []string{"index and projection", "index", "projection"} {
			t.Run(what+", with "+left, func(t *testing.T) {
				t.Parallel()
				data := t.TempDir()
				copyDir(t, data, base)
				if err := os.WriteFile(filepath.Join(data, block), damage(bytes.Clone(whole)), 0o600); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(left, "index") {
					remove(t, filepath.Join(data, blocks, "index.db"))
				}
				if !strings.Contains(left, "projection") {
					remove(t, filepath.Join(data, "projection"))
				}
				for range 2 { // it is no better at the next start
					wantDamageFound(t, data, head)
				}
			})
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// wantDamageFound opens a data directory whose log is damaged and wants that said: at the start, or by the first who reads
// the log through, who stops the ledger.
func wantDamageFound(t *testing.T, data string, head domain.Seq) {
	t.Helper()
	s := openService(t, Options{Data: data})
	defer closeService(t, s)
	l, err := s.Ledger(t.Context(), acme)
	if err == nil {
		if l.Head() != head {
			t.Fatalf("it answers by %d events of %d", l.Head(), head)
		}
		_, err = l.Events(t.Context(), 0, int(head))
		s.Damaged(acme, err)
	}
	var code string
	for _, c := range []string{"log_gap", "log_truncated"} {
		if e, ok := err.(*domain.Error); ok && e.Code == c && e.Failure == domain.Integrity {
			code = c
		}
	}
	if code == "" {
		t.Fatalf("got error %v, want log_gap or log_truncated", err)
	}
	if l != nil {
		wantSilent(t, l, code)
	}
}

// An event that is damaged stops the ledger over whoever asks for it alone, too.
func TestOneEventIsDamaged(t *testing.T) {
	data, _ := crowded(t)
	path := filepath.Join(data, blocks, "1.blk")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("client:c15-5"))] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openService(t, Options{Data: data})
	defer closeService(t, s)
	l := ledgerOf(t, s)
	for seq := domain.Seq(1); ; seq++ {
		if seq > l.Head() {
			t.Fatal("every event can be read")
		}
		if _, err := l.Event(t.Context(), seq); err != nil {
			wantError(t, err, domain.Integrity, "log_gap", fmt.Sprintf("event %d", seq))
			break
		}
	}
	wantSilent(t, l, "log_gap")
}

// A projection's table that is damaged is found by whoever reads it, and nothing is answered from then on; damage where
// its position lies, by opening it.
func TestTheProjectionsFilesAreDamaged(t *testing.T) {
	base, _ := crowded(t)
	s := openService(t, Options{Data: base})
	if err := s.Tidy(t.Context()); err != nil { // so that everything is in tables
		t.Fatal(err)
	}
	closeService(t, s)
	found := map[string]int{}
	for part := range 8 {
		data := t.TempDir()
		copyDir(t, data, base)
		tables, err := filepath.Glob(filepath.Join(data, "projection", "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatalf("tables %v (%v)", tables, err)
		}
		for _, table := range tables {
			b, err := os.ReadFile(table)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)*(2*part+1)/16] ^= 1
			if err := os.WriteFile(table, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found[damagedProjection(t, data)]++
	}
	if found["read"] == 0 {
		t.Fatalf("damage was found %v, want some by reading", found)
	}
}

// damagedProjection opens a directory whose projection is damaged, reads what there is, and says when it was told of the
// damage: "open" or "read"; or "" where nothing that is asked for lies there.
func damagedProjection(t *testing.T, data string) string {
	s, err := Open(t.Context(), Options{Data: data})
	if err != nil {
		wantError(t, err, domain.Integrity, "projections_damaged", "rebuild")
		return "open"
	}
	defer closeService(t, s)
	if err := s.OpenAll(t.Context()); err != nil {
		wantError(t, err, domain.Integrity, "projections_damaged", "rebuild")
		wantError(t, s.Ready(t.Context()), domain.Integrity, "projections_damaged", "acme")
		return "open"
	}
	l := ledgerOf(t, s)
	a := ask(t, l, 0, "")
	defer a.Close()
	for i := range 30 {
		for j := range 10 {
			if _, err := domain.StandingOf(a, domain.Account(fmt.Sprintf("client:c%d-%d", i, j)), a.At); err != nil {
				wantError(t, err, domain.Integrity, "projections_damaged", "rebuild")
				s.Damaged(acme, err)
				wantSilent(t, l, "projections_damaged")
				wantError(t, s.Ready(t.Context()), domain.Integrity, "projections_damaged", "acme")
				return "read"
			}
		}
	}
	return ""
}

// A damaged ledger is no reason to keep another one shut.
func TestTheOthersAreOpened(t *testing.T) {
	data, older := t.TempDir(), t.TempDir()
	during(t, data, func(l *Ledger) {
		record1(t, l, opens("client:a"))
		if _, err := l.s.Init(t.Context(), "other", []byte(house), boss, "test"); err != nil {
			t.Fatal(err)
		}
	})
	copyDir(t, older, data)
	s := openService(t, Options{Data: data})
	l := ledgerOf(t, s)
	record1(t, l, opens("client:b"))
	closeService(t, s)
	copyDir(t, filepath.Join(data, "log"), filepath.Join(older, "log"))

	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	wantError(t, s.OpenAll(t.Context()), domain.Integrity, "log_truncated", "acme")
	wantError(t, s.Ready(t.Context()), domain.Integrity, "log_truncated", "acme")
	other, err := s.Ledger(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Record(t.Context(), []domain.Command{opens("client:c")}); err != nil {
		t.Fatalf("the other ledger: %v", err)
	}
}
