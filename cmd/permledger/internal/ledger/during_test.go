package ledger

// Intervals and differences over the real history, held against its lines read one after another: by the live projection,
// after it was opened again, and after it was made again from the log.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// A spanQuestion is who could do something at any time of a stretch of lines, answered by reading them.
type spanQuestion struct {
	action     domain.Action
	repository string
	from       domain.Instant
	open       map[string]domain.Instant // since when those can who can now
	intervals  map[string][]string
}

func newSpanQuestion(action domain.Action, repository string, from domain.Instant) *spanQuestion {
	return &spanQuestion{action, repository, from, map[string]domain.Instant{}, map[string][]string{}}
}

// read notes who can from the moment on.
func (q *spanQuestion) read(n *naive, at domain.Instant) {
	now := n.reach(q.action, q.repository)
	for _, who := range now {
		if _, ok := q.open[who]; !ok {
			q.open[who] = at
		}
	}
	for who, since := range q.open {
		if !slices.Contains(now, who) {
			q.close(who, since, at)
		}
	}
}

func (q *spanQuestion) close(who string, since, until domain.Instant) {
	if since < until {
		q.intervals[who] = append(q.intervals[who], fmt.Sprintf("[%s, %s)", since, until))
	}
	delete(q.open, who)
}

// compare asks the ledger the same.
func (q *spanQuestion) compare(t *testing.T, l *Ledger, until domain.Instant) {
	t.Helper()
	for who, since := range q.open {
		q.close(who, since, until)
	}
	a := ask(t, l, until, "")
	defer a.Close()
	sweep, err := domain.NewSweep(a, domain.Span{From: q.from, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for d, err := range sweep.Who(domain.Question{Action: q.action, Resource: domain.Resource(q.repository)}, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range d.Stretches {
			got[string(d.Subject)] = append(got[string(d.Subject)], fmt.Sprintf("[%s, %s)", st.From, st.Until))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(q.intervals) {
		t.Fatalf("who could %s %s from %s until %s:\ngot  %v\nwant %v", q.action, q.repository, q.from, until, got, q.intervals)
	}
}

func TestRealHistoryIntervals(t *testing.T) {
	t.Parallel()
	path := os.Getenv("PERMLEDGER_HISTORY")
	if path == "" {
		t.Skip("PERMLEDGER_HISTORY does not name the real history: skipped")
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []historyLine
	var repositories []string
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
		if l.Type == "account.opened" && strings.HasPrefix(l.Data.Account, "repository:") {
			repositories = append(repositories, l.Data.Account)
		}
	}
	document, err := catalogues.Document("open-source-org")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true, Relaxed: true})
	defer func() { closeService(t, s) }()
	if _, err := s.Import(t.Context(), acme, document, bytes.NewReader(file), nil); err != nil {
		t.Fatal(err)
	}
	l := ledgerOf(t, s)

	r := random(t)
	const window = 100 // lines, about
	n := newNaive()
	var whole []*spanQuestion // over all of the history
	for _, repository := range []string{"repository:kubernetes", pick(r, repositories), pick(r, repositories)} {
		whole = append(whole, newSpanQuestion(pick(r, sorted(reaches)), repository, lines[0].at-1))
	}
	asked, third := 0, 0
	for begin := 0; begin < len(lines); {
		if begin*3/len(lines) > third { // the second third after a restart, the last after a rebuild
			third++
			closeService(t, s)
			if third == 2 {
				if err := os.RemoveAll(filepath.Join(data, "projection")); err != nil {
					t.Fatal(err)
				}
			}
			s = openService(t, Options{Data: data})
			l = ledgerOf(t, s)
		}
		from := lines[begin].at - domain.Instant(r.Int64N(2))
		before := map[domain.Action][]string{}
		repository := pick(r, repositories)
		for action := range reaches {
			before[action] = n.reach(action, repository)
		}
		questions := []*spanQuestion{
			newSpanQuestion(pick(r, sorted(reaches)), repository, from),
			newSpanQuestion(pick(r, sorted(reaches)), "repository:kubernetes", from),
		}
		if from < lines[begin].at {
			for _, q := range questions {
				q.read(n, from)
			}
		}
		end := min(begin+1+r.IntN(2*window), len(lines))
		for end < len(lines) && lines[end].at == lines[end-1].at { // what has one time is known at once
			end++
		}
		for i := begin; i < end; i++ {
			n.fold(t, lines[i].text)
			if i+1 < len(lines) && lines[i+1].at == lines[i].at {
				continue
			}
			for _, q := range append(questions, whole...) {
				q.read(n, lines[i].at)
			}
		}
		until := lines[end-1].at + 1
		if end < len(lines) {
			until += domain.Instant(r.Int64N(int64(lines[end].at - lines[end-1].at)))
		}
		for _, q := range questions {
			q.compare(t, l, until)
			asked++
		}
		compareDiff(t, l, n, repository, before, lines[begin].at-1, until)
		asked++
		begin = end
	}
	for _, q := range whole {
		q.compare(t, l, lines[len(lines)-1].at.Add(time.Hour))
		asked++
	}
	t.Logf("%d questions", asked)
}

// compareDiff holds what differs of a repository between two moments against who could before, and who can by n.
func compareDiff(t *testing.T, l *Ledger, n *naive, repository string, before map[domain.Action][]string, from, until domain.Instant) {
	t.Helper()
	was, is := ask(t, l, from, ""), ask(t, l, until, "")
	defer was.Close()
	defer is.Close()
	if err := is.Account("about", domain.Account(repository)); err != nil {
		t.Fatal(err)
	}
	diff, err := domain.NewDiff(domain.Side{R: was, At: from}, domain.Side{R: is, At: until}, domain.Account(repository))
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []bool{false, true} {
		var got, want []string
		for d, err := range diff.Differences(lost) {
			if err != nil {
				t.Fatal(err)
			}
			if reaches[d.Action] == nil { // commands are not in the naive reading
				continue
			}
			got = append(got, fmt.Sprint(d.Subject, " ", d.Action))
			if d.By.Seq() == 0 {
				t.Fatalf("diff of %s from %s until %s: %s %s: no event did it", repository, from, until, d.Subject, d.Action)
			}
		}
		for action := range reaches {
			then, now := before[action], n.reach(action, repository)
			if lost {
				then, now = now, then
			}
			for _, who := range now {
				if !slices.Contains(then, who) {
					want = append(want, fmt.Sprint(who, " ", action))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("diff of %s from %s until %s, lost %t:\ngot  %v\nwant %v", repository, from, until, lost, got, want)
		}
	}
}
