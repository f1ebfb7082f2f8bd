package projections

// Copies: what is loaded is what was copied, and what is no copy is refused.

import (
	"bytes"
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
	if _, keys, err := from.CopyTo(t.Context(), &whole); err != nil || keys != 1 {
		t.Fatalf("CopyTo: %d keys, %v, want the position alone", keys, err)
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"cut in a key":        {5, 'a'},
		"cut before a value":  {1, 'a'},
		"cut in a value":      whole.Bytes()[:whole.Len()-1],
		"without a position":  {1, 'a', 0},
		"a key twice":         append(bytes.Clone(whole.Bytes()), whole.Bytes()...),
		"out of order":        {1, 'b', 0, 1, 'a', 0},
		"a length beyond all": {0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"a newer format":      {1, 'p', 3, format + 1, 0, 0},
	} {
		_, _, err := to.Load(t.Context(), bytes.NewReader(b))
		wantFailure(t, name, err, domain.Malformed)
		if pos := to.Position(); !pos.Building {
			t.Errorf("%s: after it the position is %+v, want one that is not to be asked", name, pos)
		}
	}
	p, keys, err := to.Load(t.Context(), &whole)
	if err != nil || keys != 1 || !p.Stream.Equal(made) || p.Building {
		t.Fatalf("Load gave %+v, %d keys, %v", p, keys, err)
	}
	if pos := to.Position(); !pos.Stream.Equal(stream) || !pos.Building {
		t.Errorf("after it the position is %+v, want the stream it was bound to, and building", pos)
	}
	var b bytes.Buffer
	_, _, err = to.CopyTo(t.Context(), &b)
	wantFailure(t, "copying what is being made", err, domain.Incomplete)
}
