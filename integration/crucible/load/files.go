package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Format is how a line is wrapped.
type Format int

// The formats.
const (
	// Plain is the record alone.
	Plain Format = iota
	// DockerJSON is a line of Docker's json-file driver: {"log":"…\n","stream":"stdout","time":"…"}.
	DockerJSON
	// CRI is a line of a container runtime: 2026-01-02T03:04:05.000000000Z stdout F …
	CRI
)

// Rotation is how a file is rotated.
type Rotation int

// The rotations.
const (
	// RotateNever lets it grow.
	RotateNever Rotation = iota
	// RotateRename renames it and begins a new one, as logrotate does with "create".
	RotateRename
	// RotateCopyTruncate copies and empties it, as logrotate does with "copytruncate". Nothing is written meanwhile, so
	// whatever is lost by it is lost by who reads.
	RotateCopyTruncate
)

// FilesOptions configures NewFiles; Dir is needed.
type FilesOptions struct {
	Common
	Dir    string
	Format Format
	// PartialEvery writes each of that many records in two lines, tagged P and F, as a container runtime does with what is
	// longer than its buffer. For CRI only.
	PartialEvery int64
	Rotation     Rotation
	// RotateLines is after how many lines; 5,000 by default.
	RotateLines int64
	// Rotated names the n-th file, from 1 on, that is rotated away or copied; path.n by default.
	Rotated func(path string, n int) string
	// Torn writes the last line of each write in two, so that a reader sees half a line for a moment.
	Torn bool
}

// Files writes lines to a file. Every write is of whole lines, unless Torn asks for something else. When the disk is
// full it goes on where it was as soon as there is room.
type Files struct {
	engine
	opts    FilesOptions
	path    string
	file    *os.File
	next    int64
	lines   int64 // of the present file
	rotated int
	held    []byte // the end of the last line, when it is torn
}

// NewFiles creates the directory and the file Dir/Name.log.
func NewFiles(opts FilesOptions) (*Files, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	switch {
	case opts.Dir == "":
		return nil, fmt.Errorf("writer %s needs a directory", opts.Name)
	case opts.PartialEvery > 0 && opts.Format != CRI:
		return nil, fmt.Errorf("writer %s: PartialEvery is for CRI", opts.Name)
	}
	if opts.RotateLines == 0 {
		opts.RotateLines = 5000
	}
	if opts.Rotated == nil {
		opts.Rotated = func(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, err
	}
	w := &Files{opts: opts, path: filepath.Join(opts.Dir, opts.Name+".log")}
	w.engine = engine{name: opts.Name, rate: opts.Rate, write: w.writeLines}
	return w, w.open()
}

// Path is the file that is written to, as in LOG_INCLUDE.
func (w *Files) Path() string { return w.path }

// Stop ends the writer, closes the file and gives the account.
func (w *Files) Stop(ctx context.Context) ([]Account, error) {
	err := w.halt(ctx)
	if w.file != nil {
		// The end of a torn line, unless a full disk has stopped the writer in the middle of another.
		if err == nil && w.written.Load()+1 == w.next {
			if held := w.flushHeld(ctx); ctx.Err() == nil {
				err = held
			}
		}
		err = errors.Join(err, w.file.Close())
		w.file = nil
	}
	account := Account{
		Writer: w.opts.Name, Kind: KindFile, Next: w.next, Written: w.written.Load(), Labels: w.opts.Labels,
		Record: func(seq int64) Record { return Record{Text: w.text(seq)} },
	}
	if w.next > account.Written {
		// A line whose end did not fit on the disk any more.
		account.Unanswered = add(nil, account.Written, w.next-1)
	}
	if w.opts.PartialEvery > 0 {
		account.Parts = w.parts
	}
	return []Account{account}, err
}

func (w *Files) open() error {
	var err error
	w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644) //nolint:gosec // G302: a log file of a test
	return err
}

func (w *Files) partial(seq int64) bool {
	return w.opts.PartialEvery > 0 && seq%w.opts.PartialEvery == w.opts.PartialEvery-1
}

// text is a record; one that is written in pieces has the mark of its second piece in the middle.
func (w *Files) text(seq int64) string {
	if parts := w.parts(seq); parts != nil {
		return strings.Join(parts, "")
	}
	return w.opts.line(seq)
}

func (w *Files) parts(seq int64) []string {
	if !w.partial(seq) {
		return nil
	}
	payload := w.opts.payload(seq)
	half := len(payload) / 2
	for payload[half]&0xc0 == 0x80 { // not within a rune
		half--
	}
	mark := fmt.Sprintf("%s%s/%d/1 ", PartMarker, w.opts.Name, seq)
	c := w.opts.format(seq, payload[:half]+mark+payload[half:])
	cut := strings.Index(c, mark)
	return []string{c[:cut], c[cut:]}
}

func (w *Files) appendLine(b []byte, seq int64, now time.Time) []byte {
	now = now.Add(w.opts.jumped(seq)).UTC()
	switch w.opts.Format {
	case DockerJSON:
		b = appendJSON(append(b, `{"log":`...), w.text(seq)+"\n")
		b = append(b, `,"stream":"stdout","time":"`...)
		b = now.AppendFormat(b, time.RFC3339Nano)
		return append(b, "\"}\n"...)
	case CRI:
		parts := w.parts(seq)
		if parts == nil {
			parts = []string{w.text(seq)}
		}
		for i, part := range parts {
			b = now.AppendFormat(b, "2006-01-02T15:04:05.000000000Z07:00")
			tag := " stdout P "
			if i == len(parts)-1 {
				tag = " stdout F "
			}
			b = append(append(append(b, tag...), part...), '\n')
		}
		return b
	}
	return append(append(b, w.text(seq)...), '\n')
}

func (w *Files) writeLines(ctx context.Context, n int64) error {
	for n > 0 && !w.stopping() {
		batch := n
		if w.opts.Rotation != RotateNever {
			batch = min(n, w.opts.RotateLines-w.lines)
		}
		if w.opts.LargeEvery > 0 {
			batch = min(batch, 64) // or a burst would need a buffer of gigabytes
		}
		if err := w.writeBatch(ctx, batch); err != nil {
			return err
		}
		n -= batch
		if w.opts.Rotation != RotateNever && w.lines >= w.opts.RotateLines {
			if err := w.rotate(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Files) writeBatch(ctx context.Context, n int64) error {
	if err := w.flushHeld(ctx); err != nil {
		return err
	}
	now := time.Now()
	buf := make([]byte, 0, 32<<10)
	lastAt := 0
	for range n {
		lastAt = len(buf)
		buf = w.appendLine(buf, w.next, now)
		w.next++
	}
	w.lines += n
	if w.opts.Torn {
		cut := lastAt + (len(buf)-lastAt)/2
		buf, w.held = buf[:cut], bytes.Clone(buf[cut:])
		n--
	}
	if _, err := w.append(ctx, buf); err != nil {
		return err
	}
	w.written.Add(n)
	return nil
}

// flushHeld writes the end of a torn line.
func (w *Files) flushHeld(ctx context.Context) error {
	if len(w.held) == 0 {
		return nil
	}
	rest, err := w.append(ctx, w.held)
	w.held = rest
	if err != nil {
		return err
	}
	w.written.Add(1)
	return nil
}

// append writes all of b, and waits while the disk is full. With an error it returns what is left of b.
func (w *Files) append(ctx context.Context, b []byte) ([]byte, error) {
	for {
		n, err := w.file.Write(b)
		b = b[n:]
		switch {
		case len(b) == 0:
			return nil, nil
		case !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT):
			return b, err
		}
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-time.After(10 * tick):
		}
	}
}

func (w *Files) rotate(ctx context.Context) error {
	if err := w.flushHeld(ctx); err != nil {
		return err
	}
	w.rotated++
	w.lines = 0
	name := w.opts.Rotated(w.path, w.rotated)
	if w.opts.Rotation == RotateCopyTruncate {
		return w.copyTruncate(name)
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.path, name); err != nil {
		return err
	}
	return w.open()
}

func (w *Files) copyTruncate(name string) error {
	target, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err = w.file.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(target, w.file)
	}
	if err = errors.Join(err, target.Close()); err != nil {
		return err
	}
	// Appending, the file needs no seek back.
	return w.file.Truncate(0)
}
