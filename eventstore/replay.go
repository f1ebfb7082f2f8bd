package eventstore

// Reading a long stretch of the embedded server's log, as a rebuild does: bodies only, many to a request. It costs half of
// what a consumer does, most of which goes into headers. It never decides that something is wrong: wherever an answer is
// not exactly what was asked for, read.go goes on from there and says what it is.

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/permledger/permledger/domain"
)

const (
	// replayBatch is how many events one request asks for. While the server answers, some millisecond, the connection's
	// other requests wait.
	replayBatch = 512
	// replayBytes ends a batch early. One event may go beyond it.
	replayBytes = 4 << 20
	// replayAhead is how many batches lie ready for whoever is slower than the server.
	replayAhead = 2
)

// Replay gives the same events as Read, with the same errors. It leaves out their IDs wherever it can: the bodies say
// them as well.
func (l *Log) Replay(ctx context.Context, after, upTo domain.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if l.s.embedded() && upTo > after+replayBatch {
			var more bool
			if after, more = l.replay(ctx, after, upTo, yield); !more {
				return
			}
		}
		for e, err := range l.Read(ctx, after, upTo) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// replay goes as far as every answer is as it should be, and gives how far that is. more is false where yield had enough.
func (l *Log) replay(ctx context.Context, after, upTo domain.Seq, yield func(Entry, error) bool) (last domain.Seq, more bool) {
	if head, err := l.Head(ctx); err != nil || head < upTo {
		return after, true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &replayer{log: l, ctx: ctx, inbox: l.s.nc.NewInbox(), last: after, upTo: upTo, batches: make(chan []Entry, replayAhead)}
	sub, err := l.s.nc.Subscribe(r.inbox, r.take)
	if err != nil {
		return after, true
	}
	defer func() { _ = sub.Unsubscribe() }() // where it fails the connection is closed, and the subscription with it
	r.ask()
	patience := time.NewTimer(idleCheck)
	defer patience.Stop()
	for after < upTo {
		patience.Reset(idleCheck)
		select {
		case batch, ok := <-r.batches:
			if !ok {
				return after, true
			}
			for _, e := range batch {
				if !yield(e, nil) {
					return after, false
				}
				after = e.Seq
			}
		case <-patience.C:
			return after, true
		case <-ctx.Done():
			return after, true
		}
	}
	return after, true
}

// A replayer asks for one batch after another. But for its making it is the subscription's goroutine's.
type replayer struct {
	log   *Log
	ctx   context.Context
	inbox string
	upTo  domain.Seq
	last  domain.Seq // the newest that was taken
	batch []Entry    // what came so far of the one that was asked for
	over  bool

	batches chan []Entry // closed where an answer is not as it should be
}

// ask asks for the next batch. Where that fails no answer comes, and the reader loses its patience.
func (r *replayer) ask() {
	n := min(uint64(r.upTo-r.last), replayBatch)
	r.batch = make([]Entry, 0, n)
	_ = r.log.s.nc.PublishRequest("$JS.API.DIRECT.GET."+r.log.name, r.inbox, fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d,"no_hdr":true}`, r.last+1, n, replayBytes))
}

// take takes one message: an event without headers, or headers that end the batch.
func (r *replayer) take(msg *nats.Msg) {
	if r.over || r.ctx.Err() != nil {
		return
	}
	if msg.Header == nil {
		r.last++
		r.batch = append(r.batch, Entry{Seq: r.last, Body: msg.Data})
		return
	}
	// Without headers an event does not say where it stands. Where as many came as lie between what was asked for and what
	// the server says was the last, none was stepped over.
	last, err := strconv.ParseUint(msg.Header.Get(nats.JSLastSequence), 10, 64)
	if err != nil || msg.Header.Get("Status") != "204" || domain.Seq(last) != r.last || len(r.batch) == 0 {
		r.over = true // whatever still comes counts for nothing
		close(r.batches)
		return
	}
	batch := r.batch
	if r.last < r.upTo {
		r.ask() // so that the server is at it while the reader is at this
	}
	select {
	case r.batches <- batch:
	case <-r.ctx.Done():
	}
}
