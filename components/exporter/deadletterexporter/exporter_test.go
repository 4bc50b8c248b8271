package deadletterexporter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter/internal/metadatatest"
	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/internal/letters"
)

const dlq = "dlq"

func newKafka(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func configOf(change func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.RetryConfig.InitialInterval = time.Millisecond
	cfg.RetryConfig.MaxInterval = time.Millisecond
	change(cfg)
	return cfg
}

type test struct {
	settings  exporter.Settings
	telemetry *componenttest.Telemetry
}

func newTest(t *testing.T) *test {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	settings := exportertest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	return &test{settings: settings, telemetry: telemetry}
}

func started[E component.Component](t *testing.T, e E, err error) E {
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

func withMetadata(ctx context.Context, pairs map[string]string) context.Context {
	metadata := map[string][]string{}
	for k, v := range pairs {
		metadata[k] = []string{v}
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(metadata)})
}

func readTopic(t *testing.T, cluster *kfake.Cluster, count int) []letters.Letter {
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(dlq))
	require.NoError(t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var read []letters.Letter
	for len(read) < count {
		fetches := reader.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			l, err := letters.FromRecord(r)
			require.NoError(t, err)
			read = append(read, l)
		})
	}
	return read
}

func readFiles(t *testing.T, directory string) []letters.Letter {
	names, err := filepath.Glob(filepath.Join(directory, "*"+letters.FileSuffix))
	require.NoError(t, err)
	var read []letters.Letter
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for r := letters.NewReader(bytes.NewReader(content)); ; {
			l, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			read = append(read, l)
		}
	}
	return read
}

func TestAllSignalsToTheTopic(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	cfg := configOf(func(c *Config) { c.Kafka.Brokers = cluster.ListenAddrs(); c.Store.Topic = dlq })
	run := newTest(t)
	r := rand.New(rand.NewPCG(7, 7))
	logs, metrics, traces := makeLogs(r), makeMetrics(r), makeTraces(r)
	ctx := withMetadata(t.Context(), map[string]string{
		"breakwater.dead_letter.reason": "refused", "breakwater.dead_letter.error": "HTTP 400",
		"breakwater.dead_letter.replays": "2", "breakwater.kafka.topic": "otel-logs-v1",
		"breakwater.kafka.partition": "3", "breakwater.kafka.offset": "41", "breakwater.kafka.last_offset": "44",
	})

	le, err := NewFactory().CreateLogs(t.Context(), run.settings, cfg)
	logsExporter := started(t, le, err)
	require.NoError(t, logsExporter.ConsumeLogs(ctx, logs))
	me, err := NewFactory().CreateMetrics(t.Context(), run.settings, cfg)
	require.NoError(t, started(t, me, err).ConsumeMetrics(ctx, metrics))
	te, err := NewFactory().CreateTraces(t.Context(), run.settings, cfg)
	require.NoError(t, started(t, te, err).ConsumeTraces(ctx, traces))
	assert.False(t, logsExporter.Capabilities().MutatesData)

	read := readTopic(t, cluster, 3)
	require.Len(t, read, 3)
	want := letters.Letter{
		Reason: "refused", Error: "HTTP 400", Encoding: "otlp_proto", Replays: 2,
		Topic: "otel-logs-v1", Partition: 3, Offset: 41, Last: 44,
	}
	for i, of := range []struct {
		signal  string
		records int
		value   func() ([]byte, error)
	}{
		{"logs", logs.LogRecordCount(), func() ([]byte, error) { return logsCodec.marshal(logs) }},
		{"metrics", metrics.DataPointCount(), func() ([]byte, error) { return metricsCodec.marshal(metrics) }},
		{"traces", traces.SpanCount(), func() ([]byte, error) { return tracesCodec.marshal(traces) }},
	} {
		value, err := of.value()
		require.NoError(t, err)
		want.Signal, want.Records, want.Value, want.Time = of.signal, of.records, value, read[i].Time
		assert.WithinDuration(t, time.Now(), read[i].Time, time.Minute)
		assert.Equal(t, want, read[i])
	}
	attributes := func(signal string, more ...attribute.KeyValue) attribute.Set {
		return attribute.NewSet(append(more, attribute.String("signal", signal), attribute.String("reason", "refused"))...)
	}
	topic := attribute.String("destination", "topic")
	metadatatest.AssertEqualExporterDeadLetterStoreLetters(t, run.telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attributes("logs", topic)},
		{Value: 1, Attributes: attributes("metrics", topic)},
		{Value: 1, Attributes: attributes("traces", topic)},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterDeadLetterStoreRecords(t, run.telemetry, []metricdata.DataPoint[int64]{
		{Value: int64(logs.LogRecordCount()), Attributes: attributes("logs")},
		{Value: int64(metrics.DataPointCount()), Attributes: attributes("metrics")},
		{Value: int64(traces.SpanCount()), Attributes: attributes("traces")},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestLargeRequestsAreSplit(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	cfg := configOf(func(c *Config) {
		c.Kafka.Brokers = cluster.ListenAddrs()
		c.Store.Topic, c.Store.MaxMessageBytes = dlq, 100_000
	})
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 100 {
		records.AppendEmpty().Body().SetStr(strings.Repeat("x", 5000))
	}
	e, err := NewFactory().CreateLogs(t.Context(), newTest(t).settings, cfg)
	require.NoError(t, started(t, e, err).ConsumeLogs(t.Context(), logs))
	total := 0
	for _, l := range readTopic(t, cluster, 8) {
		assert.LessOrEqual(t, len(l.Value), 100_000)
		part, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(l.Value)
		require.NoError(t, err)
		assert.Equal(t, l.Records, part.LogRecordCount())
		total += l.Records
	}
	assert.Equal(t, 100, total)
}

func TestARefusedLetterGoesToTheFile(t *testing.T) {
	cluster := newKafka(t) // without the topic
	directory := t.TempDir()
	cfg := configOf(func(c *Config) {
		c.Kafka.Brokers = cluster.ListenAddrs()
		c.Store.Topic, c.Store.Directory = dlq, directory
	})
	run := newTest(t)
	e, err := NewFactory().CreateLogs(t.Context(), run.settings, cfg)
	logs := makeLogs(rand.New(rand.NewPCG(8, 8)))
	require.NoError(t, started(t, e, err).ConsumeLogs(t.Context(), logs))
	read := readFiles(t, directory)
	require.Len(t, read, 1)
	assert.Equal(t, "other", read[0].Reason, "nobody gave a reason")
	assert.Equal(t, logs.LogRecordCount(), read[0].Records)
	metadatatest.AssertEqualExporterDeadLetterStoreLetters(t, run.telemetry, []metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(
		attribute.String("signal", "logs"), attribute.String("reason", "other"), attribute.String("destination", "file"))}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestWithoutATopicThereIsNoClient(t *testing.T) {
	directory := t.TempDir()
	cfg := configOf(func(c *Config) { c.Kafka.Brokers = []string{"no such broker"}; c.Store.Directory = directory })
	e, err := NewFactory().CreateTraces(t.Context(), newTest(t).settings, cfg)
	require.NoError(t, started(t, e, err).ConsumeTraces(t.Context(), makeTraces(rand.New(rand.NewPCG(9, 9)))))
	assert.Len(t, readFiles(t, directory), 1)
}

func TestARefusalIsRetriedUntilTheContextEnds(t *testing.T) {
	cluster := newKafka(t)
	cfg := configOf(func(c *Config) { c.Kafka.Brokers = cluster.ListenAddrs(); c.Store.Topic = dlq })
	e, err := NewFactory().CreateLogs(t.Context(), newTest(t).settings, cfg)
	logsExporter := started(t, e, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err = logsExporter.ConsumeLogs(ctx, makeLogs(rand.New(rand.NewPCG(8, 8))))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
}

func TestMetadataIsNotTrusted(t *testing.T) {
	letter := letterOf(client.NewMetadata(map[string][]string{
		"breakwater.dead_letter.reason":  {"undecodable"},
		"breakwater.kafka.topic":         {"t"},
		"breakwater.kafka.partition":     {"99999999999"},
		"breakwater.kafka.offset":        {"x"},
		"breakwater.dead_letter.replays": {"-3"},
	}))
	assert.Equal(t, deadletter.Letter{Reason: "other", Topic: "t"}, letter)
	assert.Equal(t, deadletter.Letter{Reason: "other"}, letterOf(client.Metadata{}))
}

func TestConfig(t *testing.T) {
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(name string) (*Config, error) {
		part, err := all.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, part.Unmarshal(cfg))
		return cfg, xconfmap.Validate(cfg)
	}
	cfg, err := load("dead_letter_store")
	require.NoError(t, err)
	assert.Equal(t, "otel-dlq-v1", cfg.Store.Topic)
	assert.Zero(t, cfg.RetryConfig.MaxElapsedTime, "without end")
	assert.Equal(t, 11<<20-16<<10, cfg.Store.MaxValueBytes())

	cfg, err = load("dead_letter_store/full")
	require.NoError(t, err)
	assert.Equal(t, deadletter.Config{Topic: "dead", Directory: "/var/lib/breakwater/dead-letters", MaxMessageBytes: 1048576, MaxFileBytes: 1000000}, cfg.Store)
	assert.Equal(t, []string{"kafka-1:9093", "kafka-2:9093"}, cfg.Kafka.Brokers)
	assert.Equal(t, "dead-letters", cfg.Kafka.ClientID)
	assert.NotNil(t, cfg.Kafka.TLS)

	for name, want := range map[string]string{
		"dead_letter_store/nowhere":  "`topic` or `directory` must be set",
		"dead_letter_store/small":    "`max_message_bytes` must be at least 32768",
		"dead_letter_store/brokers":  "brokers must be specified",
		"dead_letter_store/negative": "`max_file_bytes` must not be negative",
	} {
		_, err := load(name)
		require.ErrorContains(t, err, want)
	}
}

func TestShutdownBeforeStart(t *testing.T) {
	e, err := NewFactory().CreateLogs(t.Context(), newTest(t).settings, configOf(func(c *Config) { c.Store.Topic = dlq }))
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	e, err := NewFactory().CreateLogs(t.Context(), newTest(t).settings, configOf(func(c *Config) { c.Store.Directory = file }))
	require.NoError(t, err)
	require.ErrorContains(t, e.Start(t.Context(), componenttest.NewNopHost()), "is not a directory")
	require.NoError(t, e.Shutdown(t.Context()))
}
