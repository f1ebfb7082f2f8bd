package eventstore

// Looking a ledger's streams over for an operator: how they are set up, what lies in them, and how the server stands. It
// reads what the server says of them, never an event, and changes nothing.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// An Inspection is what was found of one ledger's streams.
type Inspection struct {
	Events   uint64     // in the log
	Bytes    uint64     // that they take
	Last     domain.Seq // of the newest event
	Replicas int        // copies that the log is set up to have
	Missing  int        // of them, those that are offline or behind
	// Ahead is how far the server's clock is ahead of this machine's, at the least; below 0 it is behind. 0 for the embedded
	// server, which has the machine's.
	Ahead time.Duration

	Log     error // Integrity: the log is set up so that events can be lost, or has lost some; nil: it is not
	Keys    error // the same of the stream of the personal texts' keys; nil too where there is none yet
	Changes error // the same of the stream of changes
}

// A ServerState is how the log's server stands.
type ServerState struct {
	Version  string // of nats-server
	Tested   string // the version of nats-server that this program was built with
	External bool
}

// Inspect looks a ledger's streams over. Errors: Unknown (code "unknown_org") where there is no such ledger; Unavailable.
func (s *Store) Inspect(ctx context.Context, org domain.Org) (Inspection, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	before := time.Now()
	info, err := s.streamInfo(ctx, streamName(org))
	after := time.Now()
	switch {
	case err != nil:
		return Inspection{}, err
	case info == nil:
		return Inspection{}, domain.Errorf(domain.Unknown, "unknown_org", "organisation %q has no ledger at %s", org, s.where())
	}
	in := Inspection{
		Events: info.State.Msgs, Bytes: info.State.Bytes, Last: domain.Seq(info.State.LastSeq),
		Replicas: info.Config.Replicas, Log: checkStream(org, info),
	}
	if !s.embedded() {
		in.Ahead = ahead(before, info.TimeStamp, after)
	}
	if c := info.Cluster; c != nil {
		if c.Leader == "" {
			in.Missing++
		}
		for _, r := range c.Replicas {
			if r.Offline || !r.Current {
				in.Missing++
			}
		}
	}
	keys, err := s.streamInfo(ctx, keysStream(org))
	if err != nil {
		return Inspection{}, err
	}
	changes, err := s.streamInfo(ctx, changesStream(org))
	if err != nil {
		return Inspection{}, err
	}
	if keys != nil {
		in.Keys = checkKeysStream(keys)
	}
	if changes != nil {
		in.Changes = checkChangesStream(changes)
	}
	return in, nil
}

// streamInfo gives what the server says of a stream; nil where there is none.
func (s *Store) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	stream, err := s.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "looking at stream %s at %s: %v", name, s.where(), err)
	}
	return stream.CachedInfo(), nil
}

// checkKeysStream refuses settings by which a key could go that nobody erased: its texts would be gone with it.
func checkKeysStream(info *jetstream.StreamInfo) error {
	c := info.Config
	var l loosened
	l.want(c.DenyPurge, "deny_purge", c.DenyPurge)
	l.want(c.MaxMsgsPerSubject == 1, "max_msgs_per_subject", c.MaxMsgsPerSubject)
	l.want(c.MaxMsgs <= 0, "max_msgs", c.MaxMsgs)
	l.want(c.MaxBytes <= 0, "max_bytes", c.MaxBytes)
	l.want(c.MaxAge == 0, "max_age", c.MaxAge)
	l.want(c.Retention == jetstream.LimitsPolicy, "retention", c.Retention)
	l.want(c.Storage == jetstream.FileStorage, "storage", c.Storage)
	l.want(!c.AllowMsgTTL, "allow_msg_ttl", c.AllowMsgTTL)
	return l.err(c.Name, "keys")
}

// checkChangesStream refuses settings by which followers could miss a change without being told. How long changes are
// kept is the operator's.
func checkChangesStream(info *jetstream.StreamInfo) error {
	c := info.Config
	var l loosened
	l.want(c.DenyDelete, "deny_delete", c.DenyDelete)
	l.want(c.MaxMsgs <= 0, "max_msgs", c.MaxMsgs)
	l.want(c.MaxMsgsPerSubject <= 0, "max_msgs_per_subject", c.MaxMsgsPerSubject)
	l.want(c.Retention == jetstream.LimitsPolicy, "retention", c.Retention)
	l.want(c.Discard == jetstream.DiscardOld, "discard", c.Discard)
	l.want(c.Storage == jetstream.FileStorage, "storage", c.Storage)
	l.want(c.Mirror == nil && len(c.Sources) == 0, "mirror or sources", "set")
	return l.err(c.Name, "changes")
}

// loosened gathers the settings that are not as they were made.
type loosened []string

func (l *loosened) want(ok bool, setting string, got any) {
	if !ok {
		*l = append(*l, fmt.Sprintf("%s is %v", setting, got))
	}
}

func (l loosened) err(stream, of string) error {
	if len(l) == 0 {
		return nil
	}
	return domain.Errorf(domain.Integrity, "log_settings", "stream %s is not set up for %s: %s; permledger makes and keeps its streams itself", stream, of, strings.Join(l, ", "))
}

// Server says how the log's server stands. Errors: Unavailable.
func (s *Store) Server(ctx context.Context) (ServerState, error) {
	st := ServerState{Version: s.nc.ConnectedServerVersion(), Tested: server.VERSION, External: !s.embedded()}
	return st, s.Ready(ctx)
}

// ahead is how far a clock that said at, somewhen between before and after by ours, is ahead of ours at the least.
func ahead(before, at, after time.Time) time.Duration {
	switch {
	case at.Before(before):
		return at.Sub(before)
	case at.After(after):
		return at.Sub(after)
	}
	return 0
}
