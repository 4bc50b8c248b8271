// Package unsynced is a file system in memory that knows which writes were not synced, so that a test can cut the power:
//
//	disk, err := unsynced.Mount(dir, host.Run)  // dir is seen so by what runs in the host
//	…                                           // a program writes there, and is killed
//	err = disk.CutPower(rng)                    // of what it wrote and did not sync, some is there and some is not
//	err = disk.Close()
//
// A SIGKILL does not do that: what a process has written stays in the cache of the kernel, and is there at the next start.
//
// After a cut each block of 4 KiB that was written since the last fsync of its file is old or new, by chance, and one in
// eight of them is torn at a sector of 512 bytes; the size of the file is one that it had since. That is what a disk may
// show when the kernel has begun to write back. Names (create, rename, unlink) are there as they were, as on a file system
// that keeps a journal of them.
//
// It needs Linux, /dev/fuse and the right to mount. Supported says what is missing.
package unsynced
