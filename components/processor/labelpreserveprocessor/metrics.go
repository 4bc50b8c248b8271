package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

func (lp *labelPreserve) processMetrics(ctx context.Context, metrics pmetric.Metrics) (pmetric.Metrics, error) {
	p, err := lp.begin(ctx)
	if err != nil {
		return metrics, err
	}
	defer lp.end(ctx, p)
	var refused *refusal[pmetric.Metrics]
	var emptied []bool // resources all of whose records are refused
	resources := metrics.ResourceMetrics()
	// A split appends to resources; what it appends is finished and not visited.
	for i := range resources.Len() {
		rm := resources.At(i)
		p.openResource(rm.Resource().Attributes())
		for j := range rm.ScopeMetrics().Len() {
			sm := rm.ScopeMetrics().At(j)
			p.openScope(sm.Scope().Attributes())
			for k := range sm.Metrics().Len() {
				resolveDataPoints(p, sm.Metrics().At(k))
			}
		}
		p.closeResource()
		switch {
		case p.rejectedHere > 0:
			if refused == nil {
				refused = refusalOf[pmetric.Metrics](ctx, pmetric.NewMetrics)
			}
			refused.count(p.rejectedHere)
			splitMetrics(p, rm, resources, refused.data.ResourceMetrics())
			emptied = markEmptied(emptied, i, p.groups() == 0)
		case p.groups() > 1:
			splitMetrics(p, rm, resources, resources)
		default:
			finishMetrics(p, rm, 0)
		}
	}
	if refused == nil {
		return metrics, nil
	}
	refused.label(p.counts.rejected)
	removeEmptied[pmetric.ResourceMetrics](resources, emptied)
	if resources.Len() == 0 {
		return metrics, processorhelper.ErrSkipProcessingData
	}
	return metrics, nil
}

// What a series has beside its attributes: its name, and `le`, `quantile` or `vmrange`.
const (
	reservedName   = 1
	reservedBucket = 2
)

func resolveDataPoints(p *pass, m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		resolveRecords(p, m.Gauge().DataPoints(), reservedName)
	case pmetric.MetricTypeSum:
		resolveRecords(p, m.Sum().DataPoints(), reservedName)
	case pmetric.MetricTypeHistogram:
		resolveRecords(p, m.Histogram().DataPoints(), reservedBucket)
	case pmetric.MetricTypeExponentialHistogram:
		resolveRecords(p, m.ExponentialHistogram().DataPoints(), reservedBucket)
	case pmetric.MetricTypeSummary:
		resolveRecords(p, m.Summary().DataPoints(), reservedBucket)
	case pmetric.MetricTypeEmpty:
	}
}

// splitMetrics leaves group 0 in rm, appends a resource for each other group to resources, and one
// for the data points that are rejected to refused. A metric is split between its data points.
func splitMetrics(p *pass, rm pmetric.ResourceMetrics, resources, refused pmetric.ResourceMetricsSlice) {
	copyTo := func(slice pmetric.ResourceMetricsSlice) pmetric.ResourceMetrics {
		part := slice.AppendEmpty()
		rm.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rm.SchemaUrl())
		return part
	}
	parts := []pmetric.ResourceMetrics{rm}
	for len(parts) < p.groups() {
		parts = append(parts, copyTo(resources))
	}
	var rejects pmetric.ResourceMetrics
	if p.rejectedHere > 0 {
		rejects = copyTo(refused)
	}
	s := splitter{groupOf: p.groupOf}
	rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
		metricsOf := onePerGroup(func(group int) pmetric.MetricSlice {
			to := rejects
			if group != rejected {
				to = parts[group]
			}
			part := to.ScopeMetrics().AppendEmpty()
			sm.Scope().CopyTo(part.Scope())
			part.SetSchemaUrl(sm.SchemaUrl())
			return part.Metrics()
		})
		emptied := false
		sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
			metricEmptied := moveDataPoints(&s, m, onePerGroup(func(group int) pmetric.Metric {
				part := metricsOf(group).AppendEmpty()
				copyWithoutDataPoints(m, part)
				return part
			}))
			emptied = emptied || metricEmptied
			return metricEmptied
		})
		return emptied && sm.Metrics().Len() == 0
	})
	for group := range p.groups() {
		finishMetrics(p, parts[group], group)
	}
}

// moveDataPoints moves the data points of m as moveOut does, to metrics of the same type.
func moveDataPoints(s *splitter, m pmetric.Metric, to func(group int) pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return moveOut(s, m.Gauge().DataPoints(), func(group int) pmetric.NumberDataPointSlice {
			return to(group).Gauge().DataPoints()
		})
	case pmetric.MetricTypeSum:
		return moveOut(s, m.Sum().DataPoints(), func(group int) pmetric.NumberDataPointSlice {
			return to(group).Sum().DataPoints()
		})
	case pmetric.MetricTypeHistogram:
		return moveOut(s, m.Histogram().DataPoints(), func(group int) pmetric.HistogramDataPointSlice {
			return to(group).Histogram().DataPoints()
		})
	case pmetric.MetricTypeExponentialHistogram:
		return moveOut(s, m.ExponentialHistogram().DataPoints(), func(group int) pmetric.ExponentialHistogramDataPointSlice {
			return to(group).ExponentialHistogram().DataPoints()
		})
	case pmetric.MetricTypeSummary:
		return moveOut(s, m.Summary().DataPoints(), func(group int) pmetric.SummaryDataPointSlice {
			return to(group).Summary().DataPoints()
		})
	default:
		return false
	}
}

// copyWithoutDataPoints makes to the same metric as from, with no data points.
func copyWithoutDataPoints(from, to pmetric.Metric) {
	to.SetName(from.Name())
	to.SetDescription(from.Description())
	to.SetUnit(from.Unit())
	from.Metadata().CopyTo(to.Metadata())
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		to.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		sum := to.SetEmptySum()
		sum.SetAggregationTemporality(from.Sum().AggregationTemporality())
		sum.SetIsMonotonic(from.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		to.SetEmptyHistogram().SetAggregationTemporality(from.Histogram().AggregationTemporality())
	case pmetric.MetricTypeExponentialHistogram:
		to.SetEmptyExponentialHistogram().SetAggregationTemporality(from.ExponentialHistogram().AggregationTemporality())
	case pmetric.MetricTypeSummary:
		to.SetEmptySummary()
	case pmetric.MetricTypeEmpty:
	}
}

// finishMetrics writes the labels of the group to the resource and cleans its scopes.
func finishMetrics(p *pass, rm pmetric.ResourceMetrics, group int) {
	p.writeResource(rm.Resource().Attributes(), group)
	for i := range rm.ScopeMetrics().Len() {
		p.cleanScope(rm.ScopeMetrics().At(i).Scope().Attributes(), group)
	}
}
