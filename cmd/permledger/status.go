package main

// status: how a service and each of its ledgers stand, for whoever operates it. What is wrong and what to do about it is
// doctor's to say; here are the facts.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// statusAnswer is what GET /admin/status gives.
type statusAnswer struct {
	Version       string         `json:"version"`
	UptimeSeconds float64        `json:"uptime_seconds"`
	Ready         bool           `json:"ready"`
	Problem       *statusProblem `json:"problem"`
	Organisations []struct {
		Org         string         `json:"org"`
		State       string         `json:"state"`
		Problem     *statusProblem `json:"problem"`
		Position    domain.Seq     `json:"position"`
		Head        domain.Seq     `json:"head"`
		Lag         statusLag      `json:"lag"`
		Feed        *statusFeed    `json:"feed"`
		Subscribers *struct {
			Problem   *statusProblem `json:"problem"`
			Webhooks  map[string]int `json:"webhooks"`
			Followers int            `json:"followers"`
		} `json:"subscribers"`
	} `json:"organisations"`
}

type statusFeed struct {
	Problem *statusProblem `json:"problem"`
	Lag     statusLag      `json:"lag"`
}

type statusLag struct {
	Events  uint64  `json:"events"`
	Seconds float64 `json:"seconds"`
}

type statusProblem struct {
	Detail  string `json:"detail"`
	Runbook string `json:"runbook"`
}

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "How a service and each of its ledgers stand",
		GroupID: groupLedger,
		Long: `status says how long a service is up, whether it is ready and why not, and of each organisation how far its ledger, its
change feed and its subscribers are. It answers about what is broken too, and ends with 0 wherever there was an answer:
permledger ready and permledger doctor tell by their exit codes.

Of a directory that is opened here it says how the ledgers are once they have caught up. Its feeds do not run then.`,
		Example: `  permledger status
  permledger status --org acme --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := a.status(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, body []byte) error {
				var d statusAnswer
				if err := read(body, &d); err != nil || a.global.json {
					return err
				}
				s.status(d)
				return nil
			})
		},
	}
}

func (a *app) status(ctx context.Context) (body []byte, err error) {
	c, err := a.statusClient(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	path := "/admin/status"
	if a.global.org != "" {
		path += "?" + url.Values{"org": {a.global.org}}.Encode()
	}
	return c.ask(ctx, http.MethodGet, path, nil)
}

// statusClient is client, but that of a directory every ledger is opened, as a service does it: client opens what is asked about.
func (a *app) statusClient(ctx context.Context) (*client, error) {
	if a.global.data == "" || a.global.server != "" {
		return a.client(ctx, ledger.Options{})
	}
	s, err := ledger.Open(ctx, ledger.Options{Data: a.global.data, Logger: a.quietLogger(), Asking: true, Fatal: a.fatal})
	if err != nil {
		return nil, err
	}
	if err := s.OpenAll(ctx); err != nil && ctx.Err() != nil { // else why one can't be opened is in the answer to come
		return nil, errors.Join(err, s.Close())
	}
	h := api.New(api.Options{Service: s, Logger: a.quietLogger()})
	return &client{base: "http://in-process", http: &http.Client{Transport: inProcess{h}}, close: s.Close}, nil
}

func (s *screen) status(d statusAnswer) {
	s.line("permledger %s, up for %s.", d.Version, inTime(time.Duration(d.UptimeSeconds*float64(time.Second))))
	switch {
	case d.Ready:
		s.line("Ready.")
	case d.Problem != nil:
		s.line("Not ready: %s", d.Problem)
	}
	rows := make([][]string, len(d.Organisations))
	for i, o := range d.Organisations {
		feed, subscribers := "-", "-"
		if o.Feed != nil {
			feed = o.Feed.Lag.String()
			if o.Feed.Problem != nil {
				feed = "not known"
			}
		}
		if o.Subscribers != nil {
			subscribers = subscribersOf(o.Subscribers.Webhooks, o.Subscribers.Followers)
			if o.Subscribers.Problem != nil {
				subscribers = "not known"
			}
		}
		rows[i] = []string{o.Org, o.State, fmt.Sprint(o.Position), o.Lag.String(), feed, subscribers}
	}
	s.list(rows, []string{"ORG", "STATE", "EVENT", "BEHIND", "FEED BEHIND", "SUBSCRIBERS"}, 5)
	for _, o := range d.Organisations {
		if o.Problem != nil {
			s.line("%s: %s", o.Org, o.Problem)
		}
	}
}

func (p *statusProblem) String() string {
	if p.Runbook == "" {
		return printable(p.Detail)
	}
	return printable(p.Detail + " (runbook: " + p.Runbook + ")")
}

func (l statusLag) String() string {
	if l.Events == 0 {
		return "-"
	}
	return plural(int(l.Events), "event", "events") + ", " + inTime(time.Duration(l.Seconds*float64(time.Second)))
}

// subscribersOf counts webhooks by state, and followers, leaving out what there is none of.
func subscribersOf(webhooks map[string]int, followers int) string {
	var parts []string
	for _, state := range []string{"active", "retrying", "disabled"} {
		if n := webhooks[state]; n > 0 {
			parts = append(parts, plural(n, "webhook ", "webhooks ")+state)
		}
	}
	if followers > 0 {
		parts = append(parts, plural(followers, "follower", "followers"))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
