package victorialogs

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// faultSettings give up soon. visibility_delay is longer than a test would like it to be: these tests share two cores with
// others, and a VictoriaLogs that gets none of them takes its time to show what it has read.
const faultSettings = `
timeout: 1500ms
retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}
idempotency: {timeout: 1s, visibility_delay: 6s}
`

// seed is BREAKWATER_TEST_SEED, or a new one.
func seed(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("BREAKWATER_TEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	return rand.Uint64()
}

// faultLoad is numbered rows in requests of many sizes.
type faultLoad struct {
	requests []plog.Logs
	rows     int
	large    int // how many of them take the OTLP path
}

// newFaultLoad makes requests of 1 to most rows; every tenth of the requests has an over-long one.
func newFaultLoad(rng *rand.Rand, rows, most int) faultLoad {
	load := faultLoad{rows: rows}
	base := time.Now().Add(-time.Hour)
	large := repeat(" large", 270_000)
	for next := 0; next < rows; {
		n := min(1+rng.IntN(most), rows-next)
		if len(load.requests) == 0 {
			n = min(20_000, rows) // more than one batch
		}
		logs := plog.NewLogs()
		resource := logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("service_name", "fault")
		resource.Resource().Attributes().PutStr("case", strconv.Itoa(len(load.requests)%7))
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		records.EnsureCapacity(n)
		for i := range n {
			record := records.AppendEmpty()
			record.SetTimestamp(pcommon.NewTimestampFromTime(base.Add(time.Duration(next/3) * time.Millisecond)))
			message := "row " + strconv.Itoa(next)
			if i == n/2 && len(load.requests)%10 == 5 {
				message += large
				load.large++
			}
			record.Body().SetStr(message)
			record.Attributes().PutInt("seq", int64(next))
			record.Attributes().PutStr("text", "a value that makes the row one of a usual length, with \"quotes\" in it")
			next++
		}
		load.requests = append(load.requests, logs)
	}
	return load
}

// sendAll sends the requests from several goroutines.
func sendAll(ctx context.Context, t *testing.T, e *instance, load faultLoad, workers int) {
	t.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(load.requests); i = int(next.Add(1)) - 1 {
				if err := e.ConsumeLogs(ctx, load.requests[i]); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	group.Wait()
}

// requireLoad holds that each row is there, once.
func requireLoad(t *testing.T, logs *harness.VictoriaLogs, load faultLoad) {
	t.Helper()
	require.NoError(t, logs.Flush(t.Context()))
	times := make(map[string]int, load.rows)
	corrupt := 0
	require.NoError(t, logs.QueryEach(t.Context(), "* | fields _msg, seq", func(row harness.LogRow) error {
		message, rest, long := strings.Cut(row["_msg"], " large")
		if message != "row "+row["seq"] || long && len(rest) != 270_000-len(" large") {
			corrupt++
		}
		times[row["seq"]]++
		return nil
	}))
	lost, duplicated := []string{}, []string{}
	for i := range load.rows {
		switch seq := strconv.Itoa(i); times[seq] {
		case 0:
			lost = append(lost, seq)
		case 1:
		default:
			duplicated = append(duplicated, seq)
		}
	}
	assert.Empty(t, firstOf(lost), "%d lost of %d", len(lost), load.rows)
	assert.Empty(t, firstOf(duplicated), "%d duplicated of %d", len(duplicated), load.rows)
	assert.Len(t, times, load.rows, "distinct rows")
	assert.Zero(t, corrupt, "rows that are not as they were sent")
	total, err := logs.Count(t.Context(), "*")
	require.NoError(t, err)
	assert.EqualValues(t, load.rows, total, "rows in all")
}

func firstOf(names []string) []string { return names[:min(len(names), 10)] }

// TestFaultsOnInserts sends 200,000 rows by a proxy that leaves the exporter in doubt about half of its requests.
func TestFaultsOnInserts(t *testing.T) {
	testFaults(t, faultSettings, 200_000, 0.5, "/insert/")
}

// TestFaultsOnInsertsAndQueries disturbs the questions, too: what cannot be asked is not guessed. The bodies are
// compressed, so that a cut leaves the server other parts of them.
func TestFaultsOnInsertsAndQueries(t *testing.T) {
	testFaults(t, faultSettings+"compression: zstd\n", 100_000, 0.4, "/insert/", "/select/")
}

func testFaults(t *testing.T, settings string, rows int, rate float64, paths ...string) {
	t.Parallel() // most of it is waiting
	seed := seed(t)
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	proxy := harness.StartFaultProxy(t, harness.FaultProxyOptions{
		Target: logs.URL(), Seed: seed, Rate: rate, Paths: paths, LateBy: 300 * time.Millisecond,
	})
	e := startExporter(t, proxy.URL(), settings)
	load := newFaultLoad(rand.New(rand.NewPCG(seed, 1)), rows, 1000*rows/100_000)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	start := time.Now()
	sendAll(ctx, t, e, load, 40)
	require.NoError(t, proxy.WaitIdle(ctx))
	counts := proxy.Counts()
	t.Logf("BREAKWATER_TEST_SEED=%d: %d requests of %d rows, %d over-long, in %s: %v", seed, len(load.requests), load.rows, load.large,
		time.Since(start).Round(time.Millisecond), counts)
	t.Logf("verifications: found %d, partial %d, absent %d, failed %d; repaired %d",
		e.metric(t, "verifications", "result", "found"), e.metric(t, "verifications", "result", "partial"),
		e.metric(t, "verifications", "result", "absent"), e.metric(t, "verifications", "result", "failed"), e.metric(t, "repaired_records"))

	requireLoad(t, logs, load)
	for _, fault := range harness.AllFaults() {
		assert.NotZero(t, counts[fault], "%s did not happen", fault)
	}
	for _, result := range []string{"found", "partial", "absent"} {
		assert.NotZero(t, e.metric(t, "verifications", "result", result), "verifications: %s", result)
	}
	assert.NotZero(t, e.metric(t, "repaired_records"))
	if len(paths) > 1 {
		assert.NotZero(t, e.metric(t, "verifications", "result", "failed"))
	}
	assert.Zero(t, e.metric(t, "rejected_records"))
	if t.Failed() {
		t.Logf("again: BREAKWATER_TEST_SEED=%d", seed)
	}
	// The bodies that broke off are errors to the server; drops are not among them.
	requireCountersZero(t, logs, "vl_rows_dropped_total", "vl_too_long_lines_skipped_total")
}

// TestEachFaultByItself sends one request for each kind of fault, which meets it at first and then no more.
func TestEachFaultByItself(t *testing.T) {
	for _, fault := range append(harness.AllFaults(), harness.FaultEarlyOK) {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
			proxy := startScript(t, logs, fault)
			rows, settings := 6_000, faultSettings
			if fault == harness.FaultEarlyOK {
				rows, settings = 800, "" // so much takes a loaded server its time
			}
			e := startExporter(t, proxy.URL(), settings)
			load := newFaultLoad(rand.New(rand.NewPCG(1, 1)), rows, rows)
			if fault == harness.FaultEarlyOK {
				// 8 MiB, more than the buffers on the way take.
				record := load.requests[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
				for i := range record.Len() {
					record.At(i).Attributes().PutStr("padding", repeat("padding ", 10_300))
				}
			}
			sendAll(t.Context(), t, e, load, 1)
			require.NoError(t, proxy.WaitIdle(t.Context()))
			requireLoad(t, logs, load)
			assert.Equal(t, 1, proxy.Counts()[fault])
		})
	}
}

// TestNothingToAskAboutAfterAConnectionError holds that an endpoint that does not listen costs no question.
func TestNothingToAskAboutAfterAConnectionError(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	proxy := recordingProxy(t, logs)
	port, err := harness.FreePort()
	require.NoError(t, err)
	t.Cleanup(func() { harness.ReleasePort(port) })
	e := startExporter(t, "http://"+harness.Loopback(port), `{idempotency: {query_endpoint: "`+proxy.URL()+`"}, retry_on_failure: {enabled: false}}`)
	all := plog.NewLogs()
	newRecord(all, "one")
	for range 3 {
		require.Error(t, e.ConsumeLogs(t.Context(), all))
	}
	assert.Empty(t, proxy.Requests(""))
	assert.EqualValues(t, 1, e.metric(t, "endpoint_state", "state", "unreachable"))
}
