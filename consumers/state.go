package consumers

// Where feeds and subscribers keep their state: one key-value bucket for all ledgers of a server; and what a feed keeps
// there, how far it has computed. Who subscribes is not read or written here.

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// OpenState opens the bucket, or makes it.
func OpenState(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	return js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "PERMLEDGER_FEEDS", Replicas: replicas})
}

// A position says that the changes of all events up to Seq are the messages up to Stream. It is true for ever, of the
// stream that was made at Made, whoever wrote it and however many servers write theirs over one another's: it only spares
// computing again what changed nothing, and says where to go on where every message was dropped.
type position struct {
	Seq    domain.Seq `json:"seq"`
	Stream uint64     `json:"stream"`
	Last   Cursor     `json:"last"` // of the change that is message Stream, or what that stream began after
	Made   time.Time  `json:"made"`
}

func (f *Feed) positionKey() string { return string(f.org) + ".position" }

// position reads what was kept of the stream, nil for nothing, and the revision of the key, 0 for none.
func (f *Feed) position(ctx context.Context, s *stream) (*position, uint64, error) {
	e, err := f.o.State.Get(ctx, f.positionKey())
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, f.unavailable("reading its position", err)
	}
	var p position
	if err := json.Unmarshal(e.Value(), &p); err != nil || !p.Made.Equal(s.made) {
		return nil, e.Revision(), nil // another stream's, or nobody's: as good as none
	}
	return &p, e.Revision(), nil
}

// keep writes the position, whatever was there.
func (f *Feed) keep(ctx context.Context, p position) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := f.o.State.Put(ctx, f.positionKey(), b); err != nil {
		return f.unavailable("keeping its position", err)
	}
	return nil
}

// agree writes the position if nobody wrote one since the revision: of all servers one sets it.
func (f *Feed) agree(ctx context.Context, p position, revision uint64) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = f.o.State.Create(ctx, f.positionKey(), b) // also over one that was deleted
	} else {
		_, err = f.o.State.Update(ctx, f.positionKey(), b, revision)
	}
	if err != nil {
		return f.unavailable("agreeing on where it begins", err)
	}
	return nil
}
