package main

// How an error on the command line names the page that says what to do. Which page that is is package runbook's to say.

import (
	"github.com/permledger/permledger/cmd/permledger/internal/runbook"
)

// withRunbook gives the error's text, with the operator's page behind it where there is one.
func withRunbook(err error) string {
	if page := runbook.For(err); page != "" {
		return err.Error() + "; see deploy/runbooks/" + page + ".md"
	}
	return err.Error()
}
