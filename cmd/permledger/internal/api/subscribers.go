package api

// How the feed stands and who follows it: how far its changes are published and how long they are kept, webhooks and what
// becomes of their deliveries, what followers acknowledge. What is kept about each is package consumers'; nothing here ever
// gives out a secret, but for the one time that a webhook is registered.

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// retention is how long changes are kept, as it is written: {"age":"720h0m0s","size":1073741824}, 0s and 0 being without end.
type retention struct {
	Age  string `json:"age"`
	Size int64  `json:"size"` // bytes
}

// feedAnswer is the answer to how the feed stands.
type feedAnswer struct {
	Org       domain.Org       `json:"org"`
	From      consumers.Cursor `json:"from"`     // the oldest that can be followed
	Position  domain.Seq       `json:"position"` // all changes up to it are published
	Head      domain.Seq       `json:"head"`     // of the ledger
	Lag       domain.Seq       `json:"lag"`      // events between the two
	Changes   uint64           `json:"changes"`  // kept
	Bytes     uint64           `json:"bytes"`    // kept
	Retention retention        `json:"retention"`
}

// feed says how the feed stands.
func (s *server) feed(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	f, err := feedOf(l)
	if err != nil {
		return err
	}
	return writeFeed(w, r, l, f)
}

// retain sets how long changes are kept: by age, by size or both; what is left out stays as it is.
func (s *server) retain(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	o, err := readFields(w, r, "retention")
	if err != nil {
		return err
	}
	given, err := o.object("retention")
	if err != nil {
		return err
	}
	if given == nil {
		return missingField("retention")
	}
	if err := given.only("retention.", "age", "size"); err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	f, err := feedOf(l)
	if err != nil {
		return err
	}
	status, err := f.Status(r.Context())
	if err != nil {
		return err
	}
	kept := status.Retention
	if err := given.retention(&kept); err != nil {
		return err
	}
	if err := f.Retain(r.Context(), kept); err != nil {
		return err
	}
	return writeFeed(w, r, l, f)
}

// retention reads what is given of it.
func (o object) retention(kept *consumers.Retention) error {
	age, err := o.text("retention", "age")
	if err != nil {
		return err
	}
	if age != "" {
		kept.Age, err = time.ParseDuration(age)
		if err != nil || kept.Age < 0 || kept.Age > 0 && kept.Age < time.Second {
			return domain.Errorf(domain.Malformed, "bad_field", "retention.age %q: want a duration of a second or more, e.g. 720h, or 0s for ever", clip(age))
		}
	}
	switch size := o["size"].(type) {
	case nil:
	case json.Number:
		if kept.Size, err = strconv.ParseInt(size.String(), 10, 64); err != nil || kept.Size < 0 {
			return domain.Errorf(domain.Malformed, "bad_field", "retention.size %s: want a whole number of bytes, or 0 for any number", clip(size.String()))
		}
	default:
		return domain.Errorf(domain.Malformed, "bad_field", "retention.size: want a number")
	}
	return nil
}

func writeFeed(w http.ResponseWriter, r *http.Request, l *ledger.Ledger, f *consumers.Feed) error {
	st, err := f.Status(r.Context())
	if err != nil {
		return err
	}
	st.Head = max(st.Head, st.Position)
	return writeJSON(w, feedAnswer{
		Org: l.Org(), From: st.From, Position: st.Position, Head: st.Head, Lag: st.Head - st.Position, Changes: st.Changes, Bytes: st.Bytes,
		Retention: retention{st.Retention.Age.String(), st.Retention.Size},
	})
}

// subscribersOf gives those of a ledger whose feed runs.
func subscribersOf(l *ledger.Ledger) (*consumers.Subscribers, error) {
	if s := l.Subscribers(); s != nil {
		return s, nil
	}
	return nil, domain.Errorf(domain.Unavailable, "no_feed", "subscribers of %s: this server runs no feed for them; ask a server that permledger serve started", l.Org())
}

// openSubscribers finds those of the ledger that the path names; the request may have these parameters.
func (s *server) openSubscribers(r *http.Request, names ...string) (params, *ledger.Ledger, *consumers.Subscribers, error) {
	p, err := readParams(r, names...)
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := s.ledger(r)
	if err != nil {
		return nil, nil, nil, err
	}
	subs, err := subscribersOf(l)
	return p, l, subs, err
}

// subscribers lists them by name; with at_least=SEQ it says too which have seen everything up to and with that event.
func (s *server) subscribers(w http.ResponseWriter, r *http.Request) error {
	p, l, subs, err := s.openSubscribers(r, "at_least")
	if err != nil {
		return err
	}
	var answer struct {
		Head        domain.Seq             `json:"head"`
		Subscribers []consumers.Subscriber `json:"subscribers"`
		AtLeast     domain.Seq             `json:"at_least,omitempty"`
		Seen        []string               `json:"seen,omitzero"`
		NotSeen     []string               `json:"not_seen,omitzero"`
	}
	answer.Head = l.Head()
	if p["at_least"] == "" {
		list, err := subs.List(r.Context())
		if err != nil {
			return err
		}
		answer.Subscribers = append([]consumers.Subscriber{}, list...)
		return writeJSON(w, answer)
	}
	n, err := strconv.ParseUint(p["at_least"], 10, 63)
	if err != nil || n == 0 {
		return domain.Errorf(domain.Malformed, "bad_at_least", "at_least %q: want a seq, a whole number from 1", clip(p["at_least"]))
	}
	if answer.AtLeast = domain.Seq(n); answer.AtLeast > answer.Head {
		return domain.Errorf(domain.Malformed, "bad_at_least", "at_least %d: the ledger's newest event is %d", n, answer.Head)
	}
	seen, unseen, err := subs.AtLeast(r.Context(), answer.AtLeast)
	if err != nil {
		return err
	}
	answer.Subscribers = append(append([]consumers.Subscriber{}, seen...), unseen...)
	answer.Seen, answer.NotSeen = namesOf(seen), namesOf(unseen)
	return writeJSON(w, answer)
}

func namesOf(subscribers []consumers.Subscriber) []string {
	names := make([]string, len(subscribers))
	for i, sub := range subscribers {
		names[i] = sub.Name
	}
	return names
}

// subscriber gives one.
func (s *server) subscriber(w http.ResponseWriter, r *http.Request) error {
	_, _, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	return answerSubscriber(w)(subs.Get(r.Context(), r.PathValue("name")))
}

// answerSubscriber answers with a subscriber, as the calls that change one give it.
func answerSubscriber(w http.ResponseWriter) func(consumers.Subscriber, error) error {
	return func(sub consumers.Subscriber, err error) error {
		if err != nil {
			return err
		}
		return writeJSON(w, sub)
	}
}

// addWebhook registers a webhook, from now on or after a cursor, and gives its secret this once.
func (s *server) addWebhook(w http.ResponseWriter, r *http.Request) error {
	o, err := readFields(w, r, "url", "secret", "filter", "after")
	if err != nil {
		return err
	}
	url, err := o.text("body", "url")
	if err != nil {
		return err
	}
	if url == "" {
		return missingField("url")
	}
	secret, err := o.text("body", "secret")
	if err != nil {
		return err
	}
	filter, err := o.filter()
	if err != nil {
		return err
	}
	_, l, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	if err := filterKnown(l, filter); err != nil {
		return err
	}
	after, err := o.text("body", "after")
	if err != nil {
		return err
	}
	from := consumers.Cursor{Seq: l.Head()}
	if after != "" {
		if from, err = consumers.ParseCursor(after); err != nil {
			return at("after", err)
		}
	}
	sub, secret, err := subs.AddWebhook(r.Context(), r.PathValue("name"), url, secret, filter, from)
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		consumers.Subscriber
		Secret string `json:"secret"`
	}{sub, secret})
}

// removeSubscriber forgets one.
func (s *server) removeSubscriber(w http.ResponseWriter, r *http.Request) error {
	_, _, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := subs.Remove(r.Context(), name); err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"removed": name})
}

// acknowledge notes that a follower has seen everything up to a cursor.
func (s *server) acknowledge(w http.ResponseWriter, r *http.Request) error {
	o, err := readFields(w, r, "cursor")
	if err != nil {
		return err
	}
	text, err := o.text("body", "cursor")
	if err != nil {
		return err
	}
	if text == "" {
		return missingField("cursor")
	}
	cursor, err := consumers.ParseCursor(text)
	if err != nil {
		return err
	}
	_, _, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	return answerSubscriber(w)(subs.Acknowledge(r.Context(), r.PathValue("name"), cursor))
}

func (s *server) enableSubscriber(w http.ResponseWriter, r *http.Request) error {
	_, _, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	return answerSubscriber(w)(subs.Enable(r.Context(), r.PathValue("name")))
}

func (s *server) disableSubscriber(w http.ResponseWriter, r *http.Request) error {
	_, _, subs, err := s.openSubscribers(r)
	if err != nil {
		return err
	}
	return answerSubscriber(w)(subs.Disable(r.Context(), r.PathValue("name")))
}

// readFields reads a body that must be one object with no other fields than these.
func readFields(w http.ResponseWriter, r *http.Request, names ...string) (object, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	o, err := readObject(body)
	if err != nil {
		return nil, err
	}
	return o, o.only("", names...)
}

// only refuses fields other than these; where is what they lie in.
func (o object) only(where string, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(names, name) {
			return domain.Errorf(domain.Malformed, "unknown_field", "field %q: there is no such field; there is %s%s", where+clip(name), where, strings.Join(names, ", "+where))
		}
	}
	return nil
}

// filter reads which changes a webhook is to get; all of them where it is not given.
func (o object) filter() (f consumers.Filter, err error) {
	given, err := o.object("filter")
	if err != nil || given == nil {
		return f, err
	}
	if err := given.only("filter.", "about", "subject", "kinds"); err != nil {
		return f, err
	}
	about, err := given.text("filter", "about")
	if err != nil {
		return f, err
	}
	if about != "" {
		if f.About, err = domain.ParseResource(about); err != nil {
			return f, at("filter.about", err)
		}
	}
	subject, err := given.text("filter", "subject")
	if err != nil {
		return f, err
	}
	if subject != "" {
		if f.Subject, err = domain.ParseAccount(subject); err != nil {
			return f, at("filter.subject", err)
		}
	}
	kinds, ok := given["kinds"].([]any)
	if !ok && given["kinds"] != nil {
		return f, domain.Errorf(domain.Malformed, "bad_field", "filter.kinds: want an array of strings, e.g. [\"lost\"]")
	}
	for _, k := range kinds {
		name, ok := k.(string)
		if !ok {
			return f, domain.Errorf(domain.Malformed, "bad_field", "filter.kinds: want an array of strings, e.g. [\"lost\"]")
		}
		if _, err := domain.ParseName("kind", name); err != nil {
			return f, at("filter.kinds", err)
		}
		f.Kinds = append(f.Kinds, name)
	}
	return f, nil
}
