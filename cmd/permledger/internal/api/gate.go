package api

// The gate that a server's requests come through: shut while the ledgers are being opened, open, and shut again when the
// service is about to stop. It counts who is inside, so that a service ends after the last of them. It answers itself for
// what it turns away, and knows nothing of what is behind it.
//
//	opening ──Open──▶ open ──Close──▶ closed ──Wait: the last one inside leaves──▶ nobody is inside

import (
	"context"
	"net/http"
	"sync"

	"github.com/permledger/permledger/domain"
)

// A Gate is safe for use by any goroutine.
type Gate struct {
	mu     sync.Mutex   // guards what follows
	next   http.Handler // nil until Open
	closed bool
	inside int
	empty  chan struct{} // closed with the gate closed and nobody inside
}

// NewGate gives a gate that is not open yet.
func NewGate() *Gate { return &Gate{empty: make(chan struct{})} }

// Open lets requests through to the handler.
func (g *Gate) Open(next http.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = next
}

// Close turns away every request from now on, /readyz among them. Those inside stay.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.tell()
	}
}

// Inside is how many requests are being answered.
func (g *Gate) Inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// Wait returns once the gate is closed and nobody is inside, or with the error of ctx.
func (g *Gate) Wait(ctx context.Context) error {
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next, refusal := g.enter()
	switch {
	case refusal == nil:
		defer g.leave()
		next.ServeHTTP(w, r)
	case r.URL.Path == "/livez": // it is alive, and asking that must not keep it from ending
		_ = writeJSON(w, map[string]string{"status": "alive"})
	default:
		h := w.Header()
		h.Set("Retry-After", retryAfter)
		if next != nil {
			h.Set("Connection", "close") // of a server that will not be there for the next request
		}
		writeProblem(w, problemOf(refusal, h.Get(requestIDHeader)))
	}
}

// retryAfter is after how many seconds to ask again: a restart takes about as long.
const retryAfter = "2"

// enter gives the handler, which whoever is let in has to leave, and why one is not let in.
func (g *Gate) enter() (http.Handler, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return g.next, domain.Errorf(domain.Unavailable, "stopping", "the service is stopping and takes nothing new; nothing was recorded, ask again when it is back")
	case g.next == nil:
		return nil, domain.Errorf(domain.Incomplete, "starting", "the service is starting: its data is being opened; ask again soon")
	}
	g.inside++
	return g.next, nil
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed {
		g.tell()
	}
}

// tell closes empty once nobody is inside. The gate is closed, so that happens once. g.mu is held.
func (g *Gate) tell() {
	if g.inside == 0 {
		close(g.empty)
	}
}
