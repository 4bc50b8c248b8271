package fluentbitencodingextension

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// maxParserBytes bounds the messages that a parser is kept after. It takes many times the memory of the largest one.
const maxParserBytes = 64 << 10

// unmarshaler makes a request of messages. It keeps nothing of them between requests but keys.
type unmarshaler struct {
	layout *layout

	parser  fastjson.Parser  // of messages with one value
	scanner fastjson.Scanner // of those with several
	inner   fastjson.Parser  // of messages in `log`
	clock   clock
	names   names
	unique  uniqueNames
	text    arena

	record     record
	attributes []attribute
	builder    xpdata.MapBuilder
	number     []byte
	// settled are the names of the record before, among which there were no two of one key. labels says which labels
	// it had.
	settled []*name
	labels  uint64

	logs   plog.Logs
	groups []group
	byKey  map[string]int
	last   int // the group of the record before
	key    []byte
}

// group is the records whose resource has the same labels.
type group struct {
	key     string
	records plog.LogRecordSlice
}

// record is what is at the root of the record at hand, of which absent values are not. It is valid until the parser is
// used again.
type record struct {
	time     int64 // nanoseconds since the epoch, 0: not known
	times    []value
	messages []value
	labels   []value
	present  uint64 // a bit for each of labels
	others   []attribute
}

func newUnmarshaler(l *layout) *unmarshaler {
	return &unmarshaler{
		layout: l,
		names:  newNames(l),
		record: record{
			times:    make([]value, len(l.TimeKeys)),
			messages: make([]value, len(l.MessageKeys)),
			labels:   make([]value, len(l.labels)),
		},
		logs:  plog.NewLogs(),
		byKey: make(map[string]int),
	}
}

// Logs returns the records of the messages since the last call.
func (u *unmarshaler) Logs() plog.Logs {
	logs := u.logs
	u.logs = plog.NewLogs()
	clear(u.groups)
	u.groups = u.groups[:0]
	clear(u.byKey)
	u.last = 0
	u.text = arena{}
	u.forget()
	return logs
}

// Append adds the records of a message: an object, an array of objects, or objects one after the other. All of them are
// looked at before the first one is added.
func (u *unmarshaler) Append(data []byte, timestamp time.Time) error {
	var arrived int64
	if !timestamp.IsZero() {
		arrived = max(0, timestamp.UnixNano())
	}
	if u.appendFlat(data, arrived) {
		return nil
	}
	err := u.append(keepLoneSurrogates(data), arrived)
	if len(data) > maxParserBytes {
		u.release()
	}
	return err
}

// forget lets go of the values of the last record, so that they do not hold its message in memory.
func (u *unmarshaler) forget() {
	u.record.clear()
	clear(u.record.others[:cap(u.record.others)])
	clear(u.attributes[:cap(u.attributes)])
}

// release lets go of the memory that a large message took, and of the values that are in it.
func (u *unmarshaler) release() {
	u.parser, u.scanner, u.inner = fastjson.Parser{}, fastjson.Scanner{}, fastjson.Parser{}
	u.record.clear()
	u.record.others, u.attributes = nil, nil
	u.unique = uniqueNames{}
	u.key, u.number = nil, nil
}

func (u *unmarshaler) append(data []byte, arrived int64) error {
	root, err := u.parser.ParseBytes(data)
	if err != nil {
		return u.appendStream(data, arrived)
	}
	if root.Type() != fastjson.TypeArray {
		if err := u.take(root, arrived, 0); err != nil {
			return err
		}
		u.add(arrived)
		return nil
	}
	elements := root.GetArray()
	for i, element := range elements {
		if err := u.take(element, arrived, i); err != nil {
			return err
		}
	}
	for i, element := range elements {
		if u.take(element, arrived, i) == nil { // as it was above
			u.add(arrived)
		}
	}
	return nil
}

// appendStream is append for objects one after the other, as lines. What is no JSON comes here, too.
func (u *unmarshaler) appendStream(data []byte, arrived int64) error {
	u.scanner.InitBytes(data)
	n := 0
	for ; u.scanner.Next(); n++ {
		if err := u.take(u.scanner.Value(), arrived, n); err != nil {
			return err
		}
	}
	if u.scanner.Error() != nil || n == 0 {
		return syntaxError(data)
	}
	u.scanner.InitBytes(data)
	for i := 0; u.scanner.Next(); i++ {
		if u.take(u.scanner.Value(), arrived, i) == nil { // as it was above
			u.add(arrived)
		}
	}
	return nil
}

// clear lets go of the values of a record.
func (r *record) clear() {
	clear(r.times)
	clear(r.messages)
	clear(r.labels)
	clear(r.others)
	*r = record{times: r.times, messages: r.messages, labels: r.labels, others: r.others[:0]}
}

// take sorts the members of a record. It looks into none of them but the timestamp, and changes nothing but u.record.
func (u *unmarshaler) take(node *fastjson.Value, arrived int64, index int) error {
	if node.Type() != fastjson.TypeObject {
		return fmt.Errorf("record %d is not an object but of type %s", index, node.Type())
	}
	u.record.clear()
	u.names.next = 0
	node.GetObject().Visit(func(key []byte, node *fastjson.Value) { u.member(u.names.find(key), valueOf(node)) })
	return u.takeTime(arrived, index)
}

// takeTime sets the time of the record that was sorted.
func (u *unmarshaler) takeTime(arrived int64, index int) error {
	r := &u.record
	for at, candidate := range r.times {
		if candidate.kind == kindAbsent || candidate.kind == kindNull {
			continue
		}
		var ok bool
		if r.time, ok = u.parseTime(candidate); ok {
			r.times[at] = value{}
		} else if u.layout.OnInvalidTime == TimeReject {
			return fmt.Errorf("%q of record %d is not a timestamp", u.layout.TimeKeys[at], index)
		}
		break
	}
	if r.time == 0 {
		if u.layout.OnInvalidTime == TimeReject {
			return fmt.Errorf("record %d has no timestamp: none of %q", index, u.layout.TimeKeys)
		}
		r.time = arrived
	}
	return nil
}

// member sorts a member at the root. A second one of a key is an attribute.
func (u *unmarshaler) member(n *name, v value) {
	r := &u.record
	var place *value
	switch n.role {
	case roleTime:
		place = &r.times[n.at]
	case roleMessage:
		place = &r.messages[n.at]
	case roleLabel:
		place = &r.labels[n.at]
	}
	if place == nil || place.kind != kindAbsent {
		r.others = append(r.others, attribute{n, v})
		return
	}
	*place = v
	if n.role == roleLabel {
		r.present |= 1 << n.at
	}
}

func (u *unmarshaler) parseTime(v value) (int64, bool) {
	switch v.kind {
	case kindString:
		return u.clock.parse(v.text)
	case kindNumber:
		return parseEpoch(u.numberOf(v).text)
	}
	return 0, false
}

// add adds the record that was taken to the request.
func (u *unmarshaler) add(arrived int64) {
	r := &u.record
	to := u.group().AppendEmpty()
	to.SetTimestamp(pcommon.Timestamp(r.time))          //nolint:gosec // G115: positive
	to.SetObservedTimestamp(pcommon.Timestamp(arrived)) //nolint:gosec // G115: positive

	u.attributes = u.attributes[:0]
	for i := range r.others {
		u.flatten(r.others[i])
	}
	u.setMessage(to.Body())
	for at, v := range r.times {
		if v.kind != kindAbsent {
			u.flatten(attribute{u.layout.roles[u.layout.TimeKeys[at]], v})
		}
	}
	if len(u.attributes) == 0 {
		return
	}
	if !u.isSettled() {
		var unchanged bool
		u.attributes, unchanged = u.unique.resolve(&u.names, u.attributes, u.ownerInRecord)
		u.settle(unchanged)
	}
	u.intoMap(u.attributes, to.Attributes())
}

// isSettled reports whether the attributes have the keys of the record before.
func (u *unmarshaler) isSettled() bool {
	if u.labels != u.record.present || len(u.settled) != len(u.attributes) {
		return false
	}
	for i, n := range u.settled {
		if n != u.attributes[i].name {
			return false
		}
	}
	return true
}

func (u *unmarshaler) settle(unchanged bool) {
	u.settled = u.settled[:0]
	if !unchanged || len(u.attributes) > maxOrder {
		return
	}
	u.labels = u.record.present
	for i := range u.attributes {
		u.settled = append(u.settled, u.attributes[i].name)
	}
}

// ownerInRecord is the owner of a key that is a tag's, or that of a label that the record has.
func (u *unmarshaler) ownerInRecord(n *name) (value, bool) {
	if n.role == roleLabel && u.record.labels[n.at].kind != kindAbsent {
		return u.record.labels[n.at], true
	}
	return u.ownerInResource(n)
}

// ownerInResource is the owner of a key that is a tag's.
func (u *unmarshaler) ownerInResource(n *name) (value, bool) {
	if n.role == roleTag {
		return value{kind: kindString, text: []byte(u.layout.tags[n.at].value)}, true
	}
	return value{}, false
}

// group returns the records of the resource that has the record's labels.
func (u *unmarshaler) group() plog.LogRecordSlice {
	u.key = u.record.appendKey(u.key[:0])
	if len(u.groups) > 0 && u.groups[u.last].key == string(u.key) {
		return u.groups[u.last].records
	}
	at, ok := u.byKey[string(u.key)]
	if !ok {
		at = len(u.groups)
		key := string(u.key)
		u.byKey[key] = at
		u.groups = append(u.groups, group{key, u.newResource()})
	}
	u.last = at
	return u.groups[at].records
}

// appendKey appends what the labels have in common with no other ones.
func (r *record) appendKey(key []byte) []byte {
	for at, v := range r.labels {
		switch v.kind {
		case kindAbsent:
		case kindString:
			key = append(key, byte(at), 's')
			key = binary.AppendUvarint(key, uint64(len(v.text)))
			key = append(key, v.text...)
		default:
			key = append(key, byte(at))
			start := len(key)
			key = v.marshalTo(key)
			key = binary.BigEndian.AppendUint32(key, uint32(len(key)-start)) //nolint:gosec // G115: a part of a message
		}
	}
	return key
}

// newResource adds a resource with the tags and the record's labels.
func (u *unmarshaler) newResource() plog.LogRecordSlice {
	resource := u.logs.ResourceLogs().AppendEmpty()
	for _, tag := range u.layout.tags {
		u.builder.AppendEmpty(tag.key).SetStr(tag.value)
	}
	u.attributes = u.attributes[:0]
	for at, v := range u.record.labels {
		if v.kind != kindAbsent {
			u.flatten(attribute{u.layout.labels[at], v})
		}
	}
	u.attributes, _ = u.unique.resolve(&u.names, u.attributes, u.ownerInResource)
	u.intoMap(u.attributes, resource.Resource().Attributes())
	return resource.ScopeLogs().AppendEmpty().LogRecords()
}
