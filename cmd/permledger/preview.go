package main

// Previews: what a command would come to, shown and not recorded.

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// dryRun are the flags of verbs that can be previewed.
type dryRun struct {
	run   bool
	limit number
}

func (d *dryRun) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.run, "dry-run", false, "record nothing; say who would gain and lose what")
	cmd.Flags().Var(&d.limit, "limit", "with --dry-run: how many gains and how many losses to list at most (default 1000)")
	cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
}

func (d *dryRun) check() error {
	if d.limit != 0 && !d.run {
		return domain.Errorf(domain.Malformed, "bad_flag", "--limit: bounds what --dry-run lists; give both or neither")
	}
	return nil
}

// preview asks what the commands in body would come to, and shows it.
func (a *app) preview(ctx context.Context, c *client, body []byte, d dryRun) error {
	q := url.Values{"dry_run": {"true"}}
	setNumber(q, "limit", d.limit)
	a.global.lang.set(q)
	got, err := c.post(ctx, "commands", q, body)
	if err != nil {
		return err
	}
	return a.print(got, func(s *screen, body []byte) error {
		d, err := readPreview(body)
		if err != nil {
			return err
		}
		if !a.global.json {
			s.preview(d, s.words.notRecorded)
		}
		if !d.Complete {
			return domain.Errorf(domain.Incomplete, "incomplete", "the preview lists %d of %d changes; --limit N lists more", d.listed(), d.total())
		}
		return nil
	})
}

// previewed is the answer to a preview.
type previewed struct {
	AsOf        string            `json:"as_of"`
	KnownAtSeq  uint64            `json:"known_at_seq"`
	Events      []event           `json:"events"`
	Gained      []previewedEffect `json:"gained"`
	Lost        []previewedEffect `json:"lost"`
	GainedTotal int               `json:"gained_total"`
	LostTotal   int               `json:"lost_total"`
	Complete    bool              `json:"complete"`
	Warnings    []struct {
		Text string `json:"text"`
	} `json:"warnings"`
}

type previewedEffect struct {
	Subject    string   `json:"subject"`
	Resource   string   `json:"resource"`
	Actions    []string `json:"actions"`
	Except     []string `json:"except"`
	From       string   `json:"from"`
	ValidUntil *string  `json:"valid_until"`
}

func readPreview(body []byte) (d previewed, err error) { err = read(body, &d); return d, err }

func (d *previewed) listed() int { return len(d.Gained) + len(d.Lost) }
func (d *previewed) total() int  { return d.GainedTotal + d.LostTotal }

// preview shows what would be recorded and come of it, under a line that says whether it is.
func (s *screen) preview(d previewed, header string) {
	if len(d.Events) == 0 {
		s.line("%s", s.words.nothingToRecord)
		return
	}
	s.line("%s", header)
	s.line("")
	for _, e := range d.Events {
		s.line(s.words.wouldRecord, s.sentence(e))
	}
	s.line("")
	var rows [][]string
	add := func(mark string, colour text.Color, effects []previewedEffect) { // what differs in the resource alone is one row
		for _, e := range effects {
			var notes []string
			if e.From != "" {
				notes = append(notes, fmt.Sprintf(s.words.later, s.time(e.From)))
			}
			if e.ValidUntil != nil {
				notes = append(notes, fmt.Sprintf(s.words.ends, s.time(*e.ValidUntil)))
			}
			if len(e.Except) > 0 {
				notes = append(notes, fmt.Sprintf(s.words.except, strings.Join(e.Except, ", ")))
			}
			row := []string{text.Colors{colour}.Sprint(mark), e.Subject, strings.Join(e.Actions, ", "), e.Resource, strings.Join(notes, "; ")}
			if i := slices.IndexFunc(rows, func(r []string) bool {
				return slices.Equal(r[:3], row[:3]) && r[4] == row[4]
			}); i >= 0 {
				rows[i][3] += ", " + e.Resource
				continue
			}
			rows = append(rows, row)
		}
	}
	add(s.words.gains, text.FgGreen, d.Gained)
	add(s.words.loses, text.FgRed, d.Lost)
	if len(rows) == 0 {
		s.line("%s", s.words.noChange)
	} else {
		s.table([]string{s.words.changeHeader, s.words.whoseHeader, s.words.actionsHeader, s.words.resource, s.words.conditionsHeader}, rows, 2, 3, 4)
	}
	if !d.Complete {
		s.line(s.words.listed, d.listed(), d.total())
	}
	s.line("")
	for _, w := range d.Warnings {
		s.styled(text.Colors{text.FgYellow}, fmt.Sprintf(s.words.warning, s.local(w.Text)))
	}
	s.dim(s.words.wouldBeAt, s.moment(d.AsOf), d.KnownAtSeq)
}
