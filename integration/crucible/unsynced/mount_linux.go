package unsynced

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is a mounted file system.
type Disk struct {
	tree   *tree
	dir    string
	device *os.File
	within func(func() error) error
	ended  chan struct{}
}

// Supported tells whether a Disk can be mounted. The error says what is missing.
func Supported() error {
	dir, err := os.MkdirTemp("", "unsynced-")
	if err != nil {
		return err
	}
	disk, err := Mount(dir, func(do func() error) error { return do() })
	if err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	return errors.Join(disk.Close(), os.Remove(dir))
}

// Mount mounts an empty disk at a directory, which must exist. within calls a function in the mount namespace that is to
// see it.
func Mount(dir string, within func(func() error) error) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,allow_other", fd, unix.S_IFDIR, os.Getuid(), os.Getgid())
	err = within(func() error { return unix.Mount("unsynced", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount at %s: %w", dir, err), unix.Close(fd))
	}
	d := &Disk{
		tree: newTree(), dir: dir, within: within, ended: make(chan struct{}),
		// A blocking file, so that its reads need no poller: a poller that waits for a file of this disk would wait for
		// whoever waits for the poller.
		device: os.NewFile(uintptr(fd), "/dev/fuse"),
	}
	go func() {
		defer close(d.ended)
		serve(d.device, d.tree)
	}()
	return d, nil
}

// CutPower loses what was not synced. Whoever writes must have been killed before, and everything be closed.
func (d *Disk) CutPower(rng *rand.Rand) { d.tree.cutPower(rng) }

// Unsynced is how many bytes a cut may lose.
func (d *Disk) Unsynced() int64 { return d.tree.unsynced() }

// Close unmounts the disk, and what was on it is gone.
func (d *Disk) Close() error {
	// By force the reads end also when somebody still has a file open.
	err := d.within(func() error { return unix.Unmount(d.dir, unix.MNT_FORCE|unix.MNT_DETACH) })
	if err == nil {
		<-d.ended
	}
	return errors.Join(err, d.device.Close())
}
