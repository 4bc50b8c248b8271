package liveextension

import (
	"fmt"
	"io"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// ownPrefix is that of the Collector's own metrics; nothing else is kept.
const ownPrefix = "otelcol_"

// metrics are the counters and gauges of one exposition, by name. Counters are without `_total`.
type metrics map[string][]sample

// readingLabel is added to metrics of the receiver: the topic and the group that reads it. There may be a group for each backend.
const readingLabel = "reading"

func reading(topic, group string) string { return topic + "\x00" + group }

type sample struct {
	labels map[string]string
	value  float64
}

func parseMetrics(r io.Reader) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("not the text format of Prometheus: %w", err)
	}
	all := metrics{}
	for name, family := range families {
		if !strings.HasPrefix(name, ownPrefix) {
			continue
		}
		name = strings.TrimSuffix(name, "_total")
		for _, m := range family.GetMetric() {
			if value, ok := valueOf(m); ok {
				labels := labelsOf(m)
				if strings.HasPrefix(name, receiver) {
					labels[readingLabel] = reading(labels["topic"], labels["group"])
				}
				all[name] = append(all[name], sample{labels, value})
			}
		}
	}
	return all, nil
}

func valueOf(m *dto.Metric) (float64, bool) {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Gauge != nil:
		return m.Gauge.GetValue(), true
	case m.Untyped != nil:
		return m.Untyped.GetValue(), true
	}
	return 0, false
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// value returns the first sample of a metric, 0 if there is none.
func (m metrics) value(name string) float64 {
	if samples := m[name]; len(samples) > 0 {
		return samples[0].value
	}
	return 0
}

// values returns the different values of a label, over the metrics, in order.
func (m metrics) values(label string, names ...string) []string {
	var found []string
	for _, name := range names {
		for _, s := range m[name] {
			if v := s.labels[label]; v != "" && !slices.Contains(found, v) {
				found = append(found, v)
			}
		}
	}
	slices.Sort(found)
	return found
}
