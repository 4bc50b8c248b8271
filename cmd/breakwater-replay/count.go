package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"
)

// counts are what a span has, if it was read or estimated.
type counts struct {
	// exact says that all of it was read; bytes are those of the values then, else about those on disk, or -1.
	exact bool
	bytes int64
	// read are the messages, without markers, records what is in them: log records, data points or spans. broken are those
	// that cannot be counted, because they are not what the encoding says.
	read, records, broken int64
}

// maxCheapBytes is up to which size on disk a range is read for a dry run without being asked: a second or two.
const maxCheapBytes = 64 << 20

// measure finds how large the spans are, from what the brokers have on disk or by reading all of it.
func (pl *plan) measure(ctx context.Context, c *cluster, p *profile, read bool) error {
	places, err := c.places(ctx, pl.topic)
	if err != nil {
		return err
	}
	sizes := c.sizes(ctx, pl.topic, places)
	var total int64
	for _, s := range pl.spans {
		s.bytes = -1
		if size, ok := sizes[s.partition]; ok {
			if all := places[s.partition].end - places[s.partition].start; all > 0 {
				s.bytes = int64(float64(size) * float64(s.left()) / float64(all))
			}
			total += max(0, s.bytes)
		} else if s.left() > 0 {
			total = maxCheapBytes + 1 // it is not known
		}
	}
	if !read && total > maxCheapBytes {
		return nil
	}
	count := p.counter()
	wanted := make(map[int32]offsets)
	spans := make(map[int32]*span)
	for _, s := range pl.spans {
		s.exact, s.bytes = true, 0
		spans[s.partition] = s
		// What has been deleted since cannot be read.
		wanted[s.partition] = offsets{max(s.from, s.settled, places[s.partition].start), s.until}
	}
	return c.scan(ctx, pl.topic, wanted, func(r *kgo.Record) bool {
		s := spans[r.Partition]
		if r.Offset >= s.until || r.Attrs.IsControl() {
			return true
		}
		s.read++
		s.bytes += int64(len(r.Value))
		if count == nil {
			return true
		}
		if n := count(r.Value); n >= 0 {
			s.records += n
		} else {
			s.broken++
		}
		return true
	})
}

// counter returns what counts the records of a message, -1 for one that it cannot read; nil for an encoding that is not
// known here.
func (p *profile) counter() func([]byte) int64 {
	switch {
	case p.encoding == "otlp_proto" && p.signal == "metrics":
		return countPoints
	case p.encoding == "otlp_proto":
		return func(value []byte) int64 { return countAt(value, 1, 2, 2) }
	case typeOf(p.encoding) == "fluent_bit_encoding":
		return countJSON
	}
	return nil
}

// countAt counts the messages at a path of field numbers: of an ExportLogsServiceRequest, resource_logs, scope_logs,
// log_records (opentelemetry-proto).
func countAt(value []byte, path ...protowire.Number) int64 {
	if len(path) == 0 {
		return 1
	}
	return sum(value, func(number protowire.Number, field []byte) int64 {
		if number != path[0] {
			return 0
		}
		return countAt(field, path[1:]...)
	})
}

// countPoints counts data points: resource_metrics, scope_metrics, metrics, then gauge, sum, histogram, exponential
// histogram or summary, each with its data_points as field 1.
func countPoints(value []byte) int64 {
	ofMetric := func(number protowire.Number, data []byte) int64 {
		switch number {
		case 5, 7, 9, 10, 11:
			return countAt(data, 1)
		}
		return 0
	}
	below := func(visit func(protowire.Number, []byte) int64, number protowire.Number) func(protowire.Number, []byte) int64 {
		return func(n protowire.Number, field []byte) int64 {
			if n != number {
				return 0
			}
			return sum(field, visit)
		}
	}
	return sum(value, below(below(below(ofMetric, 2), 2), 1))
}

// sum adds up what visit returns for the fields of bytes, or returns -1 for what is no protobuf.
func sum(value []byte, visit func(protowire.Number, []byte) int64) (total int64) {
	for len(value) > 0 {
		number, kind, n := protowire.ConsumeTag(value)
		if n < 0 {
			return -1
		}
		value = value[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, value); n < 0 {
				return -1
			}
			value = value[n:]
			continue
		}
		field, n := protowire.ConsumeBytes(value)
		if n < 0 {
			return -1
		}
		value = value[n:]
		m := visit(number, field)
		if m < 0 {
			return -1
		}
		total += m
	}
	return total
}

// countJSON counts the records of a message of Fluent Bit: objects, one after the other or in an array.
func countJSON(value []byte) int64 {
	var n int64
	for decoder := json.NewDecoder(bytes.NewReader(value)); ; {
		var item json.RawMessage
		switch err := decoder.Decode(&item); {
		case errors.Is(err, io.EOF):
			return n
		case err != nil:
			return -1
		}
		var list []json.RawMessage
		switch {
		case item[0] == '{':
			n++
		case json.Unmarshal(item, &list) == nil:
			n += int64(len(list))
		default:
			return -1
		}
	}
}
