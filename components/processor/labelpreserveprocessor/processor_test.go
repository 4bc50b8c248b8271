package labelpreserveprocessor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadatatest"
)

// startedProcessor returns the processor without the helper around it.
func startedProcessor(t testing.TB, cfg *Config) *labelPreserve {
	t.Helper()
	require.NoError(t, cfg.Validate())
	lp, err := newLabelPreserve(processortest.NewNopSettings(metadata.Type), cfg, pipeline.SignalLogs)
	require.NoError(t, err)
	require.NoError(t, lp.start(t.Context(), componenttest.NewNopHost()))
	return lp
}

// logsOf returns logs with one resource, one scope and one record for each of records.
func logsOf(resource map[string]any, records ...map[string]any) plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	mustFromRaw(rl.Resource().Attributes(), resource)
	sl := rl.ScopeLogs().AppendEmpty()
	for _, attrs := range records {
		mustFromRaw(sl.LogRecords().AppendEmpty().Attributes(), attrs)
	}
	return logs
}

func mustFromRaw(attrs pcommon.Map, raw map[string]any) {
	if err := attrs.FromRaw(raw); err != nil {
		panic(err)
	}
}

type attrs = map[string]any

// group is a resource as a test wants it: its attributes and those of its records.
type group struct {
	resource attrs
	records  []attrs
}

func groupsOf(logs plog.Logs) []group {
	var groups []group
	for _, rl := range logs.ResourceLogs().All() {
		g := group{resource: rl.Resource().Attributes().AsRaw()}
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				g.records = append(g.records, lr.Attributes().AsRaw())
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// TestABatchBeforeTheStart holds that a batch which a shared receiver delivers before the processor is started has its
// labels, too.
func TestABatchBeforeTheStart(t *testing.T) {
	t.Setenv("EARLY_SITE", "zrh-1")
	cfg := newDefaultConfig()
	cfg.Labels = []LabelConfig{{Name: "site_name", From: []SourceConfig{{Source: sourceEnv, Key: "EARLY_SITE"}}}}
	lp, err := newLabelPreserve(processortest.NewNopSettings(metadata.Type), cfg, pipeline.SignalLogs)
	require.NoError(t, err)
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	logs, err = lp.processLogs(t.Context(), logs)
	require.NoError(t, err)
	value, _ := logs.ResourceLogs().At(0).Resource().Attributes().Get("site_name")
	assert.Equal(t, "zrh-1", value.Str())
}

func TestResolve(t *testing.T) {
	t.Setenv("BREAKWATER_TEST_SITE", "from env")
	t.Setenv("BREAKWATER_TEST_EMPTY", "")
	hostName, err := os.Hostname()
	require.NoError(t, err)

	for _, tt := range []struct {
		name   string
		config string
		in     plog.Logs
		want   []group
	}{
		{
			"record before resource by default",
			`labels: [{name: a}]`,
			logsOf(attrs{"a": "resource"}, attrs{"a": "record"}),
			[]group{{attrs{"a": "record"}, []attrs{{"a": "record"}}}},
		},
		{
			"an empty value is no value",
			`labels: [{name: a}]`,
			logsOf(attrs{"a": "resource"}, attrs{"a": ""}),
			[]group{{attrs{"a": "resource"}, []attrs{{"a": "resource"}}}},
		},
		{
			"environment",
			`labels: [{name: a, from: [{source: env, key: BREAKWATER_TEST_SITE}, {source: record}]}]`,
			logsOf(nil, attrs{"a": "record"}),
			[]group{{attrs{"a": "from env"}, []attrs{{"a": "from env"}}}},
		},
		{
			"environment empty or unset",
			`labels: [{name: a, from: [{source: env, key: BREAKWATER_TEST_EMPTY}, {source: env, key: BREAKWATER_TEST_UNSET}, {source: record}]}]`,
			logsOf(nil, attrs{"a": "record"}),
			[]group{{attrs{"a": "record"}, []attrs{{"a": "record"}}}},
		},
		{
			"host name",
			`labels: [{name: host_name, from: [{source: host_name}]}]`,
			logsOf(attrs{"host.name": "other"}, attrs{}),
			[]group{{attrs{"host_name": hostName}, []attrs{{"host_name": hostName}}}},
		},
		{
			"static",
			`labels: [{name: a, from: [{source: resource}, {source: static, value: s}]}]`,
			logsOf(nil, attrs{}),
			[]group{{attrs{"a": "s"}, []attrs{{"a": "s"}}}},
		},
		{
			"default",
			`labels: [{name: a, default: d}]`,
			logsOf(nil, attrs{}, attrs{"a": "record"}),
			[]group{{attrs{"a": "d"}, []attrs{{"a": "d"}}}, {attrs{"a": "record"}, []attrs{{"a": "record"}}}},
		},
		{
			"join leaves out what is empty",
			`labels: [{name: a}, {name: b}, {name: c}, {name: j, from: [{source: join, labels: [a, b, c]}]}]`,
			logsOf(attrs{"a": "1", "c": "3"}, attrs{}),
			[]group{{attrs{"a": "1", "c": "3", "j": "1/3"}, []attrs{{"a": "1", "c": "3", "j": "1/3"}}}},
		},
		{
			"join of nothing is no value",
			`labels: [{name: a}, {name: j, from: [{source: join, labels: [a]}]}]`,
			logsOf(attrs{"x": "1"}, attrs{}),
			[]group{{attrs{"x": "1"}, []attrs{{}}}},
		},
		{
			"join with another separator and with none",
			`labels: [{name: a}, {name: b}, {name: j, from: [{source: join, labels: [a, b], separator: "::"}]}, {name: k, from: [{source: join, labels: [b, a], separator: ""}]}]`,
			logsOf(nil, attrs{"a": "1", "b": "2"}),
			[]group{{
				attrs{"a": "1", "b": "2", "j": "1::2", "k": "21"},
				[]attrs{{"a": "1", "b": "2", "j": "1::2", "k": "21"}},
			}},
		},
		{
			"another key is read and left in place",
			`labels: [{name: a, from: [{source: record, key: x}, {source: resource, key: y}]}]`,
			logsOf(attrs{"y": "resource"}, attrs{}, attrs{"x": "record"}),
			[]group{
				{attrs{"a": "resource", "y": "resource"}, []attrs{{"a": "resource"}}},
				{attrs{"a": "record", "y": "resource"}, []attrs{{"a": "record", "x": "record"}}},
			},
		},
		{
			"another key that is an alias is removed",
			`labels: [{name: a, aliases: [b, c], from: [{source: record, key: c}]}]`,
			logsOf(nil, attrs{"b": "loses", "c": "wins"}),
			[]group{{attrs{"a": "wins"}, []attrs{{"a": "wins"}}}},
		},
		{
			"aliases in their order",
			`labels: [{name: a, aliases: [b, c]}]`,
			logsOf(nil, attrs{"c": "second", "b": "first"}),
			[]group{{attrs{"a": "first"}, []attrs{{"a": "first"}}}},
		},
		{
			"an alias with a value before an empty name",
			`labels: [{name: a, aliases: [b]}]`,
			logsOf(nil, attrs{"a": "", "b": "alias"}),
			[]group{{attrs{"a": "alias"}, []attrs{{"a": "alias"}}}},
		},
		{
			"no aliases",
			`labels: [{name: service_name, aliases: []}]`,
			logsOf(attrs{"service.name": "kept"}, attrs{"service_name": "api"}),
			[]group{{attrs{"service.name": "kept", "service_name": "api"}, []attrs{{"service_name": "api"}}}},
		},
		{
			"values that are not strings",
			`labels: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]`,
			logsOf(nil, attrs{"a": 7, "b": true, "c": 1.5, "d": []any{"x", 1}, "e": map[string]any{"k": "<v>"}}),
			[]group{{
				attrs{"a": "7", "b": "true", "c": "1.5", "d": `["x",1]`, "e": `{"k":"<v>"}`},
				[]attrs{{"a": "7", "b": "true", "c": "1.5", "d": `["x",1]`, "e": `{"k":"<v>"}`}},
			}},
		},
		{
			"sources without a value leave other places alone",
			`labels: [{name: site_name, from: [{source: env, key: BREAKWATER_TEST_UNSET}]}]`,
			logsOf(attrs{"site_name": "kept"}, attrs{"site.name": "kept"}),
			[]group{{attrs{"site_name": "kept"}, []attrs{{"site.name": "kept"}}}},
		},
		{
			"values that would be the same if they were strung together",
			`labels: [{name: a}, {name: b}]`,
			logsOf(nil, attrs{"a": "x"}, attrs{"a": "1", "b": "23"}, attrs{"a": "12", "b": "3"}),
			[]group{
				{attrs{"a": "x"}, []attrs{{"a": "x"}}},
				{attrs{"a": "1", "b": "23"}, []attrs{{"a": "1", "b": "23"}}},
				{attrs{"a": "12", "b": "3"}, []attrs{{"a": "12", "b": "3"}}},
			},
		},
		{
			"empty ones of any type are removed",
			`labels: [{name: a, aliases: [b, c]}]`,
			logsOf(attrs{"a": []byte{}}, attrs{"a": nil, "b": "", "c": []byte{}}),
			[]group{{attrs{}, []attrs{{}}}},
		},
		{
			"a part with and a part without the label",
			`labels: [{name: site_name, from: [{source: record}]}]`,
			logsOf(attrs{"site.name": "resource"}, attrs{"site_name": "record"}, attrs{}),
			[]group{
				{attrs{"site_name": "record"}, []attrs{{"site_name": "record"}}},
				{attrs{"site.name": "resource"}, []attrs{{}}},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lp := startedProcessor(t, parseConfig(t, tt.config))
			got, err := lp.processLogs(t.Context(), tt.in)
			require.NoError(t, err)
			assert.Equal(t, tt.want, groupsOf(got))

			again := plog.NewLogs()
			got.CopyTo(again)
			again, err = lp.processLogs(t.Context(), again)
			require.NoError(t, err)
			assert.NoError(t, plogtest.CompareLogs(got, again), "a second run finds everything in place")
		})
	}
}

// The environment is read at start, not by the factory, and not again.
func TestConstantsAreReadAtStart(t *testing.T) {
	cfg := parseConfig(t, `labels: [{name: a, from: [{source: env, key: BREAKWATER_TEST_SITE}]}]`)
	sink := new(consumertest.LogsSink)
	proc, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	t.Setenv("BREAKWATER_TEST_SITE", "at start")
	require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))
	t.Setenv("BREAKWATER_TEST_SITE", "later")
	require.NoError(t, proc.ConsumeLogs(t.Context(), logsOf(nil, attrs{})))
	require.NoError(t, proc.Shutdown(t.Context()))
	assert.Equal(t, []group{{attrs{"a": "at start"}, []attrs{{"a": "at start"}}}}, groupsOf(sink.AllLogs()[0]))
}

func TestStartErrors(t *testing.T) {
	t.Setenv("BREAKWATER_TEST_SITE", "\xff")
	t.Setenv("BREAKWATER_TEST_LONG", "abcdef")
	for _, tt := range []struct {
		config string
		want   string
	}{
		{
			`labels: [{name: job}, {name: host_name, from: [{source: record}, {source: host_name}]}]`,
			"labels[1] (host_name): source `host_name` in `from[1]`: no name today",
		},
		{
			`labels: [{name: site_name, from: [{source: env, key: BREAKWATER_TEST_SITE}]}]`,
			"labels[0] (site_name): the value of source `env` in `from[0]` is not valid UTF-8",
		},
		{
			"labels: [{name: site_name, from: [{source: env, key: BREAKWATER_TEST_LONG}]}]\nlimits: {max_value_bytes: 5}",
			"labels[0] (site_name): the value of source `env` in `from[0]` has 6 bytes, over `limits::max_value_bytes` of 5",
		},
	} {
		cfg := parseConfig(t, tt.config)
		require.NoError(t, cfg.Validate())
		lp, err := newLabelPreserve(processortest.NewNopSettings(metadata.Type), cfg, pipeline.SignalLogs)
		require.NoError(t, err)
		lp.hostName = func() (string, error) { return "", errors.New("no name today") }
		assert.EqualError(t, lp.start(t.Context(), componenttest.NewNopHost()), tt.want)
	}
}

func TestCounters(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	cfg := parseConfig(t, `
labels:
  - name: site_name
    from: [{source: resource}, {source: record}]
  - name: env
  - name: team
    default: platform
  - name: zone
    aliases: [area]
`)
	proc, err := NewFactory().CreateLogs(t.Context(), metadatatest.NewSettings(tel), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))

	logs := logsOf(attrs{"site_name": "a", "site.name": ""},
		attrs{"env": "prod"},
		attrs{"site_name": "a", "env": ""},                      // env is missing
		attrs{"site_name": "b", "site.name": "c", "env": "dev"}, // one conflict, not two
		attrs{"team": "x"},                                      // env is missing
	)
	inScope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	inScope.Scope().Attributes().PutStr("env", "lost unless counted")
	inScope.LogRecords().AppendEmpty().Attributes().PutStr("env", "prod") // conflict, site_name is missing
	logs.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("os.type", "no record, so none is missing")
	require.NoError(t, proc.ConsumeLogs(t.Context(), logs))

	// The winner and what it wins against are in one place, in either order.
	logs = logsOf(attrs{"site_name": "a", "env": "prod"}, attrs{}, attrs{}, attrs{})
	for i, keys := range [][]string{{"zone", "area"}, {"area", "zone"}} {
		for _, key := range keys {
			logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(i).Attributes().PutStr(key, "in "+key)
		}
	}
	agree := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(2).Attributes()
	agree.PutStr("area", "same")
	agree.PutStr("zone", "same")
	require.NoError(t, proc.ConsumeLogs(t.Context(), logs))
	require.NoError(t, proc.Shutdown(t.Context()))

	point := func(label string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{
			Attributes: attribute.NewSet(
				attribute.String("processor", "label_preserve"),
				attribute.String("otel.signal", "logs"),
				attribute.String("label", label),
			),
			Value: n,
		}
	}
	metadatatest.AssertEqualProcessorLabelPreserveConflicts(t, tel,
		[]metricdata.DataPoint[int64]{point("site_name", 1), point("env", 1), point("zone", 2)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorLabelPreserveMissing(t, tel,
		[]metricdata.DataPoint[int64]{point("site_name", 1), point("env", 2), point("zone", 5)}, metricdatatest.IgnoreTimestamp())
}

// Through the factory, for each signal: the labels arrive and no record is lost.
func TestSignals(t *testing.T) {
	cfg := loadConfig(t, "label_preserve/consumer")
	set := processortest.NewNopSettings(metadata.Type)
	start := func(c component.Component) {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	}

	logsSink := new(consumertest.LogsSink)
	logs, err := NewFactory().CreateLogs(t.Context(), set, cfg, logsSink)
	require.NoError(t, err)
	start(logs)
	assert.True(t, logs.Capabilities().MutatesData)
	require.NoError(t, logs.ConsumeLogs(t.Context(), benchLogs(10, false)))
	assert.Equal(t, 10, logsSink.LogRecordCount())
	checkLogs(t, cfg, logsSink.AllLogs()[0])

	metricsSink := new(consumertest.MetricsSink)
	metrics, err := NewFactory().CreateMetrics(t.Context(), set, cfg, metricsSink)
	require.NoError(t, err)
	start(metrics)
	assert.True(t, metrics.Capabilities().MutatesData)
	require.NoError(t, metrics.ConsumeMetrics(t.Context(), benchMetrics(10, false)))
	assert.Equal(t, 10, metricsSink.DataPointCount())
	checkMetrics(t, cfg, metricsSink.AllMetrics()[0])

	tracesSink := new(consumertest.TracesSink)
	traces, err := NewFactory().CreateTraces(t.Context(), set, cfg, tracesSink)
	require.NoError(t, err)
	start(traces)
	assert.True(t, traces.Capabilities().MutatesData)
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "api")
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("a span")
	require.NoError(t, traces.ConsumeTraces(t.Context(), td))
	assert.Equal(t, 1, tracesSink.SpanCount())
	checkTraces(t, cfg, tracesSink.AllTraces()[0])
}

// A batch whose context has ended comes back as it was, with the error of the context.
func TestEndedContext(t *testing.T) {
	lp := startedProcessor(t, configOf(LabelConfig{Name: "site_name"}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("site.name", "s")
	_, err := lp.processLogs(ctx, logs)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, map[string]any{"site.name": "s"}, logs.ResourceLogs().At(0).Resource().Attributes().AsRaw())
	_, err = lp.processMetrics(ctx, pmetric.NewMetrics())
	require.ErrorIs(t, err, context.Canceled)
	_, err = lp.processTraces(ctx, ptrace.NewTraces())
	require.ErrorIs(t, err, context.Canceled)
}

// A fan-out gives a consumer that mutates its own copy. Neither the original nor what
// another consumer of it reads changes.
func TestSharedDataIsNotTouched(t *testing.T) {
	lp := startedProcessor(t, loadConfig(t, "label_preserve/consumer"))
	shared := logsOf(attrs{"service.name": "api"}, attrs{}, attrs{"service.name": "db"})
	before, err := (&plog.ProtoMarshaler{}).MarshalLogs(shared)
	require.NoError(t, err)
	own := plog.NewLogs()
	shared.CopyTo(own)
	shared.MarkReadOnly()

	got, err := lp.processLogs(t.Context(), own)
	require.NoError(t, err)
	assert.Equal(t, 2, got.ResourceLogs().Len())
	after, err := (&plog.ProtoMarshaler{}).MarshalLogs(shared)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// One processor serves many goroutines, and one batch leaves nothing behind for the next.
func TestConcurrency(t *testing.T) {
	cfg := loadConfig(t, "label_preserve/consumer")
	lp := startedProcessor(t, cfg)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for round := range 50 {
				service := fmt.Sprintf("service-%d-%d", worker, round)
				logs := logsOf(attrs{"service.name": service}, attrs{}, attrs{"service.namespace": "shop"}, attrs{})
				logs, err := lp.processLogs(context.Background(), logs)
				assert.NoError(t, err)
				assert.Equal(t, []group{
					{
						attrs{"service_name": service, "job": service},
						[]attrs{
							{"service_name": service, "job": service},
							{"service_name": service, "job": service},
						},
					},
					{
						attrs{"service_name": service, "service_namespace": "shop", "job": "shop/" + service},
						[]attrs{{"service_name": service, "service_namespace": "shop", "job": "shop/" + service}},
					},
				}, groupsOf(logs))
			}
		})
	}
	wg.Wait()
}

// As many groups as records: the work grows with the records, not with their square.
func TestManyGroups(t *testing.T) {
	cfg := loadConfig(t, "label_preserve/consumer")
	lp := startedProcessor(t, cfg)
	const n = 20_000
	var records []map[string]any
	for i := range n {
		records = append(records, attrs{"service_name": fmt.Sprintf("service-%d", i%(n/2))})
	}
	logs, err := lp.processLogs(t.Context(), logsOf(nil, records...))
	require.NoError(t, err)
	assert.Equal(t, n, logs.LogRecordCount())
	assert.Equal(t, n/2, logs.ResourceLogs().Len())
	checkLogs(t, cfg, logs)
}

// checkLogs fails unless each label is on the resource and on its records with one value,
// or on none of them, and nowhere under an alias. It holds for configurations whose
// sources include record and resource.
func checkLogs(t testing.TB, cfg *Config, logs plog.Logs) {
	t.Helper()
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				checkAttributes(t, cfg, rl.Resource().Attributes(), lr.Attributes())
			}
		}
	}
}

func checkTraces(t testing.TB, cfg *Config, traces ptrace.Traces) {
	t.Helper()
	for _, rs := range traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				checkAttributes(t, cfg, rs.Resource().Attributes(), span.Attributes())
			}
		}
	}
}

func checkMetrics(t testing.TB, cfg *Config, metrics pmetric.Metrics) {
	t.Helper()
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, point := range pointsOf(m) {
					checkAttributes(t, cfg, rm.Resource().Attributes(), point)
				}
			}
		}
	}
}

func pointsOf(m pmetric.Metric) []pcommon.Map {
	var points []pcommon.Map
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, dp := range m.Gauge().DataPoints().All() {
			points = append(points, dp.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			points = append(points, dp.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			points = append(points, dp.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			points = append(points, dp.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			points = append(points, dp.Attributes())
		}
	case pmetric.MetricTypeEmpty:
	}
	return points
}

func checkAttributes(t testing.TB, cfg *Config, resource, rec pcommon.Map) {
	t.Helper()
	for i := range cfg.Labels {
		name := cfg.Labels[i].Name
		onResource, onRecord := valuesUnder(t, resource, name), valuesUnder(t, rec, name)
		require.LessOrEqual(t, len(onResource), 1, name)
		require.Equal(t, onResource, onRecord, name)
		for _, alias := range cfg.Labels[i].aliases() {
			require.Empty(t, valuesUnder(t, resource, alias), alias)
			require.Empty(t, valuesUnder(t, rec, alias), alias)
		}
	}
}

// valuesUnder returns the values of all attributes with this key and fails if one is
// empty. A map or slice without a JSON form counts as absent and may stay.
func valuesUnder(t testing.TB, attrs pcommon.Map, key string) []string {
	t.Helper()
	var values []string
	for k, v := range attrs.All() {
		if k != key {
			continue
		}
		require.False(t, isEmpty(v), key)
		if value := v.AsString(); value != "" {
			values = append(values, value)
		}
	}
	return values
}
