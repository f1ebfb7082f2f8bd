package domain

// What can go wrong, as few kinds as there are ways out of it. How a kind becomes an HTTP status or an exit code is
// one table in cmd/permledger; nothing here knows of either.

import "fmt"

// A Failure is a kind of error; match it with errors.Is(err, domain.Conflict).
type Failure string

// The kinds. The first five are about what was asked, the rest about the state of the ledger (contract §3, §5).
const (
	Malformed    Failure = "malformed"     // it can't be read: a bad id, time, line, body, flag
	NotPermitted Failure = "not permitted" // the actor may not
	Unknown      Failure = "unknown"       // an organisation or account that is not there
	Conflict     Failure = "conflict"      // it contradicts what stands
	RuleBroken   Failure = "rule broken"   // the catalogue forbids it
	Unavailable  Failure = "unavailable"   // the log can't take it now; nothing was recorded
	Unreachable  Failure = "unreachable"   // the server or directory can't be reached, or somebody else has it
	Incomplete   Failure = "incomplete"    // the answer would lack what was recorded but not yet projected
	Integrity    Failure = "integrity"     // the log or the projection is not what it was: stop
)

// Error lets a Failure be the target of errors.Is.
func (f Failure) Error() string { return string(f) }

// Error is a failure with what was attempted, with what, and what would be right, in one line.
// Code is stable: programs may count on it. Message is for people and never holds personal text or a secret.
type Error struct {
	Failure Failure
	Code    string
	Message string
}

// Errorf makes an *Error.
func Errorf(f Failure, code, format string, args ...any) *Error {
	return &Error{Failure: f, Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is(err, domain.Conflict) true for every Conflict.
func (e *Error) Is(target error) bool { f, ok := target.(Failure); return ok && f == e.Failure }
