package victorialogs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// hostile is a record that something on the way to a row of VictoriaLogs could lose, change or take for another one.
type hostile struct {
	name string
	fill func(plog.LogRecord)
	// message is what `_msg` must be; that of a body of type string by default.
	message string
}

const serverRetention = 7 * 24 * time.Hour

// allBytes is every byte once: control characters, quotes, and much that is not UTF-8.
var allBytes = func() string {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// hostileTexts are messages, values and (those that fit) keys.
var hostileTexts = map[string]string{
	"nul":                      "a\x00b",
	"only nul":                 "\x00",
	"every byte":               allBytes,
	"control characters":       allBytes[:0x20] + "\x7f",
	"lone high surrogate":      "a\xed\xa0\x80b",
	"lone low surrogate":       "a\xed\xb0\x80b",
	"surrogate pair":           "a\xed\xa0\xbd\xed\xb8\x80b",
	"overlong nul":             "a\xc0\x80b",
	"beyond Unicode":           "a\xf4\x90\x80\x80b",
	"rune cut short":           "a\xf0\x9f\x98",
	"stray continuation":       "\x80\xbf",
	"0xff":                     "\xff\xfe",
	"four-byte runes":          "😀𝔘𐍈\U0010FFFF",
	"replacement character":    "a\uFFFDb",
	"line separators":          "a\u2028b\u2029c\u0085d",
	"byte order mark":          "\uFEFFa",
	"newlines":                 "a\nb\r\nc\n\n",
	"only a newline":           "\n",
	"only a space":             " ",
	"quotes and backslashes":   `a"b\c\\"\"`,
	"backslash at the end":     `a\`,
	"JSON escapes as text":     `\u0000\ud800\n`,
	"a line of its own":        "{\"_msg\":\"x\",\"_time\":\"0\"}\n{\"_time\":\"bad\"}",
	"end of the object":        `"}` + "\n" + `{"_msg":"injected"}`,
	"HTML":                     "<a href=\"x\">&amp;</a>",
	"terminal colors":          "\x1b[31mred\x1b[0m",
	"a minus":                  "-",
	"zero":                     "0",
	"null":                     "null",
	"true":                     "true",
	"a number":                 "1e400",
	"a time":                   "2026-01-02T03:04:05Z",
	"an IP address":            "1.2.3.4",
	"placeholder of server":    "missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field",
	"LogsQL":                   `* | delete _msg`,
	"comma":                    "a,b=c,",
	"64 KiB":                   repeat("0123456789abcde\n", 64<<10),
	"200 KiB of quotes":        repeat(`"`, 100<<10),
	"200 KiB of controls":      repeat("\x01", 33<<10),
	"64 KiB that is not UTF-8": repeat("\xff", 64<<10),
}

var hostileKeys = []string{
	"", ".", "..", "a.b.c", ".a", "a.", "a..b", " ", "a b", "a,b", "a\nb", "a\r\nb", "a\tb", "\x00", "a\x00b", "\x1f", "\x7f", `"`, `a"b`, `\`, `a\`,
	"'", "`", "{", "}", "{}", "[", ":", "=", "*", "a*", "?", "#", "%", "@", "$", "<", "|", "(", "!", "\u2028", "😀", "ключ", "\xff", "a\xed\xa0\x80b", "a\xf0\x9f",
	"null", "true", "0", "time", "timestamp", "message", "msg", "log", "stream", "severity", "severity_text_", "error", "_", "__", "_m", "_MSG", "_Time", "and", "or", "not", "by", "if",
	"scope.name_", "attributes", "attributes.", "attributes.x", "VL-Extra-Fields",
	strings.Repeat("k", 127), strings.Repeat("k", 128), strings.Repeat("k", 129), strings.Repeat("k", 4000),
	strings.Repeat("é", 64), strings.Repeat("é", 65), strings.Repeat("😀", 32) + "k", strings.Repeat(".", 128), strings.Repeat(".", 129), strings.Repeat("\x01", 128), strings.Repeat("\xff", 129),
}

// reservedNames have a meaning in VictoriaLogs or of the exporter's own.
var reservedNames = []string{
	"_msg", "_time", "_stream", "_stream_id",
	"overflow_fields", "truncated_fields", "split_id", "split_part", "split_parts", "original_time", "delivery_id",
}

func hostileCorpus() []hostile {
	corpus := []hostile{}
	add := func(name, message string, fill func(plog.LogRecord)) {
		corpus = append(corpus, hostile{name: name, fill: fill, message: message})
	}
	for _, name := range sortedKeys(hostileTexts) {
		text := hostileTexts[name]
		add("message: "+name, text, func(r plog.LogRecord) { r.Body().SetStr(text) })
		add("value: "+name, "value", func(r plog.LogRecord) {
			r.Body().SetStr("value")
			r.Attributes().PutStr("hostile", text)
		})
		add("value in an array: "+name, "value", func(r plog.LogRecord) {
			r.Body().SetStr("value")
			r.Attributes().PutEmptySlice("hostile").AppendEmpty().SetStr(text)
		})
	}
	keyed := func(name string, keys ...string) {
		add(name, "keys", func(r plog.LogRecord) {
			r.Body().SetStr("keys")
			for _, key := range keys {
				r.Attributes().PutStr(key, "value of "+key)
			}
		})
	}
	for i, key := range hostileKeys {
		keyed(fmt.Sprintf("key %d", i), key)
		add(fmt.Sprintf("nested key %d", i), "keys", func(r plog.LogRecord) {
			r.Body().SetStr("keys")
			r.Attributes().PutEmptyMap("outer").PutStr(key, "value of "+key)
			r.Attributes().PutEmptyMap(key).PutStr("inner", "inside of "+key)
		})
		add(fmt.Sprintf("body key %d", i), "body keys", func(r plog.LogRecord) {
			r.Body().SetEmptyMap().PutStr("unlikely", "x")
			r.Body().Map().PutStr("log", "body keys")
			if key != "log" {
				r.Body().Map().PutStr(key, "value of "+key)
			}
		})
	}
	keyed("every key at once", hostileKeys...)
	keyed("every reserved name", reservedNames...)
	for _, name := range reservedNames {
		keyed("reserved name "+name, name)
		add("reserved name in the body "+name, "body", func(r plog.LogRecord) {
			r.Body().SetEmptyMap().PutStr("log", "body")
			r.Body().Map().PutStr(name, "value of "+name)
		})
	}

	// Bodies of each kind.
	body := func(name, message string, set func(pcommon.Value)) {
		add("body: "+name, message, func(r plog.LogRecord) { set(r.Body()) })
	}
	body("integer", "-9223372036854775808", func(v pcommon.Value) { v.SetInt(math.MinInt64) })
	body("zero", "0", func(v pcommon.Value) { v.SetInt(0) })
	body("double", "1.5e-7", func(v pcommon.Value) { v.SetDouble(1.5e-7) })
	body("largest double", "1.7976931348623157e+308", func(v pcommon.Value) { v.SetDouble(math.MaxFloat64) })
	body("NaN", "NaN", func(v pcommon.Value) { v.SetDouble(math.NaN()) })
	body("infinity", "-Inf", func(v pcommon.Value) { v.SetDouble(math.Inf(-1)) })
	body("false", "false", func(v pcommon.Value) { v.SetBool(false) })
	body("bytes", base64.StdEncoding.EncodeToString([]byte(allBytes)), func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte(allBytes)) })
	body("no bytes", "-", func(v pcommon.Value) { v.SetEmptyBytes() })
	body("empty", "-", func(v pcommon.Value) { v.SetStr("") })
	body("missing", "-", func(v pcommon.Value) { pcommon.NewValueEmpty().CopyTo(v) })
	body("array", `["a",1,true,null,{"k":"v"},[2]]`, func(v pcommon.Value) {
		if err := v.SetEmptySlice().FromRaw([]any{"a", 1, true, nil, map[string]any{"k": "v"}, []any{2}}); err != nil {
			panic(err)
		}
	})
	body("empty array", "[]", func(v pcommon.Value) { v.SetEmptySlice() })
	body("empty map", "-", func(v pcommon.Value) { v.SetEmptyMap() })
	body("map without a message", "-", func(v pcommon.Value) { v.SetEmptyMap().PutStr("k", "v") })
	body("map with two messages", "first", func(v pcommon.Value) {
		v.SetEmptyMap().PutStr("message", "second")
		v.Map().PutStr("log", "first")
	})
	body("map with an empty message", "second", func(v pcommon.Value) {
		v.SetEmptyMap().PutStr("log", "")
		v.Map().PutStr("message", "second")
	})
	body("map with a message that is a map", "-", func(v pcommon.Value) { v.SetEmptyMap().PutEmptyMap("log").PutStr("k", "v") })
	body("map with a message that is a number", "7", func(v pcommon.Value) { v.SetEmptyMap().PutInt("log", 7) })
	add("event name for a message", "the event", func(r plog.LogRecord) {
		pcommon.NewValueEmpty().CopyTo(r.Body())
		r.SetEventName("the event")
	})
	for _, depth := range []int{1, 63, 64, 65, 100, 299, 300, 301, 1000} {
		nestedMap := func(v pcommon.Value) {
			at := v.SetEmptyMap()
			for range depth {
				at = at.PutEmptyMap("m")
			}
			at.PutStr("leaf", "at the end")
		}
		nestedArray := func(v pcommon.Value) {
			for range depth {
				v = v.SetEmptySlice().AppendEmpty()
			}
			v.SetStr("at the end")
		}
		name := strconv.Itoa(depth) + " deep"
		add("maps "+name, "deep", func(r plog.LogRecord) {
			r.Body().SetStr("deep")
			nestedMap(r.Attributes().PutEmpty("deep"))
		})
		add("maps without keys "+name, "deep", func(r plog.LogRecord) {
			r.Body().SetStr("deep")
			at := r.Attributes().PutEmptyMap("d")
			for range depth {
				at = at.PutEmptyMap("")
			}
			at.PutStr("leaf", "at the end")
		})
		add("arrays "+name, "deep", func(r plog.LogRecord) {
			r.Body().SetStr("deep")
			nestedArray(r.Attributes().PutEmpty("deep"))
		})
		add("maps in arrays "+name, "deep", func(r plog.LogRecord) {
			r.Body().SetStr("deep")
			v := r.Attributes().PutEmpty("deep")
			for range depth {
				v = v.SetEmptySlice().AppendEmpty().SetEmptyMap().PutEmpty("m")
			}
			v.SetStr("at the end")
		})
		add("body of maps "+name, "-", func(r plog.LogRecord) { nestedMap(r.Body()) })
		add("body of arrays "+name, strings.Repeat("[", depth)+`"at the end"`+strings.Repeat("]", depth), func(r plog.LogRecord) { nestedArray(r.Body()) })
	}

	add("values of each kind", "values", func(r plog.LogRecord) {
		r.Body().SetStr("values")
		a := r.Attributes()
		a.PutInt("least integer", math.MinInt64)
		a.PutInt("largest integer", math.MaxInt64)
		a.PutDouble("least double", math.SmallestNonzeroFloat64)
		a.PutDouble("double", 1e21)
		a.PutDouble("minus zero", math.Copysign(0, -1))
		a.PutDouble("NaN", math.NaN())
		a.PutDouble("infinity", math.Inf(1))
		a.PutBool("false", false)
		a.PutEmptyBytes("bytes").FromRaw([]byte(allBytes))
		a.PutEmptyBytes("no bytes")
		a.PutEmptySlice("empty array")
		a.PutEmptyMap("empty map")
		a.PutEmpty("null")
		a.PutStr("empty", "")
		a.PutStr("zero", "0")
		a.PutStr("minus", "-")
	})
	add("every field of the data model", "model", func(r plog.LogRecord) {
		r.Body().SetStr("model")
		r.SetSeverityNumber(plog.SeverityNumber(math.MaxInt32))
		r.SetSeverityText("se\"ve\nre\xff")
		r.SetTraceID([16]byte{1, 2, 3})
		r.SetSpanID([8]byte{0xff})
		r.SetFlags(math.MaxUint32)
		r.SetEventName("an \x00 event")
		r.SetDroppedAttributesCount(math.MaxUint32)
		r.SetObservedTimestamp(math.MaxUint64)
	})
	add("negative severity", "severity", func(r plog.LogRecord) {
		r.Body().SetStr("severity")
		r.SetSeverityNumber(-7)
	})
	add("attributes named as the fields of the data model", "names", func(r plog.LogRecord) {
		r.Body().SetStr("names")
		for _, name := range []string{"severity_text", "severity_number", "trace_id", "span_id", "trace_flags", "event_name", "dropped_attributes_count", "severity", "scope.name"} {
			r.Attributes().PutStr(name, "value of "+name)
		}
	})
	return corpus
}

// TestHostileCorpus sends every hostile record with the default actions: each is one row, its message is there byte for
// byte, and so is each of its values, as a field or in overflow_fields.
func TestHostileCorpus(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")

	corpus := hostileCorpus()
	all := plog.NewLogs()
	records := make(map[string]plog.LogRecord, len(corpus))
	for _, c := range corpus {
		record := newRecord(all, c.name)
		c.fill(record)
		require.NotContains(t, records, c.name)
		records[c.name] = record
	}
	before := wireOf(t, all)
	e.send(t, all)
	assert.True(t, bytes.Equal(before, wireOf(t, all)), "shared data is not touched")

	rows := rowsByCase(t, queryRows(t, logs, `{service_name="test"}`, len(corpus)))
	for _, c := range corpus {
		row := rows[c.name]
		if !assert.NotNil(t, row, c.name) {
			continue
		}
		sameText(t, c.message, row["_msg"], c.name)
		assert.Equal(t, records[c.name].Timestamp().AsTime(), timeOf(t, row, "_time"), c.name)
		overflow := overflowOf(t, row)
		for _, l := range leavesOf(records[c.name], c.message) {
			got, found := recoverLeaf(t, row, overflow, l)
			if !found {
				t.Errorf("%s: %q is nowhere in %s", c.name, l.path, short(row))
				continue
			}
			sameText(t, l.text, got, fmt.Sprintf("%s: %q", c.name, l.path))
		}
	}
	requireNothingDropped(t, logs)
	assert.Zero(t, e.metric(t, "rejected_records"))
	assert.EqualValues(t, len(corpus), e.metric(t, "sent_records"))
}

func wireOf(t *testing.T, logs plog.Logs) []byte {
	wire, err := new(plog.ProtoMarshaler).MarshalLogs(logs)
	require.NoError(t, err)
	return wire
}

func short(row harness.LogRow) string {
	text := fmt.Sprintf("%q", row)
	return text[:min(len(text), 400)]
}

// leaf is a value of a record that is not a map.
type leaf struct {
	path []string
	text string
}

// leavesOf lists what of the attributes and of a body of type map has to be found again, in the order of precedence.
func leavesOf(record plog.LogRecord, message string) []leaf {
	leaves := appendLeaves(nil, nil, record.Attributes())
	if record.Body().Type() == pcommon.ValueTypeMap {
		for _, l := range appendLeaves(nil, nil, record.Body().Map()) {
			if l.text != message { // the one that became the message
				leaves = append(leaves, l)
			}
		}
	}
	// Of two of one name, by dots in keys or by the prefix, the first one is promised.
	seen := make(map[string]bool)
	var unique []leaf
	for _, l := range leaves {
		name := strings.Join(l.path, ".")
		if isReserved(name) {
			name = "attributes." + name
		}
		if !seen[name] {
			seen[name] = true
			unique = append(unique, l)
		}
	}
	return unique
}

func appendLeaves(leaves []leaf, path []string, m pcommon.Map) []leaf {
	for key, value := range m.All() {
		at := append(append([]string{}, path...), key)
		if value.Type() == pcommon.ValueTypeMap {
			leaves = appendLeaves(leaves, at, value.Map())
			continue
		}
		if text := textOf(value); text != "" {
			leaves = append(leaves, leaf{path: at, text: text})
		}
	}
	return leaves
}

// textOf is the text that a query has to return for a value. AsString of an array would replace what is not UTF-8.
func textOf(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeSlice:
		var b bytes.Buffer
		b.WriteByte('[')
		for i, element := range value.Slice().All() {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(jsonOf(element))
		}
		b.WriteByte(']')
		return b.String()
	case pcommon.ValueTypeDouble:
		if math.IsInf(value.Double(), 0) {
			return strconv.FormatFloat(value.Double(), 'g', -1, 64)
		}
	}
	return value.AsString()
}

// jsonOf writes strings with the least escapes, as fastjson does.
func jsonOf(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeBytes:
		return quoteJSON(textOf(value))
	case pcommon.ValueTypeEmpty:
		return "null"
	case pcommon.ValueTypeMap:
		var members []string
		for key, element := range value.Map().All() {
			members = append(members, quoteJSON(key)+":"+jsonOf(element))
		}
		return "{" + strings.Join(members, ",") + "}"
	default:
		return textOf(value)
	}
}

func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// recoverLeaf finds a value where the exporter may have put it: in the field of its name, with a prefix where that is
// reserved, or in overflow_fields, there by its whole name or nested.
func recoverLeaf(t *testing.T, row, overflow harness.LogRow, l leaf) (string, bool) {
	t.Helper()
	name := strings.Join(l.path, ".")
	for _, candidate := range []string{name, "attributes." + name} {
		if got, ok := row[candidate]; ok && !isReserved(candidate) {
			return got, true
		}
		if got, ok := overflow[candidate]; ok {
			return got, true
		}
	}
	// A map that was moved whole.
	for n := len(l.path) - 1; n > 0; n-- {
		prefix := strings.Join(l.path[:n], ".")
		text, ok := overflow[prefix]
		if !ok {
			text, ok = row[prefix]
		}
		if !ok || !strings.HasPrefix(text, "{") {
			continue
		}
		if text, ok := memberOf(t, text, l.path[n:]); ok {
			return text, true
		}
	}
	return "", false
}

// memberOf returns the text at the path in a JSON object.
func memberOf(t *testing.T, object string, path []string) (string, bool) {
	t.Helper()
	if value, err := fastjson.Parse(object); err == nil { // keeps bytes that are not UTF-8
		text := value.GetStringBytes(path...)
		return string(text), text != nil
	}
	// Over 300 deep, which encoding/json takes.
	var value any
	require.NoError(t, json.Unmarshal([]byte(object), &value))
	for _, key := range path {
		members, _ := value.(map[string]any)
		value = members[key]
	}
	text, ok := value.(string)
	return text, ok
}

func isReserved(name string) bool {
	for _, reserved := range append(reservedNames, "") {
		if name == reserved {
			return true
		}
	}
	return false
}

// TestHostileStreamValues looks the rows up by the hostile text itself, as the value of a stream field.
func TestHostileStreamValues(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), `stream_fields: [hostile, "a b", "ключ"]`)
	all := plog.NewLogs()
	names := []string{}
	for _, name := range sortedKeys(hostileTexts) {
		if indexedBytes(hostileTexts[name]) > 30_000 {
			continue // over the limit of a stream, see TestLimitOfStreamBytes
		}
		names = append(names, name)
		for _, field := range []string{"hostile", "a b", "ключ"} {
			newRecord(all, name+" in "+field).Attributes().PutStr(field, hostileTexts[name])
		}
	}
	e.send(t, all)
	require.Len(t, queryRows(t, logs, "*", 3*len(names)), 3*len(names))
	for _, name := range names {
		for _, field := range []string{"hostile", "a b", "ключ"} {
			filter := "{" + strconv.Quote(field) + "=" + strconv.Quote(hostileTexts[name]) + "}"
			rows, err := logs.Query(t.Context(), filter)
			require.NoError(t, err)
			if len(rows) != 1 {
				t.Errorf("%d rows by %.200s", len(rows), filter)
				continue
			}
			assert.Equal(t, name+" in "+field, rows[0]["case"])
			sameText(t, hostileTexts[name], rows[0][field], name)
			sameText(t, "{"+field+"="+strconv.Quote(hostileTexts[name])+"}", rows[0]["_stream"], name)
		}
	}
	requireNothingDropped(t, logs)
}

// TestDuplicateKeys sends keys that are there twice, by the wire format or by dots, each with a value of its own: the
// first one is stored once, and the others are counted.
func TestDuplicateKeys(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")
	all := plog.NewLogs()

	record := newRecord(all, "twice in the attributes")
	record.Attributes().PutStr("key_one", "first")
	record.Attributes().PutStr("key_two", "second")
	record = newRecord(all, "by a dot")
	record.Attributes().PutStr("a.b", "first")
	record.Attributes().PutEmptyMap("a").PutStr("b", "second")
	record = newRecord(all, "by the prefix of reserved names")
	record.Attributes().PutStr("attributes._msg", "first")
	record.Attributes().PutStr("_msg", "second")
	record = newRecord(all, "on every level")
	record.SetSeverityText("first")
	record.Attributes().PutStr("severity_text", "second")
	record.Body().SetEmptyMap().PutStr("severity_text", "third")
	record.Body().Map().PutStr("log", "message of on every level")
	all.ResourceLogs().At(3).ScopeLogs().At(0).Scope().Attributes().PutStr("severity_text", "fourth")
	all.ResourceLogs().At(3).Resource().Attributes().PutStr("severity_text", "fifth")
	record = newRecord(all, "of one value")
	record.Attributes().PutStr("same", "value")
	all.ResourceLogs().At(4).Resource().Attributes().PutStr("same", "value")

	// pdata keeps keys apart that it has put itself; the wire does not.
	wire := bytes.ReplaceAll(wireOf(t, all), []byte("key_two"), []byte("key_one"))
	all, err := new(plog.ProtoUnmarshaler).UnmarshalLogs(wire)
	require.NoError(t, err)
	e.send(t, all)

	rows := rowsByCase(t, queryRows(t, logs, "*", 5))
	assert.Equal(t, "first", rows["twice in the attributes"]["key_one"])
	assert.Equal(t, "first", rows["by a dot"]["a.b"])
	assert.Equal(t, "first", rows["by the prefix of reserved names"]["attributes._msg"])
	assert.Equal(t, "first", rows["on every level"]["severity_text"])
	assert.Equal(t, "value", rows["of one value"]["same"])
	for name, row := range rows {
		assert.Equal(t, "message of "+name, row["_msg"])
	}
	assert.EqualValues(t, 1+1+1+4, e.metric(t, "duplicate_fields"))
	requireNothingDropped(t, logs)
}

// TestRecordsInARequest sends 0, 1 and 100,000 records at once.
func TestRecordsInARequest(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")

	none := plog.NewLogs()
	e.send(t, none)
	none.ResourceLogs().AppendEmpty()
	e.send(t, none)
	none.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	e.send(t, none)
	own, err := logs.Metrics(t.Context())
	require.NoError(t, err)
	assert.Zero(t, own.Sum("vl_http_requests_total", "path", jsonLinePath), "nothing to send")

	one := plog.NewLogs()
	newRecord(one, "one")
	e.send(t, one)
	queryRows(t, logs, `{case="one"}`, 1)

	const many = 100_000
	all := plog.NewLogs()
	records := newRecord(all, "many")
	scope := all.ResourceLogs().At(0).ScopeLogs().At(0)
	records.Body().SetStr("row 0")
	at := records.Timestamp()
	scope.LogRecords().EnsureCapacity(many)
	for i := 1; i < many; i++ {
		record := scope.LogRecords().AppendEmpty()
		record.SetTimestamp(at)
		record.Body().SetStr("row " + strconv.Itoa(i))
	}
	e.send(t, all)
	requireRows(t, logs, `{case="many"}`, many)
	assert.EqualValues(t, many+1, e.metric(t, "sent_records", "path", "jsonline"))
	requireNothingDropped(t, logs)
}

// requireRows holds that the rows of the filter have n messages, each of them once.
func requireRows(t *testing.T, logs *harness.VictoriaLogs, filter string, n int) {
	t.Helper()
	require.NoError(t, logs.Flush(t.Context()))
	total, err := logs.Count(t.Context(), filter)
	require.NoError(t, err)
	distinct, err := logs.CountUniq(t.Context(), filter, "_msg")
	require.NoError(t, err)
	assert.EqualValues(t, n, distinct, "distinct messages of %d rows", total)
	assert.EqualValues(t, n, total, "rows")
}
