package durablefluentforwardreceiver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// decoder appends entries to a slice of records.
type decoder struct {
	to  plog.LogRecordSlice
	tag string
}

// pair decodes [time, record].
func (d *decoder) pair(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n != 2 {
		return nil, fmt.Errorf("%w: an entry is no array of time and record", errMalformed)
	}
	return d.entry(b)
}

// entry decodes a time and a record.
func (d *decoder) entry(b []byte) ([]byte, error) {
	record := d.to.AppendEmpty()
	attributes := record.Attributes()
	attributes.PutStr(tagAttribute, d.tag)
	b, err := readTime(b, record)
	if err != nil {
		return nil, err
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%w: record: %w", errMalformed, err)
	}
	attributes.EnsureCapacity(int(min(n, 64)) + 1)
	hasLog := false
	for range n {
		var name []byte
		if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
			return nil, fmt.Errorf("%w: name of a field: %w", errMalformed, err)
		}
		var value pcommon.Value
		switch {
		case string(name) == "log": // Fluent Bit, and docker's fluentd driver
			if record.Body().Type() != pcommon.ValueTypeEmpty && !hasLog {
				record.Body().MoveTo(attributes.PutEmpty("message"))
			}
			hasLog = true
			value = record.Body()
		case string(name) == "message" && !hasLog: // Fluentd
			value = record.Body()
		default:
			value = attributes.PutEmpty(string(name))
		}
		if b, err = readValue(b, value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readTime reads seconds, an EventTime, or the pair of a time and metadata that Fluent Bit 2 writes when it is told to.
func readTime(b []byte, record plog.LogRecord) ([]byte, error) {
	switch kind := msgp.NextType(b); kind {
	case msgp.IntType, msgp.UintType:
		seconds, rest, err := msgp.ReadInt64Bytes(b)
		if err != nil {
			return nil, fmt.Errorf("%w: time: %w", errMalformed, err)
		}
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(seconds, 0)))
		return rest, nil
	case msgp.Float64Type, msgp.Float32Type:
		seconds, rest, err := msgp.ReadFloat64Bytes(b)
		if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > math.MaxInt64/1e9 {
			return nil, fmt.Errorf("%w: time that is no time", errMalformed)
		}
		whole, part := math.Modf(seconds)
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(int64(whole), int64(part*1e9))))
		return rest, nil
	case msgp.NilType: // Fluentd: now
		return msgp.ReadNilBytes(b)
	case msgp.ArrayType:
		n, rest, err := msgp.ReadArrayHeaderBytes(b)
		if err != nil || n != 2 || msgp.NextType(rest) == msgp.ArrayType {
			return nil, fmt.Errorf("%w: time and metadata are no pair", errMalformed)
		}
		if rest, err = readTime(rest, record); err != nil {
			return nil, err
		}
		return readMetadata(rest, record)
	default:
		var at eventTime
		rest, err := msgp.ReadExtensionBytes(b, &at)
		if err != nil {
			return nil, fmt.Errorf("%w: time of type %s", errMalformed, kind)
		}
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Time(at)))
		return rest, nil
	}
}

// readMetadata keeps what Fluent Bit knows of a record beside its fields.
func readMetadata(b []byte, record plog.LogRecord) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", errMalformed, err)
	}
	for range n {
		var name []byte
		if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
			return nil, fmt.Errorf("%w: metadata: %w", errMalformed, err)
		}
		if b, err = readValue(b, record.Attributes().PutEmpty("fluent.metadata."+string(name))); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func readValue(b []byte, to pcommon.Value) ([]byte, error) {
	var rest []byte
	var err error
	switch msgp.NextType(b) {
	case msgp.StrType:
		var text []byte
		if text, rest, err = msgp.ReadStringZC(b); err == nil {
			to.SetStr(string(text))
		}
	case msgp.BinType:
		// Fluentd writes strings of unknown encoding as binary.
		var text []byte
		if text, rest, err = msgp.ReadBytesZC(b); err == nil {
			to.SetStr(string(text))
		}
	default:
		var value any
		if value, rest, err = msgp.ReadIntfBytes(b); err == nil {
			err = setAny(to, value)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: value of a field: %w", errMalformed, err)
	}
	return rest, nil
}

func setAny(to pcommon.Value, value any) error {
	switch v := value.(type) {
	case nil, bool, string, int64, float64:
		return to.FromRaw(v)
	case float32:
		to.SetDouble(float64(v))
	case uint64:
		if v > math.MaxInt64 {
			to.SetStr(strconv.FormatUint(v, 10))
		} else {
			to.SetInt(int64(v))
		}
	case []byte:
		to.SetStr(string(v))
	case []any:
		slice := to.SetEmptySlice()
		slice.EnsureCapacity(len(v))
		for _, element := range v {
			if err := setAny(slice.AppendEmpty(), element); err != nil {
				return err
			}
		}
	case map[string]any:
		fields := to.SetEmptyMap()
		fields.EnsureCapacity(len(v))
		for name, field := range v {
			if err := setAny(fields.PutEmpty(name), field); err != nil {
				return err
			}
		}
	default:
		to.SetStr(fmt.Sprint(v))
	}
	return nil
}

// eventTime is the extension of type 0: seconds and nanoseconds, 4 bytes each.
type eventTime time.Time

func (*eventTime) ExtensionType() int8 { return 0 }
func (*eventTime) Len() int            { return 8 }

func (t *eventTime) MarshalBinaryTo(b []byte) error {
	at := time.Time(*t)
	binary.BigEndian.PutUint32(b, uint32(at.Unix()))
	binary.BigEndian.PutUint32(b[4:], uint32(at.Nanosecond()))
	return nil
}

func (t *eventTime) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return errors.New("an EventTime has 8 bytes")
	}
	*t = eventTime(time.Unix(int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))))
	return nil
}
