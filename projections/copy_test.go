package projections

// Copies: what is loaded is what was copied, and what is no copy is refused.

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

func TestLoadRefusesWhatIsNoCopy(t *testing.T) {
	db, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	from, err := db.Ledger("from")
	if err != nil {
		t.Fatal(err)
	}
	made := time.Unix(1, 2).UTC()
	if err := from.Bind(made, false); err != nil {
		t.Fatal(err)
	}
	to, err := db.Ledger("to")
	if err != nil {
		t.Fatal(err)
	}
	stream := time.Unix(3, 4).UTC()
	if err := to.Bind(stream, true); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, keys, err := from.CopyTo(t.Context(), &whole); err != nil || keys != 0 {
		t.Fatalf("CopyTo: %d keys, %v, want the position alone", keys, err)
	}
	position := whole.Bytes()
	with := func(b ...byte) []byte { return append(bytes.Clone(position), b...) }
	for name, b := range map[string][]byte{
		"nothing":               nil,
		"an empty position":     {0},
		"cut in the position":   position[:len(position)-1],
		"a position cut before": append([]byte{position[0] - 1}, position[1:len(position)-1]...),
		"cut in a key":          with(5, 'a'),
		"cut before a value":    with(1, 'a'),
		"cut in a value":        with(1, 'a', 2, 'x'),
		"an empty key":          with(0, 0),
		"a second position":     with(1, 'p', 0),
		"a key twice":           with(1, 'a', 0, 1, 'a', 0),
		"out of order":          with(1, 'b', 0, 1, 'a', 0),
		"a length beyond all":   with(0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		_, _, err := to.Load(t.Context(), stream, bytes.NewReader(b))
		wantFailure(t, name, err, domain.Malformed)
		if pos := to.Position(); !pos.Building {
			t.Errorf("%s: after it the position is %+v, want one that is not to be asked", name, pos)
		}
	}
	for _, other := range []byte{format - 1, format + 1} {
		_, _, err := to.Load(t.Context(), stream, bytes.NewReader([]byte{3, other, 0, 0}))
		var e *domain.Error
		if !errors.As(err, &e) || e.Code != "copy_format" {
			t.Errorf("a copy in format %d: got %v, want copy_format", other, err)
		}
	}
	p, keys, err := to.Load(t.Context(), stream, &whole)
	if err != nil || keys != 0 || !p.Stream.Equal(made) || p.Building {
		t.Fatalf("Load gave %+v, %d keys, %v", p, keys, err)
	}
	if pos := to.Position(); !pos.Stream.Equal(stream) || !pos.Building {
		t.Errorf("after it the position is %+v, want the stream it was made for, and building", pos)
	}
	var b bytes.Buffer
	_, _, err = to.CopyTo(t.Context(), &b)
	wantFailure(t, "copying what is being made", err, domain.Incomplete)
	if b.Len() > 0 {
		t.Errorf("copying what is being made wrote %d bytes", b.Len())
	}
}
