package eventstore

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

// TestInspect loosens each of a ledger's streams in turn: what is found is of that one alone.
func TestInspect(t *testing.T) {
	s := embedded(t)
	if _, err := s.Inspect(t.Context(), acme); err == nil {
		t.Error("what is not there was inspected")
	} else {
		wantError(t, err, domain.Unknown, "unknown_org")
	}
	l := create(t, s)
	mustAppend(t, l, events(1, 3), 0)
	if _, err := l.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: changesStream(acme), Subjects: []string{"changes"}, DenyDelete: true, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	inspect := func() Inspection {
		in, err := s.Inspect(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	if in := inspect(); in.Events != 3 || in.Last != 3 || in.Bytes == 0 || in.Replicas != 1 || in.Missing != 0 || in.Ahead != 0 || in.Log != nil || in.Keys != nil || in.Changes != nil {
		t.Errorf("of a sound ledger of 3 events: %+v", in)
	}
	for _, c := range []struct {
		stream, setting string
		loosen          func(*jetstream.StreamConfig)
		found           func(Inspection) error
	}{
		{streamName(acme), "max_msgs", func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }, func(in Inspection) error { return in.Log }},
		{keysStream(acme), "max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, func(in Inspection) error { return in.Keys }},
		{changesStream(acme), "max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, func(in Inspection) error { return in.Changes }},
	} {
		stream, err := s.js.Stream(t.Context(), c.stream)
		if err != nil {
			t.Fatal(err)
		}
		sound := stream.CachedInfo().Config
		loose := sound
		c.loosen(&loose)
		if _, err := s.js.UpdateStream(t.Context(), loose); err != nil {
			t.Fatal(err)
		}
		in := inspect()
		wantError(t, c.found(in), domain.Integrity, "log_settings")
		if err := c.found(in); !strings.Contains(err.Error(), c.stream+" ") || !strings.Contains(err.Error(), c.setting) {
			t.Errorf("%q does not name %s of %s", err, c.setting, c.stream)
		}
		if _, err := s.js.UpdateStream(t.Context(), sound); err != nil {
			t.Fatal(err)
		}
		if in := inspect(); in.Log != nil || in.Keys != nil || in.Changes != nil {
			t.Errorf("%s made sound again: %+v", c.stream, in)
		}
	}
}

// TestAhead: a clock that spoke within the question was right, as far as can be known.
func TestAhead(t *testing.T) {
	before := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	for at, want := range map[time.Duration]time.Duration{-time.Minute: -time.Minute, 0: 0, time.Second: 0, 2 * time.Second: 0, 5 * time.Second: 3 * time.Second} {
		if got := ahead(before, before.Add(at), before.Add(2*time.Second)); got != want {
			t.Errorf("it said %s into a question of 2s: ahead by %s, want %s", at, got, want)
		}
	}
}

func TestFigures(t *testing.T) {
	for name, s := range map[string]*Store{"embedded": embedded(t), "external": open(t, Options{URL: startRemote(t).url()})} {
		mustAppend(t, create(t, s), events(1, 3), 0)
		f, err := s.Figures(t.Context())
		if err != nil || f.Streams != 1 || f.StoreBytes == 0 || f.Requests == 0 {
			t.Errorf("%s: %+v, %v; want those of a stream of 3 events", name, f, err)
		}
		if own := f.Own; (own != nil) != (name == "embedded") || own != nil && (own.Messages != 3 || own.Connections == 0) {
			t.Errorf("%s: of the server's own %+v, want 3 messages of the embedded one and nothing of the other", name, own)
		}
		st, err := s.Server(t.Context())
		if err != nil || st.Version == "" || st.Tested == "" || st.External != (name == "external") {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
}
