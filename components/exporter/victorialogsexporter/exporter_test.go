package victorialogsexporter

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadatatest"
)

// fakeServer answers each request with the next of its answers, the last one again and again.
type fakeServer struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []http.HandlerFunc
	requests []received
}

type received struct {
	path   string
	header http.Header
	body   string
}

func startServer(t *testing.T, answers ...http.HandlerFunc) *fakeServer {
	if len(answers) == 0 {
		answers = []http.HandlerFunc{status(http.StatusOK)}
	}
	s := &fakeServer{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(decoded(r))
		assert.NoError(t, err)
		s.mu.Lock()
		s.requests = append(s.requests, received{path: r.URL.Path, header: r.Header, body: string(body)})
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func decoded(r *http.Request) io.Reader {
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		reader, err := gzip.NewReader(r.Body)
		if err != nil {
			return strings.NewReader(err.Error())
		}
		return reader
	case "zstd":
		reader, err := zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return strings.NewReader(err.Error())
		}
		return reader
	}
	return r.Body
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (s *fakeServer) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.requests...)
}

func startExporter(t *testing.T, server *fakeServer, change func(*Config)) (exporter.Logs, *componenttest.Telemetry) {
	config := testConfig()
	config.Endpoint = server.URL
	config.RetryConfig.InitialInterval = time.Millisecond
	config.RetryConfig.MaxInterval = time.Millisecond
	if change != nil {
		change(config)
	}
	telemetry := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	e, err := NewFactory().CreateLogs(context.Background(), set, config)
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, e.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return e, telemetry
}

func noRetry(c *Config) { c.RetryConfig.Enabled = false }

func TestRequest(t *testing.T) {
	server := startServer(t)
	e, telemetry := startExporter(t, server, func(c *Config) {
		c.Endpoint += "/prefix/"
		c.Tenant = TenantConfig{AccountID: 12, ProjectID: 34}
	})
	require.NoError(t, e.ConsumeLogs(context.Background(), record(1, "m")))

	requests := server.received()
	require.Len(t, requests, 1)
	assert.Equal(t, "/prefix/insert/jsonline", requests[0].path)
	assert.Equal(t, "application/stream+json", requests[0].header.Get("Content-Type"))
	assert.Equal(t, "site_name,service_name", requests[0].header.Get("VL-Stream-Fields"))
	assert.Equal(t, "12", requests[0].header.Get("AccountID"))
	assert.Equal(t, "34", requests[0].header.Get("ProjectID"))
	assert.Empty(t, requests[0].header.Get("Content-Encoding"))
	assert.Equal(t, `{"_time":"1732275600000000001","_msg":"m","attribute0":"0","site_name":"s1","other":"r"}`+"\n", requests[0].body)
	metadatatest.AssertEqualExporterVictorialogsEncodedBytes(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: int64(len(requests[0].body))}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestNoTenantHeadersForTheDefaultTenant(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), record(0, "m")))
	assert.NotContains(t, server.received()[0].header, "Accountid")
}

func TestNothingToSend(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), plog.NewLogs()))
	assert.Empty(t, server.received())
}

func TestCompression(t *testing.T) {
	for _, compression := range []configcompression.Type{configcompression.TypeGzip, configcompression.TypeZstd} {
		t.Run(string(compression), func(t *testing.T) {
			server := startServer(t)
			e, _ := startExporter(t, server, func(c *Config) { c.Compression = compression })
			require.NoError(t, e.ConsumeLogs(context.Background(), benchLogs(500)))
			requests := server.received()
			assert.Equal(t, string(compression), requests[0].header.Get("Content-Encoding"))
			assert.Equal(t, 500, strings.Count(requests[0].body, "\n"))
		})
	}
}

func TestRetriedUntilDelivered(t *testing.T) {
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	breakOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(http.StatusOK)
	}
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }
	server := startServer(t, status(500), status(503), status(429), status(401), hangUp, breakOff, redirect, status(200))
	e, telemetry := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), record(1, "m")))

	requests := server.received()
	require.Len(t, requests, 8, "the redirect is not followed")
	for _, request := range requests {
		assert.Equal(t, requests[0].body, request.body)
		assert.Equal(t, "/insert/jsonline", request.path)
	}
	metadatatest.AssertEqualExporterVictorialogsRequests(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 5, Attributes: attribute.NewSet(attribute.String("outcome", "retry"))},
		{Value: 2, Attributes: attribute.NewSet(attribute.String("outcome", "throttled"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("outcome", "delivered"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestRetryAfterIsHonoured(t *testing.T) {
	const pause = time.Second
	server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}, status(200))
	e, _ := startExporter(t, server, nil)
	start := time.Now()
	require.NoError(t, e.ConsumeLogs(context.Background(), record(1, "m")))
	assert.GreaterOrEqual(t, time.Since(start), pause)
}

func TestBadRequestIsPermanent(t *testing.T) {
	server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `cannot parse; line contents: "hunter2"`, http.StatusBadRequest)
	})
	e, telemetry := startExporter(t, server, nil)
	err := e.ConsumeLogs(context.Background(), record(1, "m"))
	assert.True(t, consumererror.IsPermanent(err))
	assert.ErrorContains(t, err, "400 Bad Request: cannot parse")
	assert.NotContains(t, err.Error(), "hunter2")
	assert.Len(t, server.received(), 1)
	metadatatest.AssertEqualExporterVictorialogsRequests(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("outcome", "permanent"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestUnreachable(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, noRetry)
	server.Close()
	err := e.ConsumeLogs(context.Background(), record(1, "m"))
	require.ErrorContains(t, err, "no answer from VictoriaLogs")
	assert.False(t, consumererror.IsPermanent(err))
}

func TestCancelled(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := e.ConsumeLogs(ctx, record(1, "m"))
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, consumererror.IsPermanent(err), "the records are to be delivered after the restart")
}

func TestOversizedRecordGoesToTheOTLPPath(t *testing.T) {
	long := strings.Repeat("x", 3000)
	// The body, the first oversized record, a failure for the second one, and that one again.
	server := startServer(t, status(200), status(200), status(500), status(200))
	e, telemetry := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes = 2000 })
	logs := record(1, "short")
	record(1, "a"+long).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	record(1, "b"+long).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))

	requests := server.received()
	require.Len(t, requests, 4)
	assert.Equal(t, "/insert/jsonline", requests[0].path)
	assert.Equal(t, 1, strings.Count(requests[0].body, "\n"))
	for i, message := range []string{"a" + long, "b" + long, "b" + long} {
		request := requests[i+1]
		assert.Equal(t, "/insert/opentelemetry/v1/logs", request.path)
		assert.Equal(t, "application/x-protobuf", request.header.Get("Content-Type"))
		assert.Equal(t, "site_name,service_name", request.header.Get("VL-Stream-Fields"))
		assert.Equal(t, "severity", request.header.Get("VL-Ignore-Fields"))
		otlp := plogotlp.NewExportRequest()
		require.NoError(t, otlp.UnmarshalProto([]byte(request.body)))
		require.Equal(t, 1, otlp.Logs().LogRecordCount())
		r := otlp.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, message, r.Body().Str())
		assert.Equal(t, map[string]any{"attribute0": "0", "site_name": "s1", "other": "r"}, r.Attributes().AsRaw())
	}
	metadatatest.AssertEqualExporterVictorialogsOtlpRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 2, Attributes: attribute.NewSet(attribute.String("reason", "line_bytes"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// TestNoErrorIsForgottenInAPartialRetry holds that neither a rejected nor a refused record is lost sight of because a
// neighbour has to be tried again, and that neither stops a neighbour.
func TestNoErrorIsForgottenInAPartialRetry(t *testing.T) {
	// The body; the first oversized record is refused, the second one fails; both again.
	server := startServer(t, status(200), status(413), status(500), status(413), status(200))
	e, telemetry := startExporter(t, server, func(c *Config) {
		c.Limits.MaxLineBytes, c.Limits.MaxRowBytes = 2000, 4000
	})
	logs := record(1, "short")
	for _, message := range []string{strings.Repeat("a", 3000), strings.Repeat("b", 3000), strings.Repeat("c", 5000)} {
		record(1, message).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	err := e.ConsumeLogs(context.Background(), logs)
	assert.True(t, consumererror.IsPermanent(err))
	require.ErrorContains(t, err, "413")
	require.ErrorContains(t, err, "1 log records are over `limits::max_row_bytes` (4000)")
	assert.Len(t, server.received(), 5)
	metadatatest.AssertEqualExporterVictorialogsRejectedRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "row_bytes"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterVictorialogsOtlpRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "line_bytes"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestOversizedRecordKeepsItsSeverityField(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes = 2000 })
	logs := record(1, strings.Repeat("x", 3000))
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("severity", "custom")
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))
	request := server.received()[0]
	assert.NotContains(t, request.header, "Vl-Ignore-Fields")
	otlp := plogotlp.NewExportRequest()
	require.NoError(t, otlp.UnmarshalProto([]byte(request.body)))
	r := otlp.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, "custom", r.SeverityText())
	assert.NotContains(t, r.Attributes().AsRaw(), "severity")
}

func TestRecordsOverTheRowLimitAreRejectedAlone(t *testing.T) {
	server := startServer(t)
	e, telemetry := startExporter(t, server, func(c *Config) {
		c.Limits.MaxLineBytes, c.Limits.MaxRowBytes = 2000, 4000
	})
	logs := record(1, "short")
	record(1, strings.Repeat("x", 5000)).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	err := e.ConsumeLogs(context.Background(), logs)
	assert.True(t, consumererror.IsPermanent(err))
	require.ErrorContains(t, err, "1 log records are over `limits::max_row_bytes` (4000)")
	assert.Equal(t, 1, strings.Count(server.received()[0].body, "\n"), "the others are delivered")
	metadatatest.AssertEqualExporterVictorialogsRejectedRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "row_bytes"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestFieldCounters(t *testing.T) {
	server := startServer(t)
	e, telemetry := startExporter(t, server, func(c *Config) { c.Limits.MaxFields = 20 })
	logs := record(30, "m")
	attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	attributes.PutStr(strings.Repeat("n", 129), "v")
	attributes.PutStr("other", "not the resource's")
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))
	// 20 fields less _time, _msg, the overflow field and two places kept for stream fields hold 15 of 31 attributes.
	metadatatest.AssertEqualExporterVictorialogsOverflowFields(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "field_name_bytes"))},
		{Value: 16, Attributes: attribute.NewSet(attribute.String("reason", "field_count"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterVictorialogsDuplicateFields(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// TestNoDataLoss holds delivered == produced with many callers and a server that fails every other time.
func TestNoDataLoss(t *testing.T) {
	const callers, calls, records = 8, 20, 25
	var mu sync.Mutex
	stored, n := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if n++; n%2 == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		stored += strings.Count(string(body), "\n")
	}))
	defer server.Close()
	e, _ := startExporter(t, &fakeServer{Server: server}, nil)
	logs := benchLogs(records)
	logs.MarkReadOnly()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				assert.NoError(t, e.ConsumeLogs(context.Background(), logs))
			}
		})
	}
	wg.Wait()
	assert.Equal(t, callers*calls*records, stored)
}
