package main

// catalogue list, show and check: the role catalogues that are shipped, those in files, and the one in force. Only show
// without an argument asks a ledger; nothing here changes one. How one looks is in catalogue_show.go.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

func newCatalogueCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "catalogue",
		Short:   "List, show and check role catalogues",
		GroupID: groupLedger,
		Long:    `A role catalogue says which kinds of account, roles and relations there are and who may do what by them.`,
		Example: `  permledger catalogue list
  permledger catalogue show minddistrict
  permledger catalogue check ./roles.yaml`,
	}
	parent(cmd)
	cmd.AddCommand(newCatalogueListCommand(a), newCatalogueShowCommand(a), newCatalogueCheckCommand(a), newCatalogueAdoptCommand(a))
	return cmd
}

func newCatalogueListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "The role catalogues that are shipped",
		Example:           `  permledger catalogue list`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			type entry struct {
				Name   string `json:"name"`
				Title  string `json:"title"`
				About  string `json:"about"`
				Roles  int    `json:"roles"`
				Digest string `json:"digest"`
			}
			var list []entry
			for _, name := range catalogues.Names() {
				document, err := catalogues.Document(name)
				if err != nil {
					return err
				}
				c, err := domain.ParseCatalogue(document)
				if err != nil {
					return err
				}
				lang := string(a.global.lang.lang())
				list = append(list, entry{name, c.Title.In(lang), c.About.In(lang), len(c.Roles), domain.Digest(document)})
			}
			body, err := json.Marshal(map[string]any{"catalogues": list})
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if a.global.json {
					return nil
				}
				rows := make([][]string, len(list))
				for i, e := range list {
					rows[i] = []string{e.Name, e.Title, fmt.Sprint(e.Roles), e.About}
				}
				s.table([]string{"NAME", "TITLE", "ROLES", "ABOUT"}, rows, 3)
				s.line("")
				s.next("permledger catalogue show " + list[0].Name)
				return nil
			})
		},
	}
}

func newCatalogueShowCommand(a *app) *cobra.Command {
	var (
		at       string
		markdown bool
	)
	cmd := &cobra.Command{
		Use:   "show [NAME-or-FILE]",
		Short: "What a role catalogue says, as tables",
		Long: `show gives an overview of a role catalogue: its kinds, roles, relations and grants, and for each type who may do
what. Without an argument it shows the one in force in the ledger of --data or --server.

For each type there is a matrix: an action a row, a role (or a kind of account, where no role is asked for) a column, and
in the cells whom or what it reaches. Where that is too wide, each action has the roles beside it.`,
		Example: `  permledger catalogue show minddistrict
  permledger catalogue show minddistrict --markdown > roles.md
  permledger catalogue show ./roles.yaml --json
  permledger catalogue show --data ./ledger --at 2026-03-01`,
		Args:              arguments(0, "[NAME-or-FILE]"),
		ValidArgsFunction: completeOneCatalogue,
		RunE: func(cmd *cobra.Command, args []string) error {
			if markdown && a.global.json {
				return domain.Errorf(domain.Malformed, "bad_flag", "--markdown and --json are two forms; give one of them")
			}
			if len(args) == 0 {
				q := url.Values{}
				if at != "" {
					moment, err := a.global.zone.moment("--at", at)
					if err != nil {
						return err
					}
					q.Set("at", moment.String())
				}
				return a.question(cmd.Context(), "catalogue", q, a.showCatalogue(markdown))
			}
			if at != "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "--at asks for the catalogue in force then: give it without NAME-or-FILE")
			}
			document, err := validCatalogue(args[0])
			if err != nil {
				return err
			}
			c, err := domain.ParseCatalogue(document)
			if err != nil {
				return err
			}
			body, err := json.Marshal(struct {
				Name     string `json:"name"`
				Digest   string `json:"digest"`
				Document string `json:"document"`
				domain.CatalogueParts
			}{c.Name, domain.Digest(document), string(document), c.Parts()})
			if err != nil {
				return err
			}
			return a.print(body, a.showCatalogue(markdown))
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print it as GitHub Markdown")
	cmd.Flags().StringVar(&at, "at", "", "the one in force at this moment (default now)")
	cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return cmd
}

func newCatalogueCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check NAME-or-FILE",
		Short: "Find the mistakes in a role catalogue",
		Long: `check reads a role catalogue and prints every mistake with its line, on stderr, and exits with 1 where there are any.
Of what is allowed but surely not meant it warns, on stdout: of roles, relations and grants that make no difference, permits
that can never hold, actions that nobody may do and something needs, and texts missing in one of the languages.`,
		Example:           `  permledger catalogue check ./roles.yaml`,
		Args:              arguments(1, "NAME-or-FILE"),
		ValidArgsFunction: completeOneCatalogue,
		RunE: func(_ *cobra.Command, args []string) error {
			document, err := catalogueDocument(args[0])
			if err != nil {
				return err
			}
			mistakes, warnings := []string{}, []string{}
			c, err := domain.ParseCatalogue(document)
			if err != nil {
				mistakes = strings.Split(err.Error(), "\n")
			} else {
				warnings = append(warnings, c.Warnings()...)
			}
			body, err := json.Marshal(map[string]any{"digest": domain.Digest(document), "mistakes": mistakes, "warnings": warnings})
			if err != nil {
				return err
			}
			err = a.print(body, func(s *screen, _ []byte) error {
				if a.global.json || len(mistakes) > 0 {
					return nil
				}
				for _, w := range warnings {
					s.line("warning: %s", w)
				}
				s.line("%s is a sound role catalogue: %s, %s, %s.", c.Name, plural(len(c.Roles), "role", "roles"),
					plural(len(c.Permits), "permit", "permits"), plural(len(warnings), "warning", "warnings"))
				s.next("permledger catalogue show " + quoted(args[0]))
				return nil
			})
			if err != nil || len(mistakes) == 0 {
				return err
			}
			for _, m := range mistakes {
				fmt.Fprintln(a.err, "permledger: "+printable(m))
			}
			return errNo
		},
	}
}

func completeOneCatalogue(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeCatalogues(cmd, args, typed)
}
