//go:build unix

package lossless

import "golang.org/x/sys/unix"

// deviceOf returns the device that the path is on.
func deviceOf(path string) (uint64, bool) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, false
	}
	return uint64(stat.Dev), true //nolint:unconvert // int32 on darwin
}
