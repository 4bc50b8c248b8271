package netlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync/atomic"
)

// Host is a machine of a lab: a network namespace with lo and a device of the
// switch, and a mount namespace.
type Host struct {
	lab   *Lab
	name  string
	ip    netip.Addr
	space *namespace
	// out are the links to the other hosts, by the last byte of their address.
	out [256]atomic.Pointer[Link]
}

// Name returns the name of the host.
func (h *Host) Name() string { return h.name }

// IP returns the address of the host.
func (h *Host) IP() string { return h.ip.String() }

// Lab returns the lab of the host.
func (h *Host) Lab() *Lab { return h.lab }

// Run calls fn on a thread that is inside the host and lives as long as it: what fn
// does itself, such as exec.Cmd.Start, opening a socket or a file, is done there;
// what other goroutines do for it is not. There is one such thread, so fn must be
// short and must not call Run of the same host. A child of fn with Pdeathsig ends
// with the host.
func (h *Host) Run(fn func() error) error { return h.space.run(fn) }

// DialContext dials from inside the host. The address is one of numbers, as there
// are no names in a lab. The connection can be used like any other.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.lab.ctx, cancel)()
	var conn net.Conn
	var dialErr error
	if err := h.space.enter(func() {
		var dialer net.Dialer
		conn, dialErr = dialer.DialContext(ctx, network, address)
	}); err != nil {
		return nil, err
	}
	return conn, dialErr
}

// Listen listens inside the host.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var listener net.Listener
	var listenErr error
	if err := h.space.enter(func() {
		var config net.ListenConfig
		listener, listenErr = config.Listen(ctx, network, address)
	}); err != nil {
		return nil, err
	}
	return listener, listenErr
}

// Mount mounts a disk of the given size at a directory, which must exist. Only what
// runs inside the host sees it there; what the directory holds outside is hidden
// from them. It lives in memory and goes with the host, or by Disk.Unmount.
func (h *Host) Mount(dir string, bytes int64) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := h.space.mount(dir, bytes); err != nil {
		return nil, fmt.Errorf("mount a disk at %s in host %s: %w", dir, h.name, err)
	}
	return &Disk{host: h, dir: dir}, nil
}

// Path returns the path by which this process sees a file as the host sees it,
// that is with the disks of Mount. The path must be absolute.
func (h *Host) Path(path string) string { return h.space.root + path }

// last is the last byte of the address.
func (h *Host) last() byte { return h.ip.As4()[3] }

// forwardAll is the part of the switch that takes what the host sends. It returns
// when the device is closed.
func (h *Host) forwardAll() {
	packet := make([]byte, 1<<16)
	for {
		n, err := h.space.device.Read(packet)
		if err != nil {
			return
		}
		if to, ok := destination(packet[:n]); ok {
			if link := h.out[to].Load(); link != nil {
				link.forward(packet[:n])
			}
		}
	}
}

// deliver gives the host a packet. The kernel refuses one only when the device
// goes away, which is as good as the loss of the packet.
func (h *Host) deliver(packet []byte) { _, _ = h.space.device.Write(packet) }
