package remotewriteexporter

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/breakwater-otel/breakwater/components/internal/httpanswer"
)

// outcome is what an answer means for the request; the values are those of the attribute `outcome` in metadata.yaml.
type outcome string

const (
	outcomeDelivered outcome = "delivered"
	outcomeRetry     outcome = "retry"
	outcomeThrottled outcome = "throttled"
	outcomeTooLarge  outcome = "too_large"
	outcomeRefused   outcome = "refused"
)

// routeErrors are texts of a 400 that says nothing about the body.
var routeErrors = []string{
	"unsupported path requested", // a wrong path; VictoriaMetrics lib/httpserver
	"missing -http.pathPrefix",   // a path without the server's prefix; lib/httpserver
	"missing route",              // no route for the path; vmauth
}

// brokenBodyErrors are texts of a 400 about a body that did not arrive as a whole.
var brokenBodyErrors = []string{
	"cannot read compressed request", // lib/protoparser/promremotewrite/stream
	"unexpected EOF",
}

// tooLargeErrors are how VictoriaMetrics answers 400 where others answer 413: -maxInsertRequestSize.
var tooLargeErrors = []string{"too big packed request", "too big unpacked request"}

// classify says what an answer means for the request. VictoriaMetrics (v1.121, app/vminsert and lib/httpserver) answers
// 204 when it took the request, 503 when it is read-only (disk full) or all its insert slots stay busy, 400 to what it
// cannot decode, and 429 or 503 for other limits. Other servers refuse single series with 400, and the request with them.
func classify(status int, body string) outcome {
	switch {
	case status >= 200 && status < 300:
		return outcomeDelivered
	case status == http.StatusRequestEntityTooLarge:
		return outcomeTooLarge
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return outcomeThrottled
	case status < 400, status >= 500:
		return outcomeRetry // a redirect, which turns the POST into a GET; a crash or a proxy's trouble
	}
	switch status {
	case http.StatusUnauthorized, // an operator's accident with credentials or routes must not cost data
		http.StatusPaymentRequired,
		http.StatusForbidden,
		http.StatusNotFound,
		http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired,
		http.StatusRequestTimeout,
		http.StatusTooEarly,
		http.StatusUpgradeRequired:
		return outcomeRetry
	case http.StatusBadRequest:
		switch {
		case containsAny(body, routeErrors), containsAny(body, brokenBodyErrors):
			return outcomeRetry
		case containsAny(body, tooLargeErrors):
			return outcomeTooLarge
		}
	}
	return outcomeRefused // these very bytes are at fault, or a part of them
}

func containsAny(s string, texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(s, text) })
}

// responseError makes the error of an answer that is not a delivery, with the pause that the server asked for and what it
// said: servers name the series that they refuse, which is what an operator looks for in a dead letter. It is never
// permanent: whether it is depends on what becomes of the parts of the request.
func responseError(meaning outcome, endpoint string, response *http.Response, body string) error {
	err := fmt.Errorf("%s answered %s: %s", endpoint, response.Status, httpanswer.Describe(body))
	if meaning == outcomeThrottled {
		if pause := httpanswer.RetryAfter(response.Header.Get("Retry-After"), time.Now()); pause > 0 {
			return exporterhelper.NewThrottleRetry(err, pause)
		}
	}
	return err
}

// reason is why a data point can never be stored; the names are the values of the attribute `reason` in metadata.yaml.
type reason uint8

const (
	reasonTemporality reason = iota
	reasonExponentialHistogram
	reasonNaN
	reasonPast
	reasonFuture
	reasonLabelCount
	reasonLabelNameBytes
	reasonLabelValueBytes
	reasonTranslation
	reasonTooLarge
	reasonRefused
	reasonCount
)

var reasonNames = [reasonCount]string{
	"temporality", "exponential_histogram", "nan", "past", "future", "label_count", "label_name_bytes",
	"label_value_bytes", "translation", "too_large", "refused",
}

func (r reason) String() string { return reasonNames[r] }

// explain says it in a sentence for the error.
func (r reason) explain(limits *LimitsConfig) string {
	over := func(setting string, value any) string { return fmt.Sprintf("over `limits::%s` (%v)", setting, value) }
	switch r {
	case reasonTemporality:
		return "not of cumulative temporality"
	case reasonExponentialHistogram:
		return "exponential histograms, which `exponential_histograms` rejects"
	case reasonNaN:
		return "NaN and no staleness marker"
	case reasonPast:
		return over("max_past", limits.MaxPast)
	case reasonFuture:
		return over("max_future", limits.MaxFuture)
	case reasonLabelCount:
		return over("max_labels", limits.MaxLabels)
	case reasonLabelNameBytes:
		return over("max_label_name_bytes", limits.MaxLabelNameBytes)
	case reasonLabelValueBytes:
		return over("max_label_value_bytes", limits.MaxLabelValueBytes)
	case reasonTranslation:
		return "no series can be made of them"
	case reasonTooLarge:
		return "too large for the server, each alone"
	default:
		return "the server refused them"
	}
}

// errRefused is the error for data points that can never be stored: how many for which reason, and what server and
// translator said.
func errRefused(counts *[reasonCount]int, limits *LimitsConfig, said []error) error {
	var errs []error
	for r, n := range counts {
		if n > 0 {
			errs = append(errs, fmt.Errorf("%d data points were not stored (%s): %s", n, reason(r), reason(r).explain(limits)))
		}
	}
	return errors.Join(append(errs, said...)...)
}
