package victorialogsexporter

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testConfig is for records of any age.
func testConfig() *Config {
	config := createDefaultConfig().(*Config)
	config.Endpoint = "http://127.0.0.1:9428"
	config.StreamFields = []string{"site_name", "service_name"}
	config.Limits.MaxPast, config.Limits.MaxFuture = 0, 0
	return config
}

var testNow = time.Unix(1732275600, 42)

// encoded is what an encoder makes of a request, all batches together.
type encoded struct {
	body, over  []byte
	rejected    []rejection
	stats       encodeStats
	batches     []batch // without their lines
	streams     []string
	addresses   []contentAddress
	fromTheFast int
}

func encodeWith(e *encoder, logs plog.Logs) *encoded {
	result := &encoded{}
	e.reset(testNow)
	hits := e.shapeHit
	e.encode(logs, 0, logs.LogRecordCount(), func(b *batch) {
		result.body = append(result.body, b.lines.data...)
		result.over = append(result.over, b.over.data...)
		result.streams = append(result.streams, b.streamFields(e.namer.rules))
		result.addresses = append(result.addresses, b.contentAddress())
		result.batches = append(result.batches, batch{tenant: b.tenant, from: b.from, to: b.to, records: b.records})
	})
	result.rejected, result.stats, result.fromTheFast = slices.Clone(e.rejected), e.stats, e.shapeHit-hits
	e.release()
	return result
}

func encode(config *Config, logs plog.Logs) *encoded {
	return encodeWith(newEncoder(config, newNameRules(config)), logs)
}

// rows returns the lines as maps of texts, which no line of two members of one name becomes.
func rows(t require.TestingT, body []byte) []map[string]string {
	var all []map[string]string
	for _, line := range lines(body) {
		var parser fastjson.Parser
		row, err := parseRow(&parser, line)
		require.NoError(t, err, "%s", line)
		texts := map[string]string{"_time": strconv.FormatInt(row.time, 10)}
		for _, f := range row.fields {
			require.NotContains(t, texts, f.name)
			texts[f.name] = f.text
		}
		all = append(all, texts)
	}
	return all
}

func TestEncodeGolden(t *testing.T) {
	tests := map[string]encodeStats{
		"labels":     {},
		"body_kinds": {},
		// level in record, body, scope and resource; severity_text; a.b. The second record: level in scope, resource.
		"precedence": {duplicateFields: 5},
		"hostile":    {violations: map[violation]int{{kindFieldNameBytes, ActionStringify}: 1, {kindFuture, ActionClamp}: 1}},
	}
	for name, stats := range tests {
		t.Run(name, func(t *testing.T) {
			logs, err := golden.ReadLogs(filepath.Join("testdata", name, "input.yaml"))
			require.NoError(t, err)
			before := marshal(t, logs)

			e := encode(testConfig(), logs)

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

	row := rows(t, e.body)[0]
	assert.Len(t, row, config.Limits.MaxFields-1, "and the delivery id")
	assert.Equal(t, "s1", row["site_name"], "a stream field has its place kept")
	overflow := object2map(t, row[overflowField])
	delete(row, overflowField)
	assert.Equal(t, attributes+4, len(row)+len(overflow), "attributes, two of the resource, _time and _msg")
	assert.Equal(t, map[violation]int{{kindFieldCount, ActionStringify}: len(overflow)}, e.stats.violations)
	for i := range attributes {
		name := "attribute" + strconv.Itoa(i)
		assert.Equal(t, strconv.Itoa(i), row[name]+overflow[name])
	}
}

func object2map(t require.TestingT, text string) map[string]string {
	var object map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &object))
	return object
}

// TestFieldLimit holds that nothing happens at the limit: _time, _msg, the delivery id, two fields of the resource
// and the attributes.
func TestFieldLimit(t *testing.T) {
	config := testConfig()
	config.Limits.MaxFields = 20
	for attributes, fields := range map[int]int{14: 18, 15: 19, 16: 19, 17: 19} {
		row := rows(t, encode(config, record(attributes, "m")).body)[0]
		assert.Len(t, row, fields)
		assert.Equal(t, attributes > 15, row[overflowField] != "", "%d attributes", attributes)
	}
	config.OnViolation.FieldCount = ActionReject
	assert.Empty(t, encode(config, record(15, "m")).rejected)
	assert.Equal(t, []rejection{{0, kindFieldCount}}, encode(config, record(16, "m")).rejected)
}

func TestLineLimit(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes = 2048
	config.Limits.MaxRowBytes = 4096
	overhead := len(encode(config, record(1, "m")).body) - 1

	tests := []struct {
		message                    int
		lines, oversized, rejected int
	}{
		{message: 2048 - overhead, lines: 1},
		{message: 2049 - overhead, oversized: 1},
		{message: 3500, oversized: 1},
		{message: 4096, rejected: 1},
	}
	for _, test := range tests {
		t.Run(strconv.Itoa(test.message), func(t *testing.T) {
			logs := record(1, strings.Repeat("x", test.message))
			record(1, "neighbour").ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
			e := encode(config, logs)
			assert.Len(t, lines(e.body), test.lines+1, "the neighbour is there in any case")
			assert.Len(t, lines(e.over), test.oversized)
			assert.Len(t, e.rejected, test.rejected)
		})
	}
}

func TestOversizedRecordKeepsItsRow(t *testing.T) {
	logs, err := golden.ReadLogs(filepath.Join("testdata", "hostile", "input.yaml"))
	require.NoError(t, err)
	line := lines(encode(testConfig(), logs).body)[0]
	row := rows(t, append(line, '\n'))[0]

	otlp, err := otlpOf(line)
	require.NoError(t, err)
	got := otlp.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, row["_msg"], got.Body().Str())
	assert.Equal(t, pcommon.Timestamp(1), got.Timestamp())
	delete(row, "_msg")
	delete(row, "_time")
	want := make(map[string]any)
	for name, text := range row {
		want[name] = text
	}
	assert.Equal(t, want, got.Attributes().AsRaw())
}

func TestTruncateLine(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes = 2048
	config.OnViolation.LineBytes = ActionTruncate
	message := strings.Repeat("\"é漢😀\x01", 400)
	e := encode(config, record(1, message))
	require.Len(t, lines(e.body), 1)
	assert.LessOrEqual(t, len(e.body), 2048)
	row := rows(t, e.body)[0]
	assert.Truef(t, strings.HasPrefix(message, row["_msg"]), "%q", row["_msg"])
	assert.True(t, utf8.ValidString(row["_msg"]), "no rune is cut")
	assert.Greater(t, len(row["_msg"]), 500, "no more is cut than has to be")
	assert.JSONEq(t, `{"_msg":`+strconv.Itoa(len(message))+`}`, row[truncatedField])
	assert.Equal(t, map[violation]int{{kindLineBytes, ActionTruncate}: 1}, e.stats.violations)

	t.Run("longest field", func(t *testing.T) {
		logs := record(1, "short")
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("long", strings.Repeat("l", 3000))
		row := rows(t, encode(config, logs).body)[0]
		assert.Equal(t, "short", row["_msg"])
		assert.JSONEq(t, `{"long":3000}`, row[truncatedField])
		assert.Greater(t, len(row["long"]), 1000)
	})
	t.Run("many long fields", func(t *testing.T) {
		logs := record(0, "short")
		for i := range 5 {
			logs.ResourceLogs().At(0).Resource().Attributes().PutStr("long"+strconv.Itoa(i), strings.Repeat("l", 3000))
		}
		e := encode(config, logs)
		assert.LessOrEqual(t, len(e.body), 2048)
		assert.Equal(t, "s1", rows(t, e.body)[0]["site_name"])
	})
	t.Run("nothing to cut", func(t *testing.T) {
		logs := record(0, "m")
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("site_name", strings.Repeat("s", 1500))
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("service_name", strings.Repeat("s", 1500))
		assert.Equal(t, []rejection{{0, kindLineBytes}}, encode(config, logs).rejected, "a stream field is not cut")
	})
}

// TestTruncateNeedsAPlace holds that the marker is a field, too, and that a record is not stored and rejected.
func TestTruncateNeedsAPlace(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes, config.Limits.MaxFields = 2048, 20
	config.OnViolation.LineBytes, config.OnViolation.FieldCount = ActionTruncate, ActionReject
	e := encode(config, record(15, strings.Repeat("x", 3000)))
	assert.Empty(t, e.body)
	assert.Equal(t, []rejection{{0, kindFieldCount}}, e.rejected)
}

func TestTruncateRow(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes, config.Limits.MaxRowBytes = 2048, 4096
	config.OnViolation.RowBytes = ActionTruncate
	e := encode(config, record(1, strings.Repeat("x", 5000)))
	require.Len(t, lines(e.over), 1, "what is left of it is over the limit of a line")
	row := rows(t, e.over)[0]
	assert.Greater(t, len(row["_msg"]), 3500)
	assert.Less(t, len(row["_msg"]), 4096)
	assert.JSONEq(t, `{"_msg":5000}`, row[truncatedField])

	config.OnViolation.LineBytes = ActionSplit
	e = encode(config, record(1, strings.Repeat("x", 5000)))
	assert.Empty(t, e.over)
	assert.LessOrEqual(t, len(e.body), 2048, "there is no other way than a line")
}

func TestSplit(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes, config.Limits.MaxRowBytes = 2048, 4096
	config.OnViolation.LineBytes, config.OnViolation.RowBytes = ActionSplit, ActionSplit
	for name, message := range map[string]string{
		"line": strings.Repeat("\"é漢😀\x01", 200), "row": strings.Repeat("x", 50000), "not UTF-8": strings.Repeat("\xff", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			e := encode(config, record(1, message))
			all, ids := "", make(map[string]bool)
			parts := rows(t, e.body)
			for i, row := range parts {
				assert.Equal(t, strconv.Itoa(i+1), row[splitPartField])
				assert.Equal(t, strconv.Itoa(len(parts)), row[splitPartsField])
				assert.Equal(t, "s1", row["site_name"])
				assert.Equal(t, name != "not UTF-8", utf8.ValidString(row["_msg"]))
				ids[row[splitIDField]] = true
				all += row["_msg"]
			}
			assert.Equal(t, message, all)
			assert.Len(t, ids, 1)
			for _, line := range lines(e.body) {
				assert.Less(t, len(line), 2048)
			}
			again := encode(config, record(1, message))
			assert.Equal(t, e.body, again.body, "the id is that of the content")
		})
	}
	twins := rows(t, encode(config, messages(strings.Repeat("x", 3000), strings.Repeat("x", 3000))).body)
	assert.NotEqual(t, twins[0][splitIDField], twins[len(twins)-1][splitIDField], "records of one content")
	other := encode(config, record(1, strings.Repeat("y", 50000)))
	assert.NotEqual(t, rows(t, encode(config, record(1, strings.Repeat("x", 50000))).body)[0][splitIDField], rows(t, other.body)[0][splitIDField])

	t.Run("no room", func(t *testing.T) {
		logs := record(0, strings.Repeat("x", 3000))
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("long", strings.Repeat("l", 1700))
		e := encode(config, logs)
		assert.Equal(t, []rejection{{0, kindRowBytes}}, e.rejected)
		assert.Empty(t, e.body)
	})
}

func TestRejectLine(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes = 2048
	config.OnViolation.LineBytes = ActionReject
	e := encode(config, record(1, strings.Repeat("x", 3000)))
	assert.Equal(t, []rejection{{0, kindLineBytes}}, e.rejected)
	assert.Equal(t, map[violation]int{{kindLineBytes, ActionReject}: 1}, e.stats.violations)
}

func TestLongNames(t *testing.T) {
	config := testConfig()
	long := strings.Repeat("é", 100)
	logs := record(0, "m")
	attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	attributes.PutStr(long+"a", "1")
	attributes.PutStr(long+"b", "2")
	row := rows(t, encode(config, logs).body)[0]
	assert.JSONEq(t, `{"`+long+`a":"1","`+long+`b":"2"}`, row[overflowField])

	config.OnViolation.FieldNameBytes = ActionTruncate
	row = rows(t, encode(config, logs).body)[0]
	cut := object2int(t, row[truncatedField])
	assert.Len(t, cut, 2, "the cut names differ")
	for name, whole := range cut {
		assert.Equal(t, len(long)+1, whole)
		assert.LessOrEqual(t, len(name), 128)
		assert.True(t, utf8.ValidString(name))
		assert.Contains(t, []string{"1", "2"}, row[name])
	}

	config.OnViolation.FieldNameBytes = ActionReject
	assert.Equal(t, []rejection{{0, kindFieldNameBytes}}, encode(config, logs).rejected)
}

func object2int(t require.TestingT, text string) map[string]int {
	var object map[string]int
	require.NoError(t, json.Unmarshal([]byte(text), &object))
	return object
}

func TestDepth(t *testing.T) {
	config := testConfig()
	config.Limits.MaxDepth = 2
	logs := record(0, "m")
	a := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmptyMap("a")
	a.PutEmptyMap("b").PutEmptyMap("c").PutStr("d", "\"x\"")
	a.PutInt("n", 1)
	e := encode(config, logs)
	row := rows(t, e.body)[0]
	assert.Equal(t, `{"c":{"d":"\"x\""}}`, row["a.b"])
	assert.Equal(t, "1", row["a.n"])
	assert.Equal(t, map[violation]int{{kindDepth, ActionStringify}: 1}, e.stats.violations)
	config.OnViolation.Depth = ActionReject
	assert.Equal(t, []rejection{{0, kindDepth}}, encode(config, logs).rejected)
}

// TestDeepMapsTakeNoMoreThanTheyAre holds that the names of the leaves of deep maps are not made: 100 kB would ask for
// gigabytes.
func TestDeepMapsTakeNoMoreThanTheyAre(t *testing.T) {
	logs := record(0, "m")
	value := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmptyMap("deep")
	for range 60 {
		value = value.PutEmptyMap(strings.Repeat("k", 1000))
	}
	for i := range 3000 {
		value.PutInt(strconv.Itoa(i), int64(i))
	}
	config := testConfig()
	e := newEncoder(config, newNameRules(config))
	result := encodeWith(e, logs)
	assert.Less(t, len(result.body), 200_000)
	assert.Empty(t, result.rejected)
	name := "deep." + strings.Repeat("k", 1000)
	var overflow map[string]string
	require.NoError(t, json.Unmarshal([]byte(rows(t, result.body)[0][overflowField]), &overflow))
	assert.Contains(t, overflow[name], `"2999":2999`)
	assert.Equal(t, map[violation]int{{kindFieldNameBytes, ActionStringify}: 1}, result.stats.violations)
}

// TestTheSameWhateverWasBefore holds that neither rows nor batches depend on what an encoder has seen.
func TestTheSameWhateverWasBefore(t *testing.T) {
	text, nested := messages("a"), messages("a")
	text.ResourceLogs().At(0).Resource().Attributes().PutStr("x", "1")
	text.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("http", "text")
	nested.ResourceLogs().At(0).Resource().Attributes().PutStr("x", "1")
	nested.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmptyMap("http").PutInt("status", 500)
	many := func(letter string) plog.Logs {
		logs := messages("a")
		for i := range 15 {
			logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr(fmt.Sprint("l", letter, i, strings.Repeat("n", 95)), "v")
		}
		return logs
	}
	both := many("x")
	many("z").ResourceLogs().MoveAndAppendTo(both.ResourceLogs())
	for name, test := range map[string]struct {
		change        func(*Config)
		before, after plog.Logs
	}{
		"map under an excluded key": {func(c *Config) { c.Fields.Record.Exclude = []string{"http"} }, text, nested},
		"streams of another shape":  {func(c *Config) { c.StreamFields = []string{"l*"} }, many("y"), both},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig()
			test.change(config)
			fresh := encode(config, test.after)
			e := newEncoder(config, newNameRules(config))
			encodeWith(e, test.before)
			used := encodeWith(e, test.after)
			assert.Equal(t, string(fresh.body), string(used.body))
			assert.Equal(t, fresh.addresses, used.addresses)
		})
	}
}

func TestDeepArrayIsText(t *testing.T) {
	logs := record(0, "m")
	value := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmpty("deep")
	for range 1000 {
		value = value.SetEmptySlice().AppendEmpty()
	}
	value.SetStr("\"x\"")
	row := rows(t, encode(testConfig(), logs).body)[0]
	assert.Equal(t, strings.Repeat("[", 1000)+`"\"x\""`+strings.Repeat("]", 1000), row["deep"])
}

func TestLongStreamValues(t *testing.T) {
	config := testConfig()
	config.Limits.MaxStreamBytes = 10000
	long := strings.Repeat("s", 6000)
	logs := record(0, "m")
	attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	attributes.PutStr("service_name", long)
	attributes.PutStr("site_name", long)
	attributes.PutStr("no_stream_field", long+long)
	e := encode(config, logs)
	row := rows(t, e.body)[0]
	assert.Equal(t, long, row["service_name"])
	assert.Equal(t, long+long, row["no_stream_field"])
	assert.NotContains(t, row, "site_name")
	assert.JSONEq(t, `{"site_name":"`+long+`"}`, row[overflowField])
	assert.Equal(t, map[violation]int{{kindStreamBytes, ActionStringify}: 1}, e.stats.violations)
	assert.Equal(t, 1, e.stats.duplicateFields, "the resource's site_name")

	config.OnViolation.StreamBytes = ActionTruncate
	row = rows(t, encode(config, logs).body)[0]
	assert.Equal(t, long, row["service_name"])
	assert.Len(t, row["site_name"], 10000-streamRoom-2*streamFieldRoom-len(long)-len("site_name")-len("service_name"), "no more is cut than has to be")
	assert.JSONEq(t, `{"site_name":6000}`, row[truncatedField])

	attributes.PutStr("site_name", strings.Repeat("\x01", 20000)+"é")
	attributes.PutStr("service_name", "short")
	row = rows(t, encode(config, logs).body)[0]
	assert.Equal(t, "short", row["service_name"], "the longest one gives way")
	assert.Greater(t, len(row["site_name"]), 4900)
	attributes.PutStr("site_name", long)
	attributes.PutStr("service_name", long)

	config.OnViolation.StreamBytes = ActionReject
	assert.Equal(t, []rejection{{0, kindStreamBytes}}, encode(config, logs).rejected)
}

// TestStreamLimit holds that nothing happens at the limit; the server's index stores some bytes as two.
func TestStreamLimit(t *testing.T) {
	config := testConfig()
	config.Limits.MaxStreamBytes = 10000
	const room = 10000 - streamRoom - 2*streamFieldRoom - len("site_name") - len("s1") - len("service_name")
	for _, test := range []struct {
		value string
		fits  bool
	}{
		{strings.Repeat("s", room), true},
		{strings.Repeat("s", room+1), false},
		{strings.Repeat("\x01", room/2), true},
		{strings.Repeat("\x01", room/2+1), false},
	} {
		logs := record(0, "m")
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("service_name", test.value)
		row := rows(t, encode(config, logs).body)[0]
		assert.Equal(t, test.fits, row["service_name"] == test.value)
		assert.Equal(t, test.fits, row[overflowField] == "")
	}
}

func TestEmptyBytesAreNoMessage(t *testing.T) {
	logs := record(0, "")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetEmptyBytes()
	assert.Contains(t, string(encode(testConfig(), logs).body), `"_msg":"-"`)
}

func TestTime(t *testing.T) {
	now := testNow.UnixNano()
	const day = 24 * time.Hour
	tests := map[string]struct {
		timestamp, observed pcommon.Timestamp
		change              func(*Config)
		want                int64
		original            string
		violations          map[violation]int
		rejected            kind
	}{
		"own":              {timestamp: pcommon.Timestamp(now - 5), observed: pcommon.Timestamp(now), want: now - 5},
		"observed":         {observed: pcommon.Timestamp(now - 6), want: now - 6},
		"none":             {want: now},
		"observed first":   {timestamp: pcommon.Timestamp(now - 5), observed: pcommon.Timestamp(now), want: now, change: func(c *Config) { c.TimeSource = TimeFromObservedTimestamp }},
		"past":             {timestamp: pcommon.Timestamp(now - int64(7*day-timeMargin)), want: now - int64(7*day-timeMargin)},
		"too far past":     {timestamp: pcommon.Timestamp(now - int64(7*day-timeMargin) - 1), want: now, original: testNow.Add(-7*day + timeMargin - 1).UTC().Format(time.RFC3339Nano), violations: map[violation]int{{kindPast, ActionClamp}: 1}},
		"future":           {timestamp: pcommon.Timestamp(now + int64(2*day-timeMargin)), want: now + int64(2*day-timeMargin)},
		"too far future":   {timestamp: pcommon.Timestamp(now + int64(2*day-timeMargin) + 1), want: now, original: testNow.Add(2*day - timeMargin + 1).UTC().Format(time.RFC3339Nano), violations: map[violation]int{{kindFuture, ActionClamp}: 1}},
		"1970":             {timestamp: 1, want: now, original: "1970-01-01T00:00:00.000000001Z", violations: map[violation]int{{kindPast, ActionClamp}: 1}},
		"no int64":         {timestamp: math.MaxUint64, want: now, original: "2554-07-21T23:34:33.709551615Z", violations: map[violation]int{{kindFuture, ActionClamp}: 1}},
		"1970 unlimited":   {timestamp: 1000, want: 1000, change: func(c *Config) { c.Limits.MaxPast = 0 }},
		"future unlimited": {timestamp: math.MaxInt64, want: math.MaxInt64, change: func(c *Config) { c.Limits.MaxFuture = 0 }},
		"past rejected":    {timestamp: 1, rejected: kindPast, violations: map[violation]int{{kindPast, ActionReject}: 1}, change: func(c *Config) { c.OnViolation.Past = ActionReject }},
		"future rejected":  {timestamp: math.MaxInt64, rejected: kindFuture, violations: map[violation]int{{kindFuture, ActionReject}: 1}, change: func(c *Config) { c.OnViolation.Future = ActionReject }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := testConfig()
			config.Limits.MaxPast, config.Limits.MaxFuture = defaultMaxPast, defaultMaxFuture
			if test.change != nil {
				test.change(config)
			}
			logs := record(1, "m")
			r := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			r.SetTimestamp(test.timestamp)
			r.SetObservedTimestamp(test.observed)
			e := encode(config, logs)
			assert.Equal(t, test.violations, e.stats.violations)
			if test.rejected != "" {
				assert.Equal(t, []rejection{{0, test.rejected}}, e.rejected)
				return
			}
			row := rows(t, e.body)[0]
			assert.Equal(t, strconv.FormatInt(test.want, 10), row["_time"])
			assert.Equal(t, test.original, row[originalTimeField])
		})
	}
	assert.Equal(t, "1970-01-01T00:00:00.000001Z", string(appendTime(nil, 1000)), "an integer would be read as seconds")
	assert.Equal(t, strconv.Itoa(minUnixNano), string(appendTime(nil, minUnixNano)))
}

func TestNanoFormatter(t *testing.T) {
	var f nanoFormatter
	for _, timestamp := range []int64{minUnixNano, minUnixNano + 1, 1732275600000000000, 1732275600000000001, 1732275600999999999, 1732275601000000010, math.MaxInt64} {
		assert.Equal(t, strconv.FormatInt(timestamp, 10), string(f.append(nil, timestamp)))
	}
}

func TestObservedTimestampField(t *testing.T) {
	config := testConfig()
	config.Fields.ObservedTimestamp = "observed"
	logs := record(1, "m")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetObservedTimestamp(pcommon.NewTimestampFromTime(testNow))
	for _, again := range []bool{false, true} {
		e := newEncoder(config, newNameRules(config))
		result := encodeWith(e, logs)
		if again {
			result = encodeWith(e, logs)
			assert.Equal(t, 1, result.fromTheFast)
		}
		assert.Equal(t, "2024-11-22T11:40:00.000000042Z", rows(t, result.body)[0]["observed"])
	}
}

func TestMapping(t *testing.T) {
	config := testConfig()
	config.Fields = FieldsConfig{
		Record:   MappingConfig{Exclude: []string{"secret*"}},
		Body:     MappingConfig{Prefix: "body."},
		Scope:    MappingConfig{Include: []string{"none"}},
		Resource: MappingConfig{Prefix: "r_", Include: []string{"host.*", "site_name"}, Rename: map[string]string{"host.name": "host_name", "site_name": "site_name"}},
	}
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("host.name", "h1")
	resource.Resource().Attributes().PutStr("site_name", "s1")
	resource.Resource().Attributes().PutStr("other", "not included")
	resource.Resource().Attributes().PutEmptyMap("host").PutStr("id", "nested")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("lib")
	scope.Scope().Attributes().PutStr("x", "not included")
	for range 3 {
		r := scope.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(testNow))
		r.Body().SetEmptyMap().PutStr("log", "m")
		r.Body().Map().PutStr("level", "info")
		r.Attributes().PutStr("secret_token", "not stored")
		r.Attributes().PutStr("a", "1")
	}
	result := encode(config, logs)
	assert.Equal(t, 2, result.fromTheFast)
	for _, row := range rows(t, result.body) {
		delete(row, "_time")
		assert.Equal(t, map[string]string{
			"_msg": "m", "body.level": "info", "a": "1", "scope.name": "lib", "host_name": "h1", "site_name": "s1", "r_host.id": "nested",
		}, row)
	}
}

func TestStreamGlobs(t *testing.T) {
	config := testConfig()
	config.StreamFields = []string{"site_name", "k8s.*", "app?"}
	logs := record(1, "m")
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("k8s.pod.name", "p")
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("k8s.comma,name", "not in a header")
	record(1, "m").ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	logs.ResourceLogs().At(1).Resource().Attributes().PutStr("app1", "a")
	logs.ResourceLogs().At(1).Resource().Attributes().PutStr("app10", "b")
	e := newEncoder(config, newNameRules(config))
	for range 3 { // by the row builder, then by shapes, which have to tell the batch of their streams each time
		assert.Equal(t, []string{"site_name,app1,k8s.pod.name"}, encodeWith(e, logs).streams)
	}
	assert.Equal(t, []string{"site_name"}, encodeWith(e, record(1, "m")).streams)
	assert.False(t, isGlob("a[0]{x}"))
	assert.True(t, compileGlob("a[0].{x}\\*").Match(`a[0].{x}\yz`))
	config.StreamFields = []string{"*_name"}
	assert.Equal(t, []string{"site_name"}, encode(config, record(1, "m")).streams)
}

// TestStreamHeaderIsBounded holds that many names do not make a header that a proxy refuses.
func TestStreamHeaderIsBounded(t *testing.T) {
	config := testConfig()
	config.StreamFields = []string{"*"}
	logs := plog.NewLogs()
	for i := range 100 {
		records := record(0, "m")
		records.ResourceLogs().At(0).Resource().Attributes().PutStr(strings.Repeat("n", 100)+strconv.Itoa(i), "v")
		records.ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	e := encode(config, logs)
	assert.Len(t, rows(t, e.body), 100)
	assert.Greater(t, len(e.batches), 1)
	for _, streams := range e.streams {
		assert.LessOrEqual(t, len(streams), maxStreamHeaderBytes)
	}
	assert.Empty(t, e.stats.violations)

	logs = record(0, "m")
	for i := range 100 {
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr(strings.Repeat("n", 100)+strconv.Itoa(i), "v")
	}
	e = encode(config, logs)
	assert.LessOrEqual(t, len(e.streams[0]), maxStreamHeaderBytes)
	row := rows(t, e.body)[0]
	overflow := object2map(t, row[overflowField])
	assert.Len(t, overflow, e.stats.violations[violation{kindStreamBytes, ActionStringify}])
	assert.Equal(t, 100+2+2+1, len(row)+len(overflow))
}

func TestTenants(t *testing.T) {
	config := testConfig()
	config.Tenant = TenantConfig{AccountID: 7, FromAttribute: "tenant"}
	logs := plog.NewLogs()
	for _, value := range []any{"12", "12:34", nil, "x", "12", int64(5), "1:2:3", "4294967296"} {
		records := record(0, fmt.Sprint(value))
		if value != nil {
			require.NoError(t, records.ResourceLogs().At(0).Resource().Attributes().PutEmpty("tenant").FromRaw(value))
		}
		records.ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("tenant", "9") // before the resource's
	e := encode(config, logs)
	assert.Equal(t, []rejection{{3, kindTenant}, {6, kindTenant}, {7, kindTenant}}, e.rejected)
	records := make(map[tenant]int)
	for _, b := range e.batches {
		records[b.tenant] += b.records
	}
	assert.Equal(t, map[tenant]int{{account: 9}: 1, {12, 34}: 1, {account: 7}: 1, {account: 12}: 1, {account: 5}: 1}, records)

	config.OnViolation.Tenant = ActionDefault
	e = encode(config, logs)
	assert.Empty(t, e.rejected)
	assert.Equal(t, 3, e.stats.violations[violation{kindTenant, ActionDefault}])
	for _, b := range e.batches {
		if b.tenant == (tenant{account: 7}) {
			assert.Equal(t, 4, b.records)
		}
	}
}

func TestManyTenantsAreBounded(t *testing.T) {
	config := testConfig()
	config.Tenant.FromAttribute = "tenant"
	logs := plog.NewLogs()
	for i := range 3 * maxBatchTenants {
		records := record(0, "m")
		records.ResourceLogs().At(0).Resource().Attributes().PutInt("tenant", int64(i))
		records.ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	e := encode(config, logs)
	assert.Len(t, e.batches, 3*maxBatchTenants)
	assert.Len(t, rows(t, e.body), 3*maxBatchTenants)
}

// TestContentAddress holds that it is that of the content: the same for the same records at another time, by another
// encoder and by another way through it, and another one for other records.
func TestContentAddress(t *testing.T) {
	config := testConfig()
	config.Limits.MaxLineBytes = 2048
	config.Limits.MaxPast = defaultMaxPast
	untimed := record(1, "m")
	untimed.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(0)
	old := record(1, "m")
	old.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(1)
	older := record(1, "m")
	older.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(2)
	long := record(1, strings.Repeat("x", 3000))
	untimedLong := record(1, strings.Repeat("x", 3000))
	untimedLong.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(0)
	seen := make(map[contentAddress]string)
	for name, logs := range map[string]plog.Logs{
		"timed": record(1, "m"), "other": record(1, "n"), "untimed": untimed, "old": old, "older": older, "long": long, "untimed long": untimedLong,
	} {
		e := newEncoder(config, newNameRules(config))
		first := encodeWith(e, logs).addresses[0]
		assert.Equal(t, first, encodeWith(e, logs).addresses[0], name)
		e.reset(testNow.Add(time.Hour))
		e.encode(logs, 0, 1, func(b *batch) { assert.Equal(t, first, b.contentAddress(), name) })
		assert.Empty(t, seen[first], name)
		seen[first] = name
	}
}

// TestContentAddressOutlivesALimit holds that a record that is clamped or rejected at another time does not make its
// batch another one.
func TestContentAddressOutlivesALimit(t *testing.T) {
	const day = 24 * time.Hour
	changes := map[string]func(*Config){
		"line":     func(*Config) {},
		"over":     func(c *Config) { c.Limits.MaxLineBytes = 2048 },
		"split":    func(c *Config) { c.Limits.MaxLineBytes, c.OnViolation.LineBytes = 2048, ActionSplit },
		"truncate": func(c *Config) { c.Limits.MaxLineBytes, c.OnViolation.LineBytes = 2048, ActionTruncate },
	}
	for action, names := range map[Action][]string{ActionClamp: {"line", "over", "split", "truncate"}, ActionReject: {"line"}} {
		for _, name := range names {
			change := changes[name]
			t.Run(fmt.Sprint(action, name), func(t *testing.T) {
				config := testConfig()
				config.Limits.MaxPast, config.Limits.MaxFuture = defaultMaxPast, defaultMaxFuture
				config.OnViolation.Past, config.OnViolation.Future = action, action
				change(config)
				logs := messages("before", strings.Repeat("x", 3000), "after")
				at := func(i int, ago time.Duration) {
					r := logs.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords().At(0)
					r.SetTimestamp(pcommon.NewTimestampFromTime(testNow.Add(-ago)))
				}
				at(0, 2*day)
				at(1, 5*day)
				at(2, day)
				e := newEncoder(config, newNameRules(config))
				var seen []contentAddress
				for now, rejected := range map[time.Duration]int{0: 0, 3 * day: 1, -4 * day: 1} {
					e.reset(testNow.Add(now))
					e.encode(logs, 0, 3, func(b *batch) {
						seen = append(seen, b.contentAddress())
						assert.Equal(t, now != 0, b.anyTime)
						assert.False(t, b.untimed)
					})
					if action == ActionReject {
						assert.GreaterOrEqual(t, len(e.rejected), rejected)
					}
				}
				require.Len(t, seen, 3)
				assert.Equal(t, seen[0], seen[1])
				assert.Equal(t, seen[0], seen[2])
			})
		}
	}
}

func TestBatchesAreBounded(t *testing.T) {
	const records = 40
	logs := plog.NewLogs()
	for range records {
		record(0, strings.Repeat("x", 250<<10)).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	}
	e := encode(testConfig(), logs)
	assert.Len(t, e.batches, 2)
	next := 0
	for _, b := range e.batches {
		assert.Equal(t, next, b.from)
		assert.Equal(t, b.records, b.to-b.from)
		next = b.to
	}
	assert.Equal(t, records, next)
	assert.Len(t, lines(e.body), records)
}
