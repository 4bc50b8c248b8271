package lokiexporter

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

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

// Texts of Loki (v3.7, pkg/validation/validate.go and pkg/chunkenc/interface.go) that tell one answer from another.
const (
	textTooOld      = "has timestamp too old"
	textStreamLimit = "aximum active stream limit exceeded" // older ones write it with a capital
	textBrokenBody  = "unexpected EOF"
	// textMessageTooLarge is what gRPC says between the parts of Loki.
	textMessageTooLarge = "message larger than max"
)

// classify says what an answer means for the request. Loki answers 204 when it took the request; 400 when it refuses
// some records, after it has stored the others; 429 for its rates and for a stream too many; 422 to a request whose only
// stream has labels that it drops; 413 to one that is too large; and 503 where other APIs of it answer 500. With
// limits_config.blocked_ingestion it answers what the operator chose, 260 by default, and stores nothing.
func classify(status int, text string) outcome {
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return outcomeDelivered

	case http.StatusBadRequest:
		if strings.Contains(text, textBrokenBody) {
			return outcomeRetry // something on the way cut it off
		}
		return outcomeRefused

	case http.StatusUnprocessableEntity,
		http.StatusLengthRequired, // these judge these very bytes, headers included
		http.StatusUnsupportedMediaType,
		http.StatusRequestHeaderFieldsTooLarge:
		return outcomeRefused

	case http.StatusRequestEntityTooLarge:
		return outcomeTooLarge

	case http.StatusTooManyRequests:
		if strings.Contains(text, textStreamLimit) {
			return outcomeRefused // until streams have gone idle, which may be never
		}
		return outcomeThrottled
	}
	if status >= http.StatusInternalServerError {
		switch {
		case strings.Contains(text, textMessageTooLarge):
			return outcomeTooLarge
		case status == http.StatusServiceUnavailable:
			return outcomeThrottled
		}
	}
	// Other 2xx: not stored. 3xx: a redirect turns the POST into a GET. 401, 403, 404, 405, 407, 408: an accident with
	// credentials, tenants, routes or time that an operator will mend. Other 5xx: a crash, or a proxy's trouble.
	return outcomeRetry
}

// kind is why Loki refuses a record; the values are those of the attribute `reason` in metadata.yaml.
type kind string

const (
	kindLineBytes          kind = "line_bytes"
	kindTooOld             kind = "too_old"
	kindTooFarBehind       kind = "too_far_behind"
	kindTooNew             kind = "too_new"
	kindStreamLimit        kind = "stream_limit"
	kindLabels             kind = "labels"
	kindStructuredMetadata kind = "structured_metadata"
	kindTooLarge           kind = "too_large"
	kindOther              kind = "other"
)

// kindTexts are in the order in which they are looked for. Those of labels are about a stream.
var kindTexts = []struct {
	text string
	kind kind
}{
	{textTooOld, kindTooOld},
	{"too far behind", kindTooFarBehind},
	{"out of order", kindTooFarBehind}, // with limits_config.unordered_writes off
	{"has timestamp too new", kindTooNew},
	{"ax entry size", kindLineBytes},
	{"structured metadata", kindStructuredMetadata},
	{textStreamLimit, kindStreamLimit},
	{"label names; limit", kindLabels},
	{"label name too long", kindLabels},
	{"label value too long", kindLabels},
	{"duplicate label name", kindLabels},
	{"missing required labels", kindLabels},
	{"error parsing labels", kindLabels},
	{"at least one label pair", kindLabels},
	{"at least one valid stream", kindLabels}, // the labels are not UTF-8
}

func kindOf(a answer) kind {
	if a.outcome == outcomeTooLarge {
		return kindTooLarge
	}
	for _, known := range kindTexts {
		if strings.Contains(a.text, known.text) {
			return known.kind
		}
	}
	return kindOther
}

// hint is what an answer says about other records of its stream than those that it is about.
type hint struct {
	// stream says that the stream is refused, and so all its records.
	stream bool
	// oldest is the timestamp before which Loki takes nothing. It only moves on.
	oldest time.Time
	// maxLineBytes is the limit of a line.
	maxLineBytes int
}

var (
	oldestPattern   = regexp.MustCompile(`oldest acceptable timestamp is: (\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))`)
	maxEntryPattern = regexp.MustCompile(`ax entry size '?(\d+)'? bytes exceeded`)
)

// hintOf takes the more careful one of several values: the text quotes labels, and who writes these could write a limit.
func hintOf(a answer) hint {
	var h hint
	switch kindOf(a) {
	case kindStreamLimit, kindLabels:
		h.stream = !strings.Contains(a.text, "errors like") // one error, for one stream
	}
	for _, match := range oldestPattern.FindAllStringSubmatch(a.text, -1) {
		if t, err := time.Parse(time.RFC3339, match[1]); err == nil && (h.oldest.IsZero() || t.Before(h.oldest)) {
			h.oldest = t
		}
	}
	for _, match := range maxEntryPattern.FindAllStringSubmatch(a.text, -1) {
		if n, err := strconv.Atoi(match[1]); err == nil {
			h.maxLineBytes = max(h.maxLineBytes, n)
		}
	}
	return h
}

// responseError makes the error of an answer that is not a delivery, with the pause that the server asked for. It is
// never permanent: whether it is depends on what becomes of the parts of the request.
func responseError(meaning outcome, endpoint string, response *http.Response, text string) error {
	err := fmt.Errorf("%s answered %s: %s", endpoint, response.Status, httpanswer.Describe(text))
	if meaning == outcomeThrottled {
		if pause := httpanswer.RetryAfter(response.Header.Get("Retry-After"), time.Now()); pause > 0 {
			return exporterhelper.NewThrottleRetry(err, pause)
		}
	}
	return err
}

// textOf returns the message of an answer: Loki puts it into a google.rpc.Status, a proxy does not.
func textOf(body []byte) string {
	var status spb.Status
	if err := proto.Unmarshal(body, &status); err == nil && status.GetMessage() != "" {
		return status.GetMessage()
	}
	return string(body)
}

// errRefused is the error for records of one kind that Loki refuses, with what it said about the first of them.
func errRefused(n int, k kind, said error) error {
	return errors.Join(fmt.Errorf("%d log records were not stored (%s)", n, k), said)
}
