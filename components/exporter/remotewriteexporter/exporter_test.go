package remotewriteexporter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

func always(a reply) func(int, *prompb.WriteRequest) reply {
	return func(int, *prompb.WriteRequest) reply { return a }
}

func TestResponses(t *testing.T) {
	for _, r := range responses {
		t.Run(fmt.Sprintf("%d %s", r.status, r.body), func(t *testing.T) {
			server := startServer(t, always(reply{status: r.status, body: r.body}))
			e := startExporter(t, server.URL, nil)
			err := e.ConsumeMetrics(t.Context(), gauges(1))
			assert.Positive(t, e.counter(t, "requests", "outcome", string(r.want)))
			switch r.want {
			case outcomeDelivered:
				require.NoError(t, err)
				assert.EqualValues(t, 1, e.counter(t, "sent_data_points"))
				assert.EqualValues(t, 1, e.counter(t, "sent_samples"))
			case outcomeRetry, outcomeThrottled:
				require.Error(t, err)
				assert.False(t, consumererror.IsPermanent(err), err)
				assert.ErrorContains(t, err, strconv.Itoa(r.status))
				assert.Zero(t, e.counter(t, "refused_data_points"))
				assert.Zero(t, e.counter(t, "sent_data_points"))
			default:
				assert.Equal(t, map[string]int{"0": 1}, idsOf(refusedBy(t, err)))
				assert.ErrorContains(t, err, r.body)
				assert.EqualValues(t, 1, e.counter(t, "refused_data_points", "reason", string(r.want)))
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	answered := make(chan time.Time, 10)
	server := startServer(t, func(n int, _ *prompb.WriteRequest) reply {
		answered <- time.Now()
		if n == 0 {
			return reply{status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "1"}}
		}
		return reply{}
	})
	e := startExporter(t, server.URL, func(c *Config) {
		c.RetryConfig.Enabled = true
		c.RetryConfig.InitialInterval = time.Millisecond
	})
	require.NoError(t, e.ConsumeMetrics(t.Context(), gauges(1)))
	first, second := <-answered, <-answered
	assert.GreaterOrEqual(t, second.Sub(first), 900*time.Millisecond)
}

// A redirect that is followed is a GET, and a 200 to it means nothing.
func TestRedirectIsNotFollowed(t *testing.T) {
	followed := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		if r.URL.Path == "/login" {
			followed <- r.Method
			return
		}
		http.Redirect(w, r, "/login", http.StatusFound)
	}))
	defer server.Close()
	e := startExporter(t, server.URL, nil)
	err := e.ConsumeMetrics(t.Context(), gauges(1))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.Empty(t, followed)
}

func TestNoAnswerIsTransient(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"connection closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"answer breaks off": func(w http.ResponseWriter, r *http.Request) {
			drain(r)
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("short"))
			panic(http.ErrAbortHandler)
		},
		"timeout": func(_ http.ResponseWriter, r *http.Request) { drain(r); <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			e := startExporter(t, server.URL, func(c *Config) {
				c.Timeout = 200 * time.Millisecond
				c.Endpoint += "?token=secret"
			})
			err := e.ConsumeMetrics(t.Context(), gauges(3))
			require.Error(t, err)
			assert.False(t, consumererror.IsPermanent(err), err)
			assert.NotContains(t, err.Error(), "secret")
			assert.Zero(t, e.counter(t, "sent_data_points"))
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		e := startExporter(t, server.URL, nil)
		err := e.ConsumeMetrics(t.Context(), gauges(3))
		require.Error(t, err)
		assert.False(t, consumererror.IsPermanent(err), err)
	})
}

// exporterWith has a client that asks nobody.
func exporterWith(t *testing.T, answer roundTripper) *remoteWriteExporter {
	t.Helper()
	config := createDefaultConfig().(*Config)
	config.Endpoint = "http://127.0.0.1:8428/api/v1/write"
	e, err := newExporter(config, exportertest.NewNopSettings(NewFactory().Type()))
	require.NoError(t, err)
	e.client = &http.Client{Transport: answer}
	t.Cleanup(func() { assert.NoError(t, e.shutdown(context.Background())) })
	return e
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An answer to a request that was not read to its end cannot be one about its content.
func TestAnswerBeforeTheRequestIsNoDelivery(t *testing.T) {
	e := exporterWith(t, func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: http.NoBody}, nil
	})
	err := e.pushMetrics(t.Context(), gauges(1))
	require.ErrorContains(t, err, "before the request was sent")
	assert.False(t, consumererror.IsPermanent(err))
}

func TestErrorOfTheTransportIsNeverPermanent(t *testing.T) {
	e := exporterWith(t, func(*http.Request) (*http.Response, error) {
		return nil, consumererror.NewPermanent(errors.New("no token"))
	})
	err := e.pushMetrics(t.Context(), gauges(1))
	require.ErrorContains(t, err, "no token")
	assert.False(t, consumererror.IsPermanent(err))
}

// A context that has ended is an error every time; a select that finds two cases ready takes either.
func TestEndedContextIsAnError(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		err := e.ConsumeMetrics(ctx, gauges(3))
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, consumererror.IsPermanent(err))
	}
	assert.Zero(t, server.count())
}

func TestContextEndsDuringTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := exporterWith(t, func(r *http.Request) (*http.Response, error) {
		drain(r)
		cancel()
		return &http.Response{StatusCode: http.StatusBadRequest, Status: "400 Bad Request", Body: http.NoBody}, nil
	})
	err := e.pushMetrics(ctx, gauges(1))
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, consumererror.IsPermanent(err), err)
}

// refuseIDs refuses requests with a series of one of the numbers.
func refuseIDs(bad func(id int) bool) func(int, *prompb.WriteRequest) reply {
	return func(_ int, request *prompb.WriteRequest) reply {
		for _, series := range request.Timeseries {
			if id, err := strconv.Atoi(labelOf(series, "id")); err == nil && bad(id) {
				return reply{status: http.StatusBadRequest, body: fmt.Sprintf("out of order sample, id %d", id)}
			}
		}
		return reply{}
	}
}

func TestRefusedSeriesAreFound(t *testing.T) {
	server := startServer(t, refuseIDs(func(id int) bool { return id == 17 || id == 700 }))
	e := startExporter(t, server.URL, nil)
	source := gauges(1000)
	err := e.ConsumeMetrics(t.Context(), source)
	refused := refusedBy(t, err)
	assert.Equal(t, map[string]int{"17": 1, "700": 1}, idsOf(refused))
	assert.ErrorContains(t, err, "out of order sample, id 17")
	assert.ErrorContains(t, err, "out of order sample, id 700")
	assert.Len(t, server.ids(), 998)
	for id, n := range server.ids() {
		assert.Equal(t, 1, n, id)
	}
	assert.LessOrEqual(t, server.count(), 2*2*10+1, "requests for 2 of 1000")
	// What comes back is what was given: no label of the resource in the data points.
	attributes := refused.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes()
	assert.Equal(t, map[string]any{"id": "17"}, attributes.AsRaw())
	assert.EqualValues(t, 2, e.counter(t, "refused_data_points", "reason", "refused"))
	assert.EqualValues(t, 998, e.counter(t, "sent_data_points"))
}

func TestEverythingRefusedCostsFewRequests(t *testing.T) {
	server := startServer(t, always(reply{status: http.StatusBadRequest, body: "no"}))
	e := startExporter(t, server.URL, nil)
	assert.Len(t, idsOf(refusedBy(t, e.ConsumeMetrics(t.Context(), gauges(2000)))), 2000)
	assert.LessOrEqual(t, server.count(), maxFruitlessProbes+15)
}

func TestEveryOtherRefusedIsBounded(t *testing.T) {
	server := startServer(t, refuseIDs(func(id int) bool { return id%2 == 0 }))
	e := startExporter(t, server.URL, nil)
	refused := idsOf(refusedBy(t, e.ConsumeMetrics(t.Context(), gauges(4000))))
	assert.LessOrEqual(t, server.count(), maxProbes+15)
	delivered := server.ids()
	assert.Len(t, delivered, 4000-len(refused))
	for id := range delivered {
		assert.NotContains(t, refused, id)
	}
}

func TestTooLargeIsCutInTwo(t *testing.T) {
	server := startServer(t, func(_ int, request *prompb.WriteRequest) reply {
		if len(request.Timeseries) > 100 {
			return reply{status: http.StatusRequestEntityTooLarge}
		}
		return reply{}
	})
	e := startExporter(t, server.URL, nil)
	require.NoError(t, e.ConsumeMetrics(t.Context(), gauges(1000)))
	assert.Len(t, server.ids(), 1000)
	assert.Zero(t, e.counter(t, "refused_data_points"))
}

func TestRequestsAreBounded(t *testing.T) {
	server := startServer(t, nil)
	const limit = 10_000
	e := startExporter(t, server.URL, func(c *Config) { c.MaxRequestBytes = limit })
	require.NoError(t, e.ConsumeMetrics(t.Context(), gauges(1000)))
	assert.Len(t, server.ids(), 1000)
	require.Greater(t, server.count(), 3)
	for _, request := range server.requests {
		assert.LessOrEqual(t, request.Size(), limit)
		assert.Positive(t, request.Size())
	}
}

// A part that was delivered does not come again with one that was not, and what is refused is not forgotten over it.
func TestOnlyWhatIsMissingIsRetried(t *testing.T) {
	const n = 3 * partSeries
	failing := true
	server := startServer(t, func(_ int, request *prompb.WriteRequest) reply {
		for _, series := range request.Timeseries {
			switch id := labelOf(series, "id"); {
			case id == "0":
				return reply{status: http.StatusBadRequest, body: "refused"}
			case id == strconv.Itoa(n-1) && failing:
				failing = false
				return reply{status: http.StatusInternalServerError}
			}
		}
		return reply{}
	})
	e := startExporter(t, server.URL, func(c *Config) {
		c.RetryConfig.Enabled = true
		c.RetryConfig.InitialInterval = time.Millisecond
		c.Concurrency = 1
	})
	assert.Equal(t, map[string]int{"0": 1}, idsOf(refusedBy(t, e.ConsumeMetrics(t.Context(), gauges(n)))))
	ids := server.ids()
	assert.Len(t, ids, n-1)
	for id, times := range ids {
		assert.Equal(t, 1, times, id)
	}
	assert.EqualValues(t, n-1, e.counter(t, "sent_data_points"))
	assert.EqualValues(t, 1, e.counter(t, "refused_data_points"), "counted once, not with each attempt")
}

// A server that asks to be left alone is left alone by the other parts.
func TestThrottledStopsTheOtherParts(t *testing.T) {
	server := startServer(t, always(reply{status: http.StatusServiceUnavailable}))
	e := startExporter(t, server.URL, func(c *Config) { c.Concurrency = 1 })
	require.Error(t, e.ConsumeMetrics(t.Context(), gauges(5*partSeries)))
	assert.Equal(t, 1, server.count())
}

func TestSameMetricsMakeSameRequests(t *testing.T) {
	g := newGenerator(3)
	metrics := g.metrics()
	for metrics.DataPointCount() < 100 {
		g.metrics().ResourceMetrics().MoveAndAppendTo(metrics.ResourceMetrics())
	}
	marshaler := pmetric.ProtoMarshaler{}
	before, err := marshaler.MarshalMetrics(metrics)
	require.NoError(t, err)
	metrics.MarkReadOnly() // changing what is shared would panic
	var first []string
	for range 5 {
		server := startServer(t, nil)
		e := startExporter(t, server.URL, func(c *Config) { c.MaxRequestBytes, c.Concurrency = 5000, 1 })
		_ = e.ConsumeMetrics(t.Context(), metrics)
		require.Greater(t, len(server.bodies), 2)
		if first == nil {
			first = server.bodies
		}
		assert.Equal(t, first, server.bodies)
	}
	after, err := marshaler.MarshalMetrics(metrics)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// TestRefusedKinds has a row for each reason that is seen before sending, at the limit and over it.
func TestRefusedKinds(t *testing.T) {
	sum := func(temporality pmetric.AggregationTemporality, monotonic bool) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			dp := m.Gauge().DataPoints().At(0)
			copied := pmetric.NewNumberDataPoint()
			dp.CopyTo(copied)
			s := m.SetEmptySum()
			s.SetAggregationTemporality(temporality)
			s.SetIsMonotonic(monotonic)
			copied.CopyTo(s.DataPoints().AppendEmpty())
		}
	}
	point := func(change func(pmetric.NumberDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) { change(m.Gauge().DataPoints().At(0)) }
	}
	at := func(d time.Duration) func(pmetric.Metric) {
		return point(func(dp pmetric.NumberDataPoint) { dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(d))) })
	}
	labels := func(n int) func(pmetric.Metric) {
		return point(func(dp pmetric.NumberDataPoint) {
			for i := range n {
				dp.Attributes().PutStr(fmt.Sprintf("label_%d", i), "x")
			}
		})
	}
	label := func(name, value string) func(pmetric.Metric) {
		return point(func(dp pmetric.NumberDataPoint) { dp.Attributes().PutStr(name, value) })
	}
	histogram := func(temporality pmetric.AggregationTemporality) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			h := m.SetEmptyHistogram()
			h.SetAggregationTemporality(temporality)
			dp := h.DataPoints().AppendEmpty()
			dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			dp.Attributes().PutStr("id", "0")
		}
	}
	exponential := func(scale int32) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			h := m.SetEmptyExponentialHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			dp := h.DataPoints().AppendEmpty()
			dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			dp.SetScale(scale)
			dp.Attributes().PutStr("id", "0")
		}
	}
	const month = 31 * 24 * time.Hour
	for name, test := range map[string]struct {
		change func(pmetric.Metric)
		config func(*Config)
		want   string // "" is delivered
	}{
		"cumulative sum":              {change: sum(pmetric.AggregationTemporalityCumulative, true)},
		"delta sum":                   {change: sum(pmetric.AggregationTemporalityDelta, true), want: "temporality"},
		"delta sum, not monotonic":    {change: sum(pmetric.AggregationTemporalityDelta, false), want: "temporality"},
		"delta sum as gauge":          {change: sum(pmetric.AggregationTemporalityDelta, true), config: func(c *Config) { c.Delta = DeltaGauge }},
		"sum without temporality":     {change: sum(pmetric.AggregationTemporalityUnspecified, true), want: "temporality", config: func(c *Config) { c.Delta = DeltaGauge }},
		"delta histogram":             {change: histogram(pmetric.AggregationTemporalityDelta), want: "temporality", config: func(c *Config) { c.Delta = DeltaGauge }},
		"histogram":                   {change: histogram(pmetric.AggregationTemporalityCumulative)},
		"exponential histogram":       {change: exponential(0), want: "exponential_histogram"},
		"native histogram":            {change: exponential(0), config: func(c *Config) { c.ExponentialHistograms = ExponentialHistogramNative }},
		"native, scale not supported": {change: exponential(-5), want: "translation", config: func(c *Config) { c.ExponentialHistograms = ExponentialHistogramNative }},
		"NaN":                         {change: point(func(dp pmetric.NumberDataPoint) { dp.SetDoubleValue(math.NaN()) }), want: "nan"},
		"NaN sent":                    {change: point(func(dp pmetric.NumberDataPoint) { dp.SetDoubleValue(math.NaN()) }), config: func(c *Config) { c.NaN = NaNSend }},
		"stale": {change: point(func(dp pmetric.NumberDataPoint) {
			dp.SetDoubleValue(math.NaN())
			dp.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		})},
		"no time":             {change: point(func(dp pmetric.NumberDataPoint) { dp.SetTimestamp(0) }), want: "past"},
		"no time, no limit":   {change: point(func(dp pmetric.NumberDataPoint) { dp.SetTimestamp(0) }), config: func(c *Config) { c.Limits.MaxPast = 0 }},
		"within retention":    {change: at(-month + 2*time.Minute)},
		"out of retention":    {change: at(-month), want: "past"},
		"two days ahead":      {change: at(48*time.Hour - 2*time.Minute)},
		"over two days ahead": {change: at(48 * time.Hour), want: "future"},
		"end of time": {
			change: point(func(dp pmetric.NumberDataPoint) { dp.SetTimestamp(math.MaxUint64) }), want: "future",
			config: func(c *Config) { c.Limits.MaxFuture = 0 },
		},
		"40 labels":          {change: labels(40 - 3)}, // __name__, host_name, id
		"41 labels":          {change: labels(40 - 2), want: "label_count"},
		"41 labels allowed":  {change: labels(40 - 2), config: func(c *Config) { c.Limits.MaxLabels = 0 }},
		"name of 256 bytes":  {change: label(strings.Repeat("n", 256), "x")},
		"name of 257 bytes":  {change: label(strings.Repeat("n", 257), "x"), want: "label_name_bytes"},
		"value of 4096":      {change: label("v", strings.Repeat("n", 4096))},
		"value of 4097":      {change: label("v", strings.Repeat("n", 4097)), want: "label_value_bytes"},
		"long metric name":   {change: func(m pmetric.Metric) { m.SetName(strings.Repeat("n", 4097)) }, want: "label_value_bytes"},
		"no metric name":     {change: func(m pmetric.Metric) { m.SetName("") }, want: "translation"},
		"label without name": {change: label("", "x"), want: "translation"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, nil)
			e := startExporter(t, server.URL, test.config)
			metrics := gauges(1)
			test.change(metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0))
			neighbour := gauges(2)
			neighbour.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes().PutStr("id", "2")
			neighbour.ResourceMetrics().MoveAndAppendTo(metrics.ResourceMetrics())
			err := e.ConsumeMetrics(t.Context(), metrics)
			if test.want == "" {
				require.NoError(t, err)
				assert.Equal(t, map[string]int{"0": 1, "1": 1, "2": 1}, server.ids())
				return
			}
			assert.Equal(t, map[string]int{"0": 1}, idsOf(refusedBy(t, err)))
			assert.ErrorContains(t, err, "("+test.want+")")
			assert.EqualValues(t, 1, e.counter(t, "refused_data_points", "reason", test.want))
			assert.EqualValues(t, 1, e.counter(t, "refused_data_points"))
			assert.Equal(t, map[string]int{"1": 1, "2": 1}, server.ids())
		})
	}
}

func TestSamplesOfASeriesAreInOrderOfTime(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, nil)
	metrics := gauges(30)
	now := time.Now()
	for i, dp := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().All() {
		dp.Attributes().Clear()
		dp.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(i*7%30) * time.Second)))
	}
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	samples := server.series()[`__name__="temperature",host_name="edge-1",`]
	require.Len(t, samples, 30)
	assert.True(t, slices.IsSortedFunc(samples, func(a, b prompb.Sample) int { return int(a.Timestamp - b.Timestamp) }))
}

func TestDeltaSumAsGaugeHasNoTotal(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, func(c *Config) { c.Delta = DeltaGauge })
	metrics := gauges(0)
	m := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	m.SetName("requests")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	dp := sum.DataPoints().AppendEmpty()
	dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	dp.SetIntValue(5)
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	require.Contains(t, server.series(), `__name__="requests",host_name="edge-1",`)
}

// Clients report NaN for the quantiles of a summary without observations; the rest of it is worth having.
func TestNaNOfASummaryIsLeftOutAndCounted(t *testing.T) {
	for _, test := range []struct {
		action  NaNAction
		samples int
		left    int64
	}{{NaNReject, 3, 1}, {NaNSend, 4, 0}} {
		server := startServer(t, nil)
		e := startExporter(t, server.URL, func(c *Config) { c.NaN = test.action })
		metrics := gauges(0)
		dp := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetEmptySummary().DataPoints().AppendEmpty()
		dp.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		dp.QuantileValues().AppendEmpty().SetValue(math.NaN())
		other := dp.QuantileValues().AppendEmpty()
		other.SetQuantile(0.5)
		other.SetValue(1)
		require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
		assert.Len(t, server.series(), test.samples)
		assert.Equal(t, test.left, e.counter(t, "nan_samples"))
		assert.EqualValues(t, test.samples, e.counter(t, "sent_samples"))
	}
}

func TestEmptyMetricsAreCountedAndNothingElse(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, nil)
	metrics := gauges(0)
	metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty().SetName("no type")
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	assert.Zero(t, server.count())
	assert.EqualValues(t, 2, e.counter(t, "empty_metrics"))
}

func TestTargetInfoOverALimitCostsNoData(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, func(c *Config) {
		c.TargetInfo.Enabled = true
		c.ResourceToTelemetry.Enabled = false
		c.Namespace = "edge"
	})
	metrics := gauges(3)
	attributes := metrics.ResourceMetrics().At(0).Resource().Attributes()
	attributes.PutStr("service.name", "checkout")
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	require.Contains(t, server.series(), `__name__="edge_target_info",host_name="edge-1",job="checkout",`)
	assert.Zero(t, e.counter(t, "skipped_target_info"))

	attributes.PutStr("long", strings.Repeat("x", 5000))
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	assert.EqualValues(t, 1, e.counter(t, "skipped_target_info"))
	assert.Equal(t, map[string]int{"0": 2, "1": 2, "2": 2}, server.ids())
}

// Whatever is in a request and whichever series the server refuses: each data point is delivered or comes back, once.
func TestDeliveredAndRefusedAreProduced(t *testing.T) {
	for seed := range uint64(150) {
		g := newGenerator(seed)
		metrics := g.metrics()
		for range g.IntN(4) {
			g.metrics().ResourceMetrics().MoveAndAppendTo(metrics.ResourceMetrics())
		}
		period, failures := 1+g.IntN(20), g.IntN(4)
		refuse := refuseIDs(func(id int) bool { return id%period == period/2 && period > 1 })
		server := startServer(t, func(n int, request *prompb.WriteRequest) reply {
			if n < failures {
				return reply{status: []int{500, 503, 429}[n%3]}
			}
			return refuse(n, request)
		})
		e := startExporter(t, server.URL, func(c *Config) {
			c.RetryConfig.Enabled = true
			c.RetryConfig.InitialInterval = time.Millisecond
			c.MaxRequestBytes = 500 + g.IntN(5000)
			c.TargetInfo.Enabled = g.IntN(2) == 0
		})
		produced := idsOf(metrics)
		err := e.ConsumeMetrics(t.Context(), metrics)
		refused := map[string]int{}
		if err != nil {
			refused = idsOf(refusedBy(t, err))
		}
		delivered := server.ids()
		for id := range produced {
			_, isRefused := refused[id]
			n, _ := strconv.Atoi(id)
			if isRefused {
				assert.Equal(t, 1, refused[id], "seed %d: id %s", seed, id)
			} else {
				assert.Contains(t, delivered, id, "seed %d: neither delivered nor refused", seed)
				assert.False(t, period > 1 && n%period == period/2, "seed %d: id %s should have been refused", seed, id)
			}
		}
		assert.EqualValues(t, len(refused), e.counter(t, "refused_data_points"), "seed %d", seed)
		assert.EqualValues(t, len(produced)-len(refused), e.counter(t, "sent_data_points"), "seed %d", seed)
		for id := range refused {
			assert.Contains(t, produced, id)
		}
	}
}

func FuzzPush(f *testing.F) {
	for seed := range uint64(10) {
		encoded, err := pmetricotlp.NewExportRequestFromMetrics(newGenerator(seed).metrics()).MarshalProto()
		require.NoError(f, err)
		f.Add(encoded, seed%3 == 0)
	}
	f.Fuzz(func(t *testing.T, encoded []byte, native bool) {
		request := pmetricotlp.NewExportRequest()
		if request.UnmarshalProto(encoded) != nil {
			return
		}
		taken := 0
		e := exporterWith(t, func(r *http.Request) (*http.Response, error) {
			drain(r)
			taken++
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
		})
		if native {
			e.config.ExponentialHistograms = ExponentialHistogramNative
		}
		produced := request.Metrics().DataPointCount()
		refused := 0
		if err := e.pushMetrics(t.Context(), request.Metrics()); err != nil {
			refused = refusedBy(t, err).DataPointCount()
		}
		if refused > produced {
			t.Fatalf("%d refused of %d", refused, produced)
		}
		if refused < produced && taken == 0 {
			t.Fatalf("%d of %d refused, and nothing sent", refused, produced)
		}
	})
}
