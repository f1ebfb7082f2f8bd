package main

// catalogue adopt: another role catalogue comes into force. What everybody would gain and lose by it is shown first.

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

func newCatalogueAdoptCommand(a *app) *cobra.Command {
	var (
		actor, reason, id string
		dry               dryRun
	)
	cmd := &cobra.Command{
		Use:   "adopt --actor ACCOUNT NAME-or-FILE",
		Short: "Put a role catalogue in force, after showing who gains and loses what",
		Long: `adopt puts a role catalogue in force from now on: a shipped one by its name, or one in a file. It shows first who
gains and who loses what by it; with --dry-run that is all. The adoption is an event like any other: answers about moments
before it stay what they were. With --json it prints what was recorded, or with --dry-run the preview.`,
		Example: `  permledger catalogue adopt ./roles.yaml --actor professional:root --dry-run
  permledger catalogue adopt ./roles.yaml --actor professional:root --reason "teams come in"`,
		Args:              arguments(1, "NAME-or-FILE"),
		ValidArgsFunction: completeOneCatalogue,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := dry.check(); err != nil {
				return err
			}
			if actor == "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "catalogue adopt: --actor is missing; say who does it, e.g. --actor professional:root")
			}
			if _, err := domain.ParseAccount(actor); err != nil {
				return err
			}
			document, err := validCatalogue(args[0])
			if err != nil {
				return err
			}
			data, err := json.Marshal(map[string]string{"document": string(document)})
			if err != nil {
				return err
			}
			body, err := json.Marshal(command{"catalogue.adopt", actor, data, reason, id, "cli"})
			if err != nil {
				return err
			}
			if _, err := domain.DecodeCommand(body); err != nil { // the reason and id
				return err
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				if dry.run {
					return a.preview(cmd.Context(), c, body, dry)
				}
				if !a.global.json {
					if err := a.beforehand(cmd.Context(), c, body); err != nil {
						return err
					}
				}
				got, err := c.post(cmd.Context(), "commands", nil, body)
				if err != nil {
					return err
				}
				return a.print(got, a.showRecorded)
			})
		},
	}
	dry.register(cmd)
	cmd.Flags().StringVar(&actor, "actor", "", "the account that does it")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept encrypted")
	cmd.Flags().StringVar(&id, "id", "", "your own key for this command: sent again, it is recorded once")
	for _, name := range []string{"actor", "reason", "id"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// beforehand shows what the command in body is about to do.
func (a *app) beforehand(ctx context.Context, c *client, body []byte) error {
	q := url.Values{"dry_run": {"true"}}
	a.global.lang.set(q)
	got, err := c.post(ctx, "commands", q, body)
	if err != nil {
		return err
	}
	return a.print(got, func(s *screen, body []byte) error {
		d, err := readPreview(body)
		if err == nil {
			s.preview(d, s.words.comesTo)
		}
		return err
	})
}
