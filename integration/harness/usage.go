package harness

import "time"

// Usage is what a process has used since it was started.
type Usage struct {
	CPU         time.Duration // user and system time of all threads
	PeakRSS     int64         // bytes, the most that was resident at any moment
	ResidentSet int64         // bytes, now
}
