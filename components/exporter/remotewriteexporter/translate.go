package remotewriteexporter

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/prometheusremotewrite"
)

// translator makes series of data points, and knows which of them the server would drop.
type translator struct {
	config         *Config
	settings       prometheusremotewrite.Settings
	labelNamer     otlptranslator.LabelNamer // as in the translator
	targetInfoName string
}

func newTranslator(config *Config) (*translator, error) {
	labels, err := config.externalLabels()
	if err != nil {
		return nil, err
	}
	t := &translator{
		config: config,
		settings: prometheusremotewrite.Settings{
			Namespace:         config.Namespace,
			ExternalLabels:    labels,
			DisableTargetInfo: !config.TargetInfo.Enabled,
			DisableScopeInfo:  config.DisableScopeInfo,
			AddMetricSuffixes: config.AddMetricSuffixes,
		},
		labelNamer:     config.labelNamer(),
		targetInfoName: otlptranslator.TargetInfoMetricName,
	}
	if config.Namespace != "" {
		t.targetInfoName = config.Namespace + "_" + t.targetInfoName
	}
	return t, nil
}

// translation is the series of some data points, in an order that depends on nothing else.
type translation struct {
	series            []ordered
	samples           int
	nanSamples        int // left out
	skippedTargetInfo int
}

// translate makes the series of the pending points. Those that make none, or one over a limit, are refused.
func (t *translator) translate(source pmetric.Metrics, points []point) (translation, error) {
	result, _, err := t.try(source, points)
	if err == nil {
		return result, nil
	}
	// The translator goes on without the data points that it cannot translate and does not say which: each one alone
	// does. What limits are about, the labels, does not depend on the others either.
	for i := range points {
		if points[i].state != statePending {
			continue
		}
		if _, why, alone := t.try(source, points[i:i+1]); alone != nil {
			points[i].refuse(why)
		}
	}
	result, _, rest := t.try(source, points)
	if rest != nil {
		// Not one that a data point alone has, so none of them can be trusted to be in the result.
		refuseAll(points, reasonTranslation)
		return translation{}, rest
	}
	return result, err
}

// limitError says that a series is over a limit.
type limitError struct{ why reason }

func (e limitError) Error() string { return "a series is over the limit of " + e.why.String() }

func (t *translator) try(source pmetric.Metrics, points []point) (translation, reason, error) {
	result := collector{limits: &t.config.Limits, translator: t}
	result.series = make([]ordered, 0, 2*len(points))
	if !t.config.ResourceToTelemetry.Enabled || t.config.TargetInfo.Enabled {
		// target_info takes all labels that are not those of a data point.
		if err := result.add(t.config.prepare(source, points, t.config.ResourceToTelemetry.Enabled), t.settings); err != nil {
			return translation{}, result.why, err
		}
		return result.finish(), 0, nil
	}
	for len(points) > 0 {
		end := 1
		for end < len(points) && points[end].resource == points[0].resource {
			end++
		}
		group := points[:end]
		points = points[end:]
		if pending(group) == 0 {
			continue
		}
		settings, merge := t.settings, true
		resource := source.ResourceMetrics().At(int(group[0].resource))
		if labels, ok := t.sharedLabels(t.config.resourceLabels(resource.Resource().Attributes())); ok && !t.collide(source, group, labels) {
			// The translator makes the same labels of what it gets for all data points as of attributes of each of them,
			// and does not have to look at every one of them every time.
			settings.ExternalLabels, merge = labels, false
			for name, value := range t.settings.ExternalLabels {
				if _, taken := labels[name]; !taken {
					labels[name] = value
				}
			}
		}
		if err := result.add(t.config.prepare(source, group, merge), settings); err != nil {
			return translation{}, result.why, err
		}
	}
	return result.finish(), 0, nil
}

// sharedLabels returns the labels that attributes of a resource become, unless two of them become one, or one has no
// value and takes that of a data point away.
func (t *translator) sharedLabels(attributes pcommon.Map) (map[string]string, bool) {
	labels := make(map[string]string, attributes.Len()+len(t.settings.ExternalLabels))
	for key, v := range attributes.All() {
		text := v.AsString()
		if text == "" {
			return nil, false
		}
		name, err := t.labelNamer.Build(key)
		if err != nil {
			return nil, false
		}
		if _, taken := labels[name]; taken {
			return nil, false
		}
		labels[name] = text
	}
	return labels, true
}

// collide reports whether a pending point has an attribute that becomes one of the labels, too.
func (t *translator) collide(source pmetric.Metrics, points []point, labels map[string]string) bool {
	known := make(map[string]struct{}) // keys that do not
	s := newSelector(source)
	for i := range points {
		if points[i].state != statePending {
			continue
		}
		s.seek(&points[i])
		for key := range attributesOf(s.from, int(points[i].index)).All() {
			if _, ok := known[key]; ok {
				continue
			}
			name, err := t.labelNamer.Build(key)
			if err != nil {
				return true
			}
			if _, taken := labels[name]; taken {
				return true
			}
			known[key] = struct{}{}
		}
	}
	return false
}

// collector gathers series of several calls of the translator.
type collector struct {
	translation
	translator *translator
	limits     *LimitsConfig
	calls      int
	why        reason // of the error of add
}

// ordered is a series with the number of the call that made it: the same one may come of two of them.
type ordered struct {
	*prompb.TimeSeries
	call int
}

func (c *collector) add(metrics pmetric.Metrics, settings prometheusremotewrite.Settings) error {
	translated, err := prometheusremotewrite.FromMetrics(metrics, settings)
	if err != nil {
		c.why = reasonTranslation
		return err
	}
	for _, series := range translated {
		if why, over := c.limits.exceeded(series.Labels); over {
			if !c.translator.isTargetInfo(series) {
				c.why = why
				return limitError{why}
			}
			c.skippedTargetInfo += len(series.Samples)
			continue
		}
		if c.translator.config.NaN == NaNReject {
			before := len(series.Samples)
			series.Samples = slices.DeleteFunc(series.Samples, func(s prompb.Sample) bool { return isPlainNaN(s.Value) })
			c.nanSamples += before - len(series.Samples)
			if len(series.Samples)+len(series.Histograms) == 0 {
				continue
			}
		}
		c.samples += len(series.Samples) + len(series.Histograms)
		c.series = append(c.series, ordered{series, c.calls})
	}
	c.calls++
	return nil
}

// finish brings the series into their order. The translator's is that of a map. Sorted by their labels, series are the
// same bytes for the same input, and neighbours have most in common, which compresses best.
func (c *collector) finish() translation {
	slices.SortFunc(c.series, func(a, b ordered) int {
		return cmp.Or(compareLabels(a.Labels, b.Labels), cmp.Compare(a.call, b.call))
	})
	if c.calls > 1 {
		c.mergeEqual()
	}
	for _, series := range c.series {
		slices.SortStableFunc(series.Samples, func(a, b prompb.Sample) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	}
	return c.translation
}

// mergeEqual makes one series of neighbours with the same labels; some servers refuse a request with two.
func (c *collector) mergeEqual() {
	kept := c.series[:0]
	for _, series := range c.series {
		if len(kept) == 0 || compareLabels(kept[len(kept)-1].Labels, series.Labels) != 0 {
			kept = append(kept, series)
			continue
		}
		last := kept[len(kept)-1]
		last.Samples = append(last.Samples, series.Samples...)
		last.Exemplars = append(last.Exemplars, series.Exemplars...)
		last.Histograms = append(last.Histograms, series.Histograms...)
	}
	c.series = kept
}

// isTargetInfo reports whether the series is the one that the translator adds for a resource.
func (t *translator) isTargetInfo(series *prompb.TimeSeries) bool {
	if !t.config.TargetInfo.Enabled {
		return false
	}
	for _, label := range series.Labels {
		if label.Name == "__name__" {
			return label.Value == t.targetInfoName
		}
	}
	return false
}

// exceeded judges labels as VictoriaMetrics does (lib/timeserieslimits), which leaves those without a value out.
func (l *LimitsConfig) exceeded(labels []prompb.Label) (reason, bool) {
	count := 0
	for i := range labels {
		if labels[i].Value == "" {
			continue
		}
		count++
		if l.MaxLabelNameBytes > 0 && len(labels[i].Name) > l.MaxLabelNameBytes {
			return reasonLabelNameBytes, true
		}
		if l.MaxLabelValueBytes > 0 && len(labels[i].Value) > l.MaxLabelValueBytes {
			return reasonLabelValueBytes, true
		}
	}
	return reasonLabelCount, l.MaxLabels > 0 && count > l.MaxLabels
}

func compareLabels(a, b []prompb.Label) int {
	for i := range min(len(a), len(b)) {
		if c := strings.Compare(a[i].Name, b[i].Name); c != 0 {
			return c
		}
		if c := strings.Compare(a[i].Value, b[i].Value); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
