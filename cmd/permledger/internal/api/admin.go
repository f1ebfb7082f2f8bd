package api

// Rebuilding and verifying a projection on a running server. Either may take minutes, so its answer is a stream of lines,
// each a JSON object: how far it is, twice a second, and last what it came to. It ends early with its client or with the
// server; a rebuild that was cut goes on where it was when it is asked for again. What is made and compared is the ledger's
// business; nothing here decides whether it is right.

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// A step is one line. The last has Result, or Error, or both where something was done or found out before it went wrong.
type step struct {
	State  *ledger.RebuildState `json:"state,omitempty"`
	Result any                  `json:"result,omitempty"`
	Error  *problem             `json:"error,omitempty"`
}

// steps writes them. A line that can't be sent ends the work, as its client is gone.
type steps struct {
	w       http.ResponseWriter
	control *http.ResponseController
	wait    time.Duration // for a client to take a line
	cancel  context.CancelFunc
	begun   bool
	err     error
}

func (s *steps) send(line step) {
	if s.err != nil {
		return
	}
	s.begun = true
	// Each line has a time of its own: a server's bound on a whole answer is shorter than a long rebuild.
	err := s.control.SetWriteDeadline(time.Now().Add(s.wait))
	if errors.Is(err, http.ErrNotSupported) { // within this process
		err = nil
	}
	if err == nil {
		_, err = s.w.Write(append(marshal(line), '\n'))
	}
	if err == nil {
		if err = s.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil {
		s.err = err
		s.cancel()
	}
}

// work answers with the steps of do. What is wrong before the first of them, with no result, is an ordinary problem.
func (s *server) work(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, progress func(ledger.RebuildState)) (result any, err error)) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	if r.Method == http.MethodHead {
		return nil // it would be told nothing of all that
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)() // it has no part in a graceful end
	out := &steps{w: w, control: http.NewResponseController(w), wait: s.takeWait, cancel: cancel}
	result, err := do(ctx, func(st ledger.RebuildState) { // called by one goroutine at a time, and not any more when do returns
		if st.Phase != ledger.PhaseDone && st.Phase != ledger.PhaseFailed { // the last line tells the end
			out.send(step{State: &st})
		}
	})
	if out.err != nil || r.Context().Err() != nil { // a client that left is no news
		panic(http.ErrAbortHandler)
	}
	last := step{Result: result}
	if err != nil {
		if s.closing.Err() != nil && errors.Is(err, context.Canceled) {
			err = domain.Errorf(domain.Unavailable, "stopping", "the service is being stopped: ask again when it is back, and a rebuild goes on where it was")
		}
		if !out.begun && result == nil {
			w.Header().Del("Content-Type")
			return err
		}
		p := problemOf(err, w.Header().Get(requestIDHeader))
		if p.Code == "internal" {
			s.logger.Error("request failed", "error", err, "request_id", p.RequestID)
		}
		last.Error = &p
	}
	out.send(last)
	return nil
}

// rebuild makes a projection anew: ?org=, dry_run=, rollback=, replace_damaged=.
func (s *server) rebuild(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "org", "dry_run", "rollback", "replace_damaged")
	if err != nil {
		return err
	}
	org, err := p.org()
	if err != nil {
		return err
	}
	var o ledger.RebuildOptions
	for name, flag := range map[string]*bool{"dry_run": &o.DryRun, "rollback": &o.Rollback, "replace_damaged": &o.ReplaceDamaged} {
		if *flag, err = p.flag(name); err != nil {
			return err
		}
	}
	return s.work(w, r, func(ctx context.Context, progress func(ledger.RebuildState)) (any, error) {
		out, err := s.service.Rebuild(ctx, org, o, progress)
		if err != nil && out.Comparison == nil && !out.Swapped {
			return nil, err
		}
		return out, err
	})
}

// verify verifies: ?org=, sample=.
func (s *server) verify(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "org", "sample")
	if err != nil {
		return err
	}
	org, err := p.org()
	if err != nil {
		return err
	}
	var o ledger.VerifyOptions
	if p["sample"] != "" {
		if o.Sample, err = strconv.Atoi(p["sample"]); err != nil || o.Sample < 1 {
			return domain.Errorf(domain.Malformed, "bad_sample", "sample %q: want how many events are to be folded again, a whole number from 1", clip(p["sample"]))
		}
	}
	return s.work(w, r, func(ctx context.Context, progress func(ledger.RebuildState)) (any, error) {
		out, err := s.service.Verify(ctx, org, o, progress)
		if err != nil && (out.Seq == 0 || !errors.Is(err, domain.Integrity)) { // what was kept from looking has seen nothing
			return nil, err
		}
		return out, err
	})
}

// rebuilding tells which are under way, and how the last ended.
func (s *server) rebuilding(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	states := append([]ledger.RebuildState{}, s.service.RebuildStates()...)
	slices.SortFunc(states, func(a, b ledger.RebuildState) int { return cmp.Compare(a.Org, b.Org) })
	return writeJSON(w, map[string][]ledger.RebuildState{"rebuilds": states})
}

// org reads the organisation, which must be given.
func (p params) org() (domain.Org, error) {
	name, err := p.required("org")
	if err != nil {
		return "", err
	}
	return domain.ParseOrg(name)
}
