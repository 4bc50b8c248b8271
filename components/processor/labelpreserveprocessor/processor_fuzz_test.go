package labelpreserveprocessor

import (
	"context"
	"errors"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

// The fuzz tests take arbitrary bytes for OTLP protobuf. Whatever decodes must keep its
// records and leave with its labels in place.

// fuzzConfig has the features that move, mark, cut or return records.
const fuzzConfig = `
preset: article
labels:
  - {name: service_name, on_missing: reject}
  - {name: zone, on_missing: mark, write_to: [record]}
keep_conflicts: true
precedence: [resource, record, scope]
output_form: {logs: both, metrics: dotted, traces: dotted}
write_to: {traces: [resource, record, event, link]}
limits: {max_labels: 20, max_name_bytes: 24, max_value_bytes: 30, max_log_key_bytes: 24}
provenance: {enabled: true}
`

func FuzzLogs(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	all := startedFor(f, pipeline.SignalLogs, fuzzConfig)
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
		again := plog.NewLogs()
		logs.CopyTo(again)
		before := logs.LogRecordCount()
		logs, err = lp.processLogs(t.Context(), logs)
		require.NoError(t, err)
		require.Equal(t, before, logs.LogRecordCount())
		checkLogs(t, cfg, logs)

		refused := new(refusal[plog.Logs])
		again, err = all.processLogs(context.WithValue(t.Context(), refusalKey[plog.Logs]{}, refused), again)
		if !errors.Is(err, processorhelper.ErrSkipProcessingData) {
			require.NoError(t, err)
		}
		rejects := 0
		if refused.records > 0 {
			rejects = refused.data.LogRecordCount()
		}
		require.Equal(t, refused.records, rejects)
		require.Equal(t, before, again.LogRecordCount()+rejects)
	})
}

func FuzzMetrics(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	all := startedFor(f, pipeline.SignalMetrics, fuzzConfig)
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
		again := pmetric.NewMetrics()
		metrics.CopyTo(again)
		before := metrics.DataPointCount()
		metrics, err = lp.processMetrics(t.Context(), metrics)
		require.NoError(t, err)
		require.Equal(t, before, metrics.DataPointCount())
		checkMetrics(t, cfg, metrics)

		refused := new(refusal[pmetric.Metrics])
		again, err = all.processMetrics(context.WithValue(t.Context(), refusalKey[pmetric.Metrics]{}, refused), again)
		if !errors.Is(err, processorhelper.ErrSkipProcessingData) {
			require.NoError(t, err)
		}
		rejects := 0
		if refused.records > 0 {
			rejects = refused.data.DataPointCount()
		}
		require.Equal(t, refused.records, rejects)
		require.Equal(t, before, again.DataPointCount()+rejects)
		requireBudget(t, again)
	})
}

func FuzzTraces(f *testing.F) {
	cfg := loadConfig(f, "label_preserve/consumer")
	lp := startedProcessor(f, cfg)
	all := startedFor(f, pipeline.SignalTraces, fuzzConfig)
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
		again := ptrace.NewTraces()
		traces.CopyTo(again)
		before := traces.SpanCount()
		traces, err = lp.processTraces(t.Context(), traces)
		require.NoError(t, err)
		require.Equal(t, before, traces.SpanCount())
		checkTraces(t, cfg, traces)

		refused := new(refusal[ptrace.Traces])
		again, err = all.processTraces(context.WithValue(t.Context(), refusalKey[ptrace.Traces]{}, refused), again)
		if !errors.Is(err, processorhelper.ErrSkipProcessingData) {
			require.NoError(t, err)
		}
		rejects := 0
		if refused.records > 0 {
			rejects = refused.data.SpanCount()
		}
		require.Equal(t, refused.records, rejects)
		require.Equal(t, before, again.SpanCount()+rejects)
	})
}

// requireBudget holds that no series has more labels than fuzzConfig allows, names that remote
// write makes the same counted once.
func requireBudget(t *testing.T, metrics pmetric.Metrics) {
	t.Helper()
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, point := range pointsOf(m) {
					labels := map[string]struct{}{"__name__": {}}
					for _, attrs := range []pcommon.Map{rm.Resource().Attributes(), point} {
						for k := range attrs.All() {
							labels[underscored(k)] = struct{}{}
						}
					}
					require.LessOrEqual(t, len(labels), 20, "%v", labels)
				}
			}
		}
	}
}
