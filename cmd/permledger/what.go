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
		typ string
	)
	cmd := &cobra.Command{
		Use:     "what SUBJECT [ACTION]",
		Short:   "What may SUBJECT do?",
		GroupID: groupQuestions,
		Long: `what lists every resource that an account may do anything to (or ACTION alone), with what it may do and by what.
A type whose resources are not listed one by one stands as type:*.`,
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
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			p.set(q)
			a.global.lang.set(q)
			return a.question(cmd.Context(), "what", q, func(s *screen, body []byte) error {
				var d struct {
					whole
					Subject    string `json:"subject"`
					AsOf       string `json:"as_of"`
					KnownAtSeq uint64 `json:"known_at_seq"`
					Results    []struct {
						Resource string   `json:"resource"`
						Actions  []string `json:"actions"`
						Basis    []basis  `json:"basis"`
					} `json:"results"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				if a.global.json {
					return d.rest()
				}
				rows := make([][]string, len(d.Results))
				for i, r := range d.Results {
					rows[i] = []string{r.Resource, strings.Join(r.Actions, ", "), s.by(d.Subject, r.Basis)}
				}
				s.list(rows, []string{s.words.resource, s.words.mayDo, s.words.by}, 1, 2)
				more := ""
				if d.Next != "" {
					more = s.words.onThisPage
				}
				s.line("%s", s.words.what.of(len(rows), d.Subject, more))
				s.asOf(d.AsOf, d.KnownAtSeq)
				switch {
				case d.Next != "":
					s.next(a.global.again("what", append(args, p.on(d.Next, m.args(), "--type", typ)...)...))
				case len(d.Results) > 0 && !strings.HasSuffix(d.Results[0].Resource, ":*"):
					r := d.Results[0]
					s.next(a.global.again("explain", append([]string{args[0], r.Actions[0], r.Resource}, m.args()...)...))
				default:
					s.next(a.global.again("history", args[0]))
				}
				return d.rest()
			})
		},
	}
	m.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&typ, "type", "", "only resources of this type")
	cmd.RegisterFlagCompletionFunc("type", a.completeTypes)
	return cmd
}
