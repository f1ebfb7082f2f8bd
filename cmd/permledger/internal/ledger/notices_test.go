package ledger

// Notices taken by hand: the same that the clock would have recorded, when they are asked for and not before.

import (
	"fmt"
	"testing"
)

func TestNoticesTakenByHand(t *testing.T) {
	now := newStopped()
	l := founding(t, Options{Data: t.TempDir(), Now: now.time})
	record1(t, l, opens(anna), opens(bob))
	take := func(second int, want ...string) {
		t.Helper()
		now.move(second)
		if err := l.TakeNotice(); err != nil {
			t.Fatal(err)
		}
		wantNoticed(t, l, want...)
	}
	next := func(want int) {
		t.Helper()
		if due, ok, err := l.NextDue(); due != at(want) || !ok || err != nil {
			t.Fatalf("next due: got %s, %t, %v, want %s", due, ok, err, at(want))
		}
	}

	a := seqOf(t, l, dated(anna, 10, 20))
	b := seqOf(t, l, dated(bob, 0, 10))
	next(10)
	take(9)
	began, over := fmt.Sprint(a, " started"), fmt.Sprint(b, " ended")
	take(10, began, over)
	next(20)
	take(19, began, over)
	take(20, began, over, fmt.Sprint(a, " ended"))
	if due, ok, err := l.NextDue(); ok || err != nil {
		t.Errorf("next due: got %s, %t, %v, want nothing", due, ok, err)
	}
}
