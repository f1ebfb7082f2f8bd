package domain

// The matrix is held here against a small catalogue in which every kind of reach occurs, and against the lines that the
// decision itself goes by.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const reaching = `catalogue: reaching
kinds: {staff: {}, client: {protected: true}, guest: {}, team: {group: true}}
resources: {note: {of: client}, call: {}}
roles:
  boss: {for: staff}
  nurse: {for: [staff, guest]}
founder: boss
relations: {carer: {from: staff}, barred: {from: staff}}
grants: {night: {}}
permits:
  - {on: call, actions: ring}
  - {role: [nurse, boss], on: client, actions: view}
  - {role: nurse, kind: staff, link: [carer, barred], on: client, actions: [view, edit], unless: {self: true, kind: guest, role: boss}}
  - {role: boss, kind: staff, grant: night, on: client, actions: edit}
  - {role: boss, kind: guest, on: client, actions: edit}
  - {kind: [client, guest], self: true, on: client, actions: view}
  - {kind: client, linked_by: carer, on: staff, actions: message}
  - {role: nurse, own: true, team: true, on: note, actions: edit, unless: {link: barred}}
  - {kind: guest, invited: true, on: call, actions: ring}
`

// inWords writes a row of the matrix as "view on client: role nurse: all (12) or caseload carer, unless self (13); …".
func inWords(row MatrixRow) string {
	conditions := func(all []Condition, between string) string {
		var words []string
		for _, c := range all {
			words = append(words, strings.TrimSpace(string(c.By)+" "+strings.Join(c.Of, "/")))
		}
		return strings.Join(words, between)
	}
	var cells []string
	for _, cell := range row.Cells {
		who := "anyone"
		if cell.Role != "" {
			who = "role " + string(cell.Role)
		} else if cell.Kind != "" {
			who = "kind " + string(cell.Kind)
		}
		var ways []string
		for _, w := range cell.Ways {
			way := conditions(w.Reach, " and ")
			if len(w.Unless) > 0 {
				way += ", unless " + conditions(w.Unless, " or ")
			}
			ways = append(ways, fmt.Sprintf("%s (%d)", way, w.Line))
		}
		cells = append(cells, who+": "+strings.Join(ways, " or "))
	}
	return fmt.Sprintf("%s on %s: %s", row.Action, row.On, strings.Join(cells, "; "))
}

func TestMatrix(t *testing.T) {
	c, err := ParseCatalogue([]byte(reaching))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range c.Matrix() {
		got = append(got, inWords(row))
	}
	want := []string{
		"ring on call: kind guest: invited (19); anyone: all (11)",
		// Line 15 asks a boss to be a guest, and no boss is.
		"edit on client: role boss: emergency night (14); role nurse: caseload carer/barred and kind staff, unless self or kind guest or role boss (13)",
		"view on client: role boss: all (12); role nurse: all (12) or caseload carer/barred and kind staff, unless self or kind guest or role boss (13); kind client: self (16); kind guest: self (16)",
		"edit on note: role nurse: own and team, unless caseload barred (18)",
		"message on staff: kind client: linked_by carer (17)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// Every line that a decision goes by is in the matrix, and nothing else.
func TestMatrixHasEveryLine(t *testing.T) {
	c, err := ParseCatalogue([]byte(wholeCatalogue(t)))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, on := range c.Types() {
		rows += len(c.Actions(on))
	}
	matrix := c.Matrix()
	if len(matrix) != rows {
		t.Errorf("got %d rows, want one for each of the %d actions on a type", len(matrix), rows)
	}
	for _, row := range matrix {
		lines := map[int]bool{}
		for _, cell := range row.Cells {
			for _, w := range cell.Ways {
				lines[w.Line] = true
			}
		}
		for _, p := range c.Lines(row.On, row.Action) {
			if !lines[p.Line] {
				t.Errorf("%s on %s: the matrix lacks the permit of line %d", row.Action, row.On, p.Line)
			}
			delete(lines, p.Line)
		}
		if len(lines) > 0 {
			t.Errorf("%s on %s: no permit is on lines %v of the matrix", row.Action, row.On, lines)
		}
	}
}

// The parts are what programs get; this is their shape, whole.
func TestParts(t *testing.T) {
	c, err := ParseCatalogue([]byte(wholeCatalogue(t)))
	if err != nil {
		t.Fatal(err)
	}
	parts := c.Parts()
	parts.Matrix = slices.DeleteFunc(parts.Matrix, func(row MatrixRow) bool { return row.On != "journal" })
	got, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"title":{"en":"Whole","nl":"Geheel"},"about":{"en":"Everything that a catalogue can say."},
"kinds":{"client":{"title":{"en":"Client","nl":"Cliënt"},"protected":true},"guest":{},"staff":{"title":{"en":"Staff","nl":"Personeel"}},
"team":{"about":{"en":"Shares its links."},"group":true}},
"resources":{"call":{"trust_properties":true},"catalogue":{},"chart":{"about":{"en":"What is measured."},"of":"client"},
"journal":{"title":{"en":"Journal","nl":"Dagboek"},"of":"client","trust_properties":true,"registered_by":["edit"],"removed_by":["delete","edit"]}},
"roles":{"full":{"title":{"en":"Full","nl":"Vol"},"about":{"en":"May do most."},"for":["staff"],"group":"user_type"},
"limited":{"for":["staff","guest"],"group":"user_type"},
"tier_1":{"for":["staff"],"group":"access","needs":["full","limited"]},
"tier_2":{"for":["staff"],"group":"access","needs":["full"]}},
"founder":["full","tier_2"],
"relations":{"carer":{"title":{"en":"Carer","nl":"Verzorger"},"from":["staff"],"role":["tier_1"],"on_open":true},
"guide":{"about":{"en":"Shows the way."},"from":["staff","team"],"role":["full","limited"],"most":{"limited":1}},
"relative":{"from":["guest"],"by":"relative.add"}},
"grants":{"emergency":{"title":{"en":"Emergency","nl":"Nood"},"role":["full"],"longest":"8h","reason":"required","review_within":"3d"},
"visit":{"about":{"en":"Asked for."},"reason":"optional"}},
"lockout":{"failed_signins":3,"about":{"en":"Ends with help."}},
"guests":{"longest":"90m","about":{"en":"One call."}},
"never":[{"role":["limited"],"on":["client","chart"],"actions":["view"],"line":49},
{"role":["tier_1","tier_2"],"on":["call"],"actions":["ring","join"],"line":50}],
"actions":{"role.assign":{"en":"give a role","nl":"een rol geven"},"view":{"en":"look at it","nl":"bekijken"}},
"matrix":[{"on":"journal","action":"delete","cells":[{"role":"tier_2","ways":[{"reach":[{"by":"own"}],
"unless":[{"by":"caseload","of":["relative"]},{"by":"kind","of":["guest"]}],"line":37}]}]},
{"on":"journal","action":"edit","cells":[{"role":"tier_1","ways":[{"reach":[{"by":"caseload","of":["carer","guide"]}],"line":33}]},
{"role":"tier_2","ways":[{"reach":[{"by":"caseload","of":["carer","guide"]}],"line":33},{"reach":[{"by":"own"}],
"unless":[{"by":"caseload","of":["relative"]},{"by":"kind","of":["guest"]}],"line":37}]}]},
{"on":"journal","action":"view","cells":[{"role":"tier_1","ways":[{"reach":[{"by":"caseload","of":["carer","guide"]}],"line":33}]},
{"role":"tier_2","ways":[{"reach":[{"by":"caseload","of":["carer","guide"]}],"line":33}]}]}]}`
	if want := strings.ReplaceAll(want, "\n", ""); string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	least, err := ParseCatalogue([]byte("catalogue: c\nkinds: {s: {}, p: {protected: true}}\nroles: {r: {for: s}}\nfounder: r\npermits: [{on: p, actions: a}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err = json.Marshal(least.Parts())
	if want := `{"kinds":{"p":{"protected":true},"s":{}},"resources":{"catalogue":{}},"roles":{"r":{"for":["s"]}},"founder":["r"],` +
		`"relations":{},"grants":{},"never":[],"actions":{},"matrix":[{"on":"p","action":"a","cells":[{"ways":[{"reach":[{"by":"all"}],"line":5}]}]}]}`; err != nil || string(got) != want {
		t.Errorf("of the least catalogue:\n got %s, %v\nwant %s", got, err, want)
	}
}

func TestDurationsAreAsInADocument(t *testing.T) {
	for want, d := range map[string]time.Duration{"": 0, "8h": 8 * time.Hour, "3d": 72 * time.Hour, "90m": 90 * time.Minute, "25h": 25 * time.Hour, "1m1.5s": 61500 * time.Millisecond} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
