package victorialogsexporter

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

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadata"
)

// NewFactory returns the factory of the victorialogs exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	// Below the server's -insert.maxQueueDuration (1 min): a request that waits that long for a free insert slot is
	// answered 200 by VictoriaLogs v1.25 and nothing of it is stored. The client has to give up, and retry, first.
	client.Timeout = 30 * time.Second
	// Compression costs the consumer more than the network beside the backend saves; a remote agent can set it.
	client.Compression = "none"
	client.WriteBufferSize = 512 * 1024

	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxElapsedTime = 0 // without end: a limit here deletes records

	return &Config{
		ClientConfig:   client,
		QueueConfig:    configoptional.Default(exporterhelper.NewDefaultQueueConfig()),
		RetryConfig:    retry,
		MessageKeys:    []string{"log", "message", "msg"},
		DefaultMessage: "-",
		TimeSource:     TimeFromTimestamp,
		Limits: LimitsConfig{
			MaxLineBytes:      defaultMaxLineBytes,
			MaxFields:         defaultMaxFields,
			MaxFieldNameBytes: defaultMaxFieldNameBytes,
			MaxStreamBytes:    defaultMaxStreamBytes,
			MaxRowBytes:       defaultMaxRowBytes,
			MaxDepth:          defaultMaxDepth,
			MaxFuture:         defaultMaxFuture,
			MaxPast:           defaultMaxPast,
		},
		OnViolation: ViolationConfig{
			LineBytes:      ActionOTLP,
			RowBytes:       ActionReject,
			FieldCount:     ActionStringify,
			FieldNameBytes: ActionStringify,
			StreamBytes:    ActionStringify,
			Depth:          ActionStringify,
			Future:         ActionClamp,
			Past:           ActionClamp,
			Tenant:         ActionReject,
		},
		Idempotency: IdempotencyConfig{
			Enabled:         true,
			Field:           "delivery_id",
			Timeout:         10 * time.Second,
			VisibilityDelay: 5 * time.Second,
		},
	}
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	config := cfg.(*Config)
	e, err := newExporter(config, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, cfg, e.pushLogs,
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// `timeout` is that of the HTTP client.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(config.RetryConfig),
		exporterhelper.WithQueue(config.QueueConfig),
	)
}
