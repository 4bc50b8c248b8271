package losslessextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/breakwater-otel/breakwater/components/extension/losslessextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// Config of the lossless extension.
type Config = lossless.Config

// NewFactory returns the factory of the lossless extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, createExtension, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	config := lossless.DefaultConfig()
	return &config
}

func createExtension(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(cfg.(*Config), set)
}
