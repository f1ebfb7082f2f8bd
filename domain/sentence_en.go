package domain

// The English of sentence.go.

import "strings"

type english struct{}

func (english) and() string   { return "; and " }
func (english) never() string { return ", and no individual permission gives this to who does" }

func (e english) fact(t Teller, r Reason) string {
	iv := r.Interval
	said := e.describe(t, r.Fact, iv)
	switch {
	case r.State == NotYet:
		return said + ", but only from " + t.Show(iv.From)
	case r.State == Ended && iv.Empty():
		return said + ", as was recorded, but it never was so"
	case r.State == Ended:
		return said + " from " + t.Show(iv.From) + ", but not since " + t.Show(iv.Until)
	case iv.Until != Forever:
		return said + " since " + t.Show(iv.From) + ", until " + t.Show(iv.Until)
	}
	return said + " since " + t.Show(iv.From)
}

// describe says what the fact is, so that "since …" can follow.
func (english) describe(t Teller, f Fact, iv Interval) string {
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
		return s + " holds role " + t.role(Role(f.Name))
	case FamilyLink:
		return s + " is linked to " + o + " as " + t.relation(Relation(f.Name))
	case FamilyMember:
		return s + " is in " + o
	case FamilyGrant, FamilyGrantRef:
		return s + " has temporary access of profile " + t.profile(Profile(f.Name)) + " to " + o
	case FamilyReview:
		return "the temporary access " + f.ID + " of " + s + " to " + o + " is reviewed as " + iv.Detail
	case FamilyException:
		on, action, _ := strings.Cut(f.Name, " ")
		whom := "every " + t.kind(Kind(on))
		if f.Object != KindRef(Kind(on)) {
			whom = o
		}
		return s + " has " + t.action(Action(action)) + " on " + whom + " individually " + iv.Detail
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
		return "the role catalogue " + adopted(iv.Detail, "version") + " is in force"
	}
	return s
}

func (english) lack(t Teller, w Want) string {
	who, what := string(w.Who), string(w.What)
	switch w.Lack {
	case LackCatalogue:
		return "no role catalogue had been adopted"
	case LackPermit:
		return "the catalogue lets nobody " + t.action(w.Action) + " on " + t.kind(w.What.Kind())
	case LackAccount:
		return "this needs an open account " + who
	case LackResource:
		return "this needs " + what + " to exist"
	case LackKind:
		return "this needs " + who + " to be a " + anyOf(w.Of.Kinds, t.kind, " or ")
	case LackSelf:
		return "this needs " + who + " to be the one it is about"
	case LackOwn:
		return "this needs " + who + " to have created " + what
	case LackRole:
		return "this needs " + who + " to hold role " + anyOf(w.Of.Roles, t.role, " or ")
	case LackProtected:
		return "this needs a protected account"
	case LackLink:
		return "this needs link " + anyOf(w.Of.Links, t.relation, " or ") + " from " + who + " to " + what
	case LackLinkedBy:
		return "this needs link " + anyOf(w.Of.LinkedBy, t.relation, " or ") + " from " + who + " to " + what
	case LackGrant:
		return "this needs temporary access of profile " + anyOf(w.Of.Grants, t.profile, " or ") + " for " + who + " to " + what
	case LackInvitation:
		return "this needs " + who + " to be invited to " + what
	case LackTeam:
		return "this needs " + who + " and " + what + " to be in one team"
	case LackOtherKind:
		return "this needs somebody of another kind"
	case LackOtherSelf:
		return "this needs somebody else than the one it is about"
	case LackOtherOwn:
		return "this needs somebody else than who created it"
	}
	return "this needs something else"
}

func (english) verdict(t Teller, q Question, yes bool) string {
	action, may := t.action(q.Action), "Yes: "+string(q.Subject)+" may "
	if !yes {
		may = "No: " + string(q.Subject) + " may not "
	}
	if action == string(q.Action) {
		return may + action + " " + string(q.Resource)
	}
	return may + action + " on " + string(q.Resource)
}

func (english) plain(q Question, s *Selectors) string {
	switch {
	case s.Self:
		return string(q.Subject) + " is the one it is about"
	case s.Own:
		return string(q.Subject) + " created " + string(q.Resource)
	}
	return ""
}

func (e english) way(t Teller, s, unless Selectors, res thing) string {
	who := "everyone"
	if is := e.is(t, s, res); len(is) > 0 {
		who = "whoever " + strings.Join(is, " and ")
	}
	if is := e.is(t, unless, res); len(is) > 0 {
		who += ", but not whoever " + strings.Join(is, " or ")
	}
	return who
}

// is says each selector so that "whoever" can stand before it.
func (english) is(t Teller, s Selectors, res thing) (is []string) {
	if s.Self {
		is = append(is, "is "+string(res.self()))
	}
	if len(s.Kinds) > 0 {
		is = append(is, "is of kind "+anyOf(s.Kinds, t.kind, " or "))
	}
	if len(s.Roles) > 0 {
		is = append(is, "holds role "+anyOf(s.Roles, t.role, " or "))
	}
	if s.Own {
		is = append(is, "created "+string(res.Resource))
	}
	if len(s.Links) > 0 {
		is = append(is, "is linked to "+string(res.client)+" as "+anyOf(s.Links, t.relation, " or "))
	}
	if len(s.LinkedBy) > 0 {
		is = append(is, "has "+string(res.Resource)+" linked to them as "+anyOf(s.LinkedBy, t.relation, " or "))
	}
	if len(s.Grants) > 0 {
		is = append(is, "has temporary access of profile "+anyOf(s.Grants, t.profile, " or ")+" to "+string(res.client))
	}
	if s.Invited {
		is = append(is, "is invited to "+string(res.Resource))
	}
	if s.Team {
		is = append(is, "is in one team with "+string(res.self()))
	}
	return is
}
