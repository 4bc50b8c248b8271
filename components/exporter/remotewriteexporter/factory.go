package remotewriteexporter

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/breakwater-otel/breakwater/components/exporter/remotewriteexporter/internal/metadata"
)

// NewFactory returns the factory of the remote_write exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithMetrics(createMetrics, metadata.MetricsStability),
	)
}

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 30 * time.Second
	client.Compression = compressionSnappy
	client.WriteBufferSize = 512 * 1024

	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxElapsedTime = 0 // without end: a limit here deletes data points

	return &Config{
		ClientConfig:          client,
		QueueConfig:           configoptional.Default(exporterhelper.NewDefaultQueueConfig()),
		RetryConfig:           retry,
		MaxRequestBytes:       defaultMaxRequestBytes,
		Concurrency:           defaultConcurrency,
		ExternalLabels:        map[string]string{},
		AddMetricSuffixes:     true,
		DisableScopeInfo:      true,
		ResourceToTelemetry:   ResourceToTelemetryConfig{Enabled: true},
		Delta:                 DeltaReject,
		ExponentialHistograms: ExponentialHistogramReject,
		NaN:                   NaNReject,
		Limits: LimitsConfig{
			MaxLabels:          defaultMaxLabels,
			MaxLabelNameBytes:  defaultMaxLabelNameBytes,
			MaxLabelValueBytes: defaultMaxLabelValueBytes,
			MaxPast:            defaultMaxPast,
			MaxFuture:          defaultMaxFuture,
		},
	}
}

func createMetrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	config := cfg.(*Config)
	e, err := newExporter(config, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewMetrics(ctx, set, cfg, e.pushMetrics,
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// `timeout` is that of one attempt, by the HTTP client.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(config.RetryConfig),
		exporterhelper.WithQueue(config.QueueConfig),
	)
}
