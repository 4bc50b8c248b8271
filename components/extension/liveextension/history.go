package liveextension

import (
	"time"
)

// series is what a figure is about: a metric, and up to two values of its labels. Partitions are added up, so that a
// point does not grow with them.
type series struct{ metric, a, b string }

// point is all figures at one time.
type point struct {
	at     time.Time
	values map[series]float64
}

// history is the last points, the oldest first.
type history struct {
	span   time.Duration
	points []point
}

// add appends a point and forgets those that are older than the span.
func (h *history) add(p point) {
	h.points = append(h.points, p)
	old := 0
	for old < len(h.points)-1 && p.at.Sub(h.points[old].at) > h.span {
		old++
	}
	clear(h.points[:old]) // the array lives on for a while
	h.points = h.points[old:]
}

func (h *history) last() point {
	if len(h.points) == 0 {
		return point{}
	}
	return h.points[len(h.points)-1]
}

// before returns the newest point that is at least as old as window, or else the oldest one.
func (h *history) before(window time.Duration) point {
	last := h.last()
	for i := len(h.points) - 1; i >= 0; i-- {
		if last.at.Sub(h.points[i].at) >= window {
			return h.points[i]
		}
	}
	if len(h.points) == 0 {
		return point{}
	}
	return h.points[0]
}

// increase returns by how much a counter has grown in the window. A counter appears when it is first counted: one that
// was not there was 0. A partition that goes to another consumer keeps its counters here.
func (h *history) increase(window time.Duration, s series) float64 {
	return max(0, h.last().values[s]-h.before(window).values[s])
}

// perSecond returns the change of a figure a second over the window, negative when it falls. It is 0 where the figure was
// not there at the begin of the window.
func (h *history) perSecond(window time.Duration, s series) float64 {
	last, first := h.last(), h.before(window)
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	before, ok := first.values[s]
	if !ok {
		return 0
	}
	return (last.values[s] - before) / seconds
}

// rate is perSecond of a counter, which was 0 before it was there.
func (h *history) rate(window time.Duration, s series) float64 {
	last, first := h.last(), h.before(window)
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, last.values[s]-first.values[s]) / seconds
}

// curve returns a figure over the whole history.
func (h *history) curve(s series) []float64 {
	values := make([]float64, len(h.points))
	for i, p := range h.points {
		values[i] = p.values[s]
	}
	return values
}

// rates returns the change a second of a counter between each two points.
func (h *history) rates(s series) []float64 {
	if len(h.points) < 2 {
		return nil
	}
	values := make([]float64, len(h.points)-1)
	for i := range values {
		a, b := h.points[i], h.points[i+1]
		if seconds := b.at.Sub(a.at).Seconds(); seconds > 0 {
			values[i] = max(0, b.values[s]-a.values[s]) / seconds
		}
	}
	return values
}
