package otlpview

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/encoding/protowire"
)

// compare fails when this decoder and upstream's do not agree on data, and returns
// upstream's error.
func compare(t *testing.T, data []byte) error {
	t.Helper()
	original := bytes.Clone(data)
	want, wantErr := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
	got, gotErr := UnmarshalLogs(data)
	require.Equal(t, original, data, "the message was changed")
	require.Equal(t, wantErr, gotErr)
	if wantErr != nil {
		return wantErr
	}
	require.Equal(t, marshal(t, want), marshal(t, got))
	// A NaN is not equal to itself; where there is one, the bytes have to do.
	again, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
	require.NoError(t, err)
	if reflect.DeepEqual(want, again) {
		require.True(t, reflect.DeepEqual(want, got), "%x", data)
	}
	return nil
}

// decodes reports whether the decoder does a message itself.
func decodes(data []byte) bool {
	var d decoder
	return d.logs(data, plog.NewLogs().ResourceLogs())
}

// nested is a value in depth arrays.
func nested(depth int) []byte {
	value := textField(1, "deep")
	for range depth {
		value = lenField(5, lenField(1, value))
	}
	return value
}

type messageCase struct {
	name string
	data []byte
	// own is whether the decoder does it itself, rejected whether nobody can.
	own, rejected bool
}

func messageCases(t testing.TB) []messageCase {
	full := marshal(t, fullLogs())
	varint := func(value uint64, padding int) []byte {
		data := protowire.AppendVarint(nil, value)
		for range padding {
			data[len(data)-1] |= 0x80
			data = append(data, 0)
		}
		return data
	}
	return []messageCase{
		{name: "nothing", data: nil, own: true},
		{name: "every field", data: full, own: true},
		{name: "steady", data: marshal(t, steadyLogs()), own: true},
		{name: "two messages, one after the other", data: slices.Concat(full, full), own: true},
		{name: "unknown fields", own: true, data: slices.Concat(
			varintField(2, 1),
			lenField(1, i64Field(4, 1), lenField(1, i32Field(4, 1)), lenField(2, varintField(4, 1),
				lenField(1, lenField(5, []byte("x"))),
				lenField(2, varintField(13, 1), lenField(6, textField(1, "k"), lenField(2, textField(9, "x")), i64Field(4, 1)),
					lenField(5, lenField(6, varintField(2, 1)), lenField(5, varintField(2, 1)))))))},
		{name: "fields in the other order", own: true,
			data: recordMessage(textField(12, "event"), lenField(6, lenField(2, varintField(3, 1)), textField(1, "key")), i64Field(1, 7))},
		{name: "attributes apart from each other", own: true,
			data: recordMessage(lenField(6, textField(1, "a")), i64Field(1, 7), lenField(6, textField(1, "b")))},
		{name: "keys that come twice", own: true,
			data: recordMessage(lenField(6, textField(1, "a")), lenField(6, textField(1, "a")), lenField(6))},
		{name: "key without value", own: true, data: recordMessage(lenField(6, textField(1, "a")))},
		{name: "scalars that come twice", own: true,
			data: recordMessage(textField(3, "a"), textField(3, "b"), lenField(9, make([]byte, 16)), lenField(9))},
		{name: "values that come twice", own: true,
			data: recordMessage(lenField(5, textField(1, "a"), varintField(3, 7), lenField(5, lenField(1, textField(1, "x"))), lenField(5)))},
		{name: "bodies that come twice", own: true, data: recordMessage(lenField(5, textField(1, "a")), lenField(5), lenField(5, varintField(2, 1)))},
		{name: "NaN", own: true, data: recordMessage(lenField(5, i64Field(4, math.Float64bits(math.NaN())+1)))},
		{name: "numbers that are cut off", own: true,
			data: recordMessage(varintField(2, math.MaxUint64-3), varintField(7, 1<<35+1), lenField(5, varintField(2, 1<<40)))},
		{name: "varints longer than they have to be", own: true,
			data: recordMessage(slices.Concat(varint(2<<3, 3), varint(9, 8)))},
		{name: "values as deep as the limit", own: true, data: recordMessage(lenField(5, nested(maxDepth)))},

		{name: "values over the limit", data: recordMessage(lenField(5, nested(maxDepth+1)))},
		{name: "values far over the limit", data: recordMessage(lenField(6, lenField(2, nested(2000))))},
		{name: "resources that come twice", data: lenField(1, lenField(1, lenField(1, textField(1, "a"))), lenField(1, lenField(1, textField(1, "b"))))},
		{name: "scopes that come twice", data: scopeMessage(lenField(1, textField(1, "a")), lenField(1, textField(2, "b")))},
		{name: "values of a key that come twice", data: recordMessage(lenField(6, lenField(2, textField(1, "a")), lenField(2)))},
		{name: "deprecated scope logs", data: lenField(1, lenField(1000, lenField(2, textField(3, "INFO"))))},
		{name: "strings by index", data: recordMessage(lenField(5, varintField(8, 3)), lenField(6, varintField(3, 2)))},
		{name: "groups", data: recordMessage(groupField(20, groupField(2)), i64Field(1, 7))},
		{name: "record's field 4", data: recordMessage(varintField(4, 1))},
		{name: "tag that upstream cuts off", data: slices.Concat(varint(1<<35|1<<3|2, 0), []byte{0})},
		{name: "varint of 65 bits", data: recordMessage([]byte{2 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})},

		{name: "field 0", rejected: true, data: []byte{2, 0}},
		{name: "field over 2³¹-1", rejected: true, data: varint(1<<34|2, 0)},
		{name: "end of a group that did not begin", rejected: true, data: recordMessage(protowire.AppendTag(nil, 20, protowire.EndGroupType))},
		{name: "wire type 6", rejected: true, data: []byte{1<<3 | 6}},
		{name: "wire type of another field", rejected: true, data: recordMessage(i64Field(3, 1))},
		{name: "wire type of a message", rejected: true, data: varintField(1, 1)},
		{name: "length over the end", rejected: true, data: []byte{1<<3 | 2, 1}},
		{name: "length over the end of its message", rejected: true, data: append(recordMessage([]byte{3<<3 | 2, 1}), 'x')},
		{name: "negative length", rejected: true, data: slices.Concat([]byte{1<<3 | 2}, varint(math.MaxUint64, 0))},
		{name: "varint that does not end", rejected: true, data: bytes.Repeat([]byte{0xff}, 20)},
		{name: "short i64", rejected: true, data: recordMessage([]byte{1<<3 | 1, 1, 2, 3})},
		{name: "short i32", rejected: true, data: recordMessage([]byte{8<<3 | 5, 1, 2, 3})},
		{name: "trace ID of 15 bytes", rejected: true, data: recordMessage(lenField(9, make([]byte, 15)))},
		{name: "trace ID of 17 bytes", rejected: true, data: recordMessage(lenField(9, make([]byte, 17)))},
		{name: "span ID of 16 bytes", rejected: true, data: recordMessage(lenField(10, make([]byte, 16)))},
		{name: "text", rejected: true, data: []byte("not a message")},
	}
}

func TestUnmarshalLogsIsUpstreams(t *testing.T) {
	for _, tc := range messageCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			err := compare(t, tc.data)
			assert.Equal(t, tc.rejected, err != nil, "%v", err)
			assert.Equal(t, tc.own, decodes(tc.data))
		})
	}
}

// TestUnmarshalLogsOfDamage cuts a message off at every byte and changes each byte
// of it to others.
func TestUnmarshalLogsOfDamage(t *testing.T) {
	data := marshal(t, fullLogs())
	for i := range data {
		_ = compare(t, data[:i:i])
		for _, flip := range []byte{1, 2, 3, 4, 5, 8, 0x7f, 0x80, 0xff} {
			data[i] ^= flip
			_ = compare(t, data)
			data[i] ^= flip
		}
	}
}

func TestStringsAreViews(t *testing.T) {
	data := marshal(t, fullLogs())
	logs, err := UnmarshalLogs(data)
	require.NoError(t, err)
	rl := logs.ResourceLogs().At(0)
	sl := rl.ScopeLogs().At(0)
	record := sl.LogRecords().At(0)

	texts := []string{
		rl.SchemaUrl(), sl.SchemaUrl(), sl.Scope().Name(), sl.Scope().Version(), record.SeverityText(), record.EventName(),
	}
	for key, value := range rl.Resource().Attributes().All() {
		texts = append(texts, key, value.Str())
	}
	for key, value := range record.Attributes().All() {
		texts = append(texts, key, value.Str())
	}
	for key, value := range record.Body().Map().All() {
		texts = append(texts, key, value.Str())
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	seen := 0
	for _, text := range texts {
		if text == "" {
			continue
		}
		seen++
		at := uintptr(unsafe.Pointer(unsafe.StringData(text)))
		assert.True(t, at >= first && at+uintptr(len(text)) <= first+uintptr(len(data)), "a copy: %q", text)
	}
	assert.Equal(t, 24, seen)
}

// TestBytesAreCopies holds that what may be changed in pdata does not change the
// message, which other records are views of.
func TestBytesAreCopies(t *testing.T) {
	data := marshal(t, fullLogs())
	original := bytes.Clone(data)
	logs, err := UnmarshalLogs(data)
	require.NoError(t, err)
	attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	value, ok := attributes.Get("bytes")
	require.True(t, ok)
	value.Bytes().SetAt(0, 9)
	value.Bytes().Append(9, 9, 9)
	assert.Equal(t, original, data)
}

func TestUnmarshalLogsAllocations(t *testing.T) {
	data := marshal(t, steadyLogs())
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := UnmarshalLogs(data); err != nil {
			t.Fatal(err)
		}
	})
	// The record, its attributes, and for each of the nine and the body what pdata keeps a value in.
	assert.LessOrEqual(t, allocations/steadyRecords, 12.1)
}

func FuzzUnmarshalLogs(f *testing.F) {
	for _, tc := range messageCases(f) {
		if len(tc.data) < 10_000 {
			f.Add(tc.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = compare(t, data)
		// Most of what a fuzzer makes is no message, so it makes a record and a value, too.
		_ = compare(t, recordMessage(data))
		_ = compare(t, recordMessage(lenField(5, data), lenField(6, textField(1, "key"), lenField(2, data))))
	})
}
