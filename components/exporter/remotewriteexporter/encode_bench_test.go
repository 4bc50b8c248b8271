package remotewriteexporter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// benchMetrics are what hosts send: few metrics of many gauges and sums with the labels of the host on the resource, and
// one histogram to each ten of them.
func benchMetrics(dataPoints int) pmetric.Metrics {
	now := pcommon.NewTimestampFromTime(time.Now())
	metrics := pmetric.NewMetrics()
	const perResource = 250
	for r := 0; metrics.DataPointCount() < dataPoints; r++ {
		resource := metrics.ResourceMetrics().AppendEmpty()
		for key, value := range map[string]string{
			"site_name": "frankfurt-07", "env": "production", "host_name": fmt.Sprintf("edge-host-%04d.example.net", r),
			"service_name": "checkout-api", "service_namespace": "shop", "job": "shop/checkout-api", "os_type": "linux",
		} {
			resource.Resource().Attributes().PutStr(key, value)
		}
		scope := resource.ScopeMetrics().AppendEmpty()
		for m := range perResource / 10 {
			metric := scope.Metrics().AppendEmpty()
			metric.SetName(fmt.Sprintf("system.device%02d.io", m))
			metric.SetUnit("By")
			if m%10 == 9 {
				histogram := metric.SetEmptyHistogram()
				histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for p := range 10 {
					dp := histogram.DataPoints().AppendEmpty()
					dp.SetTimestamp(now)
					dp.Attributes().PutStr("route", fmt.Sprintf("/api/v1/items/%d", p))
					dp.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10})
					dp.BucketCounts().FromRaw([]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9})
					dp.SetCount(45)
					dp.SetSum(12.5)
				}
				continue
			}
			sum := metric.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for p := range 10 {
				dp := sum.DataPoints().AppendEmpty()
				dp.SetTimestamp(now)
				dp.SetDoubleValue(float64(p) * 1.25)
				dp.Attributes().PutStr("device", fmt.Sprintf("nvme%dn1", p/2))
				dp.Attributes().PutStr("direction", []string{"read", "write"}[p%2])
				dp.Attributes().PutStr("state", "used")
			}
		}
	}
	return metrics
}

// BenchmarkPush compares with upstream's exporter, both as the consumer profile sets them and against the same server.
func BenchmarkPush(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()

	ours := NewFactory()
	config := ours.CreateDefaultConfig().(*Config)
	config.Endpoint = server.URL + "/api/v1/write"

	upstream := prometheusremotewriteexporter.NewFactory()
	upstreamConfig := upstream.CreateDefaultConfig().(*prometheusremotewriteexporter.Config)
	upstreamConfig.ClientConfig.Endpoint = config.Endpoint
	upstreamConfig.RemoteWriteQueue.Enabled = false
	upstreamConfig.ResourceToTelemetrySettings.Enabled = true
	upstreamConfig.DisableScopeInfo = true
	upstreamConfig.TargetInfo.Enabled = false

	for _, dataPoints := range []int{500, 5000, 20000} {
		for _, candidate := range []struct {
			name    string
			factory exporter.Factory
			config  any
		}{{"upstream", upstream, upstreamConfig}, {"ours", ours, config}} {
			b.Run(fmt.Sprintf("%s/%d", candidate.name, dataPoints), func(b *testing.B) {
				e, err := candidate.factory.CreateMetrics(b.Context(), exportertest.NewNopSettings(candidate.factory.Type()), candidate.config)
				require.NoError(b, err)
				require.NoError(b, e.Start(b.Context(), componenttest.NewNopHost()))
				defer func() { _ = e.Shutdown(b.Context()) }()
				marshaler, unmarshaler := pmetric.ProtoMarshaler{}, pmetric.ProtoUnmarshaler{}
				encoded, err := marshaler.MarshalMetrics(benchMetrics(dataPoints))
				require.NoError(b, err)
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					// Decoded anew each time, as upstream changes what it is given.
					b.StopTimer()
					metrics, err := unmarshaler.UnmarshalMetrics(encoded)
					require.NoError(b, err)
					b.StartTimer()
					n += metrics.DataPointCount()
					require.NoError(b, e.ConsumeMetrics(b.Context(), metrics))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/point")
			})
		}
	}
}
