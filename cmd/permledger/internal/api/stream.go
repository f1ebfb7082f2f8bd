package api

// Writing answers. A short one is buffered whole, so that an error on the way is still a problem with its own status; a long
// one goes out as it comes, in pieces of bounded size.

import "net/http"

// sendAt is how much of an answer is gathered before any of it is sent, in bytes.
const sendAt = 64 << 10

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(append(marshal(v), '\n'))
	return err
}

// A stream writes one JSON object with an array of any length in it, or several: open with what stands before the array, add
// its elements, go on to the next array, close with what stands after. An object that was not closed is never valid JSON.
type stream struct {
	w http.ResponseWriter
	b []byte
	n int // elements added to the array that is open
}

// openStream begins an object with the fields of head and then the array named list.
func openStream(w http.ResponseWriter, head any, list string) *stream {
	s := &stream{w: w}
	s.fields(head, '{')
	s.sep('{')
	s.b = append(append(append(s.b, '"'), list...), `":[`...)
	return s
}

// fields appends the fields of v, an object, to the one that is open.
func (s *stream) fields(v any, first byte) {
	b := marshal(v)
	if first == '{' {
		s.b = append(s.b, '{')
	} else if len(b) > 2 {
		s.b = append(s.b, ',')
	}
	s.b = append(s.b, b[1:len(b)-1]...)
}

// sep appends a comma where something stands before in what opened with the byte.
func (s *stream) sep(opened byte) {
	if s.b[len(s.b)-1] != opened {
		s.b = append(s.b, ',')
	}
}

// add appends one element.
func (s *stream) add(v any) error {
	if s.n > 0 {
		s.b = append(s.b, ',')
	}
	s.n++
	s.b = append(s.b, marshal(v)...)
	if len(s.b) < sendAt {
		return nil
	}
	return s.send()
}

// next ends the array and begins another.
func (s *stream) next(list string) {
	s.b = append(append(append(s.b, `],"`...), list...), `":[`...)
	s.n = 0
}

// close ends the array and the object, with the fields of tail between.
func (s *stream) close(tail any) error {
	s.b = append(s.b, ']')
	s.fields(tail, ',')
	s.b = append(s.b, '}', '\n')
	return s.send()
}

func (s *stream) send() error {
	s.w.Header().Set("Content-Type", "application/json")
	_, err := s.w.Write(s.b)
	s.b = s.b[:0]
	return err
}
