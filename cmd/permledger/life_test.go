package main

// How a service ends, by which names it may be called, and that it stays up when one of its ledgers is damaged, on the real program.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// httpAnswer is one of the service.
type httpAnswer struct {
	status int
	header http.Header
	code   string // of a problem
	body   string
}

// asks asks a service over a connection of its own.
func (s *served) asks(t *testing.T, method, path, body string, change func(*http.Request)) httpAnswer {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := httpAnswer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	var problem struct{ Code string }
	if json.Unmarshal(b, &problem) == nil {
		a.code = problem.Code
	}
	return a
}

func opening(account string) string {
	return fmt.Sprintf(`{"command":"account.open","actor":"professional:root","data":{"account":%q}}`, account)
}

// half sends a command but for its last byte, and gives what ends it. answer gets the answer, or nothing where the
// connection was cut.
func (s *served) half(t *testing.T, command string) (finish func(), answer <-chan int) {
	t.Helper()
	body, w := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, s.url+"/orgs/acme/commands", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue") // the body goes out once the service reads it: it is inside then
	got := make(chan int, 1)
	go func() {
		defer close(got)
		resp, err := (&http.Transport{ExpectContinueTimeout: 1 << 40}).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			got <- resp.StatusCode
		}
	}()
	if _, err := io.WriteString(w, command[:len(command)-1]); err != nil {
		t.Fatal(err)
	}
	return func() { io.WriteString(w, command[len(command)-1:]); w.Close() }, got
}

// stops tells the service to stop, and waits until it says that it does.
func (s *served) stops(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for a := s.asks(t, "GET", "/readyz", "", nil); a.code != "stopping"; a = s.asks(t, "GET", "/readyz", "", nil) {
		if a.status != http.StatusOK && a.code != "starting" && a.code != "behind" {
			t.Fatalf("/readyz of a service that stops: %d %s, want 503 stopping", a.status, a.body)
		}
	}
}

// accounts gives the accounts that were opened by what is in the log.
func accounts(t *testing.T, data string) map[string]bool {
	t.Helper()
	out, _ := runs(t, 0, "history", "--type", "account.opened", "--json", "--data", data)
	var told struct {
		Events []struct{ Data struct{ Account string } }
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, e := range told.Events {
		there[e.Data.Account] = true
	}
	return there
}

// A service that is told to stop finishes the command that is under way, refuses what is new, and lets followers go.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	data := made(t)
	s := serves(t, data)
	if err := s.record(opening("client:before")); err != nil {
		t.Fatal(err)
	}
	follower, err := http.Get(s.url + "/orgs/acme/changes?after=0")
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Body.Close()
	changes := bufio.NewReader(follower.Body)
	if _, err := changes.ReadString('\n'); err != nil {
		t.Fatalf("following the changes: %v", err)
	}
	finish, answer := s.half(t, opening("client:under-way"))
	s.stops(t)

	if a := s.asks(t, "POST", "/orgs/acme/commands", opening("client:new"), nil); a.status != http.StatusServiceUnavailable || a.code != "stopping" || a.header.Get("Retry-After") == "" {
		t.Errorf("a new command: got %d %s with %v, want 503 stopping and Retry-After", a.status, a.body, a.header)
	}
	if a := s.asks(t, "GET", "/livez", "", nil); a.status != http.StatusOK {
		t.Errorf("/livez: got %d, want 200", a.status)
	}
	if _, err := io.Copy(io.Discard, changes); err != nil {
		t.Errorf("the followed changes end with %v, want them let go", err)
	}
	finish()
	if status := <-answer; status != http.StatusOK {
		t.Errorf("the command under way: got %d, want 200", status)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the service ends with %v, want 0", err)
	}
	there := accounts(t, data)
	if !there["client:under-way"] || there["client:new"] {
		t.Errorf("recorded: %v, want the command under way and not the new one", there)
	}
}

// Many callers while it stops: what was answered with 200 is there, what was refused is not.
func TestStopUnderLoad(t *testing.T) {
	data := made(t)
	s := serves(t, data)
	var mu sync.Mutex
	answered := map[string]int{} // status, 0 for a connection that was cut
	begun := make(chan bool)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := 0; ; i++ {
				account := fmt.Sprintf("client:c%d-%d", caller, i)
				resp, err := http.Post(s.url+"/orgs/acme/commands", "application/json", strings.NewReader(opening(account)))
				status := 0
				if err == nil {
					status = resp.StatusCode
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				mu.Lock()
				answered[account] = status
				mu.Unlock()
				if status != http.StatusOK {
					return
				}
				if i == 20 {
					begun <- true
				}
			}
		})
	}
	for range 8 {
		<-begun
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the service ends with %v, want 0", err)
	}
	callers.Wait()
	there := accounts(t, data)
	for account, status := range answered {
		switch {
		case status == http.StatusOK && !there[account]:
			t.Errorf("%s: answered with 200, and not in the log", account)
		case status == http.StatusServiceUnavailable && there[account]:
			t.Errorf("%s: refused with 503, and in the log", account)
		case status != http.StatusOK && status != http.StatusServiceUnavailable && status != 0:
			t.Errorf("%s: status %d, want 200 or 503", account, status)
		}
	}
}

// What takes longer than the bound is cut, and not recorded.
func TestStopIsBounded(t *testing.T) {
	data := made(t)
	s := serves(t, data, "--stop-wait", "100ms")
	finish, answer := s.half(t, opening("client:late"))
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the service ends with %v, want 0", err)
	}
	finish()
	if status, ok := <-answer; ok {
		t.Errorf("the command that never came whole: got %d, want the connection cut", status)
	}
	if accounts(t, data)["client:late"] {
		t.Error("the command that never came whole is recorded")
	}
}

// A second signal does not wait for anybody.
func TestASecondSignalEndsIt(t *testing.T) {
	data := made(t)
	s := serves(t, data, "--stop-wait", "1h")
	finish, answer := s.half(t, opening("client:late"))
	s.stops(t)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.cmd.Wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("after a second signal: exit code %d, want that of a process that died of it", code)
	}
	finish()
	<-answer
	runs(t, 0, "history", "--data", data)
}

// One directory, one process, whatever it is there for.
func TestOneProcessForADirectory(t *testing.T) {
	data := made(t)
	s := serves(t, data)
	for _, args := range [][]string{
		{"serve", "--data", data, "--listen", "127.0.0.1:0"},
		{"record", "--data", data, "--actor", "professional:root", "account.open", "account=client:c1"},
	} {
		_, errs := runs(t, 5, args...)
		for _, part := range []string{data, fmt.Sprintf("is in use by process %d", s.cmd.Process.Pid), "stop it, or ask it with --server"} {
			if !strings.Contains(errs, part) {
				t.Errorf("permledger %q: got %q, want it to say %q", args, errs, part)
			}
		}
	}
}

// A page whose name was made to lead to this machine gets nothing.
func TestHosts(t *testing.T) {
	s := serves(t, made(t), "--allow-host", "ledger.example")
	port := s.url[strings.LastIndexByte(s.url, ':'):]
	for host, want := range map[string]int{
		"127.0.0.1" + port: 200, "localhost" + port: 200, "LOCALHOST": 200, "[::1]" + port: 200, "ledger.example": 200, "ledger.example:443": 200,
		"evil.example" + port: 421, "127.0.0.1.evil.example": 421, "10.0.0.1" + port: 421, "notledger.example": 421,
	} {
		a := s.asks(t, "GET", "/livez", "", func(r *http.Request) { r.Host = host })
		if a.status != want || want == 421 && (a.code != "unknown_host" || !strings.Contains(a.body, "--allow-host")) {
			t.Errorf("Host %s: got %d %s, want %d", host, a.status, a.body, want)
		}
	}
	for s.asks(t, "GET", "/readyz", "", nil).status != http.StatusOK {
	}
	if out, _ := runs(t, 0, "ready", "--server", s.url, "--json"); !strings.Contains(out, `"ready"`) {
		t.Errorf("ready: got %q", out)
	}
}

// One ledger's log was put back to an older copy: that one answers and records nothing and says why, everywhere and with its
// runbook; the process stays up, and the other ledger goes on.
func TestOneLedgerIsDamaged(t *testing.T) {
	data := made(t)
	runs(t, 0, "init", "--data", data, "--org", "beta", "--catalogue", "testdata/roles.yaml", "--founder", "professional:root")
	older := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(older, os.DirFS(filepath.Join(data, "log"))); err != nil {
		t.Fatal(err)
	}
	runs(t, 0, "record", "--data", data, "--org", "acme", "--actor", "professional:root", "account.open", "account=client:lost")
	if err := errors.Join(os.RemoveAll(filepath.Join(data, "log")), os.CopyFS(filepath.Join(data, "log"), os.DirFS(older))); err != nil {
		t.Fatal(err)
	}

	const why = "ledger of acme: its projection has event 4, the log ends at 3"
	s := serves(t, data)
	ready := s.asks(t, "GET", "/readyz", "", nil)
	for ready.code == "starting" || ready.code == "behind" {
		ready = s.asks(t, "GET", "/readyz", "", nil)
	}
	for what, a := range map[string]httpAnswer{
		"/readyz":    ready,
		"a command":  s.asks(t, "POST", "/orgs/acme/commands", opening("client:new"), nil),
		"a question": s.asks(t, "GET", "/orgs/acme/who?action=view&resource=client:lost", "", nil),
		"the events": s.asks(t, "GET", "/orgs/acme/events", "", nil),
	} {
		if a.status != http.StatusServiceUnavailable || a.code != "log_truncated" || !strings.Contains(a.body, why) || !strings.Contains(a.body, `"runbook":"log-truncated"`) {
			t.Errorf("%s: got %d %s, want 503 that says %q and the runbook", what, a.status, a.body, why)
		}
	}
	for _, args := range [][]string{{"ready"}, {"check", "professional:root", "view", "client:lost", "--org", "acme"}} {
		if _, errs := runs(t, 6, append(args, "--server", s.url)...); !strings.Contains(errs, "see deploy/runbooks/log-truncated.md") {
			t.Errorf("permledger %q: got %q, want it to name the runbook", args, errs)
		}
	}
	if a := s.asks(t, "POST", "/orgs/beta/commands", opening("client:new"), nil); a.status != http.StatusOK {
		t.Errorf("a command to the other ledger: got %d %s, want 200", a.status, a.body)
	}
	runs(t, 0, "history", "client:new", "--org", "beta", "--server", s.url)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the service ends with %v, want 0", err)
	}
	lines := 0
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, why) {
			lines++
			if !strings.Contains(line, `"level":"ERROR"`) || !strings.Contains(line, `"runbook":"log-truncated"`) {
				t.Errorf("the log says %s, want an error with the runbook", line)
			}
		}
	}
	if lines != 1 {
		t.Errorf("the log says so in %d lines, want one:\n%s", lines, s.log)
	}

	// A verb on the directory says it once, too.
	for _, args := range [][]string{{"check", "professional:root", "view", "client:lost"}, {"record", "--actor", "professional:root", "account.open", "account=client:c1"}, {"export"}} {
		_, errs := runs(t, 6, append(args, "--data", data, "--org", "acme")...)
		if strings.Count(errs, "\n") != 1 || !strings.Contains(errs, why+"; see deploy/runbooks/log-truncated.md") {
			t.Errorf("permledger %q: got %q, want one line that says %q and the runbook", args, errs, why)
		}
	}
}
