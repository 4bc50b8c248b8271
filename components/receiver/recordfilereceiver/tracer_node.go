package recordfilereceiver

import (
	"bytes"
	"regexp"
)

// nodeLocation is where an uncaught error was thrown. It is followed by the source line, and by carets below it.
var nodeLocation = regexp.MustCompile(`^(?:node:\S+|(?:file://)?(?:/|[A-Za-z]:[\\/]).*\.(?:js|cjs|mjs|jsx|ts|cts|mts|tsx)):\d+$`)

func nodeStart(text []byte) bool {
	last := text[len(text)-1]
	return last >= '0' && last <= '9' && nodeLocation.Match(text)
}

// nextNode knows what Node.js prints for an uncaught error, but for the frames.
func nextNode(state traceState, text []byte) (traceState, bool) {
	switch state {
	case stateNodeSource:
		return stateNodeCaret, len(text) > 0
	case stateNodeCaret:
		carets := trimIndent(text)
		return stateNodeBlank, len(carets) > 0 && len(bytes.Trim(carets, "^~")) == 0
	case stateNodeBlank:
		if len(text) == 0 {
			return stateNodeHeader, true
		}
		return nodeHeader(text), true
	case stateNodeHeader:
		if len(text) == 0 {
			return stateNodeHeader, true
		}
		return nodeHeader(text), true
	default: // stateNodeProperties
		if bytes.HasPrefix(text, []byte{'}'}) {
			return stateFrames, true
		}
		return stateNodeProperties, isIndented(text)
	}
}

// nodeHeader is the state after the line that says what was thrown.
func nodeHeader(text []byte) traceState {
	if bytes.HasSuffix(text, []byte(" {")) {
		return stateNodeProperties
	}
	return stateFrames
}
