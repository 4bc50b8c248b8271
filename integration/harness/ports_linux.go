package harness

import (
	"fmt"
	"io"
	"net"
)

// lockPort holds a socket in the abstract namespace as a lock that every process
// of the machine sees. The kernel drops it with the process, however that ends,
// and there is no file to leave behind.
func lockPort(port int) (io.Closer, error) {
	ln, err := net.Listen("unix", fmt.Sprintf("@breakwater-harness-port-%d", port))
	if err != nil {
		return nil, errPortLocked
	}
	return ln, nil
}
