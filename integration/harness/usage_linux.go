package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc: 100 on every architecture that Go runs on.
const userHZ = 100

// Usage returns what the running process has used so far. Children are not counted.
func (p *Process) Usage() (Usage, error) {
	if !p.Running() {
		return Usage{}, fmt.Errorf("%s is not running", p.Name())
	}
	dir := "/proc/" + strconv.Itoa(p.PID())
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	if u.CPU, err = parseStatCPU(stat); err != nil {
		return Usage{}, fmt.Errorf("%s: %w", p.Name(), err)
	}
	if u.PeakRSS, err = parseStatusBytes(status, "VmHWM"); err != nil {
		return Usage{}, fmt.Errorf("%s: %w", p.Name(), err)
	}
	if u.ResidentSet, err = parseStatusBytes(status, "VmRSS"); err != nil {
		return Usage{}, fmt.Errorf("%s: %w", p.Name(), err)
	}
	return u, nil
}

// parseStatCPU reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The second field is the name of the
// program in parentheses, which may hold blanks and parentheses.
func parseStatCPU(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/<pid>/stat has %d fields", len(fields)+2)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/<pid>/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHZ, nil
}

// parseStatusBytes reads a line such as "VmHWM:  12345 kB".
func parseStatusBytes(status []byte, name string) (int64, error) {
	for line := range strings.Lines(string(status)) {
		text, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/<pid>/status: %w", err)
		}
		return kibibytes << 10, nil
	}
	return 0, fmt.Errorf("/proc/<pid>/status has no %s", name)
}
