// Package swap tests what the backends of logs have to do with each other: that one takes the place of another while
// agents run, that two run side by side, and what Loki refuses and forgets. The configurations are the shipped files, that
// of Loki included.
package swap

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// arriveTimeout is how long the last record may take, on a loaded machine.
const arriveTimeout = 3 * time.Minute

// checkpointFlags make Loki's checkpoints short, and flushWindow is the window that goes with them.
var checkpointFlags = []string{"-ingester.checkpoint-duration=3s"}

const flushWindow = "8s"

// site is the parts of a test.
type site struct {
	env       map[string]string
	client    *harness.KafkaClient
	logs      *harness.VictoriaLogs
	metrics   *harness.VictoriaMetrics
	loki      *harness.Loki
	agents    []*harness.Breakwater
	writers   []*harness.LogWriter
	fluentBit *fluentBit
}

// newSite starts everything but the consumer: two agents whose files are written to, and something that writes as Fluent
// Bit does.
func newSite(t *testing.T, kafka *harness.Kafka) *site {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	s := &site{env: map[string]string{
		"KAFKA_BROKERS":         kafka.BootstrapServers(),
		"KAFKA_GROUP_ID":        name,
		"KAFKA_LOGS_TOPIC":      name + "-logs",
		"KAFKA_METRICS_TOPIC":   name + "-metrics",
		"KAFKA_FLUENTBIT_TOPIC": name + "-fluent-bit",
		"KAFKA_DLQ_TOPIC":       name + "-dlq",
		"LOKI_FLUSH_WINDOW":     flushWindow,
	}}
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s.client = client
	// As `make topics` does, but that there is one broker.
	report, err := topics.Ensure(t.Context(), client.Client(), topics.Defaults(func(name string) string { return s.env[name] }))
	require.NoError(t, err)
	require.Empty(t, report.Problems())

	s.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	s.metrics = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	s.loki = harness.StartLoki(t, harness.LokiOptions{Config: "examples/loki/loki.yaml", Args: checkpointFlags})
	s.env["VICTORIALOGS_ENDPOINT"] = s.logs.URL()
	s.env["VICTORIAMETRICS_ENDPOINT"] = s.metrics.URL()
	s.env["LOKI_ENDPOINT"] = s.loki.URL()

	for i := range 2 {
		host := fmt.Sprintf("edge-%d", i+1)
		writer, err := harness.NewLogWriter(harness.LogWriterOptions{Name: host, Dir: t.TempDir(), Rate: 200})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, writer.Close()) })
		s.writers = append(s.writers, writer)
		s.agents = append(s.agents, harness.StartBreakwater(t, harness.BreakwaterOptions{
			Name: "agent-" + host, Configs: []string{"configs/agent.yaml"},
			Env: merge(s.env, map[string]string{
				"LOG_INCLUDE": writer.Glob(), "HOST_NAME": host, "SITE_NAME": "lab", "DEPLOY_ENV": "test",
				"SERVICE_NAME": "checkout", "SERVICE_NAMESPACE": "shop",
			}),
		}))
		require.NoError(t, writer.Start())
	}
	s.fluentBit = startFluentBit(t, client, s.env["KAFKA_FLUENTBIT_TOPIC"])
	return s
}

func merge(parts ...map[string]string) map[string]string {
	merged := make(map[string]string)
	for _, m := range parts {
		maps.Copy(merged, m)
	}
	return merged
}

func (s *site) startConsumer(t *testing.T, config string) *harness.Breakwater {
	return harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer-" + strings.TrimSuffix(config, ".yaml"), Configs: []string{"configs/" + config}, Env: s.env,
	})
}

// written is how many lines there are.
func (s *site) written() int64 {
	n := s.fluentBit.written.Load()
	for _, w := range s.writers {
		n += w.Written()
	}
	return n
}

// stopWriting waits for the last line to be written.
func (s *site) stopWriting(t *testing.T) {
	for _, w := range s.writers {
		require.NoError(t, w.Stop())
	}
	s.fluentBit.stop(t)
}

// backend is where lines arrive.
type backend interface {
	Name() string
	count(ctx context.Context) (int64, error)
	each(ctx context.Context, line func(string)) error
}

type victoriaLogs struct{ *harness.VictoriaLogs }

func (v victoriaLogs) count(ctx context.Context) (int64, error) {
	if err := v.Flush(ctx); err != nil {
		return 0, err
	}
	return v.Count(ctx, "*")
}

func (v victoriaLogs) each(ctx context.Context, line func(string)) error {
	return v.QueryEach(ctx, "*", func(row harness.LogRow) error {
		line(row["_msg"])
		return nil
	})
}

type loki struct{ *harness.Loki }

const allStreams = `{service_name=~".+"}`

func lokiRange() (from, to time.Time) {
	return time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
}

func (l loki) count(ctx context.Context) (int64, error) {
	from, to := lokiRange()
	return l.Count(ctx, allStreams, from, to)
}

func (l loki) each(ctx context.Context, line func(string)) error {
	from, to := lokiRange()
	return l.QueryEach(ctx, allStreams, from, to, func(e harness.LokiEntry) error {
		line(e.Line)
		return nil
	})
}

// awaitCount waits until a backend has n lines.
func awaitCount(t *testing.T, b backend, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		have, err := b.count(ctx)
		if err == nil && have < n {
			err = fmt.Errorf("%s has %d lines of %d", b.Name(), have, n)
		}
		return err
	}))
}

// requireAll holds that a backend has every line that was written, once.
func (s *site) requireAll(t *testing.T, b backend) {
	t.Helper()
	awaitCount(t, b, s.written())
	s.requireOnce(t, b, true)
}

// requireOnce holds that a backend has no line twice, and, where they are to be complete, each.
func (s *site) requireOnce(t *testing.T, b backend, complete bool) {
	t.Helper()
	tally := harness.NewTally()
	require.NoError(t, b.each(t.Context(), tally.Add))
	assert.Zero(t, tally.Corrupt)
	assert.Zero(t, tally.Foreign)
	for _, r := range s.reports(tally) {
		t.Logf("%s: %s", b.Name(), r)
		assert.Zero(t, r.Duplicates, "twice in %s: %s", b.Name(), r.Writer)
		assert.Zero(t, r.Unwritten, r.Writer)
		if complete {
			assert.Zero(t, r.Lost, "missing in %s: %s", b.Name(), r)
		}
	}
}

func (s *site) reports(tally *harness.Tally) []harness.TallyReport {
	var reports []harness.TallyReport
	for _, w := range s.writers {
		reports = append(reports, tally.Compare(w))
	}
	return append(reports, tally.CompareTo(fluentBitName, s.fluentBit.written.Load()))
}

const fluentBitName = "fluent-bit"

// fluentBit writes messages as an agent of Fluent Bit does.
type fluentBit struct {
	written atomic.Int64
	cancel  context.CancelFunc
	ended   chan error
}

func startFluentBit(t *testing.T, client *harness.KafkaClient, topic string) *fluentBit {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fluentBit{cancel: cancel, ended: make(chan error, 1)}
	t.Cleanup(cancel)
	go func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				f.ended <- nil
				return
			case <-ticker.C:
			}
			var records []*kgo.Record
			seq := f.written.Load()
			for i := range int64(20) {
				message := fmt.Sprintf(`{"@timestamp":"%s","log":%q,"stream":"stdout","service_name":"billing","service_namespace":"shop",`+
					`"host_name":"edge-9","env":"test","site_name":"lab"}`,
					time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z"), harness.FormatLine(fluentBitName, seq+i, "from Fluent Bit"))
				records = append(records, &kgo.Record{Topic: topic, Value: []byte(message)})
			}
			if err := client.Produce(context.Background(), records...); err != nil {
				f.ended <- err
				return
			}
			f.written.Add(int64(len(records)))
		}
	}()
	return f
}

func (f *fluentBit) stop(t *testing.T) {
	f.cancel()
	require.NoError(t, <-f.ended)
}
