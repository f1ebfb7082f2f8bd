package main

// What rebuild and verify say to people: the line beside the bar, and, for testdata/script/rebuild.txtar, a projection
// that is not what its log gives.

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
)

// harm puts a client that never was into the live projection of a data directory that nobody has open.
func harm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: harm DIR")
	}
	order := *pebble.DefaultComparer // as projections have it
	order.Name = "permledger.fact-seq.1"
	order.Split = func(key []byte) int {
		if n := len(key) - 8; n > 0 && key[n-1] == 0 && key[n] >= 0x80 {
			return n
		}
		return len(key)
	}
	filter := bloom.FilterPolicy(10)
	db, err := pebble.Open(ts.MkAbs(filepath.Join(args[0], "projection")), &pebble.Options{
		Comparer: &order, FormatMajorVersion: pebble.FormatNewest, Filters: map[string]pebble.FilterPolicy{filter.Name(): filter},
	})
	ts.Check(err)
	ts.Check(errors.Join(db.Set([]byte("acme\x00nclient\x00ghost"), []byte{4}, pebble.Sync), db.Close()))
}

func TestWorkLine(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 7, 0, time.UTC)
	for _, c := range []struct {
		state ledger.RebuildState
		want  string
	}{
		{ledger.RebuildState{Phase: ledger.PhaseStarting, Lag: 12}, "starting; live lag 12; 02:00:07"},
		{ledger.RebuildState{Phase: ledger.PhaseReading, Target: 400}, "reading 0/400; live lag 0; 02:00:07"}, // no rate yet
		{ledger.RebuildState{Phase: ledger.PhaseReading, Seq: 8_300_000, Target: 10_000_000, Rate: 43_891, Left: 80.4},
			"reading 8.30M/10.00M, 43.89K/s, 1m20s left; live lag 0; 02:00:07"},
		{ledger.RebuildState{Phase: ledger.PhaseComparing, Seq: 400, Target: 400, Keys: 1500, Lag: 1}, "comparing 1.50K keys; live lag 1; 02:00:07"},
	} {
		c.state.At = at
		got := workLine(c.state, time.UTC)
		if got != c.want {
			t.Errorf("%+v\ngot  %s\nwant %s", c.state, got, c.want)
		}
		if len("[########] ")+len(got) > 80 {
			t.Errorf("%q and its bar do not fit 80 columns", got)
		}
	}
}
