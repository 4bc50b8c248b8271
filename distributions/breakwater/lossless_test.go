package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/breakwater-otel/breakwater/components/extension/losslessextension"
)

// effectiveConf returns the configuration as the Collector gives it to an extension.
func effectiveConf(t *testing.T, uris ...string) *confmap.Conf {
	provider, err := otelcol.NewConfigProvider(otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
		URIs: uris,
		ProviderFactories: []confmap.ProviderFactory{
			envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory(),
		},
	}})
	require.NoError(t, err)
	factories, err := components()
	require.NoError(t, err)
	config, err := provider.Get(t.Context(), factories)
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(config))
	return conf
}

// losslessConfig returns the settings of the lossless extension.
func losslessConfig(t *testing.T, conf *confmap.Conf) *losslessextension.Config {
	section, err := conf.Sub("extensions::lossless")
	require.NoError(t, err)
	config := losslessextension.NewFactory().CreateDefaultConfig().(*losslessextension.Config)
	require.NoError(t, section.Unmarshal(config))
	require.NoError(t, config.Validate())
	return config
}

// profilesAndOverlays returns all shipped configurations: each profile, and each overlay of a directory named after a
// profile on top of it.
func profilesAndOverlays(t *testing.T) map[string][]string {
	found := map[string][]string{}
	profiles, err := filepath.Glob(filepath.Join(root, "configs", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, profiles)
	for _, profile := range profiles {
		found[filepath.Base(profile)] = []string{profile}
		overlays, err := filepath.Glob(filepath.Join(strings.TrimSuffix(profile, ".yaml")+".d", "*.yaml"))
		require.NoError(t, err)
		for _, overlay := range overlays {
			found[filepath.Base(profile)+" + "+filepath.Base(overlay)] = []string{profile, overlay}
		}
	}
	return found
}

// TestShippedProfilesAreLossless holds that the shipped configurations look for ways to lose data, end the start for
// those of the configuration, and have none but those that they give a reason for.
func TestShippedProfilesAreLossless(t *testing.T) {
	for name, uris := range profilesAndOverlays(t) {
		t.Run(name, func(t *testing.T) {
			conf := effectiveConf(t, uris...)
			config := losslessConfig(t, conf)
			assert.Contains(t, conf.Get("service::extensions"), "lossless")
			assert.EqualValues(t, "enforce", config.Mode)
			assert.EqualValues(t, "warn", config.Runtime.Mode, "a production agent is not down for a topic")
			found := config.Check(conf)
			assert.Empty(t, found.Enforced)
			assert.Empty(t, found.Warned)
			used := map[string]bool{}
			for _, f := range found.Ignored {
				used[f.Rule.Code] = true
			}
			for code := range config.Ignore {
				assert.True(t, used[code], "%s is ignored and not found", code)
			}
		})
	}
}

func profile(name string) string { return filepath.Join(root, "configs", name+".yaml") }

// overlays returns a configuration for each document of the text. What is written on top of each other has to be in
// several: in one, the order is none.
func overlays(text string) []string {
	var uris []string
	for document := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(document) != "" {
			uris = append(uris, "yaml:"+document)
		}
	}
	return uris
}

const (
	kafkaReceiver = `
receivers::kafka: {group_id: other, initial_offset: earliest, message_marking: {after: true}, logs: {topics: [other]},
  error_backoff: {enabled: true, initial_interval: 1s, max_interval: 30s, max_elapsed_time: 0s}}
service::pipelines::logs/otlp::receivers: [durable_kafka/logs, kafka]
---
`
	failover = `
connectors::failover: {priority_levels: [[logs/a]], sending_queue: {enabled: false}}
service::pipelines::logs/otlp::exporters: [failover]
service::pipelines::logs/a: {receivers: [failover], exporters: [dead_letter/logs]}
---
`
	upstreamRemoteWrite = `
exporters::prometheusremotewrite: {endpoint: "http://127.0.0.1:8428/api/v1/write", timeout: 8760h,
  remote_write_queue: {enabled: false}, retry_on_failure: {max_elapsed_time: 0s}}
service::pipelines::metrics/victoriametrics::exporters: [remote_write, prometheusremotewrite]
---
`
)

// plantedMistakes has a mistake in a shipped profile for each rule, and what is to be found for it.
var plantedMistakes = []struct {
	profile string
	mistake string
	code    string
	setting string
	// with are codes of what cannot be configured without another finding: an upstream component, that it is used.
	with []string
}{
	{"agent", `receivers::file_log::storage: null`, "BW001", "receivers::file_log::storage", nil},
	{"agent", `receivers::file_log::start_at: end`, "BW002", "receivers::file_log::start_at", nil},
	{"agent", `receivers::file_log::retry_on_failure::enabled: false`, "BW003", "receivers::file_log::retry_on_failure::enabled", nil},
	{"agent", `receivers::file_log::retry_on_failure::max_elapsed_time: 5m`, "BW004", "receivers::file_log::retry_on_failure::max_elapsed_time", nil},
	{"agent", `receivers::file_log::exclude_older_than: 23h`, "BW005", "receivers::file_log::exclude_older_than", nil},
	{"agent", `receivers::file_log::max_log_size_behavior: truncate`, "BW006", "receivers::file_log::max_log_size_behavior", nil},
	{"agent", `receivers::file_log::on_truncate: ignore`, "BW007", "receivers::file_log::on_truncate", nil},
	{"agent", `receivers::file_log::operators: [{type: add, field: attributes.a, value: b}, {type: filter, expr: 'body == "x"'}]`,
		"BW008", "receivers::file_log::operators[1]", nil},
	{"agent", `receivers::file_log::operators: [{type: json_parser, on_error: drop_quiet}]`, "BW008", "receivers::file_log::operators[0]::on_error", nil},
	{"agent", `receivers::file_log::delete_after_read: true`, "BW009", "receivers::file_log::delete_after_read", nil},
	{"agent", `
receivers::syslog: {udp: {listen_address: "127.0.0.1:1514"}, protocol: rfc5424, retry_on_failure: {enabled: true, max_elapsed_time: 0s}}
service::pipelines::logs::receivers: [file_log, otlp, syslog]
`, "BW010", "receivers::syslog::udp", nil},
	{"agent", `receivers::file_log::encoding: utf-8`, "BW011", "receivers::file_log::encoding", nil},
	{"agent", `receivers::file_log::preserve_leading_whitespaces: false`, "BW012", "receivers::file_log::preserve_leading_whitespaces", nil},
	{"agent", `receivers::otlp::protocols::http::max_request_body_size: 0`, "BW013", "receivers::otlp::protocols::http::max_request_body_size", nil},
	{"agent", `receivers::otlp::protocols::grpc::max_recv_msg_size_mib: 11`, "BW013", "receivers::otlp::protocols::grpc::max_recv_msg_size_mib", nil},
	{"agent", `
receivers::fluent_forward: {endpoint: "127.0.0.1:24224"}
service::pipelines::logs::receivers: [file_log, otlp, fluent_forward]
`, "BW014", "receivers::fluent_forward", nil},
	{"agent", `receivers::file_log::operators: [{type: recombine, is_first_entry: 'body startsWith "2"', combine_field: body}]`,
		"BW015", "receivers::file_log::operators[0]", nil},
	{"consumer", kafkaReceiver, "BW020", "receivers::kafka", nil},
	{"consumer", kafkaReceiver + `receivers::kafka::message_marking::after: false`, "BW021", "receivers::kafka::message_marking::after", []string{"BW020"}},
	{"consumer", kafkaReceiver + `receivers::kafka::message_marking::on_permanent_error: true`,
		"BW022", "receivers::kafka::message_marking::on_permanent_error", []string{"BW020"}},
	{"consumer", kafkaReceiver + `receivers::kafka::error_backoff::max_elapsed_time: 5m`,
		"BW023", "receivers::kafka::error_backoff::max_elapsed_time", []string{"BW020"}},
	{"consumer", kafkaReceiver + `receivers::kafka::error_backoff::enabled: false`,
		"BW023", "receivers::kafka::error_backoff::enabled", []string{"BW020"}},
	{"consumer", `receivers::durable_kafka/logs::initial_offset: latest`, "BW024", "receivers::durable_kafka/logs::initial_offset", nil},
	{"consumer", `receivers::durable_kafka/logs::durability: null`, "BW025", "receivers::durable_kafka/logs::durability", nil},
	{"consumer", `receivers::durable_kafka/logs::durability::backends: [victoriametrics]`,
		"BW026", "receivers::durable_kafka/logs::durability::backends", nil},
	{"consumer", `extensions::durability::backends::victoriametrics::endpoint: http://other:8428`,
		"BW026", "receivers::durable_kafka/metrics::durability::backends", nil},
	{"consumer", `receivers::durable_kafka/logs::dead_letter: null`, "BW027", "receivers::durable_kafka/logs::dead_letter", nil},
	{"consumer", `
receivers::durable_kafka/fluent_bit::group_id: breakwater-consumer-logs
receivers::durable_kafka/fluent_bit::logs::topics: [otel-logs-v1]
`, "BW028", "receivers::durable_kafka/logs::group_id", nil},
	{"consumer", `
processors::batch: {}
service::pipelines::logs/otlp::processors: [label_preserve, batch]
`, "BW030", "processors::batch", nil},
	{"agent", `
processors::filter: {error_mode: ignore, logs: {log_record: ['severity_number < 9']}}
service::pipelines::logs::processors: [memory_limiter, filter, label_preserve]
`, "BW031", "processors::filter", nil},
	{"agent", `service::pipelines::metrics/host::processors: [memory_limiter, label_preserve]`,
		"BW032", "service::pipelines::metrics/host::processors", nil},
	{"agent", `processors::label_preserve::labels: [{name: team, on_missing: reject}]`,
		"BW033", "processors::label_preserve::labels[0]::on_missing", nil},
	{"agent", `processors::label_preserve::limits::overflow: drop`, "BW034", "processors::label_preserve::limits::overflow", nil},
	{"consumer", failover, "BW040", "connectors::failover", nil},
	{"consumer", `service::pipelines::logs/dead_letter::exporters: [debug]` + "\nexporters::debug: {}",
		"BW041", "connectors::dead_letter/logs::dead_letter", nil},
	{"consumer", `service::pipelines::logs/fluent_bit::exporters: [victorialogs]`, "BW042", "exporters::victorialogs", nil},
	{"consumer", failover + `connectors::failover::sending_queue: {enabled: true}`, "BW043", "connectors::failover::sending_queue", []string{"BW040"}},
	{"agent", `exporters::kafka::retry_on_failure::enabled: false`, "BW050", "exporters::kafka::retry_on_failure::enabled", nil},
	{"agent", `exporters::kafka::retry_on_failure::max_elapsed_time: 5m`, "BW051", "exporters::kafka::retry_on_failure::max_elapsed_time", nil},
	{"consumer", `exporters::dead_letter_store::retry_on_failure::max_elapsed_time: 1h`,
		"BW051", "exporters::dead_letter_store::retry_on_failure::max_elapsed_time", nil},
	{"agent", `exporters::kafka::sending_queue::storage: null`, "BW052", "exporters::kafka::sending_queue::storage", nil},
	{"agent", `exporters::kafka::sending_queue::block_on_overflow: false`, "BW053", "exporters::kafka::sending_queue::block_on_overflow", nil},
	{"consumer", `exporters::victorialogs::sending_queue: {}`, "BW054", "exporters::victorialogs::sending_queue", nil},
	{"agent", `exporters::kafka::producer::required_acks: 1`, "BW056", "exporters::kafka::producer::required_acks", nil},
	{"agent", `exporters::kafka::producer::allow_auto_topic_creation: true`, "BW057", "exporters::kafka::producer::allow_auto_topic_creation", nil},
	{"agent", `exporters::kafka::sending_queue::batch::max_size: 12000000`, "BW058", "exporters::kafka::sending_queue::batch::max_size", nil},
	{"agent", `exporters::kafka::sending_queue::batch: {sizer: items, min_size: 5000, max_size: 10000}`,
		"BW058", "exporters::kafka::sending_queue::batch::sizer", nil},
	{"agent", `exporters::kafka::sending_queue::batch::max_size: 0`, "BW058", "exporters::kafka::sending_queue::batch::max_size", nil},
	{"agent", `exporters::kafka::sending_queue::batch: {enabled: false}`, "BW058", "exporters::kafka::sending_queue::batch", nil},
	{"consumer", `exporters::victorialogs::on_violation::line_bytes: truncate`, "BW060", "exporters::victorialogs::on_violation::line_bytes", nil},
	{"consumer", `exporters::victorialogs::limits::max_past: 0s`, "BW061", "exporters::victorialogs::limits::max_past", nil},
	{"consumer", `exporters::remote_write::limits::max_labels: 0`, "BW061", "exporters::remote_write::limits::max_labels", nil},
	{"consumer", `exporters::victorialogs::fields::record::exclude: ["debug.*"]`, "BW062", "exporters::victorialogs::fields::record::exclude", nil},
	{"consumer", `exporters::remote_write::nan: send`, "BW063", "exporters::remote_write::nan", nil},
	{"consumer", `exporters::remote_write::exponential_histograms: native`, "BW063", "exporters::remote_write::exponential_histograms", nil},
	{"consumer", `
exporters::otlp_http: {endpoint: "http://127.0.0.1:9428/insert/opentelemetry", sending_queue: {enabled: false}, retry_on_failure: {max_elapsed_time: 0s}}
service::pipelines::logs/victorialogs::exporters: [victorialogs, otlp_http]
`, "BW064", "exporters::otlp_http::endpoint", nil},
	{"consumer", upstreamRemoteWrite, "BW065", "exporters::prometheusremotewrite", nil},
	{"consumer", upstreamRemoteWrite + `exporters::prometheusremotewrite::timeout: 5s`, "BW066", "exporters::prometheusremotewrite::timeout", []string{"BW065"}},
	{"consumer", upstreamRemoteWrite + `exporters::prometheusremotewrite::remote_write_queue::enabled: true`,
		"BW067", "exporters::prometheusremotewrite::remote_write_queue::enabled", []string{"BW065"}},
	{"agent", `
exporters::file: {path: /tmp/logs.json}
service::pipelines::logs::exporters: [kafka, file]
`, "BW068", "exporters::file", nil},
	{"consumer", `
receivers::otlp: {protocols: {grpc: {endpoint: "127.0.0.1:4317"}}}
service::pipelines::logs/otlp::receivers: [durable_kafka/logs, otlp]
`, "BW069", "exporters::victorialogs", nil},
	{"agent", `extensions::file_storage::fsync: false`, "BW070", "extensions::file_storage::fsync", nil},
	{"agent", `extensions::file_storage::compaction::directory: /proc/compaction`, "BW071", "extensions::file_storage::compaction::directory", nil},
	{"agent", `extensions::file_storage::recreate: true`, "BW072", "extensions::file_storage::recreate", nil},
	{"agent", `service::extensions: [lossless]`, "BW073", "service::extensions", nil},
	{"consumer", `extensions::durability::backends::victorialogs::flush_window: 5s`, "BW080", "extensions::durability::backends::victorialogs::flush_window", nil},
	{"consumer", `service::telemetry::metrics::level: none`, "BW090", "service::telemetry::metrics::level", nil},
	{"agent", `service::telemetry::metrics::readers: []`, "BW090", "service::telemetry::metrics::readers", nil},
	{"agent", `service::telemetry::logs::level: error`, "BW092", "service::telemetry::logs::level", nil},
	{"agent", `exporters::kafka::sending_queue::queue_size: 100000000`, "BW112", "exporters::kafka::sending_queue::queue_size", nil},
	{"consumer", `exporters::victorialogs::limits::max_past: 12h`, "BW113", "exporters::victorialogs::limits::max_past", nil},
}

// TestPlantedMistakes holds that each mistake is found, at its setting, and nothing else with it.
func TestPlantedMistakes(t *testing.T) {
	for _, test := range plantedMistakes {
		t.Run(test.code+" "+test.setting, func(t *testing.T) {
			conf := effectiveConf(t, append([]string{profile(test.profile)}, overlays(test.mistake)...)...)
			config := losslessConfig(t, conf)
			config.Runtime.Mode = "enforce"
			found := config.Check(conf)
			assert.Empty(t, found.Ignored)
			var settings, codes []string
			for _, f := range found.Enforced {
				if slices.Contains(test.with, f.Rule.Code) {
					continue
				}
				codes = append(codes, f.Rule.Code)
				settings = append(settings, f.Setting)
			}
			assert.Equal(t, []string{test.code}, codes, found.Err())
			assert.Equal(t, []string{test.setting}, settings)
			require.ErrorContains(t, found.Err(), test.code+" `"+test.setting+"`")
		})
	}
}

// TestEveryRuleIsPlanted holds that the table has a mistake for each rule that the configuration alone decides.
func TestEveryRuleIsPlanted(t *testing.T) {
	planted := map[string]bool{"BW091": true} // TestGateThatIsOff
	for _, test := range plantedMistakes {
		planted[test.code] = true
	}
	// The table of the README is held to be that of the code by the extension's own tests. Codes of the surroundings have a †.
	readme, err := os.ReadFile(filepath.Join(root, "components", "extension", "losslessextension", "README.md"))
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (BW\d+) \|`).FindAllStringSubmatch(string(readme), -1)
	assert.GreaterOrEqual(t, len(rows), 25)
	for _, row := range rows {
		assert.True(t, planted[row[1]], row[1])
	}
}

func TestGateThatIsOff(t *testing.T) {
	for _, test := range []struct{ profile, gate string }{
		{"agent", "stanza.synchronousLogEmitter"},
		{"standalone", "exporter.prometheusremotewritexporter.RetryOn429"},
	} {
		require.NoError(t, featuregate.GlobalRegistry().Set(test.gate, false))
		conf := effectiveConf(t, profile(test.profile))
		config := losslessConfig(t, conf)
		found := config.Check(conf).Enforced
		require.NoError(t, featuregate.GlobalRegistry().Set(test.gate, true))
		require.Len(t, found, 1, test.gate)
		assert.Equal(t, "BW091", found[0].Rule.Code)
		assert.Equal(t, "-"+test.gate, found[0].Value)
	}
}

// TestNoMistakes has what looks like a mistake and is none.
func TestNoMistakes(t *testing.T) {
	for name, test := range map[string]struct{ profile, change string }{
		"batch, filter and a memory queue before an exporter that keeps nothing": {"agent", `
processors::batch: {}
processors::filter: {error_mode: ignore, logs: {log_record: ['severity_number < 9']}}
exporters::debug: {sending_queue: {}}
service::pipelines::logs/look: {receivers: [file_log, otlp], processors: [batch, filter], exporters: [debug]}
`},
		"the same behind a connector": {"consumer", `
processors::batch: {}
exporters::debug: {}
connectors::failover: {priority_levels: [[logs/look]]}
service::pipelines::logs/copy: {receivers: [durable_kafka/logs], exporters: [failover]}
service::pipelines::logs/look: {receivers: [failover], processors: [batch], exporters: [debug]}
`},
		"files that are older than the backlog are passed over": {"agent", `receivers::file_log::exclude_older_than: 24h`},
		"what is configured and not used": {"agent", `
receivers::file_log/other: {include: [/tmp/other]}
processors::batch: {}
exporters::otlp_http: {endpoint: "http://127.0.0.1:1"}
extensions::file_storage/other: {directory: /tmp/other}
`},
		"compaction in another directory of the same device": {"agent", `
extensions::file_storage::directory: /usr/share/a
extensions::file_storage::compaction::directory: /usr/share/b
`},
		"nodes of a cluster, which are not written to": {"consumer", `
extensions::durability::backends::victorialogs::endpoint: null
extensions::durability::backends::victorialogs::endpoints: [http://vlstorage-0:9491, http://vlstorage-1:9491]
`},
		"a label that is demanded where the partition waits for what is refused": {"consumer", `
processors::label_preserve::labels: [{name: team, on_missing: reject}]
`},
	} {
		t.Run(name, func(t *testing.T) {
			conf := effectiveConf(t, append([]string{profile(test.profile)}, overlays(test.change)...)...)
			config := losslessConfig(t, conf)
			config.Runtime.Mode = "enforce"
			found := config.Check(conf)
			assert.NoError(t, found.Err())
			assert.Empty(t, found.Ignored)
		})
	}
}
