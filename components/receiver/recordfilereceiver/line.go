package recordfilereceiver

import (
	"bytes"
	"time"
)

// streamID is the stream of a program that a line was written to.
type streamID uint8

const (
	stdout streamID = iota
	stderr
	streamCount
)

func (s streamID) String() string {
	if s == stderr {
		return "stderr"
	}
	return "stdout"
}

// line is one line of a file, decoded. Its slices are views of the file's bytes or of the decoder's scratch, and valid
// until the next line is decoded.
type line struct {
	text      []byte // without the line end
	stream    streamID
	partial   bool   // the next line of the stream goes on with the same line of the program
	time      []byte // RFC 3339; nil where the format has none
	attrs     []byte // docker: the JSON object of --log-opt labels, env and tag
	undecoded bool   // not as the format says: text is the line as it is in the file
}

// decoder decodes the lines of one format. It may keep scratch space, so it serves one goroutine.
type decoder interface {
	// decode takes a line without its line feed.
	decode(raw []byte) line
}

func newDecoder(format string) decoder {
	switch format {
	case formatDocker:
		return &dockerDecoder{}
	case formatCRI:
		return criDecoder{}
	default:
		return plainDecoder{}
	}
}

// plainDecoder takes a line for what the program has written.
type plainDecoder struct{}

func (plainDecoder) decode(raw []byte) line {
	return line{text: bytes.TrimSuffix(raw, []byte{'\r'})}
}

// unixNano returns the time of a line, and 0 where it has none that can be read.
func (l *line) unixNano() int64 { return parseTime(l.time) }

func parseTime(text []byte) int64 {
	if len(text) == 0 {
		return 0
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return 0
	}
	return at.UnixNano()
}
