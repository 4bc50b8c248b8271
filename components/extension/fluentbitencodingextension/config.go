package fluentbitencodingextension

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// TimeAction is what becomes of a record without a timestamp that can be read.
type TimeAction string

const (
	// TimeReject makes the message one that cannot be decoded.
	TimeReject TimeAction = "reject"
	// TimeFromMessage takes the timestamp of the Kafka message. What could not be read stays as an attribute.
	TimeFromMessage TimeAction = "message_time"
)

// maxLabels is how many bits the set of a record's labels has.
const maxLabels = 64

// Config says what the members of a record are. Keys are those at the root of the record, as they are written.
type Config struct {
	// TimeKeys are the keys that may hold the timestamp, in order. The first one that is there and not null counts, and
	// is no attribute; the others are.
	TimeKeys []string `mapstructure:"time_keys"`
	// OnInvalidTime is for a record that has none of TimeKeys, or in it what is no timestamp.
	OnInvalidTime TimeAction `mapstructure:"on_invalid_time"`
	// MessageKeys are the keys that may hold the message, in order. The first one that has a text counts, and is the
	// body; the others are attributes.
	MessageKeys []string `mapstructure:"message_keys"`
	// TrimNewline cuts one newline from the end of the message.
	TrimNewline bool `mapstructure:"trim_newline"`
	// ParseLog adds the members of a message that is itself a JSON object as attributes. The message stays as it is.
	ParseLog bool `mapstructure:"parse_log"`
	// ParseLogPrefix is put before the keys of those members.
	ParseLogPrefix string `mapstructure:"parse_log_prefix"`
	// Labels are the keys that become attributes of the resource. Records of a request that have the same ones share it.
	Labels []string `mapstructure:"labels"`
	// Flatten joins the keys of nested maps with `.`; else they are attributes of type map.
	Flatten bool `mapstructure:"flatten"`
	// Tags are attributes that every resource gets. One without a value is left out.
	Tags map[string]string `mapstructure:"tags"`
}

// Validate checks that each key has one meaning.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch c.OnInvalidTime {
	case TimeReject:
		if len(c.TimeKeys) == 0 {
			fail("`time_keys` must not be empty when `on_invalid_time` is %s", TimeReject)
		}
	case TimeFromMessage:
	default:
		fail("`on_invalid_time` must be %s or %s, not %q", TimeReject, TimeFromMessage, c.OnInvalidTime)
	}
	if len(c.MessageKeys) == 0 {
		fail("`message_keys` must not be empty")
	}
	if len(c.Labels) > maxLabels {
		fail("`labels` must not have more than %d keys, not %d", maxLabels, len(c.Labels))
	}
	if c.ParseLogPrefix != "" && !c.ParseLog {
		fail("`parse_log_prefix` needs `parse_log`")
	}

	settings := make(map[string]string)
	for _, list := range []struct {
		setting string
		keys    []string
	}{
		{"time_keys", c.TimeKeys}, {"message_keys", c.MessageKeys}, {"labels", c.Labels}, {"tags", slices.Sorted(maps.Keys(c.Tags))},
	} {
		for _, key := range list.keys {
			if key == "" {
				fail("`%s` must not have an empty key", list.setting)
				continue
			}
			if other, ok := settings[key]; ok {
				fail("`%s` has the key %q, which `%s` has, too", list.setting, key, other)
			}
			settings[key] = list.setting
		}
	}
	return errors.Join(errs...)
}
