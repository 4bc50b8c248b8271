package victorialogsexporter

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const hexDigits = "0123456789abcdef"

// mustEscape marks the bytes that JSON (RFC 8259, 7) does not allow raw in a string.
var mustEscape = func() (table [256]bool) {
	for c := range 0x20 {
		table[c] = true
	}
	table['"'] = true
	table['\\'] = true
	return table
}()

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// escapeMask has the high bit set in the first byte of w, the lowest, that JSON does not allow raw, and in none if all
// are allowed. Bits above the lowest one say nothing: a subtraction may have borrowed.
func escapeMask(w uint64) uint64 {
	quote := w ^ lowBits*'"'
	backslash := w ^ lowBits*'\\'
	return ((w-lowBits*0x20)&^w | (quote-lowBits)&^quote | (backslash-lowBits)&^backslash) & highBits
}

// indexEscape returns the position of the first byte from i on that JSON does not allow raw, or len(s). It looks at
// eight bytes at a time.
func indexEscape(s string, i int) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; len(b)-i >= 8; i += 8 {
		if mask := escapeMask(binary.LittleEndian.Uint64(b[i:])); mask != 0 {
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for ; i < len(b); i++ {
		if mustEscape[b[i]] {
			return i
		}
	}
	return len(b)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 go through as they are: VictoriaLogs keeps them,
// while a replacement character would lose them.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// appendEscaped is appendString without the quotes.
func appendEscaped(dst []byte, s string) []byte {
	start := 0
	for {
		i := indexEscape(s, start)
		dst = append(dst, s[start:i]...)
		if i == len(s) {
			return dst
		}
		dst = appendEscape(dst, s[i])
		start = i + 1
	}
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}

// escapedLen returns how many bytes appendEscaped makes of a byte.
func escapedLen(c byte) int {
	switch {
	case !mustEscape[c]:
		return 1
	case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
		return 2
	}
	return len(`\u0000`)
}

// appendValue appends a value as JSON. VictoriaLogs stores the text of numbers and booleans, so that what a query
// returns is what AsString of the value returns; arrays and maps inside of them become JSON.
func appendValue(dst []byte, value pcommon.Value) []byte {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return appendString(dst, value.Str())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, value.Int(), 10)
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, value.Bool())
	case pcommon.ValueTypeDouble:
		return appendDouble(dst, value.Double())
	case pcommon.ValueTypeBytes:
		dst = append(dst, '"')
		dst = appendBase64(dst, value.Bytes())
		return append(dst, '"')
	case pcommon.ValueTypeSlice:
		dst = append(dst, '[')
		for i, element := range value.Slice().All() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, element)
		}
		return append(dst, ']')
	case pcommon.ValueTypeMap:
		dst = append(dst, '{')
		first := true
		for key, element := range value.Map().All() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendString(dst, key)
			dst = append(dst, ':')
			dst = appendValue(dst, element)
		}
		return append(dst, '}')
	default:
		return append(dst, "null"...)
	}
}

// appendBase64 appends the bytes without the copy that AsRaw makes of them.
func appendBase64(dst []byte, bytes pcommon.ByteSlice) []byte {
	var chunk [48]byte // a multiple of 3, which needs no padding
	n := 0
	for _, b := range bytes.All() {
		chunk[n] = b
		if n++; n == len(chunk) {
			dst = base64.StdEncoding.AppendEncode(dst, chunk[:])
			n = 0
		}
	}
	return base64.StdEncoding.AppendEncode(dst, chunk[:n])
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// appendDouble appends f as a JSON number, or as a string where JSON has no number for it.
func appendDouble(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(dst, strconv.FormatFloat(f, 'g', -1, 64))
	}
	// The rule of encoding/json and of pdata's AsString: exponents for very small and very large numbers only.
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
