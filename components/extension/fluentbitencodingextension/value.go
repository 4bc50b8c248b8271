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

// maxJoinedBytes is how long the joined key of a map is flattened. Each leaf repeats it, and a small message could ask
// for any amount of memory with it. It is the length that VictoriaLogs allows a name to have.
const maxJoinedBytes = 128

// flatten adds a member of the record to the attributes, or the members of a map.
func (u *unmarshaler) flatten(a attribute) {
	if !u.layout.Flatten || a.value.Type() != fastjson.TypeObject || len(a.name.text) > maxJoinedBytes {
		u.attributes = append(u.attributes, a)
		return
	}
	object := a.value.GetObject()
	if object.Len() == 0 {
		u.attributes = append(u.attributes, a)
		return
	}
	object.Visit(func(key []byte, value *fastjson.Value) {
		u.flatten(attribute{u.names.join(a.name.text, ".", key), value})
	})
}

// setMessage sets the body to the first message that has a text. The others become attributes, and so do the members of
// one that is JSON, if that is asked for.
func (u *unmarshaler) setMessage(body pcommon.Value) {
	found := false
	for at, value := range u.record.messages {
		if value == nil {
			continue
		}
		if found || !isMessage(value) {
			u.flatten(attribute{u.layout.roles[u.layout.MessageKeys[at]], value})
			continue
		}
		found = true
		if value.Type() != fastjson.TypeString {
			u.setValue(body, value)
			continue
		}
		text := value.GetStringBytes()
		if u.layout.ParseLog {
			u.parseLog(text)
		}
		if u.layout.TrimNewline {
			text = bytes.TrimSuffix(text, []byte("\n"))
		}
		body.SetStr(u.text.keep(text))
	}
}

// isMessage reports whether the value is one that VictoriaLogs takes for a message: not empty, and not a map.
func isMessage(value *fastjson.Value) bool {
	switch value.Type() {
	case fastjson.TypeNull, fastjson.TypeObject:
		return false
	case fastjson.TypeString:
		return len(value.GetStringBytes()) > 0
	}
	return true
}

// parseLog adds the members of a text that is a JSON object to the attributes.
func (u *unmarshaler) parseLog(text []byte) {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return
	}
	value, err := u.inner.ParseBytes(keepLoneSurrogates(text))
	if err != nil {
		return // a text like any other
	}
	value.GetObject().Visit(func(key []byte, value *fastjson.Value) {
		u.flatten(attribute{u.names.join(u.layout.ParseLogPrefix, "", key), value})
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
func (u *unmarshaler) setValue(to pcommon.Value, value *fastjson.Value) {
	switch value.Type() {
	case fastjson.TypeString:
		to.SetStr(u.text.keep(value.GetStringBytes()))
	case fastjson.TypeNumber:
		u.number = value.MarshalTo(u.number[:0])
		u.setNumber(to, u.number)
	case fastjson.TypeTrue, fastjson.TypeFalse:
		to.SetBool(value.Type() == fastjson.TypeTrue)
	case fastjson.TypeArray:
		u.number = value.MarshalTo(u.number[:0])
		to.SetStr(u.text.keep(u.number))
	case fastjson.TypeObject:
		u.setMap(to.SetEmptyMap(), value.GetObject())
	}
}

func (u *unmarshaler) setMap(to pcommon.Map, object *fastjson.Object) {
	members := make([]attribute, 0, object.Len())
	object.Visit(func(key []byte, value *fastjson.Value) {
		members = append(members, attribute{u.names.find(key), value})
	})
	members, _ = u.unique.resolve(&u.names, members, noOwner)
	var builder xpdata.MapBuilder
	builder.EnsureCapacity(len(members))
	for i := range members {
		u.setValue(builder.AppendEmpty(members[i].name.text), members[i].value)
	}
	builder.UnsafeIntoMap(to)
}

func noOwner(*name) (string, *fastjson.Value, bool) { return "", nil, false }

// maxNumberBytes is how long the text of a number may be that an int64 or float64 is written as.
const maxNumberBytes = 32

// setNumber sets a number as an integer or a double if the text of that is the one that was written, and as that text if
// not: `1.0`, `1e400` or `18446744073709551615` would become other ones.
func (u *unmarshaler) setNumber(to pcommon.Value, text []byte) {
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
	to.SetStr(u.text.keep(text))
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
