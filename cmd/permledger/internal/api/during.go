package api

// Questions about the time between two moments: who and what with from and until, and what differs between two moments
// (contract §4, §5). The sweep and the comparison are domain's.

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// spanned gives a question to during where it is about an interval, and else to now.
func spanned(now, during do) do {
	return func(w http.ResponseWriter, r *http.Request) error {
		if q := r.URL.Query(); q.Has("from") || q.Has("until") || q.Has("throughout") {
			return during(w, r)
		}
		if token := r.URL.Query().Get("page"); token != "" {
			if _, err := parsePage(r, "who-during", token); err == nil {
				return during(w, r)
			}
			if _, err := parsePage(r, "what-during", token); err == nil {
				return during(w, r)
			}
		}
		return now(w, r)
	}
}

// spanning is one question about an interval being answered. Its moment, At, is the interval's end.
type spanning struct {
	*asking
	sweep *domain.Sweep
	span  domain.Span
}

// spanHead is what every answer about an interval says of it.
type spanHead struct {
	From       domain.Instant `json:"from"`
	Until      domain.Instant `json:"until"`
	KnownAtSeq domain.Seq     `json:"known_at_seq"` // the newest event that counts
	// Enforced: every moment as known then. Otherwise every moment as known at the seq.
	Enforced  bool          `json:"enforced"`
	Catalogue *catalogueRef `json:"catalogue,omitempty"` // where one was supposed
}

func (s spanning) head() spanHead {
	return spanHead{s.span.From, s.span.Until, s.KnownAt(), s.span.Known == 0, s.under()}
}

// span opens the path's ledger for the interval [from, until), until being now where it is not given.
func (s *server) span(w http.ResponseWriter, r *http.Request, p params, pg page) (*spanning, error) {
	x, err := pg.supposition(w, r, p)
	if err != nil {
		return nil, err
	}
	from, err := p.required("from")
	if err != nil {
		return nil, err
	}
	begin, err := domain.ParseInstant(from)
	if err != nil {
		return nil, within("from", err)
	}
	l, err := s.ledger(r)
	if err != nil {
		return nil, err
	}
	until, known := p["until"], p["known_at"]
	if pg.Last != "" { // the span as it was: an end of now is the moment that was now
		until, known = pg.At.String(), strconv.FormatUint(uint64(pg.Known), 10)
	}
	a, err := newAsking(l, "until", until, known)
	if err != nil {
		return nil, err
	}
	sp := &spanning{asking: a, span: domain.Span{From: begin, Until: a.At}}
	if p["known_at"] != "" {
		sp.span.Known = a.KnownAt()
	}
	if a.lang, err = p.lang(); err == nil {
		err = a.suppose(x)
	}
	if err == nil && x != nil {
		sp.sweep, err = domain.NewSweep(domain.WhatIfAlways(a.Asked, x.cat), sp.span)
	} else if err == nil {
		sp.sweep, err = domain.NewSweep(a.Asked, sp.span)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return sp, nil
}

// catalogues gives those that were in force in the interval, the one at its end, and the newest.
func (s *spanning) catalogues() ([]*domain.Catalogue, error) {
	cats, err := s.asking.catalogues()
	if err != nil {
		return nil, err
	}
	during, err := s.sweep.Catalogues()
	for _, c := range during {
		if !slices.Contains(cats, c) {
			cats = append(cats, c)
		}
	}
	return cats, err
}

// An intervalEntry is an unbroken time on which something was allowed. Where what it rests on changed meanwhile, pieces
// says on what when.
type intervalEntry struct {
	From   domain.Instant  `json:"from"`
	Until  domain.Instant  `json:"until"`
	Basis  []basisEntry    `json:"basis"`
	Pieces []intervalEntry `json:"pieces,omitempty"`
}

func (s *spanning) intervals(r *http.Request, stretches []domain.Stretch) ([]intervalEntry, error) {
	entries := make([]intervalEntry, len(stretches))
	for i, st := range stretches {
		basis, err := s.basis(r, st.Basis())
		if err != nil {
			return nil, err
		}
		entries[i] = intervalEntry{From: st.From, Until: st.Until, Basis: once(basis)}
		if len(st.Pieces) == 1 {
			continue
		}
		for _, p := range st.Pieces {
			if basis, err = s.basis(r, p.Basis); err != nil {
				return nil, err
			}
			entries[i].Pieces = append(entries[i].Pieces, intervalEntry{From: p.From, Until: p.Until, Basis: basis})
		}
	}
	return entries, nil
}

// once leaves each event of a basis once: what was known of a fact may have changed while it stood.
func once(basis []basisEntry) []basisEntry {
	var kept []basisEntry
	for _, b := range basis {
		if !slices.ContainsFunc(kept, func(k basisEntry) bool { return k.Seq == b.Seq }) {
			kept = append(kept, b)
		}
	}
	return kept
}

func (s *server) whoDuring(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "who-during", "action", "resource", "kind", "limit", "from", "until", "known_at", "throughout", "lang", "catalogue")
	if err != nil {
		return err
	}
	x, err := p.who()
	if err != nil {
		return err
	}
	throughout, err := p.flag("throughout")
	if err != nil {
		return err
	}
	sp, err := s.span(w, r, p, pg)
	if err != nil {
		return err
	}
	defer sp.close()
	cats, err := sp.catalogues()
	if err != nil {
		return err
	}
	if err := sp.askable(cats, &x); err != nil {
		return err
	}
	q := x.Question
	out := openStream(w, struct {
		Action   domain.Action   `json:"action"`
		Resource domain.Resource `json:"resource"`
		spanHead
		Throughout bool `json:"throughout"` // only those who could all the time
	}{q.Action, q.Resource, sp.head(), throughout}, "results")
	var last domain.Account
	for d, err := range sp.sweep.Who(q, domain.Account(pg.Last)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if throughout && (d.Stretches[0].From > sp.span.From || d.Stretches[0].Until < sp.span.Until) {
			continue
		}
		if x.limit > 0 && out.n == x.limit {
			return out.close(pageTail{Next: pg.next(sp.asking, "who-during", p, string(last))})
		}
		intervals, err := sp.intervals(r, d.Stretches)
		if err != nil {
			return err
		}
		if err := out.add(struct {
			Subject   domain.Account  `json:"subject"`
			Intervals []intervalEntry `json:"intervals"`
		}{d.Subject, intervals}); err != nil {
			return err
		}
		last = d.Subject
	}
	return out.close(pageTail{Complete: true})
}

// A reachEntry is a part of the interval on which the same actions were allowed.
type reachEntry struct {
	From    domain.Instant  `json:"from"`
	Until   domain.Instant  `json:"until"`
	Actions []domain.Action `json:"actions"`
	Basis   []basisEntry    `json:"basis"`
}

func (s *server) whatDuring(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "what-during", "subject", "action", "type", "limit", "from", "until", "known_at", "throughout", "lang", "catalogue")
	if err != nil {
		return err
	}
	x, err := p.what()
	if err != nil {
		return err
	}
	throughout, err := p.flag("throughout")
	if err != nil {
		return err
	}
	sp, err := s.span(w, r, p, pg)
	if err != nil {
		return err
	}
	defer sp.close()
	cats, err := sp.catalogues()
	if err != nil {
		return err
	}
	if err := sp.whatAskable(cats, x); err != nil {
		return err
	}
	out := openStream(w, struct {
		Subject domain.Account `json:"subject"`
		spanHead
		Throughout bool `json:"throughout"`
	}{x.subject, sp.head(), throughout}, "results")
	var last domain.Resource
	for d, err := range sp.sweep.What(x.subject, x.action, x.kind, domain.Resource(pg.Last)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		parts := d.Parts
		if throughout {
			if parts = domain.Throughout(parts, sp.span); len(parts) == 0 {
				continue
			}
		}
		if x.limit > 0 && out.n == x.limit {
			return out.close(pageTail{Next: pg.next(sp.asking, "what-during", p, string(last))})
		}
		entries := make([]reachEntry, len(parts))
		for i, part := range parts {
			basis, err := sp.basis(r, part.Basis)
			if err != nil {
				return err
			}
			entries[i] = reachEntry{part.From, part.Until, part.Actions, once(basis)}
		}
		if err := out.add(struct {
			Resource  domain.Resource `json:"resource"`
			Intervals []reachEntry    `json:"intervals"`
		}{d.Resource, entries}); err != nil {
			return err
		}
		last = d.Resource
	}
	return out.close(pageTail{Complete: true})
}

// A differenceEntry is one thing that was gained or lost, and the event that did it.
type differenceEntry struct {
	Subject  domain.Account    `json:"subject"`
	Action   domain.Action     `json:"action"`
	Resource domain.Resource   `json:"resource"`
	Except   []domain.Resource `json:"except,omitempty"` // of type:*, those that it is not so for
	By       *basisEntry       `json:"by"`               // null where no event did it
}

// diff compares two moments, each as known then, or with known_at both as known at that; or with corrected one moment as
// known then and as known now (or at known_at).
func (s *server) diff(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "about", "from", "until", "at", "corrected", "known_at", "lang", "catalogue")
	if err != nil {
		return err
	}
	about, err := p.optionalAccount("about")
	if err != nil {
		return err
	}
	lang, err := p.lang()
	if err != nil {
		return err
	}
	corrected, err := p.flag("corrected")
	if err != nil {
		return err
	}
	x, err := readSupposition(w, r, p)
	if err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	sides, err := p.sides(l, corrected)
	if err != nil {
		return err
	}
	before, after := sides[0], sides[1]
	defer before.close()
	defer after.close()
	for _, a := range sides {
		if err := a.suppose(x); err != nil {
			return err
		}
	}
	after.lang, before.lang = lang, lang
	if about != "" {
		if err := after.Account("about", about); err != nil {
			return err
		}
	}
	diff, err := domain.NewDiff(domain.Side{R: before.reader, At: before.At}, domain.Side{R: after.reader, At: after.At}, about)
	if err != nil {
		return err
	}
	out := openStream(w, struct {
		About     domain.Account `json:"about,omitempty"`
		From      domain.Instant `json:"from"`
		Until     domain.Instant `json:"until"`
		Corrected bool           `json:"corrected"`
		Known     [2]domain.Seq  `json:"known_at_seqs"` // of from and of until
		Catalogue *catalogueRef  `json:"catalogue,omitempty"`
	}{about, before.At, after.At, corrected, [2]domain.Seq{before.KnownAt(), after.KnownAt()}, after.under()}, "gained")
	for i, lost := range [...]bool{false, true} {
		if i > 0 {
			out.next("lost")
		}
		for d, err := range diff.Differences(lost) {
			if err == nil {
				err = r.Context().Err()
			}
			if err != nil {
				return err
			}
			by, err := after.basis(r, []domain.Reason{d.By})
			if err != nil {
				return err
			}
			entry := differenceEntry{Subject: d.Subject, Action: d.Action, Resource: d.Resource, Except: d.Except}
			if len(by) > 0 {
				entry.By = &by[0]
			}
			if err := out.add(entry); err != nil {
				return err
			}
		}
	}
	return out.close(pageTail{Complete: true})
}

// sides opens the two states that a diff compares. Whoever gets no error closes both.
func (p params) sides(l *ledger.Ledger, corrected bool) (sides [2]*asking, err error) {
	names, known := [2]string{"from", "until"}, [2]string{p["known_at"], p["known_at"]}
	moments := [2]string{p["from"], p["until"]}
	switch {
	case corrected && (p["from"] != "" || p["until"] != ""):
		return sides, domain.Errorf(domain.Malformed, "bad_parameter", "query parameters from and until: a corrected diff is about one moment; give it as at")
	case corrected:
		names, moments, known[0] = [2]string{"at", "at"}, [2]string{p["at"], p["at"]}, ""
		if known[1] == "" {
			known[1] = "now"
		}
		if _, err := p.required("at"); err != nil {
			return sides, err
		}
	case p["at"] != "":
		return sides, domain.Errorf(domain.Malformed, "bad_parameter", "query parameter at: a diff is between from and until; or add corrected=true")
	default:
		if _, err := p.required("from"); err != nil {
			return sides, err
		}
	}
	for i := range sides {
		if sides[i], err = newAsking(l, names[i], moments[i], known[i]); err != nil {
			if i > 0 {
				sides[0].close()
			}
			return sides, err
		}
	}
	if from, until := sides[0].At, sides[1].At; !corrected && from >= until {
		sides[0].close()
		sides[1].close()
		return sides, domain.Errorf(domain.Malformed, "empty_interval", "from %s until %s: it must end after it begins", from, until)
	}
	return sides, nil
}
