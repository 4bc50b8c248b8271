package victorialogsexporter

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
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

// appendString appends s as a JSON string. Bytes that are not UTF-8 go through as they are: VictoriaLogs keeps them,
// while a replacement character would lose them.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// appendEscaped is appendString without the quotes. It copies eight bytes at a time and looks at them on the way.
func appendEscaped(dst []byte, s string) []byte {
	const word = 8
	src := unsafe.Slice(unsafe.StringData(s), len(s))
	for len(src) >= word {
		// Room for all that is left without escapes, and for one word more than is used of it.
		dst = slices.Grow(dst, len(src)+maxEscapedLen)
		out, n := dst[len(dst):cap(dst)], 0
		for len(src) >= word && len(out)-n >= len(src)+maxEscapedLen {
			w := binary.LittleEndian.Uint64(src)
			binary.LittleEndian.PutUint64(out[n:], w)
			mask := escapeMask(w)
			if mask == 0 {
				src, n = src[word:], n+word
				continue
			}
			at := bits.TrailingZeros64(mask) / word
			n += at + len(appendEscape(out[n+at:n+at:n+at+maxEscapedLen], src[at]))
			src = src[at+1:]
		}
		dst = dst[:len(dst)+n]
	}
	for _, c := range src {
		if mustEscape[c] {
			dst = appendEscape(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// maxEscapedLen is how much one byte can become: \u0000. It leaves room for the word that is written last, too.
const maxEscapedLen = 8

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

const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// nanoFormatter appends timestamps. Those of neighbours have their seconds in common.
type nanoFormatter struct {
	seconds int64
	text    []byte
}

// append appends nanoseconds since the epoch, of a time from minUnixNano on, as an integer.
func (f *nanoFormatter) append(dst []byte, timestamp int64) []byte {
	const second = 1_000_000_000
	seconds, rest := timestamp/second, uint32(timestamp%second) //nolint:gosec // G115: below a second
	if seconds != f.seconds || len(f.text) == 0 {
		f.seconds, f.text = seconds, appendInt(f.text[:0], seconds)
	}
	dst = append(dst, f.text...)
	var digits [9]byte
	for i := len(digits) - 2; i > 0; i -= 2 {
		pair := rest % 100 * 2
		rest /= 100
		digits[i], digits[i+1] = digitPairs[pair], digitPairs[pair+1]
	}
	digits[0] = '0' + byte(rest)
	return append(dst, digits[:]...)
}

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
