package letters

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

func full() Letter {
	return Letter{
		Reason: ReasonUndecodable, Error: "broken", Signal: SignalLogs, Encoding: "json",
		Topic: "t", Partition: 3, Offset: 41, Last: 44,
		Timestamp: now.Add(-time.Hour), Time: now, Records: 7, Replays: 2,
		Key: []byte("k"), Value: []byte("v\x00\xff"),
		Headers: []Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "\xff", Value: []byte{}}, {}},
	}
}

func throughFile(t testing.TB, l Letter) Letter {
	encoded, err := AppendLine(nil, &l)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(encoded, []byte("\n")))
	r := NewReader(bytes.NewReader(encoded))
	read, err := r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorIs(t, err, io.EOF)
	return read
}

func TestRoundTrip(t *testing.T) {
	for name, l := range map[string]Letter{
		"full":                  full(),
		"least":                 Normalize(Letter{Reason: ReasonRefused}, now),
		"empty is not null":     Normalize(Letter{Reason: "r", Key: []byte{}, Value: []byte{}}, now),
		"a letter in a letter":  Normalize(Letter{Reason: "r", Headers: []Header{{Key: headerReason, Value: []byte("x")}, {Key: headerOffset, Value: []byte("y")}}}, now),
		"time that has no text": Normalize(Letter{Reason: "r", Timestamp: time.UnixMilli(1 << 62)}, now),
	} {
		t.Run(name, func(t *testing.T) {
			read, err := FromRecord(ToRecord(&l, "dlq"))
			require.NoError(t, err)
			assert.Equal(t, l, read)
			assert.Equal(t, l, throughFile(t, l))
			assert.Equal(t, l.ID(), throughFile(t, l).ID())
		})
	}
}

func TestRecordKeepsTheOriginal(t *testing.T) {
	l := full()
	record := ToRecord(&l, "dlq")
	assert.Equal(t, "dlq", record.Topic)
	assert.Equal(t, l.Value, record.Value)
	assert.Equal(t, l.Key, record.Key)
	values := map[string]string{}
	for i, h := range record.Headers {
		if i < len(l.Headers) {
			assert.Equal(t, kgo.RecordHeader{Key: l.Headers[i].Key, Value: l.Headers[i].Value}, h)
			continue
		}
		values[h.Key] = string(h.Value)
	}
	assert.Equal(t, map[string]string{
		"breakwater.dead_letter.reason":      "undecodable",
		"breakwater.dead_letter.error":       "broken",
		"breakwater.dead_letter.signal":      "logs",
		"breakwater.dead_letter.encoding":    "json",
		"breakwater.dead_letter.topic":       "t",
		"breakwater.dead_letter.partition":   "3",
		"breakwater.dead_letter.offset":      "41",
		"breakwater.dead_letter.last_offset": "44",
		"breakwater.dead_letter.timestamp":   "2026-03-04T04:06:07.000000089Z",
		"breakwater.dead_letter.time":        "2026-03-04T05:06:07.000000089Z",
		"breakwater.dead_letter.records":     "7",
		"breakwater.dead_letter.replays":     "2",
	}, values)
}

func TestNormalizeBounds(t *testing.T) {
	l := Normalize(Letter{
		Error: strings.Repeat("é", 4096) + "\xff", Partition: 1, Offset: 2, Last: 3, Records: -1, Replays: -5,
	}, now)
	assert.Len(t, l.Error, 4096)
	assert.Equal(t, now, l.Time)
	assert.Zero(t, l.Partition+int32(l.Offset+l.Last)+int32(l.Records+l.Replays))

	l = Normalize(Letter{Error: "x" + strings.Repeat("é", 4096)}, now)
	assert.Equal(t, "x"+strings.Repeat("é", 2047), l.Error, "not cut within a rune")
	assert.Equal(t, int64(9), Normalize(Letter{Topic: "t", Offset: 9}, now).Last)
}

func TestReplaysAreCarriedOn(t *testing.T) {
	l := Normalize(Letter{Reason: ReasonUndecodable, Headers: []Header{{Key: "a"}}}, now)
	for want := 1; want <= 3; want++ {
		message := Replay(&l, "t")
		require.Len(t, message.Headers, 2, "one count, and the header of the original")
		// The receiver cannot decode it again and passes all headers on.
		again := Letter{Reason: ReasonUndecodable}
		for _, h := range message.Headers {
			again.Headers = append(again.Headers, Header{Key: h.Key, Value: h.Value})
		}
		l = Normalize(again, now)
		assert.Equal(t, want, l.Replays)
	}
}

func TestIDTellsLettersApart(t *testing.T) {
	base := full()
	ids := map[string]string{base.ID(): "base"}
	for name, change := range map[string]func(*Letter){
		"reason":    func(l *Letter) { l.Reason = ReasonRefused },
		"signal":    func(l *Letter) { l.Signal = SignalTraces },
		"encoding":  func(l *Letter) { l.Encoding = "" },
		"topic":     func(l *Letter) { l.Topic = "u" },
		"partition": func(l *Letter) { l.Partition++ },
		"offset":    func(l *Letter) { l.Offset++ },
		"last":      func(l *Letter) { l.Last++ },
		"key":       func(l *Letter) { l.Key = nil },
		"value":     func(l *Letter) { l.Value = nil },
	} {
		l := full()
		change(&l)
		other, taken := ids[l.ID()]
		assert.False(t, taken, "%s as %s", name, other)
		ids[l.ID()] = name
	}
	again := full()
	again.Time, again.Error = again.Time.Add(time.Hour), "other words"
	assert.Equal(t, base.ID(), again.ID(), "the same letter, stored again")

	here, there := Normalize(Letter{Value: []byte("v")}, now), Normalize(Letter{Value: []byte("v")}, now.Add(1))
	assert.NotEqual(t, here.ID(), there.ID(), "without a position the time tells them apart")
}

func TestWhatIsNoLetter(t *testing.T) {
	_, err := FromRecord(&kgo.Record{Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "a"}}})
	require.ErrorIs(t, err, ErrNotLetter)

	l := full()
	for i, h := range ToRecord(&l, "dlq").Headers {
		switch h.Key {
		case headerPartition, headerOffset, headerLast, headerTimestamp, headerTime, headerRecords, HeaderReplays:
			record := ToRecord(&l, "dlq")
			record.Headers[i].Value = []byte("?")
			_, err := FromRecord(record)
			require.ErrorContains(t, err, h.Key)
		}
	}

	_, isMark := MarkFromRecord(ToRecord(&l, "dlq"))
	assert.False(t, isMark)
}

func TestReaderGoesOnAfterABadLine(t *testing.T) {
	l := full()
	good, err := AppendLine(nil, &l)
	require.NoError(t, err)
	r := NewReader(strings.NewReader(string(good) + "{}\n" + "nonsense\n" + string(good) + string(good[:len(good)-1])))
	for i, want := range []error{nil, ErrNotLetter, ErrNotLetter, nil, ErrTorn, io.EOF} {
		_, err := r.Next()
		require.ErrorIs(t, err, want, "line %d", i+1)
		if i < 5 {
			assert.Equal(t, i+1, r.Line())
		}
	}
}

func TestMarks(t *testing.T) {
	m := Mark{ID: "0123", To: "t/0@5", Time: now}
	record := MarkRecord(m, "dlq")
	read, ok := MarkFromRecord(record)
	require.True(t, ok)
	assert.Equal(t, m, read)
	_, err := FromRecord(record)
	require.ErrorIs(t, err, ErrNotLetter)

	encoded, err := AppendMark(nil, m)
	require.NoError(t, err)
	r := NewReader(bytes.NewReader(encoded))
	read, err = r.NextMark()
	require.NoError(t, err)
	assert.Equal(t, m, read)
	_, err = NewReader(strings.NewReader("?\n")).NextMark()
	require.ErrorContains(t, err, "line 1: not a mark")
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("undecodable", "e", "logs", "json", "t", int32(1), int64(2), int64(3), int64(4), []byte("k"), "hk", []byte("hv"), []byte("v"), 5, 6)
	f.Add("", "\xff", "", "", "", int32(-1), int64(-2), int64(-3), int64(1<<62), []byte{}, headerReason, []byte{}, []byte{}, -5, -6)
	f.Fuzz(func(t *testing.T, reason, text, signal, encoding, topic string, partition int32, offset, last, millis int64,
		key []byte, headerKey string, headerValue, value []byte, records, replays int,
	) {
		l := Normalize(Letter{
			Reason: "r" + reason, Error: text, Signal: signal, Encoding: encoding, Topic: topic,
			Partition: partition, Offset: offset, Last: last, Timestamp: time.UnixMilli(millis), Key: key,
			Headers: []Header{{Key: headerKey, Value: headerValue}}, Value: value, Records: records, Replays: replays,
		}, now)
		read, err := FromRecord(ToRecord(&l, "dlq"))
		require.NoError(t, err)
		require.Equal(t, l, read)
		require.Equal(t, l, throughFile(t, l))
	})
}

func FuzzReader(f *testing.F) {
	l := full()
	good, err := AppendLine(nil, &l)
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte("{}\n{\"time\":0}\nnull\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := NewReader(bytes.NewReader(content))
		for {
			l, err := r.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, ErrTorn) {
				break
			}
			if err != nil {
				continue
			}
			// What can be read can be written, and is the same then.
			stored := Normalize(l, now)
			require.Equal(t, stored, throughFile(t, stored))
		}
		require.LessOrEqual(t, r.Line(), bytes.Count(content, []byte("\n"))+1)
	})
}

func TestLinesAreForOtherToolsToo(t *testing.T) {
	l := full()
	encoded, err := AppendLine(nil, &l)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(encoded, &fields))
	assert.Equal(t, "dgD/", fields["value"])
	assert.Equal(t, "2026-03-04T04:06:07.000000089Z", fields["timestamp"])
	assert.Equal(t, "undecodable", fields["reason"])
}
