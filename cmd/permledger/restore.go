package main

// restore: ledgers made again from a backup, in a data directory that no service has open. It leaves a whole ledger or none.

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

func newRestoreCommand(a *app) *cobra.Command {
	var m maker
	var o ledger.RestoreOptions
	cmd := &cobra.Command{
		Use:     "restore DIR --data NEWDIR",
		Short:   "Make ledgers again from a backup",
		GroupID: groupLedger,
		Long: `restore makes the ledgers of a backup again, or that of --org, in a data directory that has none of them, or with --nats on
a NATS server: the same events under the same seqs and ids, byte for byte, and the keys of the personal texts where
the backup has them. The backup is checked as it is read, and the new log is read back and compared with it before it
counts. A ledger is restored whole or not at all.

The restored log is another than the lost one, by the time at which it was made, and everybody notices:
  - A data directory that still has a projection of the lost ledger is refused, since the projection may know more than the
    backup has. Restore into a new directory, or give --wipe-projection to have it made again from the restored log.
  - Cursors of the change feed are of the lost log. Whoever follows is told must_refetch, fetches the state as it is now
    and follows on from there. Subscribers are not restored: they register again.

What was recorded after the backup was made is not in it. A backup with --projection is ready sooner; with
--without-projection that is left aside, e.g. because it alone is damaged.`,
		Example: `  permledger restore ./backup-2026-01-05 --data ./ledger
  permledger restore ./backup-2026-01-05 --data ./ledger --org acme --nats tls://nats.example:4222 --creds ./permledger.creds`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.global.needData("restore"); err != nil {
				return err
			}
			if err := m.nats.check(); err != nil {
				return err
			}
			if a.global.org != "" {
				var err error
				if o.Org, err = domain.ParseOrg(a.global.org); err != nil {
					return err
				}
			}
			b, err := ledger.OpenBackup(args[0])
			if err != nil {
				return err
			}
			begun := time.Now()
			var done []ledger.BackedUp
			err = m.make(cmd.Context(), a, m.nats.options.URL == "", func(s *ledger.Service) (err error) {
				done, err = a.restore(cmd.Context(), s, b, o, args[0])
				return err
			})
			if err != nil {
				return err
			}
			took := time.Since(begun)
			body, err := json.Marshal(map[string]any{"data": a.global.data, "ledgers": done})
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if a.global.json {
					return nil
				}
				for _, l := range done {
					s.line("Restored %s of %s, as it was at %s, into %s.", backedUp(l), l.Org, s.time(l.LastAt.String()), a.global.data)
				}
				s.dim("It took %s. The new log was compared with the backup, byte by byte.", took.Round(time.Millisecond))
				s.next(a.global.again("serve"))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&o.WipeProjection, "wipe-projection", false, "throw away a projection that is left of the lost ledger")
	cmd.Flags().BoolVar(&o.WithoutProjection, "without-projection", false, "make what follows from the events anew, also where the backup has it")
	m.nats.register(cmd)
	return cmd
}

func (a *app) restore(ctx context.Context, s *ledger.Service, b *ledger.Backup, o ledger.RestoreOptions, dir string) ([]ledger.BackedUp, error) {
	bar := a.progressBar("Restoring "+dir, b.Size(o.Org))
	defer bar.stop()
	done, err := s.Restore(ctx, b, o, bar.set)
	if err != nil && ctx.Err() != nil {
		err = domain.Errorf(domain.Unavailable, "interrupted", "restoring %s: interrupted; what was not whole by then was taken back", dir)
	}
	return done, err
}
