package eventstore

// The answers to publishes that nobody stands waiting for. One subscription takes them all; the last token of the
// reply subject says whose it is. Nothing here decides what an answer means for a command: see publish.go.

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type acks struct {
	prefix string // of every reply subject, with its last dot

	mu      sync.Mutex
	next    uint64
	waiting map[string]*Pending // by reply subject
}

func newAcks() *acks { return &acks{prefix: nats.NewInbox() + ".", waiting: map[string]*Pending{}} }

func (a *acks) listen(nc *nats.Conn) error {
	if _, err := nc.Subscribe(a.prefix+"*", a.answer); err != nil {
		return fmt.Errorf("listening for the log's answers: %w", err)
	}
	return nil
}

// expect registers p and gives the reply subject that its answer will come on.
func (a *acks) expect(p *Pending) (reply string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	reply = a.prefix + strconv.FormatUint(a.next, 36)
	a.waiting[reply] = p
	p.timer = time.AfterFunc(ackWait, func() {
		if a.take(reply) == p {
			p.finish(p.log.unknownOutcome(p.after, "no answer in "+ackWait.String()))
		}
	})
	return reply
}

// take gives what waits for reply, once: whoever gets it finishes it.
func (a *acks) take(reply string) *Pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.waiting[reply]
	delete(a.waiting, reply)
	if p != nil {
		p.timer.Stop()
	}
	return p
}

// failAll ends every wait: the answers will never come.
func (a *acks) failAll(why string) {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting = map[string]*Pending{}
	a.mu.Unlock()
	for _, p := range waiting {
		p.timer.Stop()
		p.finish(p.log.unknownOutcome(p.after, why))
	}
}

func (a *acks) answer(msg *nats.Msg) {
	if p := a.take(msg.Subject); p != nil {
		p.finish(p.judge(msg))
	}
}

// judge is the outcome that an answer tells of.
func (p *Pending) judge(msg *nats.Msg) error {
	if msg.Header.Get("Status") == "503" {
		return p.log.notSent(msg, errors.New("no stream listens"))
	}
	var ack struct {
		Seq   uint64              `json:"seq"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil {
		return p.log.unknownOutcome(p.after, "unreadable answer: "+err.Error())
	}
	switch {
	case ack.Error != nil:
		return p.refusal(ack.Error)
	case p.seq != 0 && ack.Seq != uint64(p.seq): // an id that the server has seen at another place
		return p.log.moved(p.after, "this id was recorded at "+strconv.FormatUint(ack.Seq, 10))
	case p.seq != 0:
		p.log.heard(p.seq)
	}
	return nil
}

func (p *Pending) finish(err error) {
	p.err = err
	close(p.done)
}
