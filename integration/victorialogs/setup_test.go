// Package victorialogs tests the victorialogs exporter, in this process, against a real VictoriaLogs: every record is
// a row that is queried back, or is returned with a reason.
package victorialogs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// baseSettings keep tests short: the pauses between retries are, and everything else is as shipped.
const baseSettings = `
stream_fields: [service_name, case]
retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}
`

// instance is a running exporter.
type instance struct {
	exporter.Logs
	telemetry *componenttest.Telemetry
}

// startExporter starts an exporter with the settings, YAML over baseSettings, and shuts it down with the test.
func startExporter(t *testing.T, endpoint, settings string) *instance {
	return startExporterOn(t, componenttest.NewNopHost(), endpoint, settings)
}

func startExporterOn(t *testing.T, host component.Host, endpoint, settings string) *instance {
	t.Helper()
	conf := confmap.NewFromStringMap(map[string]any{"endpoint": endpoint})
	for _, text := range []string{baseSettings, settings} {
		var values map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &values))
		require.NoError(t, conf.Merge(confmap.NewFromStringMap(values)))
	}
	factory := victorialogsexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))

	telemetry := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(factory.Type())
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	logs, err := factory.CreateLogs(t.Context(), set, config)
	require.NoError(t, err)
	require.NoError(t, logs.Start(t.Context(), host))
	t.Cleanup(func() {
		// The context of the test has ended by now.
		assert.NoError(t, logs.Shutdown(context.Background()))
		assert.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return &instance{Logs: logs, telemetry: telemetry}
}

// send expects that every record is delivered.
func (i *instance) send(t *testing.T, logs plog.Logs) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, i.ConsumeLogs(ctx, logs))
}

// sendRedelivered is send for a request that may have been delivered before, by the metadata of our Kafka receiver. The
// last possible delivery is so long ago that rows that do not show are not there.
func (i *instance) sendRedelivered(t *testing.T, logs plog.Logs) {
	t.Helper()
	ctx, cancel := context.WithTimeout(redelivered(t.Context(), unixMilli(time.Now().Add(-time.Minute))), time.Minute)
	defer cancel()
	require.NoError(t, i.ConsumeLogs(ctx, logs))
}

// redelivered says that the request may have been delivered before: last is the time of the last possible delivery, or
// `true` where that is not known.
func redelivered(ctx context.Context, last string) context.Context {
	return client.NewContext(ctx, client.Info{
		Metadata: client.NewMetadata(map[string][]string{"breakwater.redelivered": {last}}),
	})
}

func unixMilli(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// sendPartly expects a permanent error that names the rejected records, and returns them and the error.
func (i *instance) sendPartly(t *testing.T, logs plog.Logs) (plog.Logs, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := i.ConsumeLogs(ctx, logs)
	require.Error(t, err)
	assert.True(t, consumererror.IsPermanent(err), err)
	var rejected consumererror.Logs
	require.ErrorAs(t, err, &rejected)
	return rejected.Data(), err
}

// metric returns the sum over the data points of a counter or gauge that bear the attributes, written as pairs.
func (i *instance) metric(t *testing.T, name string, pairs ...string) int64 {
	t.Helper()
	var sum int64
	var data metricdata.ResourceMetrics
	require.NoError(t, i.telemetry.Reader.Collect(t.Context(), &data))
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "otelcol_exporter_victorialogs_"+name {
				continue
			}
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			}
			for _, point := range points {
				matches := true
				for p := 0; p+1 < len(pairs); p += 2 {
					value, ok := point.Attributes.Value(attribute.Key(pairs[p]))
					matches = matches && ok && value.AsString() == pairs[p+1]
				}
				if matches {
					sum += point.Value
				}
			}
		}
	}
	return sum
}

// queryRows waits until at least n rows match the filter, which must not be more than that, or than atMost.
func queryRows(t *testing.T, logs *harness.VictoriaLogs, filter string, n int, atMost ...int) []harness.LogRow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var rows []harness.LogRow
	err := harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) (err error) {
		if err := logs.Flush(ctx); err != nil {
			return err
		}
		rows, err = logs.Query(ctx, filter)
		if err == nil && len(rows) < n {
			err = fmt.Errorf("%d rows of %d", len(rows), n)
		}
		return err
	})
	require.NoError(t, err, filter)
	require.LessOrEqual(t, len(rows), slices.Max(append(atMost, n)), filter)
	return rows
}

// eventually polls until the check passes, and fails the test when it does not.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 20*time.Millisecond, func(context.Context) error { return check() }))
}

// rowsByCase returns the rows by their field `case`, of which there must be one each.
func rowsByCase(t *testing.T, rows []harness.LogRow) map[string]harness.LogRow {
	t.Helper()
	byCase := make(map[string]harness.LogRow, len(rows))
	for _, row := range rows {
		name := row["case"]
		require.NotEmpty(t, name, "a row without its stream field")
		require.NotContains(t, byCase, name, "two rows of one record")
		byCase[name] = row
	}
	return byCase
}

// silentDrops are how VictoriaLogs says in its log, and only there, that it drops rows or parts of its index.
var silentDrops = regexp.MustCompile(`(?i)(ignoring|skipping|dropping|too long|cannot (read|parse|decode|process|unmarshal)|panic)[^\n]{0,300}`)

// requireNothingDropped holds that VictoriaLogs dropped nothing behind a 200: by its counters, which do not know all
// of it, and by its log.
func requireNothingDropped(t *testing.T, logs *harness.VictoriaLogs) {
	t.Helper()
	requireCountersZero(t, logs, "vl_rows_dropped_total", "vl_too_long_lines_skipped_total", "vl_http_errors_total")
	assert.Empty(t, silentDrops.FindAllString(logs.Log(), 5), "log of VictoriaLogs")
}

func requireCountersZero(t *testing.T, logs *harness.VictoriaLogs, counters ...string) {
	t.Helper()
	own, err := logs.Metrics(t.Context())
	require.NoError(t, err)
	for _, counter := range counters {
		assert.True(t, own.Has(counter), counter)
		assert.Zero(t, own.Sum(counter), counter)
	}
}

// newRecord appends a record in a resource of its own, so that records of one request have nothing in common.
func newRecord(logs plog.Logs, name string) plog.LogRecord {
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", "test")
	resource.Resource().Attributes().PutStr("case", name)
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.Body().SetStr("message of " + name)
	return record
}

// casesOf returns the `case` of each record, sorted.
func casesOf(logs plog.Logs) []string {
	var names []string
	for _, resource := range logs.ResourceLogs().All() {
		name, _ := resource.Resource().Attributes().Get("case")
		for _, scope := range resource.ScopeLogs().All() {
			for range scope.LogRecords().Len() {
				names = append(names, name.Str())
			}
		}
	}
	slices.Sort(names)
	return names
}

// overflowOf returns the members of the field overflow_fields, values as VictoriaLogs would store their text.
func overflowOf(t *testing.T, row harness.LogRow) map[string]string {
	t.Helper()
	return jsonObject(t, row["overflow_fields"])
}

// jsonObject reads an object of one level without touching bytes that are not UTF-8, as encoding/json would.
func jsonObject(t *testing.T, text string) map[string]string {
	t.Helper()
	members := make(map[string]string)
	if text == "" {
		return members
	}
	value, err := fastjson.Parse(text)
	if err != nil && strings.Contains(err.Error(), "too big depth") {
		// Over 300 deep, which encoding/json takes.
		var deep map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &deep))
		for name, raw := range deep {
			members[name] = string(raw)
			if raw[0] == '"' {
				members[name] = string(fastjson.MustParseBytes(raw).GetStringBytes())
			}
		}
		return members
	}
	require.NoError(t, err)
	object, err := value.Object()
	require.NoError(t, err)
	object.Visit(func(key []byte, v *fastjson.Value) {
		if v.Type() == fastjson.TypeString {
			members[string(key)] = string(v.GetStringBytes())
			return
		}
		members[string(key)] = string(v.MarshalTo(nil))
	})
	return members
}

// recordingProxy passes everything on and remembers it.
func recordingProxy(t *testing.T, logs *harness.VictoriaLogs) *harness.FaultProxy {
	t.Helper()
	return harness.StartFaultProxy(t, harness.FaultProxyOptions{
		Target: logs.URL(), Record: true,
		Choose: func(*http.Request) harness.Fault { return harness.FaultNone },
	})
}

const (
	jsonLinePath = "/insert/jsonline"
	otlpPath     = "/insert/opentelemetry/v1/logs"
	queryPath    = "/select/logsql/"
)

// sameText compares texts of megabytes without filling the screen with the difference.
func sameText(t *testing.T, want, got, what string) bool {
	t.Helper()
	if want == got {
		return true
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	short := func(s string) string { return fmt.Sprintf("%q", s[max(0, at-10):min(len(s), at+30)]) }
	t.Errorf("%s: %d bytes instead of %d, from byte %d on %s instead of %s", what, len(got), len(want), at, short(got), short(want))
	return false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func timeOf(t *testing.T, row harness.LogRow, field string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, row[field])
	require.NoError(t, err, field)
	return parsed
}

func repeat(text string, bytes int) string {
	return strings.Repeat(text, bytes/len(text)+1)[:bytes]
}
