// Package remotewrite tests the remote_write exporter, in this process, against a real VictoriaMetrics: every data point
// is exported back, or is returned with a reason.
package remotewrite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/components/exporter/remotewriteexporter"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// month is VictoriaMetrics' default retention, which is the exporter's default, too.
const month = 31 * 24 * time.Hour

// startVictoriaMetrics starts one with the limits that it has by default.
func startVictoriaMetrics(t *testing.T) *harness.VictoriaMetrics {
	t.Helper()
	return harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Retention: month})
}

// startExporter starts an exporter with the settings, as shipped but for the pauses between retries.
func startExporter(t *testing.T, baseURL, settings string) exporter.Metrics {
	t.Helper()
	conf := confmap.NewFromStringMap(map[string]any{"endpoint": baseURL + "/api/v1/write"})
	for _, text := range []string{"retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}", settings} {
		var values map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &values))
		require.NoError(t, conf.Merge(confmap.NewFromStringMap(values)))
	}
	factory := remotewriteexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	metrics, err := factory.CreateMetrics(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, metrics.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		// The context of the test has ended by now.
		assert.NoError(t, metrics.Shutdown(context.Background()))
	})
	return metrics
}

func send(t *testing.T, e exporter.Metrics, metrics pmetric.Metrics) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, e.ConsumeMetrics(ctx, metrics))
}

// sendPartly expects a permanent error with the refused data points, and returns them and the error.
func sendPartly(t *testing.T, e exporter.Metrics, metrics pmetric.Metrics) (pmetric.Metrics, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := e.ConsumeMetrics(ctx, metrics)
	require.Error(t, err)
	assert.True(t, consumererror.IsPermanent(err), err)
	var refused consumererror.Metrics
	require.ErrorAs(t, err, &refused)
	return refused.Data(), err
}

// newResource appends a resource with the labels that agents stamp, and returns its metrics.
func newResource(metrics pmetric.Metrics) pmetric.MetricSlice {
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("site_name", "lab")
	resource.Resource().Attributes().PutStr("env", "test")
	return resource.ScopeMetrics().AppendEmpty().Metrics()
}

func timestamp(t time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(t) }

// exported waits until VictoriaMetrics shows at least n samples of the series that match.
func exported(t *testing.T, vm *harness.VictoriaMetrics, match string, n int) []harness.MetricData {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all []harness.MetricData
	err := harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) (err error) {
		if err := vm.Flush(ctx); err != nil {
			return err
		}
		if all, err = vm.Export(ctx, match); err != nil {
			return err
		}
		if got := samples(all); got < n {
			return fmt.Errorf("%d samples of %d", got, n)
		}
		return nil
	})
	require.NoError(t, err, match)
	return all
}

func samples(all []harness.MetricData) int {
	n := 0
	for _, series := range all {
		n += len(series.Values)
	}
	return n
}

// values returns the last value of each series by its labels, as text.
func values(all []harness.MetricData) map[string]float64 {
	byLabels := make(map[string]float64)
	for _, series := range all {
		text := ""
		for _, name := range slices.Sorted(maps.Keys(series.Labels)) {
			text += name + "=" + series.Labels[name] + " "
		}
		byLabels[text] = series.Values[len(series.Values)-1]
	}
	return byLabels
}

// requireNothingDropped holds that VictoriaMetrics dropped no row behind a 204, by all its counters of that.
func requireNothingDropped(t *testing.T, vm *harness.VictoriaMetrics) {
	t.Helper()
	own, err := vm.Metrics(t.Context())
	require.NoError(t, err)
	for _, counter := range []string{"vm_rows_ignored_total", "vm_rows_invalid_total", "vm_protoparser_unmarshal_errors_total"} {
		assert.Zero(t, own.Sum(counter), counter)
	}
	assert.True(t, own.Has("vm_rows_ignored_total"), "the counter of dropped rows has another name")
}
