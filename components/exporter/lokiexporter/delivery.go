package lokiexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	// maxFruitlessProbes is how many requests in a row may be refused before their parts are not looked at any more: the
	// server refuses everything, for a reason that it gives no limit for.
	maxFruitlessProbes = 512
	// maxResponseBytes bounds what is read of an answer.
	maxResponseBytes = 64 * 1024
)

// answer is what Loki said to a request.
type answer struct {
	outcome outcome
	text    string
	err     error
	halt    bool // other requests have no better chance now
}

func (a answer) refused() bool { return a.outcome == outcomeRefused || a.outcome == outcomeTooLarge }

// delivery is the way of one part.
type delivery struct {
	exporter  *lokiExporter
	source    plog.Logs
	retry     error // why records are still pending
	halt      bool
	said      map[kind]error // by the server, about the first refused record of a kind
	fruitless int
}

// deliverOnce is deliver for records of which Loki may have some already.
func (d *delivery) deliverOnce(ctx context.Context, records part) {
	if d.exporter.suspect(ctx, records) {
		missing, err := d.exporter.missing(ctx, records)
		if err != nil {
			d.retry, d.halt = err, true
			return
		}
		if records = missing; len(records) == 0 {
			return
		}
	}
	d.deliver(ctx, records)
}

// deliver sends the records. Afterwards each one is delivered or refused, or pending and the reason is in retry.
//
// Of a request that Loki refuses it has stored what it can. So it is asked what it has, and only the others are sent again,
// until each one that it refuses has been refused alone. Where it cannot be asked for a stream, what it has is sent again:
// it takes entries of the same time, line, labels and structured metadata for one.
func (d *delivery) deliver(ctx context.Context, records part) {
	switch a := d.send(ctx, records); {
	case a.refused():
		if a.outcome == outcomeRefused && len(records) > 1 && !hintOf(a).stream && d.exporter.config.Idempotency.Enabled {
			missing, err := d.exporter.missing(ctx, records)
			if err != nil {
				d.exporter.suspectAll(records)
				d.retry, d.halt = err, true
				return
			}
			// The others it has taken from this very request.
			d.exporter.telemetry.ExporterLokiSentRecords.Add(ctx, int64(len(records)-len(missing)))
			records = missing
		}
		if len(records) > 0 {
			d.isolate(ctx, records, a)
		}
	case a.outcome != outcomeDelivered:
		d.retry, d.halt = a.err, a.halt
	}
}

// isolate looks for the records that make Loki refuse these.
func (d *delivery) isolate(ctx context.Context, records part, a answer) {
	h := hintOf(a)
	if len(records) == 1 || h.stream || d.fruitless >= maxFruitlessProbes {
		d.refuse(records, a, kindOf(a))
		return
	}
	if old, long, others := h.split(records); len(old)+len(long) > 0 {
		ofAge := kindTooOld
		if !strings.Contains(a.text, textTooOld) {
			ofAge = kindTooFarBehind
		}
		d.refuse(old, a, ofAge)
		d.refuse(long, a, kindLineBytes)
		if len(others) > 0 {
			d.deliver(ctx, others)
		}
		return
	}
	for _, half := range [2]part{records[:len(records)/2], records[len(records)/2:]} {
		switch b := d.send(ctx, half); {
		case b.refused():
			d.fruitless++
			d.isolate(ctx, half, b)
		case b.outcome == outcomeDelivered:
			d.fruitless = 0
		default:
			d.retry, d.halt = b.err, b.halt
		}
		if d.retry != nil {
			return // the others stay pending
		}
	}
}

// split returns the records that are over a limit that Loki has named, of age or of length, and the others.
func (h hint) split(records part) (old, long, others part) {
	for _, r := range records {
		line := 0
		if body := r.log.Body(); body.Type() == pcommon.ValueTypeStr {
			line = len(body.Str())
		}
		at := r.log.Timestamp()
		if at == 0 {
			at = r.log.ObservedTimestamp()
		}
		switch {
		case !h.oldest.IsZero() && at != 0 && at.AsTime().Before(h.oldest):
			old = append(old, r)
		case h.maxLineBytes > 0 && line > h.maxLineBytes:
			long = append(long, r)
		default:
			others = append(others, r)
		}
	}
	return old, long, others
}

func (d *delivery) refuse(records part, a answer, k kind) {
	for _, r := range records {
		r.state, r.kind = stateRefused, k
	}
	if d.said == nil {
		d.said = make(map[kind]error)
	}
	if len(records) > 0 && d.said[k] == nil {
		d.said[k] = a.err
	}
}

// send sends the records as one request.
func (d *delivery) send(ctx context.Context, records part) answer {
	e := d.exporter
	body, err := plogotlp.NewExportRequestFromLogs(requestOf(d.source, records)).MarshalProto()
	if err != nil {
		return answer{outcome: outcomeRefused, err: fmt.Errorf("cannot encode: %w", err)}
	}
	e.telemetry.ExporterLokiSentBytes.Add(ctx, int64(len(body)))
	start := time.Now()
	a := e.exchange(ctx, body)
	if err := ctx.Err(); err != nil && a.outcome != outcomeDelivered {
		// Of an ended context nothing can be concluded about the data.
		a = answer{outcome: outcomeRetry, err: fmt.Errorf("no answer from %s: %w", e.url, err), halt: true}
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", string(a.outcome))))
	e.telemetry.ExporterLokiRequests.Add(ctx, 1, attributes)
	e.telemetry.ExporterLokiRequestDuration.Record(ctx, time.Since(start).Seconds(), attributes)
	switch a.outcome {
	case outcomeDelivered:
		for _, r := range records {
			r.state = stateDelivered
		}
		e.telemetry.ExporterLokiSentRecords.Add(ctx, int64(len(records)))
		e.trustAll(records)
	case outcomeRetry, outcomeThrottled:
		// A rate, too, may be over for a part of the records only.
		e.suspectAll(records)
	}
	return a
}

// exchange sends one request and judges the answer.
func (e *lokiExporter) exchange(ctx context.Context, body []byte) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return answer{outcome: outcomeRetry, err: err}
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", e.userAgent)
	response, err := e.client.Do(request)
	if err != nil {
		return e.noAnswer(err)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	err = errors.Join(err, response.Body.Close())

	text := textOf(content)
	a := answer{outcome: classify(response.StatusCode, text), text: text}
	switch {
	case a.outcome != outcomeDelivered:
		a.err = responseError(a.outcome, e.url, response, text)
		a.halt = a.outcome == outcomeThrottled
	case err != nil: // the answer broke off, so the server may have, too
		a = answer{outcome: outcomeRetry, err: fmt.Errorf("the answer of Loki broke off: %w", err)}
	}
	return a
}

// noAnswer judges the error of a request without an answer.
func (e *lokiExporter) noAnswer(err error) answer {
	var op *net.OpError
	a := answer{outcome: outcomeRetry, halt: errors.As(err, &op) && op.Op == "dial"}
	err = withoutURL(err)
	if consumererror.IsPermanent(err) {
		// An extension that authenticates has no say in what becomes of the data.
		err = errors.New(err.Error())
	}
	a.err = fmt.Errorf("no answer from %s: %w", e.url, err)
	return a
}
