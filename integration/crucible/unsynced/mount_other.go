//go:build !linux

package unsynced

import (
	"errors"
	"math/rand/v2"
)

// Disk is not there on this system.
type Disk struct{}

// errUnsupported is what everything returns on this system.
var errUnsupported = errors.New("a disk that forgets needs Linux")

// Supported tells that there are no disks.
func Supported() error { return errUnsupported }

// Mount tells that there are no disks.
func Mount(string, func(func() error) error) (*Disk, error) { return nil, errUnsupported }

// CutPower is never called.
func (*Disk) CutPower(*rand.Rand) {}

// Unsynced is never called.
func (*Disk) Unsynced() int64 { return 0 }

// Close is never called.
func (*Disk) Close() error { return nil }
