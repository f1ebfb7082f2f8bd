package domain

// A ledger in memory for the tests: what Fold says, kept in a map from each fact to all its versions, and read back as
// of any seq. It is slow and obviously right, and never judges: Admit and Decide do.

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
)

type memory struct {
	events     []*Event // the event of seq n at n-1
	versions   map[Fact][]Version
	began      map[Seq]Fact
	catalogues map[Seq]*Catalogue
}

func newMemory() *memory {
	return &memory{versions: map[Fact][]Version{}, began: map[Seq]Fact{}, catalogues: map[Seq]*Catalogue{}}
}

// record gives e the next seq and stores what it changes.
func (m *memory) record(e *Event) error {
	e.Seq = Seq(len(m.events) + 1)
	changes, err := Fold(m.now(), e)
	if err != nil {
		return err
	}
	m.events = append(m.events, e)
	if d, ok := e.Data.(*CatalogueAdoption); ok {
		if m.catalogues[e.Seq], err = ParseCatalogue([]byte(d.Document)); err != nil {
			return err
		}
	}
	for _, c := range changes {
		m.versions[c.Fact] = append(m.versions[c.Fact], Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: c.Intervals})
		if _, ok := m.began[e.Seq]; !ok && len(c.Intervals) > 0 && c.Intervals[len(c.Intervals)-1].Began == e.Seq {
			m.began[e.Seq] = c.Fact
		}
	}
	return nil
}

// asOf reads the ledger as the event s knew it.
func (m *memory) asOf(s Seq) Reader { return view{m, s} }

// now reads the ledger as its newest event knows it.
func (m *memory) now() Reader { return m.asOf(Seq(len(m.events))) }

// knownBy gives the newest event recorded by t, and with it what an enforced answer knows.
func (m *memory) knownBy(t Instant) Seq {
	s := Seq(0)
	for _, e := range m.events {
		if e.RecordedAt <= t {
			s = e.Seq
		}
	}
	return s
}

type view struct {
	m *memory
	s Seq
}

func (v view) KnownAt() Seq { return v.s }

func (v view) Fact(f Fact) (Version, error) {
	var newest Version
	for _, version := range v.m.versions[f] {
		if version.Seq <= v.s {
			newest = version
		}
	}
	return newest, nil
}

func (v view) FactsOf(family Family, subject Account) iter.Seq2[Held, error] {
	return v.where(func(f Fact) bool { return f.Family == family && f.Subject == subject })
}

func (v view) FactsOn(family Family, object Account) iter.Seq2[Held, error] {
	return v.where(func(f Fact) bool { return f.Family == family && f.Object == object })
}

func (v view) where(wanted func(Fact) bool) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		var facts []Fact
		for f := range v.m.versions {
			if wanted(f) {
				facts = append(facts, f)
			}
		}
		slices.SortFunc(facts, func(a, b Fact) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, f := range facts {
			version, err := v.Fact(f)
			if version.Seq != 0 && !yield(Held{f, version}, err) {
				return
			}
		}
	}
}

func (v view) Named(kind Kind) iter.Seq2[Resource, error] {
	return func(yield func(Resource, error) bool) {
		named := map[Resource]bool{}
		for h := range v.where(func(f Fact) bool { return f.Family == FamilyActive || f.Family == FamilyResource }) {
			if h.Fact.Subject.Kind() == kind {
				named[Resource(h.Fact.Subject)] = true
			}
		}
		for _, r := range slices.Sorted(maps.Keys(named)) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (v view) FactAt(seq Seq) (Fact, bool, error) {
	f, ok := v.m.began[seq]
	return f, ok && seq <= v.s, nil
}

func (v view) Catalogue(seq Seq) (*Catalogue, error) {
	c, ok := v.m.catalogues[seq]
	if !ok || seq > v.s {
		return nil, fmt.Errorf("event %d adopted no catalogue that event %d knows", seq, v.s)
	}
	return c, nil
}

// hour is the tests' clock: 0 is the first of January 2026, midnight UTC.
func hour(n int) Instant {
	t, err := ParseInstant("2026-01-01T00:00:00Z")
	if err != nil {
		panic(err)
	}
	return t + Instant(n)*3600e9
}

// A said is one line of a history, read:
//
//	@3 role.assigned by=staff:root principal=staff:anna role=therapist until=@9 reason=covers_for_bob
//
// @n is hour n; a ~ in a value is a space; document=care is the file testdata/histories/care.yaml. by, reason, id and the
// rest of the envelope stand among the data's fields. The name is an event type's or a command's.
type said struct {
	at   Instant
	name string
	by   Account
	why  string
	id   string
	data Data
}

// readHistory reads a history's lines; empty ones and those that begin with # are passed over.
func readHistory(t tester, text string) []said {
	t.Helper()
	var all []said
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		all = append(all, readSaid(t, line))
	}
	return all
}

func readSaid(t tester, line string) said {
	t.Helper()
	words := strings.Fields(line)
	if len(words) < 2 || words[0][0] != '@' {
		t.Fatalf("history line %q: want @hour, a type and fields", line)
	}
	s := said{at: readHour(t, words[0]), name: words[1], by: "staff:root"}
	var pairs [][2]string
	for _, w := range words[2:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("history line %q: %q is no field=value", line, w)
		}
		value = strings.ReplaceAll(value, "~", " ")
		switch name {
		case "by":
			s.by = Account(value)
			continue
		case "reason":
			s.why = value
			continue
		case "id":
			s.id = value
			continue
		case "document":
			value = testCatalogue(t, value)
		}
		if value[0] == '@' {
			value = readHour(t, value).String()
		}
		pairs = append(pairs, [2]string{name, value})
	}
	typ := EventType(s.name)
	if of, command := commands[Action(s.name)]; command {
		typ = of
	}
	var err error
	if s.data, err = DataFields(typ, pairs); err != nil {
		t.Fatalf("history line %q: %v", line, err)
	}
	return s
}

func testCatalogue(t tester, name string) string {
	t.Helper()
	document, err := os.ReadFile("testdata/histories/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

func readHour(t tester, word string) Instant {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(word, "@%d", &n); err != nil {
		t.Fatalf("%q is no @hour", word)
	}
	return hour(n)
}

func (s said) event(id string) *Event {
	return &Event{ID: EventID(id), Org: "acme", Type: s.data.Type(), Version: versionOf(s.data), RecordedAt: s.at,
		Actor: s.by, Reason: s.why, RequestID: s.id, Data: s.data}
}

func (s said) command() Command {
	return Command{Name: Action(s.name), Actor: s.by, Data: s.data, Reason: s.why, ID: s.id, Source: "test"}
}

// tester is what the helpers need of a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// ledger records a history, each event of it admitted as an import would.
func ledger(t tester, histories ...string) *memory {
	t.Helper()
	m := newMemory()
	for _, h := range histories {
		for _, s := range readHistory(t, h) {
			m.admit(t, s)
		}
	}
	return m
}

func (m *memory) admit(t tester, s said) {
	t.Helper()
	e := s.event(fmt.Sprintf("e%d", len(m.events)+1))
	e.Seq = Seq(len(m.events) + 1)
	if err := Admit(m.now(), e); err != nil {
		t.Fatalf("event %d, %s: refused: %v", e.Seq, shown(e), err)
	}
	if err := m.record(e); err != nil {
		t.Fatalf("event %d, %s: fold: %v", e.Seq, shown(e), err)
	}
}

// shown is the data of an event as a failure message has it.
func shown(e *Event) string {
	short := *e
	if d, ok := e.Data.(*CatalogueAdoption); ok {
		short.Data = &CatalogueAdoption{Catalogue: d.Catalogue, Version: d.Version, Document: "(left out)"}
	}
	return string(AppendEvent(nil, &short))
}
