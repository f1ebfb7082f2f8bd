package api

// Pages. A token carries the whole question, its moments and the last result given, so that the pages of an answer are one
// answer, whatever is recorded between them. It is no secret and gives no right: who can send one could ask the question.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/permledger/permledger/domain"
)

// pageVersion is the form of tokens. One of another version is refused: tokens are not kept.
const pageVersion = 1

// A page is where an answer goes on. The zero page is the first.
type page struct {
	Version int             `json:"v"`
	Org     domain.Org      `json:"org"`
	Of      string          `json:"of"` // the endpoint
	Q       json.RawMessage `json:"q"`  // the question, as the endpoint writes it
	At      domain.Instant  `json:"at"`
	Known   domain.Seq      `json:"known"`
	Last    string          `json:"last"` // the last result given
	// Supposed is the digest of the catalogue that the question was to be answered under; "" for the one in force.
	Supposed string `json:"supposed,omitempty"`
}

// parsePage reads a token of the endpoint for the path's organisation.
func parsePage(r *http.Request, of, token string) (pg page, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return page{}, badPage()
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&pg); err != nil || d.More() {
		return page{}, badPage()
	}
	if pg.Version != pageVersion || pg.Of != of || pg.Org != domain.Org(r.PathValue("org")) || pg.Last == "" || pg.At == 0 || pg.Known == 0 {
		return page{}, badPage()
	}
	return pg, nil
}

func badPage() error {
	return domain.Errorf(domain.Malformed, "bad_page", "page token: it is none that this endpoint gave; begin again without one")
}

// query gives the AuthZEN question that the page is of.
func (pg page) query() (q query, err error) {
	if json.Unmarshal(pg.Q, &q) != nil {
		err = badPage()
	}
	return q, err
}

// token writes the page.
func (pg page) token() string {
	pg.Version = pageVersion
	return base64.RawURLEncoding.EncodeToString(marshal(pg))
}

// next gives the token of the page after last.
func (pg page) next(a *asking, of string, question any, last string) string {
	return page{Org: a.l.Org(), Of: of, Q: marshal(question), At: a.At, Known: a.KnownAt(), Last: last, Supposed: a.supposed.digestOf()}.token()
}

// ask opens the ledger at the page's moments, or, on the first page, at those given.
func (pg page) ask(s *server, r *http.Request, at, knownAt string) (*asking, error) {
	if pg.Last == "" {
		return s.ask(r, at, knownAt)
	}
	return s.ask(r, pg.At.String(), strconv.FormatUint(uint64(pg.Known), 10))
}

// supposition reads the catalogue to answer under, which has to be the one that the pages before were answered under.
func (pg page) supposition(w http.ResponseWriter, r *http.Request, p params) (*supposition, error) {
	x, err := readSupposition(w, r, p)
	if err == nil && pg.Last != "" && x.digestOf() != pg.Supposed {
		err = domain.Errorf(domain.Malformed, "page_mismatch", "page: the pages before were answered under %s, and not under %s; go on as it began", catalogueNamed(pg.Supposed), catalogueNamed(x.digestOf()))
	}
	return x, err
}

func catalogueNamed(digest string) string {
	if digest == "" {
		return "the catalogue in force"
	}
	return "the catalogue with digest " + clip(digest)
}

// readPage reads the parameters of a question that is paged by "page". The token may be sent alone, or with the
// question as it was.
func readPage(r *http.Request, of string, names ...string) (params, page, error) {
	p, err := readParams(r, append(names, "page")...)
	if err != nil || p["page"] == "" {
		return p, page{}, err
	}
	pg, err := parsePage(r, of, p["page"])
	if err != nil {
		return nil, page{}, err
	}
	delete(p, "page")
	q := make(params)
	if err := json.Unmarshal(pg.Q, &q); err != nil {
		return nil, page{}, badPage()
	}
	for name := range maps.Keys(p) {
		if p[name] != q[name] {
			return nil, page{}, domain.Errorf(domain.Malformed, "page_mismatch", "query parameter %s: the page is of a question with another; send the page alone, or the question as it was", name)
		}
	}
	return q, pg, nil
}
