// Package sources tests the blocks of configs/agent.d, each on real input of its kind: block and agent.yaml → Kafka →
// consumer-both.yaml → VictoriaLogs, Loki and VictoriaMetrics. The rows that arrive are compared with what was written, all of them:
// nothing is missing, and nothing is there twice.
package sources

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// arriveTimeout is for a loaded machine of two cores.
const arriveTimeout = 90 * time.Second

// hostName is the HOST_NAME of the agents that have one.
const hostName = "edge-7"

// site is what is behind the agents. Each agent has a site_name of its own, so they can share it. Kafka is not the point
// here, and in this process.
type site struct {
	kafka   *harness.FakeKafka
	logs    *harness.VictoriaLogs
	loki    *harness.Loki
	metrics *harness.VictoriaMetrics
}

// TestSources runs all sources at once: they wait most of the time.
func TestSources(t *testing.T) {
	s := &site{
		kafka: harness.StartFakeKafka(t, harness.FakeKafkaOptions{Options: []kfake.Opt{
			kfake.SeedTopics(2, "otel-logs-v1", "otel-metrics-v1", "fluent-bit-logs-v1", "otel-dlq-v1"),
		}}),
		logs:    harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{}),
		loki:    harness.StartLoki(t, harness.LokiOptions{Config: "examples/loki/loki.yaml"}),
		metrics: harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{}),
	}
	harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "consumer",
		Configs: []string{"configs/consumer-both.yaml"},
		Env: map[string]string{
			"KAFKA_BROKERS":            s.kafka.BootstrapServers(),
			"VICTORIALOGS_ENDPOINT":    s.logs.URL(),
			"VICTORIALOGS_RETENTION":   "168h",
			"LOKI_ENDPOINT":            s.loki.URL(),
			"VICTORIAMETRICS_ENDPOINT": s.metrics.URL(),
		},
	})
	for name, test := range map[string]func(*testing.T, *site){
		"agent":           testAgent,
		"docker":          testDocker,
		"kubernetes":      testKubernetes,
		"multiline":       testMultiline,
		"journald":        testJournald,
		"syslog":          testSyslog,
		"fluent_forward":  testFluentForward,
		"docker_stats":    testDockerStats,
		"prometheus":      testPrometheus,
		"kubelet_metrics": testKubeletMetrics,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// agent starts agent.yaml with blocks of agent.d. Its site_name is the name of the test.
func (s *site) agent(t *testing.T, env map[string]string, blocks ...string) *harness.Breakwater {
	configs := []string{"configs/agent.yaml"}
	for _, block := range blocks {
		configs = append(configs, "configs/agent.d/"+block+".yaml")
	}
	all := map[string]string{
		"KAFKA_BROKERS": s.kafka.BootstrapServers(),
		"SITE_NAME":     siteName(t),
		"DEPLOY_ENV":    "test",
		"LOG_INCLUDE":   filepath.Join(t.TempDir(), "none", "*.log"),
	}
	maps.Copy(all, env)
	return harness.StartBreakwater(t, harness.BreakwaterOptions{Name: "agent", Configs: configs, Env: all})
}

// freeEndpoint returns an address on loopback that is free until the test ends.
func freeEndpoint(t *testing.T) string {
	port, err := harness.FreePort()
	require.NoError(t, err)
	t.Cleanup(func() { harness.ReleasePort(port) })
	return harness.Loopback(port)
}

func siteName(t *testing.T) string { return filepath.Base(t.Name()) }

// row is what a test expects of a row.
type row struct {
	message string
	stream  string // stdout or stderr, where the source knows it
}

// rows waits until as many rows of this test are in VictoriaLogs as are wanted, and returns all there are.
func (s *site) rows(t *testing.T, want int) []harness.LogRow {
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	filter := fmt.Sprintf("{site_name=%q}", siteName(t))
	err := harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		got, err := s.logs.Count(ctx, filter)
		if err == nil && got < int64(want) {
			err = fmt.Errorf("%d rows of %d", got, want)
		}
		return err
	})
	assert.NoError(t, err)
	rows, err := s.logs.Query(t.Context(), filter)
	require.NoError(t, err)
	return rows
}

// awaitSent waits until nothing is in the disk queue of the agent. What is killed after it sends nothing twice.
func (s *site) awaitSent(t *testing.T, agent *harness.Breakwater) {
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		own, err := agent.Metrics(ctx)
		if err != nil {
			return err
		}
		if queued := own.Sum("otelcol_exporter_queue_size"); queued > 0 {
			return fmt.Errorf("%v bytes are in the queue", queued)
		}
		return nil
	}))
}

// requireRows holds that the rows of this test are those that are wanted, and returns them. What was on its way to Kafka
// while the agent was killed may be there twice: that is for mayRepeat to say.
func (s *site) requireRows(t *testing.T, want []row, mayRepeat ...func(message string) bool) []harness.LogRow {
	var rows []harness.LogRow
	missing := make(map[row]int)
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	_ = harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) (err error) {
		if rows, err = s.logs.Query(ctx, fmt.Sprintf("{site_name=%q}", siteName(t))); err != nil {
			return err
		}
		clear(missing)
		for _, r := range want {
			missing[r]++
		}
		for _, r := range rows {
			missing[row{r["_msg"], r["stream"]}]--
		}
		for r, n := range missing {
			if n > 0 {
				return fmt.Errorf("%q is missing", shorten(r.message))
			}
		}
		return nil
	})
	for r, n := range missing {
		switch {
		case n > 0:
			t.Errorf("missing, %d times: %q of %q", n, shorten(r.message), r.stream)
		case n < 0 && !slices.ContainsFunc(mayRepeat, func(may func(string) bool) bool { return slices.Contains(want, r) && may(r.message) }):
			t.Errorf("not wanted, %d times: %q of %q", -n, shorten(r.message), r.stream)
		}
	}
	require.False(t, t.Failed(), "%d rows, %d wanted", len(rows), len(want))
	s.requireInLoki(t, want)
	return rows
}

func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:most], len(text))
}

// rowOf returns the one row with that message.
func rowOf(t *testing.T, rows []harness.LogRow, message string) harness.LogRow {
	for _, r := range rows {
		if r["_msg"] == message {
			return r
		}
	}
	require.Fail(t, "no such row", message)
	return nil
}

// requireFields holds that a row has these fields, among others.
func requireFields(t *testing.T, r harness.LogRow, want map[string]string) {
	for name, value := range want {
		assert.Equal(t, value, r[name], "%s of %v", name, r)
	}
}

// series waits until a metric of this test is in VictoriaMetrics, and returns its series. The metric is a name, or a selector
// in braces.
func (s *site) series(t *testing.T, metric string) []harness.QueryResult {
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	selector := fmt.Sprintf("site_name=%q", siteName(t))
	if more, ok := strings.CutPrefix(metric, "{"); ok {
		selector += "," + strings.TrimSuffix(more, "}")
	} else {
		selector += fmt.Sprintf(",__name__=%q", metric)
	}
	var got []harness.QueryResult
	err := harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) (err error) {
		if err = s.metrics.Flush(ctx); err != nil {
			return err
		}
		got, err = s.metrics.Query(ctx, "last_over_time({"+selector+"}[1h])")
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("no series of %s", metric)
		}
		return err
	})
	require.NoError(t, err)
	return got
}

// traces returns the records of the corpus of stack traces: Java, Python, Go and Node.js, and lines between them.
func traces(t *testing.T) []string {
	root, err := harness.Root()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, "components/receiver/recordfilereceiver/testdata/traces/*.txt"))
	require.NoError(t, err)
	require.Len(t, files, 4)
	var records []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		records = append(records, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n----\n")...)
	}
	return records
}
