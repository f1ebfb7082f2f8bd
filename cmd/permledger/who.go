package main

// who: everyone who could do an action to a resource, and by what.

import (
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// paging is the flags of an answer that may be taken in parts. Without --limit it comes whole.
type paging struct {
	limit number
	page  string
}

func (p *paging) register(cmd *cobra.Command) {
	cmd.Flags().Var(&p.limit, "limit", "results at most; the answer says how to go on (default all)")
	cmd.Flags().StringVar(&p.page, "page", "", "go on where the page before ended: what it gave as next")
	cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("page", cobra.NoFileCompletions)
}

func (p *paging) set(q url.Values) {
	setNumber(q, "limit", p.limit)
	if p.page != "" {
		q.Set("page", p.page)
	}
}

// whole is what the end of a list says of itself.
type whole struct {
	Complete *bool  `json:"complete"`
	Next     string `json:"next"`
}

// rest is Incomplete where an answer ends without being whole and without a way to go on.
func (w *whole) rest() error {
	if w.Complete != nil && !*w.Complete && w.Next == "" {
		return domain.Errorf(domain.Incomplete, "incomplete", "the answer is incomplete: what was recorded is not all projected yet; ask again")
	}
	return nil
}

func newWhoCommand(a *app) *cobra.Command {
	var (
		m    moments
		p    paging
		d    span
		x    whatIf
		kind string
	)
	cmd := &cobra.Command{
		Use:     "who ACTION RESOURCE",
		Short:   "Who may do ACTION to RESOURCE?",
		GroupID: groupQuestions,
		Long: `who lists every account that may do an action to a resource, each with what makes it so and, where any of it could end
by itself, until when. With --catalogue it answers what would be so under another role catalogue.`,
		Example: `  permledger who view_record client:c1
  permledger who view_record client:c1 --at 2026-03-01 --kind professional
  permledger who administer repository:kubernetes --at 2024-01-01T00:00:00Z --json`,
		Args:              arguments(2, "ACTION", "RESOURCE"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := domain.ParseAction(args[0]); err != nil {
				return err
			}
			if err := checkResource(args[1]); err != nil {
				return err
			}
			q := url.Values{"action": {args[0]}, "resource": {args[1]}}
			if kind != "" {
				if _, err := domain.ParseName("kind", kind); err != nil {
					return err
				}
				q.Set("kind", kind)
			}
			p.set(q)
			a.global.lang.set(q)
			if err := x.read(); err != nil {
				return err
			}
			if d.asked() {
				return a.whoDuring(cmd.Context(), args, q, &d, &m, &p, &x, kind)
			}
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			return a.questionUnder(cmd.Context(), "who", q, x.document, func(s *screen, body []byte) error {
				var d struct {
					whole
					Action     string     `json:"action"`
					Resource   string     `json:"resource"`
					AsOf       string     `json:"as_of"`
					KnownAtSeq uint64     `json:"known_at_seq"`
					Catalogue  *decidedBy `json:"catalogue"`
					Results    []struct {
						Subject    string  `json:"subject"`
						ValidUntil *string `json:"valid_until"`
						Basis      []basis `json:"basis"`
					} `json:"results"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				if a.global.json {
					return d.rest()
				}
				rows, until := make([][]string, len(d.Results)), make([]*string, len(d.Results))
				for i, r := range d.Results {
					rows[i] = []string{r.Subject, s.by(r.Subject, r.Basis)}
					until[i] = r.ValidUntil
				}
				s.results([]string{s.words.account, s.words.by}, rows, until)
				more := ""
				if d.Next != "" {
					more = s.words.onThisPage
				}
				s.line("%s", s.words.who.of(len(rows), d.Action, d.Resource, more))
				s.catalogue(d.Catalogue, s.words.line)
				s.asOf(d.AsOf, d.KnownAtSeq)
				same := append(m.args(), x.args()...)
				switch {
				case d.Next != "":
					s.next(a.global.again("who", append(args, p.on(d.Next, same, "--kind", kind)...)...))
				case len(d.Results) > 0:
					s.next(a.global.again("explain", append([]string{d.Results[0].Subject, args[0], args[1]}, same...)...))
				default:
					s.next(a.global.again("history", args[1]))
				}
				return d.rest()
			})
		},
	}
	m.register(cmd)
	x.register(cmd)
	d.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&kind, "kind", "", "only accounts of this kind")
	cmd.RegisterFlagCompletionFunc("kind", a.completeKinds)
	return cmd
}

// on gives the flags that ask for the next page; flag is one more, left out where its value is empty.
func (p *paging) on(next string, moments []string, flag, value string) []string {
	args := append([]string{"--page", next}, moments...)
	if p.limit != 0 {
		args = append(args, "--limit", p.limit.String())
	}
	if value != "" {
		args = append(args, flag, value)
	}
	return args
}

// results prints what who or what has found, an empty line under it. When each could end by itself stands before the last
// column, where any could. That column gives way on a narrow terminal, and the flexible ones.
func (s *screen) results(headers []string, rows [][]string, until []*string, flexible ...int) {
	if slices.ContainsFunc(until, func(u *string) bool { return u != nil }) {
		last := len(headers) - 1
		headers = slices.Insert(headers, last, s.words.lookup.until)
		for i := range rows {
			rows[i] = slices.Insert(rows[i], last, s.end(until[i]))
		}
	}
	s.list(rows, headers, append(flexible, len(headers)-1)...)
}

// list prints a table and an empty line under it, or nothing where there are no rows.
func (s *screen) list(rows [][]string, headers []string, flexible ...int) {
	if len(rows) == 0 {
		return
	}
	s.table(headers, rows, flexible...)
	s.line("")
}
