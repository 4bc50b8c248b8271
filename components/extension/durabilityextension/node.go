package durabilityextension

import (
	"time"
)

// Why what is settled is on disk.
//
// A delivery whose attempt began after Stamp s and that was acknowledged at t is
// settled by a poll that began at p, if
//
//   - a poll that ended before s found the node in some epoch (the stamp's generation
//     counts what polls have found, and it has not changed since), and
//   - p is at or after t + the flush window, and that poll found the same epoch.
//
// Each poll reads the epoch between its begin and its end, so one process was alive
// from before s until after p. All attempts at the delivery that count were made in
// between, and what that process took before t it has flushed before t + window. It
// does not matter when a poll is under way: one that began before a restart and ended
// after it found either process. If it found the old one, it began before the restart,
// and settles only what that one had flushed by then. If it found the new one, the
// generation moves on, and everything stamped before, whichever process took it, is
// lost. What was stamped before the poll ended but taken by the new process is lost,
// too: that costs a verification, not data. Only the begin of a poll is compared with
// t, and only the end of a poll with s (a stamp is of the last poll that has ended).
//
// All times are local and monotonic. The clock of the node is compared with itself
// only. Its start time has whole seconds, so two processes of one second look alike;
// hence minUptime: a process that was seen that long after its start was not followed
// by one with the same start time, unless its clock was set back. For that case the
// uptime has to have grown by as much as our clock says.
const (
	// minUptime is how old a process has to be to be known. Uptime is rounded down: at
	// 2 s more than one second has passed since the one it was started in.
	minUptime = 2 * time.Second
	// uptimeTolerance is 1 s of rounding and what clocks differ by between two polls.
	uptimeTolerance = 2 * time.Second
	// maxStarting bounds how long a node counts as starting. One whose uptime never comes to minUptime has a metric that
	// is wrong: nothing settles, and nobody is to wait for it.
	maxStarting = 10 * time.Second
)

// outage is a time in which a node did not answer and may have stood still, its
// flushes with it.
type outage struct {
	end    time.Time     // begin of the poll that was answered again
	length time.Duration // longer than polls usually are apart
}

// finding is what a poll found.
type finding int

const (
	sameEpoch finding = iota
	firstEpoch
	otherStart
	otherUptime
	tooYoung
)

// node is one process that keeps data. All but the constants is guarded by the mutex
// of the extension.
type node struct {
	backend    string
	name       string // host, port and path: an attribute of metrics
	kind       BackendType
	minWindow  time.Duration // flush_window
	maxPollGap time.Duration // begins of two successful polls are not further apart
	created    time.Time

	generation uint64 // epochs found
	last       sample
	begin, end time.Time // of the last poll that counts
	window     time.Duration
	outages    []outage
	horizon    time.Time // what was acknowledged until then is settled
	appeared   time.Time // begin of the first poll that found it too young; zero: the last one did not
	starting   bool      // the last poll found it too young, as it should be at a start
	up         bool
	err        error // of the last poll
}

// flushes says that the node answers before data is on disk, so that a restart loses
// some. One that does not is watched, but settles at once.
func (n *node) flushes() bool { return n.minWindow > 0 }

// observe takes a successful poll into account.
func (n *node) observe(begin, end time.Time, s sample) finding {
	if n.kind.victoria() && s.uptime < minUptime {
		if n.appeared.IsZero() {
			n.appeared = begin
		}
		n.starting = end.Sub(n.appeared) < maxStarting
		return tooYoung
	}
	n.notStarting()
	found := sameEpoch
	switch {
	case n.generation == 0:
		found = firstEpoch
	case s.start != n.last.start:
		found = otherStart
	case n.kind.victoria() && s.uptime+uptimeTolerance < n.last.uptime+begin.Sub(n.end):
		// Another process, or one that stood still: its flushes may be as late.
		found = otherUptime
	}
	if found == sameEpoch {
		if excess := begin.Sub(n.begin) - n.maxPollGap; excess > 0 {
			n.outages = append(n.outages, outage{end: begin, length: excess})
		}
	} else {
		n.generation++
		n.outages = nil
		n.horizon = time.Time{}
	}
	n.last, n.begin, n.end = s, begin, end
	if n.flushes() {
		// Three times, as the default of 15 s is of 5 s: rows wait up to 1 s for a part
		// in memory, parts for the next flush, and the flush takes its time.
		n.window = max(n.minWindow, 3*s.flushInterval)
	}
	n.settle()
	return found
}

// notStarting says that the node is not too young, or that it cannot be said to be.
func (n *node) notStarting() { n.appeared, n.starting = time.Time{}, false }

// settle moves the horizon: back from the begin of the last poll by the flush window,
// in which the outages do not count.
func (n *node) settle() {
	horizon := n.begin.Add(-n.window)
	i := len(n.outages)
	for i > 0 && n.outages[i-1].end.After(horizon) {
		i--
		horizon = horizon.Add(-n.outages[i].length)
	}
	n.outages = n.outages[i:]
	n.horizon = horizon
}
