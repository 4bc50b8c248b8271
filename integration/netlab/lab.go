package netlab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

const (
	// maxHosts are the addresses of 10.77.0.0/24 without the first and the last.
	maxHosts = 254
	// mtu is that of the hosts' devices. A packet costs the switch two system calls
	// whatever its size, so it is as large as jumbo frames are.
	mtu = 9000
)

// subnet is the network of every lab: each has namespaces of its own, so labs do
// not meet.
var subnet = [3]byte{10, 77, 0}

// ErrClosed is returned by what is asked of a lab after its Close.
var ErrClosed = errors.New("the lab is closed")

// Lab is a set of hosts and the switch between them. Its methods, and those of its
// hosts and links, are safe for concurrent use.
type Lab struct {
	seed   uint64
	ctx    context.Context // ends with Close, and with it what waits
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	hosts  []*Host // in the order of their making
}

// Option changes a lab.
type Option func(*Lab)

// WithSeed sets the seed of everything that is left to chance: which packets are
// lost, and the jitter. Each link has a sequence of its own.
func WithSeed(seed uint64) Option { return func(l *Lab) { l.seed = seed } }

// New makes a lab without hosts. The error says what the machine lacks.
func New(opts ...Option) (*Lab, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	l := &Lab{seed: 1}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for _, opt := range opts {
		opt(l)
	}
	return l, nil
}

// Host returns the host of a name and makes it at the first call.
func (l *Lab) Host(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	for _, h := range l.hosts {
		if h.name == name {
			return h, nil
		}
	}
	if len(l.hosts) == maxHosts {
		return nil, fmt.Errorf("a lab has room for %d hosts", maxHosts)
	}
	last := byte(len(l.hosts) + 1)
	ip := netip.AddrFrom4([4]byte{subnet[0], subnet[1], subnet[2], last})
	space, err := newNamespace(ip, mtu)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	h := &Host{lab: l, name: name, ip: ip, space: space}
	for _, other := range l.hosts {
		h.out[other.last()].Store(newLink(l, h, other))
		other.out[last].Store(newLink(l, other, h))
	}
	l.hosts = append(l.hosts, h)
	l.wg.Go(h.forwardAll)
	return h, nil
}

// Hosts returns all hosts in the order of their making.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host{}, l.hosts...)
}

// Link returns the link for what from sends to to. It panics for one host twice and
// for a host of another lab, between which there is no link.
func (l *Lab) Link(from, to *Host) *Link {
	if from == to || from.lab != l || to.lab != l {
		panic(fmt.Sprintf("no link from %s to %s", from.name, to.name))
	}
	return from.out[to.last()].Load()
}

// Impair sets the links between a host and every other, in both directions.
func (l *Lab) Impair(h *Host, i Impairment) {
	for _, other := range l.Hosts() {
		if other != h {
			l.Link(h, other).Set(i)
			l.Link(other, h).Set(i)
		}
	}
}

// Isolate cuts the links between a host and every other, in both directions.
func (l *Lab) Isolate(h *Host) { l.Impair(h, Impairment{Cut: true}) }

// Heal takes away every impairment and every reset that has not happened yet.
func (l *Lab) Heal() {
	for _, from := range l.Hosts() {
		for i := range from.out {
			if link := from.out[i].Load(); link != nil {
				link.heal()
			}
		}
	}
}

// DialContext dials an address, host:port, from inside the host that has it, so
// that the links have no part in it.
func (l *Lab) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	for _, h := range l.Hosts() {
		if h.ip == addr.Addr() {
			return h.DialContext(ctx, network, address)
		}
	}
	return nil, fmt.Errorf("no host of the lab has the address %s", addr.Addr())
}

// Close takes the hosts down. Processes that still run in them are killed.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	hosts := l.hosts
	l.cancel()
	l.mu.Unlock()
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.space.close())
	}
	l.wg.Wait()
	return errors.Join(errs...)
}

// rng returns the sequence of random numbers of a link.
func (l *Lab) rng(from, to *Host) *rand.Rand {
	return rand.New(rand.NewPCG(l.seed, uint64(from.last())<<8|uint64(to.last())))
}
