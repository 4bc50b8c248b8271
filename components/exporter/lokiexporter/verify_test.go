package lokiexporter

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/breakwater-otel/breakwater/components/exporter/lokiexporter/internal/metadata"
)

func redelivered(ctx context.Context) context.Context {
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{redeliveredKey: {"1"}})})
}

// What comes again is asked for, and what is missing of it is sent.
func TestRedeliveredRecordsAreAskedFor(t *testing.T) {
	loki := newLokiDouble(t)
	e := startDefault(t, loki.URL)
	lines := numbered(12_000) // more than two pages
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf("a", lines[:11_000]...)))
	assert.Empty(t, loki.queries, "what is new is not asked for")
	require.NoError(t, e.ConsumeLogs(redelivered(t.Context()), logsOf("a", lines...)))
	assert.Equal(t, slices.Sorted(slices.Values(lines)), loki.lines())
	assert.Zero(t, loki.twice)
	assert.Equal(t, `{service_name="a"}`, loki.queries[0])

	pushes := loki.requests
	require.NoError(t, e.ConsumeLogs(redelivered(t.Context()), logsOf("a", lines...)))
	assert.Equal(t, pushes, loki.requests, "everything is there")
}

func TestRecordsOfOneMomentMoreThanAPageHoldsAreSent(t *testing.T) {
	loki := newLokiDouble(t)
	e := startDefault(t, loki.URL)
	logs := logsOf("a", numbered(queryPage+10)...)
	for _, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		record.SetTimestamp(1_700_000_000_000_000_000)
	}
	require.NoError(t, e.ConsumeLogs(redelivered(t.Context()), logs))
	require.NoError(t, e.ConsumeLogs(redelivered(t.Context()), logs))
	assert.Len(t, loki.lines(), queryPage+10)
	assert.Equal(t, 10, loki.twice, "better than to lose them")
}

// A request without an answer may have been taken.
func TestARetryAsksFirst(t *testing.T) {
	loki := newLokiDouble(t)
	loki.noAnswer = 1
	require.NoError(t, startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", "one", "two")))
	assert.Equal(t, []string{"one", "two"}, loki.lines())
	assert.Zero(t, loki.twice)
	assert.Len(t, loki.queries, 1)
}

// The records that Loki stored of a request that it refused are not sent again.
func TestWhatIsStoredOfARefusedRequestIsNotSentAgain(t *testing.T) {
	loki := newLokiDouble(t)
	loki.refuse = func(line string, _ time.Time) (int, string) {
		if strings.HasPrefix(line, "bad") {
			return http.StatusBadRequest, tooNew
		}
		return 0, ""
	}
	err := startDefault(t, loki.URL).ConsumeLogs(t.Context(), logsOf("a", append(numbered(100), "bad 1", "bad 2")...))
	require.Error(t, err)
	assert.Len(t, loki.lines(), 100)
	assert.Zero(t, loki.twice)
	for _, lines := range refusals(t, err) {
		assert.Equal(t, []string{"bad 1", "bad 2"}, lines)
	}
}

// Where Loki cannot be asked nothing is guessed, unless it was told so.
func TestQueriesThatFailAreRetried(t *testing.T) {
	failures := 3
	loki := newLokiDouble(t)
	inner := loki.Config.Handler
	loki.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == queryPath && failures > 0 {
			failures--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	})
	require.NoError(t, startDefault(t, loki.URL).ConsumeLogs(redelivered(t.Context()), logsOf("a", "one")))
	assert.Zero(t, failures)
	assert.Equal(t, []string{"one"}, loki.lines())

	config := testConfig(loki.URL)
	config.Idempotency.Enabled = false
	require.NoError(t, start(t, config, exportertest.NewNopSettings(metadata.Type)).ConsumeLogs(redelivered(t.Context()), logsOf("a", "one")))
	assert.Equal(t, 1, loki.twice)
}

// A question that Loki refuses, for a limit of its own, does not stop what has to be delivered.
func TestAQueryThatIsRefusedIsNotRepeated(t *testing.T) {
	loki := newLokiDouble(t)
	inner := loki.Config.Handler
	loki.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == queryPath {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		inner.ServeHTTP(w, r)
	})
	require.NoError(t, startDefault(t, loki.URL).ConsumeLogs(redelivered(t.Context()), logsOf("a", "one")))
	assert.Equal(t, []string{"one"}, loki.lines())
}

func TestWindows(t *testing.T) {
	minute, day := int64(time.Minute), int64(24*time.Hour)
	assert.Equal(t, []window{{5, 5}}, windowsOf([]int64{5}))
	assert.Equal(t, []window{{0, 20 * minute}, {31 * minute, 31 * minute}, {9 * day, 9*day + 1}},
		windowsOf([]int64{0, 10 * minute, 20 * minute, 31 * minute, 9 * day, 9*day + 1}))
	var long []int64
	for i := range int64(1000) {
		long = append(long, 5*i*minute)
	}
	for _, w := range windowsOf(long) {
		assert.LessOrEqual(t, w.to-w.from, day)
	}
}

func TestSelector(t *testing.T) {
	e := &lokiExporter{config: testConfig("http://127.0.0.1")}
	e.config.Idempotency.Labels = []string{"env", "service_name", "k8s.pod.name"}
	logs := logsOf("a \"b\" ü", "one")
	records, _ := plan(logs, 1000)
	assert.Equal(t, `{service_name="a \"b\" ü"}`, e.selectorOf(&records[0]))
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("k8s.pod.name", "p")
	assert.Equal(t, `{service_name="a \"b\" ü",k8s_pod_name="p"}`, e.selectorOf(&records[0]))
	logs.ResourceLogs().At(0).Resource().Attributes().Clear()
	assert.Empty(t, e.selectorOf(&records[0]))
}

func TestLinesAreComparedAsTheyComeBack(t *testing.T) {
	assert.Equal(t, "a\uFFFD\uFFFDb", asReturned("a\xff\xfeb"))
	assert.Equal(t, "ü 漢", asReturned("ü 漢"))
}
