package main

// The demo as its users meet it. The story itself is tested in package demo; here it is what is printed, to the letter
// (testdata/demo.txt, rewritten by -update-scripts), and that nothing is left behind.

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var (
	took = regexp.MustCompile(`in [0-9.]+m?s: commands`)
	now  = regexp.MustCompile(`(?s)(\$ permledger check .*?As of )[^,]*`)
	port = regexp.MustCompile(` --server http://127\.0\.0\.1:\d+`)
)

// lasting takes out what differs between two runs: how long it took, the moment of the question about now, and the port
// where the default one is taken.
func lasting(out string) string {
	out = took.ReplaceAllString(out, "in 1s: commands")
	out = now.ReplaceAllString(out, "${1}now")
	return port.ReplaceAllString(out, "")
}

func TestDemoOnce(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	out, errs := runs(t, 0, "demo", "--once")
	if errs != "" {
		t.Errorf("stderr: got %q, want nothing", errs)
	}
	golden := filepath.Join("testdata", "demo.txt")
	if *updateScripts {
		if err := os.WriteFile(golden, []byte(lasting(out)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := lasting(out); got != string(want) {
		t.Errorf("permledger demo --once printed\n%s\nwant, as in %s,\n%s", got, golden, want)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v, want nothing", left, err)
	}
}

func TestDemoKept(t *testing.T) {
	data := filepath.Join(t.TempDir(), "de-wilg")
	first, _ := runs(t, 0, "demo", "--once", "--data", data)
	again, _ := runs(t, 0, "demo", "--once", "--data", data)
	_, first, _ = strings.Cut(first, "\n# ")
	_, again, _ = strings.Cut(again, "\n# ")
	if first == "" || lasting(first) != lasting(again) {
		t.Errorf("the first time\n%s\nand then\n%s", lasting(first), lasting(again))
	}
	if out, _ := runs(t, 1, "check", "professional:emre", "view_record", "client:c113", "--data", data); !strings.HasPrefix(out, "No") {
		t.Errorf("check --data: got %q, want a no", out)
	}
	servesUntilInterrupted(t, "demo", "--data", data)
}

// servesUntilInterrupted runs the demo until it serves, asks it something, and interrupts it.
func servesUntilInterrupted(t *testing.T, args ...string) {
	t.Helper()
	cmd := permledger(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	lines := bufio.NewScanner(out)
	base := ""
	for base == "" && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Serving at "); ok {
			base, _, _ = strings.Cut(rest, ",")
		}
	}
	if base == "" {
		t.Fatalf("it never said where it serves (%v)\n%s", lines.Err(), &errs)
	}
	resp, err := http.Get(base + "/orgs/de-wilg/who?action=view_record&resource=client:c113&at=2026-06-14T01:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("professional:emre")) {
		t.Errorf("who at %s: got %d %s (%v), want 200 with professional:emre in it", base, resp.StatusCode, body, err)
	}

	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // the rest of what it prints
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v, want exit code 0\n%s", err, &errs)
	}
}

func TestDemoRefuses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	runs(t, 0, "init", "--data", data, "--org", "acme", "--catalogue", "minddistrict", "--founder", "professional:root")
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{1, []string{"--data", data}, "holds the ledger of acme already"},
		{2, []string{"--json"}, "leave them out"},
		{2, []string{"--server", "http://127.0.0.1:1"}, "leave them out"},
		{2, []string{"more"}, "want none"},
	} {
		out, errs := runs(t, c.code, append([]string{"demo", "--once"}, c.args...)...)
		if out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("demo %q: stdout %q, stderr %q; want one line on stderr with %q", c.args, out, errs, c.want)
		}
	}
}
