package api

// Who may, and what may they: the searches as of one moment, and how they are read and refused, which those over an interval
// (during.go) share. Whom and what a search finds is domain's.

import (
	"net/http"
	"slices"

	"github.com/permledger/permledger/domain"
)

// pageTail ends an answer that may go on on another page.
type pageTail struct {
	Complete bool   `json:"complete"`
	Next     string `json:"next,omitempty"`
}

// whoAsked is what a question for everyone is about. Its Subject is "kind:*" where only that kind is asked about.
type whoAsked struct {
	domain.Question
	kind  domain.Kind // "": every kind
	limit int         // 0: no limit
}

func (p params) who() (x whoAsked, err error) {
	if x.Action, err = p.action(); err != nil {
		return x, err
	}
	if x.Resource, err = p.resource(); err != nil {
		return x, err
	}
	if x.kind, err = p.kind("kind"); err != nil {
		return x, err
	}
	if x.kind != "" {
		x.Subject = domain.Account(x.kind + ":*")
	}
	x.limit, err = p.limit(0, maxLimit)
	return x, err
}

// askable refuses a question about what no catalogue knows, or about what never was.
func (a *asking) askable(cats []*domain.Catalogue, x *whoAsked) error {
	if err := types(cats, x.Resource.Kind(), x.Action); err != nil {
		return err
	}
	if err := kindKnown(cats, x.kind); err != nil {
		return err
	}
	return a.exists(cats, x.Resource, "")
}

// kindKnown refuses a kind of account, "" being any, that no catalogue has.
func kindKnown(cats []*domain.Catalogue, kind domain.Kind) error {
	if kind == "" || slices.ContainsFunc(cats, func(c *domain.Catalogue) bool { _, ok := c.Kinds[kind]; return ok }) {
		return nil
	}
	return domain.Errorf(domain.Malformed, "unknown_kind", "kind %s: the catalogue has no such kind of account; it has %s", kind, list(cats, kinds))
}

// whatAsked is what a question for everything that somebody may do is about.
type whatAsked struct {
	subject domain.Account
	action  domain.Action // "": every action
	kind    domain.Kind   // "": every type
	limit   int           // 0: no limit
}

func (p params) what() (x whatAsked, err error) {
	if x.subject, err = p.account("subject"); err != nil {
		return x, err
	}
	if p["action"] != "" {
		if x.action, err = p.action(); err != nil {
			return x, err
		}
	}
	if x.kind, err = p.kind("type"); err != nil {
		return x, err
	}
	x.limit, err = p.limit(0, maxLimit)
	return x, err
}

// whatAskable is askable for it.
func (a *asking) whatAskable(cats []*domain.Catalogue, x whatAsked) error {
	if err := types(cats, x.kind, x.action); err != nil {
		return err
	}
	return a.Account("subject", x.subject)
}

// askUnder opens the path's ledger at the search's moment, in its language and under the catalogue that it supposes.
func (s *server) askUnder(w http.ResponseWriter, r *http.Request, p params, pg page) (*asking, error) {
	lang, err := p.lang()
	if err != nil {
		return nil, err
	}
	supposed, err := pg.supposition(w, r, p)
	if err != nil {
		return nil, err
	}
	a, err := pg.ask(s, r, p["at"], p["known_at"])
	if err != nil {
		return nil, err
	}
	a.lang = lang
	if err := a.suppose(supposed); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (s *server) who(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "who", "action", "resource", "kind", "limit", "at", "known_at", "catalogue", "lang")
	if err != nil {
		return err
	}
	x, err := p.who()
	if err != nil {
		return err
	}
	a, err := s.askUnder(w, r, p, pg)
	if err != nil {
		return err
	}
	defer a.close()
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	if err := a.askable(cats, &x); err != nil {
		return err
	}
	q := x.Question
	out := openStream(w, struct {
		Action   domain.Action   `json:"action"`
		Resource domain.Resource `json:"resource"`
		moments
		Catalogue *catalogueRef `json:"catalogue,omitempty"` // where one was supposed
	}{q.Action, q.Resource, a.moments(), a.under()}, "results")
	var last domain.Account
	for answer, err := range domain.Who(a.reader, q, a.At, domain.Account(pg.Last)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if x.limit > 0 && out.n == x.limit {
			return out.close(pageTail{Next: pg.next(a, "who", p, string(last))})
		}
		basis, err := a.basis(r, answer.Decision.Basis)
		if err != nil {
			return err
		}
		if err := out.add(struct {
			Subject    domain.Account  `json:"subject"`
			ValidUntil *domain.Instant `json:"valid_until"` // null where no end is known
			Basis      []basisEntry    `json:"basis"`
		}{answer.Subject, known(answer.Decision.ValidUntil), basis}); err != nil {
			return err
		}
		last = answer.Subject
	}
	return out.close(pageTail{Complete: true})
}

func (s *server) what(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "what", "subject", "action", "type", "limit", "at", "known_at", "catalogue", "lang")
	if err != nil {
		return err
	}
	x, err := p.what()
	if err != nil {
		return err
	}
	a, err := s.askUnder(w, r, p, pg)
	if err != nil {
		return err
	}
	defer a.close()
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	if err := a.whatAskable(cats, x); err != nil {
		return err
	}
	out := openStream(w, struct {
		Subject domain.Account `json:"subject"`
		moments
		Catalogue *catalogueRef `json:"catalogue,omitempty"` // where one was supposed
	}{x.subject, a.moments(), a.under()}, "results")
	var last domain.Resource
	for reach, err := range domain.What(a.reader, x.subject, x.action, x.kind, a.At, domain.Resource(pg.Last)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if x.limit > 0 && out.n == x.limit {
			return out.close(pageTail{Next: pg.next(a, "what", p, string(last))})
		}
		basis, err := a.basis(r, reach.Basis)
		if err != nil {
			return err
		}
		if err := out.add(struct {
			Resource   domain.Resource `json:"resource"`
			Actions    []domain.Action `json:"actions"`
			ValidUntil *domain.Instant `json:"valid_until"` // of the first of the actions that could end; null where no end is known
			Basis      []basisEntry    `json:"basis"`
		}{reach.Resource, reach.Actions, known(reach.ValidUntil), basis}); err != nil {
			return err
		}
		last = reach.Resource
	}
	return out.close(pageTail{Complete: true})
}
