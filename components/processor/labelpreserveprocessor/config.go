package labelpreserveprocessor

import (
	"slices"
	"strings"
)

// The values of `source`.
const (
	sourceRecord   = "record"
	sourceResource = "resource"
	sourceScope    = "scope"
	sourceContext  = "context"
	sourceEnv      = "env"
	sourceHostName = "host_name"
	sourceStatic   = "static"
	sourceJoin     = "join"
)

var sourceNames = []string{
	sourceRecord, sourceResource, sourceScope, sourceContext, sourceEnv, sourceHostName, sourceStatic, sourceJoin,
}

// levelStamp is the level in `precedence` of what is put on from outside the data.
const levelStamp = "stamp"

var levelNames = []string{
	levelStamp, sourceRecord, sourceScope, sourceResource, sourceContext, sourceEnv, sourceHostName, sourceStatic,
}

// The values of `write_to`.
const (
	placeResource = "resource"
	placeRecord   = "record"
	placeEvent    = "event"
	placeLink     = "link"
)

// The values of `on_missing`.
const (
	onMissingDefault = "default"
	onMissingMark    = "mark"
	onMissingReject  = "reject"
)

// The values of `output_form`. Empty means the name as it is declared.
const (
	formUnderscore = "underscore"
	formDotted     = "dotted"
	formBoth       = "both"
)

// The values of `limits::overflow`.
const (
	overflowJSON = "json"
	overflowDrop = "drop"
)

// The values of `signals`.
const (
	signalLogs    = "logs"
	signalMetrics = "metrics"
	signalTraces  = "traces"
)

const defaultSeparator = "/"

// Config declares the labels that the processor guarantees.
type Config struct {
	// Preset names a set of labels to start from. Empty means none.
	Preset string `mapstructure:"preset"`

	// Labels are resolved in this order: a `join` sees the labels above its own. A label
	// of the preset that is named here has the settings that are given here, and its
	// place in the preset; the others follow the preset.
	Labels []LabelConfig `mapstructure:"labels"`

	// Precedence orders the sources of every label by their level. Nil means the
	// order of `from`.
	Precedence []string `mapstructure:"precedence"`

	// KeepConflicts writes the value that lost beside the label, as `<name>.conflict`.
	KeepConflicts bool `mapstructure:"keep_conflicts"`

	// WriteTo are the places that labels are written to, for each signal.
	WriteTo WriteToConfig `mapstructure:"write_to"`

	// OutputForm is the form in which names leave, for each signal.
	OutputForm OutputFormConfig `mapstructure:"output_form"`

	// MissingAttribute is the attribute that `on_missing: mark` writes.
	MissingAttribute string `mapstructure:"missing_attribute"`

	// Limits holds telemetry within what the backends store.
	Limits LimitsConfig `mapstructure:"limits"`
	// Provenance writes where each label comes from, to find out.
	Provenance ProvenanceConfig `mapstructure:"provenance"`
}

// WriteToConfig has the places of the labels of each signal.
type WriteToConfig struct {
	// Logs are the places of log records: resource, record. Nil means both.
	Logs []string `mapstructure:"logs"`
	// Metrics are those of data points. Nil means both.
	Metrics []string `mapstructure:"metrics"`
	// Traces are those of spans, of which event and link are places, too. Nil means resource, record and event.
	Traces []string `mapstructure:"traces"`
}

// OutputFormConfig has the form of the names of each signal.
type OutputFormConfig struct {
	// Logs is underscore, dotted or both. Empty means as declared.
	Logs string `mapstructure:"logs"`
	// Metrics is the same for data points.
	Metrics string `mapstructure:"metrics"`
	// Traces is the same for spans.
	Traces string `mapstructure:"traces"`
}

// LimitsConfig holds telemetry within what the backends store. Zero means no limit.
type LimitsConfig struct {
	// MaxLabels is how many labels a series may have, its name included.
	MaxLabels int `mapstructure:"max_labels"`
	// MaxNameBytes is how long the name of a label of a series may be.
	MaxNameBytes int `mapstructure:"max_name_bytes"`
	// MaxValueBytes is how long the value of a label of a series may be.
	MaxValueBytes int `mapstructure:"max_value_bytes"`
	// MaxLogKeyBytes is how long the key of an attribute of a log record may be.
	MaxLogKeyBytes int `mapstructure:"max_log_key_bytes"`
	// Overflow is json or drop.
	Overflow string `mapstructure:"overflow"`
	// OverflowAttribute holds what is evicted, as a JSON object.
	OverflowAttribute string `mapstructure:"overflow_attribute"`
}

// ProvenanceConfig is for finding out where a label comes from.
type ProvenanceConfig struct {
	// Enabled writes it.
	Enabled bool `mapstructure:"enabled"`
	// Attribute holds the source of each label.
	Attribute string `mapstructure:"attribute"`
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

	// Precedence orders From by level, instead of Config.Precedence.
	Precedence []string `mapstructure:"precedence"`

	// Required makes a record without the label an incident: see OnMissing.
	Required bool `mapstructure:"required"`

	// OnMissing is default, mark or reject, and makes the label required. Empty means
	// default for a required label with a default, mark for one without.
	OnMissing string `mapstructure:"on_missing"`

	// Default is the value when no source has one. Empty means none.
	Default string `mapstructure:"default"`

	// KeepConflict is Config.KeepConflicts for this label.
	KeepConflict *bool `mapstructure:"keep_conflict"`

	// WriteTo is Config.WriteTo for this label, for every signal.
	WriteTo []string `mapstructure:"write_to"`

	// Signals are the signals that have this label. Nil means all.
	Signals []string `mapstructure:"signals"`
}

// SourceConfig declares one source of a label.
type SourceConfig struct {
	// Source is one of record, resource, scope, context, env, host_name, static, join.
	Source string `mapstructure:"source"`

	// Key is the environment variable for env (required), for record, resource and
	// scope the attribute, for context the metadata key to read instead of the label's
	// name and aliases.
	Key string `mapstructure:"key"`

	// Value is the value of static (required).
	Value string `mapstructure:"value"`

	// Labels are the labels whose values join puts together (required).
	Labels []string `mapstructure:"labels"`

	// Separator stands between the values that join puts together. Nil means "/".
	Separator *string `mapstructure:"separator"`
}

// The limits of VictoriaMetrics 1.121 (app/vminsert/main.go: -maxLabelsPerTimeseries, -maxLabelNameLen,
// -maxLabelValueLen), which drops a whole series over one of them, and of VictoriaLogs 1.25
// (lib/logstorage: maxFieldNameSize), which gives up the fields of a row with a key over it.
const (
	defaultMaxLabels      = 40
	defaultMaxNameBytes   = 256
	defaultMaxValueBytes  = 4096
	defaultMaxLogKeyBytes = 128
)

func newDefaultConfig() *Config {
	return &Config{
		MissingAttribute: "missing_labels",
		Limits: LimitsConfig{
			MaxLabels:         defaultMaxLabels,
			MaxNameBytes:      defaultMaxNameBytes,
			MaxValueBytes:     defaultMaxValueBytes,
			MaxLogKeyBytes:    defaultMaxLogKeyBytes,
			Overflow:          overflowJSON,
			OverflowAttribute: "overflow_labels",
		},
		Provenance: ProvenanceConfig{Attribute: "label_sources"},
	}
}

// of returns the places of the labels of a signal.
func (w *WriteToConfig) of(signal string) []string {
	places := map[string][]string{signalLogs: w.Logs, signalMetrics: w.Metrics, signalTraces: w.Traces}[signal]
	switch {
	case places != nil:
		return places
	case signal == signalTraces:
		// An event becomes a log record of its own in some backends. A link describes
		// another span, so it has labels only if asked for.
		return []string{placeResource, placeRecord, placeEvent}
	default:
		return []string{placeResource, placeRecord}
	}
}

// of returns the form of the names of a signal.
func (o *OutputFormConfig) of(signal string) string {
	return map[string]string{signalLogs: o.Logs, signalMetrics: o.Metrics, signalTraces: o.Traces}[signal]
}

// isOn reports whether a signal has the label.
func (l *LabelConfig) isOn(signal string) bool {
	return l.Signals == nil || slices.Contains(l.Signals, signal)
}

// aliases returns the declared aliases of the label or else the default.
func (l *LabelConfig) aliases() []string {
	if l.Aliases != nil {
		return l.Aliases
	}
	counterpart := underscored(l.Name)
	if counterpart == l.Name {
		counterpart = dotted(l.Name)
	}
	if counterpart == l.Name {
		return nil
	}
	return []string{counterpart}
}

// underscored returns the underscore form of a name.
func underscored(name string) string {
	return strings.ReplaceAll(name, ".", "_")
}

// dotted returns the dotted form of a name: the name itself if it has a dot, because
// the names of the semantic conventions have both (`k8s.pod_name`).
func dotted(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return strings.ReplaceAll(name, "_", ".")
}

// outputNames returns the keys the label leaves under in the form of a signal.
func (l *LabelConfig) outputNames(form string) []string {
	switch form {
	case formUnderscore:
		return []string{underscored(l.Name)}
	case formDotted:
		return []string{dotted(l.Name)}
	case formBoth:
		if underscored(l.Name) != dotted(l.Name) {
			return []string{underscored(l.Name), dotted(l.Name)}
		}
	}
	return []string{l.Name}
}

// missing returns what happens to a record without the label, empty for nothing.
func (l *LabelConfig) missing() string {
	switch {
	case l.OnMissing != "":
		return l.OnMissing
	case l.Default != "":
		return onMissingDefault
	case l.Required:
		return onMissingMark
	default:
		return ""
	}
}

// from returns the sources of the label in the order in which they are asked.
func (l *LabelConfig) from(precedence []string) []SourceConfig {
	if l.Precedence != nil {
		precedence = l.Precedence
	}
	from := l.From
	if from == nil {
		for _, level := range precedence {
			if level == sourceRecord || level == sourceScope || level == sourceResource {
				from = append(from, SourceConfig{Source: level})
			}
		}
	}
	if from == nil {
		from = []SourceConfig{{Source: sourceRecord}, {Source: sourceResource}}
	}
	if precedence == nil {
		return from
	}
	// Sources of a level that is not listed come last, in their order: a join, for one.
	rank := func(s SourceConfig) int {
		if i := slices.Index(precedence, s.Source); i >= 0 {
			return i
		}
		if i := slices.Index(precedence, levelStamp); i >= 0 && s.isStamp() {
			return i
		}
		return len(precedence)
	}
	from = slices.Clone(from)
	slices.SortStableFunc(from, func(a, b SourceConfig) int { return rank(a) - rank(b) })
	return from
}

// isStamp reports whether the source is what an operator puts on from outside the data.
// The host name is not: it is what is left when nobody has said anything.
func (s *SourceConfig) isStamp() bool {
	return s.Source == sourceContext || s.Source == sourceEnv || s.Source == sourceStatic
}

// separator returns the declared separator or else the default.
func (s *SourceConfig) separator() string {
	if s.Separator != nil {
		return *s.Separator
	}
	return defaultSeparator
}
