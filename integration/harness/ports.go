package harness

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below the range that kernels hand out for outgoing
// connections (32768 and up on Linux, 49152 on macOS). So no connection can take
// the port of a part while the part is down, and a restart finds it free.
const (
	firstPort = 20000
	lastPort  = 31999
)

var reserved = struct {
	sync.Mutex
	locks map[int]io.Closer
}{locks: map[int]io.Closer{}}

// FreePort reserves a free TCP port on loopback. No other part, in this process
// or in another test process on the machine, is given the same port until
// ReleasePort or the end of this process.
func FreePort() (int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	const span = lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := range span {
		port := firstPort + (start+i)%span
		if _, taken := reserved.locks[port]; taken {
			continue
		}
		lock, err := lockPort(port)
		if err != nil {
			continue
		}
		if !canListen(port) {
			_ = lock.Close()
			continue
		}
		reserved.locks[port] = lock
		return port, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// ReleasePort gives back a port of FreePort. Other ports are ignored.
func ReleasePort(port int) {
	reserved.Lock()
	defer reserved.Unlock()
	if lock, ok := reserved.locks[port]; ok {
		_ = lock.Close()
		delete(reserved.locks, port)
	}
}

// freePorts reserves n ports, or none.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		port, err := FreePort()
		if err != nil {
			releasePorts(ports)
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func releasePorts(ports []int) {
	for _, port := range ports {
		ReleasePort(port)
	}
}

func canListen(port int) bool {
	// Both loopback and the wildcard: a listener on either would be in the way.
	for _, host := range []string{"127.0.0.1", ""} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		if err := ln.Close(); err != nil {
			return false
		}
	}
	return true
}

// Loopback returns 127.0.0.1:port.
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

var errPortLocked = errors.New("port is reserved by another process")
