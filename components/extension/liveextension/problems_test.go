package liveextension

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// now is the time of the examined state.
var now = began.Add(time.Hour)

var situations = []struct {
	name      string
	situation situation
	code      string // of the only problem
	says      []string
}{
	{"retention took messages", situation{now: `receiver_durable_kafka_lost_messages_total{topic="logs",partition="1",cause="retention"} 1234`},
		"loss", []string{"1,234 messages of logs lost", "(retention)"}},
	{"a loss of long ago is a loss", situation{
		before: `receiver_durable_kafka_lost_messages_total{topic="logs",partition="1",cause="topic_deleted"} 1`,
		now:    `receiver_durable_kafka_lost_messages_total{topic="logs",partition="1",cause="topic_deleted"} 1`},
		"loss", []string{"1 message of logs lost", "(topic deleted)"}},
	{"an undecodable message cannot be kept", situation{now: `receiver_durable_kafka_delivery_errors_total{topic="logs",partition="0",kind="dead_letter"} 3`},
		"dead-letter-failing", []string{"Dead letters of logs cannot be kept", "3 attempts failed"}},
	{"a refused record cannot be kept", situation{now: `connector_dead_letter_failed_attempts_total{signal="logs"} 1`},
		"dead-letter-failing", []string{"Dead letters of logs cannot be kept", "1 attempt failed"}},
	{"records are missing", situation{ledger: []ledger.Account{{
		Agent: "host-1", Signal: "logs", Stamped: 100, Stored: 88, Missing: 12, LastStamp: now, OldestMissing: now.Add(-20 * time.Minute),
		MissingRanges: []ledger.Range{{Run: "r7", First: 5, End: 6}, {Run: "r7", First: 10, End: 21}},
	}}}, "missing", []string{"12 log records of agent host-1 missing", "for 20 min", "5 of run r7, 10 to 20 of run r7"}},
	{"a backend is down", situation{now: `
		extension_durability_up{backend="victorialogs",node="logs:9428"} 0
		extension_durability_poll_age{backend="victorialogs",node="logs:9428"} 75
		extension_durability_settle_delay{backend="victorialogs",node="logs:9428"} 90
		exporter_victorialogs_requests_total{outcome="retry"} 20`},
		"backend-down", []string{"victorialogs (logs:9428) does not answer", "1 min 15 s ago"}},
	{"a partition stands still", situation{
		before: with(healthy, `receiver_durable_kafka_unsettled_messages{topic="logs",partition="0"} 5`),
		now:    `receiver_durable_kafka_unsettled_messages{topic="logs",partition="0"} 5`},
		"stalled", []string{"1 partition of logs stands still", "for 1 h: partition 0."}},
	{"an agent's queue is nearly full", situation{agents: &Agents{Asked: now, Hosts: []Agent{{
		Site: "zrh", Host: "h1", LastSeen: now, Queues: []Queue{{Exporter: "durable_kafka", Signal: "logs", Size: 9e9, Capacity: 1e10}},
	}}}}, "agent-queue", []string{"The queue of agent zrh/h1 is 90 % full"}},
	{"an agent's queue is full soon", situation{agents: &Agents{Asked: now, Hosts: []Agent{{
		Host: "h1", LastSeen: now, Queues: []Queue{{Exporter: "durable_kafka", Signal: "logs", Size: 1e9, Capacity: 1e10, FullInSeconds: 1800}},
	}}}}, "agent-queue", []string{"The queue of agent h1 is full in 30 min", "10 % full, and grows"}},
	{"requests fail", situation{now: `exporter_victorialogs_requests_total{outcome="retry"} 4`},
		"delivery-failing", []string{"Requests of victorialogs fail", "4 requests failed"}},
	{"deliveries fail", situation{now: `receiver_durable_kafka_delivery_errors_total{topic="logs",partition="0",kind="transient"} 1`},
		"delivery-failing", []string{"Deliveries of logs fail", "1 attempt failed"}},
	{"lag that grows", situation{now: `
		receiver_durable_kafka_lag{topic="logs",partition="0"} 6000
		receiver_durable_kafka_lag_seconds{topic="logs",partition="0"} 400`},
		"lag", []string{"logs is behind by 6 min 40 s", "6,000 messages not read", "grows by 100 a second"}},
	{"lag that shrinks", situation{
		before: with(healthy, `receiver_durable_kafka_lag{topic="logs",partition="0"} 12000`),
		now: `
		receiver_durable_kafka_lag{topic="logs",partition="0"} 6000
		receiver_durable_kafka_lag_seconds{topic="logs",partition="0"} 400
		receiver_durable_kafka_committed_offset{topic="logs",partition="0"} 6100`},
		"lag", []string{"shrinks by 100 a second, and is gone in 1 min."}},
	{"a topic without partitions", situation{topics: []string{"logs", "fluent"}},
		"unassigned", []string{"No partition of fluent is read here"}},
	{"fetches fail", situation{now: `receiver_durable_kafka_fetch_errors_total{topic="metrics",partition="0"} 2`},
		"fetch-failing", []string{"Reading metrics fails", "2 errors in the last minute"}},
	{"commits fail", situation{now: `receiver_durable_kafka_commit_failures_total{topic="logs",partition="0"} 1`},
		"commit-failing", []string{"Offsets of logs cannot be committed", "1 commit failed"}},
	{"a backend settles late", situation{now: `extension_durability_settle_delay{backend="victorialogs",node="logs:9428"} 40`},
		"settling", []string{"victorialogs (logs:9428) settles late", "after 40 s; 15 s is usual"}},
	{"records are refused", situation{now: `exporter_victorialogs_rejected_records_total{reason="row_bytes"} 7`},
		"dead-letters", []string{"7 rows of victorialogs became dead letters", "row bytes"}},
	{"messages cannot be decoded", situation{now: `receiver_durable_kafka_dead_letters_total{topic="logs",partition="0",reason="undecodable"} 2`},
		"dead-letters", []string{"2 messages of logs became dead letters", "undecodable"}},
	{"a queue of this process fills", situation{now: `
		exporter_queue_size{exporter="victorialogs",data_type="logs"} 950
		exporter_queue_capacity{exporter="victorialogs",data_type="logs"} 1000`},
		"queue", []string{"The queue of victorialogs is 95 % full"}},
	{"an agent of the ledger is silent", situation{ledger: []ledger.Account{
		{Agent: "host-1", Signal: "logs", LastStamp: now.Add(-2 * time.Hour)},
		{Agent: "host-1", Signal: "metrics", LastStamp: now.Add(-10 * time.Minute)},
		{Agent: "host-2", Signal: "logs", LastStamp: now.Add(-2 * time.Hour)},
		{Agent: "host-2", Signal: "metrics", LastStamp: now.Add(-time.Minute)}, // has no logs to send
	}}, "silent-agent", []string{"Agent host-1 is silent", "10 min ago"}},
	{"an agent without metrics", situation{agents: &Agents{Asked: now, Hosts: []Agent{{Host: "h1", LastSeen: now.Add(-6 * time.Minute)}}}},
		"silent-agent", []string{"Agent h1 is silent", "6 min old"}},
	{"a finding of the lossless check", situation{now: `extension_lossless_findings{code="BW101",state="reported"} 2`},
		"lossless", []string{"BW101"}},
	{"agents cannot be asked for", situation{agents: &Agents{Error: "no answer: connection refused"}},
		"agents-unknown", []string{"no answer: connection refused."}},
	{"a backend was restarted", situation{now: `
		extension_durability_epoch_changes_total{backend="victorialogs",node="logs:9428"} 2`},
		"backend-restarted", []string{"victorialogs (logs:9428) was restarted", "last 15 min"}},
}

func TestProblems(t *testing.T) {
	seen := map[string]bool{metricsUnreadable.code: true} // TestOwnMetrics has it
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			if c.situation.before == "" {
				c.situation.before = healthy
			}
			c.situation.before = with(healthy, c.situation.before)
			c.situation.now = with(healthy, c.situation.now)
			state := examined(t, c.situation)
			require.Len(t, state.Problems, 1, "%+v", state.Problems)
			problem := state.Problems[0]
			assert.Equal(t, c.code, problem.Code)
			assert.NotEmpty(t, problem.Action)
			assert.Equal(t, docsURL+c.code, problem.Docs)
			for _, text := range c.says {
				assert.Contains(t, problem.Title+"\n"+problem.Detail, text)
			}
			if problem.Severity == Notice {
				assert.Equal(t, OK, state.Status, "a notice is nothing to act on")
			} else {
				assert.Equal(t, problem.Severity, state.Status)
			}
		})
		seen[c.code] = true
	}
	for _, r := range rules {
		assert.True(t, seen[r.code], "no situation for %s", r.code)
	}
}

func TestWhatIsNoProblem(t *testing.T) {
	for name, s := range map[string]situation{
		"nothing has happened": {before: healthy, now: healthy, topics: []string{"logs", "metrics"}},
		"dead letters of an hour ago": {
			before: with(healthy, `exporter_victorialogs_rejected_records_total{reason="row_bytes"} 7`),
			now:    with(healthy, `exporter_victorialogs_rejected_records_total{reason="row_bytes"} 7`),
		},
		"records on their way": {before: healthy, now: healthy, ledger: []ledger.Account{{
			Agent: "host-1", Signal: "logs", Missing: 500, LastStamp: now, OldestMissing: now.Add(-20 * time.Second),
		}}},
		"a lag of seconds": {before: healthy, now: with(healthy, `
			receiver_durable_kafka_lag{topic="logs",partition="0"} 6000
			receiver_durable_kafka_lag_seconds{topic="logs",partition="0"} 20`)},
		"a consumer that has just started": {before: healthy, topics: []string{"others"}, now: with(healthy, `process_uptime{} 20`)},
	} {
		t.Run(name, func(t *testing.T) {
			state := examined(t, s)
			assert.Empty(t, state.Problems)
			assert.Equal(t, OK, state.Status)
		})
	}
}

// What is in Kafka still has been sent: while metrics lag, nobody is silent.
func TestAgentsAreNotSilentBehindALag(t *testing.T) {
	state := examined(t, situation{
		before: healthy,
		now:    with(healthy, `receiver_durable_kafka_lag_seconds{topic="metrics",partition="0"} 200`),
		agents: &Agents{Asked: now, Hosts: []Agent{{Host: "h1", LastSeen: now.Add(-6 * time.Minute)}}},
	})
	assert.Empty(t, state.Problems)
}

func TestTheWorstIsFirst(t *testing.T) {
	state := examined(t, situation{before: healthy, now: with(healthy, `
		receiver_durable_kafka_lost_messages_total{topic="logs",partition="1",cause="retention"} 1
		extension_durability_epoch_changes_total{backend="victorialogs",node="logs:9428"} 2
		exporter_victorialogs_rejected_records_total{reason="row_bytes"} 7
		extension_durability_up{backend="victoriametrics",node="metrics:8428"} 0`)})
	var codes []string
	for _, problem := range state.Problems {
		codes = append(codes, problem.Code)
	}
	assert.Equal(t, []string{"loss", "backend-down", "dead-letters", "backend-restarted"}, codes)
	assert.Equal(t, Critical, state.Status)
}

func TestEveryProblemIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "live.md"))
	require.NoError(t, err)
	for _, r := range rules {
		assert.Contains(t, string(text), "\n### "+r.code+"\n", "the page links to it")
	}
}

// A backend that is back is no problem for a minute more: what counts is that requests succeed since.
func TestFailuresAreOverWhenRequestsSucceed(t *testing.T) {
	sum := newSummary(15 * time.Minute)
	status := func(at time.Duration, others string) Severity {
		m := metricsOf(t, with(healthy, others))
		state := sum.add(began.Add(at), m)
		(&examiner{warn: createDefaultConfig().(*Config).Warn, state: &state, m: m, past: &sum.history}).examine()
		return state.Status
	}
	const failed = `
		exporter_victorialogs_requests_total{outcome="retry"} 4
		receiver_durable_kafka_delivery_errors_total{topic="logs",partition="0",kind="transient"} 1`
	assert.Equal(t, OK, status(0, ""))
	assert.Equal(t, Warning, status(5*time.Second, failed))
	assert.Equal(t, Warning, status(25*time.Second, failed), "a backoff is no success")
	const delivered = failed + `
		exporter_victorialogs_requests_total{outcome="delivered"} 51
		receiver_durable_kafka_delivered_messages_total{topic="logs",partition="0"} 1`
	assert.Equal(t, OK, status(30*time.Second, delivered))
	assert.Equal(t, OK, status(5*time.Minute, delivered))
}
