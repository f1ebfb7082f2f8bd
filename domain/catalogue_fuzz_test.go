package domain

// What no document may do to the parser of catalogues, whatever its bytes.

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzParseCatalogue holds: it never panics; a refusal has a line for each mistake and no catalogue; what is accepted
// reads the same again, has one protected kind, names nothing that is not there, and its index is its permits.
func FuzzParseCatalogue(f *testing.F) {
	shipped, err := filepath.Glob("catalogues/*.yaml")
	if err != nil || len(shipped) == 0 {
		f.Fatalf("no shipped catalogues to begin with: %v", err)
	}
	for _, name := range append(shipped, "testdata/catalogues/whole.yaml") {
		document, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(document)
	}
	const least = "catalogue: c\nkinds: {s: {}, p: {protected: true}}\nroles: {r: {for: s}}\nfounder: r\npermits:\n"
	for _, permit := range []string{"- {on: p, actions: a}", "- {on: [p, s], actions: [a, b], unless: {kind: s}}", "- {on: q, actions: a}", "- *x", "- {<<: {on: p}}", "[]", "- !!map {}", "- ? [a]\n  : b"} {
		f.Add([]byte(least + permit))
	}
	f.Add([]byte("!\n)\n\n\n!"))                                                                                                           // a tag that is none, and a text of several lines
	f.Add([]byte(least + "- {on: p, actions: a, role: \"r\\n\"}\nrelations: {\"x\\n\": {from: q}}\ngrants: {\"x\\n\": {role: \"x\\n\"}}")) // line breaks in names
	f.Fuzz(func(t *testing.T, document []byte) {
		c, err := ParseCatalogue(document)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if c != nil || !strings.HasPrefix(line, "catalogue") {
					t.Fatalf("got %v and the line %q; want no catalogue, and lines that begin with catalogue", c, line)
				}
			}
			return
		}
		again, err := ParseCatalogue(document)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("read twice: got %+v, then %+v and %v", c, again, err)
		}
		if !c.Kinds[c.Protected].Protected || len(c.Founder) == 0 {
			t.Fatalf("protected %q, founder %v: want a protected kind and a founder", c.Protected, c.Founder)
		}
		indexed := 0
		for k, lines := range c.lines {
			indexed += len(lines)
			for _, p := range lines {
				if !c.Type(k.on) || !slices.Contains(p.On, k.on) || !slices.Contains(p.Actions, k.action) {
					t.Fatalf("line %d is indexed as %s on %s", p.Line, k.action, k.on)
				}
			}
			if !slices.Contains(c.Actions(k.on), k.action) {
				t.Fatalf("actions on %s: got %v, want %s among them", k.on, c.Actions(k.on), k.action)
			}
		}
		permitted := 0
		for _, p := range c.Permits {
			permitted += len(p.On) * len(p.Actions)
			for _, r := range p.Roles {
				if _, ok := c.Roles[r]; !ok {
					t.Fatalf("line %d names the role %q, which is not there", p.Line, r)
				}
			}
		}
		if indexed != permitted {
			t.Fatalf("indexed %d permits of an action on a type, want %d", indexed, permitted)
		}
		c.Warnings()
		if rows := c.Parts().Matrix; len(rows) != len(c.lines) {
			t.Fatalf("the matrix has %d rows, want one for each of %d actions on a type", len(rows), len(c.lines))
		}
	})
}
