package main

// doctor: what is not well with a data directory or a service, and the way out. What is looked at is package ledger's; here
// are its lines, and the exit code.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// doctorAnswer is what GET /admin/doctor gives.
type doctorAnswer struct {
	Findings []ledger.Finding `json:"findings"`
}

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "What is not well, and the way out",
		GroupID: groupLedger,
		Long: `doctor looks over the data directory, its disk, the settings of each ledger's streams, the clocks, the versions, how far the
projections, the change feeds and their subscribers are, and whether anybody is left who may put things right. It prints
one line for each, and for what is not well the way out and the page under deploy/runbooks that says more. It changes
nothing of what is recorded; a directory that is opened here catches up with its log, as it does whenever it is opened.

Exit codes: 0 all is well, 1 there are warnings or problems, 6 the log or a projection is not what it was, 5 there is
nothing that could be asked.`,
		Example: `  permledger doctor --data ./ledger
  permledger doctor --server http://127.0.0.1:7420 --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := a.doctor(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(body, a.showFindings)
		},
	}
}

// doctor asks the service, or the directory that is opened here. One that can't be opened is told of as far as it can be.
func (a *app) doctor(ctx context.Context) (body []byte, err error) {
	c, err := a.client(ctx, ledger.Options{Feed: true})
	if err != nil && a.global.data != "" && a.global.server == "" && !errors.Is(err, domain.Malformed) {
		return json.Marshal(doctorAnswer{ledger.Examine(a.global.data, err)})
	} else if err != nil {
		return nil, err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	path := "/admin/doctor"
	if a.global.org != "" {
		path += "?" + url.Values{"org": {a.global.org}}.Encode()
	}
	return c.ask(ctx, http.MethodGet, path, nil)
}

// showFindings prints the lines. Its error is for the exit code: a finding that is an integrity failure, one for want of
// anything to ask, or errNo for any other that is not well.
func (a *app) showFindings(s *screen, body []byte) error {
	var d doctorAnswer
	if err := read(body, &d); err != nil {
		return err
	}
	worst := map[int]error{}
	for _, f := range d.Findings {
		if !a.global.json {
			s.finding(f)
		}
		switch {
		case f.Failure == domain.Integrity:
			worst[6] = errFound{domain.Integrity}
		case f.Failure == domain.Unreachable:
			worst[5] = errFound{domain.Unreachable}
		case f.Level != ledger.Well:
			worst[1] = errNo
		}
	}
	return cmp.Or(worst[6], worst[5], worst[1])
}

// errFound is a failure that stdout tells of: for the exit code alone, nothing goes to stderr.
type errFound struct{ failure domain.Failure }

func (e errFound) Error() string { return string(e.failure) }

// finding prints one, with the way out below it.
func (s *screen) finding(f ledger.Finding) {
	mark := map[ledger.Level]string{
		ledger.Well:    text.Colors{text.FgGreen}.Sprint("✓"),
		ledger.Warning: text.Colors{text.Bold, text.FgYellow}.Sprint("warning"),
		ledger.Problem: text.Colors{text.Bold, text.FgRed}.Sprint("problem"),
	}[f.Level]
	of := f.Check
	if f.Org != "" {
		of = string(f.Org) + " " + of
	}
	way := ""
	if f.Advice != "" {
		way = " → " + f.Advice
	}
	if f.Runbook != "" && f.Code == "" { // of an error it is in the advice
		way += " (deploy/runbooks/" + f.Runbook + ".md)"
	}
	s.line("%s %s: %s%s", mark, of, printable(f.Text), way)
}
