package ledger

// What goes wrong outside the process: the log is not the one it was, somebody writes into the log by hand, the
// projection is lost. What was acknowledged stays, and nothing is answered over a log that is not what it was.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// copyDir copies a directory of files.
func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// during opens acme's ledger in the data directory for a while.
func during(t *testing.T, data string, do func(l *Ledger)) {
	t.Helper()
	s := openService(t, Options{Data: data, Create: true})
	defer closeService(t, s)
	if orgs, err := s.Orgs(t.Context()); err != nil {
		t.Fatal(err)
	} else if len(orgs) == 0 {
		if _, err := s.Init(t.Context(), acme, []byte(house), boss, "test"); err != nil {
			t.Fatal(err)
		}
	}
	do(ledgerOf(t, s))
}

func TestAnotherLog(t *testing.T) {
	for what, test := range map[string]struct {
		code  string
		parts []string
		swap  func(data, older string)
	}{
		"truncated": {"log_truncated", []string{"event 6", "ends"}, func(data, older string) {
			copyDir(t, filepath.Join(data, "log"), filepath.Join(older, "log"))
		}},
		"forked": {"log_forked", []string{"event 6"}, func(data, older string) {
			during(t, older, func(l *Ledger) { record1(t, l, opens("client:x"), opens("client:y"), opens("client:z")) })
			copyDir(t, filepath.Join(data, "log"), filepath.Join(older, "log"))
		}},
		"swapped": {"log_swapped", []string{"created at"}, func(data, older string) {
			other := t.TempDir()
			during(t, other, func(l *Ledger) { record1(t, l, opens("client:x"), opens("client:y"), opens("client:z")) })
			copyDir(t, filepath.Join(data, "log"), filepath.Join(other, "log"))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			data, older := t.TempDir(), t.TempDir()
			during(t, data, func(l *Ledger) { record1(t, l, opens("client:a")) })
			copyDir(t, older, data)
			during(t, data, func(l *Ledger) { record1(t, l, opens("client:b"), opens("client:c")) })
			test.swap(data, older)

			s := openService(t, Options{Data: data})
			defer closeService(t, s)
			l, err := s.Ledger(t.Context(), acme)
			for _, part := range append(test.parts, "ledger of acme") {
				wantError(t, err, domain.Integrity, test.code, part)
			}
			wantSilent(t, l, test.code)
			wantError(t, s.OpenAll(t.Context()), domain.Integrity, test.code, "acme")
			wantError(t, s.Ready(t.Context()), domain.Integrity, test.code, "acme")
		})
	}
}

// wantSilent checks that a ledger that has stopped neither answers nor records.
func wantSilent(t *testing.T, l *Ledger, code string) {
	t.Helper()
	for _, at := range []domain.Instant{0, 1} {
		_, err := l.Ask(at, Known{})
		wantError(t, err, domain.Integrity, code, "acme")
	}
	_, err := l.Record(t.Context(), []domain.Command{opens("client:late")})
	wantError(t, err, domain.Integrity, code, "acme")
}

func TestTheStreamIsDeleted(t *testing.T) {
	r := startRemote(t)
	l := founding(t, r.options())
	if err := l.s.store.JetStream().DeleteStream(t.Context(), "PERMLEDGER_acme"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the ledger to notice", func() bool { return l.sound() != nil })
	wantSilent(t, l, "log_swapped")
}

func TestWrittenByHand(t *testing.T) {
	const id = "01K00000000000000000000000"
	for what, test := range map[string]struct{ body, code, part string }{
		"garbage":         {`garbage`, "undecodable_event", "event 5"},
		"unknown type":    {`{"id":"` + id + `","org":"acme","type":"role.dreamt","v":1,"recorded_at":"2199-01-01T00:00:00.000Z","actor":"professional:boss","data":{}}`, "undecodable_event", "event 5 can't be read: type \"role.dreamt\""},
		"unknown version": {`{"id":"` + id + `","org":"acme","type":"account.opened","v":2,"recorded_at":"2199-01-01T00:00:00.000Z","actor":"professional:boss","data":{"account":"client:c1"}}`, "undecodable_event", "version 2"},
		"another's":       {`{"id":"` + id + `","org":"other","type":"account.opened","v":1,"recorded_at":"2199-01-01T00:00:00.000Z","actor":"professional:boss","data":{"account":"client:c1"}}`, "foreign_event", "event 5"},
		"another id":      {`{"id":"01K00000000000000000000001","org":"acme","type":"account.opened","v":1,"recorded_at":"2199-01-01T00:00:00.000Z","actor":"professional:boss","data":{"account":"client:c1"}}`, "foreign_event", "event 5"},
	} {
		t.Run(what, func(t *testing.T) {
			data := t.TempDir()
			during(t, data, func(l *Ledger) { record1(t, l, opens("client:a")) })
			store, err := eventstore.Open(t.Context(), eventstore.Options{Dir: filepath.Join(data, "log")})
			if err != nil {
				t.Fatal(err)
			}
			publish(t, store, test.body, id)
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			s := openService(t, Options{Data: data})
			defer closeService(t, s)
			l, err := s.Ledger(t.Context(), acme)
			wantError(t, err, domain.Integrity, test.code, test.part)
			wantSilent(t, l, test.code)
		})
	}
	t.Run("while it runs", func(t *testing.T) {
		l := founding(t, startRemote(t).options())
		record1(t, l, opens("client:a"))
		publish(t, l.s.store, "garbage", id)
		wait(t, "the ledger to notice", func() bool { return l.sound() != nil })
		wantError(t, l.sound(), domain.Integrity, "undecodable_event", "event 5")
		wantSilent(t, l, "undecodable_event")
	})
}

func publish(t *testing.T, store *eventstore.Store, body, id string) {
	t.Helper()
	msg := &nats.Msg{Subject: "permledger.acme.event.account.opened", Data: []byte(body), Header: nats.Header{nats.MsgIdHdr: {id}}}
	if _, err := store.JetStream().PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// answers asks a ledger of house about everything, as of many moments and as known at many.
func answers(t *testing.T, l *Ledger) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events(t, l) {
		for _, known := range []string{"", "now"} {
			a := ask(t, l, e.RecordedAt, known)
			var clients []domain.Resource
			for c, err := range a.Named("client") {
				if err != nil {
					t.Fatal(err)
				}
				clients = append(clients, c)
			}
			for _, c := range clients {
				for answer, err := range domain.Who(a, domain.Question{Action: "view_record", Resource: c}, a.At, "") {
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintln(&b, e.Seq, known, c, answer.Subject, answer.Decision.Basis, answer.Decision.ValidUntil)
				}
			}
			a.Close()
		}
	}
	now, err := l.Ask(0, Known{})
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	for i := range 3 {
		for told, err := range now.History(t.Context(), Trail{About: professional(i)}) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, professional(i), told.Event.Seq, told.Event.ID)
		}
	}
	return b.String()
}

func TestTheProjectionIsDeleted(t *testing.T) {
	r := random(t)
	data := t.TempDir()
	var before string
	var head domain.Seq
	during(t, data, func(l *Ledger) {
		people(t, l, 3)
		rush(t, r, 4, rounds(25), 3, l)
		before, head = answers(t, l), l.Head()
	})
	if len(before) < 1000 {
		t.Fatalf("there are hardly any answers to compare:\n%s", before)
	}
	if err := os.RemoveAll(filepath.Join(data, "projection")); err != nil {
		t.Fatal(err)
	}
	during(t, data, func(l *Ledger) {
		if l.Head() != head {
			t.Fatalf("after rebuilding the head is %d, want %d", l.Head(), head)
		}
		if after := answers(t, l); after != before {
			t.Fatalf("the answers are others after rebuilding; before:\n%s\nafter:\n%s", before, after)
		}
		record1(t, l, opens("client:after"))
	})
}

// An import commits the log first. A crash before it leaves no ledger; one right after it leaves a projection that still
// says that it is being built.
func TestAnImportDies(t *testing.T) {
	lines := history3(t)
	t.Run("after the log's commit", func(t *testing.T) {
		data := t.TempDir()
		s := openService(t, Options{Data: data, Create: true})
		if _, err := s.Import(t.Context(), acme, []byte(house), strings.NewReader(lines), nil); err != nil {
			t.Fatal(err)
		}
		before := answers(t, ledgerOf(t, s))
		closeService(t, s)

		db, err := projections.Open(filepath.Join(data, "projection"), projections.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := db.Ledger(acme)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Bind(p.Position().Stream, true); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}

		during(t, data, func(l *Ledger) {
			if after := answers(t, l); after != before || before == "" {
				t.Fatalf("the answers are others after the crash; before:\n%s\nafter:\n%s", before, after)
			}
			if p := l.p.Position(); p.Building {
				t.Fatalf("it still says that it is being built: %+v", p)
			}
			record1(t, l, opens("client:after"))
		})
	})
	t.Run("before it", func(t *testing.T) {
		data, copied := t.TempDir(), filepath.Join(t.TempDir(), "data")
		s := openService(t, Options{Data: data, Create: true})
		// The reader copies the data directory at the end of the file, as a crash at that moment would leave it.
		from := io.MultiReader(strings.NewReader(lines), readerFunc(func([]byte) (int, error) {
			copyDir(t, copied, data)
			return 0, io.EOF
		}))
		if _, err := s.Import(t.Context(), acme, []byte(house), from, nil); err != nil {
			t.Fatal(err)
		}
		closeService(t, s)

		s = openService(t, Options{Data: copied})
		defer closeService(t, s)
		if orgs, err := s.Orgs(t.Context()); err != nil || len(orgs) != 0 {
			t.Fatalf("got %v, %v; want no ledger", orgs, err)
		}
		_, err := s.Ledger(t.Context(), acme)
		wantError(t, err, domain.Integrity, "import_unfinished", "run the import again")
		if _, err := s.Import(t.Context(), acme, []byte(house), strings.NewReader(lines), nil); err != nil {
			t.Fatal(err)
		}
		wantWhole(t, ledgerOf(t, s), nil)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
