package liveextension

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "under 1 s", 400 * time.Millisecond: "under 1 s", 59 * time.Second: "59 s",
		61 * time.Second: "1 min 1 s", time.Hour: "1 h", 90 * time.Minute: "1 h 30 min", 49 * time.Hour: "2 d 1 h",
		seconds(math.Inf(1)): "over a year",
	} {
		assert.Equal(t, want, duration(d))
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 0.25: "0.2", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", 9999999: "9,999,999", 12345678: "12.3 M",
		-1500: "−1,500", math.Inf(1): "–", 4e9: "4.0 G",
	} {
		assert.Equal(t, want, number(n))
	}
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 123456789: "123 MB", 1e10: "10.0 GB"} {
		assert.Equal(t, want, size(n))
	}
	assert.Equal(t, "1 message", plural(1, "message"))
	assert.Equal(t, "2,000 messages", plural(2000, "message"))
}

func TestCurves(t *testing.T) {
	c := curveOf("lag", []float64{0, 5, 10}, number)
	assert.Equal(t, "M0.0 26.0L50.0 14.0L100.0 2.0", c.Line)
	assert.Equal(t, "lag: now 10, at most 10", c.Label)
	assert.True(t, strings.HasSuffix(c.Area, "Z"))
	nothing := curveOf("lag", []float64{0, 0}, number)
	assert.Equal(t, "M0.0 26.0L100.0 26.0", nothing.Line, "nothing is a line at the bottom")
	assert.Equal(t, "lag: 0 all the time", nothing.Label)
	assert.Empty(t, curveOf("lag", []float64{1}, number).Line)
}
