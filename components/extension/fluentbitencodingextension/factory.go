package fluentbitencodingextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/breakwater-otel/breakwater/components/extension/fluentbitencodingextension/internal/metadata"
)

// NewFactory returns the factory of the fluent_bit_encoding extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, createExtension, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{
		// Timestamp_Key of the Kafka output, of which `@timestamp` is the default, and json_date_key of the others.
		TimeKeys:      []string{"@timestamp", "date"},
		OnInvalidTime: TimeReject,
		MessageKeys:   []string{"log", "message", "msg"},
		// What is the same for many records of one agent: the label set, and what Fluent Bit's inputs and filters say of
		// the container, pod or file.
		Labels: []string{
			"stream", "service_name", "service_namespace", "host_name", "env", "site_name", "job",
			"hostname", "container_id", "container_name", "source", "docker", "kubernetes",
			"filepath", "log.file.name", "log.file.path",
		},
		Flatten: true,
	}
}

func createExtension(_ context.Context, _ extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(cfg.(*Config)), nil
}
