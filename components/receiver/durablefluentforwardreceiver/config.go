package durablefluentforwardreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
)

// Config of the durable_fluent_forward receiver.
type Config struct {
	// AddrConfig is where it listens: `endpoint`, and `transport`, which is tcp or unix.
	confignet.AddrConfig `mapstructure:",squash"`
	// TLS is the server's certificate, and whose client certificates it takes.
	TLS configoptional.Optional[configtls.ServerConfig] `mapstructure:"tls"`
	// MaxMessageBytes bounds a message, before and after decompression.
	MaxMessageBytes int `mapstructure:"max_message_bytes"`
	// RetryOnFailure is the wait between attempts to hand records on. It has no end.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// ShutdownTimeout is how long records that are being handed on may take at shutdown.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// Validate names the setting that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.Endpoint == "" {
		errs = append(errs, errors.New("`endpoint` must not be empty"))
	}
	if c.Transport != confignet.TransportTypeTCP && c.Transport != confignet.TransportTypeUnix {
		errs = append(errs, fmt.Errorf("`transport` must be tcp or unix, not `%s`", c.Transport))
	}
	if c.MaxMessageBytes < readBytes {
		errs = append(errs, fmt.Errorf("`max_message_bytes` must be at least %d", readBytes))
	}
	if err := handon.Validate(c.RetryOnFailure); err != nil {
		errs = append(errs, err)
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, errors.New("`shutdown_timeout` must be positive"))
	}
	return errors.Join(errs...)
}
