package main

// watch against a service that goes away: it comes back with its cursor, and shows everything once.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// lostAt is a change as a service sends it.
func lostAt(cursor string, seq int) string {
	return fmt.Sprintf("id: %[1]s\nevent: lost\ndata: {\"cursor\":%[1]q,\"seq\":%d,\"kind\":\"lost\"}\n\n", cursor, seq)
}

// watched runs a watch with --json against a service whose connections give the answers, one after another: a status, or
// events and then the end. It gives the lines, the queries that were sent, how long was waited, stderr and the error.
func watched(t *testing.T, w watching, answers ...any) (lines, queries []string, waits []time.Duration, stderr string, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/feed") {
			io.WriteString(rw, `{"head":5}`)
			return
		}
		queries = append(queries, r.URL.RawQuery)
		if len(answers) == 0 {
			t.Errorf("one more request: %s", r.URL)
			return
		}
		answer := answers[0]
		answers = answers[1:]
		switch answer := answer.(type) {
		case int:
			rw.WriteHeader(answer)
			fmt.Fprintf(rw, `{"status":%d,"detail":"D","code":"some_code"}`, answer)
		case domain.Failure: // of a service that starts
			rw.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(rw, `{"status":503,"detail":"D","code":"starting","failure":%q}`, answer)
		case string:
			io.WriteString(rw, answer)
			http.NewResponseController(rw).Flush()
			if !strings.HasSuffix(answer, "\n\n") {
				panic(http.ErrAbortHandler)
			}
		}
	}))
	server.Config.ErrorLog = nil
	defer server.Close()
	var out, errs bytes.Buffer
	a := &app{in: os.Stdin, out: &out, err: &errs, now: time.Now, global: globals{json: true}}
	w.a, w.s, w.c = a, a.screen(), &client{base: server.URL, http: server.Client(), org: "acme"}
	w.once = true
	w.wait = func(d time.Duration) <-chan time.Time {
		waits = append(waits, d)
		over := make(chan time.Time)
		close(over)
		return over
	}
	err = w.run(t.Context())
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), queries, waits, errs.String(), err
}

func TestWatchComesBack(t *testing.T) {
	lines, queries, waits, stderr, err := watched(t, watching{cursor: "0"},
		lostAt("3.1~9f2c01ab", 3)+": heartbeat\n\n"+"id: 3~9f2c01ab\nevent: lost\nda", // cut within an event
		503,
		lostAt("3~9f2c01ab", 3),
		domain.Incomplete,
		lostAt("5~9f2c01ab", 5))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{"event":"lost","cursor":"3.1~9f2c01ab","seq":3,"kind":"lost"}`, `{"event":"lost","cursor":"3~9f2c01ab","seq":3,"kind":"lost"}`, `{"event":"lost","cursor":"5~9f2c01ab","seq":5,"kind":"lost"}`}
	if !slices.Equal(lines, want) {
		t.Errorf("got  %v\nwant %v", lines, want)
	}
	if want := []string{"after=0", "after=3.1~9f2c01ab", "after=3.1~9f2c01ab", "after=3~9f2c01ab", "after=3~9f2c01ab"}; !slices.Equal(queries, want) {
		t.Errorf("asked %v, want %v", queries, want)
	}
	if got := strings.Count(stderr, "; coming back in "); got != 4 || len(waits) != 4 {
		t.Errorf("waited %v and said %q", waits, stderr)
	}
	for i, wait := range waits { // longer after each that gave nothing
		most := comeBackFirst << []int{0, 1, 0, 1}[i]
		if wait > most || wait < most/2 {
			t.Errorf("wait %d: %s, want between %s and %s", i, wait, most/2, most)
		}
	}
}

func TestWatchBeginsAgain(t *testing.T) {
	const state = "event: gained\ndata: {\"seq\":4,\"kind\":\"gained\"}\n\n"
	const end = "id: 4~9f2c01ab\nevent: snapshot_end\ndata: {\"cursor\":\"4~9f2c01ab\",\"seq\":4}\n\n"
	const refetch = "id:\nevent: must_refetch\ndata: {\"reason\":\"R\",\"from\":\"2~9f2c01ab\"}\n\n"
	lines, queries, _, _, err := watched(t, watching{snapshot: true},
		state, // the connection ends before the snapshot does
		state+end+lostAt("5~9f2c01ab", 5))
	if err != nil || len(lines) != 5 || lines[1] != `{"event":"must_refetch","reason":"the snapshot broke off","from":null}` ||
		!slices.Equal(queries, []string{"snapshot=true", "snapshot=true"}) {
		t.Errorf("%v\nasked %v, %v", lines, queries, err)
	}

	lines, queries, _, _, err = watched(t, watching{snapshot: true, cursor: "1"}, refetch+state, state+end, lostAt("5~9f2c01ab", 5))
	want := []string{`{"event":"must_refetch","reason":"R","from":"2~9f2c01ab"}`, `{"event":"gained","seq":4,"kind":"gained"}`,
		`{"event":"must_refetch","reason":"the snapshot broke off","from":null}`, `{"event":"gained","seq":4,"kind":"gained"}`,
		`{"event":"snapshot_end","cursor":"4~9f2c01ab","seq":4}`, `{"event":"lost","cursor":"5~9f2c01ab","seq":5,"kind":"lost"}`}
	if err != nil || !slices.Equal(lines, want) || !slices.Equal(queries, []string{"after=1&snapshot=true", "snapshot=true", "after=4~9f2c01ab&snapshot=true"}) {
		t.Errorf("%v\ngot  %v\nwant %v\nasked %v", err, lines, want, queries)
	}

	_, _, _, _, err = watched(t, watching{cursor: "1"}, lostAt("3~9f2c01ab", 3), refetch)
	if !errors.Is(err, domain.Incomplete) || !strings.Contains(err.Error(), "--after 3~9f2c01ab: R") || !strings.Contains(err.Error(), "--after 2~9f2c01ab") {
		t.Errorf("%v", err)
	}
}

// What the service refuses is not asked again, and neither is one that was never there.
func TestWatchGivesUp(t *testing.T) {
	if _, queries, _, _, err := watched(t, watching{cursor: "0"}, lostAt("3~9f2c01ab", 3), 404); !errors.Is(err, domain.Unknown) || len(queries) != 2 {
		t.Errorf("refused: %v after %v", err, queries)
	}
	if _, queries, _, _, err := watched(t, watching{cursor: "0"}, 503); !errors.Is(err, domain.Unavailable) || len(queries) != 1 {
		t.Errorf("never there: %v after %v", err, queries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := watching{a: &app{out: io.Discard, err: io.Discard}, c: &client{base: "http://127.0.0.1:1", http: http.DefaultClient, org: "acme"}}
	w.s = w.a.screen()
	if err := w.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A real service that is killed and started again: what was recorded meanwhile and since is shown once, in order. Ctrl-C is
// no failure.
func TestWatchOutlivesItsService(t *testing.T) {
	data := made(t)
	s := serves(t, data)
	open := func(account string) {
		t.Helper()
		if err := s.record(fmt.Sprintf(`{"command":"account.open","actor":"professional:root","data":{"account":%q}}`, account)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := permledger("watch", "--server", s.url, "--json", "--kind", "client")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	r := bufio.NewReader(out)
	upTo := func(subject string) (subjects []string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("watch ended: %v after %v", err, subjects)
			}
			if strings.Contains(line, `"event":"gained"`) {
				_, rest, _ := strings.Cut(line, `"subject":"`)
				of, _, _ := strings.Cut(rest, `"`)
				if subjects = append(subjects, of); of == subject {
					return subjects
				}
			}
		}
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"event":"checkpoint",`) { // it follows
		t.Fatalf("it begins with %q, %v", line, err)
	}
	open("client:c1")
	if got := upTo("client:c1"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	runs(t, 0, "record", "--data", data, "--actor", "professional:root", "account.open", "account=client:c2")
	again := permledger("serve", "--data", data, "--listen", strings.TrimPrefix(s.url, "http://"), "--json")
	said, err := again.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Process.Kill(); again.Wait() })
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	open("client:c3")
	if got, want := upTo("client:c3"), []string{"client:c2", "client:c3"}; !slices.Equal(got, want) {
		t.Errorf("after the restart: got %v, want %v", got, want)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestAgeAndSize(t *testing.T) {
	for s, want := range map[string]string{"30d": "720h0m0s", "90m": "1h30m0s", "0": "0s", "0d": "0s", "1s": "1s", "1d12h": "", "-1d": "", "999ms": "", "d": "", "1.5d": ""} {
		var a age
		if err := a.Set(s); (err == nil) != (want != "") || a.String() != want {
			t.Errorf("age %q: %q, %v; want %q", s, a.String(), err, want)
		}
	}
	for s, want := range map[string]string{"1GiB": "1073741824", "500MB": "500000000", "500 kB": "500000", "12B": "12", "7": "7", "0": "0", "1.5GiB": "", "-1": "", "GiB": "", "": "", "9000000TiB": ""} {
		var b size
		if err := b.Set(s); (err == nil) != (want != "") || b.String() != want {
			t.Errorf("size %q: %q, %v; want %q", s, b.String(), err, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1 GiB", 500e6: "476.8 MiB"} {
		if got := inBytes(n); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{3 * time.Second: "3s", 90 * time.Minute: "1h30m0s", 48 * time.Hour: "2d", 50*time.Hour + time.Minute: "2d2h"} {
		if got := inTime(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
