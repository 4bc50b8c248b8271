package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mebibyte = 1 << 20

func TestGCPercent(t *testing.T) {
	const target = 128 * mebibyte
	for live, want := range map[uint64]int{
		0:              400,
		10 * mebibyte:  400,
		32 * mebibyte:  300,
		40 * mebibyte:  220,
		64 * mebibyte:  100,
		100 * mebibyte: 100, // above half of the target as without all this
		1 << 40:        100,
	} {
		assert.Equal(t, want, gcPercent(live, target), "%d live bytes", live)
	}
}

func TestHeapTarget(t *testing.T) {
	const group = "/sys/fs/cgroup/system.slice/breakwater.service/memory.max"
	tests := map[string]struct {
		files map[string]string
		want  uint64
	}{
		"nothing known": {nil, 128 * mebibyte},
		"large host":    {map[string]string{"/proc/meminfo": "MemTotal:       24654321 kB\nMemFree: 1 kB\n"}, 128 * mebibyte},
		"small host":    {map[string]string{"/proc/meminfo": "MemTotal:       524288 kB\n"}, 16 * mebibyte},
		"unlimited service": {map[string]string{
			"/proc/meminfo": "MemTotal: 524288 kB\n", "/proc/self/cgroup": "0::/system.slice/breakwater.service\n", group: "max\n",
		}, 16 * mebibyte},
		"limited service on a large host": {map[string]string{
			"/proc/meminfo": "MemTotal: 24654321 kB\n", "/proc/self/cgroup": "0::/system.slice/breakwater.service\n", group: "268435456\n",
		}, 64 * mebibyte},
		"limit of what is around": {map[string]string{
			"/proc/self/cgroup": "0::/system.slice/breakwater.service\n", group: "268435456\n",
			"/sys/fs/cgroup/system.slice/memory.max": "134217728\n",
		}, 32 * mebibyte},
		"container": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "134217728\n"}, 32 * mebibyte},
		"cgroup v1": {map[string]string{"/proc/self/cgroup": "4:memory:/a\n"}, 128 * mebibyte},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, heapTarget(func(name string) ([]byte, error) {
				text, ok := test.files[name]
				if !ok {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			}))
		})
	}
}

// TestGCPercentFollowsTheHeap runs the tuner that init has started.
func TestGCPercentFollowsTheHeap(t *testing.T) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		t.Skip("SKIPPED: GOGC or GOMEMLIMIT is set, and then the tuner is off")
	}
	percent := func() uint64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	withLargeHeap(func() {
		require.Eventually(t, func() bool { return percent() == minGCPercent }, 30*time.Second, 10*time.Millisecond)
	})
	if heapTarget(os.ReadFile) == maxHeapTarget {
		require.Eventually(t, func() bool { return percent() > minGCPercent }, 30*time.Second, 10*time.Millisecond)
	}
}

// withLargeHeap calls do while more is alive than any target allows.
func withLargeHeap(do func()) {
	large := make([]byte, 2*maxHeapTarget)
	do()
	runtime.KeepAlive(large)
}
