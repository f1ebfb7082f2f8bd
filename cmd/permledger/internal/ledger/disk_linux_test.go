package ledger

// A disk that is full. This file owns that disk: a few megabytes of memory as a file system, which a process may mount that
// is given a view of its own on the file systems (Linux's user and mount namespaces). Where that is not allowed, the test
// says so and is skipped.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

const (
	// diskDir is the environment of the process that mounts the disk, and diskData of the one that fills it.
	diskDir  = "PERMLEDGER_TEST_DISK"
	diskData = "PERMLEDGER_TEST_DISK_DATA"

	diskBytes = 64 << 20
)

func TestFullDisk(t *testing.T) {
	t.Parallel() // it mostly waits for an answer that never comes
	cmd := exec.Command(os.Args[0], "-test.run=^TestOnADisk$", "-test.v", fmt.Sprintf("-long=%t", *long))
	cmd.Env = append(os.Environ(), diskDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) || strings.Contains(string(out), mayNot):
		if os.Getenv("PERMLEDGER_REQUIRE_DISK") != "" {
			t.Fatalf("this machine lets no process mount a disk of its own: %v", err)
		}
		t.Skipf("NOT TESTED: a full disk; this machine lets no process mount one of its own: %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// mayNot is what TestOnADisk says where it may not mount.
const mayNot = "mounting is not allowed"

// TestOnADisk is the process that TestFullDisk starts; by itself it does nothing.
func TestOnADisk(t *testing.T) {
	dir := os.Getenv(diskDir)
	if dir == "" {
		return
	}
	if err := syscall.Mount("disk", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", diskBytes)); err != nil {
		t.Fatalf("%s: %v", mayNot, err)
	}
	data := filepath.Join(dir, "data")
	s := openService(t, Options{Data: data, Create: true, Feed: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	record1(t, l, opens(anna), assigns(anna, "therapist"))
	closeService(t, s)

	told := map[domain.Seq]domain.EventID{}
	n := 1
	if *long {
		n = 5
	}
	for round := range n {
		fill := filepath.Join(dir, "fill")
		fillDisk(t, fill, dir, 3<<20)
		printed := untilFull(t, data, round)
		for _, line := range printed {
			var seq domain.Seq
			var id domain.EventID
			if _, err := fmt.Sscan(line, &seq, &id); err != nil {
				t.Fatalf("round %d: the process printed %q", round, line)
			}
			told[seq] = id
		}
		if len(printed) == 0 {
			t.Fatalf("round %d: nothing was recorded before the disk was full", round)
		}
		if err := os.Remove(fill); err != nil { // there is room again
			t.Fatal(err)
		}
		s := openService(t, Options{Data: data, Feed: true})
		l := ledgerOf(t, s)
		wantWhole(t, l, nil)
		all := events(t, l)
		for seq, id := range told {
			if int(seq) > len(all) || all[seq-1].ID != id {
				t.Fatalf("round %d: event %d was acknowledged as %s and is not there: the log has %d", round, seq, id, len(all))
			}
		}
		record1(t, l, opens(domain.Account(fmt.Sprintf("team:after-%d", round))))
		wantFeed(t, l, consumers.Cursor{})
		closeService(t, s)
	}
	t.Logf("%d events acknowledged on a disk that became full", len(told))
}

// fillDisk fills a disk with one file until so much is left.
func fillDisk(t *testing.T, path, dir string, leave int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	n := int64(st.Bavail)*st.Bsize - leave
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n < 0 {
		t.Fatalf("the disk has room for %d bytes, want more than %d", n+leave, leave)
	}
	if _, err := io.CopyN(f, zeros{}, n); err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// untilFull starts a process that records until the disk is full and gives what was acknowledged to it.
func untilFull(t *testing.T, data string, round int) (printed []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestToFillADisk$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), diskDir+"=", diskData+"="+data, fmt.Sprintf("%s=%d", killedRound, round))
	var said, errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if line, ok := strings.CutPrefix(lines.Text(), "told "); ok {
			printed = append(printed, line)
		} else {
			said.WriteString(lines.Text() + "\n")
		}
	}
	err = cmd.Wait()
	if err != nil {
		t.Fatalf("round %d: the process that filled the disk ended with %v:\n%s%s", round, err, said.String(), errs.String())
	}
	return printed
}

// TestToFillADisk is the process that untilFull starts; by itself it does nothing.
func TestToFillADisk(t *testing.T) {
	data := os.Getenv(diskData)
	if data == "" {
		return
	}
	s := openService(t, Options{Data: data, Feed: true, Clock: true})
	l := ledgerOf(t, s)
	if err := s.OpenAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		var told Recorded
		told, err = l.Record(context.Background(), []domain.Command{because(strings.Repeat("x", 1000), by(anna, opens(domain.Account(fmt.Sprintf("client:%s-%d", os.Getenv(killedRound), i)))))})
		for _, e := range told.Events {
			fmt.Println("told", e.Seq, e.ID)
		}
	}
	if !errors.Is(err, domain.Unavailable) || !strings.Contains(err.Error(), "recording after event") {
		t.Fatalf("on a full disk recording gave %v, want Unavailable and what was attempted", err)
	}
	// Where there was no room for several events to wait until they are stored together, nothing was written in vain, and the
	// log may have room for one yet.
	if !strings.Contains(err.Error(), "nothing was recorded") {
		wantError(t, s.Ready(context.Background()), domain.Unavailable, "log_unavailable", "has room")
	}
	if out, err := s.Rebuild(context.Background(), acme, RebuildOptions{}, nil); out.Swapped || !errors.Is(err, domain.Unavailable) && !errors.Is(err, domain.Unreachable) {
		t.Fatalf("rebuilding on a full disk: %+v, %v, want that there is no room", out, err)
	}
	a := ask(t, l, 0, "") // what is there can still be asked about
	got := who(t, a, "view_record", domain.Resource(fmt.Sprintf("client:%s-0", os.Getenv(killedRound))))
	a.Close()
	if len(got) != 1 {
		t.Fatalf("on a full disk, who may view the first client: got %v, want its therapist", got)
	}
	// The projection's newest writes find no room either: the log has them.
	if err := s.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("closing: %v", err)
	}
}
