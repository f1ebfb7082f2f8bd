package ledger

import (
	"testing"

	"github.com/permledger/permledger/domain"
)

// Three failed sign-ins lock the only founder; the operator lets them in again, once, and on the record.
func TestTheOnlyFounderIsLockedOut(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, opens(anna))
	unlock := func(a domain.Account, reason string) error {
		_, err := l.Unlock(t.Context(), a, "jan", reason)
		return err
	}
	wantError(t, unlock(boss, "why"), domain.Conflict, "not_locked", "")
	for range 3 {
		record1(t, l, fails(boss))
		record1(t, l, fails(anna))
	}
	if _, err := l.Record(t.Context(), []domain.Command{opens(bob)}); err == nil {
		t.Fatal("a founder who is locked out can record")
	}
	wantError(t, unlock(boss, ""), domain.Malformed, "reason_missing", "reason")
	wantError(t, unlock(anna, "why"), domain.RuleBroken, "not_locked_out", "no founder")
	wantError(t, unlock("client:never", "why"), domain.Unknown, "unknown_account", "client:never")
	before := l.Head()
	r, err := l.Unlock(t.Context(), boss, "jan", "called back on the known number")
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Events[0]; len(r.Events) != 1 || e.Seq != before+1 || e.Actor != "operator:jan" || e.Source != "operator" || e.Reason == "" {
		t.Fatalf("got %+v, want one event after %d by operator:jan", r.Events, before)
	}
	record1(t, l, opens(bob))
	wantError(t, unlock(anna, "why"), domain.RuleBroken, "not_locked_out", "has a founder")
	if got := events(t, l)[before]; got.Actor != "operator:jan" || got.Reason != "called back on the known number" {
		t.Fatalf("the log has %+v", got)
	}
}
