package domain

// Which facts an event changes. Fold is the only place that knows: the projection stores what it says, live and in a
// rebuild alike. It judges nothing: whether an event may be recorded is Admit's business, and an event that
// does not fit the facts before it means that the log is not what this ledger wrote.

import (
	"slices"
	"strconv"
	"strings"
)

// The facts by their natural keys (contract §2).

func activeFact(a Account) Fact   { return Fact{Family: FamilyActive, Subject: a} }
func lockedFact(a Account) Fact   { return Fact{Family: FamilyLocked, Subject: a} }
func failuresFact(a Account) Fact { return Fact{Family: FamilyFailures, Subject: a} }
func erasedFact(a Account) Fact   { return Fact{Family: FamilyErased, Subject: a} }
func catalogueFact() Fact         { return Fact{Family: FamilyCatalogue, Subject: CatalogueRef} }

func grantRefFact(id GrantID) Fact {
	return Fact{Family: FamilyGrantRef, Subject: GrantRef(id), Object: GrantsRef}
}
func callEndedFact(c Resource) Fact {
	return Fact{Family: FamilyCallEnded, Subject: Account(c)}
}

func roleFact(p Account, r Role) Fact {
	return Fact{Family: FamilyRole, Subject: p, Object: RoleRef(r), Name: string(r)}
}

func linkFact(p, client Account, r Relation) Fact {
	return Fact{Family: FamilyLink, Subject: p, Object: client, Name: string(r)}
}

func memberFact(team, member Account) Fact {
	return Fact{Family: FamilyMember, Subject: member, Object: team}
}

func grantFact(p, client Account, profile Profile, id GrantID) Fact {
	return Fact{Family: FamilyGrant, Subject: p, Object: client, Name: string(profile), ID: string(id)}
}

func invitationFact(guest Account, call Resource) Fact {
	return Fact{Family: FamilyInvitation, Subject: guest, Object: Account(call)}
}

func admissionFact(guest Account, call Resource) Fact {
	return Fact{Family: FamilyAdmission, Subject: guest, Object: Account(call)}
}

// exceptionFact is about one client's resources, or about all where client is "".
func exceptionFact(p Account, on Kind, action Action, client Account) Fact {
	object := client
	if client == "" {
		object = KindRef(on)
	}
	return Fact{Family: FamilyException, Subject: p, Object: object, Name: string(on) + " " + string(action)}
}

func (d *Exception) fact() Fact { return exceptionFact(d.Principal, d.On, d.Action, d.Client) }

// Fold says what e changes: for each fact concerned, the intervals that are known from e on. r reads the facts as
// known at the event before e. An error means that e can't follow what is there.
func Fold(r Reader, e *Event) ([]Change, error) {
	f := folder{r: r, e: e}
	switch d := e.Data.(type) {
	case *CatalogueAdoption:
		if v := f.read(catalogueFact()); v.Holds(e.RecordedAt) {
			f.end(catalogueFact())
		}
		f.begin(catalogueFact(), 0, 0, d.Catalogue+" "+strconv.Itoa(d.Version)+" "+d.Digest)
	case *AccountOpening:
		f.begin(activeFact(d.Account), 0, 0, "")
	case *AccountDeactivation:
		f.end(activeFact(d.Account))
	case *AccountReactivation:
		f.begin(activeFact(d.Account), 0, 0, "")
	case *RoleAssignment:
		f.begin(roleFact(d.Principal, d.Role), d.From, d.Until, "")
	case *RoleRevocation:
		f.end(roleFact(d.Principal, d.Role))
	case *CaseloadLink:
		f.begin(linkFact(d.Principal, d.Client, d.Relation), d.From, d.Until, "")
	case *CaseloadUnlink:
		f.end(linkFact(d.Principal, d.Client, d.Relation))
	case *TeamJoin:
		f.begin(memberFact(d.Team, d.Member), d.From, d.Until, "")
	case *TeamLeave:
		f.end(memberFact(d.Team, d.Member))
	case *AccessGrant:
		f.begin(grantFact(d.Principal, d.Client, d.Profile, d.Grant), d.From, d.Until, string(e.Actor))
		f.begin(grantRefFact(d.Grant), 0, 0, string(d.Principal)+" "+string(d.Client)+" "+string(d.Profile))
	case *AccessRevocation:
		f.end(f.grant(d.Grant))
	case *AccessReview:
		g := f.grant(d.Grant)
		g.Family = FamilyReview
		f.begin(g, 0, 0, d.Verdict)
	case *PermissionAddition:
		f.begin(d.fact(), 0, 0, Added)
	case *PermissionWithholding:
		f.begin(d.fact(), 0, 0, Withheld)
	case *PermissionRestoration:
		f.end(d.fact())
	case *ResourceRegistration:
		f.begin(Fact{Family: FamilyResource, Subject: Account(d.Resource), Object: d.Client}, 0, 0, string(d.CreatedBy))
		f.begin(Fact{Family: FamilyCreated, Subject: d.CreatedBy, Object: Account(d.Resource)}, 0, 0, "")
	case *ResourceRemoval:
		f.endAll(r.FactsOf(FamilyResource, Account(d.Resource)))
		f.endAll(r.FactsOn(FamilyCreated, Account(d.Resource)))
	case *SigninFailure:
		f.countFailure(d.Principal)
	case *SigninSuccess:
		f.end(failuresFact(d.Principal))
	case *AccountLock:
		f.begin(lockedFact(d.Principal), 0, 0, d.Cause)
	case *AccountUnlock:
		f.end(lockedFact(d.Principal))
		if v := f.read(failuresFact(d.Principal)); v.Holds(e.RecordedAt) {
			f.end(failuresFact(d.Principal))
		}
	case *GuestInvitation:
		f.begin(invitationFact(d.Guest, d.Call), 0, d.Until, d.Link)
		// A guest has no account of its own: it is somebody for as long as it is invited.
		if iv, ok := f.read(activeFact(d.Guest)).At(e.RecordedAt); !ok || iv.Until < d.Until {
			f.begin(activeFact(d.Guest), 0, d.Until, "")
		}
	case *GuestAdmission:
		iv, _ := f.read(invitationFact(d.Guest, d.Call)).At(e.RecordedAt)
		f.begin(admissionFact(d.Guest, d.Call), 0, iv.Until, "")
	case *CallEnding:
		f.begin(callEndedFact(d.Call), 0, 0, "")
		f.endGuests(d.Call)
		f.endAll(r.FactsOn(FamilyInvitation, Account(d.Call)))
		f.endAll(r.FactsOn(FamilyAdmission, Account(d.Call)))
	case *Correction:
		f.correct(d)
	case *ValidityStart:
		f.note(d.Of)
	case *ValidityEnd:
		f.note(d.Of)
	case *SubjectErasure:
		f.begin(erasedFact(d.Account), 0, 0, "")
	default:
		f.fail("no rule says what it changes")
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.changes, nil
}

// folder collects the changes of one event. After the first mistake the rest is passed over.
type folder struct {
	r       Reader
	e       *Event
	changes []Change
	err     error
}

func (f *folder) fail(format string, args ...any) {
	if f.err == nil {
		f.err = Errorf(Integrity, "fold_failed", "event %d (%s): "+format, append([]any{f.e.Seq, f.e.Type}, args...)...)
	}
}

// read gives the fact with what this event has changed of it so far.
func (f *folder) read(fact Fact) Version {
	if f.err != nil {
		return Version{}
	}
	for _, c := range f.changes {
		if c.Fact == fact {
			return Version{Seq: f.e.Seq, Recorded: f.e.RecordedAt, Intervals: c.Intervals}
		}
	}
	v, err := f.r.Fact(fact)
	if err != nil {
		f.err = err
	}
	return v
}

// set replaces the intervals of a fact. An event has one change of a fact, however often it touches it.
func (f *folder) set(fact Fact, intervals []Interval) {
	for i := range f.changes {
		if f.changes[i].Fact == fact {
			f.changes[i].Intervals = intervals
			return
		}
	}
	f.changes = append(f.changes, Change{fact, intervals})
}

// begin adds an interval. 0 stands for a from of now and an until of never.
func (f *folder) begin(fact Fact, from, until Instant, detail string) {
	if from == 0 {
		from = f.e.RecordedAt
	}
	if until == 0 {
		until = Forever
	}
	old := f.read(fact).Intervals
	intervals := append(slices.Clip(old), Interval{
		From: from, Until: until, Recorded: f.e.RecordedAt, Began: f.e.Seq, Detail: detail,
	})
	f.set(fact, intervals)
}

// end ends what is open or still to begin; what has not begun becomes empty. That can be more than one interval, where
// a correction moved one beside another or a guest was invited again: after an end nothing is left to come.
func (f *folder) end(fact Fact) {
	v := f.read(fact)
	if f.err == nil && !f.endVersion(fact, v) {
		f.fail("it ends what does not stand")
	}
}

func (f *folder) endVersion(fact Fact, v Version) bool {
	if _, ok := v.Current(f.e.RecordedAt); !ok {
		return false
	}
	intervals := slices.Clone(v.Intervals)
	for i := range intervals {
		if iv := &intervals[i]; iv.Until > f.e.RecordedAt && !iv.Empty() {
			iv.Until = max(f.e.RecordedAt, iv.From)
			iv.Ended = f.e.Seq
		}
	}
	f.set(fact, intervals)
	return true
}

// endAll ends every fact that stands, and leaves alone those that do not.
func (f *folder) endAll(facts func(func(Held, error) bool)) {
	for h, err := range facts {
		if err != nil {
			f.err = err
			return
		}
		f.endVersion(h.Fact, h.Version)
	}
}

// endGuests ends those who were somebody for no other reason than that they were invited to the call.
func (f *folder) endGuests(call Resource) {
	now := f.e.RecordedAt
	for h, err := range f.r.FactsOn(FamilyInvitation, Account(call)) {
		if err != nil {
			f.err = err
			return
		}
		if _, invited := h.Version.Current(now); !invited {
			continue
		}
		elsewhere := false
		for other, err := range f.r.FactsOf(FamilyInvitation, h.Fact.Subject) {
			if err != nil {
				f.err = err
				return
			}
			_, invited := other.Version.Current(now)
			elsewhere = elsewhere || invited && other.Fact != h.Fact
		}
		guest := f.read(activeFact(h.Fact.Subject))
		if iv, ok := guest.Current(now); ok && iv.Until != Forever && !elsewhere {
			f.endVersion(activeFact(h.Fact.Subject), guest)
		}
	}
}

func (f *folder) grant(id GrantID) Fact {
	g, ok, err := grantOf(f.r, id)
	if err != nil {
		f.err = err
	} else if !ok {
		f.fail("there is no grant %q", id)
	}
	return g
}

// grantOf gives the grant that the id stands for.
func grantOf(r Reader, id GrantID) (Fact, bool, error) {
	v, err := r.Fact(grantRefFact(id))
	if err != nil || len(v.Intervals) == 0 {
		return Fact{}, false, err
	}
	return referredGrant(id, v), true, nil
}

// referredGrant reads what a grant id stands for out of its fact.
func referredGrant(id GrantID, ref Version) Fact {
	part := strings.SplitN(ref.Intervals[0].Detail, " ", 3)
	return grantFact(Account(part[0]), Account(part[1]), Profile(part[2]), id)
}

// countFailure keeps one interval, the run of failures that is open, with their number. Earlier runs stay readable in
// the versions before.
func (f *folder) countFailure(p Account) {
	fact := failuresFact(p)
	iv, ok := f.read(fact).At(f.e.RecordedAt)
	if !ok {
		iv = Interval{From: f.e.RecordedAt, Until: Forever, Recorded: f.e.RecordedAt, Detail: "0"}
	}
	n, err := strconv.Atoi(iv.Detail)
	if err != nil {
		f.fail("the count of failures of %s is %q", p, iv.Detail)
		return
	}
	iv.Detail, iv.Began = strconv.Itoa(n+1), f.e.Seq
	f.set(fact, []Interval{iv})
}

// correct moves the bounds of the interval that the corrected event began.
func (f *folder) correct(d *Correction) {
	fact, ok, err := f.r.FactAt(d.Corrects)
	if err != nil {
		f.err = err
		return
	}
	intervals := slices.Clone(f.read(fact).Intervals)
	for i := range intervals {
		iv := &intervals[i]
		if iv.Began != d.Corrects {
			continue
		}
		iv.Corrected = f.e.Seq
		if d.From != 0 {
			iv.From = d.From
		}
		if d.Until != 0 {
			iv.Until = d.Until
		}
		if d.Void {
			iv.Until = iv.From
		}
		f.set(fact, intervals)
		return
	}
	f.fail("it corrects event %d, which began no fact (known: %t)", d.Corrects, ok)
}

// note records that the ledger's clock took notice of a fact: a version that says the same as the one before.
func (f *folder) note(of Seq) {
	fact, ok, err := f.r.FactAt(of)
	switch {
	case err != nil:
		f.err = err
	case !ok:
		f.fail("it is about event %d, which began no fact", of)
	default:
		for _, dated := range fact.dated() {
			f.set(dated, f.read(dated).Intervals)
		}
	}
}
