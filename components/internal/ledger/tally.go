package ledger

import (
	"context"
	"sync/atomic"
)

type tallyKey struct{}

// Tally counts, on the way of one delivery, what becomes of its records.
type Tally struct{ dead atomic.Uint64 }

// WithTally returns a context from which what is behind it in the pipeline counts.
func WithTally(ctx context.Context, t *Tally) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

// DeadLettered says that records are dead letters now, if somebody counts.
func DeadLettered(ctx context.Context, records int) {
	if t, ok := ctx.Value(tallyKey{}).(*Tally); ok && records > 0 {
		t.dead.Add(uint64(records))
	}
}

// Dead is how many records are dead letters.
func (t *Tally) Dead() uint64 { return t.dead.Load() }
