package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	deviceName = "lab0"
	// deviceQueue is how many packets the kernel keeps for the switch to read; the
	// default of 500 loses some in a burst.
	deviceQueue = 4000
)

// namespace is a network and a mount namespace without a name. They exist as long
// as the thread that made them, the processes inside and the files that refer to
// them.
type namespace struct {
	device *os.File // reads and writes IP packets
	net    *os.File // the network namespace
	root   string   // where this process sees the namespace's root directory

	calls chan call
	ended chan struct{} // the thread is gone

	// entered counts those who use the thread or net.
	entered sync.WaitGroup
	mu      sync.Mutex
	closed  bool
}

type call struct {
	fn   func() error
	done chan<- error
}

// Supported tells whether this machine lets us make labs. The error says what is
// missing.
func Supported() error {
	space, err := newNamespace(netip.AddrFrom4([4]byte{subnet[0], subnet[1], subnet[2], 1}), mtu)
	if err != nil {
		return err
	}
	return space.close()
}

// newNamespace makes a namespace with lo and a device of the given address.
func newNamespace(ip netip.Addr, mtu int) (*namespace, error) {
	n := &namespace{calls: make(chan call), ended: make(chan struct{})}
	ready := make(chan error)
	go onThread(func() {
		defer close(n.ended)
		err := n.setUp(ip, mtu)
		ready <- err
		if err != nil {
			return
		}
		for c := range n.calls {
			c.done <- c.fn()
		}
	})
	if err := <-ready; err != nil {
		<-n.ended
		return nil, errors.Join(err, n.closeFiles())
	}
	return n, nil
}

// onThread runs fn on a thread that ends with it. The main thread would not end,
// and is what others see in /proc as this process: fn never runs on it.
func onThread(fn func()) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// While this goroutine has the main thread, another one gets another.
		got := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(got)
			onThread(fn)
		}()
		<-got
		runtime.UnlockOSThread()
		return
	}
	fn()
	// Not unlocked: so the runtime ends the thread.
}

// setUp runs on the thread of the namespace.
func (n *namespace) setUp(ip netip.Addr, mtu int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("no namespaces without root or CAP_SYS_ADMIN (`unshare -Ur` gives them where users may): unshare: %w", err)
	}
	// Mounts of this namespace stay in it.
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	var err error
	if n.net, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	n.root = fmt.Sprintf("/proc/%d/task/%d/root", os.Getpid(), unix.Gettid())
	if n.device, err = openDevice(); err != nil {
		return fmt.Errorf("a TUN device (/dev/net/tun and CAP_NET_ADMIN are needed): %w", err)
	}
	return configure(ip, mtu)
}

// openDevice makes a TUN device, which ends with the file.
func openDevice() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(deviceName)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("TUNSETIFF: %w", err), unix.Close(fd))
	}
	// Only now, because before it the file cannot be polled.
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// configure brings up lo and the device of the namespace it is called in.
func configure(ip netip.Addr, mtu int) (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	addr := ip.As4()
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	for _, step := range []struct {
		device string
		what   uint
		set    func(*unix.Ifreq) error
	}{
		{"lo", unix.SIOCSIFFLAGS, up},
		{deviceName, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(uint32(mtu)); return nil }},
		{deviceName, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(deviceQueue); return nil }},
		{deviceName, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr[:]) }},
		{deviceName, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{deviceName, unix.SIOCSIFFLAGS, up},
	} {
		req, err := unix.NewIfreq(step.device)
		if err == nil {
			err = step.set(req)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, step.what, req)
		}
		if err != nil {
			return fmt.Errorf("set up %s (ioctl %#x): %w", step.device, step.what, err)
		}
	}
	return nil
}

// run calls fn on the thread of the namespace.
func (n *namespace) run(fn func() error) error {
	if !n.use() {
		return ErrClosed
	}
	defer n.entered.Done()
	done := make(chan error)
	n.calls <- call{fn, done}
	return <-done
}

// enter calls fn on any thread while it is in the network namespace.
func (n *namespace) enter(fn func()) error {
	if !n.use() {
		return ErrClosed
	}
	defer n.entered.Done()
	done := make(chan error)
	go onThread(func() {
		err := unix.Setns(int(n.net.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			fn()
		}
		done <- err
	})
	return <-done
}

// mount mounts a tmpfs of the given size in bytes at a directory, for this
// namespace only.
func (n *namespace) mount(dir string, size int64) error {
	return n.run(func() error {
		return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,mode=0755", size))
	})
}

// unmount takes a directory's mount away, as soon as nobody uses it.
func (n *namespace) unmount(dir string) error {
	return n.run(func() error { return unix.Unmount(dir, unix.MNT_DETACH) })
}

// use keeps the namespace from being closed until entered.Done is called.
func (n *namespace) use() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.entered.Add(1)
	return true
}

// close ends the thread, and with it what is left of the namespace.
func (n *namespace) close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.entered.Wait()
	close(n.calls)
	<-n.ended
	return n.closeFiles()
}

func (n *namespace) closeFiles() error {
	var errs []error
	for _, f := range []*os.File{n.device, n.net} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func isDiskFull(err error) bool { return errors.Is(err, unix.ENOSPC) }

func diskSpace(dir string) (total, free int64, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(stat.Blocks) * stat.Bsize, int64(stat.Bavail) * stat.Bsize, nil
}
