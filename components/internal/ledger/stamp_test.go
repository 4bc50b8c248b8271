package ledger

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func example() Stamp {
	s := Stamp{Agent: "web-1", Signal: Logs}
	s.Append(Stamped{Run: 7, First: 100, Count: 50, From: 1000, Until: 1000}, Stamped{Run: 7, First: 150, Count: 1, From: 2000, Until: 3000},
		Stamped{Count: 4}, Stamped{Run: 9, First: 0, Count: 3, From: 5000, Until: 5000})
	a := Announced{Run: 7, Floor: 151, Final: true}
	a.Void(10, 20)
	s.Announce(a, Announced{Run: 9, Floor: 3})
	return s
}

func TestStampSurvivesTheWay(t *testing.T) {
	s := example()
	require.Len(t, s.Records, 3, "what follows each other is one range")
	assert.Equal(t, Stamped{Run: 7, First: 100, Count: 51, From: 1000, Until: 3000}, s.Records[0])
	assert.Equal(t, uint64(58), s.Count())
	again, err := Decode(s.Encode())
	require.NoError(t, err)
	assert.Equal(t, s, again)
}

func TestDecodeRefuses(t *testing.T) {
	s := example()
	whole := s.Encode()
	for n := range whole {
		_, err := Decode(whole[:n])
		require.Error(t, err, "the first %d bytes", n)
	}
	_, err := Decode(append(whole, 0))
	require.Error(t, err)
	s.Signal = 9
	_, err = Decode(s.Encode())
	require.Error(t, err)
	s = Stamp{Agent: strings.Repeat("a", maxAgentBytes+1), Signal: Logs}
	_, err = Decode(s.Encode())
	require.Error(t, err)
}

// A batch that is cut somewhere has every record in one of the parts, in the same order.
func TestCutKeepsEachRecord(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		var s Stamp
		type number struct {
			run RunID
			n   uint64
		}
		var want []number
		next := map[RunID]uint64{}
		for range 1 + r.IntN(6) {
			run, count := RunID(r.IntN(3)), r.Uint64N(6)
			s.Append(Stamped{Run: run, First: next[run], Count: count})
			for i := range count {
				if run == 0 {
					want = append(want, number{})
				} else {
					want = append(want, number{run, next[run] + i})
				}
			}
			if run != 0 {
				next[run] += count + r.Uint64N(2)
			}
		}
		s.Announce(Announced{Run: 1, Floor: 5})
		var got []number
		for len(s.Records) > 0 {
			n := 1 + r.Uint64N(5)
			part := s.Cut(n)
			require.Equal(t, []Announced{{Run: 1, Floor: 5}}, part.Runs)
			require.LessOrEqual(t, part.Count(), n)
			for _, rec := range part.Records {
				for i := range rec.Count {
					if rec.Run == 0 {
						got = append(got, number{})
					} else {
						got = append(got, number{rec.Run, rec.First + i})
					}
				}
			}
		}
		require.Equal(t, want, got)
	}
}

func TestRunsAreInOrder(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	a := NewRunID(now, 1<<31+5, 0)
	assert.Equal(t, now, a.Start())
	assert.Greater(t, NewRunID(now.Add(-time.Hour), 0, a), a, "also when the clock was set back")
	b, err := parseRunID(a.String())
	require.NoError(t, err)
	assert.Equal(t, a, b)
}

func FuzzDecode(f *testing.F) {
	s := example()
	f.Add(s.Encode())
	f.Add([]byte{1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(s.Encode())
		require.NoError(t, err)
		require.Equal(t, s, again)
		book := NewBook(time.Minute)
		a := &Assignment{Place: Place{"g", "t", 0}, Committed: -1, Fresh: true}
		book.Watch("g")
		book.Settle(Settlement{Assignment: a, Offset: 1, Messages: []Message{{Stamp: b}}}, time.Now())
		for _, account := range book.Accounts() {
			require.Equal(t, account.Stamped, account.Stored+account.DeadLettered+account.Missing)
		}
		for _, r := range book.Dirty() {
			require.NoError(t, NewBook(time.Minute).Read(r))
		}
	})
}
