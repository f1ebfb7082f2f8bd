package ledger

// The way to the log's server for what is served beside the ledgers over NATS. Nothing here writes to a ledger.

import "github.com/nats-io/nats.go"

// NATS gives the connection to the log's server. It is the service's, and closed with it.
func (s *Service) NATS() *nats.Conn { return s.store.JetStream().Conn() }
