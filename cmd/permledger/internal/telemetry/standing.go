package telemetry

// How things stand, read when somebody looks: how far each ledger is, who subscribes, and the figures of the database and
// of the log's server. Nothing is counted here.

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
)

// lookWait bounds one look, well within what Prometheus waits for an answer by default (10 s).
const lookWait = 5 * time.Second

// standing is a prometheus.Collector.
type standing struct {
	service *ledger.Service
	logger  *slog.Logger
}

func newStanding(s *ledger.Service, logger *slog.Logger) *standing { return &standing{s, logger} }

// A figure is one metric to be looked up.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

var figures []figure

func gauge(name, help string, labels ...string) figure {
	return add(prometheus.GaugeValue, name, help, labels)
}

func counter(name, help string, labels ...string) figure {
	return add(prometheus.CounterValue, name, help, labels)
}

func add(kind prometheus.ValueType, name, help string, labels []string) figure {
	f := figure{prometheus.NewDesc("permledger_"+name, help, labels, nil), kind}
	figures = append(figures, f)
	return f
}

var (
	missing = gauge("figures_missing", "1 where these figures could not be had this time and are left out.", "part")

	ready    = gauge("ledger_ready", "1 while the ledger answers and records; 0 while it is behind or has stopped.", "org")
	stopped  = gauge("ledger_stopped", "1 where the ledger has stopped or was not opened, because its log or projection is not what it was.", "org")
	events   = gauge("log_events", "Events that the log is known to have.", "org")
	lag      = gauge("projection_lag_events", "Events in the log that no answer rests on yet.", "org")
	lagTime  = gauge("projection_lag_seconds", "How long ago the first of these was recorded.", "org")
	feedLag  = gauge("feed_position_lag_events", "Events of which the changes are not in the change feed yet.", "org")
	feedTime = gauge("feed_position_lag_seconds", "How long ago the first of these was recorded.", "org")

	// Of a rebuild or verification that is under way, or how the last one of an organisation ended.
	rebuildPhase  = gauge("rebuild_phase", "1 for the phase that the rebuild or verification is in: starting, reading, comparing, swapping, done or failed.", "org", "kind", "phase")
	rebuildRead   = gauge("rebuild_read_events", "The newest event that it has read.", "org", "kind")
	rebuildTarget = gauge("rebuild_target_events", "The newest event that it is to read, as far as is known.", "org", "kind")
	rebuildLeft   = gauge("rebuild_left_seconds", "How much longer it will read, at the rate so far.", "org", "kind")
	rebuildBeat   = gauge("rebuild_heartbeat_timestamp_seconds", "When it last said how far it is.", "org", "kind")

	subscribers = gauge("subscribers", "Who follows the change feeds, by sort and state.", "sort", "state")

	pebbleDisk        = gauge("pebble_disk_bytes", "What the projections take up on disk.")
	pebbleCache       = gauge("pebble_block_cache_bytes", "Blocks of the projections held in memory.")
	pebbleHits        = counter("pebble_block_cache_hits_total", "Blocks that were found in memory.")
	pebbleMisses      = counter("pebble_block_cache_misses_total", "Blocks that were read from their file.")
	pebbleMemory      = gauge("pebble_memtable_bytes", "What was written and is not yet in a table.")
	pebbleWAL         = gauge("pebble_wal_bytes", "The write-ahead log's files on disk.")
	pebbleWritten     = counter("pebble_wal_written_bytes_total", "Bytes written to the write-ahead log.")
	pebbleTables      = gauge("pebble_tables", "Tables on disk, by level.", "level")
	pebbleRead        = gauge("pebble_read_amplification", "In how many places a lookup may have to look.")
	pebbleFlushes     = counter("pebble_flushes_total", "Times that memory became a table.")
	pebbleCompactions = counter("pebble_compactions_total", "Compactions that were done.")
	pebbleFailed      = counter("pebble_compactions_failed_total", "Compactions that failed.")
	pebbleDebt        = gauge("pebble_compaction_debt_bytes", "What is yet to be compacted, as far as is known.")
	pebbleIterators   = gauge("pebble_iterators", "Iterators that are open on tables.")

	streams        = gauge("jetstream_streams", "Streams on the log's server.")
	streamReaders  = gauge("jetstream_consumers", "Consumers on the log's server.")
	streamBytes    = gauge("jetstream_store_bytes", "What the streams take up on disk.")
	streamMemory   = gauge("jetstream_memory_bytes", "What streams kept in memory take up.")
	streamRequests = counter("jetstream_api_requests_total", "Requests to JetStream's API.")
	streamErrors   = counter("jetstream_api_errors_total", "Of these, those that were answered with an error.")
	streamMessages = gauge("jetstream_messages", "Messages in all streams of the embedded server.")
	connections    = gauge("nats_connections", "Connections to the embedded server, this program's own among them.")
	slow           = counter("nats_slow_consumers_total", "Connections that the embedded server cut because they did not take what they had asked for.")
)

func (s *standing) Describe(to chan<- *prometheus.Desc) {
	for _, f := range figures {
		to <- f.desc
	}
}

func (s *standing) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookWait)
	defer cancel()
	l := look{ctx, s, to}
	l.ledgers()
	l.rebuilds()
	l.pebble()
	l.part("log", l.log)
	l.part("subscribers", l.subscribers)
}

// A look is one reading of everything.
type look struct {
	ctx context.Context
	*standing
	to chan<- prometheus.Metric
}

func (l look) put(f figure, v float64, labels ...string) {
	l.to <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

// part reads figures that have to be asked for.
func (l look) part(name string, read func() error) {
	err := read()
	if err != nil {
		l.logger.Warn("metrics: some figures are missing", "part", name, "error", err)
	}
	l.put(missing, one(err != nil), name)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (l look) ledgers() {
	for _, ledger := range l.service.Ledgers() {
		org, s := string(ledger.Org()), ledger.Standing(l.ctx)
		l.put(ready, one(s.Err == nil), org)
		l.put(stopped, one(s.Stopped), org)
		l.put(events, float64(s.Head), org)
		l.put(lag, float64(s.Lag.Events), org)
		l.put(lagTime, s.Lag.Seconds, org)
		if s.Feed != nil {
			l.put(feedLag, float64(s.Feed.Lag.Events), org)
			l.put(feedTime, s.Feed.Lag.Seconds, org)
		}
	}
	for _, org := range l.service.Shut() {
		l.put(ready, 0, string(org))
		l.put(stopped, 1, string(org))
	}
}

func (l look) rebuilds() {
	for _, s := range l.service.RebuildStates() {
		org := string(s.Org)
		l.put(rebuildPhase, 1, org, s.Kind, s.Phase)
		l.put(rebuildRead, float64(s.Seq), org, s.Kind)
		l.put(rebuildTarget, float64(s.Target), org, s.Kind)
		l.put(rebuildLeft, s.Left, org, s.Kind)
		l.put(rebuildBeat, float64(s.At.UnixMilli())/1000, org, s.Kind)
	}
}

func (l look) pebble() {
	m := l.service.ProjectionFigures()
	l.put(pebbleDisk, float64(m.DiskSpaceUsage()))
	l.put(pebbleCache, float64(m.BlockCache.Size))
	l.put(pebbleHits, float64(m.BlockCache.Hits))
	l.put(pebbleMisses, float64(m.BlockCache.Misses))
	l.put(pebbleMemory, float64(m.MemTable.Size))
	l.put(pebbleWAL, float64(m.WAL.PhysicalSize))
	l.put(pebbleWritten, float64(m.WAL.BytesWritten))
	for level := range m.Levels {
		l.put(pebbleTables, float64(m.Levels[level].TablesCount), strconv.Itoa(level))
	}
	l.put(pebbleRead, float64(m.ReadAmp()))
	l.put(pebbleFlushes, float64(m.Flush.Count))
	l.put(pebbleCompactions, float64(m.Compact.Count))
	l.put(pebbleFailed, float64(m.Compact.FailedCount))
	l.put(pebbleDebt, float64(m.Compact.EstimatedDebt))
	l.put(pebbleIterators, float64(m.TableIters))
}

func (l look) log() error {
	f, err := l.service.LogFigures(l.ctx)
	if err != nil {
		return err
	}
	l.put(streams, float64(f.Streams))
	l.put(streamReaders, float64(f.Consumers))
	l.put(streamBytes, float64(f.StoreBytes))
	l.put(streamMemory, float64(f.MemoryBytes))
	l.put(streamRequests, float64(f.Requests))
	l.put(streamErrors, float64(f.Errors))
	if f.Own != nil {
		l.put(streamMessages, float64(f.Own.Messages))
		l.put(connections, float64(f.Own.Connections))
		l.put(slow, float64(f.Own.SlowConsumers))
	}
	return nil
}

func (l look) subscribers() error {
	count, err := l.service.Subscribers(l.ctx)
	if err != nil {
		return err
	}
	for _, s := range consumers.Standings {
		l.put(subscribers, float64(count[s]), s.Sort, s.State)
	}
	return nil
}
