package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// place is what a part holds from New to Close: its directory and its ports.
type place struct {
	dir    string
	ownDir bool // made here, so removed here
	ports  []int
}

// newPlace makes the directory (a temporary one when dir is empty) and reserves
// ports.
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

func (p *place) release() error {
	releasePorts(p.ports)
	if p.ownDir {
		return os.RemoveAll(p.dir)
	}
	return nil
}

// closePart stops the process of a part and gives back what the part held.
func closePart(process *Process, place *place) error {
	return errors.Join(process.Stop(context.Background()), place.release())
}
