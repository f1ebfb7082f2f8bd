package ledger

// Rebuilding and verifying: what is made from the log is what is live, nothing that is live is touched until the swap, and
// whatever is wrong is found and told.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// rebuiltBy is the round of a child that rebuilds.
const rebuiltBy = "rebuild"

// rebuildIn rebuilds acme's projection in a data directory, and prints how far it is, until it is killed: it never comes to
// its end, because the writer's turn is somebody else's.
func rebuildIn(data string) error {
	s, err := Open(context.Background(), Options{Data: data})
	if err != nil {
		return err
	}
	l, err := s.Ledger(context.Background(), acme)
	if err != nil {
		return err
	}
	held := make(chan struct{})
	go func() { _ = l.turn(context.Background(), func() error { close(held); select {} }) }()
	<-held
	out, err := s.Rebuild(context.Background(), acme, RebuildOptions{}, func(st RebuildState) { fmt.Println(st.Phase, st.Seq) })
	fmt.Println("ended", out.Swapped, err)
	return errors.Join(err, s.Close())
}

// lived gives the house some history: clients, links that end, begin again and have an end, requests, erasures.
func lived(t testing.TB, l *Ledger, clients int) {
	t.Helper()
	r := random(t)
	record1(t, l, opens(anna), opens(bob), assigns(anna, "therapist"), assigns(bob, "therapist"))
	for i := range clients {
		c := domain.Account(fmt.Sprintf("client:c%d", i))
		who := pick(r, []domain.Account{anna, bob})
		record1(t, l, withID(fmt.Sprintf("request-%d", i), because("new", opens(c))), links(who, c))
		switch r.IntN(4) {
		case 0:
			record1(t, l, unlinks(who, c))
		case 1:
			record1(t, l, erases(c))
		case 2:
			record1(t, l, unlinks(who, c), command(&domain.CaseloadLink{Principal: who, Client: c, Relation: "therapist", Until: l.Now() + domain.Instant(time.Hour)}))
		}
	}
}

// rebuilt rebuilds acme's projection, and fails the test where that fails.
func rebuilt(t testing.TB, s *Service, o RebuildOptions) Rebuilt {
	t.Helper()
	out, err := s.Rebuild(t.Context(), acme, o, nil)
	if err != nil {
		t.Fatalf("rebuilding with %+v: %v", o, err)
	}
	return out
}

// verified wants nothing to be wrong.
func verified(t testing.TB, s *Service, o VerifyOptions) Verified {
	t.Helper()
	v, err := s.Verify(t.Context(), acme, o, nil)
	if err != nil {
		t.Fatalf("verifying with %+v: %v: %+v", o, err, v.Comparison)
	}
	return v
}

// harm changes keys of the live projection behind everybody's back, in a data directory that nobody has open.
func harm(t testing.TB, data string, change func(db *pebble.DB, it *pebble.Iterator)) {
	t.Helper()
	order := *pebble.DefaultComparer // as projections have it
	order.Name = "permledger.fact-seq.1"
	order.Split = func(key []byte) int {
		if n := len(key) - 8; n > 0 && key[n-1] == 0 && key[n] >= 0x80 {
			return n
		}
		return len(key)
	}
	db, err := pebble.Open(filepath.Join(data, "projection"), &pebble.Options{
		Comparer: &order, FormatMajorVersion: pebble.FormatNewest, Filters: map[string]pebble.FilterPolicy{bloom.FilterPolicy(10).Name(): bloom.FilterPolicy(10)},
	})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("acme\x00"), UpperBound: []byte("acme\x01")})
	if err != nil {
		t.Fatal(err)
	}
	change(db, it)
	if err := errors.Join(it.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// harmFact spoils what lies about one link, near its subject.
func harmFact(t testing.TB, data string) {
	t.Helper()
	harm(t, data, func(db *pebble.DB, it *pebble.Iterator) {
		if !it.SeekGE([]byte("acme\x00aprofessional:anna\x00l")) {
			t.Fatal("no link of anna's")
		}
		value := append([]byte(nil), it.Value()...)
		value[len(value)-1] ^= 2 // when the version was recorded
		if err := db.Set(it.Key(), value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRebuildIsWhatIsLive(t *testing.T) {
	data := t.TempDir()
	l := founding(t, Options{Data: data})
	lived(t, l, rounds(60))
	before := ask(t, l, 0, "") // a view from before stays what it was
	defer before.Close()
	views := who(t, before, "view_record", "client:c0")

	dry := rebuilt(t, l.s, RebuildOptions{DryRun: true})
	if !dry.Equal || dry.Swapped || dry.Kept || dry.Answers == 0 || dry.Seq != l.Head() || dry.Events != uint64(l.Head()) {
		t.Errorf("dry run: got %+v, want all of %d events and everything equal, nothing swapped", dry, l.Head())
	}
	if _, err := os.Stat(filepath.Join(data, "projection.old")); err == nil {
		t.Error("a dry run kept a projection for a rollback")
	}
	_, err := l.s.Rebuild(t.Context(), acme, RebuildOptions{Rollback: true}, nil)
	wantError(t, err, domain.Unknown, "no_kept_projection", "acme")

	out := rebuilt(t, l.s, RebuildOptions{})
	if !out.Equal || !out.Swapped || !out.Kept {
		t.Errorf("rebuild: got %+v, want it equal, swapped and the old one kept", out)
	}
	if got := who(t, before, "view_record", "client:c0"); fmt.Sprint(got) != fmt.Sprint(views) {
		t.Errorf("a view from before the swap: got %v, want %v", got, views)
	}
	record1(t, l, opens("client:after"), links(anna, "client:after"))
	wantWhole(t, l, nil)
	v := verified(t, l.s, VerifyOptions{})
	if !v.Full || !v.Equal || v.Log.Events != uint64(l.Head()) || v.Keys == 0 {
		t.Errorf("verify: got %+v, want all of %d events", v, l.Head())
	}

	back := rebuilt(t, l.s, RebuildOptions{Rollback: true})
	if !back.Equal || !back.Swapped || back.Resumed == 0 || back.Resumed >= l.Head() {
		t.Errorf("rollback: got %+v, want it from a seq before %d, brought up to it", back, l.Head())
	}
	record1(t, l, opens("client:again"))
	wantWhole(t, l, nil)
	if s := verified(t, l.s, VerifyOptions{Sample: 200}); s.KeysFolded == 0 || s.Log.Events != 200 {
		t.Errorf("verify of a sample: got %+v, want 200 events", s)
	}
}

// TestRebuildAmidCommands swaps again and again while four record and four ask.
func TestRebuildAmidCommands(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	lived(t, l, 20)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var told sync.Map
	var asked atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			for j := 0; !stop.Load(); j++ {
				r, err := l.Record(context.Background(), []domain.Command{by(anna, opens(domain.Account(fmt.Sprintf("client:w%d-%d", i, j))))})
				if err != nil {
					t.Errorf("recording: %v", err)
					return
				}
				told.Store(r.Seq, r)
				a, err := l.Ask(0, Known{})
				if err == nil {
					err = a.Account("account", domain.Account(fmt.Sprintf("client:w%d-%d", i, j))) // its own write
					a.Close()
				}
				if err != nil {
					t.Errorf("reading what was just recorded: %v", err)
					return
				}
			}
		})
		wg.Go(func() {
			for !stop.Load() {
				seq := l.Head()
				a, err := l.Ask(0, Known{})
				if err != nil {
					t.Errorf("asking: %v", err)
					return
				}
				if a.KnownAt() < seq {
					t.Errorf("known at %d after %d", a.KnownAt(), seq)
				}
				// Every event up to the position began or changed something and shows.
				if at, err := a.SeqAt(a.At); err != nil || at != a.KnownAt() {
					t.Errorf("the newest event before now: got %d, %v, want %d", at, err, a.KnownAt())
				}
				for _, err := range domain.Who(a, domain.Question{Action: "view_record", Resource: "client:c0"}, a.At, "") {
					if err != nil {
						t.Errorf("who: %v", err)
					}
				}
				a.Close()
				asked.Add(1)
			}
		})
	}
	for i := range rounds(5) {
		out := rebuilt(t, l.s, RebuildOptions{Rollback: i%3 == 2})
		if !out.Swapped || !out.Equal {
			t.Errorf("rebuild %d: got %+v, want it swapped", i, out)
		}
		n := asked.Load()
		wait(t, "answers after a swap", func() bool { return asked.Load() > n })
	}
	stop.Store(true)
	wg.Wait()
	var all []Recorded
	told.Range(func(_, r any) bool { all = append(all, r.(Recorded)); return true })
	wantWhole(t, l, all)
	verified(t, l.s, VerifyOptions{})
}

// TestDamageIsFound spoils a live projection in several ways. Each is found and shown, nothing is swapped, and what is
// told to do helps.
func TestDamageIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(t testing.TB, data string)
		shown string // by the first difference
	}{
		"a value": {harmFact, "link professional:anna client:"},
		"a key that is gone": {func(t testing.TB, data string) {
			harm(t, data, func(db *pebble.DB, it *pebble.Iterator) {
				if !it.SeekGE([]byte("acme\x00nclient\x00c1")) || db.Delete(it.Key(), pebble.Sync) != nil {
					t.Fatal("no client")
				}
			})
		}, "client:c1"},
		"a key too many": {func(t testing.TB, data string) {
			harm(t, data, func(db *pebble.DB, _ *pebble.Iterator) {
				if err := db.Set([]byte("acme\x00nclient\x00ghost"), []byte{4}, pebble.Sync); err != nil {
					t.Fatal(err)
				}
			})
		}, "client:ghost"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			s := openService(t, Options{Data: data, Create: true})
			l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
			if err != nil {
				t.Fatal(err)
			}
			lived(t, l, 20)
			closeService(t, s)
			c.harm(t, data)

			s = openService(t, Options{Data: data})
			defer closeService(t, s)
			v, err := s.Verify(t.Context(), acme, VerifyOptions{}, nil)
			wantError(t, err, domain.Integrity, "projections_damaged", "1 key differs")
			if v.Comparison == nil || len(v.Differences) != 1 || !strings.Contains(v.Differences[0].Key, c.shown) {
				t.Errorf("verify: got %+v, want one difference about %q", v.Comparison, c.shown)
			}
			out, err := s.Rebuild(t.Context(), acme, RebuildOptions{}, nil)
			wantError(t, err, domain.Integrity, "rebuild_differs", "--replace-damaged")
			if out.Swapped || out.Comparison == nil || out.Differing != 1 || !strings.Contains(out.Differences[0].Key, c.shown) {
				t.Errorf("rebuild: got %+v, want nothing swapped and one difference about %q", out, c.shown)
			}
			if again := rebuilt(t, s, RebuildOptions{ReplaceDamaged: true}); !again.Swapped || again.Kept {
				t.Errorf("replacing: got %+v, want it swapped and nothing kept", again)
			}
			verified(t, s, VerifyOptions{})
			record1(t, ledgerOf(t, s), opens("client:after"))
			wantWhole(t, ledgerOf(t, s), nil)
		})
	}
}

// TestSampleFindsDamage folds as many events as make it certain that the spoilt one is among them, or nearly so.
func TestSampleFindsDamage(t *testing.T) {
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	lived(t, l, 10)
	closeService(t, s)
	harmFact(t, data)
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	v, err := s.Verify(t.Context(), acme, VerifyOptions{Sample: 2000}, nil)
	wantError(t, err, domain.Integrity, "projections_damaged", "differ")
	if v.Comparison == nil || !strings.Contains(v.Differences[0].Key, "link professional:anna") {
		t.Errorf("got %+v, want the link shown", v.Comparison)
	}
}

// TestStoppedLedgerComesBack has a ledger stop over its projection, which a replacement brings back without a restart.
func TestStoppedLedgerComesBack(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	lived(t, l, 10)
	l.fail(domain.Errorf(domain.Integrity, "projections_damaged", "a block can't be read"))
	_, err := l.s.Rebuild(t.Context(), acme, RebuildOptions{}, nil)
	wantError(t, err, domain.Integrity, "projections_damaged", "block")
	if out := rebuilt(t, l.s, RebuildOptions{ReplaceDamaged: true}); !out.Swapped {
		t.Errorf("replacing: got %+v, want it swapped", out)
	}
	again := ledgerOf(t, l.s)
	record1(t, again, opens("client:after"))
	wantWhole(t, again, nil)
}

// TestUnreadablePosition is of a projection that can't even be opened: it is replaced all the same.
func TestUnreadablePosition(t *testing.T) {
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	lived(t, l, 5)
	closeService(t, s)
	harm(t, data, func(db *pebble.DB, _ *pebble.Iterator) {
		if err := db.Set([]byte("acme\x00p"), []byte{200}, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	if _, err := s.Ledger(t.Context(), acme); !isFailure(err, domain.Integrity) {
		t.Fatalf("got %v, want an integrity failure", err)
	}
	rebuilt(t, s, RebuildOptions{ReplaceDamaged: true})
	wantWhole(t, ledgerOf(t, s), nil)
	verified(t, s, VerifyOptions{})
}

// TestRebuildKilled kills rebuilds under way. The next goes on where one was, and the live projection is whole throughout.
func TestRebuildKilled(t *testing.T) {
	t.Parallel()
	clients := 3000 // some ten events each; too few to be flushed before all are read
	if *long {
		clients = 12_000
	}
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true, Relaxed: true})
	var text strings.Builder
	history(&text, clients, 3)
	document, err := catalogues.Document("minddistrict")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := s.Import(t.Context(), acme, document, strings.NewReader(text.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	for _, at := range []string{PhaseReading, PhaseSwapping} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childData+"="+data, childRound+"="+rebuiltBy)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var phase string
			var seq int
			fmt.Sscan(lines.Text(), &phase, &seq)
			if phase == PhaseSwapping || phase == at && seq > sum.Events*3/4 {
				cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended with %v", err)
		}
	}
	s = openService(t, Options{Data: data})
	defer closeService(t, s)
	out := rebuilt(t, s, RebuildOptions{})
	if want := s.ledgers[acme].Head(); out.Resumed != want || !out.Swapped || !out.Equal {
		t.Errorf("after two kills: got %+v, want it to go on behind event %d and swap", out, want)
	}
	verified(t, s, VerifyOptions{Sample: 100})
}

// TestOneRebuildAtATime asks for a second while one is under way, and closes the service amid it.
func TestOneRebuildAtATime(t *testing.T) {
	s := openService(t, Options{Data: t.TempDir(), Create: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	lived(t, l, 5)
	held, release := make(chan struct{}), make(chan struct{})
	go func() { // the writer's turn is somebody else's, so the swap waits for it
		_ = l.turn(context.Background(), func() error { close(held); <-release; return nil })
	}()
	<-held
	ended := make(chan error, 1)
	go func() {
		_, err := s.Rebuild(context.Background(), acme, RebuildOptions{}, nil)
		ended <- err
	}()
	wait(t, "the swap to wait", func() bool {
		states := s.RebuildStates()
		return len(states) == 1 && states[0].Phase == PhaseSwapping
	})
	_, err = s.Verify(t.Context(), acme, VerifyOptions{}, nil)
	wantError(t, err, domain.Conflict, "rebuild_running", "swapping")
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the first rebuild: %v", err)
	}
	if st := s.RebuildStates(); len(st) != 1 || st[0].Phase != PhaseDone {
		t.Errorf("states afterwards: got %+v, want one that is done", st)
	}
	closeService(t, s)
	_, err = s.Rebuild(context.Background(), acme, RebuildOptions{}, nil)
	wantError(t, err, domain.Unavailable, "stopping", "closed")
}
