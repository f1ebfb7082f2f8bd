package main

// config: what every setting is and where it came from. It shows what settings.go read, for the flags of serve and the
// global ones; secrets are never shown.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// setting is one as it is shown.
type setting struct {
	Name     string `json:"name"`
	Value    any    `json:"value"`    // a boolean, a list of texts, or a text; "" where there is none
	From     string `json:"from"`     // flag, environment, file or default
	Where    string `json:"where"`    // the flag, the variable or FILE:LINE; "" for a default
	Variable string `json:"variable"` // what it is called in the environment
}

func newConfigCommand(a *app) *cobra.Command {
	var service serveFlags
	cmd := &cobra.Command{
		Use:     "config [--config FILE]",
		Short:   "Show every setting, and where it comes from",
		GroupID: groupLedger,
		Long: `config shows the settings that permledger serve and every other verb would have here: their values, and whether these
are of the command line, the environment, the file or by default. A password in an address is shown as ***.

A flag is a setting, and each has three names: --nats-ca on the command line, PERMLEDGER_NATS_CA in the environment and
nats-ca: in the file, which is YAML. The command line wins over the environment, and that over the file. A list is given
with commas in the environment, and as a YAML list in the file. Relative paths start at the working directory, wherever
they are given. The file is named with --config or PERMLEDGER_CONFIG; there is none by default. Of --data and --server,
the one that is given nearer to the command line counts.

A name that is no setting is an error, and so is a value that can't be: config finds them before a service is restarted.`,
		Example: `  permledger config
  permledger config --config /etc/permledger/permledger.yaml
  permledger config --json`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := json.Marshal(map[string]any{"file": a.settings.file, "settings": a.shown(cmd)})
			if err != nil {
				return err
			}
			err = a.print(body, func(s *screen, body []byte) error {
				if a.global.json {
					return nil
				}
				return s.settings(body)
			})
			if err != nil {
				return err
			}
			_, err = service.options(a)
			return err
		},
	}
	service.register(cmd)
	return cmd
}

// shown gives the settings as they are.
func (a *app) shown(cmd *cobra.Command) []setting {
	all := []setting{}
	for _, name := range settingNames(cmd.Root()) {
		f := cmd.Flags().Lookup(name)
		s := setting{Name: name, Value: a.effective(f), From: "default", Variable: variableOf(name)}
		if o, ok := a.settings.origins[name]; ok {
			s.From, s.Where = o.from, o.where
		} else if f.Changed {
			s.From, s.Where = "flag", "--"+name
		}
		all = append(all, s)
	}
	return all
}

// effective is a flag's value, or what it comes to where it has none.
func (a *app) effective(f *pflag.Flag) any {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return append([]string{}, list.GetSlice()...)
	}
	switch value := f.Value.String(); {
	case f.Value.Type() == "bool":
		return value == "true"
	case value != "":
		return withoutSecret(f.Name, value)
	case f.Name == "server" && a.global.data == "":
		return defaultServer
	case f.Name == "tz":
		return a.global.zone.location().String()
	case f.Name == "lang":
		return string(a.global.lang.lang())
	}
	return ""
}

// settings prints them as a table.
func (s *screen) settings(body []byte) error {
	var d struct{ Settings []setting }
	if err := read(body, &d); err != nil {
		return err
	}
	var rows [][]string
	for _, one := range d.Settings {
		where := one.Where
		if where == "" {
			where = one.From
		}
		rows = append(rows, []string{one.Name, shownValue(one.Value), where})
	}
	s.table([]string{"SETTING", "VALUE", "FROM"}, rows, 1, 2)
	return nil
}

// shownValue is a value as text, "-" for none.
func shownValue(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var values []string
		for _, value := range v {
			values = append(values, fmt.Sprint(value))
		}
		return cmp.Or(strings.Join(values, ", "), "-")
	}
	return cmp.Or(fmt.Sprint(v), "-")
}
