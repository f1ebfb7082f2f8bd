package main

// init: a new ledger with a role catalogue and a founder. It leaves a whole ledger or nothing.

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// natsFlags name an external NATS cluster, for the verbs that make or serve ledgers in one.
type natsFlags struct{ options eventstore.Options }

func (n *natsFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&n.options.URL, "nats", "", "keep the log on this NATS server instead of in the data directory, e.g. tls://nats.example:4222")
	f.StringVar(&n.options.Credentials, "creds", "", "credentials file for it")
	f.StringVar(&n.options.CA, "nats-ca", "", "certificates that its own is checked against (default the system's)")
	f.StringVar(&n.options.Cert, "nats-cert", "", "our certificate for it")
	f.StringVar(&n.options.Key, "nats-key", "", "the key of our certificate")
	for _, name := range []string{"creds", "nats-ca", "nats-cert", "nats-key"} {
		cmd.MarkFlagFilename(name)
	}
}

// check refuses what only makes sense with --nats.
func (n *natsFlags) check() error {
	if o := n.options; o.URL == "" && (o.Credentials != "" || o.CA != "" || o.Cert != "" || o.Key != "") {
		return domain.Errorf(domain.Malformed, "bad_flag", "--creds, --nats-ca, --nats-cert and --nats-key say how to reach a NATS server: give its address with --nats")
	}
	return nil
}

// maker is what init and import share: where a ledger is made, and of what.
type maker struct {
	nats      natsFlags
	catalogue string
}

func (m *maker) register(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.catalogue, "catalogue", "", "role catalogue: the name of a shipped one, or a file")
	cmd.RegisterFlagCompletionFunc("catalogue", completeCatalogues)
	m.nats.register(cmd)
}

// prepare reads what the flags say, before anything is made.
func (m *maker) prepare(a *app, verb string) (org domain.Org, document []byte, err error) {
	if err := a.global.needData(verb); err != nil {
		return "", nil, err
	}
	if a.global.org == "" {
		return "", nil, domain.Errorf(domain.Malformed, "bad_flag", "%s: --org is missing; name the organisation, e.g. --org acme", verb)
	}
	if org, err = domain.ParseOrg(a.global.org); err != nil {
		return "", nil, err
	}
	if err := m.nats.check(); err != nil {
		return "", nil, err
	}
	document, err = validCatalogue(m.catalogue)
	return org, document, err
}

// make opens the data directory, made where it is missing, and calls fill. Where that fails, a directory that was made
// here is removed again.
func (m *maker) make(ctx context.Context, a *app, relaxed bool, fill func(*ledger.Service) error) error {
	undo, err := newDirectory(a.global.data)
	if err != nil {
		return err
	}
	s, err := ledger.Open(ctx, ledger.Options{Data: a.global.data, Create: true, NATS: m.nats.options, Relaxed: relaxed, Logger: a.quietLogger(), Asking: true, Fatal: a.fatal})
	if err == nil {
		err = fill(s)
		if e := s.Close(); err == nil {
			err = e
		}
	}
	if err == nil {
		return nil
	}
	if e := undo(); e != nil {
		return errors.Join(err, e)
	}
	return err
}

func newInitCommand(a *app) *cobra.Command {
	var m maker
	var founder string
	cmd := &cobra.Command{
		Use:     "init --data DIR --org NAME --catalogue NAME-or-FILE --founder ACCOUNT",
		Short:   "Make a new ledger with a role catalogue and a founder",
		GroupID: groupLedger,
		Long: `init makes a new ledger for an organisation: the role catalogue is adopted, and the founder's account is opened and
given the catalogue's founder role. From then on every command needs an actor who may.`,
		Example: `  permledger init --data ./ledger --org acme --catalogue minddistrict --founder professional:root
  permledger init --data ./ledger --org acme --catalogue ./roles.yaml --founder professional:root`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			org, document, err := m.prepare(a, "init")
			if err != nil {
				return err
			}
			if founder == "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "init: --founder is missing; name the first account, e.g. --founder professional:root")
			}
			who, err := domain.ParseAccount(founder)
			if err != nil {
				return err
			}
			var made []*domain.Event
			err = m.make(cmd.Context(), a, false, func(s *ledger.Service) error {
				l, err := s.Init(cmd.Context(), org, document, who, "cli")
				if err == nil {
					made, err = l.Events(cmd.Context(), 0, 1000)
				}
				return err
			})
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"events": made, "seq": len(made)})
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, body []byte) error {
				if a.global.json {
					return nil
				}
				var d struct{ Events []event }
				if err := read(body, &d); err != nil {
					return err
				}
				s.line("Made the ledger of %s in %s.", org, a.global.data)
				s.line("")
				s.events(d.Events)
				s.line("")
				s.next(a.global.again("serve"))
				return nil
			})
		},
	}
	m.register(a, cmd)
	cmd.Flags().StringVar(&founder, "founder", "", "the first account, of a kind that may hold the catalogue's founder role")
	cmd.RegisterFlagCompletionFunc("founder", cobra.NoFileCompletions)
	return cmd
}
