package durabilityextension

import (
	"context"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

func (n *node) attributes() metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("backend", n.backend), attribute.String("node", n.name))
}

func (n *node) fields() []zap.Field {
	return []zap.Field{zap.String("backend", n.backend), zap.String("node", n.name)}
}

// unixTime returns the time of a start time of metrics.
func unixTime(seconds float64) time.Time {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second)))
}

func (e *durabilityExtension) countFailure(ctx context.Context, n *node, err error) {
	e.telemetry.ExtensionDurabilityPollFailures.Add(ctx, 1, n.attributes(),
		metric.WithAttributes(attribute.String("reason", failureReason(err))))
}

// failureReason returns a value of the attribute `reason` in metadata.yaml.
func failureReason(err error) string {
	var status statusError
	var malformed malformedError
	switch {
	case errors.As(err, &status):
		return "status"
	case errors.As(err, &malformed):
		return "malformed"
	}
	return "unreachable"
}

// each calls the function for every node while no poll changes it.
func (e *durabilityExtension) each(f func(*node)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, nodes := range e.nodes {
		for _, n := range nodes {
			f(n)
		}
	}
}

func (e *durabilityExtension) registerGauges() error {
	return errors.Join(
		e.telemetry.RegisterExtensionDurabilityEpochCallback(func(_ context.Context, o metric.Float64Observer) error {
			e.each(func(n *node) {
				if n.generation > 0 {
					o.Observe(n.last.start, n.attributes())
				}
			})
			return nil
		}),
		e.telemetry.RegisterExtensionDurabilityFlushWindowCallback(func(_ context.Context, o metric.Float64Observer) error {
			e.each(func(n *node) { o.Observe(n.window.Seconds(), n.attributes()) })
			return nil
		}),
		e.telemetry.RegisterExtensionDurabilityPollAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
			e.each(func(n *node) {
				since := n.begin
				if n.generation == 0 {
					since = n.created
				}
				o.Observe(time.Since(since).Seconds(), n.attributes())
			})
			return nil
		}),
		e.telemetry.RegisterExtensionDurabilitySettleDelayCallback(func(_ context.Context, o metric.Float64Observer) error {
			e.each(func(n *node) {
				switch {
				case !n.flushes():
					o.Observe(0, n.attributes())
				case n.generation > 0:
					o.Observe(time.Since(n.horizon).Seconds(), n.attributes())
				}
			})
			return nil
		}),
		e.telemetry.RegisterExtensionDurabilityUpCallback(func(_ context.Context, o metric.Int64Observer) error {
			e.each(func(n *node) {
				up := int64(0)
				if n.up {
					up = 1
				}
				o.Observe(up, n.attributes())
			})
			return nil
		}),
	)
}
