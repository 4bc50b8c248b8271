package victorialogsexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadata"
)

const (
	jsonLinePath = "/insert/jsonline"
	otlpPath     = "/insert/opentelemetry/v1/logs"

	// maxResponseBytes bounds what is read of an answer.
	maxResponseBytes = 64 * 1024

	// otlpSeverityField is a field that the OTLP path adds to every row.
	otlpSeverityField = "severity"
)

type victoriaLogsExporter struct {
	config    *Config
	settings  component.TelemetrySettings
	telemetry *metadata.TelemetryBuilder
	userAgent string
	baseURL   string
	streams   string       // `stream_fields` as the server takes them
	client    *http.Client // set by start
}

func newExporter(config *Config, set exporter.Settings) (*victoriaLogsExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &victoriaLogsExporter{
		config:    config,
		settings:  set.TelemetrySettings,
		telemetry: telemetry,
		userAgent: fmt.Sprintf("%s/%s (%s/%s)", set.BuildInfo.Command, set.BuildInfo.Version, runtime.GOOS, runtime.GOARCH),
		baseURL:   strings.TrimRight(config.Endpoint, "/"),
		streams:   strings.Join(config.StreamFields, ","),
	}, nil
}

func (e *victoriaLogsExporter) start(ctx context.Context, host component.Host) error {
	client, err := e.config.ToClient(ctx, host.GetExtensions(), e.settings)
	if err != nil {
		return err
	}
	// A followed redirect would turn the POST into a GET without a body, and a page behind it would answer 200.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	e.client = client
	return nil
}

func (e *victoriaLogsExporter) shutdown(context.Context) error {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	e.telemetry.Shutdown()
	return nil
}

// pushLogs delivers all records, or returns an error that says whether, and which, to try again.
func (e *victoriaLogsExporter) pushLogs(ctx context.Context, logs plog.Logs) error {
	encoder := getEncoder(e.config)
	defer putEncoder(encoder)
	encoder.appendLogs(logs)

	if len(encoder.body) > 0 {
		if err := e.post(ctx, jsonLinePath, "application/stream+json", "", encoder.body); err != nil {
			// The transport may go on reading the body of a failed request for a while (net/http: RoundTripper).
			encoder.body = nil
			return err
		}
	}
	failed, err := e.pushOversized(ctx, encoder)
	e.count(ctx, encoder.stats)
	if err != nil && !consumererror.IsPermanent(err) {
		// What is delivered must not be sent again; what is rejected is, so that the last error says it.
		return consumererror.NewLogs(err, copyRecords(append(failed, encoder.rejected...)))
	}
	if n := len(encoder.rejected); n > 0 {
		e.telemetry.ExporterVictorialogsRejectedRecords.Add(ctx, int64(n), reason("row_bytes"))
		err = errors.Join(err, errRejected(n, e.config.Limits.MaxRowBytes))
	}
	return err
}

// pushOversized sends each oversized record by itself. One that VictoriaLogs refuses for good stops no other. Where an
// error may pass, it returns the records that are not delivered with it; otherwise the error is permanent, or nil.
func (e *victoriaLogsExporter) pushOversized(ctx context.Context, encoder *encoder) (failed []recordRef, err error) {
	var refusals []error
	for i, ref := range encoder.oversized {
		err := e.postOTLP(ctx, encoder.otlpLogs(ref))
		switch {
		case err == nil:
			e.telemetry.ExporterVictorialogsOtlpRecords.Add(ctx, 1, reason("line_bytes"))
		case consumererror.IsPermanent(err):
			failed = append(failed, ref)
			refusals = append(refusals, err)
		default:
			return append(failed, encoder.oversized[i:]...), err
		}
	}
	return nil, errors.Join(refusals...)
}

// count is called when the lines of a request are delivered, so that its retries do not count twice.
func (e *victoriaLogsExporter) count(ctx context.Context, stats encodeStats) {
	add := func(counter metric.Int64Counter, n int, options ...metric.AddOption) {
		if n > 0 {
			counter.Add(ctx, int64(n), options...)
		}
	}
	add(e.telemetry.ExporterVictorialogsDuplicateFields, stats.duplicateFields)
	add(e.telemetry.ExporterVictorialogsOverflowFields, stats.longNames, reason("field_name_bytes"))
	add(e.telemetry.ExporterVictorialogsOverflowFields, stats.surplusFields, reason("field_count"))
	add(e.telemetry.ExporterVictorialogsOverflowFields, stats.longStreams, reason("stream_bytes"))
}

func reason(value string) metric.AddOption {
	return metric.WithAttributes(attribute.String("reason", value))
}

// postOTLP sends the record to the OTLP path of the same server, which has no limit of a line. That path makes a field
// of the severity text, or of a placeholder for it, which is kept out unless the record has a field of that name.
func (e *victoriaLogsExporter) postOTLP(ctx context.Context, logs plog.Logs) error {
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	ignore := otlpSeverityField
	if logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SeverityText() != "" {
		ignore = ""
	}
	return e.post(ctx, otlpPath, "application/x-protobuf", ignore, body)
}

// post sends one request and returns nil only when VictoriaLogs took it.
func (e *victoriaLogsExporter) post(ctx context.Context, path, contentType, ignoreField string, body []byte) error {
	url := e.baseURL + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", e.userAgent)
	request.Header.Set("VL-Stream-Fields", e.streams)
	if ignoreField != "" {
		request.Header.Set("VL-Ignore-Fields", ignoreField)
	}
	if tenant := e.config.Tenant; tenant != (TenantConfig{}) {
		request.Header.Set("AccountID", strconv.FormatUint(uint64(tenant.AccountID), 10))
		request.Header.Set("ProjectID", strconv.FormatUint(uint64(tenant.ProjectID), 10))
	}

	e.telemetry.ExporterVictorialogsEncodedBytes.Add(ctx, int64(len(body)))
	response, err := e.client.Do(request)
	if err != nil {
		e.countRequest(ctx, outcomeRetry)
		return fmt.Errorf("no answer from VictoriaLogs: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	err = errors.Join(err, response.Body.Close())

	meaning := classify(response.StatusCode, string(answer))
	if meaning == outcomeDelivered && err != nil {
		// The answer broke off, so the server may have, too.
		meaning = outcomeRetry
	}
	e.countRequest(ctx, meaning)
	if meaning == outcomeDelivered {
		return nil
	}
	return responseError(meaning, url, response, string(answer))
}

func (e *victoriaLogsExporter) countRequest(ctx context.Context, meaning outcome) {
	e.telemetry.ExporterVictorialogsRequests.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", string(meaning))))
}
