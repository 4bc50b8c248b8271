package harness_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// pushToLoki pushes numbered lines by OTLP; the times of two that follow each other
// are a step apart.
func pushToLoki(ctx context.Context, l *harness.Loki, app string, begin time.Time, step time.Duration, from, to int) error {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", app)
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := from; i < to; i++ {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(i) * step)))
		record.Body().SetStr(fmt.Sprintf("line %d", i))
		record.Attributes().PutStr("seq", fmt.Sprint(i))
	}
	var marshaler plog.ProtoMarshaler
	body, err := marshaler.MarshalLogs(logs)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.OTLPURL(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := l.Client().Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("push: %s", resp.Status)
	}
	return resp.Body.Close()
}

func TestLokiKeepsWhatItAcknowledgedOverAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := harness.StartLoki(t, harness.LokiOptions{})
	begin := time.Now().Add(-10 * time.Hour).Truncate(time.Second)
	end := begin.Add(time.Hour)
	const lines = 12_500 // more than two pages
	for i := 0; i < lines; i += 2500 {
		require.NoError(t, pushToLoki(ctx, l, "boats", begin, time.Microsecond, i, i+2500))
	}
	// Out of order, of another stream, and far from now.
	require.NoError(t, pushToLoki(ctx, l, "ferries", begin.Add(-100*24*time.Hour), time.Microsecond, 0, 10))

	check := func() {
		n, err := l.Count(ctx, `{service_name="boats"}`, begin, end)
		require.NoError(t, err)
		assert.EqualValues(t, lines, n)
		next := 0
		require.NoError(t, l.QueryEach(ctx, `{service_name="boats"}`, begin, end, func(e harness.LokiEntry) error {
			assert.Equal(t, fmt.Sprintf("line %d", next), e.Line)
			assert.Equal(t, fmt.Sprint(next), e.Metadata["seq"])
			assert.Equal(t, "boats", e.Stream["service_name"])
			assert.True(t, begin.Add(time.Duration(next)*time.Microsecond).Equal(e.Time))
			next++
			return nil
		}))
		assert.Equal(t, lines, next, "in order, every line once")
		entries, err := l.Query(ctx, `{service_name="ferries"}`, begin.Add(-101*24*time.Hour), begin)
		require.NoError(t, err)
		assert.Len(t, entries, 10)
	}
	check()
	metrics, err := l.Metrics(ctx)
	require.NoError(t, err)
	began := metrics.Sum("process_start_time_seconds")
	assert.NotZero(t, began)

	require.NoError(t, l.Kill())
	require.NoError(t, l.Start(ctx))
	check()
	metrics, err = l.Metrics(ctx)
	require.NoError(t, err)
	assert.Greater(t, metrics.Sum("process_start_time_seconds"), began)

	require.NoError(t, l.Flush(ctx))
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		metrics, err := l.Metrics(ctx)
		if err == nil && metrics.Sum("loki_ingester_memory_chunks") != 0 {
			err = fmt.Errorf("%v chunks are in memory", metrics.Sum("loki_ingester_memory_chunks"))
		}
		return err
	}))
	check()
	require.NoError(t, l.Stop(ctx))
	require.NoError(t, l.Start(ctx))
	check()
	n, err := l.Count(ctx, `{service_name="nobody"}`, begin, end)
	require.NoError(t, err)
	assert.Zero(t, n)
	_, err = l.Query(ctx, `{no query`, begin, end)
	require.ErrorContains(t, err, "parse error")
}

func TestLokiInAHostPagesThroughOneMoment(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	lab := newLab(t)
	h := newHost(t, lab, "loki")
	l := harness.StartLoki(t, harness.LokiOptions{Host: h, DiskBytes: 256 << 20})
	require.NoError(t, reaches(t, newHost(t, lab, "other"), l.URL()))
	lab.Isolate(h)
	at := time.Now().Truncate(time.Second)
	const lines = 6_000 // more than a page
	require.NoError(t, pushToLoki(ctx, l, "boats", at.Add(-time.Second), 0, 0, 1))
	require.NoError(t, pushToLoki(ctx, l, "boats", at, 0, 1, lines))
	require.NoError(t, pushToLoki(ctx, l, "boats", at.Add(time.Second), 0, lines, lines+1))
	seen := map[string]bool{}
	entries, err := l.Query(ctx, `{service_name="boats"}`, at.Add(-time.Second), at.Add(time.Second))
	require.NoError(t, err)
	for _, e := range entries {
		seen[e.Line] = true
	}
	assert.Len(t, entries, lines+1)
	assert.Len(t, seen, lines+1)
	assert.DirExists(t, l.Disk().Path()+"/wal", "the data is on the disk")
}
