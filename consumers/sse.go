package consumers

// Server-Sent Events as they are read: lines into events, as the HTML standard has it (§9.2.6). What events mean is
// follow.go's; nothing here knows of changes, and nothing is kept between connections.

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// maxSSE bounds a line, and the data of one event, in bytes: well above any change (an action has at most 128 bytes), and
// low enough that a peer which never ends a line costs little.
const maxSSE = 1 << 20

var errSSETooLong = errors.New("a line or the data of an event is longer than 1 MiB")

// An sseEvent is one event of a stream.
type sseEvent struct {
	name string // "message" where the stream gave none
	id   string // of its own id line; "" where there is none, or an empty one
	data []byte // its data lines, joined by line feeds
}

// An sseReader reads the events of one connection.
type sseReader struct {
	r     *bufio.Reader
	line  []byte
	begun bool          // something was read: no byte order mark may follow
	cr    bool          // the line before ended in CR, so that a LF would still belong to its end
	retry time.Duration // how long to wait at least before connecting again, as the server asked; 0: it did not
}

func newSSEReader(r io.Reader) *sseReader { return &sseReader{r: bufio.NewReaderSize(r, 32<<10)} }

// next gives the next event that has data, as the standard dispatches no other. Errors: the reader's; io.EOF at the end,
// also in the middle of an event, which was never whole and is not given.
func (s *sseReader) next() (sseEvent, error) {
	e := sseEvent{name: "message"}
	hasData := false
	for {
		line, err := s.readLine()
		if err != nil {
			return sseEvent{}, err
		}
		if len(line) == 0 {
			if hasData {
				return e, nil
			}
			e = sseEvent{name: "message"}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":")) // a comment is a field without a name
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name = "message"
			if len(value) > 0 {
				e.name = string(value)
			}
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				e.id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				s.retry = time.Duration(ms) * time.Millisecond
			}
		case "data":
			if hasData {
				e.data = append(e.data, '\n')
			}
			hasData = true
			if e.data = append(e.data, value...); len(e.data) > maxSSE {
				return sseEvent{}, errSSETooLong
			}
		}
	}
}

// readLine gives a line without its end, which is CR, LF or both; it is valid until the next call. After a CR it does not
// wait for what follows: the event may be over, and nothing more come for a while.
func (s *sseReader) readLine() ([]byte, error) {
	s.line = s.line[:0]
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return nil, err
		}
		after := s.cr
		s.cr = c == '\r'
		switch {
		case c == '\n' && after: // the rest of an end
			continue
		case c == '\n' || c == '\r':
			if !s.begun {
				s.begun = true
				s.line = bytes.TrimPrefix(s.line, []byte("\ufeff"))
			}
			return s.line, nil
		}
		if s.line = append(s.line, c); len(s.line) > maxSSE {
			return nil, errSSETooLong
		}
	}
}
