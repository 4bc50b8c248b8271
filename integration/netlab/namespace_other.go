//go:build !linux

package netlab

import (
	"errors"
	"io"
	"net/netip"
)

var errNotLinux = errors.New("a lab needs the network namespaces of Linux")

// namespace cannot be had here.
type namespace struct {
	device io.ReadWriter
	root   string
}

// Supported tells whether this machine lets us make labs: it does not.
func Supported() error { return errNotLinux }

func newNamespace(netip.Addr, int) (*namespace, error) { return nil, errNotLinux }

func (n *namespace) run(func() error) error    { return errNotLinux }
func (n *namespace) enter(func()) error        { return errNotLinux }
func (n *namespace) mount(string, int64) error { return errNotLinux }
func (n *namespace) unmount(string) error      { return errNotLinux }
func (n *namespace) close() error              { return errNotLinux }

func isDiskFull(error) bool { return false }

func diskSpace(string) (total, free int64, err error) { return 0, 0, errNotLinux }
