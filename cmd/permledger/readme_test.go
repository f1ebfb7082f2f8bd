package main

// The README's outputs are what the program prints: each command of its console blocks is run, against the demo's ledger
// or, where it names a directory of its own (--data DIR), there.
// After a change, run this test with -update-readme and read what changed.

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/permledger/permledger/cmd/permledger/internal/demo"
)

var updateReadme = flag.Bool("update-readme", false, "rewrite the outputs in README.md")

// asOf is the one line of an answer about now that is another each time.
var asOf = regexp.MustCompile(`(As of|By what was known at) [-0-9]+ [0-9:.]+ CES?T \(UTC\+0\d:00\)`)

func TestReadmeIsTrue(t *testing.T) {
	readme := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if _, err := demo.Write(t.Context(), data, nil); err != nil {
		t.Fatal(err)
	}
	own := t.TempDir() // where the README's own ledgers lie
	blocks := strings.Split(string(text), "```console\n")
	commands := 0
	for i, block := range blocks[1:] {
		shown, rest, ok := strings.Cut(block, "```\n")
		if !ok {
			t.Fatalf("console block %d has no end", i+1)
		}
		var is strings.Builder
		for _, part := range strings.Split("\n"+shown, "\n$ permledger ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			got := printed(line, data, own)
			if !same(line, got, want) && !*updateReadme {
				t.Errorf("permledger %s\nprinted\n%s\nREADME has\n%s", line, got, want)
			}
			if is.Len() > 0 {
				is.WriteString("\n")
			}
			is.WriteString("$ permledger " + line + "\n" + got)
			commands++
		}
		blocks[i+1] = is.String() + "```\n" + rest
	}
	if commands < 10 {
		t.Errorf("README shows %d commands; want its tour of the demo", commands)
	}
	if *updateReadme {
		if err := os.WriteFile(readme, []byte(strings.Join(blocks, "```console\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// printed runs a command of the README on the demo's directory, and gives what a reader with the demo's service would see;
// a command with a ledger of its own runs in the directory own.
func printed(line, data, own string) string {
	args := shellWords(line)
	if !strings.Contains(line, "--data ") {
		args = append(args, "--data", data)
	}
	cmd := permledger(args...)
	cmd.Dir = own
	out, _ := cmd.CombinedOutput() // a no has an exit code
	return strings.ReplaceAll(string(out), " --data "+data, "")
}

// shellWords splits a command line at its spaces, but for those between double quotes.
func shellWords(line string) []string {
	quoted := false
	all := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], `"`, "")
	}
	return all
}

// someTime is any moment that is shown, any secret and any log's mark: in a ledger made by the test, each is another
// every time.
var someTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? (UTC|CES?T)( \(UTC\+0\d:00\))?|whsec_[0-9A-Za-z+/=]+|~[0-9a-f]{8}`)

// same compares an output with the README's, but for the moment of an answer about now.
func same(line, got, want string) bool {
	switch {
	case strings.Contains(line, "--data "):
		got, want = someTime.ReplaceAllString(got, "then"), someTime.ReplaceAllString(want, "then")
	case !strings.Contains(line, "--at "):
		got, want = asOf.ReplaceAllString(got, "$1 now"), asOf.ReplaceAllString(want, "$1 now")
	}
	return strings.TrimSpace(got) == strings.TrimSpace(want)
}
