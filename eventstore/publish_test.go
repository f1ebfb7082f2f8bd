package eventstore

// Writing: at the expected place or not at all, with every kind of lost answer.

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/permledger/permledger/domain"
)

func TestAppendReadGet(t *testing.T) {
	l := create(t, embedded(t))
	wantLog(t, l, 0)
	mustAppend(t, l, events(1, 1), 0)
	mustAppend(t, l, events(2, 6), 1) // one batch
	mustAppend(t, l, events(7, 40), 6)
	wantLog(t, l, 40)
	e, err := l.Get(t.Context(), 5)
	if err != nil || e.ID != event(5).ID || string(e.Body) != string(event(5).Body) || e.Seq != 5 {
		t.Fatalf("Get(5) = %+v, %v", e, err)
	}
	_, err = l.Get(t.Context(), 41)
	wantError(t, err, domain.Unknown, "unknown_event")
	for _, err = range l.Read(t.Context(), 0, 41) {
	}
	wantError(t, err, domain.Integrity, "log_truncated")
}

// The names and headers of contract §2.
func TestHeaders(t *testing.T) {
	l := create(t, embedded(t))
	mustAppend(t, l, events(1, 1), 0)
	msg, err := l.stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := "permledger.acme.event.role.assigned"; msg.Subject != want {
		t.Errorf("subject %q, want %q", msg.Subject, want)
	}
	for header, want := range map[string]string{
		"Nats-Msg-Id": string(event(1).ID), "ce-specversion": "1.0", "ce-id": string(event(1).ID), "ce-source": "/orgs/acme",
		"ce-type": "role.assigned", "ce-time": event(1).RecordedAt.String(), "content-type": "application/json",
	} {
		if got := msg.Header.Get(header); got != want {
			t.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
}

func TestAppendAtWrongSequenceIsAConflict(t *testing.T) {
	l := create(t, embedded(t))
	mustAppend(t, l, events(1, 5), 0)
	for _, expected := range []domain.Seq{0, 4, 6, 100} {
		for _, size := range []int{1, 3} {
			recs := events(1000+size*10+int(expected)*100, 1000+size*10+int(expected)*100+size-1)
			err := l.Append(t.Context(), recs, expected)
			wantError(t, err, domain.Conflict, "log_moved")
			if !Moved(err) {
				t.Errorf("Moved(%v) is false", err)
			}
		}
	}
	wantLog(t, l, 5)
}

// Appending again what is there already, as after an answer that was lost, is success and records nothing.
func TestAppendAgainIsSuccess(t *testing.T) {
	l := create(t, embedded(t))
	mustAppend(t, l, events(1, 1), 0)
	mustAppend(t, l, events(1, 1), 0)
	mustAppend(t, l, events(2, 4), 1)
	mustAppend(t, l, events(2, 4), 1)
	mustAppend(t, l, events(5, 5), 4)
	mustAppend(t, l, events(2, 4), 1)
	wantLog(t, l, 5)
}

// An id that the server has seen shortly before is answered with the place where it is: elsewhere is no success.
func TestDuplicateElsewhereIsAConflict(t *testing.T) {
	l := create(t, embedded(t))
	answer := &nats.Msg{Data: []byte(`{"stream":"PERMLEDGER_acme","seq":3,"duplicate":true}`)}
	if err := (&Pending{log: l, after: 2, seq: 3}).judge(answer); err != nil {
		t.Errorf("recorded at 3, wanted at 3: %v", err)
	}
	wantError(t, (&Pending{log: l, after: 5, seq: 6}).judge(answer), domain.Conflict, "log_moved")
}

// Of many writers at one place exactly one gets it.
func TestOneWriterWins(t *testing.T) {
	s := embedded(t)
	l := create(t, s)
	const writers = 16
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = l.Append(t.Context(), events(100*i+1, 100*i+1+i%2), 0) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !Moved(err) {
			t.Errorf("a loser got %v, want a conflict", err)
		}
	}
	if won != 1 {
		t.Fatalf("%d writers won, want one", won)
	}
}

// Publishes go out in the order of the calls without waiting for one another; when one is refused, so are all behind.
func TestPipeline(t *testing.T) {
	l := create(t, embedded(t))
	var pending []*Pending
	for n := 1; n <= 200; n++ {
		p, err := l.Publish(event(n), domain.Seq(n-1), "")
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for n, p := range pending {
		if <-p.Done(); p.Err() != nil {
			t.Fatalf("publish %d: %v", n+1, p.Err())
		}
	}
	wantLog(t, l, 200)

	pending = nil
	for _, n := range []int{201, 202, 204, 205} { // 203 is missing
		p, err := l.Publish(event(n), domain.Seq(n-1), "")
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		if <-p.Done(); Moved(p.Err()) != (i >= 2) {
			t.Fatalf("publish %d of four, the third of which skips a place: %v", i+1, p.Err())
		}
	}
	wantLog(t, l, 202)
}

// One whose predecessor never came is refused where another's event stands in its place.
func TestPipelineBehindALostOne(t *testing.T) {
	l := create(t, embedded(t))
	write := func(n int, after domain.Seq, behind domain.EventID) error {
		t.Helper()
		p, err := l.Publish(event(n), after, behind)
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		return p.Err()
	}
	lost, another := event(1), event(7)
	if err := write(7, 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := write(2, 1, lost.ID); !Moved(err) {
		t.Fatalf("behind one that is not there: %v, want that the log has moved", err)
	}
	if err := write(3, 1, another.ID); err != nil {
		t.Fatal(err)
	}
	if err := write(4, 2, ""); err != nil { // nor does the next name anybody
		t.Fatal(err)
	}
}

func TestBatchIsAllOrNothing(t *testing.T) {
	s := embedded(t)
	l := create(t, s)
	recs := events(1, 100)
	recs[70].Body = make([]byte, s.nc.MaxPayload()+1)
	wantError(t, l.Append(t.Context(), recs, 0), domain.Malformed, "event_too_large")
	wantLog(t, l, 0)

	recs = events(1, 100)
	recs[99].ID = recs[3].ID // the server refuses it at the commit
	if err := l.Append(t.Context(), recs, 0); err == nil {
		t.Fatal("a batch with one id twice was recorded")
	}
	wantLog(t, l, 0)
	mustAppend(t, l, events(1, 100), 0)
	wantLog(t, l, 100)
}

func TestTooLargeBatch(t *testing.T) {
	l := create(t, embedded(t))
	err := l.Append(t.Context(), make([]Record, maxBatchEmbedded+1), 0)
	wantError(t, err, domain.Malformed, "too_many_events")
	if !strings.Contains(err.Error(), "10000") {
		t.Errorf("%q does not name the limit", err)
	}
	mustAppend(t, l, events(1, 3000), 0) // what a stock server would not take
	wantLog(t, l, 3000)
}

func TestTooLargeEvent(t *testing.T) {
	s := embedded(t)
	l := create(t, s)
	rec := event(1)
	rec.Body = make([]byte, s.nc.MaxPayload()+1)
	wantError(t, l.Append(t.Context(), []Record{rec}, 0), domain.Malformed, "event_too_large")
	wantLog(t, l, 0)
}

// The network loses the answer to a write that was persisted: Append finds its own events and says so.
func TestLostAnswerIsSuccess(t *testing.T) {
	r := startRemote(t)
	p := startLiar(t, r)
	l := create(t, open(t, Options{URL: p.url()}))
	p.tell(loseAnswer)
	mustAppend(t, l, events(1, 1), 0)
	p.tell(loseAnswer)
	mustAppend(t, l, events(2, 5), 1)
	wantLog(t, l, 5)
}

// The network loses the write itself: Append does not claim that it is there, nor that it never will be. Of several events
// the client may notice the cut before it sends the one that commits; then nothing was recorded, and it says that.
func TestLostWriteIsUnavailable(t *testing.T) {
	r := startRemote(t)
	p := startLiar(t, r)
	l := create(t, open(t, Options{URL: p.url()}))
	for _, recs := range [][]Record{events(1, 1), events(1, 4)} {
		p.tell(loseWrite)
		err := l.Append(t.Context(), recs, 0)
		wantError(t, err, domain.Unavailable, "log_unavailable")
		uncommitted := len(recs) > 1 && strings.Contains(err.Error(), "outbound buffer limit exceeded; nothing was recorded")
		if !strings.Contains(err.Error(), "not known") && !uncommitted {
			t.Errorf("%q should leave it open whether it was recorded", err)
		}
		wantLog(t, l, 0)
	}
	mustAppend(t, l, events(1, 4), 0)
}

// Somebody else writes while our answer is lost: that is a conflict, whatever became of ours.
func TestLostWriteAndAnotherWriter(t *testing.T) {
	r := startRemote(t)
	p := startLiar(t, r)
	l := create(t, open(t, Options{URL: p.url()}))
	other, err := open(t, Options{URL: r.url()}).Open(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	p.tell(loseWrite)
	pending, err := l.Publish(event(77), 0, "")
	if err != nil {
		t.Fatal(err)
	}
	<-pending.Done()
	mustAppend(t, other, events(1, 1), 0)
	wantError(t, l.Settle(t.Context(), []Record{event(77)}, 0, pending.Err()), domain.Conflict, "log_moved")
}

// What can't be sent was not recorded, and the error says so.
func TestPublishWithoutAServer(t *testing.T) {
	r := startRemote(t)
	l := create(t, open(t, Options{URL: r.url()}))
	r.stop()
	wait(t, "the connection to break", func() bool { return l.s.nc.Status() == nats.RECONNECTING })
	_, err := l.Publish(event(1), 0, "")
	wantError(t, err, domain.Unavailable, "log_unavailable")
	if !strings.Contains(err.Error(), "nothing was recorded") {
		t.Errorf("%q should say that nothing was recorded", err)
	}
	r.start()
	wait(t, "the connection to be back", l.s.nc.IsConnected)
	wait(t, "the log to take events", func() bool { return l.Append(t.Context(), events(1, 1), 0) == nil })
	wantLog(t, l, 1)
}
