package letters

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// FileSuffix ends the names of files of dead letters, MarksFile is the name of the
// file of marks in the same directory.
const (
	FileSuffix = ".jsonl"
	MarksFile  = "replayed.json"
)

// line is a letter in a file. Bytes are base64 (encoding/json), and null is not empty.
type line struct {
	Reason    string       `json:"reason"`
	Error     string       `json:"error"`
	Signal    string       `json:"signal"`
	Encoding  string       `json:"encoding"`
	Topic     string       `json:"topic,omitempty"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Last      int64        `json:"last_offset"`
	Timestamp *time.Time   `json:"timestamp,omitempty"`
	Time      time.Time    `json:"time"`
	Records   int          `json:"records"`
	Replays   int          `json:"replays"`
	Headers   []lineHeader `json:"headers,omitempty"`
	Key       []byte       `json:"key"`
	Value     []byte       `json:"value"`
}

// lineHeader has the key as text, or as bytes when it is not valid UTF-8.
type lineHeader struct {
	Key      string `json:"key,omitempty"`
	KeyBytes []byte `json:"key_bytes,omitempty"`
	Value    []byte `json:"value"`
}

type markLine struct {
	Replayed string    `json:"replayed"`
	To       string    `json:"to"`
	Time     time.Time `json:"time"`
}

// AppendLine appends a normalized letter as a line of JSON, newline included.
func AppendLine(dst []byte, l *Letter) ([]byte, error) {
	out := line{
		Reason: l.Reason, Error: l.Error, Signal: l.Signal, Encoding: l.Encoding,
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Last: l.Last,
		Time: l.Time, Records: l.Records, Replays: l.Replays, Key: l.Key, Value: l.Value,
	}
	if !l.Timestamp.IsZero() {
		out.Timestamp = &l.Timestamp
	}
	for _, h := range l.Headers {
		header := lineHeader{Value: h.Value}
		if utf8.ValidString(h.Key) {
			header.Key = h.Key
		} else {
			header.KeyBytes = []byte(h.Key)
		}
		out.Headers = append(out.Headers, header)
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return dst, fmt.Errorf("encode a dead letter: %w", err)
	}
	return append(append(dst, encoded...), '\n'), nil
}

// ErrTorn says that the last line of a file has no end: the process was killed while
// it wrote it, and nobody has been told that the letter is stored.
var ErrTorn = errors.New("the last line is torn")

// Reader reads the lines of a file.
type Reader struct {
	lines *bufio.Reader
	line  int
}

// NewReader reads from a file of dead letters, or of marks.
func NewReader(r io.Reader) *Reader { return &Reader{lines: bufio.NewReaderSize(r, 64*1024)} }

// Line returns the number of the line that was read last, from 1.
func (r *Reader) Line() int { return r.line }

// Next returns the next letter, or io.EOF after the last. ErrTorn, too, is the end.
// Any other error is about that line only.
func (r *Reader) Next() (Letter, error) {
	encoded, err := r.next()
	if err != nil {
		return Letter{}, err
	}
	var in line
	if err := json.Unmarshal(encoded, &in); err != nil {
		return Letter{}, fmt.Errorf("line %d: %w: %w", r.line, ErrNotLetter, err)
	}
	l := Letter{
		Reason: in.Reason, Error: in.Error, Signal: in.Signal, Encoding: in.Encoding,
		Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Last: in.Last,
		Time: in.Time, Records: in.Records, Replays: in.Replays, Key: in.Key, Value: in.Value,
	}
	if in.Timestamp != nil {
		l.Timestamp = *in.Timestamp
	}
	for _, h := range in.Headers {
		header := Header{Key: h.Key, Value: h.Value}
		if len(h.KeyBytes) > 0 {
			header.Key = string(h.KeyBytes)
		}
		l.Headers = append(l.Headers, header)
	}
	if l.Reason == "" || l.Time.IsZero() {
		return Letter{}, fmt.Errorf("line %d: %w", r.line, ErrNotLetter)
	}
	return l, nil
}

func (r *Reader) next() ([]byte, error) {
	encoded, err := r.lines.ReadBytes('\n')
	switch {
	case err == nil:
		r.line++
		return encoded, nil
	case errors.Is(err, io.EOF) && len(encoded) > 0:
		r.line++
		return nil, ErrTorn
	default:
		return nil, err
	}
}

// ErrNotMark says that a line is not a mark.
var ErrNotMark = errors.New("not a mark")

// AppendMark appends a mark as a line of MarksFile.
func AppendMark(dst []byte, m Mark) ([]byte, error) {
	encoded, err := json.Marshal(markLine{Replayed: m.ID, To: m.To, Time: m.Time.UTC()})
	if err != nil {
		return dst, fmt.Errorf("encode a mark: %w", err)
	}
	return append(append(dst, encoded...), '\n'), nil
}

// NextMark is Next for a file of marks.
func (r *Reader) NextMark() (Mark, error) {
	encoded, err := r.next()
	if err != nil {
		return Mark{}, err
	}
	var in markLine
	if err := json.Unmarshal(encoded, &in); err != nil {
		return Mark{}, fmt.Errorf("line %d: %w: %w", r.line, ErrNotMark, err)
	}
	return Mark{ID: in.Replayed, To: in.To, Time: in.Time}, nil
}
