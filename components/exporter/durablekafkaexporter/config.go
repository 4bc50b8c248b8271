package durablekafkaexporter

import (
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// Config of the durable_kafka exporter: that of upstream's kafka exporter and more.
type Config struct {
	Kafka kafkaexporter.Config `mapstructure:",squash"`
	// Ledger is about the numbers that records get, by which a consumer knows what is missing.
	Ledger LedgerConfig `mapstructure:"ledger"`
}

// LedgerConfig is about the delivery ledger.
type LedgerConfig struct {
	// Enabled has the records numbered.
	Enabled bool `mapstructure:"enabled"`
	// Agent is the name of this agent in the ledger. Empty: the name of the host.
	Agent string `mapstructure:"agent"`
}

var _ xconfmap.Validator = (*LedgerConfig)(nil)

// maxAgentBytes is what a stamp has room for.
const maxAgentBytes = 255

// Validate holds that the name of the agent fits into a stamp.
func (c *LedgerConfig) Validate() error {
	if n := len(c.Agent); n > maxAgentBytes {
		return fmt.Errorf("`agent` has %d bytes; the ledger takes up to %d", n, maxAgentBytes)
	}
	return nil
}
