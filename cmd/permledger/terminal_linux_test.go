package main

// What is different on a terminal: colours, rules, wrapping to its width, and a progress bar.

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// onTerminal runs the program on a terminal of so many columns and gives all that it wrote there.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals to give: %v", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("permledger", args...)
	cmd.Stdout, cmd.Stderr = slave, slave
	cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "TZ=UTC"), env...)
	err = cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(master) // ends in EIO when the last writer is gone
	if err := cmd.Wait(); err != nil {
		t.Fatalf("permledger %q: %v\n%s", args, err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

func TestTerminal(t *testing.T) {
	data := t.TempDir() + "/d"
	bar := onTerminal(t, 100, nil, "import", "--data", data, "--org", "acme", "--catalogue", "testdata/roles.yaml", "testdata/history.ndjson")
	if !strings.Contains(bar, "14 events") || !strings.Contains(bar, "KB") {
		t.Errorf("import on a terminal: got %q, want a progress bar with events and bytes", bar)
	}

	check := []string{"check", "professional:anna", "view", "client:c1", "--data", data, "--at", "2026-03-01"}
	for _, c := range []struct {
		env, args []string
		colours   bool
	}{
		{nil, nil, true},
		{[]string{"NO_COLOR=1"}, nil, false},
		{[]string{"TERM=dumb"}, nil, false},
		{nil, []string{"--no-color"}, false},
	} {
		got := onTerminal(t, 100, c.env, append(check, c.args...)...)
		if colours := strings.Contains(got, "\x1b["); colours != c.colours || !strings.Contains(got, "─") || !strings.Contains(got, "Yes") {
			t.Errorf("check on a terminal with %v %v: got %q, want a ruled table, colours: %t", c.env, c.args, got, c.colours)
		}
	}

	for _, columns := range []uint16{60, 90} {
		got := onTerminal(t, columns, []string{"NO_COLOR=1"}, "what", "professional:anna", "--data", data, "--at", "2026-03-01")
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > int(columns) && !strings.HasPrefix(line, "Next: ") {
				t.Errorf("on %d columns: %d in %q, want it wrapped", columns, n, line)
			}
		}
		for _, word := range []string{"access.grant,", "account.open", "therapist"} {
			if !strings.Contains(got, word) {
				t.Errorf("on %d columns: got\n%s\nwant all of the answer, with %q", columns, got, word)
			}
		}
	}
}

// A role catalogue of 21 roles is read on 80 columns too: a matrix that is wider has the roles beside its actions.
func TestCatalogueOnTerminal(t *testing.T) {
	for _, c := range []struct {
		columns   uint16
		catalogue string
		want      []string // lines, by their first words
	}{
		{80, "precision-teaching", []string{
			"on measurement REACH WHO",
			"view all, unless caseload tier_1, tier_2, tier_3, tier_4",
			"on group create_groups", // narrow enough
		}},
		{80, "minddistrict", []string{"on client REACH WHO", "view_record caseload supervisor, therapist", "emergency therapist", "self any client"}},
		{90, "minddistrict", []string{"on client application_ secretary supervisor therapist any any", "manager client friend", "view_record - - caseload caseload self -"}},
		{110, "minddistrict", []string{"on client application_manager secretary supervisor therapist any client any friend"}},
	} {
		got := onTerminal(t, c.columns, []string{"NO_COLOR=1"}, "catalogue", "show", c.catalogue)
		var lines []string
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > int(c.columns) {
				t.Errorf("%s on %d columns: %d in %q, want it to fit", c.catalogue, c.columns, n, line)
			}
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		for _, want := range c.want {
			if !slices.Contains(lines, want) {
				t.Errorf("%s on %d columns: got\n%s\nwant a line %q", c.catalogue, c.columns, got, want)
			}
		}
	}
}
