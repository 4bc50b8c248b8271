package packaging

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
)

//go:embed boot.sh
var bootScript []byte

// machine is a systemd and everything below it, in the network of a host of the lab.
type machine struct {
	host *netlab.Host
	pid  string // of its process 1, as this machine numbers it
}

// requireMachine skips where no machine can be booted by any means, and fails where only a package is missing.
func requireMachine(t *testing.T) {
	if err := netlab.Supported(); err != nil {
		t.Skipf("SKIPPED, no package was installed: it needs root and namespaces: %v", err)
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		t.Skip("SKIPPED, no package was installed: this is not Debian")
	}
	for program, of := range map[string]string{"/lib/systemd/systemd": "systemd", "/usr/bin/rpm": "rpm", "/usr/bin/unshare": "util-linux"} {
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("%s is missing: apt-get install %s", program, of)
		}
	}
}

// boot starts a machine on a host. Its /var/log/app and its /srv, where its commands begin, are directories of this machine.
func boot(t *testing.T, host *netlab.Host, logs, packages string) *machine {
	base := t.TempDir()
	script := filepath.Join(base, "boot.sh")
	require.NoError(t, os.WriteFile(script, bootScript, 0o755))
	disk := filepath.Join(base, "disk")
	require.NoError(t, os.Mkdir(disk, 0o755))
	cgroup := newCgroup(t)

	process := harness.NewProcess(harness.ProcessOptions{
		Name:    "machine",
		Path:    script,
		Args:    []string{disk, cgroup, logs, packages},
		Env:     []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		LogFile: filepath.Join(base, "console.log"),
		Within:  host.Run,
	})
	require.NoError(t, process.Launch())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("---- console of the machine ----\n%s", process.LogTail(40))
		}
		require.NoError(t, process.Kill())
	})

	m := &machine{host: host}
	m.eventually(t, time.Minute, func(ctx context.Context) error {
		// The script becomes unshare, and unshare's child process 1.
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", process.PID(), process.PID()))
		if err != nil {
			return harness.Permanent(err)
		}
		m.pid = strings.TrimSpace(string(children))
		if comm, _ := os.ReadFile("/proc/" + m.pid + "/comm"); string(comm) != "systemd\n" {
			return fmt.Errorf("process 1 is %q, not systemd", comm)
		}
		state, err := m.try(ctx, "systemctl is-system-running")
		if strings.TrimSpace(state) == "degraded" { // of this machine's own units, none of which is tested
			return nil
		}
		return err
	})
	return m
}

// newCgroup makes a cgroup whose tree the machine may have for its own.
func newCgroup(t *testing.T) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for _, line := range strings.Split(string(mounts), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(fields[1], "breakwater-machine-") //nolint:usetesting // a cgroup is no file
		require.NoError(t, err)
		t.Cleanup(func() { removeCgroup(t, dir) })
		return dir
	}
	t.Fatal("no cgroup2 file system is mounted; systemd needs one")
	return ""
}

// removeCgroup removes a tree of cgroups, whose processes have been killed and may not be gone yet.
func removeCgroup(t *testing.T, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 50*time.Millisecond, func(context.Context) error {
		var dirs []string
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			err = errors.Join(err, os.Remove(dirs[i]))
		}
		return err
	}))
}

// command prepares a shell command on the machine, as root and in the directory of the packages.
func (m *machine) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", m.pid, "--all", "--",
		"/bin/bash", "-c", "set -euo pipefail\ncd /srv\n"+script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// try runs a shell command and returns its output, stderr included. It goes through a file: a pipe would be waited for
// as long as anything that the command has left behind holds it.
func (m *machine) try(ctx context.Context, script string) (string, error) {
	file, err := os.CreateTemp("", "machine-output-")
	if err != nil {
		return "", err
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	cmd := m.command(ctx, script)
	cmd.Stdout, cmd.Stderr = file, file
	err = cmd.Run()
	output, readErr := os.ReadFile(file.Name())
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", script, err, output)
	}
	return string(output), errors.Join(err, readErr)
}

// run runs a shell command that has to succeed.
func (m *machine) run(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	output, err := m.try(ctx, script)
	require.NoError(t, err)
	return strings.TrimSpace(output)
}

func (m *machine) eventually(t *testing.T, timeout time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 200*time.Millisecond, check))
}

// waitHealthy waits until a unit runs and answers at its health endpoint, and returns its main process as this machine
// numbers it.
func (m *machine) waitHealthy(t *testing.T, profile string) int {
	t.Helper()
	port := map[string]string{"agent": "13133", "consumer": "13134", "standalone": "13133"}[profile]
	m.eventually(t, time.Minute, func(ctx context.Context) error {
		if _, err := m.try(ctx, "systemctl is-active --quiet breakwater@"+profile); err != nil {
			return err
		}
		_, err := m.try(ctx, "exec 3<>/dev/tcp/127.0.0.1/"+port+
			"; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; grep -q '200 OK' <&3")
		if err != nil {
			log, _ := m.try(ctx, "journalctl --no-pager -n 20 -u breakwater@"+profile)
			return fmt.Errorf("%w\n%s", err, log)
		}
		return nil
	})
	return m.mainPID(t, profile)
}

// mainPID is the main process of a unit, as this machine numbers it.
func (m *machine) mainPID(t *testing.T, profile string) int {
	t.Helper()
	inside := m.run(t, "systemctl show --value --property MainPID breakwater@"+profile)
	require.NotEqual(t, "0", inside)
	procs := m.run(t, "cat /sys/fs/cgroup/$(systemctl show --value --property ControlGroup breakwater@"+profile+")/cgroup.procs")
	require.Equal(t, inside, procs, "the only process of the unit")
	// The last number of NSpid is that of the innermost namespace.
	entries, err := filepath.Glob("/proc/[0-9]*/status")
	require.NoError(t, err)
	for _, entry := range entries {
		status, err := os.ReadFile(entry)
		if err != nil {
			continue // it has ended meanwhile
		}
		ids := strings.Fields(statusField(string(status), "NSpid"))
		if len(ids) == 2 && ids[1] == inside && sameNamespace(ids[0], m.pid) {
			pid, err := strconv.Atoi(ids[0])
			require.NoError(t, err)
			return pid
		}
	}
	t.Fatalf("no process %s of the machine", inside)
	return 0
}

func sameNamespace(pid, other string) bool {
	a, errA := os.Readlink("/proc/" + pid + "/ns/pid")
	b, errB := os.Readlink("/proc/" + other + "/ns/pid")
	return errA == nil && errB == nil && a == b
}

// statusField is a line of /proc/PID/status.
func statusField(status, name string) string {
	for _, line := range strings.Split(status, "\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
