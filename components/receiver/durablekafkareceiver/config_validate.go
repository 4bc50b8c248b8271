package durablekafkareceiver

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

// Validate reports settings that cannot work, or that would lose data.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	for signal, topics := range c.signals() {
		errs = append(errs, topics.validate(signal))
	}
	check(c.GroupID != "", "`group_id` must not be empty")
	check(c.SessionTimeout > 0, "`session_timeout` must be positive")
	check(c.HeartbeatInterval > 0 && c.HeartbeatInterval <= c.SessionTimeout/2, "`heartbeat_interval` must be positive and at most half of `session_timeout`")
	check(c.MaxInFlightBytes > 0, "`max_in_flight_bytes` must be positive")
	check(c.MaxUnsettledMessages > 0, "`max_unsettled_messages` must be positive")
	check(c.MaxConcurrentDeliveries > 0, "`max_concurrent_deliveries` must be positive")
	check(c.ShutdownTimeout > 0, "`shutdown_timeout` must be positive")
	check(!c.HeaderExtraction.ExtractHeaders || len(c.HeaderExtraction.Headers) > 0, "`header_extraction::headers` must not be empty when `extract_headers` is true")
	errs = append(errs, c.validateBackOff(), c.Merge.validate(), c.validatePlaces(), c.validateDeadLetter())
	return errors.Join(errs...)
}

func (c *Config) signals() map[string]TopicEncodingConfig {
	return map[string]TopicEncodingConfig{"logs": c.Logs, "metrics": c.Metrics, "traces": c.Traces}
}

// validateBackOff refuses what upstream takes: to give up, or to retry in a hot loop.
func (c *Config) validateBackOff() error {
	b := c.ErrorBackOff
	switch {
	case !b.Enabled:
		return errors.New("`error_backoff::enabled` must not be false: a message that is not retried is lost")
	case b.MaxElapsedTime != 0:
		return errors.New("`error_backoff::max_elapsed_time` must be 0: a message that is given up on is lost")
	case b.InitialInterval <= 0:
		return errors.New("`error_backoff::initial_interval` must be positive")
	case b.MaxInterval < b.InitialInterval:
		return errors.New("`error_backoff::max_interval` must not be less than `initial_interval`")
	case b.Multiplier < 1:
		return errors.New("`error_backoff::multiplier` must be at least 1")
	case b.RandomizationFactor < 0 || b.RandomizationFactor > 1:
		return errors.New("`error_backoff::randomization_factor` must be between 0 and 1")
	}
	return nil
}

func (m MergeConfig) validate() error {
	if !m.Enabled {
		return nil
	}
	switch {
	case m.MaxMessageBytes <= 0:
		return errors.New("`merge::max_message_bytes` must be positive")
	case m.MaxBytes < m.MaxMessageBytes:
		return errors.New("`merge::max_bytes` must not be less than `max_message_bytes`")
	case m.MaxMessages < 2:
		return errors.New("`merge::max_messages` must be at least 2")
	case m.Linger < 0:
		return errors.New("`merge::linger` must not be negative")
	}
	return nil
}

func (t TopicEncodingConfig) validate(signal string) error {
	var errs []error
	if len(t.Topics) == 0 {
		errs = append(errs, fmt.Errorf("`%s::topics` must not be empty", signal))
	}
	if t.Encoding == "" {
		errs = append(errs, fmt.Errorf("`%s::encoding` must not be empty", signal))
	}
	for _, topic := range t.Topics {
		if topic == "" {
			errs = append(errs, fmt.Errorf("`%s::topics` must not contain an empty name", signal))
		} else if t.patterns() {
			// The client takes all of them as patterns as soon as one is.
			if _, err := regexp.Compile(topic); err != nil {
				errs = append(errs, fmt.Errorf("`%s::topics`: %w", signal, err))
			}
		}
	}
	if len(t.ExcludeTopics) > 0 && !t.patterns() {
		errs = append(errs, fmt.Errorf("`%s::exclude_topics` needs a pattern (beginning with ^) in `topics`", signal))
	}
	for _, exclude := range t.ExcludeTopics {
		if exclude == "" {
			errs = append(errs, fmt.Errorf("`%s::exclude_topics` must not contain an empty pattern", signal))
		} else if _, err := regexp.Compile(exclude); err != nil {
			errs = append(errs, fmt.Errorf("`%s::exclude_topics`: %w", signal, err))
		}
	}
	return errors.Join(errs...)
}

// patterns reports whether the topics are patterns.
func (t TopicEncodingConfig) patterns() bool {
	return slices.ContainsFunc(t.Topics, func(topic string) bool { return strings.HasPrefix(topic, "^") })
}

// reads reports whether the topic is among those that are read. A pattern that is
// invalid matches nothing; validate reports it.
func (t TopicEncodingConfig) reads(topic string) bool {
	if !t.patterns() {
		return slices.Contains(t.Topics, topic)
	}
	matches := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			re, err := regexp.Compile(pattern)
			return err == nil && re.MatchString(topic)
		})
	}
	return matches(t.Topics) && !matches(t.ExcludeTopics)
}

// validateDeadLetter refuses a loop of dead letters. The default topics of signals
// that the receiver is not used for do no harm: nobody calls a dead letter topic so.
func (c *Config) validateDeadLetter() error {
	dead := c.DeadLetter.Get()
	if dead == nil || dead.Topic == "" {
		return nil
	}
	for signal, topics := range c.signals() {
		if topics.reads(dead.Topic) {
			return fmt.Errorf("`dead_letter::topic` %q must not be among `%s::topics`: its letters would come back", dead.Topic, signal)
		}
	}
	return nil
}

func (c *Config) validatePlaces() error {
	start, startErr := c.StartAt.parse("start_at")
	until := time.Time{}
	var untilErr error
	if c.Until.Time != untilNow {
		until, untilErr = c.Until.parse("until")
	}
	from, fromErr := c.StartAt.partitions("start_at")
	to, toErr := c.Until.partitions("until")
	if err := errors.Join(startErr, untilErr, fromErr, toErr); err != nil {
		return err
	}
	if !start.IsZero() && !until.IsZero() && !start.Before(until) {
		return errors.New("`start_at::time` must be before `until::time`")
	}
	for partition, offset := range from {
		if end, ok := to[partition]; ok && end < offset {
			return fmt.Errorf("`start_at::offsets` must not be after `until::offsets`: %d and %d of partition %d", offset, end, partition)
		}
	}
	if len(from)+len(to) > 0 {
		for signal, topics := range c.signals() {
			if len(topics.Topics) != 1 || topics.patterns() {
				return fmt.Errorf("offsets in `start_at` and `until` need exactly one topic in `%s::topics`", signal)
			}
		}
	}
	if c.Replay.ID != "" && !c.StartAt.set() && !c.Until.set() {
		return errors.New("`replay::id` needs `start_at` or `until`")
	}
	return nil
}

func (p PlaceConfig) parse(setting string) (time.Time, error) {
	if p.Time == "" {
		return time.Time{}, nil
	}
	if len(p.Offsets) > 0 {
		return time.Time{}, fmt.Errorf("`%s` must have `time` or `offsets`, not both", setting)
	}
	at, err := time.Parse(time.RFC3339Nano, p.Time)
	if err != nil {
		return time.Time{}, fmt.Errorf("`%s::time` must be RFC 3339: %w", setting, err)
	}
	return at, nil
}

// partitions returns the offsets by partition.
func (p PlaceConfig) partitions(setting string) (map[int32]int64, error) {
	if len(p.Offsets) == 0 {
		return nil, nil
	}
	offsets := make(map[int32]int64, len(p.Offsets))
	for text, offset := range p.Offsets {
		partition, err := strconv.ParseInt(text, 10, 32)
		if err != nil || partition < 0 {
			return nil, fmt.Errorf("`%s::offsets`: %q is not a partition", setting, text)
		}
		if offset < 0 {
			return nil, fmt.Errorf("`%s::offsets`: the offset of partition %d must not be negative", setting, partition)
		}
		offsets[int32(partition)] = offset
	}
	return offsets, nil
}

// warn logs the settings that mean something upstream and nothing here.
func (c *Config) warn(logger *zap.Logger) {
	if c.AutoCommit != configkafka.NewDefaultConsumerConfig().AutoCommit {
		logger.Warn("`autocommit` has no effect: an offset is committed when everything before it is settled")
	}
	if c.MessageMarking != (MessageMarkingConfig{}) {
		logger.Warn("`message_marking` has no effect: an offset is committed when everything before it is settled")
	}
	if c.Telemetry.Metrics.KafkaReceiverRecordsDelay.Enabled {
		logger.Warn("`telemetry::metrics::kafka_receiver_records_delay` has no effect, see the metric receiver_durable_kafka_lag_seconds")
	}
	if c.InitialOffset == configkafka.LatestOffset && !c.StartAt.set() {
		logger.Warn("`initial_offset` is latest: what is in a partition before the group first reads it, partitions added later included, is never delivered")
	}
}
