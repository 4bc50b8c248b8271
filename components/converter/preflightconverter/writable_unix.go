//go:build unix

package preflightconverter

import "golang.org/x/sys/unix"

// writable says whether this process may make files in the directory.
func writable(directory string) error {
	return unix.Access(directory, unix.W_OK|unix.X_OK)
}
