package ledger

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMetadataRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name      string
		committed int64
		metadata  Metadata
	}{
		{"nothing", 0, Metadata{}},
		{"reserved", 1 << 40, Metadata{Reserved: 1<<40 + 12345}},
		{"ranges", 100, Metadata{
			Reserved: 200,
			Ranges:   []Range{{100, 110}, {110, 130}, {150, 151}},
			Settled:  []Range{{130, 150}, {160, 1 << 30}},
		}},
		{"last offsets", math.MaxInt64 - 10, Metadata{
			Reserved: math.MaxInt64,
			Ranges:   []Range{{math.MaxInt64 - 5, math.MaxInt64}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.metadata.Encode(c.committed)
			assert.Regexp(t, `^bw1:[A-Za-z0-9+/]+$`, text)
			got, ok := ParseMetadata(text, c.committed)
			require.True(t, ok)
			assert.Equal(t, c.metadata, got)
			assert.True(t, c.metadata.Fits(c.committed))
		})
	}
}

func TestMetadataReservedIsNotBeforeTheCommittedOffset(t *testing.T) {
	got, ok := ParseMetadata(Metadata{Reserved: 3}.Encode(10), 10)
	require.True(t, ok)
	assert.EqualValues(t, 10, got.Reserved)
}

func TestMetadataLeavesOutWhatOverlaps(t *testing.T) {
	m := Metadata{Reserved: 10, Ranges: []Range{{5, 12}, {12, 20}, {25, 25}}, Settled: []Range{{15, 30}, {30, 40}}}
	got, ok := ParseMetadata(m.Encode(10), 10)
	require.True(t, ok)
	assert.Equal(t, Metadata{Reserved: 10, Ranges: []Range{{12, 20}}, Settled: []Range{{30, 40}}}, got)
}

func TestMetadataIsNeverLongerThanABrokerTakes(t *testing.T) {
	var m Metadata
	fitted := 0
	for i := range int64(5000) {
		m.Ranges = append(m.Ranges, Range{i * 1000, i*1000 + 900})
		m.Reserved = i * 1000
		text := m.Encode(0)
		require.LessOrEqual(t, len(text), MaxMetadataBytes)
		got, ok := ParseMetadata(text, 0)
		require.True(t, ok)
		require.Equal(t, m.Ranges[:len(got.Ranges)], got.Ranges)
		if m.Fits(0) {
			fitted = len(m.Ranges)
			require.Equal(t, m.Ranges, got.Ranges)
		}
	}
	assert.InDelta(t, 950, fitted, 20)
}

// Begun while Fits allows it, nothing is left out however it settles.
func TestMetadataThatFitsIsCompleteHoweverItSettles(t *testing.T) {
	for _, gap := range []int64{0, 120, 5000} {
		l := New(1 << 40)
		var entries []*Entry
		for {
			from := l.End() + gap
			e := l.Begin(from, from+100)
			e.Merged = true
			entries = append(entries, e)
			if !l.Metadata(l.End()).Fits(l.Committable()) {
				break
			}
		}
		for _, stride := range []int{3, 2, 1} {
			for i := 1; i < len(entries); i += stride {
				l.Resolve(entries[i])
				want := l.Metadata(l.End())
				got, ok := ParseMetadata(want.Encode(l.Committable()), l.Committable())
				require.True(t, ok)
				require.Equal(t, want, got)
			}
		}
	}
}

func TestParseMetadataOfOthers(t *testing.T) {
	good := Metadata{Reserved: 20, Ranges: []Range{{10, 15}}}.Encode(10)
	_, ok := ParseMetadata(good, 10)
	require.True(t, ok)
	for name, text := range map[string]string{
		"none":                "",
		"of another client":   "consumer-1-6a2c",
		"prefix only":         "bw1:",
		"another version":     strings.Replace(good, "bw1", "bw2", 1),
		"no base64":           "bw1:§§§§",
		"too short":           good[:len(good)-2],
		"too long":            good + strings.Repeat("A", maxParsedBytes),
		"an odd varint":       Metadata{}.Encode(10) + "gA",
		"a range of length 0": "bw1:CgoAAA",
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := ParseMetadata(text, 10)
			assert.False(t, ok)
			assert.Zero(t, m)
		})
	}
	for _, committed := range []int64{9, 11, -1, math.MaxInt64} {
		_, ok := ParseMetadata(good, committed)
		assert.False(t, ok, "written for another offset than %d", committed)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add("", int64(0))
	f.Add(Metadata{}.Encode(0), int64(0))
	f.Add(Metadata{Reserved: 20, Ranges: []Range{{10, 15}, {18, 19}}, Settled: []Range{{15, 18}}}.Encode(10), int64(10))
	f.Add(Metadata{Reserved: math.MaxInt64, Ranges: []Range{{math.MaxInt64 - 1, math.MaxInt64}}}.Encode(1<<62), int64(1<<62))
	f.Fuzz(func(t *testing.T, s string, committed int64) {
		m, ok := ParseMetadata(s, committed)
		if !ok {
			require.Zero(t, m)
			return
		}
		require.GreaterOrEqual(t, m.Reserved, committed)
		for _, ranges := range [][]Range{m.Ranges, m.Settled} {
			at := committed
			for _, r := range ranges {
				require.True(t, at <= r.From && r.From < r.To, "%v", ranges)
				at = r.To
			}
		}
		text := m.Encode(committed)
		if len(s) <= MaxMetadataBytes {
			again, ok := ParseMetadata(text, committed)
			require.True(t, ok)
			require.Equal(t, m, again)
		}
		// A ledger takes whatever was parsed.
		l := New(committed)
		l.Restore(m)
		require.GreaterOrEqual(t, l.End(), committed)
		if ranges := l.Rewind(); len(m.Ranges) > 0 {
			require.Equal(t, m.Ranges, ranges)
		}
	})
}
