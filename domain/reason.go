package domain

// What a decision rests on, as data: the facts that stand or fall short, and what is lacking. How it is said to people is in
// sentence.go.

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
	Want     Want     // what is lacking, for Missing and NoPermit; and LackNever for a role that Bars
}

// A Want is what is lacking. It is data and no sentence, so that it can be said in any language, and costs nothing where
// nobody asks.
type Want struct {
	Lack   Lack
	Who    Account    // who would have to have it; "" where the lack is nobody's
	What   Resource   // what it would have to be to or about
	Of     *Selectors // the selectors of which one does not hold; its list says which names would do
	Action Action     // for LackPermit
}

// Lack says in what way something is lacking.
type Lack uint8

// The lacks, with what is lacking.
const (
	LackNothing    Lack = iota
	LackCatalogue       // a role catalogue
	LackPermit          // a line of it about Action on the type of What
	LackAccount         // an open account Who
	LackResource        // What, which does not exist
	LackKind            // Who to be of one of Of.Kinds
	LackSelf            // Who to be the one it is about
	LackOwn             // Who to have created What
	LackRole            // one of Of.Roles for Who
	LackProtected       // a protected account that it is or belongs to
	LackLink            // one of Of.Links from Who to What
	LackLinkedBy        // one of Of.LinkedBy from Who to What
	LackGrant           // one of Of.Grants for Who to What
	LackInvitation      // an invitation of Who to What
	LackTeam            // a team that Who and What are in
	LackOtherKind       // somebody of another kind
	LackOtherSelf       // somebody else than the one it is about
	LackOtherOwn        // somebody else than who created it
	LackNever           // nothing: who holds the role gets this by no individual permission
)

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
