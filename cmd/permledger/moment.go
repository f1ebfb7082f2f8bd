package main

// Moments as people type them. They are read here, in the caller's zone and by the clock that is passed in, and leave here
// as UTC: nothing behind this file knows of zones. What could mean two moments is refused, because an answer about the
// wrong one looks just like the right one.

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// moment reads a time for the flag or key: RFC 3339, or one of the forms of "permledger help times".
func (z *zone) moment(flag, s string) (domain.Instant, error) {
	t, err := z.read(s)
	if err != nil {
		return 0, domain.Errorf(domain.Malformed, "bad_time", "%s %q: %v", flag, clipped(s), err)
	}
	i, err := domain.ParseInstant(t.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return 0, domain.Errorf(domain.Malformed, "time_out_of_range", "%s %q: that is in %d; want a moment after 1970-01-01T00:00:00Z and before 2200", flag, clipped(s), t.Year())
	}
	return i, nil
}

// clipped keeps what a caller typed on one readable line.
func clipped(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "..."
	}
	return s
}

// fix writes out what was typed where read again later it would mean another moment.
func (z *zone) fix(typed *string, read domain.Instant) {
	word, _, _ := strings.Cut(plainText(*typed), " ")
	if _, day := dayWords[word]; day || isNow(word) || distance.MatchString(word) {
		*typed = rfc3339(read.Time().In(z.location()))
	}
}

func isNow(s string) bool { s = plainText(s); return s == "now" || s == "nu" }

var (
	// dayWords are days counted from today.
	dayWords = map[string]int{"today": 0, "vandaag": 0, "yesterday": -1, "gisteren": -1, "eergisteren": -2, "tomorrow": 1, "morgen": 1}

	distance  = regexp.MustCompile(`^([+-])(\d{1,6})(m|h|d|w|mo|y)$`)
	timeOfDay = regexp.MustCompile(`^(?:(.*) |(.*\d)t)(\d{1,2}):(\d\d)(?::(\d\d))?$`)
	yearFirst = regexp.MustCompile(`^(\d{4})-(\d{1,2})-(\d{1,2})$`)
	dayFirst  = regexp.MustCompile(`^(\d{1,2})-(\d{1,2})-(\d{4})$`)
	slashes   = regexp.MustCompile(`^(\d{1,4})/(\d{1,2})/(\d{1,4})$`)
	dayMonth  = regexp.MustCompile(`^(\d{1,2}) ([a-z]+)\.? (\d{4})$`)
	monthDay  = regexp.MustCompile(`^([a-z]+)\.? (\d{1,2}),? (\d{4})$`)
)

// months are their names in English and Dutch, with the usual short ones.
var months = map[string]time.Month{
	"january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8, "september": 9, "october": 10, "november": 11, "december": 12,
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
	"januari": 1, "februari": 2, "maart": 3, "mei": 5, "juni": 6, "juli": 7, "augustus": 8, "oktober": 10,
	"mrt": 3, "okt": 10,
}

// plainText is what is typed without the differences that do not count: case, and how much space there is.
func plainText(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }

// A wall is what a calendar and a clock on the wall show; where the time of day was not given, the day's first moment.
type wall struct {
	year                      int
	month                     time.Month
	day                       int
	hour, minute, second, sub int // sub in nanoseconds
	allDay                    bool
}

// read finds the moment that s means. Its errors say what is wrong with s, and what would be right.
func (z *zone) read(s string) (time.Time, error) {
	text := plainText(s)
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		_, err := domain.ParseInstant(strings.ToUpper(text)) // which is stricter
		if e, ok := err.(*domain.Error); !ok || e.Code != "bad_time" {
			return t, nil
		}
	}
	if isNow(text) {
		return z.now(), nil
	}
	if m := distance.FindStringSubmatch(text); m != nil {
		n := digits(m[2])
		if m[1] == "-" {
			n = -n
		}
		return z.away(n, m[3])
	}
	var w wall
	day := text
	if m := timeOfDay.FindStringSubmatch(text); m != nil {
		day, w.hour, w.minute, w.second = m[1]+m[2], digits(m[3]), digits(m[4]), digits(m[5])
		if w.hour > 23 || w.minute > 59 || w.second > 59 {
			return time.Time{}, fmt.Errorf("%s is no time of day; want 0:00 to 23:59:59", text[len(day)+1:])
		}
	} else {
		w.allDay = true
	}
	if err := z.date(day, &w); err != nil {
		return time.Time{}, err
	}
	return z.at(w)
}

// digits reads the few that a pattern has found; none are 0.
func digits(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// date reads the day into w.
func (z *zone) date(day string, w *wall) error {
	if n, ok := dayWords[day]; ok {
		year, month, today := z.now().In(z.location()).Date()
		w.year, w.month, w.day = time.Date(year, month, today+n, 12, 0, 0, 0, time.UTC).Date()
		return nil
	}
	if m := yearFirst.FindStringSubmatch(day); m != nil {
		w.year, w.month, w.day = digits(m[1]), time.Month(digits(m[2])), digits(m[3])
	} else if m := dayFirst.FindStringSubmatch(day); m != nil {
		w.year, w.month, w.day = digits(m[3]), time.Month(digits(m[2])), digits(m[1])
	} else if m := dayMonth.FindStringSubmatch(day); m != nil && months[m[2]] != 0 {
		w.year, w.month, w.day = digits(m[3]), months[m[2]], digits(m[1])
	} else if m := monthDay.FindStringSubmatch(day); m != nil && months[m[1]] != 0 {
		w.year, w.month, w.day = digits(m[3]), months[m[1]], digits(m[2])
	} else if slashes.MatchString(day) {
		return fmt.Errorf("with slashes it could be day first or month first; write 31-12-2026 (day first) or 2026-12-31")
	} else {
		return fmt.Errorf("want RFC 3339, e.g. 2026-01-05T09:00:00Z, or a time in %s: 2026-01-05, 2026-01-05 09:00, 5-1-2026, 5 januari 2026, January 5, 2026, yesterday 14:00, now or -90d; see permledger help times", z.name())
	}
	if w.month < 1 || w.month > 12 {
		return fmt.Errorf("there is no month %d; the month is the middle number, e.g. 31-12-2026 or 2026-12-31", int(w.month))
	}
	if last := daysOf(w.year, w.month); w.day < 1 || w.day > last {
		return fmt.Errorf("%s %d has the days 1 to %d", w.month, w.year, last)
	}
	return nil
}

func daysOf(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 12, 0, 0, 0, time.UTC).Day()
}

// away is the moment at a distance from now. Hours and minutes are time that passes; of days, weeks, months and years the
// clock on the wall shows the same. Of a month that is too short it is the last day.
func (z *zone) away(n int, unit string) (time.Time, error) {
	now := z.now().In(z.location())
	switch unit {
	case "m":
		return now.Add(time.Duration(n) * time.Minute), nil
	case "h":
		return now.Add(time.Duration(n) * time.Hour), nil
	}
	w := wall{hour: now.Hour(), minute: now.Minute(), second: now.Second(), sub: now.Nanosecond()}
	year, month, day := now.Date()
	switch unit {
	case "d":
		day += n
	case "w":
		day += 7 * n
	case "mo", "y":
		if unit == "y" {
			n *= 12
		}
		year, month, _ = time.Date(year, month+time.Month(n), 1, 12, 0, 0, 0, time.UTC).Date()
		day = min(day, daysOf(year, month))
	}
	w.year, w.month, w.day = time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Date()
	return z.at(w)
}

// at finds the one moment at which the zone's clocks show w. A time that they skip, or show twice (summer time), is refused
// with both readings named; the first moment of a day is always one.
func (z *zone) at(w wall) (time.Time, error) {
	loc := z.location()
	utc := time.Date(w.year, w.month, w.day, w.hour, w.minute, w.second, w.sub, time.UTC)
	begin, end := time.Date(w.year, w.month, w.day, w.hour, w.minute, w.second, w.sub, loc).ZoneBounds()

	// The readings are w by each offset that the zone has near it; of those, the ones that its clocks do show.
	var readings, shown []time.Time
	for _, near := range [...]time.Time{begin.Add(-1), begin, end} {
		_, offset := near.In(loc).Zone()
		if t := utc.Add(-time.Duration(offset) * time.Second).In(loc); !slices.ContainsFunc(readings, t.Equal) {
			readings = append(readings, t)
			if _, o := t.Zone(); o == offset {
				shown = append(shown, t)
			}
		}
	}
	slices.SortFunc(readings, time.Time.Compare)
	slices.SortFunc(shown, time.Time.Compare)
	switch {
	case len(shown) == 1 || len(shown) > 1 && w.allDay:
		return shown[0], nil
	case len(shown) > 1:
		return time.Time{}, fmt.Errorf("%s has this time twice; write %s or %s", z.name(), rfc3339(shown[0]), rfc3339(shown[len(shown)-1]))
	}
	first, last := readings[0], readings[len(readings)-1]
	if !w.allDay {
		return time.Time{}, fmt.Errorf("%s has no such time, clocks were put forward over it; write %s or %s", z.name(), rfc3339(first), rfc3339(last))
	}
	// Its first moment is skipped: the day begins when clocks were put forward, unless that was into another.
	if begin, _ = last.ZoneBounds(); begin.Day() != w.day {
		return time.Time{}, fmt.Errorf("%s has no such day, calendars were put forward over it", z.name())
	}
	return begin, nil
}

func rfc3339(t time.Time) string { return t.Format(time.RFC3339Nano) }

func newTimesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "times",
		Short: "How to write a time, and how to ask about another moment",
		Long: `An answer is about a moment (as of), by what had been recorded by some moment (known at):

  neither                  now, by all that is recorded
  --at T                   as of T, as known at T: what the ledger would have answered then
  --at T --known-at now    as of T, with every correction recorded since
  --at T --known-at S      as of T, by what had been recorded at S: a time, or the seq of an event

Everywhere a time is one of

  2026-01-05T09:00:00+01:00                      RFC 3339
  2026-01-05                                     a day: its first moment
  5-1-2026, 05-01-2026                           day, month, year; never the month first
  5 januari 2026, 5 jan 2026                     Dutch, in full or short
  5 January 2026, January 5, 2026                English, in full or short
  today, yesterday, tomorrow                     and vandaag, gisteren, eergisteren, morgen
  any of these days with 09:00 or 09:00:30       "2026-01-05 09:00", "5 januari 2026 09:00", "yesterday 14:00"
  now, nu
  -30m, -36h                                     minutes and hours ago; +30m from now
  -90d, -2w, -3mo, -1y                           days, weeks, months, years: at the same time of day as now; where a
                                                 month is too short, on its last day

Capitals do not count. Without an offset a time is local in the zone of --tz. A time that the zone skips or has twice,
when clocks are changed, is refused and both readings are named; so are dates with slashes, which could be read two ways.
Every answer says in full, with the offset, which moment it is about.`,
	}
}
