package domain

// Dues: the moments at which a dated fact begins or runs out with nobody doing anything, and the notices that the ledger's
// own clock records of them (validity.started, validity.ended). A notice is for history and for whoever follows what
// changes: nothing here makes a fact hold or end. Its bounds do (Interval.Holds), noticed or not.

import (
	"cmp"
	"slices"
)

// Who records notices, and from where.
const (
	ClockActor  Account = "ledger:clock"
	ClockSource string  = "clock"
)

// A Due is a moment of which notice is to be taken. An event begins one dated fact at most, and no interval begins and
// ends at once, so a moment and a seq name one due.
type Due struct {
	At    Instant
	Of    Seq  // the event that began the interval
	Ended bool // the interval runs out then; else it begins
}

// Compare orders dues as they are to be noticed: by time, and at one moment by seq.
func (d Due) Compare(other Due) int {
	ended := func(d Due) int {
		if d.Ended {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(d.At, other.At), cmp.Compare(d.Of, other.Of), ended(d)-ended(other))
}

// Notice gives the data of the event that takes notice of the due.
func (d Due) Notice() Data {
	if d.Ended {
		return &ValidityEnd{Of: d.Of}
	}
	return &ValidityStart{Of: d.Of}
}

// noticedBy tells whether e takes notice of the due. One that was recorded before its moment, as only a history from
// elsewhere has it, takes notice of nothing: what it says has yet to happen.
func (d Due) noticedBy(e *Event) bool {
	if e.RecordedAt < d.At {
		return false
	}
	switch n := e.Data.(type) {
	case *ValidityStart:
		return !d.Ended && d.Of == n.Of
	case *ValidityEnd:
		return d.Ended && d.Of == n.Of
	}
	return false
}

// Dated tells whether facts of the family have dues: those with bounds of their own. FamilyActive has them for guests, who
// are somebody for as long as they were invited.
func (f Family) Dated() bool {
	switch f {
	case FamilyRole, FamilyLink, FamilyMember, FamilyGrant, FamilyInvitation, FamilyActive:
		return true
	}
	return false
}

// dated gives the dated facts that an event may have begun, of which f is the one by which it is found (Reader.FactAt): a
// guest's invitation makes somebody of the guest, and when either ends otherwise the other may still run out.
func (f Fact) dated() []Fact {
	if f.Family == FamilyInvitation {
		return []Fact{f, activeFact(f.Subject)}
	}
	return []Fact{f}
}

// Dues gives every due of a version of f, past or to come. An interval is due to begin where it was recorded before it
// did, and due to run out where its end is not the doing of an event: of a revocation's there is notice enough.
func Dues(f Fact, v Version) []Due {
	if !f.Family.Dated() {
		return nil
	}
	var dues []Due
	for _, iv := range v.Intervals {
		if iv.Empty() {
			continue
		}
		if iv.From > iv.Recorded {
			dues = append(dues, Due{At: iv.From, Of: iv.Began})
		}
		// A correction may give what was ended an end of its own again.
		if iv.Until != Forever && (iv.Ended == 0 || iv.Corrected > iv.Ended) {
			dues = append(dues, Due{At: iv.Until, Of: iv.Began, Ended: true})
		}
	}
	return dues
}

// A DueChange is what an event does to a due: from then on notice is to be taken of it, or not any more.
type DueChange struct {
	Due     Due
	Pending bool
}

// DueChanges says what e does to dues: changes is what it does to facts (Fold), and r the ledger before it. What e brings
// is pending where it is yet to come: what is recorded late and over already needs no notice. What was there before stays
// pending until it is gone or noticed, however late that is.
func DueChanges(r Reader, e *Event, changes []Change) ([]DueChange, error) {
	var dues []DueChange
	for _, c := range changes {
		if !c.Fact.Family.Dated() {
			continue
		}
		before, err := r.Fact(c.Fact)
		if err != nil {
			return nil, err
		}
		was, is := Dues(c.Fact, before), Dues(c.Fact, c.after(e))
		for _, d := range was {
			if slices.Contains(is, d) {
				continue
			}
			still, err := d.still(r, e, changes, c.Fact)
			if err != nil {
				return nil, err
			}
			if !still {
				dues = append(dues, DueChange{Due: d})
			}
		}
		for _, d := range is {
			switch old := slices.Contains(was, d); {
			case !old && d.At > e.RecordedAt:
				dues = append(dues, DueChange{Due: d, Pending: true})
			case old && d.noticedBy(e):
				dues = append(dues, DueChange{Due: d})
			}
		}
	}
	return dues, nil
}

// after is the version of the fact from e on.
func (c Change) after(e *Event) Version {
	return Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: c.Intervals}
}

// still tells whether another fact than gone has the due after e.
func (d Due) still(r Reader, e *Event, changes []Change, gone Fact) (bool, error) {
	first, ok, err := r.FactAt(d.Of)
	if err != nil || !ok {
		return false, err
	}
	for _, f := range first.dated() {
		if f == gone {
			continue
		}
		v, err := r.Fact(f)
		if err != nil {
			return false, err
		}
		if i := slices.IndexFunc(changes, func(c Change) bool { return c.Fact == f }); i >= 0 {
			v = changes[i].after(e)
		}
		if slices.Contains(Dues(f, v), d) {
			return true, nil
		}
	}
	return false, nil
}

// NoticeOf gives the event that takes notice of the due at the moment now, or says why there can be none. r is the ledger
// as of its newest event. The event's Org and Seq are the caller's to set.
func NoticeOf(r Reader, d Due, now Instant, id EventID) (*Event, error) {
	data := d.Notice()
	e := &Event{ID: id, Type: data.Type(), Version: versionOf(data), RecordedAt: now, Actor: ClockActor, Source: ClockSource, Data: data}
	if err := Admit(r, e); err != nil {
		return nil, err
	}
	return e, nil
}
