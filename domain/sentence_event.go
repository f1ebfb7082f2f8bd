package domain

// Events said to people, a sentence each, in the languages there are. What an event's data has beyond its sentence stands
// behind it, so that nothing of it is left unsaid. Nothing is read here: what an event that names another is about comes
// with it. Everything is named by the id that was recorded.

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A Concern is what an event is about that names another by its seq: a correction, or a note of the ledger's own clock.
type Concern struct {
	Type EventType // of the other event
	Was  Interval  // of a correction: the bounds before it
}

// eventWords is how events are said in one language.
type eventWords struct {
	says                map[EventType]string // {field} is a field of the data
	from, until, client string               // a time, a time, an account
	void                string
	was, endless        string // what a bound was, said behind what it is: a time, and none
	erased              string
	verdicts            map[string]string // of reviews, where they are not the data's own words
}

var eventsIn = map[Lang]*eventWords{
	English: {
		says: map[EventType]string{
			CatalogueAdopted:   "role catalogue {catalogue} version {version} was adopted",
			AccountOpened:      "{account} was opened",
			AccountDeactivated: "{account} was deactivated",
			AccountReactivated: "{account} was reactivated",
			RoleAssigned:       "{principal} was given role {role}",
			RoleRevoked:        "{principal} lost role {role}",
			CaseloadLinked:     "{principal} was linked to {client} as {relation}",
			CaseloadUnlinked:   "{principal} was unlinked from {client} as {relation}",
			TeamJoined:         "{member} joined {team}",
			TeamLeft:           "{member} left {team}",
			AccessGranted:      "{principal} was given temporary access ({profile}) to {client}, grant {grant}",
			AccessRevoked:      "temporary access {grant} was revoked",
			AccessReviewed:     "temporary access {grant} was reviewed as {verdict}",
			PermissionAdded:    "{principal} was individually permitted {action} on {on}",
			PermissionWithheld: "{action} on {on} was individually withheld from {principal}",
			PermissionRestored: "the individual permission of {principal} for {action} on {on} ended",
			ResourceRegistered: "{resource} was registered for {client}, created by {created_by}",
			ResourceRemoved:    "{resource} was removed",
			SigninFailed:       "{principal} failed to sign in",
			SigninSucceeded:    "{principal} signed in after failures",
			AccountLocked:      "{principal} was locked",
			AccountUnlocked:    "{principal} was unlocked",
			GuestInvited:       "{guest} was invited to {call}",
			GuestAdmitted:      "{guest} was let in to {call}",
			CallEnded:          "{call} ended",
			FactCorrected:      "what seq {corrects} says was corrected",
			ValidityStarted:    "what seq {of} says began to hold",
			ValidityEnded:      "what seq {of} says ran out",
			SubjectErased:      "the personal texts about {account} were erased",
		},
		from: "from %", until: "until %", client: "for %", void: "it never was", was: "was %", endless: "had no end",
		erased: "(erased)",
	},
	Dutch: {
		says: map[EventType]string{
			CatalogueAdopted:   "rollencatalogus {catalogue} versie {version} is vastgesteld",
			AccountOpened:      "{account} is geopend",
			AccountDeactivated: "{account} is gedeactiveerd",
			AccountReactivated: "{account} is opnieuw geactiveerd",
			RoleAssigned:       "{principal} heeft de rol {role} gekregen",
			RoleRevoked:        "{principal} is de rol {role} kwijtgeraakt",
			CaseloadLinked:     "{principal} is als {relation} gekoppeld aan {client}",
			CaseloadUnlinked:   "{principal} is als {relation} losgekoppeld van {client}",
			TeamJoined:         "{member} is in {team} gekomen",
			TeamLeft:           "{member} is uit {team} gegaan",
			AccessGranted:      "{principal} heeft tijdelijke toegang ({profile}) tot {client} gekregen, toegang {grant}",
			AccessRevoked:      "tijdelijke toegang {grant} is ingetrokken",
			AccessReviewed:     "tijdelijke toegang {grant} is beoordeeld als {verdict}",
			PermissionAdded:    "{principal} heeft het individuele recht {action} bij {on} gekregen",
			PermissionWithheld: "aan {principal} is het recht {action} bij {on} individueel ontzegd",
			PermissionRestored: "de individuele regeling van {principal} voor {action} bij {on} is opgeheven",
			ResourceRegistered: "{resource} is geregistreerd voor {client}, aangemaakt door {created_by}",
			ResourceRemoved:    "{resource} is verwijderd",
			SigninFailed:       "{principal} kon niet inloggen",
			SigninSucceeded:    "{principal} is na mislukte pogingen ingelogd",
			AccountLocked:      "{principal} is geblokkeerd",
			AccountUnlocked:    "{principal} is gedeblokkeerd",
			GuestInvited:       "{guest} is uitgenodigd voor {call}",
			GuestAdmitted:      "{guest} is toegelaten tot {call}",
			CallEnded:          "{call} is afgelopen",
			FactCorrected:      "wat seq {corrects} zegt is gecorrigeerd",
			ValidityStarted:    "wat seq {of} zegt is ingegaan",
			ValidityEnded:      "wat seq {of} zegt is verlopen",
			SubjectErased:      "de persoonlijke teksten over {account} zijn gewist",
		},
		from: "vanaf %", until: "tot %", client: "voor %", void: "het is nooit zo geweest", was: "was %", endless: "had geen einde",
		erased: "(gewist)", verdicts: verdicts,
	},
}

// Event says what e says, as a sentence without a full stop. concern is nil where e names no other event.
func (t Teller) Event(e *Event, concern *Concern) string {
	return t.EventData(e.Type, e.DataJSON(), concern)
}

// EventData is Event for whoever has an event as JSON alone, perhaps of a newer program: a type that is not known here is
// said as it stands.
func (t Teller) EventData(typ EventType, data []byte, concern *Concern) string {
	words := t.eventWords()
	text, known := words.says[typ]
	if !known {
		text = string(typ)
	}
	said, err := readObject(string(data))
	if err != nil {
		return text
	}
	slices.SortFunc(said.list, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	var places, beyond []string
	for _, f := range said.list {
		value := f.s
		switch {
		case f.name == "verdict" && words.verdicts[value] != "":
			value = words.verdicts[value]
		case (f.name == "corrects" || f.name == "of") && concern != nil:
			value += " (" + string(concern.Type) + ")"
		}
		if place := "{" + f.name + "}"; strings.Contains(text, place) {
			places = append(places, place, value)
		} else if more := t.beyond(words, f, concern); more != "" {
			beyond = append(beyond, more)
		}
	}
	text = strings.NewReplacer(places...).Replace(text)
	return strings.Join(append([]string{text}, beyond...), ", ")
}

// Erased stands where a text was that was erased.
func (t Teller) Erased() string { return t.eventWords().erased }

func (t Teller) eventWords() *eventWords {
	if words := eventsIn[t.Lang]; words != nil {
		return words
	}
	return eventsIn[English]
}

// beyond says a field for which the sentence has no place; "" for what would tell people nothing: a catalogue's text, which
// has a verb of its own, and hashes.
func (t Teller) beyond(words *eventWords, f field, concern *Concern) string {
	switch f.name {
	case "document", "digest", "link":
		return ""
	case "from":
		said := fill(words.from, t.time(f.s))
		if concern != nil {
			said += " (" + fill(words.was, t.Show(concern.Was.From)) + ")"
		}
		return said
	case "until":
		said := fill(words.until, t.time(f.s))
		switch {
		case concern == nil:
		case concern.Was.Until == Forever:
			said += " (" + words.endless + ")"
		default:
			said += " (" + fill(words.was, t.Show(concern.Was.Until)) + ")"
		}
		return said
	case "void":
		said := words.void
		if concern != nil {
			was := fill(words.from, t.Show(concern.Was.From))
			if concern.Was.Until != Forever {
				was += " " + fill(words.until, t.Show(concern.Was.Until))
			}
			said += " (" + fill(words.was, was) + ")"
		}
		return said
	case "client":
		return fill(words.client, f.s)
	case "cause":
		return f.s
	case displayName:
		return strconv.Quote(f.s)
	}
	return f.name + " " + f.s
}

// fill puts the value in its place.
func fill(text, value string) string { return strings.Replace(text, "%", value, 1) }

// time shows a time of an event's data; what is none, in an event of a newer program, stays as it is.
func (t Teller) time(s string) string {
	i, err := ParseInstant(s)
	if err != nil {
		return s
	}
	return t.Show(i)
}
