package main

// export: a ledger as a history that import takes, on stdout. What is said about it goes to stderr.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newExportCommand(a *app) *cobra.Command {
	var format, catalogueOut string
	cmd := &cobra.Command{
		Use:     "export --catalogue-out FILE.yaml > FILE.ndjson",
		Short:   "Write a ledger as a history that import takes",
		GroupID: groupLedger,
		Long: `export writes every event but the first as a line of a history, on stdout, in the form that permledger import takes. The
first event adopts the role catalogue with which import has to be given the history: --catalogue-out writes it to a file.

Importing what was exported gives a ledger with the same events at the same seqs: times, actors, sources, reasons, request ids
and data are the same, and exporting it again gives the same bytes. Event ids are new. To get those back as well, and to
keep a ledger safe, use permledger backup.

The personal texts are in it, readable: keep it as the ledger itself is kept. A text that was erased is not in it; where it
was a reason, the line says "` + "(erased)" + `". How many there were is said on stderr.`,
		Example: `  permledger export --data ./ledger --org acme --catalogue-out acme.yaml > acme.ndjson
  permledger import --data ./copy --org acme --catalogue ./acme.yaml acme.ndjson`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case format != "ndjson":
				return domain.Errorf(domain.Malformed, "bad_flag", "--format %q: want ndjson", format)
			case a.global.json:
				return domain.Errorf(domain.Malformed, "bad_flag", "export: gives many JSON documents, one a line; leave --json out")
			}
			return a.export(cmd.Context(), catalogueOut)
		},
	}
	cmd.Flags().StringVar(&format, "format", "ndjson", "form of the history: ndjson")
	cmd.Flags().StringVar(&catalogueOut, "catalogue-out", "", "write the catalogue that the ledger began with to this new file")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"ndjson"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) export(ctx context.Context, catalogueOut string) (err error) {
	catalogue, err := newFile(catalogueOut)
	if err != nil {
		return err
	}
	defer func() {
		if e := catalogue.end(err == nil); err == nil {
			err = e
		}
	}()
	var sum ledger.Exported
	err = a.withClient(ctx, func(c *client) error {
		bar := &bar{}
		if _, shown := terminal(a.out); !shown { // both would be one on top of the other
			bar = a.progressBar("Exporting", 0)
		}
		defer bar.stop()
		events, read := 0, int64(0)
		return c.files(ctx, c.path("export", nil), func(name string, from io.Reader) error {
			switch name {
			case "catalogue.yaml":
				_, err := io.Copy(catalogue, from)
				return err
			case "history.ndjson":
				_, err := io.Copy(writerFunc(func(b []byte) (int, error) {
					events += bytes.Count(b, []byte{'\n'})
					read += int64(len(b))
					bar.set(events, read)
					n, err := a.out.Write(b)
					if err != nil {
						err = fmt.Errorf("writing the history: %w", err)
					}
					return n, err
				}), from)
				return err
			}
			return json.NewDecoder(from).Decode(&sum)
		})
	})
	if err != nil {
		return err
	}
	if sum.Seq == 0 {
		return domain.Errorf(domain.Unreachable, "not_permledger", "exporting: the answer ended before its end; what was written is not whole")
	}
	fmt.Fprintf(a.err, "Exported %s of %s, seq 2 to %d.\n", plural(sum.Events, "event", "events"), sum.Org, sum.Seq)
	if sum.Erased > 0 {
		fmt.Fprintf(a.err, "%s not in it: erased.\n", plural(sum.Erased, "personal text is", "personal texts are"))
	}
	if catalogueOut == "" {
		fmt.Fprintln(a.err, "To import it give the catalogue that seq 1 adopts: export it as well with --catalogue-out FILE.")
	}
	return nil
}

// createdFile is a file that was not there before. end keeps it or takes it back.
type createdFile struct {
	name string
	file *os.File // nil: none
}

// newFile makes the file; name "" is none, which takes everything.
func newFile(name string) (*createdFile, error) {
	if name == "" {
		return &createdFile{}, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, domain.Errorf(domain.Malformed, "no_file", "--catalogue-out %s: it is there already; name a new file", name)
	}
	if err != nil {
		return nil, fileError("writing the catalogue to", name, err)
	}
	return &createdFile{name, f}, nil
}

func (f *createdFile) Write(b []byte) (int, error) {
	if f.file == nil {
		return len(b), nil
	}
	return f.file.Write(b)
}

func (f *createdFile) end(keep bool) error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	if !keep || err != nil {
		err = errors.Join(err, os.Remove(f.name))
	}
	return err
}
