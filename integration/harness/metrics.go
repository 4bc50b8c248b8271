package harness

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are the samples of one Prometheus exposition.
type Metrics []MetricSample

// MetricSample is one line of it. A histogram or summary appears as its lines:
// name_bucket, name_sum, name_count.
type MetricSample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Sum adds up the samples of a metric that bear all the given labels, written as
// pairs: Sum("vl_rows_ingested_total", "type", "jsonline"). It is 0 when there is none.
func (m Metrics) Sum(name string, labelPairs ...string) float64 {
	var sum float64
	for _, s := range m.Select(name, labelPairs...) {
		sum += s.Value
	}
	return sum
}

// Has tells whether there is at least one such sample.
func (m Metrics) Has(name string, labelPairs ...string) bool {
	return len(m.Select(name, labelPairs...)) > 0
}

// Select returns the samples of a metric that bear all the given labels.
func (m Metrics) Select(name string, labelPairs ...string) []MetricSample {
	var found []MetricSample
	for _, s := range m {
		if s.Name == name && hasLabels(s.Labels, labelPairs) {
			found = append(found, s)
		}
	}
	return found
}

// Map returns the samples by their text form, name{label="value",…} with the
// labels in order of their names.
func (m Metrics) Map() map[string]float64 {
	byText := make(map[string]float64, len(m))
	for _, s := range m {
		byText[seriesText(s.Name, s.Labels)] = s.Value
	}
	return byText
}

func hasLabels(labels map[string]string, pairs []string) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if value, ok := labels[pairs[i]]; !ok || value != pairs[i+1] {
			return false
		}
	}
	return true
}

func seriesText(name string, labels map[string]string) string {
	if len(labels) == 0 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(labels[key]))
	}
	b.WriteByte('}')
	return b.String()
}

// scrape reads one exposition from url.
func scrape(ctx context.Context, client *http.Client, url string) (Metrics, error) {
	body, err := httpGet(ctx, client, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return parseMetrics(body)
}

func parseMetrics(r io.Reader) (Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	var all Metrics
	for _, name := range slices.Sorted(maps.Keys(families)) {
		for _, m := range families[name].GetMetric() {
			all = appendSamples(all, name, m)
		}
	}
	return all, nil
}

func appendSamples(all Metrics, name string, m *dto.Metric) Metrics {
	add := func(suffix string, value float64, labelPairs ...string) {
		labels := make(map[string]string, len(m.GetLabel())+1)
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		for i := 0; i+1 < len(labelPairs); i += 2 {
			labels[labelPairs[i]] = labelPairs[i+1]
		}
		all = append(all, MetricSample{Name: name + suffix, Labels: labels, Value: value})
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch {
	case m.Counter != nil:
		add("", m.Counter.GetValue())
	case m.Gauge != nil:
		add("", m.Gauge.GetValue())
	case m.Untyped != nil:
		add("", m.Untyped.GetValue())
	case m.Histogram != nil:
		for _, b := range m.Histogram.GetBucket() {
			add("_bucket", float64(b.GetCumulativeCount()), "le", number(b.GetUpperBound()))
		}
		add("_sum", m.Histogram.GetSampleSum())
		add("_count", float64(m.Histogram.GetSampleCount()))
	case m.Summary != nil:
		for _, q := range m.Summary.GetQuantile() {
			add("", q.GetValue(), "quantile", number(q.GetQuantile()))
		}
		add("_sum", m.Summary.GetSampleSum())
		add("_count", float64(m.Summary.GetSampleCount()))
	}
	return all
}
