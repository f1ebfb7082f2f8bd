package projections

// A copy of one organisation's projections as a stream of bytes, for a backup: so that restoring a long log need not mean
// folding it again. This file knows neither where the stream goes nor whether it is the log's: whoever loads one says of
// which log it is and has that checked (Position).
//
// The stream is every key of the organisation in order, each as its length, the key without the organisation's prefix, the
// value's length and the value; lengths are uvarints. Values keep their format (values.go), which the position says.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/permledger/permledger/domain"
)

const (
	// loadBatch is how many bytes go into one batch of a load.
	loadBatch = 4 << 20
	// mostCopied bounds a key or value of a copy: a catalogue document is the largest.
	mostCopied = 16 << 20
)

// CopyTo writes the projections as they are at one moment, and gives the position of that moment and how many keys there
// were. Commits go on meanwhile. Errors: those of w; Incomplete while an import or rebuild is under way; Integrity where the
// database is damaged.
func (l *Ledger) CopyTo(ctx context.Context, w io.Writer) (p Position, keys int64, err error) {
	snapshot := l.db.NewSnapshot()
	defer snapshot.Close()
	it, err := snapshot.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: l.keys.start, UpperBound: l.keys.end})
	if err != nil {
		return Position{}, 0, failure(l.org, "copy", err)
	}
	defer it.Close()
	out := bufio.NewWriterSize(w, 256<<10)
	var head []byte
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return Position{}, 0, failure(l.org, "copy", err)
		}
		key := it.Key()[len(l.keys.start):]
		if string(key) == string(keyPosition) {
			if p, err = readPosition(value); err != nil {
				return Position{}, 0, failure(l.org, "copy the position", err)
			}
		}
		head = binary.AppendUvarint(head[:0], uint64(len(key)))
		head = append(head, key...)
		head = binary.AppendUvarint(head, uint64(len(value)))
		_, _ = out.Write(head) // its error comes again at Flush
		if _, err := out.Write(value); err != nil {
			return Position{}, 0, err
		}
		if keys++; keys%10_000 == 0 && ctx.Err() != nil {
			return Position{}, 0, ctx.Err()
		}
	}
	if err := it.Error(); err != nil {
		return Position{}, 0, failure(l.org, "copy", err)
	}
	if p.Building || p.Outdated {
		return Position{}, 0, domain.Errorf(domain.Incomplete, "building", "projections of %s: copying them: they are being made; try again when they are level with the log, or back up the log alone", l.org)
	}
	return p, keys, out.Flush()
}

// Load puts a copy in the place of what is there, and leaves the projections as those of an import under way (Bind): they are
// not to be asked until Bind says otherwise, and after a crash they are made again. It gives the position that the
// copy was made at and how many keys it had. Errors: Malformed (code "bad_copy") for what is no copy.
func (l *Ledger) Load(ctx context.Context, from io.Reader) (p Position, keys int64, err error) {
	stream := l.Position().Stream
	if err := l.Wipe(); err != nil {
		return Position{}, 0, err
	}
	if err := l.Bind(stream, true); err != nil {
		return Position{}, 0, err
	}
	bad := func(why error) error {
		return domain.Errorf(domain.Malformed, "bad_copy", "projections of %s: loading a copy of them: after %d keys: %v", l.org, keys, why)
	}
	in := bufio.NewReaderSize(from, 256<<10)
	batch := l.db.NewBatch()
	defer func() { batch.Close() }()
	var key, value, before, position []byte
	for {
		if key, err = readCopied(in, append(key[:0], l.keys.start...)); errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			value, err = readCopied(in, value[:0])
		}
		switch {
		case errors.Is(err, io.EOF):
			return Position{}, 0, bad(io.ErrUnexpectedEOF)
		case err != nil:
			return Position{}, 0, bad(err)
		case string(key) <= string(before):
			return Position{}, 0, bad(errors.New("its keys are not in order"))
		}
		before = append(before[:0], key...)
		keys++
		if string(key[len(l.keys.start):]) == string(keyPosition) {
			position = append([]byte(nil), value...)
			continue
		}
		if err := batch.Set(key, value, nil); err != nil {
			return Position{}, 0, failure(l.org, "load", err)
		}
		if batch.Len() < loadBatch {
			continue
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			return Position{}, 0, failure(l.org, "load", err)
		}
		batch.Close()
		batch = l.db.NewBatch()
		if err := ctx.Err(); err != nil {
			return Position{}, 0, err
		}
	}
	if p, err = readPosition(position); err != nil || position[0] > format {
		return Position{}, 0, bad(errors.New("it has no position that this program reads"))
	}
	if p.Outdated {
		return Position{}, 0, bad(errors.New("an older program made it, in a format without all that this one asks for"))
	}
	made := p
	p.Stream, p.Building = stream, true
	if err := batch.Set(l.keys.position(nil), appendPosition(nil, p), nil); err != nil {
		return Position{}, 0, failure(l.org, "load", err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return Position{}, 0, failure(l.org, "load", err)
	}
	l.mu.Lock()
	l.state.Store(&state{Position: p, generation: l.state.Load().generation + 1})
	l.mu.Unlock()
	l.head.restart()
	return made, keys, nil
}

// readCopied appends the next length and bytes. io.EOF: there is no more.
func readCopied(in *bufio.Reader, b []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return b, err
	}
	if n > mostCopied {
		return b, fmt.Errorf("a key or value of %d bytes", n)
	}
	at := len(b)
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(in, b[at:]); errors.Is(err, io.EOF) {
		return b, io.ErrUnexpectedEOF
	} else if err != nil {
		return b, err
	}
	return b, nil
}
