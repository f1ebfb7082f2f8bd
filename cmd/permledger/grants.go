package main

// grants: every temporary access that there was, what became of it, and which reviews are still to come.

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// grantFlags say which temporary access is wanted.
type grantFlags struct {
	principal, client, profile, state string
	unreviewed, overdue               bool
}

func (f *grantFlags) register(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.principal, "principal", "", "only of this account")
	cmd.Flags().StringVar(&f.client, "client", "", "only to this client")
	cmd.Flags().StringVar(&f.profile, "profile", "", "only of this profile of the catalogue, e.g. emergency")
	cmd.Flags().StringVar(&f.state, "state", "", "only what is "+grantStates(" or "))
	cmd.Flags().BoolVar(&f.unreviewed, "unreviewed", false, "only what needs a review and has none")
	cmd.Flags().BoolVar(&f.overdue, "overdue", false, "only what had to be reviewed by now and was not")
	cmd.RegisterFlagCompletionFunc("principal", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("client", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("profile", a.completeProfiles)
	cmd.RegisterFlagCompletionFunc("state", func(_ *cobra.Command, _ []string, typed string) (completions, cobra.ShellCompDirective) {
		return starting(domain.GrantStates(), typed), cobra.ShellCompDirectiveNoFileComp
	})
}

// grantStates names the states, with or before the last.
func grantStates(or string) string {
	var names []string
	for _, s := range domain.GrantStates() {
		names = append(names, string(s))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + or + names[last]
}

// set adds the flags to a question, so that what is malformed never reaches a service.
func (f *grantFlags) set(q url.Values) error {
	for _, flag := range [][2]string{{"principal", f.principal}, {"client", f.client}} {
		if flag[1] == "" {
			continue
		}
		if _, err := domain.ParseAccount(flag[1]); err != nil {
			return err
		}
		q.Set(flag[0], flag[1])
	}
	if f.profile != "" {
		if _, err := domain.ParseName("profile", f.profile); err != nil {
			return err
		}
		q.Set("profile", f.profile)
	}
	if f.state != "" {
		if !slices.Contains(domain.GrantStates(), domain.GrantState(f.state)) {
			return domain.Errorf(domain.Malformed, "unknown_state", "--state %q: want %s", f.state, grantStates(" or "))
		}
		q.Set("state", f.state)
	}
	if f.unreviewed {
		q.Set("unreviewed", "true")
	}
	if f.overdue {
		q.Set("overdue", "true")
	}
	return nil
}

// again gives the flags that ask the same again.
func (f *grantFlags) again() (args []string) {
	for _, flag := range [][2]string{{"--principal", f.principal}, {"--client", f.client}, {"--profile", f.profile}, {"--state", f.state}} {
		if flag[1] != "" {
			args = append(args, flag[0], flag[1])
		}
	}
	if f.unreviewed {
		args = append(args, "--unreviewed")
	}
	if f.overdue {
		args = append(args, "--overdue")
	}
	return args
}

// grant is one result of grants.
type grant struct {
	Grant     string            `json:"grant"`
	Principal string            `json:"principal"`
	Client    string            `json:"client"`
	Profile   string            `json:"profile"`
	From      string            `json:"from"`
	Until     string            `json:"until"`
	State     domain.GrantState `json:"state"`
	Granted   struct {
		Reason string `json:"reason"`
	} `json:"granted"`
	Review *struct {
		Verdict string `json:"verdict"`
		By      string `json:"by"`
	} `json:"review"`
	ReviewDue *string `json:"review_due"`
	Overdue   bool    `json:"overdue"`
}

func newGrantsCommand(a *app) *cobra.Command {
	var (
		f grantFlags
		m moments
		p paging
	)
	cmd := &cobra.Command{
		Use:     "grants",
		Short:   "Which temporary access was there, and is it reviewed?",
		GroupID: groupQuestions,
		Long: `grants lists temporary access, the last recorded first: whose, to whom, from when until when, for what reason, and whether
it was reviewed where the catalogue asks for that. A review is overdue from when the catalogue's time for it is over,
counted from when the access began.`,
		Example: `  permledger grants
  permledger grants --overdue
  permledger grants --client client:c1 --at 2026-03-01 --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if err := f.set(q); err != nil {
				return err
			}
			if err := m.set(q, &a.global.zone); err != nil {
				return err
			}
			p.set(q)
			return a.question(cmd.Context(), "grants", q, func(s *screen, body []byte) error {
				var d struct {
					whole
					AsOf       string  `json:"as_of"`
					KnownAtSeq uint64  `json:"known_at_seq"`
					Results    []grant `json:"results"`
				}
				if err := read(body, &d); err != nil {
					return err
				}
				if a.global.json {
					return d.rest()
				}
				s.grants(d.Results, d.Next != "")
				s.asOf(d.AsOf, d.KnownAtSeq)
				switch {
				case d.Next != "":
					s.next(a.global.again("grants", append(f.again(), p.on(d.Next, m.args(), "", "")...)...))
				case len(d.Results) > 0:
					s.next(a.global.again("history", append([]string{d.Results[0].Client}, m.args()...)...))
				case len(f.again()) > 0:
					s.next(a.global.again("grants", m.args()...))
				default:
					s.next(a.global.again("catalogue", append([]string{"show"}, m.args()...)...))
				}
				return d.rest()
			})
		},
	}
	f.register(a, cmd)
	m.register(cmd)
	p.register(cmd)
	return cmd
}

// ulidLength is how long a grant's id is where the ledger chose it.
const ulidLength = 26

// grants shows temporary access, one a row; more tells that there are other pages. What is to be said of one is too much
// for a column each on a terminal of eighty.
func (s *screen) grants(grants []grant, more bool) {
	w, late := s.words.lookup, 0
	flexible := []int{1, 2}
	rows := make([][]string, len(grants))
	for i, g := range grants {
		access := []string{fmt.Sprintf(w.given, g.Principal, g.Client, g.Profile)}
		if g.Granted.Reason != "" {
			access = append(access, printable(g.Granted.Reason))
		}
		state := []string{string(g.State), fmt.Sprintf(w.span, s.time(g.From), s.time(g.Until))}
		if said := w.states[g.State]; said != "" {
			state[0] = said
		}
		if review := s.review(g); review != "" {
			state = append(state, review)
		}
		rows[i] = []string{g.Grant, strings.Join(access, "; "), strings.Join(state, "; ")}
		if g.Overdue {
			late++
		}
		if len(g.Grant) > ulidLength {
			flexible = []int{0, 1, 2}
		}
	}
	s.list(rows, []string{w.grant, w.access, w.state}, flexible...)
	page := ""
	if more {
		page = s.words.onThisPage
	}
	s.line("%s", w.grants.of(len(grants), page))
	if late > 0 {
		s.styled(alarm, w.late.of(late))
	}
}

// alarm is how what is overdue stands out.
var alarm = text.Colors{text.Bold, text.FgRed}

// review says how far a review has come; "" where none is asked for.
func (s *screen) review(g grant) string {
	w := s.words.lookup
	switch {
	case g.Review != nil:
		verdict := g.Review.Verdict
		if said := s.words.verdicts[verdict]; said != "" {
			verdict = said
		}
		return fmt.Sprintf(w.reviewed, verdict, g.Review.By)
	case g.ReviewDue == nil:
		return ""
	case g.Overdue:
		return alarm.Sprint(fmt.Sprintf(w.overdue, s.time(*g.ReviewDue)))
	}
	return fmt.Sprintf(w.due, s.time(*g.ReviewDue))
}
