package durablekafkaexporter

import (
	"context"

	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/featuregate"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// stampField is a field of the queued message that the protocol does not have. So it is passed over by whoever else reads
// the queue, such as an older version that comes back.
const stampField protowire.Number = 7_777

// encoding is that of requests in the disk queue: the message of the protocol, as upstream's, and behind it the stamp.
type encoding[T any] struct{ *signalOf[T] }

// Marshal returns the bytes of a request.
func (e encoding[T]) Marshal(ctx context.Context, r xexporterhelper.Request) ([]byte, error) {
	own, ok := r.(*request[T])
	if !ok {
		return nil, errForeignRequest
	}
	b, err := e.marshal(ctx, own.data)
	if err != nil || len(own.stamp.Records)+len(own.stamp.Runs) == 0 {
		return b, err
	}
	stamp := own.stamp.Encode()
	whole := make([]byte, 0, len(b)+protowire.SizeTag(stampField)+protowire.SizeBytes(len(stamp)))
	whole = protowire.AppendTag(append(whole, b...), stampField, protowire.BytesType)
	return protowire.AppendBytes(whole, stamp), nil
}

// Unmarshal returns the request of bytes that this or upstream's exporter has queued.
func (e encoding[T]) Unmarshal(b []byte) (context.Context, xexporterhelper.Request, error) {
	ctx, data, err := e.unmarshal(b)
	if err != nil {
		return context.Background(), nil, err
	}
	r := e.request(data)
	if stamp, err := ledger.Decode(stampOf(b)); err == nil && stamp.Signal == e.signal && stamped(stamp) == r.items {
		r.stamp = stamp
	}
	return ctx, r, nil
}

// stamped is of how many records the stamp speaks.
func stamped(s ledger.Stamp) int { return int(s.Count()) }

// stampOf returns the bytes of the stamp in those of a request, or nil.
func stampOf(b []byte) []byte {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if number == stampField && kind == protowire.BytesType {
			stamp, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return nil
			}
			return stamp
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}

// contextGate is upstream's feature gate that keeps the context of a request in the queue.
const contextGate = "exporter.PersistRequestContext"

func keepsContext() bool {
	enabled := false
	featuregate.GlobalRegistry().VisitAll(func(gate *featuregate.Gate) {
		enabled = enabled || gate.ID() == contextGate && gate.IsEnabled()
	})
	return enabled
}
