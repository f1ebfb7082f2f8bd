package ledger

// The real history, held against loops over its lines that know nothing of permledger.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// reaches gives, for each action of open-source-org on a repository, the relations that give it.
var reaches = map[domain.Action][]string{
	"view":       {"read", "triage", "write", "maintain", "admin"},
	"triage":     {"triage", "write", "maintain", "admin"},
	"push":       {"write", "maintain", "admin"},
	"maintain":   {"maintain", "admin"},
	"administer": {"admin"},
}

// reach gives who may do the action to the repository by the catalogue open-source-org.
func (n *naive) reach(action domain.Action, repository string) []string {
	if !n.opened[repository] {
		return []string{}
	}
	who := n.linked(repository, reaches[action]...)
	for r := range n.roles {
		if r[1] == "admin" {
			who[r[0]] = true
		}
	}
	return append([]string{}, sorted(who)...)
}

// everything gives what the subject may do to which repositories.
func (n *naive) everything(subject string) map[string][]domain.Action {
	all := map[string][]domain.Action{}
	for _, action := range sorted(reaches) {
		to := map[string]bool{}
		for l := range n.links {
			if slices.Contains(reaches[action], l[2]) && (l[0] == subject || n.members[l[0]][subject]) {
				to[l[1]] = true
			}
		}
		for account := range n.opened {
			if to[account] || strings.HasPrefix(account, "repository:") && n.roles[[2]string{subject, "admin"}] {
				all[account] = append(all[account], action)
			}
		}
	}
	return all
}

// historyLine is a line of the real history, and when it was recorded.
type historyLine struct {
	at   domain.Instant
	text []byte
}

func TestRealHistory(t *testing.T) {
	t.Parallel() // beside the test that mostly waits
	path := os.Getenv("PERMLEDGER_HISTORY")
	if path == "" {
		t.Skip("PERMLEDGER_HISTORY does not name the real history: skipped")
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []historyLine
	names := map[string][]string{} // every account that is ever opened, by kind
	for text := range bytes.Lines(file) {
		var l struct {
			At   time.Time
			Type string
			Data struct{ Account string }
		}
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, historyLine{domain.Instant(l.At.UnixNano()), text})
		if l.Type == "account.opened" {
			kind, _, _ := strings.Cut(l.Data.Account, ":")
			names[kind] = append(names[kind], l.Data.Account)
		}
	}
	document, err := catalogues.Document("open-source-org")
	if err != nil {
		t.Fatal(err)
	}
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true})
	defer closeService(t, s)
	sum, err := s.Import(t.Context(), acme, document, bytes.NewReader(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Imported{len(lines) + 1, lines[0].at, lines[len(lines)-1].at}); sum != want {
		t.Fatalf("import: got %+v, want %+v", sum, want)
	}
	l := ledgerOf(t, s)

	t.Run("line n is seq n+1", func(t *testing.T) {
		all := events(t, l)
		if len(all) != len(lines)+1 || all[0].Type != domain.CatalogueAdopted || all[0].RecordedAt != lines[0].at {
			t.Fatalf("got %d events, the first %s at %s; want %d, catalogue.adopted at %s", len(all), all[0].Type, all[0].RecordedAt, len(lines)+1, lines[0].at)
		}
		for i, line := range lines {
			wantLine(t, all[i+1], domain.Seq(i+2), line.text)
		}
	})

	r := random(t)
	first, last := lines[0].at, lines[len(lines)-1].at
	moments := []domain.Instant{first - 1, first, last - 1, last, last + 1, last.Add(1000 * time.Hour)}
	for range rounds(70) {
		event := pick(r, lines).at
		moments = append(moments, first+domain.Instant(r.Int64N(int64(last-first))), event, event-1)
	}
	slices.Sort(moments)

	h := interrogation{l: l, names: names, r: r}
	n := newNaive()
	at := 0
	for _, moment := range moments {
		for ; at < len(lines) && lines[at].at <= moment; at++ {
			n.fold(t, lines[at].text)
		}
		later := moment + 1 + domain.Instant(r.Int64N(int64(last-first)))
		h.compare(t, n, moment, "")
		h.compare(t, n, moment, "now")          // no fact of it was recorded late: corrected is enforced
		h.compare(t, n, later, moment.String()) // and known then, nothing had ended since
		if at > 0 {
			h.compare(t, n, moment, fmt.Sprint(at+1))
			h.compare(t, n, later, fmt.Sprint(at+1))
		}
	}
	t.Logf("%d questions at %d moments", h.asked, len(moments))
}

// wantLine holds an event of the ledger against the line it came from.
func wantLine(t *testing.T, e *domain.Event, seq domain.Seq, text []byte) {
	t.Helper()
	shown, err := e.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	type form struct {
		Seq           domain.Seq
		At            time.Time
		RecordedAt    time.Time `json:"recorded_at"`
		Type          string
		Actor, Source string
		Data          json.RawMessage
	}
	var got, want form
	if err := json.Unmarshal(shown, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	same := got.Seq == seq && got.RecordedAt.Equal(want.At) && bytes.Equal(got.Data, want.Data)
	if !same || got.Type != want.Type || got.Actor != want.Actor || got.Source != want.Source {
		t.Fatalf("seq %d: got %s, want %s", seq, shown, text)
	}
}

// interrogation asks the ledger of the real history.
type interrogation struct {
	l     *Ledger
	names map[string][]string
	r     *rand.Rand
	asked int
}

// anyone is an account of the history, opened by then or not.
func (h *interrogation) anyone() string {
	return pick(h.r, h.names[pick(h.r, []string{"person", "person", "person", "team"})])
}

// compare asks about a few accounts as of the moment, which n has been read up to.
func (h *interrogation) compare(t *testing.T, n *naive, moment domain.Instant, known string) {
	t.Helper()
	a := ask(t, h.l, moment, known)
	defer a.Close()
	failed := func(question string, got, want any) {
		t.Helper()
		t.Fatalf("%s --at %s --known-at %q: got %v, want %v", question, moment, known, got, want)
	}
	actions := sorted(reaches)
	for _, repository := range []string{"repository:kubernetes", pick(h.r, h.names["repository"])} {
		h.asked++
		action := pick(h.r, actions)
		if got, want := who(t, a, action, domain.Resource(repository)), n.reach(action, repository); !slices.Equal(got, want) {
			failed(fmt.Sprintf("who %s %s", action, repository), got, want)
		}
	}

	subject := h.anyone()
	if holders := n.reach("push", pick(h.r, h.names["repository"])); len(holders) > 0 && h.r.IntN(2) == 0 {
		subject = pick(h.r, holders)
	}
	got := map[string][]domain.Action{}
	kinds := []domain.Kind{"repository", "organisation"}
	if h.r.IntN(10) == 0 {
		kinds = []domain.Kind{""} // all; for an admin that is a command or two on every person
	}
	for _, kind := range kinds {
		for reach, err := range domain.What(a, domain.Account(subject), "", kind, a.At, "") {
			if err != nil {
				t.Fatal(err)
			}
			for _, action := range reach.Actions {
				if !strings.Contains(string(action), ".") { // commands are not in the naive reading
					got[string(reach.Resource)] = append(got[string(reach.Resource)], action)
				}
			}
		}
	}
	want := n.everything(subject)
	if n.roles[[2]string{subject, "member"}] {
		want["organisation:*"] = []domain.Action{"view"}
	}
	h.asked++
	if fmt.Sprint(got) != fmt.Sprint(want) {
		failed("what "+subject, got, want)
	}

	for range 5 {
		q := domain.Question{Subject: domain.Account(h.anyone()), Action: pick(h.r, actions), Resource: domain.Resource(pick(h.r, h.names["repository"]))}
		if h.r.IntN(2) == 0 {
			q.Subject = domain.Account(subject)
		}
		d, err := domain.Evaluate(a, q, a.At)
		if err != nil {
			t.Fatal(err)
		}
		h.asked++
		if want := slices.Contains(n.reach(q.Action, string(q.Resource)), string(q.Subject)); d.Allowed != want {
			failed(fmt.Sprintf("check %s %s %s", q.Subject, q.Action, q.Resource), d.Allowed, want)
		}
	}
}
