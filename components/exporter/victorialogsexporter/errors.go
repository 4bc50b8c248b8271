package victorialogsexporter

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/breakwater-otel/breakwater/components/internal/httpanswer"
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

// brokenBodyErrors are texts of a 400 about a body that did not arrive as a whole: something on the way cut it off. Lines
// before the cut are stored (app/vlinsert/insertutil/line_reader.go).
var brokenBodyErrors = []string{
	"cannot read the next line",
	"cannot skip the current line",
	"cannot read request body",
	"unexpected EOF",
}

// maybeTaken reports whether the server may have stored something although the answer is not that it did.
func maybeTaken(status int, body string) bool {
	return status >= http.StatusInternalServerError ||
		status == http.StatusBadRequest && containsAny(body, brokenBodyErrors)
}

func containsAny(s string, texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(s, text) })
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
		if containsAny(body, routeErrors) {
			return outcomeRetry // a switch or a route that an operator will set right; our bytes are not at fault
		}
		if containsAny(body, brokenBodyErrors) {
			return outcomeRetry
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
		if pause := httpanswer.RetryAfter(resp.Header.Get("Retry-After"), time.Now()); pause > 0 {
			return exporterhelper.NewThrottleRetry(err, pause)
		}
	}
	return err
}

// describe shortens a response body for an error message. VictoriaLogs quotes the refused line after
// "line contents:"; records do not belong into logs.
func describe(body string) string {
	if i := strings.Index(body, "line contents:"); i >= 0 {
		body = body[:i] + "line contents left out"
	}
	return httpanswer.Describe(body)
}

// errRejected is the error for records that are not delivered, with how many there are of each kind.
func errRejected(byKind map[kind]int, limits *LimitsConfig) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(byKind)) {
		errs = append(errs, fmt.Errorf("%d log records were not sent: %s", byKind[k], k.reason(limits)))
	}
	return errors.Join(errs...)
}

// reason says why a record of the kind is rejected.
func (k kind) reason(limits *LimitsConfig) string {
	over := func(setting string, value any) string {
		return fmt.Sprintf("over `limits::%s` (%v)", setting, value)
	}
	switch k {
	case kindLineBytes:
		return over("max_line_bytes", limits.MaxLineBytes)
	case kindRowBytes:
		return over("max_row_bytes", limits.MaxRowBytes)
	case kindFieldCount:
		return over("max_fields", limits.MaxFields)
	case kindFieldNameBytes:
		return over("max_field_name_bytes", limits.MaxFieldNameBytes)
	case kindStreamBytes:
		return over("max_stream_bytes", limits.MaxStreamBytes)
	case kindDepth:
		return over("max_depth", limits.MaxDepth)
	case kindFuture:
		return over("max_future", limits.MaxFuture)
	case kindPast:
		return over("max_past", limits.MaxPast)
	case kindTenant:
		return "the attribute of `tenant::from_attribute` is no tenant"
	default:
		return "VictoriaLogs refused them"
	}
}
