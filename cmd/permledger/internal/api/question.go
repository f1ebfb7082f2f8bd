package api

// The auditor's questions (contract §4, §5): what every one of them shares, check, explain, and which catalogue was in force.
// The decisions are domain's; here they are asked at the right moments, refused where they are about what never was, and
// written down. who and what are in search.go, those about an interval in during.go.

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// asking is one question being answered: a ledger at the question's moments. It is for one goroutine.
type asking struct {
	l *ledger.Ledger
	*ledger.Asked
	reader domain.Reader // what is decided by: the ledger, or the ledger under a catalogue that is supposed
	ev     *domain.Evaluator
	lang   domain.Lang   // of the sentences; English where it is not set
	today  *ledger.Asked // as of the newest event; see now

	supposed *supposition      // nil: the catalogue in force decides
	own      *domain.Catalogue // where one is supposed, the one in force at the moment; nil where none was
	inForce  bool              // what is supposed is the one in force
}

// moments are what every answer says about when: the moment asked about, and the newest event that counts.
type moments struct {
	AsOf       domain.Instant `json:"as_of"`
	KnownAtSeq domain.Seq     `json:"known_at_seq"`
}

// ask opens the path's ledger at the moments: at is a time, "now" or ""; knownAt what ledger.ParseKnown reads.
func (s *server) ask(r *http.Request, at, knownAt string) (*asking, error) {
	l, err := s.ledger(r)
	if err != nil {
		return nil, err
	}
	return newAsking(l, "at", at, knownAt)
}

// newAsking opens a ledger at the moments; name is what the request calls at.
func newAsking(l *ledger.Ledger, name, at, knownAt string) (*asking, error) {
	var moment domain.Instant
	if at != "" && at != "now" {
		var err error
		if moment, err = domain.ParseInstant(at); err != nil {
			return nil, within(name, err)
		}
	}
	known, err := ledger.ParseKnown(knownAt)
	if err != nil {
		return nil, err
	}
	asked, err := l.Ask(moment, known)
	if err != nil {
		return nil, err
	}
	ev, err := domain.NewEvaluator(asked, asked.At)
	if err != nil {
		asked.Close()
		return nil, err
	}
	return &asking{l: l, Asked: asked, reader: asked, ev: ev}, nil
}

func (a *asking) close() {
	a.Close()
	if a.today != nil {
		a.today.Close()
	}
}

func (a *asking) moments() moments { return moments{a.At, a.KnownAt()} }

// now gives the ledger as of its newest event.
func (a *asking) now() (*ledger.Asked, error) {
	if a.today == nil {
		known, err := ledger.ParseKnown("now")
		if err != nil {
			return nil, err
		}
		if a.today, err = a.l.Ask(0, known); err != nil {
			return nil, err
		}
	}
	return a.today, nil
}

// catalogues gives the catalogue that decides, where there is one, then the one in force at the moment and the newest.
func (a *asking) catalogues() ([]*domain.Catalogue, error) {
	now, err := a.now()
	if err != nil {
		return nil, err
	}
	newest, _, err := domain.CatalogueAt(now, now.At)
	if err != nil {
		return nil, err
	}
	var cats []*domain.Catalogue
	for _, c := range []*domain.Catalogue{a.ev.Catalogue(), a.own, newest} {
		if c != nil && !slices.Contains(cats, c) {
			cats = append(cats, c)
		}
	}
	return cats, nil
}

// types refuses a type, "" being any, and an action, "" being any, that none of the catalogues knows: more likely a slip than a
// question, and "nobody" would be a misleading answer to a slip. An action that is known, but not on this type, is none.
func types(cats []*domain.Catalogue, kind domain.Kind, action domain.Action) error {
	has := func(k domain.Kind) bool {
		return slices.ContainsFunc(cats, func(c *domain.Catalogue) bool { return c.Type(k) })
	}
	if kind != "" && !has(kind) {
		return domain.Errorf(domain.Malformed, "unknown_kind", "%s: the catalogue has no such kind or type; it has %s", kind, list(cats, (*domain.Catalogue).Types))
	}
	if action == "" || slices.Contains(domain.Commands(), action) {
		return nil
	}
	of := func(k domain.Kind) func(*domain.Catalogue) []domain.Action {
		return func(c *domain.Catalogue) []domain.Action { return c.Actions(k) }
	}
	anywhere := func(c *domain.Catalogue) (all []domain.Action) {
		for _, k := range c.Types() {
			all = append(all, c.Actions(k)...)
		}
		return all
	}
	for _, c := range cats {
		if slices.Contains(anywhere(c), action) {
			return nil
		}
	}
	if kind != "" {
		return domain.Errorf(domain.Malformed, "unknown_action", "action %s: the catalogue has no such action; on %s it has %s", action, kind, list(cats, of(kind)))
	}
	return domain.Errorf(domain.Malformed, "unknown_action", "action %s: the catalogue has no such action; it has %s", action, list(cats, anywhere))
}

// list names what the catalogues have, sorted, each once.
func list[T ~string](cats []*domain.Catalogue, of func(*domain.Catalogue) []T) string {
	var names []string
	for _, c := range cats {
		for _, n := range of(c) {
			names = append(names, string(n))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// kinds lists the kinds of account.
func kinds(c *domain.Catalogue) []domain.Kind { return slices.Collect(maps.Keys(c.Kinds)) }

// exists refuses a resource that never was: an account never opened, or one that belongs to a client and was never
// registered, unless client is given and the catalogue trusts what callers say.
func (a *asking) exists(cats []*domain.Catalogue, res domain.Resource, client domain.Account) error {
	kind := res.Kind()
	of, trusted := false, false
	for i, c := range cats {
		if _, ok := c.Kinds[kind]; ok {
			return a.Account("resource", domain.Account(res))
		}
		rule := c.Resources[kind]
		of = of || rule.Of != ""
		trusted = trusted || i == 0 && rule.TrustProperties // the first decides
	}
	if !of {
		return nil
	}
	now, err := a.now()
	if err != nil {
		return err
	}
	for _, err := range now.FactsOf(domain.FamilyResource, domain.Account(res)) {
		return err
	}
	switch {
	case client != "" && trusted:
		return a.Account("client", client)
	case client != "":
		return domain.Errorf(domain.Unknown, "unknown_resource", "resource %s: it was never registered, and the catalogue does not trust callers to say whose it is", res)
	case trusted:
		return domain.Errorf(domain.Unknown, "unknown_resource", "resource %s: it was never registered; say whose it is: client", res)
	}
	return domain.Errorf(domain.Unknown, "unknown_resource", "resource %s: it was never registered", res)
}

// A basisEntry is one event that an answer rests on.
type basisEntry struct {
	Seq  domain.Seq       `json:"seq"`
	Type domain.EventType `json:"type"`
	Why  string           `json:"why"`
}

// teller says why in the language asked for, with the titles of the moment's catalogue.
func (a *asking) teller() domain.Teller {
	return domain.Teller{Lang: a.lang, Catalogue: a.ev.Catalogue(), Show: domain.Instant.String}
}

// basis lists the events of the reasons. What never happened has no event, and stands in why instead.
func (a *asking) basis(r *http.Request, reasons []domain.Reason) ([]basisEntry, error) {
	entries, tell := make([]basisEntry, 0, len(reasons)), a.teller()
	for _, reason := range reasons {
		if reason.Seq() == 0 {
			continue
		}
		typ, err := a.typeOf(r, reason)
		if err != nil {
			return nil, err
		}
		e := basisEntry{reason.Seq(), typ, tell.Why(reason)}
		entries = append(entries, e)
	}
	return entries, nil
}

// typeOf gives the type of the event that says so. Of all facts only an open account begins in more than one way, and how
// is told by what is known of it: an invitation has its end from the start, the first of the others opened it. Only where
// that end may have come later has the log to be asked, which would be too dear for each of a hundred thousand answers.
func (a *asking) typeOf(r *http.Request, reason domain.Reason) (domain.EventType, error) {
	iv := reason.Interval
	switch {
	case reason.Fact.Family != domain.FamilyActive || reason.State == domain.Ended:
		return reason.Type(), nil
	case iv.Ended != 0:
		e, err := a.l.Event(r.Context(), iv.Began)
		if err != nil {
			return "", err
		}
		return e.Type, nil
	case iv.Until != domain.Forever:
		return domain.GuestInvited, nil
	}
	v, err := a.Fact(reason.Fact)
	if err != nil || v.Intervals[0].Began == iv.Began {
		return domain.AccountOpened, err
	}
	return domain.AccountReactivated, nil
}

// A catalogueRef says by which catalogue was decided, and by which line of its document. One that was adopted has a version
// and a seq, one that was supposed a digest.
type catalogueRef struct {
	Name    string     `json:"name"`
	Version int        `json:"version,omitempty"`
	Seq     domain.Seq `json:"seq,omitempty"`
	Digest  string     `json:"digest,omitempty"`
	WhatIf  bool       `json:"what_if,omitempty"`
	InForce bool       `json:"in_force,omitempty"` // with WhatIf: it is the one in force at the moment
	Line    int        `json:"line,omitempty"`     // 0: no line is about the action, or an individual permission decided
}

func (a *asking) catalogueRef(d domain.Decision) (*catalogueRef, error) {
	ref := a.under()
	switch {
	case ref == nil && d.Catalogue == 0:
		return nil, nil
	case ref == nil:
		ref = &catalogueRef{Name: a.ev.Catalogue().Name, Seq: d.Catalogue}
	}
	if d.Permit != nil {
		ref.Line = d.Permit.Line
	}
	if ref.WhatIf {
		return ref, nil
	}
	v, err := a.Fact(domain.Fact{Family: domain.FamilyCatalogue, Subject: domain.CatalogueRef})
	if err != nil {
		return nil, err
	}
	// Each adoption begins one interval, so a catalogue's place among them is its version.
	ref.Version = 1 + slices.IndexFunc(v.Intervals, func(iv domain.Interval) bool { return iv.Began == d.Catalogue })
	return ref, nil
}

// checkAnswer is the answer to check.
type checkAnswer struct {
	Decision bool            `json:"decision"`
	Subject  domain.Account  `json:"subject"`
	Action   domain.Action   `json:"action"`
	Resource domain.Resource `json:"resource"`
	moments
	ValidUntil *domain.Instant `json:"valid_until"` // null for a no, and where no end is known
	Basis      []basisEntry    `json:"basis"`
	Why        string          `json:"why,omitempty"`
	Catalogue  *catalogueRef   `json:"catalogue"` // null before the first
}

// explainAnswer is a check in words, with the events themselves, who recorded them and why they say.
type explainAnswer struct {
	checkAnswer
	Sentence string          `json:"sentence"` // the whole answer in one
	Ways     []string        `json:"ways"`     // for a no: whom else the catalogue allows it
	Missing  []string        `json:"missing"`
	Events   []*domain.Event `json:"events"`
}

func (s *server) check(w http.ResponseWriter, r *http.Request) error {
	a, _, _, answer, err := s.decide(w, r)
	if err != nil {
		return err
	}
	defer a.close()
	return writeJSON(w, answer)
}

func (s *server) explain(w http.ResponseWriter, r *http.Request) error {
	a, q, d, answer, err := s.decide(w, r)
	if err != nil {
		return err
	}
	defer a.close()
	tell := a.teller()
	x := explainAnswer{checkAnswer: answer, Sentence: tell.Sentence(q, d), Missing: tell.Missing(d), Events: []*domain.Event{}}
	if x.Ways, err = a.ev.Ways(tell, q, d); err != nil {
		return err
	}
	var seqs []domain.Seq
	for _, reason := range d.Basis {
		seqs = append(seqs, reason.Seqs()...)
	}
	slices.Sort(seqs)
	for _, seq := range slices.Compact(seqs) {
		e, err := a.l.Event(r.Context(), seq)
		if err != nil {
			return err
		}
		for i := range x.Basis {
			if x.Basis[i].Seq == seq {
				x.Basis[i].Type = e.Type
			}
		}
		x.Events = append(x.Events, e)
	}
	return writeJSON(w, x)
}

// decide answers the question that check and explain share. Whoever gets no error closes the asking.
func (s *server) decide(w http.ResponseWriter, r *http.Request) (_ *asking, q domain.Question, d domain.Decision, answer checkAnswer, err error) {
	p, err := readParams(r, "subject", "action", "resource", "client", "created_by", "at", "known_at", "catalogue", "lang")
	if err != nil {
		return nil, q, d, answer, err
	}
	if q, err = p.question(); err != nil {
		return nil, q, d, answer, err
	}
	lang, err := p.lang()
	if err != nil {
		return nil, q, d, answer, err
	}
	supposed, err := readSupposition(w, r, p)
	if err != nil {
		return nil, q, d, answer, err
	}
	a, err := s.ask(r, p["at"], p["known_at"])
	if err != nil {
		return nil, q, d, answer, err
	}
	a.lang = lang
	if err = a.suppose(supposed); err == nil {
		d, answer, err = a.decide(r, q)
	}
	if err != nil {
		a.close()
		return nil, q, d, answer, err
	}
	return a, q, d, answer, nil
}

func (p params) question() (q domain.Question, err error) {
	if q.Subject, err = p.account("subject"); err != nil {
		return q, err
	}
	if q.Action, err = p.action(); err != nil {
		return q, err
	}
	if q.Resource, err = p.resource(); err != nil {
		return q, err
	}
	if q.Client, err = p.optionalAccount("client"); err != nil {
		return q, err
	}
	q.CreatedBy, err = p.optionalAccount("created_by")
	return q, err
}

func (a *asking) decide(r *http.Request, q domain.Question) (d domain.Decision, answer checkAnswer, err error) {
	cats, err := a.catalogues()
	if err != nil {
		return d, answer, err
	}
	if err := types(cats, q.Resource.Kind(), q.Action); err != nil {
		return d, answer, err
	}
	if err := a.Account("subject", q.Subject); err != nil {
		return d, answer, err
	}
	if err := a.exists(cats, q.Resource, q.Client); err != nil {
		return d, answer, err
	}
	if d, err = a.ev.Evaluate(q); err != nil {
		return d, answer, err
	}
	answer = checkAnswer{Decision: d.Allowed, Subject: q.Subject, Action: q.Action, Resource: q.Resource, moments: a.moments(), Why: a.teller().WhyNot(d)}
	if d.Allowed {
		answer.ValidUntil = known(d.ValidUntil)
	}
	if answer.Basis, err = a.basis(r, d.Basis); err != nil {
		return d, answer, err
	}
	answer.Catalogue, err = a.catalogueRef(d)
	return d, answer, err
}

// known gives an end; nil where none is known.
func known(end domain.Instant) *domain.Instant {
	if end == domain.Forever {
		return nil
	}
	return &end
}

// catalogue gives the role catalogue that was in force.
func (s *server) catalogue(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "at", "known_at")
	if err != nil {
		return err
	}
	a, err := s.ask(r, p["at"], p["known_at"])
	if err != nil {
		return err
	}
	defer a.close()
	cat, seq, err := domain.CatalogueAt(a, a.At)
	if err != nil {
		return err
	}
	if seq == 0 {
		return domain.Errorf(domain.Unknown, "no_catalogue", "catalogue of %s: none had been adopted at %s", a.l.Org(), a.At)
	}
	e, err := a.l.Event(r.Context(), seq)
	if err != nil {
		return err
	}
	d, ok := e.Data.(*domain.CatalogueAdoption)
	if !ok {
		return domain.Errorf(domain.Integrity, "no_catalogue", "catalogue of %s: event %d should adopt one and is a %s", a.l.Org(), seq, e.Type)
	}
	return writeJSON(w, struct {
		Name      string         `json:"name"`
		Version   int            `json:"version"`
		Digest    string         `json:"digest"`
		Seq       domain.Seq     `json:"seq"`
		AdoptedAt domain.Instant `json:"adopted_at"`
		moments
		Document string `json:"document"`
		domain.CatalogueParts
	}{d.Catalogue, d.Version, d.Digest, e.Seq, e.RecordedAt, a.moments(), d.Document, cat.Parts()})
}
