// Package pipeline tests the shipped profiles end to end on real parts: log files and host metrics → agent → Apache
// Kafka of three brokers → consumer → VictoriaLogs and VictoriaMetrics. The configurations are the shipped files,
// changed by nothing but the environment contract. Every test counts distinct records in the backend.
package pipeline

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// arriveTimeout is how long the last record may take after the last fault has ended: the longest backoff of the
// profiles (30 s, half as much again by its randomization), and what a loaded machine of two cores needs.
const arriveTimeout = 2 * time.Minute

// outage is how long a part is down: longer than any default timeout on the way.
const outage = 30 * time.Second

// labels are the label set of the tests, all but host_name as the operator sets it.
var labels = map[string]string{
	"site_name":         "zürich-1",
	"env":               "test",
	"host_name":         "edge-7",
	"service_name":      "checkout",
	"service_namespace": "shop",
	"job":               "shop/checkout",
}

var labelEnv = map[string]string{
	"SITE_NAME":         labels["site_name"],
	"DEPLOY_ENV":        labels["env"],
	"HOST_NAME":         labels["host_name"],
	"SERVICE_NAME":      labels["service_name"],
	"SERVICE_NAMESPACE": labels["service_namespace"],
}

// wantStream is the log stream that the consumer profile makes of the labels.
const wantStream = `{env="test",host_name="edge-7",service_name="checkout",service_namespace="shop",site_name="zürich-1"}`

// pipeline is the parts of one test. The cluster may serve several tests, each with topics and a group of its own.
type pipeline struct {
	kafka        *harness.Kafka
	client       *harness.KafkaClient
	logsTopic    string
	metricsTopic string

	logs     *harness.VictoriaLogs
	metrics  *harness.VictoriaMetrics
	agent    *harness.Breakwater
	consumer *harness.Breakwater
}

// startPipeline starts everything but Kafka, which runs.
func startPipeline(t *testing.T, kafka *harness.Kafka, logInclude string) *pipeline {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	p := &pipeline{kafka: kafka, logsTopic: name + "-logs", metricsTopic: name + "-metrics"}
	kafkaEnv := map[string]string{
		"KAFKA_BROKERS":       kafka.BootstrapServers(),
		"KAFKA_LOGS_TOPIC":    p.logsTopic,
		"KAFKA_METRICS_TOPIC": p.metricsTopic,
		"KAFKA_GROUP_ID":      name,
	}
	createTopics(t, kafka, kafkaEnv)
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	p.client = client

	p.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	p.metrics = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	p.consumer = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "consumer",
		Configs: []string{"configs/consumer.yaml"},
		Env: merge(kafkaEnv, map[string]string{
			"VICTORIALOGS_ENDPOINT":    p.logs.URL(),
			"VICTORIAMETRICS_ENDPOINT": p.metrics.URL(),
		}),
	})
	p.agent = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "agent",
		Configs: []string{"configs/agent.yaml"},
		Env:     merge(kafkaEnv, labelEnv, map[string]string{"LOG_INCLUDE": logInclude}),
	})
	return p
}

// createTopics makes the topics as `make topics` does, and holds that they are as strong as it promises.
func createTopics(t *testing.T, kafka *harness.Kafka, env map[string]string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	report, err := topics.Ensure(t.Context(), client, topics.Defaults(func(name string) string { return env[name] }))
	require.NoError(t, err)
	require.Empty(t, report.Problems())
	require.Empty(t, report.AllWarnings())
}

func merge(parts ...map[string]string) map[string]string {
	merged := make(map[string]string)
	for _, m := range parts {
		maps.Copy(merged, m)
	}
	return merged
}

func startWriter(t *testing.T, opts harness.LogWriterOptions) *harness.LogWriter {
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	writer, err := harness.NewLogWriter(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	return writer
}

// requireAll waits until every line of the writer is in VictoriaLogs and returns the final count. Duplicates are
// reported, and are an error where the test says that there must be none.
func requireAll(t *testing.T, logs *harness.VictoriaLogs, writer *harness.LogWriter) harness.TallyReport {
	var report harness.TallyReport
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		distinct, err := logs.CountUniq(ctx, "*", "_msg")
		if err != nil {
			return err
		}
		if distinct < writer.Written() {
			return fmt.Errorf("%d distinct rows of %d lines", distinct, writer.Written())
		}
		return nil
	})
	// The tally is asked in any case: it says what is missing.
	report = tally(t, logs, writer)
	t.Log(report)
	require.NoError(t, err)
	require.NoError(t, report.Err())
	return report
}

func tally(t *testing.T, logs *harness.VictoriaLogs, writer *harness.LogWriter) harness.TallyReport {
	count := harness.NewTally()
	require.NoError(t, logs.QueryEach(t.Context(), "*", func(row harness.LogRow) error {
		count.Add(row["_msg"])
		return nil
	}))
	assert.Zero(t, count.Corrupt, "rows that are not as they were written")
	assert.Zero(t, count.Foreign, "rows that nobody has written")
	return count.Compare(writer)
}

// requireLogsNotDropped holds that VictoriaLogs dropped nothing behind a 200.
func requireLogsNotDropped(t *testing.T, logs *harness.VictoriaLogs) {
	own, err := logs.Metrics(t.Context())
	require.NoError(t, err)
	for _, counter := range []string{"vl_rows_dropped_total", "vl_too_long_lines_skipped_total"} {
		assert.Zero(t, own.Sum(counter), counter)
	}
	assert.Zero(t, own.Sum("vl_http_errors_total", "path", "/insert/jsonline"))
}

// scrapedPoints is how many data points of this host the process has scraped since its start.
func scrapedPoints(t *testing.T, b *harness.Breakwater) int {
	own, err := b.Metrics(t.Context())
	require.NoError(t, err)
	return int(own.Sum("otelcol_receiver_accepted_metric_points", "receiver", "host_metrics"))
}

// requirePoints waits until every host metric data point in Kafka is a sample in VictoriaMetrics, and returns how many
// there are. It stops the agent first, so that there is a last one. None that the agent has scraped since its last
// start, nor of those in earlier, is missing in Kafka.
func (p *pipeline) requirePoints(t *testing.T, earlier int) int64 {
	scraped := scrapedPoints(t, p.agent)
	require.NotZero(t, scraped)
	require.NoError(t, p.agent.Stop(t.Context()))
	points, err := p.client.CountDataPoints(t.Context(), p.metricsTopic, "system.")
	require.NoError(t, err)
	require.GreaterOrEqual(t, points, int64(earlier+scraped))

	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	err = harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		if err := p.metrics.Flush(ctx); err != nil {
			return err
		}
		series, err := p.metrics.Export(ctx, `{__name__=~"system_.*"}`)
		if err != nil {
			return err
		}
		var samples int64
		for _, s := range series {
			samples += int64(len(s.Values))
		}
		if samples != points {
			return fmt.Errorf("%d samples of %d data points", samples, points)
		}
		return nil
	})
	require.NoError(t, err)
	return points
}
