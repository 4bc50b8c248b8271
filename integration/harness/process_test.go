package harness_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// shell returns a process that runs a shell script.
func shell(t *testing.T, script string, change func(*harness.ProcessOptions)) *harness.Process {
	t.Helper()
	opts := harness.ProcessOptions{
		Name:    "script",
		Path:    "/bin/sh",
		Args:    []string{"-c", script},
		Env:     []string{"PATH=" + os.Getenv("PATH")},
		LogFile: filepath.Join(t.TempDir(), "script.log"),
	}
	if change != nil {
		change(&opts)
	}
	p := harness.NewProcess(opts)
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// gone tells whether a process has ended. A zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestProcessStopsAndStartsAgain(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo up; exec sleep 1000", nil)
	require.NoError(t, p.Stop(t.Context()), "never started")
	for range 2 {
		require.NoError(t, p.Start(t.Context()))
		require.ErrorContains(t, p.Start(t.Context()), "already running")
		require.NoError(t, p.WaitLog(soon(t), "up"))
		pid := p.PID()
		require.NoError(t, p.Stop(t.Context()))
		assert.False(t, p.Running())
		assert.True(t, gone(pid))
		require.NoError(t, p.Stop(t.Context()), "stopped before")
	}
	assert.Equal(t, 2, strings.Count(p.LogTail(100), "\nup"))
}

func TestProcessThatEndsByItself(t *testing.T) {
	t.Parallel()
	notReady := func(o *harness.ProcessOptions) {
		o.Ready = func(context.Context) error { return errors.New("not yet") }
	}
	p := shell(t, "echo 'no such setting: colour'; exit 3", notReady)
	err := p.Start(t.Context())
	require.ErrorContains(t, err, "script is not ready: script ended by itself: exit status 3")
	require.ErrorContains(t, err, "no such setting: colour")
	require.NoError(t, p.Stop(t.Context()), "it has been told once")

	p = shell(t, "echo over; exit 4", nil)
	require.NoError(t, p.Launch())
	require.NoError(t, p.WaitLog(soon(t), "over"))
	require.Eventually(t, func() bool { return !p.Running() }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, p.Stop(t.Context()), "ended by itself: exit status 4")
	require.NoError(t, p.Stop(t.Context()))
	require.ErrorContains(t, p.WaitLog(soon(t), "never written"), "over", "a process that has ended will not write it any more")
}

func TestProcessThatDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo still thinking; exec sleep 1000", func(o *harness.ProcessOptions) {
		o.Ready = func(context.Context) error { return errors.New("not yet") }
		o.StartTimeout = 300 * time.Millisecond
	})
	err := p.Start(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "not yet")
	require.ErrorContains(t, err, "still thinking")
	assert.False(t, p.Running())
}

func TestProcessThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap '' TERM; echo up; while :; do sleep 0.1; done", func(o *harness.ProcessOptions) {
		o.StopTimeout = 300 * time.Millisecond
	})
	require.NoError(t, p.Start(t.Context()))
	require.NoError(t, p.WaitLog(soon(t), "up"))
	require.ErrorIs(t, p.Stop(t.Context()), harness.ErrStopTimeout)
	assert.False(t, p.Running())
}

func TestProcessThatFailsToStopWell(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap 'echo could not flush; exit 1' TERM; echo up; while :; do sleep 0.1; done", nil)
	require.NoError(t, p.Start(t.Context()))
	require.NoError(t, p.WaitLog(soon(t), "up"))
	err := p.Stop(t.Context())
	require.ErrorContains(t, err, "stopped with exit status 1")
	require.ErrorContains(t, err, "could not flush")
}

func TestProcessThatStandsStillCanBeStopped(t *testing.T) {
	t.Parallel()
	p := shell(t, "exec sleep 1000", nil)
	require.NoError(t, p.Start(t.Context()))
	require.NoError(t, p.Signal(syscall.SIGSTOP))
	require.NoError(t, p.Stop(t.Context()))
}

func TestProcessLeavesNoChildren(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*harness.Process) error{
		"stop": func(p *harness.Process) error { return p.Stop(t.Context()) },
		"kill": func(p *harness.Process) error { return p.Kill() },
	} {
		p := shell(t, "sleep 1000 & echo child $! started; wait", nil)
		require.NoError(t, p.Start(t.Context()))
		require.NoError(t, p.WaitLog(soon(t), "started"))
		require.NoError(t, end(p), name)
		var child int
		_, err := fmt.Sscanf(p.Log(), "child %d started", &child)
		require.NoError(t, err, p.Log())
		require.Eventually(t, func() bool { return gone(child) }, 10*time.Second, time.Millisecond, name)
	}
}

func TestProcessSeesOnlyItsEnvironment(t *testing.T) {
	t.Setenv("HARNESS_SECRET", "1")
	p := shell(t, "env; echo end", func(o *harness.ProcessOptions) { o.Env = nil })
	require.NoError(t, p.Launch())
	require.NoError(t, p.WaitLog(soon(t), "end"))
	assert.False(t, strings.Contains(p.Log(), "HARNESS_SECRET"))
}

// The child must not outlive the program that started it, however that dies. The
// program is this test binary, run with orphanEnv set.
const orphanEnv = "HARNESS_TEST_ORPHAN_DIR"

func TestProcessDiesWithItsParent(t *testing.T) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		p := harness.NewProcess(harness.ProcessOptions{
			Name: "orphan", Path: "/bin/sleep", Args: []string{"1000"}, LogFile: filepath.Join(dir, "log"),
		})
		fmt.Println("error", p.Start(t.Context()))
		fmt.Println("pid", p.PID())
		select {} // until killed
	}
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^TestProcessDiesWithItsParent$")
	parent.Env = append(os.Environ(), orphanEnv+"="+t.TempDir())
	stdout, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	defer func() { _ = parent.Wait() }()
	defer func() { _ = parent.Process.Kill() }()
	var pid int
	for lines := bufio.NewScanner(stdout); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	require.NotZero(t, pid)
	require.False(t, gone(pid))
	require.NoError(t, parent.Process.Kill())
	require.Eventually(t, func() bool { return gone(pid) }, 10*time.Second, 5*time.Millisecond)
}

func TestFreePortsAreDistinctAndFree(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 50 {
		port, err := harness.FreePort()
		require.NoError(t, err)
		defer harness.ReleasePort(port)
		require.False(t, seen[port])
		seen[port] = true
		ln, err := net.Listen("tcp", harness.Loopback(port))
		require.NoError(t, err)
		require.NoError(t, ln.Close())
	}
}

func TestEventually(t *testing.T) {
	t.Parallel()
	n := 0
	require.NoError(t, harness.Eventually(t.Context(), time.Millisecond, func(context.Context) error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	}))
	assert.Equal(t, 3, n)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := harness.Eventually(ctx, time.Millisecond, func(context.Context) error { return errors.New("not yet") })
	require.ErrorContains(t, err, "not yet")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	hopeless := errors.New("hopeless")
	require.Equal(t, hopeless, harness.Eventually(t.Context(), time.Hour, func(context.Context) error {
		return harness.Permanent(hopeless)
	}))
}
