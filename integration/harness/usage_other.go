//go:build !linux

package harness

import "errors"

// Usage needs /proc.
func (p *Process) Usage() (Usage, error) {
	return Usage{}, errors.New("what a process has used is only known on Linux")
}
