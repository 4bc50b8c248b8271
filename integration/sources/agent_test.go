package sources

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const otlpRecords = 500

// testAgent is about what agent.yaml reads without a block: files, OTLP and this machine.
func testAgent(t *testing.T, s *site) {
	dir := t.TempDir()
	var lines strings.Builder
	var want []row
	for i := range 500 {
		message := fmt.Sprintf("line %d of a file", i)
		want = append(want, row{message: message})
		fmt.Fprintln(&lines, message)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.log"), []byte(lines.String()), 0o600))
	agent := s.agent(t, map[string]string{"HOST_NAME": hostName, "LOG_INCLUDE": filepath.Join(dir, "*.log")})

	logs, metrics := plog.NewLogs(), pmetric.NewMetrics()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	now := time.Now()
	for i := range otlpRecords {
		message := fmt.Sprintf("record %d by OTLP", i)
		want = append(want, row{message: message})
		r := records.AppendEmpty()
		r.Body().SetStr(message)
		r.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(i) * time.Microsecond)))
	}
	gauge := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	gauge.SetName("shop_orders")
	point := gauge.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(now))
	point.SetIntValue(42)
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(t, err)
	post(t, agent, "/v1/logs", body)
	body, err = pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto()
	require.NoError(t, err)
	post(t, agent, "/v1/metrics", body)

	rows := s.requireRows(t, want)
	requireFields(t, rowOf(t, rows, "record 0 by OTLP"), map[string]string{"service_name": "shop", "host_name": hostName, "env": "test"})
	requireFields(t, rowOf(t, rows, "line 0 of a file"), map[string]string{"log.file.name": "app.log", "host_name": hostName})
	require.Len(t, s.series(t, "shop_orders"), 1)
	for _, r := range s.series(t, "system_memory_usage_bytes") {
		require.Equal(t, hostName, r.Labels["host_name"])
	}
}

func post(t *testing.T, agent *harness.Breakwater, path string, body []byte) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, agent.OTLPHTTP()+path, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := agent.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(text))
}
