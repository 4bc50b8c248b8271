package labelpreserveprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxAliases is what the bits of finding.keys hold, the name and two output forms beside.
const maxAliases = 60

var signalNames = []string{signalLogs, signalMetrics, signalTraces}

// reservedLabels is the room in a series beside its attributes: its name, `le`, `quantile`
// or `vmrange`, `job` and `instance` that remote write derives, and the attributes for
// what is evicted and what is missing.
const reservedLabels = 6

// Validate reports the faults of the settings that concern all labels, and the first
// fault of each label.
func (c *Config) Validate() error {
	if c.Preset != "" && !slices.Contains(presetNames, c.Preset) {
		return fmt.Errorf("unknown `preset` `%s`, want one of %s", c.Preset, strings.Join(presetNames, ", "))
	}
	labels := c.labels()
	if len(labels) == 0 {
		return errors.New("`labels` must not be empty")
	}
	errs := c.validateGeneral(labels)
	names := make(map[string]int, len(labels))
	for i := range labels {
		if _, taken := names[labels[i].Name]; !taken {
			names[labels[i].Name] = i
		}
	}
	aliasOf := make(map[string]int)
	for i := range labels {
		label := &labels[i]
		if label.Name == "" {
			errs = errors.Join(errs, fmt.Errorf("labels[%d]: `name` must not be empty", i))
			continue
		}
		err := label.validateKeys(i, names, aliasOf)
		if err == nil {
			err = label.validateSources(i, names)
		}
		if err == nil {
			err = label.validateChoices()
		}
		if err == nil {
			err = label.validateLimits(&c.Limits)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("labels[%d] (%s): %w", i, label.Name, err))
		}
	}
	if errs != nil {
		return errs
	}
	return c.validateOutput(labels, names, aliasOf)
}

// validateGeneral checks what concerns all labels.
func (c *Config) validateGeneral(labels []LabelConfig) error {
	var errs error
	if err := validateLevels(c.Precedence); err != nil {
		names := make([]string, 0, len(labels))
		for i := range labels {
			names = append(names, labels[i].Name)
		}
		errs = errors.Join(errs, fmt.Errorf("`precedence` of the labels %s: %w", strings.Join(names, ", "), err))
	}
	for _, signal := range signalNames {
		form := c.OutputForm.of(signal)
		if form != "" && form != formUnderscore && form != formDotted && form != formBoth {
			errs = errors.Join(errs, fmt.Errorf("unknown `output_form::%s` `%s`, want one of %s, %s, %s",
				signal, form, formUnderscore, formDotted, formBoth))
		}
		if err := validatePlaces(c.WriteTo.of(signal), signal); err != nil {
			errs = errors.Join(errs, fmt.Errorf("`write_to::%s`: %w", signal, err))
		}
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"max_labels", c.Limits.MaxLabels},
		{"max_name_bytes", c.Limits.MaxNameBytes},
		{"max_value_bytes", c.Limits.MaxValueBytes},
		{"max_log_key_bytes", c.Limits.MaxLogKeyBytes},
	} {
		if limit.value < 0 {
			errs = errors.Join(errs, fmt.Errorf("`limits::%s` must not be negative, 0 means no limit", limit.name))
		}
	}
	if o := c.Limits.Overflow; o != overflowJSON && o != overflowDrop {
		errs = errors.Join(errs, fmt.Errorf("unknown `limits::overflow` `%s`, want one of %s, %s", o, overflowJSON, overflowDrop))
	}
	return errs
}

// ownAttributes are the attributes that the processor writes beside the labels.
func (c *Config) ownAttributes() map[string]string {
	return map[string]string{
		"limits::overflow_attribute": c.Limits.OverflowAttribute,
		"missing_attribute":          c.MissingAttribute,
		"provenance::attribute":      c.Provenance.Attribute,
	}
}

// validateOutput checks that every key that leaves stands for one thing, and that the
// declared labels fit into a series.
func (c *Config) validateOutput(labels []LabelConfig, names, aliasOf map[string]int) error {
	var errs error
	takenBy := func(key string) (int, bool) {
		if owner, taken := names[key]; taken {
			return owner, true
		}
		owner, taken := aliasOf[key]
		return owner, taken
	}
	for _, signal := range signalNames {
		total := 0
		for i := range labels {
			if !labels[i].isOn(signal) {
				continue
			}
			for _, key := range labels[i].outputNames(c.OutputForm.of(signal)) {
				if owner, taken := takenBy(key); taken && owner != i {
					errs = errors.Join(errs, fmt.Errorf("labels[%d] (%s): `output_form::%s` makes it `%s`, which is a name or alias of labels[%d] (%s)",
						i, labels[i].Name, signal, key, owner, labels[owner].Name))
				}
				total++
			}
			if signal == signalMetrics {
				if key, owner := labels[i].hiddenUnder(c.OutputForm.Metrics, takenBy); key != "" && owner != i {
					errs = errors.Join(errs, fmt.Errorf("labels[%d] (%s): it would leave a resource of metrics as `%s` where its own name would overwrite another label, and that is a name or alias of labels[%d] (%s)",
						i, labels[i].Name, key, owner, labels[owner].Name))
				}
			}
			if room := c.Limits.MaxLabels - reservedLabels; signal == signalMetrics && c.Limits.MaxLabels > 0 && total > room {
				return errors.Join(errs, fmt.Errorf("labels[%d] (%s): with it the declared labels have %d keys, and `limits::max_labels` of %d has room for %d beside those of the series itself",
					i, labels[i].Name, total, c.Limits.MaxLabels, max(room, 0)))
			}
		}
	}
	seen := make(map[string]string)
	own := c.ownAttributes()
	for _, setting := range []string{"limits::overflow_attribute", "missing_attribute", "provenance::attribute"} {
		key := own[setting]
		switch owner, taken := takenBy(key); {
		case key == "":
			errs = errors.Join(errs, fmt.Errorf("`%s` must not be empty", setting))
		case taken:
			errs = errors.Join(errs, fmt.Errorf("`%s` is `%s`, which is a name or alias of labels[%d] (%s)", setting, key, owner, labels[owner].Name))
		case seen[key] != "":
			errs = errors.Join(errs, fmt.Errorf("`%s` is the same as `%s`", setting, seen[key]))
		}
		seen[key] = setting
	}
	return errs
}

// hiddenUnder returns the name that identify gives the label where exporters would derive another
// one from the names it has, and the label that has this name; "" if there is none.
func (l *LabelConfig) hiddenUnder(form string, takenBy func(key string) (int, bool)) (string, int) {
	outs := l.outputNames(form)
	for _, rule := range identityRules {
		for _, key := range []string{rule.key, rule.namespace} {
			if len(outs) == 1 && outs[0] == key && key != "" {
				if owner, taken := takenBy(underscored(key)); taken {
					return underscored(key), owner
				}
			}
		}
	}
	return "", 0
}

func validateLevels(levels []string) error {
	for i, level := range levels {
		if !slices.Contains(levelNames, level) {
			return fmt.Errorf("unknown level `%s`, want one of %s", level, strings.Join(levelNames, ", "))
		}
		if slices.Contains(levels[:i], level) {
			return fmt.Errorf("level `%s` is listed twice", level)
		}
	}
	return nil
}

func validatePlaces(places []string, signal string) error {
	known := []string{placeResource, placeRecord}
	if signal == signalTraces {
		known = append(known, placeEvent, placeLink)
	}
	if len(places) == 0 {
		return fmt.Errorf("must not be empty, want some of %s", strings.Join(known, ", "))
	}
	for i, place := range places {
		if !slices.Contains(known, place) {
			return fmt.Errorf("unknown place `%s`, want some of %s", place, strings.Join(known, ", "))
		}
		if slices.Contains(places[:i], place) {
			return fmt.Errorf("place `%s` is listed twice", place)
		}
	}
	if !slices.Contains(places, placeResource) && !slices.Contains(places, placeRecord) {
		return errors.New("needs `resource` or `record`")
	}
	return nil
}

// validateKeys checks that no attribute key stands for two labels. It enters the
// aliases of the label, which is number i, into aliasOf.
func (l *LabelConfig) validateKeys(i int, names, aliasOf map[string]int) error {
	if first := names[l.Name]; first != i {
		return fmt.Errorf("`name` is already the name of labels[%d]", first)
	}
	if len(l.Aliases) > maxAliases {
		return fmt.Errorf("%d `aliases`, want at most %d", len(l.Aliases), maxAliases)
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
	if l.From != nil && len(l.From) == 0 {
		return errors.New("`from` must not be empty, leave it out for record, then resource")
	}
	if err := validateLevels(l.Precedence); err != nil {
		return fmt.Errorf("`precedence`: %w", err)
	}
	for j := range l.From {
		from := &l.From[j]
		if !slices.Contains(sourceNames, from.Source) {
			return fmt.Errorf("unknown source `%s` in `from[%d]`, want one of %s",
				from.Source, j, strings.Join(sourceNames, ", "))
		}
		if err := from.validate(); err != nil {
			return fmt.Errorf("%w in `from[%d]`", err, j)
		}
		for _, other := range from.Labels {
			if at, declared := names[other]; !declared || at >= i {
				return fmt.Errorf("`labels` of source `join` in `from[%d]` must name labels declared above this one, `%s` is not", j, other)
			}
		}
	}
	if l.From != nil && l.Precedence != nil {
		for _, level := range l.Precedence {
			if !slices.ContainsFunc(l.From, func(s SourceConfig) bool {
				return s.Source == level || (level == levelStamp && s.isStamp())
			}) {
				return fmt.Errorf("`precedence` names the level `%s`, and no source in `from` is of it", level)
			}
		}
	}
	return nil
}

// validateChoices checks the settings that take one of a few words.
func (l *LabelConfig) validateChoices() error {
	switch l.OnMissing {
	case "", onMissingMark, onMissingReject:
		if l.Default != "" && l.OnMissing != "" {
			return fmt.Errorf("`default` has no meaning with `on_missing: %s`", l.OnMissing)
		}
	case onMissingDefault:
		if l.Default == "" {
			return errors.New("`on_missing: default` needs `default`")
		}
	default:
		return fmt.Errorf("unknown `on_missing` `%s`, want one of %s, %s, %s", l.OnMissing, onMissingDefault, onMissingMark, onMissingReject)
	}
	if l.WriteTo != nil {
		if err := validatePlaces(l.WriteTo, signalTraces); err != nil {
			return fmt.Errorf("`write_to`: %w", err)
		}
	}
	if l.Signals != nil && len(l.Signals) == 0 {
		return errors.New("`signals` must not be empty, leave it out for all")
	}
	for _, signal := range l.Signals {
		if !slices.Contains(signalNames, signal) {
			return fmt.Errorf("unknown signal `%s` in `signals`, want some of %s", signal, strings.Join(signalNames, ", "))
		}
	}
	return nil
}

// validateLimits checks that what the configuration itself would write can be stored.
func (l *LabelConfig) validateLimits(limits *LimitsConfig) error {
	for _, key := range append([]string{l.Name}, l.aliases()...) {
		if !utf8.ValidString(key) {
			return fmt.Errorf("the name %q is not valid UTF-8", key)
		}
	}
	if err := overLimit("`name`", l.Name, "max_name_bytes", limits.MaxNameBytes); err != nil && l.isOn(signalMetrics) {
		return err
	}
	if err := overLimit("`name`", l.Name, "max_log_key_bytes", limits.MaxLogKeyBytes); err != nil && l.isOn(signalLogs) {
		return err
	}
	if err := l.validateValue("`default`", l.Default, limits); err != nil {
		return err
	}
	for j := range l.From {
		if l.From[j].Source == sourceStatic {
			if err := l.validateValue(fmt.Sprintf("`value` in `from[%d]`", j), l.From[j].Value, limits); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateValue checks a value that comes from the configuration or the environment.
// It is not shown: it may be anything.
func (l *LabelConfig) validateValue(what, value string, limits *LimitsConfig) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("%s is not valid UTF-8", what)
	}
	if !l.isOn(signalMetrics) {
		return nil
	}
	return overLimit(what, value, "max_value_bytes", limits.MaxValueBytes)
}

func overLimit(what, text, setting string, limit int) error {
	if limit > 0 && len(text) > limit {
		return fmt.Errorf("%s has %d bytes, over `limits::%s` of %d", what, len(text), setting, limit)
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
		{"key", s.Key != "", s.Source == sourceEnv, []string{sourceEnv, sourceContext, sourceRecord, sourceResource, sourceScope}},
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
