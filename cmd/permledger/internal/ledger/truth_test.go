package ledger

// The truth tables of the shipped catalogues, in testdata/truth: what each document gives and what it does not, a row
// each, and the world in which it is asked. This file reads them, and holds the ledger to them twice: once with the world
// recorded command by command, and once with it imported as a history with its own times, where every row is asked of
// the moment at which it stands. That a table is whole is held too: whatever is taken out of the catalogue's permits,
// some row must notice.
//
// A line of a table is one of
//
//	catalogue NAME                             the first line: the shipped catalogue
//	founder ACCOUNT                            the second
//	let NAME a,b,c                             NAME stands for the list from here on
//	later 9h                                   the clock moves on
//	ACTOR COMMAND key=value…                   is recorded, a minute after the line before
//	=> COMMAND key=value…                      is recorded with it, in the same commit
//	ACTOR COMMAND key=value… refused CODE      is not
//	SUBJECT ACTION RESOURCE yes                may (or "no"); client= and created_by= say what the question brings
//
// Where a list a,b,c stands for one name, the line stands for one with each; a list may have lists in it. A time is +8h, from the clock; a _ in a reason
// or cause is a space; corrects=last is the newest event. After # comes the sentence of the document.

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// A truthRow is one line of a table with its lists spread.
type truthRow struct {
	line int
	at   domain.Instant
	// A command, what follows it, and the code with which it is refused; "" where it is recorded.
	command domain.Command
	follow  []domain.Data
	refused string
	// Or a question and its answer.
	question domain.Question
	yes      bool
}

// A truthTable is one file.
type truthTable struct {
	file     string
	document []byte
	cat      *domain.Catalogue
	founder  domain.Account
	began    domain.Instant
	rows     []*truthRow
}

// ofCommands are the refusals that no history meets: authority is not judged there, and who was founder may have left.
var ofCommands = []string{"not_permitted", "not_own_access", "last_founder"}

func (r *truthRow) isQuestion() bool { return r.question.Action != "" }

func TestTruthTables(t *testing.T) {
	for _, name := range []string{"minddistrict", "minddistrict-nl", "portal", "precision-teaching"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := readTruth(t, filepath.Join("testdata", "truth", name+".txt"))
			if table.cat.Name != name {
				t.Fatalf("%s is a table of %s", table.file, table.cat.Name)
			}
			if w := table.cat.Warnings(); len(w) > 0 {
				t.Errorf("the catalogue warns of %q, want nothing", w)
			}
			recordTruth(t, table)
			l := importTruth(t, table)
			wantNoPermitUnasked(t, table, l)
			wantNoRuleUnbroken(t, table)
		})
	}
}

// recordTruth records the world command by command and asks each question when the table does.
func recordTruth(t *testing.T, table *truthTable) {
	now := table.began
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true, Now: func() time.Time { return now.Time() }})
	defer closeService(t, s)
	l, err := s.Init(t.Context(), acme, table.document, table.founder, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.rows {
		now = row.at
		if row.isQuestion() {
			a := ask(t, l, 0, "")
			table.wantAnswer(t, "recorded", a, row)
			a.Close()
			continue
		}
		before := l.Head()
		got, err := l.Record(t.Context(), []domain.Command{row.command})
		if row.refused != "" {
			if code := errorCode(err); code != row.refused {
				t.Errorf("%s:%d: recording %s: got %q (%v), want it refused with %s", table.file, row.line, shown(row.command), code, err, row.refused)
			}
			if l.Head() != before {
				t.Fatalf("%s:%d: %s left %d events", table.file, row.line, shown(row.command), l.Head()-before)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s:%d: recording %s: %v", table.file, row.line, shown(row.command), err)
		}
		var is, want []string
		for _, e := range got.Events {
			is = append(is, shownData(e.Data))
		}
		for _, d := range append([]domain.Data{row.command.Data}, row.follow...) {
			want = append(want, shownData(d))
		}
		if !slices.Equal(is, want) {
			t.Fatalf("%s:%d: %s: got the events %q, want %q", table.file, row.line, shown(row.command), is, want)
		}
	}
}

// importTruth imports the same world as a history, and asks each question of its moment. What the catalogue's rules and
// not its permits refuse, a history may not have either.
func importTruth(t *testing.T, table *truthTable) *Ledger {
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true})
	t.Cleanup(func() { closeService(t, s) })
	var history strings.Builder
	add := func(at domain.Instant, actor domain.Account, reason string, data domain.Data) {
		history.WriteString(truthLine(t, at, actor, reason, data))
	}
	add(table.began, table.founder, "", &domain.AccountOpening{Account: table.founder})
	for _, role := range table.cat.Founder {
		add(table.began, table.founder, "", &domain.RoleAssignment{Principal: table.founder, Role: role})
	}
	type refusal struct {
		row     *truthRow
		history string
	}
	var refusals []refusal
	for _, row := range table.rows {
		c := row.command
		switch {
		case row.isQuestion():
		case slices.Contains(ofCommands, row.refused):
		case row.refused != "" && len(refusals) > 0 && refusals[len(refusals)-1].row.line == row.line: // one of a list will do
		case row.refused != "":
			refusals = append(refusals, refusal{row, history.String() + truthLine(t, row.at, c.Actor, c.Reason, c.Data)})
		default:
			add(row.at, c.Actor, c.Reason, c.Data)
			for _, d := range row.follow {
				add(row.at, c.Actor, "", d)
			}
		}
	}
	if _, err := s.Import(t.Context(), acme, table.document, strings.NewReader(history.String()), nil); err != nil {
		t.Fatalf("%s: importing the history: %v", table.file, err)
	}
	for _, r := range refusals {
		if _, err := s.Import(t.Context(), "refused", table.document, strings.NewReader(r.history), nil); errorCode(err) != r.row.refused {
			t.Errorf("%s:%d: importing %s: got %v, want it refused with %s", table.file, r.row.line, shown(r.row.command), err, r.row.refused)
		}
	}
	l := ledgerOf(t, s)
	for _, row := range table.rows {
		if row.isQuestion() {
			a := ask(t, l, row.at, "")
			table.wantAnswer(t, "imported", a, row)
			a.Close()
		}
	}
	return l
}

func (table *truthTable) wantAnswer(t *testing.T, world string, a *Asked, row *truthRow) {
	t.Helper()
	d, err := domain.Evaluate(a, row.question, a.At)
	if err != nil {
		t.Fatalf("%s:%d: %v", table.file, row.line, err)
	}
	if q := row.question; d.Allowed != row.yes {
		t.Errorf("%s:%d: %s, as of %s: may %s %s %s? got %t, want %t; nearest is line %d of the catalogue", table.file, row.line, world, row.at, q.Subject, q.Action, q.Resource, d.Allowed, row.yes, lineOf(d.Permit))
	}
}

func lineOf(p *domain.Permit) int {
	if p == nil {
		return 0
	}
	return p.Line
}

// replaced is a ledger with another catalogue than the one it adopted.
type replaced struct {
	domain.Reader
	cat *domain.Catalogue
}

func (r replaced) Catalogue(domain.Seq) (*domain.Catalogue, error) { return r.cat, nil }

// wantNoPermitUnasked takes one thing after another out of the catalogue's permits and its never: a line, one of several
// names in it, a selector. For every type and action of the line some row must then get another answer, or the table would
// not notice a catalogue that is wrong just there.
func wantNoPermitUnasked(t *testing.T, table *truthTable, l *Ledger) {
	for _, section := range []string{"permits", "never"} {
		lines, _ := plainYAML(t, table.document)[section].([]any)
		for i, line := range lines {
			for _, m := range mutants(line.(map[string]any), section == "never") {
				doc := plainYAML(t, table.document)
				if m.line == nil {
					doc[section] = slices.Delete(slices.Clone(lines), i, i+1)
				} else {
					doc[section].([]any)[i] = m.line
				}
				text, err := yaml.Marshal(doc)
				if err != nil {
					t.Fatal(err)
				}
				cat, err := domain.ParseCatalogue(text)
				if err != nil {
					t.Fatalf("%s[%d] %s: %v", section, i, m.what, err)
				}
				for _, pair := range unnoticed(t, table, l, cat, line.(map[string]any)) {
					t.Errorf("%s: no row about %s notices %s of %v", table.file, pair, m.what, line)
				}
			}
		}
	}
}

// A mutant is a permit line with something taken out, nil where that is all of it.
type mutant struct {
	what string
	line map[string]any
}

func mutants(line map[string]any, never bool) []mutant {
	all := []mutant{{"the lack", nil}}
	for key, value := range line {
		if key == "on" || key == "actions" {
			continue
		}
		names, _ := value.([]any)
		for k, name := range names {
			if len(names) > 1 {
				less := maps.Clone(line)
				less[key] = slices.Delete(slices.Clone(names), k, k+1)
				all = append(all, mutant{fmt.Sprintf("the lack of %v in %s", name, key), less})
			}
		}
		// Who is linked, or is whom it is about, is of a kind by that: beside those selectors it says nothing. And a never
		// is nothing without its role.
		implied := key == "kind" && (line["self"] != nil || line["linked_by"] != nil || line["link"] != nil)
		if implied || never {
			continue
		}
		less := maps.Clone(line)
		delete(less, key)
		all = append(all, mutant{"the lack of " + key, less})
	}
	return all
}

// unnoticed gives the types and actions of a line of which every row gets the answer that it has by the right catalogue.
func unnoticed(t *testing.T, table *truthTable, l *Ledger, cat *domain.Catalogue, line map[string]any) []string {
	open := map[string]bool{}
	for _, on := range plainList(line["on"]) {
		for _, action := range plainList(line["actions"]) {
			open[on+" "+action] = true
		}
	}
	var ev *domain.Evaluator
	var at domain.Instant
	for _, row := range table.rows {
		if !row.isQuestion() {
			continue
		}
		q := row.question
		pair := fmt.Sprintf("%s %s", q.Resource.Kind(), q.Action)
		if !open[pair] {
			continue
		}
		if ev == nil || at != row.at {
			a := ask(t, l, row.at, "")
			defer a.Close()
			var err error
			if ev, err = domain.NewEvaluator(replaced{a, cat}, row.at); err != nil {
				t.Fatal(err)
			}
			at = row.at
		}
		d, err := ev.Evaluate(q)
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed != row.yes {
			delete(open, pair)
		}
	}
	return sorted(open)
}

func plainList(v any) (names []string) {
	all, ok := v.([]any)
	if !ok {
		all = []any{v}
	}
	for _, name := range all {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

func plainYAML(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// wantNoRuleUnbroken holds the table to break each rule of the catalogue that is no permit, and to use every command that
// some permit gives.
func wantNoRuleUnbroken(t *testing.T, table *truthTable) {
	done := map[string]bool{}
	for _, row := range table.rows {
		if row.isQuestion() {
			continue
		}
		key := string(row.command.Name)
		if row.refused == "" {
			done[key] = true
			continue
		}
		switch d := row.command.Data.(type) {
		case *domain.RoleAssignment:
			key += " " + string(d.Role)
		case *domain.CaseloadLink:
			key += " " + string(d.Relation)
		case *domain.AccessGrant:
			key += " " + string(d.Profile)
		case *domain.PermissionAddition:
			key += " " + string(d.On) + " " + string(d.Action)
		}
		done[key+" refused "+row.refused] = true
	}
	want := func(format string, args ...any) {
		if key := fmt.Sprintf(format, args...); !done[key] {
			t.Errorf("%s: no line is %s", table.file, key)
		}
	}
	c := table.cat
	for _, p := range c.Permits {
		for _, a := range p.Actions {
			if _, err := domain.EventOf(a); err == nil && a != "catalogue.adopt" { // a document is no word of a table
				want("%s", a)
			}
		}
	}
	for name, rule := range c.Roles {
		if len(rule.Needs) > 0 {
			want("role.assign %s refused role_needed", name)
		}
		if rule.Group != "" {
			want("role.assign %s refused one_of_group", name)
		}
	}
	for name, rule := range c.Relations {
		if len(rule.Roles) > 0 {
			want("caseload.link %s refused role_needed", name)
		}
		if len(rule.Most) > 0 {
			want("caseload.link %s refused too_many_links", name)
		}
		if rule.By != "" {
			want("caseload.link %s refused not_permitted", name)
		}
	}
	for name, rule := range c.Grants {
		if rule.ReasonRequired {
			want("access.grant %s refused reason_missing", name)
		}
		if rule.Longest > 0 {
			want("access.grant %s refused beyond_longest", name)
		}
		if len(rule.Roles) > 0 {
			want("access.grant %s refused not_permitted", name)
		}
		if rule.ReviewWithin > 0 {
			want("access.review refused own_grant")
		}
	}
	for _, rule := range c.Never {
		for _, on := range rule.On {
			for _, action := range rule.Actions {
				want("permission.add %s %s refused never_individually", on, action)
			}
		}
	}
	if c.Lockout.FailedSignins > 0 {
		want("signin.succeed refused account_locked")
		want("account.unlock refused not_permitted")
	}
	if c.Guests.Longest > 0 {
		want("guest.invite refused beyond_longest")
		want("guest.admit refused already_admitted")
	}
}

// readTruth reads a table.
func readTruth(t *testing.T, file string) *truthTable {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := &truthTable{file: filepath.Base(file), began: domain.InstantOf(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))}
	now, seq := table.began, domain.Seq(0)
	names := map[string][]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		bad := func(err error) {
			if err != nil {
				t.Fatalf("%s:%d: %v", table.file, i+1, err)
			}
		}
		if len(words) < 2 {
			bad(fmt.Errorf("%q is too short", line))
		}
		switch words[0] {
		case "catalogue":
			table.document, err = catalogues.Document(words[1])
			bad(err)
			table.cat, err = domain.ParseCatalogue(table.document)
			bad(err)
			continue
		case "founder":
			table.founder = domain.Account(words[1])
			seq = domain.Seq(2 + len(table.cat.Founder))
			continue
		case "let":
			for _, one := range spread(words[2:3], names) {
				names[words[1]] = append(names[words[1]], one[0])
			}
			continue
		case "later":
			d, err := time.ParseDuration(words[1])
			bad(err)
			now = now.Add(d)
			continue
		case "=>":
			last := table.rows[len(table.rows)-1]
			c, err := readTruthCommand(append([]string{string(last.command.Actor)}, words[1:]...), now, seq)
			bad(err)
			last.follow = append(last.follow, c.Data)
			seq++
			continue
		}
		for _, words := range spread(words, names) {
			row := &truthRow{line: i + 1}
			end := words[len(words)-1]
			if end == "yes" || end == "no" {
				row.at, row.yes = now, end == "yes"
				row.question, err = readTruthQuestion(words[:len(words)-1])
				bad(err)
				table.rows = append(table.rows, row)
				continue
			}
			if n := len(words); words[n-2] == "refused" {
				row.refused, words = end, words[:n-2]
			}
			now = now.Add(time.Minute)
			row.at = now
			row.command, err = readTruthCommand(words, now, seq)
			bad(err)
			if row.refused == "" {
				seq++
			}
			table.rows = append(table.rows, row)
		}
	}
	return table
}

// spread gives a line with every list in it spread: one line for each choice of names.
func spread(words []string, names map[string][]string) [][]string {
	lines := [][]string{nil}
	for _, word := range words {
		key, list, pair := strings.Cut(word, "=")
		if !pair {
			key, list = "", word
		} else {
			key += "="
		}
		var more [][]string
		for _, line := range lines {
			for _, name := range strings.Split(list, ",") {
				one, ok := names[name]
				if !ok {
					one = []string{name}
				}
				for _, o := range one {
					more = append(more, append(slices.Clip(line), key+o))
				}
			}
		}
		lines = more
	}
	return lines
}

func readTruthQuestion(words []string) (q domain.Question, err error) {
	if len(words) < 3 {
		return q, fmt.Errorf("%q: want SUBJECT ACTION RESOURCE", words)
	}
	if q.Subject, err = domain.ParseAccount(words[0]); err != nil {
		return q, err
	}
	if q.Action, err = domain.ParseAction(words[1]); err != nil {
		return q, err
	}
	if q.Resource, err = domain.ParseResource(words[2]); err != nil {
		return q, err
	}
	for _, word := range words[3:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "client":
			q.Client = domain.Account(value)
		case "created_by":
			q.CreatedBy = domain.Account(value)
		default:
			return q, fmt.Errorf("%q: a question brings client= and created_by=", word)
		}
	}
	return q, nil
}

func readTruthCommand(words []string, now domain.Instant, last domain.Seq) (c domain.Command, err error) {
	typ, err := domain.EventOf(domain.Action(words[1]))
	if err != nil {
		return c, err
	}
	command := object{"command": words[1], "actor": words[0]}
	var pairs [][2]string
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "reason":
			command["reason"] = strings.ReplaceAll(value, "_", " ")
			continue
		case key == "cause":
			value = strings.ReplaceAll(value, "_", " ")
		case key == "corrects" && value == "last":
			value = fmt.Sprint(last)
		case strings.HasPrefix(value, "+"):
			d, err := time.ParseDuration(value[1:])
			if err != nil {
				return c, err
			}
			value = now.Add(d).String()
		}
		pairs = append(pairs, [2]string{key, value})
	}
	data, err := domain.DataFields(typ, pairs)
	if err != nil {
		return c, err
	}
	command["data"] = json.RawMessage(dataJSON(data))
	text, err := json.Marshal(command)
	if err != nil {
		return c, err
	}
	return domain.DecodeCommand(text) // as it would be sent: of a link it keeps the digest
}

// truthLine writes data as a line of a history.
func truthLine(t *testing.T, at domain.Instant, actor domain.Account, reason string, data domain.Data) string {
	t.Helper()
	line := object{"at": at.String(), "type": data.Type(), "actor": actor, "data": json.RawMessage(dataJSON(data))}
	if reason != "" {
		line["reason"] = reason
	}
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// dataJSON gives the data in the form in which it is written anywhere, which is that of an event.
func dataJSON(data domain.Data) []byte {
	var e struct{ Data json.RawMessage }
	text, err := json.Marshal(&domain.Event{Type: data.Type(), Data: data})
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		panic(err)
	}
	return e.Data
}

func shownData(data domain.Data) string { return fmt.Sprintf("%s %s", data.Type(), dataJSON(data)) }

func shown(c domain.Command) string {
	return fmt.Sprintf("%s by %s %s", c.Name, c.Actor, dataJSON(c.Data))
}

// errorCode gives the stable code of a refusal.
func errorCode(err error) string {
	var e *domain.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
