package domain

// The Dutch of sentence.go. Its sentences are built as subject, verb, since when, and the rest, because that is where Dutch
// has the time; what is over is said in the past tense.

import "strings"

type dutch struct{}

func (dutch) and() string   { return "; en " }
func (dutch) never() string { return ", en wie die heeft, krijgt dit door geen individueel recht" }

func (d dutch) fact(t Teller, r Reason) string {
	iv := r.Interval
	c := d.describe(t, r.Fact, iv)
	verb, when, end := c.verb.now, "sinds "+t.Show(iv.From), ""
	switch {
	case r.State == NotYet:
		when = "pas vanaf " + t.Show(iv.From)
	case r.State == Ended && iv.Empty():
		when, end = "volgens wat was vastgelegd", ", maar dat is nooit zo geweest"
	case r.State == Ended:
		verb, when, end = c.verb.past, "vanaf "+t.Show(iv.From), ", maar sinds "+t.Show(iv.Until)+" niet meer"
	case iv.Until != Forever:
		when = "van " + t.Show(iv.From) + " tot " + t.Show(iv.Until)
	}
	return c.subject + " " + verb + " " + when + " " + c.rest + end
}

// A clause is a sentence in its parts.
type clause struct {
	subject string
	verb    verb
	rest    string
}

type verb struct{ now, past string }

var (
	toHave     = verb{"heeft", "had"}
	toBe       = verb{"is", "was"}
	toBePlural = verb{"zijn", "waren"}
	toSit      = verb{"zit", "zat"}
	toBelong   = verb{"hoort", "hoorde"}
)

// verdicts of reviews.
var verdicts = map[string]string{"justified": "terecht", "unjustified": "onterecht", "unclear": "onduidelijk"}

func (d dutch) describe(t Teller, f Fact, iv Interval) clause {
	s, o := string(f.Subject), string(f.Object)
	switch f.Family {
	case FamilyActive:
		return clause{s, toHave, "een open account"}
	case FamilyLocked:
		if iv.Detail != "" {
			return clause{s, toBe, "geblokkeerd (" + iv.Detail + ")"}
		}
		return clause{s, toBe, "geblokkeerd"}
	case FamilyFailures:
		return clause{s, toHave, iv.Detail + " mislukte inlogpogingen achter elkaar"}
	case FamilyErased:
		return clause{"de persoonlijke teksten over " + s, toBePlural, "gewist"}
	case FamilyRole:
		return clause{s, toHave, "de rol " + t.role(Role(f.Name))}
	case FamilyLink:
		return clause{s, toBe, "als " + t.relation(Relation(f.Name)) + " gekoppeld aan " + o}
	case FamilyMember:
		return clause{s, toSit, "in " + o}
	case FamilyGrant, FamilyGrantRef:
		return clause{s, toHave, "tijdelijke toegang via " + t.profile(Profile(f.Name)) + " tot " + o}
	case FamilyReview:
		verdict := verdicts[iv.Detail]
		if verdict == "" {
			verdict = iv.Detail
		}
		return clause{"de tijdelijke toegang " + f.ID + " van " + s + " tot " + o, toBe, "beoordeeld als " + verdict}
	case FamilyException:
		on, action, _ := strings.Cut(f.Name, " ")
		right := t.action(Action(action)) + " bij alles van het type " + t.kind(Kind(on))
		if f.Object != KindRef(Kind(on)) {
			right = t.action(Action(action)) + " bij " + o
		}
		if iv.Detail == Withheld {
			return clause{"aan " + s, toBe, "individueel het recht ontzegd: " + right}
		}
		return clause{s, toHave, "een individueel recht: " + right}
	case FamilyResource:
		return clause{s, toBelong, "bij " + o + ", aangemaakt door " + iv.Detail}
	case FamilyCreated:
		return clause{s, toHave, o + " op naam staan"}
	case FamilyInvitation:
		return clause{s, toBe, "uitgenodigd voor " + o}
	case FamilyAdmission:
		return clause{s, toBe, "toegelaten tot " + o}
	case FamilyCallEnded:
		return clause{s, toBe, "afgelopen"}
	case FamilyCatalogue:
		return clause{"de rollencatalogus " + adopted(iv.Detail, "versie"), toBe, "van kracht"}
	}
	return clause{s, toBe, "bekend"}
}

func (dutch) lack(t Teller, w Want) string {
	who, what := string(w.Who), string(w.What)
	switch w.Lack {
	case LackCatalogue:
		return "er was nog geen rollencatalogus vastgesteld"
	case LackPermit:
		return "de catalogus geeft niemand het recht " + t.action(w.Action) + " bij het type " + t.kind(w.What.Kind())
	case LackAccount:
		return "hiervoor moet " + who + " een open account hebben"
	case LackResource:
		return "hiervoor moet " + what + " bestaan"
	case LackKind:
		return "hiervoor moet " + who + " van de soort " + anyOf(w.Of.Kinds, t.kind, " of ") + " zijn"
	case LackSelf:
		return "hiervoor moet " + who + " degene zijn over wie het gaat"
	case LackOwn:
		return "hiervoor moet " + who + " degene zijn die " + what + " heeft aangemaakt"
	case LackRole:
		return "hiervoor moet " + who + " de rol " + anyOf(w.Of.Roles, t.role, " of ") + " hebben"
	case LackProtected:
		return "hiervoor is een beschermd account nodig"
	case LackLink:
		return "hiervoor moet " + who + " als " + anyOf(w.Of.Links, t.relation, " of ") + " gekoppeld zijn aan " + what
	case LackLinkedBy:
		return "hiervoor moet " + who + " als " + anyOf(w.Of.LinkedBy, t.relation, " of ") + " gekoppeld zijn aan " + what
	case LackGrant:
		return "hiervoor moet " + who + " tijdelijke toegang via " + anyOf(w.Of.Grants, t.profile, " of ") + " hebben tot " + what
	case LackInvitation:
		return "hiervoor moet " + who + " uitgenodigd zijn voor " + what
	case LackTeam:
		return "hiervoor moeten " + who + " en " + what + " in hetzelfde team zitten"
	case LackOtherKind:
		return "hiervoor is iemand van een andere soort nodig"
	case LackOtherSelf:
		return "hiervoor is iemand anders nodig dan degene over wie het gaat"
	case LackOtherOwn:
		return "hiervoor is iemand anders nodig dan wie het heeft aangemaakt"
	}
	return "hiervoor is iets anders nodig"
}

func (dutch) verdict(t Teller, q Question, yes bool) string {
	action, may, not := t.action(q.Action), "Ja: "+string(q.Subject)+" mag ", ""
	if !yes {
		may, not = "Nee: "+string(q.Subject)+" mag ", "niet "
	}
	if action == string(q.Action) {
		return may + not + action + " bij " + string(q.Resource)
	}
	return may + "bij " + string(q.Resource) + " " + not + action
}

func (dutch) plain(q Question, s *Selectors) string {
	switch {
	case s.Self:
		return string(q.Subject) + " is degene over wie het gaat"
	case s.Own:
		return string(q.Subject) + " heeft " + string(q.Resource) + " aangemaakt"
	}
	return ""
}

func (d dutch) way(t Teller, s, unless Selectors, res thing) string {
	who := "iedereen"
	if is := d.is(t, s, res); len(is) > 0 {
		who = "wie " + strings.Join(is, " en ")
	}
	if is := d.is(t, unless, res); len(is) > 0 {
		who += ", maar niet wie " + strings.Join(is, " of ")
	}
	return who
}

// is says each selector so that "wie" can stand before it: with the verb at the end.
func (dutch) is(t Teller, s Selectors, res thing) (is []string) {
	if s.Self {
		is = append(is, string(res.self())+" zelf is")
	}
	if len(s.Kinds) > 0 {
		is = append(is, "van de soort "+anyOf(s.Kinds, t.kind, " of ")+" is")
	}
	if len(s.Roles) > 0 {
		is = append(is, "de rol "+anyOf(s.Roles, t.role, " of ")+" heeft")
	}
	if s.Own {
		is = append(is, string(res.Resource)+" heeft aangemaakt")
	}
	if len(s.Links) > 0 {
		is = append(is, "als "+anyOf(s.Links, t.relation, " of ")+" gekoppeld is aan "+string(res.client))
	}
	if len(s.LinkedBy) > 0 {
		is = append(is, string(res.Resource)+" als "+anyOf(s.LinkedBy, t.relation, " of ")+" aan zich gekoppeld heeft")
	}
	if len(s.Grants) > 0 {
		is = append(is, "tijdelijke toegang via "+anyOf(s.Grants, t.profile, " of ")+" heeft tot "+string(res.client))
	}
	if s.Invited {
		is = append(is, "uitgenodigd is voor "+string(res.Resource))
	}
	if s.Team {
		is = append(is, "in hetzelfde team zit als "+string(res.self()))
	}
	return is
}
