package lossless

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Mode is what becomes of a finding.
type Mode string

const (
	// Off says that it is not looked for.
	Off Mode = "off"
	// Warn says that it is logged and counted.
	Warn Mode = "warn"
	// Enforce says that it ends the start.
	Enforce Mode = "enforce"
)

// Config of the lossless extension. It is here for the sake of `validate`, which starts no extension.
type Config struct {
	// Mode is for findings of the configuration.
	Mode Mode `mapstructure:"mode"`
	// Ignore has the reason for each code that is not to be reported.
	Ignore map[string]string `mapstructure:"ignore"`
	// Runtime is about what is around the process.
	Runtime RuntimeConfig `mapstructure:"runtime"`
}

// RuntimeConfig is about what is around the process: topics, disks and backends.
type RuntimeConfig struct {
	// Mode is for findings of the surroundings.
	Mode Mode `mapstructure:"mode"`
	// Backlog is how long an outage behind Kafka the pipeline has to bridge.
	Backlog time.Duration `mapstructure:"backlog"`
	// Interval is the time between two looks.
	Interval time.Duration `mapstructure:"interval"`
	// Timeout is that of one look.
	Timeout time.Duration `mapstructure:"timeout"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Mode: Warn,
		Runtime: RuntimeConfig{
			Mode:     Warn,
			Backlog:  24 * time.Hour, // the retention of metrics as `make topics` sets it
			Interval: 10 * time.Minute,
			Timeout:  15 * time.Second,
		},
	}
}

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	var errs []error
	if c.Mode != Warn && c.Mode != Enforce {
		errs = append(errs, fmt.Errorf("`mode` must be warn or enforce, not %q", string(c.Mode)))
	}
	for _, code := range slices.Sorted(maps.Keys(c.Ignore)) {
		if !IsCode(code) {
			errs = append(errs, fmt.Errorf("`ignore::%s` is not the code of a finding", code))
		}
		if strings.TrimSpace(c.Ignore[code]) == "" {
			errs = append(errs, fmt.Errorf("`ignore::%s` must say why the loss is acceptable", code))
		}
	}
	r := c.Runtime
	if r.Mode != Off && r.Mode != Warn && r.Mode != Enforce {
		errs = append(errs, fmt.Errorf("`runtime::mode` (LOSSLESS_MODE in the shipped profiles) must be off, warn or enforce, not %q", string(r.Mode)))
	}
	if r.Backlog < 0 {
		errs = append(errs, errors.New("`runtime::backlog` must not be negative"))
	}
	if r.Interval <= 0 {
		errs = append(errs, errors.New("`runtime::interval` must be positive"))
	}
	if r.Timeout <= 0 {
		errs = append(errs, errors.New("`runtime::timeout` must be positive"))
	}
	return errors.Join(errs...)
}

// Findings are those of a Config, by what becomes of them.
type Findings struct {
	Enforced []Finding // end the start
	Warned   []Finding // are logged
	Ignored  []Finding // were found and are in Config.Ignore
}

// Check looks at the configuration.
func (c *Config) Check(conf *confmap.Conf) Findings {
	return c.Judge(Check(conf, Options{Backlog: c.Runtime.Backlog}))
}

// Judge says what becomes of the findings.
func (c *Config) Judge(findings []Finding) Findings {
	var judged Findings
	for _, f := range findings {
		mode := c.Mode
		if f.Rule.Class == Surroundings {
			mode = c.Runtime.Mode
		}
		switch _, ignored := c.Ignore[f.Rule.Code]; {
		case ignored:
			judged.Ignored = append(judged.Ignored, f)
		case mode == Enforce:
			judged.Enforced = append(judged.Enforced, f)
		case mode == Warn:
			judged.Warned = append(judged.Warned, f)
		}
	}
	return judged
}

// Err is the error of what is enforced, nil when there is nothing.
func (f Findings) Err() error {
	if len(f.Enforced) == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("the `lossless` extension found %s of losing data:", count(len(f.Enforced), "way"))}
	for _, finding := range f.Enforced {
		lines = append(lines, "  "+finding.String())
	}
	return errors.New(strings.Join(lines, "\n"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
