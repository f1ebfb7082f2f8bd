package ledger

// Ledgers on servers that are not ours: the tests of writing, reading and the feed once more on one server over the
// network and on a cluster of three, and two services on a cluster whose servers are killed. This file owns the cluster and
// where tests are run; what is checked there belongs to the tests themselves.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// elsewhere is the server on which the test under way keeps its ledgers instead of where it says; nil: nowhere else.
// Only TestElsewhere sets it, for one test at a time.
var elsewhere *eventstore.Options

// TestElsewhere runs tests of this package on other servers. Each has an account of its own there, so that all find the
// server empty and none has to wait for one to start. What -long leaves to itself is what says least about where it runs.
func TestElsewhere(t *testing.T) {
	type test struct {
		name string
		run  func(t *testing.T)
		long bool
	}
	alone := []test{
		{"ManyCallers", TestManyCallers, false},
		{"OneOfManyWins", TestOneOfManyWins, true},
		{"ReadsItsOwnWrite", TestReadsItsOwnWrite, true},
		{"SeveralEventsInOneCommit", TestSeveralEventsInOneCommit, true},
		{"ArraysAreAllOrNothing", TestArraysAreAllOrNothing, false},
		{"TheSameIDAgain", TestTheSameIDAgain, false},
		{"FeedFoldsToWhatIsAnswered", TestFeedFoldsToWhatIsAnswered, true},
	}
	together := []test{
		{"TwoWriters", TestTwoWriters, false},
		{"TwoWritersOneWins", TestTwoWritersOneWins, true},
		{"EachSeesTheOther", TestEachSeesTheOther, true},
		{"OneID", TestOneID, false},
		{"OneIsRestarted", TestOneIsRestarted, false},
		{"WhatFollowsWhatFell", TestWhatFollowsWhatFell, true},
		{"FeedOfTwoServers", TestFeedOfTwoServers, true},
	}
	for _, place := range []struct {
		name  string
		nodes int
		tests []test
	}{
		{"one server", 1, alone}, // the others run on one server as they are
		{"three servers", 3, append(alone, together...)},
	} {
		t.Run(place.name, func(t *testing.T) {
			c := newCluster(t, place.nodes, accountsOf(len(place.tests)))
			for i := range c.nodes {
				c.serve(i)
			}
			c.awaitReady()
			for i, test := range place.tests {
				if test.long && !*long {
					continue
				}
				t.Run(test.name, func(t *testing.T) {
					elsewhere = &eventstore.Options{URL: c.url(accountsOf(len(place.tests))[i])}
					defer func() { elsewhere = nil }()
					test.run(t)
				})
			}
		})
	}
}

func accountsOf(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("A%d", i))
	}
	return names
}

// A cluster is nodes that know of one another, as an operator would set them up, each with files and ports of its own. A
// node runs in this process, or in one of its own that can be killed.
type cluster struct {
	t        testing.TB
	accounts []string
	nodes    []node
}

type node struct {
	config string // the path of its configuration
	port   int
	cmd    *exec.Cmd // nil where it does not run in a process of its own
}

// newCluster writes the configurations. The ports are free ones.
func newCluster(t testing.TB, n int, accounts []string) *cluster {
	c := &cluster{t: t, accounts: accounts, nodes: make([]node, n)}
	ports := freePorts(t, 2*n)
	var routes, users strings.Builder
	for _, port := range ports[n:] {
		fmt.Fprintf(&routes, "nats-route://127.0.0.1:%d\n", port)
	}
	for _, a := range accounts {
		fmt.Fprintf(&users, "%s { jetstream: enabled, users: [{user: %s, password: secret}] }\n", a, a)
	}
	for i := range n {
		dir := t.TempDir()
		text := fmt.Sprintf("server_name: n%d\nlisten: \"127.0.0.1:%d\"\njetstream { store_dir: %q, sync_interval: always }\naccounts {\n%s}\n", i, ports[i], dir, users.String())
		if n > 1 {
			text += fmt.Sprintf("cluster { name: house, listen: \"127.0.0.1:%d\", routes: [\n%s] }\n", ports[n+i], routes.String())
		}
		c.nodes[i] = node{config: filepath.Join(dir, "server.conf"), port: ports[i]}
		if err := os.WriteFile(c.nodes[i].config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// freePorts gives ports of the loopback address that nothing listens on.
func freePorts(t testing.TB, n int) (ports []int) {
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

// startNode starts a server by its configuration.
func startNode(config string) (*server.Server, error) {
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		return nil, err
	}
	o.NoSigs, o.NoLog = true, true
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		return nil, fmt.Errorf("the server of %s does not come up", config)
	}
	return srv, nil
}

// serve runs a node in this process until the end of the test.
func (c *cluster) serve(i int) {
	c.t.Helper()
	srv, err := startNode(c.nodes[i].config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
}

// nodeConfig is the environment of a process that is a node.
const nodeConfig = "PERMLEDGER_TEST_NODE"

// TestToBeANode is the process that cluster.spawn starts; by itself it does nothing. It ends with the test that started it.
func TestToBeANode(t *testing.T) {
	config := os.Getenv(nodeConfig)
	if config == "" {
		return
	}
	if _, err := startNode(config); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // returns when the other end is gone
}

// spawn runs a node in a process of its own until kill, or the end of the test.
func (c *cluster) spawn(i int) {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestToBeANode$")
	cmd.Env = append(os.Environ(), nodeConfig+"="+c.nodes[i].config)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i].cmd = cmd
	c.t.Cleanup(func() {
		if c.nodes[i].cmd == cmd {
			c.kill(i)
		}
	})
}

// kill kills a node as kill -9 does.
func (c *cluster) kill(i int) {
	c.t.Helper()
	cmd := c.nodes[i].cmd
	c.nodes[i].cmd = nil
	if err := cmd.Process.Kill(); err != nil {
		c.t.Errorf("killing node %d: %v", i, err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		c.t.Errorf("node %d ended with %v, want it killed", i, err)
	}
}

// url names all nodes, with an account's user.
func (c *cluster) url(account string) string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, fmt.Sprintf("nats://%s:secret@127.0.0.1:%d", account, n.port))
	}
	return strings.Join(urls, ",")
}

// options are those of a service on the cluster, with a data directory of its own.
func (c *cluster) options() Options {
	return Options{Data: c.t.TempDir(), Create: true, NATS: eventstore.Options{URL: c.url(c.accounts[0])}}
}

// connect gives a connection that is closed at the end of the test.
func (c *cluster) connect() jetstream.JetStream {
	c.t.Helper()
	nc, err := nats.Connect(c.url(c.accounts[0]), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second))
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

// awaitReady waits until the nodes have found one another and take streams.
func (c *cluster) awaitReady() {
	c.t.Helper()
	js := c.connect()
	wait(c.t, "the cluster to come up", func() bool {
		_, err := js.CreateStream(c.t.Context(), jetstream.StreamConfig{Name: "READY", Replicas: len(c.nodes)})
		return err == nil
	})
	wait(c.t, "the cluster to be empty again", func() bool {
		err := js.DeleteStream(c.t.Context(), "READY")
		return err == nil || errors.Is(err, jetstream.ErrStreamNotFound)
	})
}

// leader gives the node that leads acme's stream, once one does and all others are level with it.
func (c *cluster) leader(js jetstream.JetStream) (leader int) {
	c.t.Helper()
	why := ""
	defer func() {
		if c.t.Failed() {
			c.t.Log(why)
		}
	}()
	wait(c.t, "a leader and its followers", func() bool {
		s, err := js.Stream(c.t.Context(), "PERMLEDGER_acme")
		if err != nil {
			why = err.Error()
			return false
		}
		info := s.CachedInfo().Cluster
		why = fmt.Sprintf("%+v", info)
		if info == nil || info.Leader == "" || len(info.Replicas) != len(c.nodes)-1 {
			return false
		}
		for _, r := range info.Replicas {
			if r.Offline || !r.Current {
				return false
			}
		}
		n, err := fmt.Sscanf(info.Leader, "n%d", &leader)
		return n == 1 && err == nil
	})
	return leader
}

// Two services take commands while the node that leads the log is killed and comes back, and then one that follows it. Who is
// turned away asks again with the same id until there is an answer: then all that was asked for is in the log, once.
func TestNodesAreKilled(t *testing.T) {
	t.Parallel() // it mostly waits for elections and for answers that never come
	c := newCluster(t, 3, accountsOf(1))
	for i := range c.nodes {
		c.spawn(i)
	}
	c.awaitReady()
	js := c.connect()

	o := c.options()
	o.Feed, o.Clock = true, true
	a := founding(t, o)
	before := tollHouse(t, a)
	o.Data = t.TempDir()
	s := openService(t, o)
	defer closeService(t, s)
	b := ledgerOf(t, s)
	if n, err := js.Stream(t.Context(), "PERMLEDGER_acme"); err != nil || n.CachedInfo().Config.Replicas != 3 {
		t.Fatalf("the log has %+v, %v; want three replicas", n, err)
	}

	y := persist("node", 0, a, b)
	answered := func() int {
		y.mu.Lock()
		defer y.mu.Unlock()
		return len(y.acknowledged)
	}
	goOn := func(why string) {
		n := answered()
		wait(t, "commands to be recorded "+why, func() bool { return answered() >= n+24 })
	}
	goOn("at first")
	for round := range rounds(2) {
		leads := c.leader(js)
		victim, what := leads, "leader"
		if round%2 == 1 {
			victim, what = (leads+1)%3, "follower"
		}
		c.kill(victim)
		goOn("without the " + what)
		c.spawn(victim)
		goOn("with the " + what + " coming back")
	}
	c.leader(js)
	close(y.enough)
	y.callers.Wait()
	y.wantExact(t, before, a, b)
	t.Logf("%d requests recorded, asked for again %d times", len(y.acknowledged), y.again.Load())
}

// persistent is what callers were told who take no answer for none.
type persistent struct {
	tally
	callers sync.WaitGroup
	enough  chan struct{}
	again   atomic.Int64 // how often one asked again
}

// persist lets six callers record through the ledgers, each so many requests, or where that is 0 until enough. Whoever is
// turned away asks again, with the same ids.
func persist(name string, each int, of ...*Ledger) *persistent {
	y := &persistent{enough: make(chan struct{})}
	for i := range 6 {
		l := of[i%len(of)]
		y.callers.Go(func() {
			for j := 0; each == 0 || j < each; j++ {
				select {
				case <-y.enough:
					return
				default:
				}
				cs := toll(name, i, j)
				for k := range cs {
					cs[k] = withID(fmt.Sprintf("%d-%d-%d", i, j, k), cs[k])
				}
				rec, err := l.Record(l.ctx, cs)
				for ; errors.Is(err, domain.Unavailable); rec, err = l.Record(l.ctx, cs) {
					y.again.Add(1)
				}
				if tooLate(err) {
					continue
				}
				if y.add(rec, err); err != nil {
					return
				}
			}
		})
	}
	return y
}

// wantExact checks each ledger, after the callers are done: everything was recorded that they asked for after an event, once,
// where they were told, with what the clock noticed and nothing else, and the feed is what that comes to.
func (y *persistent) wantExact(t *testing.T, after domain.Seq, of ...*Ledger) {
	t.Helper()
	if len(y.refused) > 0 {
		t.Fatalf("a caller got %v, want everything recorded", y.refused[0])
	}
	wait(t, "the clocks to notice what ran out", func() bool {
		_, some, err := of[0].p.NextDue()
		return err == nil && !some
	})
	level(t, of...)
	told := map[domain.Seq]domain.EventID{}
	for _, r := range y.acknowledged {
		for _, e := range r.Events {
			told[e.Seq] = e.ID
		}
	}
	for _, l := range of {
		wantWhole(t, l, y.acknowledged)
		all := events(t, l)
		wantToll(t, all, told)
		asked := 0
		for _, e := range all[after:] {
			if e.Type != domain.ValidityEnded {
				asked++
			}
		}
		if asked != y.events() {
			t.Fatalf("the log has %d events that were asked for, and callers were told of %d", asked, y.events())
		}
		wantFeed(t, l, consumers.Cursor{})
	}
}
