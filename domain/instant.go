package domain

// Time as the ledger counts it. Nothing here reads a clock or knows a time zone other than UTC.

import (
	"math"
	"strings"
	"time"
)

// Instant is a moment in nanoseconds since 1970-01-01T00:00:00Z.
type Instant int64

// Forever is the end of what has no end. No event can name it.
const Forever Instant = math.MaxInt64

// The span of moments that an event or a question may name: after the zero Instant, which stands for "not given", and
// well inside what 64 bits of nanoseconds hold.
var (
	epoch  = time.Unix(0, 0)
	latest = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// InstantOf converts t, which must lie between the years 1970 and 2200.
func InstantOf(t time.Time) Instant { return Instant(t.UnixNano()) }

// ParseInstant reads RFC 3339 with any offset and up to nine digits of a second.
func ParseInstant(s string) (Instant, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339(s) {
		return 0, Errorf(Malformed, "bad_time", "time %q: want RFC 3339, e.g. 2026-01-05T09:00:00Z", clip(s))
	}
	if !t.After(epoch) || !t.Before(latest) {
		return 0, Errorf(Malformed, "time_out_of_range", "time %q: want a moment after 1970-01-01T00:00:00Z and before 2200", clip(s))
	}
	return InstantOf(t), nil
}

// rfc3339 refuses what time.Parse takes of s beyond RFC 3339: an hour of one digit, a comma for the point, offsets of a
// day and more; and a second of more than nine digits, which would be cut.
func rfc3339(s string) bool {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) <= seconds || s[seconds-3] != ':' || s[seconds] == ',' {
		return false
	}
	zone := seconds + strings.IndexAny(s[seconds:], "Z+-")
	offset := s[zone:]
	return zone-seconds <= len(".123456789") && (offset == "Z" || offset[1:3] < "24" && offset[4:] < "60")
}

// Time gives the moment in UTC.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)).UTC() }

// Add moves the instant by d; Forever stays Forever.
func (i Instant) Add(d time.Duration) Instant {
	if i == Forever {
		return Forever
	}
	return i + Instant(d)
}

// String is RFC 3339 in UTC, with as many digits of a second as there are but at least three.
func (i Instant) String() string { return string(i.append(nil)) }

func (i Instant) append(b []byte) []byte {
	if i == Forever {
		return append(b, "forever"...)
	}
	// The layout RFC3339 has a fast path; a fraction of our own is added before its Z.
	b = i.Time().AppendFormat(b, time.RFC3339)
	nanos := int64(i) % int64(time.Second)
	if nanos < 0 {
		nanos += int64(time.Second)
	}
	var digits [9]byte
	for k := len(digits) - 1; k >= 0; k-- {
		digits[k] = byte('0' + nanos%10)
		nanos /= 10
	}
	n := len(digits)
	for n > 3 && digits[n-1] == '0' {
		n--
	}
	b[len(b)-1] = '.'
	b = append(b, digits[:n]...)
	return append(b, 'Z')
}

// MarshalText gives String; Forever has no text form and must be left out by whoever writes it.
func (i Instant) MarshalText() ([]byte, error) { return i.append(nil), nil }

// UnmarshalText is ParseInstant.
func (i *Instant) UnmarshalText(b []byte) (err error) { *i, err = ParseInstant(string(b)); return err }
