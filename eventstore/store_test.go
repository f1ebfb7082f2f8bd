package eventstore

// Opening: one process at a time, no port, and no stream whose settings let events be lost.

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

func TestCreateOpenOrgs(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), acme)
	wantError(t, err, domain.Unknown, "unknown_org")
	l := create(t, s)
	_, err = s.Create(t.Context(), acme)
	wantError(t, err, domain.Conflict, "ledger_exists")
	if _, err := s.Create(t.Context(), "a-first"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Keys(t.Context()); err != nil { // another stream: no ledger
		t.Fatal(err)
	}
	mustAppend(t, l, events(1, 3), 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, Options{Dir: dir})
	orgs, err := s.Orgs(t.Context())
	if want := []domain.Org{"a-first", acme}; err != nil || !slices.Equal(orgs, want) {
		t.Fatalf("Orgs = %v, %v, want %v", orgs, err, want)
	}
	again, err := s.Open(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	if again.Org() != acme || !again.Created().Equal(l.Created()) || !again.Exclusive() {
		t.Fatalf("reopened: %s created %s exclusive %v, want acme, %s, true", again.Org(), again.Created(), again.Exclusive(), l.Created())
	}
	wantLog(t, again, 3)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatalf("Ready: %v", err)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	wantError(t, err, domain.Unreachable, "in_use")
	for _, want := range []string{dir, "process " + strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("refusal %q does not name %q", err, want)
		}
	}
	create(t, s) // the one that has it is not disturbed
}

func TestOptionsThatContradict(t *testing.T) {
	for _, opts := range []Options{
		{},
		{Dir: "d", URL: "nats://h"},
		{URL: "nats://h", Relaxed: true},
		{URL: "nats://h", Cert: "c"},
	} {
		_, err := Open(t.Context(), opts)
		wantError(t, err, domain.Malformed, "bad_options")
	}
	_, err := Open(t.Context(), Options{URL: "nats://ledger:secret@127.0.0.1:1"})
	wantError(t, err, domain.Unreachable, "log_unreachable")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	r := startRemote(t)
	_, err := Open(t.Context(), Options{URL: strings.Replace(r.url(), "secret", "guess", 1)})
	wantError(t, err, domain.Unreachable, "log_unreachable")
}

func TestLoosenedSettingsAreRefused(t *testing.T) {
	for setting, loosen := range map[string]func(*jetstream.StreamConfig){
		"deny_delete":       func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"deny_purge":        func(c *jetstream.StreamConfig) { c.DenyPurge = false },
		"max_msgs":          func(c *jetstream.StreamConfig) { c.MaxMsgs = 1e9 },
		"max_bytes":         func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 },
		"max_age":           func(c *jetstream.StreamConfig) { c.MaxAge = 1 << 60 },
		"retention":         func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"discard":           func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
		"storage":           func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"allow_rollup_hdrs": func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false },
		"subjects":          func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "permledger.acme.other") },
		"allow_direct":      func(c *jetstream.StreamConfig) { c.AllowDirect = false },
		"allow_atomic":      func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		"allow_msg_ttl":     func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
	} {
		t.Run(setting, func(t *testing.T) {
			s := embedded(t)
			c := streamConfig(acme, 1, nil)
			loosen(&c)
			if _, err := s.js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err := s.Open(t.Context(), acme)
			wantError(t, err, domain.Integrity, "log_settings")
			if !strings.Contains(err.Error(), setting) {
				t.Errorf("refusal %q does not name %s", err, setting)
			}
		})
	}
}

// A stream that was loose once and has lost an event since is refused even with its settings repaired: it can't be
// told from one that never lost any but by its count.
func TestLostEventsAreRefused(t *testing.T) {
	s := embedded(t)
	c := streamConfig(acme, 1, nil)
	c.DenyDelete = false
	stream, err := s.js.CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l := s.newLog(acme, stream)
	mustAppend(t, l, events(1, 40), 0)
	if err := stream.DeleteMsg(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	c.DenyDelete = true
	if _, err := s.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), acme)
	wantError(t, err, domain.Integrity, "log_gap")

	for _, span := range [][2]domain.Seq{{0, 40}, {15, 25}} { // by consumer, and one by one
		last := span[0]
		for e, err := range l.Read(t.Context(), span[0], span[1]) {
			if err != nil {
				wantError(t, err, domain.Integrity, "log_gap")
				break
			}
			last = e.Seq
		}
		if last != 19 {
			t.Errorf("Read(%d, %d) gave events up to %d, want 19 and the gap", span[0], span[1], last)
		}
	}
}

func TestNoPortIsOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads the kernel's table of sockets")
	}
	before := listeningSockets(t)
	s := embedded(t)
	create(t, s)
	if s.srv.Addr() != nil {
		t.Errorf("the embedded server listens at %s", s.srv.Addr())
	}
	if after := listeningSockets(t); after > before {
		t.Errorf("%d sockets of this process listen, %d before the log was opened", after, before)
	}
}

// listeningSockets counts this process's listening TCP sockets.
func listeningSockets(t *testing.T) (n int) {
	listening := map[string]bool{} // inodes
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if cols := strings.Fields(lines.Text()); len(cols) > 9 && cols[3] == "0A" {
				listening["socket:["+cols[9]+"]"] = true
			}
		}
		f.Close()
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && listening[target] {
			n++
		}
	}
	return n
}

// The test binary runs itself as the process that is killed: it appends one event after another and prints each
// acknowledged sequence.
const crashDir = "PERMLEDGER_TEST_APPEND_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		appendForever(dir)
	}
	os.Exit(m.Run())
}

func appendForever(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fail(err)
	}
	l, err := s.Create(ctx, acme)
	if err != nil {
		fail(err)
	}
	for n := 1; ; {
		size := 1
		if n%50 == 0 {
			size = 20 // and whole batches
		}
		if err := l.Append(ctx, events(n, n+size-1), domain.Seq(n-1)); err != nil {
			fail(err)
		}
		n += size
		fmt.Println(n - 1)
	}
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	for _, after := range []int{1, 70, 400} {
		dir := t.TempDir()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		acked := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if acked, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("the child said %q", lines.Text())
			}
			if acked >= after {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				after = 1 << 30 // and read on to what it said before it died
			}
		}
		_ = child.Wait() // killed
		if acked == 0 {
			t.Fatal("the child acknowledged nothing")
		}
		s := open(t, Options{Dir: dir}) // the lock went with the process
		l, err := s.Open(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		head, err := l.Head(t.Context())
		if err != nil || head < domain.Seq(acked) {
			t.Fatalf("after the kill the log ends at %d (%v), %d was acknowledged", head, err, acked)
		}
		wantLog(t, l, int(head))
		mustAppend(t, l, events(int(head)+1, int(head)+2), head)
	}
}

// A kill does not tell whether a write was synced, only a power cut would; so look at what the server was told.
func TestSyncsEachWrite(t *testing.T) {
	if s := embedded(t); !s.srv.JetStreamConfig().SyncAlways {
		t.Error("the embedded server does not sync each write")
	}
	if s := open(t, Options{Dir: t.TempDir(), Relaxed: true}); s.srv.JetStreamConfig().SyncAlways {
		t.Error("relaxed, the embedded server syncs each write")
	}
}

// Many ask at once how far the log goes, while it grows. An older answer that is heard after a newer one is no truncated
// log.
func TestManyAskForTheHead(t *testing.T) {
	l := create(t, embedded(t))
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 16 {
		asking.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Head(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("asking for the head of a log that grows: %v", err)
					return
				}
			}
		})
	}
	for n := range 100 {
		mustAppend(t, l, events(n+1, n+1), domain.Seq(n))
	}
	cancel()
	asking.Wait()
}
