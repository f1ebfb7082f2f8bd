package ledger

// Making a projection anew from its log, beside the live one, and putting it in its place. It reads the log and writes
// only beside, until the one step that swaps; it records nothing and has no effect outside (no key is erased, nobody is
// told): everything that an event was to bring about was brought about when it was recorded.
//
//	reading     events of the log ──▶ a database of its own, in bulk, beside the live one, which answers and keeps up
//	comparing   both pinned at one seq: a digest of each, and answers picked at random; both are written to tables of
//	            their own in the same pass
//	swapping    in the writer's turn: the tail of events since, then the new tables in the place of the live ones
//
// Killed while reading, it goes on behind what was last flushed; killed later, it compares again. Until the swap nothing
// that is live was touched, and the swap is one step of the database (projections/swap.go).
//
// What is unequal is never swapped. Where the live projection is known to be damaged there is nothing to compare with:
// that has to be said (ReplaceDamaged), and the ledger that stopped over it begins again on the new one.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

const (
	// besideCache is the cache of a database that is built beside, in bytes. Where the filters of its tables do not fit, each
	// lookup of what the Head does not remember reads them again.
	besideCache = 64 << 20
	// comparingCache is the same while it is compared, when each block is read once.
	comparingCache = 8 << 20
	// nearly is how far the new projection may be behind the live one when the writer's turn begins.
	nearly = 500
	// heartbeat is how often progress is told, whether there is any or not.
	heartbeat = 500 * time.Millisecond
	// roomEvery is after how many events it is looked whether the disk still has room.
	roomEvery = 50_000
	// answersCompared is how many questions are asked of both.
	answersCompared = 200
	// differencesShown is how many keys are shown that differ. All are counted.
	differencesShown = 100
)

// RebuildOptions say what becomes of a rebuild.
type RebuildOptions struct {
	DryRun         bool // build and compare, do not swap
	Rollback       bool // begin with the projection that the last swap kept, instead of with nothing, and swap even where it differs
	ReplaceDamaged bool // do not compare: the live projection is known to be damaged
}

// What a rebuild is at.
const (
	PhaseStarting  = "starting"
	PhaseReading   = "reading"
	PhaseComparing = "comparing"
	PhaseSwapping  = "swapping"
	PhaseDone      = "done"
	PhaseFailed    = "failed"
)

// A RebuildState says how far a rebuild or a verification is, or how the last one ended.
type RebuildState struct {
	Org     domain.Org `json:"org"`
	Kind    string     `json:"kind"` // rebuild, rollback, replace or verify
	Phase   string     `json:"phase"`
	From    domain.Seq `json:"from"`            // where reading began: behind 0 it went on with what was there
	Seq     domain.Seq `json:"seq"`             // the newest event read
	Target  domain.Seq `json:"target"`          // the newest event that is to be read, as far as is known
	Rate    float64    `json:"rate"`            // events read a second, over all the reading
	Left    float64    `json:"left"`            // seconds of reading left at that rate
	Keys    int64      `json:"keys"`            // of the live projection, compared so far
	Live    domain.Seq `json:"live"`            // the newest event that answers rest on
	Lag     domain.Seq `json:"lag"`             // how many events it is behind the log, as far as is known
	Started time.Time  `json:"started"`         //
	At      time.Time  `json:"at"`              // when this was so: the heartbeat
	Error   string     `json:"error,omitempty"` // why it failed
}

// Rebuilt is what a rebuild came to.
type Rebuilt struct {
	Org     domain.Org `json:"org"`
	Kind    string     `json:"kind"`
	Seq     domain.Seq `json:"seq"`     // at which both were compared, or to which it was built
	Events  uint64     `json:"events"`  // read by this run
	Resumed domain.Seq `json:"resumed"` // the event behind which it went on; 0: from the beginning
	Seconds float64    `json:"seconds"`
	Reading float64    `json:"reading"` // how many of the seconds went into reading the log
	DryRun  bool       `json:"dry_run,omitempty"`
	Swapped bool       `json:"swapped"`
	Kept    bool       `json:"kept"` // the one that was live is kept for a rollback
	*Comparison
}

// A Comparison is of a live projection with one that was made from the log.
type Comparison struct {
	Equal       bool                     `json:"equal"`
	Keys        int64                    `json:"keys"`    // of the live one
	Bytes       int64                    `json:"bytes"`   // of its keys and values
	Answers     int                      `json:"answers"` // to questions picked at random, that both gave
	Live        []projections.SortDigest `json:"live"`
	Rebuilt     []projections.SortDigest `json:"rebuilt"`
	Differing   int64                    `json:"differing"`
	Differences []projections.Difference `json:"differences,omitempty"` // the first of those
}

// rebuilds are those that are under way, one for an organisation, and how the last of each ended.
type rebuilds struct {
	mu      sync.Mutex
	running map[domain.Org]*rebuild
	last    map[domain.Org]RebuildState
	closed  bool
	wait    sync.WaitGroup
}

// A rebuild is one of them.
type rebuild struct {
	s    *Service
	o    RebuildOptions
	kind string
	dir  string // its own: the database, and tables on their way
	l    *Ledger

	db  *projections.DB
	new *projections.Ledger

	cancel context.CancelFunc
	mu     sync.Mutex // guards what follows, and the setting of l
	state  RebuildState
	read   time.Time // when reading began
}

// RebuildStates gives every rebuild and verification that is under way, and of other organisations how the last ended.
func (s *Service) RebuildStates() []RebuildState {
	s.rebuilds.mu.Lock()
	defer s.rebuilds.mu.Unlock()
	var all []RebuildState
	for _, r := range s.rebuilds.running {
		all = append(all, r.snapshot())
	}
	for org, st := range s.rebuilds.last {
		if s.rebuilds.running[org] == nil {
			all = append(all, st)
		}
	}
	return all
}

// Rebuild makes an organisation's projection anew and swaps. progress, if not nil, is called twice a second, by another
// goroutine, and not any more when Rebuild returns. Errors: Conflict where one is under way, with how far it is; Integrity, code rebuild_differs,
// where the two differ: what it gives then says in what; Unavailable where there is no room; and whatever stops a ledger.
func (s *Service) Rebuild(ctx context.Context, org domain.Org, o RebuildOptions, progress func(RebuildState)) (Rebuilt, error) {
	kind := "rebuild"
	switch {
	case o.Rollback && o.ReplaceDamaged:
		return Rebuilt{}, domain.Errorf(domain.Malformed, "bad_options", "rebuilding: a rollback goes back to what was kept, replacing what is damaged begins with the log: ask for one of them")
	case o.DryRun && o.ReplaceDamaged:
		return Rebuilt{}, domain.Errorf(domain.Malformed, "bad_options", "rebuilding: replacing what is damaged compares with nothing, so a dry run of it has nothing to tell: ask for one of them")
	case o.Rollback:
		kind = "rollback"
	case o.ReplaceDamaged:
		kind = "replace"
	}
	out := Rebuilt{Org: org, Kind: kind, DryRun: o.DryRun}
	err := s.beside(ctx, org, kind, progress, func(ctx context.Context, r *rebuild) error {
		r.o = o
		return r.rebuild(ctx, &out)
	})
	return out, err
}

// beside runs do with a rebuild that is registered, and takes it off again.
func (s *Service) beside(ctx context.Context, org domain.Org, kind string, progress func(RebuildState), do func(context.Context, *rebuild) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir := map[string]string{"rebuild": "projection.rebuild", "replace": "projection.rebuild"}[kind]
	if dir == "" { // neither is to be mixed up with a rebuild that was interrupted and goes on with what it has
		dir = "projection." + kind
	}
	r := &rebuild{s: s, kind: kind, dir: filepath.Join(s.o.Data, dir, string(org)), cancel: cancel}
	now := time.Now()
	r.state = RebuildState{Org: org, Kind: kind, Phase: PhaseStarting, Started: now, At: now}
	if err := s.rebuilds.add(org, r); err != nil {
		return err
	}
	beating := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { r.beat(beating, progress) })
	err := errPanicked
	defer func() { // also where do panics, which a server survives: the next one is not to be refused for ever
		r.end(err)
		close(beating)
		beats.Wait()
		s.rebuilds.remove(org, r)
	}()
	err = do(ctx, r)
	err = single(errors.Join(err, r.close()))
	return err
}

var errPanicked = errors.New("it came to no end")

// single takes the one error out of a join of one, so that its kind and line stay what they are.
func single(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok && len(j.Unwrap()) == 1 {
		return j.Unwrap()[0]
	}
	return err
}

func (b *rebuilds) add(org domain.Org, r *rebuild) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return domain.Errorf(domain.Unavailable, "stopping", "rebuilding the projection of %s: the service is being closed", org)
	}
	if other := b.running[org]; other != nil {
		st := other.snapshot()
		return domain.Errorf(domain.Conflict, "rebuild_running", "the projection of %s is in the hands of a %s already, since %s: %s, at event %d of %d; wait for its end",
			org, st.Kind, st.Started.UTC().Format(time.RFC3339), st.Phase, st.Seq, st.Target)
	}
	if b.running == nil {
		b.running, b.last = make(map[domain.Org]*rebuild), make(map[domain.Org]RebuildState)
	}
	b.running[org] = r
	b.wait.Add(1)
	return nil
}

func (b *rebuilds) remove(org domain.Org, r *rebuild) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, org)
	b.last[org] = r.snapshot()
	b.wait.Done()
}

// stop ends what is under way, and waits for it.
func (b *rebuilds) stop() {
	b.mu.Lock()
	b.closed = true
	for _, r := range b.running {
		r.cancel()
	}
	b.mu.Unlock()
	b.wait.Wait()
}

// beat tells the state until beating is closed.
func (r *rebuild) beat(beating <-chan struct{}, progress func(RebuildState)) {
	if progress == nil {
		progress = func(RebuildState) {}
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.update(func(*RebuildState) {})
			progress(r.snapshot())
		case <-beating:
			return
		}
	}
}

func (r *rebuild) snapshot() RebuildState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// update changes the state, and brings what follows from it up to date.
func (r *rebuild) update(change func(*RebuildState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := &r.state
	change(st)
	st.At = time.Now()
	if r.l != nil {
		st.Live = r.l.p.Position().Seq
		st.Lag = max(st.Live, domain.Seq(r.l.target.Load())) - st.Live
	}
	if st.Phase != PhaseReading {
		return
	}
	if took := st.At.Sub(r.read).Seconds(); took > 0 && st.Seq > st.From {
		st.Rate = float64(st.Seq-st.From) / took
		st.Left = float64(max(st.Target, st.Seq)-st.Seq) / st.Rate
	}
}

func (r *rebuild) end(err error) {
	r.update(func(st *RebuildState) {
		st.Left = 0
		st.Phase = PhaseDone
		if err != nil {
			st.Phase, st.Error = PhaseFailed, err.Error()
		}
	})
}

// rebuild is the whole of it.
func (r *rebuild) rebuild(ctx context.Context, out *Rebuilt) error {
	org := r.state.Org
	began := time.Now()
	defer func() { out.Seconds = time.Since(began).Seconds() }()
	if err := r.find(ctx, org); err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	if r.o.Rollback {
		if err := r.new.Begin(ctx, r.db, r.kept(), filepath.Join(r.dir, "links")); err != nil {
			return err
		}
		if err := r.l.belongs(ctx, r.new.Position()); err != nil {
			return err
		}
	}
	out.Resumed = r.new.Position().Seq
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	out.Reading = time.Since(r.read).Seconds()
	tail := new(projections.Tail)
	if err := r.compare(ctx, out, tail); err != nil {
		return err
	}
	out.Events = uint64(r.new.Position().Seq - out.Resumed)
	differs := out.Comparison != nil && !out.Equal
	if differs && !r.o.Rollback {
		return domain.Errorf(domain.Integrity, "rebuild_differs",
			"the projection of %s is not what its log gives: %s at event %d; it was left as it is: permledger rebuild --replace-damaged puts what the log gives in its place",
			org, differing(out.Differing), out.Seq)
	}
	if !r.o.DryRun {
		if err := r.swap(ctx, out, tail, !differs && !r.o.ReplaceDamaged); err != nil {
			return err
		}
	}
	return r.clear()
}

func differing(n int64) string {
	if n == 1 {
		return "1 key differs"
	}
	return fmt.Sprintf("%d keys differ", n)
}

// ofProjection tells whether it is the projection that is damaged, and not the log: only then may it be thrown away.
func ofProjection(err error) bool {
	var e *domain.Error
	return errors.As(err, &e) && (e.Code == "projections_damaged" || e.Code == "projections_format")
}

// find finds the ledger, and waits until it has caught up unless it is to be replaced.
func (r *rebuild) find(ctx context.Context, org domain.Org) error {
	l, err := r.s.ledger(ctx, org)
	if ofProjection(err) && r.kind == "replace" {
		// Not even the position can be read. Without anything the ledger opens, and its ordinary start reads all of its log.
		if err := r.s.db.Discard(ctx, org); err != nil {
			return err
		}
		l, err = r.s.ledger(ctx, org)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.l = l
	r.mu.Unlock()
	err = l.wait(ctx)
	var e *domain.Error
	if r.kind != "replace" || !isFailure(err, domain.Integrity) {
		return err
	}
	if errors.As(err, &e) && !ofProjection(err) {
		if err := l.belongs(ctx, l.p.Position()); err != nil {
			return domain.Errorf(domain.Integrity, e.Code, "%s: it is the log that is wrong: restore it; where this log is the one to go on with, restore it with permledger restore, which knows what to do with the projection", e.Message)
		}
	}
	return nil
}

// open opens the database beside, with what an earlier run left in it where that still is a beginning of the log.
func (r *rebuild) open(ctx context.Context) error {
	size, err := r.l.p.Size()
	if err != nil && r.kind != "replace" {
		return err
	}
	if r.kind == "rollback" || r.kind == "verify" {
		if err := r.clear(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return domain.Errorf(domain.Unreachable, "projections_unreachable", "rebuilding the projection: %v", err)
	}
	if err := r.s.db.Room(r.dir, 3*size); err != nil { // the database, its tables, and those of the live one
		return err
	}
	if err := r.openDB(besideCache); isFailure(err, domain.Integrity) { // what was left is of no use
		if err := r.clear(); err != nil {
			return err
		}
		if err := r.openDB(besideCache); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	pos := r.new.Position()
	fits := pos.Building && !pos.Outdated && pos.Stream.Equal(r.l.log.Created())
	if fits && pos.Seq > 0 {
		if err := r.l.belongs(ctx, pos); isFailure(err, domain.Integrity) {
			fits = false
		} else if err != nil {
			return err
		}
	}
	if fits {
		return nil
	}
	if err := r.new.Wipe(); err != nil {
		return err
	}
	return r.new.Bind(r.l.log.Created(), true)
}

func (r *rebuild) openDB(cache int64) (err error) {
	path := filepath.Join(r.dir, "db")
	if r.db, err = projections.Open(path, projections.Options{CacheBytes: cache, Logger: r.s.o.Logger, Beside: true}); err != nil {
		return err
	}
	if r.new, err = r.db.Ledger(r.l.Org()); err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

// close closes the database beside. What was committed to it is there for the next run.
func (r *rebuild) close() error {
	if r.db == nil {
		return nil
	}
	db := r.db
	r.db, r.new = nil, nil
	return db.Close()
}

// clear removes what is beside.
func (r *rebuild) clear() error {
	err := r.close()
	if e := os.RemoveAll(r.dir); e != nil && err == nil {
		err = domain.Errorf(domain.Unreachable, "projections_unreachable", "clearing up after the rebuild: %v", e)
	}
	return err
}

// kept is where the projection is that a swap took out.
func (r *rebuild) kept() string {
	return filepath.Join(r.s.o.Data, "projection.old", string(r.l.Org()))
}

// target is how far the new projection is to go: as far as the live one, or where that does not count, as the log.
func (r *rebuild) target(ctx context.Context) (domain.Seq, error) {
	if r.kind == "replace" {
		return r.l.log.Head(ctx)
	}
	return r.l.p.Position().Seq, r.l.sound()
}

// catchUp reads the log, and opens the new projection again with the memory that comparing needs.
func (r *rebuild) catchUp(ctx context.Context) error {
	err := r.readUp(ctx)
	if err == nil {
		err = r.close()
	}
	if err != nil {
		return err
	}
	return r.openDB(comparingCache)
}

// readUp reads the log until the new projection is nearly as far as it is to go.
func (r *rebuild) readUp(ctx context.Context) error {
	head := r.new.Head()
	from := head.KnownAt()
	r.update(func(st *RebuildState) { r.read, st.Phase, st.From, st.Seq = time.Now(), PhaseReading, from, from })
	head.Bulk(true)
	defer head.Bulk(false)
	for {
		target, err := r.target(ctx)
		if err != nil || target <= head.KnownAt()+nearly && head.KnownAt() > 0 || target == 0 {
			return err
		}
		if err := r.build(ctx, target); err != nil {
			return err
		}
	}
}

// build applies the log up to upTo.
func (r *rebuild) build(ctx context.Context, upTo domain.Seq) error {
	head := r.new.Head()
	r.update(func(st *RebuildState) { st.Target = upTo })
	if upTo <= head.KnownAt() {
		return nil
	}
	events := r.l.decodeAhead(ctx, head.KnownAt(), upTo)
	defer events.stop()
	for b := range events.batches {
		for _, e := range b.events {
			if _, err := head.Apply(e); err != nil {
				return err
			}
		}
		if b.err != nil {
			head.Drop()
			return b.err
		}
		before := r.new.Position().Seq
		if err := head.Commit(head.KnownAt()); err != nil {
			return err
		}
		now := head.KnownAt()
		r.update(func(st *RebuildState) { st.Seq = now })
		if before/roomEvery != now/roomEvery {
			if err := r.db.Room(r.dir, 0); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// swap brings the new projection up to the live one's position, in the writer's turn, and puts it in its place.
func (r *rebuild) swap(ctx context.Context, out *Rebuilt, tail *projections.Tail, same bool) error {
	r.update(func(st *RebuildState) { st.Phase = PhaseSwapping })
	for {
		target, err := r.target(ctx)
		if err != nil {
			return err
		}
		if target <= r.new.Position().Seq+nearly {
			break
		}
		if err := r.build(ctx, target); err != nil {
			return err
		}
	}
	if r.kind != "replace" {
		if err := r.s.db.Keep(r.tables("old"), r.kept()); err != nil {
			return err
		}
		out.Kept = true
	}
	err := r.l.turn(ctx, func() error {
		target, err := r.target(ctx)
		if err != nil {
			return err
		}
		if err := r.build(ctx, target); err != nil {
			return err
		}
		to := r.new.Position()
		if live := r.l.p.Position(); r.kind != "replace" && (to.Seq != live.Seq || to.EventID != live.EventID) {
			return domain.Errorf(domain.Integrity, "rebuild_differs", "the projection of %s is at event %d (%s), the new one at %d (%s)", r.l.Org(), live.Seq, live.EventID, to.Seq, to.EventID)
		}
		return r.l.p.Swap(ctx, r.s.db, r.tables("new"), tail, to, same)
	})
	if err != nil {
		return err
	}
	out.Swapped = true
	if r.l.sound() != nil {
		return r.s.restart(ctx, r.l)
	}
	return nil
}

func (r *rebuild) tables(name string) string { return filepath.Join(r.dir, name) }

// turn runs do in the writer's turn: nothing is staged and nothing is in flight then, and nothing is committed meanwhile.
// It is run where the ledger has stopped as well.
func (l *Ledger) turn(ctx context.Context, do func() error) error {
	_, err := l.hand(ctx, &job{turn: do, done: make(chan struct{})})
	return err
}

// restart runs a ledger that stopped once more, on a projection that was replaced, and waits until it has caught up.
func (s *Service) restart(ctx context.Context, stopped *Ledger) error {
	s.mu.Lock()
	l := s.ledgers[stopped.Org()]
	if l == stopped {
		stopped.stop()
		l = newLedger(s, stopped.log, stopped.keys, stopped.p)
		s.ledgers[stopped.Org()] = l
		l.start()
	}
	s.mu.Unlock()
	return l.wait(ctx)
}
