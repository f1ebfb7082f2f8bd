package domain

// What is not understood is refused, in one line that says what and where.

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDecodeEventRefuses(t *testing.T) {
	const good = `{"id":"e1","org":"acme","type":"role.assigned","v":1,"recorded_at":"2026-01-05T09:00:00.000Z","actor":"staff:root","reason":"why","data":{"principal":"staff:anna","role":"therapist","until":"2026-02-01T00:00:00.000Z"}}`
	if _, err := DecodeEvent(1, []byte(good)); err != nil {
		t.Fatal(err)
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", good, ``, `JSON at byte 0: want an object`},
		{"no object", good, `[]`, `JSON at byte 0: want an object`},
		{"null", good, `null`, `JSON at byte 0: want an object`},
		{"no fields", good, `{}`, `id: is required and missing`},
		{"byte order mark", `{"id"`, "\ufeff" + `{"id"`, `JSON at byte 0: want an object`},
		{"unknown type", `role.assigned`, `role.given`, `type "role.given": there is no such event type`},
		{"type in capitals", `role.assigned`, `Role.Assigned`, `type "Role.Assigned": there is no such event type`},
		{"version to come", `"v":1`, `"v":2`, `version 2 of role.assigned: this program knows version 1`},
		{"version zero", `"v":1`, `"v":0`, `v: want a whole number from 1`},
		{"version as a string", `"v":1`, `"v":"1"`, `v: want a whole number from 1`},
		{"version with a point", `"v":1`, `"v":1.0`, `want a comma or the object's end`},
		{"version negative", `"v":1`, `"v":-1`, `want a string, a whole number, true, false or an object`},
		{"version with a leading zero", `"v":1`, `"v":01`, `want a number without a leading zero`},
		{"version too large", `"v":1`, `"v":9223372036854775808`, `v: want a whole number from 1`},
		{"version missing", `"v":1,`, ``, `v: is required and missing`},
		{"unknown field", `"v":1`, `"v":1,"sequence":7`, `sequence: there is no such field`},
		{"seq is not stored", `"v":1`, `"v":1,"seq":7`, `seq: there is no such field`},
		{"field in capitals", `"reason"`, `"Reason"`, `Reason: there is no such field`},
		{"unknown data field", `"role":`, `"rank":"x","role":`, `data.rank: there is no such field`},
		{"object in data", `"role":"therapist"`, `"role":{"name":"therapist"}`, `data.role: want a string`},
		{"unread object in data", `"role":`, `"more":{null},"role":`, `data.more: there is no such field`},
		{"field twice", `"v":1`, `"v":1,"v":1`, `field "v" stands there twice`},
		{"field twice by escape", `"v":1`, `"v":1,"\u0076":1`, `field "v" stands there twice`},
		{"data field twice", `"role":`, `"role":"x","role":`, `field "role" stands there twice`},
		{"null field", `"reason":"why"`, `"reason":null`, `want a string, a whole number, true, false or an object`},
		{"array", `"reason":"why"`, `"reason":["why"]`, `want a string, a whole number, true, false or an object`},
		{"number for text", `"reason":"why"`, `"reason":7`, `reason: want a string`},
		{"truth for text", `"reason":"why"`, `"reason":true`, `reason: want a string`},
		{"empty text", `"reason":"why"`, `"reason":""`, `reason: is empty`},
		{"long text", `"reason":"why"`, `"reason":"` + long(MaxText+1) + `"`, `reason: is 4097 bytes long, at most 4096 are kept`},
		{"bad UTF-8", `why`, "\xff", `want valid UTF-8`},
		{"bad UTF-8 after an escape", `why`, "\\n\xff", `want valid UTF-8`},
		{"half a surrogate pair", `why`, `\ud800`, `the second half of a surrogate pair`},
		{"two first halves", `why`, `\ud800\ud800`, `the second half of a surrogate pair`},
		{"bad escape", `why`, `\x41`, `after a backslash`},
		{"bad hex", `why`, `\u00g0`, `four hex digits`},
		{"signed hex", `why`, `\u+041`, `four hex digits`},
		{"line break in text", `why`, "a\nb", `no control character inside a string`},
		{"line break in text after an escape", `why`, "\\ta\nb", `no control character inside a string`},
		{"trailing bytes", `}}`, `}} x`, `want nothing after the object`},
		{"second object", `}}`, `}}{}`, `want nothing after the object`},
		{"trailing comma", `"role":"therapist",`, `"role":"therapist",,`, `want a string`},
		{"comma at the end", `}}`, `,}}`, `want a string`},
		{"no colon", `"v":1`, `"v" 1`, `want a colon after the name`},
		{"name without quotes", `"v":1`, `v:1`, `want a string`},
		{"name in single quotes", `"v":1`, `'v':1`, `want a string`},
		{"comment", `"v":1`, `/**/"v":1`, `want a string`},
		{"cut short", `}}`, `}`, `want a comma or the object's end`},
		{"cut short in the data", `"}}`, ``, `want the object's end`},
		{"data as a string", `"data":{"principal":"staff:anna","role":"therapist","until":"2026-02-01T00:00:00.000Z"}`, `"data":"x"`, `data: want an object`},
		{"data missing", `,"data":{"principal":"staff:anna","role":"therapist","until":"2026-02-01T00:00:00.000Z"}`, ``, `data: is required and missing`},
		{"required field missing", `"principal":"staff:anna",`, ``, `data.principal: is required and missing`},
		{"actor missing", `"actor":"staff:root",`, ``, `actor: is required and missing`},
		{"account without a kind", `staff:anna`, `anna`, `data.principal: account "anna": want kind:id`},
		{"account with a bad kind", `staff:anna`, `Staff:anna`, `the kind before the colon`},
		{"account with a bad id", `staff:anna`, `staff:an na`, `the id after the colon`},
		{"account with two colons", `staff:anna`, `staff:a:b`, `the id after the colon`},
		{"account with an empty id", `staff:anna`, `staff:`, `the id after the colon`},
		{"account too long", `staff:anna`, `staff:` + long(MaxID+1), `the id after the colon`},
		{"all accounts", `staff:anna`, `staff:*`, `the id after the colon`},
		{"account within", `staff:anna`, `~role:x`, `the kind before the colon`},
		{"role in capitals", `therapist`, `Therapist`, `data.role: name "Therapist": want 1 to 63`},
		{"role too long", `therapist`, long(MaxName + 1), `data.role: name`},
		{"organisation", `"acme"`, `"Acme"`, `organisation "Acme": want 1 to 63`},
		{"organisation with a dot", `"acme"`, `"ac.me"`, `organisation "ac.me"`},
		{"id with a line break", `"e1"`, `"e\n1"`, `id: want at most 128 printable ASCII characters`},
		{"id too long", `"e1"`, `"` + long(MaxToken+1) + `"`, `id: want at most 128 printable ASCII characters`},
		{"no time", `2026-02-01T00:00:00.000Z`, `soon`, `data.until: time "soon": want RFC 3339`},
		{"time before 1970", `2026-02-01T00:00:00.000Z`, `1969-12-31T23:59:59Z`, `want a moment after 1970`},
		{"the zero time", `2026-02-01T00:00:00.000Z`, `1970-01-01T00:00:00Z`, `want a moment after 1970`},
		{"time after 2200", `2026-02-01T00:00:00.000Z`, `2200-01-01T00:00:00Z`, `and before 2200`},
		{"time beyond 64 bits", `2026-02-01T00:00:00.000Z`, `9999-12-31T23:59:59Z`, `and before 2200`},
		{"time as a number", `"2026-02-01T00:00:00.000Z"`, `1767225600`, `data.until: want a string`},
		{"sealed for nobody", `"v":1`, `"v":1,"sealed_for":"x"`, `sealed_for: account "x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.Replace(good, c.old, c.new, 1)
			if in == good {
				t.Fatalf("%q is not in the good event", c.old)
			}
			e, err := DecodeEvent(1, []byte(in))
			wantRefusal(t, in, e, err, c.want)
		})
	}
}

// wantRefusal wants a Malformed of one line that says want, and a code.
func wantRefusal(t *testing.T, in string, got any, err error, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, Malformed) || e.Code == "" || !strings.Contains(e.Message, want) || strings.Contains(e.Message, "\n") {
		t.Errorf("%s: got %v and error %v, want an error of one line with %q", in, got, err, want)
	}
}

func TestDecodeLine(t *testing.T) {
	e, err := DecodeLine([]byte(` { "at" : "2026-01-01T02:00:00.5+01:00", "type":"access.granted","actor":"staff:root","source":"hr","reason":"w\u00e9\ud83d\ude00",
		"occurred_at":"2026-01-01T00:30:00Z","request_id":"r1","data":{"principal":"staff:a","client":"client:x","profile":"visit","until":"2026-01-01T09:00:00Z"}}	`))
	if err != nil {
		t.Fatal(err)
	}
	if e.RecordedAt != hour(1)+5e8 || e.Type != AccessGranted || e.Version != 1 || e.Actor != "staff:root" || e.Source != "hr" || e.Reason != "w\u00e9\U0001F600" || e.RequestID != "r1" || e.OccurredAt != hour(0)+1800e9 {
		t.Errorf("got %+v", e)
	}
	if d := e.Data.(*AccessGrant); *d != (AccessGrant{"", "staff:a", "client:x", "visit", 0, hour(9)}) {
		t.Errorf("data: got %+v, want it with the grant's id left to the ledger", d)
	}
	const good = `{"at":"2026-01-01T00:00:00Z","type":"call.ended","actor":"staff:root","data":{"call":"call:1"}}`
	for _, c := range []struct{ old, new, want string }{
		{`"at":"2026-01-01T00:00:00Z",`, ``, `at: is required and missing`},
		{`"at"`, `"recorded_at"`, `at: is required and missing`},
		{`"at"`, `"id":"e1","at"`, `id: there is no such field`},
		{`"at"`, `"v":1,"at"`, `v: there is no such field`},
		{`"at"`, `"sealed_for":"client:x","at"`, `sealed_for: there is no such field`},
		{`call.ended`, `call.end`, `type "call.end": there is no such event type`},
		{`"call":`, `"room":`, `data.call: is required and missing`},
	} {
		in := strings.Replace(good, c.old, c.new, 1)
		e, err := DecodeLine([]byte(in))
		wantRefusal(t, in, e, err, c.want)
	}
	// What the ledger fills in may be left out here, and in the log never.
	stored := `{"id":"e1","org":"acme","type":"access.granted","v":1,"recorded_at":"2026-01-05T09:00:00.000Z","actor":"staff:root","data":{"principal":"staff:a","client":"client:x","profile":"visit","until":"2026-02-01T00:00:00.000Z"}}`
	e, err = DecodeEvent(1, []byte(stored))
	wantRefusal(t, stored, e, err, `data.grant: is required and missing`)
}

func TestDecodeCommand(t *testing.T) {
	const good = `{"command":"role.assign","actor":"staff:root","data":{"principal":"staff:a","role":"therapist"},"reason":"r","id":"k","source":"api","occurred_at":"2026-01-01T00:00:00Z"}`
	c, err := DecodeCommand([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := c.Data.(*RoleAssignment); !ok || *d != (RoleAssignment{Principal: "staff:a", Role: "therapist"}) {
		t.Errorf("data: got %+v", c.Data)
	}
	if c.Data = nil; c != (Command{Name: "role.assign", Actor: "staff:root", Reason: "r", ID: "k", Source: "api", OccurredAt: hour(0)}) {
		t.Errorf("got %+v", c)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"command":"role.assign",`, ``, `command: is required and missing`},
		{`role.assign`, `role.assigned`, `command "role.assigned": there is no such command; they are access.grant`},
		{`role.assign`, `validity.start`, `command "validity.start": there is no such command`},
		{`role.assign`, `Role`, `command: action "Role": want names`},
		{`"actor"`, `"by":"x","actor"`, `by: there is no such field`},
		{`"actor":"staff:root",`, ``, `actor: is required and missing`},
		{`"role":"therapist"`, `"role":"therapist","void":true`, `data.void: there is no such field`},
		{`"id":"k"`, `"id":" k"`, `id: want at most 128 printable ASCII characters without spaces around them`},
		{`"id":"k"`, `"id":""`, `id: is empty`},
		{`}`, `}]`, `want a comma or the object's end`},
	} {
		in := strings.Replace(good, c.old, c.new, 1)
		got, err := DecodeCommand([]byte(in))
		wantRefusal(t, in, got, err, c.want)
	}
	for command, typ := range commands {
		if got, err := EventOf(command); err != nil || got != typ || newData[typ] == nil {
			t.Errorf("%s: got %s, %v, want %s", command, got, err, typ)
		}
	}
	if n := len(Commands()); n != len(contractTypes)-2 {
		t.Errorf("got %d commands, want one for each type of event but validity's two", n)
	}
}

func TestDataFields(t *testing.T) {
	d, err := DataFields(FactCorrected, [][2]string{{"corrects", "7"}, {"void", "true"}})
	if err != nil || *d.(*Correction) != (Correction{Corrects: 7, Void: true}) {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, c := range []struct {
		typ   EventType
		pairs [][2]string
		want  string
	}{
		{"no.such", nil, `type "no.such": there is no such event type`},
		{FactCorrected, [][2]string{{"corrects", "0"}}, `corrects: want a whole number from 1`},
		{FactCorrected, [][2]string{{"corrects", "+1"}}, `corrects: want a whole number from 1`},
		{FactCorrected, [][2]string{{"corrects", "1"}, {"void", "yes"}}, `void: want true or false`},
		{CallEnded, [][2]string{{"call", "call:1"}, {"call", "call:1"}}, `call: given twice`},
		{CallEnded, [][2]string{{"call", "call:\xff"}}, `call: not valid UTF-8`},
		{CallEnded, [][2]string{{"call", ""}}, `call: is empty`},
		{CallEnded, [][2]string{{"call", "call:1"}, {"room", "1"}}, `room: there is no such field`},
		{CallEnded, nil, `call: is required and missing`},
	} {
		got, err := DataFields(c.typ, c.pairs)
		wantRefusal(t, string(c.typ), got, err, c.want)
	}
}

func TestParseInstant(t *testing.T) {
	for in, want := range map[string]string{
		"2026-01-05T09:00:00Z":                "2026-01-05T09:00:00.000Z",
		"2026-01-05T09:00:00.1Z":              "2026-01-05T09:00:00.100Z",
		"2026-01-05T09:00:00.1234Z":           "2026-01-05T09:00:00.1234Z",
		"2026-01-05T09:00:00.123456789Z":      "2026-01-05T09:00:00.123456789Z",
		"2026-01-05T09:00:00.000000001+01:00": "2026-01-05T08:00:00.000000001Z",
		"2026-01-05T00:30:00+23:59":           "2026-01-04T00:31:00.000Z",
		"1970-01-01T00:00:00.000000001Z":      "1970-01-01T00:00:00.000000001Z",
		"2199-12-31T23:59:59.999999999Z":      "2199-12-31T23:59:59.999999999Z",
		"2024-02-29T00:00:00Z":                "2024-02-29T00:00:00.000Z",
	} {
		got, err := ParseInstant(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
		var text Instant
		if err := text.UnmarshalText([]byte(got.String())); err != nil || text != got {
			t.Errorf("%s: read again: got %d, %v, want %d", in, text, err, got)
		}
	}
	for _, in := range []string{
		"", "2026", "2026-01-05", "2026-01-05 09:00:00Z", "2026-01-05T09:00Z", "2026-01-05T09:00:00", "2026-01-05t09:00:00z",
		"2026-01-05T9:00:00Z", "2026-01-05T09:00:00,5Z", "2026-01-05T09:00:00.Z", "2026-01-05T09:00:00.1234567890Z",
		"2026-01-05T09:00:00.1234567891+01:00", "2026-01-05T09:00:00+24:00", "2026-01-05T09:00:00+01:60", "2026-01-05T09:00:00+0100",
		"2026-02-30T09:00:00Z", "2025-02-29T00:00:00Z", "2026-01-05T24:00:00Z", "2026-01-05T09:00:60Z", "2026-13-05T09:00:00Z", "forever", "now", " 2026-01-05T09:00:00Z",
		"1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "1970-01-01T00:30:00+01:00",
	} {
		got, err := ParseInstant(in)
		wantRefusal(t, in, got, err, `time "`)
	}
	if Forever.Add(time.Hour) != Forever || hour(1).Add(time.Hour) != hour(2) || Forever.String() != "forever" {
		t.Errorf("an hour later: got %d and %d, want forever to stay and one hour more", Forever.Add(time.Hour), hour(1).Add(time.Hour))
	}
}

func TestParseNames(t *testing.T) {
	for _, org := range []string{"a", "0", "acme-2", strings.Repeat("a", 63)} {
		if got, err := ParseOrg(org); err != nil || string(got) != org {
			t.Errorf("organisation %q: got %q, %v", org, got, err)
		}
	}
	for _, org := range []string{"", "-a", "Acme", "a_b", "a.b", "a b", "a*", "a>", "\u00e9", strings.Repeat("a", 64)} {
		got, err := ParseOrg(org)
		wantRefusal(t, org, got, err, `organisation "`)
	}
	for _, a := range []string{"client:c1", "a:b", "team-2_x:A.b~@/+=-", "k:" + strings.Repeat("9", 128)} {
		got, err := ParseAccount(a)
		if err != nil || string(got) != a || string(got.Kind())+":"+got.ID() != a {
			t.Errorf("account %q: got %q, %v", a, got, err)
		}
		if res, err := ParseResource(a); err != nil || string(res.Kind())+":"+res.ID() != a {
			t.Errorf("resource %q: got %q, %v", a, res, err)
		}
	}
	for _, a := range []string{"", ":", "client", "client:", ":c1", "1x:c", "client:c 1", "client:c\u00e9", "client:a:b", "client:a|b", "client:a\x00", "client:*", "~x:y", strings.Repeat("k", 64) + ":a"} {
		got, err := ParseAccount(a)
		wantRefusal(t, a, got, err, `account "`)
		res, err := ParseResource(a)
		wantRefusal(t, a, res, err, `resource "`)
	}
	for _, a := range []string{"view", "role.assign", "a.b.c-d_e"} {
		if got, err := ParseAction(a); err != nil || string(got) != a {
			t.Errorf("action %q: got %q, %v", a, got, err)
		}
	}
	for _, a := range []string{"", ".", "a.", ".a", "a..b", "View", "a b", "a:b", strings.Repeat("a.", 64) + "a"} {
		got, err := ParseAction(a)
		wantRefusal(t, a, got, err, `action "`)
	}
}
