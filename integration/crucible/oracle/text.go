package oracle

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

const marker = "writer="

// unwrap returns what a container runtime or Fluent Bit has put around a line, or the text as it is. The pipeline may
// store the line with it or without.
func unwrap(text string, parser *fastjson.Parser) string {
	if strings.HasPrefix(text, marker) {
		return strings.TrimSuffix(text, "\n")
	}
	if strings.HasPrefix(text, "{") {
		if object, err := parser.Parse(text); err == nil {
			if log := object.Get("log"); log != nil && log.Type() == fastjson.TypeString {
				text = string(log.GetStringBytes())
			}
		}
	} else {
		text = unwrapCRI(text)
	}
	return strings.TrimSuffix(text, "\n")
}

// unwrapCRI removes "2026-01-02T03:04:05.000000000Z stdout F ".
func unwrapCRI(text string) string {
	at, rest, _ := strings.Cut(text, " ")
	stream, rest, _ := strings.Cut(rest, " ")
	tag, rest, ok := strings.Cut(rest, " ")
	if !ok || !strings.Contains(at, "T") || stream != "stdout" && stream != "stderr" || tag != "P" && tag != "F" {
		return text
	}
	return rest
}

// origin is what a text says that it is, true or not: the writer and the number, or the number -1 where it cannot be read.
func origin(text string) (writer string, seq int64, ok bool) {
	if rest, found := strings.CutPrefix(text, load.PartMarker); found {
		name, rest, _ := strings.Cut(rest, "/")
		number, _, found := strings.Cut(rest, "/")
		if seq, err := strconv.ParseInt(number, 10, 64); found && err == nil {
			return name, seq, true
		}
	}
	at := strings.Index(text, marker)
	if at < 0 {
		return "", 0, false
	}
	writer, rest, found := strings.Cut(text[at+len(marker):], " ")
	if !found {
		return writer, -1, true
	}
	rest, found = strings.CutPrefix(rest, "seq=")
	number, _, _ := strings.Cut(rest, " ")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return writer, -1, true
	}
	return writer, seq, true
}

// scan returns the records within bytes of any format, each from its mark to its checksum. What has no checksum, or a
// wrong one, is given up to the next mark.
func scan(value []byte) []string {
	var found []string
	for {
		at := bytes.Index(value, []byte(marker))
		if at < 0 {
			return found
		}
		value = value[at:]
		end := len(value)
		if next := bytes.Index(value[1:], []byte(marker)); next >= 0 {
			end = next + 1
		}
		text := string(value[:end])
		// A payload may hold anything, so the checksum decides where the record ends.
		const sum = " sum="
		for from := 0; ; {
			i := strings.Index(text[from:], sum)
			if i < 0 {
				break
			}
			from += i + len(sum)
			if from+8 > len(text) {
				break
			}
			if _, _, err := harness.ParseLine(text[:from+8]); err == nil {
				text = text[:from+8]
				break
			}
		}
		found = append(found, text)
		value = value[end:]
	}
}
