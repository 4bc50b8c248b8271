// Package prepare provides the real parts that the integration tests run:
// VictoriaLogs, VictoriaMetrics and Loki, built from their Go modules, and Apache
// Kafka, resolved from Maven Central. All land in .cache/ of the repository.
//
// What is cached bears a stamp: the hash of what it was made from, written last.
// So a half-finished download is never taken for done, and a changed go.mod or
// pom.xml makes it anew. A lock file keeps test processes that run side by side
// from doing the same work.
package prepare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Preparer makes what is missing in the cache of one repository.
type Preparer struct {
	Root string // root directory of the repository
	// Progress is told what takes time, one line at a time; nil is silent.
	Progress func(format string, args ...any)
}

func (p *Preparer) say(format string, args ...any) {
	if p.Progress != nil {
		p.Progress(format, args...)
	}
}

func (p *Preparer) cache(elem ...string) string {
	return filepath.Join(append([]string{p.Root, ".cache"}, elem...)...)
}

func (p *Preparer) source(elem ...string) string {
	return filepath.Join(append([]string{p.Root, "integration"}, elem...)...)
}

// locked runs work while no other process prepares the same thing.
func (p *Preparer) locked(ctx context.Context, what string, work func() error) error {
	if err := os.MkdirAll(p.cache(), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(p.cache("."+what+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which unlocks
	for waiting := false; ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return work()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		if !waiting {
			waiting = true
			p.say("waiting for another process that prepares %s", what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// hashOf returns the stamp for what is made from the given files and words.
func hashOf(files []string, words ...string) (string, error) {
	h := sha256.New()
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		_ = f.Close()
		if err != nil {
			return "", err
		}
	}
	_, _ = fmt.Fprint(h, strings.Join(words, "\x00"))
	return hex.EncodeToString(h.Sum(nil)), nil
}

func stamped(stampFile, hash string) bool {
	data, err := os.ReadFile(stampFile)
	return err == nil && string(data) == hash
}

// interruptDelay is how long a command may take to end when it is interrupted.
const interruptDelay = 10 * time.Second

// run runs a command and returns an error with the end of its output.
func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	// In order: killed, a build would leave its temporary directory.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptDelay
	output, err := cmd.CombinedOutput()
	if err != nil {
		const keep = 4 << 10
		text := strings.TrimSpace(string(output))
		if len(text) > keep {
			text = "…" + text[len(text)-keep:]
		}
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
	}
	return nil
}
