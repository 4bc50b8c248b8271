package fluentbitencodingextension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/valyala/fastjson"
)

// keepLoneSurrogates returns data with an escape of half a character (`\ud800` with no half to go with it) written as the
// text that it is. fastjson would take what follows it for the other half, and it would be lost.
func keepLoneSurrogates(data []byte) []byte {
	var out []byte
	done, at := 0, 0
	for {
		next := bytes.IndexByte(data[at:], '\\')
		if next < 0 {
			break
		}
		at += next
		first := surrogate(data[at:])
		if first == 0 {
			at += 2
			if at >= len(data) {
				break
			}
			continue
		}
		const escape = len(`\ud800`)
		if second := surrogate(data[at+escape:]); second != 0 && utf16.DecodeRune(first, second) != '\uFFFD' {
			at += 2 * escape
			continue
		}
		out = append(append(out, data[done:at]...), '\\')
		done = at
		at += escape
	}
	if out == nil {
		return data
	}
	return append(out, data[done:]...)
}

// surrogate returns the half of a character that data begins with an escape of, or 0.
func surrogate(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' || data[2]|0x20 != 'd' || data[3] < '8' {
		return 0
	}
	value, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(value)
}

var (
	errDepth = fmt.Errorf("nested more than %d deep", fastjson.MaxDepth)
	errEmpty = errors.New("an empty message")
)

// syntaxError says where data stops to be JSON, and nothing of what is there: the texts of the parsers quote it.
func syntaxError(data []byte) error {
	var raw json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(data))
	for values := 0; ; values++ {
		err := decoder.Decode(&raw)
		if err == nil {
			continue
		}
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			if strings.Contains(syntax.Error(), "max depth") {
				return errDepth
			}
			return fmt.Errorf("invalid JSON at byte %d", syntax.Offset)
		}
		switch {
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("the JSON is cut off at byte %d", len(data))
		case values == 0:
			return errEmpty
		}
		return errDepth // the one thing that fastjson does not take and encoding/json does
	}
}
