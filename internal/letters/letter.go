// Package letters is the format of dead letters in a Kafka topic and in files: what
// the components write and the command breakwater-deadletters reads.
package letters

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// Signals of a Letter.
const (
	SignalLogs    = "logs"
	SignalMetrics = "metrics"
	SignalTraces  = "traces"
)

// Reasons of a Letter.
const (
	// ReasonUndecodable: Value is the message as it was read.
	ReasonUndecodable = "undecodable"
	// ReasonRefused: a backend refused the records of Value for good.
	ReasonRefused = "refused"
)

// EncodingOTLP is the encoding of letters that are made of records.
const EncodingOTLP = "otlp_proto"

// maxErrorBytes bounds the text of an error in a letter.
const maxErrorBytes = 4096

// Letter is one dead letter: an undecodable message as it was read, or the records
// of a request that a backend refused.
type Letter struct {
	// Reason is one word of a small set, such as "undecodable" or "refused"; it is a
	// metric attribute.
	Reason string
	// Error is the text of the refusal, cut at 4 KiB.
	Error string
	// Signal is one of the Signal constants, Encoding the encoding of Value as the
	// kafka receiver calls it ("otlp_proto", "json", …).
	Signal   string
	Encoding string
	// Topic, Partition and Offset are where the message was read. Last is the offset
	// of the last message, where several were merged into one request; Offset when it
	// was one. Topic is empty when the letter did not come from Kafka.
	Topic     string
	Partition int32
	Offset    int64
	Last      int64
	// Timestamp is the time of the original message, or zero.
	Timestamp time.Time
	Key       []byte
	Headers   []Header
	Value     []byte
	// Records is how many records, data points or spans Value has; 0 when it cannot be
	// decoded.
	Records int
	// Time is when the letter was buried. A store sets it when it is zero.
	Time time.Time
	// Replays is how often the message had been replayed from a dead letter before it
	// ended here again. It is never less than what the header HeaderReplays says.
	Replays int
}

// Header is a header of the original message.
type Header struct {
	Key   string
	Value []byte
}

// Normalize returns the letter as it is stored: text is valid UTF-8, the error
// bounded, times are UTC, and a letter that did not come from Kafka has no position.
// now is the time of a letter that has none.
func Normalize(l Letter, now time.Time) Letter {
	l.Reason = text(l.Reason)
	l.Error = ErrorText(l.Error)
	l.Signal = text(l.Signal)
	l.Encoding = text(l.Encoding)
	l.Topic = text(l.Topic)
	if l.Topic == "" {
		l.Partition, l.Offset, l.Last = 0, 0, 0
	}
	l.Last = max(l.Last, l.Offset)
	l.Timestamp = storable(l.Timestamp)
	if l.Time = storable(l.Time); l.Time.IsZero() {
		l.Time = now.UTC().Round(0)
	}
	l.Records = max(l.Records, 0)
	l.Replays = max(l.Replays, replaysOf(l.Headers))
	return l
}

// Original reports whether the value is the message as it was read, and not records
// that were encoded anew.
func (l Letter) Original() bool { return l.Reason == ReasonUndecodable }

// ID is the same for a letter that was stored twice, as happens after a crash, and
// for its copy in a file. A letter without a position has the time in it, because
// equal values may be different events.
func (l Letter) ID() string {
	var b []byte
	field := func(v []byte) {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	for _, s := range []string{l.Reason, l.Signal, l.Encoding, l.Topic} {
		field([]byte(s))
	}
	b = binary.AppendVarint(b, int64(l.Partition))
	b = binary.AppendVarint(b, l.Offset)
	b = binary.AppendVarint(b, l.Last)
	if l.Topic == "" {
		field([]byte(l.Time.UTC().Format(time.RFC3339Nano)))
	}
	field(l.Key)
	value := xxh3.Hash128(l.Value).Bytes()
	b = append(b, value[:]...)
	id := xxh3.Hash128(b).Bytes()
	return hex.EncodeToString(id[:])
}

// ErrorText returns the text of an error as it is stored: valid UTF-8 of at most 4 KiB.
func ErrorText(s string) string { return bounded(text(s), maxErrorBytes) }

func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// bounded cuts a text between runes.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// storable returns the time in UTC, or zero for one that RFC 3339 has no text for:
// the timestamp of a Kafka message may be any number.
func storable(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	t = t.UTC().Round(0)
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
