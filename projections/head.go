package projections

// The writer's side. A Head shows the ledger as it will be when everything that was handed to it is in the log; it
// writes to the database only what it is told is there.

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

// A Head is a ledger as known after the newest event that was applied to it, committed or not. It implements
// domain.Reader and is for one goroutine: the writer's.
//
// Events go through two steps. Apply stages one: from then on it shows in every read of the Head, and in no View. Commit
// writes the staged events up to a seq into the database, where Views see them; Drop forgets the staged ones, because the
// log refused them. So commands are decided one after another without waiting for the log, and a replay applies
// hundreds of events and commits them at once: it is the same way for both.
//
//	position                              KnownAt
//	   │ committed, in Views     │ staged, oldest first │
//	   ▼                         ▼                      ▼
//	…──●──────── Commit(upTo) ──▶●────── Apply(e) ─────▶●
//	                             ◀────────── Drop ──────┘
//
// A fact is read from what is staged, else from the cache, else from the database. The cache holds committed versions
// only, and Commit is what changes those: so Drop has nothing to undo there.
//
// What Apply was given and what reads return is shared with the Head: modify neither events nor intervals.
type Head struct {
	l     *Ledger
	db    reader // reads what is committed: asOf is the position
	cache cache
	sieve *sieve // nil but while building: see Bulk

	// staged, by what is asked of it. All of it follows from events, which are contiguous.
	events   []stagedEvent
	facts    map[domain.Fact]domain.Version // the newest staged version of each
	near     map[lane][]domain.Fact         // the keys of facts, by where a scan looks for them, each once
	fresh    []domain.Fact                  // those that are not in near yet: scans are rare, and put them there
	named    map[domain.Kind][]named        // what first appears
	requests map[string]request
	dues     map[domain.Due]bool // the newest that is staged of each: whether it is pending
}

var _ domain.Reader = (*Head)(nil)

type stagedEvent struct {
	*domain.Event
	changes   []domain.Change
	named     []domain.Resource // what it is the first event of
	newTime   bool              // it is the first of its time
	dues      []domain.DueChange
	request   request           // up to this event; zero without a request id
	catalogue *domain.Catalogue // what it adopts, once parsed
}

// A lane is where the facts of one family near one account lie.
type lane struct {
	family   domain.Family
	near     domain.Account
	onObject bool
}

type named struct {
	resource domain.Resource
	first    domain.Seq
}

type request struct{ first, last domain.Seq }

func newHead(l *Ledger) *Head {
	h := &Head{
		l:        l,
		facts:    make(map[domain.Fact]domain.Version),
		near:     make(map[lane][]domain.Fact),
		named:    make(map[domain.Kind][]named),
		requests: make(map[string]request),
		dues:     make(map[domain.Due]bool),
	}
	h.restart()
	return h
}

// restart forgets everything and begins at the ledger's position.
func (h *Head) restart() {
	h.Drop()
	h.cache.forget()
	h.sieve = nil
	h.follow()
}

// follow makes the database be read as of the position. The iterators are closed, as they do not see what was committed
// since they were opened; so none outlives a commit and holds on to tables that a compaction has replaced.
func (h *Head) follow() {
	s := h.l.state.Load()
	h.db.rest()
	h.db.l, h.db.generation, h.db.asOf = h.l, s.generation, s.Seq
}

func (h *Head) rest() { h.db.rest() }

// Apply stages e, the event after KnownAt: it folds e against what the Head shows and shows the outcome from then on. It
// gives what e changes. An error stages nothing; it is domain.Integrity where e is not the next event, its time goes
// backwards or it can't follow what is there.
func (h *Head) Apply(e *domain.Event) ([]domain.Change, error) {
	if e.Seq != h.KnownAt()+1 {
		return nil, domain.Errorf(domain.Integrity, "gap",
			"projections of %s: the next event must be seq %d, not %d", h.l.org, h.KnownAt()+1, e.Seq)
	}
	if last := h.LastRecorded(); h.KnownAt() > 0 && e.RecordedAt < last {
		return nil, domain.Errorf(domain.Integrity, "time_went_back",
			"projections of %s: event %d was recorded at %s, before the event before it (%s)", h.l.org, e.Seq, e.RecordedAt, last)
	}
	changes, err := domain.Fold(h, e)
	if err != nil {
		return nil, err
	}
	if err := h.stage(e, changes); err != nil {
		return nil, err
	}
	return changes, nil
}

// stage makes the changes of the next event show. Everything that can fail comes before anything is staged.
func (h *Head) stage(e *domain.Event, changes []domain.Change) error {
	s := stagedEvent{Event: e, changes: changes, newTime: h.KnownAt() == 0 || e.RecordedAt != h.LastRecorded()}
	for _, c := range changes {
		first, err := h.firstOf(c.Fact)
		if err != nil {
			return err
		}
		if r := domain.Resource(c.Fact.Subject); first && !slices.Contains(s.named, r) {
			s.named = append(s.named, r)
		}
	}
	var err error
	if s.dues, err = domain.DueChanges(h, e, changes); err != nil { // Fold has just read what it reads
		return err
	}
	if e.RequestID != "" {
		r, err := h.continued(e)
		if err != nil {
			return err
		}
		s.request = r
		h.requests[e.RequestID] = r
	}
	for _, c := range changes {
		if h.sieve != nil {
			h.sieve.add(c.Fact)
		}
		if _, ok := h.facts[c.Fact]; !ok {
			h.fresh = append(h.fresh, c.Fact)
		}
		h.facts[c.Fact] = domain.Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: slices.Clip(c.Intervals)}
	}
	for _, d := range s.dues {
		h.dues[d.Due] = d.Pending
	}
	for _, r := range s.named {
		if h.sieve != nil {
			h.sieve.add(namedFact(r))
		}
		h.named[r.Kind()] = append(h.named[r.Kind()], named{r, e.Seq})
	}
	h.events = append(h.events, s)
	return nil
}

// Bulk says that very many events are about to be applied, or that they have been. Where the ledger is empty it spends
// 16 MiB meanwhile on knowing which facts there are not; elsewhere it changes nothing. What is applied is the same.
func (h *Head) Bulk(on bool) {
	h.sieve = nil
	if on && h.KnownAt() == 0 {
		h.sieve = newSieve()
	}
}

// sides tells where a fact lies: near its subject and, if it has one, near its object.
func sides(f domain.Fact) []bool {
	if f.Object == "" {
		return ofSubject
	}
	return ofBoth
}

var ofSubject, ofBoth = []bool{false}, []bool{false, true}

func laneOf(f domain.Fact, onObject bool) lane {
	if onObject {
		return lane{f.Family, f.Object, true}
	}
	return lane{f.Family, f.Subject, false}
}

// firstOf tells whether a change of f is the first that there ever was of its subject, an account or resource that Named
// is to list. That f never was does not say so: a resource may have been registered before, for another account.
func (h *Head) firstOf(f domain.Fact) (bool, error) {
	if f.Family != domain.FamilyActive && f.Family != domain.FamilyResource {
		return false, nil
	}
	v, err := h.Fact(f)
	if err != nil || v.Seq != 0 {
		return false, err
	}
	r := domain.Resource(f.Subject)
	for _, n := range h.named[r.Kind()] {
		if n.resource == r {
			return false, nil
		}
	}
	if h.sieve != nil && !h.sieve.mayHave(namedFact(r)) {
		return true, nil
	}
	before, err := h.db.get(h.l.keys.named(nil, r.Kind(), r.ID()), func([]byte) error { return nil })
	return !before, err
}

// namedFact stands in the sieve for what was named. There is no fact without a family.
func namedFact(r domain.Resource) domain.Fact { return domain.Fact{Subject: domain.Account(r)} }

// continued gives the request of e with e as its last. The events of a request follow one another, so it began with e
// unless the event before has the same. Only where that is committed already has the database to be asked.
func (h *Head) continued(e *domain.Event) (request, error) {
	r, ok := h.requests[e.RequestID]
	if !ok && len(h.events) == 0 {
		var err error
		if r.first, r.last, ok, err = h.committedRequest(e.RequestID); err != nil {
			return request{}, err
		}
	}
	if ok && r.last == e.Seq-1 {
		return request{r.first, e.Seq}, nil
	}
	return request{e.Seq, e.Seq}, nil
}

// Commit writes the staged events up to upTo, and the position, in one batch; later ones stay staged. An error leaves
// everything as it was. upTo beyond KnownAt is domain.Incomplete; at or before the position there is nothing to do.
func (h *Head) Commit(upTo domain.Seq) error {
	if upTo > h.KnownAt() {
		return incomplete(h.l.org, upTo, h.KnownAt())
	}
	if upTo <= h.db.asOf {
		return nil
	}
	n := int(upTo - h.db.asOf)
	committed := h.events[:n]
	next := *h.l.state.Load()
	last := committed[n-1]
	next.Seq, next.EventID, next.RecordedAt = last.Seq, last.ID, last.RecordedAt

	w := writer{keys: h.l.keys, batch: h.l.db.NewBatch()}
	defer w.batch.Close()
	for i, e := range committed {
		w.facts(e)
		if e.RequestID != "" && (i+1 == n || committed[i+1].RequestID != e.RequestID) {
			w.request(e.RequestID, e.request)
		}
	}
	for _, e := range committed {
		w.order(e)
	}
	for _, e := range committed {
		w.dues(e)
	}
	w.position(next.Position)
	if err := w.batch.Commit(pebble.NoSync); err != nil {
		return failure(h.l.org, "commit", err)
	}
	h.l.tail.keep(w.batch)
	h.l.state.Store(&next)
	h.l.commitHappened()
	h.l.announce(committed)
	h.settle(n)
	h.follow()
	return nil
}

// settle moves the first n staged events into the cache.
func (h *Head) settle(n int) {
	for _, e := range h.events[:n] {
		for _, c := range e.changes {
			// Even where a later version is staged: the cache must not go on holding the one before this.
			h.cache.put(c.Fact, domain.Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: slices.Clip(c.Intervals)})
		}
	}
	if n == len(h.events) {
		h.Drop()
		return
	}
	upTo := h.events[n-1].Seq
	for _, e := range h.events[:n] {
		for _, c := range e.changes {
			if h.facts[c.Fact].Seq > upTo {
				continue
			}
			delete(h.facts, c.Fact)
		}
		for _, r := range e.named {
			remove(h.named, r.Kind(), func(n named) bool { return n.resource == r })
		}
		if h.requests[e.RequestID].last <= upTo {
			delete(h.requests, e.RequestID)
		}
	}
	h.events = slices.Delete(h.events, 0, n)
	clear(h.near)
	h.fresh = slices.AppendSeq(h.fresh[:0], maps.Keys(h.facts))
	clear(h.dues)
	for _, e := range h.events {
		for _, d := range e.dues {
			h.dues[d.Due] = d.Pending
		}
	}
}

func remove[K comparable, V any](m map[K][]V, at K, gone func(V) bool) {
	if left := slices.DeleteFunc(m[at], gone); len(left) > 0 {
		m[at] = left
	} else {
		delete(m, at)
	}
}

// Drop forgets what is staged: KnownAt is the position again.
func (h *Head) Drop() {
	clear(h.events)
	h.events = h.events[:0]
	clear(h.facts)
	clear(h.near)
	h.fresh = h.fresh[:0]
	clear(h.named)
	clear(h.requests)
	clear(h.dues)
}

// KnownAt implements domain.Reader: the newest event applied, committed or not.
func (h *Head) KnownAt() domain.Seq { return h.db.asOf + domain.Seq(len(h.events)) }

// LastRecorded is when the event at KnownAt was recorded; 0 where there is none.
func (h *Head) LastRecorded() domain.Instant {
	if n := len(h.events); n > 0 {
		return h.events[n-1].RecordedAt
	}
	return h.l.Position().RecordedAt
}

// Requested gives the first and last seq applied under a caller's own request id; ok is false where none were.
func (h *Head) Requested(id string) (first, last domain.Seq, ok bool, err error) {
	if r, ok := h.requests[id]; ok {
		return r.first, r.last, true, nil
	}
	return h.committedRequest(id)
}

func (h *Head) committedRequest(id string) (first, last domain.Seq, ok bool, err error) {
	ok, err = h.db.get(h.l.keys.request(nil, id), func(value []byte) (err error) {
		first, last, err = readRequest(value)
		return err
	})
	return first, last, ok, err
}

// Due gives what is due at or before until and was not noticed, in the order in which it is to be: at most limit of it.
func (h *Head) Due(until domain.Instant, limit int) ([]domain.Due, error) {
	var dues []domain.Due
	for d, pending := range h.dues {
		if pending && d.At <= until {
			dues = append(dues, d)
		}
	}
	n := len(dues) + limit // enough, whatever of it the staged ones leave out
	for d, err := range h.l.due(until) {
		if err != nil {
			return nil, err
		}
		if _, staged := h.dues[d]; staged {
			continue
		}
		if dues = append(dues, d); len(dues) == n {
			break
		}
	}
	slices.SortFunc(dues, domain.Due.Compare)
	return dues[:min(limit, len(dues))], nil
}

// Fact implements domain.Reader.
func (h *Head) Fact(f domain.Fact) (domain.Version, error) {
	if h.sieve != nil && !h.sieve.mayHave(f) {
		return domain.Version{}, nil
	}
	if v, ok := h.facts[f]; ok {
		return v, nil
	}
	if v, ok := h.cache.get(f); ok {
		return v, nil
	}
	v, err := h.db.fact(f)
	if err == nil {
		h.cache.put(f, v)
	}
	return v, err
}

// FactsOf implements domain.Reader.
func (h *Head) FactsOf(family domain.Family, subject domain.Account) iter.Seq2[domain.Held, error] {
	return h.factsNear(lane{family, subject, false})
}

// FactsOn implements domain.Reader.
func (h *Head) FactsOn(family domain.Family, object domain.Account) iter.Seq2[domain.Held, error] {
	return h.factsNear(lane{family, object, true})
}

func (h *Head) factsNear(at lane) iter.Seq2[domain.Held, error] {
	for _, f := range h.fresh {
		for _, onObject := range sides(f) {
			lane := laneOf(f, onObject)
			h.near[lane] = append(h.near[lane], f)
		}
	}
	h.fresh = h.fresh[:0]
	committed := h.db.facts(at.family, at.near, at.onObject)
	if len(h.near[at]) == 0 {
		return committed
	}
	var staged []domain.Held
	for _, f := range h.near[at] {
		staged = append(staged, domain.Held{Fact: f, Version: h.facts[f]})
	}
	return merge(committed, staged, func(a, b domain.Held) int {
		farA, farB := a.Fact.Object, b.Fact.Object
		if at.onObject {
			farA, farB = a.Fact.Subject, b.Fact.Subject
		}
		return cmp.Or(cmp.Compare(farA, farB), strings.Compare(a.Fact.Name, b.Fact.Name), strings.Compare(a.Fact.ID, b.Fact.ID))
	})
}

// Named implements domain.Reader.
func (h *Head) Named(kind domain.Kind) iter.Seq2[domain.Resource, error] {
	committed := h.db.named(kind)
	if len(h.named[kind]) == 0 {
		return committed
	}
	var staged []domain.Resource
	for _, n := range h.named[kind] {
		staged = append(staged, n.resource)
	}
	return merge(committed, staged, cmp.Compare)
}

// merge lays staged over committed, which is in the order of compare. Of two equal ones the staged counts.
func merge[T any](committed iter.Seq2[T, error], staged []T, compare func(a, b T) int) iter.Seq2[T, error] {
	slices.SortFunc(staged, compare)
	return func(yield func(T, error) bool) {
		rest := staged
		for c, err := range committed {
			if err != nil {
				yield(c, err)
				return
			}
			for len(rest) > 0 && compare(rest[0], c) < 0 {
				if !yield(rest[0], nil) {
					return
				}
				rest = rest[1:]
			}
			if len(rest) > 0 && compare(rest[0], c) == 0 {
				c, rest = rest[0], rest[1:]
			}
			if !yield(c, nil) {
				return
			}
		}
		for _, s := range rest {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// FactAt implements domain.Reader.
func (h *Head) FactAt(seq domain.Seq) (domain.Fact, bool, error) {
	if e := h.staged(seq); e != nil {
		f, ok := e.began()
		return f, ok, nil
	}
	return h.db.factAt(seq)
}

// Catalogue implements domain.Reader.
func (h *Head) Catalogue(seq domain.Seq) (*domain.Catalogue, error) {
	e := h.staged(seq)
	switch {
	case e == nil && seq > h.db.asOf:
		return nil, noCatalogue(h.l.org, seq)
	case e == nil:
		return h.l.catalogue(seq)
	case e.catalogue != nil:
		return e.catalogue, nil
	}
	// Not kept with the ledger's: if this event is dropped, another may come to stand at its seq.
	a, ok := e.Data.(*domain.CatalogueAdoption)
	if !ok {
		return nil, noCatalogue(h.l.org, seq)
	}
	c, err := domain.ParseCatalogue([]byte(a.Document))
	if err != nil {
		return nil, err
	}
	e.catalogue = c
	return c, nil
}

func (h *Head) staged(seq domain.Seq) *stagedEvent {
	if seq <= h.db.asOf || seq > h.KnownAt() {
		return nil
	}
	return &h.events[seq-h.db.asOf-1]
}

// began gives the fact that the event began: the first it changes whose newest interval is its own. An access grant
// begins two, and the grant comes first.
func (e *stagedEvent) began() (domain.Fact, bool) {
	for _, c := range e.changes {
		if n := len(c.Intervals); n > 0 && c.Intervals[n-1].Began == e.Seq {
			return c.Fact, true
		}
	}
	return domain.Fact{}, false
}

// writer puts events into a batch: the one place that knows which keys an event has. facts and order are called for
// all events in turn, one after the other: the memtable inserts a run of rising keys faster than scattered ones.
type writer struct {
	keys       keyspace
	batch      *pebble.Batch
	key, value []byte // scratch
}

// facts puts what is found by name: the versions, and what is first named.
func (w *writer) facts(e stagedEvent) {
	for _, c := range e.changes {
		w.value = appendVersion(w.value[:0], domain.Version{Seq: e.Seq, Recorded: e.RecordedAt, Intervals: c.Intervals})
		for _, onObject := range sides(c.Fact) {
			w.key = appendSuffix(w.keys.fact(w.key[:0], c.Fact, onObject), e.Seq)
			w.set()
		}
	}
	for _, r := range e.named {
		w.key = w.keys.named(w.key[:0], r.Kind(), r.ID())
		w.value = appendSeq(w.value[:0], e.Seq)
		w.set()
	}
	if a, ok := e.Data.(*domain.CatalogueAdoption); ok {
		w.key = w.keys.seq(w.key[:0], keyDocument, e.Seq)
		w.value = append(w.value[:0], a.Document...)
		w.set()
	}
}

// order puts what is found by seq or time, and by actor and seq.
func (w *writer) order(e stagedEvent) {
	w.key, w.value = w.keys.did(w.key[:0], e.Actor, e.Seq), w.value[:0]
	w.set()
	if f, ok := e.began(); ok {
		w.key = w.keys.seq(w.key[:0], keyBegan, e.Seq)
		w.value = appendFact(w.value[:0], f)
		w.set()
	}
	if e.newTime {
		w.key = w.keys.time(w.key[:0], e.RecordedAt)
		w.value = appendSeq(w.value[:0], e.Seq)
		w.set()
	}
}

// dues puts what an event brings to the index of what is due, where it stays until the event that ends it, and to that of
// what was ever due, where it stays. Where one commit brings and ends a due, the later counts.
func (w *writer) dues(e stagedEvent) {
	for _, d := range e.dues {
		w.key = w.keys.due(w.key[:0], d.Due.At, d.Due.Of)
		if d.Pending {
			w.value = appendDue(w.value[:0], d.Due)
			w.set()
			w.key, w.value = append(w.keys.bound(w.key[:0], d.Due.At, d.Due.Of), w.value...), w.value[:0]
			w.set()
		} else {
			_ = w.batch.Delete(w.key, nil) // as set
		}
	}
}

func (w *writer) request(id string, r request) {
	w.key = w.keys.request(w.key[:0], id)
	w.value = appendRequest(w.value[:0], r.first, r.last)
	w.set()
}

func (w *writer) position(p Position) {
	w.key = w.keys.position(w.key[:0])
	w.value = appendPosition(w.value[:0], p)
	w.set()
}

// set copies both into the batch. A batch of the database's own grows in memory: its error is always nil.
func (w *writer) set() { _ = w.batch.Set(w.key, w.value, nil) }
