package otlpview

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// maxDepth is how deep values may be nested before the message is left to
// upstream, which has no limit but the memory for its stack. Attributes that
// somebody has use for are a few levels deep.
const maxDepth = 32

// maxExpected bounds the room that is made for a map because the one before was as large.
const maxExpected = 32

// mapBuilder builds one map after the other.
type mapBuilder struct {
	xpdata.MapBuilder
	size int // of the map at hand
	// before is the size of the map before. Most records of a source have as many attributes as the one before.
	before int
}

// add appends a KeyValue, the field of the tag that src begins with.
func (b *mapBuilder) add(src []byte, tag uint64, data []byte, depth int) bool {
	if b.size == 0 {
		room := b.before
		if room == 0 || room > maxExpected {
			room = countFields(src, tag)
		}
		b.EnsureCapacity(room)
	}
	b.size++
	return keyValue(data, &b.MapBuilder, depth)
}

// into makes what was added since the map before the content of dst, if anything was.
func (b *mapBuilder) into(dst pcommon.Map) {
	if b.size > 0 {
		b.UnsafeIntoMap(dst)
		b.size, b.before = 0, b.size
	}
}

// keyValue appends a KeyValue to dst. Its value is decoded last, because the
// builder needs the key first, and the wire may have them the other way round.
func keyValue(src []byte, dst *xpdata.MapBuilder, depth int) bool {
	var key, value []byte
	hasValue := false
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		src = rest
		switch tag {
		case tagKey:
			key = data
		case tagValue:
			// Upstream merges two of them.
			if hasValue {
				return false
			}
			value, hasValue = data, true
		default:
			if !skips(tag, lastKeyValueField) {
				return false
			}
		}
	}
	return anyValue(value, dst.AppendEmpty(view(key)), depth)
}

// anyValue sets dst to an AnyValue; of more than one value the last counts. It
// leaves dst as it is when there is none.
func anyValue(src []byte, dst pcommon.Value, depth int) bool {
	for len(src) > 0 {
		tag, number, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		src = rest
		switch tag {
		case tagString:
			dst.SetStr(view(data))
		case tagBool:
			dst.SetBool(number != 0)
		case tagInt:
			dst.SetInt(int64(number))
		case tagDouble:
			dst.SetDouble(math.Float64frombits(number))
		case tagArray:
			ok = depth < maxDepth && arrayValue(data, dst.SetEmptySlice(), depth+1)
		case tagKeyValueList:
			ok = depth < maxDepth && keyValueList(data, dst.SetEmptyMap(), depth+1)
		case tagBytes:
			// A copy: who owns pdata may change the bytes of a value, but not a string.
			dst.SetEmptyBytes().FromRaw(data)
		default:
			ok = skips(tag, lastAnyValueField)
		}
		if !ok {
			return false
		}
	}
	return true
}

func arrayValue(src []byte, dst pcommon.Slice, depth int) bool {
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagListValues:
			if dst.Len() == 0 {
				dst.EnsureCapacity(countFields(src, tag))
			}
			ok = anyValue(data, dst.AppendEmpty(), depth)
		default:
			ok = skips(tag, lastListField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	return true
}

func keyValueList(src []byte, dst pcommon.Map, depth int) bool {
	var values mapBuilder
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagListValues:
			ok = values.add(src, tag, data, depth)
		default:
			ok = skips(tag, lastListField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	values.into(dst)
	return true
}
