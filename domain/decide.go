package domain

// May this be recorded? Decide answers for a command: is the actor permitted, does it fit what stands, does the
// catalogue allow it, and which events follow. Fit and catalogue are Admit's (admit.go), which an import asks too; who may
// is asked of the one decision (evaluate.go). It reads only what the command is about, and changes nothing.

import (
	"iter"
	"strconv"
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
		ID: newID(), Type: c.Data.Type(), Version: eventVersion, RecordedAt: now, OccurredAt: c.OccurredAt,
		Actor: c.Actor, Reason: c.Reason, Source: c.Source, RequestID: c.ID, Data: c.Data,
	}
	if err := Admit(r, first); err != nil {
		return nil, err
	}
	return follow(r, c, first, newID)
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
		opened, err := after(r, first)
		if err != nil {
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
				if opened, err = after(opened, link); err != nil {
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
		failed, err := after(r, first)
		if err != nil {
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

// after is r with what e changes on top: enough to judge the event that follows in the same commit.
func after(r Reader, e *Event) (Reader, error) {
	changes, err := Fold(r, e)
	if err != nil {
		return nil, err
	}
	top := overlay{Reader: r, facts: make(map[Fact]Version, len(changes))}
	for _, c := range changes {
		top.facts[c.Fact] = Version{Seq: e.Seq, Intervals: c.Intervals}
	}
	return top, nil
}

// overlay shows facts on top of those below. Only Fact and FactsOf do: no more is asked about a commit's later events.
type overlay struct {
	Reader
	facts map[Fact]Version
}

func (o overlay) FactsOf(family Family, subject Account) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		for f, v := range o.facts {
			if f.Family == family && f.Subject == subject && !yield(Held{f, v}, nil) {
				return
			}
		}
		for h, err := range o.Reader.FactsOf(family, subject) {
			if _, over := o.facts[h.Fact]; !over && !yield(h, err) {
				return
			}
		}
	}
}

func (o overlay) Fact(f Fact) (Version, error) {
	if v, ok := o.facts[f]; ok {
		return v, nil
	}
	return o.Reader.Fact(f)
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
	action := c.Name
	if rel, ok := relationOf(c.Data); ok && ev.cat != nil {
		if rule, known := ev.cat.Relations[rel]; known && rule.By != "" {
			action = rule.By
		}
	}
	if err := WasOpened(r, "actor", c.Actor); err != nil {
		return err
	}
	// Whether the object exists is Admit's to say, with a better sentence than a refusal; so a question about what
	// is not there is judged as if it were.
	d, err := ev.evaluate(Question{Subject: c.Actor, Action: action, Resource: about}, true)
	if err != nil || d.Allowed {
		return err
	}
	return Errorf(NotPermitted, "not_permitted", "%s by %s on %s: not permitted: %s", c.Name, c.Actor, about, d.Basis[len(d.Basis)-1].Why(Instant.String))
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
