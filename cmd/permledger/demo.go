package main

// demo: a made-up care organisation to try the questions on. The story is package demo's; this file owns how it is
// shown: where it is kept, what is asked of it, and the service that goes on answering. What it prints as a command's
// output is that command's output: the same code, asking the same service over HTTP.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/demo"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// demoPorts is how many ports are tried, from the default service's on.
const demoPorts = 20

func newDemoCommand(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:     "demo [--once] [--data DIR]",
		Short:   "A made-up care organisation, to try it on",
		GroupID: groupQuestions,
		Long: `demo makes the ledger of Praktijk De Wilg, a care organisation that does not exist: forty staff, three hundred
clients, half a year of history up to 31 August 2026. It prints what an auditor would ask, then serves until it is
interrupted. Everything is in a temporary directory that is removed at the end; --data keeps it, and answers from it
the next time.`,
		Example: `  permledger demo
  permledger demo --once
  permledger demo --data ./de-wilg`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g := &a.global; g.server != "" || g.org != "" || g.json {
				return domain.Errorf(domain.Malformed, "bad_flag", "demo: --server, --org and --json are for the commands that it shows, in another terminal; leave them out")
			}
			return a.demo(cmd.Context(), once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the answers")
	return cmd
}

// demo makes the story where it is to be kept, and shows it.
func (a *app) demo(ctx context.Context, once bool) (err error) {
	if a.global.zone.loc == nil {
		if err := a.global.zone.Set(demo.Zone); err != nil {
			return err
		}
	}
	dir, undo := a.global.data, func() error { return nil }
	keep := dir != ""
	if keep {
		undo, err = newDirectory(dir)
	} else if dir, err = os.MkdirTemp("", "permledger-demo-"); err == nil {
		undo = func() error { return os.RemoveAll(dir) }
	}
	if err != nil {
		return fmt.Errorf("making a directory for the demo: %w", err)
	}
	written := false
	defer func() {
		if !keep || !written { // what was begun and not finished would only be in the way
			err = errors.Join(err, undo())
		}
	}()
	if err := a.writeDemo(ctx, dir); err != nil {
		return err
	}
	written = true

	// The service gets what it prints about itself from here, as a script would: its address, as one line of JSON.
	said := make(announcement, 1)
	service := &app{in: a.in, out: said, err: a.err, now: a.now, global: globals{data: dir, json: true}}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- service.serveNearby(serving) }()
	end := func() error { stop(); return <-ended }
	select {
	case err := <-ended:
		stop()
		return err
	case base := <-said:
		if err := a.showDemo(ctx, base, dir, keep, once); err != nil || once {
			return errors.Join(err, end())
		}
	}
	defer stop()
	return <-ended
}

// writeDemo makes the story, or finds it made.
func (a *app) writeDemo(ctx context.Context, dir string) error {
	s, begun := a.screen(), time.Now()
	var progress func(time.Time, int)
	_, tty := terminal(a.err)
	if tty {
		progress = func(now time.Time, events int) {
			fmt.Fprintf(a.err, "\rWriting the story: %s, %4d events", now.In(s.zone).Format("2 Jan 2006"), events)
		}
	}
	head := 0
	made, err := demo.Write(ctx, dir, func(now time.Time, events int) {
		if head = events; progress != nil {
			progress(now, events)
		}
	})
	if tty && head > 0 {
		fmt.Fprint(a.err, "\r\x1b[K") // the line is gone when the answers come
	}
	switch {
	case err != nil:
		return err
	case made:
		s.line("Praktijk De Wilg: 40 staff, 300 clients, half a year up to 31 August 2026. None of it is real.")
		s.dim("Wrote %d events in %s: commands that the ledger took, and what its clock noticed.", head, time.Since(begun).Round(100*time.Millisecond))
	default:
		s.line("Praktijk De Wilg, as it is in %s.", dir)
	}
	return s.flush()
}

// showDemo prints the questions and what the service at base answers, and how to go on.
func (a *app) showDemo(ctx context.Context, base, dir string, keep, once bool) error {
	there := globals{zone: a.global.zone, lang: a.global.lang}
	if base != defaultServer {
		there.server = base
	}
	for _, q := range demo.Questions() {
		s := a.screen()
		s.line("")
		s.line("# %s", q.About)
		s.command("$ " + there.again(q.Ask[0], q.Ask[1:]...))
		s.line("")
		if err := s.flush(); err != nil {
			return err
		}
		if err := a.ask(ctx, &there, q.Ask); err != nil {
			return fmt.Errorf("%v: %w", q.Ask, err)
		}
	}
	s := a.screen()
	s.line("")
	switch {
	case once && keep:
		kept := globals{data: dir, zone: there.zone, lang: there.lang}
		s.line("It is all in %s. Ask on, e.g.", dir)
		s.next(kept.again("what", "professional:emre"))
	case once:
		s.line("To go on asking, run permledger demo without --once.")
	default:
		s.line("Serving at %s, until Ctrl-C. In another terminal:", base)
		s.line("")
		for _, c := range demo.More() {
			s.command("  " + there.again(c[0], c[1:]...))
		}
		s.line("")
		s.line("or over HTTP:")
		s.line("")
		s.command("  curl '" + base + "/orgs/" + string(demo.Org) + "/who?" +
			url.Values{"action": {"view_record"}, "resource": {"client:c113"}}.Encode() + "'")
		s.line("")
		s.dim("Where permledger is not installed: go run ./cmd/permledger in its place.")
		if base != defaultServer {
			s.dim("Port 7420 is taken by something else, so the commands name the server.")
		}
	}
	return s.flush()
}

// command prints a line with a command in it, unwrapped, to be pasted whole.
func (s *screen) command(line string) { fmt.Fprintln(s.w, line) }

// ask runs one of permledger's own command lines, which prints its answer. A no is an answer.
func (a *app) ask(ctx context.Context, there *globals, words []string) error {
	args := append([]string{}, words...)
	args = append(args, "--tz", there.zone.String())
	if there.server != "" {
		args = append(args, "--server", there.server)
	}
	if lang := there.lang.String(); lang != "" {
		args = append(args, "--lang", lang)
	}
	if a.global.noColor {
		args = append(args, "--no-color")
	}
	b := &app{in: a.in, out: a.out, err: a.err, now: a.now}
	root := newRoot(b, args)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); !errors.Is(err, errNo) {
		return err
	}
	return nil
}

// serveNearby serves the directory at the default address, or at the next free port where it is taken.
func (a *app) serveNearby(ctx context.Context) (err error) {
	address, err := net.ResolveTCPAddr("tcp", "127.0.0.1:7420")
	if err != nil {
		return err
	}
	for range demoPorts {
		err = a.serve(ctx, serving{address: address, stopWait: stopWait, ledgers: ledger.Options{Data: a.global.data, Logger: a.quietLogger(), Clock: true, Feed: true, Webhooks: true, Fatal: a.fatal}})
		var refused *domain.Error
		if !errors.As(err, &refused) || refused.Code != "in_use" {
			return err
		}
		address.Port++
	}
	return err
}

// announcement gets what a service prints when it is there, and gives its address.
type announcement chan string

func (c announcement) Write(line []byte) (int, error) {
	var said struct {
		Address string `json:"address"`
	}
	if err := read(bytes.TrimSpace(line), &said); err != nil {
		return 0, err
	}
	c <- said.Address
	return len(line), nil
}
