package api

// What an operator asks: GET /admin/status, how everything stands, in one document; and GET /metrics, where there are any.
// Neither waits for a ledger that is behind or fails over one that has stopped: they are asked when something is wrong.

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/build"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// statusWait bounds how long the log's server is asked how the feeds stand: what it does not say by then is left out.
const statusWait = 5 * time.Second

// status is how the service stands.
type status struct {
	Version       string      `json:"version"`
	Revision      string      `json:"revision,omitempty"`
	Go            string      `json:"go"`
	UptimeSeconds float64     `json:"uptime_seconds"`
	Ready         bool        `json:"ready"`
	Problem       *trouble    `json:"problem,omitempty"` // why it is not ready
	Organisations []orgStatus `json:"organisations"`
}

// The states of a ledger.
const (
	stateReady   = "ready"   // it answers and records
	stateBehind  = "behind"  // it is catching up with its log, or waits for it
	stateStopped = "stopped" // it is not what it was, or can't be opened
)

type orgStatus struct {
	Org         domain.Org         `json:"org"`
	State       string             `json:"state"`
	Problem     *trouble           `json:"problem,omitempty"` // why it is not ready
	Created     *time.Time         `json:"created,omitempty"`
	Position    domain.Seq         `json:"position"` // answers rest on all events up to it
	RecordedAt  domain.Instant     `json:"recorded_at,omitzero"`
	Head        domain.Seq         `json:"head"` // the newest event that the log is known to have
	Lag         consumers.Lag      `json:"lag"`
	Feed        *feedStatus        `json:"feed,omitempty"`
	Subscribers *subscribersStatus `json:"subscribers,omitempty"`
	// Rebuild is the rebuild or verification that is under way, or how the last one ended since the service began.
	Rebuild *ledger.RebuildState `json:"rebuild,omitempty"`
}

type feedStatus struct {
	Problem  *trouble      `json:"problem,omitempty"` // why the rest of this is missing
	Position domain.Seq    `json:"position"`          // every change up to it is published
	Lag      consumers.Lag `json:"lag"`
	From     string        `json:"from,omitempty"` // the oldest cursor to follow on from
	Changes  uint64        `json:"changes"`        // kept
	Bytes    uint64        `json:"bytes"`
}

// subscribersStatus counts them, and tells how far behind the last of those is that are to have changes.
type subscribersStatus struct {
	Problem   *trouble       `json:"problem,omitempty"`
	Webhooks  map[string]int `json:"webhooks"` // by state
	Followers int            `json:"followers"`
	Lag       consumers.Lag  `json:"lag"`
}

// trouble is what a problem says of why something is as it is.
type trouble struct {
	Code    string         `json:"code"`
	Failure domain.Failure `json:"failure,omitempty"`
	Detail  string         `json:"detail"`
	Runbook string         `json:"runbook,omitempty"`
}

func troubleOf(err error) *trouble {
	if err == nil {
		return nil
	}
	p := problemOf(err, "")
	return &trouble{p.Code, p.Failure, p.Detail, p.Runbook}
}

// status says how the service and each of its ledgers stand, or one of them.
func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "org")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), statusWait)
	defer cancel()
	notReady := s.service.Ready(ctx)
	b := build.This()
	answer := status{
		Version: b.Version, Revision: b.Revision, Go: b.Go, UptimeSeconds: s.service.Uptime().Seconds(),
		Ready: notReady == nil, Problem: troubleOf(notReady), Organisations: []orgStatus{},
	}
	orgs, err := s.statusOrgs(ctx, p["org"])
	if err != nil {
		return err
	}
	rebuilds := make(map[domain.Org]*ledger.RebuildState)
	for _, state := range s.service.RebuildStates() {
		rebuilds[state.Org] = &state
	}
	for _, org := range orgs {
		o, err := s.orgStatus(ctx, org)
		if err != nil {
			return err
		}
		o.Rebuild = rebuilds[org]
		answer.Organisations = append(answer.Organisations, o)
	}
	return writeJSON(w, answer)
}

// statusOrgs gives whose ledgers are to be told of: where the log can't be asked whose there are, those that are open.
func (s *server) statusOrgs(ctx context.Context, only string) ([]domain.Org, error) {
	if only != "" {
		org, err := domain.ParseOrg(only)
		return []domain.Org{org}, err
	}
	orgs, err := s.service.Orgs(ctx)
	if err != nil { // that it is so is why the service is not ready
		orgs = nil
	}
	for _, l := range s.service.Ledgers() {
		orgs = append(orgs, l.Org())
	}
	slices.Sort(orgs)
	return slices.Compact(orgs), nil
}

// orgStatus fails only where there is no such ledger: that it can't be opened is how it stands.
func (s *server) orgStatus(ctx context.Context, org domain.Org) (orgStatus, error) {
	l, err := s.service.Find(ctx, org)
	switch {
	case errors.Is(err, domain.Unknown):
		return orgStatus{}, err
	case err != nil:
		return orgStatus{Org: org, State: stateStopped, Problem: troubleOf(err)}, nil
	}
	created, standing := l.Created().UTC(), l.Standing(ctx)
	o := orgStatus{
		Org: org, State: stateReady, Problem: troubleOf(standing.Err), Created: &created,
		Position: standing.Position, RecordedAt: standing.RecordedAt, Head: standing.Head, Lag: standing.Lag,
	}
	switch {
	case standing.Stopped:
		o.State = stateStopped
	case standing.Err != nil:
		o.State = stateBehind
	}
	if standing.Feed != nil {
		o.Feed = feedStatusOf(ctx, l, standing)
		o.Subscribers = subscribersStatusOf(ctx, l)
	}
	return o, nil
}

func feedStatusOf(ctx context.Context, l *ledger.Ledger, standing ledger.Standing) *feedStatus {
	f := &feedStatus{Position: standing.Feed.Position, Lag: standing.Feed.Lag}
	if standing.Err != nil { // it has not begun, and may never
		f.Problem = troubleOf(standing.Err)
		return f
	}
	kept, err := l.Feed().Status(ctx)
	if err != nil {
		f.Problem = troubleOf(err)
		return f
	}
	f.From, f.Changes, f.Bytes = kept.From.String(), kept.Changes, kept.Bytes
	return f
}

func subscribersStatusOf(ctx context.Context, l *ledger.Ledger) *subscribersStatus {
	s := &subscribersStatus{Webhooks: map[string]int{consumers.StateActive: 0, consumers.StateRetrying: 0, consumers.StateDisabled: 0}}
	list, err := l.Subscribers().List(ctx)
	if err != nil {
		s.Problem = troubleOf(err)
		return s
	}
	for _, sub := range list {
		if sub.Sort == consumers.SortWebhook {
			s.Webhooks[sub.State]++
		} else {
			s.Followers++
		}
		if sub.State != consumers.StateDisabled && sub.Lag != nil && sub.Lag.Events > s.Lag.Events {
			s.Lag = *sub.Lag
		}
	}
	return s
}
