package pipeline

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

func root(t *testing.T) string {
	dir, err := harness.Root()
	require.NoError(t, err)
	return dir
}

// TestProfilesAreValid holds that every shipped configuration passes `breakwater validate` with nothing set but a
// directory that exists.
func TestProfilesAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), "configs", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: []string{file}})
			assert.NoError(t, b.Validate(t.Context()))
		})
	}
}

// TestBlocksAreValid holds that each block of agent.d passes `breakwater validate` together with the agent, and so do all
// of them at once.
func TestBlocksAreValid(t *testing.T) {
	agent := filepath.Join(root(t), "configs", "agent.yaml")
	blocks := agentBlocks(t)
	cert, key := certificate(t)
	validate := func(t *testing.T, configs ...string) {
		b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{
			Configs: append([]string{agent}, configs...),
			Env: map[string]string{
				// What Kubernetes gives each of its containers, but for the service account.
				"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1", "K8S_KUBELET_AUTH_TYPE": "none",
				"SYSLOG_TLS_CERT_FILE": cert, "SYSLOG_TLS_KEY_FILE": key,
			},
		})
		assert.NoError(t, b.Validate(t.Context()))
	}
	for _, block := range blocks {
		t.Run(filepath.Base(block), func(t *testing.T) { validate(t, block) })
	}
	t.Run("all", func(t *testing.T) { validate(t, blocks...) })
}

// certificate writes one, and its key.
func certificate(t *testing.T) (cert, key string) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	issued := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("tls.crt", "CERTIFICATE", issued.Certificate[0]), write("tls.key", "PRIVATE KEY", der)
}

func agentBlocks(t *testing.T) []string {
	blocks, err := filepath.Glob(filepath.Join(root(t), "configs", "agent.d", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, blocks)
	return blocks
}

// TestBlocksAreAsSafeAsTheAgent holds that a block leaves what keeps the agent from losing data, and has it for its own:
// into the disk queue of Kafka's exporter, labels last, positions stored, and nothing that drops in between.
func TestBlocksAreAsSafeAsTheAgent(t *testing.T) {
	type pipeline struct{ Receivers, Processors, Exporters []string }
	type config struct {
		Receivers  map[string]map[string]any
		Processors map[string]any
		Exporters  map[string]any
		Extensions map[string]any
		Service    struct {
			Pipelines  map[string]pipeline
			Extensions []string
		}
	}
	read := func(path string) (c config) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, &c))
		return c
	}
	agent := read(filepath.Join(root(t), "configs", "agent.yaml"))
	seen := make(map[string]string)
	for _, path := range agentBlocks(t) {
		name := filepath.Base(path)
		block := read(path)
		assert.Empty(t, block.Exporters, name)
		if name == "syslog.yaml" {
			// Of what it adds to the agent's own extensions: that it can lose datagrams, and nothing else.
			lossless, _ := block.Extensions["lossless"].(map[string]any)
			ignored, _ := lossless["ignore"].(map[string]any)
			assert.NotEmpty(t, ignored["BW010"])
			assert.Equal(t, map[string]any{"lossless": map[string]any{"ignore": map[string]any{"BW010": ignored["BW010"]}}}, block.Extensions)
		} else {
			assert.Empty(t, block.Extensions, name)
		}
		assert.Empty(t, block.Service.Extensions, "%s: the list of the agent would be replaced", name)
		for processor := range block.Processors {
			assert.NotContains(t, agent.Processors, processor, name)
		}
		for id, p := range block.Service.Pipelines {
			if _, there := agent.Service.Pipelines[id]; there {
				// The one block that takes files over from the agent.
				assert.Equal(t, "multiline.yaml logs [otlp]", fmt.Sprint(name, " ", id, " ", p.Receivers))
				continue
			}
			assert.Equal(t, []string{"durable_kafka"}, p.Exporters, "%s: %s", name, id)
			require.NotEmpty(t, p.Processors, "%s: %s", name, id)
			assert.Equal(t, "label_preserve", p.Processors[len(p.Processors)-1], "%s: %s", name, id)
			assert.Equal(t, strings.HasPrefix(id, "logs/"), p.Processors[0] == "memory_limiter", "%s: %s: scrapes are not retried, logs are", name, id)
			assert.Empty(t, seen[id], "%s: %s is in two blocks", name, id)
			seen[id] = name
			for _, processor := range p.Processors {
				// What a batch processor has acknowledged it may lose; datagrams nobody keeps.
				assert.Equal(t, processor == "batch/syslog_udp", strings.HasPrefix(processor, "batch"), "%s: %s", name, id)
			}
			for _, receiver := range p.Receivers {
				own := block.Receivers[receiver]
				require.NotNil(t, own, "%s: %s", name, receiver)
				switch kind, _, _ := strings.Cut(receiver, "/"); kind {
				case "record_file", "durable_journal":
					assert.Equal(t, "file_storage", own["storage"], "%s: %s", name, receiver)
					assert.Equal(t, "beginning", own["start_at"], "%s: %s", name, receiver)
				case "syslog":
					retry, _ := own["retry_on_failure"].(map[string]any)
					assert.Equal(t, true, retry["enabled"], "%s: %s", name, receiver)
					assert.Equal(t, "0s", retry["max_elapsed_time"], "%s: %s", name, receiver)
				case "durable_fluent_forward", "docker_stats", "kubelet_stats", "prometheus":
				default:
					assert.Fail(t, "a receiver that this test does not know", "%s: %s", name, receiver)
				}
			}
		}
	}
}

// TestConsumerBlocks holds that each block of consumer.d is valid with every consumer, that it adds nothing to the way of data,
// and that what it takes from the environment is in the README.
func TestConsumerBlocks(t *testing.T) {
	blocks, err := filepath.Glob(filepath.Join(root(t), "configs", "consumer.d", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, blocks)
	profiles, err := filepath.Glob(filepath.Join(root(t), "configs", "consumer*.yaml"))
	require.NoError(t, err)
	for _, profile := range profiles {
		b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: append([]string{profile}, blocks...)})
		assert.NoError(t, b.Validate(t.Context()), profile)
	}
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	require.NoError(t, err)
	for _, path := range blocks {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: []string{"configs/consumer.yaml", path}})
			require.NoError(t, b.Validate(t.Context()))
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			var block struct {
				Exporters, Connectors, Extensions map[string]any
				Service                           struct {
					Extensions []string
					Pipelines  map[string]struct{ Receivers, Exporters []string }
				}
			}
			require.NoError(t, yaml.Unmarshal(text, &block))
			assert.Empty(t, block.Exporters)
			assert.Empty(t, block.Connectors)
			assert.Empty(t, block.Extensions)
			assert.Empty(t, block.Service.Extensions)
			for id, p := range block.Service.Pipelines {
				assert.True(t, strings.HasPrefix(id, "metrics/"), id)
				// A call ends there, so that a backend that is away does not hold up a stop.
				assert.Equal(t, []string{"dead_letter/own"}, p.Exporters, id)
			}
			for _, reference := range envReference.FindAllStringSubmatch(string(text), -1) {
				assert.Regexp(t, "(?m)^\\|.*`"+reference[1]+"`.*`"+regexp.QuoteMeta(reference[2])+"`", string(readme))
			}
		})
	}
}

var (
	envReference = regexp.MustCompile(`\$\{env:([A-Z0-9_]+)(?::-([^}]*))?\}`)
	listener     = regexp.MustCompile(`(?m)^\s*(?:listen_address|endpoint): \$\{env:[A-Z0-9_]+:-([^}]*)\}`)
)

// TestSettingsOfBlocks holds that what blocks take from the environment has a default, and is in the README or docs/sources.md with
// that default; and that they listen on loopback.
func TestSettingsOfBlocks(t *testing.T) {
	var documents string
	for _, name := range []string{"README.md", "docs/sources.md"} {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		require.NoError(t, err)
		documents += string(text)
	}
	for _, path := range agentBlocks(t) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, reference := range envReference.FindAllStringSubmatch(string(text), -1) {
			name, value := reference[1], reference[2]
			assert.Contains(t, reference[0], ":-", "%s: %s has no default", filepath.Base(path), name)
			described := false
			for line := range strings.Lines(documents) {
				described = described || strings.Contains(line, "| `"+name+"`") && (value == "" || strings.Contains(line, value))
			}
			assert.True(t, described, "%s: %s with its default %q is in no table of README.md and docs/sources.md", filepath.Base(path), name, value)
		}
		for _, endpoint := range listener.FindAllStringSubmatch(string(text), -1) {
			assert.Regexp(t, `^(unix:///|(https://)?127\.0\.0\.1:)`, endpoint[1], filepath.Base(path))
		}
	}
}

// TestContractDefaults holds that the profiles read every variable of the contract, with its default.
func TestContractDefaults(t *testing.T) {
	contract := map[string][]string{
		"agent.yaml": {
			"${env:KAFKA_BROKERS:-127.0.0.1:9092}",
			"${env:KAFKA_LOGS_TOPIC:-otel-logs-v1}",
			"${env:KAFKA_METRICS_TOPIC:-otel-metrics-v1}",
			"${env:BREAKWATER_STORAGE_DIR:-/var/lib/breakwater/agent}",
			"${env:BREAKWATER_QUEUE_BYTES:-10000000000}",
			"${env:LOG_INCLUDE:-/var/log/*.log,/var/log/**/*.log}",
			"${env:OTLP_GRPC_ENDPOINT:-127.0.0.1:4317}",
			"${env:OTLP_HTTP_ENDPOINT:-127.0.0.1:4318}",
			"${env:HEALTH_ENDPOINT:-127.0.0.1:13133}",
			"${env:METRICS_HOST:-127.0.0.1}", "${env:METRICS_PORT:-8888}",
			"key: SITE_NAME", "key: DEPLOY_ENV", "key: HOST_NAME", "key: SERVICE_NAME", "key: SERVICE_NAMESPACE",
		},
		"consumer.yaml": {
			"${env:KAFKA_BROKERS:-127.0.0.1:9092}",
			"${env:KAFKA_LOGS_TOPIC:-otel-logs-v1}",
			"${env:KAFKA_METRICS_TOPIC:-otel-metrics-v1}",
			"${env:KAFKA_FLUENTBIT_TOPIC:-fluent-bit-logs-v1}",
			"${env:KAFKA_DLQ_TOPIC:-otel-dlq-v1}",
			"${env:KAFKA_LEDGER_TOPIC:-breakwater-ledger-v1}",
			"${env:KAFKA_GROUP_ID:-breakwater-consumer}",
			"${env:VICTORIALOGS_ENDPOINT:-http://127.0.0.1:9428}",
			"${env:VICTORIAMETRICS_ENDPOINT:-http://127.0.0.1:8428}",
			"${env:BREAKWATER_STORAGE_DIR:-/var/lib/breakwater/consumer}",
			"${env:HEALTH_ENDPOINT:-127.0.0.1:13134}", "${env:LIVE_ENDPOINT:-127.0.0.1:13135}",
			"${env:METRICS_HOST:-127.0.0.1}", "${env:METRICS_PORT:-8889}",
		},
		"consumer-loki.yaml": {
			"${env:KAFKA_BROKERS:-127.0.0.1:9092}",
			"${env:KAFKA_LOGS_TOPIC:-otel-logs-v1}",
			"${env:KAFKA_METRICS_TOPIC:-otel-metrics-v1}",
			"${env:KAFKA_FLUENTBIT_TOPIC:-fluent-bit-logs-v1}",
			"${env:KAFKA_DLQ_TOPIC:-otel-dlq-v1}",
			"${env:KAFKA_LEDGER_TOPIC:-breakwater-ledger-v1}",
			"${env:KAFKA_GROUP_ID:-breakwater-consumer}-loki-logs",
			"${env:LOKI_ENDPOINT:-http://127.0.0.1:3100}",
			"${env:VICTORIAMETRICS_ENDPOINT:-http://127.0.0.1:8428}",
			"${env:BREAKWATER_STORAGE_DIR:-/var/lib/breakwater/consumer}",
			"${env:HEALTH_ENDPOINT:-127.0.0.1:13134}", "${env:LIVE_ENDPOINT:-127.0.0.1:13135}",
			"${env:METRICS_PORT:-8889}",
		},
		"standalone.yaml": {
			"${env:VICTORIALOGS_ENDPOINT:-http://127.0.0.1:9428}",
			"${env:VICTORIAMETRICS_ENDPOINT:-http://127.0.0.1:8428}",
			"${env:LIVE_ENDPOINT:-127.0.0.1:13136}",
			"${env:BREAKWATER_STORAGE_DIR:-/var/lib/breakwater/standalone}",
			"${env:BREAKWATER_QUEUE_BYTES:-10000000000}",
		},
	}
	for file, settings := range contract {
		text, err := os.ReadFile(filepath.Join(root(t), "configs", file))
		require.NoError(t, err)
		for _, setting := range settings {
			assert.Contains(t, string(text), setting, file)
		}
	}
}

// TestBothIsTheTwoConsumers holds that consumer-both.yaml has what consumer.yaml and consumer-loki.yaml have, under names
// of its own where the two have the same.
func TestBothIsTheTwoConsumers(t *testing.T) {
	read := func(name string) map[string]map[string]any {
		text, err := os.ReadFile(filepath.Join(root(t), "configs", name))
		require.NoError(t, err)
		var config map[string]map[string]any
		require.NoError(t, yaml.Unmarshal(text, &config))
		return config
	}
	both, victoria, loki := read("consumer-both.yaml"), read("consumer.yaml"), read("consumer-loki.yaml")
	for _, section := range []string{"receivers", "processors", "connectors", "exporters"} {
		for name, want := range victoria[section] {
			assert.Equal(t, want, both[section][name], "%s::%s", section, name)
		}
	}
	for name, want := range loki["exporters"] {
		assert.Equal(t, want, both["exporters"][name], name)
	}
	backends := func(config map[string]map[string]any) map[string]any {
		return config["extensions"]["durability"].(map[string]any)["backends"].(map[string]any)
	}
	for _, one := range []map[string]map[string]any{victoria, loki} {
		for name, want := range backends(one) {
			assert.Equal(t, want, backends(both)[name], name)
		}
	}
	for ofBoth, ofLoki := range map[string]string{"durable_kafka/logs_loki": "durable_kafka/logs", "durable_kafka/fluent_bit_loki": "durable_kafka/fluent_bit"} {
		want := loki["receivers"][ofLoki].(map[string]any)
		got := both["receivers"][ofBoth].(map[string]any)
		for _, key := range []string{"group_id", "durability", "merge", "initial_offset", "dead_letter"} {
			assert.Equal(t, want[key], got[key], "%s::%s", ofBoth, key)
		}
		assert.NotNil(t, want["merge"])
	}
}

// TestStandaloneIsAgentWithoutKafka holds that the two profiles have the same sources, labels and storage.
func TestStandaloneIsAgentWithoutKafka(t *testing.T) {
	read := func(name string) map[string]map[string]any {
		text, err := os.ReadFile(filepath.Join(root(t), "configs", name))
		require.NoError(t, err)
		// The default directory is the one difference.
		text = []byte(strings.ReplaceAll(string(text), "/var/lib/breakwater/standalone", "/var/lib/breakwater/agent"))
		var config map[string]map[string]any
		require.NoError(t, yaml.Unmarshal(text, &config))
		return config
	}
	agent, standalone := read("agent.yaml"), read("standalone.yaml")
	delete(standalone["receivers"], "otlp/spool")
	delete(standalone["extensions"]["lossless"].(map[string]any), "ignore") // what it cannot do without Kafka
	delete(standalone["extensions"], "live")                                // which shows what it has of a consumer
	for _, section := range []string{"receivers", "processors", "extensions"} {
		assert.NotEmpty(t, agent[section])
		assert.Equal(t, agent[section], standalone[section], section)
	}
	queue := func(config map[string]map[string]any, exporter string) any {
		return config["exporters"][exporter].(map[string]any)["sending_queue"]
	}
	assert.NotNil(t, queue(agent, "durable_kafka"))
	assert.Equal(t, queue(agent, "durable_kafka"), queue(standalone, "victorialogs"))
	assert.Equal(t, queue(agent, "durable_kafka"), queue(standalone, "otlp_grpc/spool"))
}

// TestWrongConfiguration holds that a mistake ends the start with one line that names the setting.
func TestWrongConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	tests := map[string]struct {
		config   string
		old, new string // replaced in the configuration
		env      map[string]string
		want     []string
	}{
		"unknown label source": {
			config: "agent.yaml", old: "source: env, key: SITE_NAME", new: "source: environment, key: SITE_NAME",
			want: []string{"processors::label_preserve", "labels[0] (site_name)", "unknown source `environment`"},
		},
		"empty endpoint": {
			config: "consumer.yaml", env: map[string]string{"VICTORIALOGS_ENDPOINT": ""},
			want: []string{"exporters::victorialogs", "`endpoint` must not be empty"},
		},
		"empty metrics endpoint": {
			config: "consumer.yaml", env: map[string]string{"VICTORIAMETRICS_ENDPOINT": ""},
			want: []string{"exporters::remote_write: `endpoint`", "extensions::durability: `backends::victoriametrics`: `endpoint`"},
		},
		"dead letter topic is read": {
			config: "consumer.yaml", env: map[string]string{"KAFKA_DLQ_TOPIC": "otel-logs-v1"},
			want: []string{"dead_letter", "topic", "otel-logs-v1"},
		},
		"unknown backend": {
			config: "consumer.yaml", old: "backends: [victorialogs]", new: "backends: [victorialog]",
			want: []string{"durability", "victorialog"},
		},
		"no stream fields": {
			config: "consumer.yaml",
			old:    "stream_fields: [stream, service_name, service_namespace, host_name, env, site_name]", new: "stream_fields: []",
			want: []string{"exporters::victorialogs", "`stream_fields` must not be empty"},
		},
		"storage below a file": {
			config: "agent.yaml", env: map[string]string{"BREAKWATER_STORAGE_DIR": file + "/storage"},
			want: []string{"`extensions::file_storage::directory` (BREAKWATER_STORAGE_DIR", file + "/storage", "not a directory"},
		},
		"no storage": {
			config: "standalone.yaml", env: map[string]string{"BREAKWATER_STORAGE_DIR": ""},
			want: []string{"`extensions::file_storage::directory` (BREAKWATER_STORAGE_DIR", "must not be empty"},
		},
		"queue size that is no number": {
			config: "agent.yaml", env: map[string]string{"BREAKWATER_QUEUE_BYTES": "lots"},
			want: []string{"durable_kafka", "sending_queue", "queue_size"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), "configs", test.config))
			require.NoError(t, err)
			require.Contains(t, string(text), test.old)
			config := filepath.Join(t.TempDir(), test.config)
			require.NoError(t, os.WriteFile(config, []byte(strings.Replace(string(text), test.old, test.new, 1)), 0o600))

			b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: []string{config}, Env: test.env})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			result, err := b.Run(ctx, "--config", config)
			require.NoError(t, err)
			assert.Equal(t, 1, result.ExitCode)
			_, message, found := strings.Cut(result.Output, "Error: ")
			require.True(t, found, result.Output)
			for _, want := range test.want {
				assert.Contains(t, message, want)
			}
			assert.NotContains(t, result.Output, "goroutine ", "no stack trace")
			assert.NotContains(t, result.Output, ".go:1\n")
		})
	}
}

// TestStorageIsNotWritable runs as a user who may not write there, which root can only be shown by giving it up.
func TestStorageIsNotWritable(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o555))
	b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{
		Env: map[string]string{"BREAKWATER_STORAGE_DIR": dir + "/storage"},
	})
	binary, err := harness.BinaryPath()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), binary, "--config", filepath.Join(root(t), "configs", "agent.yaml"))
	command.Env = []string{"BREAKWATER_STORAGE_DIR=" + b.StorageDir()}
	if os.Getuid() == 0 {
		// The directories on the way are those of root alone.
		for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			require.NoError(t, os.Chmod(at, 0o555))
		}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		command.Path = copyToPublic(t, binary)
		config := copyToPublic(t, filepath.Join(root(t), "configs", "agent.yaml"))
		command.Args = []string{"breakwater", "--config", config}
		command.Dir = "/"
	}
	output, err := command.CombinedOutput()
	require.Error(t, err, string(output))
	assert.Contains(t, string(output), "`extensions::file_storage::directory` (BREAKWATER_STORAGE_DIR in the shipped profiles): cannot use "+dir+"/storage: "+dir+" is not writable by this user")
	assert.NotContains(t, string(output), "goroutine ")
}

// copyToPublic makes a copy that every user can read and run.
func copyToPublic(t *testing.T, path string) string {
	dir, err := os.MkdirTemp("", "breakwater-public-") //nolint:usetesting // t.TempDir is below a directory of this user alone
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	name := filepath.Join(dir, filepath.Base(path))
	require.NoError(t, os.WriteFile(name, content, 0o755))
	return name
}

// TestKafkaUnreachableAtStart holds that both profiles start, say what they wait for, and go on trying.
func TestKafkaUnreachableAtStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	require.NoError(t, listener.Close())
	for profile, say := range map[string]string{
		"agent":    "unable to open connection to broker",
		"consumer": "unable to open connection to broker",
	} {
		t.Run(profile, func(t *testing.T) {
			b := harness.StartBreakwater(t, harness.BreakwaterOptions{
				Name:    profile,
				Configs: []string{"configs/" + profile + ".yaml"},
				Env:     map[string]string{"KAFKA_BROKERS": nobody, "LOG_INCLUDE": filepath.Join(t.TempDir(), "*.log")},
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, b.WaitLog(ctx, say))
			require.NoError(t, b.WaitLog(ctx, nobody))
			assert.True(t, b.Running())
			assert.NotContains(t, b.Log(), "goroutine ")
			assert.NotContains(t, b.Log(), "\n\t/", "no stack trace")
		})
	}
}
