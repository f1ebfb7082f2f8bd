package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestInterruptedImportLeavesNothing interrupts an import that waits for more of its history. It has read more than
// pipes hold when it is interrupted, so it is well under way.
func TestInterruptedImportLeavesNothing(t *testing.T) {
	data := t.TempDir() + "/d"
	cmd := permledger("import", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", "-")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 4000)
	for i := range 900 { // 3.6 MB, and no end of file
		if _, err := fmt.Fprintf(in, `{"at":"2026-01-05T09:00:00Z","type":"account.opened","actor":"professional:root","data":{"account":"client:c%d","display_name":%q}}`+"\n", i, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(data); err != nil {
		t.Fatalf("the data directory of an import under way: %v, want it there", err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(errs.String(), "interrupted; nothing was recorded") {
		t.Errorf("interrupted import: exit code %d, stderr %q, want 5 and that nothing was recorded", code, &errs)
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory after an interrupted import: %v, want it gone", err)
	}
}
