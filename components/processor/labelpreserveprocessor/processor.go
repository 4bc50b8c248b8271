package labelpreserveprocessor

import (
	"context"
	"os"
	"slices"
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
	cfg       *Config
	labels    *labelSet
	telemetry *metadata.TelemetryBuilder

	// The attributes of the counters, one set for each label, and for each kind of eviction.
	countAttrs    []metric.MeasurementOption
	evictionAttrs [evictionKinds]metric.MeasurementOption

	// passes keeps *pass values, so that a batch whose labels are all in place
	// allocates nothing.
	passes sync.Pool

	hostName func() (string, error)
	// ready reads the environment and the host name, the first time it is called.
	ready func() error
}

func newLabelPreserve(set processor.Settings, cfg *Config, signal pipeline.Signal) (*labelPreserve, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	lp := &labelPreserve{
		cfg:       cfg,
		labels:    newLabelSet(cfg, signal.String()),
		telemetry: telemetry,
		hostName:  os.Hostname,
	}
	common := []attribute.KeyValue{
		attribute.String("processor", set.ID.String()),
		attribute.String("otel.signal", signal.String()),
	}
	for i := range lp.labels.labels {
		lp.countAttrs = append(lp.countAttrs, metric.WithAttributeSet(attribute.NewSet(
			append(slices.Clone(common), attribute.String("label", lp.labels.labels[i].name))...)))
	}
	for kind := range lp.evictionAttrs {
		outcome := "kept"
		if kind >= evictionReasons {
			outcome = "dropped"
		}
		lp.evictionAttrs[kind] = metric.WithAttributeSet(attribute.NewSet(append(slices.Clone(common),
			attribute.String("reason", evictionReasonNames[kind%evictionReasons]),
			attribute.String("outcome", outcome))...))
	}
	lp.passes.New = func() any { return lp.newPass(false) }
	lp.ready = sync.OnceValue(lp.readConstants)
	return lp, nil
}

func (lp *labelPreserve) newPass(shares bool) *pass {
	var shared sharedValues
	if shares {
		shared = newSharedValues(len(lp.labels.labels))
	}
	return newPass(lp.labels, shared)
}

func (lp *labelPreserve) options() []processorhelper.Option {
	return []processorhelper.Option{
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		processorhelper.WithStart(lp.start),
	}
}

// start reads the environment and the host name, unless a batch came first.
func (lp *labelPreserve) start(context.Context, component.Host) error { return lp.ready() }

func (lp *labelPreserve) readConstants() error {
	// Here and not in the factory: feature gates are set between the two.
	if canShare() {
		lp.passes.New = func() any { return lp.newPass(true) }
	}
	return lp.labels.readConstants(lp.cfg, os.Getenv, lp.hostName)
}

// begin returns the pass for a batch, or the error of a context that has ended: a batch that its caller has given up
// must not be taken on. Some exporters (prometheusremotewrite v0.152.0) answer such a context with success, and the
// receiver would commit what was never sent.
func (lp *labelPreserve) begin(ctx context.Context) (*pass, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A receiver that several pipelines share is started with the first of them, and may deliver before the processors
	// of the others are.
	if err := lp.ready(); err != nil {
		return nil, err
	}
	p := lp.passes.Get().(*pass)
	p.begin(ctx)
	return p, nil
}

// end adds what the pass counted to the counters and gives the pass back. Rejected records are
// counted where they are reported: a batch may be tried many times before that.
func (lp *labelPreserve) end(ctx context.Context, p *pass) {
	add := func(counter metric.Int64Counter, counts []int64, attrs []metric.MeasurementOption) {
		for i, n := range counts {
			if n > 0 {
				counter.Add(ctx, n, attrs[i])
			}
		}
	}
	add(lp.telemetry.ProcessorLabelPreserveConflicts, p.counts.conflicts, lp.countAttrs)
	add(lp.telemetry.ProcessorLabelPreserveDefaulted, p.counts.defaulted, lp.countAttrs)
	add(lp.telemetry.ProcessorLabelPreserveMissing, p.counts.missing, lp.countAttrs)
	add(lp.telemetry.ProcessorLabelPreserveTruncated, p.counts.truncated, lp.countAttrs)
	add(lp.telemetry.ProcessorLabelPreserveEvicted, p.counts.evicted[:], lp.evictionAttrs[:])
	p.reset()
	lp.passes.Put(p)
}
