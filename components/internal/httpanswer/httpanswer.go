// Package httpanswer is what exporters share that judge the answers of an HTTP
// server.
package httpanswer

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxDescription bounds what of a response body goes into an error.
const maxDescription = 512

// Describe shortens a response body for an error message.
func Describe(body string) string {
	body = strings.Join(strings.Fields(body), " ")
	if body == "" {
		return "no body"
	}
	if len(body) > maxDescription {
		body = body[:maxDescription] + "…"
	}
	return strings.ToValidUTF8(body, "\uFFFD")
}

// MaxRetryAfter bounds the pause that a server can ask for, so that a wrong clock or a
// hostile proxy cannot stop the pipeline for good.
const MaxRetryAfter = 5 * time.Minute

// RetryAfter reads the value of a Retry-After header, seconds or an HTTP date
// (RFC 9110, 10.2.3). It returns 0 where there is none, it cannot be read or it lies
// in the past.
func RetryAfter(value string, now time.Time) time.Duration {
	pause := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		pause = date.Sub(now)
	}
	return min(max(pause, 0), MaxRetryAfter)
}
