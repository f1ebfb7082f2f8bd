package projections

// A copy of one organisation's projections as a stream of bytes, for a backup: so that restoring a long log need not mean
// folding it again. This file knows neither where the stream goes nor whether it is the log's: whoever loads one says of
// which log it is and has that checked (Position).
//
// The stream is the position and then every other key in order with its value, without the organisation's prefix. Each of
// these goes as its length, a uvarint, and its bytes. Values keep their format (values.go), which the position says first.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

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
// were beside it. Commits go on meanwhile. Errors: those of w; Incomplete, before anything is written, while an import or
// rebuild is under way; Integrity where the database is damaged.
func (l *Ledger) CopyTo(ctx context.Context, w io.Writer) (p Position, keys int64, err error) {
	pinned, err := l.Pin()
	if err != nil {
		return Position{}, 0, err
	}
	defer pinned.Close()
	if p = pinned.Position(); p.Building || p.Outdated {
		return Position{}, 0, domain.Errorf(domain.Incomplete, "building", "projections of %s: copying them: they are being made; try again when they are level with the log, or back up the log alone", l.org)
	}
	out := bufio.NewWriterSize(w, 256<<10)
	var b []byte
	put := func(parts ...[]byte) error {
		b = b[:0]
		for _, part := range parts {
			b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
		}
		_, err := out.Write(b)
		return err
	}
	err = put(appendPosition(nil, p))
	if err == nil {
		err = pinned.each(ctx, nil, func(key, value []byte) error {
			keys++
			return put(key, value)
		})
	}
	if err == nil {
		err = out.Flush()
	}
	return p, keys, err
}

// Load puts a copy in the place of what is there, as the projections of the stream that is being made: they are not to be
// asked until Bind says so, and after a crash they are made again. It gives the position that the copy was made at and how
// many keys it had. Errors: Malformed, with code "copy_format" for a copy by a program that laid out its values in another
// way, before anything is touched, and "bad_copy" for what is none.
func (l *Ledger) Load(ctx context.Context, stream time.Time, from io.Reader) (made Position, keys int64, err error) {
	bad := func(why error) error {
		return domain.Errorf(domain.Malformed, "bad_copy", "projections of %s: loading a copy of them: after %d keys: %v", l.org, keys, why)
	}
	in := bufio.NewReaderSize(from, 256<<10)
	position, err := readCopied(in, nil)
	switch {
	case err != nil || len(position) == 0:
		return Position{}, 0, bad(errors.New("it has no position"))
	case position[0] != format:
		return Position{}, 0, domain.Errorf(domain.Malformed, "copy_format", "projections of %s: loading a copy of them: it is in format %d, this program reads %d", l.org, position[0], format)
	}
	if made, err = readPosition(position); err != nil {
		return Position{}, 0, bad(errors.New("its position can't be read"))
	}
	if err := l.Wipe(); err != nil {
		return Position{}, 0, err
	}
	if err := l.Bind(stream, true); err != nil {
		return Position{}, 0, err
	}
	batch := l.db.NewBatch()
	defer func() { batch.Close() }()
	var key, value, before []byte
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
		case len(key) == len(l.keys.start) || key[len(l.keys.start)] == keyPosition:
			return Position{}, 0, bad(errors.New("one is empty, or a second position"))
		case string(key) <= string(before):
			return Position{}, 0, bad(errors.New("they are not in order"))
		}
		before = append(before[:0], key...)
		keys++
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
	loaded := made
	loaded.Stream, loaded.Building = stream.UTC(), true
	if err := batch.Set(l.keys.position(nil), appendPosition(nil, loaded), nil); err != nil {
		return Position{}, 0, failure(l.org, "load", err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return Position{}, 0, failure(l.org, "load", err)
	}
	l.mu.Lock()
	l.state.Store(&state{Position: loaded, generation: l.state.Load().generation + 1})
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
