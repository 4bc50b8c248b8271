package otlpview

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// BenchmarkUnmarshalLogs decodes one message of 2,000 records. In turns has both
// decoders in each iteration, so that their ratio does not depend on what else the
// machine did meanwhile.
func BenchmarkUnmarshalLogs(b *testing.B) {
	data := marshal(b, steadyLogs())
	decode := func(b *testing.B, unmarshal func([]byte) (plog.Logs, error)) time.Duration {
		start := time.Now()
		if _, err := unmarshal(data); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	upstream := (&plog.ProtoUnmarshaler{}).UnmarshalLogs
	perRecord := func(d time.Duration, n int) float64 {
		return float64(d.Nanoseconds()) / float64(n) / steadyRecords
	}

	b.Run("view", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decode(b, UnmarshalLogs)
		}
		b.ReportMetric(perRecord(b.Elapsed(), b.N), "ns/record")
	})
	b.Run("upstream", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decode(b, upstream)
		}
		b.ReportMetric(perRecord(b.Elapsed(), b.N), "ns/record")
	})
	b.Run("in turns", func(b *testing.B) {
		var ours, theirs time.Duration
		for b.Loop() {
			ours += decode(b, UnmarshalLogs)
			theirs += decode(b, upstream)
		}
		b.ReportMetric(perRecord(ours, b.N), "view-ns/record")
		b.ReportMetric(perRecord(theirs, b.N), "upstream-ns/record")
		b.ReportMetric(float64(ours)/float64(theirs), "view/upstream")
	})
}
