package victorialogsexporter

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// kind is a limit that a record can be over; the values are those of the attributes `kind` and `reason` in
// metadata.yaml and the keys of `on_violation`.
type kind string

const (
	kindLineBytes      kind = "line_bytes"
	kindRowBytes       kind = "row_bytes"
	kindFieldCount     kind = "field_count"
	kindFieldNameBytes kind = "field_name_bytes"
	kindStreamBytes    kind = "stream_bytes"
	kindDepth          kind = "depth"
	kindFuture         kind = "future"
	kindPast           kind = "past"
	kindTenant         kind = "tenant"
	// kindRefused is no limit: VictoriaLogs refused the request for good.
	kindRefused kind = "refused"
)

// What the server's index item of a stream has beside names and values: streamRoom once, streamFieldRoom for each field
// (lib/logstorage/indexdb.go: mustRegisterStream; stream_tags.go: MarshalCanonical, marshalTagValue).
const (
	streamRoom      = 64
	streamFieldRoom = 6
)

// What a row on the OTLP path has beside the names and values of its fields (lib/logstorage/block.go:
// uncompressedRowSizeBytes): rowRoom once, rowFieldRoom for each field.
const (
	rowRoom      = 128
	rowFieldRoom = 2
)

// rowField is a field of a row, with its JSON member where that is encoded already.
type rowField struct {
	field
	member []byte
}

// cutMark says how long a value, or the name of a field, was.
type cutMark struct {
	name  string
	bytes int
}

// rowBuilder builds the rows of records that no shape is there for, or that a limit may be in the way of.
type rowBuilder struct {
	encoder *encoder

	own     fieldSet
	message pcommon.Value // or, where isText is set, text
	text    string
	isText  bool

	timestamp int64             // nanoseconds since the epoch
	volatile  bool              // the timestamp is that of the encoding
	original  pcommon.Timestamp // the record's own, where it was clamped

	row   []rowField // what becomes fields of the row
	moved []byte     // what does not: the members of a JSON object, `{"name":value,`
	cuts  []cutMark  // what was cut

	splitID     string
	part, parts int

	stats  encodeStats
	reject kind
}

func (r *rowBuilder) release() {
	r.own.reset()
	clear(r.row)
	*r = rowBuilder{encoder: r.encoder, own: r.own, row: r.row[:0], moved: r.moved[:0], cuts: r.cuts[:0]}
	if cap(r.moved) > maxPooledBytes {
		r.moved = nil
	}
}

// append appends what the record becomes to the batch. It returns false for a record that is rejected.
func (r *rowBuilder) append(b *batch, record plog.LogRecord, index int, emit func(*batch)) bool {
	e := r.encoder
	r.release()
	present := presenceOf(record, e.config.Fields.ObservedTimestamp != "")
	r.setFields(record, present)
	r.setTime(record)
	r.limitFields(r.ownFields())
	r.limitStream()
	clean := len(r.stats.violations) == 0 && !r.volatile

	if r.reject == "" && !e.streamsFit(b, r.names) {
		e.emit(b, emit)
	}
	if r.reject == "" {
		r.appendLines(b, index)
	}
	if r.reject != "" {
		e.stats.violate(r.reject, ActionReject, 1)
		e.rejected = append(e.rejected, rejection{index: index, kind: r.reject})
		if r.reject == kindPast || r.reject == kindFuture {
			r.leaveTrace(b)
		}
		return false
	}
	e.stats.add(&r.stats)
	for name := range r.names {
		e.addStream(b, name)
	}
	if clean {
		e.learn(record, present, &r.own)
	}
	return true
}

func (r *rowBuilder) names(yield func(string) bool) {
	for i := range r.row {
		if !yield(r.row[i].name) {
			return
		}
	}
}

// setFields takes the message and the fields of the record: its own before those of the base.
func (r *rowBuilder) setFields(record plog.LogRecord, present presence) {
	e := r.encoder
	r.message = r.own.addRecord(&e.namer, record, present, e.config)
	if !hasText(r.message) {
		r.text, r.isText = record.EventName(), true
		if r.text == "" {
			r.text = e.config.DefaultMessage
		}
	}
	r.stats.duplicateFields += r.own.duplicates
	for i := range r.own.fields {
		r.addField(r.own.fields[i], nil)
	}
	for i := range e.base.fields {
		f := &e.base.fields[i]
		if at := r.own.find(f.name); at < 0 {
			r.addField(*f, e.baseMember(i))
		} else if !sameText(&r.own.fields[at], f) {
			r.stats.duplicateFields++
		}
	}
	r.violate(kindDepth, e.config.OnViolation.Depth, r.own.tooDeep+e.base.tooDeep)
}

// violate notes what is done about a limit, or that the record is rejected for it.
func (r *rowBuilder) violate(k kind, action Action, n int) {
	if n == 0 {
		return
	}
	if action == ActionReject {
		if r.reject == "" {
			r.reject = k
		}
		return
	}
	r.stats.violate(k, action, n)
}

// addField makes the field one of the row, unless its name is over the server's limit.
func (r *rowBuilder) addField(f field, member []byte) {
	limit := r.encoder.config.Limits.MaxFieldNameBytes
	if len(f.name) <= limit {
		r.row = append(r.row, rowField{field: f, member: member})
		return
	}
	action := r.encoder.config.OnViolation.FieldNameBytes
	r.violate(kindFieldNameBytes, action, 1)
	if action == ActionTruncate {
		whole := f.name
		f.name = shortName(whole, limit)
		r.markCut(f.name, len(whole))
		r.row = append(r.row, rowField{field: f})
		return
	}
	r.move(&f)
}

// shortName cuts a name. The hash of the whole one keeps it apart from others with the same beginning.
func shortName(name string, limit int) string {
	sum := xxh3.HashString128(name).Bytes()
	suffix := "~" + hex.EncodeToString(sum[:4])
	return name[:wholeRunes(name, limit-len(suffix))] + suffix
}

// wholeRunes returns the greatest length up to n that does not cut a rune of s.
func wholeRunes(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for cut := n; cut > n-utf8.UTFMax && cut > 0; cut-- {
		if utf8.RuneStart(s[cut]) {
			return cut
		}
	}
	return n // not UTF-8
}

// move makes the field a member of the overflow field.
func (r *rowBuilder) move(f *field) {
	if len(r.moved) == 0 {
		r.moved = append(r.moved, '{')
	}
	r.moved = appendMember(r.moved, f)
}

// markCut notes the whole length of a field, or of the name of one.
func (r *rowBuilder) markCut(name string, bytes int) {
	if !slices.ContainsFunc(r.cuts, func(c cutMark) bool { return c.name == name }) {
		r.cuts = append(r.cuts, cutMark{name: name, bytes: bytes})
	}
}

// cutObject returns the JSON object of the whole lengths.
func (r *rowBuilder) cutObject() string {
	dst := []byte{'{'}
	for _, c := range r.cuts {
		dst = appendString(dst, c.name)
		dst = append(dst, ':')
		dst = appendInt(dst, int64(c.bytes))
		dst = append(dst, ',')
	}
	return object(dst)
}

// object returns the text of the JSON object with the members, which end with a comma.
func object(members []byte) string { return string(members[:len(members)-1]) + "}" }

// setTime takes the time of the record, or now where it has none or one that the server would drop the row for.
func (r *rowBuilder) setTime(record plog.LogRecord) {
	e := r.encoder
	timestamp := e.timeOf(record)
	k, action := kind(""), Action("")
	switch {
	case timestamp == 0:
	case timestamp > pcommon.Timestamp(e.maxTime): //nolint:gosec // G115: positive
		k, action = kindFuture, e.config.OnViolation.Future
	case e.config.Limits.MaxPast > 0 && timestamp < pcommon.Timestamp(e.minTime): //nolint:gosec // G115: positive
		k, action = kindPast, e.config.OnViolation.Past
	default:
		r.timestamp = int64(timestamp) //nolint:gosec // G115: at most maxTime
		return
	}
	r.timestamp, r.volatile = e.now, true
	if k != "" {
		r.original = timestamp
		r.violate(k, action, 1)
	}
}

// ownFields returns how many fields of this exporter's the row has, but for the overflow field.
func (r *rowBuilder) ownFields() int {
	n := 0
	if r.original != 0 {
		n++
	}
	if len(r.cuts) > 0 {
		n++
	}
	if r.parts > 0 {
		n += 3
	}
	return n
}

// fixedFields returns how many fields every row has: _time, _msg and the delivery id. The server does not count the
// last one, but a block of one stream in which two rows have over 2,000 between them loses rows without a trace
// (lib/logstorage/block.go: mustInitFromRows).
func fixedFields(config *Config) int {
	if config.Idempotency.Enabled {
		return 3
	}
	return 2
}

// limitFields moves fields until the row, with so many fields of this exporter's own, has not more than the server
// takes: the last ones, but for stream fields, without one of which the row would land in another stream.
func (r *rowBuilder) limitFields(own int) {
	own += fixedFields(r.encoder.config)
	limit := r.encoder.config.Limits.MaxFields
	if overflow := min(1, len(r.moved)); len(r.row)+own+overflow <= limit {
		return
	}
	surplus := len(r.row) + own + 1 - limit
	action := r.encoder.config.OnViolation.FieldCount
	r.violate(kindFieldCount, action, surplus)
	if action == ActionReject {
		return
	}
	from := len(r.row)
	for found := 0; found < surplus && from > 0; {
		if from--; !r.encoder.namer.isStream(r.row[from].name) {
			found++
		}
	}
	kept := r.row[:from]
	for i := from; i < len(r.row); i++ {
		if r.encoder.namer.isStream(r.row[i].name) {
			kept = append(kept, r.row[i])
			continue
		}
		r.move(&r.row[i].field)
	}
	r.row = kept
	if len(r.row)+own+1 > limit && r.reject == "" {
		r.reject = kindFieldCount // more stream fields than fields that the server takes
	}
}

// limitStream takes care that the server's index, and the header, have room for the stream fields of the row. The
// longest ones give way, so that the row stays as near to its stream as can be.
func (r *rowBuilder) limitStream() {
	e := r.encoder
	action := e.config.OnViolation.StreamBytes
	for {
		longest, surplus := r.streamSurplus()
		if longest < 0 {
			break
		}
		r.violate(kindStreamBytes, action, 1)
		if action == ActionReject {
			break
		}
		f := &r.row[longest].field
		if n := r.streamCut(f, surplus); action == ActionTruncate && n > 0 {
			text := textOf(f)
			r.markCut(f.name, len(text))
			r.row[longest] = rowField{field: field{name: f.name, text: text[:n], isText: true}}
			continue
		}
		r.move(f)
		r.row = slices.Delete(r.row, longest, longest+1)
	}
	r.limitFields(r.ownFields()) // the marker and the overflow field are fields, too
}

// streamSurplus returns how many bytes the stream fields of the row are over what the index takes, and the field with
// the longest value, or, where the header has no room for a name, that field and no bytes. It returns -1 for a row that
// is within the limits.
func (r *rowBuilder) streamSurplus() (longest, surplus int) {
	e := r.encoder
	surplus = streamRoom - e.config.Limits.MaxStreamBytes
	header := len(e.namer.rules.streamHeader)
	longest, most := -1, -1
	for i := range r.row {
		f := &r.row[i].field
		if !e.namer.isStream(f.name) {
			continue
		}
		if !e.namer.rules.streams[f.name] {
			if header += len(f.name) + 1; header > maxStreamHeaderBytes {
				return i, 0
			}
		}
		text := textOf(f)
		bytes := len(text) + controls(text)
		surplus += len(f.name) + streamFieldRoom + bytes
		if bytes >= most {
			longest, most = i, bytes
		}
	}
	if surplus <= 0 {
		return -1, 0
	}
	return longest, surplus
}

// streamCut returns how much of a value is left when the surplus is cut off it: nothing where that is all of it, or
// where it is the name that has no room.
func (r *rowBuilder) streamCut(f *field, surplus int) int {
	text := textOf(f)
	n := len(text)
	for left := surplus; left > 0 && n > 0; n-- {
		left -= 1 + controls(text[n-1:n])
	}
	if surplus == 0 {
		return 0
	}
	return wholeRunes(text, n)
}

// controls counts the bytes that the index stores as two (lib/logstorage/stream_tags.go: marshalTagValue).
func controls(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] <= 2 {
			n++
		}
	}
	return n
}

// messageText returns the text of the message.
func (r *rowBuilder) messageText() string {
	if !r.isText {
		r.text, r.isText = textOf(&field{value: r.message}), true
	}
	return r.text
}

// appendLines appends the line of the row to the batch, or, where it is too long for that, does what is configured.
func (r *rowBuilder) appendLines(b *batch, index int) {
	start := len(b.lines.data)
	b.lines.data = r.appendLine(b.lines.data)
	line := b.lines.data[start:]
	limits := &r.encoder.config.Limits
	if len(line) <= limits.MaxLineBytes && (len(line)+rowRoom <= limits.MaxRowBytes || r.rowBytes() <= limits.MaxRowBytes) {
		r.finish(b, &b.lines, start)
		return
	}
	b.lines.data = b.lines.data[:start]
	k, action := kindLineBytes, r.encoder.config.OnViolation.LineBytes
	if r.rowBytes() > limits.MaxRowBytes {
		k, action = kindRowBytes, r.encoder.config.OnViolation.RowBytes
	}
	done := false
	switch action {
	case ActionOTLP:
		r.appendOver(b, line, index)
		done = true
	case ActionTruncate:
		done = r.truncate(b, k, index)
	case ActionSplit:
		done = r.split(b, index-b.from)
	}
	if !done {
		action = ActionReject
	}
	r.violate(k, action, 1)
}

// appendOver appends a line, which may be behind the end of the other buffer, to those of the OTLP path.
func (r *rowBuilder) appendOver(b *batch, line []byte, index int) {
	b.overRecords = append(b.overRecords, index)
	start := len(b.over.data)
	b.over.data = append(b.over.data, line...)
	r.finish(b, &b.over, start)
}

// finish makes a row of what the buffer has from start on.
func (r *rowBuilder) finish(b *batch, l *lineBuffer, start int) {
	l.rows++
	if !r.volatile {
		b.minTime, b.maxTime = min(b.minTime, r.timestamp), max(b.maxTime, r.timestamp)
		return
	}
	from := start + len(lineStart)
	l.volatile = append(l.volatile, span{from: from, to: from + len(appendTime(nil, r.timestamp)), text: r.ownTime()})
	if r.original == 0 {
		b.untimed = true
		return
	}
	b.anyTime = true
	// A row that is not clamped at another time does not have the member, which comes after _msg at least.
	member := appendMember([]byte{','}, &field{name: originalTimeField, text: string(appendRFC3339(nil, r.original)), isText: true})
	member = member[:len(member)-1]
	from = start + bytes.LastIndex(l.data[start:], member)
	l.volatile = append(l.volatile, span{from: from, to: from + len(member)})
}

// ownTime returns the `_time` that the row has where it is not clamped, or nothing for a record without a time.
func (r *rowBuilder) ownTime() string {
	switch {
	case r.original == 0:
		return ""
	case r.original > math.MaxInt64:
		return string(appendRFC3339(nil, r.original))
	}
	return string(appendTime(nil, int64(r.original)))
}

// content returns the line of the row as it is whenever it is encoded.
func (r *rowBuilder) content() []byte {
	timeless := *r
	timeless.original, timeless.timestamp = 0, 0
	if r.volatile {
		return append(timeless.appendLine(nil), r.ownTime()...)
	}
	return appendTime(timeless.appendLine(nil), r.timestamp)
}

// leaveTrace gives a record that is rejected for its time the part in the content address that it has at a time when it
// is not, so that its neighbours are known by the same one.
func (r *rowBuilder) leaveTrace(b *batch) {
	unclamped := *r
	unclamped.original, unclamped.volatile = 0, false
	line := unclamped.appendLine(nil)
	from := len(lineStart)
	to := from + len(appendTime(nil, r.timestamp))
	at := len(b.lines.data)
	b.anyTime = true
	b.lines.volatile = append(b.lines.volatile, span{from: at, to: at, text: string(line[:from]) + r.ownTime() + string(line[to:])})
}

// appendLine appends the line of the row.
func (r *rowBuilder) appendLine(dst []byte) []byte {
	dst = append(dst, lineStart...)
	dst = appendTime(dst, r.timestamp)
	dst = append(dst, `","_msg":`...)
	if r.isText {
		dst = appendString(dst, r.text)
	} else {
		dst = appendTextValue(dst, r.message)
	}
	dst = append(dst, ',')
	for i := range r.row {
		if member := r.row[i].member; member != nil {
			dst = append(dst, member...)
			continue
		}
		dst = appendMember(dst, &r.row[i].field)
	}
	own := func(name, text string) {
		dst = appendMember(dst, &field{name: name, text: text, isText: true})
	}
	if len(r.moved) > 0 {
		own(overflowField, object(r.moved))
	}
	if len(r.cuts) > 0 {
		own(truncatedField, r.cutObject())
	}
	if r.original != 0 {
		own(originalTimeField, string(appendRFC3339(nil, r.original)))
	}
	if r.parts > 0 {
		own(splitIDField, r.splitID)
		own(splitPartField, string(appendInt(nil, int64(r.part))))
		own(splitPartsField, string(appendInt(nil, int64(r.parts))))
	}
	dst[len(dst)-1] = '}' // the last comma
	return append(dst, '\n')
}

// rowBytes is what VictoriaLogs counts against its limit of a row, with room for what its OTLP path adds.
func (r *rowBuilder) rowBytes() int {
	sum := rowRoom + len(r.messageText())
	for i := range r.row {
		sum += rowFieldRoom + len(r.row[i].name) + len(textOf(&r.row[i].field))
	}
	if len(r.moved) > 0 {
		sum += rowFieldRoom + len(overflowField) + len(r.moved)
	}
	if len(r.cuts) > 0 {
		sum += rowFieldRoom + len(truncatedField) + len(r.cutObject())
	}
	// Whether the time is clamped or not, so that it does not decide about the row.
	return sum + rowFieldRoom + len(originalTimeField) + len(time.RFC3339Nano)
}

// originalRoom is how much longer the member of the original time can get: where a message is cut must not depend on
// whether the time is clamped, nor on how many digits it has.
func (r *rowBuilder) originalRoom() int {
	if r.original != 0 {
		return len(time.RFC3339Nano) - len(appendRFC3339(nil, r.original))
	}
	return len(`"":"",`) + len(originalTimeField) + len(time.RFC3339Nano)
}

// maxCuts bounds how many values of a row are cut.
const maxCuts = 32

// truncate cuts values until the row is within its limit, and appends it. It reports whether that could be done.
func (r *rowBuilder) truncate(b *batch, k kind, index int) bool {
	r.limitFields(r.ownFields() + 1)
	if r.reject != "" {
		return false
	}
	limits := &r.encoder.config.Limits
	toOTLP := k == kindRowBytes && r.encoder.config.OnViolation.LineBytes == ActionOTLP
	for range maxCuts {
		start := len(b.lines.data)
		b.lines.data = r.appendLine(b.lines.data)
		line := b.lines.data[start:]
		over := len(line) - limits.MaxLineBytes + r.originalRoom()
		if toOTLP {
			over = r.rowBytes() - limits.MaxRowBytes
		}
		if over <= 0 && !toOTLP {
			r.finish(b, &b.lines, start)
			return true
		}
		b.lines.data = b.lines.data[:start]
		if over <= 0 {
			r.appendOver(b, line, index)
			return true
		}
		if !r.cutLongest(over, toOTLP) {
			return false
		}
	}
	return false
}

// cutLongest cuts so many bytes, and what the marker needs, off the message, or off the longest other value where that
// is longer. Stream fields stay whole.
func (r *rowBuilder) cutLongest(over int, raw bool) bool {
	length := escapedTextLen
	if raw {
		length = func(s string) int { return len(s) }
	}
	at, longest := -1, length(r.messageText())
	for i := range r.row {
		f := &r.row[i].field
		if n := length(textOf(f)); n > longest && !r.encoder.namer.isStream(f.name) {
			at, longest = i, n
		}
	}
	const markerRoom = 256 // a name of 128 bytes and a number, escaped
	budget := longest - over - markerRoom
	if budget < 0 {
		budget = 0
	}
	if budget >= longest {
		return false
	}
	if at < 0 {
		whole := r.messageText()
		if r.text = whole[:cutAt(whole, budget, raw)]; r.text == "" {
			r.text = r.encoder.config.DefaultMessage
			if len(r.text) >= len(whole) {
				return false
			}
		}
		r.markCut("_msg", len(whole))
		return true
	}
	f := &r.row[at].field
	whole := textOf(f)
	r.markCut(f.name, len(whole))
	*f = field{name: f.name, text: whole[:cutAt(whole, budget, raw)], isText: true}
	r.row[at].member = nil
	return true
}

func escapedTextLen(s string) int {
	n := 0
	for i := range len(s) {
		n += escapedLen(s[i])
	}
	return n
}

// cutAt returns the length of the longest beginning of s, of whole runes, that is not over the budget, as it is or
// escaped.
func cutAt(s string, budget int, raw bool) int {
	used := 0
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		cost := size
		if size == 1 && !raw {
			cost = escapedLen(s[i])
		}
		if used += cost; used > budget {
			return i
		}
		i += size
	}
	return len(s)
}

// minPartBytes is the least room for a part of a message that a row is split for.
const minPartBytes = 512

// split appends the rows of the parts of the message of the record at a place of the batch. It reports whether that could be done: not where the other
// fields leave no room.
func (r *rowBuilder) split(b *batch, place int) bool {
	// The place in the batch tells records of one content apart, and is the same each time.
	id := xxh3.Hash128Seed(r.content(), uint64(place)).Bytes() //nolint:gosec // G115: a count
	r.splitID = hex.EncodeToString(id[:])
	r.parts, r.part = math.MaxInt32, math.MaxInt32 // as long as the numbers get
	r.limitFields(r.ownFields())

	whole := r.messageText()
	r.text = ""
	room := r.encoder.config.Limits.MaxLineBytes - len(r.appendLine(nil)) - r.originalRoom()
	if room < minPartBytes || r.reject != "" {
		return false
	}
	var ends []int
	for end := 0; end < len(whole); {
		end += cutAt(whole[end:], room, false)
		ends = append(ends, end)
	}
	r.parts = len(ends)
	start := 0
	for i, end := range ends {
		r.part, r.text = i+1, whole[start:end]
		at := len(b.lines.data)
		b.lines.data = r.appendLine(b.lines.data)
		r.finish(b, &b.lines, at)
		start = end
	}
	return true
}
