package labelpreserveprocessor

import (
	"context"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadata"
)

// labelPreserve is the processor of one pipeline.
type labelPreserve struct {
	labels    *labelSet
	telemetry *metadata.TelemetryBuilder

	// countAttrs are the attributes of the counters, one set for each label.
	countAttrs []metric.MeasurementOption

	// passes keeps *pass values, so that a batch whose labels are all in place
	// allocates nothing.
	passes sync.Pool

	hostName func() (string, error)
}

func newLabelPreserve(set processor.Settings, cfg *Config, signal pipeline.Signal) (*labelPreserve, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	lp := &labelPreserve{
		labels:    newLabelSet(cfg),
		telemetry: telemetry,
		hostName:  os.Hostname,
	}
	for i := range lp.labels.labels {
		lp.countAttrs = append(lp.countAttrs, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("processor", set.ID.String()),
			attribute.String("otel.signal", signal.String()),
			attribute.String("label", lp.labels.labels[i].name),
		)))
	}
	lp.passes.New = func() any { return newPass(lp.labels) }
	return lp, nil
}

func (lp *labelPreserve) options() []processorhelper.Option {
	return []processorhelper.Option{
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		processorhelper.WithStart(lp.start),
	}
}

// start reads the environment and the host name, once.
func (lp *labelPreserve) start(context.Context, component.Host) error {
	return lp.labels.readConstants(os.Getenv, lp.hostName)
}

// begin returns the pass for a batch, or the error of a context that has ended: a batch that its caller has given up
// must not be taken on. Some exporters (prometheusremotewrite v0.152.0) answer such a context with success, and the
// receiver would commit what was never sent.
func (lp *labelPreserve) begin(ctx context.Context) (*pass, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return lp.passes.Get().(*pass), nil
}

// end adds what the pass counted to the counters and gives the pass back.
func (lp *labelPreserve) end(ctx context.Context, p *pass) {
	for i, attrs := range lp.countAttrs {
		if n := p.conflicts[i]; n > 0 {
			lp.telemetry.ProcessorLabelPreserveConflicts.Add(ctx, n, attrs)
		}
		if n := p.missing[i]; n > 0 {
			lp.telemetry.ProcessorLabelPreserveMissing.Add(ctx, n, attrs)
		}
	}
	p.reset()
	lp.passes.Put(p)
}
