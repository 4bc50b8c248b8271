package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ProcessOptions describes a child process.
type ProcessOptions struct {
	Name string // in messages and as the name of the log file

	Path string   // the program
	Args []string // its arguments
	Env  []string // its whole environment, "KEY=value"; nothing is inherited
	Dir  string   // its working directory
	// Prefix is put before Path, such as {"nice"}.
	Prefix []string
	// Within calls start on the thread that is to fork the process, such as that of
	// a host (netlab.Host.Run). The thread must outlive the process, because the
	// death of the process is tied to that of the thread. By default there is a
	// thread for each process.
	Within func(start func() error) error

	// LogFile receives stdout and stderr, appended over all starts.
	LogFile string

	// Ready is polled after the start until it returns nil; nil is ready at once.
	Ready func(context.Context) error
	// StartTimeout bounds the wait for Ready; 30 s by default.
	StartTimeout time.Duration
	// StopTimeout is the grace between SIGTERM and SIGKILL; 30 s by default.
	StopTimeout time.Duration
}

// Process is a child process that can be started, stopped, killed and started
// again with the same arguments. It runs in its own process group (a Ctrl-C on
// the terminal does not reach it; whoever started it stops it in order), writes
// its output to a log file, and on Linux is killed by the kernel when the program
// that started it dies. Its methods are safe for concurrent use.
type Process struct {
	opts ProcessOptions

	mu  sync.Mutex
	run *processRun // the last start, or nil
	n   int         // number of starts
}

// processRun is one life of the process.
type processRun struct {
	cmd    *exec.Cmd
	logAt  int64         // where its output begins in the log file
	exited chan struct{} // closed once the process has been waited for
	// err is the result of Wait; to be read after exited is closed.
	err error
	// expected is set before a signal that is meant to end the process, and once
	// an end of its own accord has been reported. Any other end is an error.
	expected bool
}

// ErrStopTimeout is in the error of a Stop that had to use SIGKILL.
var ErrStopTimeout = errors.New("did not stop in time after SIGTERM and was killed")

// NewProcess describes a process and starts nothing.
func NewProcess(opts ProcessOptions) *Process {
	if opts.StartTimeout == 0 {
		opts.StartTimeout = 30 * time.Second
	}
	if opts.StopTimeout == 0 {
		opts.StopTimeout = 30 * time.Second
	}
	return &Process{opts: opts}
}

// Name returns the name of the process in messages.
func (p *Process) Name() string { return p.opts.Name }

// Start launches the process and waits until it is ready. When it is not, the
// process is killed and the error holds the end of its log.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	if err := p.WaitReady(ctx); err != nil {
		_ = p.Kill()
		p.expect(p.current())
		return err
	}
	return nil
}

// Launch starts the process and does not wait until it is ready, for processes
// that are expected to wait or to fail.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil && !p.run.done() {
		return fmt.Errorf("%s is already running", p.opts.Name)
	}
	log, err := os.OpenFile(p.opts.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", p.opts.Name, err)
	}
	// The child has its own copy of the descriptor from the start on.
	defer func() { _ = log.Close() }()

	p.n++
	_, _ = fmt.Fprintf(log, "--- harness: start %d of %s at %s\n", p.n, p.opts.Name, time.Now().Format(time.RFC3339Nano))
	argv := append(append(append([]string{}, p.opts.Prefix...), p.opts.Path), p.opts.Args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.opts.Dir
	cmd.Env = append([]string{}, p.opts.Env...) // never nil: that would inherit
	// A file and not a pipe: the child cannot block on a slow reader, and a
	// grandchild that holds it open does not hold up Wait.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttr()

	run := &processRun{cmd: cmd, exited: make(chan struct{})}
	if info, err := log.Stat(); err == nil {
		run.logAt = info.Size()
	}
	within := p.opts.Within
	if within == nil {
		within = func(start func() error) error { return start() }
	}
	started := make(chan error)
	go func() {
		// The kernel ties the death signal of the child to the thread that
		// forked it, not to the process. Holding this thread for the life of
		// the child keeps the runtime from ending it earlier.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := within(cmd.Start); err != nil {
			started <- err
			return
		}
		started <- nil
		run.err = cmd.Wait()
		// Whatever the process left running in its group ends with it.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		close(run.exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.opts.Name, err)
	}
	p.run = run
	return nil
}

// WaitReady waits until the readiness check passes. It fails when the process
// exits, when StartTimeout is over or ctx ends.
func (p *Process) WaitReady(ctx context.Context) error {
	run := p.current()
	if run == nil {
		return fmt.Errorf("%s was never started", p.opts.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.StartTimeout)
	defer cancel()
	err := Eventually(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		// Before the check and after it: the port of a process that died at
		// once could be answered by somebody else.
		if run.done() {
			return Permanent(p.exitError(run))
		}
		if p.opts.Ready == nil {
			return nil
		}
		if err := p.opts.Ready(ctx); err != nil {
			return err
		}
		if run.done() {
			return Permanent(p.exitError(run))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w\n%s", p.opts.Name, err, p.LogTail(40))
	}
	return nil
}

// Stop sends SIGTERM, waits, and sends SIGKILL when StopTimeout is over or ctx
// ends. It is an error when SIGKILL was needed, when the process reported a
// failure by its exit status, or when it had ended by itself and nobody was told
// yet (by Start or Wait). Stop of a process that is not running otherwise does
// nothing.
func (p *Process) Stop(ctx context.Context) error {
	run := p.current()
	if run == nil {
		return nil
	}
	if sent, err := p.signalRun(run, syscall.SIGTERM, true); err != nil {
		return err
	} else if !sent {
		return p.endError(run)
	}
	// A process that stands still by SIGSTOP has to wake up to see the SIGTERM.
	_, _ = p.signalRun(run, syscall.SIGCONT, false)

	ctx, cancel := context.WithTimeout(ctx, p.opts.StopTimeout)
	defer cancel()
	begin := time.Now()
	select {
	case <-run.exited:
		return p.stopError(run)
	case <-ctx.Done():
	}
	_ = p.Kill()
	return fmt.Errorf("%s %w, after %s", p.opts.Name, ErrStopTimeout, time.Since(begin).Round(time.Millisecond))
}

// Kill sends SIGKILL to the whole process group and waits for the end.
func (p *Process) Kill() error {
	run := p.current()
	if run == nil || run.done() {
		return nil
	}
	if _, err := p.signalRun(run, syscall.SIGKILL, true); err != nil {
		return err
	}
	<-run.exited
	return nil
}

// Restart stops the process and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Signal sends a signal to the process, such as SIGSTOP and SIGCONT.
func (p *Process) Signal(sig syscall.Signal) error {
	run := p.current()
	if run == nil || run.done() {
		return fmt.Errorf("%s is not running", p.opts.Name)
	}
	_, err := p.signalRun(run, sig, false)
	return err
}

// Running tells whether the process has been started and has not ended.
func (p *Process) Running() bool {
	run := p.current()
	return run != nil && !run.done()
}

// PID returns the process id of the last start, 0 before the first.
func (p *Process) PID() int {
	if run := p.current(); run != nil {
		return run.cmd.Process.Pid
	}
	return 0
}

// Wait waits for the process to end and returns its exit status; -1 means that a
// signal ended it.
func (p *Process) Wait(ctx context.Context) (int, error) {
	run := p.current()
	if run == nil {
		return 0, fmt.Errorf("%s was never started", p.opts.Name)
	}
	select {
	case <-run.exited:
		p.expect(run)
		return run.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s is still running: %w", p.opts.Name, context.Cause(ctx))
	}
}

func (p *Process) current() *processRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// signalRun signals one life of the process; deadly signals go to the group. It
// returns false when the process had ended before.
func (p *Process) signalRun(run *processRun, sig syscall.Signal, deadly bool) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if run.done() {
		return false, nil
	}
	if deadly {
		run.expected = true
	}
	pid := run.cmd.Process.Pid
	if sig == syscall.SIGKILL {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return false, fmt.Errorf("%s to %s: %w", sig, p.opts.Name, err)
	}
	return true, nil
}

func (p *Process) expect(run *processRun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	run.expected = true
}

func (r *processRun) done() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// endError judges how the process ended, once: nil for what was asked for.
func (p *Process) endError(run *processRun) error {
	p.mu.Lock()
	expected := run.expected
	run.expected = true
	p.mu.Unlock()
	if !expected {
		return fmt.Errorf("%w\n%s", p.exitError(run), p.LogTail(40))
	}
	return nil
}

// stopError judges how the process ended after SIGTERM.
func (p *Process) stopError(run *processRun) error {
	if status, ok := run.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return nil
	}
	switch code := run.cmd.ProcessState.ExitCode(); code {
	case 0, 128 + int(syscall.SIGTERM): // the latter is how a JVM ends after SIGTERM
		return nil
	default:
		return fmt.Errorf("%s stopped with exit status %d\n%s", p.opts.Name, code, p.LogTail(40))
	}
}

func (p *Process) exitError(run *processRun) error {
	reason := "exit status 0"
	if run.err != nil {
		reason = run.err.Error()
	}
	return fmt.Errorf("%s ended by itself: %s", p.opts.Name, strings.TrimSpace(reason))
}
