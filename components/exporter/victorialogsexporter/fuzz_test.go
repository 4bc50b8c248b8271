package victorialogsexporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// replaced is what Go's decoder makes of bytes that are not UTF-8: a replacement character for each of them.
func replaced(s string) string { return string([]rune(s)) }

// FuzzString compares with Go's own decoder.
func FuzzString(f *testing.F) {
	f.Add("plain \x00\x1f\"\\\x7f é 漢 😀 \xff\xed\xa0\x80")
	f.Add("eight by\"te words \\and th\neir edges")
	f.Fuzz(func(t *testing.T, s string) {
		quoted := appendString(nil, s)
		if got := appendString(bytes.Repeat([]byte("x"), 7), s); string(got[7:]) != string(quoted) {
			t.Fatalf("%q is another one behind something", s)
		}
		var decoded string
		if err := json.Unmarshal(quoted, &decoded); err != nil {
			t.Fatal(err)
		}
		if decoded != replaced(s) {
			t.Fatalf("%q came back as %q", s, decoded)
		}
		if n := escapedTextLen(s); n != len(quoted)-len(`""`) {
			t.Fatalf("%q is %d bytes escaped, not %d", s, len(quoted), n)
		}
	})
}

func addSeeds(f *testing.F) {
	bodyMap := record(1, "")
	body := bodyMap.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetEmptyMap()
	body.PutStr("log", "m")
	body.PutDouble("d", math.NaN())
	body.PutEmptyMap("n").PutEmptySlice("s").AppendEmpty().SetStr("\xff")
	rich := record(60, "m")
	r := rich.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	r.SetSeverityText("INFO")
	r.SetSeverityNumber(9)
	r.SetTraceID([16]byte{1})
	r.SetSpanID([8]byte{2})
	r.SetFlags(1)
	r.SetEventName("e")
	r.SetDroppedAttributesCount(3)
	r.Attributes().PutStr("severity_text", "not this")
	r.Attributes().PutStr("other", "x")
	r.Attributes().PutEmptyBytes("b").FromRaw([]byte("bytes"))
	var marshaler plog.ProtoMarshaler
	for _, logs := range []plog.Logs{record(3, "m"), record(100, "\x00\xff"), benchLogs(3, true), benchLogs(3, false), bodyMap, rich} {
		seed, err := marshaler.MarshalLogs(logs)
		require.NoError(f, err)
		f.Add(seed)
	}
}

func unmarshal(request []byte) (plog.Logs, bool) {
	var unmarshaler plog.ProtoUnmarshaler
	logs, err := unmarshaler.UnmarshalLogs(request)
	return logs, err == nil
}

// FuzzLogs holds that any records are lines that Go's encoding/json accepts and that decode to the promised fields, as a
// model of the README's table has them, and that both ways through the encoder make the same bytes.
func FuzzLogs(f *testing.F) {
	addSeeds(f)
	config := testConfig()
	config.Limits = LimitsConfig{
		MaxLineBytes: 1 << 28, MaxFields: 1 << 20, MaxFieldNameBytes: 1 << 20, MaxStreamBytes: 1 << 28, MaxRowBytes: 1 << 28, MaxDepth: 5,
	}
	rules := newNameRules(config)
	f.Fuzz(func(t *testing.T, request []byte) {
		logs, ok := unmarshal(request)
		if !ok {
			return
		}
		e := newEncoder(config, rules)
		first, second := encodeWith(e, logs), encodeWith(e, logs)
		if !bytes.Equal(first.body, second.body) || first.stats.duplicateFields != second.stats.duplicateFields {
			t.Fatalf("the same records, %d of them by shape:\n%s\n%s", second.fromTheFast, first.body, second.body)
		}
		all := lines(first.body)
		require.Len(t, all, logs.LogRecordCount())
		parsed := rows(t, first.body)
		forEach(logs, func(i int, ref recordRef) {
			var decoded map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(all[i], &decoded))
			checkRow(t, modelRow(ref, config), parsed[i], decoded)
		})
	})
}

// modelField is a field of the model: a text, or a value whose text is JSON.
type modelField struct {
	text string
	json pcommon.Value
}

// modelRow says what the README promises, as plainly as it does.
func modelRow(ref recordRef, config *Config) map[string]modelField {
	row := make(map[string]modelField)
	add := func(name string, f modelField) {
		if _, taken := row[name]; !taken {
			row[name] = f
		}
	}
	addText := func(name, text string) {
		if text != "" {
			add(name, modelField{text: text})
		}
	}
	var addValue func(name string, value pcommon.Value, depth int)
	addValue = func(name string, value pcommon.Value, depth int) {
		if value.Type() == pcommon.ValueTypeMap && depth < config.Limits.MaxDepth && len(name) <= config.Limits.MaxFieldNameBytes {
			for key, value := range value.Map().All() {
				if depth > 0 {
					key = name + "." + key
				}
				addValue(key, value, depth+1)
			}
			return
		}
		if reservedNames(config)[name] {
			name = reservedPrefix + name
		}
		if value.Type() == pcommon.ValueTypeMap || value.Type() == pcommon.ValueTypeSlice {
			add(name, modelField{json: value})
			return
		}
		addText(name, value.AsString())
	}
	addMap := func(m pcommon.Map) {
		value := pcommon.NewValueMap()
		m.CopyTo(value.Map())
		addValue("", value, 0)
	}

	r := ref.record
	timestamp := r.Timestamp()
	if timestamp == 0 {
		timestamp = r.ObservedTimestamp()
	}
	switch {
	case timestamp == 0:
		addText("_time", fmt.Sprint(testNow.UnixNano()))
	case timestamp > math.MaxInt64:
		addText("_time", fmt.Sprint(testNow.UnixNano()))
		addText(originalTimeField, time.Unix(int64(timestamp/1e9), int64(timestamp%1e9)).UTC().Format(time.RFC3339Nano))
	default:
		addText("_time", strconv.FormatUint(uint64(timestamp), 10))
	}
	message := r.Body()
	var lifted pcommon.Map
	if message.Type() == pcommon.ValueTypeMap {
		lifted = pcommon.NewMap()
		message.Map().CopyTo(lifted)
		message = pcommon.NewValueEmpty()
		for _, key := range config.MessageKeys {
			value, ok := lifted.Get(key)
			if ok && value.Type() != pcommon.ValueTypeMap && value.AsString() != "" {
				message = pcommon.NewValueEmpty()
				value.CopyTo(message)
				lifted.RemoveIf(func(k string, _ pcommon.Value) bool { return k == key })
				break
			}
		}
	}
	if message.Type() == pcommon.ValueTypeSlice {
		add("_msg", modelField{json: message})
	}
	addText("_msg", message.AsString())
	addText("_msg", r.EventName())
	addText("_msg", config.DefaultMessage)
	addText("severity_text", r.SeverityText())
	for name, n := range map[string]int64{
		"severity_number": int64(r.SeverityNumber()), "trace_flags": int64(r.Flags()), "dropped_attributes_count": int64(r.DroppedAttributesCount()),
	} {
		if n != 0 {
			addText(name, fmt.Sprint(n))
		}
	}
	addText("trace_id", r.TraceID().String())
	addText("span_id", r.SpanID().String())
	addText("event_name", r.EventName())
	addMap(r.Attributes())
	if r.Body().Type() == pcommon.ValueTypeMap {
		addMap(lifted)
	}
	addMap(ref.scope.Scope().Attributes())
	addText("scope.name", ref.scope.Scope().Name())
	addText("scope.version", ref.scope.Scope().Version())
	addMap(ref.resource.Resource().Attributes())
	return row
}

// checkRow compares the row as VictoriaLogs parses it, and as Go does, with the model.
func checkRow(t *testing.T, want map[string]modelField, got map[string]string, decoded map[string]json.RawMessage) {
	names := make(map[string]int)
	for name := range want {
		names[replaced(name)]++
	}
	for name, f := range want {
		text, ok := got[name]
		require.True(t, ok, "%q is missing", name)
		if f.json != (pcommon.Value{}) {
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.UseNumber()
			var value any
			require.NoError(t, decoder.Decode(&value), "%s", text)
			require.Equal(t, rawOf(f.json), value)
			continue
		}
		require.Equal(t, f.text, text, name)
		if names[replaced(name)] == 1 && name != "_time" {
			var plain string
			if err := json.Unmarshal(decoded[replaced(name)], &plain); err != nil {
				plain = string(decoded[replaced(name)]) // a number or boolean
			}
			assert.Equal(t, replaced(text), plain)
		}
	}
	require.Len(t, got, len(want))
}

// rawOf returns what Go's decoder makes of a value's JSON.
func rawOf(value pcommon.Value) any {
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
		return nil
	case pcommon.ValueTypeBool:
		return value.Bool()
	case pcommon.ValueTypeInt:
		return json.Number(strconv.FormatInt(value.Int(), 10))
	case pcommon.ValueTypeDouble:
		if f := value.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return json.Number(value.AsString())
	case pcommon.ValueTypeSlice:
		list := []any{}
		for _, element := range value.Slice().All() {
			list = append(list, rawOf(element))
		}
		return list
	case pcommon.ValueTypeMap:
		object := map[string]any{}
		for key, element := range value.Map().All() {
			object[replaced(key)] = rawOf(element)
		}
		return object
	default:
		return replaced(value.AsString())
	}
}

// FuzzHistory holds that neither rows nor batches depend on what an encoder has seen before.
func FuzzHistory(f *testing.F) {
	config := testConfig()
	config.StreamFields = []string{"s*", "k*"}
	config.Fields.Record.Exclude, config.Fields.Body.Include = []string{"a*"}, []string{"*e*"}
	rules := newNameRules(config)
	var marshaler plog.ProtoMarshaler
	seed, err := marshaler.MarshalLogs(benchLogs(2, true))
	require.NoError(f, err)
	f.Add(seed, seed)
	f.Fuzz(func(t *testing.T, before, after []byte) {
		first, ok := unmarshal(before)
		second, ok2 := unmarshal(after)
		if !ok || !ok2 {
			return
		}
		fresh := encodeWith(newEncoder(config, rules), second)
		e := newEncoder(config, rules)
		encodeWith(e, first)
		used := encodeWith(e, second)
		require.Equal(t, string(fresh.body), string(used.body))
		require.Equal(t, fresh.addresses, used.addresses)
	})
}

// FuzzLimits holds that any record is a line within the limits, goes another way, or is rejected, whatever the actions
// are, and that the same records have the same content address at another time.
func FuzzLimits(f *testing.F) {
	addSeeds(f)
	var rules []*nameRules
	var configs []*Config
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) {
			c.OnViolation = ViolationConfig{
				LineBytes: ActionTruncate, RowBytes: ActionTruncate, FieldCount: ActionStringify, FieldNameBytes: ActionTruncate,
				StreamBytes: ActionTruncate, Depth: ActionStringify, Future: ActionClamp, Past: ActionClamp, Tenant: ActionDefault,
			}
			c.StreamFields = []string{"*"}
		},
		func(c *Config) {
			c.OnViolation.LineBytes, c.OnViolation.RowBytes = ActionSplit, ActionSplit
			c.Fields.Record.Prefix, c.Fields.Body.Prefix = "r.", "b."
		},
		func(c *Config) {
			c.OnViolation = ViolationConfig{
				LineBytes: ActionReject, RowBytes: ActionReject, FieldCount: ActionReject, FieldNameBytes: ActionReject,
				StreamBytes: ActionReject, Depth: ActionReject, Future: ActionReject, Past: ActionReject, Tenant: ActionReject,
			}
		},
	} {
		config := testConfig()
		config.Limits = LimitsConfig{
			MaxLineBytes: 2048, MaxFields: 20, MaxFieldNameBytes: 32, MaxStreamBytes: 1024, MaxRowBytes: 4096, MaxDepth: 2,
			MaxFuture: time.Hour, MaxPast: time.Hour,
		}
		config.Tenant.FromAttribute = "tenant"
		change(config)
		configs = append(configs, config)
		rules = append(rules, newNameRules(config))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		logs, ok := unmarshal(request)
		if !ok {
			return
		}
		for i, config := range configs {
			e := newEncoder(config, rules[i])
			result := encodeWith(e, logs)
			checkLimits(t, config, logs, result)
			e.reset(testNow.Add(time.Minute))
			var later []contentAddress
			e.encode(logs, 0, logs.LogRecordCount(), func(b *batch) { later = append(later, b.contentAddress()) })
			require.ElementsMatch(t, result.addresses, later)
		}
	})
}

func checkLimits(t *testing.T, config *Config, logs plog.Logs, result *encoded) {
	records := len(result.rejected)
	for _, body := range [][]byte{result.body, result.over} {
		parsed := rows(t, body)
		for i, line := range lines(body) {
			require.True(t, json.Valid(line), "%q", line)
			row := parsed[i]
			require.LessOrEqual(t, len(row), config.Limits.MaxFields)
			require.NotEmpty(t, row["_msg"])
			require.NotEmpty(t, row["_time"])
			bytes := 0
			for name, text := range row {
				require.LessOrEqual(t, len(name), config.Limits.MaxFieldNameBytes)
				bytes += rowFieldRoom + len(name) + len(text)
			}
			require.LessOrEqual(t, bytes, config.Limits.MaxRowBytes)
			if part := row[splitPartField]; part == "" || part == "1" {
				records++
			}
		}
	}
	for _, line := range lines(result.body) {
		require.Less(t, len(line), config.Limits.MaxLineBytes)
	}
	require.Equal(t, logs.LogRecordCount(), records)
	for _, streams := range result.streams {
		require.LessOrEqual(t, len(streams), maxStreamHeaderBytes)
	}
}
