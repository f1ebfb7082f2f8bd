package main

// The service as a process: what it acknowledged outlives kill -9, it keeps its directory and address to itself, and
// it ends when it is told to.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// permledger is the program as a command; it is this test's binary under another name (TestMain put it on the path).
func permledger(args ...string) *exec.Cmd { return exec.Command("permledger", args...) }

// runs runs the program and wants the exit code; it gives stdout and stderr.
func runs(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := permledger(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("permledger %q: exit code %d (%v), want %d\n%s%s", args, got, err, code, &out, &errs)
	}
	return out.String(), errs.String()
}

// served is a running service.
type served struct {
	cmd    *exec.Cmd
	url    string
	stdout *bufio.Reader
	log    *bytes.Buffer // its stderr; to be read once it has ended
}

// serves starts a service on a free port and waits until it says where it is.
func serves(t *testing.T, data string, flags ...string) *served {
	t.Helper()
	cmd := permledger(append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--json"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s := &served{cmd: cmd, stdout: bufio.NewReader(out), log: log}
	line, err := s.stdout.ReadString('\n')
	var said struct{ Address string }
	if err != nil || json.Unmarshal([]byte(line), &said) != nil || said.Address == "" {
		cmd.Wait()
		t.Fatalf("serve said %q (%v), want its address\n%s", line, err, log)
	}
	s.url = said.Address
	return s
}

// record sends one command and tells whether it was acknowledged.
func (s *served) record(command string) error {
	resp, err := http.Post(s.url+"/orgs/acme/commands", "application/json", strings.NewReader(command))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}

func made(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir() + "/d"
	runs(t, 0, "init", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", "--founder", "professional:root")
	return data
}

// TestKillLosesNothingAcknowledged kills the service in the middle of many callers' commands, twice over.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	data := made(t)
	acknowledged := map[string]bool{}
	for round := range 2 {
		s := serves(t, data)
		acks := make(chan string)
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for i := 0; ; i++ {
					account := fmt.Sprintf("client:r%d-%d-%d", round, caller, i)
					err := s.record(fmt.Sprintf(`{"command":"account.open","actor":"professional:root","data":{"account":%q}}`, account))
					if err != nil {
						return // killed: not acknowledged
					}
					acks <- account
				}
			})
		}
		go func() { callers.Wait(); close(acks) }()
		n := 0
		for account := range acks { // to the last: some are on their way when it dies
			acknowledged[account] = true
			if n++; n == 300 {
				if err := s.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.cmd.Wait()
		if n < 300 {
			t.Fatalf("round %d: the service refused after %d commands, want it to take them until it is killed", round, n)
		}
	}

	// It starts again on what is there, and has them all.
	s := serves(t, data)
	there := map[string]bool{}
	for after := uint64(0); ; {
		resp, err := http.Get(fmt.Sprintf("%s/orgs/acme/events?after=%d&limit=1000", s.url, after))
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Events []event
			Next   uint64
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) == 0 {
			break
		}
		for _, e := range page.Events {
			if account, ok := e.Data["account"].(string); ok {
				there[account] = true
			}
		}
		after = page.Next
	}
	lost := 0
	for account := range acknowledged {
		if !there[account] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged commands are lost after kill -9, want none", lost, len(acknowledged))
	}
	if err := s.record(`{"command":"account.open","actor":"professional:root","data":{"account":"client:after"}}`); err != nil {
		t.Errorf("a command after the restart: %v, want it recorded", err)
	}
}

func TestServe(t *testing.T) {
	data := made(t)
	s := serves(t, data)

	// Ready, once the ledgers have caught up: until then 503 with a reason.
	for {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			break
		} else if resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("/readyz: status %d, want 503 and then 200", resp.StatusCode)
		}
	}

	// The same answer from the service as from the directory will come, and exit codes are the same.
	asked := []string{"check", "professional:root", "configure", "platform:main", "--known-at", "3"}
	if out, _ := runs(t, 0, append(asked, "--server", s.url)...); !strings.HasPrefix(out, "Yes: ") {
		t.Errorf("check: got %q, want a yes", out)
	}
	runs(t, 1, "check", "professional:root", "view", "platform:main", "--server", s.url)
	runs(t, 2, "check", "professional:none", "view", "platform:main", "--server", s.url)
	runs(t, 0, "record", "--actor", "professional:root", "account.open", "account=professional:anna", "--server", s.url)
	runs(t, 1, "record", "--actor", "professional:root", "account.open", "account=professional:anna", "--server", s.url)
	runs(t, 4, "record", "--actor", "professional:anna", "account.open", "account=professional:bob", "--server", s.url)

	// Nobody else gets its directory or its address.
	for _, args := range [][]string{
		append(asked, "--data", data),
		{"record", "--actor", "professional:root", "account.open", "account=professional:carl", "--data", data},
		{"init", "--data", data, "--org", "beta", "--catalogue", "testdata/roles.yaml", "--founder", "professional:root"},
		{"serve", "--data", data, "--listen", "127.0.0.1:0"},
		{"serve", "--data", t.TempDir(), "--listen", strings.TrimPrefix(s.url, "http://")},
	} {
		out, errs := runs(t, 5, args...)
		if out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "is in use") {
			t.Errorf("permledger %q: got %q and %q, want one line that says what is in use", args, out, errs)
		}
	}

	// It ends when it is told to, with 0, and the directory is free.
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("serve after SIGTERM: %v, want exit code 0", err)
	}
	out, _ := runs(t, 0, append(asked, "--data", data)...)
	if !strings.HasPrefix(out, "Yes: ") {
		t.Errorf("check: got %q, want a yes", out)
	}
}

// TestServedAsInProcess holds --json of a service against that of the directory.
func TestServedAsInProcess(t *testing.T) {
	data := t.TempDir() + "/d"
	runs(t, 0, "import", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", "testdata/history.ndjson")
	questions := [][]string{
		{"check", "professional:anna", "view", "client:c1"}, {"explain", "professional:bob", "view", "client:c1"},
		{"who", "view", "client:c1"}, {"what", "professional:anna"}, {"history", "client:c1"},
	}
	ask := func(from ...string) (answers []string) {
		for _, q := range questions {
			for _, form := range [][]string{{"--json"}, nil} {
				cmd := permledger(append(append(append(q, "--at", "2026-02-11T01:00:00Z"), form...), from...)...)
				out, err := cmd.Output()
				if code := cmd.ProcessState.ExitCode(); code > 1 {
					t.Fatalf("permledger %q: exit code %d: %v", cmd.Args, code, err)
				}
				shown, _, _ := strings.Cut(string(out), "Next: ") // which names where it asked
				answers = append(answers, shown)
			}
		}
		return answers
	}
	here := ask("--data", data)
	there := ask("--server", serves(t, data).url)
	for i := range here {
		if here[i] != there[i] {
			t.Errorf("%q: from the directory %s\nfrom the service %s\nwant the same", questions[i/2], here[i], there[i])
		}
	}
}

// What runs out while the service runs is noticed within a second; what runs out while it is down, when it is back.
// Who opens the directory for a question notices nothing.
func TestServeNotices(t *testing.T) {
	data := made(t)
	assign := func(s *served, account string, lasts time.Duration) time.Time {
		until := time.Now().Add(lasts).UTC()
		for _, c := range []string{
			fmt.Sprintf(`{"command":"account.open","actor":"professional:root","data":{"account":%q}}`, account),
			fmt.Sprintf(`{"command":"role.assign","actor":"professional:root","data":{"principal":%q,"role":"therapist","until":%q}}`, account, until.Format(time.RFC3339Nano)),
		} {
			if err := s.record(c); err != nil {
				t.Fatal(err)
			}
		}
		return until
	}
	// The notices that are there once as many are: the service is asked until they are.
	notices := func(s *served, n int) (at []time.Time) {
		for begun := time.Now(); len(at) < n; {
			if time.Since(begun) > time.Minute {
				t.Fatalf("got notices at %v, waited in vain for %d", at, n)
			}
			out, _ := runs(t, 0, "history", "--type", "validity.*", "--json", "--server", s.url)
			var told struct {
				Events []struct {
					Type       string
					Actor      string
					RecordedAt time.Time `json:"recorded_at"`
				}
			}
			if err := json.Unmarshal([]byte(out), &told); err != nil {
				t.Fatal(err)
			}
			at = at[:0]
			for _, e := range told.Events {
				if e.Type != "validity.ended" || e.Actor != "ledger:clock" {
					t.Fatalf("got a notice %+v, want validity.ended by ledger:clock", e)
				}
				at = append(at, e.RecordedAt)
			}
		}
		return at
	}

	s := serves(t, data)
	until := assign(s, "professional:anna", time.Second)
	if late := notices(s, 1)[0].Sub(until); late < 0 || late > time.Second {
		t.Errorf("noticed %s after it ran out, want within a second", late)
	}
	assign(s, "professional:bob", 2*time.Second)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.cmd.Wait()
	// No sooner is the service back than it is noticed: asked of the directory, it is still as it was.
	for out := "Yes"; strings.HasPrefix(out, "Yes"); {
		cmd := permledger("check", "professional:bob", "account.open", "client:c9", "--data", data)
		answer, _ := cmd.Output()
		out = string(answer)
	}
	if out, _ := runs(t, 0, "history", "--type", "validity.*", "--data", data); strings.Count(out, "ran out") != 1 {
		t.Errorf("before the service is back: got %s, want one notice", out)
	}
	if got := notices(serves(t, data), 2); len(got) != 2 {
		t.Errorf("after the service is back: got notices at %v, want two", got)
	}
}
