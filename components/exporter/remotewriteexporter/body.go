package remotewriteexporter

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"
)

// buffers are what requests of one goroutine are made in, one after the other.
type buffers struct {
	encoded    []byte
	compressed []byte
}

// maxKeptBytes bounds what a buffer in the pool keeps. It is over the default of `max_request_bytes`.
const maxKeptBytes = 8 * 1024 * 1024

// trim lets go of buffers that one large request has grown.
func (b *buffers) trim() {
	if cap(b.encoded) > maxKeptBytes {
		b.encoded = nil
	}
	if cap(b.compressed) > maxKeptBytes {
		b.compressed = nil
	}
}

// timeseriesTag is the key of prompb.WriteRequest.timeseries: field 1, length-delimited.
const timeseriesTag = 1<<3 | 2

// sizeOf returns how many bytes a series adds to a request, and of these how many are its own.
func sizeOf(series *prompb.TimeSeries) (inRequest, own int) {
	own = series.Size()
	inRequest = 1 + own
	for n := own; ; n >>= 7 {
		inRequest++
		if n < 0x80 {
			return inRequest, own
		}
	}
}

// appendSeries appends a series of the size to the encoded prompb.WriteRequest.
func appendSeries(dst []byte, series *prompb.TimeSeries, size int) ([]byte, error) {
	dst = append(dst, timeseriesTag)
	dst = binary.AppendUvarint(dst, uint64(size))
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	_, err := series.MarshalToSizedBuffer(dst[start:])
	return dst, err
}

// compress returns the encoded request in the block format of Snappy, which remote write wants.
func (b *buffers) compress() []byte {
	b.compressed = slices.Grow(b.compressed[:0], s2.MaxEncodedLen(len(b.encoded)))
	b.compressed = s2.EncodeSnappy(b.compressed[:cap(b.compressed)], b.encoded)
	return b.compressed
}

// requestBody is the body of one request, and knows what became of it.
type requestBody struct {
	content []byte
	open    atomic.Int32 // readers that the transport has not closed
	sent    atomic.Bool  // a reader came to the end
}

func (b *requestBody) newReader() (io.ReadCloser, error) {
	b.open.Add(1)
	return &bodyReader{body: b, rest: bytes.NewReader(b.content)}, nil
}

// bodyReader reads a body once. The transport may close it while it still reads, and reads it for a while after a
// request has failed (net/http: RoundTripper).
type bodyReader struct {
	body   *requestBody
	mu     sync.Mutex
	rest   *bytes.Reader
	closed bool
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := r.rest.Read(p)
	if r.rest.Len() == 0 {
		r.body.sent.Store(true)
	}
	return n, err
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.body.open.Add(-1)
	}
	return nil
}
