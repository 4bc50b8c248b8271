//go:build !linux

package harness

import "io"

type noLock struct{}

func (noLock) Close() error { return nil }

// lockPort does nothing where there is no abstract socket namespace: ports are
// then reserved within this process only.
func lockPort(int) (io.Closer, error) { return noLock{}, nil }
