package durablekafkaexporter

import (
	"context"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
)

// NewFactory returns the factory of the durable_kafka exporter. Its configuration is that of upstream's kafka exporter,
// with defaults that lose nothing.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithLogs(createLogs, metadata.LogsStability),
		exporter.WithMetrics(createMetrics, metadata.MetricsStability),
		exporter.WithTraces(createTraces, metadata.TracesStability),
	)
}

var upstream = kafkaexporter.NewFactory()

func createDefaultConfig() component.Config {
	cfg := upstream.CreateDefaultConfig().(*kafkaexporter.Config)
	// One attempt to hand a message over.
	cfg.TimeoutSettings.Timeout = 10 * time.Second
	// Without end: by default a batch is deleted after 5 min.
	cfg.InitialInterval = time.Second
	cfg.MaxElapsedTime = 0
	// Of all in-sync replicas. By default of the leader alone, which also turns the idempotent producer off.
	cfg.Producer.RequiredAcks = configkafka.WaitForAll
	// A broker would create the topic with its own partitions, replicas and retention.
	cfg.Producer.AllowAutoTopicCreation = false
	return cfg
}

func createLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	cfg := config.(*kafkaexporter.Config)
	d, err := newDurable(set, cfg, upstream.CreateLogs, exporter.Logs.ConsumeLogs)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, cfg, d.push, options(cfg, d, xexporterhelper.NewLogsQueueBatchSettings())...)
}

func createMetrics(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Metrics, error) {
	cfg := config.(*kafkaexporter.Config)
	d, err := newDurable(set, cfg, upstream.CreateMetrics, exporter.Metrics.ConsumeMetrics)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewMetrics(ctx, set, cfg, d.push, options(cfg, d, xexporterhelper.NewMetricsQueueBatchSettings())...)
}

func createTraces(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Traces, error) {
	cfg := config.(*kafkaexporter.Config)
	d, err := newDurable(set, cfg, upstream.CreateTraces, exporter.Traces.ConsumeTraces)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewTraces(ctx, set, cfg, d.push, options(cfg, d, xexporterhelper.NewTracesQueueBatchSettings())...)
}

// lifecycle is what options need of a durable of any signal.
type lifecycle interface {
	start(context.Context, component.Host) error
	shutdown(context.Context) error
}

func options(cfg *kafkaexporter.Config, l lifecycle, queue xexporterhelper.QueueBatchSettings) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The exporter within has the timeout.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(cfg.BackOffConfig),
		xexporterhelper.WithQueueBatch(cfg.QueueBatchConfig, queue),
		exporterhelper.WithStart(l.start),
		exporterhelper.WithShutdown(l.shutdown),
	}
}
