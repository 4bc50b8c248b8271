package deadletterconnector

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

// NewFactory returns the factory of the dead_letter connector.
func NewFactory() connector.Factory {
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithLogsToLogs(createLogs, metadata.LogsToLogsStability),
		connector.WithMetricsToMetrics(createMetrics, metadata.MetricsToMetricsStability),
		connector.WithTracesToTraces(createTraces, metadata.TracesToTracesStability),
	)
}

func createDefaultConfig() component.Config {
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxElapsedTime = 0
	return &Config{RetryConfig: retry}
}

// shared is the part of a connector that has nothing to do with its signal.
type shared struct {
	component.StartFunc
	component.ShutdownFunc
}

// Capabilities says that the data is not changed here: a pipeline that changes it gets
// a copy.
func (shared) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: false} }

type logsConnector struct {
	shared
	*router[plog.Logs]
}

func (c *logsConnector) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	return c.consume(ctx, logs)
}

func createLogs(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
	r, err := newRouter(cfg.(*Config), set, next, consumer.Logs.ConsumeLogs, signalOf[plog.Logs]{
		name:  deadletter.SignalLogs,
		copy:  func(l plog.Logs) plog.Logs { c := plog.NewLogs(); l.CopyTo(c); return c },
		count: plog.Logs.LogRecordCount,
		empty: func(l plog.Logs) bool { return l.ResourceLogs().Len() == 0 },
		data: func(node any) (plog.Logs, bool) {
			e, ok := node.(consumererror.Logs)
			return e.Value, ok
		},
	})
	if err != nil {
		return nil, err
	}
	return &logsConnector{shared: newShared(r.telemetry), router: r}, nil
}

type metricsConnector struct {
	shared
	*router[pmetric.Metrics]
}

func (c *metricsConnector) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	return c.consume(ctx, metrics)
}

func createMetrics(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Metrics, error) {
	r, err := newRouter(cfg.(*Config), set, next, consumer.Metrics.ConsumeMetrics, signalOf[pmetric.Metrics]{
		name:  deadletter.SignalMetrics,
		copy:  func(m pmetric.Metrics) pmetric.Metrics { c := pmetric.NewMetrics(); m.CopyTo(c); return c },
		count: pmetric.Metrics.DataPointCount,
		empty: func(m pmetric.Metrics) bool { return m.ResourceMetrics().Len() == 0 },
		data: func(node any) (pmetric.Metrics, bool) {
			e, ok := node.(consumererror.Metrics)
			return e.Value, ok
		},
	})
	if err != nil {
		return nil, err
	}
	return &metricsConnector{shared: newShared(r.telemetry), router: r}, nil
}

type tracesConnector struct {
	shared
	*router[ptrace.Traces]
}

func (c *tracesConnector) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	return c.consume(ctx, traces)
}

func createTraces(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Traces) (connector.Traces, error) {
	r, err := newRouter(cfg.(*Config), set, next, consumer.Traces.ConsumeTraces, signalOf[ptrace.Traces]{
		name:  deadletter.SignalTraces,
		copy:  func(t ptrace.Traces) ptrace.Traces { c := ptrace.NewTraces(); t.CopyTo(c); return c },
		count: ptrace.Traces.SpanCount,
		empty: func(t ptrace.Traces) bool { return t.ResourceSpans().Len() == 0 },
		data: func(node any) (ptrace.Traces, bool) {
			e, ok := node.(consumererror.Traces)
			return e.Value, ok
		},
	})
	if err != nil {
		return nil, err
	}
	return &tracesConnector{shared: newShared(r.telemetry), router: r}, nil
}

func newShared(telemetry *metadata.TelemetryBuilder) shared {
	return shared{ShutdownFunc: func(context.Context) error {
		telemetry.Shutdown()
		return nil
	}}
}
