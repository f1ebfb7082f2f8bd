package main

// serve: the service. All wiring is here: what is opened, who gets what, in which order it ends. It decides nothing.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/cmd/permledger/internal/natsapi"
	"github.com/permledger/permledger/domain"
)

const (
	// Bounds on one request. A slow client must not hold a connection for ever; a large answer takes its time.
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = 10 * time.Minute
	idleTimeout   = 2 * time.Minute
	// stopWait bounds how long requests under way may take after the service was told to stop.
	stopWait = 15 * time.Second
)

func newServeCommand(a *app) *cobra.Command {
	var nats natsFlags
	var listen, natsListen string
	cmd := &cobra.Command{
		Use:     "serve --data DIR",
		Short:   "Serve the ledgers of a data directory over HTTP",
		GroupID: groupLedger,
		Long: `serve answers and records over HTTP until it is interrupted. It answers at once; /readyz says ready when every ledger
has caught up with its log. While it runs, the ledgers' own clock records what begins and what runs out by itself, as
validity.started and validity.ended.

This version has no access control, so it listens on a loopback address only. To reach it from elsewhere put a proxy
that authenticates in front of it.`,
		Example: `  permledger serve --data ./ledger
  permledger serve --data ./ledger --listen 127.0.0.1:8080
  permledger serve --data ./ledger --nats-listen 127.0.0.1:4222
  permledger serve --data ./ledger --nats tls://nats.example:4222 --creds ./permledger.creds`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.global.needData("serve"); err != nil {
				return err
			}
			if err := nats.check(); err != nil {
				return err
			}
			address, err := loopback("--listen", listen, "127.0.0.1:7420")
			if err != nil {
				return err
			}
			if natsListen != "" && nats.options.URL != "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "--nats-listen opens the log of the data directory: with --nats subscribers reach the NATS server that is named there")
			}
			if natsListen != "" {
				if nats.options.Listen, err = loopback("--nats-listen", natsListen, "127.0.0.1:4222"); err != nil {
					return err
				}
			}
			return a.serve(cmd.Context(), address, ledger.Options{Data: a.global.data, NATS: nats.options, Logger: a.logger(), Clock: true, Feed: true, Webhooks: true})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:7420", "address to listen on, of this machine only; port 0 takes a free one")
	cmd.Flags().StringVar(&natsListen, "nats-listen", "", "address at which programs of this machine follow changes and ask over NATS, e.g. 127.0.0.1:4222 (default none)")
	cmd.RegisterFlagCompletionFunc("listen", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("nats-listen", cobra.NoFileCompletions)
	nats.register(cmd)
	return cmd
}

// loopback reads an address that a flag gives, as the example does, and refuses what other machines could reach.
func loopback(flag, listen, example string) (*net.TCPAddr, error) {
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "%s %q: want host:port, e.g. %s: %v", flag, listen, example, err)
	}
	if !address.IP.IsLoopback() {
		return nil, domain.Errorf(domain.Malformed, "no_access_control", "%s %s: other machines could reach this address, and access control is not part of this version: listen on a loopback address, e.g. %s, behind a proxy that authenticates", flag, listen, example)
	}
	return address, nil
}

// logger is the service's own: for people on a terminal, for machines elsewhere.
func (a *app) logger() *slog.Logger {
	if _, ok := terminal(a.err); ok {
		return slog.New(slog.NewTextHandler(a.err, nil))
	}
	return slog.New(slog.NewJSONHandler(a.err, nil))
}

// serve serves until ctx ends or the ledgers turn out not to be what they were. The address is taken before anything is
// opened, so that a second service fails before it touches the data; it is given up last of what others see, so that
// no other service takes the port while this one still answers.
func (a *app) serve(ctx context.Context, address *net.TCPAddr, o ledger.Options) (err error) {
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return listenError(address, err)
	}
	defer l.Close()
	service, err := ledger.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if e := service.Close(); err == nil {
			err = e
		}
	}()

	base := "http://" + l.Addr().String()
	closing, letGo := context.WithCancel(ctx)
	defer letGo()
	handler := api.New(api.Options{Service: service, Logger: o.Logger, Closing: closing})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	overNATS, err := natsapi.Start(natsapi.Options{Conn: service.NATS(), HTTP: inProcess{handler}, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		if err := overNATS.Stop(ctx); err != nil { // what was recorded is recorded: no failure of the service's
			o.Logger.Warn("stopping to answer over NATS", "error", err)
		}
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	opening, stopOpening := context.WithCancel(ctx)
	opened := make(chan error, 1)
	idle := make(chan struct{}) // closed when nothing goes on behind the requests any more
	go func() {
		defer close(idle)
		err := service.OpenAll(opening)
		opened <- err
		if err != nil {
			return
		}
		if err := service.Tidy(opening); err != nil {
			o.Logger.Warn("tidying", "error", err)
		}
	}()
	defer func() {
		stopOpening()
		<-idle
	}()
	if err := a.announce(base); err != nil {
		letGo()
		return errors.Join(err, stop(server))
	}

	for {
		select {
		case <-ctx.Done():
			o.Logger.Info("stopping")
			return stop(server)
		case err := <-served:
			return fmt.Errorf("serving %s: %w", base, err)
		case err := <-opened:
			if err != nil && ctx.Err() == nil {
				letGo()
				return errors.Join(err, stop(server))
			}
			opened = nil // never again
			o.Logger.Info("ready")
		}
	}
}

// stop lets requests under way end, for a while, and then cuts them.
func stop(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// announce prints where the service is, on stdout: the one line that a script may wait for.
func (a *app) announce(base string) error {
	body, err := json.Marshal(map[string]string{"address": base})
	if err != nil {
		return err
	}
	return a.print(body, func(s *screen, _ []byte) error {
		if !a.global.json {
			s.line("Serving %s at %s", a.global.data, base)
			s.dim("It answers who could, not who did. Stop it with Ctrl-C.")
		}
		return nil
	})
}

// listenError says what is in the way of an address.
func listenError(address *net.TCPAddr, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return domain.Errorf(domain.Unreachable, "in_use", "listening on %s: the address is in use; stop what has it or choose another with --listen", address)
	}
	return domain.Errorf(domain.Unreachable, "cannot_listen", "listening on %s: %v; choose another with --listen", address, err)
}
