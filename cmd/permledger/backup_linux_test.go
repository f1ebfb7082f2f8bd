package main

// Backups and restores on a disk that is full: a file system in memory that a process mounts in a view of its own on them.
// Where that is not allowed, the test says so and is skipped.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestBackupOnAFullDisk(t *testing.T) {
	t.Parallel() // it mostly waits for an answer that never comes
	dir := t.TempDir()
	disk, data, backup, file := filepath.Join(dir, "disk"), filepath.Join(dir, "d"), filepath.Join(dir, "b"), filepath.Join(dir, "h.ndjson")
	var history bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&history, `{"at":"2026-01-05T09:00:00Z","type":"account.opened","actor":"professional:root","data":{"account":"client:c%d"}}`+"\n", i)
	}
	if err := errors.Join(os.WriteFile(file, history.Bytes(), 0o600), os.Mkdir(disk, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"import", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", file},
		{"backup", backup, "--data", data},
	} {
		if code, errs := finish(t, args...); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, errs)
		}
	}
	for _, c := range []struct {
		verb, want string
		args       []string
	}{
		{"backup", "no space left on device", []string{"backup", filepath.Join(disk, "b"), "--data", data}},
		{"restore", "has room", []string{"restore", backup, "--data", filepath.Join(disk, "n")}},
	} {
		plain := permledger(c.args...)
		cmd := exec.Command("/bin/sh", append([]string{"-c", `mount -t tmpfs -o size=1m disk "$0" || exit 99; "$@"; code=$?; ls -A "$0"; exit $code`, disk}, plain.Args...)...)
		cmd.Env = plain.Env
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if code := cmd.ProcessState; code == nil || code.ExitCode() == 99 {
			if os.Getenv("PERMLEDGER_REQUIRE_DISK") != "" {
				t.Fatalf("this machine lets no process mount a disk of its own: %v", err)
			}
			t.Skipf("NOT TESTED: a full disk; this machine lets no process mount one of its own: %v", err)
		}
		if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s on a full disk: exit code %d, %q, left %q; want 5, %q and nothing left", c.verb, code, errs.String(), out.String(), c.want)
		}
	}
}
