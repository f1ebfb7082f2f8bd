package domain

// What no input may do to the readers, whatever its bytes.

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func addGolden(f *testing.F) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden events to begin with: %v", err)
	}
	for _, file := range files {
		golden, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(golden)
	}
	for _, s := range []string{`{}`, `{"a":"\ud83d\ude00\u0000\/"}`, `{"data":{"a":{"b":1}}}`, "{\"a\":\"\x80\"}", `{"data":{"}":"\\\"{"}}`} {
		f.Add([]byte(s))
	}
}

// FuzzDecodeEvent holds: no panic; what is accepted is written again to bytes that read as the same event, and stay the
// same from then on; and it is what encoding/json reads.
func FuzzDecodeEvent(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		noLaxer(t, string(in))
		e, err := DecodeEvent(7, in)
		if refused(t, err) {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("accepted %q, which is no JSON", in)
		}
		stored := AppendEvent(nil, e)
		again, err := DecodeEvent(7, stored)
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("written as %s: got %+v, %v, want %+v", stored, again, err, e)
		}
		if twice := AppendEvent(nil, again); !bytes.Equal(twice, stored) {
			t.Fatalf("written twice: got %s, want %s", twice, stored)
		}
	})
}

// FuzzDecodeLine holds the same of import lines, but for writing: what is read of one is an event once it has a name.
func FuzzDecodeLine(f *testing.F) {
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","type":"call.ended","actor":"staff:root","source":"s","reason":"r","data":{"call":"call:1"}}`))
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","type":"fact.corrected","actor":"staff:root","data":{"corrects":1,"void":true}}`))
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","type":"access.granted","actor":"staff:root","data":{"principal":"s:a","client":"c:x","profile":"p","until":"2026-01-01T09:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := DecodeLine(in)
		if refused(t, err) {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("accepted %q, which is no JSON", in)
		}
		e.ID, e.Org = "e1", "acme"
		if d, ok := e.Data.(*AccessGrant); ok && d.Grant == "" {
			d.Grant = "e1"
		}
		if d, ok := e.Data.(*CatalogueAdoption); ok {
			*d = CatalogueAdoption{"c", 1, "d", d.Document}
		}
		again, err := DecodeEvent(0, AppendEvent(nil, e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%s: stored and read: got %+v, %v, want %+v", in, again, err, e)
		}
	})
}

// FuzzDecodeCommand holds: no panic, and what is accepted is the command for its data, which encoding/json reads too.
func FuzzDecodeCommand(f *testing.F) {
	f.Add([]byte(`{"command":"role.assign","actor":"staff:root","data":{"principal":"staff:a","role":"therapist"},"reason":"r","id":"k"}`))
	f.Add([]byte(`{"command":"account.open","actor":"staff:root","data":{"account":"client:x","display_name":"X"}}`))
	f.Add([]byte(`{"command":"catalogue.adopt","actor":"staff:root","data":{"document":"x","version":2}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeCommand(in)
		if refused(t, err) {
			return
		}
		if !json.Valid(in) || c.Data.Type() != commands[c.Name] {
			t.Fatalf("accepted %q as %+v", in, c)
		}
		var is struct{ Actor, Reason, ID string }
		if err := json.Unmarshal(in, &is); err != nil || is.Actor != string(c.Actor) || is.Reason != c.Reason || is.ID != c.ID {
			t.Fatalf("%s: got %+v, where encoding/json has %+v, %v", in, c, is, err)
		}
	})
}

// refused tells whether err is there, and holds that it is a refusal of one line.
func refused(t *testing.T, err error) bool {
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Failure != Malformed || e.Code == "" || strings.ContainsAny(e.Message, "\n\r")) {
		t.Fatalf("got %#v, want a Malformed of one line", err)
	}
	return err != nil
}

// noLaxer holds that what readObject accepts, encoding/json reads as the same values.
func noLaxer(t *testing.T, in string) {
	got, ok := asMap(in)
	if !ok {
		return
	}
	var want any
	d := json.NewDecoder(strings.NewReader(in))
	d.UseNumber()
	if err := d.Decode(&want); err != nil || !json.Valid([]byte(in)) {
		t.Fatalf("%q: accepted as %v, and encoding/json says %v", in, got, err)
	}
	if !reflect.DeepEqual(any(got), want) {
		t.Fatalf("%q: got %#v, want %#v", in, got, want)
	}
}

// asMap is what readObject reads, as encoding/json would give it; false where it, or an object within it, is refused.
func asMap(in string) (map[string]any, bool) {
	r, err := readObject(in)
	if err != nil {
		return nil, false
	}
	m := map[string]any{}
	for _, f := range r.list {
		switch f.is {
		case isString:
			m[f.name] = f.s
		case isNumber:
			m[f.name] = json.Number(f.s)
		case isBool:
			m[f.name] = f.s == "true"
		case isObject:
			inner, ok := asMap(f.s)
			if !ok {
				return nil, false
			}
			m[f.name] = inner
		}
	}
	return m, true
}

// FuzzParseAccount holds: what is accepted is a kind and an id of the bytes that contract §1 allows, and nothing within
// permledger's own names.
func FuzzParseAccount(f *testing.F) {
	for _, s := range []string{"professional:anna", "client:a.b_c~d@e/f+g=h-i", "a:", ":", "~role:x", "client:*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAccount(s)
		res, err2 := ParseResource(s)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: got %v as an account and %v as a resource, want the same", s, err, err2)
		}
		if refused(t, err) {
			return
		}
		kind, id, _ := strings.Cut(s, ":")
		if string(a) != s || string(res) != s || string(a.Kind()) != kind || a.ID() != id || res.Kind() != a.Kind() || res.ID() != id {
			t.Fatalf("%q: got kind %q and id %q", s, a.Kind(), a.ID())
		}
		const letters = "abcdefghijklmnopqrstuvwxyz"
		if kind == "" || !strings.Contains(letters, kind[:1]) || len(kind) > 63 || strings.Trim(kind, letters+"0123456789_-") != "" ||
			id == "" || len(id) > 128 || strings.Trim(id, letters+strings.ToUpper(letters)+"0123456789._~@/+=-") != "" {
			t.Fatalf("accepted %q", s)
		}
	})
}

// FuzzParseInstant holds: what is accepted is written in UTC, and reads as the same moment again.
func FuzzParseInstant(f *testing.F) {
	for _, s := range []string{"2026-01-05T09:00:00Z", "2026-01-05T09:00:00.123456789+01:00", "1970-01-01T00:00:00Z", "2026-01-05T9:00:00,5Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParseInstant(s)
		if refused(t, err) {
			return
		}
		again, err := ParseInstant(i.String())
		if err != nil || again != i || i <= 0 || i >= Forever || !strings.HasSuffix(i.String(), "Z") || len(i.String()) < len("2026-01-05T09:00:00.000Z") {
			t.Fatalf("%q: got %d written %s, read again as %d, %v", s, i, i, again, err)
		}
		if s == "" || len(s) > len("2026-01-05T09:00:00.123456789+01:00") {
			t.Fatalf("accepted %q, longer than RFC 3339 to the nanosecond is", s)
		}
	})
}
