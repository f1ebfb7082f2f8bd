package ledger

// What an operator is told of a data directory and the ledgers in it: one line for each thing looked at, and for whatever is
// not well a way out. It reads and compares; it mends nothing, and never judges what is recorded.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/permledger/permledger/cmd/permledger/internal/build"
	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/eventstore"
)

// A Level says how a finding is to be taken.
type Level string

const (
	Well    Level = "ok"
	Warning Level = "warning" // it works, and will not for ever
	Problem Level = "problem" // it does not work, or what it says can't be relied on
)

// A Finding is about one thing that was looked at.
type Finding struct {
	Check   string         `json:"check"` // data, disk, log, settings, clock, versions, projection, feed, subscribers, founders
	Org     domain.Org     `json:"org,omitempty"`
	Level   Level          `json:"level"`
	Text    string         `json:"text"`              // what was found, in one sentence
	Advice  string         `json:"advice,omitempty"`  // the way out, for all but what is well
	Runbook string         `json:"runbook,omitempty"` // the page under deploy/runbooks that says more
	Code    string         `json:"code,omitempty"`    // of the error that was met
	Failure domain.Failure `json:"failure,omitempty"` // of that error: integrity is what exit code 6 stands for
}

// What is too little, too far behind, or too far off.
const (
	leastFree    = 1 << 30 // bytes
	leastShare   = 0.10    // of the disk
	leastDays    = 30.0    // until it is full at this rate
	lagTolerated = 1000    // events
	lagDay       = 24 * time.Hour
	clockOff     = 2 * time.Second
	growthPeriod = 30 * 24 * time.Hour
	feedWait     = 5 * time.Second // for a feed that has not found its stream, or is not level yet
	feedLook     = 50 * time.Millisecond
	catchUpWait  = 5 * time.Second // for a ledger that was only opened for this
)

// Doctor looks over the data directory, the log's server and every ledger, or that of only one organisation. What can't be
// looked at is a finding. Errors: Unknown where the one has no ledger; that of ctx.
func (s *Service) Doctor(ctx context.Context, only domain.Org) ([]Finding, error) {
	d := &doctor{s: s}
	d.data()
	d.versions(ctx)
	orgs, err := s.Orgs(ctx)
	if err != nil {
		d.met("log", "", err, "see that the NATS server runs and can be reached")
	} else if only != "" && !slices.Contains(orgs, only) {
		orgs = append(orgs, only) // an import that never finished is no ledger, and may be there
	}
	inspections := make(map[domain.Org]eventstore.Inspection) // of all, whoever is asked about: they share the disk
	for _, org := range orgs {
		in, err := s.store.Inspect(ctx, org)
		if err == nil {
			inspections[org] = in
			continue
		}
		if errors.Is(err, domain.Unknown) { // opening it tells whether there ever was one
			if _, err = s.Find(ctx, org); org == only && errors.Is(err, domain.Unknown) {
				return nil, err
			}
		}
		if err != nil && (only == "" || only == org) {
			d.met("log", org, err, "see that the NATS server runs and can be reached")
		}
	}
	d.disk(inspections)
	for _, org := range orgs {
		if in, ok := inspections[org]; ok && (only == "" || only == org) {
			d.ledger(ctx, org, in)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return d.found, nil
}

// doctor gathers findings.
type doctor struct {
	s     *Service
	found []Finding
}

func (d *doctor) well(check string, org domain.Org, format string, args ...any) {
	d.found = append(d.found, Finding{Check: check, Org: org, Level: Well, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(check string, org domain.Org, page, advice, format string, args ...any) {
	d.found = append(d.found, Finding{Check: check, Org: org, Level: Warning, Advice: advice, Runbook: page, Text: fmt.Sprintf(format, args...)})
}

// met is the finding that an error is. What is only behind is a warning, all else a problem.
func (d *doctor) met(check string, org domain.Org, err error, advice string) {
	f := Finding{Check: check, Org: org, Level: Problem, Text: err.Error(), Advice: advice, Runbook: runbook.For(err)}
	var e *domain.Error
	if errors.As(err, &e) {
		f.Code, f.Failure = e.Code, e.Failure
	}
	if f.Failure == domain.Incomplete {
		f.Level = Warning
	}
	if f.Runbook != "" {
		f.Advice = strings.TrimPrefix(f.Advice+"; do as deploy/runbooks/"+f.Runbook+".md says", "; ")
	}
	if f.Advice == "" { // the error says it by itself, or is one that nobody foresaw
		f.Advice = "see to what it says, then look again: permledger doctor"
	}
	d.found = append(d.found, f)
}

// data looks whether the directory can be written, and by whom it can be read: the log and the keys of the personal texts
// lie in it.
func (d *doctor) data() {
	dir := d.s.o.Data
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		d.met("data", "", domain.Errorf(domain.Unreachable, "no_data", "the data directory: %v", err), "give the directory that holds the ledgers, or make one with permledger init or restore")
		return
	case writable(dir) != nil:
		d.met("data", "", domain.Errorf(domain.Unreachable, "data_directory", "the data directory %s can't be written by this user", dir), "give it to the user that the service runs as, or mount its disk for writing")
		return
	}
	open := dir
	if info.Mode().Perm()&0o077 == 0 { // nobody else gets to what lies below
		open = ""
	}
	for _, sub := range []string{"log", "projection"} {
		if i, err := os.Stat(filepath.Join(dir, sub)); open != "" && err == nil && i.Mode().Perm()&0o077 != 0 {
			d.warn("data", "", "", "chmod go-rwx "+shell(i.Name(), filepath.Join(dir, sub)), "%s can be read by other users of this machine: the log and the keys of personal texts lie there", filepath.Join(dir, sub))
			return
		}
	}
	if open != "" && info.Mode().Perm()&0o022 != 0 {
		d.warn("data", "", "", "chmod go-w "+shell(info.Name(), dir), "%s can be written by other users of this machine: they could put another log in the place of this one", dir)
		return
	}
	d.well("data", "", "%s can be written, and by nobody else", dir)
}

// writable makes a file in the directory and removes it: nothing else tells on every system.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// shell gives a path to be pasted; one with anything odd in it is left to the reader.
func shell(name, path string) string {
	if strings.ContainsAny(path, " '\"\\$`\n\t*?;&|<>()") {
		return strconv.Quote(name)
	}
	return path
}

// disk says how much is free, and how long that lasts at the rate of the last month.
func (d *doctor) disk(ledgers map[domain.Org]eventstore.Inspection) {
	usage, err := vfs.Default.GetDiskUsage(d.s.o.Data)
	if err != nil {
		d.met("disk", "", domain.Errorf(domain.Unreachable, "disk", "asking how much of the disk is free: %v", err), "see that the disk is mounted and healthy")
		return
	}
	share := float64(usage.AvailBytes) / float64(max(usage.TotalBytes, 1))
	text := fmt.Sprintf("%s free of %s (%.0f%%)", inGiB(usage.AvailBytes), inGiB(usage.TotalBytes), 100*share)
	perDay := 0.0
	if d.s.o.NATS.URL == "" {
		for org, in := range ledgers {
			perDay += d.growth(org, in)
		}
	}
	days := float64(usage.AvailBytes) / max(perDay, 1)
	if perDay >= 1 {
		text += fmt.Sprintf("; the last 30 days' growth, some %s a day, fills it in %s", inMiB(perDay), inDays(days))
	}
	const advice = "make room or enlarge the disk before it is full: a full disk stops every command"
	switch {
	case usage.AvailBytes < leastFree/8:
		d.met("disk", "", domain.Errorf(domain.Unavailable, "disk", "%s", text), advice)
	case usage.AvailBytes < leastFree || share < leastShare || perDay >= 1 && days < leastDays:
		d.warn("disk", "", runbook.Of(domain.Unavailable, "disk"), advice, "%s", text)
	default:
		d.well("disk", "", "%s", text)
	}
}

// growth is how many bytes a day a ledger took of the disk in the last month, by the events recorded then: those of the
// log, and about as much again of the projection.
func (d *doctor) growth(org domain.Org, in eventstore.Inspection) float64 {
	if in.Events == 0 {
		return 0
	}
	p, err := d.s.db.Ledger(org)
	if err != nil {
		return 0 // that it can't be read is a finding of its own
	}
	now := d.s.now()
	before, err := p.SeqAt(now - domain.Instant(growthPeriod))
	if err != nil {
		return 0
	}
	perEvent := float64(in.Bytes) / float64(in.Events)
	return 2 * perEvent * float64(p.Position().Seq-before) / (growthPeriod.Hours() / 24)
}

// versions says what runs.
func (d *doctor) versions(ctx context.Context) {
	server, err := d.s.store.Server(ctx)
	if err != nil {
		d.met("log", "", err, "see that it runs, can be reached and has room on its disk")
	}
	us := build.This()
	text := fmt.Sprintf("permledger %s (%s, %s/%s), nats-server %s", us.Version, us.Go, runtime.GOOS, runtime.GOARCH, server.Version)
	if server.External && olderServer(server.Version, server.Tested) {
		d.warn("versions", "", "", "upgrade the NATS server to "+server.Tested+" or later", "%s, which is older than the %s that this program is made for", text, server.Tested)
		return
	}
	d.well("versions", "", "%s", text)
}

// olderServer compares the first two numbers of versions; of one that is none nothing is said.
func olderServer(v, than string) bool {
	var a, b [2]int
	if n, _ := fmt.Sscanf(v, "%d.%d", &a[0], &a[1]); n != 2 {
		return false
	}
	if n, _ := fmt.Sscanf(than, "%d.%d", &b[0], &b[1]); n != 2 {
		return false
	}
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

// ledger looks over one ledger.
func (d *doctor) ledger(ctx context.Context, org domain.Org, in eventstore.Inspection) {
	d.settings(org, in)
	d.clock(org, in)
	l, err := d.s.Find(ctx, org)
	if err != nil {
		if !errors.Is(err, in.Log) && (in.Log == nil || err.Error() != in.Log.Error()) { // that was said already
			d.met("projection", org, err, "")
		}
		return
	}
	catchUp, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	_ = l.wait(catchUp) // how far it got is what projection says
	d.projection(l, in)
	if l.sound() == nil && l.ready() == nil {
		d.founders(l)
		if l.following != nil {
			d.feed(ctx, l)
		}
	}
}

// settings looks whether the streams are as they were made, and all their copies there.
func (d *doctor) settings(org domain.Org, in eventstore.Inspection) {
	wrong := false
	for _, err := range []error{in.Log, in.Keys, in.Changes} {
		if err != nil {
			d.met("settings", org, err, "")
			wrong = true
		}
	}
	switch want := d.s.store.Replicas(); {
	case wrong:
	case in.Missing > 0:
		d.warn("settings", org, runbook.Of(domain.Unavailable, "log_unavailable"), "bring the servers of the cluster back that are away: one more that fails may stop the ledger", "of the log's %d copies %d are offline or behind", in.Replicas, in.Missing)
	case in.Replicas < want:
		d.warn("settings", org, "", fmt.Sprintf("nats stream edit PERMLEDGER_%s --replicas %d", org, want), "the log has %d copies, and %d are asked for", in.Replicas, want)
	default:
		d.well("settings", org, "the log keeps everything: %d events, %s, %s", in.Events, inMiB(float64(in.Bytes)), copies(in.Replicas))
	}
}

func copies(n int) string {
	if n == 1 {
		return "one copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// clock looks whether time goes on where the ledger's left off, and whether the log's server has the same.
func (d *doctor) clock(org domain.Org, in eventstore.Inspection) {
	const advice = "set the clock by NTP (timedatectl): until it has passed the newest event, what is recorded gets that event's time"
	page := runbook.Of(domain.Unavailable, "clock")
	p, err := d.s.db.Ledger(org)
	if err != nil {
		return // a finding of its own
	}
	newest := p.Position().RecordedAt
	switch ahead := newest.Time().Sub(d.s.now().Time()); {
	case newest > 0 && ahead > clockOff:
		d.warn("clock", org, page, advice, "the newest event is of %s, %s after this machine's clock", newest, ahead.Round(time.Second))
	case in.Ahead.Abs() > clockOff:
		d.warn("clock", org, page, "set both clocks by NTP (timedatectl)", "the NATS server's clock is %s off this machine's", in.Ahead.Round(time.Millisecond))
	default:
		d.well("clock", org, "this machine's clock is after the newest event")
	}
}

// projection says whether the ledger answers, and how far its projection is.
func (d *doctor) projection(l *Ledger, in eventstore.Inspection) {
	pos := l.p.Position()
	lag := max(0, int64(in.Last)-int64(pos.Seq))
	switch err := l.ready(); {
	case err != nil:
		d.met("projection", l.Org(), err, "")
	case lag > lagTolerated:
		d.warn("projection", l.Org(), runbook.Of(domain.Incomplete, "behind"), "wait, and look again: permledger doctor", "the projection is at event %d of %d", pos.Seq, in.Last)
	default:
		d.well("projection", l.Org(), "the projection has all %d events", pos.Seq)
	}
}

// founders looks whether anybody is left who may put things right.
func (d *doctor) founders(l *Ledger) {
	a, err := l.Ask(0, Known{})
	if err != nil {
		d.met("founders", l.Org(), err, "")
		return
	}
	defer a.Close()
	switch able, locked, err := founders(a, a.At); {
	case err != nil:
		d.s.Damaged(l.Org(), err)
		d.met("founders", l.Org(), err, "")
	case able > 0:
		d.well("founders", l.Org(), "%s with an open account, who can put things right", count(able, "founder", "founders"))
	case len(locked) > 0:
		d.warn("founders", l.Org(), "locked-out", "stop the service and unlock one from outside: permledger unlock ACCOUNT --data DIR --org "+string(l.Org())+" --operator NAME --reason …", "everybody who is founder is locked out, so nobody can unlock them")
	default:
		d.warn("founders", l.Org(), "locked-out", "let whoever may assign roles make somebody founder", "nobody with an open account holds the catalogue's founder roles")
	}
}

// feed looks how far the change feed and who follows it are.
func (d *doctor) feed(ctx context.Context, l *Ledger) {
	org := l.Org()
	ctx, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	st, err := l.following.feed.Status(ctx)
	for err == nil && st.Head-st.Position > lagTolerated && ctx.Err() == nil { // it may have been opened only just now
		select {
		case <-time.After(feedLook):
			st, err = l.following.feed.Status(ctx)
		case <-ctx.Done():
		}
	}
	switch {
	case err != nil:
		d.met("feed", org, err, "")
	case st.Head-st.Position > lagTolerated:
		d.warn("feed", org, runbook.Of(domain.Unavailable, "feed_behind"), "wait, and look again: permledger feed", "the change feed is at event %d of %d", st.Position, st.Head)
	default:
		d.well("feed", org, "the change feed is at event %d of %d", st.Position, st.Head)
	}
	list, err := l.following.subscribers.List(ctx)
	if err != nil {
		d.met("subscribers", org, err, "")
		return
	}
	before := len(d.found)
	for _, sub := range list {
		d.subscriber(org, sub, st.Retention.Age)
	}
	if len(d.found) == before {
		d.well("subscribers", org, "%s, none of them far behind", count(len(list), "subscriber", "subscribers"))
	}
}

// subscriber warns of one that gets nothing, or may lose what it has not had yet: changes are kept for a while only.
func (d *doctor) subscriber(org domain.Org, sub consumers.Subscriber, kept time.Duration) {
	behind := time.Duration(0)
	if sub.Lag != nil {
		behind = time.Duration(sub.Lag.Seconds * float64(time.Second))
	}
	far := lagDay
	if kept > 0 {
		far = min(far, kept/2)
	}
	page := runbook.Of(domain.Unavailable, "subscriber_behind")
	switch {
	case sub.State == consumers.StateDisabled:
		d.warn("subscribers", org, page, "see to its receiver, then: permledger subscribers enable "+sub.Name, "%s is disabled (%s): nothing is delivered to it", sub.Name, sub.Reason)
	case sub.State == consumers.StateRetrying:
		d.warn("subscribers", org, page, "see to its receiver; it is tried again by itself", "%s does not take what is delivered, %s in a row", sub.Name, count(sub.Failures, "failure", "failures"))
	case behind > far:
		d.warn("subscribers", org, page, "see whether it still follows; if not: permledger subscribers remove "+sub.Name, "%s is %s behind", sub.Name, behind.Round(time.Minute))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func inGiB(n uint64) string { return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB" }

func inMiB(n float64) string { return strconv.FormatFloat(n/(1<<20), 'f', 1, 64) + " MiB" }

func inDays(n float64) string {
	if n > 3650 {
		return "more than ten years"
	}
	return fmt.Sprintf("%.0f days", n)
}

// Examine is what Doctor has to say where the ledgers can't be opened, as err says: of the directory alone.
func Examine(data string, err error) []Finding {
	d := &doctor{s: &Service{o: Options{Data: data}}}
	if _, missing := os.Stat(data); !errors.Is(missing, fs.ErrNotExist) {
		d.data()
		d.disk(nil)
	}
	d.met("log", "", err, "")
	return d.found
}
