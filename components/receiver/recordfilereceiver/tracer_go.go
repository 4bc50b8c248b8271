package recordfilereceiver

import (
	"bytes"
	"regexp"
)

// goRegister is a line of the registers that the runtime prints after a signal.
var goRegister = regexp.MustCompile(`^[a-z][a-z0-9]*\s+0x[0-9a-f]+$`)

func goStart(text []byte) bool {
	return hasAnyPrefix(text, "panic: ", "fatal error: ", "unexpected fault address ", "SIGQUIT: ", "SIGSEGV: ", "SIGABRT: ") ||
		isGoroutine(text) ||
		bytes.Contains(text, []byte("http: panic serving "))
}

func isGoroutine(text []byte) bool {
	return hasAnyPrefix(text, "goroutine ") && bytes.HasSuffix(text, []byte("]:"))
}

// nextGo knows what the runtime prints when a program panics, and net/http for a handler that does.
func nextGo(state traceState, text []byte) (traceState, bool) {
	switch {
	case len(text) == 0:
		return stateGoBlank, true
	case isGoroutine(text):
		return stateGoFrames, true
	case hasAnyPrefix(text, "exit status "): // `go run`
		return stateEnd, true
	}
	switch state {
	case stateGoHeader:
		// A panic in a panic, the signal, the value of a panic over several lines.
		return stateGoHeader, isIndented(text) || hasAnyPrefix(text, "panic: ", "fatal error: ", "[signal ", "PC=", "runtime: ", "goroutine ")
	case stateGoFrames:
		return stateGoFrames, isIndented(text) || isGoFunction(text)
	case stateGoBlank:
		if hasAnyPrefix(text, "[signal ", "fatal error: ", "runtime stack:") {
			return stateGoFrames, true
		}
		return stateGoRegisters, goRegister.Match(text)
	default: // stateGoRegisters
		return stateGoRegisters, goRegister.Match(text)
	}
}

// isGoFunction says whether a line names the function of a frame.
func isGoFunction(text []byte) bool {
	if hasAnyPrefix(text, "created by ", "...additional frames elided...", "[originating from goroutine ") {
		return true
	}
	open := bytes.IndexByte(text, '(')
	return open > 0 && text[len(text)-1] == ')' && bytes.IndexByte(text[:open], ' ') < 0
}
