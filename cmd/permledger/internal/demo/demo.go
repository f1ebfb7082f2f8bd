// Package demo tells a made-up story into a ledger: half a year of Praktijk De Wilg, a Dutch practice for mental health
// care with forty staff and three hundred clients. Nobody in it exists.
//
// It owns who, when and what. It never decides: every event is a command that the ledger took (ledger.Record), at the
// story's own time, or its notice of what began or ran out (ledger.TakeNotice), at that very moment. The story is the same
// each time, to the seq and the nanosecond; only the events' ids differ. Every type of event occurs in it, and when it ends
// nothing dated is left to begin or run out: whoever serves it later finds nothing to add.
package demo

import (
	"context"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // the story's times are Dutch, whatever the machine knows of zones

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/domain/catalogues"
)

const (
	// Org is the organisation of the story.
	Org domain.Org = "de-wilg"
	// Zone is the time zone that the story is told in.
	Zone = "Europe/Amsterdam"

	source = "demo"     // of every event of the story
	theEnd = "demo-end" // the request id of the story's last command: with it the story is whole
	// page is how many events are read at once when looking for the end.
	page = 1000
)

// A Question is one that an auditor would ask of the story.
type Question struct {
	About string   // why somebody would ask, in a sentence or two
	Ask   []string // the command line behind permledger
}

// Questions gives those that the demo answers, in the order in which they make sense.
func Questions() []Question {
	return []Question{
		{
			"In the night of Saturday 13 June the police call about client c113. Who could see the record at three o'clock?",
			[]string{"who", "view_record", "client:c113", "--at", "2026-06-14T03:00:00+02:00"},
		},
		{
			"Emre had emergency access that night. Does he still?",
			[]string{"check", "professional:emre", "view_record", "client:c113"},
		},
		{
			"Daan left the day team on 1 May, and nobody thought of his caseload. Until when could he see client c010, and who noticed?",
			[]string{"explain", "professional:daan", "view_record", "client:c010", "--at", "2026-08-31T18:00:00+02:00"},
		},
		{
			"And all that was recorded about client c113, whose therapist left, and whose next one was written down late.",
			[]string{"history", "client:c113", "--at", "2026-08-31T18:00:00+02:00"},
		},
	}
}

// More gives command lines to go on with.
func More() [][]string {
	return [][]string{
		{"check", "professional:saskia", "view_record", "client:c113", "--at", "2026-05-01T10:00:00+02:00"},
		{"check", "professional:saskia", "view_record", "client:c113", "--at", "2026-05-01T10:00:00+02:00", "--known-at", "now"},
		{"what", "professional:daan", "view_record", "--at", "2026-08-01T12:00:00+02:00"},
		{"history", "--grant", string(curious)},
		{"explain", "professional:bram", "view_record", "client:c090"},
		{"history", "professional:noor"},
	}
}

// Write tells the story into the data directory dir, which must exist, unless it is told there already: made says
// which. progress, if not nil, hears the story's time and the events so far. Errors: Conflict where dir holds a ledger
// that is not the whole story; whatever stopped the ledger. After an error what was written is worth nothing: its
// writes are synced only at the end, where the ledger of somebody who counts on it syncs each (ledger.Options.Relaxed).
func Write(ctx context.Context, dir string, progress func(now time.Time, events int)) (made bool, err error) {
	c := &clock{now: opening()}
	s, err := ledger.Open(ctx, ledger.Options{Data: dir, Create: true, Relaxed: true, Now: c.time})
	if err != nil {
		return false, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	orgs, err := s.Orgs(ctx)
	switch {
	case err != nil:
		return false, err
	case len(orgs) > 0:
		return false, told(ctx, s, dir, orgs)
	}

	document, err := catalogues.Document(catalogue)
	if err != nil {
		return false, err
	}
	l, err := s.Init(ctx, Org, document, marijke, source)
	if err != nil {
		return false, err
	}
	t := &teller{ctx: ctx, ledger: l, clock: c, progress: progress}
	return true, t.tell(story(document))
}

// told is nil where the ledgers of a directory are the whole story and nothing else.
func told(ctx context.Context, s *ledger.Service, dir string, orgs []domain.Org) error {
	if len(orgs) != 1 || orgs[0] != Org {
		return domain.Errorf(domain.Conflict, "ledger_exists", "demo: %s holds the ledger of %s already; give the demo a directory of its own", dir, orgs[0])
	}
	l, err := s.Ledger(ctx, Org)
	if err != nil {
		return err
	}
	for after := domain.Seq(0); ; after += page {
		events, err := l.Events(ctx, after, page)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(events, func(e *domain.Event) bool { return e.Source == source && e.RequestID == theEnd }) {
			return nil
		}
		if len(events) < page {
			return domain.Errorf(domain.Conflict, "ledger_exists", "demo: %s holds a ledger of %s that is not the whole story; remove it, or give another directory", dir, Org)
		}
	}
}

// clock is the ledger's while the story is told. The teller sets it between two commits, when nobody reads it.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// A scene is one moment of the story. It may look at what came of those before it, and so may only be played in order.
type scene struct {
	at   time.Time
	play func(*teller)
}

// A teller records the story. It ends with the first scene that the ledger refuses.
type teller struct {
	ctx      context.Context
	ledger   *ledger.Ledger
	clock    *clock
	progress func(time.Time, int)
	err      error
}

// tell plays the scenes in the order of their times.
func (t *teller) tell(scenes []scene) error {
	slices.SortStableFunc(scenes, func(a, b scene) int { return a.at.Compare(b.at) })
	for _, s := range scenes {
		if t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		if t.pass(s.at); t.err == nil {
			s.play(t)
		}
		if t.err != nil {
			return t.err
		}
		if t.progress != nil {
			t.progress(s.at, int(t.ledger.Head()))
		}
	}
	return nil
}

// pass lets the story's time go on until now. What begins or runs out on the way is noticed at its moment, as the clock of
// a ledger that is served would have; what does so now is noticed before anything else is recorded.
func (t *teller) pass(now time.Time) {
	for {
		due, some, err := t.ledger.NextDue()
		if err == nil && (!some || due.Time().After(now)) {
			t.clock.now = now
			return
		}
		if err == nil {
			t.clock.now = due.Time()
			err = t.ledger.TakeNotice()
		}
		if err != nil {
			t.err = fmt.Errorf("the story on its way to %s: %w", now.Format("2006-01-02 15:04"), err)
			return
		}
	}
}

// between is the time from one command to the next when somebody is at it. Scenes are minutes apart.
const between = 7 * time.Second

// record records the commands one after another, and gives the seq of the first event.
func (t *teller) record(commands ...domain.Command) domain.Seq {
	first := t.together(commands[:1]...)
	for i := 1; i < len(commands) && t.err == nil; i++ {
		if t.pass(t.clock.now.Add(between)); t.err == nil {
			t.together(commands[i])
		}
	}
	return first
}

// together records the commands in one commit, all or nothing, and gives the seq of the first event. It takes the log
// some ten milliseconds, a single event less than one: so it is for what is many, or belongs together.
func (t *teller) together(commands ...domain.Command) domain.Seq {
	r, err := t.ledger.Record(t.ctx, commands)
	if err != nil {
		t.err = fmt.Errorf("the story at %s: %w", t.clock.now.Format("2006-01-02 15:04"), err)
		return 0
	}
	return r.Events[0].Seq
}

// by makes a command of the actor's. Its name follows from the data.
func by(actor domain.Account, data domain.Data, reason string) domain.Command {
	return domain.Command{Name: names[data.Type()], Actor: actor, Data: data, Reason: reason, Source: source}
}

// names gives the command that asks for each type of event.
var names = func() map[domain.EventType]domain.Action {
	m := make(map[domain.EventType]domain.Action)
	for _, name := range domain.Commands() {
		typ, err := domain.EventOf(name)
		if err != nil {
			panic(err) // it lists what it knows
		}
		m[typ] = name
	}
	return m
}()

// on reads a moment of the story, Dutch time.
func on(moment string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", moment, zone)
	if err != nil {
		panic(err) // the moments are constants of this package
	}
	return t
}

func instant(moment string) domain.Instant { return domain.InstantOf(on(moment)) }

var zone = func() *time.Location {
	z, err := time.LoadLocation(Zone)
	if err != nil {
		panic(err) // it is embedded
	}
	return z
}()
