// Package monitoring tests what the pipeline is watched with, on a running pipeline: every expression of every panel has
// data in a real VictoriaMetrics, and every alert fires for its fault, evaluated by a real vmalert, and clears after it.
package monitoring

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

const (
	logsTopic      = "otel-logs-v1"
	fluentBitTopic = "fluent-bit-logs-v1"
	// refusedTopic is that of one agent alone, so that its logs can be refused while its metrics arrive.
	refusedTopic = "logs-of-one-agent"
	// stagingTopic is where the logs of another go, for the test to hand them on to the topic that consumers read.
	stagingTopic = "logs-on-the-way"
	// smallQueue is what that agent has room for on its disk.
	smallQueue = 24_000_000
	// lookAround is for those whose lossless check is to find something soon.
	lookAround = "yaml:extensions::lossless::runtime::interval: 1s"
)

// site is the whole pipeline, three agents, and what watches it.
type site struct {
	kafka   *harness.Kafka
	client  *harness.KafkaClient
	logs    *harness.VictoriaLogs
	metrics *harness.VictoriaMetrics

	consumer *harness.Breakwater
	agent    *harness.Breakwater // as it should be
	refused  *harness.Breakwater // nobody has said where it is, and its logs are refused
	quiet    *harness.Breakwater // goes away, and comes back

	env map[string]string // of all of ours
}

func startSite(t *testing.T) *site {
	s := &site{kafka: harness.StartKafka(t, harness.KafkaOptions{Properties: map[string]string{
		// A broker that is back is to be in sync soon.
		"broker.session.timeout.ms": "6000",
	}})}
	s.env = map[string]string{"KAFKA_BROKERS": s.kafka.BootstrapServers(), "METRICS_INTERVAL": "1s"}
	var err error
	s.client, err = harness.NewKafkaClient(s.kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	makeTopics(t, s.kafka, s.env)
	for _, topic := range []string{refusedTopic, stagingTopic} {
		makeTopics(t, s.kafka, map[string]string{"KAFKA_LOGS_TOPIC": topic})
	}

	s.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: 168 * time.Hour})
	s.metrics = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	s.consumer = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer",
		Configs: []string{
			"configs/consumer.yaml", "configs/consumer.d/kafka-metrics.yaml",
			"configs/consumer.d/victorialogs-metrics.yaml", "configs/consumer.d/victoriametrics-metrics.yaml",
			lookAround,
		},
		Env: merge(s.env, map[string]string{
			"VICTORIALOGS_ENDPOINT": s.logs.URL(), "VICTORIAMETRICS_ENDPOINT": s.metrics.URL(),
			"HOST_NAME": "consumer-1",
			// 5 min, by timeScale.
			"LEDGER_GAP_AFTER": "2500ms",
		}),
	})
	return s
}

// startAgents starts all three; each reads the files of its writer.
func (s *site) startAgents(t *testing.T, written, refused *harness.LogWriter) {
	start := func(host, include string, env map[string]string, configs ...string) *harness.Breakwater {
		return harness.StartBreakwater(t, harness.BreakwaterOptions{
			Name: host, Configs: append([]string{"configs/agent.yaml"}, configs...),
			Env: merge(s.env, map[string]string{
				"SITE_NAME": "zrh", "DEPLOY_ENV": "test", "HOST_NAME": host, "LOG_INCLUDE": include,
				// No more than any disk has.
				"BREAKWATER_QUEUE_BYTES": "256000000",
			}, env),
		})
	}
	s.agent = start("edge-1", written.Glob(), nil)
	s.quiet = start("edge-3", t.TempDir()+"/*.log", map[string]string{"KAFKA_LOGS_TOPIC": stagingTopic})
	s.refused = start("edge-2", refused.Glob(),
		map[string]string{
			"SITE_NAME": "", "DEPLOY_ENV": "",
			"KAFKA_LOGS_TOPIC": refusedTopic, "BREAKWATER_QUEUE_BYTES": fmt.Sprint(smallQueue),
		},
		lookAround,
		"yaml:extensions::lossless::ignore::BW112: it is to be full soon")
}

func makeTopics(t *testing.T, kafka *harness.Kafka, env map[string]string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	report, err := topics.Ensure(t.Context(), client, topics.Defaults(func(name string) string { return env[name] }))
	require.NoError(t, err)
	require.Empty(t, report.Problems())
}

// setTopic changes a setting of a topic.
func (s *site) setTopic(t *testing.T, topic, name, value string) {
	t.Helper()
	changed, err := s.client.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	require.NoError(t, err)
	for _, c := range changed {
		require.NoError(t, c.Err)
	}
}

// produceOld writes messages of Fluent Bit that are as old as age to one partition. Their headers differ, so that each is a
// request of its own, and only some of them are on their way at a time.
func (s *site) produceOld(t *testing.T, n int, age time.Duration) {
	t.Helper()
	records := make([]*kgo.Record, 0, n)
	for i := range n {
		records = append(records, &kgo.Record{
			Topic: fluentBitTopic, Partition: 0, Key: []byte("one partition"), Timestamp: time.Now().Add(-age),
			Value:   fmt.Appendf(nil, `{"@timestamp":%q,"log":"late %d","host_name":"edge-9"}`, time.Now().UTC().Format(time.RFC3339Nano), i),
			Headers: []kgo.RecordHeader{{Key: "number", Value: fmt.Append(nil, i)}},
		})
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
}

// loseLogs deletes all that Kafka has of the logs, as retention does.
func (s *site) loseLogs(t *testing.T) {
	t.Helper()
	ends, err := s.client.Admin().ListEndOffsets(t.Context(), logsTopic)
	require.NoError(t, err)
	deleted, err := s.client.Admin().DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
}

// stage sends a log record through edge-3 and returns the message that comes of it.
func (s *site) stage(t *testing.T, body string) *kgo.Record {
	t.Helper()
	require.NoError(t, sendOTLP(t, 10*time.Second, s.quiet, "logs", log(body)))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var message *kgo.Record
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		err := s.client.ConsumeEach(ctx, stagingTopic, func(r *kgo.Record) error {
			if bytes.Contains(r.Value, []byte(body)) {
				message = r
			}
			return nil
		})
		if err == nil && message == nil {
			err = fmt.Errorf("%s: no message with %q", stagingTopic, body)
		}
		return err
	}))
	return message
}

// forward hands messages on with their headers, by which the ledger knows their records.
func (s *site) forward(t *testing.T, messages ...*kgo.Record) {
	t.Helper()
	records := make([]*kgo.Record, 0, len(messages))
	for _, m := range messages {
		records = append(records, &kgo.Record{Topic: logsTopic, Value: m.Value, Headers: m.Headers})
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
}

// sendOTLP sends a request to an agent, in JSON, and returns an error when it was not taken within the time.
func sendOTLP(t *testing.T, within time.Duration, agent *harness.Breakwater, signal, body string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, agent.OTLPHTTP()+"/v1/"+signal, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	require.NoError(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	return nil
}

// undecodable is a message that is no OTLP.
func undecodable() *kgo.Record {
	return &kgo.Record{Topic: logsTopic, Value: []byte("\xff\xff\xff not OTLP")}
}

// conflictingLog is a record that says another site than its resource, a week and a day ago: before the retention of
// VictoriaLogs.
func conflictingLog() string {
	return fmt.Sprintf(`{"resourceLogs":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"site.name","value":{"stringValue":"here"}}]},
		"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","body":{"stringValue":"long ago"},
			"attributes":[{"key":"site_name","value":{"stringValue":"there"}}]}]}]}]}`, time.Now().Add(-8*24*time.Hour).UnixNano())
}

// log is one record.
func log(body string) string {
	return fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":%q}}]}]}]}`, body)
}

// largeLog is more than what is left of a queue that files of small lines have filled.
func largeLog() string { return log(strings.Repeat("large ", 100_000)) }

// deltaMetric is a counter that says how much it has grown, which remote write has no place for.
func deltaMetric() string {
	return fmt.Sprintf(`{"resourceMetrics":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
		"scopeMetrics":[{"metrics":[{"name":"orders","sum":{"aggregationTemporality":1,"isMonotonic":true,
			"dataPoints":[{"timeUnixNano":"%d","asInt":"1"}]}}]}]}]}`, time.Now().UnixNano())
}

// insertWrong gives both backends what they answer for and do not store, and one row that is refused.
func (s *site) insertWrong(t *testing.T) {
	t.Helper()
	late := time.Now().Add(30 * 24 * time.Hour)
	require.NoError(t, s.logs.InsertJSON(t.Context(), []string{"host"},
		harness.LogRow{"_time": late.UTC().Format(time.RFC3339), "_msg": "from the future", "host": "somebody-else"},
		harness.LogRow{"_time": time.Now().UTC().Format(time.RFC3339), "_msg": strings.Repeat("long", 1<<17), "host": "somebody-else"}))
	require.NoError(t, s.metrics.Import(t.Context(), harness.MetricData{
		Labels: harness.Series{"__name__": "from_the_future"}, Values: []float64{1}, Timestamps: []int64{late.UnixMilli()},
	}))
	require.Error(t, s.logs.InsertJSON(t.Context(), []string{"host"}, harness.LogRow{"_time": "never", "_msg": "no time", "host": "somebody-else"}))
}

func startWriter(t *testing.T, name string, rate float64, bytesOfALine int) *harness.LogWriter {
	w, err := harness.NewLogWriter(harness.LogWriterOptions{
		Name: name, Dir: t.TempDir(), Rate: rate,
		Payload: func(int64) string { return strings.Repeat("x", bytesOfALine) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func merge(parts ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, part := range parts {
		maps.Copy(merged, part)
	}
	return merged
}
