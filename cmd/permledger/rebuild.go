package main

// rebuild: a projection made anew from its log, and put in the live one's place. The work is the service's (api/admin.go);
// this shows how far it is and what it came to. verify shares the showing.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newRebuildCommand(a *app) *cobra.Command {
	var o ledger.RebuildOptions
	cmd := &cobra.Command{
		Use:     "rebuild",
		Short:   "Make a projection anew from its log",
		GroupID: groupLedger,
		Long: `rebuild makes the projection of one organisation anew from its log, beside the live one, which answers and keeps up
meanwhile. Then it compares the two at one seq: every key, by a digest that does not depend on their order, and answers to
questions picked at random. Where they are equal, the new one takes the live one's place at once, and the other is kept
for --rollback. Where they are not, nothing is swapped, the keys that differ are shown, and the exit code is 6.

Interrupted or killed, it goes on where it was when it is run again. It begins only where the disk has room for it. At
two in the morning, with a ledger that stopped over a damaged projection: --replace-damaged. With --data, where not even
the database can be opened, that sets all projections aside and makes them anew.

With --json it prints one JSON object a line: how far it is ({"state": …}), and last what it came to ({"result": …}).`,
		Example: `  permledger rebuild
  permledger rebuild --org acme --dry-run
  permledger rebuild --replace-damaged
  permledger rebuild --rollback --data ./ledger`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, set := range map[string]bool{"dry_run": o.DryRun, "rollback": o.Rollback, "replace_damaged": o.ReplaceDamaged} {
				if set {
					q.Set(name, "true")
				}
			}
			if o.ReplaceDamaged && a.global.data != "" {
				if err := a.setAsideDamaged(cmd.Context()); err != nil {
					return err
				}
			}
			return a.work(cmd.Context(), http.MethodPost, "/admin/rebuild", q, showRebuilt)
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "build and compare, and do not swap")
	cmd.Flags().BoolVar(&o.Rollback, "rollback", false, "go back to the projection that the last swap kept, brought up to the log")
	cmd.Flags().BoolVar(&o.ReplaceDamaged, "replace-damaged", false, "the live projection is damaged: do not compare with it, and do not keep it")
	return cmd
}

// setAsideDamaged sets the projections of a directory aside where it can't be opened because of them.
func (a *app) setAsideDamaged(ctx context.Context) error {
	c, err := a.client(ctx, ledger.Options{})
	var e *domain.Error
	switch {
	case err == nil:
		return c.close()
	case errors.As(err, &e) && e.Code == "projections_damaged":
		to, err := ledger.SetAside(a.global.data)
		if err == nil {
			_, err = fmt.Fprintf(a.err, "permledger: the projections could not be opened and were moved to %s; they are made anew\n", to)
		}
		return err
	}
	return err
}

// workStep is a line of what the service answers.
type workStep struct {
	State  *ledger.RebuildState
	Result json.RawMessage
	Error  *struct {
		Detail, Code string
		Failure      domain.Failure
		Status       int
	}
}

// mostStep bounds a line, in bytes: the last may show a hundred keys.
const mostStep = 4 << 20

// work has the service do what takes long, shows how far it is, and then its result, which show puts into words.
func (a *app) work(ctx context.Context, method, path string, q url.Values, show func(s *screen, result []byte) error) error {
	return a.withClient(ctx, func(c *client) error {
		q.Set("org", string(c.org))
		body, err := c.open(ctx, method, path+"?"+q.Encode(), "application/json", nil)
		if err != nil {
			return err
		}
		defer body.Close()
		bar := a.workBar(c.org)
		defer bar.stop()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, mostStep)
		read := int64(0)
		for lines.Scan() {
			read += int64(len(lines.Bytes())) + 1
			var st workStep
			if err := json.Unmarshal(lines.Bytes(), &st); err != nil {
				return domain.Errorf(domain.Unreachable, "not_permledger", "the answer is not what permledger gives: %v", err)
			}
			if a.global.json {
				if _, err := fmt.Fprintf(a.out, "%s\n", lines.Bytes()); err != nil {
					return fmt.Errorf("writing the answer: %w", err)
				}
			}
			if st.State != nil {
				bar.show(*st.State)
				continue
			}
			bar.stop()
			if !a.global.json && len(st.Result) > 0 {
				if err := a.print(bytes.Clone(st.Result), show); err != nil {
					return err
				}
			}
			if e := st.Error; e != nil {
				return domain.Errorf(failureOf(e.Status, e.Failure), e.Code, "%s", e.Detail)
			}
			return nil
		}
		return c.cut(ctx, read, lines.Err())
	})
}

// workBar is a bar of events read. Elsewhere than on a terminal it shows nothing.
type workBar struct{ *bar }

func (a *app) workBar(org domain.Org) workBar {
	return workBar{a.unitBar("Projection of "+string(org), 0, progress.UnitsDefault)}
}

func (b workBar) show(st ledger.RebuildState) {
	if b.writer == nil {
		return
	}
	message := st.Phase
	switch st.Phase {
	case ledger.PhaseReading:
		message = fmt.Sprintf("reading, %.0f events/s, %s left", st.Rate, (time.Duration(st.Left) * time.Second).Round(time.Second))
	case ledger.PhaseComparing:
		message = fmt.Sprintf("comparing, %s", plural(int(st.Keys), "key", "keys"))
	}
	b.tracker.UpdateTotal(int64(st.Target))
	b.tracker.SetValue(int64(st.Seq))
	b.tracker.UpdateMessage(fmt.Sprintf("%s; live %d behind; %s", message, st.Lag, st.At.Local().Format(time.TimeOnly)))
}

// stop may be called again.
func (b workBar) stop() {
	b.bar.stop()
	b.writer = nil
}

func showRebuilt(s *screen, body []byte) error {
	var r ledger.Rebuilt
	if err := read(body, &r); err != nil {
		return err
	}
	if r.Seq == 0 && r.Comparison == nil { // it ended before anything came of it, and the error says why
		return nil
	}
	began := ""
	if r.Resumed > 0 {
		began = fmt.Sprintf(" It went on behind event %d.", r.Resumed)
	}
	s.line("Read %s of the log of %s in %s.%s", plural(int(r.Events), "event", "events"), r.Org, seconds(r.Seconds), began)
	showComparison(s, r.Comparison, r.Seq)
	switch {
	case r.Swapped && r.Kept:
		s.line("The new projection took the live one's place; the one before is kept.")
		s.dim("permledger rebuild --rollback goes back to it.")
	case r.Swapped:
		s.line("The new projection took the live one's place.")
	case r.DryRun && r.Comparison != nil && r.Equal:
		s.line("Nothing was swapped: without --dry-run the new projection would take the live one's place.")
	case r.DryRun:
		s.line("Nothing was swapped.")
	}
	return nil
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// showComparison says what was compared and how much, and what differs.
func showComparison(s *screen, c *ledger.Comparison, seq domain.Seq) {
	if c == nil {
		return
	}
	if c.Equal {
		s.line("Compared at event %d: %s, %d bytes, and %s to questions picked at random: all equal.",
			seq, plural(int(c.Keys), "key", "keys"), c.Bytes, plural(c.Answers, "answer", "answers"))
		return
	}
	if c.Keys > 0 {
		s.line("Compared at event %d: %s, %d bytes.", seq, plural(int(c.Keys), "key", "keys"), c.Bytes)
	}
	if c.Differing == 0 {
		return
	}
	s.line("%s not what the log gives:", plural(int(c.Differing), "key is", "keys are"))
	for _, d := range c.Differences {
		s.line("  %s: %s", d.Sort, printable(d.Key))
		if d.Seq != 0 {
			s.line("    of event %d", d.Seq)
		}
		s.line("    live:  %s", orNothing(d.Live))
		s.line("    log:   %s", orNothing(d.Rebuilt))
	}
	if more := int(c.Differing) - len(c.Differences); more > 0 {
		s.line("  and %d more", more)
	}
}

func orNothing(v string) string {
	if v == "" {
		return "not there"
	}
	return printable(v)
}
