package harness

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A line names its writer and its number and ends with a checksum of all before,
// so that whoever finds it can tell what it is and whether it is whole:
//
//	writer=w1 seq=42 <payload> sum=0f1e2d3c

// FormatLine returns a line of a LogWriter, without a line feed. The payload is
// any text without a line feed.
func FormatLine(writer string, seq int64, payload string) string {
	body := fmt.Sprintf("writer=%s seq=%d %s", writer, seq, payload)
	return fmt.Sprintf("%s sum=%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

var (
	errForeignLine = errors.New("not a line of a LogWriter")
	errCorruptLine = errors.New("the checksum does not match")
)

// ParseLine returns the writer and the number in a line of FormatLine. It is an
// error when the line is something else or a byte of it has changed.
func ParseLine(line string) (writer string, seq int64, err error) {
	rest, ok := strings.CutPrefix(line, "writer=")
	if !ok {
		return "", 0, errForeignLine
	}
	sumAt := strings.LastIndex(line, " sum=")
	writer, rest, okWriter := strings.Cut(rest, " seq=")
	number, _, okNumber := strings.Cut(rest, " ")
	if !okWriter || !okNumber || sumAt < 0 {
		return "", 0, errCorruptLine
	}
	sum := fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(line[:sumAt])))
	if line[sumAt+len(" sum="):] != sum {
		return "", 0, errCorruptLine
	}
	seq, err = strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 0 {
		return "", 0, errCorruptLine
	}
	return writer, seq, nil
}

// filler returns n bytes of text that differ from line to line, as logs do, and
// are the same for the same line.
func filler(seq int64, n int) string {
	const digits = "0123456789abcdef"
	text := make([]byte, n)
	// xorshift: the state must not be 0.
	for i, x := 0, uint64(seq)*0x9e3779b97f4a7c15|1; i < n; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = digits[x>>60]
	}
	return string(text)
}
