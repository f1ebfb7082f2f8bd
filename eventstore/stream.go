package eventstore

// What a ledger's stream looks like: its name, its settings, and the refusal of one that is not as we made it. This
// file never talks to a server.

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/permledger/permledger/domain"
)

const (
	streamPrefix = "PERMLEDGER_"

	// importKey in a stream's metadata says how far its import is; see import.go.
	importKey        = "permledger-import"
	importUnfinished = "unfinished"
	importFinished   = "finished"

	// madeKey in a stream's metadata is another for every stream that is made; see create in store.go.
	madeKey = "permledger-made"

	// duplicateWindow is how long the server refuses an id that it has seen. Exactness comes from the expected
	// sequence, so the window could be nothing at all; the server's least is 100 ms and its default of two minutes
	// would hold millions of ids in memory during an import. A tenth of a second holds some ten thousand.
	duplicateWindow = 100 * time.Millisecond
)

func streamName(org domain.Org) string { return streamPrefix + string(org) }

func subjectOf(org domain.Org) string { return "permledger." + string(org) + ".event.>" }

func streamConfig(org domain.Org, replicas int, metadata map[string]string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               streamName(org),
		Description:        "permledger: the ledger of " + string(org) + "; never edited",
		Subjects:           []string{subjectOf(org)},
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld, // with no limit there is nothing to discard
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         -1,
		MaxConsumers:       -1,
		Storage:            jetstream.FileStorage,
		Replicas:           replicas,
		Duplicates:         duplicateWindow,
		DenyDelete:         true,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true,
		Metadata:           metadata,
	}
}

// checkStream refuses a stream whose settings let events be lost, changed or forged, or that has lost some. Settings
// that cost nothing but speed (replicas, placement, description) are the operator's.
func checkStream(org domain.Org, info *jetstream.StreamInfo) error {
	var loose []string
	want := func(ok bool, setting string, got any) {
		if !ok {
			loose = append(loose, fmt.Sprintf("%s is %v", setting, got))
		}
	}
	c := info.Config
	want(c.DenyDelete, "deny_delete", c.DenyDelete)
	want(c.DenyPurge, "deny_purge", c.DenyPurge)
	want(c.MaxMsgs <= 0, "max_msgs", c.MaxMsgs)
	want(c.MaxBytes <= 0, "max_bytes", c.MaxBytes)
	want(c.MaxAge == 0, "max_age", c.MaxAge)
	want(c.MaxMsgsPerSubject <= 0, "max_msgs_per_subject", c.MaxMsgsPerSubject)
	want(c.Retention == jetstream.LimitsPolicy, "retention", c.Retention)
	want(c.Discard == jetstream.DiscardOld, "discard", c.Discard)
	want(c.Storage == jetstream.FileStorage, "storage", c.Storage)
	want(c.PersistMode == jetstream.DefaultPersistMode, "persist_mode", c.PersistMode)
	want(len(c.Subjects) == 1 && c.Subjects[0] == subjectOf(org), "subjects", c.Subjects)
	want(c.SubjectTransform == nil, "subject_transform", "set")
	want(c.Mirror == nil && len(c.Sources) == 0, "mirror or sources", "set")
	want(!c.Sealed, "sealed", c.Sealed)
	want(!c.NoAck, "no_ack", c.NoAck)
	want(!c.AllowRollup, "allow_rollup_hdrs", c.AllowRollup)
	want(!c.AllowMsgTTL, "allow_msg_ttl", c.AllowMsgTTL)
	want(!c.AllowMsgSchedules, "allow_msg_schedules", c.AllowMsgSchedules)
	want(!c.AllowMsgCounter, "allow_msg_counter", c.AllowMsgCounter)
	want(c.SubjectDeleteMarkerTTL == 0, "subject_delete_marker_ttl", c.SubjectDeleteMarkerTTL)
	want(c.AllowDirect, "allow_direct", c.AllowDirect)
	want(c.AllowAtomicPublish, "allow_atomic", c.AllowAtomicPublish)
	if len(loose) > 0 {
		return domain.Errorf(domain.Integrity, "log_settings", "stream %s is not set up as a ledger: %s; permledger makes and keeps its streams itself", c.Name, strings.Join(loose, ", "))
	}
	if st := info.State; st.LastSeq > 0 && (st.FirstSeq != 1 || st.Msgs != st.LastSeq) {
		return domain.Errorf(domain.Integrity, "log_gap", "stream %s has lost events: it holds %d, from %d to %d; restore it from a backup", c.Name, st.Msgs, st.FirstSeq, st.LastSeq)
	}
	return nil
}
