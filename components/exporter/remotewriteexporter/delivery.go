package remotewriteexporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/internal/httpanswer"
)

const (
	// maxFruitlessProbes is how many requests in a row may be refused before their parts are not looked at any more: the
	// server refuses everything. It is well over the depth of the search for a single data point of a part.
	maxFruitlessProbes = 64
	// maxProbes bounds the search in a part of which the server refuses every other data point.
	maxProbes = 1024
	// maxReports bounds the answers that an error repeats.
	maxReports = 4
	// maxResponseBytes bounds what is read of an answer.
	maxResponseBytes = 64 * 1024
)

// delivery is the way of one part of a request: neighbouring data points that go out together.
type delivery struct {
	exporter *remoteWriteExporter
	source   pmetric.Metrics
	buffers  *buffers

	retry  error   // why points are still pending
	halt   bool    // the other parts have no better chance now
	said   []error // by the translator and by the server, about points that are refused
	totals totals

	fruitless, probes int
}

// totals count what the server took.
type totals struct{ points, samples, nanSamples, skippedTargetInfo int }

// answer is what became of the series of some data points.
type answer struct {
	outcome outcome
	err     error
	halt    bool
}

func (a answer) refused() bool { return a.outcome == outcomeRefused || a.outcome == outcomeTooLarge }

// deliver sends the pending points. Afterwards each one is delivered or refused, or pending and the reason is in retry.
func (d *delivery) deliver(ctx context.Context, points []point) {
	if a := d.send(ctx, points); a.refused() {
		d.isolate(ctx, points, a)
	}
}

// isolate looks for the points that make the server refuse these, by halves. Each half that it takes is delivered.
func (d *delivery) isolate(ctx context.Context, points []point, refusal answer) {
	if pending(points) <= 1 || d.fruitless >= maxFruitlessProbes || d.probes >= maxProbes {
		// Refused as a whole, and there is nothing more to learn.
		why := reasonRefused
		if refusal.outcome == outcomeTooLarge {
			why = reasonTooLarge
		}
		refuseAll(points, why)
		d.report(refusal.err)
		return
	}
	left, right := halves(points)
	for _, half := range [2][]point{left, right} {
		d.probes++
		switch a := d.send(ctx, half); {
		case a.refused():
			d.fruitless++
			d.isolate(ctx, half, a)
		case a.outcome == outcomeDelivered:
			d.fruitless = 0
		}
		if d.retry != nil {
			return // the other points stay pending
		}
	}
}

// report keeps what was said about refused points for their error.
func (d *delivery) report(err error) { d.said = appendReport(d.said, err) }

// appendReport appends what is new, up to maxReports.
func appendReport(reports []error, err error) []error {
	if len(reports) >= maxReports || slices.ContainsFunc(reports, func(known error) bool { return known.Error() == err.Error() }) {
		return reports
	}
	return append(reports, err)
}

// send sends the pending points in as many requests as their size asks for.
func (d *delivery) send(ctx context.Context, points []point) answer {
	translated, err := d.exporter.translator.translate(d.source, points)
	if err != nil && !errors.As(err, new(limitError)) {
		d.report(errors.New(httpanswer.Describe(err.Error())))
	}
	a := d.sendSeries(ctx, translated.series)
	switch a.outcome {
	case outcomeDelivered:
		for i := range points {
			if points[i].state == statePending {
				points[i].state = stateDelivered
				d.totals.points++
			}
		}
		d.totals.samples += translated.samples
		d.totals.nanSamples += translated.nanSamples
		d.totals.skippedTargetInfo += translated.skippedTargetInfo
	case outcomeRetry, outcomeThrottled:
		d.retry, d.halt = a.err, a.halt
	}
	return a
}

// sendSeries returns the answer to the first request that is not delivered.
func (d *delivery) sendSeries(ctx context.Context, all []ordered) answer {
	limit := d.exporter.config.MaxRequestBytes
	d.buffers.encoded = d.buffers.encoded[:0]
	for _, series := range all {
		inRequest, own := sizeOf(series.TimeSeries)
		if len(d.buffers.encoded) > 0 && len(d.buffers.encoded)+inRequest > limit {
			if a := d.post(ctx); a.outcome != outcomeDelivered {
				return a
			}
			d.buffers.encoded = d.buffers.encoded[:0]
		}
		var err error
		if d.buffers.encoded, err = appendSeries(d.buffers.encoded, series.TimeSeries, own); err != nil {
			return answer{outcome: outcomeRefused, err: fmt.Errorf("cannot encode a series: %w", err)}
		}
	}
	if len(d.buffers.encoded) == 0 {
		return answer{outcome: outcomeDelivered} // all points were refused before
	}
	return d.post(ctx)
}

// post sends the encoded request.
func (d *delivery) post(ctx context.Context) answer {
	e := d.exporter
	body := requestBody{content: d.buffers.compress()}
	e.telemetry.ExporterRemoteWriteEncodedBytes.Add(ctx, int64(len(d.buffers.encoded)))
	e.telemetry.ExporterRemoteWriteCompressedBytes.Add(ctx, int64(len(body.content)))
	start := time.Now()
	a := e.exchange(ctx, &body)
	if body.open.Load() > 0 {
		d.buffers.compressed = nil // the transport may still read it
	}
	if err := ctx.Err(); err != nil && a.outcome != outcomeDelivered {
		// Of an ended context nothing can be concluded about the data.
		a = answer{outcome: outcomeRetry, err: fmt.Errorf("no answer from %s: %w", e.server, err), halt: true}
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", string(a.outcome))))
	e.telemetry.ExporterRemoteWriteRequests.Add(ctx, 1, attributes)
	e.telemetry.ExporterRemoteWriteRequestDuration.Record(ctx, time.Since(start).Seconds(), attributes)
	return a
}

// exchange sends one request and judges the answer.
func (e *remoteWriteExporter) exchange(ctx context.Context, body *requestBody) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.Endpoint, http.NoBody)
	if err != nil {
		return answer{outcome: outcomeRetry, err: err}
	}
	request.ContentLength = int64(len(body.content))
	request.Body, _ = body.newReader()
	// A request that met a connection that the server was about to close is sent again by the transport.
	request.GetBody = body.newReader
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	request.Header.Set("User-Agent", e.userAgent)

	response, err := e.client.Do(request)
	if err != nil {
		return e.noAnswer(err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	err = errors.Join(err, response.Body.Close())

	a := answer{outcome: classify(response.StatusCode, string(text))}
	switch {
	case a.outcome != outcomeDelivered:
		a.err = responseError(a.outcome, e.server, response, string(text))
		a.halt = a.outcome == outcomeThrottled
	case err != nil: // the answer broke off, so the server may have, too; a repeated sample is harmless
		a = answer{outcome: outcomeRetry, err: fmt.Errorf("the answer of the server broke off: %w", err)}
	case !body.sent.Load(): // something on the way answered for a server that has not seen all of it
		a = answer{outcome: outcomeRetry, err: fmt.Errorf("%s answered %s before the request was sent", e.server, response.Status)}
	}
	return a
}

// noAnswer judges the error of a request without an answer.
func (e *remoteWriteExporter) noAnswer(err error) answer {
	var op *net.OpError
	a := answer{outcome: outcomeRetry, halt: errors.As(err, &op) && op.Op == "dial"}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // without the query of the URL, which is nobody else's business
	}
	if consumererror.IsPermanent(err) {
		// An extension that authenticates has no say in what becomes of the data.
		err = errors.New(err.Error())
	}
	a.err = fmt.Errorf("no answer from %s: %w", e.server, err)
	return a
}
