package recordfilereceiver

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// appendUnescaped appends a JSON string, given without its quotes, to dst. It returns false where an escape is not one of
// JSON. Half a surrogate pair becomes U+FFFD, as in encoding/json, which docker writes with.
func appendUnescaped(dst, text []byte) ([]byte, bool) {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return append(dst, text...), true
		}
		dst = append(dst, text[:at]...)
		if at+1 >= len(text) {
			return dst, false
		}
		escape := text[at+1]
		text = text[at+2:]
		switch escape {
		case '"', '\\', '/':
			dst = append(dst, escape)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hexRune(text)
			if !ok {
				return dst, false
			}
			text = text[4:]
			if utf16.IsSurrogate(r) {
				r = decodePair(r, text)
				if r != utf8.RuneError {
					text = text[len(`\u0000`):]
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
}

// decodePair returns the rune of a surrogate and the escape that follows it, or U+FFFD where that is no second half.
func decodePair(first rune, text []byte) rune {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return utf8.RuneError
	}
	second, ok := hexRune(text[2:])
	if !ok {
		return utf8.RuneError
	}
	return utf16.DecodeRune(first, second)
}

func hexRune(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	value, err := strconv.ParseUint(string(text[:4]), 16, 16)
	return rune(value), err == nil
}
