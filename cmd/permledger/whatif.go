package main

// What if: the flag by which a question is asked under another role catalogue, and how an answer says that it was. The
// document goes with the question, whether it is a file or a shipped one, so that the answer is by what was read here.

import (
	"fmt"

	"github.com/spf13/cobra"
)

// whatIf is --catalogue of a question.
type whatIf struct {
	nameOrFile string
	document   []byte // once read; nil for the one in force
}

func (f *whatIf) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.nameOrFile, "catalogue", "", "what if this role catalogue were in force: a shipped one's name, or a file (default the one in force)")
	cmd.RegisterFlagCompletionFunc("catalogue", completeCatalogues)
}

// read reads the document, where one was named.
func (f *whatIf) read() (err error) {
	if f.nameOrFile != "" {
		f.document, err = validCatalogue(f.nameOrFile)
	}
	return err
}

// args gives the flag that asks under the same again.
func (f *whatIf) args() []string {
	if f.nameOrFile == "" {
		return nil
	}
	return []string{"--catalogue", f.nameOrFile}
}

// decidedBy is the catalogue that an answer is by.
type decidedBy struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Line    int    `json:"line"`
	WhatIf  bool   `json:"what_if"`
	InForce bool   `json:"in_force"` // of one that was supposed
}

// catalogue says by which catalogue, and which line of it where there is one, an answer is; of is the words for that. Of the
// one in force without a line there is nothing to say.
func (s *screen) catalogue(c *decidedBy, of string) {
	if c == nil || c.Line == 0 && !c.WhatIf {
		return
	}
	which := fmt.Sprintf(s.words.version, c.Version)
	switch {
	case c.WhatIf && c.InForce:
		which = s.words.inForce
	case c.WhatIf:
		which = s.words.notInForce
	}
	if c.Line == 0 {
		s.dim(s.words.byCatalogue, c.Name, which)
		return
	}
	s.dim(of, c.Line, c.Name, which)
}
