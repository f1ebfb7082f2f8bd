// Package ledger puts the parts together: for each organisation the log (eventstore), what follows from it
// (projections) and the rules (domain), with the one writer between them. It owns the order of the steps from a command
// to an answer; it never decides anything itself, and knows neither HTTP nor a terminal.
//
//	command → domain.Decide on the writer's view → eventstore (the commit point) → projections → domain evaluates → answer
package ledger

// A Service holds the ledgers of one data directory or one NATS server: opening, finding and making them.

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
	"github.com/permledger/permledger/projections"
)

// Options say where the ledgers are.
type Options struct {
	Data    string             // the data directory: log/ and projection/ are in it
	Create  bool               // make the data directory where it is missing
	NATS    eventstore.Options // the external server, where its URL is set: URL, Credentials, CA, Cert, Key, Replicas
	Relaxed bool               // for an import into a new ledger: sync at its end instead of at each write
	Now     func() time.Time   // nil: time.Now
	Random  io.Reader          // nil: crypto/rand
	Logger  *slog.Logger       // nil: silent

	// Clock has the ledgers take notice of what begins and runs out (clock.go), while they are open. Not for whoever opens
	// them for one question or command: a question is to record nothing.
	Clock bool

	// Feed has the ledgers publish what changes, while they are open, and know who subscribed to it. Webhooks has them
	// deliver to those who asked for that; it is for Feed's alone.
	Feed, Webhooks bool

	Observer Observer // nil: nobody is told

	// Asking is for whoever opens the ledgers for one question or command: why a ledger stops comes back to them as an error,
	// and is not logged as well.
	Asking bool

	// Fatal is projections.Options.Fatal.
	Fatal func(error)

	fs    vfs.FS                               // what the projection's database lies on, for tests; nil: the machine's
	after func(time.Duration) <-chan time.Time // what the clock waits by, for its tests; nil: time.After
}

// A Service is safe for use by any goroutine.
type Service struct {
	o     Options
	store *eventstore.Store
	db    *projections.DB
	state jetstream.KeyValue // of feeds and subscribers; nil without Options.Feed
	turns chan struct{}      // of the feeds; see feed.go
	began time.Time          // when it was opened

	rebuilds rebuilds

	// As it was when the service was opened. Asked later, the server takes a log that was just deleted for a lost one.
	projected []domain.Org // of whom something was projected, sorted
	unread    error        // what our own server could not read back; nil: nothing

	idMu    sync.Mutex // guards entropy
	entropy ulid.MonotonicReader

	mu      sync.Mutex // guards what follows, and opening; held while a ledger is opened, but not while it catches up
	ledgers map[domain.Org]*Ledger
	failed  error               // why OpenAll could not open them
	opened  bool                // OpenAll is done
	shut    map[domain.Org]bool // those that OpenAll found damaged before they could be opened
}

// Open opens the data directory. Errors: Unreachable where it is missing, cannot be read, or another process has it.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.after == nil {
		o.after = time.After
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Data == "" {
		return nil, domain.Errorf(domain.Malformed, "no_data", "opening the ledger: no data directory given")
	}
	if err := checkData(o); err != nil {
		return nil, err
	}
	s := &Service{
		o: o, ledgers: make(map[domain.Org]*Ledger), shut: make(map[domain.Org]bool), entropy: ulid.Monotonic(o.Random, 0), turns: make(chan struct{}, turns), began: time.Now(),
	}
	log := o.NATS
	log.Relaxed, log.Logger, log.Rand = o.Relaxed, o.Logger, o.Random
	if log.URL == "" {
		log.Dir = filepath.Join(o.Data, "log")
	}
	var err error
	if s.store, err = eventstore.Open(ctx, log); err != nil {
		return nil, err
	}
	projection := projections.Options{Logger: o.Logger, Fatal: o.Fatal, FS: o.fs}
	if o.Asking && !o.Create {
		projection.CacheBytes = askingCache
	}
	if s.db, err = projections.Open(projectionDir(o.Data), projection); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	s.unread = s.store.Recovered()
	if s.projected, err = s.db.Orgs(); err != nil { // no reason to keep the ledgers shut that are sound
		o.Logger.Error("whose ledgers were here can't be listed: one whose log is gone is not noticed", "error", err, "runbook", runbook.For(err))
	}
	if o.Feed {
		if err := s.openState(ctx); err != nil {
			return nil, errors.Join(err, s.db.Close(), s.store.Close())
		}
	}
	return s, nil
}

// askingCache is the cache of the projections' database for whoever opens it to ask once, in bytes: a rebuild or a verification
// reads all of it once, and would fill any.
const askingCache = 16 << 20

func projectionDir(data string) string { return filepath.Join(data, "projection") }

// checkData refuses, unless the directory may be made, one that is not there or holds no ledgers: a slip of the pen
// must not leave an empty ledger behind.
func checkData(o Options) error {
	const hint = "make one with permledger init or import"
	info, err := os.Stat(o.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Create:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return domain.Errorf(domain.Unreachable, "no_data", "opening the ledger: there is no directory %s; %s", o.Data, hint)
	case err != nil:
		return domain.Errorf(domain.Unreachable, "no_data", "opening the ledger: %v", err)
	case !info.IsDir():
		return domain.Errorf(domain.Unreachable, "no_data", "opening the ledger: %s is not a directory", o.Data)
	case o.Create || o.NATS.URL != "":
		return nil
	}
	if _, err := os.Stat(filepath.Join(o.Data, "log")); err != nil {
		return domain.Errorf(domain.Unreachable, "no_data", "opening the ledger: %s holds none; %s", o.Data, hint)
	}
	return nil
}

// Close finishes what was acknowledged and closes everything. Commands that still wait get Unavailable.
func (s *Service) Close() error {
	s.rebuilds.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.ledgers {
		l.stop()
	}
	return errors.Join(s.db.Close(), s.store.Close())
}

// Orgs lists the organisations that have a ledger, sorted, also where its log is gone and only the projection knows of it.
func (s *Service) Orgs(ctx context.Context) ([]domain.Org, error) {
	orgs, err := s.store.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	var without []domain.Org
	for _, org := range s.projected {
		if _, has := slices.BinarySearch(orgs, org); !has && s.orphaned(org) != nil {
			without = append(without, org)
		}
	}
	orgs = append(orgs, without...)
	slices.Sort(orgs)
	return orgs, nil
}

// lost is for an organisation that the log's server knows nothing of: why it may be that its log was lost, nil where it
// never had one.
func (s *Service) lost(org domain.Org) error { return cmp.Or(s.orphaned(org), s.unread) }

// orphaned is Integrity where there is a projection of a log that there is not. Of one that an import left half made there
// never was any.
func (s *Service) orphaned(org domain.Org) error {
	if _, was := slices.BinarySearch(s.projected, org); !was {
		return nil
	}
	p, err := s.db.Ledger(org)
	if err != nil {
		return err
	}
	if pos := p.Position(); pos.Seq > 0 && !pos.Building {
		return domain.Errorf(domain.Integrity, "log_swapped", "ledger of %s: its projection has event %d of a log created at %s, and there is no log of it", org, pos.Seq, domain.InstantOf(pos.Stream))
	}
	return nil
}

// Ledger gives an organisation's ledger, caught up with its log; org "" stands for the only one there is. Errors:
// Unknown, Malformed where "" leaves a choice, Integrity where log and projection do not belong together.
func (s *Service) Ledger(ctx context.Context, org domain.Org) (*Ledger, error) {
	if org == "" {
		orgs, err := s.Orgs(ctx)
		switch {
		case err != nil:
			return nil, err
		case len(orgs) == 0:
			return nil, domain.Errorf(domain.Unknown, "no_ledger", "opening the ledger: there is none in %s yet; make one with permledger init or import", s.o.Data)
		case len(orgs) > 1:
			return nil, domain.Errorf(domain.Malformed, "which_org", "opening the ledger: there are several; say which organisation: %s", join(orgs))
		}
		org = orgs[0]
	}
	l, err := s.ledger(ctx, org)
	if err != nil {
		return nil, err
	}
	return l, l.wait(ctx)
}

func join(orgs []domain.Org) string {
	names := make([]string, len(orgs))
	for i, o := range orgs {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// ledger opens the ledger and lets it catch up in the background.
func (s *Service) ledger(ctx context.Context, org domain.Org) (*Ledger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.ledgers[org]; ok {
		return l, nil
	}
	log, err := s.store.Open(ctx, org)
	if isFailure(err, domain.Unknown) {
		err = cmp.Or(s.lost(org), err)
	}
	if err != nil {
		return nil, err
	}
	return s.start(ctx, log)
}

// start makes a ledger of a log and runs it. s.mu is held.
func (s *Service) start(ctx context.Context, log *eventstore.Log) (*Ledger, error) {
	keys, err := log.Keys(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.db.Ledger(log.Org())
	if err != nil {
		return nil, err
	}
	l := newLedger(s, log, keys, p)
	s.ledgers[log.Org()] = l
	l.start()
	return l, nil
}

// OpenAll opens every ledger and waits until all have caught up with their logs. Until then Ready says how far. Its error is
// Integrity where a ledger is damaged; that one answers nothing, and all others are open.
func (s *Service) OpenAll(ctx context.Context) error {
	err := s.openAllPatiently(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened, s.failed = true, err
	return err
}

func (s *Service) openAll(ctx context.Context) error {
	orgs, err := s.Orgs(ctx)
	if err != nil {
		return err
	}
	var damaged error // of the first that is: the others are opened all the same
	var sound []domain.Org
	for _, org := range orgs {
		switch _, err := s.ledger(ctx, org); {
		case isFailure(err, domain.Integrity):
			s.o.Logger.Error("the ledger is not opened", "org", org, "error", err, "runbook", runbook.For(err))
			s.keepShut(org)
			damaged = cmp.Or(damaged, err)
		case err != nil:
			return fmt.Errorf("ledger of %s: %w", org, err)
		default:
			sound = append(sound, org)
		}
	}
	for _, org := range sound {
		switch _, err := s.Ledger(ctx, org); {
		case isFailure(err, domain.Integrity): // it has told the log by itself
			damaged = cmp.Or(damaged, err)
		case err != nil:
			return fmt.Errorf("ledger of %s: %w", org, err)
		}
	}
	return damaged
}

// Damaged takes notice of what reading for an answer ran into: a log or a projection that is not what it was stops the
// organisation's ledger, as it would if the ledger had come across it by itself. Anything else is only the answer's.
func (s *Service) Damaged(org domain.Org, err error) {
	if !isFailure(err, domain.Integrity) || !stops[runbook.For(err)] {
		return
	}
	s.mu.Lock()
	l := s.ledgers[org]
	s.mu.Unlock()
	if l != nil {
		l.fail(err)
	}
}

// stops has the pages of what a ledger stops for. A key, a subscriber or the feed that is damaged is no reason to.
var stops = map[string]bool{
	"log-truncated": true, "log-forked": true, "log-swapped": true, "log-gap": true, "log-settings": true,
	"unreadable-event": true, "projection-damaged": true,
}

// Tidy makes questions quicker after much was written: see projections.DB.Tidy. It may go on while everything else does,
// and ends with ctx.
func (s *Service) Tidy(ctx context.Context) error { return s.db.Tidy(ctx) }

// Ready is nil once every ledger has caught up, and else says in one sentence what is lacking: damage before what only takes
// its time, and of several ledgers the same one each time.
func (s *Service) Ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lacking error
	for _, org := range slices.Sorted(maps.Keys(s.ledgers)) {
		err := s.ledgers[org].ready()
		if isFailure(err, domain.Integrity) {
			return err
		}
		lacking = cmp.Or(lacking, err)
	}
	switch {
	case isFailure(s.failed, domain.Integrity):
		return s.failed
	case lacking != nil:
		return lacking
	case s.failed != nil:
		return s.failed
	case !s.opened:
		return domain.Errorf(domain.Incomplete, "starting", "the ledgers are being opened")
	}
	return s.store.Ready(ctx)
}

// NATS gives the connection to the log's server, for what is served beside the ledgers. It is the service's, and closed
// with it.
func (s *Service) NATS() *nats.Conn { return s.store.JetStream().Conn() }

// now is the clock's time.
func (s *Service) now() domain.Instant { return domain.InstantOf(s.o.Now()) }

// newID makes an event id of the moment. Ids of one service sort in the order in which they were made; the ledger
// never relies on it.
func (s *Service) newID(at domain.Instant) domain.EventID {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	ms := uint64(max(at, 0)) / uint64(time.Millisecond)
	id, err := ulid.New(ms, s.entropy)
	if err != nil { // the random part ran over within one millisecond: one in 2^79, and the next millisecond has room
		id = ulid.MustNew(ms+1, s.entropy)
	}
	return domain.EventID(id.String())
}

// Init makes a new ledger: the catalogue is adopted, and the founder opened and given the catalogue's founder roles.
// All of it is recorded or nothing. Errors: Conflict where there is such a ledger, RuleBroken for a catalogue with
// mistakes or a founder who may not be one.
func (s *Service) Init(ctx context.Context, org domain.Org, document []byte, founder domain.Account, source string) (*Ledger, error) {
	cat, err := domain.ParseCatalogue(document)
	if err != nil {
		return nil, err
	}
	if len(cat.Founder) == 0 {
		return nil, domain.Errorf(domain.RuleBroken, "no_founder", "making the ledger of %s: the catalogue %s names no founder role, so nobody could record anything", org, cat.Name)
	}
	data := []domain.Data{&domain.CatalogueAdoption{Document: string(document)}, &domain.AccountOpening{Account: founder}}
	for _, role := range cat.Founder {
		data = append(data, &domain.RoleAssignment{Principal: founder, Role: role})
	}
	now := s.now()
	l, err := s.create(ctx, org, func(add func(*domain.Event) error) error {
		for _, d := range data {
			e := &domain.Event{Type: d.Type(), Version: 1, RecordedAt: now, Actor: founder, Source: source, Data: d}
			if err := add(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, l.wait(ctx)
}
