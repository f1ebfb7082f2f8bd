package main

// What the shell completes (permledger completion bash|zsh|fish|powershell): names that this program knows by itself,
// and the actions and types of the catalogue in force where a service or directory is named. A completion that can't
// ask stays silent: no error is of use in the middle of a line.

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// completeWait bounds how long a shell waits for a completion.
const completeWait = 2 * time.Second

type completions = []cobra.Completion

// completeCatalogues offers the shipped ones, and files.
func completeCatalogues(_ *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return starting(catalogues.Names(), typed), cobra.ShellCompDirectiveDefault
}

// completeRecord offers commands, then their keys.
func completeRecord(_ *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return starting(domain.Commands(), typed), cobra.ShellCompDirectiveNoFileComp
	}
	if file, ok := strings.CutPrefix(typed, "document="); ok && file != "" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	typ, err := domain.EventOf(domain.Action(args[0]))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, f := range domain.FieldNames(typ) {
		given := slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, f.Name+"=") })
		switch {
		case given:
		case f.Name == "verdict":
			for _, v := range verdicts {
				offers = append(offers, "verdict="+v)
			}
		case f.Name == "void":
			offers = append(offers, "void=true")
		default:
			offers = append(offers, f.Name+"=")
		}
	}
	return starting(offers, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeQuestion offers the ACTION of SUBJECT ACTION RESOURCE, and the types that RESOURCE begins with.
func (a *app) completeQuestion(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.complete(cmd, typed, kindsOf, ":")
	case 1:
		return a.complete(cmd, typed, actionsOf, "")
	case 2:
		return a.complete(cmd, typed, typesOf, ":")
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeWho is for ACTION RESOURCE.
func (a *app) completeWho(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.completeQuestion(cmd, append([]string{""}, args...), typed)
}

// completeWhat is for SUBJECT [ACTION].
func (a *app) completeWhat(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeQuestion(cmd, args, typed)
}

// completeAccount offers the kinds that ACCOUNT begins with.
func (a *app) completeAccount(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, typed, kindsOf, ":")
}

// completeRoles is for ROLE.
func (a *app) completeRoles(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, typed, rolesOf, "")
}

// completeAbout offers the types that an account or resource begins with.
func (a *app) completeAbout(cmd *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.complete(cmd, typed, typesOf, ":")
}

// completeChangeKinds is for the kinds of change, and of whose.
func (a *app) completeChangeKinds(cmd *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.complete(cmd, typed, func(c *domain.Catalogue) []string {
		return append([]string{consumers.Gained, consumers.Lost}, kindsOf(c)...)
	}, "")
}

func (a *app) completeProfiles(cmd *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.complete(cmd, typed, profilesOf, "")
}

func (a *app) completeKinds(cmd *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.complete(cmd, typed, kindsOf, "")
}

func (a *app) completeTypes(cmd *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
	return a.complete(cmd, typed, typesOf, "")
}

// complete offers what names takes out of the catalogue in force, with the suffix behind each.
func (a *app) complete(cmd *cobra.Command, typed string, names func(*domain.Catalogue) []string, suffix string) (completions, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completeWait)
	defer cancel()
	directive := cobra.ShellCompDirectiveNoFileComp
	if suffix != "" {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	if a.readSettings(cmd, nil) != nil {
		return nil, directive
	}
	var cat *domain.Catalogue
	err := a.withClient(ctx, func(c *client) error {
		body, err := c.get(ctx, "catalogue", nil)
		if err != nil {
			return err
		}
		var d struct{ Document string }
		if err := read(body, &d); err != nil {
			return err
		}
		cat, err = domain.ParseCatalogue([]byte(d.Document))
		return err
	})
	if err != nil {
		return nil, directive
	}
	var offers []string
	for _, n := range names(cat) {
		offers = append(offers, n+suffix)
	}
	return starting(offers, typed), directive
}

func kindsOf(c *domain.Catalogue) []string {
	var kinds []string
	for _, t := range c.Types() {
		if _, ok := c.Kinds[t]; ok {
			kinds = append(kinds, string(t))
		}
	}
	return kinds
}

func typesOf(c *domain.Catalogue) []string {
	var types []string
	for _, t := range c.Types() {
		types = append(types, string(t))
	}
	return types
}

func rolesOf(c *domain.Catalogue) []string { return sortedNames(c.Roles) }

func profilesOf(c *domain.Catalogue) []string { return sortedNames(c.Grants) }

// sortedNames gives the keys of a part of the catalogue.
func sortedNames[K ~string, V any](of map[K]V) []string {
	var names []string
	for name := range of {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// actionsOf gives the actions on any type, each once.
func actionsOf(c *domain.Catalogue) []string {
	var actions []string
	for _, t := range c.Types() {
		for _, act := range c.Actions(t) {
			actions = append(actions, string(act))
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

func starting[T ~string](names []T, typed string) completions {
	var offers completions
	for _, n := range names {
		if strings.HasPrefix(string(n), typed) {
			offers = append(offers, string(n))
		}
	}
	return offers
}
