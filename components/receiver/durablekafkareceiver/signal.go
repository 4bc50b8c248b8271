package durablekafkareceiver

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

// signal decodes messages and hands them on.
type signal interface {
	// name is that of a deadletter.Letter.
	name() string
	// decode makes a request of the messages, without those of which undecodable has
	// an error; it adds to undecodable.
	decode(records []*kgo.Record, undecodable map[int]error) request
}

// request is what a delivery hands on, once.
type request interface {
	consume(ctx context.Context) error
}

// signalOf is the signal of a type of pdata.
type signalOf[T any] struct {
	signalName string
	encoding   string
	headers    []extractedHeader
	// builders are kept for their buffers.
	builders  sync.Pool
	count     func(T) int
	resources func(T, func(pcommon.Resource))
	next      func(context.Context, T) error
	start     func(context.Context) context.Context
	end       func(context.Context, string, int, error)
}

// extractedHeader is a header and the resource attribute that it becomes.
type extractedHeader struct{ name, attribute string }

func extractedHeaders(config HeaderExtractionConfig) []extractedHeader {
	if !config.ExtractHeaders {
		return nil
	}
	headers := make([]extractedHeader, 0, len(config.Headers))
	for _, name := range config.Headers {
		headers = append(headers, extractedHeader{name, "kafka.header." + name})
	}
	return headers
}

func newLogsSignal(config *Config, set receiver.Settings, host component.Host, next consumer.Logs) (signal, error) {
	newBuilder, err := logsBuilder(host, config.Logs.Encoding)
	if err != nil {
		return nil, err
	}
	report, err := newObsReport(set)
	if err != nil {
		return nil, err
	}
	return &signalOf[plog.Logs]{
		signalName: deadletter.SignalLogs,
		encoding:   config.Logs.Encoding,
		headers:    extractedHeaders(config.HeaderExtraction),
		builders:   sync.Pool{New: func() any { return newBuilder() }},
		count:      plog.Logs.LogRecordCount,
		resources: func(logs plog.Logs, each func(pcommon.Resource)) {
			for _, r := range logs.ResourceLogs().All() {
				each(r.Resource())
			}
		},
		next:  next.ConsumeLogs,
		start: report.StartLogsOp,
		end:   report.EndLogsOp,
	}, nil
}

func newMetricsSignal(config *Config, set receiver.Settings, host component.Host, next consumer.Metrics) (signal, error) {
	newBuilder, err := metricsBuilder(host, config.Metrics.Encoding)
	if err != nil {
		return nil, err
	}
	report, err := newObsReport(set)
	if err != nil {
		return nil, err
	}
	return &signalOf[pmetric.Metrics]{
		signalName: deadletter.SignalMetrics,
		encoding:   config.Metrics.Encoding,
		headers:    extractedHeaders(config.HeaderExtraction),
		builders:   sync.Pool{New: func() any { return newBuilder() }},
		count:      pmetric.Metrics.DataPointCount,
		resources: func(metrics pmetric.Metrics, each func(pcommon.Resource)) {
			for _, r := range metrics.ResourceMetrics().All() {
				each(r.Resource())
			}
		},
		next:  next.ConsumeMetrics,
		start: report.StartMetricsOp,
		end:   report.EndMetricsOp,
	}, nil
}

func newTracesSignal(config *Config, set receiver.Settings, host component.Host, next consumer.Traces) (signal, error) {
	newBuilder, err := tracesBuilder(host, config.Traces.Encoding)
	if err != nil {
		return nil, err
	}
	report, err := newObsReport(set)
	if err != nil {
		return nil, err
	}
	return &signalOf[ptrace.Traces]{
		signalName: deadletter.SignalTraces,
		encoding:   config.Traces.Encoding,
		headers:    extractedHeaders(config.HeaderExtraction),
		builders:   sync.Pool{New: func() any { return newBuilder() }},
		count:      ptrace.Traces.SpanCount,
		resources: func(traces ptrace.Traces, each func(pcommon.Resource)) {
			for _, r := range traces.ResourceSpans().All() {
				each(r.Resource())
			}
		},
		next:  next.ConsumeTraces,
		start: report.StartTracesOp,
		end:   report.EndTracesOp,
	}, nil
}

func newObsReport(set receiver.Settings) (*receiverhelper.ObsReport, error) {
	return receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              "kafka",
		ReceiverCreateSettings: set,
	})
}

func (s *signalOf[T]) name() string { return s.signalName }

func (s *signalOf[T]) decode(records []*kgo.Record, undecodable map[int]error) request {
	for {
		b := s.builders.Get().(builder[T])
		at, panicked := appendAll(b, records, undecodable)
		if panicked == nil {
			payload := b.take()
			s.builders.Put(b)
			s.extract(records[0], payload)
			return &requestOf[T]{signal: s, payload: payload}
		}
		// The state of the builder is not known, so it is not put back, and the messages
		// are decoded again without the one that made it panic.
		undecodable[at] = panicked
	}
}

// appendAll decodes the messages. When a decoder panics it returns at which message.
func appendAll[T any](b builder[T], records []*kgo.Record, undecodable map[int]error) (at int, panicked error) {
	defer func() {
		if r := recover(); r != nil {
			panicked = fmt.Errorf("the decoder panicked: %v", r)
		}
	}()
	for i, record := range records {
		at = i
		if len(undecodable) > 0 && undecodable[i] != nil {
			continue
		}
		if err := b.append(record.Value, record.Timestamp); err != nil {
			undecodable[i] = err
		}
	}
	return 0, nil
}

// extract copies headers to the resources, as upstream does. Merged messages have the
// same headers.
func (s *signalOf[T]) extract(record *kgo.Record, payload T) {
	for _, h := range s.headers {
		for i := range record.Headers {
			if record.Headers[i].Key == h.name {
				value := string(record.Headers[i].Value)
				s.resources(payload, func(r pcommon.Resource) { r.Attributes().PutStr(h.attribute, value) })
				break
			}
		}
	}
}

type requestOf[T any] struct {
	signal  *signalOf[T]
	payload T
}

func (r *requestOf[T]) consume(ctx context.Context) error {
	s := r.signal
	count := s.count(r.payload)
	ctx = s.start(ctx)
	err := s.next(ctx, r.payload)
	s.end(ctx, s.encoding, count, err)
	return err
}
