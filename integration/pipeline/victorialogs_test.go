package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// exporterConfig is OTLP straight into the victorialogs exporter: the answer to a request is what the exporter said.
const exporterConfig = `yaml:{
  receivers: {otlp: {protocols: {http: {endpoint: "${env:OTLP_HTTP_ENDPOINT}", max_request_body_size: 104857600}}}},
  exporters: {victorialogs: {endpoint: "${env:VICTORIALOGS_ENDPOINT}", stream_fields: [site_name, service_name], limits: {max_past: 0s, max_future: 0s}}},
  extensions: {health_check: {endpoint: "${env:HEALTH_ENDPOINT}"}},
  service: {
    extensions: [health_check],
    pipelines: {logs: {receivers: [otlp], exporters: [victorialogs]}},
    telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}}]}}
  }
}`

type exporterTest struct {
	logs       *harness.VictoriaLogs
	breakwater *harness.Breakwater
}

func startExporter(t *testing.T) exporterTest {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	return exporterTest{logs: logs, breakwater: harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "exporter",
		Configs: []string{exporterConfig},
		Env:     map[string]string{"VICTORIALOGS_ENDPOINT": logs.URL()},
	})}
}

// post sends an OTLP request and returns the status.
func (e exporterTest) post(t *testing.T, contentType string, body []byte) int {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.breakwater.OTLPHTTP()+"/v1/logs", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func (e exporterTest) send(t *testing.T, logs plog.Logs) int {
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(t, err)
	return e.post(t, "application/x-protobuf", body)
}

// rows waits for n rows that match the filter.
func (e exporterTest) rows(t *testing.T, filter string, n int) []harness.LogRow {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var rows []harness.LogRow
	err := harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) (err error) {
		if err := e.logs.Flush(ctx); err != nil {
			return err
		}
		rows, err = e.logs.Query(ctx, filter+" | sort by (_time)")
		if err == nil && len(rows) < n {
			err = fmt.Errorf("%d rows of %d", len(rows), n)
		}
		return err
	})
	require.NoError(t, err)
	require.Len(t, rows, n)
	return rows
}

// TestExporterRowsAreWhatWasPromised sends the golden cases of the exporter and queries the rows back: a row is what
// the golden line says, as VictoriaLogs stores it.
func TestExporterRowsAreWhatWasPromised(t *testing.T) {
	cases := filepath.Join(root(t), "components", "exporter", "victorialogsexporter", "testdata")
	inputs, err := filepath.Glob(filepath.Join(cases, "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			e := startExporter(t)
			require.Equal(t, http.StatusOK, e.post(t, "application/json", readYAMLAsJSON(t, input)))

			golden, err := os.ReadFile(filepath.Join(dir, "output.jsonl"))
			require.NoError(t, err)
			lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
			want := make(map[string]map[string]string)
			for _, line := range lines {
				row := storedRow(t, line)
				want[row["_time"]] = row
			}
			require.Len(t, want, len(lines), "the times tell the rows of a case apart")
			for _, got := range e.rows(t, "*", len(lines)) {
				delete(got, "_stream")
				delete(got, "_stream_id")
				assert.Regexp(t, "^[0-9a-f]{32}$", got["delivery_id"])
				delete(got, "delivery_id")
				if got["original_time"] != "" { // the time is that of the sending, there and here
					clamped := clampedRow(t, want)
					assert.NotEqual(t, clamped["_time"], got["_time"])
					clamped["_time"] = got["_time"]
					want[got["_time"]] = clamped
				}
				assert.Equal(t, want[got["_time"]], got)
			}
			requireLogsNotDropped(t, e.logs)
		})
	}
}

// clampedRow returns the row of the golden ones whose time was clamped.
func clampedRow(t *testing.T, rows map[string]map[string]string) map[string]string {
	for _, row := range rows {
		if row["original_time"] != "" {
			return row
		}
	}
	require.Fail(t, "no golden row has an original_time")
	return nil
}

func readYAMLAsJSON(t *testing.T, path string) []byte {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var value any
	require.NoError(t, yaml.Unmarshal(text, &value))
	body, err := json.Marshal(value)
	require.NoError(t, err)
	return body
}

// storedRow is a golden line as VictoriaLogs returns it: every value is its text.
func storedRow(t *testing.T, line string) map[string]string {
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(line), &fields))
	row := make(map[string]string, len(fields))
	for name, raw := range fields {
		row[name] = string(raw)
		if raw[0] == '"' {
			var text string
			require.NoError(t, json.Unmarshal(raw, &text))
			row[name] = text
		}
	}
	if nanos, err := strconv.ParseInt(row["_time"], 10, 64); err == nil {
		row["_time"] = time.Unix(0, nanos).UTC().Format(time.RFC3339Nano)
	}
	return row
}

func oneRecord(seq int, message string) (plog.Logs, pcommon.Map) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", "limits")
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.Timestamp(1732275600000000000 + seq))
	record.Body().SetStr(message)
	return logs, record.Attributes()
}

// TestExporterAtTheLimits goes below, to and over each limit of VictoriaLogs that the exporter knows. Behind each of
// them the server answers 200 and drops the row.
func TestExporterAtTheLimits(t *testing.T) {
	e := startExporter(t)
	all := plog.NewLogs()
	var messages []string
	var attributes [][]string // names, each the name of its value, too
	add := func(message string, names ...string) {
		logs, into := oneRecord(len(messages), message)
		for _, name := range names {
			into.PutStr(name, "value of "+name)
		}
		logs.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
		messages = append(messages, message)
		attributes = append(attributes, names)
	}

	// 256 KiB a line, its newline included.
	const line = `{"_time":"1732275600000000000","_msg":"","service_name":"limits"}` + "\n"
	for _, bytes := range []int{1000, 262_143, 262_144, 262_145, 300_000, 1_000_000, 2_000_000} {
		add(strings.Repeat("x", bytes-len(line)))
	}
	// 1,000 fields a row. The rows have their fields in common: a block of one stream takes 2,000 names in all, which
	// is a limit that the exporter cannot see (README, "Limits").
	for _, fields := range []int{995, 996, 997, 998, 999, 1000, 1001, 2001, 5000} {
		names := make([]string, fields)
		for i := range names {
			names[i] = "field" + strconv.Itoa(i)
		}
		add(fmt.Sprintf("%d fields", fields), names...)
	}
	// 128 bytes a name.
	for _, bytes := range []int{127, 128, 129, 4000} {
		add(fmt.Sprintf("a name of %d bytes", bytes), strings.Repeat("n", bytes))
	}
	// 32 KiB a stream, which loses the row from every query, and 300 levels of nested arrays.
	add("a long stream value")
	last := all.ResourceLogs().At(all.ResourceLogs().Len() - 1).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	last.PutStr("site_name", strings.Repeat("s", 70_000))
	deep := last.PutEmpty("deep")
	for range 1000 {
		deep = deep.SetEmptySlice().AppendEmpty()
	}
	require.Equal(t, http.StatusOK, e.send(t, all))

	rows := e.rows(t, `{service_name="limits"}`, len(messages))
	assert.Equal(t, strings.Repeat("[", 1000)+"null"+strings.Repeat("]", 1000), rows[len(rows)-1]["deep"])
	assert.JSONEq(t, `{"site_name":"`+strings.Repeat("s", 70_000)+`"}`, rows[len(rows)-1]["overflow_fields"])
	for i, row := range rows {
		// Not Equal on messages of megabytes: the difference would fill the screen.
		assert.True(t, messages[i] == row["_msg"], "message %d of %d bytes", i, len(messages[i]))
		var overflow map[string]string
		if row["overflow_fields"] != "" {
			require.NoError(t, json.Unmarshal([]byte(row["overflow_fields"]), &overflow))
		}
		for _, name := range attributes[i] {
			assert.Equal(t, "value of "+name, row[name]+overflow[name], "message %d", i)
		}
		assert.NotContains(t, row, "severity", "the row is the same by both paths")
	}
	requireLogsNotDropped(t, e.logs)
	own, err := e.breakwater.Metrics(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 4, own.Sum("otelcol_exporter_victorialogs_sent_records", "path", "otlp"))
	assert.EqualValues(t, 2, own.Sum("otelcol_exporter_victorialogs_violations", "kind", "field_name_bytes"))
	assert.EqualValues(t, 1, own.Sum("otelcol_exporter_victorialogs_violations", "kind", "stream_bytes"))
}

// TestExporterRejectsWhatCannotBeStored sends a record that no path of VictoriaLogs can store: the caller is told, the
// record is counted, and its neighbours are stored.
func TestExporterRejectsWhatCannotBeStored(t *testing.T) {
	e := startExporter(t)
	all, _ := oneRecord(0, "before")
	huge, _ := oneRecord(1, strings.Repeat("x", 2<<20))
	after, _ := oneRecord(2, "after")
	huge.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
	after.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
	assert.NotEqual(t, http.StatusOK, e.send(t, all))

	rows := e.rows(t, `{service_name="limits"}`, 2)
	assert.Equal(t, "before", rows[0]["_msg"])
	assert.Equal(t, "after", rows[1]["_msg"])
	require.NoError(t, e.breakwater.WaitLog(t.Context(), "`limits::max_row_bytes`"))
	own, err := e.breakwater.Metrics(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, own.Sum("otelcol_exporter_victorialogs_rejected_records", "reason", "row_bytes"))
	requireLogsNotDropped(t, e.logs)
}

// TestExporterTenant holds that the tenant of the configuration is the one that the rows are stored for.
func TestExporterTenant(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	e := exporterTest{logs: logs, breakwater: harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "exporter",
		Configs: []string{exporterConfig, `yaml:exporters::victorialogs::tenant: {account_id: 7, project_id: 9}`, `yaml:exporters::victorialogs::compression: zstd`},
		Env:     map[string]string{"VICTORIALOGS_ENDPOINT": logs.URL()},
	})}
	one, _ := oneRecord(0, "for a tenant")
	require.Equal(t, http.StatusOK, e.send(t, one))
	require.NoError(t, logs.Flush(t.Context()))

	count := func(account, project string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, logs.URL()+"/select/logsql/query?query=*", nil)
		require.NoError(t, err)
		request.Header.Set("AccountID", account)
		request.Header.Set("ProjectID", project)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		require.NoError(t, err)
		return body.String()
	}
	assert.Contains(t, count("7", "9"), "for a tenant")
	assert.Empty(t, count("0", "0"))
}
