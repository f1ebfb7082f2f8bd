package main

// ready: whether a service answers, for scripts and health checks. What ready means is the service's to say (/readyz).

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newReadyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "ready",
		Short:   "Whether a service is ready to answer",
		GroupID: groupLedger,
		Long: `ready asks a service whether every ledger has caught up with its log and takes commands. It says why not in one
sentence, with the exit code of what is in the way: 3 while it starts, 5 where it can't be reached or its log can't, 6
where a ledger is not what it was.`,
		Example: `  permledger ready
  until permledger ready; do sleep 1; done`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.global.data != "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "ready: asks a running service; name it with --server instead of --data")
			}
			c, err := a.client(cmd.Context(), ledger.Options{})
			if err != nil {
				return err
			}
			defer c.close()
			body, err := c.ask(cmd.Context(), http.MethodGet, "/readyz", nil)
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if !a.global.json {
					s.line("Ready.")
				}
				return nil
			})
		},
	}
}
