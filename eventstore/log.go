package eventstore

// A Log is one organisation's ledger. This file owns what it is and reading single events; publish.go writes to it,
// read.go reads it through.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// Log is one ledger. Its methods may be called concurrently.
type Log struct {
	s       *Store
	org     domain.Org
	name    string // of the stream
	created time.Time
	stream  jetstream.Stream
	known   atomic.Uint64 // the newest event that the server was ever heard to have

	mu  sync.Mutex // one publish at a time uses msg
	msg *message
}

func (s *Store) newLog(org domain.Org, stream jetstream.Stream) *Log {
	info := stream.CachedInfo()
	l := &Log{s: s, org: org, name: streamName(org), created: info.Created, stream: stream, msg: newMessage(org)}
	l.known.Store(info.State.LastSeq)
	return l
}

// Org is whose ledger this is.
func (l *Log) Org() domain.Org { return l.org }

// Created is when the stream was made: with Org, which log this is. One that was deleted and made anew, or restored
// from elsewhere, has another.
func (l *Log) Created() time.Time { return l.created }

// Exclusive says that nobody but this process can write to the log, so that its head is what we last wrote.
func (l *Log) Exclusive() bool { return l.s.embedded() }

// Head is the seq of the last event, 0 for none. Errors: Unavailable; Integrity (code "log_swapped") where the
// stream is not the one that was opened, "log_truncated" where it went further before.
func (l *Log) Head(ctx context.Context) (domain.Seq, error) { return l.headFrom(ctx, 0) }

// headFrom is Head where the log is known to go to seq at least.
//
// What is known is looked up before the server is asked: others ask as well, and one whose answer is newer may be heard
// first, so what is known afterwards says nothing of this answer.
func (l *Log) headFrom(ctx context.Context, seq domain.Seq) (domain.Seq, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	known := max(seq, domain.Seq(l.known.Load()))
	for asked := time.Now(); ; {
		head, err := l.askHead(ctx)
		switch {
		case err != nil:
			return 0, err
		case head >= known:
			l.heard(head)
			return head, nil
		case l.stream.CachedInfo().Config.Replicas < 2 || time.Since(asked) > leaderWait:
			return 0, l.truncated(head, known)
		}
		select {
		case <-ctx.Done():
			return 0, l.unavailable("reading the head", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leaderWait is how long a stream of several replicas may say that it ends before what is known: whichever leads it knows
// all that was acknowledged, but may yet be applying it, and one that was just voted out does not know of more.
const leaderWait = 5 * time.Second

// askHead asks the server how far the log goes.
func (l *Log) askHead(ctx context.Context) (domain.Seq, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return 0, domain.Errorf(domain.Integrity, "log_swapped", "the ledger of %s is gone: stream %s was deleted", l.org, l.name)
		}
		return 0, l.unavailable("reading the head", err)
	}
	if !info.Created.Equal(l.created) {
		return 0, domain.Errorf(domain.Integrity, "log_swapped", "the ledger of %s is another than was opened: its stream was made at %s, ours at %s", l.org,
			info.Created.UTC().Format(time.RFC3339Nano), l.created.UTC().Format(time.RFC3339Nano))
	}
	return domain.Seq(info.State.LastSeq), nil
}

// givenOut asks the embedded server which seq it gave out last, by a publish that it must refuse. Where it came across
// damage while it started it says of the stream, and believes, that it ends before the damage; but not of this. Other
// servers may be about to give out more than they have, so an external one is not asked.
func (l *Log) givenOut(ctx context.Context) (domain.Seq, error) {
	const never = 1 << 62
	_, err := l.s.js.PublishMsg(ctx, &nats.Msg{Subject: "permledger." + string(l.org) + ".event.none"}, jetstream.WithExpectLastSequence(never))
	var refused *jetstream.APIError
	var seq domain.Seq
	if !errors.As(err, &refused) {
		return 0, l.unavailable("asking for the newest seq", err)
	}
	if _, err := fmt.Sscanf(refused.Description, "wrong last sequence: %d", &seq); err != nil {
		return 0, l.unavailable("asking for the newest seq", refused)
	}
	return seq, nil
}

// heard notes that the log goes to seq. The server finds damage in a block when it first reads it, and from then on says
// that the log ends before it: what was opened whole is short without a word.
func (l *Log) heard(seq domain.Seq) {
	for {
		known := l.known.Load()
		if uint64(seq) <= known || l.known.CompareAndSwap(known, uint64(seq)) {
			return
		}
	}
}

// Entry is a recorded event: its place, its id and its stored bytes.
type Entry struct {
	Seq  domain.Seq
	ID   domain.EventID
	Body []byte // never changed afterwards by anyone: it may be kept, but not written to
}

// Get reads one event. Errors: Unknown (code "unknown_event") if the log has none there.
func (l *Log) Get(ctx context.Context, seq domain.Seq) (Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	msg, err := l.stream.GetMsg(ctx, uint64(seq))
	switch {
	case err == nil:
		return Entry{Seq: domain.Seq(msg.Sequence), ID: domain.EventID(msg.Header.Get(nats.MsgIdHdr)), Body: msg.Data}, nil
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return Entry{}, l.unavailable(fmt.Sprintf("reading event %d", seq), err)
	case l.s.embedded():
		return Entry{}, l.noEvent(seq)
	}
	// Any replica answers a direct read, also one that is behind. Only the leader can say that there is no event.
	return l.leaderGet(ctx, seq)
}

// leaderGet reads one event from the stream's leader, which knows everything that was acknowledged.
func (l *Log) leaderGet(ctx context.Context, seq domain.Seq) (Entry, error) {
	resp, err := l.s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+l.name, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return Entry{}, l.unavailable(fmt.Sprintf("reading event %d", seq), err)
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Hdrs []byte
			Data []byte
		}
	}
	if err := json.Unmarshal(resp.Data, &answer); err != nil {
		return Entry{}, l.unavailable(fmt.Sprintf("reading event %d", seq), err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return Entry{}, l.noEvent(seq)
		}
		return Entry{}, l.unavailable(fmt.Sprintf("reading event %d", seq), answer.Error)
	}
	header, err := nats.DecodeHeadersMsg(answer.Message.Hdrs)
	if err != nil {
		return Entry{}, domain.Errorf(domain.Integrity, "log_unreadable", "event %d of %s has no readable headers: %v", seq, l.org, err)
	}
	return Entry{Seq: seq, ID: domain.EventID(header.Get(nats.MsgIdHdr)), Body: answer.Message.Data}, nil
}

func (l *Log) noEvent(seq domain.Seq) error {
	return domain.Errorf(domain.Unknown, "unknown_event", "the ledger of %s has no event %d", l.org, seq)
}

// unavailable says that what was attempted failed for want of the log, not for what was asked.
func (l *Log) unavailable(attempt string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "%s of the ledger of %s at %s: %v", attempt, l.org, l.s.where(), err)
}
