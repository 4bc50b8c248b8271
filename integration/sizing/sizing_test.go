// Package sizing holds the figures that the buffers are sized by (internal/sizing,
// `make size-buffers`) to the real agent and its disk queue.
package sizing

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/sizing"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// payload is an access log, of which the half differs from line to line.
func payload(seq int64) string {
	id := uint64(seq+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf(`10.1.%d.%d - - "GET /api/v1/orders/%016x HTTP/1.1" 200 %d "-" "okhttp/4.12.0" rt=0.%03d trace=%016x%016x`,
		id>>8&0xff, id>>16&0xff, id, id>>24&0xfff, id>>32%1000, id*31, id*37)
}

// TestSizing fills the queue of an agent without Kafka, and then lets Kafka have it.
func TestSizing(t *testing.T) {
	const lines = 30_000
	kafka, err := harness.NewFakeKafka(harness.FakeKafkaOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kafka.Close()) })
	writer, err := harness.NewLogWriter(harness.LogWriterOptions{Dir: t.TempDir(), Name: "access", Payload: payload})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	agent := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "agent",
		Configs: []string{"configs/agent.yaml"},
		Env: map[string]string{
			"KAFKA_BROKERS": kafka.BootstrapServers(), "LOG_INCLUDE": writer.Glob(),
			"SITE_NAME": "zrh-1", "DEPLOY_ENV": "prod", "HOST_NAME": "edge-7", "SERVICE_NAME": "checkout", "SERVICE_NAMESPACE": "shop",
		},
	})
	require.NoError(t, writer.Write(t.Context(), lines))
	var lineBytes int
	for seq := range int64(lines) {
		lineBytes += len(writer.Line(seq))
	}

	var logs, points, metrics float64
	eventually(t, func(ctx context.Context) error {
		m, err := agent.Metrics(ctx)
		if err != nil {
			return err
		}
		accepted := m.Sum("otelcol_receiver_accepted_log_records")
		points = m.Sum("otelcol_receiver_accepted_metric_points")
		logs = m.Sum("otelcol_exporter_queue_size", "data_type", "logs")
		metrics = m.Sum("otelcol_exporter_queue_size", "data_type", "metrics")
		if accepted < lines || points == 0 || metrics == 0 {
			return fmt.Errorf("%g of %d lines, %g data points are in the queue", accepted, lines, points)
		}
		return nil
	})
	onDisk := diskBytes(t, agent.StorageDir())
	record, point := (logs-float64(lineBytes))/lines, metrics/points
	factor := onDisk / (logs + metrics)
	t.Logf("queue: %.0f bytes around a line of %d, %.0f bytes a data point; on disk %.0f MB, %.2f times as much", record, lineBytes/lines, point, onDisk/1e6, factor)
	assert.InEpsilon(t, sizing.RecordBytes, record, 0.15, "RecordBytes")
	assert.InEpsilon(t, sizing.PointBytes, point, 0.25, "PointBytes: of the scrape of another host")
	assert.LessOrEqual(t, factor, sizing.DiskFactor, "DiskFactor")
	assert.GreaterOrEqual(t, factor, 1.0, "all of it is on the disk")

	// Now it is told how much smaller that is in Kafka, and how fast it gets there.
	require.NoError(t, kafka.Start(t.Context()))
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	createTopics(t, kafka)
	begin := time.Time{}
	eventually(t, func(ctx context.Context) error {
		m, err := agent.Metrics(ctx)
		if err != nil {
			return err
		}
		left := m.Sum("otelcol_exporter_queue_size", "data_type", "logs")
		if left < logs && begin.IsZero() {
			begin = time.Now()
		}
		if left > 0 {
			return fmt.Errorf("%.0f bytes are in the queue", left)
		}
		return nil
	})
	t.Logf("out of the queue: %.0f lines/s", lines/time.Since(begin).Seconds())
	count, err := client.CountLogRecords(t.Context(), "otel-logs-v1")
	require.NoError(t, err)
	assert.EqualValues(t, lines, count)
	dirs, err := client.Admin().DescribeAllLogDirs(t.Context(), nil)
	require.NoError(t, err)
	var inKafka int64
	for _, broker := range dirs {
		for _, dir := range broker {
			for _, partition := range dir.Topics["otel-logs-v1"] {
				inKafka += partition.Size
			}
		}
	}
	require.Positive(t, inKafka)
	ratio := logs / float64(inKafka)
	t.Logf("in Kafka: %.1f MB, %.1f times smaller", float64(inKafka)/1e6, ratio)
	assert.GreaterOrEqual(t, ratio, float64(sizing.Compression), "Compression")
	assert.LessOrEqual(t, ratio, 2.0*sizing.Compression, "Compression is far off")
}

func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a machine that is busy syncs slowly
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 200*time.Millisecond, check))
}

func createTopics(t *testing.T, kafka *harness.FakeKafka) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	report, err := topics.Ensure(t.Context(), client, topics.Defaults(func(string) string { return "" }))
	require.NoError(t, err)
	require.Empty(t, report.Problems())
}

// diskBytes are the blocks that the files of a directory take.
func diskBytes(t *testing.T, dir string) float64 {
	var blocks int64
	require.NoError(t, filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			blocks += info.Sys().(*syscall.Stat_t).Blocks
		}
		return err
	}))
	return float64(blocks) * 512 // stat(2): st_blocks
}
