package consumers

// Reading Server-Sent Events: what is read of every way in which they may be written.

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// sseEvents reads all events of a stream, and how it ended.
func sseEvents(r io.Reader) (events []sseEvent, err error) {
	s := newSSEReader(r)
	for {
		e, err := s.next()
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

func TestSSE(t *testing.T) {
	event := func(name, id, data string) sseEvent { return sseEvent{name, id, []byte(data)} }
	for _, c := range []struct {
		name, stream string
		want         []sseEvent
	}{
		{"whole", "id: 42~9f2c01ab\nevent: gained\ndata: {\"a\":1}\n\n", []sseEvent{event("gained", "42~9f2c01ab", `{"a":1}`)}},
		{"no space, no name", "data:x\n\n", []sseEvent{event("message", "", "x")}},
		{"one space goes", "data:  x\n\n", []sseEvent{event("message", "", " x")}},
		{"several lines of data", "data: a\ndata\ndata: b\n\n", []sseEvent{event("message", "", "a\n\nb")}},
		{"comments, other fields", ": heartbeat\n\n:\nmore: x\nmore\ndata: a\n: b\n\n", []sseEvent{event("message", "", "a")}},
		{"no data, no event", "event: gained\nid: 1\n\ndata: a\n\n", []sseEvent{event("message", "", "a")}},
		{"empty data", "data\n\n", []sseEvent{{name: "message"}}},
		{"empty id", "id:\nevent: must_refetch\ndata: {}\n\n", []sseEvent{event("must_refetch", "", "{}")}},
		{"the last name counts", "event: a\nevent: b\ndata: x\n\nevent: a\nevent:\ndata: x\n\n", []sseEvent{event("b", "", "x"), event("message", "", "x")}},
		{"an id with NUL", "id: 1\nid: 2\x003\ndata: x\n\n", []sseEvent{event("message", "1", "x")}},
		{"each line end", "event: a\rdata: 1\r\rdata: 2\r\n\r\ndata: 3\n\ndata: 4\r\n\ndata: 5\n\r", []sseEvent{
			event("a", "", "1"), event("message", "", "2"), event("message", "", "3"), event("message", "", "4"), event("message", "", "5")}},
		{"byte order mark", "\ufeffdata: a\n\n\ufeffdata: b\n\n", []sseEvent{event("message", "", "a")}},
		{"cut off", "data: a\n\ndata: b\n", []sseEvent{event("message", "", "a")}},
		{"nothing", "", nil},
	} {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(c.stream)),
		} {
			got, err := sseEvents(r)
			if !reflect.DeepEqual(got, c.want) || err != io.EOF {
				t.Errorf("%s, %s: %q:\ngot  %q, %v\nwant %q, EOF", c.name, how, c.stream, got, err, c.want)
			}
		}
	}
}

// A CR that ends an event ends it at once: what would tell whether a LF belongs to it may not come for hours.
func TestSSEDoesNotWaitBehindCR(t *testing.T) {
	r, w := io.Pipe()
	go w.Write([]byte("data: a\r\r"))
	s := newSSEReader(r)
	if e, err := s.next(); err != nil || string(e.data) != "a" {
		t.Fatalf("got %q, %v, want a", e.data, err)
	}
	w.Close()
}

func TestSSEBounds(t *testing.T) {
	long := strings.Repeat("x", maxSSE)
	for _, c := range []struct {
		name, stream string
		want         error
	}{
		{"a line of the longest", "data:" + long[5:] + "\n\n", io.EOF},
		{"a line too long", "data:" + long + "\n\n", errSSETooLong},
		{"a line without an end", ":" + long + long, errSSETooLong},
		{"too many lines of data", strings.Repeat("data: "+long[:1000]+"\n", 2000) + "\n", errSSETooLong},
	} {
		if _, err := sseEvents(strings.NewReader(c.stream)); err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSSERetry(t *testing.T) {
	s := newSSEReader(strings.NewReader("retry: 1500\nretry: -1\nretry: 9999999999\nretry: x\ndata: a\n\n"))
	if _, err := s.next(); err != nil || s.retry.Milliseconds() != 1500 {
		t.Errorf("got %s, %v, want 1.5s, and what is no number passed over", s.retry, err)
	}
}

// What is read does not depend on how it arrives, nor on which line ends it has.
func FuzzSSE(f *testing.F) {
	f.Add([]byte("id: 1\r\nevent: gained\ndata: a\rdata: b\n\n: c\n\n"))
	f.Add([]byte("\ufeffdata\n\n\r\rid\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		want, end := sseEvents(bytes.NewReader(stream))
		if got, err := sseEvents(iotest.OneByteReader(bytes.NewReader(stream))); !reflect.DeepEqual(got, want) || err != end {
			t.Fatalf("%q byte by byte: got %q, %v, want %q, %v", stream, got, err, want, end)
		}
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(stream))
		for _, ends := range []string{"\n", "\r", "\r\n"} {
			other := strings.ReplaceAll(lines, "\n", ends)
			if got, err := sseEvents(strings.NewReader(other)); !reflect.DeepEqual(got, want) || err != end {
				t.Fatalf("%q: got %q, %v, want %q, %v", other, got, err, want, end)
			}
		}
		for _, e := range want {
			if len(e.data) > maxSSE || strings.ContainsAny(e.name+e.id, "\r\n") {
				t.Fatalf("%q: got %q, want no line ends and bounded data", stream, e)
			}
		}
	})
}
