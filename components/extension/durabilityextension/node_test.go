package durabilityextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

var zero = time.Now()

func sec(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }

func newTestNode(kind BackendType, window time.Duration) *node {
	return &node{kind: kind, minWindow: window, window: window, maxPollGap: 3 * time.Second}
}

// process is one of a backend that answers polls.
type process struct {
	start float64 // by its own clock
	since float64 // by ours
}

func (p process) at(s float64) sample {
	return sample{start: p.start, uptime: time.Duration(s-p.since) * time.Second}
}

func TestSettledAfterTheWindow(t *testing.T) {
	n := newTestNode(VictoriaLogs, 15*time.Second)
	w := &watch{nodes: []*node{n}}
	w.update()
	p := process{start: 1000, since: -100}
	poll := func(begin, end float64) {
		n.observe(sec(begin), sec(end), p.at((begin+end)/2))
		w.update()
	}

	before := w.Stamp()
	assert.Equal(t, durability.Pending, w.Judge(before, sec(0)), "nothing is known")
	assert.False(t, before.Seen)
	poll(1, 1.5)
	assert.Equal(t, durability.Lost, w.Judge(before, sec(0)), "what was known before the first poll is nothing")

	stamp := w.Stamp()
	assert.True(t, stamp.Seen)
	acked := sec(2)
	for s := 2.0; s < 17; s++ {
		poll(s, s+0.9)
		assert.Equal(t, durability.Pending, w.Judge(stamp, acked), "a poll that began at %v", s)
	}
	poll(17, 17.1)
	assert.Equal(t, durability.Settled, w.Judge(stamp, acked))
	assert.Equal(t, durability.Pending, w.Judge(stamp, acked.Add(1)))
}

func TestEpochChanges(t *testing.T) {
	for name, c := range map[string]struct {
		kind       BackendType
		then       sample
		begin, end float64
		want       finding
	}{
		"the same":                     {VictoriaLogs, sample{start: 1000, uptime: 11 * time.Second}, 1, 1.1, sameEpoch},
		"rounding":                     {VictoriaLogs, sample{start: 1000, uptime: 10 * time.Second}, 1.9, 2, sameEpoch},
		"another start":                {VictoriaLogs, sample{start: 1001, uptime: 11 * time.Second}, 1, 1.1, otherStart},
		"its clock was set back":       {VictoriaLogs, sample{start: 900, uptime: 11 * time.Second}, 1, 1.1, otherStart},
		"the same second, less uptime": {VictoriaLogs, sample{start: 1000, uptime: 7 * time.Second}, 1, 1.1, otherUptime},
		"uptime behind our clock":      {VictoriaLogs, sample{start: 1000, uptime: 15 * time.Second}, 9, 9.1, otherUptime},
		"a slow poll is no sign":       {VictoriaLogs, sample{start: 1000, uptime: 10 * time.Second}, 1, 5, sameEpoch},
		"young":                        {VictoriaLogs, sample{start: 1001, uptime: time.Second}, 1, 1.1, tooYoung},
		"loki, the same":               {Loki, sample{start: 1000}, 50, 50.1, sameEpoch},
		"loki, another":                {Loki, sample{start: 1000.01}, 50, 50.1, otherStart},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(c.kind, 15*time.Second)
			assert.Equal(t, firstEpoch, n.observe(sec(0), sec(0.1), sample{start: 1000, uptime: 10 * time.Second}))
			assert.Equal(t, c.want, n.observe(sec(c.begin), sec(c.end), c.then))
			want := uint64(1)
			if c.want == otherStart || c.want == otherUptime {
				want = 2
			}
			assert.Equal(t, want, n.generation)
		})
	}
}

// Two processes of one second have the same start time. The first one is not known
// before it is so old that no other can have started in that second.
func TestTwoProcessesOfOneSecond(t *testing.T) {
	n := newTestNode(VictoriaLogs, time.Second)
	w := &watch{nodes: []*node{n}}
	w.update()
	first, second := process{start: 1000, since: 0.0}, process{start: 1000, since: 0.7}
	stamp := w.Stamp()
	assert.Equal(t, tooYoung, n.observe(sec(0.4), sec(0.5), first.at(0.4)))
	w.update()
	assert.Equal(t, stamp.Generation, w.Stamp().Generation)
	// Acknowledged by the first one at 0.6, which then was killed.
	assert.Equal(t, firstEpoch, n.observe(sec(4), sec(4.1), second.at(4)))
	w.update()
	assert.Equal(t, durability.Lost, w.Judge(stamp, sec(0.6)))
}

// What a process takes while it is too young to be known will have to be delivered again, so it is said. A wrong metric
// must not say it for ever.
func TestANodeIsStarting(t *testing.T) {
	n := newTestNode(VictoriaLogs, 15*time.Second)
	w := &watch{nodes: []*node{n}}
	starting := func(s float64, p process) bool {
		n.observe(sec(s), sec(s), p.at(s))
		w.update()
		return w.Stamp().Starting
	}
	p := process{start: 1000, since: 0}
	assert.True(t, starting(0.1, p))
	assert.True(t, starting(1.9, p))
	assert.False(t, starting(2.1, p), "known")
	assert.True(t, starting(5, process{start: 1005, since: 4.5}), "restarted")
	assert.EqualValues(t, 1, w.Stamp().Generation, "the process before it is the one that is known")

	stuck := func(s float64) bool { return starting(s, process{start: 1005, since: s}) }
	assert.True(t, stuck(14))
	assert.False(t, stuck(15), "for 10 s, which no start takes")
	assert.False(t, stuck(100))
	assert.False(t, starting(101, process{start: 1005, since: 4.5}))
	assert.True(t, starting(110, process{start: 1110, since: 109.5}), "another one")
}

// While a node does not answer it may stand still, and its flushes with it: only the
// time in which polls succeed counts.
func TestOutagesDoNotCountForTheWindow(t *testing.T) {
	n := newTestNode(VictoriaLogs, 15*time.Second)
	w := &watch{nodes: []*node{n}}
	p := process{start: 1000, since: -100}
	poll := func(s float64) {
		n.observe(sec(s), sec(s), p.at(s))
		w.update()
	}
	for s := 0.0; s <= 20; s++ {
		poll(s)
	}
	stamp := w.Stamp()
	old, acked := sec(5), sec(18)
	assert.Equal(t, durability.Settled, w.Judge(stamp, old))
	last := n.horizon
	poll(60) // 37 s more than usual
	assert.False(t, n.horizon.Before(last))
	assert.Equal(t, durability.Settled, w.Judge(stamp, old), "settled stays settled")
	assert.Equal(t, durability.Pending, w.Judge(stamp, acked))
	for s := 61.0; s < 70; s++ {
		last = n.horizon
		poll(s)
		assert.False(t, n.horizon.Before(last))
		assert.Equal(t, durability.Pending, w.Judge(stamp, acked), "at %v", s)
	}
	poll(70) // 2 s until 20, 3 s of the gap, 10 s since 60
	assert.Equal(t, durability.Settled, w.Judge(stamp, acked))
	poll(74.9)
	assert.Equal(t, durability.Pending, w.Judge(stamp, sec(60)))
	for s := 75.0; s < 80; s++ {
		poll(s)
	}
	assert.Equal(t, durability.Settled, w.Judge(stamp, sec(60)))
	assert.LessOrEqual(t, len(n.outages), 1)
}

// A node whose every poll is slow settles later, and does settle.
func TestSlowPollsSettle(t *testing.T) {
	n := newTestNode(VictoriaLogs, 15*time.Second)
	p := process{start: 1000, since: -100}
	for s := 0.0; s <= 100; s += 5 {
		n.observe(sec(s), sec(s+4), p.at(s+2))
	}
	assert.Equal(t, sec(75), n.horizon) // 15 s of 3 in 5
	assert.LessOrEqual(t, len(n.outages), 6)
}

func TestFlagRaisesTheWindow(t *testing.T) {
	n := newTestNode(VictoriaMetrics, 15*time.Second)
	n.observe(sec(0), sec(0), sample{start: 1, uptime: time.Minute, flushInterval: 20 * time.Second})
	assert.Equal(t, time.Minute, n.window)
	assert.Equal(t, sec(-60), n.horizon)
	n.observe(sec(1), sec(1), sample{start: 2, uptime: time.Minute, flushInterval: time.Second})
	assert.Equal(t, 15*time.Second, n.window, "never below the configured one")
}

func TestWatchOfSeveralNodes(t *testing.T) {
	a, b := newTestNode(VictoriaLogs, 10*time.Second), newTestNode(VictoriaLogs, 20*time.Second)
	w := &watch{nodes: []*node{a, b}}
	w.update()
	p := process{start: 1000, since: -100}
	a.observe(sec(0), sec(0), p.at(0))
	w.update()
	half := w.Stamp()
	assert.Equal(t, durability.Pending, w.Judge(half, sec(-60)), "b has not been seen")
	assert.False(t, half.Seen)
	b.observe(sec(0), sec(0), p.at(0))
	w.update()
	assert.Equal(t, durability.Lost, w.Judge(half, sec(-60)))
	stamp := w.Stamp()
	for s := 1.0; s <= 12; s++ {
		a.observe(sec(s), sec(s), p.at(s))
		w.update()
	}
	assert.Equal(t, durability.Pending, w.Judge(stamp, sec(1)), "b has not been seen again")
	for s := 1.0; s <= 21; s++ {
		b.observe(sec(s), sec(s), p.at(s))
		w.update()
	}
	assert.Equal(t, durability.Settled, w.Judge(stamp, sec(1)))
	assert.Equal(t, durability.Pending, w.Judge(stamp, sec(1.5)))

	b.observe(sec(22), sec(22), process{start: 1121, since: 12}.at(22))
	w.update()
	assert.Equal(t, durability.Lost, w.Judge(stamp, sec(1)))
}

func TestWatchWithoutAFlushWindow(t *testing.T) {
	w := &watch{}
	w.update()
	assert.Equal(t, durability.Settled, w.Judge(w.Stamp(), sec(0)))
}
