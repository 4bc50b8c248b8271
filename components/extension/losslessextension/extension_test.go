package losslessextension

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/extension/losslessextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/extension/losslessextension/internal/metadatatest"
	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// started is an extension that has been started and told of a configuration.
type started struct {
	*losslessExtension
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
	err       error // of NotifyConfig
}

func start(t *testing.T, config Config, conf *confmap.Conf) started {
	require.NoError(t, config.Validate())
	core, logs := observer.New(zap.InfoLevel)
	telemetry := componenttest.NewTelemetry()
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	e, err := newExtension(&config, set)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, e.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return started{e, telemetry, logs, e.NotifyConfig(t.Context(), conf)}
}

// lines returns the messages of a level.
func (s started) lines(level string) []string {
	var lines []string
	for _, entry := range s.logs.All() {
		if entry.Level.String() == level {
			lines = append(lines, entry.Message)
		}
	}
	return lines
}

func (s started) assertFindings(t *testing.T, points ...metricdata.DataPoint[int64]) {
	metadatatest.AssertEqualExtensionLosslessFindings(t, s.telemetry, points, metricdatatest.IgnoreTimestamp())
}

func findings(code, state string, n int64) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{
		Value:      n,
		Attributes: attribute.NewSet(attribute.String("code", code), attribute.String("state", state)),
	}
}

func withMode(mode lossless.Mode, runtime lossless.Mode) Config {
	config := lossless.DefaultConfig()
	config.Mode, config.Runtime.Mode = mode, runtime
	config.Runtime.Interval, config.Runtime.Timeout = 20*time.Millisecond, 2*time.Second
	return config
}

// agentConf writes to Kafka and queues in a directory. The change is made in the exporter.
func agentConf(directory, brokers string, change map[string]any) *confmap.Conf {
	exporter := map[string]any{
		"brokers":          []any{brokers},
		"logs":             map[string]any{"topic": "logs"},
		"producer":         map[string]any{"required_acks": -1, "max_message_bytes": 1000000},
		"retry_on_failure": map[string]any{"enabled": true, "max_elapsed_time": time.Duration(0)},
		"sending_queue": map[string]any{
			"storage": "file_storage", "sizer": "bytes", "queue_size": 1 << 30, "block_on_overflow": true,
			"batch": map[string]any{"sizer": "bytes", "max_size": 900000},
		},
	}
	for key, value := range change {
		exporter[key] = value
	}
	return confmap.NewFromStringMap(map[string]any{
		"receivers":  map[string]any{"otlp": map[string]any{"protocols": map[string]any{}}},
		"exporters":  map[string]any{"durable_kafka": exporter},
		"extensions": map[string]any{"file_storage": map[string]any{"directory": directory, "fsync": true}},
		"service": map[string]any{
			"extensions": []any{"file_storage"},
			"pipelines":  map[string]any{"logs": map[string]any{"receivers": []any{"otlp"}, "exporters": []any{"durable_kafka"}}},
			"telemetry":  map[string]any{"metrics": map[string]any{"readers": []any{map[string]any{"pull": map[string]any{}}}}},
		},
	})
}

var endsAfter5m = map[string]any{"retry_on_failure": map[string]any{"enabled": true, "max_elapsed_time": 5 * time.Minute}}

const bw051 = "BW051 `exporters::durable_kafka::retry_on_failure::max_elapsed_time` (5m0s): retries end."

func TestEnforceEndsTheStart(t *testing.T) {
	s := start(t, withMode(lossless.Enforce, lossless.Off), agentConf("/queue", "127.0.0.1:1", endsAfter5m))
	require.ErrorContains(t, s.err, "the `lossless` extension found 1 way of losing data:\n  "+bw051)
	assert.Empty(t, s.lines("warn"), "the error is enough")
}

func TestWarnLogsOnceAndCounts(t *testing.T) {
	s := start(t, withMode(lossless.Warn, lossless.Off), agentConf("/queue", "127.0.0.1:1", endsAfter5m))
	require.NoError(t, s.err)
	lines := s.lines("warn")
	require.Len(t, lines, 1)
	assert.True(t, strings.HasPrefix(lines[0], "data can be lost: "+bw051), lines[0])
	s.assertFindings(t, findings("BW051", "reported", 1))
}

func TestIgnoredIsSaidWithItsReason(t *testing.T) {
	config := withMode(lossless.Enforce, lossless.Off)
	config.Ignore = map[string]string{"BW051": "after five minutes nobody wants it"}
	s := start(t, config, agentConf("/queue", "127.0.0.1:1", endsAfter5m))
	require.NoError(t, s.err)
	assert.Empty(t, s.lines("warn"))
	ignored := s.logs.FilterMessageSnippet("ignored: BW051").All()
	require.Len(t, ignored, 1)
	assert.Equal(t, "after five minutes nobody wants it", ignored[0].ContextMap()["reason"])
	s.assertFindings(t, findings("BW051", "ignored", 1))
}

func newCluster(t *testing.T, configs map[string]*string, replicas int16) *kfake.Cluster {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, replicas, configs, "logs")
	require.NoError(t, err)
	return cluster
}

func ptr(s string) *string { return &s }

func TestTopicsAreAsked(t *testing.T) {
	weak := newCluster(t, map[string]*string{"min.insync.replicas": ptr("1"), "retention.ms": ptr("3600000")}, 1)
	conf := agentConf(t.TempDir(), weak.ListenAddrs()[0], nil)

	s := start(t, withMode(lossless.Enforce, lossless.Enforce), conf)
	require.ErrorContains(t, s.err, "BW101 `topic logs: replication factor` (1)")
	require.ErrorContains(t, s.err, "BW102 `topic logs: min.insync.replicas` (1)")
	require.ErrorContains(t, s.err, "BW104 `topic logs: retention.ms` (1h0m0s, and a backlog of 24h0m0s)")

	s = start(t, withMode(lossless.Enforce, lossless.Warn), conf)
	require.NoError(t, s.err, "a topic does not end the start")
	require.Eventually(t, func() bool { return len(s.lines("warn")) == 3 }, 10*time.Second, 10*time.Millisecond)
	s.assertFindings(t, findings("BW101", "reported", 1), findings("BW102", "reported", 1), findings("BW104", "reported", 1))

	// What is mended is no longer found, and is said once.
	client, err := kgo.NewClient(kgo.SeedBrokers(weak.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		{Name: "retention.ms", Value: ptr("86400000")},
		{Name: "min.insync.replicas", Value: ptr("2")},
	}, "logs")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.logs.FilterMessage("no longer found").Len() == 2 }, 10*time.Second, 10*time.Millisecond)
	assert.Len(t, s.lines("warn"), 3, "a line for each finding, not for each look")
	s.assertFindings(t, findings("BW101", "reported", 1))
}

// TestSilenceIsNoMending holds that a finding stays when nobody answers any more.
func TestSilenceIsNoMending(t *testing.T) {
	weak := newCluster(t, map[string]*string{"min.insync.replicas": ptr("2")}, 1)
	config := withMode(lossless.Enforce, lossless.Warn)
	config.Runtime.Timeout = 500 * time.Millisecond
	s := start(t, config, agentConf(t.TempDir(), weak.ListenAddrs()[0], nil))
	require.NoError(t, s.err)
	require.Eventually(t, func() bool { return len(s.lines("warn")) == 1 }, 10*time.Second, 10*time.Millisecond)
	weak.Close()
	require.Eventually(t, func() bool { return s.logs.FilterMessageSnippet("could not be checked").Len() == 1 }, 10*time.Second, 10*time.Millisecond)
	assert.Zero(t, s.logs.FilterMessage("no longer found").Len())
	s.assertFindings(t, findings("BW101", "reported", 1))
}

func TestMissingTopic(t *testing.T) {
	cluster := newCluster(t, nil, 3)
	conf := agentConf(t.TempDir(), cluster.ListenAddrs()[0], map[string]any{"logs": map[string]any{"topic": "nowhere"}})
	s := start(t, withMode(lossless.Enforce, lossless.Enforce), conf)
	require.ErrorContains(t, s.err, "BW100 `topic nowhere`")
}

// TestUnreachableIsNoFinding holds that nobody's silence ends a start.
func TestUnreachableIsNoFinding(t *testing.T) {
	config := withMode(lossless.Enforce, lossless.Enforce)
	config.Runtime.Timeout = 200 * time.Millisecond
	config.Runtime.Interval = time.Hour
	s := start(t, config, agentConf(filepath.Join(t.TempDir(), "missing"), "127.0.0.1:1", nil))
	require.NoError(t, s.err)
	unchecked := s.logs.FilterMessage("could not be checked for ways to lose data").All()
	require.Len(t, unchecked, 2)
	assert.Equal(t, "extensions::file_storage", unchecked[0].ContextMap()["name"])
	assert.Equal(t, "exporters::durable_kafka logs", unchecked[1].ContextMap()["name"])
	metadatatest.AssertEqualExtensionLosslessUnchecked(t, s.telemetry, []metricdata.DataPoint[int64]{
		{Value: 0, Attributes: attribute.NewSet(attribute.String("subject", "backend"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("subject", "storage"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("subject", "topics"))},
	}, metricdatatest.IgnoreTimestamp())
}

// consumerConf writes to VictoriaLogs, whose retention the exporter takes for 7 days.
func consumerConf(endpoint string) *confmap.Conf {
	return confmap.NewFromStringMap(map[string]any{
		"receivers": map[string]any{"hostmetrics": map[string]any{}},
		"exporters": map[string]any{"remote_write": map[string]any{
			"endpoint": endpoint + "/api/v1/write", "limits": map[string]any{"max_past": 7 * 24 * time.Hour},
			"headers": map[string]any{"Secret": "[REDACTED]"},
		}},
		"service": map[string]any{
			"pipelines": map[string]any{"metrics": map[string]any{"receivers": []any{"hostmetrics"}, "exporters": []any{"remote_write"}}},
			"telemetry": map[string]any{"metrics": map[string]any{"readers": []any{map[string]any{"pull": map[string]any{}}}}},
		},
	})
}

func TestRetentionIsAsked(t *testing.T) {
	answer := make(chan string, 1)
	answer <- "6d"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/metrics", r.URL.Path)
		assert.Empty(t, r.Header.Get("Secret"))
		retention := <-answer
		answer <- retention
		_, _ = fmt.Fprintf(w, "vm_x 1\nflag{name=\"retentionPeriod\", value=%q, is_set=\"true\"} 1\n", retention)
	}))
	t.Cleanup(server.Close)
	config := withMode(lossless.Warn, lossless.Warn)
	config.Ignore = map[string]string{"BW042": "this is about the retention"}
	s := start(t, config, consumerConf(server.URL))
	require.NoError(t, s.err)
	require.Eventually(t, func() bool { return len(s.lines("warn")) == 1 }, 10*time.Second, 10*time.Millisecond)
	assert.Contains(t, s.lines("warn")[0], "BW114 `exporters::remote_write::limits::max_past` (168h0m0s, and the server keeps 144h0m0s)")

	<-answer
	answer <- "1"
	require.Eventually(t, func() bool { return s.logs.FilterMessage("no longer found").Len() == 1 }, 10*time.Second, 10*time.Millisecond)
}

func TestReadRetention(t *testing.T) {
	const month = 31 * day
	for text, want := range map[string]time.Duration{
		`flag{name="retentionPeriod",value="7d",is_set="false"} 1`: 7 * day,
		`flag{name="retentionPeriod", value="1", is_set="true"} 1`: month,
		`flag{name="retentionPeriod", value="36h"} 1`:              36 * time.Hour,
		`flag{name="retentionPeriod", value="604800s"} 1`:          7 * day,
		`flag{name="retentionPeriod", value="1d12h"} 1`:            36 * time.Hour,
		`flag{name="retentionPeriod", value="1.5"} 1`:              month * 3 / 2,
		`flag{name="retentionPeriod", value="2w"} 1`:               14 * day,
		`flag{name="retentionPeriod", value="100y"} 1`:             100 * 365 * day,
		`flag{name="retentionPeriod", value="1000y"} 1`:            1 << 62,
	} {
		got, err := readRetention(strings.NewReader("# HELP\nother 1\n" + text + "\n"))
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"":      "do not have the flag",
		"x 1\n": "do not have the flag",
		`flag{name="retentionPeriod", value="soon"} 1`: `"soon"`,
		`flag{name="retentionPeriod", value=""} 1`:     `""`,
		`flag{name="retentionPeriod", value="-1d"} 1`:  `"-1d"`,
		`flag{name="futureRetention", value="2d"} 1`:   "do not have the flag",
		strings.Repeat("x", maxMetricsBytes+1):         "token too long",
	} {
		_, err := readRetention(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

// TestREADMEHasTheTable holds that the table of findings is that of the code.
func TestREADMEHasTheTable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.True(t, strings.Contains(string(readme), lossless.Table()), "README.md must have this table:\n%s", lossless.Table())
	assert.False(t, slices.Contains(strings.Fields(string(readme)), "TODO"))
}
