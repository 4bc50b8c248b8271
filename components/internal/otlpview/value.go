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
	var attributes xpdata.MapBuilder
	count := 0
	for len(src) > 0 {
		tag, _, data, rest, ok := nextField(src)
		if !ok {
			return false
		}
		switch tag {
		case tagListValues:
			if count++; count == 1 {
				attributes.EnsureCapacity(countFields(src, tag))
			}
			ok = keyValue(data, &attributes, depth)
		default:
			ok = skips(tag, lastListField)
		}
		if !ok {
			return false
		}
		src = rest
	}
	if count > 0 {
		attributes.UnsafeIntoMap(dst)
	}
	return true
}
