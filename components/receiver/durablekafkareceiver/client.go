package durablekafkareceiver

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/kafkaclient"
)

// ClientOptions returns the options of a client of the same cluster: brokers, identity, TLS and authentication. The
// host has the extensions that the authentication names, if it names any.
func (c *Config) ClientOptions(ctx context.Context, host component.Host, logger *zap.Logger) ([]kgo.Opt, error) {
	return kafkaclient.Options(ctx, host, c.ClientConfig, logger)
}
