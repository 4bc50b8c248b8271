package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadata"
)

// NewFactory returns the factory of the label_preserve processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithLogs(createLogs, metadata.LogsStability),
		processor.WithMetrics(createMetrics, metadata.MetricsStability),
		processor.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createDefaultConfig() component.Config {
	return newDefaultConfig()
}

func createLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	lp, err := newLabelPreserve(set, cfg.(*Config), pipeline.SignalLogs)
	if err != nil {
		return nil, err
	}
	helper, err := processorhelper.NewLogs(ctx, set, cfg, next, lp.processLogs, lp.options()...)
	if err != nil || !lp.labels.rejects {
		return helper, err
	}
	return &rejectingLogs{helper, lp}, nil
}

func createMetrics(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	lp, err := newLabelPreserve(set, cfg.(*Config), pipeline.SignalMetrics)
	if err != nil {
		return nil, err
	}
	helper, err := processorhelper.NewMetrics(ctx, set, cfg, next, lp.processMetrics, lp.options()...)
	if err != nil || !lp.labels.rejects {
		return helper, err
	}
	return &rejectingMetrics{helper, lp}, nil
}

func createTraces(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	lp, err := newLabelPreserve(set, cfg.(*Config), pipeline.SignalTraces)
	if err != nil {
		return nil, err
	}
	helper, err := processorhelper.NewTraces(ctx, set, cfg, next, lp.processTraces, lp.options()...)
	if err != nil || !lp.labels.rejects {
		return helper, err
	}
	return &rejectingTraces{helper, lp}, nil
}
