package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible"
	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

func names(s settings) []string {
	var names []string
	for _, c := range s.cases {
		names = append(names, c.Name)
	}
	return names
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := readSettings(nil)
	require.NoError(t, err)
	assert.Len(t, s.cases, len(crucible.Cases()))
	assert.False(t, s.subset)
	assert.Equal(t, "breakwater", s.profile.Name)

	s, err = readSettings([]string{"-case", "broker-*", "-case", "calm", "-seed", "9", "-rival", "upstream"})
	require.NoError(t, err)
	assert.Equal(t, []string{"calm", "broker-kill", "broker-term", "broker-freeze"}, names(s))
	assert.True(t, s.subset)
	assert.EqualValues(t, 9, s.seed)
	assert.Equal(t, "upstream", s.profile.Name)

	s, err = readSettings([]string{"-soak", "3m", "-consumer-cmd", "sink x"})
	require.NoError(t, err)
	assert.Equal(t, []string{"soak"}, names(s))
	assert.Equal(t, "sink x", s.profile.Consumer.Command)

	s, err = readSettings([]string{"-seeds", "3"})
	require.NoError(t, err)
	assert.False(t, s.subset)
	assert.NotEmpty(t, s.cases)
	for _, c := range s.cases {
		assert.True(t, c.Seeds)
	}
	s, err = readSettings([]string{"-seeds", "2", "-case", "calm"})
	require.NoError(t, err)
	assert.Equal(t, []string{"calm"}, names(s))

	s, err = readSettings([]string{"-short"})
	require.NoError(t, err)
	for _, c := range s.cases {
		assert.True(t, c.Short)
	}

	for args, message := range map[string]string{
		"-case=nothing": `no case is called "nothing"`,
		"-rival=nobody": `-rival: there is no profile "nobody"`,
		"-lanes=0":      "-lanes must be 1 or more",
		"-soak=-1s":     "-soak and -seeds not negative",
		"-seeds=-1":     "-soak and -seeds not negative",
		"calm":          `unexpected argument "calm"`,
	} {
		_, err := readSettings([]string{args})
		assert.ErrorContains(t, err, message)
	}
}

func TestListShowsThePlans(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-list", "-case", "broker-kill"}, &out))
	assert.Regexp(t, `(?m)^broker-kill: A broker is killed\.\n +[\d.]+ s SIGKILL broker-\d for [\d.]+ s\n +[\d.]+ s the writers stop\n$`, out.String())
}

func result(name, profile string, lost int64) report.Result {
	r := report.Result{Case: name, Profile: profile, Audits: []oracle.Report{{Writers: []oracle.WriterReport{
		{Writer: "w", Written: 10, Stored: 10 - lost, Lost: lost},
	}}}}
	r.Judge(nil)
	return r
}

func TestVerdictNamesWhatIsNotAsExpected(t *testing.T) {
	t.Parallel()
	require.NoError(t, verdict([]report.Result{result("calm", "breakwater", 0)}))
	err := verdict([]report.Result{result("calm", "breakwater", 0), result("burst", "breakwater", 3)})
	require.EqualError(t, err, "1 of 2 cases are not as expected: burst (fails)")
}

func TestWriteKeepsWhatWasNotRun(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	profile, err := crucible.FindProfile("breakwater")
	require.NoError(t, err)
	s := settings{out: out, profile: profile}
	require.NoError(t, write(s, []report.Result{result("calm", "breakwater", 0), result("gone", "breakwater", 0)}, time.Minute))
	s.subset = true
	require.NoError(t, write(s, []report.Result{result("burst", "breakwater", 0), result("calm", "upstream", 1)}, time.Minute))
	read := func() []string {
		doc, err := report.Read(out, "crucible")
		require.NoError(t, err)
		var found []string
		for _, r := range doc.Results {
			found = append(found, r.Profile+" "+r.Case)
		}
		return found
	}
	assert.Equal(t, []string{"breakwater gone", "breakwater calm", "breakwater burst", "upstream calm"}, read())

	s.subset = false
	require.NoError(t, write(s, []report.Result{result("calm", "breakwater", 0)}, time.Minute))
	assert.Equal(t, []string{"breakwater calm", "upstream calm"}, read(), "a full run forgets cases that are no more")
	assert.FileExists(t, filepath.Join(out, "crucible.md"))
}

func TestWriteKeepsSeedsSideBySide(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	profile, err := crucible.FindProfile("breakwater")
	require.NoError(t, err)
	s := settings{out: out, profile: profile, seed: 1, seeds: 2, lanes: 3}
	of := func(name string, seed uint64) report.Result {
		r := result(name, "breakwater", 0)
		r.Seed, r.Series = seed, []report.Point{{Seconds: 1}}
		return r
	}
	require.NoError(t, write(s, []report.Result{of("broker-kill", 2), of("calm", 1), of("broker-kill", 1), of("calm", 2)}, time.Minute))
	s.subset = true
	require.NoError(t, write(s, []report.Result{of("calm", 3)}, time.Minute))
	doc, err := report.Read(out, "crucible-seeds")
	require.NoError(t, err)
	var found []string
	for _, r := range doc.Results {
		found = append(found, fmt.Sprint(r.Case, r.Seed))
	}
	assert.Equal(t, []string{"calm1", "calm2", "calm3", "broker-kill1", "broker-kill2"}, found)
	text, err := os.ReadFile(filepath.Join(out, "crucible-seeds.md"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "| broker-kill, seed 2 |")
	assert.Contains(t, string(text), "The last run of all 4 cases: seeds 1 to 2, 3 lanes, 1m0s on")
	assert.NotContains(t, string(text), ".svg")
	files, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Len(t, files, 2, "no pictures, and nothing in the other document")
}

// TestInterruptLeavesNothing interrupts the command while the brokers start and in the middle of a case.
func TestInterruptLeavesNothing(t *testing.T) {
	t.Parallel()
	harness.RequireBackends(t)
	harness.RequireKafka(t)
	command := filepath.Join(t.TempDir(), "crucible")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", command, ".")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	for when, reached := range map[string]func(line string, dir string) bool{
		"while the brokers start": func(string, dir string) bool { return len(ours(t, dir)) > 3 },
		"in the middle of a case": func(line, _ string) bool { return strings.Contains(line, "SIGKILL consumer") },
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, command, "-case", "consumer-kill", "-lanes", "1")
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			cmd.Stderr = os.Stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := make(chan string)
			go func() {
				defer close(lines)
				for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
					lines <- scanner.Text()
				}
			}()
			waitFor(ctx, t, lines, func(line string) bool { return reached(line, dir) })
			spaces := namespaces(t, ours(t, dir))
			require.NotEmpty(t, spaces)
			hold(t, spaces)

			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			begin := time.Now()
			for range lines {
				continue // until its end
			}
			err = cmd.Wait()
			exit, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 1, exit.ExitCode())
			assert.Less(t, time.Since(begin), 30*time.Second)

			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, left, "files")
			assert.Empty(t, ours(t, dir), "processes")
			assert.Empty(t, mounts(t, dir), "mounts")
			for space, link := range namespaces(t, everyone(t)) {
				assert.NotContains(t, spaces, space, "namespace of %s", link)
			}
		})
	}
}

// waitFor reads lines until it is reached what is waited for, which need not show in a line.
func waitFor(ctx context.Context, t *testing.T, lines <-chan string, reached func(string) bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		line := ""
		select {
		case <-ctx.Done():
			require.NoError(t, ctx.Err())
		case text, ok := <-lines:
			require.True(t, ok, "the command has ended by itself")
			line = text
		case <-ticker.C:
		}
		if reached(line) {
			return
		}
	}
}

// everyone returns the ids of all processes.
func everyone(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	return dirs
}

// ours returns the processes that were started with a directory below dir in their arguments or their environment.
func ours(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, process := range everyone(t) {
		// A process may end while it is looked at.
		args, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(process, "environ"))
		status, _ := os.ReadFile(filepath.Join(process, "status"))
		if bytes.Contains(append(args, env...), []byte(dir)) && !bytes.Contains(status, []byte("State:\tZ")) {
			found = append(found, process)
		}
	}
	return found
}

// namespaces returns the network namespaces of all threads of processes, but that of this one, and a link to each.
func namespaces(t *testing.T, processes []string) map[string]string {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	found := map[string]string{}
	for _, process := range processes {
		links, err := filepath.Glob(process + "/task/*/ns/net")
		require.NoError(t, err)
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target != own {
				found[target] = link
			}
		}
	}
	return found
}

// hold keeps namespaces until the end of the test, also when no process is in them any more: the kernel gives the number
// of one that is gone to the next one, which may be that of another test.
func hold(t *testing.T, spaces map[string]string) {
	t.Helper()
	for space, link := range spaces {
		file, err := os.Open(link)
		if err != nil { // its thread has ended since
			delete(spaces, space)
			continue
		}
		t.Cleanup(func() { assert.NoError(t, file.Close()) })
	}
}

// mounts returns the lines of the mount tables of all processes that have a directory in them.
func mounts(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, process := range everyone(t) {
		file, err := os.Open(filepath.Join(process, "mounts"))
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(file)
		require.NoError(t, file.Close())
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, dir) {
				found = append(found, line)
			}
		}
	}
	return found
}
