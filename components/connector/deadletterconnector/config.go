package deadletterconnector

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/pipeline"
)

// Config of the dead_letter connector.
type Config struct {
	// Primary are the pipelines that get everything.
	Primary []pipeline.ID `mapstructure:"primary"`
	// DeadLetter are the pipelines that get what the primary ones refuse for good.
	DeadLetter []pipeline.ID `mapstructure:"dead_letter"`
	// RetryConfig is the backoff between attempts at the dead-letter pipelines. They have
	// no end but that of the caller's context.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// Timeout ends a call for callers that do not end it themselves and do not try again: scrapers,
	// which would miss the next scrapes meanwhile and could not be stopped. 0: the caller ends it.
	Timeout time.Duration `mapstructure:"timeout"`
}

var _ component.Config = (*Config)(nil)

// Validate reports a setting that cannot work, or that would lose data.
func (c *Config) Validate() error {
	var errs []error
	seen := map[pipeline.ID]string{}
	for _, list := range []struct {
		setting string
		ids     []pipeline.ID
	}{{"primary", c.Primary}, {"dead_letter", c.DeadLetter}} {
		if len(list.ids) == 0 {
			errs = append(errs, fmt.Errorf("`%s` must name a pipeline", list.setting))
		}
		for _, id := range list.ids {
			switch other, taken := seen[id]; {
			case taken && other == list.setting:
				errs = append(errs, fmt.Errorf("`%s` names %s twice", list.setting, id))
			case taken:
				errs = append(errs, fmt.Errorf("`%s` and `%s` must not name the same pipeline, %s: it would get back what it has refused", other, list.setting, id))
			default:
				seen[id] = list.setting
			}
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("`timeout` must not be negative"))
	}
	if !c.RetryConfig.Enabled {
		errs = append(errs, errors.New("`retry_on_failure::enabled` must be true: without it, what is refused twice is lost"))
	}
	if c.RetryConfig.MaxElapsedTime != 0 {
		errs = append(errs, errors.New("`retry_on_failure::max_elapsed_time` must be 0: the primary pipeline has the other records of the request and must not get them again"))
	}
	// Each of these would make the backoff a hot loop.
	if c.RetryConfig.InitialInterval <= 0 {
		errs = append(errs, errors.New("`retry_on_failure::initial_interval` must be positive"))
	}
	if c.RetryConfig.MaxInterval <= 0 {
		errs = append(errs, errors.New("`retry_on_failure::max_interval` must be positive"))
	}
	if c.RetryConfig.Multiplier < 1 {
		errs = append(errs, errors.New("`retry_on_failure::multiplier` must be at least 1"))
	}
	if c.RetryConfig.RandomizationFactor < 0 || c.RetryConfig.RandomizationFactor >= 1 {
		errs = append(errs, errors.New("`retry_on_failure::randomization_factor` must be from 0 to below 1"))
	}
	return errors.Join(errs...)
}
