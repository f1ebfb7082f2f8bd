package main

// unlock: the operator's way in where every founder of a ledger is locked out. Whether it may be done is decided where all
// that is recorded is; it works on a data directory alone, because who has that can do anything to it anyway.

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newUnlockCommand(a *app) *cobra.Command {
	var operator, reason string
	cmd := &cobra.Command{
		Use:     "unlock ACCOUNT --data DIR --operator NAME --reason WHY",
		Short:   "Unlock a founder where every founder is locked out",
		GroupID: groupLedger,
		Long: `unlock ends the lockout of a founder on the operator's word. It is for a ledger in which every founder is locked out, so that
nobody is left who may unlock, and refused for any other. The service has to be stopped. It is recorded for all to see as
done by operator:NAME, with the reason.`,
		Example:           `  permledger unlock professional:root --data ./ledger --operator jan --reason "asked for by the director, called back on her known number"`,
		Args:              arguments(1, "ACCOUNT"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := a.global.needData("unlock"); err != nil {
				return err
			}
			account, err := domain.ParseAccount(args[0])
			if err != nil {
				return err
			}
			var org domain.Org
			if a.global.org != "" {
				if org, err = domain.ParseOrg(a.global.org); err != nil {
					return err
				}
			}
			s, err := ledger.Open(cmd.Context(), ledger.Options{Data: a.global.data, Logger: a.quietLogger(), Asking: true, Fatal: a.fatal})
			if err != nil {
				return err
			}
			defer func() {
				if e := s.Close(); err == nil {
					err = e
				}
			}()
			l, err := s.Ledger(cmd.Context(), org)
			if err != nil {
				return err
			}
			r, err := l.Unlock(cmd.Context(), account, operator, reason)
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"events": r.Events, "seq": r.Seq})
			if err != nil {
				return err
			}
			return a.print(body, a.showRecorded)
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "your name, as the ledger is to keep it")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept encrypted, for the person it is about")
	for _, name := range []string{"operator", "reason"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}
