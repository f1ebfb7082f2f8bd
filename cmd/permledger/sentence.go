package main

// Events as sentences, for people, in the caller's zone. How an event is said is package domain's.

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/permledger/permledger/domain"
)

// teller says things on this screen.
func (s *screen) teller() domain.Teller {
	return domain.Teller{Lang: s.words.lang, Show: func(i domain.Instant) string { return s.time(i.String()) }}
}

// sentence says what an event says, and what corrected it. An answer that says it already knows more: what a correction is of.
func (s *screen) sentence(e event) string {
	said := s.local(e.Sentence)
	if said == "" {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return e.Type
		}
		said = s.teller().EventData(domain.EventType(e.Type), data, nil)
	}
	if len(e.CorrectedBy) > 0 {
		seqs := make([]string, len(e.CorrectedBy))
		for i, n := range e.CorrectedBy {
			seqs[i] = seq(n)
		}
		said += fmt.Sprintf(s.words.correctedBy, strings.Join(seqs, ", "))
	}
	return printable(said)
}
