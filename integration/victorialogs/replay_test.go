package victorialogs

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// cut makes requests of n records each; the first one has fewer by shift.
func cut(logs plog.Logs, n, shift int) []plog.Logs {
	var requests []plog.Logs
	i := shift
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if i%n == 0 || len(requests) == 0 {
					requests = append(requests, plog.NewLogs())
				}
				to := requests[len(requests)-1].ResourceLogs().AppendEmpty()
				resource.Resource().CopyTo(to.Resource())
				record.CopyTo(to.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
				i++
			}
		}
	}
	return requests
}

// sendReplay sends the requests as our Kafka receiver does for a replay of this name, long after what was delivered.
func (i *instance) sendReplay(t *testing.T, name string, requests []plog.Logs) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	offset := 0
	for _, request := range requests {
		marked := client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{
			"breakwater.redelivered": {unixMilli(time.Now().Add(-time.Minute))},
			"breakwater.replay":      {name, "logs/0/" + strconv.Itoa(offset)},
		})})
		offset += request.LogRecordCount()
		require.NoError(t, i.ConsumeLogs(marked, request))
	}
}

// TestReplayOfOtherBounds holds that what requests of any bounds have stored is recognized row by row in requests of
// others, and that what is missing is sent.
func TestReplayOfOtherBounds(t *testing.T) {
	minute := time.Now().Truncate(time.Minute).Add(-time.Minute)
	loads := map[string]plog.Logs{
		"plain": numbered(1000, nil),
		"not UTF-8": numbered(100, func(i int, record plog.LogRecord) {
			record.Body().SetStr(fmt.Sprintf("row %d %s", i, hostileTexts["every byte"]))
			record.Attributes().PutStr("k\xff\xed\xa0\x80", "v\xfe")
		}),
		"identical": numbered(300, func(i int, record plog.LogRecord) {
			record.SetTimestamp(pcommon.NewTimestampFromTime(minute))
			record.Body().SetStr("row " + strconv.Itoa(i%4))
			record.Attributes().PutInt("number", int64(i%4))
		}),
		"clamped": numbered(100, func(i int, record plog.LogRecord) {
			if i%3 == 0 {
				record.SetTimestamp(pcommon.Timestamp(i + 1))
			}
		}),
		"without time": numbered(100, func(i int, record plog.LogRecord) {
			if i%5 == 2 {
				record.SetTimestamp(0)
			}
		}),
		"far apart": numbered(200, func(i int, record plog.LogRecord) {
			record.SetTimestamp(pcommon.NewTimestampFromTime(minute.Add(-time.Duration(i) * 7 * time.Minute)))
		}),
		"over-long": numbered(5, func(i int, record plog.LogRecord) {
			record.Body().SetStr(strconv.Itoa(i) + repeat("long ", 300_000))
		}),
		"many streams": numbered(600, func(i int, record plog.LogRecord) {
			record.Attributes().PutStr("case", "case "+strconv.Itoa(i))
		}),
	}
	for name, load := range loads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
			live := startExporter(t, logs.URL(), "")
			for _, request := range cut(load, 70, 0) {
				live.send(t, request)
			}
			requireMessages(t, logs, load)

			again := startExporter(t, logs.URL(), "")
			again.sendReplay(t, "first", cut(load, 64, 13))
			requireMessages(t, logs, load)
			assert.EqualValues(t, load.LogRecordCount(), again.metric(t, "present_records"))
			assert.Zero(t, again.metric(t, "sent_records"))

			// An empty server gets all of it, and the next replay finds that.
			empty := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "empty"})
			first := startExporter(t, empty.URL(), "")
			first.sendReplay(t, "first", cut(load, 64, 13))
			requireMessages(t, empty, load)
			assert.Zero(t, first.metric(t, "present_records"))
			resumed := startExporter(t, empty.URL(), "")
			resumed.sendReplay(t, "first", cut(load, 64, 13))
			requireMessages(t, empty, load)
			other := startExporter(t, empty.URL(), "")
			other.sendReplay(t, "second", cut(load, 50, 7))
			requireMessages(t, empty, load)
		})
	}
}

// TestReplayRepairs holds that a replay stores what is missing of requests of other bounds, and nothing else.
func TestReplayRepairs(t *testing.T) {
	load := numbered(1000, nil)
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	live := startExporter(t, logs.URL(), "")
	for n, request := range cut(load, 70, 0) {
		if n%3 != 1 {
			live.send(t, request)
		}
	}
	require.NoError(t, logs.Flush(t.Context()))
	had, err := logs.Count(t.Context(), "*")
	require.NoError(t, err)
	again := startExporter(t, logs.URL(), "")
	again.sendReplay(t, "repair", cut(load, 64, 13))
	requireMessages(t, logs, load)
	assert.Equal(t, had, again.metric(t, "present_records"))
	assert.EqualValues(t, 1000-had, again.metric(t, "sent_records"))
}
