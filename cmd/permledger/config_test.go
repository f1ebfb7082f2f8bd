package main

// The example of a configuration file holds what it says: every setting, and nothing that would be refused.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheExampleIsTrue(t *testing.T) {
	example := filepath.Join("..", "..", "deploy", "permledger.yaml")
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	shown := func(path string) map[string]setting {
		out, _ := runs(t, 0, "config", "--config", path, "--json")
		var d struct{ Settings []setting }
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		all := map[string]setting{}
		for _, s := range d.Settings {
			all[s.Name] = s
		}
		return all
	}

	// What it sets to a default is the default.
	defaults := shown(os.DevNull)
	for name, s := range shown(example) {
		if s.From == "file" && name != "data" && s.Value != defaults[name].Value {
			t.Errorf("%s: the example has %v, the default is %v", name, s.Value, defaults[name].Value)
		}
	}

	// With all that it leaves out, it has every setting. One of them goes with no other log than the data directory's.
	whole := regexp.MustCompile(`(?m)^#([a-z-]+: )`).ReplaceAllString(string(text), "$1")
	whole = strings.Replace(whole, "\nnats-listen: ", "\n#nats-listen: ", 1)
	path := filepath.Join(t.TempDir(), "whole.yaml")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range shown(path) {
		if s.From != "file" && name != "nats-listen" && name != "json" { // which this test gives as a flag
			t.Errorf("%s: the example does not mention it", name)
		}
	}
	for _, name := range []string{"nats-listen", "json"} {
		if !strings.Contains(string(text), "\n#"+name+": ") {
			t.Errorf("%s: the example does not mention it", name)
		}
	}
}
