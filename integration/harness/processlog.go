package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	tailBytes   = 256 << 10 // read from the end of a log file
	maxTailLine = 600       // bytes shown of a line; brokers write very long ones
)

// LogFile returns the path of the file that holds stdout and stderr.
func (p *Process) LogFile() string { return p.opts.LogFile }

// LogTail returns the last lines of the log, over all starts, at most n. Very long
// lines are cut.
func (p *Process) LogTail(n int) string { return fileTail(p.opts.LogFile, n) }

// Log returns the whole output of the last start.
func (p *Process) Log() string {
	run := p.current()
	if run == nil {
		return ""
	}
	f, err := os.Open(p.opts.LogFile)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(run.logAt, io.SeekStart); err != nil {
		return ""
	}
	data, _ := io.ReadAll(f)
	return string(data)
}

// WaitLog waits until text occurs in the output of the last start. It fails when the process ends
// without having written it.
func (p *Process) WaitLog(ctx context.Context, text string) error {
	return Eventually(ctx, 50*time.Millisecond, func(context.Context) error {
		running := p.Running() // before the look, so that the last words count
		if strings.Contains(p.Log(), text) {
			return nil
		}
		err := fmt.Errorf("%q is not in the log of %s", text, p.opts.Name)
		if !running {
			return Permanent(errors.Join(err, errors.New(p.LogTail(20))))
		}
		return err
	})
}

func fileTail(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd)
	}
	data, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		if len(line) > maxTailLine {
			lines[i] = strings.ToValidUTF8(line[:maxTailLine], "") + "…"
		}
	}
	return strings.Join(lines, "\n")
}
