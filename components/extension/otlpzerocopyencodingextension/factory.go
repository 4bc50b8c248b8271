package otlpzerocopyencodingextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/breakwater-otel/breakwater/components/extension/otlpzerocopyencodingextension/internal/metadata"
)

// NewFactory returns the factory of the otlp_zero_copy_encoding extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, createExtension, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{}
}

func createExtension(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
	return &zeroCopyExtension{}, nil
}
