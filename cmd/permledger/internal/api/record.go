package api

// Commands and the log: what is recorded by HTTP, and reading back what was. Whether a command may be recorded is
// package domain's to say.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// source is what a command's event says of where it came from when the caller does not.
const source = "api"

// commands records one command or an array of them, all or nothing; with dry_run=true it says what they would come to.
func (s *server) commands(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "dry_run", "limit", "lang")
	if err != nil {
		return err
	}
	dry, err := p.flag("dry_run")
	if err != nil {
		return err
	}
	if !dry && (p["limit"] != "" || p["lang"] != "") {
		return domain.Errorf(domain.Malformed, "bad_parameter", "query parameters limit and lang: are of a preview alone; add dry_run=true, or leave them out")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	cmds, err := decodeCommands(body)
	if err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	if dry {
		return preview(w, r, l, p, cmds)
	}
	recorded, err := l.Record(r.Context(), cmds)
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		Events []*domain.Event `json:"events"`
		Seq    domain.Seq      `json:"seq"`
	}{append([]*domain.Event{}, recorded.Events...), recorded.Seq})
}

func decodeCommands(body []byte) ([]domain.Command, error) {
	objects, array := []json.RawMessage{body}, false
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 {
		return nil, domain.Errorf(domain.Malformed, "bad_json", "body: is empty; want a command or an array of commands")
	} else if array = trimmed[0] == '['; array {
		objects = nil
		if err := json.Unmarshal(body, &objects); err != nil {
			return nil, domain.Errorf(domain.Malformed, "bad_json", "body: not a JSON array of commands: %v", err)
		}
		if len(objects) == 0 {
			return nil, domain.Errorf(domain.Malformed, "no_command", "body: the array is empty; want at least one command")
		}
	}
	cmds := make([]domain.Command, len(objects))
	for i, object := range objects {
		c, err := domain.DecodeCommand(object)
		if err != nil && array {
			err = at(fmt.Sprintf("commands[%d]", i), err)
		}
		if err != nil {
			return nil, err
		}
		if c.Source == "" {
			c.Source = source
		}
		cmds[i] = c
	}
	return cmds, nil
}

// Limits of a page of the log.
const (
	eventsLimit    = 100
	eventsMaxLimit = 1000
)

// maxWait is how long a page of the log may be waited for.
const maxWait = time.Minute

// events gives a stretch of the log as it is. next is what to pass as after for what follows, now or when there is more;
// head the newest event that there is, and created when the log was made, which tells it from any other.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "after", "limit", "wait")
	if err != nil {
		return err
	}
	after, err := p.after()
	if err != nil {
		return err
	}
	limit, err := p.limit(eventsLimit, eventsMaxLimit)
	if err != nil {
		return err
	}
	wait, err := p.wait()
	if err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := s.await(r, l, after, wait); err != nil {
			return err
		}
	}
	events, err := l.Events(r.Context(), after, limit)
	if err != nil {
		return err
	}
	next := after
	if len(events) > 0 {
		next = events[len(events)-1].Seq
	}
	return writeJSON(w, struct {
		Events  []*domain.Event `json:"events"`
		Next    domain.Seq      `json:"next"`
		Head    domain.Seq      `json:"head"`
		Created time.Time       `json:"created"`
	}{append([]*domain.Event{}, events...), next, l.Head(), l.Created().UTC()})
}

// await returns when there is an event after the seq, the time is over or the server is about to stop.
func (s *server) await(r *http.Request, l *ledger.Ledger, after domain.Seq, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	err := l.Await(ctx, after)
	if ctx.Err() != nil && r.Context().Err() == nil {
		return nil
	}
	return err
}

// wait reads how long to wait for what is not there yet; 0 where it is not given.
func (p params) wait() (time.Duration, error) {
	if p["wait"] == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(p["wait"])
	if err != nil || d <= 0 || d > maxWait {
		return 0, domain.Errorf(domain.Malformed, "bad_wait", "wait %q: want a duration up to %s, e.g. 30s", clip(p["wait"]), maxWait)
	}
	return d, nil
}
