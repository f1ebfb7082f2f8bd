package main

// catalogue list, show and check: the role catalogues that are shipped, those in files, and the one in force. Only show
// without an argument asks a ledger; nothing here changes one.

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

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
	cmd.AddCommand(newCatalogueListCommand(a), newCatalogueShowCommand(a), newCatalogueCheckCommand(a))
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
				list = append(list, entry{name, c.Title.In("en"), c.About.In("en"), len(c.Roles), domain.Digest(document)})
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
	var at string
	cmd := &cobra.Command{
		Use:   "show [NAME-or-FILE]",
		Short: "What a role catalogue says, as tables",
		Long: `show gives an overview of a role catalogue: its kinds, roles, relations and grants, and for each type who may do
what. Without an argument it shows the one in force in the ledger of --data or --server.`,
		Example: `  permledger catalogue show minddistrict
  permledger catalogue show ./roles.yaml
  permledger catalogue show --data ./ledger --at 2026-03-01`,
		Args:              arguments(0, "[NAME-or-FILE]"),
		ValidArgsFunction: completeOneCatalogue,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				q := url.Values{}
				if at != "" {
					moment, err := a.global.zone.moment("--at", at)
					if err != nil {
						return err
					}
					q.Set("at", moment.String())
				}
				return a.question(cmd.Context(), "catalogue", q, a.showCatalogue)
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
			body, err := json.Marshal(map[string]any{"name": c.Name, "digest": domain.Digest(document), "document": string(document)})
			if err != nil {
				return err
			}
			return a.print(body, a.showCatalogue)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the one in force at this moment (default now)")
	cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return cmd
}

func newCatalogueCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check NAME-or-FILE",
		Short: "Find the mistakes in a role catalogue",
		Long: `check reads a role catalogue and prints every mistake with its line, on stderr, and exits with 1 where there are any.
Of what is allowed but surely not meant it warns, on stdout.`,
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

// showCatalogue shows {"name","digest","document"} and, of the one in force, since when it is.
func (a *app) showCatalogue(s *screen, body []byte) error {
	if a.global.json {
		return nil
	}
	var d struct {
		Version   int    `json:"version"`
		Digest    string `json:"digest"`
		Seq       uint64 `json:"seq"`
		AdoptedAt string `json:"adopted_at"`
		Document  string `json:"document"`
	}
	if err := read(body, &d); err != nil {
		return err
	}
	c, err := domain.ParseCatalogue([]byte(d.Document))
	if err != nil {
		return err
	}
	s.line("%s", strings.TrimPrefix(c.Title.In("en")+" ("+c.Name+")", " "))
	if about := c.About.In("en"); about != "" {
		s.line("%s", about)
	}
	s.dim("%s", d.Digest)
	if d.Seq > 0 {
		s.dim("In force: version %d, adopted as seq %d at %s.", d.Version, d.Seq, s.time(d.AdoptedAt))
	}
	s.overview(c)
	for _, on := range c.Types() {
		s.matrix(c, on)
	}
	return nil
}

// overview lists what there is besides permits.
func (s *screen) overview(c *domain.Catalogue) {
	var rows [][]string
	for _, k := range slices.Sorted(maps.Keys(c.Kinds)) {
		rule, what := c.Kinds[k], "account"
		switch {
		case rule.Protected:
			what = "account, protected"
		case rule.Group:
			what = "account, group"
		}
		rows = append(rows, []string{string(k), what, rule.Title.In("en")})
	}
	for _, k := range slices.Sorted(maps.Keys(c.Resources)) {
		rule, what := c.Resources[k], "resource"
		if rule.Of != "" {
			what = "resource of " + string(rule.Of)
		}
		rows = append(rows, []string{string(k), what, rule.Title.In("en")})
	}
	s.section([]string{"TYPE", "WHAT", "TITLE"}, rows, 2)

	rows = nil
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		rule := c.Roles[name]
		var notes []string
		if slices.Contains(c.Founder, name) {
			notes = append(notes, "the founder's")
		}
		if rule.Group != "" {
			notes = append(notes, "one of "+rule.Group)
		}
		if len(rule.Needs) > 0 {
			notes = append(notes, "needs "+list(rule.Needs, " or "))
		}
		about := rule.About.In("en")
		if about == "" {
			about = rule.Title.In("en")
		}
		rows = append(rows, []string{string(name), list(rule.For, ", "), strings.Join(notes, "; "), about})
	}
	s.section([]string{"ROLE", "FOR", "NOTES", "ABOUT"}, rows, 2, 3)

	rows = nil
	for _, name := range slices.Sorted(maps.Keys(c.Relations)) {
		rule := c.Relations[name]
		var notes []string
		if len(rule.Roles) > 0 {
			notes = append(notes, "for role "+list(rule.Roles, " or "))
		}
		if rule.By != "" {
			notes = append(notes, "made by "+string(rule.By))
		}
		if rule.OnOpen {
			notes = append(notes, "given to who opens the account")
		}
		for _, role := range slices.Sorted(maps.Keys(rule.Most)) {
			notes = append(notes, fmt.Sprintf("%s has %d at most", role, rule.Most[role]))
		}
		rows = append(rows, []string{string(name), list(rule.From, ", ") + " to " + string(c.Protected), strings.Join(notes, "; ")})
	}
	s.section([]string{"RELATION", "LINKS", "NOTES"}, rows, 2)

	rows = nil
	for _, name := range slices.Sorted(maps.Keys(c.Grants)) {
		rule := c.Grants[name]
		var notes []string
		if len(rule.Roles) > 0 {
			notes = append(notes, "for role "+list(rule.Roles, " or "))
		}
		if rule.Longest > 0 {
			notes = append(notes, "for "+hours(rule.Longest)+" at most")
		}
		if rule.ReasonRequired {
			notes = append(notes, "with a reason")
		}
		if rule.ReviewWithin > 0 {
			notes = append(notes, "reviewed within "+hours(rule.ReviewWithin))
		}
		rows = append(rows, []string{string(name), strings.Join(notes, "; ")})
	}
	s.section([]string{"TEMPORARY ACCESS", "NOTES"}, rows, 1)
}

// section prints a table under an empty line, or nothing where there are no rows.
func (s *screen) section(headers []string, rows [][]string, flexible ...int) {
	if len(rows) > 0 {
		s.line("")
		s.table(headers, rows, flexible...)
	}
}

// matrix shows who may do what on one type: an action a row, a role (or who else a line is for) a column, and in the
// cells on what condition; "yes" is on none.
func (s *screen) matrix(c *domain.Catalogue, on domain.Kind) {
	actions := c.Actions(on)
	if len(actions) == 0 {
		return
	}
	var columns []string
	for _, a := range actions {
		for _, p := range c.Lines(on, a) {
			for _, who := range holders(&p.Selectors) {
				if !slices.Contains(columns, who) {
					columns = append(columns, who)
				}
			}
		}
	}
	slices.Sort(columns)
	rows := make([][]string, len(actions))
	for i, a := range actions {
		row := make([]string, len(columns)+1)
		row[0] = string(a)
		for _, p := range c.Lines(on, a) {
			for _, who := range holders(&p.Selectors) {
				cell := &row[slices.Index(columns, who)+1]
				if condition := conditions(p); *cell == "" {
					*cell = condition
				} else if !slices.Contains(strings.Split(*cell, "\n"), condition) {
					*cell += "\n" + condition
				}
			}
		}
		for j, cell := range row {
			if cell == "" {
				row[j] = "-"
			}
		}
		rows[i] = row
	}
	flexible := make([]int, len(columns))
	for i := range flexible {
		flexible[i] = i + 1
	}
	s.section(append([]string{"on " + string(on)}, columns...), rows, flexible...)
}

// holders gives the columns of a line: its roles, or its kinds, or everyone.
func holders(sel *domain.Selectors) []string {
	var names []string
	for _, r := range sel.Roles {
		names = append(names, string(r))
	}
	if len(names) == 0 {
		for _, k := range sel.Kinds {
			names = append(names, "any "+string(k))
		}
	}
	if len(names) == 0 {
		names = []string{"anyone"}
	}
	return names
}

// conditions says on what a line depends besides its column.
func conditions(p *domain.Permit) string {
	said := selectors(&p.Selectors)
	if len(p.Roles) > 0 && len(p.Kinds) > 0 {
		said = append(said, "as "+list(p.Kinds, "/"))
	}
	if p.Unless != nil {
		unless := selectors(p.Unless)
		for _, r := range p.Unless.Roles {
			unless = append(unless, string(r))
		}
		for _, k := range p.Unless.Kinds {
			unless = append(unless, "a "+string(k))
		}
		said = append(said, "unless "+strings.Join(unless, " or "))
	}
	if len(said) == 0 {
		return "yes"
	}
	return strings.Join(said, ", ")
}

// selectors says what a line asks for besides role and kind, in the catalogue's own words.
func selectors(sel *domain.Selectors) (said []string) {
	if len(sel.Links) > 0 {
		said = append(said, "link "+list(sel.Links, "/"))
	}
	if len(sel.LinkedBy) > 0 {
		said = append(said, "linked by "+list(sel.LinkedBy, "/"))
	}
	if len(sel.Grants) > 0 {
		said = append(said, "grant "+list(sel.Grants, "/"))
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{sel.Self, "self"}, {sel.Own, "own"}, {sel.Team, "team"}, {sel.Invited, "invited"}} {
		if f.set {
			said = append(said, f.name)
		}
	}
	return said
}

func list[T ~string](names []T, between string) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = string(n)
	}
	return strings.Join(words, between)
}

// hours writes a bound of a catalogue: whole days where it is some, hours and minutes otherwise.
func hours(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day", "days")
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return d.String()
}
