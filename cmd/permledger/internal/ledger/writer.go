package ledger

// The one writer of a ledger: commands in, decided one after another, out to the log without waiting for each other,
// and into the projection as the log acknowledges them.
//
//	jobs ──▶ decide on the Head (everything before it counts, acknowledged or not)
//	          ├─▶ publish at the expected sequence, do not wait ──▶ in flight, oldest first
//	          └─▶ refused, repeated, or nothing to record ────────▶ in flight too: what it was decided on may yet fall
//	front of the flight acknowledged ──▶ commit the Head up to it ──▶ answer the caller, who then reads its own write
//	front of the flight refused ──▶ all behind it are refused as well (each names the one before it): drop what is
//	          staged, read what the log has instead, and decide everything in flight again in its order
//
// Where other servers write to the same log, there is one command in flight and no more, and a server that is never idle
// pauses now and then.
//
// Invariants: the Head is at or ahead of the projection's position by exactly the events in flight; the event in flight
// at place k expects the sequence and the id of the one before it; a caller hears "recorded" only after the log's
// acknowledgement, and "refused" only once everything the refusal rests on is in the log.
//
// What was rejected: several in flight on a shared log. It is exact, but a busy server's flight keeps the log moving so
// that another never finds it where it decided, and starves. Also deciding on the projection and waiting for each acknowledgement (one fsync for each command, the callers in a queue);
// one atomic batch for all that waits (ten milliseconds whatever its size, see the design); a
// lock per client account (roles, teams and the catalogue bear on everybody).

import (
	"context"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

const (
	// window is how many commands may be in flight. It bounds what has to be decided again after a conflict.
	window = 128
	// waiting is how many commands may wait for a place in the flight before callers wait to be let in.
	waiting = 1024
	// turnWait is how long a command may have waited for its turn; a later one is refused, with nothing recorded. A log
	// that does not answer holds each turn up for half a minute, and without this bound callers would wait for the sum.
	turnWait = 10 * time.Second
	// Where others may record as well, a server that is never idle lets them in after each stint, for as long as it takes for
	// some commands. Whoever was refused has to read what it missed before it can try again, and would come too late every
	// time; nobody would hear of it, either.
	stint   = 100 * time.Millisecond
	rest    = 10 // commands
	minRest = 10 * time.Millisecond
	maxRest = 500 * time.Millisecond
	// onItsWay is how long to wait for an event of another's that stands before ours and can't be read yet.
	onItsWay = 2 * time.Millisecond
	// maxAttempts bounds how often a job is decided again because the log had moved on, so that a log which says so for
	// no reason is reported and not asked for ever.
	maxAttempts = 1000
	// readAgain is how long to wait before reading again what others recorded, when the log could not be read.
	readAgain = 100 * time.Millisecond
)

// Recorded is what became of commands: their events, and the ledger's newest event when they were answered.
type Recorded struct {
	Events []*domain.Event
	Seq    domain.Seq
}

// Record decides the commands and records what follows from them, all or nothing, and returns when it is on disk and
// every question sees it. A command with an ID that was recorded before gives that answer again. Errors: what Decide
// says; Unavailable where the log can't take it, which says whether anything may have been recorded.
func (l *Ledger) Record(ctx context.Context, commands []domain.Command) (Recorded, error) {
	if len(commands) == 0 {
		return Recorded{}, domain.Errorf(domain.Malformed, "no_command", "recording: no command given")
	}
	j := &job{commands: commands, done: make(chan struct{}), steps: Steps{Asked: time.Now()}}
	recorded, err := l.hand(ctx, j)
	l.observe(ctx, j, err)
	return recorded, err
}

// hand has the writer do a job, and waits for what becomes of it.
func (l *Ledger) hand(ctx context.Context, j *job) (Recorded, error) {
	select {
	case l.w.jobs <- j:
	case <-ctx.Done():
		return Recorded{}, domain.Errorf(domain.Unavailable, "busy", "recording: the ledger of %s did not get to it in time; nothing was recorded", l.Org())
	case <-l.ctx.Done():
		return Recorded{}, l.closed()
	}
	select {
	case <-j.done:
		return j.recorded, j.err
	case <-l.done:
		select {
		case <-j.done:
			return j.recorded, j.err
		default:
			return Recorded{}, l.closed()
		}
	}
}

func (l *Ledger) closed() error {
	return domain.Errorf(domain.Unavailable, "stopping", "recording: the ledger of %s is being closed; nothing was recorded", l.Org())
}

// A job is one caller's commands, or the clock's.
type job struct {
	commands []domain.Command
	notices  bool             // it is the clock's: there are no commands, but what is due (clock.go)
	ids      []domain.EventID // drawn once: deciding again after a lost answer must make the same events
	unlock   *unlocking       // it is an operator's: there are no commands (unlock.go)
	turn     func() error     // it is nobody's command: to be run when nothing is staged or in flight (Ledger.turn)
	attempts int
	steps    Steps
	events   int // recorded by it
	done     chan struct{}
	recorded Recorded
	err      error
}

// A flight is a job that was decided, and what it waits for.
type flight struct {
	job     *job
	answer  []*domain.Event // what the caller gets, with readable texts
	events  []*domain.Event // those of answer that are new
	records []eventstore.Record
	pending *eventstore.Pending // nil where there is nothing to publish, or a batch that was waited for
	err     error               // the refusal
}

// from is the sequence that the flight's events are to follow.
func (f *flight) from() domain.Seq { return f.events[0].Seq - 1 }

type writer struct {
	l      *Ledger
	jobs   chan *job
	flight []*flight  // oldest first
	heard  domain.Seq // the newest event that another server was heard to have recorded

	landed time.Time // when something last landed

	// Of the stint under way: when it began, how many jobs it took, and how much time there was between them.
	since         time.Time
	inStint       int
	free, longest time.Duration
}

func newWriter(l *Ledger) writer { return writer{l: l, jobs: make(chan *job, waiting)} }

// run takes jobs until the ledger stops, and then finishes what is in flight.
func (w *writer) run(news <-chan domain.Seq) {
	var again <-chan time.Time // when to try once more to read what others recorded
	for {
		if len(w.flight) == 0 && again == nil {
			again = w.others()
		}
		jobs := w.jobs
		if len(w.flight) >= window {
			jobs = nil
		}
		var front <-chan struct{}
		if len(w.flight) > 0 {
			if front = w.flight[0].wait(); front == nil {
				w.land()
				continue
			}
		}
		select {
		case j := <-jobs:
			if !j.steps.Asked.IsZero() && time.Since(j.steps.Asked) > turnWait {
				j.answer(Recorded{}, domain.Errorf(domain.Unavailable, "busy", "recording: the ledger of %s did not get to it within %s; nothing was recorded", w.l.Org(), turnWait))
				continue
			}
			w.take(j)
		case <-front:
			w.land()
		case seq := <-news:
			w.heard = seq
		case <-again:
			again = nil
		case <-w.l.ctx.Done():
			for len(w.flight) > 0 {
				w.land()
			}
			return
		}
	}
}

// wait gives what the flight waits for; nil where it waits for nothing.
func (f *flight) wait() <-chan struct{} {
	if f.pending == nil {
		return nil
	}
	return f.pending.Done()
}

// landed tells whether outcome would give its answer at once. Several events that are yet to be sent have none.
func (f *flight) landed() bool {
	if f.pending == nil {
		return len(f.records) == 0
	}
	select {
	case <-f.pending.Done():
		return true
	default:
		return false
	}
}

// outcome waits for the log's answer.
func (f *flight) outcome() error {
	if f.pending == nil {
		return nil
	}
	<-f.pending.Done()
	return f.pending.Err()
}

// others applies what another server was heard to have recorded. It waits until nothing is in flight, which would have
// to be dropped. Where the log can't be read just now it says when to try again.
func (w *writer) others() (again <-chan time.Time) {
	if w.heard <= w.l.p.Head().KnownAt() || w.l.sound() != nil {
		return nil
	}
	err := w.l.catchUp(w.l.ctx, nil)
	switch {
	case isFailure(err, domain.Unavailable):
		return time.After(readAgain)
	case err != nil:
		w.l.fail(err)
	case w.heard > w.l.p.Head().KnownAt(): // a cluster's leader may be behind the server that told of it
		return time.After(readAgain)
	}
	return nil
}

// take decides a job and sends what follows on its way.
func (w *writer) take(j *job) {
	if j.turn != nil { // also where the ledger has stopped: it may be what brings it back
		w.drain()
		j.answer(Recorded{}, j.turn())
		return
	}
	if err := w.l.sound(); err != nil {
		j.answer(Recorded{}, err)
		return
	}
	// All or nothing: what an array or the clock staged must be droppable by itself.
	if j.notices || len(j.commands) > 1 || !w.l.log.Exclusive() {
		w.drain()
	}
	if j.attempts == 0 && !w.l.log.Exclusive() {
		w.letOthersIn()
	}
	f := w.decide(j)
	if len(f.records) == 0 && !w.l.log.Exclusive() {
		var err error
		if f, err = w.decideByTheLog(f); err != nil {
			w.answerUnsent(j, err)
			return
		}
	}
	w.flight = append(w.flight, f)
	switch len(f.records) {
	case 0:
	case 1:
		p, err := w.l.log.Publish(f.records[0], f.from(), w.before())
		if err != nil {
			w.notSent(f, err)
			return
		}
		f.pending = p
	default:
		w.batch(f)
	}
}

// letOthersIn pauses where it is time to. Nothing is in flight. What it leaves free by itself, between one job and the next,
// is as good as a pause where it is as long.
func (w *writer) letOthersIn() {
	now := time.Now()
	free := now.Sub(w.landed)
	w.free, w.longest = w.free+free, max(w.longest, free)
	if d := now.Sub(w.since); d > stint {
		wanted := maxRest
		if w.inStint > 0 {
			wanted = min(max(rest*(d-w.free)/time.Duration(w.inStint), minRest), maxRest)
		}
		if w.longest < wanted {
			w.pause(wanted)
		}
		w.since, w.inStint, w.free, w.longest = time.Now(), 0, 0, 0
	}
	w.inStint++
}

func (w *writer) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.l.ctx.Done():
	}
}

// before is the id of the event right before the newest flight's, where that is in flight as well.
func (w *writer) before() domain.EventID {
	for i := len(w.flight) - 2; i >= 0; i-- {
		if events := w.flight[i].events; len(events) > 0 {
			return events[len(events)-1].ID
		}
	}
	return ""
}

// drain waits until nothing is in flight.
func (w *writer) drain() {
	for len(w.flight) > 0 {
		w.land()
	}
}

// batch publishes several events as one, after everything before them has landed.
func (w *writer) batch(f *flight) {
	for w.flight[0] != f {
		w.land()
		if len(w.flight) == 0 || w.flight[len(w.flight)-1] != f {
			return // one before it was refused, and f was decided and sent again
		}
	}
	if err := w.l.log.Append(context.Background(), f.records, f.from()); err != nil { // the commit point of several events
		if isFailure(err, domain.Malformed) {
			w.notSent(f, err)
			return
		}
		w.failed(err)
		return
	}
	w.land()
}

// decideByTheLog looks whether a refusal, or an answer given before, still is one by what others have recorded: the log
// itself says so only of what is published. Nothing else is in flight.
func (w *writer) decideByTheLog(f *flight) (*flight, error) {
	known := w.l.p.Head().KnownAt()
	if err := w.l.catchUp(w.l.ctx, nil); err != nil {
		return nil, err
	}
	if w.l.p.Head().KnownAt() == known {
		return f, nil
	}
	return w.decide(f.job), nil
}

// answerUnsent answers a job of which nothing was sent, because what the log has could not be read.
func (w *writer) answerUnsent(j *job, err error) {
	switch {
	case w.l.ctx.Err() != nil:
		err = w.l.closed()
	case !isFailure(err, domain.Unavailable):
		w.l.fail(err)
	}
	j.answer(Recorded{}, err)
}

// notSent answers the newest job in flight, whose events were not sent or are more than the log ever takes, and leaves
// the others alone: they may have been recorded.
func (w *writer) notSent(f *flight, err error) {
	w.flight = w.flight[:len(w.flight)-1]
	w.drain()
	w.l.p.Head().Drop()
	f.job.answer(Recorded{}, err)
}

// decide decides a job on the Head and stages what follows. A refusal stages nothing.
func (w *writer) decide(j *job) *flight {
	j.attempts++
	if j.attempts == 1 {
		j.steps.Taken = time.Now()
	}
	defer func() { j.steps.Decided = time.Now() }()
	f := &flight{job: j}
	head := w.l.p.Head()
	before := head.KnownAt()
	now := max(w.l.s.now(), head.LastRecorded()+1) // each commit has a time of its own, so "known at" splits none
	drawn := 0
	newID := func() domain.EventID {
		if drawn == len(j.ids) {
			j.ids = append(j.ids, w.l.s.newID(now))
		}
		drawn++
		return j.ids[drawn-1]
	}
	if j.notices {
		f.err = w.decideNotices(f, now, newID)
	}
	if j.unlock != nil {
		f.err = w.decideUnlock(f, j.unlock, now, newID)
	}
	for i, c := range j.commands {
		if err := w.decideOne(f, c, now, newID); err != nil {
			f.err = err
			if len(j.commands) > 1 {
				f.err = atCommand(i, err)
			}
			break
		}
	}
	if f.err == nil {
		return f
	}
	if head.KnownAt() != before && len(w.flight) == 0 {
		head.Drop() // an array or the clock stages nothing unless all of it is decided; take saw to it that nothing else is staged
	} else if head.KnownAt() != before || isFailure(f.err, domain.Integrity) {
		w.l.fail(f.err) // a command's second event that does not fit its first, or a damaged projection
	}
	f.answer, f.events, f.records = nil, nil, nil
	return f
}

// decideOne adds what follows from one command to the flight.
func (w *writer) decideOne(f *flight, c domain.Command, now domain.Instant, newID func() domain.EventID) error {
	head := w.l.p.Head()
	if c.ID != "" {
		first, last, ok, err := head.Requested(c.ID)
		if err != nil {
			return err
		}
		if ok {
			return w.repeat(f, c, first, last)
		}
	}
	events, err := domain.Decide(head, c, now, newID)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := w.stage(f, e); err != nil {
			return err
		}
	}
	return nil
}

// stage puts an event that was decided onto the Head, as its next, and into the flight.
func (w *writer) stage(f *flight, e *domain.Event) error {
	head := w.l.p.Head()
	e.Org, e.Seq = w.l.Org(), head.KnownAt()+1
	stored, err := seal(context.Background(), w.l.keys, head, e)
	if err != nil {
		return err
	}
	if _, err := head.Apply(e); err != nil {
		return err
	}
	f.events = append(f.events, e)
	f.answer = append(f.answer, e)
	f.records = append(f.records, record(stored, domain.AppendEvent(nil, stored)))
	return nil
}

// repeat answers a command whose id was recorded before with what was recorded then.
func (w *writer) repeat(f *flight, c domain.Command, first, last domain.Seq) error {
	for seq := first; seq <= last; seq++ {
		e, err := w.event(f, seq)
		if err != nil {
			return err
		}
		if seq == first {
			if err := sameRequest(c, e); err != nil {
				return err
			}
		}
		f.answer = append(f.answer, e)
	}
	return nil
}

// event gives an event that is in the log, in flight, or in the job being decided.
func (w *writer) event(f *flight, seq domain.Seq) (*domain.Event, error) {
	if seq <= w.l.p.Position().Seq {
		return w.l.Event(context.Background(), seq)
	}
	for _, other := range append(w.flight[:len(w.flight):len(w.flight)], f) {
		for _, e := range other.events {
			if e.Seq == seq {
				return e, nil
			}
		}
	}
	return nil, domain.Errorf(domain.Integrity, "lost_event", "ledger of %s: event %d is neither in the log nor on its way", w.l.Org(), seq)
}

// atCommand says which command of an array was refused.
func atCommand(i int, err error) error {
	if e, ok := err.(*domain.Error); ok {
		return domain.Errorf(e.Failure, e.Code, "commands[%d]: %s", i, e.Message)
	}
	return err
}

// land waits for the front of the flight, and answers it and whatever behind it has its answer already.
func (w *writer) land() {
	n := 0
	var landed []*domain.Event
	for ; n < len(w.flight) && (n == 0 || w.flight[n].landed()); n++ {
		f := w.flight[n]
		if err := f.outcome(); err != nil {
			if n > 0 {
				break // those before it are answered first
			}
			if err := w.l.log.Settle(context.Background(), f.records, f.from(), err); err != nil {
				w.failed(err)
				return
			}
		}
		landed = append(landed, f.events...)
	}
	acknowledged := time.Now()
	if err := w.commit(landed); err != nil {
		w.l.fail(err)
		w.failed(err)
		return
	}
	applied := time.Now()
	w.landed = applied
	seq := w.l.p.Position().Seq
	for _, f := range w.flight[:n] {
		if len(f.events) > 0 {
			f.job.events, f.job.steps.Acknowledged, f.job.steps.Applied = len(f.events), acknowledged, applied
		}
		f.job.answer(Recorded{f.answer, seq}, f.err)
	}
	if len(landed) > 0 {
		w.l.s.o.Observer.Committed(len(landed), applied.Sub(acknowledged))
	}
	w.flight = append(w.flight[:0], w.flight[n:]...)
}

// commit makes what was acknowledged visible to every question.
func (w *writer) commit(landed []*domain.Event) error {
	if len(landed) == 0 {
		return nil
	}
	if err := w.l.eraseKeys(context.Background(), landed); err != nil {
		return err
	}
	return w.l.p.Head().Commit(landed[len(landed)-1].Seq)
}

// failed is what happens when the front of the flight was not recorded, as far as is known: everything staged is dropped,
// the projection caught up with what the log has instead, and the flight decided again if the log had only moved on.
// Where the log can't take it, everyone in flight is told so.
func (w *writer) failed(cause error) {
	again := w.flight
	w.flight = nil
	for _, f := range again {
		_ = f.outcome() // nothing of ours is on its way any more, or it is ten seconds late and comes to nothing
	}
	w.l.p.Head().Drop()
	known := w.l.p.Position().Seq
	found := make(map[domain.EventID]domain.Seq)
	err := w.l.catchUp(w.l.ctx, func(e *domain.Event) { found[e.ID] = e.Seq })
	switch {
	case isFailure(err, domain.Integrity):
		w.l.fail(err)
		cause = err
	case err != nil && eventstore.Moved(cause) && w.l.ctx.Err() != nil:
		cause = w.l.closed()
	case err != nil && eventstore.Moved(cause):
		cause = err
	}
	seq := w.l.p.Position().Seq
	if eventstore.Moved(cause) && seq == known { // a cluster's leader counts what it has yet to store
		w.pause(onItsWay)
	}
	for _, f := range again {
		switch {
		case len(f.events) > 0 && found[f.events[0].ID] != 0: // only its answer was lost
			for i, e := range f.events {
				e.Seq = found[f.events[0].ID] + domain.Seq(i)
			}
			f.job.events, f.job.steps.Applied = len(f.events), time.Now() // when the log took it is not known
			f.job.answer(Recorded{f.answer, seq}, nil)
		case eventstore.Moved(cause) && f.job.attempts < maxAttempts:
			w.take(f.job)
		default:
			f.job.answer(Recorded{}, cause)
		}
	}
}

func (j *job) answer(r Recorded, err error) {
	if err != nil {
		r = Recorded{}
	}
	j.recorded, j.err = r, err
	close(j.done)
}
