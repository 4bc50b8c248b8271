package recordfilereceiver

import "bytes"

const (
	pythonTraceback  = "Traceback (most recent call last):"
	pythonGroup      = "+ Exception Group " + pythonTraceback
	pythonSuppressed = "During handling of the above exception, another exception occurred:"
	pythonCause      = "The above exception was the direct cause of the following exception:"
)

func pythonStart(text []byte) traceState {
	switch {
	case hasAnyPrefix(text, pythonTraceback):
		return statePythonFrames
	case isIndented(text) && hasAnyPrefix(trimIndent(text), pythonGroup):
		return statePythonGroup
	case hasAnyPrefix(text, "Exception in thread ", "Exception ignored in", "Exception in callback "):
		return statePythonIntro
	}
	return stateText
}

// nextPython knows what the traceback module prints: frames that are indented, one line that says what was raised, and
// the same again for what it was raised from.
func nextPython(state traceState, text []byte) (traceState, bool) {
	switch state {
	case statePythonIntro, statePythonChain:
		if len(text) == 0 {
			return state, state == statePythonChain
		}
		next := pythonStart(text)
		return next, next == statePythonFrames || next == statePythonGroup
	case statePythonFrames:
		if isIndented(text) {
			return statePythonFrames, true
		}
		return statePythonDone, len(text) > 0
	case statePythonGroup:
		if len(text) == 0 {
			return statePythonBlank, true
		}
		return statePythonGroup, isIndented(text)
	case statePythonDone:
		return statePythonBlank, len(text) == 0
	default: // statePythonBlank
		if bytes.Equal(text, []byte(pythonSuppressed)) || bytes.Equal(text, []byte(pythonCause)) {
			return statePythonChain, true
		}
		return state, false
	}
}
