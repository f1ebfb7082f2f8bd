package main

// what: everything that an account could do, by resource, and by what.

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func newWhatCommand(a *app) *cobra.Command {
	var (
		m   moments
		p   paging
		d   span
		x   whatIf
		typ string
	)
	cmd := &cobra.Command{
		Use:     "what SUBJECT [ACTION]",
		Short:   "What may SUBJECT do?",
		GroupID: groupQuestions,
		Long: `what lists every resource that an account may do anything to (or ACTION alone), with what it may do and by what.
A type whose resources are not listed one by one stands as type:*. Where any of it could end by itself, it says until when
everything in the row holds. With --catalogue it answers what would be so under another role catalogue.`,
		Example: `  permledger what professional:anna
  permledger what professional:anna view_record --type client
  permledger what person:u000305c4c1 --at 2024-01-01 --json`,
		Args:              arguments(1, "SUBJECT", "[ACTION]"),
		ValidArgsFunction: a.completeWhat,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := domain.ParseAccount(args[0]); err != nil {
				return err
			}
			q := url.Values{"subject": {args[0]}}
			if len(args) == 2 {
				if _, err := domain.ParseAction(args[1]); err != nil {
					return err
				}
				q.Set("action", args[1])
			}
			if typ != "" {
				if _, err := domain.ParseName("type", typ); err != nil {
					return err
				}
				q.Set("type", typ)
			}
			p.set(q)
			a.global.lang.set(q)
			if err := x.read(); err != nil {
				return err
			}
			if d.asked() {
				return a.whatDuring(cmd.Context(), args, q, &d, &m, &p, &x, typ)
			}
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			return a.questionUnder(cmd.Context(), "what", q, x.document, func(s *screen, body []byte) error {
				var d struct {
					whole
					Subject    string     `json:"subject"`
					AsOf       string     `json:"as_of"`
					KnownAtSeq uint64     `json:"known_at_seq"`
					Catalogue  *decidedBy `json:"catalogue"`
					Results    []struct {
						Resource   string   `json:"resource"`
						Actions    []string `json:"actions"`
						ValidUntil *string  `json:"valid_until"`
						Basis      []basis  `json:"basis"`
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
					rows[i] = []string{r.Resource, strings.Join(r.Actions, ", "), s.by(d.Subject, r.Basis)}
					until[i] = r.ValidUntil
				}
				s.results([]string{s.words.resource, s.words.mayDo, s.words.by}, rows, until, 1)
				more := ""
				if d.Next != "" {
					more = s.words.onThisPage
				}
				s.line("%s", s.words.what.of(len(rows), d.Subject, more))
				s.catalogue(d.Catalogue, s.words.line)
				s.asOf(d.AsOf, d.KnownAtSeq)
				same := append(m.args(), x.args()...)
				switch {
				case d.Next != "":
					s.next(a.global.again("what", append(args, p.on(d.Next, same, "--type", typ)...)...))
				case len(d.Results) > 0 && !strings.HasSuffix(d.Results[0].Resource, ":*"):
					r := d.Results[0]
					s.next(a.global.again("explain", append([]string{args[0], r.Actions[0], r.Resource}, same...)...))
				default:
					s.next(a.global.again("history", args[0]))
				}
				return d.rest()
			})
		},
	}
	m.register(cmd)
	x.register(cmd)
	d.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&typ, "type", "", "only resources of this type")
	cmd.RegisterFlagCompletionFunc("type", a.completeTypes)
	return cmd
}
