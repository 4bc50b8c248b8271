package swap

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

// push sends lines of one stream to Loki, and returns nil when it has answered for them.
func push(ctx context.Context, l *harness.Loki, lines []string) error {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", "app")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	now := time.Now()
	for i, line := range lines {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(i))))
		record.Body().SetStr(line)
	}
	var marshaler plog.ProtoMarshaler
	body, err := marshaler.MarshalLogs(logs)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.OTLPURL(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := l.Client().Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("Loki answered %s", response.Status)
	}
	return nil
}

func linesOf(name string, n, bytes int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%s %05d %0*d", name, i, bytes, 0)
	}
	return lines
}

// linesIn returns how many of the lines Loki has.
func linesIn(tb testing.TB, l *harness.Loki, lines []string) int {
	tb.Helper()
	found := make(map[string]bool)
	require.NoError(tb, loki{l}.each(tb.Context(), func(line string) { found[line] = true }))
	n := 0
	for _, line := range lines {
		if found[line] {
			n++
		}
	}
	return n
}

// TestWhatLokiForgets is why the flush window of Loki is that of its checkpoints, although it has a log: a kill may cut off
// a record of the log, and what comes behind it is not read back after a second kill. It is done here by hand. A Loki that
// reads it all fails this test, and needs no such window.
func TestWhatLokiForgets(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	wal := filepath.Join(dir, "data", "wal")
	// tear leaves a log that ends within a record, and the Loki running again.
	tear := func(l *harness.Loki) {
		require.NoError(t, push(ctx, l, linesOf("large", 1000, 1000))) // over 30 pages of the log
		require.NoError(t, l.Kill())
		cutLastRecord(t, wal)
		require.NoError(t, l.Start(ctx))
	}
	window, err := time.ParseDuration(flushWindow)
	require.NoError(t, err)

	l := harness.StartLoki(t, harness.LokiOptions{Dir: dir, Config: "examples/loki/loki.yaml", Args: checkpointFlags})
	tear(l)
	old := linesOf("old", 100, 10)
	require.NoError(t, push(ctx, l, old))
	time.Sleep(window) // what is measured
	require.NoError(t, l.Kill())

	// The same one, without a checkpoint that comes between.
	l = harness.StartLoki(t, harness.LokiOptions{Dir: dir, Config: "examples/loki/loki.yaml", Args: []string{"-ingester.checkpoint-duration=10m"}})
	tear(l)
	young := linesOf("young", 100, 10)
	require.NoError(t, push(ctx, l, young))
	assert.Equal(t, len(young), linesIn(t, l, young))
	require.NoError(t, l.Kill())
	require.NoError(t, l.Start(ctx))
	assert.Equal(t, len(old), linesIn(t, l, old), "what is older than the window is there")
	assert.Zero(t, linesIn(t, l, young), "Loki reads back what is behind a record that was cut off")
}

// cutLastRecord cuts the newest segment of a log of Loki off, as it is when its process is killed while it writes the pages of
// a record. It does nothing to a segment that has too little in it: a checkpoint has just begun.
func cutLastRecord(t *testing.T, wal string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(wal, "0*"))
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	last := segments[len(segments)-1]
	info, err := os.Stat(last)
	require.NoError(t, err)
	const page = 32 * 1024
	if size := info.Size()/page*page - 8*page; size > 0 {
		require.NoError(t, os.Truncate(last, size))
	}
}

// BenchmarkLokiUnderConcurrentWrites says how much Loki forgets of what it has answered for when requests for one stream come
// side by side and it is killed. It depends on the machine, so nothing is held:
//
//	go test -run '^$' -bench LokiUnderConcurrentWrites -benchtime 1x ./swap
func BenchmarkLokiUnderConcurrentWrites(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			for b.Loop() {
				measureForgotten(b, writers)
			}
		})
	}
}

func measureForgotten(b *testing.B, writers int) {
	l := harness.StartLoki(b, harness.LokiOptions{Config: "examples/loki/loki.yaml", Args: []string{"-ingester.checkpoint-duration=10m"}})
	var mu sync.Mutex
	var acknowledged []string
	var requests atomic.Int64
	writing, stop := context.WithTimeout(b.Context(), 5*time.Second)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := 0; writing.Err() == nil; i++ {
				lines := linesOf(fmt.Sprintf("writer %d request %d", w, i), 20, 500)
				if push(writing, l, lines) == nil {
					requests.Add(1)
					mu.Lock()
					acknowledged = append(acknowledged, lines...)
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	stop()
	require.NoError(b, l.Kill())
	require.NoError(b, l.Start(b.Context()))
	b.ReportMetric(float64(requests.Load()), "requests")
	b.ReportMetric(float64(len(acknowledged)-linesIn(b, l, acknowledged)), "lines-forgotten")
}
