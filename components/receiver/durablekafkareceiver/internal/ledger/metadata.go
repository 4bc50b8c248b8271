package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
)

// MaxMetadataBytes is what a broker takes of metadata with a committed offset
// (offset.metadata.max.bytes, default of Kafka).
const MaxMetadataBytes = 4096

// metadataReserve is what Fits leaves free for what a commit may add: the offset and
// Reserved grow by some bytes, and so do ranges that settle with offsets without
// records before them.
const metadataReserve = 256

// metadataPrefix names the format and its version. What follows is base64 of
// varints: the committed offset, Reserved past it, and for each range in the order of
// offsets its distance from the end of the one before, and its length times 2, plus 1
// if it is settled.
const metadataPrefix = "bw1:"

// maxParsedBytes bounds the metadata that is looked at, for brokers that take more
// than the default.
const maxParsedBytes = 64 * 1024

// Metadata is committed with the offset of a partition, for the next to be assigned.
type Metadata struct {
	// Reserved is the offset below which anything may have been sent. It is at or
	// after the committed offset.
	Reserved int64
	// Ranges are those of merged requests that may have been sent and are not settled,
	// Settled those that are settled behind a gap. Both are ordered, at or after the
	// committed offset, and do not overlap.
	Ranges, Settled []Range
}

// Encode returns the metadata as printable text of at most MaxMetadataBytes, to be
// committed with the offset. Ranges that do not fit are left out from the end: the
// commit counts for more, and without them records may be stored twice, not lost.
func (m Metadata) Encode(committed int64) string {
	raw := binary.AppendUvarint(nil, uint64(committed))
	raw = binary.AppendUvarint(raw, uint64(max(m.Reserved, committed)-committed))
	m.each(committed, func(gap, length uint64) bool {
		n := len(raw)
		raw = binary.AppendUvarint(binary.AppendUvarint(raw, gap), length)
		if encodedLen(len(raw)) > MaxMetadataBytes {
			raw = raw[:n]
			return false
		}
		return true
	})
	return metadataPrefix + base64.RawStdEncoding.EncodeToString(raw)
}

// Fits reports whether a broker of default settings takes all of the metadata, with
// some room for what settles later. Nothing is to begin that makes it false.
func (m Metadata) Fits(committed int64) bool {
	n := varintLen(uint64(committed)) + varintLen(uint64(max(m.Reserved, committed)-committed))
	m.each(committed, func(gap, length uint64) bool {
		n += varintLen(gap) + varintLen(length)
		return true
	})
	return encodedLen(n) <= MaxMetadataBytes-metadataReserve
}

func encodedLen(raw int) int {
	return len(metadataPrefix) + base64.RawStdEncoding.EncodedLen(raw)
}

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// each yields the ranges of both kinds in the order of offsets, as they are encoded.
// What overlaps the range before is left out.
func (m Metadata) each(committed int64, yield func(gap, length uint64) bool) {
	at, ranges, settled := committed, m.Ranges, m.Settled
	for len(ranges)+len(settled) > 0 {
		var r Range
		var flag uint64
		if len(settled) == 0 || len(ranges) > 0 && ranges[0].From <= settled[0].From {
			r, ranges = ranges[0], ranges[1:]
		} else {
			r, settled, flag = settled[0], settled[1:], 1
		}
		if r.From < at || r.To <= r.From {
			continue
		}
		if !yield(uint64(r.From-at), uint64(r.To-r.From)<<1|flag) {
			return
		}
		at = r.To
	}
}

// ParseMetadata reads what Encode wrote for this committed offset. It reports false
// for everything else: metadata of another client, no metadata, or metadata that was
// written for another offset, as tools that move or translate offsets leave behind.
func ParseMetadata(s string, committed int64) (Metadata, bool) {
	if committed < 0 || len(s) > maxParsedBytes {
		return Metadata{}, false
	}
	text, ok := strings.CutPrefix(s, metadataPrefix)
	if !ok {
		return Metadata{}, false
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return Metadata{}, false
	}
	next := func() uint64 {
		v, n := binary.Uvarint(raw)
		if n <= 0 {
			ok = false
			return 0
		}
		raw = raw[n:]
		return v
	}
	// add returns the sum, if it is an offset.
	add := func(offset int64, v uint64) int64 {
		if v > uint64(math.MaxInt64-offset) {
			ok = false
			return offset
		}
		return offset + int64(v)
	}
	if next() != uint64(committed) {
		return Metadata{}, false
	}
	m := Metadata{Reserved: add(committed, next())}
	for at := committed; ok && len(raw) > 0; {
		r := Range{From: add(at, next())}
		length := next()
		r.To = add(r.From, length>>1)
		ok = ok && r.From < r.To
		if length&1 == 0 {
			m.Ranges = append(m.Ranges, r)
		} else {
			m.Settled = append(m.Settled, r)
		}
		at = r.To
	}
	if !ok {
		return Metadata{}, false
	}
	return m, true
}
