package durablejournalreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/durablejournalreceiver/internal/metadata"
)

// NewFactory returns the factory of the durable_journal receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		JournalctlPath:  "journalctl",
		StartAt:         startAtBeginning,
		MaxBatchRecords: 1000,
		Linger:          200 * time.Millisecond,
		RetryOnFailure:  handon.DefaultBackOff(),
		ShutdownTimeout: 20 * time.Second,
	}
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(cfg.(*Config), set, next)
}
