package harness

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"strconv"

	"github.com/breakwater-otel/breakwater/integration/netlab"
)

// The host of a part may be nil: then the part runs on the loopback of the machine,
// which it shares with the others.

// withinHost returns the ProcessOptions.Within of what runs in a host.
func withinHost(h *netlab.Host) func(start func() error) error {
	if h == nil {
		return nil
	}
	return h.Run
}

// hostAddr returns the address at which others reach a port of a host.
func hostAddr(h *netlab.Host, port int) string {
	if h == nil {
		return Loopback(port)
	}
	return net.JoinHostPort(h.IP(), strconv.Itoa(port))
}

// hostClient returns a client that asks from inside a host, so that it gets its
// answer whatever the links do.
//
// It keeps no idle connections: parts are stopped and started again on the same
// port, and a kept connection to the old process would fail the first request to
// the new one.
func hostClient(h *netlab.Host) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if h != nil {
		transport.DialContext = h.DialContext
	}
	return &http.Client{Transport: transport}
}

// hostOutput runs a command in a host and returns what it wrote.
func hostOutput(h *netlab.Host, cmd *exec.Cmd) ([]byte, error) {
	if h == nil {
		return cmd.CombinedOutput()
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := h.Run(cmd.Start); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	return output.Bytes(), err
}
