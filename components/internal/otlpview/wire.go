package otlpview

import (
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The tag of a field as it is on the wire: number<<wireTypeBits | wire type.
const (
	wireTypeBits = 3
	wireTypeMask = 1<<wireTypeBits - 1

	wireVarint = uint64(protowire.VarintType)
	wireI64    = uint64(protowire.Fixed64Type)
	wireLen    = uint64(protowire.BytesType)
	wireI32    = uint64(protowire.Fixed32Type)

	// oneByte is what a varint of one byte is below.
	oneByte = 1 << 7
)

// nextField reads the field that src begins with: number is the value of a varint,
// i64 or i32, data that of a len, rest what comes after the field. A field that is
// malformed is not ok, nor is a group, which OTLP does not have.
func nextField(src []byte) (tag, number uint64, data, rest []byte, ok bool) {
	// Most fields are lens whose tag and length are one byte each.
	if len(src) >= 2 && src[0]&wireTypeMask == byte(wireLen) && src[0]>>wireTypeBits != 0 && (src[0]|src[1]) < oneByte {
		if end := 2 + int(src[1]); end <= len(src) {
			return uint64(src[0]), 0, src[2:end], src[end:], true
		}
		return 0, 0, nil, nil, false
	}
	tag, n := protowire.ConsumeVarint(src)
	// Over 2³¹-1, upstream cuts a tag off and takes it for another field.
	if n < 0 || tag>>wireTypeBits == 0 || tag > math.MaxInt32 {
		return 0, 0, nil, nil, false
	}
	src = src[n:]
	switch tag & wireTypeMask {
	case wireLen:
		number, n = protowire.ConsumeVarint(src)
		if n < 0 || number > uint64(len(src)-n) {
			return 0, 0, nil, nil, false
		}
		src = src[n:]
		return tag, 0, src[:number], src[number:], true
	case wireVarint:
		number, n = protowire.ConsumeVarint(src)
	case wireI64:
		number, n = protowire.ConsumeFixed64(src)
	case wireI32:
		var number32 uint32
		number32, n = protowire.ConsumeFixed32(src)
		number = uint64(number32)
	default:
		n = -1
	}
	if n < 0 {
		return 0, 0, nil, nil, false
	}
	return tag, number, nil, src[n:], true
}

// countFields returns how many fields of the tag src has. Something malformed ends
// the count; the decoder comes to it as well.
func countFields(src []byte, tag uint64) int {
	count := 0
	for len(src) > 0 {
		got, _, _, rest, ok := nextField(src)
		if !ok {
			break
		}
		if got == tag {
			count++
		}
		src = rest
	}
	return count
}

// view returns data as a string, without a copy.
func view(data []byte) string {
	return unsafe.String(unsafe.SliceData(data), len(data))
}
