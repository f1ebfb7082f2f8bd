package ledger

// The network between a service and the log, at its worst: it is late, says things twice, and is cut, before something has
// arrived or after and before its answer has. This file owns that network, and the tests that services behind it stay
// exact, on a server of others and on their own. It knows of the protocol only where one thing said ends and the next begins.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// A wire is honest until it is told to be rough.
type wire struct {
	listen      net.Listener // nil: of an embedded server's connections
	server      string
	pumps       sync.WaitGroup
	cuts, twice atomic.Int64

	mu       sync.Mutex // guards all below
	r        *rand.Rand
	bad      bool
	untilCut int // how many messages pass before the wire is cut
	shut     bool
	open     []net.Conn
}

func newWire(r *rand.Rand) *wire { return &wire{r: rand.New(rand.NewPCG(r.Uint64(), 0))} }

// startWire lays a wire to a server, until the end of the test.
func startWire(t *testing.T, r *rand.Rand, to *remote) *wire {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newWire(r)
	l.listen, l.server = listen, fmt.Sprintf("127.0.0.1:%d", to.port)
	l.pumps.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// close cuts the wire for good.
func (l *wire) close() {
	l.mu.Lock()
	l.shut = true
	for _, c := range l.open {
		c.Close()
	}
	l.mu.Unlock()
	if l.listen != nil {
		l.listen.Close()
	}
	l.pumps.Wait()
}

// through is a connection to an embedded server, over the wire.
func (l *wire) through(up net.Conn) net.Conn {
	near, down := net.Pipe()
	l.join(down, up)
	return near
}

func (l *wire) url() string { return fmt.Sprintf("nats://ledger:secret@%s", l.listen.Addr()) }

// roughen makes the wire rough until the channel is closed.
func (l *wire) roughen(until <-chan struct{}) {
	set := func(bad bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bad, l.untilCut = bad, l.r.IntN(200)
	}
	set(true)
	l.pumps.Go(func() {
		<-until
		set(false)
	})
}

func (l *wire) accept() {
	for {
		down, err := l.listen.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", l.server)
		if err != nil {
			down.Close()
			continue
		}
		l.join(down, up)
	}
}

// join passes on what the two say to one another.
func (l *wire) join(down, up net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open = append(l.open, down, up); l.shut {
		down.Close()
		up.Close()
	}
	l.pumps.Go(func() { l.pump(up, down) })
	l.pumps.Go(func() { l.pump(down, up) })
}

// A mishap is what becomes of one thing said.
type mishap int

const (
	passes mishap = iota
	isLate
	comesTwice
	isLost      // and the wire is cut
	isCutBehind // it arrives, and its answer will not
)

// draw draws what becomes of the next message. A rough wire is cut within its first messages, and seldom after.
func (l *wire) draw() mishap {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.bad {
		return passes
	}
	if l.untilCut--; l.untilCut < 0 {
		l.untilCut = l.r.IntN(2000)
		return pick(l.r, []mishap{isLost, isCutBehind})
	}
	switch n := l.r.IntN(20); {
	case n < 2:
		return comesTwice
	case n < 3:
		return isLate
	}
	return passes
}

// pump passes on what one side says to the other. Only messages have mishaps of their own: the rest is how the two keep
// up the connection, and whoever says that twice is no network.
func (l *wire) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	for read := bufio.NewReaderSize(from, 1<<16); ; {
		said, isMessage, err := readSaid(read)
		if err != nil {
			return
		}
		m := passes
		if isMessage {
			m = l.draw()
		}
		switch m {
		case isLate:
			time.Sleep(time.Millisecond) // the fault itself: nothing waits for it
		case comesTwice:
			l.twice.Add(1)
			said = append(said, said...)
		case isLost:
			l.cuts.Add(1)
			return
		}
		if _, err := to.Write(said); err != nil {
			return
		}
		if m == isCutBehind {
			l.cuts.Add(1)
			return
		}
	}
}

// readSaid reads one thing said: a line, and for a message what follows it, of which the line's last word is the length.
func readSaid(r *bufio.Reader) (said []byte, isMessage bool, err error) {
	if said, err = r.ReadBytes('\n'); err != nil {
		return nil, false, err
	}
	words := bytes.Fields(said)
	if len(words) == 0 {
		return said, false, nil
	}
	switch string(bytes.ToUpper(words[0])) {
	case "PUB", "HPUB", "MSG", "HMSG":
	default:
		return said, false, nil
	}
	n, err := strconv.Atoi(string(words[len(words)-1]))
	if err != nil {
		return nil, false, err
	}
	body := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, false, err
	}
	return append(said, body...), true, nil
}

// Two services record over wires that are late, repeat themselves and are cut.
func TestRoughWires(t *testing.T) {
	t.Parallel() // it mostly waits for answers that never come
	r := random(t)
	remote := startRemote(t)
	head := tollHouse(t, founding(t, remote.options()))
	var of []*Ledger
	var wires []*wire
	for range 2 {
		l := startWire(t, r, remote)
		o := remote.options()
		o.NATS.URL, o.Feed, o.Clock = l.url(), true, true
		s := openService(t, o)
		defer closeService(t, s)
		of, wires = append(of, ledgerOf(t, s)), append(wires, l)
	}
	recordRoughly(t, head, wires, of...)
}

// The connection to the server inside the process is as rough, and several commands are on their way over it at once.
func TestRoughConnection(t *testing.T) {
	t.Parallel() // it mostly waits for answers that never come
	l := newWire(random(t))
	t.Cleanup(l.close)
	o := Options{Data: t.TempDir(), Feed: true, Clock: true, NATS: eventstore.Options{Through: l.through}}
	a := founding(t, o)
	recordRoughly(t, tollHouse(t, a), []*wire{l}, a)
}

// recordRoughly records through ledgers behind wires while these are rough. Who was not told what became of a command asks
// again with its id. In the end everything is there once, and so it is in the feed.
func recordRoughly(t *testing.T, head domain.Seq, wires []*wire, of ...*Ledger) {
	t.Helper()
	rough := make(chan struct{})
	for _, l := range wires {
		l.roughen(rough)
	}
	n := 12
	if *long {
		n = 40
	}
	y := persist("wire", n, of...)
	y.callers.Wait()
	close(rough)
	y.wantExact(t, head, of...)
	for _, l := range wires {
		t.Logf("the wire was cut %d times and said %d things twice", l.cuts.Load(), l.twice.Load())
		if l.cuts.Load() == 0 || l.twice.Load() == 0 {
			t.Error("nothing happened to the wire: the test asks for nothing")
		}
	}
	t.Logf("%d requests recorded, asked for again %d times", len(y.acknowledged), y.again.Load())
}
