//go:build unix && !linux

package harness

import "syscall"

// childAttr cannot tie the child's life to ours here; only Linux has Pdeathsig.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
