package victorialogsexporter

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testConfig() *Config {
	config := createDefaultConfig().(*Config)
	config.Endpoint = "http://127.0.0.1:9428"
	config.StreamFields = []string{"site_name", "service_name"}
	return config
}

func encode(config *Config, logs plog.Logs) *encoder {
	e := getEncoder(config)
	e.appendLogs(logs)
	return e
}

func TestEncodeGolden(t *testing.T) {
	tests := map[string]encodeStats{
		"labels":     {},
		"body_kinds": {},
		// level in record, body, scope and resource; severity_text; a.b. The second record: level in scope, resource.
		"precedence": {duplicateFields: 5},
		"hostile":    {longNames: 1},
	}
	for name, stats := range tests {
		t.Run(name, func(t *testing.T) {
			logs, err := golden.ReadLogs(filepath.Join("testdata", name, "input.yaml"))
			require.NoError(t, err)
			before := marshal(t, logs)

			e := encode(testConfig(), logs)
			defer putEncoder(e)

			path := filepath.Join("testdata", name, "output.jsonl")
			if *update {
				require.NoError(t, os.WriteFile(path, e.body, 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(e.body))
			assert.Equal(t, stats, e.stats)
			assert.Equal(t, before, marshal(t, logs), "the encoder must not touch shared pdata")
			for _, line := range lines(e.body) {
				assert.True(t, json.Valid(line), "%s", line)
			}
		})
	}
}

func marshal(t *testing.T, logs plog.Logs) string {
	var marshaler plog.ProtoMarshaler
	request, err := marshaler.MarshalLogs(logs)
	require.NoError(t, err)
	return string(request)
}

func lines(body []byte) [][]byte {
	if len(body) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
}

func TestStringRoundTrip(t *testing.T) {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	for _, s := range []string{"", "plain", string(everyByte[:0x80]), "é漢😀", strings.Repeat("\x00", 1000)} {
		var decoded string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &decoded))
		assert.Equal(t, s, decoded)
	}
	// Bytes that are not UTF-8 are in the line as they are.
	assert.Equal(t, "\"\x80\xff\xed\xa0\x80\"", string(appendString(nil, "\x80\xff\xed\xa0\x80")))
}

func TestValueIsWhatAsStringSays(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 1e20, 1e21, 1e-6, 1e-7, 123456.789, 5e-324, 1.7976931348623157e308} {
		value := pcommon.NewValueDouble(f)
		assert.Equal(t, value.AsString(), string(appendValue(nil, value)))
	}
}

func record(attributes int, body string) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("site_name", "s1")
	resource.Resource().Attributes().PutStr("other", "r")
	r := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1732275600, 1)))
	r.Body().SetStr(body)
	for i := range attributes {
		r.Attributes().PutStr("attribute"+strconv.Itoa(i), strconv.Itoa(i))
	}
	return logs
}

func TestTooManyFields(t *testing.T) {
	const attributes = 1500
	config := testConfig()
	e := encode(config, record(attributes, "m"))
	defer putEncoder(e)

	var row map[string]string
	require.NoError(t, json.Unmarshal(e.body, &row))
	assert.LessOrEqual(t, len(row), config.Limits.MaxFields)
	assert.Equal(t, "s1", row["site_name"], "a stream field has its place kept")
	var overflow map[string]string
	require.NoError(t, json.Unmarshal([]byte(row[overflowField]), &overflow))
	delete(row, overflowField)
	assert.Equal(t, attributes+4, len(row)+len(overflow), "attributes, two of the resource, _time and _msg")
	assert.Equal(t, len(overflow), e.stats.surplusFields)
	for i := range attributes {
		name := "attribute" + strconv.Itoa(i)
		assert.Equal(t, strconv.Itoa(i), row[name]+overflow[name])
	}
}

func TestLineLimit(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes = 2000
	config.Limits.MaxRowBytes = 4000
	short := encode(config, record(1, "m"))
	overhead := len(short.body) - 1
	putEncoder(short)

	tests := []struct {
		message                    int
		lines, oversized, rejected int
	}{
		{message: 2000 - overhead, lines: 1},
		{message: 2001 - overhead, oversized: 1},
		{message: 3500, oversized: 1},
		{message: 4000, rejected: 1},
	}
	for _, test := range tests {
		t.Run(strconv.Itoa(test.message), func(t *testing.T) {
			logs := record(1, strings.Repeat("x", test.message))
			record(1, "neighbour").ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
			e := encode(config, logs)
			defer putEncoder(e)
			assert.Len(t, lines(e.body), test.lines+1, "the neighbour is there in any case")
			assert.Len(t, e.oversized, test.oversized)
			assert.Len(t, e.rejected, test.rejected)
		})
	}
}

func TestOversizedRecordKeepsItsRow(t *testing.T) {
	logs, err := golden.ReadLogs(filepath.Join("testdata", "hostile", "input.yaml"))
	require.NoError(t, err)
	config := testConfig()
	whole := encode(config, logs)
	defer putEncoder(whole)
	var row map[string]any
	require.NoError(t, json.Unmarshal(lines(whole.body)[0], &row))

	resource := logs.ResourceLogs().At(0)
	scope := resource.ScopeLogs().At(0)
	e := getEncoder(config)
	defer putEncoder(e)
	otlp := e.otlpLogs(recordRef{resource: resource, scope: scope, record: scope.LogRecords().At(0)})
	got := otlp.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)

	assert.Equal(t, row["_msg"], got.Body().Str())
	assert.Equal(t, pcommon.Timestamp(1), got.Timestamp())
	attributes := got.Attributes().AsRaw()
	delete(row, "_msg")
	delete(row, "_time")
	assert.Equal(t, row, attributes)
	assert.Equal(t, encodeStats{}, e.stats, "not counted a second time")
}

func TestDeepArrayIsText(t *testing.T) {
	logs := record(0, "m")
	value := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmpty("deep")
	for range 1000 {
		value = value.SetEmptySlice().AppendEmpty()
	}
	value.SetStr("\"x\"")
	e := encode(testConfig(), logs)
	defer putEncoder(e)
	var row map[string]string
	require.NoError(t, json.Unmarshal(e.body, &row))
	assert.Equal(t, strings.Repeat("[", 1000)+`"\"x\""`+strings.Repeat("]", 1000), row["deep"])
}

func TestLongStreamValuesMoveIntoTheOverflow(t *testing.T) {
	config := testConfig()
	long := strings.Repeat("s", maxStreamBytes/2+1)
	logs := record(0, "m")
	attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	attributes.PutStr("service_name", long)
	attributes.PutStr("site_name", long)
	attributes.PutStr("no_stream_field", long)
	e := encode(config, logs)
	defer putEncoder(e)
	var row map[string]string
	require.NoError(t, json.Unmarshal(e.body, &row))
	assert.Equal(t, long, row["service_name"])
	assert.Equal(t, long, row["no_stream_field"])
	assert.NotContains(t, row, "site_name")
	assert.JSONEq(t, `{"site_name":"`+long+`"}`, row[overflowField])
	assert.Equal(t, 1, e.stats.longStreams)
	assert.Equal(t, 1, e.stats.duplicateFields, "the resource's site_name")
}

func TestEmptyBytesAreNoMessage(t *testing.T) {
	logs := record(0, "")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetEmptyBytes()
	e := encode(testConfig(), logs)
	defer putEncoder(e)
	assert.Contains(t, string(e.body), `"_msg":"-"`)
}

func TestTime(t *testing.T) {
	observed := testConfig()
	observed.TimeSource = TimeFromObservedTimestamp
	r := plog.NewLogRecord()
	e := getEncoder(testConfig())
	defer putEncoder(e)

	before := time.Now().UnixNano()
	assert.GreaterOrEqual(t, e.timeOf(r), before, "a record without any time is as old as now")
	r.SetObservedTimestamp(2000)
	assert.EqualValues(t, 2000, e.timeOf(r))
	r.SetTimestamp(1000)
	assert.EqualValues(t, 1000, e.timeOf(r))
	e.config = observed
	assert.EqualValues(t, 2000, e.timeOf(r))

	assert.Equal(t, "1970-01-01T00:00:00.000001Z", string(appendTime(nil, 1000)), "an integer would be read as seconds")
	assert.Equal(t, "1732275600123456789", string(appendTime(nil, 1732275600123456789)))
	assert.Equal(t, fmt.Sprint(int64(minUnixNano)), string(appendTime(nil, minUnixNano)))
}

// benchLogs makes records of 11 fields and about 480 bytes a row.
func benchLogs(records int) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	for _, name := range []string{"site_name", "env", "host_name", "service_name", "service_namespace", "job"} {
		resource.Resource().Attributes().PutStr(name, "value-of-"+name)
	}
	scope := resource.ScopeLogs().AppendEmpty()
	for i := range records {
		r := scope.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.Timestamp(1732275600000000000 + i))
		r.Body().SetStr(fmt.Sprintf(`2026-01-02T03:04:05.678Z INFO request %d done method="GET" path=/api/v1/items/%d status=200 bytes=5120`, i, i))
		r.Attributes().PutStr("log.file.name", "app.log")
		r.Attributes().PutStr("log.file.path", "/var/log/app/app.log")
		r.Attributes().PutInt("line", int64(i))
	}
	return logs
}

func BenchmarkEncode(b *testing.B) {
	const records = 2000
	logs := benchLogs(records)
	config := testConfig()
	b.Run("victorialogs", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := encode(config, logs)
			b.SetBytes(int64(len(e.body)))
			putEncoder(e)
		}
		b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("otlp", func(b *testing.B) {
		b.ReportAllocs()
		var marshaler plog.ProtoMarshaler
		for b.Loop() {
			body, err := marshaler.MarshalLogs(logs)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
		}
		b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
	})
}
