package projections

// The naive model that everything here is held against: a list of events and what each changed, read from its front to
// its back for every question. And the helpers that make, fill and dump a database.

import (
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/permledger/permledger/domain"
)

type recorded struct {
	event   *domain.Event
	changes []domain.Change
}

// model is the events of a ledger, seq 1 first.
type model []recorded

func (m model) fact(f domain.Fact, asOf domain.Seq) (v domain.Version) {
	for _, r := range m[:asOf] {
		for _, c := range r.changes {
			if c.Fact == f {
				v = domain.Version{Seq: r.event.Seq, Recorded: r.event.RecordedAt, Intervals: c.Intervals}
			}
		}
	}
	return v
}

func (m model) versions(f domain.Fact, asOf domain.Seq) (all []domain.Version) {
	for _, r := range m[:asOf] {
		if v := m.fact(f, r.event.Seq); v.Seq == r.event.Seq {
			all = append(all, v)
		}
	}
	return all
}

func (m model) deeds(actor domain.Account, after, upTo domain.Seq) (seqs []domain.Seq) {
	for _, r := range m[:upTo] {
		if r.event.Actor == actor && r.event.Seq > after {
			seqs = append(seqs, r.event.Seq)
		}
	}
	return seqs
}

// facts gives every fact that asOf knows, in no order that matters.
func (m model) facts(asOf domain.Seq) []domain.Held {
	seen := map[domain.Fact]bool{}
	var all []domain.Held
	for _, r := range m[:asOf] {
		for _, c := range r.changes {
			if !seen[c.Fact] {
				seen[c.Fact] = true
				all = append(all, domain.Held{Fact: c.Fact, Version: m.fact(c.Fact, asOf)})
			}
		}
	}
	return all
}

func (m model) near(family domain.Family, account domain.Account, onObject bool, asOf domain.Seq) (near []domain.Held) {
	for _, h := range m.facts(asOf) {
		side := h.Fact.Subject
		if onObject {
			side = h.Fact.Object
		}
		if h.Fact.Family == family && side == account {
			near = append(near, h)
		}
	}
	slices.SortFunc(near, func(a, b domain.Held) int { return strings.Compare(parts(a.Fact), parts(b.Fact)) })
	return near
}

func parts(f domain.Fact) string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%s", f.Object, f.Subject, f.Name, f.ID)
}

func (m model) named(kind domain.Kind, asOf domain.Seq) (all []domain.Resource) {
	for _, h := range m.facts(asOf) {
		named := h.Fact.Family == domain.FamilyActive || h.Fact.Family == domain.FamilyResource
		if named && h.Fact.Subject.Kind() == kind {
			all = append(all, domain.Resource(h.Fact.Subject))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m model) factAt(seq, asOf domain.Seq) (domain.Fact, bool) {
	if seq == 0 || seq > asOf {
		return domain.Fact{}, false
	}
	for _, c := range m[seq-1].changes {
		if c.Intervals[len(c.Intervals)-1].Began == seq {
			return c.Fact, true
		}
	}
	return domain.Fact{}, false
}

func (m model) history(about domain.Account, after, upTo domain.Seq) (seqs []domain.Seq) {
	for _, r := range m[:upTo] {
		touched := slices.ContainsFunc(r.changes, func(c domain.Change) bool {
			return c.Fact.Subject == about || c.Fact.Object == about
		})
		if touched && r.event.Seq > after {
			seqs = append(seqs, r.event.Seq)
		}
	}
	return seqs
}

func (m model) seqAt(t domain.Instant) (seq domain.Seq) {
	for _, r := range m {
		if r.event.RecordedAt <= t {
			seq = r.event.Seq
		}
	}
	return seq
}

func (m model) requested(id string) (first, last domain.Seq, ok bool) {
	for _, r := range m {
		if r.event.RequestID == id {
			if !ok {
				first = r.event.Seq
			}
			last, ok = r.event.Seq, true
		}
	}
	return first, last, ok
}

// The few accounts that random histories are about. Some are a beginning of others, and one is another family's object.
var (
	somebody = []domain.Account{"user:a", "user:ab", "user:b", "client:a", "client:c", "team:t", "journal:j"}
	families = []domain.Family{domain.FamilyActive, domain.FamilyLink, domain.FamilyMember, domain.FamilyGrant, domain.FamilyResource}
	begin    = domain.Instant(-5) // some times before 1970
)

func drawFact(t *rapid.T) domain.Fact {
	f := domain.Fact{
		Family:  rapid.SampledFrom(families).Draw(t, "family"),
		Subject: rapid.SampledFrom(somebody).Draw(t, "subject"),
	}
	if f.Family == domain.FamilyActive {
		return f
	}
	f.Object = rapid.SampledFrom(somebody).Draw(t, "object")
	if f.Family == domain.FamilyLink || f.Family == domain.FamilyGrant {
		f.Name = rapid.SampledFrom([]string{"x", "xy"}).Draw(t, "name")
	}
	if f.Family == domain.FamilyGrant {
		f.ID = rapid.SampledFrom([]string{"1", "12", "a b"}).Draw(t, "id")
	}
	return f
}

// draw makes the next event after the model and what it changes.
func (m model) draw(t *rapid.T) recorded {
	e := &domain.Event{
		Seq: domain.Seq(len(m) + 1), ID: domain.EventID(fmt.Sprintf("event-%d", len(m)+1)),
		RecordedAt: begin, Actor: rapid.SampledFrom(somebody).Draw(t, "actor"), Data: &domain.AccountReactivation{},
	}
	if n := len(m); n > 0 {
		e.RecordedAt = m[n-1].event.RecordedAt + domain.Instant(rapid.IntRange(0, 2).Draw(t, "later"))
	}
	if n := len(m); n > 0 && m[n-1].event.RequestID != "" && rapid.Bool().Draw(t, "same request") {
		e.RequestID = m[n-1].event.RequestID
	} else if rapid.Bool().Draw(t, "request") {
		e.RequestID = fmt.Sprintf("request-%d", e.Seq)
	}
	var changes []domain.Change
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		f := drawFact(t)
		if slices.ContainsFunc(changes, func(c domain.Change) bool { return c.Fact == f }) {
			continue
		}
		intervals := slices.Clone(m.fact(f, domain.Seq(len(m))).Intervals)
		if n := len(intervals); n > 0 && rapid.Bool().Draw(t, "end") {
			intervals[n-1].Until, intervals[n-1].Ended = e.RecordedAt, e.Seq
		} else {
			intervals = append(intervals, drawInterval(t, e.Seq))
		}
		changes = append(changes, domain.Change{Fact: f, Intervals: intervals})
	}
	return recorded{e, changes}
}

func drawInterval(t *rapid.T, seq domain.Seq) domain.Interval {
	instant := rapid.Map(rapid.Int64(), func(i int64) domain.Instant { return domain.Instant(i) })
	iv := domain.Interval{
		From: instant.Draw(t, "from"), Until: instant.Draw(t, "until"), Recorded: instant.Draw(t, "recorded"),
		Began: seq, Detail: rapid.SampledFrom([]string{"", "0", "added", "näher"}).Draw(t, "detail"),
	}
	if rapid.Bool().Draw(t, "forever") {
		iv.Until = domain.Forever
	}
	if rapid.Bool().Draw(t, "corrected") {
		iv.Corrected = domain.Seq(rapid.Uint64Range(1, uint64(seq)).Draw(t, "by"))
	}
	return iv
}

// fataler is what testing.T and rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func ok(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

func open(t fataler, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open("projections", Options{FS: fs, CacheBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ok(t, err)
	return db
}

func ledger(t fataler, db *DB, org domain.Org) *Ledger {
	t.Helper()
	l, err := db.Ledger(org)
	ok(t, err)
	return l
}

// fill stages the events and commits them all.
func fill(t fataler, l *Ledger, events ...recorded) {
	t.Helper()
	for _, r := range events {
		ok(t, l.Head().stage(r.event, r.changes))
	}
	ok(t, l.Head().Commit(l.Head().KnownAt()))
}

// dump gives every key and value of the database that begin with prefix.
func dump(t fataler, db *DB, prefix string) map[string]string {
	t.Helper()
	it, err := db.pebble.NewIter(nil)
	ok(t, err)
	defer it.Close()
	all := map[string]string{}
	for valid := it.First(); valid; valid = it.Next() {
		if strings.HasPrefix(string(it.Key()), prefix) {
			all[string(it.Key())] = string(it.Value())
		}
	}
	ok(t, it.Error())
	return all
}

func all[T any](t fataler, seq iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for v, err := range seq {
		ok(t, err)
		list = append(list, v)
	}
	return list
}

// at opens a view that is closed when the test ends.
func at(t *testing.T, l *Ledger, seq domain.Seq) *View {
	t.Helper()
	v, err := l.At(seq)
	ok(t, err)
	t.Cleanup(v.Close)
	return v
}
