package ledger

// Nothing goes on behind a service that was closed: no goroutine of ours from the moment when Close returns, and none of
// the libraries' soon after. This file owns that check, and knows goroutines only by their stacks.

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// goroutines gives the stacks of all, by their number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := map[string]string{}
	for stack := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		number, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		all[number] = stack
	}
	return all
}

// left gives those that were not there before and have one of the marks in their stack.
func left(before map[string]string, marks ...string) (stacks []string) {
	for number, stack := range goroutines() {
		if _, was := before[number]; was {
			continue
		}
		for _, mark := range marks {
			if strings.Contains(stack, mark) && !strings.Contains(stack, "ledger.left(") {
				stacks = append(stacks, stack)
				break
			}
		}
	}
	return stacks
}

func TestNothingGoesOn(t *testing.T) {
	took := make(chan struct{}, 1000)
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { took <- struct{}{} }))
	defer hook.Close()
	remote := startRemote(t)
	for name, o := range map[string]Options{
		"embedded":                     {Data: t.TempDir(), Create: true},
		"embedded, with all beside it": {Data: t.TempDir(), Create: true, Clock: true, Feed: true, Webhooks: true},
		"external, with all beside it": func() Options {
			o := remote.options()
			o.Clock, o.Feed, o.Webhooks = true, true, true
			return o
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			before := goroutines()
			s := openService(t, o)
			l, err := s.Init(t.Context(), acme, []byte(house), boss, "test")
			if err != nil {
				t.Fatal(err)
			}
			record1(t, l, opens(anna), assigns(anna, "therapist"))
			if o.Webhooks {
				if _, _, err := l.Subscribers().AddWebhook(t.Context(), "hook", hook.URL, "", consumers.Filter{}, consumers.Cursor{}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 20 {
				record1(t, l, by(anna, opens(client(i))))
			}
			if o.Feed {
				followed(t, l.Feed(), consumers.Cursor{}, l.Head(), func(consumers.Batch) {})
			}
			if o.Webhooks {
				<-took
			}
			for step, err := range l.Steps(t.Context(), 0, l.Head()) {
				if err != nil {
					t.Fatal(err)
				}
				if step.Seq == domain.Seq(5) {
					break // whoever stops in the middle leaves nothing behind either
				}
			}
			closeService(t, s)
			if ours := left(before, "github.com/permledger/"); len(ours) > 0 {
				t.Fatalf("after Close there are %d goroutines of ours:\n%s", len(ours), strings.Join(ours, "\n\n"))
			}
			wait(t, "the libraries' goroutines to end", func() bool {
				return len(left(before, "github.com/nats-io/nats-server/v2/server.(*", "github.com/cockroachdb/")) == 0 || o.NATS.URL != "" && len(left(before, "github.com/cockroachdb/")) == 0
			})
		})
	}
}
