package main

// Settings: flags that may also be given in the environment and in a file. It owns where a setting's value comes from and
// what is said when it can't be taken; what a setting means is its flag's. The flags are the definition: --nats-ca is
// PERMLEDGER_NATS_CA in the environment and nats-ca: in the file, and no name is written down a second time.
//
//	command line  before  environment  before  file  before  the flag's default
//
// Settings are the global flags and those of serve. Each verb takes those that it has a flag for.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/permledger/permledger/domain"
)

const (
	envPrefix  = "PERMLEDGER_"
	configFlag = "config" // names the file, and so can't be in it
	// maxConfig bounds the file, in bytes. A larger one is something else.
	maxConfig = 1 << 20
)

// withheld are settings that a verb takes from its command line alone, because they mean nothing there:
// what keeps or makes a ledger asks no service, ready asks nothing else, and the demo has a directory of its own.
var withheld = map[string][]string{
	"permledger serve":  {"server"},
	"permledger init":   {"server"},
	"permledger import": {"server"},
	"permledger ready":  {"data"},
	"permledger demo":   {"server", "data", "org", "json"},
}

// notOurs are variables that begin like ours and are no settings: those of this project's tests, and what Kubernetes
// puts into every container beside a service that is called permledger.
var notOurs = regexp.MustCompile(`^PERMLEDGER_(HISTORY|REQUIRE_NODE|REQUIRE_DISK|TEST_.*|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// origin is where a setting's value came from.
type origin struct {
	from  string // "environment" or "file"
	where string // the variable, or FILE:LINE
}

// settings is where the values of one command line came from: by the flag's name, those not on the command line.
type settings struct {
	file    string
	origins map[string]origin
}

// isSetting tells whether a flag may be given elsewhere than on the command line.
func isSetting(f *pflag.Flag) bool { return f.Name != "help" && f.Name != configFlag }

// settingNames gives the names of all settings, sorted.
func settingNames(root *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) {
		if isSetting(f) {
			names = append(names, f.Name)
		}
	}
	root.PersistentFlags().VisitAll(add)
	for _, verb := range root.Commands() {
		if verb.Name() == "serve" {
			verb.LocalNonPersistentFlags().VisitAll(add)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func variableOf(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// readSettings gives the verb's flags that are not on its command line their values from the environment and the file.
// Errors: Malformed, one line for each variable or key that is no setting or has a value that can't be.
func (a *app) readSettings(cmd *cobra.Command, _ []string) error {
	if strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return nil // the verb that is being completed reads them, once its flags are known
	}
	names := settingNames(cmd.Root())
	a.settings = settings{origins: map[string]origin{}}
	env, err := a.variables(names)
	if err != nil {
		return err
	}
	a.settings.file = a.global.config
	if a.settings.file == "" {
		a.settings.file = env[configFlag]
	}
	file, err := readConfig(a.settings.file, names)
	if err != nil {
		return err
	}
	rank := func(name string) int { // who gave it: the lower, the nearer
		f := cmd.Flags().Lookup(name)
		switch {
		case f != nil && f.Changed:
			return 0
		case env[name] != "":
			return 1
		case file[name] != nil:
			return 2
		}
		return 3
	}
	var wrong []error
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		switch {
		case f == nil || f.Changed || slices.Contains(withheld[cmd.CommandPath()], name):
			continue
		case name == "data" && rank("server") < rank("data"), name == "server" && rank("data") < rank("server"):
			continue // two ways to say which ledgers: the nearer one is meant
		}
		switch rank(name) {
		case 1:
			a.settings.origins[name] = origin{"environment", variableOf(name)}
			if err := set(f, env[name]); err != nil {
				wrong = append(wrong, domain.Errorf(domain.Malformed, "bad_setting", "%s in the environment: %v", variableOf(name), err))
			}
		case 2:
			where := fmt.Sprintf("%s:%d", a.settings.file, file[name].Line)
			a.settings.origins[name] = origin{"file", where}
			if err := setNode(f, file[name]); err != nil {
				wrong = append(wrong, domain.Errorf(domain.Malformed, "bad_setting", "%s: %s: %v", where, name, err))
			}
		}
	}
	a.global.elsewhere = a.settings.origins
	return errors.Join(wrong...)
}

// name says how the setting was given, for errors: --listen, PERMLEDGER_LISTEN, or FILE:3: listen.
func (s *settings) name(flag string) string {
	switch o := s.origins[flag]; o.from {
	case "environment":
		return o.where
	case "file":
		return o.where + ": " + flag
	}
	return "--" + flag
}

// set gives a flag its value without marking it as one of the command line.
func set(f *pflag.Flag, value string) error {
	err := f.Value.Set(value)
	if err == nil {
		return nil
	}
	switch f.Value.Type() {
	case "bool":
		return fmt.Errorf("%q: want true or false", value)
	case "duration":
		return fmt.Errorf("%q: want a duration, e.g. 15s or 2m", value)
	}
	return err
}

// setNode is set by the file: a list for a flag that may be given several times, one value for all others.
func setNode(f *pflag.Flag, n *yaml.Node) error {
	list, several := f.Value.(pflag.SliceValue)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return set(f, n.Value)
	case n.Kind == yaml.SequenceNode && several:
		values := []string{}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return fmt.Errorf("line %d: want one value in each place of the list", item.Line)
			}
			values = append(values, item.Value)
		}
		return list.Replace(values)
	case several:
		return errors.New("want a value or a list of them")
	}
	return errors.New("want one value; leave the line out for the default")
}

// variables gives the settings of the environment, by the flag's name. An empty variable is not given.
func (a *app) variables(names []string) (map[string]string, error) {
	known := map[string]string{variableOf(configFlag): configFlag}
	for _, name := range names {
		known[variableOf(name)] = name
	}
	given := map[string]string{}
	var wrong []error
	for _, line := range a.environ {
		variable, value, _ := strings.Cut(line, "=")
		if value == "" {
			continue
		}
		if name, ok := known[variable]; ok {
			given[name] = value
		} else if strings.HasPrefix(variable, envPrefix) && !notOurs.MatchString(variable) {
			wrong = append(wrong, domain.Errorf(domain.Malformed, "unknown_setting", "%s in the environment: there is no such setting; the nearest is %s, permledger config shows them all", variable, nearest(variable, known)))
		}
	}
	return given, errors.Join(wrong...)
}

// readConfig gives the settings of the file, by the flag's name; of "" none.
func readConfig(path string, names []string) (map[string]*yaml.Node, error) {
	if path == "" {
		return nil, nil
	}
	document, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var doc, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(document))
	if err == nil {
		err = loader.Load(&doc)
	}
	if err == io.EOF {
		return nil, nil // nothing but comments
	}
	if err == nil {
		if err = loader.Load(&second); err == nil {
			return nil, badConfig("%s:%d: a second document begins here; want one, without ---", path, second.Line)
		} else if err == io.EOF {
			err = nil
		}
	}
	if err != nil { // the parser's own words may hold a line of the file, and so a password
		line := 0
		if at := (*yaml.LoadError)(nil); errors.As(err, &at) {
			line = at.Mark.Line
		}
		return nil, badConfig("%s:%d: not YAML from here; want lines such as listen: 127.0.0.1:7420", path, line)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, badConfig("%s:%d: want lines such as listen: 127.0.0.1:7420", path, root.Line)
	}
	known := map[string]string{}
	for _, name := range names {
		known[name] = name
	}
	given := map[string]*yaml.Node{}
	var wrong []error
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch name := key.Value; {
		case known[name] == "":
			wrong = append(wrong, domain.Errorf(domain.Malformed, "unknown_setting", "%s:%d: %q: there is no such setting; the nearest is %s, permledger config shows them all", path, key.Line, clipped(name), nearest(name, known)))
		case given[name] != nil:
			wrong = append(wrong, badConfig("%s:%d: %s was given before, on line %d; want it once", path, key.Line, name, given[name].Line))
		default:
			given[name] = value
		}
	}
	return given, errors.Join(wrong...)
}

func badConfig(format string, args ...any) error {
	return domain.Errorf(domain.Malformed, "bad_config", format, args...)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, badConfig("reading the configuration: %v; name the file with --config or %s", err, variableOf(configFlag))
	}
	defer f.Close()
	document, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return nil, badConfig("reading the configuration %s: %v", path, err)
	case len(document) > maxConfig:
		return nil, badConfig("reading the configuration %s: it has more than %d bytes; want a file of settings", path, maxConfig)
	}
	return document, nil
}

// nearest gives the known name that takes the fewest edits.
func nearest(name string, known map[string]string) string {
	best, least := "", 0
	for candidate := range known {
		d := domain.EditDistance(name, candidate)
		if best == "" || d < least || d == least && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// withoutSecret is a setting's value to be shown. An address may hold a password or a token before its @.
func withoutSecret(name, value string) string {
	if name != "nats" && name != "server" {
		return value
	}
	servers := strings.Split(value, ",")
	for i, server := range servers {
		scheme, rest, ok := strings.Cut(server, "://")
		if !ok {
			scheme, rest = "", server
		} else {
			scheme += "://"
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			servers[i] = scheme + "***" + rest[at:]
		}
	}
	return strings.Join(servers, ",")
}
