package durablekafkareceiver

import (
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// recordQueue is a FIFO of fetched records, by offset.
type recordQueue struct {
	records []*kgo.Record
	head    int
}

func (q *recordQueue) len() int { return len(q.records) - q.head }

func (q *recordQueue) at(i int) *kgo.Record { return q.records[q.head+i] }

func (q *recordQueue) push(records []*kgo.Record) {
	if q.head > 0 && q.head >= len(q.records)/2 {
		n := copy(q.records, q.records[q.head:])
		clear(q.records[n:])
		q.records, q.head = q.records[:n], 0
	}
	q.records = append(q.records, records...)
}

// take removes the first n records and returns them in a slice of their own.
func (q *recordQueue) take(n int) []*kgo.Record {
	taken := slices.Clone(q.records[q.head : q.head+n])
	clear(q.records[q.head : q.head+n])
	q.head += n
	if q.head == len(q.records) {
		q.records, q.head = q.records[:0], 0
	}
	return taken
}

// before returns how many of the first records have offsets below the offset.
func (q *recordQueue) before(offset int64) int {
	return sort.Search(q.len(), func(i int) bool { return q.at(i).Offset >= offset })
}

// truncate removes the records from the n-th on and returns them.
func (q *recordQueue) truncate(n int) []*kgo.Record {
	removed := slices.Clone(q.records[q.head+n:])
	clear(q.records[q.head+n:])
	q.records = q.records[:q.head+n]
	return removed
}

// recordOverheadBytes is about what a record takes beside its bytes.
const recordOverheadBytes = 200

// recordBytes is what counts against max_in_flight_bytes.
func recordBytes(r *kgo.Record) int64 {
	n := len(r.Key) + len(r.Value) + recordOverheadBytes
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}

// sameHeaders compares what goes into the request. The stamp of the delivery ledger does not, and is another one for each
// message.
func sameHeaders(a, b *kgo.Record) bool {
	i, j := 0, 0
	for {
		for i < len(a.Headers) && a.Headers[i].Key == ledger.HeaderKey {
			i++
		}
		for j < len(b.Headers) && b.Headers[j].Key == ledger.HeaderKey {
			j++
		}
		if i == len(a.Headers) || j == len(b.Headers) {
			return i == len(a.Headers) && j == len(b.Headers)
		}
		x, y := &a.Headers[i], &b.Headers[j]
		if x.Key != y.Key || string(x.Value) != string(y.Value) {
			return false
		}
		i, j = i+1, j+1
	}
}
