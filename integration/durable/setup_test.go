// Package durable tests what the durable consumer promises against what upstream's Kafka receiver does: each test runs
// the same scenario with both, from configurations that differ in the name of the receiver. Upstream is expected to
// lose, so that a test that could not notice a loss fails.
package durable

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Receivers under test.
const (
	upstream = "kafka"
	ours     = "durable_kafka"
)

// receivers runs the scenario with each receiver; loses says that records are expected to be missing.
func receivers(t *testing.T, scenario func(t *testing.T, receiver string, loses bool)) {
	t.Run("upstream", func(t *testing.T) { scenario(t, upstream, true) })
	t.Run("ours", func(t *testing.T) { scenario(t, ours, false) })
}

// consumer is a bin/breakwater that reads a topic into VictoriaLogs.
type consumer struct {
	receiver string
	// settings are those of the receiver, YAML in flow style without the braces, the same for both.
	settings string
	own      string // settings that only ours has
	endpoint string // of VictoriaLogs
	dead     bool   // refused records go to files below deadDir, where the receiver is ours
	dir      string // a temporary directory by default
}

// config makes a configuration file in the directory of the test.
func (c *consumer) config(t *testing.T) string {
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	settings, extra, pipelines := c.settings, "", "{logs: {receivers: ["+c.receiver+"], exporters: [victorialogs]}}"
	if c.receiver == ours {
		settings += c.own
		settings += fmt.Sprintf(", dead_letter: {directory: %q}", c.deadDir())
		if c.dead {
			extra = fmt.Sprintf(`
  dead_letter_store: {directory: %q}
connectors:
  dead_letter: {primary: [logs/victorialogs], dead_letter: [logs/dead_letter]}
`, c.deadDir())
			pipelines = "{logs: {receivers: [durable_kafka], exporters: [dead_letter]}, " +
				"logs/victorialogs: {receivers: [dead_letter], exporters: [victorialogs]}, " +
				"logs/dead_letter: {receivers: [dead_letter], exporters: [dead_letter_store]}}"
		}
	}
	text := fmt.Sprintf(`
receivers:
  %s: {%s}
exporters:
  victorialogs:
    endpoint: %s
    stream_fields: [service_name]
    compression: none
    timeout: 5s
    # Errors are the receiver's to handle here.
    retry_on_failure: {enabled: false}%s
extensions:
  health_check: {endpoint: "${env:HEALTH_ENDPOINT}"}
service:
  extensions: [health_check]
  pipelines: %s
  telemetry:
    metrics:
      level: normal
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}}]
`, c.receiver, settings, c.endpoint, extra, pipelines)
	file := filepath.Join(c.dir, "consumer.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// deadDir is where dead letters of ours are.
func (c *consumer) deadDir() string { return filepath.Join(c.dir, "dead-letters") }

// start starts the consumer. It may be stopped and started again.
func (c *consumer) start(t *testing.T) *harness.Breakwater {
	return harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Dir: t.TempDir(), Configs: []string{c.config(t)},
	})
}

// backoff are settings under which upstream's receiver retries soon and without end.
const backoff = ", error_backoff: {enabled: true, initial_interval: 100ms, max_interval: 500ms, max_elapsed_time: 0s}"

// source is the records of a test.
type source struct {
	client *harness.KafkaClient
	writer string
	next   int64
}

func newSource(t *testing.T, kafka *harness.FakeKafka, opts ...kgo.Opt) *source {
	client, err := harness.NewKafkaClient(kafka.Brokers(), append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &source{client: client, writer: "w"}
}

func (s *source) createTopic(t *testing.T, name string, partitions int32) {
	_, err := s.client.Admin().CreateTopic(t.Context(), partitions, 1, nil, name)
	require.NoError(t, err)
}

// message is a message with n numbered records.
func (s *source) message(t *testing.T, n int, payload string) []byte {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", "durable")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Body().SetStr(harness.FormatLine(s.writer, s.next, payload))
		s.next++
	}
	var marshaler plog.ProtoMarshaler
	value, err := marshaler.MarshalLogs(logs)
	require.NoError(t, err)
	return value
}

// produce sends messages of n records each.
func (s *source) produce(t *testing.T, topic string, partition int32, messages, n int) {
	var records []*kgo.Record
	for range messages {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: s.message(t, n, "payload")})
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
}

// raw sends a message as it is.
func (s *source) raw(t *testing.T, topic string, partition int32, value []byte) {
	require.NoError(t, s.client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: value}))
}

// count returns how many distinct records VictoriaLogs has, and how many further copies.
func (s *source) count(t *testing.T, logs *harness.VictoriaLogs) (distinct, copies int64) {
	require.NoError(t, logs.Flush(t.Context()))
	seen := map[int64]bool{}
	require.NoError(t, logs.QueryEach(t.Context(), "*", func(row harness.LogRow) error {
		writer, seq, err := harness.ParseLine(row["_msg"])
		if err != nil || writer != s.writer {
			return fmt.Errorf("a row that nobody wrote: %q", row["_msg"])
		}
		if seen[seq] {
			copies++
		}
		seen[seq] = true
		return nil
	}))
	return int64(len(seen)), copies
}

// lost returns how many records are missing below the highest that is stored: in a topic of one partition, what is
// missing there was passed over.
func (s *source) lost(t *testing.T, logs *harness.VictoriaLogs) int64 {
	require.NoError(t, logs.Flush(t.Context()))
	var stored, highest int64 = 0, -1
	seen := map[int64]bool{}
	require.NoError(t, logs.QueryEach(t.Context(), "*", func(row harness.LogRow) error {
		_, seq, err := harness.ParseLine(row["_msg"])
		if err != nil {
			return err
		}
		if !seen[seq] {
			seen[seq] = true
			stored++
		}
		highest = max(highest, seq)
		return nil
	}))
	return highest + 1 - stored
}

// refusingProxy forwards to VictoriaLogs and answers 400 to requests whose body has the mark.
func refusingProxy(t *testing.T, backend string, refuses func(body []byte) bool) string {
	target, err := url.Parse(backend)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r)
		if err != nil {
			return
		}
		if refuses(body) {
			http.Error(w, "refused by the test", http.StatusBadRequest)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	return server
}

// pause is between two looks at a condition. The conditions run on the goroutine of the test: they fail it, and must not
// outlive it.
const pause = 100 * time.Millisecond

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool, wait time.Duration, what string) {
	t.Helper()
	for end := time.Now().Add(wait); !condition(); time.Sleep(pause) {
		require.True(t, time.Now().Before(end), what)
	}
}

// never holds that a condition does not come true for a while.
func never(t *testing.T, condition func() bool, wait time.Duration, what string) {
	t.Helper()
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(pause) {
		require.False(t, condition(), what)
	}
}
