package consumers

// A permledger service as other Go services reach it over HTTP: what asking it, being refused and trying again have in
// common. What is asked is follow.go's and replica.go's.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/permledger/permledger/domain"
)

const (
	// Waits between tries grow from the first to the longest, each between half and all of it at random, so that a
	// thousand followers of a service that went down do not all come back in the same moment.
	firstWait   = 100 * time.Millisecond
	longestWait = 30 * time.Second
	// silence is how long nothing may come before a connection is taken for dead: three heartbeats of the service.
	silence = 45 * time.Second
)

// service is one organisation's ledger at a service.
type service struct {
	org    domain.Org
	base   string // the organisation's URL
	client *http.Client
}

func newService(address string, org domain.Org, client *http.Client) (*service, error) {
	if _, err := domain.ParseOrg(string(org)); err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, domain.Errorf(domain.Malformed, "bad_url", "the service's URL: want its address, e.g. http://127.0.0.1:7420")
	}
	if client == nil {
		client = http.DefaultClient
	}
	return &service{org, strings.TrimSuffix(address, "/") + "/orgs/" + string(org), client}, nil
}

// passing is an error of the network or the service that may be gone next time. Its text names no account, as it is
// logged.
type passing struct {
	text  string
	after time.Duration // how long to wait at least; 0: not said
}

func (e *passing) Error() string { return e.text }

// get asks for one of the organisation's paths.
func (s *service) get(ctx context.Context, path string, q url.Values, media string) (*http.Response, error) {
	return s.do(ctx, http.MethodGet, path+"?"+q.Encode(), media, nil)
}

// do sends a request and gives a 200's answer, whose body has to be closed. Errors: *passing; what the service says, as
// the kind of failure that it is; Unreachable where what answers is no permledger.
func (s *service) do(ctx context.Context, method, path, media string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_url", "asking the service: its URL can't be used: want its address, e.g. http://127.0.0.1:7420")
	}
	req.Header.Set("Accept", media)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, passed(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		if got, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); got != media {
			resp.Body.Close()
			return nil, notPermledger(fmt.Sprintf("gives %q where %s was asked for", clip(got), media))
		}
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refused(resp)
}

// passed is a failure of the connection. What net/http adds to it, the whole URL, is left out: it names accounts.
func passed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return &passing{text: err.Error()}
}

const maxProblem = 64 << 10 // bytes read of a refusal

// refused tells what an answer other than 200 means: 5xx, 408 and 429 pass; the rest does not.
func refused(resp *http.Response) error {
	var p struct {
		Title, Detail, Code string
		Failure             domain.Failure
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what is missing of it shows as no problem
	known := json.Unmarshal(body, &p) == nil && p.Code != ""
	if status := resp.StatusCode; status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests {
		e := &passing{text: "status " + strconv.Itoa(status)}
		if known {
			e.text += ", code " + clip(p.Code)
		}
		if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
			e.after = time.Duration(seconds) * time.Second
		}
		return e
	}
	if !known {
		return notPermledger(fmt.Sprintf("gives status %d", resp.StatusCode))
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	if p.Failure == "" {
		p.Failure = domain.Malformed // a refusal that only HTTP knows of
	}
	return domain.Errorf(p.Failure, p.Code, "%s", p.Detail)
}

func notPermledger(does string) error {
	return domain.Errorf(domain.Unreachable, "not_permledger", "the service %s, which permledger does not: see that the URL is its address and that it is not older than this program", does)
}

// failures counts them, to wait longer after each. The zero value has none.
type failures struct{ n int }

// well forgets them.
func (f *failures) well() { f.n = 0 }

// next is how long to wait before the next try, and at least least.
func (f *failures) next(least time.Duration) time.Duration {
	d := longestWait
	if f.n < 16 {
		d = min(d, firstWait<<f.n)
	}
	f.n++
	return max(least, d/2+rand.N(d/2))
}

// persist does what do does again after each failure that passes, until ctx ends, which is no error, or it fails for good.
func persist(ctx context.Context, log *slog.Logger, f *failures, do func(context.Context) error) error {
	for {
		err := do(ctx)
		var p *passing
		switch {
		case ctx.Err() != nil && (errors.As(err, &p) || errors.Is(err, ctx.Err())):
			return nil
		case !errors.As(err, &p):
			return err
		}
		wait := f.next(p.after)
		log.Warn("the service can't be followed: trying again", "error", p.text, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}
