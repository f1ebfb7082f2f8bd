package main

// The one client behind every verb but init, import and serve: it asks the HTTP interface, of a running service or of a
// data directory opened here (inprocess.go). Both ways the same bytes come back, so --json and what people read never
// differ in their facts, and nothing here knows how an answer is made.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

const (
	dialWait = 5 * time.Second
	// headerWait bounds how long a service may think before its answer begins. It is long because a command may be
	// waiting for its turn at the log; the caller can always interrupt.
	headerWait = 2 * time.Minute
)

// client asks one service.
type client struct {
	base  string // scheme and host, without a slash at the end
	http  *http.Client
	org   domain.Org
	close func() error
}

// withClient opens the directory or names the service that the global flags say, finds out which organisation is meant,
// calls do, and closes it again.
func (a *app) withClient(ctx context.Context, do func(*client) error) error {
	return a.withLedgers(ctx, ledger.Options{}, do)
}

// withFeed is withClient for what is about the change feed: a directory that is opened here has its feeds run meanwhile.
func (a *app) withFeed(ctx context.Context, do func(*client) error) error {
	return a.withLedgers(ctx, ledger.Options{Feed: true}, do)
}

// withLedgers is withClient with options for a directory that is opened here.
func (a *app) withLedgers(ctx context.Context, o ledger.Options, do func(*client) error) (err error) {
	c, err := a.client(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	if c.org, err = a.organisation(ctx, c); err != nil {
		return err
	}
	return do(c)
}

func (a *app) client(ctx context.Context, o ledger.Options) (*client, error) {
	if a.global.data != "" && a.global.server != "" {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--data and --server: give one of them, --data to open a directory here, --server to ask a service")
	}
	if a.global.data != "" {
		o.Data, o.Logger, o.Asking, o.Fatal = a.global.data, a.quietLogger(), true, a.fatal
		s, err := ledger.Open(ctx, o)
		if err != nil {
			return nil, err
		}
		h := api.New(api.Options{Service: s, Logger: a.quietLogger()})
		return &client{base: "http://in-process", http: &http.Client{Transport: inProcess{h}}, close: s.Close}, nil
	}
	base := a.global.server
	if base == "" {
		base = defaultServer
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--server %q: want the address of a service, e.g. %s", base, defaultServer)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: dialWait}).DialContext
	t.ResponseHeaderTimeout = headerWait
	return &client{
		base: strings.TrimSuffix(base, "/"), http: &http.Client{Transport: t},
		close: func() error { t.CloseIdleConnections(); return nil },
	}, nil
}

// quietLogger logs what goes wrong beside the answer, on stderr.
func (a *app) quietLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// organisation gives the one of --org, or the only one there is.
func (a *app) organisation(ctx context.Context, c *client) (domain.Org, error) {
	if a.global.org != "" {
		return domain.ParseOrg(a.global.org)
	}
	orgs, err := c.orgs(ctx)
	switch {
	case err != nil:
		return "", err
	case len(orgs) == 0:
		return "", domain.Errorf(domain.Unknown, "no_org", "no organisation has a ledger there yet; make one with permledger init or permledger import")
	case len(orgs) > 1:
		return "", domain.Errorf(domain.Malformed, "which_org", "--org is missing: there is more than one organisation: %s", strings.Join(orgs, ", "))
	}
	return domain.ParseOrg(orgs[0])
}

func (c *client) orgs(ctx context.Context) ([]string, error) {
	body, err := c.ask(ctx, http.MethodGet, "/orgs", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Orgs []string `json:"orgs"`
	}
	return answer.Orgs, read(body, &answer)
}

// path is one of the organisation's paths, with a query.
func (c *client) path(of string, q url.Values) string {
	path := "/orgs/" + string(c.org) + "/" + of
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}

// get asks one of the organisation's questions.
func (c *client) get(ctx context.Context, question string, q url.Values) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, c.path(question, q), nil)
}

// post sends a body to one of the organisation's paths.
func (c *client) post(ctx context.Context, path string, q url.Values, body []byte) ([]byte, error) {
	return c.ask(ctx, http.MethodPost, c.path(path, q), body)
}

// under asks one of the organisation's questions under the role catalogue that the document is.
func (c *client) under(ctx context.Context, question string, q url.Values, document []byte) ([]byte, error) {
	return c.send(ctx, http.MethodPost, c.path(question, q), "application/yaml", document)
}

// ask is send of JSON, where there is a body.
func (c *client) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.send(ctx, method, path, "application/json", body)
}

// send gives the whole body of a 200. It is read to its end before anything is printed, because an answer that was cut
// must not look like one.
func (c *client) send(ctx context.Context, method, path, media string, body []byte) ([]byte, error) {
	answer, err := c.open(ctx, method, path, media, body)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	got, err := io.ReadAll(answer)
	if err != nil {
		return nil, c.cut(ctx, int64(len(got)), err)
	}
	return got, nil
}

// open gives the body of a 200, to be read and closed. Errors: what the service says, as the kind of failure that its
// status stands for; Unreachable where there is no permledger.
func (c *client) open(ctx context.Context, method, path, media string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "--server %q: want the address of a service, e.g. %s", c.base, defaultServer)
	}
	if method == http.MethodPost || method == http.MethodPut {
		req.Header.Set("Content-Type", media)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.cut(ctx, int64(len(got)), err)
	}
	var problem struct {
		Title, Detail, Code string
		Failure             domain.Failure // several share the status 503
	}
	if json.Unmarshal(got, &problem) != nil || problem.Code == "" {
		return nil, domain.Errorf(domain.Unreachable, "not_permledger", "%s answers, but not as permledger does (status %d); give the service's address with --server", c.base, resp.StatusCode)
	}
	if problem.Detail == "" {
		problem.Detail = problem.Title
	}
	return nil, domain.Errorf(failureOf(resp.StatusCode, problem.Failure), problem.Code, "%s", problem.Detail)
}

func (c *client) cut(ctx context.Context, after int64, err error) error {
	return c.unreachable(ctx, fmt.Errorf("the answer was cut after %d bytes: %w", after, err))
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return domain.Errorf(domain.Unreachable, "unreachable", "can't reach %s: %v; start a service with permledger serve --data DIR, name another with --server URL, or open a directory with --data DIR", c.base, err)
}

// read decodes an answer's body.
func read(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return domain.Errorf(domain.Unreachable, "not_permledger", "the answer is not what permledger gives: %v", err)
	}
	return nil
}

// question asks, and prints the body as it is (--json) or what show makes of it.
func (a *app) question(ctx context.Context, name string, q url.Values, show func(s *screen, body []byte) error) error {
	return a.questionUnder(ctx, name, q, nil, show)
}

// questionUnder is question under the role catalogue that the document is; nil is the one in force.
func (a *app) questionUnder(ctx context.Context, name string, q url.Values, document []byte, show func(s *screen, body []byte) error) error {
	return a.withClient(ctx, func(c *client) (err error) {
		var body []byte
		if document == nil {
			body, err = c.get(ctx, name, q)
		} else {
			body, err = c.under(ctx, name, q, document)
		}
		if err != nil {
			return err
		}
		return a.print(body, show)
	})
}

// print prints an answer. show's error may be errNo or Incomplete: with --json it is called too, for that alone.
func (a *app) print(body []byte, show func(s *screen, body []byte) error) error {
	s := a.screen()
	if !a.global.json {
		err := show(s, body)
		if e := s.flush(); e != nil {
			return e
		}
		return err
	}
	if !bytes.HasSuffix(body, []byte("\n")) {
		body = append(body, '\n')
	}
	if _, err := a.out.Write(body); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return show(s, body)
}
