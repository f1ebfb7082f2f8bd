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

// sentences says each type of event; {field} is a field of its data.
var sentences = map[domain.EventType]string{
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

// sentence says what an event says, with what its data has beyond the sentence behind it.
func (s *screen) sentence(e event) string {
	text, known := sentences[domain.EventType(e.Type)]
	if !known {
		text = e.Type
	}
	var extra []string
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		value := printable(fmt.Sprint(e.Data[name]))
		if strings.Contains(text, "{"+name+"}") {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
			continue
		}
		switch name {
		case "document", "digest": // the catalogue itself; permledger catalogue show has it
		case "from", "until":
			extra = append(extra, name+" "+s.time(value))
		case "client":
			extra = append(extra, "for "+value)
		case "void":
			extra = append(extra, "it never was")
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
