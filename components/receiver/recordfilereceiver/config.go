package recordfilereceiver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
)

// Formats of log files.
const (
	formatPlain  = "plain"
	formatDocker = "docker"
	formatCRI    = "cri"
)

// Config of the record_file receiver.
type Config struct {
	// Include and Exclude are patterns of paths; `**` stands for directories of any depth.
	Include []string `mapstructure:"include"`
	Exclude []string `mapstructure:"exclude"`
	// ExcludeOlderThan leaves out files that have not been written to for longer. 0: none.
	ExcludeOlderThan time.Duration `mapstructure:"exclude_older_than"`
	// Format is plain, docker or cri.
	Format string `mapstructure:"format"`
	// Multiline names the languages whose stack traces become one record: java, python, go, node.
	Multiline []string `mapstructure:"multiline"`
	// ContainerLabels says which labels of a docker container become attributes: patterns, as of path.Match.
	ContainerLabels []string `mapstructure:"container_labels"`
	// StartAt is where files begin that are there at the first start: beginning or end.
	StartAt string `mapstructure:"start_at"`
	// PollInterval is how often files are looked at.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// ForceFlushPeriod is how long the last record of a file waits for more lines.
	ForceFlushPeriod time.Duration `mapstructure:"force_flush_period"`
	// MaxRecordBytes bounds a record, as it is in the file. What is longer becomes several.
	MaxRecordBytes int `mapstructure:"max_record_bytes"`
	// MaxConcurrentFiles bounds how many files are open at a time; half of them are read. More files take turns.
	MaxConcurrentFiles int `mapstructure:"max_concurrent_files"`
	// StorageID is the extension that keeps the read positions.
	StorageID *component.ID `mapstructure:"storage"`
	// RetryOnFailure is the wait between attempts to hand records on. It has no end.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// ShutdownTimeout is how long records that are being handed on may take at shutdown.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// minRecordBytes has room for a line of docker: 16 KiB, each byte of which can be an escape of six.
const minRecordBytes = 128 << 10

// Validate names the setting that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Include) == 0 {
		errs = append(errs, errors.New("`include` must not be empty"))
	}
	if !slices.Contains([]string{formatPlain, formatDocker, formatCRI}, c.Format) {
		errs = append(errs, fmt.Errorf("`format` must be plain, docker or cri, not `%s`", c.Format))
	}
	if _, err := newTracer(c.Multiline); err != nil {
		errs = append(errs, fmt.Errorf("`multiline`: %w", err))
	}
	if _, err := newLabelFilter(c.ContainerLabels); err != nil {
		errs = append(errs, fmt.Errorf("`container_labels`: %w", err))
	}
	if c.ExcludeOlderThan < 0 {
		errs = append(errs, errors.New("`exclude_older_than` must not be negative"))
	}
	if c.StartAt != "beginning" && c.StartAt != "end" {
		errs = append(errs, fmt.Errorf("`start_at` must be beginning or end, not `%s`", c.StartAt))
	}
	if c.PollInterval <= 0 {
		errs = append(errs, errors.New("`poll_interval` must be positive"))
	}
	if c.ForceFlushPeriod <= 0 {
		errs = append(errs, errors.New("`force_flush_period` must be positive: the last record of a file would wait for ever"))
	}
	if c.MaxRecordBytes < minRecordBytes {
		errs = append(errs, fmt.Errorf("`max_record_bytes` must be at least %d", minRecordBytes))
	}
	if c.MaxConcurrentFiles < 2 {
		errs = append(errs, errors.New("`max_concurrent_files` must be at least 2"))
	}
	if err := handon.Validate(c.RetryOnFailure); err != nil {
		errs = append(errs, err)
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, errors.New("`shutdown_timeout` must be positive"))
	}
	return errors.Join(errs...)
}
