package demo

// The two role catalogues of the story: the shipped one, and from 1 June De Wilg's own version of it. The second is the
// first with lines put in, so that it follows whatever the shipped one says.

import "strings"

// catalogue is the shipped one that De Wilg begins with.
const catalogue = "minddistrict"

// additions are what De Wilg puts in, by the heading that they come under.
var additions = []struct{ under, lines string }{
	{"kinds:", `  team: {group: true, title: {en: Team, nl: Team}} # De Wilg's own
`},
	{"resources:", `  journal: {of: client, title: {en: Journal, nl: Dagboek}} # De Wilg's own
`},
	{"permits:", `  # -- De Wilg's own, from 1 June 2026

  # A crisis team, which application managers make up.
  - {role: application_manager, on: team, actions: [account.open, team.join, team.leave]}
  # Clients keep journals, which their therapists may read.
  - {kind: client, self: true, on: client, actions: [resource.register, resource.remove]}
  - {kind: client, self: true, on: journal, actions: [view, edit]}
  - {role: therapist, link: therapist, on: journal, actions: view}
  # Secretaries remind clients of their appointments.
  - {role: secretary, on: client, actions: message}

`},
}

// ownCatalogue gives De Wilg's version of the shipped document.
func ownCatalogue(shipped []byte) string {
	document := string(shipped)
	for _, a := range additions {
		heading := "\n" + a.under + "\n"
		document = strings.Replace(document, heading, heading+a.lines, 1)
	}
	return document
}
