// Package secretfileprovider reads a secret of the configuration from a file: `${secretfile:env:NAME}`, where the
// environment variable has the path, or `${secretfile:/path}`.
//
// The provider of files that the collector has takes the content for YAML and a part of the configuration: a line
// break at its end belongs to the password then, `a: b` is a map that an error message prints, and `${…}` in it is
// looked up.
package secretfileprovider // import "github.com/breakwater-otel/breakwater/components/provider/secretfileprovider"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/internal/secretfile"
)

const (
	scheme         = "secretfile"
	variablePrefix = "env:"
)

// NewFactory returns the factory of the provider.
func NewFactory() confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(set confmap.ProviderSettings) confmap.Provider {
		return &provider{logger: set.Logger}
	})
}

type provider struct {
	logger *zap.Logger
}

// Scheme is what a reference begins with.
func (p *provider) Scheme() string { return scheme }

// Retrieve returns the content of the file as a string, whatever it looks like. Its errors name the file or the
// variable, and hold nothing of the content.
func (p *provider) Retrieve(_ context.Context, uri string, _ confmap.WatcherFunc) (*confmap.Retrieved, error) {
	place, found := strings.CutPrefix(uri, scheme+":")
	if !found {
		return nil, fmt.Errorf("%q is not supported by the %q provider", uri, scheme)
	}
	var secret secretfile.Secret
	var err error
	if name, isVariable := strings.CutPrefix(place, variablePrefix); isVariable {
		secret, err = secretfile.ReadVariable(name, os.Getenv)
	} else if place == "" {
		err = errors.New("`${secretfile:}` names no file")
	} else {
		secret, err = secretfile.Read(place)
	}
	if err != nil {
		return nil, err
	}
	if secret.Exposed {
		p.logger.Warn("Every user of this machine may read a file with a secret; chmod o-r it", zap.String("file", place))
	}
	// What the resolver is given it searches for references, and makes $$ one dollar sign.
	return confmap.NewRetrieved(strings.ReplaceAll(secret.Value, "$", "$$"))
}

// Shutdown has nothing to do.
func (p *provider) Shutdown(context.Context) error { return nil }
