package labelpreserveprocessor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pipeline"
)

const budgetConfig = `
labels:
  - name: site_name
  - name: service_name
  - name: job
    from: [{source: record}, {source: resource}, {source: join, labels: [site_name, service_name]}]
limits: {max_labels: 16, max_name_bytes: 24, max_value_bytes: 0}
`

// randomBudget fills attrs with labels under any of their names and up to n other attributes, and returns the others.
func randomBudget(rnd *rand.Rand, attrs pcommon.Map, prefix string, n int) map[string]string {
	for _, key := range []string{"site_name", "site.name", "service_name", "service.name", "job"} {
		if rnd.IntN(4) == 0 {
			attrs.PutStr(key, fmt.Sprintf("value %d", rnd.IntN(3)))
		}
	}
	others := make(map[string]string)
	for range rnd.IntN(n + 1) {
		key := fmt.Sprintf("%s%02d", prefix, rnd.IntN(n))
		if rnd.IntN(10) == 0 {
			key += strings.Repeat("x", 24)
		}
		others[key] = fmt.Sprintf("%s \"%d\"", key, rnd.IntN(9))
		attrs.PutStr(key, others[key])
	}
	return others
}

// Thousands of random series leave within their budget, with their labels as the model says, and every other attribute
// where it was or in the overflow attribute.
func TestBudgetAgainstModel(t *testing.T) {
	lp := startedFor(t, pipeline.SignalMetrics, budgetConfig)
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		metrics := pmetric.NewMetrics()
		type series struct {
			labels map[string]any
			others map[string]string
		}
		var want []series
		for range rnd.IntN(3) + 1 {
			rm := metrics.ResourceMetrics().AppendEmpty()
			onResource := randomBudget(rnd, rm.Resource().Attributes(), "r", 16)
			if rnd.IntN(8) == 0 {
				rm.Resource().Attributes().PutStr("service.instance.id", "pod-1")
				onResource["service.instance.id"] = "pod-1"
			}
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			points := m.SetEmptyGauge().DataPoints()
			if rnd.IntN(2) == 0 {
				points = m.SetEmptySum().DataPoints()
			}
			for range rnd.IntN(5) {
				point := points.AppendEmpty()
				point.SetIntValue(int64(len(want)))
				others := randomBudget(rnd, point.Attributes(), "p", 14)
				for key, value := range onResource {
					others[key] = value
				}
				rec, res := point.Attributes(), rm.Resource().Attributes()
				site := firstOf(under(rec, "site_name", "site.name"), under(res, "site_name", "site.name"))
				service := firstOf(under(rec, "service_name", "service.name"), under(res, "service_name", "service.name"))
				job := firstOf(under(rec, "job"), under(res, "job"), strings.Trim(site+"/"+service, "/"))
				labels := make(map[string]any)
				for key, value := range map[string]string{"site_name": site, "service_name": service, "job": job} {
					if value != "" {
						labels[key] = value
					}
				}
				want = append(want, series{labels, others})
			}
		}

		metrics, err := lp.processMetrics(t.Context(), metrics)
		require.NoError(t, err)
		require.Equal(t, len(want), metrics.DataPointCount(), "seed %d", seed)
		for _, rm := range metrics.ResourceMetrics().All() {
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				points := m.Gauge().DataPoints
				if m.Type() == pmetric.MetricTypeSum {
					points = m.Sum().DataPoints
				}
				for _, point := range points().All() {
					expected := want[point.IntValue()]
					got := rm.Resource().Attributes().AsRaw()
					// Where remote write derives job, the name that it derives it from is another name of a label.
					delete(got, "service.name")
					_, instance := got["service.instance.id"]
					for key, value := range point.Attributes().AsRaw() {
						got[key] = value
					}
					count := len(got) + 1
					if _, hasJob := got["job"]; !hasJob {
						count++
					}
					if instance {
						count++
					}
					require.LessOrEqual(t, count, 16, "seed %d: %v", seed, got)
					for _, label := range []string{"site_name", "service_name", "job"} {
						require.Equal(t, expected.labels[label], got[label], "seed %d: %s", seed, label)
					}
					if expected.others["service.instance.id"] != "" {
						require.True(t, instance, "seed %d: remote write derives instance from it", seed)
					}
					if text, ok := got["overflow_labels"]; ok {
						var evicted map[string]any
						require.NoError(t, json.Unmarshal([]byte(text.(string)), &evicted), "seed %d", seed)
						for key, value := range evicted {
							require.NotContains(t, got, key, "seed %d", seed)
							got[key] = value
						}
					}
					for key, value := range expected.others {
						require.Equal(t, value, got[key], "seed %d", seed)
					}
				}
			}
		}
	}
}
