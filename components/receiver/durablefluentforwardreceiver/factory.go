package durablefluentforwardreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/durablefluentforwardreceiver/internal/metadata"
)

// NewFactory returns the factory of the durable_fluent_forward receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		AddrConfig:      confignet.AddrConfig{Endpoint: "127.0.0.1:24224", Transport: confignet.TransportTypeTCP},
		MaxMessageBytes: 32 << 20,
		RetryOnFailure:  handon.DefaultBackOff(),
		ShutdownTimeout: 20 * time.Second,
	}
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(cfg.(*Config), set, next)
}
