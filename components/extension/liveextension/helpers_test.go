package liveextension

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// began is when the tests' processes started.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// metricsOf reads samples as they are exposed, without the prefix that all of them have.
func metricsOf(t *testing.T, lines string) metrics {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			text.WriteString(ownPrefix + line + "\n")
		}
	}
	m, err := parseMetrics(strings.NewReader(text.String()))
	require.NoError(t, err)
	return m
}

// healthy is a consumer of two topics and two backends to which nothing has happened.
const healthy = `
	process_uptime{} 600
	process_memory_rss{} 123456789
	receiver_durable_kafka_lag{topic="logs",partition="0"} 0
	receiver_durable_kafka_lag{topic="logs",partition="1"} 0
	receiver_durable_kafka_lag_seconds{topic="logs",partition="0"} 0
	receiver_durable_kafka_lag_seconds{topic="logs",partition="1"} 0
	receiver_durable_kafka_committed_offset{topic="logs",partition="0"} 100
	receiver_durable_kafka_committed_offset{topic="logs",partition="1"} 200
	receiver_durable_kafka_lag{topic="metrics",partition="0"} 0
	receiver_durable_kafka_lag_seconds{topic="metrics",partition="0"} 0
	extension_durability_up{backend="victorialogs",node="logs:9428"} 1
	extension_durability_epoch{backend="victorialogs",node="logs:9428"} 1772366400
	extension_durability_epoch_changes_total{backend="victorialogs",node="logs:9428"} 1
	extension_durability_flush_window{backend="victorialogs",node="logs:9428"} 15
	extension_durability_settle_delay{backend="victorialogs",node="logs:9428"} 16
	extension_durability_poll_age{backend="victorialogs",node="logs:9428"} 0.5
	extension_durability_up{backend="victoriametrics",node="metrics:8428"} 1
	extension_durability_flush_window{backend="victoriametrics",node="metrics:8428"} 15
	extension_durability_settle_delay{backend="victoriametrics",node="metrics:8428"} 16
	exporter_victorialogs_sent_records_total{path="jsonline"} 5000
	exporter_victorialogs_requests_total{outcome="delivered"} 50
	extension_lossless_findings{code="BW010",state="ignored"} 1
`

// with is the metrics with other lines; a sample of the same series takes the place of the one before.
func with(lines, others string) string {
	series := func(line string) string { return line[:strings.LastIndexByte(line, ' ')] }
	replaced := map[string]bool{}
	for line := range strings.Lines(others) {
		if line = strings.TrimSpace(line); line != "" {
			replaced[series(line)] = true
		}
	}
	var kept strings.Builder
	for line := range strings.Lines(lines) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !replaced[series(trimmed)] {
			kept.WriteString(line)
		}
	}
	return kept.String() + others
}

// situation is what a pipeline looks like, a minute ago and now.
type situation struct {
	before, now string // metrics
	ledger      []ledger.Account
	agents      *Agents
	topics      []string // that are configured
}

// examined is the state of a situation: an hour of the one before, then a minute of the one now.
func examined(t *testing.T, s situation) *State {
	t.Helper()
	config := createDefaultConfig().(*Config)
	sum := newSummary(config.History)
	var state State
	var m metrics
	add := func(at time.Time, lines string) {
		m = metricsOf(t, lines)
		state = sum.add(at, m)
	}
	add(began, s.before)
	add(began.Add(59*time.Minute), s.before)
	add(began.Add(60*time.Minute), s.now)
	if s.ledger != nil {
		state.Ledger = &Ledger{Accounts: s.ledger}
	}
	state.Agents = s.agents
	(&examiner{warn: config.Warn, topics: s.topics, state: &state, m: m, past: &sum.history}).examine()
	return &state
}
