package ledger

// A projection that an older program left: it is made again from the log by itself, and its log is checked as any is.

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// older makes of acme's projection one of format 1: that number, and no list of grants.
func older(t *testing.T, data string) { rewrite(t, data, 1) }

// rewrite puts a format's number into acme's projection and takes away what format 1 had not. It goes beneath package
// projections, which writes its own format alone: a key of acme's begins with "acme\x00", its position is under "p".
func rewrite(t *testing.T, data string, format byte) {
	t.Helper()
	onDisk(t, data, func(db *pebble.DB) {
		value, closer, err := db.Get([]byte("acme\x00p"))
		if err != nil {
			t.Fatal(err)
		}
		value = append([]byte{format}, value[1:]...)
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Set([]byte("acme\x00p"), value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		grants := "acme\x00a" + string(domain.GrantsRef)
		if err := db.DeleteRange([]byte(grants+"\x00"), []byte(grants+"\x01"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
}

// onDisk opens the projections' database as the file that it is, for a while.
func onDisk(t *testing.T, data string, do func(db *pebble.DB)) {
	t.Helper()
	bytewise := *pebble.DefaultComparer
	bytewise.Name = "permledger.fact-seq.1"
	db, err := pebble.Open(filepath.Join(data, "projection"), &pebble.Options{Comparer: &bytewise, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, _ ...any) {
	panic(format)
}

// grants lists the grants that there ever were.
func grants(t *testing.T, l *Ledger) (ids []string) {
	t.Helper()
	a := ask(t, l, 0, "")
	defer a.Close()
	for g, err := range domain.Grants(a, domain.GrantQuery{}, a.At, 0) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(g.ID))
	}
	return ids
}

// withGrants makes a ledger in which two grants were given, and gives its answers.
func withGrants(t *testing.T) (data, before string) {
	t.Helper()
	s := staff()
	for _, id := range []string{"g1", "g2"} {
		s.line("access.granted", object{"grant": id, "principal": "professional:anna", "client": "client:c1", "profile": "emergency", "until": "2026-01-05T16:00:00Z"},
			object{"reason": "why"})
	}
	data = imports(t, strings.NewReader(s.String()))
	during(t, data, func(l *Ledger) {
		before = answers(t, l)
		if got := grants(t, l); len(got) != 2 || before == "" {
			t.Fatalf("got grants %v and answers %q, want g2 and g1, and answers", got, before)
		}
	})
	return data, before
}

func TestAnOlderProjectionIsMadeAgain(t *testing.T) {
	data, before := withGrants(t)
	older(t, data)
	for _, time := range []string{"first", "second"} {
		during(t, data, func(l *Ledger) {
			if got := grants(t, l); strings.Join(got, " ") != "g2 g1" {
				t.Errorf("opened the %s time: got grants %v, want g2 and g1", time, got)
			}
			if after := answers(t, l); after != before {
				t.Errorf("opened the %s time, the answers are others; before:\n%s\nafter:\n%s", time, before, after)
			}
			if p := l.p.Position(); p.Outdated || p.Building || p.Stream.IsZero() {
				t.Errorf("opened the %s time: got position %+v, want one of this program", time, p)
			}
			record1(t, l, opens(domain.Account("client:"+time)))
			before = answers(t, l)
		})
	}
}

func TestANewerProjectionIsRefused(t *testing.T) {
	data, _ := withGrants(t)
	rewrite(t, data, 200)
	s := openService(t, Options{Data: data})
	defer closeService(t, s)
	_, err := s.Ledger(t.Context(), acme)
	wantError(t, err, domain.Integrity, "projections_format", "format 200")
}

// That it is going to be made again is no reason not to see that the log is another.
func TestAnOlderProjectionOfAnotherLog(t *testing.T) {
	data, _ := withGrants(t)
	other, _ := withGrants(t)
	older(t, data)
	copyDir(t, filepath.Join(data, "log"), filepath.Join(other, "log"))
	s := openService(t, Options{Data: data})
	defer closeService(t, s)
	wantError(t, s.OpenAll(t.Context()), domain.Integrity, "log_swapped", "created at")
}
