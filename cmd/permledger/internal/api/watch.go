package api

// Each request is given an id, and told of when it is over: one line in the log, and a call to whoever observes. Nothing is
// answered here but for a handler that panicked.

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// An Observer is told of each request. Begin is called as one begins, with the id by which it is known, and gives the
// context that it goes on with; what it gives besides is called as the request ends, with the pattern of the route that
// matched ("GET /orgs/{org}/who"; "" where it was turned away before) and the status of its answer.
type Observer interface {
	Begin(r *http.Request, id string) (ctx context.Context, end func(pattern string, status int))
}

type watched struct {
	next     http.Handler
	observer Observer // or nil
	logger   *slog.Logger
}

// Watched tells of each request that next answers; observer may be nil. It goes around whatever may turn requests away
// before they come to New's handler, which tells of those alone that come to it by another way.
func Watched(next http.Handler, observer Observer, logger *slog.Logger) http.Handler {
	return &watched{next, observer, logger}
}

const (
	requestIDHeader = "X-Request-ID"
	maxRequestID    = 256 // bytes: a longer one would fill the log
)

// requestID gives the id that the caller chose, or a new one where it chose none that can be written everywhere: a header
// may hold bytes that are no text, and one such id would keep all traces that are sent with it from their collector.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c > '~' }) {
		return rand.Text()
	}
	return id
}

// ServeHTTP names the request, has it answered and logs one line. The line has neither query nor account: who was asked
// about is nobody's business who reads a server's log.
func (h *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, already := w.(*tracked); already {
		h.next.ServeHTTP(w, r)
		return
	}
	start, id := time.Now(), requestID(r)
	header := w.Header()
	header.Set(requestIDHeader, id)
	header.Set("Cache-Control", "no-store") // what was true a moment ago may not be served as an answer
	header.Set("X-Content-Type-Options", "nosniff")
	t := &tracked{ResponseWriter: w, status: http.StatusOK}
	end := func(string, int) {}
	if h.observer != nil {
		var ctx context.Context
		ctx, end = h.observer.Begin(r, id)
		r = r.WithContext(ctx)
	}
	defer func() {
		cut := h.recovered(recover(), t, id)
		_, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			path = r.Pattern
		}
		about := []any{"method", clip(r.Method), "path", path, "status", t.status, "duration", time.Since(start), "request_id", id}
		if t.code != "" {
			about = append(about, "code", t.code)
		}
		h.logger.Info("request", about...)
		end(r.Pattern, t.status)
		if cut {
			panic(http.ErrAbortHandler)
		}
	}()
	h.next.ServeHTTP(t, r)
}

// recovered answers for a handler that panicked with p, and tells whether the connection has to be cut.
func (h *watched) recovered(p any, t *tracked, id string) (cut bool) {
	if p == nil {
		return false
	}
	if p == http.ErrAbortHandler {
		return true
	}
	what := fmt.Sprintf("%T", p) // its text may hold what somebody sent
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	h.logger.Error("panic", "panic", what, "request_id", id, "stack", string(debug.Stack()))
	if t.sent {
		return true
	}
	writeProblem(t, internal(id))
	return false
}

// tracked remembers what was answered.
type tracked struct {
	http.ResponseWriter
	status int
	code   string // of the problem that it was, or ""
	sent   bool   // the status line is on its way: no problem can be told any more
}

func (t *tracked) WriteHeader(status int) {
	if !t.sent {
		t.status, t.sent = status, true
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	t.sent = true
	return t.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }
