package deadletter

import "errors"

const (
	// The dead letter topic has a max.message.bytes of 11 MiB, 1 MiB more than the
	// topics of the pipeline: a letter is an original message and some headers.
	defaultMaxMessageBytes = 11 << 20
	defaultMaxFileBytes    = 64 << 20
	// maxHeaderBytes is more than what a letter adds to a message: the error, names and
	// numbers.
	maxHeaderBytes = 16 << 10
)

// Config says where dead letters go. With both, the topic has them, and the directory
// those that the broker refuses for good.
type Config struct {
	// Topic of the dead letters. It has to exist.
	Topic string `mapstructure:"topic"`
	// Directory of the files of dead letters.
	Directory string `mapstructure:"directory"`
	// MaxMessageBytes is the max.message.bytes of the topic: records are split into
	// letters that fit. 0 is 11 MiB.
	MaxMessageBytes int `mapstructure:"max_message_bytes"`
	// MaxFileBytes is the size at which a new file is begun. 0 is 64 MiB.
	MaxFileBytes int64 `mapstructure:"max_file_bytes"`
}

// Validate reports a setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Topic == "" && c.Directory == "" {
		errs = append(errs, errors.New("`topic` or `directory` must be set"))
	}
	if c.MaxMessageBytes != 0 && c.MaxMessageBytes < 2*maxHeaderBytes {
		errs = append(errs, errors.New("`max_message_bytes` must be at least 32768, or 0 for the default"))
	}
	if c.MaxMessageBytes > maxBatchBytes {
		errs = append(errs, errors.New("`max_message_bytes` must not be over 33554432"))
	}
	if c.MaxFileBytes < 0 {
		errs = append(errs, errors.New("`max_file_bytes` must not be negative"))
	}
	return errors.Join(errs...)
}

// MaxValueBytes is the largest value of a letter that fits into the topic without
// compression.
func (c Config) MaxValueBytes() int {
	if c.MaxMessageBytes == 0 {
		return defaultMaxMessageBytes - maxHeaderBytes
	}
	return c.MaxMessageBytes - maxHeaderBytes
}

func (c Config) maxFileBytes() int64 {
	if c.MaxFileBytes == 0 {
		return defaultMaxFileBytes
	}
	return c.MaxFileBytes
}
