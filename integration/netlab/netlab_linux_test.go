package netlab_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/netlab"
)

func needLabs(tb testing.TB) {
	tb.Helper()
	if err := netlab.Supported(); err != nil {
		tb.Skipf("SKIPPED, because this machine has no labs: %v", err)
	}
}

func newLab(tb testing.TB, opts ...netlab.Option) *netlab.Lab {
	tb.Helper()
	needLabs(tb)
	lab, err := netlab.New(opts...)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, lab.Close()) })
	return lab
}

func newHost(tb testing.TB, lab *netlab.Lab, name string) *netlab.Host {
	tb.Helper()
	h, err := lab.Host(name)
	require.NoError(tb, err)
	return h
}

func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// serve listens in a host and serves every connection until the end of the test.
func serve(tb testing.TB, h *netlab.Host, handle func(net.Conn)) string {
	tb.Helper()
	listener, err := h.Listen(tb.Context(), "tcp", ":0")
	require.NoError(tb, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(tb, err)
	return net.JoinHostPort(h.IP(), port)
}

func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

func dial(tb testing.TB, from *netlab.Host, address string) net.Conn {
	tb.Helper()
	conn, err := from.DialContext(soon(tb), "tcp", address)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a word to an echo server and returns how long the answer took.
func ask(conn net.Conn, patience time.Duration) (time.Duration, error) {
	begin := time.Now()
	if err := conn.SetDeadline(begin.Add(patience)); err != nil {
		return 0, err
	}
	if _, err := conn.Write([]byte("ahoy")); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return time.Since(begin), err
}

// transfer echoes random bytes and compares what comes back.
func transfer(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	data := make([]byte, size)
	chacha := rand.NewChaCha8([32]byte{1})
	_, _ = chacha.Read(data)
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	var writing sync.WaitGroup
	writing.Go(func() {
		_, err := conn.Write(data)
		assert.NoError(t, err)
		assert.NoError(t, conn.(*net.TCPConn).CloseWrite())
	})
	back, err := io.ReadAll(conn)
	require.NoError(t, err)
	writing.Wait()
	require.Equal(t, sha256.Sum256(data), sha256.Sum256(back))
}

func TestTCPPassesIntact(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	same, err := lab.Host("a")
	require.NoError(t, err)
	assert.Same(t, a, same)
	assert.Equal(t, []*netlab.Host{a, b}, lab.Hosts())

	transfer(t, dial(t, a, serve(t, b, echo)), 50<<20)
	for _, link := range []*netlab.Link{lab.Link(a, b), lab.Link(b, a)} {
		assert.Greater(t, link.Counters().Bytes, int64(50<<20))
		assert.Zero(t, link.Counters().Dropped)
	}
	assert.Panics(t, func() { lab.Link(a, a) })
}

func TestEveryHostHasALoopbackOfItsOwn(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	address := serve(t, b, echo)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	loopback := net.JoinHostPort("127.0.0.1", port)

	_, err = a.DialContext(soon(t), "tcp", loopback)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	lab.Isolate(b)
	for _, address := range []string{loopback, address} {
		_, err = ask(dial(t, b, address), time.Minute)
		require.NoError(t, err, "whatever the links do")
	}
	conn, err := lab.DialContext(soon(t), "tcp", address)
	require.NoError(t, err, "the lab finds the host")
	require.NoError(t, conn.Close())
	_, err = lab.DialContext(soon(t), "tcp", "10.77.0.9:1")
	require.ErrorContains(t, err, "no host of the lab has the address 10.77.0.9")
}

func TestCutAndHeal(t *testing.T) {
	lab := newLab(t)
	a, b, c := newHost(t, lab, "a"), newHost(t, lab, "b"), newHost(t, lab, "c")
	toB := dial(t, a, serve(t, b, echo))
	toC := dial(t, a, serve(t, c, echo))
	lab.Isolate(b)
	_, err := ask(toB, 300*time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = ask(toC, time.Minute)
	require.NoError(t, err, "another host")
	assert.NotZero(t, lab.Link(a, b).Counters().Dropped)

	lab.Heal()
	assert.Equal(t, netlab.Impairment{}, lab.Link(a, b).Impairment())
	require.NoError(t, toB.SetDeadline(time.Now().Add(time.Minute)))
	answer := make([]byte, 4)
	_, err = io.ReadFull(toB, answer)
	require.NoError(t, err, "TCP sends again what was lost")
	assert.Equal(t, "ahoy", string(answer))
}

func TestCutOfOneDirection(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	heard := make(chan string, 1)
	conn := dial(t, a, serve(t, b, func(conn net.Conn) {
		word := make([]byte, 4)
		_, _ = io.ReadFull(conn, word)
		heard <- string(word)
		echo(conn)
	}))
	lab.Link(b, a).Set(netlab.Impairment{Cut: true})
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err := conn.Write([]byte("ahoy"))
	require.NoError(t, err)
	select {
	case word := <-heard:
		assert.Equal(t, "ahoy", word, "it arrives, and the sender does not learn it")
	case <-soon(t).Done():
		t.Fatal("what is sent does not arrive")
	}
	assert.Zero(t, lab.Link(a, b).Counters().Dropped)
	require.Eventually(t, func() bool { return lab.Link(b, a).Counters().Dropped > 0 }, time.Minute, time.Millisecond)
}

func TestLossIsRepairedByTCP(t *testing.T) {
	lab := newLab(t, netlab.WithSeed(7))
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	conn := dial(t, a, serve(t, b, echo))
	lab.Impair(b, netlab.Impairment{Loss: 0.3})
	transfer(t, conn, 256<<10)
	c := lab.Link(a, b).Counters()
	share := float64(c.Dropped) / float64(c.Dropped+c.Packets)
	assert.InDelta(t, 0.3, share, 0.25, "%+v", c)
}

func TestDelayKeepsTheOrder(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	conn := dial(t, a, serve(t, b, echo))
	lab.Link(a, b).Set(netlab.Impairment{Delay: 500 * time.Millisecond})
	took, err := ask(conn, time.Minute)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, took, 500*time.Millisecond)
	assert.Less(t, took, 900*time.Millisecond)

	var udp *net.UDPConn
	require.NoError(t, b.Run(func() error {
		udp, err = net.ListenUDP("udp4", nil)
		return err
	}))
	defer func() { _ = udp.Close() }()
	_, port, err := net.SplitHostPort(udp.LocalAddr().String())
	require.NoError(t, err)
	lab.Link(a, b).Set(netlab.Impairment{Jitter: 20 * time.Millisecond})
	sender, err := a.DialContext(soon(t), "udp", net.JoinHostPort(b.IP(), port))
	require.NoError(t, err)
	defer func() { _ = sender.Close() }()
	for i := range 100 {
		_, err := sender.Write([]byte{byte(i)})
		require.NoError(t, err)
		if i == 50 {
			lab.Heal() // those that follow wait for those under way
		}
	}
	require.NoError(t, udp.SetReadDeadline(time.Now().Add(time.Minute)))
	word := make([]byte, 10)
	for i := range 100 {
		_, err := udp.Read(word)
		require.NoError(t, err)
		require.EqualValues(t, i, word[0])
	}
}

func TestBandwidth(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	conn := dial(t, a, serve(t, b, echo))
	lab.Link(a, b).Set(netlab.Impairment{Bandwidth: 4 << 20})
	begin := time.Now()
	transfer(t, conn, 2<<20)
	assert.InDelta(t, 0.5, time.Since(begin).Seconds(), 0.3)
}

func TestResetInTheMiddleOfARequest(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	ends := make(chan error, 10)
	address := serve(t, b, func(conn net.Conn) {
		for {
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				ends <- err
				return
			}
			_, _ = conn.Write([]byte(line))
		}
	})
	conn := dial(t, a, address)
	answer := bufio.NewReader(conn)
	say := func() error {
		if _, err := conn.Write([]byte("ahoy\n")); err != nil {
			return err
		}
		_, err := answer.ReadString('\n')
		return err
	}
	for _, link := range []*netlab.Link{lab.Link(a, b), lab.Link(b, a)} {
		conn = dial(t, a, address)
		answer.Reset(conn)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		require.NoError(t, say())
		link.Reset(1)
		require.ErrorIs(t, say(), syscall.ECONNRESET, "at the client")
		require.ErrorIs(t, <-ends, syscall.ECONNRESET, "at the server")
		assert.EqualValues(t, 1, link.Counters().Resets)

		conn = dial(t, a, address)
		answer.Reset(conn)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		require.NoError(t, say(), "the next connection works")
		require.NoError(t, conn.Close())
		require.ErrorIs(t, <-ends, io.EOF)
	}
	// In the midst of a stream the packets behind do not count as connections.
	lab.Link(a, b).Reset(2)
	for range 2 {
		conn := dial(t, a, address)
		require.Eventually(t, func() bool {
			_, err := conn.Write(bytes.Repeat([]byte("x"), 1<<20))
			return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		}, time.Minute, time.Millisecond)
		require.ErrorIs(t, <-ends, syscall.ECONNRESET)
	}
	assert.EqualValues(t, 3, lab.Link(a, b).Counters().Resets)
}

func TestADiskIsSmallAndOfItsHost(t *testing.T) {
	lab := newLab(t)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	dir := t.TempDir()
	disk, err := a.Mount(dir, 8<<20)
	require.NoError(t, err)
	total, free, err := disk.Space()
	require.NoError(t, err)
	assert.EqualValues(t, 8<<20, total)
	assert.Equal(t, total, free)

	write := func(h *netlab.Host, name string) error {
		return h.Run(func() error { return os.WriteFile(filepath.Join(dir, name), make([]byte, 100), 0o600) })
	}
	require.NoError(t, write(a, "on-disk"))
	require.NoError(t, disk.Fill())
	require.ErrorIs(t, write(a, "more"), syscall.ENOSPC)
	_, free, err = disk.Space()
	require.NoError(t, err)
	assert.Zero(t, free)
	require.NoError(t, disk.Free())
	require.NoError(t, disk.Free(), "twice")
	require.NoError(t, write(a, "more"))
	assert.FileExists(t, filepath.Join(disk.Path(), "on-disk"))

	require.NoError(t, write(b, "outside"))
	assert.FileExists(t, filepath.Join(dir, "outside"), "another host sees the directory")
	assert.NoFileExists(t, filepath.Join(dir, "on-disk"))
	require.NoError(t, disk.Unmount())
	assert.FileExists(t, filepath.Join(a.Path(dir), "outside"))
	_, err = a.Mount(filepath.Join(dir, "nowhere"), 1<<20)
	require.ErrorContains(t, err, "host a")
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	needLabs(t)
	ctx := soon(t)
	before := leftovers(t)
	lab, err := netlab.New()
	require.NoError(t, err)
	a, b := newHost(t, lab, "a"), newHost(t, lab, "b")
	var namespace string
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, a.Run(func() error {
		if namespace, err = os.Readlink("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return child.Start()
	}))
	hold(t, namespace)
	before.files++
	_, err = a.Mount(t.TempDir(), 1<<20)
	require.NoError(t, err)
	// A dial that would wait for minutes, for a packet that is held back.
	link := lab.Link(a, b)
	link.Set(netlab.Impairment{Delay: time.Hour})
	dialed := make(chan error)
	go func() {
		_, err := a.DialContext(ctx, "tcp", net.JoinHostPort(b.IP(), "1"))
		dialed <- err
	}()
	poll(ctx, t, "the dial is under way", func() bool { return link.Held() > 0 })

	closed := make(chan error)
	go func() { closed <- lab.Close() }()
	require.ErrorIs(t, <-dialed, context.Canceled)
	require.NoError(t, <-closed)
	require.ErrorContains(t, child.Wait(), "killed", "a child ends with its host")
	require.NoError(t, lab.Close(), "twice")
	_, err = lab.Host("c")
	require.ErrorIs(t, err, netlab.ErrClosed)
	require.ErrorIs(t, a.Run(func() error { return nil }), netlab.ErrClosed)
	poll(ctx, t, "nothing is left", func() bool { return leftovers(t) == before && namespaces(t)[namespace] == "" })
}

// TestLabOfAProcessThatIsKilled is not a test: it is the process that the next one
// kills.
func TestLabOfAProcessThatIsKilled(t *testing.T) {
	if os.Getenv("NETLAB_TO_BE_KILLED") == "" {
		return
	}
	lab, err := netlab.New()
	require.NoError(t, err)
	h := newHost(t, lab, "h")
	_, err = h.Mount(t.TempDir(), 1<<20)
	require.NoError(t, err)
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, h.Run(func() error {
		namespace, err := os.Readlink("/proc/thread-self/ns/net")
		if err == nil {
			err = child.Start()
		}
		_, _ = os.Stdout.WriteString(namespace + "\n")
		return err
	}))
	_ = child.Wait()
}

func TestNothingIsLeftAfterAKill(t *testing.T) {
	needLabs(t)
	ctx := soon(t)
	before := leftovers(t).mounts
	process := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLabOfAProcessThatIsKilled$")
	process.Env = append(os.Environ(), "NETLAB_TO_BE_KILLED=1", "TMPDIR="+t.TempDir())
	output, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	namespace := line[:len(line)-1]
	require.Contains(t, namespace, "net:[")
	hold(t, namespace)
	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())
	// The child was in the namespace: it is gone as well.
	poll(ctx, t, "the namespace is gone", func() bool { return namespaces(t)[namespace] == "" })
	assert.Equal(t, before, leftovers(t).mounts)
}

// poll waits in the goroutine of the test, so that no other one is counted.
func poll(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

type leftover struct{ goroutines, files, mounts int }

func leftovers(t *testing.T) leftover {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	return leftover{runtime.NumGoroutine(), len(files), bytes.Count(mounts, []byte("\n"))}
}

// namespaces returns the network namespaces of all threads of this machine, and a link to each.
func namespaces(t *testing.T) map[string]string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/task/*/ns/net")
	require.NoError(t, err)
	found := map[string]string{}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			found[target] = link
		}
	}
	return found
}

// hold keeps a namespace until the end of the test, also when no thread is in it any more: the kernel gives the number
// of one that is gone to the next one, which may be that of another test.
func hold(t *testing.T, namespace string) {
	t.Helper()
	file, err := os.Open(namespaces(t)[namespace])
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
}

func BenchmarkThroughput(b *testing.B) {
	lab := newLab(b)
	from, to := newHost(b, lab, "from"), newHost(b, lab, "to")
	conn := dial(b, from, serve(b, to, func(conn net.Conn) {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 256<<10))
	}))
	piece := make([]byte, 256<<10)
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	var begin, end syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &begin))
	for b.Loop() {
		if _, err := conn.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &end))
	cpu := end.Utime.Nano() + end.Stime.Nano() - begin.Utime.Nano() - begin.Stime.Nano()
	b.ReportMetric(float64(cpu)/1e9/(float64(len(piece))*float64(b.N)/1e9), "cpu-s/GB")
}
