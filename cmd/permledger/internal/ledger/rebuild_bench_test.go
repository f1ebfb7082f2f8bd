package ledger

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkRebuild makes a projection anew: its reading against a bare ordered consumer's in the same run, on either side
// of it, and the whole of it with comparing and swapping. One operation is one event.
//
//	go test -run '^$' -bench Rebuild -benchtime 1000000x ./cmd/permledger/internal/ledger
func BenchmarkRebuild(b *testing.B) {
	l, sum := imported(b, max(1, b.N/10), 3)
	bare := bareRead(b, l)
	b.ResetTimer()
	out, err := l.s.Rebuild(b.Context(), l.Org(), RebuildOptions{}, nil)
	b.StopTimer()
	if err != nil || !out.Swapped {
		b.Fatal(out, err)
	}
	rates(b, sum.Events, time.Duration(out.Reading*float64(time.Second)), min(bare, bareRead(b, l)))
	b.ReportMetric(float64(sum.Events)/out.Seconds, "whole-events/s")
	b.ReportMetric(float64(size(b, filepath.Join(l.s.o.Data, "projection.old")))/(1<<20), "kept-MB")
}

// size adds up the files under a directory, in bytes.
func size(b *testing.B, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, e := d.Info()
			if err = e; err == nil {
				n += info.Size()
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
