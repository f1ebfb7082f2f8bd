package consumers

// The stream of a feed: its name and settings, what a message in it looks like, finding or making it, where publishing
// goes on, and reading messages by their place. This file never publishes a change.
//
// What is relied on: the stream is a function of the log. Its messages are the changes of all events after the one that
// it began after, in order, and nothing else; so message n is the same change whoever publishes it and however often, and
// one that was lost may be published again in its place. Hence no checkpoints in it, no message of anybody else's, and no
// deleting of single messages.
//
// With one replica it is written asynchronously (jetstream.AsyncPersistMode), or an embedded server, which syncs every
// write for the ledger's sake, would sync each change too, and the feed would slow commands down. What nats-server 2.15
// does then (filestore.go, stream.go, consumer.go):
//
//   - A message is acknowledged, and given to consumers, once it is in the write cache of the last block. A loop writes that
//     out when there are 16 KB or after some 8 ms, without a sync; blocks are synced every two minutes, and all is
//     written at a graceful stop. So kill -9 loses some milliseconds, a power cut up to two minutes.
//   - On the next start the store recovers to the last whole record; since it writes asynchronously it does not put a
//     tombstone at the last sequence that its index remembers, so the sequences of what was lost are given out again.
//   - A consumer with one replica whose state is ahead of the stream is put back to the stream's end (reconcileStateWithStream)
//     and gets the changes that are published again: those it may have had, at the same sequences with the same ids. A
//     consumer that begins at a sequence beyond the end waits for it, without being told of what comes before.
//   - What a reader was given and the stream then lost is no harm: the log has it, and it comes again as the same change.
//
// A replicated stream writes in the ordinary way: the mode is refused for it, and its log of proposals keeps the tail.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	// What a stream's metadata says: which log it is of, and after which event it began.
	logKey  = "permledger-log"
	fromKey = "permledger-from"

	// previousHeader has the cursor of the change before, or what the stream began after: whoever has followed up to that
	// has missed nothing.
	previousHeader = "Permledger-Previous"

	// duplicateWindow is how long the server refuses an id that it has seen. Exactness comes from the expected sequence,
	// and each id in the window costs memory.
	duplicateWindow = time.Second

	// A new stream begins with the changes of the last mostAtFirst events: a ledger of many years is not published whole.
	mostAtFirst = 1_000_000

	defaultAge  = 30 * 24 * time.Hour
	defaultSize = 1 << 30
)

func changesName(org domain.Org) string { return "PERMLEDGER_" + string(org) + "_CHANGES" }

func changesSubject(org domain.Org) string { return "permledger." + string(org) + ".change." }

// sizeLimit is a size as the server has it, for which no limit is -1.
func sizeLimit(size int64) int64 {
	if size == 0 {
		return -1
	}
	return size
}

// A stream is one that was found, over one connection.
type stream struct {
	js         jetstream.Stream
	made       time.Time // with the name, which one it is
	from       Cursor    // what it began after
	info       *jetstream.StreamInfo
	reconnects uint64 // how often the connection had been renewed
}

// establish finds the stream or makes it, and makes anew what is of another log.
func (f *Feed) establish(ctx context.Context) (*stream, error) {
	s := &stream{reconnects: f.o.JS.Conn().Stats().Reconnects}
	var err error
	if s.js, err = f.o.JS.Stream(ctx, changesName(f.org)); err == nil && s.js.CachedInfo().Config.Metadata[logKey] != f.mark {
		f.log.Info("change feed: making it anew, it was of another log", "org", f.org)
		if err := f.o.JS.DeleteStream(ctx, changesName(f.org)); err != nil {
			return nil, f.unavailable("deleting the stream of another log", err)
		}
		err = jetstream.ErrStreamNotFound
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// What it begins after is settled by who makes it: the settings of others differ, so theirs are refused.
		s.js, err = f.o.JS.CreateStream(ctx, f.config())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s.js, err = f.o.JS.Stream(ctx, changesName(f.org))
		}
	}
	if err != nil {
		return nil, f.unavailable("finding its stream", err)
	}
	s.info = s.js.CachedInfo()
	s.made = s.info.Created
	if s.from, err = ParseCursor(s.info.Config.Metadata[fromKey]); err != nil {
		return nil, f.unreadable("its stream does not say where it began", err)
	}
	return s, nil
}

func (f *Feed) config() jetstream.StreamConfig {
	from := Cursor{Mark: f.mark}
	if head := f.o.Ledger.Head(); head > mostAtFirst {
		from.Seq = head - mostAtFirst
	}
	config := jetstream.StreamConfig{
		Name:        changesName(f.org),
		Description: "permledger: who gained and lost what in " + string(f.org) + "; made from the ledger",
		Subjects:    []string{changesSubject(f.org) + ">"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxAge:      defaultAge,
		MaxBytes:    defaultSize,
		Storage:     jetstream.FileStorage,
		Replicas:    f.o.Replicas,
		Duplicates:  duplicateWindow,
		DenyDelete:  true,
		AllowDirect: true,
		Metadata:    map[string]string{logKey: f.mark, fromKey: from.String()},
	}
	if f.o.Replicas == 1 {
		config.PersistMode = jetstream.AsyncPersistMode
	}
	return config
}

// A place is a point in the run of all changes: every change up to the cursor is a message up to the sequence, and the
// other way round.
type place struct {
	cursor Cursor
	stream uint64
	last   Cursor // of the change that is that message, or what the stream began after
}

// through is the event up to which the place has everything.
func (p place) through() domain.Seq {
	if p.cursor.N > 0 {
		return p.cursor.Seq - 1
	}
	return p.cursor.Seq
}

// resume says from which place to go on, and up to which sequence there are messages already: those after the place are
// to be counted, not published.
func (f *Feed) resume(ctx context.Context, s *stream) (place, uint64, error) {
	info, err := s.js.Info(ctx)
	if err == nil && !info.Created.Equal(s.made) {
		err = errors.New("its stream was made anew")
	}
	if err != nil {
		return place{}, 0, f.unavailable("looking at its stream", err)
	}
	have := info.State.LastSeq
	p, revision, err := f.position(ctx, s)
	if err != nil {
		return place{}, 0, err
	}
	lost := p != nil && p.Stream > have // in a crash, some of what it counted
	if lost {
		p = nil
	}
	switch {
	case info.State.Msgs > 0:
		m, err := f.get(ctx, have)
		if err != nil {
			return place{}, 0, err // also where it is not there any more, or not yet there where we asked: look again
		}
		at := place{cursor: m.change.Cursor, stream: have, last: m.change.Cursor}
		if p != nil && p.Stream == have && p.Seq > at.cursor.Seq {
			at.cursor = Cursor{Seq: p.Seq, Mark: f.mark}
		}
		return at, have, nil
	case p != nil:
		return place{cursor: Cursor{Seq: p.Seq, Mark: f.mark}, stream: p.Stream, last: p.Last}, have, nil
	case have == 0 && !lost:
		return place{cursor: s.from, last: s.from}, 0, nil
	}
	// Everything was dropped and nobody knows what it was. All servers have to begin at the same event.
	head := Cursor{Seq: f.o.Ledger.Head(), Mark: f.mark}
	return place{cursor: head, stream: have, last: head}, have, f.agree(ctx, position{Seq: head.Seq, Stream: have, Last: head, Made: s.made}, revision)
}

// A message is a change in the stream.
type message struct {
	change   Change
	previous Cursor // of the change before it, or what the stream began after
	stream   uint64 // its sequence
	bytes    int    // about what it holds in memory
}

func (f *Feed) message(header nats.Header, data []byte, sequence uint64) (message, error) {
	m := message{stream: sequence, bytes: len(data)}
	var err error
	if m.previous, err = ParseCursor(header.Get(previousHeader)); err == nil {
		err = json.Unmarshal(data, &m.change)
	}
	if err != nil {
		return message{}, f.unreadable(fmt.Sprintf("message %d is no change", sequence), err)
	}
	return m, nil
}

func (f *Feed) unreadable(what string, err error) error {
	return domain.Errorf(domain.Integrity, "feed_unreadable", "change feed of %s: %s: %v; delete the stream %s, it is made again from the ledger", f.org, what, err, changesName(f.org))
}

// errNotThere: a message is not in the stream, any more or yet.
var errNotThere = errors.New("no such message")

// get reads the message at a sequence. Errors: errNotThere, Unavailable, Integrity.
func (f *Feed) get(ctx context.Context, sequence uint64) (message, error) {
	ms, err := f.read(ctx, sequence, 1)
	switch {
	case err != nil:
		return message{}, err
	case len(ms) == 0 || ms[0].stream != sequence:
		return message{}, f.unavailable("reading message "+strconv.FormatUint(sequence, 10), errNotThere)
	}
	return ms[0], nil
}

// readBytes bounds what is read at once.
const readBytes = 1 << 20

// read gives up to most messages at and after a sequence that are there, stepping over dropped ones; none where there is
// none. It is one request that any replica answers, and leaves nothing behind at the server: readers are many.
func (f *Feed) read(ctx context.Context, sequence uint64, most int) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	attempt := "reading from message " + strconv.FormatUint(sequence, 10)
	nc := f.o.JS.Conn()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, f.unavailable(attempt, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is gone, and it with it
	request := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, sequence, most, readBytes)
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+changesName(f.org), sub.Subject, request); err != nil {
		return nil, f.unavailable(attempt, err)
	}
	var ms []message
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, f.unavailable(attempt, err)
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204", "404": // the end of the batch; nothing there
			return ms, nil
		default:
			return nil, f.unavailable(attempt, fmt.Errorf("status %s: %s", status, msg.Header.Get("Description")))
		}
		at, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return nil, f.unavailable(attempt, err)
		}
		m, err := f.message(msg.Header, msg.Data, at)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
}

// requestWait bounds a question to the server.
const requestWait = 10 * time.Second

func (f *Feed) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	s, err := f.o.JS.Stream(ctx, changesName(f.org))
	if err != nil {
		return nil, f.unavailable("looking at its stream", err)
	}
	return s.CachedInfo(), nil
}
