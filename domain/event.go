package domain

// The events: their envelope and, for each type of contract §2, its data. The wire form is in codec.go; what an event
// makes true is in fold.go.

// EventType names what happened, e.g. role.assigned.
type EventType string

// The types of contract §2.
const (
	CatalogueAdopted   EventType = "catalogue.adopted"
	AccountOpened      EventType = "account.opened"
	AccountDeactivated EventType = "account.deactivated"
	AccountReactivated EventType = "account.reactivated"
	RoleAssigned       EventType = "role.assigned"
	RoleRevoked        EventType = "role.revoked"
	CaseloadLinked     EventType = "caseload.linked"
	CaseloadUnlinked   EventType = "caseload.unlinked"
	TeamJoined         EventType = "team.joined"
	TeamLeft           EventType = "team.left"
	AccessGranted      EventType = "access.granted"
	AccessRevoked      EventType = "access.revoked"
	AccessReviewed     EventType = "access.reviewed"
	PermissionAdded    EventType = "permission.added"
	PermissionWithheld EventType = "permission.withheld"
	PermissionRestored EventType = "permission.restored"
	ResourceRegistered EventType = "resource.registered"
	ResourceRemoved    EventType = "resource.removed"
	SigninFailed       EventType = "signin.failed"
	SigninSucceeded    EventType = "signin.succeeded"
	AccountLocked      EventType = "account.locked"
	AccountUnlocked    EventType = "account.unlocked"
	GuestInvited       EventType = "guest.invited"
	GuestAdmitted      EventType = "guest.admitted"
	CallEnded          EventType = "call.ended"
	FactCorrected      EventType = "fact.corrected"
	ValidityStarted    EventType = "validity.started"
	ValidityEnded      EventType = "validity.ended"
	SubjectErased      EventType = "subject.erased"
)

// An Event is one thing that was recorded. Seq is not part of its stored bytes: the log gives it.
type Event struct {
	Seq        Seq
	ID         EventID
	Org        Org
	Type       EventType
	Version    int     // of the type's data; see codec.go
	RecordedAt Instant // set by the ledger; never before that of the event before it
	OccurredAt Instant // what the caller claims; decides nothing. 0: not given
	Actor      Account
	Reason     string // about SealedFor's person where that is set: ciphertext then
	Source     string // where it came from: api, cli, import, a commit
	RequestID  string // the caller's own idempotency key
	// SealedFor names whose key Reason and the data's display_name are encrypted under; "" where they are plain text.
	SealedFor Account
	Data      Data
}

// Data is what a type of event says: one of the structs below, by pointer.
type Data interface {
	// Type is the event type this is the data of.
	Type() EventType
	// bind names the fields to whoever reads or writes them: the one description of the wire form.
	bind(b binder)
}

// The data of each type. Optional times are 0 where not given.
type (
	CatalogueAdoption struct {
		Catalogue string
		Version   int    // 1 for the first adopted by this ledger, then one more each
		Digest    string // "sha256:" and hex, of Document
		Document  string // the YAML, whole
	}
	AccountOpening struct {
		Account     Account
		DisplayName string // sealed in the log
	}
	AccountDeactivation struct{ Account Account }
	AccountReactivation struct{ Account Account }
	RoleAssignment      struct {
		Principal   Account
		Role        Role
		From, Until Instant
	}
	RoleRevocation struct {
		Principal Account
		Role      Role
	}
	CaseloadLink struct {
		Principal, Client Account // Principal may be a team
		Relation          Relation
		From, Until       Instant
	}
	CaseloadUnlink struct {
		Principal, Client Account
		Relation          Relation
	}
	TeamJoin struct {
		Team, Member Account
		From, Until  Instant
	}
	TeamLeave   struct{ Team, Member Account }
	AccessGrant struct {
		Grant             GrantID // the event's id where the caller gives none
		Principal, Client Account
		Profile           Profile
		From, Until       Instant // Until is required
	}
	AccessRevocation struct{ Grant GrantID }
	AccessReview     struct {
		Grant   GrantID
		Verdict string // justified, unjustified or unclear
	}
	PermissionAddition    struct{ Exception }
	PermissionWithholding struct{ Exception }
	PermissionRestoration struct{ Exception }
	ResourceRegistration  struct {
		Resource  Resource
		Client    Account
		CreatedBy Account
	}
	ResourceRemoval struct{ Resource Resource }
	SigninFailure   struct{ Principal Account }
	SigninSuccess   struct{ Principal Account }
	AccountLock     struct {
		Principal Account
		Cause     string
	}
	AccountUnlock struct {
		Principal Account
		Cause     string
	}
	GuestInvitation struct {
		Guest Account
		Call  Resource
		Until Instant
		Link  string // of a one-time link, which is let in once: the Digest of its secret; "" where there is none
	}
	GuestAdmission struct {
		Guest Account
		Call  Resource
		Link  string // the same as in the invitation
	}
	CallEnding struct{ Call Resource }
	Correction struct {
		Corrects    Seq
		From, Until Instant // 0: stays as it is
		Void        bool    // it never was
	}
	ValidityStart  struct{ Of Seq }
	ValidityEnd    struct{ Of Seq }
	SubjectErasure struct{ Account Account }
)

// Exception is what the three permission events say: one principal's individual permission for an action on a type
// of resource, for one client or, Client being "", for all.
type Exception struct {
	Principal Account
	On        Kind
	Action    Action
	Client    Account
}

func (*CatalogueAdoption) Type() EventType     { return CatalogueAdopted }
func (*AccountOpening) Type() EventType        { return AccountOpened }
func (*AccountDeactivation) Type() EventType   { return AccountDeactivated }
func (*AccountReactivation) Type() EventType   { return AccountReactivated }
func (*RoleAssignment) Type() EventType        { return RoleAssigned }
func (*RoleRevocation) Type() EventType        { return RoleRevoked }
func (*CaseloadLink) Type() EventType          { return CaseloadLinked }
func (*CaseloadUnlink) Type() EventType        { return CaseloadUnlinked }
func (*TeamJoin) Type() EventType              { return TeamJoined }
func (*TeamLeave) Type() EventType             { return TeamLeft }
func (*AccessGrant) Type() EventType           { return AccessGranted }
func (*AccessRevocation) Type() EventType      { return AccessRevoked }
func (*AccessReview) Type() EventType          { return AccessReviewed }
func (*PermissionAddition) Type() EventType    { return PermissionAdded }
func (*PermissionWithholding) Type() EventType { return PermissionWithheld }
func (*PermissionRestoration) Type() EventType { return PermissionRestored }
func (*ResourceRegistration) Type() EventType  { return ResourceRegistered }
func (*ResourceRemoval) Type() EventType       { return ResourceRemoved }
func (*SigninFailure) Type() EventType         { return SigninFailed }
func (*SigninSuccess) Type() EventType         { return SigninSucceeded }
func (*AccountLock) Type() EventType           { return AccountLocked }
func (*AccountUnlock) Type() EventType         { return AccountUnlocked }
func (*GuestInvitation) Type() EventType       { return GuestInvited }
func (*GuestAdmission) Type() EventType        { return GuestAdmitted }
func (*CallEnding) Type() EventType            { return CallEnded }
func (*Correction) Type() EventType            { return FactCorrected }
func (*ValidityStart) Type() EventType         { return ValidityStarted }
func (*ValidityEnd) Type() EventType           { return ValidityEnded }
func (*SubjectErasure) Type() EventType        { return SubjectErased }
