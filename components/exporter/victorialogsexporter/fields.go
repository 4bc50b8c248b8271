package victorialogsexporter

import (
	"encoding/hex"
	"iter"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// field is one name and value of a row. It refers to the memory of the pdata, or of the fieldSet, that it is from.
type field struct {
	name  string
	value pcommon.Value // where isText is not set
	// text is the value of a field that pdata has no Value of. To make one would cost an allocation.
	text   string
	isText bool
}

// fieldSet is an ordered set of fields without two of one name: the first one added stays.
type fieldSet struct {
	fields []field
	// index is in use from indexFrom fields on; below, comparing a few names costs less than hashing.
	index map[string]int
	// arena holds the names and texts that are not in the pdata. An append may move it, which leaves the old memory
	// to those that refer to it.
	arena []byte

	// duplicates counts the fields that were left out although their value is another one.
	duplicates int
	// empty counts those without text, excluded those that the configuration leaves out.
	empty, excluded int
	// flattened says that a field is from inside of a map, tooDeep counts the maps that were not flattened.
	flattened bool
	tooDeep   int
}

const indexFrom = 48

func (s *fieldSet) reset() {
	clear(s.fields)
	if cap(s.arena) > maxPooledBytes {
		s.arena = nil
	}
	*s = fieldSet{fields: s.fields[:0], index: s.index, arena: s.arena[:0]}
	clear(s.index)
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

// add appends the field unless its name is taken.
func (s *fieldSet) add(f field) {
	if i := s.find(f.name); i >= 0 {
		if !sameText(&s.fields[i], &f) {
			s.duplicates++
		}
		return
	}
	s.fields = append(s.fields, f)
}

// addText adds a field that pdata has no Value of.
func (s *fieldSet) addText(name, text string) {
	if text != "" {
		s.add(field{name: name, text: text, isText: true})
	}
}

// keep returns a string that has the bytes appended to the arena since start.
func (s *fieldSet) keep(start int) string {
	b := s.arena[start:]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// addMap adds the leaves of a map, the keys of nested maps joined with `.`. Arrays stay whole, and so do maps that are
// nested as deep as the server parses, or whose key is no name for the server already: their leaves have longer ones, and
// a small message could ask for any amount of memory with them.
func (s *fieldSet) addMap(n *namer, from source, prefix string, m pcommon.Map, depth int) {
	for key, value := range m.All() {
		s.addValue(n, from, prefix, key, value, depth)
	}
}

func (s *fieldSet) addValue(n *namer, from source, prefix, key string, value pcommon.Value, depth int) {
	if !hasText(value) {
		s.empty++
		return
	}
	if depth > 1 { // also where the outer key is empty
		s.flattened = true
		start := len(s.arena)
		s.arena = append(append(append(s.arena, prefix...), '.'), key...)
		key = s.keep(start)
	}
	if value.Type() == pcommon.ValueTypeMap {
		s.flattened = true
		switch {
		case depth >= n.rules.maxDepth:
			s.tooDeep++
		case len(key) <= n.rules.maxNameBytes:
			s.addMap(n, from, key, value.Map(), depth+1)
			return
		}
	}
	name, ok := n.name(from, key)
	if !ok {
		s.excluded++
		return
	}
	s.add(field{name: name, value: value})
}

const (
	scopeNameField    = "scope.name"
	scopeVersionField = "scope.version"
)

// addScope adds what identifies the instrumentation scope, and its attributes.
func (s *fieldSet) addScope(n *namer, scope pcommon.InstrumentationScope) {
	s.addMap(n, fromScope, "", scope.Attributes(), 1)
	s.addText(scopeNameField, scope.Name())
	s.addText(scopeVersionField, scope.Version())
}

// presence is the set of fields that the data model has a place for and a record has.
type presence uint8

const (
	hasSeverityText presence = 1 << iota
	hasSeverityNumber
	hasTraceID
	hasSpanID
	hasFlags
	hasEventName
	hasDroppedCount
	hasObserved
)

var presenceNames = []struct {
	bit  presence
	name string
}{
	{hasSeverityText, "severity_text"},
	{hasSeverityNumber, "severity_number"},
	{hasTraceID, "trace_id"},
	{hasSpanID, "span_id"},
	{hasFlags, "trace_flags"},
	{hasEventName, "event_name"},
	{hasDroppedCount, "dropped_attributes_count"},
}

// fields yields the fields of the data model that are present, with their names, the observed timestamp last.
func (p presence) fields(observedField string) iter.Seq2[presence, string] {
	return func(yield func(presence, string) bool) {
		for i := range presenceNames {
			if p&presenceNames[i].bit != 0 && !yield(presenceNames[i].bit, presenceNames[i].name) {
				return
			}
		}
		if p&hasObserved != 0 {
			yield(hasObserved, observedField)
		}
	}
}

// isModelName reports whether a field of the data model has the name.
func isModelName(name string) bool {
	for i := range presenceNames {
		if presenceNames[i].name == name {
			return true
		}
	}
	return name == scopeNameField || name == scopeVersionField
}

// presenceOf returns what the record has; the observed timestamp counts where it is to be stored.
func presenceOf(record plog.LogRecord, storeObserved bool) presence {
	var p presence
	if record.SeverityText() != "" {
		p |= hasSeverityText
	}
	if record.SeverityNumber() != plog.SeverityNumberUnspecified {
		p |= hasSeverityNumber
	}
	if !record.TraceID().IsEmpty() {
		p |= hasTraceID
	}
	if !record.SpanID().IsEmpty() {
		p |= hasSpanID
	}
	if record.Flags() != 0 {
		p |= hasFlags
	}
	if record.EventName() != "" {
		p |= hasEventName
	}
	if record.DroppedAttributesCount() != 0 {
		p |= hasDroppedCount
	}
	if storeObserved && record.ObservedTimestamp() != 0 {
		p |= hasObserved
	}
	return p
}

// appendModelText appends the text of a field of the data model.
func appendModelText(dst []byte, record plog.LogRecord, which presence) []byte {
	switch which {
	case hasSeverityText:
		return append(dst, record.SeverityText()...)
	case hasSeverityNumber:
		return appendInt(dst, int64(record.SeverityNumber()))
	case hasTraceID:
		id := record.TraceID()
		return hex.AppendEncode(dst, id[:])
	case hasSpanID:
		id := record.SpanID()
		return hex.AppendEncode(dst, id[:])
	case hasFlags:
		return appendInt(dst, int64(record.Flags()))
	case hasEventName:
		return append(dst, record.EventName()...)
	case hasDroppedCount:
		return appendInt(dst, int64(record.DroppedAttributesCount()))
	default:
		return appendRFC3339(dst, record.ObservedTimestamp())
	}
}

// appendRFC3339 appends a timestamp, also one after the year 2262, which has no int64 of nanoseconds.
func appendRFC3339(dst []byte, timestamp pcommon.Timestamp) []byte {
	const second = uint64(time.Second)
	t := time.Unix(int64(uint64(timestamp)/second), int64(uint64(timestamp)%second)) //nolint:gosec // G115: both are below 2^63
	return t.UTC().AppendFormat(dst, time.RFC3339Nano)
}

// addModel adds the fields that the data model has a place for.
func (s *fieldSet) addModel(record plog.LogRecord, present presence, observedField string) {
	for which, name := range present.fields(observedField) {
		start := len(s.arena)
		s.arena = appendModelText(s.arena, record, which)
		s.addText(name, s.keep(start))
	}
}

// addRecord adds the fields of a record in the order of precedence: what the data model has a place for, attributes,
// fields lifted from the body. It returns the message, or an empty value where the record has none.
func (s *fieldSet) addRecord(n *namer, record plog.LogRecord, present presence, config *Config) pcommon.Value {
	s.addModel(record, present, config.Fields.ObservedTimestamp)
	s.addMap(n, fromRecord, "", record.Attributes(), 1)

	message := record.Body()
	if message.Type() != pcommon.ValueTypeMap {
		return message
	}
	body := message.Map()
	messageKey, message := messageOf(body, config.MessageKeys)
	for key, value := range body.All() {
		if key == messageKey && messageKey != "" {
			continue
		}
		s.addValue(n, fromBody, "", key, value, 1)
	}
	return message
}

// messageOf returns the first of the keys that holds something in a body of type map, and what it holds.
func messageOf(body pcommon.Map, keys []string) (string, pcommon.Value) {
	for _, key := range keys {
		if value, ok := body.Get(key); ok && hasText(value) && value.Type() != pcommon.ValueTypeMap {
			return key, value
		}
	}
	return "", emptyValue
}

// emptyValue is read only.
var emptyValue = pcommon.NewValueEmpty()

// hasText reports whether the value is more than an empty string: VictoriaLogs stores an empty value as a missing one.
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

// sameText reports whether two fields of one name have the same text.
func sameText(a, b *field) bool {
	switch {
	case !a.isText && !b.isText:
		return a.value.Equal(b.value)
	case a.isText && b.isText:
		return a.text == b.text
	case a.isText:
		return a.text == textOf(b)
	}
	return b.text == textOf(a)
}

// textOf returns the text that VictoriaLogs stores for a field.
func textOf(f *field) string {
	switch {
	case f.isText:
		return f.text
	case f.value.Type() == pcommon.ValueTypeStr:
		return f.value.Str()
	}
	return string(appendValueText(nil, f.value))
}

// appendValueText appends the text that VictoriaLogs stores for a value.
func appendValueText(dst []byte, value pcommon.Value) []byte {
	start := len(dst)
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return append(dst, value.Str()...)
	case pcommon.ValueTypeEmpty:
		return dst
	}
	dst = appendValue(dst, value)
	if text := dst[start:]; len(text) >= 2 && text[0] == '"' { // bytes, NaN and infinities
		copy(text, text[1:])
		dst = dst[:len(dst)-2]
	}
	return dst
}
