package victorialogsexporter

import (
	"compress/gzip"
	"context"
	"fmt"
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

// fakeServer answers each request to insert with the next of its answers, the last one again and again, and each query
// with answerQuery.
type fakeServer struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []http.HandlerFunc
	requests []received
	queries  []received
	// answerQuery says by default that there are no rows.
	answerQuery func(w http.ResponseWriter, query string)
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
	s := &fakeServer{answers: answers, answerQuery: func(w http.ResponseWriter, _ string) { rowsPresent(w, 0) }}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, queryPath) {
			query := r.FormValue("query")
			s.mu.Lock()
			s.queries = append(s.queries, received{path: r.URL.Path, header: r.Header, body: query})
			answer := s.answerQuery
			s.mu.Unlock()
			answer(w, query)
			return
		}
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

func rowsPresent(w io.Writer, n int) { _, _ = fmt.Fprintf(w, "{\"present\":\"%d\"}\n", n) }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (s *fakeServer) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.requests...)
}

func (s *fakeServer) asked() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.queries...)
}

func nopSettings() exporter.Settings { return exportertest.NewNopSettings(metadata.Type) }

func startExporter(t *testing.T, server *fakeServer, change func(*Config)) (exporter.Logs, *componenttest.Telemetry) {
	config := testConfig()
	config.Endpoint = server.URL
	config.RetryConfig.InitialInterval = time.Millisecond
	config.RetryConfig.MaxInterval = time.Millisecond
	config.Idempotency.VisibilityDelay = time.Millisecond
	if change != nil {
		change(config)
	}
	telemetry := componenttest.NewTelemetry()
	set := nopSettings()
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
			require.NoError(t, e.ConsumeLogs(context.Background(), benchLogs(500, true)))
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
	e, telemetry := startExporter(t, server, func(c *Config) {
		c.Limits.MaxLineBytes = 2048
		c.Idempotency.Enabled = false // nobody is asked: what has been taken is remembered
	})
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
	metadatatest.AssertEqualExporterVictorialogsSentRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("path", "jsonline"))},
		{Value: 2, Attributes: attribute.NewSet(attribute.String("path", "otlp"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// TestNoErrorIsForgottenInARetry holds that neither a rejected nor a refused record is lost sight of because a
// neighbour has to be tried again, that neither stops a neighbour, and that what is delivered is not sent again.
func TestNoErrorIsForgottenInARetry(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		t.Run(fmt.Sprint(idempotent), func(t *testing.T) {
			// The body; the first oversized record is refused, the second one throttled. Then, without idempotency
			// again from the second one, with it the rows are asked for, and what is missing is sent: the refused
			// and the throttled one.
			server := startServer(t, status(200), status(413), status(429), status(200))
			if idempotent {
				server = startServer(t, status(200), status(413), status(429), status(413), status(200))
			}
			e, telemetry := startExporter(t, server, func(c *Config) {
				c.Limits.MaxLineBytes, c.Limits.MaxRowBytes = 2048, 4096
				c.Idempotency.Enabled = idempotent
			})
			server.answerQuery = func(w http.ResponseWriter, query string) {
				if strings.Contains(query, "stats count(") {
					rowsPresent(w, 1)
					return
				}
				_, _ = io.WriteString(w, server.received()[0].body)
			}
			logs := record(1, "short")
			for _, message := range []string{strings.Repeat("a", 3000), strings.Repeat("b", 3000), strings.Repeat("c", 5000)} {
				record(1, message).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
			}
			err := e.ConsumeLogs(context.Background(), logs)
			assert.True(t, consumererror.IsPermanent(err))
			require.ErrorContains(t, err, "1 log records were not sent: over `limits::max_row_bytes` (4096)")
			require.ErrorContains(t, err, "1 log records were not sent: VictoriaLogs refused them")
			if idempotent {
				require.ErrorContains(t, err, "413")
				assert.Len(t, server.received(), 5)
			} else {
				assert.Len(t, server.received(), 4)
			}
			var rejected consumererror.Logs
			require.ErrorAs(t, err, &rejected)
			var messages []string
			forEach(rejected.Data(), func(_ int, ref recordRef) { messages = append(messages, ref.record.Body().Str()[:1]) })
			assert.Equal(t, []string{"a", "c"}, messages)
			metadatatest.AssertEqualExporterVictorialogsRejectedRecords(t, telemetry, []metricdata.DataPoint[int64]{
				{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "row_bytes"))},
				{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "refused"))},
			}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
			metadatatest.AssertEqualExporterVictorialogsSentRecords(t, telemetry, []metricdata.DataPoint[int64]{
				{Value: 1, Attributes: attribute.NewSet(attribute.String("path", "jsonline"))},
				{Value: 1, Attributes: attribute.NewSet(attribute.String("path", "otlp"))},
			}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
		})
	}
}

func TestOversizedRecordKeepsItsSeverityField(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes = 2048 })
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

func TestRefusedLinesAreReturned(t *testing.T) {
	server := startServer(t, status(400), status(200))
	e, telemetry := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes = 2048 })
	logs := record(1, "short")
	record(1, strings.Repeat("x", 3000)).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	err := e.ConsumeLogs(context.Background(), logs)
	var rejected consumererror.Logs
	require.ErrorAs(t, err, &rejected)
	assert.True(t, consumererror.IsPermanent(err))
	require.Equal(t, 1, rejected.Data().LogRecordCount(), "the long one went another way")
	assert.Equal(t, "short", rejected.Data().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
	metadatatest.AssertEqualExporterVictorialogsRejectedRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "refused"))},
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
	// 20 fields less _time, _msg, the delivery id and the overflow field hold 16 of 32 attributes with names that are not too long.
	metadatatest.AssertEqualExporterVictorialogsViolations(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("kind", "field_name_bytes"), attribute.String("action", "stringify"))},
		{Value: 16, Attributes: attribute.NewSet(attribute.String("kind", "field_count"), attribute.String("action", "stringify"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterVictorialogsDuplicateFields(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// store is a server that has a memory, by delivery id, and fails every other time, after it has taken the rows every
// third time of these.
type store struct {
	*httptest.Server
	mu   sync.Mutex
	rows map[string]int // by line
	ids  map[string]int // rows by id
	n    int
}

func startStore(t *testing.T) *store {
	s := &store{rows: make(map[string]int), ids: make(map[string]int)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *store) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == queryPath {
		_, id, _ := strings.Cut(r.FormValue("query"), `"delivery_id":="`)
		rowsPresent(w, s.ids[id[:32]])
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.n++
	if s.n%2 == 0 || s.n%6 == 1 {
		for _, line := range lines(body) {
			s.rows[string(line)]++
		}
		_, id, _ := strings.Cut(r.Header.Get("VL-Extra-Fields"), "=")
		s.ids[id] += len(lines(body))
	}
	if s.n%2 == 1 {
		w.WriteHeader(http.StatusBadGateway)
	}
}

// TestNoDataLossNoDuplicates holds stored == produced, each once, with many callers and a server that fails every other
// time, before or after it has taken the rows.
func TestNoDataLossNoDuplicates(t *testing.T) {
	const callers, calls, records = 8, 20, 25
	server := startStore(t)
	e, _ := startExporter(t, &fakeServer{Server: server.Server}, nil)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for call := range calls {
				logs := benchLogs(records, true)
				logs.ResourceLogs().At(0).Resource().Attributes().PutStr("call", fmt.Sprint(caller, call))
				logs.MarkReadOnly()
				assert.NoError(t, e.ConsumeLogs(context.Background(), logs))
			}
		})
	}
	wg.Wait()
	assert.Len(t, server.rows, callers*calls*records)
	for line, n := range server.rows {
		assert.Equal(t, 1, n, line)
	}
}
