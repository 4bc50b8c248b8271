package victorialogsexporter

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// outcome is what an answer of VictoriaLogs means for the request; the values are those of the `outcome` attribute
// in metadata.yaml.
type outcome string

const (
	outcomeDelivered outcome = "delivered"
	outcomeRetry     outcome = "retry"
	outcomeThrottled outcome = "throttled"
	outcomePermanent outcome = "permanent"
)

// routeErrors are texts of a 400 that says nothing about the request's body.
var routeErrors = []string{
	"requests to /insert/* are disabled", // -insert.disable; app/vlinsert/main.go
	"unsupported path requested",         // a wrong path; lib/httpserver
	"missing -http.pathPrefix",           // a path without the server's prefix; lib/httpserver
	"missing route",                      // no route for the path; vmauth
}

// classify says what an answer means for the request. VictoriaLogs (v1.25 line, app/vlinsert and lib/httpserver)
// answers 200 when it took the request, 429 when its disk is full, 503 when all its insert slots are busy and 400 to
// a request that it cannot parse. Every other status comes from something between us and the server, or from a server
// that is set up in another way; there the data is not at fault and must not be given up.
func classify(status int, body string) outcome {
	switch status {
	case http.StatusOK,
		http.StatusNoContent: // proxies and vlagent
		return outcomeDelivered

	case http.StatusBadRequest:
		if slices.ContainsFunc(routeErrors, func(text string) bool { return strings.Contains(body, text) }) {
			return outcomeRetry // a switch or a route that an operator will set right; our bytes are not at fault
		}
		return outcomePermanent // the same bytes can only fail again

	case http.StatusLengthRequired, // the next four judge these very bytes, headers included
		http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType,
		http.StatusRequestHeaderFieldsTooLarge:
		return outcomePermanent

	case http.StatusTooManyRequests, // disk full (CanWriteData), or a proxy's rate limit
		http.StatusServiceUnavailable: // -maxConcurrentInserts reached, or no healthy backend behind a proxy
		return outcomeThrottled

	default:
		// Other 2xx: not VictoriaLogs. 3xx: a redirect turns the POST into a GET. 401, 403, 404, 405, 407, 408: an
		// accident with credentials, routes or time that an operator will mend. Other 5xx: a proxy or a crash.
		return outcomeRetry
	}
}

// responseError makes the error of an answer that is not a delivery: permanent only where classify says so, and with
// the pause that the server asked for.
func responseError(meaning outcome, endpoint string, resp *http.Response, body string) error {
	err := fmt.Errorf("%s answered %s: %s", endpoint, resp.Status, describe(body))
	switch meaning {
	case outcomePermanent:
		return consumererror.NewPermanent(err)
	case outcomeThrottled:
		if pause := retryAfter(resp.Header.Get("Retry-After"), time.Now()); pause > 0 {
			return exporterhelper.NewThrottleRetry(err, pause)
		}
	}
	return err
}

// maxDescription bounds what of a response body goes into an error.
const maxDescription = 512

// describe shortens a response body for an error message. VictoriaLogs quotes the refused line after
// "line contents:"; records do not belong into logs.
func describe(body string) string {
	if i := strings.Index(body, "line contents:"); i >= 0 {
		body = body[:i] + "line contents left out"
	}
	body = strings.Join(strings.Fields(body), " ")
	if body == "" {
		return "no body"
	}
	if len(body) > maxDescription {
		body = body[:maxDescription] + "…"
	}
	return strings.ToValidUTF8(body, "\uFFFD")
}

// maxRetryAfter bounds the pause that a server can ask for, so that a wrong clock or a hostile proxy cannot stop the
// pipeline for good.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the value of a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3). It returns 0 where
// there is none, it cannot be read or it lies in the past.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	pause := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		pause = date.Sub(now)
	}
	return min(max(pause, 0), maxRetryAfter)
}

// errRejected is the permanent error for records that VictoriaLogs cannot store on any path.
func errRejected(records, maxRowBytes int) error {
	return consumererror.NewPermanent(fmt.Errorf("%d log records are over `limits::max_row_bytes` (%d) and were not sent", records, maxRowBytes))
}
