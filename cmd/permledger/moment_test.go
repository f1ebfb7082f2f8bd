package main

// Moments as people type them: what each form means, by whose clock and in which zone, and what is refused.

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
)

// clockAt is a zone whose clock stands still.
func clockAt(t testing.TB, name, now string) *zone {
	t.Helper()
	z := &zone{}
	if err := z.Set(name); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, now)
	if err != nil {
		t.Fatal(err)
	}
	z.now = func() time.Time { return at }
	return z
}

func TestMoments(t *testing.T) {
	for _, c := range []struct{ zone, now, typed, want string }{
		{"UTC", "", "2026-03-03T14:00:05+01:00", "2026-03-03T13:00:05Z"},
		{"UTC", "", "2026-03-03t14:00:05.123456789z", "2026-03-03T14:00:05.123456789Z"},
		{"Europe/Amsterdam", "", "2026-03-03", "2026-03-03T00:00:00+01:00"},
		{"Europe/Amsterdam", "", "2026-03-03 14:00", "2026-03-03T14:00:00+01:00"},
		{"Europe/Amsterdam", "", " 2026-03-03   9:00 ", "2026-03-03T09:00:00+01:00"},
		{"Europe/Amsterdam", "", "2026-03-03 14:00:05", "2026-03-03T14:00:05+01:00"},
		{"Europe/Amsterdam", "", "2026-03-03T14:00", "2026-03-03T14:00:00+01:00"},
		{"Europe/Amsterdam", "", "2026-07-03T14:00:05", "2026-07-03T14:00:05+02:00"},
		{"Europe/Amsterdam", "", "3 maart 2026", "2026-03-03T00:00:00+01:00"},
		{"Europe/Amsterdam", "", "3 Maart 2026 14:00", "2026-03-03T14:00:00+01:00"},
		{"Europe/Amsterdam", "", "03 MRT. 2026", "2026-03-03T00:00:00+01:00"},
		{"Europe/Amsterdam", "", "1 mei 2026", "2026-05-01T00:00:00+02:00"},
		{"Europe/Amsterdam", "", "29 februari 2028", "2028-02-29T00:00:00+01:00"},
		{"Europe/Amsterdam", "", "March 3, 2026", "2026-03-03T00:00:00+01:00"},
		{"Europe/Amsterdam", "", "mar 3 2026 14:00:05", "2026-03-03T14:00:05+01:00"},
		{"Europe/Amsterdam", "", "3 March 2026 14:00", "2026-03-03T14:00:00+01:00"},
		{"Europe/Amsterdam", "", "03-04-2026", "2026-04-03T00:00:00+02:00"},
		{"Europe/Amsterdam", "", "3-3-2026 14:00", "2026-03-03T14:00:00+01:00"},
		{"Europe/Amsterdam", "2026-03-03T23:30:00Z", "today", "2026-03-04T00:00:00+01:00"}, // it is past midnight there
		{"America/New_York", "2026-03-03T23:30:00Z", "vandaag 8:15", "2026-03-03T08:15:00-05:00"},
		{"UTC", "2026-03-01T12:00:00Z", "Yesterday", "2026-02-28T00:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "gisteren 14:00", "2026-02-28T14:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "eergisteren", "2026-02-27T00:00:00Z"},
		{"UTC", "2026-12-31T12:00:00Z", "tomorrow 23:59:59", "2027-01-01T23:59:59Z"},
		{"UTC", "2026-12-31T12:00:00Z", "morgen", "2027-01-01T00:00:00Z"},
		{"UTC", "2026-03-01T12:00:00.5Z", "NOW", "2026-03-01T12:00:00.5Z"},
		{"UTC", "2026-03-01T12:00:00Z", "nu", "2026-03-01T12:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "-90d", "2025-12-01T12:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "-2w", "2026-02-15T12:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "-36h", "2026-02-28T00:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "-30m", "2026-03-01T11:30:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "+30M", "2026-03-01T12:30:00Z"},
		{"UTC", "2026-05-31T12:00:00Z", "-3mo", "2026-02-28T12:00:00Z"}, // February has no 31st
		{"UTC", "2026-01-31T12:00:00Z", "+1mo", "2026-02-28T12:00:00Z"},
		{"UTC", "2026-01-15T12:00:00Z", "-13mo", "2024-12-15T12:00:00Z"},
		{"UTC", "2028-02-29T12:00:00Z", "-1y", "2027-02-28T12:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "+10y", "2036-03-01T12:00:00Z"},
		{"UTC", "2026-03-01T12:00:00Z", "-0d", "2026-03-01T12:00:00Z"},

		// Days keep the time of day over a change of clocks, hours do not.
		{"Europe/Amsterdam", "2026-03-29T12:00:00Z", "-1d", "2026-03-28T14:00:00+01:00"},
		{"Europe/Amsterdam", "2026-03-29T12:00:00Z", "-24h", "2026-03-28T13:00:00+01:00"},
		{"Europe/Amsterdam", "2026-10-25T12:00:00Z", "-1d", "2026-10-24T13:00:00+02:00"},
		{"Europe/Amsterdam", "", "2026-10-25 03:00", "2026-10-25T03:00:00+01:00"},
		{"Europe/Amsterdam", "", "2026-03-29 03:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Amsterdam", "", "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"}, // with its offset it is one moment
		// The first moment of a day, where midnight is skipped or comes twice.
		{"America/Sao_Paulo", "", "2018-11-04", "2018-11-04T01:00:00-02:00"},
		{"America/Havana", "", "2026-11-01", "2026-11-01T00:00:00-04:00"},
		{"Pacific/Apia", "", "2011-12-31", "2011-12-31T00:00:00+14:00"},
	} {
		if c.now == "" {
			c.now = "2026-03-01T12:00:00Z"
		}
		z := clockAt(t, c.zone, c.now)
		want, err := domain.ParseInstant(c.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := z.moment("--at", c.typed)
		if err != nil || got != want {
			t.Errorf("%q in %s at %s: got %s, %v, want %s", c.typed, c.zone, c.now, got, err, want)
		}
	}
}

func TestMomentsRefused(t *testing.T) {
	for _, c := range []struct{ typed, code, want string }{
		{"", "bad_time", "want RFC 3339, e.g. 2026-01-05T09:00:00Z, or a time in Europe/Amsterdam: 2026-01-05"},
		{"monday", "bad_time", "want RFC 3339"},
		{"14:00", "bad_time", "want RFC 3339"},
		{"3 maart", "bad_time", "want RFC 3339"},
		{"3 march 26", "bad_time", "want RFC 3339"},
		{"3 brumaire 2026", "bad_time", "want RFC 3339"},
		{"now 14:00", "bad_time", "want RFC 3339"},
		{"-90", "bad_time", "want RFC 3339"},
		{"90d", "bad_time", "want RFC 3339"},
		{"-1d 14:00", "bad_time", "want RFC 3339"},
		{"- 90d", "bad_time", "want RFC 3339"},
		{"-90d -1h", "bad_time", "want RFC 3339"},
		{"vandaagt14:00", "bad_time", "want RFC 3339"},
		{"2026-03-03T9:00:00Z", "bad_time", "want RFC 3339"},
		{"2026-03-03T09:00:00,5Z", "bad_time", "want RFC 3339"},
		{"03/04/2026", "bad_time", "with slashes it could be day first or month first; write 31-12-2026 (day first) or 2026-12-31"},
		{"2026/04/03 14:00", "bad_time", "with slashes"},
		{"03-13-2026", "bad_time", "there is no month 13"},
		{"2026-00-03", "bad_time", "there is no month 0"},
		{"29-02-2026", "bad_time", "February 2026 has the days 1 to 28"},
		{"31 april 2026", "bad_time", "April 2026 has the days 1 to 30"},
		{"2026-04-00", "bad_time", "April 2026 has the days 1 to 30"},
		{"2026-03-03 24:00", "bad_time", "24:00 is no time of day; want 0:00 to 23:59:59"},
		{"2026-03-03T12:60", "bad_time", "12:60 is no time of day"},
		{"1969-12-31", "time_out_of_range", "that is in 1969; want a moment after 1970"},
		{"2200-01-02", "time_out_of_range", "before 2200"},
		{"9999-12-31T23:59:59Z", "time_out_of_range", "before 2200"},
		{"-999999y", "time_out_of_range", "want a moment after 1970"},
		{"+999999d", "time_out_of_range", "want a moment after 1970"},
		{"-999999h", "time_out_of_range", "want a moment after 1970"},
		{"2026-03-29 02:30", "bad_time", "Europe/Amsterdam has no such time, clocks were put forward over it; write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00"},
		{"29 maart 2026 02:00", "bad_time", "write 2026-03-29T01:00:00+01:00 or 2026-03-29T03:00:00+02:00"},
		{"2026-10-25 02:30", "bad_time", "Europe/Amsterdam has this time twice; write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"},
		{"October 25, 2026 02:59:59", "bad_time", "write 2026-10-25T02:59:59+02:00 or 2026-10-25T02:59:59+01:00"},
	} {
		got, err := clockAt(t, "Europe/Amsterdam", "2026-03-01T12:00:00Z").moment("--at", c.typed)
		e, ok := err.(*domain.Error)
		if !ok || e.Failure != domain.Malformed || e.Code != c.code || !strings.Contains(e.Message, c.want) || !strings.HasPrefix(e.Message, "--at ") || strings.Contains(e.Message, "\n") {
			t.Errorf("%q: got %s, %v; want it refused with %s and %q", c.typed, got, err, c.code, c.want)
		}
	}
	for _, c := range []struct{ zone, now, typed, want string }{
		{"Europe/Amsterdam", "2026-03-30T00:30:00Z", "-1d", "has no such time, clocks were put forward over it; write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00"},
		{"Europe/Amsterdam", "2026-10-26T01:30:00Z", "-1d", "has this time twice; write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"},
		{"Europe/Amsterdam", "2026-10-26T12:00:00Z", "gisteren 02:30", "has this time twice"},
		{"America/Sao_Paulo", "2018-11-01T12:00:00Z", "2018-11-04 00:30", "has no such time, clocks were put forward over it; write 2018-11-03T23:30:00-03:00 or 2018-11-04T01:30:00-02:00"},
		{"America/Havana", "2026-11-01T12:00:00Z", "2026-11-01 00:00", "has this time twice"},
		{"Australia/Lord_Howe", "2026-11-01T12:00:00Z", "2026-04-05 01:45", "has this time twice; write 2026-04-05T01:45:00+11:00 or 2026-04-05T01:45:00+10:30"},
		{"Pacific/Apia", "2012-01-01T12:00:00Z", "2011-12-30", "has no such day, calendars were put forward over it"},
		{"Pacific/Apia", "2012-01-01T12:00:00Z", "2011-12-30 12:00", "has no such time"},
	} {
		got, err := clockAt(t, c.zone, c.now).moment("--at", c.typed)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %s at %s: got %s, %v; want it refused with %q", c.typed, c.zone, c.now, got, err, c.want)
		}
	}
}

// What is counted from now is fixed when it is asked, so that the next page and the next question are about the same moment.
func TestMomentsAskedAgain(t *testing.T) {
	z := clockAt(t, "Europe/Amsterdam", "2026-03-01T12:00:00Z")
	for _, c := range []struct {
		m              moments
		at, known, say string
	}{
		{moments{"", ""}, "", "", ""},
		{moments{"2026-02-01", "14"}, "2026-01-31T23:00:00.000Z", "14", "--at 2026-02-01 --known-at 14"},
		{moments{"nu", "NOW"}, "now", "now", "--at nu --known-at NOW"},
		{moments{"-1d", "gisteren 14:00"}, "2026-02-28T12:00:00.000Z", "2026-02-28T13:00:00.000Z", "--at 2026-02-28T13:00:00+01:00 --known-at 2026-02-28T14:00:00+01:00"},
	} {
		q := url.Values{}
		typed := c.m
		if err := c.m.set(q, z); err != nil {
			t.Fatal(err)
		}
		if say := strings.Join(c.m.args(), " "); q.Get("at") != c.at || q.Get("known_at") != c.known || say != c.say {
			t.Errorf("%v: got at %s, known at %s, asked again with %s; want %s, %s and %s", typed, q.Get("at"), q.Get("known_at"), say, c.at, c.known, c.say)
		}
	}
}

func FuzzMoment(f *testing.F) {
	zones := []string{"Europe/Amsterdam", "Pacific/Apia", "America/Sao_Paulo", "UTC"}
	for _, s := range []string{"2026-03-03", "3 maart 2026 14:00", "March 3, 2026", "3-3-2026 14:00", "03/04/2026", "gisteren 02:30", "-90d", "+3mo", "now",
		"2026-10-25 02:30", "2026-03-29 02:30", "2011-12-30", "2026-03-03T14:00:05.5+01:00"} {
		for zone := range zones {
			f.Add(s, byte(zone))
		}
	}
	f.Fuzz(func(t *testing.T, s string, zone byte) {
		name := zones[int(zone)%len(zones)]
		z := clockAt(t, name, "2026-10-26T01:30:00Z")
		i, err := z.moment("--at", s)
		if err != nil {
			if e, ok := err.(*domain.Error); !ok || e.Failure != domain.Malformed || e.Code != "bad_time" && e.Code != "time_out_of_range" {
				t.Fatalf("%q in %s: got %v, want one of two codes", s, name, err)
			}
			return
		}
		// Written out with its offset it is the same moment again, and so in any case and with more space.
		for _, again := range []string{rfc3339(i.Time().In(z.location())), " " + strings.ToUpper(s) + " "} {
			if j, err := z.moment("--at", again); err != nil || j != i {
				t.Fatalf("%q in %s: got %s, and of %q %s, %v", s, name, i, again, j, err)
			}
		}
	})
}
