package main

// backup and backup verify: a copy of whole ledgers in a directory of its own, and whether one is still as it was written.
// The files come from the service, over HTTP or in process; how they lie in the directory is package ledger's.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newBackupCommand(a *app) *cobra.Command {
	var withoutKeys, projection bool
	cmd := &cobra.Command{
		Use:     "backup DIR",
		Short:   "Copy whole ledgers into a new directory, also while they are in use",
		GroupID: groupLedger,
		Long: `backup copies the ledger of every organisation, or that of --org, into a new directory: every event as the log has it,
under its seq and id, up to the one that was the last just then. Commands go on meanwhile. A directory that is there
is never written over, and one without a manifest.json is a backup that was never finished.

THE BACKUP HOLDS THE KEYS of the personal texts (reasons, names of people), because without them nobody reads those
texts again. Whoever has the backup reads them all: keep it as the ledger itself is kept. And erasing a person later
does not erase that person's texts from backups that were made before: delete those when they have served. With
--without-keys the keys are left out; what is restored from such a backup has the texts as if all had been erased.

The change feed and its subscribers are not in it: a restored ledger's feed is made anew, and who subscribed registers
again.`,
		Example: `  permledger backup ./backup-2026-01-05
  permledger backup ./backup-2026-01-05 --data ./ledger --org acme --projection
  permledger backup verify ./backup-2026-01-05`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			if a.global.org != "" {
				org, err := domain.ParseOrg(a.global.org)
				if err != nil {
					return err
				}
				q.Set("org", string(org))
			}
			if withoutKeys {
				q.Set("without_keys", "true")
			}
			if projection {
				q.Set("projection", "true")
			}
			return a.backUp(cmd.Context(), args[0], q)
		},
	}
	cmd.Flags().BoolVar(&withoutKeys, "without-keys", false, "leave out the keys of the personal texts: they can't be read again from this backup")
	cmd.Flags().BoolVar(&projection, "projection", false, "with what follows from the events, so that restoring need not compute it again; the backup gets larger")
	cmd.AddCommand(newBackupVerifyCommand(a))
	return cmd
}

func (a *app) backUp(ctx context.Context, dir string, q url.Values) (err error) {
	c, err := a.client(ctx, ledger.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	out, err := ledger.NewBackupDir(dir)
	if err != nil {
		return err
	}
	err = a.receiveBackup(ctx, c, "/admin/backup?"+q.Encode(), out)
	var m ledger.Manifest
	var manifest []byte
	if err == nil {
		m, manifest, err = out.Finish()
	}
	if err != nil {
		return errors.Join(err, out.Abandon())
	}
	return a.print(manifest, func(s *screen, _ []byte) error {
		if a.global.json {
			return nil
		}
		for _, l := range m.Ledgers {
			s.line("Backed up %s of %s, up to %s.", backedUp(l), l.Org, s.time(l.LastAt.String()))
		}
		if m.Warning != "" {
			s.line("%s", m.Warning)
		}
		s.next("permledger backup verify " + quoted(dir))
		return nil
	})
}

// receiveBackup writes the files of the answer.
func (a *app) receiveBackup(ctx context.Context, c *client, path string, out *ledger.BackupDir) error {
	bar := a.progressBar("Backing up", 0)
	defer bar.stop()
	events, read := 0, int64(0)
	return c.files(ctx, path, func(name string, from io.Reader) error {
		to, err := out.Create(name)
		if err != nil {
			return err
		}
		lines := strings.HasSuffix(name, "/events.ndjson")
		_, err = io.Copy(writerFunc(func(b []byte) (int, error) {
			if lines {
				events += bytes.Count(b, []byte{'\n'})
			}
			read += int64(len(b))
			bar.set(events, read)
			return to.Write(b)
		}), from)
		return err
	})
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// backedUp says what a backup holds of a ledger.
func backedUp(l ledger.BackedUp) string {
	parts := []string{plural(int(l.Events.Count), "event", "events")}
	if l.Keys != nil {
		parts = append(parts, plural(int(l.Keys.Count), "key", "keys"))
	} else {
		parts = append(parts, "no keys")
	}
	if l.Projection != nil {
		parts = append(parts, "the projection")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// files hands over the files of an answer of several, one after another; what take leaves of one is passed over. Errors: as
// open's, also where the service says so after some files.
func (c *client) files(ctx context.Context, path string, take func(name string, from io.Reader) error) error {
	body, err := c.open(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewReaderSize(body, 256<<10)
	first, err := in.ReadString('\n') // a multipart body begins with its boundary
	boundary, ok := strings.CutPrefix(strings.TrimRight(first, "\r\n"), "--")
	if err != nil || !ok || boundary == "" {
		return c.cut(ctx, int64(len(first)), fmt.Errorf("want several files, got none: %w", errors.Join(err, io.ErrUnexpectedEOF)))
	}
	files := multipart.NewReader(io.MultiReader(strings.NewReader(first), in), boundary)
	for n := 0; ; n++ {
		part, err := files.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.unreachable(ctx, fmt.Errorf("the answer was cut after %d files: %w", n, err))
		}
		if name := part.Header.Get(api.FileHeader); name != api.ProblemFile {
			if err := take(name, part); err != nil {
				if errors.Is(err, io.ErrUnexpectedEOF) {
					err = c.unreachable(ctx, fmt.Errorf("the answer was cut within %s: %w", name, err))
				}
				return err
			}
			continue
		}
		var problem struct {
			Detail, Code string
			Status       int
			Failure      domain.Failure
		}
		if err := json.NewDecoder(part).Decode(&problem); err != nil {
			return c.unreachable(ctx, err)
		}
		return domain.Errorf(failureOf(problem.Status, problem.Failure), problem.Code, "%s", problem.Detail)
	}
}

func newBackupVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Whether a backup is still as it was written",
		Long: `verify reads a whole backup: every file against its checksum, every event decoded, of its organisation, in its place and
not before the one before it, every key. It needs no service and no ledger. Exit code 6 says that the backup is damaged or
was never finished; the lines on stderr say which files.`,
		Example: `  permledger backup verify ./backup-2026-01-05`,
		Args:    arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := ledger.OpenBackup(args[0])
			if err != nil {
				return err
			}
			if err := a.verifyBackup(cmd.Context(), b, args[0]); err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"directory": args[0], "sound": true, "manifest": b.Manifest})
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if a.global.json {
					return nil
				}
				s.line("The backup %s of %s is as it was written.", args[0], s.time(b.Begun.String()))
				for _, l := range b.Ledgers {
					s.line("%s: events %d to %d, each read and in its place, up to %s; compared by SHA-256: %s.", l.Org, l.First, l.Last, s.time(l.LastAt.String()), backedUp(l))
				}
				if b.Warning != "" {
					s.line("%s", b.Warning)
				}
				return nil
			})
		},
	}
}

func (a *app) verifyBackup(ctx context.Context, b *ledger.Backup, dir string) error {
	bar := a.progressBar("Verifying "+dir, b.Size(""))
	defer bar.stop()
	return b.Verify(ctx, bar.set)
}
