package victorialogsexporter

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// reservedPrefix makes an attribute name out of one that VictoriaLogs keeps for itself.
const reservedPrefix = "attributes."

// overflowField holds, as a JSON object, the fields that the server would not store as fields of their own.
const overflowField = "overflow_fields"

// isReservedName reports whether VictoriaLogs, which takes an empty name for `_msg`, or this exporter gives the field
// name a meaning of its own.
func isReservedName(name string) bool {
	switch name {
	case "", "_msg", "_time", "_stream", "_stream_id", overflowField:
		return true
	}
	return false
}

// field is one name and value of a row. It refers to the memory of the pdata that it was read from.
type field struct {
	name  string
	value pcommon.Value
}

// fieldSet is an ordered set of fields without two of one name: the first one added stays.
type fieldSet struct {
	fields []field
	// index is in use from indexFrom fields on; below, comparing a few names costs less than hashing.
	index map[string]int
	// duplicates counts the fields that were left out although their value is another one.
	duplicates int
}

const indexFrom = 48

func (s *fieldSet) reset() {
	clear(s.fields)
	s.fields = s.fields[:0]
	clear(s.index)
	s.duplicates = 0
}

// find returns the position of the field, or -1.
func (s *fieldSet) find(name string) int {
	if len(s.fields) < indexFrom {
		for i := range s.fields {
			if s.fields[i].name == name {
				return i
			}
		}
		return -1
	}
	if len(s.index) < len(s.fields) {
		if s.index == nil {
			s.index = make(map[string]int, 2*len(s.fields))
		}
		for i := len(s.index); i < len(s.fields); i++ {
			s.index[s.fields[i].name] = i
		}
	}
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// add appends a leaf, unless it is empty (VictoriaLogs stores an empty value as a missing one) or its name is taken.
func (s *fieldSet) add(name string, value pcommon.Value) {
	if !hasText(value) {
		return
	}
	if isReservedName(name) {
		name = reservedPrefix + name
	}
	if i := s.find(name); i >= 0 {
		if !s.fields[i].value.Equal(value) {
			s.duplicates++
		}
		return
	}
	s.fields = append(s.fields, field{name: name, value: value})
}

// addString is add for a value that is not in the pdata.
func (s *fieldSet) addString(name, value string) {
	if value != "" {
		s.add(name, pcommon.NewValueStr(value))
	}
}

// addMap adds the leaves of a map, the names of nested maps joined with `.`; arrays stay whole.
func (s *fieldSet) addMap(prefix string, m pcommon.Map) {
	for key, value := range m.All() {
		name := key
		if prefix != "" {
			name = prefix + "." + key
		}
		if value.Type() == pcommon.ValueTypeMap {
			s.addMap(name, value.Map())
			continue
		}
		s.add(name, value)
	}
}

// addScope adds what identifies the instrumentation scope, and its attributes.
func (s *fieldSet) addScope(scope pcommon.InstrumentationScope) {
	s.addMap("", scope.Attributes())
	s.addString("scope.name", scope.Name())
	s.addString("scope.version", scope.Version())
}

// addRecord adds the fields of a record in the order of precedence: what the data model has a place for, attributes,
// fields lifted from the body. It returns the message.
func (s *fieldSet) addRecord(record plog.LogRecord, config *Config) pcommon.Value {
	s.addString("severity_text", record.SeverityText())
	if number := record.SeverityNumber(); number != plog.SeverityNumberUnspecified {
		s.add("severity_number", pcommon.NewValueInt(int64(number)))
	}
	if id := record.TraceID(); !id.IsEmpty() {
		s.addString("trace_id", id.String())
	}
	if id := record.SpanID(); !id.IsEmpty() {
		s.addString("span_id", id.String())
	}
	if flags := record.Flags(); flags != 0 {
		s.add("trace_flags", pcommon.NewValueInt(int64(flags)))
	}
	s.addString("event_name", record.EventName())
	if dropped := record.DroppedAttributesCount(); dropped != 0 {
		s.add("dropped_attributes_count", pcommon.NewValueInt(int64(dropped)))
	}
	s.addMap("", record.Attributes())

	message := record.Body()
	if message.Type() == pcommon.ValueTypeMap {
		message = s.addBodyMap(message.Map(), config.MessageKeys)
	}
	if !hasText(message) {
		message = pcommon.NewValueStr(record.EventName())
	}
	if !hasText(message) {
		message = pcommon.NewValueStr(config.DefaultMessage)
	}
	return message
}

// addBodyMap lifts a body of type map into fields, but for the first of keys that holds something, which it returns.
func (s *fieldSet) addBodyMap(body pcommon.Map, keys []string) pcommon.Value {
	messageKey, message := "", pcommon.NewValueEmpty()
	for _, key := range keys {
		if value, ok := body.Get(key); ok && hasText(value) && value.Type() != pcommon.ValueTypeMap {
			messageKey, message = key, value
			break
		}
	}
	for key, value := range body.All() {
		switch {
		case key == messageKey && messageKey != "":
		case value.Type() == pcommon.ValueTypeMap:
			s.addMap(key, value.Map())
		default:
			s.add(key, value)
		}
	}
	return message
}

func hasText(value pcommon.Value) bool {
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
		return false
	case pcommon.ValueTypeStr:
		return value.Str() != ""
	case pcommon.ValueTypeBytes:
		return value.Bytes().Len() > 0
	}
	return true
}
