package oracle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// growing is a backend that has more with every count, and fails at first.
type growing struct {
	mu     sync.Mutex
	all    rows
	step   int
	have   int
	fail   int // counts to come that fail
	checks int
}

func (*growing) Name() string { return "growing" }

func (g *growing) Count(context.Context) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail > 0 {
		g.fail--
		return 0, errors.New("not yet")
	}
	g.have = min(g.have+g.step, len(g.all))
	return int64(g.have), nil
}

func (g *growing) Each(ctx context.Context, each func(Found) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks++
	return g.all[:g.have].Each(ctx, each)
}

func TestWaitComplete(t *testing.T) {
	a := lines("a", 100)
	full := stored(a)
	tests := map[string]struct {
		store    *growing
		dead     letters
		complete bool
		lost     int64
		doubled  int64
		linger   time.Duration
		checks   int // at most
	}{
		"all":                    {store: &growing{all: full, step: 7}, complete: true, checks: 1},
		"with copies":            {store: &growing{all: append(append(rows{}, full[:50]...), full...), step: 7}, complete: true, doubled: 50, checks: 9},
		"after errors":           {store: &growing{all: full, step: 50, fail: 5}, complete: true, checks: 1},
		"some never come":        {store: &growing{all: full[:90], step: 30}, lost: 10, checks: 1},
		"some are dead letters":  {store: &growing{all: full[1:], step: 30}, dead: letters{{"refused", []byte(full[0].Text)}}, complete: true, checks: 1},
		"copies come afterwards": {store: &growing{all: append(append(rows{}, full...), full[:40]...), step: 4}, linger: 500 * time.Millisecond, complete: true, doubled: 40, checks: 11},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			counted := 0
			// What is complete must not wait for the grace to be over.
			grace := 4 * time.Second
			if !test.complete {
				grace = 400 * time.Millisecond
			}
			begin := time.Now()
			report, waited, err := WaitComplete(t.Context(), Wait{
				Accounts: accountsOf(a), Stores: []Source{test.store}, DeadLetters: []DeadLetters{test.dead},
				Grace: grace, Interval: time.Millisecond, Linger: test.linger,
				Progress: func(int64, int64) { counted++ },
			})
			require.NoError(t, err)
			assert.Equal(t, test.complete, waited.Complete)
			if test.complete {
				assert.Less(t, time.Since(begin), grace)
			} else {
				assert.GreaterOrEqual(t, time.Since(begin), grace)
			}
			sum := report.Totals()
			assert.Equal(t, test.lost, sum.Lost)
			assert.Equal(t, test.doubled, sum.Duplicated)
			assert.Less(t, waited.Recovery, 300*time.Millisecond, "the grace is no part of the recovery")
			assert.LessOrEqual(t, test.store.checks, test.checks)
			assert.Positive(t, counted)
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	a := lines("a", 10)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, _, err := WaitComplete(ctx, Wait{
		Accounts: accountsOf(a), Stores: []Source{&growing{fail: 1 << 30}}, Interval: time.Millisecond,
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "count growing: not yet")
}
