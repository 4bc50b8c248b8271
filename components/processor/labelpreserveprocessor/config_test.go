package labelpreserveprocessor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"gopkg.in/yaml.v3"
)

// loadConfig returns the configuration with this ID in testdata/config.yaml.
func loadConfig(t testing.TB, id string) *Config {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(id)
	require.NoError(t, err)
	return unmarshalConfig(t, sub)
}

func unmarshalConfig(t testing.TB, conf *confmap.Conf) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg
}

func parseConfig(t testing.TB, text string) *Config {
	t.Helper()
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	return unmarshalConfig(t, confmap.NewFromStringMap(tree))
}

// configOf returns the defaults with these labels.
func configOf(labels ...LabelConfig) *Config {
	cfg := newDefaultConfig()
	cfg.Labels = labels
	return cfg
}

func TestLoadConfig(t *testing.T) {
	separator := ":"
	assert.Equal(t, configOf(LabelConfig{Name: "site_name"}), loadConfig(t, "label_preserve"))
	assert.Equal(t, configOf(
		LabelConfig{
			Name:    "site_name",
			Aliases: []string{"site.name", "site"},
			From: []SourceConfig{
				{Source: "env", Key: "BREAKWATER_TEST_SITE"},
				{Source: "record"},
				{Source: "scope"},
				{Source: "resource"},
				{Source: "resource", Key: "k8s.cluster.name"},
			},
			Default: "unknown",
		},
		LabelConfig{Name: "host_name", From: []SourceConfig{{Source: "host_name"}}},
		LabelConfig{Name: "team", Aliases: []string{}, From: []SourceConfig{{Source: "static", Value: "platform"}}},
		LabelConfig{Name: "origin", From: []SourceConfig{{Source: "join", Labels: []string{"site_name", "team"}, Separator: &separator}}},
	), loadConfig(t, "label_preserve/full"))

	for _, id := range []string{"label_preserve", "label_preserve/full", "label_preserve/agent", "label_preserve/consumer", "label_preserve/scope"} {
		assert.NoError(t, loadConfig(t, id).Validate(), id)
	}
}

// The example of the README is a whole, valid configuration of the processor.
func TestReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	example, _, found = strings.Cut(example, "```")
	require.True(t, found)

	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example), &tree))
	conf, err := confmap.NewFromStringMap(tree).Sub("processors::label_preserve")
	require.NoError(t, err)
	cfg := unmarshalConfig(t, conf)
	require.NoError(t, cfg.Validate())
	require.NotEmpty(t, cfg.Labels)
}

func TestDefaultAliases(t *testing.T) {
	for _, tt := range []struct {
		label LabelConfig
		want  []string
	}{
		{LabelConfig{Name: "service_name"}, []string{"service.name"}},
		{LabelConfig{Name: "service.name"}, []string{"service_name"}},
		{LabelConfig{Name: "k8s.pod_name"}, []string{"k8s_pod_name"}},
		{LabelConfig{Name: "job"}, nil},
		{LabelConfig{Name: "service_name", Aliases: []string{}}, []string{}},
		{LabelConfig{Name: "service_name", Aliases: []string{"svc"}}, []string{"svc"}},
	} {
		assert.Equal(t, tt.want, tt.label.aliases(), tt.label.Name)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		yaml string
		want string
	}{
		{
			"no labels",
			`labels: []`,
			"`labels` must not be empty",
		},
		{
			"no name",
			`labels: [{name: a}, {default: x}]`,
			"labels[1]: `name` must not be empty",
		},
		{
			"duplicate name",
			`labels: [{name: job}, {name: env}, {name: job}]`,
			"labels[2] (job): `name` is already the name of labels[0]",
		},
		{
			"empty alias",
			`labels: [{name: job, aliases: [""]}]`,
			"labels[0] (job): `aliases` must not hold an empty name",
		},
		{
			"own name as alias",
			`labels: [{name: job, aliases: [job]}]`,
			"labels[0] (job): alias `job` is the label's own name",
		},
		{
			"alias is a name",
			`labels: [{name: job, aliases: [env]}, {name: env}]`,
			"labels[0] (job): alias `env` is the name of labels[1]",
		},
		{
			"default alias is a name",
			`labels: [{name: service_name}, {name: service.name, aliases: []}]`,
			"labels[0] (service_name): default alias `service.name` is the name of labels[1]",
		},
		{
			"alias of two labels",
			`labels: [{name: job, aliases: [x]}, {name: env, aliases: [x]}]`,
			"labels[1] (env): alias `x` is already an alias of labels[0]",
		},
		{
			"the same alias twice",
			`labels: [{name: job, aliases: [x, x]}]`,
			"labels[0] (job): alias `x` is already an alias of labels[0]",
		},
		{
			"empty from",
			`labels: [{name: job, from: []}]`,
			"labels[0] (job): `from` must not be empty, leave it out for record, then resource",
		},
		{
			"unknown source",
			`labels: [{name: site_name, from: [{source: record}, {source: foo}]}]`,
			"labels[0] (site_name): unknown source `foo` in `from[1]`, want one of record, resource, scope, context, env, host_name, static, join",
		},
		{
			"no source",
			`labels: [{name: job, from: [{key: x}]}]`,
			"labels[0] (job): unknown source `` in `from[0]`, want one of record, resource, scope, context, env, host_name, static, join",
		},
		{
			"env without key",
			`labels: [{name: job, from: [{source: env}]}]`,
			"labels[0] (job): source `env` needs `key` in `from[0]`",
		},
		{
			"static without value",
			`labels: [{name: job, from: [{source: record}, {source: static}]}]`,
			"labels[0] (job): source `static` needs `value` in `from[1]`",
		},
		{
			"join without labels",
			`labels: [{name: job, from: [{source: join}]}]`,
			"labels[0] (job): source `join` needs `labels` in `from[0]`",
		},
		{
			"join of an unknown label",
			`labels: [{name: job, from: [{source: join, labels: [env]}]}]`,
			"labels[0] (job): `labels` of source `join` in `from[0]` must name labels declared above this one, `env` is not",
		},
		{
			"join of a label below",
			`labels: [{name: job, from: [{source: join, labels: [env]}]}, {name: env}]`,
			"labels[0] (job): `labels` of source `join` in `from[0]` must name labels declared above this one, `env` is not",
		},
		{
			"join of itself",
			`labels: [{name: job, from: [{source: join, labels: [job]}]}]`,
			"labels[0] (job): `labels` of source `join` in `from[0]` must name labels declared above this one, `job` is not",
		},
		{
			"key without meaning",
			`labels: [{name: job, from: [{source: static, value: x, key: y}]}]`,
			"labels[0] (job): `key` has no meaning for source `static` in `from[0]`",
		},
		{
			"value without meaning",
			`labels: [{name: job, from: [{source: env, key: x, value: y}]}]`,
			"labels[0] (job): `value` has no meaning for source `env` in `from[0]`",
		},
		{
			"labels without meaning",
			`labels: [{name: env}, {name: job, from: [{source: record, labels: [env]}]}]`,
			"labels[1] (job): `labels` has no meaning for source `record` in `from[0]`",
		},
		{
			"separator without meaning",
			`labels: [{name: job, from: [{source: host_name, separator: ""}]}]`,
			"labels[0] (job): `separator` has no meaning for source `host_name` in `from[0]`",
		},
		{
			"unknown preset",
			`preset: artikel`,
			"unknown `preset` `artikel`, want one of article",
		},
		{
			"a label of the preset named twice",
			"preset: article\nlabels: [{name: env}, {name: env}]",
			"labels[7] (env): `name` is already the name of labels[1]",
		},
		{
			"alias of a label of the preset",
			"preset: article\nlabels: [{name: team, aliases: [service.name]}]",
			"labels[7] (team): alias `service.name` is already an alias of labels[3]",
		},
		{
			"unknown level",
			"labels: [{name: job}, {name: env}]\nprecedence: [record, cloud]",
			"`precedence` of the labels job, env: unknown level `cloud`, want one of stamp, record, scope, resource, context, env, host_name, static",
		},
		{
			"a level twice",
			"labels: [{name: job}]\nprecedence: [record, record]",
			"`precedence` of the labels job: level `record` is listed twice",
		},
		{
			"unknown level of a label",
			`labels: [{name: job, precedence: [cloud]}]`,
			"labels[0] (job): `precedence`: unknown level `cloud`, want one of stamp, record, scope, resource, context, env, host_name, static",
		},
		{
			"level without a source",
			`labels: [{name: job, precedence: [stamp, record], from: [{source: record}]}]`,
			"labels[0] (job): `precedence` names the level `stamp`, and no source in `from` is of it",
		},
		{
			"unknown on_missing",
			`labels: [{name: job, on_missing: drop}]`,
			"labels[0] (job): unknown `on_missing` `drop`, want one of default, mark, reject",
		},
		{
			"on_missing default without one",
			`labels: [{name: job, on_missing: default}]`,
			"labels[0] (job): `on_missing: default` needs `default`",
		},
		{
			"a default that would never be used",
			`labels: [{name: job, on_missing: reject, default: x}]`,
			"labels[0] (job): `default` has no meaning with `on_missing: reject`",
		},
		{
			"a default over the limits",
			"labels: [{name: job, default: abcdef}]\nlimits: {max_value_bytes: 5}",
			"labels[0] (job): `default` has 6 bytes, over `limits::max_value_bytes` of 5",
		},
		{
			"a static value over the limits",
			"labels: [{name: job, from: [{source: record}, {source: static, value: abcdef}]}]\nlimits: {max_value_bytes: 5}",
			"labels[0] (job): `value` in `from[1]` has 6 bytes, over `limits::max_value_bytes` of 5",
		},
		{
			"a name over the limit of a label",
			"labels: [{name: a_long_name}]\nlimits: {max_name_bytes: 10}",
			"labels[0] (a_long_name): `name` has 11 bytes, over `limits::max_name_bytes` of 10",
		},
		{
			"a name over the limit of a log key",
			"labels: [{name: a_long_name}]\nlimits: {max_log_key_bytes: 10}",
			"labels[0] (a_long_name): `name` has 11 bytes, over `limits::max_log_key_bytes` of 10",
		},
		{
			"more labels than a series may have",
			"labels: [{name: a}, {name: b}]\nlimits: {max_labels: 7}",
			"labels[1] (b): with it the declared labels have 2 keys, and `limits::max_labels` of 7 has room for 1 beside those of the series itself",
		},
		{
			"negative limit",
			"labels: [{name: job}]\nlimits: {max_labels: -1}",
			"`limits::max_labels` must not be negative, 0 means no limit",
		},
		{
			"unknown overflow",
			"labels: [{name: job}]\nlimits: {overflow: keep}",
			"unknown `limits::overflow` `keep`, want one of json, drop",
		},
		{
			"unknown form",
			"labels: [{name: job}]\noutput_form: {metrics: camel}",
			"unknown `output_form::metrics` `camel`, want one of underscore, dotted, both",
		},
		{
			"two labels of one output name",
			"labels: [{name: a_b, aliases: []}, {name: a.b, aliases: []}]\noutput_form: {logs: dotted}",
			"labels[0] (a_b): `output_form::logs` makes it `a.b`, which is a name or alias of labels[1] (a.b)",
		},
		{
			"a name that is needed to hide what exporters derive job from",
			"labels: [{name: service.name, aliases: []}, {name: service_name, aliases: []}]",
			"labels[0] (service.name): it would leave a resource of metrics as `service_name` where its own name would overwrite another label, and that is a name or alias of labels[1] (service_name)",
		},
		{
			"unknown place",
			"labels: [{name: job}]\nwrite_to: {logs: [resource, event]}",
			"`write_to::logs`: unknown place `event`, want some of resource, record",
		},
		{
			"events alone",
			"labels: [{name: job, write_to: [event]}]",
			"labels[0] (job): `write_to`: needs `resource` or `record`",
		},
		{
			"no place",
			"labels: [{name: job, write_to: []}]",
			"labels[0] (job): `write_to`: must not be empty, want some of resource, record, event, link",
		},
		{
			"unknown signal",
			"labels: [{name: job, signals: [profiles]}]",
			"labels[0] (job): unknown signal `profiles` in `signals`, want some of logs, metrics, traces",
		},
		{
			"an own attribute that is a label",
			"labels: [{name: job}]\nmissing_attribute: job",
			"`missing_attribute` is `job`, which is a name or alias of labels[0] (job)",
		},
		{
			"two own attributes of one name",
			"labels: [{name: job}]\nprovenance: {attribute: missing_labels}",
			"`provenance::attribute` is the same as `missing_attribute`",
		},
		{
			"key without meaning for a static source",
			`labels: [{name: job, from: [{source: context, value: x}]}]`,
			"labels[0] (job): `value` has no meaning for source `context` in `from[0]`",
		},
		{
			"a fault in each of two labels",
			`labels: [{name: job, from: []}, {name: env, from: [{source: foo}]}]`,
			"labels[0] (job): `from` must not be empty, leave it out for record, then resource\n" +
				"labels[1] (env): unknown source `foo` in `from[0]`, want one of record, resource, scope, context, env, host_name, static, join",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.EqualError(t, parseConfig(t, tt.yaml).Validate(), tt.want)
		})
	}
}

// Such a value cannot come from YAML, but from the configuration of a program that embeds the processor.
func TestInvalidUTF8IsRefused(t *testing.T) {
	assert.EqualError(t, configOf(LabelConfig{Name: "job", Default: "\xff"}).Validate(), "labels[0] (job): `default` is not valid UTF-8")
	assert.EqualError(t, configOf(LabelConfig{Name: "job", Aliases: []string{"\xff"}}).Validate(), "labels[0] (job): the name \"\\xff\" is not valid UTF-8")
}

func TestUnknownSettingIsRefused(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{"labels": []any{map[string]any{"name": "job", "alias": "x"}}})
	assert.ErrorContains(t, conf.Unmarshal(createDefaultConfig()), "alias")
}
