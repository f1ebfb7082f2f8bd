package domain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Whether an event may follow what is there: what stands, and what the catalogue forbids. Every refusal of contract §3
// but "the actor may not" is here, each with its code. It changes nothing; what an admitted event changes is Fold's.

// Admit says whether an event may follow what is there: its shape, what stands, and the catalogue in force, but not
// whether its actor may. It fills in what the ledger fills in (a grant's id, a catalogue's version and digest), and
// refuses what was filled in wrongly. e.RecordedAt is the moment, and r the ledger as of the event before.
func Admit(r Reader, e *Event) error {
	a := admission{r: r, now: e.RecordedAt}
	if a.cat, _, a.err = CatalogueAt(r, a.now); a.err != nil {
		return a.err
	}
	if d, ok := e.Data.(*CatalogueAdoption); ok {
		return a.adoption(e, d)
	}
	if a.cat == nil {
		return Errorf(RuleBroken, "no_catalogue", "%s: no role catalogue has been adopted yet; the first event of a ledger adopts one", e.Type)
	}
	switch d := e.Data.(type) {
	case *AccountOpening:
		a.opening(d.Account)
	case *AccountDeactivation:
		a.known("account", d.Account)
		a.stands(activeFact(d.Account), "not_active", "account %s is not active", d.Account)
	case *AccountReactivation:
		a.known("account", d.Account)
		a.free(activeFact(d.Account), 0, 0, "already_active", "account %s is active", d.Account)
	case *RoleAssignment:
		a.assignment(d)
	case *RoleRevocation:
		a.revocation(d)
	case *CaseloadLink:
		a.link(d)
	case *CaseloadUnlink:
		if _, ok := a.read(linkFact(d.Principal, d.Client, d.Relation)).Current(a.now); !ok {
			a.relation(d.Relation) // a slip is told as one; what stands can be ended whatever became of its name
		}
		a.stands(linkFact(d.Principal, d.Client, d.Relation), "not_linked", "%s is not linked to %s as %s", d.Principal, d.Client, d.Relation)
	case *TeamJoin:
		a.join(d)
	case *TeamLeave:
		a.stands(memberFact(d.Team, d.Member), "not_member", "%s is not in %s", d.Member, d.Team)
	case *AccessGrant:
		if d.Grant == "" {
			filled := *d // the caller's data stays as it was: it may be decided on again
			filled.Grant = GrantID(e.ID)
			d, e.Data = &filled, &filled
		}
		a.grant(d, e.Reason)
	case *AccessRevocation:
		g := a.grantOf(d.Grant)
		a.stands(g, "grant_over", "grant %s is over", d.Grant)
	case *AccessReview:
		a.review(d, e.Actor)
	case *PermissionAddition:
		a.exception(&d.Exception)
		a.addition(&d.Exception)
		a.free(d.fact(), 0, 0, "exception_stands", "%s has an individual permission for %s on %s already; restore it first", d.Principal, d.Action, d.On)
	case *PermissionWithholding:
		a.exception(&d.Exception)
		a.free(d.fact(), 0, 0, "exception_stands", "%s has an individual permission for %s on %s already; restore it first", d.Principal, d.Action, d.On)
	case *PermissionRestoration:
		if _, ok := a.read(d.fact()).Current(a.now); !ok {
			a.exception(&d.Exception)
		}
		a.stands(d.fact(), "no_exception", "%s has no individual permission for %s on %s", d.Principal, d.Action, d.On)
	case *ResourceRegistration:
		a.registration(d)
	case *ResourceRemoval:
		if _, ok, err := standing(r, d.Resource); err != nil {
			return err
		} else if !ok {
			a.fail(Conflict, "not_registered", "resource %s is not registered", d.Resource)
		}
	case *SigninFailure:
		a.known("principal", d.Principal)
	case *SigninSuccess:
		a.known("principal", d.Principal)
		a.free(lockedFact(d.Principal), 0, 0, "account_locked", "%s is locked; a sign-in can't succeed", d.Principal)
		a.stands(failuresFact(d.Principal), "no_failures", "%s has no failed sign-ins to end", d.Principal)
	case *AccountLock:
		a.known("principal", d.Principal)
		a.free(lockedFact(d.Principal), 0, 0, "already_locked", "%s is locked already", d.Principal)
	case *AccountUnlock:
		a.known("principal", d.Principal)
		a.stands(lockedFact(d.Principal), "not_locked", "%s is not locked", d.Principal)
	case *GuestInvitation:
		a.invitation(d)
	case *GuestAdmission:
		a.letIn(d)
	case *CallEnding:
		a.call(d.Call)
	case *Correction:
		a.correction(d)
	case *ValidityStart:
		a.noticed(d.Of)
	case *ValidityEnd:
		a.noticed(d.Of)
	case *SubjectErasure:
		a.known("account", d.Account)
	default:
		a.fail(Malformed, "unknown_type", "type %q: no rule says when it may be recorded", e.Type)
	}
	a.notErased(e)
	return a.err
}

// admission judges one event. After the first refusal the rest is passed over.
type admission struct {
	r   Reader
	now Instant
	cat *Catalogue
	err error
}

func (a *admission) fail(f Failure, code, format string, args ...any) bool {
	if a.err == nil {
		a.err = Errorf(f, code, format, args...)
	}
	return false
}

func (a *admission) read(f Fact) Version {
	if a.err != nil {
		return Version{}
	}
	v, err := a.r.Fact(f)
	if err != nil {
		a.err = err
	}
	return v
}

// known tells whether the account was ever opened.
func (a *admission) known(what string, acc Account) bool {
	if a.err == nil {
		a.err = WasOpened(a.r, what, acc)
	}
	return a.err == nil
}

// notErased refuses new texts about a person whose texts were erased, and a second erasure.
func (a *admission) notErased(e *Event) {
	if _, erasing := e.Data.(*SubjectErasure); a.err != nil || !erasing && e.Reason == "" {
		return
	}
	p, err := PersonOf(a.r, e.Data)
	if err != nil {
		a.err = err
		return
	}
	if v := a.read(erasedFact(p)); p != "" && a.err == nil && v.Holds(a.now) {
		a.fail(Conflict, "subject_erased", "the personal texts about %s were erased; nothing more can be written about that person", p)
	}
}

// stands refuses where the fact neither holds nor is to come.
func (a *admission) stands(f Fact, code, format string, args ...any) bool {
	v := a.read(f)
	if a.err != nil {
		return false
	}
	if _, ok := v.Current(a.now); !ok {
		return a.fail(Conflict, code, format, args...)
	}
	return true
}

// free refuses where the fact stands already, or did at some moment of [from, until). 0 stands for now and never.
func (a *admission) free(f Fact, from, until Instant, code, format string, args ...any) bool {
	from, until, ok := a.span(from, until)
	v := a.read(f)
	if !ok || a.err != nil {
		return false
	}
	for _, iv := range v.Intervals {
		both := iv.Until > a.now && until > a.now // at most one that is open or to come
		if !iv.Empty() && (both || iv.From < until && from < iv.Until) {
			return a.fail(Conflict, code, format, args...)
		}
	}
	return true
}

// span fills in a dated fact's bounds and refuses an empty one.
func (a *admission) span(from, until Instant) (Instant, Instant, bool) {
	if from == 0 {
		from = a.now
	}
	if until == 0 {
		until = Forever
	}
	if from >= until {
		return 0, 0, a.fail(RuleBroken, "empty_interval", "from %s until %s: it must end after it begins", from, until)
	}
	return from, until, true
}

// begins gives the moment at which the catalogue's conditions on a dated fact are judged: when it takes effect, or
// its start where it lies in the past altogether.
func (a *admission) begins(from, until Instant) Instant {
	if from < a.now && until > a.now {
		return a.now
	}
	return from
}

func (a *admission) kind(acc Account) (KindRule, bool) {
	rule, ok := a.cat.Kinds[acc.Kind()]
	if !ok {
		a.fail(RuleBroken, "unknown_kind", "account %s: the catalogue has no kind %s; it has %s", acc, acc.Kind(), sortedNames(a.cat.Kinds))
	}
	return rule, ok
}

func (a *admission) opening(acc Account) {
	if _, ok := a.kind(acc); !ok {
		return
	}
	if v := a.read(activeFact(acc)); len(v.Intervals) > 0 {
		a.fail(Conflict, "already_opened", "account %s was opened before; reactivate it where it was deactivated", acc)
	}
}

func (a *admission) role(name Role) (RoleRule, bool) {
	rule, ok := a.cat.Roles[name]
	if !ok {
		a.fail(RuleBroken, "unknown_role", "role %s: the catalogue has no such role; it has %s", name, sortedNames(a.cat.Roles))
	}
	return rule, ok
}

func (a *admission) assignment(d *RoleAssignment) {
	rule, ok := a.role(d.Role)
	if !ok || !a.known("principal", d.Principal) {
		return
	}
	if !slices.Contains(rule.For, d.Principal.Kind()) {
		a.fail(RuleBroken, "role_not_for_kind", "role %s is for %s; %s is a %s", d.Role, either(rule.For), d.Principal, d.Principal.Kind())
		return
	}
	f := roleFact(d.Principal, d.Role)
	from, until, ok := a.span(d.From, d.Until)
	if ok && a.free(f, d.From, d.Until, "already_assigned", "%s holds role %s already, or did in that time", d.Principal, d.Role) {
		a.fits(f, append(slices.Clip(a.read(f).Intervals), Interval{From: from, Until: until}))
	}
}

func (a *admission) revocation(d *RoleRevocation) {
	f := roleFact(d.Principal, d.Role)
	v := a.read(f)
	if _, ok := v.Current(a.now); !ok {
		a.role(d.Role)
	}
	if !a.stands(f, "not_assigned", "%s does not hold role %s", d.Principal, d.Role) {
		return
	}
	rest := slices.Clone(v.Intervals)
	for i := range rest {
		rest[i].Until = min(rest[i].Until, max(a.now, rest[i].From))
	}
	a.fits(f, rest)
}

// hasOne refuses where the principal holds none of the roles that what asks for at the moment. No roles are no condition.
func (a *admission) hasOne(p Account, roles []Role, at Instant, what string, name any) {
	if len(roles) == 0 || a.err != nil {
		return
	}
	for _, r := range roles {
		if a.read(roleFact(p, r)).Holds(at) {
			return
		}
	}
	held := a.rolesOf(p)
	a.fail(RuleBroken, "role_needed", "%s %s needs role %s; %s has %s%s", what, name, either(roles), p, rolesAt(held, at), a.when(at))
}

func (a *admission) relation(name Relation) (RelationRule, bool) {
	rule, ok := a.cat.Relations[name]
	if !ok {
		a.fail(RuleBroken, "unknown_relation", "relation %s: the catalogue has no such relation; it has %s", name, sortedNames(a.cat.Relations))
	}
	return rule, ok
}

func (a *admission) link(d *CaseloadLink) {
	rule, ok := a.relation(d.Relation)
	if !ok || !a.known("principal", d.Principal) || !a.known("client", d.Client) || !a.protected(d.Client) {
		return
	}
	kind, ok := a.kind(d.Principal)
	if !ok {
		return
	}
	if !kind.Group && !slices.Contains(rule.From, d.Principal.Kind()) {
		a.fail(RuleBroken, "relation_not_for_kind", "relation %s is for %s; %s is a %s", d.Relation, either(rule.From), d.Principal, d.Principal.Kind())
		return
	}
	f := linkFact(d.Principal, d.Client, d.Relation)
	from, until, ok := a.span(d.From, d.Until)
	if !ok || !a.free(f, d.From, d.Until, "already_linked", "%s is linked to %s as %s already, or was in that time", d.Principal, d.Client, d.Relation) || kind.Group {
		return
	}
	a.hasOne(d.Principal, rule.Roles, a.begins(from, until), "relation", d.Relation)
	a.fits(f, append(slices.Clip(a.read(f).Intervals), Interval{From: from, Until: until}))
}

func (a *admission) protected(acc Account) bool {
	if acc.Kind() != a.cat.Protected {
		return a.fail(RuleBroken, "not_protected", "client %s: want a %s", acc, a.cat.Protected)
	}
	return true
}

func (a *admission) join(d *TeamJoin) {
	team, ok := a.kind(d.Team)
	if !ok || !a.known("team", d.Team) || !a.known("member", d.Member) {
		return
	}
	member, ok := a.kind(d.Member)
	switch {
	case !ok:
	case !team.Group:
		a.fail(RuleBroken, "not_a_group", "%s: the kind %s is not a group that has members", d.Team, d.Team.Kind())
	case member.Group:
		a.fail(RuleBroken, "group_in_group", "%s is a group itself and can't be in %s", d.Member, d.Team)
	default:
		a.free(memberFact(d.Team, d.Member), d.From, d.Until, "already_member", "%s is in %s already, or was in that time", d.Member, d.Team)
	}
}

func (a *admission) grant(d *AccessGrant, reason string) {
	rule, ok := a.cat.Grants[d.Profile]
	if !ok {
		a.fail(RuleBroken, "unknown_profile", "profile %s: the catalogue has no such temporary access; it has %s", d.Profile, sortedNames(a.cat.Grants))
		return
	}
	if !a.known("principal", d.Principal) || !a.known("client", d.Client) || !a.protected(d.Client) {
		return
	}
	from, until, ok := a.span(d.From, d.Until)
	switch {
	case !ok:
		return
	case until <= a.now:
		a.fail(RuleBroken, "grant_in_past", "until %s: temporary access must end after now, %s", until, a.now)
	case rule.ReasonRequired && reason == "":
		a.fail(RuleBroken, "reason_missing", "profile %s: a reason must be given", d.Profile)
	case rule.Longest > 0 && until > from.Add(rule.Longest):
		a.fail(RuleBroken, "beyond_longest", "from %s until %s: temporary access of profile %s lasts %s at the longest", from, until, d.Profile, rule.Longest)
	}
	a.hasOne(d.Principal, rule.Roles, max(from, a.now), "profile", d.Profile)
	if v := a.read(grantRefFact(d.Grant)); len(v.Intervals) > 0 {
		a.fail(Conflict, "grant_exists", "grant %s: there is such a grant already", d.Grant)
	}
}

func (a *admission) grantOf(id GrantID) Fact {
	g, ok, err := grantOf(a.r, id)
	switch {
	case a.err != nil:
	case err != nil:
		a.err = err
	case !ok:
		a.fail(Unknown, "unknown_grant", "grant %q: there is no such grant", clip(string(id)))
	}
	return g
}

func (a *admission) review(d *AccessReview, actor Account) {
	if d.Verdict != "justified" && d.Verdict != "unjustified" && d.Verdict != "unclear" {
		a.fail(Malformed, "bad_verdict", "verdict %q: want justified, unjustified or unclear", clip(d.Verdict))
		return
	}
	g := a.grantOf(d.Grant)
	v := a.read(g)
	switch {
	case a.err != nil:
		return
	case g.Subject == actor:
		a.fail(RuleBroken, "own_grant", "grant %s: somebody else must review it, not %s whose it is", d.Grant, actor)
	case v.Intervals[0].Detail == string(actor): // in a history from elsewhere, somebody may have granted it to another
		a.fail(RuleBroken, "own_grant", "grant %s: somebody else must review it, not %s who granted it", d.Grant, actor)
	case !v.begun(a.now):
		a.fail(Conflict, "grant_not_begun", "grant %s: begins at %s; it can be reviewed from then on", d.Grant, v.Intervals[0].From)
	}
	g.Family = FamilyReview
	a.free(g, 0, 0, "already_reviewed", "grant %s is reviewed already", d.Grant)
}

func (a *admission) exception(d *Exception) {
	if !a.known("principal", d.Principal) {
		return
	}
	if !a.cat.Type(d.On) {
		types := append(sortedKeys(a.cat.Kinds), sortedKeys(a.cat.Resources)...)
		slices.Sort(types)
		a.fail(RuleBroken, "unknown_kind", "on %s: the catalogue has no such type; it has %s", d.On, listed(types))
		return
	}
	if actions := a.cat.Actions(d.On); !slices.Contains(actions, d.Action) {
		a.fail(RuleBroken, "unknown_action", "action %s: the catalogue has no such action on %s; it has %s", d.Action, d.On, either(actions))
		return
	}
	if d.Client != "" && a.known("client", d.Client) {
		a.protected(d.Client)
	}
}

// addition refuses to add what the catalogue gives no holder of one of the principal's roles individually. What was added
// before a role was held gives nothing while it is (see Evaluate).
func (a *admission) addition(d *Exception) {
	for _, role := range a.cat.never(d.On, d.Action) {
		if a.read(roleFact(d.Principal, role)).Holds(a.now) {
			a.fail(RuleBroken, "never_individually", "%s on %s: no individual permission gives it to a holder of %s, and %s is one", d.Action, d.On, role, d.Principal)
			return
		}
	}
}

// standing gives the registration of a resource that has not been removed.
func standing(r Reader, res Resource) (Held, bool, error) {
	for h, err := range r.FactsOf(FamilyResource, Account(res)) {
		if err != nil {
			return Held{}, false, err
		}
		for _, iv := range h.Version.Intervals {
			if iv.Until == Forever && !iv.Empty() {
				return h, true, nil
			}
		}
	}
	return Held{}, false, nil
}

func (a *admission) registration(d *ResourceRegistration) {
	if rule, ok := a.cat.Resources[d.Resource.Kind()]; !ok || rule.Of == "" {
		a.fail(RuleBroken, "unknown_kind", "resource %s: the catalogue has no type %s that belongs to a %s; it has %s", d.Resource, d.Resource.Kind(), a.cat.Protected, listed(a.cat.types(true)))
		return
	}
	if !a.known("client", d.Client) || !a.protected(d.Client) || !a.known("created_by", d.CreatedBy) {
		return
	}
	if _, ok, err := standing(a.r, d.Resource); err != nil {
		a.err = err
	} else if ok {
		a.fail(Conflict, "already_registered", "resource %s is registered already", d.Resource)
	}
}

func (a *admission) invitation(d *GuestInvitation) {
	if _, ok := a.kind(d.Guest); !ok || !a.call(d.Call) {
		return
	}
	if limit := a.cat.Guests.Longest; limit > 0 && d.Until > a.now.Add(limit) {
		a.fail(RuleBroken, "beyond_longest", "until %s: a guest may be invited for %s at the longest", d.Until, limit)
		return
	}
	// An invitation makes somebody of a guest for a while (see Fold). It must not undo a deactivation, whose roles and
	// links would all count again.
	active := a.read(activeFact(d.Guest)).Intervals
	if n := len(active); n > 0 && !active[n-1].Holds(a.now) && active[n-1].Ended != 0 {
		a.fail(Conflict, "not_active", "account %s was deactivated; reactivate it before it is invited", d.Guest)
	}
	a.free(invitationFact(d.Guest, d.Call), 0, d.Until, "already_invited", "%s is invited to %s already", d.Guest, d.Call)
}

// types gives the types of other resources that belong to a protected account, or those that do not.
func (c *Catalogue) types(belong bool) []Kind {
	return slices.DeleteFunc(sortedKeys(c.Resources), func(k Kind) bool { return (c.Resources[k].Of != "") != belong })
}

// letIn lets a guest in once, and where the invitation is by a one-time link only with the secret of that link. Only
// hashes of it get here.
func (a *admission) letIn(d *GuestAdmission) {
	f := invitationFact(d.Guest, d.Call)
	if !a.stands(f, "not_invited", "%s is not invited to %s", d.Guest, d.Call) ||
		!a.free(admissionFact(d.Guest, d.Call), 0, 0, "already_admitted", "%s was let in to %s already; an invitation admits once", d.Guest, d.Call) {
		return
	}
	invited, _ := a.read(f).Current(a.now)
	switch {
	case invited.Detail == d.Link:
	case d.Link == "":
		a.fail(RuleBroken, "link_missing", "%s is invited to %s by a one-time link; say it as link", d.Guest, d.Call)
	case invited.Detail == "":
		a.fail(RuleBroken, "no_link", "%s is invited to %s without a one-time link; leave link out", d.Guest, d.Call)
	default:
		a.fail(NotPermitted, "wrong_link", "%s is invited to %s by another one-time link", d.Guest, d.Call)
	}
}

// call tells whether the call may go on: its type is one, and it has not ended.
func (a *admission) call(c Resource) bool {
	if rule, ok := a.cat.Resources[c.Kind()]; !ok || rule.Of != "" {
		return a.fail(RuleBroken, "unknown_kind", "call %s: the catalogue has no type %s that belongs to nobody; it has %s", c, c.Kind(), listed(a.cat.types(false)))
	}
	if v := a.read(callEndedFact(c)); a.err == nil && len(v.Intervals) > 0 {
		return a.fail(Conflict, "call_ended", "%s has ended", c)
	}
	return a.err == nil
}

func (a *admission) correction(d *Correction) {
	f, ok, err := a.r.FactAt(d.Corrects)
	switch {
	case err != nil:
		a.err = err
		return
	case !ok:
		a.fail(Unknown, "unknown_fact", "corrects %d: that event began no fact", d.Corrects)
		return
	case !slices.Contains([]Family{FamilyRole, FamilyLink, FamilyMember, FamilyGrant}, f.Family):
		a.fail(RuleBroken, "not_correctable", "corrects %d: only roles, links, memberships and temporary access have bounds to correct", d.Corrects)
		return
	case d.Void && (d.From != 0 || d.Until != 0):
		a.fail(Malformed, "bad_correction", "corrects %d: either void or new bounds, not both", d.Corrects)
		return
	case !d.Void && d.From == 0 && d.Until == 0:
		a.fail(Malformed, "bad_correction", "corrects %d: say what is right: from, until, or void", d.Corrects)
		return
	}
	intervals := a.read(f).Intervals
	i := slices.IndexFunc(intervals, func(iv Interval) bool { return iv.Began == d.Corrects })
	if a.err != nil || i < 0 {
		a.fail(Unknown, "unknown_fact", "corrects %d: that event began no fact", d.Corrects)
		return
	}
	is := intervals[i]
	if is.Empty() && !d.Void && (d.From == 0 || d.Until == 0) { // with one bound alone, what was taken would stand again
		a.fail(Conflict, "never_held", "corrects %d: that was voided, or ended before it began; say both from and until where it did hold", d.Corrects)
		return
	}
	if d.From != 0 {
		is.From = d.From
	}
	if d.Until != 0 {
		is.Until = d.Until
	}
	if !d.Void && is.Empty() {
		a.fail(RuleBroken, "empty_interval", "from %s until %s: it must end after it begins; void it where it never was", is.From, is.Until)
		return
	}
	for k, iv := range intervals {
		if k != i && !d.Void && !iv.Empty() && iv.From < is.Until && is.From < iv.Until {
			a.fail(Conflict, "overlaps", "corrects %d: the corrected time overlaps what event %d says", d.Corrects, iv.Began)
			return
		}
	}
	switch f.Family {
	case FamilyGrant:
		if was := intervals[i]; is.From < was.From || is.Until > was.Until {
			a.fail(RuleBroken, "grant_stretched", "corrects %d: from %s until %s: temporary access %s is from %s until %s and can't be stretched; take a further one with a reason of its own", d.Corrects, is.From, is.Until, f.ID, was.From, was.Until)
		}
	case FamilyRole, FamilyLink:
		becomes := slices.Clone(intervals)
		if becomes[i] = is; d.Void {
			becomes[i].Until = is.From
		}
		a.fits(f, becomes)
	}
}

func (a *admission) noticed(of Seq) {
	if _, ok, err := a.r.FactAt(of); err != nil {
		a.err = err
	} else if !ok {
		a.fail(Unknown, "unknown_fact", "of %d: that event began no fact", of)
	}
}

// adoption fills in or checks what is derived from the document.
func (a *admission) adoption(e *Event, d *CatalogueAdoption) error {
	cat, err := ParseCatalogue([]byte(d.Document))
	if err != nil {
		return err
	}
	v := a.read(catalogueFact())
	if a.err != nil {
		return a.err
	}
	next := CatalogueAdoption{Catalogue: cat.Name, Version: len(v.Intervals) + 1, Digest: Digest([]byte(d.Document)), Document: d.Document}
	if d.Catalogue != "" && d.Catalogue != next.Catalogue || d.Version != 0 && d.Version != next.Version || d.Digest != "" && d.Digest != next.Digest {
		return Errorf(RuleBroken, "catalogue_mismatch", "catalogue %s version %d: the document is %s, and would be version %d with digest %s", clip(d.Catalogue), d.Version, next.Catalogue, next.Version, next.Digest)
	}
	e.Data = &next // the caller's data stays as it was
	return nil
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedNames[K ~string, V any](m map[K]V) string {
	return listed(sortedKeys(m))
}

func listed[K ~string](names []K) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Trim(fmt.Sprint(names), "[]")
}
