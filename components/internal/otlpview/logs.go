package otlpview

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
)

// UnmarshalLogs decodes an OTLP logs message (LogsData and
// ExportLogsServiceRequest are the same on the wire) into what
// plog.ProtoUnmarshaler makes of it, or returns the error that it returns.
//
// The strings of the result are views of data: the caller must not change data
// afterwards, and data stays in memory for as long as any one of the strings.
func UnmarshalLogs(data []byte) (plog.Logs, error) {
	logs := plog.NewLogs()
	var d decoder
	if d.logs(data, logs.ResourceLogs()) {
		return logs, nil
	}
	return (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
}

// decoder decodes one message. Its methods return false when the message is to be
// left to plog.ProtoUnmarshaler: it is malformed, and upstream has the error for
// it, or it has something that pdata cannot be given by its public functions.
type decoder struct {
	// attributes are those under construction of a resource, scope or record.
	attributes mapBuilder
}

func (d *decoder) logs(src []byte, dst plog.ResourceLogsSlice) bool {
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		src = rest
		switch tag {
		case tagResourceLogs:
			ok = d.resourceLogs(data, dst.AppendEmpty())
		default:
			ok = skips(tag, lastLogsField)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (d *decoder) resourceLogs(src []byte, dst plog.ResourceLogs) bool {
	hasResource := false
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		src = rest
		switch tag {
		case tagResource:
			// Upstream merges two of them.
			ok = !hasResource && d.resource(data, dst.Resource())
			hasResource = true
		case tagScopeLogs:
			ok = d.scopeLogs(data, dst.ScopeLogs().AppendEmpty())
		case tagResourceSchemaURL:
			dst.SetSchemaUrl(view(data))
		default:
			ok = skips(tag, lastResourceLogsField) && tag>>wireTypeBits != deprecatedScopeLogsField
		}
		if !ok {
			return false
		}
	}
	return true
}

func (d *decoder) resource(src []byte, dst pcommon.Resource) bool {
	for len(src) > 0 {
		tag, number, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagResourceAttributes:
			ok = d.attributes.add(src, tag, data, 0)
		case tagResourceDropped:
			dst.SetDroppedAttributesCount(uint32(number))
		case tagEntityRefs:
			ok = entityRef(data, entity.ResourceEntityRefs(dst).AppendEmpty())
		default:
			ok = skips(tag, lastResourceField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	d.attributes.into(dst.Attributes())
	return true
}

func entityRef(src []byte, dst entity.EntityRef) bool {
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		src = rest
		switch tag {
		case tagEntitySchemaURL:
			dst.SetSchemaUrl(view(data))
		case tagEntityType:
			dst.SetType(view(data))
		case tagEntityIDKeys:
			dst.IdKeys().Append(view(data))
		case tagEntityDescriptionKeys:
			dst.DescriptionKeys().Append(view(data))
		default:
			if !skips(tag, lastEntityRefField) {
				return false
			}
		}
	}
	return true
}

func (d *decoder) scopeLogs(src []byte, dst plog.ScopeLogs) bool {
	hasScope, records := false, dst.LogRecords()
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagScope:
			// Upstream merges two of them.
			ok = !hasScope && d.scope(data, dst.Scope())
			hasScope = true
		case tagLogRecords:
			if records.Len() == 0 {
				records.EnsureCapacity(countFields(src, tag))
			}
			ok = d.record(data, records.AppendEmpty())
		case tagScopeSchemaURL:
			dst.SetSchemaUrl(view(data))
		default:
			ok = skips(tag, lastScopeLogsField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	return true
}

func (d *decoder) scope(src []byte, dst pcommon.InstrumentationScope) bool {
	for len(src) > 0 {
		tag, number, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagScopeName:
			dst.SetName(view(data))
		case tagScopeVersion:
			dst.SetVersion(view(data))
		case tagScopeAttributes:
			ok = d.attributes.add(src, tag, data, 0)
		case tagScopeDropped:
			dst.SetDroppedAttributesCount(uint32(number))
		default:
			ok = skips(tag, lastScopeField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	d.attributes.into(dst.Attributes())
	return true
}

func (d *decoder) record(src []byte, dst plog.LogRecord) bool {
	for len(src) > 0 {
		tag, number, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagTime:
			dst.SetTimestamp(pcommon.Timestamp(number))
		case tagObservedTime:
			dst.SetObservedTimestamp(pcommon.Timestamp(number))
		case tagSeverityNumber:
			dst.SetSeverityNumber(plog.SeverityNumber(number))
		case tagSeverityText:
			dst.SetSeverityText(view(data))
		case tagBody:
			ok = anyValue(data, dst.Body(), 0)
		case tagRecordAttributes:
			ok = d.attributes.add(src, tag, data, 0)
		case tagRecordDropped:
			dst.SetDroppedAttributesCount(uint32(number))
		case tagFlags:
			dst.SetFlags(plog.LogRecordFlags(number))
		case tagTraceID:
			var id pcommon.TraceID
			ok = len(data) == len(id) || len(data) == 0
			copy(id[:], data)
			dst.SetTraceID(id)
		case tagSpanID:
			var id pcommon.SpanID
			ok = len(data) == len(id) || len(data) == 0
			copy(id[:], data)
			dst.SetSpanID(id)
		case tagEventName:
			dst.SetEventName(view(data))
		default:
			ok = skips(tag, lastRecordField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	d.attributes.into(dst.Attributes())
	return true
}
