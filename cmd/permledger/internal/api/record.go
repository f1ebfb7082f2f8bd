package api

// Commands and the log: what is recorded by HTTP, and reading back what was. Whether a command may be recorded is
// package domain's to say.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

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

// events gives a stretch of the log as it is. next is what to pass as after for what follows, now or when there is more.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "after", "limit")
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
	l, err := s.ledger(r)
	if err != nil {
		return err
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
		Events []*domain.Event `json:"events"`
		Next   domain.Seq      `json:"next"`
	}{append([]*domain.Event{}, events...), next})
}
