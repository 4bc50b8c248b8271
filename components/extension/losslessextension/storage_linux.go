package losslessextension

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// storageState asks the file system of a directory for what queues may take: what its files have already, and what is
// free for this user.
func storageState(directory string) (lossless.StorageState, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return lossless.StorageState{}, &fs.PathError{Op: "statfs", Path: directory, Err: err}
	}
	has := lossless.StorageState{
		Bytes:    int64(stat.Bavail) * stat.Bsize,
		Volatile: stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC,
	}
	err := filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // compaction removes its files
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if allocated, ok := info.Sys().(*syscall.Stat_t); ok {
			has.Bytes += allocated.Blocks * 512
		}
		return nil
	})
	return has, err
}
