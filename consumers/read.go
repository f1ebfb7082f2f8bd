package consumers

// Reading a feed. One tail per feed takes the newest changes from the stream into a ring in memory and wakes whoever
// waits; a reader holds nothing but its place, so a thousand of them cost a thousand waiting goroutines of their callers and
// no more. Whoever is behind the ring reads the stream by itself until it reaches it. Nothing is ever left out: each
// message says what came before it, and where that is not what was read, the reader is told to begin again.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	// mostInBatch is how many changes of one event are handed over together; it also bounds what is held of an event
	// that is not complete yet.
	mostInBatch = 1_000

	// What a ring holds at most, in changes and in bytes of their messages.
	ringChanges = 16_384
	ringBytes   = 16 << 20

	// tailStart is how many changes before the stream's end a ring begins, for those who come back after a restart.
	tailStart = 1_024

	// tailWindow is how many messages the server may send ahead of what the tail took.
	tailWindow = 512

	// readAtOnce is how many messages a reader behind the ring asks for at once.
	readAtOnce = 512

	// idleCheck is how often the tail looks whether its connection is the same when no change comes, and placeCheck after
	// how many of these whether the stream ends where it should.
	idleCheck  = 5 * time.Second
	placeCheck = 6
	// heartbeat is how often a server with nothing to send says that it is there. Where two are missing the tail begins anew:
	// its consumer may have gone with a server that it had no connection to, or its asking got lost. Two are shorter than
	// idleCheck, because each look begins the wait for them anew.
	heartbeat = 2 * time.Second

	// checkpointPause is between two moments at which readers are woken for the position alone: each wakes them all.
	checkpointPause = 50 * time.Millisecond

	// cursorWait is how long a cursor beyond the head is believed to come from a server that is ahead of us.
	cursorWait = time.Second

	// readPause is between two attempts of a reader to read the stream after trouble.
	readPause = 200 * time.Millisecond
)

// A block is what readers are handed at once: changes of one event that follow one another. It is never changed.
type block struct {
	changes  []Change
	previous Cursor // of the change before the first
	bytes    int
}

func (b block) end() Cursor { return b.changes[len(b.changes)-1].Cursor }

// after gives what is in the block after the cursor. Its callers share it.
func (b block) after(c Cursor) Batch {
	i := sort.Search(len(b.changes), func(i int) bool { return c.Before(b.changes[i].Cursor) })
	return Batch{Changes: slices.Clip(b.changes[i:]), Cursor: b.end()}
}

// An assembler makes blocks of messages. An event that was published in part only is held until the rest is there.
type assembler struct {
	part block
	last Cursor // of the newest message
}

// add takes the next message; complete tells that it ended a block.
func (a *assembler) add(m message) (b block, complete bool) {
	if len(a.part.changes) == 0 {
		a.part = block{previous: m.previous}
	}
	a.part.changes = append(a.part.changes, m.change)
	a.part.bytes += m.bytes
	a.last = m.change.Cursor
	if a.last.N%mostInBatch != 0 {
		return block{}, false
	}
	b, a.part = a.part, block{}
	return b, true
}

// A ring holds the newest blocks of a feed, and what is known about its end.
//
// Its invariants, under mu: the blocks follow one another without a gap, the first after floor, and what the assembler
// holds after the last. Everything up to position is in the blocks or before floor. A reader that is not before floor
// misses nothing by going on with the blocks.
type ring struct {
	mu     sync.RWMutex
	wake   chan struct{} // closed, and made anew, when there is something for readers
	err    error         // the feed has ended
	known  bool          // floor and the end are known
	floor  Cursor
	blocks []block
	base   uint64 // number of blocks[0]; the first ever has 1
	count  int    // of changes in blocks
	bytes  int
	asm    assembler

	made   time.Time // of the stream
	stream uint64    // sequence of the newest message
	seen   uint64    // likewise, of what came in this session; 0: none yet
	moved  time.Time // when that came

	position domain.Seq
	computed place // what the publisher says, true once stream has reached it
	paused   bool  // a wake for the position is due
	woken    time.Time
}

func newRing() *ring { return &ring{wake: make(chan struct{}), base: 1} }

// session begins a tail's session on a stream: where it was, if it is the same one.
//
// That what came before this session is still in the stream is not certain: a crash may have taken it. So nothing is
// concluded from it (seen) but what may be handed to readers, for whom it stays true.
func (r *ring) session(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.moved, r.computed = 0, time.Now(), place{}
	state := s.info.State
	if r.made.Equal(s.made) && (state.FirstSeq <= r.stream+1 || state.LastSeq < r.stream) {
		return
	}
	r.drop()
	if r.known = false; !r.made.Equal(s.made) {
		r.made, r.position = s.made, 0 // a new stream gets its changes anew
	}
	r.stream = state.LastSeq
	if state.Msgs > 0 {
		r.stream = max(state.FirstSeq, state.LastSeq-min(state.LastSeq, tailStart)+1) - 1
	}
}

// drop forgets all blocks: what follows does not follow them.
func (r *ring) drop() {
	r.base += uint64(len(r.blocks)) + 1 // so that every reader looks anew where it is
	r.blocks, r.count, r.bytes, r.asm = nil, 0, 0, assembler{}
}

// begin tells a ring that nothing came into yet where it is: the place at the stream's end.
func (r *ring) begin(p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known && r.stream == p.stream {
		r.known, r.floor, r.asm.last = true, p.last, p.last
		r.broadcast()
	}
}

// add takes a message from the tail.
func (r *ring) add(m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known || m.previous != r.asm.last { // the first; or some before it were dropped unseen
		r.drop()
		r.known, r.floor = true, m.previous
	}
	r.stream, r.seen, r.moved = m.stream, m.stream, time.Now()
	b, complete := r.asm.add(m)
	if !complete {
		return
	}
	r.blocks = append(r.blocks, b)
	r.count, r.bytes = r.count+len(b.changes), r.bytes+b.bytes
	for len(r.blocks) > 1 && (r.count > ringChanges || r.bytes > ringBytes) {
		first := r.blocks[0]
		r.floor, r.count, r.bytes = first.end(), r.count-len(first.changes), r.bytes-first.bytes
		r.blocks[0] = block{} // or it lives as long as the array
		r.blocks, r.base = r.blocks[1:], r.base+1
	}
	if end := b.end(); end.N == 0 {
		r.position = max(r.position, end.Seq)
	} else {
		r.position = max(r.position, end.Seq-1)
	}
	r.advance()
	r.broadcast()
}

// reached takes what the publisher computed, and wakes readers for it now and then.
func (r *ring) reached(p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.computed = p
	if !r.advance() || r.paused {
		return
	}
	if rest := checkpointPause - time.Since(r.woken); rest > 0 {
		r.paused = true
		time.AfterFunc(rest, func() { // touches nothing but the ring
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.paused {
				r.broadcast()
			}
		})
		return
	}
	r.broadcast()
}

// advance moves the position to what was computed, if all of that is here.
func (r *ring) advance() bool {
	seq := r.computed.through()
	if !r.known || r.stream < r.computed.stream || seq <= r.position {
		return false
	}
	r.position = seq
	return true
}

func (r *ring) broadcast() {
	close(r.wake)
	r.wake = make(chan struct{})
	r.paused, r.woken = false, time.Now()
}

// fail ends the ring: readers get the error.
func (r *ring) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.broadcast()
}

// ready waits until it is known where the feed is.
func (r *ring) ready(ctx context.Context) error {
	for {
		r.mu.RLock()
		known, err, wake := r.known, r.err, r.wake
		r.mu.RUnlock()
		if known || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

// running tells that the feed has not ended.
func (r *ring) running() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.err == nil
}

// ends gives the oldest cursor that the ring serves, and the position.
func (r *ring) ends() (Cursor, domain.Seq) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.floor, r.position
}

// progress says how far this session's messages have come: to which one, of which change, when; and what to wait on for
// more.
func (r *ring) progress() (seen uint64, last Cursor, moved time.Time, wake <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.seen, r.asm.last, r.moved, r.wake
}

// newest gives the sequence of the newest message that ever came, and that up to which the publisher says that there are.
func (r *ring) newest() (here, published uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.stream, r.computed.stream
}

// tail reads the stream's end into the ring until ctx ends or something is wrong.
//
// The ordered consumer makes itself anew after trouble, and would go on without a word where a server came back without
// its newest messages. So a renewed connection ends the session, and an idle tail compares places now and then: the next
// session publishes again what is missing.
func (f *Feed) tail(ctx context.Context, s *stream) error {
	here, _ := f.ring.newest()
	var c jetstream.Consumer
	err := f.inTurn(ctx, func() (err error) {
		c, err = s.js.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
			DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:       here + 1,
			InactiveThreshold: time.Minute, // of a consumer that a killed process left
			MaxResetAttempts:  1,           // its own retries do not end with our context: we retry ourselves
		})
		return err
	})
	if err != nil {
		return f.unavailable("following its stream", err)
	}
	ms, err := c.Messages(jetstream.PullMaxMessages(tailWindow), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return f.unavailable("following its stream", err)
	}
	defer func() {
		ms.Stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if info := c.CachedInfo(); info != nil && f.o.JS.Conn().IsConnected() {
			_ = s.js.DeleteConsumer(ctx, info.Name) // it goes by itself if this fails
		}
	}()
	missed := uint64(0) // a message that was in the stream at the last look, and had not come
	for idle := 1; ; idle++ {
		got, err := f.take(ctx, s, ms)
		switch {
		case err != nil:
			return err
		case got:
			idle, missed = 1, 0
		}
		if missed, err = f.inPlace(ctx, s, missed, idle%placeCheck == 0); err != nil {
			return err
		}
	}
}

// take puts what comes within idleCheck into the ring, and tells whether there was something.
func (f *Feed) take(ctx context.Context, s *stream, ms jetstream.MessagesContext) (got bool, err error) {
	period, cancel := context.WithTimeout(ctx, idleCheck)
	defer cancel()
	for {
		msg, err := ms.Next(jetstream.NextContext(period))
		switch {
		case ctx.Err() != nil:
			return got, ctx.Err()
		case err != nil && period.Err() != nil: // any other end of time is the client's own, who found no consumer in it
			return got, nil
		case err != nil:
			return got, f.unavailable("following its stream", err)
		}
		if err := f.sameConnection(s); err != nil {
			return got, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return got, f.unavailable("following its stream", err)
		}
		m, err := f.message(msg.Headers(), msg.Data(), meta.Sequence.Stream)
		if err != nil {
			return got, err
		}
		f.ring.add(m)
		got = true
	}
}

func (f *Feed) sameConnection(s *stream) error {
	if f.o.JS.Conn().Stats().Reconnects != s.reconnects {
		return f.unavailable("following its stream", errors.New("the connection was renewed"))
	}
	return nil
}

// inPlace checks, where nothing came for a while, that nothing should have come, and gives a message that should: where
// that one has not come by the next look, missed, none will come any more.
func (f *Feed) inPlace(ctx context.Context, s *stream, missed uint64, look bool) (uint64, error) {
	if err := f.sameConnection(s); err != nil {
		return 0, err
	}
	here, published := f.ring.newest()
	if missed > here {
		return 0, f.unavailable("following its stream", fmt.Errorf("message %d is in it and does not come", here+1))
	}
	if !look && here >= published {
		return 0, nil
	}
	info, err := s.js.Info(ctx)
	if err != nil {
		return 0, f.unavailable("looking at its stream", err)
	}
	// Messages that came while we asked are no sign of anything: they are above.
	now, _ := f.ring.newest()
	if !info.Created.Equal(s.made) || info.State.LastSeq < here || info.State.FirstSeq > now+1 {
		return 0, f.unavailable("following its stream", fmt.Errorf("it ends at message %d, and %d was the newest here", info.State.LastSeq, now))
	}
	if info.State.LastSeq > now {
		return info.State.LastSeq, nil
	}
	return 0, nil
}

// A FeedReader follows a feed. It is for one goroutine.
type FeedReader struct {
	f      *Feed
	cursor Cursor
	number uint64 // of the block in the ring to look at next; 0: to be found

	// Of what is read from the stream, behind the ring.
	next   uint64 // sequence of the message to go on with; 0: to be found
	asm    assembler
	blocks []block // read, and not given yet
}

// Open follows the feed after the cursor, which may be ahead of what is published. Errors: ErrRefetch where some change
// after it is not kept any more, it is beyond the ledger's head, or it is of another log; Unavailable; of ctx.
func (f *Feed) Open(ctx context.Context, after Cursor) (*FeedReader, error) {
	if after.Mark != "" && after.Mark != f.mark {
		return nil, ErrRefetch
	}
	after.Mark = f.mark
	if err := f.ring.ready(ctx); err != nil {
		return nil, err
	}
	if err := f.reaches(ctx, after); err != nil {
		return nil, err
	}
	r := &FeedReader{f: f, cursor: after}
	if floor, _ := f.ring.ends(); after.Before(floor) {
		var err error
		if r.next, err = f.find(ctx, after); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// reaches checks that the ledger reaches to the cursor. Ours may be a little behind that of the server that gave it.
func (f *Feed) reaches(ctx context.Context, c Cursor) error {
	l := f.o.Ledger
	if _, position := f.ring.ends(); c.Seq <= max(l.Head(), position) {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, cursorWait)
	defer cancel()
	if err := l.Await(waiting, c.Seq-1); err != nil && waiting.Err() == nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.Head() < c.Seq:
		return ErrRefetch
	}
	return nil
}

// find gives the sequence of the first message after the cursor. Errors: ErrRefetch where the one that would be was
// dropped.
func (f *Feed) find(ctx context.Context, c Cursor) (uint64, error) {
	info, err := f.info(ctx)
	if err != nil {
		return 0, err
	}
	if info.State.Msgs == 0 {
		return 0, ErrRefetch
	}
	low, high := info.State.FirstSeq, info.State.LastSeq+1 // those before low are not after c, those from high on are
	var previous Cursor                                    // of message high
	for low < high {
		middle := low + (high-low)/2
		ms, err := f.read(ctx, middle, 1)
		switch {
		case err != nil:
			return 0, err
		case len(ms) == 0: // dropped with all after it, since
			return 0, ErrRefetch
		case c.Before(ms[0].change.Cursor) && ms[0].stream == middle:
			high, previous = middle, ms[0].previous
		case c.Before(ms[0].change.Cursor): // middle was dropped, since
			low, high, previous = ms[0].stream, ms[0].stream, ms[0].previous
		default:
			low = ms[0].stream + 1
		}
	}
	if c.Before(previous) {
		return 0, ErrRefetch
	}
	return high, nil
}

// Next waits for what comes next and gives it: changes of one event, all of them or where they are very many a part, or
// how far nothing changed, which is said only when there is no change to give. What it gives is shared with other readers:
// it must not be modified. A batch is never of an event beyond the ledger's head. Trouble with NATS is waited out. Errors:
// of ctx, after which one may go on; ErrRefetch where what comes next was not kept; what the feed or its ledger ended with.
func (r *FeedReader) Next(ctx context.Context) (Batch, error) {
	for {
		b, found, wake, err := r.look()
		if found == foundBehind {
			b, found, err = r.readOn(ctx)
		}
		if err != nil && errors.Is(err, domain.Unavailable) && r.f.ring.running() {
			found, err = foundTrouble, nil // Run logs it
		}
		if err != nil {
			return Batch{}, err
		}
		var again <-chan time.Time
		switch found {
		case foundBatch:
			return r.give(ctx, b)
		case foundPart:
			continue
		case foundTrouble:
			again = time.After(readPause)
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-wake:
		case <-again:
		}
	}
}

// What a look found.
type found int

const (
	foundNothing found = iota // wait until the ring has more
	foundBatch                // a batch
	foundPart                 // a part of an event: read on
	foundBehind               // the ring does not reach back to the reader: read the stream
	foundTrouble              // try again in a moment
)

// look looks into the ring. The channel is closed when there is more.
func (r *FeedReader) look() (Batch, found, <-chan struct{}, error) {
	g := r.f.ring
	g.mu.RLock()
	defer g.mu.RUnlock()
	switch {
	case g.err != nil:
		return Batch{}, foundNothing, nil, g.err
	case !g.known:
		return Batch{}, foundNothing, g.wake, nil
	case r.number < g.base && r.cursor.Before(g.floor):
		return Batch{}, foundBehind, g.wake, nil
	case r.number < g.base:
		r.number = g.base + uint64(sort.Search(len(g.blocks), func(i int) bool { return r.cursor.Before(g.blocks[i].end()) }))
		r.next, r.asm, r.blocks = 0, assembler{}, nil
	}
	for ; r.number < g.base+uint64(len(g.blocks)); r.number++ {
		if b := g.blocks[r.number-g.base]; r.cursor.Before(b.end()) {
			return b.after(r.cursor), foundBatch, nil, nil
		}
	}
	if at := (Cursor{Seq: g.position, Mark: r.f.mark}); r.cursor.Before(at) {
		return Batch{Cursor: at}, foundBatch, nil, nil
	}
	return Batch{}, foundNothing, g.wake, nil
}

// readOn reads the stream, behind the ring.
func (r *FeedReader) readOn(ctx context.Context) (Batch, found, error) {
	for len(r.blocks) > 0 && !r.cursor.Before(r.blocks[0].end()) {
		r.blocks = r.blocks[1:]
	}
	if len(r.blocks) > 0 {
		return r.blocks[0].after(r.cursor), foundBatch, nil
	}
	if r.next == 0 {
		r.asm = assembler{}
		next, err := r.f.find(ctx, r.cursor)
		if err != nil {
			return Batch{}, foundNothing, err
		}
		r.next = next
	}
	ms, err := r.f.read(ctx, r.next, readAtOnce)
	if err != nil {
		return Batch{}, foundNothing, err
	}
	for _, m := range ms {
		if first := r.asm.last == (Cursor{}); first && r.cursor.Before(m.previous) || !first && m.previous != r.asm.last {
			return Batch{}, foundNothing, ErrRefetch
		}
		if b, complete := r.asm.add(m); complete {
			r.blocks = append(r.blocks, b)
		}
		r.next = m.stream + 1
	}
	switch {
	case len(r.blocks) > 0:
		return r.blocks[0].after(r.cursor), foundBatch, nil
	case len(ms) > 0:
		return Batch{}, foundPart, nil
	}
	// Nothing is there: the retention has overtaken us, the replica that answered lags, or this was the end, and the
	// rest of an event is to come. Only the last has a wake to wait for.
	info, err := r.f.info(ctx)
	switch {
	case err != nil:
		return Batch{}, foundNothing, err
	case info.State.LastSeq < r.next:
		return Batch{}, foundNothing, nil
	case info.State.FirstSeq > r.next:
		return Batch{}, foundNothing, ErrRefetch
	}
	return Batch{}, foundTrouble, nil
}

// give hands a batch over once the ledger can be asked about it: another server may be ahead of ours.
func (r *FeedReader) give(ctx context.Context, b Batch) (Batch, error) {
	if seq := b.Cursor.Seq; r.f.o.Ledger.Head() < seq {
		if err := r.f.o.Ledger.Await(ctx, seq-1); err != nil {
			return Batch{}, err
		}
	}
	r.cursor = b.Cursor
	return b, nil
}

// Close gives free what was read ahead. A reader that is not closed holds nothing else.
func (r *FeedReader) Close() { r.blocks, r.asm = nil, assembler{} }
