package main

// history: all that was recorded about an account, in order.

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func newHistoryCommand(a *app) *cobra.Command {
	var (
		m            moments
		after, limit number
	)
	cmd := &cobra.Command{
		Use:     "history ACCOUNT",
		Short:   "What was recorded about ACCOUNT?",
		GroupID: groupQuestions,
		Long: `history lists every event that is about an account, oldest first: when it was recorded, by whom and for what reason.
With --at or --known-at: what had been recorded by then.`,
		Example: `  permledger history client:c1
  permledger history professional:anna --at 2026-03-01
  permledger history professional:anna --after 120 --limit 50 --json`,
		Args:              arguments(1, "ACCOUNT"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := domain.ParseAccount(args[0]); err != nil {
				return err
			}
			q := url.Values{"about": {args[0]}}
			setNumber(q, "after", after)
			setNumber(q, "limit", limit)
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			return a.question(cmd.Context(), "history", q, func(s *screen, body []byte) error {
				if a.global.json {
					return nil
				}
				var d struct {
					About      string  `json:"about"`
					AsOf       string  `json:"as_of"`
					KnownAtSeq uint64  `json:"known_at_seq"`
					Events     []event `json:"events"`
					Next       *uint64 `json:"next"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				if len(d.Events) > 0 {
					s.events(d.Events)
					s.line("")
				}
				s.line("%s", s.words.history.of(len(d.Events), d.About))
				s.asOf(d.AsOf, d.KnownAtSeq)
				if d.Next != nil && *d.Next != 0 {
					on := append([]string{args[0], "--after", fmt.Sprint(*d.Next)}, m.args()...)
					if limit != 0 {
						on = append(on, "--limit", limit.String())
					}
					s.next(a.global.again("history", on...))
				} else {
					s.next(a.global.again("what", append([]string{args[0]}, m.args()...)...))
				}
				return nil
			})
		},
	}
	m.register(cmd)
	cmd.Flags().Var(&after, "after", "only events after this seq")
	cmd.Flags().Var(&limit, "limit", "events at most; the answer says how to go on (default all)")
	cmd.RegisterFlagCompletionFunc("after", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	return cmd
}
