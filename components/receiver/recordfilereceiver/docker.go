package recordfilereceiver

import (
	"bytes"

	"github.com/valyala/fastjson"
)

// dockerDecoder decodes what docker's json-file driver writes:
//
//	{"log":"text\n","stream":"stdout","attrs":{…},"time":"2026-01-02T03:04:05.678901234Z"}
//
// Docker cuts a line of a program into pieces of 16 KiB; all but the last have no \n at the end of "log".
type dockerDecoder struct {
	parser fastjson.Parser
	text   []byte // scratch, for text with escapes
}

var (
	dockerLog    = []byte(`{"log":"`)
	dockerStream = []byte(`,"stream":"`)
	dockerAttrs  = []byte(`,"attrs":`)
	dockerTime   = []byte(`,"time":"`)
	dockerEnd    = []byte(`"}`)
	escapedLF    = []byte(`\n`)
	escapedCR    = []byte(`\r`)
)

func (d *dockerDecoder) decode(raw []byte) line {
	raw = bytes.TrimSuffix(raw, []byte{'\r'})
	if l, ok := d.fast(raw); ok {
		return l
	}
	if l, ok := d.slow(raw); ok {
		return l
	}
	return line{text: raw, undecoded: true}
}

// fast reads the one form that docker writes, mostly without a copy.
func (d *dockerDecoder) fast(raw []byte) (line, bool) {
	rest, ok := bytes.CutPrefix(raw, dockerLog)
	if !ok {
		return line{}, false
	}
	end := jsonStringEnd(rest)
	if end < 0 {
		return line{}, false
	}
	text, rest := rest[:end], rest[end+1:]
	l := line{partial: true}
	if whole, cut := cutEscape(text, escapedLF); cut {
		l.partial = false
		text, _ = cutEscape(whole, escapedCR)
	}
	if rest, ok = bytes.CutPrefix(rest, dockerStream); !ok {
		return line{}, false
	}
	switch {
	case bytes.HasPrefix(rest, []byte(`stdout"`)):
	case bytes.HasPrefix(rest, []byte(`stderr"`)):
		l.stream = stderr
	default:
		return line{}, false
	}
	rest = rest[len(`stdout"`):]
	if after, ok := bytes.CutPrefix(rest, dockerAttrs); ok {
		at := bytes.LastIndex(after, dockerTime)
		if at < 0 {
			return line{}, false
		}
		l.attrs, rest = after[:at], after[at:]
	}
	if rest, ok = bytes.CutPrefix(rest, dockerTime); !ok {
		return line{}, false
	}
	if l.time, ok = bytes.CutSuffix(rest, dockerEnd); !ok || bytes.IndexByte(l.time, '"') >= 0 {
		return line{}, false
	}
	if bytes.IndexByte(text, '\\') < 0 {
		l.text = text
		return l, true
	}
	if l.text, ok = appendUnescaped(d.text[:0], text); !ok {
		return line{}, false
	}
	d.text = l.text
	return l, true
}

// slow reads any JSON object that has the members, in whatever order.
func (d *dockerDecoder) slow(raw []byte) (line, bool) {
	object, err := d.parser.ParseBytes(raw)
	if err != nil || object.Type() != fastjson.TypeObject {
		return line{}, false
	}
	text := object.Get("log")
	if text == nil || text.Type() != fastjson.TypeString {
		return line{}, false
	}
	l := line{partial: true, text: text.GetStringBytes(), time: bytes.Clone(object.GetStringBytes("time"))}
	if whole, cut := bytes.CutSuffix(l.text, []byte{'\n'}); cut {
		l.partial = false
		l.text = bytes.TrimSuffix(whole, []byte{'\r'})
	}
	if string(object.GetStringBytes("stream")) == "stderr" {
		l.stream = stderr
	}
	if attrs := object.Get("attrs"); attrs != nil {
		l.attrs = attrs.MarshalTo(nil)
	}
	return l, true
}

// jsonStringEnd returns the index of the quote that ends a JSON string, or -1.
func jsonStringEnd(text []byte) int {
	for at := 0; ; {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return -1
		}
		at += quote
		backslashes := 0
		for backslashes < at && text[at-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return at
		}
		at++
	}
}

// cutEscape removes an escape of two characters from the end of a JSON string. Its backslash must not be the second half
// of an escaped one.
func cutEscape(text, escape []byte) ([]byte, bool) {
	whole, ok := bytes.CutSuffix(text, escape)
	if !ok {
		return text, false
	}
	backslashes := 0
	for backslashes < len(whole) && whole[len(whole)-1-backslashes] == '\\' {
		backslashes++
	}
	if backslashes%2 != 0 {
		return text, false
	}
	return whole, true
}
