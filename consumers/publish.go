package consumers

// Publishing: computing what changed, and putting each change into the stream once, in its place. Nothing here decides
// what changed, and nothing waits for readers.
//
// Every message is published at its expected sequence, without waiting for the one before. Since message n of the stream
// is the same change for every server (stream.go), that is all there is to exactness: a message arrives in its place or
// is refused, however often, late or by whomever it is sent. Nothing is elected and nothing leased. What remains is not to
// do everything as many times as there are servers: one that was refused because another was first stands by from then
// on. It computes as before, but publishes what it has computed only if that has not come through the stream for a while
// (takeover); if that succeeds, the other is gone or slow, and it is the active one.
//
// After a refusal, and at each start, the stream itself says where to go on: behind its last message.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	// takeover is how long a server that stands by waits for another to publish what it knows of.
	takeover = 250 * time.Millisecond

	// What may be in flight: what a backlog costs in memory, here and in the server's queue.
	windowMessages = 1_024
	windowBytes    = 4 << 20

	// stretch is how many events are asked of the ledger at once.
	stretch = 4_096

	// ackWait is how long no answer at all counts as trouble, and connectionCheck how often the wait looks whether there can
	// be one.
	ackWait         = 5 * time.Second
	connectionCheck = 100 * time.Millisecond

	// keepEvery is how often the position is written at most. It is synced, and only spares work.
	keepEvery = time.Second
)

// errRefused: the stream does not end where a message was to come.
var errRefused = errors.New("another message is there")

// A publisher is one session's publishing.
type publisher struct {
	f      *Feed
	s      *stream
	at     place  // computed up to here
	have   uint64 // messages up to it are in the stream: they are counted, not published
	active bool
	known  time.Time // when the newest event became known, or a refusal said that another is at it

	sent uint64 // sequence of the newest message sent
	acks acks
	out  int                 // bytes sent
	sum  [windowMessages]int // bytes sent when a message was, by its sequence

	kept domain.Seq // of the position
	when time.Time  // of that
}

// publish publishes until ctx ends or something is wrong. It calls well when it is level with the ledger for the first
// time, or has done a stretch.
func (f *Feed) publish(ctx context.Context, s *stream, well func()) error {
	p := &publisher{f: f, s: s, active: true, known: time.Now(), when: time.Now()}
	p.acks.wake = make(chan struct{}, 1)
	if err := p.acks.listen(f.o.JS.Conn()); err != nil {
		return f.unavailable("listening for the stream's answers", err)
	}
	defer p.acks.close()
	if err := p.resume(ctx); err != nil {
		return err
	}
	err := p.run(ctx, well)
	if ctx.Err() != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.keep(closing) // it only spares work
	}
	return err
}

func (p *publisher) run(ctx context.Context, well func()) error {
	for {
		err := p.next(ctx, well)
		if errors.Is(err, errRefused) {
			p.active, p.known = false, time.Now()
			p.acks.drain(ctx)
			err = p.resume(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// next publishes a stretch, or waits for the ledger to go on.
func (p *publisher) next(ctx context.Context, well func()) error {
	if !p.active {
		p.skip()
	}
	l := p.f.o.Ledger
	through := p.at.through()
	if head := l.Head(); head > through {
		if err := p.steps(ctx, min(head, through+stretch)); err != nil {
			return err
		}
		if p.at.through() < l.Head() { // a backlog: what is in flight need not be waited for
			p.f.ring.reached(p.at)
			well()
			return p.keepNow(ctx)
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	if p.at.stream >= p.have {
		p.f.ring.begin(p.at)
	}
	p.f.ring.reached(p.at)
	well()
	if err := p.keepNow(ctx); err != nil {
		return err
	}
	if err := l.Await(ctx, p.at.through()); err != nil {
		return ledgerError{err}
	}
	p.known = time.Now()
	return nil
}

// resume takes its place from the stream.
func (p *publisher) resume(ctx context.Context) error {
	at, have, err := p.f.resume(ctx, p.s)
	if err != nil {
		return err
	}
	p.at, p.have, p.kept = at, have, at.through()
	p.restart(at.stream)
	if p.at.stream == p.have {
		p.f.ring.begin(p.at)
	}
	return nil
}

// skip goes on to what has come through the stream: whoever stands by need not compute that.
func (p *publisher) skip() {
	if seen, last, _, _ := p.f.ring.progress(); seen > p.at.stream {
		p.at = place{cursor: last, stream: seen, last: last}
		p.have = max(p.have, seen)
	}
}

// steps computes and publishes the events up to upTo.
func (p *publisher) steps(ctx context.Context, upTo domain.Seq) error {
	for step, err := range p.f.o.Ledger.Steps(ctx, p.at.through(), upTo) {
		if err != nil {
			return ledgerError{err}
		}
		changes := ChangesOf(step, p.f.mark)
		if p.at.cursor.Seq == step.Seq { // the first of them are there
			if p.at.cursor.N > len(changes) {
				return domain.Errorf(domain.Integrity, "feed_differs", "change feed of %s: its stream has %d changes of event %d, the ledger %d; delete the stream %s, it is made again from the ledger",
					p.f.org, p.at.cursor.N, step.Seq, len(changes), changesName(p.f.org))
			}
			changes = changes[p.at.cursor.N:]
		}
		if err := p.event(ctx, changes); err != nil {
			return err
		}
		p.at.cursor = Cursor{Seq: step.Seq, Mark: p.f.mark}
	}
	return nil
}

// event publishes what remains of one event's changes.
func (p *publisher) event(ctx context.Context, changes []Change) error {
	end := p.at.stream + uint64(len(changes))
	takingOver := false
	if !p.active && end > p.have {
		there, err := p.published(ctx, end)
		if err != nil {
			return err
		}
		takingOver = !there
	}
	for i := range changes {
		c := &changes[i]
		if p.at.stream >= p.have {
			if p.at.stream == p.have {
				p.f.ring.begin(p.at) // where all was dropped, counting ends here
			}
			if err := p.send(ctx, c); err != nil {
				return err
			}
		}
		p.at = place{cursor: c.Cursor, stream: p.at.stream + 1, last: c.Cursor}
	}
	if !takingOver {
		return nil
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	p.active = true
	return nil
}

// published waits until the messages up to a sequence have come through the stream, or nothing has for a while.
func (p *publisher) published(ctx context.Context, upTo uint64) (bool, error) {
	for {
		seen, _, moved, wake := p.f.ring.progress()
		p.have = max(p.have, seen)
		if p.have >= upTo {
			return true, nil
		}
		if moved.Before(p.known) {
			moved = p.known
		}
		rest := takeover - time.Since(moved)
		if rest <= 0 {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-wake:
		case <-time.After(rest):
		}
	}
}

// send sends a change to come after the place. Errors: errRefused, of what was sent before; Unavailable.
func (p *publisher) send(ctx context.Context, c *Change) error {
	if p.sent < p.at.stream { // others were counted, or came from another server
		p.restart(p.at.stream)
	}
	if err := p.room(ctx); err != nil {
		return err
	}
	index := 1
	if p.at.cursor.Seq == c.Seq {
		index = p.at.cursor.N + 1
	}
	msg, err := p.f.encode(c, index, p.at.last)
	if err != nil {
		return err
	}
	msg.Header[nats.ExpectedLastSeqHdr] = []string{strconv.FormatUint(p.sent, 10)}
	msg.Reply = p.acks.reply(p.sent + 1)
	if err := p.f.o.JS.Conn().PublishMsg(msg); err != nil {
		return p.f.unavailable("publishing message "+strconv.FormatUint(p.sent+1, 10), err)
	}
	p.sent++
	p.out += len(msg.Data)
	p.sum[p.sent%windowMessages] = p.out
	return nil
}

// encode makes a change a message: CloudEvents 1.0 in binary mode, as the ledger's own. The index counts the changes of
// an event from 1.
func (f *Feed) encode(c *Change, index int, previous Cursor) (*nats.Msg, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding the change %v of %s: %w", c.Cursor, f.org, err)
	}
	id := string(f.org) + "." + strconv.FormatUint(uint64(c.Seq), 10) + "." + strconv.Itoa(index)
	return &nats.Msg{
		Subject: changesSubject(f.org) + c.Kind + "." + string(c.Subject.Kind()),
		Header: nats.Header{
			nats.MsgIdHdr:    {id},
			previousHeader:   {previous.String()},
			"ce-specversion": {"1.0"},
			"ce-id":          {id + "~" + f.mark}, // another log of the organisation has the same seqs
			"ce-source":      {"/orgs/" + string(f.org) + "/changes"},
			"ce-type":        {"permledger.change." + c.Kind},
			"ce-time":        {c.At.String()},
			"ce-subject":     {string(c.Subject)},
			"content-type":   {"application/json"},
		},
		Data: body,
	}, nil
}

// restart says that everything up to a sequence is in the stream, and nothing in flight.
func (p *publisher) restart(sequence uint64) {
	p.sent = sequence
	p.sum[sequence%windowMessages] = p.out
	p.acks.reset(sequence)
}

// room waits until the window has room for one more.
func (p *publisher) room(ctx context.Context) error {
	return p.wait(ctx, func(acked uint64) bool {
		return p.sent-acked < windowMessages && (p.sent == acked || p.out-p.sum[acked%windowMessages] < windowBytes)
	})
}

// settle waits until everything sent is in the stream.
func (p *publisher) settle(ctx context.Context) error {
	return p.wait(ctx, func(acked uint64) bool { return acked >= p.sent })
}

// wait waits for answers until enough is acknowledged. Errors: errRefused; Unavailable where an answer says so, the
// connection was renewed (then the answers are lost), or none comes.
func (p *publisher) wait(ctx context.Context, enough func(acked uint64) bool) error {
	acked, err := p.acks.state()
	if err != nil {
		return p.judge(err)
	}
	if enough(acked) {
		return nil
	}
	check := time.NewTicker(connectionCheck)
	defer check.Stop()
	for since := time.Now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.acks.wake:
		case <-check.C:
			if err := p.f.sameConnection(p.s); err != nil {
				return err
			}
			if time.Since(since) > ackWait {
				return p.f.unavailable("publishing", fmt.Errorf("no answer to message %d in %v", acked+1, ackWait))
			}
		}
		now, err := p.acks.state()
		switch {
		case err != nil:
			return p.judge(err)
		case enough(now):
			return nil
		case now > acked:
			acked, since = now, time.Now()
		}
	}
}

func (p *publisher) judge(err error) error {
	if errors.Is(err, errRefused) {
		return err
	}
	return p.f.unavailable("publishing", err)
}

// keepNow keeps the position if it moved and was not kept for a while.
func (p *publisher) keepNow(ctx context.Context) error {
	if time.Since(p.when) < keepEvery {
		return nil
	}
	return p.keep(ctx)
}

// keep writes the position if it moved. It need not be acknowledged yet: a position counts only where the stream reaches to it.
func (p *publisher) keep(ctx context.Context) error {
	if p.at.cursor.N > 0 || p.at.cursor.Seq <= p.kept {
		return nil
	}
	p.kept, p.when = p.at.cursor.Seq, time.Now()
	return p.f.keep(ctx, position{Seq: p.kept, Stream: p.at.stream, Last: p.at.last, Made: p.s.made})
}

// The server's answers that mean the stream does not end where the message was to come: the last one by its id, of a
// replicated stream, while the same change is just being stored for another server.
const (
	codeWrongLastSequence         = 10071
	codeWrongLastSequenceConstant = 10164
	codeDuplicateInProcess        = 10158
)

// acks takes the answers to what was sent. They come in order, so the newest tells for all before it.
type acks struct {
	inbox string
	sub   *nats.Subscription
	wake  chan struct{} // has one when something came

	mu     sync.Mutex
	prefix string // of reply subjects; another after each reset, so that late answers are nobody's
	resets int
	asked  int // how many answers are due
	acked  uint64
	err    error // the first
}

func (a *acks) listen(nc *nats.Conn) (err error) {
	a.inbox = nc.NewInbox()
	a.sub, err = nc.Subscribe(a.inbox+".>", a.answer)
	return err
}

func (a *acks) close() { _ = a.sub.Unsubscribe() } // fails only where the connection is gone, and it with it

// reset forgets what was sent: everything up to the sequence is in the stream.
func (a *acks) reset(acked uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resets++
	a.prefix = a.inbox + "." + strconv.Itoa(a.resets) + "."
	a.asked, a.acked, a.err = 0, acked, nil
}

// reply gives the subject for the answer to a message that is to have the sequence.
func (a *acks) reply(sequence uint64) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return a.prefix + strconv.FormatUint(sequence, 10)
}

func (a *acks) state() (acked uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.acked, a.err
}

// drain waits until all answers came, or no more are likely to: it only spares asking the stream while it still moves.
func (a *acks) drain(ctx context.Context) {
	over := time.NewTimer(connectionCheck)
	defer over.Stop()
	for {
		a.mu.Lock()
		asked := a.asked
		a.mu.Unlock()
		if asked == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-a.wake:
		}
	}
}

func (a *acks) answer(msg *nats.Msg) {
	a.mu.Lock()
	if wanted, ours := strings.CutPrefix(msg.Subject, a.prefix); ours {
		sequence, err := answered(msg, wanted)
		a.asked--
		if err == nil {
			a.acked = max(a.acked, sequence)
		} else if a.err == nil {
			a.err = err
		}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// answered reads the answer to a message that was to have a sequence. Errors: errRefused; any other is trouble.
func answered(msg *nats.Msg, wanted string) (uint64, error) {
	if status := msg.Header.Get("Status"); status != "" {
		return 0, errors.New("no stream listens: status " + status)
	}
	var ack struct {
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil {
		return 0, fmt.Errorf("unreadable answer: %w", err)
	}
	switch {
	case ack.Error == nil:
		if ack.Duplicate || strconv.FormatUint(ack.Seq, 10) != wanted {
			return 0, errRefused // the same change came from another server
		}
		return ack.Seq, nil
	case ack.Error.ErrorCode == codeWrongLastSequence, ack.Error.ErrorCode == codeWrongLastSequenceConstant, ack.Error.ErrorCode == codeDuplicateInProcess:
		return 0, errRefused
	}
	return 0, ack.Error
}
