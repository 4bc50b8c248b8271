package durablekafkareceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

// NewFactory returns the factory of the durable_kafka receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
		receiver.WithMetrics(createMetrics, metadata.MetricsStability),
		receiver.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createDefaultConfig() component.Config {
	group := configkafka.NewDefaultConsumerConfig()
	// Upstream's latest skips what is in a partition that the group reads for the first time.
	group.InitialOffset = configkafka.EarliestOffset
	group.GroupRebalanceStrategy = configkafka.CooperativeStickyBalanceStrategy
	// A response is held, decompressed, for each broker: small ones keep memory low, and one partition does not
	// fill them.
	group.MaxFetchSize = 1 << 20
	group.MaxPartitionFetchSize = 512 << 10

	backOff := configretry.NewDefaultBackOffConfig()
	backOff.InitialInterval = time.Second
	backOff.MaxInterval = 30 * time.Second
	backOff.MaxElapsedTime = 0

	return &Config{
		ClientConfig:            configkafka.NewDefaultClientConfig(),
		ConsumerConfig:          group,
		Logs:                    TopicEncodingConfig{Topics: []string{"otlp_logs"}, Encoding: encodingOTLPProto},
		Metrics:                 TopicEncodingConfig{Topics: []string{"otlp_metrics"}, Encoding: encodingOTLPProto},
		Traces:                  TopicEncodingConfig{Topics: []string{"otlp_spans"}, Encoding: encodingOTLPProto},
		ErrorBackOff:            backOff,
		MaxInFlightBytes:        16 << 20,
		MaxUnsettledMessages:    2_000_000,
		MaxConcurrentDeliveries: 4,
		Merge: MergeConfig{
			Enabled:         true,
			MaxMessageBytes: 64 << 10,
			MaxBytes:        1 << 20,
			MaxMessages:     8192,
			Linger:          200 * time.Millisecond,
		},
		ShutdownTimeout: 20 * time.Second,
	}
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	config := cfg.(*Config)
	return newReceiver(config, config.Logs, set, func(host component.Host) (signal, error) {
		return newLogsSignal(config, set, host, next)
	})
}

func createMetrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	config := cfg.(*Config)
	return newReceiver(config, config.Metrics, set, func(host component.Host) (signal, error) {
		return newMetricsSignal(config, set, host, next)
	})
}

func createTraces(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
	config := cfg.(*Config)
	return newReceiver(config, config.Traces, set, func(host component.Host) (signal, error) {
		return newTracesSignal(config, set, host, next)
	})
}
