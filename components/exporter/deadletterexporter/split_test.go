package deadletterexporter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Requests of several resources and scopes; every record has a name of its own.

func makeLogs(r *rand.Rand) plog.Logs {
	logs := plog.NewLogs()
	n := 0
	for i := range 1 + r.IntN(4) {
		resource := logs.ResourceLogs().AppendEmpty()
		resource.SetSchemaUrl(fmt.Sprint("r", i))
		resource.Resource().Attributes().PutStr("host", fmt.Sprint("h", i))
		for j := range r.IntN(4) {
			scope := resource.ScopeLogs().AppendEmpty()
			scope.SetSchemaUrl(fmt.Sprint("s", j))
			scope.Scope().SetName(fmt.Sprint("scope", j))
			for range r.IntN(20) {
				n++
				record := scope.LogRecords().AppendEmpty()
				record.Body().SetStr(fmt.Sprint("record", n))
				record.Attributes().PutStr("filler", string(make([]byte, r.IntN(100))))
			}
		}
	}
	return logs
}

func makeTraces(r *rand.Rand) ptrace.Traces {
	traces := ptrace.NewTraces()
	n := 0
	for i := range 1 + r.IntN(4) {
		resource := traces.ResourceSpans().AppendEmpty()
		resource.SetSchemaUrl(fmt.Sprint("r", i))
		resource.Resource().Attributes().PutStr("host", fmt.Sprint("h", i))
		for j := range r.IntN(4) {
			scope := resource.ScopeSpans().AppendEmpty()
			scope.SetSchemaUrl(fmt.Sprint("s", j))
			scope.Scope().SetName(fmt.Sprint("scope", j))
			for range r.IntN(20) {
				n++
				scope.Spans().AppendEmpty().SetName(fmt.Sprint("span", n))
			}
		}
	}
	return traces
}

func makeMetrics(r *rand.Rand) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	n := 0
	for i := range 1 + r.IntN(4) {
		resource := metrics.ResourceMetrics().AppendEmpty()
		resource.SetSchemaUrl(fmt.Sprint("r", i))
		resource.Resource().Attributes().PutStr("host", fmt.Sprint("h", i))
		for j := range r.IntN(4) {
			scope := resource.ScopeMetrics().AppendEmpty()
			scope.SetSchemaUrl(fmt.Sprint("s", j))
			scope.Scope().SetName(fmt.Sprint("scope", j))
			for range r.IntN(8) {
				n++
				m := scope.Metrics().AppendEmpty()
				m.SetName(fmt.Sprint("metric", n))
				m.SetUnit("By")
				m.SetDescription("d")
				m.Metadata().PutStr("k", "v")
				points := r.IntN(6)
				switch r.IntN(6) {
				case 0: // without a type
				case 1:
					gauge := m.SetEmptyGauge()
					for p := range points {
						gauge.DataPoints().AppendEmpty().SetIntValue(int64(p))
					}
				case 2:
					sum := m.SetEmptySum()
					sum.SetIsMonotonic(true)
					sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					for p := range points {
						sum.DataPoints().AppendEmpty().SetIntValue(int64(p))
					}
				case 3:
					histogram := m.SetEmptyHistogram()
					histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
					for p := range points {
						histogram.DataPoints().AppendEmpty().SetCount(uint64(p))
					}
				case 4:
					histogram := m.SetEmptyExponentialHistogram()
					histogram.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					for p := range points {
						histogram.DataPoints().AppendEmpty().SetCount(uint64(p))
					}
				case 5:
					summary := m.SetEmptySummary()
					for p := range points {
						summary.DataPoints().AppendEmpty().SetCount(uint64(p))
					}
				}
			}
		}
	}
	return metrics
}

// units returns each unit of the request as a request of its own, encoded.
func units[T any](t *testing.T, data T, c codec[T]) []string {
	var list []string
	for i := range c.units(data) {
		value, err := c.marshal(c.copy(data, i, i+1))
		require.NoError(t, err)
		list = append(list, string(value))
	}
	return list
}

func checkSplit[T any](t *testing.T, data T, c codec[T], unmarshal func([]byte) (T, error), limit int) {
	before, err := c.marshal(data)
	require.NoError(t, err)
	parts, err := split(data, limit, c)
	require.NoError(t, err)
	var got []string
	records := 0
	for _, p := range parts {
		read, err := unmarshal(p.value)
		require.NoError(t, err)
		require.Equal(t, c.records(read), p.records)
		if len(p.value) > limit {
			require.LessOrEqual(t, c.units(read), 1, "over the limit and can be split")
		}
		records += p.records
		got = append(got, units(t, read, c)...)
	}
	require.Equal(t, c.records(data), records)
	require.Equal(t, units(t, data, c), got, "each unit once, in order, with its resource and scope")
	after, err := c.marshal(data)
	require.NoError(t, err)
	require.Equal(t, before, after, "the request is not changed")
}

func TestSplitLosesNothing(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + r.IntN(2000)
		checkSplit(t, makeLogs(r), logsCodec, (&plog.ProtoUnmarshaler{}).UnmarshalLogs, limit)
		checkSplit(t, makeMetrics(r), metricsCodec, (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics, limit)
		checkSplit(t, makeTraces(r), tracesCodec, (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces, limit)
	}
}

func TestAUnitKeepsAllOfItsMetric(t *testing.T) {
	metrics := pmetric.NewMetrics()
	m := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("n")
	m.SetUnit("By")
	m.SetDescription("d")
	m.Metadata().PutStr("k", "v")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	sum.DataPoints().AppendEmpty().SetIntValue(1)
	whole, err := metricsCodec.marshal(metrics)
	require.NoError(t, err)
	copied, err := metricsCodec.marshal(copyMetrics(metrics, 0, 1))
	require.NoError(t, err)
	assert.Equal(t, whole, copied)
}

func TestWhatFitsIsNotSplit(t *testing.T) {
	logs := makeLogs(rand.New(rand.NewPCG(3, 3)))
	parts, err := split(logs, logsCodec.size(logs), logsCodec)
	require.NoError(t, err)
	require.Len(t, parts, 1)
	whole, err := logsCodec.marshal(logs)
	require.NoError(t, err)
	assert.Equal(t, whole, parts[0].value)
}
