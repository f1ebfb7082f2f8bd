// Command permledger keeps who was allowed to see whom, when, by what and on whose word, and answers about any moment.
// It answers who could see, not who did.
//
// This file owns the root of the command line and how a verb's error becomes a line and an exit code. Each verb is a
// file of its own. No verb decides anything: what it prints came from the service, over HTTP or in process (client.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // --tz works on machines without a zone database

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func main() { os.Exit(run(os.Args[1:])) }

// app is what every verb has: where it reads and writes, and the global flags.
type app struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	now    func() time.Time // what "yesterday" is counted from; ledgers have a clock of their own
	global globals

	environ  []string // the environment that settings are read from; nil: none, for a command line of our own making
	settings settings
}

// run runs one command line and gives its exit code.
func run(args []string) int {
	ctx, stop := interruptible()
	defer stop()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now, environ: os.Environ()}
	root := newRoot(a, args)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = domain.Errorf(domain.Unavailable, "interrupted", "interrupted: %v", err)
	}
	return a.end(err)
}

// interruptible gives a context that ends with the first signal to stop, for whatever runs to end well. The second ends the
// process at once, with the exit code of a process that died of it. Both are waited for here: to give the signal back to
// the system after the first would lose a second one that comes meanwhile.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, ok := <-signals; !ok {
			return
		}
		cancel()
		if second, ok := <-signals; ok {
			os.Exit(128 + int(second.(syscall.Signal)))
		}
	}()
	return ctx, func() {
		signal.Stop(signals) // nothing is sent to it any more
		close(signals)
		<-done
		cancel()
	}
}

// end prints the error, one line for each mistake in it, and gives the exit code.
func (a *app) end(err error) int {
	if err != nil && !errors.Is(err, errNo) && !errors.As(err, new(errFound)) {
		for line := range strings.Lines(withRunbook(err)) {
			fmt.Fprintf(a.err, "permledger: %s\n", printable(strings.TrimSuffix(line, "\n")))
		}
	}
	return exitCode(err)
}

// fatal ends the process where nothing that was opened may be used any more, not even to close it.
func (a *app) fatal(err error) { os.Exit(a.end(err)) }

// printable keeps what a caller typed from moving the cursor or colouring the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func newRoot(a *app, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "permledger",
		Short: "A ledger of permissions: who could see whom, now and at any past moment",
		Long: `permledger keeps who was allowed to see whom, when, by what and on whose word, and answers about any moment.
It answers who could see, not who did.

A verb opens a data directory itself (--data DIR) or asks a running service (--server URL, by default ` + defaultServer + `).`,
		Example: `  permledger init --data ./ledger --org acme --catalogue minddistrict --founder professional:root
  permledger serve --data ./ledger
  permledger check professional:anna view_record client:c1
  permledger who view_record client:c1 --at 2026-03-01`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	parent(root)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return domain.Errorf(domain.Malformed, "bad_flag", "%v; see %s --help", err, cmd.CommandPath())
	})
	a.global.zone.now = a.now
	a.global.register(root)
	root.PersistentPreRunE = a.readSettings
	root.AddGroup(
		&cobra.Group{ID: groupQuestions, Title: "Questions:"},
		&cobra.Group{ID: groupLedger, Title: "The ledger:"},
	)
	root.AddCommand(
		newCheckCommand(a), newExplainCommand(a), newWhoCommand(a), newWhatCommand(a), newHoldersCommand(a), newRolesCommand(a), newGrantsCommand(a),
		newHistoryCommand(a), newDiffCommand(a), newWatchCommand(a), newDemoCommand(a),
		newInitCommand(a), newImportCommand(a), newRecordCommand(a), newServeCommand(a), newCatalogueCommand(a),
		newFeedCommand(a), newSubscribersCommand(a),
		newBackupCommand(a), newRestoreCommand(a), newExportCommand(a),
		newReadyCommand(a), newStatusCommand(a), newDoctorCommand(a), newUnlockCommand(a), newConfigCommand(a),
		newRebuildCommand(a), newVerifyCommand(a),
		newVersionCommand(a), newExitCodesTopic(), newTimesTopic(),
	)
	root.InitDefaultCompletionCmd(args...)
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			parent(cmd)
		case "help": // of what is not there is an error too
			usual := cmd.Run
			cmd.Run = nil
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if found, _, err := root.Find(args); err != nil || found == root && len(args) > 0 {
					return unknownVerb(root, args[0])
				}
				usual(cmd, args)
				return nil
			}
		}
	}
	return root
}

// parent makes a command that only has commands under it: an unknown one is an error, none is a call for help.
func parent(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownVerb(cmd, args[0])
	}
}

// The groups of verbs in the help of the root.
const (
	groupQuestions = "questions"
	groupLedger    = "ledger"
)

func unknownVerb(cmd *cobra.Command, verb string) error {
	cmd.SuggestionsMinimumDistance = 2
	hint := ""
	if near := cmd.SuggestionsFor(verb); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? "
	}
	return domain.Errorf(domain.Malformed, "unknown_verb", "%q: there is no such command; %ssee %s --help", verb, hint, cmd.CommandPath())
}

// arguments checks how many arguments there are: from min to all of names. An example says what would be right.
func arguments(min int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= min && len(args) <= len(names) {
			return nil
		}
		want := strings.Join(names, " ")
		if want == "" {
			want = "none"
		}
		example := ""
		if line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n"); line != "" {
			example = ", e.g. " + line
		}
		return domain.Errorf(domain.Malformed, "bad_arguments", "%s: got %s, want %s%s", strings.TrimPrefix(cmd.CommandPath(), "permledger "), plural(len(args), "argument", "arguments"), want, example)
	}
}
