package otlpview

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
	"google.golang.org/protobuf/encoding/protowire"
)

// Fields in the wire format, for messages that pdata does not marshal.

func lenField(number protowire.Number, parts ...[]byte) []byte {
	var data []byte
	for _, part := range parts {
		data = append(data, part...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), data)
}

func textField(number protowire.Number, text string) []byte {
	return lenField(number, []byte(text))
}

func varintField(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

func i64Field(number protowire.Number, value uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), value)
}

func i32Field(number protowire.Number, value uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, number, protowire.Fixed32Type), value)
}

func groupField(number protowire.Number, parts ...[]byte) []byte {
	data := protowire.AppendTag(nil, number, protowire.StartGroupType)
	for _, part := range parts {
		data = append(data, part...)
	}
	return protowire.AppendTag(data, number, protowire.EndGroupType)
}

// scopeMessage and recordMessage are messages of one scope, or of one record, with
// the given fields.
func scopeMessage(fields ...[]byte) []byte {
	return lenField(1, lenField(2, fields...))
}

func recordMessage(fields ...[]byte) []byte {
	return scopeMessage(lenField(2, fields...))
}

// fullLogs have every field that pdata can be given, and every kind of value.
func fullLogs() plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl("https://opentelemetry.io/schemas/1.38.0")
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	rl.Resource().Attributes().PutInt("process.pid", 4711)
	rl.Resource().SetDroppedAttributesCount(3)
	ref := entity.ResourceEntityRefs(rl.Resource()).AppendEmpty()
	ref.SetSchemaUrl("https://opentelemetry.io/schemas/1.38.0")
	ref.SetType("service")
	ref.IdKeys().Append("service.name", "")
	ref.DescriptionKeys().Append("process.pid")

	sl := rl.ScopeLogs().AppendEmpty()
	sl.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
	sl.Scope().SetName("scope")
	sl.Scope().SetVersion("1.2.3")
	sl.Scope().Attributes().PutStr("scope.attribute", "value")
	sl.Scope().Attributes().PutEmpty("scope.empty")
	sl.Scope().SetDroppedAttributesCount(math.MaxUint32)

	record := sl.LogRecords().AppendEmpty()
	record.SetTimestamp(math.MaxUint64)
	record.SetObservedTimestamp(1_700_000_000_000_000_001)
	record.SetSeverityNumber(plog.SeverityNumberError)
	record.SetSeverityText("ERROR")
	record.SetEventName("event")
	record.SetFlags(math.MaxUint32)
	record.SetDroppedAttributesCount(1)
	record.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	record.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	body := record.Body().SetEmptyMap()
	body.PutStr("text", "körper \x00 \xff")
	body.PutEmptySlice("empty slice")
	body.PutEmptyMap("empty map").PutEmptyMap("inner")
	attributes := record.Attributes()
	attributes.PutStr("string", "value")
	attributes.PutStr("empty string", "")
	attributes.PutInt("int", math.MinInt64)
	attributes.PutDouble("double", math.Inf(-1))
	attributes.PutBool("true", true)
	attributes.PutBool("false", false)
	attributes.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 2})
	attributes.PutEmptyBytes("empty bytes")
	attributes.PutEmpty("empty")
	list := attributes.PutEmptySlice("slice")
	list.AppendEmpty().SetStr("first")
	list.AppendEmpty()
	list.AppendEmpty().SetEmptySlice().AppendEmpty().SetEmptyMap().PutStr("deep", "value")

	sl.LogRecords().AppendEmpty()
	rl.ScopeLogs().AppendEmpty()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("line")
	return logs
}

// steadyLogs are what a collector receives all day: 2,000 records of 9 attributes,
// body and time, about 480 bytes a row.
func steadyLogs() plog.Logs {
	labels := []struct{ key, value string }{
		{"stream", "stdout"},
		{"service_name", "checkout"},
		{"service_namespace", "shop"},
		{"host_name", "node-17.eu-central.example.com"},
		{"env", "production"},
		{"site_name", "frankfurt-2"},
		{"job", "shop/checkout"},
	}
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	for _, label := range labels {
		rl.Resource().Attributes().PutStr(label.key, label.value)
	}
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range steadyRecords {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.Timestamp(1_700_000_000_000_000_000 + i))
		record.SetObservedTimestamp(pcommon.Timestamp(1_700_000_000_500_000_000 + i))
		record.Body().SetStr(fmt.Sprintf("%08d GET /api/v1/orders/%d?expand=items&page=3 200 in 12 ms from 10.1.2.3 by worker 7", i, i*31))
		for _, label := range labels {
			record.Attributes().PutStr(label.key, label.value)
		}
		record.Attributes().PutStr("log.file.path", "/var/log/pods/shop_checkout-7f9c/checkout/0.log")
		record.Attributes().PutStr("request_id", fmt.Sprintf("%032x", i))
	}
	return logs
}

const steadyRecords = 2000

func marshal(t testing.TB, logs plog.Logs) []byte {
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return data
}
