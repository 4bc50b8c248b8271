package victorialogsexporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadata"
)

const (
	jsonLinePath = "/insert/jsonline"
	otlpPath     = "/insert/opentelemetry/v1/logs"

	// maxResponseBytes bounds what is read of an answer.
	maxResponseBytes = 64 * 1024
)

type victoriaLogsExporter struct {
	config     *Config
	settings   component.TelemetrySettings
	telemetry  *metadata.TelemetryBuilder
	attributes attributeSets
	state      endpointState
	rules      *nameRules
	encoders   sync.Pool // of *encoder
	compressor *compressor
	memory     memory
	userAgent  string
	baseURL    string
	queryURL   string
	// storedQueue says that requests come from a queue on disk, which survives the process.
	storedQueue bool

	// Set by start.
	started     time.Time
	client      *http.Client
	queryClient *http.Client
}

func newExporter(config *Config, set exporter.Settings) (*victoriaLogsExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	compressor, err := newCompressor(config.Compression, config.CompressionParams.Level)
	if err != nil {
		return nil, fmt.Errorf("`compression`: %w", err)
	}
	memory, err := newMemory()
	if err != nil {
		return nil, err
	}
	queryEndpoint := config.Idempotency.QueryEndpoint
	if queryEndpoint == "" {
		queryEndpoint = config.Endpoint
	}
	queue := config.QueueConfig.Get()
	e := &victoriaLogsExporter{
		config:      config,
		settings:    set.TelemetrySettings,
		telemetry:   telemetry,
		attributes:  newAttributeSets(),
		rules:       newNameRules(config),
		compressor:  compressor,
		memory:      memory,
		userAgent:   fmt.Sprintf("%s/%s (%s/%s)", set.BuildInfo.Command, set.BuildInfo.Version, runtime.GOOS, runtime.GOARCH),
		baseURL:     strings.TrimRight(config.Endpoint, "/"),
		queryURL:    strings.TrimRight(queryEndpoint, "/") + queryPath,
		storedQueue: queue != nil && queue.StorageID != nil,
	}
	e.encoders.New = func() any { return newEncoder(config, e.rules) }
	return e, nil
}

func (e *victoriaLogsExporter) start(ctx context.Context, host component.Host) error {
	config := e.config.ClientConfig
	config.Compression = compressionNone // this exporter compresses with encoders that it keeps
	config.CompressionParams.Level = 0
	client, err := config.ToClient(ctx, host.GetExtensions(), e.settings)
	if err != nil {
		return err
	}
	// A followed redirect would turn the POST into a GET without a body, and a page behind it would answer 200.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	query := *client
	query.Timeout = 0 // a query has its own
	e.client, e.queryClient = client, &query
	e.started = time.Now()
	return nil
}

func (e *victoriaLogsExporter) shutdown(context.Context) error {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	e.telemetry.Shutdown()
	return nil
}

// pushLogs delivers all records, or returns an error that says whether to try again. The error for records that are
// never going to be delivered holds these, and the others are delivered.
func (e *victoriaLogsExporter) pushLogs(ctx context.Context, logs plog.Logs) error {
	records := logs.LogRecordCount()
	parts := (records + maxBatchRecords - 1) / maxBatchRecords
	results := make([]partResult, parts)
	if parts == 1 {
		e.pushPart(ctx, logs, 0, records, &results[0])
	} else {
		e.pushParts(ctx, logs, records, results)
	}
	return e.conclude(ctx, logs, results)
}

// pushParts encodes and sends the parts of a large request on as many cores as there are.
func (e *victoriaLogsExporter) pushParts(ctx context.Context, logs plog.Logs, records int, results []partResult) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(results)) {
		workers.Go(func() {
			for part := int(next.Add(1)) - 1; part < len(results); part = int(next.Add(1)) - 1 {
				from := part * maxBatchRecords
				e.pushPart(ctx, logs, from, min(from+maxBatchRecords, records), &results[part])
			}
		})
	}
	workers.Wait()
}

// partResult is what became of a part of a request.
type partResult struct {
	stats     encodeStats
	rejected  []rejection
	refused   []refusal
	delivered []deliveredBatch
	retry     error // the first error that may pass
}

// deliveredBatch is a batch that need not be sent again.
type deliveredBatch struct {
	key   batchKey
	state attempt
}

// refusal is what VictoriaLogs refused for good of a batch: all its lines, or over-long ones, by their records.
type refusal struct {
	tenant   tenant
	from, to int
	lines    bool
	over     []int // the records of all over-long lines
	refused  []int // and of those that were refused
	err      error
}

func (e *victoriaLogsExporter) pushPart(ctx context.Context, logs plog.Logs, from, to int, result *partResult) {
	encoder := e.encoders.Get().(*encoder)
	encoder.reset(time.Now())
	encoder.encode(logs, from, to, func(b *batch) {
		d := e.newDelivery(ctx, b)
		if err := e.deliver(ctx, d); err == nil {
			result.delivered = append(result.delivered, deliveredBatch{d.key, d.state})
		} else if result.retry == nil {
			result.retry = err
		}
		if d.refusal.lines || len(d.refusal.refused) > 0 {
			d.refusal.over = append([]int(nil), b.overRecords...)
			result.refused = append(result.refused, d.refusal)
		}
	})
	result.stats = encoder.stats
	result.rejected = append(result.rejected, encoder.rejected...)
	encoder.release()
	e.encoders.Put(encoder)
}

// conclude makes one error of the results, and counts what is not going to be tried again.
func (e *victoriaLogsExporter) conclude(ctx context.Context, logs plog.Logs, results []partResult) error {
	var retries []error
	for i := range results {
		if results[i].retry != nil {
			retries = append(retries, results[i].retry)
		}
	}
	if len(retries) > 0 {
		// The whole request comes again, and makes the same batches: those that are delivered are remembered.
		settled := time.Now().Add(e.config.Idempotency.VisibilityDelay)
		for i := range results {
			for _, b := range results[i].delivered {
				b.state.settled = settled
				e.memory.cache.Add(b.key, b.state)
			}
		}
		return errors.Join(retries...)
	}
	lost := make(map[int]kind)
	var errs []error
	for i := range results {
		e.countStats(ctx, &results[i].stats)
		if e.memory.cache.Len() > 0 {
			for _, b := range results[i].delivered {
				e.memory.cache.Remove(b.key)
			}
		}
		for _, r := range results[i].rejected {
			lost[r.index] = r.kind
		}
		for _, r := range results[i].refused {
			errs = append(errs, r.err)
			e.refuse(logs, r, lost)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	byKind := make(map[kind]int)
	for _, k := range lost {
		byKind[k]++
	}
	for k, n := range byKind {
		e.telemetry.ExporterVictorialogsRejectedRecords.Add(ctx, int64(n), reason(k))
	}
	errs = append(errs, errRejected(byKind, &e.config.Limits))
	return consumererror.NewLogs(consumererror.NewPermanent(errors.Join(errs...)), copyRecords(logs, lost))
}

// refuse notes the refused records of a batch as lost.
func (e *victoriaLogsExporter) refuse(logs plog.Logs, r refusal, lost map[int]kind) {
	for _, i := range r.refused {
		lost[i] = kindRefused
	}
	if !r.lines {
		return
	}
	forEach(logs, func(i int, ref recordRef) {
		if i < r.from || i >= r.to || slices.Contains(r.over, i) {
			return
		}
		if _, is := lost[i]; is {
			return
		}
		t, ok := e.config.Tenant.of(ref.resource.Resource(), ref.record)
		if !ok {
			t = e.config.Tenant.static()
		}
		if t == r.tenant {
			lost[i] = kindRefused
		}
	})
}

// recordRef is a record with what it belongs to.
type recordRef struct {
	resource plog.ResourceLogs
	scope    plog.ScopeLogs
	record   plog.LogRecord
}

// forEach calls f with all records, counted from the first of the request.
func forEach(logs plog.Logs, f func(int, recordRef)) {
	index := 0
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				f(index, recordRef{resource: resource, scope: scope, record: record})
				index++
			}
		}
	}
}

// copyRecords returns copies of the records in a request of their own.
func copyRecords(logs plog.Logs, which map[int]kind) plog.Logs {
	records := plog.NewLogs()
	forEach(logs, func(i int, ref recordRef) {
		if _, is := which[i]; !is {
			return
		}
		resource := records.ResourceLogs().AppendEmpty()
		ref.resource.Resource().CopyTo(resource.Resource())
		resource.SetSchemaUrl(ref.resource.SchemaUrl())
		scope := resource.ScopeLogs().AppendEmpty()
		ref.scope.Scope().CopyTo(scope.Scope())
		scope.SetSchemaUrl(ref.scope.SchemaUrl())
		ref.record.CopyTo(scope.LogRecords().AppendEmpty())
	})
	return records
}

func (e *victoriaLogsExporter) setCommonHeaders(request *http.Request, t tenant) {
	request.Header.Set("User-Agent", e.userAgent)
	if t != (tenant{}) {
		request.Header.Set("AccountID", strconv.FormatUint(uint64(t.account), 10))
		request.Header.Set("ProjectID", strconv.FormatUint(uint64(t.project), 10))
	}
}

// post sends one request and returns nil only when VictoriaLogs took it.
func (e *victoriaLogsExporter) post(ctx context.Context, d *delivery, path, contentType, ignoreField string, content []byte) error {
	body, err := e.compressor.compress(content)
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	url := e.baseURL + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	sending := requestBody{content: body}
	sending.attach(request)
	request.Header.Set("Content-Type", contentType)
	if e.compressor.encoding != "" {
		request.Header.Set("Content-Encoding", e.compressor.encoding)
	}
	request.Header.Set("VL-Stream-Fields", d.streams)
	if d.id != "" {
		request.Header.Set("VL-Extra-Fields", e.config.Idempotency.Field+"="+d.id)
	}
	if ignoreField != "" {
		request.Header.Set("VL-Ignore-Fields", ignoreField)
	}
	e.setCommonHeaders(request, d.tenant)

	e.telemetry.ExporterVictorialogsEncodedBytes.Add(ctx, int64(len(content)))
	e.telemetry.ExporterVictorialogsCompressedBytes.Add(ctx, int64(len(body)))
	start := time.Now()
	response, err := e.client.Do(request)
	if sending.inUse() {
		d.lines.data = nil // not to be written to again
	}
	if err != nil {
		e.countRequest(ctx, outcomeRetry, start)
		e.state.set(ctx, e.telemetry, stateUnreachable)
		err = fmt.Errorf("no answer from VictoriaLogs: %w", err)
		if neverSent(err) {
			return err
		}
		return &maybeTakenError{err: err, timedOut: isTimeout(err)}
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	err = errors.Join(err, response.Body.Close())

	meaning := classify(response.StatusCode, string(answer))
	if meaning == outcomeDelivered {
		switch {
		case err != nil: // the answer broke off, so the server may have, too
			meaning, err = outcomeRetry, fmt.Errorf("the answer of VictoriaLogs broke off: %w", err)
		case !sending.sent.Load(): // something on the way answered for a server that has not seen all of it
			meaning, err = outcomeRetry, fmt.Errorf("%s answered %s before the request was sent", url, response.Status)
		}
		if err != nil {
			err = &maybeTakenError{err: err, timedOut: isTimeout(err)}
		}
	} else {
		err = responseError(meaning, url, response, string(answer))
		if maybeTaken(response.StatusCode, string(answer)) {
			err = &maybeTakenError{err: err}
		}
	}
	e.countRequest(ctx, meaning, start)
	e.state.set(ctx, e.telemetry, stateOf(meaning))
	return err
}

// neverSent reports whether the error says that there was no connection to send the request on.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
