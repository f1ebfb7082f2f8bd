package main

// roles: the roles that somebody holds, one's own or a colleague's.

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func newRolesCommand(a *app) *cobra.Command {
	var m moments
	cmd := &cobra.Command{
		Use:     "roles ACCOUNT",
		Short:   "Which roles does ACCOUNT hold?",
		GroupID: groupQuestions,
		Long: `roles lists the roles that an account holds, since when and by what, and those it was given already for later. An account
that is not open or is locked holds its roles still, though they give it nothing.`,
		Example: `  permledger roles professional:anna
  permledger roles professional:anna --at 2026-03-01 --lang nl`,
		Args:              arguments(1, "ACCOUNT"),
		ValidArgsFunction: a.completeAccount,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := domain.ParseAccount(args[0]); err != nil {
				return err
			}
			q := url.Values{"account": {args[0]}}
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			a.global.lang.set(q)
			return a.question(cmd.Context(), "roles", q, func(s *screen, body []byte) error {
				if a.global.json {
					return nil
				}
				var d struct {
					Account    string `json:"account"`
					AsOf       string `json:"as_of"`
					KnownAtSeq uint64 `json:"known_at_seq"`
					Active     bool   `json:"active"`
					Locked     bool   `json:"locked"`
					Roles      []struct {
						Role  string  `json:"role"`
						Title string  `json:"title"`
						State string  `json:"state"`
						From  string  `json:"from"`
						Until *string `json:"until"`
						Basis []basis `json:"basis"`
					} `json:"roles"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				w, held := s.words.lookup, 0
				rows := make([][]string, len(d.Roles))
				for i, r := range d.Roles {
					note := ""
					if r.State == "scheduled" {
						note = w.scheduled
					} else {
						held++
					}
					rows[i] = []string{r.Role, r.Title, s.time(r.From), s.end(r.Until), note, s.recorded(r.Basis)}
				}
				s.list(rows, []string{w.role, w.title, w.since, w.until, w.notes, s.words.by}, 1, 5)
				s.line("%s", w.roles.of(held, d.Account))
				if notes := s.notes(d.Active, d.Locked); len(notes) > 0 {
					s.line(w.idle, d.Account, strings.Join(notes, ", "))
				}
				s.asOf(d.AsOf, d.KnownAtSeq)
				s.next(a.global.again("what", append([]string{args[0]}, m.args()...)...))
				return nil
			})
		},
	}
	m.register(cmd)
	return cmd
}
