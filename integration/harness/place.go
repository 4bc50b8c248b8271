package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/breakwater-otel/breakwater/integration/netlab"
)

// place is what a part holds from New to Close: its directory, its ports and its
// disks.
type place struct {
	dir    string
	ownDir bool // made here, so removed here
	ports  []int
	disks  []*netlab.Disk
}

// newPlace makes the directory (a temporary one when dir is empty) and reserves
// ports. A part that is alone on its host gets them in the same way: what is free
// here is free there.
func newPlace(name, dir string, ports int) (*place, error) {
	p := &place{dir: dir}
	var err error
	if dir == "" {
		p.ownDir = true
		p.dir, err = os.MkdirTemp("", "breakwater-"+name+"-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	if p.dir, err = filepath.Abs(p.dir); err != nil {
		return nil, err
	}
	if p.ports, err = freePorts(ports); err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, nil
}

// mount puts a disk of its own under a directory of the part. No bytes are no
// disk, which is no error.
func (p *place) mount(h *netlab.Host, dir string, bytes int64) (*netlab.Disk, error) {
	if bytes == 0 {
		return nil, nil
	}
	if h == nil {
		return nil, fmt.Errorf("DiskBytes is set for %s, and it is not in a Host", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	disk, err := h.Mount(dir, bytes)
	if err != nil {
		return nil, err
	}
	p.disks = append(p.disks, disk)
	return disk, nil
}

func (p *place) release() error {
	releasePorts(p.ports)
	var errs []error
	for _, disk := range p.disks {
		errs = append(errs, disk.Unmount())
	}
	if p.ownDir {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

// closePart stops the process of a part and gives back what the part held.
func closePart(process *Process, place *place) error {
	return errors.Join(process.Stop(context.Background()), place.release())
}
