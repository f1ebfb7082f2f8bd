package main

// check: may this principal do this to that, and by what. It holds what it shares with explain, which asks the same
// question. Neither decides: the service does.

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// decisionFlags are the flags of check and explain.
type decisionFlags struct {
	moments
	whatIf
	client    string
	createdBy string
}

func (f *decisionFlags) register(cmd *cobra.Command) {
	f.moments.register(cmd)
	f.whatIf.register(cmd)
	cmd.Flags().StringVar(&f.client, "client", "", "whose the resource is, where it is not registered and the catalogue trusts this")
	cmd.Flags().StringVar(&f.createdBy, "created-by", "", "who created the resource, likewise")
	cmd.RegisterFlagCompletionFunc("client", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("created-by", cobra.NoFileCompletions)
}

// query reads SUBJECT ACTION RESOURCE and the flags, so that what is malformed never reaches a service.
func (f *decisionFlags) query(args []string, z *zone) (url.Values, error) {
	if _, err := domain.ParseAccount(args[0]); err != nil {
		return nil, err
	}
	if _, err := domain.ParseAction(args[1]); err != nil {
		return nil, err
	}
	if err := checkResource(args[2]); err != nil {
		return nil, err
	}
	q := url.Values{"subject": {args[0]}, "action": {args[1]}, "resource": {args[2]}}
	for name, value := range map[string]string{"client": f.client, "created_by": f.createdBy} {
		if value == "" {
			continue
		}
		if _, err := domain.ParseAccount(value); err != nil {
			return nil, err
		}
		q.Set(name, value)
	}
	if err := f.whatIf.read(); err != nil {
		return nil, err
	}
	return q, f.moments.set(q, z)
}

// again gives the flags that ask the same again.
func (f *decisionFlags) again() (args []string) {
	if f.client != "" {
		args = append(args, "--client", f.client)
	}
	if f.createdBy != "" {
		args = append(args, "--created-by", f.createdBy)
	}
	return append(append(args, f.moments.args()...), f.whatIf.args()...)
}

func newCheckCommand(a *app) *cobra.Command {
	var f decisionFlags
	cmd := &cobra.Command{
		Use:     "check SUBJECT ACTION RESOURCE",
		Short:   "May SUBJECT do ACTION to RESOURCE?",
		GroupID: groupQuestions,
		Long: `check answers whether an account may do something to a resource, and by what; for a no, what was nearest to a yes.
With --catalogue it answers what would be so under another role catalogue, by everything else that was recorded.
It exits with 0 for a yes and 1 for a no.`,
		Example: `  permledger check professional:anna view_record client:c1
  permledger check professional:anna view_record client:c1 --at 2026-03-01
  permledger check professional:anna view_record client:c1 --at "2026-03-01 14:00" --known-at now --json
  permledger check professional:anna view_record client:c1 --catalogue ./roles.yaml`,
		Args:              arguments(3, "SUBJECT", "ACTION", "RESOURCE"),
		ValidArgsFunction: a.completeQuestion,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.decision(cmd.Context(), "check", args, &f)
		},
	}
	f.register(cmd)
	return cmd
}

// decision asks check or explain, and is errNo for a no.
func (a *app) decision(ctx context.Context, verb string, args []string, f *decisionFlags) error {
	q, err := f.query(args, &a.global.zone)
	if err != nil {
		return err
	}
	a.global.lang.set(q)
	return a.questionUnder(ctx, verb, q, f.document, func(s *screen, body []byte) error {
		var d answer
		if err := read(body, &d); err != nil {
			return err
		}
		if !a.global.json {
			s.decision(&d)
			if verb == "explain" {
				s.next(a.global.again("history", args[0]))
			} else {
				s.next(a.global.again("explain", append(args, f.again()...)...))
			}
		}
		if !d.Decision {
			return errNo
		}
		return nil
	})
}

// decision shows a yes or a no with all that came with it.
func (s *screen) decision(d *answer) {
	w := s.words
	verdict, line, header := w.may, w.line, w.because
	if !d.Decision {
		verdict, line, header = w.mayNot, w.nearest, w.whatThereIs
	}
	if _, rest, ok := strings.Cut(d.Sentence, ": "); ok { // explained: it has the verdict and the why in it
		s.line("%s: %s", s.verdict(d.Decision), s.local(rest))
	} else {
		s.line(verdict, s.verdict(d.Decision), d.Subject, d.Action, d.Resource)
		if d.Why != "" {
			s.line(w.whyNot, s.local(d.Why))
		}
	}
	if d.ValidUntil != nil {
		s.line(w.until, s.time(*d.ValidUntil))
	}
	s.because(header, d.Basis)
	if len(d.Events) > 0 {
		s.line("")
		s.events(d.Events)
	}
	if len(d.Ways) > 0 {
		s.line("")
		s.line("%s", w.ways)
		for _, way := range d.Ways {
			s.line("- %s", way)
		}
	}
	s.line("")
	s.catalogue(d.Catalogue, line)
	s.asOf(d.AsOf, d.KnownAtSeq)
}
