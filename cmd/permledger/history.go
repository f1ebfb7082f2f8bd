package main

// history: what was recorded about an account, a role or a grant, by an actor, or all of it, in order.

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// historyFlags say which events are wanted, and in what form.
type historyFlags struct {
	moments
	paging
	role, grant, actor string
	types              []string
	from, until        string
	order              string
	csv                bool
	after              number
}

func newHistoryCommand(a *app) *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:     "history [ACCOUNT]",
		Short:   "What was recorded about ACCOUNT, or a role or grant, or by somebody?",
		GroupID: groupQuestions,
		Long: `history lists every event that is about an account, oldest first: when it was recorded, by whom and for what reason.
In place of the account: what gave or took a role (--role), what became of a temporary access (--grant), what somebody did
(--actor), or, with none of them, all that was recorded. A group's joins, leaves and links are its account's.
With --at or --known-at: what had been recorded by then. --from and --until are about when an event was recorded.`,
		Example: `  permledger history client:c1
  permledger history professional:anna --at 2026-03-01
  permledger history client:c1 --type access.*,caseload.linked --order newest --limit 20
  permledger history --actor professional:root --from -90d
  permledger history --role therapist --csv
  permledger history professional:anna --after 120 --limit 50 --json`,
		Args:              arguments(0, "[ACCOUNT]"),
		ValidArgsFunction: a.completeAccount,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.question(args, &a.global)
			if err != nil {
				return err
			}
			if f.csv {
				return a.historyCSV(cmd.Context(), q)
			}
			return a.question(cmd.Context(), "history", q, func(s *screen, body []byte) error {
				if a.global.json {
					return nil
				}
				return f.show(s, &a.global, args, body)
			})
		},
	}
	f.moments.register(cmd)
	f.paging.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "what gave or took this role")
	flags.StringVar(&f.grant, "grant", "", "what gave, revoked, reviewed or corrected this temporary access")
	flags.StringVar(&f.actor, "actor", "", "what this account did")
	flags.StringSliceVar(&f.types, "type", nil, "only events of these types, or whose types begin so: role.assigned, role.*")
	flags.StringVar(&f.from, "from", "", "only events recorded at this moment or later; see permledger help times")
	flags.StringVar(&f.until, "until", "", "only events recorded before this moment")
	flags.StringVar(&f.order, "order", "", "which come first: oldest or newest (default oldest)")
	flags.BoolVar(&f.csv, "csv", false, "print comma-separated values, for a spreadsheet")
	flags.Var(&f.after, "after", "only events after this seq")
	cmd.RegisterFlagCompletionFunc("role", a.completeRoles)
	cmd.RegisterFlagCompletionFunc("actor", a.completeAccount)
	cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("order", cobra.FixedCompletions([]string{"oldest", "newest"}, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"grant", "from", "until", "after"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func typeNames() (names []string) {
	for _, typ := range domain.EventTypes() {
		names = append(names, string(typ))
	}
	return names
}

// question gives what is asked of the service.
func (f *historyFlags) question(args []string, g *globals) (url.Values, error) {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	for i, account := range append([]string{f.actor}, args...) {
		if account == "" && i == 0 {
			continue
		}
		if _, err := domain.ParseAccount(account); err != nil {
			return nil, err
		}
	}
	set("about", strings.Join(args, ""))
	set("role", f.role)
	set("grant", f.grant)
	set("actor", f.actor)
	if len(q) > 1 {
		return nil, domain.Errorf(domain.Malformed, "bad_arguments", "history: give one of ACCOUNT, --role, --grant and --actor, or none of them for all that was recorded")
	}
	if f.csv && (g.json || f.limit != 0 || f.page != "") {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--csv: is given whole and instead of --json; leave out --json, --limit and --page")
	}
	for _, bound := range []struct {
		name  string
		typed *string
	}{{"from", &f.from}, {"until", &f.until}} {
		if *bound.typed == "" {
			continue
		}
		at, err := g.zone.moment("--"+bound.name, *bound.typed)
		if err != nil {
			return nil, err
		}
		q.Set(bound.name, at.String())
		g.zone.fix(bound.typed, at)
	}
	set("type", strings.Join(f.types, ","))
	switch f.order {
	case "", "oldest", "newest":
		set("order", f.order)
	default:
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--order %q: want oldest or newest, which come first", f.order)
	}
	if f.csv {
		q.Set("format", "csv")
	}
	setNumber(q, "after", f.after)
	f.paging.set(q)
	g.lang.set(q)
	return q, f.moments.set(q, &g.zone)
}

// show prints the events and how many they are.
func (f *historyFlags) show(s *screen, g *globals, args []string, body []byte) error {
	var d struct {
		About, Role, Grant, Actor string
		AsOf                      string  `json:"as_of"`
		KnownAtSeq                uint64  `json:"known_at_seq"`
		Events                    []event `json:"events"`
		Next                      uint64  `json:"next"`
		Page                      string  `json:"page"`
	}
	if err := read(body, &d); err != nil {
		return err
	}
	if len(d.Events) > 0 {
		s.events(d.Events)
		s.line("")
	}
	of := s.words.historyOfAll
	for _, one := range [][2]string{{d.About, s.words.historyOf}, {d.Role, s.words.historyOfRole}, {d.Grant, s.words.historyOfGrant}, {d.Actor, s.words.historyOfActor}} {
		if one[0] != "" {
			of = fmt.Sprintf(one[1], one[0])
		}
	}
	if len(f.types) > 0 || f.from != "" || f.until != "" {
		of += s.words.filtered
	}
	if d.Page != "" {
		of += s.words.onThisPage
	}
	s.line("%s", s.words.history.of(len(d.Events), of))
	s.asOf(d.AsOf, d.KnownAtSeq)
	switch {
	case d.Next != 0:
		s.next(g.again("history", f.on("--after", fmt.Sprint(d.Next), args)...))
	case d.Page != "":
		s.next(g.again("history", f.on("--page", d.Page, args)...))
	case d.About != "":
		s.next(g.again("what", append([]string{d.About}, f.moments.args()...)...))
	case d.Role != "":
		s.next(g.again("holders", append([]string{d.Role}, f.moments.args()...)...))
	case d.Actor != "" && d.Actor != string(domain.ClockActor): // the ledger itself is nobody to ask about
		s.next(g.again("history", append([]string{d.Actor}, f.moments.args()...)...))
	case d.Grant != "":
		s.next(g.again("grants", f.moments.args()...))
	}
	return nil
}

// on gives the arguments that ask for what follows, from where the flag says.
func (f *historyFlags) on(flag, value string, args []string) []string {
	on := append([]string{}, args...)
	for _, one := range [][2]string{{"--role", f.role}, {"--grant", f.grant}, {"--actor", f.actor}, {"--type", strings.Join(f.types, ",")}, {"--from", f.from}, {"--until", f.until}, {"--order", f.order}, {flag, value}} {
		if one[1] != "" {
			on = append(on, one[0], one[1])
		}
	}
	on = append(on, f.moments.args()...)
	if f.limit != 0 {
		on = append(on, "--limit", f.limit.String())
	}
	return on
}

// historyCSV prints the history as it comes, byte for byte.
func (a *app) historyCSV(ctx context.Context, q url.Values) error {
	return a.withClient(ctx, func(c *client) error {
		body, err := c.get(ctx, "history", q)
		if err != nil {
			return err
		}
		if _, err := a.out.Write(body); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
		return nil
	})
}
