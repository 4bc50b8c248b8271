package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/netlab/proxy"
)

// echoServer returns the address of a server that echoes, and where it tells how
// each of its connections ended.
func echoServer(t *testing.T) (string, <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ends := make(chan error, 100)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, err := io.Copy(conn, conn)
				_ = conn.Close()
				ends <- err
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String(), ends
}

func newProxy(t *testing.T, target string) *proxy.TCPProxy {
	t.Helper()
	p, err := proxy.New(target, 1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func dial(t *testing.T, p *proxy.TCPProxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn.(*net.TCPConn)
}

func transfer(t *testing.T, conn *net.TCPConn, size int) {
	t.Helper()
	data := bytes.Repeat([]byte("ahoy there\n"), size/11)
	var writing sync.WaitGroup
	writing.Go(func() {
		_, err := conn.Write(data)
		assert.NoError(t, err)
		assert.NoError(t, conn.CloseWrite())
	})
	back, err := io.ReadAll(conn)
	require.NoError(t, err)
	writing.Wait()
	require.True(t, bytes.Equal(data, back))
}

func TestDataPassesIntact(t *testing.T) {
	address, ends := echoServer(t)
	p := newProxy(t, address)
	transfer(t, dial(t, p), 20<<20)
	require.NoError(t, <-ends, "the end of the data is passed on")
	c := p.Counters()
	assert.EqualValues(t, 1, c.Connections)
	assert.Greater(t, c.Bytes, int64(2*20<<20)-100)
	assert.Zero(t, c.Stalls+c.Resets)
}

func TestCutOfOneDirectionAndHeal(t *testing.T) {
	address, _ := echoServer(t)
	p := newProxy(t, address)
	conn := dial(t, p)
	word := make([]byte, 4)
	say := func() error {
		if _, err := conn.Write([]byte("ahoy")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, word)
		return err
	}
	require.NoError(t, say())
	before := p.Counters().Bytes
	p.Set(proxy.Impairment{ToClient: proxy.Direction{Cut: true}})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, say(), os.ErrDeadlineExceeded)
	assert.Equal(t, before+4, p.Counters().Bytes, "it reached the server")

	p.Set(proxy.Impairment{})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err := io.ReadFull(conn, word)
	require.NoError(t, err)
	assert.Equal(t, "ahoy", string(word))

	p.Set(proxy.Both(proxy.Direction{Delay: 200 * time.Millisecond}))
	begin := time.Now()
	require.NoError(t, say())
	assert.GreaterOrEqual(t, time.Since(begin), 400*time.Millisecond)
}

func TestLossStalls(t *testing.T) {
	address, _ := echoServer(t)
	p := newProxy(t, address)
	p.Set(proxy.Both(proxy.Direction{Loss: 0.3}))
	for i := 0; p.Counters().Resets == 0; i++ {
		require.Less(t, i, 1000, "no reset in %d pieces", i)
		conn := dial(t, p)
		_, err := conn.Write([]byte("ahoy"))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 4))
		if err != nil {
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
	}
	assert.NotZero(t, p.Counters().Stalls)
}

func TestResetAtBothEnds(t *testing.T) {
	address, ends := echoServer(t)
	p := newProxy(t, address)
	conn := dial(t, p)
	p.Reset(1)
	_, err := conn.Write([]byte("ahoy"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 4))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorIs(t, <-ends, syscall.ECONNRESET)
	assert.EqualValues(t, 1, p.Counters().Resets)
	transfer(t, dial(t, p), 1<<20)
}

func TestAServerThatIsDownAndClose(t *testing.T) {
	address, _ := echoServer(t)
	p := newProxy(t, address)
	held := dial(t, p)
	_, err := held.Write([]byte("ahoy"))
	require.NoError(t, err)
	_, err = io.ReadFull(held, make([]byte, 4))
	require.NoError(t, err)
	p.Set(proxy.Both(proxy.Direction{Cut: true}))
	_, err = held.Write([]byte("ahoy"))
	require.NoError(t, err)
	require.NoError(t, p.Close(), "whatever is held back")
	require.NoError(t, p.Close(), "twice")
	_, err = held.Read(make([]byte, 4))
	require.Error(t, err)

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	p = newProxy(t, nobody.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.Addr())
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}
