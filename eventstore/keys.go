package eventstore

// The keys that personal texts are sealed under, one for each person, kept outside the log so that erasing a key
// erases the texts while every event keeps its bytes. This file never writes an event and never decides whose key a
// text belongs under.
//
// They lie in a stream shaped like a JetStream KV bucket, PERMLEDGER_<org>_KEYS, one message for each key. It is made
// here and not through the client's KV interface, since that forbids deleting a message, and deleting it so that its
// bytes are gone from the files is the point. Reads go to the stream's leader: a replica that is behind would hand out an erased
// key.
//
// The cache: embedded, this process is the only one that erases, so it can know that a cached key stands. With an
// external server another one may erase at any moment; so nothing is cached then, and each use asks the leader.

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	keyBytes = 32 // AES-256
	// sealedForm is the first byte of what Seal makes: the form below it. A change is a new number.
	sealedForm = 1
	// keyMarkBytes of a key's hash go before each sealed text, so that a text under an erased key is told from one
	// that was tampered with, also where the person has a new key since.
	keyMarkBytes = 8
	// cachedKeys bounds each of the cache's two generations: some 10 MB together.
	cachedKeys = 8192
	// bulkCreations is how many new keys wait for their answer at once.
	bulkCreations = 256
	// seenBits is the size of the filter over the accounts that were given a key in bulk: 4 MB, at a million of them
	// one in some three hundred asks the server needlessly.
	seenBits = 1 << 25
)

// Keys is the keyring of one ledger. Its methods may be called concurrently.
type Keys struct {
	s   *Store
	org domain.Org

	mu         sync.Mutex // guards what follows, and is held over a request: one creation of a key at a time
	young, old map[domain.Account]*personKey
	caching    bool
	bulk       *bulk // nil but during an import
}

// personKey is a person's key, ready for use.
type personKey struct {
	raw  []byte
	mark []byte // the first keyMarkBytes of its hash
	aead cipher.AEAD
}

// bulk is how keys are made during an import: without waiting. Nobody else has the ledger, so that an account the
// filter has not seen has no key.
type bulk struct {
	seen    []uint64
	seed    maphash.Seed
	pending []*Pending
	log     *Log
}

func keysBucket(org domain.Org) string { return streamName(org) + "_KEYS" }

func keysStream(org domain.Org) string { return "KV_" + keysBucket(org) }

// Keys gives the ledger's keyring; it is made where there is none yet.
func (l *Log) Keys(ctx context.Context) (*Keys, error) { return l.openKeys(ctx, false) }

func (l *Log) openKeys(ctx context.Context, inBulk bool) (*Keys, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := l.s.js.CreateStream(ctx, jetstream.StreamConfig{
		Name:              keysStream(l.org),
		Description:       "permledger: the keys of the personal texts in the ledger of " + string(l.org),
		Subjects:          []string{"$KV." + keysBucket(l.org) + ".>"},
		Discard:           jetstream.DiscardNew,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Storage:           jetstream.FileStorage,
		Replicas:          l.s.Replicas(),
		Duplicates:        duplicateWindow,
		DenyPurge:         true,
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "opening the keys of %s at %s: %v", l.org, l.s.where(), err)
	}
	if err == nil && l.s.embedded() {
		if err := syncTree(l.s.streamDir(keysStream(l.org))); err != nil {
			return nil, err
		}
	}
	k := &Keys{s: l.s, org: l.org, young: map[domain.Account]*personKey{}, caching: inBulk || l.s.embedded()}
	if inBulk {
		k.bulk = &bulk{seen: make([]uint64, seenBits/64), seed: maphash.MakeSeed(), log: l}
	}
	return k, nil
}

// streamDir is where the embedded server keeps a stream.
func (s *Store) streamDir(stream string) string {
	return filepath.Join(s.opts.Dir, "jetstream", "$G", "streams", stream)
}

// subject is where the account's key lies. An account has characters that a KV key has not.
func (k *Keys) subject(account domain.Account) string {
	return "$KV." + keysBucket(k.org) + "." + base64.RawURLEncoding.EncodeToString([]byte(account))
}

// Key gives the account's key, 32 bytes, making one where there is none: also after it was erased, since a text that
// is written afterwards is a new one. However many servers ask at once, one key is made. During an import it may not
// be stored yet: see Flush.
func (k *Keys) Key(ctx context.Context, account domain.Account) ([]byte, error) {
	key, err := k.obtain(ctx, account)
	if err != nil {
		return nil, err
	}
	return slices.Clone(key.raw), nil
}

// Lookup gives the account's key if it has one.
func (k *Keys) Lookup(ctx context.Context, account domain.Account) (raw []byte, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.find(ctx, account)
	if err != nil || key == nil {
		return nil, false, err
	}
	return slices.Clone(key.raw), true, nil
}

func (k *Keys) obtain(ctx context.Context, account domain.Account) (*personKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bulk != nil && !k.bulk.see(account) {
		return k.createInBulk(ctx, account)
	}
	for {
		key, err := k.find(ctx, account)
		if err != nil || key != nil {
			return key, err
		}
		key, err = k.create(ctx, account)
		if err == nil || !Moved(err) {
			return key, err
		}
		// Somebody else made it between our look and our creation: theirs it is.
	}
}

// find gives the account's key or nil. k.mu is held.
func (k *Keys) find(ctx context.Context, account domain.Account) (*personKey, error) {
	if key := k.cached(account); key != nil {
		return key, nil
	}
	if err := k.flush(ctx); err != nil {
		return nil, err
	}
	raw, _, err := k.read(ctx, account)
	if err != nil || raw == nil {
		return nil, err
	}
	key, err := newKey(raw)
	if err != nil {
		return nil, domain.Errorf(domain.Integrity, "bad_key", "the key of %s in %s: %v", account, k.org, err)
	}
	k.cache(account, key)
	return key, nil
}

// read gets the stored key and its place in the stream; nil and 0 where there is none.
func (k *Keys) read(ctx context.Context, account domain.Account) (raw []byte, seq uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	request, err := json.Marshal(map[string]string{"last_by_subj": k.subject(account)})
	if err != nil {
		return nil, 0, err
	}
	resp, err := k.s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+keysStream(k.org), request)
	if err != nil {
		return nil, 0, k.unavailable("reading the key of", account, err)
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Seq  uint64
			Data []byte
		}
	}
	switch err := json.Unmarshal(resp.Data, &answer); {
	case err != nil:
		return nil, 0, k.unavailable("reading the key of", account, err)
	case answer.Error == nil:
		return answer.Message.Data, answer.Message.Seq, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, nil
	default:
		return nil, 0, k.unavailable("reading the key of", account, answer.Error)
	}
}

// create makes a key and waits until it is stored. An error for which Moved holds: there is one by now.
func (k *Keys) create(ctx context.Context, account domain.Account) (*personKey, error) {
	key, msg, err := k.draw(account)
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err = k.s.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && (refused.ErrorCode == codeWrongLastSequence || refused.ErrorCode == codeWrongLastSequenceConstant) {
		return nil, domain.Errorf(domain.Conflict, "log_moved", "making a key for %s in %s: there is one", account, k.org)
	}
	if err != nil {
		return nil, k.unavailable("making a key for", account, err)
	}
	k.cache(account, key)
	return key, nil
}

func (k *Keys) createInBulk(ctx context.Context, account domain.Account) (*personKey, error) {
	key, msg, err := k.draw(account)
	if err != nil {
		return nil, err
	}
	if len(k.bulk.pending) == bulkCreations {
		if err := k.flush(ctx); err != nil {
			return nil, err
		}
	}
	p := &Pending{log: k.bulk.log, done: make(chan struct{})}
	msg.Reply = k.s.acks.expect(p)
	if err := k.s.nc.PublishMsg(msg); err != nil {
		k.s.acks.take(msg.Reply)
		return nil, k.unavailable("making a key for", account, err)
	}
	k.bulk.pending = append(k.bulk.pending, p)
	k.cache(account, key)
	return key, nil
}

// draw makes a key and the message that stores it, unless there is one for the account.
func (k *Keys) draw(account domain.Account) (*personKey, *nats.Msg, error) {
	raw := make([]byte, keyBytes)
	if err := k.s.random(raw); err != nil {
		return nil, nil, err
	}
	key, err := newKey(raw)
	if err != nil {
		return nil, nil, err
	}
	return key, &nats.Msg{Subject: k.subject(account), Data: raw, Header: nats.Header{nats.ExpectedLastSubjSeqHdr: {"0"}}}, nil
}

// Flush waits until every key that Key and Seal gave is stored. Without an import they are at once.
func (k *Keys) Flush(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.flush(ctx)
}

func (k *Keys) flush(ctx context.Context) error {
	if k.bulk == nil {
		return nil
	}
	for _, p := range k.bulk.pending {
		select {
		case <-p.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.Err(); err != nil {
			return domain.Errorf(domain.Unavailable, "keys_unavailable", "importing the ledger of %s: storing a key: %v", k.org, err)
		}
	}
	k.bulk.pending = k.bulk.pending[:0]
	return nil
}

// Erase deletes the account's key, and its bytes from the files; nothing sealed under it can be read again. Erasing
// what is not there is done already. What lies below the files or beside them still has the key and is the operator's
// to see to: free blocks of the disk, snapshots, backups.
func (k *Keys) Erase(ctx context.Context, account domain.Account) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.flush(ctx); err != nil {
		return err
	}
	delete(k.young, account)
	delete(k.old, account)
	_, seq, err := k.read(ctx, account)
	if err != nil || seq == 0 {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	resp, err := k.s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+keysStream(k.org), fmt.Appendf(nil, `{"seq":%d}`, seq)) // no "no_erase": overwritten
	if err != nil {
		return k.unavailable("erasing the key of", account, err)
	}
	var answer struct{ Error *jetstream.APIError }
	if err := json.Unmarshal(resp.Data, &answer); err != nil {
		return k.unavailable("erasing the key of", account, err)
	}
	if answer.Error != nil {
		// Another server may have been quicker.
		if raw, _, err := k.read(ctx, account); err == nil && raw == nil {
			return nil
		}
		return k.unavailable("erasing the key of", account, answer.Error)
	}
	if k.s.embedded() {
		return syncTree(k.s.streamDir(keysStream(k.org)))
	}
	return nil
}

// Seal encrypts plain, which is the named field of the event and about the account: AES-256-GCM under the account's
// key, bound to all three, as base64url text.
func (k *Keys) Seal(ctx context.Context, account domain.Account, event domain.EventID, field, plain string) (string, error) {
	key, err := k.obtain(ctx, account)
	if err != nil {
		return "", err
	}
	head := 1 + keyMarkBytes + key.aead.NonceSize()
	sealed := make([]byte, head, head+len(plain)+key.aead.Overhead())
	sealed[0] = sealedForm
	copy(sealed[1:], key.mark)
	nonce := sealed[1+keyMarkBytes:]
	if err := k.s.random(nonce); err != nil {
		return "", err
	}
	sealed = key.aead.Seal(sealed, nonce, []byte(plain), boundTo(account, event, field))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Unseal decrypts what Seal made for the same account, event and field. ok is false where the key was erased.
// Errors: Integrity (code "bad_seal") where the text is not as it was sealed, or sealed for something else.
func (k *Keys) Unseal(ctx context.Context, account domain.Account, event domain.EventID, field, sealed string) (plain string, ok bool, err error) {
	bad := func(why string) error {
		return domain.Errorf(domain.Integrity, "bad_seal", "unsealing %s of event %s of %s: %s", field, event, k.org, why)
	}
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", false, bad("it is not base64url text")
	}
	k.mu.Lock()
	key, err := k.find(ctx, account)
	k.mu.Unlock()
	switch {
	case err != nil:
		return "", false, err
	case len(b) < 1+keyMarkBytes || b[0] != sealedForm:
		return "", false, bad("it is not a sealed text")
	case key == nil || string(b[1:1+keyMarkBytes]) != string(key.mark):
		return "", false, nil
	}
	b = b[1+keyMarkBytes:]
	if len(b) < key.aead.NonceSize() {
		return "", false, bad("it was cut")
	}
	nonce, text := b[:key.aead.NonceSize()], b[key.aead.NonceSize():]
	text, err = key.aead.Open(text[:0], nonce, text, boundTo(account, event, field))
	if err != nil {
		return "", false, bad("it was changed, or sealed for another event or field")
	}
	return string(text), true, nil
}

// boundTo is the associated data of a seal. None of the three can hold a zero byte.
func boundTo(account domain.Account, event domain.EventID, field string) []byte {
	return []byte(string(event) + "\x00" + field + "\x00" + string(account))
}

func newKey(raw []byte) (*personKey, error) {
	if len(raw) != keyBytes {
		return nil, fmt.Errorf("it has %d bytes, want %d", len(raw), keyBytes)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("permledger key mark "), raw...))
	return &personKey{raw: raw, mark: sum[:keyMarkBytes], aead: aead}, nil
}

// cached gives the account's key if it is in the cache. k.mu is held.
func (k *Keys) cached(account domain.Account) *personKey {
	if key := k.young[account]; key != nil {
		return key
	}
	key := k.old[account]
	if key != nil {
		k.cache(account, key)
	}
	return key
}

// cache keeps two generations of keys: what was not used while the younger filled up is forgotten. k.mu is held.
func (k *Keys) cache(account domain.Account, key *personKey) {
	if !k.caching {
		return
	}
	if len(k.young) >= cachedKeys {
		k.old, k.young = k.young, make(map[domain.Account]*personKey, cachedKeys)
	}
	k.young[account] = key
}

// see notes the account and says whether it may have been noted before: a Bloom filter of two bits an account.
func (b *bulk) see(account domain.Account) bool {
	h := maphash.String(b.seed, string(account))
	known := true
	for _, bit := range [2]uint64{h % seenBits, (h >> 32) % seenBits} {
		known = known && b.seen[bit/64]&(1<<(bit%64)) != 0
		b.seen[bit/64] |= 1 << (bit % 64)
	}
	return known
}

func (k *Keys) unavailable(attempt string, account domain.Account, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return domain.Errorf(domain.Unavailable, "log_unavailable", "%s %s in %s at %s: %v", attempt, account, k.org, k.s.where(), err)
}
