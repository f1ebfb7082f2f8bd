package domain

// What a decision rests on, as data for programs and as a sentence for people.

import "strings"

// ReasonState says how a fact bears on a decision.
type ReasonState uint8

// The states.
const (
	Stands   ReasonState = iota // the fact holds, and the decision is a yes because of it (or nearly)
	Missing                     // it never was
	Ended                       // it held, and is over
	NotYet                      // it will hold, and has not begun
	Bars                        // it holds, and takes the permission away
	NoPermit                    // no line of the catalogue is about this at all
)

// A Reason is one fact of a decision's basis.
type Reason struct {
	State    ReasonState
	Fact     Fact     // the zero Fact for what no event could say (a kind, being somebody)
	Interval Interval // the one that stands, ended or is to come; zero for Missing and NoPermit
	Want     string   // what is lacking, for Missing
}

// Seq is the event that says so; 0 where none does, because something never happened.
func (r Reason) Seq() Seq {
	switch {
	case r.State == Missing || r.State == NoPermit:
		return 0
	case r.State == Ended && r.Interval.Ended != 0:
		return max(r.Interval.Ended, r.Interval.Corrected)
	case r.Interval.Corrected != 0:
		return r.Interval.Corrected
	}
	return r.Interval.Began
}

// Seqs are all events that say so: the one that began the fact, and those that ended or corrected it.
func (r Reason) Seqs() []Seq {
	var seqs []Seq
	for _, s := range [...]Seq{r.Interval.Began, r.Interval.Ended, r.Interval.Corrected} {
		if s != 0 && r.Seq() != 0 {
			seqs = append(seqs, s)
		}
	}
	return seqs
}

// began and ended are the event types that begin and end a fact of each family.
var began = map[Family]EventType{
	FamilyActive: AccountOpened, FamilyLocked: AccountLocked, FamilyFailures: SigninFailed, FamilyErased: SubjectErased,
	FamilyRole: RoleAssigned, FamilyLink: CaseloadLinked, FamilyMember: TeamJoined, FamilyGrant: AccessGranted,
	FamilyGrantRef: AccessGranted, FamilyReview: AccessReviewed, FamilyResource: ResourceRegistered,
	FamilyCreated: ResourceRegistered, FamilyInvitation: GuestInvited, FamilyAdmission: GuestAdmitted,
	FamilyCallEnded: CallEnded, FamilyCatalogue: CatalogueAdopted,
}

var ended = map[Family]EventType{
	FamilyActive: AccountDeactivated, FamilyLocked: AccountUnlocked, FamilyFailures: SigninSucceeded,
	FamilyRole: RoleRevoked, FamilyLink: CaseloadUnlinked, FamilyMember: TeamLeft, FamilyGrant: AccessRevoked,
	FamilyException: PermissionRestored, FamilyResource: ResourceRemoved, FamilyCreated: ResourceRemoved,
	FamilyInvitation: CallEnded, FamilyAdmission: CallEnded, FamilyCatalogue: CatalogueAdopted,
}

// Type is the type of the event Seq; "" where there is none. The log has the last word: an account may have been
// opened by an invitation, or opened again by a reactivation.
func (r Reason) Type() EventType {
	switch seq := r.Seq(); {
	case seq == 0:
		return ""
	case seq == r.Interval.Corrected:
		return FactCorrected
	case seq == r.Interval.Ended:
		return ended[r.Fact.Family]
	case r.Fact.Family == FamilyActive && r.Fact.Subject.Kind() == "guest":
		return GuestInvited
	case r.Fact.Family == FamilyException && r.Interval.Detail == Withheld:
		return PermissionWithheld
	case r.Fact.Family == FamilyException:
		return PermissionAdded
	}
	return began[r.Fact.Family]
}

// Why is the reason as a sentence without a full stop. Times are written by show, in whatever zone it likes.
func (r Reason) Why(show func(Instant) string) string {
	iv := r.Interval
	var b strings.Builder
	say := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
		}
	}
	switch r.State {
	case NoPermit:
		return r.Want
	case Missing:
		say("this needs ", r.Want)
		return b.String()
	}
	say(r.Fact.describe(iv))
	switch r.State {
	case NotYet:
		say(", but only from ", show(iv.From))
	case Ended:
		say(" from ", show(iv.From), ", but not since ", show(iv.Until))
	default:
		say(" since ", show(iv.From))
		if iv.Until != Forever {
			say(", until ", show(iv.Until))
		}
	}
	return b.String()
}

// describe says what the fact is, so that "since …" can follow.
func (f Fact) describe(iv Interval) string {
	s, o := string(f.Subject), string(f.Object)
	switch f.Family {
	case FamilyActive:
		return s + " has an open account"
	case FamilyLocked:
		if iv.Detail != "" {
			return s + " is locked (" + iv.Detail + ")"
		}
		return s + " is locked"
	case FamilyFailures:
		return s + " failed to sign in " + iv.Detail + " times in a row"
	case FamilyErased:
		return "the personal texts about " + s + " are erased"
	case FamilyRole:
		return s + " holds role " + f.Name
	case FamilyLink:
		return s + " is linked to " + o + " as " + f.Name
	case FamilyMember:
		return s + " is in " + o
	case FamilyGrant, FamilyGrantRef:
		return s + " has temporary access of profile " + f.Name + " to " + o
	case FamilyReview:
		return "the temporary access " + f.ID + " of " + s + " to " + o + " is reviewed as " + iv.Detail
	case FamilyException:
		on, action, _ := strings.Cut(f.Name, " ")
		whom := "every " + on
		if f.Object != KindRef(Kind(on)) {
			whom = o
		}
		return s + " has " + action + " on " + whom + " individually " + iv.Detail
	case FamilyResource:
		return s + " belongs to " + o + ", created by " + iv.Detail
	case FamilyCreated:
		return s + " created " + o
	case FamilyInvitation:
		return s + " is invited to " + o
	case FamilyAdmission:
		return s + " was let in to " + o
	case FamilyCallEnded:
		return s + " is over"
	case FamilyCatalogue:
		return "the role catalogue " + iv.Detail + " is in force"
	}
	return s
}
