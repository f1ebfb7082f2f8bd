package ledger

// The change feed of each ledger, and who subscribed to it: which parts of package consumers run beside a ledger, and for
// how long. What they do is theirs.

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// turns is how many feeds may find or make their streams at a time. Making one costs an embedded server a handful of synced
// writes, and there may be a thousand to be made when it first runs.
const turns = 2

// feeding is what follows a ledger, where Options.Feed asks for it.
type feeding struct {
	feed        *consumers.Feed
	subscribers *consumers.Subscribers
	courier     *consumers.Courier // nil without Options.Webhooks
}

func newFeeding(l *Ledger, state jetstream.KeyValue) *feeding {
	o := l.s.o
	f := &feeding{
		feed: consumers.NewFeed(consumers.FeedOptions{
			Ledger: l, JS: l.s.store.JetStream(), State: state, Replicas: l.s.store.Replicas(), Logger: o.Logger, Turns: l.s.turns,
		}),
		subscribers: consumers.NewSubscribers(consumers.SubscribersOptions{Ledger: l, State: state, TimeOf: l.recordedAt, Now: o.Now}),
	}
	if o.Webhooks {
		f.courier = consumers.NewCourier(consumers.CourierOptions{Feed: f.feed, Subscribers: f.subscribers, Now: o.Now, Logger: o.Logger})
	}
	return f
}

// publish runs the feed until the ledger stops. A log that is not what it was stops the ledger.
func (l *Ledger) publish() {
	err := l.following.feed.Run(l.ctx)
	switch {
	case err == nil || l.ctx.Err() != nil:
	case isFailure(err, domain.Integrity):
		l.fail(err)
	default:
		l.s.o.Logger.Error("the change feed ends", "org", l.Org(), "error", err)
	}
}

// deliver delivers webhooks until the ledger stops.
func (l *Ledger) deliver() {
	if err := l.following.courier.Run(l.ctx); err != nil && l.ctx.Err() == nil {
		l.s.o.Logger.Error("webhooks are not delivered any more", "org", l.Org(), "error", err)
	}
}

// Feed gives the ledger's change feed; nil where Options.Feed did not ask for it.
func (l *Ledger) Feed() *consumers.Feed {
	if l.following == nil {
		return nil
	}
	return l.following.feed
}

// Subscribers gives those of the ledger's change feed; nil where Options.Feed did not ask for it.
func (l *Ledger) Subscribers() *consumers.Subscribers {
	if l.following == nil {
		return nil
	}
	return l.following.subscribers
}

// openState opens where feeds and subscribers keep their state.
func (s *Service) openState(ctx context.Context) (err error) {
	s.state, err = consumers.OpenState(ctx, s.store.JetStream(), s.store.Replicas())
	return err
}
