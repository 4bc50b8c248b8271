package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Writer is what all writers are.
type Writer interface {
	Name() string
	// Start begins to write in the background.
	Start() error
	// SetRate changes the rate, in records a second, also of a writer that is paused or not yet started.
	SetRate(perSecond float64)
	Rate() float64
	Pause()
	Resume()
	// Written is how many records were acknowledged so far. It may be called at any time.
	Written() int64
	// Stop ends the writer and gives its accounts. What is pushed and not answered is repeated until ctx ends. The error
	// is one that ended the writer before; the accounts are true all the same.
	Stop(ctx context.Context) ([]Account, error)
}

const (
	tick = 10 * time.Millisecond
	// maxArrears is how much of the time that a writer was held up it makes up for. A program that logs is held up, too,
	// when nobody takes its records.
	maxArrears = time.Second
)

// engine writes at a rate that can be changed.
type engine struct {
	name string
	// write writes n records, or less when the engine is stopping. It returns when ctx ends, with its error or none.
	write func(ctx context.Context, n int64) error

	written atomic.Int64

	mu     sync.Mutex
	rate   float64
	paused bool

	abort context.CancelFunc // ends what is under way
	stop  chan struct{}      // closed: nothing new is begun
	ended chan struct{}      // closed: the background is over
	err   error              // of the background, to be read when ended is closed
}

func (e *engine) Name() string { return e.name }

func (e *engine) Written() int64 { return e.written.Load() }

func (e *engine) SetRate(perSecond float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rate = max(0, perSecond)
}

func (e *engine) Rate() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rate
}

func (e *engine) Pause()  { e.pause(true) }
func (e *engine) Resume() { e.pause(false) }

func (e *engine) pause(paused bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paused = paused
}

// now is the present rate.
func (e *engine) now() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.paused {
		return 0
	}
	return e.rate
}

func (e *engine) Start() error {
	if e.ended != nil {
		return fmt.Errorf("writer %s was started before", e.name)
	}
	ctx, abort := context.WithCancel(context.Background())
	e.abort, e.stop, e.ended = abort, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(e.ended)
		if err := e.run(ctx); err != nil && ctx.Err() == nil {
			e.err = fmt.Errorf("writer %s: %w", e.name, err)
		}
	}()
	return nil
}

func (e *engine) run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for credit := 0.0; ; {
		select {
		case <-e.stop:
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		rate := e.now()
		credit += rate * min(now.Sub(last), maxArrears).Seconds()
		last = now
		if rate == 0 {
			credit = 0
		}
		n := int64(credit)
		if n == 0 {
			continue
		}
		credit -= float64(n)
		if err := e.write(ctx, n); err != nil {
			return err
		}
	}
}

// stopping tells that nothing new is to be begun.
func (e *engine) stopping() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// halt lets what is under way come to its end, until ctx ends. A second call does nothing more.
func (e *engine) halt(ctx context.Context) error {
	if e.ended == nil {
		return nil
	}
	if !e.stopping() {
		close(e.stop)
	}
	release := context.AfterFunc(ctx, e.abort)
	<-e.ended
	release()
	e.abort()
	return e.err
}
