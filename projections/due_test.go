package projections

// What is due, against a loop over the events that knows each fact's versions and nothing of an index.

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/permledger/permledger/domain"
)

// due gives what is due at or before until: of the newest version of each fact, what was yet to come when a version first
// said so that has been followed by none that did not, and of which no event took notice since.
func (m model) due(until domain.Instant) (dues []domain.Due) {
	for _, h := range m.facts(domain.Seq(len(m))) {
		versions := m.versions(h.Fact, domain.Seq(len(m)))
		for _, d := range domain.Dues(h.Fact, h.Version) {
			said := h.Version
			for _, v := range slices.Backward(versions) {
				if !slices.Contains(domain.Dues(h.Fact, v), d) {
					break
				}
				said = v
			}
			noticed := slices.ContainsFunc(m[said.Seq:], func(r recorded) bool {
				return r.event.RecordedAt >= d.At && reflect.DeepEqual(r.event.Data, d.Notice())
			})
			if said.Recorded < d.At && d.At <= until && !noticed {
				dues = append(dues, d)
			}
		}
	}
	slices.SortFunc(dues, domain.Due.Compare)
	return slices.Compact(dues) // a guest's invitation and the guest have one
}

// everDue gives what was ever due after one moment and not after another, as known before it was.
func (m model) everDue(after, until domain.Instant) (dues []domain.Due) {
	for _, h := range m.facts(domain.Seq(len(m))) {
		for _, v := range m.versions(h.Fact, domain.Seq(len(m))) {
			for _, d := range domain.Dues(h.Fact, v) {
				if v.Recorded < d.At && after < d.At && d.At <= until {
					dues = append(dues, d)
				}
			}
		}
	}
	slices.SortFunc(dues, domain.Due.Compare)
	return slices.Compact(dues)
}

// drawDated makes the next event after the model: one about dated facts, which need not be allowed but can follow.
func (m model) drawDated(t *rapid.T) *domain.Event {
	now := domain.Instant(1)
	if n := len(m); n > 0 {
		now = m[n-1].event.RecordedAt + domain.Instant(rapid.IntRange(0, 3).Draw(t, "later"))
	}
	bound := func(name string) domain.Instant {
		return max(0, now+domain.Instant(rapid.IntRange(-4, 8).Draw(t, name)))
	}
	from, until := bound("from"), bound("until")
	if until <= max(from, now) {
		until = 0
	}
	who := rapid.SampledFrom(somebody).Draw(t, "who")
	began := func() domain.Seq {
		var seqs []domain.Seq
		for _, r := range m {
			if f, ok := m.factAt(r.event.Seq, domain.Seq(len(m))); ok && f.Family.Dated() {
				seqs = append(seqs, r.event.Seq)
			}
		}
		if len(seqs) == 0 {
			return 0
		}
		return rapid.SampledFrom(seqs).Draw(t, "began")
	}
	ends := func(f domain.Fact) bool {
		_, ok := m.fact(f, domain.Seq(len(m))).Current(now)
		return ok
	}
	var d domain.Data = &domain.RoleAssignment{Principal: who, Role: "x", From: from, Until: until}
	switch rapid.SampledFrom([]string{"role", "end", "link", "leave", "grant", "invite", "over", "correct", "void", "start", "stop"}).Draw(t, "kind") {
	case "end":
		if ends(domain.Fact{Family: domain.FamilyRole, Subject: who, Object: domain.RoleRef("x"), Name: "x"}) {
			d = &domain.RoleRevocation{Principal: who, Role: "x"}
		}
	case "link":
		d = &domain.CaseloadLink{Principal: who, Client: "client:a", Relation: "x", From: from, Until: until}
	case "leave":
		d = &domain.TeamJoin{Team: "team:t", Member: who, From: from, Until: until}
		if ends(domain.Fact{Family: domain.FamilyMember, Subject: who, Object: "team:t"}) {
			d = &domain.TeamLeave{Team: "team:t", Member: who}
		}
	case "grant":
		d = &domain.AccessGrant{Grant: domain.GrantID(fmt.Sprint("g", len(m))), Principal: who, Client: "client:a", Profile: "x", From: from, Until: max(until, now+1)}
	case "invite":
		d = &domain.GuestInvitation{Guest: who, Call: "call:1", Until: max(until, now+1)}
	case "over":
		d = &domain.CallEnding{Call: "call:1"}
	case "correct":
		if seq := began(); seq != 0 {
			d = &domain.Correction{Corrects: seq, From: from, Until: until}
		}
	case "void":
		if seq := began(); seq != 0 {
			d = &domain.Correction{Corrects: seq, Void: true}
		}
	case "start":
		if seq := began(); seq != 0 {
			d = &domain.ValidityStart{Of: seq}
		}
	case "stop":
		if seq := began(); seq != 0 {
			d = &domain.ValidityEnd{Of: seq}
		}
	}
	return &domain.Event{
		Seq: domain.Seq(len(m) + 1), ID: domain.EventID(fmt.Sprintf("event-%d", len(m)+1)), Org: "acme", Type: d.Type(), Version: 1,
		RecordedAt: now, Actor: "user:a", Data: d,
	}
}

func TestWhatIsDueIsAsTheModelSays(t *testing.T) {
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		db := open(t, fs)
		defer func() { ok(t, db.Close()) }()
		l := ledger(t, db, "acme")
		var m model // every event applied; of these the first committed ones
		committed := domain.Seq(0)
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "events") {
					e := m.drawDated(t)
					changes, err := l.Head().Apply(e)
					ok(t, err)
					m = append(m, recorded{e, changes})
				}
			},
			"notice": func(t *rapid.T) { // as the clock does
				now := domain.Instant(1)
				if n := len(m); n > 0 {
					now = m[n-1].event.RecordedAt + domain.Instant(rapid.IntRange(0, 5).Draw(t, "later"))
				}
				dues, err := l.Head().Due(now, rapid.IntRange(1, 3).Draw(t, "limit"))
				ok(t, err)
				for _, d := range dues {
					e := &domain.Event{Seq: domain.Seq(len(m) + 1), ID: domain.EventID(fmt.Sprint("event-", len(m)+1)), Org: "acme",
						Type: d.Notice().Type(), Version: 1, RecordedAt: now, Actor: domain.ClockActor, Data: d.Notice()}
					changes, err := l.Head().Apply(e)
					ok(t, err)
					m = append(m, recorded{e, changes})
				}
			},
			"commit": func(t *rapid.T) {
				committed = domain.Seq(rapid.Uint64Range(uint64(committed), uint64(len(m))).Draw(t, "up to"))
				ok(t, l.Head().Commit(committed))
			},
			"drop": func(t *rapid.T) {
				l.Head().Drop()
				m = m[:committed]
			},
			"reopen": func(t *rapid.T) {
				ok(t, db.Close())
				db = open(t, fs)
				l = ledger(t, db, "acme")
				m = m[:committed]
			},
			"wipe and replay": func(t *rapid.T) {
				before := dump(t, db, "acme")
				ok(t, l.Wipe())
				if _, some, err := l.NextDue(); some || err != nil {
					t.Fatalf("after a wipe something is due (%v)", err)
				}
				m = m[:committed]
				for _, r := range m {
					_, err := l.Head().Apply(r.event)
					ok(t, err)
				}
				ok(t, l.Head().Commit(committed))
				if after := dump(t, db, "acme"); !maps.Equal(before, after) {
					t.Fatalf("after a replay:\n got %q\nwant %q", after, before)
				}
			},
			"": func(t *rapid.T) {
				until := domain.Instant(rapid.IntRange(0, 3*len(m)+10).Draw(t, "until"))
				if rapid.Bool().Draw(t, "whenever") {
					until = domain.Forever
				}
				want := m.due(until)
				most = max(most, len(want))
				want = want[:min(len(want), rapid.IntRange(1, 10).Draw(t, "limit"))]
				got, err := l.Head().Due(until, max(1, len(want)))
				ok(t, err)
				if !slices.Equal(got, want) {
					t.Fatalf("after %d events, %d of them committed, due until %d:\n got %v\nwant %v", len(m), committed, until, got, want)
				}
				after := domain.Instant(rapid.IntRange(0, int(min(until, 10_000))).Draw(t, "after"))
				if got, want := all(t, l.Dues(after, until)), m[:committed].everDue(after, until); !slices.Equal(got, want) {
					t.Fatalf("after %d events, ever due after %d until %d:\n got %v\nwant %v", committed, after, until, got, want)
				}
				at, some, err := l.NextDue()
				ok(t, err)
				if want := m[:committed].due(domain.Forever); some != (len(want) > 0) || some && at != want[0].At {
					t.Fatalf("after %d events, the next is due at %d (%t), want that of %v", committed, at, some, want)
				}
			},
		})
	})
	if most < 3 {
		t.Errorf("at most %d were ever due: the histories are too poor", most)
	}
}

// Whoever waits for the next is told of an earlier one when it is committed, and of nothing else.
func TestSooner(t *testing.T) {
	db := open(t, vfs.NewMem())
	t.Cleanup(func() { ok(t, db.Close()) })
	l := ledger(t, db, "acme")
	told := func() bool {
		select {
		case <-l.Sooner():
			return true
		default:
			return false
		}
	}
	until := func(n int) domain.Instant { return domain.Instant(n) * domain.Instant(time.Minute) }
	for i, e := range events(
		&domain.RoleAssignment{Principal: anna, Role: "a", Until: until(3)},
		&domain.RoleAssignment{Principal: anna, Role: "b", Until: until(2)},
		&domain.RoleAssignment{Principal: anna, Role: "c", Until: until(2)},
		&domain.RoleAssignment{Principal: anna, Role: "d"},
		&domain.RoleAssignment{Principal: anna, Role: "e", From: until(1)},
		&domain.RoleRevocation{Principal: anna, Role: "e"},
	) {
		_, _, err := l.NextDue()
		ok(t, err)
		apply(t, l.Head(), e)
		if told() {
			t.Errorf("told of event %d before it was committed", e.Seq)
		}
		ok(t, l.Head().Commit(e.Seq))
		if got, want := told(), []bool{true, true, false, false, true, false}[i]; got != want {
			t.Errorf("event %d: told of an earlier one %t, want %t", e.Seq, got, want)
		}
	}
	if at, some, err := l.NextDue(); at != until(2) || !some || err != nil {
		t.Errorf("next due: got %s %t %v, want %s", at, some, err, until(2))
	}
	// What is read wrong is told, and not taken for nothing.
	ok(t, db.pebble.Set(l.keys.due(nil, until(1), 5), []byte("?"), nil))
	_, _, err := l.NextDue()
	wantFailure(t, "the next due of damaged ones", err, domain.Integrity)
	_, err = l.Head().Due(until(5), 5)
	wantFailure(t, "what is due of damaged ones", err, domain.Integrity)
}
