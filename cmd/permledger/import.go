package main

// import: a new ledger from a history with its own times (contract §6). It leaves the whole history or nothing.

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newImportCommand(a *app) *cobra.Command {
	var m maker
	cmd := &cobra.Command{
		Use:     "import --data DIR --org NAME --catalogue NAME-or-FILE FILE.ndjson|-",
		Short:   "Make a new ledger from a history",
		GroupID: groupLedger,
		Long: `import makes a new ledger for an organisation from a history: one JSON object a line, ordered by time, each with
at, type, actor, data and perhaps source and reason. The catalogue is adopted first, at the time of the first line, so
line n becomes seq n+1. A line that is wrong stops it, and nothing is recorded.`,
		Example: `  permledger import --data ./ledger --org kubernetes --catalogue open-source-org kubernetes.ndjson
  zcat history.ndjson.gz | permledger import --data ./ledger --org acme --catalogue ./roles.yaml -`,
		Args: arguments(1, "FILE.ndjson"),
		RunE: func(cmd *cobra.Command, args []string) error {
			org, document, err := m.prepare(a, "import")
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			from, size, err := a.history(args[0])
			if err != nil {
				return err
			}
			defer from.Close()
			var sum ledger.Imported
			begun := time.Now()
			err = m.make(ctx, a, true, func(s *ledger.Service) error {
				bar := a.progressBar("Importing "+args[0], size)
				defer bar.stop()
				sum, err = s.Import(ctx, org, document, from, bar.set)
				if err != nil && ctx.Err() != nil {
					err = domain.Errorf(domain.Unavailable, "interrupted", "importing %s: interrupted; nothing was recorded", args[0])
				}
				return err
			})
			if err != nil {
				return err
			}
			took := time.Since(begun)
			body, err := json.Marshal(map[string]any{"org": org, "events": sum.Events, "seq": sum.Events, "first": sum.First, "last": sum.Last})
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if a.global.json {
					return nil
				}
				s.line("Imported %s into the ledger of %s in %s, from %s to %s.", plural(sum.Events, "event", "events"), org, a.global.data,
					s.time(sum.First.String()), s.time(sum.Last.String()))
				s.dim("It took %s.", took.Round(time.Millisecond))
				s.next(a.global.again("serve"))
				return nil
			})
		},
	}
	m.register(a, cmd)
	return cmd
}

// history opens the file, or stdin for "-"; size is 0 where it can't be known.
func (a *app) history(name string) (from io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(a.in), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fileError("reading the history", name, err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a directory; want an NDJSON file")
	}
	if err != nil {
		f.Close()
		return nil, 0, fileError("reading the history", name, err)
	}
	if !info.Mode().IsRegular() {
		return f, 0, nil
	}
	return f, info.Size(), nil
}

// bar shows how far a long work is, on stderr and only on a terminal: elsewhere the summary at the end is enough.
type bar struct {
	writer  progress.Writer // nil: shows nothing
	tracker *progress.Tracker
	done    chan struct{}
}

// progressBar begins a bar of total bytes; 0 is not known.
func (a *app) progressBar(message string, total int64) *bar {
	style := progress.StyleDefault
	style.Visibility = progress.StyleVisibility{ETA: true, Percentage: true, Speed: true, Time: true, Tracker: true, Value: true}
	return a.bar(&progress.Tracker{Message: message, Total: total, Units: progress.UnitsBytes}, style, 0)
}

// bar begins a bar of so many columns; 0 is the usual.
func (a *app) bar(tracker *progress.Tracker, style progress.Style, columns int) *bar {
	width, ok := terminal(a.err)
	if !ok || a.global.json {
		return &bar{}
	}
	b := &bar{writer: progress.NewWriter(), tracker: tracker, done: make(chan struct{})}
	if a.global.colours() {
		style.Colors.Tracker = text.Colors{text.FgCyan}
	}
	b.writer.SetStyle(style)
	b.writer.SetOutputWriter(a.err)
	b.writer.SetTerminalWidth(width)
	b.writer.SetTrackerLength(columns)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.done)
		b.writer.Render()
	}()
	return b
}

// set is ledger.Service.Import's progress.
func (b *bar) set(events int, bytes int64) {
	if b.writer == nil {
		return
	}
	b.tracker.UpdateMessage(plural(events, "event", "events"))
	b.tracker.SetValue(bytes)
}

// stop leaves the bar as it is and waits until nothing writes to the terminal any more.
func (b *bar) stop() {
	if b.writer == nil {
		return
	}
	b.writer.Stop()
	<-b.done
}
