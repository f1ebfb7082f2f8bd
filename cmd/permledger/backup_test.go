package main

// Backups and restores that are killed or cut off halfway: what is left is never taken for a whole one.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// halfway answers a backup with some of its events, and then nothing more until the test lets go.
func halfway(t *testing.T, then func(http.ResponseWriter)) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := multipart.NewWriter(w)
		p, err := m.CreatePart(textproto.MIMEHeader{"Permledger-File": {"acme/events.ndjson"}})
		if err == nil { // what the client does not take any more, as it was killed, is no mistake of ours
			_, _ = io.WriteString(p, strings.Repeat(`{"id":"x"}`+"\n", 100_000))
			_ = http.NewResponseController(w).Flush()
		} else {
			t.Errorf("answering: %v", err)
		}
		then(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func finish(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	cmd := permledger(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

func TestKilledBackupIsNone(t *testing.T) {
	letGo := make(chan struct{})
	s := halfway(t, func(http.ResponseWriter) { <-letGo })
	defer close(letGo)
	dir := filepath.Join(t.TempDir(), "b")
	cmd := permledger("backup", dir, "--server", s.URL)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; { // until some of it is on disk
		info, err := os.Stat(filepath.Join(dir, "acme", "events.ndjson"))
		if err == nil && info.Size() > 0 {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("nothing was written: %v", err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code, errs := finish(t, "backup", "verify", dir); code != 6 || !strings.Contains(errs, "never finished") {
		t.Errorf("verifying what a killed backup left: exit code %d, %q, want 6 and that it was never finished", code, errs)
	}
	if code, errs := finish(t, "backup", dir, "--server", s.URL); code != 1 || !strings.Contains(errs, "never written over") {
		t.Errorf("backing up over it: exit code %d, %q, want 1", code, errs)
	}
}

func TestCutBackupIsNone(t *testing.T) {
	for name, then := range map[string]func(http.ResponseWriter){
		"cut": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"end": func(http.ResponseWriter) {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "b")
			code, errs := finish(t, "backup", dir, "--server", halfway(t, then).URL)
			if code != 5 || !strings.Contains(errs, "was cut") {
				t.Errorf("a backup whose answer was cut: exit code %d, %q, want 5", code, errs)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("its directory: %v, want it gone", err)
			}
		})
	}
}

// TestForeignFileNames: whatever answers, nothing is written outside the directory.
func TestForeignFileNames(t *testing.T) {
	for _, name := range []string{"../outside", "/outside", "manifest.json/x/../../../outside", ""} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m := multipart.NewWriter(w)
			p, _ := m.CreatePart(textproto.MIMEHeader{"Permledger-File": {name}})
			io.WriteString(p, "x")
			m.Close()
		}))
		parent := t.TempDir()
		code, errs := finish(t, "backup", filepath.Join(parent, "b"), "--server", s.URL)
		s.Close()
		left, err := os.ReadDir(parent)
		if code != 5 || err != nil || len(left) != 0 {
			t.Errorf("a file by the name %q: exit code %d, %q, left %v, want 5 and nothing", name, code, errs, left)
		}
	}
}

// TestKilledRestoreIsNone: a restore gets half of the events from a pipe and is killed while it waits for more. What it left
// is no ledger, and the next restore makes one.
func TestKilledRestoreIsNone(t *testing.T) {
	dir := t.TempDir()
	data, backup, again := filepath.Join(dir, "d"), filepath.Join(dir, "b"), filepath.Join(dir, "n")
	var history bytes.Buffer
	for i := range 4000 {
		fmt.Fprintf(&history, `{"at":"2026-01-05T09:00:00Z","type":"account.opened","actor":"professional:root","data":{"account":"client:c%d"}}`+"\n", i)
	}
	file := filepath.Join(dir, "h.ndjson")
	if err := os.WriteFile(file, history.Bytes(), 0o600); err != nil {
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
	path := filepath.Join(backup, "acme", "events.ndjson")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := permledger("restore", backup, "--data", again)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = pipe.Write(whole[:len(whole)-1]) // far more than pipe and reader hold, and the last event is not whole
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	err = errors.Join(pipe.Close(), os.Remove(path), os.WriteFile(path, whole, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if code, errs := finish(t, "check", "client:c1", "view", "client:c1", "--data", again); code != 2 || !strings.Contains(errs, "no organisation has a ledger there yet") {
		t.Errorf("asking what a killed restore left: exit code %d, %q, want 2", code, errs)
	}
	if code, errs := finish(t, "restore", backup, "--data", again); code != 0 {
		t.Fatalf("restoring again: exit code %d: %s", code, errs)
	}
	if code, errs := finish(t, "check", "client:c1", "view", "client:c1", "--data", again); code != 0 {
		t.Errorf("asking what was restored: exit code %d, %q", code, errs)
	}
}

// TestBackupOfAService: over the network, of a service that goes on.
func TestBackupOfAService(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "d")
	if code, errs := finish(t, "import", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", "testdata/history.ndjson"); code != 0 {
		t.Fatal(errs)
	}
	cmd := permledger("serve", "--data", data, "--listen", "127.0.0.1:0", "--json")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}()
	var serving struct{ Address string }
	if err := json.NewDecoder(out).Decode(&serving); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(dir, "b")
	if code, errs := finish(t, "backup", backup, "--server", serving.Address, "--projection"); code != 0 {
		t.Fatalf("backing up: exit code %d: %s", code, errs)
	}
	if code, errs := finish(t, "backup", "verify", backup); code != 0 {
		t.Fatalf("verifying: exit code %d: %s", code, errs)
	}
	if code, errs := finish(t, "restore", backup, "--data", filepath.Join(dir, "n")); code != 0 {
		t.Fatalf("restoring: exit code %d: %s", code, errs)
	}
	if code, errs := finish(t, "export", "--server", serving.Address, "--catalogue-out", filepath.Join(dir, "c.yaml")); code != 0 || !strings.Contains(errs, "Exported 1") {
		t.Fatalf("exporting: exit code %d: %s", code, errs)
	}
}
