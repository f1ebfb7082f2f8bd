package consumers

// The order of a replica's steps, against a service and a target that lie as real ones might: within a bubble, as
// follow_test.go. A real copy of a real ledger is made in cmd/permledger.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/permledger/permledger/domain"
)

// itsPosition is as projections.Position.
type itsPosition struct {
	Seq        domain.Seq
	EventID    domain.EventID
	RecordedAt domain.Instant
	Stream     time.Time
	Building   bool
	Outdated   bool
}

// notepad is a target that notes what it is given.
type notepad struct {
	mu        sync.Mutex // guards position
	position  itsPosition
	staged    []*domain.Event
	committed []*domain.Event
	wipes     int
	full      error // of the next commit
}

func (n *notepad) Position() itsPosition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.position
}

func (n *notepad) Head() *notepad { return n }

func (n *notepad) Bind(stream time.Time, building bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.position.Stream, n.position.Building = stream, building
	return nil
}

func (n *notepad) Wipe() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.position, n.wipes = itsPosition{}, n.wipes+1
	return nil
}

func (n *notepad) KnownAt() domain.Seq { return n.Position().Seq + domain.Seq(len(n.staged)) }

func (n *notepad) Apply(e *domain.Event) ([]domain.Change, error) {
	if e.Seq != n.KnownAt()+1 {
		return nil, domain.Errorf(domain.Integrity, "gap", "event %d after %d", e.Seq, n.KnownAt())
	}
	n.staged = append(n.staged, e)
	return nil, nil
}

func (n *notepad) Commit(upTo domain.Seq) error {
	if n.full != nil {
		return n.full
	}
	if len(n.staged) == 0 {
		return nil
	}
	last := n.staged[len(n.staged)-1]
	n.committed, n.staged = append(n.committed, n.staged...), nil
	n.mu.Lock()
	defer n.mu.Unlock()
	n.position.Seq, n.position.EventID, n.position.RecordedAt = last.Seq, last.ID, last.RecordedAt
	return nil
}

func (n *notepad) Drop() { n.staged = nil }

// aLog is a ledger's log as the service gives it.
type aLog struct {
	created time.Time
	fork    string // another text in the ids
	events  int
}

var logMade = time.Date(1999, 1, 5, 9, 0, 0, 123456789, time.UTC) // a bubble's time is of the year 2000

func (l aLog) event(seq int) string {
	return fmt.Sprintf(`{"id":"01K%s%05d","org":"acme","seq":%d,"type":"account.opened","v":1,"recorded_at":"1999-01-05T09:00:00.123Z","actor":"professional:root","reason":"says ,\"seq\":7, to anna","data":{"account":"client:c%d","display_name":"Anna Berg"}}`, l.fork, seq, seq, seq)
}

// page answers as GET /orgs/{org}/events does.
func (l aLog) page(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	if after >= l.events && wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
	}
	var events []string
	for seq := after + 1; seq <= min(l.events, after+limit); seq++ {
		events = append(events, l.event(seq))
	}
	l.give(w, strings.Join(events, ","))
}

func (l aLog) give(w http.ResponseWriter, events string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"events":[%s],"next":0,"head":%d,"created":%q}`, events, l.events, l.created.Format(time.RFC3339Nano))
}

func replicaOf(t *testing.T, target *notepad, log *slog.Logger, h inMemory) *Replica {
	t.Helper()
	r, err := NewReplica(ReplicaOptions{URL: "http://ledger.test", Org: "acme", Client: &http.Client{Transport: h}, Logger: log}, target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// It copies what there is, what comes, and goes on where it stood; without a word about people.
func TestReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := new(notepad)
		l := aLog{created: logMade, events: 2*pageSize + 300}
		for run, events := range []int{2*pageSize + 300, 2*pageSize + 301, 2*pageSize + 301} {
			l.events = events
			r := replicaOf(t, target, nil, l.page)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- r.Run(ctx) }()
			synctest.Wait()
			if lag := r.Lag(); lag.Events != 0 || lag.Position != domain.Seq(events) || lag.Age != 0 {
				t.Errorf("run %d: %+v, want it level at %d", run, lag, events)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		if len(target.committed) != l.events || !target.Position().Stream.Equal(logMade) || target.wipes != 0 {
			t.Fatalf("got %d events of the log of %s, %d wipes, want %d of %s", len(target.committed), target.Position().Stream, target.wipes, l.events, logMade)
		}
		for i, e := range target.committed {
			if e.Seq != domain.Seq(i+1) || e.Reason != "" || e.Data.(*domain.AccountOpening).DisplayName != "" {
				t.Fatalf("event %d: got %+v with %+v, want it without a word about anybody", i+1, e, e.Data)
			}
		}
	})
}

// How far behind it is: growing while the service is not heard from, and said with care before it ever was.
func TestReplicaLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var down atomic.Bool
		var events atomic.Int64
		events.Store(5)
		target := new(notepad)
		r := replicaOf(t, target, slog.New(slog.NewTextHandler(&log, nil)), func(w http.ResponseWriter, req *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			aLog{created: logMade, events: int(events.Load())}.page(w, req)
		})
		if lag := r.Lag(); !lag.Level.IsZero() || lag.Age < 24*time.Hour*365 {
			t.Errorf("an empty copy: %+v, want it never level", lag)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		for range 100 {
			time.Sleep(97 * time.Millisecond)
			synctest.Wait()
			if lag := r.Lag(); lag.Age > 2*pageWait || lag.Level.After(time.Now()) {
				t.Errorf("a level copy: %+v, want an age up to %s", lag, 2*pageWait)
			}
		}
		down.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if lag := r.Lag(); lag.Age < 10*time.Minute-2*pageWait || lag.Position != 5 {
			t.Errorf("after ten minutes without an answer: %+v, want its age to say so", lag)
		}
		if !strings.Contains(log.String(), "status 503") {
			t.Errorf("log: %s, want why it is behind", &log)
		}
		down.Store(false)
		events.Store(7)
		time.Sleep(longestWait)
		synctest.Wait()
		if lag := r.Lag(); lag.Age > 2*pageWait || lag.Position != 7 || lag.Events != 0 {
			t.Errorf("when it is heard again: %+v, want it level at 7", lag)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		again := replicaOf(t, target, nil, nil)
		if lag := again.Lag(); !lag.Level.Equal(time.Date(1999, 1, 5, 9, 0, 0, 123e6, time.UTC)) || lag.Events != 0 {
			t.Errorf("before the service was heard: %+v, want level when its newest event was recorded", lag)
		}
	})
}

// Catching up it says by how much it is behind, and is level only when it has all.
func TestReplicaBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := aLog{created: logMade, events: 3 * pageSize}
		var r *Replica
		pages := 0
		r = replicaOf(t, new(notepad), nil, func(w http.ResponseWriter, req *http.Request) {
			if got, want := r.Lag(), domain.Seq((4-pages)*pageSize); pages >= 1 && pages <= 3 && (got.Events != want || !got.Level.IsZero()) {
				t.Errorf("before page %d: %+v, want %d events behind and not level", pages, got, want)
			}
			pages++
			l.page(w, req)
		})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil || pages != 5 || r.Lag().Level.IsZero() {
			t.Errorf("got %v, %d requests, %+v, want 5 requests and it level", err, pages, r.Lag())
		}
	})
}

// What it can't have copied from, or can't read, it does not go on from.
func TestReplicaStops(t *testing.T) {
	good := aLog{created: logMade, events: 5}
	edit := func(old, new string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("after") == "4" { // it recognises the log
				good.page(w, r)
				return
			}
			next := aLog{created: logMade, events: 6}
			next.give(w, strings.Replace(next.event(6), old, new, 1))
		}
	}
	for _, c := range []struct {
		name    string
		service inMemory
		code    string
	}{
		{"the log of another day", aLog{created: logMade.Add(1), events: 5}.page, "log_swapped"},
		{"another event at its place", aLog{created: logMade, events: 9, fork: "F"}.page, "log_forked"},
		{"a log that ends before it", aLog{created: logMade, events: 4}.page, "log_truncated"},
		{"a gap", edit(`"seq":6`, `"seq":7`), "log_gap"},
		{"an event again", edit(`"seq":6`, `"seq":5`), "log_gap"},
		{"no seq", edit(`"seq":6,`, ``), "undecodable_event"},
		{"an unknown type", edit("account.opened", "account.sold"), "undecodable_event"},
		{"a newer version", edit(`"v":1`, `"v":9`), "undecodable_event"},
		{"a field too many", edit(`"v":1`, `"v":1,"w":1`), "undecodable_event"},
		{"a seq too many", edit(`"v":1`, `"v":1,"seq":6`), "undecodable_event"},
		{"another organisation's", edit(`"acme"`, `"beta"`), "foreign_event"},
		{"an older service", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"events":[],"next":5}`))
		}, "not_permledger"},
		{"no service", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`["events"]`))
		}, "not_permledger"},
	} {
		synctest.Test(t, func(t *testing.T) {
			target := new(notepad)
			level, cancel := context.WithCancel(context.Background())
			first := replicaOf(t, target, nil, func(w http.ResponseWriter, r *http.Request) {
				if good.page(w, r); target.Position().Seq == 5 {
					cancel()
				}
			})
			if err := first.Run(level); err != nil || len(target.committed) != 5 {
				t.Fatalf("the copy: %v, %d events, want 5", err, len(target.committed))
			}
			err := replicaOf(t, target, nil, c.service).Run(context.Background())
			var e *domain.Error
			if !errors.As(err, &e) || e.Code != c.code || len(target.committed) != 5 || len(target.staged) != 0 {
				t.Errorf("%s: got %v, %d events and %d staged, want %s and nothing more of it", c.name, err, len(target.committed), len(target.staged), c.code)
			}
			if strings.Contains(fmt.Sprint(err), "Anna") {
				t.Errorf("%s: %v, want no word about anybody", c.name, err)
			}
		})
	}
}

// A server that is behind the one that answered before is waited for; a log that was cut off meanwhile is not.
func TestReplicaAnswersDiffer(t *testing.T) {
	for _, truncated := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			target := new(notepad)
			asked := 0
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := replicaOf(t, target, nil, func(w http.ResponseWriter, r *http.Request) {
				l := aLog{created: logMade, events: 5}
				switch asked++; {
				case asked == 3, truncated && asked > 3:
					l.events = 4
				case asked == 6:
					cancel()
				}
				l.page(w, r)
			})
			err := r.Run(ctx)
			if truncated != errors.Is(err, domain.Integrity) || !truncated && err != nil {
				t.Errorf("truncated %v: got %v after %d requests", truncated, err, asked)
			}
		})
	}
}

// What an earlier program or a broken-off import left is thrown away; a target that can't take more ends it.
func TestReplicaTarget(t *testing.T) {
	for _, p := range []itsPosition{
		{Seq: 3, EventID: "01K00003", Stream: logMade, Building: true},
		{Seq: 3, EventID: "01K00003", Stream: logMade, Outdated: true},
		{Stream: logMade},
	} {
		synctest.Test(t, func(t *testing.T) {
			target := &notepad{position: p}
			ctx, cancel := context.WithCancel(context.Background())
			r := replicaOf(t, target, nil, func(w http.ResponseWriter, r *http.Request) {
				aLog{created: logMade, events: 5}.page(w, r)
				if target.Position().Seq == 5 {
					cancel()
				}
			})
			if err := r.Run(ctx); err != nil || len(target.committed) != 5 || (target.wipes == 1) != (p.Seq > 0) {
				t.Errorf("from %+v: got %v, %d events and %d wipes, want all 5 anew", p, err, len(target.committed), target.wipes)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("the disk is full")
		target := &notepad{full: full}
		err := replicaOf(t, target, nil, aLog{created: logMade, events: 5}.page).Run(context.Background())
		if err != full || len(target.staged) != 0 {
			t.Errorf("got %v and %d staged, want %v and none", err, len(target.staged), full)
		}
	})
}

// An event is read as it was shown, whatever its texts say.
func TestReplicaDecodes(t *testing.T) {
	e := &domain.Event{Seq: 42, ID: "01K", Org: "acme", Type: domain.AccountOpened, Version: 1, RecordedAt: domain.InstantOf(logMade),
		Actor: "professional:root", Reason: `quotes "," and ,"seq":1, and \`, Data: &domain.AccountOpening{Account: "client:c1", DisplayName: `<b>,"seq":2,</b>`}}
	shown, err := json.Marshal(e) // with < and > escaped, as the service has it
	if err != nil {
		t.Fatal(err)
	}
	got, err := replicaOf(t, new(notepad), nil, nil).decode(shown, 42)
	if err != nil || string(domain.AppendEvent(nil, got)) != string(domain.AppendEvent(nil, e)) {
		t.Errorf("%s:\ngot  %+v, %v\nwant %+v", shown, got, err, e)
	}
}
