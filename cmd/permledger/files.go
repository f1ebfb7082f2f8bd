package main

// Files that a caller names: catalogues and values. They are read whole and bounded, never written.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError("reading", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fileError("reading", name, err)
	case int64(len(b)) > limit:
		return nil, domain.Errorf(domain.Malformed, "too_long", "reading %s: it is longer than %d bytes", name, limit)
	}
	return b, nil
}

// fileError says what could not be done with a file. A file that can't be had is wrong usage, not a broken ledger.
func fileError(doing, name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return domain.Errorf(domain.Malformed, "no_file", "%s %s: %v", doing, name, err)
}

// catalogueDocument gives the YAML of a shipped catalogue, or of a file. A shipped one's name wins; ./NAME is the file.
func catalogueDocument(nameOrFile string) ([]byte, error) {
	if slices.Contains(catalogues.Names(), nameOrFile) {
		return catalogues.Document(nameOrFile)
	}
	if _, err := os.Stat(nameOrFile); errors.Is(err, fs.ErrNotExist) {
		return nil, domain.Errorf(domain.Malformed, "unknown_catalogue", "catalogue %q: there is no such file, and the shipped ones are %s", nameOrFile, strings.Join(catalogues.Names(), ", "))
	}
	return readFile(nameOrFile, domain.MaxDocument)
}

// validCatalogue is catalogueDocument, and an error with every mistake in it.
func validCatalogue(nameOrFile string) ([]byte, error) {
	if nameOrFile == "" {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--catalogue is missing; give a file or one of %s", strings.Join(catalogues.Names(), ", "))
	}
	document, err := catalogueDocument(nameOrFile)
	if err == nil {
		_, err = domain.ParseCatalogue(document)
	}
	return document, err
}

// newDirectory makes the directory where it is missing. undo removes it again, with all in it, and does nothing where
// it was there before: of two processes that make it at once only one removes it.
func newDirectory(name string) (undo func() error, err error) {
	err = os.Mkdir(name, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return func() error { return nil }, nil
	case err != nil:
		return nil, fileError("making the data directory", name, err)
	}
	return func() error {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("removing the data directory again: %w", err)
		}
		return nil
	}, nil
}
