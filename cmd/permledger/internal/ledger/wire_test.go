package ledger

// The network between a service and the log, at its worst: it is late, says things twice, and is cut, before something has
// arrived or after and before its answer has. This file owns that network, and the test that two services behind it stay
// exact. It knows of the protocol only where one thing said ends and the next begins.

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
)

// A wire is honest until it is told to be rough.
type wire struct {
	listen      net.Listener
	server      string
	pumps       sync.WaitGroup
	cuts, twice atomic.Int64

	mu   sync.Mutex // guards all below
	r    *rand.Rand
	bad  bool
	shut bool
	open []net.Conn
}

// startWire lays a wire to a server, until the end of the test.
func startWire(t *testing.T, r *rand.Rand, to *remote) *wire {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &wire{listen: listen, server: fmt.Sprintf("127.0.0.1:%d", to.port), r: rand.New(rand.NewPCG(r.Uint64(), 0))}
	l.pumps.Go(l.accept)
	t.Cleanup(func() {
		l.mu.Lock()
		l.shut = true
		for _, c := range l.open {
			c.Close()
		}
		l.mu.Unlock()
		listen.Close()
		l.pumps.Wait()
	})
	return l
}

func (l *wire) url() string { return fmt.Sprintf("nats://ledger:secret@%s", l.listen.Addr()) }

// roughen makes the wire rough until the channel is closed.
func (l *wire) roughen(until <-chan struct{}) {
	set := func(bad bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bad = bad
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
		l.mu.Lock()
		l.open = append(l.open, down, up)
		if l.shut {
			down.Close()
			up.Close()
		}
		l.mu.Unlock()
		l.pumps.Go(func() { l.pump(up, down) })
		l.pumps.Go(func() { l.pump(down, up) })
	}
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

func (l *wire) draw() mishap {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.bad {
		return passes
	}
	switch n := l.r.IntN(2000); {
	case n < 1:
		return isLost
	case n < 2:
		return isCutBehind
	case n < 200:
		return comesTwice
	case n < 300:
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

// Two services record over wires that are late, repeat themselves and are cut. Who was not told what became of a command asks
// again with its id. In the end everything is there once, and so it is in the feed.
func TestRoughWires(t *testing.T) {
	t.Parallel() // it mostly waits for answers that never come
	r := random(t)
	remote := startRemote(t)
	before := founding(t, remote.options())
	record1(t, before, opens(anna), opens(bob), assigns(anna, "therapist"), assigns(bob, "therapist"), assigns(boss, "therapist"))
	head := before.Head()
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
	rough := make(chan struct{})
	for _, l := range wires {
		l.roughen(rough)
	}
	y := persist("wire", rounds(16), of...)
	y.callers.Wait()
	close(rough)
	y.wantExact(t, head, of...)
	cuts, twice := wires[0].cuts.Load()+wires[1].cuts.Load(), wires[0].twice.Load()+wires[1].twice.Load()
	t.Logf("%d requests recorded, asked for again %d times; the wires were cut %d times and said %d things twice", len(y.acknowledged), y.again.Load(), cuts, twice)
	if cuts == 0 || twice == 0 {
		t.Fatal("nothing happened to the wires: the test asks for nothing")
	}
}
