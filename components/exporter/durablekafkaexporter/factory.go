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
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

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
	return &Config{Kafka: *cfg, Ledger: LedgerConfig{Enabled: true}}
}

type logsExporter struct {
	exporter.Logs
	*durable[plog.Logs, exporter.Logs]
}

// Start starts the exporter and its queue.
func (e *logsExporter) Start(ctx context.Context, host component.Host) error {
	return e.startQueued(ctx, host, e.Logs.Start)
}

// Shutdown ends both.
func (e *logsExporter) Shutdown(ctx context.Context) error {
	return e.shutdownQueued(ctx, e.Logs.Shutdown)
}

// ConsumeLogs returns nil when the queue has the logs.
func (e *logsExporter) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	return e.stamped(ctx, logs, e.Logs.ConsumeLogs)
}

func createLogs(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
	cfg := config.(*Config)
	d, err := newDurable(set, cfg, logsSignal(), upstream.CreateLogs, exporter.Logs.ConsumeLogs)
	if err != nil {
		return nil, err
	}
	outer, err := xexporterhelper.NewLogsRequest(ctx, set, d.convert, d.send, options(cfg, d, d.signalOf)...)
	return &logsExporter{outer, d}, err
}

type metricsExporter struct {
	exporter.Metrics
	*durable[pmetric.Metrics, exporter.Metrics]
}

// Start starts the exporter and its queue.
func (e *metricsExporter) Start(ctx context.Context, host component.Host) error {
	return e.startQueued(ctx, host, e.Metrics.Start)
}

// Shutdown ends both.
func (e *metricsExporter) Shutdown(ctx context.Context) error {
	return e.shutdownQueued(ctx, e.Metrics.Shutdown)
}

// ConsumeMetrics returns nil when the queue has the metrics.
func (e *metricsExporter) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	return e.stamped(ctx, metrics, e.Metrics.ConsumeMetrics)
}

func createMetrics(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Metrics, error) {
	cfg := config.(*Config)
	d, err := newDurable(set, cfg, metricsSignal(), upstream.CreateMetrics, exporter.Metrics.ConsumeMetrics)
	if err != nil {
		return nil, err
	}
	outer, err := xexporterhelper.NewMetricsRequest(ctx, set, d.convert, d.send, options(cfg, d, d.signalOf)...)
	return &metricsExporter{outer, d}, err
}

type tracesExporter struct {
	exporter.Traces
	*durable[ptrace.Traces, exporter.Traces]
}

// Start starts the exporter and its queue.
func (e *tracesExporter) Start(ctx context.Context, host component.Host) error {
	return e.startQueued(ctx, host, e.Traces.Start)
}

// Shutdown ends both.
func (e *tracesExporter) Shutdown(ctx context.Context) error {
	return e.shutdownQueued(ctx, e.Traces.Shutdown)
}

// ConsumeTraces returns nil when the queue has the traces.
func (e *tracesExporter) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	return e.stamped(ctx, traces, e.Traces.ConsumeTraces)
}

func createTraces(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Traces, error) {
	cfg := config.(*Config)
	d, err := newDurable(set, cfg, tracesSignal(), upstream.CreateTraces, exporter.Traces.ConsumeTraces)
	if err != nil {
		return nil, err
	}
	outer, err := xexporterhelper.NewTracesRequest(ctx, set, d.convert, d.send, options(cfg, d, d.signalOf)...)
	return &tracesExporter{outer, d}, err
}

// lifecycle is what options need of a durable of any signal.
type lifecycle interface {
	start(context.Context, component.Host) error
	shutdown(context.Context) error
}

func options[T any](cfg *Config, l lifecycle, signal *signalOf[T]) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The exporter within has the timeout.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(cfg.Kafka.BackOffConfig),
		xexporterhelper.WithQueueBatch(cfg.Kafka.QueueBatchConfig, xexporterhelper.QueueBatchSettings{
			Encoding: encoding[T]{signal}, ReferenceCounter: referenceCounter[T]{},
		}),
		exporterhelper.WithStart(l.start),
		exporterhelper.WithShutdown(l.shutdown),
	}
}
