package deadletterexporter

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// part is a part of a request: OTLP protobuf and the number of its records.
type part struct {
	value   []byte
	records int
}

// codec is what split has to know of a signal. Units are what a request can be divided
// into; they are the records, and metrics without data points.
type codec[T any] struct {
	size    func(T) int
	marshal func(T) ([]byte, error)
	records func(T) int
	units   func(T) int
	copy    func(src T, from, to int) T
}

var (
	logsCodec = codec[plog.Logs]{
		size:    (&plog.ProtoMarshaler{}).LogsSize,
		marshal: (&plog.ProtoMarshaler{}).MarshalLogs,
		records: plog.Logs.LogRecordCount,
		units:   plog.Logs.LogRecordCount,
		copy:    copyLogs,
	}
	metricsCodec = codec[pmetric.Metrics]{
		size:    (&pmetric.ProtoMarshaler{}).MetricsSize,
		marshal: (&pmetric.ProtoMarshaler{}).MarshalMetrics,
		records: pmetric.Metrics.DataPointCount,
		units:   metricUnits,
		copy:    copyMetrics,
	}
	tracesCodec = codec[ptrace.Traces]{
		size:    (&ptrace.ProtoMarshaler{}).TracesSize,
		marshal: (&ptrace.ProtoMarshaler{}).MarshalTraces,
		records: ptrace.Traces.SpanCount,
		units:   ptrace.Traces.SpanCount,
		copy:    copyTraces,
	}
)

// split encodes a request into parts of at most maxBytes. A single record that is
// larger is a part of its own.
func split[T any](data T, maxBytes int, c codec[T]) ([]part, error) {
	units := c.units(data)
	if units < 2 || c.size(data) <= maxBytes {
		value, err := c.marshal(data)
		if err != nil {
			return nil, err
		}
		return []part{{value: value, records: c.records(data)}}, nil
	}
	var parts []part
	for _, half := range [][2]int{{0, units / 2}, {units / 2, units}} {
		more, err := split(c.copy(data, half[0], half[1]), maxBytes, c)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return parts, nil
}

// window counts units and says which of the next ones are within [from, to).
type window struct{ from, to, next int }

func (w *window) take(count int) (from, to int) {
	from, to = min(max(w.from-w.next, 0), count), max(min(w.to-w.next, count), 0)
	w.next += count
	return from, to
}

func copyLogs(src plog.Logs, from, to int) plog.Logs {
	dst := plog.NewLogs()
	w := window{from: from, to: to}
	for _, resource := range src.ResourceLogs().All() {
		newResource := plog.NewResourceLogs()
		for _, scope := range resource.ScopeLogs().All() {
			first, end := w.take(scope.LogRecords().Len())
			if first >= end {
				continue
			}
			newScope := newResource.ScopeLogs().AppendEmpty()
			scope.Scope().CopyTo(newScope.Scope())
			newScope.SetSchemaUrl(scope.SchemaUrl())
			for i := first; i < end; i++ {
				scope.LogRecords().At(i).CopyTo(newScope.LogRecords().AppendEmpty())
			}
		}
		if newResource.ScopeLogs().Len() > 0 {
			resource.Resource().CopyTo(newResource.Resource())
			newResource.SetSchemaUrl(resource.SchemaUrl())
			newResource.MoveTo(dst.ResourceLogs().AppendEmpty())
		}
	}
	return dst
}

func copyTraces(src ptrace.Traces, from, to int) ptrace.Traces {
	dst := ptrace.NewTraces()
	w := window{from: from, to: to}
	for _, resource := range src.ResourceSpans().All() {
		newResource := ptrace.NewResourceSpans()
		for _, scope := range resource.ScopeSpans().All() {
			first, end := w.take(scope.Spans().Len())
			if first >= end {
				continue
			}
			newScope := newResource.ScopeSpans().AppendEmpty()
			scope.Scope().CopyTo(newScope.Scope())
			newScope.SetSchemaUrl(scope.SchemaUrl())
			for i := first; i < end; i++ {
				scope.Spans().At(i).CopyTo(newScope.Spans().AppendEmpty())
			}
		}
		if newResource.ScopeSpans().Len() > 0 {
			resource.Resource().CopyTo(newResource.Resource())
			newResource.SetSchemaUrl(resource.SchemaUrl())
			newResource.MoveTo(dst.ResourceSpans().AppendEmpty())
		}
	}
	return dst
}

func metricUnits(src pmetric.Metrics) int {
	units := 0
	for _, resource := range src.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, m := range scope.Metrics().All() {
				units += unitsOf(m)
			}
		}
	}
	return units
}

func unitsOf(m pmetric.Metric) int { return max(1, pointsOf(m)) }

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

func copyMetrics(src pmetric.Metrics, from, to int) pmetric.Metrics {
	dst := pmetric.NewMetrics()
	w := window{from: from, to: to}
	for _, resource := range src.ResourceMetrics().All() {
		newResource := pmetric.NewResourceMetrics()
		for _, scope := range resource.ScopeMetrics().All() {
			newScope := pmetric.NewScopeMetrics()
			for _, m := range scope.Metrics().All() {
				if first, end := w.take(unitsOf(m)); first < end {
					copyMetric(m, newScope.Metrics().AppendEmpty(), first, end)
				}
			}
			if newScope.Metrics().Len() > 0 {
				scope.Scope().CopyTo(newScope.Scope())
				newScope.SetSchemaUrl(scope.SchemaUrl())
				newScope.MoveTo(newResource.ScopeMetrics().AppendEmpty())
			}
		}
		if newResource.ScopeMetrics().Len() > 0 {
			resource.Resource().CopyTo(newResource.Resource())
			newResource.SetSchemaUrl(resource.SchemaUrl())
			newResource.MoveTo(dst.ResourceMetrics().AppendEmpty())
		}
	}
	return dst
}

// copyMetric copies a metric with the data points from first to end.
func copyMetric(src, dst pmetric.Metric, first, end int) {
	dst.SetName(src.Name())
	dst.SetDescription(src.Description())
	dst.SetUnit(src.Unit())
	src.Metadata().CopyTo(dst.Metadata())
	end = min(end, pointsOf(src))
	switch src.Type() {
	case pmetric.MetricTypeGauge:
		points := dst.SetEmptyGauge().DataPoints()
		for i := first; i < end; i++ {
			src.Gauge().DataPoints().At(i).CopyTo(points.AppendEmpty())
		}
	case pmetric.MetricTypeSum:
		sum := dst.SetEmptySum()
		sum.SetAggregationTemporality(src.Sum().AggregationTemporality())
		sum.SetIsMonotonic(src.Sum().IsMonotonic())
		for i := first; i < end; i++ {
			src.Sum().DataPoints().At(i).CopyTo(sum.DataPoints().AppendEmpty())
		}
	case pmetric.MetricTypeHistogram:
		histogram := dst.SetEmptyHistogram()
		histogram.SetAggregationTemporality(src.Histogram().AggregationTemporality())
		for i := first; i < end; i++ {
			src.Histogram().DataPoints().At(i).CopyTo(histogram.DataPoints().AppendEmpty())
		}
	case pmetric.MetricTypeExponentialHistogram:
		histogram := dst.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(src.ExponentialHistogram().AggregationTemporality())
		for i := first; i < end; i++ {
			src.ExponentialHistogram().DataPoints().At(i).CopyTo(histogram.DataPoints().AppendEmpty())
		}
	case pmetric.MetricTypeSummary:
		points := dst.SetEmptySummary().DataPoints()
		for i := first; i < end; i++ {
			src.Summary().DataPoints().At(i).CopyTo(points.AppendEmpty())
		}
	}
}
