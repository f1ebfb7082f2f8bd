package ledger

// How the ledgers stand, for operators and what watches for them: asked of a ledger in whatever state it is, behind and
// broken as well. It changes nothing and waits for no ledger to catch up.

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// A Standing says how far one ledger is.
type Standing struct {
	Position   domain.Seq     // the newest event that answers rest on
	RecordedAt domain.Instant // when that was recorded; 0 for none
	Head       domain.Seq     // the newest event that the log is known to have
	Lag        consumers.Lag  // of Position behind Head
	Feed       *FeedStanding  // nil without Options.Feed
	Err        error          // why it answers nothing now; nil: it does
	Stopped    bool           // Err is for good: it has to be opened anew
}

// A FeedStanding says how far a ledger's change feed is behind what answers rest on.
type FeedStanding struct {
	Position domain.Seq // every change up to it is published; 0 until the feed has found its place
	Lag      consumers.Lag
}

// Standing says how the ledger stands. It reads one event for each of the two that lag, and else nothing.
func (l *Ledger) Standing(ctx context.Context) Standing {
	p := l.p.Position()
	s := Standing{Position: p.Seq, RecordedAt: p.RecordedAt, Head: max(p.Seq, domain.Seq(l.target.Load())), Err: l.ready(), Stopped: l.sound() != nil}
	s.Lag = l.lag(ctx, s.Position, s.Head)
	if l.following != nil {
		at := l.following.feed.Position()
		s.Feed = &FeedStanding{Position: at, Lag: l.lag(ctx, at, p.Seq)}
	}
	return s
}

// lag is how far position is behind head. Where the first event that is lacking can't be read, its age is left out: how
// many are lacking is known all the same.
func (l *Ledger) lag(ctx context.Context, position, head domain.Seq) consumers.Lag {
	if position >= head {
		return consumers.Lag{}
	}
	lag := consumers.Lag{Events: uint64(head - position)}
	if at, err := l.recordedAt(ctx, position+1); err == nil {
		lag.Seconds = max(0, l.s.now().Time().Sub(at.Time()).Seconds())
	}
	return lag
}

// heardOf notes that the log has an event. Nobody's news takes back what another knew.
func (l *Ledger) heardOf(seq domain.Seq) {
	for {
		known := l.target.Load()
		if uint64(seq) <= known || l.target.CompareAndSwap(known, uint64(seq)) {
			return
		}
	}
}

// Find gives an organisation's ledger as Ledger does, but does not wait until it has caught up.
func (s *Service) Find(ctx context.Context, org domain.Org) (*Ledger, error) {
	return s.ledger(ctx, org)
}

// Ledgers gives those that are open, by organisation.
func (s *Service) Ledgers() []*Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.ledgers), func(a, b *Ledger) int { return cmp.Compare(a.Org(), b.Org()) })
}

// keepShut notes that an organisation's ledger is damaged and was not opened.
func (s *Service) keepShut(org domain.Org) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut[org] = true
}

// Shut gives the organisations whose ledgers were found damaged as all were opened, and are not open.
func (s *Service) Shut() (orgs []domain.Org) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for org := range s.shut {
		if s.ledgers[org] == nil {
			orgs = append(orgs, org)
		}
	}
	return orgs
}

// Subscribers counts who follows the change feeds, of all ledgers together; nothing without Options.Feed.
func (s *Service) Subscribers(ctx context.Context) (map[consumers.Standing]int, error) {
	if s.state == nil {
		return nil, nil
	}
	return consumers.CountSubscribers(ctx, s.state)
}

// LogFigures are those of the log's server, see eventstore.Store.Figures.
func (s *Service) LogFigures(ctx context.Context) (eventstore.Figures, error) {
	return s.store.Figures(ctx)
}

// ProjectionFigures are those of the projections' database.
func (s *Service) ProjectionFigures() *pebble.Metrics { return s.db.Metrics() }

// Uptime is how long ago the service was opened, by the machine's clock and not the ledgers'.
func (s *Service) Uptime() time.Duration { return time.Since(s.began) }
