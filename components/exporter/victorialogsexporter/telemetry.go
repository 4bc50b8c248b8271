package victorialogsexporter

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter/internal/metadata"
)

// What came of asking for the rows of a batch; the values are those of the attribute `result` in metadata.yaml.
const (
	verificationFound     = "found"
	verificationPartial   = "partial"
	verificationAbsent    = "absent"
	verificationUnsettled = "unsettled"
	verificationFailed    = "failed"
)

// States of the endpoint; the values are those of the attribute `state` in metadata.yaml.
const (
	stateUp          = "up"
	stateThrottled   = "throttled"
	stateRefusing    = "refusing"
	stateUnreachable = "unreachable"
)

var states = []string{stateUp, stateThrottled, stateRefusing, stateUnreachable}

// stateOf returns what an answer says about the endpoint.
func stateOf(meaning outcome) string {
	switch meaning {
	case outcomeDelivered:
		return stateUp
	case outcomeThrottled:
		return stateThrottled
	default:
		return stateRefusing
	}
}

// endpointState is what the last request said about the endpoint.
type endpointState struct {
	mu      sync.Mutex
	current string
}

func (s *endpointState) set(ctx context.Context, telemetry *metadata.TelemetryBuilder, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == state {
		return
	}
	s.current = state
	for _, other := range states {
		value := int64(0)
		if other == state {
			value = 1
		}
		telemetry.ExporterVictorialogsEndpointState.Record(ctx, value, metric.WithAttributes(attribute.String("state", other)))
	}
}

// attributeSets are the attributes of measurements that are made for each request.
type attributeSets struct{ jsonline, otlp metric.MeasurementOption }

func newAttributeSets() attributeSets {
	path := func(value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("path", value)))
	}
	return attributeSets{jsonline: path("jsonline"), otlp: path("otlp")}
}

func (e *victoriaLogsExporter) countRequest(ctx context.Context, meaning outcome, start time.Time) {
	attributes := metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", string(meaning))))
	e.telemetry.ExporterVictorialogsRequests.Add(ctx, 1, attributes)
	e.telemetry.ExporterVictorialogsRequestDuration.Record(ctx, time.Since(start).Seconds(), attributes)
}

func (e *victoriaLogsExporter) countVerification(ctx context.Context, result string) {
	e.telemetry.ExporterVictorialogsVerifications.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}

// countStats is called when a request is concluded, so that its retries do not count twice.
func (e *victoriaLogsExporter) countStats(ctx context.Context, stats *encodeStats) {
	if stats.duplicateFields > 0 {
		e.telemetry.ExporterVictorialogsDuplicateFields.Add(ctx, int64(stats.duplicateFields))
	}
	for v, n := range stats.violations {
		e.telemetry.ExporterVictorialogsViolations.Add(ctx, int64(n),
			metric.WithAttributes(attribute.String("kind", string(v.kind)), attribute.String("action", string(v.action))))
	}
}

func reason(k kind) metric.AddOption {
	return metric.WithAttributes(attribute.String("reason", string(k)))
}
