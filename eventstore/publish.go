package eventstore

// Writing: one event at a time without waiting (Publish), several as one (PublishBatch), and both with every lost
// answer looked into (Append, Settle). Nothing here retries a write: whoever decided it has to decide again.
//
// What the server can answer, and what it means:
//
//	ack at expected+1           recorded, on disk
//	10070, 10071, 10164         the log is not at expected, or ends with another event. Also what a repeated write of ours gets when the first one's
//	                            answer was lost: so the tail says whether it is a conflict or a success
//	10158, 10201                the id was seen within the duplicate window: the tail says where
//	any other error             not recorded, but for a failing disk, where the tail says
//	nothing (timeout, cut)      not known: the tail says whether it is there now; if not, it may still come
//
// A write that comes late is harmless: it comes at its expected sequence or not at all.

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/permledger/permledger/domain"
)

// The server's answers that Settle has to look into.
const (
	codeWrongLastID               = 10070
	codeWrongLastSequence         = 10071
	codeWrongLastSequenceConstant = 10164
	codeDuplicateInProcess        = 10158
	codeBatchHasDuplicate         = 10201
	codeBatchTooLarge             = 10199
	codeBatchIncomplete           = 10176
	codeStoreFailed               = 10077
)

// ackWait is how long a write may take until its outcome counts as unknown.
const ackWait = 10 * time.Second

// Record is an event to be written: its stored bytes and what its headers say of it.
type Record struct {
	ID         domain.EventID
	Type       domain.EventType
	RecordedAt domain.Instant
	Body       []byte // read until the call returns, never kept
}

// message is one NATS message, filled anew for each event: headers are what a publish costs most, and the client
// encodes them before PublishMsg returns. CloudEvents 1.0 in binary mode, and the id once more as Nats-Msg-Id.
type message struct {
	org              domain.Org
	subjects         map[domain.EventType]string
	msg              nats.Msg
	id, typ, at, exp []string
	behind           []string
}

func newMessage(org domain.Org) *message {
	m := &message{org: org, subjects: map[domain.EventType]string{}, id: []string{""}, typ: []string{""}, at: []string{""}, exp: []string{""}, behind: []string{""}}
	m.msg.Header = nats.Header{
		nats.MsgIdHdr:    m.id,
		"ce-specversion": {"1.0"},
		"ce-id":          m.id,
		"ce-source":      {"/orgs/" + string(org)},
		"ce-type":        m.typ,
		"ce-time":        m.at,
		"content-type":   {"application/json"},
	}
	return m
}

func (m *message) fill(rec Record) *nats.Msg {
	subject, ok := m.subjects[rec.Type]
	if !ok {
		subject = "permledger." + string(m.org) + ".event." + string(rec.Type)
		m.subjects[rec.Type] = subject
	}
	m.id[0], m.typ[0], m.at[0] = string(rec.ID), string(rec.Type), rec.RecordedAt.String()
	m.msg.Subject, m.msg.Data, m.msg.Reply = subject, rec.Body, ""
	delete(m.msg.Header, nats.ExpectedLastSeqHdr)
	delete(m.msg.Header, nats.ExpectedLastMsgIdHdr)
	return &m.msg
}

func (m *message) expect(last domain.Seq) {
	m.exp[0] = strconv.FormatUint(uint64(last), 10)
	m.msg.Header[nats.ExpectedLastSeqHdr] = m.exp
}

func (m *message) expectID(last domain.EventID) {
	m.behind[0] = string(last)
	m.msg.Header[nats.ExpectedLastMsgIdHdr] = m.behind
}

// Pending is a write whose answer is awaited.
type Pending struct {
	log   *Log
	after domain.Seq // the event that it must come after
	seq   domain.Seq // where it is to end; 0: wherever (a key)
	done  chan struct{}
	err   error // set before done is closed
	timer *time.Timer
}

// Done is closed when the outcome is there, at the latest after ten seconds.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Err is the outcome, once Done is closed: nil says recorded and on disk at expected+1. With any error ask Settle:
// what failed may have been recorded.
func (p *Pending) Err() error { return p.err }

// wait gives the outcome, or that it is not known when ctx ends.
func (p *Pending) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return p.log.unknownOutcome(p.after, ctx.Err().Error())
	}
}

// Moved says that err means the log is not where the write expected it: somebody else has written. Catch up, decide
// again.
func Moved(err error) bool {
	var e *domain.Error
	return errors.As(err, &e) && e.Code == "log_moved"
}

// Publish sends rec to be written right after expected, and does not wait. Publishes go out in the order of the
// calls, so a caller may send the next at expected+1 at once. It then names the one before it, behind, whose answer it has
// not seen yet: if that one is refused or lost, so is this, also where another's event has come to its place. behind is ""
// where expected is known to be in the log. An error from Publish itself says that nothing was sent: Unavailable, or
// Malformed (code "event_too_large").
func (l *Log) Publish(rec Record, expected domain.Seq, behind domain.EventID) (*Pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	msg := l.msg.fill(rec)
	l.msg.expect(expected)
	if behind != "" {
		l.msg.expectID(behind)
	}
	return l.send(msg, expected, expected+1)
}

// send publishes msg, which makes the log go on after the event `after` to seq, asking for an answer.
func (l *Log) send(msg *nats.Msg, after, seq domain.Seq) (*Pending, error) {
	p := &Pending{log: l, after: after, seq: seq, done: make(chan struct{})}
	msg.Reply = l.s.acks.expect(p)
	if err := l.s.nc.PublishMsg(msg); err != nil {
		l.s.acks.take(msg.Reply)
		return nil, l.notSent(msg, err)
	}
	return p, nil
}

func (l *Log) notSent(msg *nats.Msg, err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return domain.Errorf(domain.Malformed, "event_too_large", "recording in the ledger of %s: the event has %d bytes, the log takes %d with headers", l.org, len(msg.Data), l.s.nc.MaxPayload())
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "recording in the ledger of %s at %s: %v; nothing was recorded", l.org, l.s.where(), err)
}

// PublishBatch writes recs right after expected, all or none, and waits for the answer. Errors as Pending.Err, and
// Malformed (code "too_many_events") for more than the server takes in one batch. With any other error ask Settle.
//
// It is JetStream's atomic batch (ADR-50): the server stages the messages of one batch id, and with the one that says
// commit it checks and stores them all. One of its own goes out without an answer asked for; whatever is wrong with
// it fails the commit.
func (l *Log) PublishBatch(ctx context.Context, recs []Record, expected domain.Seq) error {
	if most := l.s.maxBatch(); len(recs) > most {
		return l.tooMany(len(recs), strconv.Itoa(most))
	}
	m := newMessage(l.org)
	place := []string{""}
	m.msg.Header["Nats-Batch-Id"] = []string{nuid.Next()}
	m.msg.Header["Nats-Batch-Sequence"] = place
	last := len(recs) - 1
	for i, rec := range recs {
		msg := m.fill(rec)
		place[0] = strconv.Itoa(i + 1)
		if i == 0 {
			m.expect(expected)
		}
		if i < last {
			if err := l.s.nc.PublishMsg(msg); err != nil {
				return l.notSent(msg, err)
			}
			continue
		}
		msg.Header["Nats-Batch-Commit"] = []string{"1"}
		p, err := l.send(msg, expected, expected+domain.Seq(len(recs))) // the commit point of a command of several events
		if err != nil {
			return err
		}
		return p.wait(ctx)
	}
	return nil
}

func (l *Log) tooMany(n int, limit string) error {
	return domain.Errorf(domain.Malformed, "too_many_events", "recording %d events at once in the ledger of %s: the log's limit is %s; send fewer commands together", n, l.org, limit)
}

// Append writes recs right after expected, all or none, and waits until they are on disk. Errors: Conflict (code
// "log_moved", see Moved) when the log is not at expected, Unavailable when the log can't take it, which says whether
// anything may have been recorded, and Malformed for too many or too large.
func (l *Log) Append(ctx context.Context, recs []Record, expected domain.Seq) error {
	err := l.write(ctx, recs, expected)
	if err == nil || errors.Is(err, domain.Malformed) {
		return err
	}
	return l.Settle(ctx, recs, expected, err)
}

func (l *Log) write(ctx context.Context, recs []Record, expected domain.Seq) error {
	if len(recs) != 1 {
		return l.PublishBatch(ctx, recs, expected)
	}
	p, err := l.Publish(recs[0], expected, "")
	if err != nil {
		return err
	}
	return p.wait(ctx) // the commit point of a command of one event
}

// Settle finds out what became of recs, which were written together right after expected and failed with err: nil if
// they are in the log there; Conflict (code "log_moved") if something else is; err if nothing is there yet. It asks
// the stream's leader, and keeps asking through a reconnection, for ten seconds at most.
func (l *Log) Settle(ctx context.Context, recs []Record, expected domain.Seq, err error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	first, readErr := l.persistentGet(ctx, expected+1)
	switch {
	case errors.Is(readErr, domain.Unknown):
		return err // also of a publish whose predecessor was refused: the log ends before expected
	case readErr != nil:
		return err // that the log can't be read says no more than err does
	case first.ID != recs[0].ID:
		return l.moved(expected, "event "+strconv.FormatUint(uint64(expected)+1, 10)+" is another")
	case len(recs) == 1:
		return nil
	}
	// The server commits a batch whole: with its first event there all are, or are just being applied.
	end := expected + domain.Seq(len(recs))
	last, readErr := l.persistentGet(ctx, end)
	switch {
	case readErr != nil:
		return err
	case last.ID != recs[len(recs)-1].ID:
		return domain.Errorf(domain.Integrity, "log_torn", "recording in the ledger of %s: of %d events written together at %d the first is there, but at %d is another than the last", l.org, len(recs), expected+1, end)
	}
	return nil
}

// persistentGet is leaderGet, tried again while the log does not answer.
func (l *Log) persistentGet(ctx context.Context, seq domain.Seq) (Entry, error) {
	for {
		e, err := l.leaderGet(ctx, seq)
		if err == nil || !errors.Is(err, domain.Unavailable) {
			return e, err
		}
		select {
		case <-ctx.Done():
			return e, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *Log) moved(expected domain.Seq, how string) error {
	return domain.Errorf(domain.Conflict, "log_moved", "recording in the ledger of %s after event %d: the log has moved on (%s); decide again", l.org, expected, how)
}

// refusal is what the server's error means for the write.
func (p *Pending) refusal(refused *jetstream.APIError) error {
	switch refused.ErrorCode {
	case codeWrongLastID, codeWrongLastSequence, codeWrongLastSequenceConstant, codeDuplicateInProcess, codeBatchHasDuplicate:
		return p.log.moved(p.after, refused.Description)
	case codeStoreFailed:
		return p.log.unknownOutcome(p.after, refused.Description)
	case codeBatchIncomplete: // it was not: the server keeps what is to come together in files
		return domain.Errorf(domain.Unavailable, "log_unavailable", "recording after event %d of %s: the log could not keep %d events until all were there; see that its disk has room; nothing was recorded", p.after, p.log.org, p.seq-p.after)
	case codeBatchTooLarge:
		return p.log.tooMany(int(p.seq-p.after), refused.Description)
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "recording after event %d of %s: the log refused it: %s; nothing was recorded", p.after, p.log.org, refused.Description)
}

func (l *Log) unknownOutcome(after domain.Seq, why string) error {
	return domain.Errorf(domain.Unavailable, "log_unavailable", "recording after event %d of %s: %s; whether it was recorded is not known, sending it again with the same id tells", after, l.org, why)
}
