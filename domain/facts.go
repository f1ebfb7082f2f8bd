package domain

// What events make true: facts, their versions, and the interface through which everything reads them. How facts are
// stored is the projection's business; which events change which facts is Fold's.

import "iter"

// A Family is a kind of fact. Its byte is part of stored keys: never reuse one for another meaning.
type Family byte

// The families, with what Subject, Object, Name and ID of a Fact hold in each ("-": empty).
const (
	FamilyActive     Family = 's' // the account is open:             account, -, -, -          Detail: -
	FamilyLocked     Family = 'k' // the account is locked:           account, -, -, -          Detail: cause
	FamilyFailures   Family = 'f' // sign-ins failed in a row:        principal, -, -, -        Detail: the count, decimal
	FamilyErased     Family = 'e' // the person's texts are erased:   account, -, -, -
	FamilyRole       Family = 'r' // role held:                       principal, RoleRef, role, -
	FamilyLink       Family = 'l' // caseload link:                   principal or team, client, relation, -
	FamilyMember     Family = 'm' // membership:                      member, team, -, -
	FamilyGrant      Family = 'g' // temporary access:                principal, client, profile, grant id   Detail: who granted it
	FamilyGrantRef   Family = 'h' // what a grant id stands for:      GrantRef, GrantsRef, -, - Detail: principal, client and profile, by spaces
	FamilyReview     Family = 'v' // a grant was reviewed:            principal, client, profile, grant id   Detail: verdict
	FamilyException  Family = 'x' // individual permission:           principal, client or KindRef(on), "on action", -   Detail: added or withheld
	FamilyResource   Family = 'o' // registered resource:             resource, client, -, -    Detail: who created it
	FamilyCreated    Family = 'b' // created a resource:              creator, the resource, -, -
	FamilyInvitation Family = 'i' // guest of a call:                 guest, call, -, -           Detail: the Digest of its one-time link
	FamilyAdmission  Family = 'a' // guest let in:                    guest, call, -, -
	FamilyCallEnded  Family = 'c' // the call is over:                call, -, -, -
	FamilyCatalogue  Family = 'y' // the role catalogue in force:     catalogue:main, -, -, -   Detail: name, version and digest
)

// What an exception's Detail says.
const (
	Added    = "added"
	Withheld = "withheld"
)

// CatalogueRef is the resource that stands for the organisation's role catalogue.
const CatalogueRef Account = "catalogue:main"

// A Fact is one thing that can be true of somebody, named by its natural key. It lies with its Subject and, where it
// has one, with its Object, so that it is found from either side.
type Fact struct {
	Family  Family
	Subject Account // an account; for FamilyResource, FamilyCallEnded and FamilyCatalogue the resource itself
	Object  Account // the other side; "" where there is none
	Name    string  // role, relation, profile, or "on action"
	ID      string  // grant id
}

// RoleRef is the Object of every fact that a role is held: what lies with it are the role's holders.
// '~' begins no kind, so it is no account's.
func RoleRef(r Role) Account { return Account("~role:" + string(r)) }

// GrantRef is the Subject of the fact that says whose and for whom a grant is.
func GrantRef(id GrantID) Account { return Account("~grant:" + string(id)) }

// GrantsRef is the Object of every GrantRef: what lies with it are all grants that ever were.
const GrantsRef Account = "~grants:all"

// KindRef is the Object of an exception that is not for one client but for every resource of a type.
func KindRef(k Kind) Account { return Account("~all:" + string(k)) }

// An Interval is one half-open stretch [From, Until) on which a fact holds, as known by the version it is in.
type Interval struct {
	From, Until Instant // Until is Forever where no end is known
	Recorded    Instant // when Began was recorded; before that, From or not, nobody could know
	Began       Seq     // the event that began it
	Ended       Seq     // the event that gave it its end after the fact (a revocation, an unlink); 0: none did
	Corrected   Seq     // the newest fact.corrected that changed its bounds; 0: none did
	Detail      string  // what the family's table says
}

// Holds tells whether the interval covers t. An interval that was voided, or revoked before it began, is empty and
// never does.
func (iv Interval) Holds(t Instant) bool { return iv.From <= t && t < iv.Until }

// Empty tells whether the interval covers no moment at all.
func (iv Interval) Empty() bool { return iv.From >= iv.Until }

// A Version is what was known of a fact from the event Seq on, until its next version: every interval, oldest event
// first. The zero Version is of a fact that never was.
type Version struct {
	Seq       Seq
	Recorded  Instant // when the event Seq was recorded
	Intervals []Interval
}

// At gives the interval that covers t; where several do, the one begun last.
func (v Version) At(t Instant) (Interval, bool) {
	for i := len(v.Intervals) - 1; i >= 0; i-- {
		if v.Intervals[i].Holds(t) {
			return v.Intervals[i], true
		}
	}
	return Interval{}, false
}

// Holds tells whether the fact is true at t.
func (v Version) Holds(t Instant) bool { _, ok := v.At(t); return ok }

// Current gives the interval that is open at now or scheduled to begin later: the one that a revocation would end.
func (v Version) Current(now Instant) (Interval, bool) {
	for i := len(v.Intervals) - 1; i >= 0; i-- {
		if iv := v.Intervals[i]; iv.Until > now && !iv.Empty() {
			return iv, true
		}
	}
	return Interval{}, false
}

// A Held is a fact together with a version of it.
type Held struct {
	Fact    Fact
	Version Version
}

// A Reader reads facts as one ledger knew them at one seq: nothing that was recorded later shows. All of domain sees
// the past and the present through it, so there is one read path for both. Implementations need not be safe for
// concurrent use. Iterations stop at the first error, which is then the last pair's.
type Reader interface {
	// KnownAt is the seq of the newest event that shows.
	KnownAt() Seq
	// Fact gives the newest version of f, or the zero Version.
	Fact(f Fact) (Version, error)
	// FactsOf gives every fact of the family whose Subject is subject, in the order of their keys.
	FactsOf(family Family, subject Account) iter.Seq2[Held, error]
	// FactsOn gives every fact of the family whose Object is object.
	FactsOn(family Family, object Account) iter.Seq2[Held, error]
	// Named gives every account of the kind, or registered resource of the type, that ever was, in the order of their ids.
	Named(kind Kind) iter.Seq2[Resource, error]
	// FactAt gives the fact that the event at seq began: what fact.corrected and validity.* name. ok is false where it began none.
	FactAt(seq Seq) (f Fact, ok bool, err error)
	// Catalogue gives the role catalogue that the event at seq adopted, ready to decide by.
	Catalogue(seq Seq) (*Catalogue, error)
}

// A Change is what an event does to one fact: the intervals that hold from that event on.
type Change struct {
	Fact      Fact
	Intervals []Interval
}
