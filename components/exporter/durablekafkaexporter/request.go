package durablekafkaexporter

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// signalOf is what is different between logs, metrics and traces.
type signalOf[T any] struct {
	signal ledger.Signal
	count  func(T) int
	bytes  func(T) int
	// move moves the records of the second behind those of the first, resource by resource.
	move func(to, from T)
	// take moves the first n records out, n less than there are.
	take      func(data T, n int) T
	marshal   func(context.Context, T) ([]byte, error)
	unmarshal func([]byte) (context.Context, T, error)
	ref       func(T)
	unref     func(T)
}

// request is one of the queue: data, and the stamp of its records, in their order.
type request[T any] struct {
	*signalOf[T]
	data  T
	stamp ledger.Stamp
	items int
	size  int // in bytes; 0 is not known
}

func (s *signalOf[T]) request(data T) *request[T] {
	return &request[T]{signalOf: s, data: data, items: s.count(data)}
}

// ItemsCount returns the number of records.
func (r *request[T]) ItemsCount() int { return r.items }

// BytesSize returns the length of the message that Kafka gets.
func (r *request[T]) BytesSize() int {
	if r.size == 0 {
		r.size = r.bytes(r.data)
	}
	return r.size
}

func (r *request[T]) sizeBy(sizer exporterhelper.RequestSizerType) int {
	if sizer == exporterhelper.RequestSizerTypeItems {
		return r.items
	}
	return r.BytesSize()
}

var errForeignRequest = errors.New("the request is of another exporter")

// MergeSplit takes in another request and cuts what is too large then, records and stamps alike and in their order.
// A record that is too large alone is a request of its own: upstream drops it.
func (r *request[T]) MergeSplit(_ context.Context, maxSize int, sizer exporterhelper.RequestSizerType, other xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	if other != nil {
		o, ok := other.(*request[T])
		if !ok {
			return nil, errForeignRequest
		}
		size := 0
		if r.size != 0 && o.size != 0 {
			size = r.size + o.size // the messages of both are lists
		}
		r.fill()
		o.fill()
		r.move(r.data, o.data)
		r.takeOver(o)
		r.items, r.size = r.items+o.items, size
	}
	if maxSize <= 0 {
		return []xexporterhelper.Request{r}, nil
	}
	return r.split(nil, maxSize, sizer), nil
}

// takeOver adds the stamp of another request behind that of this one. A message has the name of one agent: what was queued
// under a name that the agent does not have any more is not in the ledger.
func (r *request[T]) takeOver(o *request[T]) {
	if r.stamp.Agent == "" || o.stamp.Agent == "" || r.stamp.Agent == o.stamp.Agent {
		r.stamp.Agent, r.stamp.Signal = max(r.stamp.Agent, o.stamp.Agent), r.signal
		r.stamp.Append(o.stamp.Records...)
		r.stamp.Announce(o.stamp.Runs...)
		return
	}
	r.stamp.Append(ledger.Stamped{Count: uint64(o.items)})
}

// fill has the stamp speak of every record, also of those that have none: they were queued by an older version.
func (r *request[T]) fill() {
	known := 0
	for _, s := range r.stamp.Records {
		known += int(s.Count)
	}
	if known < r.items {
		r.stamp.Append(ledger.Stamped{Count: uint64(r.items - known)})
	}
}

// split cuts in halves, to the last one that is small enough.
func (r *request[T]) split(done []xexporterhelper.Request, maxSize int, sizer exporterhelper.RequestSizerType) []xexporterhelper.Request {
	if r.items < 2 || r.sizeBy(sizer) <= maxSize {
		return append(done, r)
	}
	n := r.items / 2
	if sizer == exporterhelper.RequestSizerTypeItems {
		n = min(maxSize, r.items-1)
	}
	r.fill()
	first := r.request(r.take(r.data, n))
	first.stamp = r.stamp.Cut(uint64(n))
	r.items, r.size = r.items-n, 0
	done = first.split(done, maxSize, sizer)
	return r.split(done, maxSize, sizer)
}

// referenceCounter is for requests in a queue in memory.
type referenceCounter[T any] struct{}

func (referenceCounter[T]) Ref(r xexporterhelper.Request) {
	own := r.(*request[T])
	own.ref(own.data)
}

func (referenceCounter[T]) Unref(r xexporterhelper.Request) {
	own := r.(*request[T])
	own.unref(own.data)
}
