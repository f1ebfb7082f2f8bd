package main

// holders: who holds a role. The search of colleagues by what they are.

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func newHoldersCommand(a *app) *cobra.Command {
	var (
		m    moments
		p    paging
		kind string
	)
	cmd := &cobra.Command{
		Use:     "holders ROLE",
		Short:   "Who holds ROLE?",
		GroupID: groupQuestions,
		Long: `holders lists every account that holds a role, since when and by what. An account that is not open or is locked holds its
roles still, though they give it nothing: the notes say so.`,
		Example: `  permledger holders therapist
  permledger holders therapist --at 2026-03-01
  permledger holders application_manager --kind professional --json`,
		Args:              arguments(1, "ROLE"),
		ValidArgsFunction: a.completeRoles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := domain.ParseName("role", args[0]); err != nil {
				return err
			}
			q := url.Values{"role": {args[0]}}
			if kind != "" {
				if _, err := domain.ParseName("kind", kind); err != nil {
					return err
				}
				q.Set("kind", kind)
			}
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			p.set(q)
			a.global.lang.set(q)
			return a.question(cmd.Context(), "holders", q, func(s *screen, body []byte) error {
				var d struct {
					whole
					Role       string `json:"role"`
					AsOf       string `json:"as_of"`
					KnownAtSeq uint64 `json:"known_at_seq"`
					Results    []struct {
						Subject string  `json:"subject"`
						From    string  `json:"from"`
						Until   *string `json:"until"`
						Active  bool    `json:"active"`
						Locked  bool    `json:"locked"`
						Basis   []basis `json:"basis"`
					} `json:"results"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				if a.global.json {
					return d.rest()
				}
				w := s.words.lookup
				rows := make([][]string, len(d.Results))
				for i, r := range d.Results {
					rows[i] = []string{r.Subject, s.time(r.From), s.end(r.Until), strings.Join(s.notes(r.Active, r.Locked), ", "), s.recorded(r.Basis)}
				}
				s.list(rows, []string{s.words.account, w.since, w.until, w.notes, s.words.by}, 4)
				more := ""
				if d.Next != "" {
					more = s.words.onThisPage
				}
				s.line("%s", w.holders.of(len(rows), d.Role, more))
				s.asOf(d.AsOf, d.KnownAtSeq)
				switch {
				case d.Next != "":
					s.next(a.global.again("holders", append(args, p.on(d.Next, m.args(), "--kind", kind)...)...))
				case len(d.Results) > 0:
					s.next(a.global.again("roles", append([]string{d.Results[0].Subject}, m.args()...)...))
				default:
					s.next(a.global.again("catalogue", append([]string{"show"}, m.args()...)...))
				}
				return d.rest()
			})
		},
	}
	m.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&kind, "kind", "", "only accounts of this kind")
	cmd.RegisterFlagCompletionFunc("kind", a.completeKinds)
	return cmd
}
