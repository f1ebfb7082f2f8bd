package main

// An http.RoundTripper that hands requests to a handler in the same process, streaming the answer. It exists so that
// --data and --server are one way of asking; there is no port and no copy of the whole answer.

import (
	"io"
	"net/http"
)

type inProcess struct{ handler http.Handler }

// RoundTrip returns when the handler has begun its answer. A handler that panics to cut its answer (http.ErrAbortHandler)
// makes reading the body fail, as a cut connection would.
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	answer := &answerWriter{header: make(http.Header), body: w, begun: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			err := error(nil)
			if cut := recover(); cut == http.ErrAbortHandler {
				err = io.ErrUnexpectedEOF
			} else if cut != nil {
				panic(cut)
			}
			answer.WriteHeader(http.StatusOK)
			w.CloseWithError(err) // nil ends the body
		}()
		in := req.Clone(req.Context())
		in.RequestURI = req.URL.RequestURI()
		in.RemoteAddr = "in-process"
		in.Host = req.URL.Host
		if in.Body == nil {
			in.Body = http.NoBody
		}
		p.handler.ServeHTTP(answer, in)
	}()
	<-answer.begun
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, ContentLength: -1, Request: req,
		Body: handlerBody{body, done},
	}, nil
}

// handlerBody waits for the handler when it is closed, so that nothing reads the ledger after its client is done.
type handlerBody struct {
	*io.PipeReader
	done <-chan struct{}
}

func (b handlerBody) Close() error {
	err := b.PipeReader.Close() // the handler's next write fails
	<-b.done
	return err
}

// answerWriter is the handler's side.
type answerWriter struct {
	header http.Header
	sent   http.Header // as it was when the answer began
	status int
	body   *io.PipeWriter
	begun  chan struct{}
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	close(w.begun)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush does nothing: every write is already at its reader.
func (w *answerWriter) Flush() { w.WriteHeader(http.StatusOK) }
