//go:build !unix

package lossless

import "path/filepath"

// deviceOf takes the volume for the device.
func deviceOf(path string) (string, bool) { return filepath.VolumeName(path), true }
