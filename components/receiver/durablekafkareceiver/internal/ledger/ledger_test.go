package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

var epoch = time.Unix(1_700_000_000, 0)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// settledUpTo judges acks of generation 1 settled up to a time, pending after it, and
// those of other generations lost.
func settledUpTo(seconds int) func(durability.Stamp, time.Time) durability.Verdict {
	return func(s durability.Stamp, t time.Time) durability.Verdict {
		switch {
		case s.Generation != 1:
			return durability.Lost
		case t.After(at(seconds)):
			return durability.Pending
		}
		return durability.Settled
	}
}

var now1 = durability.Stamp{Generation: 1}

func TestCommitsTheLongestSettledPrefix(t *testing.T) {
	l := New(100)
	assert.EqualValues(t, 100, l.Committable())
	assert.EqualValues(t, 100, l.End())

	a, b, c := l.Begin(100, 110), l.Begin(115, 120), l.Begin(120, 121)
	assert.EqualValues(t, 121, l.End())
	assert.EqualValues(t, 21, l.Unsettled())
	assert.Equal(t, 3, l.InFlight())

	l.Ack(c, now1, at(1))
	l.Ack(b, now1, at(2))
	assert.Equal(t, 2, l.Acked())
	assert.False(t, l.Review(settledUpTo(5)))
	assert.EqualValues(t, 100, l.Committable(), "a is a gap")
	assert.Zero(t, l.Acked())
	assert.Equal(t, 1, l.InFlight())

	l.Ack(a, now1, at(6))
	assert.False(t, l.Review(settledUpTo(5)))
	assert.EqualValues(t, 100, l.Committable(), "a is acknowledged, not settled")
	assert.False(t, l.Review(settledUpTo(6)))
	assert.EqualValues(t, 121, l.Committable())
	assert.Zero(t, l.Unsettled())
}

func TestOffsetsWithoutRecordsSettleWithTheNextEntry(t *testing.T) {
	l := New(0)
	a, b := l.Begin(0, 10), l.Begin(50, 60)
	l.Resolve(a)
	assert.EqualValues(t, 10, l.Committable())
	l.Resolve(b)
	assert.EqualValues(t, 60, l.Committable())
}

func TestOutcomesCountOnce(t *testing.T) {
	l := New(0)
	a := l.Begin(0, 10)
	l.Abandon(a)
	l.Abandon(a)
	l.Ack(a, now1, at(0))
	l.Resolve(a)
	assert.Zero(t, l.InFlight())
	assert.Zero(t, l.Acked())
	assert.False(t, l.Review(settledUpTo(5)))
	assert.EqualValues(t, 0, l.Committable())

	b := l.Begin(10, 20)
	l.Ack(b, now1, at(0))
	l.Ack(b, now1, at(0))
	l.Abandon(b)
	assert.Equal(t, 1, l.Acked())
	assert.False(t, l.Review(settledUpTo(5)))
	assert.Zero(t, l.Acked())
}

func TestAnEarlierTimeAfterALaterOneSettlesWithIt(t *testing.T) {
	l := New(0)
	a, b := l.Begin(0, 1), l.Begin(1, 2)
	l.Ack(b, now1, at(9))
	l.Ack(a, now1, at(3))
	l.Review(settledUpTo(8))
	assert.EqualValues(t, 0, l.Committable())
	l.Review(settledUpTo(9))
	assert.EqualValues(t, 2, l.Committable())
}

func TestLostKeepsTheEntryUntilRewind(t *testing.T) {
	l := New(0)
	a, b, c := l.Begin(0, 1), l.Begin(1, 2), l.Begin(2, 3)
	l.Ack(a, durability.Stamp{Generation: 0}, at(0))
	l.Ack(b, now1, at(9))
	l.Ack(c, now1, at(1))
	for range 2 {
		assert.True(t, l.Review(settledUpTo(5)))
		assert.EqualValues(t, 0, l.Committable())
	}
	assert.True(t, l.Review(settledUpTo(9)), "b and c are settled, a is lost")
	assert.Equal(t, 1, l.Acked())
	l.Rewind()
	assert.False(t, l.Review(settledUpTo(9)))
	end, ok := l.SettledAt(1)
	assert.True(t, ok)
	assert.EqualValues(t, 3, end)
}

// A delivery that began before a restart of the backend and was acknowledged after
// one that began later must be found although the later one is still pending.
func TestLostIsFoundBehindPending(t *testing.T) {
	l := New(0)
	a, b := l.Begin(0, 1), l.Begin(1, 2)
	l.Ack(b, now1, at(8))
	l.Ack(a, durability.Stamp{Generation: 0}, at(9))
	assert.True(t, l.Review(settledUpTo(5)))
}

func TestRewind(t *testing.T) {
	l := New(0)
	a := l.Begin(0, 10)
	b := l.Begin(10, 20)
	c := l.Begin(25, 30) // settles 20 to 30
	d := l.Begin(30, 40)
	e := l.Begin(40, 50)
	f := l.Begin(50, 60)
	b.Merged, d.Merged, e.Merged = true, true, true
	l.Resolve(a)
	l.Resolve(c)
	l.Resolve(d)
	l.Ack(e, now1, at(9))
	assert.Equal(t, []Range{{10, 20}, {40, 50}}, l.Metadata(0).Ranges)

	assert.Equal(t, []Range{{10, 20}, {40, 50}}, l.Rewind())
	assert.EqualValues(t, 10, l.Committable())
	assert.EqualValues(t, 10, l.End())
	assert.Zero(t, l.InFlight())
	assert.Zero(t, l.Acked())
	assert.Equal(t, []Range{{10, 20}, {40, 50}}, l.Metadata(0).Ranges, "not begun again yet")

	for offset, end := range map[int64]int64{9: 10, 10: 0, 19: 0, 20: 40, 25: 40, 39: 40, 40: 0, 70: 0} {
		got, ok := l.SettledAt(offset)
		assert.Equal(t, end != 0, ok, offset)
		assert.Equal(t, end, got, offset)
	}

	// Outcomes of before are ignored.
	l.Resolve(b)
	l.Resolve(f)
	l.Ack(b, now1, at(0))
	l.Abandon(b)
	l.Review(settledUpTo(100))
	assert.EqualValues(t, 10, l.Committable())
	assert.Zero(t, l.InFlight())

	b2 := l.Begin(10, 20)
	b2.Merged = true
	assert.Equal(t, []Range{{10, 20}, {40, 50}}, l.Metadata(0).Ranges)
	e2 := l.Begin(40, 50)
	e2.Merged = true
	l.Resolve(e2)
	assert.Equal(t, []Range{{10, 20}}, l.Metadata(0).Ranges)

	// A second rewind remembers the settled ranges of both sessions.
	assert.Equal(t, []Range{{10, 20}}, l.Rewind())
	end, ok := l.SettledAt(20)
	assert.True(t, ok)
	assert.EqualValues(t, 50, end)

	l.Resolve(l.Begin(10, 20))
	assert.EqualValues(t, 50, l.Committable())
	assert.EqualValues(t, 50, l.End())
	assert.Empty(t, l.Metadata(0).Ranges)
}

func TestRewindBeforeTheOwedRangesBegin(t *testing.T) {
	l := New(0)
	l.Begin(0, 10).Merged = true
	l.Begin(10, 20).Merged = true
	l.Rewind()
	l.Begin(0, 10).Merged = true
	assert.Equal(t, []Range{{0, 10}, {10, 20}}, l.Rewind())
}

// The records in front of a settled range were compacted away before they were sent
// again, and nothing follows it.
func TestASettledRangeCanBeResolvedAgain(t *testing.T) {
	l := New(0)
	l.Begin(0, 10)
	l.Resolve(l.Begin(10, 20))
	l.Rewind()
	end, ok := l.SettledAt(10)
	require.True(t, ok)
	l.Resolve(l.Begin(10, end))
	assert.EqualValues(t, 20, l.Committable())
	assert.Zero(t, l.Unsettled())
}

func TestASettledRangeMadeAgain(t *testing.T) {
	l := New(0)
	l.Begin(0, 10)
	l.Resolve(l.Begin(10, 20))
	l.Rewind()
	a := l.Begin(0, 10)
	b := l.Begin(10, 30)
	b.Merged = true
	l.Resolve(a)
	assert.EqualValues(t, 10, l.Committable(), "never into an open entry, whose range has to be in the metadata")
	assert.Equal(t, []Range{{10, 30}}, l.Metadata(0).Ranges)
	l.Resolve(b)
	assert.EqualValues(t, 30, l.Committable())

	// The same when the rewind comes first.
	l = New(0)
	l.Begin(0, 10)
	l.Resolve(l.Begin(10, 20))
	l.Rewind()
	l.Resolve(l.Begin(0, 10))
	assert.EqualValues(t, 20, l.Committable())
}

func TestRestore(t *testing.T) {
	l := New(10)
	l.Restore(Metadata{Ranges: []Range{{12, 15}, {20, 30}}, Settled: []Range{{15, 18}, {30, 40}}})
	want := Metadata{Ranges: []Range{{12, 15}, {20, 30}}, Settled: []Range{{15, 18}, {30, 40}}}
	assert.Equal(t, want, l.Metadata(0))
	l.Begin(10, 12)
	assert.Equal(t, want, l.Metadata(0), "of singles nothing is to be known")
	l.Resolve(l.Begin(12, 15))
	want = Metadata{Ranges: []Range{{20, 30}}, Settled: []Range{{12, 18}, {30, 40}}}
	assert.Equal(t, want, l.Metadata(0))
	end, ok := l.SettledAt(15)
	assert.True(t, ok)
	assert.EqualValues(t, 18, end)
	assert.Equal(t, []Range{{20, 30}}, l.Rewind())
	assert.Equal(t, want, l.Metadata(0))
	l.Resolve(l.Begin(10, 12))
	assert.EqualValues(t, 18, l.Committable())
	l.Resolve(l.Begin(20, 30))
	assert.EqualValues(t, 40, l.Committable())
	assert.Equal(t, Metadata{}, l.Metadata(0))
}

// What is settled behind a gap was sent in a form that a restart must not change.
func TestMetadataOfSettledRangesBehindAGap(t *testing.T) {
	l := New(0)
	l.Begin(0, 10).Merged = true
	b := l.Begin(10, 20)
	b.Merged = true
	l.Resolve(b)
	l.Resolve(l.Begin(20, 21))
	l.Begin(21, 30).Merged = true
	l.Resolve(l.Begin(30, 31))
	want := Metadata{Reserved: 99, Ranges: []Range{{0, 10}, {21, 30}}, Settled: []Range{{10, 21}, {30, 31}}}
	assert.Equal(t, want, l.Metadata(99))
	l.Rewind()
	assert.Equal(t, want, l.Metadata(99))
}

// Single messages that settle behind a gap must not make the metadata outgrow what
// the broker takes.
func TestMetadataLeavesOutSinglesThatDoNotFit(t *testing.T) {
	l := New(0)
	l.Begin(0, 1)
	merged := l.Begin(1, 11)
	merged.Merged = true
	l.Resolve(merged)
	var singles []*Entry
	for range 10_000 {
		e := l.Begin(l.End(), l.End()+1)
		singles = append(singles, e)
	}
	for i := 1; i < len(singles); i += 2 {
		l.Resolve(singles[i])
	}
	want := Metadata{Reserved: 5, Settled: []Range{{1, 11}}}
	assert.Equal(t, want, l.Metadata(5))
	l.Rewind()
	assert.Equal(t, want, l.Metadata(5))
}

func TestAnEntryOfAnotherLedgerIsIgnored(t *testing.T) {
	old := New(0)
	e := old.Begin(0, 10)
	l := New(0)
	l.Begin(0, 10)
	l.Ack(e, now1, at(0))
	l.Resolve(e)
	l.Abandon(e)
	l.Review(settledUpTo(9))
	assert.EqualValues(t, 0, l.Committable())
	assert.Equal(t, 1, l.InFlight())
}

func TestQueueReusesMemory(t *testing.T) {
	var q queue[int]
	next := 0
	for i := range 1000 {
		q.push(i)
	}
	for i := 1000; i < 100_000; i++ {
		v, _ := q.first()
		require.Equal(t, next, v)
		q.pop()
		next++
		q.push(i)
	}
	require.Equal(t, 1000, q.len())
	assert.LessOrEqual(t, cap(q.items), 4096)
}
