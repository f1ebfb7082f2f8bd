package consumers

// A local replica: a read-only copy of what follows from a ledger, in the process of another service, kept level over
// HTTP. This file owns the order of its steps, and how far behind it is said to be. It decides nothing, records nothing
// and keeps no text about a person: reasons and names are thrown away before anything is applied.

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/permledger/permledger/domain"
)

// ReplicaOptions say what to copy.
type ReplicaOptions struct {
	URL    string // of the service, e.g. "http://127.0.0.1:7420"
	Org    domain.Org
	Client *http.Client // nil: http.DefaultClient
	Logger *slog.Logger // nil: silent
}

// A ReplicaTarget is where a replica keeps its copy: the *projections.Ledger of a database that nothing else writes to. It is
// asked as the service's own is: by its views, in any goroutine.
//
// It stands here as an interface because consumers and projections know nothing of each other; its type parameters are
// what projections calls its position and its head, and the compiler finds them.
type ReplicaTarget[P copyPosition, H copyHead] interface {
	Position() P
	Head() H
	Bind(stream time.Time, building bool) error
	Wipe() error
}

// copyPosition is how far a copy goes and what it was made from: see projections.Position.
type copyPosition interface {
	~struct {
		Seq        domain.Seq
		EventID    domain.EventID
		RecordedAt domain.Instant
		Stream     time.Time
		Building   bool
		Outdated   bool
	}
}

// copied is a position whose fields can be named: those of a type parameter can't.
type copied struct {
	Seq        domain.Seq
	EventID    domain.EventID
	RecordedAt domain.Instant
	Stream     time.Time
	Building   bool
	Outdated   bool
}

// copyHead is the writer's side of a copy: see projections.Head.
type copyHead interface {
	KnownAt() domain.Seq
	Apply(*domain.Event) ([]domain.Change, error)
	Commit(upTo domain.Seq) error
	Drop()
}

// A Replica keeps a copy level with its ledger while it runs.
type Replica struct {
	o       ReplicaOptions
	service *service
	tries   failures

	position func() copied
	head     copyHead
	bind     func(stream time.Time, building bool) error
	wipe     func() error

	mu    sync.Mutex // guards what follows
	known domain.Seq // the service's newest event, as far as it told
	level time.Time  // see ReplicaLag
}

// NewReplica makes a replica that keeps its copy in target; Run runs it. Error: Malformed.
func NewReplica[P copyPosition, H copyHead](o ReplicaOptions, target ReplicaTarget[P, H]) (*Replica, error) {
	s, err := newService(o.URL, o.Org, o.Client)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replica{
		o: o, service: s,
		position: func() copied { return copied(target.Position()) },
		head:     target.Head(), bind: target.Bind, wipe: target.Wipe,
	}
	if p := r.position(); p.Seq > 0 {
		r.level = p.RecordedAt.Time()
	}
	return r, nil
}

// ReplicaLag says how far a copy is behind.
type ReplicaLag struct {
	Position domain.Seq // the newest event that the copy has
	Events   domain.Seq // how many more the service had when it was last heard from
	// Level is a moment at which the copy certainly had all that was recorded: the newest that is known of, by this
	// process's clock. Before the service was heard from it is when the copy's newest event was recorded, by the service's;
	// the zero time for an empty copy.
	Level time.Time
	Age   time.Duration // since Level: on a copy that is level up to about two seconds; without a connection it grows
}

// Lag says how far the copy is behind. Any goroutine may ask; it costs nothing.
func (r *Replica) Lag() ReplicaLag {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := ReplicaLag{Position: r.position().Seq, Level: r.level, Age: max(0, time.Since(r.level))}
	if r.known > l.Position {
		l.Events = r.known - l.Position
	}
	return l
}

const (
	// pageWait is how long the service may wait for an event before it says that there is none. It bounds the age of a copy
	// that is level to twice that, for a small request each time.
	pageWait = time.Second
	// findWait is how long a service may lack an event that the copy has: another server answers than before, and is behind
	// it. A log that ends before it is no log of ours.
	findWait = 30 * time.Second
	pageSize = 1000 // events
)

// Run keeps the copy level until ctx ends, which is no error. It is the only one that writes to the target, and may be
// called again when it has returned.
//
// What it cannot follow it does not carry on from: Integrity where the service's log is another than the copy was made
// from (code log_swapped, log_forked or log_truncated) or can't be read; then stop asking the copy, and begin with a new
// one. Else what the service refuses (Unknown, …), Unreachable for what is no permledger, and errors of the target.
func (r *Replica) Run(ctx context.Context) error {
	if p := r.position(); p.Building || p.Outdated { // not to be gone on from
		if err := r.wipe(); err != nil {
			return err
		}
	}
	return persist(ctx, r.o.Logger, &r.tries, func(ctx context.Context) error {
		// Whoever answers after a failure may be a service restored from elsewhere.
		if err := r.recognise(ctx); err != nil {
			return err
		}
		for {
			if err := r.page(ctx); err != nil {
				return err
			}
			r.tries.well()
		}
	})
}

// recognise checks that the service's log is the one that the copy was made from.
func (r *Replica) recognise(ctx context.Context) error {
	p := r.position()
	asked := time.Now()
	a, err := r.ask(ctx, max(p.Seq, 1)-1, 1, 0)
	if err != nil {
		return err
	}
	if p.Stream.IsZero() {
		err = r.bind(a.Created, false)
	} else {
		err = r.same(p, a)
	}
	if err != nil {
		return err
	}
	if p.Seq > 0 {
		if len(a.Events) == 0 { // a server that is behind; or a log that was cut off
			if a, err = r.ask(ctx, p.Seq-1, 1, findWait); err != nil {
				return err
			}
		}
		if len(a.Events) == 0 {
			return domain.Errorf(domain.Integrity, "log_truncated", "replica of %s: it has event %d, the service's log ends at %d: begin with a new copy", r.o.Org, p.Seq, a.Head)
		}
		e, err := r.decode(a.Events[0], p.Seq)
		if err != nil {
			return err
		}
		if e.ID != p.EventID {
			return domain.Errorf(domain.Integrity, "log_forked", "replica of %s: event %d is %s at the service and was %s when it was copied: begin with a new copy", r.o.Org, p.Seq, e.ID, p.EventID)
		}
	}
	r.heard(asked, a.Head)
	return nil
}

// same checks that an answer is of the log that the copy was made from.
func (r *Replica) same(p copied, a eventsPage) error {
	if a.Created.Equal(p.Stream) {
		return nil
	}
	return domain.Errorf(domain.Integrity, "log_swapped", "replica of %s: it was made from a log created at %s, the service's was created at %s: begin with a new copy", r.o.Org, p.Stream.Format(time.RFC3339Nano), a.Created.Format(time.RFC3339Nano))
}

// page applies what comes after the position, waiting a while for something to come.
func (r *Replica) page(ctx context.Context) error {
	p := r.position()
	asked := time.Now()
	a, err := r.ask(ctx, p.Seq, pageSize, pageWait)
	if err != nil {
		return err
	}
	if err := r.same(p, a); err != nil {
		return err
	}
	if a.Head < p.Seq {
		return r.recognise(ctx)
	}
	if err := r.apply(a.Events, p.Seq); err != nil {
		r.head.Drop()
		return err
	}
	r.heard(asked, a.Head)
	return nil
}

// heard notes how far the service was, at some moment after it was asked.
func (r *Replica) heard(asked time.Time, head domain.Seq) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known = head; head == r.position().Seq {
		r.level = asked
	}
}

// apply applies a page, all of it in one commit.
func (r *Replica) apply(events []json.RawMessage, after domain.Seq) error {
	for i, shown := range events {
		e, err := r.decode(shown, after+domain.Seq(i)+1)
		if err != nil {
			return err
		}
		for _, text := range e.Texts() { // about a person: it opens over HTTP, and the copy must not have it
			*text = ""
		}
		if _, err := r.head.Apply(e); err != nil {
			return err
		}
	}
	return r.head.Commit(r.head.KnownAt())
}

// decode reads an event as it is shown, which is as it is stored but with its seq, and maybe without the texts that are
// sealed there. What this program can't read it does not pass over.
func (r *Replica) decode(shown json.RawMessage, want domain.Seq) (*domain.Event, error) {
	// No text holds the key with its quotes: within one they are escaped.
	before, rest, ok := bytes.Cut(shown, []byte(`,"seq":`))
	digits, after, _ := bytes.Cut(rest, []byte(","))
	seq, err := strconv.ParseUint(string(digits), 10, 63)
	if !ok || err != nil {
		return nil, domain.Errorf(domain.Integrity, "undecodable_event", "replica of %s: event %d can't be read: it has no seq", r.o.Org, want)
	}
	if domain.Seq(seq) != want {
		return nil, domain.Errorf(domain.Integrity, "log_gap", "replica of %s: the service gives event %d where %d comes next", r.o.Org, seq, want)
	}
	e, err := domain.DecodeEvent(want, bytes.Join([][]byte{before, after}, []byte(",")))
	if err != nil {
		return nil, domain.Errorf(domain.Integrity, "undecodable_event", "replica of %s: event %d can't be read: %v: is this program older than the service?", r.o.Org, want, err)
	}
	if e.Org != r.o.Org {
		return nil, domain.Errorf(domain.Integrity, "foreign_event", "replica of %s: event %d says it is of %s", r.o.Org, want, e.Org)
	}
	return e, nil
}

// eventsPage is a stretch of the log as the service gives it.
type eventsPage struct {
	Events  []json.RawMessage
	Head    domain.Seq // the newest event there is, perhaps after these
	Created time.Time  // when the log was made
}

// ask gives what comes after a seq, at most limit events; where there is none yet it is waited for so long.
func (r *Replica) ask(ctx context.Context, after domain.Seq, limit int, wait time.Duration) (a eventsPage, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait+silence)
	defer cancel()
	q := url.Values{"after": {strconv.FormatUint(uint64(after), 10)}, "limit": {strconv.Itoa(limit)}}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	resp, err := r.service.get(ctx, "events", q, "application/json")
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, passed(ctx, err)
	}
	if json.Unmarshal(body, &a) != nil {
		return a, notPermledger("gives events in a form")
	}
	if a.Created.IsZero() {
		return a, notPermledger("does not say which log its events are of")
	}
	return a, nil
}
