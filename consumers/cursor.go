package consumers

// A cursor: how far somebody has followed. This file owns its text form.

import (
	"strconv"
	"strings"

	"github.com/permledger/permledger/domain"
)

// A Cursor says how far a feed was followed: through all changes of the events up to Seq, or, where N is not 0, through
// all of those before Seq and the first N of Seq. The zero Cursor is before the first event.
//
// Its text is "42", or "42.3" within an event, and ends in "~" and the mark of its log where it has one: "42~9f2c01ab". A
// seq alone is a cursor too, of whatever log it is used for.
type Cursor struct {
	Seq  domain.Seq
	N    int    // how many changes of Seq; 0: all
	Mark string // which log it is of (MarkOf); "": not said
}

// String is the text form.
func (c Cursor) String() string {
	b := strconv.AppendUint(nil, uint64(c.Seq), 10)
	if c.N > 0 {
		b = strconv.AppendInt(append(b, '.'), int64(c.N), 10)
	}
	if c.Mark != "" {
		b = append(append(b, '~'), c.Mark...)
	}
	return string(b)
}

// Before tells whether c is less far than d, whatever their marks.
func (c Cursor) Before(d Cursor) bool {
	switch {
	case c.Seq != d.Seq:
		return c.Seq < d.Seq
	case c.N == 0:
		return false
	}
	return d.N == 0 || c.N < d.N
}

// ParseCursor reads the text form.
func ParseCursor(s string) (Cursor, error) {
	var c Cursor
	rest, mark, marked := strings.Cut(s, "~")
	seq, n, within := strings.Cut(rest, ".")
	u, err := number(seq, 63)
	ok := err == nil
	c.Seq = domain.Seq(u)
	if within {
		u, err := number(n, 31)
		c.N = int(u)
		ok = ok && err == nil && u > 0 && c.Seq > 0
	}
	if marked {
		c.Mark = mark
		ok = ok && len(mark) == markDigits && strings.Trim(mark, "0123456789abcdef") == ""
	}
	if !ok {
		return Cursor{}, domain.Errorf(domain.Malformed, "bad_cursor", "cursor %q: want one that the feed gave, or a seq, e.g. 42", clip(s))
	}
	return c, nil
}

// number reads digits without a sign or leading zeros, so that one cursor has one text.
func number(s string, bits int) (uint64, error) {
	if len(s) > 1 && s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, bits)
}

// MarshalText gives String.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseCursor.
func (c *Cursor) UnmarshalText(b []byte) (err error) { *c, err = ParseCursor(string(b)); return err }

// clip bounds what somebody sent before it is quoted in an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
