package remotewriteexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/exporter/remotewriteexporter/internal/metadata"
)

// partSeries is about how many series a part of a request makes. Parts are translated, sent and, where the server refuses
// something, searched on their own; so this bounds memory and what is sent again.
const partSeries = 4096

type remoteWriteExporter struct {
	config     *Config
	settings   component.TelemetrySettings
	telemetry  *metadata.TelemetryBuilder
	translator *translator
	buffers    sync.Pool // of *buffers
	userAgent  string
	server     string // the endpoint without its query, for errors

	// Set by start.
	client *http.Client
}

func newExporter(config *Config, set exporter.Settings) (*remoteWriteExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	translator, err := newTranslator(config)
	if err != nil {
		return nil, err
	}
	server, _, _ := strings.Cut(config.Endpoint, "?")
	return &remoteWriteExporter{
		config:     config,
		settings:   set.TelemetrySettings,
		telemetry:  telemetry,
		translator: translator,
		buffers:    sync.Pool{New: func() any { return new(buffers) }},
		userAgent:  fmt.Sprintf("%s/%s (%s/%s)", set.BuildInfo.Command, set.BuildInfo.Version, runtime.GOOS, runtime.GOARCH),
		server:     server,
	}, nil
}

func (e *remoteWriteExporter) start(ctx context.Context, host component.Host) error {
	config := e.config.ClientConfig
	config.Compression = "" // this exporter compresses with buffers that it keeps
	client, err := config.ToClient(ctx, host.GetExtensions(), e.settings)
	if err != nil {
		return err
	}
	// A followed redirect would turn the POST into a GET without a body, and a page behind it would answer 200.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	e.client = client
	return nil
}

func (e *remoteWriteExporter) shutdown(context.Context) error {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	e.telemetry.Shutdown()
	return nil
}

// pushMetrics delivers all data points, or returns an error with those that are not: a permanent one when none of them
// can ever be, else one to try again.
func (e *remoteWriteExporter) pushMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	planner := newPlanner(e.config, time.Now())
	planned := planner.plan(metrics)
	parts := cut(planned.points)
	deliveries := make([]delivery, len(parts))

	var next atomic.Int64
	var halted atomic.Bool
	work := func() {
		buffers := e.buffers.Get().(*buffers)
		for part := int(next.Add(1)) - 1; part < len(parts) && !halted.Load() && ctx.Err() == nil; part = int(next.Add(1)) - 1 {
			d := &deliveries[part]
			d.exporter, d.source, d.buffers = e, metrics, buffers
			d.deliver(ctx, parts[part])
			if d.halt {
				halted.Store(true)
			}
		}
		buffers.trim()
		e.buffers.Put(buffers)
	}
	if workers := min(e.config.Concurrency, len(parts)); workers == 1 {
		work()
	} else {
		var running sync.WaitGroup
		for range workers {
			running.Go(work)
		}
		running.Wait()
	}
	return e.conclude(ctx, metrics, &planned, deliveries)
}

// cut returns the points in parts of about partSeries series.
func cut(points []point) [][]point {
	var parts [][]point
	start, series := 0, 0
	for i := range points {
		if points[i].state == statePending {
			series += int(points[i].series)
		}
		if series >= partSeries {
			parts = append(parts, points[start:i+1])
			start, series = i+1, 0
		}
	}
	if series > 0 {
		parts = append(parts, points[start:])
	}
	return parts
}

// conclude makes one error of the deliveries, and counts what is not going to be tried again.
func (e *remoteWriteExporter) conclude(ctx context.Context, metrics pmetric.Metrics, planned *plan, deliveries []delivery) error {
	var sum totals
	var retries, said []error
	for i := range deliveries {
		d := &deliveries[i]
		sum.points += d.totals.points
		sum.samples += d.totals.samples
		sum.nanSamples += d.totals.nanSamples
		sum.skippedTargetInfo += d.totals.skippedTargetInfo
		for _, err := range d.said {
			said = appendReport(said, err)
		}
		if d.retry != nil {
			retries = append(retries, d.retry)
		}
	}
	e.countDelivered(ctx, &sum)

	if pending(planned.points) > 0 {
		if err := ctx.Err(); err != nil {
			retries = append(retries, err)
		}
		err := errors.Join(retries...)
		if sum.points == 0 {
			return err // the request comes again as it is
		}
		// What is refused has to come again, too: who gets an error that is not permanent does not look for it.
		e.telemetry.ExporterRemoteWriteEmptyMetrics.Add(ctx, int64(planned.emptyMetrics))
		return consumererror.NewMetrics(err, copyPoints(metrics, planned.points, statePending, stateRefused))
	}
	e.telemetry.ExporterRemoteWriteEmptyMetrics.Add(ctx, int64(planned.emptyMetrics))

	var counts [reasonCount]int
	refused := 0
	for i := range planned.points {
		if planned.points[i].state == stateRefused {
			counts[planned.points[i].reason]++
			refused++
		}
	}
	if refused == 0 {
		return nil
	}
	for r, n := range counts {
		if n > 0 {
			e.telemetry.ExporterRemoteWriteRefusedDataPoints.Add(ctx, int64(n),
				metric.WithAttributes(attribute.String("reason", reason(r).String())))
		}
	}
	err := errRefused(&counts, &e.config.Limits, said)
	return consumererror.NewMetrics(consumererror.NewPermanent(err), copyPoints(metrics, planned.points, stateRefused))
}

func (e *remoteWriteExporter) countDelivered(ctx context.Context, sum *totals) {
	e.telemetry.ExporterRemoteWriteSentDataPoints.Add(ctx, int64(sum.points))
	e.telemetry.ExporterRemoteWriteSentSamples.Add(ctx, int64(sum.samples))
	if sum.nanSamples > 0 {
		e.telemetry.ExporterRemoteWriteNanSamples.Add(ctx, int64(sum.nanSamples))
	}
	if sum.skippedTargetInfo > 0 {
		e.telemetry.ExporterRemoteWriteSkippedTargetInfo.Add(ctx, int64(sum.skippedTargetInfo))
	}
}
