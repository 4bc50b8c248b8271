package durablekafkaexporter

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	pdatareq "go.opentelemetry.io/collector/pdata/xpdata/request"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// codec returns how data is written to the queue and read from it: as upstream does, with and without the context.
func codec[T any](
	plain func(T) ([]byte, error), parsePlain func([]byte) (T, error),
	whole func(context.Context, T) ([]byte, error), parseWhole func([]byte) (context.Context, T, error),
) (marshal func(context.Context, T) ([]byte, error), unmarshal func([]byte) (context.Context, T, error)) {
	keeps := keepsContext()
	marshal = func(ctx context.Context, data T) ([]byte, error) {
		if keeps {
			return whole(ctx, data)
		}
		return plain(data)
	}
	unmarshal = func(b []byte) (context.Context, T, error) {
		if keeps {
			ctx, data, err := parseWhole(b)
			if !errors.Is(err, pdatareq.ErrInvalidFormat) {
				return ctx, data, err
			}
		}
		data, err := parsePlain(b)
		return context.Background(), data, err
	}
	return marshal, unmarshal
}

func logsSignal() *signalOf[plog.Logs] {
	marshaler, unmarshaler := &plog.ProtoMarshaler{}, &plog.ProtoUnmarshaler{}
	s := &signalOf[plog.Logs]{
		signal: ledger.Logs, count: plog.Logs.LogRecordCount, bytes: marshaler.LogsSize,
		move: func(to, from plog.Logs) { from.ResourceLogs().MoveAndAppendTo(to.ResourceLogs()) },
		take: takeLogs, ref: pref.RefLogs, unref: pref.UnrefLogs,
	}
	s.marshal, s.unmarshal = codec(marshaler.MarshalLogs, unmarshaler.UnmarshalLogs, pdatareq.MarshalLogs, pdatareq.UnmarshalLogs)
	return s
}

func metricsSignal() *signalOf[pmetric.Metrics] {
	marshaler, unmarshaler := &pmetric.ProtoMarshaler{}, &pmetric.ProtoUnmarshaler{}
	s := &signalOf[pmetric.Metrics]{
		signal: ledger.Metrics, count: pmetric.Metrics.DataPointCount, bytes: marshaler.MetricsSize,
		move: func(to, from pmetric.Metrics) { from.ResourceMetrics().MoveAndAppendTo(to.ResourceMetrics()) },
		take: takeMetrics, ref: pref.RefMetrics, unref: pref.UnrefMetrics,
	}
	s.marshal, s.unmarshal = codec(marshaler.MarshalMetrics, unmarshaler.UnmarshalMetrics, pdatareq.MarshalMetrics, pdatareq.UnmarshalMetrics)
	return s
}

func tracesSignal() *signalOf[ptrace.Traces] {
	marshaler, unmarshaler := &ptrace.ProtoMarshaler{}, &ptrace.ProtoUnmarshaler{}
	s := &signalOf[ptrace.Traces]{
		signal: ledger.Traces, count: ptrace.Traces.SpanCount, bytes: marshaler.TracesSize,
		move: func(to, from ptrace.Traces) { from.ResourceSpans().MoveAndAppendTo(to.ResourceSpans()) },
		take: takeTraces, ref: pref.RefTraces, unref: pref.UnrefTraces,
	}
	s.marshal, s.unmarshal = codec(marshaler.MarshalTraces, unmarshaler.UnmarshalTraces, pdatareq.MarshalTraces, pdatareq.UnmarshalTraces)
	return s
}

// removal is what a RemoveIf of pdata does.
type removal[E any] func(func(E) bool)

// takeFirst moves whole elements to the other side while there is room for their records, and then has the next one cut,
// once. It returns the room that is left.
func takeFirst[E any](remove removal[E], n int, count func(E) int, move func(E), cut func(E, int) int) int {
	remove(func(e E) bool {
		have := count(e)
		switch {
		case n == 0:
			return false
		case have <= n:
			move(e)
			n -= have
			return true
		default:
			n = cut(e, n)
			return false
		}
	})
	return n
}

func takeLogs(from plog.Logs, n int) plog.Logs {
	to := plog.NewLogs()
	takeFirst(from.ResourceLogs().RemoveIf, n, logsOfResource, func(r plog.ResourceLogs) { r.MoveTo(to.ResourceLogs().AppendEmpty()) },
		func(r plog.ResourceLogs, n int) int {
			part := to.ResourceLogs().AppendEmpty()
			r.Resource().CopyTo(part.Resource())
			part.SetSchemaUrl(r.SchemaUrl())
			return takeFirst(r.ScopeLogs().RemoveIf, n, func(s plog.ScopeLogs) int { return s.LogRecords().Len() },
				func(s plog.ScopeLogs) { s.MoveTo(part.ScopeLogs().AppendEmpty()) },
				func(s plog.ScopeLogs, n int) int {
					scope := part.ScopeLogs().AppendEmpty()
					s.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(s.SchemaUrl())
					return takeFirst(s.LogRecords().RemoveIf, n, one, func(l plog.LogRecord) { l.MoveTo(scope.LogRecords().AppendEmpty()) }, nil)
				})
		})
	return to
}

func one[E any](E) int { return 1 }

func logsOfResource(r plog.ResourceLogs) (n int) {
	for _, s := range r.ScopeLogs().All() {
		n += s.LogRecords().Len()
	}
	return n
}

func takeTraces(from ptrace.Traces, n int) ptrace.Traces {
	to := ptrace.NewTraces()
	takeFirst(from.ResourceSpans().RemoveIf, n, spansOfResource, func(r ptrace.ResourceSpans) { r.MoveTo(to.ResourceSpans().AppendEmpty()) },
		func(r ptrace.ResourceSpans, n int) int {
			part := to.ResourceSpans().AppendEmpty()
			r.Resource().CopyTo(part.Resource())
			part.SetSchemaUrl(r.SchemaUrl())
			return takeFirst(r.ScopeSpans().RemoveIf, n, func(s ptrace.ScopeSpans) int { return s.Spans().Len() },
				func(s ptrace.ScopeSpans) { s.MoveTo(part.ScopeSpans().AppendEmpty()) },
				func(s ptrace.ScopeSpans, n int) int {
					scope := part.ScopeSpans().AppendEmpty()
					s.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(s.SchemaUrl())
					return takeFirst(s.Spans().RemoveIf, n, one, func(l ptrace.Span) { l.MoveTo(scope.Spans().AppendEmpty()) }, nil)
				})
		})
	return to
}

func spansOfResource(r ptrace.ResourceSpans) (n int) {
	for _, s := range r.ScopeSpans().All() {
		n += s.Spans().Len()
	}
	return n
}

func takeMetrics(from pmetric.Metrics, n int) pmetric.Metrics {
	to := pmetric.NewMetrics()
	takeFirst(from.ResourceMetrics().RemoveIf, n, pointsOfResource, func(r pmetric.ResourceMetrics) { r.MoveTo(to.ResourceMetrics().AppendEmpty()) },
		func(r pmetric.ResourceMetrics, n int) int {
			part := to.ResourceMetrics().AppendEmpty()
			r.Resource().CopyTo(part.Resource())
			part.SetSchemaUrl(r.SchemaUrl())
			return takeFirst(r.ScopeMetrics().RemoveIf, n, pointsOfScope, func(s pmetric.ScopeMetrics) { s.MoveTo(part.ScopeMetrics().AppendEmpty()) },
				func(s pmetric.ScopeMetrics, n int) int {
					scope := part.ScopeMetrics().AppendEmpty()
					s.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(s.SchemaUrl())
					return takeFirst(s.Metrics().RemoveIf, n, pointsOf, func(m pmetric.Metric) { m.MoveTo(scope.Metrics().AppendEmpty()) },
						func(m pmetric.Metric, n int) int { return takePoints(m, scope.Metrics().AppendEmpty(), n) })
				})
		})
	return to
}

// takePoints moves the first n points of a metric to an empty one, which becomes one of the same name and kind.
func takePoints(from, to pmetric.Metric, n int) int {
	to.SetName(from.Name())
	to.SetDescription(from.Description())
	to.SetUnit(from.Unit())
	from.Metadata().CopyTo(to.Metadata())
	numbers := func(from, to pmetric.NumberDataPointSlice) int {
		return takeFirst(from.RemoveIf, n, one, func(p pmetric.NumberDataPoint) { p.MoveTo(to.AppendEmpty()) }, nil)
	}
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		return numbers(from.Gauge().DataPoints(), to.SetEmptyGauge().DataPoints())
	case pmetric.MetricTypeSum:
		sum := to.SetEmptySum()
		sum.SetAggregationTemporality(from.Sum().AggregationTemporality())
		sum.SetIsMonotonic(from.Sum().IsMonotonic())
		return numbers(from.Sum().DataPoints(), sum.DataPoints())
	case pmetric.MetricTypeHistogram:
		histogram := to.SetEmptyHistogram()
		histogram.SetAggregationTemporality(from.Histogram().AggregationTemporality())
		return takeFirst(from.Histogram().DataPoints().RemoveIf, n, one,
			func(p pmetric.HistogramDataPoint) { p.MoveTo(histogram.DataPoints().AppendEmpty()) }, nil)
	case pmetric.MetricTypeExponentialHistogram:
		histogram := to.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(from.ExponentialHistogram().AggregationTemporality())
		return takeFirst(from.ExponentialHistogram().DataPoints().RemoveIf, n, one,
			func(p pmetric.ExponentialHistogramDataPoint) { p.MoveTo(histogram.DataPoints().AppendEmpty()) }, nil)
	case pmetric.MetricTypeSummary:
		summary := to.SetEmptySummary()
		return takeFirst(from.Summary().DataPoints().RemoveIf, n, one,
			func(p pmetric.SummaryDataPoint) { p.MoveTo(summary.DataPoints().AppendEmpty()) }, nil)
	default: // it has no points, and is not cut
		return n
	}
}

func pointsOfResource(r pmetric.ResourceMetrics) (n int) {
	for _, s := range r.ScopeMetrics().All() {
		n += pointsOfScope(s)
	}
	return n
}

func pointsOfScope(s pmetric.ScopeMetrics) (n int) {
	for _, m := range s.Metrics().All() {
		n += pointsOf(m)
	}
	return n
}

func pointsOf(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	default:
		return 0
	}
}
