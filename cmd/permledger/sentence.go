package main

// Events as sentences, for people. The event's data stays what is true: a type that this program does not know is shown
// as it stands.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
)

// englishEvents says each type of event; {field} is a field of its data.
var englishEvents = map[domain.EventType]string{
	domain.CatalogueAdopted:   "role catalogue {catalogue} version {version} was adopted",
	domain.AccountOpened:      "{account} was opened",
	domain.AccountDeactivated: "{account} was deactivated",
	domain.AccountReactivated: "{account} was reactivated",
	domain.RoleAssigned:       "{principal} was given role {role}",
	domain.RoleRevoked:        "{principal} lost role {role}",
	domain.CaseloadLinked:     "{principal} was linked to {client} as {relation}",
	domain.CaseloadUnlinked:   "{principal} was unlinked from {client} as {relation}",
	domain.TeamJoined:         "{member} joined {team}",
	domain.TeamLeft:           "{member} left {team}",
	domain.AccessGranted:      "{principal} was given temporary access ({profile}) to {client}, grant {grant}",
	domain.AccessRevoked:      "temporary access {grant} was revoked",
	domain.AccessReviewed:     "temporary access {grant} was reviewed as {verdict}",
	domain.PermissionAdded:    "{principal} was individually permitted {action} on {on}",
	domain.PermissionWithheld: "{action} on {on} was individually withheld from {principal}",
	domain.PermissionRestored: "the individual permission of {principal} for {action} on {on} ended",
	domain.ResourceRegistered: "{resource} was registered for {client}, created by {created_by}",
	domain.ResourceRemoved:    "{resource} was removed",
	domain.SigninFailed:       "{principal} failed to sign in",
	domain.SigninSucceeded:    "{principal} signed in after failures",
	domain.AccountLocked:      "{principal} was locked",
	domain.AccountUnlocked:    "{principal} was unlocked",
	domain.GuestInvited:       "{guest} was invited to {call}",
	domain.GuestAdmitted:      "{guest} was let in to {call}",
	domain.CallEnded:          "{call} ended",
	domain.FactCorrected:      "what seq {corrects} says was corrected",
	domain.ValidityStarted:    "what seq {of} says began to hold",
	domain.ValidityEnded:      "what seq {of} says ran out",
	domain.SubjectErased:      "the personal texts about {account} were erased",
}

var dutchEvents = map[domain.EventType]string{
	domain.CatalogueAdopted:   "rollencatalogus {catalogue} versie {version} is vastgesteld",
	domain.AccountOpened:      "{account} is geopend",
	domain.AccountDeactivated: "{account} is gedeactiveerd",
	domain.AccountReactivated: "{account} is opnieuw geactiveerd",
	domain.RoleAssigned:       "{principal} heeft de rol {role} gekregen",
	domain.RoleRevoked:        "{principal} is de rol {role} kwijtgeraakt",
	domain.CaseloadLinked:     "{principal} is als {relation} gekoppeld aan {client}",
	domain.CaseloadUnlinked:   "{principal} is als {relation} losgekoppeld van {client}",
	domain.TeamJoined:         "{member} is in {team} gekomen",
	domain.TeamLeft:           "{member} is uit {team} gegaan",
	domain.AccessGranted:      "{principal} heeft tijdelijke toegang ({profile}) tot {client} gekregen, toegang {grant}",
	domain.AccessRevoked:      "tijdelijke toegang {grant} is ingetrokken",
	domain.AccessReviewed:     "tijdelijke toegang {grant} is beoordeeld als {verdict}",
	domain.PermissionAdded:    "{principal} heeft het individuele recht {action} bij {on} gekregen",
	domain.PermissionWithheld: "aan {principal} is het recht {action} bij {on} individueel ontzegd",
	domain.PermissionRestored: "de individuele regeling van {principal} voor {action} bij {on} is opgeheven",
	domain.ResourceRegistered: "{resource} is geregistreerd voor {client}, aangemaakt door {created_by}",
	domain.ResourceRemoved:    "{resource} is verwijderd",
	domain.SigninFailed:       "{principal} kon niet inloggen",
	domain.SigninSucceeded:    "{principal} is na mislukte pogingen ingelogd",
	domain.AccountLocked:      "{principal} is geblokkeerd",
	domain.AccountUnlocked:    "{principal} is gedeblokkeerd",
	domain.GuestInvited:       "{guest} is uitgenodigd voor {call}",
	domain.GuestAdmitted:      "{guest} is toegelaten tot {call}",
	domain.CallEnded:          "{call} is afgelopen",
	domain.FactCorrected:      "wat seq {corrects} zegt is gecorrigeerd",
	domain.ValidityStarted:    "wat seq {of} zegt is ingegaan",
	domain.ValidityEnded:      "wat seq {of} zegt is verlopen",
	domain.SubjectErased:      "de persoonlijke teksten over {account} zijn gewist",
}

// sentence says what an event says, with what its data has beyond the sentence behind it.
func (s *screen) sentence(e event) string {
	text, known := s.words.events[domain.EventType(e.Type)]
	if !known {
		text = e.Type
	}
	var extra []string
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		value := printable(fmt.Sprint(e.Data[name]))
		if said := s.words.verdicts[value]; said != "" && name == "verdict" {
			value = said
		}
		if strings.Contains(text, "{"+name+"}") {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
			continue
		}
		switch name {
		case "document", "digest": // the catalogue itself; permledger catalogue show has it
		case "from":
			extra = append(extra, fmt.Sprintf(s.words.from, s.time(value)))
		case "until":
			extra = append(extra, fmt.Sprintf(s.words.ends, s.time(value)))
		case "client":
			extra = append(extra, fmt.Sprintf(s.words.client, value))
		case "void":
			extra = append(extra, s.words.void)
		case "cause":
			extra = append(extra, value)
		case "display_name":
			extra = append(extra, fmt.Sprintf("%q", value))
		default:
			extra = append(extra, name+" "+value)
		}
	}
	if len(extra) > 0 {
		text += ", " + strings.Join(extra, ", ")
	}
	return text
}
