package catalogues_test

// The shipped catalogues are promises to who adopts them. What each gives, and above all what it gives to nobody, is
// held here against the sources that they were made from.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

func shipped(t *testing.T, name string) *domain.Catalogue {
	t.Helper()
	document, err := catalogues.Document(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := domain.ParseCatalogue(document)
	if err != nil {
		t.Fatalf("%s:\n%v", name, err)
	}
	return c
}

func TestShippedCataloguesAreSound(t *testing.T) {
	names := catalogues.Names()
	if want := []string{"minddistrict", "minddistrict-nl", "open-source-org", "portal", "precision-teaching"}; !slices.Equal(names, want) {
		t.Errorf("names: got %v, want %v", names, want)
	}
	for _, name := range names {
		c := shipped(t, name)
		if c.Name != name {
			t.Errorf("%s.yaml says catalogue: %s", name, c.Name)
		}
		if w := c.Warnings(); len(w) > 0 {
			t.Errorf("%s warns of %q, want nothing", name, w)
		}
		for what, text := range texts(c) {
			if text["en"] == "" || text["nl"] == "" {
				t.Errorf("%s: %s is %q, want it in English and Dutch", name, what, text)
			}
		}
	}
}

// texts gives every text that people read of a catalogue, by what it is of.
func texts(c *domain.Catalogue) map[string]domain.Text {
	all := map[string]domain.Text{"title": c.Title, "about": c.About}
	add := func(of string, title, about domain.Text) {
		all["the title of "+of], all["what is said about "+of] = title, about
	}
	for name, rule := range c.Kinds {
		add(string(name), rule.Title, rule.About)
	}
	for name, rule := range c.Roles {
		add(string(name), rule.Title, rule.About)
	}
	for name, rule := range c.Relations {
		add("relation "+string(name), rule.Title, rule.About)
	}
	for name, rule := range c.Grants {
		add(string(name), rule.Title, rule.About)
	}
	for name, rule := range c.Resources {
		if name != domain.CatalogueRef.Kind() {
			all["the title of "+string(name)] = rule.Title
		}
	}
	for _, p := range c.Permits {
		for _, a := range p.Actions {
			all["the title of "+string(a)] = c.ActionTitles[a]
		}
	}
	if c.Lockout.FailedSignins > 0 {
		all["what is said about lockout"] = c.Lockout.About
	}
	if c.Guests.Longest > 0 {
		all["what is said about guests"] = c.Guests.About
	}
	return all
}

func TestDocumentOfNoCatalogue(t *testing.T) {
	for _, name := range []string{"", "nothing", "../catalogues/minddistrict", "minddistrict.yaml"} {
		_, err := catalogues.Document(name)
		if !errors.Is(err, domain.Unknown) || !strings.Contains(err.Error(), "minddistrict, minddistrict-nl, open-source-org, portal, precision-teaching") {
			t.Errorf("document %q: got %v, want Unknown with the names there are", name, err)
		}
	}
}

// who says in one line each how a catalogue allows an action on a type, in the order of the document.
func who(c *domain.Catalogue, action domain.Action, on domain.Kind) []string {
	var lines []string
	for _, p := range c.Lines(on, action) {
		var s []string
		add := func(key string, list any, given bool) {
			if given {
				s = append(s, strings.Trim(fmt.Sprintf("%s %v", key, list), "[]"))
			}
		}
		add("role", p.Roles, len(p.Roles) > 0)
		add("kind", p.Kinds, len(p.Kinds) > 0)
		add("link", p.Links, len(p.Links) > 0)
		add("linked by", p.LinkedBy, len(p.LinkedBy) > 0)
		add("grant", p.Grants, len(p.Grants) > 0)
		if p.Self {
			s = append(s, "self")
		}
		if p.Invited {
			s = append(s, "invited")
		}
		lines = append(lines, strings.NewReplacer("[", "", "]", "").Replace(strings.Join(s, ", ")))
	}
	return lines
}

// wantPermits holds the catalogue to exactly these permits: every (type, action) with how it is allowed.
func wantPermits(t *testing.T, c *domain.Catalogue, want map[string][]string) {
	t.Helper()
	got := map[string][]string{}
	for _, types := range [][]domain.Kind{slices.Collect(maps.Keys(c.Kinds)), slices.Collect(maps.Keys(c.Resources))} {
		for _, on := range types {
			for _, a := range c.Actions(on) {
				got[fmt.Sprintf("%s %s", on, a)] = who(c, a, on)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("%s: got %q, want %q", key, got[key], want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] == nil {
			t.Errorf("%s: nobody may, want %q", key, want[key])
		}
	}
}

func TestMinddistrictGivesWhatItsDocumentGives(t *testing.T) {
	const (
		manager, therapist, secretary = "role application_manager", "role therapist", "role secretary"
		ownCaseload, emergency        = "role therapist, link therapist", "role therapist, grant emergency"
		supervised, oneself           = "role supervisor, link supervisor", "kind client, self"
		professionals, guests         = "kind professional", "kind guest client, invited"
	)
	viewers := []string{ownCaseload, emergency, supervised, oneself}
	wantPermits(t, shipped(t, "minddistrict"), map[string][]string{
		"platform configure":                  {manager},
		"catalogue catalogue.adopt":           {manager},
		"professional account.open":           {manager},
		"professional account.update":         {manager},
		"professional account.deactivate":     {manager},
		"professional account.reactivate":     {manager},
		"professional role.assign":            {manager},
		"professional role.revoke":            {manager},
		"professional permission.add":         {manager},
		"professional permission.withhold":    {manager},
		"professional permission.restore":     {manager},
		"professional account.lock":           {manager},
		"professional account.unlock":         {manager},
		"professional fact.correct":           {manager},
		"professional subject.erase":          {manager},
		"professional search":                 {professionals},
		"professional view_roles":             {professionals},
		"professional message":                {"kind client, linked by therapist"},
		"client account.lock":                 {manager},
		"client account.unlock":               {manager},
		"client fact.correct":                 {manager},
		"client subject.erase":                {manager},
		"client access.review":                {manager},
		"client account.open":                 {therapist},
		"client access.grant":                 {therapist},
		"client access.revoke":                {manager},
		"client view_details":                 {ownCaseload, emergency, supervised, secretary, oneself},
		"client view_record":                  viewers,
		"client view_tools":                   viewers,
		"client message":                      {ownCaseload, "kind friend, link friend"},
		"client start_conversation":           {ownCaseload, secretary},
		"client guide_tool":                   {ownCaseload},
		"client give_feedback":                {ownCaseload},
		"client account.deactivate":           {ownCaseload, secretary},
		"client account.reactivate":           {secretary},
		"client assign_tool":                  {secretary},
		"client caseload.link":                {secretary},
		"client caseload.unlink":              {secretary},
		"client friend.add":                   {oneself},
		"friend account.open":                 {"kind client"},
		"friend account.lock":                 {manager},
		"friend account.unlock":               {manager},
		"friend subject.erase":                {manager},
		"export download_without_client_data": {"role data_analyst"},
		"export download_with_client_data":    {"role data_officer"},
		"registration handle":                 {secretary},
		"selfhelp_catalogue start_tool":       {"kind friend"},
		"call invite_guest":                   {professionals},
		"call guest.invite":                   {professionals},
		"call call.end":                       {professionals},
		"call guest.admit":                    {guests},
		"call join":                           {guests},
	})
}

func TestOpenSourceOrgGivesWhatItsSourceGives(t *testing.T) {
	const admin = "role admin"
	want := map[string][]string{
		"repository view":            {admin, "link read triage write maintain admin"},
		"repository triage":          {admin, "link triage write maintain admin"},
		"repository push":            {admin, "link write maintain admin"},
		"repository maintain":        {admin, "link maintain admin"},
		"repository administer":      {admin, "link admin"},
		"repository caseload.link":   {admin},
		"repository caseload.unlink": {admin},
		"organisation view":          {"role member"},
		"person account.lock":        {admin},
		"person account.unlock":      {admin},
		"person fact.correct":        {admin},
		"repository fact.correct":    {admin},
		"person role.assign":         {admin},
		"person role.revoke":         {admin},
		"person subject.erase":       {admin},
		"team team.join":             {admin},
		"team team.leave":            {admin},
		"catalogue catalogue.adopt":  {admin},
	}
	for _, on := range []string{"person", "team", "repository"} {
		for _, command := range []string{"account.open", "account.deactivate", "account.reactivate"} {
			want[on+" "+command] = []string{admin}
		}
	}
	wantPermits(t, shipped(t, "open-source-org"), want)
}
