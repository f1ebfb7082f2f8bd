// Package build says which program runs, as the Go toolchain recorded it. It knows of nothing else.
package build

import (
	"runtime"
	"runtime/debug"
)

// Info is what is known of a program.
type Info struct {
	Version  string // "(unknown)" where the toolchain says nothing
	Revision string // of the source; "" where it is not known
	Go       string
}

// This is the program that runs.
func This() Info {
	i := Info{Version: "(unknown)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	i.Version = info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			i.Revision = s.Value
		}
	}
	return i
}
