package main

// Who may import whom, as the design draws it. This file holds that one rule.

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/permledger/permledger"

// mayImport gives, for each top folder of packages, the top folders that it may import. What is under cmd may import all.
var mayImport = map[string][]string{
	"domain":      {"domain"},
	"eventstore":  {"eventstore", "domain"},
	"projections": {"projections", "domain"},
	"consumers":   {"consumers", "domain"},
	"cmd":         {"cmd", "domain", "eventstore", "projections", "consumers"},
}

func TestImportDirections(t *testing.T) {
	root := filepath.Join("..", "..")
	packages := 0
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || strings.HasPrefix(name, ".") && dir != root {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		var none *build.NoGoError
		if errors.As(err, &none) {
			return nil
		}
		if err != nil {
			return err
		}
		packages++
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		top := topOf(filepath.ToSlash(rel))
		allowed, known := mayImport[top]
		if !known {
			t.Errorf("%s: no package belongs there; the design has %v", rel, mayImport)
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && !slices.Contains(allowed, topOf(ours)) {
				t.Errorf("%s imports %s; %s may import %v of ours", rel, imported, top, allowed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 5 {
		t.Fatalf("only %d packages were looked at", packages)
	}
}

func topOf(path string) string {
	top, _, _ := strings.Cut(path, "/")
	return top
}
