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

func TestUnknownSettingIsRefused(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{"labels": []any{map[string]any{"name": "job", "alias": "x"}}})
	assert.ErrorContains(t, conf.Unmarshal(createDefaultConfig()), "alias")
}
