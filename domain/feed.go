package domain

// What changes for everybody as a ledger goes on, event by event: each step is a pure function of what was known before
// the event, of the event, and of the moments that passed between. It publishes nothing.

// A Step is what one more event, and the time that had passed until it was recorded, changed for everybody.
type Step struct {
	Seq     Seq
	At      Instant // when the event was recorded
	Changes []AccessChange
}

// An AccessChange is an effect with the moment from which on it is so, and what it came of.
type AccessChange struct {
	Effect
	At    Instant
	Cause Cause
}

// A Cause is the event that a change came of; or, where Of is not 0, a moment at which what the event Of began held at last
// or ran out, and then Seq is the event from which on that shows: the notice of it, or what was recorded before that.
type Cause struct {
	Seq   Seq
	Type  EventType
	Actor Account
	Of    Seq
}
