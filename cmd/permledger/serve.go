package main

// serve: the service. All wiring is here: what is opened, who gets what, in which order it ends. It decides nothing.
//
// Its life: the address is taken, and a gate before it says "starting" (/livez: alive); the data is opened, and the gate
// with it; the ledgers catch up, and /readyz says how far they are. Told to stop, it shuts the gate first, so that /readyz
// and all that is new gets 503, lets followers of the feed go, waits for the requests inside, and only then gives up the
// address and closes the ledgers. What takes longer than --stop-wait is cut; a second signal ends the process at once.

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

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/cmd/permledger/internal/api"
	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/cmd/permledger/internal/natsapi"
	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
	"github.com/permledger/permledger/cmd/permledger/internal/telemetry"
	"github.com/permledger/permledger/domain"
)

const (
	// Bounds on one request. A slow client must not hold a connection for ever; a large answer takes its time.
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = 10 * time.Minute
	idleTimeout   = 2 * time.Minute
	// stopWait bounds how long requests under way may take after the service was told to stop, unless --stop-wait does.
	stopWait = 15 * time.Second
	// cutWait is how long what was cut then has to notice. A command that waits for an external log notices only when the
	// ledgers are closed.
	cutWait = 2 * time.Second
	// catchUpWait is how long a request waits for a ledger that is catching up: a restart after a short stop is not noticed.
	catchUpWait = 3 * time.Second
	// telemetryWait bounds how long the traces that are left may take to be sent at the end.
	telemetryWait = 3 * time.Second
)

// serveFlags are what the service is told besides the global flags.
type serveFlags struct {
	nats       natsFlags
	listen     string
	natsListen string
	allowHosts []string
	stopWait   time.Duration
	logLevel   string
	logFormat  string
}

func (s *serveFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:7420", "address to listen on, of this machine only; port 0 takes a free one")
	f.StringVar(&s.natsListen, "nats-listen", "", "address at which programs of this machine follow changes and ask over NATS, e.g. 127.0.0.1:4222 (default none)")
	f.StringSliceVar(&s.allowHosts, "allow-host", nil, "a name that this service may be called by besides localhost and 127.0.0.1, such as the one that a proxy passes on; may be given several times")
	f.DurationVar(&s.stopWait, "stop-wait", stopWait, "how long requests under way may take when the service is told to stop; then they are cut")
	f.StringVar(&s.logLevel, "log-level", "info", "the least that is logged: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "auto", "how it is logged: json, text, or auto: text on a terminal and json elsewhere")
	for _, name := range []string{"listen", "nats-listen", "allow-host", "stop-wait"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"auto", "json", "text"}, cobra.ShellCompDirectiveNoFileComp))
	s.nats.register(cmd)
}

// serving is what a service is started with.
type serving struct {
	address  *net.TCPAddr
	hosts    []string // names for api.Hosts
	stopWait time.Duration
	ledgers  ledger.Options
}

// options reads the flags. Errors: Malformed, with the flag, variable or line of the file that the mistake is in.
func (s *serveFlags) options(a *app) (o serving, err error) {
	if err := s.nats.check(); err != nil {
		return o, err
	}
	if o.address, err = loopback(a.settings.name("listen"), s.listen, "127.0.0.1:7420"); err != nil {
		return o, err
	}
	nats := s.nats.options
	if s.natsListen != "" && nats.URL != "" {
		return o, domain.Errorf(domain.Malformed, "bad_flag", "%s opens the log of the data directory: with %s subscribers reach the NATS server that is named there", a.settings.name("nats-listen"), a.settings.name("nats"))
	}
	if s.natsListen != "" {
		if nats.Listen, err = loopback(a.settings.name("nats-listen"), s.natsListen, "127.0.0.1:4222"); err != nil {
			return o, err
		}
	}
	for _, name := range s.allowHosts {
		host, err := api.ParseHost(name)
		if err != nil {
			return o, domain.Errorf(domain.Malformed, "bad_flag", "%s: %v", a.settings.name("allow-host"), err)
		}
		o.hosts = append(o.hosts, host)
	}
	if s.stopWait <= 0 {
		return o, domain.Errorf(domain.Malformed, "bad_flag", "%s %s: want a duration above nothing, e.g. %s", a.settings.name("stop-wait"), s.stopWait, stopWait)
	}
	o.stopWait = s.stopWait
	logger, err := s.logger(a)
	o.ledgers = ledger.Options{Data: a.global.data, NATS: nats, Logger: logger, Clock: true, Feed: true, Webhooks: true, Fatal: a.fatal}
	return o, err
}

// logger is the service's own: for people on a terminal, for machines elsewhere, unless it was said.
func (s *serveFlags) logger(a *app) (*slog.Logger, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[s.logLevel]
	if !ok {
		return nil, domain.Errorf(domain.Malformed, "bad_flag", "%s %q: want debug, info, warn or error", a.settings.name("log-level"), s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	_, tty := terminal(a.err)
	switch {
	case s.logFormat == "text" || s.logFormat == "auto" && tty:
		return slog.New(slog.NewTextHandler(a.err, options)), nil
	case s.logFormat == "json" || s.logFormat == "auto":
		return slog.New(slog.NewJSONHandler(a.err, options)), nil
	}
	return nil, domain.Errorf(domain.Malformed, "bad_flag", "%s %q: want auto, json or text", a.settings.name("log-format"), s.logFormat)
}

func newServeCommand(a *app) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:     "serve --data DIR",
		Short:   "Serve the ledgers of a data directory over HTTP",
		GroupID: groupLedger,
		Long: `serve answers and records over HTTP until it is interrupted. /livez answers at once; /readyz says ready when every ledger
has caught up with its log, and until then how far they are. While it runs, the ledgers' own clock records what begins
and what runs out by itself, as validity.started and validity.ended.

Interrupted, it refuses what is new with 503, finishes and answers what is under way, and ends; after --stop-wait it cuts
what is left, and a second signal ends it at once.

This version has no access control, so it listens on a loopback address only. To reach it from elsewhere put a proxy
that authenticates in front of it; where the proxy passes on the name that it was called by, give that with
--allow-host. Any other name gets 421, because a web page can make a browser on this machine ask under one.

Every flag may also be given in the environment or in a file: see permledger config --help. A password belongs there and
not on the command line, which others on this machine can read.`,
		Example: `  permledger serve --data ./ledger
  permledger serve --data ./ledger --listen 127.0.0.1:8080
  permledger serve --data ./ledger --nats-listen 127.0.0.1:4222
  permledger serve --data ./ledger --nats tls://nats.example:4222 --creds ./permledger.creds
  permledger serve --config /etc/permledger/permledger.yaml`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.global.needData("serve"); err != nil {
				return err
			}
			o, err := flags.options(a)
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), o)
		},
	}
	flags.register(cmd)
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

// serve serves until ctx ends or the ledgers turn out not to be what they were. The address is taken before anything is
// opened, so that a second service fails before it touches the data; it is given up last of what others see, so that
// no other service takes the port while this one still answers.
func (a *app) serve(ctx context.Context, o serving) (err error) {
	logger := o.ledgers.Logger
	watching, err := telemetry.New(ctx, telemetry.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { // last, so that what the end of the service has to tell is told
		ctx, cancel := context.WithTimeout(context.Background(), telemetryWait)
		defer cancel()
		if err := watching.Close(ctx); err != nil {
			logger.Warn("sending the traces that are left", "error", err)
		}
	}()
	l, err := net.ListenTCP("tcp", o.address)
	if err != nil {
		return listenError(o.address, err)
	}
	base := "http://" + l.Addr().String()
	gate := api.NewGate()
	server := &http.Server{
		Handler:           api.Watched(api.Hosts(gate, o.hosts), watching, logger),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l); close(served) }()
	defer func() {
		server.Close()
		for range served { // its end was heard of, or is now
		}
	}()

	o.ledgers.Observer = watching
	service, err := ledger.Open(ctx, o.ledgers)
	if err != nil {
		return err
	}
	watching.Watch(service)
	defer func() {
		if e := service.Close(); err == nil {
			err = e
		}
	}()
	closing, letGo := context.WithCancel(context.Background())
	defer letGo()
	handler := api.New(api.Options{Service: service, Logger: logger, Closing: closing, Patience: catchUpWait, Observer: watching, Metrics: watching.Metrics()})
	overNATS, err := natsapi.Start(natsapi.Options{Conn: service.NATS(), HTTP: inProcess{handler}, Logger: logger})
	if err != nil {
		return err
	}
	gate.Open(handler)
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
			logger.Warn("tidying", "error", err)
		}
	}()
	defer func() {
		stopOpening()
		<-idle
	}()
	defer func() { // first of all that ends
		gate.Close()
		letGo()
		bound, cancel := context.WithTimeout(context.Background(), o.stopWait)
		defer cancel()
		if err := overNATS.Stop(bound); err != nil { // what was recorded is recorded: no failure of the service's
			logger.Warn("stopping to answer over NATS", "error", err)
		}
		a.stopServing(bound, server, gate, logger)
	}()

	if err := a.announce(base); err != nil {
		return err
	}
	notify(logger, daemon.SdNotifyReady)

	for {
		select {
		case <-ctx.Done():
			logger.Info("stopping", "requests", gate.Inside())
			notify(logger, daemon.SdNotifyStopping)
			return nil
		case err := <-served:
			return fmt.Errorf("serving %s: %w", base, err)
		case err := <-opened:
			// A damaged ledger answers nothing, and /readyz says why. The service goes on: the other ledgers are sound, it is
			// asked what is wrong (doctor, status), and being started again and again would mend nothing.
			if err != nil && ctx.Err() == nil && !errors.Is(err, domain.Integrity) {
				return err
			}
			opened = nil // never again
			if err == nil {
				err = service.Ready(ctx) // a log of which nobody knew any more may be what its server could not read back
				if err == nil {
					logger.Info("ready")
				} else if ctx.Err() == nil {
					logger.Error("not ready", "error", err, "runbook", runbook.For(err))
				}
			}
		}
	}
}

// stopServing waits for the requests inside the gate, which is closed, and gives up the address. Those that are still there
// when bound ends are cut.
func (a *app) stopServing(bound context.Context, server *http.Server, gate *api.Gate, logger *slog.Logger) {
	if gate.Wait(bound) == nil && server.Shutdown(bound) == nil {
		return
	}
	logger.Warn("requests are cut: they took longer than --stop-wait", "requests", gate.Inside())
	server.Close()
	soon, cancel := context.WithTimeout(context.Background(), cutWait)
	defer cancel()
	if gate.Wait(soon) != nil {
		logger.Warn("requests go on although they were cut", "requests", gate.Inside())
	}
}

// notify tells systemd, where it started the service and asked to be told.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("telling systemd", "state", state, "error", err)
	}
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
