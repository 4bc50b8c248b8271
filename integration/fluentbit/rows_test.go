// Package fluentbit proves that a topic that Fluent Bit agents write is read into the rows that the article's Fluent Bit
// aggregator makes of it: the corpus of the fluent_bit_encoding extension goes through bin/breakwater into a real
// VictoriaLogs.
package fluentbit

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/letters"
)

var update = flag.Bool("update", false, "write testdata/rows.jsonl anew")

// arriveTimeout is how long the last row may take, on a loaded machine.
const arriveTimeout = 90 * time.Second

// dir is relative to the root of the repository, where the processes run.
const dir = "integration/fluentbit/testdata/"

const (
	topic     = "fluent-bit-logs-v1"
	deadTopic = "otel-dlq-v1"
	tags      = `"consumer_name":"fluent-bit-kafka-consumer","pipeline":"kafka-to-victorialogs"`
)

// aggregatorDiffers are the cases whose rows are not those of `/insert/jsonline`, and why.
var aggregatorDiffers = map[string]string{
	"array":          "more than one record; Fluent Bit's Kafka output writes one a message",
	"date_double":    "VictoriaLogs reads a fraction by way of a float, and is off by nanoseconds",
	"date_string":    "VictoriaLogs reads a fraction by way of a float, and is off by nanoseconds",
	"duplicate_keys": "VictoriaLogs stores two fields of one name",
	"empty_members":  "VictoriaLogs takes a field without a name for the message",
	"flattened":      "two fields of one name, and a name over 128 bytes, which makes the whole line a message",
	"lines":          "more than one record",
	"no_message":     "VictoriaLogs stores a text of its own for a missing message, the exporter `-`",
	"unicode":        "VictoriaLogs loses the character behind half a surrogate pair",
	"zone":           "VictoriaLogs takes no leap second",
}

type message struct {
	name  string
	value []byte
}

// corpus returns the messages that the default settings are for, and those that are refused. Each record of the first has
// a field with the name of the case.
func corpus(t *testing.T) (taken, refused []message) {
	t.Helper()
	root, err := harness.Root()
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(root, "components/extension/fluentbitencodingextension/testdata/corpus/*/message.json"))
	require.NoError(t, err)
	for _, path := range paths {
		value, err := os.ReadFile(path)
		require.NoError(t, err)
		name := filepath.Base(filepath.Dir(path))
		if strings.HasPrefix(name, "refused_") {
			refused = append(refused, message{name, value})
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "config.yaml")); err == nil && name != "duplicate_keys" {
			continue // for other settings
		}
		for _, begin := range []string{`{"@timestamp"`, `{"date"`} {
			value = bytes.ReplaceAll(value, []byte(begin), []byte(`{"case":"`+name+`",`+begin[1:]))
		}
		taken = append(taken, message{name, value})
	}
	require.Greater(t, len(taken), 20)
	require.Greater(t, len(refused), 10)
	return taken, refused
}

// large is a record of a message of 1 MiB, over the limit of a line: it takes the other way into VictoriaLogs.
func large() message {
	text := strings.Repeat("0123456789abcde\\n", 1<<20/17)
	return message{"large", []byte(`{"case":"large","@timestamp":"2024-11-22T11:40:00.000000007Z","log":"` + text + `","stream":"stdout"}`)}
}

// huge is a record over the limit of a row in VictoriaLogs, 2 MiB.
func huge() *kgo.Record {
	text := strings.Repeat("0123456789abcdef", (2<<20)/16)
	return &kgo.Record{Topic: topic, Value: []byte(`{"@timestamp":"2024-11-22T11:40:00Z","log":"` + text + `","stream":"stdout"}`)}
}

// variant is a way from the topic to VictoriaLogs.
type variant struct {
	name    string
	configs []string
	huge    bool // what VictoriaLogs cannot store goes to the dead letters
}

// TestRows sends the corpus through a minimal configuration and through the shipped consumer profile.
func TestRows(t *testing.T) {
	for _, v := range []variant{
		{name: "minimal", configs: []string{dir + "consumer.yaml", dir + "tags.yaml"}},
		{name: "profile", configs: []string{"configs/consumer.yaml"}, huge: true},
	} {
		t.Run(v.name, func(t *testing.T) { v.test(t) })
	}
}

func (v variant) test(t *testing.T) {
	taken, refused := corpus(t)
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	defer client.Close()
	size := "4194304"
	_, err = client.Admin().CreateTopics(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &size},
		topic, deadTopic, "otel-logs-v1", "otel-metrics-v1")
	require.NoError(t, err)

	// Refused messages are among the others, which must not share their fate.
	var records []*kgo.Record
	for i, m := range slices.Concat(taken, []message{large()}) {
		records = append(records, &kgo.Record{Topic: topic, Value: m.value})
		if i < len(refused) {
			records = append(records, &kgo.Record{Topic: topic, Value: refused[i].value, Key: []byte(refused[i].name)})
		}
	}
	if v.huge {
		records = slices.Insert(records, 1, huge())
	}
	require.NoError(t, client.Produce(t.Context(), records...))

	harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Configs: v.configs,
		Env: map[string]string{
			"KAFKA_BROKERS": kafka.BootstrapServers(), "KAFKA_FLUENTBIT_TOPIC": topic, "KAFKA_DLQ_TOPIC": deadTopic, "KAFKA_GROUP_ID": "rows",
			"VICTORIALOGS_ENDPOINT": logs.URL(), "VICTORIAMETRICS_ENDPOINT": metrics.URL(), "VICTORIALOGS_RETENTION": "876000h",
		},
	})

	total := 0
	for _, record := range records {
		total += bytes.Count(record.Value, []byte(`"case":"`))
	}
	got := await(t, logs, total)
	t.Run("large", func(t *testing.T) {
		at := slices.IndexFunc(got, func(row harness.LogRow) bool { return row["case"] == "large" })
		require.GreaterOrEqual(t, at, 0)
		assert.Equal(t, strings.Repeat("0123456789abcde\n", 1<<20/17), got[at]["_msg"])
		assert.Equal(t, "2024-11-22T11:40:00.000000007Z", got[at]["_time"])
		assert.Equal(t, `{stream="stdout"}`, got[at]["_stream"])
		got = slices.Delete(got, at, at+1)
	})
	for _, row := range got {
		assert.NotEmpty(t, row["delivery_id"])
		delete(row, "delivery_id")
	}
	if *update {
		require.NoError(t, os.WriteFile("testdata/rows.jsonl", []byte(strings.Join(lines(t, got), "\n")+"\n"), 0o600))
	}
	assert.Equal(t, lines(t, wantRows(t)), lines(t, got))

	t.Run("aggregator", func(t *testing.T) { testAggregator(t, taken, got) })
	t.Run("dead letters", func(t *testing.T) { testDeadLetters(t, client, refused, v.huge) })
}

// testAggregator compares the rows with those of the URL of the article's aggregator, given the same messages and tags.
func testAggregator(t *testing.T, taken []message, got []harness.LogRow) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "aggregator"})
	var body bytes.Buffer
	for _, m := range taken {
		body.Write(bytes.TrimSuffix(bytes.TrimSpace(m.value), []byte("}")))
		body.WriteString("," + tags + "}\n")
	}
	args := url.Values{
		"_stream_fields": {"stream,service_name,service_namespace,host_name,env,site_name"},
		"_msg_field":     {"log,message,msg"}, "_time_field": {"@timestamp,date"},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, logs.URL()+"/insert/jsonline?"+args.Encode(), &body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/stream+json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, logs.Flush(t.Context()))
	theirs, err := logs.Query(t.Context(), "*")
	require.NoError(t, err)

	of := func(rows []harness.LogRow, name string) []string {
		return lines(t, slices.DeleteFunc(slices.Clone(rows), func(row harness.LogRow) bool { return row["case"] != name }))
	}
	same := 0
	for _, m := range taken {
		if why, ok := aggregatorDiffers[m.name]; ok {
			assert.NotEqual(t, of(theirs, m.name), of(got, m.name), "%s is the same now: %s", m.name, why)
			t.Logf("%s: %s: %q", m.name, why, of(theirs, m.name))
			continue
		}
		if assert.Equal(t, of(theirs, m.name), of(got, m.name), m.name) {
			same++
		}
	}
	t.Logf("%d of %d cases have the rows of the aggregator", same, len(taken))
}

// testDeadLetters holds that each refused message is in the dead-letter topic as it was, with the reason, and so is the
// huge record.
func testDeadLetters(t *testing.T, client *harness.KafkaClient, refused []message, huge bool) {
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	consumer, err := kgo.NewClient(append(client.Client().Opts(), kgo.ConsumeTopics(deadTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer consumer.Close()
	want := len(refused)
	if huge {
		want++
	}
	found := make(map[string]*kgo.Record)
	for len(found) < want {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, fetches.Err(), "%d of %d dead letters", len(found), want)
		fetches.EachRecord(func(r *kgo.Record) { found[string(r.Key)] = r })
	}
	if huge {
		// Records that a backend refuses have no key of their own.
		letter := found[""]
		if assert.NotNil(t, letter) {
			assert.Greater(t, len(letter.Value), 2<<20)
			assert.True(t, slices.ContainsFunc(letter.Headers, func(h kgo.RecordHeader) bool {
				return strings.Contains(string(h.Value), "over `limits::max_row_bytes`")
			}), "%v", letter.Headers)
		}
	}
	root, err := harness.Root()
	require.NoError(t, err)
	for _, m := range refused {
		record := found[m.name]
		if !assert.NotNil(t, record, m.name) {
			continue
		}
		assert.Equal(t, string(m.value), string(record.Value), m.name)
		reason, err := os.ReadFile(filepath.Join(root, "components/extension/fluentbitencodingextension/testdata/corpus", m.name, "error.txt"))
		require.NoError(t, err)
		headers := make(map[string]string)
		for _, header := range record.Headers {
			headers[header.Key] = string(header.Value)
		}
		values := slices.Collect(maps.Values(headers))
		assert.Contains(t, values, letters.ReasonUndecodable, m.name)
		assert.True(t, slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, strings.TrimSpace(string(reason))) }),
			"%s: %q is in none of %q", m.name, reason, values)
	}
}

// await waits for n rows.
func await(t *testing.T, logs *harness.VictoriaLogs, n int) []harness.LogRow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	var rows []harness.LogRow
	err := harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		if err := logs.Flush(ctx); err != nil {
			return err
		}
		var err error
		if rows, err = logs.Query(ctx, "*"); err != nil {
			return err
		}
		if len(rows) < n {
			return fmt.Errorf("%d rows, want %d", len(rows), n)
		}
		return nil
	})
	require.NoError(t, err)
	return rows
}

func wantRows(t *testing.T) []harness.LogRow {
	t.Helper()
	data, err := os.ReadFile("testdata/rows.jsonl")
	require.NoError(t, err)
	var rows []harness.LogRow
	for line := range bytes.Lines(data) {
		var row harness.LogRow
		require.NoError(t, json.Unmarshal(line, &row))
		rows = append(rows, row)
	}
	return rows
}

// lines returns the rows as text, in an order that does not depend on the server.
func lines(t *testing.T, rows []harness.LogRow) []string {
	t.Helper()
	texts := make([]string, 0, len(rows))
	for _, row := range rows {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		require.NoError(t, encoder.Encode(row))
		texts = append(texts, strings.TrimSuffix(text.String(), "\n"))
	}
	slices.Sort(texts)
	return texts
}
