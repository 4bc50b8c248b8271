package labelpreserveprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The values of `source`.
const (
	sourceRecord   = "record"
	sourceResource = "resource"
	sourceScope    = "scope"
	sourceEnv      = "env"
	sourceHostName = "host_name"
	sourceStatic   = "static"
	sourceJoin     = "join"
)

var sourceNames = []string{
	sourceRecord, sourceResource, sourceScope, sourceEnv, sourceHostName, sourceStatic, sourceJoin,
}

const defaultSeparator = "/"

// Config declares the labels that the processor guarantees.
type Config struct {
	// Labels are resolved in this order: a `join` sees the labels above its own.
	Labels []LabelConfig `mapstructure:"labels"`
}

// LabelConfig declares one label.
type LabelConfig struct {
	// Name is the attribute key the label has when it leaves the processor.
	Name string `mapstructure:"name"`

	// Aliases are the other keys the label may arrive under. They are removed once
	// the label is written under its name. Nil means the dotted or underscore
	// counterpart of Name, an empty list means none.
	Aliases []string `mapstructure:"aliases"`

	// From lists the sources, the first that has a value wins.
	// Nil means the record, then the resource.
	From []SourceConfig `mapstructure:"from"`

	// Default is the value when no source has one. Empty means none.
	Default string `mapstructure:"default"`
}

// SourceConfig declares one source of a label.
type SourceConfig struct {
	// Source is one of record, resource, scope, env, host_name, static, join.
	Source string `mapstructure:"source"`

	// Key is the environment variable for env (required), and for record, resource
	// and scope the attribute to read instead of the label's name and aliases.
	Key string `mapstructure:"key"`

	// Value is the value of static (required).
	Value string `mapstructure:"value"`

	// Labels are the labels whose values join puts together (required).
	Labels []string `mapstructure:"labels"`

	// Separator stands between the values that join puts together. Nil means "/".
	Separator *string `mapstructure:"separator"`
}

// aliases returns the declared aliases of the label or else the default.
func (l *LabelConfig) aliases() []string {
	if l.Aliases != nil {
		return l.Aliases
	}
	counterpart := strings.ReplaceAll(l.Name, ".", "_")
	if counterpart == l.Name {
		counterpart = strings.ReplaceAll(l.Name, "_", ".")
	}
	if counterpart == l.Name {
		return nil
	}
	return []string{counterpart}
}

// from returns the declared sources of the label or else the default.
func (l *LabelConfig) from() []SourceConfig {
	if l.From != nil {
		return l.From
	}
	return []SourceConfig{{Source: sourceRecord}, {Source: sourceResource}}
}

// separator returns the declared separator or else the default.
func (s *SourceConfig) separator() string {
	if s.Separator != nil {
		return *s.Separator
	}
	return defaultSeparator
}

// Validate reports the first fault of each label.
func (c *Config) Validate() error {
	if len(c.Labels) == 0 {
		return errors.New("`labels` must not be empty")
	}
	names := make(map[string]int, len(c.Labels))
	for i := range c.Labels {
		if _, taken := names[c.Labels[i].Name]; !taken {
			names[c.Labels[i].Name] = i
		}
	}
	var errs error
	aliasOf := make(map[string]int)
	for i := range c.Labels {
		label := &c.Labels[i]
		if label.Name == "" {
			errs = errors.Join(errs, fmt.Errorf("labels[%d]: `name` must not be empty", i))
			continue
		}
		err := label.validateKeys(i, names, aliasOf)
		if err == nil {
			err = label.validateSources(i, names)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("labels[%d] (%s): %w", i, label.Name, err))
		}
	}
	return errs
}

// validateKeys checks that no attribute key stands for two labels. It enters the
// aliases of the label, which is number i, into aliasOf.
func (l *LabelConfig) validateKeys(i int, names, aliasOf map[string]int) error {
	if first := names[l.Name]; first != i {
		return fmt.Errorf("`name` is already the name of labels[%d]", first)
	}
	for _, alias := range l.aliases() {
		if alias == "" {
			return errors.New("`aliases` must not hold an empty name")
		}
		shown := fmt.Sprintf("alias `%s`", alias)
		if l.Aliases == nil {
			shown = "default " + shown
		}
		if owner, isName := names[alias]; isName {
			if owner == i {
				return fmt.Errorf("%s is the label's own name", shown)
			}
			return fmt.Errorf("%s is the name of labels[%d]", shown, owner)
		}
		if owner, taken := aliasOf[alias]; taken {
			return fmt.Errorf("%s is already an alias of labels[%d]", shown, owner)
		}
		aliasOf[alias] = i
	}
	return nil
}

// validateSources checks the sources of the label, which is number i.
func (l *LabelConfig) validateSources(i int, names map[string]int) error {
	from := l.from()
	if len(from) == 0 {
		return errors.New("`from` must not be empty, leave it out for record, then resource")
	}
	for j := range from {
		if !slices.Contains(sourceNames, from[j].Source) {
			return fmt.Errorf("unknown source `%s` in `from[%d]`, want one of %s",
				from[j].Source, j, strings.Join(sourceNames, ", "))
		}
		if err := from[j].validate(); err != nil {
			return fmt.Errorf("%w in `from[%d]`", err, j)
		}
		for _, other := range from[j].Labels {
			if at, declared := names[other]; !declared || at >= i {
				return fmt.Errorf("`labels` of source `join` in `from[%d]` must name labels declared above this one, `%s` is not", j, other)
			}
		}
	}
	return nil
}

// validate checks that the source, which is a known one, has the settings it needs
// and no others.
func (s *SourceConfig) validate() error {
	settings := []struct {
		name     string
		given    bool
		needs    bool
		accepted []string
	}{
		{"key", s.Key != "", s.Source == sourceEnv, []string{sourceEnv, sourceRecord, sourceResource, sourceScope}},
		{"value", s.Value != "", s.Source == sourceStatic, []string{sourceStatic}},
		{"labels", len(s.Labels) > 0, s.Source == sourceJoin, []string{sourceJoin}},
		{"separator", s.Separator != nil, false, []string{sourceJoin}},
	}
	for _, setting := range settings {
		if setting.needs && !setting.given {
			return fmt.Errorf("source `%s` needs `%s`", s.Source, setting.name)
		}
		if setting.given && !slices.Contains(setting.accepted, s.Source) {
			return fmt.Errorf("`%s` has no meaning for source `%s`", setting.name, s.Source)
		}
	}
	return nil
}
