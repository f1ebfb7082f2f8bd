package main

// The answers of contract §5 as they come over HTTP, and the parts that more than one verb shows of them.

import (
	"fmt"
	"strings"
)

// answer is what check and explain get.
type answer struct {
	Decision   bool    `json:"decision"`
	Subject    string  `json:"subject"`
	Action     string  `json:"action"`
	Resource   string  `json:"resource"`
	AsOf       string  `json:"as_of"`
	KnownAtSeq uint64  `json:"known_at_seq"`
	ValidUntil *string `json:"valid_until"`
	Basis      []basis `json:"basis"`
	Why        string  `json:"why"`
	// What explain alone has.
	Sentence  string     `json:"sentence"`
	Ways      []string   `json:"ways"`
	Events    []event    `json:"events"`
	Catalogue *decidedBy `json:"catalogue"`
}

// basis is one fact that an answer rests on. Seq is 0 where no event says it.
type basis struct {
	Seq  uint64 `json:"seq"`
	Type string `json:"type"`
	Why  string `json:"why"`
}

// event is an event as it is shown: contract §2.
type event struct {
	Seq        uint64         `json:"seq"`
	Type       string         `json:"type"`
	RecordedAt string         `json:"recorded_at"`
	Actor      string         `json:"actor"`
	Reason     string         `json:"reason"`
	SealedFor  string         `json:"sealed_for"`
	Data       map[string]any `json:"data"`
	// What a history alone has.
	Sentence    string   `json:"sentence"`
	CorrectedBy []uint64 `json:"corrected_by"`
}

// asOf says which moment an answer is about and by what knowledge, and what it is not. Every answer has it.
func (s *screen) asOf(at string, known uint64) {
	s.dim(s.words.asOf, s.moment(at), known)
}

// because prints a basis, a sentence and its seq each, under a header.
func (s *screen) because(header string, basis []basis) {
	if len(basis) == 0 {
		return
	}
	rows := make([][]string, len(basis))
	for i, b := range basis {
		rows[i] = []string{seq(b.Seq), s.local(b.Why)}
	}
	s.line("")
	s.table([]string{s.words.seq, header}, rows, 1)
}

// by puts the basis of one result in a cell. What every sentence of it would say of the subject is left out.
func (s *screen) by(subject string, basis []basis) string {
	parts := make([]string, len(basis))
	for i, b := range basis {
		parts[i] = s.local(strings.TrimPrefix(b.Why, subject+" "))
		if b.Seq > 0 {
			parts[i] += fmt.Sprintf(" (seq %d)", b.Seq)
		}
	}
	return strings.Join(parts, "; ")
}

// seq writes a place in the ledger; nothing where there is none.
func seq(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// events prints events, one a row.
func (s *screen) events(events []event) {
	rows := make([][]string, len(events))
	for i, e := range events {
		reason := e.Reason
		if reason == "" && e.SealedFor != "" {
			reason = s.teller().Erased()
		}
		rows[i] = []string{seq(e.Seq), s.time(e.RecordedAt), s.sentence(e), e.Actor, printable(reason)}
	}
	s.table([]string{s.words.seq, s.words.recorded, s.words.event, s.words.actor, s.words.reason}, rows, 2, 3, 4)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
