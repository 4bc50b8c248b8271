package lokiexporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/exporter/lokiexporter/internal/metadata"
)

const otlpPath = "/otlp/v1/logs"

type lokiExporter struct {
	config    *Config
	settings  component.TelemetrySettings
	telemetry *metadata.TelemetryBuilder
	userAgent string
	url       string
	queryURL  string
	suspects  *lru.Cache[uint64, struct{}] // hashes of records, see verify.go

	// Set by start.
	client *http.Client
}

func newExporter(config *Config, set exporter.Settings) (*lokiExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	suspects, err := lru.New[uint64, struct{}](maxSuspects)
	if err != nil {
		return nil, err
	}
	queryEndpoint := config.Idempotency.QueryEndpoint
	if queryEndpoint == "" {
		queryEndpoint = config.Endpoint
	}
	return &lokiExporter{
		queryURL:  strings.TrimRight(queryEndpoint, "/") + queryPath,
		suspects:  suspects,
		config:    config,
		settings:  set.TelemetrySettings,
		telemetry: telemetry,
		userAgent: fmt.Sprintf("%s/%s (%s/%s)", set.BuildInfo.Command, set.BuildInfo.Version, runtime.GOOS, runtime.GOARCH),
		url:       strings.TrimRight(config.Endpoint, "/") + otlpPath,
	}, nil
}

func (e *lokiExporter) start(ctx context.Context, host component.Host) error {
	client, err := e.config.ToClient(ctx, host.GetExtensions(), e.settings)
	if err != nil {
		return err
	}
	// A followed redirect would turn the POST into a GET without a body, and a page behind it would answer 200.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	e.client = client
	return nil
}

func (e *lokiExporter) shutdown(context.Context) error {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	e.telemetry.Shutdown()
	return nil
}

// pushLogs delivers all records, or returns an error with those that are not: a permanent one when none of them can ever
// be, else one to try again.
func (e *lokiExporter) pushLogs(ctx context.Context, logs plog.Logs) error {
	records, parts := plan(logs, e.config.MaxRequestBytes)
	deliveries := make([]delivery, len(parts))

	var next atomic.Int64
	var halted atomic.Bool
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(parts) && !halted.Load() && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			d := &deliveries[i]
			d.exporter, d.source = e, logs
			d.deliverOnce(ctx, parts[i])
			if d.halt {
				halted.Store(true)
			}
		}
	}
	if workers := min(e.config.Concurrency, len(parts)); workers <= 1 {
		work()
	} else {
		var running sync.WaitGroup
		for range workers {
			running.Go(work)
		}
		running.Wait()
	}
	return e.conclude(ctx, logs, records, deliveries)
}

// conclude makes one error of the deliveries, and counts what is not going to be tried again.
func (e *lokiExporter) conclude(ctx context.Context, logs plog.Logs, records []record, deliveries []delivery) error {
	delivered := len(pick(records, stateDelivered))

	if len(pick(records, statePending)) > 0 {
		var retries []error
		for i := range deliveries {
			if deliveries[i].retry != nil {
				retries = append(retries, deliveries[i].retry)
			}
		}
		if err := ctx.Err(); err != nil {
			retries = append(retries, err)
		}
		err := errors.Join(retries...)
		if delivered == 0 {
			return err // the request comes again as it is
		}
		// What is refused has to come again, too: who gets an error that is not permanent does not look for it.
		return consumererror.NewLogs(err, requestOf(logs, pick(records, statePending, stateRefused)))
	}

	refused := make(map[kind][]*record)
	for _, r := range pick(records, stateRefused) {
		refused[r.kind] = append(refused[r.kind], r)
	}
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(refused)) {
		e.telemetry.ExporterLokiRefusedRecords.Add(ctx, int64(len(refused[k])), metric.WithAttributes(attribute.String("reason", string(k))))
		var said error
		for i := range deliveries {
			if said = deliveries[i].said[k]; said != nil {
				break
			}
		}
		// Each kind is an error of its own, so that each dead letter has its own reason.
		errs = append(errs, consumererror.NewLogs(consumererror.NewPermanent(errRefused(len(refused[k]), k, said)), requestOf(logs, refused[k])))
	}
	return errors.Join(errs...)
}
