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
			if o.ReplaceDamaged && (o.Rollback || o.DryRun) {
				return domain.Errorf(domain.Malformed, "bad_flag", "--replace-damaged goes with neither --rollback nor --dry-run: it begins with the log, compares with nothing, and swaps")
			}
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
		var e *domain.Error
		if errors.As(err, &e) && e.Code == "rebuild_running" { // no answer to what was asked: it is in use
			return domain.Errorf(domain.Unavailable, e.Code, "%s", e.Message)
		}
		if err != nil {
			return err
		}
		defer body.Close()
		bar := workBar{a: a}
		defer bar.stop()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, mostStep)
		read := int64(0)
		var at *ledger.RebuildState
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
				at = st.State
				bar.show(*at)
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
		if ctx.Err() != nil && at != nil {
			return domain.Errorf(domain.Unavailable, "interrupted", "interrupted while %s, at event %d of %d", at.Phase, at.Seq, at.Target)
		}
		return c.cut(ctx, read, lines.Err())
	})
}

// A workBar is a bar of events read, from when there is something to say, on stderr and only on a terminal. Rate and time
// left are the service's: it knows where reading began.
type workBar struct {
	a *app
	*bar
}

func (b *workBar) show(st ledger.RebuildState) {
	if b.bar == nil {
		style := progress.StyleDefault
		style.Options.Separator = " "
		style.Visibility = progress.StyleVisibility{Tracker: true}
		b.bar = b.a.bar(&progress.Tracker{AutoStopDisabled: true}, style, 10)
	}
	if b.writer == nil {
		return
	}
	b.tracker.UpdateTotal(int64(st.Target))
	b.tracker.SetValue(int64(st.Seq))
	b.tracker.UpdateMessage(workLine(st, b.a.global.zone.location()))
}

// workLine says how far it is, how far the live projection is behind the log, and when that was so: where the clock stands
// still, so does the service. With the bar it fits 80 columns.
func workLine(st ledger.RebuildState, zone *time.Location) string {
	n := progress.UnitsDefault.Sprint
	line := st.Phase
	switch st.Phase {
	case ledger.PhaseReading:
		line += fmt.Sprintf(" %s/%s", n(int64(st.Seq)), n(int64(st.Target)))
		if st.Rate > 0 { // it is known
			line += fmt.Sprintf(", %s/s, %s left", n(int64(st.Rate)), time.Duration(st.Left*float64(time.Second)).Round(time.Second))
		}
	case ledger.PhaseComparing:
		line += fmt.Sprintf(" %s keys", n(st.Keys))
	}
	return fmt.Sprintf("%s; live lag %s; %s", line, n(int64(st.Lag)), st.At.In(zone).Format(time.TimeOnly))
}

// stop may be called again.
func (b *workBar) stop() {
	if b.bar != nil {
		b.bar.stop()
		b.writer = nil
	}
}

func showRebuilt(s *screen, body []byte) error {
	var r ledger.Rebuilt
	if err := read(body, &r); err != nil {
		return err
	}
	began := ""
	if r.Resumed > 0 {
		began = fmt.Sprintf(" It went on behind event %d.", r.Resumed)
	}
	s.line("Read %s of the log of %s in %s.%s", plural(int(r.Events), "event", "events"), r.Org, seconds(r.Reading), began)
	which, with := "new projection", "log"
	if r.Kind == "rollback" {
		which, with = "projection that was kept", "kept"
	}
	showComparison(s, r.Comparison, r.Seq, with)
	switch {
	case r.Swapped && r.Kept:
		s.line("The %s took the live one's place; the one before is kept.", which)
		s.dim("permledger rebuild --rollback goes back to it.")
	case r.Swapped:
		s.line("The %s took the live one's place.", which)
	case r.DryRun && r.Comparison != nil && (r.Equal || r.Kind == "rollback"):
		s.line("Nothing was swapped: without --dry-run the %s would take the live one's place.", which)
	default:
		s.line("Nothing was swapped.")
	}
	return nil
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// showComparison says what was compared and how much, and what differs between the live projection and what it was compared
// with: what the log gives, or the one that was kept.
func showComparison(s *screen, c *ledger.Comparison, seq domain.Seq, with string) {
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
	s.line("%s:", plural(int(c.Differing), "key differs", "keys differ"))
	for _, d := range c.Differences {
		s.line("  %s: %s", d.Sort, printable(d.Key))
		if d.Seq != 0 {
			s.line("    of event %d", d.Seq)
		}
		s.line("    live: %s", orNothing(d.Live))
		s.line("    %-5s %s", with+":", orNothing(d.Rebuilt))
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
