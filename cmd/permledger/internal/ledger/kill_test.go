package ledger

// The whole process is killed, again and again, while eight callers record, the clock takes notice and the feed
// publishes. This file owns that one loop: after each kill the next process finds everything that was acknowledged, with
// its texts, nothing that nobody asked for, and a feed that is what the log comes to. What else may go wrong outside the
// process is in fault_test.go.

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// killedData and killedRound are the environment of the process that is killed.
const (
	killedData  = "PERMLEDGER_TEST_KILLED"
	killedRound = "PERMLEDGER_TEST_KILLED_ROUND"
)

// nightShift is the reason of every grant of these tests: it lies in the log sealed, under a key that is to survive as well.
const nightShift = "the night shift"

// TestToBeKilled is the process that TestKilled kills; by itself it does nothing.
func TestToBeKilled(t *testing.T) {
	data := os.Getenv(killedData)
	if data == "" {
		return
	}
	s := openService(t, Options{Data: data, Clock: true, Feed: true})
	l := ledgerOf(t, s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := 0; ; j++ {
				told, err := l.Record(context.Background(), toll(os.Getenv(killedRound), i, j))
				if err != nil && !tooLate(err) {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				var lines strings.Builder
				for _, e := range told.Events {
					fmt.Fprintln(&lines, e.Seq, e.ID)
				}
				os.Stdout.WriteString(lines.String())
			}
		})
	}
	wg.Wait()
}

// toll is the j-th request of the i-th caller: each gives or takes somebody something, so that the feed has to say so. A
// grant ends by itself within moments, so that the clock has to notice.
func toll(round string, i, j int) []domain.Command {
	mine := domain.Account(fmt.Sprintf("client:%s-%d-%d", round, i, j/4))
	switch j % 4 {
	case 0:
		return []domain.Command{by(anna, opens(mine))} // anna is linked in the same commit
	case 1:
		until := domain.InstantOf(time.Now().Add(30 * time.Millisecond))
		return []domain.Command{because(nightShift, command(&domain.AccessGrant{Principal: boss, Client: mine, Profile: "emergency", Until: until}))}
	case 2:
		return []domain.Command{unlinks(anna, mine), links(bob, mine)}
	}
	return []domain.Command{unlinks(bob, mine)}
}

// tollHouse opens and appoints those whom toll is about, and gives the head then.
func tollHouse(t *testing.T, l *Ledger) domain.Seq {
	t.Helper()
	record1(t, l, opens(anna), opens(bob), assigns(anna, "therapist"), assigns(bob, "therapist"), assigns(boss, "therapist"))
	return l.Head()
}

// tooLate says that a grant would have been over before it could begin: then nothing was recorded.
func tooLate(err error) bool { return errorCode(err) == "empty_interval" }

func TestKilled(t *testing.T) {
	t.Parallel()
	r := random(t)
	data := t.TempDir()
	s := openService(t, Options{Data: data, Create: true, Feed: true})
	l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
	if err != nil {
		t.Fatal(err)
	}
	head := tollHouse(t, l)
	closeService(t, s)

	n := 5
	if *long {
		n = 100
	}
	told, checked := map[domain.Seq]domain.EventID{}, consumers.Cursor{}
	for round := range n {
		for _, line := range killAfter(t, 1+r.IntN(200), killedData+"="+data, fmt.Sprintf("%s=%d", killedRound, round)) {
			var seq domain.Seq
			var id domain.EventID
			if _, err := fmt.Sscan(line, &seq, &id); err != nil {
				t.Fatalf("round %d: the process printed %q", round, line)
			}
			if was, ok := told[seq]; ok {
				t.Fatalf("round %d: event %d was acknowledged as %s and as %s", round, seq, was, id)
			}
			told[seq] = id
		}

		s := openService(t, Options{Data: data, Clock: true, Feed: true})
		l := ledgerOf(t, s)
		wait(t, "the clock to notice what ran out", func() bool {
			_, some, err := l.p.NextDue()
			return err == nil && !some
		})
		wantWhole(t, l, nil)
		wantToll(t, events(t, l), told)
		if head, err = l.log.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantFeed(t, l, checked)
		checked = consumers.Cursor{Seq: head}
		closeService(t, s)
	}

	s = openService(t, Options{Data: data, Feed: true})
	defer closeService(t, s)
	wantFeed(t, ledgerOf(t, s), consumers.Cursor{})
	t.Logf("killed %d times; %d events acknowledged, %d in the log", n, len(told), head)
}

// killAfter starts this program with an environment that has it record, kills it after it has printed so many lines,
// and gives the whole lines that it printed: what the kill cut off counts for nothing.
func killAfter(t *testing.T, lines int, env ...string) (printed []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestToBeKilled$")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for read := bufio.NewReader(out); ; {
		line, err := read.ReadString('\n')
		if err != nil {
			break
		}
		if printed = append(printed, line); len(printed) == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process ended with %v, want it killed; it printed %q", err, printed)
	}
	return printed
}

// wantToll checks a log that only toll and the clock wrote into: all that was acknowledged is where the callers were told,
// every event is one that somebody asked for, every request is there whole, and the reasons can be read.
func wantToll(t *testing.T, all []*domain.Event, told map[domain.Seq]domain.EventID) {
	t.Helper()
	granted, ended := map[domain.Seq]bool{}, map[domain.Seq]bool{}
	var newest domain.Seq
	for seq, id := range told {
		if newest = max(newest, seq); int(seq) > len(all) || all[seq-1].ID != id {
			t.Fatalf("event %d was acknowledged as %s and is not there: the log has %d events", seq, id, len(all))
		}
	}
	for i, e := range all {
		var follows domain.EventType
		switch d := e.Data.(type) {
		case *domain.AccountOpening:
			if d.Account.Kind() == "client" {
				follows = domain.CaseloadLinked
			}
		case *domain.AccessGrant:
			if granted[e.Seq] = true; e.Reason != nightShift {
				t.Fatalf("the reason of event %d is %q, want %q", e.Seq, e.Reason, nightShift)
			}
		case *domain.CaseloadUnlink:
			if d.Principal == anna {
				follows = domain.CaseloadLinked
			}
		case *domain.ValidityEnd:
			if !granted[d.Of] || ended[d.Of] {
				t.Fatalf("event %d says that event %d ran out, which is no grant or was said before", e.Seq, d.Of)
			}
			ended[d.Of] = true
		}
		if follows != "" && (i+1 == len(all) || all[i+1].Type != follows) {
			t.Fatalf("event %d, %s, stands without the %s that was asked for with it", e.Seq, e.Type, follows)
		}
	}
	if len(ended) != len(granted) {
		t.Fatalf("%d grants ran out and %d were noticed", len(granted), len(ended))
	}
}

// wantFeed checks that the feed after a cursor is what the ledger's steps come to, each change once and in order, and that
// the stream holds nothing else.
func wantFeed(t *testing.T, l *Ledger, after consumers.Cursor) {
	t.Helper()
	head := l.Head()
	var want, got []consumers.Change
	for step, err := range l.Steps(t.Context(), after.Seq, head) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, consumers.ChangesOf(step, l.Feed().Mark())...)
	}
	followed(t, l.Feed(), after, head, func(b consumers.Batch) { got = append(got, b.Changes...) })
	is, wanted := shownChanges(t, got), shownChanges(t, want)
	if i := firstDifference(is, wanted); i >= 0 {
		t.Fatalf("the feed after %v has %d changes, want %d; change %d is %s, want %s", after, len(is), len(wanted), i+1, lineAt(is, i), lineAt(wanted, i))
	}
	if after.Seq > 0 || after.N > 0 {
		return
	}
	stream, err := l.s.store.JetStream().Stream(t.Context(), "PERMLEDGER_acme_CHANGES")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != uint64(len(want)) {
		t.Fatalf("the stream has %d messages, want %d", n, len(want))
	}
}

// firstDifference is the first place where the lists differ, -1 where they are the same.
func firstDifference(a, b []string) int {
	if slices.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// lineAt is the line at a place, or that there is none.
func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "missing"
}
