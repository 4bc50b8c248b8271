package victorialogsexporter

import (
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// A batch that has one of these is sent before the next record is encoded. With the same bounds the same records make
// the same batches, and so the same delivery ids.
const (
	maxBatchRecords = 8192
	maxBatchBytes   = 8 << 20
	// maxBatchTenants bounds the batches that are open at a time.
	maxBatchTenants = 64
)

// maxStreamHeaderBytes bounds the names in the header VL-Stream-Fields: proxies take headers of 8 KiB together.
const maxStreamHeaderBytes = 4096

// maxPooledBytes bounds the buffers that the pool keeps, so that one large request does not stay in memory.
const maxPooledBytes = maxBatchBytes + 1<<20

// encoder turns log records into batches of lines of /insert/jsonline. It is not safe for concurrent use.
type encoder struct {
	config *Config
	namer  namer

	stats    encodeStats
	rejected []rejection

	// Bounds of a timestamp, nanoseconds since the epoch, and what is taken for now.
	minTime, maxTime, now int64
	times                 nanoFormatter

	base     fieldSet // fields of the scope and resource at hand
	encoded  []byte   // the members of base as JSON, `"name":value,` one after the other
	ends     []int    // ends[i] is the end of base.fields[i] in encoded
	baseID   int      // another one for each base
	shapes   []*shape
	shapeHit int // how many records a shape was there for
	shapeNew int // how many shapes were made
	turn     int // the shape that is replaced next
	// generation is that of the newest batch.
	generation int

	slow rowBuilder

	// batches are those of the tenants other than the last one's, which is in batch.
	batch   *batch
	batches map[tenant]*batch
}

// batch is what is delivered as one: lines and over-long lines of one tenant that share a delivery id.
type batch struct {
	tenant tenant
	lines  lineBuffer // for /insert/jsonline
	over   lineBuffer // for the OTLP path, one request for each line
	// overRecords are the records of the lines in over, counted from the first of the request.
	overRecords []int
	// minTime and maxTime are those of the rows, nanoseconds since the epoch.
	minTime, maxTime int64
	// from and to are the records, counted from the first of the request, that the batch has those of its tenant of.
	from, to int
	records  int
	// encoded is what was taken for now, nanoseconds since the epoch: the time of rows without one of their own, which
	// untimed says that there are.
	encoded int64
	untimed bool
	// anyTime says that an earlier encoding of the batch may have had rows of other times, clamped or not, so that there
	// is no telling where to look for them.
	anyTime bool
	// streams are the stream fields that globs match; streamBytes is how long they are in the header. generation is
	// another one for each batch, so that shapes know whether theirs are in.
	streams     map[string]struct{}
	streamBytes int
	generation  int
}

// tenant is an AccountID and a ProjectID.
type tenant struct{ account, project uint32 }

// lineBuffer holds lines, each with its newline.
type lineBuffer struct {
	data []byte
	rows int
	// volatile are the parts of data that depend on when it was encoded, in order. The content address has their text
	// in place of them.
	volatile []span
}

type span struct {
	from, to int
	text     string
}

func (l *lineBuffer) reset() {
	if cap(l.data) > maxPooledBytes {
		l.data = nil
	}
	*l = lineBuffer{data: l.data[:0], volatile: l.volatile[:0]}
}

// rejection is a record, counted from the first of the request, that is not sent.
type rejection struct {
	index int
	kind  kind
}

// violation is a limit and what is done about it.
type violation struct {
	kind   kind
	action Action
}

// encodeStats is what there is to count about an encoded request.
type encodeStats struct {
	duplicateFields int
	violations      map[violation]int
}

func (s *encodeStats) add(other *encodeStats) {
	s.duplicateFields += other.duplicateFields
	for v, n := range other.violations {
		s.violate(v.kind, v.action, n)
	}
}

func (s *encodeStats) violate(k kind, action Action, n int) {
	if n == 0 {
		return
	}
	if s.violations == nil {
		s.violations = make(map[violation]int)
	}
	s.violations[violation{k, action}] += n
}

// timeMargin is what a row may take from here to the server's look at its clock, and how far the clocks may differ.
const timeMargin = time.Minute

func newEncoder(config *Config, rules *nameRules) *encoder {
	e := &encoder{config: config, namer: newNamer(rules), batch: &batch{}, batches: make(map[tenant]*batch)}
	e.slow.encoder = e
	return e
}

// reset makes the encoder ready for a request that is encoded at the given time.
func (e *encoder) reset(now time.Time) {
	e.stats = encodeStats{}
	e.rejected = e.rejected[:0]
	e.now = now.UnixNano()
	e.minTime, e.maxTime = minUnixNano, math.MaxInt64
	if past := e.config.Limits.MaxPast; past > 0 {
		e.minTime = max(e.minTime, e.now-int64(past-timeMargin))
	}
	if future := e.config.Limits.MaxFuture; future > 0 {
		e.maxTime = e.now + int64(future-timeMargin)
	}
}

// release lets go of the pdata of the request.
func (e *encoder) release() {
	e.base.reset()
	e.slow.release()
	clear(e.batches)
	e.startBatch(e.batch, tenant{}, 0)
	if cap(e.encoded) > maxPooledBytes {
		e.encoded = nil
	}
}

// startBatch makes the batch an empty one of the tenant.
func (e *encoder) startBatch(b *batch, t tenant, from int) {
	e.generation++
	b.lines.reset()
	b.over.reset()
	clear(b.streams)
	*b = batch{
		tenant: t, from: from, to: from, lines: b.lines, over: b.over, overRecords: b.overRecords[:0], streams: b.streams, generation: e.generation,
		minTime: math.MaxInt64, maxTime: math.MinInt64, encoded: e.now,
	}
}

func (b *batch) full() bool {
	return b.records >= maxBatchRecords || len(b.lines.data)+len(b.over.data) >= maxBatchBytes
}

// encode makes batches of the records from, up to but without to, of the request. Each is the emitter's only until it
// returns.
func (e *encoder) encode(logs plog.Logs, from, to int, emit func(*batch)) {
	e.startBatch(e.batch, e.config.Tenant.static(), from)
	index := 0
	for i := range logs.ResourceLogs().Len() {
		resource := logs.ResourceLogs().At(i)
		for j := range resource.ScopeLogs().Len() {
			scope := resource.ScopeLogs().At(j)
			records := scope.LogRecords()
			first, last := max(0, from-index), min(records.Len(), to-index)
			if first < last {
				e.setBase(resource.Resource(), scope.Scope())
			}
			for k := first; k < last; k++ {
				e.encodeRecord(resource.Resource(), records.At(k), index+k, emit)
			}
			index += records.Len()
		}
	}
	for _, b := range e.batches {
		e.emit(b, emit)
	}
	clear(e.batches)
	e.emit(e.batch, emit)
}

func (e *encoder) emit(b *batch, emit func(*batch)) {
	if b.lines.rows+b.over.rows > 0 {
		b.anyTime = b.anyTime || e.nearLimit(b)
		emit(b)
	}
	e.startBatch(b, b.tenant, b.to)
}

// nearLimit reports whether a row of the batch has a time that is out of the limits at another time of encoding.
func (e *encoder) nearLimit(b *batch) bool {
	const near = int64(24 * time.Hour)
	limits := &e.config.Limits
	return limits.MaxPast > 0 && b.minTime < e.now-int64(limits.MaxPast)+near ||
		limits.MaxFuture > 0 && b.maxTime > e.now+int64(limits.MaxFuture)-near
}

func (e *encoder) encodeRecord(resource pcommon.Resource, record plog.LogRecord, index int, emit func(*batch)) {
	if e.config.Tenant.FromAttribute != "" && !e.selectTenant(resource, record, index, emit) {
		return
	}
	b := e.batch
	if b.full() {
		e.emit(b, emit)
	}
	if !e.appendFast(b, record) && !e.slow.append(b, record, index, emit) {
		return
	}
	b.to = index + 1
	b.records++
}

// setBase takes and encodes the fields that all records of a scope have in common, the scope's before the resource's.
func (e *encoder) setBase(resource pcommon.Resource, scope pcommon.InstrumentationScope) {
	e.base.reset()
	e.base.addScope(&e.namer, scope)
	e.base.addMap(&e.namer, fromResource, "", resource.Attributes(), 1)
	e.stats.duplicateFields += e.base.duplicates

	e.encoded = e.encoded[:0]
	e.ends = e.ends[:0]
	for i := range e.base.fields {
		e.encoded = appendMember(e.encoded, &e.base.fields[i])
		e.ends = append(e.ends, len(e.encoded))
	}
	e.baseID++
}

// baseMember returns the encoded member of a field of the base.
func (e *encoder) baseMember(i int) []byte {
	begin := 0
	if i > 0 {
		begin = e.ends[i-1]
	}
	return e.encoded[begin:e.ends[i]]
}

// timeOf returns the timestamp of the record, or 0 where it has none.
func (e *encoder) timeOf(record plog.LogRecord) pcommon.Timestamp {
	first, second := record.Timestamp(), record.ObservedTimestamp()
	if e.config.TimeSource == TimeFromObservedTimestamp {
		first, second = second, first
	}
	if first != 0 {
		return first
	}
	return second
}

// minUnixNano is the least integer that VictoriaLogs reads as nanoseconds; it takes smaller ones for micro- or
// milliseconds or seconds (app/vlinsert/insertutil/timestamp.go).
const minUnixNano = 1e6 * (1 << 31)

// lineStart is what every line begins with.
const lineStart = `{"_time":"`

// appendTime appends the value of `_time`.
func appendTime(dst []byte, timestamp int64) []byte {
	if timestamp >= minUnixNano {
		return strconv.AppendInt(dst, timestamp, 10)
	}
	return time.Unix(0, timestamp).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// appendMember appends `"name":value,`. An array or map is its text, as VictoriaLogs stores it: one that is nested over
// 300 deep would make the line one that the server cannot parse (fastjson: MaxDepth).
func appendMember(dst []byte, f *field) []byte {
	dst = appendString(dst, f.name)
	dst = append(dst, ':')
	if f.isText {
		dst = appendString(dst, f.text)
	} else {
		dst = appendMemberValue(dst, f.value)
	}
	return append(dst, ',')
}

// appendMemberValue appends the value of a member.
func appendMemberValue(dst []byte, value pcommon.Value) []byte {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return appendString(dst, value.Str())
	case pcommon.ValueTypeSlice, pcommon.ValueTypeMap:
		return appendString(dst, string(appendValue(nil, value)))
	}
	return appendValue(dst, value)
}

// appendTextValue appends a value as the JSON string that holds its text.
func appendTextValue(dst []byte, value pcommon.Value) []byte {
	if value.Type() == pcommon.ValueTypeStr {
		return appendString(dst, value.Str())
	}
	return appendString(dst, string(appendValueText(nil, value)))
}

// addStream notes that the stream of the batch has the field, if a glob says so.
func (e *encoder) addStream(b *batch, name string) {
	if len(e.namer.rules.streamGlobs) == 0 || !e.namer.isGlobStream(name) {
		return
	}
	if _, ok := b.streams[name]; ok {
		return
	}
	if b.streams == nil {
		b.streams = make(map[string]struct{})
	}
	b.streams[string([]byte(name))] = struct{}{}
	b.streamBytes += len(name) + 1
}

// streamsFit reports whether the batch's header has room for the stream fields that globs match among the names.
func (e *encoder) streamsFit(b *batch, names func(yield func(string) bool)) bool {
	if len(e.namer.rules.streamGlobs) == 0 {
		return true
	}
	bytes := b.streamBytes + len(e.namer.rules.streamHeader)
	for name := range names {
		if _, ok := b.streams[name]; !ok && e.namer.isGlobStream(name) {
			bytes += len(name) + 1
		}
	}
	return bytes <= maxStreamHeaderBytes
}
