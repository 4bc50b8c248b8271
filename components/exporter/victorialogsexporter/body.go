package victorialogsexporter

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// requestBody is the body of one request, and knows what became of it.
type requestBody struct {
	content []byte
	open    atomic.Int32 // readers that the transport has not closed
	sent    atomic.Bool  // all of it has been read to be sent
}

// attach makes the content the body of the request.
func (b *requestBody) attach(request *http.Request) {
	request.ContentLength = int64(len(b.content))
	request.Body = b.newReader()
	// A request that went out on a connection that the server was about to close is sent again by the transport if
	// nothing of it was written.
	request.GetBody = func() (io.ReadCloser, error) { return b.newReader(), nil }
}

func (b *requestBody) newReader() io.ReadCloser {
	b.open.Add(1)
	return &bodyReader{content: bytes.NewReader(b.content), body: b}
}

// inUse reports whether the transport may still read the content, which it may for a while after a failed request
// (net/http: RoundTripper).
func (b *requestBody) inUse() bool { return b.open.Load() > 0 }

// bodyReader reads the content once.
type bodyReader struct {
	body *requestBody

	mu      sync.Mutex // the transport closes it on errors while it may still read it
	content *bytes.Reader
	closed  bool
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := r.content.Read(p)
	if r.content.Len() == 0 {
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
