package ledger

// Telling what was recorded: about an account, a role or a grant, by an actor, or all of it, in either order. Which events
// those are the projection knows; what they say is read from the log, one by one, so that nothing is held but one event.

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
)

// A Trail says which events are wanted. At most one of the first four is set; where none is, all events are.
type Trail struct {
	About domain.Account // what made, changed or ended something of the account's
	Role  domain.Role    // what gave or took the role
	Grant domain.GrantID // what gave, revoked, reviewed or corrected the temporary access
	Actor domain.Account // what the account did

	Types       []string       // types, and beginnings of types that end in "*"; none: all
	From, Until domain.Instant // recorded at From or later and before Until; 0: no such bound
	Newest      bool           // first
	Past        domain.Seq     // only what comes behind this event in the order; 0: from the first
}

// Told is an event and what it has to do with others, as far as was known.
type Told struct {
	Event       *domain.Event
	Concern     *domain.Concern // of the event that it is about; nil where it is about none
	CorrectedBy []domain.Seq    // the corrections of what it says, oldest first
}

// History tells the events of the trail that were known, each once.
func (a *Asked) History(ctx context.Context, t Trail) iter.Seq2[Told, error] {
	return func(yield func(Told, error) bool) {
		after, upTo, err := a.stretch(t)
		if err != nil {
			yield(Told{}, err)
			return
		}
		for e, err := range a.events(ctx, t, after, upTo) {
			var told Told
			switch {
			case err == nil && !t.wants(e.Type):
				continue
			case err == nil:
				told, err = a.tell(ctx, e)
			}
			if !yield(told, err) || err != nil {
				return
			}
		}
	}
}

// Did tells whether the account ever recorded anything, as far as was known.
func (a *Asked) Did(actor domain.Account) (bool, error) {
	for _, err := range a.l.p.Deeds(actor, 0, a.KnownAt(), false) {
		return err == nil, err
	}
	return false, nil
}

// stretch gives the part of the log that the trail is in: behind after, up to and including upTo.
func (a *Asked) stretch(t Trail) (after, upTo domain.Seq, err error) {
	upTo = a.KnownAt()
	if t.From != 0 {
		if after, err = a.l.p.SeqAt(t.From - 1); err != nil {
			return 0, 0, err
		}
	}
	if t.Until != 0 {
		before, err := a.l.p.SeqAt(t.Until - 1)
		if err != nil {
			return 0, 0, err
		}
		upTo = min(upTo, before)
	}
	switch {
	case t.Past == 0:
	case t.Newest:
		upTo = min(upTo, t.Past-1)
	default:
		after = max(after, t.Past)
	}
	return after, max(after, upTo), nil // nothing lies between the same two
}

// wants tells whether the type is one of those that the trail is of.
func (t Trail) wants(typ domain.EventType) bool {
	return len(t.Types) == 0 || slices.ContainsFunc(t.Types, func(want string) bool { return Matches(want, typ) })
}

// Matches tells whether the type is the wanted one or, that ending in "*", begins as it does.
func Matches(want string, typ domain.EventType) bool {
	if beginning, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(string(typ), beginning)
	}
	return want == string(typ)
}

// events reads the trail's events of the stretch from the log, of whatever type. Their texts are still sealed.
func (a *Asked) events(ctx context.Context, t Trail, after, upTo domain.Seq) iter.Seq2[*domain.Event, error] {
	if t.About == "" && t.Role == "" && t.Grant == "" && t.Actor == "" {
		return a.all(ctx, after, upTo, t.Newest)
	}
	return func(yield func(*domain.Event, error) bool) {
		for seq, err := range a.seqs(t, after, upTo) {
			var e *domain.Event
			if err == nil {
				e, err = a.stored(ctx, seq)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// stored reads one event as it lies in the log.
func (a *Asked) stored(ctx context.Context, seq domain.Seq) (*domain.Event, error) {
	entry, err := a.l.entry(ctx, seq)
	if err != nil {
		return nil, err
	}
	e, err := a.l.decode(entry)
	if err != nil {
		a.l.fail(err)
	}
	return e, err
}

// seqs gives where the events are that belong to the trail's account, role, grant or actor.
func (a *Asked) seqs(t Trail, after, upTo domain.Seq) iter.Seq2[domain.Seq, error] {
	if t.Actor != "" {
		return a.l.p.Deeds(t.Actor, after, upTo, t.Newest)
	}
	return func(yield func(domain.Seq, error) bool) {
		seqs, err := a.about(t, after, upTo)
		if err != nil {
			yield(0, err)
			return
		}
		if t.Newest {
			slices.Reverse(seqs)
		}
		for _, seq := range seqs {
			if !yield(seq, nil) {
				return
			}
		}
	}
}

// about gives the events about the trail's account, role or grant, oldest first: eight bytes of memory each.
func (a *Asked) about(t Trail, after, upTo domain.Seq) (seqs []domain.Seq, err error) {
	if t.Grant != "" {
		return a.ofGrant(t.Grant, after, upTo)
	}
	near := t.About
	if t.Role != "" {
		near = domain.RoleRef(t.Role)
	}
	for seq, err := range a.l.p.History(near, after, upTo) {
		if err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, nil
}

// ofGrant gives the events that gave, changed and reviewed a grant, oldest first.
func (a *Asked) ofGrant(id domain.GrantID, after, upTo domain.Seq) ([]domain.Seq, error) {
	ref, err := a.Fact(domain.Fact{Family: domain.FamilyGrantRef, Subject: domain.GrantRef(id), Object: domain.GrantsRef})
	if err != nil || len(ref.Intervals) == 0 {
		return nil, err
	}
	grant, _, err := a.FactAt(ref.Intervals[0].Began)
	if err != nil {
		return nil, err
	}
	review := grant
	review.Family = domain.FamilyReview
	var seqs []domain.Seq
	for _, f := range []domain.Fact{grant, review} {
		for v, err := range a.Versions(f) {
			if err != nil {
				return nil, err
			}
			if after < v.Seq && v.Seq <= upTo {
				seqs = append(seqs, v.Seq)
			}
		}
	}
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// How many events are read at once when the log is told backwards: few at first, as few may be wanted.
const (
	firstBackwards = 16
	mostBackwards  = 4096
)

// all reads a stretch of the log. It can be read forwards only, so backwards it is read piece by piece.
func (a *Asked) all(ctx context.Context, after, upTo domain.Seq, newest bool) iter.Seq2[*domain.Event, error] {
	return func(yield func(*domain.Event, error) bool) {
		if !newest {
			a.read(ctx, after, upTo, yield)
			return
		}
		var piece []*domain.Event
		var failed error
		collect := func(e *domain.Event, err error) bool {
			piece, failed = append(piece, e), err
			return true
		}
		for size := domain.Seq(firstBackwards); after < upTo; size = min(2*size, mostBackwards) {
			from := max(after, upTo-min(upTo, size))
			piece = piece[:0]
			a.read(ctx, from, upTo, collect)
			if failed != nil {
				yield(nil, failed)
				return
			}
			for _, e := range slices.Backward(piece) {
				if !yield(e, nil) {
					return
				}
			}
			upTo = from
		}
	}
}

// read hands a stretch of the log to yield, until it is done or there is an error, which is handed over last.
func (a *Asked) read(ctx context.Context, after, upTo domain.Seq, yield func(*domain.Event, error) bool) {
	for entry, err := range a.l.log.Read(ctx, after, upTo) {
		var e *domain.Event
		if err == nil {
			if e, err = a.l.decode(entry); err != nil {
				a.l.fail(err)
			}
		}
		if !yield(e, err) || err != nil {
			return
		}
	}
}

// tell opens the event's texts, and finds what it is about and what corrects it.
func (a *Asked) tell(ctx context.Context, stored *domain.Event) (told Told, err error) {
	if told.Event, err = open(ctx, a.l.keys, stored); err != nil {
		return Told{}, err
	}
	switch d := stored.Data.(type) {
	case *domain.Correction:
		told.Concern, err = a.concern(ctx, d.Corrects, stored.Seq)
	case *domain.ValidityStart:
		told.Concern, err = a.concern(ctx, d.Of, stored.Seq)
	case *domain.ValidityEnd:
		told.Concern, err = a.concern(ctx, d.Of, stored.Seq)
	default:
		told.CorrectedBy, err = a.correctedBy(stored.Seq)
	}
	return told, err
}

// concern gives what the event by is about, which the event of began: its type, and its bounds until then.
func (a *Asked) concern(ctx context.Context, of, by domain.Seq) (*domain.Concern, error) {
	e, err := a.stored(ctx, of)
	if err != nil {
		return nil, err
	}
	c := &domain.Concern{Type: e.Type}
	f, _, err := a.FactAt(of)
	if err != nil {
		return nil, err
	}
	for v, err := range a.Versions(f) {
		if err != nil {
			return nil, err
		}
		if v.Seq >= by {
			break
		}
		if iv, ok := begunBy(v, of); ok {
			c.Was = iv
		}
	}
	return c, nil
}

// correctedBy gives the corrections of what the event began. Nearly always there are none, which one lookup tells.
func (a *Asked) correctedBy(seq domain.Seq) ([]domain.Seq, error) {
	f, ok, err := a.FactAt(seq)
	if err != nil || !ok {
		return nil, err
	}
	newest, err := a.Fact(f)
	if err != nil {
		return nil, err
	}
	if iv, ok := begunBy(newest, seq); !ok || iv.Corrected == 0 {
		return nil, nil
	}
	var by []domain.Seq
	for v, err := range a.Versions(f) {
		if err != nil {
			return nil, err
		}
		if iv, ok := begunBy(v, seq); ok && iv.Corrected == v.Seq {
			by = append(by, v.Seq)
		}
	}
	return by, nil
}

func begunBy(v domain.Version, seq domain.Seq) (domain.Interval, bool) {
	for _, iv := range v.Intervals {
		if iv.Began == seq {
			return iv, true
		}
	}
	return domain.Interval{}, false
}
