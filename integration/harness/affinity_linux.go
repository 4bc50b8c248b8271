package harness

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// SetAffinity keeps the running process, with all its threads, on the given cores.
func (p *Process) SetAffinity(cores []int) error {
	if !p.Running() {
		return fmt.Errorf("%s is not running", p.Name())
	}
	return setAffinity(strconv.Itoa(p.PID()), cores)
}

// SetOwnAffinity keeps this process on the given cores, and the processes that it starts from now on.
func SetOwnAffinity(cores []int) error { return setAffinity("self", cores) }

// maxAffinityCores is the size of glibc's cpu_set_t.
const maxAffinityCores = 1024

// setAffinity sets every thread of a process until there is none that was not seen: a thread that is made meanwhile
// has the cores of the one that made it.
func setAffinity(pid string, cores []int) error {
	var mask [maxAffinityCores / 64]uint64
	for _, core := range cores {
		if core < 0 || core >= maxAffinityCores {
			return fmt.Errorf("there is no core %d", core)
		}
		mask[core/64] |= 1 << (core % 64)
	}
	done := map[string]bool{}
	for before := -1; before != len(done); {
		before = len(done)
		threads, err := os.ReadDir("/proc/" + pid + "/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
			if errno != 0 && errno != syscall.ESRCH { // the thread has ended
				return fmt.Errorf("set the cores of thread %d: %w", tid, errno)
			}
			done[thread.Name()] = true
		}
	}
	return nil
}
