package labelpreserveprocessor

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// benchLabels are what the processor finds on a resource.
func benchLabels(attrs pcommon.Map) {
	attrs.PutStr("site.name", "site-a")
	attrs.PutStr("service.name", "api")
	attrs.PutStr("service.namespace", "shop")
}

// benchRecord fills attrs to 12 attributes: 8 of the record and 4 labels, or room for them.
func benchRecord(attrs pcommon.Map, i int, labelled bool) {
	for j := range 8 {
		attrs.PutStr(fmt.Sprintf("attribute.%d", j), fmt.Sprintf("value-%d", i))
	}
	if labelled {
		attrs.PutStr("site_name", "site-a")
		attrs.PutStr("service_name", "api")
		attrs.PutStr("service_namespace", "shop")
		attrs.PutStr("job", "shop/api")
	}
}

func benchLogs(records int, labelled bool) plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	benchLabels(rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	for i := range records {
		benchRecord(sl.LogRecords().AppendEmpty().Attributes(), i, labelled)
	}
	return logs
}

func benchMetrics(points int, labelled bool) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	benchLabels(rm.Resource().Attributes())
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("a_sum")
	for i := range points {
		if i == 0 {
			m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		benchRecord(m.Sum().DataPoints().AppendEmpty().Attributes(), i, labelled)
	}
	return metrics
}

const benchRecords = 1000

func reportPerRecord(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}

// BenchmarkLogsInPlace is the steady state of the consumer.
func BenchmarkLogsInPlace(b *testing.B) {
	lp := startedProcessor(b, loadConfig(b, "label_preserve/consumer"))
	logs := benchLogs(benchRecords, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := lp.processLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
	reportPerRecord(b)
}

// BenchmarkLogsWritten is the steady state of the agent: labels on the resource only.
func BenchmarkLogsWritten(b *testing.B) {
	lp := startedProcessor(b, loadConfig(b, "label_preserve/consumer"))
	fresh := benchLogs(benchRecords, false)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		logs := plog.NewLogs()
		fresh.CopyTo(logs)
		b.StartTimer()
		if _, err := lp.processLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
	reportPerRecord(b)
}

func BenchmarkMetricsInPlace(b *testing.B) {
	lp := startedProcessor(b, loadConfig(b, "label_preserve/consumer"))
	metrics := benchMetrics(benchRecords, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := lp.processMetrics(b.Context(), metrics); err != nil {
			b.Fatal(err)
		}
	}
	reportPerRecord(b)
}
