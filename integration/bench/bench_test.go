package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestConsumerMemory holds the memory of the shipped consumer while it drains a backlog that is larger than its bound
// would be if memory grew with it: a consumer that holds what it fetched reaches it well before the end.
func TestConsumerMemory(t *testing.T) {
	harness.RequireBackends(t)
	backlog, err := NewBacklog(t.Context(), t.TempDir(), Workload{Messages: 160, RecordsPerMessage: 2000, Start: time.Now()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, backlog.Close()) })
	require.Greater(t, backlog.Bytes, int64(150e6))

	result, err := backlog.Run(t.Context(), t.TempDir(), CompareVariants()[0])
	require.NoError(t, err)
	t.Log(result)
	assert.Less(t, result.PeakRSS, int64(MaxConsumerBytes))
}

// TestGeneratorHasTheSameRows holds that the load generator posts what the consumer makes of the messages.
func TestGeneratorHasTheSameRows(t *testing.T) {
	w := Workload{Messages: 2, RecordsPerMessage: 3, Start: time.Unix(1_700_000_000, 0)}
	message, err := w.Message(1)
	require.NoError(t, err)
	var unmarshaler plog.ProtoUnmarshaler
	logs, err := unmarshaler.UnmarshalLogs(message)
	require.NoError(t, err)
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()

	rows, err := w.Rows(1)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(rows), []byte("\n"))
	require.Len(t, lines, records.Len())
	for i, line := range lines {
		var row map[string]string
		require.NoError(t, json.Unmarshal(line, &row))
		want := map[string]string{
			"_time": strconv.FormatInt(records.At(i).Timestamp().AsTime().UnixNano(), 10),
			"_msg":  records.At(i).Body().Str(),
		}
		for name, value := range records.At(i).Attributes().All() {
			want[name] = value.Str()
		}
		assert.Equal(t, want, row)
		assert.Len(t, row, 11)
		assert.InDelta(t, 480, len(line), 20)
	}
}

func TestEncoderMedians(t *testing.T) {
	const output = `goos: linux
BenchmarkEncode/labels=record/victorialogs-2         	     745	   1600000 ns/op	 600.00 MB/s	   1250000 records/s	     10 B/op	       0 allocs/op
BenchmarkEncode/labels=record/otlp-2                 	     700	   1700000 ns/op	   1000000 records/s	 901120 B/op	       1 allocs/op
BenchmarkEncode/labels=record/victorialogs-2         	     745	   1600000 ns/op	 600.00 MB/s	   1.36e+06 records/s	     10 B/op	       0 allocs/op
BenchmarkEncode/labels=record/otlp-2                 	     700	   1700000 ns/op	   850000 records/s	 901120 B/op	       1 allocs/op
BenchmarkEncode/labels=record/otlp-2                 	     700	   1700000 ns/op	   1000000 records/s	 901120 B/op	       1 allocs/op
BenchmarkEncode/labels=record/victorialogs-2         	     745	   1600000 ns/op	 600.00 MB/s	   1300000 records/s	     10 B/op	       2 allocs/op
`
	figures := encoderMedians(output)
	assert.InDelta(t, 1_300_000, figures["record/victorialogs"].RecordsPerSecond, 1e-9)
	assert.Zero(t, figures["record/victorialogs"].AllocsPerOp)
	assert.InDelta(t, 1_000_000, figures["record/otlp"].RecordsPerSecond, 1e-9)
	assert.InDelta(t, 1, figures["record/otlp"].AllocsPerOp, 1e-9)
	target := EncoderTargets(figures)[0]
	assert.InDelta(t, 1.3, target.Ratio, 1e-9)
	assert.True(t, target.Passed())
}

func TestTargets(t *testing.T) {
	run := func(variant string, cpu, backendCPU, drain time.Duration, rss int64) Result {
		return Result{Variant: variant, Records: 1000, ConsumerCPU: cpu, BackendCPU: backendCPU, Drain: drain, PeakRSS: rss}
	}
	results := Results{
		run(Ours, 80, 300, 11, 100), run(Rival, 100, 290, 12, 200), run(Upstream, 80, 280, 11, 100), run(Generator, 0, 200, 10, 0),
		run(Ours, 90, 100, 10, 101), run(Rival, 100, 290, 12, 200), run(Upstream, 85, 280, 10, 100), run(Generator, 0, 200, 10, 0),
		run(Ours, 99, 280, 30, 102), run(Rival, 100, 290, 12, 200), run(Upstream, 90, 280, 10, 100), run(Generator, 0, 200, 10, 0),
		// All of it on a machine of half the speed.
		run(Ours, 190, 600, 22, 103), run(Rival, 200, 580, 24, 200), run(Upstream, 180, 560, 19, 100), run(Generator, 0, 400, 20, 0),
	}
	var passed []bool
	for _, target := range results.Targets() {
		passed = append(passed, target.Passed())
	}
	assert.Equal(t, []bool{false, false, true, false, false, true}, passed)
	assert.InDelta(t, (0.9+0.95)/2, results.Targets()[0].Ratio, 1e-9, "the ratios are .8, .9, .95 and .99")
	assert.True(t, math.IsNaN(results[:4].ratio("another", drainRate)))
	assert.InDelta(t, 0.8, results[:4].ratio(Rival, consumerMicros), 1e-9)
}

func TestFluentBitTargets(t *testing.T) {
	run := func(variant string, cpu time.Duration) Result {
		return Result{Variant: variant, Records: 1000, ConsumerCPU: cpu}
	}
	results := Results{run(Ours, 4*time.Millisecond), run(Rival, 13*time.Millisecond)}
	targets := results.FluentBitTargets()
	assert.InDelta(t, 3.25, targets[0].Ratio, 1e-9)
	assert.InDelta(t, 250_000.0/75_000, targets[1].Ratio, 1e-9)
	assert.True(t, targets[0].Passed())
	assert.True(t, targets[1].Passed())
}

func TestOutageTargets(t *testing.T) {
	round := func(drain time.Duration, peak int64, wait, late time.Duration) OutageResult {
		return OutageResult{
			Undisturbed: Result{Records: 1000, Drain: time.Second},
			Records:     1000, Drain: drain, PeakRSS: peak, Wait: wait, Late: late,
		}
	}
	verdicts := func(results ...OutageResult) (passed []bool) {
		for _, target := range OutageTargets(results) {
			passed = append(passed, target.Passed())
		}
		return passed
	}
	good := round(1050*time.Millisecond, 290e6, time.Second, time.Second)
	slow := round(1200*time.Millisecond, 310e6, 11*time.Second, 12*time.Second)
	assert.Equal(t, []bool{true, true, true, true}, verdicts(good))
	assert.Equal(t, []bool{false, false, false, false}, verdicts(slow))
	// One slow drain of three is the machine; one peak is not.
	assert.Equal(t, []bool{false, false, true, false}, verdicts(good, slow, good))
}

// TestMessagesOfFluentBitHaveTheSameFields holds that the messages of one record are those of the rows, too.
func TestMessagesOfFluentBitHaveTheSameFields(t *testing.T) {
	w := Workload{Messages: 3, RecordsPerMessage: 1, Start: time.Unix(1_700_000_000, 5), FluentBit: true}
	message, err := w.Message(2)
	require.NoError(t, err)
	rows, err := w.Rows(2)
	require.NoError(t, err)
	var got, row map[string]string
	require.NoError(t, json.Unmarshal(message, &got))
	require.NoError(t, json.Unmarshal(rows, &row))
	at, err := time.Parse(time.RFC3339Nano, got["@timestamp"])
	require.NoError(t, err)
	assert.Equal(t, row["_time"], strconv.FormatInt(at.UnixNano(), 10))
	assert.Equal(t, row["_msg"], got["log"])
	for _, name := range fields {
		assert.Equal(t, row[name], got[name])
	}
	assert.Len(t, got, len(row))

	_, err = Workload{Messages: 1, RecordsPerMessage: 2, FluentBit: true}.Message(0)
	require.Error(t, err)
}

func TestReplaceSection(t *testing.T) {
	const document = "a\n<!-- bench:x begin -->\nold\n<!-- bench:x end -->\nb\n"
	replaced, err := replaceSection(document, "x", "new")
	require.NoError(t, err)
	assert.Equal(t, "a\n<!-- bench:x begin -->\n\nnew\n\n<!-- bench:x end -->\nb\n", replaced)
	again, err := replaceSection(replaced, "x", "new\n")
	require.NoError(t, err)
	assert.Equal(t, replaced, again)
	_, err = replaceSection(document, "y", "new")
	require.Error(t, err)
}

// What is measured of the ledger is measured of a pipeline that delivers, with it and without.
func TestLedgerIsMeasured(t *testing.T) {
	harness.RequireBackends(t)
	result, err := RunLedger(t.Context(), t.TempDir(), time.Second, 2*time.Second)
	require.NoError(t, err)
	assert.Positive(t, result.Records)
	for _, cpu := range []time.Duration{result.Agent, result.WithoutAgent, result.Consumer, result.Without} {
		assert.Positive(t, cpu)
	}
}
