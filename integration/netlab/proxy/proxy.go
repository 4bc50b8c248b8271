// Package proxy impairs TCP connections where there are no labs (netlab.Supported):
// a client is given the address of a proxy in the place of a server's. A proxy sees
// streams and not packets, so some faults are only like the real ones:
//
//   - a direction that is cut stands still, and goes on when it is healed, as TCP
//     would by sending again; but a connection can still be opened;
//   - packets that are lost are stalls of a connection, each as long as TCP takes to
//     send again, and now and then a reset. A report of such a run should say so.
package proxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Direction is what is wrong with one direction. The zero value is a good one.
type Direction struct {
	Cut   bool          // nothing passes
	Delay time.Duration // every piece is held back
	// Loss is the share of the pieces that stall, 0 to 1; see the package comment.
	Loss float64
}

// Impairment is what is wrong with all connections of a proxy.
type Impairment struct {
	ToTarget, ToClient Direction
}

// Both impairs both directions alike.
func Both(d Direction) Impairment { return Impairment{ToTarget: d, ToClient: d} }

// Counters are what a proxy has done so far.
type Counters struct {
	Connections int64
	Bytes       int64 // passed on, in both directions
	Stalls      int64 // in the place of lost packets
	Resets      int64 // connections reset, by Reset or in the place of lost packets
}

const (
	// stall is how long Linux waits at least before it sends a packet again.
	stall = 200 * time.Millisecond
	// stallsPerReset is how many stalls there are to one reset, on average.
	stallsPerReset = 20

	pieceBytes = 32 << 10
	// heldPieces bounds what a direction holds back.
	heldPieces  = 128
	dialTimeout = 5 * time.Second
)

// TCPProxy passes the connections to its address on to a target. Its methods are
// safe for concurrent use.
type TCPProxy struct {
	listener net.Listener
	target   string
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	connections, bytes, stalls, resets atomic.Int64

	mu         sync.Mutex
	impairment Impairment
	changed    chan struct{} // closed when impairment changes
	toReset    int
	rng        *rand.Rand
}

// New starts a proxy on a free port of loopback, towards target (host:port).
func New(target string, seed uint64) (*TCPProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &TCPProxy{
		listener: listener, target: target,
		changed: make(chan struct{}), rng: rand.New(rand.NewPCG(seed, 0)),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns host:port of the proxy.
func (p *TCPProxy) Addr() string { return p.listener.Addr().String() }

// Set replaces the impairment, for the connections that there are as well.
func (p *TCPProxy) Set(i Impairment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.impairment = i
	close(p.changed)
	p.changed = make(chan struct{})
}

// Reset resets the next n connections over which data comes, at both ends and
// before the data is passed on.
func (p *TCPProxy) Reset(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toReset = n
}

// Counters returns what has happened so far.
func (p *TCPProxy) Counters() Counters {
	return Counters{
		Connections: p.connections.Load(), Bytes: p.bytes.Load(),
		Stalls: p.stalls.Load(), Resets: p.resets.Load(),
	}
}

// Close ends all connections.
func (p *TCPProxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *TCPProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.connections.Add(1)
		p.wg.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// pair is one connection on its way through the proxy.
type pair struct {
	client, target *net.TCPConn
	ctx            context.Context // ends with the connection
	cancel         context.CancelFunc
	reset          sync.Once
}

func (p *TCPProxy) serve(client *net.TCPConn) {
	dialer := net.Dialer{Timeout: dialTimeout}
	target, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		// As a host answers on which nobody listens.
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	c := &pair{client: client, target: target.(*net.TCPConn)}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	defer context.AfterFunc(c.ctx, func() {
		_ = c.client.Close()
		_ = c.target.Close()
	})()
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, c.client, c.target, func(i Impairment) Direction { return i.ToTarget }) })
	both.Go(func() { p.pass(c, c.target, c.client, func(i Impairment) Direction { return i.ToClient }) })
	both.Wait()
	c.cancel()
	_ = c.client.Close()
	_ = c.target.Close()
}

// piece is data with the time at which it came.
type piece struct {
	data []byte
	at   time.Time
}

// pass passes on what comes from one end to the other, until its end or that of the
// connection.
func (p *TCPProxy) pass(c *pair, from, to *net.TCPConn, choose func(Impairment) Direction) {
	pieces := make(chan piece, heldPieces)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			data := make([]byte, pieceBytes)
			n, err := from.Read(data)
			if n > 0 {
				select {
				case pieces <- piece{data[:n], time.Now()}:
				case <-c.ctx.Done():
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					p.abort(c) // the other end is told in the same way
				}
				return
			}
		}
	})
	defer reading.Wait()
	for piece := range pieces {
		if !p.wait(c, piece, choose) {
			continue // to the end of the pieces
		}
		n, err := to.Write(piece.data)
		p.bytes.Add(int64(n))
		if err != nil {
			p.abort(c)
		}
	}
	// The end of the data is held up by a cut as the data is.
	if p.waitUncut(c, choose) {
		_ = to.CloseWrite()
	}
}

// wait waits until a piece may be passed on. It is false when the connection is at
// its end, or is brought to it.
func (p *TCPProxy) wait(c *pair, piece piece, choose func(Impairment) Direction) bool {
	p.mu.Lock()
	direction := choose(p.impairment)
	resets := p.toReset > 0 && c.ctx.Err() == nil
	if resets {
		p.toReset--
	}
	stalls := p.rng.Float64() < direction.Loss
	if stalls && p.rng.IntN(stallsPerReset) == 0 {
		resets = true
	}
	p.mu.Unlock()
	if resets {
		p.resets.Add(1)
		p.abort(c)
		return false
	}
	due := piece.at.Add(direction.Delay)
	if stalls {
		p.stalls.Add(1)
		due = later(due, time.Now().Add(stall))
	}
	return c.sleep(time.Until(due)) && p.waitUncut(c, choose)
}

// waitUncut waits while a direction is cut.
func (p *TCPProxy) waitUncut(c *pair, choose func(Impairment) Direction) bool {
	for {
		p.mu.Lock()
		cut, changed := choose(p.impairment).Cut, p.changed
		p.mu.Unlock()
		if !cut {
			return c.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return false
		}
	}
}

// abort resets a connection at both ends.
func (p *TCPProxy) abort(c *pair) {
	c.reset.Do(func() {
		_ = c.client.SetLinger(0)
		_ = c.target.SetLinger(0)
	})
	c.cancel()
}

func (c *pair) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
