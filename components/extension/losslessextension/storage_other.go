//go:build !linux

package losslessextension

import (
	"errors"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

func storageState(string) (lossless.StorageState, error) {
	return lossless.StorageState{}, errors.New("disks can be checked on Linux only")
}
