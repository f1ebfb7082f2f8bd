package consumers

// One try at one delivery, as Standard Webhooks has it: what is posted, how it is signed, what the answer means. When to
// try, and again, is courier.go's.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/permledger/permledger/domain"
)

// The types of delivery.
const (
	TypeChanges     = "permledger.changes"
	TypeMustRefetch = "permledger.must_refetch"
)

// A Delivery is what is posted to a webhook.
type Delivery struct {
	Type      string         `json:"type"`      // TypeChanges or TypeMustRefetch
	Timestamp domain.Instant `json:"timestamp"` // the moment from which on the last of the changes is so
	Data      DeliveryData   `json:"data"`
}

// DeliveryData says what changed. One that must refetch gets its own cursor, and no changes: what comes after it is not
// kept any more. It takes a snapshot and is registered anew with the snapshot's cursor.
type DeliveryData struct {
	Org     domain.Org `json:"org"`
	Cursor  Cursor     `json:"cursor"` // everything that it wants up to here was delivered with this
	Seq     domain.Seq `json:"seq"`    // the event that the changes are of
	Changes []Change   `json:"changes,omitempty"`
}

const (
	secretPrefix = "whsec_"
	secretLeast  = 24 // bytes
	secretMost   = 64
	// tryFor bounds a try, from connecting to the end of the answer.
	tryFor = 15 * time.Second
	// answerMost is how much of an answer's body is read, only so that the connection can be used again.
	answerMost = 4 << 10
)

func newSecret() string {
	var key [32]byte
	rand.Read(key[:])
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// checkSecret never quotes it.
func checkSecret(secret string) error {
	encoded, prefixed := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	again := base64.StdEncoding.EncodeToString(key) // decoding overlooks line breaks
	if !prefixed || err != nil || again != encoded || len(key) < secretLeast || len(key) > secretMost {
		return domain.Errorf(domain.Malformed, "bad_secret", "the webhook's secret: want %s and the base64 of %d to %d random bytes, or none, to be given one", secretPrefix, secretLeast, secretMost)
	}
	return nil
}

// checkTarget tells whether changes may be sent there, and gives the URL as it is shown: without its query, which may be as
// good as a secret. Plain http could be read on its way, so it goes no further than this machine.
func checkTarget(target string) (shown string, err error) {
	bad := func(why string) (string, error) {
		return "", domain.Errorf(domain.Malformed, "bad_url", "the webhook's URL %s: want https://host/path, or http:// with a loopback address", why)
	}
	const most = 2048
	u, err := url.Parse(target)
	switch {
	case err != nil || len(target) > most: // err quotes it
		return bad("can't be read")
	case u.User != nil:
		return bad("holds a user or a password")
	case u.Hostname() == "" || u.Opaque != "":
		return bad("names no host")
	case u.Fragment != "":
		return bad("holds a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return bad("is plain http to another machine")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("is neither https nor http")
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// deliveryID is the webhook-id: the same for every try at what ends at this cursor, also by another server. It has no full
// stop in it, which is what parts it from the rest of what is signed.
func deliveryID(d Delivery, name string) string {
	id := fmt.Sprintf("%s_%s_%s", d.Data.Org, name, strings.ReplaceAll(strings.ReplaceAll(d.Data.Cursor.String(), ".", "-"), "~", "_"))
	if d.Type == TypeMustRefetch {
		id += "_refetch"
	}
	return id
}

// An outcome says how a try ended; the zero outcome: it was taken.
type outcome struct {
	problem string        // what is shown of a failure: never the URL, what was sent or what was answered
	gone    bool          // it wants no more, ever
	after   time.Duration // how long it asks to wait; 0: it doesn't say
}

// post tries once. An error means that there was no try at all.
func post(ctx context.Context, client *http.Client, now time.Time, r record, d Delivery) (outcome, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return outcome{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Target, bytes.NewReader(body))
	if err != nil {
		_, err = checkTarget(r.Target)
		return outcome{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "permledger")
	if err := sign(req.Header, r.Secret, deliveryID(d, r.Name), now, body); err != nil {
		return outcome{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return outcome{problem: problemOf(err)}, ctx.Err()
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, answerMost) // the status has said it all
	return outcomeOf(res, now), nil
}

// sign sets the three headers of Standard Webhooks. The time is the try's: receivers refuse what is long past.
func sign(h http.Header, secret, id string, at time.Time, body []byte) error {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil { // it may quote the secret
		return domain.Errorf(domain.Integrity, "bad_secret", "sign the delivery %s: the secret that is kept can't be read: register the webhook anew", id)
	}
	signature, err := signer.Sign(id, at, body)
	if err != nil {
		return fmt.Errorf("sign the delivery %s: %w", id, err)
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

func outcomeOf(res *http.Response, now time.Time) outcome {
	status := res.StatusCode
	o := outcome{problem: fmt.Sprintf("it answered %d", status)}
	switch {
	case status >= 200 && status < 300:
		return outcome{}
	case status == http.StatusGone:
		o.gone = true
	case status >= 300 && status < 400:
		o.problem += ", and redirects are not followed"
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		o.after = retryAfter(res.Header.Get("Retry-After"), now)
	}
	return o
}

// retryAfter reads seconds or a date; 0 where it is neither, or past.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// problemOf names the kind of error: its own text may quote the URL, or what was answered.
func problemOf(err error) string {
	var timeout net.Error
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	case errors.As(err, &dns):
		return "its host's name is not known"
	case errors.As(err, &certificate):
		return "its certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "it broke the connection off"
	}
	return "the request failed"
}
