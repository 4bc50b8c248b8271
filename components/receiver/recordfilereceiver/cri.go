package recordfilereceiver

import "bytes"

// criDecoder decodes what containerd and CRI-O write:
//
//	2026-01-02T03:04:05.678901234Z stdout F text
//
// with P in place of F for a piece of a longer line. See the kubelet's "CRI logging format"; tags other than P and F
// may follow after a colon.
type criDecoder struct{}

func (criDecoder) decode(raw []byte) line {
	undecoded := line{text: raw, undecoded: true}
	at, rest, ok := bytes.Cut(raw, []byte{' '})
	if !ok || len(at) < len("2006-01-02T15:04:05Z") || at[10] != 'T' {
		return undecoded
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return undecoded
	}
	l := line{time: at}
	switch string(stream) {
	case "stdout":
	case "stderr":
		l.stream = stderr
	default:
		return undecoded
	}
	// The space after the tag is missing where a writer trims the line end of an empty line.
	tags, text, _ := bytes.Cut(rest, []byte{' '})
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	switch string(tag) {
	case "F":
	case "P":
		l.partial = true
	default:
		return undecoded
	}
	if !l.partial {
		text = bytes.TrimSuffix(text, []byte{'\r'})
	}
	l.text = text
	return l
}
