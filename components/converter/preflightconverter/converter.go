// Package preflightconverter looks, while the configuration is read, for mistakes that upstream components report late,
// without the name of the setting, or not at all. It changes nothing.
package preflightconverter // import "github.com/breakwater-otel/breakwater/components/converter/preflightconverter"

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
)

// NewFactory returns the factory of the converter.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(set confmap.ConverterSettings) confmap.Converter {
		return &converter{logger: set.Logger}
	})
}

type converter struct {
	logger *zap.Logger
}

// Convert returns an error that names each setting with a mistake.
func (c *converter) Convert(ctx context.Context, conf *confmap.Conf) error {
	errs := []error{
		checkStorage(conf, c.logger), checkRemoteWrite(conf),
		checkTLS(conf, c.logger), checkAuth(conf, c.logger), checkUnused(conf, os.Getenv),
	}
	if validated != nil {
		errs = append(errs, checkLossless(ctx, conf, validated, stderr))
	}
	return errors.Join(errs...)
}
