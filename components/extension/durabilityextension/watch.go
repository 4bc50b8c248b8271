package durabilityextension

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

// view is what a watch knows after a poll. It is never changed, so that a verdict
// needs no lock and is of one moment.
type view struct {
	generation uint64
	horizon    time.Time // zero: a node has not been seen yet
	immediate  bool      // every node has the data on disk before it answers
	starting   bool      // a node is too young to be known
}

// watch is the view over the nodes of some backends.
type watch struct {
	nodes   []*node // those that flush
	current atomic.Pointer[view]

	mu          sync.Mutex
	subscribers map[chan struct{}]struct{}
}

var _ durability.Watch = (*watch)(nil)

// update takes over the state of the nodes. The caller holds the mutex of the extension.
func (w *watch) update() {
	next := &view{immediate: len(w.nodes) == 0}
	for i, n := range w.nodes {
		// A sum of counters that only grow: it differs when any of them does.
		next.generation += n.generation
		next.starting = next.starting || n.starting
		if i == 0 || n.horizon.Before(next.horizon) {
			next.horizon = n.horizon
		}
	}
	if last := w.current.Swap(next); last != nil && *last == *next {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.subscribers {
		select {
		case c <- struct{}{}:
		default: // the last one has not been taken yet
		}
	}
}

func (w *watch) Stamp() durability.Stamp {
	now := w.current.Load()
	return durability.Stamp{
		Generation: now.generation,
		Seen:       now.immediate || !now.horizon.IsZero(),
		Starting:   now.starting,
	}
}

// Judge compares acked by its monotonic reading, which time.Now gave it.
func (w *watch) Judge(stamp durability.Stamp, acked time.Time) durability.Verdict {
	now := w.current.Load()
	switch {
	case now.immediate:
		return durability.Settled
	case stamp.Generation != now.generation:
		return durability.Lost
	case now.horizon.IsZero() || acked.After(now.horizon):
		return durability.Pending
	}
	return durability.Settled
}

func (w *watch) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subscribers, c)
	}
}
