package eventstore

// Reading a log through, once (Read) or on and on (Follow). The order, the gaplessness and the log's identity are
// checked here: the client library's ordered consumer moves its own cursor before it hands a message over, and after
// a server was restored from elsewhere it would go on without a word. Nothing is skipped.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	// readWindow is how many events the server may send ahead of what was consumed.
	readWindow = 4096
	// fewEvents is up to how many are got one by one: making a consumer costs as much as some twenty direct reads.
	fewEvents = 16
	// idleCheck is how often Follow looks whether its connection is still the same when no event comes.
	idleCheck = 5 * time.Second
	// heartbeat is how often a server with nothing to send says that it is there. Where two are missing the reader begins
	// anew: its consumer may have gone with a server of the cluster that it had no connection to. Two are shorter than
	// idleCheck, because each look begins the wait for them anew.
	heartbeat = 2 * time.Second
)

// Read gives the events after `after` up to and including upTo, in order, each once. The last pair holds the error
// if there is one: Integrity (code "log_truncated") where the log ends before upTo, "log_gap" where an event is
// missing; Unavailable where the server went away. Breaking off is fine.
func (l *Log) Read(ctx context.Context, after, upTo domain.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if upTo <= after {
			return
		}
		head, err := l.headFrom(ctx, upTo)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if upTo-after <= fewEvents {
			for seq := after + 1; seq <= upTo; seq++ {
				e, err := l.Get(ctx, seq)
				if errors.Is(err, domain.Unknown) {
					err = domain.Errorf(domain.Integrity, "log_gap", "reading the ledger of %s: event %d is missing, the log ends at %d", l.org, seq, head)
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
			return
		}
		r, err := l.openReader(ctx, after)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer r.close()
		for r.last < upTo {
			if err := r.stretch(ctx, upTo, yield); err != nil {
				if !errors.Is(err, errStopped) {
					yield(Entry{}, err)
				}
				return
			}
		}
	}
}

// stretch hands on what comes in idleCheck, up to upTo, which is in the log. Where nothing came in all that time it looks
// whether the next event is there: the server steps over a message that it can't read without a word, and where that is
// the last one, nothing would ever come to tell of it.
func (r *reader) stretch(ctx context.Context, upTo domain.Seq, yield func(Entry, error) bool) error {
	period, cancel := context.WithTimeout(ctx, idleCheck)
	defer cancel()
	begin := r.last
	for r.last < upTo {
		e, err := r.next(period)
		switch {
		case err == nil && !yield(e, nil):
			return errStopped
		case err == nil:
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return err
		case r.last > begin:
			return nil
		default:
			_, err := r.log.Get(ctx, r.last+1)
			if errors.Is(err, domain.Unknown) {
				return domain.Errorf(domain.Integrity, "log_gap", "reading the ledger of %s: event %d can't be read, the log goes to %d", r.log.org, r.last+1, upTo)
			}
			return err
		}
	}
	return nil
}

// Follow gives the events after `after` and then each one as it is recorded. It survives reconnections and restarts
// of the server, looks after each whether it is still the log that it followed, and ends with ctx, without an error.
// Errors: Integrity as Read's, and "log_swapped" or "log_forked" where the log is another than before.
func (l *Log) Follow(ctx context.Context, after domain.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f := follower{log: l, last: Entry{Seq: after}}
		for ctx.Err() == nil {
			err := f.follow(ctx, yield)
			switch {
			case errors.Is(err, errStopped) || ctx.Err() != nil:
				return
			case err != nil && !errors.Is(err, domain.Unavailable):
				yield(Entry{}, err)
				return
			case err != nil:
				l.s.log.Warn("following the log: trying again", "org", l.org, "after", f.last.Seq, "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// errStopped: the consumer of a Follow broke off.
var errStopped = errors.New("stopped")

type follower struct {
	log  *Log
	last Entry // without its body; ID "" before the first event
}

// follow reads on from f.last over one connection: until it is lost, the log is not the same any more, or yield is
// done.
func (f *follower) follow(ctx context.Context, yield func(Entry, error) bool) error {
	connection := f.log.s.nc.Stats().Reconnects
	if err := f.sameLog(ctx); err != nil {
		return err
	}
	r, err := f.log.openReader(ctx, f.last.Seq)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		period, cancel := context.WithTimeout(ctx, idleCheck)
		for err == nil {
			var e Entry
			e, err = r.next(period)
			// Whatever came over another connection may be from another server: look first.
			if f.log.s.nc.Stats().Reconnects != connection {
				cancel()
				return nil
			}
			if err == nil {
				f.last = Entry{Seq: e.Seq, ID: e.ID}
				if !yield(e, nil) {
					err = errStopped
				}
			}
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		err = nil
	}
}

// sameLog checks that the log still holds what was followed so far.
func (f *follower) sameLog(ctx context.Context) error {
	if _, err := f.log.headFrom(ctx, f.last.Seq); err != nil {
		return err
	}
	if f.last.ID == "" {
		return nil
	}
	e, err := f.log.Get(ctx, f.last.Seq)
	if err != nil {
		return err
	}
	if e.ID != f.last.ID {
		return domain.Errorf(domain.Integrity, "log_forked", "following the ledger of %s: event %d is %s now and was %s", f.log.org, e.Seq, e.ID, f.last.ID)
	}
	return nil
}

func (l *Log) truncated(head, known domain.Seq) error {
	return domain.Errorf(domain.Integrity, "log_truncated", "reading the ledger of %s: it ends at event %d, and %d is known to have been recorded", l.org, head, known)
}

// reader is one pass over the log. It holds the rule that each event is the one after the one before.
type reader struct {
	log      *Log
	last     domain.Seq
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
}

func (l *Log) openReader(ctx context.Context, after domain.Seq) (*reader, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c, err := l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       uint64(after) + 1,
		InactiveThreshold: time.Minute, // of a consumer that a killed process left
		MaxResetAttempts:  1,           // its own retries do not end with our context: we retry ourselves
	})
	if err != nil {
		return nil, l.unavailable("reading", err)
	}
	m, err := c.Messages(jetstream.PullMaxMessages(readWindow), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return nil, l.unavailable("reading", err)
	}
	return &reader{log: l, last: after, consumer: c, messages: m}, nil
}

// close also deletes the server's side, which would otherwise stay for a minute: readers are many.
func (r *reader) close() {
	r.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if info := r.consumer.CachedInfo(); info != nil && r.log.s.nc.IsConnected() {
		_ = r.log.s.js.DeleteConsumer(ctx, r.log.name, info.Name) // it goes by itself if this fails
	}
}

func (r *reader) next(ctx context.Context) (Entry, error) {
	msg, err := r.messages.Next(jetstream.NextContext(ctx))
	if err != nil && ctx.Err() != nil {
		return Entry{}, ctx.Err()
	}
	return r.take(msg, err) // an end of time that is not our context's is the client's own, who found no consumer in it
}

func (r *reader) take(msg jetstream.Msg, err error) (Entry, error) {
	if err != nil {
		return Entry{}, r.log.unavailable(fmt.Sprintf("reading event %d", r.last+1), err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return Entry{}, r.log.unavailable(fmt.Sprintf("reading event %d", r.last+1), err)
	}
	seq := domain.Seq(meta.Sequence.Stream)
	if seq != r.last+1 {
		return Entry{}, domain.Errorf(domain.Integrity, "log_gap", "reading the ledger of %s: after event %d came %d", r.log.org, r.last, seq)
	}
	r.last = seq
	return Entry{Seq: seq, ID: domain.EventID(msg.Headers().Get(nats.MsgIdHdr)), Body: msg.Data()}, nil
}
