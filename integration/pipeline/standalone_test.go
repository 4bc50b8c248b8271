package pipeline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestStandalone holds the profile without Kafka: both backends are down for a while, and the process is killed and
// started in the outage.
func TestStandalone(t *testing.T) {
	writer := startWriter(t, harness.LogWriterOptions{Files: 2, Rate: 1000, Payload: payload})
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	breakwater := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "standalone",
		Configs: []string{"configs/standalone.yaml"},
		Env: merge(labelEnv, map[string]string{
			"LOG_INCLUDE":              writer.Glob(),
			"VICTORIALOGS_ENDPOINT":    logs.URL(),
			"VICTORIAMETRICS_ENDPOINT": metrics.URL(),
		}),
	})
	require.NoError(t, writer.Start())
	waitWritten(t, writer, 3000)
	require.NoError(t, logs.Stop(t.Context()))
	require.NoError(t, metrics.Stop(t.Context()))
	down := writer.Written()
	waitWritten(t, writer, down+5000)
	scraped := scrapedPoints(t, breakwater)
	require.NoError(t, breakwater.Kill())
	require.NoError(t, breakwater.Start(t.Context()))
	waitWritten(t, writer, down+int64(outage.Seconds()*1000))
	require.NoError(t, logs.Start(t.Context()))
	require.NoError(t, metrics.Start(t.Context()))
	waitWritten(t, writer, writer.Written()+3000)
	require.NoError(t, writer.Stop())

	requireAll(t, logs, writer)
	requireLogsNotDropped(t, logs)
	inStream, err := logs.CountUniq(t.Context(), wantStream, "_msg")
	require.NoError(t, err)
	assert.Equal(t, writer.Written(), inStream)

	// Every scrape: those of before the outage, of within it on both sides of the kill, and of after it.
	scraped += scrapedPoints(t, breakwater)
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		series, err := metrics.Export(ctx, `{__name__=~"system_.*"}`)
		if err != nil {
			return err
		}
		samples := 0
		for _, s := range series {
			samples += len(s.Values)
			for name, value := range labels {
				assert.Equal(t, value, s.Labels[name], "%s of %v", name, s.Labels)
			}
		}
		if len(series) < 50 || samples < scraped {
			return fmt.Errorf("%d series, %d samples of at least %d data points", len(series), samples, scraped)
		}
		return nil
	}))
}
