package main

import (
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// What is alive on the heap of a collector is small (a consumer that drains a backlog: 30 to 50 MB) beside what it
// allocates: each record is decoded into some twenty objects that are garbage a moment later. With Go's default of
// GOGC=100 it collects tens of times a second for nothing; docs/benchmarks.md has what that costs. A higher GOGC for
// good would take its percentage of a large heap, too: 400 makes five bytes of every one that a full queue or a large
// fetch keeps alive. A fixed GOMEMLIMIT does worse when the live heap is above it: the collector collects all the time.
//
// So GOGC is set anew after each collection: the heap may grow up to a target while what is alive is below it, and
// behaves as with GOGC=100 from half of the target on. The target is a small part of the machine.
const (
	minGCPercent  = 100
	maxGCPercent  = 400
	maxHeapTarget = 128 << 20

	// The agent is a guest on its host. A memory limit of its own is for it alone, but the heap is only a part of the
	// process: some 80 MB are the program itself and what it maps.
	hostShare  = 32
	limitShare = 4
)

func init() {
	// Who sets one of them knows better, and neither is touched.
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		newGCTuner(heapTarget(os.ReadFile)).start()
	}
}

// gcTuner sets GOGC after each garbage collection.
type gcTuner struct {
	target  uint64 // bytes
	percent int
	live    []metrics.Sample
}

func newGCTuner(target uint64) *gcTuner {
	return &gcTuner{
		target:  target,
		percent: minGCPercent,
		live:    []metrics.Sample{{Name: "/gc/heap/live:bytes"}},
	}
}

// collection is garbage at every collection: its finalizer runs after each.
type collection struct{ tuner *gcTuner }

func (t *gcTuner) start() {
	runtime.SetFinalizer(&collection{t}, func(c *collection) { c.tuner.collected() })
}

func (t *gcTuner) collected() {
	metrics.Read(t.live)
	// Setting it stops the program for some microseconds.
	if percent := gcPercent(t.live[0].Value.Uint64(), t.target); percent != t.percent {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
	t.start()
}

// gcPercent returns the GOGC that lets a heap with so many live bytes grow up to the target.
func gcPercent(live, target uint64) int {
	const step = 10 // changes that are not worth a stop
	switch {
	case live >= target:
		return minGCPercent
	case live == 0:
		return maxGCPercent
	}
	percent := min((target-live)*100/live, maxGCPercent) / step * step
	return max(int(percent), minGCPercent) //nolint:gosec // G115: at most maxGCPercent
}

// heapTarget returns how large the heap may become for the sake of fewer collections.
func heapTarget(readFile func(string) ([]byte, error)) uint64 {
	target := uint64(maxHeapTarget)
	if total := hostMemory(readFile); total > 0 {
		target = min(target, total/hostShare)
	}
	if limit := cgroupLimit(readFile); limit > 0 {
		// The limit is the closer bound even where it is above that of the host.
		target = min(maxHeapTarget, limit/limitShare)
	}
	return target
}

// hostMemory returns the memory of the machine in bytes, 0 where that is not known.
func hostMemory(readFile func(string) ([]byte, error)) uint64 {
	info, err := readFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if text, found := strings.CutPrefix(line, "MemTotal:"); found {
			kibibytes, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kibibytes << 10
		}
	}
	return 0
}

// cgroupLimit returns the least memory limit of the control group (v2) of this process and of those around it, such as
// that of a container or MemoryMax= of a service; 0 where there is none.
func cgroupLimit(readFile func(string) ([]byte, error)) uint64 {
	groups, err := readFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	var least uint64
	for line := range strings.Lines(string(groups)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		for ; ; group = path.Dir(group) {
			text, err := readFile(path.Join("/sys/fs/cgroup", group, "memory.max"))
			if err == nil {
				limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
				if err == nil && (least == 0 || limit < least) { // "max" is none
					least = limit
				}
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return least
}
