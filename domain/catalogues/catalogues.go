// Package catalogues holds the role catalogues that permledger ships. It owns their documents and nothing else: reading
// one is domain.ParseCatalogue, adopting one is recorded in the ledger with the document whole, so that a later release
// with a changed document changes no ledger.
package catalogues

import (
	"embed"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
)

//go:embed *.yaml
var documents embed.FS

// Names gives the names of the shipped catalogues, sorted. Each document's catalogue: is its name here.
func Names() []string {
	files, err := documents.ReadDir(".")
	if err != nil {
		panic(err) // what is embedded is there
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}

// Document gives the YAML of the shipped catalogue with the name; Unknown where there is none.
func Document(name string) ([]byte, error) {
	if !slices.Contains(Names(), name) {
		return nil, domain.Errorf(domain.Unknown, "unknown_catalogue", "no catalogue %q is shipped; there are %s", name, strings.Join(Names(), ", "))
	}
	return documents.ReadFile(name + ".yaml")
}
