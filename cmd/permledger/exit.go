package main

// Exit codes (contract §5): the one table from kinds of failure to them, and from HTTP statuses to kinds of failure.
// Nothing else in the command line chooses an exit code.

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// errNo is a "no" that was answered: exit code 1 and nothing on stderr, because stdout has the answer.
var errNo = errors.New("no")

// exitCodes gives the exit code of each kind of failure.
var exitCodes = map[domain.Failure]int{
	domain.Conflict:     1, // it contradicts what stands: the ledger says no
	domain.Malformed:    2,
	domain.Unknown:      2,
	domain.RuleBroken:   2,
	domain.Incomplete:   3,
	domain.NotPermitted: 4,
	domain.Unavailable:  5,
	domain.Unreachable:  5,
	domain.Integrity:    6,
}

func exitCode(err error) int {
	var known *domain.Error
	var found errFound
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return 1
	case errors.As(err, &known):
		return exitCodes[known.Failure]
	case errors.As(err, &found):
		return exitCodes[found.failure]
	}
	return 5 // the machine's own: a file that can't be read, a full disk
}

// failureOf reads the kind of failure out of an answer that is an error: it says so itself, or its status does.
func failureOf(status int, says domain.Failure) domain.Failure {
	if _, known := exitCodes[says]; known {
		return says
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return domain.NotPermitted
	case status == http.StatusNotFound:
		return domain.Unknown
	case status == http.StatusConflict:
		return domain.Conflict
	case status == http.StatusUnprocessableEntity:
		return domain.RuleBroken
	case status >= 500:
		return domain.Unavailable
	}
	return domain.Malformed
}

func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes:

  0  yes, or done
  1  no: the answer is no, a command contradicts what stands, a catalogue has mistakes
  2  wrong usage: a malformed id, time, flag or file, an organisation or account that is not there, or what the
     catalogue forbids
  3  the answer would be incomplete: what was recorded is not all projected yet
  4  not allowed: the actor may not
  5  can't reach it, or it is in use; what was asked for was not recorded
  6  integrity failure: the log or the projection is not what it was

Errors are one line on stderr.`,
	}
}
