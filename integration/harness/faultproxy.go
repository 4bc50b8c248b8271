package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault is what a FaultProxy does to one request.
type Fault string

// The faults. Those whose name says "cut" close the connection to the client, by FIN or by RST as the unread bytes have
// it; FaultReset always by RST.
const (
	// FaultNone forwards the request and its answer.
	FaultNone Fault = "none"
	// FaultCutBeforeBody cuts after the headers; the server sees nothing.
	FaultCutBeforeBody Fault = "cut before the body"
	// FaultCutInBody gives the server a part of the body, and cuts both connections.
	FaultCutInBody Fault = "cut in the body"
	// FaultCutBeforeAnswer gives the server the whole request and cuts at once, or when the server has answered.
	FaultCutBeforeAnswer Fault = "cut before the answer"
	// FaultCutInAnswer gives the server the whole request, and the client a part of the answer.
	FaultCutInAnswer Fault = "cut in the answer"
	// FaultBadGateway answers 502 when the server has taken the request.
	FaultBadGateway Fault = "502 after the body"
	// FaultHoldAnswer holds the answer back until the client gives up.
	FaultHoldAnswer Fault = "answer held back"
	// FaultHoldRequest holds the whole request back until the client gives up, and delivers it then.
	FaultHoldRequest Fault = "request held back and delivered late"
	// FaultReset resets the connection at a random point: before the body, in it, or before the answer.
	FaultReset Fault = "reset"
	// FaultEarlyOK answers 200 and has read only the beginning of the body, of which the server sees nothing. It is
	// not among AllFaults: a client can see it only where the body is larger than the buffers on the way.
	FaultEarlyOK Fault = "200 before the body"
)

// AllFaults are the faults that leave the client in no doubt that something went wrong.
func AllFaults() []Fault {
	return []Fault{
		FaultCutBeforeBody, FaultCutInBody, FaultCutBeforeAnswer, FaultCutInAnswer,
		FaultBadGateway, FaultHoldAnswer, FaultHoldRequest, FaultReset,
	}
}

// FaultProxyOptions configures a FaultProxy.
type FaultProxyOptions struct {
	Target string // base URL of the server, such as VictoriaLogs.URL()

	// Rate is the share of the requests that meet a fault, 0 to 1.
	Rate float64
	// Faults are those to choose from; AllFaults by default.
	Faults []Fault
	// Paths are prefixes of the paths on which there are faults; every path by default.
	Paths []string
	Seed  uint64
	// Choose decides about each request by itself, in the place of Rate, Faults and Paths.
	Choose func(*http.Request) Fault

	// LateBy bounds how long after the client gave up a request held back is delivered; 100 ms by default.
	LateBy time.Duration
	// ReceiveBuffer is the size of the sockets' receive buffers in bytes, so that a client cannot leave more than that
	// unread here; the system's choice by default.
	ReceiveBuffer int
	// Record keeps every request that was read whole, for Requests.
	Record bool
}

// ProxiedRequest is a request as the client sent it.
type ProxiedRequest struct {
	Fault  Fault
	Method string
	Path   string
	Header http.Header
	Body   []byte // as sent, so maybe compressed
	// Query are the parameters of the URL and, where the body is a form, of the body.
	Query url.Values
}

// FaultProxy is an HTTP proxy on a loopback port that mistreats requests, so that the client cannot know what became
// of them. Each kind of fault is counted when it is done and not when it is chosen.
type FaultProxy struct {
	opts     FaultProxyOptions
	target   *url.URL
	listener net.Listener
	upstream *http.Transport
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu       sync.Mutex
	rng      *rand.Rand
	enabled  bool
	conns    map[net.Conn]struct{}
	counts   map[Fault]int
	requests []ProxiedRequest
	busy     int // requests that may still reach the server
}

// NewFaultProxy starts a proxy on a free port.
func NewFaultProxy(opts FaultProxyOptions) (*FaultProxy, error) {
	if opts.Faults == nil {
		opts.Faults = AllFaults()
	}
	if opts.LateBy == 0 {
		opts.LateBy = 100 * time.Millisecond
	}
	target, err := url.Parse(opts.Target)
	if err != nil {
		return nil, err
	}
	// Set on the listener, before there is a connection whose window could be larger.
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		if opts.ReceiveBuffer > 0 {
			controlErr := conn.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, opts.ReceiveBuffer)
			})
			err = errors.Join(controlErr, err)
		}
		return err
	}}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &FaultProxy{
		opts: opts, target: target, listener: listener, ctx: ctx, cancel: cancel, enabled: true,
		upstream: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
		rng:      rand.New(rand.NewPCG(opts.Seed, opts.Seed)),
		conns:    make(map[net.Conn]struct{}),
		counts:   make(map[Fault]int),
	}
	p.wg.Go(p.accept)
	return p, nil
}

// URL returns the base URL of the proxy.
func (p *FaultProxy) URL() string { return "http://" + p.listener.Addr().String() }

// SetFaults turns the faults on or off. They are on at first.
func (p *FaultProxy) SetFaults(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enabled = on
}

// Counts returns how many requests met each kind of fault, FaultNone included.
func (p *FaultProxy) Counts() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[Fault]int, len(p.counts))
	for fault, n := range p.counts {
		counts[fault] = n
	}
	return counts
}

// Requests returns the recorded requests whose path begins with the given one, in order of their arrival.
func (p *FaultProxy) Requests(path string) []ProxiedRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []ProxiedRequest
	for _, request := range p.requests {
		if strings.HasPrefix(request.Path, path) {
			found = append(found, request)
		}
	}
	return found
}

// WaitIdle waits until no request is left that may still reach the server.
func (p *FaultProxy) WaitIdle(ctx context.Context) error {
	return Eventually(ctx, 10*time.Millisecond, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.busy > 0 {
			return fmt.Errorf("%d requests are in the proxy", p.busy)
		}
		return nil
	})
}

// Close cuts every connection and waits for the end of all requests.
func (p *FaultProxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	p.upstream.CloseIdleConnections()
	if errors.Is(err, net.ErrClosed) {
		return nil // a second Close
	}
	return err
}

func (p *FaultProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[conn] = struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() {
			p.serve(conn.(*net.TCPConn))
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		})
	}
}

// serve answers the requests of one connection, until one of them ends it.
func (p *FaultProxy) serve(conn *net.TCPConn) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReaderSize(conn, 64<<10)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		p.enter(1)
		keep := p.handle(&exchange{proxy: p, conn: conn, reader: reader, request: request}, p.choose(request))
		p.enter(-1)
		if !keep {
			return
		}
	}
}

func (p *FaultProxy) enter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += n
}

func (p *FaultProxy) choose(request *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.enabled {
		return FaultNone
	}
	if p.opts.Choose != nil {
		return p.opts.Choose(request)
	}
	onPath := len(p.opts.Paths) == 0 || slices.ContainsFunc(p.opts.Paths, func(prefix string) bool {
		return strings.HasPrefix(request.URL.Path, prefix)
	})
	if !onPath || p.rng.Float64() >= p.opts.Rate {
		return FaultNone
	}
	return p.opts.Faults[p.rng.IntN(len(p.opts.Faults))]
}

// random returns a number below n, which must be positive.
func (p *FaultProxy) random(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.IntN(n)
}

func (p *FaultProxy) count(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[fault]++
}

// exchange is one request and what is known of it.
type exchange struct {
	proxy   *FaultProxy
	conn    *net.TCPConn
	reader  *bufio.Reader // of conn
	request *http.Request
	body    []byte
}

// handle does what the fault says and reports whether the connection can take another request.
func (p *FaultProxy) handle(x *exchange, fault Fault) bool {
	if fault == FaultCutInBody && x.request.ContentLength == 0 {
		fault = FaultCutBeforeBody
	}
	switch fault {
	case FaultCutBeforeBody:
		p.count(fault)
		return false
	case FaultCutInBody:
		if x.forwardPart(false) {
			p.count(fault)
		}
		return false
	case FaultReset:
		x.reset()
		return false
	case FaultEarlyOK:
		_, _ = io.CopyN(io.Discard, x.request.Body, 16<<10)
		p.count(fault)
		_, _ = io.WriteString(x.conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		// Time to read the answer; the bytes that nobody reads make the close a reset.
		x.pause(100 * time.Millisecond)
		return false
	}

	if !x.readBody(fault) {
		return false
	}
	if fault == FaultHoldRequest {
		p.count(fault)
		x.awaitClientEnd()
		if x.pause(time.Duration(p.random(int(p.opts.LateBy)))) {
			_, _ = x.forward()
		}
		return false
	}
	if fault == FaultCutBeforeAnswer && p.random(2) == 0 {
		// At once, so that the client can ask for the rows before the server has them.
		p.count(fault)
		_ = x.conn.Close()
		_, _ = x.forward()
		return false
	}
	answer, err := x.forward()
	if err != nil {
		// To the client, a server that is gone.
		return false
	}
	p.count(fault)
	switch fault {
	case FaultCutBeforeAnswer:
		return false
	case FaultCutInAnswer:
		// Not behind the headers where no body follows: that would be a whole answer.
		head := bytes.Index(answer, []byte("\r\n\r\n")) + 4
		part := p.random(head-5) + 1
		if length := len(answer) - head; length > 0 {
			part = head + p.random(length)
		}
		_, _ = x.conn.Write(answer[:part])
		return false
	case FaultBadGateway:
		_, err := io.WriteString(x.conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nbad gateway")
		return err == nil
	case FaultHoldAnswer:
		x.awaitClientEnd()
		return false
	default:
		_, err := x.conn.Write(answer)
		return err == nil && !x.request.Close
	}
}

// readBody reads the whole body, and records the request.
func (x *exchange) readBody(fault Fault) bool {
	body, err := io.ReadAll(x.request.Body)
	if err != nil {
		return false
	}
	x.body = body
	if !x.proxy.opts.Record {
		return true
	}
	query := x.request.URL.Query()
	if strings.HasPrefix(x.request.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(string(body)); err == nil {
			for name, values := range form {
				query[name] = append(query[name], values...)
			}
		}
	}
	x.proxy.mu.Lock()
	defer x.proxy.mu.Unlock()
	x.proxy.requests = append(x.proxy.requests, ProxiedRequest{
		Fault: fault, Method: x.request.Method, Path: x.request.URL.Path, Header: x.request.Header.Clone(), Body: body, Query: query,
	})
	return true
}

// forward gives the server the whole request and returns its answer, ready to be written.
func (x *exchange) forward() ([]byte, error) {
	p := x.proxy
	request, err := http.NewRequestWithContext(p.ctx, x.request.Method, p.target.Scheme+"://"+p.target.Host+x.request.RequestURI, bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	request.Header = x.request.Header.Clone()
	request.Header.Del("Connection")
	response, err := p.upstream.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	// With a length, so that a part of the answer shows as one.
	response.TransferEncoding = nil
	response.ContentLength = int64(len(body))
	response.Body = io.NopCloser(bytes.NewReader(body))
	var answer bytes.Buffer
	if err := response.Write(&answer); err != nil {
		return nil, err
	}
	return answer.Bytes(), nil
}

// forwardPart gives the server the headers and a random part of the body, never the whole, and cuts. It reads no more
// from the client than that part.
func (x *exchange) forwardPart(reset bool) bool {
	p := x.proxy
	total := int(x.request.ContentLength)
	head := "Content-Length: " + strconv.Itoa(total) + "\r\n"
	if total < 0 {
		// A chunk that never ends.
		total = 1 << 20
		head = "Transfer-Encoding: chunked\r\n"
	}
	part := make([]byte, p.random(max(total, 1)))
	n, err := io.ReadFull(x.request.Body, part)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false
	}
	part = part[:n]
	conn, err := net.Dial("tcp", p.target.Host)
	if err != nil {
		return false
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	if reset {
		_ = server.SetLinger(0)
	}
	var message bytes.Buffer
	_, _ = fmt.Fprintf(&message, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", x.request.Method, x.request.RequestURI, p.target.Host, head)
	_ = x.request.Header.WriteSubset(&message, map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Connection": true})
	message.WriteString("\r\n")
	if x.request.ContentLength < 0 {
		_, _ = fmt.Fprintf(&message, "%x\r\n", n+1)
	}
	message.Write(part)
	_, err = server.Write(message.Bytes())
	return err == nil
}

// reset ends the connection to the client by RST: SO_LINGER 0.
func (x *exchange) reset() {
	p := x.proxy
	_ = x.conn.SetLinger(0)
	done := true
	switch p.random(3) {
	case 0:
	case 1:
		if x.request.ContentLength != 0 {
			done = x.forwardPart(true)
		}
	case 2:
		if done = x.readBody(FaultReset); done {
			_, err := x.forward()
			done = err == nil
		}
	}
	if done {
		p.count(FaultReset)
	}
}

// awaitClientEnd returns when the client has closed the connection, as it does when it gives up.
func (x *exchange) awaitClientEnd() {
	_, _ = io.Copy(io.Discard, x.reader)
}

// pause returns false when the proxy was closed meanwhile.
func (x *exchange) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-x.proxy.ctx.Done():
		return false
	}
}
