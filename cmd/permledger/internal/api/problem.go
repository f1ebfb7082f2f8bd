package api

// What goes wrong, as RFC 9457 problems: the one table from domain's failures to statuses, and the few refusals that only
// HTTP knows of. Nothing else here chooses a status.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
	"github.com/permledger/permledger/domain"
)

// statuses is how each failure shows (contract §3).
var statuses = map[domain.Failure]int{
	domain.Malformed:    http.StatusBadRequest,
	domain.NotPermitted: http.StatusForbidden,
	domain.Unknown:      http.StatusNotFound,
	domain.Conflict:     http.StatusConflict,
	domain.RuleBroken:   http.StatusUnprocessableEntity,
	domain.Unavailable:  http.StatusServiceUnavailable,
	domain.Unreachable:  http.StatusServiceUnavailable,
	domain.Incomplete:   http.StatusServiceUnavailable,
	domain.Integrity:    http.StatusServiceUnavailable,
}

// problem is the body of every error. Type is always "about:blank": the code tells problems apart.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // stable: programs may count on it
	// Failure tells apart what shares a status: 503 is the log's, the projection's that is behind, or of a damaged ledger.
	Failure domain.Failure `json:"failure,omitempty"`
	// RequestID is that of the answer's header: the log's line and the trace of the request have it too.
	RequestID string `json:"request_id,omitempty"`
	// Runbook is the page under deploy/runbooks that tells the operator what to do.
	Runbook string `json:"runbook,omitempty"`
}

func newProblem(status int, code, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// internal is the problem of what should never happen; the log says what it was.
func internal(requestID string) problem {
	const detail = "the request failed by a fault of the server; its log says why under request id "
	p := newProblem(http.StatusInternalServerError, "internal", detail+requestID)
	p.RequestID = requestID
	return p
}

// A refusal is an error of HTTP itself: a path, method, media type or size.
type refusal struct {
	status       int
	code, detail string
	failure      domain.Failure // "" for what only HTTP knows of
}

func (e refusal) Error() string { return e.detail }

// problemOf is the problem that an error is, in the answer to a request of this id.
func problemOf(err error, requestID string) (p problem) {
	var e *domain.Error
	var r refusal
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &r):
		p = newProblem(r.status, r.code, r.detail)
		p.Failure, p.Runbook = r.failure, runbook.Of(r.failure, r.code)
	case errors.As(err, &e) && statuses[e.Failure] != 0:
		p = newProblem(statuses[e.Failure], e.Code, err.Error())
		p.Failure, p.Runbook = e.Failure, runbook.For(err)
	case errors.As(err, &size):
		p = newProblem(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes; send it in parts", size.Limit))
	default:
		return internal(requestID)
	}
	p.RequestID = requestID
	return p
}

func writeProblem(w http.ResponseWriter, p problem) {
	if t, ok := w.(*tracked); ok {
		t.code = p.Code
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(append(marshal(p), '\n')) // a client that is gone reads no problem
}

// at puts where an error lies before its text, e.g. "commands[3]: ", and leaves its kind and code.
func at(where string, err error) error {
	var e *domain.Error
	if errors.As(err, &e) {
		return domain.Errorf(e.Failure, e.Code, "%s: %s", where, e.Message)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// clip shortens what a caller sent so that an error stays one readable line.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// marshal gives v as JSON. Its callers pass what always can be.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
