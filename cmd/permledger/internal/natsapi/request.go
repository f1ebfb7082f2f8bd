package natsapi

// From a request to HTTP's question and from its answer to a message. Nothing here knows which parameters there are.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// ask has HTTP answer.
func (s *Service) ask(req micro.Request, question string) answer {
	ctx, cancel := context.WithTimeout(s.ctx, answerWait)
	defer cancel()
	id := requestID(req.Headers())
	query, err := readQuery(req.Data())
	if err != nil {
		return problem(id, http.StatusBadRequest, "bad_json", "malformed", err.Error())
	}
	org := strings.Split(req.Subject(), ".")[1]
	path := "http://in-process/orgs/" + url.PathEscape(org) + "/" + question + "?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return s.failed(id, err)
	}
	if id != "" {
		r.Header.Set(requestIDHeader, id)
	}
	resp, err := s.o.HTTP.RoundTrip(r)
	if err != nil {
		return s.failed(id, err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, id: resp.Header.Get(requestIDHeader), media: resp.Header.Get("Content-Type")}
	// One byte more than fits is enough to see that it doesn't.
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, s.o.Conn.MaxPayload()+1)); err != nil {
		return s.failed(a.id, err)
	}
	return a
}

// failed is the answer where there is none to the end, as when the service stops meanwhile.
func (s *Service) failed(id string, err error) answer {
	s.o.Logger.Warn("answering over NATS", "error", err, "request_id", id)
	return problem(id, http.StatusServiceUnavailable, "not_answered", "unavailable", "the question could not be answered to the end: ask again")
}

// message is the answer as it is sent.
func (a answer) message(to string) *nats.Msg {
	msg := &nats.Msg{Subject: to, Data: a.body, Header: nats.Header{"Content-Type": {a.media}}}
	if a.id != "" {
		msg.Header.Set(requestIDHeader, a.id)
	}
	if a.status != http.StatusOK {
		msg.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(a.status))
		msg.Header.Set(micro.ErrorHeader, a.detail())
	}
	return msg
}

// detail is the problem's, in a sentence.
func (a answer) detail() string {
	var p struct{ Detail string }
	if json.Unmarshal(a.body, &p) != nil || p.Detail == "" {
		return http.StatusText(a.status)
	}
	return p.Detail
}

// requestID reads X-Request-ID, however it is written: NATS tells the cases of headers apart and HTTP does not.
func requestID(headers micro.Headers) string {
	for name, values := range headers {
		if strings.EqualFold(name, requestIDHeader) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// readQuery reads an object of names and values, each name once.
func readQuery(body []byte) (url.Values, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("request: want JSON in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New(`request: want a JSON object of a question's parameters, e.g. {"action":"view_record","resource":"client:c1"}`)
	}
	query := url.Values{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, notJSON(d, err)
		}
		value, err := d.Token()
		if err != nil {
			return nil, notJSON(d, err)
		}
		field := name.(string) // the decoder lets nothing else stand there
		if _, twice := query[field]; twice {
			return nil, fmt.Errorf("request: field %q stands there twice, the second time before byte %d", clip(field), d.InputOffset())
		}
		switch v := value.(type) {
		case string:
			query.Set(field, v)
		case json.Number:
			query.Set(field, v.String())
		case bool:
			query.Set(field, strconv.FormatBool(v))
		default:
			return nil, fmt.Errorf("request: field %q: want a string, a number, or true or false", clip(field))
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, notJSON(d, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("request: something follows the object at byte %d", d.InputOffset())
	}
	return query, nil
}

func notJSON(d *json.Decoder, err error) error {
	return fmt.Errorf("request: not JSON at byte %d: %v", d.InputOffset(), err)
}

// clip bounds what somebody sent before it is quoted in an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
