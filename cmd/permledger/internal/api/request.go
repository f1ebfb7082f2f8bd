package api

// Reading requests, strictly: a parameter that is unknown, empty or given twice, and a body of the wrong kind or size, is
// refused and never guessed at. What the values mean is the endpoints' business.

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/permledger/permledger/domain"
)

const (
	maxBody  = 16 << 20 // bytes
	maxLimit = 10_000   // results on a page
)

// params are a request's query parameters, each given once.
type params map[string]string

// readParams reads the query, which may have these parameters and no others.
func readParams(r *http.Request, names ...string) (params, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_query", "query: %v; want name=value pairs joined by &, percent-encoded", err)
	}
	p := make(params, len(values))
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}) {
		switch given := values[name]; {
		case !slices.Contains(names, name) && len(names) == 0:
			return nil, domain.Errorf(domain.Malformed, "unknown_parameter", "query parameter %q: this path takes none", clip(name))
		case !slices.Contains(names, name):
			return nil, domain.Errorf(domain.Malformed, "unknown_parameter", "query parameter %q: this path takes %s", clip(name), strings.Join(names, ", "))
		case len(given) > 1:
			return nil, domain.Errorf(domain.Malformed, "duplicate_parameter", "query parameter %s: given %d times; give it once", name, len(given))
		case given[0] == "":
			return nil, domain.Errorf(domain.Malformed, "bad_parameter", "query parameter %s: is empty; leave it out or give it a value", name)
		default:
			p[name] = given[0]
		}
	}
	return p, nil
}

func (p params) required(name string) (string, error) {
	if p[name] == "" {
		return "", domain.Errorf(domain.Malformed, "missing_parameter", "query parameter %s: is required and missing", name)
	}
	return p[name], nil
}

// account reads an account that must be given.
func (p params) account(name string) (domain.Account, error) {
	s, err := p.required(name)
	if err != nil {
		return "", err
	}
	a, err := domain.ParseAccount(s)
	return a, within(name, err)
}

// optionalAccount reads an account; "" where none is given.
func (p params) optionalAccount(name string) (domain.Account, error) {
	if p[name] == "" {
		return "", nil
	}
	return p.account(name)
}

func (p params) action() (domain.Action, error) {
	s, err := p.required("action")
	if err != nil {
		return "", err
	}
	a, err := domain.ParseAction(s)
	return a, within("action", err)
}

func (p params) resource() (domain.Resource, error) {
	s, err := p.required("resource")
	if err != nil {
		return "", err
	}
	res, err := parseResource(s)
	return res, within("resource", err)
}

// kind reads a kind of account or type of resource; "" where none is given.
func (p params) kind(name string) (domain.Kind, error) {
	if p[name] == "" {
		return "", nil
	}
	k, err := domain.ParseName("kind", p[name])
	return domain.Kind(k), within(name, err)
}

// flag reads true or false; false where it is not given.
func (p params) flag(name string) (bool, error) {
	switch p[name] {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, domain.Errorf(domain.Malformed, "bad_parameter", "query parameter %s %q: want true or false", name, clip(p[name]))
}

// lang reads the language of the answer's sentences; English where none is given.
func (p params) lang() (domain.Lang, error) {
	if p["lang"] == "" {
		return domain.English, nil
	}
	lang, err := domain.ParseLang(p["lang"])
	return lang, within("lang", err)
}

// limit reads how many results are wanted at most, from 1 to max; otherwise where it is not given.
func (p params) limit(otherwise, most int) (int, error) {
	if p["limit"] == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(p["limit"])
	if err != nil || n < 1 || n > most {
		return 0, domain.Errorf(domain.Malformed, "bad_limit", "limit %q: want a whole number from 1 to %d", clip(p["limit"]), most)
	}
	return n, nil
}

// after reads the seq behind which to begin; 0 where it is not given.
func (p params) after() (domain.Seq, error) {
	if p["after"] == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(p["after"], 10, 63)
	if err != nil {
		return 0, domain.Errorf(domain.Malformed, "bad_after", "after %q: want a seq, a whole number from 0", clip(p["after"]))
	}
	return domain.Seq(n), nil
}

// within is at where there may be no error.
func within(where string, err error) error {
	if err == nil {
		return nil
	}
	return at(where, err)
}

// parseResource reads "type:id", and "type:*", which is how answers name a type that is not listed one by one.
func parseResource(s string) (domain.Resource, error) {
	if kind, ok := strings.CutSuffix(s, ":*"); ok {
		if _, err := domain.ParseName("resource", kind); err != nil {
			return "", err
		}
		return domain.Resource(s), nil
	}
	return domain.ParseResource(s)
}

// readBody reads a JSON body whole.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, attributes, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := attributes["charset"]; err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: fmt.Sprintf("Content-Type %q: want application/json", clip(r.Header.Get("Content-Type")))}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, bodyError(err)
	}
	return body, nil
}

// bodyError leaves the error of a body too large to problemOf; any other says that the client did not send it whole.
func bodyError(err error) error {
	if _, ok := err.(*http.MaxBytesError); ok {
		return err
	}
	return domain.Errorf(domain.Malformed, "bad_body", "body: it could not be read to its end: %v", err)
}
