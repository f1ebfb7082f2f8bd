package ledger

// Bringing a history in: all of it as it was, or nothing and the line that was wrong.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

type object = map[string]any

// script writes lines of a history, a minute apart.
type script struct {
	b  strings.Builder
	at time.Time
	n  int
}

func newScript() *script { return &script{at: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)} }

// line adds a line, with more fields than type and data if there are, and gives the seq that it will have.
func (s *script) line(typ string, data object, more ...object) domain.Seq {
	l := object{"at": s.at.Format(time.RFC3339Nano), "type": typ, "actor": "professional:boss", "data": data}
	for _, m := range more {
		maps.Copy(l, m)
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	s.b.Write(text)
	s.b.WriteByte('\n')
	s.at = s.at.Add(time.Minute)
	s.n++
	return domain.Seq(s.n + 1)
}

func (s *script) opens(accounts ...string) {
	for _, a := range accounts {
		s.line("account.opened", object{"account": a})
	}
}

func (s *script) assigns(principal, role string) domain.Seq {
	return s.line("role.assigned", object{"principal": principal, "role": role})
}

func (s *script) links(principal, client string) domain.Seq {
	return s.line("caseload.linked", object{"principal": principal, "client": client, "relation": "therapist"})
}

func (s *script) String() string { return s.b.String() }

// staff begins a history: a manager, and anna who is a therapist.
func staff() *script {
	s := newScript()
	s.opens("professional:boss", "professional:anna", "client:c1", "client:c2")
	s.assigns("professional:boss", "manager")
	s.assigns("professional:anna", "therapist")
	return s
}

// history3 is a history of three professionals with some to answer.
func history3(t *testing.T) string {
	s := staff()
	for i := range 3 {
		s.opens(string(professional(i)))
		s.assigns(string(professional(i)), "therapist")
		s.links(string(professional(i)), "client:c1")
	}
	s.line("caseload.unlinked", object{"principal": "professional:p1", "client": "client:c1", "relation": "therapist"})
	return s.String()
}

// imports makes acme's ledger of a history in a new directory, and gives that.
func imports(t *testing.T, from io.Reader) (data string) {
	t.Helper()
	data = t.TempDir()
	s := openService(t, Options{Data: data, Create: true, Relaxed: true})
	if _, err := s.Import(t.Context(), acme, []byte(house), from, nil); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	return data
}

// reopened gives acme's ledger of the script, until the end of the test.
func reopened(t *testing.T, s *script) *Ledger {
	t.Helper()
	service := openService(t, Options{Data: imports(t, strings.NewReader(s.String()))})
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return ledgerOf(t, service)
}

// importing opens a service to import into as acme. It has another organisation's ledger already: embedded, the server
// removes the directory of its streams behind the last one, and may trip over that when one is made at that moment.
func importing(t *testing.T) *Service {
	t.Helper()
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	if _, err := s.Init(t.Context(), "bystander", []byte(house), boss, "test"); err != nil {
		t.Fatal(err)
	}
	return s
}

// wantNothing checks that an import left nothing behind.
func wantNothing(t *testing.T, s *Service) {
	t.Helper()
	if orgs, err := s.Orgs(t.Context()); err != nil || !slices.Equal(orgs, []domain.Org{"bystander"}) {
		t.Fatalf("after an import that failed there are ledgers: %v, %v", orgs, err)
	}
	_, err := s.Ledger(t.Context(), acme)
	wantError(t, err, domain.Unknown, "unknown_org", "acme")
	p, err := s.db.Ledger(acme)
	if err != nil {
		t.Fatal(err)
	}
	if pos := p.Position(); pos.Seq != 0 || pos.Building {
		t.Fatalf("after an import that failed the projection is at %+v", pos)
	}
}

func TestBadLines(t *testing.T) {
	s := importing(t)
	good := staff()
	number := good.n + 1
	line := func(fields ...string) string { // a good line but for these fields, raw
		all := map[string]string{"at": `"2026-01-06T00:00:00Z"`, "type": `"account.opened"`, "actor": `"professional:boss"`, "data": `{"account":"client:c9"}`}
		for i := 0; i < len(fields); i += 2 {
			if all[fields[i]] = fields[i+1]; fields[i+1] == "" {
				delete(all, fields[i])
			}
		}
		var parts []string
		for _, name := range sorted(all) {
			parts = append(parts, fmt.Sprintf("%q:%s", name, all[name]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for what, bad := range map[string]struct {
		line    string
		failure domain.Failure
		part    string
		lines   bool // a catalogue's mistakes have a line each
	}{
		"no JSON":               {`at 9 o'clock`, domain.Malformed, "", false},
		"an array":              {`[` + line() + `]`, domain.Malformed, "", false},
		"nothing in it":         {`{}`, domain.Malformed, "is required and missing", false},
		"cut off":               {line()[:20], domain.Malformed, "", false},
		"more after it":         {line() + `{}`, domain.Malformed, "", false},
		"empty":                 {``, domain.Malformed, "is empty", false},
		"blank":                 {" \t", domain.Malformed, "is empty", false},
		"not UTF-8":             {line("reason", "\"\xff\""), domain.Malformed, "UTF-8", false},
		"a null":                {line("data", `null`), domain.Malformed, "", false},
		"a field twice":         {strings.Replace(line(), `"type"`, `"actor":"professional:boss","type"`, 1), domain.Malformed, "actor", false},
		"a field unknown":       {line("colour", `"red"`), domain.Malformed, "colour", false},
		"a data field unknown":  {line("data", `{"account":"client:c9","colour":"red"}`), domain.Malformed, "data.colour", false},
		"no time":               {line("at", ``), domain.Malformed, "at: is required and missing", false},
		"a bad time":            {line("at", `"yesterday"`), domain.Malformed, `"yesterday"`, false},
		"a time before time":    {line("at", `"1969-01-01T00:00:00Z"`), domain.Malformed, "1969", false},
		"not in order":          {line("at", `"2026-01-05T08:59:59Z"`), domain.Malformed, "ordered by time", false},
		"no actor":              {line("actor", ``), domain.Malformed, "actor", false},
		"a bad actor":           {line("actor", `"boss"`), domain.Malformed, `"boss"`, false},
		"no type":               {line("type", ``), domain.Malformed, "type", false},
		"an unknown type":       {line("type", `"account.dreamt"`), domain.Malformed, `"account.dreamt"`, false},
		"no data":               {line("data", ``), domain.Malformed, "data", false},
		"data of another type":  {line("data", `{"principal":"professional:anna"}`), domain.Malformed, "data.account", false},
		"a bad account":         {line("data", `{"account":"client:"}`), domain.Malformed, `"client:"`, false},
		"a long id":             {line("data", `{"account":"client:`+strings.Repeat("c", 129)+`"}`), domain.Malformed, "1 to 128", false},
		"a long reason":         {line("reason", `"`+strings.Repeat("r", 5000)+`"`), domain.Malformed, "at most 4096", false},
		"longer than any":       {line("reason", `"`+strings.Repeat("r", maxLine)+`"`), domain.Malformed, "is longer than", false},
		"sealed already":        {line("sealed_for", `"client:c1"`), domain.Malformed, "sealed_for", false},
		"an unknown kind":       {line("data", `{"account":"robot:r1"}`), domain.RuleBroken, "robot", false},
		"opened before":         {line("data", `{"account":"client:c1"}`), domain.Conflict, "opened before", false},
		"an unknown account":    {line("type", `"role.assigned"`, "data", `{"principal":"professional:bob","role":"therapist"}`), domain.Unknown, "bob", false},
		"an unknown role":       {line("type", `"role.assigned"`, "data", `{"principal":"professional:anna","role":"king"}`), domain.RuleBroken, "king", false},
		"a role for others":     {line("type", `"role.assigned"`, "data", `{"principal":"client:c1","role":"therapist"}`), domain.RuleBroken, "is a client", false},
		"assigned already":      {line("type", `"role.assigned"`, "data", `{"principal":"professional:anna","role":"therapist"}`), domain.Conflict, "already", false},
		"ends before it begins": {line("type", `"caseload.linked"`, "data", `{"principal":"professional:anna","client":"client:c1","relation":"therapist","from":"2026-03-01T00:00:00Z","until":"2026-02-01T00:00:00Z"}`), domain.RuleBroken, "must end after it begins", false},
		"ends what is not":      {line("type", `"caseload.unlinked"`, "data", `{"principal":"professional:anna","client":"client:c1","relation":"therapist"}`), domain.Conflict, "is not linked", false},
		"a grant for no reason": {line("type", `"access.granted"`, "data", `{"principal":"professional:anna","client":"client:c1","profile":"emergency","until":"2026-01-06T01:00:00Z"}`), domain.RuleBroken, "reason", false},
		"an unknown grant":      {line("type", `"access.revoked"`, "data", `{"grant":"g1"}`), domain.Unknown, "g1", false},
		"corrects what is not":  {line("type", `"fact.corrected"`, "data", `{"corrects":99,"void":true}`), domain.Unknown, "99", false},
		"a bad catalogue":       {line("type", `"catalogue.adopted"`, "data", `{"document":"catalogue: x\nkings: {}\n"}`), domain.RuleBroken, "kings", true},
	} {
		t.Run(what, func(t *testing.T) {
			after := line("at", `"2026-01-07T00:00:00Z"`, "data", `{"account":"client:after"}`)
			_, err := s.Import(t.Context(), acme, []byte(house), strings.NewReader(good.String()+bad.line+"\n"+after+"\n"), nil)
			var e *domain.Error
			prefix := fmt.Sprintf("line %d: ", number)
			if !errors.As(err, &e) || e.Failure != bad.failure || !strings.HasPrefix(e.Message, prefix) || !strings.Contains(e.Message, bad.part) || strings.Contains(e.Message, "\n") != bad.lines {
				t.Fatalf("got %v, want one line of %s that begins with %q and says %q", err, bad.failure, prefix, bad.part)
			}
			wantNothing(t, s)
		})
	}
	sum, err := s.Import(t.Context(), acme, []byte(house), strings.NewReader(good.String()), nil)
	if err != nil || sum.Events != good.n+1 {
		t.Fatalf("a good history after all those: got %+v, %v", sum, err)
	}
	wantWhole(t, ledgerOf(t, s), nil)
}

func TestBadBeforeAnyLine(t *testing.T) {
	s := importing(t)
	good := staff().String()
	for what, test := range map[string]struct {
		document, lines string
		failure         domain.Failure
		code, part      string
	}{
		"an empty file":        {house, "", domain.Malformed, "empty_history", "no lines"},
		"an empty line":        {house, "\n", domain.Malformed, "empty_line", "line 1: "},
		"no catalogue":         {"", good, domain.RuleBroken, "", ""},
		"a catalogue mistaken": {strings.Replace(house, "role: therapist, longest", "role: king, longest", 1), good, domain.RuleBroken, "", "king"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := s.Import(t.Context(), acme, []byte(test.document), strings.NewReader(test.lines), nil)
			var e *domain.Error
			if !errors.As(err, &e) || e.Failure != test.failure || test.code != "" && e.Code != test.code || !strings.Contains(e.Message, test.part) {
				t.Fatalf("got %v, want %s that says %q", err, test.failure, test.part)
			}
			wantNothing(t, s)
		})
	}
}

func TestReadersOfAllSorts(t *testing.T) {
	good := staff()
	for what, from := range map[string]func() io.Reader{
		"no newline at the end": func() io.Reader { return strings.NewReader(strings.TrimSuffix(good.String(), "\n")) },
		"carriage returns":      func() io.Reader { return strings.NewReader(strings.ReplaceAll(good.String(), "\n", "\r\n")) },
		"a pipe, byte by byte": func() io.Reader {
			r, w := io.Pipe()
			go func() {
				for _, b := range []byte(good.String()) {
					_, _ = w.Write([]byte{b})
				}
				w.Close()
			}()
			return r
		},
	} {
		t.Run(what, func(t *testing.T) {
			during(t, imports(t, from()), func(l *Ledger) {
				wantWhole(t, l, nil)
				if l.Head() != domain.Seq(good.n+1) {
					t.Fatalf("the head is %d, want %d", l.Head(), good.n+1)
				}
			})
		})
	}

	s := importing(t)
	t.Run("one that breaks", func(t *testing.T) {
		from := io.MultiReader(strings.NewReader(good.String()), readerFunc(func([]byte) (int, error) { return 0, fs.ErrClosed }))
		_, err := s.Import(t.Context(), acme, []byte(house), from, nil)
		wantError(t, err, domain.Malformed, "bad_history", fmt.Sprintf("line %d: ", good.n+1))
		wantNothing(t, s)
	})
	t.Run("one that is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lines := 0
		from := readerFunc(func(b []byte) (int, error) {
			if lines++; lines == 3000 {
				cancel()
			}
			s := newScript()
			s.at = s.at.Add(time.Duration(lines) * time.Second)
			s.opens(fmt.Sprintf("client:n%d", lines))
			return copy(b, s.String()), nil
		})
		_, err := s.Import(ctx, acme, []byte(house), from, nil)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want that it was cancelled", err)
		}
		wantNothing(t, s)
	})
	t.Run("one that never ends", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = io.WriteString(w, good.String())
			cancel()
		}()
		_, err := s.Import(ctx, acme, []byte(house), r, nil)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want that it was cancelled", err)
		}
		wantNothing(t, s)
	})
}

func TestImportIntoALedger(t *testing.T) {
	s := openService(t, Options{Data: imports(t, strings.NewReader(staff().String()))})
	defer closeService(t, s)
	l := ledgerOf(t, s)
	head := l.Head()
	_, err := l.s.Import(t.Context(), acme, []byte(house), strings.NewReader(history3(t)), nil)
	wantError(t, err, domain.Conflict, "ledger_exists", "acme")
	_, err = l.s.Init(t.Context(), acme, []byte(house), boss, "test")
	wantError(t, err, domain.Conflict, "ledger_exists", "acme")
	wantWhole(t, l, nil)
	record1(t, l, opens("client:c9"))
	if l.Head() != head+1 {
		t.Fatalf("the head is %d, want %d", l.Head(), head+1)
	}
	// Another organisation's is another matter.
	if _, err := l.s.Import(t.Context(), "other", []byte(house), strings.NewReader(history3(t)), nil); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, l, nil)
}

func TestWhatAnImportedLineMakesTrue(t *testing.T) {
	view := func(l *Ledger, at domain.Instant, known string, client domain.Resource) []string {
		a := ask(t, l, at, known)
		defer a.Close()
		return who(t, a, "view_record", client)
	}
	t.Run("a catalogue inside the history", func(t *testing.T) {
		s := staff()
		s.links("professional:anna", "client:c1")
		stricter := strings.Replace(house, "link: therapist, on: client, actions: view_record", "link: therapist, on: client, actions: read_record", 1)
		seq := s.line("catalogue.adopted", object{"document": stricter})
		l := reopened(t, s)
		e, err := l.Event(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := e.Data.(*domain.CatalogueAdoption); !ok || d.Version != 2 || d.Catalogue != "house" || d.Digest == "" || d.Document != stricter {
			t.Fatalf("event %d: got %+v, want version 2 of house", seq, e.Data)
		}
		if got := view(l, e.RecordedAt-1, "", "client:c1"); !slices.Equal(got, []string{"professional:anna"}) {
			t.Fatalf("before it: got %v", got)
		}
		if got := view(l, e.RecordedAt, "", "client:c1"); len(got) != 0 {
			t.Fatalf("from it on: got %v", got)
		}
	})
	t.Run("a grant without a name", func(t *testing.T) {
		s := staff()
		until := s.at.Add(2 * time.Hour)
		seq := s.line("access.granted", object{"principal": "professional:anna", "client": "client:c2", "profile": "emergency", "until": until.Format(time.RFC3339)}, object{"reason": "crisis"})
		l := reopened(t, s)
		e, err := l.Event(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if d := e.Data.(*domain.AccessGrant); string(d.Grant) != string(e.ID) || e.ID == "" {
			t.Fatalf("the grant is %q, want its event's id %q", d.Grant, e.ID)
		}
		ends := domain.InstantOf(until)
		for at, want := range map[domain.Instant]int{e.RecordedAt - 1: 0, e.RecordedAt: 1, ends - 1: 1, ends: 0} {
			if got := view(l, at, "", "client:c2"); len(got) != want {
				t.Fatalf("at %s: got %v, want %d", at, got, want)
			}
		}
	})
	t.Run("sign-ins that failed", func(t *testing.T) {
		s := staff()
		s.links("professional:anna", "client:c1")
		for range 4 {
			s.line("signin.failed", object{"principal": "professional:anna"})
		}
		l := reopened(t, s)
		if l.Head() != domain.Seq(s.n+1) {
			t.Fatalf("the head is %d, want %d: a history's lines and nothing else", l.Head(), s.n+1)
		}
		if got := whoNow(t, l, "view_record", "client:c1"); len(got) != 1 {
			t.Fatalf("after four failures of a history: got %v, want anna, whom nothing locked", got)
		}
		wantEvents(t, record1(t, l, fails(anna)), domain.SigninFailed, domain.AccountLocked) // from here on we count
		if got := whoNow(t, l, "view_record", "client:c1"); len(got) != 0 {
			t.Fatalf("after the lock: got %v", got)
		}
	})
	t.Run("a correction", func(t *testing.T) {
		s := staff()
		at := domain.InstantOf(s.at)
		linked := s.links("professional:anna", "client:c1")
		s.line("fact.corrected", object{"corrects": linked, "void": true})
		l := reopened(t, s)
		if got := view(l, at, "", "client:c1"); len(got) != 1 {
			t.Fatalf("as enforced: got %v, want anna", got)
		}
		for _, known := range []string{"now", fmt.Sprint(linked + 1)} {
			if got := view(l, at, known, "client:c1"); len(got) != 0 {
				t.Fatalf("as known at %s: got %v, want nobody", known, got)
			}
		}
	})
	t.Run("lines of one moment", func(t *testing.T) {
		s := newScript()
		at := s.at
		for _, a := range []string{"professional:boss", "professional:anna", "client:c1"} {
			s.at = at
			s.opens(a)
		}
		s.at = at
		s.assigns("professional:anna", "therapist")
		s.at = at
		s.links("professional:anna", "client:c1")
		l := reopened(t, s)
		moment := domain.InstantOf(at)
		if got := view(l, moment, "", "client:c1"); len(got) != 1 {
			t.Fatalf("at the moment: got %v, want anna", got)
		}
		if got := view(l, moment-1, "", "client:c1"); len(got) != 0 {
			t.Fatalf("before it: got %v", got)
		}
	})
}

func TestSealedTexts(t *testing.T) {
	const reason, name, other = "Diagnosis of an unusual kind", "Clementine van der Zee", "Another matter altogether"
	s := staff()
	named := s.line("account.opened", object{"account": "client:c3", "display_name": name}, object{"reason": reason})
	linked := s.line("caseload.linked", object{"principal": "professional:anna", "client": "client:c3", "relation": "therapist"}, object{"reason": reason})
	others := s.line("caseload.linked", object{"principal": "professional:anna", "client": "client:c1", "relation": "therapist"}, object{"reason": other})
	data := imports(t, strings.NewReader(s.String()))

	read := func(l *Ledger, seq domain.Seq, wantReason, wantName string, wantSealed domain.Account) {
		t.Helper()
		e, err := l.Event(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		gotName := ""
		if d, ok := e.Data.(*domain.AccountOpening); ok {
			gotName = d.DisplayName
		}
		if e.Reason != wantReason || gotName != wantName || e.SealedFor != wantSealed {
			t.Fatalf("event %d: got reason %q, name %q, sealed for %q; want %q, %q, %q", seq, e.Reason, gotName, e.SealedFor, wantReason, wantName, wantSealed)
		}
	}
	during(t, data, func(l *Ledger) {
		live := record1(t, l, because(reason, unlinks(anna, "client:c3"))).Events[0]
		if live.Reason != reason || live.SealedFor != "" {
			t.Fatalf("the caller got %q sealed for %q, want what it sent", live.Reason, live.SealedFor)
		}
		stored := func() (bodies [][]byte) {
			for _, seq := range []domain.Seq{named, linked, others, live.Seq} {
				e, err := l.log.Get(t.Context(), seq)
				if err != nil {
					t.Fatal(err)
				}
				bodies = append(bodies, e.Body)
			}
			return bodies
		}
		read(l, named, reason, name, "")
		read(l, linked, reason, "", "")
		read(l, others, other, "", "")
		read(l, live.Seq, reason, "", "")
		wantNotOnDisk(t, data, reason, name, other)

		before := stored()
		record1(t, l, erases("client:c3"))
		read(l, named, "", "", "client:c3")
		read(l, linked, "", "", "client:c3")
		read(l, live.Seq, "", "", "client:c3")
		read(l, others, other, "", "")
		if !slices.EqualFunc(before, stored(), bytes.Equal) {
			t.Fatal("erasing changed stored bytes")
		}
		_, err := l.Record(t.Context(), []domain.Command{because(reason, links(anna, "client:c3"))})
		wantError(t, err, domain.Conflict, "subject_erased", "client:c3")
	})
	during(t, data, func(l *Ledger) {
		read(l, named, "", "", "client:c3")
		read(l, others, other, "", "")
	})
	wantNotOnDisk(t, data, reason, name, other)
}

// wantNotOnDisk checks that no file of the data directory has one of the texts in it.
func TestImportErasesWhatItsHistoryErased(t *testing.T) {
	const reason, other = "Diagnosis of an unusual kind", "Another matter altogether"
	s := staff()
	s.opens("client:c3")
	erased := s.line("caseload.linked", object{"principal": "professional:anna", "client": "client:c3", "relation": "therapist"}, object{"reason": reason})
	kept := s.line("caseload.linked", object{"principal": "professional:anna", "client": "client:c1", "relation": "therapist"}, object{"reason": other})
	s.line("subject.erased", object{"account": "client:c3"})
	data := imports(t, strings.NewReader(s.String()))
	during(t, data, func(l *Ledger) {
		for seq, want := range map[domain.Seq]string{erased: "", kept: other} {
			e, err := l.Event(t.Context(), seq)
			if err != nil || e.Reason != want {
				t.Errorf("event %d: got reason %q (%v), want %q", seq, e.Reason, err, want)
			}
		}
	})
	wantNotOnDisk(t, data, reason, other)
}

func wantNotOnDisk(t *testing.T, data string, texts ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s holds the plain text %q", path, text)
			}
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Fatalf("looking through %d files of %s: %v", files, data, err)
	}
}
