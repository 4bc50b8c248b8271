// Package lossless tests the lossless check with the binary: in `validate`, at the start, and around it with a real
// Kafka and a real VictoriaLogs.
package lossless

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const (
	agent    = "configs/agent.yaml"
	consumer = "configs/consumer.yaml"
	// mistake is planted on top of the agent profile, mild makes it a warning.
	mistake = "yaml:exporters::kafka::retry_on_failure::max_elapsed_time: 5m"
	mild    = "yaml:extensions::lossless::mode: warn"
	finding = "BW051 `exporters::kafka::retry_on_failure::max_elapsed_time` (5m0s): retries end. " +
		"Loss: a batch that is refused for longer is deleted, from the disk queue, too. Fix: set it to 0s."
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func run(t *testing.T, args ...string) harness.RunResult {
	b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: []string{agent}})
	result, err := b.Run(within(t, time.Minute), args...)
	require.NoError(t, err)
	return result
}

func TestValidate(t *testing.T) {
	result := run(t, "validate", "--config", agent, "--config", mistake)
	assert.Equal(t, 1, result.ExitCode)
	assert.Contains(t, result.Output, "the `lossless` extension found 1 way of losing data:\n  "+finding)

	result = run(t, "validate", "--config", agent, "--config", mistake, "--config", mild)
	assert.Equal(t, 0, result.ExitCode, result.Output)
	assert.Contains(t, result.Output, "warning: data can be lost: "+finding)

	result = run(t, "validate", "--config", agent)
	assert.Equal(t, 0, result.ExitCode, result.Output)
	assert.NotContains(t, result.Output, "BW")

	// Dollars that mean themselves are read as such.
	result = run(t, "validate", "--config", agent, "--config", mistake, "--config",
		"yaml:exporters::kafka::client_id: a$${env:NOTHING}b")
	assert.Equal(t, 1, result.ExitCode)
	assert.Contains(t, result.Output, finding)

	// Another mistake is said as always, whatever lossless would find.
	result = run(t, "validate", "--config", agent, "--config", "yaml:exporters::kafka::nonsense: 1")
	assert.Equal(t, 1, result.ExitCode)
	assert.Contains(t, result.Output, "nonsense")
}

func TestEnforceRefusesToStart(t *testing.T) {
	result := run(t, "--config", agent, "--config", mistake, "--config", "yaml:exporters::kafka::producer::required_acks: 1")
	assert.Equal(t, 1, result.ExitCode)
	assert.Contains(t, result.Output, "the `lossless` extension found 2 ways of losing data:\n  "+finding)
	assert.Contains(t, result.Output, "BW056 `exporters::kafka::producer::required_acks` (1)")
	assert.NotContains(t, result.Output, "Everything is ready")
	assert.NotContains(t, result.Output, "goroutine ")
}

// requireFindings waits for a number of findings of a code in the metrics of the process.
func requireFindings(t *testing.T, b *harness.Breakwater, code string, n float64) {
	require.NoError(t, harness.Eventually(within(t, time.Minute), 200*time.Millisecond, func(ctx context.Context) error {
		metrics, err := b.Metrics(ctx)
		if err != nil {
			return err
		}
		if got := metrics.Sum("otelcol_extension_lossless_findings", "code", code, "state", "reported"); got != n {
			return fmt.Errorf("%v findings of %s, not %v", got, code, n)
		}
		return nil
	}))
}

func TestWarnStarts(t *testing.T) {
	b := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Configs: []string{agent, mistake, mild},
		Env: map[string]string{
			"LOG_INCLUDE":            filepath.Join(t.TempDir(), "*.log"),
			"BREAKWATER_QUEUE_BYTES": "1000000000000000000",
		},
	})
	require.NoError(t, b.WaitLog(within(t, time.Minute), "data can be lost: "+finding))
	requireFindings(t, b, "BW051", 1)
	// No disk is that large. And nobody is at KAFKA_BROKERS, which is no finding.
	requireFindings(t, b, "BW110", 1)
	require.NoError(t, b.WaitLog(within(t, time.Minute), "could not be checked for ways to lose data"))
	assert.True(t, b.Running())
}

// TestSurroundings has a Kafka of one broker, and a VictoriaLogs that keeps data for less than the exporter believes.
func TestSurroundings(t *testing.T) {
	kafka := harness.StartKafka(t, harness.KafkaOptions{Brokers: 1})
	client, err := kafka.NewClient()
	require.NoError(t, err)
	t.Cleanup(client.Close)
	text := func(s string) *string { return &s }
	_, err = client.Admin().CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": text("3600000")}, "otel-logs-v1")
	require.NoError(t, err)
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: 7 * 24 * time.Hour})
	options := harness.BreakwaterOptions{
		Configs: []string{consumer, "yaml:extensions::lossless::runtime::interval: 1s"},
		Env: map[string]string{
			"KAFKA_BROKERS":          kafka.BootstrapServers(),
			"VICTORIALOGS_ENDPOINT":  logs.URL(),
			"VICTORIALOGS_RETENTION": "8760h",
		},
	}
	b := harness.StartBreakwater(t, options)
	for code, findings := range map[string]float64{
		"BW100": 3, // metrics, Fluent Bit and dead letters
		"BW101": 1, "BW102": 1, "BW104": 1, "BW114": 1,
	} {
		requireFindings(t, b, code, findings)
	}
	_, err = client.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: text("86400000")}}, "otel-logs-v1")
	require.NoError(t, err)
	requireFindings(t, b, "BW104", 0)
	require.NoError(t, b.Stop(t.Context()))

	// The same as an error of the start.
	options.Env["LOSSLESS_MODE"] = "enforce"
	strict := harness.PrepareBreakwater(t, options)
	result, err := strict.Run(within(t, time.Minute), "--config", consumer)
	require.NoError(t, err)
	assert.Equal(t, 1, result.ExitCode)
	assert.Contains(t, result.Output, "BW101 `topic otel-logs-v1: replication factor` (1)")
	assert.Contains(t, result.Output, "BW114 `exporters::victorialogs::limits::max_past`")
}
