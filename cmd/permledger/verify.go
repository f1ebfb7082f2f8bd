package main

// verify: is the live projection what the log gives, and does all that lies on the disk have its checksum? It changes
// nothing. The work is the service's; rebuild.go shows how far it is.

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newVerifyCommand(a *app) *cobra.Command {
	var sample int
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Check the projection against the log, and both against their checksums",
		GroupID: groupLedger,
		Long: `verify reads all of an organisation's log, makes a projection of it on the side and compares the live one with that: every
key by a digest, and answers to questions picked at random. On the way each event of the log must be the one after the one
before, be stored under its own id, decode, not be recorded before the one before it and be possible after it; the log's
creation and its newest event must be those that the projection was made from. Every block of the projections' tables is
read from the disk and checked against its checksum; the log's messages have theirs checked as they are read.

With --sample N that is done for N events picked at random, each folded again on what the projection says stood before it:
it takes seconds, and finds damage only where it looks.

It says what it compared. The exit code is 0 where all is as it should be, and 6 where something is not.`,
		Example: `  permledger verify
  permledger verify --sample 1000
  permledger verify --data ./ledger --org acme --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if cmd.Flags().Changed("sample") {
				if sample < 1 {
					return domain.Errorf(domain.Malformed, "bad_flag", "--sample %d: want how many events are to be folded again, a whole number from 1", sample)
				}
				q.Set("sample", strconv.Itoa(sample))
			}
			return a.work(cmd.Context(), http.MethodGet, "/admin/verify", q, showVerified)
		},
	}
	cmd.Flags().IntVar(&sample, "sample", 0, "look at so many events picked at random, instead of at all")
	cmd.RegisterFlagCompletionFunc("sample", cobra.NoFileCompletions)
	return cmd
}

func showVerified(s *screen, body []byte) error {
	var v ledger.Verified
	if err := read(body, &v); err != nil {
		return err
	}
	s.line("Tables of the projections: %s, %d bytes read and checked against their checksums.", plural(v.Files.Tables, "file", "files"), v.Files.Bytes)
	read := fmt.Sprintf("all %d events", v.Log.Events)
	switch {
	case !v.Full:
		read = plural(int(v.Log.Events), "event", "events") + ", picked at random"
	case v.Log.Events < uint64(v.Seq):
		read = fmt.Sprintf("the first %d, and no further", v.Log.Events)
	}
	s.line("Log of %s: made at %s, up to event %d (%s); read and decoded: %s.", v.Org, s.time(v.Log.Created.String()), v.Seq, v.Log.Newest, read)
	if !v.Full && (v.Comparison == nil || v.Differing == 0) {
		s.line("Folded again: %s compared, all equal.", plural(v.KeysFolded, "key", "keys"))
	}
	showComparison(s, v.Comparison, v.Seq, "log")
	s.dim("It took %s.", seconds(v.Seconds))
	return nil
}
