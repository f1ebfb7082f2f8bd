package ledger

// Personal texts on their way into the log and out of it. In the log they are sealed under a key of the person they are
// about, which lies outside it: erasing the key erases them, and every stored byte stays as it is.

import (
	"context"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// seal gives the event as it is to be stored: itself where it has no personal texts. r is the ledger before the event.
func seal(ctx context.Context, keys *eventstore.Keys, r domain.Reader, e *domain.Event) (*domain.Event, error) {
	if e.SealedFor != "" {
		return nil, domain.Errorf(domain.Malformed, "sealed_already", "recording %s: its texts are sealed already", e.Type)
	}
	if len(e.Texts()) == 0 {
		return e, nil
	}
	person, err := domain.PersonOf(r, e.Data)
	if err != nil {
		return nil, err
	}
	if person == "" {
		person = e.Actor
	}
	stored := e.Clone()
	stored.SealedFor = person
	for field, text := range stored.Texts() {
		if *text, err = keys.Seal(ctx, person, e.ID, field, *text); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// open gives the event with its texts readable. Where the person's key was erased they are empty, and SealedFor says
// whose they were.
func open(ctx context.Context, keys *eventstore.Keys, stored *domain.Event) (*domain.Event, error) {
	if stored.SealedFor == "" {
		return stored, nil
	}
	e := stored.Clone()
	for field, text := range e.Texts() {
		plain, ok, err := keys.Unseal(ctx, stored.SealedFor, e.ID, field, *text)
		if err != nil {
			return nil, err
		}
		if *text = plain; ok {
			e.SealedFor = ""
		}
	}
	return e, nil
}
