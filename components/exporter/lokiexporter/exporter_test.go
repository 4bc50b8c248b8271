package lokiexporter

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/exporter/lokiexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/exporter/lokiexporter/internal/metadatatest"
)

const (
	tooLong = "max entry size '100' bytes exceeded for stream '{}' while adding an entry with length '200' bytes"
	tooOld  = "entry for stream '{}' has timestamp too old: 2026-01-02T03:04:05Z, oldest acceptable timestamp is: 2026-01-02T03:04:15Z"
	tooNew  = "entry for stream '{}' has timestamp too new: 2026-01-02T03:04:05Z"
	limited = "maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams"
)

func start(t *testing.T, config *Config, set exporter.Settings) exporter.Logs {
	require.NoError(t, config.Validate())
	e, err := NewFactory().CreateLogs(t.Context(), set, config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

func startDefault(t *testing.T, endpoint string) exporter.Logs {
	return start(t, testConfig(endpoint), exportertest.NewNopSettings(metadata.Type))
}

// refusals returns the records of each error of the tree that names some, by the text of the error.
func refusals(t *testing.T, err error) map[string][]string {
	found := make(map[string][]string)
	var walk func(error)
	walk = func(err error) {
		if logs, ok := err.(consumererror.Logs); ok { //nolint:errorlint // each node is looked at
			assert.True(t, consumererror.IsPermanent(logs))
			found[logs.Error()] = bodies(logs.Data())
			return
		}
		switch e := any(err).(type) {
		case interface{ Unwrap() []error }:
			for _, part := range e.Unwrap() {
				walk(part)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	return found
}

func TestWhatIsTakenIsDelivered(t *testing.T) {
	loki := newLokiDouble(t)
	config := testConfig(loki.URL + "/")
	config.Headers.Set("X-Scope-OrgID", "tenant")
	e := start(t, config, exportertest.NewNopSettings(metadata.Type))
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf("a", "one", "two")))
	require.NoError(t, e.ConsumeLogs(t.Context(), plog.NewLogs()))
	assert.Equal(t, []string{"one", "two"}, loki.lines())
	assert.Equal(t, 1, loki.requests)
	assert.Equal(t, "application/x-protobuf", loki.headers[0].Get("Content-Type"))
	assert.Equal(t, "tenant", loki.headers[0].Get("X-Scope-OrgID"))
	assert.False(t, e.Capabilities().MutatesData)
}

// The stand-in forgets, as Loki does, what it refused of all streams of a request but the last one.
func TestAStreamIsARequest(t *testing.T) {
	loki := newLokiDouble(t)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		if strings.HasPrefix(line, "bad") {
			return http.StatusBadRequest, tooLong
		}
		return 0, ""
	}
	logs := logsOf("a", "a1", "bad a", "a2")
	addLogs(logs, "b", "b1")
	addLogs(logs, "a", "a3", "bad a2")
	addLogs(logs, "c", "c1")
	err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logs)
	require.Error(t, err)
	assert.Equal(t, []string{"a1", "a2", "a3", "b1", "c1"}, loki.lines())
	found := refusals(t, err)
	require.Len(t, found, 1)
	for text, lines := range found {
		assert.Equal(t, []string{"bad a", "bad a2"}, lines)
		assert.Contains(t, text, "2 log records were not stored (line_bytes)")
		assert.Contains(t, text, "answered 400 Bad Request")
		assert.Contains(t, text, tooLong)
	}
}

func TestRefusedRecordsAreFoundAmongMany(t *testing.T) {
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, 437+i)
	}
	for name, bad := range map[string][]int{
		"hundred": hundred,
		"first":   {0}, "last": {999}, "one": {500}, "neighbours": {499, 500, 501}, "some": {3, 77, 500, 998},
	} {
		t.Run(name, func(t *testing.T) {
			loki := newLokiDouble(t)
			loki.refuse = func(line string, _ time.Time) (int, string) {
				n, _ := strconv.Atoi(line[len("line "):])
				if slices.Contains(bad, n) {
					return http.StatusBadRequest, tooNew
				}
				return 0, ""
			}
			lines := numbered(1000)
			var want []string
			for _, i := range bad {
				want = append(want, lines[i])
			}
			err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", lines...))
			require.Error(t, err)
			assert.Len(t, loki.lines(), 1000-len(bad))
			for text, lines := range refusals(t, err) {
				assert.Equal(t, want, lines)
				assert.Contains(t, text, "too_new")
			}
			assert.LessOrEqual(t, loki.requests, 1+len(bad)*2*10)
		})
	}
}

// What Loki says of a limit spares asking about each record.
func TestHintsSpareRequests(t *testing.T) {
	lines := numbered(1000)
	long := strings.Repeat("x", 101)
	for name, c := range map[string]struct {
		lines  []string
		refuse func(line string, at time.Time) (int, string)
		// stored is how many are stored, requests how many it takes.
		stored, requests int
		reason           string
	}{
		"too old": {lines, func(_ string, at time.Time) (int, string) {
			if at.Before(begin.Truncate(time.Second).Add(10 * time.Second)) {
				return http.StatusBadRequest, tooOld
			}
			return 0, ""
		}, 990, 2, "too_old"},
		"all too old": {lines[:10], func(string, time.Time) (int, string) { return http.StatusBadRequest, tooOld }, 0, 1, "too_old"},
		"too far behind": {lines, func(_ string, at time.Time) (int, string) {
			if at.Before(begin.Truncate(time.Second).Add(5 * time.Second)) {
				return http.StatusBadRequest, "entry with timestamp x ignored, reason: 'entry too far behind, entry timestamp is: 2026-01-02T03:04:05Z, " +
					"oldest acceptable timestamp is: 2026-01-02T03:04:10Z'"
			}
			return 0, ""
		}, 995, 2, "too_far_behind"},
		"too long": {append([]string{long, long + "y"}, lines...), func(line string, _ time.Time) (int, string) {
			if len(line) > 100 {
				return http.StatusBadRequest, tooLong
			}
			return 0, ""
		}, 1000, 2, "line_bytes"},
		"stream limit": {lines[:1], func(string, time.Time) (int, string) { return http.StatusTooManyRequests, limited }, 0, 1, "stream_limit"},
		"everything":   {lines, func(string, time.Time) (int, string) { return http.StatusBadRequest, "no" }, 0, 600, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			loki := newLokiDouble(t)
			loki.refuse = c.refuse
			err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", c.lines...))
			require.Error(t, err)
			assert.Len(t, loki.lines(), c.stored)
			assert.LessOrEqual(t, loki.requests, c.requests)
			found := refusals(t, err)
			require.Len(t, found, 1)
			for text, refused := range found {
				assert.Len(t, refused, len(c.lines)-c.stored)
				assert.Contains(t, text, "("+c.reason+")")
			}
		})
	}
}

func TestAHintThatHoldsForNobodyIsNotFollowed(t *testing.T) {
	loki := newLokiDouble(t)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		if line == "line 0003" {
			return http.StatusBadRequest, "entry for stream '{a=\"oldest acceptable timestamp is: 2999-01-01T00:00:00Z\"}' has timestamp too old: " +
				"2026-01-02T03:04:05Z, oldest acceptable timestamp is: 2020-01-01T00:00:00Z"
		}
		return 0, ""
	}
	err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", numbered(10)...))
	require.Error(t, err)
	assert.Len(t, loki.lines(), 9)
}

// One answer may name two limits.
func TestTwoHintsAreTwoReasons(t *testing.T) {
	loki := newLokiDouble(t)
	long := strings.Repeat("x", 101)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		switch line {
		case long:
			return http.StatusBadRequest, tooLong + "; 1 errors like: " + tooOld
		case "line 0000":
			return http.StatusBadRequest, tooOld + "; 1 errors like: " + tooLong
		}
		return 0, ""
	}
	logs := logsOf("a", append(numbered(20), long)...)
	for i, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		if i > 0 {
			record.SetTimestamp(record.Timestamp() + 60_000_000_000)
		}
	}
	found := refusals(t, startDefault(t, loki.URL).ConsumeLogs(t.Context(), logs))
	require.Len(t, found, 2)
	for text, lines := range found {
		want := "line 0000"
		if strings.Contains(text, "(line_bytes)") {
			want = long
		}
		assert.Equal(t, []string{want}, lines, text)
	}
}

func TestEveryReasonIsAnErrorOfItsOwn(t *testing.T) {
	loki := newLokiDouble(t)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		switch line {
		case "line 0003":
			return http.StatusBadRequest, tooNew
		case "line 0007":
			return http.StatusBadRequest, "stream '{}' has structured metadata too large: '9' bytes, limit: '8' bytes"
		}
		return 0, ""
	}
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := exportertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	err := start(t, testConfig(loki.URL), set).ConsumeLogs(t.Context(), logsOf("a", numbered(10)...))
	require.Error(t, err)
	found := refusals(t, err)
	require.Len(t, found, 2)
	for text, lines := range found {
		want := []string{"line 0003"}
		if strings.Contains(text, "(structured_metadata)") {
			want = []string{"line 0007"}
		}
		assert.Equal(t, want, lines, text)
	}
	metadatatest.AssertEqualExporterLokiRefusedRecords(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "too_new"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "structured_metadata"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterLokiSentRecords(t, telemetry, []metricdata.DataPoint[int64]{{Value: 8}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// Only what is not delivered is tried again, and what is refused is not forgotten over it.
func TestRetriesAreOfWhatIsMissing(t *testing.T) {
	loki := newLokiDouble(t)
	failures := 3
	loki.refuse = func(line string, _ time.Time) (int, string) {
		switch {
		case line == "b1" && failures > 0:
			failures--
			return http.StatusTooManyRequests, "ingestion rate limit exceeded for user fake"
		case line == "bad":
			return http.StatusBadRequest, tooNew
		}
		return 0, ""
	}
	config := testConfig(loki.URL)
	config.Concurrency = 1
	logs := logsOf("a", "a1", "bad")
	addLogs(logs, "b", "b1", "b2")
	addLogs(logs, "c", "c1")
	err := start(t, config, exportertest.NewNopSettings(metadata.Type)).ConsumeLogs(t.Context(), logs)
	require.Error(t, err)
	assert.True(t, consumererror.IsPermanent(err))
	assert.Equal(t, []string{"a1", "b1", "b2", "c1"}, loki.lines())
	for _, lines := range refusals(t, err) {
		assert.Equal(t, []string{"bad"}, lines)
	}
	assert.Zero(t, failures)
}

func TestAnswersThatMayPassAreRetriedWithoutEnd(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504, 401, 403, 404, 260} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			loki := newLokiDouble(t)
			failures := 5
			loki.refuse = func(string, time.Time) (int, string) {
				if failures--; failures >= 0 {
					return status, "not now"
				}
				return 0, ""
			}
			require.NoError(t, startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", "one")))
			assert.Equal(t, []string{"one"}, loki.lines())
		})
	}
}

func TestWithoutRetryTheErrorIsTransient(t *testing.T) {
	loki := newLokiDouble(t)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		if line == "b1" {
			return http.StatusServiceUnavailable, "down"
		}
		return 0, ""
	}
	config := testConfig(loki.URL)
	config.RetryConfig.Enabled = false
	config.Concurrency = 1
	logs := logsOf("a", "a1")
	addLogs(logs, "b", "b1")
	addLogs(logs, "c", "c1")
	e := start(t, config, exportertest.NewNopSettings(metadata.Type))
	err := e.ConsumeLogs(t.Context(), logs)
	require.ErrorContains(t, err, "answered 503 Service Unavailable: down")
	assert.False(t, consumererror.IsPermanent(err))
	var left consumererror.Logs
	require.True(t, errors.As(err, &left))
	assert.Equal(t, []string{"b1", "c1"}, bodies(left.Data()), "nothing more is sent to a server that is busy")

	loki.Close()
	err = e.ConsumeLogs(t.Context(), logs)
	require.ErrorContains(t, err, "no answer from")
	assert.False(t, consumererror.IsPermanent(err))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = e.ConsumeLogs(ctx, logs)
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, consumererror.IsPermanent(err))
}

func TestRequestsAreCutBySize(t *testing.T) {
	loki := newLokiDouble(t)
	config := testConfig(loki.URL)
	config.MaxRequestBytes = 1000
	require.NoError(t, start(t, config, exportertest.NewNopSettings(metadata.Type)).
		ConsumeLogs(t.Context(), logsOf("a", append(numbered(100), strings.Repeat("x", 2000))...)))
	assert.Len(t, loki.lines(), 101)
	assert.Greater(t, loki.requests, 2)
	assert.Contains(t, loki.sizes, 1, "the large one goes alone")
}

func TestARequestThatIsTooLargeIsHalved(t *testing.T) {
	for _, status := range []int{http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable} {
		loki := newLokiDouble(t)
		loki.refuse = func(line string, _ time.Time) (int, string) {
			if line == "large" {
				return status, "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)"
			}
			return 0, ""
		}
		err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", "one", "large", "two"))
		require.Error(t, err)
		assert.Equal(t, []string{"one", "two"}, loki.lines())
		for text, lines := range refusals(t, err) {
			assert.Equal(t, []string{"large"}, lines)
			assert.Contains(t, text, "(too_large)")
		}
	}
}

func TestThePauseThatLokiAsksForIsKept(t *testing.T) {
	response := &http.Response{Status: "429 Too Many Requests", Header: http.Header{"Retry-After": {"7"}}}
	err := responseError(outcomeThrottled, "http://loki", response, "slow down")
	assert.ErrorContains(t, err, "Throttle (7s)")
	assert.NotContains(t, responseError(outcomeRetry, "http://loki", response, "").Error(), "Throttle")
}
