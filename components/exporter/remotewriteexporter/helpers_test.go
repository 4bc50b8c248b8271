package remotewriteexporter

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// reply is an answer of the fake server; the zero value takes the request.
type reply struct {
	status int
	body   string
	header map[string]string
}

// fakeServer keeps the series of the requests that it takes.
type fakeServer struct {
	*httptest.Server
	// answer decides about a request, the n-th from 0 on.
	answer func(n int, request *prompb.WriteRequest) reply

	mu       sync.Mutex
	requests []*prompb.WriteRequest // all of them
	bodies   []string
	taken    []*prompb.WriteRequest
}

func startServer(t testing.TB, answer func(n int, request *prompb.WriteRequest) reply) *fakeServer {
	s := &fakeServer{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		assert.Equal(t, "snappy", r.Header.Get("Content-Encoding"))
		assert.Equal(t, "application/x-protobuf", r.Header.Get("Content-Type"))
		assert.Equal(t, "0.1.0", r.Header.Get("X-Prometheus-Remote-Write-Version"))
		decoded, err := snappy.Decode(nil, body)
		assert.NoError(t, err)
		request := &prompb.WriteRequest{}
		assert.NoError(t, request.Unmarshal(decoded))

		s.mu.Lock()
		n := len(s.requests)
		s.requests = append(s.requests, request)
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
		var a reply
		if s.answer != nil {
			a = s.answer(n, request)
		}
		if a.status == 0 {
			a.status = http.StatusNoContent
		}
		if a.status < 300 {
			s.mu.Lock()
			s.taken = append(s.taken, request)
			s.mu.Unlock()
		}
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// series returns the samples that the server took by the text of their labels.
func (s *fakeServer) series() map[string][]prompb.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return seriesOf(s.taken...)
}

func seriesOf(requests ...*prompb.WriteRequest) map[string][]prompb.Sample {
	all := make(map[string][]prompb.Sample)
	for _, request := range requests {
		for _, series := range request.Timeseries {
			key := labelText(series.Labels)
			all[key] = append(all[key], series.Samples...)
		}
	}
	return all
}

func labelText(labels []prompb.Label) string {
	text := ""
	for _, l := range labels {
		text += fmt.Sprintf("%s=%q,", l.Name, l.Value)
	}
	return text
}

func labelOf(series prompb.TimeSeries, name string) string {
	for _, l := range series.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// ids returns how often the server took each data point that newPoint has numbered.
func (s *fakeServer) ids() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]int)
	for _, request := range s.taken {
		seen := make(map[string]bool)
		for _, series := range request.Timeseries {
			if id := labelOf(series, "id"); id != "" && !seen[id] {
				seen[id] = true
				ids[id]++
			}
		}
	}
	return ids
}

func (s *fakeServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// instance is a running exporter.
type instance struct {
	exporter.Metrics
	telemetry *componenttest.Telemetry
	config    *Config
}

// startExporter starts an exporter that does not retry, so that each call shows what it returns.
func startExporter(t testing.TB, endpoint string, change func(*Config)) *instance {
	t.Helper()
	factory := NewFactory()
	config := factory.CreateDefaultConfig().(*Config)
	config.Endpoint = endpoint + "/api/v1/write"
	config.RetryConfig.Enabled = false
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	telemetry := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(factory.Type())
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	metrics, err := factory.CreateMetrics(t.Context(), set, config)
	require.NoError(t, err)
	require.NoError(t, metrics.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		assert.NoError(t, metrics.Shutdown(context.Background()))
		assert.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return &instance{Metrics: metrics, telemetry: telemetry, config: config}
}

// counter returns the sum over the points of a counter that bear the attributes, written as pairs.
func (i *instance) counter(t *testing.T, name string, pairs ...string) int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, i.telemetry.Reader.Collect(t.Context(), &data))
	var sum int64
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			counter, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != "otelcol_exporter_remote_write_"+name || !ok {
				continue
			}
			for _, point := range counter.DataPoints {
				matches := true
				for p := 0; p+1 < len(pairs); p += 2 {
					value, ok := point.Attributes.Value(attribute.Key(pairs[p]))
					matches = matches && ok && value.AsString() == pairs[p+1]
				}
				if matches {
					sum += point.Value
				}
			}
		}
	}
	return sum
}

// refusedBy expects a permanent error and returns its data points.
func refusedBy(t *testing.T, err error) pmetric.Metrics {
	t.Helper()
	require.Error(t, err)
	require.True(t, consumererror.IsPermanent(err), err)
	var refused consumererror.Metrics
	require.ErrorAs(t, err, &refused)
	return refused.Data()
}

// gauges makes a gauge of n data points, numbered from 0 in the label `id`.
func gauges(n int) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("host_name", "edge-1")
	metric := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("temperature")
	points := metric.SetEmptyGauge().DataPoints()
	for i := range n {
		dp := points.AppendEmpty()
		dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		dp.SetDoubleValue(float64(i))
		dp.Attributes().PutStr("id", fmt.Sprint(i))
	}
	return metrics
}

// eachPoint calls f with all data points' attributes.
func eachPoint(metrics pmetric.Metrics, f func(metric pmetric.Metric, attributes pcommon.Map)) {
	for _, resource := range metrics.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, m := range scope.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					for _, dp := range m.Gauge().DataPoints().All() {
						f(m, dp.Attributes())
					}
				case pmetric.MetricTypeSum:
					for _, dp := range m.Sum().DataPoints().All() {
						f(m, dp.Attributes())
					}
				case pmetric.MetricTypeHistogram:
					for _, dp := range m.Histogram().DataPoints().All() {
						f(m, dp.Attributes())
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, dp := range m.ExponentialHistogram().DataPoints().All() {
						f(m, dp.Attributes())
					}
				case pmetric.MetricTypeSummary:
					for _, dp := range m.Summary().DataPoints().All() {
						f(m, dp.Attributes())
					}
				}
			}
		}
	}
}

// idsOf returns how often each number is in the data points.
func idsOf(metrics pmetric.Metrics) map[string]int {
	ids := make(map[string]int)
	eachPoint(metrics, func(_ pmetric.Metric, attributes pcommon.Map) {
		if id, ok := attributes.Get("id"); ok {
			ids[id.Str()]++
		}
	})
	return ids
}

// generator makes random metrics of all types, temporalities and oddities. Data points are numbered in `id`.
type generator struct {
	*rand.Rand
	next int
	now  time.Time
	// tame leaves out what is refused or left out by default.
	tame bool
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 7)), now: time.Now()}
}

var randomKeys = []string{"site.name", "site_name", "env", "job", "instance", "1st", "_x", "härte", "device", "le.x", "a.b", "a_b"}

func (g *generator) attributes(to pcommon.Map, n int) {
	for range g.IntN(n + 1) {
		key := randomKeys[g.IntN(len(randomKeys))]
		switch g.IntN(6) {
		case 0:
			to.PutInt(key, g.Int64N(100))
		case 1:
			to.PutBool(key, true)
		case 2:
			to.PutStr(key, "")
		case 3:
			to.PutEmptySlice(key).AppendEmpty().SetStr("x")
		default:
			to.PutStr(key, fmt.Sprintf("v%d", g.IntN(5)))
		}
	}
}

func (g *generator) point(dp interface {
	SetTimestamp(pcommon.Timestamp)
	Attributes() pcommon.Map
	SetFlags(pmetric.DataPointFlags)
}) {
	dp.SetTimestamp(pcommon.NewTimestampFromTime(g.now.Add(-time.Duration(g.IntN(3600)) * time.Second)))
	g.attributes(dp.Attributes(), 4)
	dp.Attributes().PutStr("id", fmt.Sprint(g.next))
	g.next++
	if g.IntN(20) == 0 {
		dp.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
	if g.tame {
		return
	}
	switch g.IntN(40) {
	case 0:
		dp.SetTimestamp(0)
	case 1:
		dp.SetTimestamp(math.MaxUint64)
	case 2:
		dp.SetTimestamp(pcommon.NewTimestampFromTime(g.now.AddDate(1, 0, 0)))
	case 3:
		dp.Attributes().PutStr("long", string(make([]byte, 5000)))
	case 4:
		dp.Attributes().PutStr("", "no key")
	case 5:
		for i := range 50 {
			dp.Attributes().PutInt(fmt.Sprintf("many_%d", i), 1)
		}
	case 6:
		dp.Attributes().PutStr(string(make([]byte, 300)), "long key")
	}
}

func (g *generator) float() float64 {
	if !g.tame && g.IntN(20) == 0 {
		return math.NaN()
	}
	return g.Float64() * 100
}

func (g *generator) temporality() pmetric.AggregationTemporality {
	if g.tame {
		return pmetric.AggregationTemporalityCumulative
	}
	return pmetric.AggregationTemporality(min(g.IntN(6), 2))
}

func (g *generator) metrics() pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	for range 1 + g.IntN(3) {
		resource := metrics.ResourceMetrics().AppendEmpty()
		g.attributes(resource.Resource().Attributes(), 6)
		if g.IntN(2) == 0 {
			resource.Resource().Attributes().PutStr("service.name", "checkout")
			resource.Resource().Attributes().PutStr("service.instance.id", "i-1")
		}
		for range g.IntN(3) {
			scope := resource.ScopeMetrics().AppendEmpty()
			scope.Scope().SetName("library")
			scope.Scope().SetVersion("1.2")
			for range g.IntN(5) {
				g.metric(scope.Metrics().AppendEmpty())
			}
		}
	}
	return metrics
}

func (g *generator) metric(m pmetric.Metric) {
	m.SetName([]string{"cpu.time", "queue_size", "http.server.duration", "1xx"}[g.IntN(4)])
	m.SetUnit([]string{"", "s", "By", "1"}[g.IntN(4)])
	if !g.tame && g.IntN(20) == 0 {
		m.SetName("")
	}
	n := g.IntN(6)
	types := 6
	if g.tame {
		types, n = 4, n+1
	}
	switch g.IntN(types) {
	case 0:
		for points := m.SetEmptyGauge().DataPoints(); points.Len() < n; {
			dp := points.AppendEmpty()
			dp.SetDoubleValue(g.float())
			g.point(dp)
		}
	case 1:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(g.IntN(2) == 0)
		sum.SetAggregationTemporality(g.temporality())
		for sum.DataPoints().Len() < n {
			dp := sum.DataPoints().AppendEmpty()
			dp.SetIntValue(g.Int64N(1000))
			dp.Exemplars().AppendEmpty().SetDoubleValue(3)
			g.point(dp)
		}
	case 2:
		histogram := m.SetEmptyHistogram()
		histogram.SetAggregationTemporality(g.temporality())
		for histogram.DataPoints().Len() < n {
			dp := histogram.DataPoints().AppendEmpty()
			dp.ExplicitBounds().FromRaw([]float64{0.1, 1, 10})
			dp.BucketCounts().FromRaw([]uint64{1, 2, 3, 4})
			dp.SetCount(10)
			if g.IntN(2) == 0 {
				dp.SetSum(g.float())
			}
			g.point(dp)
		}
	case 3:
		for points := m.SetEmptySummary().DataPoints(); points.Len() < n; {
			dp := points.AppendEmpty()
			dp.SetCount(10)
			dp.SetSum(g.float())
			for _, q := range []float64{0.5, 0.99} {
				value := dp.QuantileValues().AppendEmpty()
				value.SetQuantile(q)
				value.SetValue(g.float())
			}
			g.point(dp)
		}
	case 4:
		histogram := m.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(g.temporality())
		for histogram.DataPoints().Len() < n {
			dp := histogram.DataPoints().AppendEmpty()
			dp.SetScale(int32(g.IntN(6) - 5))
			dp.SetCount(3)
			dp.Positive().BucketCounts().FromRaw([]uint64{1, 2})
			g.point(dp)
		}
	default: // no type and no data point
	}
}
