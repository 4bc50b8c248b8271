package monitoring

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestStopWithoutBackends holds that what a consumer scrapes does not hold up its stop while there is nobody to take it.
func TestStopWithoutBackends(t *testing.T) {
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	consumer := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer",
		Configs: []string{
			"configs/consumer.yaml", "configs/consumer.d/kafka-metrics.yaml",
			"configs/consumer.d/victorialogs-metrics.yaml", "configs/consumer.d/victoriametrics-metrics.yaml",
		},
		Env: map[string]string{
			"KAFKA_BROKERS": kafka.BootstrapServers(), "METRICS_INTERVAL": "1s",
			"VICTORIALOGS_ENDPOINT": "http://127.0.0.1:1", "VICTORIAMETRICS_ENDPOINT": "http://127.0.0.1:1",
		},
		// Twice the time that a scrape may wait, and some for a busy machine.
		StopTimeout: 15 * time.Second,
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		own, err := consumer.Metrics(ctx)
		if err == nil && !own.Has("otelcol_connector_dead_letter_returned_requests") {
			err = errors.New("no scrape has been given up on")
		}
		return err
	}))
	require.NoError(t, consumer.Stop(t.Context()))
}
