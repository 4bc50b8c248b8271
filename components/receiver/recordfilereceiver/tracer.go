package recordfilereceiver

import (
	"fmt"
	"maps"
	"slices"
)

// traceState is how far a record has come in a stack trace. Zero: it is none, as far as its lines show.
type traceState uint8

const (
	stateText traceState = iota
	stateEnd             // a trace that has had its last line

	// Java and Node.js: frames that begin with "at".
	stateFrames
	stateFramesBlank

	// Node.js: what comes before the frames, and the properties of an error after them.
	stateNodeSource
	stateNodeCaret
	stateNodeBlank
	stateNodeHeader
	stateNodeProperties

	statePythonIntro
	statePythonFrames
	statePythonDone
	statePythonBlank
	statePythonChain
	statePythonGroup

	stateGoHeader
	stateGoFrames
	stateGoBlank
	stateGoRegisters
)

// language is a set of languages.
type language uint8

const (
	java language = 1 << iota
	python
	golang
	node
)

var languages = map[string]language{"java": java, "python": python, "go": golang, "node": node}

// tracer knows the stack traces of some languages. A trace is known by its own lines, whatever stands before it, so a
// line is taken for a part of one only where the lines before it are one, too, or where it can be nothing else.
type tracer struct {
	languages language
}

func newTracer(names []string) (tracer, error) {
	var t tracer
	for _, name := range names {
		l, ok := languages[name]
		if !ok {
			return t, fmt.Errorf("unknown language `%s`; known: %v", name, slices.Sorted(maps.Keys(languages)))
		}
		t.languages |= l
	}
	return t, nil
}

func (t tracer) has(l language) bool { return t.languages&l != 0 }

// start returns the state of a record that begins with text.
func (t tracer) start(text []byte) traceState {
	if len(text) == 0 {
		return stateText
	}
	if t.has(python) {
		if state := pythonStart(text); state != stateText {
			return state
		}
	}
	if t.has(golang) && goStart(text) {
		return stateGoHeader
	}
	if t.has(node) && nodeStart(text) {
		return stateNodeSource
	}
	return stateText
}

// next returns the state after one more line, or false where that line is the beginning of another record.
func (t tracer) next(state traceState, text []byte) (traceState, bool) {
	switch state {
	case stateText, stateFrames, stateFramesBlank:
		return t.nextFrames(state, text)
	case stateEnd:
		return stateEnd, false
	case stateNodeSource, stateNodeCaret, stateNodeBlank, stateNodeHeader, stateNodeProperties:
		return nextNode(state, text)
	case statePythonIntro, statePythonFrames, statePythonDone, statePythonBlank, statePythonChain, statePythonGroup:
		if state == statePythonIntro && t.has(java) {
			// `Exception in thread "main"` is Java's, too.
			if next, ok := t.nextFrames(stateText, text); ok {
				return next, true
			}
		}
		return nextPython(state, text)
	default:
		return nextGo(state, text)
	}
}
