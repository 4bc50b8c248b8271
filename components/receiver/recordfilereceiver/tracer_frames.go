package recordfilereceiver

import (
	"bytes"
	"regexp"
)

// nextFrames knows the frames of Java and Node.js. A record of any text goes on with a frame: what the error says, and
// so the first line, can be anything.
func (t tracer) nextFrames(state traceState, text []byte) (traceState, bool) {
	if !t.has(java | node) {
		return state, false
	}
	if len(text) == 0 {
		return stateFramesBlank, state != stateText
	}
	trimmed := trimIndent(text)
	indented := len(trimmed) < len(text)
	if state == stateFramesBlank {
		return stateEnd, t.has(node) && bytes.HasPrefix(text, []byte("Node.js v"))
	}
	if indented && (hasAnyPrefix(trimmed, "at ", "eval at ") || t.has(java) && isElided(trimmed)) {
		if t.has(node) && bytes.HasSuffix(text, []byte(" {")) {
			return stateNodeProperties, true
		}
		return stateFrames, true
	}
	if !t.has(java) {
		return state, false
	}
	if indented && hasAnyPrefix(trimmed, "Suppressed: ", "Caused by: ") {
		return stateFrames, true
	}
	if state == stateFrames && (hasAnyPrefix(trimmed, "Caused by: ", "nested exception is:", "Wrapped by: ") ||
		indented && hasAnyPrefix(trimmed, "- locked ", "- waiting ", "- parking ", "[CIRCULAR REFERENCE")) {
		return stateFrames, true
	}
	return state, false
}

// elided are the frames that a cause has in common with what it caused: printStackTrace of java.lang.Throwable, and of
// Logback.
var elided = regexp.MustCompile(`^\.\.\. \d+ (?:more|common frames omitted|filtered)`)

func isElided(text []byte) bool {
	return bytes.HasPrefix(text, []byte("... ")) && elided.Match(text)
}

func trimIndent(text []byte) []byte { return bytes.TrimLeft(text, " \t") }

func isIndented(text []byte) bool { return len(text) > 0 && (text[0] == ' ' || text[0] == '\t') }

func hasAnyPrefix(text []byte, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}
