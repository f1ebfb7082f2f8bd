package api

// Files in one answer: whole, refused before the first, or with a problem as the last part.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/permledger/permledger/domain"
)

// filesOf takes an answer apart.
func filesOf(t *testing.T, rec *httptest.ResponseRecorder) (names []string, files map[string]string) {
	t.Helper()
	_, params, err := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("status %d, %q, %v: %s", rec.Code, rec.Header().Get("Content-Type"), err, rec.Body)
	}
	files = map[string]string{}
	parts := multipart.NewReader(rec.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		if err != nil {
			t.Fatalf("after %q: %v", names, err)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, part.Header.Get(FileHeader))
		files[names[len(names)-1]] = string(b)
	}
}

func (w *world) download(path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

func TestBackupAndExport(t *testing.T) {
	w := newScenario(t)
	for path, want := range map[string]string{
		"/admin/backup": "acme/events.ndjson acme/keys.ndjson manifest.json",
		"/admin/backup?org=acme&without_keys=true":         "acme/events.ndjson manifest.json",
		"/admin/backup?projection=true&without_keys=false": "acme/projection acme/events.ndjson acme/keys.ndjson manifest.json",
		"/orgs/acme/export":                                "catalogue.yaml history.ndjson export.json",
	} {
		names, files := filesOf(t, w.download(path))
		if got := strings.Join(names, " "); got != want {
			t.Errorf("GET %s: got %s, want %s", path, got, want)
		}
		for name, lines := range map[string]int{"acme/events.ndjson": int(w.ledger.Head()), "history.ndjson": int(w.ledger.Head()) - 1} {
			if f, ok := files[name]; ok && strings.Count(f, "\n") != lines {
				t.Errorf("GET %s: %s has %d lines, want %d", path, name, strings.Count(f, "\n"), lines)
			}
		}
	}
	if a := w.do(http.MethodHead, "/admin/backup", ""); a.status != 200 || a.body != "" {
		t.Errorf("HEAD /admin/backup: got %d with %d bytes", a.status, len(a.body))
	}
	for path, want := range map[string]int{
		"/admin/backup?org=other": 404, "/admin/backup?org=A": 400, "/admin/backup?projection=1": 400, "/admin/backup?all=true": 400,
		"/orgs/other/export": 404, "/orgs/acme/export?limit=3": 400,
	} {
		if rec := w.download(path); rec.Code != want || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s: got %d %s, want %d as a problem", path, rec.Code, rec.Body, want)
		}
	}
}

// TestFilesThatEndInAProblem: what goes wrong after the first file is told with its failure and code, not as a cut line.
func TestFilesThatEndInAProblem(t *testing.T) {
	s := New(Options{}).(*server)
	rec := httptest.NewRecorder()
	err := s.files(rec, httptest.NewRequest(http.MethodGet, "/", nil), func(_ context.Context, out *fileParts) error {
		if err := out.file("first", []byte("1")); err != nil {
			return err
		}
		return domain.Errorf(domain.Integrity, "log_gap", "event 7 is missing")
	})
	if err != nil {
		t.Fatal(err)
	}
	names, files := filesOf(t, rec)
	if got := files[ProblemFile]; len(names) != 2 || !strings.Contains(got, `"code":"log_gap"`) || !strings.Contains(got, `"failure":"integrity"`) {
		t.Fatalf("got %q, want the problem as the last", files)
	}
}

// TestClientLeavesABackup: who interrupts a backup of a running service ends the work there, and the service's log has
// nothing of it but that there was a request.
func TestClientLeavesABackup(t *testing.T) {
	var log bytes.Buffer
	s := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).(*server)
	ended := make(chan error, 1)
	s.mux.Handle("/slow", s.endpoint(func(w http.ResponseWriter, r *http.Request) error {
		return s.files(w, r, func(ctx context.Context, out *fileParts) error {
			if err := out.file("first", []byte("1")); err != nil {
				return err
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
			<-ctx.Done() // as reading the log ends
			ended <- ctx.Err()
			return ctx.Err()
		})
	}))
	service := httptest.NewServer(s)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := service.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the work ended with %v", err)
	}
	resp.Body.Close()
	service.Close() // waits for the handler
	if got := log.String(); !strings.Contains(got, "path=/slow") || strings.Contains(got, "level=ERROR") {
		t.Errorf("the service's log is %q, want the request and no error", got)
	}
}
