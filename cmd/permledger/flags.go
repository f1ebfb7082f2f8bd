package main

// The global flags, and those that questions share: the moments, what would be asked again, and the catalogue to suppose.

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
	config  string

	elsewhere map[string]origin // where the flags that are not on the command line got their values (settings.go)
}

func (g *globals) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&g.org, "org", "", "organisation; needless where there is only one")
	f.StringVar(&g.data, "data", "", "data directory to open here")
	f.StringVar(&g.server, "server", "", "service to ask, when --data is not given (default "+defaultServer+")")
	f.BoolVar(&g.json, "json", false, "print one JSON document, the same as over HTTP")
	f.BoolVar(&g.noColor, "no-color", false, "no colours; NO_COLOR in the environment does the same")
	f.Var(&g.zone, "tz", "time zone for times without an offset and for what is shown, e.g. Europe/Amsterdam (default the local one)")
	f.Var(&g.lang, "lang", "language of answers, en or nl (default en)")
	f.StringVar(&g.config, configFlag, "", "file of settings, as permledger config explains (default "+variableOf(configFlag)+" in the environment, or none)")
	root.MarkPersistentFlagFilename(configFlag, "yaml", "yml")
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

// zone is a time zone as a flag, the zero value being the local one, and the clock by which "yesterday" is counted there.
type zone struct {
	loc *time.Location
	now func() time.Time
}

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

// moments are --at and --known-at.
type moments struct{ at, knownAt string }

func (m *moments) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.at, "at", "", "as of this moment, as known then, e.g. 2026-01-05, \"5 jan 2026 09:00\", yesterday, -90d; see permledger help times (default now)")
	cmd.Flags().StringVar(&m.knownAt, "known-at", "", "as known at this moment, seq, or now; with --at: with the corrections recorded since")
	cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("known-at", cobra.FixedCompletions([]string{"now"}, cobra.ShellCompDirectiveNoFileComp))
}

// set adds the moments to a question, in UTC. Now is left to whoever answers; what is counted from it is fixed here, so that
// asking again or for another page is about the same moments.
func (m *moments) set(q url.Values, z *zone) error {
	switch {
	case m.at == "":
	case isNow(m.at):
		q.Set("at", "now")
	default:
		at, err := z.moment("--at", m.at)
		if err != nil {
			return err
		}
		q.Set("at", at.String())
		z.fix(&m.at, at)
	}
	switch _, err := strconv.ParseUint(m.knownAt, 10, 63); {
	case m.knownAt == "":
	case isNow(m.knownAt):
		q.Set("known_at", "now")
	case err == nil:
		q.Set("known_at", m.knownAt)
	default:
		at, err := z.moment("--known-at", m.knownAt)
		if e, ok := err.(*domain.Error); ok && e.Code == "bad_time" {
			return domain.Errorf(domain.Malformed, e.Code, "%s; or a seq, or now", e.Message)
		} else if err != nil {
			return err
		}
		q.Set("known_at", at.String())
		z.fix(&m.knownAt, at)
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

// again gives the command line that asks the verb with these arguments of the same ledger, to be pasted into a shell. What
// the environment or the file says, they say again.
func (g *globals) again(verb string, args ...string) string {
	words := append([]string{"permledger", verb}, args...)
	for _, f := range [][2]string{{"data", g.data}, {"server", g.server}, {"org", g.org}, {"tz", g.zone.String()}, {"lang", g.lang.String()}, {configFlag, g.config}} {
		if _, said := g.elsewhere[f[0]]; f[1] != "" && !said {
			words = append(words, "--"+f[0], f[1])
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
