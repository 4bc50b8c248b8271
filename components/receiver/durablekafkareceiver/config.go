package durablekafkareceiver

import (
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

// Config of the durable_kafka receiver: that of upstream's kafka receiver and more.
type Config struct {
	// ClientConfig holds brokers, authentication, TLS and metadata settings.
	configkafka.ClientConfig `mapstructure:",squash"`
	// ConsumerConfig holds the group, its timeouts and the fetch sizes. `autocommit` has no effect.
	configkafka.ConsumerConfig `mapstructure:",squash"`

	// Logs says what is read by a pipeline of logs.
	Logs TopicEncodingConfig `mapstructure:"logs"`
	// Metrics says what is read by a pipeline of metrics.
	Metrics TopicEncodingConfig `mapstructure:"metrics"`
	// Traces says what is read by a pipeline of traces.
	Traces TopicEncodingConfig `mapstructure:"traces"`

	// MessageMarking is accepted for the sake of upstream's configurations and has no effect.
	MessageMarking MessageMarkingConfig `mapstructure:"message_marking"`
	// HeaderExtraction copies headers of messages to resource attributes.
	HeaderExtraction HeaderExtractionConfig `mapstructure:"header_extraction"`
	// ErrorBackOff is the wait between attempts at a delivery. It has no end.
	ErrorBackOff configretry.BackOffConfig `mapstructure:"error_backoff"`
	// Telemetry is accepted for the sake of upstream's configurations and has no effect.
	Telemetry TelemetryConfig `mapstructure:"telemetry"`

	// Durability says who knows what the backends have on disk. Without it an acknowledged delivery is settled.
	Durability configoptional.Optional[DurabilityConfig] `mapstructure:"durability"`
	// Ledger says who keeps the account of the records that agents have stamped. Without it nobody does.
	Ledger configoptional.Optional[LedgerConfig] `mapstructure:"ledger"`
	// MaxInFlightBytes bounds what is queued and being delivered, of all partitions, decompressed.
	MaxInFlightBytes int64 `mapstructure:"max_in_flight_bytes"`
	// MaxUnsettledMessages bounds the offsets of a partition between the committed one and the last one sent.
	MaxUnsettledMessages int64 `mapstructure:"max_unsettled_messages"`
	// MaxConcurrentDeliveries is how many requests of a partition are on their way at a time.
	MaxConcurrentDeliveries int `mapstructure:"max_concurrent_deliveries"`
	// Merge makes one request of many small messages.
	Merge MergeConfig `mapstructure:"merge"`
	// DeadLetter keeps messages that cannot be decoded. Without it such a message stops its partition.
	DeadLetter configoptional.Optional[deadletter.Config] `mapstructure:"dead_letter"`
	// StartAt is where a partition begins that the group has no commit for.
	StartAt PlaceConfig `mapstructure:"start_at"`
	// Until is where reading ends.
	Until PlaceConfig `mapstructure:"until"`
	// Replay is about what is read a second time, that is where StartAt or Until is set.
	Replay ReplayConfig `mapstructure:"replay"`
	// ShutdownTimeout is how long deliveries may take to finish at shutdown.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// TopicEncodingConfig says what is read for a signal.
type TopicEncodingConfig struct {
	// Topics are names, or patterns where they begin with ^.
	Topics []string `mapstructure:"topics"`
	// ExcludeTopics are patterns of topics that are not read although a pattern of Topics matches.
	ExcludeTopics []string `mapstructure:"exclude_topics"`
	// Encoding is that of the messages, or the ID of an encoding extension.
	Encoding string `mapstructure:"encoding"`
}

// MessageMarkingConfig is upstream's.
type MessageMarkingConfig struct {
	// After has no effect.
	After bool `mapstructure:"after"`
	// OnError has no effect.
	OnError bool `mapstructure:"on_error"`
	// OnPermanentError has no effect.
	OnPermanentError bool `mapstructure:"on_permanent_error"`
}

// HeaderExtractionConfig names the headers that become resource attributes `kafka.header.<name>`.
type HeaderExtractionConfig struct {
	// ExtractHeaders copies them.
	ExtractHeaders bool `mapstructure:"extract_headers"`
	// Headers are the names of those that are copied.
	Headers []string `mapstructure:"headers"`
}

// TelemetryConfig is upstream's.
type TelemetryConfig struct {
	// Metrics has no effect.
	Metrics MetricsConfig `mapstructure:"metrics"`
}

// MetricsConfig is upstream's.
type MetricsConfig struct {
	// KafkaReceiverRecordsDelay has no effect.
	KafkaReceiverRecordsDelay MetricConfig `mapstructure:"kafka_receiver_records_delay"`
}

// MetricConfig is upstream's.
type MetricConfig struct {
	// Enabled has no effect.
	Enabled bool `mapstructure:"enabled"`
}

// DurabilityConfig names the backends that have to have the data on disk.
type DurabilityConfig struct {
	// Extension is the ID of a durability extension.
	Extension component.ID `mapstructure:"extension"`
	// Backends are names of its configuration. None: all of them.
	Backends []string `mapstructure:"backends"`
}

// MergeConfig says which messages are merged and how far.
type MergeConfig struct {
	// Enabled merges them.
	Enabled bool `mapstructure:"enabled"`
	// MaxMessageBytes is the size up to which a message is merged with its neighbours.
	MaxMessageBytes int `mapstructure:"max_message_bytes"`
	// MaxBytes and MaxMessages bound a request.
	MaxBytes    int `mapstructure:"max_bytes"`
	MaxMessages int `mapstructure:"max_messages"`
	// Linger is how long a request waits for more messages.
	Linger time.Duration `mapstructure:"linger"`
}

// PlaceConfig is a place in a topic: a time, or offsets.
type PlaceConfig struct {
	// Time is RFC 3339; `until` takes `now`, too. Empty: not set.
	Time string `mapstructure:"time"`
	// Offsets are by partition. Of partitions that it lacks nothing is read.
	Offsets map[string]int64 `mapstructure:"offsets"`
}

// ReplayConfig names a replay.
type ReplayConfig struct {
	// ID is another one for each replay, also of the same messages by the same group. Empty: `group_id`.
	ID string `mapstructure:"id"`
}

// Unmarshal takes a time without quotes, too, which YAML makes a timestamp of.
func (p *PlaceConfig) Unmarshal(conf *confmap.Conf) error {
	if at, ok := conf.Get("time").(time.Time); ok {
		text := map[string]any{"time": at.Format(time.RFC3339Nano)}
		if err := conf.Merge(confmap.NewFromStringMap(text)); err != nil {
			return err
		}
	}
	return conf.Unmarshal(p)
}

// set reports whether there is a place.
func (p PlaceConfig) set() bool { return p.Time != "" || len(p.Offsets) > 0 }

// replayID is what the replay is known by.
func (c *Config) replayID() string {
	if c.Replay.ID != "" {
		return c.Replay.ID
	}
	return c.GroupID
}

// untilNow is the time of `until` that stands for the end of the topic when it is assigned.
const untilNow = "now"
