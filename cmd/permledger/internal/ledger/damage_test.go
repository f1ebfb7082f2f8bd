package ledger

// Files that were damaged, a bit or a part of them, while the service was down or while it runs: of the log, as the embedded
// server keeps it, and of the projection. Whatever nats-server makes of the damage (it cuts a block short, steps over a
// message, or remembers what is not there any more), nothing is silently missing from an answer.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

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
	// The server's own index says how far the blocks went; after a crash there is none, and it believes the blocks. Only
	// the projection then knows better. Where both are gone nothing is left that could.
	const both, index, projection = "index and projection", "index", "projection"
	for what, c := range map[string]struct {
		damage func([]byte) []byte
		usual  string // what is left in the ordinary run; "": it is for the long one
	}{
		"a bit of the first event":      {flip(60), ""},
		"a bit of one in the middle":    {flip(middle), both},
		"a bit of its length":           {flip(record), index},
		"a bit of its sequence":         {flip(record + 4), ""},
		"a bit of the last event":       {flip(last), projection},
		"zeros in the middle":           {func(b []byte) []byte { clear(b[middle-1000 : middle+1000]); return b }, ""},
		"the second half is gone":       {func(b []byte) []byte { return b[:middle] }, index},
		"the last byte is gone":         {func(b []byte) []byte { return b[:len(b)-1] }, ""},
		"all of the file is gone":       {func(b []byte) []byte { return b[:0] }, both},
		"the last event is gone, whole": {func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("permledger.acme.event"))-22] }, projection},
	} {
		for _, left := range []string{both, index, projection} {
			if !*long && left != c.usual {
				continue
			}
			t.Run(what+", with "+left, func(t *testing.T) {
				t.Parallel()
				data := t.TempDir()
				copyDir(t, data, base)
				if err := os.WriteFile(filepath.Join(data, block), c.damage(bytes.Clone(whole)), 0o600); err != nil {
					t.Fatal(err)
				}
				if left == projection {
					remove(t, filepath.Join(data, blocks, "index.db"))
				}
				if left == index {
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

// A projection's table that is damaged, before the start or while the service runs, is found by whoever reads it, and nothing
// is answered from then on; damage where its position lies, by opening it.
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
		running := part%2 == 1
		found[fmt.Sprintf("%s, running %t", damagedProjection(t, data, float64(2*part+1)/16, running), running)]++
	}
	if found["read, running false"] == 0 || found["read, running true"] == 0 {
		t.Fatalf("damage was found %v, want some by reading, before the start and while it runs", found)
	}
}

// damageTables flips a bit of each table, so far into it.
func damageTables(t *testing.T, data string, at float64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(data, "projection", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v (%v)", tables, err)
	}
	for _, table := range tables {
		flipByte(t, table, func(b []byte) int { return int(float64(len(b)) * at) })
	}
}

// flipByte flips a bit of a file in its place, where whoever has it open reads it.
func flipByte(t *testing.T, path string, where func([]byte) int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := where(b)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{b[at] ^ 4}, int64(at))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// damagedProjection opens a directory whose projection is damaged, or is while it is open, reads what there is, and says when
// it was told of the damage: at "open" or "read"; or "" where nothing that is asked for lies there. No answer is wrong.
func damagedProjection(t *testing.T, data string, at float64, running bool) string {
	if !running {
		damageTables(t, data, at)
	}
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
	if running {
		damageTables(t, data, at)
	}
	a := ask(t, l, 0, "")
	defer a.Close()
	for i := range 30 {
		for j := range 10 {
			client := domain.Account(fmt.Sprintf("client:c%d-%d", i, j))
			st, err := domain.StandingOf(a, client, a.At)
			if err != nil {
				wantError(t, err, domain.Integrity, "projections_damaged", "rebuild")
				s.Damaged(acme, err)
				wantSilent(t, l, "projections_damaged")
				wantError(t, s.Ready(t.Context()), domain.Integrity, "projections_damaged", "acme")
				return "read"
			}
			if !st.Active {
				t.Fatalf("%s: got %+v out of a damaged table, want it active or an error", client, st)
			}
		}
	}
	return ""
}

// A block of the log that is damaged while the service runs: whoever reads it gets the events as they were recorded, or is told.
func TestTheLogIsDamagedWhileItRuns(t *testing.T) {
	data := t.TempDir()
	var history strings.Builder
	fmt.Fprintf(&history, `{"at":"2026-01-01T00:00:00Z","type":"account.opened","actor":%[1]q,"data":{"account":%[1]q}}
{"at":"2026-01-01T00:00:00Z","type":"role.assigned","actor":%[1]q,"data":{"principal":%[1]q,"role":"manager"}}
`, boss)
	for i := range 2200 { // more than the server keeps in one block, of which it remembers the newest
		fmt.Fprintf(&history, `{"at":"2026-01-01T00:00:00Z","type":"account.opened","actor":%q,"reason":%q,"data":{"account":"client:c%d"}}`+"\n", boss, strings.Repeat("x", 4000), i)
	}
	s := openService(t, Options{Data: data, Create: true, Relaxed: true})
	if _, err := s.Import(t.Context(), acme, []byte(house), strings.NewReader(history.String()), nil); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	l := ledgerOf(t, s)
	flipByte(t, filepath.Join(data, blocks, "1.blk"), func(b []byte) int { return bytes.Index(b, []byte("client:c15")) })
	record1(t, l, opens("client:late")) // nobody has read it yet
	_, err := l.Events(t.Context(), 0, 100)
	wantError(t, err, domain.Integrity, "log_gap", "")
	s.Damaged(acme, err)
	wantSilent(t, l, "log_gap")
	wantError(t, s.Ready(t.Context()), domain.Integrity, "log_gap", "acme")
}

// A damaged ledger is no reason to keep another one shut; and one whose log is gone, or can't be read back, is damaged and not
// unknown: no new ledger takes its place.
func TestTheOthersAreOpened(t *testing.T) {
	base, older := t.TempDir(), t.TempDir()
	during(t, base, func(l *Ledger) {
		record1(t, l, opens("client:a"))
		if _, err := l.s.Init(t.Context(), "other", []byte(house), boss, "test"); err != nil {
			t.Fatal(err)
		}
	})
	copyDir(t, older, base)
	s := openService(t, Options{Data: base})
	record1(t, ledgerOf(t, s), opens("client:b"))
	closeService(t, s)

	stream := filepath.Dir(blocks)
	for what, c := range map[string]struct {
		harm       func(data string)
		code, init string // of the damaged ledger, and of making it anew
		kind       domain.Failure
	}{
		"an older log": {func(data string) {
			remove(t, filepath.Join(data, "log"))
			copyDir(t, filepath.Join(data, "log"), filepath.Join(older, "log"))
		}, "log_truncated", "ledger_exists", domain.Conflict},
		"no log": {func(data string) { remove(t, filepath.Join(data, stream)) }, "log_swapped", "log_swapped", domain.Integrity},
		"a log whose settings are damaged": {func(data string) {
			flipByte(t, filepath.Join(data, stream, "meta.inf"), func([]byte) int { return 40 })
		}, "log_swapped", "log_swapped", domain.Integrity},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			copyDir(t, data, base)
			c.harm(data)
			s := openService(t, Options{Data: data})
			defer closeService(t, s)
			wantError(t, s.OpenAll(t.Context()), domain.Integrity, c.code, "acme")
			wantError(t, s.Ready(t.Context()), domain.Integrity, c.code, "acme")
			_, err := s.Ledger(t.Context(), acme)
			wantError(t, err, domain.Integrity, c.code, "acme")
			_, err = s.Init(t.Context(), acme, []byte(house), boss, "test")
			wantError(t, err, c.kind, c.init, "acme")
			if orgs, err := s.Orgs(t.Context()); err != nil || !slices.Equal(orgs, []domain.Org{acme, "other"}) {
				t.Errorf("the ledgers that there are: got %v (%v), want acme, damaged, among them", orgs, err)
			}
			other, err := s.Ledger(t.Context(), "other")
			if err != nil {
				t.Fatal(err)
			}
			record1(t, other, opens("client:c"))
		})
	}
}

// The log of whom nothing is projected any more, and that its server can't read back, is not unknown either.
func TestALogIsNotReadBack(t *testing.T) {
	data := t.TempDir()
	during(t, data, func(l *Ledger) { record1(t, l, opens("client:a")) })
	remove(t, filepath.Join(data, "projection"))
	flipByte(t, filepath.Join(data, filepath.Dir(blocks), "meta.inf"), func([]byte) int { return 40 })
	s := openService(t, Options{Data: data})
	defer closeService(t, s)
	_, err := s.Ledger(t.Context(), acme)
	wantError(t, err, domain.Unavailable, "log_unavailable", "could not be recovered")
	_, err = s.Init(t.Context(), acme, []byte(house), boss, "test")
	wantError(t, err, domain.Unavailable, "log_unavailable", "could not be recovered")
}

// projectionFails is the environment of the process whose projection can't be written, and what can't: a pattern of the
// files' names.
const projectionFails = "PERMLEDGER_TEST_PROJECTION_FAILS"

// Where the projection's database can't be written the process ends, with one line that says what to do, or goes on without
// harm until it can. Nothing that was acknowledged is lost either way, and the next start is an ordinary one.
func TestTheProjectionCantBeWritten(t *testing.T) {
	for files, want := range map[string]int{"*.log": 5, "MANIFEST-*": 5, "*.sst": 0} {
		t.Run(files, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			during(t, data, func(l *Ledger) { record1(t, l, opens(anna)) })
			cmd := exec.Command(os.Args[0], "-test.run=^TestToFailWriting$")
			cmd.Env = append(os.Environ(), projectionFails+"="+files, childOf+"="+data)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Fatalf("the process ended with %v, want exit code %d\n%s%s", err, want, out, &errs)
			}
			if said := errs.String(); want != 0 && (strings.Count(said, "\n") != 1 || !strings.Contains(said, "can't go on") || !strings.Contains(said, "projections_unreachable")) {
				t.Errorf("the process said %q, want one line that says why it ends", said)
			}
			s := openService(t, Options{Data: data})
			defer closeService(t, s)
			l := ledgerOf(t, s)
			there := opened(t, l)
			told := strings.Fields(string(out))
			for _, account := range told {
				if strings.HasPrefix(account, "client:") && there[domain.Account(account)] != 1 {
					t.Errorf("%s was acknowledged and is in the log %d times", account, there[domain.Account(account)])
				}
			}
			if len(there) < 3 {
				t.Errorf("only %v was recorded", there)
			}
			wantWhole(t, l, nil)
		})
	}
}

const childOf = "PERMLEDGER_TEST_PROJECTION_DATA"

// TestToFailWriting is the process that TestTheProjectionCantBeWritten starts; by itself it does nothing.
func TestToFailWriting(t *testing.T) {
	data, files := os.Getenv(childOf), os.Getenv(projectionFails)
	if data == "" {
		return
	}
	var fails atomic.Bool
	disk := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if ok, _ := filepath.Match(files, filepath.Base(op.Path)); ok && fails.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	}))
	s := openService(t, Options{Data: data, fs: disk, Fatal: func(err error) {
		var e *domain.Error
		errors.As(err, &e)
		fmt.Fprintln(os.Stderr, e.Code, err)
		os.Exit(5)
	}})
	l := ledgerOf(t, s)
	record := func(n int) {
		for i := range 20 {
			client := fmt.Sprintf("client:f%d-%d", n, i)
			record1(t, l, opens(domain.Account(client)))
			fmt.Println(client)
		}
	}
	record(0)
	fails.Store(true)
	record(1)
	tidied := make(chan error, 1)
	go func() { tidied <- s.Tidy(t.Context()) }() // writes a table, and the manifest
	record(2)
	fails.Store(false)
	if err := <-tidied; err != nil {
		t.Log(err)
	}
	record(3)
	closeService(t, s)
}
