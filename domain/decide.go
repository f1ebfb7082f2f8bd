package domain

// May this be recorded? Decide answers for a command: is the actor permitted, does it fit what stands, does the
// catalogue allow it, and which events follow. Fit and catalogue are Admit's (admit.go), which an import asks too; who may
// is asked of the one decision (evaluate.go). It reads only what the command is about, and changes nothing.

import (
	"slices"
	"strconv"
	"strings"
)

// Decide turns a command into the events that record it, at the moment now, or says why not. r is the ledger as of its
// newest event. newID gives a fresh event id each time. The events' Org and Seq are the caller's to set; personal
// texts in them are still plain (see Event.Texts and PersonOf). No events and no error: there is nothing to record.
func Decide(r Reader, c Command, now Instant, newID func() EventID) ([]*Event, error) {
	if c.Data == nil || c.Data.Type() != commands[c.Name] {
		return nil, Errorf(Malformed, "bad_command", "command %s: its data is not that of %s", c.Name, commands[c.Name])
	}
	if err := authorise(r, c, now); err != nil {
		return nil, err
	}
	if nothingToRecord, err := idle(r, c, now); nothingToRecord || err != nil {
		return nil, err
	}
	first := &Event{
		ID: newID(), Type: c.Data.Type(), Version: versionOf(c.Data), RecordedAt: now, OccurredAt: c.OccurredAt,
		Actor: c.Actor, Reason: c.Reason, Source: c.Source, RequestID: c.ID, Data: c.Data,
	}
	if err := Admit(r, first); err != nil {
		return nil, err
	}
	if err := explained(r, first); err != nil {
		return nil, err
	}
	if err := sealable(r, first); err != nil {
		return nil, err
	}
	if err := keepsAFounder(r, first); err != nil {
		return nil, err
	}
	return follow(r, c, first, newID)
}

// explained refuses a correction that does not say why. About somebody whose texts were erased nothing more can be written,
// and what is wrong can be put right all the same.
func explained(r Reader, e *Event) error {
	if _, ok := e.Data.(*Correction); !ok || e.Reason != "" {
		return nil
	}
	p, err := PersonOf(r, e.Data)
	if err != nil {
		return err
	}
	if erased, err := r.Fact(erasedFact(p)); err != nil || p != "" && erased.Holds(e.RecordedAt) {
		return err
	}
	return Errorf(RuleBroken, "reason_missing", "%s: a reason must be given: say why what was recorded is wrong", e.Type)
}

// sealable refuses a reason that is about nobody, and so is its author's, of somebody whose texts were erased: whoever reads
// the log again erases what there is under their key. It is about commands alone: what an import holds of it, it erases.
func sealable(r Reader, e *Event) error {
	if e.Reason == "" {
		return nil
	}
	p, err := PersonOf(r, e.Data)
	if err != nil || p != "" {
		return err
	}
	if erased, err := r.Fact(erasedFact(e.Actor)); err != nil || !erased.Holds(e.RecordedAt) {
		return err
	}
	return Errorf(Conflict, "subject_erased", "the personal texts of %s were erased; nothing more can be written by that person: leave the reason out", e.Actor)
}

// keepsAFounder refuses a command after which nobody would be left to put things right: a founder holds every role of the
// catalogue's founder and has an open account, neither with a known end, and is not locked. It is about commands alone: an
// imported history may have had none, and failed sign-ins lock the last one too.
func keepsAFounder(r Reader, e *Event) error {
	cat, _, err := CatalogueAt(r, e.RecordedAt)
	if err != nil || cat == nil {
		return err
	}
	var about Account
	switch d := e.Data.(type) {
	case *RoleRevocation:
		about = d.Principal
	case *AccountDeactivation:
		about = d.Account
	case *AccountLock:
		about = d.Principal
	case *Correction:
		f, _, err := r.FactAt(d.Corrects)
		if err != nil || f.Family != FamilyRole {
			return err
		}
		about = f.Subject
	case *CatalogueAdoption:
	default:
		return nil
	}
	was := false
	if about == "" {
		was, err = hasFounder(r, cat, e.RecordedAt)
	} else {
		was, err = isFounder(r, cat, about, e.RecordedAt)
	}
	if err != nil || !was {
		return err
	}
	after := NewDraft(r)
	if err := after.Apply(e); err != nil {
		return err
	}
	if cat, _, err = CatalogueAt(after, e.RecordedAt); err != nil {
		return err
	}
	switch is, err := hasFounder(after, cat, e.RecordedAt); {
	case is || err != nil:
		return err
	case about == "":
		return Errorf(RuleBroken, "last_founder", "%s: nobody with an open account holds %s with no end, which is the founder of %s; assign it first, under a catalogue that has it too", e.Type, andOf(cat.Founder), cat.Name)
	}
	return Errorf(RuleBroken, "last_founder", "%s: %s is the last who holds %s with no end and has an open account that is not locked; let somebody else be founder first", e.Type, about, andOf(cat.Founder))
}

// andOf writes "full_access and manage_users".
func andOf[S ~string](names []S) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = string(n)
	}
	return strings.Join(words, " and ")
}

// hasFounder tells whether somebody is a founder at the moment.
func hasFounder(r Reader, cat *Catalogue, at Instant) (bool, error) {
	for h, err := range r.FactsOn(FamilyRole, RoleRef(cat.Founder[0])) {
		if err != nil {
			return false, err
		}
		if is, err := isFounder(r, cat, h.Fact.Subject, at); is || err != nil {
			return is, err
		}
	}
	return false, nil
}

func isFounder(r Reader, cat *Catalogue, who Account, at Instant) (bool, error) {
	facts := []Fact{activeFact(who)}
	for _, role := range cat.Founder {
		facts = append(facts, roleFact(who, role))
	}
	for _, f := range facts {
		v, err := r.Fact(f)
		if iv, ok := v.At(at); err != nil || !ok || iv.Until != Forever {
			return false, err
		}
	}
	locked, err := r.Fact(lockedFact(who))
	return err == nil && !locked.Holds(at), err
}

// idle tells whether the command reports what need not be kept: a sign-in that ends no count of failures.
func idle(r Reader, c Command, now Instant) (bool, error) {
	d, ok := c.Data.(*SigninSuccess)
	if !ok {
		return false, nil
	}
	if err := WasOpened(r, "principal", d.Principal); err != nil {
		return false, err
	}
	locked, err := r.Fact(lockedFact(d.Principal))
	if err != nil || locked.Holds(now) {
		return false, err // Admit says that it can't have been
	}
	failures, err := r.Fact(failuresFact(d.Principal))
	return err == nil && !failures.Holds(now), err
}

// follow adds the events that the first one brings with it, in the same commit.
func follow(r Reader, c Command, first *Event, newID func() EventID) ([]*Event, error) {
	events := []*Event{first}
	also := func(d Data) *Event {
		e := *first
		e.ID, e.Type, e.Data, e.Reason = newID(), d.Type(), d, ""
		return &e
	}
	cat, _, err := CatalogueAt(r, first.RecordedAt)
	if err != nil {
		return nil, err
	}
	switch d := first.Data.(type) {
	case *AccountOpening: // who opens a client's account and may have an on_open relation gets it
		if cat == nil || d.Account.Kind() != cat.Protected {
			return events, nil
		}
		opened := NewDraft(r)
		if err := opened.Apply(first); err != nil {
			return nil, err
		}
		for _, name := range sortedKeys(cat.Relations) {
			if rule := cat.Relations[name]; !rule.OnOpen {
				continue
			}
			link := also(&CaseloadLink{Principal: c.Actor, Client: d.Account, Relation: name})
			switch err := Admit(opened, link); {
			case err == nil:
				events = append(events, link)
				if err := opened.Apply(link); err != nil {
					return nil, err
				}
			case !isFailure(err, RuleBroken):
				return nil, err
			}
		}
	case *SigninFailure: // the failure that reaches the catalogue's number locks
		if cat == nil || cat.Lockout.FailedSignins == 0 {
			return events, nil
		}
		failed := NewDraft(r)
		if err := failed.Apply(first); err != nil {
			return nil, err
		}
		v, err := failed.Fact(failuresFact(d.Principal))
		if err != nil {
			return nil, err
		}
		iv, _ := v.At(first.RecordedAt)
		if n, _ := strconv.Atoi(iv.Detail); n < cat.Lockout.FailedSignins {
			return events, nil
		}
		lock := also(&AccountLock{Principal: d.Principal, Cause: iv.Detail + " failed sign-ins"})
		if err := Admit(failed, lock); err == nil {
			events = append(events, lock)
		} else if !isFailure(err, Conflict) { // locked already: it stays so
			return nil, err
		}
	}
	return events, nil
}

func isFailure(err error, f Failure) bool {
	e, ok := err.(*Error)
	return ok && e.Failure == f
}

// authorise asks the one decision whether the actor may do the command to the account that it is about.
// signin.* are reports that the API key's scope guards; any actor may be named.
func authorise(r Reader, c Command, now Instant) error {
	if c.Name == "signin.fail" || c.Name == "signin.succeed" {
		return nil
	}
	about, err := object(r, c.Data)
	if err != nil {
		return err
	}
	ev, err := NewEvaluator(r, now)
	if err != nil {
		return err
	}
	if err := WasOpened(r, "actor", c.Actor); err != nil {
		return err
	}
	if d, ok := c.Data.(*AccessGrant); ok && d.Principal != c.Actor {
		return Errorf(NotPermitted, "not_own_access", "%s by %s for %s: temporary access is taken by oneself; to give it to somebody, link them with an until", c.Name, c.Actor, d.Principal)
	}
	actions := []Action{c.Name} // any of them
	switch d := c.Data.(type) {
	case *AccessRevocation: // who may take access may end the own
		g, _, err := grantOf(r, d.Grant)
		if err != nil {
			return err
		}
		if g.Subject == c.Actor {
			actions = append(actions, "access.grant")
		}
	default:
		if rel, ok := relationOf(c.Data); ok && ev.cat != nil {
			if rule, known := ev.cat.Relations[rel]; known && rule.By != "" {
				actions[0] = rule.By
			}
		}
	}
	// Whether the object exists is Admit's to say, with a better sentence than a refusal; so a question about what
	// is not there is judged as if it were.
	if err := permitted(ev, c, actions, Question{Resource: about}); err != nil {
		return err
	}
	// What is registered may ask for an action on itself besides.
	switch d := c.Data.(type) {
	case *ResourceRegistration:
		ev.trusting = true // the command's word is what will be so
		return permitted(ev, c, ev.cat.Resources[d.Resource.Kind()].RegisteredBy, Question{Resource: d.Resource, Client: d.Client, CreatedBy: d.CreatedBy})
	case *ResourceRemoval:
		return permitted(ev, c, ev.cat.Resources[d.Resource.Kind()].RemovedBy, Question{Resource: d.Resource})
	}
	return nil
}

// permitted is nil where the command's actor may do one of the actions to the question's resource, or where there are none.
func permitted(ev *Evaluator, c Command, actions []Action, q Question) error {
	var lacks string
	for i, action := range actions {
		q.Subject, q.Action = c.Actor, action
		d, err := ev.evaluate(q, true)
		if err != nil || d.Allowed {
			return err
		}
		if i == 0 {
			lacks = Teller{Show: Instant.String}.Why(d.Basis[len(d.Basis)-1])
		}
	}
	switch {
	case len(actions) == 0:
		return nil
	case slices.Equal(actions, []Action{c.Name}):
		return Errorf(NotPermitted, "not_permitted", "%s by %s on %s: not permitted: %s", c.Name, c.Actor, q.Resource, lacks)
	}
	return Errorf(NotPermitted, "not_permitted", "%s by %s on %s: not permitted without %s on it: %s", c.Name, c.Actor, q.Resource, either(actions), lacks)
}

func relationOf(d Data) (Relation, bool) {
	switch d := d.(type) {
	case *CaseloadLink:
		return d.Relation, true
	case *CaseloadUnlink:
		return d.Relation, true
	}
	return "", false
}

// object gives the resource on which a command's actor needs the permission (contract §3).
func object(r Reader, d Data) (Resource, error) {
	switch d := d.(type) {
	case *CatalogueAdoption:
		return Resource(CatalogueRef), nil
	case *TeamJoin:
		return Resource(d.Team), nil
	case *TeamLeave:
		return Resource(d.Team), nil
	case *GuestInvitation:
		return d.Call, nil
	case *GuestAdmission:
		return d.Call, nil
	case *CallEnding:
		return d.Call, nil
	case interface{ exception() *Exception }:
		return Resource(d.exception().Principal), nil
	}
	p, err := PersonOf(r, d)
	return Resource(p), err
}

func (d *Exception) exception() *Exception { return d }

// PersonOf gives the account that an event's personal texts are about, and under whose key they are sealed: the
// protected account where there is one. "" where the data is about nobody (a catalogue); the actor's key serves then.
func PersonOf(r Reader, d Data) (Account, error) {
	switch d := d.(type) {
	case *AccountOpening:
		return d.Account, nil
	case *AccountDeactivation:
		return d.Account, nil
	case *AccountReactivation:
		return d.Account, nil
	case *RoleAssignment:
		return d.Principal, nil
	case *RoleRevocation:
		return d.Principal, nil
	case *CaseloadLink:
		return d.Client, nil
	case *CaseloadUnlink:
		return d.Client, nil
	case *TeamJoin:
		return d.Member, nil
	case *TeamLeave:
		return d.Member, nil
	case *AccessGrant:
		return d.Client, nil
	case *AccessRevocation:
		return clientOfGrant(r, d.Grant)
	case *AccessReview:
		return clientOfGrant(r, d.Grant)
	case interface{ exception() *Exception }:
		x := d.exception()
		if x.Client == "" {
			return x.Principal, nil
		}
		return x.Client, nil
	case *ResourceRegistration:
		return d.Client, nil
	case *ResourceRemoval:
		h, ok, err := standing(r, d.Resource)
		if err == nil && !ok {
			err = Errorf(Unknown, "unknown_resource", "resource %s: it is not registered", d.Resource)
		}
		return h.Fact.Object, err
	case *SigninFailure:
		return d.Principal, nil
	case *SigninSuccess:
		return d.Principal, nil
	case *AccountLock:
		return d.Principal, nil
	case *AccountUnlock:
		return d.Principal, nil
	case *GuestInvitation:
		return d.Guest, nil
	case *GuestAdmission:
		return d.Guest, nil
	case *Correction:
		return personOfFact(r, d.Corrects)
	case *ValidityStart:
		return personOfFact(r, d.Of)
	case *ValidityEnd:
		return personOfFact(r, d.Of)
	case *SubjectErasure:
		return d.Account, nil
	}
	return "", nil // a catalogue, or the end of a call
}

func clientOfGrant(r Reader, id GrantID) (Account, error) {
	g, ok, err := grantOf(r, id)
	if err == nil && !ok {
		err = Errorf(Unknown, "unknown_grant", "grant %q: there is no such grant", clip(string(id)))
	}
	return g.Object, err
}

// personOfFact gives whom the fact that event seq began is about.
func personOfFact(r Reader, seq Seq) (Account, error) {
	f, ok, err := r.FactAt(seq)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", Errorf(Unknown, "unknown_fact", "event %d: it began no fact that could be corrected", seq)
	case f.Family == FamilyLink || f.Family == FamilyGrant || f.Family == FamilyResource:
		return f.Object, nil
	}
	return f.Subject, nil
}

// CatalogueAt gives the catalogue in force at the moment, as r knows it, and the event that adopted it; nil and 0
// before the first.
func CatalogueAt(r Reader, at Instant) (*Catalogue, Seq, error) {
	cat, iv, err := catalogueAt(r, at)
	return cat, iv.Began, err
}

// catalogueAt is CatalogueAt with the interval for which the catalogue is in force.
func catalogueAt(r Reader, at Instant) (*Catalogue, Interval, error) {
	v, err := r.Fact(catalogueFact())
	if err != nil {
		return nil, Interval{}, err
	}
	iv, ok := v.At(at)
	if !ok {
		return nil, Interval{}, nil
	}
	cat, err := r.Catalogue(iv.Began)
	return cat, iv, err
}

// WasOpened is nil, or Unknown where no account of that name was ever opened as far as r knows; what says in which
// part it plays.
func WasOpened(r Reader, what string, acc Account) error {
	v, err := r.Fact(activeFact(acc))
	if err == nil && len(v.Intervals) == 0 {
		err = Errorf(Unknown, "unknown_account", "%s %s: no such account was ever opened", what, acc)
	}
	return err
}
