package main

// The TypeScript example, compiled and run as its readers would: against a real service, through everything that makes an
// EventSource come back. It needs node, and npm to install what package-lock.json names.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// requireNode makes the test fail where it would be skipped.
const requireNode = "PERMLEDGER_REQUIRE_NODE"

// exampleBuilt compiles the example, and skips the test where that can't be done.
func exampleBuilt(t *testing.T) (script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "eventsource"))); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"node", "--version"}, {"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"}, {"npm", "run", "build"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			continue
		}
		what := fmt.Sprintf("%s: %v\n%s", strings.Join(args, " "), err, out)
		if args[1] == "run" || os.Getenv(requireNode) != "" {
			t.Fatal(what)
		}
		t.Skipf("the TypeScript example is not tested (%s=1 makes that a failure): %s", requireNode, what)
	}
	return filepath.Join(dir, "follow.js")
}

// A nodeFollower is the example, running.
type nodeFollower struct {
	cmd   *exec.Cmd
	lines chan nodeLine
	log   strings.Builder
}

type nodeLine struct {
	Event  string
	Cursor consumers.Cursor
	May    map[string][]string
}

func runNode(t *testing.T, script, address, state string) *nodeFollower {
	t.Helper()
	f := &nodeFollower{cmd: exec.Command("node", script, address, "acme", "client:c1", state), lines: make(chan nodeLine, 1000)}
	f.cmd.Stderr = &f.log
	out, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l nodeLine
			if json.Unmarshal(s.Bytes(), &l) == nil {
				f.lines <- l
			}
		}
	}()
	t.Cleanup(f.kill)
	return f
}

func (f *nodeFollower) kill() {
	f.cmd.Process.Kill()
	for range f.lines {
	}
	f.cmd.Wait()
}

// at waits until the example has everything up to a seq, and gives who may view, and which events it said that it had.
func (f *nodeFollower) at(t *testing.T, seq domain.Seq) (viewers []domain.Account, events []string) {
	t.Helper()
	tooLong := time.After(time.Minute)
	for {
		select {
		case l, ok := <-f.lines:
			if !ok {
				f.cmd.Wait()
				t.Fatalf("the example ended, want it to come to %d\n%s", seq, &f.log)
			}
			events = append(events, l.Event)
			if l.Cursor.Seq < seq {
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(l.May)) {
				subject, resource, _ := strings.Cut(key, " ")
				if resource == "client:c1" && slices.Contains(l.May[key], "view") {
					viewers = append(viewers, domain.Account(subject))
				}
			}
			return viewers, events
		case <-tooLong:
			t.Fatalf("the example did not come to %d in a minute", seq)
		}
	}
}

func TestEventSource(t *testing.T) {
	script := exampleBuilt(t)
	p, err := newPractice(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// records records, and wants the example to say what the service says.
	var f *nodeFollower
	records := func(commands ...string) (events []string) {
		t.Helper()
		seq, err := p.records(commands...)
		if err != nil {
			t.Fatal(err)
		}
		viewers, events := f.at(t, seq)
		want, err := p.who("view", "client:c1")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(viewers, want) {
			t.Errorf("after event %d: the example says %v may view client:c1, the service %v", seq, viewers, want)
		}
		return events
	}
	link := func(who string) string {
		return fmt.Sprintf(`caseload.link {"principal":"professional:%s","client":"client:c1","relation":"therapist"}`, who)
	}
	unlink := func(who string) string { return "caseload.un" + strings.TrimPrefix(link(who), "caseload.") }

	if _, err := p.records(
		`account.open {"account":"professional:anna"}`, `role.assign {"principal":"professional:anna","role":"therapist"}`,
		`account.open {"account":"professional:bob"}`, `role.assign {"principal":"professional:bob","role":"therapist"}`,
		`account.open {"account":"client:c1"}`, link("anna"),
	); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state.json")
	f = runNode(t, script, p.server.URL, state)
	if events := records(link("bob")); events[0] != "snapshot_end" {
		t.Errorf("without a state: got %q, want a snapshot first", events)
	}
	records(unlink("anna"), link("anna"), unlink("anna"))

	p.server.CloseClientConnections()
	records(link("anna"))
	if err := p.restart(); err != nil { // while it is down the service answers 503, from which an EventSource does not come back
		t.Fatal(err)
	}
	if events := records(unlink("bob")); slices.Contains(events, "snapshot_end") {
		t.Errorf("after a restart of the service: got %q, want it to go on", events)
	}

	f.kill()
	if _, err := p.records(link("bob"), unlink("anna")); err != nil {
		t.Fatal(err)
	}
	f = runNode(t, script, p.server.URL, state)
	if events := records(link("anna")); slices.Contains(events, "snapshot_end") {
		t.Errorf("started again with its state: got %q, want it to go on", events)
	}

	f.kill()
	if err := os.WriteFile(state, []byte(`{"cursor":"9~00000000","may":{"professional:ghost client:c1":["view"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f = runNode(t, script, p.server.URL, state)
	if events := records(unlink("anna")); events[0] != "snapshot_end" {
		t.Errorf("with the cursor of another log: got %q, want a snapshot first", events)
	}
	f.kill()

	f = runNode(t, script, p.server.URL+"/nowhere", state)
	for range f.lines { // to its end
	}
	if err := f.cmd.Wait(); err == nil || !strings.Contains(f.log.String(), "404") {
		t.Errorf("at an address that is none: %v, %s, want it to end and say why", err, &f.log)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
