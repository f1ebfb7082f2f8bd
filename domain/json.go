package domain

// A strict reader for the few JSON shapes that events, import lines and commands have: one object of strings, numbers,
// true and false, with at most one object inside it. It is not a general JSON reader and never becomes one.

import (
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

type valueKind uint8

const (
	isString valueKind = iota // s is the text, unescaped
	isNumber                  // s is the digits as written
	isBool                    // s is true or false
	isObject                  // s is the object as written
)

type field struct {
	name  string
	s     string
	is    valueKind
	taken bool
}

// fields is an object that was read. It is a binder: each field asked for is checked and marked as taken, and end
// reports whatever nobody asked for. After the first mistake the rest is passed over.
type fields struct {
	list   []field
	within string // what precedes a field's name in errors
	loose  bool   // from a command line: everything is a string
	from   origin
	sealed bool // from the log, with the texts about a person encrypted
	err    error

	version int // of the data, where it is from the log
}

// origin is where an object was read from. It decides what must be there, and what a one-time link is.
type origin uint8

const (
	inLine        origin = iota // an import line: filled fields may be left out; a link is its hash
	inLog                       // filled fields must be there; a link is its hash
	inCommand                   // filled fields may be left out; a link is its secret, and read as the hash of it
	beforeSending               // a command that is yet to be sent: a link is its secret and stays so
)

func (r *fields) fail(code, format string, args ...any) {
	if r.err == nil {
		r.err = Errorf(Malformed, code, format, args...)
	}
}

func (r *fields) has(name string) bool {
	for i := range r.list {
		if r.list[i].name == name {
			return true
		}
	}
	return false
}

// take gives the field, or false where it is not there or something was wrong before.
func (r *fields) take(name string, n need) (field, bool) {
	if r.err != nil {
		return field{}, false
	}
	for i := range r.list {
		if f := &r.list[i]; f.name == name {
			f.taken = true
			return *f, true
		}
	}
	if n == required || n == filled && r.from == inLog {
		r.fail("missing_field", "%s%s: is required and missing", r.within, name)
	}
	return field{}, false
}

// end gives the first mistake, or that a field was not known. r is not to be used after it.
func (r *fields) end() error {
	for i := range r.list {
		if r.err == nil && !r.list[i].taken {
			r.fail("unknown_field", "%s%s: there is no such field", r.within, clip(r.list[i].name))
		}
	}
	err := r.err
	clear(r.list) // they hold on to the whole text
	unused.Put(r)
	return err
}

func (r *fields) string(name string, n need) (string, bool) {
	f, ok := r.take(name, n)
	if ok && f.is != isString {
		r.fail("bad_field", "%s%s: want a string", r.within, name)
		return "", false
	}
	if ok && f.s == "" {
		r.fail("bad_field", "%s%s: is empty; leave it out or give it a value", r.within, name)
		return "", false
	}
	return f.s, ok
}

// wrap says in which field a value was wrong.
func (r *fields) wrap(name string, err error) {
	if e, ok := err.(*Error); ok && r.err == nil {
		r.fail(e.Code, "%s%s: %s", r.within, name, e.Message)
	}
}

func (r *fields) account(name string, v *Account, n need) {
	if s, ok := r.string(name, n); ok {
		a, err := ParseAccount(s)
		r.wrap(name, err)
		*v = a
	}
}

func (r *fields) resource(name string, v *Resource, n need) {
	if s, ok := r.string(name, n); ok {
		a, err := ParseResource(s)
		r.wrap(name, err)
		*v = a
	}
}

func (r *fields) kind(name string, v *Kind, n need) {
	if s, ok := r.string(name, n); ok {
		k, err := ParseName("kind", s)
		r.wrap(name, err)
		*v = Kind(k)
	}
}

func (r *fields) name(name string, v *string, n need) {
	if s, ok := r.string(name, n); ok {
		got, err := ParseName("name", s)
		r.wrap(name, err)
		*v = got
	}
}

func (r *fields) action(name string, v *Action, n need) {
	if s, ok := r.string(name, n); ok {
		a, err := ParseAction(s)
		r.wrap(name, err)
		*v = a
	}
}

func (r *fields) token(name string, v *string, n need) {
	s, ok := r.string(name, n)
	if !ok {
		return
	}
	if !validToken(s) {
		r.fail("bad_field", "%s%s: want at most %d printable ASCII characters without spaces around them", r.within, name, MaxToken)
		return
	}
	*v = s
}

func (r *fields) text(name string, v *string, max int, n need) {
	s, ok := r.string(name, n)
	if !ok {
		return
	}
	if r.sealed && max == MaxText {
		max *= 2 // ciphertext, in base64
	}
	if len(s) > max {
		r.fail("too_long", "%s%s: is %d bytes long, at most %d are kept", r.within, name, len(s), max)
		return
	}
	*v = s
}

func (r *fields) instant(name string, v *Instant, n need) {
	if s, ok := r.string(name, n); ok {
		t, err := ParseInstant(s)
		r.wrap(name, err)
		*v = t
	}
}

func (r *fields) number(name string, v *uint64, n need) {
	f, ok := r.take(name, n)
	if !ok {
		return
	}
	u, err := strconv.ParseUint(f.s, 10, 63)
	if f.is != isNumber && !(r.loose && f.is == isString) || err != nil || u == 0 {
		r.fail("bad_field", "%s%s: want a whole number from 1", r.within, name)
		return
	}
	*v = u
}

// link reads a one-time link. Its secret goes no further than this: what is kept, shown and compared is its Digest. A
// secret that looks like a digest is hashed like any other.
func (r *fields) link(name string, v *string) {
	n := optional
	if r.from == inLog {
		if r.version < 2 {
			return // there is no such field
		}
		n = required
	}
	s, ok := r.string(name, n)
	secret := r.from == inCommand || r.from == beforeSending
	switch {
	case !ok:
	case secret && !validSecret(s):
		r.fail("bad_link", "%s%s: want the secret of a one-time link, %d to %d printable ASCII characters without spaces", r.within, name, minSecret, maxSecret)
	case r.from == inCommand:
		*v = Digest([]byte(s))
	case !secret && !validDigest(s):
		r.fail("bad_link", "%s%s: want the hash of a one-time link, sha256: and 64 of 0-9 and a-f", r.within, name)
	default:
		*v = s
	}
}

func (r *fields) flag(name string, v *bool) {
	f, ok := r.take(name, optional)
	if !ok {
		return
	}
	if f.is != isBool && !(r.loose && (f.s == "true" || f.s == "false")) {
		r.fail("bad_field", "%s%s: want true or false", r.within, name)
		return
	}
	*v = f.s == "true"
}

// readObject reads s, which must be one object and nothing else.
func readObject(s string) (*fields, error) {
	p := parser{s: s}
	r := unused.Get().(*fields)
	*r = fields{list: r.list[:0]}
	if err := p.object(r); err != nil {
		return nil, err
	}
	if p.space(); p.i != len(s) {
		return nil, p.bad("nothing after the object")
	}
	return r, nil
}

// unused keeps fields for the next object: they are a third of what reading an event would allocate.
var unused = sync.Pool{New: func() any { return &fields{list: make([]field, 0, 12)} }}

type parser struct {
	s string
	i int
}

func (p *parser) bad(want string) error {
	return Errorf(Malformed, "bad_json", "JSON at byte %d: want %s", p.i, want)
}

func (p *parser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\n' || p.s[p.i] == '\r') {
		p.i++
	}
}

// next skips white space and the byte c, or tells that something else is there.
func (p *parser) next(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) object(r *fields) error {
	if !p.next('{') {
		return p.bad("an object")
	}
	if p.next('}') {
		return nil
	}
	for {
		p.space()
		name, err := p.string()
		if err != nil {
			return err
		}
		if !p.next(':') {
			return p.bad("a colon after the name")
		}
		if r.has(name) {
			return Errorf(Malformed, "bad_json", "JSON at byte %d: field %q stands there twice", p.i, clip(name))
		}
		f, err := p.value()
		if err != nil {
			return err
		}
		f.name = name
		r.list = append(r.list, f)
		if p.next('}') {
			return nil
		}
		if !p.next(',') {
			return p.bad("a comma or the object's end")
		}
	}
}

func (p *parser) value() (field, error) {
	p.space()
	if p.i == len(p.s) {
		return field{}, p.bad("a value")
	}
	start := p.i
	switch c := p.s[p.i]; {
	case c == '"':
		s, err := p.string()
		return field{s: s, is: isString}, err
	case c == '{':
		if err := p.skipObject(); err != nil {
			return field{}, err
		}
		return field{s: p.s[start:p.i], is: isObject}, nil
	case c >= '0' && c <= '9':
		for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
			p.i++
		}
		if c == '0' && p.i-start > 1 {
			return field{}, p.bad("a number without a leading zero")
		}
		return field{s: p.s[start:p.i], is: isNumber}, nil
	case len(p.s)-p.i >= 4 && p.s[p.i:p.i+4] == "true":
		p.i += 4
		return field{s: "true", is: isBool}, nil
	case len(p.s)-p.i >= 5 && p.s[p.i:p.i+5] == "false":
		p.i += 5
		return field{s: "false", is: isBool}, nil
	}
	return field{}, p.bad("a string, a whole number, true, false or an object")
}

// skipObject moves past an object to its closing brace. What is in it is read, strictly, when it is asked for.
func (p *parser) skipObject() error {
	for depth := 0; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				p.i++
				return nil
			}
		case '"':
			for p.i++; p.i < len(p.s) && p.s[p.i] != '"'; p.i++ {
				if p.s[p.i] == '\\' {
					p.i++
				}
			}
		}
	}
	return p.bad("the object's end")
}

// string reads a string with its quotes. Without escapes it is a piece of the input, not a copy.
func (p *parser) string() (string, error) {
	if p.i == len(p.s) || p.s[p.i] != '"' {
		return "", p.bad("a string")
	}
	p.i++
	start, ascii := p.i, true
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			s := p.s[start:p.i]
			p.i++
			if !ascii && !utf8.ValidString(s) {
				return "", p.bad("valid UTF-8")
			}
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.bad("no control character inside a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", p.bad("the string's end")
}

// escaped reads on from the first backslash of a string that began at start.
func (p *parser) escaped(start int) (string, error) {
	b := append(make([]byte, 0, 2*(p.i-start)+16), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				return "", p.bad("valid UTF-8")
			}
			return string(b), nil
		case c < 0x20:
			return "", p.bad("no control character inside a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		if p.i == len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			u, ok := p.hex4()
			if !ok {
				return "", p.bad("four hex digits after \\u")
			}
			if utf16.IsSurrogate(u) {
				if p.i+1 >= len(p.s) || p.s[p.i] != '\\' || p.s[p.i+1] != 'u' {
					return "", p.bad("the second half of a surrogate pair")
				}
				p.i += 2
				low, ok := p.hex4()
				if u = utf16.DecodeRune(u, low); !ok || u == utf8.RuneError {
					return "", p.bad("the second half of a surrogate pair")
				}
			}
			b = utf8.AppendRune(b, u)
		default:
			return "", p.bad(`one of "\/bfnrtu after a backslash`)
		}
	}
	return "", p.bad("the string's end")
}

func (p *parser) hex4() (rune, bool) {
	if len(p.s)-p.i < 4 {
		return 0, false
	}
	u, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	p.i += 4
	return rune(u), err == nil
}

// appendString appends s as a JSON string. s is valid UTF-8: whoever took it in saw to that.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}
