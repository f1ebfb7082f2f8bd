package consumers

// Where feeds and subscribers keep their state: one key-value bucket for all ledgers of a server.

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// OpenState opens the bucket, or makes it.
func OpenState(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	return js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "PERMLEDGER_FEEDS", Replicas: replicas})
}
