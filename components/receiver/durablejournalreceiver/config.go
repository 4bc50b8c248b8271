package durablejournalreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
)

// Config of the durable_journal receiver.
type Config struct {
	// JournalctlPath is the program, looked up in PATH where it is no path.
	JournalctlPath string `mapstructure:"journalctl_path"`
	// Directory is that of the journal files. Empty: the journal of this machine.
	Directory string `mapstructure:"directory"`
	// Units and Identifiers, if any, are the only ones that are read.
	Units       []string `mapstructure:"units"`
	Identifiers []string `mapstructure:"identifiers"`
	// Merge reads the journals of other machines in the directory, too.
	Merge bool `mapstructure:"merge"`
	// StartAt is where the first start begins: beginning or end.
	StartAt string `mapstructure:"start_at"`
	// MaxBatchRecords and Linger bound what is handed on together, and how long a record waits for others.
	MaxBatchRecords int           `mapstructure:"max_batch_records"`
	Linger          time.Duration `mapstructure:"linger"`
	// StorageID is the extension that keeps the place.
	StorageID *component.ID `mapstructure:"storage"`
	// RetryOnFailure is the wait between attempts to hand records on. It has no end.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// ShutdownTimeout is how long records that are being handed on may take at shutdown.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// Validate names the setting that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.JournalctlPath == "" {
		errs = append(errs, errors.New("`journalctl_path` must not be empty"))
	}
	if c.StartAt != startAtBeginning && c.StartAt != startAtEnd {
		errs = append(errs, fmt.Errorf("`start_at` must be beginning or end, not `%s`", c.StartAt))
	}
	if c.MaxBatchRecords < 1 {
		errs = append(errs, errors.New("`max_batch_records` must be positive"))
	}
	if c.Linger <= 0 {
		errs = append(errs, errors.New("`linger` must be positive"))
	}
	if err := handon.Validate(c.RetryOnFailure); err != nil {
		errs = append(errs, err)
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, errors.New("`shutdown_timeout` must be positive"))
	}
	return errors.Join(errs...)
}

const (
	startAtBeginning = "beginning"
	startAtEnd       = "end"
)

// args are those of journalctl, to go on behind cursor if there is one.
func (c *Config) args(cursor string) []string {
	// The export format has every field whole, whatever its bytes. JSON has numbers for bytes that are not UTF-8, and
	// null for fields over 4 KiB.
	args := []string{"--output=export", "--follow", "--no-pager", "--quiet"}
	switch {
	case cursor != "":
		args = append(args, "--no-tail", "--after-cursor="+cursor)
	case c.StartAt == startAtEnd:
		args = append(args, "--lines=0")
	default:
		args = append(args, "--no-tail")
	}
	if c.Directory != "" {
		args = append(args, "--directory="+c.Directory)
	}
	if c.Merge {
		args = append(args, "--merge")
	}
	for _, unit := range c.Units {
		args = append(args, "--unit="+unit)
	}
	for _, identifier := range c.Identifiers {
		args = append(args, "--identifier="+identifier)
	}
	return args
}
