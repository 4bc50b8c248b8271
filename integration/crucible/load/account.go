package load

import (
	"maps"
	"slices"
	"time"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Kind says what the records of an account are.
type Kind string

// The kinds.
const (
	KindFile        Kind = "file"
	KindOTLPLogs    Kind = "otlp logs"
	KindOTLPMetrics Kind = "otlp metrics"
	KindFluentBit   Kind = "fluent bit"
	KindPoison      Kind = "poison"
)

// Record is one record as it was written.
type Record struct {
	// Text is the line, the body or, of KindPoison, the message. It is not set for samples.
	Text string
	// Value is that of a sample.
	Value float64
	// Time is the time that the record bears, or zero when the pipeline gives it one.
	Time time.Time
}

// Account is what a writer says that it wrote.
type Account struct {
	Writer string
	Kind   Kind
	// Next is the first number that was not used.
	Next int64
	// Written counts the numbers that were acknowledged: all below Next but Refused and Unanswered.
	Written    int64
	Refused    []harness.SeqRange
	Unanswered []harness.SeqRange
	// Resent may be there more than once because the writer has pushed them more than once.
	Resent []harness.SeqRange
	// Labels are those that every record must have where it is stored. An empty value says that the label must be
	// missing. Labels that are not named here may be there.
	Labels map[string]string
	// Metric is the name of the series of KindOTLPMetrics as Prometheus writes it.
	Metric string
	// Unordered says that the times of the records do not follow their numbers, so that no order is looked for.
	Unordered bool
	// Record returns a record by its number.
	Record func(seq int64) Record
	// SeqAt returns the number of the sample of that time, for KindOTLPMetrics. ok is false for a time between two.
	SeqAt func(time.Time) (seq int64, ok bool)
	// Parts returns in which pieces a line was written, when it was more than one.
	Parts func(seq int64) []string
}

// Acknowledged tells whether the writer was told that the record is in.
func (a Account) Acknowledged(seq int64) bool {
	return seq >= 0 && seq < a.Next && !Contains(a.Refused, seq) && !Contains(a.Unanswered, seq)
}

// Contains tells whether a number is in one of the ranges, which are in order.
func Contains(ranges []harness.SeqRange, seq int64) bool {
	_, found := slices.BinarySearchFunc(ranges, seq, func(r harness.SeqRange, seq int64) int {
		switch {
		case r.Last < seq:
			return -1
		case r.First > seq:
			return 1
		}
		return 0
	})
	return found
}

// add puts a range behind those that are there, as one when it continues the last or overlaps with it.
func add(ranges []harness.SeqRange, first, last int64) []harness.SeqRange {
	if n := len(ranges); n > 0 && first <= ranges[n-1].Last+1 {
		ranges[n-1].Last = max(ranges[n-1].Last, last)
		return ranges
	}
	return append(ranges, harness.SeqRange{First: first, Last: last})
}

// numbers is a set of few numbers that come in any order.
type numbers map[int64]struct{}

func (s *numbers) add(seq int64) {
	if *s == nil {
		*s = make(numbers)
	}
	(*s)[seq] = struct{}{}
}

func (s numbers) ranges() []harness.SeqRange {
	var ranges []harness.SeqRange
	for _, seq := range slices.Sorted(maps.Keys(s)) {
		ranges = add(ranges, seq, seq)
	}
	return ranges
}
