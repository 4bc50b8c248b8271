package ledger

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// naive is a set of small numbers.
type naive map[uint64]bool

func (n naive) add(first, end uint64) (added uint64) {
	for i := first; i < end; i++ {
		if !n[i] {
			n[i] = true
			added++
		}
	}
	return added
}

func TestSetIsThatOfItsNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var s, void set
		has, hasVoid := naive{}, naive{}
		for range r.IntN(40) {
			first := r.Uint64N(100)
			end := first + r.Uint64N(12)
			require.Equal(t, has.add(first, end), s.add(first, end))
			if r.IntN(3) == 0 {
				hasVoid.add(first+50, end+50)
				void.add(first+50, end+50)
			}
		}
		require.Equal(t, uint64(len(has)), s.count())
		for i := 1; i < len(s); i++ {
			require.Less(t, s[i-1].end, s[i].first, "in order and apart: %v", s)
		}
		lo, hi := r.Uint64N(80), r.Uint64N(160)
		want := naive{}
		for i := lo; i < hi; i++ {
			if !has[i] && !hasVoid[i] {
				want[i] = true
			}
		}
		got := naive{}
		for _, g := range gaps(lo, hi, s, void) {
			got.add(g.first, g.end)
		}
		require.Equal(t, want, got)
		again, err := parseSet(s.encode())
		require.NoError(t, err)
		require.Equal(t, s, again)
	}
}

func TestParseSetRefuses(t *testing.T) {
	for _, b := range [][]byte{{1}, {1, 0}, {0x80}, {1, 0x80}, append(set{{5, 1<<64 - 1}}.encode(), 1, 5)} {
		_, err := parseSet(b)
		assert.Error(t, err, "%v", b)
	}
}
