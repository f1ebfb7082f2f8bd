package domain

// The one decision: may P do A to R, valid at T, known at S, and by what. Nothing else in permledger decides. Searches
// propose and ask it, authority over commands asks it, explanations are what it kept.

import (
	"iter"
	"slices"
)

// A Question asks whether the subject may do the action to the resource.
type Question struct {
	Subject  Account
	Action   Action
	Resource Resource
	// Client and CreatedBy are what the caller says of a resource that is not registered. They count only where the
	// catalogue trusts such properties; "" where nothing is said.
	Client, CreatedBy Account
}

// A Decision is a yes or a no and what it rests on.
type Decision struct {
	Allowed bool
	// Basis is, for a yes, the facts that make it true; for a no, the nearest miss: the facts of the permit that came
	// closest, and what it lacked.
	Basis []Reason
	// Permit is the line that allows, or that came closest; nil where no line is about the action at all.
	Permit *Permit
	// Catalogue is the event that adopted the catalogue in force; 0 where none was.
	Catalogue Seq
	// ValidUntil is, for a yes, the earliest moment at which by what is known it could end by itself.
	ValidUntil Instant
}

// An Evaluator decides questions about one moment as known at one seq. It remembers what it read, so that the many
// questions of a search cost little; it is for one goroutine and one search.
type Evaluator struct {
	r     Reader
	at    Instant
	cat   *Catalogue
	catIn Seq
	until Instant // when another catalogue follows, by what is known
	memo  map[Fact]Version
	scans map[scan][]Held // whole: what is not in one is not there
	ever  bool            // it only proposes, for a whole span: see Sweep
	// trusting takes what a question says of a resource that is not registered, whatever the catalogue says: for the ledger's
	// own questions about what a command is to register.
	trusting bool
}

// A scan is all facts of a family near an account, as Subject or as Object.
type scan struct {
	family   Family
	near     Account
	onObject bool
}

// Bounds on what an evaluator remembers: facts, scans, and facts of one scan.
const (
	maxMemo  = 4096
	maxScans = 256
	maxScan  = 64
)

// NewEvaluator prepares to decide by the catalogue that was in force at the moment, as r knows it.
func NewEvaluator(r Reader, at Instant) (*Evaluator, error) {
	ev := &Evaluator{r: r, at: at, memo: make(map[Fact]Version)}
	cat, iv, err := catalogueAt(r, at)
	ev.cat, ev.catIn, ev.until = cat, iv.Began, iv.Until
	return ev, err
}

// Catalogue is the one in force at the moment; nil before the first was adopted.
func (ev *Evaluator) Catalogue() *Catalogue { return ev.cat }

// Evaluate decides one question.
func Evaluate(r Reader, q Question, at Instant) (Decision, error) {
	ev, err := NewEvaluator(r, at)
	if err != nil {
		return Decision{}, err
	}
	return ev.Evaluate(q)
}

func (ev *Evaluator) fact(f Fact) (Version, error) {
	if v, ok := ev.memo[f]; ok {
		return v, nil
	}
	if len(ev.scans) > 0 { // a scan of either side says what there is, and that there is nothing
		held, ok := ev.scans[scan{f.Family, f.Subject, false}]
		if !ok && f.Object != "" {
			held, ok = ev.scans[scan{f.Family, f.Object, true}]
		}
		if ok {
			i := slices.IndexFunc(held, func(h Held) bool { return h.Fact == f })
			if i < 0 {
				return Version{}, nil
			}
			return held[i].Version, nil
		}
	}
	v, err := ev.r.Fact(f)
	if err == nil {
		if len(ev.memo) >= maxMemo {
			clear(ev.memo)
		}
		ev.memo[f] = v
	}
	return v, err
}

func (ev *Evaluator) factsOf(family Family, subject Account) iter.Seq2[Held, error] {
	return ev.scan(scan{family, subject, false}, ev.r.FactsOf)
}

func (ev *Evaluator) factsOn(family Family, object Account) iter.Seq2[Held, error] {
	return ev.scan(scan{family, object, true}, ev.r.FactsOn)
}

// scan reads what s is of, or remembers it.
func (ev *Evaluator) scan(s scan, read func(Family, Account) iter.Seq2[Held, error]) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		if held, ok := ev.scans[s]; ok {
			for _, h := range held {
				if !yield(h, nil) {
					return
				}
			}
			return
		}
		var held []Held
		few := true
		for h, err := range read(s.family, s.near) {
			if few = few && err == nil && len(held) < maxScan; few {
				held = append(held, h)
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
		if !few {
			return
		}
		if ev.scans == nil || len(ev.scans) >= maxScans {
			ev.scans = make(map[scan][]Held)
		}
		ev.scans[s] = held
	}
}

// Existed tells whether the account had been opened, or the resource registered, by the moment. Things that are
// neither, like platform:main, are always there.
func (ev *Evaluator) Existed(res Resource) (bool, error) {
	if ev.cat == nil {
		return false, nil
	}
	if _, account := ev.cat.Kinds[res.Kind()]; account {
		v, err := ev.fact(activeFact(Account(res)))
		return v.begun(ev.at), err
	}
	if rule, ok := ev.cat.Resources[res.Kind()]; !ok || rule.Of == "" {
		return ok, nil
	}
	_, ok, _, err := ev.registered(res)
	return ok, err
}

// begun tells whether some interval of the version began at or before t, even if it ended in the same moment.
func (v Version) begun(t Instant) bool {
	return slices.ContainsFunc(v.Intervals, func(iv Interval) bool { return iv.From <= t })
}

// until gives the first moment after t at which the fact stops being as it is at t: held or not.
func (v Version) until(t Instant) Instant {
	held, first := v.Holds(t), Forever
	for _, iv := range v.Intervals {
		for _, b := range [...]Instant{iv.From, iv.Until} {
			if b > t && b < first && v.Holds(b) != held {
				first = b
			}
		}
	}
	return first
}

// Evaluate decides q.
func (ev *Evaluator) Evaluate(q Question) (Decision, error) { return ev.evaluate(q, false) }

// evaluate decides q. opening is for account.open alone, whose resource is not there yet.
func (ev *Evaluator) evaluate(q Question, opening bool) (Decision, error) {
	d := Decision{Catalogue: ev.catIn, ValidUntil: Forever}
	no := func(reason Reason, err error) (Decision, error) {
		d.Basis, d.ValidUntil = []Reason{reason}, 0
		return d, err
	}
	if ev.cat == nil {
		return no(Reason{State: NoPermit, Want: Want{Lack: LackCatalogue}}, nil)
	}

	// Who is nobody, or barred, or of a kind that the catalogue does not have, gets nothing, whatever stands.
	if _, ok := ev.cat.Kinds[q.Subject.Kind()]; !ok {
		kinds := &Selectors{Kinds: sortedKeys(ev.cat.Kinds)}
		return no(Reason{State: Missing, Want: Want{Lack: LackKind, Who: q.Subject, Of: kinds}}, nil)
	}
	active, err := ev.fact(activeFact(q.Subject))
	if err != nil {
		return d, err
	}
	if !active.Holds(ev.at) {
		return no(ev.miss(activeFact(q.Subject), active, Want{Lack: LackAccount, Who: q.Subject}), nil)
	}
	locked, err := ev.fact(lockedFact(q.Subject))
	if err != nil {
		return d, err
	}
	if iv, ok := locked.At(ev.at); ok {
		return no(Reason{Fact: lockedFact(q.Subject), Interval: iv, State: Bars}, nil)
	}
	ceiling := min(ev.until, active.until(ev.at), locked.until(ev.at))

	res, found, err := ev.resource(q)
	if err != nil {
		return d, err
	}
	if !found && !ev.cat.Type(q.Resource.Kind()) {
		return no(Reason{State: NoPermit, Want: Want{Lack: LackPermit, What: q.Resource, Action: q.Action}}, nil)
	}
	if !found && !opening {
		return no(Reason{State: Missing, Want: Want{Lack: LackResource, What: q.Resource}}, nil)
	}

	// An individual permission counts before the roles do: withheld wins over everything, added over nothing at all.
	added, bars, exceptionUntil, err := ev.exceptions(q, res.client)
	if err != nil {
		return d, err
	}
	if bars != nil {
		return no(*bars, nil)
	}
	ceiling = min(ceiling, exceptionUntil, res.until)
	if added != nil {
		var neverFrom Instant
		if bars, neverFrom, err = ev.never(q); err != nil {
			return d, err
		}
		ceiling = min(ceiling, neverFrom)
	}
	if added != nil && bars == nil {
		d.Allowed, d.Basis, d.ValidUntil = true, []Reason{*added}, min(ceiling, added.Interval.Until)
		return d, nil
	}

	var nearest attempt
	for _, p := range ev.cat.Lines(q.Resource.Kind(), q.Action) {
		a, err := ev.try(p, q.Subject, res)
		if err != nil {
			return d, err
		}
		switch {
		case a.ok && (!d.Allowed || a.until > d.ValidUntil):
			d.Allowed, d.Basis, d.Permit, d.ValidUntil = true, a.reasons, p, a.until
		case !a.ok && (nearest.permit == nil || a.closeness() > nearest.closeness()):
			nearest = a
		}
		if d.Allowed && d.ValidUntil >= ceiling {
			break
		}
	}
	if d.Allowed {
		d.ValidUntil = min(d.ValidUntil, ceiling)
		if len(d.Basis) == 0 { // a line that asks for nothing but being somebody
			iv, _ := active.At(ev.at)
			d.Basis = []Reason{{Fact: activeFact(q.Subject), Interval: iv, State: Stands}}
		}
		return d, nil
	}
	if bars != nil { // it was added, and is nothing for a holder of that role
		return no(*bars, nil)
	}
	d.ValidUntil, d.Permit, d.Basis = 0, nearest.permit, nearest.reasons
	if nearest.permit == nil {
		return no(Reason{State: NoPermit, Want: Want{Lack: LackPermit, What: q.Resource, Action: q.Action}}, nil)
	}
	return d, nil
}

// thing is the resource of a question with what deciding needs to know of it.
type thing struct {
	Resource
	account bool    // it is an account
	client  Account // the protected account that it is or belongs to; "" where there is none
	creator Account
	basis   []Reason // the registration that says so
	until   Instant
}

// resource finds out what the question's resource is. found is false where it did not exist at the moment.
func (ev *Evaluator) resource(q Question) (res thing, found bool, err error) {
	kind := q.Resource.Kind()
	res = thing{Resource: q.Resource, until: Forever}
	if _, res.account = ev.cat.Kinds[kind]; res.account {
		if kind == ev.cat.Protected {
			res.client = Account(q.Resource)
		}
		found, err = ev.Existed(q.Resource)
		return res, found, err
	}
	rule, known := ev.cat.Resources[kind]
	if !known || rule.Of == "" || q.Resource.ID() == "*" {
		return res, known, nil
	}
	h, ok, until, err := ev.registered(q.Resource)
	if err != nil {
		return res, false, err
	}
	res.until = until
	if ok {
		iv, _ := h.Version.At(ev.at)
		res.client, res.creator = h.Fact.Object, Account(iv.Detail)
		res.basis = []Reason{{Fact: h.Fact, Interval: iv, State: Stands}}
		return res, true, nil
	}
	if (rule.TrustProperties || ev.trusting) && q.Client != "" && q.Client.Kind() == ev.cat.Protected {
		res.client, res.creator = q.Client, q.CreatedBy
		found, err = ev.Existed(Resource(q.Client))
	}
	return res, found, err
}

// registered gives the registration of the resource that holds at the moment, and until when that, or that there is
// none, stays so.
func (ev *Evaluator) registered(res Resource) (Held, bool, Instant, error) {
	until := Forever
	for h, err := range ev.factsOf(FamilyResource, Account(res)) {
		if err != nil {
			return Held{}, false, 0, err
		}
		if h.Version.Holds(ev.at) {
			return h, true, h.Version.until(ev.at), nil
		}
		until = min(until, h.Version.until(ev.at))
	}
	return Held{}, false, until, nil
}

// exceptions finds the subject's individual permission for the question: the client's own before that for all.
func (ev *Evaluator) exceptions(q Question, client Account) (added, bars *Reason, until Instant, err error) {
	until = Forever
	facts := [2]Fact{exceptionFact(q.Subject, q.Resource.Kind(), q.Action, "")}
	n := 1
	if client != "" {
		facts[1], n = exceptionFact(q.Subject, q.Resource.Kind(), q.Action, client), 2
	}
	for _, f := range facts[:n] {
		v, err := ev.fact(f)
		if err != nil {
			return nil, nil, 0, err
		}
		until = min(until, v.until(ev.at))
		iv, ok := v.At(ev.at)
		switch {
		case ok && iv.Detail == Withheld:
			return nil, &Reason{Fact: f, Interval: iv, State: Bars}, 0, nil
		case ok:
			added = &Reason{Fact: f, Interval: iv, State: Stands}
		}
	}
	return added, nil, until, nil
}

// never finds the role that makes nothing of an individual permission for the question's action, or else the first moment
// at which the subject will hold one.
func (ev *Evaluator) never(q Question) (bars *Reason, until Instant, err error) {
	until = Forever
	for _, role := range ev.cat.never(q.Resource.Kind(), q.Action) {
		f := roleFact(q.Subject, role)
		v, err := ev.fact(f)
		if err != nil {
			return nil, 0, err
		}
		if iv, ok := v.At(ev.at); ok {
			return &Reason{Fact: f, Interval: iv, State: Bars, Want: Want{Lack: LackNever}}, Forever, nil
		}
		until = min(until, v.until(ev.at))
	}
	return nil, until, nil
}

// attempt is how far one permit line got.
type attempt struct {
	permit  *Permit
	ok      bool
	reasons []Reason // what stands, and for a failed attempt what is lacking
	until   Instant
}

// closeness orders failed attempts: more that stands is closer, and of equals the one whose lack once was not one.
func (a attempt) closeness() int {
	c := 0
	for _, r := range a.reasons {
		switch r.State {
		case Stands:
			c += 4
		case Ended, Bars:
			c += 2
		case NotYet:
			c++
		}
	}
	return c
}

// try holds the subject and the resource against one line: every selector must hold, and nothing of unless.
func (ev *Evaluator) try(p *Permit, subject Account, res thing) (attempt, error) {
	a := attempt{permit: p, ok: true, until: res.until}
	tests := ev.selectors(&p.Selectors)
	usesResource := false
	for _, test := range tests {
		reasons, holds, until, err := test.holds(subject, res)
		if err != nil {
			return a, err
		}
		a.ok = a.ok && holds
		a.until = min(a.until, until)
		a.reasons = append(a.reasons, reasons...)
		usesResource = usesResource || test.ofResource
	}
	if a.ok && usesResource {
		a.reasons = append(a.reasons, res.basis...)
	}
	if p.Unless == nil || !a.ok {
		return a, nil
	}
	for _, test := range ev.selectors(p.Unless) {
		reasons, holds, until, err := test.holds(subject, res)
		if err != nil {
			return a, err
		}
		if holds {
			for i := range reasons {
				reasons[i].State = Bars
			}
			if len(reasons) == 0 {
				reasons = []Reason{{State: Missing, Want: Want{Lack: test.otherwise}}}
			}
			a.ok, a.reasons = false, append(a.reasons, reasons...)
			return a, nil
		}
		a.until = min(a.until, until) // until then it does not hold
	}
	return a, nil
}
