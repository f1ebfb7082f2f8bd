package main

// The global flags, and how a moment is written on the command line. Moments are read here, in the caller's zone, and
// leave here as UTC: nothing behind this file knows of zones.

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

const defaultServer = "http://127.0.0.1:7420"

// globals are the flags that every verb takes.
type globals struct {
	org     string
	data    string
	server  string
	json    bool
	noColor bool
	zone    zone
	lang    language
}

func (g *globals) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&g.org, "org", "", "organisation; needless where there is only one")
	f.StringVar(&g.data, "data", "", "data directory to open here")
	f.StringVar(&g.server, "server", "", "service to ask, when --data is not given (default "+defaultServer+")")
	f.BoolVar(&g.json, "json", false, "print one JSON document, the same as over HTTP")
	f.BoolVar(&g.noColor, "no-color", false, "no colours; NO_COLOR in the environment does the same")
	f.Var(&g.zone, "tz", "time zone for times without an offset and for what is shown, e.g. Europe/Amsterdam (default the local one)")
	f.Var(&g.lang, "lang", "language of answers, en or nl; "+langEnv+" in the environment does the same (default en)")
	root.PersistentPreRunE = g.lang.readEnvironment
	root.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"en", "nl"}, cobra.ShellCompDirectiveNoFileComp))
	root.RegisterFlagCompletionFunc("org", cobra.NoFileCompletions)
	root.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
	root.RegisterFlagCompletionFunc("tz", cobra.FixedCompletions([]string{"UTC", "Europe/Amsterdam"}, cobra.ShellCompDirectiveNoFileComp))
	root.MarkPersistentFlagDirname("data")
}

// needData is for the verbs that work on a data directory and never on a running service.
func (g *globals) needData(verb string) error {
	switch {
	case g.server != "":
		return domain.Errorf(domain.Malformed, "bad_flag", "%s: works on a data directory that no service has open; give --data DIR instead of --server", verb)
	case g.data == "":
		return domain.Errorf(domain.Malformed, "bad_flag", "%s: --data is missing; give the data directory, e.g. --data ./ledger", verb)
	}
	return nil
}

// zone is a time zone as a flag; the zero value is the local one.
type zone struct{ loc *time.Location }

func (z *zone) String() string {
	if z.loc == nil {
		return ""
	}
	return z.loc.String()
}

func (z *zone) Type() string { return "zone" }

func (z *zone) Set(s string) error {
	loc, err := time.LoadLocation(s)
	if err != nil || s == "" {
		return fmt.Errorf("want a zone's name, e.g. Europe/Amsterdam or UTC")
	}
	z.loc = loc
	return nil
}

func (z *zone) location() *time.Location {
	if z.loc == nil {
		return time.Local
	}
	return z.loc
}

// name says which zone it is, for errors.
func (z *zone) name() string {
	if n := z.location().String(); n != "Local" {
		return n
	}
	return "the local zone"
}

// number is a whole number from 1 as a flag; 0 is not given.
type number uint64

func (n *number) String() string { return strconv.FormatUint(uint64(*n), 10) }
func (n *number) Type() string   { return "number" }

func (n *number) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil || v == 0 {
		return fmt.Errorf("want a whole number from 1")
	}
	*n = number(v)
	return nil
}

// setNumber adds the flag to a question where it was given.
func setNumber(q url.Values, name string, n number) {
	if n != 0 {
		q.Set(name, n.String())
	}
}

// localLayouts are the ways of writing a moment without an offset, besides RFC 3339.
var localLayouts = []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"}

// moment reads a time: RFC 3339, or local in the zone. A local time that the zone skips or has twice (summer time) is
// refused, because an answer about the wrong hour looks just like the right one.
func (z *zone) moment(flag, s string) (domain.Instant, error) {
	for _, layout := range localLayouts {
		t, err := time.ParseInLocation(layout, s, z.location())
		if err != nil {
			continue
		}
		if t.Format(layout) != s {
			return 0, domain.Errorf(domain.Malformed, "bad_time", "%s %q: %s has no such time, clocks were put forward over it; write it with an offset, e.g. %s", flag, s, z.name(), t.Format(time.RFC3339))
		}
		for _, d := range []time.Duration{-time.Hour, -30 * time.Minute, 30 * time.Minute, time.Hour} {
			if other := t.Add(d); other.Format(layout) == s && layout != localLayouts[0] {
				return 0, domain.Errorf(domain.Malformed, "bad_time", "%s %q: %s has this time twice; write %s or %s", flag, s, z.name(), t.Format(time.RFC3339), other.Format(time.RFC3339))
			}
		}
		s = t.Format(time.RFC3339)
		break
	}
	i, err := domain.ParseInstant(s)
	if e, ok := err.(*domain.Error); ok && e.Code == "bad_time" {
		return 0, domain.Errorf(domain.Malformed, e.Code, "%s %q: want RFC 3339, e.g. 2026-01-05T09:00:00Z, or a time in %s: 2026-01-05, 2026-01-05 09:00 or 2026-01-05 09:00:00", flag, s, z.name())
	} else if err != nil {
		return 0, domain.Errorf(domain.Malformed, "time_out_of_range", "%s: %v", flag, err)
	}
	return i, nil
}

// moments are --at and --known-at.
type moments struct{ at, knownAt string }

func (m *moments) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.at, "at", "", "as of this moment, as known then: RFC 3339, or 2026-01-05, \"2026-01-05 09:00\" in --tz (default now)")
	cmd.Flags().StringVar(&m.knownAt, "known-at", "", "as known at this moment, seq, or now; with --at: with the corrections recorded since")
	cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("known-at", cobra.FixedCompletions([]string{"now"}, cobra.ShellCompDirectiveNoFileComp))
}

// set adds the moments to a question, in UTC.
func (m *moments) set(q url.Values, z *zone) error {
	if m.at != "" {
		at, err := z.moment("--at", m.at)
		if err != nil {
			return err
		}
		q.Set("at", at.String())
	}
	switch _, err := strconv.ParseUint(m.knownAt, 10, 63); {
	case m.knownAt == "":
	case m.knownAt == "now" || err == nil:
		q.Set("known_at", m.knownAt)
	default:
		at, err := z.moment("--known-at", m.knownAt)
		if e, ok := err.(*domain.Error); ok && e.Code == "bad_time" {
			return domain.Errorf(domain.Malformed, e.Code, "%s; or a seq, or now", e.Message)
		} else if err != nil {
			return err
		}
		q.Set("known_at", at.String())
	}
	return nil
}

// checkResource accepts a resource, and type:* as answers name a type that is not listed one by one.
func checkResource(s string) error {
	if kind, ok := strings.CutSuffix(s, ":*"); ok {
		_, err := domain.ParseName("resource", kind)
		return err
	}
	_, err := domain.ParseResource(s)
	return err
}

// again gives the command line that asks the verb with these arguments of the same ledger, to be pasted into a shell.
func (g *globals) again(verb string, args ...string) string {
	words := append([]string{"permledger", verb}, args...)
	for _, f := range [][2]string{{"--data", g.data}, {"--server", g.server}, {"--org", g.org}, {"--tz", g.zone.String()}, {"--lang", g.lang.String()}} {
		if f[1] != "" {
			words = append(words, f[0], f[1])
		}
	}
	for i, w := range words {
		words[i] = quoted(w)
	}
	return strings.Join(words, " ")
}

// args gives the flags that ask about the same moments again. A moment that was not given is left out: now stays now.
func (m *moments) args() (args []string) {
	if m.at != "" {
		args = append(args, "--at", m.at)
	}
	if m.knownAt != "" {
		args = append(args, "--known-at", m.knownAt)
	}
	return args
}

// quoted writes a word as a POSIX shell reads it.
func quoted(w string) string {
	plain := strings.IndexFunc(w, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@+,%", r))
	}) < 0
	if plain && w != "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// colours tells whether the caller wants colours on a terminal.
func (g *globals) colours() bool {
	return !g.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func newTimesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "times",
		Short: "How to ask about another moment",
		Long: `An answer is about a moment (as of), by what had been recorded by some moment (known at):

  neither                  now, by all that is recorded
  --at T                   as of T, as known at T: what the ledger would have answered then
  --at T --known-at now    as of T, with every correction recorded since
  --at T --known-at S      as of T, by what had been recorded at S: a time, or the seq of an event

A time is RFC 3339 (2026-01-05T09:00:00+01:00), or local in the zone of --tz: 2026-01-05 (its first moment),
"2026-01-05 09:00" or "2026-01-05 09:00:00". Every answer says in full which moment it is about.`,
	}
}
