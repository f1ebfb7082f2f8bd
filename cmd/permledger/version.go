package main

// version: which build this is, as the Go toolchain recorded it.

import (
	"encoding/json"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Which permledger this is",
		Example:           `  permledger version`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Modified bool   `json:"modified,omitempty"`
				Go       string `json:"go"`
			}{Version: "(unknown)", Go: runtime.Version()}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Version = info.Main.Version
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Revision = s.Value
					case "vcs.modified":
						v.Modified = s.Value == "true"
					}
				}
			}
			body, err := json.Marshal(v)
			if err != nil {
				return err
			}
			return a.print(body, func(s *screen, _ []byte) error {
				if a.global.json {
					return nil
				}
				s.line("permledger %s, built with %s", v.Version, v.Go)
				if v.Revision != "" && v.Modified {
					s.line("revision %s, with changes", v.Revision)
				} else if v.Revision != "" {
					s.line("revision %s", v.Revision)
				}
				return nil
			})
		},
	}
}
