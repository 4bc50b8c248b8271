package labelpreserveprocessor

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the output.yaml of the golden tests")

// goldenConfigs has a configuration of testdata/config.yaml for each directory of golden files.
var goldenConfigs = map[string]string{
	"logs_agent":      "label_preserve/agent",
	"logs_aliases":    "label_preserve/consumer",
	"logs_in_place":   "label_preserve/consumer",
	"logs_missing":    "label_preserve/scope",
	"logs_no_records": "label_preserve/consumer",
	"logs_split":      "label_preserve/consumer",
	"metrics_split":   "label_preserve/consumer",
	"metrics_types":   "label_preserve/consumer",
	"traces_scope":    "label_preserve/scope",
	"traces_split":    "label_preserve/consumer",
}

func TestGolden(t *testing.T) {
	t.Setenv("BREAKWATER_TEST_SITE", "site-a")
	t.Setenv("BREAKWATER_TEST_ENV", "prod")
	t.Setenv("BREAKWATER_TEST_SERVICE", "agent")
	t.Setenv("BREAKWATER_TEST_NAMESPACE", "edge")

	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.Len(t, inputs, len(goldenConfigs), "a directory without a configuration, or the other way round")

	for _, input := range inputs {
		dir := filepath.Dir(input)
		name := filepath.Base(dir)
		output := filepath.Join(dir, "output.yaml")
		t.Run(name, func(t *testing.T) {
			lp := startedProcessor(t, loadConfig(t, goldenConfigs[name]))
			signal, _, _ := strings.Cut(name, "_")
			switch signal {
			case "logs":
				logs, err := golden.ReadLogs(input)
				require.NoError(t, err)
				logs, err = lp.processLogs(t.Context(), logs)
				require.NoError(t, err)
				data, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
				writeGolden(t, output, data, err)
				want, err := golden.ReadLogs(output)
				require.NoError(t, err)
				require.NoError(t, plogtest.CompareLogs(want, logs))
			case "metrics":
				metrics, err := golden.ReadMetrics(input)
				require.NoError(t, err)
				metrics, err = lp.processMetrics(t.Context(), metrics)
				require.NoError(t, err)
				data, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics)
				writeGolden(t, output, data, err)
				want, err := golden.ReadMetrics(output)
				require.NoError(t, err)
				require.NoError(t, pmetrictest.CompareMetrics(want, metrics))
			case "traces":
				traces, err := golden.ReadTraces(input)
				require.NoError(t, err)
				traces, err = lp.processTraces(t.Context(), traces)
				require.NoError(t, err)
				data, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
				writeGolden(t, output, data, err)
				want, err := golden.ReadTraces(output)
				require.NoError(t, err)
				require.NoError(t, ptracetest.CompareTraces(want, traces))
			}
		})
	}
}

// writeGolden writes data, which is JSON, as YAML when -update is set. The writers of the
// golden package sort metrics, and the order of what a split makes is part of the promise.
func writeGolden(t *testing.T, path string, data []byte, err error) {
	require.NoError(t, err)
	if !*update {
		return
	}
	var tree map[string]any
	require.NoError(t, json.Unmarshal(data, &tree))
	var out strings.Builder
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	require.NoError(t, enc.Encode(tree))
	require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
}
