package labelpreserveprocessor

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The fuzz tests take arbitrary bytes for OTLP protobuf. Whatever decodes must keep its
// records and leave with its labels in place.

func FuzzLogs(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	for _, dir := range []string{"logs_aliases", "logs_split", "logs_missing", "logs_no_records"} {
		logs, err := golden.ReadLogs("testdata/" + dir + "/input.yaml")
		require.NoError(f, err)
		data, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
		if err != nil {
			return
		}
		before := logs.LogRecordCount()
		logs, err = lp.processLogs(t.Context(), logs)
		require.NoError(t, err)
		require.Equal(t, before, logs.LogRecordCount())
		checkLogs(t, cfg, logs)
	})
}

func FuzzMetrics(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	for _, dir := range []string{"metrics_types", "metrics_split"} {
		metrics, err := golden.ReadMetrics("testdata/" + dir + "/input.yaml")
		require.NoError(f, err)
		data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		metrics, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		if err != nil {
			return
		}
		before := metrics.DataPointCount()
		metrics, err = lp.processMetrics(t.Context(), metrics)
		require.NoError(t, err)
		require.Equal(t, before, metrics.DataPointCount())
		checkMetrics(t, cfg, metrics)
	})
}

func FuzzTraces(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	traces, err := golden.ReadTraces("testdata/traces_split/input.yaml")
	require.NoError(f, err)
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			return
		}
		before := traces.SpanCount()
		traces, err = lp.processTraces(t.Context(), traces)
		require.NoError(t, err)
		require.Equal(t, before, traces.SpanCount())
		checkTraces(t, cfg, traces)
	})
}
