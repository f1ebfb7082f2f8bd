package ledger

import (
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// TestDoctor looks at a sound ledger, then sets the clock back and loosens the log's settings under it. Only what became
// wrong is told, and for all that is wrong there is a way out.
func TestDoctor(t *testing.T) {
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	l := founding(t, Options{Data: t.TempDir(), Now: func() time.Time { return now }})
	look := func() map[string]Finding {
		t.Helper()
		found, err := l.s.Doctor(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		of := make(map[string]Finding)
		for _, f := range found {
			if f.Level != Well && f.Advice == "" || f.Text == "" {
				t.Errorf("%+v: no way out", f)
			}
			if f.Org != "" {
				of[f.Check] = f
			}
		}
		return of
	}
	of := look()
	for _, check := range []string{"settings", "clock", "projection", "founders"} {
		if of[check].Level != Well {
			t.Errorf("of a sound ledger: %s: %+v", check, of[check])
		}
	}

	now = now.Add(-time.Hour)
	of = look()
	if f := of["clock"]; f.Level != Warning || f.Runbook != "clock" {
		t.Errorf("the clock was set back: %+v", f)
	}

	js := l.s.store.JetStream()
	stream, err := js.Stream(t.Context(), "PERMLEDGER_acme")
	if err != nil {
		t.Fatal(err)
	}
	loose := stream.CachedInfo().Config
	loose.MaxMsgs = 1000
	if _, err := js.UpdateStream(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	of = look()
	if f := of["settings"]; f.Level != Problem || f.Code != "log_settings" || f.Failure != domain.Integrity || f.Runbook != "log-settings" {
		t.Errorf("the log's settings were loosened: %+v", f)
	}
	if f := of["projection"]; f.Level != Well {
		t.Errorf("and the projection is as it was: %+v", f)
	}

	_, err = l.s.Doctor(t.Context(), "nobody")
	wantError(t, err, domain.Unknown, "unknown_org", "nobody")
}

func TestOlderServer(t *testing.T) {
	for v, want := range map[string]bool{"2.14.9": true, "1.99.0": true, "2.15.0": false, "2.16.1": false, "3.0.0": false, "2.15.0-beta": false, "dev": false} {
		if got := olderServer(v, "2.15.2"); got != want {
			t.Errorf("%s is older than 2.15.2: got %v, want %v", v, got, want)
		}
	}
}

// TestStandingBehind: how many events are lacking is told, and since when where that can be read.
func TestStandingBehind(t *testing.T) {
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	l := founding(t, Options{Data: t.TempDir(), Now: func() time.Time { return now }})
	if s := l.Standing(t.Context()); s.Err != nil || s.Stopped || s.Position != founded || s.Head != founded || s.Lag.Events != 0 || s.Feed != nil {
		t.Errorf("of a ledger that is level: %+v", s)
	}
	now = now.Add(time.Hour)
	if lag := l.lag(t.Context(), 1, founded); lag.Events != founded-1 || lag.Seconds < 3599 || lag.Seconds > 3600 {
		t.Errorf("behind by all but one event of an hour ago: %+v", lag)
	}
	l.heardOf(founded + 2)
	l.heardOf(founded + 1) // older news
	if s := l.Standing(t.Context()); s.Head != founded+2 || s.Lag.Events != 2 || s.Lag.Seconds != 0 || s.Stopped {
		t.Errorf("behind by two events that can't be read yet: %+v", s)
	}
}
