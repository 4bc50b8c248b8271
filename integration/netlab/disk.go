package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ballastName is the file that Fill writes; no program of ours reads it.
const ballastName = ".ballast"

// Disk is a small disk of a host.
type Disk struct {
	host *Host
	dir  string
}

// Dir returns the directory in which the host sees the disk.
func (d *Disk) Dir() string { return d.dir }

// Path returns the directory in which this process sees the disk.
func (d *Disk) Path() string { return d.host.Path(d.dir) }

// Fill takes all the space that is left, with a file of its own. It can be called
// again when others have freed some.
func (d *Disk) Fill() (err error) {
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The last pages are had only by small pieces.
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		piece := make([]byte, size)
		for {
			if _, err := f.Write(piece); isDiskFull(err) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// Free gives back what Fill took. It does nothing when Fill took nothing.
func (d *Disk) Free() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Space returns the bytes of the disk, and those of them that are free.
func (d *Disk) Space() (total, free int64, err error) { return diskSpace(d.Path()) }

// Unmount takes the disk away, with what is on it.
func (d *Disk) Unmount() error {
	if err := d.host.space.unmount(d.dir); err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("unmount %s in host %s: %w", d.dir, d.host.name, err)
	}
	return nil
}

func (d *Disk) ballast() string { return filepath.Join(d.Path(), ballastName) }
