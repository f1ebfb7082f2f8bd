package api

// What if: check, explain, who and what under a role catalogue that comes with the question, as its body (POST) or as the
// name of a shipped one. Every such answer says by which, and that it is a supposition.

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

// A supposition is the catalogue that a question is to be answered under.
type supposition struct {
	cat    *domain.Catalogue
	digest string
}

// digestOf is what tells suppositions apart; "" for the catalogue in force.
func (x *supposition) digestOf() string {
	if x == nil {
		return ""
	}
	return x.digest
}

// readSupposition reads the catalogue that the question is to be answered under: the body, or the shipped one that the
// parameter names. nil where there is neither, which only GET may have. Errors: RuleBroken "bad_catalogue" with the lines of
// a document that is none.
func readSupposition(w http.ResponseWriter, r *http.Request, p params) (*supposition, error) {
	var document []byte
	if r.Method == http.MethodPost {
		var err error
		if document, err = readDocument(w, r); err != nil {
			return nil, err
		}
	}
	name := p["catalogue"]
	switch {
	case len(document) > 0 && name != "":
		return nil, domain.Errorf(domain.Malformed, "two_catalogues", "query parameter catalogue %q: the body is a catalogue too; send one of them", clip(name))
	case name != "":
		var err error
		if document, err = catalogues.Document(name); err != nil {
			return nil, domain.Errorf(domain.Malformed, "unknown_catalogue", "query parameter catalogue %q: the shipped ones are %s; send another as the body of a POST", clip(name), strings.Join(catalogues.Names(), ", "))
		}
	case r.Method == http.MethodPost && len(document) == 0:
		return nil, domain.Errorf(domain.Malformed, "missing_catalogue", "body: it is empty; a POST asks under another catalogue: send it as the body, or name a shipped one: catalogue")
	case r.Method != http.MethodPost:
		return nil, nil
	}
	cat, err := domain.ParseCatalogue(document)
	if err != nil {
		return nil, err
	}
	return &supposition{cat, domain.Digest(document)}, nil
}

// readDocument reads a YAML body whole; nothing where there is none.
func readDocument(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	document, err := io.ReadAll(http.MaxBytesReader(w, r.Body, domain.MaxDocument))
	if _, ok := err.(*http.MaxBytesError); ok {
		return nil, refusal{status: http.StatusRequestEntityTooLarge, code: "too_large",
			detail: fmt.Sprintf("the body is larger than %d bytes; no role catalogue is", domain.MaxDocument)}
	} else if err != nil {
		return nil, bodyError(err)
	}
	if len(document) == 0 {
		return nil, nil
	}
	media, attributes, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := attributes["charset"]; err != nil || media != "application/yaml" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: fmt.Sprintf("Content-Type %q: want application/yaml, for a role catalogue", clip(r.Header.Get("Content-Type")))}
	}
	return document, nil
}

// suppose makes the asking one under another catalogue; nil changes nothing.
func (a *asking) suppose(x *supposition) error {
	if x == nil {
		return nil
	}
	inForce, err := a.Fact(domain.Fact{Family: domain.FamilyCatalogue, Subject: domain.CatalogueRef})
	if err != nil {
		return err
	}
	iv, _ := inForce.At(a.At)
	a.supposed, a.inForce = x, strings.HasSuffix(iv.Detail, " "+x.digest)
	a.own = a.ev.Catalogue()
	a.reader = domain.WhatIf(a.Asked, x.cat)
	a.ev, err = domain.NewEvaluator(a.reader, a.At)
	return err
}

// under names the catalogue that was supposed; nil where none was.
func (a *asking) under() *catalogueRef {
	if a.supposed == nil {
		return nil
	}
	return &catalogueRef{Name: a.supposed.cat.Name, Digest: a.supposed.digest, WhatIf: true, InForce: a.inForce}
}
