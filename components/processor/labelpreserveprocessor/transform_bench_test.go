package labelpreserveprocessor

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
)

// transformStatements do with the transform processor what label_preserve does with the
// preset, as far as statements can: record before resource, name before alias, no alias left,
// the same on both, job from the two others. They count nothing and split no resource. Of the
// aliases of `env` only two are looked for.
func transformStatements(ctx string) []any {
	own, res := ctx+".attributes", "resource.attributes"
	aliases := [][]string{
		{"site_name", "site.name"},
		{"env", "deployment.environment.name", "deployment.environment"},
		{"host_name", "host.name"},
		{"service_name", "service.name"},
		{"service_namespace", "service.namespace"},
	}
	if ctx == "log" {
		aliases = append(aliases, []string{"stream", "log.iostream"})
	}
	var statements []any
	add := func(format string, args ...any) { statements = append(statements, fmt.Sprintf(format, args...)) }
	for _, keys := range aliases {
		name := keys[0]
		for _, alias := range keys[1:] {
			add(`set(%[1]s["%[2]s"], %[1]s["%[3]s"]) where %[1]s["%[2]s"] == nil and %[1]s["%[3]s"] != nil`, own, name, alias)
		}
		for _, key := range keys {
			add(`set(%[1]s["%[2]s"], %[4]s["%[3]s"]) where %[1]s["%[2]s"] == nil and %[4]s["%[3]s"] != nil`, own, name, key, res)
		}
		add(`set(%[3]s["%[2]s"], %[1]s["%[2]s"]) where %[1]s["%[2]s"] != nil`, own, name, res)
		for _, alias := range keys[1:] {
			add(`delete_key(%s, "%s")`, own, alias)
			add(`delete_key(%s, "%s")`, res, alias)
		}
	}
	add(`set(%[1]s["job"], %[2]s["job"]) where %[1]s["job"] == nil and %[2]s["job"] != nil`, own, res)
	add(`set(%[1]s["job"], Concat([%[1]s["service_namespace"], %[1]s["service_name"]], "/")) where %[1]s["job"] == nil`, own)
	add(`set(%[2]s["job"], %[1]s["job"])`, own, res)
	return statements
}

func transformConfig(b *testing.B, signal, ctx string) any {
	cfg := transformprocessor.NewFactory().CreateDefaultConfig()
	require.NoError(b, confmap.NewFromStringMap(map[string]any{
		"error_mode":           "propagate",
		signal + "_statements": []any{map[string]any{"context": ctx, "statements": transformStatements(ctx)}},
	}).Unmarshal(cfg))
	return cfg
}

var articleLabels = [][2]string{
	{"site_name", "zrh-1"},
	{"env", "prod"},
	{"host_name", "edge-7"},
	{"service_name", "checkout"},
	{"service_namespace", "shop"},
	{"job", "shop/checkout"},
}

// articleAttributes fills the attributes of a record to 12, the labels among them or, when it
// is not labelled, still to be written.
func articleAttributes(attrs pcommon.Map, record int, labelled, stream bool) {
	labels := len(articleLabels)
	if stream {
		labels++
	}
	for i := range 12 - labels {
		attrs.PutStr(fmt.Sprintf("attribute.%d", i), fmt.Sprintf("value-%d", record))
	}
	if stream {
		attrs.PutStr("stream", "stdout")
	}
	if labelled {
		for _, label := range articleLabels {
			attrs.PutStr(label[0], label[1])
		}
	}
}

func articleResource(attrs pcommon.Map) {
	for _, label := range articleLabels {
		attrs.PutStr(label[0], label[1])
	}
}

func articleLogs(labelled bool) plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	articleResource(rl.Resource().Attributes())
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range benchRecords {
		articleAttributes(records.AppendEmpty().Attributes(), i, labelled, true)
	}
	return logs
}

func articleMetrics(labelled bool) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	articleResource(rm.Resource().Attributes())
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("a_gauge")
	points := m.SetEmptyGauge().DataPoints()
	for i := range benchRecords {
		articleAttributes(points.AppendEmpty().Attributes(), i, labelled, false)
	}
	return metrics
}

// leastSpeedup is what is promised of label_preserve against transform.
const leastSpeedup = 5

// race times two ways to do the same in turns, so that what else the machine does falls on
// both, and fails if ours is not as much faster as promised.
func race(b *testing.B, ours, theirs func() time.Duration) {
	ours()
	theirs()
	var ourTime, theirTime time.Duration
	b.ResetTimer()
	for b.Loop() {
		ourTime += ours()
		theirTime += theirs()
	}
	perRecord := func(d time.Duration) float64 {
		return float64(d.Nanoseconds()) / float64(b.N) / benchRecords
	}
	b.ReportMetric(perRecord(ourTime), "ns/record")
	b.ReportMetric(perRecord(theirTime), "transform-ns/record")
	speedup := float64(theirTime) / float64(ourTime)
	b.ReportMetric(speedup, "speedup")
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	if speedup < leastSpeedup {
		b.Errorf("%.1f times as fast as transform, want %d times", speedup, leastSpeedup)
	}
}

// BenchmarkAgainstTransform does the same work with both processors in the same run.
func BenchmarkAgainstTransform(b *testing.B) {
	cfg := newDefaultConfig()
	cfg.Preset = presetArticle
	for _, state := range []struct {
		name     string
		labelled bool
	}{{"in_place", true}, {"written", false}} {
		b.Run("logs/"+state.name, func(b *testing.B) {
			ours, err := NewFactory().CreateLogs(b.Context(), processortest.NewNopSettings(NewFactory().Type()), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, ours.Start(b.Context(), componenttest.NewNopHost()))
			theirs, err := transformprocessor.NewFactory().CreateLogs(b.Context(), processortest.NewNopSettings(transformprocessor.NewFactory().Type()),
				transformConfig(b, "log", "log"), consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, theirs.Start(b.Context(), componenttest.NewNopHost()))
			fresh := articleLogs(state.labelled)
			want := labelledOfLogs(articleLogs(true))
			timed := func(consume func(context.Context, plog.Logs) error) func() time.Duration {
				return func() time.Duration {
					data := plog.NewLogs()
					fresh.CopyTo(data)
					runtime.GC() // what the copy has left behind is neither's
					start := time.Now()
					err := consume(b.Context(), data)
					took := time.Since(start)
					require.NoError(b, err)
					require.Equal(b, want, labelledOfLogs(data))
					return took
				}
			}
			race(b, timed(ours.ConsumeLogs), timed(theirs.ConsumeLogs))
		})
		b.Run("metrics/"+state.name, func(b *testing.B) {
			ours, err := NewFactory().CreateMetrics(b.Context(), processortest.NewNopSettings(NewFactory().Type()), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, ours.Start(b.Context(), componenttest.NewNopHost()))
			theirs, err := transformprocessor.NewFactory().CreateMetrics(b.Context(), processortest.NewNopSettings(transformprocessor.NewFactory().Type()),
				transformConfig(b, "metric", "datapoint"), consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, theirs.Start(b.Context(), componenttest.NewNopHost()))
			fresh := articleMetrics(state.labelled)
			want := labelledOfMetrics(articleMetrics(true))
			timed := func(consume func(context.Context, pmetric.Metrics) error) func() time.Duration {
				return func() time.Duration {
					data := pmetric.NewMetrics()
					fresh.CopyTo(data)
					runtime.GC() // what the copy has left behind is neither's
					start := time.Now()
					err := consume(b.Context(), data)
					took := time.Since(start)
					require.NoError(b, err)
					require.Equal(b, want, labelledOfMetrics(data))
					return took
				}
			}
			race(b, timed(ours.ConsumeMetrics), timed(theirs.ConsumeMetrics))
		})
	}
}

// labelledOfLogs returns the attributes of the last record.
func labelledOfLogs(logs plog.Logs) map[string]any {
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	return records.At(records.Len() - 1).Attributes().AsRaw()
}

// labelledOfMetrics returns the attributes of the last data point.
func labelledOfMetrics(metrics pmetric.Metrics) map[string]any {
	points := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints()
	return points.At(points.Len() - 1).Attributes().AsRaw()
}
