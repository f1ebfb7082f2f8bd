// Package runbook says which page under deploy/runbooks helps with which error. It owns that one table; the pages are for
// the operator who reads "runbook log-truncated" in a log line, a problem or on a terminal. It never decides what an
// error means for a command or an answer.
package runbook

import (
	"errors"

	"github.com/permledger/permledger/domain"
)

// pages gives the page for each code of an error. Every code of an integrity failure has one (a test reads the sources),
// and of the others those after which an operator has something to do.
var pages = map[string]string{
	// The log is not the one that the projection was made from.
	"log_truncated": "log-truncated",
	"log_forked":    "log-forked",
	"log_torn":      "log-forked",
	"lost_event":    "log-forked",
	"log_swapped":   "log-swapped",

	// The log by itself is damaged or was edited.
	"log_gap":           "log-gap",
	"gap":               "log-gap",
	"log_unreadable":    "log-gap",
	"log_settings":      "log-settings",
	"undecodable_event": "unreadable-event",
	"foreign_event":     "unreadable-event",
	"time_went_back":    "unreadable-event",
	"no_catalogue":      "unreadable-event",
	"import_unfinished": "import-unfinished",
	"import_incomplete": "import-unfinished",

	// What was made from the log, or lies beside it.
	"projections_damaged":     "projection-damaged",
	"projections_format":      "projection-damaged",
	"projections_unreachable": "disk-full",
	"bad_key":                 "keys-damaged",
	"bad_seal":                "keys-damaged",
	"feed_differs":            "feed",
	"feed_unreadable":         "feed",
	"feed_unavailable":        "feed",
	"feed_behind":             "feed",
	"bad_subscriber":          "subscribers",
	"bad_secret":              "subscribers",
	"subscriber_behind":       "subscribers",
	"subscriber_disabled":     "subscribers",

	"rebuild_differs":         "rebuild-differs",
	"kept_projection_damaged": "rebuild-differs",

	// A copy of it.
	"backup_damaged":    "backup-damaged",
	"backup_unfinished": "backup-damaged",
	"restore_differs":   "backup-damaged",

	// Nothing is wrong with the data, but it can't be reached or used now.
	"in_use":                "in-use",
	"behind":                "behind",
	"starting":              "behind",
	"disk":                  "disk-full",
	"log_unavailable":       "log-unavailable",
	"log_unreachable":       "log-unavailable",
	"jetstream_unavailable": "log-unavailable",
	"clock":                 "clock",
	"locked_out":            "locked-out",
}

// For gives the page for an error, "" where there is none: "log-truncated" is deploy/runbooks/log-truncated.md.
func For(err error) string {
	var e *domain.Error
	if !errors.As(err, &e) {
		return ""
	}
	return Of(e.Failure, e.Code)
}

// Of gives the page for a failure's code, "" where there is none: an operator can't help with what was asked.
func Of(f domain.Failure, code string) string {
	switch f {
	case domain.Integrity, domain.Unavailable, domain.Unreachable, domain.Incomplete:
		return pages[code]
	}
	return ""
}
