package main

// who and what over the time between two moments (--from, --until), and diff, what changed between them.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// span is --from, --until and --throughout.
type span struct {
	from, until string
	throughout  bool
}

func (d *span) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.from, "from", "", "at any time from this moment on, each moment as known then; see permledger help times")
	cmd.Flags().StringVar(&d.until, "until", "", "with --from: up to this moment, itself not included (default now)")
	cmd.Flags().BoolVar(&d.throughout, "throughout", false, "with --from: only what was so all the time")
	for _, name := range []string{"from", "until"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// asked tells whether the question is about an interval.
func (d *span) asked() bool { return d.from != "" || d.until != "" || d.throughout }

// set adds the interval to a question, in UTC.
func (d *span) set(q url.Values, m *moments, z *zone) error {
	if d.from == "" {
		return domain.Errorf(domain.Malformed, "bad_flag", "--from is missing: --until and --throughout are about the time since a moment, e.g. --from 2026-03-01")
	}
	if m.at != "" {
		return domain.Errorf(domain.Malformed, "bad_flag", "--at asks about one moment, --from about all from then on: give one of them")
	}
	for _, f := range []struct {
		name  string
		typed *string
	}{{"from", &d.from}, {"until", &d.until}} {
		if *f.typed == "" || f.name == "until" && isNow(*f.typed) {
			continue
		}
		at, err := z.moment("--"+f.name, *f.typed)
		if err != nil {
			return err
		}
		z.fix(f.typed, at)
		q.Set(f.name, at.String())
	}
	if d.throughout {
		q.Set("throughout", "true")
	}
	return m.set(q, z)
}

// args gives the flags that ask about the same interval again.
func (d *span) args() (args []string) {
	for _, f := range [][2]string{{"--from", d.from}, {"--until", d.until}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if d.throughout {
		args = append(args, "--throughout")
	}
	return args
}

// spanned is what every answer about an interval says of it.
type spanned struct {
	whole
	From       string     `json:"from"`
	Until      string     `json:"until"`
	KnownAtSeq uint64     `json:"known_at_seq"`
	Enforced   bool       `json:"enforced"`
	Throughout bool       `json:"throughout"`
	Catalogue  *decidedBy `json:"catalogue"` // where one was supposed
}

// about says which interval an answer is about and by what knowledge, and what it is not.
func (s *screen) about(d spanned) {
	words := s.words.during
	known := words.enforced
	if !d.Enforced {
		known = words.corrected
	}
	s.catalogue(d.Catalogue, "")
	s.dim(words.span+" "+known, s.moment(d.From), s.moment(d.Until), d.KnownAtSeq)
}

// whoDuring asks and shows who could at any time of the interval.
func (a *app) whoDuring(ctx context.Context, args []string, q url.Values, d *span, m *moments, p *paging, x *whatIf, kind string) error {
	if err := d.set(q, m, &a.global.zone); err != nil {
		return err
	}
	return a.questionUnder(ctx, "who", q, x.document, func(s *screen, body []byte) error {
		var got struct {
			spanned
			Action   string `json:"action"`
			Resource string `json:"resource"`
			Results  []struct {
				Subject   string `json:"subject"`
				Intervals []struct {
					From  string  `json:"from"`
					Until string  `json:"until"`
					Basis []basis `json:"basis"`
				} `json:"intervals"`
			} `json:"results"`
		}
		if err := read(body, &got); err != nil {
			return err
		}
		if a.global.json {
			return got.rest()
		}
		var rows [][]string
		for _, r := range got.Results {
			for _, iv := range r.Intervals {
				rows = append(rows, []string{r.Subject, s.time(iv.From), s.time(iv.Until), s.by(r.Subject, iv.Basis)})
			}
		}
		words := s.words.during
		s.list(rows, []string{s.words.account, words.fromHeader, words.untilHeader, s.words.by}, 3)
		more := ""
		if got.Next != "" {
			more = s.words.onThisPage
		}
		count := words.who
		if got.Throughout {
			count = words.whoThroughout
		}
		s.line("%s", count.of(len(got.Results), got.Action, got.Resource, more))
		s.about(got.spanned)
		if got.Next != "" {
			s.next(a.global.again("who", append(args, p.on(got.Next, slices.Concat(d.args(), m.args(), x.args()), "--kind", kind)...)...))
		} else {
			s.next(a.global.again("history", args[1]))
		}
		return got.rest()
	})
}

// whatDuring asks and shows what somebody could do at any time of the interval.
func (a *app) whatDuring(ctx context.Context, args []string, q url.Values, d *span, m *moments, p *paging, x *whatIf, kind string) error {
	if err := d.set(q, m, &a.global.zone); err != nil {
		return err
	}
	return a.questionUnder(ctx, "what", q, x.document, func(s *screen, body []byte) error {
		var got struct {
			spanned
			Subject string `json:"subject"`
			Results []struct {
				Resource  string `json:"resource"`
				Intervals []struct {
					From    string   `json:"from"`
					Until   string   `json:"until"`
					Actions []string `json:"actions"`
					Basis   []basis  `json:"basis"`
				} `json:"intervals"`
			} `json:"results"`
		}
		if err := read(body, &got); err != nil {
			return err
		}
		if a.global.json {
			return got.rest()
		}
		var rows [][]string
		for _, r := range got.Results {
			for _, iv := range r.Intervals {
				rows = append(rows, []string{r.Resource, s.time(iv.From), s.time(iv.Until), strings.Join(iv.Actions, ", "), s.by(got.Subject, iv.Basis)})
			}
		}
		words := s.words.during
		s.list(rows, []string{s.words.resource, words.fromHeader, words.untilHeader, s.words.mayDo, s.words.by}, 3, 4)
		more := ""
		if got.Next != "" {
			more = s.words.onThisPage
		}
		count := words.what
		if got.Throughout {
			count = words.whatThroughout
		}
		s.line("%s", count.of(len(got.Results), got.Subject, more))
		s.about(got.spanned)
		if got.Next != "" {
			s.next(a.global.again("what", append(args, p.on(got.Next, slices.Concat(d.args(), m.args(), x.args()), "--type", kind)...)...))
		} else {
			s.next(a.global.again("history", args[0]))
		}
		return got.rest()
	})
}

func newDiffCommand(a *app) *cobra.Command {
	var (
		m         moments
		d         span
		x         whatIf
		corrected bool
	)
	cmd := &cobra.Command{
		Use:     "diff [ACCOUNT]",
		Short:   "What changed between two moments, and by which event?",
		GroupID: groupQuestions,
		Long: `diff says what was gained and what was lost between two moments: what the account could do and what others could do to
it, each with the event that did it. Without an account it is about the whole organisation; there, what reaches all of a type
stands as type:*.

With --corrected it is about one moment (--at): what the ledger would have answered then, against what it knows now. What is
lost was allowed because the ledger learned late; what is gained was refused because it did.

The exit code is 0 where nothing differs, and 1 where something does.`,
		Example: `  permledger diff client:c1 --from 2026-03-01 --until 2026-04-01
  permledger diff --from -7d
  permledger diff client:c1 --at 2026-03-01 --corrected`,
		Args:              arguments(0, "[ACCOUNT]"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			about := ""
			if len(args) > 0 {
				about = args[0]
				if _, err := domain.ParseAccount(about); err != nil {
					return err
				}
				q.Set("about", about)
			}
			switch {
			case corrected && d.asked():
				return domain.Errorf(domain.Malformed, "bad_flag", "--corrected is about one moment: give --at instead of --from and --until")
			case corrected && m.at == "":
				return domain.Errorf(domain.Malformed, "bad_flag", "--at is missing: --corrected is about one moment, e.g. --at 2026-03-01")
			case corrected:
				q.Set("corrected", "true")
				if err := m.set(q, &a.global.zone); err != nil {
					return err
				}
			default:
				if err := d.set(q, &m, &a.global.zone); err != nil {
					return err
				}
			}
			if err := x.read(); err != nil {
				return err
			}
			a.global.lang.set(q)
			if a.global.json {
				return a.passDiff(cmd.Context(), q, x.document)
			}
			return a.questionUnder(cmd.Context(), "diff", q, x.document, a.showDiff)
		},
	}
	m.register(cmd)
	x.register(cmd)
	cmd.Flags().StringVar(&d.from, "from", "", "between this moment, as known then")
	cmd.Flags().StringVar(&d.until, "until", "", "and this one, as known then (default now)")
	cmd.Flags().BoolVar(&corrected, "corrected", false, "of one moment (--at): as known then against as known since")
	for _, name := range []string{"from", "until"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// passDiff prints the answer to diff as it comes, because that of a whole organisation may be larger than memory. Where it
// is cut, what was printed is no JSON and the exit code says so.
func (a *app) passDiff(ctx context.Context, q url.Values, document []byte) error {
	return a.withClient(ctx, func(c *client) error {
		method, media := http.MethodGet, ""
		if document != nil {
			method, media = http.MethodPost, "application/yaml"
		}
		body, err := c.open(ctx, method, c.path("diff", q), media, document)
		if err != nil {
			return err
		}
		defer body.Close()
		passed := &passing{w: a.out}
		differs, err := anyDifference(io.TeeReader(body, passed))
		switch {
		case passed.err != nil:
			return fmt.Errorf("writing the answer: %w", passed.err)
		case err != nil:
			return c.cut(ctx, passed.n, err)
		case differs:
			return errNo
		}
		return nil
	})
}

// anyDifference reads an answer to diff to its end, and tells whether it names any difference.
func anyDifference(r io.Reader) (differs bool, err error) {
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return false, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false, err
		}
		if name != "gained" && name != "lost" {
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				return false, err
			}
			continue
		}
		if _, err := d.Token(); err != nil {
			return false, err
		}
		for d.More() {
			var difference json.RawMessage
			if err := d.Decode(&difference); err != nil {
				return false, err
			}
			differs = true
		}
		if _, err := d.Token(); err != nil {
			return false, err
		}
	}
	if _, err := d.Token(); err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, r)
	return differs, err
}

// passing counts what is written, and remembers what went wrong.
type passing struct {
	w   io.Writer
	n   int64
	err error
}

func (c *passing) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
	return n, err
}

// showDiff shows people what differs; its error is errNo where something does.
func (a *app) showDiff(s *screen, body []byte) error {
	type difference struct {
		Subject  string   `json:"subject"`
		Action   string   `json:"action"`
		Resource string   `json:"resource"`
		Except   []string `json:"except"`
		By       *basis   `json:"by"`
	}
	var d struct {
		whole
		About     string       `json:"about"`
		From      string       `json:"from"`
		Until     string       `json:"until"`
		Corrected bool         `json:"corrected"`
		Known     [2]uint64    `json:"known_at_seqs"`
		Gained    []difference `json:"gained"`
		Lost      []difference `json:"lost"`
		Catalogue *decidedBy   `json:"catalogue"`
	}
	if err := read(body, &d); err != nil {
		return err
	}
	if err := d.rest(); err != nil {
		return err
	}
	words := s.words.during
	var rows [][]string
	add := func(mark string, colour text.Color, all []difference) { // what differs in the action alone is one row
		for _, x := range all {
			by := ""
			if x.By != nil {
				by = s.by(x.Subject, []basis{*x.By})
			}
			resource := x.Resource
			if len(x.Except) > 0 {
				resource += " " + fmt.Sprintf(s.words.except, strings.Join(x.Except, ", "))
			}
			row := []string{text.Colors{colour}.Sprint(mark), x.Subject, x.Action, resource, by}
			if n := len(rows); n > 0 && slices.Equal(rows[n-1][:2], row[:2]) && slices.Equal(rows[n-1][3:], row[3:]) {
				rows[n-1][2] += ", " + x.Action
				continue
			}
			rows = append(rows, row)
		}
	}
	add(words.gained, text.FgGreen, d.Gained)
	add(words.lost, text.FgRed, d.Lost)
	s.list(rows, []string{s.words.changeHeader, s.words.whoseHeader, s.words.actionsHeader, s.words.resource, s.words.by}, 2, 4)
	s.line("%s", fmt.Sprintf(words.counts, len(d.Gained), len(d.Lost)))
	s.catalogue(d.Catalogue, "")
	if d.Corrected {
		s.dim(words.correctedDiff, s.moment(d.From), d.Known[0], d.Known[1])
	} else {
		s.dim(words.diff, s.moment(d.From), d.Known[0], s.moment(d.Until), d.Known[1])
	}
	if len(d.Gained)+len(d.Lost) > 0 {
		return errNo
	}
	return nil
}

// duringWords are the words of answers about the time between two moments.
type duringWords struct {
	fromHeader, untilHeader string
	who, whoThroughout      counted // the action, the resource and onThisPage
	what, whatThroughout    counted // the subject and onThisPage
	span                    string  // two moments
	enforced, corrected     string  // a seq
	gained, lost            string
	counts                  string // how many gained, how many lost
	diff                    string // a moment and its seq, twice
	correctedDiff           string // a moment, the seq known then, and the one known since
}

var englishDuring = duringWords{
	fromHeader: "FROM", untilHeader: "UNTIL",
	who:            counted{"No accounts could %s %s%s.", "1 account could %s %s%s.", "%d accounts could %s %s%s."},
	whoThroughout:  counted{"No accounts could %s %s all the time%s.", "1 account could %s %s all the time%s.", "%d accounts could %s %s all the time%s."},
	what:           counted{"No resources were within reach of %s%s.", "1 resource was within reach of %s%s.", "%d resources were within reach of %s%s."},
	whatThroughout: counted{"No resources were within reach of %s all the time%s.", "1 resource was within reach of %s all the time%s.", "%d resources were within reach of %s all the time%s."},
	span:           "From %s until %s,",
	enforced:       "each moment as known then, up to seq %d. This is who could, not who did.",
	corrected:      "each moment as known at seq %d. This is who could, not who did.",
	gained:         "+ gained", lost: "- lost",
	counts:        "Gained: %d. Lost: %d.",
	diff:          "From %s, known at seq %d, to %s, known at seq %d. This is who could, not who did.",
	correctedDiff: "At %s, as known then (seq %d) against as known since (seq %d). This is who could, not who did.",
}

var dutchDuring = duringWords{
	fromHeader: "VAN", untilHeader: "TOT",
	who:            counted{"Geen enkel account kon %s bij %s%s.", "1 account kon %s bij %s%s.", "%d accounts konden %s bij %s%s."},
	whoThroughout:  counted{"Geen enkel account kon de hele tijd %s bij %s%s.", "1 account kon de hele tijd %s bij %s%s.", "%d accounts konden de hele tijd %s bij %s%s."},
	what:           counted{"Geen enkel object was binnen bereik van %s%s.", "1 object was binnen bereik van %s%s.", "%d objecten waren binnen bereik van %s%s."},
	whatThroughout: counted{"Geen enkel object was de hele tijd binnen bereik van %s%s.", "1 object was de hele tijd binnen bereik van %s%s.", "%d objecten waren de hele tijd binnen bereik van %s%s."},
	span:           "Van %s tot %s,",
	enforced:       "elk moment zoals toen bekend, tot en met seq %d. Dit zegt wie het kon, niet wie het deed.",
	corrected:      "elk moment zoals bekend tot en met seq %d. Dit zegt wie het kon, niet wie het deed.",
	gained:         "+ erbij", lost: "- eraf",
	counts:        "Erbij: %d. Eraf: %d.",
	diff:          "Van %s, bekend tot en met seq %d, naar %s, bekend tot en met seq %d. Dit zegt wie het kon, niet wie het deed.",
	correctedDiff: "Op %s, zoals toen bekend (seq %d) tegenover zoals sindsdien bekend (seq %d). Dit zegt wie het kon, niet wie het deed.",
}
