package letters

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers that a letter has in a topic, after those of the original message.
const (
	headerPrefix    = "breakwater.dead_letter."
	headerReason    = headerPrefix + "reason" // always the first: what is before it is the original's
	headerError     = headerPrefix + "error"
	headerSignal    = headerPrefix + "signal"
	headerEncoding  = headerPrefix + "encoding"
	headerTopic     = headerPrefix + "topic"
	headerPartition = headerPrefix + "partition"
	headerOffset    = headerPrefix + "offset"
	headerLast      = headerPrefix + "last_offset"
	headerTimestamp = headerPrefix + "timestamp"
	headerTime      = headerPrefix + "time"
	headerRecords   = headerPrefix + "records"

	// HeaderReplays counts how often a message was replayed from a dead letter. The
	// command that replays sets it on the message, and the letter of a message that
	// has it carries it on.
	HeaderReplays = headerPrefix + "replays"

	headerReplayed   = headerPrefix + "replayed"
	headerReplayedTo = headerPrefix + "replayed_to"
)

// ErrNotLetter says that a record or line is not a dead letter.
var ErrNotLetter = errors.New("not a dead letter")

// ToRecord returns a normalized letter as a record: value, key and headers of the
// original as they were, then the headers of the letter.
func ToRecord(l *Letter, topic string) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(l.Headers)+12)
	for _, h := range l.Headers {
		headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(headerReason, l.Reason)
	add(headerError, l.Error)
	add(headerSignal, l.Signal)
	add(headerEncoding, l.Encoding)
	if l.Topic != "" {
		add(headerTopic, l.Topic)
		add(headerPartition, strconv.FormatInt(int64(l.Partition), 10))
		add(headerOffset, strconv.FormatInt(l.Offset, 10))
		add(headerLast, strconv.FormatInt(l.Last, 10))
	}
	if !l.Timestamp.IsZero() {
		add(headerTimestamp, l.Timestamp.Format(time.RFC3339Nano))
	}
	add(headerTime, l.Time.Format(time.RFC3339Nano))
	add(headerRecords, strconv.Itoa(l.Records))
	add(HeaderReplays, strconv.Itoa(l.Replays))
	return &kgo.Record{Topic: topic, Key: l.Key, Value: l.Value, Headers: headers}
}

// FromRecord is the inverse of ToRecord. The letter shares memory with the record.
func FromRecord(r *kgo.Record) (Letter, error) {
	// An original message may have been a dead letter itself, so the last one counts.
	first := -1
	for i := range slices.Backward(r.Headers) {
		if r.Headers[i].Key == headerReason {
			first = i
			break
		}
	}
	if first < 0 {
		return Letter{}, ErrNotLetter
	}
	l := Letter{Key: r.Key, Value: r.Value}
	if first > 0 {
		l.Headers = make([]Header, first)
		for i, h := range r.Headers[:first] {
			l.Headers[i] = Header{Key: h.Key, Value: h.Value}
		}
	}
	for _, h := range r.Headers[first:] {
		if err := l.set(h.Key, string(h.Value)); err != nil {
			return Letter{}, fmt.Errorf("header %s: %w", h.Key, err)
		}
	}
	return l, nil
}

func (l *Letter) set(key, value string) (err error) {
	switch key {
	case headerReason:
		l.Reason = value
	case headerError:
		l.Error = value
	case headerSignal:
		l.Signal = value
	case headerEncoding:
		l.Encoding = value
	case headerTopic:
		l.Topic = value
	case headerPartition:
		var partition int64
		partition, err = strconv.ParseInt(value, 10, 32)
		l.Partition = int32(partition)
	case headerOffset:
		l.Offset, err = strconv.ParseInt(value, 10, 64)
	case headerLast:
		l.Last, err = strconv.ParseInt(value, 10, 64)
	case headerTimestamp:
		l.Timestamp, err = time.Parse(time.RFC3339Nano, value)
	case headerTime:
		l.Time, err = time.Parse(time.RFC3339Nano, value)
	case headerRecords:
		l.Records, err = strconv.Atoi(value)
	case HeaderReplays:
		l.Replays, err = strconv.Atoi(value)
	}
	return err
}

// replaysOf returns what the original message says.
func replaysOf(headers []Header) int {
	replays := 0
	for _, h := range headers {
		if h.Key != HeaderReplays {
			continue
		}
		if n, err := strconv.Atoi(string(h.Value)); err == nil {
			replays = max(replays, n)
		}
	}
	return replays
}

// Replay returns the message to produce when the letter is replayed: value, key and
// headers of the original, and the number of replays, this one included.
func Replay(l *Letter, topic string) *kgo.Record {
	record := &kgo.Record{Topic: topic, Key: l.Key, Value: l.Value}
	for _, h := range l.Headers {
		if h.Key != HeaderReplays {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	record.Headers = append(record.Headers, kgo.RecordHeader{Key: HeaderReplays, Value: []byte(strconv.Itoa(l.Replays + 1))})
	return record
}

// Mark says that a letter has been replayed. It is kept beside the letters.
type Mark struct {
	ID   string // of the letter
	To   string // where the message is now: topic/partition@offset
	Time time.Time
}

// MarkRecord returns a mark as a record of the dead letter topic.
func MarkRecord(m Mark, topic string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte("replayed to " + m.To), Headers: []kgo.RecordHeader{
		{Key: headerReplayed, Value: []byte(m.ID)},
		{Key: headerReplayedTo, Value: []byte(m.To)},
		{Key: headerTime, Value: []byte(m.Time.UTC().Format(time.RFC3339Nano))},
	}}
}

// MarkFromRecord is the inverse of MarkRecord; ok is false for any other record.
func MarkFromRecord(r *kgo.Record) (m Mark, ok bool) {
	if len(r.Headers) != 3 || r.Headers[0].Key != headerReplayed || r.Headers[1].Key != headerReplayedTo || r.Headers[2].Key != headerTime {
		return Mark{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(r.Headers[2].Value))
	return Mark{ID: string(r.Headers[0].Value), To: string(r.Headers[1].Value), Time: t}, err == nil
}
