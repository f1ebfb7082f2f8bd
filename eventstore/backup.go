package eventstore

// What a backup needs of a store beyond reading a log through: all keys of a ledger at once, and putting them back while a
// ledger is restored. A restore is an import (import.go) of events that were recorded before: the same mark, the same commit
// point, the same sequences. This file knows no file format.
//
// JetStream has a snapshot of its own. It is not used: what it gives is the server's files, which only a server of that
// kind can read, so that nothing in it could be checked without restoring it; and a stream restored from it says that it
// was created when the lost one was, so that nobody would notice that it is another.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// keysPause is how long no key may come before the stream's leader is asked whether there is another: what was to come may
// have been erased.
const keysPause = time.Second

// StoredKey is a person's key as a backup keeps it. Whoever has it reads that person's texts.
type StoredKey struct {
	Account domain.Account
	Raw     []byte // 32 bytes
}

// All gives every key that there is, each once, in the order in which they were made. One that is made or erased meanwhile
// may be among them or not. The last pair holds the error if there is one: Unavailable, or Integrity (code "bad_key").
func (k *Keys) All(ctx context.Context) iter.Seq2[StoredKey, error] {
	return func(yield func(StoredKey, error) bool) {
		if err := k.all(ctx, func(key StoredKey) bool { return yield(key, nil) }); err != nil {
			yield(StoredKey{}, err)
		}
	}
}

func (k *Keys) all(ctx context.Context, yield func(StoredKey) bool) error {
	// A consumer may run on a replica that is behind, and may wait for what is erased before it comes. So only the leader
	// says when there is no more.
	if more, err := k.after(ctx, 0); err != nil || !more {
		return err
	}
	name := keysStream(k.org)
	c, err := k.s.js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		InactiveThreshold: time.Minute,
		MaxResetAttempts:  1,
	})
	if err != nil {
		return k.unread(err)
	}
	m, err := c.Messages(jetstream.PullMaxMessages(readWindow))
	if err != nil {
		return k.unread(err)
	}
	defer func() {
		m.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if info := c.CachedInfo(); info != nil && k.s.nc.IsConnected() {
			_ = k.s.js.DeleteConsumer(ctx, name, info.Name) // it goes by itself if this fails
		}
	}()
	for last := uint64(0); ; {
		period, cancel := context.WithTimeout(ctx, keysPause)
		msg, err := m.Next(jetstream.NextContext(period))
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return k.unread(err)
		}
		pending := uint64(0)
		if err == nil {
			meta, err := msg.Metadata()
			if err != nil {
				return k.unread(err)
			}
			key, err := k.stored(msg.Subject(), msg.Data())
			if err != nil {
				return err
			}
			if !yield(key) {
				return nil
			}
			last, pending = meta.Sequence.Stream, meta.NumPending
		}
		if pending > 0 {
			continue
		}
		if more, err := k.after(ctx, last); err != nil || !more {
			return err
		}
	}
}

// after asks the stream's leader whether there is a key stored after the one at seq.
func (k *Keys) after(ctx context.Context, seq uint64) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":"$KV.%s.>"}`, seq+1, keysBucket(k.org))
	resp, err := k.s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+keysStream(k.org), request)
	if err != nil {
		return false, k.unread(err)
	}
	var answer struct{ Error *jetstream.APIError }
	switch err := json.Unmarshal(resp.Data, &answer); {
	case err != nil:
		return false, k.unread(err)
	case answer.Error == nil:
		return true, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return false, nil
	}
	return false, k.unread(answer.Error)
}

// stored reads the key off a message of the stream.
func (k *Keys) stored(subject string, raw []byte) (StoredKey, error) {
	bad := func(why string) error {
		return domain.Errorf(domain.Integrity, "bad_key", "reading the keys of %s: %s", k.org, why)
	}
	name, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(subject, "$KV."+keysBucket(k.org)+"."))
	if err != nil {
		return StoredKey{}, bad("one is under a name that is no account's")
	}
	account, err := domain.ParseAccount(string(name))
	if err != nil {
		return StoredKey{}, bad("one is under a name that is no account's")
	}
	if len(raw) != keyBytes {
		return StoredKey{}, bad(fmt.Sprintf("one has %d bytes, want %d", len(raw), keyBytes))
	}
	return StoredKey{Account: account, Raw: raw}, nil
}

func (k *Keys) unread(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "reading the keys of %s at %s: %v", k.org, k.s.where(), err)
}

// AddKey puts a key back that was backed up, without waiting: Commit does. Each account has one.
func (im *Importer) AddKey(ctx context.Context, key StoredKey) error {
	k := im.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(key.Raw) != keyBytes {
		return domain.Errorf(domain.Malformed, "bad_key", "restoring a key of %s: it has %d bytes, want %d", k.org, len(key.Raw), keyBytes)
	}
	if len(k.bulk.pending) == bulkCreations {
		if err := k.flush(ctx); err != nil {
			return err
		}
	}
	p := &Pending{log: k.bulk.log, done: make(chan struct{})}
	msg := &nats.Msg{Subject: k.subject(key.Account), Data: key.Raw, Header: nats.Header{nats.ExpectedLastSubjSeqHdr: {"0"}}}
	msg.Reply = k.s.acks.expect(p)
	if err := k.s.nc.PublishMsg(msg); err != nil {
		k.s.acks.take(msg.Reply)
		return domain.Errorf(domain.Unavailable, "log_unavailable", "restoring the keys of %s at %s: %v", k.org, k.s.where(), err)
	}
	k.bulk.see(key.Account)
	k.bulk.pending = append(k.bulk.pending, p)
	return nil
}
