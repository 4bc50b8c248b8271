package lokiexporter

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// state is what has become of a record.
type state uint8

const (
	statePending state = iota
	stateDelivered
	stateRefused
)

// record is a log record with what it belongs to.
type record struct {
	resource plog.ResourceLogs
	scope    plog.ScopeLogs
	log      plog.LogRecord

	state state
	kind  kind // why it is refused
}

// part is neighbouring records of one stream that go out together.
type part []*record

// plan returns all records, and the parts that they are to be sent in.
//
// A part has records of equal resources only. Which attributes of a resource are the labels of its stream is known to the
// server, so unequal resources may be different streams; and of several streams in a request the ingester answers for
// the last one (v3.7, pkg/ingester/instance.go: Push), so that a 204 says nothing about the others.
func plan(logs plog.Logs, maxBytes int) ([]record, []part) {
	records := make([]record, 0, logs.LogRecordCount())
	type stream struct {
		records part
		bytes   []int // what Loki makes of each
	}
	byKey := make(map[string]int)
	var streams []stream
	var sizer plog.ProtoMarshaler
	for _, resource := range logs.ResourceLogs().All() {
		key, resourceBytes := keyOf(resource.Resource().Attributes())
		at, known := byKey[key]
		if !known {
			at = len(streams)
			byKey[key] = at
			streams = append(streams, stream{})
		}
		for _, scope := range resource.ScopeLogs().All() {
			_, scopeBytes := keyOf(scope.Scope().Attributes())
			for _, log := range scope.LogRecords().All() {
				records = append(records, record{resource: resource, scope: scope, log: log})
				streams[at].records = append(streams[at].records, &records[len(records)-1])
				streams[at].bytes = append(streams[at].bytes, sizer.LogRecordSize(log)+resourceBytes+scopeBytes)
			}
		}
	}
	var parts []part
	for _, s := range streams {
		start, bytes := 0, 0
		for i, n := range s.bytes {
			if i > start && bytes+n > maxBytes {
				parts = append(parts, s.records[start:i])
				start, bytes = i, 0
			}
			bytes += n
		}
		if start < len(s.records) {
			parts = append(parts, s.records[start:])
		}
	}
	return records, parts
}

// keyOf returns a text that equal attributes have in common, and their size.
func keyOf(attributes pcommon.Map) (string, int) {
	var key []byte
	size := 0
	for name, value := range attributes.All() {
		text := value.AsString()
		size += len(name) + len(text)
		for _, s := range [2]string{name, text} {
			key = strconv.AppendInt(key, int64(len(s)), 10)
			key = append(append(key, ':'), s...)
		}
	}
	return string(key), size
}

// requestOf returns a request with copies of the records, or with the original ones where it has all of them.
func requestOf(logs plog.Logs, records []*record) plog.Logs {
	if len(records) == logs.LogRecordCount() {
		return logs
	}
	request := plog.NewLogs()
	var resource plog.ResourceLogs
	var scope plog.ScopeLogs
	var last *record
	for _, r := range records {
		if last == nil || r.resource != last.resource {
			resource = request.ResourceLogs().AppendEmpty()
			r.resource.Resource().CopyTo(resource.Resource())
			resource.SetSchemaUrl(r.resource.SchemaUrl())
		}
		if last == nil || r.scope != last.scope {
			scope = resource.ScopeLogs().AppendEmpty()
			r.scope.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(r.scope.SchemaUrl())
		}
		r.log.CopyTo(scope.LogRecords().AppendEmpty())
		last = r
	}
	return request
}

// pick returns the records in one of the states.
func pick(records []record, states ...state) []*record {
	var picked []*record
	for i := range records {
		for _, s := range states {
			if records[i].state == s {
				picked = append(picked, &records[i])
			}
		}
	}
	return picked
}
