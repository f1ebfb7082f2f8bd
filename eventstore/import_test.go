package eventstore

// Imports: whole or not at all, whatever happens in between.

import (
	"testing"

	"github.com/permledger/permledger/domain"
)

func importer(t testing.TB, s *Store) *Importer {
	t.Helper()
	im, err := s.Import(t.Context(), acme)
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	return im
}

func add(t testing.TB, im *Importer, recs []Record) {
	t.Helper()
	for i, rec := range recs {
		if err := im.Add(rec); err != nil {
			t.Fatalf("Add of the %d-th: %v", i+1, err)
		}
	}
}

func TestImport(t *testing.T) {
	for name, relaxed := range map[string]bool{"relaxed": true, "synced": false} {
		for _, n := range []int{0, 1, 2, 500, 501, 7003} {
			if n > 501 && !relaxed {
				continue // synced one by one, it only takes long
			}
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s, err := Open(t.Context(), Options{Dir: dir, Relaxed: relaxed})
				if err != nil {
					t.Fatal(err)
				}
				im := importer(t, s)
				_, err = s.Open(t.Context(), acme)
				wantError(t, err, domain.Integrity, "import_unfinished")
				if orgs, err := s.Orgs(t.Context()); err != nil || len(orgs) != 0 {
					t.Fatalf("Orgs during the import = %v, %v, want none", orgs, err)
				}
				body := make([]byte, 0, 1000) // used again and again, as a caller may
				for i := 1; i <= n; i++ {
					rec := event(i)
					body = append(body[:0], rec.Body...)
					rec.Body = body
					if err := im.Add(rec); err != nil {
						t.Fatalf("Add: %v", err)
					}
				}
				l, err := im.Commit(t.Context())
				if err != nil {
					t.Fatalf("Commit: %v", err)
				}
				wantLog(t, l, n)
				_, err = s.Import(t.Context(), acme)
				wantError(t, err, domain.Conflict, "ledger_exists")
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if l, err = open(t, Options{Dir: dir}).Open(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				wantLog(t, l, n)
				mustAppend(t, l, events(n+1, n+1), domain.Seq(n))
			})
		}
	}
}

func TestImportAbort(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Relaxed: true})
	im := importer(t, s)
	add(t, im, events(1, 3000))
	if _, err := im.Keys().Key(t.Context(), "client:c1"); err != nil {
		t.Fatal(err)
	}
	if err := im.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Open(t.Context(), acme)
	wantError(t, err, domain.Unknown, "unknown_org")
	im = importer(t, s)
	if _, ok, err := im.Keys().Lookup(t.Context(), "client:c1"); ok || err != nil {
		t.Fatalf("the aborted import's key is still there (%v)", err)
	}
	add(t, im, events(1, 10))
	l, err := im.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, l, 10)
}

// A crash in the midst of an import: the next one starts anew.
func TestImportAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	im := importer(t, s)
	add(t, im, events(1, 5000))
	if err := s.Close(); err != nil { // without Commit or Abort
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	_, err = s.Open(t.Context(), acme)
	wantError(t, err, domain.Integrity, "import_unfinished")
	_, err = s.Create(t.Context(), acme)
	wantError(t, err, domain.Conflict, "ledger_exists")
	im = importer(t, s)
	add(t, im, events(1, 20))
	l, err := im.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, l, 20)
}

// An event that is lost on the way, or one from somebody else, fails the import; it is never a ledger.
func TestImportNoticesWhatIsNotItsOwn(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Relaxed: true})
	im := importer(t, s)
	add(t, im, events(1, 100))
	if _, err := s.js.Publish(t.Context(), "permledger.acme.event.role.assigned", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	var err error
	for n := 101; err == nil && n < 10_000; n++ {
		err = im.Add(event(n))
	}
	wantError(t, err, domain.Conflict, "log_moved")
	_, err = im.Commit(t.Context())
	wantError(t, err, domain.Conflict, "log_moved")
	_, err = s.Open(t.Context(), acme)
	wantError(t, err, domain.Integrity, "import_unfinished")
	if err := im.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestImportOnAnExternalServer(t *testing.T) {
	r := startRemote(t)
	s := open(t, Options{URL: r.url()})
	im := importer(t, s)
	add(t, im, events(1, 1200))
	l, err := im.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, l, 1200)
}
