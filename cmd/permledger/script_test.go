package main

// The command line as its users meet it: scripts under testdata/script run the real program, each in a directory of its
// own that holds testdata's history.ndjson and roles.yaml.

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var updateScripts = flag.Bool("update-scripts", false, "rewrite the expected output in testdata/script")

func TestMain(m *testing.M) {
	// With -race every process sleeps for a second when it ends, for goroutines that are still racing: a minute and a
	// half in all, of processes that have waited for theirs.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	testscript.Main(m, map[string]func(){"permledger": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *updateScripts,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			for _, name := range []string{"history.ndjson", "roles.yaml"} {
				b, err := os.ReadFile(filepath.Join("testdata", name))
				if err == nil {
					err = os.WriteFile(env.Getenv("WORK")+"/"+name, b, 0o600)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"onelined": onelined, "harm": harm,
		},
	})
}

// exits CODE [ARG...] runs permledger and wants the exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec("permledger", args[1:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("permledger %q: exit code %d, want %d", args[1:], got, want)
	}
}

// onelined wants nothing on stdout and exactly one line on stderr, of the command before it.
func onelined(ts *testscript.TestScript, neg bool, args []string) {
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout: got %q, want nothing", out)
	}
	got := ts.ReadFile("stderr")
	if n := len(got); n < 2 || got[n-1] != '\n' || countLines(got) != 1 {
		ts.Fatalf("stderr: got %q, want one line", got)
	}
}

func countLines(s string) (n int) {
	for _, c := range s {
		if c == '\n' {
			n++
		}
	}
	return n
}
