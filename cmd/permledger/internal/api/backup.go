package api

// What a running service gives for a backup or an export: several files in one answer, as multipart/mixed, each part named by
// the header Permledger-File. An answer that ends without its last part (manifest.json, export.json) is not whole. What goes
// wrong once it has begun is its last part instead: a problem as everywhere. Nothing here writes a file.

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"time"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// FileHeader names the file that a part of an answer is.
const FileHeader = "Permledger-File"

// ProblemFile is the part that says why an answer ends before its end.
const ProblemFile = "problem.json"

// backup gives the files of a backup: ?org= of one organisation, ?without_keys=true without the keys of the sealed texts,
// ?projection=true with the projection.
func (s *server) backup(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "org", "without_keys", "projection")
	if err != nil {
		return err
	}
	var o ledger.BackupOptions
	if o.WithoutKeys, err = p.flag("without_keys"); err != nil {
		return err
	}
	if o.Projection, err = p.flag("projection"); err != nil {
		return err
	}
	if p["org"] != "" {
		if o.Org, err = domain.ParseOrg(p["org"]); err != nil {
			return err
		}
	}
	return s.files(w, r, func(ctx context.Context, out *fileParts) error {
		return s.service.Backup(ctx, o, out)
	})
}

// export gives a ledger as a history: catalogue.yaml, history.ndjson and, last, what is in it.
func (s *server) export(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	l, err := s.ledger(r)
	if err != nil {
		return err
	}
	document, err := l.FirstCatalogue(r.Context())
	if err != nil {
		return err
	}
	return s.files(w, r, func(ctx context.Context, out *fileParts) error {
		if err := out.file("catalogue.yaml", document); err != nil {
			return err
		}
		history, err := out.Create("history.ndjson")
		if err != nil {
			return err
		}
		sum, err := l.Export(ctx, history)
		if err != nil {
			return err
		}
		return out.file("export.json", append(marshal(sum), '\n'))
	})
}

// files answers with what write makes. Until the first file is begun an error is an answer of its own, afterwards a part.
func (s *server) files(w http.ResponseWriter, r *http.Request, write func(ctx context.Context, out *fileParts) error) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)() // it may take long, and has no part in a graceful end
	taker := &taker{w: w, control: http.NewResponseController(w), takeWait: s.takeWait}
	out := &fileParts{multipart: multipart.NewWriter(taker)}
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+out.multipart.Boundary())
	if r.Method == http.MethodHead { // whoever looks whether it is there does not want all of it read
		return nil
	}
	err := write(ctx, out)
	if err == nil {
		return out.multipart.Close()
	}
	if taker.gone || r.Context().Err() != nil { // a client that left is no news
		panic(http.ErrAbortHandler)
	}
	if !out.begun {
		w.Header().Del("Content-Type")
		return err
	}
	if s.closing.Err() != nil && errors.Is(err, context.Canceled) {
		err = domain.Errorf(domain.Unavailable, "stopping", "the service is being stopped; ask again when it is back")
	}
	id := w.Header().Get(requestIDHeader)
	p := problemOf(err, id)
	if p.Code == "internal" {
		s.logger.Error("request failed", "error", err, "request_id", id)
	}
	if err := out.file(ProblemFile, append(marshal(p), '\n')); err != nil {
		return err
	}
	return out.multipart.Close()
}

// fileParts is a multipart answer as ledger.BackupFiles.
type fileParts struct {
	multipart *multipart.Writer
	begun     bool
}

// Create implements ledger.BackupFiles.
func (p *fileParts) Create(name string) (io.Writer, error) {
	p.begun = true
	return p.multipart.CreatePart(textproto.MIMEHeader{FileHeader: {name}})
}

func (p *fileParts) file(name string, b []byte) error {
	w, err := p.Create(name)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// A taker writes an answer that may take longer than any other: its client has some time for each piece, and not for the
// whole.
type taker struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	takeWait time.Duration
	gone     bool
}

func (t *taker) Write(b []byte) (int, error) {
	if err := t.control.SetWriteDeadline(time.Now().Add(t.takeWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		t.gone = true
		return 0, err
	}
	n, err := t.w.Write(b)
	t.gone = err != nil
	return n, err
}
