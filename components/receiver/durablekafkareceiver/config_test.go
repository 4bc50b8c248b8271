package durablekafkareceiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

func load(t *testing.T, name string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	return config
}

func TestConfig(t *testing.T) {
	t.Run("defaults", func(t *testing.T) {
		config := load(t, "durable_kafka")
		assert.Equal(t, createDefaultConfig(), config)
		assert.Equal(t, "earliest", config.InitialOffset)
		assert.EqualValues(t, 1<<20, config.MaxFetchSize)
		assert.EqualValues(t, 512<<10, config.MaxPartitionFetchSize)
		assert.Equal(t, 30*time.Second, config.ErrorBackOff.MaxInterval)
		assert.Zero(t, config.ErrorBackOff.MaxElapsedTime)
	})
	t.Run("all", func(t *testing.T) {
		config := load(t, "durable_kafka/all")
		assert.Equal(t, []string{"a:9092", "b:9092"}, config.Brokers)
		assert.Equal(t, configoptional.Some(DurabilityConfig{Extension: component.MustNewIDWithName("durability", "x"), Backends: []string{"victorialogs"}}), config.Durability)
		assert.EqualValues(t, 1<<20, config.MaxInFlightBytes)
		assert.EqualValues(t, 5000, config.MaxUnsettledMessages)
		assert.Equal(t, 2, config.MaxConcurrentDeliveries)
		assert.Equal(t, MergeConfig{Enabled: true, MaxMessageBytes: 1000, MaxBytes: 100_000, MaxMessages: 500, Linger: time.Second}, config.Merge)
		assert.Equal(t, configoptional.Some(deadletter.Config{Topic: "dlq", Directory: "/var/lib/dlq"}), config.DeadLetter)
		assert.Equal(t, "2026-01-02T03:04:05Z", config.StartAt.Time)
		assert.Equal(t, untilNow, config.Until.Time)
		assert.Equal(t, 5*time.Second, config.ShutdownTimeout)
		assert.Equal(t, TopicEncodingConfig{Topics: []string{"^logs-.*"}, ExcludeTopics: []string{"^logs-x"}, Encoding: "json"}, config.Logs)
	})
	t.Run("times without quotes", func(t *testing.T) {
		config := load(t, "durable_kafka/times")
		assert.Equal(t, "2026-01-02T03:04:05Z", config.StartAt.Time)
		assert.Equal(t, "2026-01-03T03:04:05.5+01:00", config.Until.Time)
	})
	t.Run("offsets", func(t *testing.T) {
		config := load(t, "durable_kafka/offsets")
		assert.Equal(t, map[string]int64{"0": 10, "11": 20}, config.StartAt.Offsets)
		assert.Equal(t, map[string]int64{"0": 15}, config.Until.Offsets)
		assert.Equal(t, "2026-01-02", config.replayID())
	})
	// A configuration of upstream's receiver is taken as it is, and says what has no effect.
	t.Run("upstream", func(t *testing.T) {
		config := load(t, "durable_kafka/upstream")
		core, logs := observer.New(zap.WarnLevel)
		config.warn(zap.New(core))
		for _, setting := range []string{"autocommit", "message_marking", "kafka_receiver_records_delay", "initial_offset"} {
			assert.Equal(t, 1, logs.FilterMessageSnippet(setting).Len(), setting)
		}
	})
}

func TestConfigErrors(t *testing.T) {
	tests := map[string]func(*Config){
		"`logs::topics` must not be empty":                                    func(c *Config) { c.Logs.Topics = nil },
		"`metrics::topics` must not contain an empty name":                    func(c *Config) { c.Metrics.Topics = []string{""} },
		"`traces::encoding` must not be empty":                                func(c *Config) { c.Traces.Encoding = "" },
		"`logs::topics`: error parsing regexp":                                func(c *Config) { c.Logs.Topics = []string{"^("} },
		"`logs::exclude_topics` needs a pattern":                              func(c *Config) { c.Logs.ExcludeTopics = []string{"x"} },
		"`logs::exclude_topics`: error parsing":                               func(c *Config) { c.Logs.Topics, c.Logs.ExcludeTopics = []string{"^a"}, []string{"("} },
		"`logs::exclude_topics` must not contain an empty pattern":            func(c *Config) { c.Logs.Topics, c.Logs.ExcludeTopics = []string{"^a"}, []string{""} },
		"`group_id` must not be empty":                                        func(c *Config) { c.GroupID = "" },
		"`session_timeout` must be positive":                                  func(c *Config) { c.SessionTimeout = 0 },
		"`heartbeat_interval` must be positive and at most half":              func(c *Config) { c.HeartbeatInterval = c.SessionTimeout },
		"`max_in_flight_bytes` must be positive":                              func(c *Config) { c.MaxInFlightBytes = 0 },
		"`max_unsettled_messages` must be positive":                           func(c *Config) { c.MaxUnsettledMessages = -1 },
		"`max_concurrent_deliveries` must be positive":                        func(c *Config) { c.MaxConcurrentDeliveries = 0 },
		"`shutdown_timeout` must be positive":                                 func(c *Config) { c.ShutdownTimeout = 0 },
		"`header_extraction::headers` must not be empty":                      func(c *Config) { c.HeaderExtraction.ExtractHeaders = true },
		"`error_backoff::enabled` must not be false":                          func(c *Config) { c.ErrorBackOff.Enabled = false },
		"`error_backoff::max_elapsed_time` must be 0":                         func(c *Config) { c.ErrorBackOff.MaxElapsedTime = time.Minute },
		"`error_backoff::initial_interval` must be positive":                  func(c *Config) { c.ErrorBackOff.InitialInterval = 0 },
		"`error_backoff::max_interval` must not be less":                      func(c *Config) { c.ErrorBackOff.MaxInterval = time.Millisecond },
		"`error_backoff::multiplier` must be at least 1":                      func(c *Config) { c.ErrorBackOff.Multiplier = 0.5 },
		"`error_backoff::randomization_factor` must be between":               func(c *Config) { c.ErrorBackOff.RandomizationFactor = 2 },
		"`merge::max_message_bytes` must be positive":                         func(c *Config) { c.Merge.MaxMessageBytes = 0 },
		"`merge::max_bytes` must not be less than":                            func(c *Config) { c.Merge.MaxBytes = 1 },
		"`merge::max_messages` must be at least 2":                            func(c *Config) { c.Merge.MaxMessages = 1 },
		"`merge::linger` must not be negative":                                func(c *Config) { c.Merge.Linger = -1 },
		"`start_at::time` must be RFC 3339":                                   func(c *Config) { c.StartAt.Time = "now" },
		"`until::time` must be RFC 3339":                                      func(c *Config) { c.Until.Time = "tomorrow" },
		"`start_at::time` must be before `until::time`":                       func(c *Config) { c.StartAt.Time, c.Until.Time = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z" },
		"`dead_letter::topic` \"otlp_logs\" must not be among `logs::topics`": func(c *Config) { c.DeadLetter = configoptional.Some(deadletter.Config{Topic: "otlp_logs"}) },
		"`dead_letter::topic` \"logs-dlq\" must not be among": func(c *Config) {
			c.Logs.Topics = []string{"^logs"}
			c.DeadLetter = configoptional.Some(deadletter.Config{Topic: "logs-dlq"})
		},
		"`start_at` must have `time` or `offsets`, not both": func(c *Config) {
			c.StartAt = PlaceConfig{Time: "2026-01-02T00:00:00Z", Offsets: map[string]int64{"0": 1}}
		},
		"`start_at::offsets`: \"one\" is not a partition":                  func(c *Config) { c.StartAt.Offsets = map[string]int64{"one": 1} },
		"`until::offsets`: the offset of partition 3 must not be negative": func(c *Config) { c.Until.Offsets = map[string]int64{"3": -1} },
		"`start_at::offsets` must not be after `until::offsets`: 2 and 1 of partition 0": func(c *Config) {
			c.StartAt.Offsets, c.Until.Offsets = map[string]int64{"0": 2}, map[string]int64{"0": 1}
		},
		"need exactly one topic in `logs::topics`": func(c *Config) {
			c.Logs.Topics, c.Until.Offsets = []string{"a", "b"}, map[string]int64{"0": 1}
		},
		"`replay::id` needs `start_at` or `until`": func(c *Config) { c.Replay.ID = "x" },
		"`topic` or `directory` must be set":       func(c *Config) { c.DeadLetter = configoptional.Some(deadletter.Config{}) },
		"initial_offset should be one of":          func(c *Config) { c.InitialOffset = "first" },
	}
	for message, change := range tests {
		t.Run(message, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			change(config)
			require.ErrorContains(t, xconfmap.Validate(config), message)
		})
	}
	t.Run("an excluded dead letter topic is no loop", func(t *testing.T) {
		config := createDefaultConfig().(*Config)
		config.Logs.Topics, config.Logs.ExcludeTopics = []string{"^logs"}, []string{"-dlq$"}
		config.DeadLetter = configoptional.Some(deadletter.Config{Topic: "logs-dlq"})
		require.NoError(t, xconfmap.Validate(config))
	})
}
