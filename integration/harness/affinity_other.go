//go:build !linux

package harness

import "errors"

var errAffinity = errors.New("a process can be kept on some cores only on Linux")

// SetAffinity needs Linux.
func (p *Process) SetAffinity([]int) error { return errAffinity }

// SetOwnAffinity needs Linux.
func SetOwnAffinity([]int) error { return errAffinity }
