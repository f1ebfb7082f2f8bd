package main

// watch: who gains and loses what, as it happens. It reads the Server-Sent Events of GET /changes, comes back by itself with
// its cursor when the connection is lost, and keeps nothing. It does not put the changes together: that is a follower's
// business (package consumers), and what they come to is who's and what's to say.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

const (
	// silence is how long nothing may come before a connection counts as lost: three heartbeats.
	silence = 45 * time.Second
	// comeBackFirst and comeBackLast bound the wait before coming back: twice as long after each attempt that failed, less up
	// to half of it at random, so that all who were let go at once do not come back at once.
	comeBackFirst = 250 * time.Millisecond
	comeBackLast  = 30 * time.Second
)

// changeFilter are the flags that say which changes are wanted.
type changeFilter struct {
	about, subject string
	kinds          []string
}

func (f *changeFilter) register(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.about, "about", "", "only changes about this account or resource, resolved for it")
	flags.StringVar(&f.subject, "subject", "", "only what this account gains and loses")
	flags.StringSliceVar(&f.kinds, "kind", nil, "only of these kinds: gained, lost, or a kind of account, e.g. lost,professional")
	cmd.RegisterFlagCompletionFunc("about", a.completeAbout)
	cmd.RegisterFlagCompletionFunc("subject", a.completeAccount)
	cmd.RegisterFlagCompletionFunc("kind", a.completeChangeKinds)
}

// check gives the filter, as far as its names can be those of something.
func (f *changeFilter) check() (x consumers.Filter, err error) {
	if f.about != "" {
		if x.About, err = domain.ParseResource(f.about); err != nil {
			return x, err
		}
	}
	if f.subject != "" {
		if x.Subject, err = domain.ParseAccount(f.subject); err != nil {
			return x, err
		}
	}
	if len(f.kinds) > 0 {
		x.Kinds, err = consumers.ParseKinds(strings.Join(f.kinds, ","))
	}
	return x, err
}

func newWatchCommand(a *app) *cobra.Command {
	var (
		f        changeFilter
		after    string
		snapshot bool
		once     bool
	)
	cmd := &cobra.Command{
		Use:     "watch",
		Short:   "Who gains and loses what, as it happens",
		GroupID: groupQuestions,
		Long: `watch shows who gains and who loses what, and because of what, a line a change: from now on, or after a cursor (--after), or
with all that is permitted now first (--snapshot). A seq is a cursor too: --after 120 is what changed by the events after 120,
and --after 0 all that the feed still has. It comes back by itself when the connection is lost, and misses nothing. It ends
with Ctrl-C; --once has it end when it has caught up with where the ledger was when it began.

With --json each line is one JSON object with its "event": gained, lost, snapshot_end, checkpoint (so far nothing else
changed) or must_refetch (forget everything, a snapshot follows). "cursor" is what to go on after. Where changes after
the cursor are not kept any more it ends with exit code 3; with --snapshot it begins again with one.`,
		Example: `  permledger watch
  permledger watch --after 120 --once
  permledger watch --snapshot --about client:c1
  permledger watch --subject professional:anna --kind lost --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := &watching{a: a, snapshot: snapshot, once: once, cursor: after, wait: time.After}
			var err error
			if w.filter, err = f.check(); err != nil {
				return err
			}
			if after != "" {
				if _, err := consumers.ParseCursor(after); err != nil {
					return err
				}
			}
			if once && after == "" && !snapshot {
				return domain.Errorf(domain.Malformed, "bad_flag", "--once: from now on there is nothing to catch up with; give --after CURSOR, e.g. --after 0, or --snapshot")
			}
			err = a.withFeed(cmd.Context(), func(c *client) error {
				w.c, w.s = c, a.screen()
				return w.run(cmd.Context())
			})
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how it ends
			}
			return err
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "go on after this cursor or seq; 0 is the beginning (default: from now on)")
	cmd.Flags().BoolVar(&snapshot, "snapshot", false, "all that is permitted now first, unless --after can be gone on from")
	cmd.Flags().BoolVar(&once, "once", false, "end when it has caught up with where the ledger was when it began")
	cmd.RegisterFlagCompletionFunc("after", cobra.NoFileCompletions)
	f.register(a, cmd)
	return cmd
}

// watching is one watch.
type watching struct {
	a              *app
	c              *client
	s              *screen
	filter         consumers.Filter
	snapshot, once bool
	wait           func(time.Duration) <-chan time.Time // before coming back

	cursor string           // to go on after; "": none
	until  consumers.Cursor // with once: where to end
	begun  bool             // something of the answer came, on any connection
	lost   int              // connections in a row that gave nothing
	within bool             // a snapshot is being read

	shown bool   // an event was shown
	said  string // the time and cause of the line before, for people
}

// mustRefetch is what the service calls it where changes after a cursor are not kept any more.
const mustRefetch = "must_refetch"

// errCaughtUp ends a watch with --once.
var errCaughtUp = errors.New("caught up")

// run follows, over as many connections as it takes.
func (w *watching) run(ctx context.Context) error {
	if w.once {
		var feed feedAnswer
		body, err := w.c.get(ctx, "feed", nil)
		if err == nil {
			err = read(body, &feed)
		}
		if err != nil {
			return err
		}
		w.until = consumers.Cursor{Seq: feed.Head}
	}
	for {
		err := w.connection(ctx)
		if e := w.s.flush(); e != nil {
			return e
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == errCaughtUp:
			return nil
		case !w.begun || w.a.global.data != "" || !comesBack(err):
			return err
		}
		wait := min(comeBackFirst<<min(w.lost, 16), comeBackLast)
		wait -= rand.N(wait / 2)
		w.lost++
		fmt.Fprintf(w.a.err, "permledger: %s; coming back in %s\n", printable(err.Error()), wait.Round(10*time.Millisecond))
		select {
		case <-w.wait(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		if w.within { // what was read of it is no snapshot: whoever reads these lines has to forget it
			w.within = false
			if err := w.refetch([]byte(`{"reason":"the snapshot broke off","from":null}`), "the snapshot broke off"); err != nil {
				return err
			}
		}
	}
}

// comesBack tells whether an error may be over when the watch comes back. A service that starts has incomplete answers;
// that changes are not kept any more stays so.
func comesBack(err error) bool {
	var e *domain.Error
	if errors.As(err, &e) && e.Code == mustRefetch {
		return false
	}
	return errors.Is(err, domain.Unreachable) || errors.Is(err, domain.Unavailable) || errors.Is(err, domain.Incomplete)
}

// connection follows until the connection is lost.
func (w *watching) connection(ctx context.Context) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	idle := time.AfterFunc(silence, func() { cut(fmt.Errorf("nothing came for %s", silence)) })
	defer idle.Stop()
	body, err := w.c.open(ctx, http.MethodGet, w.c.path("changes", w.query()), "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	defer cut(nil) // before the body is closed, which in process waits for the handler
	r := bufio.NewReaderSize(body, 64<<10)
	for {
		e, err := readEvent(r, func() { idle.Reset(silence) })
		if err != nil {
			return w.broken(ctx, err)
		}
		w.begun, w.lost = true, 0
		if err := w.take(ctx, e); err != nil {
			return err
		}
		if r.Buffered() == 0 {
			if err := w.s.flush(); err != nil {
				return err
			}
		}
	}
}

// broken says why reading ended.
func (w *watching) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	} else if err == io.EOF {
		err = errors.New("the service ended it")
	}
	return domain.Errorf(domain.Unreachable, "unreachable", "lost the connection to %s: %v", w.c.base, err)
}

func (w *watching) query() url.Values {
	q := url.Values{}
	for _, p := range [][2]string{{"after", w.cursor}, {"about", string(w.filter.About)}, {"subject", string(w.filter.Subject)}, {"kind", strings.Join(w.filter.Kinds, ",")}} {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if w.snapshot {
		q.Set("snapshot", "true")
	}
	return q
}

// A sent is one event as the service sends them: a name, one line of JSON, and where it has one, an id.
type sent struct {
	name string
	id   *string
	data []byte
}

// readEvent reads one event. alive is called for each line, also for those that only say that the connection is alive.
func readEvent(r *bufio.Reader, alive func()) (e sent, err error) {
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return sent{}, err // of an event that is not whole nothing is used
		}
		alive()
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(bytes.TrimRight(line, "\r\n")) == 0 && e.data != nil:
			return e, nil
		case string(name) == "event":
			e.name = string(value)
		case string(name) == "id":
			id := string(value)
			e.id = &id
		case string(name) == "data":
			e.data = value
		}
	}
}

// take shows one event, and notes how far it goes.
func (w *watching) take(ctx context.Context, e sent) error {
	var at struct {
		Cursor consumers.Cursor `json:"cursor"`
		Reason string           `json:"reason"`
		From   string           `json:"from"`
	}
	if err := read(e.data, &at); err != nil {
		return err
	}
	if e.name == mustRefetch {
		if !w.snapshot {
			return domain.Errorf(domain.Incomplete, mustRefetch, "watch --after %s: %s; changes are kept from cursor %s on: give --snapshot, or --after %s and miss what was between", w.cursor, at.Reason, at.From, at.From)
		}
		w.cursor = ""
		return w.refetch(e.data, at.Reason)
	}
	if err := w.show(ctx, e); err != nil {
		return err
	}
	w.shown, w.within = true, e.id == nil
	if e.id == nil {
		return nil
	}
	w.cursor = *e.id
	if w.once && !at.Cursor.Before(w.until) {
		if !w.a.global.json && e.name != "snapshot_end" {
			w.s.dim(w.s.words.feed.level, w.until.Seq)
		}
		return errCaughtUp
	}
	return nil
}

// refetch says that what was shown so far counts no more.
func (w *watching) refetch(data []byte, reason string) error {
	if w.a.global.json {
		return w.print(mustRefetch, data)
	}
	fmt.Fprintf(w.a.err, "permledger: %s: beginning again with a snapshot\n", printable(reason))
	return nil
}

// print prints an event as a line of JSON: what came, with the event's name in it.
func (w *watching) print(name string, data []byte) error {
	_, err := fmt.Fprintf(w.s.w, "{\"event\":%q,%s\n", name, bytes.TrimPrefix(data, []byte("{")))
	return err
}

// show prints an event.
func (w *watching) show(ctx context.Context, e sent) error {
	if w.a.global.json {
		return w.print(e.name, e.data)
	}
	words := w.s.words.feed
	switch e.name {
	case consumers.Gained, consumers.Lost:
		var c consumers.Change
		if err := read(e.data, &c); err != nil {
			return err
		}
		return w.line(ctx, c)
	case "snapshot_end":
		var end struct {
			Seq uint64 `json:"seq"`
			At  string `json:"at"`
		}
		if err := read(e.data, &end); err != nil {
			return err
		}
		w.s.dim(words.all, w.s.moment(end.At), end.Seq)
	case "checkpoint":
		if !w.shown && !w.once {
			var at struct {
				Seq uint64 `json:"seq"`
			}
			if err := read(e.data, &at); err != nil {
				return err
			}
			w.s.dim(words.from, at.Seq)
		}
	}
	return nil
}

// line prints a change. Those of one event stand together: what they have in common is said in the first of them.
func (w *watching) line(ctx context.Context, c consumers.Change) error {
	s, words := w.s, w.s.words.feed
	mark, colour, says := "+", text.FgGreen, words.gains
	switch {
	case c.Kind == consumers.Lost:
		mark, colour, says = "-", text.FgRed, words.loses
	case c.Cause.Seq == 0:
		says = words.may
	}
	at := s.time(c.At.String())
	actions := make([]string, len(c.Actions))
	for i, a := range c.Actions {
		actions[i] = string(a)
	}
	line := fmt.Sprintf(says, c.Subject, strings.Join(actions, ", "), c.Resource)
	if c.ValidUntil != nil {
		line += fmt.Sprintf(words.until, s.time(c.ValidUntil.String()))
	}
	said := fmt.Sprint(at, c.Cause)
	switch {
	case c.Cause.Seq == 0:
		at = ""
	case said == w.said:
		at = strings.Repeat(" ", len(at)) + "  "
	default:
		why, err := w.why(ctx, c.Cause)
		if err != nil {
			return err
		}
		line += why
		at += "  "
	}
	w.said = said
	s.line("%s%s %s", at, text.Colors{colour}.Sprint(mark), line)
	return nil
}

// why says what a change came of: the event, which is asked for as the feed has only its type.
func (w *watching) why(ctx context.Context, cause consumers.Cause) (string, error) {
	words, seq := w.s.words.feed, cause.Seq
	if cause.Of != 0 {
		seq = cause.Of
	}
	q := url.Values{"after": {fmt.Sprint(seq - 1)}, "limit": {"1"}}
	body, err := w.c.get(ctx, "events", q)
	if err != nil {
		return "", err
	}
	var page struct {
		Events []event `json:"events"`
	}
	if err := read(body, &page); err != nil {
		return "", err
	}
	sentence := string(cause.Type)
	if len(page.Events) == 1 && page.Events[0].Seq == uint64(seq) {
		sentence = w.s.sentence(page.Events[0])
		switch {
		case cause.Of != 0 && cause.Type == domain.ValidityStarted:
			sentence = fmt.Sprintf(words.began, sentence)
		case cause.Of != 0:
			sentence = fmt.Sprintf(words.ranOut, sentence)
		}
	}
	return fmt.Sprintf(words.because, sentence, seq), nil
}
