package consumers_test

// How another service follows: the example of Follow, against a service that says what is always the same.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/permledger/permledger/consumers"
)

// records is a records system that shows a client's record to whoever may see it. It would keep both fields in its database,
// and write them in one transaction.
type records struct {
	mayView map[string]bool
	cursor  consumers.Cursor
	done    func()
}

// Snapshot begins anew: what was known before is forgotten.
func (r *records) Snapshot(_ context.Context, s *consumers.SnapshotReader) error {
	mayView := make(map[string]bool)
	for c, err := range s.Changes() {
		if err != nil {
			return err // the connection was lost: the snapshot comes again
		}
		mayView[string(c.Subject)] = c.Kind == consumers.Gained
	}
	r.mayView, r.cursor = mayView, s.Cursor
	fmt.Println("at", r.cursor, r.mayView)
	return nil
}

// Changes applies the changes of one event together; there may be none.
func (r *records) Changes(_ context.Context, b consumers.Batch) error {
	for _, c := range b.Changes {
		r.mayView[string(c.Subject)] = c.Kind == consumers.Gained
		fmt.Println(c.Subject, c.Kind, c.Actions, "because of", c.Cause.Type)
	}
	r.cursor = b.Cursor
	fmt.Println("at", r.cursor, r.mayView)
	if r.cursor.Seq == 42 {
		r.done()
	}
	return nil
}

func ExampleFollow() {
	service := httptest.NewServer(http.HandlerFunc(aService))
	defer service.Close()

	ctx, cancel := context.WithCancel(context.Background())
	r := &records{done: cancel}
	err := consumers.Follow(ctx, consumers.FollowOptions{
		URL:      service.URL,
		Org:      "acme",
		Filter:   consumers.Filter{About: "client:c1"},
		After:    r.cursor, // what was stored; here nothing yet
		Snapshot: true,
	}, r)
	fmt.Println("ended:", err)
	// Output:
	// at 40~9f2c01ab map[professional:anna:true]
	// professional:anna lost [view] because of caseload.unlinked
	// professional:bob gained [view] because of caseload.unlinked
	// at 42~9f2c01ab map[professional:anna:false professional:bob:true]
	// ended: <nil>
}

// aService stands for permledger serve.
func aService(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, `event: gained
data: {"seq":40,"at":"2026-01-05T09:00:00.000Z","kind":"gained","subject":"professional:anna","resource":"client:c1","actions":["view"],"valid_until":null}

id: 40~9f2c01ab
event: snapshot_end
data: {"cursor":"40~9f2c01ab","seq":40,"at":"2026-01-05T09:00:00.000Z"}

: heartbeat

id: 42.1~9f2c01ab
event: lost
data: {"cursor":"42.1~9f2c01ab","seq":42,"at":"2026-01-05T10:00:00.000Z","kind":"lost","subject":"professional:anna","resource":"client:c1","actions":["view"],"valid_until":null,"cause":{"seq":42,"type":"caseload.unlinked","actor":"professional:root"}}

id: 42~9f2c01ab
event: gained
data: {"cursor":"42~9f2c01ab","seq":42,"at":"2026-01-05T10:00:00.000Z","kind":"gained","subject":"professional:bob","resource":"client:c1","actions":["view"],"valid_until":null,"cause":{"seq":42,"type":"caseload.unlinked","actor":"professional:root"}}

`)
}
