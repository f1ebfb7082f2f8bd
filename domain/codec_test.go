package domain

// The stored bytes are a promise: testdata/events holds an event of each type of contract §2 with every field filled,
// and one with only what must be there. They are kept for ever: what was stored once is read for ever.

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden events that are missing; those that are there stay as they are")

// contractTypes are the event types of contract §2.
var contractTypes = strings.Fields(`
	catalogue.adopted account.opened account.deactivated account.reactivated role.assigned role.revoked
	caseload.linked caseload.unlinked team.joined team.left access.granted access.revoked access.reviewed
	permission.added permission.withheld permission.restored resource.registered resource.removed
	signin.failed signin.succeeded account.locked account.unlocked guest.invited guest.admitted call.ended
	fact.corrected validity.started validity.ended subject.erased`)

// goldenData is the data of each type with every field filled; clearOptional makes the minimal of it.
func goldenData(t testing.TB) map[EventType]Data {
	t.Helper()
	const document = "catalogue: c\nkinds: {s: {}, p: {protected: true}}\nroles: {r: {for: s, title: \"a \\\\ \u00eb\u4eba\U0001F600\"}}\nfounder: r\npermits: []\n"
	x := Exception{"professional:anna", "client", "view_record", "client:c1"}
	from, until := hour(1), hour(2)+1_500
	return map[EventType]Data{
		CatalogueAdopted:   &CatalogueAdoption{"c", 3, Digest([]byte(document)), document},
		AccountOpened:      &AccountOpening{"client:A-z0.9_~@/+=-", "Zo\u00eb \"de\" \\ Boer\n\t\u0001\u007f<&>\u2028"},
		AccountDeactivated: &AccountDeactivation{"professional:anna"},
		AccountReactivated: &AccountReactivation{"professional:anna"},
		RoleAssigned:       &RoleAssignment{"professional:anna", "therapist", from, until},
		RoleRevoked:        &RoleRevocation{"professional:anna", "therapist"},
		CaseloadLinked:     &CaseloadLink{"team:night", "client:c1", "therapist", from, until},
		CaseloadUnlinked:   &CaseloadUnlink{"team:night", "client:c1", "therapist"},
		TeamJoined:         &TeamJoin{"team:night", "professional:anna", from, until},
		TeamLeft:           &TeamLeave{"team:night", "professional:anna"},
		AccessGranted:      &AccessGrant{"01K00000000000000000000000", "professional:anna", "client:c1", "emergency", from, until},
		AccessRevoked:      &AccessRevocation{"01K00000000000000000000000"},
		AccessReviewed:     &AccessReview{"01K00000000000000000000000", "unclear"},
		PermissionAdded:    &PermissionAddition{x},
		PermissionWithheld: &PermissionWithholding{x},
		PermissionRestored: &PermissionRestoration{x},
		ResourceRegistered: &ResourceRegistration{"journal:j1", "client:c1", "professional:anna"},
		ResourceRemoved:    &ResourceRemoval{"journal:j1"},
		SigninFailed:       &SigninFailure{"professional:anna"},
		SigninSucceeded:    &SigninSuccess{"professional:anna"},
		AccountLocked:      &AccountLock{"professional:anna", "3 failed sign-ins"},
		AccountUnlocked:    &AccountUnlock{"professional:anna", "identity checked"},
		GuestInvited:       &GuestInvitation{"guest:g1", "call:k1", until, ""},
		GuestAdmitted:      &GuestAdmission{"guest:g1", "call:k1", ""},
		CallEnded:          &CallEnding{"call:k1"},
		FactCorrected:      &Correction{17, from, until, true},
		ValidityStarted:    &ValidityStart{17},
		ValidityEnded:      &ValidityEnd{17},
		SubjectErased:      &SubjectErasure{"client:c1"},
	}
}

// filledFields tells of each field of the data whether it is empty.
func filledFields(v reflect.Value, each func(name string, zero bool)) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous {
			filledFields(v.Field(i), each)
		} else {
			each(f.Name, v.Field(i).IsZero())
		}
	}
}

// clearOptional empties the fields that may be left out of a stored event.
func clearOptional(d Data) Data {
	switch d := d.(type) {
	case *AccountOpening:
		d.DisplayName = ""
	case *RoleAssignment:
		d.From, d.Until = 0, 0
	case *CaseloadLink:
		d.From, d.Until = 0, 0
	case *TeamJoin:
		d.From, d.Until = 0, 0
	case *AccessGrant:
		d.From = 0
	case *PermissionAddition:
		d.Client = ""
	case *PermissionWithholding:
		d.Client = ""
	case *PermissionRestoration:
		d.Client = ""
	case *AccountLock:
		d.Cause = ""
	case *AccountUnlock:
		d.Cause = ""
	case *Correction:
		d.From, d.Until, d.Void = 0, 0, false
	}
	return d
}

func goldenEvents(t testing.TB) map[string]*Event {
	events := map[string]*Event{}
	for typ, d := range goldenData(t) {
		events[string(typ)] = &Event{ID: "01K1ABCDEFGHJKMNPQRSTVWXYZ", Org: "acme-2", Type: typ, Version: 1,
			RecordedAt: hour(0) + 123_456_789, OccurredAt: hour(-1), Actor: "professional:root", SealedFor: "client:c1",
			Reason: "c2VhbGVk", Source: "api", RequestID: "their own/key 1", Data: d}
	}
	// The second version of a type, which has a field more.
	link := Digest([]byte("open-sesame-123456"))
	for typ, d := range map[EventType]Data{
		GuestInvited:  &GuestInvitation{"guest:g1", "call:k1", hour(2) + 1_500, link},
		GuestAdmitted: &GuestAdmission{"guest:g1", "call:k1", link},
	} {
		e := *events[string(typ)]
		e.Version, e.Data = 2, d
		events[string(typ)+".v2"] = &e
	}
	for typ, d := range goldenData(t) {
		events[string(typ)+".minimal"] = &Event{ID: "01K1ABCDEFGHJKMNPQRSTVWXYZ", Org: "a", Type: typ, Version: 1,
			RecordedAt: hour(0), Actor: "professional:root", Data: clearOptional(d)}
	}
	return events
}

func TestGoldenEvents(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(newData)), slices.Sorted(maps.Keys(goldenData(t))); !slices.Equal(got, want) {
		t.Fatalf("types: got %v, want %v", got, want)
	}
	events := goldenEvents(t)
	for _, typ := range contractTypes {
		for _, name := range []string{typ, typ + ".minimal"} {
			if events[name] == nil {
				t.Errorf("%s: no golden event; want one of each type of the contract", name)
			}
		}
	}
	for name, e := range events {
		t.Run(name, func(t *testing.T) {
			if older := e.Version < newestVersion(e.Type); !strings.HasSuffix(name, ".minimal") && !older {
				filledFields(reflect.ValueOf(e.Data).Elem(), func(field string, zero bool) {
					if zero {
						t.Errorf("field %s is empty; want every field filled", field)
					}
				})
			}
			file := filepath.Join("testdata/events", name+".json")
			golden, err := os.ReadFile(file)
			if os.IsNotExist(err) && *update {
				golden, err = AppendEvent(nil, e), os.WriteFile(file, AppendEvent(nil, e), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := AppendEvent([]byte("before"), e); string(got) != "before"+string(golden) {
				t.Errorf("written: got  %s\nwant %s", got[len("before"):], golden)
			}
			got, err := DecodeEvent(42, golden)
			if err != nil {
				t.Fatal(err)
			}
			want := *e
			want.Seq = 42
			if !reflect.DeepEqual(got, &want) {
				t.Errorf("read: got %+v, want %+v", got, &want)
			}
			if again := AppendEvent(nil, got); string(again) != string(golden) {
				t.Errorf("written again: got %s\nwant %s", again, golden)
			}
		})
	}
}

// TestGoldenFilesAreAllRead holds every kept file, of whatever version, to being read for ever.
func TestGoldenFilesAreAllRead(t *testing.T) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) < 2*len(contractTypes) {
		t.Fatalf("%d golden files, %v; want at least two of each of the %d types", len(files), err, len(contractTypes))
	}
	for _, file := range files {
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := DecodeEvent(1, golden)
		if err != nil || !strings.HasPrefix(filepath.Base(file), string(e.Type)+".") {
			t.Errorf("%s: got %v and %v; want an event of the type that it is named by", file, e, err)
		}
	}
}

func TestEventIsShownWithItsSeq(t *testing.T) {
	e := &Event{Seq: 42, ID: "e", Org: "acme", Type: CallEnded, Version: 1, RecordedAt: hour(0), Actor: "staff:a", Data: &CallEnding{"call:1"}}
	got, err := e.MarshalJSON()
	want := `{"id":"e","org":"acme","seq":42,"type":"call.ended","v":1,"recorded_at":"2026-01-01T00:00:00.000Z","actor":"staff:a","data":{"call":"call:1"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// A sealed text is longer than what it seals: the longest that a command may bring must still be read from the log.
func TestLongestSealedTextsAreRead(t *testing.T) {
	sealed := strings.Repeat("A", MaxText/3*4+64)
	e := &Event{ID: "e", Org: "acme", Type: AccountOpened, Version: 1, RecordedAt: hour(0), Actor: "staff:a",
		SealedFor: "client:x", Reason: sealed, Data: &AccountOpening{"client:x", sealed}}
	if _, err := DecodeEvent(1, AppendEvent(nil, e)); err != nil {
		t.Errorf("sealed: got %v, want it read", err)
	}
	e.SealedFor = ""
	if _, err := DecodeEvent(1, AppendEvent(nil, e)); err == nil {
		t.Errorf("plain: got it read, want it refused as too long")
	}
}

func TestTexts(t *testing.T) {
	e := &Event{Reason: "r", Data: &AccountOpening{"client:x", "Xandra"}}
	c := e.Clone()
	for _, p := range c.Texts() {
		*p = "sealed"
	}
	if d := c.Data.(*AccountOpening); c.Reason != "sealed" || d.DisplayName != "sealed" || len(c.Texts()) != 2 {
		t.Errorf("got %q and %q, want both changed through Texts", c.Reason, d.DisplayName)
	}
	if d := e.Data.(*AccountOpening); e.Reason != "r" || d.DisplayName != "Xandra" {
		t.Errorf("the event cloned: got %q and %q, want them as they were", e.Reason, d.DisplayName)
	}
	if n := len((&Event{Data: &AccountOpening{Account: "client:x"}}).Texts()); n != 0 {
		t.Errorf("an event without personal texts: got %d, want 0", n)
	}
}

func TestFieldNames(t *testing.T) {
	got := FieldNames(AccessGranted)
	want := []FieldName{{"grant", false}, {"principal", true}, {"client", true}, {"profile", true}, {"from", false}, {"until", true}}
	if !slices.Equal(got, want) || FieldNames("no.such") != nil {
		t.Errorf("got %v and %v for no type, want %v and none", got, FieldNames("no.such"), want)
	}
}

// A one-time link is a secret in a command alone: decoding makes a hash of it, and everything else has the hash.
func TestOneTimeLink(t *testing.T) {
	const secret = "open-sesame-123456"
	hash := Digest([]byte(secret))
	command := func(name, link string) string {
		return `{"command":"` + name + `","actor":"staff:a","id":"k","data":{"guest":"guest:g","call":"call:1"` + link + `}}`
	}
	c, err := DecodeCommand([]byte(command("guest.admit", `,"link":"`+secret+`"`)))
	if err != nil || *c.Data.(*GuestAdmission) != (GuestAdmission{"guest:g", "call:1", hash}) {
		t.Fatalf("got %+v, %v, want the hash of the secret", c.Data, err)
	}
	again, err := DecodeCommand([]byte(command("guest.admit", `,"link":"`+hash+`"`)))
	if err != nil || again.Data.(*GuestAdmission).Link != Digest([]byte(hash)) {
		t.Errorf("a secret that looks like a hash: got %+v, %v, want it hashed as well", again.Data, err)
	}
	without, err := DecodeCommand([]byte(command("guest.admit", "")))
	if err != nil {
		t.Fatal(err)
	}
	e := &Event{Type: GuestAdmitted, Actor: "staff:a", Data: &GuestAdmission{"guest:g", "call:1", hash}}
	if !c.Asked(e) || again.Asked(e) || without.Asked(e) {
		t.Errorf("asked for an admission by the link: got %t by it, %t by another and %t by none; want the first alone", c.Asked(e), again.Asked(e), without.Asked(e))
	}
	if e.Data.(*GuestAdmission).Link = ""; c.Asked(e) || !without.Asked(e) {
		t.Errorf("asked for an admission without a link: got %t by one and %t by none", c.Asked(e), without.Asked(e))
	}

	for _, bad := range []string{"fifteen-letters", strings.Repeat("x", 129), "open sesame 123456", "open-sesame-12345\u00e9", "open-sesame-12345\\t"} {
		in := command("guest.admit", `,"link":"`+bad+`"`)
		got, err := DecodeCommand([]byte(in))
		wantRefusal(t, in, got, err, "data.link: want the secret of a one-time link, 16 to 128 printable ASCII characters without spaces")
		if strings.Contains(err.Error(), bad) {
			t.Errorf("got %q, which says the secret", err)
		}
	}
	for _, good := range []string{"sixteen-letters!", strings.Repeat("~", 128)} {
		if _, err := DecodeCommand([]byte(command("guest.admit", `,"link":"`+good+`"`))); err != nil {
			t.Errorf("link %q: %v", good, err)
		}
	}

	// In the log and in an import it is a hash, in the log of version 2 alone and always there.
	line := func(link string) string {
		return `{"at":"2026-01-01T00:00:00Z","type":"guest.admitted","actor":"staff:a","data":{"guest":"guest:g","call":"call:1"` + link + `}}`
	}
	for link, version := range map[string]int{"": 1, `,"link":"` + hash + `"`: 2} {
		e, err := DecodeLine([]byte(line(link)))
		if err != nil || e.Version != version {
			t.Errorf("line with %q: got %+v, %v, want version %d", link, e, err, version)
		}
	}
	for _, bad := range []string{secret, hash[:70], hash + "0", strings.ToUpper(hash), "sha512" + hash[6:], hash[:70] + "g"} {
		in := line(`,"link":"` + bad + `"`)
		got, err := DecodeLine([]byte(in))
		wantRefusal(t, in, got, err, "data.link: want the hash of a one-time link")
	}
	stored := func(version, link string) string {
		return `{"id":"e","org":"acme","type":"guest.admitted","v":` + version + `,"recorded_at":"2026-01-01T00:00:00.000Z","actor":"staff:a","data":{"guest":"guest:g","call":"call:1"` + link + `}}`
	}
	for _, c := range []struct{ version, link, want string }{
		{"1", `,"link":"` + hash + `"`, "data.link: there is no such field"},
		{"2", ``, "data.link: is required and missing"},
		{"2", `,"link":"` + secret + `"`, "data.link: want the hash of a one-time link"},
		{"3", `,"link":"` + hash + `"`, "version 3 of guest.admitted: this program knows version 2 and what was before it"},
	} {
		in := stored(c.version, c.link)
		got, err := DecodeEvent(1, []byte(in))
		wantRefusal(t, in, got, err, c.want)
	}

	// From a command line the secret is sent as it is.
	pairs := [][2]string{{"guest", "guest:g"}, {"call", "call:1"}, {"link", secret}}
	sent, err := CommandData(GuestAdmitted, pairs)
	if want := `{"guest":"guest:g","call":"call:1","link":"` + secret + `"}`; err != nil || string(sent) != want {
		t.Errorf("got %s, %v, want %s", sent, err, want)
	}
	if d, err := DataFields(GuestAdmitted, pairs); err != nil || d.(*GuestAdmission).Link != hash {
		t.Errorf("got %+v, %v, want the hash", d, err)
	}
	_, err = CommandData(GuestAdmitted, [][2]string{{"guest", "guest:g"}, {"call", "call:1"}, {"link", "short"}})
	wantRefusal(t, "link=short", nil, err, "link: want the secret")
}
