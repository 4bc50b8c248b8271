package victorialogsexporter

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// ownFields is how many fields a row may have beside those of the record: _time, _msg and the overflow field.
const ownFields = 3

// maxPooledBytes bounds the buffers that the pool keeps, so that one large request does not stay in memory.
const maxPooledBytes = 16 << 20

// encoder turns log records into lines of /insert/jsonline. It is not safe for concurrent use.
type encoder struct {
	config *Config

	body []byte // the lines, each with its newline
	// oversized are the records that no line can hold. They refer to the pdata of the request.
	oversized []recordRef
	// rejected are the records over max_row_bytes, which VictoriaLogs cannot store on any path.
	rejected []recordRef
	stats    encodeStats

	base    fieldSet // fields of the scope and resource at hand
	encoded []byte   // the members of base as JSON, `"name":value,` one after the other
	ends    []int    // ends[i] is the end of base.fields[i] in encoded
	record  fieldSet // fields of the record at hand

	message   pcommon.Value
	timestamp int64      // nanoseconds since the epoch
	row       []rowField // what becomes fields of the row at hand
	streamed  int        // bytes of the row's long stream values
	moved     []byte     // what does not: the members of a JSON object, `{"name":value,`
	text      []byte     // scratch
}

// recordRef is a record with what it belongs to.
type recordRef struct {
	resource plog.ResourceLogs
	scope    plog.ScopeLogs
	record   plog.LogRecord
}

// rowField is a field of a row, with its JSON member where that is encoded already.
type rowField struct {
	field
	member []byte
}

// encodeStats is what there is to count about an encoded request.
type encodeStats struct {
	duplicateFields int
	longNames       int // fields moved because of max_field_name_bytes
	surplusFields   int // fields moved because of max_fields
	longStreams     int // fields moved because of the server's limit of a stream
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func getEncoder(config *Config) *encoder {
	e := encoders.Get().(*encoder)
	e.config = config
	e.body = e.body[:0]
	e.stats = encodeStats{}
	return e
}

// putEncoder returns the encoder to the pool, without references to the pdata of the request.
func putEncoder(e *encoder) {
	e.base.reset()
	e.record.reset()
	e.message = pcommon.Value{}
	clear(e.row)
	clear(e.oversized)
	e.oversized = e.oversized[:0]
	clear(e.rejected)
	e.rejected = e.rejected[:0]
	for _, buffer := range []*[]byte{&e.body, &e.encoded, &e.moved, &e.text} {
		if cap(*buffer) > maxPooledBytes {
			*buffer = nil
		}
	}
	encoders.Put(e)
}

// appendLogs appends a line for each record to the body, but for the oversized and the rejected ones.
func (e *encoder) appendLogs(logs plog.Logs) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			e.setBase(resource.Resource(), scope.Scope())
			for _, record := range scope.LogRecords().All() {
				e.setRow(record)
				start := len(e.body)
				e.body = e.appendRow(e.body)
				if len(e.body)-start <= e.config.Limits.MaxLineBytes {
					continue
				}
				e.body = e.body[:start]
				ref := recordRef{resource: resource, scope: scope, record: record}
				if e.rowBytes() > e.config.Limits.MaxRowBytes {
					e.rejected = append(e.rejected, ref)
				} else {
					e.oversized = append(e.oversized, ref)
				}
			}
		}
	}
}

// setBase takes and encodes the fields that all records of a scope have in common, the scope's before the resource's.
func (e *encoder) setBase(resource pcommon.Resource, scope pcommon.InstrumentationScope) {
	e.base.reset()
	e.base.addScope(scope)
	e.base.addMap("", resource.Attributes())
	e.stats.duplicateFields += e.base.duplicates

	e.encoded = e.encoded[:0]
	e.ends = e.ends[:0]
	for _, f := range e.base.fields {
		e.encoded = e.appendMember(e.encoded, f)
		e.ends = append(e.ends, len(e.encoded))
	}
}

// setRow takes the message, the time and the fields of a record: its own before those of the base.
func (e *encoder) setRow(record plog.LogRecord) {
	e.record.reset()
	e.message = e.record.addRecord(record, e.config)
	e.timestamp = e.timeOf(record)
	e.stats.duplicateFields += e.record.duplicates

	e.row = e.row[:0]
	e.streamed = 0
	e.moved = append(e.moved[:0], '{')
	for _, f := range e.record.fields {
		e.addToRow(f, nil)
	}
	begin := 0
	for i, f := range e.base.fields {
		member := e.encoded[begin:e.ends[i]]
		begin = e.ends[i]
		if at := e.record.find(f.name); at < 0 {
			e.addToRow(f, member)
		} else if !e.record.fields[at].value.Equal(f.value) {
			e.stats.duplicateFields++
		}
	}
}

// addToRow makes the field one of the row, or moves it into the overflow field where the server would drop the whole
// row for it. Stream fields have their places kept: without one of them the row would land in another stream.
func (e *encoder) addToRow(f field, member []byte) {
	places := e.config.Limits.MaxFields - ownFields
	switch {
	case len(f.name) > e.config.Limits.MaxFieldNameBytes:
		e.stats.longNames++
	case len(e.row) >= places,
		len(e.row) >= places-len(e.config.StreamFields) && !slices.Contains(e.config.StreamFields, f.name):
		e.stats.surplusFields++
	case e.overfillsStream(f):
		e.stats.longStreams++
	default:
		e.row = append(e.row, rowField{field: f, member: member})
		return
	}
	e.moved = e.appendMember(e.moved, f)
}

// Limits of a log stream. VictoriaLogs keeps its fields in one item of its index (lib/mergeset, 64 KiB); it skips a
// longer one, and no query finds the rows of the stream. Values up to shortStreamValue are not looked at: as many as
// maxStreamFields of them, with their names, fit beside maxStreamBytes of longer ones.
const (
	maxStreamFields  = 32
	shortStreamValue = 512
	maxStreamBytes   = 32 * 1024
)

// overfillsStream reports whether the stream could not hold the field beside those of the row.
func (e *encoder) overfillsStream(f field) bool {
	if f.value.Type() == pcommon.ValueTypeStr && len(f.value.Str()) <= shortStreamValue ||
		!slices.Contains(e.config.StreamFields, f.name) {
		return false
	}
	bytes := len(e.textOf(f.value))
	if e.streamed+bytes > maxStreamBytes {
		return true
	}
	e.streamed += bytes
	return false
}

// timeOf returns nanoseconds since the epoch, never 0: VictoriaLogs takes 0 for now.
func (e *encoder) timeOf(record plog.LogRecord) int64 {
	first, second := record.Timestamp(), record.ObservedTimestamp()
	if e.config.TimeSource == TimeFromObservedTimestamp {
		first, second = second, first
	}
	for _, timestamp := range [...]pcommon.Timestamp{first, second} {
		if timestamp > 0 && timestamp <= math.MaxInt64 {
			return int64(timestamp)
		}
	}
	return time.Now().UnixNano()
}

// minUnixNano is the least integer that VictoriaLogs reads as nanoseconds; it takes smaller ones for micro- or
// milliseconds or seconds (app/vlinsert/insertutil/timestamp.go).
const minUnixNano = 1e6 * (1 << 31)

// appendTime appends the value of `_time`.
func appendTime(dst []byte, timestamp int64) []byte {
	if timestamp >= minUnixNano {
		return strconv.AppendInt(dst, timestamp, 10)
	}
	return time.Unix(0, timestamp).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// appendRow appends the line of the row.
func (e *encoder) appendRow(dst []byte) []byte {
	dst = append(dst, `{"_time":"`...)
	dst = appendTime(dst, e.timestamp)
	dst = append(dst, `","_msg":`...)
	dst = e.appendText(dst, e.message)
	dst = append(dst, ',')
	for i := range e.row {
		if member := e.row[i].member; member != nil {
			dst = append(dst, member...)
			continue
		}
		dst = e.appendMember(dst, e.row[i].field)
	}
	if overflow := e.overflow(); overflow != "" {
		dst = appendString(dst, overflowField)
		dst = append(dst, ':')
		dst = appendString(dst, overflow)
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = '}' // the last comma
	return append(dst, '\n')
}

// appendMember appends `"name":value,`. An array is its text, as VictoriaLogs stores it: one that is nested over 300
// deep would make the line one that the server cannot parse (fastjson: MaxDepth).
func (e *encoder) appendMember(dst []byte, f field) []byte {
	dst = appendString(dst, f.name)
	dst = append(dst, ':')
	if f.value.Type() == pcommon.ValueTypeSlice {
		dst = e.appendText(dst, f.value)
	} else {
		dst = appendValue(dst, f.value)
	}
	return append(dst, ',')
}

// appendText appends a value as the JSON string that holds its text.
func (e *encoder) appendText(dst []byte, value pcommon.Value) []byte {
	if value.Type() == pcommon.ValueTypeStr {
		return appendString(dst, value.Str())
	}
	return appendString(dst, e.textOf(value))
}

// textOf returns the text that VictoriaLogs stores for a value of a field.
func (e *encoder) textOf(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return value.Str()
	case pcommon.ValueTypeBytes:
		return value.AsString()
	}
	e.text = appendValue(e.text[:0], value)
	if text := e.text; len(text) >= 2 && text[0] == '"' {
		return string(text[1 : len(text)-1]) // NaN and infinities
	}
	return string(e.text)
}

// overflow returns the JSON object of the fields that are not in the row, or nothing.
func (e *encoder) overflow() string {
	if len(e.moved) == 1 {
		return ""
	}
	return string(e.moved[:len(e.moved)-1]) + "}"
}

// rowBytes is what VictoriaLogs counts against its limit of a row (lib/logstorage/block.go: uncompressedRowSizeBytes),
// with room for what its OTLP path adds.
func (e *encoder) rowBytes() int {
	const room = 128 // timestamp, _msg, severity
	sum := room + len(e.textOf(e.message))
	for i := range e.row {
		sum += 2 + len(e.row[i].name) + len(e.textOf(e.row[i].value))
	}
	if overflow := e.overflow(); overflow != "" {
		sum += 2 + len(overflowField) + len(overflow)
	}
	return sum
}

// otlpLogs returns the row of an oversized record as an OTLP record, all fields as attributes of the record.
func (e *encoder) otlpLogs(ref recordRef) plog.Logs {
	counted := e.stats
	e.setBase(ref.resource.Resource(), ref.scope.Scope())
	e.setRow(ref.record)
	e.stats = counted // the record is in there already

	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.Timestamp(e.timestamp)) //nolint:gosec // G115: timeOf returns positive values
	record.Body().SetStr(e.textOf(e.message))
	attributes := record.Attributes()
	attributes.EnsureCapacity(len(e.row) + 1)
	for i := range e.row {
		text := e.textOf(e.row[i].value)
		if e.row[i].name == otlpSeverityField {
			record.SetSeverityText(text)
			continue
		}
		attributes.PutStr(e.row[i].name, text)
	}
	if overflow := e.overflow(); overflow != "" {
		attributes.PutStr(overflowField, overflow)
	}
	return logs
}

// copyRecords returns copies of the records in a request of their own.
func copyRecords(refs []recordRef) plog.Logs {
	logs := plog.NewLogs()
	for _, ref := range refs {
		resource := logs.ResourceLogs().AppendEmpty()
		ref.resource.Resource().CopyTo(resource.Resource())
		resource.SetSchemaUrl(ref.resource.SchemaUrl())
		scope := resource.ScopeLogs().AppendEmpty()
		ref.scope.Scope().CopyTo(scope.Scope())
		scope.SetSchemaUrl(ref.scope.SchemaUrl())
		ref.record.CopyTo(scope.LogRecords().AppendEmpty())
	}
	return logs
}
