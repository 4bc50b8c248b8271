package deadletter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// files keeps letters in files of a directory: one for each start of the process that
// has letters, and a new one when that is full.
type files struct {
	directory string
	maxBytes  int64

	mu     sync.Mutex
	file   *os.File
	size   int64 // of the letters that are stored; what is beyond is torn
	closed bool
	sync   func(*os.File) error // os.File.Sync but in tests
}

func newFiles(directory string, maxBytes int64) (*files, error) {
	if err := makeDirectory(directory); err != nil {
		return nil, fmt.Errorf("`directory`: %w", err)
	}
	return &files{directory: directory, maxBytes: maxBytes, sync: (*os.File).Sync}, nil
}

// put appends the letters, and returns nil when the disk has them.
func (f *files) put(batch []Letter) error {
	var lines []byte
	for i := range batch {
		var err error
		if lines, err = letters.AppendLine(lines, &batch[i]); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if err := f.write(lines); err != nil {
		return fmt.Errorf("dead letters in %s: %w", f.directory, err)
	}
	return nil
}

func (f *files) write(lines []byte) error {
	if f.file != nil && (f.size >= f.maxBytes || !f.present()) {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.create(); err != nil {
			return err
		}
	}
	_, err := f.file.WriteAt(lines, f.size)
	if err == nil {
		err = f.sync(f.file)
	}
	if err != nil {
		// What the disk has of the lines is not known, and after a failed sync not of
		// the pages before either. So nothing is written behind it.
		return errors.Join(err, f.abandon())
	}
	f.size += int64(len(lines))
	return nil
}

// present reports whether the file still has its name. What is written to a file that
// somebody has deleted is gone.
func (f *files) present() bool {
	mine, err := f.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.file.Name())
	return err == nil && os.SameFile(mine, named)
}

// create begins a new file and makes its name durable. It never opens one that exists.
func (f *files) create() error {
	if err := makeDirectory(f.directory); err != nil {
		return err
	}
	start := time.Now().UTC().Format("20060102T150405.000000000Z")
	for n := 0; ; n++ {
		name := filepath.Join(f.directory, fmt.Sprintf("dead-letters-%s-%d-%d%s", start, os.Getpid(), n, letters.FileSuffix))
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := syncDirectory(f.directory); err != nil {
			return errors.Join(err, file.Close(), os.Remove(name))
		}
		f.file, f.size = file, 0
		return nil
	}
}

func (f *files) rotate() error {
	file := f.file
	f.file = nil
	return file.Close()
}

// abandon cuts off what is torn and leaves the file; an empty one is removed, so that a
// full disk is not filled with names.
func (f *files) abandon() error {
	file, size := f.file, f.size
	f.file = nil
	err := errors.Join(file.Truncate(size), file.Close())
	if size == 0 {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.file == nil {
		return nil
	}
	return f.rotate()
}

// makeDirectory creates the directory, and makes the names of all it creates durable.
func makeDirectory(directory string) error {
	info, err := os.Stat(directory)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", directory)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(directory)
	if parent != directory {
		if err := makeDirectory(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(parent)
}

func syncDirectory(directory string) error {
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
