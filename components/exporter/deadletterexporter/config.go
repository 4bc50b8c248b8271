package deadletterexporter

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

// Config of the dead_letter_store exporter.
type Config struct {
	// Kafka is the client; it is not made when there is no `topic`.
	Kafka configkafka.ClientConfig `mapstructure:",squash"`
	// Store says where letters go: `topic`, `directory`, `max_message_bytes`, `max_file_bytes`.
	Store deadletter.Config `mapstructure:",squash"`
	// RetryConfig retries without end unless `max_elapsed_time` is set.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}
