package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestPipeline runs its cases one after the other on one cluster of three brokers.
func TestPipeline(t *testing.T) {
	kafka := harness.StartKafka(t, harness.KafkaOptions{})
	t.Run("deliver", func(t *testing.T) { testDeliver(t, kafka) })
	t.Run("bytes", func(t *testing.T) { testBytes(t, kafka) })
	t.Run("restart", func(t *testing.T) { testRestart(t, kafka) })
	t.Run("backend_outage", func(t *testing.T) { testBackendOutage(t, kafka) })
	t.Run("kafka_outage", func(t *testing.T) { testKafkaOutage(t, kafka) })
}

// payload has what breaks shippers: quotes, escapes, control characters, two-, three- and four-byte runes.
func payload(seq int64) string {
	return fmt.Sprintf("level=info msg=\"order %d\" who='Zoë 漢字 😀' tab=\there esc=\x1b[31mred\x1b[0m bell=\x07 del=\x7f back=\\ %s",
		seq, strings.Repeat("·", int(seq%7)))
}

// testDeliver is the main job: 100,000 lines and the metrics of this host arrive once each, with their labels.
func testDeliver(t *testing.T, kafka *harness.Kafka) {
	const lines = 100_000
	writer := startWriter(t, harness.LogWriterOptions{Files: 4, Payload: payload})
	p := startPipeline(t, kafka, writer.Glob())
	require.NoError(t, writer.Write(t.Context(), lines))

	report := requireAll(t, p.logs, writer)
	assert.EqualValues(t, lines, report.Found)
	assert.Zero(t, report.Duplicates)
	requireLogsNotDropped(t, p.logs)

	inKafka, err := p.client.CountLogRecords(t.Context(), p.logsTopic)
	require.NoError(t, err)
	assert.EqualValues(t, lines, inKafka)

	// Every row bears the stream and the labels.
	inStream, err := p.logs.Count(t.Context(), wantStream)
	require.NoError(t, err)
	assert.EqualValues(t, lines, inStream)
	rows, err := p.logs.Query(t.Context(), "* | limit 10")
	require.NoError(t, err)
	for _, row := range rows {
		assert.Equal(t, wantStream, row["_stream"])
		for name, value := range labels {
			assert.Equal(t, value, row[name], name)
		}
		assert.NotContains(t, row, "service.name", "no label is there under two names")
		assert.NotEmpty(t, row["log.file.path"])
	}

	var series []harness.Series
	require.NoError(t, harness.Eventually(t.Context(), time.Second, func(ctx context.Context) (err error) {
		series, err = p.metrics.Series(ctx, `{__name__=~"system_.*"}`)
		if err == nil && len(series) < 50 {
			err = fmt.Errorf("%d series of host metrics", len(series))
		}
		return err
	}))
	for _, s := range series {
		for name, value := range labels {
			assert.Equal(t, value, s[name], "%s of %v", name, s)
		}
		assert.LessOrEqual(t, len(s), 40, "VictoriaMetrics drops a series of more labels: %v", s)
	}
	t.Logf("%d series, %d data points", len(series), p.requirePoints(t, 0))
}

// testBytes compares lines byte for byte, those included that are not UTF-8, and one that no line of the JSON stream
// API can hold.
func testBytes(t *testing.T, kafka *harness.Kafka) {
	var controls strings.Builder
	for c := byte(1); c < 0x20; c++ {
		if c != '\n' {
			controls.WriteByte(c)
		}
	}
	want := []string{
		"plain",
		"  leading and trailing blanks \t ",
		"controls " + controls.String() + " end",
		"nul \x00 inside",
		"carriage return inside \r and more",
		`{"json":"line","nested":{"a":[1,2,{"b":null}]},"quote":"\""}`,
		"ünïcödé 漢字 😀 \u2028 \u2029 \ufeff \U0010ffff",
		"latin-1 \xe9\xe8 and a lone surrogate \xed\xa0\x80, not UTF-8",
		"every byte above 0x7f: " + string(bytesFrom(0x80)),
		strings.Repeat("long ", 60_000), // 300 kB, over VictoriaLogs' limit of a line
	}
	dir := t.TempDir()
	p := startPipeline(t, kafka, filepath.Join(dir, "*.log"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.log"), []byte(strings.Join(want, "\n")+"\n"), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	var got []string
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		got = got[:0]
		err := p.logs.QueryEach(ctx, "*", func(row harness.LogRow) error {
			got = append(got, row["_msg"])
			assert.Equal(t, wantStream, row["_stream"])
			return nil
		})
		if err == nil && len(got) < len(want) {
			err = fmt.Errorf("%d rows of %d lines", len(got), len(want))
		}
		return err
	})
	assert.NoError(t, err)
	assert.ElementsMatch(t, want, got)
	requireLogsNotDropped(t, p.logs)
}

func bytesFrom(first byte) []byte {
	var all []byte
	for c := int(first); c <= 0xff; c++ {
		all = append(all, byte(c))
	}
	return all
}

// testRestart stops the consumer and then the agent with SIGTERM in mid-stream and starts each again.
func testRestart(t *testing.T, kafka *harness.Kafka) {
	writer := startWriter(t, harness.LogWriterOptions{Files: 2, Rate: 2000, Payload: payload})
	p := startPipeline(t, kafka, writer.Glob())
	require.NoError(t, writer.Start())
	scraped := 0
	for _, part := range []*harness.Breakwater{p.consumer, p.agent} {
		written := writer.Written()
		waitWritten(t, writer, written+5000)
		scraped = scrapedPoints(t, p.agent)
		require.NoError(t, part.Stop(t.Context()), part.Name())
		waitWritten(t, writer, writer.Written()+5000)
		require.NoError(t, part.Start(t.Context()), part.Name())
	}
	waitWritten(t, writer, writer.Written()+5000)
	require.NoError(t, writer.Stop())
	requireAll(t, p.logs, writer)
	p.requirePoints(t, scraped)
}

// testBackendOutage stops both backends for longer than any default timeout.
func testBackendOutage(t *testing.T, kafka *harness.Kafka) {
	writer := startWriter(t, harness.LogWriterOptions{Files: 2, Rate: 1000, Payload: payload})
	p := startPipeline(t, kafka, writer.Glob())
	require.NoError(t, writer.Start())
	waitWritten(t, writer, 3000)
	require.NoError(t, p.logs.Stop(t.Context()))
	require.NoError(t, p.metrics.Stop(t.Context()))
	waitWritten(t, writer, writer.Written()+int64(outage.Seconds()*1000))
	require.NoError(t, p.logs.Start(t.Context()))
	require.NoError(t, p.metrics.Start(t.Context()))
	waitWritten(t, writer, writer.Written()+3000)
	require.NoError(t, writer.Stop())
	requireAll(t, p.logs, writer)
	requireLogsNotDropped(t, p.logs)
	t.Logf("%d data points", p.requirePoints(t, 0))
}

// testKafkaOutage stops all brokers while lines are written, and kills the agent in the outage.
func testKafkaOutage(t *testing.T, kafka *harness.Kafka) {
	writer := startWriter(t, harness.LogWriterOptions{Files: 2, Rate: 1000, Payload: payload})
	p := startPipeline(t, kafka, writer.Glob())
	require.NoError(t, writer.Start())
	waitWritten(t, writer, 3000)
	require.NoError(t, kafka.Stop(t.Context()))
	down := writer.Written()
	waitWritten(t, writer, down+5000)
	// The disk queue is all that holds these lines now.
	scraped := scrapedPoints(t, p.agent)
	require.NoError(t, p.agent.Kill())
	require.NoError(t, p.agent.Start(t.Context()))
	waitWritten(t, writer, down+int64(outage.Seconds()*1000))
	require.NoError(t, kafka.Start(t.Context()))
	waitWritten(t, writer, writer.Written()+3000)
	require.NoError(t, writer.Stop())
	requireAll(t, p.logs, writer)
	p.requirePoints(t, scraped)
}

// waitWritten waits until the writer, which writes at a rate, has written that many lines: the clock of these tests.
func waitWritten(t *testing.T, writer *harness.LogWriter, lines int64) {
	require.NoError(t, harness.Eventually(t.Context(), 50*time.Millisecond, func(context.Context) error {
		if written := writer.Written(); written < lines {
			return fmt.Errorf("%d of %d lines are written", written, lines)
		}
		return nil
	}))
}
