package swap

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestWhatLokiRefuses sends messages of Fluent Bit through the shipped profile into a Loki with its own limits: each one
// that it refuses is a dead letter with the reason, and no other.
func TestWhatLokiRefuses(t *testing.T) {
	t.Parallel()
	const topic, dead = "fluent-bit", "dlq"
	now := time.Now().UTC()
	message := func(name string, at time.Time, change func(map[string]any)) *kgo.Record {
		fields := map[string]any{
			"@timestamp": at.Format(time.RFC3339Nano), "log": "message of " + name, "case": name, "service_name": "refusals", "env": "test",
		}
		if change != nil {
			change(fields)
		}
		value, err := json.Marshal(fields)
		require.NoError(t, err)
		return &kgo.Record{Topic: topic, Key: []byte(name), Value: value}
	}
	// The reasons, or parts of them, by the key of the message.
	want := map[string]string{
		"1 MiB":        "max entry size",
		"too old":      "has timestamp too old",
		"too new":      "has timestamp too new",
		"metadata":     "too many structured metadata labels",
		"label":        "not stored (labels)", // what Loki says begins with the labels, and is cut
		"new stream":   "maximum active stream limit exceeded",
		"malformed":    "invalid JSON at byte",
		"invalid time": `"@timestamp" of record 0 is not a timestamp`,
	}
	records := []*kgo.Record{
		message("1 MiB", now, func(f map[string]any) { f["log"] = strings.Repeat("x", 1<<20) }),
		message("too old", now.Add(-30*24*time.Hour), nil),
		message("too new", now.Add(24*time.Hour), nil),
		message("metadata", now, func(f map[string]any) {
			for i := range 200 {
				f[fmt.Sprint("field_", i)] = "value"
			}
		}),
		message("label", now, func(f map[string]any) { f["service_name"] = strings.Repeat("x", 3000) }),
		{Topic: topic, Key: []byte("malformed"), Value: []byte(`{"@timestamp": nonsense}`)},
		message("invalid time", now, func(f map[string]any) { f["@timestamp"] = "yesterday" }),
	}
	const good = 500
	for i := range good {
		records = append(records, message(fmt.Sprint("good ", i), now.Add(-time.Duration(i)*time.Millisecond), nil))
	}

	loki := harness.StartLoki(t, harness.LokiOptions{
		Config: "examples/loki/loki.yaml", Args: append([]string{"-ingester.max-global-streams-per-user=1"}, checkpointFlags...),
	})
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	size := "4194304"
	_, err = client.Admin().CreateTopics(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &size}, topic, dead, "logs", "metrics")
	require.NoError(t, err)
	require.NoError(t, client.Produce(t.Context(), records...))
	harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Configs: []string{"configs/consumer-loki.yaml"},
		Env: map[string]string{
			"KAFKA_BROKERS": kafka.BootstrapServers(), "KAFKA_FLUENTBIT_TOPIC": topic, "KAFKA_DLQ_TOPIC": dead, "KAFKA_LOGS_TOPIC": "logs",
			"KAFKA_METRICS_TOPIC": "metrics", "LOKI_ENDPOINT": loki.URL(), "LOKI_FLUSH_WINDOW": flushWindow,
		},
	})

	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	from, to := lokiRange()
	require.NoError(t, harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		n, err := loki.Count(ctx, allStreams, from, to)
		if err == nil && n < good {
			err = fmt.Errorf("%d lines of %d", n, good)
		}
		return err
	}))
	// The one stream that Loki may have is there now.
	require.NoError(t, client.Produce(ctx, message("new stream", now, func(f map[string]any) { f["service_name"] = "another" })))

	got := make(map[string]string)
	require.NoError(t, harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		clear(got)
		letters, err := client.ConsumeAll(ctx, dead)
		if err != nil {
			return err
		}
		for _, letter := range letters {
			reason := ""
			for _, h := range letter.Headers {
				if h.Key == "breakwater.dead_letter.error" {
					reason = string(h.Value)
				}
			}
			for _, name := range casesOf(letter) {
				assert.NotContains(t, got, name, "a dead letter twice")
				got[name] = reason
			}
		}
		if len(got) < len(want) {
			return fmt.Errorf("%d dead letters of %d: %v", len(got), len(want), maps.Keys(got))
		}
		return nil
	}))
	for name, reason := range want {
		assert.Contains(t, got[name], reason, name)
	}
	assert.Len(t, got, len(want), "others are not dead letters: %v", got)
	entries, err := loki.Query(ctx, allStreams, from, to)
	require.NoError(t, err)
	assert.Len(t, entries, good)
}

// casesOf returns the names of the records in a dead letter: its key where it is a message as it was read.
func casesOf(letter *kgo.Record) []string {
	var names []string
	var unmarshaler plog.ProtoUnmarshaler
	if logs, err := unmarshaler.UnmarshalLogs(letter.Value); err == nil {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if name, ok := record.Attributes().Get("case"); ok {
						names = append(names, name.Str())
					}
				}
			}
		}
	}
	if len(names) == 0 {
		names = append(names, string(letter.Key))
	}
	return names
}
