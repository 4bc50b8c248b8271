package deadletterconnector

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector/internal/metadatatest"
)

func idOf(signal pipeline.Signal, name string) pipeline.ID {
	return pipeline.NewIDWithName(signal, name)
}

// pipelineDouble takes logs, or answers with an error.
type pipelineDouble struct {
	mutates bool
	err     func(attempt int) error // nil: no error
	during  func()

	mu       sync.Mutex
	attempts int
	taken    [][]string
	infos    []client.Info
}

func (p *pipelineDouble) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: p.mutates}
}

func (p *pipelineDouble) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	list := bodies(logs)
	if p.mutates {
		logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
	}
	if p.during != nil {
		p.during()
	}
	if p.err != nil {
		if err := p.err(p.attempts); err != nil {
			return err
		}
	}
	p.taken = append(p.taken, list)
	p.infos = append(p.infos, client.FromContext(ctx))
	return nil
}

func (p *pipelineDouble) received() [][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

type logsTest struct {
	connector     connector.Logs
	primary, dead *pipelineDouble
	telemetry     *componenttest.Telemetry
}

func testConfig(signal pipeline.Signal) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Primary = []pipeline.ID{idOf(signal, "primary")}
	cfg.DeadLetter = []pipeline.ID{idOf(signal, "dead")}
	cfg.RetryConfig.InitialInterval = time.Millisecond
	cfg.RetryConfig.MaxInterval = time.Millisecond
	return cfg
}

func newLogsTest(t *testing.T, mutates bool) *logsTest {
	r := &logsTest{primary: &pipelineDouble{mutates: mutates}, dead: &pipelineDouble{mutates: mutates}, telemetry: componenttest.NewTelemetry()}
	set := connectortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	c, err := NewFactory().CreateLogsToLogs(t.Context(), set, testConfig(pipeline.SignalLogs), connector.NewLogsRouter(map[pipeline.ID]consumer.Logs{
		idOf(pipeline.SignalLogs, "primary"): r.primary, idOf(pipeline.SignalLogs, "dead"): r.dead,
	}))
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, c.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	r.connector = c
	return r
}

func sum(t *testing.T, r *logsTest, name string, attributes ...attribute.KeyValue) int64 {
	found, err := r.telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	for _, point := range found.Data.(metricdata.Sum[int64]).DataPoints {
		if point.Attributes.Equals(new(attribute.NewSet(attributes...))) {
			return point.Value
		}
	}
	t.Errorf("%s has no point with %v", name, attributes)
	return 0
}

var signalLogs = attribute.String("signal", "logs")

func TestWhatThePrimaryTakesIsDone(t *testing.T) {
	r := newLogsTest(t, false)
	require.NoError(t, r.connector.ConsumeLogs(t.Context(), logsOf("a")))
	assert.Equal(t, [][]string{{"a"}}, r.primary.received())
	assert.Empty(t, r.dead.received())
	assert.False(t, r.connector.Capabilities().MutatesData)
}

func TestMetrics(t *testing.T) {
	r := newLogsTest(t, false)
	r.primary.err = func(attempt int) error {
		if attempt == 1 {
			return errPlain
		}
		return refusedLogs("a", "b")
	}
	r.dead.err = func(attempt int) error {
		if attempt < 3 {
			return errPlain
		}
		return nil
	}
	require.ErrorIs(t, r.connector.ConsumeLogs(t.Context(), logsOf("a", "b", "c")), errPlain)
	require.NoError(t, r.connector.ConsumeLogs(t.Context(), logsOf("a", "b", "c")))
	point := func(value int64, attributes ...attribute.KeyValue) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: value, Attributes: attribute.NewSet(attributes...)}}
	}
	metadatatest.AssertEqualConnectorDeadLetterReturnedRequests(t, r.telemetry, point(1, signalLogs), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualConnectorDeadLetterFailedAttempts(t, r.telemetry, point(2, signalLogs), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualConnectorDeadLetterRecords(t, r.telemetry, point(2, signalLogs, attribute.String("reason", "refused")), metricdatatest.IgnoreTimestamp())
}

func TestTheDeadLetterPipelineIsRetriedAndThePrimaryIsNot(t *testing.T) {
	for name, failure := range map[string]error{"transient": errPlain, "permanent": errPermanent, "partial": consumererror.NewLogs(errPlain, logsOf("a"))} {
		for _, mutates := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, mutates %v", name, mutates), func(t *testing.T) {
				r := newLogsTest(t, mutates)
				r.primary.err = func(int) error { return errPermanent }
				r.dead.err = func(attempt int) error {
					if attempt < 5 {
						return failure
					}
					return nil
				}
				require.NoError(t, r.connector.ConsumeLogs(t.Context(), logsOf("a", "b")))
				assert.Equal(t, 1, r.primary.attempts)
				assert.Equal(t, 5, r.dead.attempts)
				assert.Equal(t, [][]string{{"a", "b"}}, r.dead.received())
			})
		}
	}
}

func TestTheEndOfTheContextIsAnErrorThatMayPass(t *testing.T) {
	for name, answer := range map[string]error{"error": errPermanent, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			r := newLogsTest(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.primary.err = func(int) error { return errPermanent }
			r.dead.during = cancel
			r.dead.err = func(int) error { return answer }
			err := r.connector.ConsumeLogs(ctx, logsOf("a"))
			require.ErrorIs(t, err, context.Canceled)
			assert.False(t, consumererror.IsPermanent(err))
			assert.Equal(t, 1, r.dead.attempts)
			assert.Zero(t, sum(t, r, "otelcol_connector_dead_letter_records", signalLogs))
		})
	}
	t.Run("before", func(t *testing.T) {
		r := newLogsTest(t, false)
		ctx, cancel := context.WithCancel(t.Context())
		r.primary.err = func(int) error { cancel(); return errPermanent }
		require.ErrorIs(t, r.connector.ConsumeLogs(ctx, logsOf("a")), context.Canceled)
		assert.Zero(t, r.dead.attempts)
	})
	t.Run("while it waits", func(t *testing.T) {
		r := newLogsTest(t, false)
		cfg := testConfig(pipeline.SignalLogs)
		cfg.RetryConfig.InitialInterval, cfg.RetryConfig.MaxInterval = time.Hour, time.Hour
		c, err := NewFactory().CreateLogsToLogs(t.Context(), connectortest.NewNopSettings(metadata.Type), cfg, connector.NewLogsRouter(map[pipeline.ID]consumer.Logs{
			idOf(pipeline.SignalLogs, "primary"): r.primary, idOf(pipeline.SignalLogs, "dead"): r.dead,
		}))
		require.NoError(t, err)
		r.primary.err = func(int) error { return errPermanent }
		failed := make(chan struct{})
		r.dead.err = func(int) error { close(failed); return errPlain }
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-failed; cancel() }()
		require.ErrorIs(t, c.ConsumeLogs(ctx, logsOf("a")), context.Canceled)
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// TestTimeout holds that a call of somebody who waits without end ends, and as an error that may pass: the exporter has
// not refused anything.
func TestTimeout(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	set := connectortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	cfg := testConfig(pipeline.SignalMetrics)
	cfg.Timeout = 10 * time.Millisecond
	unreachable, err := consumer.NewMetrics(func(ctx context.Context, _ pmetric.Metrics) error {
		<-ctx.Done()
		return consumererror.NewPermanent(ctx.Err())
	})
	require.NoError(t, err)
	dead := new(consumertest.MetricsSink)
	c, err := NewFactory().CreateMetricsToMetrics(t.Context(), set, cfg, connector.NewMetricsRouter(map[pipeline.ID]consumer.Metrics{
		cfg.Primary[0]: unreachable, cfg.DeadLetter[0]: dead,
	}))
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, c.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	err = c.ConsumeMetrics(t.Context(), pmetric.NewMetrics())
	require.ErrorContains(t, err, context.DeadlineExceeded.Error())
	assert.False(t, consumererror.IsPermanent(err))
	assert.Empty(t, dead.AllMetrics())
}

func TestClientMetadata(t *testing.T) {
	r := newLogsTest(t, false)
	r.primary.err = func(int) error {
		return consumererror.NewLogs(consumererror.NewPermanent(errors.New(strings.Repeat("é", 4000))), logsOf("a"))
	}
	given := client.Info{Metadata: client.NewMetadata(map[string][]string{
		"tenant":                        {"x", "y"},
		"breakwater.kafka.topic":        {"otel-logs-v1"},
		"breakwater.kafka.offset":       {"7"},
		"breakwater.dead_letter.reason": {"what a client sends"},
	})}
	require.NoError(t, r.connector.ConsumeLogs(client.NewContext(t.Context(), given), logsOf("a", "b")))
	require.Len(t, r.dead.infos, 1)
	metadata := r.dead.infos[0].Metadata
	assert.Equal(t, []string{"x", "y"}, metadata.Get("tenant"))
	assert.Equal(t, []string{"otel-logs-v1"}, metadata.Get("breakwater.kafka.topic"))
	assert.Equal(t, []string{"7"}, metadata.Get("breakwater.kafka.offset"))
	assert.Equal(t, []string{"refused"}, metadata.Get("breakwater.dead_letter.reason"))
	text := metadata.Get("breakwater.dead_letter.error")[0]
	assert.True(t, strings.HasPrefix(text, "Permanent error: éé"))
	assert.LessOrEqual(t, len(text), 4096)
	assert.Equal(t, []string{"what a client sends"}, given.Metadata.Get("breakwater.dead_letter.reason"), "not changed for the caller")
}

func TestManyCallers(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		r := newLogsTest(t, mutates)
		r.primary.err = func(attempt int) error {
			switch attempt % 3 {
			case 0:
				return errPermanent
			case 1:
				return errPlain
			}
			return nil
		}
		r.dead.err = func(attempt int) error {
			if attempt%2 == 0 {
				return errPlain
			}
			return nil
		}
		var callers sync.WaitGroup
		var want []string
		shared := map[string]plog.Logs{}
		for i := range 30 {
			name := fmt.Sprint("r", i)
			want = append(want, name)
			logs := logsOf(name)
			shared[name] = logs
			callers.Go(func() {
				for r.connector.ConsumeLogs(t.Context(), logs) != nil {
					continue
				}
			})
		}
		callers.Wait()
		var got []string
		for _, list := range append(r.primary.received(), r.dead.received()...) {
			got = append(got, list...)
		}
		assert.ElementsMatch(t, want, got, "each record is in one of the pipelines, once")
		for name, logs := range shared {
			assert.Equal(t, []string{name}, bodies(logs), "the data of the caller is not changed")
		}
	}
}

func tracesOf(names ...string) ptrace.Traces {
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, name := range names {
		spans.AppendEmpty().SetName(name)
	}
	return traces
}

func TestTracesAndMetrics(t *testing.T) {
	set := connectortest.NewNopSettings(metadata.Type)
	metrics := func(n int) pmetric.Metrics {
		m := pmetric.NewMetrics()
		gauge := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge()
		for range n {
			gauge.DataPoints().AppendEmpty()
		}
		return m
	}
	for _, named := range []bool{true, false} {
		var deadTraces consumertest.TracesSink
		refusedSpans := errPermanent
		if named {
			refusedSpans = consumererror.NewTraces(errPermanent, tracesOf("a"))
		}
		traces, err := NewFactory().CreateTracesToTraces(t.Context(), set, testConfig(pipeline.SignalTraces), connector.NewTracesRouter(map[pipeline.ID]consumer.Traces{
			idOf(pipeline.SignalTraces, "primary"): consumertest.NewErr(refusedSpans), idOf(pipeline.SignalTraces, "dead"): &deadTraces,
		}))
		require.NoError(t, err)
		require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, traces.ConsumeTraces(t.Context(), tracesOf("a", "b")))
		assert.Equal(t, map[bool]int{true: 1, false: 2}[named], deadTraces.SpanCount())
		require.NoError(t, traces.Shutdown(t.Context()))

		var deadMetrics consumertest.MetricsSink
		refusedPoints := errPermanent
		if named {
			refusedPoints = consumererror.NewMetrics(errPermanent, metrics(3))
		}
		points, err := NewFactory().CreateMetricsToMetrics(t.Context(), set, testConfig(pipeline.SignalMetrics), connector.NewMetricsRouter(map[pipeline.ID]consumer.Metrics{
			idOf(pipeline.SignalMetrics, "primary"): consumertest.NewErr(refusedPoints), idOf(pipeline.SignalMetrics, "dead"): &deadMetrics,
		}))
		require.NoError(t, err)
		require.NoError(t, points.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, points.ConsumeMetrics(t.Context(), metrics(5)))
		assert.Equal(t, map[bool]int{true: 3, false: 5}[named], deadMetrics.DataPointCount())
		require.NoError(t, points.Shutdown(t.Context()))
	}
}

func TestCreateRefuses(t *testing.T) {
	set := connectortest.NewNopSettings(metadata.Type)
	create := func(cfg *Config, names ...string) error {
		pipelines := map[pipeline.ID]consumer.Logs{}
		for _, name := range names {
			pipelines[idOf(pipeline.SignalLogs, name)] = consumertest.NewNop()
		}
		_, err := NewFactory().CreateLogsToLogs(t.Context(), set, cfg, connector.NewLogsRouter(pipelines))
		return err
	}
	require.ErrorContains(t, create(testConfig(pipeline.SignalLogs), "primary", "dead", "other"), "pipeline logs/other receives from dead_letter")
	require.ErrorContains(t, create(testConfig(pipeline.SignalLogs), "dead"), "`primary` must name logs pipelines")
	require.ErrorContains(t, create(testConfig(pipeline.SignalLogs), "primary"), "`dead_letter` must name logs pipelines")
	_, err := NewFactory().CreateLogsToLogs(t.Context(), set, testConfig(pipeline.SignalLogs), consumertest.NewNop())
	require.ErrorContains(t, err, "must be the receiver of pipelines")
}

func TestConfig(t *testing.T) {
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"dead_letter":          "",
		"dead_letter/several":  "",
		"dead_letter/empty":    "`primary` must name a pipeline\n`dead_letter` must name a pipeline",
		"dead_letter/same":     "`primary` and `dead_letter` must not name the same pipeline, logs/a",
		"dead_letter/twice":    "`primary` names logs/a twice",
		"dead_letter/no_retry": "`retry_on_failure::enabled` must be true",
		"dead_letter/elapsed":  "`retry_on_failure::max_elapsed_time` must be 0",
		"dead_letter/no_backoff": "`retry_on_failure::initial_interval` must be positive\n`retry_on_failure::max_interval` must be positive\n" +
			"`retry_on_failure::multiplier` must be at least 1\n`retry_on_failure::randomization_factor` must be",
		"dead_letter/timeout":          "",
		"dead_letter/negative_timeout": "`timeout` must not be negative",
	} {
		t.Run(name, func(t *testing.T) {
			part, err := all.Sub(name)
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, part.Unmarshal(cfg))
			if want == "" {
				require.NoError(t, cfg.Validate())
				return
			}
			require.ErrorContains(t, cfg.Validate(), want)
		})
	}
}
