package recordfilereceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/recordfilereceiver/internal/metadata"
)

// NewFactory returns the factory of the record_file receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		Format:             formatPlain,
		Multiline:          []string{"java", "python", "go", "node"},
		ContainerLabels:    []string{"*"},
		StartAt:            "beginning",
		PollInterval:       200 * time.Millisecond,
		ForceFlushPeriod:   2 * time.Second,
		MaxRecordBytes:     1 << 20,
		MaxConcurrentFiles: 128,
		RetryOnFailure:     handon.DefaultBackOff(),
		ShutdownTimeout:    20 * time.Second,
	}
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(cfg.(*Config), set, next)
}
