package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
)

// Wait configures WaitComplete.
type Wait struct {
	Accounts    []load.Account
	Stores      []Source
	DeadLetters []DeadLetters
	// Grace is how long nothing changes until what is missing counts as lost; 30 s by default. It has to be longer than
	// the longest backoff of the pipeline.
	Grace time.Duration
	// Linger is how long to wait for further copies after all is there; not at all by default.
	Linger time.Duration
	// Interval is the time between two questions; 500 ms by default.
	Interval time.Duration
	// FaultEnd is when the fault ended; the call of WaitComplete by default.
	FaultEnd time.Time
	// Progress is called with every count, if it is set.
	Progress func(stored, deadLetters int64)
}

// Waited is how WaitComplete ended.
type Waited struct {
	Complete bool // everything is stored or dead-lettered
	// Recovery is from the end of the fault until everything was there or, when that never was, the last change; 0 when
	// that was before the end of the fault.
	Recovery time.Duration
}

// WaitComplete asks for counts until everything may be there and then reads, as often as the counts change. It ends when
// everything is there or nothing has changed for the time of grace. That is no error; the report tells. An error of a
// backend is waited out, as long as ctx allows.
func WaitComplete(ctx context.Context, w Wait) (Report, Waited, error) {
	if w.Grace == 0 {
		w.Grace = 30 * time.Second
	}
	if w.Interval == 0 {
		w.Interval = 500 * time.Millisecond
	}
	if w.FaultEnd.IsZero() {
		w.FaultEnd = time.Now()
	}
	s := waiting{Wait: w, changed: time.Now()}
	for _, a := range w.Accounts {
		s.expected += a.Written
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.report, Waited{}, fmt.Errorf("%w: %w", errors.Join(s.err, errors.New("records are missing")), context.Cause(ctx))
		case <-timer.C:
		}
		waited, done := s.look(ctx)
		if done {
			return s.report, waited, nil
		}
		timer.Reset(w.Interval)
	}
}

// waiting is the state of WaitComplete.
type waiting struct {
	Wait
	expected int64
	counts   []int64   // of each store and of each place of dead letters
	changed  time.Time // when they did last
	checked  bool      // since they did
	report   Report
	complete time.Time // when everything was there
	err      error     // of the last question
}

// look asks once.
func (s *waiting) look(ctx context.Context) (Waited, bool) {
	now := time.Now()
	counts, stored, dead, err := s.count(ctx)
	if s.err = err; err != nil {
		// What cannot be asked may be changing.
		s.changed = now
		return Waited{}, false
	}
	if s.Progress != nil {
		s.Progress(stored, dead)
	}
	if !slices.Equal(counts, s.counts) {
		s.counts, s.changed, s.checked = counts, now, false
	}
	still := now.Sub(s.changed)
	graceOver := still >= s.Grace
	if !s.complete.IsZero() {
		graceOver = now.Sub(s.complete) >= s.Linger
	}
	// Dead letters and copies make the counts say little, so after a while without change it is worth a look.
	if !s.checked && (stored >= s.expected || still >= s.Grace/8 || graceOver) {
		report, err := Check(ctx, s.Accounts, s.Stores, s.DeadLetters)
		if s.err = err; err != nil {
			s.changed = now
			return Waited{}, false
		}
		s.report, s.checked = report, true
		if sum := report.Totals(); sum.Lost == 0 && sum.Corrupted == 0 && s.complete.IsZero() {
			s.complete = s.changed
			graceOver = now.Sub(s.complete) >= s.Linger
		}
	}
	if !graceOver || !s.checked {
		return Waited{}, false
	}
	waited := Waited{Complete: !s.complete.IsZero(), Recovery: max(0, s.changed.Sub(s.FaultEnd))}
	if waited.Complete {
		waited.Recovery = max(0, s.complete.Sub(s.FaultEnd))
	}
	return waited, true
}

func (s *waiting) count(ctx context.Context) (counts []int64, stored, dead int64, err error) {
	for _, source := range s.Stores {
		n, err := source.Count(ctx)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("count %s: %w", source.Name(), err)
		}
		counts = append(counts, n)
		stored += n
	}
	for _, source := range s.DeadLetters {
		n, err := source.Count(ctx)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("count %s: %w", source.Name(), err)
		}
		counts = append(counts, n)
		dead += n
	}
	return counts, stored, dead, nil
}
