package ledger

// The operator's way in for a ledger in which every founder is locked out: failed sign-ins lock the last one too, and nobody
// is left who may unlock. It is an event like any other, by the actor operator:<name>; what the operator may do is nothing
// but this, and nothing at all while a founder can.

import (
	"context"

	"github.com/permledger/permledger/domain"
)

// An unlocking is what an operator asks for.
type unlocking struct {
	account, operator domain.Account
	reason            string
}

// Unlock ends the lockout of a founder, on an operator's word, where no founder is left who could. name is the operator's, as
// the ledger is to keep it for ever. Errors: Malformed for a name that is none or a reason that is missing; RuleBroken (code
// "not_locked_out") where a founder can do it, or the account is no founder's; Conflict where it is not locked.
func (l *Ledger) Unlock(ctx context.Context, account domain.Account, name, reason string) (Recorded, error) {
	operator, err := domain.ParseAccount("operator:" + name)
	if err != nil {
		return Recorded{}, err
	}
	if reason == "" {
		return Recorded{}, domain.Errorf(domain.Malformed, "reason_missing", "unlocking %s: a reason must be given: say who asked for it, and how you know that it was them", account)
	}
	return l.hand(ctx, &job{unlock: &unlocking{account, operator, reason}, done: make(chan struct{})})
}

// decideUnlock adds the unlocking to the flight, if it stands by what is recorded as of the writer's turn.
func (w *writer) decideUnlock(f *flight, u *unlocking, now domain.Instant, newID func() domain.EventID) error {
	head := w.l.p.Head()
	if err := domain.WasOpened(head, "account", u.account); err != nil {
		return err
	}
	e := &domain.Event{
		ID: newID(), Type: domain.AccountUnlocked, Version: 1, RecordedAt: now, Actor: u.operator, Source: "operator", Reason: u.reason,
		Data: &domain.AccountUnlock{Principal: u.account},
	}
	if err := domain.Admit(head, e); err != nil {
		return err
	}
	able, locked, err := founders(head, now)
	if err != nil {
		return err
	}
	is := false
	for _, who := range locked {
		is = is || who == u.account
	}
	switch {
	case able > 0:
		return domain.Errorf(domain.RuleBroken, "not_locked_out", "unlocking %s as operator: the ledger of %s has a founder who is not locked out; let them unlock it", u.account, w.l.Org())
	case !is:
		return domain.Errorf(domain.RuleBroken, "not_locked_out", "unlocking %s as operator: it is no founder of %s; unlock one, and let them unlock the others", u.account, w.l.Org())
	}
	return w.stage(f, e)
}

// founders tells of those who hold every founder role and have an open account how many may act, and who is locked.
func founders(r domain.Reader, at domain.Instant) (able int, locked []domain.Account, err error) {
	cat, _, err := domain.CatalogueAt(r, at)
	if err != nil || cat == nil || len(cat.Founder) == 0 {
		return 0, nil, err
	}
	for h, err := range r.FactsOn(domain.FamilyRole, domain.RoleRef(cat.Founder[0])) {
		if err != nil {
			return 0, nil, err
		}
		who, holds := h.Fact.Subject, true
		for _, role := range cat.Founder {
			v, err := r.Fact(domain.Fact{Family: domain.FamilyRole, Subject: who, Object: domain.RoleRef(role), Name: string(role)})
			if err != nil {
				return 0, nil, err
			}
			holds = holds && v.Holds(at)
		}
		st, err := domain.StandingOf(r, who, at)
		switch {
		case err != nil:
			return 0, nil, err
		case !holds || !st.Active:
		case st.Locked:
			locked = append(locked, who)
		default:
			able++
		}
	}
	return able, locked, nil
}
