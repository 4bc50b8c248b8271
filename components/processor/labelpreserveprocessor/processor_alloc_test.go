//go:build !race

// The race detector makes sync.Pool drop values at random.

package labelpreserveprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pipeline"
)

func TestNoAllocationWhenInPlace(t *testing.T) {
	for _, config := range []string{"preset: article", "preset: article\noutput_form: {logs: dotted, metrics: dotted}"} {
		lp := startedFor(t, pipeline.SignalLogs, config)
		// The first time the labels are put into the form.
		logs, err := lp.processLogs(t.Context(), articleLogs(true))
		require.NoError(t, err)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			_, err := lp.processLogs(t.Context(), logs)
			require.NoError(t, err)
		}), config)

		lp = startedFor(t, pipeline.SignalMetrics, config)
		metrics, err := lp.processMetrics(t.Context(), articleMetrics(true))
		require.NoError(t, err)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			_, err := lp.processMetrics(t.Context(), metrics)
			require.NoError(t, err)
		}), config)
	}
}

// allocations returns how many allocations a run of process on a fresh copy takes.
func allocations[D any](t *testing.T, fresh func() D, process func(D) error) float64 {
	const runs = 20
	batches := make([]D, runs+1) // one more: AllocsPerRun runs once before it counts
	for i := range batches {
		batches[i] = fresh()
	}
	next := 0
	return testing.AllocsPerRun(runs, func() {
		require.NoError(t, process(batches[next]))
		next++
	})
}

// All six labels that a record lacks cost it the one allocation that its attributes grow by.
func TestOneAllocationWhenWritten(t *testing.T) {
	const few = benchRecords / 2
	lp := startedFor(t, pipeline.SignalLogs, "preset: article")
	process := func(logs plog.Logs) error { _, err := lp.processLogs(t.Context(), logs); return err }
	all := allocations(t, func() plog.Logs { return articleLogs(false) }, process)
	half := allocations(t, func() plog.Logs {
		logs, n := articleLogs(false), 0
		logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(func(plog.LogRecord) bool { n++; return n > few })
		return logs
	}, process)
	assert.LessOrEqual(t, (all-half)/(benchRecords-few), 1.0, "%v allocations in %d log records, %v in %d", all, benchRecords, half, few)
	assert.LessOrEqual(t, half-few, 30.0, "of the batch")

	mp := startedFor(t, pipeline.SignalMetrics, "preset: article")
	processMetrics := func(metrics pmetric.Metrics) error { _, err := mp.processMetrics(t.Context(), metrics); return err }
	all = allocations(t, func() pmetric.Metrics { return articleMetrics(false) }, processMetrics)
	half = allocations(t, func() pmetric.Metrics {
		metrics, n := articleMetrics(false), 0
		points := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints()
		points.RemoveIf(func(pmetric.NumberDataPoint) bool { n++; return n > few })
		return metrics
	}, processMetrics)
	assert.LessOrEqual(t, (all-half)/(benchRecords-few), 1.0, "%v allocations in %d data points, %v in %d", all, benchRecords, half, few)
	assert.LessOrEqual(t, half-few, 30.0, "of the batch")
}
