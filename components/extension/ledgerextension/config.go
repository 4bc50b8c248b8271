package ledgerextension

import (
	"errors"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"go.opentelemetry.io/collector/component"
)

// Config of the ledger extension.
type Config struct {
	// ClientConfig holds brokers, authentication, TLS and metadata settings.
	configkafka.ClientConfig `mapstructure:",squash"`
	// Topic holds the account of all consumers. It is compacted, and has one partition.
	Topic string `mapstructure:"topic"`
	// GapAfter is how long records may be missing until that is an error.
	GapAfter time.Duration `mapstructure:"gap_after"`
	// WriteTimeout is how long the commit of offsets waits for the account of what they commit.
	WriteTimeout time.Duration `mapstructure:"write_timeout"`
}

const (
	defaultTopic        = "breakwater-ledger-v1"
	defaultGapAfter     = 5 * time.Minute
	defaultWriteTimeout = time.Second
)

func createDefaultConfig() component.Config {
	return &Config{
		ClientConfig: configkafka.NewDefaultClientConfig(), Topic: defaultTopic, GapAfter: defaultGapAfter, WriteTimeout: defaultWriteTimeout,
	}
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.Topic == "" {
		errs = append(errs, errors.New("`topic` must not be empty"))
	}
	if c.GapAfter <= 0 {
		errs = append(errs, errors.New("`gap_after` must be positive"))
	}
	if c.WriteTimeout <= 0 {
		errs = append(errs, errors.New("`write_timeout` must be positive"))
	}
	return errors.Join(errs...)
}
