package remotewriteexporter

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	conventions "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// clockMargin is kept from the server's limits of time, for clocks that differ and for the time on the way.
const clockMargin = time.Minute

// pointState is what became of a data point.
type pointState uint8

const (
	statePending pointState = iota
	stateDelivered
	stateRefused
)

// point is a data point of a request, by its place.
type point struct {
	resource, scope, metric, index int32
	series                         int32 // about how many series it makes
	state                          pointState
	reason                         reason // of stateRefused
}

// plan lists the data points of a request in order, with those that no server of these limits would store refused.
type plan struct {
	points       []point
	emptyMetrics int
}

// planner judges data points by what can be seen without their series.
type planner struct {
	config   *Config
	earliest pcommon.Timestamp
	latest   pcommon.Timestamp
}

func newPlanner(config *Config, now time.Time) planner {
	p := planner{config: config, latest: math.MaxInt64} // the translator's time is signed
	if config.Limits.MaxPast > 0 {
		p.earliest = pcommon.NewTimestampFromTime(now.Add(clockMargin - config.Limits.MaxPast))
	}
	if config.Limits.MaxFuture > 0 {
		p.latest = pcommon.NewTimestampFromTime(now.Add(config.Limits.MaxFuture - clockMargin))
	}
	return p
}

func (p *planner) plan(metrics pmetric.Metrics) plan {
	result := plan{points: make([]point, 0, metrics.DataPointCount())}
	for r, resource := range metrics.ResourceMetrics().All() {
		for s, scope := range resource.ScopeMetrics().All() {
			for m, metric := range scope.Metrics().All() {
				before := len(result.points)
				result.points = p.appendPoints(result.points, metric)
				if len(result.points) == before {
					result.emptyMetrics++
				}
				for i := before; i < len(result.points); i++ {
					at := &result.points[i]
					at.resource, at.scope, at.metric, at.index = int32(r), int32(s), int32(m), int32(i-before)
				}
			}
		}
	}
	return result
}

func (p *planner) appendPoints(points []point, metric pmetric.Metric) []point {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, dp := range metric.Gauge().DataPoints().All() {
			points = append(points, p.number(dp))
		}
	case pmetric.MetricTypeSum:
		sum := metric.Sum()
		wrong := sum.AggregationTemporality() != pmetric.AggregationTemporalityCumulative && !p.config.becomesGauge(metric)
		for _, dp := range sum.DataPoints().All() {
			points = append(points, refusedIf(p.number(dp), wrong, reasonTemporality))
		}
	case pmetric.MetricTypeHistogram:
		histogram := metric.Histogram()
		wrong := histogram.AggregationTemporality() != pmetric.AggregationTemporalityCumulative
		for _, dp := range histogram.DataPoints().All() {
			at := p.at(dp.Timestamp())
			at.series = int32(min(dp.BucketCounts().Len(), dp.ExplicitBounds().Len()) + 3)
			points = append(points, refusedIf(at, wrong, reasonTemporality))
		}
	case pmetric.MetricTypeExponentialHistogram:
		histogram := metric.ExponentialHistogram()
		wrong := histogram.AggregationTemporality() != pmetric.AggregationTemporalityCumulative
		reject := p.config.ExponentialHistograms == ExponentialHistogramReject
		for _, dp := range histogram.DataPoints().All() {
			at := refusedIf(p.at(dp.Timestamp()), wrong, reasonTemporality)
			points = append(points, refusedIf(at, reject, reasonExponentialHistogram))
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range metric.Summary().DataPoints().All() {
			at := p.at(dp.Timestamp())
			at.series = int32(dp.QuantileValues().Len() + 2)
			points = append(points, at)
		}
	}
	return points
}

func (p *planner) number(dp pmetric.NumberDataPoint) point {
	nan := p.config.NaN == NaNReject && dp.ValueType() == pmetric.NumberDataPointValueTypeDouble &&
		!dp.Flags().NoRecordedValue() && isPlainNaN(dp.DoubleValue())
	return refusedIf(p.at(dp.Timestamp()), nan, reasonNaN)
}

// at returns a point of one series, refused where its time is.
func (p *planner) at(t pcommon.Timestamp) point {
	at := refusedIf(point{series: 1}, t < p.earliest, reasonPast)
	return refusedIf(at, t > p.latest, reasonFuture)
}

func refusedIf(at point, refused bool, why reason) point {
	if refused {
		at.state, at.reason = stateRefused, why
	}
	return at
}

// isPlainNaN reports whether the value is NaN and no staleness marker.
func isPlainNaN(v float64) bool { return math.IsNaN(v) && !value.IsStaleNaN(v) }

// becomesGauge reports whether the metric is a delta sum that goes out as a gauge.
func (c *Config) becomesGauge(metric pmetric.Metric) bool {
	return c.Delta == DeltaGauge && metric.Type() == pmetric.MetricTypeSum &&
		metric.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta
}

// pending counts the points that are neither delivered nor refused.
func pending(points []point) int {
	n := 0
	for i := range points {
		if points[i].state == statePending {
			n++
		}
	}
	return n
}

// halves cuts the points in two, each with half of those that are pending. There must be two of them.
func halves(points []point) (left, right []point) {
	half := pending(points) / 2
	i := 0
	for seen := 0; seen < half; i++ {
		if points[i].state == statePending {
			seen++
		}
	}
	return points[:i], points[i:]
}

func (at *point) refuse(why reason) { at.state, at.reason = stateRefused, why }

// refuseAll refuses the points that are pending.
func refuseAll(points []point, why reason) {
	for i := range points {
		if points[i].state == statePending {
			points[i].refuse(why)
		}
	}
}

// selector copies data points of a request into a request of their own, which has their order and nothing else.
type selector struct {
	source pmetric.Metrics
	target pmetric.Metrics

	at       point // the last one
	resource pmetric.ResourceMetrics
	scope    pmetric.ScopeMetrics
	metric   pmetric.Metric
	from     pmetric.Metric
}

func newSelector(source pmetric.Metrics) *selector {
	return &selector{source: source, target: pmetric.NewMetrics(), at: point{resource: -1}}
}

// open makes the target's resource, scope and metric those of the point, and reports whether there was a change of
// resource and of metric.
func (s *selector) open(at *point) (newResource, newMetric bool) {
	newResource = at.resource != s.at.resource
	newScope := newResource || at.scope != s.at.scope
	newMetric = newScope || at.metric != s.at.metric
	s.at = *at
	if !newMetric {
		return false, false
	}
	resource := s.source.ResourceMetrics().At(int(at.resource))
	if newResource {
		s.resource = s.target.ResourceMetrics().AppendEmpty()
		resource.Resource().CopyTo(s.resource.Resource())
		s.resource.SetSchemaUrl(resource.SchemaUrl())
	}
	scope := resource.ScopeMetrics().At(int(at.scope))
	if newScope {
		s.scope = s.resource.ScopeMetrics().AppendEmpty()
		scope.Scope().CopyTo(s.scope.Scope())
		s.scope.SetSchemaUrl(scope.SchemaUrl())
	}
	s.from = scope.Metrics().At(int(at.metric))
	s.metric = s.scope.Metrics().AppendEmpty()
	s.metric.SetName(s.from.Name())
	s.metric.SetDescription(s.from.Description())
	s.metric.SetUnit(s.from.Unit())
	s.from.Metadata().CopyTo(s.metric.Metadata())
	switch s.from.Type() {
	case pmetric.MetricTypeGauge:
		s.metric.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		sum := s.metric.SetEmptySum()
		sum.SetAggregationTemporality(s.from.Sum().AggregationTemporality())
		sum.SetIsMonotonic(s.from.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		s.metric.SetEmptyHistogram().SetAggregationTemporality(s.from.Histogram().AggregationTemporality())
	case pmetric.MetricTypeExponentialHistogram:
		s.metric.SetEmptyExponentialHistogram().SetAggregationTemporality(s.from.ExponentialHistogram().AggregationTemporality())
	case pmetric.MetricTypeSummary:
		s.metric.SetEmptySummary()
	}
	return newResource, true
}

// seek makes the source's metric that of the point, without a change of the target.
func (s *selector) seek(at *point) {
	if at.resource != s.at.resource || at.scope != s.at.scope || at.metric != s.at.metric {
		s.from = s.source.ResourceMetrics().At(int(at.resource)).ScopeMetrics().At(int(at.scope)).Metrics().At(int(at.metric))
		s.at = *at
	}
}

// attributesOf returns those of a data point of the metric.
func attributesOf(metric pmetric.Metric, index int) pcommon.Map {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return metric.Gauge().DataPoints().At(index).Attributes()
	case pmetric.MetricTypeSum:
		return metric.Sum().DataPoints().At(index).Attributes()
	case pmetric.MetricTypeHistogram:
		return metric.Histogram().DataPoints().At(index).Attributes()
	case pmetric.MetricTypeExponentialHistogram:
		return metric.ExponentialHistogram().DataPoints().At(index).Attributes()
	default:
		return metric.Summary().DataPoints().At(index).Attributes()
	}
}

// copyPoints returns copies of the points of a state, as they came.
func copyPoints(source pmetric.Metrics, points []point, states ...pointState) pmetric.Metrics {
	s := newSelector(source)
	for i := range points {
		at := &points[i]
		wanted := false
		for _, state := range states {
			wanted = wanted || at.state == state
		}
		if !wanted {
			continue
		}
		s.open(at)
		switch index := int(at.index); s.from.Type() {
		case pmetric.MetricTypeGauge:
			s.from.Gauge().DataPoints().At(index).CopyTo(s.metric.Gauge().DataPoints().AppendEmpty())
		case pmetric.MetricTypeSum:
			s.from.Sum().DataPoints().At(index).CopyTo(s.metric.Sum().DataPoints().AppendEmpty())
		case pmetric.MetricTypeHistogram:
			s.from.Histogram().DataPoints().At(index).CopyTo(s.metric.Histogram().DataPoints().AppendEmpty())
		case pmetric.MetricTypeExponentialHistogram:
			s.from.ExponentialHistogram().DataPoints().At(index).CopyTo(s.metric.ExponentialHistogram().DataPoints().AppendEmpty())
		case pmetric.MetricTypeSummary:
			s.from.Summary().DataPoints().At(index).CopyTo(s.metric.Summary().DataPoints().AppendEmpty())
		}
	}
	return s.target
}

// prepare returns copies of the pending points as the translator takes them: with the attributes of their resource where
// these are to be merged into their own, and delta sums as gauges where that is wanted.
func (c *Config) prepare(source pmetric.Metrics, points []point, mergeResource bool) pmetric.Metrics {
	s := newSelector(source)
	labels := pcommon.NewMap()
	for i := range points {
		at := &points[i]
		if at.state != statePending {
			continue
		}
		newResource, newMetric := s.open(at)
		if newResource && mergeResource {
			labels = c.resourceLabels(s.resource.Resource().Attributes())
		}
		if newMetric && c.becomesGauge(s.from) {
			s.metric.SetEmptyGauge()
		}
		switch index := int(at.index); s.from.Type() {
		case pmetric.MetricTypeGauge:
			copyNumber(s.from.Gauge().DataPoints().At(index), s.metric.Gauge().DataPoints().AppendEmpty(), labels)
		case pmetric.MetricTypeSum:
			var target pmetric.NumberDataPointSlice
			if s.metric.Type() == pmetric.MetricTypeGauge {
				target = s.metric.Gauge().DataPoints()
			} else {
				target = s.metric.Sum().DataPoints()
			}
			copyNumber(s.from.Sum().DataPoints().At(index), target.AppendEmpty(), labels)
		case pmetric.MetricTypeHistogram:
			dp := s.metric.Histogram().DataPoints().AppendEmpty()
			s.from.Histogram().DataPoints().At(index).CopyTo(dp)
			overwrite(dp.Attributes(), labels)
		case pmetric.MetricTypeExponentialHistogram:
			dp := s.metric.ExponentialHistogram().DataPoints().AppendEmpty()
			s.from.ExponentialHistogram().DataPoints().At(index).CopyTo(dp)
			overwrite(dp.Attributes(), labels)
		case pmetric.MetricTypeSummary:
			dp := s.metric.Summary().DataPoints().AppendEmpty()
			s.from.Summary().DataPoints().At(index).CopyTo(dp)
			overwrite(dp.Attributes(), labels)
		}
	}
	return s.target
}

// resourceLabels returns the attributes of a resource that become labels.
func (c *Config) resourceLabels(attributes pcommon.Map) pcommon.Map {
	if !c.ResourceToTelemetry.ExcludeServiceAttributes {
		return attributes
	}
	labels := pcommon.NewMap()
	for key, v := range attributes.All() {
		switch key {
		case string(conventions.ServiceNameKey), string(conventions.ServiceNamespaceKey), string(conventions.ServiceInstanceIDKey):
		default:
			v.CopyTo(labels.PutEmpty(key))
		}
	}
	return labels
}

// copyNumber copies what becomes of a data point in a series.
func copyNumber(from, to pmetric.NumberDataPoint, labels pcommon.Map) {
	to.SetTimestamp(from.Timestamp())
	to.SetFlags(from.Flags())
	switch from.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		to.SetIntValue(from.IntValue())
	case pmetric.NumberDataPointValueTypeDouble:
		to.SetDoubleValue(from.DoubleValue())
	}
	if from.Exemplars().Len() > 0 {
		from.Exemplars().CopyTo(to.Exemplars())
	}
	merge(from.Attributes(), labels, to.Attributes())
}

// overwrite puts the labels into the attributes, as upstream's resource_to_telemetry_conversion does: of two values of
// one key the label's is kept.
func overwrite(attributes, labels pcommon.Map) {
	if labels.Len() == 0 {
		return
	}
	attributes.EnsureCapacity(attributes.Len() + labels.Len())
	for key, v := range labels.All() {
		v.CopyTo(attributes.PutEmpty(key))
	}
}

// merge is overwrite into an empty map. The labels, which are the same for every data point of a resource, are copied as
// a whole instead of being looked up one by one.
func merge(attributes, labels, to pcommon.Map) {
	to.EnsureCapacity(attributes.Len() + labels.Len())
	labels.CopyTo(to)
	for key, v := range attributes.All() {
		target, had := to.GetOrPutEmpty(key)
		if !had {
			v.CopyTo(target)
			continue
		}
		if _, label := labels.Get(key); !label {
			// The data point has two values of one key, which the translator joins.
			attributes.CopyTo(to)
			overwrite(to, labels)
			return
		}
	}
}
