package domain

// Catalogues are documents that people write: these tests hold what is read of a whole one, and for each slip that a
// person can make, the sentence that tells where it is.

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func wholeCatalogue(t testing.TB) string {
	t.Helper()
	document, err := os.ReadFile("testdata/catalogues/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

func TestParseCatalogueReadsEverything(t *testing.T) {
	got, err := ParseCatalogue([]byte(wholeCatalogue(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Catalogue{
		Name:  "whole",
		Title: Text{"en": "Whole", "nl": "Geheel"},
		About: Text{"en": "Everything that a catalogue can say."},
		Kinds: map[Kind]KindRule{
			"staff":  {Title: Text{"en": "Staff", "nl": "Personeel"}},
			"client": {Title: Text{"en": "Client", "nl": "Cliënt"}, Protected: true},
			"guest":  {},
			"team":   {About: Text{"en": "Shares its links."}, Group: true},
		},
		Resources: map[Kind]ResourceRule{
			"journal": {Title: Text{"en": "Journal", "nl": "Dagboek"}, Of: "client", TrustProperties: true,
				RegisteredBy: []Action{"edit"}, RemovedBy: []Action{"delete", "edit"}},
			"chart":     {About: Text{"en": "What is measured."}, Of: "client"},
			"call":      {TrustProperties: true},
			"catalogue": {},
		},
		Roles: map[Role]RoleRule{
			"full":    {Title: Text{"en": "Full", "nl": "Vol"}, About: Text{"en": "May do most."}, For: []Kind{"staff"}, Group: "user_type"},
			"limited": {For: []Kind{"staff", "guest"}, Group: "user_type"},
			"tier_1":  {For: []Kind{"staff"}, Group: "access", Needs: []Role{"full", "limited"}},
			"tier_2":  {For: []Kind{"staff"}, Group: "access", Needs: []Role{"full"}},
		},
		Founder: []Role{"full", "tier_2"},
		Relations: map[Relation]RelationRule{
			"carer":    {Title: Text{"en": "Carer", "nl": "Verzorger"}, From: []Kind{"staff"}, Roles: []Role{"tier_1"}, OnOpen: true},
			"guide":    {About: Text{"en": "Shows the way."}, From: []Kind{"staff", "team"}, Roles: []Role{"full", "limited"}, Most: map[Role]int{"limited": 1}},
			"relative": {From: []Kind{"guest"}, By: "relative.add"},
		},
		Grants: map[Profile]GrantRule{
			"emergency": {Title: Text{"en": "Emergency", "nl": "Nood"}, Roles: []Role{"full"}, Longest: 8 * time.Hour, ReasonRequired: true, ReviewWithin: 72 * time.Hour},
			"visit":     {About: Text{"en": "Asked for."}},
		},
		Lockout: LockoutRule{FailedSignins: 3, About: Text{"en": "Ends with help."}},
		Guests:  GuestRule{Longest: 90 * time.Minute, About: Text{"en": "One call."}},
		Permits: []Permit{
			{On: []Kind{"call"}, Actions: []Action{"ring"}, Line: 32},
			{Selectors: Selectors{Roles: []Role{"tier_1", "tier_2"}, Kinds: []Kind{"staff"}, Links: []Relation{"carer", "guide"}},
				On: []Kind{"client", "journal"}, Actions: []Action{"view", "edit"}, Line: 33},
			{Selectors: Selectors{Grants: []Profile{"emergency", "visit"}}, On: []Kind{"client"}, Actions: []Action{"view"}, Line: 34},
			{Selectors: Selectors{Kinds: []Kind{"client"}, Self: true}, On: []Kind{"client"}, Actions: []Action{"view"}, Line: 35},
			{Selectors: Selectors{LinkedBy: []Relation{"carer"}}, On: []Kind{"staff"}, Actions: []Action{"message"}, Line: 36},
			{Selectors: Selectors{Roles: []Role{"tier_2"}, Own: true}, On: []Kind{"journal"}, Actions: []Action{"delete", "edit"},
				Unless: &Selectors{Links: []Relation{"relative"}, Kinds: []Kind{"guest"}}, Line: 37},
			{Selectors: Selectors{Team: true}, On: []Kind{"chart"}, Actions: []Action{"view"}, Line: 42},
			{Selectors: Selectors{Invited: true}, On: []Kind{"call"}, Actions: []Action{"join"}, Line: 43},
			{Selectors: Selectors{Roles: []Role{"full"}}, On: []Kind{"catalogue"}, Actions: []Action{"catalogue.adopt"}, Line: 44},
			{Selectors: Selectors{Roles: []Role{"full"}}, On: []Kind{"staff", "guest", "team"},
				Actions: []Action{"role.assign", "account.unlock", "permission.add", "team.join"}, Line: 45},
			{Selectors: Selectors{Roles: []Role{"full"}}, On: []Kind{"client"},
				Actions: []Action{"account.open", "caseload.link", "relative.add", "access.grant", "access.review", "resource.register", "resource.remove"}, Line: 46},
			{Selectors: Selectors{Roles: []Role{"full"}}, On: []Kind{"call"}, Actions: []Action{"guest.invite"}, Line: 47},
		},
		Never: []NeverRule{
			{Roles: []Role{"limited"}, On: []Kind{"client", "chart"}, Actions: []Action{"view"}, Line: 49},
			{Roles: []Role{"tier_1", "tier_2"}, On: []Kind{"call"}, Actions: []Action{"ring", "join"}, Line: 50},
		},
		ActionTitles: map[Action]Text{
			"view":        {"en": "look at it", "nl": "bekijken"},
			"role.assign": {"en": "give a role", "nl": "een rol geven"},
		},
		Protected: "client",
	}
	want.compile()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("whole.yaml:\n got %+v\nwant %+v", got, want)
	}
	if got, want := got.Actions("journal"), []Action{"delete", "edit", "view"}; !slices.Equal(got, want) {
		t.Errorf("actions on journal: got %v, want %v", got, want)
	}
	if got, want := got.Actions("chart"), []Action{"view"}; !slices.Equal(got, want) {
		t.Errorf("actions on chart: got %v, want %v", got, want)
	}
	if got := got.Lines("journal", "edit"); len(got) != 2 || got[0].Line != 33 || got[1].Line != 37 {
		t.Errorf("lines of edit on journal: got %v, want those of 33 and 37", got)
	}
	if got := got.Warnings(); len(got) != 0 {
		t.Errorf("whole.yaml warns of %q, want nothing", got)
	}
}

// Each slip is one edit of whole.yaml, and gives exactly these lines.
func TestParseCatalogueNamesEveryMistake(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		// What is no catalogue at all.
		{"tab", "  staff:", "\tstaff:", `catalogue line 7: not YAML: found character that cannot start any token`},
		{"open list", "[full, tier_2]", "[full, tier_2", `catalogue line 22: not YAML: did not find expected ',' or ']'`},
		{"anchor and alias", "for: staff, group: access, needs: full", "for: &s staff, group: *s, needs: full",
			`catalogue line 20: roles.tier_2.for: &s is an anchor; catalogues have none
catalogue line 20: roles.tier_2.group: *s is an alias; write the value out`},
		{"merge key", "visit: {reason: optional, about: Asked for.}", "visit: {<<: {reason: optional}}", `catalogue line 28: grants.visit."<<": << is a merge key; write the keys out`},
		{"tag", "actions: ring", "actions: !!str ring", `catalogue line 32: permits[0].actions: the tag "!!str"; catalogues have none`},
		{"lone tag", "actions: ring", "actions: ! ring", `catalogue line 32: permits[0].actions: the tag "!"; catalogues have none`},
		{"two documents", "lockout:", "---\nlockout:", `catalogue line 29: a second document begins here; a catalogue is one document, without ---`},
		{"control character", "about: >", "about: >\x07", `catalogue line 3: a byte that is no UTF-8 text, or a control character; save it as plain UTF-8`},
		{"Latin-1", "Cliënt", "Cli\xebnt", `catalogue line 8: a byte that is no UTF-8 text, or a control character; save it as plain UTF-8`},

		// Keys and shapes.
		{"unknown key", "guests:", "guest:", `catalogue line 30: guest: unknown key; did you mean guests? keys are about, actions, catalogue, founder, grants, guests, kinds, lockout, never, permits, relations, resources, …`},
		{"unknown key of a kind", "group: true", "gruop: true", `catalogue line 10: kinds.team.gruop: unknown key; did you mean group? keys are about, group, protected, title`},
		{"unknown key of a permit", "grant: [emergency, visit]", "grants: [emergency, visit]",
			`catalogue line 34: permits[2].grants: unknown key; did you mean grant? keys are actions, grant, invited, kind, link, linked_by, on, own, role, self, team, unless`},
		{"key twice", "  guest:\n", "  staff:\n", `catalogue line 9: kinds.staff: this key was given before, on line 7
catalogue line 18: roles.limited.for[1]: unknown kind "guest"; kinds are client, staff, team
catalogue line 25: relations.relative.from: unknown kind "guest"; kinds are client, staff, team
catalogue line 41: permits[5].unless.kind: unknown kind "guest"; kinds are client, staff, team
catalogue line 45: permits[9].on[1]: unknown type "guest"; types are call, catalogue, chart, client, journal, staff, team`},
		{"number for a key", "  call: {}", "  call: {}\n  7: {}", `catalogue line 15: resources."7": want a name for a key, got 7`},
		{"list for keys", "lockout: {failed_signins: 3, about: Ends with help.}", "lockout: [failed_signins, 3]", `catalogue line 29: lockout: want keys with values, got a list`},
		{"no name", "catalogue: whole", "title: whole", `catalogue line 1: catalogue is missing
catalogue line 2: title: this key was given before, on line 1`},
		{"bad name", "catalogue: whole", "catalogue: The Whole", `catalogue line 1: catalogue: catalogue "The Whole": want 1 to 63 of a-z, 0-9, _ and -, beginning with a letter`},
		{"number for a name", "catalogue: whole", "catalogue: 12", `catalogue line 1: catalogue: want a name, got 12`},
		{"bad language", "nl: Geheel", "Dutch: Geheel", `catalogue line 2: title."Dutch": want a language code such as en or nl`},
		{"empty title", "title: {en: Staff, nl: Personeel}", `title: ""`, `catalogue line 7: kinds.staff.title: want a text of one line and at most 4096 bytes`},
		{"number for a title", "title: {en: Staff, nl: Personeel}", "title: {en: 5}", `catalogue line 7: kinds.staff.title.en: want a text, got 5`},

		// Kinds and resources.
		{"bad kind", "  guest:\n", "  guest:\n  Team-2: {}\n", `catalogue line 10: kinds."Team-2": kind "Team-2": want 1 to 63 of a-z, 0-9, _ and -, beginning with a letter`},
		{"line breaks in a kind", "client: {protected: true, title: {en: Client, nl: Cliënt}}", `"a\nb": {protected: true}`,
			`catalogue line 8: kinds."a\nb": kind "a\nb": want 1 to 63 of a-z, 0-9, _ and -, beginning with a letter
catalogue line 12: resources.journal.of: "client" is not the protected kind; of: a b, or leave it out
catalogue line 13: resources.chart.of: "client" is not the protected kind; of: a b, or leave it out
catalogue line 33: permits[1].on[0]: unknown type "client"; types are call, catalogue, chart, guest, journal, staff, team
catalogue line 34: permits[2].on: unknown type "client"; types are call, catalogue, chart, guest, journal, staff, team
catalogue line 35: permits[3].on: unknown type "client"; types are call, catalogue, chart, guest, journal, staff, team
catalogue line 35: permits[3].kind: unknown kind "client"; kinds are guest, staff, team
catalogue line 46: permits[10].on: unknown type "client"; types are call, catalogue, chart, guest, journal, staff, team
catalogue line 49: never[0].on[0]: unknown type "client"; types are call, catalogue, chart, guest, journal, staff, team`},
		{"kind catalogue", "  guest:\n", "  guest:\n  catalogue:\n", `catalogue line 10: kinds.catalogue: this is the catalogue itself in every ledger; name the kind otherwise`},
		{"nobody protected", "protected: true", "protected: false", `catalogue line 6: kinds: no kind is protected; exactly one must say protected: true`},
		{"two protected", "title: {en: Staff, nl: Personeel}", "protected: true", `catalogue line 8: kinds.client: staff is protected already; exactly one kind is
catalogue line 12: resources.journal.of: "client" is not the protected kind; of: staff, or leave it out
catalogue line 13: resources.chart.of: "client" is not the protected kind; of: staff, or leave it out
catalogue line 33: permits[1].link: can't be asked of client, which is neither staff nor of: staff
catalogue line 34: permits[2].grant: can't be asked of client, which is neither staff nor of: staff`},
		{"protected group", "protected: true", "protected: true, group: true", `catalogue line 8: kinds.client: a group can't be protected: what the ledger guards is one person's`},
		{"text for a flag", "protected: true", "protected: true, group: yes", `catalogue line 8: kinds.client.group: want true or false, got "yes"`},
		{"of another kind", "journal: {of: client", "journal: {of: staff", `catalogue line 12: resources.journal.of: "staff" is not the protected kind; of: client, or leave it out`},
		{"kind and type", "call: {}", "call: {}\n  guest: {}", `catalogue line 15: resources.guest: guest is a kind of account too; a type is one or the other`},
		{"catalogue of somebody", "call: {}", "call: {}\n  catalogue: {of: client}", `catalogue line 15: resources.catalogue.of: the catalogue belongs to nobody; leave it out`},

		// Roles and the founder.
		{"role for nobody", "full: {for: staff, ", "full: {", `catalogue line 17: roles.full: for is missing
catalogue line 21: founder: no kind of account may hold all of [full tier_2]`},
		{"role for a group", "for: [staff, guest]", "for: [staff, team]", `catalogue line 18: roles.limited.for: team is a group; roles are held by its members`},
		{"role for a resource", "for: [staff, guest]", "for: [staff, call]", `catalogue line 18: roles.limited.for[1]: unknown kind "call"; kinds are client, guest, staff, team`},
		{"role for one twice", "for: [staff, guest]", "for: [staff, staff]", `catalogue line 18: roles.limited.for[1]: staff is named twice`},
		{"empty list", "for: [staff, guest]", "for: []", `catalogue line 18: roles.limited.for: the list is empty; name at least one, or leave the key out`},
		{"bad group", "group: access, needs: full}", "group: Access, needs: full}", `catalogue line 20: roles.tier_2.group: group "Access": want 1 to 63 of a-z, 0-9, _ and -, beginning with a letter`},
		{"unknown need", "needs: full}", "needs: ful}", `catalogue line 20: roles.tier_2.needs: unknown role "ful"; did you mean full? roles are full, limited, tier_1, tier_2`},
		{"needs itself", "group: access, needs: full}", "group: access, needs: tier_2}", `catalogue line 20: roles.tier_2: needs tier_2, which in the end needs tier_2 itself`},
		{"needs in a circle", "full: {for: staff, ", "full: {for: staff, needs: [tier_1, tier_2], ", `catalogue line 19: roles.tier_1: needs full, which in the end needs tier_1 itself
catalogue line 20: roles.tier_2: needs full, which in the end needs tier_2 itself`},
		{"no founder", "founder: [full, tier_2]\n", "", `catalogue line 1: founder is missing`},
		{"unknown founder", "founder: [full, tier_2]", "founder: boss", `catalogue line 21: founder: unknown role "boss"; roles are full, limited, tier_1, tier_2`},
		{"founder of one group", "founder: [full, tier_2]", "founder: [full, limited]", `catalogue line 21: founder: full and limited are both of group user_type; only one of a group can be held`},
		{"founder lacks a need", "founder: [full, tier_2]", "founder: tier_1", `catalogue line 21: founder: tier_1 needs one of [full limited]; name it here too`},
		{"founder of two kinds", "tier_2: {for: staff", "tier_2: {for: guest", `catalogue line 21: founder: no kind of account may hold all of [full tier_2]`},

		// Relations, grants, limits.
		{"relation from nobody", "carer: {from: staff, ", "carer: {", `catalogue line 23: relations.carer: from is missing`},
		{"relation from a type", "from: guest", "from: journal", `catalogue line 25: relations.relative.from: unknown kind "journal"; kinds are client, guest, staff, team`},
		{"unknown role of a relation", "role: tier_1", "role: tier1", `catalogue line 23: relations.carer.role: unknown role "tier1"; did you mean tier_1? roles are full, limited, tier_1, tier_2`},
		{"by no action", "by: relative.add", "by: Relative.add", `catalogue line 25: relations.relative.by: action "Relative.add": want names of a-z, 0-9, _ and - joined by dots, e.g. view_record or role.assign`},
		{"most of no role", "most: {limited: 1}", "most: {limit: 1}", `catalogue line 24: relations.guide.most.limit: unknown role "limit"; did you mean limited? roles are full, limited, tier_1, tier_2`},
		{"most none", "most: {limited: 1}", "most: {limited: 0}", `catalogue line 24: relations.guide.most.limited: want a whole number from 1 to 1000000, got 0`},
		{"time without unit", "longest: 8h", "longest: 8", `catalogue line 27: grants.emergency.longest: want a time like 90m, 8h or 7d, more than none and at most 3660d, got 8`},
		{"no time", "longest: 8h", "longest: 0h", `catalogue line 27: grants.emergency.longest: want a time like 90m, 8h or 7d, more than none and at most 3660d, got "0h"`},
		{"endless time", "longest: 8h", "longest: 65535d", `catalogue line 27: grants.emergency.longest: want a time like 90m, 8h or 7d, more than none and at most 3660d, got "65535d"`},
		{"reason maybe", "reason: required", "reason: true", `catalogue line 27: grants.emergency.reason: want required or optional, got true`},
		{"lockout never", "failed_signins: 3", "failed_signins: -1", `catalogue line 29: lockout.failed_signins: want a whole number from 1 to 1000000, got -1`},
		{"lockout of nothing", "{failed_signins: 3, about: Ends with help.}", "{}", `catalogue line 29: lockout: failed_signins is missing`},
		{"guests without end", "{longest: 90m, about: One call.}", "", `catalogue line 30: guests: longest is missing`},

		// What the lists of resources, never and actions may say.
		{"registered by no action", "registered_by: edit", "registered_by: Edit", `catalogue line 12: resources.journal.registered_by: action "Edit": want names of a-z, 0-9, _ and - joined by dots, e.g. view_record or role.assign`},
		{"removed by one twice", "[delete, edit]}\n", "[edit, edit]}\n", `catalogue line 12: resources.journal.removed_by[1]: edit is named twice`},
		{"registered of nobody", "call: {}", "call: {registered_by: ring, removed_by: ring}", `catalogue line 14: resources.call.registered_by: only what is of: client is registered
catalogue line 14: resources.call.removed_by: only what is of: client is registered`},
		{"never by key", "never:\n  - {role: limited, on: [client, chart], actions: view}\n  - ", "never: ", `catalogue line 48: never: want a list, got keys with values`},
		{"never to nobody", "{role: limited, on: [client, chart], actions: view}", "{}", `catalogue line 49: never[0]: role is missing
catalogue line 49: never[0]: on is missing
catalogue line 49: never[0]: actions is missing`},
		{"never to an unknown role", "{role: limited, on: [client, chart]", "{role: limitd, on: [client, char]", `catalogue line 49: never[0].role: unknown role "limitd"; did you mean limited? roles are full, limited, tier_1, tier_2
catalogue line 49: never[0].on[1]: unknown type "char"; did you mean chart? types are call, catalogue, chart, client, guest, journal, staff, team`},
		{"never with a selector", "actions: [ring, join]}", "actions: [ring, join], self: true}", `catalogue line 50: never[1].self: unknown key; keys are actions, on, role`},
		{"title of no action", "  view: {", "  View: {", `catalogue line 52: actions."View": action "View": want names of a-z, 0-9, _ and - joined by dots, e.g. view_record or role.assign`},
		{"title of an action twice", "  role.assign: {", "  view: {", `catalogue line 53: actions.view: this key was given before, on line 52`},
		{"no title of an action", "{en: look at it, nl: bekijken}", "{en: look at it, nl: }", `catalogue line 52: actions.view.nl: want a text, got nothing`},
		{"actions in a list", "actions:\n  view: {en: look at it, nl: bekijken}\n  role.assign: {en: give a role, nl: een rol geven}", "actions: [view]", `catalogue line 51: actions: want keys with values, got a list`},
		{"list for an about", "about: Shares its links.", "about: [Shares its links.]", `catalogue line 10: kinds.team.about: want keys with values, got a list`},
		{"two lines of an about", "about: One call.", `about: "One\ncall."`, `catalogue line 30: guests.about: want a text of one line and at most 4096 bytes`},

		// Permits.
		{"unknown role", "role: [tier_1, tier_2], kind", "role: [tier_1, tier_3], kind", `catalogue line 33: permits[1].role[1]: unknown role "tier_3"; did you mean tier_1? roles are full, limited, tier_1, tier_2`},
		{"unknown kind", "kind: staff, link", "kind: stuff, link", `catalogue line 33: permits[1].kind: unknown kind "stuff"; did you mean staff? kinds are client, guest, staff, team`},
		{"unknown relation", "linked_by: carer", "linked_by: career", `catalogue line 36: permits[4].linked_by: unknown relation "career"; did you mean carer? relations are carer, guide, relative`},
		{"unknown grant", "[emergency, visit]", "[emergency, night]", `catalogue line 34: permits[2].grant[1]: unknown grant "night"; grants are emergency, visit`},
		{"unknown type", "on: [client, journal]", "on: [client, diary]", `catalogue line 33: permits[1].on[1]: unknown type "diary"; types are call, catalogue, chart, client, guest, journal, staff, team`},
		{"bad action", "actions: ring", "actions: [ring it]", `catalogue line 32: permits[0].actions[0]: action "ring it": want names of a-z, 0-9, _ and - joined by dots, e.g. view_record or role.assign`},
		{"action twice", "actions: [delete, edit]", "actions: [edit, edit]", `catalogue line 40: permits[5].actions[1]: edit is named twice`},
		{"no actions", ", actions: ring", "", `catalogue line 32: permits[0]: actions is missing`},
		{"no type", "on: call, actions: ring", "actions: ring", `catalogue line 32: permits[0]: on is missing`},
		{"keys for a list", "actions: ring", "actions: {ring: true}", `catalogue line 32: permits[0].actions: want a name, got keys with values`},
		{"nothing for a list", "actions: ring", "actions: ", `catalogue line 32: permits[0].actions: want a name, got nothing`},
		{"text for a permit", "{on: call, actions: ring}", "call", `catalogue line 32: permits[0]: want keys with values, got "call"`},
		{"not self", "self: true", "self: false", `catalogue line 35: permits[3].self: want true, or leave it out`},
		{"link to nobody", "on: [client, journal]", "on: [client, call]", `catalogue line 33: permits[1].link: can't be asked of call, which is neither client nor of: client`},
		{"grant on nobody", "visit], on: client", "visit], on: staff", `catalogue line 34: permits[2].grant: can't be asked of staff, which is neither client nor of: client`},
		{"self of nobody", "self: true, on: client", "self: true, on: call", `catalogue line 35: permits[3].self: can't be asked of call, which is neither an account nor of: client`},
		{"team of nobody", "team: true, on: chart", "team: true, on: call", `catalogue line 42: permits[6].team: can't be asked of call, which is neither an account nor of: client`},
		{"own of nobody", "on: journal", "on: client", `catalogue line 38: permits[5].own: can't be asked of client: only what is of: a protected account has a creator`},
		{"linked by a thing", "linked_by: carer, on: staff", "linked_by: carer, on: journal", `catalogue line 36: permits[4].linked_by: can't be asked of journal, which is no kind of account`},
		{"invited to an account", "invited: true, on: call", "invited: true, on: client", `catalogue line 43: permits[7].invited: can't be asked of client, which is a kind of account: one is invited to a call`},
		{"unless nothing", "unless: {link: relative, kind: guest}", "unless: {}", `catalogue line 41: permits[5].unless: it is empty; it wants at least one selector`},
		{"unless in unless", "unless: {link: relative, kind: guest}", "unless: {unless: {self: true}}",
			`catalogue line 41: permits[5].unless.unless: unknown key; keys are grant, invited, kind, link, linked_by, own, role, self, team
catalogue line 41: permits[5].unless: it is empty; it wants at least one selector`},
		{"unless not asked", "unless: {link: relative, kind: guest}", "unless: {linked_by: relative}", `catalogue line 41: permits[5].unless.linked_by: can't be asked of journal, which is no kind of account`},
	} {
		t.Run(test.name, func(t *testing.T) {
			whole := wholeCatalogue(t)
			if !strings.Contains(whole, test.old) {
				t.Fatalf("whole.yaml has no %q to edit", test.old)
			}
			c, err := ParseCatalogue([]byte(strings.Replace(whole, test.old, test.new, 1)))
			wantMistakes(t, c, err, test.want)
		})
	}
}

func wantMistakes(t *testing.T, c *Catalogue, err error, want string) {
	t.Helper()
	var e *Error
	if c != nil || !errors.As(err, &e) || !errors.Is(err, RuleBroken) || e.Code != "bad_catalogue" {
		t.Fatalf("got %v and %#v, want no catalogue and a bad_catalogue", c, err)
	}
	if e.Message != want {
		t.Errorf("\n got %s\nwant %s", e.Message, want)
	}
}

func TestParseCatalogueWholeDocuments(t *testing.T) {
	const least = "catalogue: c\nkinds: {s: {}, p: {protected: true}}\nroles: {r: {for: s}}\nfounder: r\n"
	for _, test := range []struct{ name, document, want string }{
		{"empty", "# nothing\n", `catalogue line 1: the document is empty; it begins with catalogue: and a name`},
		{"list", "- a\n- b\n", `catalogue line 1: want keys with values, got a list`},
		{"text", "hello", `catalogue line 1: want keys with values, got "hello"`},
		{"nothing said", "about: x", `catalogue line 1: catalogue is missing
catalogue line 1: kinds is missing
catalogue line 1: roles is missing
catalogue line 1: founder is missing
catalogue line 1: permits is missing`},
		{"too long", strings.Repeat("#", MaxDocument+1), `catalogue: the document has 524289 bytes; at most 524288 are allowed`},
		{"deep", "a: [[[[[[[[[b]]]]]]]]]", `catalogue line 1: a[0][0][0][0][0][0][0]: nothing in a catalogue is nested so deep`},
		{"permits by key", least + "permits: {a: {on: p, actions: a}}", `catalogue line 5: permits: want a list of permits, got keys with values`},
		{"no relations", least + "permits: [{link: x, on: p, actions: a}]", `catalogue line 5: permits[0].link: unknown relation "x"; there are no relations`},
		{"long path", strings.Repeat("{"+strings.Repeat("k", 80)+": ", 10) + strings.Repeat("}", 10),
			"catalogue line 1: " + strings.Repeat(`"`+strings.Repeat("k", 80)+`".`, 10)[:maxMistake-3] + "..."},
		{"too deep", strings.Repeat("[", 20000), `catalogue line 1: not YAML: exceeded max depth of 10000`},
		{"UTF-16", "\xff\xfea\x00", `catalogue line 1: a byte that is no UTF-8 text, or a control character; save it as plain UTF-8`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := ParseCatalogue([]byte(test.document))
			wantMistakes(t, c, err, test.want)
		})
	}
}

// withPermits is whole.yaml with more permits after its own.
func withPermits(t *testing.T, permits string) string {
	return strings.Replace(wholeCatalogue(t), "never:\n", permits+"never:\n", 1)
}

// However many mistakes there are, the answer stays readable and says how many it leaves out.
func TestParseCatalogueBoundsItsComplaints(t *testing.T) {
	_, err := ParseCatalogue([]byte(withPermits(t, strings.Repeat("  - {on: nowhere, actions: view}\n", 250))))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "catalogue: and 150 more mistakes" {
		t.Errorf("250 mistakes: got %d lines, the last %q; want 100 and one that counts the other 150", len(lines), lines[len(lines)-1])
	}
}

// A small document must not unfold into a large index.
func TestParseCatalogueBoundsItsIndex(t *testing.T) {
	var types, actions []string
	for i := range 300 {
		types = append(types, fmt.Sprintf("t%d", i))
		actions = append(actions, fmt.Sprintf("a%d", i))
	}
	whole := withPermits(t, fmt.Sprintf("  - {on: [%s], actions: [%s]}\n", strings.Join(types, ", "), strings.Join(actions, ", ")))
	whole = strings.Replace(whole, "  call: {}\n", "  call: {}\n  "+strings.Join(types, ": {}\n  ")+": {}\n", 1)
	c, err := ParseCatalogue([]byte(whole))
	wantMistakes(t, c, err, "catalogue line 348: permits[12]: the permits up to here unfold to more than 65536 types and actions; a catalogue has at most that many")

	// Nor into a large matrix: few types and actions, but many roles by many relations.
	var roles, relations []string
	for i := range 300 {
		roles = append(roles, fmt.Sprintf("r%d", i))
		relations = append(relations, fmt.Sprintf("l%d", i))
	}
	permit := fmt.Sprintf("  - {role: [%s], link: [%s], on: client, actions: [%%s]}\n", strings.Join(roles, ", "), strings.Join(relations, ", "))
	for _, c := range []struct{ actions, want string }{
		{"a, b", ""},
		{"a, b, c", "catalogue line 648: permits[12]: the permits up to here unfold to more than 262144 types, actions and names of selectors; a catalogue has at most that many"},
	} {
		whole := strings.NewReplacer("founder:", "  "+strings.Join(roles, ": {for: staff}\n  ")+": {for: staff}\nfounder:",
			"grants:\n", "  "+strings.Join(relations, ": {from: staff}\n  ")+": {from: staff}\ngrants:\n").Replace(withPermits(t, fmt.Sprintf(permit, c.actions)))
		got, err := ParseCatalogue([]byte(whole))
		if c.want == "" && err == nil {
			continue
		}
		wantMistakes(t, got, err, c.want)
	}
}

// Each doubt is one edit of whole.yaml, which has none, or two.
func TestCatalogueWarnings(t *testing.T) {
	const never = "this permit can never hold: no kind of account meets all its selectors on "
	const change = "; change one of them, or leave it out"
	for _, test := range []struct {
		name  string
		edits []string // old, new, …
		want  []string
	}{
		// Roles.
		{"idle role", []string{"founder:", "  idle: {for: staff}\nfounder:"}, []string{"role idle: no permit names it and nothing needs it; name it in a permit, or leave it out"}},
		{"role that an unless names", []string{"founder:", "  idle: {for: staff}\nfounder:", "unless: {link: relative", "unless: {role: idle, link: relative"}, nil},
		{"role that a most names", []string{"founder:", "  idle: {for: staff}\nfounder:", "most: {limited: 1}", "most: {limited: 1, idle: 2}"}, nil},
		{"role that never names", []string{"founder:", "  idle: {for: staff}\nfounder:", "{role: limited, on: [client", "{role: [limited, idle], on: [client"}, nil},
		{"role in lines that are not for it", []string{"founder:", "  idle: {for: guest}\nfounder:", "{role: [tier_1, tier_2], kind: staff", "{role: [tier_1, tier_2, idle], kind: staff"},
			[]string{"role idle: it permits nothing, as no permit that names it can hold for who has it; set those permits right, or leave it out"}},
		{"role of a group with its need", []string{"group: access, needs: [full, limited]", "group: user_type, needs: [full, limited]"},
			[]string{"role tier_1: all that it needs is of its own group user_type, of which one role is held at a time; name a role of another group"}},
		{"role of a group with one of its needs", []string{"limited: {for: [staff, guest], group: user_type}", "limited: {for: [staff, guest], group: access}"}, nil},
		{"role for others than its need", []string{"tier_1: {for: staff, group: access, needs: [full, limited]}", "tier_1: {for: guest, group: access, needs: full}"},
			[]string{"role tier_1: no account can ever hold it together with a role it needs; let both be for one kind"}},
		{"roles that nobody gives", []string{"actions: [role.assign, ", "actions: ["}, []string{
			"nobody may role.assign on an account that may hold them, so nobody is ever given full, limited, tier_1, tier_2; permit it",
			"action role.assign: it has a title, and no permit names it; permit it, or leave the title out"}},
		{"roles given to others only", []string{"on: [staff, guest, team]", "on: [guest, team]"},
			[]string{"nobody may role.assign on an account that may hold them, so nobody is ever given full, tier_1, tier_2; permit it"}},

		// Relations and grants.
		{"unused relation", []string{"link: relative, kind: guest", "kind: guest"}, []string{"relation relative: no permit uses it; use it in one, or leave it out"}},
		{"relation that nobody makes", []string{"relative.add, access", "access"}, []string{"relation relative: nobody may relative.add on client, so nobody makes or ends such a link; permit it"}},
		{"relations that nobody makes", []string{"caseload.link, ", ""}, []string{"relation guide: nobody may caseload.link on client, so nobody is ever linked so; permit it, or say another action in by"}},
		{"nor by opening", []string{"account.open, caseload.link, ", ""}, []string{
			"relation carer: nobody may caseload.link on client, so nobody is ever linked so; permit it, or say another action in by",
			"relation guide: nobody may caseload.link on client, so nobody is ever linked so; permit it, or say another action in by"}},
		{"unused grant", []string{"[emergency, visit]", "emergency"}, []string{"grant visit: no permit uses it; use it in one, or leave it out"}},
		{"grants that nobody gives", []string{"access.grant, ", ""}, []string{
			"grant emergency: nobody may access.grant on client, so nobody ever gets it; permit it",
			"grant visit: nobody may access.grant on client, so nobody ever gets it; permit it"}},
		{"grant that nobody reviews", []string{"access.review, ", ""},
			[]string{"grant emergency: nobody may access.review on client, so none is reviewed in time; permit it, or leave review_within out"}},

		// What else nobody may.
		{"catalogue for good", []string{"on: catalogue, actions: catalogue.adopt", "on: catalogue, actions: view"},
			[]string{"nobody may catalogue.adopt on catalogue, so what this catalogue says stays so for good; permit it"}},
		{"team without members", []string{", team.join]", "]"}, []string{"kind team: nobody may team.join on it, so none ever has a member; permit it"}},
		{"registered by what nobody may", []string{"registered_by: edit", "registered_by: [edit, create]"},
			[]string{"resource journal: registered_by names create, which nobody may on journal; name an action that somebody may there"}},
		{"removed by what nobody may", []string{"[delete, edit]}\n", "[destroy]}\n"},
			[]string{"resource journal: removed_by names destroy, which nobody may on journal; name an action that somebody may there"}},
		{"registered by nobody", []string{", resource.register, resource.remove]", "]"}, []string{
			"resource journal: nobody may resource.register on client, so registered_by is of no use; permit it",
			"resource journal: nobody may resource.remove on client, so removed_by is of no use; permit it"}},
		{"locked for good", []string{"account.unlock, ", ""}, []string{"lockout: nobody may account.unlock, so who is locked out stays out; permit it"}},
		{"guests that nobody invites", []string{"actions: guest.invite", "actions: view"}, []string{
			"guests: nobody may guest.invite, so there are none; permit it, or leave guests out",
			"line 43: nobody may guest.invite on call, so nobody is invited to one; permit it"}},
		{"never, where nothing is added", []string{"permission.add, ", ""}, []string{"never: nobody may permission.add, so nothing is given individually; permit it, or leave never out"}},
		{"never what nobody may", []string{"on: [client, chart], actions: view}", "on: [call, guest], actions: view}"},
			[]string{"line 49: no permit names view on call or guest, so it is never given to anybody; name an action that somebody may there"}},
		{"title of what nobody may", []string{"  view: {en", "  veiw: {en"}, []string{"action veiw: it has a title, and no permit names it; permit it, or leave the title out"}},
		{"title of a report", []string{"  view: {en", "  signin.fail: {en"}, nil},

		// Permits.
		{"role of another kind", []string{"kind: staff, link", "kind: guest, link"}, []string{"line 33: " + never + "client or journal" + change}},
		{"not oneself", []string{"kind: client, self", "kind: staff, self"}, []string{"line 35: " + never + "client" + change}},
		{"oneself on another kind", []string{"{kind: client, self: true, on: client", "{kind: staff, self: true, on: guest"}, []string{"line 35: " + never + "guest" + change}},
		{"oneself on the own kind", []string{"{kind: client, self: true, on: client", "{kind: staff, self: true, on: staff"}, nil},
		{"linked by, but not a client", []string{"{linked_by: carer, on: staff", "{kind: guest, linked_by: carer, on: staff"}, []string{"line 36: " + never + "staff" + change}},
		{"linked by a kind in teams", []string{"linked_by: carer, on: staff", "linked_by: carer, on: guest"}, nil},
		{"link through a team", []string{"{team: true, on: chart", "{kind: guest, link: carer, on: chart"}, nil},
		{"grant to another kind", []string{"{team: true, on: chart", "{kind: guest, grant: emergency, on: chart"}, []string{"line 42: " + never + "chart" + change}},
		{"team in a team", []string{"{team: true, on: chart", "{kind: team, team: true, on: chart"}, []string{"line 42: " + never + "chart" + change}},
		{"team of a team", []string{"{team: true, on: chart", "{team: true, on: team"}, []string{"line 42: " + never + "team" + change}},
		{"invited to what is somebody's", []string{"{invited: true, on: call, actions: join}", "{invited: true, on: chart, actions: view}", "[ring, join]", "ring"},
			[]string{"line 43: " + never + "chart" + change}},
		{"unless what it asks for", []string{"{link: relative, kind: guest}", "{role: [tier_1, tier_2]}", "{team: true, on: chart", "{link: relative, on: chart"}, []string{"line 37: " + never + "journal" + change}},
		{"unless that itself", []string{"{link: relative, kind: guest}", "{own: true}", "{team: true, on: chart", "{link: relative, on: chart"}, []string{"line 37: " + never + "journal" + change}},
		{"unless the only role of that kind", []string{"{team: true, on: chart, actions: view}", "{role: [full, limited], kind: guest, on: chart, actions: view, unless: {role: limited}}"},
			[]string{"line 42: " + never + "chart" + change}},
		{"unless one role of that kind", []string{"{team: true, on: chart, actions: view}", "{role: [full, limited], kind: staff, on: chart, actions: view, unless: {role: limited}}"}, nil},
		{"unless the only kind", []string{"{link: relative, kind: guest}", "{link: relative, kind: staff}"}, []string{"line 37: " + never + "journal" + change}},
		{"unless some of its links", []string{"{team: true, on: chart, actions: view}", "{link: [carer, guide], on: chart, actions: view, unless: {link: carer}}"}, nil},
		{"unless all its links", []string{"{team: true, on: chart, actions: view}", "{link: [carer, guide], on: chart, actions: view, unless: {link: [guide, carer]}}"},
			[]string{"line 42: " + never + "chart" + change}},

		// Languages.
		{"title in one language", []string{"title: {en: Full, nl: Vol}", "title: Full", "nl: een rol geven", "de: eine Rolle geben"}, []string{
			"title: others are there in de too, but not that of the catalogue, kind client, kind staff, resource journal, role full, relation carer, grant emergency, action view; write it in de as well",
			"title: others are there in nl too, but not that of role full, action role.assign; write it in nl as well"}},
		{"about in one language", []string{"about: One call.", "about: {nl: Eén gesprek.}"}, []string{
			"about: others are there in en too, but not that of guests; write it in en as well",
			"about: others are there in nl too, but not that of the catalogue, kind team, resource chart, role full, relation guide, grant visit, lockout; write it in nl as well"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			whole := wholeCatalogue(t)
			for edit := range slices.Chunk(test.edits, 2) {
				if !strings.Contains(whole, edit[0]) {
					t.Fatalf("whole.yaml has no %q to edit", edit[0])
				}
				whole = strings.Replace(whole, edit[0], edit[1], 1)
			}
			wantWarnings(t, whole, test.want)
		})
	}
	for name, permit := range map[string]string{
		"link without groups":      "{kind: guest, link: carer, on: chart, actions: view}",
		"linked by the wrong kind": "{linked_by: carer, on: guest, actions: view}",
		"team without groups":      "{team: true, on: chart, actions: view}",
	} {
		t.Run(name, func(t *testing.T) {
			whole := strings.NewReplacer("  team: {group: true, about: Shares its links.}\n", "", "[staff, team]", "staff", "[staff, guest, team]", "[staff, guest]",
				"{team: true, on: chart, actions: view}", permit, "on: [client, chart], actions: view}", "on: client, actions: view}").Replace(wholeCatalogue(t))
			_, on, _ := strings.Cut(strings.TrimSuffix(permit, ", actions: view}"), "on: ")
			wantWarnings(t, whole, []string{"line 41: " + never + on + change})
		})
	}
}

func wantWarnings(t *testing.T, document string, want []string) {
	t.Helper()
	c, err := ParseCatalogue([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Warnings(); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// A long list of names is cut in a warning: what is wrong with one is wrong with all.
func TestWarningsAreShort(t *testing.T) {
	roles := ""
	for i := range 20 {
		roles += fmt.Sprintf("  r%02d: {for: s}\n", i)
	}
	wantWarnings(t, "catalogue: c\nkinds: {s: {}, p: {protected: true}}\nroles:\n"+roles+"founder: r00\npermits:\n  - {role: ["+strings.Join(strings.Fields(strings.ReplaceAll(roles, ": {for: s}\n", ",")), "")+"], on: catalogue, actions: catalogue.adopt}\n",
		[]string{"nobody may role.assign on an account that may hold them, so nobody is ever given r00, r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, r11, and 8 more; permit it"})
}

func TestDigest(t *testing.T) {
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := Digest([]byte("abc")); got != want {
		t.Errorf("digest of abc: got %s, want %s", got, want)
	}
}
