package victorialogsexporter

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadatatest"
)

func redelivered(value string) context.Context {
	return client.NewContext(context.Background(), client.Info{
		Metadata: client.NewMetadata(map[string][]string{redeliveredKey: {value}}),
	})
}

func assertVerifications(t *testing.T, telemetry *componenttest.Telemetry, want map[string]int64) {
	var points []metricdata.DataPoint[int64]
	for result, n := range want {
		points = append(points, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("result", result))})
	}
	metadatatest.AssertEqualExporterVictorialogsVerifications(t, telemetry, points, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// messages makes a request of records with these messages.
func messages(texts ...string) plog.Logs {
	logs := plog.NewLogs()
	for _, text := range texts {
		record(1, text).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	return logs
}

func TestSteadyStateAsksNothing(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
	assert.Empty(t, server.asked())
	extra := server.received()[0].header.Get("VL-Extra-Fields")
	assert.Regexp(t, "^delivery_id=[0-9a-f]{32}$", extra)
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
	assert.Equal(t, extra, server.received()[1].header.Get("VL-Extra-Fields"), "the same content")
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("b")))
	assert.NotEqual(t, extra, server.received()[2].header.Get("VL-Extra-Fields"))
}

func TestIdempotencyOff(t *testing.T) {
	server := startServer(t, status(500), status(200))
	e, _ := startExporter(t, server, func(c *Config) { c.Idempotency.Enabled = false })
	require.NoError(t, e.ConsumeLogs(redelivered("true"), messages("a")))
	assert.Len(t, server.received(), 2)
	assert.Empty(t, server.asked())
	assert.NotContains(t, server.received()[0].header, "Vl-Extra-Fields")
}

func TestAnUnambiguousFailureIsNotAskedAbout(t *testing.T) {
	server := startServer(t, status(429), status(401), status(404), status(302), status(200))
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
	assert.Len(t, server.received(), 5)
	assert.Empty(t, server.asked())
}

func TestNothingIsAskedAboutAConnectionThatWasNotMade(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	server := startServer(t)
	e, _ := startExporter(t, server, func(c *Config) {
		c.Endpoint, c.Idempotency.QueryEndpoint = "http://"+address, server.URL
		c.RetryConfig.MaxElapsedTime = 50 * time.Millisecond
	})
	require.Error(t, e.ConsumeLogs(context.Background(), messages("a")))
	assert.Empty(t, server.asked())
}

// TestAmbiguousFailures holds that a request that may have been stored is asked for, and not sent again if it was.
func TestAmbiguousFailures(t *testing.T) {
	failures := map[string]http.HandlerFunc{
		"500":         status(500),
		"503":         status(503),
		"cut off":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half answer": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "10") },
		"broken body": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "cannot process jsonline request; error: cannot read the next line: unexpected EOF", http.StatusBadRequest)
		},
	}
	for name, failure := range failures {
		for present, sent := range map[int]int{0: 2, 2: 1} {
			t.Run(fmt.Sprintf("%s, %d present", name, present), func(t *testing.T) {
				server := startServer(t, failure, status(200))
				server.answerQuery = func(w http.ResponseWriter, _ string) { rowsPresent(w, present) }
				e, _ := startExporter(t, server, nil)
				require.NoError(t, e.ConsumeLogs(context.Background(), messages("a", "b")))
				assert.Len(t, server.received(), sent)
				require.NotEmpty(t, server.asked())
				_, id, _ := strings.Cut(server.received()[0].header.Get("VL-Extra-Fields"), "=")
				assert.Equal(t, `_time:[2024-11-22T11:39:59.000000001Z, 2024-11-22T11:40:01.000000001Z] "delivery_id":="`+id+`" | stats count(_stream) as present`,
					server.asked()[0].body)
			})
		}
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	server := startServer(t, func(http.ResponseWriter, *http.Request) { <-release }, status(200))
	defer close(release)
	const timeout = 500 * time.Millisecond
	e, _ := startExporter(t, server, func(c *Config) { c.Timeout = timeout })
	start := time.Now()
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
	assert.GreaterOrEqual(t, time.Since(start), 2*timeout, "what nobody answered in time may turn up for as long again")
	assert.Len(t, server.received(), 2)
}

// TestAnswerBeforeTheBody holds that a 2xx for a request that was not sent whole is not believed.
func TestAnswerBeforeTheBody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		connection, err := listener.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { assert.NoError(t, connection.Close()) }()
		assert.NoError(t, connection.(*net.TCPConn).SetReadBuffer(4096))
		_, _ = connection.Read(make([]byte, 1024)) // some of the header is enough
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		time.Sleep(100 * time.Millisecond) // a reset must not overtake the answer
	})
	defer wg.Wait()
	server := startServer(t)
	server.answerQuery = func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) }
	e, _ := startExporter(t, server, func(c *Config) {
		noRetry(c)
		c.Endpoint, c.Idempotency.QueryEndpoint = "http://"+listener.Addr().String(), server.URL
		c.WriteBufferSize = 0
	})
	logs := benchLogs(8000, true)
	forEach(logs, func(_ int, ref recordRef) {
		ref.record.Body().SetStr(strings.Repeat("more than socket buffers hold ", 20))
	})
	err = e.ConsumeLogs(context.Background(), logs)
	require.ErrorContains(t, err, "before the request was sent")
	assert.False(t, consumererror.IsPermanent(err))
	require.NoError(t, listener.Close())
	require.ErrorContains(t, e.ConsumeLogs(context.Background(), logs), "cannot ask VictoriaLogs", "the retry of a component before this one")
}

// storedA is the answer to a query for the row of the message a.
const storedA = `{"_time":"2024-11-22T11:40:00.000000001Z","_msg":"a","attribute0":"0","other":"r","site_name":"s1"}` + "\n"

func TestRedelivered(t *testing.T) {
	for present, sent := range map[int]int{0: 1, 1: 0, 3: 0} {
		server := startServer(t)
		server.answerQuery = rowsAnswer(strings.Repeat(storedA, present), present)
		e, _ := startExporter(t, server, nil)
		require.NoError(t, e.ConsumeLogs(redelivered("true"), messages("a")))
		assert.Len(t, server.received(), sent)
		require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
		assert.Len(t, server.received(), sent+1, "what has been settled is not remembered")
	}
}

// TestRedeliveredAt holds that absence proves something once the rows of an earlier delivery would be visible.
func TestRedeliveredAt(t *testing.T) {
	const delay = 3 * firstLook
	ago := func(d time.Duration) func() string {
		return func() string { return fmt.Sprint(time.Now().Add(-d).UnixMilli()) }
	}
	for name, test := range map[string]struct {
		value func() string
		waits bool
	}{
		"now":           {ago(0), true},
		"unknown":       {func() string { return "true" }, true},
		"in the future": {ago(-time.Hour), true},
		"long ago":      {ago(time.Hour), false},
		"1970":          {func() string { return "0" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t)
			e, _ := startExporter(t, server, func(c *Config) { c.Idempotency.VisibilityDelay = delay })
			require.NoError(t, e.ConsumeLogs(redelivered(test.value()), messages("a")))
			asked := 2 // once for visible and once for stored rows
			if test.waits {
				asked = 4 // once before, and once after a second
			}
			assert.Len(t, server.asked(), asked)
			assert.Len(t, server.received(), 1)
		})
	}
}

// TestRowsThatBecomeVisibleAreSoonFound holds that it is looked for them again long before their absence proves something.
func TestRowsThatBecomeVisibleAreSoonFound(t *testing.T) {
	server := startServer(t)
	var asked atomic.Int32
	server.answerQuery = func(w http.ResponseWriter, _ string) {
		rowsPresent(w, min(int(asked.Add(1))-1, 1))
	}
	e, _ := startExporter(t, server, func(c *Config) { c.Idempotency.VisibilityDelay = time.Hour })
	require.NoError(t, e.ConsumeLogs(redelivered("true"), messages("a")))
	assert.Empty(t, server.received())
	assert.EqualValues(t, 2, asked.Load())
}

// TestStoredQueueIsAskedAbout holds that a request from a queue on disk, which may have been under way when the process
// was killed, is asked for.
func TestStoredQueueIsAskedAbout(t *testing.T) {
	storage := component.MustNewID("file_storage")
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID = &storage
	config := testConfig()
	config.QueueConfig = configoptional.Some(queue)
	server := startServer(t)
	server.answerQuery = func(w http.ResponseWriter, _ string) { rowsPresent(w, 1) }
	config.Endpoint = server.URL
	e := newTestExporter(t, config)
	require.NoError(t, e.pushLogs(context.Background(), messages("a")))
	assert.Empty(t, server.received())
	assert.Len(t, server.asked(), 1)
	require.NoError(t, e.pushLogs(context.Background(), messages("a")))
	assert.Len(t, server.received(), 1, "the same content again is another request")
	assert.Len(t, server.asked(), 1)
}

// TestRowsWithoutATimeAreLookedForSinceTheFirstAttempt holds that an equal record of earlier is not taken for them.
func TestRowsWithoutATimeAreLookedForSinceTheFirstAttempt(t *testing.T) {
	server := startServer(t, status(500), status(200))
	e, _ := startExporter(t, server, nil)
	logs := messages("a")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(0)
	start := time.Now()
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))
	require.NotEmpty(t, server.asked())
	for _, query := range server.asked() {
		from, _, found := strings.Cut(strings.TrimPrefix(query.body, "_time:["), ",")
		require.True(t, found, query.body)
		since, err := time.Parse(time.RFC3339Nano, from)
		require.NoError(t, err)
		assert.WithinDuration(t, start, since, 2*time.Second)
	}
}

// TestARepairThatIsCutIsComparedRowByRow holds that a row that is there twice does not make up for one that is missing.
func TestARepairThatIsCutIsComparedRowByRow(t *testing.T) {
	server := startServer(t, status(502), status(200))
	e, _ := startExporter(t, server, nil)
	server.answerQuery = func(w http.ResponseWriter, query string) {
		n := 1
		if len(server.received()) > 0 {
			n = 2 // the repair has stored a again, and not b
		}
		if strings.Contains(query, "stats count(") {
			rowsPresent(w, n)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat(storedA, n))
	}
	require.NoError(t, e.ConsumeLogs(redelivered("0"), messages("a", "b")))
	requests := server.received()
	require.Len(t, requests, 2)
	assert.Contains(t, requests[1].body, `"_msg":"b"`)
}

// TestEqualBatchesOfOneRequest holds that they are told apart.
func TestEqualBatchesOfOneRequest(t *testing.T) {
	server := startStore(t)
	e, _ := startExporter(t, &fakeServer{Server: server.Server}, nil)
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 2 * maxBatchRecords {
		records.AppendEmpty().Body().SetStr("equal")
	}
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))
	assert.Len(t, server.ids, 2)
	for _, rows := range server.ids {
		assert.Equal(t, maxBatchRecords, rows)
	}
}

// TestPartialPresenceIsRepaired holds that just the rows that are missing are sent, each as often as it is in the
// request, on their paths, with the id of the whole.
func TestPartialPresenceIsRepaired(t *testing.T) {
	long := strings.Repeat("x", 3000)
	logs := messages("a", "twin", "twin", "twin", "not UTF-8 \xff", "b"+long, "c"+long, "z")
	server := startServer(t)
	e, telemetry := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes = 2048 })
	server.answerQuery = func(w http.ResponseWriter, query string) {
		stored := []string{"a", "twin", "twin", "not UTF-8 \xff", "c" + long}
		if strings.Contains(query, "stats count(") {
			rowsPresent(w, len(stored))
			return
		}
		for _, message := range stored {
			_, _ = fmt.Fprintf(w, `{"_time":"2024-11-22T11:40:00.000000001Z","_stream_id":"1","_stream":"{}","delivery_id":"x","_msg":"%s","attribute0":"0","other":"r","site_name":"s1"}`+"\n", message)
		}
	}
	require.NoError(t, e.ConsumeLogs(redelivered("0"), logs))
	requests := server.received()
	require.Len(t, requests, 2)
	var sent []string
	for _, row := range rows(t, []byte(requests[0].body)) {
		sent = append(sent, row["_msg"])
	}
	assert.Equal(t, []string{"twin", "z"}, sent)
	assert.Contains(t, requests[1].body, "b"+long)
	assert.Equal(t, "/insert/opentelemetry/v1/logs", requests[1].path)
	whole := encode(func() *Config { c := testConfig(); c.Limits.MaxLineBytes = 2048; return c }(), logs).addresses[0]
	for _, request := range requests {
		assert.Equal(t, fmt.Sprintf("delivery_id=%x", whole), request.header.Get("VL-Extra-Fields"))
	}
	metadatatest.AssertEqualExporterVictorialogsRepairedRecords(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 3}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	assertVerifications(t, telemetry, map[string]int64{verificationPartial: 1})
}

// TestHiddenRowsAreShown holds that of rows that are stored, and not visible because the server has lost their stream, one
// of each stream is sent again, unless another row of the stream is.
func TestHiddenRowsAreShown(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, nil)
	inStream := func(stream, message string) plog.Logs {
		logs := messages(message)
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("service_name", stream)
		return logs
	}
	logs := plog.NewLogs()
	var stored, visible []string
	for _, row := range []struct {
		stream, message string
		stored, visible bool
	}{
		{"hidden", "a", true, false}, {"hidden", "b", true, false},
		{"visible", "c", true, true}, {"visible", "d", true, true},
		{"healed by a missing row", "e", true, false}, {"healed by a missing row", "f", false, false},
	} {
		inStream(row.stream, row.message).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
		line := fmt.Sprintf(`{"_time":"2024-11-22T11:40:00.000000001Z","_msg":"%s","attribute0":"0","other":"r","site_name":"s1","service_name":"%s"}`, row.message, row.stream)
		if row.stored {
			stored = append(stored, line)
		}
		if row.visible {
			visible = append(visible, line)
		}
	}
	server.answerQuery = func(w http.ResponseWriter, query string) {
		switch {
		case strings.HasSuffix(query, "| stats count(_stream) as present"):
			rowsPresent(w, len(visible))
		case strings.HasSuffix(query, "| stats count() as present"):
			rowsPresent(w, len(stored))
		case strings.HasSuffix(query, "| delete _stream, _stream_id"):
			_, _ = io.WriteString(w, strings.Join(stored, "\n"))
		default:
			_, _ = io.WriteString(w, strings.Join(visible, "\n"))
		}
	}
	require.NoError(t, e.ConsumeLogs(redelivered("0"), logs))
	var sent []string
	for _, row := range rows(t, []byte(server.received()[0].body)) {
		sent = append(sent, row["_msg"])
	}
	assert.Equal(t, []string{"a", "f"}, sent)
}

// TestRepairThatFailsIsAskedAboutAgain holds that rows that are known to be there are not sent because a repair failed.
func TestRepairThatFailsIsAskedAboutAgain(t *testing.T) {
	server := startServer(t, status(429), status(200))
	e, _ := startExporter(t, server, nil)
	server.answerQuery = func(w http.ResponseWriter, query string) {
		if strings.Contains(query, "stats count(") {
			rowsPresent(w, 1)
			return
		}
		_, _ = io.WriteString(w, `{"_time":"2024-11-22T11:40:00.000000001Z","_msg":"a","attribute0":"0","other":"r","site_name":"s1"}`)
	}
	require.NoError(t, e.ConsumeLogs(redelivered("0"), messages("a", "b")))
	for _, request := range server.received() {
		assert.Equal(t, 1, strings.Count(request.body, "\n"))
		assert.Contains(t, request.body, `"_msg":"b"`)
	}
}

// TestNothingIsGuessed holds that a request whose rows cannot be asked for is not delivered.
func TestNothingIsGuessed(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter, query string){
		"error":     func(w http.ResponseWriter, _ string) { http.Error(w, "too many queries", http.StatusTooManyRequests) },
		"empty":     func(http.ResponseWriter, string) {},
		"no count":  func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"hits":"1"}`) },
		"no JSON":   func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "<html>") },
		"cut off":   func(w http.ResponseWriter, _ string) { w.Header().Set("Content-Length", "100"); rowsPresent(w, 2) },
		"slow":      func(http.ResponseWriter, string) { time.Sleep(300 * time.Millisecond) },
		"few rows":  rowsAnswer("", 1),
		"bad row":   rowsAnswer(`{"_time":"x"}`, 1),
		"no object": rowsAnswer(`[]`, 1),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			server.answerQuery = answer
			e, telemetry := startExporter(t, server, func(c *Config) { noRetry(c); c.Idempotency.Timeout = 100 * time.Millisecond })
			err := e.ConsumeLogs(redelivered("0"), messages("a", "b"))
			require.ErrorContains(t, err, "cannot ask VictoriaLogs")
			assert.False(t, consumererror.IsPermanent(err))
			assert.Empty(t, server.received())
			assertVerifications(t, telemetry, map[string]int64{verificationFailed: 1})
		})
	}
}

func rowsAnswer(rows string, present int) func(w http.ResponseWriter, query string) {
	return func(w http.ResponseWriter, query string) {
		if strings.Contains(query, "stats count(") {
			rowsPresent(w, present)
			return
		}
		_, _ = io.WriteString(w, rows)
	}
}

func TestQueryCarriesTenantAndEndpoint(t *testing.T) {
	insert, queries := startServer(t), startServer(t)
	e, _ := startExporter(t, insert, func(c *Config) {
		c.Idempotency.QueryEndpoint = queries.URL + "/select/"
		c.Tenant = TenantConfig{AccountID: 12, ProjectID: 34}
	})
	require.NoError(t, e.ConsumeLogs(redelivered("0"), messages("a")))
	require.Len(t, queries.asked(), 2)
	assert.Equal(t, "/select/select/logsql/query", queries.asked()[0].path)
	assert.Equal(t, "12", queries.asked()[0].header.Get("AccountID"))
	assert.Equal(t, "34", queries.asked()[0].header.Get("ProjectID"))
	assert.Len(t, insert.received(), 1)
}

func TestTenantsHaveTheirOwnRequests(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, func(c *Config) { c.Tenant.FromAttribute = "tenant" })
	logs := messages("a", "b", "c")
	logs.ResourceLogs().At(1).Resource().Attributes().PutStr("tenant", "5:6")
	require.NoError(t, e.ConsumeLogs(context.Background(), logs))
	byTenant := make(map[string]string)
	for _, request := range server.received() {
		byTenant[request.header.Get("AccountID")+":"+request.header.Get("ProjectID")] += request.body
	}
	require.Len(t, byTenant, 2)
	assert.Len(t, rows(t, []byte(byTenant[":"])), 2)
	assert.Equal(t, "b", rows(t, []byte(byTenant["5:6"]))[0]["_msg"])
}

// TestARequestOfManyBatches holds that each has an id of its own, that those that are delivered are not sent again with
// the others, and that nothing is lost at their borders.
func TestARequestOfManyBatches(t *testing.T) {
	const records = 3*maxBatchRecords + 100
	server := startStore(t)
	e, _ := startExporter(t, &fakeServer{Server: server.Server}, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), benchLogs(records, true)))
	assert.Len(t, server.rows, records)
	for line, n := range server.rows {
		assert.Equal(t, 1, n, line)
	}
	assert.Len(t, server.ids, 4)
}

func TestRejectedRecordsOfManyBatches(t *testing.T) {
	server := startServer(t)
	e, _ := startExporter(t, server, func(c *Config) { c.Limits.MaxLineBytes, c.Limits.MaxRowBytes = 2048, 4096 })
	logs := benchLogs(2*maxBatchRecords, true)
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for _, i := range []int{0, maxBatchRecords - 1, maxBatchRecords, 2*maxBatchRecords - 1} {
		records.At(i).Body().SetStr(fmt.Sprint(i) + strings.Repeat("x", 5000))
	}
	err := e.ConsumeLogs(context.Background(), logs)
	var rejected consumererror.Logs
	require.ErrorAs(t, err, &rejected)
	assert.Equal(t, 4, rejected.Data().LogRecordCount())
	sent := 0
	for _, request := range server.received() {
		sent += strings.Count(request.body, "\n")
	}
	assert.Equal(t, 2*maxBatchRecords-4, sent)
}

func TestEndpointState(t *testing.T) {
	server := startServer(t, status(200), status(429), status(403), status(200))
	e, telemetry := startExporter(t, server, noRetry)
	for i, want := range []string{stateUp, stateThrottled, stateRefusing, stateUp, stateUnreachable} {
		if want == stateUnreachable {
			server.Close()
		}
		_ = e.ConsumeLogs(context.Background(), messages(fmt.Sprint(i))) // the state is the result
		var points []metricdata.DataPoint[int64]
		for _, state := range states {
			value := int64(0)
			if state == want {
				value = 1
			}
			points = append(points, metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attribute.String("state", state))})
		}
		metadatatest.AssertEqualExporterVictorialogsEndpointState(t, telemetry, points, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	}
}

// newTestExporter returns an exporter without exporterhelper around it.
func newTestExporter(t *testing.T, config *Config) *victoriaLogsExporter {
	e, err := newExporter(config, nopSettings())
	require.NoError(t, err)
	require.NoError(t, e.start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.shutdown(context.Background())) })
	return e
}

// TestNoAllocationsByRecord holds that the encoder allocates nothing for records of a shape that it knows.
func TestNoAllocationsByRecord(t *testing.T) {
	for _, labelsOnRecord := range []bool{true, false} {
		config := testConfig()
		e := newEncoder(config, newNameRules(config))
		logs := benchLogs(2000, labelsOnRecord)
		forEach(logs, func(i int, ref recordRef) {
			ref.record.SetSeverityText("INFO")
			ref.record.SetSeverityNumber(9)
			ref.record.SetTraceID([16]byte{1, byte(i)})
		})
		run := func() {
			e.reset(testNow)
			e.encode(logs, 0, 2000, func(*batch) {})
			e.release()
		}
		run()
		assert.Less(t, testing.AllocsPerRun(10, run), 10.0, "of 2,000 records")
	}
}
