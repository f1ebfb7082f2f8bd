package eventstore

// External servers as operators have them: a cluster, credentials, certificates. This file owns those servers, and the one
// thing about a cluster that a single server can't show: that a reader goes on when what served it is gone and its own
// connection is not. What two services make of a cluster is tested where they are.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/permledger/permledger/domain"
)

// run starts a server until the end of the test, unless it is shut down before.
func run(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream, o.SyncAlways = "127.0.0.1", true, true, true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.StoreDir = t.TempDir()
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not come up")
	}
	return srv
}

// startCluster starts three servers that know of one another, and waits until they take streams.
func startCluster(t *testing.T) (nodes []*server.Server) {
	t.Helper()
	var routes []*url.URL
	for _, port := range freePorts(t, 3) {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i, route := range routes {
		port, err := strconv.Atoi(route.Port())
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, run(t, &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Routes: routes,
			Cluster: server.ClusterOpts{Name: "house", Host: "127.0.0.1", Port: port},
		}))
	}
	wait(t, "the cluster to come up", func() bool {
		leaders, current := 0, 0
		for _, n := range nodes {
			if n.JetStreamIsLeader() {
				leaders++
			}
			if n.JetStreamIsCurrent() {
				current++
			}
		}
		return leaders == 1 && current == len(nodes) && len(nodes[0].ActivePeers()) == len(nodes)
	})
	return nodes
}

// freePorts gives ports of the loopback address that nothing listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only when all are drawn, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// What serves a reader is on one server of the cluster and its connection on another. The first goes away without a word; the
// reader is told of what is recorded then.
func TestFollowWhatServedItIsGone(t *testing.T) {
	nodes := startCluster(t)
	const connected = 0
	s := open(t, Options{URL: nodes[connected].ClientURL()})
	l := create(t, s)
	if n := l.stream.CachedInfo().Config.Replicas; n != 3 {
		t.Fatalf("a log on a cluster has %d replicas, want three", n)
	}
	mustAppend(t, l, events(1, 1), 0)
	got, gone := make(chan Entry), connected
	wait(t, "a reader that another server serves", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		var reading sync.WaitGroup
		reading.Go(func() {
			for e, err := range l.Follow(ctx, 0) {
				if err != nil {
					t.Errorf("following: %v", err)
					return
				}
				select {
				case got <- e:
				case <-ctx.Done():
				}
			}
		})
		<-got
		for c := range l.stream.ListConsumers(t.Context()).Info() {
			if _, err := fmt.Sscanf(c.Cluster.Leader, "n%d", &gone); err != nil {
				t.Fatal(err)
			}
		}
		if gone == connected { // the server chose ours: try again
			cancel()
			reading.Wait()
			return false
		}
		t.Cleanup(reading.Wait)
		t.Cleanup(cancel)
		return true
	})
	nodes[gone].Shutdown()
	wait(t, "the cluster to record", func() bool { return l.Append(t.Context(), events(2, 2), 1) == nil })
	select {
	case e := <-got:
		if e.Seq != 2 {
			t.Fatalf("after event 1 came %d", e.Seq)
		}
	case <-time.After(time.Minute):
		t.Fatal("the reader was not told of event 2")
	}
}

// An operator's account and user, as a .creds file has them; and a user whom nobody vouched for.
func TestCredentials(t *testing.T) {
	operator, account, system := pair(t, nkeys.CreateOperator), pair(t, nkeys.CreateAccount), pair(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public(t, account))
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	resolver := &server.MemAccResolver{}
	for _, c := range []*jwt.AccountClaims{claims, jwt.NewAccountClaims(public(t, system))} {
		token, err := c.Encode(operator)
		if err != nil {
			t.Fatal(err)
		}
		if err := resolver.Store(c.Subject, token); err != nil {
			t.Fatal(err)
		}
	}
	trusted := jwt.NewOperatorClaims(public(t, operator))
	trusted.SystemAccount = public(t, system)
	srv := run(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, SystemAccount: public(t, system), AccountResolver: resolver})

	creds := func(by nkeys.KeyPair) string {
		user := pair(t, nkeys.CreateUser)
		claims := jwt.NewUserClaims(public(t, user))
		token, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.FormatUserConfig(token, seed)
		if err != nil {
			t.Fatal(err)
		}
		return file(t, "user.creds", text)
	}
	o := Options{URL: srv.ClientURL(), Credentials: creds(account)}
	l := create(t, open(t, o))
	mustAppend(t, l, events(1, 3), 0)
	wantLog(t, l, 3)
	for what, bad := range map[string]Options{
		"no credentials":             {URL: o.URL},
		"those of a strange account": {URL: o.URL, Credentials: creds(pair(t, nkeys.CreateAccount))},
		"no such file":               {URL: o.URL, Credentials: filepath.Join(t.TempDir(), "none.creds")},
	} {
		s, err := Open(t.Context(), bad)
		if err == nil {
			s.Close()
			t.Fatalf("%s: it was let in", what)
		}
		wantError(t, err, domain.Unreachable, "log_unreachable")
	}
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	k, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	p, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func file(t *testing.T, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A server with a certificate, which asks for one.
func TestCertificates(t *testing.T) {
	ours, strange := newAuthority(t), newAuthority(t)
	cert, key := ours.issue(t, "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(ours.cert)
	srv := run(t, &server.Options{TLS: true, TLSVerify: true, TLSTimeout: 10, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}})
	url := "tls://" + strings.TrimPrefix(srv.ClientURL(), "tls://")

	o := Options{URL: url, CA: ours.file(t)}
	o.Cert, o.Key = ours.issue(t, "permledger")
	l := create(t, open(t, o))
	mustAppend(t, l, events(1, 3), 0)
	wantLog(t, l, 3)

	strangeCert, strangeKey := strange.issue(t, "permledger")
	for what, bad := range map[string]Options{
		"an authority that is not the server's": {URL: url, CA: strange.file(t), Cert: o.Cert, Key: o.Key},
		"the system's authorities":              {URL: url, Cert: o.Cert, Key: o.Key},
		"no certificate":                        {URL: url, CA: o.CA},
		"a stranger's certificate":              {URL: url, CA: o.CA, Cert: strangeCert, Key: strangeKey},
		"a certificate with another's key":      {URL: url, CA: o.CA, Cert: o.Cert, Key: strangeKey},
	} {
		s, err := Open(t.Context(), bad)
		if err == nil {
			s.Close()
			t.Fatalf("%s: it was let in", what)
		}
		wantError(t, err, domain.Unreachable, "log_unreachable")
	}
}

// An authority vouches for certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := drawKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func drawKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a authority) file(t *testing.T) string {
	t.Helper()
	return file(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// issue gives the files of a certificate and its key, good for a server on the loopback address and for a client.
func (a authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k := drawKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		file(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}
