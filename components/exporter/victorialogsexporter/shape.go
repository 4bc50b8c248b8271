package victorialogsexporter

import (
	"math/bits"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// maxShapes bounds the shapes that an encoder compares a record with.
const maxShapes = 8

// noGeneration is that of no batch.
const noGeneration = -1

// shape is what records have in common that have the same keys in the same order: which of them become fields, with
// which names, and that no limit is in their way. Only the values are left to encode. Most records of a source are of
// one shape.
type shape struct {
	present presence
	attrs   []shapeField
	body    []shapeField
	bodyMap bool
	message int // the position in body of the message's key
	fields  int

	// What follows holds for one base.
	baseID int
	usable bool
	tail   []byte // the members of the base that the shape has none of the same name of

	// generation is that of the batch that has the stream fields of this shape.
	generation int

	// run has the members that the record before had, one after the other, so that those that the next one has too are
	// copied in one go. It is stale when one of them has changed, and made anew when none has for some records.
	run      []byte
	runStale bool
	quiet    int // records since the last change
}

// quietRecords is how many records without a change make a new run worth while.
const quietRecords = 2

// refresh makes the run anew where that is worth while.
func (s *shape) refresh() {
	if s.quiet++; s.quiet <= quietRecords {
		return
	}
	s.run, s.runStale = s.run[:0], false
	for f := range s.keys {
		f.runFrom = len(s.run)
		if f.member != nil && len(f.last) > 0 {
			s.run = append(s.run, f.lastMember...)
		}
		f.runTo = len(s.run)
	}
}

// change makes the run stale.
func (s *shape) change() { s.runStale, s.quiet = true, 0 }

// shapeField is one key of a shape.
type shapeField struct {
	key    string
	name   string
	member []byte // `"name":`, nothing for a key that does not become a field
	shadow int    // the field of the base that has the same name, or -1

	// What the record before had: labels and names of files are the same from record to record. misses counts the
	// values in turn that were other ones.
	last       []byte
	lastMember []byte // `"name":"value",`
	lastDiffer bool   // the field of the base has another value
	misses     int
	// runFrom and runTo are where the member is in the run of the shape.
	runFrom, runTo int
}

// A value is remembered up to maxRememberedBytes, and while not more than maxMisses in turn have been other ones.
const (
	maxRememberedBytes = 256
	maxMisses          = 4
)

// appendText appends the member of a text that is not the one of the record before, and remembers it.
func (f *shapeField) appendText(dst []byte, s *shape, text string, base []field) []byte {
	start := len(dst)
	dst = append(dst, f.member...)
	dst = appendString(dst, text)
	dst = append(dst, ',')
	if f.misses++; f.misses <= maxMisses && len(text) <= maxRememberedBytes {
		f.last = append(f.last[:0], text...)
		f.lastMember = append(f.lastMember[:0], dst[start:]...)
		f.lastDiffer = f.differs(text, base)
		s.change()
	}
	return dst
}

// differs reports whether a field of the base has another value than the text.
func (f *shapeField) differs(text string, base []field) bool {
	return f.shadow >= 0 && textOf(&base[f.shadow]) != text
}

// forget makes the field one that no record had yet.
func (f *shapeField) forget() {
	f.last, f.misses = f.last[:0], 0
}

// appendFast appends the line of a record whose shape is known. It appends nothing and returns false for all others,
// and for those that a limit may be in the way of.
func (e *encoder) appendFast(b *batch, record plog.LogRecord) bool {
	timestamp := e.timeOf(record)
	if timestamp < pcommon.Timestamp(e.minTime) || timestamp > pcommon.Timestamp(e.maxTime) { //nolint:gosec // G115: both are positive
		return false
	}
	body := record.Body()
	bodyMap := body.Type() == pcommon.ValueTypeMap
	if !bodyMap && !hasText(body) {
		return false
	}
	present := presenceOf(record, e.config.Fields.ObservedTimestamp != "")
	attributes := record.Attributes()
	for i, s := range e.shapes {
		if s.present != present || s.bodyMap != bodyMap || len(s.attrs) != attributes.Len() ||
			bodyMap && len(s.body) != body.Map().Len() {
			continue
		}
		if s.baseID != e.baseID {
			e.link(s)
		}
		if !s.usable {
			continue
		}
		duplicates := e.stats.duplicateFields
		start := len(b.lines.data)
		line, ok := e.appendShaped(b.lines.data, s, record, int64(timestamp)) //nolint:gosec // G115: at most maxTime
		b.lines.data = line
		ok = ok && (s.generation == b.generation || e.useStreams(b, s))
		if n := len(line) - start; !ok || n > e.config.Limits.MaxLineBytes || n > e.config.Limits.MaxStreamBytes-streamRoom {
			b.lines.data = line[:start]
			e.stats.duplicateFields = duplicates
			if ok {
				return false
			}
			continue
		}
		b.lines.rows++
		b.minTime, b.maxTime = min(b.minTime, int64(timestamp)), max(b.maxTime, int64(timestamp)) //nolint:gosec // G115: as above
		e.shapeHit++
		if i > 0 {
			e.shapes[0], e.shapes[i] = s, e.shapes[0]
		}
		return true
	}
	return false
}

// appendShaped appends the line of the record, or reports that the record is not of the shape.
func (e *encoder) appendShaped(dst []byte, s *shape, record plog.LogRecord, timestamp int64) ([]byte, bool) {
	if s.runStale {
		s.refresh()
	}
	dst = append(dst, lineStart...)
	dst = e.times.append(dst, timestamp)
	dst = append(dst, `","_msg":`...)
	if s.bodyMap {
		message, ok := messageAt(record.Body().Map(), s)
		if !ok {
			return dst, false
		}
		dst = appendTextValue(dst, message)
	} else {
		dst = appendTextValue(dst, record.Body())
	}
	dst = append(dst, ',')
	dst = e.appendModel(dst, s.present, record)
	dst, ok := e.appendShapeFields(dst, s, s.attrs, -1, record.Attributes())
	if ok && s.bodyMap {
		dst, ok = e.appendShapeFields(dst, s, s.body, s.message, record.Body().Map())
	}
	if !ok {
		return dst, false
	}
	dst = append(dst, s.tail...)
	dst[len(dst)-1] = '}' // the last comma
	return append(dst, '\n'), true
}

// messageAt returns the message of a body of type map, if it is where the shape has it.
func messageAt(body pcommon.Map, s *shape) (pcommon.Value, bool) {
	value, ok := body.Get(s.body[s.message].key)
	return value, ok && hasText(value) && value.Type() != pcommon.ValueTypeMap
}

// appendModel appends the fields that the data model has a place for.
func (e *encoder) appendModel(dst []byte, present presence, record plog.LogRecord) []byte {
	if present == 0 {
		return dst
	}
	for which, name := range present.fields(e.config.Fields.ObservedTimestamp) {
		dst = appendString(dst, name)
		dst = append(dst, ':')
		switch which {
		case hasSeverityText:
			dst = appendString(dst, record.SeverityText())
		case hasEventName:
			dst = appendString(dst, record.EventName())
		default:
			dst = append(dst, '"')
			dst = appendModelText(dst, record, which) // digits, hex and RFC 3339 need no escapes
			dst = append(dst, '"')
		}
		dst = append(dst, ',')
	}
	return dst
}

// appendShapeFields appends the members of the map's values, but for the one at skip. It reports whether the map has
// the keys of the shape and nothing that needs more than to be encoded.
func (e *encoder) appendShapeFields(dst []byte, s *shape, fields []shapeField, skip int, values pcommon.Map) ([]byte, bool) {
	i, from, to := 0, 0, 0 // what is to be copied of the run
	for key, value := range values.All() {
		f := &fields[i]
		if f.key != key {
			return dst, false
		}
		if i++; i-1 == skip {
			continue
		}
		kind := value.Type()
		if f.member == nil { // but the keys inside of a map are judged by themselves
			if kind == pcommon.ValueTypeMap {
				return dst, false
			}
			continue
		}
		if kind == pcommon.ValueTypeStr {
			text := value.Str()
			if text == "" {
				return dst, false
			}
			if string(f.last) == text {
				f.misses = 0
				if f.lastDiffer {
					e.stats.duplicateFields++
				}
				switch {
				case s.runStale:
					dst = append(dst, f.lastMember...)
				case to == f.runFrom:
					to = f.runTo
				default:
					dst = append(dst, s.run[from:to]...)
					from, to = f.runFrom, f.runTo
				}
				continue
			}
			dst = append(dst, s.run[from:to]...)
			from, to = 0, 0
			if f.differs(text, e.base.fields) {
				e.stats.duplicateFields++
			}
			dst = f.appendText(dst, s, text, e.base.fields)
			continue
		}
		if kind != pcommon.ValueTypeInt && kind != pcommon.ValueTypeBool && kind != pcommon.ValueTypeDouble {
			return dst, false // a map is flattened, an empty value is no field, and the others are rare
		}
		dst = append(dst, s.run[from:to]...)
		from, to = 0, 0
		dst = append(dst, f.member...)
		dst = appendValue(dst, value)
		dst = append(dst, ',')
		if f.shadow >= 0 && !sameText(&field{value: value}, &e.base.fields[f.shadow]) {
			e.stats.duplicateFields++
		}
	}
	return append(dst, s.run[from:to]...), true
}

// link makes the shape one for the base at hand.
func (e *encoder) link(s *shape) {
	s.baseID = e.baseID
	s.generation = noGeneration
	s.usable = false
	s.change()
	s.tail = s.tail[:0]
	for f := range s.keys {
		f.shadow = -1
		f.forget()
	}
	count := fixedFields(e.config) + s.fields
	for i := range e.base.fields {
		name := e.base.fields[i].name
		if len(name) > e.config.Limits.MaxFieldNameBytes || s.modelHas(name, e.config.Fields.ObservedTimestamp) {
			return
		}
		if f := s.find(name); f != nil {
			f.shadow = i
			continue
		}
		s.tail = append(s.tail, e.baseMember(i)...)
		count++
	}
	s.usable = count <= e.config.Limits.MaxFields && e.base.tooDeep == 0
}

// keys yields all keys of the shape, those that become fields and those that do not.
func (s *shape) keys(yield func(*shapeField) bool) {
	for _, fields := range [...][]shapeField{s.attrs, s.body} {
		for i := range fields {
			if !yield(&fields[i]) {
				return
			}
		}
	}
}

func (s *shape) find(name string) *shapeField {
	for f := range s.keys {
		if f.member != nil && f.name == name {
			return f
		}
	}
	return nil
}

// modelHas reports whether a field of the data model, that records of the shape have, has the name.
func (s *shape) modelHas(name, observedField string) bool {
	for _, model := range s.present.fields(observedField) {
		if model == name {
			return true
		}
	}
	return false
}

// names yields the names of the fields that records of the shape have, those of the base last.
func (e *encoder) names(s *shape) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, name := range s.present.fields(e.config.Fields.ObservedTimestamp) {
			if !yield(name) {
				return
			}
		}
		for f := range s.keys {
			if f.member != nil && !yield(f.name) {
				return
			}
		}
		for i := range e.base.fields {
			if !yield(e.base.fields[i].name) {
				return
			}
		}
	}
}

// useStreams adds the stream fields of the shape to those of the batch, if its header has room for them.
func (e *encoder) useStreams(b *batch, s *shape) bool {
	if len(e.namer.rules.streamGlobs) == 0 {
		return true
	}
	names := e.names(s)
	if !e.streamsFit(b, names) {
		return false
	}
	for name := range names {
		e.addStream(b, name)
	}
	s.generation = b.generation
	return true
}

// learn makes a shape of a record that no limit was in the way of, unless too many of them have been made in vain.
func (e *encoder) learn(record plog.LogRecord, present presence, own *fieldSet) {
	const trials = 256
	if e.shapeNew > trials+e.shapeHit/16 {
		return
	}
	body := record.Body()
	s := &shape{present: present, bodyMap: body.Type() == pcommon.ValueTypeMap, message: -1}
	if !s.bodyMap && !hasText(body) || own.flattened || own.empty > 0 || own.duplicates > 0 {
		return
	}
	s.attrs = e.shapeFields(fromRecord, record.Attributes())
	if s.bodyMap {
		key, _ := messageOf(body.Map(), e.config.MessageKeys)
		s.body = e.shapeFields(fromBody, body.Map())
		s.message = slices.IndexFunc(s.body, func(f shapeField) bool { return f.key == key })
		if key == "" || s.message < 0 {
			return
		}
		// A key that comes before the message's must not be there: it may have a text the next time.
		for _, other := range e.config.MessageKeys {
			if other == key {
				break
			}
			if _, ok := body.Map().Get(other); ok {
				return
			}
		}
		s.body[s.message].member = nil
	}
	for i := range own.fields {
		if !own.fields[i].isText && !isPlain(own.fields[i].value) {
			return
		}
	}
	s.fields = len(own.fields)
	if s.count() != s.fields {
		return // a key that is there twice with the same value
	}
	s.baseID = e.baseID - 1
	s.generation = noGeneration
	e.shapeNew++
	if len(e.shapes) < maxShapes {
		e.shapes = append(e.shapes, s)
		return
	}
	e.turn = (e.turn + 1) % maxShapes
	e.shapes[e.turn] = s
}

// isPlain reports whether a record with the value can be appended by its shape.
func isPlain(value pcommon.Value) bool {
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeBool, pcommon.ValueTypeDouble:
		return true
	}
	return false
}

// count returns how many fields a record of the shape has.
func (s *shape) count() int {
	n := bits.OnesCount8(uint8(s.present))
	for f := range s.keys {
		if f.member != nil {
			n++
		}
	}
	return n
}

func (e *encoder) shapeFields(from source, values pcommon.Map) []shapeField {
	fields := make([]shapeField, 0, values.Len())
	for key := range values.All() {
		f := shapeField{key: strings.Clone(key), shadow: -1}
		if name, ok := e.namer.name(from, f.key); ok {
			f.name = name
			f.member = append(appendString(nil, name), ':')
		}
		fields = append(fields, f)
	}
	return fields
}
