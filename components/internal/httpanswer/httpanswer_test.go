package httpanswer

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"0":                             0,
		"-5":                            0,
		"soon":                          0,
		"99999999999999999999":          0,
		"86400":                         MaxRetryAfter,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:03:05 GMT": 0,
	} {
		assert.Equal(t, want, RetryAfter(value, now), "%q", value)
	}
}

func TestDescribeIsBoundedText(t *testing.T) {
	assert.Equal(t, "no body", Describe(" \n"))
	assert.Equal(t, "a b", Describe("a\n  b\n"))
	text := Describe(strings.Repeat("ä\n", 10_000) + "\xff")
	assert.True(t, utf8.ValidString(text))
	assert.Less(t, len(text), maxDescription+10)
}
