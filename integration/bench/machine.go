package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Machine says what matters of the machine that the figures are from.
func Machine() string {
	facts := []string{
		fmt.Sprintf("%d cores", runtime.NumCPU()),
		runtime.GOOS + "/" + runtime.GOARCH,
		runtime.Version(),
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kibibytes int64
		if n, _ := fmt.Sscanf(string(info), "MemTotal: %d kB", &kibibytes); n == 1 {
			facts = append(facts, fmt.Sprintf("%d GiB of memory", (kibibytes+1<<19)>>20))
		}
	}
	return strings.Join(facts, ", ")
}

// SplitCores gives VictoriaLogs half of the cores, and this process and the consumers that it starts the other half. So
// the drain shows whether the consumer keeps VictoriaLogs busy, and not how the two share a core, as they would not on
// machines of their own. It returns the cores of VictoriaLogs: none when there is nothing to split.
func SplitCores() ([]int, error) {
	cores := runtime.NumCPU()
	if cores < 2 || runtime.GOOS != "linux" {
		return nil, nil
	}
	var backend, others []int
	for core := range cores {
		if core < cores/2 {
			backend = append(backend, core)
		} else {
			others = append(others, core)
		}
	}
	if err := harness.SetOwnAffinity(others); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(len(others))
	return backend, nil
}
