package api

// AuthZEN Authorization API 1.0, for each organisation at /orgs/{org}/access/v1. An account is a subject or resource by its
// kind and id; context.as_of and context.known_at are our moments, and context.time changes nothing. What is unknown here
// is a no, or no result, as the standard has it; the auditor's questions in question.go refuse it instead.
//
// The same request gives the same bytes, as long as nothing was recorded that bears on it: no id or seq is in an answer, and no
// time but the one until which a yes may be relied on (context.valid_until; null where no end is known). Results of searches
// are as the standard has them, without one.

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// A query is one question in the standard's terms, "" for what is not given. It is what a page's token carries.
type query struct {
	SubjectType  string `json:"st,omitempty"`
	SubjectID    string `json:"si,omitempty"`
	Action       string `json:"a,omitempty"`
	ResourceType string `json:"rt,omitempty"`
	ResourceID   string `json:"ri,omitempty"`
	Client       string `json:"c,omitempty"` // resource.properties.client
	CreatedBy    string `json:"by,omitempty"`
	AsOf         string `json:"at,omitempty"`
	KnownAt      string `json:"known,omitempty"`
	Limit        int    `json:"n,omitempty"` // 0: all
}

// wants says which parts a request must have. What is searched for needs no id, and one given is ignored.
type wants struct{ subjectID, action, resourceID bool }

var whole = wants{subjectID: true, action: true, resourceID: true}

// readQuery reads a question of an object with subject, action, resource and context.
func readQuery(o object, want wants) (q query, err error) {
	if q.SubjectType, q.SubjectID, _, err = readEntity(o, "subject", want.subjectID); err != nil {
		return q, err
	}
	if want.action {
		action, err := o.object("action")
		if err != nil {
			return q, err
		}
		if action == nil {
			return q, missingField("action")
		}
		if q.Action, err = action.text("action", "name"); err != nil {
			return q, err
		}
		if q.Action == "" {
			return q, missingField("action.name")
		}
	}
	var properties object
	if q.ResourceType, q.ResourceID, properties, err = readEntity(o, "resource", want.resourceID); err != nil {
		return q, err
	}
	// Properties are whatever the caller has. Only where these two are accounts can they mean what the catalogue may trust.
	q.Client, _ = properties["client"].(string)
	q.CreatedBy, _ = properties["created_by"].(string)
	return q, q.readContext(o)
}

func readEntity(o object, name string, withID bool) (typ, id string, properties object, err error) {
	e, err := o.object(name)
	if err != nil {
		return "", "", nil, err
	}
	if e == nil {
		return "", "", nil, missingField(name)
	}
	if typ, err = e.text(name, "type"); err != nil {
		return "", "", nil, err
	}
	if typ == "" {
		return "", "", nil, missingField(name + ".type")
	}
	if withID {
		if id, err = e.text(name, "id"); err != nil {
			return "", "", nil, err
		}
		if id == "" {
			return "", "", nil, missingField(name + ".id")
		}
	}
	properties, err = e.object("properties")
	return typ, id, properties, within(name, err)
}

func (q *query) readContext(o object) error {
	context, err := o.object("context")
	if err != nil {
		return err
	}
	if q.AsOf, err = context.text("context", "as_of"); err != nil {
		return err
	}
	if seq, ok := context["known_at"].(json.Number); ok {
		q.KnownAt = seq.String()
		return nil
	}
	q.KnownAt, err = context.text("context", "known_at")
	return err
}

// question is q in the ledger's terms, without what is searched for. The error is of a name that nothing in the ledger can
// have: the answer is no, or nothing.
func (a *asking) question(q query, want wants) (dq domain.Question, err error) {
	if want.subjectID {
		if dq.Subject, err = domain.ParseAccount(q.SubjectType + ":" + q.SubjectID); err != nil {
			return dq, err
		}
	}
	if want.action {
		if dq.Action, err = domain.ParseAction(q.Action); err != nil {
			return dq, err
		}
	}
	if want.resourceID {
		if dq.Resource, err = parseResource(q.ResourceType + ":" + q.ResourceID); err != nil {
			return dq, err
		}
		// What is listed one by one is none of it called "*".
		if cat := a.ev.Catalogue(); cat != nil && q.ResourceID == "*" {
			if rule, ok := cat.Resources[dq.Resource.Kind()]; !ok || rule.Of != "" {
				_, err := domain.ParseResource(string(dq.Resource))
				return dq, err
			}
		}
	}
	dq.Client, dq.CreatedBy = accountOrNone(q.Client), accountOrNone(q.CreatedBy)
	return dq, nil
}

// accountOrNone reads what a caller's property says; a text that is no account says nothing.
func accountOrNone(s string) domain.Account {
	acc, err := domain.ParseAccount(s)
	if err != nil {
		return ""
	}
	return acc
}

// A verdict is the answer to one evaluation.
type verdict struct {
	Decision bool `json:"decision"`
	Context  any  `json:"context"` // a yesContext, noContext or errorContext
}

type yesContext struct {
	ValidUntil *domain.Instant `json:"valid_until"` // null where no end is known
}

type noContext struct {
	ReasonAdmin map[string]string `json:"reason_admin"` // by status: "403" and why not
}

type errorContext struct {
	Error verdictError `json:"error"`
}

type verdictError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

func denied(why string) verdict {
	return verdict{Context: noContext{map[string]string{"403": why}}}
}

// A sitting answers the questions of one request, those about the same moments with what was read once.
type sitting struct {
	l    *ledger.Ledger
	open map[[2]string]*asking
}

func newSitting(l *ledger.Ledger) *sitting {
	return &sitting{l: l, open: make(map[[2]string]*asking)}
}

func (s *sitting) close() {
	for _, a := range s.open {
		a.close()
	}
}

// maxOpen bounds how many moments are open at a time: each keeps something of the database open.
const maxOpen = 16

func (s *sitting) at(asOf, knownAt string) (*asking, error) {
	key := [2]string{asOf, knownAt}
	if a := s.open[key]; a != nil {
		return a, nil
	}
	if len(s.open) >= maxOpen {
		for k, a := range s.open {
			if k != [2]string{} { // now is one moment for the whole request
				a.close()
				delete(s.open, k)
			}
		}
	}
	a, err := newAsking(s.l, "context.as_of", asOf, knownAt)
	if err != nil {
		return nil, err
	}
	s.open[key] = a
	return a, nil
}

func (s *sitting) evaluate(q query) (verdict, error) {
	a, err := s.at(q.AsOf, q.KnownAt)
	if err != nil {
		return verdict{}, err
	}
	dq, err := a.question(q, whole)
	if err != nil {
		return denied(err.Error()), nil
	}
	d, err := a.ev.Evaluate(dq)
	switch {
	case err != nil:
		return verdict{}, err
	case d.Allowed:
		return verdict{true, yesContext{known(d.ValidUntil)}}, nil
	}
	return denied(a.teller().WhyNot(d)), nil
}

// readRequest reads an AuthZEN request and finds the ledger it is for.
func (s *server) readRequest(w http.ResponseWriter, r *http.Request) (object, *ledger.Ledger, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	o, err := readObject(body)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.ledger(r)
	return o, l, err
}

func (s *server) evaluation(w http.ResponseWriter, r *http.Request) error {
	o, l, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	return evaluateOne(w, o, l)
}

func evaluateOne(w http.ResponseWriter, o object, l *ledger.Ledger) error {
	q, err := readQuery(o, whole)
	if err != nil {
		return err
	}
	sit := newSitting(l)
	defer sit.close()
	v, err := sit.evaluate(q)
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}

// ends tells, by the name of a semantic, whether a decision is the last one wanted.
var ends = map[string]func(decision bool) bool{
	"execute_all":            func(bool) bool { return false },
	"deny_on_first_deny":     func(decision bool) bool { return !decision },
	"permit_on_first_permit": func(decision bool) bool { return decision },
}

// evaluations answers several questions. The request's own subject, action, resource and context stand in, each whole, for
// what an item lacks. An item that can't be answered is a no with an error and leaves the others alone.
func (s *server) evaluations(w http.ResponseWriter, r *http.Request) error {
	o, l, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	end, err := semantic(o)
	if err != nil {
		return err
	}
	items, ok := o["evaluations"].([]any)
	if !ok && o["evaluations"] != nil {
		return domain.Errorf(domain.Malformed, "bad_field", "evaluations: want an array")
	}
	if len(items) == 0 {
		return evaluateOne(w, o, l)
	}
	for _, name := range parts {
		if _, err := o.object(name); err != nil {
			return err
		}
	}
	sit := newSitting(l)
	defer sit.close()
	out := openStream(w, struct{}{}, "evaluations")
	for _, item := range items {
		if err := r.Context().Err(); err != nil {
			return err
		}
		v, err := sit.item(o, item)
		if err != nil {
			return err
		}
		if err := out.add(v); err != nil {
			return err
		}
		if end(v.Decision) {
			break
		}
	}
	return out.close(struct{}{})
}

// parts are the fields that an item takes from the request where it lacks them.
var parts = []string{"subject", "action", "resource", "context"}

// item answers one item. The error is only of what fails whatever the item says.
func (s *sitting) item(defaults object, item any) (verdict, error) {
	fields, ok := item.(object)
	if !ok {
		return failed(domain.Errorf(domain.Malformed, "bad_field", "want an object"))
	}
	all := make(object, len(parts))
	for _, name := range parts {
		all[name] = defaults[name]
		if fields[name] != nil {
			all[name] = fields[name]
		}
	}
	q, err := readQuery(all, whole)
	if err != nil {
		return failed(err)
	}
	v, err := s.evaluate(q)
	if err != nil {
		return failed(err)
	}
	return v, nil
}

// failed makes a verdict of an error that is the item's own; others fail the request.
func failed(err error) (verdict, error) {
	var e *domain.Error
	if !errors.As(err, &e) || statuses[e.Failure] >= http.StatusInternalServerError {
		return verdict{}, err
	}
	return verdict{Context: errorContext{verdictError{statuses[e.Failure], e.Message}}}, nil
}

func semantic(o object) (func(bool) bool, error) {
	options, err := o.object("options")
	if err != nil {
		return nil, err
	}
	name, err := options.text("options", "evaluations_semantic")
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = "execute_all"
	}
	end := ends[name]
	if end == nil {
		return nil, domain.Errorf(domain.Malformed, "unknown_semantic", "options.evaluations_semantic %q: want execute_all, deny_on_first_deny or permit_on_first_permit", clip(name))
	}
	return end, nil
}

// A hit is one result of a search and its name in the order of results.
type hit struct {
	name   string
	result any
}

// The results of searches; nothing else may be in them.
type (
	entityResult struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	actionResult struct {
		Name string `json:"name"`
	}
)

func (s *server) searchSubject(w http.ResponseWriter, r *http.Request) error {
	find := func(a *asking, q query, dq domain.Question, after string, yield func(hit, error) bool) {
		kind, err := domain.ParseName("kind", q.SubjectType)
		if err != nil {
			return
		}
		dq.Subject = domain.Account(kind + ":*")
		for answer, err := range domain.Who(a, dq, a.At, domain.Account(after)) {
			if err != nil {
				yield(hit{}, err)
				return
			}
			if !yield(hit{string(answer.Subject), entityResult{kind, answer.Subject.ID()}}, nil) {
				return
			}
		}
	}
	return s.search(w, r, "search/subject", wants{action: true, resourceID: true}, find)
}

func (s *server) searchResource(w http.ResponseWriter, r *http.Request) error {
	find := func(a *asking, q query, dq domain.Question, after string, yield func(hit, error) bool) {
		kind, err := domain.ParseName("kind", q.ResourceType)
		if err != nil {
			return
		}
		for reach, err := range domain.What(a, dq.Subject, dq.Action, domain.Kind(kind), a.At, domain.Resource(after)) {
			if err != nil {
				yield(hit{}, err)
				return
			}
			if !yield(hit{string(reach.Resource), entityResult{kind, reach.Resource.ID()}}, nil) {
				return
			}
		}
	}
	return s.search(w, r, "search/resource", wants{subjectID: true, action: true}, find)
}

func (s *server) searchAction(w http.ResponseWriter, r *http.Request) error {
	find := func(a *asking, _ query, dq domain.Question, after string, yield func(hit, error) bool) {
		if a.ev.Catalogue() == nil {
			return
		}
		for _, dq.Action = range a.ev.Catalogue().Actions(dq.Resource.Kind()) {
			if string(dq.Action) <= after {
				continue
			}
			d, err := a.ev.Evaluate(dq)
			if err != nil {
				yield(hit{}, err)
				return
			}
			if d.Allowed && !yield(hit{string(dq.Action), actionResult{string(dq.Action)}}, nil) {
				return
			}
		}
	}
	return s.search(w, r, "search/action", wants{subjectID: true, resourceID: true}, find)
}

// A finder yields the results of a search in the order of their names, from the one after the given name on. dq is q
// without what is searched for. An error is the last that it yields.
type finder func(a *asking, q query, dq domain.Question, after string, yield func(hit, error) bool)

// pageAnswer is there where a page was asked for. next_token is "" on the last one.
type pageAnswer struct {
	NextToken string `json:"next_token"`
	Count     int    `json:"count"`
}

// search answers a search with what find yields.
func (s *server) search(w http.ResponseWriter, r *http.Request, of string, want wants, find finder) error {
	o, l, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	q, pg, paged, err := readSearch(r, o, of, want)
	if err != nil {
		return err
	}
	asOf, knownAt := q.AsOf, q.KnownAt
	if pg.Last != "" {
		asOf, knownAt = pg.At.String(), strconv.FormatUint(uint64(pg.Known), 10)
	}
	a, err := newAsking(l, "context.as_of", asOf, knownAt)
	if err != nil {
		return err
	}
	defer a.close()
	hits := func(yield func(hit, error) bool) {
		if dq, err := a.question(q, want); err == nil {
			find(a, q, dq, pg.Last, yield)
		}
	}
	out := openStream(w, struct{}{}, "results")
	next, last := "", ""
	for hit, err := range hits {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if q.Limit > 0 && out.n == q.Limit {
			next = pg.next(a, of, q, last)
			break
		}
		if err := out.add(hit.result); err != nil {
			return err
		}
		last = hit.name
	}
	var tail struct {
		Page *pageAnswer `json:"page,omitempty"`
	}
	if paged {
		tail.Page = &pageAnswer{next, out.n}
	}
	return out.close(tail)
}

// readSearch reads a search and, where it is not the first page, where it goes on. paged tells whether a page was asked for.
func readSearch(r *http.Request, o object, of string, want wants) (q query, pg page, paged bool, err error) {
	p, err := o.object("page")
	if err != nil {
		return q, pg, false, err
	}
	limit, err := readLimit(p)
	if err != nil {
		return q, pg, false, err
	}
	token := ""
	if p["token"] != "" { // what the last page said: there is nothing to go on with, so it is the first again
		if token, err = p.text("page", "token"); err != nil {
			return q, pg, false, err
		}
	}
	if token == "" {
		q, err = readQuery(o, want)
		q.Limit = limit
		return q, pg, p != nil, err
	}
	if pg, err = parsePage(r, of, token); err != nil {
		return q, pg, false, err
	}
	before, err := pg.query()
	if err != nil {
		return q, pg, false, err
	}
	if limit == 0 {
		limit = before.Limit
	}
	q, alone := before, true
	for _, name := range parts {
		alone = alone && o[name] == nil
	}
	if !alone {
		if q, err = readQuery(o, want); err != nil {
			return q, pg, false, err
		}
		if q.Limit = before.Limit; q != before {
			return q, pg, false, domain.Errorf(domain.Malformed, "page_mismatch", "page.token: it is of another question; send it alone, or with the question as it was")
		}
	}
	q.Limit = limit
	return q, pg, true, nil
}

func readLimit(p object) (int, error) {
	if p["limit"] == nil {
		return 0, nil
	}
	number, _ := p["limit"].(json.Number)
	n, err := number.Int64()
	if err != nil || n < 1 {
		return 0, domain.Errorf(domain.Malformed, "bad_limit", "page.limit: want a whole number from 1")
	}
	return int(min(n, maxLimit)), nil
}

// metadata tells clients where everything is. The identifier is what they called the organisation by.
func (s *server) metadata(w http.ResponseWriter, r *http.Request) error {
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	base := s.baseURL
	if base == "" {
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		base = scheme + r.Host
	}
	pdp := base + "/orgs/" + string(l.Org())
	return writeJSON(w, struct {
		PDP            string `json:"policy_decision_point"`
		Evaluation     string `json:"access_evaluation_endpoint"`
		Evaluations    string `json:"access_evaluations_endpoint"`
		SearchSubject  string `json:"search_subject_endpoint"`
		SearchResource string `json:"search_resource_endpoint"`
		SearchAction   string `json:"search_action_endpoint"`
	}{
		pdp, pdp + "/access/v1/evaluation", pdp + "/access/v1/evaluations",
		pdp + "/access/v1/search/subject", pdp + "/access/v1/search/resource", pdp + "/access/v1/search/action",
	})
}
