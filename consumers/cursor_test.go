package consumers

// Cursors: one text for each, nothing else read as one, and an order that is that of the changes.

import (
	"cmp"
	"errors"
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestParseCursor(t *testing.T) {
	for text, want := range map[string]Cursor{
		"0":                   {},
		"42":                  {Seq: 42},
		"42.3":                {Seq: 42, N: 3},
		"42~9f2c01ab":         {Seq: 42, Mark: "9f2c01ab"},
		"42.3~9f2c01ab":       {Seq: 42, N: 3, Mark: "9f2c01ab"},
		"0~00000000":          {Mark: "00000000"},
		"9223372036854775807": {Seq: 1<<63 - 1},
		"1.2147483647":        {Seq: 1, N: 1<<31 - 1},
	} {
		got, err := ParseCursor(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseCursor(%q) = %+v (%s), %v; want %+v", text, got, got, err, want)
		}
	}
	for _, text := range []string{
		"", " 42", "42 ", "+42", "-1", "042", "00", "4e2", "0x2", "9223372036854775808", "99999999999999999999",
		"42.", ".3", "42.0", "42.03", "0.3", "42.3.1", "42.-1", "42.2147483648", "42~", "42~9f2c01a", "42~9f2c01abc", "42~9F2C01AB",
		"42~9f2c01ab~", "~9f2c01ab", "42~9f2c01ab.3", "42.~9f2c01ab", "42\n",
	} {
		if got, err := ParseCursor(text); !errors.Is(err, domain.Malformed) || got != (Cursor{}) {
			t.Errorf("ParseCursor(%q) = %+v, %v; want it malformed", text, got, err)
		}
	}
}

func TestCursorBefore(t *testing.T) {
	order := []Cursor{{}, {Seq: 1, N: 1}, {Seq: 1, N: 2}, {Seq: 1, N: 10}, {Seq: 1}, {Seq: 2, N: 1}, {Seq: 2}, {Seq: 10}}
	for i, c := range order {
		for j, d := range order {
			if c.Before(d) != (i < j) {
				t.Errorf("%s before %s: %v, want %v", c, d, c.Before(d), i < j)
			}
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"42", "42.3", "42~9f2c01ab", "42.3~9f2c01ab", "0.1", "007", "1~", "", "9223372036854775808"} {
		f.Add(s, "1.2")
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		c, err := ParseCursor(s)
		if err != nil {
			if c != (Cursor{}) {
				t.Fatalf("ParseCursor(%q) fails and gives %+v", s, c)
			}
			return
		}
		if c.String() != s {
			t.Fatalf("ParseCursor(%q) is written %q", s, c)
		}
		var again Cursor
		if b, err := c.MarshalText(); err != nil || again.UnmarshalText(b) != nil || again != c {
			t.Fatalf("%q is %+v, and written and read %+v", s, c, again)
		}
		d, err := ParseCursor(other)
		if err != nil {
			return
		}
		// Of two places exactly one is before the other, or they are one.
		c.Mark, d.Mark = "", ""
		if c.Before(d) && d.Before(c) || (c == d) == (c.Before(d) || d.Before(c)) || cmp.Less(c.Seq, d.Seq) && !c.Before(d) {
			t.Fatalf("%s before %s: %v, the other way: %v", c, d, c.Before(d), d.Before(c))
		}
	})
}
