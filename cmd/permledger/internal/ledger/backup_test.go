package ledger

// Backups: taken while commands go on, restored to the same bytes and answers, refused where they are damaged or in the way;
// and exports, which import gives back.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

// backedUpIn backs up into a new directory.
func backedUpIn(t testing.TB, s *Service, o BackupOptions) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	d, err := NewBackupDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := backUpInto(t.Context(), s, o, d); err != nil {
		t.Fatalf("backing up: %v", err)
	}
	return dir
}

func backUpInto(ctx context.Context, s *Service, o BackupOptions, d *BackupDir) error {
	if err := s.Backup(ctx, o, d); err != nil {
		return err
	}
	_, _, err := d.Finish()
	return err
}

func openBackup(t testing.TB, dir string) *Backup {
	t.Helper()
	b, err := OpenBackup(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restored restores into a new directory and gives acme's ledger there.
func restored(t testing.TB, dir string) *Ledger {
	t.Helper()
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true})
	t.Cleanup(func() { closeService(t, s) })
	if _, err := s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{}, nil); err != nil {
		t.Fatalf("restoring: %v", err)
	}
	return ledgerOf(t, s)
}

// wantSameLog checks that l has the first events of want, up to its own head, with ids and bytes as they were.
func wantSameLog(t *testing.T, l, want *Ledger) {
	t.Helper()
	for seq := domain.Seq(1); seq <= l.Head(); seq++ {
		got, err := l.log.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		was, err := want.log.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != was.ID || !bytes.Equal(got.Body, was.Body) {
			t.Fatalf("event %d: got %s %s, want %s %s", seq, got.ID, got.Body, was.ID, was.Body)
		}
	}
}

// wantSameAnswers asks both at random moments, known at random seqs up to got's head.
func wantSameAnswers(t *testing.T, got, want *Ledger) {
	t.Helper()
	r := random(t)
	all := events(t, got)
	for range 40 {
		at := all[r.IntN(len(all))].RecordedAt
		known := fmt.Sprint(1 + r.IntN(len(all)))
		client := domain.Resource(fmt.Sprintf("client:w%d-%d", r.IntN(4), r.IntN(10)))
		a, b := ask(t, got, at, known), ask(t, want, at, known)
		if g, w := who(t, a, "view_record", client), who(t, b, "view_record", client); !slices.Equal(g, w) {
			t.Errorf("who may view the record of %s at %s, known at %s: got %v, want %v", client, at, known, g, w)
		}
		a.Close()
		b.Close()
	}
}

func TestBackupWhileRecording(t *testing.T) {
	t.Parallel()
	for _, o := range []BackupOptions{{}, {Projection: true}} {
		t.Run(fmt.Sprintf("projection=%t", o.Projection), func(t *testing.T) {
			l := founding(t, Options{Data: t.TempDir(), Relaxed: true})
			record1(t, l, opens(anna), assigns(anna, "therapist"))
			ctx, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			half := make(chan struct{}, 4)
			for w := range 4 {
				writers.Go(func() {
					for i := 0; i < 60 || ctx.Err() == nil; i++ {
						client := domain.Account(fmt.Sprintf("client:w%d-%d", w, i))
						cs := []domain.Command{because("intake of a new client", opens(client)), because("caseload", links(anna, client))}
						if i%3 == 2 {
							cs = append(cs, unlinks(anna, client))
						}
						if _, err := l.Record(t.Context(), cs); err != nil {
							t.Errorf("recording: %v", err)
							return
						}
						if i == 30 {
							half <- struct{}{}
						}
					}
				})
			}
			for range 4 {
				<-half
			}
			before := l.Head()
			dir := backedUpIn(t, l.s, o)
			stop()
			writers.Wait()

			b := openBackup(t, dir)
			if err := b.Verify(t.Context(), nil); err != nil {
				t.Fatalf("verifying: %v", err)
			}
			if got := b.Ledgers[0]; got.Last < before || got.Last > l.Head() || got.Keys.Count == 0 || (got.Projection != nil) != o.Projection {
				t.Fatalf("the manifest says %+v; want events up to one from %d to %d, and keys", got, before, l.Head())
			}
			again := restored(t, dir)
			if again.Head() != b.Ledgers[0].Last {
				t.Fatalf("restored up to %d, want %d", again.Head(), b.Ledgers[0].Last)
			}
			wantSameLog(t, again, l)
			wantSameAnswers(t, again, l)
			for _, e := range events(t, again) {
				if e.SealedFor != "" {
					t.Fatalf("event %d: its reason can't be read after restoring", e.Seq)
				}
			}
			record1(t, again, opens("client:new")) // and life goes on
		})
	}
}

// smallBackup is of a ledger with a text in it, and with all that a backup may have.
func smallBackup(t *testing.T) (dir string, l *Ledger) {
	l = founding(t, Options{Data: t.TempDir()})
	record1(t, l, because("first intake", opens("client:c1")))
	return backedUpIn(t, l.s, BackupOptions{Projection: true}), l
}

func TestVerifyNoticesDamage(t *testing.T) {
	dir, _ := smallBackup(t)
	if err := openBackup(t, dir).Verify(t.Context(), nil); err != nil {
		t.Fatalf("as it was written: %v", err)
	}
	for _, name := range []string{"acme/events.ndjson", "acme/keys.ndjson", "acme/projection", manifestName} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check := func(t *testing.T, what string) {
			t.Helper()
			b, err := OpenBackup(dir)
			if err == nil {
				err = b.Verify(t.Context(), nil)
			}
			code := "backup_damaged"
			if what == "gone" && name == manifestName {
				code = "backup_unfinished"
			}
			wantError(t, err, domain.Integrity, code, name)
		}
		write := func(b []byte) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(name, func(t *testing.T) {
			for at := 0; at < len(whole); at += 1 + len(whole)/97 {
				bad := bytes.Clone(whole)
				bad[at] ^= 1
				write(bad)
				check(t, "flipped")
			}
			write(whole[:len(whole)/2])
			check(t, "cut")
			write(append(bytes.Clone(whole), whole[len(whole)/2:]...))
			check(t, "longer")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			check(t, "gone")
			write(whole)
		})
	}
	if err := openBackup(t, dir).Verify(t.Context(), nil); err != nil {
		t.Fatalf("mended again: %v", err)
	}
}

func TestRestoreOfADamagedBackupLeavesNothing(t *testing.T) {
	dir, was := smallBackup(t)
	for _, name := range []string{"acme/events.ndjson", "acme/keys.ndjson", "acme/projection"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := bytes.Clone(whole)
			bad[len(bad)-3] ^= 1
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			defer os.WriteFile(path, whole, 0o600)
			s := importing(t)
			_, err = s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{}, nil)
			wantError(t, err, domain.Integrity, "backup_damaged", name)
			wantNothing(t, s)
			if name != "acme/projection" { // which alone can be made of the rest
				return
			}
			if _, err = s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{WithoutProjection: true}, nil); err != nil {
				t.Fatalf("without the damaged projection: %v", err)
			}
			wantSameLog(t, ledgerOf(t, s), was)
		})
	}
}

// TestRestoreOfTheProjection: it is there, key by key, before the log counts as a ledger, so that nothing is folded; one that
// another program's format made is left aside.
func TestRestoreOfTheProjection(t *testing.T) {
	dir, was := smallBackup(t)
	s := importing(t)
	b := openBackup(t, dir)
	p, err := s.db.Ledger(acme)
	if err != nil {
		t.Fatal(err)
	}
	digest := func(p *projections.Ledger) (projections.Position, projections.Digest) {
		t.Helper()
		pinned, err := p.Pin()
		if err != nil {
			t.Fatal(err)
		}
		defer pinned.Close()
		d, err := pinned.Digest(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pinned.Position(), d
	}
	r := &backupReader{b: b}
	if err := r.projection(t.Context(), &b.Ledgers[0], time.Now(), p); err != nil {
		t.Fatal(err)
	}
	gotAt, got := digest(p)
	wantAt, want := digest(was.p)
	if gotAt.Seq != wantAt.Seq || gotAt.EventID != wantAt.EventID || !gotAt.Building || !got.Equal(want) {
		t.Errorf("loaded: %+v, %+v\nwant building, and %+v, %+v", gotAt, got, wantAt, want)
	}

	path := filepath.Join(dir, "acme", "projection")
	older := []byte{3, 1, 0, 0} // a position of the first format
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	sums := newSumming(io.Discard)
	_, _ = sums.Write(older)
	b.Ledgers[0].Projection = &BackupFile{Name: "acme/projection", Bytes: sums.n, SHA256: sums.hex()}
	done, err := s.Restore(t.Context(), b, RestoreOptions{WipeProjection: true}, nil)
	if err != nil || done[0].Projection != nil {
		t.Fatalf("restoring a projection of another format: %+v, %v, want it left aside", done, err)
	}
	if _, got := digest(ledgerOf(t, s).p); !got.Equal(want) {
		t.Errorf("made again: %+v, want %+v", got, want)
	}
}

func TestBackupNeverOverwrites(t *testing.T) {
	dir, _ := smallBackup(t)
	_, err := NewBackupDir(dir)
	wantError(t, err, domain.Conflict, "backup_exists", "never written over")
}

func TestBackupWithoutKeys(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, because("first intake", opens("client:c1")))
	dir := backedUpIn(t, l.s, BackupOptions{WithoutKeys: true})
	if b := openBackup(t, dir); b.Ledgers[0].Keys != nil || b.Warning != "" {
		t.Fatalf("the manifest says %+v", b.Manifest)
	}
	e, err := restored(t, dir).Event(t.Context(), founded+1)
	if err != nil || e.Reason != "" || e.SealedFor != "client:c1" {
		t.Fatalf("got reason %q sealed for %q, %v; want none, as if it had been erased", e.Reason, e.SealedFor, err)
	}
}

// TestRestoreOverANewerProjection: a backup knows less than the projection that was left behind.
func TestRestoreOverANewerProjection(t *testing.T) {
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	record1(t, l, opens("client:c1"))
	dir := backedUpIn(t, s, BackupOptions{})
	record1(t, l, opens("client:c2"))
	closeService(t, s)
	newer := t.TempDir()
	if err := os.CopyFS(filepath.Join(newer, "projection"), os.DirFS(filepath.Join(data, "projection"))); err != nil {
		t.Fatal(err)
	}

	// Into the directory itself, and into one that has the projection only.
	s = openService(t, Options{Data: data})
	_, err = s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{}, nil)
	wantError(t, err, domain.Conflict, "ledger_exists", "never written over")
	closeService(t, s)
	s = openService(t, Options{Data: newer, Create: true})
	_, err = s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{}, nil)
	wantError(t, err, domain.Conflict, "projection_left", "--wipe-projection")
	if orgs, err := s.store.Orgs(t.Context()); err != nil || len(orgs) != 0 {
		t.Fatalf("after it was refused there are ledgers: %v, %v", orgs, err)
	}
	if _, err = s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{WipeProjection: true}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ledgerOf(t, s).Head(); got != founded+1 {
		t.Fatalf("restored up to %d, want %d", got, founded+1)
	}
	closeService(t, s)

	// Somebody puts the newer projection back beside the restored log.
	if err := os.RemoveAll(filepath.Join(newer, "projection")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(newer, "projection"), os.DirFS(filepath.Join(data, "projection"))); err != nil {
		t.Fatal(err)
	}
	s = openService(t, Options{Data: newer})
	defer closeService(t, s)
	_, err = s.Ledger(t.Context(), acme)
	wantError(t, err, domain.Integrity, "log_swapped", "")
	// Nor is that backed up: it would push out backups that have what the projection has seen.
	wantError(t, s.Backup(t.Context(), BackupOptions{}, nil), domain.Integrity, "log_swapped", "")
}

// TestRestoreToAServer: over the network, beside a data directory that holds the projection only.
func TestRestoreToAServer(t *testing.T) {
	dir, was := smallBackup(t)
	remote := startRemote(t)
	o := remote.options()
	s := openService(t, o)
	defer closeService(t, s)
	if _, err := s.Restore(t.Context(), openBackup(t, dir), RestoreOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	l := ledgerOf(t, s)
	wantSameLog(t, l, was)
	if e, err := l.Event(t.Context(), founded+1); err != nil || e.Reason != "first intake" {
		t.Fatalf("got reason %q, %v", e.Reason, err)
	}
	again := openBackup(t, backedUpIn(t, s, BackupOptions{}))
	if got, want := again.Ledgers[0].Events, openBackup(t, dir).Ledgers[0].Events; got != want {
		t.Errorf("backing up what was restored: got %+v, want %+v", got, want)
	}
}

// TestRestoreOfTheErased: a backup from before an erasure has the text still, one from after it has not.
func TestRestoreOfTheErased(t *testing.T) {
	before, l := smallBackup(t)
	record1(t, l, erases("client:c1"))
	after := backedUpIn(t, l.s, BackupOptions{})
	for dir, want := range map[string]string{before: "first intake", after: ""} {
		if e, err := restored(t, dir).Event(t.Context(), founded+1); err != nil || e.Reason != want {
			t.Errorf("got reason %q, %v, want %q", e.Reason, err, want)
		}
	}
}

func TestExportRoundTrip(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	named := command(&domain.AccountOpening{Account: "client:c1", DisplayName: "Clementine \"C\" <van> der Zee\u2028é"})
	named.ID, named.Reason = "intake-1", "a & b"
	record1(t, l, named)
	record1(t, l, opens(anna), assigns(anna, "therapist"), opens(bob), opens("client:c2"), assigns(boss, "therapist"))
	record1(t, l, by(anna, because("she asked\nfor it", opens("client:c3")))) // with a link of its own
	linked := record1(t, l, because("caseload", links(anna, "client:c1"))).Seq
	granted := record1(t, l, because("night shift", command(&domain.AccessGrant{Principal: boss, Client: "client:c2", Profile: "emergency", Until: l.Now().Add(3600e9)}))).Events[0]
	record1(t, l, command(&domain.AccessRevocation{Grant: granted.Data.(*domain.AccessGrant).Grant}))
	record1(t, l, because("a slip", command(&domain.Correction{Corrects: linked, Void: true})))
	record1(t, l, command(&domain.CatalogueAdoption{Document: strings.Replace(house, "failed_signins: 3", "failed_signins: 4", 1)}))
	record1(t, l, because("gone", erases("client:c2")))
	record1(t, l, fails(anna))

	export := func(l *Ledger) (string, Exported) {
		t.Helper()
		var b strings.Builder
		sum, err := l.Export(t.Context(), &b)
		if err != nil {
			t.Fatalf("exporting: %v", err)
		}
		return b.String(), sum
	}
	history, sum := export(l)
	if want := int(l.Head()) - 1; sum.Events != want || strings.Count(history, "\n") != want || sum.Erased != 2 || sum.Seq != l.Head() {
		t.Fatalf("exported %+v in %d lines, want %d events and 2 erased texts", sum, strings.Count(history, "\n"), want)
	}
	document, err := l.FirstCatalogue(t.Context())
	if err != nil || string(document) != house {
		t.Fatalf("the first catalogue: got %q, %v", document, err)
	}
	s := openService(t, Options{Data: t.TempDir(), Create: true, Relaxed: true})
	defer closeService(t, s)
	if _, err := s.Import(t.Context(), acme, document, strings.NewReader(history), nil); err != nil {
		t.Fatalf("importing what was exported: %v\n%s", err, history)
	}
	again := ledgerOf(t, s)
	if got, _ := export(again); got != history {
		t.Fatalf("exported again:\n%s\nwant\n%s", got, history)
	}
	was, is := events(t, l), events(t, again)
	for i, e := range was {
		got := is[i].Clone()
		got.ID = e.ID
		if e.SealedFor != "" {
			got.SealedFor = e.SealedFor
			if e.Reason == "" && got.Reason == erasedReason {
				got.Reason = ""
			}
		}
		gotJSON, _ := got.MarshalJSON()
		wantJSON, _ := e.MarshalJSON()
		if !bytes.Equal(gotJSON, wantJSON) {
			t.Errorf("event %d: got %s, want %s", e.Seq, gotJSON, wantJSON)
		}
	}
	if r, err := again.Record(t.Context(), []domain.Command{named}); err != nil || r.Events[0].Seq != founded+1 {
		t.Errorf("the command with the id of an event in the history: %+v, %v, want event %d again", r, err, founded+1)
	}
}
