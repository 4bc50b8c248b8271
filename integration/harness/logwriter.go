package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// LogWriterOptions configures a LogWriter; only Dir is needed.
type LogWriterOptions struct {
	Name string // in every line and in the names of the files; "writer" by default
	Dir  string // where the files are
	// Files is how many files are written in turn; 1 by default.
	Files int
	// Rate is in lines a second over all files; 0 writes flat out.
	Rate float64
	// Payload is the text of a line; filler of about 100 bytes by default. It must
	// not contain a line feed and must be the same for the same number.
	Payload func(seq int64) string
	// RotateLines renames a file after that many lines and goes on with a new one
	// of the same name; 0 never does.
	RotateLines int
	// Rotated gives the new name of the n-th file (from 1 on) that is rotated
	// away; path.n by default, which Glob does not match.
	Rotated func(path string, n int) string
}

// LogWriter appends numbered lines to files and knows what it wrote: lines 0 to
// Written()-1, and Line gives each of them again. Every write to a file is of whole
// lines. A LogWriter made on the files of another goes on behind its lines, but
// counts from 0.
type LogWriter struct {
	opts    LogWriterOptions
	written atomic.Int64

	mu    sync.Mutex // held by whoever writes
	files []*logFile

	cancel context.CancelFunc // of Start
	ended  chan error
}

type logFile struct {
	path    string
	f       *os.File
	lines   int // since the last rotation
	rotated int // rotations so far
	buf     bytes.Buffer
}

// NewLogWriter creates the directory and the files and writes nothing.
func NewLogWriter(opts LogWriterOptions) (*LogWriter, error) {
	if opts.Name == "" {
		opts.Name = "writer"
	}
	if opts.Files == 0 {
		opts.Files = 1
	}
	if opts.Payload == nil {
		opts.Payload = func(seq int64) string { return filler(seq, 100) }
	}
	if opts.Rotated == nil {
		opts.Rotated = func(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, err
	}
	w := &LogWriter{opts: opts}
	for i := range opts.Files {
		file := &logFile{path: filepath.Join(opts.Dir, fmt.Sprintf("%s-%d.log", opts.Name, i))}
		if err := file.open(); err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.files = append(w.files, file)
	}
	return w, nil
}

// Name returns the name in every line.
func (w *LogWriter) Name() string { return w.opts.Name }

// Glob returns a pattern that matches the files, as in LOG_INCLUDE.
func (w *LogWriter) Glob() string { return filepath.Join(w.opts.Dir, w.opts.Name+"-*.log") }

// Written returns how many lines have been written.
func (w *LogWriter) Written() int64 { return w.written.Load() }

// Line returns a line by its number, without the line feed.
func (w *LogWriter) Line(seq int64) string {
	return FormatLine(w.opts.Name, seq, w.opts.Payload(seq))
}

// Write appends n lines at the set rate and returns when they are written.
func (w *LogWriter) Write(ctx context.Context, n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(ctx, n)
}

// Start writes in the background until Stop.
func (w *LogWriter) Start() error {
	if w.cancel != nil {
		return fmt.Errorf("log writer %s is already started", w.opts.Name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended = cancel, make(chan error, 1)
	go func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		err := w.write(ctx, -1)
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		w.ended <- err
	}()
	return nil
}

// Stop ends what Start began and returns its error. Written does not change any
// more after it.
func (w *LogWriter) Stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	w.cancel = nil
	return <-w.ended
}

// Close stops the writer and closes the files, which stay.
func (w *LogWriter) Close() error {
	err := w.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, file := range w.files {
		err = errors.Join(err, file.f.Close())
	}
	w.files = nil
	return err
}

const (
	writeTick = 10 * time.Millisecond // between writes at a set rate
	flatBatch = 500                   // lines at once, flat out
)

// write appends n lines, or lines without end when n is negative.
func (w *LogWriter) write(ctx context.Context, n int64) error {
	if len(w.files) == 0 {
		return fmt.Errorf("log writer %s is closed", w.opts.Name)
	}
	ticker := time.NewTicker(writeTick)
	defer ticker.Stop()
	begin := time.Now()
	for done := int64(0); n < 0 || done < n; {
		batch := int64(flatBatch)
		if w.opts.Rate > 0 {
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
			// By the time since the beginning, so that late ticks are made up for.
			batch = int64(time.Since(begin).Seconds()*w.opts.Rate) - done
		}
		if n >= 0 {
			batch = min(batch, n-done)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if batch <= 0 {
			continue
		}
		if err := w.writeBatch(batch); err != nil {
			return err
		}
		done += batch
	}
	return nil
}

// writeBatch appends n lines, in turn to all files.
func (w *LogWriter) writeBatch(n int64) error {
	first := w.written.Load()
	for seq := first; seq < first+n; seq++ {
		file := w.files[seq%int64(len(w.files))]
		file.buf.WriteString(w.Line(seq))
		file.buf.WriteByte('\n')
		file.lines++
		if w.opts.RotateLines > 0 && file.lines >= w.opts.RotateLines {
			if err := file.rotate(w.opts.Rotated); err != nil {
				return err
			}
		}
	}
	for _, file := range w.files {
		if err := file.flush(); err != nil {
			return err
		}
	}
	w.written.Add(n)
	return nil
}

func (f *logFile) open() error {
	var err error
	f.f, err = os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return err
}

func (f *logFile) flush() error {
	if f.buf.Len() == 0 {
		return nil
	}
	_, err := f.f.Write(f.buf.Bytes())
	f.buf.Reset()
	return err
}

// rotate renames the file and opens a new one, as logrotate does with "create".
func (f *logFile) rotate(name func(string, int) string) error {
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.f.Close(); err != nil {
		return err
	}
	f.rotated++
	f.lines = 0
	if err := os.Rename(f.path, name(f.path, f.rotated)); err != nil {
		return err
	}
	return f.open()
}
