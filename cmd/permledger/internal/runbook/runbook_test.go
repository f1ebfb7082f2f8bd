package runbook

// Every integrity failure in the sources has a page, every page is there and named, and says which codes it is for.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

const root = "../../../.."

func TestPages(t *testing.T) {
	named := map[string]bool{"README": true}
	for code, page := range pages {
		named[page] = true
		body, err := os.ReadFile(filepath.Join(root, "deploy", "runbooks", page+".md"))
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		if !strings.Contains(string(body), "`"+code+"`") && page != "locked-out" {
			t.Errorf("%s.md does not say that it is for %s", page, code)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "runbooks", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("pages %v (%v)", files, err)
	}
	for _, file := range files {
		if page := strings.TrimSuffix(filepath.Base(file), ".md"); !named[page] {
			t.Errorf("no error names %s.md", page)
		}
	}
}

// TestEveryIntegrityFailureHasAPage reads the calls of domain.Errorf(domain.Integrity, "code", …) in all sources.
func TestEveryIntegrityFailureHasAPage(t *testing.T) {
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			kind, ok := call.Args[0].(*ast.SelectorExpr)
			if !ok || kind.Sel.Name != "Integrity" {
				return true
			}
			found++
			if again, ok := call.Args[1].(*ast.SelectorExpr); ok && again.Sel.Name == "Code" {
				return true // another error's, said again
			}
			literal, ok := call.Args[1].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: an integrity failure whose code is not written out", fset.Position(call.Pos()))
				return true
			}
			code, err := strconv.Unquote(literal.Value)
			if err != nil || Of(domain.Integrity, code) == "" {
				t.Errorf("%s: %s has no page under deploy/runbooks: write one, and name it in package runbook", fset.Position(call.Pos()), literal.Value)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 30 {
		t.Fatalf("only %d integrity failures were found in the sources", found)
	}
}

func TestFor(t *testing.T) {
	if got := For(domain.Errorf(domain.Integrity, "log_gap", "x")); got != "log-gap" {
		t.Errorf("got %q, want log-gap", got)
	}
	if got := For(domain.Errorf(domain.RuleBroken, "no_catalogue", "x")); got != "" {
		t.Errorf("what was asked has page %q, want none", got)
	}
}
