package eventstore

// A Store is the way to the logs: the embedded server or the connection to an external one. This file owns opening,
// closing and finding ledgers; it never reads or writes an event.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/permledger/permledger/domain"
)

// Options say where the log lives. Exactly one of Dir and URL is set.
type Options struct {
	Dir     string       // embedded: the directory of the log, made if it is not there; one process at a time has it
	Relaxed bool         // embedded: writes are synced by Importer.Commit and Close only. For importing a new ledger.
	Listen  *net.TCPAddr // embedded: where programs of this machine may follow and ask, see listen.go; nil: nowhere

	// Through is what each connection to the embedded server is led through; nil: nothing. It is for tests of what a connection
	// that fails does to the log.
	Through func(net.Conn) net.Conn

	URL         string // external: nats:// or tls://, several joined by commas; may hold user:password
	Credentials string // external: path of a .creds file
	CA          string // external: path of the certificates that the server's is checked against; "": the system's
	Cert, Key   string // external: paths of our own certificate and its key, both or none
	Replicas    int    // external: copies of each new stream; 0: three on a cluster, one otherwise

	Logger *slog.Logger // nil: silent
	Rand   io.Reader    // where keys and nonces come from; nil: crypto/rand. Anything else is for tests.
}

// codeCreateFailed is the server's answer when a stream's files could not be made.
const codeCreateFailed = 10049

const (
	// requestWait bounds a question to the server where the caller's context has no nearer deadline.
	requestWait = 10 * time.Second
	// startWait bounds the embedded server's start, which reads back the tail of every stream.
	startWait = 5 * time.Minute
	// maxBatchEmbedded is how many events our own server takes in one commit: a command array of 1,000 that opens
	// accounts with their links is several thousand events. It bounds memory to some 10 MB a commit.
	maxBatchEmbedded = 10_000
	// maxBatchExternal is the default of nats-server; another limit there is reported when it is met.
	maxBatchExternal = 1_000
)

// Store gives the ledgers of one directory or one external server. Its methods may be called concurrently.
type Store struct {
	opts Options
	log  *slog.Logger
	lock *dirLock       // embedded only
	srv  *server.Server // embedded only
	door *door          // embedded with Listen only
	nc   *nats.Conn
	js   jetstream.JetStream
	acks *acks

	randMu sync.Mutex // guards opts.Rand, which need not be safe for concurrent use
}

// Open opens the log. Errors: Malformed for options that contradict one another, Unreachable (code "in_use") where
// another process has the directory, Unreachable where the server does not answer.
func Open(ctx context.Context, opts Options) (*Store, error) {
	switch {
	case (opts.Dir == "") == (opts.URL == ""):
		return nil, domain.Errorf(domain.Malformed, "bad_options", "opening the log: give either a data directory or the URL of a NATS server")
	case opts.URL != "" && opts.Relaxed:
		return nil, domain.Errorf(domain.Malformed, "bad_options", "opening the log at %s: relaxed writing is for a data directory; how an external server syncs is set there", redact(opts.URL))
	case opts.Listen != nil && (opts.URL != "" || !opts.Listen.IP.IsLoopback()):
		return nil, domain.Errorf(domain.Malformed, "bad_options", "opening the log: listening at %s is for the server of a data directory, on a loopback address: whoever reaches it is asked for nothing", opts.Listen)
	case (opts.Cert == "") != (opts.Key == ""):
		return nil, domain.Errorf(domain.Malformed, "bad_options", "opening the log at %s: a client certificate needs both its file and its key's", redact(opts.URL))
	}
	s := &Store{opts: opts, log: opts.Logger, acks: newAcks()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.opts.Rand == nil {
		s.opts.Rand = rand.Reader
	}
	if err := s.open(ctx); err != nil {
		_ = s.Close() // the reason that counts is err
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.embedded() {
		if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
			return domain.Errorf(domain.Unreachable, "data_directory", "opening the log: making the data directory: %v", err)
		}
		if s.lock, err = lockDir(s.opts.Dir); err != nil {
			return err
		}
		if s.opts.Listen != nil {
			if s.door, err = newDoor(s.opts.Listen); err != nil {
				return err
			}
		}
		if s.srv, err = startServer(s.opts, s.door, s.log); err != nil {
			return err
		}
	}
	if err := s.connect(); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(requestWait)); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	if _, err := s.js.AccountInfo(ctx); err != nil {
		return domain.Errorf(domain.Unreachable, "jetstream_unavailable", "opening the log at %s: asking for JetStream: %v; it must be enabled for this account", s.where(), err)
	}
	if err := s.acks.listen(s.nc); err != nil || s.door == nil {
		return err
	}
	return s.openDoor(ctx)
}

// startServer runs nats-server inside this process. It handles no signal, and opens no port: the door does, where there
// is one.
func startServer(opts Options, d *door, log *slog.Logger) (*server.Server, error) {
	o := &server.Options{
		ServerName: "permledger",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   opts.Dir,
		SyncAlways: !opts.Relaxed,
		// The disk is the limit. The server's own default is three quarters of what is free when it starts, which
		// would turn a long-lived ledger away long before the disk is full.
		JetStreamMaxStore: 1 << 60,
		// A reader's window may be some thousand events of several KB; past this the server cuts the connection.
		MaxPending: 512 << 20,
		JetStreamLimits: server.JSLimitOpts{
			MaxBatchSize:    maxBatchEmbedded,
			MaxBatchTimeout: time.Minute, // between two messages of a batch: only a stalled disk takes so long
		},
	}
	if d != nil {
		d.configure(o)
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, domain.Errorf(domain.Unreachable, "log_unavailable", "starting the embedded log in %s: %v", opts.Dir, err)
	}
	srv.SetLoggerV2(serverLog{log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startWait) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, domain.Errorf(domain.Unreachable, "log_unavailable", "starting the embedded log in %s: its store did not come up; the log of this program says why", opts.Dir)
	}
	return srv, nil
}

func (s *Store) connect() (err error) {
	opts := []nats.Option{
		nats.Name("permledger"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		// Nothing is kept for after a reconnection: a publish that can't go out now fails now, and its caller decides
		// again against the log as it is then.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.log.Warn("connection to the log lost", "at", s.where(), "error", err)
			}
			s.acks.failAll("the connection was lost")
		}),
		nats.ReconnectHandler(func(*nats.Conn) { s.log.Info("connection to the log is back", "at", s.where()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("log connection", "at", s.where(), "error", err)
		}),
	}
	if s.embedded() {
		opts = append(opts, nats.InProcessServer(inProcess{s}))
	}
	if s.door != nil {
		opts = append(opts, nats.UserInfo(ownUser, s.door.secret))
	}
	if s.opts.Credentials != "" {
		opts = append(opts, nats.UserCredentials(s.opts.Credentials))
	}
	if s.opts.CA != "" {
		opts = append(opts, nats.RootCAs(s.opts.CA))
	}
	if s.opts.Cert != "" {
		opts = append(opts, nats.ClientCert(s.opts.Cert, s.opts.Key))
	}
	if s.nc, err = nats.Connect(s.opts.URL, opts...); err != nil {
		return domain.Errorf(domain.Unreachable, "log_unreachable", "connecting to the log at %s: %v", s.where(), withoutURL(err))
	}
	return nil
}

// inProcess is how the client reaches the embedded server, at first and after a connection was lost.
type inProcess struct{ s *Store }

func (p inProcess) InProcessConn() (net.Conn, error) {
	c, err := p.s.srv.InProcessConn()
	if err == nil && p.s.opts.Through != nil {
		c = p.s.opts.Through(c)
	}
	return c, err
}

// Close ends the connection and, embedded, stops the server, syncs what Relaxed left unsynced, and gives the
// directory free. Logs of this store are of no use afterwards.
func (s *Store) Close() error {
	if s.door != nil {
		s.door.close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	s.acks.failAll("the log was closed")
	var errs []error
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		if s.opts.Relaxed {
			errs = append(errs, syncTree(s.opts.Dir))
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Ready says whether the log answers now: nil, or Unavailable with the reason. A full disk, say, makes the server
// switch its store off while the process lives on.
func (s *Store) Ready(ctx context.Context) error {
	if s.embedded() && !s.srv.JetStreamEnabled() {
		return domain.Errorf(domain.Unavailable, "log_unavailable", "the log in %s has switched itself off, as it does when the disk is full; make room and start again", s.opts.Dir)
	}
	if _, err := s.js.AccountInfo(ctx); err != nil {
		return domain.Errorf(domain.Unavailable, "log_unavailable", "the log at %s does not answer: %v", s.where(), err)
	}
	if s.embedded() {
		// A stream that could not be written once, e.g. where the disk was full, takes nothing any more and leaves whoever
		// publishes without an answer, until the server starts again. Only its health tells.
		if ill := s.ill(func(e string) bool { return !strings.Contains(e, notRecovered) }); ill != "" {
			return domain.Errorf(domain.Unavailable, "log_unavailable", "the log in %s can't be written: %s; see that the disk is healthy and has room, and start again", s.opts.Dir, ill)
		}
	}
	return nil
}

// Recovered is Unavailable where the embedded server found the files of a log when it started and could not make a log of
// them. It is to be asked before any log is made or deleted: while one is, it looks the same.
func (s *Store) Recovered() error {
	if !s.embedded() {
		return nil
	}
	if ill := s.ill(func(e string) bool { return strings.Contains(e, notRecovered) }); ill != "" {
		return domain.Errorf(domain.Unavailable, "log_unavailable", "the log in %s can't be read: %s; see that the disk is healthy, and restore it from a backup", s.opts.Dir, ill)
	}
	return nil
}

// notRecovered is in what the server says of a stream whose files it found and does not have.
const notRecovered = "could not be recovered"

// ill gives the first of what the embedded server finds wrong with its streams that counts; "" for nothing.
func (s *Store) ill(counts func(string) bool) string {
	for _, e := range s.srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if counts(e.Error) {
			return e.Error
		}
	}
	return ""
}

// Orgs gives the organisations that have a ledger here, sorted. One whose import never finished has none.
func (s *Store) Orgs(ctx context.Context) ([]domain.Org, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var orgs []domain.Org
	list := s.js.ListStreams(ctx, jetstream.WithStreamListSubject(subjectOf("*")))
	for info := range list.Info() {
		name, ok := strings.CutPrefix(info.Config.Name, streamPrefix)
		if !ok || info.Config.Metadata[importKey] == importUnfinished {
			continue
		}
		if org, err := domain.ParseOrg(name); err == nil {
			orgs = append(orgs, org)
		}
	}
	if err := list.Err(); err != nil {
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "listing the ledgers at %s: %v", s.where(), err)
	}
	slices.Sort(orgs)
	return orgs, nil
}

// Create makes org's ledger, empty. Errors: Conflict (code "ledger_exists") if there is one.
func (s *Store) Create(ctx context.Context, org domain.Org) (*Log, error) {
	return s.create(ctx, org, map[string]string{})
}

// Open gives org's ledger. Errors: Unknown (code "unknown_org") if there is none; Integrity (code "import_unfinished")
// for what a broken import left, "log_settings" where the stream's settings were loosened, "log_gap" where events
// were deleted.
func (s *Store) Open(ctx context.Context, org domain.Org) (*Log, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := s.js.Stream(ctx, streamName(org))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, domain.Errorf(domain.Unknown, "unknown_org", "organisation %q has no ledger at %s", org, s.where())
	case err != nil:
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "opening the ledger of %q at %s: %v", org, s.where(), err)
	}
	info := stream.CachedInfo()
	if info.Config.Metadata[importKey] == importUnfinished {
		return nil, domain.Errorf(domain.Integrity, "import_unfinished", "the import into the ledger of %q never finished, so it is not one: run the import again, it starts anew", org)
	}
	if err := checkStream(org, info); err != nil {
		return nil, err
	}
	l := s.newLog(org, stream)
	if s.embedded() {
		given, err := l.givenOut(ctx)
		if err != nil {
			return nil, err
		}
		l.heard(given)
	}
	return l, nil
}

func (s *Store) create(ctx context.Context, org domain.Org, metadata map[string]string) (*Log, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	// To the server, creating a stream again with the very same settings is success. So no two are the same.
	metadata[madeKey] = nuid.Next()
	config := streamConfig(org, s.Replicas(), metadata)
	stream, err := s.js.CreateStream(ctx, config)
	var refused *jetstream.APIError
	if s.embedded() && errors.As(err, &refused) && refused.ErrorCode == codeCreateFailed {
		// The server removes the directory of its streams with the last of them, and may be at it just now.
		stream, err = s.js.CreateStream(ctx, config)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil, domain.Errorf(domain.Conflict, "ledger_exists", "organisation %q has a ledger already", org)
	case err != nil:
		return nil, domain.Errorf(domain.Unavailable, "log_unavailable", "creating the ledger of %q at %s: %v", org, s.where(), err)
	}
	// The server syncs the files it writes, but not the directories above them; and under Relaxed not even those, so
	// that after a power cut there could be events without the settings that mark them as an unfinished import.
	if s.embedded() {
		if err := syncTree(s.opts.Dir); err != nil {
			return nil, err
		}
	}
	if s.door != nil {
		if err := s.door.admit(org); err != nil {
			return nil, err
		}
	}
	return s.newLog(org, stream), nil
}

// Replicas is how many copies a new stream gets: Options.Replicas, or what fits the server.
func (s *Store) Replicas() int {
	switch {
	case s.embedded():
		return 1
	case s.opts.Replicas > 0:
		return s.opts.Replicas
	case s.nc.ConnectedClusterName() != "":
		return 3
	}
	return 1
}

func (s *Store) embedded() bool { return s.opts.Dir != "" }

func (s *Store) maxBatch() int {
	if s.embedded() {
		return maxBatchEmbedded
	}
	return maxBatchExternal
}

// where names the log in errors, without the password that a URL may hold.
func (s *Store) where() string {
	if s.embedded() {
		return s.opts.Dir
	}
	return redact(s.opts.URL)
}

// withoutURL leaves a URL that can't be read out of its error: it may hold a password.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

func redact(urls string) string {
	servers := strings.Split(urls, ",")
	for i, u := range servers {
		if scheme, rest, ok := strings.Cut(u, "://"); ok {
			servers[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
		} else {
			servers[i] = u[strings.LastIndexByte(u, '@')+1:]
		}
	}
	return strings.Join(servers, ",")
}

// random fills b from Options.Rand.
func (s *Store) random(b []byte) error {
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.opts.Rand, b); err != nil {
		return fmt.Errorf("drawing random bytes: %w", err)
	}
	return nil
}

// bounded gives ctx a deadline, the nearer of its own and requestWait.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestWait)
}

// serverLog passes the embedded server's own log on. Its notices are about every stream at every start: debug.
type serverLog struct{ *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}

// JetStream gives the connection to the server, for streams other than the ledgers': what follows from a ledger may be
// published beside it. A ledger's own stream is written through its Log and no other way.
func (s *Store) JetStream() jetstream.JetStream { return s.js }
