package domain

// Looking things up: which temporary access there was and what became of it, who holds a role, which roles somebody
// holds. These read facts and decide nothing: what a role or a grant permits is Evaluate's business.

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

// A GrantState says how far a temporary access has come at a moment.
type GrantState string

// The states of a grant.
const (
	GrantScheduled GrantState = "scheduled" // given, and not begun
	GrantOpen      GrantState = "open"
	GrantEnded     GrantState = "ended"   // by itself
	GrantRevoked   GrantState = "revoked" // over because somebody took it back
	GrantVoided    GrantState = "voided"  // a correction says that it never was
)

// GrantStates lists them.
func GrantStates() []GrantState {
	return []GrantState{GrantScheduled, GrantOpen, GrantEnded, GrantRevoked, GrantVoided}
}

// A Grant is one temporary access as of a moment.
type Grant struct {
	ID                GrantID
	Principal, Client Account
	Profile           Profile
	Interval          Interval // its bounds, and the events that began, revoked and corrected it, as far as is known
	State             GrantState
	Review            Interval // begun by the review that had been made by the moment, Detail being the verdict; zero: none had
	// Due is when the review has to be there: the catalogue's review_within, as it was when this was granted, from when
	// the access begins. 0 where no review is asked for. A grant that was revoked before it began needs none; one that was
	// voided does, because until then it could be used.
	Due     Instant
	Overdue bool // no review, and Due has come
}

// Reviewed tells whether a review had been made by the moment.
func (g Grant) Reviewed() bool { return g.Review.Began != 0 }

// A GrantQuery says which grants are wanted; its zero value is all of them.
type GrantQuery struct {
	Principal, Client Account
	Profile           Profile
	State             GrantState
	Unreviewed        bool // only those that need a review and have none
	Overdue           bool // only those whose review is overdue
}

// Grants yields the temporary access that there was by the moment, the last recorded first, from the one recorded before
// the given event (0: from the newest). It is there from when it was granted or, where that was recorded afterwards, from
// when it began. Of one principal or client it costs what they have, otherwise what there ever was.
func Grants(r Reader, q GrantQuery, at Instant, before Seq) iter.Seq2[Grant, error] {
	return func(yield func(Grant, error) bool) {
		refs, err := grantRefs(r, q)
		if err != nil {
			yield(Grant{}, err)
			return
		}
		catalogues, err := r.Fact(catalogueFact())
		if err != nil {
			yield(Grant{}, err)
			return
		}
		// What a grant has become is read one by one, for as many as are taken.
		for _, ref := range refs {
			if before != 0 && ref.began >= before {
				continue
			}
			g, there, err := grantAt(r, ref, catalogues, at)
			if err != nil {
				yield(Grant{}, err)
				return
			}
			if there && q.wants(g) && !yield(g, nil) {
				return
			}
		}
	}
}

// grantRef names a grant, and the event that gave it.
type grantRef struct {
	fact  Fact
	began Seq
}

// grantRefs gives the grants that are of q's principal, client and profile, the newest first.
func grantRefs(r Reader, q GrantQuery) ([]grantRef, error) {
	facts := r.FactsOn(FamilyGrantRef, GrantsRef)
	switch {
	case q.Principal != "":
		facts = r.FactsOf(FamilyGrant, q.Principal)
	case q.Client != "":
		facts = r.FactsOn(FamilyGrant, q.Client)
	}
	var refs []grantRef
	for h, err := range facts {
		if err != nil {
			return nil, err
		}
		f := h.Fact
		if f.Family == FamilyGrantRef {
			f = referredGrant(GrantID(strings.TrimPrefix(string(f.Subject), string(GrantRef("")))), h.Version)
		}
		if (q.Client == "" || f.Object == q.Client) && (q.Profile == "" || f.Name == string(q.Profile)) {
			refs = append(refs, grantRef{f, h.Version.Intervals[0].Began}) // a grant's id is used once: it has one interval
		}
	}
	slices.SortFunc(refs, func(a, b grantRef) int { return cmp.Compare(b.began, a.began) })
	return refs, nil
}

// grantAt reads what a grant is at the moment; there is false where it was not yet.
func grantAt(r Reader, ref grantRef, catalogues Version, at Instant) (g Grant, there bool, err error) {
	f := ref.fact
	v, err := r.Fact(f)
	if err != nil {
		return g, false, err
	}
	iv := v.Intervals[0]
	g = Grant{ID: GrantID(f.ID), Principal: f.Subject, Client: f.Object, Profile: Profile(f.Name), Interval: iv, State: grantState(iv, at)}
	if iv.Recorded > at && iv.From > at {
		return g, false, nil
	}
	f.Family = FamilyReview
	review, err := r.Fact(f)
	if err != nil {
		return g, false, err
	}
	g.Review, _ = review.At(at)
	within, err := reviewWithin(r, catalogues, g.Profile, ref.began)
	if err != nil {
		return g, false, err
	}
	if within > 0 && !(iv.Empty() && g.State == GrantRevoked) {
		g.Due = max(iv.From, iv.Recorded).Add(within)
		g.Overdue = !g.Reviewed() && at >= g.Due
	}
	return g, true, nil
}

func grantState(iv Interval, at Instant) GrantState {
	switch {
	case iv.Empty() && iv.Corrected > iv.Ended:
		return GrantVoided
	case iv.Empty():
		return GrantRevoked // before it began
	case at < iv.From:
		return GrantScheduled
	case at < iv.Until:
		return GrantOpen
	case iv.Ended != 0:
		return GrantRevoked
	}
	return GrantEnded
}

// reviewWithin gives the time for a review of the profile by the catalogue that was in force at the event; 0 where it
// asks for none.
func reviewWithin(r Reader, catalogues Version, p Profile, granted Seq) (time.Duration, error) {
	for _, iv := range slices.Backward(catalogues.Intervals) {
		if iv.Began < granted {
			cat, err := r.Catalogue(iv.Began)
			if err != nil {
				return 0, err
			}
			return cat.Grants[p].ReviewWithin, nil
		}
	}
	return 0, nil
}

func (q GrantQuery) wants(g Grant) bool {
	switch {
	case q.State != "" && g.State != q.State,
		q.Unreviewed && (g.Due == 0 || g.Reviewed()),
		q.Overdue && !g.Overdue:
		return false
	}
	return true
}

// A Holder holds a role at a moment.
type Holder struct {
	Account Account
	Reason  Reason // that the role is held
	Standing
}

// Standing says whether what an account holds counts for anything: not while it is deactivated or locked.
type Standing struct{ Active, Locked bool }

// StandingOf reads an account's standing at the moment.
func StandingOf(r Reader, a Account, at Instant) (s Standing, err error) {
	active, err := r.Fact(activeFact(a))
	if err != nil {
		return s, err
	}
	locked, err := r.Fact(lockedFact(a))
	return Standing{Active: active.Holds(at), Locked: locked.Holds(at)}, err
}

// Holders yields who holds the role at the moment, by name, from the account after the given one; of one kind, "" being
// any. Whoever is deactivated or locked holds it still.
func Holders(r Reader, role Role, kind Kind, at Instant, after Account) iter.Seq2[Holder, error] {
	return func(yield func(Holder, error) bool) {
		for h, err := range r.FactsOn(FamilyRole, RoleRef(role)) {
			if err != nil {
				yield(Holder{}, err)
				return
			}
			who := h.Fact.Subject
			iv, holds := h.Version.At(at)
			if !holds || who <= after || kind != "" && who.Kind() != kind {
				continue
			}
			standing, err := StandingOf(r, who, at)
			if err != nil {
				yield(Holder{}, err)
				return
			}
			if !yield(Holder{who, Reason{Fact: h.Fact, Interval: iv, State: Stands}, standing}, nil) {
				return
			}
		}
	}
}

// RolesOf gives the roles that the account holds at the moment, and as NotYet those that it had been given by then to hold
// later; by role, and of one role by when it begins.
func RolesOf(r Reader, a Account, at Instant) (roles []Reason, err error) {
	for h, err := range r.FactsOf(FamilyRole, a) {
		if err != nil {
			return nil, err
		}
		if iv, ok := h.Version.At(at); ok {
			roles = append(roles, Reason{Fact: h.Fact, Interval: iv, State: Stands})
		}
		for _, iv := range h.Version.Intervals {
			if iv.From > at && iv.Recorded <= at && !iv.Empty() {
				roles = append(roles, Reason{Fact: h.Fact, Interval: iv, State: NotYet})
			}
		}
	}
	slices.SortStableFunc(roles, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(a.Fact.Name, b.Fact.Name), cmp.Compare(a.Interval.From, b.Interval.From))
	})
	return roles, nil
}
