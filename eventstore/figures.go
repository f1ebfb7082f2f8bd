package eventstore

// Figures of the log's server, for whoever watches over it. Nothing is decided by them.

import (
	"context"

	"github.com/permledger/permledger/domain"
)

// Figures are those of the whole server, or of our account at an external one.
type Figures struct {
	Streams, Consumers      int
	StoreBytes, MemoryBytes uint64
	Requests, Errors        uint64 // to and of JetStream's API, since the server started

	Own *OwnFigures // the embedded server's; nil for an external one, which is watched over by others
}

// OwnFigures are what the embedded server knows of itself.
type OwnFigures struct {
	Messages      uint64
	Connections   int    // ours, and those of programs that follow and ask
	SlowConsumers uint64 // connections cut because they did not take what they had asked for
}

// Figures gives them as they are now. Errors: Unavailable.
func (s *Store) Figures(ctx context.Context) (Figures, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	a, err := s.js.AccountInfo(ctx)
	if err != nil {
		return Figures{}, domain.Errorf(domain.Unavailable, "log_unavailable", "asking the log at %s for its figures: %v", s.where(), err)
	}
	f := Figures{Streams: a.Streams, Consumers: a.Consumers, StoreBytes: a.Store, MemoryBytes: a.Memory, Requests: a.API.Total, Errors: a.API.Errors}
	if !s.embedded() {
		return f, nil
	}
	info, err := s.srv.Jsz(nil)
	if err != nil {
		return Figures{}, domain.Errorf(domain.Unavailable, "log_unavailable", "asking the log at %s for its figures: %v", s.where(), err)
	}
	f.Own = &OwnFigures{Messages: info.Messages, Connections: s.srv.NumClients(), SlowConsumers: uint64(s.srv.NumSlowConsumers())}
	return f, nil
}
