package fluentbitencodingextension

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// kind is what a value of JSON is.
type kind uint8

const (
	kindAbsent kind = iota // no value
	kindNull
	kindString
	kindNumber
	kindTrue
	kindFalse
	kindArray
	kindObject
)

// value is a value of a record.
type value struct {
	kind kind
	// inMessage says that text is a part of the message, which stays as it is: the request may have it, too.
	inMessage bool
	// text is that of a string, without escapes, or a number as it was written, unless node has it.
	text []byte
	// node is an array, an object or a number of the parser.
	node *fastjson.Value
}

// valueOf returns the value that a parser has found. It is valid until the parser is used again.
func valueOf(node *fastjson.Value) value {
	switch node.Type() {
	case fastjson.TypeString:
		return value{kind: kindString, text: node.GetStringBytes()}
	case fastjson.TypeNumber:
		return value{kind: kindNumber, node: node}
	case fastjson.TypeTrue:
		return value{kind: kindTrue}
	case fastjson.TypeFalse:
		return value{kind: kindFalse}
	case fastjson.TypeArray:
		return value{kind: kindArray, node: node}
	case fastjson.TypeObject:
		return value{kind: kindObject, node: node}
	}
	return value{kind: kindNull}
}

// marshalTo appends the JSON of a value that is no string.
func (v value) marshalTo(dst []byte) []byte {
	switch {
	case v.node != nil:
		return v.node.MarshalTo(dst)
	case v.kind == kindNumber:
		return append(dst, v.text...)
	case v.kind == kindTrue:
		return append(dst, "true"...)
	case v.kind == kindFalse:
		return append(dst, "false"...)
	}
	return append(dst, "null"...)
}

// maxJoinedBytes is how long the joined key of a map is flattened. Each leaf repeats it, and a small message could ask
// for any amount of memory with it. It is the length that VictoriaLogs allows a name to have.
const maxJoinedBytes = 128

// flatten adds a member of the record to the attributes, or the members of a map.
func (u *unmarshaler) flatten(a attribute) {
	if a.value.kind != kindObject || !u.layout.Flatten || len(a.name.text) > maxJoinedBytes {
		u.attributes = append(u.attributes, a)
		return
	}
	object := a.value.node.GetObject()
	if object.Len() == 0 {
		u.attributes = append(u.attributes, a)
		return
	}
	object.Visit(func(key []byte, node *fastjson.Value) {
		u.flatten(attribute{u.names.join(a.name.text, ".", key), valueOf(node)})
	})
}

// setMessage sets the body to the first message that has a text. The others become attributes, and so do the members of
// one that is JSON, if that is asked for.
func (u *unmarshaler) setMessage(body pcommon.Value) {
	found := false
	for at, v := range u.record.messages {
		if v.kind == kindAbsent {
			continue
		}
		if found || !v.isMessage() {
			u.flatten(attribute{u.layout.roles[u.layout.MessageKeys[at]], v})
			continue
		}
		found = true
		if v.kind == kindString {
			if u.layout.ParseLog {
				u.parseLog(v.text)
			}
			if u.layout.TrimNewline {
				v.text = bytes.TrimSuffix(v.text, []byte("\n"))
			}
		}
		u.setValue(body, v)
	}
}

// isMessage reports whether the value is one that VictoriaLogs takes for a message: not empty, and not a map.
func (v value) isMessage() bool {
	switch v.kind {
	case kindNull, kindObject:
		return false
	case kindString:
		return len(v.text) > 0
	}
	return true
}

// parseLog adds the members of a text that is a JSON object to the attributes.
func (u *unmarshaler) parseLog(text []byte) {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return
	}
	root, err := u.inner.ParseBytes(keepLoneSurrogates(text))
	if err != nil {
		return // a text like any other
	}
	root.GetObject().Visit(func(key []byte, node *fastjson.Value) {
		u.flatten(attribute{u.names.join(u.layout.ParseLogPrefix, "", key), valueOf(node)})
	})
}

// intoMap makes the attributes, and what the builder has already, those of the map.
func (u *unmarshaler) intoMap(attributes []attribute, m pcommon.Map) {
	u.builder.EnsureCapacity(len(attributes))
	for i := range attributes {
		u.setValue(u.builder.AppendEmpty(attributes[i].name.text), attributes[i].value)
	}
	u.builder.UnsafeIntoMap(m)
}

// setValue sets a value to one of JSON. An array becomes its text, which is what VictoriaLogs stores: in an array of
// pdata there is no number as it was written.
func (u *unmarshaler) setValue(to pcommon.Value, v value) {
	switch v.kind {
	case kindString:
		to.SetStr(u.keep(v))
	case kindNumber:
		u.setNumber(to, u.numberOf(v))
	case kindTrue, kindFalse:
		to.SetBool(v.kind == kindTrue)
	case kindArray:
		u.number = v.node.MarshalTo(u.number[:0])
		to.SetStr(u.text.keep(u.number))
	case kindObject:
		u.setMap(to.SetEmptyMap(), v.node.GetObject())
	}
}

// numberOf returns a number with its text, which is valid until the next call.
func (u *unmarshaler) numberOf(v value) value {
	if v.node != nil {
		u.number = v.node.MarshalTo(u.number[:0])
		v.text = u.number
	}
	return v
}

// keep returns the text of a value for the request.
func (u *unmarshaler) keep(v value) string {
	if v.inMessage {
		return unsafe.String(unsafe.SliceData(v.text), len(v.text))
	}
	return u.text.keep(v.text)
}

func (u *unmarshaler) setMap(to pcommon.Map, object *fastjson.Object) {
	members := make([]attribute, 0, object.Len())
	object.Visit(func(key []byte, node *fastjson.Value) {
		members = append(members, attribute{u.names.find(key), valueOf(node)})
	})
	members, _ = u.unique.resolve(&u.names, members, noOwner)
	var builder xpdata.MapBuilder
	builder.EnsureCapacity(len(members))
	for i := range members {
		u.setValue(builder.AppendEmpty(members[i].name.text), members[i].value)
	}
	builder.UnsafeIntoMap(to)
}

func noOwner(*name) (value, bool) { return value{}, false }

// maxNumberBytes is how long the text of a number may be that an int64 or float64 is written as.
const maxNumberBytes = 32

// setNumber sets a number as an integer or a double if the text of that is the one that was written, and as that text if
// not: `1.0`, `1e400` or `18446744073709551615` would become other ones.
func (u *unmarshaler) setNumber(to pcommon.Value, v value) {
	text := v.text
	if len(text) <= maxNumberBytes {
		view := unsafe.String(unsafe.SliceData(text), len(text)) // until the end of this function
		var buffer [maxNumberBytes + 32]byte
		if n, err := strconv.ParseInt(view, 10, 64); err == nil {
			if string(strconv.AppendInt(buffer[:0], n, 10)) == view {
				to.SetInt(n)
				return
			}
		} else if f, err := strconv.ParseFloat(view, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) && string(appendDouble(buffer[:0], f)) == view {
			to.SetDouble(f)
			return
		}
	}
	to.SetStr(u.keep(v))
}

// appendDouble appends a double as the text that pdata and encoding/json have for it.
func appendDouble(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // 1e-07 is written 1e-7
		dst = dst[:n-1]
	}
	return dst
}

// arena holds strings of a request, so that not each of them is an allocation. Chunks are never written to again.
type arena struct {
	chunk []byte
	size  int
}

const (
	minChunkBytes = 1 << 10
	maxChunkBytes = 64 << 10
)

// keep returns a copy of the text.
func (a *arena) keep(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if len(text) > cap(a.chunk)-len(a.chunk) {
		a.size = min(max(minChunkBytes, 2*a.size), maxChunkBytes)
		if len(text) > a.size/4 {
			return string(text)
		}
		a.chunk = make([]byte, 0, a.size)
	}
	start := len(a.chunk)
	a.chunk = append(a.chunk, text...)
	return unsafe.String(&a.chunk[start], len(text))
}
